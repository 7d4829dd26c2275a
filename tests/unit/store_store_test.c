/* The store: opening what it should and refusing the rest, snapshots beside the writer, writes that happen or do not. */
#include "store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/wait.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/limits.h"
#include "store/maintain.h"
#include "store/schema.h"
#include "store/store_int.h"
#include "unit/store_fixture.h"

static void run_on_writer(hd_store *store, const char *sql)
{
    assert_int_equal(sqlite3_exec(store->write.connection.db, sql, NULL, NULL, NULL), SQLITE_OK);
}

static const hd_identity minilm = {
    .model = "all-MiniLM-L6-v2", .fingerprint = "f1", .similarity = "cosine", .n_dimensions = 4, .has_sparse = true};

static hd_status open_path(const char *path, const hd_store_options *options)
{
    hd_store *store = NULL;
    hd_status status = hd__store_open(path, options, &store, &err);
    hd__store_close(store);
    return status;
}

static hd_status open_read(const char *path)
{
    return open_path(path, &(hd_store_options){.read_only = true});
}

static void refuses_what_is_no_index(void **state)
{
    (void)state;
    const char *none = scratch_path(&s, "none");
    assert_error(open_path(none, &(hd_store_options){0}), HD_ERR_NOT_FOUND, "no such index");
    assert_error(open_read(none), HD_ERR_NOT_FOUND, "no such index");
    assert_error(open_path("", &(hd_store_options){.create = true}), HD_ERR_ARG, "empty");
    assert_error(open_path(s.dir, &(hd_store_options){.create = true}), HD_ERR_FORMAT, "not a regular file");
    const char *empty = scratch_text(&s, "empty", "");
    assert_error(open_path(empty, &(hd_store_options){0}), HD_ERR_NOT_FOUND, "empty");
    assert_error(open_read(empty), HD_ERR_NOT_FOUND, "empty");
    char text[5000];
    memset(text, 'a', sizeof text);
    const char *plain = scratch_write(&s, "plain", text, sizeof text);
    assert_error(open_path(plain, &(hd_store_options){.create = true}), HD_ERR_FORMAT, "no SQLite database");
    assert_error(open_read(plain), HD_ERR_FORMAT, "no SQLite database");
    const char *other = scratch_path(&s, "other");
    run_sql(other, "CREATE TABLE t(x)");
    assert_error(open_path(other, &(hd_store_options){.create = true}), HD_ERR_FORMAT, "no index of Heddle");
    char longest[HD_LIMIT_PATH_BYTES + 1];
    memset(longest, 'a', HD_LIMIT_PATH_BYTES);
    longest[HD_LIMIT_PATH_BYTES] = '\0';
    assert_error(open_path(longest, &(hd_store_options){.create = true}), HD_ERR_LIMIT, "4096 bytes, the limit is 4095");
}

static void takes_names_for_names(void **state)
{
    (void)state;
    char before[4096];
    assert_non_null(getcwd(before, sizeof before));
    assert_int_equal(chdir(s.dir), 0);
    static const char *const names[] = {"file:x?mode=memory", ":memory:", "a%41 #?.db", "\xff\xfe"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        assert_ok(open_path(names[i], &(hd_store_options){.create = true}));
        assert_int_equal(access(names[i], F_OK), 0);
        assert_ok(open_read(names[i]));
    }
    assert_int_equal(chdir(before), 0);
}

static void refuses_a_newer_schema(void **state)
{
    (void)state;
    hd__store_close(open_store());
    const char *path = scratch_path(&s, "db");
    run_sql(path, "PRAGMA user_version = 99");
    assert_error(open_path(path, &(hd_store_options){.create = true}), HD_ERR_UNSUPPORTED, "of version 99");
    assert_error(open_read(path), HD_ERR_UNSUPPORTED, "a newer Heddle reads it");
    run_sql(path, "PRAGMA user_version = -1");
    assert_status(open_read(path), HD_ERR_UNSUPPORTED);
}

static hd_status add_column(sqlite3 *db, const void *data, hd_error *e)
{
    (void)data;
    const char *sql = "ALTER TABLE document ADD COLUMN rating INTEGER NOT NULL DEFAULT 7";
    return sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK ? HD_OK : hd__fail(e, HD_ERR_IO, "step");
}

