/* blas.c - libcublasLt.so.13 of the simulated device: see cuda_sim.h. Matrices lie column by column; D = alpha op(A) op(B) +
 * beta C, and a bias for each row, in plain loops. A choice of a kernel serves the layouts, types and alignments that it was
 * asked for, and no others, and the memory it is lent is overwritten.
 *
 * What it has is in the table of types of the manual's "cublasLtMatmul": products of floats are stored in f32, those of bf16
 * and f16 also in their own type, which C and the bias are of, too; past the range of f16 is an infinity. Where schemes of
 * reduction are allowed that keep parts of sums in D's type, a half of each sum is rounded to it.
 *
 * Of products of bytes the manual says: sums are int32, A is transposed and B is not, addresses are multiples of 4, and so
 * are leading dimensions and the sizes of D and of what is summed over.
 *
 * Of products of E4M3 ("cublasLtMatmul", to use FP8 kernels): compute capability 8.9, sums and scales in f32, A transposed
 * and B not, addresses at multiples of 16 bytes, and so are leading dimensions, columns of D and what is summed over
 * ("Tensor Core Usage"); a bias would be 16 bits.
 *
 * And what is in no manual: there is no preference for a bias's alignment, and kernels read it 16 bytes at a time
 * (pytorch/pytorch, pull request 194497), so that another one is a fault; while a stream is captured it answers no question
 * about kernels (CUDA 13.3: mudler/vllm.cpp, issue 1732).
 */
#include <cublasLt.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "access.h"
#include "driver.h"
#include "grid.h"
#include "halves.h"

#define WORKSPACE_ALIGNMENT 256
#define BIAS_ALIGNMENT 16

struct cublasLtContext {
    CUcontext context;
};

/* In the opaque structs' words. */
typedef struct layout {
    uint64_t rows, columns;
    int64_t leading;
    uint32_t type, unused;
} layout;

typedef struct operation {
    uint32_t compute, scale, transposes_a, transposes_b, epilogue;
    uint32_t unused;
    const void *bias; /* of a product, of D's type; NULL in a choice */
} operation;

typedef struct preference {
    uint64_t workspace_bytes;
    uint32_t alignments[4]; /* of A, B, C, D */
    uint32_t reductions, unused;
} preference;

/* What a choice was made for. */
typedef struct algorithm {
    layout a, b, d;
    operation operation;
    uint32_t alignments[4];
    uint64_t rounds_parts; /* of sums */
} algorithm;

#define IS(opaque) (*(const layout *)(const void *)(opaque))

_Static_assert(sizeof(layout) <= sizeof(cublasLtMatrixLayoutOpaque_t) &&
                   sizeof(operation) <= sizeof(cublasLtMatmulDescOpaque_t) &&
                   sizeof(preference) <= sizeof(cublasLtMatmulPreferenceOpaque_t),
               "they are kept in the opaque structs");

/* ---- descriptors ---- */

static cublasStatus_t new_opaque(void **out, size_t bytes)
{
    *out = calloc(1, bytes);
    return *out != NULL ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_ALLOC_FAILED;
}

cublasStatus_t cublasLtCreate(cublasLtHandle_t *handle)
{
    const int ordered = sim_ordered("cublasLtCreate");
    void *memory = NULL;
    if (ordered != 0)
        return (cublasStatus_t)ordered;
    if (sim_current_context() == NULL)
        return CUBLAS_STATUS_NOT_INITIALIZED;
    const cublasStatus_t status = new_opaque(&memory, sizeof **handle);
    *handle = memory;
    if (memory != NULL)
        (*handle)->context = sim_current_context();
    return status;
}

cublasStatus_t cublasLtDestroy(cublasLtHandle_t handle)
{
    free(handle);
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t *out, cublasComputeType_t compute, cudaDataType_t scale)
{
    void *memory;
    const cublasStatus_t status = new_opaque(&memory, sizeof **out);
    if (status != CUBLAS_STATUS_SUCCESS)
        return status;
    *out = memory;
    *(operation *)memory =
        (operation){.compute = (uint32_t)compute, .scale = (uint32_t)scale, .epilogue = CUBLASLT_EPILOGUE_DEFAULT};
    return status;
}

cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t description)
{
    free(description);
    return CUBLAS_STATUS_SUCCESS;
}

