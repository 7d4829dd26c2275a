/* filter.c - filters as text: see filter.h for the language. Recursive descent, straight from bytes.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/date.h"
#include "base/limits.h"
#include "base/utf8.h"
#include "store/filter_tree.h"

typedef struct parser {
    hd_span text;
    size_t at;
    uint32_t depth;
    size_t n_values; /* values and tests so far */
    bool of_chunks;
    hd_arena *arena;
    hd_error *err;
} parser;

/* ---- errors ---- */

#define SHOWN_BEFORE 60
#define SHOWN_AFTER 30

/* The beginning of the code point that text[at] is part of. */
static size_t at_code_point(hd_span text, size_t at)
{
    while (at > 0 && at < text.len && ((unsigned char)text.ptr[at] & 0xC0) == 0x80)
        at--;
    return at;
}

/* Says what is wrong at a place, and shows it in the text about it. */
static hd_status fail_at(const parser *p, size_t at, const char *what)
{
    char shown[SHOWN_BEFORE + SHOWN_AFTER + 1];
    const size_t begin = at_code_point(p->text, at > SHOWN_BEFORE ? at - SHOWN_BEFORE + 4 : 0);
    const size_t end = at_code_point(p->text, p->text.len - at > SHOWN_AFTER ? at + SHOWN_AFTER : p->text.len);
    for (size_t i = begin; i < end; i++) {
        const unsigned char c = (unsigned char)p->text.ptr[i];
        shown[i - begin] = c < 0x20 || c == 0x7F ? ' ' : (char)c;
    }
    return hd__fail(p->err, HD_ERR_ARG, "filter: %s, at byte %zu: %.*s>>>%.*s", what, at + 1, (int)(at - begin), shown,
                    (int)(end - at), shown + (at - begin));
}

static hd_status no_memory(const parser *p)
{
    return hd__fail(p->err, HD_ERR_MEMORY, "no memory for a filter of %zu bytes", p->text.len);
}

/* ---- bytes ---- */

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* Of words without quotes: names of fields, values, AND. */
static bool is_word_byte(char c)
{
    return !is_space(c) && strchr("()=!<>~^,\"'", c) == NULL; /* nor NUL, which strchr finds */
}

static void skip_space(parser *p)
{
    while (p->at < p->text.len && is_space(p->text.ptr[p->at]))
        p->at++;
}

static bool next_is(parser *p, const char *symbol)
{
    skip_space(p);
    return hd__span_begins(hd__span(p->text.ptr + p->at, p->text.len - p->at), symbol);
}

static bool take(parser *p, const char *symbol)
{
    if (!next_is(p, symbol))
        return false;
    p->at += strlen(symbol);
    return true;
}

static hd_span peek_word(parser *p)
{
    skip_space(p);
    size_t end = p->at;
    while (end < p->text.len && is_word_byte(p->text.ptr[end]))
        end++;
    return hd__span(p->text.ptr + p->at, end - p->at);
}

static bool word_is(hd_span word, const char *keyword)
{
    return word.len == strlen(keyword) && strncasecmp(word.ptr, keyword, word.len) == 0;
}

static bool is_keyword(hd_span word)
{
    return word_is(word, "AND") || word_is(word, "OR") || word_is(word, "NOT") || word_is(word, "IN") ||
           word_is(word, "EXISTS");
}

static bool take_keyword(parser *p, const char *keyword)
{
    if (!word_is(peek_word(p), keyword))
        return false;
    p->at += strlen(keyword);
    return true;
}

/* From a quote to its like; a backslash takes the next byte as it is. */
static hd_status take_quoted(parser *p, hd_span *text)
{
    const char *const bytes = p->text.ptr, quote = bytes[p->at];
    size_t end = p->at + 1;
    while (end < p->text.len && bytes[end] != quote)
        end += bytes[end] == '\\' ? 2 : 1;
    if (end >= p->text.len)
        return fail_at(p, p->at, "a text whose quotes do not end");
    char *out = hd__arena_alloc(p->arena, end - p->at);
    size_t n = 0;
    if (out == NULL)
        return no_memory(p);
    for (p->at++; p->at < end; p->at++) {
        p->at += bytes[p->at] == '\\';
        out[n++] = bytes[p->at];
    }
    p->at++;
    *text = hd__span(out, n);
    return HD_OK;
}

