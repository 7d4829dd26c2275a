/* products.c - see products.h. Which of its kernels cuBLASLt would take for a shape is asked once and kept, as asking costs
 * more than a small product; where there is no room in a shape's part of the table, the one used longest ago goes. It is not
 * asked during a capture: cuBLASLt of CUDA 13.3 answers with an error then (mudler/vllm.cpp, issue 1732).
 *
 * A bias that cuBLASLt adds begins at a multiple of 16 bytes: it has no preference for a bias's alignment, and chooses
 * kernels that need that much (pytorch/pytorch, pull request 194497).
 *
 * Products of 16 bits are stored in f32 or in their own type, and a bias is of the type that is stored: cublasLtMatmul's
 * table of types has no others. Parts of a sum, where there are some (split k), are kept in f32 in either case: schemes of
 * reduction that keep them in the type that is stored are not asked for.
 *
 * Source: cuBLAS reference manual 13.0, "Using the cuBLASLt API".
 */
#include "products.h"

#include <stdio.h>
#include <string.h>

#include "stream.h"

#define N_CHOICES 512
#define N_WAYS 8 /* places of the table that a shape may have: more than there are shapes in a pass of most models */
#define BIAS_ALIGNMENT 16
#define N_TYPES 5
#define MOST_ALIGNMENT 256
#define BYTES_DEPTH 64 /* weights of bytes are zeros up to a multiple of it */

/* All that the choice of a kernel depends on. */
typedef struct product_shape {
    uint64_t w_stride, a_stride, sums_stride;
    int16_t type, sums_type;
    int32_t channels, rows, k;
    uint32_t w_alignment, a_alignment, sums_alignment, bias_alignment; /* 0: no bias. No byte of a key is padding */
} product_shape;

typedef struct choice {
    product_shape shape;
    uint64_t used_at;
    bool is_known, is_ours; /* cuBLASLt has answered; has none */
    cublasLtMatmulAlgo_t algorithm;
} choice;

struct products {
    cublasLtHandle_t handle;
    cublasLtMatmulDesc_t operations[N_TYPES], biased[N_TYPES]; /* the latter with a bias, of what has no scales */
    cublasLtMatrixLayout_t w, a, sums;                         /* set anew for each product */
    cublasLtMatmulPreference_t preference;
    CUdeviceptr workspace, sums_memory;
    choice choices[N_CHOICES / N_WAYS][N_WAYS];
    uint64_t now; /* counts products */
};

typedef struct arithmetic {
    cublasComputeType_t compute;
    cudaDataType_t scale, values, sums; /* sums: in memory, where product_part's sums_type is this one */
} arithmetic;

static const arithmetic arithmetics[N_TYPES] = {
    [HD_PLUGIN_F32] = {CUBLAS_COMPUTE_32F, CUDA_R_32F, CUDA_R_32F, CUDA_R_32F},
    [HD_PLUGIN_BF16] = {CUBLAS_COMPUTE_32F, CUDA_R_32F, CUDA_R_16BF, CUDA_R_16BF},
    [HD_PLUGIN_I8] = {CUBLAS_COMPUTE_32I, CUDA_R_32I, CUDA_R_8I, CUDA_R_32I},
    [HD_PLUGIN_F16] = {CUBLAS_COMPUTE_32F, CUDA_R_32F, CUDA_R_16F, CUDA_R_16F},
    [HD_PLUGIN_F8] = {CUBLAS_COMPUTE_32F, CUDA_R_32F, CUDA_R_8F_E4M3, CUDA_R_32F},
};

/* Whether our epilogue scales what a product's sums come to. */
static bool is_scaled(hd_plugin_type type)
{
    return type == HD_PLUGIN_I8 || type == HD_PLUGIN_F8;
}

/* ---- opening ---- */

