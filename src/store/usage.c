/* usage.c - what a store has and takes: hd__store_get_usage, hd__store_measure; and hd__store_build_graph, which follows how
 * much of it the graph covers.
 */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/limits.h"
#include "store/maintain.h"
#include "store/store_int.h"

#define GRAPH_TURN_S 8.0 /* then other writers have theirs, before they give up (busy_ms) */

static uint64_t file_bytes(const char *path, const char *ending)
{
    char name[HD_LIMIT_PATH_BYTES + 8];
    snprintf(name, sizeof name, "%s%s", path, ending);
    struct stat st;
    return stat(name, &st) == 0 ? (uint64_t)st.st_size : 0;
}

hd_status hd__store_get_usage(hd_snapshot *snapshot, hd_store_usage *usage, hd_error *err)
{
    hd_postings_stats postings;
    HD_TRY(hd__postings_get_stats(snapshot->layout->postings, snapshot->connection.db, &postings, err));
    hd_vectors_stats vectors = {0};
    if (snapshot->layout->vectors != NULL)
        hd__vectors_get_stats(snapshot->layout->vectors, &vectors);
    const hd_state *state = &snapshot->state;
    const char *path = snapshot->store->path;
    *usage = (hd_store_usage){.n_documents = state->n_documents,
                              .n_chunks = state->n_live,
                              .n_dead_chunks = state->n_chunks - state->n_live,
                              .n_terms = postings.n_terms,
                              .n_graph = vectors.n_graph,
                              .file_bytes = file_bytes(path, "") + file_bytes(path, "-wal"),
                              .memory_bytes = postings.memory_bytes + vectors.memory_bytes +
                                              hd__bitmap_n_words(state->n_chunks) * sizeof(uint64_t)};
    return HD_OK;
}

/* ---- sizes ------------------------------------------------------------------------------------------------ */

static uint64_t *size_of_table(hd_store_sizes *sizes, const char *name)
{
    static const struct {
        const char *begins;
        size_t offset;
    } parts[] = {{"document", offsetof(hd_store_sizes, documents)},
                 {"sqlite_autoindex_document", offsetof(hd_store_sizes, documents)},
                 {"chunk", offsetof(hd_store_sizes, chunks)},
                 {"trigram", offsetof(hd_store_sizes, trigrams)},
                 {"postings", offsetof(hd_store_sizes, postings)},
                 {"vector_links", offsetof(hd_store_sizes, graph)},
                 {"vector", offsetof(hd_store_sizes, vectors)},
                 {"token_vectors", offsetof(hd_store_sizes, token_vectors)}};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (strncmp(name, parts[i].begins, strlen(parts[i].begins)) == 0)
            return (uint64_t *)((char *)sizes + parts[i].offset);
    return &sizes->other;
}

hd_status hd__store_measure(hd_snapshot *snapshot, hd_store_sizes *sizes, hd_error *err)
{
    sqlite3 *db = snapshot->connection.db;
    int64_t page_bytes, n_free;
    HD_TRY(hd__sql_integer(db, "PRAGMA page_size", &page_bytes, err));
    HD_TRY(hd__sql_integer(db, "PRAGMA freelist_count", &n_free, err));
    sqlite3_stmt *select;
    if (sqlite3_prepare_v2(db, "SELECT name, pgsize FROM dbstat WHERE aggregate = TRUE", -1, &select, NULL) != SQLITE_OK)
        return hd__fail(err, HD_ERR_UNSUPPORTED, "SQLite %s was built without dbstat: it cannot say how large each part is",
                        sqlite3_libversion());
    hd_store_sizes measured = {.free = (uint64_t)(n_free * page_bytes)};
    bool row = true;
    hd_status status = HD_OK;
    while ((status = hd__sql_next(select, &row, err)) == HD_OK && row) {
        char name[64];
        const hd_span text = hd__sql_span(select, 0);
        snprintf(name, sizeof name, "%.*s", (int)(text.len < sizeof name ? text.len : sizeof name - 1), text.ptr);
        *size_of_table(&measured, name) += (uint64_t)sqlite3_column_int64(select, 1);
    }
    sqlite3_finalize(select);
    if (status == HD_OK)
        *sizes = measured;
    return status;
}

/* ---- graph ------------------------------------------------------------------------------------------------ */

typedef struct graph_turn {
    uint64_t start_ns;
    bool (*progress)(uint64_t done, uint64_t all, void *data);
    void *data;
    bool is_over, is_stopped; /* its time; by the caller */
} graph_turn;

static bool go_on(uint64_t done, uint64_t all, void *data)
{
    graph_turn *turn = data;
    turn->is_over = hd__seconds_since(turn->start_ns) > GRAPH_TURN_S;
    turn->is_stopped = turn->progress != NULL && !turn->progress(done, all, turn->data);
    return !turn->is_over && !turn->is_stopped;
}

/* One transaction: as many chunks as a turn has time for. */
static hd_status build_turn(hd_store *store, graph_turn *turn, hd_error *err)
{
    hd_write *write;
    HD_TRY(hd__write_begin(store, &write, err));
    hd_vectors *vectors = write->layout->vectors;
    const uint32_t before = hd__vectors_n_graph(vectors);
    hd_status status = hd__vectors_build(vectors, write->connection.db, go_on, turn, err);
    if (status == HD_OK && hd__vectors_n_graph(vectors) != before) {
        write->changed = true;
        return hd__write_commit(write, err);
    }
    turn->is_over = false; /* there was nothing to do */
    hd__write_abandon(write);
    return status;
}

hd_status hd__store_build_graph(hd_store *store, bool (*progress)(uint64_t done, uint64_t all, void *data), void *data,
                                hd_error *err)
{
    graph_turn turn = {.progress = progress, .data = data, .is_over = true};
    while (store->identity.n_dimensions > 0 && turn.is_over && !turn.is_stopped) {
        turn.is_over = false;
        turn.start_ns = hd__now_ns();
        HD_TRY(build_turn(store, &turn, err));
    }
    return HD_OK;
}
