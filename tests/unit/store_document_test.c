/* Documents and chunks: what is put is read back, whole, whatever its bytes; limits at and past their edge; what is found by
 * parts of words and by token vectors. */
#include "store/document.h"

#include <math.h>

#include "base/alloc.h"
#include "base/limits.h"
#include "store/legs.h"
#include "unit/store_fixture.h"

static void reads_back_what_was_put(void **state)
{
    (void)state;
    hd_store *store = open_store();
    const hd_document_row document = {.id = "notes/a.md",
                                      .source = "notes",
                                      .root = "/home/\xff\xfe",
                                      .path = "/home/\xff\xfe/a.md",
                                      .title = "A title",
                                      .url = "https://a.b/c?d",
                                      .author = "Somebody",
                                      .mime = "text/markdown",
                                      .metadata = "{\"tags\":[\"x\",\"y\"]}",
                                      .cut = "tokens 64/8",
                                      .created_at = -5,
                                      .hash = {.low = UINT64_MAX - 1, .high = 7},
                                      .size = UINT64_MAX,
                                      .mtime_ns = 1234567890123456789u};
    hd_chunk_row chunks[] = {
        {.key = "", .section = "A > B", .text = {"one\0two", 7}, .ordinal = 3, .begin = 1, .end = 8, .line = 2, .page = 9},
        {.key = "own-id", .section = "", .text = {"int main(void)", 14}, .ordinal = 4, .end = UINT32_MAX, .is_code = true},
    };
    hd_write *write;
    assert_ok(hd__write_begin(store, &write, &err));
    assert_ok(hd__document_put(write, &document, chunks, NULL, 2, &err));
    assert_int_equal(chunks[0].id, 0);
    assert_int_equal(chunks[1].id, 1);
    assert_ok(hd__write_commit(write, &err));

    hd_snapshot *snapshot;
    assert_ok(hd__snapshot_begin(store, &snapshot, &err));
    const hd_document_row *read;
    assert_ok(hd__document_get(snapshot, "notes/a.md", &arena, &read, &err));
    assert_string_equal(read->source, "notes");
    assert_string_equal(read->root, "/home/\xff\xfe");
    assert_string_equal(read->path, "/home/\xff\xfe/a.md");
    assert_string_equal(read->title, "A title");
    assert_string_equal(read->url, "https://a.b/c?d");
    assert_string_equal(read->author, "Somebody");
    assert_string_equal(read->mime, "text/markdown");
    assert_string_equal(read->metadata, "{\"tags\":[\"x\",\"y\"]}");
    assert_string_equal(read->cut, "tokens 64/8");
    assert_true(read->created_at == -5 && read->hash.low == UINT64_MAX - 1 && read->hash.high == 7);
    assert_true(read->size == UINT64_MAX && read->mtime_ns == 1234567890123456789u && read->n_chunks == 2);
    const hd_chunk_id ids[] = {1, 5, 0, 1};
    hd_chunk_found found[4];
    assert_ok(hd__chunk_get(snapshot, ids, 4, &arena, found, &err));
    assert_null(found[1].document);
    assert_true(found[0].document == found[2].document && found[0].document == found[3].document);
    assert_string_equal(found[0].document->id, "notes/a.md");
    assert_string_equal(found[0].chunk.key, "own-id");
    assert_true(found[0].chunk.is_code && found[0].chunk.end == UINT32_MAX && found[0].chunk.ordinal == 4);
    assert_true(hd__span_equal(found[2].chunk.text, hd__span("one\0two", 7)));
    assert_string_equal(found[2].chunk.section, "A > B");
    assert_true(found[2].chunk.line == 2 && found[2].chunk.page == 9 && found[2].chunk.begin == 1 &&
                found[2].chunk.end == 8);
    hd_chunk_row *rows;
    size_t n;
    assert_ok(hd__document_chunks(snapshot, "notes/a.md", &arena, &rows, &n, &err));
    assert_int_equal(n, 2);
    assert_true(rows[0].id == 0 && rows[1].id == 1);
    assert_ok(hd__document_chunks(snapshot, "none", &arena, &rows, &n, &err));
    assert_int_equal(n, 0);
    hd__snapshot_end(snapshot);
    hd__store_close(store);
}

