/* ingest_area.c - see ingest_area.h. The roots are a setting of the index: a line each, label, tab, path; in paths "%", tabs
 * and newlines are written "%NN".
 */
#include "search/ingest_area.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/alloc.h"
#include "base/buffer.h"
#include "base/file.h"
#include "base/limits.h"
#include "base/utf8.h"
#include "ingest/walk.h"

#define SETTING "ingest.roots"

typedef struct root {
    const char *label, *path;
    bool is_gone; /* its folder is not there any more, or it has become part of another */
} root;

typedef struct finding {
    hd_store *store;
    hd_arena *arena;
    root *roots; /* [n_roots] on the heap */
    size_t n_roots;
    hd_ingest_area *areas; /* [n_areas] room for one a path */
    size_t n_areas;
    bool changed;
} finding;

static hd_status no_memory(hd_error *err)
{
    return hd__fail(err, HD_ERR_MEMORY, "no memory for the folders of an index");
}

bool hd__ingest_path_has(const hd_ingest_path *about, const char *path)
{
    if (!hd__path_lies_in(path, about->path))
        return false;
    if (about->pattern == NULL)
        return true;
    const size_t n_folder = strlen(about->path), n = strlen(path), begin = n_folder > 1 ? n_folder + 1 : 1;
    for (size_t end = begin; end <= n; end++) { /* each folder that it is in, and itself */
        if (path[end] != '/' && path[end] != '\0')
            continue;
        if (hd__ignore_ask(about->pattern, hd__span(path + begin, end - begin), path[end] == '/') == HD_IGNORE_LEAVE)
            return true;
    }
    return false;
}

hd_ingest_path *hd__ingest_area_has(const hd_ingest_area *area, const char *path)
{
    for (size_t i = 0; i < area->n_paths; i++)
        if (hd__ingest_path_has(&area->paths[i], path))
            return &area->paths[i];
    return NULL;
}

/* UTF-8 of any bytes. */
static void append_readable(hd_buffer *text, const char *bytes)
{
    const hd_span span = hd__span_of(bytes);
    bool valid;
    for (size_t at = 0, len; at < span.len; at += len) {
        hd__utf8_decode(span, at, &len, &valid);
        if (valid)
            hd__buffer_append(text, bytes + at, len);
        for (size_t i = 0; i < len && !valid; i++)
            hd__buffer_printf(text, "\\x%02X", (unsigned char)bytes[at + i]);
    }
}

const char *hd__ingest_id(const char *label, const char *name, hd_arena *arena)
{
    hd_buffer text;
    hd__buffer_init(&text);
    hd__buffer_append_text(&text, label);
    hd__buffer_append_char(&text, '/');
    append_readable(&text, name);
    const char *id = text.failed ? NULL : hd__arena_strndup(arena, text.ptr, text.len);
    hd__buffer_clear(&text);
    return id;
}

/* ---- the setting ---- */

static hd_status add_root(finding *f, const char *label, const char *path, hd_error *err)
{
    root *roots = hd__realloc(f->roots, hd__mul(f->n_roots + 1, sizeof *roots));
    if (roots == NULL || label == NULL || path == NULL) {
        f->roots = roots != NULL ? roots : f->roots;
        return no_memory(err);
    }
    f->roots = roots;
    roots[f->n_roots++] = (root){.label = label, .path = path, .is_gone = !hd__dir_exists(path)};
    return HD_OK;
}

static char *unescape(hd_arena *arena, hd_span text)
{
    char *path = hd__arena_strndup(arena, text.ptr, text.len);
    size_t n = 0;
    for (size_t i = 0; i < text.len && path != NULL; i++) {
        const bool escaped = text.ptr[i] == '%' && i + 2 < text.len;
        const char digits[3] = {escaped ? text.ptr[i + 1] : '0', escaped ? text.ptr[i + 2] : '0', '\0'};
        path[n++] = escaped ? (char)strtoul(digits, NULL, 16) : text.ptr[i];
        i += escaped ? 2 : 0;
    }
    if (path != NULL)
        path[n] = '\0';
    return path;
}

static hd_status read_roots(finding *f, hd_error *err)
{
    hd_snapshot *snapshot;
    const char *text = NULL;
    HD_TRY(hd__snapshot_begin(f->store, &snapshot, err));
    const hd_status status = hd__store_get(snapshot, SETTING, f->arena, &text, err);
    hd__snapshot_end(snapshot);
    HD_TRY(status);
    while (text != NULL && *text != '\0') {
        const size_t n = strcspn(text, "\n"), n_label = strcspn(text, "\t\n");
        if (n_label < n)
            HD_TRY(add_root(f, hd__arena_strndup(f->arena, text, n_label),
                            unescape(f->arena, hd__span(text + n_label + 1, n - n_label - 1)), err));
        text += n + (text[n] == '\n');
    }
    return HD_OK;
}

