/* plugin_faults.c - see plugin_faults.h.
 *
 *   {"detail": "…"}, or for what the request's schema forbids, with 422:
 *   {"detail": [{"loc": ["body", "queries", 0, "query"], "msg": "field required", "type": "value_error.missing"}]}
 *
 * A fault's field is the place with dots between its parts: "queries.0.query". Source: FastAPI's handlers of
 * RequestValidationError and HTTPException; HTTPBearer (403 when the header is missing or is no bearer's).
 */
#include "wire/plugin_faults.h"

#include <strings.h>

#include "wire/answer.h"

static const int statuses[HD_FAULT_KINDS] = {
    [HD_FAULT_HTTP] = 400,     [HD_FAULT_ROUTE] = 404,     [HD_FAULT_METHOD] = 405,  [HD_FAULT_BODY_BYTES] = 413,
    [HD_FAULT_ENCODING] = 415, [HD_FAULT_BODY_TIME] = 408, [HD_FAULT_EMPTY] = 400,   [HD_FAULT_OVERLOADED] = 429,
    [HD_FAULT_DEADLINE] = 504, [HD_FAULT_CANCELLED] = 499, [HD_FAULT_LOADING] = 503, [HD_FAULT_STOPPING] = 503,
    [HD_FAULT_MEMORY] = 503,
};

/* pydantic's type of an error, by its words. */
static const char *type_of(const hd_fault *fault)
{
    static const struct {
        const char *begins, *type;
    } types[] = {
        {"field required", "value_error.missing"},
        {"str type", "type_error.str"},
        {"value is not a valid dict", "type_error.dict"},
        {"value is not a valid list", "type_error.list"},
        {"value is not a valid integer", "type_error.integer"},
        {"value could not be parsed to a boolean", "type_error.bool"},
        {"value is not a valid enumeration", "type_error.enum"},
        {"ensure this value has at least", "value_error.any_str.min_length"},
        {"ensure this value has at most", "value_error.list.max_items"},
        {"none is not an allowed value", "type_error.none.not_allowed"},
        {"the request has no body", "value_error.missing"},
        {"the body is not a JSON object", "type_error.dict"},
    };
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (hd__span_begins(hd__span_of(fault->text), types[i].begins))
            return types[i].type;
    return fault->kind == HD_FAULT_JSON   ? "value_error.jsondecode"
           : fault->kind == HD_FAULT_TYPE ? "type_error"
                                          : "value_error";
}

/* ["body","queries",0,"query"] */
static void write_place(hd_buffer *b, const char *place)
{
    hd__buffer_append_text(b, "[\"body\"");
    while (place != NULL && *place != '\0') {
        const size_t n = strcspn(place, ".");
        const bool is_number = n > 0 && strspn(place, "0123456789") == n;
        hd__buffer_append_char(b, ',');
        if (is_number)
            hd__buffer_append(b, place, n);
        else
            hd__buffer_append_json(b, hd__span(place, n));
        place += n + (place[n] == '.');
    }
    hd__buffer_append_char(b, ']');
}

static void write_validation(const hd_fault *fault, hd_http_response *response)
{
    hd_buffer *b = &response->body;
    response->status = 422;
    hd__buffer_append_text(b, "{\"detail\":[{\"loc\":");
    write_place(b, fault->field);
    hd__buffer_append_text(b, ",\"msg\":");
    hd__write_cstr(b, fault->text);
    hd__buffer_append_text(b, ",\"type\":");
    hd__write_cstr(b, type_of(fault));
    hd__buffer_append_text(b, "}]}");
}

static void write_detail(hd_http_response *response, int status, const char *text)
{
    response->status = status;
    hd__buffer_append_text(&response->body, "{\"detail\":");
    hd__write_cstr(&response->body, text);
    hd__buffer_append_char(&response->body, '}');
}

static void write_key(const hd_http_request *request, hd_http_response *response)
{
    const hd_span header = hd__http_header(request, "Authorization");
    const char *blank = header.ptr != NULL ? memchr(header.ptr, ' ', header.len) : NULL;
    const bool has_credentials = blank != NULL && blank + 1 < header.ptr + header.len;
    if (!has_credentials && hd__http_header(request, "X-Api-Key").ptr == NULL)
        write_detail(response, 403, "Not authenticated");
    else if (has_credentials && (header.len < 7 || strncasecmp(header.ptr, "Bearer ", 7) != 0))
        write_detail(response, 403, "Invalid authentication credentials");
    else
        write_detail(response, 401, "Invalid or missing token");
}

static bool is_about_schema(const hd_fault *fault)
{
    switch (fault->kind) {
    case HD_FAULT_JSON: return true;
    case HD_FAULT_MISSING:
    case HD_FAULT_TYPE:
    case HD_FAULT_VALUE:
    case HD_FAULT_INPUTS:
    case HD_FAULT_EMPTY: return fault->field != NULL;
    default: return false;
    }
}

static void write(const hd_fault *fault, const hd_http_request *request, bool says_all, hd_arena *arena,
                  hd_http_response *response)
{
    const int status = statuses[fault->kind];
    response->content_type = "application/json";
    hd__buffer_reset(&response->body);
    if (fault->kind == HD_FAULT_KEY)
        write_key(request, response);
    else if (is_about_schema(fault))
        write_validation(fault, response);
    else if (status != 0 || says_all)
        write_detail(response, status != 0 ? status : 500, fault->text);
    else
        write_detail(response, 500, "Internal Service Error");
    if (fault->retry_after_s != 0)
        hd__http_setf(response, arena, "Retry-After", "%u", fault->retry_after_s);
}

static void write_fault(const hd_fault *fault, const hd_http_request *request, hd_arena *arena, hd_http_response *response)
{
    write(fault, request, false, arena, response);
}

static void write_file_fault(const hd_fault *fault, const hd_http_request *request, hd_arena *arena,
                             hd_http_response *response)
{
    write(fault, request, true, arena, response);
}

const hd_dialect hd__dialect_plugin = {"plugin", write_fault};
const hd_dialect hd__dialect_plugin_file = {"plugin", write_file_fault};
