/* template.h - what a model wants around a text: TemplateProcessing, BertProcessing and RobertaProcessing
 * come down to ids before and ids after it. */
#ifndef HD_TOKEN_TEMPLATE_H
#define HD_TOKEN_TEMPLATE_H

#include "base/json.h"

#define HD_TEMPLATE_MAX_IDS 32 /* before, and after, the text */

typedef struct hd_template {
    int32_t before[HD_TEMPLATE_MAX_IDS], after[HD_TEMPLATE_MAX_IDS];
    uint32_t n_before, n_after;
    bool trims_spaces;     /* RobertaProcessing's trim_offsets: places leave out white space at a token's ends */
    bool has_prefix_space; /* its add_prefix_space */
} hd_template;

/* Reads "post_processor" of tokenizer.json (may be NULL or null: nothing is added). HD_ERR_FORMAT,
 * HD_ERR_UNSUPPORTED by the type's name. */
HD_MUST_USE hd_status hd__template_parse(const json_t *json, const char *file, hd_template *template, hd_error *err);

#endif
