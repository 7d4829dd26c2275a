/* A model's tokenizer beside its cache file: written once, used while the folder's files are the same, made again when
 * they are not or when it is damaged, and done without where it cannot be written. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/log.h"
#include "engine/model_tokenizer.h"
#include "unit/scratch.h"

static hd_error err;
static scratch s;

#define JSON(b)                                                                                                             \
    "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":1,\"" b "\":2,\"a" b "\":3},\"merges\":[\"a " b "\"]},"                  \
    "\"added_tokens\":[{\"content\":\"a\",\"special\":true,\"normalized\":false}]}"

static hd_tokenizer *open_model(const char *tables)
{
    hd_tokenizer *t;
    if (hd__model_tokenizer_open(scratch_path(&s, "model"), tables, &t, &err) != HD_OK)
        fail_msg("%s", err.text);
    return t;
}

static void holds(const char *tables, const char *token)
{
    hd_tokenizer *t = open_model(tables);
    assert_string_equal(hd__tokenizer_token(t, 3), token);
    hd__tokenizer_close(t);
}

static struct stat stat_of(const char *path)
{
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    return st;
}

static int begin(void **state)
{
    (void)state;
    scratch_begin(&s);
    scratch_text(&s, "model/tokenizer.json", JSON("b"));
    return 0;
}

static int end(void **state)
{
    (void)state;
    scratch_end(&s);
    return 0;
}

static void test_kept(void **state)
{
    (void)state;
    char tables[256];
    strcpy(tables, scratch_path(&s, "cache/packed/x-tokenizer.heddle"));
    holds(tables, "ab");
    const struct stat first = stat_of(tables);
    holds(tables, "ab");
    assert_true(stat_of(tables).st_ino == first.st_ino && stat_of(tables).st_mtim.tv_nsec == first.st_mtim.tv_nsec);
    scratch_text(&s, "model/tokenizer.json", JSON("cc"));
    holds(tables, "acc");
    holds(tables, "acc");
}

static void test_damaged(void **state)
{
    (void)state;
    char tables[256];
    strcpy(tables, scratch_path(&s, "cache/packed/x-tokenizer.heddle"));
    holds(tables, "ab");
    const long size = (long)stat_of(tables).st_size;
    hd__log_set_level(HD_LOG_ERROR);
    for (long at = 0; at < size; at += 997) { /* whatever byte is another one */
        FILE *f = fopen(tables, "r+b");
        assert_int_equal(fseek(f, at, SEEK_SET), 0);
        const int byte = fgetc(f);
        fseek(f, at, SEEK_SET);
        fputc(byte ^ 0x41, f);
        fclose(f);
        holds(tables, "ab");
    }
    assert_int_equal(truncate(tables, size / 2), 0);
    holds(tables, "ab");
    assert_int_equal(stat_of(tables).st_size, size);
    hd__log_set_level(HD_LOG_WARN);
}

static void test_not_writable(void **state)
{
    (void)state;
    char tables[256];
    scratch_text(&s, "cache", "a file where the folder is to be");
    strcpy(tables, scratch_path(&s, "cache/packed/x-tokenizer.heddle"));
    hd__log_set_level(HD_LOG_ERROR);
    holds(tables, "ab");
    hd__log_set_level(HD_LOG_WARN);
    holds(NULL, "ab");
}

static void test_errors(void **state)
{
    (void)state;
    char tables[256];
    hd_tokenizer *t = NULL;
    strcpy(tables, scratch_path(&s, "cache/packed/x-tokenizer.heddle"));
    scratch_text(&s, "model/tokenizer.json", "{");
    assert_int_equal(hd__model_tokenizer_open(scratch_path(&s, "model"), tables, &t, &err), HD_ERR_FORMAT);
    assert_null(t);
    assert_int_equal(stat(tables, &(struct stat){0}), -1);
}

static void test_no_memory(void **state)
{
    (void)state;
    char tables[256];
    strcpy(tables, scratch_path(&s, "cache/packed/x-tokenizer.heddle"));
    hd__log_set_level(HD_LOG_ERROR);
    for (int kept = 0; kept < 2; kept++) { /* writing and using it */
        uint64_t n_asked = UINT64_MAX;
        for (uint64_t n = 0; n < n_asked; n++) {
            hd_tokenizer *t = NULL;
            assert_true(n < 500);
            if (kept == 0)
                unlink(tables);
            const uint64_t before = hd__alloc_count();
            hd__alloc_fail_after(n, 1);
            const hd_status status = hd__model_tokenizer_open(scratch_path(&s, "model"), tables, &t, &err);
            hd__alloc_fail_off();
            assert_true(status == HD_OK || status == HD_ERR_MEMORY);
            assert_true((status == HD_OK) == (t != NULL));
            if (hd__alloc_count() - before <= n)
                n_asked = n;
            hd__tokenizer_close(t);
        }
        holds(tables, "ab");
    }
    hd__log_set_level(HD_LOG_WARN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_kept, begin, end),
        cmocka_unit_test_setup_teardown(test_damaged, begin, end),
        cmocka_unit_test_setup_teardown(test_not_writable, begin, end),
        cmocka_unit_test_setup_teardown(test_errors, begin, end),
        cmocka_unit_test_setup_teardown(test_no_memory, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
