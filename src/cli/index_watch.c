/* index_watch.c - see index_watch.h, by inotify(7).
 *
 * Every folder that a walk enters is watched, and what has changed is brought up to date folder by folder, so that ignore
 * files count and what has moved is found in both; of a pattern all that it is about. A change waits until it has been quiet
 * for a moment: editors write a file under another name, rename it and remove the old one. When folders move, or the kernel
 * has dropped events, all is watched and looked at anew.
 *
 * What becomes of a given folder itself, or of one above it (renamed, made anew, a disk that comes or goes), no watch in it
 * tells: every other second it is looked whether each is still what it was.
 */
#include "cli/index_watch.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/map64.h"
#include "cli/config.h"
#include "cli/interrupt.h"
#include "ingest/walk.h"
#include "search/ingest_area.h"

#define QUIET_S 0.5 /* without changes, before they are looked at */
#define MOST_S 5.0  /* that changes wait for quiet */
#define PLACE_S 2.0 /* between two looks at what was given */
#define EVENT_BYTES 65536
#define EVENTS                                                                                                              \
    (IN_MODIFY | IN_CLOSE_WRITE | IN_ATTRIB | IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_ONLYDIR |            \
     IN_EXCL_UNLINK)

/* The folder that something given is, or is in. */
typedef struct given_place {
    char *folder; /* NULL: it is not there */
    dev_t device;
    ino_t inode;
} given_place;

typedef struct watcher {
    const cli_index_watch *watch;
    const char *own_name;  /* of the index's file */
    hd_arena arena;        /* holds the next */
    hd_ingest_path *given; /* [watch->n_paths] as it was when all was watched; path NULL: it is not there */
    given_place *places;   /* [watch->n_paths] */
    int fd;
    hd_map64 folders; /* by watch: a number in paths, plus 1 */
    char **paths;     /* [n_paths] of watched folders */
    size_t n_paths, capacity;
    char **changed; /* [n_changed] folders, and files that were given as such */
    size_t n_changed, changed_capacity;
    bool all;          /* everything is to be watched and looked at anew */
    uint64_t first_ns; /* of the changes at hand; 0: none */
    uint64_t placed_ns;
} watcher;

static hd_status no_memory(hd_error *err)
{
    return hd__fail(err, HD_ERR_MEMORY, "no memory to watch folders");
}

/* ---- watching ---- */

/* A limit of inotify's, as the system has it; "so many" where it does not say. */
static const char *limit_of(const char *name, char text[32])
{
    char path[128];
    snprintf(path, sizeof path, "/proc/sys/fs/inotify/%s", name);
    FILE *file = fopen(path, "r");
    const bool is_read = file != NULL && fgets(text, 32, file) != NULL;
    if (file != NULL)
        fclose(file);
    if (is_read)
        text[strcspn(text, "\n")] = '\0';
    return is_read ? text : "so many";
}

static hd_status fail_watch(const char *path, int failed, hd_error *err)
{
    char most[32];
    if (failed != ENOSPC)
        return hd__fail_errno(err, failed, "%s: cannot watch it", path);
    return hd__fail(err, HD_ERR_LIMIT,
                    "%s: no more folders can be watched, the system allows %s in all: raise fs.inotify.max_user_watches "
                    "(sysctl), or run 'heddle index' now and then without --watch",
                    path, limit_of("max_user_watches", most));
}

static hd_status begin_watching(int *fd, hd_error *err)
{
    char most[32];
    *fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (*fd >= 0)
        return HD_OK;
    if (errno != EMFILE)
        return hd__fail_errno(err, errno, "cannot watch folders");
    return hd__fail(err, HD_ERR_LIMIT,
                    "cannot watch folders: the system allows a user %s programs that do: raise "
                    "fs.inotify.max_user_instances (sysctl)",
                    limit_of("max_user_instances", most));
}

/* Of what has gone meanwhile, or of a disk that is not there for now. */
static bool is_passing(hd_status status)
{
    return status == HD_ERR_NOT_FOUND || status == HD_ERR_IO;
}

static hd_status add_text(char ***texts, size_t *n, size_t *capacity, const char *text, hd_error *err)
{
    if (*n == *capacity) {
        const size_t more = *capacity != 0 ? 2 * *capacity : 64;
        char **larger = hd__realloc(*texts, hd__mul(more, sizeof *larger));
        if (larger == NULL)
            return no_memory(err);
        *texts = larger;
        *capacity = more;
    }
    (*texts)[*n] = hd__strdup(text);
    if ((*texts)[*n] == NULL)
        return no_memory(err);
    (*n)++;
    return HD_OK;
}

