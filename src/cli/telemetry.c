/* telemetry.c - see telemetry.h. */
#include "cli/telemetry.h"

#include <stdlib.h>

#include "base/limits.h"
#include "cpu/machine.h"
#include "wire/openai.h"

static const char *const state_names[] = {[HD_MODEL_UNLOADED] = "unloaded",
                                          [HD_MODEL_LOADING] = "loading",
                                          [HD_MODEL_LOADED] = "loaded",
                                          [HD_MODEL_FAILED] = "failed",
                                          [HD_MODEL_FAILED + 1] = NULL};

/* ---- metrics ---- */

/* Without memory for their cards the models are left out. */
static void look_at_models(const cli_telemetry *t, hd_arena *arena, hd_metrics_sample *sample)
{
    const hd_model_card *cards;
    hd_error err;
    size_t n;
    if (hd__models_list(t->models, arena, &cards, &n, &err) != HD_OK)
        return;
    hd_metrics_model *models = hd__arena_calloc(arena, n, sizeof *models);
    for (size_t i = 0; models != NULL && i < n; i++)
        models[i] = (hd_metrics_model){cards[i].name, state_names[cards[i].state], cards[i].weights_bytes};
    sample->models = models;
    sample->n_models = models != NULL ? n : 0;
}

/* The GPUs that are open: to look must not start a driver. */
static void look_at_devices(hd_engine *engine, hd_arena *arena, hd_metrics_sample *sample)
{
    hd_device_info *devices = hd__arena_calloc(arena, HD_LIMIT_DEVICES, sizeof *devices);
    uint32_t n = 0;
    while (devices != NULL && n < HD_LIMIT_DEVICES && hd_engine_get_device(engine, n, &devices[n]))
        n++;
    sample->devices = devices;
    sample->n_devices = n;
}

static void look(hd_metrics_sample *sample, hd_arena *arena, void *data)
{
    cli_telemetry *t = data;
    hd_server *server = atomic_load(&t->server);
    hd_engine_get_stats(t->engine, &sample->engine);
    if (server != NULL)
        hd__server_get_stats(server, &sample->server);
    if (sample->server.n_in_flight > 0)
        sample->server.n_in_flight--; /* the one that asks */
    hd__traces_get_stats(t->traces, &sample->traces);
    hd_error err;
    hd_index *index = atomic_load(&t->index->index);
    sample->has_index = index != NULL && hd_index_get_stats(index, &sample->index, &err) == HD_OK;
    sample->ready = hd__service_ready(t->service);
    look_at_models(t, arena, sample);
    look_at_devices(t->engine, arena, sample);
}

/* A request for the metrics, on its exchange's arena. */
typedef struct asked {
    hd_task_node node; /* first: the pool hands it back */
    cli_telemetry *telemetry;
    hd_exchange *exchange;
} asked;

static void finish_without_memory(hd_exchange *x)
{
    hd_fault fault;
    HD_IGNORE(hd__fault(&fault, HD_FAULT_MEMORY, NULL, "no memory for the metrics"));
    x->record.fault = fault.kind;
    hd__dialect_openai.write_fault(&fault, &x->request, &x->arena, &x->response);
    hd__exchange_finish(x);
}

static void write_metrics(hd_task_node *node)
{
    const asked *a = (const asked *)node;
    hd_exchange *x = a->exchange;
    hd__metrics_write(a->telemetry->metrics, &x->arena, &x->response);
    if (x->response.body.failed)
        finish_without_memory(x);
    else
        hd__exchange_finish(x);
}

static void begin_metrics(hd_exchange *x, void *data)
{
    cli_telemetry *t = data;
    asked *a = hd__arena_alloc(&x->arena, sizeof *a);
    x->record.route = "/metrics";
    if (a == NULL) {
        finish_without_memory(x);
        return;
    }
    *a = (asked){.node = {.run = write_metrics}, .telemetry = t, .exchange = x};
    hd__pool_push(t->writer, &a->node);
}

/* ---- traces ---- */

static const char *from_environment(void *data, const char *name)
{
    (void)data;
    return getenv(name);
}

static hd_status open_traces(cli_telemetry *t, hd_error *err)
{
    HD_TRY(hd__otlp_settings_read(from_environment, NULL, &t->arena, &t->otlp_settings, err));
    const hd_otlp_settings *s = &t->otlp_settings;
    if (s->url == NULL)
        return HD_OK;
    hd_trace_attribute *attributes = hd__arena_calloc(&t->arena, s->n_attributes + 2, sizeof *attributes);
    if (attributes == NULL)
        return hd__fail(err, HD_ERR_MEMORY, "no memory for traces");
    for (size_t i = 0; i < s->n_attributes; i++)
        attributes[i] = (hd_trace_attribute){s->attributes[i].key, s->attributes[i].value};
    attributes[s->n_attributes] = (hd_trace_attribute){"service.version", hd_version()};
    attributes[s->n_attributes + 1] = (hd_trace_attribute){"telemetry.sdk.name", "heddle"};
    HD_TRY(hd__otlp_open(s, &t->otlp, err));
    const hd_traces_options options = {
        .attributes = attributes,
        .n_attributes = s->n_attributes + 2,
        .version = hd_version(),
        .ratio = s->ratio,
        .ignores_parent = s->ignores_parent,
        .queue_size = s->queue_size,
        .batch_size = s->batch_size,
        .delay_ms = s->delay_ms,
        .send = hd__otlp_send,
        .sender = t->otlp,
    };
    return hd__traces_open(&options, &t->traces, err);
}

/* ---- both ---- */

hd_status cli_telemetry_open(cli_telemetry *t, hd_error *err)
{
    hd_machine machine;
    hd__machine_get(&machine);
    const hd_metrics_options options = {
        .version = hd_version(),
        .device = hd_device_text(),
        .states = state_names,
        .n_cpus = machine.n_cpus_allowed,
        .max_queue_tokens = t->settings->max_queue_tokens,
        .start_s = t->settings->start_s,
        .look = look,
        .data = t,
    };
    HD_TRY(hd__metrics_open(&options, &t->metrics, err));
    HD_TRY(hd__pool_open("heddle-metrics", 1, &t->writer, err));
    return open_traces(t, err);
}

void cli_telemetry_close(cli_telemetry *t)
{
    hd__pool_close(t->writer);
    hd__traces_close(t->traces);
    hd__otlp_close(t->otlp);
    hd__metrics_close(t->metrics);
    hd__arena_clear(&t->arena);
    *t = (cli_telemetry){0};
}

size_t cli_telemetry_endpoints(cli_telemetry *t, hd_endpoint *endpoints)
{
    endpoints[0] =
        (hd_endpoint){.method = HD_HTTP_GET, .path = "/metrics", .is_public = true, .begin = begin_metrics, .data = t};
    return 1;
}

size_t cli_telemetry_observers(const cli_telemetry *t, hd_observer *observers)
{
    size_t n = 0;
    observers[n++] = (hd_observer){hd__metrics_count, t->metrics};
    if (t->traces != NULL)
        observers[n++] = (hd_observer){hd__traces_take, t->traces};
    return n;
}
