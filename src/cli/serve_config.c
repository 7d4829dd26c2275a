/* serve_config.c - see serve_config.h. The protocols with the service manager are those of sd_listen_fds(3) and
 * sd_notify(3), which are environment variables, a descriptor number and a datagram.
 */
#include "cli/serve_config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/limits.h"

#define DEFAULT_PORT 8080
#define DEFAULT_CACHE_BYTES (64u << 20)
#define DEFAULT_TIMEOUT_S 120
#define FIRST_LISTEN_FD 3
#define KEY_FILE_BYTES (1u << 20)

static const char *flag_host, *flag_port, *flag_uds, *flag_key_file, *flag_cert, *flag_key, *flag_log_format, *flag_max_body,
    *flag_redis_url;
static cli_texts flag_keys, flag_origins;
static bool flag_preload, flag_no_truncate, flag_strict_model, flag_no_gzip, flag_no_access_log;
static uint32_t flag_idle_unload, flag_timeout = DEFAULT_TIMEOUT_S, flag_max_inputs = HD_LIMIT_REQUEST_INPUTS,
                                  flag_queue = HD_LIMIT_QUEUE_TOKENS, flag_connections, flag_per_peer, flag_http_threads,
                                  flag_head = 75, flag_body = 60, flag_send = 60, flag_drain = 30, flag_redis_timeout = 50,
                                  flag_redis_ttl;

const cli_option cli_serve_options[] = {
    {.name = "host", .value = "HOST", .text = &flag_host, .help = "address to listen on (default: 127.0.0.1)"},
    {.letter = 'p', .name = "port", .value = "PORT", .text = &flag_port, .help = "TCP port, 0 for any (default: 8080)"},
    {.name = "uds", .value = "PATH", .text = &flag_uds, .help = "listen on a Unix socket; on TCP too if --host is given"},
    {.name = "api-key",
     .value = "KEY",
     .texts = &flag_keys,
     .help = "ask for this key (Authorization: Bearer or X-Api-Key); several, or separated by commas, are fine"},
    {.name = "api-key-file", .value = "FILE", .text = &flag_key_file, .help = "keys, one a line"},
    {.name = "tls-cert", .value = "FILE", .text = &flag_cert, .help = "serve HTTPS with this certificate chain (PEM)"},
    {.name = "tls-key", .value = "FILE", .text = &flag_key, .help = "and this private key (PEM)"},
    {.name = "cors-origin",
     .value = "ORIGIN",
     .texts = &flag_origins,
     .help = "let pages of this origin call; * for any; may be given several times (default: none)"},
    {.name = "preload", .flag = &flag_preload, .help = "load the models now, not at their first use"},
    {.name = "idle-unload",
     .value = "SECONDS",
     .number = &flag_idle_unload,
     .max = 1u << 30,
     .help = "unload models unused for so long (default: 0, never)"},
    {.name = "no-auto-truncate",
     .flag = &flag_no_truncate,
     .help = "refuse texts that are too long where a request does not say what to do (default: cut them)"},
    {.name = "strict-model",
     .flag = &flag_strict_model,
     .help = "refuse names of other models also when only one is served (default: it answers to any)"},
    {.name = "log-format",
     .value = "text|json",
     .text = &flag_log_format,
     .help = "of access and error log (default: text)"},
    {.name = "redis-url",
     .value = "URL",
     .text = &flag_redis_url,
     .help = "share vectors with other processes through this Redis, redis://[[user]:password@]host[:port][/db]"},
    {.name = "redis-timeout",
     .value = "MS",
     .number = &flag_redis_timeout,
     .min = 1,
     .max = 10000,
     .help = "compute what Redis does not answer in so many milliseconds (default: 50)"},
    {.name = "redis-ttl",
     .value = "SECONDS",
     .number = &flag_redis_ttl,
     .max = 1u << 30,
     .help = "let Redis forget a vector after so long (default: 0, never by itself)"},
    {.name = "no-access-log", .flag = &flag_no_access_log, .help = "log errors alone"},
    {0},
};

