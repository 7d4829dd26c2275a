/* Packed weight files: what is written is read, at the promised places; damage of any kind is seen. */
#include "model/packed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <signal.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/arena.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/limits.h"
#include "unit/scratch.h"

static scratch s;
static hd_error err;

static int begin(void **state)
{
    (void)state;
    scratch_begin(&s);
    return 0;
}

static int end(void **state)
{
    (void)state;
    scratch_end(&s);
    return 0;
}

/* Five blobs: empty, small, exactly 4096, longer, longest. */
enum { N_BLOBS = 5 };
static const size_t blob_bytes[N_BLOBS] = {0, 5, 4096, 4097, 10000};
static unsigned char contents[10000];

static const char *path_of_file(void)
{
    return scratch_path(&s, "model.heddle");
}

typedef struct content {
    const char *name;
    hd_span bytes;
} content;

static hd_status write_file(const char *path, const char *key, const content *blobs, size_t n)
{
    hd_packed_plan plan = {0};
    hd_packed_writer *writer;
    for (size_t i = 0; i < n; i++)
        hd__packed_plan_add(&plan, strlen(blobs[i].name), blobs[i].bytes.len);
    hd_status status = hd__packed_writer_open(path, key, &plan, &writer, &err);
    if (status != HD_OK)
        return status;
    for (size_t i = 0; i < n; i++) {
        char *to = hd__packed_writer_add(writer, blobs[i].name, blobs[i].bytes.len);
        if (to == NULL) {
            hd__packed_writer_abandon(writer);
            return HD_ERR_LIMIT;
        }
        assert_int_equal((uintptr_t)to % 64, 0);
        for (size_t b = 0; b < blobs[i].bytes.len; b++)
            assert_int_equal(to[b], 0);
        memcpy(to, blobs[i].bytes.ptr, blobs[i].bytes.len);
    }
    return hd__packed_writer_commit(writer, &err);
}

static hd_status write_blobs(const char *path, const char *key)
{
    content blobs[N_BLOBS];
    static const char *const names[N_BLOBS] = {"empty", "small", "page", "more", "most"};
    for (size_t i = 0; i < sizeof contents; i++)
        contents[i] = (unsigned char)(i * 31 + 7);
    for (size_t i = 0; i < N_BLOBS; i++)
        blobs[i] = (content){names[i], hd__span(contents + i, i == 4 ? blob_bytes[i] - 4 : blob_bytes[i])};
    return write_file(path, key, blobs, N_BLOBS);
}

static hd_status open_status(const char *key)
{
    hd_packed *packed = NULL;
    hd_status status = hd__packed_open(path_of_file(), key, &packed, &err);
    hd_status verified = status == HD_OK ? hd__packed_verify(packed, &err) : status;
    assert_true(status == HD_OK || packed == NULL);
    hd__packed_close(packed);
    return verified;
}

/* The whole file, in memory of the test's own. */
static unsigned char *read_whole(size_t *n)
{
    hd_file_map map;
    assert_int_equal(hd__file_map_open(path_of_file(), &map, NULL), HD_OK);
    unsigned char *bytes = malloc(map.bytes.len);
    memcpy(bytes, map.bytes.ptr, map.bytes.len);
    *n = map.bytes.len;
    hd__file_map_close(&map);
    return bytes;
}

static void writes_and_reads(void **state)
{
    (void)state;
    hd_packed *packed;
    hd_span bytes;
    assert_int_equal(write_blobs(path_of_file(), "key"), HD_OK);
    assert_int_equal(hd__packed_open(path_of_file(), "key", &packed, &err), HD_OK);
    assert_int_equal(hd__packed_verify(packed, &err), HD_OK);
    assert_true(hd__packed_find(packed, "small", &bytes));
    assert_int_equal(bytes.len, 5);
    assert_memory_equal(bytes.ptr, contents + 1, 5);
    assert_int_equal((uintptr_t)bytes.ptr % 64, 0);
    assert_true(hd__packed_find(packed, "page", &bytes));
    assert_int_equal((uintptr_t)bytes.ptr % 64, 0);
    assert_true(hd__packed_find(packed, "more", &bytes));
    assert_memory_equal(bytes.ptr, contents + 3, 4097);
    assert_int_equal((uintptr_t)bytes.ptr % 4096, 0);
    assert_true(hd__packed_find(packed, "most", &bytes));
    assert_int_equal((uintptr_t)bytes.ptr % 4096, 0);
    assert_true(hd__packed_find(packed, "empty", &bytes));
    assert_int_equal(bytes.len, 0);
    assert_false(hd__packed_find(packed, "none", &bytes));
    struct stat st;
    assert_int_equal(stat(path_of_file(), &st), 0);
    assert_int_equal(hd__packed_bytes(packed), st.st_size);
    hd__packed_close(packed);
    hd__packed_close(NULL);
}

