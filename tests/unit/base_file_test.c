/* Files: paths from outside, reading whole and mapped, writing that is seen whole or not at all, locks. */
#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/limits.h"
#include "unit/scratch.h"

static scratch s;
static hd_arena arena;
static hd_error err;

static int begin(void **state)
{
    (void)state;
    scratch_begin(&s);
    hd__arena_init(&arena);
    return 0;
}

static int end(void **state)
{
    (void)state;
    hd__arena_clear(&arena);
    scratch_end(&s);
    return 0;
}

static void knows_paths_that_lead_out(void **state)
{
    (void)state;
    static const char *const good[] = {"a", "a/b", "a.b/c", "..a", "a..", "...", ".a", "\xc3\xa4 b/c"};
    static const char *const bad[] = {"",     "/",    "/a",     "a/",  "a//b", ".",   "..",  "./a",
                                      "../a", "a/..", "a/../b", "a/.", "a\\b", "C:a", "a\tb"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_true(hd__path_is_below(hd__span_of(good[i])));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(hd__path_is_below(hd__span_of(bad[i])));
    assert_false(hd__path_is_below(hd__span("a\0b", 3)));
    char longest[HD_LIMIT_PATH_BYTES];
    memset(longest, 'a', sizeof longest);
    assert_true(hd__path_is_below(hd__span(longest, sizeof longest - 1)));
    assert_false(hd__path_is_below(hd__span(longest, sizeof longest)));
}

static void reads_whole_files_up_to_a_limit(void **state)
{
    (void)state;
    hd_span bytes;
    const char *path = scratch_text(&s, "file", "hello");
    assert_int_equal(hd__file_read(path, 5, &arena, &bytes, &err), HD_OK);
    assert_true(hd__span_is(bytes, "hello") && bytes.ptr[5] == '\0');
    assert_int_equal(hd__file_read(path, 4, &arena, &bytes, &err), HD_ERR_LIMIT);
    assert_non_null(strstr(err.text, "5 bytes, the limit is 4"));
    assert_int_equal(hd__file_read(s.dir, 5, &arena, &bytes, &err), HD_ERR_IO);
    assert_int_equal(hd__file_read(scratch_path(&s, "none"), 5, &arena, &bytes, &err), HD_ERR_NOT_FOUND);
    assert_int_equal(hd__file_read(scratch_path(&s, "file/none"), 5, &arena, &bytes, &err), HD_ERR_NOT_FOUND);
    assert_int_equal(hd__file_read(scratch_text(&s, "empty", ""), 0, &arena, &bytes, &err), HD_OK);
    assert_int_equal(bytes.len, 0);
}

static void maps_files(void **state)
{
    (void)state;
    hd_file_map map;
    assert_int_equal(hd__file_map_open(scratch_text(&s, "file", "hello"), &map, &err), HD_OK);
    assert_true(hd__span_is(map.bytes, "hello"));
    assert_int_equal(map.size, 5);
    assert_true(map.inode != 0 && map.mtime_ns != 0);
    hd__file_map_close(&map);
    hd__file_map_close(&map); /* closed already: nothing happens */
    assert_int_equal(hd__file_map_open(scratch_text(&s, "empty", ""), &map, &err), HD_OK);
    assert_int_equal(map.bytes.len, 0);
    hd__file_map_close(&map);
    assert_int_equal(hd__file_map_open(s.dir, &map, &err), HD_ERR_IO);
}

static void makes_folders(void **state)
{
    (void)state;
    assert_int_equal(hd__dir_make(scratch_path(&s, "a/b/c"), &err), HD_OK);
    assert_int_equal(hd__dir_make(scratch_path(&s, "a/b/c"), &err), HD_OK);
    assert_true(hd__dir_exists(scratch_path(&s, "a/b/c")));
    assert_false(hd__file_exists(scratch_path(&s, "a/b/c")));
    scratch_text(&s, "file", "");
    assert_int_equal(hd__dir_make(scratch_path(&s, "file"), &err), HD_ERR_IO);
    assert_int_equal(hd__dir_make(scratch_path(&s, "file/a"), &err), HD_ERR_IO);
    char longest[HD_LIMIT_PATH_BYTES + 1];
    memset(longest, 'a', sizeof longest);
    longest[HD_LIMIT_PATH_BYTES] = '\0';
    assert_int_equal(hd__dir_make(longest, &err), HD_ERR_LIMIT);
}

/* By links file for file, as the Hugging Face cache has them. */
static void knows_the_same_folder(void **state)
{
    (void)state;
    char a[HD_LIMIT_PATH_BYTES], b[HD_LIMIT_PATH_BYTES];
    snprintf(a, sizeof a, "%s", scratch_path(&s, "same/a"));
    snprintf(b, sizeof b, "%s", scratch_path(&s, "same/b"));
    assert_int_equal(hd__dir_make(scratch_path(&s, "same/a/deeper"), &err), HD_OK);
    assert_int_equal(hd__dir_make(b, &err), HD_OK);
    assert_true(hd__dir_is_same(a, a));
    assert_false(hd__dir_is_same(a, b)); /* without files nothing is the same */
    const char *file = scratch_text(&s, "same/a/config.json", "{}");
    assert_false(hd__dir_is_same(a, b) || hd__dir_is_same(b, a));
    assert_int_equal(symlink(file, scratch_path(&s, "same/b/config.json")), 0);
    assert_true(hd__dir_is_same(a, b) && hd__dir_is_same(b, a));
    scratch_text(&s, "same/b/more", "");
    assert_false(hd__dir_is_same(a, b) || hd__dir_is_same(b, a));
    scratch_text(&s, "same/a/more", ""); /* equal is not the same */
    assert_false(hd__dir_is_same(a, b));
    assert_false(hd__dir_is_same(a, scratch_path(&s, "same/c")));
}

/* The scratch folder holds this one file with this text, and nothing else. */
static void assert_only(const char *file, const char *text)
{
    hd_span bytes;
    const char *path = scratch_path(&s, file);
    assert_int_equal(hd__file_read(path, 100000, &arena, &bytes, &err), HD_OK);
    assert_true(hd__span_is(bytes, text));
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(s.dir), 0); /* fails while anything is left */
    assert_int_equal(mkdir(s.dir, 0777), 0);
}

