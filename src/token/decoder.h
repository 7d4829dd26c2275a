/* decoder.h - token texts to text again, as "decoder" in tokenizer.json says.
 *
 * Follows `tokenizers` (decoders/wordpiece.rs): a token that begins with the prefix continues the one before without it, any
 * other comes after a blank; cleaning up takes the blank before punctuation and English contractions away, token by token.
 * And decoders of pre_tokenizers/metaspace.rs: marks are blanks, but those of the first token, which the pre-tokenizer put
 * there.
 */
#ifndef HD_TOKEN_DECODER_H
#define HD_TOKEN_DECODER_H

#include "base/arena.h"
#include "base/buffer.h"
#include "base/json.h"
#include "token/pretokenizer.h"

typedef enum hd_decoder_kind {
    HD_DECODER_JOIN, /* none named: blanks between tokens */
    HD_DECODER_WORDPIECE,
    HD_DECODER_METASPACE,
    HD_DECODER_OTHER /* valid, but not one that is known here */
} hd_decoder_kind;

typedef struct hd_decoder {
    hd_decoder_kind kind;
    const char *type; /* its name in the file, for messages */
    hd_span prefix;   /* "##" */
    bool cleanup;
    hd_split_step metaspace;
} hd_decoder;

/* What vocab.txt alone means. */
extern const hd_decoder hd__decoder_bert;

/* Reads "decoder" of tokenizer.json (may be NULL or null); texts go to the arena. HD_ERR_FORMAT, HD_ERR_MEMORY. */
HD_MUST_USE hd_status hd__decoder_parse(const json_t *json, const char *file, hd_arena *arena, hd_decoder *decoder,
                                        hd_error *err);

/* Appends one token; `is_first` of its text. The decoder is not HD_DECODER_OTHER. */
void hd__decoder_put(const hd_decoder *decoder, hd_span token, bool is_first, hd_buffer *out);

#endif
