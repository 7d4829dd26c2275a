/* store.c - see store.h. The store's lock orders readers and the writer of this process; SQLite's own locks those of others.
 *
 * A snapshot is a read transaction on a connection of its own. Which chunks it sees is a bitmap that all snapshots of one
 * version share. The version is a number in the file that every commit raises, so a snapshot tells from one row, read in its
 * own transaction, whether what this process has in memory is what it sees, whoever wrote it.
 */
#include "store/store_int.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/limits.h"
#include "store/schema.h"

#define MAX_IDLE 16 /* connections kept for readers to come */
#define DEFAULT_BUSY_MS 10000
#define ASK_EVERY_STEPS 1000   /* of SQLite, tens of microseconds: it is looked at the clock */
#define ASK_EVERY_NS 10000000u /* whether what is read is wanted still */

/* ---- open and close --------------------------------------------------------------------------------------- */

static hd_status check_path(const char *path, bool create, hd_error *err)
{
    if (path[0] == '\0')
        return hd__fail(err, HD_ERR_ARG, "the index's path is empty");
    if (strlen(path) >= HD_LIMIT_PATH_BYTES)
        return hd__fail(err, HD_ERR_LIMIT, "the index's path has %zu bytes, the limit is %u", strlen(path),
                        HD_LIMIT_PATH_BYTES - 1);
    struct stat st;
    if (stat(path, &st) == 0)
        return S_ISREG(st.st_mode) ? HD_OK : hd__fail(err, HD_ERR_FORMAT, "%s: not a regular file, no index", path);
    if (errno != ENOENT)
        return hd__fail_errno(err, errno, "%s: cannot open", path);
    return create ? HD_OK : hd__fail(err, HD_ERR_NOT_FOUND, "%s: no such index: 'heddle index' makes one", path);
}

/* A log that was left behind has commits which an immutable file would hide. */
static bool has_log(const char *path)
{
    char log[HD_LIMIT_PATH_BYTES + 8];
    snprintf(log, sizeof log, "%s-wal", path);
    struct stat st;
    return stat(log, &st) == 0 && st.st_size > 0;
}

/* Takes a file of an older version further, for a reader that then finds it as it should be. */
static bool migrate(const hd_store *store, const hd_store_options *options)
{
    hd_connection writer;
    hd_store_options writing = *options;
    hd_error why;
    writing.read_only = false;
    if (hd__connection_open(store->path, HD_CONNECTION_WRITE, store->busy_ms, &writer, &why) != HD_OK)
        return false;
    const hd_status status = hd__schema_open(writer.db, store->path, &writing, &why);
    hd__connection_close(&writer);
    return status == HD_OK;
}

static hd_status try_reader(const hd_store *store, const hd_store_options *options, hd_connection *connection, hd_error *err)
{
    HD_TRY(hd__connection_open(store->path, store->read_mode, store->busy_ms, connection, err));
    hd_status status = hd__schema_open(connection->db, store->path, options, err);
    if (status == HD_ERR_UNSUPPORTED && hd__schema_is_older(connection->db) && migrate(store, options))
        status = hd__schema_open(connection->db, store->path, options, err);
    if (status != HD_OK)
        hd__connection_close(connection);
    return status;
}

/* A reader needs the log's index in shared memory beside the file. Where that cannot be made, nobody can write either, and
 * the file is as it is. */
static hd_status open_reader(hd_store *store, const hd_store_options *options, hd_connection *connection, hd_error *err)
{
    store->read_mode = HD_CONNECTION_READ;
    hd_status status = try_reader(store, options, connection, err);
    if (status != HD_ERR_IO || has_log(store->path))
        return status;
    store->read_mode = HD_CONNECTION_IMMUTABLE;
    return try_reader(store, options, connection, err);
}

