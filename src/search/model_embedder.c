/* model_embedder.c - embedder.h over a model, by the public API alone.
 */
#include "base/alloc.h"
#include "base/arena.h"
#include "search/embedder.h"
#include "search/model_identity.h"

#define SPECIAL_TOKENS 4u /* that a model adds, at most */

typedef struct model_embedder {
    hd_embedder embedder; /* first */
    hd_model *model;
    hd_arena arena;
    hd_model_prompts prompts;
    uint32_t heads;
    uint32_t max_length;
} model_embedder;

struct hd_embedded {
    const model_embedder *owner;
    hd_job *job;        /* NULL: waited for */
    float *rows;        /* [n, n_dimensions]; NULL without dense vectors */
    hd_output *outputs; /* [n]; NULL with dense vectors alone */
    hd_chunk_vectors *vectors;
    size_t n;
};

static hd_status no_memory(size_t n, hd_error *err)
{
    return hd__fail(err, HD_ERR_MEMORY, "no memory for the vectors of %zu texts", n);
}

static void embedded_free(hd_embedded *e)
{
    if (e == NULL)
        return;
    if (e->job != NULL) {
        hd_job_cancel(e->job);
        HD_IGNORE(hd_job_wait(e->job, NULL, NULL)); /* nobody wants it any more */
    }
    if (e->outputs != NULL)
        hd_outputs_free(e->outputs, e->n);
    hd__free(e->outputs);
    hd__free(e->rows);
    hd__free(e->vectors);
    hd__free(e);
}

static hd_status embedded_new(const model_embedder *m, size_t n, hd_embedded **out, hd_error *err)
{
    hd_embedded *e = hd__calloc(1, sizeof *e);
    if (e == NULL)
        return no_memory(n, err);
    const size_t n_dimensions = m->embedder.identity.n_dimensions;
    e->owner = m;
    e->n = n;
    e->vectors = hd__calloc(n, sizeof *e->vectors);
    if (n_dimensions > 0)
        e->rows = hd__malloc(hd__mul(hd__mul(n, n_dimensions), sizeof *e->rows));
    if (m->heads != HD_HEAD_DENSE)
        e->outputs = hd__calloc(n, sizeof *e->outputs);
    if (e->vectors == NULL || (n_dimensions > 0 && e->rows == NULL) || (m->heads != HD_HEAD_DENSE && e->outputs == NULL)) {
        embedded_free(e);
        return no_memory(n, err);
    }
    *out = e;
    return HD_OK;
}

static hd_status start_job(hd_embedded *e, const hd_text *texts, hd_encode_options options, bool background, hd_error *err)
{
    const hd_job_options job = {.outputs = e->outputs, .background = background};
    options.heads = e->owner->heads;
    return hd_job_submit(e->owner->model, texts, e->n, &options, &job, e->rows, &e->job, err);
}

static hd_status start(void *data, const hd_text *texts, size_t n, hd_embedded **embedded, hd_error *err)
{
    const model_embedder *m = data;
    hd_embedded *e;
    HD_TRY(embedded_new(m, n, &e, err));
    const hd_status status = start_job(e, texts, m->prompts.document, true, err);
    if (status != HD_OK) {
        e->job = NULL;
        embedded_free(e);
        return status;
    }
    *embedded = e;
    return HD_OK;
}

static hd_status wait_for(hd_embedded *e, const hd_chunk_vectors **vectors, uint64_t *n_tokens, hd_error *err)
{
    hd_encode_stats stats = {0};
    hd_job *job = e->job;
    e->job = NULL;
    HD_TRY(hd_job_wait(job, &stats, err));
    for (size_t i = 0; i < e->n; i++) {
        hd_chunk_vectors *v = &e->vectors[i];
        v->dense = e->rows != NULL ? e->rows + i * e->owner->embedder.identity.n_dimensions : NULL;
        if (e->outputs != NULL) {
            v->sparse = e->outputs[i].sparse;
            v->token_vectors = e->outputs[i].token_vectors;
            v->n_token_vectors = e->outputs[i].n_token_vectors;
        }
    }
    *vectors = e->vectors;
    *n_tokens = stats.n_tokens;
    return HD_OK;
}

static hd_status query(void *data, hd_text text, hd_chunk_vectors *out, void **out_memory, hd_error *err)
{
    const model_embedder *m = data;
    hd_embedded *e;
    const hd_chunk_vectors *vectors;
    uint64_t n_tokens;
    HD_TRY(embedded_new(m, 1, &e, err));
    hd_status status = start_job(e, &text, m->prompts.query, false, err);
    if (status == HD_OK)
        status = wait_for(e, &vectors, &n_tokens, err);
    else
        e->job = NULL;
    if (status != HD_OK) {
        embedded_free(e);
        return status;
    }
    *out = vectors[0];
    *out_memory = e;
    return HD_OK;
}

