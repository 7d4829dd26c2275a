/* extras.c - see extras.h. The names of prompts are those of config_sentence_transformers.json in the repositories of
 * e5, bge, gte, nomic, mixedbread, Snowflake, Jina and Qwen3 models.
 */
#include "wire/extras.h"

#include "wire/answer.h"

const char *const hd__query_prompt_names[] = {"query", "search_query", "retrieval.query", NULL};
const char *const hd__document_prompt_names[] = {"document", "passage", "search_document", "retrieval.passage", NULL};

static hd_status read_truncate(const json_t *body, hd_truncate *truncate, hd_fault *fault)
{
    static const char *const names[] = {"NONE", "END", "START", NULL};
    const json_t *f = hd__field(body, "truncate");
    uint32_t choice = 0;
    if (f == NULL)
        return HD_OK;
    if (json_is_boolean(f)) {
        *truncate = json_is_true(f) ? HD_TRUNCATE_END : HD_TRUNCATE_NONE;
        return HD_OK;
    }
    HD_TRY(hd__field_choice(body, "truncate", names, &choice, fault));
    *truncate = (hd_truncate)(HD_TRUNCATE_NONE + choice);
    return HD_OK;
}

static hd_status read_heads(const json_t *body, uint32_t *heads, hd_fault *fault)
{
    const json_t *f = hd__field(body, "heads");
    if (f == NULL)
        return HD_OK;
    if (!json_is_array(f))
        return hd__fault(fault, HD_FAULT_TYPE, "heads", "`heads` is not a list of names");
    for (size_t i = 0; i < json_array_size(f); i++) {
        const char *name = json_string_value(json_array_get(f, i));
        uint32_t head = 0;
        for (uint32_t h = HD_HEAD_DENSE; h <= HD_HEAD_MULTI && name != NULL; h <<= 1)
            if (strcmp(hd_head_name(h), name) == 0)
                head = h;
        if (head == 0)
            return hd__fault(fault, HD_FAULT_VALUE, "heads", "`heads` may have \"dense\", \"sparse\" and \"colbert\"");
        *heads |= head;
    }
    return HD_OK;
}

static hd_status read_long_text(const json_t *body, hd_long_text *long_text, hd_fault *fault)
{
    static const char *const ways[] = {"cut", "windows", "late", NULL};
    uint32_t way = *long_text;
    HD_TRY(hd__field_choice(body, "long_text", ways, &way, fault));
    *long_text = (hd_long_text)way;
    return HD_OK;
}

hd_status hd__read_extras(const json_t *body, unsigned which, hd_call *call, hd_fault *fault)
{
    static const char *const types[] = {"float", "float16", "int8", "uint8", "binary", "ubinary", NULL};
    uint32_t type = call->vector_type;
    bool normalize = !call->no_normalize;
    if ((which & HD_EXTRA_PROMPT_NAME) != 0)
        HD_TRY(hd__field_text(body, "prompt_name", &call->prompt_name, fault));
    if ((which & HD_EXTRA_PROMPT) != 0)
        HD_TRY(hd__field_text(body, "prompt", &call->prompt, fault));
    if ((which & HD_EXTRA_TRUNCATE) != 0)
        HD_TRY(read_truncate(body, &call->truncate, fault));
    if ((which & HD_EXTRA_NORMALIZE) != 0)
        HD_TRY(hd__field_bool(body, "normalize", &normalize, fault));
    if ((which & HD_EXTRA_DTYPE) != 0)
        HD_TRY(hd__field_choice(body, "output_dtype", types, &type, fault));
    if ((which & HD_EXTRA_RAW_SCORES) != 0)
        HD_TRY(hd__field_bool(body, "raw_scores", &call->raw_scores, fault));
    if ((which & HD_EXTRA_TIMEOUT) != 0)
        HD_TRY(hd__field_uint(body, "timeout_ms", 1, UINT32_MAX, &call->timeout_ms, fault));
    if ((which & HD_EXTRA_HEADS) != 0)
        HD_TRY(read_heads(body, &call->heads, fault));
    if ((which & HD_EXTRA_LONG) != 0)
        HD_TRY(read_long_text(body, &call->long_text, fault));
    call->no_normalize = !normalize;
    call->vector_type = (hd_vector_type)type;
    return HD_OK;
}

void hd__write_heads(hd_buffer *b, const hd_call *call, const hd_result *result, size_t i)
{
    if ((call->heads & HD_HEAD_SPARSE) != 0) {
        const hd_sparse_vector *s = &result->outputs[i].sparse;
        hd__buffer_append_text(b, ",\"sparse\":{\"indices\":[");
        for (size_t k = 0; k < s->n; k++)
            hd__buffer_printf(b, k > 0 ? ",%u" : "%u", s->ids[k]);
        hd__buffer_append_text(b, "],\"values\":");
        hd__write_vector(b, s->weights, s->n, HD_VECTOR_F32, false);
        hd__buffer_append_char(b, '}');
    }
    if ((call->heads & HD_HEAD_MULTI) != 0) {
        const hd_output *o = &result->outputs[i];
        hd__buffer_append_text(b, ",\"colbert\":");
        hd__write_rows(b, o->token_vectors, o->n_token_vectors, result->model->info.n_token_dimensions);
    }
}
