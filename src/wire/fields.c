/* fields.c - see fields.h. */
#include "wire/fields.h"

#include <stdio.h>

const json_t *hd__field(const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);
    return json_is_null(value) ? NULL : value;
}

hd_status hd__read_nothing(const hd_wire_request *request, hd_call *call, hd_fault *fault)
{
    (void)request;
    (void)fault;
    call->task = HD_TASK_REPLY;
    return HD_OK;
}

hd_text hd__json_string(const json_t *string)
{
    return (hd_text){json_string_value(string), json_string_length(string)};
}

hd_status hd__field_text(const json_t *object, const char *name, const char **value, hd_fault *fault)
{
    const json_t *f = hd__field(object, name);
    if (f == NULL)
        return HD_OK;
    if (!json_is_string(f))
        return hd__fault(fault, HD_FAULT_TYPE, name, "`%s` is not a string", name);
    if (strlen(json_string_value(f)) != json_string_length(f))
        return hd__fault(fault, HD_FAULT_VALUE, name, "`%s` holds a NUL character", name);
    *value = json_string_value(f);
    return HD_OK;
}

hd_status hd__field_bool(const json_t *object, const char *name, bool *value, hd_fault *fault)
{
    const json_t *f = hd__field(object, name);
    if (f == NULL)
        return HD_OK;
    if (!json_is_boolean(f))
        return hd__fault(fault, HD_FAULT_TYPE, name, "`%s` is not true or false", name);
    *value = json_is_true(f);
    return HD_OK;
}

hd_status hd__field_uint(const json_t *object, const char *name, uint32_t min, uint32_t max, uint32_t *value,
                         hd_fault *fault)
{
    const json_t *f = hd__field(object, name);
    if (f == NULL)
        return HD_OK;
    if (!json_is_integer(f))
        return hd__fault(fault, HD_FAULT_TYPE, name, "`%s` is not an integer", name);
    const json_int_t v = json_integer_value(f);
    if (v < 0 || v < (json_int_t)min || v > (json_int_t)max)
        return hd__fault(fault, HD_FAULT_VALUE, name, "`%s` is %lld, allowed are %u to %u", name, (long long)v, min, max);
    *value = (uint32_t)v;
    return HD_OK;
}

hd_status hd__field_real(const json_t *object, const char *name, double min, double max, float *value, hd_fault *fault)
{
    const json_t *f = hd__field(object, name);
    if (f == NULL)
        return HD_OK;
    if (!json_is_number(f))
        return hd__fault(fault, HD_FAULT_TYPE, name, "`%s` is not a number", name);
    const double v = json_number_value(f);
    if (!(v >= min && v <= max))
        return hd__fault(fault, HD_FAULT_VALUE, name, "`%s` is %g, allowed are %g to %g", name, v, min, max);
    *value = (float)v;
    return HD_OK;
}

hd_status hd__query_text(const hd_wire_request *request, const char *name, const char **value, hd_fault *fault)
{
    const hd_span text = hd__http_query(request->http, name, request->arena);
    if (text.ptr != NULL && memchr(text.ptr, '\0', text.len) != NULL)
        return hd__fault(fault, HD_FAULT_VALUE, name, "`%s` holds a NUL character", name);
    *value = text.ptr;
    return HD_OK;
}

hd_status hd__query_uint(hd_span text, const char *name, uint32_t min, uint32_t max, uint32_t *value, hd_fault *fault)
{
    uint64_t n = 0;
    bool is_number = text.len > 0;
    for (size_t i = 0; i < text.len && is_number; i++) {
        is_number = text.ptr[i] >= '0' && text.ptr[i] <= '9';
        n = n > UINT32_MAX ? n : n * 10 + (uint64_t)(text.ptr[i] - '0');
    }
    if (!is_number || n < min || n > max)
        return hd__fault(fault, HD_FAULT_VALUE, name, "`%s` is '%.*s', allowed are %u to %u", name,
                         (int)(text.len < 32 ? text.len : 32), text.ptr, min, max);
    *value = (uint32_t)n;
    return HD_OK;
}

