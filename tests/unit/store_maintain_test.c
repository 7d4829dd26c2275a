/* Keeping a store: what a check finds, compaction under readers' eyes, backups, export and import. */
#include "store/maintain.h"

#include <fcntl.h>
#include <math.h>
#include <sys/file.h>

#include "base/alloc.h"
#include "base/file.h"
#include "store/legs.h"
#include "store/store_int.h"
#include "unit/store_fixture.h"

static char faults[4096];
static unsigned parts; /* bits of hd_part */

static void note_fault(hd_part part, const char *what, void *data)
{
    (void)data;
    parts |= 1u << part;
    snprintf(faults + strlen(faults), sizeof faults - strlen(faults), "%s\n", what);
}

static hd_status check(const char *file)
{
    faults[0] = '\0';
    parts = 0;
    return hd__store_check(scratch_path(&s, file), note_fault, NULL, &err);
}

#define assert_clean(file)                                                                                                  \
    do {                                                                                                                    \
        assert_ok(check(file));                                                                                             \
        if (faults[0] != '\0')                                                                                              \
            fail_msg("%s", faults);                                                                                         \
    } while (0)

/* 30 documents of 1 to 7 chunks; every third is gone again. */
static hd_store *fill_store(const char *file, bool sparse)
{
    hd_store *store = open_full(file, sparse);
    hd_write *write;
    assert_ok(hd__write_begin(store, &write, &err));
    size_t first = 0;
    for (size_t i = 0; i < 30; i++) {
        char id[16], text[64];
        snprintf(id, sizeof id, "d%zu", i);
        snprintf(text, sizeof text, "common word%zu", i);
        assert_ok(put_full(write, id, text, first, 1 + i % 7));
        first += 1 + i % 7;
    }
    assert_ok(hd__write_commit(write, &err));
    assert_ok(hd__write_begin(store, &write, &err));
    for (size_t i = 0; i < 30; i += 3) {
        char id[16];
        bool removed;
        snprintf(id, sizeof id, "d%zu", i);
        assert_ok(hd__document_remove(write, id, &removed, &err));
        assert_true(removed);
    }
    assert_ok(hd__write_commit(write, &err));
    return store;
}

/* What every leg says of document d`i`, in words that do not depend on chunks' numbers. */
static void describe(hd_snapshot *snapshot, char *text, size_t bytes)
{
    text[0] = '\0';
    for (size_t i = 0; i < 30; i++) {
        char id[16], word[16];
        snprintf(id, sizeof id, "d%zu", i);
        snprintf(word, sizeof word, "word%zu", i);
        hd_chunk_row *chunks;
        size_t n, n_found, n_trigram;
        hd_ranked ranked[64];
        assert_ok(hd__document_chunks(snapshot, id, &arena, &chunks, &n, &err));
        assert_ok(hd__leg_bm25(snapshot, hd__span_of(word), 64, NULL, ranked, &n_found, &err));
        assert_int_equal(n_found, n);
        for (size_t j = 0; j < n_found; j++)
            assert_int_equal(ranked[j].id, chunks[j].id);
        assert_ok(hd__leg_trigram(snapshot, hd__span_of(word), 64, NULL, ranked, &n_trigram, &err));
        snprintf(text + strlen(text), bytes - strlen(text), "%s: %zu, %zu in code;", id, n, n_trigram);
        for (size_t j = 0; j < n; j++) {
            float dense[4], score;
            const float query[3] = {1, 2, 3};
            assert_ok(hd__leg_vectors(snapshot, &chunks[j].id, 1, dense, &err));
            assert_ok(hd__leg_multi(snapshot, query, 1, &chunks[j].id, 1, &score, &err));
            snprintf(text + strlen(text), bytes - strlen(text), " %.0f%.0f%.0f/%.2f", (double)dense[0], (double)dense[1],
                     (double)dense[2], (double)score);
        }
        snprintf(text + strlen(text), bytes - strlen(text), "\n");
    }
}

static char before[16384], after[16384];

static void describe_store(hd_store *store, char *text)
{
    hd_snapshot *snapshot;
    assert_ok(hd__snapshot_begin(store, &snapshot, &err));
    describe(snapshot, text, sizeof before);
    hd__snapshot_end(snapshot);
}

static void finds_nothing_in_a_good_store(void **state)
{
    (void)state;
    hd_store *store = fill_store("db", true);
    assert_clean("db"); /* also beside who has it open */
    hd__store_close(store);
    assert_clean("db");
    assert_error(check("none"), HD_ERR_NOT_FOUND, "no such index");
    scratch_text(&s, "text", "this is no database, and much too short to be one");
    assert_error(check("text"), HD_ERR_FORMAT, "no SQLite database");
}

