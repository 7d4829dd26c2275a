/* model.c - a model's life: registered, loaded at first use by one thread while others wait, unloaded when idle. */
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "engine/device_memory.h"
#include "engine/model_tokenizer.h"
#include "model/locate.h"

#define SECOND_NS 1000000000ull

static _Atomic uint64_t last_id;

static const char *dtype_name(hd_dtype dtype)
{
    static const char *const names[] = {[HD_DTYPE_F32] = "f32",
                                        [HD_DTYPE_BF16] = "bf16",
                                        [HD_DTYPE_INT8] = "int8",
                                        [HD_DTYPE_F16] = "f16",
                                        [HD_DTYPE_FP8] = "fp8"};
    return names[dtype];
}

/* What the CPU has in its place. */
static hd_dtype dtype_of_cpu(hd_dtype dtype)
{
    return dtype == HD_DTYPE_F16 || dtype == HD_DTYPE_FP8 ? HD_DTYPE_F32 : dtype;
}

static k_type type_of(hd_dtype dtype)
{
    const hd_dtype own = dtype_of_cpu(dtype);
    return own == HD_DTYPE_F32 ? K_F32 : own == HD_DTYPE_BF16 ? K_BF16 : K_I8;
}

/* What AUTO means to this machine's CPU. */
static hd_dtype resolve(hd_dtype dtype)
{
    hd_kernels kernels;
    hd__kernels_fill(&kernels);
    return dtype != HD_DTYPE_AUTO ? dtype : kernels.bf16_native ? HD_DTYPE_BF16 : HD_DTYPE_F32;
}

/* <cache>/packed/<hash of the folder's path, and of an adapter's>-<dtype>.heddle, and -tokenizer.heddle */
static hd_status packed_paths(hd_model *m, hd_error *err)
{
    if (!m->engine->use_packed)
        return HD_OK;
    const char *cache = m->engine->cache_dir;
    if (cache == NULL) {
        const hd_status status = hd__cache_dir(&m->arena, &cache, err);
        if (status == HD_ERR_NOT_FOUND) { /* which a model that is here can do without */
            hd__log(HD_LOG_WARN,
                    "%s: packed weights are not kept: no variable says where (HEDDLE_CACHE, XDG_CACHE_HOME, HOME)", m->name);
            return HD_OK;
        }
        HD_TRY(status);
    }
    const hd_settings *s = &m->settings;
    unsigned long long dir_hash = hd__hash64(hd__span_of(s->dir), 0);
    const unsigned long long tokenizer_hash = hd__hash64(hd__span_of(s->tokenizer_dir), 0);
    if (s->adapter_dir != NULL)
        dir_hash = hd__hash64(hd__span_of(s->adapter_dir), dir_hash);
    m->packed_path = hd__arena_printf(&m->arena, "%s/packed/%016llx-%s%s.heddle", cache, dir_hash,
                                      dtype_name(dtype_of_cpu(m->dtype)), m->documents != NULL ? "-queries" : "");
    m->tokenizer_path = hd__arena_printf(&m->arena, "%s/packed/%016llx-tokenizer.heddle", cache, tokenizer_hash);
    return m->packed_path != NULL && m->tokenizer_path != NULL ? HD_OK
                                                               : hd__fail(err, HD_ERR_MEMORY, "%s: no memory", m->name);
}

/* Values of a vector as the last module gives it. */
static uint32_t width_of(const hd_settings *s)
{
    return s->n_dense > 0 ? s->dense[s->n_dense - 1].n_out : s->hidden * (uint32_t)__builtin_popcount(s->pooling);
}

