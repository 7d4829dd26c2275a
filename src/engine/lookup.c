/* lookup.c - see lookup.h.
 *
 * What the vector cache does not have goes to the store in one request; the job enters the queue when the answer is
 * there, with what was not found. A vector's key is the SHA-256 of the model's identity, the task, where pooling begins, and
 * the token ids. The identity is the SHA-256 of the weights' contents, of the settings that take part, of the type, of
 * Heddle's version and of the instruction sets: processes share vectors only where each would compute the same bits.
 */
#include "engine/lookup.h"

#include <string.h>

#include "base/alloc.h"
#include "base/buffer.h"
#include "base/log.h"
#include "cpu/isa.h"
#include "engine/engine_int.h"
#include "model/peft.h"
#include "model/tensors.h"

void hd__engine_set_store(hd_engine *e, const hd_vector_store *store)
{
    e->store = store;
}

/* ---- who a model is ---- */

static void add_number(hd_sha256 *hash, uint64_t number)
{
    unsigned char bytes[8];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (unsigned char)(number >> (8 * i));
    hd__sha256_add(hash, hd__span(bytes, sizeof bytes));
}

/* With its length, so that two texts never run into one. */
static void add_text(hd_sha256 *hash, const char *text)
{
    add_number(hash, strlen(text));
    hd__sha256_add(hash, hd__span_of(text));
}

static void add_settings(hd_sha256 *hash, const hd_model *m)
{
    const hd_settings *s = &m->settings;
    const double reals[] = {s->norm_eps, s->rotary_theta, s->rotary_theta_local, s->rotary_factor, s->adapter_scale};
    uint64_t levels = 0;
    for (int isa = 0; isa < HD_ISA_COUNT; isa++)
        levels |= (uint64_t)hd__isa_has((hd_isa)isa) << isa;
    add_text(hash, hd_version());
    add_text(hash, s->model_type);
    add_text(hash, s->architecture);
    add_text(hash, s->adapter != NULL ? s->adapter->text : "");
    const uint64_t numbers[] = {
        levels,
        HD_WEIGHTS_LAYOUT,
        (uint64_t)m->dtype,
        s->n_layers,
        s->hidden,
        s->n_heads,
        s->intermediate,
        s->vocab_size,
        s->n_positions,
        s->n_token_types,
        s->n_kv_heads,
        s->head_dim,
        s->position_offset,
        s->local_window,
        s->global_every,
        s->global_first,
        s->gated,
        (uint64_t)s->activation,
        s->absolute_positions,
        (uint64_t)s->pad_id,
        s->pooling,
        s->n_dense,
        s->n_tasks,
        s->adapter_rank,
    };
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        add_number(hash, numbers[i]);
    for (size_t i = 0; i < sizeof reals / sizeof *reals; i++) {
        uint64_t bits;
        memcpy(&bits, &reals[i], sizeof bits);
        add_number(hash, bits);
    }
}

/* Weights: their contents into the hash, if there is one, and their files into `files`. They are closed. */
static hd_status add_tensors(hd_sha256 *hash, hd_tensors *tensors, const char *dir, hd_buffer *files, hd_error *err)
{
    hd__buffer_append_text(files, hd__tensors_identity(tensors));
    for (size_t i = 0; hash != NULL && i < hd__tensors_count(tensors); i++) {
        const hd_tensor *t = hd__tensors_at(tensors, i);
        add_text(hash, t->name);
        add_number(hash, (uint64_t)t->type);
        add_number(hash, t->n_dims);
        for (uint32_t k = 0; k < t->n_dims; k++)
            add_number(hash, t->dims[k]);
        hd__sha256_add(hash, t->bytes);
        hd__tensor_forget(t);
    }
    hd__tensors_close(tensors);
    return files->failed ? hd__fail(err, HD_ERR_MEMORY, "%s: no memory", dir) : HD_OK;
}

/* Those of a folder. */
static hd_status add_weights(hd_sha256 *hash, const char *dir, hd_buffer *files, hd_error *err)
{
    hd_tensors *tensors;
    HD_TRY(hd__tensors_open(dir, &tensors, err));
    return add_tensors(hash, tensors, dir, files, err);
}

