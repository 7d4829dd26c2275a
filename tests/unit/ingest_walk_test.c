/* walk.c and ignore.c: patterns one by one, trees against git itself, links, what cannot be read, names with any byte. */
#include "ingest/walk.h"

#include <setjmp.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/buffer.h"
#include "base/limits.h"
#include "ingest/ignore.h"
#include "scratch.h"

static hd_error err;

/* ---- patterns ---- */

/* One pattern, of paths: nothing in it has another meaning than in the midst of a line. */
static void test_path_patterns(void **state)
{
    (void)state;
    static const struct {
        const char *pattern, *path;
        bool is_dir, matches;
    } cases[] = {
        {"*.md", "a.md", false, true},  {"*.md", "b/a.md", false, false}, {"**/*.md", "b/c/a.md", false, true},
        {"!*", "!a", false, true},      {"!*", "a", false, false},        {"#*", "#a", false, true},
        {"a*\nb", "a\nb", false, true}, {"a*\nb", "b", false, false},     {"a* ", "ab ", false, true},
        {"a* ", "ab", false, false},    {"a*/", "ab", true, true},        {"a*/", "ab", false, false},
        {"[", "[", false, false},       {"a\\*", "a*", false, true},      {"a\\*", "ab", false, false},
    };
    hd_arena arena;
    const hd_ignore *ignore;
    hd__arena_init(&arena);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(hd__ignore_parse_path(cases[i].pattern, &arena, &ignore, &err), HD_OK);
        const hd_ignore_answer answer = hd__ignore_ask(ignore, hd__span_of(cases[i].path), cases[i].is_dir);
        if ((answer == HD_IGNORE_LEAVE) != cases[i].matches)
            fail_msg("\"%s\" of \"%s\"", cases[i].pattern, cases[i].path);
    }
    char longest[HD_LIMIT_IGNORE_PATTERN_BYTES + 1];
    memset(longest, '*', sizeof longest);
    longest[HD_LIMIT_IGNORE_PATTERN_BYTES - 1] = '\0';
    assert_int_equal(hd__ignore_parse_path(longest, &arena, &ignore, &err), HD_OK);
    assert_int_equal(hd__ignore_ask(ignore, hd__span_of("a"), false), HD_IGNORE_LEAVE);
    longest[HD_LIMIT_IGNORE_PATTERN_BYTES - 1] = '*';
    longest[HD_LIMIT_IGNORE_PATTERN_BYTES] = '\0';
    assert_int_equal(hd__ignore_parse_path(longest, &arena, &ignore, &err), HD_ERR_LIMIT);
    hd__arena_clear(&arena);
}

static hd_ignore_answer ask(const char *patterns, const char *path, bool is_dir)
{
    hd_arena arena;
    const hd_ignore *ignore;
    hd__arena_init(&arena);
    assert_int_equal(hd__ignore_parse(hd__span_of(patterns), &arena, &ignore, &err), HD_OK);
    hd_ignore_answer answer = hd__ignore_ask(ignore, hd__span_of(path), is_dir);
    hd__arena_clear(&arena);
    return answer;
}

