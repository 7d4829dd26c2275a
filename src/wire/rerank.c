/* rerank.c - see rerank.h. */
#include "wire/rerank.h"

#include "wire/answer.h"

static hd_status read_query(const json_t *body, bool objects, hd_text *query, hd_fault *fault)
{
    const json_t *f = hd__field(body, "query");
    if (f == NULL)
        return hd__fault(fault, HD_FAULT_MISSING, "query", "`query` is missing");
    if (objects && json_is_object(f))
        f = json_object_get(f, "text");
    if (!json_is_string(f))
        return hd__fault(fault, HD_FAULT_TYPE, "query", "`query` is not a string%s",
                         objects ? " or an object with a string `text`" : "");
    *query = hd__json_string(f);
    if (query->len == 0)
        return hd__fault(fault, HD_FAULT_EMPTY, "query", "`query` cannot be an empty string");
    return HD_OK;
}

hd_status hd__read_rerank(const hd_wire_request *request, const char *documents, unsigned forms, hd_call *call,
                          hd_fault *fault)
{
    call->task = HD_TASK_RERANK;
    HD_TRY(hd__field_text(request->body, "model", &call->model, fault));
    HD_TRY(read_query(request->body, (forms & HD_INPUT_OBJECTS) != 0, &call->query, fault));
    HD_TRY(hd__field_inputs(request, documents, forms, call, fault));
    return hd__field_uint(request->body, "top_n", 0, UINT32_MAX, &call->top_n, fault);
}

static int append_json(const char *text, size_t n, void *body)
{
    hd__buffer_append(body, text, n);
    return 0;
}

static void write_document(hd_buffer *body, const json_t *document)
{
    if (json_is_string(document)) {
        const hd_text text = hd__json_string(document);
        hd__buffer_append_text(body, "{\"text\":");
        hd__buffer_append_json(body, hd__span(text.ptr, text.len));
        hd__buffer_append_char(body, '}');
    } else if (json_dump_callback(document, append_json, body, JSON_COMPACT) != 0) {
        body->failed = true;
    }
}

void hd__write_ranking(hd_buffer *body, const json_t *documents, const hd_call *call, const hd_result *result)
{
    hd__buffer_append_char(body, '[');
    for (size_t i = 0; i < result->n_scores; i++) {
        hd__buffer_append_text(body, i > 0 ? ",{\"index\":" : "{\"index\":");
        hd__write_uint(body, result->scores[i].index);
        hd__buffer_append_text(body, ",\"relevance_score\":");
        hd__write_float(body, result->scores[i].score);
        if (call->return_text) {
            hd__buffer_append_text(body, ",\"document\":");
            write_document(body, json_array_get(documents, result->scores[i].index));
        }
        hd__buffer_append_char(body, '}');
    }
    hd__buffer_append_char(body, ']');
}
