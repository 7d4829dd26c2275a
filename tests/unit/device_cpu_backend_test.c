/* Device operations on the CPU against their formulas in double, alone and by a team: who does which part changes no bit.
 * What kernels do with odd sizes is heddle-kcheck's; here it is what lies between them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "device/device.h"

enum { N_MEMBERS = 3 };

static uint32_t seed = 1;

static float random_value(void)
{
    seed = seed * 1664525u + 1013904223u;
    return (float)(seed >> 8) / 8388608.0f - 1.0f; /* [-1, 1) */
}

static void *zeros(size_t bytes)
{
    void *p = hd__malloc_aligned(bytes);
    assert_non_null(p);
    memset(p, 0, bytes);
    return p;
}

static float *random_values(size_t n)
{
    float *p = zeros(n * sizeof *p);
    for (size_t i = 0; i < n; i++)
        p[i] = random_value();
    return p;
}

/* ---- one operation, by one or by several ---- */

typedef void operation(const hd_kernels *kernels, hd_run *run, void *arguments);

typedef struct member {
    operation *operation;
    void *arguments;
    hd_kernels kernels;
    hd_run run;
    pthread_t thread;
} member;

static void *member_main(void *data)
{
    member *m = data;
    m->operation(&m->kernels, &m->run, m->arguments);
    return NULL;
}

static void by(uint32_t n_members, operation *work, void *arguments)
{
    hd_kernels kernels;
    hd__kernels_fill(&kernels);
    hd_team team = {.n_members = n_members};
    member members[N_MEMBERS];
    for (uint32_t i = 0; i < n_members; i++) {
        members[i] = (member){work, arguments, kernels, {.team = n_members > 1 ? &team : NULL, .rank = i}, 0};
        assert_int_equal(pthread_create(&members[i].thread, NULL, member_main, &members[i]), 0);
    }
    for (uint32_t i = 0; i < n_members; i++)
        pthread_join(members[i].thread, NULL);
}

/* ---- attention ---- */

enum { HEADS = 6, KV_HEADS = 2, DIM = 32, LENGTHS = 2, STRIDE = HEADS * DIM, KV_STRIDE = KV_HEADS * DIM };
static const int32_t begin[LENGTHS + 1] = {0, 70, 75};

static void attend(const hd_kernels *kernels, hd_run *run, void *arguments)
{
    hd__device_cpu()->attention(kernels, run, arguments);
}

/* The output of query head h at row `row` of q, which stands at a position of sequence i. */
static void expect_attention(const hd_attention *t, int i, int row, int position, int h)
{
    const float *q = (const float *)t->q + (size_t)row * t->q_stride + (size_t)(h * DIM);
    const int kv = h / (HEADS / KV_HEADS), n = t->kv_begin[i + 1] - t->kv_begin[i];
    double out[DIM] = {0}, sum = 0.0;
    for (int j = 0; j < n; j++) {
        const size_t at = (size_t)(t->kv_begin[i] + j) * t->kv_stride + (size_t)(kv * DIM);
        double score = 0.0;
        if (position - j > t->reach_back || j - position > t->reach_ahead)
            continue;
        for (int d = 0; d < DIM; d++)
            score += (double)q[d] * (double)((const float *)t->k)[at + (size_t)d];
        double p = exp(score * (double)t->scale +
                       (t->bias != NULL ? (double)t->bias[(ptrdiff_t)((size_t)h * t->bias_stride) + position - j] : 0.0));
        sum += p;
        for (int d = 0; d < DIM; d++)
            out[d] += p * (double)((const float *)t->v)[at + (size_t)d];
    }
    for (int d = 0; d < DIM; d++)
        assert_float_equal(((const float *)t->out)[(size_t)row * t->out_stride + (size_t)(h * DIM + d)],
                           (float)(out[d] / sum), 1e-5f);
}

