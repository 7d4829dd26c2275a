/* onednn.c - matrix products of Heddle and of oneDNN side by side, one core.
 *
 *   bench_gemm_onednn [LEVEL...]      levels: amx avx512-bf16 avx512-vnni avx512 avx-vnni avx2; all by default
 *
 * prints a table in Markdown for each level and type; the last ones are kept in bench/results/.
 *
 * The shapes are those of MiniLM and bge-small, bge-base and bge-m3. Both have packed their weights beforehand
 * (oneDNN: format "any", then a reorder) and read plain rows of activations. Both add a bias and write
 * f32; int8 is u8 by s8, scaled for each channel, in Heddle for each row as well. Results are compared first.
 * Times are taken in turns (ours, theirs, ours, ...), and the least of each compared. Each product is timed twice: with the
 * same weights each time, which caches then hold, and with as many in turns as do not fit into L2, as a model's layers do.
 *
 * Each level runs in a process of its own, because both libraries ask for their limit once: HEDDLE_CPU and
 * ONEDNN_MAX_CPU_ISA. For tiles bench/peers/cpuid_mask.c is loaded, because oneDNN stops with an illegal instruction
 * where a hypervisor hides their shape.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <oneapi/dnnl/dnnl.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "kernel/kernels.h"

#define ROUNDS 61
#define LEAST_ROUNDS 11
#define ENOUGH_NS 400000000u    /* for one product, once it had the least of rounds */
#define LAYERS_BYTES (12 << 20) /* of weights that take turns */
#define MAX_LAYERS 96
#define SAMPLE_NS 200000u /* short, so that most pass undisturbed on a machine with other work */

static const struct {
    const char *name, *heddle, *onednn;
} levels[] = {
    {"amx", "", "AVX512_CORE_AMX"},
    {"avx512-bf16", "-amx", "AVX512_CORE_BF16"},
    {"avx512-vnni", "-amx,-avx512-bf16", "AVX512_CORE_VNNI"},
    {"avx512", "-avx512-vnni,-avx-vnni", "AVX512_CORE"},
    {"avx-vnni", "-avx512", "AVX2_VNNI"},
    {"avx2", "-avx512,-avx-vnni", "AVX2"},
};
#define N_LEVELS (sizeof levels / sizeof levels[0])

static const struct {
    const char *model;
    int hidden, inner;
} models[] = {{"MiniLM, bge-small", 384, 1536}, {"bge-base", 768, 3072}, {"bge-m3", 1024, 4096}};

static const char *const type_names[] = {"f32", "bf16", "int8"};

/* One product on both sides. */
typedef struct product {
    k_type type;
    int rows, n, k;
    bool narrow; /* gemm.h */
    k_weights weights;
    k_gemm gemm;
    k_gemm_fn *ours;
    int n_layers, turn; /* weights that take turns: all the same, but not the same memory */
    void *our_layers[MAX_LAYERS];
    dnnl_memory_t their_layers[MAX_LAYERS];
    dnnl_stream_t stream;
    dnnl_primitive_t matmul;
    dnnl_exec_arg_t args[4];
    void *theirs_out;
} product;

static void must(dnnl_status_t status, const char *what)
{
    if (status != dnnl_success) {
        fprintf(stderr, "oneDNN: %s: status %d\n", what, (int)status);
        exit(2);
    }
}

static void *allocate(size_t bytes)
{
    void *p = hd__malloc_aligned(bytes);
    if (p == NULL) {
        fprintf(stderr, "out of memory\n");
        exit(2);
    }
    memset(p, 0, bytes);
    return p;
}

/* Small whole numbers: exact in every type. */
static int value_at(size_t i, int limit)
{
    return (int)((uint32_t)(i * 2654435761u) >> 16) % limit;
}

static void put(k_type type, void *array, size_t at, int value)
{
    if (type == K_F32)
        ((float *)array)[at] = (float)value;
    else if (type == K_BF16)
        ((uint16_t *)array)[at] = k_bf16_from_f32((float)value);
    else
        ((uint8_t *)array)[at] = (uint8_t)value;
}

