/* kcheck_bench.c - how long each kernel takes on the shapes of real models, one core.
 *
 * A time is the least of many short samples; a cycle is one turn of a chain of additions, which every core takes
 * one at a time. Ratios are to the reference and to the level below of the same entry and shape; the share is of
 * what the machine's best level reaches for the type (kernels.h), so it is low for lower levels by right.
 */
#include "kcheck.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"

#define ARENA_BYTES ((size_t)256 << 20)
#define SAMPLE_NS 200000u
#define SAMPLES 60
#define TOTAL_NS 400000000u
#define CODE_ROWS 65536 /* a multiple of what one call reads */
#define TOO_LONG 1e10   /* operations: not for the reference */

/* One call of a kernel; the entry says which member is used. */
typedef struct bench {
    const char *entry, *shape;
    int rows, n, k; /* gemm: a [rows, k]; attention: length, head_dim, reach to both sides, -1 causal; maxsim: rows of q and
                       d, values; convert: 1 from bf16; norm: rows of H; others: rows of n */
    k_type act;     /* norm, convert: what to; embed: words */
    k_epilogue epilogue; /* gemm */
    bool is_flops;       /* else bytes */
    double work;         /* of one call */
    k_gemm gemm;
    k_weights weights;
    k_attention attention;
    k_norm norm;
    k_act converted; /* convert: what from */
    k_embed embed;
    k_rotary rotary;
    k_maxsim maxsim;
    k_codes codes;
    const uint8_t *const *code_rows; /* [rows] of codes_dot, in no order */
    int32_t *products;
    int8_t *flipped;
    const uint16_t *halves;
    const float *x;
    float *out;
} bench;