static void check_attention(int back, int ahead, bool biased)
{
    const int n = begin[LENGTHS];
    const size_t bytes = hd__round_up(k_attention_scratch_bytes(n, DIM), 64);
    hd_attention t = {.type = K_F32, .q_stride = STRIDE, .kv_stride = KV_STRIDE, .q_begin = begin, .kv_begin = begin};
    const size_t out_bytes = (size_t)(n * STRIDE) * sizeof(float);
    t.q = random_values((size_t)(n * STRIDE));
    t.k = random_values((size_t)(n * KV_STRIDE));
    t.v = random_values((size_t)(n * KV_STRIDE));
    float *bias = random_values(HEADS * 200);
    t.n_sequences = LENGTHS;
    t.n_heads = HEADS;
    t.n_kv_heads = KV_HEADS;
    t.head_dim = DIM;
    t.scale = 0.2f;
    t.reach_back = back;
    t.reach_ahead = ahead;
    t.bias = biased ? bias + 100 : NULL;
    t.bias_stride = 200;
    t.out = zeros(out_bytes);
    t.out_stride = STRIDE;
    t.scratch = zeros(N_MEMBERS * bytes);
    t.scratch_bytes = bytes;
    by(1, attend, &t);
    for (int i = 0; i < LENGTHS; i++) {
        for (int row = begin[i]; row < begin[i + 1]; row++) {
            for (int h = 0; h < HEADS; h++)
                expect_attention(&t, i, row, row - begin[i], h);
        }
    }
    float *whole = t.out;
    t.out = zeros(out_bytes);
    by(N_MEMBERS, attend, &t);
    assert_memory_equal(t.out, whole, out_bytes);

    /* One picked query of each sequence, not the first, gives what it gave among the others. */
    const int32_t q_begin[] = {0, 1, 2}, q_first[] = {40, 3};
    float *q = zeros(2 * STRIDE * sizeof *q);
    for (int i = 0; i < LENGTHS; i++)
        memcpy(q + i * STRIDE, (const float *)t.q + (begin[i] + q_first[i]) * STRIDE, STRIDE * sizeof *q);
    hd_attention picked = t;
    picked.q = q;
    picked.q_begin = q_begin;
    picked.q_first = q_first;
    by(N_MEMBERS, attend, &picked);
    for (int i = 0; i < LENGTHS; i++)
        assert_memory_equal((float *)picked.out + i * STRIDE, whole + (begin[i] + q_first[i]) * STRIDE, STRIDE * sizeof *q);
    void *all[] = {q, whole, t.out, t.scratch, bias, (void *)(uintptr_t)t.q, (void *)(uintptr_t)t.k, (void *)(uintptr_t)t.v};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        hd__free(all[i]);
}

/* Queries, keys and values in bf16: what is written as bf16 is what is written as f32, rounded, and zeros where a query sees
 * no key. */
static void narrow_attention_test(void **state)
{
    (void)state;
    enum { ROWS_ALL = 75, SEEN = 3, FAR = SEEN + 4 };
    const int32_t n_seen[LENGTHS] = {SEEN, 5};
    const size_t bytes = hd__round_up(k_attention_scratch_bytes(ROWS_ALL, DIM), 64), n = ROWS_ALL * STRIDE;
    uint16_t *rows = zeros(n * sizeof *rows), *narrow = zeros(n * sizeof *narrow);
    float *wide = zeros(n * sizeof *wide);
    for (size_t i = 0; i < n; i++) {
        rows[i] = k_bf16_from_f32(random_value());
        narrow[i] = UINT16_MAX;
    }
    hd_attention t = {.type = K_BF16, .q = rows, .k = rows, .v = rows + KV_STRIDE, .q_begin = begin, .kv_begin = begin};
    t.q_stride = t.kv_stride = t.out_stride = STRIDE;
    t.n_seen = n_seen;
    t.n_sequences = LENGTHS;
    t.n_heads = HEADS;
    t.n_kv_heads = KV_HEADS;
    t.head_dim = DIM;
    t.scale = 0.2f;
    t.reach_back = FAR - SEEN;
    t.reach_ahead = K_REACH_ALL;
    t.out = wide;
    t.scratch = zeros(N_MEMBERS * bytes);
    t.scratch_bytes = bytes;
    by(1, attend, &t);
    t.out = narrow;
    t.out_type = K_BF16;
    by(N_MEMBERS, attend, &t);
    for (int row = 0; row < ROWS_ALL; row++) {
        for (size_t at = (size_t)row * STRIDE; at < (size_t)(row + 1) * STRIDE; at++) {
            assert_int_equal(narrow[at], k_bf16_from_f32(wide[at]));
            assert_true((narrow[at] == 0) == (row >= FAR && row < begin[1]));
        }
    }
    void *all[] = {rows, narrow, wide, t.scratch};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        hd__free(all[i]);
}