static hd_status watch_folder(const char *path, void *data, hd_error *err)
{
    watcher *w = data;
    const int number = inotify_add_watch(w->fd, path, (uint32_t)EVENTS);
    if (number < 0)
        return errno == ENOENT || errno == EACCES || errno == ENOTDIR ? HD_OK : fail_watch(path, errno, err);
    uint64_t *place = hd__map64_put(&w->folders, (uint64_t)number);
    if (place == NULL)
        return no_memory(err);
    if (*place != 0 && strcmp(w->paths[*place - 1], path) == 0)
        return HD_OK;
    HD_TRY(add_text(&w->paths, &w->n_paths, &w->capacity, path, err));
    *place = w->n_paths;
    return cli_interrupted() != 0 ? hd__fail(err, HD_ERR_CANCELLED, "interrupted") : HD_OK;
}

static hd_status pass_file(const hd_walk_file *file, void *data, hd_error *err)
{
    (void)file, (void)data, (void)err;
    return HD_OK;
}

/* Watches a folder and all below it that a run would enter. */
static hd_status watch_below(watcher *w, const char *folder, hd_error *err)
{
    const hd_ingest_options *o = w->watch->options;
    const hd_walk_options options = {.exclude = o->exclude,
                                     .n_exclude = o->n_exclude,
                                     .no_gitignore = o->no_ignore,
                                     .file = pass_file,
                                     .folder = watch_folder,
                                     .data = w};
    return hd__walk_files(folder, &options, err);
}

/* Whether a folder is there, and which one. */
static bool look_at(given_place *p)
{
    struct stat st;
    if (stat(p->folder, &st) != 0 || !S_ISDIR(st.st_mode))
        return false;
    p->device = st.st_dev;
    p->inode = st.st_ino;
    return true;
}

/* Of a file the folder that it is in. */
static hd_status watch_given(watcher *w, size_t i, hd_error *err)
{
    const hd_ingest_path *given = &w->given[i];
    const size_t n = given->is_folder ? strlen(given->path) : (size_t)(strrchr(given->path, '/') - given->path);
    given_place p = {.folder = hd__arena_strndup(&w->arena, n > 0 ? given->path : "/", n > 0 ? n : 1)};
    if (p.folder == NULL)
        return no_memory(err);
    if (!look_at(&p))
        return hd__fail(err, HD_ERR_NOT_FOUND, "%s: no such file or folder", given->given);
    w->places[i] = p;
    return given->is_folder ? watch_below(w, p.folder, err) : watch_folder(p.folder, w, err);
}

/* Whether something that was given is no longer what it was. */
static bool has_another_place(watcher *w)
{
    char real[PATH_MAX];
    hd_arena arena;
    bool found = false;
    hd__arena_init(&arena);
    for (size_t i = 0; i < w->watch->n_paths && !found; i++) {
        given_place now = w->places[i];
        hd_ingest_path path;
        if (now.folder == NULL)
            found = hd__ingest_path_resolve(w->watch->paths[i], &arena, &path, NULL) == HD_OK;
        else if (!look_at(&now) || now.device != w->places[i].device || now.inode != w->places[i].inode)
            found = true;
        else if (w->given[i].is_folder && w->given[i].pattern == NULL) /* may be a link, to another one now */
            found = realpath(w->watch->paths[i], real) == NULL || strcmp(real, now.folder) != 0;
    }
    hd__arena_clear(&arena);
    return found;
}

static void drop_texts(char **texts, size_t *n)
{
    for (size_t i = 0; i < *n; i++)
        hd__free(texts[i]);
    *n = 0;
}

/* In the first round all must be there; later what is not is told and left out, and the rest goes on. */
static hd_status watch_all(watcher *w, bool is_first, hd_error *err)
{
    if (w->fd >= 0)
        close(w->fd);
    w->fd = -1;
    w->all = false;
    hd__map64_clear(&w->folders);
    drop_texts(w->paths, &w->n_paths);
    drop_texts(w->changed, &w->n_changed);
    hd__arena_clear(&w->arena);
    HD_TRY(begin_watching(&w->fd, err));
    w->given = hd__arena_calloc(&w->arena, w->watch->n_paths, sizeof *w->given);
    w->places = hd__arena_calloc(&w->arena, w->watch->n_paths, sizeof *w->places);
    if (w->given == NULL || w->places == NULL)
        return no_memory(err);
    for (size_t i = 0; i < w->watch->n_paths; i++) {
        hd_error why = {0};
        hd_status status = hd__ingest_path_resolve(w->watch->paths[i], &w->arena, &w->given[i], &why);
        if (status == HD_OK)
            status = watch_given(w, i, &why);
        if (status != HD_OK && (is_first || !is_passing(status))) {
            *err = why;
            return status;
        }
        if (status == HD_OK)
            continue;
        cli_notice("%s", why.text);
        w->given[i].path = NULL;
        w->places[i].folder = NULL;
    }
    return HD_OK;
}

