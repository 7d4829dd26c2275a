/* tokenizer.h - text to token ids, equal id for id to the Hugging Face `tokenizers` library.
 *
 * A tokenizer is read-only once open: any number of threads may encode with it at once.
 */
#ifndef HD_TOKEN_TOKENIZER_H
#define HD_TOKEN_TOKENIZER_H

#include "base/alloc.h"
#include "base/buffer.h"
#include "base/span.h"
#include "base/status.h"

typedef struct hd_tokenizer hd_tokenizer;

/* Reads `dir`/tokenizer.json; when there is none `dir`/vocab.txt (with tokenizer_config.json's do_lower_case,
 * strip_accents, tokenize_chinese_chars), or what tokenizer_folder.c lists: SentencePiece models, vocab.json with
 * merges.txt. Padding and truncation settings inside tokenizer.json are ignored: the caller decides. HD_ERR_NOT_FOUND,
 * _FORMAT (file, field), _UNSUPPORTED (a model or step not implemented, by name), _LIMIT, _MEMORY. Freed by
 * hd__tokenizer_close (NULL allowed). */
HD_MUST_USE hd_status hd__tokenizer_open(const char *dir, hd_tokenizer **tokenizer, hd_error *err);
extern const char *const hd__tokenizer_files[]; /* what it looks at, then NULL */
void hd__tokenizer_close(hd_tokenizer *tokenizer);

/* Calls release(owner) when the tokenizer is closed. HD_ERR_MEMORY: it will not be called. */
HD_MUST_USE hd_status hd__tokenizer_keep(hd_tokenizer *tokenizer, void (*release)(void *), void *owner, hd_error *err);

typedef struct hd_tokenize_options {
    uint32_t max_length; /* specials included, longer text is cut; 0: no limit */
    uint32_t max_first;  /* of a pair: the first text is cut to so many tokens before anything else; 0: no limit */
    bool cut_front;      /* the beginning goes, not the end; the whole text is looked at then */
    bool no_specials;    /* leave out what the template adds */
    bool lower_case; /* before the normaliser, as sentence_bert_config.json's do_lower_case asks; added tokens keep theirs */
    bool strict;     /* invalid UTF-8 is HD_ERR_FORMAT instead of U+FFFD */
} hd_tokenize_options;

/* Token ids that grow; one owner. `ids` is [n] and stays allocated between calls. */
typedef struct hd_ids {
    int32_t *ids;
    size_t n, capacity;
} hd_ids;

void hd__ids_clear(hd_ids *ids);

/* Appends n ids. */
HD_MUST_USE hd_status hd__ids_append(hd_ids *ids, const int32_t *more, size_t n, hd_error *err);

/* Room for n more ids. */
HD_MUST_USE hd_status hd__ids_grow(hd_ids *ids, size_t n, hd_error *err);
HD_MUST_USE static inline hd_status hd__ids_reserve(hd_ids *ids, size_t n, hd_error *err)
{
    return ids->capacity - ids->n >= n ? HD_OK : hd__ids_grow(ids, n, err);
}

/* Appends the ids of one text. When max_length cannot be exceeded by what comes after a point, the rest of
 * the text is not looked at. *truncated (may be NULL) says whether something was cut off.
 * On failure nothing is appended. HD_ERR_FORMAT (strict), HD_ERR_LIMIT, HD_ERR_MEMORY. */
HD_MUST_USE hd_status hd__tokenizer_encode(const hd_tokenizer *tokenizer, hd_span text, const hd_tokenize_options *options,
                                           hd_ids *ids, bool *truncated, hd_error *err);

typedef enum hd_truncation {
    HD_TRUNCATE_LONGEST_FIRST, /* the longer text down to the shorter one, then both to half of what there is */
    HD_TRUNCATE_ONLY_FIRST,
    HD_TRUNCATE_ONLY_SECOND,
} hd_truncation;

/* Appends the ids of two texts as the template joins them and, unless `types` is NULL, the token type of each: what
 * `tokenizers` gives for encode(a, b) with that truncation to options->max_length tokens in all. On failure nothing is
 * appended. HD_ERR_UNSUPPORTED when the template has no place for a second text; HD_ERR_LIMIT also when the text that is to
 * be cut would have nothing left; otherwise as hd__tokenizer_encode. */
HD_MUST_USE hd_status hd__tokenizer_encode_pair(const hd_tokenizer *tokenizer, hd_span a, hd_span b,
                                                const hd_tokenize_options *options, hd_truncation truncation, hd_ids *ids,
                                                hd_ids *types, bool *truncated, hd_error *err);

/* hd__tokenizer_encode with offsets into the text; tokens->tokens is freed by hd_tokens_free. Slower: for people. */
HD_MUST_USE hd_status hd__tokenizer_encode_offsets(const hd_tokenizer *tokenizer, hd_span text,
                                                   const hd_tokenize_options *options, hd_tokens *tokens, hd_error *err);

/* Appends the text of ids; those out of the vocabulary are left out, as are special tokens if asked. HD_ERR_UNSUPPORTED for
 * a decoder that is not known, by its name; HD_ERR_MEMORY. */
HD_MUST_USE hd_status hd__tokenizer_decode(const hd_tokenizer *tokenizer, const int32_t *ids, size_t n, bool no_specials,
                                           hd_buffer *out, hd_error *err);

/* What the template puts before and after a text; as long as the tokenizer. */
void hd__tokenizer_specials(const hd_tokenizer *tokenizer, hd_token_ids *before, hd_token_ids *after);

/* Nothing is put around texts from here on. */
void hd__tokenizer_drop_specials(hd_tokenizer *tokenizer);

/* The id of what the model does not know; -1: it has none. */
int32_t hd__tokenizer_unknown_id(const hd_tokenizer *tokenizer);

/* The id of a token, added or of the vocabulary, by its text as the tokenizer's file has it; -1: there is none. */
int32_t hd__tokenizer_id(const hd_tokenizer *tokenizer, const char *text);

/* The id of an added token, as special ones are, by its text; -1: there is none. */
int32_t hd__tokenizer_added_id(const hd_tokenizer *tokenizer, const char *text);

uint32_t hd__tokenizer_vocab_size(const hd_tokenizer *tokenizer);           /* highest id + 1, added tokens included */
const char *hd__tokenizer_token(const hd_tokenizer *tokenizer, int32_t id); /* "" out of range */

#endif
