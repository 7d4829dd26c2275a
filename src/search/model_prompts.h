/* model_prompts.h - what is put before documents and before queries, by the model's own files or by what its makers say of
 * it.
 */
#ifndef HD_SEARCH_MODEL_PROMPTS_H
#define HD_SEARCH_MODEL_PROMPTS_H

#include "heddle/heddle.h"

typedef struct hd_model_prompts {
    hd_encode_options document, query;      /* prompt, prompt_name or task is set */
    const char *document_text, *query_text; /* as far as they are known here; "" for none */
} hd_model_prompts;

/* Strings live as long as the model. */
void hd__model_prompts(hd_model *model, hd_model_prompts *prompts);

#endif
