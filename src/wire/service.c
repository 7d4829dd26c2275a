/* service.c - see service.h and work.h: a request becomes a call, and the service is opened and closed. */
#include "wire/service.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/limits.h"
#include "wire/deadline.h"

#define LIGHT_BODY_BYTES 16384u /* parsed and tokenised in well under a millisecond */

/* ---- from a request to a call ---- */

static void run(hd_work *w)
{
    w->step_ns = hd__now_ns();
    if (w->call.task == HD_TASK_TOKENIZE)
        hd__work_tokenize(w);
    else if (w->call.task == HD_TASK_DETOKENIZE)
        hd__work_detokenize(w);
    else
        hd__work_compute(w);
}

static void load_step(hd_task_node *node)
{
    hd_work *w = (hd_work *)node;
    hd_error error = {0};
    hd_fault fault;
    const uint64_t start_ns = hd__now_ns();
    const hd_status status = hd_model_begin(hd__models_handle(w->entry), &error);
    w->result.times.load = hd__now_ns() - start_ns;
    if (status == HD_OK) {
        w->holds_model = true;
        run(w);
        return;
    }
    HD_IGNORE(hd__fault(&fault, status == HD_ERR_MEMORY ? HD_FAULT_MEMORY : HD_FAULT_LOAD, "model", "%s", error.text));
    hd__work_fault(w, &fault);
}

/* The call is read: finds its model and goes on. */
static void begin_call(hd_work *w)
{
    hd_service *s = w->service;
    hd_exchange *x = w->exchange;
    hd_fault fault;
    hd_error error;
    const hd_task task = w->call.task;
    x->record.task = hd__task_name(task);
    x->record.n_inputs = (uint32_t)w->call.n_inputs;
    for (size_t i = 0; i < w->call.n_inputs; i++)
        x->record.n_characters += w->call.inputs[i].text.len;
    w->result.ready = hd__service_ready(s);
    w->result.n_in_flight = atomic_load(&s->n_in_flight);
    if (task >= HD_TASK_SEARCH) {
        hd__work_index(w);
        return;
    }
    if (task != HD_TASK_REPLY) {
        if (hd__models_find(s->models, w->call.model, &w->entry, &fault) != HD_OK) {
            hd__work_fault(w, &fault);
            return;
        }
        hd__models_card(w->entry, &w->card);
        w->result.model = &w->card;
        w->result.echo = w->call.model != NULL && w->call.model[0] != '\0' ? w->call.model : w->card.name;
        x->record.model = w->card.name;
    }
    if (task == HD_TASK_REPLY || task == HD_TASK_MODEL) {
        if (hd__models_list(s->models, &x->arena, &w->result.models, &w->result.n_models, &error) == HD_OK)
            hd__work_write(&w->node);
        else
            hd__work_no_memory(w);
        return;
    }
    hd__deadline_set(w);
    if (w->card.info.loaded || w->on_pool)
        load_step(&w->node);
    else
        hd__work_push(w, load_step);
}

/* Nesting deeper than the limit; brackets inside strings do not count. */
static bool too_deep(hd_span json)
{
    unsigned depth = 0;
    bool in_string = false;
    for (size_t i = 0; i < json.len; i++) {
        const char c = json.ptr[i];
        if (in_string) {
            i += c == '\\';
            in_string = c != '"';
        } else if (c == '"') {
            in_string = true;
        } else if (c == '[' || c == '{') {
            if (++depth > HD_LIMIT_BODY_JSON_DEPTH)
                return true;
        } else if (c == ']' || c == '}') {
            depth -= depth > 0;
        }
    }
    return false;
}

