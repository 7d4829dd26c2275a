/* filter_sql.c - see filter_sql.h. Conditions are written by one walk over the tree and bound by another, which goes the
 * same way: every parameter that `write_*` asks for has its `bind_*` at the same place.
 */
#include "store/filter_sql.h"

#include <string.h>

#include "store/sql.h"

const char *hd__field_column(hd_field field)
{
    static const char *const columns[] = {
        [HD_FIELD_ID] = "d.id",           [HD_FIELD_SOURCE] = "d.source", [HD_FIELD_PATH] = "d.path",
        [HD_FIELD_TITLE] = "d.title",     [HD_FIELD_URL] = "d.url",       [HD_FIELD_AUTHOR] = "d.author",
        [HD_FIELD_MIME] = "d.mime",       [HD_FIELD_SIZE] = "d.size",     [HD_FIELD_CREATED_AT] = "d.created_at",
        [HD_FIELD_SECTION] = "c.section",
    };
    return columns[field];
}

/* What to bind, or that nothing is: both walks are one, over a writer or a statement. */
typedef struct walk {
    hd_buffer *sql;          /* NULL: binding */
    sqlite3_stmt *statement; /* NULL: writing */
    int parameter;           /* the next */
    hd_arena *arena;
    bool failed;
} walk;

static void put(walk *w, const char *sql)
{
    if (w->sql != NULL)
        hd__buffer_append_text(w->sql, sql);
}

static void put_text(walk *w, hd_span text)
{
    put(w, "?");
    if (w->statement != NULL)
        hd__sql_bind_text(w->statement, w->parameter++, text);
}

static void put_integer(walk *w, int64_t value)
{
    put(w, "?");
    if (w->statement != NULL)
        sqlite3_bind_int64(w->statement, w->parameter++, value);
}

static void put_number(walk *w, const hd_value *value)
{
    if (value->type == HD_VALUE_INTEGER) {
        put_integer(w, value->integer);
        return;
    }
    put(w, "?");
    if (w->statement != NULL)
        sqlite3_bind_double(w->statement, w->parameter++, value->real);
}

/* A pattern of GLOB: of ours * and ? are, "[" is not; of a beginning none is, and anything follows. */
static void put_pattern(walk *w, hd_span text, bool is_beginning)
{
    put(w, "?");
    if (w->statement == NULL)
        return;
    char *pattern = hd__arena_alloc(w->arena, 3 * text.len + 1);
    size_t n = 0;
    if (pattern == NULL) {
        w->failed = true;
        return;
    }
    for (size_t i = 0; i < text.len; i++) {
        const char c = text.ptr[i];
        if (c == '[' || (is_beginning && (c == '*' || c == '?'))) {
            pattern[n++] = '[';
            pattern[n++] = c;
            pattern[n++] = ']';
        } else {
            pattern[n++] = c;
        }
    }
    if (is_beginning)
        pattern[n++] = '*';
    hd__sql_bind_text(w->statement, w->parameter++, hd__span(pattern, n));
}

static const char *const comparisons[] = {
    [HD_TEST_EQ] = " = ", [HD_TEST_NE] = " <> ", [HD_TEST_LT] = " < ",      [HD_TEST_LE] = " <= ",
    [HD_TEST_GT] = " > ", [HD_TEST_GE] = " >= ", [HD_TEST_LIKE] = " GLOB ", [HD_TEST_BEGINS] = " GLOB ",
};

/* column OP ?, of texts or numbers. */
static void put_comparison(walk *w, const char *column, hd_test_op op, const hd_value *value)
{
    put(w, column);
    put(w, comparisons[op]);
    if (op == HD_TEST_LIKE || op == HD_TEST_BEGINS)
        put_pattern(w, value->text, op == HD_TEST_BEGINS);
    else if (value->type == HD_VALUE_TEXT)
        put_text(w, value->text);
    else
        put_number(w, value);
}

