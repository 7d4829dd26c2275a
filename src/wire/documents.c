/* documents.c - Heddle's own way to put documents into the index and to look at them.
 *
 *   POST   /v1/documents       {"documents": [{…}, …]}, or one {…} by itself:
 *                              {"id": "…", "text": "…" or "file": "<base64>", "mime": "application/pdf", "source": "…",
 *                               "title", "url", "author", "created_at": 1714557600 or "2024-05-01", "metadata": {…},
 *                               "chunking": "auto" | "tokens" | "anyloom" | "plugin"}
 *                              →  {"ids": ["…", null for one without text]}
 *   GET    /v1/documents       ?filter=…&offset=…&limit=…  →  {"documents": [{…}], "total", "offset", "limit"}
 *   DELETE /v1/documents       {"ids": ["…"], "filter": "…"} or {"all": true}  →  {"deleted": n}
 *   GET    /v1/documents/{id}  with its "chunks"
 *   DELETE /v1/documents/{id}
 *
 * A document of an id that is there is replaced, whole. When the answer comes what was asked is on the disk and is found.
 */
#include "base/date.h"
#include "base/limits.h"
#include "wire/answer.h"
#include "wire/fields.h"
#include "wire/hits.h"
#include "wire/openai.h"

#define DEFAULT_LIMIT 100u

/* ---- putting ---- */

static const char *const document_fields[] = {"id",  "text",   "file",       "mime",     "source",   "title",
                                              "url", "author", "created_at", "metadata", "chunking", NULL};

static hd_status read_date(const json_t *object, int64_t *unix_s, hd_fault *fault)
{
    const json_t *f = hd__field(object, "created_at");
    if (f == NULL)
        return HD_OK;
    if (json_is_integer(f)) {
        *unix_s = json_integer_value(f);
        return HD_OK;
    }
    if (!json_is_string(f))
        return hd__fault(fault, HD_FAULT_TYPE, "created_at", "`created_at` is neither Unix seconds nor a date");
    if (!hd__date_parse(hd__span(json_string_value(f), json_string_length(f)), unix_s))
        return hd__fault(fault, HD_FAULT_VALUE, "created_at", "`created_at` is \"%.64s\", which is no date as 2024-05-01",
                         json_string_value(f));
    return HD_OK;
}

static hd_status read_content(const json_t *object, hd_arena *arena, hd_text *text, hd_fault *fault)
{
    const json_t *plain = hd__field(object, "text"), *file = hd__field(object, "file");
    if ((plain != NULL) == (file != NULL))
        return hd__fault(fault, plain != NULL ? HD_FAULT_VALUE : HD_FAULT_MISSING, "text",
                         "a document has a `text` or a `file`: this one has %s", plain != NULL ? "both" : "none");
    const char *name = plain != NULL ? "text" : "file";
    const json_t *f = plain != NULL ? plain : file;
    if (!json_is_string(f))
        return hd__fault(fault, HD_FAULT_TYPE, name, "`%s` is not a string", name);
    *text = hd__json_string(f);
    if (plain != NULL)
        return HD_OK;
    size_t n;
    char *bytes = hd__arena_alloc(arena, text->len / 4 * 3 + 1);
    if (bytes == NULL)
        return hd__fault(fault, HD_FAULT_MEMORY, NULL, "no memory for a file of %zu bytes", text->len / 4 * 3);
    if (!hd__base64_decode(hd__span(text->ptr, text->len), bytes, &n))
        return hd__fault(fault, HD_FAULT_VALUE, "file", "`file` is not base64");
    *text = (hd_text){bytes, n};
    return HD_OK;
}

static int append_json(const char *text, size_t n, void *buffer)
{
    hd__buffer_append(buffer, text, n);
    return ((const hd_buffer *)buffer)->failed ? -1 : 0;
}

static hd_status read_metadata(const json_t *object, hd_arena *arena, const char **metadata, hd_fault *fault)
{
    const json_t *f = hd__field(object, "metadata");
    if (f == NULL)
        return HD_OK;
    if (!json_is_object(f))
        return hd__fault(fault, HD_FAULT_TYPE, "metadata", "`metadata` is not an object");
    hd_buffer text;
    hd__buffer_init(&text);
    if (json_dump_callback(f, append_json, &text, JSON_COMPACT) == 0)
        *metadata = hd__arena_strndup(arena, text.ptr, text.len);
    hd__buffer_clear(&text);
    return *metadata != NULL ? HD_OK : hd__fault(fault, HD_FAULT_MEMORY, NULL, "no memory for metadata");
}