static void set_up_ours(product *p)
{
    size_t n = (size_t)p->n, k = (size_t)p->k, rows = (size_t)p->rows, stride = k_row_stride(p->k, p->type);
    float *weights = allocate(n * k * sizeof *weights), *bias = allocate(n * sizeof *bias);
    float *scale = allocate(n * sizeof *scale), *sum = allocate(n * sizeof *sum),
          *row_scale = allocate(rows * sizeof *row_scale);
    void *panels = allocate(k_pack_bytes(p->type, p->n, p->k)), *a = allocate(rows * stride * k_type_bytes(p->type));
    for (size_t i = 0; i < n * k; i++)
        weights[i] = (float)(value_at(i, 15) - 7);
    /* So that int8 takes the numbers as they are: the others of its lane add 21 at most. */
    for (size_t i = 0; i < n; i++)
        weights[i * k] = (float)K_I8_MAX;
    k_pack_rows(p->type, p->narrow, p->k, 0, p->n, weights, panels, scale, sum);
    for (size_t i = 0; i < rows; i++) {
        row_scale[i] = 1.0f;
        for (size_t j = 0; j < k; j++)
            put(p->type, a, i * stride + j, value_at(i * k + j, 8));
    }
    hd__free(weights);
    p->our_layers[0] = panels;
    for (int i = 1; i < p->n_layers; i++) {
        p->our_layers[i] = allocate(k_pack_bytes(p->type, p->n, p->k));
        memcpy(p->our_layers[i], panels, k_pack_bytes(p->type, p->n, p->k));
    }
    p->weights = (k_weights){.type = p->type,
                             .n = p->n,
                             .k = p->k,
                             .n_pad = p->n,
                             .k_pad = p->k,
                             .panels = panels,
                             .bias = bias,
                             .scale = scale,
                             .channel_sum = sum};
    p->gemm = (k_gemm){.w = &p->weights,
                       .a = a,
                       .a_stride = stride,
                       .a_scale = row_scale,
                       .a_offset = allocate(rows * sizeof(float)),
                       .rows = p->rows,
                       .panel_end = p->n / K_PANEL,
                       .epilogue = K_STORE,
                       .out_type = K_F32,
                       .out = allocate(rows * n * sizeof(float)),
                       .out_stride = n};
}

static dnnl_memory_t memory_of(const dnnl_memory_desc_t *desc, dnnl_engine_t engine, void *data)
{
    dnnl_memory_t memory;
    must(dnnl_memory_create(&memory, desc, engine, data), "memory");
    return memory;
}

static void *data_of(dnnl_memory_t memory)
{
    void *data;
    must(dnnl_memory_get_data_handle(memory, &data), "data");
    return data;
}

static void free_memory(dnnl_memory_t memory)
{
    void *data = data_of(memory);
    dnnl_memory_destroy(memory);
    hd__free(data);
}

static void set_up_theirs(product *p, dnnl_engine_t engine)
{
    const dnnl_data_type_t types[] = {dnnl_f32, dnnl_bf16, dnnl_u8};
    dnnl_data_type_t weight_type = p->type == K_I8 ? dnnl_s8 : types[p->type];
    dnnl_dims_t a_dims = {p->rows, p->k}, w_dims = {p->k, p->n}, out_dims = {p->rows, p->n}, bias_dims = {1, p->n};
    dnnl_memory_desc_t a, any, plain, out, bias;
    must(dnnl_memory_desc_init_by_tag(&a, 2, a_dims, types[p->type], dnnl_ab), "activations");
    must(dnnl_memory_desc_init_by_tag(&any, 2, w_dims, weight_type, dnnl_format_tag_any), "weights");
    must(dnnl_memory_desc_init_by_tag(&plain, 2, w_dims, weight_type, dnnl_ba), "plain weights");
    must(dnnl_memory_desc_init_by_tag(&out, 2, out_dims, dnnl_f32, dnnl_ab), "output");
    must(dnnl_memory_desc_init_by_tag(&bias, 2, bias_dims, dnnl_f32, dnnl_ab), "bias");

    dnnl_matmul_desc_t desc;
    dnnl_primitive_desc_t matmul, reorder;
    dnnl_primitive_attr_t attr;
    must(dnnl_primitive_attr_create(&attr), "attributes");
    if (p->type == K_I8)
        must(dnnl_primitive_attr_set_output_scales(attr, p->n, 1 << 1, p->weights.scale), "scales");
    must(dnnl_matmul_desc_init(&desc, &a, &any, &bias, &out), "matmul");
    must(dnnl_primitive_desc_create(&matmul, &desc, attr, engine, NULL), "matmul");
    must(dnnl_primitive_create(&p->matmul, matmul), "matmul");
    must(dnnl_stream_create(&p->stream, engine, dnnl_stream_default_flags), "stream");
    const dnnl_memory_desc_t *packed = dnnl_primitive_desc_query_md(matmul, dnnl_query_weights_md, 0);

    size_t n = (size_t)p->n, k = (size_t)p->k, rows = (size_t)p->rows, element = k_type_bytes(p->type);
    char *weights = allocate(n * k * element), *activations = allocate(rows * k * element);
    for (size_t i = 0; i < n * k; i++)
        put(p->type, weights, i, i % k == 0 ? K_I8_MAX : value_at(i, 15) - 7);
    for (size_t i = 0; i < rows * k; i++)
        put(p->type, activations, i, value_at(i, 8));
    dnnl_memory_t from = memory_of(&plain, engine, weights);
    dnnl_memory_t to = memory_of(packed, engine, allocate(dnnl_memory_desc_get_size(packed)));
    dnnl_primitive_t pack;
    must(dnnl_reorder_primitive_desc_create(&reorder, &plain, engine, packed, engine, NULL), "reorder");
    must(dnnl_primitive_create(&pack, reorder), "reorder");
    const dnnl_exec_arg_t pack_args[] = {{DNNL_ARG_FROM, from}, {DNNL_ARG_TO, to}};
    must(dnnl_primitive_execute(pack, p->stream, 2, pack_args), "reorder");
    must(dnnl_stream_wait(p->stream), "reorder");
    p->their_layers[0] = to;
    for (int i = 1; i < p->n_layers; i++) {
        const size_t bytes = dnnl_memory_desc_get_size(packed);
        void *copy = allocate(bytes);
        memcpy(copy, data_of(to), bytes);
        p->their_layers[i] = memory_of(packed, engine, copy);
    }

    p->theirs_out = allocate(rows * n * 4);
    p->args[0] = (dnnl_exec_arg_t){DNNL_ARG_SRC, memory_of(&a, engine, activations)};
    p->args[1] = (dnnl_exec_arg_t){DNNL_ARG_WEIGHTS, to};
    p->args[2] = (dnnl_exec_arg_t){DNNL_ARG_DST, memory_of(&out, engine, p->theirs_out)};
    p->args[3] = (dnnl_exec_arg_t){DNNL_ARG_BIAS, memory_of(&bias, engine, allocate(n * sizeof(float)))};
    dnnl_memory_destroy(from);
    dnnl_primitive_destroy(pack);
    dnnl_primitive_desc_destroy(reorder);
    dnnl_primitive_desc_destroy(matmul);
    dnnl_primitive_attr_destroy(attr);
    hd__free(weights);
}