static hd_status fail_step(sqlite3 *db, const void *data, hd_error *e)
{
    (void)db, (void)data;
    return hd__fail(e, HD_ERR_IO, "the step fails");
}

/* As a later Heddle would: version 3 becomes 4 whole, or stays 3. */
static void migrates_whole_or_not_at_all(void **state)
{
    (void)state;
    hd_store *store = open_store();
    commit_text(store, "a", "text", 2);
    hd__store_close(store);
    const char *path = scratch_path(&s, "db");
    sqlite3 *db;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    hd_migration *const broken[] = {NULL, NULL, NULL, add_column, fail_step};
    assert_error(hd__schema_migrate(db, broken, 5, NULL, &err), HD_ERR_IO, "the step fails");
    assert_int_not_equal(sqlite3_exec(db, "SELECT rating FROM document", NULL, NULL, NULL), SQLITE_OK);
    hd_migration *const later[] = {NULL, NULL, NULL, add_column}; /* the first ones have been made: they are not called */
    assert_ok(hd__schema_migrate(db, later, 4, NULL, &err));
    assert_int_equal(sqlite3_exec(db, "SELECT rating FROM document", NULL, NULL, NULL), SQLITE_OK);
    assert_ok(hd__schema_migrate(db, later, 4, NULL, &err)); /* nothing is left to do */
    assert_error(hd__schema_migrate(db, later, 3, NULL, &err), HD_ERR_UNSUPPORTED, "knows versions up to 3");
    sqlite3_close(db);
    assert_error(open_read(path), HD_ERR_UNSUPPORTED, "of version 4");
}

static void count_fault(hd_part part, const char *what, void *data)
{
    (void)part;
    print_error("%s\n", what);
    ++*(int *)data;
}

/* Files of older versions are this one's without the columns that later steps add. */
static void takes_older_versions_further(void **state)
{
    (void)state;
    static const char *const steps_back[] = {
        "ALTER TABLE document DROP COLUMN checksum; ALTER TABLE chunk DROP COLUMN checksum; PRAGMA user_version = 2",
        "ALTER TABLE document DROP COLUMN cut; PRAGMA user_version = 1"};
    for (size_t n = 1; n <= sizeof steps_back / sizeof *steps_back; n++) {
        hd_store *store = open_store();
        commit_text(store, "a", "some text", 3);
        commit_text(store, "b", "other text", 2);
        hd__store_close(store);
        const char *path = scratch_path(&s, "db");
        for (size_t i = 0; i < n; i++)
            run_sql(path, steps_back[i]);
        store = n == 1 ? open_store() : NULL;
        if (store == NULL) /* a reader does it, too */
            assert_ok(hd__store_open(path, &(hd_store_options){.read_only = true}, &store, &err));
        hd_snapshot *snapshot;
        const hd_document_row *read;
        assert_ok(hd__snapshot_begin(store, &snapshot, &err));
        assert_ok(hd__document_get(snapshot, "a", &arena, &read, &err));
        assert_string_equal(read->cut, "");
        assert_int_equal(read->n_chunks, 3);
        hd__snapshot_end(snapshot);
        hd__store_close(store);
        assert_ok(open_read(path));
        store = open_store();
        assert_true(remove_text(store, "b"));
        commit_text(store, "c", "a third text", 1);
        hd__store_close(store);
        int n_faults = 0;
        assert_ok(hd__store_check(path, count_fault, &n_faults, &err));
        assert_int_equal(n_faults, 0);
        run_sql(path, "UPDATE chunk SET text = 'sume text' WHERE id = 1"); /* its texts have checksums now */
        assert_ok(hd__store_check(path, count_fault, &n_faults, &err));
        assert_int_equal(n_faults, 1);
        assert_int_equal(unlink(path), 0);
    }
}

