/* indexer.c, ingest_*.c, prepared.c and index.c with a store and a fake embedder: all chunks get their own vectors whatever
 * the batches; embedders that fail, memory that fails and runs that are cut off leave whole documents and a next run that
 * goes on.
 */
#include "search/handle.h"

#include "base/alloc.h"
#include "store/legs.h"
#include "unit/store_fixture.h"

enum { DIMENSIONS = 8 };

/* ---- an embedder whose vectors tell their text ---- */

struct hd_embedded {
    hd_chunk_vectors *vectors;
    float *rows;
    size_t n;
};

static struct {
    uint64_t n_texts, n_live;       /* given to it; batches not freed */
    uint64_t fail_start, fail_wait; /* at the so manieth, from 1; 0: never */
    uint64_t n_starts, n_waits;
} fake;

static void vector_of(hd_text text, float *row)
{
    for (size_t i = 0; i < DIMENSIONS; i++)
        row[i] = (float)(hd__hash64(hd__span(text.ptr, text.len), i) % 1000) - 500;
}

static void fake_free(hd_embedded *e)
{
    fake.n_live--;
    free(e->vectors);
    free(e->rows);
    free(e);
}

static hd_status fake_start(void *data, const hd_text *texts, size_t n, hd_embedded **out, hd_error *e)
{
    (void)data;
    if (++fake.n_starts == fake.fail_start)
        return hd__fail(e, HD_ERR_NUMERIC, "fake: start");
    hd_embedded *embedded = calloc(1, sizeof *embedded);
    embedded->n = n;
    embedded->rows = calloc(n * DIMENSIONS, sizeof(float));
    embedded->vectors = calloc(n, sizeof *embedded->vectors);
    for (size_t i = 0; i < n; i++) {
        vector_of(texts[i], embedded->rows + i * DIMENSIONS);
        embedded->vectors[i].dense = embedded->rows + i * DIMENSIONS;
    }
    fake.n_texts += n;
    fake.n_live++;
    *out = embedded;
    return HD_OK;
}

static hd_status fake_wait(hd_embedded *e, const hd_chunk_vectors **vectors, uint64_t *n_tokens, hd_error *error)
{
    if (++fake.n_waits == fake.fail_wait)
        return hd__fail(error, HD_ERR_NUMERIC, "fake: wait");
    *vectors = e->vectors;
    *n_tokens = e->n;
    return HD_OK;
}

static hd_embedder embedder = {
    .identity = {.model = "fake", .fingerprint = "1", .similarity = "dot", .n_dimensions = DIMENSIONS},
    .max_tokens = 64,
    .start = fake_start,
    .wait = fake_wait,
    .free = fake_free,
};

static hd_index index_of_test;

static hd_index *open_index(void)
{
    const hd_store_options options = {.create = true, .identity = &embedder.identity, .n_threads = 1};
    memset(&fake, 0, sizeof fake);
    index_of_test = (hd_index){.embedder = &embedder};
    assert_ok(hd__store_open(scratch_path(&s, "db"), &options, &index_of_test.store, &err));
    return &index_of_test;
}

static void close_index(hd_index *index)
{
    assert_int_equal(fake.n_live, 0);
    hd__store_close(index->store);
}

/* ---- what is in it ---- */

static uint64_t n_documents, n_chunks;

/* Every chunk has the vector of its own context and text. */
static hd_status check_document(const hd_document_row *row, void *data, hd_error *e)
{
    hd_snapshot *snapshot = data;
    hd_arena own;
    hd_chunk_row *chunks;
    size_t n;
    hd__arena_init(&own);
    assert_int_equal(hd__document_chunks(snapshot, row->id, &own, &chunks, &n, e), HD_OK);
    assert_int_equal(n, row->n_chunks);
    for (size_t i = 0; i < n; i++) {
        float kept[DIMENSIONS], wanted[DIMENSIONS];
        assert_int_equal(hd__leg_vectors(snapshot, &chunks[i].id, 1, kept, e), HD_OK);
        vector_of((hd_text){chunks[i].text.ptr, chunks[i].text.len}, wanted);
        for (size_t d = 0; d < DIMENSIONS; d++)
            assert_float_equal(kept[d], wanted[d], 0.5); /* 16 bits of up to 500 */
    }
    n_documents++;
    n_chunks += n;
    hd__arena_clear(&own);
    return HD_OK;
}