static void tear_down(product *p)
{
    for (int i = 0; i < p->n_layers; i++) {
        hd__free(p->our_layers[i]);
        free_memory(p->their_layers[i]);
    }
    hd__free((void *)(uintptr_t)p->weights.bias);
    hd__free((void *)(uintptr_t)p->weights.scale);
    hd__free((void *)(uintptr_t)p->weights.channel_sum);
    hd__free((void *)(uintptr_t)p->gemm.a);
    hd__free((void *)(uintptr_t)p->gemm.a_scale);
    hd__free((void *)(uintptr_t)p->gemm.a_offset);
    hd__free(p->gemm.out);
    for (int i = 0; i < 4; i++) {
        if (p->args[i].arg != DNNL_ARG_WEIGHTS)
            free_memory(p->args[i].memory);
    }
    dnnl_primitive_destroy(p->matmul);
    dnnl_stream_destroy(p->stream);
}

static void call_ours(product *p)
{
    p->turn = (p->turn + 1) % p->n_layers;
    p->weights.panels = p->our_layers[p->turn];
    p->ours(&p->gemm);
}

static void call_theirs(product *p)
{
    p->turn = (p->turn + 1) % p->n_layers;
    p->args[1].memory = p->their_layers[p->turn];
    must(dnnl_primitive_execute(p->matmul, p->stream, 4, p->args), "execute");
    must(dnnl_stream_wait(p->stream), "wait");
}

/* Whole numbers below 2^24: the two must agree exactly. */
static void compare(product *p)
{
    call_ours(p);
    call_theirs(p);
    for (size_t i = 0; i < (size_t)p->rows * (size_t)p->n; i++) {
        float ours = ((const float *)p->gemm.out)[i];
        float theirs = ((const float *)p->theirs_out)[i];
        if (ours != theirs) {
            fprintf(stderr, "%s %d x %d x %d: element %zu: ours %g, theirs %g\n", type_names[p->type], p->rows, p->n, p->k,
                    i, (double)ours, (double)theirs);
            exit(1);
        }
    }
}

static double sample(product *p, void (*call)(product *))
{
    uint64_t start = hd__now_ns(), calls = 0, now;
    do {
        call(p);
        calls++;
        now = hd__now_ns();
    } while (now - start < SAMPLE_NS);
    return (double)(now - start) / (double)calls;
}

/* Times both; returns how many times faster ours is, and our GFLOP/s. hot: the same weights each time. */
static double run(product *p, dnnl_engine_t engine, bool hot, double *gflops)
{
    double ours = INFINITY, theirs = INFINITY;
    const size_t bytes = k_pack_bytes(p->type, p->n, p->k), layers = (LAYERS_BYTES + bytes - 1) / bytes;
    p->n_layers = hot ? 1 : layers < MAX_LAYERS ? (int)layers : MAX_LAYERS;
    set_up_ours(p);
    set_up_theirs(p, engine);
    compare(p);
    const uint64_t start = hd__now_ns();
    for (int i = 0; i < LEAST_ROUNDS || (i < ROUNDS && hd__now_ns() - start < ENOUGH_NS); i++) {
        ours = fmin(ours, sample(p, call_ours));
        theirs = fmin(theirs, sample(p, call_theirs));
    }
    tear_down(p);
    *gflops = 2.0 * p->rows * p->n * p->k / ours;
    return theirs / ours;
}

