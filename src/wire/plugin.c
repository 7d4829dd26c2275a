/* plugin.c - the API of OpenAI's chatgpt-retrieval-plugin, so that what was made for it can be pointed here unchanged.
 *
 *   POST   /upsert       {"documents": [{"id"?, "text", "metadata"?}]}  →  {"ids": ["…"]}
 *   POST   /upsert-file  a form: `file`, and `metadata` (JSON text)  →  {"ids": ["…"]}
 *   POST   /query        {"queries": [{"query", "filter"?, "top_k"? = 3}]}  →  {"results": [{"query", "results": [{…}]}]};
 *                        /sub/query is the same
 *   POST   /list         {"limit"? = 100, "offset"? = 0, "filter"?}  →  {"documents": [{…}], "total": n}: of a fork
 *   DELETE /delete       {"ids"?, "filter"?, "delete_all"?}  →  {"success": true}
 *   GET    /.well-known/ai-plugin.json, /.well-known/openapi.yaml, /sub/openapi.json: what a model's plugin loader reads
 *
 * Source: https://github.com/openai/chatgpt-retrieval-plugin (b28ddce: server/main.py, models/, datastore/). A document's
 * `source` is one of email, file and chat, its dates are any text; one that cannot be read counts as now. Numbers are texts
 * where texts are wanted, and the other way round. `ids` has those of documents without text too, as long as one has any.
 * What is not taken over: a `filter` of {} deletes nothing, and deleting all wants a real true. Errors are FastAPI's with
 * pydantic 1: 422 with where and what, 401 and 403 of keys, else 500 "Internal Service Error", which /upsert-file replaces
 * by what happened. Where the server has a reranker, each query's first `rerank_k` chunks are ordered by it and `rerank_n`
 * of them answered, with their fused score in `score`, as that fork does it, and the reranker's beside it in `rerank_score`.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/date.h"
#include "base/limits.h"
#include "base/uuid.h"
#include "wire/answer.h"
#include "wire/fields.h"
#include "wire/hits.h"
#include "wire/multipart.h"
#include "wire/plugin_faults.h"
#include "wire/plugin_manifest.h"

#define DEFAULT_TOP_K 3u
#define DEFAULT_LIMIT 100u
#define SAMPLE_CHARACTERS 200u

/* What the API knows of a document beside its id and text. The first four have places of their own in the index, the others
 * are in its metadata. */
typedef struct metadata {
    const char *source, *url, *author, *created_at, *source_id, *filename, *filesize;
} metadata;

static hd_status no_memory(hd_fault *fault)
{
    return hd__fault(fault, HD_FAULT_MEMORY, NULL, "no memory for this request");
}

/* ---- reading fields, as pydantic does ---- */

/* Refuses a field of the object at `where`: "documents.0"; "" is the body. */
static hd_status refuse(const hd_wire_request *request, hd_fault_kind kind, const char *where, const char *name,
                        const char *text, hd_fault *fault)
{
    const char *place = where[0] != '\0' ? hd__arena_printf(request->arena, "%s.%s", where, name) : name;
    return place != NULL ? hd__fault(fault, kind, place, "%s", text) : no_memory(fault);
}

static hd_status check_there(const hd_wire_request *request, const json_t *object, const char *where, const char *name,
                             hd_fault *fault)
{
    const json_t *f = json_object_get(object, name);
    return f == NULL         ? refuse(request, HD_FAULT_MISSING, where, name, "field required", fault)
           : json_is_null(f) ? refuse(request, HD_FAULT_TYPE, where, name, "none is not an allowed value", fault)
                             : HD_OK;
}

/* A string, or a number's text. */
static hd_status take_string(const hd_wire_request *request, const json_t *f, const char *where, const char *name,
                             hd_text *value, hd_fault *fault)
{
    *value = hd__json_string(f);
    if (json_is_string(f))
        return HD_OK;
    if (!json_is_number(f))
        return refuse(request, HD_FAULT_TYPE, where, name, "str type expected", fault);
    const char *number = json_is_integer(f) ? hd__arena_printf(request->arena, "%lld", (long long)json_integer_value(f))
                                            : hd__arena_printf(request->arena, "%.17g", json_real_value(f));
    if (number == NULL)
        return no_memory(fault);
    *value = (hd_text){number, strlen(number)};
    return HD_OK;
}