/* ---- events ---- */

/* What was given and holds a path: a folder whose files and folders are looked at, or a file. NULL: none. */
static const hd_ingest_path *given_that_holds(const watcher *w, const char *path)
{
    const hd_ingest_path *found = NULL;
    for (size_t i = 0; i < w->watch->n_paths; i++) {
        const hd_ingest_path *given = &w->given[i];
        if (given->path != NULL && hd__path_lies_in(path, given->path) && (found == NULL || given->pattern == NULL))
            found = given;
    }
    return found;
}

/* Whether it is one of the patterns that were given. */
static bool is_pattern(const watcher *w, const char *text)
{
    for (size_t i = 0; i < w->watch->n_paths; i++)
        if (w->given[i].pattern != NULL && strcmp(w->given[i].given, text) == 0)
            return true;
    return false;
}

static hd_status add_changed(watcher *w, const char *changed, hd_error *err)
{
    if (w->first_ns == 0)
        w->first_ns = hd__now_ns();
    for (size_t i = 0; i < w->n_changed; i++)
        if (strcmp(w->changed[i], changed) == 0)
            return HD_OK;
    return add_text(&w->changed, &w->n_changed, &w->changed_capacity, changed, err);
}

/* Something has happened to a name in a folder: that is looked at, or a file that was given, or each pattern about it. */
static hd_status note(watcher *w, const char *folder, const char *name, hd_error *err)
{
    char path[PATH_MAX];
    const int n = snprintf(path, sizeof path, "%s/%s", folder, name);
    if (n < 0 || (size_t)n >= sizeof path)
        return HD_OK;
    const hd_ingest_path *given = given_that_holds(w, folder);
    if (given != NULL && given->pattern == NULL)
        return add_changed(w, folder, err);
    if (given == NULL)
        return given_that_holds(w, path) != NULL ? add_changed(w, path, err) : HD_OK;
    for (size_t i = 0; i < w->watch->n_paths; i++)
        if (w->given[i].path != NULL && hd__path_lies_in(path, w->given[i].path))
            HD_TRY(add_changed(w, w->given[i].pattern != NULL ? w->given[i].given : path, err));
    return HD_OK;
}

static void note_all(watcher *w)
{
    w->all = true;
    w->first_ns = w->first_ns != 0 ? w->first_ns : hd__now_ns();
}

/* A folder that was watched is no more. If it is in another one that is watched, that tells. */
static void note_lost(watcher *w, const char *folder)
{
    for (size_t i = 0; i < w->watch->n_paths; i++)
        if (w->places[i].folder != NULL && strcmp(w->places[i].folder, folder) == 0)
            note_all(w);
}

static hd_status take_event(watcher *w, const struct inotify_event *event, hd_error *err)
{
    if ((event->mask & IN_Q_OVERFLOW) != 0) {
        note_all(w);
        return HD_OK;
    }
    const uint64_t *number = hd__map64_get(&w->folders, (uint64_t)event->wd);
    if (number != NULL && (event->mask & IN_IGNORED) != 0) /* another may be there at once, even with its number */
        note_lost(w, w->paths[*number - 1]);
    if (number == NULL || event->len == 0 || strncmp(event->name, w->own_name, strlen(w->own_name)) == 0)
        return HD_OK;
    const char *folder = w->paths[*number - 1];
    if ((event->mask & IN_ISDIR) != 0 && (event->mask & (IN_MOVED_FROM | IN_MOVED_TO)) != 0)
        w->all = true; /* what is watched below it has another path now */
    if ((event->mask & IN_ISDIR) != 0 && (event->mask & IN_CREATE) != 0) {
        char path[PATH_MAX];
        hd_error why = {0};
        hd_status status = HD_OK;
        if (snprintf(path, sizeof path, "%s/%s", folder, event->name) < (int)sizeof path)
            status = watch_below(w, path, &why);
        if (status != HD_OK && !is_passing(status)) {
            *err = why;
            return status;
        }
        folder = w->paths[*hd__map64_get(&w->folders, (uint64_t)event->wd) - 1]; /* the list may have moved */
    }
    return note(w, folder, event->name, err);
}

static hd_status take_events(watcher *w, hd_error *err)
{
    static _Alignas(struct inotify_event) char events[EVENT_BYTES];
    ssize_t n;
    while ((n = read(w->fd, events, sizeof events)) > 0) {
        for (ssize_t at = 0; at < n;) {
            const struct inotify_event *event = (const struct inotify_event *)(const void *)(events + at);
            HD_TRY(take_event(w, event, err));
            at += (ssize_t)(sizeof *event + event->len);
        }
    }
    return n < 0 && errno != EAGAIN && errno != EINTR ? hd__fail_errno(err, errno, "cannot watch folders") : HD_OK;
}

