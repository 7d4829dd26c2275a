/* query_table.c - queries of sparse encoders that infer nothing for them: a query is its tokens, without specials, each with
 * the weight that a table has for it, however often it comes. Documents go through the model (model/router.h).
 *
 * A query is what has the prompt "query", or with a Router whose default route that is, no other.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/json.h"
#include "engine/engine_int.h"

/* ---- loading ---- */

static hd_status read_weights(hd_model *m, const hd_tensors *tensors, hd_error *err)
{
    const char *dir = m->settings.query_table;
    const hd_tensor *t = hd__tensors_find(tensors, "weight");
    if (t == NULL || t->n_dims != 1 || t->n_elements == 0 || t->n_elements > m->settings.vocab_size)
        return hd__fail(err, HD_ERR_FORMAT, "%s: no tensor \"weight\" of [1 to %u]", dir, m->settings.vocab_size);
    m->query_weights = hd__malloc(t->n_elements * sizeof *m->query_weights);
    if (m->query_weights == NULL)
        return hd__fail(err, HD_ERR_MEMORY, "%s: no memory for %llu weights", dir, (unsigned long long)t->n_elements);
    m->n_query_weights = (uint32_t)t->n_elements;
    HD_TRY(hd__tensor_read_f32(t, 0, t->n_elements, m->query_weights, err));
    for (uint32_t i = 0; i < m->n_query_weights; i++)
        if (m->query_weights[i] < 0.0f)
            return hd__fail(err, HD_ERR_UNSUPPORTED, "%s: token %u has the weight %g; Heddle's are not below 0", dir, i,
                            (double)m->query_weights[i]);
    return HD_OK;
}

/* What a tokenizer.json says of how texts are cut and filled up is the caller's choice. */
static hd_status read_tokenizer(const char *path, json_t **root, hd_error *err)
{
    HD_TRY(hd__json_read(path, root, err));
    json_object_del(*root, "truncation");
    json_object_del(*root, "padding");
    return HD_OK;
}

/* Whether two tokenizer.json differ. Libraries write both from one tokenizer: bytes tell nearly always. */
static hd_status compare_tokenizers(const char *const paths[2], bool *differ, hd_error *err)
{
    hd_file_map maps[2] = {0};
    json_t *roots[2] = {NULL, NULL};
    hd_status status = HD_OK;
    HD_TRY_OUT(hd__file_map_open(paths[0], &maps[0], err));
    HD_TRY_OUT(hd__file_map_open(paths[1], &maps[1], err));
    *differ = maps[0].bytes.len != maps[1].bytes.len || memcmp(maps[0].bytes.ptr, maps[1].bytes.ptr, maps[0].bytes.len) != 0;
    if (!*differ)
        goto out;
    HD_TRY_OUT(read_tokenizer(paths[0], &roots[0], err));
    HD_TRY_OUT(read_tokenizer(paths[1], &roots[1], err));
    *differ = !json_equal(roots[0], roots[1]);
out:
    for (size_t i = 0; i < 2; i++) {
        json_decref(roots[i]);
        hd__file_map_close(&maps[i]);
    }
    return status;
}

/* Ids of queries and documents are those of one vocabulary. */
static hd_status check_tokenizer(const hd_model *m, hd_error *err)
{
    const char *dirs[2] = {m->settings.tokenizer_dir, m->settings.query_table}, *paths[2];
    char texts[2][HD_LIMIT_PATH_BYTES];
    bool differ = false;
    for (size_t i = 0; i < 2; i++) {
        const int n = snprintf(texts[i], sizeof texts[i], "%s/tokenizer.json", dirs[i]);
        if (n < 0 || (size_t)n >= sizeof texts[i] || !hd__file_exists(texts[i]))
            return HD_OK;
        paths[i] = texts[i];
    }
    HD_TRY(compare_tokenizers(paths, &differ, err));
    return !differ ? HD_OK
                   : hd__fail(err, HD_ERR_UNSUPPORTED, "%s is not the tokenizer of documents; Heddle runs one for both",
                              paths[1]);
}

hd_status hd__query_table_open(hd_model *m, hd_error *err)
{
    hd_tensors *tensors;
    if (m->settings.query_table == NULL)
        return HD_OK;
    HD_TRY(check_tokenizer(m, err));
    HD_TRY(hd__tensors_open(m->settings.query_table, &tensors, err));
    const hd_status status = read_weights(m, tensors, err);
    hd__tensors_close(tensors);
    return status;
}

void hd__query_table_close(hd_model *m)
{
    hd__free(m->query_weights);
    m->query_weights = NULL;
    m->n_query_weights = 0;
}

/* ---- looking up ---- */

static int compare_ids(const void *a, const void *b)
{
    const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

hd_status hd__query_table_look_up(const hd_model *m, const int32_t *ids, size_t n, hd_output *output, hd_error *err)
{
    float *values = hd__malloc((2 * n + 1) * sizeof *values);
    uint32_t *kept = (uint32_t *)(void *)(values + n);
    size_t n_kept = 0, n_unlike = 0;
    if (values == NULL)
        return hd__fail(err, HD_ERR_MEMORY, "no memory for %zu weights", n);
    for (size_t i = 0; i < n; i++) {
        if ((uint32_t)ids[i] >= m->n_query_weights) {
            hd__free(values);
            return hd__fail(err, HD_ERR_FORMAT, "%s: token id %d, but there are weights for %u", m->settings.query_table,
                            ids[i], m->n_query_weights);
        }
        if (m->query_weights[ids[i]] > 0.0f)
            kept[n_kept++] = (uint32_t)ids[i];
    }
    if (n_kept > 0)
        qsort(kept, n_kept, sizeof *kept, compare_ids);
    for (size_t i = 0; i < n_kept; i++)
        if (n_unlike == 0 || kept[i] != kept[n_unlike - 1])
            kept[n_unlike++] = kept[i];
    for (size_t i = 0; i < n_unlike; i++)
        values[i] = m->query_weights[kept[i]];
    *output = (hd_output){.sparse = {kept, values, n_unlike}, .memory = values};
    return HD_OK;
}
