/* curl_library.h - libcurl, opened when it is first needed.
 *
 * libcurl brings some thirty libraries with it, milliseconds that a process which never pulls a model should
 * not spend at its start. Functions are called through this table; options are checked by the headers of the
 * libcurl that Heddle was built with, whose ABI (soname 4) is stable.
 */
#ifndef HD_REMOTE_CURL_LIBRARY_H
#define HD_REMOTE_CURL_LIBRARY_H

#include <curl/curl.h>

#include "base/status.h"

typedef struct hd_curl_library {
    CURLcode (*global_init)(long flags);
    CURL *(*easy_init)(void);
    void (*easy_cleanup)(CURL *easy);
    void (*easy_reset)(CURL *easy);
    CURLcode (*easy_setopt)(CURL *easy, CURLoption option, ...);
    CURLcode (*easy_perform)(CURL *easy);
    CURLcode (*easy_getinfo)(CURL *easy, CURLINFO info, ...);
    const char *(*easy_strerror)(CURLcode code);
    struct curl_slist *(*slist_append)(struct curl_slist *list, const char *text);
    void (*slist_free_all)(struct curl_slist *list);
} hd_curl_library;

/* The table, the same for every caller and never closed. HD_ERR_UNSUPPORTED when there is no libcurl. */
HD_MUST_USE hd_status hd__curl_library_open(const hd_curl_library **library, hd_error *err);

#endif