static void fill_info(hd_model *m, const char *path)
{
    const hd_settings *s = &m->settings;
    uint32_t n = width_of(s);
    if (s->truncate_dim > 0 && s->truncate_dim < n)
        n = s->truncate_dim;
    m->info = (hd_model_info){
        .name = m->name,
        .path = path,
        .base_path = s->adapter_dir != NULL && s->adapter_dir != s->dir ? s->dir : NULL,
        .architecture = s->model_type,
        .pooling = hd__pooling_name(s->pooling, &m->arena),
        .similarity = s->similarity,
        .default_prompt_name = s->default_prompt_name,
        .dtype = m->dtype,
        .heads = s->heads | HD_HEAD_TOKENS,
        .n_dimensions = (s->heads & HD_HEAD_DENSE) != 0 ? n : 0,
        .n_token_dimensions = s->n_token_out,
        .n_labels = s->n_labels,
        .labels = s->labels,
        .reranks = s->n_labels == 1 || (s->heads & HD_HEAD_MULTI) != 0,
        .max_length = s->max_length,
        .n_layers = s->n_layers,
        .hidden_size = s->hidden,
        .n_heads = s->n_heads,
        .n_prompts = s->n_prompts,
        .n_tasks = s->n_tasks,
        .tasks = s->tasks,
        .has_sides = s->has_sides,
        .n_query_tasks = s->n_tasks,
        .query_tasks = s->tasks,
        .normalizes = s->normalize,
        .flops_per_token = hd__encoder_flops_per_token(s),
        .vocab_size = s->vocab_size,
    };
}

/* Pooling as the caller wants it. Dense modules take the width that the model's own pooling gives. */
static hd_status set_pooling(hd_settings *s, const char *name, hd_error *err)
{
    /* What text-embeddings-router and llama-server call poolings; here models have these heads by themselves. */
    static const struct {
        const char *name;
        hd_head head;
        const char *gives;
    } heads[] = {{"splade", HD_HEAD_SPARSE, "sparse weights"}, {"rank", HD_HEAD_SCORES, "scores"}};
    uint32_t pooling;
    for (size_t i = 0; i < sizeof heads / sizeof heads[0]; i++) {
        if (strcmp(name, heads[i].name) != 0)
            continue;
        if ((s->heads & (uint32_t)heads[i].head) != 0)
            return HD_OK;
        return hd__fail(err, HD_ERR_ARG, "pooling '%s': the model has no head that gives %s", name, heads[i].gives);
    }
    if (!hd__pooling_parse(name, &pooling))
        return hd__fail(err, HD_ERR_ARG, "pooling '%s' is not one of cls, mean, max, last, mean_sqrt_len, weighted_mean",
                        name);
    if (s->n_dense > 0 && __builtin_popcount(s->pooling) != 1)
        return hd__fail(err, HD_ERR_ARG, "pooling '%s': the model's Dense module takes several poolings at once", name);
    s->pooling = pooling;
    return HD_OK;
}

static hd_status open_settings(hd_model *m, const char *name, const hd_model_options *o, hd_error *err)
{
    const char *path;
    HD_TRY(hd__model_locate(name, m->engine->cache_dir, &m->arena, &path, err));
    HD_TRY((m->documents != NULL ? hd__settings_read_queries : hd__settings_read)(path, m->engine->cache_dir, &m->arena,
                                                                                  &m->settings, err));
    HD_TRY(hd__encoder_check(&m->settings, err));
    if (o->max_length != 0 && !(o->max_length_is_a_wish && o->max_length > m->settings.max_length)) {
        if (o->max_length > m->settings.n_positions)
            return hd__fail(err, HD_ERR_ARG, "max_length %u, the model's limit is %u", o->max_length,
                            m->settings.n_positions);
        m->settings.max_length = o->max_length;
        if (m->settings.late != NULL)
            m->settings.late->document_length = o->max_length;
        if (m->settings.query_length > o->max_length)
            m->settings.query_length = o->max_length;
    }
    if (o->pooling != NULL)
        HD_TRY(set_pooling(&m->settings, o->pooling, err));
    m->dtype = resolve(o->dtype);
    m->is_auto = o->dtype == HD_DTYPE_AUTO;
    HD_TRY(packed_paths(m, err));
    fill_info(m, path);
    return m->info.pooling != NULL ? HD_OK : hd__fail(err, HD_ERR_MEMORY, "%s: no memory", name);
}