/* ---- values ---- */

static bool is_digits(const char *at, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (at[i] < '0' || at[i] > '9')
            return false;
    return true;
}

static int number_at(const char *at, size_t n)
{
    int value = 0;
    for (size_t i = 0; i < n; i++)
        value = 10 * value + (at[i] - '0');
    return value;
}

/* What a date stands for: 2024, 2024-05 and 2024-05-01 for all of it, with a time for one second. */
static bool read_date(hd_span text, int64_t *begin, int64_t *end)
{
    if (!hd__date_parse(text, begin))
        return false;
    const int year = number_at(text.ptr, 4), month = text.len == 7 ? number_at(text.ptr + 5, 2) : 12;
    char next[16];
    snprintf(next, sizeof next, "%04d-%02d", month == 12 ? year + 1 : year, month == 12 ? 1 : month + 1);
    if (text.len > 10)
        *end = *begin + 1;
    else if (text.len == 10 || !hd__date_parse(hd__span_of(next), end)) /* the last month that has a name */
        *end = *begin + (text.len == 10 ? 86400 : text.len == 7 ? 31 * 86400 : 365 * 86400);
    return true;
}

/* JSON's numbers. */
static bool is_number(hd_span word)
{
    size_t i = 0, digits = 0;
    if (i < word.len && word.ptr[i] == '-')
        i++;
    for (; i < word.len && is_digits(word.ptr + i, 1); i++)
        digits++;
    if (digits == 0)
        return false;
    if (i < word.len && word.ptr[i] == '.') {
        for (digits = 0, i++; i < word.len && is_digits(word.ptr + i, 1); i++)
            digits++;
        if (digits == 0)
            return false;
    }
    if (i < word.len && (word.ptr[i] | 0x20) == 'e') {
        i++;
        if (i < word.len && (word.ptr[i] == '+' || word.ptr[i] == '-'))
            i++;
        for (digits = 0; i < word.len && is_digits(word.ptr + i, 1); i++)
            digits++;
        if (digits == 0)
            return false;
    }
    return i == word.len;
}

static hd_status read_number(parser *p, hd_span word, hd_value *value)
{
    char *end;
    char *copy = hd__arena_strndup(p->arena, word.ptr, word.len);
    if (copy == NULL)
        return no_memory(p);
    if (word.len <= 18 && strpbrk(copy, ".eE") == NULL) {
        value->type = HD_VALUE_INTEGER;
        value->integer = strtoll(copy, &end, 10);
        value->real = (double)value->integer;
        return HD_OK;
    }
    value->type = HD_VALUE_REAL;
    value->real = strtod(copy, &end);
    return isfinite(value->real) ? HD_OK : fail_at(p, p->at, "a number that is too large");
}

/* What a value means to a field: those that know their type take it as that. */
static hd_status fit_value(parser *p, hd_field field, hd_test_op op, size_t at, hd_value *value)
{
    if (op == HD_TEST_LIKE || op == HD_TEST_BEGINS || (hd__field_is_text(field) && value->type != HD_VALUE_NULL))
        value->type = HD_VALUE_TEXT;
    const bool equality = op == HD_TEST_EQ || op == HD_TEST_NE || op == HD_TEST_IN;
    if (!equality && (value->type == HD_VALUE_NULL || value->type == HD_VALUE_TRUE || value->type == HD_VALUE_FALSE))
        return fail_at(p, at, "true, false and null are not less or greater than anything: only =, != and IN take them");
    if (hd__field_is_text(field) || field == HD_FIELD_METADATA || value->type == HD_VALUE_NULL)
        return HD_OK;
    const bool number = value->type == HD_VALUE_INTEGER || value->type == HD_VALUE_REAL;
    const bool year = number && value->text.len == 4 && is_digits(value->text.ptr, 4);
    if (field == HD_FIELD_SIZE && !number)
        return fail_at(p, at, "size is compared with numbers alone");
    if (field == HD_FIELD_CREATED_AT && (!number || year)) {
        if (!read_date(value->text, &value->integer, &value->end))
            return fail_at(p, at,
                           "created_at is compared with dates (2024-05-01, 2024-05-01T10:00:00Z) and Unix seconds alone");
        value->type = HD_VALUE_TIME;
    }
    return HD_OK;
}