static hd_status open_parts(hd_store *store, const hd_store_options *options, hd_error *err)
{
    hd_connection reader = {0}, *connection = options->read_only ? &reader : &store->write.connection;
    hd_store_options resolved = *options;
    resolved.busy_ms = store->busy_ms;
    hd_status status;
    HD_TRY_OUT(check_path(store->path, options->create && !options->read_only, err));
    if (options->read_only) {
        HD_TRY_OUT(open_reader(store, &resolved, connection, err));
    } else {
        store->read_mode = HD_CONNECTION_READ;
        HD_TRY_OUT(hd__connection_open(store->path, options->create ? HD_CONNECTION_CREATE : HD_CONNECTION_WRITE,
                                       store->busy_ms, connection, err));
        HD_TRY_OUT(hd__schema_open(connection->db, store->path, &resolved, err));
    }
    HD_TRY_OUT(hd__schema_identity(connection->db, &store->arena, &store->identity, err));
    if (options->identity != NULL)
        HD_TRY_OUT(hd__schema_same_identity(store->path, &store->identity, options->identity, err));
    status = hd__filter_cache_new(&store->filters, err);
out:
    hd__connection_close(&reader);
    return status;
}

hd_status hd__store_open(const char *path, const hd_store_options *options, hd_store **store, hd_error *err)
{
    hd_store *opened = hd__calloc(1, sizeof *opened);
    char *own_path = hd__strdup(path);
    if (opened == NULL || own_path == NULL) {
        hd__free(opened);
        hd__free(own_path);
        return hd__fail(err, HD_ERR_MEMORY, "%s: no memory to open it", path);
    }
    opened->path = own_path;
    opened->read_only = options->read_only;
    opened->busy_ms = options->busy_ms > 0 ? options->busy_ms : DEFAULT_BUSY_MS;
    opened->n_threads = options->n_threads;
    opened->write.store = opened;
    hd__arena_init(&opened->arena);
    pthread_mutex_init(&opened->lock, NULL);
    pthread_cond_init(&opened->writer_left, NULL);
    hd__warmer_init(&opened->warmer);
    hd_status status = open_parts(opened, options, err);
    if (status == HD_OK)
        *store = opened;
    else
        hd__store_close(opened);
    return status;
}

void hd__store_close(hd_store *store)
{
    if (store == NULL)
        return;
    hd__warmer_end(&store->warmer);
    while (store->idle != NULL) {
        hd_snapshot *snapshot = store->idle;
        store->idle = snapshot->next;
        hd__connection_close(&snapshot->connection);
        hd__free(snapshot);
    }
    hd__connection_close(&store->write.connection); /* the last one brings the log into the file */
    hd__live_release(store->live);
    hd__layout_release(store->layout);
    hd__filter_cache_free(store->filters);
    pthread_cond_destroy(&store->writer_left);
    pthread_mutex_destroy(&store->lock);
    hd__arena_clear(&store->arena);
    hd__free(store->path);
    hd__free(store);
}

const hd_identity *hd__store_identity(const hd_store *store)
{
    return &store->identity;
}

const char *hd__store_path(const hd_store *store)
{
    return store->path;
}

/* ---- what readers and the writer share -------------------------------------------------------------------- */

/* Others get it from now on, unless they have a newer one. */
static void publish_live(hd_store *store, hd_live *live)
{
    pthread_mutex_lock(&store->lock);
    hd_live *before = store->live;
    const bool newer = before == NULL || live->version > before->version;
    if (newer)
        store->live = hd__live_hold(live);
    pthread_mutex_unlock(&store->lock);
    if (newer)
        hd__live_release(before);
}

/* The bitmap of a state that the connection's transaction sees. */
static hd_status find_live(hd_store *store, hd_connection *connection, const hd_state *state, hd_live **live, hd_error *err)
{
    pthread_mutex_lock(&store->lock);
    hd_live *known = store->live != NULL ? hd__live_hold(store->live) : NULL;
    pthread_mutex_unlock(&store->lock);
    if (known != NULL && known->version == state->version) {
        *live = known;
        return HD_OK;
    }
    hd_status status = hd__live_read(connection, state, known, live, err);
    hd__live_release(known);
    if (status == HD_OK)
        publish_live(store, *live);
    return status;
}

static void publish_layout(hd_store *store, hd_layout *layout)
{
    pthread_mutex_lock(&store->lock);
    hd_layout *before = store->layout;
    const bool newer = before == NULL || layout->number > before->number;
    if (newer)
        store->layout = hd__layout_hold(layout);
    pthread_mutex_unlock(&store->lock);
    if (newer)
        hd__layout_release(before);
}

