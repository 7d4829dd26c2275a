/* inotify_faults.c - loaded before `heddle index --watch` by test_index.py: a limit of watches, and a queue that overflows.
 *
 *   TEST_MAX_WATCHES=N   no more than N watches
 *   TEST_OVERFLOW=FILE   while the file is there, events are lost: the next read gives IN_Q_OVERFLOW, and removes it
 */
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

static int watched = -1; /* the last that was made */
static long n_watches;

int inotify_init1(int flags)
{
    int (*real)(int);
    *(void **)&real = dlsym(RTLD_NEXT, "inotify_init1");
    n_watches = 0;
    return watched = real(flags);
}

int inotify_add_watch(int fd, const char *path, uint32_t mask)
{
    int (*real)(int, const char *, uint32_t);
    const char *most = getenv("TEST_MAX_WATCHES");
    *(void **)&real = dlsym(RTLD_NEXT, "inotify_add_watch");
    if (most != NULL && ++n_watches > strtol(most, NULL, 10)) {
        errno = ENOSPC;
        return -1;
    }
    return real(fd, path, mask);
}

ssize_t read(int fd, void *bytes, size_t n)
{
    ssize_t (*real)(int, void *, size_t);
    const char *overflow = getenv("TEST_OVERFLOW");
    const struct inotify_event lost = {.wd = -1, .mask = IN_Q_OVERFLOW};
    *(void **)&real = dlsym(RTLD_NEXT, "read");
    if (fd != watched || overflow == NULL || n < sizeof lost || access(overflow, F_OK) != 0)
        return real(fd, bytes, n);
    while (real(fd, bytes, n) > 0)
        continue;
    unlink(overflow);
    memcpy(bytes, &lost, sizeof lost);
    return sizeof lost;
}

ssize_t __read_chk(int fd, void *bytes, size_t n, size_t room); /* what fortified programs call */
ssize_t __read_chk(int fd, void *bytes, size_t n, size_t room)
{
    return read(fd, bytes, n < room ? n : room);
}
