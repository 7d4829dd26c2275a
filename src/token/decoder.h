/* decoder.h - token texts to text again, as "decoder" in tokenizer.json says.
 *
 * Follows `tokenizers` (src/decoders): a decoder is a row of steps, each of which makes other texts of all tokens' texts;
 * what the last one leaves is put end to end. Without a decoder there are blanks between the tokens.
 */
#ifndef HD_TOKEN_DECODER_H
#define HD_TOKEN_DECODER_H

#include "base/arena.h"
#include "base/buffer.h"
#include "base/json.h"
#include "token/pretokenizer.h"

typedef enum hd_decoder_kind {
    HD_DECODER_BLANKS,        /* a blank before every token but the first */
    HD_DECODER_WORDPIECE,     /* one that begins with the prefix continues the one before, others come after a blank */
    HD_DECODER_METASPACE,     /* marks are blanks, but those of the first token, which the pre-tokenizer put there */
    HD_DECODER_BYTE_LEVEL,    /* characters are bytes (byte_level.h), and all tokens become one */
    HD_DECODER_BYTE_FALLBACK, /* tokens like <0x41> become characters, or a U+FFFD each */
    HD_DECODER_BPE,           /* suffixes become blanks, but the last token's */
    HD_DECODER_FUSE,          /* all tokens become one */
    HD_DECODER_STRIP,         /* so many of one character go from both ends of every token */
    HD_DECODER_REPLACE,       /* what the pattern finds in a token becomes another text */
} hd_decoder_kind;

typedef struct hd_decoder_step {
    hd_decoder_kind kind;
    hd_span text;              /* WORDPIECE: the prefix; BPE: the suffix; REPLACE: what comes in */
    bool cleanup;              /* WORDPIECE: no blank before punctuation and English contractions */
    hd_split_step metaspace;   /* METASPACE */
    const hd_pattern *pattern; /* REPLACE */
    uint32_t stripped;         /* STRIP: the character, and how many of it */
    uint64_t n_begin, n_end;
} hd_decoder_step;

#define HD_DECODER_MAX_STEPS 16

typedef struct hd_decoder {
    hd_decoder_step steps[HD_DECODER_MAX_STEPS]; /* Sequences are laid flat */
    size_t n_steps;
    const char *unknown; /* the name of a step that is not known here: nothing can be decoded; NULL: all are */
} hd_decoder;

/* What vocab.txt alone means. */
extern const hd_decoder hd__decoder_bert;

/* Reads "decoder" of tokenizer.json (may be NULL or null); what it needs goes with the arena. HD_ERR_FORMAT, HD_ERR_LIMIT,
 * HD_ERR_MEMORY. */
HD_MUST_USE hd_status hd__decoder_parse(const json_t *json, const char *file, hd_arena *arena, hd_decoder *decoder,
                                        hd_error *err);

/* The texts of tokens, end to end; one owner. Zeroed, it is empty. */
typedef struct hd_token_texts {
    hd_buffer bytes;
    hd_words tokens; /* of the bytes */
} hd_token_texts;

void hd__token_texts_clear(hd_token_texts *texts);
HD_MUST_USE hd_status hd__token_texts_add(hd_token_texts *texts, hd_span token, hd_error *err);

/* Appends what the tokens' texts decode to; changes them. No step is unknown. HD_ERR_LIMIT when a regular expression takes
 * too long, HD_ERR_MEMORY. */
HD_MUST_USE hd_status hd__decoder_run(const hd_decoder *decoder, hd_token_texts *texts, hd_buffer *out, hd_error *err);

#endif