static hd_status parse(hd_work *w, hd_fault *fault)
{
    const hd_span text = w->exchange->request.body;
    json_error_t e;
    if (text.len == 0)
        return hd__fault(fault, HD_FAULT_JSON, NULL, "the request has no body");
    if (too_deep(text))
        return hd__fault(fault, HD_FAULT_JSON, NULL, "the body nests deeper than %u levels", HD_LIMIT_BODY_JSON_DEPTH);
    w->body = json_loadb(text.ptr, text.len, JSON_ALLOW_NUL, &e);
    if (w->body == NULL && json_error_code(&e) == json_error_out_of_memory)
        return hd__fault(fault, HD_FAULT_MEMORY, NULL, "no memory for this request");
    if (w->body == NULL)
        return hd__fault(fault, HD_FAULT_JSON, NULL, "the body is not JSON: line %d column %d: %s", e.line, e.column,
                         e.text);
    if (!json_is_object(w->body))
        return hd__fault(fault, HD_FAULT_JSON, NULL, "the body is not a JSON object");
    w->request.body = w->body;
    return HD_OK;
}

/* Of the routes that share the path, whose request this is. */
static const hd_route *choose(const hd_work *w)
{
    const hd_route *unclaimed = NULL;
    for (size_t i = 0; i < w->path->n_routes; i++) {
        const hd_route *r = w->path->routes[i];
        if (r->claims == NULL)
            unclaimed = unclaimed != NULL ? unclaimed : r;
        else if (r->claims(&w->request))
            return r;
    }
    return unclaimed != NULL ? unclaimed : w->path->routes[0];
}

static void read_step(hd_task_node *node)
{
    hd_work *w = (hd_work *)node;
    hd_fault fault = {0};
    const uint64_t start_ns = hd__now_ns();
    const hd_route *first = w->path->routes[0];
    hd_status status = first->has_body && !first->is_form ? parse(w, &fault) : HD_OK;
    if (status == HD_OK) {
        w->route = choose(w);
        w->exchange->record.dialect = w->route->dialect->name;
        status = w->route->read(&w->request, &w->call, &fault);
    }
    w->result.times.read = w->exchange->record.read_ns = hd__now_ns() - start_ns;
    if (status == HD_OK)
        begin_call(w);
    else
        hd__work_fault(w, &fault);
}

static hd_span rest_of(const hd_service_path *path, const hd_http_request *request)
{
    const size_t n = strlen(path->path);
    return path->path[n - 1] == '*' && request->path.len >= n - 1
               ? hd__span(request->path.ptr + n - 1, request->path.len - (n - 1))
               : hd__span("", 0);
}

void hd__service_begin(const hd_service_path *path, hd_exchange *x)
{
    hd_service *s = path->service;
    hd_work *w = hd__arena_calloc(&x->arena, 1, sizeof *w);
    x->record.route = path->path;
    if (w == NULL) {
        hd_fault fault;
        HD_IGNORE(hd__fault(&fault, HD_FAULT_MEMORY, NULL, "no memory for this request"));
        x->record.fault = fault.kind;
        path->dialect->write_fault(&fault, &x->request, &x->arena, &x->response);
        s->options.finish(x);
        return;
    }
    w->service = s;
    w->path = path;
    w->exchange = x;
    w->request = (hd_wire_request){
        .http = &x->request, .rest = rest_of(path, &x->request), .arena = &x->arena, .settings = &s->options.settings};
    atomic_fetch_add(&s->n_in_flight, 1);
    x->work = w;
    if (x->request.body.len > LIGHT_BODY_BYTES)
        hd__work_push(w, read_step);
    else
        read_step(&w->node);
}

void hd__service_cancel(const hd_service_path *path, hd_exchange *x)
{
    hd_service *s = path->service;
    pthread_mutex_lock(&s->lock);
    hd_work *w = x->work;
    if (w != NULL) {
        w->cancelled = true;
        if (w->job != NULL)
            hd_job_cancel(w->job);
    }
    pthread_mutex_unlock(&s->lock);
}

/* ---- opening ---- */

static hd_service_path *path_of(hd_service *s, const hd_route *route)
{
    for (size_t i = 0; i < s->n_paths; i++)
        if (s->paths[i].method == route->method && strcmp(s->paths[i].path, route->path) == 0)
            return &s->paths[i];
    return NULL;
}