static const bench cases[] = {
    {"gemm_f32", "MiniLM ffn up, 256 rows", 256, 1536, 384, K_F32, K_GELU, .is_flops = true},
    {"gemm_f32", "MiniLM ffn down, 256 rows", 256, 384, 1536, K_F32, K_ADD, .is_flops = true},
    {"gemm_f32", "MiniLM query, 16 rows", 16, 1152, 384, K_F32, K_STORE, .is_flops = true},
    {"gemm_bf16", "MiniLM ffn up, 256 rows", 256, 1536, 384, K_F32, K_GELU, .is_flops = true},
    {"gemm_bf16", "MiniLM ffn down, 256 rows", 256, 384, 1536, K_F32, K_ADD, .is_flops = true},
    {"gemm_bf16", "MiniLM query, 16 rows", 16, 1152, 384, K_F32, K_STORE, .is_flops = true},
    {"gemm_i8", "MiniLM ffn up, 256 rows", 256, 1536, 384, K_F32, K_GELU, .is_flops = true},
    {"gemm_i8", "MiniLM ffn down, 256 rows", 256, 384, 1536, K_F32, K_ADD, .is_flops = true},
    {"gemm_i8", "MiniLM query, 16 rows", 16, 1152, 384, K_F32, K_STORE, .is_flops = true},
    {"gemm_bf16", "bge-m3 ffn up, 256 rows", 256, 4096, 1024, K_F32, K_GELU, .is_flops = true},
    {"gemm_bf16", "bge-m3 ffn down, 256 rows", 256, 1024, 4096, K_F32, K_ADD, .is_flops = true},
    {"gemm_bf16", "bge-m3 qkv, 256 rows", 256, 3072, 1024, K_F32, K_STORE, .is_flops = true},
    {"gemm_i8", "bge-m3 ffn up, 256 rows", 256, 4096, 1024, K_F32, K_GELU, .is_flops = true},
    {"gemm_i8", "bge-m3 ffn down, 256 rows", 256, 1024, 4096, K_F32, K_ADD, .is_flops = true},
    {"gemm_i8", "bge-m3 qkv, 256 rows", 256, 3072, 1024, K_F32, K_STORE, .is_flops = true},
    {"attention_f32", "length 65, head 32", 65, 32, 0, K_F32, K_STORE, .is_flops = true},
    {"attention_f32", "length 250, head 32", 250, 32, 0, K_F32, K_STORE, .is_flops = true},
    {"attention_f32", "length 512, head 64", 512, 64, 0, K_F32, K_STORE, .is_flops = true},
    {"attention_bf16", "length 65, head 32", 65, 32, 0, K_F32, K_STORE, .is_flops = true},
    {"attention_bf16", "length 250, head 32", 250, 32, 0, K_F32, K_STORE, .is_flops = true},
    {"attention_bf16", "length 512, head 64", 512, 64, 0, K_F32, K_STORE, .is_flops = true},
    {"attention_f32", "length 512, head 128", 512, 128, 0, K_F32, K_STORE, .is_flops = true},
    {"attention_bf16", "length 512, head 128", 512, 128, 0, K_F32, K_STORE, .is_flops = true},
    {"attention_f32", "length 1024, causal", 1024, 64, -1, K_F32, K_STORE, .is_flops = true},
    {"attention_bf16", "length 1024, causal", 1024, 64, -1, K_F32, K_STORE, .is_flops = true},
    {"attention_f32", "length 2048, reach 64", 2048, 64, 64, K_F32, K_STORE, .is_flops = true},
    {"attention_bf16", "length 2048, reach 64", 2048, 64, 64, K_F32, K_STORE, .is_flops = true},
    {"attention_f32", "length 512, bias", 512, 64, -2, K_F32, K_STORE, .is_flops = true},
    {"attention_bf16", "length 512, bias", 512, 64, -2, K_F32, K_STORE, .is_flops = true},
    {"attention_f32", "length 8192, head 64", 8192, 64, 0, K_F32, K_STORE, .is_flops = true},
    {"attention_bf16", "length 8192, head 64", 8192, 64, 0, K_F32, K_STORE, .is_flops = true},
    {"maxsim_f32", "32 by 250 of 128", 32, 250, 128, K_F32, K_STORE, .is_flops = true},
    {"maxsim_f32", "32 by 250 of 1024", 32, 250, 1024, K_F32, K_STORE, .is_flops = true},
    {"maxsim_bf16", "32 by 250 of 128", 32, 250, 128, K_F32, K_STORE, .is_flops = true},
    {"maxsim_bf16", "32 by 250 of 1024", 32, 250, 1024, K_F32, K_STORE, .is_flops = true},
    {"rotary", "16 rows of 12 heads of 64", 16, 768, 64, K_F32, K_STORE, .is_flops = false},
    {"rotary", "same in bf16", 16, 768, 64, K_BF16, K_STORE, .is_flops = false},
    {"rotary", "same in bf16, normed", 16, 768, 64, K_BF16, K_ADD, .is_flops = false},
    {"norm", "16 rows of 384", 16, 384, 0, K_F32, K_STORE, .is_flops = false},
    {"norm", "16 rows of 384 to bf16", 16, 384, 0, K_BF16, K_STORE, .is_flops = false},
    {"norm", "16 rows of 384 to u8", 16, 384, 0, K_I8, K_STORE, .is_flops = false},
    {"norm", "same by H", 16, 384, 8, K_I8, K_STORE, .is_flops = false},
    {"norm", "8 rows of 1024 to u8", 8, 1024, 0, K_I8, K_STORE, .is_flops = false},
    {"norm", "same by H", 8, 1024, 64, K_I8, K_STORE, .is_flops = false},
    {"convert", "4 rows of 1536 to bf16", 4, 1536, 0, K_BF16, K_STORE, .is_flops = false},
    {"convert", "4 rows of 1536 to u8", 4, 1536, 0, K_I8, K_STORE, .is_flops = false},
    {"convert", "same from bf16", 4, 1536, 1, K_I8, K_STORE, .is_flops = false},
    {"embed", "64 rows of 384 from f32", 64, 384, 0, K_F32, K_STORE, .is_flops = false},
    {"embed", "64 rows of 384 from bf16", 64, 384, 0, K_BF16, K_STORE, .is_flops = false},
    {"embed", "64 rows of 384 from int8", 64, 384, 0, K_I8, K_STORE, .is_flops = false},
    {"pool_sum", "16 rows of 384", 16, 384, 0, K_F32, K_STORE, .is_flops = false},
    {"pool_max", "16 rows of 384", 16, 384, 0, K_F32, K_STORE, .is_flops = false},
    {"codes_dot", "32 near rows of 384", 32, 384, 0, K_I8, K_STORE, .is_flops = true},
    {"codes_dot", "32 of 300,000 rows of 384", 32, 384, 300000, K_I8, K_STORE, .is_flops = true},
    {"codes_flip", "384", 1, 384, 0, K_I8, K_STORE, .is_flops = false},
    {"half_dot", "384", 1, 384, 0, K_F32, K_STORE, .is_flops = false},
    {"dot", "384", 1, 384, 0, K_F32, K_STORE, .is_flops = false},
};
#define N_CASES (sizeof cases / sizeof cases[0])

