/* merge.c - see merge.h. */
#include "encoder/merge.h"

#include "base/alloc.h"

/* The tensor's values times scale, as they are or transposed. */
static hd_status read_factor(const hd_tensor *t, bool transposed, double scale, float **out, hd_error *err)
{
    const size_t n = (size_t)t->n_elements, rows = (size_t)t->dims[0], columns = (size_t)t->dims[1];
    float *plain = hd__malloc(hd__mul(n, sizeof *plain));
    float *turned = transposed ? hd__malloc(hd__mul(n, sizeof *turned)) : NULL;
    hd_status status = plain != NULL && (turned != NULL || !transposed)
                           ? hd__tensor_read_f32(t, 0, n, plain, err)
                           : hd__fail(err, HD_ERR_MEMORY, "%s: no memory for tensor \"%s\"", t->file, t->name);
    for (size_t i = 0; status == HD_OK && i < n; i++)
        plain[i] = (float)(scale * (double)plain[i]);
    for (size_t i = 0; status == HD_OK && transposed && i < n; i++)
        turned[i % columns * rows + i / columns] = plain[i];
    if (status == HD_OK)
        *out = transposed ? turned : plain;
    if (status != HD_OK || transposed)
        hd__free(plain);
    if (status != HD_OK)
        hd__free(turned);
    return status;
}

hd_status hd__merge_begin(const hd_peft *peft, const char *module, bool is_table, size_t rows, size_t k, hd_merge *merge,
                          hd_error *err)
{
    const hd_peft_pair *pair = peft != NULL ? hd__peft_find(peft, module) : NULL;
    *merge = (hd_merge){.k = k};
    if (pair == NULL)
        return HD_OK;
    const hd_tensor *a = pair->a, *b = pair->b;
    const size_t a_columns = is_table ? rows : k, b_rows = is_table ? k : rows;
    if (pair->is_table != is_table || a->dims[1] != a_columns || b->dims[0] != b_rows)
        return hd__fail(err, HD_ERR_FORMAT, "%s: tensors \"%s\" and \"%s\" do not fit \"%s\", which is [%zu, %zu]", a->file,
                        a->name, b->name, module, rows, k);
    merge->rank = (size_t)a->dims[0];
    HD_TRY(read_factor(is_table ? a : b, is_table, pair->scale, &merge->left, err));
    return read_factor(is_table ? b : a, is_table, 1.0, &merge->right, err);
}

void hd__merge_rows(const hd_merge *m, size_t first, size_t n, float *rows)
{
    for (size_t i = 0; m->left != NULL && i < n; i++) {
        float *row = rows + i * m->k;
        for (size_t r = 0; r < m->rank; r++) {
            const float by = m->left[(first + i) * m->rank + r], *right = m->right + r * m->k;
            for (size_t j = 0; j < m->k; j++)
                row[j] += by * right[j];
        }
    }
}

void hd__merge_end(hd_merge *m)
{
    hd__free(m->left);
    hd__free(m->right);
    *m = (hd_merge){0};
}
