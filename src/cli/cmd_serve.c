/* cmd_serve.c - `heddle serve`: the engine behind HTTP. Here serve and wire meet: each path of the protocols becomes an
 * endpoint of the server.
 *
 * The main thread waits for SIGTERM, SIGINT or SIGHUP, then drains: no new connections, every request that was accepted
 * is answered. A second signal ends the process at once.
 */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "base/log.h"
#include "base/thread_name.h"
#include "cli/access_log.h"
#include "cli/commands.h"
#include "cli/page_status.h"
#include "cli/serve_index.h"
#include "cli/serve_models.h"
#include "cli/telemetry.h"
#include "engine/lookup.h"
#include "remote/redis.h"
#include "wire/openai.h"

typedef struct serving {
    cli_serve_config config;
    hd_redis *redis; /* NULL: none */
    hd_engine *engine;
    hd_models *models;
    cli_serve_index index;
    hd_service *service;
    hd_endpoint *endpoints;
    size_t n_endpoints;
    cli_page page;
    cli_telemetry telemetry;
    hd_observer observers[CLI_TELEMETRY_OBSERVERS + 2]; /* and the page, the access log */
    hd_server *server;
    pthread_t preloader;
    bool preloads;
    atomic_bool is_stopping;
} serving;

/* ---- serve and wire ---- */

static void begin(hd_exchange *exchange, void *data)
{
    hd__service_begin(data, exchange);
}

static void cancel(hd_exchange *exchange, void *data)
{
    hd__service_cancel(data, exchange);
}

static void write_fault(const hd_fault *fault, hd_exchange *x, void *data)
{
    const hd_service_path *path = data;
    x->record.route = path->path;
    x->record.dialect = path->dialect->name;
    path->dialect->write_fault(fault, &x->request, &x->arena, &x->response);
}

static void write_other_fault(const hd_fault *fault, hd_exchange *x, void *data)
{
    (void)data;
    hd__dialect_openai.write_fault(fault, &x->request, &x->arena, &x->response);
}

static hd_status make_endpoints(serving *s, hd_error *err)
{
    size_t n;
    const hd_service_path *paths = hd__service_paths(s->service, &n);
    const size_t n_page = cli_page_endpoints(&s->page, NULL);
    s->endpoints = hd__arena_calloc(&s->config.arena, n + n_page + CLI_TELEMETRY_ENDPOINTS, sizeof *s->endpoints);
    if (s->endpoints == NULL)
        return hd__fail(err, HD_ERR_MEMORY, "no memory for %zu endpoints", n + n_page);
    for (size_t i = 0; i < n; i++)
        s->endpoints[s->n_endpoints++] = (hd_endpoint){
            .method = paths[i].method,
            .path = paths[i].path,
            .is_public = paths[i].is_public,
            .begin = begin,
            .cancel = cancel,
            .write_fault = write_fault,
            .data = (void *)(uintptr_t)&paths[i],
        };
    s->n_endpoints += cli_page_endpoints(&s->page, s->endpoints + s->n_endpoints);
    s->n_endpoints += cli_telemetry_endpoints(&s->telemetry, s->endpoints + s->n_endpoints);
    return HD_OK;
}

/* ---- opening ---- */

static hd_status open_redis(serving *s, hd_error *err)
{
    const hd_redis_options options = {
        .url = s->config.redis_url, .timeout_ms = s->config.redis_timeout_ms, .ttl_s = s->config.redis_ttl_s};
    if (options.url == NULL)
        return HD_OK;
    HD_TRY(hd__redis_open(&options, &s->redis, err));
    hd__engine_set_store(s->engine, hd__redis_store(s->redis));
    return HD_OK;
}

static hd_status open_models(serving *s, hd_error *err)
{
    const cli_config *c = &s->config.base;
    const hd_engine_options options = {
        .n_threads = c->n_threads,
        .idle_unload_s = c->idle_unload_s,
        .memory_limit_bytes = c->memory_limit_bytes,
        .cache_bytes = c->cache_bytes,
        .cache_dir = c->cache_dir,
        .max_queue_tokens = s->config.settings.max_queue_tokens,
        .device = c->device,
        .device_memory_share = c->device_memory_share,
        .device_memory_bytes = c->device_memory_bytes,
    };
    HD_TRY(hd_engine_open(&options, &s->engine, err));
    HD_TRY(open_redis(s, err));
    HD_TRY(hd__models_open(s->engine, s->config.strict_model, &s->models, err));
    HD_TRY(cli_serve_models_add(&s->config, s->models, err));
    return cli_serve_index_open(&s->config, s->engine, s->models, &s->index, err);
}

static hd_status open_service(serving *s, hd_error *err)
{
    hd_engine_stats stats;
    hd_engine_get_stats(s->engine, &stats);
    hd_service_options options = {
        .settings = s->config.settings,
        .timeout_ms = s->config.timeout_ms,
        .n_threads = stats.n_threads < 4 ? 2 : stats.n_threads / 2,
        .finish = hd__exchange_finish,
        .find_index = s->config.settings.has_index ? cli_serve_index_find : NULL,
        .index_data = &s->index,
    };
    options.settings.n_threads = stats.n_threads;
    HD_TRY(hd__service_open(s->engine, s->models, &options, &s->service, err));
    s->page = (cli_page){.engine = s->engine, .models = s->models, .service = s->service, .config = &s->config};
    HD_TRY(cli_page_open(&s->page, err));
    s->telemetry = (cli_telemetry){.engine = s->engine,
                                   .models = s->models,
                                   .service = s->service,
                                   .settings = &s->config.settings,
                                   .index = &s->index};
    HD_TRY(cli_telemetry_open(&s->telemetry, err));
    return make_endpoints(s, err);
}