static hd_status read_document(const json_t *object, hd_arena *arena, hd_document *d, hd_fault *fault)
{
    static const char *const chunkings[] = {"auto", "tokens", "anyloom", "plugin", NULL}; /* as hd_chunking has them */
    const struct {
        const char *name;
        const char **value;
    } texts[] = {{"id", &d->id},       {"mime", &d->mime}, {"source", &d->source},
                 {"title", &d->title}, {"url", &d->url},   {"author", &d->author}};
    uint32_t chunking = 0;
    HD_TRY(hd__fields_known(object, document_fields, fault));
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        HD_TRY(hd__field_text(object, texts[i].name, texts[i].value, fault));
    if (d->id != NULL && d->id[0] == '\0')
        return hd__fault(fault, HD_FAULT_EMPTY, "id", "`id` cannot be an empty string");
    HD_TRY(read_content(object, arena, &d->text, fault));
    HD_TRY(read_date(object, &d->created_at, fault));
    HD_TRY(read_metadata(object, arena, &d->metadata, fault));
    HD_TRY(hd__field_choice(object, "chunking", chunkings, &chunking, fault));
    d->chunking = (hd_chunking)chunking;
    return HD_OK;
}

static hd_status read_put(const hd_wire_request *request, hd_call *call, hd_fault *fault)
{
    static const char *const known[] = {"documents", "timeout_ms", NULL};
    const json_t *list = hd__field(request->body, "documents");
    const size_t n = list != NULL ? json_array_size(list) : 1;
    hd_index_call *c;
    HD_TRY(hd__index_call(request, HD_TASK_PUT, call, &c, fault));
    if (list != NULL) {
        HD_TRY(hd__fields_known(request->body, known, fault));
        HD_TRY(hd__field_uint(request->body, "timeout_ms", 1, UINT32_MAX, &call->timeout_ms, fault));
    }
    if (list != NULL && !json_is_array(list))
        return hd__fault(fault, HD_FAULT_TYPE, "documents", "`documents` is not a list");
    if (n == 0)
        return hd__fault(fault, HD_FAULT_EMPTY, "documents", "`documents` cannot be an empty list");
    HD_TRY(hd__check_inputs(request, "documents", "documents", n, fault));
    hd_document *documents = hd__arena_calloc(request->arena, n, sizeof *documents);
    if (documents == NULL)
        return hd__fault(fault, HD_FAULT_MEMORY, NULL, "no memory for %zu documents", n);
    for (size_t i = 0; i < n; i++) {
        const json_t *item = list != NULL ? json_array_get(list, i) : request->body;
        if (!json_is_object(item))
            return hd__fault(fault, HD_FAULT_TYPE, "documents", "document %zu is not an object", i);
        HD_TRY(read_document(item, request->arena, &documents[i], fault));
    }
    c->documents = documents;
    c->n_documents = n;
    return HD_OK;
}

static void write_put(const hd_wire_request *request, const hd_call *call, const hd_result *result,
                      hd_http_response *response)
{
    (void)request;
    hd_buffer *b = &response->body;
    hd__buffer_append_text(b, "{\"ids\":[");
    for (size_t i = 0; i < call->index->n_documents; i++) {
        const hd_text id = result->index->ids[i];
        if (i > 0)
            hd__buffer_append_char(b, ',');
        if (id.ptr != NULL)
            hd__buffer_append_json(b, hd__span(id.ptr, id.len));
        else
            hd__buffer_append_text(b, "null");
    }
    hd__buffer_append_text(b, "]}");
}

/* ---- looking ---- */

static hd_status read_list(const hd_wire_request *request, hd_call *call, hd_fault *fault)
{
    const hd_span offset = hd__http_query(request->http, "offset", request->arena);
    const hd_span limit = hd__http_query(request->http, "limit", request->arena);
    hd_index_call *c;
    HD_TRY(hd__index_call(request, HD_TASK_LIST, call, &c, fault));
    c->limit = DEFAULT_LIMIT;
    HD_TRY(hd__query_text(request, "filter", &c->filter, fault));
    if (offset.ptr != NULL)
        HD_TRY(hd__query_uint(offset, "offset", 0, UINT32_MAX, &c->offset, fault));
    if (limit.ptr != NULL)
        HD_TRY(hd__query_uint(limit, "limit", 0, HD_LIMIT_LISTED_DOCUMENTS, &c->limit, fault));
    return HD_OK;
}

