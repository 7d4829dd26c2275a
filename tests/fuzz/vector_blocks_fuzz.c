/* Blocks of vectors, codes and links, as a damaged file may hold them: one of the file's blocks is replaced by the input.
 *
 * Byte 0 chooses the table, byte 1 the block, byte 2 how: bit 0 set, the input takes its place; else it is put over the
 * block from the byte on that bytes 3 and 4 say. Then everything is searched, checked and read.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/vectors.h"

enum { DIM = 20, N = 700, K = 5 };

static hd_connection connection;
static hd_vectors_tuning tuning;
static float rows[N * DIM];

static void need(bool ok)
{
    if (!ok)
        abort();
}

static void run(const char *sql)
{
    need(sqlite3_exec(connection.db, sql, NULL, NULL, NULL) == SQLITE_OK);
}

static void open_once(void)
{
    hd_vectors *vectors;
    uint32_t random = 1;
    for (int i = 0; i < N * DIM; i++) {
        random = random * 1664525u + 1013904223u;
        rows[i] = (float)(random >> 8) / (float)(1 << 24) - 0.5f;
    }
    tuning = hd__vectors_tuning;
    tuning.scan_max = 100;
    tuning.tail_max = 50;
    tuning.scan_for_beam = 1;
    need(sqlite3_open(":memory:", &connection.db) == SQLITE_OK);
    need(hd__vectors_create(connection.db, NULL) == HD_OK);
    need(hd__vectors_open(connection.db, DIM, true, 1, &vectors, NULL) == HD_OK);
    hd__vectors_tune(vectors, &tuning);
    need(hd__vectors_append(vectors, connection.db, 0, rows, N, NULL) == HD_OK);
    need(hd__vectors_build(vectors, connection.db, NULL, NULL, NULL) == HD_OK);
    hd__vectors_commit(vectors);
    hd__vectors_close(vectors);
}

/* The input to where its first bytes say; false when there is no such block. */
static bool put(const uint8_t *data, size_t size)
{
    static const char *const get_sql[] = {"SELECT block, bytes FROM vector_codes LIMIT 1 OFFSET ?",
                                          "SELECT block, bytes FROM vector_halves LIMIT 1 OFFSET ?",
                                          "SELECT block, bytes FROM vector_links LIMIT 1 OFFSET ?"};
    static const char *const put_sql[] = {"UPDATE vector_codes SET bytes = ? WHERE block = ?",
                                          "UPDATE vector_halves SET bytes = ? WHERE block = ?",
                                          "UPDATE vector_links SET bytes = ? WHERE block = ?"};
    sqlite3_stmt *get, *update;
    need(sqlite3_prepare_v2(connection.db, get_sql[data[0] % 3], -1, &get, NULL) == SQLITE_OK);
    sqlite3_bind_int(get, 1, data[1] % 16);
    if (sqlite3_step(get) != SQLITE_ROW) {
        sqlite3_finalize(get);
        return false;
    }
    const size_t before = (size_t)sqlite3_column_bytes(get, 1),
                 at = before > 0 ? (data[3] | (size_t)data[4] << 8) % before : 0;
    const bool whole = (data[2] & 1) != 0;
    const size_t n = whole ? size - 5 : before, n_over = size - 5 < before - at ? size - 5 : before - at;
    char *bytes = calloc(n + 1, 1);
    need(bytes != NULL);
    if (whole) {
        memcpy(bytes, data + 5, size - 5);
    } else {
        memcpy(bytes, sqlite3_column_blob(get, 1), before);
        memcpy(bytes + at, data + 5, n_over);
    }
    need(sqlite3_prepare_v2(connection.db, put_sql[data[0] % 3], -1, &update, NULL) == SQLITE_OK);
    sqlite3_bind_blob64(update, 1, bytes, n, SQLITE_STATIC);
    sqlite3_bind_int64(update, 2, sqlite3_column_int64(get, 0));
    need(sqlite3_step(update) == SQLITE_DONE);
    sqlite3_finalize(update);
    sqlite3_finalize(get);
    free(bytes);
    return true;
}

static void count_fault(bool in_graph, const char *what, void *data)
{
    need(what[0] != '\0');
    ((int *)data)[in_graph]++;
}

static void search_all(bool *failed)
{
    uint64_t words[N / 64 + 1];
    hd_vectors *vectors;
    memset(words, 0xff, sizeof words);
    const hd_bitmap all = {words, N, N};
    need(hd__vectors_open(connection.db, DIM, true, 1, &vectors, NULL) == HD_OK);
    hd__vectors_tune(vectors, &tuning);
    for (int i = 0; i < 40; i++) {
        hd_ranked got[K];
        float row[DIM];
        size_t n;
        const hd_chunk_id id = (hd_chunk_id)(i * 17);
        hd_status status = hd__vectors_search(vectors, &connection, rows + id * DIM, K, &all, i % 4 == 3, got, &n, NULL);
        need(status == HD_OK || status == HD_ERR_FORMAT);
        *failed = *failed || status != HD_OK;
        for (size_t j = 0; status == HD_OK && j < n; j++)
            need(got[j].id < N && got[j].score == got[j].score && (j == 0 || got[j].score <= got[j - 1].score));
        status = hd__vectors_get(vectors, &connection, &id, 1, row, NULL);
        need(status == HD_OK || status == HD_ERR_FORMAT);
    }
    hd__vectors_close(vectors);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int n_faults[2] = {0};
    bool failed = false;
    if (connection.db == NULL)
        open_once();
    if (size < 5)
        return 0;
    run("BEGIN");
    if (put(data, size)) {
        search_all(&failed);
        need(hd__vectors_check(connection.db, DIM, count_fault, n_faults, NULL) == HD_OK);
        need(!failed || n_faults[0] + n_faults[1] > 0); /* what a search trips over the check finds */
    }
    run("ROLLBACK");
    return 0;
}