static hd_status count_document(const hd_document_row *document, void *data, hd_error *e)
{
    (void)e;
    strcat(data, document->id);
    strcat(data, " ");
    return HD_OK;
}

static hd_status stop_at_once(const hd_document_row *document, void *data, hd_error *e)
{
    (void)document;
    *(int *)data += 1;
    return hd__fail(e, HD_ERR_CANCELLED, "enough");
}

static void put_in(hd_write *write, const char *id, const char *root)
{
    hd_document_row document = document_of(id);
    document.root = root;
    assert_ok(hd__document_put(write, &document, NULL, NULL, 0, &err));
}

static void lists_documents_in_order(void **state)
{
    (void)state;
    hd_store *store = open_store();
    hd_write *write;
    assert_ok(hd__write_begin(store, &write, &err));
    put_in(write, "b", "/x");
    put_in(write, "c", "/y");
    put_in(write, "a", "/x");
    assert_ok(hd__write_commit(write, &err));
    hd_snapshot *snapshot;
    assert_ok(hd__snapshot_begin(store, &snapshot, &err));
    char all[64] = "", some[64] = "", none[64] = "";
    assert_ok(hd__document_each(snapshot, NULL, count_document, all, &err));
    assert_ok(hd__document_each(snapshot, "/x", count_document, some, &err));
    assert_ok(hd__document_each(snapshot, "/", count_document, none, &err));
    assert_string_equal(all, "a b c ");
    assert_string_equal(some, "a b ");
    assert_string_equal(none, "");
    int n = 0;
    assert_ok(hd__document_each(snapshot, NULL, stop_at_once, &n, &err));
    assert_int_equal(n, 1);
    hd__snapshot_end(snapshot);
    hd__store_close(store);
}

static void replaces_moves_and_touches(void **state)
{
    (void)state;
    hd_store *store = open_store();
    commit_text(store, "a", "one", 3);
    commit_text(store, "b", "two", 2);
    commit_text(store, "a", "three", 1); /* in place of the first */
    assert_int_equal(count_live(store), 3);
    hd_write *write;
    assert_ok(hd__write_begin(store, &write, &err));
    hd_document_row to = document_of("moved");
    to.path = "/new/place";
    to.mtime_ns = 5;
    to.size = 78;
    assert_error(hd__document_move(write, "none", &to, &err), HD_ERR_NOT_FOUND, "no document none");
    assert_error(hd__document_touch(write, "none", 1, 1, &err), HD_ERR_NOT_FOUND, "no document none");
    assert_ok(hd__document_move(write, "a", &to, &err));
    assert_ok(hd__document_touch(write, "moved", 77, 6, &err));
    to.id = "b"; /* which another document has, and loses */
    assert_ok(hd__document_move(write, "moved", &to, &err));
    assert_ok(hd__write_commit(write, &err));
    assert_int_equal(count_live(store), 1);
    hd_snapshot *snapshot;
    assert_ok(hd__snapshot_begin(store, &snapshot, &err));
    const hd_document_row *read;
    assert_ok(hd__document_get(snapshot, "b", &arena, &read, &err));
    assert_string_equal(read->path, "/new/place");
    assert_true(read->size == 78 && read->mtime_ns == 5 && read->n_chunks == 1);
    assert_ok(hd__document_get(snapshot, "a", &arena, &read, &err));
    assert_null(read);
    hd_chunk_row *rows;
    size_t n;
    assert_ok(hd__document_chunks(snapshot, "b", &arena, &rows, &n, &err));
    assert_true(n == 1 && hd__span_is(rows[0].text, "three"));
    hd__snapshot_end(snapshot);
    hd__store_close(store);
}

