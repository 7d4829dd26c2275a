/* file.c - see file.h. */
#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/limits.h"

static hd_status open_regular(const char *path, int *fd_out, struct stat *st, hd_error *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        int e = errno;
        if (e == ENOENT || e == ENOTDIR)
            return hd__fail(err, HD_ERR_NOT_FOUND, "%s: no such file", path);
        return hd__fail_errno(err, e, "%s: cannot open", path);
    }
    if (fstat(fd, st) != 0) {
        int e = errno;
        close(fd);
        return hd__fail_errno(err, e, "%s: cannot stat", path);
    }
    if (!S_ISREG(st->st_mode)) {
        close(fd);
        return hd__fail(err, HD_ERR_IO, "%s: not a regular file", path);
    }
    *fd_out = fd;
    return HD_OK;
}

hd_status hd__file_map_open(const char *path, hd_file_map *map, hd_error *err)
{
    struct stat st;
    int fd;
    HD_TRY(open_regular(path, &fd, &st, err));
    hd_file_map result = {
        .bytes = {"", (size_t)st.st_size},
        .size = (uint64_t)st.st_size,
        .mtime_ns = (uint64_t)st.st_mtim.tv_sec * 1000000000u + (uint64_t)st.st_mtim.tv_nsec,
        .inode = (uint64_t)st.st_ino,
    };
    if (st.st_size > 0) {
        void *ptr = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (ptr == MAP_FAILED) {
            int e = errno;
            close(fd);
            return hd__fail_errno(err, e, "%s: cannot map %lld bytes", path, (long long)st.st_size);
        }
        result.bytes.ptr = ptr;
    }
    close(fd);
    *map = result;
    return HD_OK;
}

void hd__file_map_close(hd_file_map *map)
{
    if (map->bytes.len > 0)
        munmap((void *)(uintptr_t)map->bytes.ptr, map->bytes.len);
    *map = (hd_file_map){0};
}

void hd__file_map_describe(const hd_file_map *map, const char *path, hd_buffer *text)
{
    const char *slash = strrchr(path, '/');
    hd__buffer_printf(text, "%s size %llu mtime %llu inode %llu;", slash != NULL ? slash + 1 : path,
                      (unsigned long long)map->size, (unsigned long long)map->mtime_ns, (unsigned long long)map->inode);
}

hd_status hd__file_read(const char *path, uint64_t max_bytes, hd_arena *arena, hd_span *bytes, hd_error *err)
{
    struct stat st;
    int fd;
    HD_TRY(open_regular(path, &fd, &st, err));
    hd_status status = HD_OK;
    uint64_t size = (uint64_t)st.st_size;
    char *text = NULL;
    if (size > max_bytes) {
        status = hd__fail(err, HD_ERR_LIMIT, "%s: %llu bytes, the limit is %llu", path, (unsigned long long)size,
                          (unsigned long long)max_bytes);
        goto out;
    }
    text = hd__arena_alloc(arena, (size_t)size + 1);
    if (text == NULL) {
        status = hd__fail(err, HD_ERR_MEMORY, "%s: no memory for %llu bytes", path, (unsigned long long)size);
        goto out;
    }
    for (size_t at = 0; at < size;) {
        ssize_t n = read(fd, text + at, (size_t)size - at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            status = n < 0
                         ? hd__fail_errno(err, errno, "%s: cannot read", path)
                         : hd__fail(err, HD_ERR_IO, "%s: ended after %zu of %llu bytes", path, at, (unsigned long long)size);
            goto out;
        }
        at += (size_t)n;
    }
    text[size] = '\0';
    *bytes = hd__span(text, (size_t)size);
out:
    close(fd);
    return status;
}

bool hd__path_is_below(hd_span path)
{
    if (path.len == 0 || path.len >= HD_LIMIT_PATH_BYTES)
        return false;
    for (size_t begin = 0, i = 0; i <= path.len; i++) {
        char c = i < path.len ? path.ptr[i] : '/';
        if ((unsigned char)c < 0x20 || c == 0x7f || c == '\\' || c == ':')
            return false;
        if (c != '/')
            continue;
        hd_span part = hd__span(path.ptr + begin, i - begin);
        if (part.len == 0 || hd__span_is(part, ".") || hd__span_is(part, ".."))
            return false;
        begin = i + 1;
    }
    return true;
}

