/* judgements.c - see judgements.h. Judgements are sorted by query and document: a query's are one stretch, and one
 * document's is found by bisection.
 */
#include "search/judgements.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/json.h"
#include "base/utf8.h"

typedef struct reader {
    hd_span text;
    const char *name;
    size_t at, line;
    hd_arena *arena;
    hd_error *err;
} reader;

static hd_status no_memory(const reader *r)
{
    return hd__fail(r->err, HD_ERR_MEMORY, "%s: no memory for its lines", r->name);
}

static hd_status fail_line(const reader *r, const char *what)
{
    return hd__fail(r->err, HD_ERR_FORMAT, "%s: line %zu: %s", r->name, r->line, what);
}

/* The next line that is not blank, without its end. */
static bool next_line(reader *r, hd_span *line)
{
    while (r->at < r->text.len) {
        const char *begin = r->text.ptr + r->at;
        const char *newline = memchr(begin, '\n', r->text.len - r->at);
        size_t len = newline != NULL ? (size_t)(newline - begin) : r->text.len - r->at;
        r->at += len + (newline != NULL);
        r->line++;
        while (len > 0 && strchr(" \t\r", begin[len - 1]) != NULL && begin[len - 1] != '\0')
            len--;
        *line = hd__span(begin, len);
        if (len > 0)
            return true;
    }
    return false;
}

static hd_status check_file(const reader *r)
{
    const size_t valid = hd__utf8_valid_len(r->text), nul = strnlen(r->text.ptr, valid);
    if (valid == r->text.len && nul == valid)
        return HD_OK;
    return hd__fail(r->err, HD_ERR_FORMAT, "%s: byte %zu is %s", r->name, (nul < valid ? nul : valid) + 1,
                    nul < valid ? "NUL" : "not UTF-8");
}

/* Room for one more in an array on the arena. */
static void *grow(reader *r, void *items, size_t n, size_t *capacity, size_t bytes_each)
{
    if (n < *capacity)
        return items;
    const size_t wanted = *capacity > 0 ? 2 * *capacity : 256;
    char *more = hd__arena_alloc(r->arena, hd__mul(wanted, bytes_each));
    if (more == NULL)
        return NULL;
    if (n > 0)
        memcpy(more, items, n * bytes_each);
    *capacity = wanted;
    return more;
}

/* ---- qrels ---- */

/* At most 5 columns, between tabs where the line has any, else between blanks. */
static size_t split(hd_span line, hd_span columns[5])
{
    const bool tabs = memchr(line.ptr, '\t', line.len) != NULL;
    size_t n = 0, at = 0;
    while (at < line.len && n < 5) {
        size_t end = at;
        while (end < line.len && line.ptr[end] != '\t' && (tabs || line.ptr[end] != ' '))
            end++;
        columns[n++] = hd__span(line.ptr + at, end - at);
        at = end + 1;
        while (!tabs && at < line.len && line.ptr[at] == ' ')
            at++;
    }
    return n;
}

static bool read_grade(hd_span text, int32_t *grade)
{
    char copy[16], *end;
    if (text.len == 0 || text.len >= sizeof copy)
        return false;
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    const long value = strtol(copy, &end, 10);
    *grade = (int32_t)value;
    return end == copy + text.len && value >= -1000 && value <= 1000;
}

static bool is_same(const hd_judgement *x, const hd_judgement *y)
{
    return strcmp(x->query, y->query) == 0 && strcmp(x->document, y->document) == 0;
}

static int compare_judgements(const void *a, const void *b)
{
    const hd_judgement *x = a, *y = b;
    int order = strcmp(x->query, y->query);
    if (order == 0)
        order = strcmp(x->document, y->document);
    return order != 0 ? order : x->line < y->line ? -1 : x->line > y->line;
}

static hd_status take_judgement(reader *r, hd_span line, hd_judgement *judgement, bool *is_heading)
{
    hd_span columns[5];
    const size_t n = split(line, columns);
    *is_heading = false;
    if (n < 3 || n > 4)
        return fail_line(r, "not three columns (query, document, grade), nor TREC's four");
    if (!read_grade(columns[n - 1], &judgement->grade)) {
        *is_heading = r->line == 1;
        return *is_heading ? HD_OK : fail_line(r, "its grade is no whole number from -1000 to 1000");
    }
    judgement->line = (uint32_t)r->line;
    judgement->query = hd__arena_strndup(r->arena, columns[0].ptr, columns[0].len);
    judgement->document = hd__arena_strndup(r->arena, columns[n - 2].ptr, columns[n - 2].len);
    return judgement->query != NULL && judgement->document != NULL ? HD_OK : no_memory(r);
}