/* created_at against a stretch of time: before it, in it, after it. */
static void put_time(walk *w, const char *column, hd_test_op op, const hd_value *value)
{
    if (op == HD_TEST_EQ || op == HD_TEST_NE) {
        put(w, op == HD_TEST_EQ ? "(" : "NOT (");
        put(w, column);
        put(w, " >= ");
        put_integer(w, value->integer);
        put(w, " AND ");
    }
    put(w, column);
    put(w, op == HD_TEST_GT || op == HD_TEST_GE ? " >= " : " < ");
    put_integer(w, op == HD_TEST_LT || op == HD_TEST_GE ? value->integer : value->end);
    if (op == HD_TEST_EQ || op == HD_TEST_NE)
        put(w, ")");
}

/* "", and 0 for created_at, mean that there is none. */
static void put_presence(walk *w, hd_field field, bool is_present)
{
    put(w, field == HD_FIELD_SIZE ? "1" : hd__field_column(field));
    put(w, is_present ? " <> " : " = ");
    put(w, hd__field_is_text(field) ? "''" : "0");
}

static void put_column_value(walk *w, hd_field field, hd_test_op op, const hd_value *value)
{
    if (value->type == HD_VALUE_NULL) {
        put_presence(w, field, op == HD_TEST_NE);
        return;
    }
    put_presence(w, field, true);
    put(w, " AND ");
    if (value->type == HD_VALUE_TIME)
        put_time(w, hd__field_column(field), op, value);
    else
        put_comparison(w, hd__field_column(field), op, value);
}

/* Of values those of a type: column IN (?, ?, …); 0 when there is none. */
static void put_members(walk *w, const char *column, const hd_value *values, size_t n, bool texts)
{
    bool any = false;
    for (size_t i = 0; i < n; i++) {
        const hd_value_type type = values[i].type;
        if (texts ? type != HD_VALUE_TEXT : type != HD_VALUE_INTEGER && type != HD_VALUE_REAL)
            continue;
        put(w, any ? ", " : column);
        put(w, any ? "" : " IN (");
        if (texts)
            put_text(w, values[i].text);
        else
            put_number(w, &values[i]);
        any = true;
    }
    put(w, any ? ")" : "0");
}

static void put_column_in(walk *w, const hd_filter_node *test)
{
    put_presence(w, test->field, true);
    put(w, " AND ");
    put_members(w, hd__field_column(test->field), test->values, test->n_values, hd__field_is_text(test->field));
    for (size_t i = 0; i < test->n_values; i++) {
        if (test->values[i].type != HD_VALUE_NULL && test->values[i].type != HD_VALUE_TIME)
            continue;
        put(w, " OR ");
        put_column_value(w, test->field, HD_TEST_EQ, &test->values[i]);
    }
}

static void put_column_test(walk *w, const hd_filter_node *test)
{
    if (test->op == HD_TEST_EXISTS)
        put_presence(w, test->field, true);
    else if (test->op == HD_TEST_IN)
        put_column_in(w, test);
    else
        put_column_value(w, test->field, test->op, &test->values[0]);
}

/* ---- metadata ---- */

/* Whether there is anything but null at the path. */
static void put_path_presence(walk *w, const char *path, bool is_present)
{
    put(w, "coalesce(json_type(d.metadata, ");
    put_text(w, hd__span_of(path));
    put(w, is_present ? "), 'null') <> 'null'" : "), 'null') = 'null'");
}

/* One element e of json_each. */
static void put_element(walk *w, hd_test_op op, const hd_value *value)
{
    if (value->type == HD_VALUE_TRUE || value->type == HD_VALUE_FALSE) {
        const bool wanted = (value->type == HD_VALUE_TRUE) == (op == HD_TEST_EQ);
        put(w, wanted ? "e.type = 'true'" : "e.type = 'false'");
        return;
    }
    put(w, value->type == HD_VALUE_TEXT ? "e.type = 'text' AND " : "e.type IN ('integer', 'real') AND ");
    put_comparison(w, "e.atom", op, value);
}

static void put_element_in(walk *w, const hd_filter_node *test)
{
    put(w, "(e.type = 'text' AND ");
    put_members(w, "e.atom", test->values, test->n_values, true);
    put(w, ") OR (e.type IN ('integer', 'real') AND ");
    put_members(w, "e.atom", test->values, test->n_values, false);
    put(w, ")");
    for (int type = HD_VALUE_TRUE; type <= HD_VALUE_FALSE; type++) {
        bool any = false;
        for (size_t i = 0; i < test->n_values; i++)
            any |= (int)test->values[i].type == type;
        if (any)
            put(w, type == HD_VALUE_TRUE ? " OR e.type = 'true'" : " OR e.type = 'false'");
    }
}