/* The same where no NUL may be; NULL: it is missing. */
static hd_status read_text(const hd_wire_request *request, const json_t *object, const char *where, const char *name,
                           const char **value, hd_fault *fault)
{
    const json_t *f = hd__field(object, name);
    hd_text text = {0};
    if (f != NULL)
        HD_TRY(take_string(request, f, where, name, &text, fault));
    if (f != NULL && strlen(text.ptr) != text.len)
        return refuse(request, HD_FAULT_VALUE, where, name, "holds a NUL character", fault);
    *value = text.ptr;
    return HD_OK;
}

/* The name of one of the plugin's sources; NULL for any other text. */
static const char *known_source(const char *text)
{
    static const char *const sources[] = {"email", "file", "chat"};
    for (size_t i = 0; text != NULL && i < sizeof sources / sizeof *sources; i++)
        if (strcmp(sources[i], text) == 0)
            return sources[i];
    return NULL;
}

static hd_status read_source(const hd_wire_request *request, const json_t *object, const char *where, const char **source,
                             hd_fault *fault)
{
    HD_TRY(read_text(request, object, where, "source", source, fault));
    return *source == NULL || known_source(*source) != NULL
               ? HD_OK
               : refuse(request, HD_FAULT_VALUE, where, "source",
                        "value is not a valid enumeration member; permitted: 'email', 'file', 'chat'", fault);
}

/* A whole number: Python's int() takes texts and cuts fractions. */
static hd_status read_count(const hd_wire_request *request, const json_t *object, const char *where, const char *name,
                            uint32_t min, uint32_t max, uint32_t *value, hd_fault *fault)
{
    const json_t *f = hd__field(object, name);
    char *end = NULL;
    if (f == NULL)
        return HD_OK;
    const char *text = json_string_value(f);
    const double n = text != NULL ? (double)strtoll(text, &end, 10) : json_number_value(f);
    if (text != NULL ? end == text || *end != '\0' : !json_is_number(f))
        return refuse(request, HD_FAULT_TYPE, where, name, "value is not a valid integer", fault);
    if (!(n >= min && n <= max)) {
        const char *range = hd__arena_printf(request->arena, "ensure this value is from %u to %u", min, max);
        return range != NULL ? refuse(request, HD_FAULT_VALUE, where, name, range, fault) : no_memory(fault);
    }
    *value = (uint32_t)n;
    return HD_OK;
}

/* Reads an object of a list into an item, which is zeroed. */
typedef hd_status read_item(const hd_wire_request *request, const json_t *object, const char *where, void *item,
                            hd_fault *fault);

/* The required list of that name: *items is [n] of `size` bytes each. */
static hd_status read_each(const hd_wire_request *request, const char *name, size_t limit, read_item *read, size_t size,
                           void **items, size_t *n, hd_fault *fault)
{
    const json_t *list = json_object_get(request->body, name);
    HD_TRY(check_there(request, request->body, "", name, fault));
    if (!json_is_array(list))
        return hd__fault(fault, HD_FAULT_TYPE, name, "value is not a valid list");
    if (json_array_size(list) > limit)
        return hd__fault(fault, HD_FAULT_VALUE, name, "ensure this value has at most %zu items", limit);
    *n = json_array_size(list);
    *items = hd__arena_calloc(request->arena, *n + 1, size);
    for (size_t i = 0; i < *n && *items != NULL; i++) {
        const json_t *object = json_array_get(list, i);
        const char *where = hd__arena_printf(request->arena, "%s.%zu", name, i);
        if (where == NULL)
            return no_memory(fault);
        if (!json_is_object(object))
            return hd__fault(fault, HD_FAULT_TYPE, where, "value is not a valid dict");
        HD_TRY(read(request, object, where, (char *)*items + i * size, fault));
    }
    return *items != NULL ? HD_OK : no_memory(fault);
}

static hd_status read_metadata(const hd_wire_request *request, const json_t *object, const char *where, metadata *m,
                               hd_fault *fault)
{
    const struct {
        const char *name;
        const char **value;
    } texts[] = {
        {"url", &m->url},           {"author", &m->author},    {"created_at", &m->created_at}, {"source_id", &m->source_id},
        {"filename", &m->filename}, {"filesize", &m->filesize}};
    if (object == NULL)
        return HD_OK;
    if (!json_is_object(object))
        return hd__fault(fault, HD_FAULT_TYPE, where, "value is not a valid dict");
    HD_TRY(read_source(request, object, where, &m->source, fault));
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        HD_TRY(read_text(request, object, where, texts[i].name, texts[i].value, fault));
    return HD_OK;
}