static void write_members(hd_buffer *b, const hd_stored_document *d)
{
    hd__buffer_append_text(b, "{\"id\":");
    hd__write_cstr(b, d->id);
    hd__write_member(b, "source", d->source);
    hd__write_member(b, "title", d->title);
    hd__write_member_or_null(b, "path", d->path);
    hd__write_member_or_null(b, "url", d->url);
    hd__write_member_or_null(b, "author", d->author);
    hd__write_member_or_null(b, "mime", d->mime);
    hd__write_member_date(b, "created_at", d->created_at);
    hd__write_member_uint(b, "size", d->size);
    hd__write_member_uint(b, "n_chunks", d->n_chunks);
    hd__write_member_metadata(b, d->metadata);
}

static void write_list(const hd_wire_request *request, const hd_call *call, const hd_result *result,
                       hd_http_response *response)
{
    (void)request;
    const hd_listing *l = &result->index->listing;
    hd_buffer *b = &response->body;
    hd__buffer_append_text(b, "{\"documents\":[");
    for (size_t i = 0; i < l->n; i++) {
        if (i > 0)
            hd__buffer_append_char(b, ',');
        write_members(b, &l->documents[i]);
        hd__write_member(b, "sample", l->documents[i].sample);
        hd__buffer_append_char(b, '}');
    }
    hd__buffer_append_char(b, ']');
    hd__write_member_uint(b, "total", l->n_matching);
    hd__write_member_uint(b, "offset", call->index->offset);
    hd__write_member_uint(b, "limit", call->index->limit);
    hd__buffer_append_char(b, '}');
}

/* The id is the rest of the path. */
static hd_status read_id(const hd_wire_request *request, hd_task task, hd_call *call, hd_fault *fault)
{
    const hd_span rest = request->rest;
    hd_index_call *c;
    HD_TRY(hd__index_call(request, task, call, &c, fault));
    if (rest.len == 0 || memchr(rest.ptr, '\0', rest.len) != NULL)
        return hd__fault(fault, HD_FAULT_VALUE, "id", "the path has no document's id");
    const char **ids = hd__arena_calloc(request->arena, 1, sizeof *ids);
    if (ids != NULL)
        ids[0] = hd__arena_strndup(request->arena, rest.ptr, rest.len);
    if (ids == NULL || ids[0] == NULL)
        return hd__fault(fault, HD_FAULT_MEMORY, NULL, "no memory for this request");
    c->ids = ids;
    c->n_ids = 1;
    return HD_OK;
}

static hd_status read_get(const hd_wire_request *request, hd_call *call, hd_fault *fault)
{
    return read_id(request, HD_TASK_GET, call, fault);
}

static void write_unknown(const hd_wire_request *request, const hd_call *call, hd_http_response *response)
{
    hd_fault fault;
    HD_IGNORE(hd__fault(&fault, HD_FAULT_ROUTE, "id", "there is no document '%.200s'", call->index->ids[0]));
    hd__dialect_openai.write_fault(&fault, request->http, request->arena, response);
}

static void write_chunk(hd_buffer *b, const hd_stored_chunk *c)
{
    hd__buffer_append_text(b, "{\"id\":");
    hd__write_cstr(b, c->id);
    hd__write_member_uint(b, "index", c->ordinal);
    hd__write_member(b, "section", c->section);
    hd__write_member(b, "text", c->text);
    hd__write_member_span(b, "offsets", c->span);
    hd__write_member_uint(b, "line", c->line);
    hd__write_member_uint(b, "page", c->page);
    hd__buffer_append_text(b, c->is_code ? ",\"is_code\":true}" : ",\"is_code\":false}");
}

static void write_get(const hd_wire_request *request, const hd_call *call, const hd_result *result,
                      hd_http_response *response)
{
    const hd_listing *l = &result->index->listing;
    hd_buffer *b = &response->body;
    if (l->n == 0) {
        write_unknown(request, call, response);
        return;
    }
    write_members(b, &l->documents[0]);
    hd__buffer_append_text(b, ",\"chunks\":[");
    for (size_t i = 0; i < l->documents[0].n_chunks; i++) {
        if (i > 0)
            hd__buffer_append_char(b, ',');
        write_chunk(b, &l->documents[0].chunks[i]);
    }
    hd__buffer_append_text(b, "]}");
}

/* ---- removing ---- */

static hd_status read_remove_one(const hd_wire_request *request, hd_call *call, hd_fault *fault)
{
    return read_id(request, HD_TASK_REMOVE, call, fault);
}

