/* extras.h - fields that Heddle adds where a protocol has none for what they say. Their names and meaning are the same in
 * every protocol: what openai.c describes. A protocol that has such a field itself, under any name, does not ask for ours.
 */
#ifndef HD_WIRE_EXTRAS_H
#define HD_WIRE_EXTRAS_H

#include "wire/fields.h"

enum {
    HD_EXTRA_PROMPT_NAME = 1, /* "prompt_name": one of the model's prompts */
    HD_EXTRA_PROMPT = 2,      /* "prompt": put before each text */
    HD_EXTRA_TRUNCATE = 4,    /* "truncate": true, false, "NONE", "END", "START" */
    HD_EXTRA_NORMALIZE = 8,   /* "normalize": false leaves vectors as pooled */
    HD_EXTRA_DTYPE = 16,      /* "output_dtype": "float", "float16", "int8", "uint8", "binary", "ubinary" */
    HD_EXTRA_RAW_SCORES = 32, /* "raw_scores": true gives scores without a sigmoid */
    HD_EXTRA_TIMEOUT = 64,    /* "timeout_ms" */
    HD_EXTRA_HEADS = 128,     /* "heads": of "dense", "sparse", "colbert" */
    HD_EXTRA_LONG = 256,      /* "long_text": "cut", "windows", "late" */
};

/* Reads those of them that are sent. */
HD_MUST_USE hd_status hd__read_extras(const json_t *body, unsigned which, hd_call *call, hd_fault *fault);

/* ,"sparse":{"indices":[…],"values":[…]},"colbert":[[…],…]: what the call's heads add to the i-th vector. */
void hd__write_heads(hd_buffer *body, const hd_call *call, const hd_result *result, size_t i);

/* What models call the prompts of queries and of documents, for hd_call.prompt_names. */
extern const char *const hd__query_prompt_names[], *const hd__document_prompt_names[];

#endif
