/* pretokenizer.c - see pretokenizer.h. */
#include "token/pretokenizer.h"

#include "base/alloc.h"
#include "base/utf8.h"
#include "token/unicode.h"

void hd__word_text_clear(hd_word_text *text)
{
    hd__norm_text_clear(&text->text);
    hd__norm_text_clear(&text->spare_text);
    hd__free(text->words.words);
    hd__free(text->spare_words.words);
    hd__free(text->matches.words);
    hd__buffer_clear(&text->utf8);
    *text = (hd_word_text){0};
}

typedef struct parser {
    const char *file;
    hd_arena *arena;
    hd_pretokenizer *pretokenizer;
    hd_error *err;
} parser;

static hd_status add_step(parser *p, hd_split_step step)
{
    if (p->pretokenizer->n_steps == HD_PRETOKENIZER_MAX_STEPS)
        return hd__fail(p->err, HD_ERR_LIMIT, "%s: \"pre_tokenizer\" has more than %d steps", p->file,
                        HD_PRETOKENIZER_MAX_STEPS);
    p->pretokenizer->steps[p->pretokenizer->n_steps++] = step;
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

static hd_status parse_bert(parser *p, const json_t *json)
{
    (void)json;
    HD_TRY(add_step(p, (hd_split_step){.kind = HD_SPLIT_SPACES, .behavior = HD_SPLIT_REMOVED}));
    return add_step(p, (hd_split_step){.kind = HD_SPLIT_PUNCTUATION, .behavior = HD_SPLIT_ISOLATED});
}

static hd_status parse_whitespace(parser *p, const json_t *json)
{
    (void)json;
    return add_step(p, (hd_split_step){.kind = HD_SPLIT_WORDS, .behavior = HD_SPLIT_REMOVED});
}

static hd_status parse_whitespace_split(parser *p, const json_t *json)
{
    (void)json;
    return add_step(p, (hd_split_step){.kind = HD_SPLIT_SPACES, .behavior = HD_SPLIT_REMOVED});
}

static hd_status parse_punctuation(parser *p, const json_t *json)
{
    hd_split_step step = {.kind = HD_SPLIT_PUNCTUATION};
    HD_TRY(parse_behavior(json, p->file, &step.behavior, p->err));
    return add_step(p, step);
}

static hd_status parse_digits(parser *p, const json_t *json)
{
    bool each = false;
    HD_TRY(hd__json_get_bool(json, "individual_digits", p->file, &each, p->err));
    return add_step(p, (hd_split_step){.kind = HD_SPLIT_DIGITS, .behavior = each ? HD_SPLIT_ISOLATED : HD_SPLIT_CONTIGUOUS});
}

static hd_status parse_split(parser *p, const json_t *json)
{
    hd_split_step step = {.kind = HD_SPLIT_PATTERN};
    HD_TRY(hd__pattern_parse(json_object_get(json, "pattern"), p->file, "pre_tokenizer", p->arena, &step.pattern, p->err));
    HD_TRY(parse_behavior(json, p->file, &step.behavior, p->err));
    HD_TRY(hd__json_get_bool(json, "invert", p->file, &step.invert, p->err));
    return add_step(p, step);
}

static hd_status parse_byte_level(parser *p, const json_t *json)
{
    bool prefix_space = true, use_regex = true;
    HD_TRY(hd__json_get_bool(json, "add_prefix_space", p->file, &prefix_space, p->err));
    HD_TRY(hd__json_get_bool(json, "use_regex", p->file, &use_regex, p->err));
    if (prefix_space)
        HD_TRY(add_step(p, (hd_split_step){.kind = HD_SPLIT_PREFIX_SPACE}));
    if (use_regex)
        HD_TRY(add_step(p, (hd_split_step){.kind = HD_SPLIT_PATTERN,
                                           .behavior = HD_SPLIT_ISOLATED,
                                           .pattern = hd__pattern_of_rule(HD_WORDS_GPT2)}));
    return add_step(p, (hd_split_step){.kind = HD_SPLIT_BYTES});
}

/* "add_prefix_space": false is how older files say "never". */
hd_status hd__metaspace_parse(const json_t *json, const char *file, const char *where, hd_split_step *step, hd_error *err)
{
    static const char *const names[] = {"always", "first", "never"};
    const json_t *mark = json_object_get(json, "replacement");
    const char *scheme = "always";
    bool prefix = true, split = true, valid = false;
    size_t len = 0, i = 0;
    *step = (hd_split_step){.kind = HD_SPLIT_METASPACE};
    if (json_is_string(mark) && json_string_length(mark) > 0)
        step->mark = hd__utf8_decode(hd__span(json_string_value(mark), json_string_length(mark)), 0, &len, &valid);
    if (!valid || len != json_string_length(mark))
        return hd__fail(err, HD_ERR_FORMAT, "%s: \"%s\": Metaspace needs a \"replacement\" of one character", file, where);
    HD_TRY(hd__json_get_bool(json, "add_prefix_space", file, &prefix, err));
    HD_TRY(hd__json_get_bool(json, "split", file, &split, err));
    HD_TRY(hd__json_get_text(json, "prepend_scheme", file, &scheme, err));
    while (i < 3 && strcmp(scheme, names[i]) != 0)
        i++;
    bool given = json_object_get(json, "prepend_scheme") != NULL;
    if (i == 3 || (given && !prefix && i != HD_PREPEND_NEVER))
        return hd__fail(err, HD_ERR_FORMAT, "%s: \"%s\": Metaspace: \"prepend_scheme\" \"%s\"%s", file, where, scheme,
                        i == 3 ? " is not known" : " without \"add_prefix_space\"");
    step->prepend = prefix ? (hd_prepend_scheme)i : HD_PREPEND_NEVER;
    step->whole = !split;
    return HD_OK;
}

static hd_status parse_metaspace(parser *p, const json_t *json)
{
    hd_split_step step;
    HD_TRY(hd__metaspace_parse(json, p->file, "pre_tokenizer", &step, p->err));
    return add_step(p, step);
}

static hd_status parse_sequence(parser *p, const json_t *json);

static const struct {
    const char *type;
    hd_status (*parse)(parser *p, const json_t *json);
} types[] = {
    {"BertPreTokenizer", parse_bert},   {"Whitespace", parse_whitespace}, {"WhitespaceSplit", parse_whitespace_split},
    {"Punctuation", parse_punctuation}, {"Digits", parse_digits},         {"Split", parse_split},
    {"ByteLevel", parse_byte_level},    {"Metaspace", parse_metaspace},   {"Sequence", parse_sequence},
};

static hd_status parse(parser *p, const json_t *json)
{
    const char *type = json_string_value(json_object_get(json, "type"));
    if (type == NULL)
        return hd__fail(p->err, HD_ERR_FORMAT, "%s: \"pre_tokenizer\" has no \"type\"", p->file);
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (strcmp(types[i].type, type) == 0)
            return types[i].parse(p, json);
    return hd__fail(p->err, HD_ERR_UNSUPPORTED, "%s: \"pre_tokenizer\" of type \"%s\" is not supported", p->file, type);
}

/* Sequences nest no deeper than the JSON reader lets them. */
static hd_status parse_sequence(parser *p, const json_t *json)
{
    const json_t *parts = json_object_get(json, "pretokenizers");
    if (!json_is_array(parts))
        return hd__fail(p->err, HD_ERR_FORMAT, "%s: \"pre_tokenizer\": Sequence needs an array \"pretokenizers\"", p->file);
    for (size_t i = 0; i < json_array_size(parts); i++)
        HD_TRY(parse(p, json_array_get(parts, i)));
    return HD_OK;
}

hd_status hd__pretokenizer_parse(const json_t *json, const char *file, hd_arena *arena, hd_pretokenizer *pretokenizer,
                                 hd_error *err)
{
    parser p = {file, arena, pretokenizer, err};
    *pretokenizer = (hd_pretokenizer){0};
    return json == NULL || json_is_null(json) ? HD_OK : parse(&p, json);
}

static hd_status add_word(hd_words *words, size_t begin, size_t end, hd_error *err)
{
    return begin == end ? HD_OK : hd__words_add(words, begin, end, err);
}

/* 0: a delimiter. Others: characters of one kind stay together. */
static int kind_of(hd_split_kind kind, uint32_t c)
{
    uint32_t flags = hd__unicode_flags(c);
    if (kind == HD_SPLIT_PUNCTUATION)
        return !(flags & HD_UNICODE_PUNCTUATION);
    if (kind == HD_SPLIT_DIGITS)
        return !(flags & HD_UNICODE_NUMERIC);
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

/* Puts the marks into the text and cuts its words before each. */
static hd_status split_metaspace(hd_split_step step, hd_word_text *text, hd_words *out, hd_error *err)
{
    hd_norm_text *to = &text->spare_text;
    HD_TRY(hd__norm_text_reserve(to, text->text.n + text->words.n, err));
    to->n = 0;
    for (size_t i = 0; i < text->words.n; i++) {
        hd_word word = text->words.words[i];
        hd_norm_char first = text->text.chars[word.begin];
        bool prepends = first.code_point != ' ' && first.code_point != step.mark &&
                        (step.prepend == HD_PREPEND_ALWAYS || (step.prepend == HD_PREPEND_FIRST && first.begin == 0));
        size_t begin = to->n;
        if (prepends)
            to->chars[to->n++] = (hd_norm_char){step.mark, first.begin, first.end};
        for (size_t at = word.begin; at < word.end; at++) {
            hd_norm_char c = text->text.chars[at];
            c.code_point = c.code_point == ' ' ? step.mark : c.code_point;
            if (c.code_point == step.mark && !step.whole) {
                HD_TRY(add_word(out, begin, to->n, err));
                begin = to->n;
            }
            to->chars[to->n++] = c;
        }
        HD_TRY(add_word(out, begin, to->n, err));
    }
    hd_norm_text t = text->text;
    text->text = *to;
    *to = t;
    return HD_OK;
}

static hd_status run_step(const hd_split_step *step, hd_word_text *text, hd_words *out, hd_error *err)
{
    switch (step->kind) {
    case HD_SPLIT_PATTERN: return hd__split_pattern(step, text, out, err);
    case HD_SPLIT_PREFIX_SPACE: return hd__split_prefix_space(text, out, err);
    case HD_SPLIT_BYTES: return hd__split_bytes(text, out, err);
    case HD_SPLIT_METASPACE: return split_metaspace(*step, text, out, err);
    case HD_SPLIT_SPACES:
    case HD_SPLIT_WORDS:
    case HD_SPLIT_PUNCTUATION:
    case HD_SPLIT_DIGITS: break;
    }
    for (size_t i = 0; i < text->words.n; i++)
        HD_TRY(split(*step, text->text.chars, text->words.words[i], out, err));
    return HD_OK;
}

hd_status hd__pretokenizer_run(const hd_pretokenizer *pretokenizer, hd_word_text *text, hd_error *err)
{
    text->words.n = 0;
    HD_TRY(add_word(&text->words, 0, text->text.n, err));
    for (size_t s = 0; s < pretokenizer->n_steps; s++) {
        hd_words found = text->spare_words;
        found.n = 0;
        hd_status status = run_step(&pretokenizer->steps[s], text, &found, err);
        text->spare_words = text->words;
        text->words = found;
        HD_TRY(status);
    }
    return HD_OK;
}