/* Memory of one bench, handed out in order. */
typedef struct store {
    char *memory;
    size_t used;
    kc random;
} store;

static void *take(store *s, size_t bytes)
{
    void *p = s->memory + s->used;
    s->used += hd__round_up(bytes, 64);
    return s->used <= ARENA_BYTES ? p : NULL;
}

static void *take_bytes(store *s, size_t n, int limit)
{
    uint8_t *p = take(s, n);
    for (size_t i = 0; i < n; i++)
        p[i] = (uint8_t)kc_below(&s->random, limit);
    return p;
}

static float *take_f32(store *s, size_t n)
{
    float *p = take(s, n * sizeof *p);
    kc_fill(&s->random, KC_NORMAL, p, n);
    return p;
}

static uint16_t *take_bf16(store *s, size_t n)
{
    uint16_t *p = take(s, n * sizeof *p);
    for (size_t i = 0; i < n; i++)
        p[i] = k_bf16_from_f32(kc_value(&s->random, KC_NORMAL));
    return p;
}

static const void *take_type(store *s, k_type type, size_t n)
{
    if (type == K_F32)
        return take_f32(s, n);
    return type == K_BF16 ? (const void *)take_bf16(s, n) : take_bytes(s, n, 128);
}

static void set_up_gemm(bench *b, store *s)
{
    k_type type = strcmp(b->entry, "gemm_f32") == 0 ? K_F32 : strcmp(b->entry, "gemm_bf16") == 0 ? K_BF16 : K_I8;
    size_t n = (size_t)b->n, k = (size_t)b->k, rows = (size_t)b->rows;
    void *panels = take(s, k_pack_bytes(type, b->n, b->k));
    float *scale = take_f32(s, n), *channel_sum = take_f32(s, n), *weights = take_f32(s, n * k);
    for (size_t i = 0; i < n * k; i++)
        weights[i] *= 0.05f;
    k_pack_rows(type, false, b->k, 0, b->n, weights, panels, scale, channel_sum);
    b->weights = (k_weights){.type = type,
                             .n = b->n,
                             .k = b->k,
                             .n_pad = b->n,
                             .k_pad = b->k,
                             .panels = panels,
                             .bias = take_f32(s, n),
                             .scale = scale,
                             .channel_sum = channel_sum};
    k_type out_type = b->epilogue == K_STORE && type == K_BF16 ? K_BF16 : K_F32;
    const size_t a_stride = k_row_stride(b->k, type), out_stride = k_row_stride(b->n, out_type);
    const size_t n_values = type == K_BF16 ? 2 * rows * a_stride : rows * a_stride; /* two of bf16 are one of f32, too */
    b->gemm = (k_gemm){.w = &b->weights,
                       .a = take_type(s, type, n_values),
                       .a_stride = a_stride,
                       .a_scale = take_f32(s, rows),
                       .a_offset = take_f32(s, rows),
                       .rows = b->rows,
                       .panel_end = b->n / K_PANEL,
                       .epilogue = b->epilogue,
                       .out_type = out_type,
                       .out = take_f32(s, rows * out_stride),
                       .out_stride = out_stride};
    b->work = 2.0 * b->rows * b->n * b->k;
}