static cublasStatus_t set(void *field, size_t field_bytes, const void *value, size_t bytes)
{
    if (field == NULL || field_bytes != bytes)
        return CUBLAS_STATUS_INVALID_VALUE;
    memcpy(field, value, bytes);
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t description, cublasLtMatmulDescAttributes_t attribute,
                                              const void *value, size_t bytes)
{
    operation *o = (operation *)(void *)description;
    switch (attribute) {
    case CUBLASLT_MATMUL_DESC_TRANSA: return set(&o->transposes_a, sizeof o->transposes_a, value, bytes);
    case CUBLASLT_MATMUL_DESC_TRANSB: return set(&o->transposes_b, sizeof o->transposes_b, value, bytes);
    case CUBLASLT_MATMUL_DESC_EPILOGUE: return set(&o->epilogue, sizeof o->epilogue, value, bytes);
    case CUBLASLT_MATMUL_DESC_BIAS_POINTER: return set(&o->bias, sizeof o->bias, value, bytes);
    }
    return CUBLAS_STATUS_INVALID_VALUE;
}

cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t *out, cudaDataType_t type, uint64_t rows, uint64_t columns,
                                          int64_t leading)
{
    void *memory;
    const cublasStatus_t status = new_opaque(&memory, sizeof **out);
    if (status != CUBLAS_STATUS_SUCCESS)
        return status;
    *out = memory;
    *(layout *)memory = (layout){.type = (uint32_t)type, .rows = rows, .columns = columns, .leading = leading};
    return status;
}

cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t description)
{
    free(description);
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatrixLayoutSetAttribute(cublasLtMatrixLayout_t description,
                                                cublasLtMatrixLayoutAttribute_t attribute, const void *value, size_t bytes)
{
    layout *l = (layout *)(void *)description;
    switch (attribute) {
    case CUBLASLT_MATRIX_LAYOUT_TYPE: return set(&l->type, sizeof l->type, value, bytes);
    case CUBLASLT_MATRIX_LAYOUT_ROWS: return set(&l->rows, sizeof l->rows, value, bytes);
    case CUBLASLT_MATRIX_LAYOUT_COLS: return set(&l->columns, sizeof l->columns, value, bytes);
    case CUBLASLT_MATRIX_LAYOUT_LD: return set(&l->leading, sizeof l->leading, value, bytes);
    }
    return CUBLAS_STATUS_INVALID_VALUE;
}

cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t *out)
{
    void *memory;
    const cublasStatus_t status = new_opaque(&memory, sizeof **out);
    if (status != CUBLAS_STATUS_SUCCESS)
        return status;
    *out = memory;
    *(preference *)memory = (preference){.alignments = {256, 256, 256, 256}, .reductions = CUBLASLT_REDUCTION_SCHEME_MASK};
    return status;
}

cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t description)
{
    free(description);
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t description,
                                                    cublasLtMatmulPreferenceAttributes_t attribute, const void *value,
                                                    size_t bytes)
{
    preference *p = (preference *)(void *)description;
    const int operand = (int)attribute - CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES;
    if (attribute == CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES)
        return set(&p->workspace_bytes, sizeof p->workspace_bytes, value, bytes);
    if (attribute == CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK)
        return set(&p->reductions, sizeof p->reductions, value, bytes);
    if (operand < 0 || operand > 3)
        return CUBLAS_STATUS_INVALID_VALUE;
    return set(&p->alignments[operand], sizeof p->alignments[operand], value, bytes);
}

/* ---- choices ---- */

static size_t value_bytes(uint32_t type)
{
    return type == CUDA_R_8I || type == CUDA_R_8F_E4M3 ? 1 : type == CUDA_R_16BF || type == CUDA_R_16F ? 2 : 4;
}

static bool are_bytes(const algorithm *w)
{
    return w->operation.compute == CUBLAS_COMPUTE_32I && w->operation.scale == CUDA_R_32I && w->a.type == CUDA_R_8I &&
           w->b.type == CUDA_R_8I && w->d.type == CUDA_R_32I && w->operation.epilogue == CUBLASLT_EPILOGUE_DEFAULT;
}

static bool are_floats(const algorithm *w)
{
    return w->operation.compute == CUBLAS_COMPUTE_32F && w->operation.scale == CUDA_R_32F && w->a.type == w->b.type &&
           (w->a.type == CUDA_R_32F || w->a.type == CUDA_R_16BF || w->a.type == CUDA_R_16F) &&
           (w->d.type == CUDA_R_32F || w->d.type == w->a.type) &&
           (w->operation.epilogue == CUBLASLT_EPILOGUE_DEFAULT || w->operation.epilogue == CUBLASLT_EPILOGUE_BIAS);
}

