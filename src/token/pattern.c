/* pattern.c - see pattern.h. PCRE2: https://www.pcre.org; Oniguruma's syntax: doc/RE of its sources. */
#include "token/pattern.h"

#include "base/alloc.h"
#include "base/buffer.h"
#include "base/limits.h"
#include "base/regex_memory.h"
#include "base/utf8.h"
#include "token/unicode.h"

typedef enum pattern_kind { LITERAL, RULE, REGEX } pattern_kind;

struct hd_pattern {
    pattern_kind kind;
    hd_span literal;
    hd_word_rule rule;
    pcre2_code *code;
    pcre2_match_context *context;
};

static const hd_pattern rules[] = {
    [HD_WORDS_GPT2] = {.kind = RULE, .rule = HD_WORDS_GPT2},
    [HD_WORDS_CL100K] = {.kind = RULE, .rule = HD_WORDS_CL100K},
    [HD_WORDS_QWEN2] = {.kind = RULE, .rule = HD_WORDS_QWEN2},
};

const hd_word_rule *hd__pattern_rule(const hd_pattern *pattern)
{
    return pattern->kind == RULE ? &pattern->rule : NULL;
}

const hd_pattern *hd__pattern_of_rule(hd_word_rule rule)
{
    return &rules[rule];
}

hd_status hd__words_add(hd_words *words, size_t begin, size_t end, hd_error *err)
{
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

/* ---- from Oniguruma's syntax to PCRE2's ---- */

/* White_Space, which \s is to Oniguruma and not quite to PCRE2. */
#define SPACES                                                                                                              \
    "\\x{09}-\\x{0D}\\x{20}\\x{85}\\x{A0}\\x{1680}\\x{2000}-\\x{200A}\\x{2028}\\x{2029}\\x{202F}\\x{205F}\\x{3000}"

/* Whether regex[at] is the + of a{1,2}+: possessive to PCRE2, one time and more to Oniguruma. */
static bool follows_interval(hd_span regex, size_t at)
{
    if (regex.ptr[at] != '+' || at < 3 || regex.ptr[at - 1] != '}')
        return false;
    size_t begin = at - 2;
    while (begin > 0 && ((regex.ptr[begin] >= '0' && regex.ptr[begin] <= '9') || regex.ptr[begin] == ','))
        begin--;
    return regex.ptr[begin] == '{' && begin < at - 2;
}

/* Spellings that the two read differently, or that look outside the match. */
static const char *different(hd_span regex)
{
    static const char *const spellings[] = {"&&",  "\\h", "\\H", "\\K", "\\G", "\\R", "\\X", "\\y", "\\Y", "\\O", "\\N",
                                            "\\Z", "\\g", "\\C", "(?m", "(?a", "(?W", "(?y", "(*",  "(?~", "(?(", "(?{"};
    for (size_t at = 0; at < regex.len; at++) {
        const hd_span rest = hd__span(regex.ptr + at, regex.len - at);
        for (size_t i = 0; i < sizeof spellings / sizeof *spellings; i++)
            if (hd__span_begins(rest, spellings[i]))
                return spellings[i];
        if (follows_interval(regex, at))
            return "}+";
        if (at > 0 && (hd__span_begins(rest, "(?i)") || hd__span_begins(rest, "(?x)")))
            return "an option that is not at the beginning";
        at += regex.ptr[at] == '\\'; /* what is escaped begins nothing */
    }
    return NULL;
}

/* Whether c is in a class of Oniguruma's, which has its own Unicode: L and N for \p{L} and \p{N}; w for \w, which has the
 * superscripts and fractions of Latin-1, but not the joiners. */
static bool is_in(char kind, uint32_t c)
{
    const uint32_t flags = hd__unicode_flags(c);
    if (kind != 'w')
        return flags & (kind == 'L' ? HD_UNICODE_LETTER : HD_UNICODE_NUMBER);
    if (c == 0x200C || c == 0x200D)
        return false;
    return (flags & HD_UNICODE_WORD) || (c < 0x100 && (flags & HD_UNICODE_NUMBER));
}

/* Puts what is in a class, as ranges; s is for \s. */
static void put_class(char kind, hd_buffer *out)
{
    if (kind == 's') {
        hd__buffer_append_text(out, SPACES);
        return;
    }
    for (uint32_t c = 0, begin; c <= 0x10FFFF; c++) {
        if (!is_in(kind, c))
            continue;
        for (begin = c; c < 0x10FFFF && is_in(kind, c + 1);)
            c++;
        hd__buffer_printf(out, "\\x{%X}-\\x{%X}", begin, c);
    }
}

static void put_outside(const char *begin, char kind, hd_buffer *out)
{
    hd__buffer_append_text(out, begin);
    put_class(kind, out);
    hd__buffer_append_text(out, "]");
}

/* Puts what an escape is to PCRE2; returns how many bytes of the regular expression it took. */
static size_t translate_escape(hd_span escape, bool in_class, hd_buffer *out)
{
    static const struct {
        const char *text;
        char kind;
        bool negated;
    } classes[] = {{"\\s", 's', false},    {"\\S", 's', true},    {"\\w", 'w', false},    {"\\W", 'w', true},
                   {"\\p{L}", 'L', false}, {"\\P{L}", 'L', true}, {"\\p{N}", 'N', false}, {"\\P{N}", 'N', true}};
    for (size_t i = 0; i < sizeof classes / sizeof *classes; i++) {
        if (!hd__span_begins(escape, classes[i].text) || (in_class && classes[i].negated))
            continue;
        if (in_class)
            put_class(classes[i].kind, out);
        else
            put_outside(classes[i].negated ? "[^" : "[", classes[i].kind, out);
        return strlen(classes[i].text);
    }
    if (escape.ptr[1] == 'u' && escape.len >= 6) { /* a code point of four digits */
        hd__buffer_printf(out, "\\x{%.4s}", escape.ptr + 2);
        return 6;
    }
    hd__buffer_append(out, escape.ptr, 2);
    return 2;
}

static hd_status translate(hd_span regex, hd_buffer *out, hd_error *err)
{
    size_t depth = 0; /* of [ */
    for (size_t at = 0; at < regex.len;) {
        const char c = regex.ptr[at];
        if (out->len > HD_LIMIT_REGEX_CLASSES_BYTES)
            return hd__fail(err, HD_ERR_LIMIT, "a regular expression whose classes have more than %u bytes",
                            HD_LIMIT_REGEX_CLASSES_BYTES);
        if (c == '\\' && at + 1 < regex.len) {
            at += translate_escape(hd__span(regex.ptr + at, regex.len - at), depth > 0, out);
            continue;
        }
        depth += c == '[';
        depth -= c == ']' && depth > 0;
        hd__buffer_append_char(out, c);
        at++;
    }
    return out->failed ? hd__fail(err, HD_ERR_MEMORY, "no memory for a regular expression of %zu bytes", regex.len) : HD_OK;
}

static void free_pattern(void *data)
{
    hd_pattern *pattern = data;
    pcre2_code_free(pattern->code);
    pcre2_match_context_free(pattern->context);
}

static hd_status compile(hd_span regex, const char *file, const char *where, hd_pattern *pattern, hd_error *err)
{
    hd_buffer text;
    int number = 0;
    size_t place = 0;
    hd__buffer_init(&text);
    pcre2_general_context *memory = hd__regex_memory();
    pcre2_compile_context *settings = memory != NULL ? pcre2_compile_context_create(memory) : NULL;
    hd_status status = settings != NULL ? translate(regex, &text, err) : HD_ERR_MEMORY;
    if (status == HD_OK) {
        pcre2_set_parens_nest_limit(settings, HD_LIMIT_REGEX_NESTING);
        pattern->code =
            pcre2_compile((PCRE2_SPTR)text.ptr, text.len, PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C,
                          &number, &place, settings);
        pattern->context = pcre2_match_context_create(memory);
    }
    if (status == HD_OK && pattern->code == NULL && number != PCRE2_ERROR_HEAP_FAILED) {
        char message[128];
        pcre2_get_error_message(number, (PCRE2_UCHAR *)message, sizeof message);
        status = hd__fail(err, HD_ERR_FORMAT, "%s: \"%s\": the regular expression \"%.*s\": %s", file, where,
                          (int)(regex.len < 200 ? regex.len : 200), regex.ptr, message);
    } else if (status == HD_ERR_MEMORY || (status == HD_OK && (pattern->code == NULL || pattern->context == NULL))) {
        status = hd__fail(err, HD_ERR_MEMORY, "%s: \"%s\": no memory for a regular expression", file, where);
    }
    hd__buffer_clear(&text);
    pcre2_compile_context_free(settings);
    pcre2_general_context_free(memory);
    return status;
}

static hd_status parse_regex(hd_span regex, const char *file, const char *where, hd_arena *arena, hd_pattern *pattern,
                             hd_error *err)
{
    if (regex.len > HD_LIMIT_REGEX_BYTES)
        return hd__fail(err, HD_ERR_LIMIT, "%s: \"%s\": a regular expression of %zu bytes, the limit is %u", file, where,
                        regex.len, HD_LIMIT_REGEX_BYTES);
    const char *spelling = different(regex);
    if (spelling != NULL)
        return hd__fail(err, HD_ERR_UNSUPPORTED, "%s: \"%s\": %s in a regular expression is not supported", file, where,
                        spelling);
    pattern->kind = REGEX;
    hd_status status = compile(regex, file, where, pattern, err);
    if (status == HD_OK)
        status = hd__arena_on_clear(arena, free_pattern, pattern);
    if (status != HD_OK) {
        free_pattern(pattern);
        return status;
    }
    pcre2_set_match_limit(pattern->context, HD_LIMIT_REGEX_STEPS);
    pcre2_set_heap_limit(pattern->context, HD_LIMIT_REGEX_HEAP_KB);
    pcre2_jit_compile(pattern->code, PCRE2_JIT_COMPLETE); /* only faster */
    return HD_OK;
}

hd_status hd__pattern_parse(const json_t *json, const char *file, const char *where, hd_arena *arena,
                            const hd_pattern **pattern, hd_error *err)
{
    const json_t *regex = json_object_get(json, "Regex"), *literal = json_object_get(json, "String");
    const json_t *text = regex != NULL ? regex : literal != NULL ? literal : json;
    hd_word_rule rule;
    if (!json_is_string(text) || json_string_length(text) == 0)
        return hd__fail(err, HD_ERR_FORMAT, "%s: \"%s\": the \"pattern\" is neither a \"String\" nor a \"Regex\"", file,
                        where);
    const hd_span span = hd__span(json_string_value(text), json_string_length(text));
    if (regex != NULL && hd__word_rule_of(span, &rule)) {
        *pattern = hd__pattern_of_rule(rule);
        return HD_OK;
    }
    hd_pattern *made = hd__arena_calloc(arena, 1, sizeof *made);
    char *copy = hd__arena_strndup(arena, span.ptr, span.len);
    if (made == NULL || copy == NULL)
        return hd__fail(err, HD_ERR_MEMORY, "%s: \"%s\": no memory for a pattern of %zu bytes", file, where, span.len);
    *made = (hd_pattern){.kind = LITERAL, .literal = hd__span(copy, span.len)};
    *pattern = made;
    return regex != NULL ? parse_regex(made->literal, file, where, arena, made, err) : HD_OK;
}

/* ---- matching ---- */

static hd_status find_words(hd_word_rule rule, hd_span text, hd_words *matches, hd_error *err)
{
    for (size_t at = 0, end; at < text.len; at = end) {
        end = hd__word_end(rule, text, at);
        HD_TRY(hd__words_add(matches, at, end, err));
    }
    return HD_OK;
}

static hd_status find_literal(hd_span literal, hd_span text, hd_words *matches, hd_error *err)
{
    for (size_t at = 0; at + literal.len <= text.len;) {
        const char *found = memchr(text.ptr + at, literal.ptr[0], text.len - literal.len - at + 1);
        if (found == NULL)
            break;
        at = (size_t)(found - text.ptr);
        if (memcmp(found, literal.ptr, literal.len) != 0) {
            at++;
            continue;
        }
        HD_TRY(hd__words_add(matches, at, at + literal.len, err));
        at += literal.len;
    }
    return HD_OK;
}

static hd_status match_failed(int code, hd_error *err)
{
    if (code == PCRE2_ERROR_MATCHLIMIT || code == PCRE2_ERROR_HEAPLIMIT || code == PCRE2_ERROR_DEPTHLIMIT)
        return hd__fail(err, HD_ERR_LIMIT, "the tokenizer's regular expression takes more than %u steps on this text",
                        HD_LIMIT_REGEX_STEPS);
    return hd__fail(err, code == PCRE2_ERROR_NOMEMORY ? HD_ERR_MEMORY : HD_ERR_FORMAT,
                    "the tokenizer's regular expression fails on this text (PCRE2 error %d)", code);
}

/* The small stack that JIT code has by itself may be too small for a pattern; the interpreter then does it. */
static int match(const hd_pattern *pattern, hd_span text, size_t at, pcre2_match_data *found)
{
    int code = pcre2_match(pattern->code, (PCRE2_SPTR)text.ptr, text.len, at, PCRE2_NO_UTF_CHECK, found, pattern->context);
    return code != PCRE2_ERROR_JIT_STACKLIMIT ? code
                                              : pcre2_match(pattern->code, (PCRE2_SPTR)text.ptr, text.len, at,
                                                            PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT, found, pattern->context);
}

/* An empty match right after another one does not count. */
static hd_status find_regex(const hd_pattern *pattern, hd_span text, hd_words *matches, hd_error *err)
{
    pcre2_match_data *found = pcre2_match_data_create_from_pattern(pattern->code, NULL);
    size_t last_end = SIZE_MAX;
    hd_status status = HD_OK;
    if (found == NULL)
        return hd__fail(err, HD_ERR_MEMORY, "no memory for a regular expression's match");
    for (size_t at = 0; at <= text.len && status == HD_OK;) {
        int code = match(pattern, text, at, found);
        if (code < 0) {
            status = code == PCRE2_ERROR_NOMATCH ? HD_OK : match_failed(code, err);
            break;
        }
        const size_t begin = pcre2_get_ovector_pointer(found)[0], end = pcre2_get_ovector_pointer(found)[1];
        if (end > begin || end != last_end)
            status = hd__words_add(matches, begin, end, err);
        last_end = end;
        at = end;
        if (end == begin) {
            size_t len = 1;
            bool valid;
            if (at < text.len)
                hd__utf8_decode(text, at, &len, &valid);
            at += len;
        }
    }
    pcre2_match_data_free(found);
    return status;
}

hd_status hd__pattern_find(const hd_pattern *pattern, hd_span text, hd_words *matches, hd_error *err)
{
    matches->n = 0;
    switch (pattern->kind) {
    case LITERAL: return find_literal(pattern->literal, text, matches, err);
    case RULE: return find_words(pattern->rule, text, matches, err);
    case REGEX: break;
    }
    return find_regex(pattern, text, matches, err);
}
