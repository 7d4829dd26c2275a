/* sparse_rows.c - see sparse_rows.h. Weights come by tokens, ascending; counting them by chunks keeps that order in each. */
#include "store/sparse_rows.h"

#include "base/alloc.h"
#include "base/half.h"
#include "store/segment.h"

typedef struct weight {
    uint32_t row, token;
    float value;
} weight;

typedef struct gathering {
    const hd_bitmap_ranks *ranks;
    hd_buffer weights;
} gathering;

static hd_status fail_memory(hd_error *err)
{
    return hd__fail(err, HD_ERR_MEMORY, "no memory for the sparse weights of chunks");
}

static hd_status gather(hd_span term, const uint32_t *ids, const uint16_t *payloads, size_t n, void *data, hd_error *err)
{
    gathering *g = data;
    uint32_t token = 0;
    for (size_t i = 0; i < term.len; i++)
        token = token << 8 | (unsigned char)term.ptr[i];
    for (size_t i = 0; i < n; i++) {
        if (!hd__bitmap_has(g->ranks->set, ids[i]))
            continue;
        const weight found = {hd__bitmap_rank(g->ranks, ids[i]), token, hd__float_of_bits(hd__half_widen(payloads[i]))};
        hd__buffer_append(&g->weights, &found, sizeof found);
    }
    return g->weights.failed ? fail_memory(err) : HD_OK;
}

static hd_status sort_by_rows(const gathering *g, hd_sparse_rows *rows, hd_error *err)
{
    const weight *weights = (const weight *)(const void *)g->weights.ptr;
    const size_t n = g->weights.len / sizeof *weights, n_rows = g->ranks->set->n_set;
    rows->begins = hd__calloc(n_rows + 1, sizeof *rows->begins);
    rows->tokens = hd__malloc(hd__mul(n + 1, sizeof *rows->tokens));
    rows->weights = hd__malloc(hd__mul(n + 1, sizeof *rows->weights));
    if (rows->begins == NULL || rows->tokens == NULL || rows->weights == NULL)
        return fail_memory(err);
    for (size_t i = 0; i < n; i++)
        rows->begins[weights[i].row]++;
    for (size_t row = 0, end = 0; row <= n_rows; row++)
        rows->begins[row] = end += rows->begins[row]; /* where each ends, for now */
    for (size_t i = n; i-- > 0;) {
        const size_t at = --rows->begins[weights[i].row];
        rows->tokens[at] = weights[i].token;
        rows->weights[at] = weights[i].value;
    }
    return HD_OK;
}

hd_status hd__sparse_rows_read(sqlite3 *db, const hd_bitmap *chunks, hd_sparse_rows *rows, hd_error *err)
{
    *rows = (hd_sparse_rows){0};
    HD_TRY(hd__bitmap_ranks_init(&rows->ranks, chunks, err));
    gathering g = {.ranks = &rows->ranks};
    hd__buffer_init(&g.weights);
    hd_status status = hd__segment_each_term(db, HD_SEGMENT_SPARSE, gather, &g, err);
    if (status == HD_OK)
        status = sort_by_rows(&g, rows, err);
    hd__buffer_clear(&g.weights);
    return status;
}

void hd__sparse_rows_clear(hd_sparse_rows *rows)
{
    hd__bitmap_ranks_clear(&rows->ranks);
    hd__free(rows->begins);
    hd__free(rows->tokens);
    hd__free(rows->weights);
    *rows = (hd_sparse_rows){0};
}

hd_sparse_vector hd__sparse_rows_get(const hd_sparse_rows *rows, hd_chunk_id id)
{
    if (!hd__bitmap_has(rows->ranks.set, id))
        return (hd_sparse_vector){0};
    const uint32_t row = hd__bitmap_rank(&rows->ranks, id);
    const size_t begin = rows->begins[row];
    return (hd_sparse_vector){rows->tokens + begin, rows->weights + begin, rows->begins[row + 1] - begin};
}
