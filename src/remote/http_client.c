/* http_client.c - see http_client.h. */
#include "remote/http_client.h"

#include <assert.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <time.h>

#include "base/alloc.h"
#include "remote/curl_library.h"

#define MOST_REDIRECTS 10
#define MOST_PAUSE_MS 8000u
#define MOST_RETRY_AFTER_S 60u
#define STALL_BYTES_PER_S 100L
#define MOST_DROPPED_BYTES (1u << 20) /* of what comes with a redirect or an error */
#define MOST_UNREACHABLE_TRIES 3u
#define MOST_TRIES 1000u       /* also when each brings a little */
#define HEADER_LINE_BYTES 8192 /* tokens of some gateways take kilobytes */

struct hd_http_client {
    const hd_curl_library *curl;
    CURL *easy;
    hd_http_client_options options;
    char curl_error[CURL_ERROR_SIZE];
};

/* One call of hd__http_client_get or hd__http_client_post. */
typedef struct exchange {
    hd_http_client *http;
    const hd_http_client_request *request;
    hd_http_client_response *response;
    char *url;              /* of this hop */
    uint64_t asked_from;    /* this try's Range */
    bool has_content_range; /* of the hop's answer, with its beginning */
    uint64_t range_from;
    uint64_t at;        /* byte of the file that this try reached */
    uint64_t furthest;  /* byte of the file that any try reached */
    uint64_t n_dropped; /* body bytes that nobody wanted, of this hop */
    bool unreachable;   /* this try found no host; */
    bool reached;       /* an earlier one did */
    bool began;
    hd_status status; /* what stopped the transfer from within, with its text */
    hd_error err;
} exchange;

/* ---- open, close ---- */

hd_status hd__http_client_open(const hd_http_client_options *options, hd_http_client **http_out, hd_error *err)
{
    const hd_curl_library *curl;
    HD_TRY(hd__curl_library_open(&curl, err));
    hd_http_client *http = hd__calloc(1, sizeof *http);
    if (http == NULL)
        return hd__fail(err, HD_ERR_MEMORY, "no memory for an HTTP client");
    http->curl = curl;
    http->options = options != NULL ? *options : (hd_http_client_options){0};
    hd_http_client_options *o = &http->options;
    o->connect_timeout_ms = o->connect_timeout_ms != 0 ? o->connect_timeout_ms : 15000;
    o->stall_timeout_s = o->stall_timeout_s != 0 ? o->stall_timeout_s : 30;
    o->n_tries = o->n_tries != 0 ? o->n_tries : 5;
    o->pause_ms = o->pause_ms != 0 ? o->pause_ms : 500;
    http->easy = curl->easy_init();
    if (http->easy == NULL) {
        hd__http_client_close(http);
        return hd__fail(err, HD_ERR_MEMORY, "no memory for an HTTP client");
    }
    *http_out = http;
    return HD_OK;
}

void hd__http_client_close(hd_http_client *http)
{
    if (http == NULL)
        return;
    if (http->easy != NULL)
        http->curl->easy_cleanup(http->easy);
    hd__free(http);
}

/* ---- URLs ---- */

void hd__url_append(hd_buffer *url, const char *text, bool keep_slash)
{
    for (const char *c = text; *c != '\0'; c++) {
        bool plain = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') || (*c >= '0' && *c <= '9') ||
                     strchr("-._~", *c) != NULL || (keep_slash && *c == '/');
        if (plain)
            hd__buffer_append_char(url, *c);
        else
            hd__buffer_printf(url, "%%%02X", (unsigned)(unsigned char)*c);
    }
}

static bool is_https(const char *url)
{
    return strncasecmp(url, "https://", strlen("https://")) == 0;
}

static bool is_http(const char *url)
{
    return strncasecmp(url, "http://", strlen("http://")) == 0;
}

/* Scheme, host and port: all up to the path. */
static size_t origin_len(const char *url)
{
    const char *host = strstr(url, "://");
    return host != NULL ? (size_t)(host + 3 - url) + strcspn(host + 3, "/?#") : 0;
}

static bool same_origin(const char *a, const char *b)
{
    size_t n = origin_len(a);
    return n == origin_len(b) && strncasecmp(a, b, n) == 0;
}

/* ---- the answer's header ---- */

