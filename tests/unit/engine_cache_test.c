/* The vector cache: least recently used first out, by bytes; and what the engine makes of it. */
#include "unit/engine_fixture.h"

#include <pthread.h>

#include "base/alloc.h"
#include "engine/cache.h"

/* ---- the table ---- */

static hd_hash128 key(uint64_t i)
{
    return hd__hash128(hd__span(&i, sizeof i), 0);
}

static hd_cache *open_cache(uint64_t bytes)
{
    hd_cache *cache;
    MUST(hd__cache_open(bytes, &cache, &err));
    return cache;
}

static bool has(hd_cache *cache, uint64_t i)
{
    float v[4] = {0};
    bool hit = hd__cache_get(cache, key(i), v, 4);
    assert_true(!hit || (v[0] == (float)i && v[3] == (float)i));
    return hit;
}

static void put(hd_cache *cache, uint64_t i)
{
    float x = (float)i;
    hd__cache_put(cache, key(i), (float[]){x, x, x, x}, 4);
}

static uint64_t entry_bytes(void)
{
    hd_cache *cache = open_cache(1 << 20);
    hd_cache_stats stats;
    put(cache, 1);
    hd__cache_get_stats(cache, &stats);
    hd__cache_close(cache);
    assert_true(stats.used_bytes >= 16);
    return stats.used_bytes;
}

static void test_eviction(void **state)
{
    (void)state;
    hd_cache *cache = open_cache(3 * entry_bytes() + entry_bytes() - 1); /* a byte short of four */
    hd_cache_stats stats;
    for (uint64_t i = 1; i <= 3; i++)
        put(cache, i);
    assert_true(has(cache, 1)); /* 2 is now the oldest */
    put(cache, 4);
    assert_false(has(cache, 2));
    assert_true(has(cache, 1) && has(cache, 3) && has(cache, 4));
    put(cache, 1); /* there already: nothing changes, not even its turn */
    put(cache, 5);
    assert_false(has(cache, 1));
    hd__cache_get_stats(cache, &stats);
    assert_int_equal(stats.n_entries, 3);
    assert_int_equal(stats.used_bytes, 3 * entry_bytes());
    assert_int_equal(stats.n_hits, 4);
    assert_int_equal(stats.n_misses, 2);
    hd__cache_close(cache);
}

static void test_edges(void **state)
{
    (void)state;
    float v[5] = {0};
    hd_cache *cache = open_cache(entry_bytes()); /* exactly one */
    put(cache, 1);
    assert_true(has(cache, 1));
    assert_false(hd__cache_get(cache, key(1), v, 3)); /* of another length */
    put(cache, 2);
    assert_true(!has(cache, 1) && has(cache, 2));
    hd__cache_put(cache, key(3), v, 5); /* does not fit: costs nobody a place */
    assert_true(has(cache, 2));
    hd__cache_close(cache);
    cache = open_cache(1);
    put(cache, 1);
    assert_false(has(cache, 1));
    hd__cache_close(cache);
    hd__cache_close(NULL);
}

/* More entries than the table began with; every one found again, then only the newest. */
static void test_many(void **state)
{
    (void)state;
    enum { MANY = 20000 };
    hd_cache *cache = open_cache(MANY * entry_bytes());
    for (uint64_t i = 0; i < MANY; i++)
        put(cache, i);
    for (uint64_t i = 0; i < MANY; i++)
        assert_true(has(cache, i));
    for (uint64_t i = MANY; i < 3 * MANY; i++)
        put(cache, i);
    for (uint64_t i = 0; i < 3 * MANY; i++)
        assert_int_equal(has(cache, i), i >= 2 * MANY);
    hd__cache_close(cache);
}

static void test_no_memory(void **state)
{
    (void)state;
    hd_cache *cache = NULL;
    for (uint64_t n = 0; n < 2; n++) {
        hd__alloc_fail_after(n, UINT64_MAX);
        hd_status status = hd__cache_open(1 << 20, &cache, &err);
        hd__alloc_fail_off();
        must_fail(status, HD_ERR_MEMORY, "no memory");
        assert_null(cache);
    }
    cache = open_cache(1 << 20);
    hd__alloc_fail_after(0, UINT64_MAX);
    put(cache, 1); /* kept nothing */
    hd__alloc_fail_off();
    assert_false(has(cache, 1));
    for (uint64_t i = 0; i < 1024; i++)
        put(cache, i);
    hd__alloc_fail_after(1, UINT64_MAX); /* the entry, but no larger table */
    put(cache, 1024);
    hd__alloc_fail_off();
    for (uint64_t i = 0; i <= 1024; i++)
        assert_true(has(cache, i));
    hd__cache_close(cache);
}

static void *hammer(void *data)
{
    hd_cache *cache = data;
    for (uint64_t i = 0; i < 20000; i++) {
        uint64_t k = i * 2654435761u % 97;
        if (!has(cache, k))
            put(cache, k);
    }
    return NULL;
}

static void test_threads(void **state)
{
    (void)state;
    hd_cache *cache = open_cache(50 * entry_bytes());
    hd_cache_stats stats;
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, hammer, cache), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    hd__cache_get_stats(cache, &stats);
    assert_int_equal(stats.n_hits + stats.n_misses, 4 * 20000);
    assert_int_equal(stats.n_entries, 50);
    hd__cache_close(cache);
}

/* ---- in the engine ---- */

