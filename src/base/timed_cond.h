/* timed_cond.h - condition variables whose waits end by CLOCK_MONOTONIC: a clock that is set back must not make threads
 * sleep. */
#ifndef HD_BASE_TIMED_COND_H
#define HD_BASE_TIMED_COND_H

#include <pthread.h>
#include <time.h>

static inline void hd__timed_cond_init(pthread_cond_t *cond)
{
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(cond, &attributes);
    pthread_condattr_destroy(&attributes);
}

#endif
