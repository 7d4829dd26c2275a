/* compact.c - hd__store_compact, hd__store_tidy and hd__store_backup of maintain.h: the file written anew.
 *
 * A database file that others have open is never replaced by renaming, which SQLite does not survive: its pages are
 * overwritten through the write-ahead log, in one transaction of SQLite's backup. Readers go on seeing the old ones.
 */
#include "store/maintain.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/limits.h"
#include "store/schema.h"
#include "store/store_int.h"

#define COMPACT_TRIES 3 /* times that another process may write in between */

typedef struct compaction {
    hd_store *store;
    char path[HD_LIMIT_PATH_BYTES + 16]; /* of the new file */
    int lock_fd;                         /* on it; -1: none */
    hd_connection made;
    hd_state state; /* of the old one */
} compaction;

/* ---- the new file ----------------------------------------------------------------------------------------- */

/* Who has the lock on the file that is at the path compacts; what a killed compaction left there is overwritten. */
static hd_status lock_new_file(compaction *c, hd_error *err)
{
    struct stat locked, there;
    for (;;) {
        hd_error why;
        hd_status status = hd__file_lock_open(c->path, 0, &c->lock_fd, &why);
        if (status != HD_OK) {
            c->lock_fd = -1;
            return status == HD_ERR_BUSY ? hd__fail(err, HD_ERR_BUSY, "%s: another process is compacting it", c->store->path)
                                         : hd__fail(err, status, "%s", why.text);
        }
        if (fstat(c->lock_fd, &locked) == 0 && stat(c->path, &there) == 0 && locked.st_ino == there.st_ino)
            break;
        hd__file_lock_close(c->lock_fd); /* its owner has just removed it */
        c->lock_fd = -1;
    }
    return ftruncate(c->lock_fd, 0) == 0 ? HD_OK : hd__fail_errno(err, errno, "%s: cannot empty", c->path);
}

static hd_status open_new_file(compaction *c, hd_snapshot *old, hd_error *err)
{
    hd_store *store = c->store;
    hd_arena arena;
    hd__arena_init(&arena);
    const char *language = NULL;
    hd_status status;
    HD_TRY_OUT(hd__store_get(old, HD_SCHEMA_LANGUAGE, &arena, &language, err));
    const hd_store_options options = {
        .identity = &store->identity, .language = language, .create = true, .busy_ms = store->busy_ms};
    HD_TRY_OUT(hd__connection_open(c->path, HD_CONNECTION_CREATE, store->busy_ms, &c->made, err));
    HD_TRY_OUT(hd__schema_open(c->made.db, c->path, &options, err));
    /* nobody looks at it before it is whole, and after a crash it is made again: it needs no log */
    HD_TRY_OUT(hd__sql_exec(c->made.db, "PRAGMA journal_mode = MEMORY; PRAGMA synchronous = OFF", err));
    sqlite3_stmt *attach;
    HD_TRY_OUT(hd__sql_prepare(c->made.db, "ATTACH ? AS old", &attach, err));
    char *full = hd__arena_printf(&arena, "%s%s", store->path[0] == '/' ? "" : "./", store->path); /* no "file:…" */
    if (full == NULL) {
        sqlite3_finalize(attach);
        status = hd__fail(err, HD_ERR_MEMORY, "%s: no memory to compact it", store->path);
        goto out;
    }
    hd__sql_bind_text(attach, 1, hd__span_of(full));
    status = hd__sql_run(attach, err);
    sqlite3_finalize(attach);
out:
    hd__arena_clear(&arena);
    return status;
}

/* Documents keep their numbers; chunks move up, in their order, to where no dead ones are before them. */
static const char copy_rows[] =
    "INSERT OR REPLACE INTO setting SELECT name, value FROM old.setting;"
    "INSERT INTO document SELECT number, id, source, root, path, title, url, author, mime, metadata, created_at, hash, size,"
    " mtime_ns, sum(n_chunks) OVER (ORDER BY first_chunk, number) - n_chunks, n_chunks, cut, checksum FROM old.document;"
    "INSERT INTO chunk SELECT c.id - o.first_chunk + d.first_chunk, c.document, c.ordinal, c.begin_byte, c.end_byte, c.line,"
    " c.page, c.is_code, c.key, c.section, c.text, c.checksum FROM document d"
    " CROSS JOIN old.document o ON o.number = d.number"
    " CROSS JOIN old.chunk c ON c.id >= o.first_chunk AND c.id < o.first_chunk + o.n_chunks ORDER BY d.first_chunk, c.id;"
    "INSERT INTO trigram(trigram) VALUES('rebuild');";
static const char copy_token_vectors[] =
    "INSERT INTO token_vectors SELECT t.chunk - o.first_chunk + d.first_chunk, t.vectors FROM document d"
    " CROSS JOIN old.document o ON o.number = d.number CROSS JOIN old.token_vectors t ON t.chunk >= o.first_chunk"
    " AND t.chunk < o.first_chunk + o.n_chunks ORDER BY d.first_chunk, t.chunk";