static void writes_aligned_and_whole(void **state)
{
    (void)state;
    hd_file_writer writer;
    assert_int_equal(hd__file_writer_open(&writer, scratch_path(&s, "file"), &err), HD_OK);
    hd__file_writer_add(&writer, hd__span("ab", 2));
    hd__file_writer_align(&writer, 8);
    hd__file_writer_align(&writer, 8);
    hd__file_writer_add(&writer, hd__span("c", 1));
    assert_int_equal(writer.n_written, 9);
    assert_false(hd__file_exists(scratch_path(&s, "file")));
    assert_int_equal(hd__file_writer_commit(&writer, &err), HD_OK);
    hd_span bytes;
    assert_int_equal(hd__file_read(scratch_path(&s, "file"), 100, &arena, &bytes, &err), HD_OK);
    assert_true(hd__span_equal(bytes, hd__span("ab\0\0\0\0\0\0c", 9)));
}

static void abandons_without_a_trace(void **state)
{
    (void)state;
    hd_file_writer writer;
    scratch_text(&s, "file", "old");
    assert_int_equal(hd__file_writer_open(&writer, scratch_path(&s, "file"), &err), HD_OK);
    hd__file_writer_add(&writer, hd__span("new", 3));
    hd__file_writer_abandon(&writer);
    hd__file_writer_abandon(&writer);
    assert_only("file", "old");
    assert_int_equal(hd__file_writer_open(&writer, scratch_path(&s, "none/file"), &err), HD_ERR_IO);
    assert_non_null(strstr(err.text, "none/file: cannot create: No such file or directory"));
}

static void a_full_disk_leaves_the_old_file(void **state)
{
    (void)state;
    scratch_text(&s, "file", "old");
    pid_t child = fork();
    if (child == 0) {
        hd_file_writer writer;
        static const char block[1000];
        signal(SIGXFSZ, SIG_IGN);
        setrlimit(RLIMIT_FSIZE, &(struct rlimit){5500, 5500});
        if (hd__file_writer_open(&writer, scratch_path(&s, "file"), &err) != HD_OK)
            _exit(1);
        for (int i = 0; i < 10; i++)
            hd__file_writer_add(&writer, hd__span(block, sizeof block));
        _exit(writer.failed_errno == EFBIG && hd__file_writer_commit(&writer, &err) == HD_ERR_IO ? 0 : 2);
    }
    int result;
    assert_int_equal(waitpid(child, &result, 0), child);
    assert_int_equal(result, 0);
    assert_only("file", "old");
}

