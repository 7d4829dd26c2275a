/* extras.c - see extras.h. The names of prompts are those of config_sentence_transformers.json in the repositories of
 * e5, bge, gte, nomic, mixedbread, Snowflake, Jina and Qwen3 models.
 */
#include "wire/extras.h"

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
    call->no_normalize = !normalize;
    call->vector_type = (hd_vector_type)type;
    return HD_OK;
}
