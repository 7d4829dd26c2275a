/* What filters let through in a store: bitmaps, kept for the next search and for one version alone; lists; facets. */
#include "base/alloc.h"
#include "base/buffer.h"
#include "store/filter_cache.h"
#include "store/filter_tree.h"
#include "unit/store_fixture.h"

static hd_store *store;
static hd_snapshot *snapshot;

static void put(const char *id, const char *source, const char *metadata, size_t n_chunks)
{
    hd_write *write;
    hd_document_row row = document_of(id);
    hd_chunk_row chunks[8] = {0};
    row.source = source;
    row.metadata = metadata;
    row.created_at = n_chunks == 2 ? 1714521600 : 0;
    for (size_t i = 0; i < n_chunks; i++)
        chunks[i] = (hd_chunk_row){
            .key = "", .section = i == 0 ? "Intro" : "Rest", .text = hd__span_of("text"), .ordinal = (uint32_t)i};
    assert_ok(hd__write_begin(store, &write, &err));
    assert_ok(hd__document_put(write, &row, chunks, NULL, n_chunks, &err));
    assert_ok(hd__write_commit(write, &err));
}

static int begin(void **state)
{
    store_begin(state);
    store = open_store();
    put("a", "docs", "{\"tags\":[\"x\",\"y\"],\"n\":1}", 3); /* chunks 0 to 2 */
    put("b", "docs", "{\"tags\":[\"x\"],\"n\":1.5}", 2);     /* 3, 4 */
    put("c", "mail", "{\"tags\":\"y\",\"n\":true}", 1);      /* 5 */
    put("gone", "docs", "{}", 1);                            /* 6 */
    put("d", "mail", "{\"tags\":{\"x\":1}}", 0);
    assert_true(remove_text(store, "gone"));
    assert_ok(hd__snapshot_begin(store, &snapshot, &err));
    return 0;
}

static int end(void **state)
{
    hd__snapshot_end(snapshot);
    hd__store_close(store);
    return store_end(state);
}

static const hd_filter *parse(const char *text)
{
    const hd_filter *filter = NULL;
    if (text != NULL)
        assert_ok(hd__filter_parse(hd__span_of(text), &arena, &filter, &err));
    return filter;
}

static const hd_bitmap *chunks_of(const char *text)
{
    const hd_bitmap *set;
    assert_ok(hd__filter_chunks(snapshot, parse(text), &set, &err));
    return set;
}

static void lets_through(const char *text, const char *numbers)
{
    const hd_bitmap *set = chunks_of(text);
    char found[64] = "";
    uint32_t n = 0;
    for (uint32_t i = 0; i < 64; i++)
        if (hd__bitmap_has(set, i))
            n += (uint32_t)snprintf(found + n, sizeof found - n, "%u", i);
    assert_string_equal(found, numbers);
    assert_true(set->n_set == strlen(numbers));
}

static void chunks_are_those_of_documents(void **state)
{
    (void)state;
    lets_through(NULL, "012345");
    lets_through("source = docs", "01234"); /* not the dead one */
    lets_through("source = mail", "5");
    lets_through("id IN (b, c)", "345");
    lets_through("n EXISTS", "012345");
    lets_through("source = nowhere", "");
    lets_through("section = Intro", "035");
    lets_through("section = Rest AND source = docs AND NOT id = b", "12");
}

static void bitmaps_are_kept_for_their_version(void **state)
{
    (void)state;
    const hd_bitmap *first = chunks_of("source = docs");
    assert_ptr_equal(chunks_of("source = docs"), first);
    assert_ptr_not_equal(chunks_of("source  = docs"), first); /* another text: it is the key */
    put("e", "docs", "{}", 1);
    assert_ptr_equal(chunks_of("source = docs"), first);
    hd_snapshot *old = snapshot;
    assert_ok(hd__snapshot_begin(store, &snapshot, &err));
    lets_through("source = docs", "012347");
    hd_snapshot *newer = snapshot;
    snapshot = old;
    lets_through("source = docs", "01234");
    for (int i = 0; i < 300; i++) { /* far more than the cache keeps; those in use stay */
        char text[32];
        snprintf(text, sizeof text, "source = s%d", i);
        lets_through(text, "");
    }
    assert_true(hd__bitmap_has(first, 4) && first->n_set == 5);
    hd__snapshot_end(newer);
}

static void documents_are_listed(void **state)
{
    (void)state;
    const char **ids;
    size_t n;
    uint64_t n_all;
    assert_ok(hd__filter_documents(snapshot, NULL, 0, 10, &arena, &ids, &n, &n_all, &err));
    assert_true(n == 4 && n_all == 4);
    assert_string_equal(ids[0], "a");
    assert_string_equal(ids[3], "d");
    assert_ok(hd__filter_documents(snapshot, parse("source = mail"), 1, 10, &arena, &ids, &n, &n_all, &err));
    assert_true(n == 1 && n_all == 2);
    assert_string_equal(ids[0], "d");
    assert_ok(hd__filter_documents(snapshot, parse("section = Rest OR id = c"), 0, 2, &arena, &ids, &n, &n_all, &err));
    assert_true(n == 2 && n_all == 3);
    assert_ok(hd__filter_documents(snapshot, parse("id = a"), UINT64_MAX, UINT64_MAX, &arena, &ids, &n, &n_all, &err));
    assert_true(n == 0 && n_all == 1);
}

