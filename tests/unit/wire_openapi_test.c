/* openapi.c: the document is JSON, tells of every route of every protocol, and refers to nothing that is not in it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "wire/protocol.h"

static const char *const methods[] = {"get", "head", "post", "put", "delete", "options"};

static const hd_route *document_route(const char *path)
{
    for (size_t i = 0; i < hd__protocol_openapi.n_routes; i++)
        if (strcmp(hd__protocol_openapi.routes[i].path, path) == 0)
            return &hd__protocol_openapi.routes[i];
    return NULL;
}

static void write_document(hd_arena *arena, hd_http_response *response)
{
    const hd_route *route = document_route("/openapi.json");
    const hd_http_request http = {.path = hd__span_of("/openapi.json")};
    const hd_wire_settings settings = {.build = "heddle 0.0.0"};
    const hd_wire_request request = {.http = &http, .arena = arena, .settings = &settings};
    hd_call call = {0};
    hd_fault fault = {0};
    assert_non_null(route);
    assert_int_equal(route->read(&request, &call, &fault), HD_OK);
    assert_int_equal(call.task, HD_TASK_REPLY);
    route->write(&request, &call, &(hd_result){0}, response);
}

static json_t *read_document(void)
{
    hd_arena arena;
    hd_http_response response = {0};
    json_error_t e;
    hd__arena_init(&arena);
    hd__buffer_init(&response.body);
    write_document(&arena, &response);
    assert_false(response.body.failed);
    json_t *document = json_loadb(response.body.ptr, response.body.len, JSON_REJECT_DUPLICATES, &e);
    if (document == NULL)
        fail_msg("position %d: %s: %.200s", e.position, e.text, response.body.ptr + e.position);
    hd__buffer_clear(&response.body);
    hd__arena_clear(&arena);
    return document;
}

/* The operation of a route; its path ends with a parameter where the table has "*". */
static const json_t *operation_of(const json_t *document, const hd_route *route)
{
    char path[256];
    const int n = (int)strlen(route->path) - (route->path[strlen(route->path) - 1] == '*');
    snprintf(path, sizeof path, "%.*s%s", n, route->path, route->path[n] == '*' ? "{name}" : "");
    return json_object_get(json_object_get(json_object_get(document, "paths"), path), methods[route->method]);
}

static bool mentions(const json_t *value, const char *text)
{
    char *json = json_dumps(value, JSON_COMPACT);
    const bool found = strstr(json, text) != NULL;
    free(json);
    return found;
}

static void every_route_is_told_of(void **state)
{
    (void)state;
    json_t *document = read_document();
    assert_string_equal(json_string_value(json_object_get(document, "openapi")), "3.1.0");
    for (size_t i = 0; hd__protocols[i] != NULL; i++) {
        const hd_protocol *p = hd__protocols[i];
        for (size_t k = 0; k < p->n_routes; k++) {
            const json_t *operation = operation_of(document, &p->routes[k]);
            if (operation == NULL)
                fail_msg("%s %s is missing", methods[p->routes[k].method], p->routes[k].path);
            if (json_string_length(json_object_get(operation, "summary")) == 0)
                fail_msg("%s has no summary", p->routes[k].path);
            if (!mentions(json_object_get(operation, "tags"), p->name))
                fail_msg("%s is not told to be of %s", p->routes[k].path, p->name);
            if (p->routes[k].has_body && (p->routes[k].request_schema == NULL ||
                                          !mentions(json_object_get(operation, "requestBody"), p->routes[k].request_schema)))
                fail_msg("%s of %s: nothing on what it takes", p->routes[k].path, p->name);
            if (p->routes[k].response_schema != NULL &&
                !mentions(json_object_get(operation, "responses"), p->routes[k].response_schema))
                fail_msg("%s of %s: nothing on what it gives", p->routes[k].path, p->name);
            if (!mentions(json_object_get(json_object_get(operation, "responses"), "default"), "Error"))
                fail_msg("%s of %s: nothing on errors", p->routes[k].path, p->name);
        }
    }
    json_decref(document);
}

/* Follows every value: references lead somewhere, and nothing is of older versions of OpenAPI. */
static size_t check_value(json_t *document, json_t *value)
{
    static const char prefix[] = "#/components/schemas/";
    const char *key;
    json_t *item;
    size_t i, n = 0;
    json_array_foreach (value, i, item)
        n += check_value(document, item);
    json_object_foreach (value, key, item) {
        n += check_value(document, item);
        if (strcmp(key, "nullable") == 0)
            fail_msg("\"nullable\" is of OpenAPI 3.0: null is a type");
        if (strcmp(key, "$ref") != 0)
            continue;
        const char *to = json_string_value(item);
        if (strncmp(to, prefix, strlen(prefix)) != 0 ||
            json_object_get(json_object_get(json_object_get(document, "components"), "schemas"), to + strlen(prefix)) ==
                NULL)
            fail_msg("%s leads nowhere", to);
        n++;
    }
    return n;
}

static void references_lead_somewhere(void **state)
{
    (void)state;
    json_t *document = read_document();
    assert_true(check_value(document, document) > 20);
    json_decref(document);
}

/* An operation's id names it in generated clients. */
static void ids_differ(void **state)
{
    (void)state;
    json_t *document = read_document(), *ids = json_object();
    const char *path, *method;
    json_t *item, *operation;
    json_object_foreach (json_object_get(document, "paths"), path, item) {
        json_object_foreach (item, method, operation) {
            const char *id = json_string_value(json_object_get(operation, "operationId"));
            if (id == NULL)
                continue; /* the path's parameters */
            if (json_object_get(ids, id) != NULL)
                fail_msg("two operations are called %s", id);
            json_object_set_new(ids, id, json_true());
        }
    }
    assert_true(json_object_size(ids) > 10);
    json_decref(ids);
    json_decref(document);
}

static void shared_paths_take_what_any_takes(void **state)
{
    (void)state;
    json_t *document = read_document();
    const json_t *post = json_object_get(json_object_get(json_object_get(document, "paths"), "/"), "post");
    const json_t *takes = json_object_get(post, "requestBody");
    assert_true(mentions(takes, "TEI.EmbedRequest"));
    assert_true(mentions(takes, "TEI.SimilarityRequest"));
    assert_true(mentions(takes, "TEI.RerankRequest"));
    json_decref(document);
}

static void no_memory(void **state)
{
    (void)state;
    bool failed = true;
    for (uint64_t n = 0; failed; n++) {
        hd_arena arena;
        hd_http_response response = {0};
        hd__arena_init(&arena);
        hd__buffer_init(&response.body);
        hd__alloc_fail_after(n, UINT64_MAX);
        write_document(&arena, &response);
        hd__alloc_fail_off();
        failed = response.body.failed;
        assert_true(failed || response.body.ptr[response.body.len - 1] == '}');
        assert_true(n < 1000);
        hd__buffer_clear(&response.body);
        hd__arena_clear(&arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_route_is_told_of),
        cmocka_unit_test(references_lead_somewhere),
        cmocka_unit_test(ids_differ),
        cmocka_unit_test(shared_paths_take_what_any_takes),
        cmocka_unit_test(no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