/* documents: the model whose encoder of queries is to be opened; NULL: a model. */
static hd_status open_side(hd_engine *engine, const char *name_or_dir, const hd_model_options *o, hd_model *documents,
                           hd_model **out, hd_error *err)
{
    hd_model *m = hd__calloc(1, sizeof *m);
    if (m == NULL)
        return hd__fail(err, HD_ERR_MEMORY, "%s: no memory", name_or_dir);
    hd__arena_init(&m->arena);
    pthread_cond_init(&m->loaded, NULL);
    m->engine = engine;
    m->documents = documents;
    m->base = m;
    m->id = atomic_fetch_add(&last_id, 1) + 1;
    m->name = hd__arena_strndup(&m->arena, name_or_dir, strlen(name_or_dir));
    hd_status status =
        m->name != NULL ? open_settings(m, name_or_dir, o, err) : hd__fail(err, HD_ERR_MEMORY, "%s: no memory", name_or_dir);
    if (status != HD_OK) {
        pthread_cond_destroy(&m->loaded);
        hd__arena_clear(&m->arena);
        hd__free(m);
        return status;
    }
    pthread_mutex_lock(&engine->lock);
    m->next = engine->models;
    engine->models = m;
    pthread_mutex_unlock(&engine->lock);
    *out = m;
    return HD_OK;
}

static bool is_same_dir(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : hd__dir_is_same(a, b);
}

/* Whether both sides read the same files, but for modules behind the transformer that give vectors as wide. */
static bool share_transformer(const hd_settings *d, const hd_settings *q)
{
    return is_same_dir(d->dir, q->dir) && is_same_dir(d->tokenizer_dir, q->tokenizer_dir) &&
           is_same_dir(d->adapter_dir, q->adapter_dir) && width_of(d) == width_of(q) &&
           d->sparse_log_twice == q->sparse_log_twice && d->sparse_sums == q->sparse_sums;
}

/* The encoder of queries, whose vectors are to be compared with those of documents. */
static hd_status open_queries(hd_model *m, const hd_model_options *o, hd_error *err)
{
    hd_model *queries;
    HD_TRY(open_side(m->engine, m->name, o, m, &queries, err));
    const hd_model_info *q = &queries->info, *d = &m->info;
    const uint32_t both = HD_HEAD_DENSE | HD_HEAD_SPARSE | HD_HEAD_TOKENS;
    hd_status status = HD_OK;
    if (q->heads != d->heads || (d->heads & ~both) != 0 || m->settings.sparse_linear != NULL)
        status =
            hd__fail(err, HD_ERR_UNSUPPORTED,
                     "%s: encoders of queries and of documents with other heads than both dense or both SPLADE", m->name);
    else if (q->n_dimensions != d->n_dimensions)
        status = hd__fail(err, HD_ERR_UNSUPPORTED, "%s: vectors of %u values for queries, of %u for documents", m->name,
                          q->n_dimensions, d->n_dimensions);
    else if ((d->heads & HD_HEAD_SPARSE) != 0 && q->vocab_size != d->vocab_size)
        status = hd__fail(err, HD_ERR_UNSUPPORTED, "%s: a vocabulary of %u for queries, of %u for documents", m->name,
                          q->vocab_size, d->vocab_size);
    if (status != HD_OK) {
        hd_model_close(queries);
        return status;
    }
    if (share_transformer(&m->settings, &queries->settings)) {
        queries->base = m;
        m->settings.queries = &queries->settings;
    }
    m->queries = queries;
    m->info.n_query_tasks = q->n_tasks;
    m->info.query_tasks = q->tasks;
    return HD_OK;
}

hd_status hd_model_open(hd_engine *engine, const char *name_or_dir, const hd_model_options *options, hd_model **out,
                        hd_error *err)
{
    static const hd_model_options defaults;
    const hd_model_options *o = options != NULL ? options : &defaults;
    hd_model *m;
    if ((unsigned)o->dtype > HD_DTYPE_FP8)
        return hd__fail(err, HD_ERR_ARG, "unknown dtype %d", (int)o->dtype);
    HD_TRY(open_side(engine, name_or_dir, o, NULL, &m, err));
    const hd_status status = m->settings.has_sides ? open_queries(m, o, err) : HD_OK;
    if (status == HD_OK)
        *out = m;
    else
        hd_model_close(m);
    return status;
}

static void unbind_weights(hd_model *m)
{
    hd__devices_forget(m);
    hd__encoder_close(m->encoder);
    hd__weights_close(m->weights);
    m->encoder = NULL;
    m->weights = NULL;
    pthread_mutex_lock(&m->engine->lock);
    m->weights_bytes = 0;
    pthread_mutex_unlock(&m->engine->lock);
}

