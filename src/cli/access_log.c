/* access_log.c - see access_log.h. One lock, `lock`, guards the two buffers' hand-over. */
#include "cli/access_log.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "base/thread_name.h"
#include "wire/answer.h"

#define MAX_PENDING_BYTES (4u << 20)

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t wake = PTHREAD_COND_INITIALIZER;
static hd_buffer pending;
static uint64_t n_left_out;
static bool as_json, stop, is_open;
static pthread_t writer;

static void write_all(const hd_buffer *bytes)
{
    for (size_t at = 0; at < bytes->len;) {
        const ssize_t n = write(STDERR_FILENO, bytes->ptr + at, bytes->len - at);
        if (n < 0 && errno != EINTR)
            return; /* nobody reads the log: nothing to tell, and nobody to tell it to */
        at += n > 0 ? (size_t)n : 0;
    }
}

static void *writer_main(void *unused)
{
    hd_buffer out;
    (void)unused;
    hd__thread_name("heddle-log");
    hd__buffer_init(&out);
    pthread_mutex_lock(&lock);
    while (!stop || pending.len > 0) {
        if (pending.len == 0) {
            pthread_cond_wait(&wake, &lock);
            continue;
        }
        const hd_buffer full = pending;
        pending = out;
        out = full;
        const uint64_t n = n_left_out;
        n_left_out = 0;
        pthread_mutex_unlock(&lock);
        if (n > 0)
            hd__buffer_printf(&out, "heddle: warning: %llu lines of the log were left out\n", (unsigned long long)n);
        write_all(&out);
        hd__buffer_reset(&out);
        pthread_mutex_lock(&lock);
    }
    pthread_mutex_unlock(&lock);
    hd__buffer_clear(&out);
    return NULL;
}

hd_status cli_access_log_open(bool json, hd_error *err)
{
    as_json = json;
    hd__buffer_init(&pending);
    const int failed = pthread_create(&writer, NULL, writer_main, NULL);
    if (failed != 0)
        return hd__fail_errno(err, failed, "cannot start a thread");
    is_open = true;
    return HD_OK;
}

void cli_access_log_close(void)
{
    if (!is_open)
        return;
    pthread_mutex_lock(&lock);
    stop = true;
    pthread_cond_signal(&wake);
    pthread_mutex_unlock(&lock);
    pthread_join(writer, NULL);
    hd__buffer_clear(&pending);
    is_open = false;
}

/* RFC 3339, to the millisecond. */
static void append_time(hd_buffer *b)
{
    struct timespec now;
    struct tm t;
    char text[32];
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &t);
    strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &t);
    hd__buffer_printf(b, "%s.%03ldZ", text, now.tv_nsec / 1000000);
}

/* Lines are short: a buffer on the stack would do, but paths are the client's. */
static void hand_over(const hd_buffer *line)
{
    pthread_mutex_lock(&lock);
    const bool fits = !line->failed && pending.len + line->len <= MAX_PENDING_BYTES;
    if (fits)
        hd__buffer_append(&pending, line->ptr, line->len);
    n_left_out += !fits;
    pthread_cond_signal(&wake);
    pthread_mutex_unlock(&lock);
}