bool hd__file_exists(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

bool hd__dir_exists(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

bool hd__path_is_meant(const char *name_or_path)
{
    return name_or_path[0] == '/' || name_or_path[0] == '.';
}

/* How many files there are in folder a; *same becomes false when one is not in folder b. A folder that cannot be read is
 * like no other. */
static size_t count_files(const char *a, const char *b, bool *same)
{
    size_t n_files = 0;
    DIR *dir = opendir(a);
    if (dir == NULL) {
        *same = false;
        return 0;
    }
    for (const struct dirent *entry; *same && (entry = readdir(dir)) != NULL;) {
        char path[HD_LIMIT_PATH_BYTES], other[HD_LIMIT_PATH_BYTES];
        struct stat st, other_st;
        const int n = snprintf(path, sizeof path, "%s/%s", a, entry->d_name);
        const int n_other = snprintf(other, sizeof other, "%s/%s", b, entry->d_name);
        const bool fits = n > 0 && n_other > 0 && (size_t)n < sizeof path && (size_t)n_other < sizeof other;
        const bool is_there = fits && stat(path, &st) == 0;
        if (is_there && S_ISDIR(st.st_mode))
            continue;
        n_files++;
        *same = is_there && stat(other, &other_st) == 0 && st.st_dev == other_st.st_dev && st.st_ino == other_st.st_ino;
    }
    closedir(dir);
    return n_files;
}

bool hd__dir_is_same(const char *a, const char *b)
{
    bool same = true;
    if (strcmp(a, b) == 0)
        return true;
    const size_t n = count_files(a, b, &same);
    return same && n > 0 && count_files(b, a, &same) > 0 && same;
}

hd_status hd__dir_make(const char *path, hd_error *err)
{
    char part[HD_LIMIT_PATH_BYTES];
    size_t len = strlen(path);
    if (len >= sizeof part)
        return hd__fail(err, HD_ERR_LIMIT, "path of %zu bytes, the limit is %u", len, HD_LIMIT_PATH_BYTES - 1);
    for (size_t i = 1; i <= len; i++) {
        if (path[i] != '/' && path[i] != '\0')
            continue;
        memcpy(part, path, i);
        part[i] = '\0';
        const int e = mkdir(part, 0777) == 0 ? 0 : errno; /* the look at what is there sets its own */
        if (e != 0 && e != EEXIST && !hd__dir_exists(part))
            return hd__fail_errno(err, e, "%s: cannot make folder", part);
    }
    return hd__dir_exists(path) ? HD_OK : hd__fail(err, HD_ERR_IO, "%s: exists and is not a folder", path);
}

#define TEMP_NAME ".XXXXXX.tmp"
#define TEMP_END ".tmp"

/* Whether an entry of a folder is a temporary file, of the file `of` when that is not NULL. */
static bool is_temp_name(const char *name, const char *of)
{
    size_t len = strlen(name), end = strlen(TEMP_NAME);
    if (len <= end || name[len - end] != '.' || strcmp(name + len - strlen(TEMP_END), TEMP_END) != 0)
        return false;
    return of == NULL || (strlen(of) == len - end && memcmp(of, name, len - end) == 0);
}

static void sweep(const char *dir, const char *of)
{
    DIR *d = opendir(dir);
    for (struct dirent *entry; d != NULL && (entry = readdir(d)) != NULL;) {
        struct stat st;
        int fd = is_temp_name(entry->d_name, of)
                     ? openat(dirfd(d), entry->d_name, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)
                     : -1;
        if (fd < 0)
            continue;
        if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && flock(fd, LOCK_EX | LOCK_NB) == 0)
            unlinkat(dirfd(d), entry->d_name, 0);
        close(fd);
    }
    if (d != NULL)
        closedir(d);
}

void hd__file_sweep(const char *dir)
{
    sweep(dir, NULL);
}

/* What killed writers of the same file left. `room` is as long as the path. */
static void sweep_beside(const char *path, char *room)
{
    const char *slash = strrchr(path, '/');
    const size_t n_dir = slash == NULL ? 0 : slash == path ? 1 : (size_t)(slash - path);
    memcpy(room, path, n_dir);
    room[n_dir] = '\0';
    sweep(n_dir > 0 ? room : ".", slash != NULL ? slash + 1 : path);
}

/* Whether the file is this process's to keep: locked and still there. Where there are no locks, nobody sweeps. */
static bool lock_temp(int fd)
{
    struct stat st;
    while (flock(fd, LOCK_EX) != 0) {
        if (errno != EINTR)
            return true;
    }
    return fstat(fd, &st) != 0 || st.st_nlink > 0;
}

/* A new locked file named after the writer's; -1 with errno. A sweep that comes between creating and locking takes the
 * file for a dead writer's and removes it: then another is made. */
static int make_temp(hd_file_writer *writer, size_t len)
{
    for (;;) {
        snprintf(writer->temp_path, len, "%s" TEMP_NAME, writer->path);
        int fd = mkostemps(writer->temp_path, (int)strlen(TEMP_END), O_CLOEXEC);
        if (fd < 0 || lock_temp(fd))
            return fd;
        close(fd);
    }
}

hd_status hd__file_writer_open(hd_file_writer *writer, const char *path, hd_error *err)
{
    *writer = (hd_file_writer){.fd = -1};
    size_t len = strlen(path) + sizeof TEMP_NAME;
    writer->path = hd__strdup(path);
    writer->temp_path = hd__malloc(len);
    if (writer->path == NULL || writer->temp_path == NULL) {
        hd__free(writer->temp_path);
        writer->temp_path = NULL;
        hd__file_writer_abandon(writer);
        return hd__fail(err, HD_ERR_MEMORY, "%s: no memory to write it", path);
    }
    sweep_beside(path, writer->temp_path);
    writer->fd = make_temp(writer, len);
    if (writer->fd < 0) {
        hd_status status = hd__fail_errno(err, errno, "%s: cannot create", path);
        hd__free(writer->temp_path);
        writer->temp_path = NULL;
        hd__file_writer_abandon(writer);
        return status;
    }
    mode_t mask = umask(0);
    umask(mask);
    if (fchmod(writer->fd, 0666 & ~mask) != 0)
        writer->failed_errno = errno;
    return HD_OK;
}

void hd__file_writer_add(hd_file_writer *writer, hd_span bytes)
{
    size_t at = 0;
    while (writer->failed_errno == 0 && at < bytes.len) {
        ssize_t n = write(writer->fd, bytes.ptr + at, bytes.len - at);
        if (n >= 0)
            at += (size_t)n;
        else if (errno != EINTR)
            writer->failed_errno = errno;
    }
    writer->n_written += at;
}

void hd__file_writer_align(hd_file_writer *writer, size_t to)
{
    static const char zeroes[4096];
    size_t n = hd__round_up((size_t)writer->n_written, to) - (size_t)writer->n_written;
    while (n > 0 && writer->failed_errno == 0) {
        size_t part = n < sizeof zeroes ? n : sizeof zeroes;
        hd__file_writer_add(writer, hd__span(zeroes, part));
        n -= part;
    }
}

hd_status hd__file_writer_map(hd_file_writer *writer, size_t bytes, char **memory, hd_error *err)
{
    int failed = posix_fallocate(writer->fd, 0, (off_t)bytes);
    if (failed != 0)
        return hd__fail_errno(err, failed, "%s: no room for %zu bytes", writer->path, bytes);
    void *mapped = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, writer->fd, 0);
    if (mapped == MAP_FAILED)
        return hd__fail_errno(err, errno, "%s: cannot map %zu bytes", writer->path, bytes);
    writer->memory = *memory = mapped;
    writer->memory_bytes = bytes;
    return HD_OK;
}

