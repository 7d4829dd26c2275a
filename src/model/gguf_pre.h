/* gguf_pre.h - what tokenizer.ggml.pre stands for: the steps of a byte-pair tokenizer.json in front of its merges.
 *
 * llama.cpp's converter writes a name for what a tokenizer makes of one text; the names here are those of models that Heddle
 * runs, the steps those of the models' own files.
 * Source: llama.cpp's conversion/base.py and llama-vocab.cpp.
 */
#ifndef HD_MODEL_GGUF_PRE_H
#define HD_MODEL_GGUF_PRE_H

#include <jansson.h>

#include "base/span.h"

typedef struct hd_gguf_pre {
    const char *name;
    const char *normalizer, *pre_tokenizer; /* JSON */
    bool two_separators;                    /* between the texts of a pair */
    bool ignore_merges;                     /* words that are tokens are not put together from merges */
    bool plain;                             /* characters are themselves, unknown ones bytes: <0x0A> */
    bool normalizes_added;                  /* tokens that are not special are looked for in normalized text */
} hd_gguf_pre;

/* NULL for a stranger. */
const hd_gguf_pre *hd__gguf_pre_find(hd_span name);

/* The first whose steps are those of a tokenizer.json; NULL when there is none. */
const hd_gguf_pre *hd__gguf_pre_match(const json_t *normalizer, const json_t *pre_tokenizer, bool two_separators);

/* All names, for error texts. */
extern const char hd__gguf_pre_names[];

#endif
