/* page_status.c - see page_status.h. Asked for each second by every open page, so it costs little: the machine's memory,
 * which takes reading several files, is read every other second at most.
 */
#include "cli/page_status.h"

#include <inttypes.h>
#include <stdio.h>
#include <sys/resource.h>
#include <time.h>

#include "base/clock.h"
#include "cli/progress.h"
#include "serve/page.h"
#include "wire/answer.h"

#define MACHINE_PERIOD_NS 2000000000u

/* ---- parts ---- */

static void write_process(hd_buffer *b, const cli_page *page)
{
    hd_server_stats server = {0};
    struct rusage usage = {0};
    hd_server *open = page->server;
    if (open != NULL)
        hd__server_get_stats(open, &server);
    getrusage(RUSAGE_SELF, &usage);
    const int64_t cpu_us =
        (int64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000 + usage.ru_utime.tv_usec + usage.ru_stime.tv_usec;
    const uint32_t n_others = server.n_in_flight > 0 ? server.n_in_flight - 1 : 0; /* but for the one that asks */
    hd__buffer_printf(
        b, ",\"process\":{\"rss_bytes\":%" PRIu64 ",\"cpu_us\":%" PRId64 ",\"n_in_flight\":%u,\"n_connections\":%u}",
        hd__machine_rss(), cpu_us, n_others, server.n_connections);
}

static void write_number(hd_buffer *b, const char *name, int32_t value)
{
    if (value >= 0)
        hd__buffer_printf(b, ",\"%s\":%d", name, value);
}

/* The GPUs that are open: to look must not start a driver. */
static void write_gpus(hd_buffer *b, hd_engine *engine)
{
    hd_device_info d;
    hd__buffer_append_text(b, ",\"gpus\":[");
    for (uint32_t i = 0; hd_engine_get_device(engine, i, &d); i++) {
        hd__buffer_append_text(b, i > 0 ? ",{\"name\":" : "{\"name\":");
        hd__write_cstr(b, d.name);
        hd__buffer_append_text(b, ",\"hardware\":");
        hd__write_cstr(b, d.hardware);
        hd__buffer_append_text(b, ",\"driver\":");
        hd__write_cstr(b, d.driver);
        hd__buffer_printf(b,
                          ",\"up\":%s,\"memory_bytes\":%" PRIu64 ",\"free_bytes\":%" PRIu64 ",\"used_bytes\":%" PRIu64
                          ",\"n_batches\":%" PRIu64 ",\"n_texts\":%" PRIu64 ",\"n_failures\":%" PRIu64,
                          d.is_up ? "true" : "false", d.memory_bytes, d.free_bytes, d.used_bytes, d.n_batches, d.n_texts,
                          d.n_out_of_memory + d.n_failures);
        write_number(b, "utilisation_percent", d.utilisation_percent);
        write_number(b, "temperature_c", d.temperature_c);
        write_number(b, "clock_mhz", d.clock_mhz);
        hd__buffer_append_char(b, '}');
    }
    hd__buffer_append_char(b, ']');
}

static void write_machine(hd_buffer *b, cli_page *page)
{
    const uint64_t now_ns = hd__now_ns();
    pthread_mutex_lock(&page->lock);
    if (page->machine_ns == 0 || now_ns - page->machine_ns > MACHINE_PERIOD_NS) {
        hd__machine_get(&page->machine);
        page->machine_ns = now_ns;
    }
    const hd_machine machine = page->machine;
    pthread_mutex_unlock(&page->lock);
    hd__buffer_append_text(b, ",\"device\":");
    hd__write_cstr(b, hd_device_text());
    write_gpus(b, page->engine);
    hd__buffer_append_text(b, ",\"machine\":{\"cpu\":");
    hd__write_cstr(b, machine.cpu_name);
    hd__buffer_printf(b, ",\"n_cpus\":%u,\"memory_bytes\":%" PRIu64 ",\"memory_free_bytes\":%" PRIu64 "}",
                      machine.n_cpus_allowed, machine.memory_bytes, machine.memory_free_bytes);
}

static void write_engine(hd_buffer *b, hd_engine *engine)
{
    hd_engine_stats s;
    hd_engine_get_stats(engine, &s);
    const struct {
        const char *name;
        uint64_t value;
    } fields[] = {
        {"n_texts", s.n_texts},
        {"n_tokens", s.n_tokens},
        {"cache_hits", s.cache_hits},
        {"cache_misses", s.cache_misses},
        {"cache_entries", s.cache_entries},
        {"cache_used_bytes", s.cache_used_bytes},
        {"weights_bytes", s.weights_bytes},
        {"scratch_bytes", s.scratch_bytes},
        {"n_threads", s.n_threads},
        {"n_models_loaded", s.n_models_loaded},
        {"queue_texts", s.queue_texts},
        {"queue_tokens", s.queue_tokens},
        {"n_shared", s.n_shared},
        {"n_batches", s.n_batches},
        {"n_batch_texts", s.n_batch_texts},
        {"n_batch_tokens", s.n_batch_tokens},
        {"n_batch_capacity", s.n_batch_capacity},
    };
    hd__buffer_append_text(b, ",\"engine\":{");
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        hd__buffer_printf(b, "%s\"%s\":%" PRIu64, i > 0 ? "," : "", fields[i].name, fields[i].value);
    hd__buffer_append_char(b, '}');
}

static const char *state_name(hd_model_state state)
{
    static const char *const names[] = {
        [HD_MODEL_UNLOADED] = "unloaded",
        [HD_MODEL_LOADING] = "loading",
        [HD_MODEL_LOADED] = "loaded",
        [HD_MODEL_FAILED] = "failed",
    };
    return (size_t)state < sizeof names / sizeof *names ? names[state] : "unknown";
}

/* What comes out of the model. */
static void write_heads(hd_buffer *b, uint32_t heads)
{
    const char *separator = "";
    hd__buffer_append_text(b, ",\"heads\":[");
    for (uint32_t head = HD_HEAD_DENSE; head <= HD_HEAD_SCORES; head <<= 1) {
        if ((heads & head) == 0)
            continue;
        hd__buffer_printf(b, "%s\"%s\"", separator, hd_head_name(head));
        separator = ",";
    }
    hd__buffer_append_char(b, ']');
}

static void write_model(hd_buffer *b, const hd_model_card *card)
{
    const hd_model_info *info = &card->info;
    const struct {
        const char *name, *value;
    } texts[] = {
        {"name", card->name},
        {"path", info->path},
        {"state", state_name(card->state)},
        {"architecture", info->architecture},
        {"pooling", info->pooling},
        {"similarity", info->similarity},
        {"dtype", cli_dtype_name(info->dtype)},
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        hd__buffer_printf(b, "%s\"%s\":", i > 0 ? "," : "{", texts[i].name);
        hd__write_cstr(b, texts[i].value);
    }
    write_heads(b, info->heads);
    hd__buffer_printf(b,
                      ",\"n_dimensions\":%u,\"max_length\":%u,\"n_layers\":%u,\"hidden_size\":%u,\"n_heads\":%u"
                      ",\"weights_bytes\":%" PRIu64 ",\"created_s\":%" PRIu64 "}",
                      info->n_dimensions, info->max_length, info->n_layers, info->hidden_size, info->n_heads,
                      card->weights_bytes, card->created_s);
}

static hd_status write_models(hd_buffer *b, const cli_page *page, hd_arena *arena, hd_error *err)
{
    const hd_model_card *cards;
    size_t n;
    HD_TRY(hd__models_list(page->models, arena, &cards, &n, err));
    hd__buffer_append_text(b, ",\"models\":[");
    for (size_t i = 0; i < n; i++) {
        if (i > 0)
            hd__buffer_append_char(b, ',');
        write_model(b, &cards[i]);
    }
    hd__buffer_append_char(b, ']');
    return HD_OK;
}

/* ---- settings ---- */

typedef struct setting_list {
    hd_buffer *body;
    bool any;
} setting_list;

static void setting(setting_list *list, const char *name, const char *value)
{
    hd__buffer_append_text(list->body, list->any ? ",{\"name\":" : "{\"name\":");
    hd__write_cstr(list->body, name);
    hd__buffer_append_text(list->body, ",\"value\":");
    hd__write_cstr(list->body, value);
    hd__buffer_append_char(list->body, '}');
    list->any = true;
}

/* n and its unit; `none` in its place when n is 0 (NULL: 0 is a number as any). */
static void setting_count(setting_list *list, const char *name, uint64_t n, const char *unit, const char *none)
{
    char number[32], text[64];
    snprintf(text, sizeof text, "%s%s%s", cli_count_text(n, number), unit[0] != '\0' ? " " : "", unit);
    setting(list, name, n == 0 && none != NULL ? none : text);
}

static void setting_bytes(setting_list *list, const char *name, uint64_t n, const char *none)
{
    char text[32];
    setting(list, name, n == 0 && none != NULL ? none : cli_bytes_text(n, text));
}

static void setting_bool(setting_list *list, const char *name, bool value)
{
    setting(list, name, value ? "yes" : "no");
}

static void setting_port(setting_list *list, const hd_server *server)
{
    char text[16];
    const uint16_t port = server != NULL ? hd__server_port(server) : 0;
    snprintf(text, sizeof text, "%u", port);
    setting(list, "port", port != 0 ? text : "none");
}

static void write_settings(hd_buffer *b, const cli_page *page)
{
    const cli_serve_config *c = page->config;
    const hd_server_options *o = &c->server;
    setting_list list = {b, false};
    hd__buffer_append_text(b, ",\"settings\":[");
    setting_port(&list, page->server);
    setting(&list, "Unix socket", o->uds_path != NULL ? o->uds_path : "none");
    setting_bool(&list, "TLS", o->tls_cert_path != NULL);
    setting_count(&list, "keys", o->n_keys, "", "none: open to all who reach it");
    setting_count(&list, "request deadline", c->timeout_ms / 1000, "s", "none");
    setting_count(&list, "queue", c->settings.max_queue_tokens, "tokens", "no limit");
    setting_count(&list, "inputs of a request", c->settings.max_inputs, "", NULL);
    setting_bytes(&list, "body of a request", o->max_body_bytes, "32 MiB");
    setting_count(&list, "connections from one address", o->max_connections_per_peer, "", "no limit");
    setting_count(&list, "drain at the end", o->drain_timeout_ms / 1000, "s", NULL);
    setting_bool(&list, "compressed responses", !o->no_gzip);
    setting_bool(&list, "too long texts are cut", c->settings.auto_truncate);
    setting_bool(&list, "model names must match", c->strict_model);
    setting_bytes(&list, "vector cache", c->base.cache_bytes, "off");
    setting_bytes(&list, "memory limit", c->base.memory_limit_bytes, "0.8 of the machine's");
    setting_count(&list, "idle models are unloaded after", c->base.idle_unload_s, "s", "never");
    setting_bool(&list, "models loaded at the start", c->preload);
    setting_bool(&list, "index", c->settings.has_index);
    setting_bool(&list, "reranking of what is found", c->settings.has_reranker);
    hd__buffer_append_char(b, ']');
}

/* ---- endpoints ---- */

static hd_status write_status(hd_exchange *exchange, cli_page *page, hd_error *err)
{
    hd_buffer *b = &exchange->response.body;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    const hd_span since = hd__http_query(&exchange->request, "since", &exchange->arena);
    uint64_t second = 0;
    for (size_t i = 0; i < since.len && i < 18 && since.ptr[i] >= '0' && since.ptr[i] <= '9'; i++)
        second = second * 10 + (uint64_t)(since.ptr[i] - '0');
    hd__buffer_printf(b, "{\"version\":\"%s\",\"now_s\":%" PRId64 ".%03ld,\"start_s\":%" PRIu64 ",\"ready\":%s,\"index\":%s",
                      hd_version(), (int64_t)now.tv_sec, now.tv_nsec / 1000000, page->config->settings.start_s,
                      hd__service_ready(page->service) ? "true" : "false",
                      page->config->settings.has_index ? "true" : "false");
    write_machine(b, page);
    write_process(b, page);
    write_engine(b, page->engine);
    hd__buffer_append_text(b, ",\"history\":");
    hd__history_write(page->history, second, b);
    HD_TRY(write_models(b, page, &exchange->arena, err));
    write_settings(b, page);
    hd__buffer_append_char(b, '}');
    return HD_OK;
}

static void begin_status(hd_exchange *exchange, void *data)
{
    hd_http_response *response = &exchange->response;
    hd_error err;
    exchange->record.route = "/page/status";
    response->status = 200;
    response->content_type = "application/json";
    hd__http_set(response, "Cache-Control", hd__span_of("no-store"));
    if (write_status(exchange, (cli_page *)data, &err) != HD_OK || response->body.failed) {
        hd__buffer_reset(&response->body);
        hd__buffer_append_text(&response->body, "{\"error\":\"no memory for the status\"}");
        response->status = 503;
        exchange->record.fault = HD_FAULT_MEMORY;
    }
    hd__exchange_finish(exchange);
}

static void begin_file(hd_exchange *exchange, void *data)
{
    const hd_page_file *file = (const hd_page_file *)data;
    exchange->record.route = file->path;
    hd__page_write(file, exchange);
    hd__exchange_finish(exchange);
}

size_t cli_page_endpoints(cli_page *page, hd_endpoint *endpoints)
{
    for (size_t i = 0; endpoints != NULL && i < hd__n_page_files; i++)
        endpoints[i] = (hd_endpoint){
            .path = hd__page_files[i].path,
            .is_public = true,
            .begin = begin_file,
            .data = (void *)(uintptr_t)&hd__page_files[i],
        };
    if (endpoints != NULL)
        endpoints[hd__n_page_files] = (hd_endpoint){.path = "/page/status", .begin = begin_status, .data = page};
    return hd__n_page_files + 1;
}

hd_observer cli_page_observer(const cli_page *page)
{
    return (hd_observer){hd__history_add, page->history};
}

hd_status cli_page_open(cli_page *page, hd_error *err)
{
    if (pthread_mutex_init(&page->lock, NULL) != 0)
        return hd__fail(err, HD_ERR_MEMORY, "no memory for the page's lock");
    hd_status status = hd__history_open(&page->history, err);
    if (status != HD_OK)
        pthread_mutex_destroy(&page->lock);
    return status;
}

void cli_page_close(cli_page *page)
{
    if (page->history == NULL)
        return;
    pthread_mutex_destroy(&page->lock);
    hd__history_close(page->history);
    page->history = NULL;
}