/* Those of an adapter's folder. */
static hd_status add_adapter(hd_sha256 *hash, const char *dir, hd_buffer *files, hd_error *err)
{
    hd_tensors *tensors;
    HD_TRY(hd__peft_tensors(dir, &tensors, err));
    return add_tensors(hash, tensors, dir, files, err);
}

/* What is behind the transformer. */
static hd_status add_dense(hd_sha256 *hash, const hd_settings *s, hd_buffer *files, hd_error *err)
{
    for (uint32_t i = 0; i < s->n_dense; i++) {
        const hd_dense_settings *d = &s->dense[i];
        if (hash != NULL) {
            add_number(hash, d->n_in);
            add_number(hash, d->n_out);
            add_number(hash, d->has_bias);
            add_number(hash, (uint64_t)d->activation);
        }
        HD_TRY(add_weights(hash, d->dir, files, err));
    }
    return HD_OK;
}

static hd_status add_all_weights(hd_sha256 *hash, const hd_model *m, hd_buffer *files, hd_error *err)
{
    HD_TRY(add_weights(hash, m->settings.dir, files, err));
    HD_TRY(add_dense(hash, &m->settings, files, err));
    if (m->settings.queries != NULL)
        HD_TRY(add_dense(hash, m->settings.queries, files, err));
    for (uint32_t i = 0; m->settings.task_dirs != NULL && i < m->settings.n_tasks; i++)
        HD_TRY(add_adapter(hash, m->settings.task_dirs[i], files, err));
    return m->settings.adapter_dir != NULL ? add_adapter(hash, m->settings.adapter_dir, files, err) : HD_OK;
}

/* Queries that share the model's transformer are known by its identity and their pooling. */
static hd_status identify_queries(hd_model *m, hd_error *err)
{
    hd_sha256 *hash;
    HD_TRY(hd__sha256_new(&hash, err));
    add_text(hash, m->shared_id);
    add_text(hash, "queries");
    add_number(hash, m->settings.queries->pooling);
    hd__sha256_end(hash, m->queries->shared_id);
    return HD_OK;
}

static void forget_identity(hd_model *m)
{
    m->shared_id[0] = '\0';
    if (m->settings.queries != NULL)
        m->queries->shared_id[0] = '\0';
}

hd_status hd__identity_begin(hd_model *m, hd_buffer *files, hd_error *err)
{
    hd_sha256 *hash;
    forget_identity(m);
    if (m->engine->store == NULL)
        return HD_OK;
    HD_TRY(hd__sha256_new(&hash, err));
    add_settings(hash, m);
    hd_status status = add_all_weights(hash, m, files, err);
    hd__sha256_end(hash, m->shared_id);
    if (status == HD_OK && m->settings.queries != NULL)
        status = identify_queries(m, err);
    if (status != HD_OK)
        forget_identity(m);
    return status;
}

hd_status hd__identity_end(hd_model *m, const hd_buffer *files, hd_error *err)
{
    if (m->engine->store == NULL)
        return HD_OK;
    hd_buffer now;
    hd__buffer_init(&now);
    const hd_status status = add_all_weights(NULL, m, &now, err);
    if (status == HD_OK && (now.len != files->len || memcmp(now.ptr, files->ptr, now.len) != 0)) {
        hd__log(HD_LOG_WARN, "%s: its files changed while it was loaded: its vectors are not shared", m->name);
        forget_identity(m);
    }
    hd__buffer_clear(&now);
    return status;
}

/* ---- asking ---- */

hd_status hd__store_key_make(const char *identity, uint32_t task, int32_t pool_begin, const int32_t *ids, size_t n,
                             hd_store_key *key, hd_error *err)
{
    hd_sha256 *hash;
    HD_TRY(hd__sha256_new(&hash, err));
    add_text(hash, identity);
    add_number(hash, (uint64_t)task << 32 | (uint32_t)pool_begin);
    hd__sha256_add(hash, hd__span(ids, n * sizeof *ids));
    hd__sha256_end(hash, key->hex);
    return HD_OK;
}

