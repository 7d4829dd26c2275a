/* The filter language: what it means, against a plain evaluator; what it refuses, and how; its limits; tries at injection.
 * The condition is run by SQLite on tables that have the store's columns. */
#include "store/filter_sql.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/json.h"
#include "base/limits.h"
#include "base/utf8.h"

static hd_error err;
static hd_arena arena;
static sqlite3 *db;

typedef struct row {
    const char *id, *source, *title, *author, *section, *metadata;
    int64_t created_at, size;
    json_t *json; /* metadata */
} row;

static row rows[] = {
    {"1", "docs", "The loom", "Ann", "Intro",
     "{\"year\":2020,\"tags\":[\"a\",\"b\",3],\"deep\":{\"flag\":true,\"name\":\"x y\"}}", 1714521600, 10, NULL},
    {"2", "docs", "the Loom", "", "Intro > Warp", "{\"year\":2021.5,\"tags\":[],\"deep\":{\"flag\":false},\"none\":null}",
     1714608000, 0, NULL},
    {"3", "mail", "", "Bob", "", "{\"year\":\"2020\",\"tags\":\"a\",\"deep\":[1,2,[3]]}", 0, 99999, NULL},
    {"4", "mail", "[x] *star* 100%", "o'Neil", "Weft", "{}", 1714564800, 4096, NULL},
    {"5", "a\"b'c\\d", "ünï日本", "Ann", "Weft",
     "{\"year\":-3,\"tags\":[true,null,{\"a\":1}],\"deep\":7,\"odd key\":{\"k.x\":\"v\"}}", 1704067199, 1, NULL},
};
#define N_ROWS (sizeof rows / sizeof *rows)

static int begin(void **state)
{
    (void)state;
    hd__arena_init(&arena);
    assert_int_equal(sqlite3_open(":memory:", &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db,
                                  "CREATE TABLE document(number INTEGER PRIMARY KEY, id, source, path, title, url, author, "
                                  "mime, metadata, created_at, size); CREATE TABLE chunk(id INTEGER PRIMARY KEY, section);",
                                  NULL, NULL, NULL),
                     SQLITE_OK);
    for (size_t i = 0; i < N_ROWS; i++) {
        const row *r = &rows[i];
        char *sql =
            sqlite3_mprintf("INSERT INTO document VALUES(%d, %Q, %Q, '/p/' || %Q, %Q, '', %Q, 'text/plain', %Q, %lld, "
                            "%lld); INSERT INTO chunk VALUES(%d, %Q)",
                            (int)i, r->id, r->source, r->id, r->title, r->author, r->metadata, (long long)r->created_at,
                            (long long)r->size, (int)i, r->section);
        assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
        sqlite3_free(sql);
        assert_int_equal(hd__json_parse(hd__span_of(r->metadata), "row", &rows[i].json, &err), HD_OK);
    }
    return 0;
}

static int end(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_ROWS; i++)
        json_decref(rows[i].json);
    sqlite3_close(db);
    hd__arena_clear(&arena);
    return 0;
}

/* Ids of the rows for which a parsed filter holds, one after the other: "135". */
static const char *matching(const hd_filter *filter)
{
    static char found[N_ROWS + 1];
    hd_buffer sql;
    sqlite3_stmt *statement;
    int parameter = 1;
    size_t n = 0;
    hd__buffer_init(&sql);
    hd__buffer_append_text(&sql, "SELECT d.id, ");
    assert_int_equal(hd__filter_sql(filter, &sql, &err), HD_OK);
    hd__buffer_append_text(&sql, " AS holds FROM document AS d JOIN chunk AS c ON c.id = d.number ORDER BY d.id");
    hd__buffer_append_char(&sql, '\0');
    assert_false(sql.failed);
    const int code = sqlite3_prepare_v2(db, sql.ptr, -1, &statement, NULL);
    if (code != SQLITE_OK)
        fail_msg("%s: %s", sqlite3_errmsg(db), sql.ptr);
    assert_int_equal(hd__filter_bind(filter, statement, &parameter, &arena, &err), HD_OK);
    assert_int_equal(parameter - 1, sqlite3_bind_parameter_count(statement));
    while (sqlite3_step(statement) == SQLITE_ROW) {
        assert_int_equal(sqlite3_column_type(statement, 1), SQLITE_INTEGER); /* never NULL */
        if (sqlite3_column_int(statement, 1) != 0)
            found[n++] = (char)sqlite3_column_text(statement, 0)[0];
    }
    found[n] = '\0';
    assert_int_equal(sqlite3_finalize(statement), SQLITE_OK);
    hd__buffer_clear(&sql);
    return found;
}

