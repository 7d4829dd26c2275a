/* page.c - the page's files as responses. Policy: https://www.w3.org/TR/CSP3/; validators: RFC 9110, section 13.1.2.
 *
 * Files are asked for anew each time (no-cache) and answered with 304 while they are the same: a server of another
 * version never meets an old page.
 */
#include "serve/page.h"

#include <string.h>

static const char policy[] = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
                             "base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

static bool holds(hd_span text, const char *part)
{
    return text.len > 0 && memmem(text.ptr, text.len, part, strlen(part)) != NULL;
}

/* The tag is a long hash: finding it anywhere in the header is the comparison of weak tags that RFC 9110 asks for. */
static bool has_it(const hd_http_request *request, const hd_page_file *file)
{
    hd_span tags = hd__http_header(request, "If-None-Match");
    return hd__span_is(tags, "*") || holds(tags, file->tag);
}

void hd__page_write(const hd_page_file *file, hd_exchange *exchange)
{
    hd_http_response *response = &exchange->response;
    bool is_root = strcmp(file->path, "/") == 0;
    hd__http_set(response, "X-Content-Type-Options", hd__span_of("nosniff"));
    if (is_root)
        hd__http_set(response, "Vary", hd__span_of("Accept"));
    if (is_root && !holds(hd__http_header(&exchange->request, "Accept"), "text/html")) {
        response->status = 200;
        response->content_type = "text/plain; charset=utf-8";
        hd__buffer_append_text(&response->body, "Heddle is running\n");
        return;
    }
    hd__http_set(response, "Content-Security-Policy", hd__span_of(policy));
    hd__http_set(response, "Referrer-Policy", hd__span_of("no-referrer"));
    hd__http_set(response, "Cache-Control", hd__span_of("no-cache"));
    hd__http_setf(response, &exchange->arena, "ETag", "W/\"%s\"", file->tag);
    if (has_it(&exchange->request, file)) {
        response->status = 304;
        return;
    }
    response->status = 200;
    response->content_type = file->content_type;
    hd__buffer_append(&response->body, file->bytes, file->len);
}