static void release(void *memory)
{
    embedded_free(memory);
}

/* A model may cut what is longer than it reads: pieces that are surely shorter, and on from what it did not cut. */
static size_t token_ends(hd_span text, uint32_t *ends, size_t max, void *data)
{
    const model_embedder *m = data;
    const hd_encode_options options = {
        .no_specials = true, .prompt_name = m->prompts.document.prompt_name, .prompt = ""}; /* the name tells the side */
    size_t n = 0;
    for (size_t at = 0; at < text.len && n < max;) {
        size_t len = text.len - at, most = 2 * (size_t)m->max_length;
        if (len > most) {
            for (len = most; len > most / 2 && text.ptr[at + len] != ' ' && text.ptr[at + len] != '\n';)
                len--;
            while (len > 1 && ((unsigned char)text.ptr[at + len] & 0xC0) == 0x80)
                len--;
        }
        hd_tokens tokens;
        if (hd_tokenize(m->model, (hd_text){text.ptr + at, len}, &options, &tokens, NULL) != HD_OK)
            return n; /* what cannot be counted is not cut; the model itself will say why */
        size_t end = 0;
        for (size_t i = 0; i < tokens.n && n < max; i++) {
            end = tokens.tokens[i].byte_end > end ? tokens.tokens[i].byte_end : end;
            ends[n++] = (uint32_t)(at + end);
        }
        at += tokens.truncated && end > 0 ? end : len;
        hd_tokens_free(&tokens);
    }
    return n;
}

static hd_status set_identity(model_embedder *m, const hd_model_info *info, hd_error *err)
{
    hd_identity *identity = &m->embedder.identity;
    const bool by_product = strcmp(info->similarity, "dot") == 0;
    *identity = (hd_identity){
        .similarity = by_product ? "dot" : "cosine",
        .n_dimensions = (m->heads & HD_HEAD_DENSE) != 0 ? info->n_dimensions : 0,
        .n_token_dimensions = (m->heads & HD_HEAD_MULTI) != 0 ? info->n_token_dimensions : 0,
        .has_sparse = (m->heads & HD_HEAD_SPARSE) != 0,
    };
    HD_TRY(hd__model_identity_name(info, &m->arena, &identity->model, err));
    return hd__model_identity_fingerprint(info, &m->prompts, &m->arena, &identity->fingerprint, err);
}

hd_status hd__embedder_open(hd_model *model, bool sparse, bool multi, hd_embedder **embedder, hd_error *err)
{
    hd_model_info info;
    hd_model_get_info(model, &info);
    const uint32_t wanted = HD_HEAD_DENSE | (sparse ? HD_HEAD_SPARSE : 0u) | (multi ? HD_HEAD_MULTI : 0u);
    if ((info.heads & wanted) == 0)
        return hd__fail(err, HD_ERR_UNSUPPORTED, "%s: it makes none of the vectors that an index keeps (dense%s%s)",
                        info.name, sparse ? ", sparse" : "", multi ? ", colbert" : "");
    model_embedder *m = hd__calloc(1, sizeof *m);
    if (m == NULL)
        return hd__fail(err, HD_ERR_MEMORY, "%s: no memory for an embedder", info.name);
    hd__arena_init(&m->arena);
    m->model = model;
    m->heads = info.heads & wanted;
    m->max_length = info.max_length;
    hd__model_prompts(model, &m->prompts);
    const uint32_t taken = SPECIAL_TOKENS + (uint32_t)strlen(m->prompts.document_text);
    m->embedder = (hd_embedder){
        .max_tokens = info.max_length > 2 * taken ? info.max_length - taken : info.max_length / 2,
        .start = start,
        .wait = wait_for,
        .free = embedded_free,
        .query = query,
        .release = release,
        .token_ends = token_ends,
        .data = m,
    };
    const hd_status status = set_identity(m, &info, err);
    if (status != HD_OK) {
        hd__embedder_close(&m->embedder);
        return status;
    }
    *embedder = &m->embedder;
    return HD_OK;
}

void hd__embedder_close(hd_embedder *embedder)
{
    if (embedder == NULL)
        return;
    model_embedder *m = (model_embedder *)(void *)embedder;
    hd__arena_clear(&m->arena);
    hd__free(m);
}