static const hd_filter *parse(const char *text)
{
    const hd_filter *filter = NULL;
    const hd_status status = hd__filter_parse(hd__span_of(text), &arena, &filter, &err);
    if (status != HD_OK)
        fail_msg("%s: %s", text, err.text);
    return filter;
}

static void means(const char *text, const char *ids)
{
    const char *found = matching(parse(text));
    if (strcmp(found, ids) != 0)
        fail_msg("%s: found %s, not %s", text, found, ids);
}

static void texts_are_compared(void **state)
{
    (void)state;
    means("source = docs", "12");
    means("source=\"docs\"", "12");
    means("source != docs", "345");
    means("NOT source = docs", "345");
    means("id = 4", "4");
    means("id < 3", "12");
    means("id >= \"3\"", "345");
    means("id IN (1, 3, 9)", "13");
    means("title = 'The loom'", "1");
    means("title ~ *loom", "1");
    means("title ~ *[Ll]oom", "");
    means("title ~ \"?x? *\"", "4");
    means("title ^= \"[x]\"", "4");
    means("title ^= the", "2");
    means("title ^= \"*\"", "");
    means("title = \"ünï日本\"", "5");
    means("title ~ ?n?*本", "5");
    means("source = \"a\\\"b'c\\\\d\"", "5");
    means("source = 'a\"b\\'c\\\\d'", "5");
    means("author = \"o'Neil\"", "4");
    means("path ^= /p/ and path ~ */3", "3");
    means("section ^= Intro", "12");
    means("section = Weft AND source = mail", "4");
}

static void what_is_missing_does_not_match(void **state)
{
    (void)state;
    means("author != Ann", "34");
    means("NOT (author = Ann)", "234");
    means("author EXISTS", "1345");
    means("NOT author EXISTS", "2");
    means("author = null", "2");
    means("author != null", "1345");
    means("author IN (null, Bob)", "23");
    means("author = \"\"", "");
    means("url EXISTS", "");
    means("created_at EXISTS", "1245");
    means("created_at = null", "3");
    means("size EXISTS", "12345");
    means("none EXISTS", "");
    means("none = null", "12345");
    means("year EXISTS", "1235");
    means("year != 2020", "25");
    means("NOT year = 2020", "2345");
}

static void numbers_and_dates(void **state)
{
    (void)state;
    means("size > 10", "34");
    means("size >= 10", "134");
    means("size = 0", "2");
    means("size IN (0, 1, 2)", "25");
    means("size < 1.5", "25");
    means("created_at >= 2024-05-01", "124");
    means("created_at = 2024-05-01", "14");
    means("created_at != 2024-05-01", "25");
    means("created_at > 2024-05-01", "2");
    means("created_at <= 2024-05-01", "145");
    means("created_at < 2024-05-01", "5");
    means("created_at = 2024-05-01T12:00:00Z", "4");
    means("created_at = \"2024-05-01T14:00:00+02:00\"", "4");
    means("created_at > 2024-05-01T12:00Z", "2");
    means("created_at = 1714564800", "4");
    means("created_at = 2023-12", "5");
    means("created_at = 2023", "5");
    means("created_at > 2023", "124");
    means("created_at IN (2023, 2024-05-02)", "25");
    means("created_at = 9999-12-31 OR created_at = 9999-12 OR created_at = 9999", "");
}