static void ids_are_never_more_than_ids(void **state)
{
    (void)state;
    static const char *const ids[] = {"'; DROP TABLE document; --",
                                      "\" OR 1=1 --",
                                      "%",
                                      "a\nb",
                                      "\xff\xfe",
                                      "\xed\xa0\x80",
                                      "x') OR ('1'='1",
                                      "NULL",
                                      "?1",
                                      ":id",
                                      "../../etc/passwd",
                                      " "};
    const size_t n_ids = sizeof ids / sizeof *ids;
    hd_store *store = open_store();
    for (size_t i = 0; i < n_ids; i++)
        commit_text(store, ids[i], ids[i], 1);
    hd_snapshot *snapshot;
    assert_ok(hd__snapshot_begin(store, &snapshot, &err));
    for (size_t i = 0; i < n_ids; i++) {
        const hd_document_row *read;
        assert_ok(hd__document_get(snapshot, ids[i], &arena, &read, &err));
        assert_string_equal(read->id, ids[i]);
        hd_chunk_row *rows;
        size_t n;
        assert_ok(hd__document_chunks(snapshot, ids[i], &arena, &rows, &n, &err));
        assert_true(n == 1 && hd__span_is(rows[0].text, ids[i]));
    }
    hd__snapshot_end(snapshot);
    assert_true(remove_text(store, "%"));
    assert_false(remove_text(store, "x"));
    assert_int_equal(count_live(store), n_ids - 1);
    hd__store_close(store);
}

static hd_status put_one(hd_write *write, const hd_document_row *document, const char *key, const char *section,
                         hd_span text)
{
    hd_chunk_row chunk = {.key = key, .section = section, .text = text};
    return hd__document_put(write, document, &chunk, NULL, 1, &err);
}

static void holds_to_its_limits(void **state)
{
    (void)state;
    hd_store *store = open_store();
    const size_t most = HD_LIMIT_CHUNK_BYTES + 2;
    char *large = hd__malloc(most);
    memset(large, 'a', most);
    large[most - 1] = '\0';
    hd_write *write;
    assert_ok(hd__write_begin(store, &write, &err));
    hd_document_row document = document_of("");
    assert_error(put_one(write, &document, "", "", hd__span_of("x")), HD_ERR_ARG, "id is empty");
    document.id = large + most - 1 - (HD_LIMIT_DOCUMENT_ID_BYTES + 1);
    assert_error(put_one(write, &document, "", "", hd__span_of("x")), HD_ERR_LIMIT, "8193 bytes, the limit is 8192");
    document.id++;
    assert_ok(put_one(write, &document, document.id, "", hd__span_of("x")));
    document = document_of("d");
    document.title = large + most - 1 - (HD_LIMIT_DOCUMENT_FIELD_BYTES + 1);
    assert_error(put_one(write, &document, "", "", hd__span_of("x")), HD_ERR_LIMIT, "its title has 1048577 bytes");
    document.title++;
    assert_ok(put_one(write, &document, "", document.title, hd__span_of("x")));
    assert_error(put_one(write, &document, "", document.title - 1, hd__span_of("x")), HD_ERR_LIMIT, "section");
    document = document_of("e");
    assert_error(put_one(write, &document, "", "", hd__span(large, HD_LIMIT_CHUNK_BYTES + 1)), HD_ERR_LIMIT, "chunk's text");
    assert_ok(put_one(write, &document, "", "", hd__span(large, HD_LIMIT_CHUNK_BYTES)));
    static const char *const metadata[] = {"[]", "1", "{", "{\"a\":1", "{} x", "\"x\"", "{\"a\":1,\"a\":2}"};
    for (size_t i = 0; i < sizeof metadata / sizeof *metadata; i++) {
        document.metadata = metadata[i];
        assert_error(put_one(write, &document, "", "", hd__span_of("x")), HD_ERR_ARG, "document e: metadata");
    }
    document.metadata = "";
    assert_ok(put_one(write, &document, "", "", hd__span_of("x")));
    assert_ok(hd__write_commit(write, &err)); /* refusals have changed nothing */
    assert_int_equal(count_live(store), 3);
    hd__free(large);
    hd__store_close(store);
}