static hd_status read_remove(const hd_wire_request *request, hd_call *call, hd_fault *fault)
{
    static const char *const known[] = {"ids", "filter", "all", "timeout_ms", NULL};
    const json_t *body = request->body;
    bool all = false;
    hd_index_call *c;
    HD_TRY(hd__fields_known(body, known, fault));
    HD_TRY(hd__index_call(request, HD_TASK_REMOVE, call, &c, fault));
    HD_TRY(hd__field_texts(body, "ids", request->arena, &c->ids, &c->n_ids, fault));
    HD_TRY(hd__field_text(body, "filter", &c->filter, fault));
    HD_TRY(hd__field_bool(body, "all", &all, fault));
    HD_TRY(hd__field_uint(body, "timeout_ms", 1, UINT32_MAX, &call->timeout_ms, fault));
    if (c->filter != NULL && c->filter[0] == '\0')
        return hd__fault(fault, HD_FAULT_EMPTY, "filter", "`filter` cannot be empty: everything is {\"all\": true}");
    if (all && (c->filter != NULL || c->n_ids > 0))
        return hd__fault(fault, HD_FAULT_VALUE, "all", "`all` goes neither with `ids` nor with `filter`");
    if (!all && c->filter == NULL && c->n_ids == 0)
        return hd__fault(fault, HD_FAULT_MISSING, "ids", "one of `ids`, `filter` and `all` says what is to be deleted");
    if (all)
        c->filter = HD_FILTER_ALL;
    return HD_OK;
}

static void write_remove(const hd_wire_request *request, const hd_call *call, const hd_result *result,
                         hd_http_response *response)
{
    (void)request;
    (void)call;
    hd__buffer_append_text(&response->body, "{\"deleted\":");
    hd__write_uint(&response->body, result->index->n_removed);
    hd__buffer_append_char(&response->body, '}');
}

static void write_remove_one(const hd_wire_request *request, const hd_call *call, const hd_result *result,
                             hd_http_response *response)
{
    if (result->index->n_removed == 0)
        write_unknown(request, call, response);
    else
        write_remove(request, call, result, response);
}

/* ---- the table ---- */

static const hd_route routes[] = {
    {.method = HD_HTTP_POST,
     .path = "/v1/documents",
     .has_body = true,
     .read = read_put,
     .write = write_put,
     .summary = "Puts documents into the index; one of the same id is replaced.",
     .request_schema = "PutRequest",
     .response_schema = "PutResponse"},
    {.method = HD_HTTP_GET,
     .path = "/v1/documents",
     .read = read_list,
     .write = write_list,
     .summary = "The documents for which a filter holds, in the order of their ids.",
     .parameters = "{\"name\":\"filter\",\"in\":\"query\",\"schema\":{\"type\":\"string\"}},"
                   "{\"name\":\"offset\",\"in\":\"query\",\"schema\":{\"type\":\"integer\",\"minimum\":0,"
                   "\"maximum\":4294967295}},"
                   "{\"name\":\"limit\",\"in\":\"query\",\"schema\":{\"type\":\"integer\",\"minimum\":0,\"maximum\":1000}}",
     .response_schema = "Listing"},
    {.method = HD_HTTP_DELETE,
     .path = "/v1/documents",
     .has_body = true,
     .read = read_remove,
     .write = write_remove,
     .summary = "Deletes documents by id, by a filter, or all.",
     .request_schema = "DeleteRequest",
     .response_schema = "Deleted"},
    {.method = HD_HTTP_GET,
     .path = "/v1/documents/*",
     .read = read_get,
     .write = write_get,
     .summary = "A document and its chunks.",
     .response_schema = "DocumentWithChunks"},
    {.method = HD_HTTP_DELETE,
     .path = "/v1/documents/*",
     .read = read_remove_one,
     .write = write_remove_one,
     .summary = "Deletes a document.",
     .response_schema = "Deleted"},
};