typedef struct lookup {
    hd_store_request request; /* the first: `done` gets it */
    hd_job *job;
    bool *found;
    float vectors[];
} lookup;

static void lookup_free(lookup *l)
{
    hd__free(l->found);
    hd__free(l);
}

/* Takes what was found; the rest goes to the workers. */
static void take_answer(hd_store_request *request)
{
    lookup *l = (lookup *)(void *)request;
    hd_job *job = l->job;
    hd_engine *e = job->model->engine;
    hd_error error;
    size_t n_found = 0;
    uint64_t n_tokens = 0;
    for (size_t i = 0; i < request->n; i++) {
        hd_sequence *s = &job->sequences[i];
        const float *vector = l->vectors + i * request->width;
        if (!request->found[i] || hd__job_store_vector(job, s->row, vector, &error) != HD_OK)
            continue;
        if (e->cache != NULL)
            hd__cache_put(e->cache, s->key, vector, request->width);
        s->state = HD_FOUND;
        n_found++;
        n_tokens += (uint64_t)s->n_tokens;
    }
    pthread_mutex_lock(&e->lock);
    e->n_store_hits += n_found;
    e->n_store_misses += request->n - n_found;
    job->asks_store = false;
    job->stats.n_cached += n_found;
    job->stats.n_tokens -= n_tokens;
    hd_status status = HD_OK;
    if (job->cancelled)
        status = hd__fail(&error, HD_ERR_CANCELLED, "cancelled");
    else if (n_found < request->n)
        status = hd__queue_push(e, job, &error);
    hd__crew_wake(job->crew);
    hd__job_count(job, status == HD_OK ? n_found : request->n, status == HD_OK ? NULL : &error);
    pthread_mutex_unlock(&e->lock); /* from here on the job may be gone */
    lookup_free(l);
}

static bool make_keys(hd_job *job)
{
    hd_error error;
    job->store_keys = hd__calloc(job->n_sequences, sizeof *job->store_keys);
    bool made = job->store_keys != NULL;
    for (size_t i = 0; made && i < job->n_sequences; i++) {
        const hd_sequence *s = &job->sequences[i];
        made = hd__store_key_make(job->model->shared_id, job->task, s->pool_begin, job->ids.ids + s->ids_at,
                                  (size_t)s->n_tokens, &job->store_keys[i], &error) == HD_OK;
    }
    if (!made) {
        hd__free(job->store_keys);
        job->store_keys = NULL;
    }
    return made;
}

bool hd__lookup_begin(hd_job *job)
{
    const hd_model *m = job->model;
    const hd_vector_store *store = m->engine->store;
    const size_t width = (size_t)m->encoder->n_out, n = job->n_sequences;
    if (store == NULL || m->shared_id[0] == '\0' || !store->ready(store->data))
        return false;
    if (job->heads != HD_HEAD_DENSE || job->is_late || job->types.n > 0 || !make_keys(job)) /* vectors of texts alone */
        return false;
    lookup *l = hd__malloc(hd__add(sizeof *l, hd__mul(hd__mul(n, width), sizeof *l->vectors)));
    bool *found = hd__calloc(n, sizeof *found);
    if (l == NULL || found == NULL) { /* the workers need none of this */
        hd__free(l);
        hd__free(found);
        return false;
    }
    *l = (lookup){
        .request =
            {
                .n = n,
                .width = width,
                .keys = job->store_keys,
                .vectors = l->vectors,
                .found = found,
                .done = take_answer,
            },
        .job = job,
        .found = found,
    };
    job->asks_store = true; /* nobody else knows the job yet */
    if (store->get(store->data, &l->request))
        return true;
    job->asks_store = false;
    lookup_free(l);
    return false;
}

void hd__lookup_put(const hd_job *job, const hd_sequence *s, const float *vector)
{
    const hd_vector_store *store = job->model->engine->store;
    if (job->store_keys != NULL)
        store->put(store->data, &job->store_keys[s - job->sequences], vector, (size_t)job->model->encoder->n_out);
}