static void metadata_has_types(void **state)
{
    (void)state;
    means("year = 2020", "1");
    means("year = \"2020\"", "3");
    means("year > 2020", "2");
    means("year < 0", "5");
    means("year > 2e3", "12");
    means("metadata.year = 2020", "1");
    means("year IN (2020, \"2020\", -3)", "135");
    means("tags = a", "13");
    means("tags = 3", "1");
    means("tags = true", "5");
    means("tags != a", "1");
    means("tags != true", "");
    means("deep.flag = true", "1");
    means("deep.flag = false", "2");
    means("deep.flag != true", "2");
    means("deep.flag IN (true, false)", "12");
    means("deep.name ~ \"x*\"", "1");
    means("deep = 2", "3");
    means("deep = 3", "");
    means("deep = true", "");
    means("deep EXISTS", "1235");
    means("\"odd key\".\"k.x\" = v", "5");
    means("metadata.\"odd key\".\"k.x\" ^= v", "5");
    means("metadata.source = docs", "");
    means("\"source\" = docs", "");
    means("none = null AND year EXISTS", "1235");
}

static void joins_bind_as_usual(void **state)
{
    (void)state;
    means("source = docs OR source = mail AND id = 3", "123");
    means("(source = docs OR source = mail) AND id = 3", "3");
    means("not id = 1 and not id = 2", "345");
    means("NOT NOT id = 1", "1");
    means("NOT (id = 1 OR NOT id IN (1, 2))", "2");
    means(" ( ( id = 1 ) ) ", "1");
    means("id = 1\n\tOR\r\nid = 2", "12");
    means("title=The OR id=5", "5");
}

/* ---- against a plain evaluator ---- */

static uint32_t seed;

static uint32_t pick(uint32_t n)
{
    seed = seed * 1664525 + 1013904223;
    return (seed >> 8) % n;
}

static const char *const names[] = {"id",   "source", "title", "author",    "section",   "created_at", "size",
                                    "year", "tags",   "deep",  "deep.flag", "deep.name", "none"};
enum { FIRST_NUMBER = 5, FIRST_METADATA = 7 };
static const char *const ops[] = {"=", "!=", "<", "<=", ">", ">="};
static const char *const words[] = {"docs",   "Ann",  "1",     "3",    "a",        "\"x y\"", "2020",  "-3",
                                    "2021.5", "true", "false", "null", "\"2020\"", "Weft",    "99999", "1714521600"};

static bool holds(int order, const char *op)
{
    switch (op[0]) {
    case '=': return order == 0;
    case '!': return order != 0;
    case '<': return op[1] == '=' ? order <= 0 : order < 0;
    default: return op[1] == '=' ? order >= 0 : order > 0;
    }
}

static int compare_numbers(double a, double b)
{
    return a < b ? -1 : a > b;
}

static bool is_number(const char *word)
{
    return word[0] == '-' || (word[0] >= '0' && word[0] <= '9');
}

static const char *bare(const char *word)
{
    static char text[32];
    snprintf(text, sizeof text, "%s", word + (word[0] == '"'));
    if (word[0] == '"')
        text[strlen(text) - 1] = '\0';
    return text;
}

static bool element_holds(const json_t *value, const char *op, const char *word)
{
    if (strcmp(word, "true") == 0 || strcmp(word, "false") == 0)
        return json_is_boolean(value) && (json_is_true(value) == (word[0] == 't')) == (op[0] == '=');
    if (is_number(word))
        return json_is_number(value) && holds(compare_numbers(json_number_value(value), strtod(word, NULL)), op);
    return json_is_string(value) && holds(strcmp(json_string_value(value), bare(word)), op);
}