/* The state and the live bitmap: all chunks are alive. */
static hd_status write_state(compaction *c, hd_error *err)
{
    const uint32_t n = c->state.n_live;
    const hd_state state = {.version = c->state.version + 1,
                            .layout = c->state.layout + 1,
                            .n_documents = c->state.n_documents,
                            .n_chunks = n,
                            .n_live = n};
    hd_live live = {.version = state.version, .layout = state.layout};
    HD_TRY(hd__bitmap_init(&live.chunks, n, err));
    hd__bitmap_set_range(&live.chunks, 0, n, true);
    const size_t n_blocks = hd__live_n_blocks(n);
    bool *changed = hd__malloc(n_blocks + 1);
    hd_status status = HD_OK;
    if (changed == NULL) {
        status = hd__fail(err, HD_ERR_MEMORY, "%s: no memory to compact it", c->store->path);
    } else {
        memset(changed, true, n_blocks);
        status = hd__live_write(&c->made, &live, changed, n_blocks, err);
    }
    hd__free(changed);
    hd__bitmap_clear(&live.chunks);
    return status == HD_OK ? hd__live_write_state(&c->made, &state, err) : status;
}

static hd_status fill_new_file(compaction *c, hd_snapshot *old, hd_error *err)
{
    const hd_identity *identity = &c->store->identity;
    HD_TRY(hd__sql_exec(c->made.db, "BEGIN IMMEDIATE", err));
    HD_TRY(hd__sql_exec(c->made.db, copy_rows, err));
    if (identity->n_token_dimensions > 0)
        HD_TRY(hd__sql_exec(c->made.db, copy_token_vectors, err));
    HD_TRY(hd__postings_compact(old->connection.db, c->made.db, hd__snapshot_live(old), err));
    if (identity->n_dimensions > 0)
        HD_TRY(hd__vectors_compact(old->connection.db, c->made.db, identity->n_dimensions, hd__snapshot_live(old), err));
    HD_TRY(write_state(c, err));
    return hd__sql_exec(c->made.db, "COMMIT; DETACH old", err);
}

/* From what a snapshot sees. */
static hd_status make_new_file(compaction *c, hd_error *err)
{
    hd_snapshot *old;
    HD_TRY(hd__snapshot_begin(c->store, &old, err));
    c->state = old->state;
    hd_status status = open_new_file(c, old, err);
    if (status == HD_OK)
        status = fill_new_file(c, old, err);
    hd__snapshot_end(old);
    return status;
}

/* ---- in its place ----------------------------------------------------------------------------------------- */

static hd_status read_version(hd_store *store, uint64_t *version, hd_error *err)
{
    hd_snapshot *now;
    HD_TRY(hd__snapshot_begin(store, &now, err));
    *version = hd__snapshot_version(now);
    hd__snapshot_end(now);
    return HD_OK;
}

/* The first step takes the write lock, under which nobody can commit any more: then the version counts. */
static hd_status overwrite(compaction *c, sqlite3 *db, bool *was_written, hd_error *err)
{
    sqlite3_backup *backup = sqlite3_backup_init(db, "main", c->made.db, "main");
    if (backup == NULL)
        return hd__sql_fail(db, err, "compact");
    int code = sqlite3_backup_step(backup, 0);
    uint64_t version = 0;
    hd_status status = HD_OK;
    if (code == SQLITE_OK)
        status = read_version(c->store, &version, err);
    *was_written = code == SQLITE_OK && status == HD_OK && version != c->state.version;
    const bool copies = code == SQLITE_OK && status == HD_OK && !*was_written;
    if (copies)
        code = sqlite3_backup_step(backup, -1);
    const int finished = sqlite3_backup_finish(backup); /* rolls back what is not whole */
    if (status == HD_OK && !*was_written && (code != SQLITE_DONE || finished != SQLITE_OK))
        status = code == SQLITE_BUSY || code == SQLITE_LOCKED
                     ? hd__fail(err, HD_ERR_BUSY, "%s: another process is writing to it", c->store->path)
                     : hd__sql_fail(db, err, "compact");
    return status;
}

static hd_status take_place(compaction *c, bool *was_written, hd_error *err)
{
    hd_connection swap;
    HD_TRY(hd__connection_open(c->store->path, HD_CONNECTION_WRITE, c->store->busy_ms, &swap, err));
    hd_status status = overwrite(c, swap.db, was_written, err);
    if (status == HD_OK && !*was_written) /* where no reader needs the old pages any more */
        HD_IGNORE(hd__sql_exec(swap.db, "PRAGMA wal_checkpoint(TRUNCATE)", NULL));
    hd__connection_close(&swap);
    return status;
}

static hd_status compact_once(compaction *c, bool *was_written, hd_error *err)
{
    hd_status status = lock_new_file(c, err);
    if (status == HD_OK)
        status = make_new_file(c, err);
    if (status == HD_OK)
        status = take_place(c, was_written, err);
    hd__connection_close(&c->made);
    if (c->lock_fd >= 0) {
        unlink(c->path);
        hd__file_lock_close(c->lock_fd);
    }
    return status;
}