static void test_patterns(void **state)
{
    (void)state;
    static const struct {
        const char *patterns, *path;
        bool is_dir;
        hd_ignore_answer answer;
    } cases[] = {
        {"", "a", false, HD_IGNORE_UNSAID},
        {"a", "a", false, HD_IGNORE_LEAVE},
        {"a", "b/a", false, HD_IGNORE_LEAVE},
        {"/a", "b/a", false, HD_IGNORE_UNSAID},
        {"a/", "a", false, HD_IGNORE_UNSAID},
        {"a/", "b/a", true, HD_IGNORE_LEAVE},
        {"b/a", "c/b/a", false, HD_IGNORE_UNSAID},
        {"**/b/a", "c/b/a", false, HD_IGNORE_LEAVE},
        {"**/b/a", "b/a", false, HD_IGNORE_LEAVE},
        {"a/**", "a/b/c", false, HD_IGNORE_LEAVE},
        {"a/**", "a", true, HD_IGNORE_UNSAID},
        {"a/**/c", "a/c", false, HD_IGNORE_LEAVE},
        {"a/**/c", "a/b/b/c", false, HD_IGNORE_LEAVE},
        {"a/*/c", "a/b/b/c", false, HD_IGNORE_UNSAID},
        {"a/x**y", "a/x/y", false, HD_IGNORE_UNSAID},
        {"*.log", "b/x.log", false, HD_IGNORE_LEAVE},
        {"*.log\n!x.log", "b/x.log", false, HD_IGNORE_TAKE},
        {"!x.log\n*.log", "b/x.log", false, HD_IGNORE_LEAVE},
        {"#a", "#a", false, HD_IGNORE_UNSAID},
        {"\\#a", "#a", false, HD_IGNORE_LEAVE},
        {"\\!a", "!a", false, HD_IGNORE_LEAVE},
        {"a   ", "a", false, HD_IGNORE_LEAVE},
        {"a\\ ", "a ", false, HD_IGNORE_LEAVE},
        {"a\r\n", "a", false, HD_IGNORE_LEAVE},
        {"\xEF\xBB\xBF"
         "a",
         "a", false, HD_IGNORE_LEAVE},
        {"a\\", "a", false, HD_IGNORE_UNSAID},
        {"a\\", "a\\", false, HD_IGNORE_UNSAID},
        {"[ab]c", "bc", false, HD_IGNORE_LEAVE},
        {"[!ab]c", "bc", false, HD_IGNORE_UNSAID},
        {"[^a-c]x", "dx", false, HD_IGNORE_LEAVE},
        {"[]a]x", "]x", false, HD_IGNORE_LEAVE},
        {"[a-]x", "-x", false, HD_IGNORE_LEAVE},
        {"[[:digit:]x]", "7", false, HD_IGNORE_LEAVE},
        {"[[:digit:]x]", "x", false, HD_IGNORE_LEAVE},
        {"[[:nothing:]]", "n", false, HD_IGNORE_UNSAID},
        {"[a", "[a", false, HD_IGNORE_UNSAID},
        {"a[/]b", "a/b", false, HD_IGNORE_UNSAID},
        {"a?c", "a/c", false, HD_IGNORE_UNSAID},
        {"/", "a", true, HD_IGNORE_UNSAID},
        {"!", "a", false, HD_IGNORE_UNSAID},
        {"\xFF*", "\xFF\xFE", false, HD_IGNORE_LEAVE},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        if (ask(cases[i].patterns, cases[i].path, cases[i].is_dir) != cases[i].answer)
            fail_msg("'%s' about '%s'", cases[i].patterns, cases[i].path);
}

static void test_pattern_length(void **state)
{
    (void)state;
    static char pattern[HD_LIMIT_IGNORE_PATTERN_BYTES + 2];
    memset(pattern, 'a', sizeof pattern - 1);
    pattern[HD_LIMIT_IGNORE_PATTERN_BYTES] = '\0';
    assert_int_equal(ask(pattern, pattern, false), HD_IGNORE_LEAVE);
    pattern[HD_LIMIT_IGNORE_PATTERN_BYTES] = 'a';
    assert_int_equal(ask(pattern, pattern, false), HD_IGNORE_UNSAID);
}

/* A pattern that takes backtracking matchers longer than anybody waits. */
static void test_pattern_of_stars(void **state)
{
    (void)state;
    char pattern[129], path[256];
    for (size_t i = 0; i < 64; i++)
        memcpy(pattern + 2 * i, "*a", 2);
    pattern[127] = 'b';
    pattern[128] = '\0';
    memset(path, 'a', 255);
    path[255] = '\0';
    assert_int_equal(ask(pattern, path, false), HD_IGNORE_UNSAID);
}

/* ---- walks ---- */

typedef struct found {
    hd_buffer files, failed; /* lines, or ended by NUL */
    char end;
    uint64_t n_bytes;
    hd_status answer; /* of the callback */
} found;

static hd_status note_file(const hd_walk_file *file, void *data, hd_error *e)
{
    (void)e;
    found *f = data;
    assert_int_equal(file->path[0], '/');
    assert_string_equal(file->path + strlen(file->path) - strlen(file->name), file->name);
    hd__buffer_append_text(&f->files, file->name);
    hd__buffer_append_char(&f->files, f->end);
    f->n_bytes += file->size;
    return f->answer;
}

static void note_failed(const char *path, const hd_error *why, void *data)
{
    found *f = data;
    assert_true(why->text[0] != '\0');
    hd__buffer_append_text(&f->failed, strrchr(path, '/') + 1);
    hd__buffer_append_char(&f->failed, '\n');
}

static hd_status walk(const char *root, hd_walk_options options, found *f)
{
    options.file = note_file;
    options.failed = note_failed;
    options.data = f;
    hd__buffer_reset(&f->files);
    hd__buffer_reset(&f->failed);
    f->end = f->end != 0 ? '\0' : '\n';
    const hd_status status = hd__walk_files(root, &options, &err);
    hd__buffer_append_char(&f->files, '\0');
    hd__buffer_append_char(&f->failed, '\0');
    f->end = 0;
    return status;
}

static void found_end(found *f)
{
    hd__buffer_clear(&f->files);
    hd__buffer_clear(&f->failed);
}

static void check(scratch *s, const char *root, hd_walk_options options, const char *files, const char *failed)
{
    found f = {0};
    assert_int_equal(walk(scratch_path(s, root), options, &f), HD_OK);
    assert_string_equal(f.files.ptr, files);
    assert_string_equal(f.failed.ptr, failed);
    found_end(&f);
}

static void test_order_and_kinds(void **state)
{
    (void)state;
    scratch s;
    scratch_begin(&s);
    scratch_text(&s, "a/x", "1");
    scratch_text(&s, "a-b", "1");
    scratch_text(&s, "a0", "1");
    scratch_text(&s, ".hidden", "1");
    scratch_text(&s, ".git/config", "1");
    scratch_text(&s, "sub/.git", "gitdir: elsewhere");
    scratch_text(&s, "sub/.svn/entries", "1");
    scratch_text(&s, "sub/\xFF\xFE\n\x01", "1");
    assert_int_equal(mkfifo(scratch_path(&s, "pipe"), 0600), 0);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s", scratch_path(&s, "socket"));
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    close(fd);
    mkdir(scratch_path(&s, "empty"), 0777);
    check(&s, "", (hd_walk_options){0}, ".hidden\na-b\na/x\na0\nsub/\xFF\xFE\n\x01\n", "");
    check(&s, "a0", (hd_walk_options){0}, "a0\n", "");
    check(&s, "empty", (hd_walk_options){0}, "", "");
    scratch_end(&s);
}

static void test_links(void **state)
{
    (void)state;
    scratch s;
    scratch_begin(&s);
    scratch_text(&s, "root/file", "1");
    scratch_text(&s, "root/dir/inner", "1");
    scratch_text(&s, "other/one", "1");
    scratch_text(&s, "other/deep/two", "1");
    scratch_text(&s, "lonely", "1");
    static const char *const links[][2] = {
        {"file", "root/to-file"},          /* found where it is */
        {"dir", "root/to-dir"},            /* so too */
        {"..", "root/dir/around"},         /* around */
        {"../..", "root/dir/above"},       /* around, from above */
        {"../other", "root/linked"},       /* followed */
        {"../other/deep", "root/linked2"}, /* found through the one before */
        {"../lonely", "root/one-file"},    /* followed */
        {"../lonely", "root/same-file"},   /* once */
        {"../deep", "other/deep/loop"},    /* around, elsewhere */
        {"nowhere", "root/broken"},
        {"circle", "root/circle"},
    };
    for (size_t i = 0; i < sizeof links / sizeof links[0]; i++)
        assert_int_equal(symlink(links[i][0], scratch_path(&s, links[i][1])), 0);
    found f = {0};
    assert_int_equal(walk(scratch_path(&s, "root"), (hd_walk_options){0}, &f), HD_OK);
    const char *lines[] = {"dir/inner\n", "file\n", "linked/deep/two\n", "linked/one\n"};
    for (size_t i = 0; i < 4; i++)
        assert_non_null(strstr(f.files.ptr, lines[i]));
    assert_int_equal((strstr(f.files.ptr, "one-file\n") != NULL) + (strstr(f.files.ptr, "same-file\n") != NULL), 1);
    assert_null(strstr(f.files.ptr, "to-"));
    assert_null(strstr(f.files.ptr, "linked2/"));
    assert_null(strstr(f.files.ptr, "loop/"));
    static const char *const failed[] = {"above\n", "around\n", "broken\n", "circle\n"};
    for (size_t i = 0; i < 4; i++)
        assert_non_null(strstr(f.failed.ptr, failed[i]));
    found_end(&f);
    scratch_end(&s);
}

static void test_ignore_files(void **state)
{
    (void)state;
    scratch s;
    scratch_begin(&s);
    static const char *const files[] = {"top/.git/HEAD",       "top/a.log",     "top/root/a.log",     "top/root/b.txt",
                                        "top/root/keep/a.log", "top/root/c.md", "top/root/sub/d.tmp", "top/root/sub/e.txt"};
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++)
        scratch_text(&s, files[i], "1");
    scratch_text(&s, "top/.gitignore", "*.log\n/root/sub/d.tmp\n");
    scratch_text(&s, "top/root/.gitignore", "c.md\n");
    scratch_text(&s, "top/root/.heddleignore", "!keep/a.log\nb.txt\n");
    check(&s, "top/root", (hd_walk_options){0}, ".gitignore\n.heddleignore\nkeep/a.log\nsub/e.txt\n", "");
    check(&s, "top/root", (hd_walk_options){.no_gitignore = true},
          ".gitignore\n.heddleignore\na.log\nc.md\nkeep/a.log\nsub/d.tmp\nsub/e.txt\n", "");
    static const char *const exclude[] = {".*", "*", "!keep", "!a.log", "!b.txt"};
    check(&s, "top/root", (hd_walk_options){.exclude = exclude, .n_exclude = 5}, "keep/a.log\n", "");
    check(&s, "top/root/sub", (hd_walk_options){.top = scratch_path(&s, "top/root")}, "sub/e.txt\n", "");
    scratch_text(&s, "top/root/.gitignore", "c.md\n");
    char *large = calloc(1, HD_LIMIT_IGNORE_FILE_BYTES + 1);
    memset(large, '\n', HD_LIMIT_IGNORE_FILE_BYTES + 1);
    memcpy(large, "*.md\n", 5);
    scratch_write(&s, "top/root/sub/.gitignore", large, HD_LIMIT_IGNORE_FILE_BYTES);
    check(&s, "top/root/sub", (hd_walk_options){0}, ".gitignore\ne.txt\n", "");
    scratch_write(&s, "top/root/sub/.gitignore", large, HD_LIMIT_IGNORE_FILE_BYTES + 1);
    check(&s, "top/root/sub", (hd_walk_options){0}, ".gitignore\ne.txt\n", ".gitignore\n");
    free(large);
    scratch_end(&s);
}