static hd_status read_judgements(reader *r, hd_judgement **judgements, size_t *n)
{
    size_t capacity = 0;
    hd_span line;
    *judgements = NULL;
    *n = 0;
    HD_TRY(check_file(r));
    while (next_line(r, &line)) {
        bool is_heading;
        *judgements = grow(r, *judgements, *n, &capacity, sizeof **judgements);
        if (*judgements == NULL)
            return no_memory(r);
        HD_TRY(take_judgement(r, line, &(*judgements)[*n], &is_heading));
        *n += !is_heading;
    }
    if (*n == 0)
        return hd__fail(r->err, HD_ERR_FORMAT, "%s: no judgement in it", r->name);
    qsort(*judgements, *n, sizeof **judgements, compare_judgements);
    size_t n_kept = 1; /* of several for one document the first */
    for (size_t i = 1; i < *n; i++)
        if (!is_same(&(*judgements)[n_kept - 1], &(*judgements)[i]))
            (*judgements)[n_kept++] = (*judgements)[i];
    *n = n_kept;
    return HD_OK;
}

/* ---- queries ---- */

static const char *text_of(const json_t *object, const char *key, const char *other)
{
    const json_t *value = json_object_get(object, key);
    return json_string_value(value != NULL ? value : json_object_get(object, other));
}

static hd_status take_json_query(reader *r, hd_span line, hd_judged_query *query)
{
    json_t *root;
    hd_status status = HD_OK;
    hd_error why = {0};
    if (hd__json_parse(line, r->name, &root, &why) != HD_OK)
        return fail_line(r, "no JSON object");
    const char *id = text_of(root, "_id", "id"), *text = text_of(root, "text", "query");
    if (id == NULL || text == NULL) {
        status = fail_line(r, "an object without the texts \"_id\" (or \"id\") and \"text\" (or \"query\")");
    } else {
        query->id = hd__arena_strndup(r->arena, id, strlen(id));
        query->text = hd__arena_strndup(r->arena, text, strlen(text));
        status = query->id != NULL && query->text != NULL ? HD_OK : no_memory(r);
    }
    json_decref(root);
    return status;
}

static hd_status take_query(reader *r, hd_span line, hd_judged_query *query)
{
    *query = (hd_judged_query){0};
    if (line.ptr[0] == '{')
        return take_json_query(r, line, query);
    const char *tab = memchr(line.ptr, '\t', line.len);
    if (tab == NULL)
        return fail_line(r, "neither a JSON object nor an id, a tab and a text");
    query->id = hd__arena_strndup(r->arena, line.ptr, (size_t)(tab - line.ptr));
    query->text = hd__arena_strndup(r->arena, tab + 1, line.len - (size_t)(tab - line.ptr) - 1);
    return query->id != NULL && query->text != NULL ? HD_OK : no_memory(r);
}

/* The stretch of judgements with the query's id; false when none of them is relevant. */
static bool find_judgements(const hd_judgement *judgements, size_t n, hd_judged_query *query)
{
    size_t low = 0, high = n;
    bool relevant = false;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (strcmp(judgements[middle].query, query->id) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    query->judgements = judgements + low;
    for (; low < n && strcmp(judgements[low].query, query->id) == 0; low++) {
        relevant |= judgements[low].grade > 0;
        query->n_judgements++;
    }
    return relevant;
}

hd_status hd__judgements_parse(hd_span queries, const char *queries_name, hd_span qrels, const char *qrels_name,
                               hd_arena *arena, hd_judged_query **judged, size_t *n, hd_error *err)
{
    reader r = {.text = qrels, .name = qrels_name, .arena = arena, .err = err};
    hd_judgement *judgements;
    size_t n_judgements, capacity = 0;
    hd_span line;
    HD_TRY(read_judgements(&r, &judgements, &n_judgements));
    r = (reader){.text = queries, .name = queries_name, .arena = arena, .err = err};
    *judged = NULL;
    *n = 0;
    HD_TRY(check_file(&r));
    while (next_line(&r, &line)) {
        *judged = grow(&r, *judged, *n, &capacity, sizeof **judged);
        if (*judged == NULL)
            return no_memory(&r);
        HD_TRY(take_query(&r, line, &(*judged)[*n]));
        *n += find_judgements(judgements, n_judgements, &(*judged)[*n]);
    }
    return *n > 0 ? HD_OK
                  : hd__fail(err, HD_ERR_FORMAT, "%s: none of its queries has a relevant document in %s", queries_name,
                             qrels_name);
}

static int32_t grade_of(const hd_judged_query *query, const char *id)
{
    size_t low = 0, high = query->n_judgements;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        const int order = strcmp(query->judgements[middle].document, id);
        if (order == 0)
            return query->judgements[middle].grade;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return 0;
}

int32_t hd__judgements_grade(const hd_judged_query *query, const char *document, const char *chunk, const char **judged)
{
    const int32_t of_document = grade_of(query, document);
    const int32_t of_chunk = of_document == 0 ? grade_of(query, chunk) : 0;
    *judged = of_chunk != 0 ? chunk : document;
    return of_document != 0 ? of_document : of_chunk;
}