static void writes_nothing_at_all(void **state)
{
    (void)state;
    assert_int_equal(write_file(path_of_file(), "", NULL, 0), HD_OK);
    assert_int_equal(open_status(""), HD_OK);
}

/* The header as packed.h draws it, byte for byte. */
static void keeps_the_documented_format(void **state)
{
    (void)state;
    content blob = {"ab", hd__span("xyz", 3)};
    assert_int_equal(write_file(path_of_file(), "key", &blob, 1), HD_OK);
    size_t n;
    unsigned char *bytes = read_whole(&n);
    static const unsigned char table[] = {3, 0, 0, 0, 'k', 'e', 'y', 1, 0, 0, 0, 2, 0, 'a', 'b', 128,
                                          0, 0, 0, 0, 0,   0,   0,   3, 0, 0, 0, 0, 0, 0,   0};
    assert_int_equal(n, 131);
    assert_memory_equal(bytes, "HEDDLE\0\1", 8);
    assert_int_equal(bytes[8], sizeof table + 8);
    assert_int_equal(bytes[32], 131);
    assert_memory_equal(bytes + 64, table, sizeof table);
    hd_hash128 hash = hd__hash128(hd__span(bytes + 64, bytes[8]), 0);
    assert_memory_equal(bytes + 16, &hash.low, 8);
    assert_memory_equal(bytes + 24, &hash.high, 8);
    uint64_t checksum = hd__hash64(hd__span("xyz", 3), 0);
    assert_memory_equal(bytes + 64 + sizeof table, &checksum, 8);
    assert_memory_equal(bytes + 128, "xyz", 3);
    free(bytes);
}

static void another_key_or_version_is_not_found(void **state)
{
    (void)state;
    assert_int_equal(open_status("key"), HD_ERR_NOT_FOUND);
    assert_int_equal(write_blobs(path_of_file(), "key"), HD_OK);
    assert_int_equal(open_status("other"), HD_ERR_NOT_FOUND);
    assert_int_equal(open_status("ke"), HD_ERR_NOT_FOUND);
    assert_int_equal(open_status("key "), HD_ERR_NOT_FOUND);
    assert_int_equal(open_status("key"), HD_OK);
    size_t n;
    unsigned char *bytes = read_whole(&n);
    bytes[7]++;
    scratch_write(&s, "model.heddle", bytes, n);
    free(bytes);
    assert_int_equal(open_status("key"), HD_ERR_NOT_FOUND);
    assert_non_null(strstr(err.text, "format 2"));
}

static void sees_every_cut(void **state)
{
    (void)state;
    assert_int_equal(write_blobs(path_of_file(), "key"), HD_OK);
    size_t n;
    unsigned char *bytes = read_whole(&n);
    for (size_t cut = 0; cut < n; cut += cut < 400 || cut > n - 10 ? 1 : 97) {
        scratch_write(&s, "model.heddle", bytes, cut);
        assert_int_equal(open_status("key"), HD_ERR_FORMAT);
    }
    unsigned char *longer = calloc(1, n + 1);
    memcpy(longer, bytes, n);
    scratch_write(&s, "model.heddle", longer, n + 1);
    assert_int_equal(open_status("key"), HD_ERR_FORMAT);
    free(longer);
    free(bytes);
}