/* Frees what load made; nobody else has it. */
static void free_loaded(hd_model *m)
{
    unbind_weights(m);
    hd__query_table_close(m);
    hd__tokenizer_close(m->tokenizer);
    m->tokenizer = NULL;
    if (m->settings.queries != NULL) {
        m->queries->encoder = NULL;
        m->queries->tokenizer = NULL;
    }
}

/* With the lock. */
static void set_state(hd_model *m, hd_load_state state)
{
    m->state = state;
    m->info.dtype = m->dtype;
    m->info.loaded = state == HD_LOADED;
    if (m->settings.queries != NULL) {
        m->queries->state = state;
        m->queries->info.dtype = m->dtype;
        m->queries->info.loaded = m->info.loaded;
    }
}

/* With the lock, which is let go while memory is freed; the state keeps everybody else away. */
static void unload_locked(hd_model *m)
{
    set_state(m, HD_LOADING);
    hd__slots_clear_unused(m->engine);
    pthread_mutex_unlock(&m->engine->lock);
    free_loaded(m);
    pthread_mutex_lock(&m->engine->lock);
    set_state(m, HD_UNLOADED);
    hd__memory_plan(m->engine);
    pthread_cond_broadcast(&m->loaded);
}

void hd_model_close(hd_model *m)
{
    if (m == NULL)
        return;
    hd_engine *engine = m->engine;
    hd_model *base = m->base;
    hd_model_close(m->queries);
    pthread_mutex_lock(&engine->lock);
    while (base->state == HD_LOADING) /* or being unloaded for idleness */
        pthread_cond_wait(&base->loaded, &engine->lock);
    if (base->state == HD_LOADED)
        unload_locked(base);
    hd_model **link = &engine->models;
    while (*link != m)
        link = &(*link)->next;
    *link = m->next;
    pthread_mutex_unlock(&engine->lock);
    pthread_cond_destroy(&m->loaded);
    hd__arena_clear(&m->arena);
    hd__free(m);
}

/* Room for weights within the memory limit. Models that nobody uses have to go for it. */
static hd_status take_weights(hd_model *m, uint64_t bytes, hd_error *err)
{
    hd_engine *e = m->engine;
    pthread_mutex_lock(&e->lock);
    bool taken = hd__memory_make_room(e, bytes) && hd__memory_take(e, &m->weights_bytes, bytes);
    const uint64_t in_use = hd__memory_of_weights(e, false) + hd__memory_of_slots(e, false);
    pthread_mutex_unlock(&e->lock);
    if (taken)
        return HD_OK;
    return hd__fail(err, HD_ERR_MEMORY,
                    "%s: %.1f MB of weights do not fit in the memory limit of %.1f MB, of which models in use and the "
                    "vector cache hold %.1f MB",
                    m->name, (double)bytes / 1e6, (double)e->memory_limit / 1e6, (double)in_use / 1e6);
}

/* Opens weights and an encoder over them, from the packed file at `path` (NULL: none) or, when `repack`, past it. */
static hd_status bind_weights(hd_model *m, const char *path, bool repack, hd_error *err)
{
    const k_type type = type_of(m->dtype);
    uint64_t bytes;
    HD_TRY(hd__weights_open(m->settings.dir, &m->settings, type, path, repack, m->engine->n_threads, &m->weights, err));
    HD_TRY(hd__encoder_measure(&m->settings, m->weights, hd__device_cpu(), type, &bytes, err));
    HD_TRY(take_weights(m, bytes, err));
    return hd__encoder_open(&m->settings, m->weights, hd__device_cpu(), type, &m->encoder, err);
}

/* Weights from the packed file if it is there and fits. Otherwise packs into it, and goes over to the file in its place,
 * whose pages the system may share and drop; where it cannot be written, to weights of this process alone. */
static hd_status open_encoder(hd_model *m, hd_error *err)
{
    hd_status status = bind_weights(m, m->packed_path, false, err);
    if (status == HD_ERR_FORMAT && m->weights != NULL && hd__weights_mapped(m->weights)) {
        hd__log(HD_LOG_WARN, "%s does not fit the model and is packed again", m->packed_path);
        unbind_weights(m);
        status = bind_weights(m, m->packed_path, true, err);
    }
    if (status != HD_OK || !hd__weights_writing(m->weights))
        return status;
    const bool kept = hd__weights_save(m->weights);
    unbind_weights(m);
    return bind_weights(m, kept ? m->packed_path : NULL, false, err);
}