static void keeps_to_one_model(void **state)
{
    (void)state;
    const char *path = scratch_path(&s, "db");
    hd_store *store = NULL;
    assert_ok(hd__store_open(path, &(hd_store_options){.create = true, .identity = &minilm}, &store, &err));
    hd__store_close(store);
    assert_ok(open_path(path, &(hd_store_options){.identity = &minilm}));
    assert_ok(hd__store_open(path, &(hd_store_options){0}, &store, &err)); /* as the file says */
    assert_string_equal(hd__store_identity(store)->model, "all-MiniLM-L6-v2");
    assert_int_equal(hd__store_identity(store)->n_dimensions, 4);
    assert_true(hd__store_identity(store)->has_sparse);
    hd__store_close(store);

    hd_identity other = minilm;
    other.model = "bge-m3";
    assert_ok(open_path(path, &(hd_store_options){.identity = &other})); /* equal weights under another name */
    other.fingerprint = "f2";
    assert_error(open_path(path, &(hd_store_options){.identity = &other}), HD_ERR_UNSUPPORTED,
                 "made with all-MiniLM-L6-v2, not with bge-m3");
    other = minilm;
    other.fingerprint = "f2";
    assert_error(open_path(path, &(hd_store_options){.identity = &other}), HD_ERR_UNSUPPORTED, "fingerprint f1, not f2");
    other = minilm;
    other.similarity = "dot";
    assert_error(open_path(path, &(hd_store_options){.identity = &other}), HD_ERR_UNSUPPORTED, "cosine similarity, not dot");
    other = minilm;
    other.n_dimensions = 8;
    assert_error(open_path(path, &(hd_store_options){.identity = &other}), HD_ERR_UNSUPPORTED, "4 dimensions, not 8");
    other = minilm;
    other.n_token_dimensions = 8;
    assert_error(open_path(path, &(hd_store_options){.identity = &other}), HD_ERR_UNSUPPORTED, "token vectors");
    other = minilm;
    other.has_sparse = false;
    assert_error(open_path(path, &(hd_store_options){.identity = &other}), HD_ERR_UNSUPPORTED, "sparse weights");

    const char *words = scratch_path(&s, "words");
    assert_ok(open_path(words, &(hd_store_options){.create = true}));
    assert_error(open_path(words, &(hd_store_options){.identity = &minilm}), HD_ERR_UNSUPPORTED, "made without a model");
}

static void snapshots_see_the_last_commit_before_them(void **state)
{
    (void)state;
    hd_store *store = open_store();
    commit_text(store, "a", "one", 2);
    hd_snapshot *before, *during, *after;
    assert_ok(hd__snapshot_begin(store, &before, &err));
    hd_write *write;
    assert_ok(hd__write_begin(store, &write, &err));
    assert_ok(put_text(write, "b", "two", 3));
    bool removed;
    assert_ok(hd__document_remove(write, "a", &removed, &err));
    assert_true(removed);
    assert_ok(hd__snapshot_begin(store, &during, &err)); /* does not wait */
    assert_int_equal(hd__snapshot_version(during), hd__snapshot_version(before));
    assert_int_equal(hd__snapshot_live(during)->n_set, 2);
    assert_ok(hd__write_commit(write, &err));
    assert_ok(hd__snapshot_begin(store, &after, &err));
    assert_int_not_equal(hd__snapshot_version(after), hd__snapshot_version(before));
    const hd_bitmap *live = hd__snapshot_live(after);
    assert_true(live->n == 5 && live->n_set == 3);
    assert_true(!hd__bitmap_has(live, 0) && !hd__bitmap_has(live, 1) && hd__bitmap_has(live, 2) && hd__bitmap_has(live, 4));

    const hd_document_row *document;
    assert_ok(hd__document_get(before, "a", &arena, &document, &err));
    assert_non_null(document);
    assert_ok(hd__document_get(before, "b", &arena, &document, &err));
    assert_null(document);
    assert_true(hd__bitmap_has(hd__snapshot_live(before), 0) && hd__snapshot_live(before)->n == 2);
    assert_ok(hd__document_get(after, "a", &arena, &document, &err));
    assert_null(document);
    hd__snapshot_end(before);
    hd__snapshot_end(during);
    hd__snapshot_end(after);
    hd__store_close(store);
}