/* Copies a field's value; one too long counts as absent. Such texts end up on terminals: plain ASCII only. */
static void keep_field(hd_span value, char field[HD_HTTP_CLIENT_FIELD_BYTES])
{
    if (value.len >= HD_HTTP_CLIENT_FIELD_BYTES)
        return;
    for (size_t i = 0; i < value.len; i++)
        field[i] = value.ptr[i] >= ' ' && value.ptr[i] <= '~' ? value.ptr[i] : '?';
    field[value.len] = '\0';
}

/* "bytes 100-199/200" */
static void parse_content_range(exchange *x, const char *text)
{
    unsigned long long from;
    if (sscanf(text, "bytes %llu-", &from) == 1) {
        x->has_content_range = true;
        x->range_from = from;
    }
}

static void parse_content_length(exchange *x, const char *text)
{
    char *end;
    unsigned long long bytes = strtoull(text, &end, 10);
    if (text[0] >= '0' && text[0] <= '9' && *end == '\0')
        x->response->content_bytes = bytes;
}

static void parse_field(exchange *x, hd_span name, hd_span value)
{
    hd_http_client_response *r = x->response;
    const struct {
        const char *name;
        char *field;
        bool any_hop; /* kept from the first hop that has it */
    } fields[] = {
        {"etag", r->etag, false},
        {"content-encoding", r->content_encoding, false},
        {"retry-after", r->retry_after, false},
        {"x-error-code", r->error_code, false},
        {"x-error-message", r->error_message, false},
        {"x-linked-etag", r->linked_etag, true},
        {"x-linked-size", r->linked_size, true},
    };
    char text[HD_HTTP_CLIENT_FIELD_BYTES] = "";
    keep_field(value, text);
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        if (strlen(fields[i].name) != name.len || strncasecmp(fields[i].name, name.ptr, name.len) != 0)
            continue;
        if (!fields[i].any_hop || fields[i].field[0] == '\0')
            keep_field(value, fields[i].field);
        return;
    }
    if (name.len == strlen("content-length") && strncasecmp(name.ptr, "content-length", name.len) == 0)
        parse_content_length(x, text);
    if (name.len == strlen("content-range") && strncasecmp(name.ptr, "content-range", name.len) == 0)
        parse_content_range(x, text);
}

/* Forgets what belongs to one hop; redirects and "100 Continue" bring several headers. */
static void reset_hop(exchange *x)
{
    hd_http_client_response *r = x->response;
    r->etag[0] = r->content_encoding[0] = r->retry_after[0] = r->error_code[0] = r->error_message[0] = '\0';
    r->content_bytes = UINT64_MAX;
    r->status = 0;
    x->has_content_range = false;
}

static size_t on_header(char *ptr, size_t size, size_t n, void *data)
{
    exchange *x = data;
    hd_span line = hd__span(ptr, size * n);
    if (hd__span_begins(line, "HTTP/")) {
        reset_hop(x);
        return line.len;
    }
    const char *colon = memchr(line.ptr, ':', line.len);
    if (colon == NULL)
        return line.len;
    hd_span value = hd__span(colon + 1, line.len - (size_t)(colon + 1 - line.ptr));
    while (value.len > 0 && (*value.ptr == ' ' || *value.ptr == '\t'))
        value = hd__span(value.ptr + 1, value.len - 1);
    while (value.len > 0 && (unsigned char)value.ptr[value.len - 1] <= ' ')
        value.len--;
    parse_field(x, hd__span(line.ptr, (size_t)(colon - line.ptr)), value);
    return line.len;
}

/* ---- the body ---- */

/* Looks at the header once, when the body begins; false when nobody wants this body. */
static bool wants_body(exchange *x)
{
    long status = 0;
    x->http->curl->easy_getinfo(x->http->easy, CURLINFO_RESPONSE_CODE, &status);
    x->response->status = (uint32_t)status;
    return status == 200 || status == 206;
}

static hd_status begin_body(exchange *x)
{
    hd_http_client_response *r = x->response;
    r->body_from = r->status == 206 ? x->asked_from : 0;
    r->same_origin = same_origin(x->url, x->request->url);
    if (r->status == 206 && (!x->has_content_range || x->range_from != x->asked_from))
        return hd__fail(&x->err, HD_ERR_PEER, "%s: asked for bytes from %llu on, the server sends others", x->request->url,
                        (unsigned long long)x->asked_from);
    x->began = true;
    x->at = r->body_from;
    return x->request->begin != NULL ? x->request->begin(x->request->data, r, &x->err) : HD_OK;
}