static cublasStatus_t open_operation(cublasLtMatmulDesc_t *operation, const arithmetic *types, cublasLtEpilogue_t epilogue)
{
    const cublasOperation_t transposed = CUBLAS_OP_T;
    const uint32_t after = (uint32_t)epilogue;
    cublasStatus_t status = cuda.cublasLtMatmulDescCreate(operation, types->compute, types->scale);
    if (status == CUBLAS_STATUS_SUCCESS)
        status =
            cuda.cublasLtMatmulDescSetAttribute(*operation, CUBLASLT_MATMUL_DESC_TRANSA, &transposed, sizeof transposed);
    if (status == CUBLAS_STATUS_SUCCESS)
        status = cuda.cublasLtMatmulDescSetAttribute(*operation, CUBLASLT_MATMUL_DESC_EPILOGUE, &after, sizeof after);
    return status;
}

static cublasStatus_t open_operations(products *p)
{
    cublasStatus_t status = CUBLAS_STATUS_SUCCESS;
    for (size_t i = 0; i < N_TYPES && status == CUBLAS_STATUS_SUCCESS; i++) {
        status = open_operation(&p->operations[i], &arithmetics[i], CUBLASLT_EPILOGUE_DEFAULT);
        if (status == CUBLAS_STATUS_SUCCESS && !is_scaled((hd_plugin_type)i))
            status = open_operation(&p->biased[i], &arithmetics[i], CUBLASLT_EPILOGUE_BIAS);
    }
    return status;
}

static cublasStatus_t open_all(products *p)
{
    const size_t bytes = WORKSPACE_BYTES;
    const uint32_t reductions = CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE;
    cublasStatus_t status = cuda.cublasLtCreate(&p->handle);
    if (status == CUBLAS_STATUS_SUCCESS)
        status = open_operations(p);
    if (status == CUBLAS_STATUS_SUCCESS)
        status = cuda.cublasLtMatrixLayoutCreate(&p->w, CUDA_R_32F, 1, 1, 1);
    if (status == CUBLAS_STATUS_SUCCESS)
        status = cuda.cublasLtMatrixLayoutCreate(&p->a, CUDA_R_32F, 1, 1, 1);
    if (status == CUBLAS_STATUS_SUCCESS)
        status = cuda.cublasLtMatrixLayoutCreate(&p->sums, CUDA_R_32F, 1, 1, 1);
    if (status == CUBLAS_STATUS_SUCCESS)
        status = cuda.cublasLtMatmulPreferenceCreate(&p->preference);
    if (status == CUBLAS_STATUS_SUCCESS)
        status = cuda.cublasLtMatmulPreferenceSetAttribute(p->preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &bytes,
                                                           sizeof bytes);
    if (status == CUBLAS_STATUS_SUCCESS)
        status = cuda.cublasLtMatmulPreferenceSetAttribute(p->preference, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK,
                                                           &reductions, sizeof reductions);
    return status;
}

static hd_plugin_status blas_failure(cublasStatus_t status, const char *what, char why[HD_PLUGIN_TEXT_BYTES])
{
    snprintf(why, HD_PLUGIN_TEXT_BYTES, "%s: cuBLASLt's status is %d", what, (int)status);
    return status == CUBLAS_STATUS_ALLOC_FAILED ? HD_PLUGIN_NO_MEMORY : HD_PLUGIN_FAILED;
}

hd_plugin_status products_open(products **out, char why[HD_PLUGIN_TEXT_BYTES])
{
    hd_plugin_status status = HD_PLUGIN_OK;
    products *p = cuda.host->alloc(sizeof *p);
    if (p == NULL) {
        snprintf(why, HD_PLUGIN_TEXT_BYTES, "no memory of the host");
        return HD_PLUGIN_NO_MEMORY;
    }
    memset(p, 0, sizeof *p);
    CUresult result = cuda.cuMemAlloc(&p->workspace, WORKSPACE_BYTES);
    result = result == CUDA_SUCCESS ? cuda.cuMemAlloc(&p->sums_memory, SUMS_BYTES) : result;
    if (result != CUDA_SUCCESS) {
        status = driver_failure(result, "memory for products", why);
    } else {
        const cublasStatus_t blas = open_all(p);
        status = blas == CUBLAS_STATUS_SUCCESS ? HD_PLUGIN_OK : blas_failure(blas, "cuBLASLt does not start", why);
    }
    if (status != HD_PLUGIN_OK) {
        products_close(p);
        return status;
    }
    *out = p;
    return HD_PLUGIN_OK;
}

