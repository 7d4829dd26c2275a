/* metrics.c - see metrics.h.
 *
 * te_*: names, labels, units and buckets as text-embeddings-inference's router has them (router/src/lib.rs,
 * core/src/infer.rs, core/src/queue.rs). That server observes single texts and batches; records of requests hold their
 * sums. So an observation of a text is its request's mean, as often as there are texts, and one of a batch is the mean since
 * the last look: _sum and _count are exact, buckets as fine as that.
 */
#include "serve/metrics.h"

#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "serve/exposition.h"

#define MOST_REQUEST_SERIES 4096 /* of (protocol, route, model, status) */
#define MOST_MODEL_SERIES 512    /* some more than models can be served */
#define MOST_FAULT_SERIES 1024   /* of (protocol, kind) */
#define CPU_WINDOW_NS 1000000000u

/* ---- buckets ---- */

static const hd_buckets seconds = {
    .n = 19,
    .bounds = {50000, 100000, 200000, 500000, 1000000, 2000000, 5000000, 10000000, 20000000, 50000000, 100000000, 200000000,
               500000000, 1000000000, 2000000000, 5000000000, 10000000000, 30000000000, 60000000000},
    .unit = 1e-9,
};

/* Made once by open: growth by 1.5 from 15 µs, powers of two. */
typedef struct tei_buckets {
    hd_buckets seconds, length, batch_texts, batch_tokens;
} tei_buckets;

static void make_powers(hd_buckets *buckets, size_t n)
{
    buckets->n = n;
    buckets->unit = 1.0;
    for (size_t i = 0; i < n; i++)
        buckets->bounds[i] = (uint64_t)1 << i;
    hd__buckets_init(buckets);
}

static void make_tei_buckets(tei_buckets *tei)
{
    double bound_ns = 15000.0;
    tei->seconds.n = 35;
    tei->seconds.unit = 1e-9;
    for (size_t i = 0; i < tei->seconds.n; i++, bound_ns *= 1.5)
        tei->seconds.bounds[i] = (uint64_t)(bound_ns + 0.5);
    hd__buckets_init(&tei->seconds);
    make_powers(&tei->length, 18); /* to the longest sequence that any model takes */
    make_powers(&tei->batch_texts, 13);
    make_powers(&tei->batch_tokens, 21);
}

/* ---- what is counted ---- */

enum { PHASE_BODY, PHASE_READ, PHASE_TOKENIZE, PHASE_QUEUE, PHASE_COMPUTE, PHASE_WRITE, PHASE_SEND, N_PHASES };
static const char *const phase_names[N_PHASES] = {"body", "read", "tokenize", "queue", "compute", "write", "send"};

typedef struct model_series {
    hd_counter n_inputs, n_cached, n_tokens, n_characters;
    hd_histogram phases[N_PHASES];
    hd_histogram request_inputs, request_tokens;
} model_series;

typedef struct request_series {
    hd_histogram duration;
} request_series;

/* In the order of HD_SEARCH_*. */
static const char *const search_parts[HD_SEARCH_PARTS] = {"embed", "bm25", "dense", "sparse", "multi", "rerank", "total"};

enum { TEI_TOTAL, TEI_TOKENIZE, TEI_QUEUE, TEI_COMPUTE, TEI_TIMES };
static const char *const tei_times[TEI_TIMES] = {"duration", "tokenization_duration", "queue_duration",
                                                 "inference_duration"};

enum { TEI_REQUEST, TEI_EMBED, TEI_PREDICT, TEI_KINDS };
static const char *const tei_kinds[TEI_KINDS] = {"request", "embed", "predict"};

enum {
    TEI_BATCH_SIZE,
    TEI_DROPPED,
    TEI_INFERENCE,
    TEI_MISSING_VALUES,
    TEI_MODEL_TYPE,
    TEI_OVERLOADED,
    TEI_TOKENIZATION,
    TEI_VALIDATION,
    TEI_ERRORS
};
static const char *const tei_errors[TEI_ERRORS] = {"batch_size", "dropped",    "inference",    "missing_values",
                                                   "model_type", "overloaded", "tokenization", "validation"};

typedef struct tei_series {
    hd_counter count[2], success[2]; /* of requests: [single, batch] */
    hd_counter failure[TEI_ERRORS];
    hd_counter texts[TEI_KINDS], texts_done[TEI_KINDS]; /* of TEI_EMBED and TEI_PREDICT */
    hd_histogram times[TEI_KINDS][TEI_TIMES];
    hd_histogram input_length;
    hd_histogram batch_texts, batch_tokens; /* with look_lock */
} tei_series;