static size_t on_body(char *ptr, size_t size, size_t n, void *data)
{
    exchange *x = data;
    size_t bytes = size * n;
    if (!wants_body(x)) {
        x->n_dropped += bytes;
        if (x->n_dropped > MOST_DROPPED_BYTES)
            x->status = hd__fail(&x->err, HD_ERR_PEER, "%s: the server answers %u and then does not end", x->request->url,
                                 x->response->status);
        return x->status == HD_OK ? bytes : 0;
    }
    if (!x->began)
        x->status = begin_body(x);
    if (x->status == HD_OK)
        x->status = x->request->body(x->request->data, hd__span(ptr, bytes), &x->err);
    if (x->status != HD_OK)
        return bytes == 0 ? 1 : 0; /* any other number than bytes stops the transfer */
    x->at += bytes;
    return bytes;
}

static int on_progress(void *data, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
    exchange *x = data;
    (void)a, (void)b, (void)c, (void)d;
    if (x->request->tick == NULL || x->request->tick(x->request->data))
        return 0;
    x->status = hd__fail(&x->err, HD_ERR_CANCELLED, "%s: cancelled", x->request->url);
    return 1;
}

/* ---- one hop ---- */

static __attribute__((format(printf, 3, 4))) bool add_header(const hd_http_client *http, struct curl_slist **list,
                                                             const char *format, ...)
{
    char line[HEADER_LINE_BYTES];
    va_list arguments;
    va_start(arguments, format);
    int n = vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    struct curl_slist *longer = n > 0 && (size_t)n < sizeof line ? http->curl->slist_append(*list, line) : NULL;
    if (longer != NULL)
        *list = longer;
    return longer != NULL;
}

static hd_status request_headers(exchange *x, struct curl_slist **list)
{
    uint64_t from = 0;
    const char *if_range = NULL, *token = x->request->token;
    if (x->request->resume != NULL)
        x->request->resume(x->request->data, &from, &if_range);
    x->asked_from = from;
    bool added = x->request->compressed || add_header(x->http, list, "Accept-Encoding: identity");
    if (from > 0)
        added = added && add_header(x->http, list, "Range: bytes=%llu-", (unsigned long long)from);
    if (from > 0 && if_range != NULL)
        added = added && add_header(x->http, list, "If-Range: %s", if_range);
    if (token != NULL && same_origin(x->url, x->request->url))
        added = added && add_header(x->http, list, "Authorization: Bearer %s", token);
    for (size_t i = 0; i < x->request->n_headers && same_origin(x->url, x->request->url); i++)
        added = added && add_header(x->http, list, "%s", x->request->headers[i]);
    if (x->request->post.ptr != NULL)
        added = added && add_header(x->http, list, "Expect:"); /* or libcurl waits for "100 Continue" first */
    return added ? HD_OK : hd__fail(&x->err, HD_ERR_MEMORY, "%s: no room for the request's header", x->request->url);
}

static bool set_options(exchange *x, struct curl_slist *headers)
{
    hd_http_client *http = x->http;
    const hd_curl_library *curl = http->curl;
    CURL *easy = http->easy;
    bool failed = false;
#define SET(option, value) failed |= curl->easy_setopt(easy, option, value) != CURLE_OK
    curl->easy_reset(easy);
    SET(CURLOPT_URL, x->url);
    SET(CURLOPT_USERAGENT, "heddle");
    SET(CURLOPT_HTTPHEADER, headers);
    SET(CURLOPT_FOLLOWLOCATION, 0L);
    SET(CURLOPT_NOSIGNAL, 1L);
#if LIBCURL_VERSION_NUM >= 0x075700
    curl->easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L); /* who cancels does not wait for a name server; older ones do */
#endif
    SET(CURLOPT_CONNECTTIMEOUT_MS, (long)http->options.connect_timeout_ms);
    SET(CURLOPT_LOW_SPEED_LIMIT, STALL_BYTES_PER_S);
    SET(CURLOPT_LOW_SPEED_TIME, (long)http->options.stall_timeout_s);
    SET(CURLOPT_ERRORBUFFER, http->curl_error);
    SET(CURLOPT_HEADERFUNCTION, on_header);
    SET(CURLOPT_HEADERDATA, x);
    SET(CURLOPT_WRITEFUNCTION, on_body);
    SET(CURLOPT_WRITEDATA, x);
    SET(CURLOPT_NOPROGRESS, 0L);
    SET(CURLOPT_XFERINFOFUNCTION, on_progress);
    SET(CURLOPT_XFERINFODATA, x);
    if (http->options.timeout_ms != 0)
        SET(CURLOPT_TIMEOUT_MS, (long)http->options.timeout_ms);
    if (x->request->post.ptr != NULL) {
        SET(CURLOPT_POSTFIELDS, x->request->post.ptr);
        SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)x->request->post.len);
    }
    if (http->options.ca_file != NULL)
        SET(CURLOPT_CAINFO, http->options.ca_file);
    if (http->options.ca_dir != NULL)
        SET(CURLOPT_CAPATH, http->options.ca_dir);
    if (x->request->compressed)
        SET(CURLOPT_ACCEPT_ENCODING, ""); /* whatever this libcurl decodes */