static void set_up_attention(bench *b, store *s)
{
    k_type type = strcmp(b->entry, "attention_f32") == 0 ? K_F32 : K_BF16;
    size_t length = (size_t)b->rows, dim = (size_t)b->n;
    b->attention = (k_attention){.q = take_type(s, type, length * dim),
                                 .k = take_type(s, type, length * dim),
                                 .v = take_type(s, type, length * dim),
                                 .q_stride = dim,
                                 .kv_stride = dim,
                                 .n_q = b->rows,
                                 .n_k = b->rows,
                                 .n_heads = 1,
                                 .head_dim = b->n,
                                 .scale = 0.125f,
                                 .reach_back = K_REACH_ALL,
                                 .reach_ahead = K_REACH_ALL,
                                 .out = take_f32(s, length * dim),
                                 .out_stride = dim,
                                 .scratch = take(s, k_attention_scratch_bytes(b->rows, b->n))};
    double keys = b->rows; /* that a query sees, on average */
    if (b->k > 0) {
        b->attention.reach_back = b->attention.reach_ahead = b->k;
        keys = 2.0 * b->k + 1.0;
    } else if (b->k == -1) {
        b->attention.reach_ahead = 0;
        keys = (b->rows + 1) / 2.0;
    } else if (b->k == -2) {
        b->attention.bias = take_f32(s, 2 * length) + length;
    }
    b->work = 4.0 * b->rows * keys * b->n;
}

static void set_up_maxsim(bench *b, store *s)
{
    k_type type = strcmp(b->entry, "maxsim_f32") == 0 ? K_F32 : K_BF16;
    const size_t n = (size_t)b->k;
    b->maxsim = (k_maxsim){.q = take_type(s, type, (size_t)b->rows * n),
                           .d = take_type(s, type, (size_t)b->n * n),
                           .q_stride = n,
                           .d_stride = n,
                           .n_q = b->rows,
                           .n_d = b->n,
                           .n = b->k};
    b->out = take_f32(s, 1);
    b->work = 2.0 * b->rows * b->n * b->k;
}

/* k rows to choose from, 0: no more than one call reads. Each call reads others of them. */
static void set_up_codes(bench *b, store *s)
{
    const size_t n = (size_t)b->n, choice = (size_t)(b->k > 0 ? b->k : b->rows);
    const size_t n_rows = b->k > 0 ? CODE_ROWS : (size_t)b->rows;
    const uint8_t *all = take_bytes(s, choice * n, 256), **rows = take(s, n_rows * sizeof *rows);
    int8_t *query = take(s, n);
    for (size_t i = 0; i < n; i++)
        query[i] = (int8_t)(kc_below(&s->random, 255) - K_CODES_MOST);
    for (size_t i = 0; i < n_rows; i++)
        rows[i] = all + n * (b->k > 0 ? (size_t)kc_below(&s->random, b->k) : i);
    b->codes = (k_codes){query, 0, b->n};
    b->code_rows = rows;
    b->products = take(s, (size_t)b->rows * sizeof *b->products);
    b->flipped = query;
    b->work = 2.0 * b->rows * b->n;
}

