/* http_client.h - GET over HTTP for the model hub, POST for telemetry: redirects, retries, resuming, cancelling.
 *
 * Redirects are followed here, not by libcurl, so that the token goes to the origin it is meant for and to no
 * other, and so that https never turns into http. A try that fails for a passing reason (no connection, time
 * out, a body cut short, 408, 429, 5xx) is made again after a growing pause or the server's Retry-After; a try
 * that came further than all before it begins the count anew, and a host that was never reached gets three. Proxies are
 * libcurl's (https_proxy, no_proxy). What is posted is sent to where it was meant for and to no other place: a redirect
 * is then an answer like any other.
 */
#ifndef HD_REMOTE_HTTP_CLIENT_H
#define HD_REMOTE_HTTP_CLIENT_H

#include "base/buffer.h"
#include "base/status.h"

/* All zero means the defaults. */
typedef struct hd_http_client_options {
    uint32_t connect_timeout_ms; /* 15,000 */
    uint32_t stall_timeout_s;    /* 30: gives a try up after so long below 100 bytes a second */
    uint32_t n_tries;            /* 5 without progress */
    uint32_t pause_ms;           /* 500 before the second try, doubled for each later one, at most 8,000 */
    uint32_t timeout_ms;         /* of one try as a whole; none */
    const char *ca_file;         /* PEM certificates to trust, in place of libcurl's own file; must outlive the client */
    const char *ca_dir;          /* the same as a folder by OpenSSL's hashed names, in place of libcurl's own folder */
} hd_http_client_options;

typedef struct hd_http_client hd_http_client; /* keeps connections; for one thread at a time */

HD_MUST_USE hd_status hd__http_client_open(const hd_http_client_options *options, hd_http_client **http, hd_error *err);
void hd__http_client_close(hd_http_client *http); /* NULL allowed */

#define HD_HTTP_CLIENT_FIELD_BYTES 256

/* What the last answer said, and X-Linked-* from whichever hop said them. "" when absent. */
typedef struct hd_http_client_response {
    uint32_t status;
    bool unreachable;                      /* no answer: the host has no address, or nobody listens there */
    bool same_origin;                      /* the last hop is on the origin that was asked */
    uint64_t body_from;                    /* the body begins at this byte of the file: where it was asked to, or 0 */
    uint64_t content_bytes;                /* Content-Length of this body; UINT64_MAX when unknown */
    char etag[HD_HTTP_CLIENT_FIELD_BYTES]; /* as sent, with its quotes */
    char content_encoding[HD_HTTP_CLIENT_FIELD_BYTES];
    char retry_after[HD_HTTP_CLIENT_FIELD_BYTES];
    char error_code[HD_HTTP_CLIENT_FIELD_BYTES],
        error_message[HD_HTTP_CLIENT_FIELD_BYTES]; /* X-Error-Code, X-Error-Message */
    char linked_etag[HD_HTTP_CLIENT_FIELD_BYTES], linked_size[HD_HTTP_CLIENT_FIELD_BYTES]; /* X-Linked-… */
} hd_http_client_response;

typedef struct hd_http_client_request {
    const char *url;            /* http:// or https://; http only ever because the caller said so */
    const char *token;          /* "Authorization: Bearer" to the URL's own origin; NULL for none */
    bool compressed;            /* accept a compressed body (it comes decoded); not for files */
    hd_span post;               /* the body to post, with its Content-Type among the headers; ptr NULL: GET */
    const char *const *headers; /* [n_headers] "Name: value", to the URL's own origin */
    size_t n_headers;

    /* Where to resume: sets *from and *if_range (an ETag with its quotes, or NULL). NULL: from the beginning.
     * Asked before every try. */
    void (*resume)(void *data, uint64_t *from, const char **if_range);
    /* Before the first byte of each try's body, for a 200 or a 206 only. Others' bodies are dropped. */
    hd_status (*begin)(void *data, const hd_http_client_response *response, hd_error *err);
    hd_status (*body)(void *data, hd_span bytes, hd_error *err);
    /* Now and then; false gives up with HD_ERR_CANCELLED. May be NULL. */
    bool (*tick)(void *data);
    void *data;
} hd_http_client_request;

/* HD_OK with whatever status the server gave in the end, 4xx too. HD_ERR_PEER: no answer, or not a whole one,
 * after all tries; HD_ERR_CANCELLED; what a callback returned. */
HD_MUST_USE hd_status hd__http_client_get(hd_http_client *http, const hd_http_client_request *request,
                                          hd_http_client_response *response, hd_error *err);

/* The same for a request with `post`, which is sent anew with every try. */
HD_MUST_USE hd_status hd__http_client_post(hd_http_client *http, const hd_http_client_request *request,
                                           hd_http_client_response *response, hd_error *err);

/* A path as part of a URL: everything but letters, digits, "-._~" (and '/' when keep_slash) becomes %XX. */
void hd__url_append(hd_buffer *url, const char *text, bool keep_slash);

#endif