static bool are_f8(const algorithm *w)
{
    return w->operation.compute == CUBLAS_COMPUTE_32F && w->operation.scale == CUDA_R_32F && w->a.type == CUDA_R_8F_E4M3 &&
           w->b.type == CUDA_R_8F_E4M3 && w->d.type == CUDA_R_32F && w->operation.epilogue == CUBLASLT_EPILOGUE_DEFAULT &&
           sim_capability() >= 89;
}

/* Sizes fit each other, and a column its leading dimension. */
static bool are_sizes_right(const algorithm *w)
{
    const bool ta = w->operation.transposes_a == CUBLAS_OP_T, tb = w->operation.transposes_b == CUBLAS_OP_T;
    const uint64_t m = ta ? w->a.columns : w->a.rows, k = ta ? w->a.rows : w->a.columns;
    const uint64_t n = tb ? w->b.rows : w->b.columns;
    return k == (tb ? w->b.columns : w->b.rows) && m == w->d.rows && n == w->d.columns &&
           w->a.leading >= (int64_t)w->a.rows && w->b.leading >= (int64_t)w->b.rows && w->d.leading >= (int64_t)w->d.rows;
}

static bool is_supported(const algorithm *w)
{
    const char *has = getenv("CUDA_SIM_PRODUCTS");
    const bool aligned_only = has != NULL && strcmp(has, "aligned") == 0;
    const layout *const all[] = {&w->a, &w->b, &w->d};
    static const size_t alignment_of[] = {0, 1, 3};
    for (size_t i = 0; i < 3; i++) {
        const size_t bytes = value_bytes(all[i]->type), leading = (size_t)all[i]->leading * bytes;
        const uint32_t alignment = w->alignments[alignment_of[i]];
        const uint32_t least = aligned_only || are_f8(w) ? 16 : are_bytes(w) ? 4 : (uint32_t)bytes;
        if (alignment % least != 0 || leading % least != 0)
            return false;
    }
    if (are_bytes(w) && (w->operation.transposes_a != CUBLAS_OP_T || w->operation.transposes_b != CUBLAS_OP_N ||
                         w->a.rows % 4 != 0 || w->d.rows % 4 != 0))
        return false;
    if (are_f8(w) && (w->operation.transposes_a != CUBLAS_OP_T || w->operation.transposes_b != CUBLAS_OP_N ||
                      w->a.rows % 16 != 0 || w->d.rows * sizeof(float) % 16 != 0))
        return false;
    return has == NULL || strcmp(has, "none") != 0;
}

/* A number that stands for all of it. */
static uint64_t hash_of(const algorithm *w)
{
    const unsigned char *bytes = (const unsigned char *)w;
    uint64_t hash = UINT64_C(14695981039346656037);
    for (size_t i = 0; i < sizeof *w; i++)
        hash = (hash ^ bytes[i]) * UINT64_C(1099511628211);
    return hash;
}

/* NULL: none. */
static const void *bias_of(cublasLtMatmulDesc_t description)
{
    const operation *o = (const operation *)(const void *)description;
    return o->epilogue == CUBLASLT_EPILOGUE_BIAS ? o->bias : NULL;
}

static algorithm wanted(cublasLtMatmulDesc_t description, cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                        cublasLtMatrixLayout_t d)
{
    algorithm w = {.a = IS(a), .b = IS(b), .d = IS(d), .operation = *(const operation *)(const void *)description};
    w.operation.bias = NULL;
    return w;
}

cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t handle, cublasLtMatmulDesc_t description,
                                              cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b, cublasLtMatrixLayout_t c,
                                              cublasLtMatrixLayout_t d, cublasLtMatmulPreference_t preferences, int n_wanted,
                                              cublasLtMatmulHeuristicResult_t *results, int *n_found)
{
    const preference *p = (const preference *)(const void *)preferences;
    const int ordered = sim_ordered("cublasLtMatmulAlgoGetHeuristic");
    algorithm w = wanted(description, a, b, d);
    *n_found = 0;
    memcpy(w.alignments, p->alignments, sizeof w.alignments);
    w.rounds_parts = (p->reductions & (CUBLASLT_REDUCTION_SCHEME_INPLACE | CUBLASLT_REDUCTION_SCHEME_OUTPUT_TYPE)) != 0;
    if (ordered != 0)
        return (cublasStatus_t)ordered;
    if (sim_is_capturing())
        return CUBLAS_STATUS_INTERNAL_ERROR;
    if (handle->context != sim_current_context() || c != d || n_wanted < 1 || !are_sizes_right(&w))
        return CUBLAS_STATUS_INVALID_VALUE;
    if (w.operation.epilogue == CUBLASLT_EPILOGUE_BIAS && bias_of(description) == NULL)
        return CUBLAS_STATUS_INVALID_VALUE;
    if ((!are_bytes(&w) && !are_floats(&w) && !are_f8(&w)) || !is_supported(&w))
        return CUBLAS_STATUS_NOT_SUPPORTED;
    memset(results, 0, sizeof *results);
    results->state = CUBLAS_STATUS_SUCCESS;
    results->workspaceSize = (size_t)p->workspace_bytes;
    results->algo.data[0] = p->workspace_bytes;
    memcpy(&results->algo.data[1], w.alignments, sizeof w.alignments);
    results->algo.data[3] = hash_of(&w);
    results->algo.data[4] = w.rounds_parts;
    *n_found = 1;
    return CUBLAS_STATUS_SUCCESS;
}

/* ---- products ---- */

typedef struct product {
    algorithm what;
    const void *a, *b;
    const void *bias; /* NULL: none */
    bool adds;        /* to what is there */
    void *d, *workspace;
    size_t workspace_bytes;
} product;

static float f32_of_f8(uint32_t bits)
{
    const uint32_t exponent = bits >> 3 & 15, fraction = bits & 7;
    const float size = (bits & 127) == 127 ? NAN
                       : exponent == 0     ? (float)fraction * 0x1p-9f
                                           : (float)(fraction + 8) * 0x1p-10f * (float)(1u << exponent);
    return bits >> 7 != 0 ? -size : size;
}

static float value_at(uint32_t type, const void *values, size_t i)
{
    return type == CUDA_R_32F       ? ((const float *)values)[i]
           : type == CUDA_R_8F_E4M3 ? f32_of_f8(((const uint8_t *)values)[i])
           : type == CUDA_R_16F     ? sim_f32_of_f16(((const uint16_t *)values)[i])
                                    : sim_f32_of_bf16(((const uint16_t *)values)[i]);
}

static void put(uint32_t type, void *values, size_t i, float value)
{
    if (type == CUDA_R_32F)
        ((float *)values)[i] = value;
    else
        ((uint16_t *)values)[i] = (uint16_t)(type == CUDA_R_16F ? sim_f16_of(value) : sim_bf16_of(value));
}

static float rounded(uint32_t type, float value)
{
    float memory = value;
    put(type, &memory, 0, value);
    return value_at(type, &memory, 0);
}

/* Element k of the sum's first or second factor. */
static size_t place_of(const layout *l, bool k_is_row, uint64_t k, uint64_t other)
{
    return (size_t)(k_is_row ? k + other * (uint64_t)l->leading : other + k * (uint64_t)l->leading);
}

/* Bytes times zeros may be of memory that nobody wrote: anything times 0 is 0. */
static int32_t sum_of_bytes(const product *p, uint64_t row, uint64_t column)
{
    const layout *a = &p->what.a, *b = &p->what.b;
    int32_t sum = 0;
    for (uint64_t k = 0; k < a->rows; k++) {
        const int8_t *x = (const int8_t *)p->a + place_of(a, true, k, row),
                     *y = (const int8_t *)p->b + place_of(b, true, k, column);
        if (*x != 0 && !sim_check_is_written(y, 1))
            sim_fault("a product of bytes: byte %llu of column %llu was never written", (unsigned long long)k,
                      (unsigned long long)column);
        sum += *x * *y;
    }
    return sum;
}

static float sum_of_floats(const product *p, uint64_t row, uint64_t column, bool ta, bool tb)
{
    const layout *a = &p->what.a, *b = &p->what.b;
    const uint64_t n = ta ? a->rows : a->columns;
    float sum = 0.0f;
    for (uint64_t k = 0; k < n; k++) {
        sum += value_at(a->type, p->a, place_of(a, ta, k, row)) * value_at(b->type, p->b, place_of(b, !tb, k, column));
        sum = p->what.rounds_parts && k == n / 2 ? rounded(p->what.d.type, sum) : sum;
    }
    return sum;
}

