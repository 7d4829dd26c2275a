/* Error texts: one line, cut where it must be, nothing that a terminal obeys. */
#include "base/status.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void writes_status_and_text(void **state)
{
    (void)state;
    hd_error err;
    assert_int_equal(hd__fail(&err, HD_ERR_LIMIT, "%d of %s", 7, "x"), HD_ERR_LIMIT);
    assert_int_equal(err.status, HD_ERR_LIMIT);
    assert_string_equal(err.text, "7 of x");
    assert_int_equal(hd__fail(NULL, HD_ERR_PEER, "nobody reads this"), HD_ERR_PEER);
    assert_int_equal(hd__fail_errno(&err, ENOSPC, "%s", "file"), HD_ERR_IO);
    assert_string_equal(err.text, "file: No space left on device");
    assert_int_equal(hd__fail_errno(NULL, ENOSPC, "file"), HD_ERR_IO);
}

static void keeps_to_one_plain_line(void **state)
{
    (void)state;
    hd_error err;
    HD_IGNORE(hd__fail(&err, HD_ERR_FORMAT, "%s", "a\nb\r\tc\x1b[31md\x7f \xc3\xa4"));
    assert_string_equal(err.text, "a?b??c?[31md? \xc3\xa4");
}

static void marks_what_was_cut(void **state)
{
    (void)state;
    hd_error err;
    char text[HD_ERROR_TEXT_BYTES + 2];
    memset(text, 'x', sizeof text);
    text[HD_ERROR_TEXT_BYTES - 1] = '\0';
    HD_IGNORE(hd__fail(&err, HD_ERR_FORMAT, "%s", text));
    assert_string_equal(err.text, text); /* just fits */
    text[HD_ERROR_TEXT_BYTES - 1] = 'x';
    text[HD_ERROR_TEXT_BYTES] = '\0';
    HD_IGNORE(hd__fail(&err, HD_ERR_FORMAT, "%s", text));
    assert_int_equal(strlen(err.text), HD_ERROR_TEXT_BYTES - 1);
    assert_string_equal(err.text + HD_ERROR_TEXT_BYTES - 5, "x...");
    HD_IGNORE(hd__fail_errno(&err, ENOENT, "%s", text));
    assert_string_equal(err.text + HD_ERROR_TEXT_BYTES - 5, "x...");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_status_and_text),
        cmocka_unit_test(keeps_to_one_plain_line),
        cmocka_unit_test(marks_what_was_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
