/* normalizer.h - what tokenizer.json does to the text before it is cut into words, with a way back.
 *
 * Text is an array of code points, each with the place in the original it stands for, so that tokens have
 * offsets. The steps and the way they carry places along follow `tokenizers` (src/normalizers and
 * NormalizedString::transform) also where those are odd: after canonical reordering a mark stands for the
 * place it moved to.
 */
#ifndef HD_TOKEN_NORMALIZER_H
#define HD_TOKEN_NORMALIZER_H

#include "base/buffer.h"
#include "base/json.h"
#include "token/pattern.h"

typedef struct hd_norm_char {
    uint32_t code_point;
    uint32_t begin, end; /* bytes of the original */
} hd_norm_char;

typedef struct hd_norm_text {
    hd_norm_char *chars; /* [n] */
    size_t n, capacity;
} hd_norm_text;

void hd__norm_text_clear(hd_norm_text *text);

/* Room for n characters in all. HD_ERR_MEMORY. */
HD_MUST_USE hd_status hd__norm_text_reserve(hd_norm_text *text, size_t n, hd_error *err);

typedef enum hd_norm_kind {
    HD_NORM_BERT,
    HD_NORM_LOWERCASE,
    HD_NORM_NFC,
    HD_NORM_NFD,
    HD_NORM_NFKC,
    HD_NORM_NFKD,
    HD_NORM_STRIP_ACCENTS,
    HD_NORM_STRIP,
    HD_NORM_REPLACE,
    HD_NORM_PREPEND,
    HD_NORM_NMT,
    HD_NORM_PRECOMPILED,
} hd_norm_kind;

typedef struct hd_charsmap hd_charsmap;

typedef struct hd_norm_step {
    hd_norm_kind kind;
    bool clean_text, chinese_chars, strip_accents, lowercase; /* BERT */
    bool left, right;                                         /* STRIP */
    const uint32_t *pattern, *content;                        /* REPLACE: both; PREPEND: content */
    size_t n_pattern, n_content;
    bool is_run;                 /* REPLACE: the pattern is of one code point and stands for two or more of them in a row */
    const hd_pattern *regex;     /* REPLACE: in place of the pattern; NULL: none */
    const hd_charsmap *charsmap; /* PRECOMPILED */
} hd_norm_step;

typedef struct hd_normalizer {
    hd_norm_step *steps; /* Sequences are laid flat */
    size_t n_steps, capacity;
    bool local; /* a text may be cut at a space before an ASCII letter and its parts normalised alone */
} hd_normalizer;

/* Reads "normalizer" of tokenizer.json (may be NULL or null: nothing is done). What it needs lives in the
 * arena. HD_ERR_FORMAT, HD_ERR_UNSUPPORTED by the type's name, HD_ERR_MEMORY. */
HD_MUST_USE hd_status hd__normalizer_parse(const json_t *json, const char *file, hd_arena *arena, hd_normalizer *normalizer,
                                           hd_error *err);

/* Normalises text in place; spare is for the steps' use and keeps its memory. HD_ERR_MEMORY. */
HD_MUST_USE hd_status hd__normalizer_run(const hd_normalizer *normalizer, hd_norm_text *text, hd_norm_text *spare,
                                         hd_error *err);

/* For steps in other files. made: characters that come about, each with its change as `begin` (int32_t: 0 takes the place
 * of the next old one, -n does so and uses up n more, 1 is added). Gives them their places and swaps the two. */
void hd__norm_text_settle(hd_norm_text *made, hd_norm_text *text);

/* Decodes UTF-8 into characters that stand for themselves, counted from `base`. HD_ERR_MEMORY. */
HD_MUST_USE hd_status hd__norm_text_decode(hd_norm_text *text, hd_span utf8, uint32_t base, hd_error *err);

/* Appends the characters as UTF-8. HD_ERR_MEMORY. */
HD_MUST_USE hd_status hd__norm_text_encode(const hd_norm_text *text, hd_buffer *utf8, hd_error *err);

#endif