static bool metadata_holds(const row *r, const char *name, const char *op, const char *word)
{
    const json_t *value = json_object_get(r->json, strncmp(name, "deep.", 5) == 0 ? "deep" : name);
    if (strncmp(name, "deep.", 5) == 0)
        value = json_object_get(value, name + 5);
    if (strcmp(word, "null") == 0)
        return (value == NULL || json_is_null(value)) == (op[0] == '=');
    if (!json_is_array(value))
        return value != NULL && element_holds(value, op, word);
    for (size_t i = 0; i < json_array_size(value); i++)
        if (element_holds(json_array_get(value, i), op, word))
            return true;
    return false;
}

static bool row_holds(const row *r, size_t name, const char *op, const char *word)
{
    const char *texts[] = {r->id, r->source, r->title, r->author, r->section};
    const int64_t numbers[] = {r->created_at, r->size};
    if (name >= FIRST_METADATA)
        return metadata_holds(r, names[name], op, word);
    const bool missing = name < FIRST_NUMBER ? texts[name][0] == '\0' : name == FIRST_NUMBER && numbers[0] == 0;
    if (strcmp(word, "null") == 0)
        return missing == (op[0] == '=');
    if (name < FIRST_NUMBER)
        return !missing && holds(strcmp(texts[name], bare(word)), op);
    return !missing && holds(compare_numbers((double)numbers[name - FIRST_NUMBER], strtod(word, NULL)), op);
}

/* A random filter's text, and the rows for which it holds, as bits. */
static uint32_t random_filter(hd_buffer *text, uint32_t depth)
{
    const uint32_t kind = depth == 0 ? 3 : pick(5);
    uint32_t bits = 0;
    if (kind == 0) {
        hd__buffer_append_text(text, pick(2) == 0 ? "NOT (" : "not(");
        bits = ~random_filter(text, depth - 1);
        hd__buffer_append_text(text, ")");
    } else if (kind < 3) {
        const uint32_t n = 2 + pick(6);
        hd__buffer_append_text(text, "(");
        for (uint32_t i = 0; i < n; i++) {
            if (i > 0)
                hd__buffer_append_text(text, kind == 1 ? " AND " : "\tor ");
            const uint32_t part = random_filter(text, depth - 1);
            bits = i == 0 ? part : kind == 1 ? bits & part : bits | part;
        }
        hd__buffer_append_text(text, ")");
    } else {
        const uint32_t name = pick(sizeof names / sizeof *names);
        const char *word = words[pick(sizeof words / sizeof *words)], *op = ops[pick(6)];
        const bool is_constant = strcmp(word, "true") == 0 || strcmp(word, "false") == 0 || strcmp(word, "null") == 0;
        if (name >= FIRST_NUMBER && name < FIRST_METADATA && (!is_number(word) || strcmp(word, "2020") == 0))
            word = "99999"; /* what they are compared with */
        else if (is_constant && (name >= FIRST_METADATA || strcmp(word, "null") == 0))
            op = ops[pick(2)];
        hd__buffer_printf(text, pick(2) == 0 ? "%s%s%s" : "%s %s  %s", names[name], op, word);
        for (size_t i = 0; i < N_ROWS; i++)
            bits |= (uint32_t)row_holds(&rows[i], name, op, word) << i;
    }
    return bits;
}

static void agrees_with_a_plain_evaluator(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 20000; i++) {
        hd_buffer text;
        char expected[N_ROWS + 1];
        size_t n = 0;
        hd__buffer_init(&text);
        seed = i;
        const uint32_t bits = random_filter(&text, i % 4);
        hd__buffer_append_char(&text, '\0');
        for (size_t k = 0; k < N_ROWS; k++)
            if ((bits >> k & 1) != 0)
                expected[n++] = rows[k].id[0];
        expected[n] = '\0';
        means(text.ptr, expected);
        hd__buffer_clear(&text);
        hd__arena_clear(&arena);
    }
}

/* ---- what is refused ---- */