/* Any date; one that nobody can read is now, as the plugin has it. */
static int64_t seconds_of(const char *text)
{
    int64_t seconds;
    char *end;
    if (hd__date_parse(hd__span_of(text), &seconds))
        return seconds;
    const double number = strtod(text, &end);
    const bool is_number = end != text && *end == '\0' && isfinite(number) && fabs(number) < 1e15;
    return is_number ? (int64_t)number : (int64_t)time(NULL);
}

/* ---- filters ---- */

/* " AND name = \"value\"" */
static void add_test(hd_buffer *filter, const char *name, const char *value)
{
    if (value == NULL)
        return;
    hd__buffer_printf(filter, "%s%s = \"", filter->len > 0 ? " AND " : "", name);
    for (; *value != '\0'; value++) {
        if (*value == '"' || *value == '\\')
            hd__buffer_append_char(filter, '\\');
        hd__buffer_append_char(filter, *value);
    }
    hd__buffer_append_char(filter, '"');
}

static void free_buffer(void *data)
{
    hd__buffer_clear(data);
}

/* For a text as long as the request; NULL when there is no memory. */
static hd_buffer *new_buffer(const hd_wire_request *request)
{
    hd_buffer *b = hd__arena_calloc(request->arena, 1, sizeof *b);
    return b != NULL && hd__arena_on_clear(request->arena, free_buffer, b) == HD_OK ? b : NULL;
}

/* The plugin's filter in ours; *filter NULL when it has no condition. */
static hd_status read_filter(const hd_wire_request *request, const json_t *object, const char *where, const char **filter,
                             hd_fault *fault)
{
    const char *id = NULL, *start = NULL, *end = NULL;
    metadata m = {0};
    *filter = NULL;
    if (object == NULL)
        return HD_OK;
    HD_TRY(read_metadata(request, object, where, &m, fault));
    HD_TRY(read_text(request, object, where, "document_id", &id, fault));
    HD_TRY(read_text(request, object, where, "start_date", &start, fault));
    HD_TRY(read_text(request, object, where, "end_date", &end, fault));
    hd_buffer *b = new_buffer(request);
    if (b == NULL)
        return no_memory(fault);
    add_test(b, "id", id);
    add_test(b, "source", m.source);
    add_test(b, "metadata.source_id", m.source_id);
    add_test(b, "author", m.author);
    add_test(b, "metadata.filename", m.filename);
    if (start != NULL)
        hd__buffer_printf(b, "%screated_at >= %lld", b->len > 0 ? " AND " : "", (long long)seconds_of(start));
    if (end != NULL)
        hd__buffer_printf(b, "%screated_at <= %lld", b->len > 0 ? " AND " : "", (long long)seconds_of(end));
    if (b->len > 0) {
        hd__buffer_append_char(b, '\0');
        *filter = b->ptr;
    }
    return b->failed ? no_memory(fault) : HD_OK;
}

/* ---- putting ---- */

/* What has no place of its own, as a JSON object. */
static hd_status pack_metadata(const hd_wire_request *request, const metadata *m, const char **json, hd_fault *fault)
{
    const struct {
        const char *name, *value;
    } members[] = {
        {"source_id", m->source_id}, {"created_at", m->created_at}, {"filename", m->filename}, {"filesize", m->filesize}};
    hd_buffer *b = new_buffer(request);
    if (b == NULL)
        return no_memory(fault);
    for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
        if (members[i].value == NULL)
            continue;
        hd__buffer_printf(b, "%s\"%s\":", b->len > 0 ? "," : "{", members[i].name);
        hd__write_cstr(b, members[i].value);
    }
    hd__buffer_append_text(b, b->len > 0 ? "}" : "{}");
    hd__buffer_append_char(b, '\0');
    *json = b->ptr;
    return b->failed ? no_memory(fault) : HD_OK;
}

static hd_status fill_document(const hd_wire_request *request, const metadata *m, hd_document *d, hd_fault *fault)
{
    d->source = m->source;
    d->url = m->url;
    d->author = m->author;
    d->created_at = m->created_at != NULL ? seconds_of(m->created_at) : 0;
    d->chunking = HD_CHUNKING_PLUGIN;
    return pack_metadata(request, m, &d->metadata, fault);
}

static hd_status read_document(const hd_wire_request *request, const json_t *object, const char *where, void *item,
                               hd_fault *fault)
{
    hd_document *d = item;
    const json_t *about = hd__field(object, "metadata");
    metadata m = {0};
    HD_TRY(check_there(request, object, where, "text", fault));
    HD_TRY(take_string(request, json_object_get(object, "text"), where, "text", &d->text, fault));
    HD_TRY(read_text(request, object, where, "id", &d->id, fault));
    if (d->id != NULL && d->id[0] == '\0')
        d->id = NULL; /* Python's `or`: one is made */
    const char *of_metadata = hd__arena_printf(request->arena, "%s.metadata", where);
    if (of_metadata == NULL)
        return no_memory(fault);
    HD_TRY(read_metadata(request, about, of_metadata, &m, fault));
    d->mime = "text/plain";
    return fill_document(request, &m, d, fault);
}