hd_status hd__field_texts(const json_t *object, const char *name, hd_arena *arena, const char *const **values, size_t *n,
                          hd_fault *fault)
{
    const json_t *f = hd__field(object, name);
    if (f == NULL)
        return HD_OK;
    if (!json_is_array(f))
        return hd__fault(fault, HD_FAULT_TYPE, name, "`%s` is not a list of strings", name);
    const char **texts = hd__arena_calloc(arena, json_array_size(f) + 1, sizeof *texts);
    if (texts == NULL)
        return hd__fault(fault, HD_FAULT_MEMORY, NULL, "no memory for `%s`", name);
    for (size_t i = 0; i < json_array_size(f); i++) {
        const json_t *item = json_array_get(f, i);
        texts[i] = json_string_value(item);
        if (texts[i] == NULL)
            return hd__fault(fault, HD_FAULT_TYPE, name, "`%s` is not a list of strings", name);
        if (strlen(texts[i]) != json_string_length(item))
            return hd__fault(fault, HD_FAULT_VALUE, name, "`%s` holds a NUL character", name);
    }
    *values = texts;
    *n = json_array_size(f);
    return HD_OK;
}

hd_status hd__fields_known(const json_t *object, const char *const *names, hd_fault *fault)
{
    const char *name;
    json_t *value;
    json_object_foreach ((json_t *)(uintptr_t)object, name, value) {
        size_t i = 0;
        while (names[i] != NULL && strcmp(names[i], name) != 0)
            i++;
        if (names[i] == NULL)
            return hd__fault(fault, HD_FAULT_VALUE, NULL, "there is no field `%.64s` here", name);
    }
    return HD_OK;
}

hd_status hd__field_choice(const json_t *object, const char *name, const char *const *names, uint32_t *value,
                           hd_fault *fault)
{
    const char *text = NULL;
    HD_TRY(hd__field_text(object, name, &text, fault));
    if (text == NULL)
        return HD_OK;
    char all[256] = "";
    size_t n = 0;
    for (uint32_t i = 0; names[i] != NULL; i++) {
        if (strcmp(names[i], text) == 0) {
            *value = i;
            return HD_OK;
        }
        if (n < sizeof all)
            n += (size_t)snprintf(all + n, sizeof all - n, "%s%s", i > 0 ? ", " : "", names[i]);
    }
    return hd__fault(fault, HD_FAULT_VALUE, name, "`%s` is \"%.64s\", allowed are %s", name, text, all);
}

/* ---- inputs ---- */

typedef struct reader {
    const hd_wire_request *request;
    const char *name;
    unsigned forms;
    hd_fault *fault;
} reader;

static hd_status wrong_type(const reader *r)
{
    return hd__fault(r->fault, HD_FAULT_TYPE, r->name, "`%s` is not a string%s%s%s%s%s", r->name,
                     r->forms & HD_INPUT_TEXTS ? ", a list of strings" : "",
                     r->forms & HD_INPUT_IDS ? ", a list of token ids" : "",
                     r->forms & HD_INPUT_LISTS ? ", a list of lists of token ids" : "",
                     r->forms & HD_INPUT_OBJECTS ? ", a list of objects with a string `text`" : "",
                     r->forms & HD_INPUT_MIXED ? ", or of both" : "");
}

static hd_status read_text(const reader *r, const json_t *string, hd_input *input)
{
    if (json_string_length(string) == 0 && (r->forms & HD_INPUT_NO_EMPTY) != 0)
        return hd__fault(r->fault, HD_FAULT_EMPTY, r->name, "`%s` cannot be an empty string", r->name);
    input->text = hd__json_string(string);
    return HD_OK;
}

static bool has_id(const json_t *list)
{
    for (size_t i = 0; i < json_array_size(list); i++)
        if (json_is_integer(json_array_get(list, i)))
            return true;
    return false;
}

static hd_status read_id(const reader *r, const json_t *item, int32_t *id)
{
    if (!json_is_integer(item))
        return wrong_type(r);
    const json_int_t v = json_integer_value(item);
    if (v < 0 || v > INT32_MAX)
        return hd__fault(r->fault, HD_FAULT_VALUE, r->name, "`%s`: %lld is no token id", r->name, (long long)v);
    *id = (int32_t)v;
    return HD_OK;
}

static hd_status read_ids(const reader *r, const json_t *list, hd_input *input)
{
    const size_t n = json_array_size(list);
    size_t n_texts = 0;
    if (n == 0)
        return hd__fault(r->fault, HD_FAULT_EMPTY, r->name, "`%s` holds an empty list of token ids", r->name);
    for (size_t i = 0; i < n && (r->forms & HD_INPUT_MIXED) != 0; i++)
        n_texts += json_is_string(json_array_get(list, i));
    int32_t *ids = hd__arena_calloc(r->request->arena, n, sizeof *ids);
    hd_text *texts = n_texts > 0 ? hd__arena_calloc(r->request->arena, n_texts, sizeof *texts) : NULL;
    if (ids == NULL || (n_texts > 0 && texts == NULL))
        return hd__fault(r->fault, HD_FAULT_MEMORY, NULL, "no memory for %zu token ids", n);
    input->ids = (hd_token_ids){.ids = ids, .n = n, .texts = texts};
    for (size_t i = 0; i < n; i++) {
        const json_t *item = json_array_get(list, i);
        if (json_is_string(item) && n_texts > 0) {
            texts[input->ids.n_texts] = hd__json_string(item);
            ids[i] = -1 - (int32_t)input->ids.n_texts++;
        } else {
            HD_TRY(read_id(r, item, &ids[i]));
        }
    }
    return HD_OK;
}