static void check_operand(const char *what, const layout *l, const void *address, bool writes)
{
    const size_t bytes = value_bytes(l->type);
    for (uint64_t column = 0; column < l->columns; column++)
        sim_check_range(what, (const char *)address + (size_t)column * (size_t)l->leading * bytes, (size_t)l->rows * bytes,
                        writes);
}

static void run_product(const void *data)
{
    const product *p = data;
    const algorithm *w = &p->what;
    const bool ta = w->operation.transposes_a == CUBLAS_OP_T, tb = w->operation.transposes_b == CUBLAS_OP_T;
    check_operand("a product's first operand", &w->a, p->a, false);
    if (!are_bytes(w))
        check_operand("a product's second operand", &w->b, p->b, false);
    if (p->adds)
        check_operand("what a product adds to", &w->d, p->d, false);
    if ((uintptr_t)p->bias % BIAS_ALIGNMENT != 0)
        sim_fault("a product's bias is at %p, which is no multiple of %d", p->bias, BIAS_ALIGNMENT);
    if (p->bias != NULL)
        sim_check_range("a product's bias", p->bias, (size_t)w->d.rows * value_bytes(w->d.type), false);
    check_operand("what a product writes", &w->d, p->d, true);
    if (p->workspace_bytes > 0)
        memset(p->workspace, 0xff, p->workspace_bytes < 4096 ? p->workspace_bytes : 4096);
    for (uint64_t column = 0; column < w->d.columns; column++) {
        for (uint64_t row = 0; row < w->d.rows; row++) {
            const size_t at = place_of(&w->d, true, row, column);
            if (are_bytes(w))
                ((int32_t *)p->d)[at] = sum_of_bytes(p, row, column);
            else
                put(w->d.type, p->d, at,
                    (p->adds ? value_at(w->d.type, p->d, at) : 0.0f) + sum_of_floats(p, row, column, ta, tb) +
                        (p->bias != NULL ? value_at(w->d.type, p->bias, (size_t)row) : 0.0f));
        }
    }
    sim_count_product();
}

static bool is_aligned(const void *address, uint32_t alignment)
{
    return (uintptr_t)address % alignment == 0;
}

/* alpha is 1 and beta 0, or of floats 1, in the type of the sums: nothing else is asked for. */
static bool are_scales_plain(const algorithm *w, const void *alpha, const void *beta, bool *adds)
{
    static const float one = 1.0f, zero = 0.0f;
    static const int32_t whole_one = 1, whole_zero = 0;
    *adds = !are_bytes(w) && memcmp(beta, &one, 4) == 0;
    return memcmp(alpha, are_bytes(w) ? (const void *)&whole_one : &one, 4) == 0 &&
           (*adds || memcmp(beta, are_bytes(w) ? (const void *)&whole_zero : &zero, 4) == 0);
}

cublasStatus_t cublasLtMatmul(cublasLtHandle_t handle, cublasLtMatmulDesc_t description, const void *alpha, const void *a,
                              cublasLtMatrixLayout_t a_layout, const void *b, cublasLtMatrixLayout_t b_layout,
                              const void *beta, const void *c, cublasLtMatrixLayout_t c_layout, void *d,
                              cublasLtMatrixLayout_t d_layout, const cublasLtMatmulAlgo_t *choice, void *workspace,
                              size_t workspace_bytes, cudaStream_t stream)
{
    const int ordered = sim_ordered("cublasLtMatmul");
    product p = {.what = wanted(description, a_layout, b_layout, d_layout),
                 .a = a,
                 .b = b,
                 .bias = bias_of(description),
                 .d = d,
                 .workspace = workspace,
                 .workspace_bytes = workspace_bytes};
    if (ordered != 0)
        return (cublasStatus_t)ordered;
    memcpy(p.what.alignments, &choice->data[1], sizeof p.what.alignments);
    p.what.rounds_parts = choice->data[4];
    const uint32_t *alignments = p.what.alignments;
    if (handle->context != sim_current_context() || c != d || c_layout != d_layout || workspace_bytes < choice->data[0] ||
        hash_of(&p.what) != choice->data[3] || !are_scales_plain(&p.what, alpha, beta, &p.adds) ||
        !is_aligned(a, alignments[0]) || !is_aligned(b, alignments[1]) || !is_aligned(d, alignments[3]) ||
        !is_aligned(workspace, WORKSPACE_ALIGNMENT))
        return CUBLAS_STATUS_INVALID_VALUE;
    return sim_stream_add(stream, run_product, &p, sizeof p) ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_EXECUTION_FAILED;
}