static hd_status read_upsert(const hd_wire_request *request, hd_call *call, hd_fault *fault)
{
    void *documents;
    hd_index_call *c;
    HD_TRY(hd__index_call(request, HD_TASK_PUT, call, &c, fault));
    HD_TRY(read_each(request, "documents", request->settings->max_inputs, read_document, sizeof *c->documents, &documents,
                     &c->n_documents, fault));
    c->documents = documents;
    return HD_OK;
}

/* The form's metadata: none, or unreadable → {"source": "file"}. */
static void read_form_metadata(const hd_wire_request *request, const hd_part *part, metadata *m)
{
    json_t *object = part != NULL ? json_loadb(part->body.ptr, part->body.len, 0, NULL) : NULL;
    hd_fault ignored;
    metadata read = {0};
    *m = (metadata){.source = "file"};
    if (!json_is_object(object) || read_metadata(request, object, "metadata", &read, &ignored) != HD_OK) {
        json_decref(object);
        return;
    }
    const char **texts[] = {&read.source,    &read.url,      &read.author,  &read.created_at,
                            &read.source_id, &read.filename, &read.filesize};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) /* the object goes, its texts stay */
        if (*texts[i] != NULL)
            *texts[i] = hd__arena_strndup(request->arena, *texts[i], strlen(*texts[i]));
    json_decref(object);
    *m = read;
}

static hd_status read_upsert_file(const hd_wire_request *request, hd_call *call, hd_fault *fault)
{
    const hd_span type = hd__http_header(request->http, "Content-Type");
    hd_error error = {0};
    hd_part *parts;
    hd_index_call *c;
    metadata m;
    size_t n;
    const hd_status status = hd__multipart_parse(type, request->http->body, request->arena, &parts, &n, &error);
    if (status == HD_ERR_MEMORY)
        return no_memory(fault);
    if (status != HD_OK)
        return hd__fault(fault, HD_FAULT_VALUE, "file", "%s", error.text);
    const hd_part *file = hd__multipart_find(parts, n, "file");
    if (file == NULL || file->filename.ptr == NULL)
        return hd__fault(fault, HD_FAULT_MISSING, "file", "field required");
    HD_TRY(hd__index_call(request, HD_TASK_PUT, call, &c, fault));
    hd_document *d = hd__arena_calloc(request->arena, 1, sizeof *d);
    if (d == NULL)
        return no_memory(fault);
    read_form_metadata(request, hd__multipart_find(parts, n, "metadata"), &m);
    if (m.filename == NULL && file->filename.len > 0)
        m.filename = hd__arena_strndup(request->arena, file->filename.ptr, file->filename.len);
    if (m.filesize == NULL)
        m.filesize = hd__arena_printf(request->arena, "%zu", file->body.len);
    d->mime = hd__arena_strndup(request->arena, file->type.ptr, file->type.len);
    d->title = m.filename; /* its ending tells the kind where the type does not */
    if (d->mime == NULL || m.filesize == NULL || (m.filename == NULL && file->filename.len > 0))
        return no_memory(fault);
    d->text = (hd_text){file->body.ptr, file->body.len};
    HD_TRY(fill_document(request, &m, d, fault));
    c->documents = d;
    c->n_documents = 1;
    return HD_OK;
}

/* The ids of all documents, where one has any text; without id and text it is any. */
static void write_upsert(const hd_wire_request *request, const hd_call *call, const hd_result *result,
                         hd_http_response *response)
{
    (void)request;
    const hd_index_call *c = call->index;
    const hd_text *ids = result->index->ids;
    hd_buffer *b = &response->body;
    bool has_text = false;
    for (size_t i = 0; i < c->n_documents; i++)
        has_text |= ids[i].ptr != NULL;
    hd__buffer_append_text(b, "{\"ids\":[");
    for (size_t i = 0; i < c->n_documents && has_text; i++) {
        if (i > 0)
            hd__buffer_append_char(b, ',');
        char any[HD_UUID_TEXT_BYTES] = "";
        const char *id = ids[i].ptr != NULL ? ids[i].ptr : c->documents[i].id;
        if (id == NULL)
            HD_IGNORE(hd__uuid_random(any, NULL));
        hd__write_cstr(b, id != NULL ? id : any);
    }
    hd__buffer_append_text(b, "]}");
}

