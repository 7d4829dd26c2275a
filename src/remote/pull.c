/* pull.c - see pull.h. */
#include "remote/pull.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/limits.h"
#include "model/locate.h"
#include "model/settings.h"

hd_status hd__meter_set(hd_pull_meter *meter, uint64_t file_bytes, hd_error *err)
{
    meter->progress.bytes_done = meter->bytes_before + file_bytes;
    if (meter->options->on_progress == NULL || meter->options->on_progress(&meter->progress, meter->options->progress_data))
        return HD_OK;
    return hd__fail(err, HD_ERR_CANCELLED, "%s: cancelled; what is there is kept for the next pull", meter->progress.file);
}

/* ---- folders ---- */

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st, (void)type, (void)ftw;
    return remove(path);
}

void hd__pull_wipe(const char *dir)
{
    const int n_open = 16;
    nftw(dir, remove_entry, n_open, FTW_DEPTH | FTW_PHYS);
}

hd_status hd__pull_make_parent(const char *path, hd_error *err)
{
    const char *slash = strrchr(path, '/');
    char *parent = hd__strndup(path, slash != NULL ? (size_t)(slash - path) : 0);
    if (parent == NULL)
        return hd__fail(err, HD_ERR_MEMORY, "%s: no memory to make its folder", path);
    hd_status status = parent[0] != '\0' ? hd__dir_make(parent, err) : HD_OK;
    hd__free(parent);
    return status;
}

/* Makes a rename in the folder of `path` last through a power cut; a file system without this goes without. */
static void sync_parent(const char *path)
{
    const char *slash = strrchr(path, '/');
    char *parent = hd__strndup(path, slash != NULL ? (size_t)(slash - path) : 0);
    int fd = parent != NULL ? open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (fd >= 0) {
        fsync(fd);
        close(fd);
    }
    hd__free(parent);
}

/* For file systems that cannot exchange two names: there is a moment without a model, but never half of one. */
static hd_status swap_in_steps(const char *from, const char *place, hd_error *err)
{
    char old[HD_LIMIT_PATH_BYTES];
    int n = snprintf(old, sizeof old, "%s.old", from);
    bool has_old = n > 0 && (size_t)n < sizeof old && rename(place, old) == 0;
    if (rename(from, place) != 0)
        return hd__fail_errno(err, errno, "%s: cannot be moved to %s", from, place);
    if (has_old)
        hd__pull_wipe(old);
    return HD_OK;
}

hd_status hd__pull_place(const char *staging, const char *place, hd_error *err)
{
    char ready[HD_LIMIT_PATH_BYTES];
    int n = snprintf(ready, sizeof ready, "%s.ready", staging);
    if (n < 0 || (size_t)n >= sizeof ready)
        return hd__fail(err, HD_ERR_LIMIT, "%s: path of %d bytes, the limit is %u", staging, n, HD_LIMIT_PATH_BYTES - 1);
    HD_TRY(hd__pull_make_parent(place, err));
    /* Under its own name first: after an exchange the old model lies there, and whoever comes after a kill in
     * that moment must not take its files for fetched ones. */
    hd__pull_wipe(ready);
    if (rename(staging, ready) != 0)
        return hd__fail_errno(err, errno, "%s: cannot be renamed", staging);
    bool exchanged = hd__dir_exists(place) && renameat2(AT_FDCWD, ready, AT_FDCWD, place, RENAME_EXCHANGE) == 0;
    if (!exchanged)
        HD_TRY(swap_in_steps(ready, place, err));
    sync_parent(place);
    if (exchanged)
        hd__pull_wipe(ready);
    return HD_OK;
}

/* ---- fetch ---- */

static hd_status path_in(char path[HD_LIMIT_PATH_BYTES], const char *dir, const char *name, hd_error *err)
{
    int n = snprintf(path, HD_LIMIT_PATH_BYTES, "%s/%s", dir, name);
    if (n < 0 || (size_t)n >= HD_LIMIT_PATH_BYTES)
        return hd__fail(err, HD_ERR_LIMIT, "%s/%s: path of %d bytes, the limit is %u", dir, name, n,
                        HD_LIMIT_PATH_BYTES - 1);
    return HD_OK;
}

