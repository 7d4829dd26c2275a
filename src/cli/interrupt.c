/* interrupt.c - see interrupt.h. */
#include "cli/interrupt.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

#include "base/thread_name.h"

#define MAX_JOBS 64

static atomic_int signal_seen, patience_seconds = 3;
static int pipe_fds[2] = {-1, -1};
static sigset_t signals;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards the three below */
static hd_job *jobs[MAX_JOBS];
static size_t n_jobs;
static const char *guarded_file;

static void *watch(void *unused)
{
    int number;
    (void)unused;
    hd__thread_name("heddle-signals");
    if (sigwait(&signals, &number) != 0)
        return NULL;
    atomic_store(&signal_seen, number);
    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < n_jobs; i++)
        hd_job_cancel(jobs[i]);
    pthread_mutex_unlock(&lock);
    ssize_t n = write(pipe_fds[1], "", 1);
    (void)n; /* the pipe is empty: one byte always fits */

    const struct timespec patience = {.tv_sec = atomic_load(&patience_seconds)};
    while (sigtimedwait(&signals, NULL, &patience) < 0 && errno == EINTR)
        continue;
    pthread_mutex_lock(&lock);
    if (guarded_file != NULL)
        unlink(guarded_file);
    _exit(128 + number);
}

hd_status cli_interrupt_begin(hd_error *err)
{
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGHUP);
    if (pipe(pipe_fds) != 0)
        return hd__fail_errno(err, errno, "cannot make a pipe");
    pthread_t thread;
    int failed = pthread_sigmask(SIG_BLOCK, &signals, NULL);
    if (failed == 0)
        failed = pthread_create(&thread, NULL, watch, NULL);
    if (failed != 0)
        return hd__fail_errno(err, failed, "cannot start a thread");
    pthread_detach(thread);
    return HD_OK;
}

int cli_interrupted(void)
{
    return atomic_load(&signal_seen);
}

void cli_interrupt_await_commit(void)
{
    atomic_store(&patience_seconds, 30);
}

bool cli_interrupt_keep_going(void *unused)
{
    (void)unused;
    return cli_interrupted() == 0;
}

int cli_interrupt_fd(void)
{
    return pipe_fds[0];
}

hd_status cli_interrupt_watch(hd_job *job)
{
    pthread_mutex_lock(&lock);
    if (n_jobs < MAX_JOBS)
        jobs[n_jobs++] = job;
    bool too_late = cli_interrupted() != 0;
    pthread_mutex_unlock(&lock);
    if (too_late)
        hd_job_cancel(job);
    return too_late ? HD_ERR_CANCELLED : HD_OK;
}

void cli_interrupt_unwatch(hd_job *job)
{
    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < n_jobs; i++)
        if (jobs[i] == job)
            jobs[i--] = jobs[--n_jobs];
    pthread_mutex_unlock(&lock);
}

void cli_interrupt_guard_file(const char *temp_path)
{
    pthread_mutex_lock(&lock);
    guarded_file = temp_path;
    pthread_mutex_unlock(&lock);
}