/* As if so many chunks had come and gone. */
static void numbers_come_to_an_end(void **state)
{
    (void)state;
    hd__store_close(open_store());
    char sql[128];
    snprintf(sql, sizeof sql, "UPDATE state SET n_chunks = %u", HD_LIMIT_CHUNKS - 2);
    run_sql(scratch_path(&s, "db"), sql);
    hd_store *store = open_store();
    hd_write *write;
    assert_ok(hd__write_begin(store, &write, &err));
    assert_error(put_text(write, "a", "text", 3), HD_ERR_LIMIT, "3 more are past the limit of 268435456");
    assert_ok(put_text(write, "b", "text", 2));
    assert_error(put_text(write, "c", "text", 1), HD_ERR_LIMIT, "heddle db vacuum");
    assert_ok(hd__write_commit(write, &err));
    assert_int_equal(count_live(store), 2);
    hd__store_close(store);
}

static void a_failed_change_cannot_be_committed(void **state)
{
    (void)state;
    hd_store *store = open_store();
    commit_text(store, "a", "one", 2);
    bool all_done = false;
    for (uint64_t n = 0; !all_done; n++) {
        hd_write *write;
        assert_ok(hd__write_begin(store, &write, &err));
        hd__alloc_fail_after(n, 1);
        const hd_status put = put_text(write, "a", "two", 64);
        hd__alloc_fail_off();
        assert_true(put == HD_OK || put == HD_ERR_MEMORY);
        assert_int_equal(put_text(write, "b", "three", 1), put);
        assert_int_equal(hd__write_commit(write, &err), put);
        all_done = put == HD_OK;
        assert_int_equal(count_live(store), all_done ? 65 : 2);
    }
    hd__store_close(store);
}

static void wants_vectors_where_there_are_some(void **state)
{
    (void)state;
    hd_store *store = open_full("db", true);
    hd_write *write;
    assert_ok(hd__write_begin(store, &write, &err));
    assert_error(put_text(write, "a", "text", 1), HD_ERR_ARG, "without vectors, the index has those of m");
    hd__write_abandon(write);
    hd__store_close(store);
}

static void finds_by_every_leg(void **state)
{
    (void)state;
    hd_store *store = open_full("db", true);
    const float dense[3][4] = {{1, 0, 0, 0}, {0, 2, 0, 0}, {0, 0, 0, 0.5f}};
    const float tokens[2][3] = {{1, 0, 0}, {0, 0.5f, -0.25f}};
    const uint32_t term = 17;
    const float weights[3] = {0.5f, 1.5f, 1.0f};
    hd_chunk_row chunks[3] = {{.key = "", .section = "", .text = hd__span_of("the quick fox")},
                              {.key = "", .section = "", .text = hd__span_of("a slow fox")},
                              {.key = "", .section = "", .text = hd__span_of("hd__store_open(path)"), .is_code = true}};
    hd_chunk_vectors vectors[3];
    for (int i = 0; i < 3; i++)
        vectors[i] = (hd_chunk_vectors){.dense = dense[i],
                                        .sparse = {.ids = &term, .weights = &weights[i], .n = 1},
                                        .token_vectors = i == 0 ? tokens[0] : NULL,
                                        .n_token_vectors = i == 0 ? 2 : 0};
    const hd_document_row document = document_of("a");
    hd_write *write;
    assert_ok(hd__write_begin(store, &write, &err));
    assert_ok(hd__document_put(write, &document, chunks, vectors, 3, &err));
    assert_ok(hd__write_commit(write, &err));

    hd_snapshot *snapshot;
    assert_ok(hd__snapshot_begin(store, &snapshot, &err));
    hd_ranked ranked[8];
    size_t n;
    assert_ok(hd__leg_bm25(snapshot, hd__span_of("slow foxes"), 8, NULL, ranked, &n, &err));
    assert_true(n == 2 && ranked[0].id == 1 && ranked[1].id == 0 && ranked[0].score > ranked[1].score);
    assert_ok(hd__leg_dense(snapshot, (const float[]){0, 1, 0, 0}, 1, NULL, false, ranked, &n, &err));
    assert_true(n == 1 && ranked[0].id == 1 && fabsf(ranked[0].score - 1.0f) < 0.01f);
    const float one = 1.0f;
    const hd_sparse_vector query = {.ids = &term, .weights = &one, .n = 1};
    assert_ok(hd__leg_sparse(snapshot, query, 2, NULL, ranked, &n, &err));
    assert_true(n == 2 && ranked[0].id == 1 && ranked[1].id == 2);
    assert_ok(hd__leg_trigram(snapshot, hd__span_of("STORE_op"), 8, NULL, ranked, &n, &err));
    assert_true(n == 1 && ranked[0].id == 2 && ranked[0].score > 0);
    const float asked[2][3] = {{1, 0, 0}, {0, 1, 0}};
    const hd_chunk_id ids[2] = {0, 1};
    float scores[2];
    assert_ok(hd__leg_multi(snapshot, asked[0], 2, ids, 2, scores, &err));
    assert_true(fabsf(scores[0] - 1.5f) < 0.02f && isnan(scores[1]));
    float rows[2][4];
    assert_ok(hd__leg_vectors(snapshot, ids, 2, rows[0], &err));
    assert_true(fabsf(rows[1][1] - 1.0f) < 0.001f);
    hd__snapshot_end(snapshot);

    assert_true(remove_text(store, "a"));
    assert_ok(hd__snapshot_begin(store, &snapshot, &err));
    assert_ok(hd__leg_bm25(snapshot, hd__span_of("fox"), 8, NULL, ranked, &n, &err));
    assert_int_equal(n, 0);
    assert_ok(hd__leg_dense(snapshot, (const float[]){0, 1, 0, 0}, 8, NULL, false, ranked, &n, &err));
    assert_int_equal(n, 0);
    assert_ok(hd__leg_trigram(snapshot, hd__span_of("store"), 8, NULL, ranked, &n, &err));
    assert_int_equal(n, 0);
    assert_ok(hd__leg_multi(snapshot, asked[0], 2, ids, 2, scores, &err));
    assert_true(isnan(scores[0]) && isnan(scores[1]));
    hd__snapshot_end(snapshot);
    hd__store_close(store);
}