struct hd_metrics {
    hd_metrics_options options;
    tei_buckets tei_buckets;
    hd_buckets seconds_buckets;
    hd_buckets counts_buckets; /* of inputs and tokens in a request */
    tei_series tei;
    hd_histogram searches[HD_SEARCH_PARTS];
    hd_series_table *requests, *models, *faults;
    hd_counter n_body_bytes, n_response_bytes, n_aborted;

    pthread_mutex_t look_lock; /* guards what is below: two may ask at once */
    uint64_t seen_batches, seen_batch_texts, seen_batch_tokens;
    uint64_t cpu_from_ns, cpu_from_used_ns; /* the window over which the CPU share is */
    double cpu_share;
};

static uint64_t cpu_used_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

hd_status hd__metrics_open(const hd_metrics_options *options, hd_metrics **metrics_out, hd_error *err)
{
    hd_metrics *m = hd__calloc(1, sizeof *m);
    if (m == NULL)
        return hd__fail(err, HD_ERR_MEMORY, "no memory for the metrics");
    m->options = *options;
    m->seconds_buckets = seconds;
    hd__buckets_init(&m->seconds_buckets);
    make_tei_buckets(&m->tei_buckets);
    make_powers(&m->counts_buckets, 21);
    pthread_mutex_init(&m->look_lock, NULL);
    m->cpu_from_ns = hd__now_ns();
    m->cpu_from_used_ns = cpu_used_ns();
    hd_status status = hd__series_open(4, sizeof(request_series), MOST_REQUEST_SERIES, &m->requests, err);
    if (status == HD_OK)
        status = hd__series_open(1, sizeof(model_series), MOST_MODEL_SERIES, &m->models, err);
    if (status == HD_OK)
        status = hd__series_open(2, sizeof(hd_counter), MOST_FAULT_SERIES, &m->faults, err);
    if (status != HD_OK) {
        hd__metrics_close(m);
        return status;
    }
    *metrics_out = m;
    return HD_OK;
}

void hd__metrics_close(hd_metrics *m)
{
    if (m == NULL)
        return;
    hd__series_close(m->requests);
    hd__series_close(m->models);
    hd__series_close(m->faults);
    pthread_mutex_destroy(&m->look_lock);
    hd__free(m);
}

/* ---- counting ---- */

static uint64_t between(uint64_t from_ns, uint64_t to_ns)
{
    return from_ns != 0 && to_ns > from_ns ? to_ns - from_ns : 0;
}

static uint64_t duration_ns(const hd_http_record *r)
{
    return between(r->start_ns, r->sent_ns != 0 ? r->sent_ns : r->handled_ns);
}

static void count_model(hd_metrics *m, const hd_http_record *r)
{
    model_series *s = hd__series_at(m->models, (const char *const[]){r->model});
    const uint64_t phases[N_PHASES] = {
        [PHASE_BODY] = between(r->start_ns, r->body_ns),
        [PHASE_READ] = r->read_ns,
        [PHASE_TOKENIZE] = r->tokenize_ns,
        [PHASE_QUEUE] = r->queue_ns,
        [PHASE_COMPUTE] = r->compute_ns,
        [PHASE_WRITE] = r->write_ns,
        [PHASE_SEND] = between(r->handled_ns, r->sent_ns),
    };
    for (size_t i = 0; i < N_PHASES; i++)
        hd__histogram_add(&s->phases[i], &m->seconds_buckets, phases[i], 1);
    hd__histogram_add(&s->request_inputs, &m->counts_buckets, r->n_inputs, 1);
    hd__histogram_add(&s->request_tokens, &m->counts_buckets, r->n_tokens, 1);
    hd__counter_add(&s->n_inputs, r->n_inputs);
    hd__counter_add(&s->n_cached, r->n_cached);
    hd__counter_add(&s->n_tokens, r->n_tokens);
    hd__counter_add(&s->n_characters, r->n_characters);
}