static void test_errors(void **state)
{
    (void)state;
    scratch s;
    found f = {0};
    scratch_begin(&s);
    scratch_text(&s, "a/b/file", "1");
    scratch_text(&s, "a/file", "1");
    assert_int_equal(walk(scratch_path(&s, "nothing"), (hd_walk_options){0}, &f), HD_ERR_NOT_FOUND);
    assert_int_equal(walk("/dev/null", (hd_walk_options){0}, &f), HD_ERR_UNSUPPORTED);
    f.answer = HD_ERR_CANCELLED;
    assert_int_equal(walk(scratch_path(&s, ""), (hd_walk_options){0}, &f), HD_ERR_CANCELLED);
    assert_string_equal(f.files.ptr, "a/b/file\n");
    f.answer = HD_OK;
    if (geteuid() != 0) { /* nothing is closed to root */
        chmod(scratch_path(&s, "a/b"), 0);
        check(&s, "", (hd_walk_options){0}, "a/file\n", "b\n");
        assert_int_equal(walk(scratch_path(&s, "a/b"), (hd_walk_options){0}, &f), HD_ERR_IO);
        chmod(scratch_path(&s, "a/b"), 0777);
    }
    for (uint64_t n = 0; n < 40; n++) { /* each allocation fails once: an error, or nothing that matters */
        hd__alloc_fail_after(n, 1);
        const hd_status status =
            hd__walk_files(scratch_path(&s, ""), &(hd_walk_options){.file = note_file, .data = &f}, &err);
        hd__alloc_fail_off();
        assert_true(status == HD_OK || status == HD_ERR_MEMORY);
    }
    found_end(&f);
    scratch_end(&s);
}