const cli_option cli_serve_limit_options[] = {
    {.name = "timeout",
     .value = "SECONDS",
     .number = &flag_timeout,
     .max = 1u << 20,
     .help = "for one request; 0: none (default: 120)"},
    {.name = "max-queue-tokens",
     .value = "N",
     .number = &flag_queue,
     .min = 1,
     .max = UINT32_MAX,
     .help = "tokens that may wait; beyond, 429 with Retry-After (default: 1000000)"},
    {.name = "max-inputs",
     .value = "N",
     .number = &flag_max_inputs,
     .min = 1,
     .max = 1u << 20,
     .help = "texts in one request (default: 2048)"},
    {.name = "max-body", .value = "SIZE", .text = &flag_max_body, .help = "bytes of one request (default: 32M)"},
    {.name = "max-connections",
     .value = "N",
     .number = &flag_connections,
     .min = 1,
     .max = 1u << 20,
     .help = "at once (default: 16384, or what the descriptor limit allows)"},
    {.name = "max-connections-per-peer",
     .value = "N",
     .number = &flag_per_peer,
     .max = 1u << 20,
     .help = "at once from one address; 0: no limit (default: 0)"},
    {.name = "http-threads",
     .value = "N",
     .number = &flag_http_threads,
     .max = 64,
     .help = "threads that read and write (default: one for each 4 CPUs)"},
    {.name = "head-timeout",
     .value = "SECONDS",
     .number = &flag_head,
     .min = 1,
     .max = 86400,
     .help = "for a request's head, and for idle connections (default: 75)"},
    {.name = "body-timeout",
     .value = "SECONDS",
     .number = &flag_body,
     .min = 1,
     .max = 86400,
     .help = "for a request's body (default: 60)"},
    {.name = "send-timeout",
     .value = "SECONDS",
     .number = &flag_send,
     .min = 1,
     .max = 86400,
     .help = "for a client to take its response (default: 60)"},
    {.name = "drain-timeout",
     .value = "SECONDS",
     .number = &flag_drain,
     .min = 1,
     .max = 86400,
     .help = "how long SIGTERM waits for running requests (default: 30)"},
    {.name = "no-gzip", .flag = &flag_no_gzip, .help = "never compress responses"},
    {0},
};

const char *cli_setting(const char *flag, const char *variable)
{
    const char *value = flag != NULL ? flag : getenv(variable);
    return value != NULL && value[0] != '\0' ? value : NULL;
}

bool cli_is_switched_on(const char *variable)
{
    static const char *const words[] = {"1", "true", "yes", "on"};
    const char *value = getenv(variable);
    bool is_on = false;
    for (size_t i = 0; i < sizeof words / sizeof words[0] && value != NULL; i++)
        is_on |= strcmp(value, words[i]) == 0;
    return is_on;
}

/* ---- keys ---- */

typedef struct key_list {
    hd_span keys[HD_LIMIT_API_KEYS];
    size_t n;
} key_list;

static hd_status add_keys(key_list *list, hd_span text, const char *separators, const char *source, hd_error *err)
{
    while (text.len > 0) {
        size_t n = 0;
        while (n < text.len && strchr(separators, text.ptr[n]) == NULL)
            n++;
        if (n > HD_LIMIT_API_KEY_BYTES)
            return hd__fail(err, HD_ERR_LIMIT, "%s: a key of %zu bytes, the limit is %u", source, n, HD_LIMIT_API_KEY_BYTES);
        if (n > 0 && list->n == HD_LIMIT_API_KEYS)
            return hd__fail(err, HD_ERR_LIMIT, "%s: more than %u keys", source, HD_LIMIT_API_KEYS);
        if (n > 0)
            list->keys[list->n++] = hd__span(text.ptr, n);
        n += n < text.len;
        text = hd__span(text.ptr + n, text.len - n);
    }
    return HD_OK;
}