static void run_type(const char *level, k_type type, bool hot, dnnl_engine_t engine)
{
    static const int rows[] = {16, 32, 64, 128, 256, 512};
    enum { N_ROWS = sizeof rows / sizeof rows[0] };
    hd_kernels kernels;
    hd__kernels_fill(&kernels);
    k_gemm_fn *const ours[] = {kernels.gemm_f32, kernels.gemm_bf16, kernels.gemm_i8};
    double log_sum = 0.0, worst = INFINITY;
    int count = 0;
    printf("%s, %s, %s: GFLOP/s (times oneDNN's)\n\n| n x k, rows:", level, type_names[type],
           hot ? "the same weights each time" : "weights in turns");
    for (int r = 0; r < N_ROWS; r++)
        printf(" | %d", rows[r]);
    printf(" |\n|---|---:|---:|---:|---:|---:|---:|\n");
    for (size_t m = 0; m < sizeof models / sizeof models[0]; m++) {
        int h = models[m].hidden, f = models[m].inner;
        const int shapes[][2] = {{3 * h, h}, {h, h}, {f, h}, {h, f}};
        for (int s = 0; s < 4; s++) {
            printf("| %d x %d, %s", shapes[s][0], shapes[s][1], models[m].model);
            for (int r = 0; r < N_ROWS; r++, count++) {
                product p = {.type = type,
                             .rows = rows[r],
                             .n = shapes[s][0],
                             .k = shapes[s][1],
                             .ours = ours[type],
                             .narrow = kernels.i8_narrow};
                double gflops, ratio = run(&p, engine, hot, &gflops);
                printf(" | %.0f (%.2f)", gflops, ratio);
                fflush(stdout);
                log_sum += log(ratio);
                worst = fmin(worst, ratio);
            }
            printf(" |\n");
        }
    }
    printf("\nGeometric mean %.2f, least %.2f.\n\n", exp(log_sum / count), worst);
}

/* In the process that was started for one level. */
static int run_level(const char *level)
{
    hd_error err;
    if (hd__isa_init(&err) != HD_OK) {
        fprintf(stderr, "%s\n", err.text);
        return 2;
    }
    dnnl_engine_t engine;
    must(dnnl_engine_create(&engine, dnnl_cpu, 0), "engine");
    hd_kernels kernels;
    hd__kernels_fill(&kernels);
    for (int hot = 1; hot >= 0; hot--) {
        run_type(level, K_I8, hot, engine);
        if (strcmp(level, "amx") == 0 || strcmp(level, "avx512-bf16") == 0)
            run_type(level, K_BF16, hot, engine);
        run_type(level, K_F32, hot, engine);
    }
    dnnl_engine_destroy(engine);
    return 0;
}

static bool granted(const char *name)
{
    for (int i = 0; i < HD_ISA_COUNT; i++) {
        if (strcmp(hd__isa_name((hd_isa)i), name) == 0)
            return hd__isa_has((hd_isa)i);
    }
    return false;
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "--level") == 0)
        return run_level(argv[2]);
    unsetenv("HEDDLE_CPU");
    if (hd__isa_init(NULL) != HD_OK)
        return 2;
    int worst = 0;
    for (size_t i = 0; i < N_LEVELS; i++) {
        bool asked = argc == 1;
        for (int a = 1; a < argc; a++)
            asked = asked || strcmp(argv[a], levels[i].name) == 0;
        if (!asked)
            continue;
        if (!granted(levels[i].name)) {
            printf("%-12s SKIP: not on this machine\n", levels[i].name);
            continue;
        }
        fflush(stdout);
        pid_t child = fork();
        if (child == 0) {
            setenv("HEDDLE_CPU", levels[i].heddle, 1);
            setenv("ONEDNN_MAX_CPU_ISA", levels[i].onednn, 1);
            setenv("OMP_NUM_THREADS", "1", 1);
            if (strcmp(levels[i].name, "amx") == 0) {
                setenv("HEDDLE_BENCH_ISA", "native", 1);
                setenv("LD_PRELOAD", CPUID_MASK, 1);
            }
            execl("/proc/self/exe", argv[0], "--level", levels[i].name, (char *)NULL);
            _exit(2);
        }
        int status = 0;
        if (child < 0 || waitpid(child, &status, 0) != child || status != 0) {
            fprintf(stderr, "%s: ended with status %d\n", levels[i].name, status);
            worst = 1;
        }
    }
    return worst;
}
