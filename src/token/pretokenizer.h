/* pretokenizer.h - where normalised text is cut into words.
 *
 * Follows `tokenizers` (src/pre_tokenizers): BertPreTokenizer, Whitespace, WhitespaceSplit, Punctuation,
 * Metaspace, Digits, Split, ByteLevel and Sequences of them.
 */
#ifndef HD_TOKEN_PRETOKENIZER_H
#define HD_TOKEN_PRETOKENIZER_H

#include "token/normalizer.h"
#include "token/pattern.h"

typedef enum hd_split_kind {
    HD_SPLIT_SPACES,       /* at White_Space, which goes */
    HD_SPLIT_WORDS,        /* runs of \w and runs of what is neither \w nor White_Space */
    HD_SPLIT_PUNCTUATION,  /* at punctuation, which `behavior` deals with */
    HD_SPLIT_DIGITS,       /* at numerals, as `behavior` says */
    HD_SPLIT_PATTERN,      /* at matches of `pattern`, or `invert`ed between them, as `behavior` says */
    HD_SPLIT_PREFIX_SPACE, /* nowhere: a word that does not begin with a space gets one */
    HD_SPLIT_BYTES,        /* nowhere: each character becomes those of its bytes; see byte_level.h */
    HD_SPLIT_METASPACE,    /* spaces become `mark`, and words may be cut before each */
} hd_split_kind;

typedef enum hd_split_behavior {
    HD_SPLIT_REMOVED,
    HD_SPLIT_ISOLATED,
    HD_SPLIT_MERGED_WITH_PREVIOUS,
    HD_SPLIT_MERGED_WITH_NEXT,
    HD_SPLIT_CONTIGUOUS,
} hd_split_behavior;

typedef enum hd_prepend_scheme { HD_PREPEND_ALWAYS, HD_PREPEND_FIRST, HD_PREPEND_NEVER } hd_prepend_scheme;

typedef struct hd_split_step {
    hd_split_kind kind;
    hd_split_behavior behavior;
    const hd_pattern *pattern;
    bool invert;
    uint32_t mark;             /* METASPACE: what a space becomes, U+2581 as a rule */
    hd_prepend_scheme prepend; /* METASPACE: whether one is put before a word that does not begin with one */
    bool whole;                /* METASPACE: words are not cut */
} hd_split_step;

#define HD_PRETOKENIZER_MAX_STEPS 16

typedef struct hd_pretokenizer {
    hd_split_step steps[HD_PRETOKENIZER_MAX_STEPS]; /* Sequences are laid flat */
    size_t n_steps;
} hd_pretokenizer;

/* Reads "pre_tokenizer" of tokenizer.json (may be NULL or null: the text is one word). What it needs goes with the arena.
 * HD_ERR_FORMAT, HD_ERR_UNSUPPORTED by the type's name, HD_ERR_LIMIT, HD_ERR_MEMORY. */
HD_MUST_USE hd_status hd__pretokenizer_parse(const json_t *json, const char *file, hd_arena *arena,
                                             hd_pretokenizer *pretokenizer, hd_error *err);

/* Reads the settings that Metaspace has as a pre-tokenizer and as a decoder; `where` is for messages. HD_ERR_FORMAT. */
HD_MUST_USE hd_status hd__metaspace_parse(const json_t *json, const char *file, const char *where, hd_split_step *step,
                                          hd_error *err);

/* A text and its words; one owner, keeps its memory from text to text. */
typedef struct hd_word_text {
    hd_norm_text text;
    hd_words words; /* of the text */
    hd_norm_text spare_text;
    hd_words spare_words;
    hd_buffer utf8;   /* of a word that is looked at byte by byte */
    hd_words matches; /* in it */
} hd_word_text;

void hd__word_text_clear(hd_word_text *text);

/* Finds the words of text->text; none is empty. Steps may change the text. HD_ERR_LIMIT when a regular expression takes too
 * long, HD_ERR_MEMORY. */
HD_MUST_USE hd_status hd__pretokenizer_run(const hd_pretokenizer *pretokenizer, hd_word_text *text, hd_error *err);

/* split_steps.c: single steps, which append the words they make of text->words. */
HD_MUST_USE hd_status hd__split_pattern(const hd_split_step *step, hd_word_text *text, hd_words *out, hd_error *err);
HD_MUST_USE hd_status hd__split_prefix_space(hd_word_text *text, hd_words *out, hd_error *err);
HD_MUST_USE hd_status hd__split_bytes(hd_word_text *text, hd_words *out, hd_error *err);

#endif
