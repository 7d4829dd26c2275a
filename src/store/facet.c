/* facet.c - how often a field has each of its values among the chunks of a filter (filter.h). One pass over the documents,
 * or over the chunks for sections; values are counted in a hash table with open addressing.
 */
#include <string.h>

#include "base/alloc.h"
#include "base/hash.h"
#include "base/limits.h"
#include "store/filter_cache.h"
#include "store/filter_sql.h"
#include "store/snapshot.h"
#include "store/sql.h"

typedef struct counter {
    hd_value_count *slots; /* [n_slots] value NULL: free; n_slots is a power of two */
    size_t n_slots, n;
    hd_arena *arena;
} counter;

static hd_value_count *find_slot(hd_value_count *slots, size_t n_slots, hd_span value)
{
    size_t at = hd__hash64(value, 0) & (n_slots - 1);
    while (slots[at].value != NULL && !hd__span_is(value, slots[at].value))
        at = (at + 1) & (n_slots - 1);
    return &slots[at];
}

static hd_status grow(counter *c, hd_error *err)
{
    const size_t n_slots = c->n_slots > 0 ? 2 * c->n_slots : 64;
    hd_value_count *slots = hd__calloc(n_slots, sizeof *slots);
    if (slots == NULL)
        return hd__fail(err, HD_ERR_MEMORY, "no memory for a facet of %zu values", c->n);
    for (size_t i = 0; i < c->n_slots; i++)
        if (c->slots[i].value != NULL)
            *find_slot(slots, n_slots, hd__span_of(c->slots[i].value)) = c->slots[i];
    hd__free(c->slots);
    c->slots = slots;
    c->n_slots = n_slots;
    return HD_OK;
}

/* A value ends at a NUL in it. */
static hd_status count_value(counter *c, hd_span value, uint64_t n, hd_error *err)
{
    value.len = strnlen(value.ptr, value.len);
    if (2 * c->n >= c->n_slots)
        HD_TRY(grow(c, err));
    hd_value_count *slot = find_slot(c->slots, c->n_slots, value);
    if (slot->value == NULL) {
        if (c->n == HD_LIMIT_FACET_VALUES)
            return hd__fail(err, HD_ERR_LIMIT, "a facet of more than %u values", HD_LIMIT_FACET_VALUES);
        slot->value = hd__arena_strndup(c->arena, value.ptr, value.len);
        if (slot->value == NULL)
            return hd__fail(err, HD_ERR_MEMORY, "no memory for a facet of %zu values", c->n);
        c->n++;
    }
    slot->n += n;
    return HD_OK;
}

/* How many of the numbers [begin, begin + n) are in the set. */
static uint64_t count_in(const hd_bitmap *set, int64_t begin, int64_t n)
{
    uint64_t found = 0;
    if (begin < 0 || n <= 0 || begin >= set->n)
        return 0;
    const uint32_t first = (uint32_t)begin, end = n < (int64_t)(set->n - first) ? first + (uint32_t)n : set->n;
    for (uint32_t at = first; at < end;) {
        const uint32_t bit = at % 64, n_bits = end - at < 64 - bit ? end - at : 64 - bit;
        const uint64_t mask = n_bits == 64 ? UINT64_MAX : ((UINT64_C(1) << n_bits) - 1) << bit;
        found += (uint64_t)__builtin_popcountll(set->words[at / 64] & mask);
        at += n_bits;
    }
    return found;
}

static const char *select_of(hd_field field)
{
    switch (field) {
    case HD_FIELD_ID: return "SELECT first_chunk, n_chunks, id FROM document";
    case HD_FIELD_SOURCE: return "SELECT first_chunk, n_chunks, source FROM document";
    case HD_FIELD_PATH: return "SELECT first_chunk, n_chunks, path FROM document";
    case HD_FIELD_TITLE: return "SELECT first_chunk, n_chunks, title FROM document";
    case HD_FIELD_URL: return "SELECT first_chunk, n_chunks, url FROM document";
    case HD_FIELD_AUTHOR: return "SELECT first_chunk, n_chunks, author FROM document";
    case HD_FIELD_MIME: return "SELECT first_chunk, n_chunks, mime FROM document";
    case HD_FIELD_SECTION: return "SELECT id, 1, section FROM chunk";
    case HD_FIELD_SIZE: return "SELECT first_chunk, n_chunks, CAST(size AS TEXT) FROM document";
    case HD_FIELD_CREATED_AT:
        return "SELECT first_chunk, n_chunks, date(created_at, 'unixepoch') FROM document WHERE created_at <> 0";
    case HD_FIELD_METADATA: break;
    }
    return "SELECT d.first_chunk, d.n_chunks, CASE e.type WHEN 'true' THEN 'true' WHEN 'false' THEN 'false' "
           "ELSE CAST(e.atom AS TEXT) END FROM document AS d, json_each(d.metadata, ?1) AS e "
           "WHERE json_type(d.metadata, ?1) <> 'object' AND e.atom IS NOT NULL";
}