/* What TEI would have called it; TEI_ERRORS for what it does not count: a request that reached no handler of its. */
static size_t tei_error(hd_fault_kind kind)
{
    switch (kind) {
    case HD_FAULT_INPUTS: return TEI_BATCH_SIZE;
    case HD_FAULT_CANCELLED: return TEI_DROPPED;
    case HD_FAULT_MISSING: return TEI_MISSING_VALUES;
    case HD_FAULT_MODEL:
    case HD_FAULT_UNSUPPORTED: return TEI_MODEL_TYPE;
    case HD_FAULT_OVERLOADED: return TEI_OVERLOADED;
    case HD_FAULT_TYPE:
    case HD_FAULT_VALUE:
    case HD_FAULT_EMPTY:
    case HD_FAULT_TOKENS: return TEI_VALIDATION;
    case HD_FAULT_DEADLINE:
    case HD_FAULT_LOADING:
    case HD_FAULT_STOPPING:
    case HD_FAULT_MEMORY:
    case HD_FAULT_LOAD:
    case HD_FAULT_NUMERIC:
    case HD_FAULT_INTERNAL: return TEI_INFERENCE;
    default: return TEI_ERRORS;
    }
}

/* TEI_KINDS for tasks that compute nothing. */
static size_t tei_kind(const char *task)
{
    static const struct {
        const char *task;
        size_t kind;
    } kinds[] = {
        {"embed", TEI_EMBED},    {"embed_all", TEI_EMBED},  {"sparse", TEI_EMBED},
        {"rerank", TEI_PREDICT}, {"classify", TEI_PREDICT},
    };
    for (size_t i = 0; task != NULL && i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(kinds[i].task, task) == 0)
            return kinds[i].kind;
    return TEI_KINDS;
}

static void count_tei(hd_metrics *m, const hd_http_record *r)
{
    tei_series *s = &m->tei;
    const size_t kind = tei_kind(r->task);
    const size_t error = r->fault != HD_FAULT_NONE && r->route != NULL ? tei_error(r->fault) : TEI_ERRORS;
    if (error < TEI_ERRORS)
        hd__counter_add(&s->failure[error], 1);
    if (kind == TEI_KINDS)
        return;
    const size_t method = r->n_inputs > 1 || strcmp(r->task, "rerank") == 0;
    hd__counter_add(&s->count[method], 1);
    hd__counter_add(&s->texts[kind], r->n_inputs);
    if (r->fault != HD_FAULT_NONE)
        return;
    hd__counter_add(&s->success[method], 1);
    hd__counter_add(&s->texts_done[kind], r->n_inputs);
    const uint64_t times[TEI_TIMES] = {duration_ns(r), r->tokenize_ns, r->queue_ns, r->compute_ns};
    for (size_t i = 0; i < TEI_TIMES; i++) {
        hd__histogram_add(&s->times[TEI_REQUEST][i], &m->tei_buckets.seconds, times[i], 1);
        hd__histogram_add(&s->times[kind][i], &m->tei_buckets.seconds, times[i], r->n_inputs);
    }
    /* The sum must be exact: the first texts get what the mean leaves over. */
    const uint64_t n = r->n_inputs, mean = n > 0 ? r->n_tokens / n : 0, over = n > 0 ? r->n_tokens % n : 0;
    hd__histogram_add(&s->input_length, &m->tei_buckets.length, mean + 1, over);
    hd__histogram_add(&s->input_length, &m->tei_buckets.length, mean, n - over);
}

/* One observation for each search; of a request with several, their mean. */
static void count_searches(hd_metrics *m, const hd_http_record *r)
{
    for (size_t i = 0; i < HD_SEARCH_PARTS && r->n_searches > 0; i++)
        if (r->search_ns[i] > 0)
            hd__histogram_add(&m->searches[i], &m->seconds_buckets, r->search_ns[i] / r->n_searches, r->n_searches);
}

void hd__metrics_count(const hd_exchange *exchange, void *data)
{
    hd_metrics *m = data;
    const hd_http_record *r = &exchange->record;
    const int code = exchange->response.status; /* 0: nothing was answered */
    const char status[4] = {(char)('0' + code / 100 % 10), (char)('0' + code / 10 % 10), (char)('0' + code % 10), '\0'};
    request_series *s = hd__series_at(m->requests, (const char *const[]){r->dialect, r->route, r->model, status});
    hd__histogram_add(&s->duration, &m->seconds_buckets, duration_ns(r), 1);
    hd__counter_add(&m->n_body_bytes, r->n_body_bytes);
    hd__counter_add(&m->n_response_bytes, r->n_response_bytes);
    hd__counter_add(&m->n_aborted, r->aborted);
    if (r->fault != HD_FAULT_NONE)
        hd__counter_add(hd__series_at(m->faults, (const char *const[]){r->dialect, hd__fault_name(r->fault)}), 1);
    else if (r->model != NULL && r->n_inputs > 0)
        count_model(m, r);
    count_searches(m, r);
    count_tei(m, r);
}

/* ---- showing: requests ---- */