void products_close(products *p)
{
    if (p == NULL)
        return;
    for (size_t i = 0; i < N_TYPES; i++) {
        if (p->operations[i] != NULL)
            (void)cuda.cublasLtMatmulDescDestroy(p->operations[i]);
        if (p->biased[i] != NULL)
            (void)cuda.cublasLtMatmulDescDestroy(p->biased[i]);
    }
    const cublasLtMatrixLayout_t layouts[] = {p->w, p->a, p->sums};
    for (size_t i = 0; i < sizeof layouts / sizeof layouts[0]; i++) {
        if (layouts[i] != NULL)
            (void)cuda.cublasLtMatrixLayoutDestroy(layouts[i]);
    }
    if (p->preference != NULL)
        (void)cuda.cublasLtMatmulPreferenceDestroy(p->preference);
    if (p->handle != NULL)
        (void)cuda.cublasLtDestroy(p->handle);
    if (p->workspace != 0)
        (void)cuda.cuMemFree(p->workspace);
    if (p->sums_memory != 0)
        (void)cuda.cuMemFree(p->sums_memory);
    cuda.host->free(p);
}

/* ---- one product ---- */

/* Where a product reads and writes. */
typedef struct operands {
    const void *w, *a;
    void *sums;
    const void *bias; /* that cuBLASLt adds, of the type of the sums; NULL: none */
} operands;

static size_t bytes_of(hd_plugin_type type)
{
    return type == HD_PLUGIN_F32 ? 4 : is_scaled(type) ? 1 : 2;
}

static uint32_t alignment_of(const void *address)
{
    const uintptr_t lowest = (uintptr_t)address & (0 - (uintptr_t)address);
    return lowest == 0 || lowest > MOST_ALIGNMENT ? MOST_ALIGNMENT : (uint32_t)lowest;
}

/* Of the type of the sums; NULL: there is none that cuBLASLt may read. */
static const void *bias_of(const product_part *part)
{
    const hd_plugin_weights *w = &part->linear.weights;
    const void *bias = part->sums_type == HD_PLUGIN_F32 ? (const void *)w->bias
                       : part->sums_type == w->type     ? w->rounded_bias
                                                        : NULL;
    const char *first = bias != NULL ? (const char *)bias + (size_t)part->linear.first * bytes_of(part->sums_type) : NULL;
    return (uintptr_t)first % BIAS_ALIGNMENT == 0 ? first : NULL;
}

static operands operands_of(const product_part *part, bool is_biased)
{
    const hd_plugin_linear *t = &part->linear;
    const size_t bytes = bytes_of(t->weights.type);
    return (operands){
        .w = (const char *)t->weights.rows + (size_t)t->first * t->weights.stride * bytes,
        .a = (const char *)t->in.data + (size_t)part->first_row * t->in.stride * bytes,
        .sums = part->sums,
        .bias = is_biased ? bias_of(part) : NULL,
    };
}

static product_shape shape_of(const product_part *part, const operands *o)
{
    const hd_plugin_linear *t = &part->linear;
    const int32_t k = t->weights.k, wide_k = (k + BYTES_DEPTH - 1) / BYTES_DEPTH * BYTES_DEPTH;
    /* Bytes behind a row's width are anything, but those of the weights are zeros, and cuBLASLt likes whole words. */
    const bool widens = t->weights.type == HD_PLUGIN_I8 && (size_t)wide_k <= t->in.stride;
    return (product_shape){
        .w_stride = t->weights.stride,
        .a_stride = t->in.stride,
        .sums_stride = part->sums_stride,
        .type = (int16_t)t->weights.type,
        .sums_type = (int16_t)part->sums_type,
        .channels = t->end - t->first,
        .rows = part->n_rows,
        .k = widens ? wide_k : k,
        .w_alignment = alignment_of(o->w),
        .a_alignment = alignment_of(o->a),
        .sums_alignment = alignment_of(o->sums),
        .bias_alignment = o->bias != NULL ? alignment_of(o->bias) : 0,
    };
}