/* {"prompt_string": …}: a list of texts is one text there. */
static hd_status read_prompt(const reader *r, const json_t *object, hd_input *input)
{
    const json_t *prompt = json_object_get(object, "prompt_string");
    if (json_object_get(object, "multimodal_data") != NULL)
        return hd__fault(r->fault, HD_FAULT_VALUE, r->name, "`%s`: models that embed text take no `multimodal_data`",
                         r->name);
    return json_is_string(prompt)  ? read_text(r, prompt, input)
           : json_is_array(prompt) ? read_ids(r, prompt, input)
                                   : wrong_type(r);
}

static hd_status read_item(const reader *r, const json_t *item, hd_input *input)
{
    if (json_is_string(item) && (r->forms & HD_INPUT_TEXTS) != 0)
        return read_text(r, item, input);
    if (json_is_array(item) && (r->forms & HD_INPUT_LISTS) != 0)
        return json_array_size(item) == 0 || has_id(item) ? read_ids(r, item, input) : wrong_type(r);
    if (json_is_object(item) && (r->forms & HD_INPUT_MIXED) != 0)
        return read_prompt(r, item, input);
    const json_t *text = json_object_get(item, "text");
    if (json_is_string(text) && (r->forms & HD_INPUT_OBJECTS) != 0)
        return read_text(r, text, input);
    return wrong_type(r);
}

hd_status hd__check_inputs(const hd_wire_request *request, const char *name, const char *things, size_t n, hd_fault *fault)
{
    const uint32_t most = request->settings->max_inputs;
    if (n <= most)
        return HD_OK;
    HD_IGNORE(hd__fault(fault, HD_FAULT_INPUTS, name, "`%s` holds %zu %s, the limit is %u", name, n, things, most));
    fault->n = n;
    fault->limit = most;
    return HD_ERR_ARG;
}

hd_status hd__alloc_inputs(const hd_wire_request *request, const char *name, size_t n, hd_input **inputs, hd_fault *fault)
{
    HD_TRY(hd__check_inputs(request, name, "inputs", n, fault));
    *inputs = hd__arena_calloc(request->arena, n, sizeof **inputs);
    return *inputs != NULL ? HD_OK : hd__fault(fault, HD_FAULT_MEMORY, NULL, "no memory for %zu inputs", n);
}

hd_status hd__field_inputs(const hd_wire_request *request, const char *name, unsigned forms, hd_call *call, hd_fault *fault)
{
    const reader r = {request, name, forms, fault};
    const json_t *f = hd__field(request->body, name);
    if (f == NULL)
        return hd__fault(fault, HD_FAULT_MISSING, name, "`%s` is missing", name);
    const bool is_list = json_is_array(f);
    const bool is_ids = is_list && (forms & HD_INPUT_IDS) != 0 &&
                        ((forms & HD_INPUT_MIXED) != 0 ? has_id(f) : json_is_integer(json_array_get(f, 0)));
    const size_t n = is_list && !is_ids ? json_array_size(f) : 1;
    if (is_list && json_array_size(f) == 0)
        return hd__fault(fault, HD_FAULT_EMPTY, name, "`%s` cannot be an empty list", name);
    hd_input *inputs;
    HD_TRY(hd__alloc_inputs(request, name, n, &inputs, fault));
    if (is_ids)
        HD_TRY(read_ids(&r, f, &inputs[0]));
    else if (json_is_string(f) && (forms & HD_INPUT_TEXT) != 0)
        HD_TRY(read_text(&r, f, &inputs[0]));
    else if (json_is_object(f) && (forms & HD_INPUT_MIXED) != 0)
        HD_TRY(read_prompt(&r, f, &inputs[0]));
    else if (!is_list)
        return wrong_type(&r);
    for (size_t i = 0; is_list && !is_ids && i < n; i++)
        HD_TRY(read_item(&r, json_array_get(f, i), &inputs[i]));
    call->inputs = inputs;
    call->n_inputs = n;
    call->is_single = !is_list || is_ids;
    return HD_OK;
}
