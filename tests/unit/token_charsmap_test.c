/* The charsmap: what is replaced and where it then stands, the shortest match of a cluster, and maps that lie. Expected
 * values are those of `tokenizers`' Precompiled with the same map. */
#include "token/charsmap.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/alloc.h"

static hd_error err;

/* A map by hand: "a" -> "XY", "b" -> "", "e\u0301" -> "E", "e\u0301\u0323" -> "never". Places in the array are found by the
 * first free block of 256 for each node, so that every label has its own. */
typedef struct map_bytes {
    uint32_t units[256 * 10];
    uint32_t n_blocks;
    char bytes[4 + sizeof(uint32_t) * 256 * 10 + 64];
    size_t len;
} map_bytes;

static uint32_t offset_of(uint32_t from, uint32_t to)
{
    return (from ^ to) << 10;
}

static void add(map_bytes *map, const char *key, uint32_t value)
{
    uint32_t at = 0; /* a node */
    for (const char *c = key;; c++) {
        uint32_t base = at ^ map->units[at] >> 10;
        if (map->units[at] >> 10 == 0) { /* has no children yet */
            base = map->n_blocks++ * 256;
            map->units[at] |= offset_of(at, base);
        }
        if (*c == '\0') {
            map->units[at] |= 1u << 8;
            map->units[base] = value | 1u << 31;
            return;
        }
        at = base ^ (unsigned char)*c;
        map->units[at] |= (unsigned char)*c;
    }
}

static void make(map_bytes *map)
{
    static const char texts[] = "\0XY\0E\0never"; /* and the NUL of the literal */
    *map = (map_bytes){.n_blocks = 1};
    add(map, "a", 1);
    add(map, "b", 0);
    add(map, "e\xCC\x81", 4);
    add(map, "e\xCC\x81\xCC\xA3", 6);
    uint32_t n_bytes = map->n_blocks * 256 * 4;
    memcpy(map->bytes, &n_bytes, 4);
    memcpy(map->bytes + 4, map->units, n_bytes);
    memcpy(map->bytes + 4 + n_bytes, texts, sizeof texts);
    map->len = 4 + n_bytes + sizeof texts;
}

/* "c:begin-end ..." */
static const char *run(const hd_charsmap *map, const char *utf8)
{
    static char out[512];
    hd_norm_text text = {0}, spare = {0};
    size_t at = 0;
    out[0] = '\0';
    if (hd__norm_text_decode(&text, hd__span_of(utf8), 0, &err) != HD_OK ||
        hd__charsmap_run(map, &text, &spare, &err) != HD_OK)
        fail_msg("%s", err.text);
    for (size_t i = 0; i < text.n; i++)
        at += (size_t)snprintf(out + at, sizeof out - at, "%s%x:%u-%u", i > 0 ? " " : "", text.chars[i].code_point,
                               text.chars[i].begin, text.chars[i].end);
    hd__norm_text_clear(&text);
    hd__norm_text_clear(&spare);
    return out;
}

static void test_run(void **state)
{
    (void)state;
    static map_bytes bytes;
    hd_arena arena;
    hd_charsmap map;
    hd__arena_init(&arena);
    make(&bytes);
    assert_int_equal(hd__charsmap_read(hd__span(bytes.bytes, bytes.len), "f", &arena, &map, &err), HD_OK);
    assert_string_equal(run(&map, ""), "");
    assert_string_equal(run(&map, "cd"), "63:0-1 64:1-2");
    assert_string_equal(run(&map, "cad"), "63:0-1 58:1-2 59:1-2 64:2-3");
    assert_string_equal(run(&map, "cbd"), "63:0-1 64:2-3");
    assert_string_equal(run(&map, "bcd"), "63:0-1 64:1-2"); /* what is dropped in front shifts all places */
    assert_string_equal(run(&map, "bb"), "");
    assert_string_equal(run(&map, "abd"), "58:0-1 59:1-2 64:2-3"); /* the added one takes the dropped one's place */
    assert_string_equal(run(&map, "e\xCC\x81x"), "45:0-1 78:3-4");
    assert_string_equal(run(&map, "e\xCC\x81\xCC\xA3x"), "45:0-1 78:5-6"); /* a cluster of 5 bytes, its shortest match */
    assert_string_equal(run(&map, "a\xCC\x81x"), "58:0-1 59:1-3 78:3-4");  /* all of it is replaced */
    assert_string_equal(run(&map, "a\xCC\x81\xCC\x81\xCC\x81"), "58:0-1 59:0-1 301:1-3 301:3-5 301:5-7"); /* 7 bytes */
    assert_string_equal(run(&map, "e"), "65:0-1");
    hd__arena_clear(&arena);
}

