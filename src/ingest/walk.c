/* walk.c - see walk.h. One frame of `enter` for each folder on the way down; paths are at most HD_LIMIT_PATH_BYTES long, so
 * there are not many.
 */
#include "ingest/walk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/limits.h"
#include "base/map64.h"
#include "ingest/ignore.h"

/* A folder on the way to what is looked at, and its ignore files. */
typedef struct level {
    const struct level *above;
    const hd_ignore *git, *own;
    size_t path_len; /* of the folder */
} level;

typedef struct entry {
    const char *name;
    struct stat stat; /* of what a link leads to */
    bool is_dir;
} entry;

typedef struct walk {
    const hd_walk_options *options;
    const char *root; /* folder */
    size_t top_len;
    const hd_ignore *exclude;
    hd_arena arena;  /* of the walk */
    hd_map64 linked; /* hashes of the paths that links led to */
    char path[HD_LIMIT_PATH_BYTES];
    size_t path_len;
} walk;

static hd_status no_memory(hd_error *err)
{
    return hd__fail(err, HD_ERR_MEMORY, "no memory to walk through folders");
}

static void report(const walk *w, const char *path, const hd_error *why)
{
    if (w->options->failed != NULL)
        w->options->failed(path, why, w->options->data);
}

static void report_errno(const walk *w, const char *path, const char *what)
{
    hd_error why;
    HD_IGNORE(hd__fail_errno(&why, errno, "cannot %s", what));
    report(w, path, &why);
}

/* Appends "/name" to the path in hand; false, and reported, when that is too long. */
static bool path_push(walk *w, const char *name)
{
    const size_t n = strlen(name), slash = w->path_len > 1; /* none after the root of all */
    if (w->path_len + slash + n >= sizeof w->path) {
        hd_error why;
        HD_IGNORE(
            hd__fail(&why, HD_ERR_LIMIT, "'%s' in it: the path is longer than %u bytes", name, HD_LIMIT_PATH_BYTES - 1));
        report(w, w->path, &why);
        return false;
    }
    if (slash == 1)
        w->path[w->path_len] = '/';
    memcpy(w->path + w->path_len + slash, name, n + 1);
    w->path_len += slash + n;
    return true;
}

static void path_cut(walk *w, size_t len)
{
    w->path_len = len;
    w->path[len] = '\0';
}

/* ---- what is left out ---- */

/* The patterns in a file of the folder at the path in hand; NULL without one. One that cannot be read is reported. */
static hd_status read_ignore(walk *w, const char *name, hd_arena *arena, const hd_ignore **ignore, hd_error *err)
{
    const size_t len = w->path_len;
    hd_error why = {0};
    hd_span text;
    *ignore = NULL;
    if (len + 1 + strlen(name) >= sizeof w->path) /* where no such file can be opened */
        return HD_OK;
    path_push(w, name);
    hd_status status = HD_OK;
    if (hd__file_exists(w->path)) {
        status = hd__file_read(w->path, HD_LIMIT_IGNORE_FILE_BYTES, arena, &text, &why);
        if (status == HD_OK)
            status = hd__ignore_parse(text, arena, ignore, &why);
        if (status == HD_ERR_MEMORY)
            status = no_memory(err);
        else if (status != HD_OK)
            report(w, w->path, &why);
    }
    path_cut(w, len);
    return status == HD_ERR_MEMORY ? status : HD_OK;
}

static hd_status level_read(walk *w, const level *above, hd_arena *arena, level *l, hd_error *err)
{
    *l = (level){.above = above, .path_len = w->path_len};
    if (!w->options->no_gitignore)
        HD_TRY(read_ignore(w, ".gitignore", arena, &l->git, err));
    return read_ignore(w, ".heddleignore", arena, &l->own, err);
}

/* The path in hand as a folder at `path_len` sees it. */
static hd_span path_below(const walk *w, size_t path_len)
{
    const size_t at = path_len + (path_len > 1);
    return hd__span(w->path + at, w->path_len - at);
}

/* Patterns given by the caller, which can leave out alone, then .heddleignore, then .gitignore; of each the nearest
 * folder's first. */
static bool is_left_out(const walk *w, const level *nearest, bool is_dir)
{
    hd_ignore_answer answer = HD_IGNORE_UNSAID;
    if (hd__ignore_ask(w->exclude, path_below(w, w->top_len), is_dir) == HD_IGNORE_LEAVE)
        return true;
    for (const level *l = nearest; l != NULL && answer == HD_IGNORE_UNSAID; l = l->above)
        answer = hd__ignore_ask(l->own, path_below(w, l->path_len), is_dir);
    for (const level *l = nearest; l != NULL && answer == HD_IGNORE_UNSAID; l = l->above)
        answer = hd__ignore_ask(l->git, path_below(w, l->path_len), is_dir);
    return answer == HD_IGNORE_LEAVE;
}

