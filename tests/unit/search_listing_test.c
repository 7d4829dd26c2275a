/* Documents read back: one with its chunks, lists by filter and by pages, whatever fails on the way. */
#include "base/alloc.h"
#include "search/handle.h"
#include "unit/store_fixture.h"

static hd_index open_index(void)
{
    return (hd_index){.store = open_store()};
}

static void put(hd_index *index, const char *id, const char *source, hd_chunk_row *chunks, size_t n)
{
    hd_write *write;
    hd_document_row row = document_of(id);
    row.source = source;
    row.title = "Title";
    row.metadata = "{\"year\":2024}";
    row.created_at = 86400;
    row.size = 77;
    assert_ok(hd__write_begin(index->store, &write, &err));
    assert_ok(hd__document_put(write, &row, chunks, NULL, n, &err));
    assert_ok(hd__write_commit(write, &err));
}

static void reads_one(void **state)
{
    (void)state;
    hd_index index = open_index();
    hd_listing l;
    hd_chunk_row chunks[] = {
        {.key = "", .section = "A", .text = hd__span_of("first"), .ordinal = 0, .begin = 0, .end = 5, .line = 1, .page = 2},
        {.key = "mine",
         .section = "A > B",
         .text = hd__span_of("second"),
         .ordinal = 3,
         .begin = 7,
         .end = 13,
         .is_code = true},
    };
    put(&index, "a", "docs", chunks, 2);
    assert_ok(hd_index_get(&index, "a", &l, &err));
    assert_int_equal(l.n, 1);
    const hd_stored_document *d = l.documents;
    assert_string_equal(d->id, "a");
    assert_string_equal(d->source, "docs");
    assert_string_equal(d->title, "Title");
    assert_string_equal(d->metadata, "{\"year\":2024}");
    assert_int_equal(d->created_at, 86400);
    assert_int_equal(d->size, 77);
    assert_int_equal(d->n_chunks, 2);
    assert_string_equal(d->sample, "first");
    assert_string_equal(d->chunks[0].id, "a#0");
    assert_int_equal(d->chunks[0].line, 1);
    assert_int_equal(d->chunks[0].page, 2);
    assert_string_equal(d->chunks[1].id, "mine");
    assert_string_equal(d->chunks[1].section, "A > B");
    assert_string_equal(d->chunks[1].text, "second");
    assert_int_equal(d->chunks[1].ordinal, 3);
    assert_int_equal(d->chunks[1].span.begin, 7);
    assert_int_equal(d->chunks[1].span.end, 13);
    assert_true(d->chunks[1].is_code);
    hd_listing_free(&l);
    hd_listing_free(&l); /* nothing is left */
    assert_ok(hd_index_get(&index, "b", &l, &err));
    assert_int_equal(l.n, 0);
    hd_listing_free(&l);
    hd__store_close(index.store);
}

static void lists_pages(void **state)
{
    (void)state;
    hd_index index = open_index();
    hd_listing l;
    for (int i = 0; i < 10; i++) {
        char id[8];
        hd_chunk_row chunk = {.key = "", .section = "", .text = hd__span_of("text")};
        snprintf(id, sizeof id, "d%d", i);
        put(&index, id, i % 2 == 0 ? "even" : "odd", &chunk, 1);
    }
    put(&index, "empty", "even", NULL, 0);
    assert_ok(hd_index_list(&index, NULL, 0, 100, &l, &err));
    assert_int_equal(l.n, 11);
    assert_int_equal(l.n_matching, 11);
    assert_string_equal(l.documents[0].id, "d0");
    assert_string_equal(l.documents[0].sample, "text");
    assert_null(l.documents[0].chunks);
    assert_string_equal(l.documents[10].id, "empty");
    assert_string_equal(l.documents[10].sample, "");
    hd_listing_free(&l);
    assert_ok(hd_index_list(&index, "source = odd", 3, 2, &l, &err));
    assert_int_equal(l.n, 2);
    assert_int_equal(l.n_matching, 5);
    assert_string_equal(l.documents[0].id, "d7");
    assert_string_equal(l.documents[1].id, "d9");
    hd_listing_free(&l);
    assert_ok(hd_index_list(&index, "", UINT64_MAX, 0, &l, &err));
    assert_int_equal(l.n, 0);
    assert_int_equal(l.n_matching, 11);
    hd_listing_free(&l);
    assert_status(hd_index_list(&index, "source =", 0, 1, &l, &err), HD_ERR_ARG);
    assert_null(l.memory);
    hd__store_close(index.store);
}

/* A sample ends with a whole character. */
static void cuts_samples(void **state)
{
    (void)state;
    hd_index index = open_index();
    hd_listing l;
    char text[1000];
    for (size_t i = 0; i + 3 <= sizeof text; i += 3)
        memcpy(text + i, "\xe2\x82\xac", 3);
    hd_chunk_row chunk = {.key = "", .section = "", .text = hd__span(text, 999)};
    put(&index, "a", "docs", &chunk, 1);
    assert_ok(hd_index_list(&index, NULL, 0, 1, &l, &err));
    assert_int_equal(strlen(l.documents[0].sample), 798);
    hd_listing_free(&l);
    chunk.text.len = 798;
    put(&index, "a", "docs", &chunk, 1);
    assert_ok(hd_index_get(&index, "a", &l, &err));
    assert_int_equal(strlen(l.documents[0].sample), 798);
    hd_listing_free(&l);
    hd__store_close(index.store);
}

static void survives_missing_memory(void **state)
{
    (void)state;
    hd_index index = open_index();
    hd_chunk_row chunk = {.key = "", .section = "", .text = hd__span_of("text")};
    put(&index, "a", "docs", &chunk, 1);
    for (int which = 0; which < 2; which++) {
        hd_status status = HD_ERR_MEMORY;
        for (uint64_t n = 0; status != HD_OK; n++) {
            hd_listing l;
            assert_true(n < 500);
            hd__alloc_fail_after(n, UINT64_MAX);
            status = which == 0 ? hd_index_get(&index, "a", &l, &err) : hd_index_list(&index, "id = a", 0, 10, &l, &err);
            hd__alloc_fail_off();
            if (status == HD_OK)
                hd_listing_free(&l);
            else
                assert_int_equal(status, HD_ERR_MEMORY);
        }
    }
    hd__store_close(index.store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(reads_one, store_begin, store_end),
        cmocka_unit_test_setup_teardown(lists_pages, store_begin, store_end),
        cmocka_unit_test_setup_teardown(cuts_samples, store_begin, store_end),
        cmocka_unit_test_setup_teardown(survives_missing_memory, store_begin, store_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
