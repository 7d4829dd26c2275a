/* pretokenizer.c - see pretokenizer.h. */
#include "token/pretokenizer.h"

#include "base/alloc.h"
#include "token/unicode.h"

void hd__word_text_clear(hd_word_text *text)
{
    hd__norm_text_clear(&text->text);
    hd__norm_text_clear(&text->spare_text);
    hd__free(text->words.words);
    hd__free(text->spare_words.words);
    *text = (hd_word_text){0};
}

static hd_status add_step(hd_pretokenizer *pretokenizer, const char *file, hd_split_kind kind, hd_split_behavior behavior,
                          hd_error *err)
{
    if (pretokenizer->n_steps == HD_PRETOKENIZER_MAX_STEPS)
        return hd__fail(err, HD_ERR_LIMIT, "%s: \"pre_tokenizer\" has more than %d steps", file, HD_PRETOKENIZER_MAX_STEPS);
    pretokenizer->steps[pretokenizer->n_steps++] = (hd_split_step){kind, behavior};
    return HD_OK;
}

static hd_status parse_behavior(const json_t *json, const char *file, hd_split_behavior *behavior, hd_error *err)
{
    static const char *const names[] = {"Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"};
    const char *name = "Isolated";
    HD_TRY(hd__json_get_text(json, "behavior", file, &name, err));
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (strcmp(name, names[i]) == 0) {
            *behavior = (hd_split_behavior)i;
            return HD_OK;
        }
    }
    return hd__fail(err, HD_ERR_FORMAT, "%s: \"pre_tokenizer\": unknown behavior \"%s\"", file, name);
}

/* Sequences nest no deeper than the JSON reader lets them. */
static hd_status parse(const json_t *json, const char *file, hd_pretokenizer *p, hd_error *err)
{
    const char *type = json_string_value(json_object_get(json, "type"));
    if (type == NULL)
        return hd__fail(err, HD_ERR_FORMAT, "%s: \"pre_tokenizer\" has no \"type\"", file);
    if (strcmp(type, "BertPreTokenizer") == 0) {
        HD_TRY(add_step(p, file, HD_SPLIT_SPACES, HD_SPLIT_REMOVED, err));
        return add_step(p, file, HD_SPLIT_PUNCTUATION, HD_SPLIT_ISOLATED, err);
    }
    if (strcmp(type, "Whitespace") == 0)
        return add_step(p, file, HD_SPLIT_WORDS, HD_SPLIT_REMOVED, err);
    if (strcmp(type, "WhitespaceSplit") == 0)
        return add_step(p, file, HD_SPLIT_SPACES, HD_SPLIT_REMOVED, err);
    if (strcmp(type, "Punctuation") == 0) {
        hd_split_behavior behavior = HD_SPLIT_ISOLATED;
        HD_TRY(parse_behavior(json, file, &behavior, err));
        return add_step(p, file, HD_SPLIT_PUNCTUATION, behavior, err);
    }
    if (strcmp(type, "Sequence") != 0)
        return hd__fail(err, HD_ERR_UNSUPPORTED, "%s: \"pre_tokenizer\" of type \"%s\" is not supported", file, type);
    const json_t *parts = json_object_get(json, "pretokenizers");
    if (!json_is_array(parts))
        return hd__fail(err, HD_ERR_FORMAT, "%s: \"pre_tokenizer\": Sequence needs an array \"pretokenizers\"", file);
    for (size_t i = 0; i < json_array_size(parts); i++)
        HD_TRY(parse(json_array_get(parts, i), file, p, err));
    return HD_OK;
}

hd_status hd__pretokenizer_parse(const json_t *json, const char *file, hd_pretokenizer *pretokenizer, hd_error *err)
{
    *pretokenizer = (hd_pretokenizer){0};
    return json == NULL || json_is_null(json) ? HD_OK : parse(json, file, pretokenizer, err);
}

static hd_status add_word(hd_words *words, size_t begin, size_t end, hd_error *err)
{
    if (begin == end)
        return HD_OK;
    if (words->n == words->capacity) {
        size_t capacity = hd__add(words->capacity * 2, 64);
        hd_word *grown = hd__realloc(words->words, hd__mul(capacity, sizeof *grown));
        if (grown == NULL)
            return hd__fail(err, HD_ERR_MEMORY, "no memory for %zu words", capacity);
        words->words = grown;
        words->capacity = capacity;
    }
    words->words[words->n++] = (hd_word){begin, end};
    return HD_OK;
}

/* 0: a delimiter. Others: characters of one kind stay together. */
static int kind_of(hd_split_kind kind, uint32_t c)
{
    uint32_t flags = hd__unicode_flags(c);
    if (kind == HD_SPLIT_PUNCTUATION)
        return !(flags & HD_UNICODE_PUNCTUATION);
    if (flags & HD_UNICODE_SPACE)
        return 0;
    return kind == HD_SPLIT_WORDS && !(flags & HD_UNICODE_WORD) ? 2 : 1;
}

/* Whether a word ends between two neighbours, one a delimiter or both of different kinds. */
static bool cuts(hd_split_behavior behavior, int left, int right)
{
    switch (behavior) {
    case HD_SPLIT_MERGED_WITH_PREVIOUS: /* the first delimiter joins what is before it, others stand alone */
        return left == 0;
    case HD_SPLIT_MERGED_WITH_NEXT: /* the last delimiter joins what is after it */ return right == 0;
    case HD_SPLIT_CONTIGUOUS: return left != right;
    case HD_SPLIT_REMOVED:
    case HD_SPLIT_ISOLATED: break;
    }
    return left != right || left == 0;
}

static hd_status split(hd_split_step step, const hd_norm_char *chars, hd_word word, hd_words *out, hd_error *err)
{
    size_t begin = word.begin;
    int left = kind_of(step.kind, chars[begin].code_point);
    for (size_t at = begin + 1; at <= word.end; at++) {
        int right = at < word.end ? kind_of(step.kind, chars[at].code_point) : -1;
        if (at == word.end || cuts(step.behavior, left, right)) {
            if (left != 0 || step.behavior != HD_SPLIT_REMOVED)
                HD_TRY(add_word(out, begin, at, err));
            begin = at;
        }
        left = right;
    }
    return HD_OK;
}

hd_status hd__pretokenizer_run(const hd_pretokenizer *pretokenizer, hd_word_text *text, hd_error *err)
{
    text->words.n = 0;
    HD_TRY(add_word(&text->words, 0, text->text.n, err));
    for (size_t s = 0; s < pretokenizer->n_steps; s++) {
        hd_words found = text->spare_words;
        found.n = 0;
        hd_status status = HD_OK;
        for (size_t i = 0; status == HD_OK && i < text->words.n; i++)
            status = split(pretokenizer->steps[s], text->text.chars, text->words.words[i], &found, err);
        text->spare_words = text->words;
        text->words = found;
        HD_TRY(status);
    }
    return HD_OK;
}