static void show_uint(hd_buffer *out, const char *name, const char *type, const char *help, uint64_t value)
{
    hd__expose_family(out, name, type, help);
    hd__expose_uint(out, name, NULL, 0, value);
}

static void show_real(hd_buffer *out, const char *name, const char *type, const char *help, double value)
{
    hd__expose_family(out, name, type, help);
    hd__expose_real(out, name, NULL, 0, value);
}

static void show_requests(const hd_metrics *m, hd_buffer *out)
{
    const char *const *labels;
    const char *name = "heddle_request_duration_seconds";
    hd__expose_family(out, name, "histogram", "From a request's headers to its response sent, by outcome.");
    const request_series *s;
    for (size_t at = 0; (s = hd__series_next(m->requests, &at, &labels)) != NULL;) {
        const hd_label shown[] = {
            {"protocol", labels[0]}, {"route", labels[1]}, {"model", labels[2]}, {"status", labels[3]}};
        hd__expose_histogram(out, name, shown, 4, &m->seconds_buckets, &s->duration);
    }
    name = "heddle_request_errors_total";
    hd__expose_family(out, name, "counter", "Requests that failed, by what went wrong.");
    const hd_counter *n;
    for (size_t at = 0; (n = hd__series_next(m->faults, &at, &labels)) != NULL;) {
        const hd_label shown[] = {{"protocol", labels[0]}, {"kind", labels[1]}};
        hd__expose_uint(out, name, shown, 2, hd__counter_get(n));
    }
    show_uint(out, "heddle_request_body_bytes_total", "counter", "Bytes of request bodies, as on the wire.",
              hd__counter_get(&m->n_body_bytes));
    show_uint(out, "heddle_response_body_bytes_total", "counter", "Bytes of response bodies, as on the wire.",
              hd__counter_get(&m->n_response_bytes));
    show_uint(out, "heddle_requests_aborted_total", "counter", "Requests whose client went away before the end.",
              hd__counter_get(&m->n_aborted));
}

static void show_phases(const hd_metrics *m, hd_buffer *out)
{
    const char *const *labels;
    const char *name = "heddle_phase_duration_seconds";
    hd__expose_family(out, name, "histogram",
                      "Parts of answered requests: body (receiving), read (parsing), tokenize, queue, compute, write "
                      "(serialising), send.");
    const model_series *s;
    for (size_t at = 0; (s = hd__series_next(m->models, &at, &labels)) != NULL;)
        for (size_t i = 0; i < N_PHASES; i++) {
            const hd_label shown[] = {{"model", labels[0]}, {"phase", phase_names[i]}};
            hd__expose_histogram(out, name, shown, 2, &m->seconds_buckets, &s->phases[i]);
        }
}

static void show_models(const hd_metrics *m, hd_buffer *out)
{
    static const struct {
        const char *name, *help;
        size_t offset;
        bool is_histogram;
    } families[] = {
        {"heddle_inputs_total", "Texts of answered requests.", offsetof(model_series, n_inputs), false},
        {"heddle_cached_inputs_total", "Of these, answered from the vector cache.", offsetof(model_series, n_cached), false},
        {"heddle_tokens_total", "Tokens of answered requests, cached ones too.", offsetof(model_series, n_tokens), false},
        {"heddle_characters_total", "Characters of answered requests.", offsetof(model_series, n_characters), false},
        {"heddle_request_inputs", "Texts in one request.", offsetof(model_series, request_inputs), true},
        {"heddle_request_tokens", "Tokens in one request.", offsetof(model_series, request_tokens), true},
    };
    for (size_t f = 0; f < sizeof families / sizeof *families; f++) {
        const char *const *labels, *name = families[f].name;
        hd__expose_family(out, name, families[f].is_histogram ? "histogram" : "counter", families[f].help);
        const char *s;
        for (size_t at = 0; (s = hd__series_next(m->models, &at, &labels)) != NULL;) {
            const hd_label model = {"model", labels[0]};
            if (families[f].is_histogram)
                hd__expose_histogram(out, name, &model, 1, &m->counts_buckets, (const void *)(s + families[f].offset));
            else
                hd__expose_uint(out, name, &model, 1, hd__counter_get((const void *)(s + families[f].offset)));
        }
    }
}

/* ---- showing: what others know ---- */