static hd_status load_keys(cli_serve_config *c, hd_error *err)
{
    key_list *list = hd__arena_calloc(&c->arena, 1, sizeof *list);
    const char *source = "HEDDLE_API_KEY", *variable = getenv(source),
               *file = cli_setting(flag_key_file, "HEDDLE_API_KEY_FILE");
    if (list == NULL)
        return hd__fail(err, HD_ERR_MEMORY, "no memory for keys");
    for (size_t i = 0; i < flag_keys.n; i++)
        HD_TRY(add_keys(list, hd__span_of(flag_keys.items[i]), ",", "--api-key", err));
    if (variable == NULL) {
        source = "BEARER_TOKEN"; /* as the retrieval plugin calls it */
        variable = getenv(source);
    }
    if (variable != NULL && flag_keys.n == 0)
        HD_TRY(add_keys(list, hd__span_of(variable), ",", source, err));
    const bool is_asked = flag_keys.n > 0 || (variable != NULL && variable[0] != '\0');
    if (is_asked && list->n == 0) /* open to all is not what somebody who gives a key wants, */
        return hd__fail(err, HD_ERR_ARG, "%s: no key in it", flag_keys.n > 0 ? "--api-key" : source);
    if (file != NULL) {
        hd_span text;
        const size_t n = list->n;
        HD_TRY(hd__file_read(file, KEY_FILE_BYTES, &c->arena, &text, err));
        HD_TRY(add_keys(list, text, "\r\n", file, err));
        if (list->n == n) /* nor somebody who names a file of keys */
            return hd__fail(err, HD_ERR_ARG, "%s: no key in it", file);
    }
    c->server.keys = list->keys;
    c->server.n_keys = list->n;
    return HD_OK;
}

/* ---- the service manager ---- */

static hd_status load_listen_fds(cli_serve_config *c, hd_error *err)
{
    const char *pid = getenv("LISTEN_PID"), *count = getenv("LISTEN_FDS");
    if (pid == NULL || count == NULL || strtoul(pid, NULL, 10) != (unsigned long)getpid())
        return HD_OK;
    const unsigned long n = strtoul(count, NULL, 10);
    if (n == 0 || n > 16)
        return hd__fail(err, HD_ERR_ARG, "LISTEN_FDS: '%s', allowed are 1 to 16 sockets", count);
    int *fds = hd__arena_calloc(&c->arena, n, sizeof *fds);
    if (fds == NULL)
        return hd__fail(err, HD_ERR_MEMORY, "no memory for sockets");
    for (unsigned long i = 0; i < n; i++) {
        fds[i] = FIRST_LISTEN_FD + (int)i;
        if (fcntl(fds[i], F_SETFD, FD_CLOEXEC) != 0)
            return hd__fail_errno(err, errno, "LISTEN_FDS: descriptor %d", fds[i]);
    }
    unsetenv("LISTEN_PID"); /* they are not for the programs that this one starts */
    unsetenv("LISTEN_FDS");
    unsetenv("LISTEN_FDNAMES");
    c->server.listen_fds = fds;
    c->server.n_listen_fds = n;
    return HD_OK;
}

void cli_service_notify(const char *state)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (path == NULL || (path[0] != '/' && path[0] != '@') || strlen(path) >= sizeof address.sun_path)
        return;
    const size_t len = strlen(path);
    memcpy(address.sun_path, path, len);
    if (path[0] == '@')
        address.sun_path[0] = '\0';
    const int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    (void)sendto(fd, state, strlen(state), MSG_NOSIGNAL, (const struct sockaddr *)&address,
                 (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len));
    close(fd);
}

/* ---- all of it ---- */

static hd_status load_port(cli_serve_config *c, hd_error *err)
{
    const char *text = cli_setting(flag_port, "HEDDLE_PORT");
    char *end = NULL;
    c->server.port = DEFAULT_PORT;
    if (text == NULL)
        return HD_OK;
    const unsigned long port = strtoul(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end != '\0' || port > 65535)
        return hd__fail(err, HD_ERR_ARG, "%s: '%s' is not a port from 0 to 65535",
                        flag_port != NULL ? "--port" : "HEDDLE_PORT", text);
    c->server.port = (uint16_t)port;
    return HD_OK;
}