static void check(hd_index *index, uint64_t documents)
{
    hd_snapshot *snapshot;
    n_documents = n_chunks = 0;
    assert_ok(hd__snapshot_begin(index->store, &snapshot, &err));
    assert_ok(hd__document_each(snapshot, NULL, check_document, snapshot, &err));
    hd__snapshot_end(snapshot);
    assert_int_equal(n_documents, documents);
}

static void write_files(uint32_t first, uint32_t n)
{
    char name[64], text[256];
    for (uint32_t i = first; i < first + n; i++) {
        snprintf(name, sizeof name, "tree/%u/%u.txt", i % 7, i);
        snprintf(text, sizeof text, "This is text number %u. It has two sentences.", i);
        scratch_text(&s, name, text);
    }
}

static hd_status add_tree(hd_index *index, const hd_ingest_options *options, hd_ingest_progress *result)
{
    const char *tree = scratch_path(&s, "tree");
    return hd_index_add_paths(index, &tree, 1, options, result, &err);
}

/* ---- tests ---- */

static void test_batches(void **state)
{
    (void)state;
    hd_index *index = open_index();
    hd_ingest_progress result;
    write_files(0, 1500);
    char *large = malloc(400000); /* a document of several batches */
    size_t n = 0;
    for (int i = 0; n < 399000; i++)
        n += (size_t)sprintf(large + n, "Sentence %d of a document that is long. ", i);
    scratch_write(&s, "tree/3/large.txt", large, n);
    scratch_text(&s, "tree/4/empty.txt", "");
    free(large);
    assert_ok(add_tree(index, NULL, &result));
    assert_int_equal(result.n_added, 1502);
    assert_int_equal(result.n_files_done, result.n_files);
    check(index, 1502);
    assert_true(n_chunks > 1500 + 1400);
    assert_int_equal(result.n_chunks, n_chunks);
    assert_int_equal(fake.n_texts, n_chunks);
    assert_ok(add_tree(index, NULL, &result));
    assert_int_equal(result.n_unchanged, 1502);
    assert_int_equal(fake.n_texts, n_chunks);
    close_index(index);
}

static void test_failing_embedder(void **state)
{
    (void)state;
    hd_index *index = open_index();
    hd_ingest_progress result;
    write_files(0, 1500);
    for (uint64_t i = 1; i <= 3; i++) {
        fake.n_starts = fake.n_waits = 0;
        fake.fail_start = i;
        assert_error(add_tree(index, NULL, NULL), HD_ERR_NUMERIC, "fake: start");
        assert_int_equal(fake.n_live, 0);
        fake.n_starts = fake.fail_start = 0;
        fake.fail_wait = i;
        assert_error(add_tree(index, NULL, NULL), HD_ERR_NUMERIC, "fake: wait");
        assert_int_equal(fake.n_live, 0);
        fake.fail_wait = 0;
    }
    assert_ok(add_tree(index, NULL, &result));
    assert_int_equal(result.n_added + result.n_unchanged, 1500);
    check(index, 1500);
    close_index(index);
}

static uint64_t n_calls, stop_at;

static bool stop_there(const hd_ingest_progress *progress, void *data)
{
    (void)progress, (void)data;
    return ++n_calls != stop_at;
}

static void test_stopping(void **state)
{
    (void)state;
    hd_index *index = open_index();
    hd_ingest_progress result;
    write_files(0, 400);
    for (stop_at = 1; stop_at <= 3; stop_at++) {
        n_calls = 0;
        const hd_status status = add_tree(index, &(hd_ingest_options){.progress = stop_there}, &result);
        assert_true(status == HD_ERR_CANCELLED || n_calls < stop_at);
    }
    assert_ok(add_tree(index, NULL, &result));
    check(index, 400);
    close_index(index);
}

