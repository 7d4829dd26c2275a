/* page.h - the page for browsers: which of its files is asked for, and the response. No socket here.
 *
 * The files are those of web/, compiled in by cmake/hd_page.cmake as hd__page_files: "/page/<name>", and "/" for
 * index.html. The page loads nothing from elsewhere and runs no script but its own: its Content-Security-Policy says so.
 */
#ifndef HD_SERVE_PAGE_H
#define HD_SERVE_PAGE_H

#include "base/http.h"

typedef struct hd_page_file {
    const char *path; /* as in hd_endpoint: "/", "/page/app.js" */
    const char *content_type;
    const char *tag; /* of its contents, without quotes: it changes when they do */
    const unsigned char *bytes;
    size_t len;
} hd_page_file;

extern const hd_page_file hd__page_files[];
extern const size_t hd__n_page_files;

/* Writes the response: the file, or 304 when the client has it. "/" is the page for those who accept HTML and a line of
 * text for others. Memory that is missing shows in response.body.failed. */
void hd__page_write(const hd_page_file *file, hd_exchange *exchange);

#endif