/* ---- asking ---- */

static hd_status read_one_query(const hd_wire_request *request, const json_t *object, const char *where, void *item,
                                hd_fault *fault)
{
    hd_search *search = item;
    const hd_wire_settings *s = request->settings;
    HD_TRY(check_there(request, object, where, "query", fault));
    HD_TRY(take_string(request, json_object_get(object, "query"), where, "query", &search->query, fault));
    if (search->query.len == 0)
        return refuse(request, HD_FAULT_VALUE, where, "query", "ensure this value has at least 1 characters", fault);
    const char *of_filter = hd__arena_printf(request->arena, "%s.filter", where);
    if (of_filter == NULL)
        return no_memory(fault);
    HD_TRY(read_filter(request, hd__field(object, "filter"), of_filter, &search->filter, fault));
    search->limit = DEFAULT_TOP_K;
    HD_TRY(read_count(request, object, where, "top_k", 1, HD_LIMIT_ANSWERED_HITS, &search->limit, fault));
    search->rerank = s->plugin_reranks;
    if (search->rerank) {
        search->n_rerank = s->rerank_k < search->limit ? s->rerank_k : search->limit;
        search->limit = s->rerank_n < search->limit ? s->rerank_n : search->limit;
    }
    return HD_OK;
}

static hd_status read_query(const hd_wire_request *request, hd_call *call, hd_fault *fault)
{
    void *searches;
    hd_index_call *c;
    HD_TRY(hd__index_call(request, HD_TASK_SEARCH, call, &c, fault));
    HD_TRY(read_each(request, "queries", HD_LIMIT_QUERIES, read_one_query, sizeof *c->searches, &searches, &c->n_searches,
                     fault));
    c->searches = searches;
    return HD_OK;
}

/* What the index keeps for us, as clients know it. */
typedef struct shown {
    const char *id, *source, *url, *author, *kept; /* kept: the index's metadata */
    int64_t created_at;
} shown;

static void write_metadata(hd_buffer *b, const shown *d)
{
    json_t *kept = json_loads(d->kept != NULL ? d->kept : "{}", 0, NULL);
    const char *created_at = json_string_value(json_object_get(kept, "created_at"));
    hd__buffer_append_text(b, "\"metadata\":{\"document_id\":");
    hd__write_cstr(b, d->id);
    hd__write_member_or_null(b, "source", known_source(d->source)); /* what clients have an enumeration for */
    hd__write_member_or_null(b, "source_id", json_string_value(json_object_get(kept, "source_id")));
    hd__write_member_or_null(b, "url", d->url);
    if (created_at != NULL)
        hd__write_member(b, "created_at", created_at);
    else
        hd__write_member_date(b, "created_at", d->created_at);
    hd__write_member_or_null(b, "author", d->author);
    for (size_t i = 0; i < 2; i++) {
        static const char *const names[] = {"filename", "filesize"};
        const char *value = json_string_value(json_object_get(kept, names[i]));
        if (value != NULL)
            hd__write_member(b, names[i], value);
    }
    hd__buffer_append_char(b, '}');
    json_decref(kept);
}

static void write_hit(hd_buffer *b, const hd_hit *hit)
{
    const size_t rerank = HD_N_LEGS - 1;
    const bool is_reranked = isfinite(hit->scores[rerank]);
    hd__buffer_append_text(b, "{\"id\":");
    hd__write_cstr(b, hit->chunk_id);
    hd__write_member(b, "text", hit->text);
    hd__buffer_append_char(b, ',');
    write_metadata(b, &(shown){hit->document_id, hit->source, hit->url, hit->author, hit->metadata, hit->created_at});
    hd__buffer_append_text(b, ",\"embedding\":null,\"score\":");
    hd__write_float(b, is_reranked ? hit->fused : hit->score);
    if (is_reranked) {
        hd__buffer_append_text(b, ",\"rerank_score\":");
        hd__write_float(b, hit->scores[rerank]);
    }
    hd__buffer_append_char(b, '}');
}

static void write_query(const hd_wire_request *request, const hd_call *call, const hd_result *result,
                        hd_http_response *response)
{
    (void)request;
    hd_buffer *b = &response->body;
    hd__buffer_append_text(b, "{\"results\":[");
    for (size_t i = 0; i < call->index->n_searches; i++) {
        const hd_text query = call->index->searches[i].query;
        const hd_results *r = &result->index->searches[i];
        hd__buffer_append_text(b, i > 0 ? ",{\"query\":" : "{\"query\":");
        hd__buffer_append_json(b, hd__span(query.ptr, query.len));
        hd__buffer_append_text(b, ",\"results\":[");
        for (size_t k = 0; k < r->n; k++) {
            if (k > 0)
                hd__buffer_append_char(b, ',');
            write_hit(b, &r->hits[k]);
        }
        hd__buffer_append_text(b, "]}");
    }
    hd__buffer_append_text(b, "]}");
}