static void attention_test(void **state)
{
    (void)state;
    check_attention(K_REACH_ALL, K_REACH_ALL, false);
    check_attention(K_REACH_ALL, 0, false);
    check_attention(10, 5, false);
    check_attention(K_REACH_ALL, K_REACH_ALL, true);
    check_attention(33, K_REACH_ALL, true);
}

/* ---- feed-forward ---- */

enum { ROWS = 45, HIDDEN = 70, MIDDLE = 130, BLOCK_ROWS = 16 };

/* Weights [n, k] packed, and as they are in w. */
static k_weights pack(k_type type, int n, int k, float **w)
{
    hd_kernels kernels;
    hd__kernels_fill(&kernels);
    const size_t vector = (size_t)k_padded(n) * sizeof(float);
    float *scale = zeros(vector), *sum = zeros(vector), *bias = zeros(vector);
    void *panels = zeros(k_pack_bytes(type, n, k));
    *w = random_values((size_t)(n * k));
    for (int i = 0; i < n; i++)
        bias[i] = random_value();
    for (int i = 0; i < n; i += 16)
        k_pack_rows(type, kernels.i8_narrow, k, i, n - i < 16 ? n - i : 16, *w + i * k, panels, scale, sum);
    return (k_weights){.type = type,
                       .n = n,
                       .k = k,
                       .n_pad = k_padded(n),
                       .k_pad = k_padded(k),
                       .panels = panels,
                       .bias = bias,
                       .scale = scale,
                       .channel_sum = sum};
}

static void unpack(k_weights *w, float *values)
{
    const void *all[] = {w->panels, w->bias, w->scale, w->channel_sum, values};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        hd__free((void *)(uintptr_t)all[i]);
}

static hd_act make_act(k_type type, int n_rows, int n)
{
    hd_kernels kernels;
    hd__kernels_fill(&kernels);
    hd_act act = {.type = type, .act_max = kernels.i8_act_max, .stride = k_row_stride(n, type)};
    act.data = zeros((size_t)n_rows * act.stride * k_type_bytes(type));
    act.scale = zeros((size_t)n_rows * sizeof(float));
    act.offset = zeros((size_t)n_rows * sizeof(float));
    return act;
}

/* Rows for weights of a type. */
static hd_act make_act_for(k_type weights, int n_rows, int n)
{
    hd_kernels kernels;
    hd__kernels_fill(&kernels);
    return make_act(hd__gemm_row_type(&kernels, weights), n_rows, n);
}

static void free_act(hd_act *act)
{
    hd__free(act->data);
    hd__free(act->scale);
    hd__free(act->offset);
}

static double product(const k_weights *w, const float *values, const float *x, const double *wide, int row)
{
    double sum = (double)w->bias[row];
    for (int j = 0; j < w->k; j++)
        sum += (double)values[row * w->k + j] * (wide != NULL ? wide[j] : (double)x[j]);
    return sum;
}

static double silu(double x)
{
    return x / (1.0 + exp(-x));
}

typedef struct ffn_arguments {
    hd_norm norm;
    hd_ffn ffn;
} ffn_arguments;

/* x += ffn(norm(x)), the norm's result beside x. */
static void pre_norm_ffn(const hd_kernels *kernels, hd_run *run, void *arguments)
{
    const ffn_arguments *a = arguments;
    const hd_ffn *f = &a->ffn;
    hd__device_cpu()->norm(kernels, run, &a->norm, f->x, f->x_stride, ROWS, true, &f->act);
    hd__device_ffn(hd__device_cpu(), kernels, run, f);
}