/* The operation for a shape, with its bias: what cuBLASLt chooses depends on the bias's address. */
static cublasStatus_t set_operation(const products *p, const product_shape *s, const operands *o,
                                    cublasLtMatmulDesc_t *operation)
{
    *operation = o->bias != NULL ? p->biased[s->type] : p->operations[s->type];
    return o->bias == NULL ? CUBLAS_STATUS_SUCCESS
                           : cuda.cublasLtMatmulDescSetAttribute(*operation, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &o->bias,
                                                                 sizeof o->bias);
}

static cublasStatus_t set_layout(cublasLtMatrixLayout_t layout, cudaDataType_t type, int32_t rows, int32_t columns,
                                 uint64_t stride)
{
    const uint32_t value_type = (uint32_t)type;
    const uint64_t n_rows = (uint64_t)rows, n_columns = (uint64_t)columns;
    const int64_t leading = (int64_t)stride;
    cublasStatus_t status =
        cuda.cublasLtMatrixLayoutSetAttribute(layout, CUBLASLT_MATRIX_LAYOUT_TYPE, &value_type, sizeof value_type);
    if (status == CUBLAS_STATUS_SUCCESS)
        status = cuda.cublasLtMatrixLayoutSetAttribute(layout, CUBLASLT_MATRIX_LAYOUT_ROWS, &n_rows, sizeof n_rows);
    if (status == CUBLAS_STATUS_SUCCESS)
        status = cuda.cublasLtMatrixLayoutSetAttribute(layout, CUBLASLT_MATRIX_LAYOUT_COLS, &n_columns, sizeof n_columns);
    if (status == CUBLAS_STATUS_SUCCESS)
        status = cuda.cublasLtMatrixLayoutSetAttribute(layout, CUBLASLT_MATRIX_LAYOUT_LD, &leading, sizeof leading);
    return status;
}

static cublasStatus_t set_layouts(products *p, const product_shape *s)
{
    const arithmetic *types = &arithmetics[s->type];
    cublasStatus_t status = set_layout(p->w, types->values, s->k, s->channels, s->w_stride);
    if (status == CUBLAS_STATUS_SUCCESS)
        status = set_layout(p->a, types->values, s->k, s->rows, s->a_stride);
    if (status == CUBLAS_STATUS_SUCCESS)
        status = set_layout(p->sums, arithmetics[s->sums_type].sums, s->channels, s->rows, s->sums_stride);
    return status;
}

static cublasStatus_t set_alignments(products *p, const product_shape *s)
{
    const struct {
        cublasLtMatmulPreferenceAttributes_t attribute;
        uint32_t bytes;
    } all[] = {
        {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, s->w_alignment},
        {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, s->a_alignment},
        {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, s->sums_alignment},
        {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, s->sums_alignment},
    };
    cublasStatus_t status = CUBLAS_STATUS_SUCCESS;
    for (size_t i = 0; i < sizeof all / sizeof all[0] && status == CUBLAS_STATUS_SUCCESS; i++)
        status =
            cuda.cublasLtMatmulPreferenceSetAttribute(p->preference, all[i].attribute, &all[i].bytes, sizeof all[i].bytes);
    return status;
}

/* Which row of the table a shape is in, by FNV-1a. */
static size_t row_of(const product_shape *s)
{
    const unsigned char *bytes = (const unsigned char *)s;
    uint64_t hash = UINT64_C(14695981039346656037);
    for (size_t i = 0; i < sizeof *s; i++)
        hash = (hash ^ bytes[i]) * UINT64_C(1099511628211);
    return (size_t)(hash % (N_CHOICES / N_WAYS));
}

/* A shape's place: its own, or that of the one used longest ago. */
static choice *place_of(products *p, const product_shape *s)
{
    choice *row = p->choices[row_of(s)], *oldest = row;
    for (size_t i = 0; i < N_WAYS; i++) {
        if (row[i].is_known && memcmp(&row[i].shape, s, sizeof *s) == 0)
            return &row[i];
        oldest = row[i].used_at < oldest->used_at ? &row[i] : oldest;
    }
    *oldest = (choice){.shape = *s};
    return oldest;
}

