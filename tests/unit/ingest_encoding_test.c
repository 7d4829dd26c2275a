/* Bytes of any encoding to UTF-8. */
#include "ingest/encoding.h"

#include "unit/extract_dump.h"

static void named_reads(const void *bytes, size_t n, const char *named, const char *wanted)
{
    hd_arena arena;
    hd_span text;
    hd__arena_init(&arena);
    hd_status status = hd__encoding_decode(hd__span(bytes, n), named, &arena, &text, &err);
    if (status != HD_OK || !hd__span_is(text, wanted))
        fail_msg("status %d, \"%.*s\", wanted \"%s\"", (int)status, status == HD_OK ? (int)text.len : 0, text.ptr, wanted);
    hd__arena_clear(&arena);
}

#define reads(literal, wanted) named_reads(literal, sizeof literal - 1, NULL, wanted)

static void utf8_stays_as_it_is(void **state)
{
    (void)state;
    static const char text[] = "na\xC3\xAFve \xF0\x9F\x99\x82\n";
    hd_arena arena;
    hd_span found;
    hd__arena_init(&arena);
    assert_int_equal(hd__encoding_decode(hd__span_of(text), NULL, &arena, &found, &err), HD_OK);
    assert_ptr_equal(found.ptr, text); /* nothing is copied */
    hd__arena_clear(&arena);
    reads("", "");
    reads("\xEF\xBB\xBF", "");
    reads("\xEF\xBB\xBFx", "x");
    reads("a\r\nb\rc\n\r", "a\nb\nc\n\n");
}

static void damaged_utf8_is_not_another_encoding(void **state)
{
    (void)state;
    reads("\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9\xFF",
          "\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9\xEF\xBF\xBD");
    reads("caf\xE9 \x80 100", "caf\xC3\xA9 \xE2\x82\xAC 100"); /* Windows-1252 */
}

static void utf16_and_utf32(void **state)
{
    (void)state;
    reads("\xFF\xFEh\0i\0\x3D\xD8\x42\xDE", "hi\xF0\x9F\x99\x82");
    reads("\xFE\xFF\0h\0i", "hi");
    reads("h\0i\0 \0t\0h\0e\0r\0e\0", "hi there");
    reads("\0h\0i\0\r\0\n\0t\0h\0e\0r\0e", "hi\nthere");
    reads("\xFF\xFEh\0\0\xD8x\0\0", "h\xEF\xBF\xBDx\xEF\xBF\xBD"); /* half a pair, half a unit */
    reads("\xFF\xFE\0\0h\0\0\0i\0\0\0", "hi");
    reads("\0\0\xFE\xFF\0\0\0h\0\x11\0\0", "h\xEF\xBF\xBD");
}

static void named_encodings(void **state)
{
    (void)state;
    named_reads("\xE1\xE2", 2, "koi8-r", "\xD0\x90\xD0\x91");
    named_reads("\x83\x65\x83X", 4, "Shift_JIS", "\xE3\x83\x86\xE3\x82\xB9");
    named_reads("a\x83", 2, "Shift_JIS", "a\xEF\xBF\xBD");
    named_reads("\xC3\xA9", 2, "koi8-r", "\xC3\xA9"); /* what is UTF-8 is UTF-8, whatever it says */
    hd_arena arena;
    hd_span text;
    hd__arena_init(&arena);
    static const char *const names[] = {"klingon", "latin1//TRANSLIT", "", "utf8,ccs=x",
                                        "a-name-that-is-much-longer-than-forty-bytes-are"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        assert_int_equal(hd__encoding_decode(hd__span("a\xE9", 2), names[i], &arena, &text, &err), HD_ERR_UNSUPPORTED);
        assert_non_null(strstr(err.text, "is not known here"));
    }
    hd__arena_clear(&arena);
}

static void binary_is_refused(void **state)
{
    (void)state;
    refuses(hd__span("text\0", 5), "a.txt", HD_ERR_FORMAT, "byte 4 is zero");
    refuses(hd__span("\1\2\3\4\5\6\7\1\2\3", 10), "a.txt", HD_ERR_FORMAT, "control character");
    refuses(hd__span("text\0", 5), "a.dat", HD_ERR_UNSUPPORTED, "byte 4 is zero"); /* its name promises nothing */
    char *late = malloc(100000);                                                   /* past what the kind is told from */
    memset(late, 'a', 100000);
    late[99999] = '\0';
    refuses(hd__span(late, 100000), "a.txt", HD_ERR_FORMAT, "byte 99999 is zero");
    free(late);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(utf8_stays_as_it_is), cmocka_unit_test(damaged_utf8_is_not_another_encoding),
        cmocka_unit_test(utf16_and_utf32),     cmocka_unit_test(named_encodings),
        cmocka_unit_test(binary_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
