/* index_watch.c - see index_watch.h, by inotify(7).
 *
 * Every folder that a walk enters is watched, and what has changed is brought up to date folder by folder, so that ignore
 * files count and what has moved is found in both. A change waits until it has been quiet for a moment: editors write a file
 * under another name, rename it and remove the old one. When folders move, or the kernel has dropped events, all is watched
 * and looked at anew.
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

#define QUIET_S 0.5 /* without changes, before they are looked at */
#define MOST_S 5.0  /* that changes wait for quiet */
#define EVENT_BYTES 65536
#define EVENTS                                                                                                              \
    (IN_MODIFY | IN_CLOSE_WRITE | IN_ATTRIB | IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_ONLYDIR |            \
     IN_EXCL_UNLINK)

typedef struct watcher {
    const cli_index_watch *watch;
    const char *own_name; /* of the index's file */
    int fd;
    hd_map64 folders; /* by watch: a number in paths, plus 1 */
    char **paths;     /* [n_paths] of watched folders */
    size_t n_paths, capacity;
    char **changed; /* [n_changed] folders, and files that were given as such */
    size_t n_changed, changed_capacity;
    bool all;          /* everything is to be watched and looked at anew */
    uint64_t first_ns; /* of the changes at hand; 0: none */
} watcher;

static hd_status no_memory(hd_error *err)
{
    return hd__fail(err, HD_ERR_MEMORY, "no memory to watch folders");
}

/* ---- watching ---- */