static void counts(const char *field, const char *filter, const char *expected)
{
    hd_value_count *values;
    size_t n;
    char text[256] = "";
    assert_ok(hd__filter_facet(snapshot, field, parse(filter), 10, &arena, &values, &n, &err));
    for (size_t i = 0; i < n; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text), "%s=%llu ", values[i].value,
                 (unsigned long long)values[i].n);
    assert_string_equal(text, expected);
}

static void facets_are_kept_for_their_version(void **state)
{
    (void)state;
    counts("source", "id != c", "docs=5 ");
    put("e", "docs", "{}", 2);
    counts("source", "id != c", "docs=5 ");
    hd_snapshot *old = snapshot;
    assert_ok(hd__snapshot_begin(store, &snapshot, &err));
    counts("source", "id != c", "docs=7 ");
    counts("source", NULL, "docs=7 mail=1 ");
    hd__snapshot_end(snapshot);
    snapshot = old;
    counts("source", "id != c", "docs=5 ");
    for (int i = 0; i < 300; i++) {
        char filter[32];
        snprintf(filter, sizeof filter, "id != x%d", i);
        counts("source", filter, "docs=5 mail=1 ");
    }
    counts("source", "id != c", "docs=5 ");
}

static void facets_count_chunks(void **state)
{
    (void)state;
    counts("source", NULL, "docs=5 mail=1 ");
    counts("source", "id = c", "mail=1 ");
    counts("tags", NULL, "x=5 y=4 ");
    counts("metadata.tags", "source = docs", "x=5 y=3 ");
    counts("n", NULL, "1=3 1.5=2 true=1 ");
    counts("section", NULL, "Intro=3 Rest=3 ");
    counts("created_at", NULL, "2024-05-01=2 ");
    counts("author", NULL, "");
    counts("nothing", NULL, "");
    counts("size", "id = a", "0=3 ");
    hd_value_count *values;
    size_t n;
    assert_ok(hd__filter_facet(snapshot, "tags", NULL, 1, &arena, &values, &n, &err));
    assert_int_equal(n, 1);
    assert_status(hd__filter_facet(snapshot, "a b", NULL, 1, &arena, &values, &n, &err), HD_ERR_ARG);
    assert_status(hd__filter_facet(snapshot, "metadata", NULL, 1, &arena, &values, &n, &err), HD_ERR_ARG);
}

static void no_memory_is_an_error(void **state)
{
    (void)state;
    const hd_filter *filter = parse("source = docs AND tags = x AND section ^= I");
    bool done = false;
    for (uint64_t i = 0; !done; i++) {
        const hd_bitmap *set;
        hd_value_count *values;
        size_t n;
        assert_true(i < 1000);
        hd__alloc_fail_after(i, UINT64_MAX);
        hd_status status = hd__filter_chunks(snapshot, filter, &set, &err);
        if (status == HD_OK)
            status = hd__filter_facet(snapshot, "tags", filter, 10, &arena, &values, &n, &err);
        hd__alloc_fail_off();
        assert_true(status == HD_OK || status == HD_ERR_MEMORY);
        done = status == HD_OK;
    }
}

static size_t n_asked;

static bool goes_on_for(void *data)
{
    return n_asked++ < *(const size_t *)data;
}

/* A filter or a facet that takes long, of a search that nobody wants any more. */
static void reading_ends_when_it_is_not_wanted(void **state)
{
    (void)state;
    hd_buffer text;
    size_t n_allowed = 0;
    const hd_bitmap *chunks;
    hd__buffer_init(&text);
    hd__buffer_append_text(&text, "nowhere = 0");
    for (int i = 0; i < 4000; i++)
        hd__buffer_append_text(&text, " OR nowhere = 0");
    hd__buffer_append_char(&text, '\0');
    const hd_filter *filter = parse(text.ptr);
    hd__snapshot_ask(snapshot, goes_on_for, &n_allowed);
    n_asked = 0;
    assert_status(hd__filter_chunks(snapshot, filter, &chunks, &err), HD_ERR_CANCELLED);
    assert_int_equal(n_asked, 1);
    n_allowed = SIZE_MAX;
    assert_ok(hd__filter_chunks(snapshot, filter, &chunks, &err));
    assert_int_equal(chunks->n_set, 0);
    hd__snapshot_end(snapshot);
    assert_ok(hd__snapshot_begin(store, &snapshot, &err)); /* the next one to have the connection is not asked */
    n_asked = 0;
    assert_ok(hd__filter_chunks(snapshot, parse("nowhere = 1"), &chunks, &err));
    assert_int_equal(n_asked, 0);
    hd__buffer_clear(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(chunks_are_those_of_documents, begin, end),
        cmocka_unit_test_setup_teardown(bitmaps_are_kept_for_their_version, begin, end),
        cmocka_unit_test_setup_teardown(documents_are_listed, begin, end),
        cmocka_unit_test_setup_teardown(facets_count_chunks, begin, end),
        cmocka_unit_test_setup_teardown(facets_are_kept_for_their_version, begin, end),
        cmocka_unit_test_setup_teardown(no_memory_is_an_error, begin, end),
        cmocka_unit_test_setup_teardown(reading_ends_when_it_is_not_wanted, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