/* A child that writes half a file and is killed. */
static void kill_a_writer(const char *path)
{
    int ready[2];
    char c;
    assert_int_equal(pipe(ready), 0);
    pid_t child = fork();
    if (child == 0) {
        hd_file_writer writer;
        if (hd__file_writer_open(&writer, path, &err) != HD_OK)
            _exit(1);
        hd__file_writer_add(&writer, hd__span("half", 4));
        if (write(ready[1], "x", 1) == 1)
            pause();
        _exit(1);
    }
    assert_int_equal(read(ready[0], &c, 1), 1);
    kill(child, SIGKILL);
    assert_int_equal(waitpid(child, NULL, 0), child);
    close(ready[0]);
    close(ready[1]);
}

static size_t count_entries(void)
{
    size_t n = 0;
    DIR *d = opendir(s.dir);
    while (readdir(d) != NULL)
        n++;
    closedir(d);
    return n - 2;
}

static void sweeps_what_killed_writers_left(void **state)
{
    (void)state;
    hd_file_writer writer;
    kill_a_writer(scratch_path(&s, "file"));
    kill_a_writer(scratch_path(&s, "other"));
    assert_int_equal(count_entries(), 2);
    assert_int_equal(hd__file_writer_open(&writer, scratch_path(&s, "file"), &err), HD_OK);
    hd__file_writer_add(&writer, hd__span("whole", 5));
    hd__file_sweep(s.dir);
    assert_int_equal(count_entries(), 1); /* the living one's */
    assert_int_equal(hd__file_writer_commit(&writer, &err), HD_OK);
    hd__file_sweep(s.dir);
    assert_only("file", "whole");
    hd__file_sweep(scratch_path(&s, "none"));
}

static void a_writer_sweeps_what_was_left_of_its_own_file(void **state)
{
    (void)state;
    hd_file_writer first, second;
    char here[PATH_MAX];
    kill_a_writer(scratch_path(&s, "file"));
    kill_a_writer(scratch_path(&s, "file.of"));
    kill_a_writer(scratch_path(&s, "a file"));
    assert_int_equal(hd__file_writer_open(&first, scratch_path(&s, "file"), &err), HD_OK);
    assert_int_equal(count_entries(), 3); /* its own, and the others' */
    assert_int_equal(hd__file_writer_open(&second, scratch_path(&s, "file"), &err), HD_OK);
    assert_int_equal(count_entries(), 4); /* the first lives */
    hd__file_writer_abandon(&first);
    hd__file_writer_abandon(&second);
    assert_non_null(getcwd(here, sizeof here)); /* the same of a path without a folder */
    assert_int_equal(chdir(s.dir), 0);
    assert_int_equal(hd__file_writer_open(&first, "a file", &err), HD_OK);
    assert_int_equal(count_entries(), 2);
    hd__file_writer_abandon(&first);
    assert_int_equal(chdir(here), 0);
    assert_int_equal(count_entries(), 1);
}

static void sweeps_nothing_else(void **state)
{
    (void)state;
    static const char *const files[] = {"a.tmp", ".aXXXXX.tmp", "a.aXXXXXX.tmp", "a.aXXXXX.tmp.heddle", "aXXXXX.tmp"};
    enum { N_FILES = sizeof files / sizeof *files };
    for (size_t i = 0; i < N_FILES; i++)
        scratch_text(&s, files[i], "");
    assert_int_equal(mkdir(scratch_path(&s, "dir.aXXXXX.tmp"), 0777), 0);
    assert_int_equal(mkfifo(scratch_path(&s, "pipe.aXXXXX.tmp"), 0666), 0);
    assert_int_equal(symlink("a.tmp", scratch_path(&s, "link.aXXXXX.tmp")), 0);
    hd__file_sweep(s.dir);
    assert_int_equal(count_entries(), N_FILES + 3);
    scratch_text(&s, "a.aXXXXX.tmp", "");
    hd__file_sweep(s.dir);
    assert_int_equal(count_entries(), N_FILES + 3);
}