static hd_status fail_watch(const char *path, int failed, hd_error *err)
{
    char most[32] = "";
    FILE *file = fopen("/proc/sys/fs/inotify/max_user_watches", "r");
    if (file != NULL) {
        if (fgets(most, sizeof most, file) == NULL)
            most[0] = '\0';
        fclose(file);
    }
    most[strcspn(most, "\n")] = '\0';
    if (failed != ENOSPC)
        return hd__fail_errno(err, failed, "%s: cannot watch it", path);
    return hd__fail(err, HD_ERR_LIMIT,
                    "%s: no more folders can be watched, the system allows %s in all: raise fs.inotify.max_user_watches "
                    "(sysctl), or run 'heddle index' now and then without --watch",
                    path, most);
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

/* Watches a folder and all below it that a run would enter; of a file the folder that it is in. */
static hd_status watch_below(watcher *w, const char *path, hd_error *err)
{
    const hd_ingest_options *o = w->watch->options;
    const hd_walk_options options = {.exclude = o->exclude,
                                     .n_exclude = o->n_exclude,
                                     .no_gitignore = o->no_ignore,
                                     .file = pass_file,
                                     .folder = watch_folder,
                                     .data = w};
    char real[PATH_MAX];
    struct stat st;
    if (realpath(path, real) == NULL || stat(real, &st) != 0)
        return hd__fail_errno(err, errno, "%s", path);
    if (S_ISDIR(st.st_mode))
        return hd__walk_files(real, &options, err);
    *strrchr(real, '/') = '\0';
    return watch_folder(real[0] != '\0' ? real : "/", w, err);
}

static void drop_texts(char **texts, size_t *n)
{
    for (size_t i = 0; i < *n; i++)
        hd__free(texts[i]);
    *n = 0;
}

static hd_status watch_all(watcher *w, hd_error *err)
{
    if (w->fd >= 0)
        close(w->fd);
    hd__map64_clear(&w->folders);
    drop_texts(w->paths, &w->n_paths);
    drop_texts(w->changed, &w->n_changed);
    w->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (w->fd < 0)
        return hd__fail_errno(err, errno, "cannot watch folders");
    w->all = false;
    for (size_t i = 0; i < w->watch->n_paths; i++)
        HD_TRY(watch_below(w, w->watch->paths[i], err));
    return HD_OK;
}

/* ---- events ---- */

/* Whether a folder is watched for more than the files in it that were given: then it is what is looked at. */
static bool is_within_given(const watcher *w, const char *folder)
{
    char real[PATH_MAX];
    for (size_t i = 0; i < w->watch->n_paths; i++) {
        const size_t n = realpath(w->watch->paths[i], real) != NULL ? strlen(real) : 0;
        if (n > 0 && strncmp(folder, real, n) == 0 && (folder[n] == '/' || folder[n] == '\0' || n == 1))
            return true;
    }
    return false;
}

static hd_status note(watcher *w, const char *folder, const char *name, hd_error *err)
{
    char path[PATH_MAX];
    const int n = snprintf(path, sizeof path, "%s/%s", folder, name);
    if (n < 0 || (size_t)n >= sizeof path)
        return HD_OK;
    const bool is_within = is_within_given(w, folder);
    if (!is_within && !is_within_given(w, path))
        return HD_OK;
    const char *changed = is_within ? folder : path;
    if (w->first_ns == 0)
        w->first_ns = hd__now_ns();
    for (size_t i = 0; i < w->n_changed; i++)
        if (strcmp(w->changed[i], changed) == 0)
            return HD_OK;
    return add_text(&w->changed, &w->n_changed, &w->changed_capacity, changed, err);
}

static hd_status take_event(watcher *w, const struct inotify_event *event, hd_error *err)
{
    if ((event->mask & IN_Q_OVERFLOW) != 0) {
        w->all = true;
        w->first_ns = w->first_ns != 0 ? w->first_ns : hd__now_ns();
        return HD_OK;
    }
    const uint64_t *place = hd__map64_get(&w->folders, (uint64_t)event->wd);
    if (place == NULL || event->len == 0 || strncmp(event->name, w->own_name, strlen(w->own_name)) == 0)
        return HD_OK;
    const char *folder = w->paths[*place - 1];
    if ((event->mask & IN_ISDIR) != 0 && (event->mask & (IN_MOVED_FROM | IN_MOVED_TO)) != 0)
        w->all = true; /* what is watched below it has another path now */
    if ((event->mask & IN_ISDIR) != 0 && (event->mask & IN_CREATE) != 0) {
        char path[PATH_MAX];
        hd_error why;
        if (snprintf(path, sizeof path, "%s/%s", folder, event->name) < (int)sizeof path &&
            watch_below(w, path, &why) == HD_ERR_LIMIT)
            return hd__fail(err, HD_ERR_LIMIT, "%s", why.text);
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
        const int n = has_late ? 0 : poll(fds, 2, w->first_ns != 0 ? (int)(QUIET_S * 1000) : -1);
        if (cli_interrupted() != 0)
            return hd__fail(err, HD_ERR_CANCELLED, "interrupted");
        if (n == 0)
            return HD_OK;
        if (n > 0)
            HD_TRY(take_events(w, err));
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

/* What another process holds or has just removed is tried again with the next change. */
static hd_status run_once(watcher *w, const char *const *paths, size_t n, hd_error *err)
{
    const cli_index_watch *watch = w->watch;
    hd_status status = hd_index_add_paths(watch->index, paths, n, watch->options, &watch->report->result, err);
    if (status == HD_ERR_BUSY || status == HD_ERR_NOT_FOUND || status == HD_ERR_IO) {
        cli_notice("%s", err->text);
        status = HD_OK;
    }
    if (status == HD_OK)
        cli_index_report_turn(watch->report);
    return status;
}

static hd_status follow(watcher *w, hd_error *err)
{
    HD_TRY(watch_all(w, err)); /* before the first run: what changes meanwhile is not missed */
    HD_TRY(hd_index_add_paths(w->watch->index, w->watch->paths, w->watch->n_paths, w->watch->options,
                              &w->watch->report->result, err));
    cli_index_report_turn(w->watch->report);
    if (!cli_quiet)
        printf("watching %zu folders\n", w->n_paths);
    fflush(stdout);
    for (;;) {
        HD_TRY(wait_for_changes(w, err));
        w->first_ns = 0;
        if (w->all) {
            hd_error why;
            const hd_status status = watch_all(w, &why);
            if (status != HD_OK && status != HD_ERR_NOT_FOUND && status != HD_ERR_IO)
                return hd__fail(err, status, "%s", why.text);
            HD_TRY(run_once(w, w->watch->paths, w->watch->n_paths, err));
            continue;
        }
        for (size_t i = 0; i < w->n_changed; i++) {
            climb(w->changed[i]);
            if (!is_within_given(w, w->changed[i])) /* all of what was given is gone: that may be a disk that is not there */
                w->changed[i][0] = '\0';
        }
        size_t n = 0;
        for (size_t i = 0; i < w->n_changed; i++) {
            char *path = w->changed[i];
            w->changed[i] = w->changed[n];
            w->changed[n] = path;
            n += path[0] != '\0';
        }
        if (n > 0)
            HD_TRY(run_once(w, (const char *const *)w->changed, n, err));
        drop_texts(w->changed, &w->n_changed);
    }
}

hd_status cli_index_watch_run(const cli_index_watch *watch, hd_error *err)
{
    hd_index_stats stats;
    HD_TRY(hd_index_get_stats(watch->index, &stats, err));
    const char *slash = strrchr(stats.path, '/');
    watcher w = {.watch = watch, .fd = -1, .own_name = slash != NULL ? slash + 1 : stats.path};
    const hd_status status = follow(&w, err);
    if (w.fd >= 0)
        close(w.fd);
    drop_texts(w.paths, &w.n_paths);
    drop_texts(w.changed, &w.n_changed);
    hd__free(w.paths);
    hd__free(w.changed);
    hd__map64_clear(&w.folders);
    return status;
}