static bool takes_null(const hd_filter_node *test)
{
    for (size_t i = 0; i < test->n_values; i++)
        if (test->values[i].type == HD_VALUE_NULL)
            return true;
    return false;
}

static void put_metadata_test(walk *w, const hd_filter_node *test)
{
    const bool null = takes_null(test);
    if (test->op == HD_TEST_EXISTS || (null && test->op != HD_TEST_IN)) {
        put_path_presence(w, test->path, test->op != HD_TEST_EQ);
        return;
    }
    /* json_each of a single value gives that, of an array its elements, of an object its members, which are none of it. */
    put(w, "(json_type(d.metadata, ");
    put_text(w, hd__span_of(test->path));
    put(w, ") <> 'object' AND EXISTS (SELECT 1 FROM json_each(d.metadata, ");
    put_text(w, hd__span_of(test->path));
    put(w, ") AS e WHERE ");
    if (test->op == HD_TEST_IN)
        put_element_in(w, test);
    else
        put_element(w, test->op, &test->values[0]);
    put(w, "))");
    if (null) {
        put(w, " OR ");
        put_path_presence(w, test->path, false);
    }
}

/* ---- trees ---- */

static void put_node(walk *w, const hd_filter_node *node, bool negated);

static void put_chain(walk *w, const hd_filter_node *node, bool negated, size_t begin, size_t end)
{
    for (size_t i = begin; i < end; i++) {
        if (i > begin)
            put(w, (node->kind == HD_FILTER_OR) != negated ? " OR " : " AND ");
        put_node(w, node->children[i], negated);
    }
}

/* SQLite's limits are 1,000 for the depth of an expression, which a chain adds its length to, and 100 for its parser's
 * stack, which parentheses fill: long chains are chains of chains, as many as they are long, and NOT goes down to the tests.
 */
static void put_joined(walk *w, const hd_filter_node *node, bool negated)
{
    size_t n_each = 1;
    while (n_each * n_each < node->n_children)
        n_each++;
    if (n_each <= 4)
        n_each = node->n_children;
    for (size_t begin = 0; begin < node->n_children; begin += n_each) {
        const size_t end = begin + n_each < node->n_children ? begin + n_each : node->n_children;
        if (begin > 0)
            put(w, (node->kind == HD_FILTER_OR) != negated ? " OR " : " AND ");
        put(w, n_each < node->n_children ? "(" : "");
        put_chain(w, node, negated, begin, end);
        put(w, n_each < node->n_children ? ")" : "");
    }
}

static void put_node(walk *w, const hd_filter_node *node, bool negated)
{
    if (node->kind == HD_FILTER_NOT) {
        put_node(w, node->children[0], !negated);
        return;
    }
    const bool is_test = node->kind == HD_FILTER_TEST;
    put(w, is_test && negated ? "NOT (" : "(");
    if (!is_test)
        put_joined(w, node, negated);
    else if (node->field == HD_FIELD_METADATA)
        put_metadata_test(w, node);
    else
        put_column_test(w, node);
    put(w, ")");
}

hd_status hd__filter_sql(const hd_filter *filter, hd_buffer *sql, hd_error *err)
{
    walk w = {.sql = sql};
    put_node(&w, filter->root, false);
    return sql->failed ? hd__fail(err, HD_ERR_MEMORY, "no memory for a filter of %zu bytes", filter->text.len) : HD_OK;
}

hd_status hd__filter_bind(const hd_filter *filter, sqlite3_stmt *statement, int *parameter, hd_arena *arena, hd_error *err)
{
    walk w = {.statement = statement, .parameter = *parameter, .arena = arena};
    put_node(&w, filter->root, false);
    *parameter = w.parameter;
    return w.failed ? hd__fail(err, HD_ERR_MEMORY, "no memory for a filter of %zu bytes", filter->text.len) : HD_OK;
}