static void show_engine(const hd_metrics *m, const hd_engine_stats *e, hd_buffer *out)
{
    const struct {
        const char *name, *type, *help;
        uint64_t value;
    } families[] = {
        {"heddle_engine_texts_total", "counter", "Texts computed, cache hits not counted.", e->n_texts},
        {"heddle_engine_tokens_total", "counter", "Tokens computed, cache hits not counted.", e->n_tokens},
        {"heddle_engine_shared_texts_total", "counter", "Texts given the vector of an equal one in flight.", e->n_shared},
        {"heddle_batches_total", "counter", "Passes through a model.", e->n_batches},
        {"heddle_batch_texts_total", "counter", "Texts in all passes.", e->n_batch_texts},
        {"heddle_batch_tokens_total", "counter", "Tokens in all passes.", e->n_batch_tokens},
        {"heddle_batch_capacity_tokens_total", "counter", "Tokens that all passes had room for.", e->n_batch_capacity},
        {"heddle_queue_texts", "gauge", "Texts waiting for a worker.", e->queue_texts},
        {"heddle_queue_tokens", "gauge", "Tokens waiting for a worker.", e->queue_tokens},
        {"heddle_queue_limit_tokens", "gauge", "Above so many waiting tokens requests are refused; 0: never.",
         m->options.max_queue_tokens},
        {"heddle_cache_hits_total", "counter", "Texts found in the vector cache.", e->cache_hits},
        {"heddle_cache_misses_total", "counter", "Texts looked for in the vector cache and not found.", e->cache_misses},
        {"heddle_cache_entries", "gauge", "Vectors in the cache.", e->cache_entries},
        {"heddle_cache_bytes", "gauge", "Memory of the cache.", e->cache_used_bytes},
        {"heddle_weights_bytes", "gauge", "Weights of the loaded models.", e->weights_bytes},
        {"heddle_scratch_bytes", "gauge", "Memory of the workers' activations.", e->scratch_bytes},
        {"heddle_models_loaded", "gauge", "Models that are loaded.", e->n_models_loaded},
        {"heddle_workers", "gauge", "Worker threads.", e->n_threads},
    };
    for (size_t i = 0; i < sizeof families / sizeof *families; i++)
        show_uint(out, families[i].name, families[i].type, families[i].help, families[i].value);
    show_real(out, "heddle_batch_fill_ratio", "gauge", "Part of the passes' room that held tokens, since the start.",
              e->n_batch_capacity > 0 ? (double)e->n_batch_tokens / (double)e->n_batch_capacity : 0.0);
    const uint64_t asked = e->cache_hits + e->cache_misses;
    show_real(out, "heddle_cache_hit_ratio", "gauge", "Part of the lookups that the cache answered, since the start.",
              asked > 0 ? (double)e->cache_hits / (double)asked : 0.0);
}

/* Of the vectors shared with other processes; nothing where they are not. */
static void show_store(const hd_engine_stats *e, hd_buffer *out)
{
    const struct {
        const char *name, *type, *help;
        uint64_t value;
    } families[] = {
        {"heddle_store_connected", "gauge", "1 while the shared store of vectors can be asked.", e->store_connected},
        {"heddle_store_hits_total", "counter", "Texts found in the shared store.", e->store_hits},
        {"heddle_store_misses_total", "counter", "Texts asked for in the shared store and not found, or not in time.",
         e->store_misses},
        {"heddle_store_puts_total", "counter", "Vectors that the shared store took.", e->store_puts},
        {"heddle_store_dropped_total", "counter", "Vectors that it did not take.", e->store_dropped},
        {"heddle_store_invalid_total", "counter", "Values in it that are no vectors.", e->store_invalid},
        {"heddle_store_failures_total", "counter", "Connections lost, answers too late and errors of the shared store.",
         e->store_failures},
    };
    for (size_t i = 0; e->has_store && i < sizeof families / sizeof *families; i++)
        show_uint(out, families[i].name, families[i].type, families[i].help, families[i].value);
}

static void show_index(const hd_metrics *m, const hd_index_stats *s, hd_buffer *out)
{
    const struct {
        const char *name, *help;
        uint64_t value;
    } families[] = {
        {"heddle_index_documents", "Documents in the index.", s->n_documents},
        {"heddle_index_chunks", "Their passages.", s->n_chunks},
        {"heddle_index_dead_chunks", "Passages of documents that are gone, until compaction.", s->n_dead_chunks},
        {"heddle_index_graph_chunks", "Passages that the graph of vectors covers.", s->n_graph},
        {"heddle_index_file_bytes", "Size of the index on the disk.", s->file_bytes},
        {"heddle_index_memory_bytes", "Memory that the index holds.", s->memory_bytes},
    };
    const char *name = "heddle_search_seconds";
    hd__expose_family(out, name, "histogram", "Parts of searches: embed (the query's vector), each leg, total.");
    for (size_t i = 0; i < HD_SEARCH_PARTS; i++)
        hd__expose_histogram(out, name, &(hd_label){"leg", search_parts[i]}, 1, &m->seconds_buckets, &m->searches[i]);
    for (size_t i = 0; i < sizeof families / sizeof *families; i++)
        show_uint(out, families[i].name, "gauge", families[i].help, families[i].value);
}

