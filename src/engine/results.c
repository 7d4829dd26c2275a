/* results.c - what a pass made of a sequence becomes what its caller asked for: checked, cut, normalised, collected.
 *
 * Sparse weights by token as FlagEmbedding's BGE-M3 has them: of a token id that comes several times the greatest weight
 * counts, special tokens do not, and what is not above 0 is not there.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "engine/engine_int.h"

/* ---- numbers ---- */

static bool all_finite(const float *values, size_t n)
{
    enum { LANES = 16 };
    float check[LANES] = {0}; /* x * 0 is 0 for finite x and NaN for the others */
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (size_t k = 0; k < LANES; k++)
            check[k] += values[i + k] * 0.0f;
    for (; i < n; i++)
        check[0] += values[i] * 0.0f;
    for (size_t k = 1; k < LANES; k++)
        check[0] += check[k];
    return check[0] == 0.0f;
}

/* Whether all that a pass came to are numbers. */
bool hd__batch_is_finite(const hd_batch *b, const hd_encoder *e)
{
    const size_t sequences = (size_t)b->n_sequences, tokens = (size_t)b->n_tokens;
    const struct {
        uint32_t head;
        const float *values;
        size_t n_rows, width;
    } all[] = {
        {HD_HEAD_DENSE, b->out, b->n_spans > 0 ? (size_t)b->n_spans : sequences, (size_t)e->n_out},
        {HD_HEAD_TOKENS, b->token_states, tokens, e->settings->hidden},
        {HD_HEAD_MULTI, b->token_vectors, tokens, (size_t)e->n_token_out},
        {HD_HEAD_SPARSE, e->sparse_by_vocabulary ? NULL : b->token_weights, tokens, 1},
        {HD_HEAD_SPARSE, e->sparse_by_vocabulary ? b->vocab_weights : NULL, sequences, e->settings->vocab_size},
        {HD_HEAD_SCORES, b->scores, sequences, (size_t)e->n_labels},
    };
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        if ((b->heads & all[i].head) != 0 && all[i].values != NULL &&
            !all_finite(all[i].values, all[i].n_rows * all[i].width))
            return false;
    }
    return true;
}

static hd_status not_finite(const hd_job *job, uint32_t row, hd_error *err)
{
    const size_t text = job->parts != NULL ? job->parts[row].row : row;
    return hd__fail(err, HD_ERR_NUMERIC, "%s: text %zu gave a NaN or an infinity", job->model->name, job->first_text + text);
}

/* Unit length, as torch's F.normalize: a vector shorter than 1e-12 stays short. */
static float unit_scale(const float *vector, size_t n)
{
    double sum = 0.0;
    for (size_t i = 0; i < n; i++)
        sum += (double)vector[i] * (double)vector[i];
    const double norm = sqrt(sum);
    return (float)(1.0 / (norm > 1e-12 ? norm : 1e-12));
}

static float sigmoid(float x)
{
    return (float)(1.0 / (1.0 + exp(-(double)x)));
}

/* Logits to scores: of one label, or of labels that do not exclude each other, by sigmoid; else by softmax. */
static void activate(const hd_job *job, const float *logits, size_t n, float *scores)
{
    if (job->raw_scores) {
        memcpy(scores, logits, n * sizeof *scores);
        return;
    }
    if (n == 1 || job->model->settings.labels_are_independent) {
        for (size_t i = 0; i < n; i++)
            scores[i] = sigmoid(logits[i]);
        return;
    }
    double most = (double)logits[0], sum = 0.0;
    for (size_t i = 1; i < n; i++)
        most = (double)logits[i] > most ? (double)logits[i] : most;
    for (size_t i = 0; i < n; i++)
        sum += exp((double)logits[i] - most);
    for (size_t i = 0; i < n; i++)
        scores[i] = (float)(exp((double)logits[i] - most) / sum);
}

/* ---- dense vectors ---- */

hd_status hd__job_store_vector(hd_job *job, uint32_t row, const float *vector, hd_error *err)
{
    const size_t n = job->n_dimensions;
    float *out = job->out + (size_t)row * n;
    if (!all_finite(vector, (size_t)job->model->encoder->n_out))
        return not_finite(job, row, err);
    const float scale = job->normalize && !job->is_late ? unit_scale(vector, n) : 1.0f;
    for (size_t i = 0; i < n; i++)
        out[i] = vector[i] * scale;
    return HD_OK;
}