/* Each allocation fails once; what was committed stays, and in the end all is there. */
static void test_memory(void **state)
{
    (void)state;
    hd_index *index = open_index();
    hd_ingest_progress result;
    uint64_t n_failed = 0;
    write_files(0, 3);
    scratch_text(&s, "tree/a.md", "# One\n\nText of it.\n\n# Two\n\nMore text.\n");
    scratch_text(&s, "tree/b.jsonl", "{\"id\": \"x\", \"text\": \"A line.\"}\n{\"text\": \"Another.\"}\n");
    for (uint64_t n = 0; n < 3000; n += n < 300 ? 1 : 17) {
        hd__alloc_fail_after(n, 1);
        const hd_status status = add_tree(index, &(hd_ingest_options){.force = true}, NULL);
        hd__alloc_fail_off();
        assert_int_equal(fake.n_live, 0);
        if (status != HD_OK && status != HD_ERR_MEMORY && status != HD_ERR_CANCELLED)
            fail_msg("allocation %llu: %s: %s", (unsigned long long)n, hd_status_name(status), err.text);
        n_failed += status != HD_OK;
    }
    assert_true(n_failed > 100);
    assert_ok(add_tree(index, &(hd_ingest_options){.force = true}, &result));
    assert_int_equal(result.n_failed, 0);
    hd_snapshot *snapshot;
    hd_store_usage usage;
    assert_ok(hd__snapshot_begin(index->store, &snapshot, &err));
    assert_ok(hd__store_get_usage(snapshot, &usage, &err));
    hd__snapshot_end(snapshot);
    assert_int_equal(usage.n_documents, 6);
    close_index(index);
}

static void test_put(void **state)
{
    (void)state;
    hd_index *index = open_index();
    hd_text ids[3] = {{0}};
    const hd_document documents[] = {
        {.id = "a", .text = {"First text.", 11}, .metadata = "{\"year\": 2020}"},
        {.text = {"Second text.", 12}},
        {.id = "empty", .text = {"  ", 2}},
    };
    assert_ok(hd_index_put(index, documents, 3, ids, &err));
    assert_string_equal(ids[0].ptr, "a");
    assert_int_equal(ids[1].len, 36);
    assert_null(ids[2].ptr);
    check(index, 3);
    hd_text_free(&ids[0]);
    hd_text_free(&ids[1]);
    assert_ok(hd_index_put(index, documents, 1, NULL, &err)); /* replaced */
    check(index, 3);
    const hd_document bad[] = {{.id = "b", .text = {"Fine.", 5}},
                               {.id = "c", .text = {"{\"text\": \n", 10}, .mime = "application/jsonl"}};
    assert_error(hd_index_put(index, bad, 2, NULL, &err), HD_ERR_FORMAT, "document 1 (c)");
    check(index, 3); /* none of them */
    const hd_document plugin = {.id = "p", .text = {"Some text to be found.", 22}, .chunking = HD_CHUNKING_PLUGIN};
    assert_ok(hd_index_put(index, &plugin, 1, NULL, &err));
    uint64_t n_removed;
    const char *gone[] = {"a", "nothing"};
    assert_ok(hd_index_remove(index, gone, 2, NULL, &n_removed, &err));
    assert_int_equal(n_removed, 1);
    assert_ok(hd_index_remove(index, NULL, 0, "id = p OR id = empty", &n_removed, &err));
    assert_int_equal(n_removed, 2);
    check(index, 1);
    index->read_only = true;
    assert_error(hd_index_put(index, documents, 1, NULL, &err), HD_ERR_UNSUPPORTED, "read");
    assert_error(hd_index_remove(index, gone, 1, NULL, NULL, &err), HD_ERR_UNSUPPORTED, "read");
    index->read_only = false;
    index->embedder = NULL;
    assert_error(hd_index_put(index, documents, 1, NULL, &err), HD_ERR_UNSUPPORTED, "no model");
    close_index(index);
}

static void rename_file(const char *from, const char *to)
{
    assert_int_equal(rename(scratch_path(&s, from), scratch_path(&s, to)), 0);
}