static void show_states(const hd_metrics *m, const hd_metrics_sample *sample, hd_buffer *out)
{
    hd__expose_family(out, "heddle_model_state", "gauge", "1 for the state that a model is in, 0 for the others.");
    for (size_t i = 0; i < sample->n_models; i++)
        for (const char *const *state = m->options.states; *state != NULL; state++) {
            const hd_label shown[] = {{"model", sample->models[i].name}, {"state", *state}};
            hd__expose_uint(out, "heddle_model_state", shown, 2, strcmp(*state, sample->models[i].state) == 0);
        }
    hd__expose_family(out, "heddle_model_weights_bytes", "gauge", "Weights of a model while it is loaded.");
    for (size_t i = 0; i < sample->n_models; i++) {
        const hd_label model = {"model", sample->models[i].name};
        hd__expose_uint(out, "heddle_model_weights_bytes", &model, 1, sample->models[i].weights_bytes);
    }
}

static void show_devices(const hd_metrics_sample *sample, hd_buffer *out)
{
    static const struct {
        const char *name, *type, *help;
        size_t offset; /* of the uint64_t in hd_device_info */
    } families[] = {
        {"heddle_device_batches_total", "counter", "Passes on a GPU.", offsetof(hd_device_info, n_batches)},
        {"heddle_device_replayed_total", "counter", "Those of them whose operations were called at once, as a graph.",
         offsetof(hd_device_info, n_replayed)},
        {"heddle_device_texts_total", "counter", "Texts computed on a GPU.", offsetof(hd_device_info, n_texts)},
        {"heddle_device_out_of_memory_total", "counter", "Passes that a GPU had too little memory for.",
         offsetof(hd_device_info, n_out_of_memory)},
        {"heddle_device_failures_total", "counter", "Passes that failed on a GPU, which was then opened anew.",
         offsetof(hd_device_info, n_failures)},
        {"heddle_device_returned_texts_total", "counter", "Texts of those passes: computed later, or on the CPU.",
         offsetof(hd_device_info, n_returned)},
        {"heddle_device_memory_bytes", "gauge", "Memory of a GPU.", offsetof(hd_device_info, memory_bytes)},
        {"heddle_device_memory_free_bytes", "gauge", "What is free of it.", offsetof(hd_device_info, free_bytes)},
        {"heddle_device_memory_used_bytes", "gauge", "What Heddle uses of it.", offsetof(hd_device_info, used_bytes)},
    };
    if (sample->n_devices == 0)
        return;
    hd__expose_family(out, "heddle_device_up", "gauge", "1 for a GPU that works, 0 for one that failed and is tried again.");
    for (size_t i = 0; i < sample->n_devices; i++) {
        const hd_device_info *d = &sample->devices[i];
        const hd_label shown[] = {{"device", d->name}, {"hardware", d->hardware}, {"driver", d->driver}};
        hd__expose_uint(out, "heddle_device_up", shown, 3, d->is_up);
    }
    for (size_t k = 0; k < sizeof families / sizeof *families; k++) {
        hd__expose_family(out, families[k].name, families[k].type, families[k].help);
        for (size_t i = 0; i < sample->n_devices; i++) {
            const hd_label device = {"device", sample->devices[i].name};
            uint64_t value;
            memcpy(&value, (const char *)&sample->devices[i] + families[k].offset, sizeof value);
            hd__expose_uint(out, families[k].name, &device, 1, value);
        }
    }
}

/* What computes: the GPUs that work, of which the first is named, or the CPU. */
static const char *device_of(const hd_metrics *m, const hd_metrics_sample *sample)
{
    for (size_t i = 0; i < sample->n_devices; i++) {
        if (sample->devices[i].is_up)
            return sample->devices[i].hardware;
    }
    return m->options.device;
}