/* The mean of n parts by their weights. */
static void join(const hd_job *job, const hd_part *parts, size_t n, const float *vectors, float *row)
{
    const size_t width = job->n_dimensions;
    double weights = 0.0;
    for (size_t k = 0; k < n; k++)
        weights += parts[k].weight;
    for (size_t i = 0; i < width; i++) {
        double sum = 0.0;
        for (size_t k = 0; k < n; k++)
            sum += (double)vectors[k * width + i] * parts[k].weight;
        row[i] = (float)(sum / weights);
    }
    const float scale = job->normalize ? unit_scale(row, width) : 1.0f;
    for (size_t i = 0; i < width; i++)
        row[i] *= scale;
}

void hd__job_join_parts(hd_job *job)
{
    const size_t width = job->n_dimensions;
    for (size_t first = 0, n; first < job->n_parts; first += n) {
        const hd_part *parts = &job->parts[first];
        float *row = job->rows + (size_t)parts->row * width;
        n = 1;
        while (first + n < job->n_parts && parts[n].row == parts->row)
            n++;
        if (n == 1 && !job->is_late) /* as if it had never been a part */
            memcpy(row, job->out + first * width, width * sizeof *row);
        else
            join(job, parts, n, job->out + first * width, row);
    }
}

/* ---- sparse weights ---- */

typedef struct weight {
    uint32_t id;
    float value;
} weight;

/* By id, then the greatest first. */
static int compare_weights(const void *a, const void *b)
{
    const weight *x = a, *y = b;
    if (x->id != y->id)
        return x->id < y->id ? -1 : 1;
    return (x->value < y->value) - (x->value > y->value);
}

static bool has_no_weight(const hd_model *m, int32_t id)
{
    for (size_t i = 0; i < HD_UNWEIGHTED_TOKENS; i++)
        if (m->unweighted_ids[i] == id)
            return true;
    return false;
}

/* weights: room for one of each token. How many there are. */
static size_t weights_by_token(const hd_job *job, const hd_sequence *s, const float *values, weight *weights)
{
    const int32_t *ids = job->ids.ids + s->ids_at;
    size_t n = 0, n_unlike = 0;
    for (int32_t i = 0; i < s->n_tokens; i++)
        if (values[i] > 0.0f && !has_no_weight(job->model, ids[i]))
            weights[n++] = (weight){(uint32_t)ids[i], values[i]};
    qsort(weights, n, sizeof *weights, compare_weights);
    for (size_t i = 0; i < n; i++)
        if (n_unlike == 0 || weights[i].id != weights[n_unlike - 1].id)
            weights[n_unlike++] = weights[i];
    return n_unlike;
}

static size_t weights_by_vocabulary(const float *values, size_t vocab_size, weight *weights)
{
    size_t n = 0;
    for (size_t i = 0; i < vocab_size; i++) {
        if (values[i] > 0.0f && weights != NULL)
            weights[n] = (weight){(uint32_t)i, values[i]};
        n += values[i] > 0.0f;
    }
    return n;
}

static hd_status make_weights(const hd_job *job, const hd_sequence *s, const hd_rows *rows, weight **weights, size_t *n,
                              hd_error *err)
{
    const hd_model *m = job->model;
    const bool by_vocabulary = m->encoder->sparse_by_vocabulary;
    const float *values = by_vocabulary ? rows->vocab_weights : rows->token_weights;
    const size_t n_values = by_vocabulary ? m->settings.vocab_size : (size_t)s->n_tokens;
    if (!all_finite(values, n_values))
        return not_finite(job, s->row, err);
    const size_t most = by_vocabulary ? weights_by_vocabulary(values, n_values, NULL) : n_values;
    *weights = hd__malloc((most + 1) * sizeof **weights);
    if (*weights == NULL)
        return hd__fail(err, HD_ERR_MEMORY, "no memory for %zu weights", most);
    *n = by_vocabulary ? weights_by_vocabulary(values, n_values, *weights) : weights_by_token(job, s, values, *weights);
    return HD_OK;
}

/* ---- all heads ---- */

/* How many tokens of a sequence give a vector. */
static size_t count_vectors(const hd_job *job, const hd_sequence *s)
{
    size_t n = 0;
    for (size_t i = 0; i < (size_t)s->n_tokens; i++)
        n += hd__late_keeps(job, s, i);
    return n;
}