static void legs_that_are_not_there_say_so(void **state)
{
    (void)state;
    hd_store *store = open_store();
    hd_snapshot *snapshot;
    assert_ok(hd__snapshot_begin(store, &snapshot, &err));
    const float query[4] = {1};
    hd_ranked ranked[1];
    float scores[1];
    size_t n;
    assert_error(hd__leg_dense(snapshot, query, 1, NULL, false, ranked, &n, &err), HD_ERR_UNSUPPORTED,
                 "without dense vectors");
    assert_error(hd__leg_sparse(snapshot, (hd_sparse_vector){0}, 1, NULL, ranked, &n, &err), HD_ERR_UNSUPPORTED, "sparse");
    assert_error(hd__leg_multi(snapshot, query, 1, (const hd_chunk_id[]){0}, 1, scores, &err), HD_ERR_UNSUPPORTED, "token");
    hd__snapshot_end(snapshot);
    hd__store_close(store);
}

static size_t count_trigram(hd_snapshot *snapshot, const char *bytes, size_t len, const hd_bitmap *allowed)
{
    hd_ranked ranked[8];
    size_t n;
    assert_ok(hd__leg_trigram(snapshot, hd__span(bytes, len), 8, allowed, ranked, &n, &err));
    return n;
}

/* Whatever it is, it is looked for as it stands. */
static void nothing_in_a_text_looked_for_has_a_meaning(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "a\"b\"c", "x OR y",          "NEAR(a b)", "col:val*", "^begin", "a'b''c", "\xc3\xa4\xc3\xb6\xc3\xbc",
        "100%_",   "\xff\xfe\xfd\xfc"};
    const size_t n_texts = sizeof texts / sizeof *texts;
    hd_store *store = open_store();
    hd_write *write;
    assert_ok(hd__write_begin(store, &write, &err));
    hd_chunk_row chunks[16];
    for (size_t i = 0; i < n_texts; i++)
        chunks[i] = (hd_chunk_row){.key = "", .section = "", .text = hd__span_of(texts[i]), .is_code = true};
    const hd_document_row document = document_of("a");
    assert_ok(hd__document_put(write, &document, chunks, NULL, n_texts, &err));
    assert_ok(put_text(write, "b", "x OR y, but no code", 1));
    assert_ok(hd__write_commit(write, &err));
    hd_snapshot *snapshot;
    assert_ok(hd__snapshot_begin(store, &snapshot, &err));
    for (size_t i = 0; i + 1 < n_texts; i++)
        if (count_trigram(snapshot, texts[i], strlen(texts[i]), NULL) != 1)
            fail_msg("%s is not found", texts[i]);
    (void)count_trigram(snapshot, texts[n_texts - 1], 4, NULL); /* no UTF-8: no error */
    static const char *const nothing[] = {"", "a", "ab", "\xc3\xa4\xc3\xb6", "x AND y", "xOR", "\"\"\"", "***", "a OR b"};
    for (size_t i = 0; i < sizeof nothing / sizeof *nothing; i++)
        assert_int_equal(count_trigram(snapshot, nothing[i], strlen(nothing[i]), NULL), 0);
    assert_int_equal(count_trigram(snapshot, NULL, 0, NULL), 0);
    assert_int_equal(count_trigram(snapshot, "x OR y\0", 7, NULL), 0);
    assert_int_equal(count_trigram(snapshot, "x or Y", 6, NULL), 1); /* letters of either case */
    char longest[HD_LIMIT_TRIGRAM_QUERY_BYTES + 1];
    memset(longest, 'q', sizeof longest);
    assert_int_equal(count_trigram(snapshot, longest, sizeof longest - 1, NULL), 0);
    assert_int_equal(count_trigram(snapshot, longest, sizeof longest, NULL), 0);
    hd_bitmap none;
    assert_ok(hd__bitmap_init(&none, 5, &err));
    assert_int_equal(count_trigram(snapshot, texts[0], strlen(texts[0]), &none), 0);
    hd__bitmap_set_range(&none, 0, 1, true);
    assert_int_equal(count_trigram(snapshot, texts[0], strlen(texts[0]), &none), 1);
    hd__bitmap_clear(&none);
    hd__snapshot_end(snapshot);
    hd__store_close(store);
}