/* The choice for a shape whose layouts are set. A shape, or a device, that cuBLASLt has nothing for is ours; one that it did
 * not answer for is ours this once. NULL: it is not known, and a capture is no time to ask. */
static choice *choose(hd_plugin_stream *stream, cublasLtMatmulDesc_t operation, const product_shape *s)
{
    products *p = stream->products;
    choice *c = place_of(p, s);
    cublasLtMatmulHeuristicResult_t found;
    int n_found = 0;
    c->used_at = ++p->now;
    if (c->is_known)
        return c;
    if (graphs_spoil(&stream->graphs))
        return NULL;
    cublasStatus_t status = set_alignments(p, s);
    if (status == CUBLAS_STATUS_SUCCESS)
        status = cuda.cublasLtMatmulAlgoGetHeuristic(p->handle, operation, p->w, p->a, p->sums, p->sums, p->preference, 1,
                                                     &found, &n_found);
    c->is_known = status == CUBLAS_STATUS_SUCCESS || status == CUBLAS_STATUS_NOT_SUPPORTED;
    c->is_ours = status != CUBLAS_STATUS_SUCCESS || n_found == 0 || found.state != CUBLAS_STATUS_SUCCESS;
    if (!c->is_ours)
        c->algorithm = found.algo;
    return c;
}

/* What cuBLASLt has offered a kernel for, and does not compute. It is said once for each shape. */
static void take_over(choice *c)
{
    const product_shape *s = &c->shape;
    char line[HD_PLUGIN_TEXT_BYTES];
    c->is_ours = true;
    snprintf(line, sizeof line,
             "cuBLASLt does not compute a product that it has a kernel for: type %d, %d rows, %d channels of %d", s->type,
             s->rows, s->channels, s->k);
    cuda.host->log(false, line);
}

static void multiply_ours(hd_plugin_stream *s, const product_part *part)
{
    static const kernel_id kernels[N_TYPES] = {[HD_PLUGIN_F32] = ID_k_product_f32,
                                               [HD_PLUGIN_BF16] = ID_k_product_bf16,
                                               [HD_PLUGIN_I8] = ID_k_product_i8,
                                               [HD_PLUGIN_F16] = ID_k_product_f16,
                                               [HD_PLUGIN_F8] = ID_k_product_f8};
    const size_t rows = (size_t)part->n_rows, channels = (size_t)(part->linear.end - part->linear.first);
    const grid g = {.x = (rows + PRODUCT_TILE - 1) / PRODUCT_TILE,
                    .y = (channels + PRODUCT_TILE - 1) / PRODUCT_TILE,
                    .threads_x = PRODUCT_SIDE,
                    .threads_y = PRODUCT_SIDE};
    stream_launch(s, kernels[part->linear.weights.type], g, part);
}

/* By cuBLASLt; false: it has no kernel. With a bias, sums are all that the product comes to: with it, and, of ADD, with what
 * was there before. In a capture that is spoiled there is nothing to do. */
static bool multiply(hd_plugin_stream *s, const product_part *part, bool is_biased)
{
    static const float one = 1.0f, zero = 0.0f;
    static const int32_t whole_one = 1, whole_zero = 0;
    products *p = s->products;
    const bool is_whole = part->linear.weights.type == HD_PLUGIN_I8;
    const void *factor = is_whole ? (const void *)&whole_one : &one, *nothing = is_whole ? (const void *)&whole_zero : &zero;
    const void *of_before = is_biased && part->linear.epilogue == HD_PLUGIN_ADD ? factor : nothing;
    const operands o = operands_of(part, is_biased);
    const product_shape shape = shape_of(part, &o);
    cublasLtMatmulDesc_t operation;
    cublasStatus_t status = set_operation(p, &shape, &o, &operation);
    if (status == CUBLAS_STATUS_SUCCESS)
        status = set_layouts(p, &shape);
    if (status == CUBLAS_STATUS_SUCCESS) {
        choice *c = choose(s, operation, &shape);
        if (c == NULL || c->is_ours)
            return c == NULL;
        status = cuda.cublasLtMatmul(p->handle, operation, factor, o.w, p->w, o.a, p->a, of_before, o.sums, p->sums, o.sums,
                                     p->sums, &c->algorithm, (void *)(uintptr_t)p->workspace, WORKSPACE_BYTES, s->stream);
        if (status == CUBLAS_STATUS_NOT_SUPPORTED) {
            take_over(c);
            return false;
        }
    }
    if (status != CUBLAS_STATUS_SUCCESS) {
        char why[HD_PLUGIN_TEXT_BYTES];
        stream_fail(s, blas_failure(status, "a product", why), why);
    }
    return true;
}