static const char schemas[] =
    "{\"Document\":{\"type\":\"object\",\"anyOf\":[{\"required\":[\"text\"]},{\"required\":[\"file\"]}],"
    "\"additionalProperties\":false,\"properties\":{\"id\":{\"type\":[\"string\",\"null\"],\"minLength\":1},"
    "\"text\":{\"type\":[\"string\",\"null\"]},\"file\":{\"type\":[\"string\",\"null\"],\"contentEncoding\":\"base64\"},"
    "\"mime\":{\"type\":[\"string\",\"null\"]},\"source\":{\"type\":[\"string\",\"null\"]},"
    "\"title\":{\"type\":[\"string\",\"null\"]},\"url\":{\"type\":[\"string\",\"null\"]},"
    "\"author\":{\"type\":[\"string\",\"null\"]},\"created_at\":{\"type\":[\"integer\",\"string\",\"null\"]},"
    "\"metadata\":{\"type\":[\"object\",\"null\"]},\"chunking\":{\"type\":[\"string\",\"null\"],\"enum\":[\"auto\","
    "\"tokens\",\"anyloom\",\"plugin\",null]}}},\"PutRequest\":{\"anyOf\":[{\"$ref\":\"#/components/schemas/Document\"},"
    "{\"type\":\"object\",\"required\":[\"documents\"],\"additionalProperties\":false,"
    "\"properties\":{\"documents\":{\"type\":\"array\",\"minItems\":1,"
    "\"items\":{\"$ref\":\"#/components/schemas/Document\"}},\"timeout_ms\":{\"type\":[\"integer\",\"null\"],"
    "\"minimum\":1}}}]},\"PutResponse\":{\"type\":\"object\",\"required\":[\"ids\"],"
    "\"properties\":{\"ids\":{\"type\":\"array\",\"items\":{\"type\":[\"string\",\"null\"]}}}},"
    "\"Listed\":{\"type\":\"object\",\"required\":[\"id\",\"source\",\"n_chunks\",\"metadata\",\"sample\"],"
    "\"properties\":{\"id\":{\"type\":\"string\"},\"source\":{\"type\":\"string\"},\"title\":{\"type\":\"string\"},"
    "\"path\":{\"type\":[\"string\",\"null\"]},\"url\":{\"type\":[\"string\",\"null\"]},"
    "\"author\":{\"type\":[\"string\",\"null\"]},\"mime\":{\"type\":[\"string\",\"null\"]},"
    "\"created_at\":{\"type\":[\"string\",\"null\"]},\"size\":{\"type\":\"integer\"},"
    "\"n_chunks\":{\"type\":\"integer\"},\"metadata\":{\"type\":\"object\"},\"sample\":{\"type\":\"string\"}}},"
    "\"Listing\":{\"type\":\"object\",\"required\":[\"documents\",\"total\",\"offset\",\"limit\"],"
    "\"properties\":{\"documents\":{\"type\":\"array\",\"items\":{\"$ref\":\"#/components/schemas/Listed\"}},"
    "\"total\":{\"type\":\"integer\"},\"offset\":{\"type\":\"integer\"},\"limit\":{\"type\":\"integer\"}}},"
    "\"DocumentWithChunks\":{\"type\":\"object\",\"required\":[\"id\",\"source\",\"n_chunks\",\"metadata\","
    "\"chunks\"],\"properties\":{\"id\":{\"type\":\"string\"},\"source\":{\"type\":\"string\"},"
    "\"title\":{\"type\":\"string\"},\"path\":{\"type\":[\"string\",\"null\"]},\"url\":{\"type\":[\"string\","
    "\"null\"]},\"author\":{\"type\":[\"string\",\"null\"]},\"mime\":{\"type\":[\"string\",\"null\"]},"
    "\"created_at\":{\"type\":[\"string\",\"null\"]},\"size\":{\"type\":\"integer\"},"
    "\"n_chunks\":{\"type\":\"integer\"},\"metadata\":{\"type\":\"object\"},\"chunks\":{\"type\":\"array\","
    "\"items\":{\"type\":\"object\",\"required\":[\"id\",\"index\",\"section\",\"text\",\"offsets\",\"line\","
    "\"page\",\"is_code\"]}}}},\"DeleteRequest\":{\"type\":\"object\",\"additionalProperties\":false,"
    "\"minProperties\":1,\"properties\":{\"ids\":{\"type\":[\"array\",\"null\"],\"items\":{\"type\":\"string\"}},"
    "\"filter\":{\"type\":[\"string\",\"null\"]},\"all\":{\"type\":[\"boolean\",\"null\"]},"
    "\"timeout_ms\":{\"type\":[\"integer\",\"null\"],\"minimum\":1}}},\"Deleted\":{\"type\":\"object\","
    "\"required\":[\"deleted\"],\"properties\":{\"deleted\":{\"type\":\"integer\"}}}}";

const hd_protocol hd__protocol_documents = {
    .name = "Documents",
    .dialect = &hd__dialect_openai,
    .routes = routes,
    .n_routes = sizeof routes / sizeof routes[0],
    .schemas = schemas,
};