/* ---- listing ---- */

static hd_status read_list(const hd_wire_request *request, hd_call *call, hd_fault *fault)
{
    hd_index_call *c;
    HD_TRY(hd__index_call(request, HD_TASK_LIST, call, &c, fault));
    c->limit = DEFAULT_LIMIT;
    HD_TRY(read_count(request, request->body, "", "limit", 0, HD_LIMIT_LISTED_DOCUMENTS, &c->limit, fault));
    HD_TRY(read_count(request, request->body, "", "offset", 0, UINT32_MAX, &c->offset, fault));
    return read_filter(request, hd__field(request->body, "filter"), "filter", &c->filter, fault);
}

/* As many bytes as the text's first characters have. */
static size_t sample_bytes(const char *text)
{
    size_t at = 0;
    for (size_t n = 0; text[at] != '\0'; at++)
        if (((unsigned char)text[at] & 0xC0) != 0x80 && n++ == SAMPLE_CHARACTERS)
            break;
    return at;
}

static void write_list(const hd_wire_request *request, const hd_call *call, const hd_result *result,
                       hd_http_response *response)
{
    (void)request;
    (void)call;
    const hd_listing *l = &result->index->listing;
    hd_buffer *b = &response->body;
    hd__buffer_append_text(b, "{\"documents\":[");
    for (size_t i = 0; i < l->n; i++) {
        const hd_stored_document *d = &l->documents[i];
        hd__buffer_append_text(b, i > 0 ? ",{\"document_id\":" : "{\"document_id\":");
        hd__write_cstr(b, d->id);
        hd__write_member_uint(b, "chunk_count", d->n_chunks);
        hd__buffer_append_char(b, ',');
        write_metadata(b, &(shown){d->id, d->source, d->url, d->author, d->metadata, d->created_at});
        hd__buffer_append_text(b, ",\"sample_text\":");
        hd__buffer_append_json(b, hd__span(d->sample, sample_bytes(d->sample)));
        hd__buffer_append_char(b, '}');
    }
    hd__buffer_append_char(b, ']');
    hd__write_member_uint(b, "total", l->n_matching);
    hd__buffer_append_char(b, '}');
}

/* ---- deleting ---- */

static hd_status read_ids(const hd_wire_request *request, hd_index_call *c, hd_fault *fault)
{
    const json_t *list = hd__field(request->body, "ids");
    const size_t n = json_array_size(list);
    if (list != NULL && !json_is_array(list))
        return hd__fault(fault, HD_FAULT_TYPE, "ids", "value is not a valid list");
    const char **ids = hd__arena_calloc(request->arena, n + 1, sizeof *ids);
    for (size_t i = 0; i < n && ids != NULL; i++) {
        char name[24];
        hd_text id;
        snprintf(name, sizeof name, "%zu", i);
        HD_TRY(take_string(request, json_array_get(list, i), "ids", name, &id, fault));
        if (strlen(id.ptr) != id.len)
            return refuse(request, HD_FAULT_VALUE, "ids", name, "holds a NUL character", fault);
        ids[i] = id.ptr;
    }
    c->ids = ids;
    c->n_ids = n;
    return ids != NULL ? HD_OK : no_memory(fault);
}

static hd_status read_delete(const hd_wire_request *request, hd_call *call, hd_fault *fault)
{
    hd_index_call *c;
    const json_t *all = hd__field(request->body, "delete_all");
    HD_TRY(hd__index_call(request, HD_TASK_REMOVE, call, &c, fault));
    HD_TRY(read_ids(request, c, fault));
    HD_TRY(read_filter(request, hd__field(request->body, "filter"), "filter", &c->filter, fault));
    if (all != NULL && !json_is_boolean(all))
        return hd__fault(fault, HD_FAULT_TYPE, "delete_all", "value could not be parsed to a boolean");
    if (json_is_true(all))
        c->filter = HD_FILTER_ALL;
    if (c->n_ids == 0 && c->filter == NULL)
        return hd__fault(fault, HD_FAULT_EMPTY, NULL, "One of ids, filter, or delete_all is required");
    return HD_OK;
}

