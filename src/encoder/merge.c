/* merge.c - see merge.h.
 *
 * Inputs of a product are padded to 64 (gemm.h), so that a rank of 16 costs as much as one of 64: still a fifth of what
 * plain loops take. Products are of blocks that have room on the stack.
 */
#include "encoder/merge.h"

#include "base/alloc.h"

enum {
    MERGE_RANK = K_PAD,               /* inputs of a product */
    COLUMNS = K_PANEL * K_PANEL_STEP, /* outputs */
    ROWS = 64,
    STRIDE = K_PAD + K_PANEL /* of rows of both: an odd number of cache lines */
};

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

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Values of the panels of a product of MERGE_RANK inputs. */
static size_t panel_values(const hd_merge *m)
{
    return hd__mul(hd__round_up(m->k, COLUMNS), MERGE_RANK);
}

/* Packs [k, rank] of f32. */
static hd_status pack_right(hd_merge *m, const float *right, const hd_tensor *t, hd_error *err)
{
    float block[K_PANEL * MERGE_RANK];
    const size_t n = panel_values(m), n_products = (m->rank + MERGE_RANK - 1) / MERGE_RANK;
    const size_t bytes = hd__mul(hd__mul(n, n_products), sizeof *m->panels);
    m->panels = hd__malloc_aligned(bytes);
    if (m->panels == NULL)
        return hd__fail(err, HD_ERR_MEMORY, "%s: no memory for tensor \"%s\"", t->file, t->name);
    memset(m->panels, 0, bytes);
    for (size_t p = 0; p < n_products; p++) {
        const size_t inputs = least(m->rank - p * MERGE_RANK, MERGE_RANK);
        for (size_t first = 0; first < m->k; first += K_PANEL) {
            const size_t n_rows = least(m->k - first, K_PANEL);
            for (size_t i = 0; i < n_rows; i++)
                memcpy(block + i * inputs, right + (first + i) * m->rank + p * MERGE_RANK, inputs * sizeof *block);
            k_pack_rows(K_F32, false, (int)inputs, (int)first, (int)n_rows, block, m->panels + p * n, NULL, NULL);
        }
    }
    return HD_OK;
}

hd_status hd__merge_begin(const hd_peft *peft, const char *module, bool is_table, size_t rows, size_t k, hd_merge *merge,
                          hd_error *err)
{
    const hd_peft_pair *pair = peft != NULL ? hd__peft_find(peft, module) : NULL;
    hd_kernels kernels;
    float *right;
    *merge = (hd_merge){.k = k};
    if (pair == NULL)
        return HD_OK;
    hd__kernels_fill(&kernels);
    merge->gemm = kernels.gemm_f32;
    const hd_tensor *a = pair->a, *b = pair->b;
    const size_t a_columns = is_table ? rows : k, b_rows = is_table ? k : rows;
    if (pair->is_table != is_table || a->dims[1] != a_columns || b->dims[0] != b_rows)
        return hd__fail(err, HD_ERR_FORMAT, "%s: tensors \"%s\" and \"%s\" do not fit \"%s\", which is [%zu, %zu]", a->file,
                        a->name, b->name, module, rows, k);
    merge->rank = (size_t)a->dims[0];
    HD_TRY(read_factor(is_table ? a : b, is_table, pair->scale, &merge->left, err));
    HD_TRY(read_factor(is_table ? b : a, !is_table, 1.0, &right, err));
    const hd_status status = pack_right(merge, right, is_table ? b : a, err);
    hd__free(right);
    return status;
}

/* By whole cache lines, which the compiler makes vectors of. */
static void add_values(float *restrict to, const float *restrict values, size_t n)
{
    enum { LINE = 16 };
    size_t i = 0;
    for (; i + LINE <= n; i += LINE)
        for (size_t j = 0; j < LINE; j++)
            to[i + j] += values[i + j];
    for (; i < n; i++)
        to[i] += values[i];
}

/* Adds a block of n rows and COLUMNS columns from `column` on; what is right of the row's end is zero. */
static void add_block(const hd_merge *m, const float *left, size_t n, const float *panels, size_t column, float *rows)
{
    static const float no_bias[COLUMNS];
    float sums[ROWS * STRIDE] __attribute__((aligned(64)));
    const size_t n_columns = least(m->k - column, COLUMNS);
    m->gemm(&(k_gemm){
        .w = &(k_weights){.type = K_F32,
                          .n = COLUMNS,
                          .k = MERGE_RANK,
                          .n_pad = COLUMNS,
                          .k_pad = MERGE_RANK,
                          .panels = panels + column * MERGE_RANK,
                          .bias = no_bias},
        .a = left,
        .a_stride = STRIDE,
        .rows = (int)n,
        .panel_end = K_PANEL_STEP,
        .epilogue = K_STORE,
        .out_type = K_F32,
        .out = sums,
        .out_stride = STRIDE,
    });
    for (size_t i = 0; i < n; i++)
        add_values(rows + i * m->k + column, sums + i * STRIDE, n_columns);
}

/* Adds to n rows what MERGE_RANK of the rank, or the rest of them, make of them. */
static void add_product(const hd_merge *m, size_t first, size_t n, size_t product, float *rows)
{
    float left[ROWS * STRIDE] __attribute__((aligned(64))) = {0};
    const size_t begin = product * MERGE_RANK, inputs = least(m->rank - begin, MERGE_RANK);
    for (size_t i = 0; i < n; i++)
        memcpy(left + i * STRIDE, m->left + (first + i) * m->rank + begin, inputs * sizeof *left);
    for (size_t column = 0; column < m->k; column += COLUMNS)
        add_block(m, left, n, m->panels + product * panel_values(m), column, rows);
}

void hd__merge_rows(const hd_merge *m, size_t first, size_t n, float *rows)
{
    for (size_t at = 0, some; m->left != NULL && at < n; at += some) {
        some = least(n - at, ROWS);
        for (size_t product = 0; product * MERGE_RANK < m->rank; product++)
            add_product(m, first + at, some, product, rows + at * m->k);
    }
}

void hd__merge_end(hd_merge *m)
{
    hd__free(m->left);
    hd__free(m->panels);
    *m = (hd_merge){0};
}