static void show_server(const hd_metrics *m, const hd_metrics_sample *sample, hd_buffer *out)
{
    const hd_label build[] = {{"version", m->options.version}, {"device", device_of(m, sample)}};
    hd__expose_family(out, "heddle_build_info", "gauge", "1; what runs here.");
    hd__expose_uint(out, "heddle_build_info", build, 2, 1);
    show_uint(out, "heddle_ready", "gauge", "1 while requests are taken and what has to be loaded is.", sample->ready);
    show_uint(out, "heddle_connections", "gauge", "Open connections.", sample->server.n_connections);
    show_uint(out, "heddle_connections_total", "counter", "Connections accepted.", sample->server.n_accepted);
    show_uint(out, "heddle_requests_in_flight", "gauge", "Requests being answered.", sample->server.n_in_flight);
    show_uint(out, "heddle_bodies_bytes", "gauge", "Request bodies in memory.", sample->server.bodies_bytes);

    const hd_traces_stats *t = &sample->traces;
    show_uint(out, "heddle_traces_exported_total", "counter", "Requests whose spans the collector took.", t->n_exported);
    hd__expose_family(out, "heddle_traces_dropped_total", "counter",
                      "Requests whose spans are lost: queue (full), export (the collector was away or refused them).");
    hd__expose_uint(out, "heddle_traces_dropped_total", &(hd_label){"reason", "queue"}, 1, t->n_dropped_queue);
    hd__expose_uint(out, "heddle_traces_dropped_total", &(hd_label){"reason", "export"}, 1, t->n_dropped_export);
    show_uint(out, "heddle_trace_spans_rejected_total", "counter", "Spans that the collector took notice of and refused.",
              t->n_rejected_spans);
}

/* ---- showing: the process ---- */

/* Sizes in bytes from /proc/self/statm (proc(5)); zeroes where there is none. */
static void memory_sizes(uint64_t *virtual_bytes, uint64_t *resident_bytes)
{
    unsigned long long virtual_pages = 0, resident_pages = 0;
    FILE *f = fopen("/proc/self/statm", "re");
    if (f != NULL) {
        if (fscanf(f, "%llu %llu", &virtual_pages, &resident_pages) != 2)
            virtual_pages = resident_pages = 0;
        fclose(f);
    }
    const uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    *virtual_bytes = virtual_pages * page;
    *resident_bytes = resident_pages * page;
}

/* Over the last whole window, or since the last one ended when that is longer ago. With look_lock. */
static double cpu_share(hd_metrics *m, uint64_t used_ns)
{
    const uint64_t now_ns = hd__now_ns();
    if (now_ns - m->cpu_from_ns >= CPU_WINDOW_NS) {
        const double could_ns = (double)(now_ns - m->cpu_from_ns) * (double)(m->options.n_cpus > 0 ? m->options.n_cpus : 1);
        m->cpu_share = (double)(used_ns - m->cpu_from_used_ns) / could_ns;
        m->cpu_from_ns = now_ns;
        m->cpu_from_used_ns = used_ns;
    }
    return m->cpu_share;
}

static void show_process(hd_metrics *m, hd_buffer *out)
{
    uint64_t virtual_bytes, resident_bytes;
    const uint64_t used_ns = cpu_used_ns();
    struct rlimit fds = {0};
    memory_sizes(&virtual_bytes, &resident_bytes);
    getrlimit(RLIMIT_NOFILE, &fds);
    show_real(out, "process_cpu_seconds_total", "counter", "CPU time used, user and system.", (double)used_ns * 1e-9);
    show_uint(out, "process_resident_memory_bytes", "gauge", "Memory in use (RSS).", resident_bytes);
    show_uint(out, "process_virtual_memory_bytes", "gauge", "Address space in use.", virtual_bytes);
    show_uint(out, "process_start_time_seconds", "gauge", "Unix time of the start.", m->options.start_s);
    show_uint(out, "process_max_fds", "gauge", "Most file descriptors that may be open.", (uint64_t)fds.rlim_cur);
    show_uint(out, "heddle_cpus", "gauge", "Processors that this process may use.", m->options.n_cpus);
    show_real(out, "heddle_cpu_share", "gauge", "Part of these in use, over the last second or since the last look.",
              cpu_share(m, used_ns));
}

/* ---- showing: te_* ---- */