/* What was cut by other settings is cut anew, once; what has moved then, too. */
static void test_cut(void **state)
{
    (void)state;
    hd_index *index = open_index();
    hd_ingest_progress result;
    const hd_ingest_options small = {.chunk_tokens = 16}, words = {.chunking = HD_CHUNKING_TOKENS, .chunk_tokens = 16},
                            ids = {.chunking = HD_CHUNKING_ANYLOOM};
    write_files(0, 5);
    scratch_text(&s, "tree/lines.jsonl",
                 "{\"id\": \"x\", \"text\": \"A line that has two sentences. It is the first of two lines, and no more.\"}\n"
                 "{\"text\": \"Another line.\"}\n");
    assert_ok(add_tree(index, NULL, &result));
    assert_int_equal(result.n_added, 7);
    check(index, 7);
    assert_int_equal(n_chunks, 7);

    assert_ok(add_tree(index, &small, &result));
    assert_int_equal(result.n_changed, 7);
    check(index, 7);
    const uint64_t n_small = n_chunks;
    assert_true(n_small > 7);
    assert_ok(add_tree(index, &small, &result));
    assert_int_equal(result.n_unchanged, 7);
    assert_int_equal(result.n_chunks, 0);
    rename_file("tree/0/0.txt", "tree/0/moved.txt");
    assert_ok(add_tree(index, &small, &result));
    assert_int_equal(result.n_moved, 1);
    assert_int_equal(result.n_chunks, 0);

    rename_file("tree/0/moved.txt", "tree/0/again.txt");
    assert_ok(add_tree(index, &words, &result));
    assert_true(result.n_moved == 0 && result.n_added == 1 && result.n_removed == 1 && result.n_changed == 6);
    check(index, 7);

    assert_ok(add_tree(index, &ids, &result));
    assert_int_equal(result.n_changed, 7);
    rename_file("tree/0/again.txt", "tree/0/0.txt"); /* its chunks' ids have the path in them */
    assert_ok(add_tree(index, &ids, &result));
    assert_true(result.n_moved == 0 && result.n_added == 1 && result.n_removed == 1 && result.n_unchanged == 6);
    close_index(index);
}

/* A name tells how a text is read: under another ending it is read anew. */
static void test_moved_ending(void **state)
{
    (void)state;
    hd_index *index = open_index();
    hd_ingest_progress result;
    scratch_text(&s, "tree/notes.txt", "# Heading\n\nText below it.\n");
    scratch_text(&s, "tree/LICENSE", "Do what you like.\n");
    assert_ok(add_tree(index, NULL, &result));
    rename_file("tree/notes.txt", "tree/notes.md");
    mkdir(scratch_path(&s, "tree/legal"), 0777);
    rename_file("tree/LICENSE", "tree/legal/LICENSE");
    assert_ok(add_tree(index, NULL, &result));
    assert_true(result.n_moved == 1 && result.n_added == 1 && result.n_removed == 1);
    hd_snapshot *snapshot;
    hd_chunk_row *chunks;
    size_t n;
    assert_ok(hd__snapshot_begin(index->store, &snapshot, &err));
    assert_ok(hd__document_chunks(snapshot, "tree/notes.md", &arena, &chunks, &n, &err));
    assert_int_equal(n, 1);
    assert_string_equal(chunks[0].section, "Heading");
    hd__snapshot_end(snapshot);
    close_index(index);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_batches, store_begin, store_end),
        cmocka_unit_test_setup_teardown(test_failing_embedder, store_begin, store_end),
        cmocka_unit_test_setup_teardown(test_stopping, store_begin, store_end),
        cmocka_unit_test_setup_teardown(test_memory, store_begin, store_end),
        cmocka_unit_test_setup_teardown(test_put, store_begin, store_end),
        cmocka_unit_test_setup_teardown(test_cut, store_begin, store_end),
        cmocka_unit_test_setup_teardown(test_moved_ending, store_begin, store_end),
    };
    return cmocka_run_group_tests_name("indexer", tests, NULL, NULL);
}