static void token_vectors_are_finite(void **state)
{
    (void)state;
    hd_store *store = open_full("db", true);
    const float dense[4] = {1};
    float tokens[2][3] = {{1, 2, 3}, {0, 0, 0}};
    const float bad[] = {NAN, INFINITY, -INFINITY};
    for (int i = 0; i < 4; i++) {
        tokens[1][2] = i < 3 ? bad[i] : 0.0f;
        const hd_chunk_vectors vectors = {.dense = dense, .token_vectors = tokens[0], .n_token_vectors = 2};
        hd_chunk_row chunk = {.key = "", .section = "", .text = hd__span_of("x")};
        const hd_document_row document = document_of("a");
        hd_write *write;
        assert_ok(hd__write_begin(store, &write, &err));
        const hd_status expected = i < 3 ? HD_ERR_ARG : HD_OK;
        assert_status(hd__document_put(write, &document, &chunk, &vectors, 1, &err), expected);
        assert_status(hd__write_commit(write, &err), expected);
    }
    hd__store_close(store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(reads_back_what_was_put, store_begin, store_end),
        cmocka_unit_test_setup_teardown(lists_documents_in_order, store_begin, store_end),
        cmocka_unit_test_setup_teardown(replaces_moves_and_touches, store_begin, store_end),
        cmocka_unit_test_setup_teardown(ids_are_never_more_than_ids, store_begin, store_end),
        cmocka_unit_test_setup_teardown(holds_to_its_limits, store_begin, store_end),
        cmocka_unit_test_setup_teardown(numbers_come_to_an_end, store_begin, store_end),
        cmocka_unit_test_setup_teardown(a_failed_change_cannot_be_committed, store_begin, store_end),
        cmocka_unit_test_setup_teardown(wants_vectors_where_there_are_some, store_begin, store_end),
        cmocka_unit_test_setup_teardown(finds_by_every_leg, store_begin, store_end),
        cmocka_unit_test_setup_teardown(legs_that_are_not_there_say_so, store_begin, store_end),
        cmocka_unit_test_setup_teardown(nothing_in_a_text_looked_for_has_a_meaning, store_begin, store_end),
        cmocka_unit_test_setup_teardown(token_vectors_are_finite, store_begin, store_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