static hd_status take_value(parser *p, hd_field field, hd_test_op op, hd_value *value)
{
    const hd_span word = peek_word(p);
    const size_t at = p->at;
    if (++p->n_values > HD_LIMIT_FILTER_VALUES)
        return hd__fail(p->err, HD_ERR_LIMIT, "filter: more than %u tests and values", HD_LIMIT_FILTER_VALUES);
    *value = (hd_value){.type = HD_VALUE_TEXT, .text = word};
    if (at < p->text.len && (p->text.ptr[at] == '"' || p->text.ptr[at] == '\'')) {
        HD_TRY(take_quoted(p, &value->text));
        return fit_value(p, field, op, at, value);
    }
    if (word.len == 0 || is_keyword(word))
        return fail_at(p, at, "expected a value: \"text\", a word, a number, a date, true, false or null");
    if (word_is(word, "true"))
        value->type = HD_VALUE_TRUE;
    else if (word_is(word, "false"))
        value->type = HD_VALUE_FALSE;
    else if (word_is(word, "null"))
        value->type = HD_VALUE_NULL;
    else if (is_number(word))
        HD_TRY(read_number(p, word, value));
    p->at += word.len;
    return fit_value(p, field, op, at, value);
}

/* ---- fields ---- */

static const struct {
    const char *name;
    hd_field field;
} fields[] = {
    {"id", HD_FIELD_ID},           {"source", HD_FIELD_SOURCE}, {"path", HD_FIELD_PATH},
    {"title", HD_FIELD_TITLE},     {"url", HD_FIELD_URL},       {"author", HD_FIELD_AUTHOR},
    {"mime", HD_FIELD_MIME},       {"size", HD_FIELD_SIZE},     {"created_at", HD_FIELD_CREATED_AT},
    {"section", HD_FIELD_SECTION},
};

/* A name between dots, quoted or not. */
static hd_status take_key(parser *p, hd_span *key)
{
    if (p->at < p->text.len && p->text.ptr[p->at] == '"') {
        const size_t at = p->at;
        HD_TRY(take_quoted(p, key));
        if (key->len == 0 || memchr(key->ptr, '"', key->len) != NULL || memchr(key->ptr, '\\', key->len) != NULL)
            return fail_at(p, at, "a key is not empty and holds neither quotes nor backslashes");
        return HD_OK;
    }
    const size_t begin = p->at;
    while (p->at < p->text.len && is_word_byte(p->text.ptr[p->at]) && p->text.ptr[p->at] != '.' &&
           p->text.ptr[p->at] != '\\')
        p->at++;
    *key = hd__span(p->text.ptr + begin, p->at - begin);
    return key->len > 0 ? HD_OK
                        : fail_at(p, begin,
                                  "expected a field: id, source, path, title, url, author, mime, section, "
                                  "created_at, size, or a name in metadata");
}

/* Appends ."key" to a path on the arena. */
static hd_status add_key(parser *p, const char **path, hd_span key)
{
    *path = hd__arena_printf(p->arena, "%s.\"%.*s\"", *path, (int)key.len, key.ptr);
    return *path != NULL ? HD_OK : no_memory(p);
}

static hd_status take_field(parser *p, hd_field *field, const char **path)
{
    skip_space(p);
    const size_t at = p->at;
    hd_span key;
    *path = "$";
    if (is_keyword(peek_word(p)))
        return fail_at(p, at, "expected a field, or \"(\"");
    const bool quoted = at < p->text.len && p->text.ptr[at] == '"';
    HD_TRY(take_key(p, &key));
    const bool dotted = p->at < p->text.len && p->text.ptr[p->at] == '.';
    *field = HD_FIELD_METADATA;
    if (!quoted && !dotted) {
        for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
            if (hd__span_is(key, fields[i].name))
                *field = fields[i].field;
        if (hd__span_is(key, "metadata"))
            return fail_at(p, at, "metadata is tested by key: metadata.key");
    }
    if (*field != HD_FIELD_METADATA)
        return HD_OK;
    if (quoted || !dotted || !hd__span_is(key, "metadata"))
        HD_TRY(add_key(p, path, key));
    while (p->at < p->text.len && p->text.ptr[p->at] == '.') {
        p->at++;
        HD_TRY(take_key(p, &key));
        HD_TRY(add_key(p, path, key));
    }
    return p->at - at <= HD_LIMIT_FILTER_FIELD_BYTES
               ? HD_OK
               : hd__fail(p->err, HD_ERR_LIMIT, "filter: a field of %zu bytes: at most %u are read", p->at - at,
                          HD_LIMIT_FILTER_FIELD_BYTES);
}