static hd_status write_roots(finding *f, hd_error *err)
{
    hd_buffer text;
    hd_write *write;
    hd__buffer_init(&text);
    for (size_t i = 0; i < f->n_roots; i++) {
        if (f->roots[i].path[0] == '\0')
            continue;
        hd__buffer_printf(&text, "%s\t", f->roots[i].label);
        for (const char *c = f->roots[i].path; *c != '\0'; c++)
            if (*c == '%' || *c == '\t' || *c == '\n')
                hd__buffer_printf(&text, "%%%02X", (unsigned char)*c);
            else
                hd__buffer_append_char(&text, *c);
        hd__buffer_append_char(&text, '\n');
    }
    hd__buffer_append_char(&text, '\0');
    hd_status status = text.failed ? no_memory(err) : hd__write_begin(f->store, &write, err);
    if (status == HD_OK) {
        status = hd__store_set(write, SETTING, text.ptr, err);
        if (status == HD_OK)
            status = hd__write_commit(write, err);
        else
            hd__write_abandon(write);
    }
    hd__buffer_clear(&text);
    return status;
}

/* ---- paths ---- */

static hd_status fail_path(const char *given, int failed, hd_error *err)
{
    return failed == ENOENT ? hd__fail(err, HD_ERR_NOT_FOUND, "%s: no such file or folder", given)
                            : hd__fail_errno(err, failed, "%s: cannot look at it", given);
}

/* Splits a pattern after the last slash before its first wildcard: the folder, and what is looked for in it. */
static hd_status split_pattern(const char *given, hd_arena *arena, const char **folder, hd_ingest_path *path, hd_error *err)
{
    const size_t n_plain = strcspn(given, "*?[");
    const char *slash = n_plain > 0 ? memrchr(given, '/', n_plain) : NULL;
    const size_t n = slash != NULL ? (size_t)(slash - given) : 0;
    *folder = slash == NULL ? "." : n == 0 ? "/" : hd__arena_strndup(arena, given, n);
    if (*folder == NULL)
        return no_memory(err);
    return hd__ignore_parse_path(slash != NULL ? slash + 1 : given, arena, &path->pattern, err);
}

hd_status hd__ingest_path_resolve(const char *given, hd_arena *arena, hd_ingest_path *path, hd_error *err)
{
    char real[PATH_MAX];
    struct stat st;
    const char *there = given;
    *path = (hd_ingest_path){.given = given};
    if (lstat(given, &st) != 0 && errno == ENOENT && strpbrk(given, "*?[") != NULL)
        HD_TRY(split_pattern(given, arena, &there, path, err));
    if (realpath(there, real) == NULL || stat(real, &st) != 0)
        return fail_path(given, errno, err);
    path->is_folder = S_ISDIR(st.st_mode);
    if (path->pattern != NULL && !path->is_folder)
        return fail_path(given, ENOENT, err);
    if (!path->is_folder && !S_ISREG(st.st_mode))
        return hd__fail(err, HD_ERR_UNSUPPORTED, "%s: neither a file nor a folder", given);
    path->path = hd__arena_strndup(arena, real, strlen(real));
    return path->path != NULL ? HD_OK : no_memory(err);
}

/* ---- areas ---- */

static hd_ingest_area *find_area(finding *f, const char *path)
{
    for (size_t i = 0; i < f->n_areas; i++)
        if (strcmp(f->areas[i].root, path) == 0)
            return &f->areas[i];
    return NULL;
}

static hd_status add_root_to(const char ***roots, size_t *n, const char *path, hd_arena *arena, hd_error *err)
{
    const char **more = hd__arena_alloc(arena, hd__mul(*n + 1, sizeof *more));
    if (more == NULL)
        return no_memory(err);
    if (*n > 0)
        memcpy(more, *roots, *n * sizeof *more);
    more[(*n)++] = path;
    *roots = more;
    return HD_OK;
}

static hd_status take_over(finding *f, hd_ingest_area *area, root *other, hd_error *err)
{
    HD_TRY(add_root_to(&area->taken, &area->n_taken, other->path, f->arena, err));
    other->path = ""; /* no root any more */
    f->changed = true;
    return HD_OK;
}

/* The folder's own name, or that with a number; the documents of a folder that is gone and had it are taken over. */
static hd_status make_label(finding *f, hd_ingest_area *area, hd_error *err)
{
    hd_buffer name;
    hd__buffer_init(&name);
    append_readable(&name, strrchr(area->root, '/') + 1);
    for (size_t i = 0; i < name.len; i++)
        if ((unsigned char)name.ptr[i] < 0x20)
            name.ptr[i] = '_';
    hd_status status = name.failed ? no_memory(err) : HD_OK;
    for (unsigned n = 1; status == HD_OK && area->label == NULL; n++) {
        const char *base = name.len > 0 ? name.ptr : "root";
        const int len = name.len > 0 ? (int)name.len : 4;
        const char *label =
            n == 1 ? hd__arena_printf(f->arena, "%.*s", len, base) : hd__arena_printf(f->arena, "%.*s-%u", len, base, n);
        if (label == NULL)
            status = no_memory(err);
        bool is_free = true;
        for (size_t i = 0; i < f->n_roots && status == HD_OK; i++) {
            root *r = &f->roots[i];
            if (r->path[0] == '\0' || strcmp(r->label, label) != 0)
                continue;
            is_free = r->is_gone;
            if (is_free)
                status = take_over(f, area, r, err);
        }
        if (is_free)
            area->label = label;
    }
    hd__buffer_clear(&name);
    return status;
}

