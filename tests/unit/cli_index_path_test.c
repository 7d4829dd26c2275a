/* Which index a command is about: what was said, then the environment, then the nearest folder. */
#include "cli/index_path.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "unit/scratch.h"

static scratch s;
static char before[4096];
static hd_error err;
static cli_index_path path;

static int begin(void **state)
{
    (void)state;
    scratch_begin(&s);
    scratch_text(&s, "a/b/c/file", "");
    unsetenv("HEDDLE_DB");
    return getcwd(before, sizeof before) == NULL || chdir(scratch_path(&s, "a/b/c")) != 0;
}

static int end(void **state)
{
    (void)state;
    unsetenv("HEDDLE_DB");
    scratch_end(&s);
    return chdir(before);
}

static void finds_the_nearest(void **state)
{
    (void)state;
    assert_int_equal(cli_index_path_find(NULL, false, &path, &err), HD_ERR_NOT_FOUND);
    assert_non_null(strstr(err.text, "a/b/c or above it"));
    assert_int_equal(cli_index_path_find(NULL, true, &path, &err), HD_OK);
    assert_string_equal(path.text, ".heddle.db");
    const char *outer = scratch_text(&s, "a/.heddle.db", "");
    assert_int_equal(cli_index_path_find(NULL, false, &path, &err), HD_OK);
    assert_string_equal(path.text, outer);
    assert_int_equal(cli_index_path_find(NULL, true, &path, &err), HD_OK);
    assert_string_equal(path.text, outer);
    const char *inner = scratch_text(&s, "a/b/c/.heddle.db", "");
    assert_int_equal(cli_index_path_find(NULL, false, &path, &err), HD_OK);
    assert_string_equal(path.text, inner);
}

static void a_folder_of_that_name_is_none(void **state)
{
    (void)state;
    scratch_text(&s, "a/b/.heddle.db/file", "");
    assert_int_equal(cli_index_path_find(NULL, false, &path, &err), HD_ERR_NOT_FOUND);
}

static void looks_in_the_root_too(void **state)
{
    (void)state;
    assert_int_equal(chdir("/"), 0);
    const bool has_one = access("/.heddle.db", F_OK) == 0;
    assert_int_equal(cli_index_path_find(NULL, false, &path, &err), has_one ? HD_OK : HD_ERR_NOT_FOUND);
    assert_int_equal(has_one || strstr(err.text, "in / or above") != NULL, 1);
}

static void what_was_said_wins(void **state)
{
    (void)state;
    scratch_text(&s, "a/.heddle.db", "");
    setenv("HEDDLE_DB", "from/environment", 1);
    assert_int_equal(cli_index_path_find(NULL, false, &path, &err), HD_OK);
    assert_string_equal(path.text, "from/environment");
    assert_int_equal(cli_index_path_find("given", false, &path, &err), HD_OK);
    assert_string_equal(path.text, "given");
    setenv("HEDDLE_DB", "", 1);
    assert_int_equal(cli_index_path_find(NULL, false, &path, &err), HD_OK);
    assert_non_null(strstr(path.text, "/a/.heddle.db"));
    char longest[HD_LIMIT_PATH_BYTES + 1];
    memset(longest, 'a', HD_LIMIT_PATH_BYTES);
    longest[HD_LIMIT_PATH_BYTES] = '\0';
    assert_int_equal(cli_index_path_find(longest, false, &path, &err), HD_ERR_ARG);
    longest[HD_LIMIT_PATH_BYTES - 1] = '\0';
    assert_int_equal(cli_index_path_find(longest, false, &path, &err), HD_OK);
    assert_string_equal(path.text, longest);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(finds_the_nearest, begin, end),
        cmocka_unit_test_setup_teardown(a_folder_of_that_name_is_none, begin, end),
        cmocka_unit_test_setup_teardown(looks_in_the_root_too, begin, end),
        cmocka_unit_test_setup_teardown(what_was_said_wins, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