static void abandoned_and_empty_writes_do_nothing(void **state)
{
    (void)state;
    hd_store *store = open_store();
    commit_text(store, "a", "one", 2);
    hd_snapshot *snapshot;
    assert_ok(hd__snapshot_begin(store, &snapshot, &err));
    const uint64_t version = hd__snapshot_version(snapshot);
    hd__snapshot_end(snapshot);
    hd_write *write;
    assert_ok(hd__write_begin(store, &write, &err));
    assert_ok(put_text(write, "a", "other", 9));
    assert_ok(hd__store_set(write, "name", "value", &err));
    hd__write_abandon(write);
    assert_ok(hd__write_begin(store, &write, &err));
    bool removed = true;
    assert_ok(hd__document_remove(write, "none", &removed, &err));
    assert_false(removed);
    assert_ok(hd__write_commit(write, &err));
    assert_ok(hd__snapshot_begin(store, &snapshot, &err));
    assert_int_equal(hd__snapshot_version(snapshot), version);
    assert_int_equal(hd__snapshot_live(snapshot)->n_set, 2);
    const char *value = "";
    assert_ok(hd__store_get(snapshot, "name", &arena, &value, &err));
    assert_null(value);
    hd__snapshot_end(snapshot);
    hd__store_close(store);
}

static void keeps_settings(void **state)
{
    (void)state;
    hd_store *store = open_store();
    hd_write *write;
    assert_ok(hd__write_begin(store, &write, &err));
    assert_ok(hd__store_set(write, "ingest.chunk_tokens", "200", &err));
    assert_ok(hd__store_set(write, "x'; DROP TABLE document; --", "\xff'", &err));
    assert_ok(hd__store_set(write, "ingest.chunk_tokens", "256", &err));
    char *large = hd__malloc(HD_LIMIT_DOCUMENT_FIELD_BYTES + 2);
    memset(large, 'a', HD_LIMIT_DOCUMENT_FIELD_BYTES + 1);
    large[HD_LIMIT_DOCUMENT_FIELD_BYTES + 1] = '\0';
    assert_error(hd__store_set(write, "large", large, &err), HD_ERR_LIMIT, "1048577 bytes");
    large[HD_LIMIT_DOCUMENT_FIELD_BYTES] = '\0';
    assert_ok(hd__store_set(write, "large", large, &err));
    hd__free(large);
    assert_ok(hd__write_commit(write, &err));
    hd_snapshot *snapshot;
    assert_ok(hd__snapshot_begin(store, &snapshot, &err));
    const char *value;
    assert_ok(hd__store_get(snapshot, "ingest.chunk_tokens", &arena, &value, &err));
    assert_string_equal(value, "256");
    assert_ok(hd__store_get(snapshot, "x'; DROP TABLE document; --", &arena, &value, &err));
    assert_string_equal(value, "\xff'");
    assert_ok(hd__store_get(snapshot, "large", &arena, &value, &err));
    assert_int_equal(strlen(value), HD_LIMIT_DOCUMENT_FIELD_BYTES);
    hd__snapshot_end(snapshot);
    hd__store_close(store);
}

/* Documents "first" … of 50 chunks each, in one write. */
static void commit_many(hd_store *store, int first, int n)
{
    hd_write *write;
    assert_ok(hd__write_begin(store, &write, &err));
    for (int i = first; i < first + n; i++) {
        char id[16];
        snprintf(id, sizeof id, "%d", i);
        assert_ok(put_text(write, id, "text", 50));
    }
    assert_ok(hd__write_commit(write, &err));
}

/* Two handles have nothing in common but the file, as two processes. */
static void notices_what_others_commit(void **state)
{
    (void)state;
    hd_store *a = open_store(), *b = open_store();
    commit_text(a, "a", "one", 2);
    assert_int_equal(count_live(b), 2);
    for (int i = 0; i < 40; i++) /* into a second block of live chunks */
        commit_many(i % 2 == 0 ? a : b, 10 * i, 10);
    assert_true(remove_text(b, "0"));
    assert_true(remove_text(a, "399"));
    commit_text(b, "398", "text", 1);
    assert_int_equal(count_live(a), 2 + 397 * 50 + 1);
    hd_snapshot *x, *y;
    assert_ok(hd__snapshot_begin(a, &x, &err));
    assert_ok(hd__snapshot_begin(b, &y, &err));
    assert_int_equal(hd__snapshot_version(x), hd__snapshot_version(y));
    const hd_bitmap *p = hd__snapshot_live(x), *q = hd__snapshot_live(y);
    assert_int_equal(p->n, q->n);
    assert_memory_equal(p->words, q->words, hd__bitmap_n_words(p->n) * 8);
    hd__snapshot_end(x);
    hd__snapshot_end(y);
    hd__store_close(a);
    hd_store *c = open_store(); /* and read anew, all at once */
    assert_int_equal(count_live(c), count_live(b));
    hd__store_close(b);
    hd__store_close(c);
}

