/* child.c - see child.h.
 *
 * posix_spawn(3) has no limits on resources, so they are set from outside, by prlimit(2), as soon as the program runs: it
 * has read nothing by then. A program that loses its reader ends by itself, so nothing outlives us for long.
 */
#include "ingest/child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/limits.h"

#define MESSAGE_BYTES 4096u /* of standard error that are kept */

static hd_status find_program(const char *program, char path[HD_LIMIT_PATH_BYTES], hd_error *err)
{
    const char *folders = getenv("PATH");
    for (const char *at = folders != NULL ? folders : "/usr/bin:/bin"; *at != '\0';) {
        size_t n = strcspn(at, ":");
        if (*at == '/' && n + strlen(program) + 2 <= HD_LIMIT_PATH_BYTES) { /* none that depends on where we are */
            snprintf(path, HD_LIMIT_PATH_BYTES, "%.*s/%s", (int)n, at, program);
            if (access(path, X_OK) == 0)
                return HD_OK;
        }
        at += n + (at[n] == ':');
    }
    return hd__fail(err, HD_ERR_UNSUPPORTED, "it is read with %s, which is not installed", program);
}

/* A file in memory, at its beginning. */
static hd_status open_input(hd_span input, int *fd, hd_error *err)
{
    *fd = memfd_create("heddle", MFD_CLOEXEC);
    if (*fd < 0)
        return hd__fail_errno(err, errno, "a file in memory cannot be made");
    for (size_t at = 0; at < input.len;) {
        ssize_t n = pwrite(*fd, input.ptr + at, input.len - at, (off_t)at);
        if (n < 0 && errno != EINTR)
            return hd__fail_errno(err, errno, "a file in memory cannot be written");
        at += n > 0 ? (size_t)n : 0;
    }
    return HD_OK;
}

/* ends[0] is ours, ends[1] is the child's. */
static hd_status open_pipe(int ends[2], hd_error *err)
{
    if (pipe2(ends, O_CLOEXEC) != 0)
        return hd__fail_errno(err, errno, "a pipe cannot be made");
    if (fcntl(ends[0], F_SETFL, O_NONBLOCK) != 0)
        return hd__fail_errno(err, errno, "a pipe cannot be set up");
    return HD_OK;
}

static hd_status spawn(const hd_child *child, const char *path, const int fds[3], pid_t *pid, hd_error *err)
{
    static char language[] = "LC_ALL=C.UTF-8", folders[] = "PATH=/usr/bin:/bin";
    static char *const environment[] = {language, folders, NULL}; /* nothing of ours concerns it */
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none, all;
    int code = posix_spawn_file_actions_init(&actions);
    if (code != 0)
        return hd__fail_errno(err, code, "%s cannot be started", path);
    if ((code = posix_spawnattr_init(&attributes)) != 0)
        goto out;
    sigemptyset(&none);
    sigfillset(&all);
    for (int i = 0; i < 3 && code == 0; i++)
        code = posix_spawn_file_actions_adddup2(&actions, fds[i], i);
    if (code == 0)
        code = posix_spawn_file_actions_addclosefrom_np(&actions, 3);
    if (code == 0)
        code = posix_spawnattr_setsigmask(&attributes, &none);
    if (code == 0)
        code = posix_spawnattr_setsigdefault(&attributes, &all);
    if (code == 0)
        code = posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    if (code == 0)
        code = posix_spawn(pid, path, &actions, &attributes, (char *const *)(uintptr_t)child->arguments, environment);
    posix_spawnattr_destroy(&attributes);
out:
    posix_spawn_file_actions_destroy(&actions);
    return code == 0 ? HD_OK : hd__fail_errno(err, code, "%s cannot be started", path);
}

static void limit(pid_t pid, const hd_child *child)
{
    const struct {
        __rlimit_resource_t resource;
        rlim_t most;
    } limits[] = {{RLIMIT_CPU, child->seconds},
                  {RLIMIT_AS, (rlim_t)child->memory_bytes},
                  {RLIMIT_FSIZE, 0},
                  {RLIMIT_CORE, 0},
                  {RLIMIT_NOFILE, 64}};
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
        struct rlimit both = {limits[i].most, limits[i].most};
        prlimit(pid, limits[i].resource, &both, NULL); /* fails when it has ended already */
    }
}

/* What can be read now, up to `most` bytes in all; what is over is thrown away. *fd is closed and -1 at the end. False: more
 * than that came. */