/* The layout of a state that the connection's transaction sees. It knows all that was committed until then. */
static hd_status find_layout(hd_store *store, hd_connection *connection, const hd_state *state, hd_layout **layout,
                             hd_error *err)
{
    pthread_mutex_lock(&store->lock);
    hd_layout *known =
        store->layout != NULL && store->layout->number == state->layout ? hd__layout_hold(store->layout) : NULL;
    pthread_mutex_unlock(&store->lock);
    if (known == NULL) {
        HD_TRY(hd__layout_open(connection, &store->identity, store->n_threads, state->layout, state->version, layout, err));
        publish_layout(store, *layout);
        return HD_OK;
    }
    hd_status status = hd__layout_refresh(known, connection, state->version, err);
    if (status == HD_OK)
        *layout = known;
    else
        hd__layout_release(known);
    return status;
}

/* ---- snapshots -------------------------------------------------------------------------------------------- */

static hd_status take_reader(hd_store *store, hd_snapshot **snapshot, hd_error *err)
{
    pthread_mutex_lock(&store->lock);
    hd_snapshot *taken = store->idle;
    if (taken != NULL) {
        store->idle = taken->next;
        store->n_idle--;
    }
    pthread_mutex_unlock(&store->lock);
    if (taken == NULL) {
        taken = hd__calloc(1, sizeof *taken);
        if (taken == NULL)
            return hd__fail(err, HD_ERR_MEMORY, "%s: no memory to read it", store->path);
        taken->store = store;
        hd_status status = hd__connection_open(store->path, store->read_mode, store->busy_ms, &taken->connection, err);
        if (status != HD_OK) {
            hd__free(taken);
            return status;
        }
    }
    *snapshot = taken;
    return HD_OK;
}

static void give_reader_back(hd_snapshot *snapshot)
{
    hd_store *store = snapshot->store;
    pthread_mutex_lock(&store->lock);
    const bool keeps = store->n_idle < MAX_IDLE;
    if (keeps) {
        snapshot->next = store->idle;
        store->idle = snapshot;
        store->n_idle++;
    }
    pthread_mutex_unlock(&store->lock);
    if (!keeps) {
        hd__connection_close(&snapshot->connection);
        hd__free(snapshot);
    }
}

static const char begin_read[] = "BEGIN", end_read[] = "COMMIT";

static hd_status run_statement(hd_connection *connection, const char *sql, hd_error *err)
{
    sqlite3_stmt *statement;
    HD_TRY(hd__connection_statement(connection, sql, &statement, err));
    return hd__sql_run(statement, err);
}

static hd_status begin_snapshot(hd_snapshot *snapshot, hd_error *err)
{
    HD_TRY(run_statement(&snapshot->connection, begin_read, err));
    HD_TRY(hd__live_read_state(&snapshot->connection, &snapshot->state, err)); /* from here on nothing it sees changes */
    HD_TRY(find_live(snapshot->store, &snapshot->connection, &snapshot->state, &snapshot->live, err));
    return find_layout(snapshot->store, &snapshot->connection, &snapshot->state, &snapshot->layout, err);
}

hd_status hd__snapshot_begin(hd_store *store, hd_snapshot **snapshot, hd_error *err)
{
    hd_snapshot *begun = NULL;
    HD_TRY(take_reader(store, &begun, err));
    begun->live = NULL;
    begun->layout = NULL;
    begun->filters = NULL;
    hd_status status = begin_snapshot(begun, err);
    if (status == HD_OK)
        *snapshot = begun;
    else
        hd__snapshot_end(begun);
    return status;
}

static int ask(void *data)
{
    hd_snapshot *s = data;
    if (!pthread_equal(pthread_self(), s->asker) || hd__now_ns() - s->asked_ns < ASK_EVERY_NS)
        return 0;
    s->asked_ns = hd__now_ns();
    return !s->keep_going(s->keep_going_data);
}

void hd__snapshot_ask(hd_snapshot *snapshot, bool (*keep_going)(void *data), void *data)
{
    snapshot->keep_going = keep_going;
    snapshot->keep_going_data = data;
    snapshot->asker = pthread_self();
    snapshot->asked_ns = 0;
    sqlite3_progress_handler(snapshot->connection.db, ASK_EVERY_STEPS, keep_going != NULL ? ask : NULL, snapshot);
}

