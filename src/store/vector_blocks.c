/* vector_blocks.c - see vector_blocks.h. */
#include "store/vector_blocks.h"

#include "base/limits.h"

static const char *const tables[HD_N_BLOCK_KINDS] = {"vector_codes", "vector_halves", "vector_links"};

static const char *const get_sql[HD_N_BLOCK_KINDS] = {
    "SELECT bytes FROM vector_codes WHERE block = ?",
    "SELECT bytes FROM vector_halves WHERE block = ?",
    "SELECT bytes FROM vector_links WHERE block = ?",
};

static const char *const put_sql[HD_N_BLOCK_KINDS] = {
    "INSERT OR REPLACE INTO vector_codes VALUES(?, ?)",
    "INSERT OR REPLACE INTO vector_halves VALUES(?, ?)",
    "INSERT OR REPLACE INTO vector_links VALUES(?, ?)",
};

hd_status hd__blocks_create(sqlite3 *db, hd_error *err)
{
    return hd__sql_exec(db,
                        "CREATE TABLE vector_state(id INTEGER PRIMARY KEY CHECK (id = 0), n INTEGER NOT NULL,"
                        " n_graph INTEGER NOT NULL, version INTEGER NOT NULL, graph_version INTEGER NOT NULL) STRICT;"
                        "INSERT INTO vector_state VALUES(0, 0, 0, 0, 0);"
                        "CREATE TABLE vector_codes(block INTEGER PRIMARY KEY, bytes BLOB NOT NULL) STRICT;"
                        "CREATE TABLE vector_halves(block INTEGER PRIMARY KEY, bytes BLOB NOT NULL) STRICT;"
                        "CREATE TABLE vector_links(block INTEGER PRIMARY KEY, bytes BLOB NOT NULL) STRICT;",
                        err);
}

static const char state_sql[] = "SELECT n, n_graph, version, graph_version FROM vector_state";

static hd_status prepare(hd_block_io *io, const char *sql, sqlite3_stmt **statement, hd_error *err)
{
    if (*statement != NULL)
        return HD_OK;
    if (io->connection != NULL)
        return hd__connection_statement(io->connection, sql, statement, err);
    return hd__sql_prepare(io->db, sql, statement, err);
}

static void done_with(hd_block_io *io, sqlite3_stmt *statement)
{
    if (statement != NULL && io->connection != NULL)
        hd__sql_reset(statement);
    else
        sqlite3_finalize(statement);
}

void hd__block_io_clear(hd_block_io *io)
{
    for (int kind = 0; kind < HD_N_BLOCK_KINDS; kind++) {
        done_with(io, io->get[kind]);
        done_with(io, io->put[kind]);
        io->get[kind] = io->put[kind] = NULL;
    }
}

hd_status hd__blocks_state(hd_block_io *io, hd_vector_state *state, hd_error *err)
{
    sqlite3_stmt *select = NULL;
    HD_TRY(prepare(io, state_sql, &select, err));
    bool row;
    hd_status status = hd__sql_next(select, &row, err);
    if (status == HD_OK) {
        const int64_t n = row ? sqlite3_column_int64(select, 0) : -1, n_graph = row ? sqlite3_column_int64(select, 1) : -1;
        if (n < 0 || n > HD_LIMIT_CHUNKS || n_graph < 0 || n_graph > n)
            status = hd__sql_damaged(io->db, err, "%lld vectors, %lld in the graph", (long long)n, (long long)n_graph);
        else
            *state = (hd_vector_state){(uint32_t)n, (uint32_t)n_graph, sqlite3_column_int64(select, 2),
                                       sqlite3_column_int64(select, 3)};
    }
    done_with(io, select);
    return status;
}

hd_status hd__blocks_set_state(sqlite3 *db, const hd_vector_state *state, hd_error *err)
{
    sqlite3_stmt *update;
    HD_TRY(hd__sql_prepare(db, "UPDATE vector_state SET n = ?, n_graph = ?, version = ?, graph_version = ?", &update, err));
    sqlite3_bind_int64(update, 1, state->n);
    sqlite3_bind_int64(update, 2, state->n_graph);
    sqlite3_bind_int64(update, 3, state->version);
    sqlite3_bind_int64(update, 4, state->graph_version);
    hd_status status = hd__sql_run(update, err);
    sqlite3_finalize(update);
    return status;
}

hd_status hd__block_fail(hd_block_io *io, hd_block_kind kind, uint64_t number, const char *what, hd_error *err)
{
    return hd__sql_damaged(io->db, err, "block %llu of %s: %s", (unsigned long long)number, tables[kind], what);
}

hd_status hd__block_get(hd_block_io *io, hd_block_kind kind, uint64_t number, hd_span *bytes, hd_error *err)
{
    HD_TRY(prepare(io, get_sql[kind], &io->get[kind], err));
    sqlite3_reset(io->get[kind]);
    sqlite3_bind_int64(io->get[kind], 1, (int64_t)number);
    bool row;
    HD_TRY(hd__sql_next(io->get[kind], &row, err));
    if (!row)
        return hd__block_fail(io, kind, number, "it is missing", err);
    *bytes = hd__sql_span(io->get[kind], 0);
    if (bytes->len == 0 && sqlite3_errcode(io->db) == SQLITE_NOMEM)
        return hd__sql_fail(io->db, err, "read");
    return HD_OK;
}

hd_status hd__block_put(hd_block_io *io, hd_block_kind kind, uint64_t number, hd_span bytes, hd_error *err)
{
    HD_TRY(prepare(io, put_sql[kind], &io->put[kind], err));
    sqlite3_bind_int64(io->put[kind], 1, (int64_t)number);
    hd__sql_bind_blob(io->put[kind], 2, bytes);
    return hd__sql_run(io->put[kind], err);
}

hd_status hd__blocks_drop_links(sqlite3 *db, hd_error *err)
{
    return hd__sql_exec(db, "DELETE FROM vector_links", err);
}