static hd_status load_server(cli_serve_config *c, hd_error *err)
{
    hd_server_options *o = &c->server;
    o->host = cli_setting(flag_host, "HEDDLE_HOST");
    o->uds_path = cli_setting(flag_uds, "HEDDLE_UDS");
    HD_TRY(load_port(c, err));
    o->tls_cert_path = cli_setting(flag_cert, "HEDDLE_TLS_CERT");
    o->tls_key_path = cli_setting(flag_key, "HEDDLE_TLS_KEY");
    if ((o->tls_cert_path == NULL) != (o->tls_key_path == NULL))
        return hd__fail(err, HD_ERR_ARG, "--tls-cert and --tls-key need each other");
    o->cors_origins = flag_origins.items;
    o->n_cors_origins = flag_origins.n;
    o->n_threads = flag_http_threads;
    o->max_connections = flag_connections;
    o->max_connections_per_peer = flag_per_peer;
    o->head_timeout_ms = flag_head * 1000;
    o->body_timeout_ms = flag_body * 1000;
    o->send_timeout_ms = flag_send * 1000;
    o->drain_timeout_ms = flag_drain * 1000;
    o->no_gzip = flag_no_gzip;
    o->max_body_bytes = HD_LIMIT_BODY_BYTES;
    if (flag_max_body != NULL)
        HD_TRY(cli_bytes_parse(flag_max_body, "--max-body", &o->max_body_bytes, err));
    if (o->max_body_bytes == 0)
        return hd__fail(err, HD_ERR_ARG, "--max-body: '%s' leaves no byte for a request", flag_max_body);
    HD_TRY(load_keys(c, err));
    return load_listen_fds(c, err);
}

hd_status cli_serve_config_load(cli_serve_config *c, hd_error *err)
{
    *c = (cli_serve_config){0};
    hd__arena_init(&c->arena);
    HD_TRY(cli_config_load(&c->base, err));
    c->models = cli_given_models;
    if (c->models.n == 0)
        c->models = (cli_texts){{c->base.model}, 1};
    if (!c->base.cache_is_given)
        c->base.cache_bytes = DEFAULT_CACHE_BYTES;
    if (flag_idle_unload != 0)
        c->base.idle_unload_s = flag_idle_unload;
    HD_TRY(load_server(c, err));
    c->log_json = flag_log_format != NULL && strcmp(flag_log_format, "json") == 0;
    if (flag_log_format != NULL && !c->log_json && strcmp(flag_log_format, "text") != 0)
        return hd__fail(err, HD_ERR_ARG, "--log-format: '%s' is neither text nor json", flag_log_format);
    c->preload = flag_preload || cli_is_switched_on("HEDDLE_PRELOAD");
    c->strict_model = flag_strict_model;
    c->redis_url = cli_setting(flag_redis_url, "HEDDLE_REDIS_URL");
    c->redis_timeout_ms = flag_redis_timeout;
    c->redis_ttl_s = flag_redis_ttl;
    c->no_access_log = flag_no_access_log || cli_quiet;
    c->timeout_ms = flag_timeout < UINT32_MAX / 1000 ? flag_timeout * 1000 : UINT32_MAX;
    c->settings = (hd_wire_settings){
        .build = hd__arena_printf(&c->arena, "heddle %s", hd_version()),
        .max_inputs = flag_max_inputs,
        .max_queue_tokens = flag_queue,
        .max_body_bytes = c->server.max_body_bytes,
        .auto_truncate = !flag_no_truncate,
        .has_tls = c->server.tls_cert_path != NULL,
        .start_s = (uint64_t)time(NULL),
    };
    return c->settings.build != NULL ? HD_OK : hd__fail(err, HD_ERR_MEMORY, "no memory for the settings");
}

void cli_serve_config_clear(cli_serve_config *c)
{
    hd__arena_clear(&c->arena);
}