void hd__snapshot_end(hd_snapshot *snapshot)
{
    sqlite3_progress_handler(snapshot->connection.db, 0, NULL, NULL);
    hd__filter_release(snapshot->store->filters, &snapshot->filters);
    hd__live_release(snapshot->live);
    hd__layout_release(snapshot->layout);
    snapshot->live = NULL;
    snapshot->layout = NULL;
    if (sqlite3_get_autocommit(snapshot->connection.db) == 0)
        HD_IGNORE(run_statement(&snapshot->connection, end_read, NULL));
    if (sqlite3_get_autocommit(snapshot->connection.db) == 0) { /* a statement that failed is still open */
        hd__connection_close(&snapshot->connection);
        hd__free(snapshot);
        return;
    }
    give_reader_back(snapshot);
}

uint64_t hd__snapshot_version(const hd_snapshot *snapshot)
{
    return snapshot->state.version;
}

sqlite3 *hd__snapshot_db(hd_snapshot *snapshot)
{
    return snapshot->connection.db;
}

const hd_bitmap *hd__snapshot_live(hd_snapshot *snapshot)
{
    return &snapshot->live->chunks;
}

hd_filter_cache *hd__snapshot_filters(hd_snapshot *snapshot)
{
    return snapshot->store->filters;
}

hd_filter_hold **hd__snapshot_holds(hd_snapshot *snapshot)
{
    return &snapshot->filters;
}

/* ---- writes ----------------------------------------------------------------------------------------------- */

static void leave_writer(hd_store *store)
{
    pthread_mutex_lock(&store->lock);
    store->writing = false;
    pthread_cond_signal(&store->writer_left);
    pthread_mutex_unlock(&store->lock);
}

/* What the transaction had in memory goes; rolled back when it was not committed. */
static void end_write(hd_write *write)
{
    if (sqlite3_get_autocommit(write->connection.db) == 0)
        HD_IGNORE(hd__sql_exec(write->connection.db, "ROLLBACK", NULL));
    hd__live_release(write->live);
    hd__layout_release(write->layout);
    hd__free(write->changed_blocks);
    write->live = NULL;
    write->layout = NULL;
    write->changed_blocks = NULL;
    write->n_changed_blocks = 0;
    write->active = false;
    leave_writer(write->store);
}

static const char begin_write[] = "BEGIN IMMEDIATE", commit_write[] = "COMMIT";

static hd_status start_write(hd_write *write, hd_error *err)
{
    HD_TRY(run_statement(&write->connection, begin_write, err));
    HD_TRY(hd__live_read_state(&write->connection, &write->state, err));
    hd_live *live = NULL;
    HD_TRY(find_live(write->store, &write->connection, &write->state, &live, err));
    hd_status status = hd__live_copy(live, &write->live, err);
    hd__live_release(live);
    HD_TRY(status);
    return find_layout(write->store, &write->connection, &write->state, &write->layout, err);
}

hd_status hd__write_begin(hd_store *store, hd_write **write, hd_error *err)
{
    if (store->read_only)
        return hd__fail(err, HD_ERR_UNSUPPORTED, "%s: opened for reading alone", store->path);
    pthread_mutex_lock(&store->lock);
    while (store->writing)
        pthread_cond_wait(&store->writer_left, &store->lock);
    store->writing = true;
    pthread_mutex_unlock(&store->lock);

    hd_write *begun = &store->write;
    begun->changed = false;
    begun->failure = (hd_error){0};
    begun->active = true;
    hd_status status = start_write(begun, err);
    if (status == HD_OK)
        *write = begun;
    else
        end_write(begun);
    return status;
}

static hd_status commit_changes(hd_write *write, hd_error *err)
{
    write->state.version++;
    write->state.n_live = write->live->chunks.n_set;
    write->live->version = write->state.version;
    HD_TRY(hd__postings_flush(write->layout->postings, write->connection.db, err));
    HD_TRY(hd__live_write(&write->connection, write->live, write->changed_blocks, write->n_changed_blocks, err));
    HD_TRY(hd__live_write_state(&write->connection, &write->state, err));
    hd__layout_will_commit(write->layout, write->state.version); /* before readers can see it */
    hd_status status = run_statement(&write->connection, commit_write, err);
    if (status != HD_OK)
        hd__layout_failed(write->layout);
    return status;
}

static void roll_back(hd_write *write)
{
    if (write->layout == NULL) /* it has not even begun */
        return;
    hd__postings_rollback(write->layout->postings);
    if (write->layout->vectors != NULL)
        hd__vectors_rollback(write->layout->vectors);
}

