/* memory_test.c - what models of known shapes take of a device's memory, weights, batches and cuBLASLt's rooms together. The
 * weights are not there: their bytes are only added up.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cuda/products.h"
#include "encoder/upload.h"
#include "engine/engine_int.h"

enum { MOST_LAYERS = 24, LOCAL_TOKENS = 1024, WORKERS = HD_DEVICE_STREAMS };

#define MEGABYTES UINT64_C(1000000)

typedef struct shape {
    uint32_t n_layers, hidden, middle, n_heads, vocab_size, n_positions;
    bool has_heads; /* bge-m3's: sparse and multi */
} shape;

static const shape bge_m3 = {24, 1024, 4096, 16, 250002, 8192, true}, mini_lm = {6, 384, 1536, 12, 30522, 512, false};

static hd_error err;

static k_weights product(k_type type, int n, int k)
{
    static const float nothing[1]; /* an address that is not looked behind */
    return (k_weights){
        .type = type, .n = n, .k = k, .n_pad = k_padded(n), .k_pad = k_padded(k), .panels = nothing, .bias = nothing};
}

static hd_norm norm(int n)
{
    static const float nothing[1];
    return (hd_norm){.gamma = nothing, .beta = nothing, .n = n};
}

/* An encoder of that shape in f32, as the CPU keeps one that is f16 on devices. */
static void make(const shape *s, hd_settings *settings, hd_layer *layers, hd_encoder *e)
{
    static const float nothing[1];
    const int hidden = (int)s->hidden, middle = (int)s->middle;
    *settings = (hd_settings){.n_layers = s->n_layers,
                              .hidden = s->hidden,
                              .intermediate = s->middle,
                              .n_heads = s->n_heads,
                              .n_kv_heads = s->n_heads,
                              .head_dim = s->hidden / s->n_heads,
                              .vocab_size = s->vocab_size,
                              .n_positions = s->n_positions,
                              .n_token_types = 1};
    for (uint32_t i = 0; i < s->n_layers; i++)
        layers[i] = (hd_layer){.qkv = product(K_F32, 3 * hidden, hidden),
                               .attention_out = product(K_F32, hidden, hidden),
                               .up = product(K_F32, middle, hidden),
                               .down = product(K_F32, hidden, middle),
                               .attention_norm = norm(hidden),
                               .output_norm = norm(hidden),
                               .rule = &e->rules[0]};
    *e = (hd_encoder){
        .architecture = &hd__xlm_roberta,
        .settings = settings,
        .device = hd__device_cpu(),
        .embedding = {.words = nothing, .word_stride = s->hidden, .positions = nothing, .types = nothing, .n = hidden},
        .embedding_norm = norm(hidden),
        .layers = layers,
        .heads = HD_HEAD_DENSE,
        .n_out = hidden,
        .dense = {.pooling = HD_POOLING_CLS, .n_pooled = hidden, .n_out = hidden}};
    if (s->has_heads) {
        e->token_weight = product(K_F32, 1, hidden);
        e->n_token_steps = 1;
        e->token_steps[0].linear = product(K_F32, hidden, hidden);
        e->n_token_out = hidden;
    }
}

/* All that is taken by so many workers, each with room for dense vectors of so many tokens and n_rows texts. */
static uint64_t taken(const shape *s, k_type type, bool gathers, int n_workers, const hd_room *room)
{
    static hd_layer layers[MOST_LAYERS];
    hd_settings settings;
    hd_encoder e;
    hd_slot plan;
    uint64_t weights, scratch;
    make(s, &settings, layers, &e);
    const hd_model model = {.encoder = &e, .settings = settings};
    const hd_upload how = {.type = type, .gathers = gathers};
    assert_int_equal(hd__encoder_measure_there(&e, &how, room, &weights, &scratch, &err), HD_OK);
    const uint64_t block = hd__slot_plan(&model, room, HD_HEAD_DENSE, NULL, &plan) + scratch;
    print_message("%.1f MB of weights, %d x %.1f MB for %d tokens\n", (double)weights / 1e6, n_workers, (double)block / 1e6,
                  room->n_tokens);
    return weights + (uint64_t)n_workers * (block + PRODUCTS_BYTES);
}

static const hd_room whole = {HD_DEVICE_GROUP_TOKENS, HD_DEVICE_GROUP_TOKENS / HD_DEVICE_ROW_TOKENS, 0};

/* Groups of 16,384 tokens, two at once, in 1.25 GB. */
static void test_bge_m3(void **state)
{
    (void)state;
    assert_true(taken(&bge_m3, K_F16, true, WORKERS, &whole) <= 1250 * MEGABYTES);
    assert_true(taken(&bge_m3, K_BF16, true, WORKERS, &whole) <= 1250 * MEGABYTES);
    assert_true(taken(&bge_m3, K_F16, false, 1, &whole) <= 1450 * MEGABYTES);
    assert_true(taken(&bge_m3, K_F8, true, WORKERS, &whole) <= 1050 * MEGABYTES);
    assert_true(taken(&bge_m3, K_F8, false, WORKERS, &whole) <= 1550 * MEGABYTES);
    assert_true(taken(&bge_m3, K_F32, false, 1, &whole) <= 2750 * MEGABYTES);
}

static void test_mini_lm(void **state)
{
    (void)state;
    const hd_room room = {LOCAL_TOKENS, LOCAL_TOKENS / HD_DEVICE_ROW_TOKENS, 0};
    assert_true(taken(&mini_lm, K_F16, true, 1, &room) <= 80 * MEGABYTES);
    assert_true(taken(&mini_lm, K_F16, false, WORKERS, &whole) <= 350 * MEGABYTES);
    assert_true(taken(&mini_lm, K_F8, false, WORKERS, &whole) <= 330 * MEGABYTES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_bge_m3), cmocka_unit_test(test_mini_lm)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