static void write_delete(const hd_wire_request *request, const hd_call *call, const hd_result *result,
                         hd_http_response *response)
{
    (void)request;
    (void)call;
    (void)result;
    hd__buffer_append_text(&response->body, "{\"success\":true}");
}

/* ---- the table ---- */

static const hd_route routes[] = {
    {.method = HD_HTTP_POST,
     .path = "/upsert",
     .has_body = true,
     .read = read_upsert,
     .write = write_upsert,
     .summary = "Puts documents into the index.",
     .request_schema = "UpsertRequest",
     .response_schema = "UpsertResponse"},
    {.method = HD_HTTP_POST,
     .path = "/upsert-file",
     .dialect = &hd__dialect_plugin_file,
     .has_body = true,
     .is_form = true,
     .read = read_upsert_file,
     .write = write_upsert,
     .summary = "Puts a file into the index.",
     .request_schema = "UpsertFile",
     .response_schema = "UpsertResponse"},
    {.method = HD_HTTP_POST,
     .path = "/query",
     .has_body = true,
     .read = read_query,
     .write = write_query,
     .summary = "Passages that answer queries.",
     .request_schema = "QueryRequest",
     .response_schema = "QueryResponse"},
    {.method = HD_HTTP_POST,
     .path = "/sub/query",
     .has_body = true,
     .read = read_query,
     .write = write_query,
     .summary = "Passages that answer queries.",
     .request_schema = "QueryRequest",
     .response_schema = "QueryResponse"},
    {.method = HD_HTTP_POST,
     .path = "/list",
     .has_body = true,
     .read = read_list,
     .write = write_list,
     .summary = "The documents in the index, in the order of their ids.",
     .request_schema = "ListRequest",
     .response_schema = "ListResponse"},
    {.method = HD_HTTP_DELETE,
     .path = "/delete",
     .has_body = true,
     .read = read_delete,
     .write = write_delete,
     .summary = "Deletes documents.",
     .request_schema = "DeleteRequest",
     .response_schema = "DeleteResponse"},
    {.method = HD_HTTP_GET,
     .path = "/sub/openapi.json",
     .is_public = true,
     .read = hd__read_nothing,
     .write = hd__plugin_write_sub_openapi,
     .summary = "/sub/query for plugin loaders.",
     .response_schema = "OpenAPI.Document"},
    {.method = HD_HTTP_GET,
     .path = "/.well-known/ai-plugin.json",
     .is_public = true,
     .read = hd__read_nothing,
     .write = hd__plugin_write_manifest,
     .summary = "What plugin loaders read first.",
     .response_schema = "Manifest"},
    {.method = HD_HTTP_GET,
     .path = "/.well-known/openapi.yaml",
     .is_public = true,
     .read = hd__read_nothing,
     .write = hd__plugin_write_openapi,
     .summary = "/query for plugin loaders."},
    {.method = HD_HTTP_GET,
     .path = "/.well-known/logo.png",
     .is_public = true,
     .read = hd__read_nothing,
     .write = hd__plugin_write_logo,
     .summary = "The picture that the manifest names."},
};