/* And knows what they are, where vectors are shared. */
static hd_status open_identified(hd_model *m, hd_error *err)
{
    hd_buffer files;
    hd__buffer_init(&files);
    hd_status status = hd__identity_begin(m, &files, err);
    if (status == HD_OK)
        status = open_encoder(m, err);
    if (status == HD_OK)
        status = hd__identity_end(m, &files, err);
    hd__buffer_clear(&files);
    return status;
}

/* Vectors in the cache are those of the weights that made them: other files than at the last load make another model. */
static void renew_id(hd_model *m)
{
    const uint64_t hash = hd__hash64(hd__span_of(hd__weights_key(m->base->weights)), 1) | 1;
    if (m->weights_hash != 0 && m->weights_hash != hash)
        m->id = atomic_fetch_add(&last_id, 1) + 1;
    m->weights_hash = hash;
}

/* FlagEmbedding's BGEM3FlagModel gives no weight to these of XLM-RoBERTa's. */
static void find_unweighted(hd_model *m)
{
    static const char *const names[HD_UNWEIGHTED_TOKENS] = {"<s>", "</s>", "<pad>", "<unk>"};
    for (size_t i = 0; i < HD_UNWEIGHTED_TOKENS; i++)
        m->unweighted_ids[i] = hd__tokenizer_added_id(m->tokenizer, names[i]);
}

/* The tokens that the prompt of a Qwen3-Reranker asks for. A file that names others is of a model with another prompt. */
static hd_status find_answers(hd_model *m, hd_error *err)
{
    static const char *const texts[] = {"no", "yes"};
    const hd_tokenize_options alone = {.no_specials = true};
    hd_ids ids = {0};
    hd_status status = HD_OK;
    for (size_t i = 0; m->settings.judges && status == HD_OK && i < 2; i++) {
        int32_t *answer = &m->settings.answers[i];
        ids.n = 0;
        status = hd__tokenizer_encode(m->tokenizer, hd__span_of(texts[i]), &alone, &ids, NULL, err);
        if (status == HD_OK && (ids.n != 1 || (uint32_t)ids.ids[0] >= m->settings.vocab_size))
            status =
                hd__fail(err, HD_ERR_FORMAT, "%s: the answer \"%s\" is not one token of the vocabulary", m->name, texts[i]);
        else if (status == HD_OK && *answer >= 0 && *answer != ids.ids[0])
            status = hd__fail(err, HD_ERR_UNSUPPORTED, "%s: LogitScore has token %d for \"%s\", the tokenizer %d", m->name,
                              *answer, texts[i], ids.ids[0]);
        else if (status == HD_OK)
            *answer = ids.ids[0];
    }
    hd__ids_clear(&ids);
    return status;
}

/* What a static model does to its tokenizer. */
static void read_plainly(hd_model *m)
{
    hd__tokenizer_drop_specials(m->tokenizer);
    if (!m->settings.counts_unknown)
        m->settings.unknown_id = hd__tokenizer_unknown_id(m->tokenizer);
}

/* The first load, which opens devices, tells what they have. */
static hd_status choose_dtype(hd_model *m, hd_error *err)
{
    const bool has_f16 = hd__encoder_runs_on_devices(&m->settings) && hd__devices_have(m->engine, K_F16);
    const bool has_fp8 = has_f16 && hd__devices_have(m->engine, K_F8);
    const bool was_auto = m->is_auto;
    m->is_auto = false;
    m->is_past_f16 = false;
    if ((m->dtype == HD_DTYPE_F16 || m->dtype == HD_DTYPE_FP8) && !has_f16)
        hd__log(HD_LOG_WARN, "%s: there is no device that has %s: the CPU computes it in f32; bf16 and int8 are faster",
                m->name, dtype_name(m->dtype));
    else if (m->dtype == HD_DTYPE_FP8 && !has_fp8)
        hd__log(HD_LOG_WARN, "%s: there is no device that has fp8: it is computed in f16", m->name);
    if (!was_auto || !has_f16)
        return HD_OK;
    m->dtype = HD_DTYPE_F16;
    return packed_paths(m, err);
}

