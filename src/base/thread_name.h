/* thread_name.h - what `top -H`, gdb and perf call the calling thread: at most 15 characters. A thread that is not named
 * has the name of the one that started it. */
#ifndef HD_BASE_THREAD_NAME_H
#define HD_BASE_THREAD_NAME_H

#include <pthread.h>

static inline void hd__thread_name(const char *name)
{
    (void)pthread_setname_np(pthread_self(), name);
}

#endif
