/* Checksums as the hub writes them. */
#include "remote/checksum.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "unit/scratch.h"

#define HELLO_SHA256 "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
#define HELLO_GIT "b6fc4c620b67d95f953a5c1c1230aaab5db5a1b0" /* git hash-object of "hello" */
#define EMPTY_GIT "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"

static void parses_etags(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        hd_checksum_kind kind;
        const char *hex;
    } cases[] = {
        {HELLO_SHA256, HD_CHECKSUM_SHA256, HELLO_SHA256},
        {"\"" HELLO_SHA256 "\"", HD_CHECKSUM_SHA256, HELLO_SHA256},
        {"W/\"" HELLO_GIT "\"", HD_CHECKSUM_GIT_BLOB, HELLO_GIT},
        {"B6FC4C620B67D95F953A5C1C1230AAAB5DB5A1B0", HD_CHECKSUM_GIT_BLOB, HELLO_GIT},
        {"", HD_CHECKSUM_NONE, ""},
        {"\"5d41402abc4b2a76b9719d911017c592\"", HD_CHECKSUM_NONE, ""},
        {"\"" HELLO_GIT "-2\"", HD_CHECKSUM_NONE, ""},
        {"g6fc4c620b67d95f953a5c1c1230aaab5db5a1b0", HD_CHECKSUM_NONE, ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        hd_checksum sum = hd__checksum_parse(cases[i].text);
        assert_int_equal(sum.kind, cases[i].kind);
        if (sum.kind != HD_CHECKSUM_NONE)
            assert_string_equal(sum.hex, cases[i].hex);
    }
}

static void verifies_files(void **state)
{
    (void)state;
    static const struct {
        const char *contents, *sum;
        hd_status status;
    } cases[] = {
        {"hello", HELLO_SHA256, HD_OK}, {"hello", HELLO_GIT, HD_OK},          {"", EMPTY_GIT, HD_OK},
        {"hello", "", HD_OK},           {"hellp", HELLO_SHA256, HD_ERR_PEER}, {"hello!", HELLO_GIT, HD_ERR_PEER},
        {"", HELLO_GIT, HD_ERR_PEER},
    };
    scratch s;
    scratch_begin(&s);
    hd_error err;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        hd_checksum sum = hd__checksum_parse(cases[i].sum);
        const char *path = scratch_text(&s, "file", cases[i].contents);
        assert_int_equal(hd__checksum_verify(&sum, path, &err), cases[i].status);
        if (cases[i].status != HD_OK)
            assert_non_null(strstr(err.text, cases[i].sum));
    }
    hd_checksum sum = hd__checksum_parse(HELLO_GIT);
    assert_int_equal(hd__checksum_verify(&sum, scratch_path(&s, "absent"), &err), HD_ERR_NOT_FOUND);
    scratch_end(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(parses_etags), cmocka_unit_test(verifies_files)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