static void expect_ffn(const ffn_arguments *a, float *const weights[3], const float *before, const float *after,
                       double *worst)
{
    double middle[MIDDLE], square = 0.0;
    float y[HIDDEN];
    for (int j = 0; j < HIDDEN; j++)
        square += (double)before[j] * (double)before[j] / HIDDEN;
    for (int j = 0; j < HIDDEN; j++)
        y[j] = (float)((double)before[j] / sqrt(square + (double)a->norm.eps) * (double)a->norm.gamma[j]);
    for (int j = 0; j < MIDDLE; j++) {
        middle[j] = product(a->ffn.up, weights[1], y, NULL, j);
        middle[j] = a->ffn.gate != NULL ? middle[j] * silu(product(a->ffn.gate, weights[0], y, NULL, j)) : silu(middle[j]);
    }
    for (int j = 0; j < HIDDEN; j++) {
        double want = (double)before[j] + product(a->ffn.down, weights[2], NULL, middle, j);
        double error = fabs((double)after[j] - want);
        *worst = error > *worst ? error : *worst;
    }
}

/* middle: what is written of the wide middle of K_I8 before it is converted. */
static void check_ffn(k_type type, k_type middle, bool gated, double bound)
{
    float *weights[3], *x = zeros(ROWS * k_row_stride(HIDDEN, K_F32) * sizeof *x);
    k_weights gate = pack(type, MIDDLE, HIDDEN, &weights[0]), up = pack(type, MIDDLE, HIDDEN, &weights[1]);
    k_weights down = pack(type, HIDDEN, MIDDLE, &weights[2]);
    const size_t stride = k_row_stride(HIDDEN, K_F32), bytes = ROWS * stride * sizeof *x;
    float *gamma = random_values((size_t)k_padded(HIDDEN)), *before = zeros(bytes), *alone = zeros(bytes);
    for (int i = 0; i < ROWS; i++) {
        for (int j = 0; j < HIDDEN; j++)
            x[(size_t)i * stride + (size_t)j] = random_value();
    }
    memcpy(before, x, bytes);
    ffn_arguments a = {.norm = {.gamma = gamma, .n = HIDDEN, .eps = 1e-6f, .rms = true}};
    a.ffn = (hd_ffn){.gate = gated ? &gate : NULL, .up = &up, .down = &down, .activation = K_SILU, .x = x};
    a.ffn.act = make_act_for(type, ROWS, HIDDEN);
    a.ffn.x_stride = stride;
    a.ffn.n_rows = ROWS;
    a.ffn.middle = make_act(middle, BLOCK_ROWS, MIDDLE);
    a.ffn.middle_act = make_act_for(type, BLOCK_ROWS, MIDDLE);
    a.ffn.block_rows = BLOCK_ROWS;
    by(1, pre_norm_ffn, &a);
    double worst = 0.0;
    for (int i = 0; i < ROWS; i++)
        expect_ffn(&a, weights, before + (size_t)i * stride, x + (size_t)i * stride, &worst);
    if (worst > bound)
        fail_msg("type %d by %d%s: off by %g", (int)type, (int)middle, gated ? ", gated" : "", worst);
    memcpy(alone, x, bytes);
    memcpy(x, before, bytes);
    by(N_MEMBERS, pre_norm_ffn, &a);
    assert_memory_equal(x, alone, bytes);
    unpack(&gate, weights[0]);
    unpack(&up, weights[1]);
    unpack(&down, weights[2]);
    free_act(&a.ffn.act);
    free_act(&a.ffn.middle);
    free_act(&a.ffn.middle_act);
    void *all[] = {x, gamma, before, alone};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        hd__free(all[i]);
}

/* Sums of 130 products of numbers up to 20 or so: bf16 keeps 8 bits of each, int8 a step of the largest of the row. */
static void ffn_test(void **state)
{
    (void)state;
    for (int gated = 0; gated < 2; gated++) {
        check_ffn(K_F32, K_F32, gated != 0, 2e-4);
        check_ffn(K_BF16, K_BF16, gated != 0, 1.5);
        check_ffn(K_I8, K_F32, gated != 0, 6.0);
        check_ffn(K_I8, K_BF16, gated != 0, 6.0);
    }
}

