/* redis_library.c - see redis_library.h. */
#include "remote/redis_library.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stddef.h>
#include <string.h>

#define TEXT_OF(x) #x
#define SONAME(x) "libhiredis.so." TEXT_OF(x)

static const struct {
    const char *name;
    size_t offset; /* of the pointer in the table */
} symbols[] = {
    {"redisConnectNonBlock", offsetof(hd_redis_library, connect_non_block)},
    {"redisFree", offsetof(hd_redis_library, free)},
    {"redisAppendCommandArgv", offsetof(hd_redis_library, append_argv)},
    {"redisBufferRead", offsetof(hd_redis_library, buffer_read)},
    {"redisBufferWrite", offsetof(hd_redis_library, buffer_write)},
    {"redisGetReplyFromReader", offsetof(hd_redis_library, get_reply)},
    {"freeReplyObject", offsetof(hd_redis_library, free_reply)},
};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static hd_redis_library table; /* written once, under `once` */
static hd_status table_status;
static hd_error table_error;

static void open_library(void)
{
    void *handle = dlopen(SONAME(HIREDIS_SONAME), RTLD_NOW | RTLD_LOCAL);
    if (handle == NULL) {
        table_status = hd__fail(&table_error, HD_ERR_UNSUPPORTED,
                                "Redis is talked to with hiredis, which is not installed (%s)", dlerror());
        return;
    }
    for (size_t i = 0; i < sizeof symbols / sizeof *symbols; i++) {
        void *symbol = dlsym(handle, symbols[i].name);
        if (symbol == NULL) {
            table_status = hd__fail(&table_error, HD_ERR_UNSUPPORTED, "the hiredis found here has no %s", symbols[i].name);
            return;
        }
        memcpy((char *)&table + symbols[i].offset, &symbol, sizeof symbol); /* ISO C has no cast from data to function */
    }
}

hd_status hd__redis_library_open(const hd_redis_library **library, hd_error *err)
{
    pthread_once(&once, open_library);
    if (table_status != HD_OK)
        return hd__fail(err, table_status, "%s", table_error.text);
    *library = &table;
    return HD_OK;
}
