/* Grapheme clusters: one text for each rule of UAX 29, the clusters those of the crate `unicode-segmentation`. */
#include "token/grapheme.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/utf8.h"

/* The lengths of the clusters in code points, a digit each. */
static const char *clusters_of(const char *text)
{
    static char out[64];
    hd_grapheme_state state = {0};
    size_t n = 0;
    bool valid;
    for (size_t at = 0, len; at < strlen(text); at += len) {
        if (hd__grapheme_ends(&state, hd__utf8_decode(hd__span_of(text), at, &len, &valid)))
            out[n++] = '0';
        out[n - 1]++;
    }
    out[n] = '\0';
    return out;
}

static void test_rules(void **state)
{
    (void)state;
    assert_string_equal(clusters_of(""), "");
    assert_string_equal(clusters_of("ab"), "11");
    assert_string_equal(clusters_of("\r\n\n\ra"), "2111");                                   /* GB3-5 */
    assert_string_equal(clusters_of("a\n\u0301\u0301"), "112");                              /* nothing joins a control */
    assert_string_equal(clusters_of("\u1109\u1161\u11bc\uac00\u11a8\uac01\u11a8a"), "3221"); /* GB6-8 */
    assert_string_equal(clusters_of("\uac01\u1161"), "11");
    assert_string_equal(clusters_of("e\u0301\u0323\u200dx"), "41");              /* GB9 */
    assert_string_equal(clusters_of("\u0e01\u0e33\u0915\u093f"), "22");          /* GB9a */
    assert_string_equal(clusters_of("\u0600a\u0600\n"), "211");                  /* GB9b */
    assert_string_equal(clusters_of("\u0915\u094d\u0937\u093f\u0915"), "41");    /* GB9c */
    assert_string_equal(clusters_of("\u0915\u094d\u200d\u093c\u0937"), "5");     /* with extenders between */
    assert_string_equal(clusters_of("\u0915\u093c\u0937a\u094d\u0937"), "2121"); /* no linker; no consonant */
    assert_string_equal(clusters_of("\U0001F469\u200d\U0001F469\U0001F3FD\u200d\u2764\ufe0f"), "7"); /* GB11 */
    assert_string_equal(clusters_of("a\u200d\U0001F469\U0001F469\u200d\u200d\U0001F469"), "2131");
    assert_string_equal(clusters_of("\U0001F1E9\U0001F1EA\U0001F1EB\U0001F1F7\U0001F1EC"), "221"); /* GB12-13 */
    assert_string_equal(clusters_of("\U0001F1E9a\U0001F1E9\u0301\U0001F1EA"), "1121");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rules),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