static bool take(int *fd, hd_buffer *to, size_t most)
{
    char bytes[16384];
    bool fits = true;
    ssize_t n;
    while ((n = read(*fd, bytes, sizeof bytes)) > 0) {
        size_t room = most - to->len, kept = (size_t)n < room ? (size_t)n : room;
        hd__buffer_append(to, bytes, kept);
        fits &= kept == (size_t)n;
        if (!fits && to->len >= most)
            break;
    }
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
        close(*fd);
        *fd = -1;
    }
    return fits;
}

/* Reads both pipes until the program has closed them. */
static hd_child_end follow(const hd_child *child, int fds[2], uint64_t deadline_ns, hd_buffer *output, hd_buffer *messages)
{
    while (fds[0] >= 0 || fds[1] >= 0) {
        struct pollfd polled[2] = {{.fd = fds[0], .events = POLLIN}, {.fd = fds[1], .events = POLLIN}};
        uint64_t now = hd__now_ns();
        if (now >= deadline_ns)
            return HD_CHILD_TOO_SLOW;
        poll(polled, 2, (int)((deadline_ns - now) / 1000000 + 1));
        if (polled[0].revents != 0 && !take(&fds[0], output, child->most_output))
            return HD_CHILD_TOO_LONG;
        if (polled[1].revents != 0)
            take(&fds[1], messages, MESSAGE_BYTES);
    }
    return HD_CHILD_EXITED;
}

/* Waits for its end, which is near: it has closed its output, or was killed. */
static hd_child_end reap(pid_t pid, hd_child_end end, uint64_t deadline_ns, int *code)
{
    const struct timespec nap = {.tv_nsec = 1000000};
    int state = 0;
    pid_t found;
    while ((found = waitpid(pid, &state, end == HD_CHILD_EXITED ? WNOHANG : 0)) != pid) {
        if (found < 0 && errno != EINTR)
            break; /* somebody else in this process waits for all children: its output tells how it went */
        if (found == 0 && hd__now_ns() >= deadline_ns) {
            kill(-pid, SIGKILL);
            end = HD_CHILD_TOO_SLOW;
        } else if (found == 0) {
            nanosleep(&nap, NULL);
        }
    }
    if (end != HD_CHILD_EXITED)
        return end;
    *code = WIFSIGNALED(state) ? WTERMSIG(state) : WEXITSTATUS(state);
    if (!WIFSIGNALED(state))
        return HD_CHILD_EXITED;
    return *code == SIGXCPU || *code == SIGKILL ? HD_CHILD_TOO_SLOW : HD_CHILD_KILLED;
}

hd_status hd__child_run(const hd_child *child, hd_buffer *output, hd_buffer *messages, hd_child_end *end, int *code,
                        hd_error *err)
{
    char path[HD_LIMIT_PATH_BYTES];
    int input = -1, out[2] = {-1, -1}, messages_pipe[2] = {-1, -1};
    hd_status status;
    pid_t pid;
    *code = 0;
    HD_TRY(find_program(child->program, path, err));
    HD_TRY_OUT(open_input(child->input, &input, err));
    HD_TRY_OUT(open_pipe(out, err));
    HD_TRY_OUT(open_pipe(messages_pipe, err));
    uint64_t deadline_ns = hd__now_ns() + (uint64_t)child->seconds * 2 * 1000000000;
    const int theirs[3] = {input, out[1], messages_pipe[1]};
    HD_TRY_OUT(spawn(child, path, theirs, &pid, err));
    limit(pid, child);
    close(out[1]);
    close(messages_pipe[1]);
    out[1] = messages_pipe[1] = -1;
    int ours[2] = {out[0], messages_pipe[0]};
    *end = follow(child, ours, deadline_ns, output, messages);
    out[0] = ours[0];
    messages_pipe[0] = ours[1];
    if (*end != HD_CHILD_EXITED)
        kill(-pid, SIGKILL);
    *end = reap(pid, *end, deadline_ns, code);
    if (output->failed || messages->failed)
        status = hd__fail(err, HD_ERR_MEMORY, "no memory for what %s writes", child->program);
out:
    for (int i = 0; i < 2; i++) {
        if (out[i] >= 0)
            close(out[i]);
        if (messages_pipe[i] >= 0)
            close(messages_pipe[i]);
    }
    if (input >= 0)
        close(input);
    return status;
}
