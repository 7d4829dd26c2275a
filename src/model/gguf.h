/* gguf.h - the header of one GGUF file, versions 2 and 3, parsed and checked.
 *
 *   "GGUF", version u32, n tensors u64, n pairs u64          (all integers little-endian)
 *   pairs:    key text, type u32, value                      text: length u64, bytes
 *             an array's value: type u32, n u64, n values
 *   tensors:  name text, n_dims u32, dims u64 each (the contiguous one first), type u32, offset u64
 *   padding to a multiple of general.alignment (32), then data; offsets count from here
 *
 * Source: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md and the checks of ggml's gguf.cpp.
 * Tensors may be in any order and have gaps between them, but none may lie over another.
 */
#ifndef HD_MODEL_GGUF_H
#define HD_MODEL_GGUF_H

#include "model/name_table.h"
#include "model/tensors.h"

/* As in the file. */
typedef enum hd_gguf_type {
    HD_GGUF_U8,
    HD_GGUF_I8,
    HD_GGUF_U16,
    HD_GGUF_I16,
    HD_GGUF_U32,
    HD_GGUF_I32,
    HD_GGUF_F32,
    HD_GGUF_BOOL,
    HD_GGUF_TEXT,
    HD_GGUF_ARRAY,
    HD_GGUF_U64,
    HD_GGUF_I64,
    HD_GGUF_F64,
} hd_gguf_type;

/* Values of tokenizer.ggml.token_type. */
typedef enum hd_gguf_token_type {
    HD_GGUF_TOKEN_NORMAL = 1,
    HD_GGUF_TOKEN_UNKNOWN,
    HD_GGUF_TOKEN_CONTROL,
    HD_GGUF_TOKEN_USER_DEFINED,
    HD_GGUF_TOKEN_UNUSED,
    HD_GGUF_TOKEN_BYTE,
} hd_gguf_token_type;

#define HD_GGUF_WORD_BEGIN "\xE2\x96\x81" /* U+2581, what stands for a space in front of a word */

/* A key and where its value lies. */
typedef struct hd_gguf_pair {
    const char *key;
    bool is_array;
    hd_gguf_type type; /* of the value, or of each of an array's */
    uint64_t n;        /* values; 1 when it is no array */
    hd_span bytes;     /* of the values */
} hd_gguf_pair;

typedef struct hd_gguf {
    const char *file; /* for error texts */
    uint32_t version;
    uint64_t alignment;
    hd_gguf_pair *pairs; /* [n_pairs], in the file's order */
    size_t n_pairs;
    hd_name_table keys;
    hd_tensor *tensors; /* [n_tensors], in the order of the header, under the names that the file gives */
    size_t n_tensors;
} hd_gguf;

/* Whether bytes begin as a GGUF file does. */
bool hd__gguf_is(hd_span bytes);

/* Parses a whole file in memory. All lives in the arena, keys, texts and tensors' bytes point into `bytes`. `file` is kept.
 * HD_ERR_FORMAT (damaged), HD_ERR_LIMIT, HD_ERR_UNSUPPORTED (version, byte order, a type Heddle does not read),
 * HD_ERR_MEMORY. */
HD_MUST_USE hd_status hd__gguf_parse(hd_span bytes, const char *file, hd_arena *arena, hd_gguf *gguf, hd_error *err);

const hd_gguf_pair *hd__gguf_find(const hd_gguf *gguf, const char *key); /* NULL when there is none */
const hd_tensor *hd__gguf_find_tensor(const hd_gguf *gguf, const char *name);

/* A missing key leaves *value as it was; one of another type or out of range is HD_ERR_FORMAT. */
HD_MUST_USE hd_status hd__gguf_get_uint(const hd_gguf *gguf, const char *key, uint64_t max, uint64_t *value, hd_error *err);
HD_MUST_USE hd_status hd__gguf_get_real(const hd_gguf *gguf, const char *key, double *value, hd_error *err);
HD_MUST_USE hd_status hd__gguf_get_bool(const hd_gguf *gguf, const char *key, bool *value, hd_error *err);
HD_MUST_USE hd_status hd__gguf_get_text(const hd_gguf *gguf, const char *key, hd_span *value, hd_error *err);

/* An array of n values of a type (n UINT64_MAX: any number). *pair is NULL when the key is missing. */
HD_MUST_USE hd_status hd__gguf_get_array(const hd_gguf *gguf, const char *key, hd_gguf_type type, uint64_t n,
                                         const hd_gguf_pair **pair, hd_error *err);

/* The next text of an array's bytes, which have been checked. */
hd_span hd__gguf_next_text(hd_cursor *cursor);

/* GGUF's number of a tensor type that Heddle reads, for writing. */
uint32_t hd__gguf_tensor_type(hd_tensor_type type);

#endif
