/* health.c - whether the process lives, and whether it can work. llama-server's body for the first ("status": "ok"),
 * which TEI's clients do not look at. Ready is 503 while models load that have to be there first, and while stopping.
 */
#include "wire/answer.h"
#include "wire/fields.h"
#include "wire/openai.h"

static void write_live(const hd_wire_request *request, const hd_call *call, const hd_result *result,
                       hd_http_response *response)
{
    (void)request;
    (void)call;
    (void)result;
    hd__buffer_append_text(&response->body, "{\"status\":\"ok\"}");
}

static void write_ready(const hd_wire_request *request, const hd_call *call, const hd_result *result,
                        hd_http_response *response)
{
    (void)request;
    (void)call;
    static const char *const states[] = {"unloaded", "loading", "loaded", "failed"};
    hd_buffer *b = &response->body;
    response->status = result->ready ? 200 : 503;
    hd__buffer_append_text(b,
                           result->ready ? "{\"status\":\"ready\",\"models\":[" : "{\"status\":\"not ready\",\"models\":[");
    for (size_t i = 0; i < result->n_models; i++) {
        hd__buffer_append_text(b, i > 0 ? ",{\"id\":" : "{\"id\":");
        hd__write_cstr(b, result->models[i].name);
        hd__buffer_append_text(b, ",\"state\":\"");
        hd__buffer_append_text(b, states[result->models[i].state]);
        hd__buffer_append_text(b, "\"}");
    }
    hd__buffer_append_text(b, "]}");
}

static const hd_route routes[] = {
    {.method = HD_HTTP_GET,
     .path = "/health",
     .is_public = true,
     .read = hd__read_nothing,
     .write = write_live,
     .summary = "The process lives.",
     .response_schema = "Health"},
    {.method = HD_HTTP_GET,
     .path = "/v1/health",
     .is_public = true,
     .read = hd__read_nothing,
     .write = write_live,
     .summary = "The process lives.",
     .response_schema = "Health"},
    {.method = HD_HTTP_GET,
     .path = "/ready",
     .is_public = true,
     .read = hd__read_nothing,
     .write = write_ready,
     .summary = "Models that have to be loaded are, and requests are taken.",
     .response_schema = "Ready"},
};

const hd_protocol hd__protocol_health = {
    .name = "Health",
    .dialect = &hd__dialect_openai,
    .routes = routes,
    .n_routes = sizeof routes / sizeof routes[0],
    .schemas = "{\"Health\":{\"type\":\"object\",\"required\":[\"status\"],"
               "\"properties\":{\"status\":{\"type\":\"string\",\"enum\":[\"ok\"]}}},"
               "\"Ready\":{\"type\":\"object\",\"required\":[\"status\",\"models\"],"
               "\"properties\":{\"status\":{\"type\":\"string\",\"enum\":[\"ready\",\"not ready\"]},"
               "\"models\":{\"type\":\"array\",\"items\":{\"type\":\"object\",\"required\":[\"id\",\"state\"],"
               "\"properties\":{\"id\":{\"type\":\"string\"},\"state\":{\"type\":\"string\"}}}}}}}",
};