/* A folder as deep as paths go, and one deeper. */
static void test_depth(void **state)
{
    (void)state;
    scratch s;
    scratch_begin(&s);
    const int home = open(".", O_RDONLY);
    assert_int_equal(chdir(s.dir), 0);
    size_t len = strlen(s.dir);
    for (; len + 3 < HD_LIMIT_PATH_BYTES + 4; len += 2) {
        assert_int_equal(mkdir("d", 0777), 0);
        assert_int_equal(chdir("d"), 0);
    }
    FILE *file = fopen("f", "w");
    fclose(file);
    assert_int_equal(fchdir(home), 0);
    close(home);
    found f = {0};
    assert_int_equal(walk(s.dir, (hd_walk_options){0}, &f), HD_OK);
    assert_string_equal(f.files.ptr, "");
    assert_string_equal(f.failed.ptr, "d\n");
    found_end(&f);
    char command[128]; /* too deep for scratch_end */
    snprintf(command, sizeof command, "rm -rf %s", s.dir);
    assert_int_equal(system(command), 0);
}

/* ---- git's own opinion ---- */

static uint64_t seed;

static uint32_t chance(uint32_t n)
{
    seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(seed >> 33) % n;
}

static void append_part(char *text, const char *const *parts, uint32_t n)
{
    strcat(text, parts[chance(n)]);
}