static void *preload(void *data)
{
    serving *s = data;
    hd__thread_name("heddle-preload");
    cli_serve_index_await(&s->index);
    if (s->config.preload)
        hd__models_preload(s->models);
    hd__service_set_ready(s->service, true);
    if (atomic_load(&s->is_stopping)) /* said so before that */
        hd__service_set_ready(s->service, false);
    cli_serve_index_retry(&s->index);
    return NULL;
}

static hd_status start(serving *s, hd_error *err)
{
    HD_TRY(cli_serve_config_load(&s->config, err));
    HD_TRY(cli_serve_index_load(&s->config, err));
    HD_TRY(open_models(s, err));
    HD_TRY(open_service(s, err));
    HD_TRY(cli_access_log_open(s->config.log_json, err));
    hd__log_set_sink(cli_access_log_line, NULL);
    size_t n_observers = cli_telemetry_observers(&s->telemetry, s->observers);
    s->observers[n_observers++] = cli_page_observer(&s->page);
    if (!s->config.no_access_log)
        s->observers[n_observers++] = (hd_observer){cli_access_log_add, NULL};
    s->config.server.observers = s->observers;
    s->config.server.n_observers = n_observers;
    s->config.server.write_fault = write_other_fault;
    HD_TRY(hd__server_open(s->endpoints, s->n_endpoints, &s->config.server, &s->server, err));
    s->page.server = s->server;
    atomic_store(&s->telemetry.server, s->server);
    const bool has_to_wait = s->config.preload || cli_serve_index_is_awaited(&s->index);
    s->preloads = has_to_wait && pthread_create(&s->preloader, NULL, preload, s) == 0;
    if (!s->preloads)
        hd__service_set_ready(s->service, true);
    return HD_OK;
}

static void stop(serving *s)
{
    atomic_store(&s->is_stopping, true);
    if (s->server != NULL) {
        hd__service_set_ready(s->service, false);
        const uint64_t n = hd__server_drain(s->server);
        if (n > 0)
            hd__log(HD_LOG_WARN, "%llu requests were cut off", (unsigned long long)n);
    }
    if (s->models != NULL)
        hd__models_stop(s->models);
    cli_serve_index_stop(&s->index);
    if (s->preloads)
        pthread_join(s->preloader, NULL);
    hd__server_close(s->server);
    cli_page_close(&s->page);
    cli_telemetry_close(&s->telemetry);
    hd__service_close(s->service);
    cli_serve_index_close(&s->index);
    hd__models_close(s->models);
    hd_engine_close(s->engine);
    hd__redis_close(s->redis);
    hd__log_set_sink(NULL, NULL);
    cli_access_log_close();
    cli_serve_config_clear(&s->config);
}

static void say_where(const serving *s)
{
    const hd_server_options *o = &s->config.server;
    const char *host = o->host != NULL ? o->host : "127.0.0.1";
    const char *scheme = o->tls_cert_path != NULL ? "https" : "http";
    if (hd__server_port(s->server) != 0)
        cli_notice(strchr(host, ':') != NULL ? "listening on %s://[%s]:%u" : "listening on %s://%s:%u", scheme, host,
                   hd__server_port(s->server));
    if (o->uds_path != NULL && o->n_listen_fds == 0)
        cli_notice("listening on %s", o->uds_path);
    if (o->n_listen_fds > 0)
        cli_notice("listening on %zu sockets of the service manager", o->n_listen_fds);
}

static int run_serve(int n_args, char **args)
{
    static serving s;
    hd_error err = {0};
    sigset_t signals;
    int number = 0;
    if (n_args > 0)
        return cli_exit_code(hd__fail(&err, HD_ERR_ARG, "serve: unexpected argument '%s'", args[0]), &err);
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &signals, NULL); /* in all threads to come */
    const hd_status status = start(&s, &err);
    if (status == HD_OK) {
        say_where(&s);
        cli_service_notify("READY=1");
        while (sigwait(&signals, &number) != 0)
            continue;
        cli_service_notify("STOPPING=1");
        cli_notice("stopping");
        pthread_sigmask(SIG_UNBLOCK, &signals, NULL); /* a second one ends it */
    }
    stop(&s);
    return cli_exit_code(status, &err);
}

const cli_command cli_serve = {
    .name = "serve",
    .arguments = "",
    .summary = "Answers requests over HTTP, in the protocols of those who ask",
    .tables = {cli_serve_model_options, cli_length_options, cli_serve_source_options, cli_serve_index_options,
               cli_serve_options, cli_serve_limit_options},
    .prepare = cli_serve_prepare,
    .notes = "Try\n"
             "  heddle serve --model sentence-transformers/all-MiniLM-L6-v2\n"
             "  curl http://127.0.0.1:8080/v1/embeddings -H 'Content-Type: application/json' \\\n"
             "       -d '{\"input\": \"a sentence\"}'",
    .run = run_serve,
};