#undef SET
    return !failed;
}

/* Runs the transfer with SIGPIPE held back from this thread: with NOSIGNAL libcurl leaves it to us. */
static CURLcode perform(hd_http_client *http)
{
    sigset_t pipe_signal, before, pending;
    sigemptyset(&pipe_signal);
    sigaddset(&pipe_signal, SIGPIPE);
    sigpending(&pending);
    bool was_pending = sigismember(&pending, SIGPIPE) == 1;
    pthread_sigmask(SIG_BLOCK, &pipe_signal, &before);
    CURLcode code = http->curl->easy_perform(http->easy);
    if (!was_pending)
        sigtimedwait(&pipe_signal, NULL, &(struct timespec){0});
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return code;
}

typedef enum outcome { DONE, REDIRECTED, TRY_AGAIN, FAILED } outcome;

static bool may_pass(CURLcode code)
{
    switch (code) {
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_CONNECT:
    case CURLE_OPERATION_TIMEDOUT:
    case CURLE_PARTIAL_FILE:
    case CURLE_GOT_NOTHING:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM:
    case CURLE_SSL_CONNECT_ERROR: return true;
    default: return false;
    }
}

static hd_status status_of(CURLcode code)
{
    switch (code) {
    case CURLE_OUT_OF_MEMORY: return HD_ERR_MEMORY;
    case CURLE_SSL_CACERT_BADFILE: return HD_ERR_IO;
    default: return HD_ERR_PEER;
    }
}

static bool may_pass_status(uint32_t status)
{
    return status == 408 || status == 429 || status == 500 || status == 502 || status == 503 || status == 504;
}

static bool is_redirect(uint32_t status)
{
    return (status >= 301 && status <= 303) || status == 307 || status == 308;
}

/* Goes to the answer's Location. Error texts leave out the query, which holds the keys of signed URLs. */
static outcome redirect(exchange *x)
{
    char *target = NULL;
    x->http->curl->easy_getinfo(x->http->easy, CURLINFO_REDIRECT_URL, &target);
    if (target == NULL || (!is_https(target) && (!is_http(target) || is_https(x->url)))) {
        x->status = hd__fail(&x->err, HD_ERR_PEER, "%s: sends on to %.*s, which Heddle does not follow", x->request->url,
                             target != NULL ? (int)strcspn(target, "?#") : 7, target != NULL ? target : "nowhere");
        return FAILED;
    }
    char *url = hd__strdup(target);
    if (url == NULL) {
        x->status = hd__fail(&x->err, HD_ERR_MEMORY, "%s: no memory to follow it", x->request->url);
        return FAILED;
    }
    hd__free(x->url);
    x->url = url;
    return REDIRECTED;
}

/* Asks once. After FAILED and TRY_AGAIN x->status and x->err say why. */
static outcome hop(exchange *x)
{
    struct curl_slist *headers = NULL;
    hd_http_client *http = x->http;
    x->began = false;
    x->at = 0;
    x->n_dropped = 0;
    x->status = request_headers(x, &headers);
    reset_hop(x);
    if (x->status == HD_OK && !set_options(x, headers))
        x->status =
            hd__fail(&x->err, HD_ERR_UNSUPPORTED, "%s: this libcurl lacks an option that Heddle needs", x->request->url);
    http->curl_error[0] = '\0';
    CURLcode code = x->status == HD_OK ? perform(http) : CURLE_OK;
    http->curl->slist_free_all(headers);
    if (x->status != HD_OK)
        return FAILED;
    x->unreachable = code == CURLE_COULDNT_RESOLVE_HOST || code == CURLE_COULDNT_CONNECT;
    x->reached |= !x->unreachable;
    x->response->unreachable = x->unreachable;
    if (code != CURLE_OK) {
        x->status = hd__fail(&x->err, status_of(code), "%s: %s", x->request->url,
                             http->curl_error[0] != '\0' ? http->curl_error : http->curl->easy_strerror(code));
        return may_pass(code) ? TRY_AGAIN : FAILED;
    }
    bool wanted = wants_body(x);
    uint32_t status = x->response->status;
    if (is_redirect(status) && x->request->post.ptr == NULL)
        return redirect(x);
    x->response->same_origin = same_origin(x->url, x->request->url);
    if (wanted && !x->began) /* an empty body */
        x->status = begin_body(x);
    if (may_pass_status(status))
        x->status = hd__fail(&x->err, HD_ERR_PEER, "%s: the server answers %u", x->request->url, status);
    return may_pass_status(status) ? TRY_AGAIN : x->status == HD_OK ? DONE : FAILED;
}