/* A file in staging got there whole: it was renamed into place after its check. */
static bool is_there(const char *path, const hd_remote_file *file)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode) && (file->bytes == UINT64_MAX || file->bytes == (uint64_t)st.st_size);
}

static bool has_same_bytes(const char *a, const char *b)
{
    hd_file_map of_a, of_b;
    if (hd__file_map_open(a, &of_a, NULL) != HD_OK)
        return false;
    bool same = hd__file_map_open(b, &of_b, NULL) == HD_OK;
    if (same) {
        same = hd__span_equal(of_a.bytes, of_b.bytes);
        hd__file_map_close(&of_b);
    }
    hd__file_map_close(&of_a);
    return same;
}

/* Checksums of the source tell before the file is fetched, bytes afterwards. */
static bool is_equal(const hd_remote_file *file, const char *path, const hd_remote_file *other, const char *other_path)
{
    if (file->bytes != other->bytes || !is_there(other_path, other))
        return false;
    if (file->checksum.kind != HD_CHECKSUM_NONE && other->checksum.kind == file->checksum.kind)
        return strcmp(file->checksum.hex, other->checksum.hex) == 0;
    return has_same_bytes(path, other_path);
}

/* Makes a file another name of an equal one that is called the same in another folder. Queries and documents may have copies
 * of one transformer, and what is one file is packed and loaded once. Where the disk has no links, there are two files. */
static hd_status link_equal(const hd_file_list *list, const hd_remote_file *file, const char *staging, const char *path,
                            hd_error *err)
{
    char other_path[HD_LIMIT_PATH_BYTES], link_path[HD_LIMIT_PATH_BYTES];
    struct stat st, other_st;
    const size_t i_file = (size_t)(file - list->files);
    HD_TRY(path_in(link_path, staging, "../link", err)); /* not in the model, should it stay behind */
    for (size_t i = 0; i < list->n; i++) {
        const hd_remote_file *other = &list->files[i];
        if (i == i_file || other->role == HD_FILE_UNUSED ||
            strcmp(hd__remote_file_name(other), hd__remote_file_name(file)) != 0)
            continue;
        HD_TRY(path_in(other_path, staging, other->path, err));
        if (stat(path, &st) == 0 && stat(other_path, &other_st) == 0 && st.st_ino == other_st.st_ino)
            return HD_OK;
        if (!is_equal(file, path, other, other_path))
            continue;
        unlink(link_path);
        if (link(other_path, link_path) == 0 && rename(link_path, path) == 0)
            return HD_OK;
    }
    return HD_OK;
}

static hd_status fetch_file(hd_pull_source *source, hd_remote_file *file, const char *staging, hd_pull_meter *meter,
                            hd_error *err)
{
    char to[HD_LIMIT_PATH_BYTES];
    struct stat st;
    meter->progress.file = file->path;
    HD_TRY(path_in(to, staging, file->path, err));
    if (!is_there(to, file)) {
        HD_TRY(hd__pull_make_parent(to, err));
        HD_TRY(hd__meter_set(meter, 0, err));
        HD_TRY(link_equal(&source->files, file, staging, to, err));
    }
    if (!is_there(to, file))
        HD_TRY(source->fetch(source->data, file, to, meter, err));
    HD_TRY(link_equal(&source->files, file, staging, to, err));
    if (stat(to, &st) != 0)
        return hd__fail_errno(err, errno, "%s: not there after it was fetched", to);
    HD_TRY(hd__meter_set(meter, (uint64_t)st.st_size, err));
    meter->bytes_before += (uint64_t)st.st_size;
    return HD_OK;
}

static hd_status fetch_role(hd_pull_source *source, hd_file_role role, const char *staging, hd_pull_meter *meter,
                            hd_error *err)
{
    for (size_t i = 0; i < source->files.n; i++) {
        if (source->files.files[i].role != role)
            continue;
        HD_TRY(fetch_file(source, &source->files.files[i], staging, meter, err));
        meter->progress.file_index++;
    }
    return HD_OK;
}

