/* protocol.h - what a protocol's file exports: a table of routes, and how it says what went wrong.
 *
 * One file for each protocol, pure functions only: bytes in, a call out; a result in, bytes out. To add one: write
 * src/wire/<name>.c with its `const hd_protocol hd__protocol_<name>`, declare it below, add it to hd__protocols.
 *
 * Paths that several protocols share ("/rerank", "/v1/embeddings") are told apart by the body: of the routes of one
 * method and path, in the order of hd__protocols, the first whose `claims` says yes takes the request; when none does,
 * the first route that has no `claims`. So a protocol claims what only its clients send, and one stays the default.
 */
#ifndef HD_WIRE_PROTOCOL_H
#define HD_WIRE_PROTOCOL_H

#include <jansson.h>

#include "wire/call.h"

/* What protocols may ask the server about itself. Constant while it runs. */
typedef struct hd_wire_settings {
    const char *build;   /* "heddle 0.1.0" */
    uint32_t max_inputs; /* of one request */
    uint32_t max_queue_tokens, max_concurrent_requests, max_batch_tokens, n_threads;
    bool auto_truncate;
    uint64_t max_body_bytes;
    uint64_t start_s; /* Unix time */
    bool has_index, has_reranker;
    bool has_tls;        /* addresses of this server begin with https */
    bool plugin_reranks; /* the retrieval plugin's API reranks the first rerank_k, and answers rerank_n */
    uint32_t rerank_k, rerank_n;
} hd_wire_settings;

typedef struct hd_wire_request {
    const hd_http_request *http;
    const json_t *body; /* an object; NULL for routes without `has_body` */
    hd_span rest;       /* what a "*" at the end of the route's path stands for */
    hd_arena *arena;    /* lives until the response is sent, as the body does */
    const hd_wire_settings *settings;
} hd_wire_request;

typedef struct hd_dialect {
    const char *name; /* "openai" */
    /* Status, headers (Retry-After where retry_after_s is set) and body for a fault; must not fail but for memory. */
    void (*write_fault)(const hd_fault *fault, const hd_http_request *request, hd_arena *arena, hd_http_response *response);
} hd_dialect;

typedef struct hd_route {
    hd_http_method method;
    const char *path;          /* as in hd_endpoint */
    const hd_dialect *dialect; /* NULL: the protocol's */
    bool is_public, has_body;
    bool is_form;                                   /* the body is multipart/form-data, which `read` parses; with has_body */
    bool (*claims)(const hd_wire_request *request); /* NULL: takes what nobody claims */
    /* Fills a zeroed call. Everything it keeps is on the arena or in the body. */
    hd_status (*read)(const hd_wire_request *request, hd_call *call, hd_fault *fault);
    /* Fills the response: status is 200 and content_type "application/json" unless it says otherwise. Memory that is
     * missing shows in response->body.failed, which the caller looks at. */
    void (*write)(const hd_wire_request *request, const hd_call *call, const hd_result *result, hd_http_response *response);
    /* For the OpenAPI document. Schemas are names in the protocol's `schemas`, or "OpenAI.Model" for another's. */
    const char *summary, *request_schema, *response_schema;
    const char *parameters; /* JSON: OpenAPI's parameter objects, one or several with commas between them; NULL: none */
} hd_route;

typedef struct hd_protocol {
    const char *name; /* the tag in the OpenAPI document: "OpenAI" */
    const hd_dialect *dialect;
    const hd_route *routes; /* [n_routes] */
    size_t n_routes;
    const char *schemas; /* JSON object: schema name → JSON Schema 2020-12 (null is a type, there is no "nullable");
                          * "Error" among them where the dialect is the protocol's own */
} hd_protocol;

extern const hd_protocol hd__protocol_openai, hd__protocol_health, hd__protocol_tei, hd__protocol_openapi,
    hd__protocol_llamacpp, hd__protocol_ollama, hd__protocol_cohere, hd__protocol_jina, hd__protocol_search,
    hd__protocol_documents, hd__protocol_plugin;

/* All of them, in the order in which they are asked; ends with NULL. */
extern const hd_protocol *const hd__protocols[];

#endif