static bool add_route(hd_service *s, hd_route *route)
{
    hd_service_path *p = path_of(s, route);
    if (p == NULL) {
        p = &s->paths[s->n_paths++];
        *p = (hd_service_path){.method = route->method, .path = route->path, .is_public = route->is_public, .service = s};
    }
    const hd_route **routes = hd__realloc((void *)(uintptr_t)p->routes, (p->n_routes + 1) * sizeof *routes);
    if (routes == NULL)
        return false;
    routes[p->n_routes++] = route;
    p->routes = routes;
    return true;
}

static hd_status collect_paths(hd_service *s, hd_error *err)
{
    size_t n = 0;
    for (size_t i = 0; hd__protocols[i] != NULL; i++)
        n += hd__protocols[i]->n_routes;
    s->paths = hd__calloc(n, sizeof *s->paths);
    s->routes = hd__calloc(n, sizeof *s->routes);
    if (s->paths == NULL || s->routes == NULL)
        return hd__fail(err, HD_ERR_MEMORY, "no memory for %zu routes", n);
    hd_route *next = s->routes;
    for (size_t i = 0; hd__protocols[i] != NULL; i++) {
        for (size_t k = 0; k < hd__protocols[i]->n_routes; k++, next++) {
            *next = hd__protocols[i]->routes[k];
            if (next->dialect == NULL)
                next->dialect = hd__protocols[i]->dialect;
            if (!add_route(s, next))
                return hd__fail(err, HD_ERR_MEMORY, "no memory for %zu routes", n);
        }
    }
    for (size_t i = 0; i < s->n_paths; i++) {
        hd_service_path *p = &s->paths[i];
        p->dialect = p->routes[0]->dialect;
        for (size_t k = p->n_routes; k-- > 0;)
            if (p->routes[k]->claims == NULL)
                p->dialect = p->routes[k]->dialect;
    }
    return HD_OK;
}

hd_status hd__service_open(hd_engine *engine, hd_models *models, const hd_service_options *options, hd_service **out,
                           hd_error *err)
{
    hd_service *s = hd__calloc(1, sizeof *s);
    if (s == NULL)
        return hd__fail(err, HD_ERR_MEMORY, "no memory for a service");
    pthread_mutex_init(&s->lock, NULL);
    s->engine = engine;
    s->models = models;
    s->options = *options;
    s->sampled_ns = hd__now_ns();
    hd_status status;
    HD_TRY_OUT(collect_paths(s, err));
    HD_TRY_OUT(hd__pool_open("heddle-wire", options->n_threads != 0 ? options->n_threads : 2, &s->pool, err));
    if (options->find_index != NULL) {
        HD_TRY_OUT(hd__pool_open("heddle-search", options->n_threads != 0 ? options->n_threads : 2, &s->searchers, err));
        HD_TRY_OUT(hd__pool_open("heddle-write", 1, &s->writer, err));
    }
    HD_TRY_OUT(hd__deadline_start(s, err));
out:
    if (status != HD_OK) {
        hd__service_close(s);
        return status;
    }
    *out = s;
    return HD_OK;
}

void hd__service_close(hd_service *s)
{
    if (s == NULL)
        return;
    hd__pool_close(s->pool);
    hd__pool_close(s->searchers);
    hd__pool_close(s->writer);
    hd__deadline_stop(s);
    for (size_t i = 0; i < s->n_paths; i++)
        hd__free((void *)(uintptr_t)s->paths[i].routes);
    hd__free(s->paths);
    hd__free(s->routes);
    pthread_mutex_destroy(&s->lock);
    hd__free(s);
}

const hd_service_path *hd__service_paths(const hd_service *s, size_t *n)
{
    *n = s->n_paths;
    return s->paths;
}

bool hd__service_ready(const hd_service *s)
{
    return atomic_load(&s->ready);
}

void hd__service_set_ready(hd_service *s, bool ready)
{
    atomic_store(&s->ready, ready);
}
