/* thread_priority.h - a thread that works while the others have nothing to do.
 *
 * Linux gives each thread a nice value of its own (setpriority(2), "C library/kernel differences"). At 19 a thread weighs a
 * 68th of one at 0, and one that wakes up takes the core from it at once; SCHED_IDLE, a 340th, was no better for those that
 * wake up, and leaves nothing to the thread on a machine that is never idle. Elsewhere than on Linux nothing changes.
 */
#ifndef HD_BASE_THREAD_PRIORITY_H
#define HD_BASE_THREAD_PRIORITY_H

#include <sys/resource.h>

#define HD_NICE_BACKGROUND 19

/* The calling thread gives way to all others from now on: there is no way back without a privilege. */
static inline void hd__thread_give_way(void)
{
#ifdef __linux__
    (void)setpriority(PRIO_PROCESS, 0, HD_NICE_BACKGROUND);
#endif
}

#endif