/* ---- tests and what joins them ---- */

static hd_status new_node(parser *p, hd_filter_node **node)
{
    *node = hd__arena_calloc(p->arena, 1, sizeof **node);
    return *node != NULL ? HD_OK : no_memory(p);
}

static hd_status take_list(parser *p, hd_filter_node *test)
{
    size_t capacity = 8;
    hd_value *values = hd__arena_calloc(p->arena, capacity, sizeof *values);
    if (values == NULL)
        return no_memory(p);
    if (!take(p, "("))
        return fail_at(p, p->at, "expected \"(\" and values after IN");
    do {
        if (test->n_values == capacity) {
            hd_value *more = hd__arena_calloc(p->arena, 2 * capacity, sizeof *more);
            if (more == NULL)
                return no_memory(p);
            memcpy(more, values, capacity * sizeof *more);
            values = more;
            capacity *= 2;
        }
        HD_TRY(take_value(p, test->field, HD_TEST_IN, &values[test->n_values]));
        test->n_values++;
    } while (take(p, ","));
    test->values = values;
    return take(p, ")") ? HD_OK : fail_at(p, p->at, "expected \",\" or \")\" after a value of IN");
}

static hd_status take_test(parser *p, const hd_filter_node **node)
{
    static const struct {
        const char *symbol;
        hd_test_op op;
    } ops[] = {{"!=", HD_TEST_NE}, {"<=", HD_TEST_LE}, {">=", HD_TEST_GE}, {"^=", HD_TEST_BEGINS},
               {"=", HD_TEST_EQ},  {"<", HD_TEST_LT},  {">", HD_TEST_GT},  {"~", HD_TEST_LIKE}};
    hd_filter_node *test;
    HD_TRY(new_node(p, &test));
    *node = test;
    test->kind = HD_FILTER_TEST;
    HD_TRY(take_field(p, &test->field, &test->path));
    p->of_chunks |= test->field == HD_FIELD_SECTION;
    if (take_keyword(p, "EXISTS")) {
        test->op = HD_TEST_EXISTS;
        return ++p->n_values <= HD_LIMIT_FILTER_VALUES
                   ? HD_OK
                   : hd__fail(p->err, HD_ERR_LIMIT, "filter: more than %u tests and values", HD_LIMIT_FILTER_VALUES);
    }
    if (take_keyword(p, "IN")) {
        test->op = HD_TEST_IN;
        return take_list(p, test);
    }
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++) {
        const size_t at = p->at;
        if (!take(p, ops[i].symbol))
            continue;
        test->op = ops[i].op;
        if ((test->op == HD_TEST_LIKE || test->op == HD_TEST_BEGINS) &&
            (test->field == HD_FIELD_SIZE || test->field == HD_FIELD_CREATED_AT))
            return fail_at(p, at, "~ and ^= compare texts: size and created_at are numbers");
        hd_value *value = hd__arena_calloc(p->arena, 1, sizeof *value);
        if (value == NULL)
            return no_memory(p);
        test->values = value;
        test->n_values = 1;
        return take_value(p, test->field, test->op, value);
    }
    return fail_at(p, p->at, "expected =, !=, <, <=, >, >=, ~, ^=, IN or EXISTS after a field");
}

static hd_status take_or(parser *p, const hd_filter_node **node);