/* What queries have of the model that is loaded for them, too. */
static void lend_to_queries(hd_model *m)
{
    hd_model *q = m->queries;
    q->dtype = m->dtype;
    q->tokenizer = m->tokenizer;
    q->encoder = m->encoder;
    renew_id(q);
}

static hd_status load(hd_model *m, hd_error *err)
{
    uint64_t start_ns = hd__now_ns();
    hd__devices_open(m->engine);
    HD_TRY(choose_dtype(m, err));
    HD_TRY(hd__model_tokenizer_open(m->settings.tokenizer_dir, m->tokenizer_path, &m->tokenizer, err));
    find_unweighted(m);
    HD_TRY(find_answers(m, err));
    HD_TRY(hd__late_find_ids(m, err));
    HD_TRY(hd__query_table_open(m, err));
    if (m->settings.no_specials)
        read_plainly(m);
    HD_TRY(open_identified(m, err));
    renew_id(m);
    if (m->settings.queries != NULL)
        lend_to_queries(m);
    if (m->engine->idle_unload_s > 0) /* workers look for idle models */
        HD_TRY(hd__workers_start(&m->engine->crews[HD_CREW_FOREGROUND], err));
    hd__log(HD_LOG_INFO, "%s: loaded as %s in %.0f ms, %.1f MB of weights%s", m->name, dtype_name(m->dtype),
            hd__seconds_since(start_ns) * 1e3, (double)hd__weights_bytes(m->weights) / 1e6,
            hd__weights_mapped(m->weights) ? " (mapped)" : "");
    return HD_OK;
}

/* With the lock, which is let go meanwhile; the state keeps everybody else waiting. */
static void load_locked(hd_model *m)
{
    hd_engine *engine = m->engine;
    hd_error error = {0};
    set_state(m, HD_LOADING);
    pthread_mutex_unlock(&engine->lock);
    hd_status status = load(m, &error);
    if (status != HD_OK)
        free_loaded(m);
    pthread_mutex_lock(&engine->lock);
    set_state(m, status == HD_OK ? HD_LOADED : HD_UNLOADED);
    m->info.load_failed = status != HD_OK;
    if (status == HD_OK) {
        hd__memory_plan(engine);
    } else {
        m->load_error = error;
        m->n_failed++;
    }
    pthread_cond_broadcast(&m->loaded);
}

hd_status hd__model_acquire(hd_model *model, hd_error *err)
{
    hd_model *m = model->base;
    hd_engine *engine = m->engine;
    pthread_mutex_lock(&engine->lock);
    const uint64_t n_failed = m->n_failed;
    while (m->state == HD_LOADING)
        pthread_cond_wait(&m->loaded, &engine->lock);
    hd_status status = HD_OK;
    if (m->state == HD_UNLOADED && m->n_failed == n_failed)
        load_locked(m);
    if (m->state == HD_LOADED) {
        m->n_users++;
    } else { /* for those who waited for a load that failed, too: it is not tried again for each of them */
        status = m->load_error.status;
        if (err != NULL)
            *err = m->load_error;
    }
    pthread_mutex_unlock(&engine->lock);
    return status;
}

void hd__model_release(hd_model *model)
{
    hd_model *m = model->base;
    pthread_mutex_lock(&m->engine->lock);
    m->n_users--;
    m->last_used_ns = hd__now_ns();
    pthread_mutex_unlock(&m->engine->lock);
}

hd_status hd_model_load(hd_model *m, hd_error *err)
{
    HD_TRY(hd_model_begin(m, err));
    hd_model_end(m);
    return HD_OK;
}

hd_status hd_model_begin(hd_model *m, hd_error *err)
{
    HD_TRY(hd__model_acquire(m, err));
    const hd_status status = m->queries != NULL ? hd__model_acquire(m->queries, err) : HD_OK;
    if (status != HD_OK)
        hd__model_release(m);
    return status;
}

void hd_model_end(hd_model *m)
{
    if (m->queries != NULL)
        hd__model_release(m->queries);
    hd__model_release(m);
}