/* A sweep at the worst moments: before the first lock, and right before the rename. */
static bool sweep_before_lock, sweep_before_rename;

int flock(int fd, int operation) /* in place of the library's */
{
    if (sweep_before_lock) {
        sweep_before_lock = false;
        hd__file_sweep(s.dir);
    }
    return (int)syscall(SYS_flock, fd, operation);
}

int rename(const char *from, const char *to)
{
    if (sweep_before_rename)
        hd__file_sweep(s.dir);
    sweep_before_rename = false;
    return (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
}

static void a_sweep_does_not_disturb_writers(void **state)
{
    (void)state;
    hd_file_writer writer;
    sweep_before_lock = sweep_before_rename = true;
    assert_int_equal(hd__file_writer_open(&writer, scratch_path(&s, "file"), &err), HD_OK);
    assert_false(sweep_before_lock);
    assert_true(hd__file_exists(writer.temp_path));
    assert_int_equal(count_entries(), 1);
    hd__file_writer_add(&writer, hd__span("new", 3));
    if (hd__file_writer_commit(&writer, &err) != HD_OK)
        fail_msg("%s", err.text);
    assert_false(sweep_before_rename);
    assert_only("file", "new");
}

static void locks_are_waited_for_and_freed_by_death(void **state)
{
    (void)state;
    const char *path = scratch_path(&s, "lock");
    int ready[2], fd = -1;
    assert_int_equal(pipe(ready), 0);
    pid_t child = fork();
    if (child == 0) {
        int own;
        if (hd__file_lock_open(path, 0, &own, NULL) != HD_OK || write(ready[1], "x", 1) != 1)
            _exit(1);
        pause();
        _exit(0);
    }
    char c;
    assert_int_equal(read(ready[0], &c, 1), 1);
    uint64_t started = hd__now_ns();
    assert_int_equal(hd__file_lock_open(path, 100, &fd, &err), HD_ERR_BUSY);
    assert_true(hd__seconds_since(started) >= 0.09);
    assert_non_null(strstr(err.text, "100 ms"));
    kill(child, SIGKILL);
    assert_int_equal(hd__file_lock_open(path, 5000, &fd, &err), HD_OK);
    waitpid(child, NULL, 0);
    hd__file_lock_close(fd);
    assert_int_equal(hd__file_lock_open(path, 0, &fd, &err), HD_OK);
    hd__file_lock_close(fd);
    close(ready[0]);
    close(ready[1]);
    assert_int_equal(hd__file_lock_open(scratch_path(&s, "none/lock"), 0, &fd, &err), HD_ERR_IO);
}

static void survives_failing_allocations(void **state)
{
    (void)state;
    hd_status status;
    uint64_t n = 0;
    do {
        hd_file_writer writer;
        hd__alloc_fail_after(n++, UINT64_MAX);
        status = hd__file_writer_open(&writer, scratch_path(&s, "file"), &err);
        if (status == HD_OK)
            status = hd__file_writer_commit(&writer, &err);
        hd__alloc_fail_off();
        assert_true(status == HD_OK || status == HD_ERR_MEMORY);
    } while (status != HD_OK);
    assert_int_equal(n, 3);
    assert_only("file", "");
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)
    const struct CMUnitTest tests[] = {
        TEST(knows_paths_that_lead_out),
        TEST(reads_whole_files_up_to_a_limit),
        TEST(maps_files),
        TEST(makes_folders),
        TEST(knows_the_same_folder),
        TEST(writes_aligned_and_whole),
        TEST(abandons_without_a_trace),
        TEST(a_full_disk_leaves_the_old_file),
        TEST(sweeps_what_killed_writers_left),
        TEST(a_writer_sweeps_what_was_left_of_its_own_file),
        TEST(sweeps_nothing_else),
        TEST(a_sweep_does_not_disturb_writers),
        TEST(locks_are_waited_for_and_freed_by_death),
        TEST(survives_failing_allocations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