/* at: where the text is shown to be wrong, in bytes; -1: not shown. */
static void refuses(const char *text, const char *why, int at)
{
    const hd_filter *filter;
    assert_int_equal(hd__filter_parse(hd__span_of(text), &arena, &filter, &err), HD_ERR_ARG);
    if (strstr(err.text, why) == NULL)
        fail_msg("%s: %s", text, err.text);
    if (at < 0)
        return;
    char place[HD_ERROR_TEXT_BYTES];
    snprintf(place, sizeof place, ", at byte %d: %.*s>>>%s", at + 1, at, text, text + at);
    for (char *c = place; *c != '\0'; c++)
        *c = *c == '\n' ? ' ' : *c;
    const char *shown = strstr(err.text, ", at byte");
    assert_non_null(shown);
    assert_string_equal(shown, place);
}

static void says_what_is_wrong_and_where(void **state)
{
    (void)state;
    refuses("", "expected a field", 0);
    refuses("source", "expected =, !=, <, <=, >, >=, ~, ^=, IN or EXISTS after a field", 6);
    refuses("source = )", "expected a value", 9);
    refuses("source = AND", "expected a value", 9);
    refuses("source == docs", "expected a value", 8);
    refuses("source = docs id = 4", "expected AND, OR or the end", 14);
    refuses("(source = docs", "expected AND, OR or \")\"", 14);
    refuses("source = docs)", "expected AND, OR or the end", 13);
    refuses("id IN 4", "expected \"(\"", 6);
    refuses("id IN (4", "expected \",\" or \")\"", 8);
    refuses("id IN ()", "expected a value", 7);
    refuses("id = \"docs", "quotes do not end", 5);
    refuses("id = \"docs\\", "quotes do not end", 5);
    refuses("AND id = 4", "expected a field", 0);
    refuses("NOT", "expected a field", 3);
    refuses("metadata = 4", "metadata is tested by key", 0);
    refuses("metadata. = 4", "expected a field", 9);
    refuses("a..b = 4", "expected a field", 2);
    refuses("\"\" = 4", "a key is not empty", 0);
    refuses("\"a\\\"b\" = 4", "neither quotes nor backslashes", 0);
    refuses("a\\b = 4", "expected =", 1);
    refuses("size = big", "size is compared with numbers", 7);
    refuses("created_at > yesterday", "created_at is compared with dates", 13);
    refuses("created_at > 2024-02-30", "created_at is compared with dates", 13);
    refuses("created_at ~ 2024*", "~ and ^= compare texts", 11);
    refuses("year < true", "only =, != and IN take them", 7);
    refuses("author >= null", "only =, != and IN take them", 10);
    refuses("year = 1e999", "a number that is too large", 7);
    refuses("ünï日本 = \"läng\" oder x", "expected AND, OR or the end", 22);
    refuses("id = 4 AND\nid = 5 AND\n)", "expected a field", 22);
    refuses("\xff = 4", "byte 1 is not UTF-8", -1);
    const hd_filter *filter;
    assert_int_equal(hd__filter_parse(hd__span("id = 'a\0b'", 10), &arena, &filter, &err), HD_ERR_ARG);
    assert_non_null(strstr(err.text, "byte 8 is NUL"));
}

static void long_texts_are_shown_in_part(void **state)
{
    (void)state;
    char text[1200];
    for (uint32_t n = 0; n < 1000; n += 7) {
        memset(text, 'x', n);
        snprintf(text + n, sizeof text - n, "%s = docs ) %0100d", n == 0 ? "é" : "日", 7);
        refuses(text, "expected AND, OR or the end", -1);
        const char *shown = strstr(err.text, ">>>) 0000");
        assert_non_null(shown);
        assert_memory_equal(shown - 7, "= docs ", 7);
        assert_int_equal(hd__utf8_valid_len(hd__span_of(err.text)), strlen(err.text));
    }
}