/* ---- low-rank changes ---- */

enum { CHANNELS = 70, TASKS = 3 };

typedef struct linear_arguments {
    k_weights w;
    hd_change change;
    float *x;
    hd_act act;
    float *out;
} linear_arguments;

static void convert_and_multiply(const hd_kernels *kernels, hd_run *run, void *arguments)
{
    const linear_arguments *a = arguments;
    const size_t stride = k_row_stride(HIDDEN, K_F32);
    const hd_act as_it_is = {.type = K_F32, .data = a->x, .stride = stride};
    hd__device_cpu()->convert(kernels, run, &as_it_is, ROWS, HIDDEN, &a->act);
    hd__device_cpu()->linear(kernels, run, &a->w, &a->change, a->act.type == K_F32 ? &as_it_is : &a->act, ROWS, 0,
                             a->w.n_pad / K_PANEL, K_STORE, K_F32, a->out, (size_t)a->w.n_pad);
}

/* Each task's product by the formula, alone and by a team; `rank` may put a task's columns across two steps of panels. */
static void check_change(k_type type, int rank, double bound)
{
    const size_t stride = k_row_stride(HIDDEN, K_F32), bytes = ROWS * (size_t)k_padded(CHANNELS) * sizeof(float);
    float *weights, *low_weights, *x = zeros(ROWS * stride * sizeof *x), *alone = zeros(bytes), *out = zeros(bytes);
    linear_arguments a = {.w = pack(type, CHANNELS, HIDDEN, &weights), .x = x, .act = make_act_for(type, ROWS, HIDDEN)};
    const size_t n_pad = (size_t)a.w.n_pad;
    float *lift = zeros((size_t)(TASKS * rank) * n_pad * sizeof *lift);
    hd_adapter adapter = {.rank = rank, .down = pack(type, TASKS * rank, HIDDEN, &low_weights), .lift = lift};
    for (int i = 0; i < ROWS * HIDDEN; i++)
        x[(size_t)(i / HIDDEN) * stride + (size_t)(i % HIDDEN)] = random_value();
    for (int i = 0; i < TASKS * rank * CHANNELS; i++)
        lift[(size_t)(i / CHANNELS) * n_pad + (size_t)(i % CHANNELS)] = random_value();
    a.change = (hd_change){.adapter = &adapter, .stride = k_row_stride(TASKS * rank, K_F32)};
    a.change.low = zeros(ROWS * a.change.stride * sizeof(float));
    for (a.change.task = 0; a.change.task < TASKS; a.change.task++) {
        a.out = alone;
        by(1, convert_and_multiply, &a);
        for (int i = 0; i < ROWS * CHANNELS; i++) {
            const float *row = x + (size_t)(i / CHANNELS) * stride;
            double want = product(&a.w, weights, row, NULL, i % CHANNELS);
            for (int r = a.change.task * rank; r < (a.change.task + 1) * rank; r++)
                want += product(&adapter.down, low_weights, row, NULL, r) *
                        (double)lift[(size_t)r * n_pad + (size_t)(i % CHANNELS)];
            const double got = (double)alone[(size_t)(i / CHANNELS) * n_pad + (size_t)(i % CHANNELS)];
            if (!(fabs(got - want) <= bound))
                fail_msg("type %d rank %d task %d: %g, not %g", (int)type, rank, a.change.task, got, want);
        }
        a.out = out;
        by(N_MEMBERS, convert_and_multiply, &a);
        assert_memory_equal(out, alone, bytes);
    }
    unpack(&a.w, weights);
    unpack(&adapter.down, low_weights);
    free_act(&a.act);
    void *all[] = {x, alone, out, lift, a.change.low};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        hd__free(all[i]);
}

static void change_test(void **state)
{
    (void)state;
    for (int rank = 4; rank <= 13; rank += 9) {
        check_change(K_F32, rank, 1e-4);
        check_change(K_BF16, rank, 0.5);
        check_change(K_I8, rank, 1.0);
    }
}