static const char *method_name(hd_http_method method)
{
    static const char *const names[] = {"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "other"};
    return names[method];
}

static double milliseconds(uint64_t from_ns, uint64_t to_ns)
{
    return to_ns > from_ns ? (double)(to_ns - from_ns) * 1e-6 : 0.0;
}

static void append_json(hd_buffer *b, const hd_exchange *x)
{
    const hd_http_record *r = &x->record;
    hd__buffer_append_text(b, "{\"time\":\"");
    append_time(b);
    hd__buffer_append_text(b, "\",\"level\":\"info\",\"id\":");
    hd__write_cstr(b, x->request.id);
    hd__buffer_printf(b, ",\"trace_id\":\"%016llx%016llx\",\"span_id\":\"%016llx\"", (unsigned long long)r->trace.trace_high,
                      (unsigned long long)r->trace.trace_low, (unsigned long long)r->trace.span);
    hd__buffer_append_text(b, ",\"peer\":");
    hd__write_cstr(b, x->request.peer);
    hd__buffer_printf(b, ",\"method\":\"%s\",\"path\":", method_name(x->request.method));
    hd__buffer_append_json(b, x->request.path);
    hd__buffer_printf(b, ",\"status\":%d,\"bytes_in\":%llu,\"bytes_out\":%llu,\"ms\":%.3f", x->response.status,
                      (unsigned long long)r->n_body_bytes, (unsigned long long)r->n_response_bytes,
                      milliseconds(r->start_ns, r->sent_ns));
    if (r->fault != HD_FAULT_NONE)
        hd__buffer_printf(b, ",\"fault\":\"%s\"", hd__fault_name(r->fault));
    if (r->aborted)
        hd__buffer_append_text(b, ",\"aborted\":true");
    if (r->model != NULL) {
        hd__buffer_append_text(b, ",\"model\":");
        hd__write_cstr(b, r->model);
        hd__buffer_printf(b,
                          ",\"task\":\"%s\",\"inputs\":%u,\"tokens\":%llu,\"cached\":%llu,\"queue_ms\":%.3f,"
                          "\"compute_ms\":%.3f",
                          r->task, r->n_inputs, (unsigned long long)r->n_tokens, (unsigned long long)r->n_cached,
                          (double)r->queue_ns * 1e-6, (double)r->compute_ns * 1e-6);
    }
    hd__buffer_append_text(b, "}\n");
}

static void append_text(hd_buffer *b, const hd_exchange *x)
{
    const hd_http_record *r = &x->record;
    append_time(b);
    hd__buffer_printf(b, " %s %s ", x->request.peer, method_name(x->request.method));
    hd__buffer_append_json(b, x->request.path); /* in quotes: what a client sends makes no second line */
    hd__buffer_printf(b, " %d %lluB %.2fms %s", x->response.status, (unsigned long long)r->n_response_bytes,
                      milliseconds(r->start_ns, r->sent_ns), x->request.id);
    if (r->model != NULL)
        hd__buffer_printf(b, " %s %u inputs %llu tokens %llu cached", r->model, r->n_inputs, (unsigned long long)r->n_tokens,
                          (unsigned long long)r->n_cached);
    if (r->fault != HD_FAULT_NONE)
        hd__buffer_printf(b, " %s", hd__fault_name(r->fault));
    if (r->trace.parent != 0)
        hd__buffer_printf(b, " trace=%016llx%016llx", (unsigned long long)r->trace.trace_high,
                          (unsigned long long)r->trace.trace_low);
    hd__buffer_append_text(b, r->aborted ? " aborted\n" : "\n");
}

void cli_access_log_add(const hd_exchange *x, void *data)
{
    hd_buffer line;
    (void)data;
    if (x->response.status == 200 && !x->record.aborted && hd__span_is(x->request.path, "/health"))
        return;
    hd__buffer_init(&line);
    if (as_json)
        append_json(&line, x);
    else
        append_text(&line, x);
    hand_over(&line);
    hd__buffer_clear(&line);
}

void cli_access_log_line(hd_log_level level, const char *text, void *data)
{
    static const char *const levels[] = {"error", "warning", "info", "debug"};
    hd_buffer line;
    (void)data;
    hd__buffer_init(&line);
    if (as_json) {
        hd__buffer_append_text(&line, "{\"time\":\"");
        append_time(&line);
        hd__buffer_printf(&line, "\",\"level\":\"%s\",\"message\":", levels[level]);
        hd__write_cstr(&line, text);
        hd__buffer_append_text(&line, "}\n");
    } else {
        hd__buffer_printf(&line, "heddle: %s: %s\n", levels[level], text);
    }
    hand_over(&line);
    hd__buffer_clear(&line);
}
