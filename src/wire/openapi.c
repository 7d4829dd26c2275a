/* openapi.c - GET /openapi.json: the routes of every protocol as one OpenAPI 3.1 document, made from the tables that the
 * service itself works from, so that it cannot tell of a route that is not served or leave one out.
 *
 * Routes of several protocols that share a path are one operation, which takes what any of them takes. A protocol's schema
 * is called "<protocol>.<schema>" here ("TEI.EmbedRequest"): references inside of a protocol's schemas are completed.
 * TEI serves its document at /api-doc/openapi.json, so this is there, too.
 *
 * Source: https://spec.openapis.org/oas/v3.1.0
 */
#include <jansson.h>

#include "wire/answer.h"
#include "wire/fields.h"
#include "wire/openai.h"

#define REFERENCE "#/components/schemas/"

typedef struct entry {
    const hd_protocol *protocol;
    const hd_route *route;
} entry;

typedef struct document {
    hd_buffer *body;
    entry *entries; /* [n_entries] all routes */
    size_t n_entries;
} document;

/* Schema names of a protocol, or "Protocol.Name" for those of another one. */
static void write_schema_name(hd_buffer *b, const hd_protocol *protocol, const char *name)
{
    if (strchr(name, '.') == NULL)
        hd__buffer_printf(b, "%s.", protocol->name);
    hd__buffer_append_text(b, name);
}

static void write_reference(hd_buffer *b, const hd_protocol *protocol, const char *name)
{
    hd__buffer_append_text(b, "{\"$ref\":\"" REFERENCE);
    write_schema_name(b, protocol, name);
    hd__buffer_append_text(b, "\"}");
}

/* ---- operations ---- */

static const char *const method_names[] = {"get", "head", "post", "put", "delete", "options"};

static const hd_dialect *dialect_of(const entry *e)
{
    return e->route->dialect != NULL ? e->route->dialect : e->protocol->dialect;
}

/* Who describes the errors of a route: the protocol whose dialect it speaks. */
static const hd_protocol *error_protocol(const entry *e)
{
    for (size_t i = 0; hd__protocols[i] != NULL; i++)
        if (strcmp(hd__protocols[i]->dialect->name, dialect_of(e)->name) == 0 &&
            strstr(hd__protocols[i]->schemas, "\"Error\":") != NULL)
            return hd__protocols[i];
    return NULL;
}

typedef enum part { PART_REQUEST, PART_RESPONSE, PART_ERROR } part;

/* The schema of one part of a route; false: it has none. */
static bool schema_of(const entry *e, part which, const hd_protocol **protocol, const char **name)
{
    *protocol = which == PART_ERROR ? error_protocol(e) : e->protocol;
    *name = which == PART_REQUEST ? e->route->request_schema : which == PART_RESPONSE ? e->route->response_schema : "Error";
    return *protocol != NULL && *name != NULL;
}

static bool shares(const entry *a, const entry *b)
{
    return a->route->method == b->route->method && strcmp(a->route->path, b->route->path) == 0;
}

static bool same_schema(const entry *a, const entry *b, part which)
{
    const hd_protocol *protocols[2];
    const char *names[2];
    return schema_of(a, which, &protocols[0], &names[0]) && schema_of(b, which, &protocols[1], &names[1]) &&
           protocols[0] == protocols[1] && strcmp(names[0], names[1]) == 0;
}

/* Content made of the schemas of all routes that share this one's path, each once; nothing when there is none. */
static void write_content(const document *d, const entry *first, part which)
{
    const hd_protocol *protocol;
    const char *name;
    size_t n = 0;
    for (const entry *e = first; e < d->entries + d->n_entries; e++) {
        bool known = !shares(e, first) || !schema_of(e, which, &protocol, &name);
        for (const entry *before = first; before < e && !known; before++)
            known = shares(before, first) && same_schema(before, e, which);
        if (known)
            continue;
        const bool is_form = which == PART_REQUEST && first->route->is_form;
        if (n++ > 0)
            hd__buffer_append_char(d->body, ',');
        else
            hd__buffer_printf(d->body, ",\"content\":{\"%s\":{\"schema\":{\"anyOf\":[",
                              is_form ? "multipart/form-data" : "application/json");
        write_reference(d->body, protocol, name);
    }
    if (n > 0)
        hd__buffer_append_text(d->body, "]}}}");
}