static hd_status new_area(finding *f, const char *path, const char *label, hd_ingest_area **out, hd_error *err)
{
    hd_ingest_area *area = &f->areas[f->n_areas++];
    area->root = path;
    area->label = label;
    if (label == NULL) {
        HD_TRY(make_label(f, area, err));
        for (size_t i = 0; i < f->n_roots; i++)
            if (f->roots[i].is_gone && f->roots[i].path[0] != '\0')
                HD_TRY(add_root_to(&area->absent, &area->n_absent, f->roots[i].path, f->arena, err));
        HD_TRY(add_root(f, area->label, area->root, err));
        f->changed = true;
    }
    *out = area;
    return HD_OK;
}

/* The root that a path belongs to: the nearest that holds it. */
static const root *root_of(const finding *f, const char *path)
{
    const root *best = NULL;
    for (size_t i = 0; i < f->n_roots; i++) {
        const root *r = &f->roots[i];
        if (r->path[0] != '\0' && hd__path_lies_in(path, r->path) && (best == NULL || strlen(r->path) > strlen(best->path)))
            best = r;
    }
    return best;
}

/* Adds a path to its area, unless one that is there holds all of it; those that it holds go. */
static hd_status add_path(finding *f, hd_ingest_area *area, const hd_ingest_path *path, hd_error *err)
{
    size_t n = 0;
    for (size_t i = 0; i < area->n_paths; i++)
        if (area->paths[i].pattern == NULL && hd__path_lies_in(path->path, area->paths[i].path))
            return HD_OK;
    for (size_t i = 0; i < area->n_paths; i++)
        if (path->pattern != NULL || !hd__path_lies_in(area->paths[i].path, path->path))
            area->paths[n++] = area->paths[i];
    if ((n & (n - 1)) == 0) { /* full: it has room for a power of two */
        hd_ingest_path *more = hd__arena_alloc(f->arena, hd__mul(n > 0 ? 2 * n : 1, sizeof *more));
        if (more == NULL)
            return no_memory(err);
        if (n > 0)
            memcpy(more, area->paths, n * sizeof *more);
        area->paths = more;
    }
    area->paths[n++] = *path;
    area->n_paths = n;
    return HD_OK;
}

static hd_status find_one(finding *f, const char *given, hd_error *err)
{
    hd_ingest_path path;
    HD_TRY(hd__ingest_path_resolve(given, f->arena, &path, err));
    const size_t n_folder = path.is_folder ? strlen(path.path) : (size_t)(strrchr(path.path, '/') - path.path);
    const char *folder = n_folder > 0 ? hd__arena_strndup(f->arena, path.path, n_folder) : "/";
    if (folder == NULL)
        return no_memory(err);
    const root *r = root_of(f, path.path);
    hd_ingest_area *area = find_area(f, r != NULL ? r->path : folder);
    if (area == NULL)
        HD_TRY(new_area(f, r != NULL ? r->path : folder, r != NULL ? r->label : NULL, &area, err));
    HD_TRY(add_path(f, area, &path, err));
    const bool is_whole = path.pattern == NULL && strcmp(path.path, area->root) == 0;
    for (size_t i = 0; i < f->n_roots && is_whole; i++) /* roots within it */
        if (f->roots[i].path[0] != '\0' && strcmp(f->roots[i].path, area->root) != 0 &&
            hd__path_lies_in(f->roots[i].path, area->root))
            HD_TRY(take_over(f, area, &f->roots[i], err));
    return HD_OK;
}

/* Areas of roots that have become part of others: what they were about is within those. */
static void drop_taken(finding *f)
{
    size_t n = 0;
    for (size_t i = 0; i < f->n_areas; i++) {
        bool is_root = false;
        for (size_t j = 0; j < f->n_roots; j++)
            is_root = is_root || strcmp(f->roots[j].path, f->areas[i].root) == 0;
        if (is_root)
            f->areas[n++] = f->areas[i];
    }
    f->n_areas = n;
}

hd_status hd__ingest_areas_find(hd_store *store, const char *const *paths, size_t n_paths, hd_arena *arena,
                                hd_ingest_area **areas, size_t *n, hd_error *err)
{
    finding f = {.store = store, .arena = arena};
    f.areas = hd__arena_calloc(arena, n_paths, sizeof *f.areas);
    hd_status status = f.areas != NULL ? read_roots(&f, err) : no_memory(err);
    for (size_t i = 0; i < n_paths && status == HD_OK; i++)
        status = find_one(&f, paths[i], err);
    drop_taken(&f);
    if (status == HD_OK && f.changed)
        status = write_roots(&f, err);
    hd__free(f.roots);
    *areas = f.areas;
    *n = f.n_areas;
    return status;
}
