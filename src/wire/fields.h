/* fields.h - reading the fields of a request's body: each getter leaves its target alone when the field is missing or
 * null, and fails with the field's name when it has the wrong type or range. Strings live as long as the body.
 */
#ifndef HD_WIRE_FIELDS_H
#define HD_WIRE_FIELDS_H

#include "wire/protocol.h"

/* The field; NULL when it is missing or null. */
const json_t *hd__field(const json_t *object, const char *name);

HD_MUST_USE hd_status hd__field_text(const json_t *object, const char *name, const char **value, hd_fault *fault);
HD_MUST_USE hd_status hd__field_bool(const json_t *object, const char *name, bool *value, hd_fault *fault);
HD_MUST_USE hd_status hd__field_uint(const json_t *object, const char *name, uint32_t min, uint32_t max, uint32_t *value,
                                     hd_fault *fault);

HD_MUST_USE hd_status hd__field_real(const json_t *object, const char *name, double min, double max, float *value,
                                     hd_fault *fault);

/* A text of a query string; NULL: it is missing. */
HD_MUST_USE hd_status hd__query_text(const hd_wire_request *request, const char *name, const char **value, hd_fault *fault);

/* A number of a query string, digits alone. */
HD_MUST_USE hd_status hd__query_uint(hd_span text, const char *name, uint32_t min, uint32_t max, uint32_t *value,
                                     hd_fault *fault);

/* A list of strings, on the arena; an empty list is one. */
HD_MUST_USE hd_status hd__field_texts(const json_t *object, const char *name, hd_arena *arena, const char *const **values,
                                      size_t *n, hd_fault *fault);

/* HD_FAULT_VALUE for a field that is none of the names (ends with NULL). */
HD_MUST_USE hd_status hd__fields_known(const json_t *object, const char *const *names, hd_fault *fault);

/* One of the names (ends with NULL): its place. */
HD_MUST_USE hd_status hd__field_choice(const json_t *object, const char *name, const char *const *names, uint32_t *value,
                                       hd_fault *fault);

/* A route's `read` when nothing is asked but the list of models: HD_TASK_REPLY. */
HD_MUST_USE hd_status hd__read_nothing(const hd_wire_request *request, hd_call *call, hd_fault *fault);

/* Text of a string value, NUL bytes inside allowed. */
hd_text hd__json_string(const json_t *string);

/* What an input field may hold. */
enum {
    HD_INPUT_TEXT = 1,      /* "…" */
    HD_INPUT_TEXTS = 2,     /* ["…", …] */
    HD_INPUT_IDS = 4,       /* [1, 2, …] is one input */
    HD_INPUT_LISTS = 8,     /* [[1, 2], …]; with TEXTS also mixed with strings */
    HD_INPUT_OBJECTS = 16,  /* [{"text": "…"}, …]; with TEXTS also mixed with strings */
    HD_INPUT_NO_EMPTY = 32, /* empty text is a fault */
    HD_INPUT_MIXED = 64, /* [1, "…", 2] wherever a list of ids may be; {"prompt_string": "…" or a list of ids and texts}
                          * wherever a string may be: what llama.cpp calls a prompt */
};

/* HD_FAULT_INPUTS for more than settings->max_inputs `things`: "inputs", "documents". */
HD_MUST_USE hd_status hd__check_inputs(const hd_wire_request *request, const char *name, const char *things, size_t n,
                                       hd_fault *fault);

/* *inputs = n zeroed inputs on the arena. Faults: INPUTS (n is more than settings->max_inputs), MEMORY. */
HD_MUST_USE hd_status hd__alloc_inputs(const hd_wire_request *request, const char *name, size_t n, hd_input **inputs,
                                       hd_fault *fault);

/* Reads the field into call->inputs and is_single. Faults: MISSING, TYPE, EMPTY (no input, an empty list of ids, empty
 * text with NO_EMPTY), INPUTS (more than settings->max_inputs), VALUE (an id that is negative or past 31 bits). */
HD_MUST_USE hd_status hd__field_inputs(const hd_wire_request *request, const char *name, unsigned forms, hd_call *call,
                                       hd_fault *fault);

#endif