static char *repeat(const char *part, size_t n, const char *last)
{
    hd_buffer b;
    hd__buffer_init(&b);
    for (size_t i = 0; i < n; i++)
        hd__buffer_append_text(&b, part);
    hd__buffer_append_text(&b, last);
    char *text = hd__arena_strndup(&arena, b.ptr, b.len);
    hd__buffer_clear(&b);
    return text;
}

static hd_status status_of(const char *text)
{
    const hd_filter *filter;
    return hd__filter_parse(hd__span_of(text), &arena, &filter, &err);
}

static void limits_hold_at_their_edges(void **state)
{
    (void)state;
    char *longest = hd__arena_alloc(&arena, HD_LIMIT_FILTER_BYTES + 2);
    memset(longest, ' ', HD_LIMIT_FILTER_BYTES + 1);
    memcpy(longest, "id = 1", 6);
    longest[HD_LIMIT_FILTER_BYTES + 1] = '\0';
    assert_int_equal(status_of(longest), HD_ERR_LIMIT);
    longest[HD_LIMIT_FILTER_BYTES] = '\0';
    means(longest, "1");

    char *name = repeat("n", HD_LIMIT_FILTER_FIELD_BYTES, " = null"),
         *longer = repeat("n", HD_LIMIT_FILTER_FIELD_BYTES + 1, " = 1");
    means(name, "12345");
    assert_int_equal(status_of(longer), HD_ERR_LIMIT);

    /* the deepest that there may be, with the most of SQLite's parser in each level */
    hd_buffer b;
    hd__buffer_init(&b);
    for (uint32_t i = 0; i < HD_LIMIT_FILTER_NESTING - 1; i++)
        hd__buffer_append_text(
            &b, i % 2 == 0 ? "(id=7 AND id=7 AND id=7 OR id=7 OR id=7 OR id=7 OR id=7 OR id=7 OR id=7 OR id=7 OR "
                           : "(id=1 AND id=1 AND id=1 AND id=1 AND id=1 AND id=1 AND id=1 AND id=1 AND id=1 AND ");
    hd__buffer_append_text(&b, "NOT tags IN (a, 7, true, null)");
    for (uint32_t i = 0; i < HD_LIMIT_FILTER_NESTING - 2; i++)
        hd__buffer_append_text(&b, ")");
    hd__buffer_append_char(&b, ')');
    hd__buffer_append_char(&b, '\0');
    if (status_of(b.ptr) == HD_ERR_LIMIT) /* NOT is one level, too */
        memmove(strstr(b.ptr, "NOT "), strstr(b.ptr, "NOT ") + 4, strlen(strstr(b.ptr, "NOT ") + 4) + 1);
    matching(parse(b.ptr));
    hd__buffer_clear(&b);
    means(repeat("NOT ", HD_LIMIT_FILTER_NESTING - 1, "id = 1"), "2345");
    assert_int_equal(status_of(repeat("NOT ", HD_LIMIT_FILTER_NESTING, "id = 1")), HD_ERR_LIMIT);
    assert_int_equal(status_of(repeat("(", HD_LIMIT_FILTER_NESTING, "id = 1")), HD_ERR_LIMIT);
    assert_int_equal(status_of(repeat("(", 60000, "id = 1")), HD_ERR_LIMIT);

    means(repeat("id=1 OR ", HD_LIMIT_FILTER_VALUES / 2, "id=2"), "12"); /* as many as fit in the bytes: 7 each */
    char *list = repeat("9,", HD_LIMIT_FILTER_VALUES - 1, "1)"), *too_long = repeat("9,", HD_LIMIT_FILTER_VALUES, "1)");
    means(hd__arena_printf(&arena, "id IN (%s", list), "1");
    means(hd__arena_printf(&arena, "tags IN (%s", list), "");
    assert_int_equal(status_of(hd__arena_printf(&arena, "id IN (%s", too_long)), HD_ERR_LIMIT);
}