/* The product where it goes, by cuBLASLt alone; false: it has nothing that does all of it. */
static bool multiply_at_once(hd_plugin_stream *s, const hd_plugin_linear *t)
{
    const hd_plugin_weights *w = &t->weights;
    const product_part whole = {.linear = *t,
                                .n_rows = t->n_rows,
                                .sums_type = t->out_type,
                                .sums = (char *)t->out + (size_t)t->first * bytes_of(t->out_type),
                                .sums_stride = t->out_stride};
    return !is_scaled(w->type) && bias_of(&whole) != NULL && t->rank == 0 &&
           (t->epilogue == HD_PLUGIN_STORE || t->epilogue == HD_PLUGIN_ADD) && multiply(s, &whole, true);
}

/* The sums of a product, and then what becomes of them. */
static void multiply_and_finish(hd_plugin_stream *s, const product_part *part)
{
    const size_t channels = (size_t)(part->linear.end - part->linear.first);
    const size_t pieces = (channels + EPILOGUE_EACH - 1) / EPILOGUE_EACH;
    const size_t threads = pieces < EPILOGUE_THREADS ? (pieces + 31) / 32 * 32 : EPILOGUE_THREADS;
    const grid g = {
        .x = (size_t)part->n_rows, .y = (pieces + threads - 1) / threads, .threads_x = (unsigned)threads, .threads_y = 1};
    if (!multiply(s, part, false))
        multiply_ours(s, part);
    stream_launch(s, ID_k_epilogue, g, part);
}

void products_linear(hd_plugin_stream *s, const hd_plugin_linear *t)
{
    const bool reads = t->epilogue == HD_PLUGIN_ADD || t->epilogue == HD_PLUGIN_MUL;
    const hd_plugin_type type = t->weights.type;
    const hd_plugin_type sums_type = type == HD_PLUGIN_I8 || type == t->out_type ? type : HD_PLUGIN_F32;
    const size_t sum_bytes = type == HD_PLUGIN_I8 ? sizeof(int32_t) : bytes_of(sums_type);
    const bool in_place = sum_bytes == bytes_of(t->out_type) && !reads;
    if (t->n_rows <= 0 || t->end <= t->first || !stream_starts(s) || multiply_at_once(s, t))
        return;
    const size_t channels = (size_t)(t->end - t->first), stride = in_place ? t->out_stride : (channels + 63) / 64 * 64;
    const size_t room = in_place ? (size_t)t->n_rows : SUMS_BYTES / sum_bytes / stride;
    if (room == 0) {
        char why[HD_PLUGIN_TEXT_BYTES];
        snprintf(why, sizeof why, "a product of %zu channels is more than the %zu that there is room for", channels,
                 SUMS_BYTES / sum_bytes);
        stream_fail(s, HD_PLUGIN_FAILED, why);
        return;
    }
    for (size_t row = 0, n; row < (size_t)t->n_rows && s->status == HD_PLUGIN_OK; row += n) {
        n = (size_t)t->n_rows - row < room ? (size_t)t->n_rows - row : room;
        product_part part = {.linear = *t,
                             .first_row = (int32_t)row,
                             .n_rows = (int32_t)n,
                             .sums_type = sums_type,
                             .sums = (void *)(uintptr_t)s->products->sums_memory,
                             .sums_stride = stride};
        if (in_place)
            part.sums = (char *)t->out + (row * stride + (size_t)t->first) * sum_bytes;
        multiply_and_finish(s, &part);
    }
}