/* Counts what was chosen, and sees whether the disk has room for it. */
static hd_status plan(const hd_pull_source *source, const char *staging, hd_pull_meter *meter, hd_error *err)
{
    uint64_t total = 0, missing = 0;
    bool known = true;
    struct statvfs disk;
    for (size_t i = 0; i < source->files.n; i++) {
        const hd_remote_file *file = &source->files.files[i];
        char to[HD_LIMIT_PATH_BYTES];
        if (file->role == HD_FILE_UNUSED)
            continue;
        HD_TRY(path_in(to, staging, file->path, err));
        meter->progress.n_files++;
        known &= file->bytes != UINT64_MAX;
        if (known && __builtin_add_overflow(total, file->bytes, &total))
            return hd__fail(err, HD_ERR_FORMAT, "%s: the sizes of its files are more than 64 bits hold",
                            source->files.source);
        missing += known && !is_there(to, file) ? file->bytes : 0;
    }
    meter->progress.bytes_total = known ? total : 0;
    if (known && statvfs(staging, &disk) == 0) {
        uint64_t room = (uint64_t)disk.f_bavail * disk.f_frsize;
        if (missing > room)
            return hd__fail(err, HD_ERR_IO, "%s: %llu bytes are free, the model takes %llu more", staging,
                            (unsigned long long)room, (unsigned long long)missing);
    }
    return HD_OK;
}

/* Settings files that are fetched when they are read. */
typedef struct fetched_settings {
    hd_pull_source *source;
    const char *staging;
    hd_pull_meter *meter;
} fetched_settings;

static hd_status read_fetched(void *data, const char *path, json_t **root, hd_error *err)
{
    const fetched_settings *f = data;
    const hd_settings_source folder = hd__settings_source_folder(f->staging, NULL);
    hd_remote_file *file = hd__file_list_find(&f->source->files, path);
    if (file == NULL)
        return hd__fail(err, HD_ERR_NOT_FOUND, "%s: has no %s", f->source->files.source, path);
    HD_TRY(fetch_file(f->source, file, f->staging, f->meter, err));
    return folder.read(folder.data, path, root, err);
}

/* modules.json, and where it names a Router that one's file, say which folders belong to the model. */
static hd_status choose(hd_pull_source *source, const char *staging, hd_arena *arena, hd_pull_meter *meter, hd_error *err)
{
    hd_modules modules;
    fetched_settings fetched = {source, staging, meter};
    const hd_settings_source settings = source->dir != NULL
                                            ? hd__settings_source_folder(source->dir, NULL)
                                            : (hd_settings_source){.read = read_fetched, .data = &fetched};
    const hd_settings_reader reader = {&settings, source->dir != NULL ? source->dir : staging, arena, err};
    HD_TRY(hd__modules_read(&reader, &modules));
    meter->bytes_before = 0; /* counted with the others */
    return hd__file_list_choose(&source->files, &modules, err);
}

hd_status hd__pull_fetch(hd_pull_source *source, const char *staging, const char *cache_dir, hd_pull_meter *meter,
                         hd_error *err)
{
    hd_arena arena;
    hd_settings settings;
    hd_status status;
    const hd_settings_source folder = hd__settings_source_folder(staging, cache_dir);
    hd__arena_init(&arena);
    HD_TRY_OUT(hd__dir_make(staging, err));
    HD_TRY_OUT(choose(source, staging, &arena, meter, err));
    if (source->dir != NULL) /* before anything is copied */
        HD_TRY_OUT(hd__model_check_folder(source->dir, cache_dir, err));
    HD_TRY_OUT(plan(source, staging, meter, err));
    HD_TRY_OUT(fetch_role(source, HD_FILE_SETTINGS, staging, meter, err));
    HD_TRY_OUT(hd__settings_read_from(&folder, staging, &arena, &settings, err)); /* before the large files are fetched */
    HD_TRY_OUT(fetch_role(source, HD_FILE_WEIGHTS, staging, meter, err));
    HD_TRY_OUT(hd__model_check_folder(staging, cache_dir, err));
out:
    hd__arena_clear(&arena);
    return status;
}
