/* Redis's URL, keys and values. What a real server does is in tests/serve/test_redis.py. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "remote/redis.h"

static hd_error err;

static void expect_url(const char *text, hd_redis_url wanted)
{
    hd_arena arena;
    hd_redis_url url;
    hd__arena_init(&arena);
    if (hd__redis_url_parse(text, &arena, &url, &err) != HD_OK)
        fail_msg("%s: %s", text, err.text);
    assert_string_equal(url.host, wanted.host);
    assert_string_equal(url.user != NULL ? url.user : "-", wanted.user != NULL ? wanted.user : "-");
    assert_string_equal(url.password != NULL ? url.password : "-", wanted.password != NULL ? wanted.password : "-");
    assert_int_equal(url.port, wanted.port);
    assert_int_equal(url.db, wanted.db);
    hd__arena_clear(&arena);
}

static void test_urls(void **state)
{
    (void)state;
    expect_url("redis://h", (hd_redis_url){.host = "h", .port = 6379});
    expect_url("redis://h/", (hd_redis_url){.host = "h", .port = 6379});
    expect_url("redis://h:65535/3", (hd_redis_url){.host = "h", .port = 65535, .db = 3});
    expect_url("redis://[::1]:1/1000000", (hd_redis_url){.host = "::1", .port = 1, .db = 1000000});
    expect_url("redis://[fe80::2]", (hd_redis_url){.host = "fe80::2", .port = 6379});
    expect_url("redis://:secret@h", (hd_redis_url){.host = "h", .port = 6379, .password = "secret"});
    expect_url("redis://u:p@h", (hd_redis_url){.host = "h", .port = 6379, .user = "u", .password = "p"});
    expect_url("redis://u:a:b@c@h", (hd_redis_url){.host = "h", .port = 6379, .user = "u", .password = "a:b@c"});
    expect_url("redis://%75:%2f%40%C3%a9%3F@h",
               (hd_redis_url){.host = "h", .port = 6379, .user = "u", .password = "/@\xc3\xa9?"});
    expect_url("redis://:@h", (hd_redis_url){.host = "h", .port = 6379, .password = ""});
}

static void test_bad_urls(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        "h",
        "http://h",
        "redis:",
        "redis://",
        "redis:///1",
        "redis://:1",
        "redis://h:",
        "redis://h:0",
        "redis://h:65536",
        "redis://h:x",
        "redis://h/x",
        "redis://h/1/2",
        "redis://h/1000001",
        "redis://h?",
        "redis://h#",
        "redis://h/1?a=b",
        "redis://u@h",
        "redis://[::1",
        "redis://[::1]x",
        "redis://[]",
        "redis://u:%@h",
        "redis://u:%4@h",
        "redis://u:%zz@h",
        "redis://u:%00@h",
        "redis://a%b",
        "redis://h:99999999999999999999",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        hd_arena arena;
        hd_redis_url url;
        hd__arena_init(&arena);
        if (hd__redis_url_parse(texts[i], &arena, &url, &err) != HD_ERR_ARG)
            fail_msg("'%s' is taken", texts[i]);
        assert_non_null(strstr(err.text, "redis://["));
        hd__arena_clear(&arena);
    }
}

static void test_nothing_secret_is_said(void **state)
{
    (void)state;
    static const char *const texts[] = {"rediss://u:hush@h", "redis://u:hush@", "redis://u:hush@h:x", "redis://u:hush%@h"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        hd_arena arena;
        hd_redis_url url;
        hd__arena_init(&arena);
        assert_int_equal(hd__redis_url_parse(texts[i], &arena, &url, &err), i == 0 ? HD_ERR_UNSUPPORTED : HD_ERR_ARG);
        assert_null(strstr(err.text, "hush"));
        hd__arena_clear(&arena);
    }
}

static void test_keys(void **state)
{
    (void)state;
    hd_store_key key;
    char text[HD_REDIS_KEY_BYTES];
    memset(key.hex, 'a', 64);
    key.hex[0] = '0';
    key.hex[63] = 'f';
    key.hex[64] = '\0';
    hd__redis_key_write(&key, text);
    assert_memory_equal(text, "heddle:1:0a", 11);
    assert_memory_equal(text + HD_REDIS_KEY_BYTES - 2, "af", 2);
}

static void test_values(void **state)
{
    (void)state;
    const float vector[] = {1.0f, -0.0f, 1e-45f, 3.4028235e38f};
    char bytes[17];
    float back[4];
    hd__redis_value_write(vector, 4, bytes);
    assert_memory_equal(bytes, "\0\0\x80\x3f\0\0\0\x80\1\0\0\0\xff\xff\x7f\x7f", 16);
    assert_true(hd__redis_value_read(hd__span(bytes, 16), back, 4));
    assert_memory_equal(back, vector, sizeof vector);
    assert_false(hd__redis_value_read(hd__span(bytes, 0), back, 4));
    assert_false(hd__redis_value_read(hd__span(bytes, 0), back, 0));
    assert_false(hd__redis_value_read(hd__span(bytes, 15), back, 4));
    assert_false(hd__redis_value_read(hd__span(bytes, 17), back, 4));
    assert_false(hd__redis_value_read(hd__span(bytes, 12), back, 4));
    assert_false(hd__redis_value_read(hd__span(bytes, 16), back, 3));
    for (size_t i = 0; i < 4; i++) {
        const float strange[] = {NAN, INFINITY, -INFINITY};
        for (size_t k = 0; k < 3; k++) {
            float damaged[4];
            memcpy(damaged, vector, sizeof damaged);
            damaged[i] = strange[k];
            hd__redis_value_write(damaged, 4, bytes);
            assert_false(hd__redis_value_read(hd__span(bytes, 16), back, 4));
        }
    }
}

/* Without a server: opening takes no time, nobody is asked, and closing does not wait. */
static void test_without_server(void **state)
{
    (void)state;
    hd_redis *redis;
    const hd_redis_options options = {.url = "redis://127.0.0.1:1", .timeout_ms = 20};
    if (hd__redis_open(&options, &redis, &err) != HD_OK)
        fail_msg("%s", err.text);
    const hd_vector_store *store = hd__redis_store(redis);
    hd_store_request request = {0};
    hd_store_stats stats;
    hd_store_key key = {"0"};
    assert_false(store->ready(store->data));
    assert_false(store->get(store->data, &request));
    store->put(store->data, &key, (float[]){1.0f}, 1);
    store->get_stats(store->data, &stats);
    assert_false(stats.connected);
    assert_int_equal(stats.n_dropped, 1);
    hd__redis_close(redis);
    hd__redis_close(NULL);
}

static void test_no_memory(void **state)
{
    (void)state;
    const hd_redis_options options = {.url = "redis://u:p@127.0.0.1:1", .timeout_ms = 20};
    hd_redis *redis;
    for (uint64_t n = 0;; n++) {
        hd__alloc_fail_after(n, UINT64_MAX);
        const hd_status status = hd__redis_open(&options, &redis, &err);
        hd__alloc_fail_off();
        if (status == HD_OK)
            break;
        assert_int_equal(status, HD_ERR_MEMORY);
    }
    hd__redis_close(redis);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_urls),      cmocka_unit_test(test_bad_urls), cmocka_unit_test(test_nothing_secret_is_said),
        cmocka_unit_test(test_keys),      cmocka_unit_test(test_values),   cmocka_unit_test(test_without_server),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