static void set_up_rotary(bench *b, store *s)
{
    const size_t half = (size_t)b->k / 2, rows = (size_t)b->rows;
    float *cosine = take(s, rows * half * sizeof *cosine), *sine = take(s, rows * half * sizeof *sine);
    int32_t *pos = take(s, rows * sizeof *pos);
    for (size_t i = 0; i < rows * half; i++) {
        cosine[i] = 0.8f; /* lengths must not grow with each call */
        sine[i] = 0.6f;
    }
    for (int i = 0; i < b->rows; i++)
        pos[i] = i;
    b->rotary = (k_rotary){.type = b->act,
                           .x = (void *)(uintptr_t)take_type(s, b->act, rows * (size_t)b->n),
                           .stride = (size_t)b->n,
                           .n_rows = b->rows,
                           .n_heads = b->n / b->k,
                           .head_dim = b->k,
                           .rotary_dim = b->k,
                           .cos = cosine,
                           .sin = sine,
                           .pos = pos,
                           .gamma = b->epilogue == K_ADD ? take_f32(s, (size_t)b->k) : NULL,
                           .eps = 1e-6f};
    b->work = 2.0 * (double)rows * b->n * (double)k_type_bytes(b->act);
}

static void set_up_rows(bench *b, store *s)
{
    size_t n = (size_t)b->n, rows = (size_t)b->rows, cells = n * rows;
    k_act act = {.type = b->act,
                 .act_max = K_I8_ACT_MAX,
                 .hadamard = b->act == K_I8 ? b->k : 0,
                 .data = take(s, cells * 2),
                 .stride = n,
                 .scale = take_f32(s, rows),
                 .offset = take_f32(s, rows)};
    b->x = take_f32(s, cells);
    b->out = take_f32(s, cells);
    b->norm = (k_norm){.x = take_f32(s, cells),
                       .stride = n,
                       .n_rows = b->rows,
                       .n = b->n,
                       .gamma = take_f32(s, n),
                       .beta = take_f32(s, n),
                       .eps = 1e-12f,
                       .act = act};
    int32_t *ids = take(s, rows * sizeof *ids), *pos = take(s, rows * sizeof *pos);
    for (int i = 0; i < b->rows; i++) {
        ids[i] = kc_below(&s->random, 1000);
        pos[i] = i;
    }
    if (strcmp(b->entry, "embed") == 0)
        b->embed = (k_embed){.type = b->act,
                             .words = take_type(s, b->act, 1000 * n),
                             .word_stride = n,
                             .word_scale = take_f32(s, 1000),
                             .positions = take_f32(s, cells),
                             .types = take_f32(s, n),
                             .ids = ids,
                             .pos = pos,
                             .n_rows = b->rows,
                             .n = b->n,
                             .out = b->out,
                             .stride = n};
    b->halves = take_bf16(s, cells); /* any bits do */
    const k_type from = b->k == 1 ? K_BF16 : K_F32;
    b->converted = (k_act){.type = from, .data = (void *)(uintptr_t)take_type(s, from, cells), .stride = n};
    size_t read = strcmp(b->entry, "dot") == 0 ? 2 : 1, element = b->act == K_F32 ? 0 : k_type_bytes(b->act);
    size_t written = strcmp(b->entry, "norm") == 0 || strcmp(b->entry, "embed") == 0 ? 1 : 0;
    b->work = (double)cells * (4.0 * (double)(read + written) + (double)element);
    if (strcmp(b->entry, "convert") == 0)
        b->work = (double)cells * (double)(k_type_bytes(from) + k_type_bytes(b->act));
    if (strcmp(b->entry, "half_dot") == 0)
        b->work = (double)cells * 6.0;
}

static void call_codes(const bench *b, k_codes_dot_fn *function)
{
    static size_t at;
    at = b->k > 0 ? (at + (size_t)b->rows) % CODE_ROWS : 0;
    function(&b->codes, b->code_rows + at, (size_t)b->rows, b->products);
}