/* ---- tries ---- */

/* Waits in small steps, so that a person who cancels need not wait it out. False: cancelled. */
static bool pause_for(exchange *x, uint64_t ms)
{
    const uint64_t step_ms = 50;
    for (uint64_t waited = 0; waited < ms; waited += step_ms) {
        if (on_progress(x, 0, 0, 0, 0) != 0)
            return false;
        nanosleep(&(struct timespec){.tv_nsec = (long)step_ms * 1000000}, NULL);
    }
    return true;
}

static uint64_t pause_ms(const exchange *x, uint32_t n_failed)
{
    uint64_t ms = x->http->options.pause_ms;
    for (uint32_t i = 1; i < n_failed && ms < MOST_PAUSE_MS; i++)
        ms *= 2;
    if (ms > MOST_PAUSE_MS)
        ms = MOST_PAUSE_MS;
    char *end;
    unsigned long seconds = strtoul(x->response->retry_after, &end, 10); /* a date is left to our own pause */
    if (x->response->retry_after[0] != '\0' && *end == '\0')
        ms = 1000u * (uint64_t)(seconds < MOST_RETRY_AFTER_S ? seconds : MOST_RETRY_AFTER_S);
    return ms;
}

/* From the URL asked for through its redirects to an answer. */
static outcome try_once(exchange *x)
{
    char *url = hd__strdup(x->request->url);
    if (url == NULL) {
        x->status = hd__fail(&x->err, HD_ERR_MEMORY, "%s: no memory for the request", x->request->url);
        return FAILED;
    }
    hd__free(x->url);
    x->url = url;
    outcome result = REDIRECTED;
    for (int i = 0; result == REDIRECTED && i <= MOST_REDIRECTS; i++)
        result = hop(x);
    if (result == REDIRECTED) {
        x->status = hd__fail(&x->err, HD_ERR_PEER, "%s: more than %d redirects", x->request->url, MOST_REDIRECTS);
        return FAILED;
    }
    return result;
}

static hd_status ask(hd_http_client *http, const hd_http_client_request *request, hd_http_client_response *response,
                     hd_error *err)
{
    *response = (hd_http_client_response){0};
    if (!is_https(request->url) && !is_http(request->url))
        return hd__fail(err, HD_ERR_ARG, "%s: neither https:// nor http://", request->url);
    exchange x = {.http = http, .request = request, .response = response};
    outcome result = TRY_AGAIN;
    uint32_t n_failed = 0; /* tries since one came further than all before it */
    for (uint32_t n_tries = 1; result == TRY_AGAIN; n_tries++) {
        result = try_once(&x);
        if (result != TRY_AGAIN)
            break;
        n_failed = x.at > x.furthest ? 1 : n_failed + 1;
        x.furthest = x.at > x.furthest ? x.at : x.furthest;
        bool never_reached = x.unreachable && !x.reached && n_failed >= MOST_UNREACHABLE_TRIES;
        if (n_failed >= http->options.n_tries || n_tries >= MOST_TRIES || never_reached)
            result = may_pass_status(response->status) ? DONE : FAILED;
        else if (!pause_for(&x, pause_ms(&x, n_failed)))
            result = FAILED;
    }
    hd__free(x.url);
    if (result == DONE)
        return HD_OK;
    return hd__fail(err, x.status, "%s", x.err.text);
}

hd_status hd__http_client_get(hd_http_client *http, const hd_http_client_request *request, hd_http_client_response *response,
                              hd_error *err)
{
    assert(request->post.ptr == NULL);
    return ask(http, request, response, err);
}

hd_status hd__http_client_post(hd_http_client *http, const hd_http_client_request *request,
                               hd_http_client_response *response, hd_error *err)
{
    assert(request->post.ptr != NULL);
    return ask(http, request, response, err);
}