/* ---- embedding and rotation ---- */

typedef struct rows_arguments {
    hd_embedding embedding;
    const int32_t *ids, *positions, *types;
    float *x;
    k_rotary rotary;
} rows_arguments;

static void embed_and_rotate(const hd_kernels *kernels, hd_run *run, void *arguments)
{
    const rows_arguments *a = arguments;
    hd__device_cpu()->embed(kernels, run, &a->embedding, a->ids, a->positions, a->types, ROWS, a->x, 80);
    hd__device_cpu()->rotate(kernels, run, &a->rotary);
}

/* Rows of two heads of 35: 30 values of each are turned. */
static void rows_test(void **state)
{
    (void)state;
    enum { HALF = 15, HEAD = 35 };
    int32_t ids[ROWS], positions[ROWS], types[ROWS];
    float *words = random_values(9 * HIDDEN), *places = random_values(ROWS * HIDDEN), *kinds = random_values(3 * HIDDEN);
    float *cosine = random_values(ROWS * HALF), *sine = random_values(ROWS * HALF), *x = zeros(ROWS * 80 * sizeof *x);
    for (int i = 0; i < ROWS; i++) {
        ids[i] = i * 7 % 9;
        positions[i] = ROWS - 1 - i;
        types[i] = i % 3;
    }
    rows_arguments a = {
        .embedding = {.words = words, .positions = places, .types = kinds, .word_stride = HIDDEN, .n = HIDDEN}};
    a.ids = ids;
    a.positions = positions;
    a.types = types;
    a.x = x;
    a.rotary = (k_rotary){.type = K_F32, .x = x, .stride = 80, .n_rows = ROWS, .n_heads = 2, .head_dim = HEAD};
    a.rotary.rotary_dim = 2 * HALF;
    a.rotary.cos = cosine;
    a.rotary.sin = sine;
    a.rotary.pos = positions;
    for (uint32_t n_members = 1; n_members <= N_MEMBERS; n_members++) {
        by(n_members, embed_and_rotate, &a);
        for (int i = 0; i < ROWS * HIDDEN; i++) {
            const int row = i / HIDDEN, at = i % HIDDEN, j = at % HEAD;
            const float *word = words + ids[row] * HIDDEN, *place = places + positions[row] * HIDDEN,
                        *kind = kinds + types[row] * HIDDEN;
            double want = (double)word[at] + (double)place[at] + (double)kind[at];
            if (j < 2 * HALF) {
                const int other = j < HALF ? at + HALF : at - HALF, angle = positions[row] * HALF + j % HALF;
                double partner = (double)word[other] + (double)place[other] + (double)kind[other];
                want = want * (double)cosine[angle] + (j < HALF ? -1.0 : 1.0) * partner * (double)sine[angle];
            }
            assert_float_equal(x[row * 80 + at], (float)want, 2e-6f);
        }
    }
    void *all[] = {words, places, kinds, cosine, sine, x};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        hd__free(all[i]);
}

static void embed(const hd_kernels *kernels, hd_run *run, void *arguments)
{
    const rows_arguments *a = arguments;
    hd__device_cpu()->embed(kernels, run, &a->embedding, a->ids, a->positions, a->types, ROWS, a->x, 80);
}

