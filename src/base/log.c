/* log.c - see log.h. */
#include "base/log.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>

static atomic_int log_level = HD_LOG_WARN;
static pthread_mutex_t sink_lock = PTHREAD_MUTEX_INITIALIZER; /* guards the two below and keeps lines whole */
static hd_log_fn *log_sink;
static void *log_sink_data;

void hd__log_set_level(hd_log_level level)
{
    atomic_store(&log_level, (int)level);
}

void hd__log_set_sink(hd_log_fn *sink, void *data)
{
    pthread_mutex_lock(&sink_lock);
    log_sink = sink;
    log_sink_data = data;
    pthread_mutex_unlock(&sink_lock);
}

void hd__log(hd_log_level level, const char *format, ...)
{
    static const char *const names[] = {"error", "warning", "info", "debug"};
    if ((int)level > atomic_load_explicit(&log_level, memory_order_relaxed))
        return;
    char line[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    pthread_mutex_lock(&sink_lock);
    if (log_sink != NULL)
        log_sink(level, line, log_sink_data);
    else
        fprintf(stderr, "heddle: %s: %s\n", names[level], line);
    pthread_mutex_unlock(&sink_lock);
}