static void call(const bench *b, k_any_fn *function)
{
    if (strncmp(b->entry, "gemm_", 5) == 0)
        ((k_gemm_fn *)function)(&b->gemm);
    else if (strncmp(b->entry, "attention_", 10) == 0)
        ((k_attention_fn *)function)(&b->attention);
    else if (strncmp(b->entry, "maxsim_", 7) == 0)
        b->out[0] = ((k_maxsim_fn *)function)(&b->maxsim);
    else if (strcmp(b->entry, "codes_dot") == 0)
        call_codes(b, (k_codes_dot_fn *)function);
    else if (strcmp(b->entry, "codes_flip") == 0)
        b->products[0] = ((k_codes_flip_fn *)function)(b->code_rows[0], b->n, b->flipped);
    else if (strcmp(b->entry, "half_dot") == 0)
        b->out[0] = ((k_half_dot_fn *)function)(b->x, b->halves, (size_t)b->n);
    else if (strcmp(b->entry, "rotary") == 0)
        ((k_rotary_fn *)function)(&b->rotary);
    else if (strcmp(b->entry, "norm") == 0)
        ((k_norm_fn *)function)(&b->norm);
    else if (strcmp(b->entry, "convert") == 0)
        ((k_convert_fn *)function)(&b->converted, b->rows, b->n, &b->norm.act);
    else if (strcmp(b->entry, "embed") == 0)
        ((k_embed_fn *)function)(&b->embed);
    else if (strcmp(b->entry, "pool_sum") == 0)
        ((k_pool_sum_fn *)function)(b->x, (size_t)b->n, b->rows, b->n, false, b->out);
    else if (strcmp(b->entry, "pool_max") == 0)
        ((k_pool_max_fn *)function)(b->x, (size_t)b->n, b->rows, b->n, b->out);
    else if (strcmp(b->entry, "dot") == 0)
        b->out[0] = ((k_dot_fn *)function)(b->x, b->norm.x, (size_t)b->n);
}

/* Nanoseconds of one call. Residual streams are added to over and over, which changes no kernel's time. */
static double time_of(const bench *b, k_any_fn *function)
{
    uint64_t start = hd__now_ns();
    call(b, function);
    uint64_t once = hd__now_ns() - start, calls = once == 0 ? SAMPLE_NS : SAMPLE_NS / once + 1;
    double best = 1e300;
    for (int sample = 0; sample < SAMPLES && hd__now_ns() - start < TOTAL_NS; sample++) {
        uint64_t begin = hd__now_ns();
        for (uint64_t i = 0; i < calls; i++)
            call(b, function);
        double each = (double)(hd__now_ns() - begin) / (double)calls;
        best = each < best ? each : best;
    }
    return best < 1e300 ? best : (double)once;
}

static double cycles_per_ns(void)
{
    double best = 0.0;
    for (int sample = 0; sample < 50; sample++) {
        uint64_t start = hd__now_ns(), x = 0;
        for (int i = 0; i < 500000; i++) {
#if defined(__x86_64__)
            __asm__ volatile("add $1, %0" : "+r"(x));
#elif defined(__aarch64__)
            __asm__ volatile("add %0, %0, #1" : "+r"(x));
#else
            __asm__ volatile("" : "+r"(x));
            x++;
#endif
        }
        double rate = 500000.0 / (double)(hd__now_ns() - start);
        best = rate > best ? rate : best;
    }
    return best;
}

static double peak_of(const bench *b)
{
    static double peaks[3];
    if (!b->is_flops)
        return 0.0;
    k_type type = strstr(b->entry, "_f32") != NULL ? K_F32 : strstr(b->entry, "_bf16") != NULL ? K_BF16 : K_I8;
    if (peaks[type] == 0.0)
        peaks[type] = hd__kernel_peak_gflops(type, 100);
    return peaks[type];
}