static hd_status count_rows(sqlite3_stmt *statement, const hd_bitmap *chunks, counter *c, hd_error *err)
{
    bool row;
    HD_TRY(hd__sql_next(statement, &row, err));
    while (row) {
        const uint64_t n = count_in(chunks, sqlite3_column_int64(statement, 0), sqlite3_column_int64(statement, 1));
        const hd_span value = hd__sql_span(statement, 2);
        if (n > 0 && value.len > 0)
            HD_TRY(count_value(c, value, n, err));
        HD_TRY(hd__sql_next(statement, &row, err));
    }
    return HD_OK;
}

static bool comes_before(const hd_value_count *a, const hd_value_count *b)
{
    return a->n != b->n ? a->n > b->n : strcmp(a->value, b->value) < 0;
}

/* The first of all that were counted, at most `limit`: there may be a million, and few are wanted. */
static size_t take_first(const counter *c, size_t limit, hd_value_count *first)
{
    size_t n = 0;
    for (size_t i = 0; i < c->n_slots && limit > 0; i++) {
        const hd_value_count *value = &c->slots[i];
        if (value->value == NULL || (n == limit && !comes_before(value, &first[n - 1])))
            continue;
        size_t at = n < limit ? n++ : n - 1;
        for (; at > 0 && comes_before(value, &first[at - 1]); at--)
            first[at] = first[at - 1];
        first[at] = *value;
    }
    return n;
}

static hd_status count_facet(hd_snapshot *snapshot, const char *field, const hd_bitmap *chunks, size_t limit,
                             hd_arena *arena, hd_value_count **values, size_t *n, hd_error *err)
{
    hd_status status = HD_OK;
    counter c = {.arena = arena};
    sqlite3_stmt *statement = NULL;
    hd_field kind;
    const char *path;
    HD_TRY(hd__field_parse(hd__span_of(field), arena, &kind, &path, err));
    HD_TRY(hd__sql_prepare(hd__snapshot_db(snapshot), select_of(kind), &statement, err));
    if (kind == HD_FIELD_METADATA)
        hd__sql_bind_text(statement, 1, hd__span_of(path));
    if (chunks->n_set > 0)
        HD_TRY_OUT(count_rows(statement, chunks, &c, err));
    *n = 0;
    *values = hd__arena_calloc(arena, (c.n < limit ? c.n : limit) + 1, sizeof **values);
    if (*values == NULL)
        status = hd__fail(err, HD_ERR_MEMORY, "no memory for a facet of %zu values", c.n);
    else
        *n = take_first(&c, limit, *values);
out:
    sqlite3_finalize(statement);
    hd__free(c.slots);
    return status;
}

hd_status hd__filter_facet(hd_snapshot *snapshot, const char *field, const hd_filter *filter, size_t limit, hd_arena *arena,
                           hd_value_count **values, size_t *n, hd_error *err)
{
    hd_filter_cache *cache = hd__snapshot_filters(snapshot);
    const uint64_t version = hd__snapshot_version(snapshot);
    const hd_bitmap *chunks;
    const char *text = hd__arena_printf(arena, "%s\n%.*s", field, filter != NULL ? (int)filter->text.len : 0,
                                        filter != NULL ? filter->text.ptr : ""); /* no field's name has a line's end */
    if (text == NULL)
        return hd__fail(err, HD_ERR_MEMORY, "no memory for a facet");
    const hd_span key = hd__span_of(text);
    if (hd__facet_cache_get(cache, key, version, limit, arena, values, n))
        return HD_OK;
    HD_TRY(hd__filter_chunks(snapshot, filter, &chunks, err));
    HD_TRY(count_facet(snapshot, field, chunks, limit, arena, values, n, err));
    hd__facet_cache_put(cache, key, version, limit, *values, *n);
    return HD_OK;
}