static void test_malformed(void **state)
{
    (void)state;
    static map_bytes bytes;
    hd_arena arena;
    hd_charsmap map;
    hd__arena_init(&arena);
    make(&bytes);
    static const size_t lens[] = {0, 3, 4, 100};
    for (size_t i = 0; i < sizeof lens / sizeof *lens; i++)
        assert_int_equal(hd__charsmap_read(hd__span(bytes.bytes, lens[i]), "f", &arena, &map, &err), HD_ERR_FORMAT);
    assert_non_null(strstr(err.text, "f: precompiled_charsmap of 100 bytes"));
    memcpy(bytes.bytes, "\0\0\0\0", 4); /* no units at all */
    assert_int_equal(hd__charsmap_read(hd__span(bytes.bytes, bytes.len), "f", &arena, &map, &err), HD_ERR_FORMAT);
    memcpy(bytes.bytes, "\xFF\xFF\xFF\xFF", 4);
    assert_int_equal(hd__charsmap_read(hd__span(bytes.bytes, bytes.len), "f", &arena, &map, &err), HD_ERR_FORMAT);
    make(&bytes);
    bytes.bytes[bytes.len - 2] = (char)0xFF;
    assert_int_equal(hd__charsmap_read(hd__span(bytes.bytes, bytes.len), "f", &arena, &map, &err), HD_ERR_FORMAT);
    assert_non_null(strstr(err.text, "UTF-8"));
    static const char *const base64[] = {"A", "AB=", "AAA=AAAA", "AA!A", "=AAA", "A==="};
    for (size_t i = 0; i < sizeof base64 / sizeof *base64; i++)
        assert_int_equal(hd__charsmap_read_base64(hd__span_of(base64[i]), "f", &arena, &map, &err), HD_ERR_FORMAT);
    assert_int_equal(hd__charsmap_read_base64(hd__span_of("BAAAAAAAAAA="), "f", &arena, &map, &err), HD_OK);
    assert_int_equal(map.n_units, 1);
    assert_int_equal(map.texts.len, 0);
    hd__arena_clear(&arena);
}

/* Ways and values out of range, and units that lead to themselves. */
static void test_lies(void **state)
{
    (void)state;
    static map_bytes bytes;
    hd_arena arena;
    hd_charsmap map;
    static const uint32_t lies[] = {0xFFFFFFFF, 0x7FFFFFFF,   0, 1u << 9 | 0xFFFFFC00, 'a' | 1u << 8 | 0x3FFFFC00,
                                    'a',        'a' | 1u << 8};
    for (size_t lie = 0; lie < sizeof lies / sizeof *lies; lie++) {
        for (size_t unit = 0; unit < 256 * 4; unit++) {
            hd__arena_init(&arena);
            make(&bytes);
            memcpy(bytes.bytes + 4 + 4 * unit, &lies[lie], 4);
            assert_int_equal(hd__charsmap_read(hd__span(bytes.bytes, bytes.len), "f", &arena, &map, &err), HD_OK);
            run(&map, "abe\xCC\x81\xCC\xA3 aaaaabbbe");
            hd__arena_clear(&arena);
        }
    }
}

static void test_no_memory(void **state)
{
    (void)state;
    static map_bytes bytes;
    make(&bytes);
    hd_status status = HD_ERR_MEMORY;
    for (uint64_t n = 0; status != HD_OK; n++) {
        hd_arena arena;
        hd_charsmap map;
        hd_norm_text text = {0}, spare = {0};
        hd__arena_init(&arena);
        assert_true(n < 30);
        hd__alloc_fail_after(n, UINT64_MAX);
        status = hd__charsmap_read(hd__span(bytes.bytes, bytes.len), "f", &arena, &map, &err);
        if (status == HD_OK)
            status = hd__norm_text_decode(&text, hd__span_of("ab"), 0, &err);
        if (status == HD_OK)
            status = hd__charsmap_run(&map, &text, &spare, &err);
        hd__alloc_fail_off();
        assert_true(status == HD_OK || status == HD_ERR_MEMORY);
        hd__norm_text_clear(&text);
        hd__norm_text_clear(&spare);
        hd__arena_clear(&arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_run),
        cmocka_unit_test(test_malformed),
        cmocka_unit_test(test_lies),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