/* Words that are the channels of a product's weights: a step of bf16 or int8 away from what was packed. */
/* Rows are picked with their positions, and so is what the next product reads of them. */
static void pick_test(void **state)
{
    (void)state;
    enum { N_SEQUENCES = 3, WIDTH = 16 };
    static const int32_t starts[N_SEQUENCES + 1] = {0, 1, 4, 9}, skip[N_SEQUENCES] = {0, 2, 1};
    static const int32_t positions[] = {0, 0, 1, 2, 0, 1, 2, 3, 4};
    static const int firsts[N_SEQUENCES] = {0, 3, 5}, lasts[N_SEQUENCES] = {0, 3, 8};
    float *x = random_values(9 * WIDTH), *picked_x = zeros(N_SEQUENCES * WIDTH * sizeof *picked_x);
    float *scale = random_values(9), *offset = random_values(9), picked_scale[N_SEQUENCES], picked_offset[N_SEQUENCES];
    int32_t picked_begin[N_SEQUENCES + 1] = {0}, picked_positions[N_SEQUENCES];
    uint8_t bytes[9 * 64], picked_bytes[N_SEQUENCES * 64];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(i * 7);
    const hd_act in = {.type = K_I8, .data = bytes, .stride = 64, .scale = scale, .offset = offset};
    const hd_act to = {.type = K_I8, .data = picked_bytes, .stride = 64, .scale = picked_scale, .offset = picked_offset};
    hd_run run = {0};
    for (int last = 0; last < 2; last++) {
        const int *rows = last ? lasts : firsts;
        hd__device_cpu()->pick(NULL, &run,
                               &(hd_pick){.n_sequences = N_SEQUENCES,
                                          .begin = starts,
                                          .skip = last ? NULL : skip,
                                          .positions = positions,
                                          .x = x,
                                          .picked_x = picked_x,
                                          .stride = WIDTH,
                                          .in = &in,
                                          .picked_in = &to,
                                          .picked_begin = picked_begin,
                                          .picked_positions = picked_positions});
        for (int i = 0; i < N_SEQUENCES; i++) {
            assert_memory_equal(picked_x + i * WIDTH, x + rows[i] * WIDTH, WIDTH * sizeof *x);
            assert_memory_equal(picked_bytes + i * 64, bytes + rows[i] * 64, 64);
            assert_true(picked_scale[i] == scale[rows[i]] && picked_offset[i] == offset[rows[i]]);
            assert_int_equal(picked_positions[i], positions[rows[i]]);
            assert_int_equal(picked_begin[i + 1], i + 1);
        }
    }
    hd__free(x);
    hd__free(picked_x);
    hd__free(scale);
    hd__free(offset);
}

static void tied_words_test(void **state)
{
    (void)state;
    static const float bounds[] = {[K_F32] = 2e-7f, [K_BF16] = 4e-3f};
    int32_t ids[ROWS], positions[ROWS];
    float *places = random_values(ROWS * HIDDEN), *x = zeros(ROWS * 80 * sizeof *x), *values;
    for (int i = 0; i < ROWS; i++) {
        ids[i] = i * 7 % 40;
        positions[i] = ROWS - 1 - i;
    }
    for (k_type type = K_F32; type <= K_I8; type++) {
        k_weights words = pack(type, 40, HIDDEN, &values);
        rows_arguments a = {.embedding = {.tied = &words, .positions = places, .n = HIDDEN}};
        a.ids = ids;
        a.positions = positions;
        a.x = x;
        for (uint32_t n_members = 1; n_members <= N_MEMBERS; n_members++) {
            by(n_members, embed, &a);
            for (int i = 0; i < ROWS * HIDDEN; i++) {
                const int row = i / HIDDEN, j = i % HIDDEN;
                const float want = values[ids[row] * HIDDEN + j] + places[positions[row] * HIDDEN + j];
                const float bound = type == K_I8 ? 0.501f * words.scale[ids[row]] : bounds[type];
                assert_float_equal(x[row * 80 + j], want, bound);
            }
        }
        unpack(&words, values);
    }
    hd__free(places);
    hd__free(x);
}

static void block_rows_test(void **state)
{
    (void)state;
    assert_int_equal(hd__device_cpu()->block_rows(1 << 30), 96); /* a large model's weights are not read for fewer */
    assert_int_equal(hd__device_cpu()->block_rows(64), 256);
}

int main(void)
{
    if (hd__isa_init(NULL) != HD_OK)
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(attention_test), cmocka_unit_test(narrow_attention_test),
        cmocka_unit_test(ffn_test),       cmocka_unit_test(change_test),
        cmocka_unit_test(rows_test),      cmocka_unit_test(tied_words_test),
        cmocka_unit_test(pick_test),      cmocka_unit_test(block_rows_test),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
