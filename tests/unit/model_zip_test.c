/* Zip archives whose entries are stored: what is read, and the lies that archives tell. */
#include "model/zip.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/limits.h"
#include "unit/zip_file.h"

static hd_error err;

static hd_status open_bytes(hd_span bytes)
{
    hd_arena arena;
    hd_zip zip;
    hd__arena_init(&arena);
    memset(&err, 0, sizeof err);
    hd_status status = hd__zip_open(bytes, "m.pt", &arena, &zip, &err);
    hd__arena_clear(&arena);
    return status;
}

static void fails(zip_file *z, hd_status wanted, const char *says)
{
    hd_span bytes = zip_write(z);
    hd_status status = open_bytes(bytes);
    if (status != wanted || strstr(err.text, says) == NULL)
        fail_msg("status %d, \"%s\"; wanted %d, \"%s\"", (int)status, err.text, (int)wanted, says);
    free((void *)(uintptr_t)bytes.ptr);
}

static zip_file two_entries(void)
{
    zip_file z = {0};
    zip_add(&z, "a/data.pkl", "pickle", 6);
    zip_add(&z, "a/data/0", "0123456789", 10);
    return z;
}

static void gives_views_of_its_entries(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        zip_file z = two_entries();
        z.zip64 = i == 1;
        z.comment = i == 2 ? "a comment with PK\5\6 in it" : NULL;
        zip_add(&z, "empty", "", 0);
        hd_span bytes = zip_write(&z), entry;
        hd_arena arena;
        hd_zip zip;
        hd__arena_init(&arena);
        assert_true(hd__zip_is(bytes));
        assert_int_equal(hd__zip_open(bytes, "m.pt", &arena, &zip, &err), HD_OK);
        assert_int_equal(zip.n, 3);
        assert_true(hd__zip_find(&zip, hd__span_of("a/data/0"), &entry));
        assert_true(hd__span_is(entry, "0123456789"));
        assert_true(entry.ptr > bytes.ptr && entry.ptr < bytes.ptr + bytes.len);
        assert_true(hd__zip_find(&zip, hd__span_of("empty"), &entry));
        assert_int_equal(entry.len, 0);
        assert_false(hd__zip_find(&zip, hd__span_of("data/0"), &entry));
        hd__arena_clear(&arena);
        for (size_t n = 0; n < bytes.len; n++) { /* every shorter archive */
            char *part = malloc(n > 0 ? n : 1);
            memcpy(part, bytes.ptr, n);
            assert_int_equal(open_bytes(hd__span(part, n)), HD_ERR_FORMAT);
            free(part);
        }
        free((void *)(uintptr_t)bytes.ptr);
    }
}

static void entries_are_what_they_say(void **state)
{
    (void)state;
    zip_file z = two_entries();
    z.entries[1].method = 8;
    fails(&z, HD_ERR_UNSUPPORTED, "\"a/data/0\" is compressed");
    z = two_entries();
    z.entries[1].flags = 1;
    fails(&z, HD_ERR_UNSUPPORTED, "\"a/data/0\" is encrypted");
    for (int zip64 = 0; zip64 < 2; zip64++) {
        z = two_entries();
        z.zip64 = zip64 != 0;
        z.entries[1].size_lie = 1; /* into the directory */
        fails(&z, HD_ERR_FORMAT, "is not where the directory says");
        z.entries[1].size_lie = 0x7fffffff;
        fails(&z, HD_ERR_FORMAT, "is not where the directory says");
        z = two_entries();
        z.zip64 = zip64 != 0;
        z.entries[0].size_lie = 1; /* into the next entry's header: nobody is hurt */
        z.entries[1].at_lie = -1;
        fails(&z, HD_ERR_FORMAT, "is not where the directory says");
    }
    z = two_entries();
    z.zip64 = true;
    z.entries[1].size_lie = INT64_MAX;
    fails(&z, HD_ERR_FORMAT, "is not where the directory says");
    z = two_entries();
    z.entries[0].size_lie = 30 + 8 + 4; /* over the next one's bytes */
    fails(&z, HD_ERR_FORMAT, "lie one over the other");
    z = two_entries();
    z.entries[1].local_name = "a/data/1";
    fails(&z, HD_ERR_FORMAT, "is not where the directory says");
    z = two_entries();
    zip_add(&z, "a/data/0", "again", 5);
    fails(&z, HD_ERR_FORMAT, "\"a/data/0\" is there twice");
    static const char *const names[] = {"../a", "/etc/passwd", "a/../../b", "a\\b", "C:a"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        z = two_entries();
        zip_add(&z, names[i], "x", 1);
        fails(&z, HD_ERR_FORMAT, "not a path below the archive");
    }
}

static void its_end_is_not_believed(void **state)
{
    (void)state;
    for (int zip64 = 0; zip64 < 2; zip64++) {
        const int64_t lies[] = {-1, 1, 1000, INT32_MAX};
        for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
            zip_file z = two_entries();
            z.zip64 = zip64 != 0;
            z.begin_lie = lies[i];
            fails(&z, HD_ERR_FORMAT, "does not end where its end begins");
            z.begin_lie = 0;
            z.end_lie = lies[i];
            fails(&z, HD_ERR_FORMAT, "does not end where its end begins");
        }
        zip_file z = two_entries();
        z.zip64 = zip64 != 0;
        z.n_lie = 1;
        fails(&z, HD_ERR_FORMAT, zip64 != 0 ? "entry 2 of its directory is damaged" : "3 entries do not fit its directory");
        z.n_lie = 1000;
        fails(&z, HD_ERR_FORMAT, "1002 entries do not fit its directory");
    }
    zip_file z = two_entries();
    z.zip64 = true;
    z.n_lie = (int64_t)HD_LIMIT_ZIP_ENTRIES - 1;
    fails(&z, HD_ERR_LIMIT, "200001 entries, the limit is 200000");
    assert_int_equal(open_bytes(hd__span_of("PK\3\4, and that is all there is of this one")), HD_ERR_FORMAT);
}

static void failing_allocations_are_reported(void **state)
{
    (void)state;
    zip_file z = two_entries();
    hd_span bytes = zip_write(&z);
    hd_status status = HD_ERR_MEMORY;
    for (uint64_t n = 0; status != HD_OK; n++) {
        assert_int_equal(status, HD_ERR_MEMORY);
        hd__alloc_fail_after(n, UINT64_MAX);
        status = open_bytes(bytes);
        hd__alloc_fail_off();
    }
    free((void *)(uintptr_t)bytes.ptr);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gives_views_of_its_entries),
        cmocka_unit_test(entries_are_what_they_say),
        cmocka_unit_test(its_end_is_not_believed),
        cmocka_unit_test(failing_allocations_are_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