hd_status hd__store_compact(hd_store *store, hd_error *err)
{
    if (store->read_only)
        return hd__fail(err, HD_ERR_UNSUPPORTED, "%s: opened for reading alone", store->path);
    bool was_written = true;
    for (int i = 0; was_written && i < COMPACT_TRIES; i++) {
        compaction c = {.store = store, .lock_fd = -1};
        snprintf(c.path, sizeof c.path, "%s-compact", store->path);
        was_written = false;
        HD_TRY(compact_once(&c, &was_written, err));
    }
    return was_written ? hd__fail(err, HD_ERR_BUSY, "%s: it is written to, and cannot be compacted meanwhile", store->path)
                       : HD_OK;
}

hd_status hd__store_tidy(hd_store *store, bool *compacted, hd_error *err)
{
    hd_snapshot *snapshot;
    HD_TRY(hd__snapshot_begin(store, &snapshot, err));
    const uint32_t n_dead = snapshot->state.n_chunks - snapshot->state.n_live;
    const bool wanted = n_dead > HD_STORE_TIDY_CHUNKS && n_dead > snapshot->state.n_chunks / 3;
    hd__snapshot_end(snapshot);
    if (wanted)
        HD_TRY(hd__store_compact(store, err));
    *compacted = wanted;
    return HD_OK;
}

/* ---- backup ----------------------------------------------------------------------------------------------- */

#define BACKUP_PAGES 2000 /* between two calls of progress */

static hd_status copy_pages(sqlite3 *from, sqlite3 *to, bool (*progress)(uint64_t done, uint64_t all, void *data),
                            void *data, hd_error *err)
{
    sqlite3_backup *backup = sqlite3_backup_init(to, "main", from, "main");
    if (backup == NULL)
        return hd__sql_fail(to, err, "write");
    int code;
    bool goes_on = true;
    while (goes_on && (code = sqlite3_backup_step(backup, BACKUP_PAGES)) == SQLITE_OK) {
        const int all = sqlite3_backup_pagecount(backup), left = sqlite3_backup_remaining(backup);
        goes_on = progress == NULL || progress((uint64_t)(all - left), (uint64_t)all, data);
    }
    const int finished = sqlite3_backup_finish(backup);
    if (!goes_on)
        return hd__fail(err, HD_ERR_CANCELLED, "the copy was cancelled");
    return code == SQLITE_DONE && finished == SQLITE_OK ? HD_OK : hd__sql_fail(to, err, "write");
}

static hd_status write_copy(hd_store *store, const char *temp_path,
                            bool (*progress)(uint64_t done, uint64_t all, void *data), void *data, hd_error *err)
{
    hd_snapshot *snapshot;
    HD_TRY(hd__snapshot_begin(store, &snapshot, err));
    hd_connection copy;
    hd_status status = hd__connection_open(temp_path, HD_CONNECTION_WRITE, store->busy_ms, &copy, err);
    if (status == HD_OK) {
        status = copy_pages(snapshot->connection.db, copy.db, progress, data, err); /* synced when it commits */
        hd__connection_close(&copy);
    }
    hd__snapshot_end(snapshot);
    return status;
}

static void sync_folder_of(const char *path)
{
    char folder[HD_LIMIT_PATH_BYTES + 16];
    const char *slash = strrchr(path, '/');
    snprintf(folder, sizeof folder, "%.*s",
             slash == NULL   ? 1
             : slash == path ? 1
                             : (int)(slash - path),
             slash == NULL ? "." : path);
    const int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        fsync(fd);
        close(fd);
    }
}

hd_status hd__store_backup(hd_store *store, const char *path, bool (*progress)(uint64_t done, uint64_t all, void *data),
                           void *data, hd_error *err)
{
    char temp_path[HD_LIMIT_PATH_BYTES + 16];
    struct stat st;
    if (strlen(path) >= HD_LIMIT_PATH_BYTES || path[0] == '\0')
        return hd__fail(err, HD_ERR_ARG, "a backup's path has 1 to %u bytes", HD_LIMIT_PATH_BYTES - 1);
    if (lstat(path, &st) == 0) /* a log of what was there would be taken for the copy's */
        return hd__fail(err, HD_ERR_ARG, "%s: it is there already: a backup gets a new name", path);
    snprintf(temp_path, sizeof temp_path, "%s.XXXXXX", path);
    const int fd = mkostemp(temp_path, O_CLOEXEC);
    if (fd < 0)
        return hd__fail_errno(err, errno, "%s: cannot write", path);
    close(fd);
    hd_status status = write_copy(store, temp_path, progress, data, err);
    if (status == HD_OK && link(temp_path, path) != 0)
        status = hd__fail_errno(err, errno, "%s: cannot write", path);
    unlink(temp_path);
    if (status == HD_OK)
        sync_folder_of(path);
    return status;
}