static void finds_what_is_wrong(void **state)
{
    (void)state;
    static const struct {
        const char *damage;
        hd_part part;
        const char *says;
    } cases[] = {
        {"UPDATE state SET n_documents = n_documents + 1", HD_PART_ROWS, "1 documents are there"},
        {"DELETE FROM chunk WHERE id = (SELECT max(id) FROM chunk)", HD_PART_ROWS, "1 chunks are missing"},
        {"UPDATE chunk SET document = 99 WHERE id = (SELECT max(id) FROM chunk)", HD_PART_ROWS, "1 chunks are not in"},
        {"UPDATE document SET metadata = '[]' WHERE id = 'd1'", HD_PART_ROWS, "1 documents have metadata"},
        {"UPDATE document SET metadata = 'x' WHERE id = 'd1'", HD_PART_ROWS, "1 documents have metadata"},
        {"UPDATE document SET hash = x'00' WHERE id = 'd1'", HD_PART_ROWS, "hash"},
        {"UPDATE live SET bits = zeroblob(2048)", HD_PART_ROWS, "damaged"},
        {"UPDATE live SET bits = CAST(x'ff' || substr(bits, 2) AS BLOB)", HD_PART_ROWS, "damaged"},
        {"UPDATE state SET n_chunks = n_chunks + 1", HD_PART_VECTORS, "vectors of"},
        {"UPDATE identity SET n_dimensions = -4", HD_PART_ROWS, "-4"},
        {"DELETE FROM state", HD_PART_ROWS, "state makes no sense"},
        {"INSERT INTO token_vectors VALUES(100000, x'00')", HD_PART_VECTORS, "1 token vectors"},
        {"UPDATE token_vectors SET vectors = x'0011' WHERE chunk = (SELECT max(chunk) FROM token_vectors)", HD_PART_VECTORS,
         "1 token vectors"},
        {"UPDATE chunk SET text = 'another text' WHERE is_code AND id = (SELECT max(id) FROM chunk WHERE is_code)",
         HD_PART_TRIGRAMS, "trigrams"},
        {"UPDATE chunk SET text = text || '.' WHERE id > (SELECT max(id) FROM chunk) - 2", HD_PART_ROWS,
         "document d29: 2 of its chunks are not what was written"},
        {"UPDATE document SET title = 'x' WHERE id = 'd2'", HD_PART_ROWS, "document d2 is not what was written"},
        {"UPDATE document SET checksum = checksum + 1 WHERE id = 'd2'", HD_PART_ROWS, "document d2 is not what was written"},
        {"DELETE FROM vector_halves", HD_PART_VECTORS, ""},
        {"UPDATE vector_codes SET bytes = zeroblob(length(bytes))", HD_PART_VECTORS, ""},
        {"DELETE FROM postings_rows", HD_PART_WORDS, ""},
        {"INSERT INTO postings_rows VALUES(99 << 32, x'00')", HD_PART_WORDS, "1 rows of words are of no segment"},
        {"DROP TABLE postings_state", HD_PART_WORDS, ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        hd__store_close(fill_store("db", true));
        run_sql(scratch_path(&s, "db"), cases[i].damage);
        assert_ok(check("db"));
        if ((parts & 1u << cases[i].part) == 0 || strstr(faults, cases[i].says) == NULL)
            fail_msg("%s: parts %x, %s", cases[i].damage, parts, faults);
        assert_int_equal(unlink(scratch_path(&s, "db")), 0);
    }
}

/* Whoever reads the file says what is wrong or gives wrong rows, and goes on living. */
static void read_damaged(const char *path)
{
    hd_store *store = NULL;
    hd_snapshot *snapshot;
    if (hd__store_open(path, &(hd_store_options){0}, &store, &err) != HD_OK)
        return;
    if (hd__snapshot_begin(store, &snapshot, &err) == HD_OK) {
        hd_ranked ranked[8];
        size_t n;
        hd_chunk_row *chunks;
        const float query[4] = {1, 1, 1, 1};
        HD_IGNORE(hd__leg_bm25(snapshot, hd__span_of("common"), 8, NULL, ranked, &n, &err));
        HD_IGNORE(hd__leg_dense(snapshot, query, 8, NULL, false, ranked, &n, &err));
        HD_IGNORE(hd__leg_trigram(snapshot, hd__span_of("common"), 8, NULL, ranked, &n, &err));
        HD_IGNORE(hd__document_chunks(snapshot, "d1", &arena, &chunks, &n, &err));
        hd__snapshot_end(snapshot);
    }
    hd_write *write;
    if (hd__write_begin(store, &write, &err) == HD_OK) {
        if (put_full(write, "d1", "other", 0, 3) == HD_OK)
            HD_IGNORE(hd__write_commit(write, &err));
        else
            hd__write_abandon(write);
    }
    hd__store_close(store);
}

enum { PAGE = 8192, PLACES = 4 };

/* Each page, at its head, where a check must see it, and at other places, which may be free. */
static void survives_damaged_pages(void **state)
{
    (void)state;
    hd__store_close(fill_store("db", true));
    const char *copy = scratch_path(&s, "copy");
    hd_span bytes;
    assert_ok(hd__file_read(scratch_path(&s, "db"), 1u << 30, &arena, &bytes, &err));
    assert_true(bytes.len % PAGE == 0 && bytes.len / PAGE > 15);
    char *damaged = hd__arena_alloc(&arena, bytes.len);
    for (size_t i = 0; i < PLACES * (bytes.len / PAGE); i++) {
        const size_t page = i / PLACES, head = page == 0 ? 100 : 0; /* the file's own head is before the first page's */
        const size_t at = page * PAGE + (i % PLACES == 0 ? head : PAGE - 997 * (i % PLACES));
        memcpy(damaged, bytes.ptr, bytes.len);
        for (size_t j = at; j < at + 48; j++)
            damaged[j] = (char)(damaged[j] ^ 0x5a);
        scratch_write(&s, "copy", damaged, bytes.len);
        faults[0] = '\0';
        const hd_status status = hd__store_check(copy, note_fault, NULL, &err);
        if (i % PLACES == 0 && status == HD_OK && faults[0] == '\0')
            fail_msg("page %zu is damaged, and the check has not seen it", page);
        read_damaged(copy);
        unlink(copy);
        unlink(scratch_path(&s, "copy-wal"));
        unlink(scratch_path(&s, "copy-shm"));
    }
}

/* Turns each byte of a text, wherever it stands in the file, and asks the check about it. */
static void turn_bytes_of(const char *text, hd_span file)
{
    unsigned n_places = 0;
    char *damaged = hd__arena_alloc(&arena, file.len);
    for (const char *at = file.ptr; (at = memmem(at, (size_t)(file.ptr + file.len - at), text, strlen(text))) != NULL;
         at++) {
        n_places++;
        for (size_t i = 0; i < strlen(text); i++) {
            memcpy(damaged, file.ptr, file.len);
            damaged[(size_t)(at - file.ptr) + i] ^= (char)(1u << i % 8);
            scratch_write(&s, "copy", damaged, file.len);
            assert_ok(check("copy"));
            if ((parts & 1u << HD_PART_ROWS) == 0 || strstr(faults, "document one") == NULL)
                fail_msg("byte %zu of %s has turned: parts %x, %s", i, text, parts, faults);
        }
    }
    assert_int_equal(n_places, 1);
}

static void notices_bytes_of_texts_that_turn(void **state)
{
    (void)state;
    hd_store *store = open_store();
    hd_document_row document = document_of("one");
    document.title = "Zweck";
    document.author = "Quill";
    document.metadata = "{\"jolly\": \"vex\"}";
    hd_chunk_row chunks[2] = {{.key = "kiosk", .section = "Yacht > Xylem", .text = hd__span_of("Juggling, by foxes")},
                              {.key = "", .section = "", .text = hd__span_of("and wizards in a hurry")}};
    hd_write *write;
    assert_ok(hd__write_begin(store, &write, &err));
    assert_ok(hd__document_put(write, &document, chunks, NULL, 2, &err));
    assert_ok(hd__write_commit(write, &err));
    hd__store_close(store);
    assert_clean("db");
    hd_span file;
    assert_ok(hd__file_read(scratch_path(&s, "db"), 1u << 30, &arena, &file, &err));
    const char *const texts[] = {"Zweck", "Quill", "jolly", "kiosk", "Yacht > Xylem", "Juggling, by foxes", "in a hurry"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        turn_bytes_of(texts[i], file);

    run_sql(scratch_path(&s, "db"), "UPDATE chunk SET line = 9 WHERE key = 'kiosk'");
    store = open_store(); /* what is written anew is not made right by that */
    assert_ok(hd__store_compact(store, &err));
    hd__store_close(store);
    assert_ok(check("db"));
    assert_string_equal(faults, "document one: 1 of its chunks are not what was written\n");
}

static void mends_what_is_derived(void **state)
{
    (void)state;
    hd__store_close(fill_store("db", true));
    run_sql(scratch_path(&s, "db"),
            "INSERT INTO trigram(rowid, text) SELECT max(id), 'another text' FROM chunk WHERE is_code");
    assert_ok(check("db"));
    assert_int_equal(parts, 1u << HD_PART_TRIGRAMS);
    hd_store *store = open_full("db", true);
    assert_ok(hd__store_mend(store, &err));
    hd__store_close(store);
    assert_clean("db");
}

static void compacts_under_readers_eyes(void **state)
{
    (void)state;
    hd_store *store = fill_store("db", true), *other = open_full("db", true);
    describe_store(store, before);
    hd_snapshot *old;
    assert_ok(hd__snapshot_begin(other, &old, &err));
    const uint32_t n_live = hd__snapshot_live(old)->n_set;
    assert_true(hd__snapshot_live(old)->n > n_live);
    assert_ok(hd__store_compact(store, &err));
    describe(old, after, sizeof after); /* still in the old numbers */
    assert_string_equal(before, after);
    assert_true(hd__snapshot_live(old)->n > n_live);

    hd_snapshot *new;
    assert_ok(hd__snapshot_begin(other, &new, &err));
    assert_true(hd__snapshot_live(new)->n == n_live && hd__snapshot_live(new)->n_set == n_live);
    assert_true(hd__snapshot_version(new) > hd__snapshot_version(old));
    describe(new, after, sizeof after);
    assert_string_equal(before, after);
    hd__snapshot_end(old);
    hd__snapshot_end(new);
    describe_store(store, after);
    assert_string_equal(before, after);
    assert_clean("db");
    assert_int_not_equal(access(scratch_path(&s, "db-compact"), F_OK), 0);

    hd_write *write; /* and both go on writing, with the next numbers */
    assert_ok(hd__write_begin(other, &write, &err));
    assert_ok(put_full(write, "d0", "common word0", 0, 2));
    assert_ok(hd__write_commit(write, &err));
    assert_ok(hd__write_begin(store, &write, &err));
    assert_ok(put_full(write, "d3", "common word3", 0, 2));
    assert_ok(hd__write_commit(write, &err));
    assert_int_equal(count_live(store), n_live + 4);
    describe_store(store, before);
    describe_store(other, after);
    assert_string_equal(before, after);
    hd__store_close(store);
    hd__store_close(other);
    assert_clean("db");
}

static void compacts_what_is_empty_or_without_vectors(void **state)
{
    (void)state;
    hd_store *store = open_store();
    assert_ok(hd__store_compact(store, &err));
    assert_int_equal(count_live(store), 0);
    commit_text(store, "a", "one", 3);
    commit_text(store, "a", "two", 2);
    scratch_text(&s, "db-compact", "what a killed compaction left behind");
    assert_ok(hd__store_compact(store, &err));
    assert_int_equal(count_live(store), 2);
    commit_text(store, "a", "", 2); /* chunks without a word */
    assert_ok(hd__store_compact(store, &err));
    assert_int_equal(count_live(store), 2);
    hd__store_close(store);
    assert_clean("db");
}

static void one_compacts_at_a_time(void **state)
{
    (void)state;
    hd_store *store = open_store(), *reader = NULL;
    const char *path = scratch_text(&s, "db-compact", "");
    const int fd = open(path, O_RDWR | O_CLOEXEC);
    assert_int_equal(flock(fd, LOCK_EX), 0);
    assert_error(hd__store_compact(store, &err), HD_ERR_BUSY, "another process is compacting it");
    close(fd);
    assert_ok(hd__store_compact(store, &err));
    assert_ok(hd__store_open(scratch_path(&s, "db"), &(hd_store_options){.read_only = true}, &reader, &err));
    assert_error(hd__store_compact(reader, &err), HD_ERR_UNSUPPORTED, "reading alone");
    hd__store_close(reader);
    hd__store_close(store);
}

static void a_compaction_that_fails_leaves_all_as_it_was(void **state)
{
    (void)state;
    hd_store *store = fill_store("db", true);
    describe_store(store, before);
    const uint32_t n_live = count_live(store);
    bool all_done = false;
    for (uint64_t n = 0; !all_done; n += 3) {
        hd__alloc_fail_after(n, 1);
        const hd_status status = hd__store_compact(store, &err);
        hd__alloc_fail_off();
        assert_true(status == HD_OK || status == HD_ERR_MEMORY);
        all_done = status == HD_OK;
        assert_int_equal(count_live(store), n_live);
    }
    describe_store(store, after);
    assert_string_equal(before, after);
    hd__store_close(store);
    assert_clean("db");
}

static void tidies_when_it_pays(void **state)
{
    (void)state;
    hd_store *store = open_store();
    hd_write *write;
    assert_ok(hd__write_begin(store, &write, &err));
    for (unsigned i = 0; i < 2 * HD_STORE_TIDY_CHUNKS / 50; i++) {
        char id[16];
        snprintf(id, sizeof id, "%u", i);
        assert_ok(put_text(write, id, "x", 50));
    }
    assert_ok(hd__write_commit(write, &err));
    bool compacted = true;
    assert_ok(hd__store_tidy(store, &compacted, &err));
    assert_false(compacted);
    assert_ok(hd__write_begin(store, &write, &err));
    for (unsigned i = 0; i < HD_STORE_TIDY_CHUNKS / 50; i++) {
        char id[16];
        snprintf(id, sizeof id, "%u", i);
        assert_ok(hd__document_remove(write, id, &compacted, &err));
    }
    assert_ok(hd__write_commit(write, &err));
    assert_ok(hd__store_tidy(store, &compacted, &err)); /* half are dead, but no more than 10,000 */
    assert_false(compacted);
    assert_true(remove_text(store, "399"));
    assert_ok(hd__store_tidy(store, &compacted, &err));
    assert_true(compacted);
    hd_snapshot *snapshot;
    assert_ok(hd__snapshot_begin(store, &snapshot, &err));
    assert_int_equal(hd__snapshot_live(snapshot)->n, HD_STORE_TIDY_CHUNKS - 50);
    hd__snapshot_end(snapshot);
    hd__store_close(store);
}

static bool write_meanwhile(uint64_t done, uint64_t all, void *data)
{
    assert_true(done <= all);
    hd_write *write;
    assert_ok(hd__write_begin(data, &write, &err));
    assert_ok(put_full(write, "meanwhile", "text", 0, 1));
    assert_ok(hd__write_commit(write, &err));
    return true;
}

static bool never(uint64_t done, uint64_t all, void *data)
{
    (void)done, (void)all, (void)data;
    return false;
}

static void backs_up_while_others_write(void **state)
{
    (void)state;
    hd_store *store = fill_store("db", true);
    hd_write *write; /* so many pages that progress is asked */
    assert_ok(hd__write_begin(store, &write, &err));
    char *large = hd__malloc(8u << 20);
    memset(large, ' ', 8u << 20);
    const hd_document_row document = document_of("large");
    hd_chunk_row chunk = {.key = "", .section = "", .text = {large, 8u << 20}};
    const float dense[4] = {1};
    for (int i = 0; i < 3; i++) {
        char id[16];
        snprintf(id, sizeof id, "l%d", i);
        hd_document_row each = document;
        each.id = id;
        assert_ok(hd__document_put(write, &each, &chunk, &(hd_chunk_vectors){.dense = dense}, 1, &err));
    }
    assert_ok(hd__write_commit(write, &err));
    hd__free(large);
    describe_store(store, before);
    const uint32_t n_live = count_live(store);
    const char *path = scratch_path(&s, "copy");
    assert_error(hd__store_backup(store, path, never, NULL, &err), HD_ERR_CANCELLED, "cancelled");
    assert_int_not_equal(access(path, F_OK), 0);
    assert_ok(hd__store_backup(store, path, write_meanwhile, store, &err));
    assert_int_equal(count_live(store), n_live + 1);
    assert_error(hd__store_backup(store, path, NULL, NULL, &err), HD_ERR_ARG, "a new name");
    assert_status(hd__store_backup(store, scratch_path(&s, "none/copy"), NULL, NULL, &err), HD_ERR_IO);
    hd__store_close(store);
    assert_clean("copy");
    store = open_full("copy", true);
    assert_int_equal(count_live(store), n_live);
    describe_store(store, after);
    assert_string_equal(before, after);
    hd__store_close(store);
}

static hd_status append_line(hd_span line, void *data, hd_error *e)
{
    (void)e;
    assert_true(line.len > 0 && memchr(line.ptr, '\n', line.len) == line.ptr + line.len - 1);
    hd__buffer_append(data, line.ptr, line.len);
    return HD_OK;
}

static hd_status cancel(hd_span line, void *data, hd_error *e)
{
    (void)line, (void)data;
    return hd__fail(e, HD_ERR_CANCELLED, "enough");
}

static void export_to(hd_store *store, bool with_vectors, hd_buffer *lines)
{
    hd_snapshot *snapshot;
    assert_ok(hd__snapshot_begin(store, &snapshot, &err));
    assert_ok(hd__store_export(snapshot, with_vectors, append_line, lines, &err));
    hd__snapshot_end(snapshot);
}

static void import_from(hd_store *store, const hd_buffer *lines)
{
    hd_write *write;
    assert_ok(hd__write_begin(store, &write, &err));
    const char *at = memchr(lines->ptr, '\n', lines->len), *end = lines->ptr + lines->len;
    for (at++; at < end; at = (const char *)memchr(at, '\n', (size_t)(end - at)) + 1)
        assert_ok(
            hd__store_import(write, hd__span(at, (size_t)((const char *)memchr(at, '\n', (size_t)(end - at)) - at)), &err));
    assert_ok(hd__write_commit(write, &err));
}

/* The weights and token vectors of the chunk are what exports_and_imports gave it. */
static void finds_by_weights_and_tokens(hd_store *store, hd_snapshot *snapshot, hd_chunk_id chunk, const uint32_t *ids,
                                        const float *weights)
{
    hd_ranked ranked[128];
    size_t n_ranked;
    for (size_t i = 0; i < 3; i++) { /* each weight is that of its token; the others have one of 5, too */
        assert_ok(hd__leg_sparse(snapshot, (hd_sparse_vector){&ids[i], &(float){1}, 1}, 128, NULL, ranked, &n_ranked, &err));
        assert_int_equal(n_ranked, i == 1 ? count_live(store) : 1);
        assert_int_equal(ranked[n_ranked - 1].id, chunk);
        assert_true(fabsf(ranked[n_ranked - 1].score - weights[i]) < 1e-4f);
    }
    float score;
    assert_ok(hd__leg_multi(snapshot, (const float[]){0, -1, 1}, 1, &chunk, 1, &score, &err));
    assert_true(fabsf(score - 1.25f) < 0.01f);
}

static void exports_and_imports(void **state)
{
    (void)state;
    hd_store *store = fill_store("db", true);
    hd_document_row odd = document_of("odd \xff\n\"id\"");
    odd.path = "/\xfe";
    odd.cut = "by hand";
    odd.created_at = -7;
    odd.hash = (hd_hash128){.low = 0x0123456789abcdef, .high = 5};
    odd.metadata = "{\"a\": [1, 2.5, null],\n \"b\": \"x \\n\"}";
    hd_chunk_row chunk = {.key = "k",
                          .section = "s",
                          .text = {"a\0b", 3},
                          .ordinal = 7,
                          .begin = 1,
                          .end = 4,
                          .line = 2,
                          .page = 3,
                          .is_code = true};
    const float dense[4] = {0.1f, 0.7f, -0.2f, 0.3f}, tokens[6] = {0.5f, -1, 0.25f, 0, 0, 0}, weights[3] = {2, 0.375f, 0.1f};
    const uint32_t ids[3] = {0, 5, UINT32_MAX};
    const hd_chunk_vectors vectors = {
        .dense = dense, .sparse = {ids, weights, 3}, .token_vectors = tokens, .n_token_vectors = 2};
    hd_write *write;
    assert_ok(hd__write_begin(store, &write, &err));
    assert_ok(hd__document_put(write, &odd, &chunk, &vectors, 1, &err));
    assert_ok(hd__write_commit(write, &err));

    hd_buffer first, second;
    hd__buffer_init(&first);
    hd__buffer_init(&second);
    export_to(store, true, &first);
    hd_export_head head;
    assert_ok(hd__store_read_head(hd__span(first.ptr, (size_t)((char *)memchr(first.ptr, '\n', first.len) - first.ptr)),
                                  &arena, &head, &err));
    assert_string_equal(head.identity.model, "m");
    assert_string_equal(head.language, "english");
    assert_true(head.identity.n_dimensions == 4 && head.identity.n_token_dimensions == 3 && head.with_vectors);
    hd_store *again = open_full("again", true);
    import_from(again, &first);
    describe_store(store, before);
    describe_store(again, after);
    assert_string_equal(before, after);
    hd_snapshot *snapshot;
    assert_ok(hd__snapshot_begin(again, &snapshot, &err));
    const hd_document_row *read;
    assert_ok(hd__document_get(snapshot, odd.id, &arena, &read, &err));
    assert_non_null(read);
    assert_string_equal(read->path, "/\xfe");
    assert_string_equal(read->cut, "by hand");
    assert_string_equal(read->metadata, "{\"a\":[1,2.5,null],\"b\":\"x \\n\"}");
    assert_true(read->created_at == -7 && read->hash.low == odd.hash.low && read->hash.high == 5);
    hd_chunk_row *chunks;
    size_t n;
    assert_ok(hd__document_chunks(snapshot, odd.id, &arena, &chunks, &n, &err));
    assert_true(n == 1 && hd__span_equal(chunks[0].text, hd__span("a\0b", 3)) && chunks[0].is_code);
    finds_by_weights_and_tokens(again, snapshot, chunks[0].id, ids, weights);
    hd__snapshot_end(snapshot);
    export_to(again, true, &second); /* what is exported of the import is the same, but for how metadata is written */
    hd__store_close(again);
    again = open_full("third", true);
    import_from(again, &second);
    hd__buffer_reset(&first);
    export_to(again, true, &first);
    assert_true(hd__span_equal(hd__buffer_span(&first), hd__buffer_span(&second)));
    hd__store_close(again);
    hd__buffer_clear(&first);
    hd__buffer_clear(&second);
    hd__store_close(store);
    assert_clean("again");
}

/* Chunk i has token i alone, with a weight of its own; documents' ids are in another order than their chunks'. */
static void exports_more_weights_than_are_read_at_once(void **state)
{
    (void)state;
    enum { DOCUMENTS = 280, CHUNKS = 64 };
    const hd_identity identity = {.model = "m", .fingerprint = "f", .similarity = "dot", .has_sparse = true};
    const hd_store_options options = {.create = true, .identity = &identity};
    hd_store *stores[2] = {NULL, NULL};
    assert_ok(hd__store_open(scratch_path(&s, "db"), &options, &stores[0], &err));
    assert_ok(hd__store_open(scratch_path(&s, "again"), &options, &stores[1], &err));
    hd_chunk_row chunks[CHUNKS] = {0};
    hd_chunk_vectors vectors[CHUNKS] = {0};
    uint32_t tokens[CHUNKS];
    float weights[CHUNKS];
    hd_write *write;
    assert_ok(hd__write_begin(stores[0], &write, &err));
    for (uint32_t i = 0; i < DOCUMENTS; i++) {
        char id[16];
        snprintf(id, sizeof id, "%u", i * 37 % DOCUMENTS);
        for (uint32_t j = 0; j < CHUNKS; j++) {
            tokens[j] = i * CHUNKS + j;
            weights[j] = (float)(1 + tokens[j] % 1000) / 8;
            chunks[j] = (hd_chunk_row){.key = "", .section = "", .ordinal = j};
            vectors[j].sparse = (hd_sparse_vector){&tokens[j], &weights[j], 1};
        }
        const hd_document_row document = document_of(id);
        assert_ok(hd__document_put(write, &document, chunks, vectors, CHUNKS, &err));
    }
    assert_ok(hd__write_commit(write, &err));
    hd_buffer lines;
    hd__buffer_init(&lines);
    export_to(stores[0], true, &lines);
    import_from(stores[1], &lines);
    hd__buffer_clear(&lines);
    hd_snapshot *snapshot;
    assert_ok(hd__snapshot_begin(stores[1], &snapshot, &err));
    for (uint32_t token = 0; token < DOCUMENTS * CHUNKS; token += 7) {
        hd_ranked ranked[2];
        size_t n;
        hd_chunk_found found;
        char id[16];
        snprintf(id, sizeof id, "%u", token / CHUNKS * 37 % DOCUMENTS);
        assert_ok(hd__leg_sparse(snapshot, (hd_sparse_vector){&token, &(float){1}, 1}, 2, NULL, ranked, &n, &err));
        assert_int_equal(n, 1);
        assert_true(fabsf(ranked[0].score * 8 - (float)(1 + token % 1000)) < 0.01f);
        assert_ok(hd__chunk_get(snapshot, &ranked[0].id, 1, &arena, &found, &err));
        assert_string_equal(found.document->id, id);
        assert_int_equal(found.chunk.ordinal, token % CHUNKS);
    }
    hd__snapshot_end(snapshot);
    hd__store_close(stores[0]);
    hd__store_close(stores[1]);
}

static void an_export_without_memory_says_so(void **state)
{
    (void)state;
    hd_store *store = fill_store("db", true);
    hd_snapshot *snapshot;
    hd_buffer lines;
    hd__buffer_init(&lines);
    assert_ok(hd__snapshot_begin(store, &snapshot, &err));
    hd_status status = HD_ERR_MEMORY;
    for (uint64_t n = 0; status != HD_OK; n++) {
        hd__buffer_reset(&lines);
        hd__alloc_fail_after(n, 1);
        status = hd__store_export(snapshot, true, append_line, &lines, &err);
        hd__alloc_fail_off();
        if (lines.failed && status == HD_OK) /* it was the memory of this test */
            status = HD_ERR_MEMORY;
        assert_true(status == HD_OK || status == HD_ERR_MEMORY);
    }
    hd__snapshot_end(snapshot);
    hd__buffer_clear(&lines);
    hd__store_close(store);
}

static void exports_words_alone(void **state)
{
    (void)state;
    hd_store *store = fill_store("db", true);
    hd_snapshot *snapshot;
    hd_buffer lines;
    hd__buffer_init(&lines);
    assert_ok(hd__snapshot_begin(store, &snapshot, &err));
    assert_ok(hd__store_export(snapshot, false, append_line, &lines, &err));
    assert_status(hd__store_export(snapshot, false, cancel, NULL, &err), HD_ERR_CANCELLED);
    hd__snapshot_end(snapshot);
    hd__store_close(store);
    store = NULL; /* for words alone */
    assert_ok(hd__store_open(scratch_path(&s, "words"), &(hd_store_options){.create = true}, &store, &err));
    import_from(store, &lines);
    hd__buffer_clear(&lines);
    assert_ok(hd__snapshot_begin(store, &snapshot, &err));
    hd_ranked ranked[64];
    size_t n;
    assert_ok(hd__leg_bm25(snapshot, hd__span_of("word5"), 64, NULL, ranked, &n, &err));
    assert_int_equal(n, 6);
    hd__snapshot_end(snapshot);
    hd__store_close(store);
}

static void refuses_lines_that_are_no_documents(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "",
        "x",
        "[]",
        "{}",
        "{\"id\": 5}",
        "{\"id\": {\"base64\": \"AA==\"}}",
        "{\"id\": {\"base64\": 7}}",
        "{\"id\": {\"base64\": \"!\"}}",
        "{\"id\": \"a\", \"metadata\": []}",
        "{\"id\": \"a\", \"hash\": \"12\"}",
        "{\"id\": \"a\", \"hash\": \"0123456789abcdef0123456789abcdeX\"}",
        "{\"id\": \"a\", \"size\": -1}",
        "{\"id\": \"a\", \"created_at\": 1.5}",
        "{\"id\": \"a\", \"chunks\": {}}",
        "{\"id\": \"a\", \"chunks\": [1]}",
        "{\"id\": \"a\", \"chunks\": [{\"ordinal\": 4294967296}]}",
        "{\"id\": \"a\", \"chunks\": [{\"is_code\": 1}]}",
        "{\"id\": \"a\", \"chunks\": [{\"text\": \"x\"}]}", /* without its vector */
        "{\"id\": \"a\", \"chunks\": [{\"vector\": \"AAAA\"}]}",
        "{\"id\": \"a\", \"chunks\": [{\"vector\": \"AACAPwAAAAA=\"}]}",
        "{\"id\": \"a\", \"chunks\": [{\"vector\": \"AACAPwAAAAAAAAAAAAAAAA==\", \"token_vectors\": \"AACAPw==\"}]}",
        "{\"id\": \"a\", \"chunks\": [{\"vector\": \"AACAPwAAAAAAAAAAAAAAAA==\", \"sparse_weights\": \"AACAPw==\"}]}",
        "{\"id\": \"a\", \"chunks\": [{\"vector\": \"AACAPwAAAAAAAAAAAAAAAA==\", \"sparse_tokens\": \"AAAAAA==\", "
        "\"sparse_weights\": \"AACAPw==\"}]}", /* the index has none */
    };
    hd_store *store = open_full("db", false);
    hd_write *write;
    assert_ok(hd__write_begin(store, &write, &err));
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        const hd_status status = hd__store_import(write, hd__span_of(lines[i]), &err);
        if (status != HD_ERR_FORMAT && status != HD_ERR_ARG)
            fail_msg("%s: %s", lines[i], hd_status_name(status));
    }
    const char *good =
        "{\"id\": \"a\", \"chunks\": [{\"vector\": \"AACAPwAAAAAAAAAAAAAAAA==\", \"text\": \"x\"}], \"more\": 1}";
    assert_ok(hd__store_import(write, hd__span_of(good), &err));
    assert_ok(hd__write_commit(write, &err));
    assert_int_equal(count_live(store), 1);
    hd__store_close(store);
    hd_export_head head;
    assert_error(hd__store_read_head(hd__span_of("{}"), &arena, &head, &err), HD_ERR_FORMAT, "first line");
    assert_error(hd__store_read_head(hd__span_of("{\"heddle\": \"index\", \"version\": 2}"), &arena, &head, &err),
                 HD_ERR_UNSUPPORTED, "version 2");
    assert_error(hd__store_read_head(hd__span_of("{\"heddle\": \"index\", \"version\": 1, \"n_dimensions\": 1048577}"),
                                     &arena, &head, &err),
                 HD_ERR_FORMAT, "1048577");
}