static void says_who_is_in_the_way(void **state)
{
    (void)state;
    hd_store *store = open_store(), *other = NULL;
    assert_ok(hd__store_open(scratch_path(&s, "db"), &(hd_store_options){.busy_ms = 60}, &other, &err));
    hd_write *write, *second;
    assert_ok(hd__write_begin(store, &write, &err));
    assert_ok(put_text(write, "a", "one", 1));
    const uint64_t start = hd__now_ns();
    assert_error(hd__write_begin(other, &second, &err), HD_ERR_BUSY, "another process is writing to it");
    assert_true(hd__seconds_since(start) > 0.05);
    assert_int_equal(count_live(other), 0); /* reading goes on */
    assert_ok(hd__write_commit(write, &err));
    assert_ok(hd__write_begin(other, &second, &err));
    hd__write_abandon(second);
    hd__store_close(other);
    hd__store_close(store);
}

enum { N_PROCESSES = 4, N_COMMITS = 40 };

static int write_documents(int process)
{
    hd_store *store = NULL;
    const hd_store_options options = {.create = true, .busy_ms = 60000};
    if (hd__store_open(scratch_path(&s, "db"), &options, &store, &err) != HD_OK)
        return 1;
    for (int i = 0; i < N_COMMITS; i++) {
        hd_write *write;
        char id[32];
        snprintf(id, sizeof id, "%d.%d", process, i);
        if (hd__write_begin(store, &write, &err) != HD_OK || put_text(write, id, "text", 3) != HD_OK ||
            hd__write_commit(write, &err) != HD_OK)
            return 2;
    }
    hd__store_close(store);
    return 0;
}

/* They also make the file, all at once. */
static void processes_take_turns(void **state)
{
    (void)state;
    pid_t children[N_PROCESSES];
    for (int i = 0; i < N_PROCESSES; i++) {
        children[i] = fork();
        if (children[i] == 0) {
            const int code = write_documents(i);
            if (code != 0)
                fprintf(stderr, "process %d: %s\n", i, err.text);
            _exit(code);
        }
    }
    for (int i = 0; i < N_PROCESSES; i++) {
        int status;
        assert_int_equal(waitpid(children[i], &status, 0), children[i]);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
    hd_store *store = open_store();
    assert_int_equal(count_live(store), N_PROCESSES * N_COMMITS * 3);
    hd__store_close(store);
}

static void *read_and_write(void *data)
{
    hd_store *store = data;
    for (int i = 0; i < 30; i++) {
        hd_error e;
        hd_write *write;
        hd_snapshot *snapshot;
        char id[48];
        snprintf(id, sizeof id, "%p.%d", (void *)&e, i);
        const hd_document_row document = document_of(id);
        hd_chunk_row chunk = {.key = "", .section = "", .text = hd__span_of("text")};
        if (hd__write_begin(store, &write, &e) != HD_OK)
            return data;
        if (hd__document_put(write, &document, &chunk, NULL, 1, &e) != HD_OK || hd__write_commit(write, &e) != HD_OK)
            return data;
        if (hd__snapshot_begin(store, &snapshot, &e) != HD_OK)
            return data;
        const bool found = hd__bitmap_has(hd__snapshot_live(snapshot), chunk.id); /* what it wrote, it reads */
        hd__snapshot_end(snapshot);
        if (!found)
            return data;
    }
    return NULL;
}

static void threads_share_a_store(void **state)
{
    (void)state;
    hd_store *store = open_store();
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, read_and_write, store), 0);
    for (int i = 0; i < 4; i++) {
        void *failed;
        pthread_join(threads[i], &failed);
        assert_null(failed);
    }
    assert_int_equal(count_live(store), 120);
    hd__store_close(store);
}