/* Copies the vectors of those tokens to *at, and moves it on. */
static const float *take_vectors(float **at, const hd_job *job, const hd_sequence *s, const float *vectors, size_t width)
{
    float *copy = *at;
    for (size_t i = 0; i < (size_t)s->n_tokens; i++) {
        if (!hd__late_keeps(job, s, i))
            continue;
        memcpy(*at, vectors + i * width, width * sizeof **at);
        *at += width;
    }
    return *at != copy ? copy : NULL;
}

/* Copies n values to *at, and moves it on. */
static const float *take_copy(float **at, const float *values, size_t n)
{
    float *copy = *at;
    if (n > 0)
        memcpy(copy, values, n * sizeof *copy);
    *at += n;
    return n > 0 ? copy : NULL;
}

static void put_weights(const weight *weights, size_t n, float **at, hd_sparse_vector *sparse)
{
    float *values = *at;
    uint32_t *ids = (uint32_t *)(void *)(values + n);
    for (size_t i = 0; i < n; i++) {
        values[i] = weights[i].value;
        ids[i] = weights[i].id;
    }
    *sparse = (hd_sparse_vector){ids, values, n};
    *at += 2 * n;
}

hd_status hd__job_output(const hd_job *job, const hd_sequence *s, const hd_rows *rows, hd_output *output, hd_error *err)
{
    const hd_encoder *e = job->model->encoder;
    const size_t n_tokens = (size_t)s->n_tokens;
    const size_t width = (size_t)e->n_token_out, hidden = job->model->settings.hidden;
    const size_t n_labels = (job->heads & HD_HEAD_SCORES) != 0 ? (size_t)e->n_labels : 0;
    hd_output o = {.n_token_vectors = (job->heads & HD_HEAD_MULTI) != 0 ? count_vectors(job, s) : 0,
                   .n_token_states = (job->heads & HD_HEAD_TOKENS) != 0 ? n_tokens : 0};
    const size_t n_token_values = o.n_token_vectors > 0 ? n_tokens * width : 0;
    weight *weights = NULL;
    size_t n_weights = 0;
    hd_status status = HD_OK;
    if (!all_finite(rows->token_vectors, n_token_values) || !all_finite(rows->token_states, o.n_token_states * hidden) ||
        !all_finite(rows->scores, n_labels))
        HD_TRY_OUT(not_finite(job, s->row, err));
    if ((job->heads & HD_HEAD_SPARSE) != 0)
        HD_TRY_OUT(make_weights(job, s, rows, &weights, &n_weights, err));
    const size_t n_values = o.n_token_vectors * width + o.n_token_states * hidden + n_labels + 2 * n_weights;
    float *at = hd__malloc((n_values + 1) * sizeof *at);
    if (at == NULL)
        HD_TRY_OUT(hd__fail(err, HD_ERR_MEMORY, "no memory for an output of %zu values", n_values));
    o.memory = at;
    if (o.n_token_vectors > 0)
        o.token_vectors = take_vectors(&at, job, s, rows->token_vectors, width);
    o.token_states = take_copy(&at, rows->token_states, o.n_token_states * hidden);
    if (n_labels > 0)
        activate(job, rows->scores, n_labels, at);
    o.scores = n_labels > 0 ? at : NULL;
    at += n_labels;
    if ((job->heads & HD_HEAD_SPARSE) != 0)
        put_weights(weights, n_weights, &at, &o.sparse);
    *output = o;
out:
    hd__free(weights);
    return status;
}

hd_status hd__job_store(hd_job *job, const hd_sequence *s, const hd_rows *rows, hd_error *err)
{
    const uint32_t n_vectors = s->n_parts > 0 ? s->n_parts : 1;
    const size_t width = (size_t)job->model->encoder->n_out;
    for (uint32_t k = 0; k < n_vectors && (job->heads & HD_HEAD_DENSE) != 0; k++)
        HD_TRY(hd__job_store_vector(job, s->row + k, rows->vectors + k * width, err));
    if (job->interaction != NULL)
        return hd__interaction_store(job, s, rows, err);
    if (job->scores != NULL) {
        if (!all_finite(rows->scores, 1))
            return not_finite(job, s->row, err);
        activate(job, rows->scores, 1, &job->scores[s->row]);
        return HD_OK;
    }
    return job->options.outputs != NULL ? hd__job_output(job, s, rows, &job->options.outputs[s->row], err) : HD_OK;
}

void hd_outputs_free(hd_output *outputs, size_t n)
{
    for (size_t i = 0; outputs != NULL && i < n; i++) {
        hd__free(outputs[i].memory);
        outputs[i] = (hd_output){0};
    }
}