static void unmap(hd_file_writer *writer)
{
    if (writer->memory != NULL)
        munmap(writer->memory, writer->memory_bytes);
    writer->memory = NULL;
}

void hd__file_writer_keep(hd_file_writer *writer, size_t bytes)
{
    unmap(writer);
    if (ftruncate(writer->fd, (off_t)bytes) != 0)
        writer->failed_errno = errno;
}

hd_status hd__file_writer_commit(hd_file_writer *writer, hd_error *err)
{
    hd_status status = HD_OK;
    if (writer->failed_errno == 0 && fsync(writer->fd) != 0)
        writer->failed_errno = errno;
    if (writer->failed_errno == 0 && rename(writer->temp_path, writer->path) != 0) /* before close: under the lock */
        writer->failed_errno = errno;
    if (writer->failed_errno != 0) {
        status = hd__fail_errno(err, writer->failed_errno, "%s: cannot write", writer->path);
    } else {
        hd__free(writer->temp_path);
        writer->temp_path = NULL;
    }
    hd__file_writer_abandon(writer);
    return status;
}

void hd__file_writer_abandon(hd_file_writer *writer)
{
    unmap(writer);
    if (writer->temp_path != NULL)
        unlink(writer->temp_path);
    if (writer->fd >= 0)
        close(writer->fd);
    hd__free(writer->temp_path);
    hd__free(writer->path);
    *writer = (hd_file_writer){.fd = -1};
}

hd_status hd__file_lock_open(const char *path, uint32_t wait_ms, int *fd_out, hd_error *err)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (fd < 0)
        return hd__fail_errno(err, errno, "%s: cannot open lock", path);
    const uint32_t step_ms = 20;
    for (uint32_t waited = 0; flock(fd, LOCK_EX | LOCK_NB) != 0; waited += step_ms) {
        if (errno != EWOULDBLOCK && errno != EINTR) {
            int e = errno;
            close(fd);
            return hd__fail_errno(err, e, "%s: cannot lock", path);
        }
        if (waited >= wait_ms) {
            close(fd);
            return hd__fail(err, HD_ERR_BUSY, "%s: held by another process for %u ms", path, wait_ms);
        }
        nanosleep(&(struct timespec){.tv_nsec = (long)step_ms * 1000000}, NULL);
    }
    *fd_out = fd;
    return HD_OK;
}

void hd__file_lock_close(int fd)
{
    if (fd >= 0)
        close(fd);
}