static void reads_without_writing(void **state)
{
    (void)state;
    hd_store *store = open_store(), *reader = NULL;
    const char *path = scratch_path(&s, "db");
    assert_ok(hd__store_open(path, &(hd_store_options){.read_only = true, .create = true}, &reader, &err));
    hd_write *write;
    assert_error(hd__write_begin(reader, &write, &err), HD_ERR_UNSUPPORTED, "reading alone");
    commit_text(store, "a", "one", 2);
    assert_int_equal(count_live(reader), 2);
    hd__store_close(store);
    assert_int_equal(count_live(reader), 2);
    hd__store_close(reader);
}

/* As somebody who may read the file and its folder, and write to neither; root may write everywhere. A file of an older
 * version is refused there. */
static void reads_from_a_place_that_cannot_be_written_to(void **state)
{
    (void)state;
    hd_store *store = open_store();
    commit_text(store, "a", "one", 2);
    hd__store_close(store);
    const char *path = scratch_path(&s, "db"), *old = scratch_path(&s, "old");
    char copy[4200];
    snprintf(copy, sizeof copy, "VACUUM INTO '%s'", old);
    run_sql(path, copy);
    run_sql(old, "PRAGMA user_version = 1; PRAGMA journal_mode = WAL");
    assert_int_equal(chmod(path, 0444), 0);
    assert_int_equal(chmod(old, 0444), 0);
    assert_int_equal(chmod(s.dir, 0555), 0);
    const pid_t child = fork();
    if (child == 0) {
        if (getuid() == 0 && setuid(65534) != 0)
            _exit(3);
        hd_store *reader = NULL;
        if (hd__store_open(path, &(hd_store_options){.read_only = true}, &reader, &err) != HD_OK) {
            fprintf(stderr, "%s\n", err.text);
            _exit(1);
        }
        const bool right = count_live(reader) == 2;
        hd__store_close(reader);
        if (hd__store_open(old, &(hd_store_options){.read_only = true}, &reader, &err) != HD_ERR_UNSUPPORTED)
            _exit(4);
        _exit(right && hd__store_open(path, &(hd_store_options){0}, &reader, &err) == HD_ERR_IO ? 0 : 2);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(chmod(s.dir, 0755), 0);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void says_that_a_file_is_damaged(void **state)
{
    (void)state;
    const char *path = scratch_path(&s, "db");
    static const char *const damages[] = {
        "UPDATE state SET n_live = 5",  "UPDATE state SET n_chunks = -1", "DELETE FROM state",
        "UPDATE live SET bits = x'00'", "UPDATE live SET block = 7",      "DELETE FROM live",
    };
    for (size_t i = 0; i < sizeof damages / sizeof *damages; i++) {
        hd_store *store = open_store();
        commit_text(store, "a", "one", 2);
        hd__store_close(store);
        run_sql(path, damages[i]);
        store = open_store();
        hd_snapshot *snapshot;
        assert_error(hd__snapshot_begin(store, &snapshot, &err), HD_ERR_FORMAT, "is damaged");
        assert_non_null(strstr(err.text, "heddle db check"));
        hd__store_close(store);
        assert_int_equal(unlink(path), 0);
    }
    hd_store *store = open_store();
    commit_text(store, "a", "one", 2);
    hd__store_close(store);
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(truncate(path, st.st_size / 3), 0);
    hd_status status = open_path(path, &(hd_store_options){0});
    assert_int_equal(status, HD_ERR_FORMAT);
    assert_non_null(strstr(err.text, path));
    assert_non_null(strstr(err.text, "is damaged"));
}

/* As a full disk says it: no page can be had beyond those that are there. */
static void a_full_disk_loses_the_write_alone(void **state)
{
    (void)state;
    hd_store *store = open_store();
    commit_text(store, "a", "one", 2);
    run_on_writer(store, "PRAGMA max_page_count = 1");
    bool was_full = false;
    for (int i = 0; i < 200 && !was_full; i++) {
        hd_write *write;
        char id[16];
        snprintf(id, sizeof id, "full%d", i);
        const uint32_t before = count_live(store);
        assert_ok(hd__write_begin(store, &write, &err));
        hd_status status = put_text(write, id, "many words that take room", 64);
        if (status == HD_OK)
            status = hd__write_commit(write, &err);
        else
            hd__write_abandon(write);
        was_full = status != HD_OK;
        if (was_full) {
            assert_int_equal(status, HD_ERR_IO);
            assert_non_null(strstr(err.text, "no space left on the disk"));
            assert_int_equal(count_live(store), before);
        }
    }
    assert_true(was_full);
    run_on_writer(store, "PRAGMA max_page_count = 1000000"); /* somebody has made room */
    const uint32_t before = count_live(store);
    commit_text(store, "b", "two", 3);
    assert_int_equal(count_live(store), before + 3);
    hd__store_close(store);
}

static void survives_any_failed_allocation(void **state)
{
    (void)state;
    hd_store *store = open_store();
    commit_text(store, "a", "one", 2);
    hd__store_close(store);
    bool all_done = false;
    for (uint64_t n = 0; !all_done; n++) {
        assert_true(n < 10000);
        hd_snapshot *snapshot = NULL;
        hd_write *write = NULL;
        store = NULL;
        hd__alloc_fail_after(n, 1);
        hd_status status = hd__store_open(scratch_path(&s, "db"), &(hd_store_options){0}, &store, &err);
        if (status == HD_OK)
            status = hd__snapshot_begin(store, &snapshot, &err);
        const hd_document_row *document;
        if (status == HD_OK)
            status = hd__document_get(snapshot, "a", &arena, &document, &err);
        if (status == HD_OK)
            status = hd__write_begin(store, &write, &err);
        if (status == HD_OK)
            status = put_text(write, "b", "two", 3);
        if (status == HD_OK) {
            status = hd__write_commit(write, &err);
            write = NULL;
        }
        hd__alloc_fail_off();
        assert_true(status == HD_OK || status == HD_ERR_MEMORY);
        if (write != NULL)
            hd__write_abandon(write);
        if (snapshot != NULL)
            hd__snapshot_end(snapshot);
        all_done = status == HD_OK;
        if (store != NULL)
            assert_int_equal(count_live(store), all_done ? 5 : 2);
        hd__store_close(store);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(refuses_what_is_no_index, store_begin, store_end),
        cmocka_unit_test_setup_teardown(takes_names_for_names, store_begin, store_end),
        cmocka_unit_test_setup_teardown(refuses_a_newer_schema, store_begin, store_end),
        cmocka_unit_test_setup_teardown(migrates_whole_or_not_at_all, store_begin, store_end),
        cmocka_unit_test_setup_teardown(takes_older_versions_further, store_begin, store_end),
        cmocka_unit_test_setup_teardown(keeps_to_one_model, store_begin, store_end),
        cmocka_unit_test_setup_teardown(snapshots_see_the_last_commit_before_them, store_begin, store_end),
        cmocka_unit_test_setup_teardown(abandoned_and_empty_writes_do_nothing, store_begin, store_end),
        cmocka_unit_test_setup_teardown(keeps_settings, store_begin, store_end),
        cmocka_unit_test_setup_teardown(notices_what_others_commit, store_begin, store_end),
        cmocka_unit_test_setup_teardown(says_who_is_in_the_way, store_begin, store_end),
        cmocka_unit_test_setup_teardown(processes_take_turns, store_begin, store_end),
        cmocka_unit_test_setup_teardown(threads_share_a_store, store_begin, store_end),
        cmocka_unit_test_setup_teardown(reads_without_writing, store_begin, store_end),
        cmocka_unit_test_setup_teardown(reads_from_a_place_that_cannot_be_written_to, store_begin, store_end),
        cmocka_unit_test_setup_teardown(says_that_a_file_is_damaged, store_begin, store_end),
        cmocka_unit_test_setup_teardown(a_full_disk_loses_the_write_alone, store_begin, store_end),
        cmocka_unit_test_setup_teardown(survives_any_failed_allocation, store_begin, store_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