static void nothing_of_it_is_sql(void **state)
{
    (void)state;
    static const char *const tries[] = {
        "id = \"1' OR '1'='1\"",
        "id = \"x'; DROP TABLE document; --\"",
        "\"a') OR 1=1 --\" = 1",
        "title ~ \"*' OR 1 --\"",
        "id IN (\"1') OR ('1'='1\")",
        "source = \"docs\\\" OR 1\"",
        "id = '?1'",
        "\"$[#-1]\" = 1",
        "x') = 1",
        "id = 1; DROP TABLE document",
        "id = 1 -- x",
        "id = 1 /* x */",
        "\"year\".\"x\" = 1",
        "id = char(49)",
    };
    for (size_t i = 0; i < sizeof tries / sizeof *tries; i++) {
        const hd_filter *filter;
        if (hd__filter_parse(hd__span_of(tries[i]), &arena, &filter, &err) == HD_OK)
            assert_string_equal(matching(filter), "");
    }
    means("id EXISTS", "12345"); /* all is as it was */
}

static void fields_have_names(void **state)
{
    (void)state;
    hd_field field;
    const char *path;
    assert_int_equal(hd__field_parse(hd__span_of("author"), &arena, &field, &path, &err), HD_OK);
    assert_int_equal(field, HD_FIELD_AUTHOR);
    assert_int_equal(hd__field_parse(hd__span_of("metadata.a.\"b c\""), &arena, &field, &path, &err), HD_OK);
    assert_int_equal(field, HD_FIELD_METADATA);
    assert_string_equal(path, "$.\"a\".\"b c\"");
    assert_int_equal(hd__field_parse(hd__span_of("a b"), &arena, &field, &path, &err), HD_ERR_ARG);
    assert_int_equal(hd__field_parse(hd__span_of("metadata"), &arena, &field, &path, &err), HD_ERR_ARG);
    assert_int_equal(hd__field_parse(hd__span_of("a\xff"), &arena, &field, &path, &err), HD_ERR_ARG);
    assert_int_equal(hd__field_parse(hd__span("a\0b", 3), &arena, &field, &path, &err), HD_ERR_ARG);
}

static void no_memory_is_an_error(void **state)
{
    (void)state;
    const char *text = "source = docs OR NOT (deep.name IN ('a', \"b\", 2.5) AND created_at = 2024 AND x EXISTS AND y = 1)";
    hd_status status = HD_ERR_MEMORY;
    for (uint64_t n = 0; status != HD_OK; n++) {
        hd_arena small;
        hd_buffer sql;
        const hd_filter *filter;
        hd__arena_init(&small);
        hd__buffer_init(&sql);
        hd__alloc_fail_after(n, UINT64_MAX);
        status = hd__filter_parse(hd__span_of(text), &small, &filter, &err);
        if (status == HD_OK)
            status = hd__filter_sql(filter, &sql, &err);
        hd__alloc_fail_off();
        assert_true(status == HD_OK || status == HD_ERR_MEMORY);
        assert_true(n < 1000);
        hd__buffer_clear(&sql);
        hd__arena_clear(&small);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(texts_are_compared, begin, end),
        cmocka_unit_test_setup_teardown(what_is_missing_does_not_match, begin, end),
        cmocka_unit_test_setup_teardown(numbers_and_dates, begin, end),
        cmocka_unit_test_setup_teardown(metadata_has_types, begin, end),
        cmocka_unit_test_setup_teardown(joins_bind_as_usual, begin, end),
        cmocka_unit_test_setup_teardown(agrees_with_a_plain_evaluator, begin, end),
        cmocka_unit_test_setup_teardown(says_what_is_wrong_and_where, begin, end),
        cmocka_unit_test_setup_teardown(long_texts_are_shown_in_part, begin, end),
        cmocka_unit_test_setup_teardown(limits_hold_at_their_edges, begin, end),
        cmocka_unit_test_setup_teardown(nothing_of_it_is_sql, begin, end),
        cmocka_unit_test_setup_teardown(fields_have_names, begin, end),
        cmocka_unit_test_setup_teardown(no_memory_is_an_error, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
