/* routing.c - which endpoint a request is for. A table of some dozens of paths: looked through from the top. */
#include <stdio.h>

#include "serve/server_int.h"

static bool matches(const char *pattern, hd_span path)
{
    const size_t n = strlen(pattern);
    if (n > 0 && pattern[n - 1] == '*')
        return path.len >= n && memcmp(path.ptr, pattern, n - 1) == 0;
    return path.len == n && memcmp(path.ptr, pattern, n) == 0;
}

static void add_method(char allow[64], const char *name)
{
    const size_t n = strlen(allow);
    if (strstr(allow, name) == NULL)
        snprintf(allow + n, 64 - n, "%s%s", n > 0 ? ", " : "", name);
}

const hd_endpoint *hd__route_find(const hd_server *server, hd_http_method method, hd_span path, hd_fault_kind *fault,
                                  char allow[64])
{
    static const char *const names[] = {"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"};
    const hd_http_method wanted = method == HD_HTTP_HEAD ? HD_HTTP_GET : method;
    const hd_endpoint *first = NULL;
    *fault = HD_FAULT_NONE;
    allow[0] = '\0';
    for (size_t i = 0; i < server->n_endpoints; i++) {
        const hd_endpoint *e = &server->endpoints[i];
        if (!matches(e->path, path))
            continue;
        if (e->method == wanted)
            return e;
        first = first != NULL ? first : e;
        add_method(allow, names[e->method]);
        if (e->method == HD_HTTP_GET)
            add_method(allow, "HEAD");
    }
    if (first != NULL)
        add_method(allow, "OPTIONS");
    *fault = first != NULL ? HD_FAULT_METHOD : HD_FAULT_ROUTE;
    return first;
}