/* What passed through the models since the last look, as batches of the mean size. With look_lock. */
static void add_batches(hd_metrics *m, const hd_engine_stats *e)
{
    const uint64_t n = e->n_batches - m->seen_batches;
    if (e->n_batches <= m->seen_batches)
        return;
    const struct {
        hd_histogram *histogram;
        const hd_buckets *buckets;
        uint64_t sum;
    } parts[] = {
        {&m->tei.batch_texts, &m->tei_buckets.batch_texts, e->n_batch_texts - m->seen_batch_texts},
        {&m->tei.batch_tokens, &m->tei_buckets.batch_tokens, e->n_batch_tokens - m->seen_batch_tokens},
    };
    for (size_t i = 0; i < 2; i++) {
        hd__histogram_add(parts[i].histogram, parts[i].buckets, parts[i].sum / n + 1, parts[i].sum % n);
        hd__histogram_add(parts[i].histogram, parts[i].buckets, parts[i].sum / n, n - parts[i].sum % n);
    }
    m->seen_batches = e->n_batches;
    m->seen_batch_texts = e->n_batch_texts;
    m->seen_batch_tokens = e->n_batch_tokens;
}

static void show_tei_counters(const tei_series *s, hd_buffer *out)
{
    static const char *const methods[2] = {"single", "batch"};
    hd__expose_family(out, "te_request_count", "counter", "Requests that ask for something to be computed.");
    for (size_t i = 0; i < 2; i++)
        hd__expose_uint(out, "te_request_count", &(hd_label){"method", methods[i]}, 1, hd__counter_get(&s->count[i]));
    hd__expose_family(out, "te_request_success", "counter", "Of these, answered.");
    for (size_t i = 0; i < 2; i++)
        hd__expose_uint(out, "te_request_success", &(hd_label){"method", methods[i]}, 1, hd__counter_get(&s->success[i]));
    hd__expose_family(out, "te_request_failure", "counter", "Requests that failed.");
    for (size_t i = 0; i < TEI_ERRORS; i++)
        hd__expose_uint(out, "te_request_failure", &(hd_label){"err", tei_errors[i]}, 1, hd__counter_get(&s->failure[i]));
    for (size_t kind = TEI_EMBED; kind < TEI_KINDS; kind++) {
        char name[64];
        snprintf(name, sizeof name, "te_%s_count", tei_kinds[kind]);
        show_uint(out, name, "counter", "Texts asked for.", hd__counter_get(&s->texts[kind]));
        snprintf(name, sizeof name, "te_%s_success", tei_kinds[kind]);
        show_uint(out, name, "counter", "Texts answered.", hd__counter_get(&s->texts_done[kind]));
    }
}

static void show_tei(const hd_metrics *m, const hd_engine_stats *e, hd_buffer *out)
{
    const tei_series *s = &m->tei;
    show_tei_counters(s, out);
    for (size_t kind = 0; kind < TEI_KINDS; kind++)
        for (size_t i = 0; i < TEI_TIMES; i++) {
            char name[64];
            snprintf(name, sizeof name, "te_%s_%s", tei_kinds[kind], tei_times[i]);
            hd__expose_family(out, name, "histogram", "Seconds, of what was answered.");
            hd__expose_histogram(out, name, NULL, 0, &m->tei_buckets.seconds, &s->times[kind][i]);
        }
    hd__expose_family(out, "te_request_input_length", "histogram", "Tokens of a text; buckets hold its request's mean.");
    hd__expose_histogram(out, "te_request_input_length", NULL, 0, &m->tei_buckets.length, &s->input_length);
    hd__expose_family(out, "te_batch_next_size", "histogram", "Texts of a batch; buckets hold means between looks.");
    hd__expose_histogram(out, "te_batch_next_size", NULL, 0, &m->tei_buckets.batch_texts, &s->batch_texts);
    hd__expose_family(out, "te_batch_next_tokens", "histogram", "Tokens of a batch; buckets hold means between looks.");
    hd__expose_histogram(out, "te_batch_next_tokens", NULL, 0, &m->tei_buckets.batch_tokens, &s->batch_tokens);
    show_uint(out, "te_queue_size", "gauge", "Texts waiting.", e->queue_texts);
}

void hd__metrics_write(hd_metrics *m, hd_arena *arena, hd_http_response *response)
{
    hd_metrics_sample sample = {0};
    hd_buffer *out = &response->body;
    m->options.look(&sample, arena, m->options.data);
    response->status = 200;
    response->content_type = HD_EXPOSITION_CONTENT_TYPE;
    show_requests(m, out);
    show_phases(m, out);
    show_models(m, out);
    show_engine(m, &sample.engine, out);
    show_store(&sample.engine, out);
    if (sample.has_index)
        show_index(m, &sample.index, out);
    show_states(m, &sample, out);
    show_devices(&sample, out);
    show_server(m, &sample, out);
    pthread_mutex_lock(&m->look_lock);
    add_batches(m, &sample.engine);
    show_process(m, out);
    show_tei(m, &sample.engine, out);
    pthread_mutex_unlock(&m->look_lock);
}
