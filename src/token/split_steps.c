/* split_steps.c - the steps of a pre-tokenizer that look for a pattern or change the text: Split and ByteLevel.
 *
 * Behaviours follow `tokenizers` (NormalizedString::split): a text is a row of matches and of what is between them.
 */
#include "base/alloc.h"
#include "base/utf8.h"
#include "token/byte_level.h"
#include "token/pretokenizer.h"

/* The last part may still grow when it is put in. */
typedef struct joiner {
    hd_split_behavior behavior;
    hd_words *out;
    hd_word part;
    bool has_part, part_is_match;
    hd_error *err;
} joiner;

static hd_status end_part(joiner *j)
{
    bool goes = !j->has_part || j->part.begin == j->part.end || (j->behavior == HD_SPLIT_REMOVED && j->part_is_match);
    j->has_part = false;
    return goes ? HD_OK : hd__words_add(j->out, j->part.begin, j->part.end, j->err);
}

static bool joins(const joiner *j, bool is_match)
{
    switch (j->behavior) {
    case HD_SPLIT_MERGED_WITH_PREVIOUS: return is_match && !j->part_is_match;
    case HD_SPLIT_MERGED_WITH_NEXT: return !is_match && j->part_is_match;
    case HD_SPLIT_CONTIGUOUS: return is_match == j->part_is_match;
    case HD_SPLIT_REMOVED:
    case HD_SPLIT_ISOLATED: break;
    }
    return false;
}

static hd_status add_part(joiner *j, size_t begin, size_t end, bool is_match)
{
    if (j->has_part && joins(j, is_match)) {
        j->part.end = end;
    } else {
        HD_TRY(end_part(j));
        j->part = (hd_word){begin, end};
        j->has_part = true;
    }
    j->part_is_match = is_match;
    return HD_OK;
}

/* Bytes of the UTF-8 of chars to their numbers, ever further on. */
typedef struct place {
    const hd_norm_char *chars;
    size_t byte, index;
} place;

static size_t seek(place *p, size_t byte)
{
    for (; p->byte < byte; p->index++)
        p->byte += hd__utf8_len(p->chars[p->index].code_point);
    return p->index;
}

static hd_status split_word(const hd_split_step *step, hd_word_text *text, hd_word word, hd_words *out, hd_error *err)
{
    const hd_norm_text part = {.chars = text->text.chars + word.begin, .n = word.end - word.begin};
    hd__buffer_reset(&text->utf8);
    HD_TRY(hd__norm_text_encode(&part, &text->utf8, err));
    HD_TRY(hd__pattern_find(step->pattern, hd__buffer_span(&text->utf8), &text->matches, err));
    place known = {.chars = part.chars};
    joiner j = {.behavior = step->behavior, .out = out, .err = err};
    size_t done = 0;
    for (size_t i = 0; i < text->matches.n; i++) {
        const size_t begin = seek(&known, text->matches.words[i].begin), end = seek(&known, text->matches.words[i].end);
        if (begin > done)
            HD_TRY(add_part(&j, word.begin + done, word.begin + begin, step->invert));
        HD_TRY(add_part(&j, word.begin + begin, word.begin + end, !step->invert));
        done = end;
    }
    if (done < part.n)
        HD_TRY(add_part(&j, word.begin + done, word.end, step->invert));
    return end_part(&j);
}

hd_status hd__split_pattern(const hd_split_step *step, hd_word_text *text, hd_words *out, hd_error *err)
{
    for (size_t i = 0; i < text->words.n; i++)
        HD_TRY(split_word(step, text, text->words.words[i], out, err));
    return HD_OK;
}

static void swap_texts(hd_word_text *text)
{
    hd_norm_text t = text->text;
    text->text = text->spare_text;
    text->spare_text = t;
}

/* What is put in front stands where the first character stands. */
hd_status hd__split_prefix_space(hd_word_text *text, hd_words *out, hd_error *err)
{
    hd_norm_text *to = &text->spare_text;
    HD_TRY(hd__norm_text_reserve(to, text->text.n + text->words.n, err));
    to->n = 0;
    for (size_t i = 0; i < text->words.n; i++) {
        const hd_word word = text->words.words[i];
        const hd_norm_char *first = &text->text.chars[word.begin];
        const size_t begin = to->n;
        if (first->code_point != ' ')
            to->chars[to->n++] = (hd_norm_char){' ', first->begin, first->end};
        memcpy(to->chars + to->n, first, (word.end - word.begin) * sizeof *first);
        to->n += word.end - word.begin;
        HD_TRY(hd__words_add(out, begin, to->n, err));
    }
    swap_texts(text);
    return HD_OK;
}

/* All bytes of a character stand where it stands. */
hd_status hd__split_bytes(hd_word_text *text, hd_words *out, hd_error *err)
{
    hd_norm_text *to = &text->spare_text;
    HD_TRY(hd__norm_text_reserve(to, hd__mul(text->text.n, 4), err));
    to->n = 0;
    for (size_t i = 0; i < text->words.n; i++) {
        const hd_word word = text->words.words[i];
        const size_t begin = to->n;
        for (size_t at = word.begin; at < word.end; at++) {
            const hd_norm_char c = text->text.chars[at];
            char utf8[4];
            size_t n = hd__utf8_encode(c.code_point, utf8);
            for (size_t k = 0; k < n; k++)
                to->chars[to->n++] = (hd_norm_char){hd__byte_level_char((uint8_t)utf8[k]), c.begin, c.end};
        }
        HD_TRY(hd__words_add(out, begin, to->n, err));
    }
    swap_texts(text);
    return HD_OK;
}