static void sees_every_flipped_bit(void **state)
{
    (void)state;
    assert_int_equal(write_blobs(path_of_file(), "key"), HD_OK);
    size_t n;
    unsigned char *bytes = read_whole(&n);
    size_t n_table = 64 + bytes[8];
    for (size_t bit = 0; bit < 8 * n_table; bit++) {
        bytes[bit / 8] ^= (unsigned char)(1u << bit % 8);
        scratch_write(&s, "model.heddle", bytes, n);
        hd_status status = open_status("key");
        assert_int_equal(status, bit / 8 == 7 ? HD_ERR_NOT_FOUND : HD_ERR_FORMAT); /* byte 7 is the version */
        bytes[bit / 8] ^= (unsigned char)(1u << bit % 8);
    }
    bytes[n - 1] ^= 1; /* the last blob's last byte: only verify reads it */
    scratch_write(&s, "model.heddle", bytes, n);
    assert_int_equal(open_status("key"), HD_ERR_FORMAT);
    assert_non_null(strstr(err.text, "\"most\""));
    free(bytes);
}

/* Tables with a right checksum and a wrong content, as a fault of ours would write them. */
static void checks_the_table_itself(void **state)
{
    (void)state;
    static const struct {
        size_t at; /* in the table of one blob named "ab" with key "key" */
        unsigned char value;
    } changes[] = {
        {0, 200},  /* length of the key */
        {7, 2},    /* blobs, more than there are */
        {7, 0},    /* fewer */
        {10, 255}, /* far more */
        {11, 3},   /* length of the name */
        {15, 64},  /* offset: into the table */
        {15, 129}, /* not a multiple of 64 */
        {15, 192}, /* past the end */
        {22, 128}, /* far past the end */
        {23, 4},   /* length: past the end */
        {23, 2},   /* short of the end */
        {30, 128}, /* far past the end */
    };
    content blob = {"ab", hd__span("xyz", 3)};
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        assert_int_equal(write_file(path_of_file(), "key", &blob, 1), HD_OK);
        size_t n;
        unsigned char *bytes = read_whole(&n);
        bytes[64 + changes[i].at] = changes[i].value;
        hd_hash128 hash = hd__hash128(hd__span(bytes + 64, bytes[8]), 0);
        memcpy(bytes + 16, &hash.low, 8);
        memcpy(bytes + 24, &hash.high, 8);
        scratch_write(&s, "model.heddle", bytes, n);
        free(bytes);
        assert_int_equal(open_status("key"), HD_ERR_FORMAT);
    }
    content twice[] = {blob, blob};
    assert_int_equal(write_file(path_of_file(), "key", twice, 2), HD_OK);
    assert_int_equal(open_status("key"), HD_ERR_FORMAT);
    assert_non_null(strstr(err.text, "one name"));
}

static void keeps_limits(void **state)
{
    (void)state;
    char *text = malloc(HD_LIMIT_PACKED_KEY_BYTES + 2);
    memset(text, 'k', HD_LIMIT_PACKED_KEY_BYTES + 1);
    text[HD_LIMIT_PACKED_KEY_BYTES + 1] = '\0';
    assert_int_equal(write_file(path_of_file(), text, NULL, 0), HD_ERR_LIMIT);
    assert_int_equal(write_file(path_of_file(), text + 1, NULL, 0), HD_OK);
    assert_int_equal(open_status(text + 1), HD_OK);
    content blob = {text + HD_LIMIT_PACKED_KEY_BYTES + 1 - UINT16_MAX, hd__span("x", 1)};
    assert_int_equal(write_file(path_of_file(), "", &blob, 1), HD_OK);
    assert_int_equal(open_status(""), HD_OK);
    blob.name--;
    assert_int_equal(write_file(path_of_file(), "", &blob, 1), HD_ERR_LIMIT);
    free(text);
}