/* Tags and summaries of all that share the path. */
static void write_words(const document *d, const entry *first)
{
    hd_buffer *b = d->body;
    const entry *end = d->entries + d->n_entries;
    hd__buffer_append_text(b, "\"tags\":[");
    for (const entry *e = first; e < end; e++) {
        bool known = !shares(e, first);
        for (const entry *before = first; before < e && !known; before++)
            known = shares(before, first) && before->protocol == e->protocol;
        if (known)
            continue;
        if (e > first)
            hd__buffer_append_char(b, ',');
        hd__write_cstr(b, e->protocol->name);
    }
    hd__buffer_append_text(b, "],\"summary\":");
    hd__write_cstr(b, first->route->summary);
    hd__buffer_append_text(b, ",\"operationId\":\"");
    hd__buffer_append_text(b, method_names[first->route->method]);
    for (const char *c = first->route->path; *c != '\0'; c++)
        hd__buffer_append_char(b, (*c >= 'a' && *c <= 'z') || (*c >= '0' && *c <= '9') ? *c : '_');
    hd__buffer_append_char(b, '"');
}

/* Of all that share the path; a path of several protocols has none. */
static void write_parameters(const document *d, const entry *first)
{
    if (first->route->parameters == NULL)
        return;
    hd__buffer_append_text(d->body, ",\"parameters\":[");
    hd__buffer_append_text(d->body, first->route->parameters);
    hd__buffer_append_char(d->body, ']');
}

static void write_operation(const document *d, const entry *first)
{
    hd_buffer *b = d->body;
    hd__buffer_printf(b, "\"%s\":{", method_names[first->route->method]);
    write_words(d, first);
    if (first->route->is_public)
        hd__buffer_append_text(b, ",\"security\":[]");
    write_parameters(d, first);
    if (first->route->has_body) {
        hd__buffer_append_text(b, ",\"requestBody\":{\"required\":true");
        write_content(d, first, PART_REQUEST);
        hd__buffer_append_char(b, '}');
    }
    hd__buffer_append_text(b, ",\"responses\":{\"200\":{\"description\":\"The answer.\"");
    write_content(d, first, PART_RESPONSE);
    hd__buffer_append_text(b, "},\"default\":{\"description\":\"What went wrong.\"");
    write_content(d, first, PART_ERROR);
    hd__buffer_append_text(b, "}}}");
}

static bool is_first(const document *d, size_t i, bool of_method)
{
    for (size_t k = 0; k < i; k++)
        if (of_method ? shares(&d->entries[k], &d->entries[i])
                      : strcmp(d->entries[k].route->path, d->entries[i].route->path) == 0)
            return false;
    return true;
}

/* A path with every method it has. "*" at its end is a parameter. */
static void write_path(const document *d, size_t i)
{
    hd_buffer *b = d->body;
    const char *path = d->entries[i].route->path;
    const size_t n = strlen(path);
    const bool has_rest = path[n - 1] == '*';
    hd__buffer_append_char(b, '"');
    hd__buffer_append(b, path, has_rest ? n - 1 : n);
    hd__buffer_append_text(b, has_rest ? "{name}\":{" : "\":{");
    if (has_rest)
        hd__buffer_append_text(b, "\"parameters\":[{\"name\":\"name\",\"in\":\"path\",\"required\":true,"
                                  "\"schema\":{\"type\":\"string\"}}],");
    for (size_t k = i, written = 0; k < d->n_entries; k++) {
        if (strcmp(d->entries[k].route->path, path) != 0 || !is_first(d, k, true))
            continue;
        if (written++ > 0)
            hd__buffer_append_char(b, ',');
        write_operation(d, &d->entries[k]);
    }
    hd__buffer_append_char(b, '}');
}

static void write_paths(const document *d)
{
    for (size_t i = 0, written = 0; i < d->n_entries; i++) {
        if (!is_first(d, i, false))
            continue;
        if (written++ > 0)
            hd__buffer_append_char(d->body, ',');
        write_path(d, i);
    }
}

/* ---- schemas ---- */

/* JSON as it is, but for references to schemas of the protocol. The depth is that of our own constant text. */
static void write_value(hd_buffer *b, const hd_protocol *protocol, const char *key, json_t *value)
{
    const char *text = json_string_value(value), *name;
    json_t *item;
    size_t i;
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        hd__buffer_append_char(b, '{');
        i = 0;
        json_object_foreach (value, name, item) {
            if (i++ > 0)
                hd__buffer_append_char(b, ',');
            hd__write_cstr(b, name);
            hd__buffer_append_char(b, ':');
            write_value(b, protocol, name, item);
        }
        hd__buffer_append_char(b, '}');
        break;
    case JSON_ARRAY:
        hd__buffer_append_char(b, '[');
        json_array_foreach (value, i, item) {
            if (i > 0)
                hd__buffer_append_char(b, ',');
            write_value(b, protocol, NULL, item);
        }
        hd__buffer_append_char(b, ']');
        break;
    case JSON_STRING:
        if (key == NULL || strcmp(key, "$ref") != 0 || !hd__span_begins(hd__span_of(text), REFERENCE)) {
            hd__write_cstr(b, text);
            break;
        }
        hd__buffer_append_text(b, "\"" REFERENCE);
        write_schema_name(b, protocol, text + strlen(REFERENCE));
        hd__buffer_append_char(b, '"');
        break;
    case JSON_INTEGER: hd__buffer_printf(b, "%lld", (long long)json_integer_value(value)); break;
    case JSON_REAL: hd__write_float(b, (float)json_real_value(value)); break;
    case JSON_TRUE:
    case JSON_FALSE: hd__buffer_append_text(b, json_is_true(value) ? "true" : "false"); break;
    case JSON_NULL: hd__buffer_append_text(b, "null"); break;
    }
}