/* Until changes have come and it is quiet again. */
static hd_status wait_for_changes(watcher *w, hd_error *err)
{
    for (;;) {
        struct pollfd fds[2] = {{.fd = w->fd, .events = POLLIN}, {.fd = cli_interrupt_fd(), .events = POLLIN}};
        const bool has_late = w->first_ns != 0 && hd__seconds_since(w->first_ns) > MOST_S;
        const bool has_changes = w->first_ns != 0;
        const int n = has_late ? 0 : poll(fds, 2, (int)((has_changes ? QUIET_S : PLACE_S) * 1000));
        if (cli_interrupted() != 0)
            return hd__fail(err, HD_ERR_CANCELLED, "interrupted");
        if (n == 0 && has_changes)
            return HD_OK;
        if (n > 0)
            HD_TRY(take_events(w, err));
        if (hd__seconds_since(w->placed_ns) < PLACE_S)
            continue;
        w->placed_ns = hd__now_ns();
        if (has_another_place(w))
            note_all(w);
    }
}

/* ---- runs ---- */

/* A folder that is gone is looked at from the nearest one above that is not. */
static void climb(char *path)
{
    struct stat st;
    while (lstat(path, &st) != 0 && strrchr(path, '/') > path)
        *strrchr(path, '/') = '\0';
}

/* *again: another process holds the index, and the same is to be tried once more. */
static hd_status run_once(watcher *w, const char *const *paths, size_t n, bool *again, hd_error *err)
{
    const cli_index_watch *watch = w->watch;
    hd_status status = hd_index_add_paths(watch->index, paths, n, watch->options, &watch->report->result, err);
    *again = status == HD_ERR_BUSY;
    if (*again || is_passing(status)) {
        cli_notice("%s", err->text);
        status = HD_OK;
    }
    if (status == HD_OK)
        cli_index_report_turn(watch->report);
    return status;
}

/* All that was given and is there. */
static hd_status run_all(watcher *w, bool *again, hd_error *err)
{
    size_t n = 0;
    const char **paths = hd__arena_calloc(&w->arena, w->watch->n_paths, sizeof *paths);
    if (paths == NULL)
        return no_memory(err);
    for (size_t i = 0; i < w->watch->n_paths; i++)
        if (w->given[i].path != NULL)
            paths[n++] = w->given[i].given;
    *again = false;
    return n > 0 ? run_once(w, paths, n, again, err) : HD_OK;
}

/* What has changed. All of a folder that was given is gone: that may be a disk that is not there, and nothing is done. */
static hd_status run_changed(watcher *w, bool *again, hd_error *err)
{
    size_t n = 0;
    for (size_t i = 0; i < w->n_changed; i++) {
        char *path = w->changed[i];
        if (!is_pattern(w, path))
            climb(path);
        if (!is_pattern(w, path) && given_that_holds(w, path) == NULL)
            continue;
        w->changed[i] = w->changed[n];
        w->changed[n++] = path;
    }
    *again = false;
    return n > 0 ? run_once(w, (const char *const *)w->changed, n, again, err) : HD_OK;
}

static hd_status follow(watcher *w, hd_error *err)
{
    HD_TRY(watch_all(w, true, err)); /* before the first run: what changes meanwhile is not missed */
    HD_TRY(hd_index_add_paths(w->watch->index, w->watch->paths, w->watch->n_paths, w->watch->options,
                              &w->watch->report->result, err));
    cli_index_report_turn(w->watch->report);
    if (!cli_quiet)
        printf("watching %zu folders\n", w->n_paths);
    fflush(stdout);
    for (;;) {
        bool again;
        HD_TRY(wait_for_changes(w, err));
        w->first_ns = 0;
        const bool all = w->all;
        if (all)
            HD_TRY(watch_all(w, false, err));
        HD_TRY(all ? run_all(w, &again, err) : run_changed(w, &again, err));
        if (again) {
            w->first_ns = hd__now_ns();
            w->all = all;
        } else {
            drop_texts(w->changed, &w->n_changed);
        }
    }
}

hd_status cli_index_watch_run(const cli_index_watch *watch, hd_error *err)
{
    hd_index_stats stats;
    HD_TRY(hd_index_get_stats(watch->index, &stats, err));
    const char *slash = strrchr(stats.path, '/');
    watcher w = {.watch = watch, .fd = -1, .own_name = slash != NULL ? slash + 1 : stats.path};
    hd__arena_init(&w.arena);
    const hd_status status = follow(&w, err);
    if (w.fd >= 0)
        close(w.fd);
    drop_texts(w.paths, &w.n_paths);
    drop_texts(w.changed, &w.n_changed);
    hd__free(w.paths);
    hd__free(w.changed);
    hd__map64_clear(&w.folders);
    hd__arena_clear(&w.arena);
    return status;
}