static hd_status take_not(parser *p, const hd_filter_node **node)
{
    if (++p->depth > HD_LIMIT_FILTER_NESTING)
        return hd__fail(p->err, HD_ERR_LIMIT, "filter: parentheses and NOT deeper than %u", HD_LIMIT_FILTER_NESTING);
    if (take_keyword(p, "NOT")) {
        hd_filter_node *negation;
        const hd_filter_node **child = hd__arena_alloc(p->arena, sizeof *child);
        if (child == NULL)
            return no_memory(p);
        HD_TRY(new_node(p, &negation));
        HD_TRY(take_not(p, child));
        *negation = (hd_filter_node){.kind = HD_FILTER_NOT, .children = child, .n_children = 1};
        *node = negation;
    } else if (take(p, "(")) {
        HD_TRY(take_or(p, node));
        if (!take(p, ")"))
            return fail_at(p, p->at, "expected AND, OR or \")\"");
    } else {
        HD_TRY(take_test(p, node));
    }
    p->depth--;
    return HD_OK;
}

/* One or more of `part`, joined by a keyword; a node of several, or the only one as it is. */
static hd_status take_joined(parser *p, hd_filter_kind kind, const hd_filter_node **node)
{
    size_t n = 0, capacity = 4;
    const hd_filter_node **children = hd__arena_alloc(p->arena, capacity * sizeof *children);
    if (children == NULL)
        return no_memory(p);
    do {
        if (n == capacity) {
            const hd_filter_node **more = hd__arena_alloc(p->arena, 2 * capacity * sizeof *more);
            if (more == NULL)
                return no_memory(p);
            memcpy(more, children, n * sizeof *more);
            children = more;
            capacity *= 2;
        }
        HD_TRY(kind == HD_FILTER_OR ? take_joined(p, HD_FILTER_AND, &children[n]) : take_not(p, &children[n]));
        n++;
    } while (take_keyword(p, kind == HD_FILTER_OR ? "OR" : "AND"));
    *node = children[0];
    if (n == 1)
        return HD_OK;
    hd_filter_node *joined;
    HD_TRY(new_node(p, &joined));
    *joined = (hd_filter_node){.kind = kind, .children = children, .n_children = n};
    *node = joined;
    return HD_OK;
}

static hd_status take_or(parser *p, const hd_filter_node **node)
{
    return take_joined(p, HD_FILTER_OR, node);
}

hd_status hd__filter_parse(hd_span text, hd_arena *arena, const hd_filter **filter, hd_error *err)
{
    parser p = {.text = text, .arena = arena, .err = err};
    if (text.len > HD_LIMIT_FILTER_BYTES)
        return hd__fail(err, HD_ERR_LIMIT, "filter: %zu bytes: at most %u are read", text.len, HD_LIMIT_FILTER_BYTES);
    const size_t valid = hd__utf8_valid_len(text);
    if (valid < text.len)
        return hd__fail(err, HD_ERR_ARG, "filter: byte %zu is not UTF-8", valid + 1);
    hd_filter *parsed = hd__arena_calloc(arena, 1, sizeof *parsed);
    char *copy = hd__arena_strndup(arena, text.ptr, text.len);
    if (parsed == NULL || copy == NULL)
        return no_memory(&p);
    p.text.ptr = copy;
    const char *nul = memchr(copy, '\0', text.len);
    if (nul != NULL)
        return hd__fail(err, HD_ERR_ARG, "filter: byte %zu is NUL", (size_t)(nul - copy) + 1);
    HD_TRY(take_or(&p, &parsed->root));
    skip_space(&p);
    if (p.at < text.len)
        return fail_at(&p, p.at, "expected AND, OR or the end");
    parsed->text = p.text;
    parsed->of_chunks = p.of_chunks;
    *filter = parsed;
    return HD_OK;
}

hd_status hd__field_parse(hd_span name, hd_arena *arena, hd_field *field, const char **path, hd_error *err)
{
    parser p = {.text = name, .arena = arena, .err = err};
    if (name.len > HD_LIMIT_FILTER_FIELD_BYTES || hd__utf8_valid_len(name) < name.len ||
        memchr(name.ptr, '\0', name.len) != NULL)
        return hd__fail(err, HD_ERR_ARG, "a field's name is at most %u bytes of UTF-8", HD_LIMIT_FILTER_FIELD_BYTES);
    HD_TRY(take_field(&p, field, path));
    skip_space(&p);
    return p.at == name.len ? HD_OK : fail_at(&p, p.at, "expected the end of the field's name");
}