/* All levels of one case; returns the number of lines. */
static int run(const bench *b, const char *filter, double clock, FILE *json, bool first)
{
    size_t n;
    const hd_kernel_row *rows = hd__kernel_rows(&n);
    double reference = 0.0, below = 0.0;
    int lines = 0;
    for (size_t i = 0; i < n; i++) {
        if (strcmp(rows[i].entry, b->entry) != 0 || !hd__isa_has(rows[i].isa))
            continue;
        if (rows[i].isa == HD_ISA_BASE && b->work > TOO_LONG)
            continue;
        if (strstr(rows[i].symbol, filter) == NULL && rows[i].isa != HD_ISA_BASE)
            continue;
        double ns = time_of(b, rows[i].function), rate = b->work / ns, peak = peak_of(b);
        reference = reference == 0.0 ? ns : reference;
        below = below == 0.0 ? ns : below;
        printf("%-22s %-26s %12.0f %9.1f %-8s %8.1fx %6.2fx", rows[i].symbol, b->shape, ns * clock, rate,
               b->is_flops ? "GFLOP/s" : "GB/s", reference / ns, below / ns);
        printf(peak > 0.0 ? " %5.1f %%\n" : "\n", 100.0 * rate / peak);
        if (json != NULL)
            fprintf(json,
                    "%s\n  {\"kernel\": \"%s\", \"level\": \"%s\", \"shape\": \"%s\", \"ns\": %.1f, \"cycles\": %.0f, "
                    "\"%s\": %.2f, "
                    "\"to_reference\": %.3f, \"to_level_below\": %.3f, \"share_of_peak\": %.4f}",
                    first && lines == 0 ? "" : ",", rows[i].symbol, hd__isa_name(rows[i].isa), b->shape, ns, ns * clock,
                    b->is_flops ? "gflops" : "gbytes_per_s", rate, reference / ns, below / ns,
                    peak > 0.0 ? rate / peak : 0.0);
        below = ns;
        lines++;
    }
    return lines;
}

/* Whether a level that may be used of this entry is asked for. */
static bool wanted(const char *entry, const char *filter)
{
    size_t n;
    const hd_kernel_row *rows = hd__kernel_rows(&n);
    for (size_t i = 0; i < n; i++) {
        if (strcmp(rows[i].entry, entry) == 0 && strstr(rows[i].symbol, filter) != NULL && hd__isa_has(rows[i].isa))
            return true;
    }
    return false;
}

int kc_bench(const char *filter, const char *json_path)
{
    FILE *json = json_path != NULL ? fopen(json_path, "w") : NULL;
    store s = {.memory = hd__map_alloc(ARENA_BYTES), .random = {.rng = 1}};
    if (s.memory == NULL || (json_path != NULL && json == NULL)) {
        perror("heddle-kcheck");
        return 2;
    }
    double clock = cycles_per_ns();
    int lines = 0;
    printf("one core at %.2f GHz\n%-22s %-26s %12s %9s %-8s %9s %7s %7s\n", clock, "kernel", "shape", "cycles", "", "",
           "to ref", "below", "peak");
    if (json != NULL)
        fprintf(json, "{\"ghz\": %.3f, \"kernels\": [", clock);
    for (size_t i = 0; i < N_CASES; i++) {
        bench b = cases[i];
        s.used = 0;
        if (!wanted(b.entry, filter))
            continue;
        if (strncmp(b.entry, "gemm_", 5) == 0)
            set_up_gemm(&b, &s);
        else if (strncmp(b.entry, "attention_", 10) == 0)
            set_up_attention(&b, &s);
        else if (strncmp(b.entry, "maxsim_", 7) == 0)
            set_up_maxsim(&b, &s);
        else if (strncmp(b.entry, "codes_", 6) == 0)
            set_up_codes(&b, &s);
        else if (strcmp(b.entry, "rotary") == 0)
            set_up_rotary(&b, &s);
        else
            set_up_rows(&b, &s);
        lines += run(&b, filter, clock, json, lines == 0);
    }
    hd__map_free(s.memory, ARENA_BYTES);
    if (json != NULL && (fprintf(json, "\n]}\n") < 0 || fclose(json) != 0)) {
        perror(json_path);
        return 2;
    }
    if (lines == 0)
        fprintf(stderr, "heddle-kcheck: no such kernel is timed (--list shows all)\n");
    return lines > 0 ? 0 : 2;
}