static bool is_version_control(const char *name)
{
    static const char *const names[] = {".git", ".hg", ".svn", ".bzr", ".jj", "_darcs", "CVS"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return false;
}

/* ---- links ---- */

bool hd__path_lies_in(const char *path, const char *folder)
{
    const size_t n = strlen(folder);
    return strncmp(path, folder, n) == 0 && (path[n] == '/' || path[n] == '\0' || n == 1);
}

/* Whether a link is followed. One that leads around is reported; one to what is found anyway is not. */
static hd_status link_is_followed(walk *w, const struct stat *target, bool *followed, hd_error *err)
{
    char real[PATH_MAX];
    *followed = false;
    if (realpath(w->path, real) == NULL) {
        report_errno(w, w->path, "follow the link");
        return HD_OK;
    }
    if (S_ISDIR(target->st_mode) && hd__path_lies_in(w->root, real)) {
        hd_error why;
        HD_IGNORE(hd__fail(&why, HD_ERR_IO, "a link to a folder that it is in"));
        report(w, w->path, &why);
        return HD_OK;
    }
    if (hd__path_lies_in(real, w->root))
        return HD_OK;
    for (size_t len = 1; real[len - 1] != '\0'; len++) /* it, or a folder that it is in */
        if ((real[len] == '/' || real[len] == '\0') && hd__map64_get(&w->linked, hd__hash64(hd__span(real, len), 0)) != NULL)
            return HD_OK;
    if (hd__map64_put(&w->linked, hd__hash64(hd__span_of(real), 0)) == NULL)
        return no_memory(err);
    *followed = true;
    return HD_OK;
}

/* ---- folders ---- */

/* Folders stand where their paths would, with a slash after the name: the whole walk is then in the order of paths. */
static int compare_entries(const void *a, const void *b)
{
    const entry *x = a, *y = b;
    const size_t n_x = strlen(x->name), n_y = strlen(y->name), n = n_x < n_y ? n_x : n_y;
    const int order = memcmp(x->name, y->name, n);
    if (order != 0)
        return order;
    const unsigned char after_x = n_x > n ? (unsigned char)x->name[n] : x->is_dir ? '/' : 0;
    const unsigned char after_y = n_y > n ? (unsigned char)y->name[n] : y->is_dir ? '/' : 0;
    return after_x < after_y ? -1 : after_x > after_y;
}

/* Looks at what the path in hand is; *wanted for files and folders that are to be read. */
static hd_status look_at(walk *w, const level *nearest, entry *e, bool *wanted, hd_error *err)
{
    *wanted = false;
    if (lstat(w->path, &e->stat) != 0) {
        if (errno != ENOENT) /* it has gone meanwhile */
            report_errno(w, w->path, "look at it");
        return HD_OK;
    }
    const bool is_link = S_ISLNK(e->stat.st_mode);
    if (is_link && stat(w->path, &e->stat) != 0) {
        if (!is_left_out(w, nearest, false))
            report_errno(w, w->path, "follow the link");
        return HD_OK;
    }
    e->is_dir = S_ISDIR(e->stat.st_mode);
    if ((!e->is_dir && !S_ISREG(e->stat.st_mode)) || is_left_out(w, nearest, e->is_dir))
        return HD_OK;
    *wanted = true;
    return is_link ? link_is_followed(w, &e->stat, wanted, err) : HD_OK;
}

/* The files and folders in the one at the path in hand that are to be read, in order. */
static hd_status list_folder(walk *w, DIR *dir, const level *l, hd_arena *arena, entry **entries, size_t *n, hd_error *err)
{
    hd_status status = HD_OK;
    const size_t len = w->path_len;
    size_t capacity = 0;
    *n = 0;
    *entries = NULL;
    for (;;) {
        errno = 0;
        const struct dirent *d = readdir(dir);
        if (d == NULL)
            break;
        if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0 || is_version_control(d->d_name))
            continue;
        bool wanted = false;
        entry e = {0};
        if (path_push(w, d->d_name)) {
            status = look_at(w, l, &e, &wanted, err);
            path_cut(w, len);
        }
        if (status != HD_OK)
            return status;
        if (!wanted)
            continue;
        if (*n == capacity) {
            capacity = capacity != 0 ? 2 * capacity : 32;
            entry *larger = hd__realloc(*entries, hd__mul(capacity, sizeof *larger));
            if (larger == NULL)
                return no_memory(err);
            *entries = larger;
        }
        e.name = hd__arena_strndup(arena, d->d_name, strlen(d->d_name));
        if (e.name == NULL)
            return no_memory(err);
        (*entries)[(*n)++] = e;
    }
    if (errno != 0)
        report_errno(w, w->path, "read all of the folder");
    if (*n > 1)
        qsort(*entries, *n, sizeof **entries, compare_entries);
    return HD_OK;
}

static hd_status hand_over(walk *w, const struct stat *st, hd_error *err)
{
    const hd_walk_file file = {
        .path = w->path,
        .name = w->path + w->top_len + (w->top_len > 1),
        .size = (uint64_t)st->st_size,
        .mtime_ns = (uint64_t)st->st_mtim.tv_sec * 1000000000u + (uint64_t)st->st_mtim.tv_nsec,
        .device = (uint64_t)st->st_dev,
        .inode = (uint64_t)st->st_ino,
    };
    return w->options->file(&file, w->options->data, err);
}

