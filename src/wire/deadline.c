/* deadline.c - see deadline.h. */
#include "wire/deadline.h"

#include <time.h>

#include "base/clock.h"
#include "base/thread_name.h"

#define MILLISECOND_NS 1000000ull

void hd__deadline_leave(hd_service *s, hd_work *w)
{
    *(w->earlier != NULL ? &w->earlier->later : &s->first) = w->later;
    *(w->later != NULL ? &w->later->earlier : &s->last) = w->earlier;
    w->earlier = w->later = NULL;
    w->deadline_ns = 0;
}

void hd__deadline_set(hd_work *w)
{
    hd_service *s = w->service;
    const uint32_t own = w->call.timeout_ms, most = s->options.timeout_ms;
    const uint32_t timeout_ms = own != 0 && (most == 0 || own < most) ? own : most;
    if (timeout_ms == 0)
        return;
    pthread_mutex_lock(&s->lock);
    w->deadline_ns = w->exchange->record.start_ns + timeout_ms * MILLISECOND_NS;
    hd_work *before = s->last; /* most come in the order of their deadlines */
    while (before != NULL && before->deadline_ns > w->deadline_ns)
        before = before->earlier;
    w->earlier = before;
    w->later = before != NULL ? before->later : s->first;
    *(w->earlier != NULL ? &w->earlier->later : &s->first) = w;
    *(w->later != NULL ? &w->later->earlier : &s->last) = w;
    if (w->deadline_ns < s->timer_ns)
        pthread_cond_signal(&s->timer_wake);
    pthread_mutex_unlock(&s->lock);
}

static void *timer_main(void *data)
{
    hd_service *s = data;
    hd__thread_name("heddle-timer");
    pthread_mutex_lock(&s->lock);
    while (!s->stop) {
        hd_work *w = s->first;
        const uint64_t now_ns = hd__now_ns();
        if (w == NULL) {
            s->timer_ns = UINT64_MAX;
            pthread_cond_wait(&s->timer_wake, &s->lock);
        } else if (w->deadline_ns > now_ns) {
            const struct timespec until = {(time_t)(w->deadline_ns / 1000000000u), (long)(w->deadline_ns % 1000000000u)};
            s->timer_ns = w->deadline_ns;
            pthread_cond_timedwait(&s->timer_wake, &s->lock, &until);
        } else {
            hd__deadline_leave(s, w);
            w->timed_out = true;
            if (w->job != NULL)
                hd_job_cancel(w->job);
        }
    }
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

hd_status hd__deadline_start(hd_service *s, hd_error *err)
{
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&s->timer_wake, &monotonic);
    pthread_condattr_destroy(&monotonic);
    const int failed = pthread_create(&s->timer, NULL, timer_main, s);
    s->timer_started = failed == 0;
    if (failed == 0)
        return HD_OK;
    pthread_cond_destroy(&s->timer_wake);
    return hd__fail_errno(err, failed, "cannot start a thread");
}

void hd__deadline_stop(hd_service *s)
{
    if (!s->timer_started)
        return;
    pthread_mutex_lock(&s->lock);
    s->stop = true;
    pthread_cond_signal(&s->timer_wake);
    pthread_mutex_unlock(&s->lock);
    pthread_join(s->timer, NULL);
    pthread_cond_destroy(&s->timer_wake);
}