static void tells_what_it_takes(void **state)
{
    (void)state;
    hd_store *store = fill_store("db", true);
    hd_snapshot *snapshot;
    assert_ok(hd__snapshot_begin(store, &snapshot, &err));
    hd_store_usage usage;
    assert_ok(hd__store_get_usage(snapshot, &usage, &err));
    assert_int_equal(usage.n_documents, 20);
    assert_int_equal(usage.n_chunks, hd__snapshot_live(snapshot)->n_set);
    assert_int_equal(usage.n_dead_chunks, hd__snapshot_live(snapshot)->n - hd__snapshot_live(snapshot)->n_set);
    assert_true(usage.n_terms > 20 && usage.file_bytes > 50000);
    hd_store_sizes sizes;
    const hd_status status = hd__store_measure(snapshot, &sizes, &err);
    if (status != HD_ERR_UNSUPPORTED) {
        assert_ok(status);
        assert_true(sizes.documents > 0 && sizes.chunks > 0 && sizes.trigrams > 0 && sizes.postings > 0);
        assert_true(sizes.vectors > 0 && sizes.token_vectors > 0 && sizes.other > 0);
    }
    hd__snapshot_end(snapshot);
    hd__store_close(store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(finds_nothing_in_a_good_store, store_begin, store_end),
        cmocka_unit_test_setup_teardown(finds_what_is_wrong, store_begin, store_end),
        cmocka_unit_test_setup_teardown(survives_damaged_pages, store_begin, store_end),
        cmocka_unit_test_setup_teardown(notices_bytes_of_texts_that_turn, store_begin, store_end),
        cmocka_unit_test_setup_teardown(mends_what_is_derived, store_begin, store_end),
        cmocka_unit_test_setup_teardown(compacts_under_readers_eyes, store_begin, store_end),
        cmocka_unit_test_setup_teardown(compacts_what_is_empty_or_without_vectors, store_begin, store_end),
        cmocka_unit_test_setup_teardown(one_compacts_at_a_time, store_begin, store_end),
        cmocka_unit_test_setup_teardown(a_compaction_that_fails_leaves_all_as_it_was, store_begin, store_end),
        cmocka_unit_test_setup_teardown(tidies_when_it_pays, store_begin, store_end),
        cmocka_unit_test_setup_teardown(backs_up_while_others_write, store_begin, store_end),
        cmocka_unit_test_setup_teardown(exports_and_imports, store_begin, store_end),
        cmocka_unit_test_setup_teardown(exports_more_weights_than_are_read_at_once, store_begin, store_end),
        cmocka_unit_test_setup_teardown(an_export_without_memory_says_so, store_begin, store_end),
        cmocka_unit_test_setup_teardown(exports_words_alone, store_begin, store_end),
        cmocka_unit_test_setup_teardown(refuses_lines_that_are_no_documents, store_begin, store_end),
        cmocka_unit_test_setup_teardown(tells_what_it_takes, store_begin, store_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
