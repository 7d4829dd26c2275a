/* curl_library.c - see curl_library.h. */
#include "remote/curl_library.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stddef.h>
#include <string.h>

static const struct {
    const char *name;
    size_t offset; /* of the pointer in the table */
} symbols[] = {
    {"curl_global_init", offsetof(hd_curl_library, global_init)},
    {"curl_easy_init", offsetof(hd_curl_library, easy_init)},
    {"curl_easy_cleanup", offsetof(hd_curl_library, easy_cleanup)},
    {"curl_easy_reset", offsetof(hd_curl_library, easy_reset)},
    {"curl_easy_setopt", offsetof(hd_curl_library, easy_setopt)},
    {"curl_easy_perform", offsetof(hd_curl_library, easy_perform)},
    {"curl_easy_getinfo", offsetof(hd_curl_library, easy_getinfo)},
    {"curl_easy_strerror", offsetof(hd_curl_library, easy_strerror)},
    {"curl_slist_append", offsetof(hd_curl_library, slist_append)},
    {"curl_slist_free_all", offsetof(hd_curl_library, slist_free_all)},
};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static hd_curl_library table; /* written once, under `once` */
static hd_status table_status;
static hd_error table_error;

static void open_library(void)
{
    static const char *const names[] = {"libcurl.so.4", "libcurl-gnutls.so.4"};
    void *handle = NULL;
    for (size_t i = 0; handle == NULL && i < sizeof names / sizeof *names; i++)
        handle = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
    if (handle == NULL) {
        table_status = hd__fail(&table_error, HD_ERR_UNSUPPORTED,
                                "models are pulled with libcurl, which is not installed (%s)", dlerror());
        return;
    }
    for (size_t i = 0; i < sizeof symbols / sizeof *symbols; i++) {
        void *symbol = dlsym(handle, symbols[i].name);
        if (symbol == NULL) {
            table_status = hd__fail(&table_error, HD_ERR_UNSUPPORTED, "the libcurl found here has no %s", symbols[i].name);
            return;
        }
        memcpy((char *)&table + symbols[i].offset, &symbol, sizeof symbol); /* ISO C has no cast from data to function */
    }
    CURLcode code = table.global_init(CURL_GLOBAL_DEFAULT);
    if (code != CURLE_OK)
        table_status = hd__fail(&table_error, HD_ERR_UNSUPPORTED, "libcurl does not start: %s", table.easy_strerror(code));
}

hd_status hd__curl_library_open(const hd_curl_library **library, hd_error *err)
{
    pthread_once(&once, open_library);
    if (table_status != HD_OK)
        return hd__fail(err, table_status, "%s", table_error.text);
    *library = &table;
    return HD_OK;
}