static void make_pattern(char *text)
{
    static const char *const parts[] = {"a",    "b",    "ab",    "c.o", "*",           "?",   "**",   "/",  "/",
                                        "[ab]", "[!a]", "[a-c]", "\\a", "[[:alpha:]]", ".o",  "[b",   "\\", " ",
                                        "*.o",  "**/",  "/**",   "***", "[]]",         "\\/", "[a\\]"};
    text[0] = '\0';
    if (chance(4) == 0)
        strcat(text, "!");
    if (chance(4) == 0)
        strcat(text, "/");
    for (uint32_t n = 1 + chance(4); n > 0; n--)
        append_part(text, parts, sizeof parts / sizeof parts[0]);
    if (chance(5) == 0)
        strcat(text, "/");
}

static void make_tree(scratch *s)
{
    static const char *const names[] = {"a", "b", "ab", "c.o", "a ", "ba", "]", "a.o"};
    char path[256], text[4096], pattern[256];
    for (uint32_t i = 0; i < 40; i++) {
        path[0] = '\0';
        const uint32_t depth = chance(4);
        for (uint32_t d = 0; d < depth; d++) {
            append_part(path, names, 8);
            strcat(path, "/");
        }
        const size_t folder = strlen(path);
        append_part(path, names, 8);
        struct stat st;
        bool is_free = stat(scratch_path(s, path), &st) != 0 && errno == ENOENT;
        for (size_t at = 1; path[at] != '\0'; at++) { /* a file may stand where the folder would */
            if (path[at] != '/')
                continue;
            path[at] = '\0';
            is_free = is_free && (stat(scratch_path(s, path), &st) != 0 || S_ISDIR(st.st_mode));
            path[at] = '/';
        }
        if (!is_free)
            continue;
        scratch_text(s, path, "1");
        if (chance(6) != 0)
            continue;
        strcpy(path + folder, ".gitignore");
        text[0] = '\0';
        for (uint32_t n = 1 + chance(5); n > 0; n--) {
            make_pattern(pattern);
            strcat(strcat(text, pattern), chance(8) == 0 ? "\r\n" : "\n");
        }
        scratch_text(s, path, text);
    }
}

static void test_as_git(void **state)
{
    (void)state;
    if (system("git --version > /dev/null 2>&1") != 0)
        skip();
    const char *wanted = getenv("HEDDLE_WALK_TREES");
    const int n_trees = wanted != NULL ? atoi(wanted) : 60;
    for (int tree = 0; tree < n_trees; tree++) {
        scratch s;
        char command[256];
        static char theirs[65536];
        scratch_begin(&s);
        seed = (uint64_t)tree + 1;
        make_tree(&s);
        snprintf(command, sizeof command,
                 "cd %s && git init -q && git -c core.excludesFile=/dev/null ls-files -z --others --exclude-standard",
                 s.dir);
        FILE *git = popen(command, "r");
        const size_t n = fread(theirs, 1, sizeof theirs, git);
        assert_int_equal(pclose(git), 0);
        found f = {.end = 1};
        assert_int_equal(walk(s.dir, (hd_walk_options){0}, &f), HD_OK);
        if (f.files.len - 1 != n || memcmp(f.files.ptr, theirs, n) != 0) {
            size_t at = 0;
            while (at < n && at < f.files.len && theirs[at] == f.files.ptr[at])
                at++;
            while (at > 0 && theirs[at - 1] != '\0')
                at--;
            fail_msg("tree %d, kept in %s: git has '%s', we '%s'", tree, s.dir, at < n ? theirs + at : "",
                     at < f.files.len ? f.files.ptr + at : "");
        }
        found_end(&f);
        scratch_end(&s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_path_patterns),   cmocka_unit_test(test_patterns),
        cmocka_unit_test(test_pattern_length),  cmocka_unit_test(test_pattern_of_stars),
        cmocka_unit_test(test_order_and_kinds), cmocka_unit_test(test_links),
        cmocka_unit_test(test_ignore_files),    cmocka_unit_test(test_errors),
        cmocka_unit_test(test_depth),           cmocka_unit_test(test_as_git),
    };
    return cmocka_run_group_tests_name("walk", tests, NULL, NULL);
}