static void write_schemas(hd_buffer *b)
{
    size_t written = 0;
    for (size_t i = 0; hd__protocols[i] != NULL; i++) {
        const hd_protocol *protocol = hd__protocols[i];
        const char *name;
        json_t *schema, *schemas = json_loads(protocol->schemas, JSON_REJECT_DUPLICATES, NULL);
        if (schemas == NULL) { /* tests see that it is JSON: this is memory */
            b->failed = true;
            return;
        }
        json_object_foreach (schemas, name, schema) {
            hd__buffer_append_text(b, written++ > 0 ? ",\"" : "\"");
            write_schema_name(b, protocol, name);
            hd__buffer_append_text(b, "\":");
            write_value(b, protocol, NULL, schema);
        }
        json_decref(schemas);
    }
}

/* ---- the document ---- */

static bool collect(document *d, hd_arena *arena)
{
    size_t n = 0;
    for (size_t i = 0; hd__protocols[i] != NULL; i++)
        n += hd__protocols[i]->n_routes;
    d->entries = hd__arena_calloc(arena, n, sizeof *d->entries);
    for (size_t i = 0; d->entries != NULL && hd__protocols[i] != NULL; i++)
        for (size_t k = 0; k < hd__protocols[i]->n_routes; k++)
            d->entries[d->n_entries++] = (entry){hd__protocols[i], &hd__protocols[i]->routes[k]};
    return d->entries != NULL;
}

static void write_document(const hd_wire_request *request, const hd_call *call, const hd_result *result,
                           hd_http_response *response)
{
    (void)call;
    (void)result;
    hd_buffer *b = &response->body;
    document d = {.body = b};
    if (!collect(&d, request->arena)) {
        b->failed = true;
        return;
    }
    hd__buffer_append_text(b, "{\"openapi\":\"3.1.0\",\"info\":{\"title\":\"Heddle\",\"version\":");
    hd__write_cstr(b, hd_version());
    hd__buffer_append_text(b, ",\"description\":\"Text in, vectors out, over the protocols that retrieval clients speak. "
                              "A field that may be missing may be null. Fields that are not named are not looked at.\"},"
                              "\"security\":[{},{\"bearer\":[]},{\"key\":[]}],\"tags\":[");
    for (size_t i = 0; hd__protocols[i] != NULL; i++) {
        hd__buffer_append_text(b, i > 0 ? ",{\"name\":" : "{\"name\":");
        hd__write_cstr(b, hd__protocols[i]->name);
        hd__buffer_append_char(b, '}');
    }
    hd__buffer_append_text(b, "],\"paths\":{");
    write_paths(&d);
    hd__buffer_append_text(b, "},\"components\":{\"securitySchemes\":{\"bearer\":{\"type\":\"http\",\"scheme\":\"bearer\"},"
                              "\"key\":{\"type\":\"apiKey\",\"in\":\"header\",\"name\":\"X-Api-Key\"}},\"schemas\":{");
    write_schemas(b);
    hd__buffer_append_text(b, "}}}");
}

static const hd_route routes[] = {
    {.method = HD_HTTP_GET,
     .path = "/openapi.json",
     .is_public = true,
     .read = hd__read_nothing,
     .write = write_document,
     .summary = "This document.",
     .response_schema = "Document"},
    {.method = HD_HTTP_GET,
     .path = "/api-doc/openapi.json",
     .is_public = true,
     .read = hd__read_nothing,
     .write = write_document,
     .summary = "This document, where TEI has it.",
     .response_schema = "Document"},
};

const hd_protocol hd__protocol_openapi = {
    .name = "OpenAPI",
    .dialect = &hd__dialect_openai,
    .routes = routes,
    .n_routes = sizeof routes / sizeof routes[0],
    .schemas = "{\"Document\":{\"type\":\"object\",\"required\":[\"openapi\",\"info\",\"paths\"]}}",
};