static hd_status unload_side(hd_model *m, hd_error *err)
{
    hd_status status = HD_OK;
    pthread_mutex_lock(&m->engine->lock);
    while (m->state == HD_LOADING)
        pthread_cond_wait(&m->loaded, &m->engine->lock);
    if (m->n_users > 0)
        status = hd__fail(err, HD_ERR_BUSY, "%s: in use by %u jobs", m->name, m->n_users);
    else if (m->state == HD_LOADED)
        unload_locked(m);
    pthread_mutex_unlock(&m->engine->lock);
    return status;
}

hd_status hd_model_unload(hd_model *m, hd_error *err)
{
    hd_model *q = m->queries;
    pthread_mutex_lock(&m->engine->lock);
    const uint32_t n_users = m->n_users + (q != NULL ? q->n_users : 0);
    pthread_mutex_unlock(&m->engine->lock);
    if (n_users > 0) /* before either side goes */
        return hd__fail(err, HD_ERR_BUSY, "%s: in use by %u jobs", m->name, n_users);
    HD_TRY(q != NULL && q->base == q ? unload_side(q, err) : HD_OK);
    return unload_side(m, err);
}

void hd__models_unload_idle(hd_engine *engine)
{
    const uint64_t patience_ns = (uint64_t)engine->idle_unload_s * SECOND_NS, now_ns = hd__now_ns();
    if (now_ns < engine->next_idle_check_ns)
        return;
    engine->next_idle_check_ns = now_ns + SECOND_NS;
    for (hd_model *m = engine->models; m != NULL;) {
        if (m->base == m && m->state == HD_LOADED && m->n_users == 0 && m->last_used_ns + patience_ns <= now_ns) {
            hd__log(HD_LOG_INFO, "%s: unloading after %u s without use", m->name, engine->idle_unload_s);
            unload_locked(m);
            m = engine->models; /* the list may have changed meanwhile */
        } else {
            m = m->next;
        }
    }
}

void hd__model_unload_unused(hd_model *m)
{
    hd__log(HD_LOG_INFO, "%s: unloading to make room within the memory limit", m->name);
    unload_locked(m);
}

const char *hd_head_name(uint32_t head)
{
    switch (head) {
    case HD_HEAD_DENSE: return "dense";
    case HD_HEAD_SPARSE: return "sparse";
    case HD_HEAD_MULTI: return "colbert";
    case HD_HEAD_SCORES: return "scores";
    case HD_HEAD_TOKENS: return "tokens";
    default: return NULL;
    }
}

/* With the lock. */
static uint64_t unload_in_ns(const hd_model *m)
{
    const uint64_t patience_ns = (uint64_t)m->engine->idle_unload_s * SECOND_NS, now_ns = hd__now_ns();
    if (patience_ns == 0)
        return UINT64_MAX;
    const uint64_t due_ns = (m->base->n_users > 0 ? now_ns : m->base->last_used_ns) + patience_ns;
    return due_ns > now_ns ? due_ns - now_ns : 0;
}

void hd_model_get_info(hd_model *m, hd_model_info *info)
{
    pthread_mutex_lock(&m->engine->lock);
    const hd_model *q = m->queries;
    *info = m->info;
    info->weights_bytes = m->weights_bytes;
    info->device_bytes = hd__device_weights_bytes(m);
    info->loading = m->state == HD_LOADING;
    info->unload_in_ns = unload_in_ns(m);
    if (q != NULL) {
        const uint64_t q_unload_in_ns = unload_in_ns(q);
        info->weights_bytes += q->weights_bytes;
        info->device_bytes += hd__device_weights_bytes(q);
        info->unload_in_ns = q_unload_in_ns < info->unload_in_ns ? q_unload_in_ns : info->unload_in_ns;
        info->loading |= q->state == HD_LOADING;
        info->loaded &= q->info.loaded;
        info->load_failed |= q->info.load_failed;
    }
    pthread_mutex_unlock(&m->engine->lock);
}

bool hd_model_get_prompt(hd_model *m, uint32_t i, const char **name, const char **text)
{
    if (i >= m->settings.n_prompts)
        return false;
    *name = m->settings.prompts[i].name;
    *text = m->settings.prompts[i].text;
    return true;
}