hd_status hd__write_commit(hd_write *write, hd_error *err)
{
    hd_status status = hd__write_check(write, err);
    if (status == HD_OK && write->changed)
        status = commit_changes(write, err);
    if (status != HD_OK)
        roll_back(write);
    else if (write->changed) {
        if (write->layout->vectors != NULL)
            hd__vectors_commit(write->layout->vectors);
        publish_live(write->store, write->live);
    }
    end_write(write);
    return status;
}

void hd__write_abandon(hd_write *write)
{
    roll_back(write);
    end_write(write);
}

hd_status hd__write_check(const hd_write *write, hd_error *err)
{
    return write->failure.status == HD_OK ? HD_OK : hd__fail(err, write->failure.status, "%s", write->failure.text);
}

hd_status hd__write_done(hd_write *write, hd_status status, const hd_error *err)
{
    write->changed = true;
    if (status != HD_OK && write->failure.status == HD_OK)
        HD_IGNORE(hd__fail(&write->failure, status, "%s",
                           err != NULL ? err->text : "a change failed before, the write can only be abandoned"));
    return status;
}

hd_status hd__write_set_live(hd_write *write, hd_chunk_id begin, hd_chunk_id end, bool alive, hd_error *err)
{
    if (begin == end)
        return HD_OK;
    const size_t n_blocks = hd__live_n_blocks(end);
    if (n_blocks > write->n_changed_blocks) {
        bool *blocks = hd__realloc(write->changed_blocks, n_blocks);
        if (blocks == NULL)
            return hd__fail(err, HD_ERR_MEMORY, "%s: no memory to write it", write->store->path);
        memset(blocks + write->n_changed_blocks, 0, n_blocks - write->n_changed_blocks);
        write->changed_blocks = blocks;
        write->n_changed_blocks = n_blocks;
    }
    if (end > write->live->chunks.n)
        HD_TRY(hd__bitmap_grow(&write->live->chunks, end, err));
    hd__bitmap_set_range(&write->live->chunks, begin, end, alive);
    for (size_t block = begin / HD_LIVE_BLOCK; block < n_blocks; block++)
        write->changed_blocks[block] = true;
    return HD_OK;
}

/* ---- settings --------------------------------------------------------------------------------------------- */

hd_status hd__store_get(hd_snapshot *snapshot, const char *name, hd_arena *arena, const char **value, hd_error *err)
{
    static const char select[] = "SELECT value FROM setting WHERE name = ?";
    sqlite3_stmt *statement;
    HD_TRY(hd__connection_statement(&snapshot->connection, select, &statement, err));
    hd__sql_bind_text(statement, 1, hd__span_of(name));
    bool row;
    hd_status status = hd__sql_next(statement, &row, err);
    const char *found = NULL;
    if (status == HD_OK && row) {
        const hd_span text = hd__sql_span(statement, 0);
        found = hd__arena_strndup(arena, text.ptr, text.len);
        if (found == NULL)
            status = hd__fail(err, HD_ERR_MEMORY, "%s: no memory to read it", snapshot->store->path);
    }
    hd__sql_reset(statement);
    if (status == HD_OK)
        *value = found;
    return status;
}

hd_status hd__store_set(hd_write *write, const char *name, const char *value, hd_error *err)
{
    static const char replace[] = "INSERT OR REPLACE INTO setting VALUES(?, ?)";
    HD_TRY(hd__write_check(write, err));
    if (strcmp(name, HD_SCHEMA_LANGUAGE) == 0)
        return hd__fail(err, HD_ERR_ARG, "the setting %s is given when an index is made, and stays", name);
    if (strlen(name) > HD_LIMIT_DOCUMENT_ID_BYTES || strlen(value) > HD_LIMIT_DOCUMENT_FIELD_BYTES)
        return hd__fail(err, HD_ERR_LIMIT, "setting %.64s: name and value have %zu and %zu bytes, the limits are %u and %u",
                        name, strlen(name), strlen(value), HD_LIMIT_DOCUMENT_ID_BYTES, HD_LIMIT_DOCUMENT_FIELD_BYTES);
    sqlite3_stmt *statement;
    HD_TRY(hd__connection_statement(&write->connection, replace, &statement, err));
    hd__sql_bind_text(statement, 1, hd__span_of(name));
    hd__sql_bind_text(statement, 2, hd__span_of(value));
    return hd__write_done(write, hd__sql_run(statement, err), err);
}