static void encode(hd_model *model, const char *text, hd_encode_options options, float *out, uint64_t n_cached)
{
    hd_text t = text_of(text);
    hd_encode_stats stats;
    MUST(hd_encode(model, &t, 1, &options, out, &stats, &err));
    assert_int_equal(stats.n_cached, n_cached);
    assert_int_equal(stats.n_tokens == 0, n_cached == 1);
}

/* One entry serves every `dimensions` and both ways of normalising, with the bits that computing gives. */
static void test_options_share(void **state)
{
    (void)state;
    static const hd_encode_options options[] = {
        {0}, {.dimensions = 7}, {.no_normalize = true}, {.dimensions = 33, .no_normalize = true}};
    hd_engine *with = open_engine((hd_engine_options){.n_threads = 2, .cache_bytes = 1 << 20});
    hd_engine *without = open_engine((hd_engine_options){.n_threads = 2});
    hd_model *cached = open_model(with, "tiny-cls", HD_DTYPE_BF16), *plain = open_model(without, "tiny-cls", HD_DTYPE_BF16);
    for (size_t i = 0; i < 4; i++) {
        float a[64] = {0}, b[64] = {0};
        encode(cached, "river stone", options[i], a, i > 0);
        encode(plain, "river stone", options[i], b, 0);
        assert_memory_equal(a, b, sizeof a);
    }
    hd_engine_stats stats = stats_of(with);
    assert_int_equal(stats.cache_hits, 3);
    assert_int_equal(stats.cache_misses, 1);
    assert_int_equal(stats.cache_entries, 1);
    assert_int_equal(stats.n_texts, 1); /* hits are not counted */
    stats = stats_of(without);
    assert_int_equal(stats.cache_hits + stats.cache_misses + stats.cache_entries + stats.cache_used_bytes, 0);
    hd_engine_close(with);
    hd_engine_close(without);
}

/* What changes the vector changes the key: prompt, where pooling begins, length, model, dtype. */
static void test_options_apart(void **state)
{
    (void)state;
    hd_engine *engine = open_engine((hd_engine_options){.n_threads = 1, .cache_bytes = 1 << 20});
    hd_model *model = open_model(engine, "tiny-prompt-excluded", HD_DTYPE_F32),
             *other = open_model(engine, "tiny-cls", HD_DTYPE_F32);
    hd_model *int8 = open_model(engine, "tiny-cls", HD_DTYPE_INT8);
    float v[64], w[64];
    encode(model, "river stone", (hd_encode_options){0}, v, 0);
    encode(model, "river stone", (hd_encode_options){.prompt_name = "query"}, v, 0);
    encode(model, "Represent the question for retrieval: river stone", (hd_encode_options){0}, w,
           0); /* same ids, pooled from 0 */
    assert_memory_not_equal(v, w, sizeof v);
    encode(model, "river stone", (hd_encode_options){.max_length = 3}, v, 0);
    encode(other, "river stone", (hd_encode_options){0}, v, 0);
    encode(int8, "river stone", (hd_encode_options){0}, w, 0);
    assert_memory_not_equal(v, w, sizeof v);
    encode(model, "river stone", (hd_encode_options){.prompt_name = "query"}, v, 1);
    encode(other, "RIVER  stone\n", (hd_encode_options){0}, v, 1); /* the tokenizer drops what differs */
    MUST(hd_model_unload(other, &err));
    encode(other, "river stone", (hd_encode_options){0}, w, 1); /* outlives the weights */
    assert_memory_equal(v, w, sizeof v);
    hd_model_close(other);
    other = open_model(engine, "tiny-cls", HD_DTYPE_F32);
    encode(other, "river stone", (hd_encode_options){0}, w, 0); /* files may have changed: computed anew */
    hd_engine_close(engine);
}

/* A batch partly in the cache; rows stay in order. */
static void test_mixed_batch(void **state)
{
    (void)state;
    enum { N = 50 };
    hd_engine *engine = open_engine((hd_engine_options){.n_threads = 2, .cache_bytes = 1 << 20});
    hd_model *model = open_model(engine, "tiny-mrl", HD_DTYPE_F32);
    size_t width = width_of(model);
    hd_text odd[N / 2];
    for (size_t i = 0; i < N / 2; i++)
        odd[i] = some_texts(N)[2 * i + 1];
    float *first = malloc(N * width * sizeof *first);
    hd_encode_stats stats;
    MUST(hd_encode(model, odd, N / 2, NULL, first, &stats, &err));
    assert_int_equal(stats.n_cached, 0);
    MUST(hd_encode(model, some_texts(N), N, NULL, first, &stats, &err));
    assert_int_equal(stats.n_cached, N / 2);
    float *second = encode_some(model, N);
    assert_memory_equal(first, second, N * width * sizeof *first);
    assert_int_equal(stats_of(engine).n_texts, N);
    free(first);
    free(second);
    hd_engine_close(engine);
}

static int set_up(void **state)
{
    (void)state;
    scratch_begin(&folder);
    tiny_models_make(&folder, "tiny-cls tiny-mrl tiny-prompt-excluded");
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_eviction),      cmocka_unit_test(test_edges),       cmocka_unit_test(test_many),
        cmocka_unit_test(test_no_memory),     cmocka_unit_test(test_threads),     cmocka_unit_test(test_options_share),
        cmocka_unit_test(test_options_apart), cmocka_unit_test(test_mixed_batch),
    };
    return cmocka_run_group_tests(tests, set_up, remove_folder);
}