/* A blob that was not planned, one that is longer than planned, one that is missing: no file. */
static void keeps_to_the_plan(void **state)
{
    (void)state;
    hd_packed_plan plan = {0};
    hd_packed_writer *writer;
    hd__packed_plan_add(&plan, 3, 100);
    assert_int_equal(hd__packed_writer_open(path_of_file(), "key", &plan, &writer, &err), HD_OK);
    assert_null(hd__packed_writer_add(writer, "four", 100));
    assert_null(hd__packed_writer_add(writer, "abc", 5000));
    assert_non_null(hd__packed_writer_add(writer, "abc", 100));
    assert_null(hd__packed_writer_add(writer, "", 0));
    hd__packed_writer_abandon(writer);
    assert_int_equal(hd__packed_writer_open(path_of_file(), "key", &plan, &writer, &err), HD_OK);
    assert_int_equal(hd__packed_writer_commit(writer, &err), HD_ERR_ARG);
    assert_false(hd__file_exists(path_of_file()));
}

/* Four processes write their own key again and again while this one reads: every file seen is whole. */
static void readers_see_whole_files_under_concurrent_writers(void **state)
{
    (void)state;
    enum { N_WRITERS = 4, N_ROUNDS = 25 };
    static const char *const keys[N_WRITERS] = {"0", "1", "2", "3"};
    assert_int_equal(write_blobs(path_of_file(), keys[0]), HD_OK);
    pid_t writers[N_WRITERS];
    for (int w = 0; w < N_WRITERS; w++) {
        writers[w] = fork();
        if (writers[w] == 0) {
            for (int round = 0; round < N_ROUNDS; round++) {
                if (write_blobs(path_of_file(), keys[w]) != HD_OK)
                    _exit(1);
            }
            _exit(0);
        }
    }
    int n_running = N_WRITERS;
    while (n_running > 0) {
        hd_status status = open_status(keys[0]);
        assert_true(status == HD_OK || status == HD_ERR_NOT_FOUND);
        int result;
        pid_t done = waitpid(-1, &result, WNOHANG);
        if (done > 0) {
            assert_int_equal(result, 0);
            n_running--;
        }
    }
    int n_whole = 0;
    for (int w = 0; w < N_WRITERS; w++)
        n_whole += open_status(keys[w]) == HD_OK;
    assert_int_equal(n_whole, 1);
}

/* A file size limit stands for a full disk: the old file stays, and nothing is left beside it. */
static void a_full_disk_leaves_the_old_file(void **state)
{
    (void)state;
    assert_int_equal(write_blobs(path_of_file(), "old"), HD_OK);
    pid_t child = fork();
    if (child == 0) {
        signal(SIGXFSZ, SIG_IGN);
        setrlimit(RLIMIT_FSIZE, &(struct rlimit){6000, 6000});
        bool right = write_blobs(path_of_file(), "new") == HD_ERR_IO && strstr(err.text, "File too large") != NULL;
        _exit(right ? 0 : 1);
    }
    int result;
    assert_int_equal(waitpid(child, &result, 0), child);
    assert_int_equal(result, 0);
    assert_int_equal(open_status("old"), HD_OK);
    assert_int_equal(rmdir(s.dir), -1);
    assert_int_equal(unlink(path_of_file()), 0);
    assert_int_equal(rmdir(s.dir), 0);
}

static void survives_failing_allocations(void **state)
{
    (void)state;
    hd_status status;
    uint64_t n = 0;
    do {
        hd__alloc_fail_after(n++, UINT64_MAX);
        status = write_blobs(path_of_file(), "key");
        hd__alloc_fail_off();
        assert_true(status == HD_OK || status == HD_ERR_MEMORY);
    } while (status != HD_OK);
    assert_true(n > 2);
    n = 0;
    do {
        hd__alloc_fail_after(n++, UINT64_MAX);
        status = open_status("key");
        hd__alloc_fail_off();
        assert_true(status == HD_OK || status == HD_ERR_MEMORY);
    } while (status != HD_OK);
    assert_true(n > 1);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)
    const struct CMUnitTest tests[] = {
        TEST(writes_and_reads),
        TEST(writes_nothing_at_all),
        TEST(keeps_the_documented_format),
        TEST(another_key_or_version_is_not_found),
        TEST(sees_every_cut),
        TEST(sees_every_flipped_bit),
        TEST(checks_the_table_itself),
        TEST(keeps_limits),
        TEST(keeps_to_the_plan),
        TEST(readers_see_whole_files_under_concurrent_writers),
        TEST(a_full_disk_leaves_the_old_file),
        TEST(survives_failing_allocations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