static hd_status enter(walk *w, const level *above, bool is_root, hd_error *err)
{
    hd_status status = HD_OK;
    hd_arena arena;
    entry *entries = NULL;
    size_t n = 0;
    const size_t len = w->path_len;
    level l;
    hd__arena_init(&arena);
    DIR *dir = NULL;
    if (w->options->folder != NULL)
        HD_TRY_OUT(w->options->folder(w->path, w->options->data, err));
    dir = opendir(w->path);
    if (dir == NULL && is_root) {
        status = hd__fail_errno(err, errno, "%s: cannot read the folder", w->path);
        goto out;
    }
    if (dir == NULL) {
        report_errno(w, w->path, "read the folder");
        goto out;
    }
    HD_TRY_OUT(level_read(w, above, &arena, &l, err));
    status = list_folder(w, dir, &l, &arena, &entries, &n, err);
    closedir(dir);
    dir = NULL;
    for (size_t i = 0; i < n && status == HD_OK; i++) {
        if (!path_push(w, entries[i].name))
            continue;
        status = entries[i].is_dir ? enter(w, &l, false, err) : hand_over(w, &entries[i].stat, err);
        path_cut(w, len);
    }
out:
    if (dir != NULL)
        closedir(dir);
    hd__free(entries);
    hd__arena_clear(&arena);
    return status;
}

/* ---- the root ---- */

/* The folder above the root from which on ignore files count: the repository's, or `top`, whichever is higher. */
static size_t highest_len(const walk *w)
{
    char path[HD_LIMIT_PATH_BYTES + sizeof "/.git"];
    size_t highest = w->top_len;
    for (size_t len = strlen(w->root); len > 0; len--) {
        if (len > 1 && w->root[len] != '/' && w->root[len] != '\0')
            continue;
        struct stat st;
        memcpy(path, w->root, len);
        memcpy(path + len, "/.git", sizeof "/.git");
        if (lstat(path, &st) == 0)
            return len < highest ? len : highest;
    }
    return highest;
}

/* The levels above the root, from `highest` down; *nearest is the one right above it. */
static hd_status read_above(walk *w, const level **nearest, hd_error *err)
{
    const size_t root_len = strlen(w->root);
    *nearest = NULL;
    for (size_t len = highest_len(w); len < root_len; len++) {
        if (len > 1 && w->root[len] != '/')
            continue;
        level *l = hd__arena_alloc(&w->arena, sizeof *l);
        if (l == NULL)
            return no_memory(err);
        memcpy(w->path, w->root, len);
        path_cut(w, len);
        HD_TRY(level_read(w, *nearest, &w->arena, l, err));
        *nearest = l;
    }
    return HD_OK;
}

static hd_status read_exclude(walk *w, hd_error *err)
{
    hd_buffer text;
    hd__buffer_init(&text);
    for (size_t i = 0; i < w->options->n_exclude; i++) {
        hd__buffer_append_text(&text, w->options->exclude[i]);
        hd__buffer_append_char(&text, '\n');
    }
    hd_status status = text.failed ? no_memory(err) : hd__ignore_parse(hd__buffer_span(&text), &w->arena, &w->exclude, err);
    hd__buffer_clear(&text);
    return status;
}

static hd_status walk_folder(walk *w, hd_error *err)
{
    const level *above;
    if (w->options->n_exclude > 0)
        HD_TRY(read_exclude(w, err));
    HD_TRY(read_above(w, &above, err));
    memcpy(w->path, w->root, strlen(w->root) + 1);
    w->path_len = strlen(w->root);
    return enter(w, above, true, err);
}

hd_status hd__walk_files(const char *root, const hd_walk_options *options, hd_error *err)
{
    struct stat st;
    if (strlen(root) >= HD_LIMIT_PATH_BYTES)
        return hd__fail(err, HD_ERR_LIMIT, "%s: longer than %u bytes", root, HD_LIMIT_PATH_BYTES - 1);
    if (stat(root, &st) != 0) {
        const int failed = errno;
        return failed == ENOENT ? hd__fail(err, HD_ERR_NOT_FOUND, "%s: no such file or folder", root)
                                : hd__fail_errno(err, failed, "%s: cannot look at it", root);
    }
    if (!S_ISDIR(st.st_mode) && !S_ISREG(st.st_mode))
        return hd__fail(err, HD_ERR_UNSUPPORTED, "%s: neither a file nor a folder", root);
    walk *w = hd__calloc(1, sizeof *w);
    if (w == NULL)
        return no_memory(err);
    w->options = options;
    w->root = root;
    w->top_len = strlen(options->top != NULL ? options->top : root);
    hd__arena_init(&w->arena);
    hd_status status;
    if (S_ISDIR(st.st_mode)) {
        status = walk_folder(w, err);
    } else {
        memcpy(w->path, root, strlen(root) + 1);
        if (options->top == NULL)
            w->top_len = (size_t)(strrchr(root, '/') - root);
        status = hand_over(w, &st, err);
    }
    hd__arena_clear(&w->arena);
    hd__map64_clear(&w->linked);
    hd__free(w);
    return status;
}