static const char schemas[] =
    "{\"Metadata\":{\"type\":\"object\",\"properties\":{\"source\":{\"type\":[\"string\",\"null\"],"
    "\"enum\":[\"email\",\"file\",\"chat\",null]},\"source_id\":{\"type\":[\"string\",\"number\",\"null\"]},"
    "\"url\":{\"type\":[\"string\",\"number\",\"null\"]},\"created_at\":{\"type\":[\"string\",\"number\",\"null\"]},"
    "\"author\":{\"type\":[\"string\",\"number\",\"null\"]},\"filename\":{\"type\":[\"string\",\"number\",\"null\"]},"
    "\"filesize\":{\"type\":[\"string\",\"number\",\"null\"]}}},\"Filter\":{\"type\":\"object\","
    "\"properties\":{\"document_id\":{\"type\":[\"string\",\"number\",\"null\"]},\"source\":{\"type\":[\"string\","
    "\"null\"],\"enum\":[\"email\",\"file\",\"chat\",null]},\"source_id\":{\"type\":[\"string\",\"number\","
    "\"null\"]},\"author\":{\"type\":[\"string\",\"number\",\"null\"]},\"filename\":{\"type\":[\"string\",\"number\","
    "\"null\"]},\"start_date\":{\"type\":[\"string\",\"number\",\"null\"]},\"end_date\":{\"type\":[\"string\","
    "\"number\",\"null\"]}}},\"UpsertRequest\":{\"type\":\"object\",\"required\":[\"documents\"],"
    "\"properties\":{\"documents\":{\"type\":\"array\",\"items\":{\"type\":\"object\",\"required\":[\"text\"],"
    "\"properties\":{\"id\":{\"type\":[\"string\",\"number\",\"null\"]},\"text\":{\"type\":[\"string\",\"number\"]},"
    "\"metadata\":{\"anyOf\":[{\"$ref\":\"#/components/schemas/Metadata\"},{\"type\":\"null\"}]}}}}}},"
    "\"UpsertFile\":{\"type\":\"object\",\"required\":[\"file\"],\"properties\":{\"file\":{\"type\":\"string\","
    "\"format\":\"binary\"},\"metadata\":{\"type\":\"string\"}}},\"UpsertResponse\":{\"type\":\"object\","
    "\"required\":[\"ids\"],\"properties\":{\"ids\":{\"type\":\"array\",\"items\":{\"type\":\"string\"}}}},"
    "\"QueryRequest\":{\"type\":\"object\",\"required\":[\"queries\"],"
    "\"properties\":{\"queries\":{\"type\":\"array\",\"maxItems\":64,\"items\":{\"type\":\"object\","
    "\"required\":[\"query\"],\"properties\":{\"query\":{\"type\":[\"string\",\"number\"],\"minLength\":1},"
    "\"filter\":{\"anyOf\":[{\"$ref\":\"#/components/schemas/Filter\"},{\"type\":\"null\"}]},"
    "\"top_k\":{\"type\":[\"number\",\"string\",\"null\"],\"minimum\":1,\"maximum\":1000,\"default\":3}}}}}},"
    "\"Chunk\":{\"type\":\"object\",\"required\":[\"id\",\"text\",\"metadata\",\"score\"],"
    "\"properties\":{\"id\":{\"type\":\"string\"},\"text\":{\"type\":\"string\"},\"metadata\":{\"type\":\"object\","
    "\"required\":[\"document_id\"]},\"embedding\":{\"type\":\"null\"},\"score\":{\"type\":\"number\"},"
    "\"rerank_score\":{\"type\":\"number\"}}},\"QueryResponse\":{\"type\":\"object\",\"required\":[\"results\"],"
    "\"properties\":{\"results\":{\"type\":\"array\",\"items\":{\"type\":\"object\",\"required\":[\"query\","
    "\"results\"],\"properties\":{\"query\":{\"type\":\"string\"},\"results\":{\"type\":\"array\","
    "\"items\":{\"$ref\":\"#/components/schemas/Chunk\"}}}}}}},\"ListRequest\":{\"type\":\"object\","
    "\"properties\":{\"limit\":{\"type\":[\"number\",\"string\",\"null\"],\"minimum\":0,\"maximum\":1000,\"default\":100},"
    "\"offset\":{\"type\":[\"number\",\"string\",\"null\"],\"minimum\":0,\"maximum\":4294967295,\"default\":0},"
    "\"filter\":{\"anyOf\":[{\"$ref\":\"#/components/schemas/Filter\"},{\"type\":\"null\"}]}}},"
    "\"ListResponse\":{\"type\":\"object\",\"required\":[\"documents\",\"total\"],"
    "\"properties\":{\"documents\":{\"type\":\"array\",\"items\":{\"type\":\"object\",\"required\":[\"document_id\","
    "\"chunk_count\",\"metadata\",\"sample_text\"]}},\"total\":{\"type\":\"integer\"}}},"
    "\"DeleteRequest\":{\"type\":\"object\",\"properties\":{\"ids\":{\"type\":[\"array\",\"null\"],"
    "\"items\":{\"type\":[\"string\",\"number\"]}},\"filter\":{\"anyOf\":[{\"$ref\":\"#/components/schemas/Filter\"},"
    "{\"type\":\"null\"}]},\"delete_all\":{\"type\":[\"boolean\",\"null\"]}}},"
    "\"DeleteResponse\":{\"type\":\"object\",\"required\":[\"success\"],"
    "\"properties\":{\"success\":{\"type\":\"boolean\"}}},\"Manifest\":{\"type\":\"object\","
    "\"required\":[\"schema_version\",\"name_for_model\",\"auth\",\"api\"]},\"Error\":{\"type\":\"object\","
    "\"required\":[\"detail\"],\"properties\":{\"detail\":{\"type\":[\"string\",\"array\"]}}}}";

const hd_protocol hd__protocol_plugin = {
    .name = "RetrievalPlugin",
    .dialect = &hd__dialect_plugin,
    .routes = routes,
    .n_routes = sizeof routes / sizeof routes[0],
    .schemas = schemas,
};
