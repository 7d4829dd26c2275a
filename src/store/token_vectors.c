/* token_vectors.c - see token_vectors.h. */
#include "store/token_vectors.h"

#include <math.h>

#include "base/alloc.h"
#include "base/half.h"

hd_status hd__token_vectors_create(sqlite3 *db, hd_error *err)
{
    return hd__sql_exec(db, "CREATE TABLE token_vectors(chunk INTEGER PRIMARY KEY, vectors BLOB NOT NULL) STRICT", err);
}

static float largest_magnitude(const float *vector, uint32_t width)
{
    float largest = 0.0f;
    for (uint32_t i = 0; i < width; i++) {
        const float magnitude = fabsf(vector[i]);
        if (!(magnitude <= largest)) /* a NaN, too, becomes the largest */
            largest = magnitude;
        if (isnan(largest))
            break;
    }
    return largest;
}

static void write_codes(const float *vector, uint32_t width, float scale, unsigned char *codes)
{
    for (uint32_t i = 0; i < width; i++) {
        const float code = scale > 0.0f ? rintf(vector[i] / scale) : 0.0f;
        codes[i] = (unsigned char)(int8_t)(code > 127.0f ? 127.0f : code < -127.0f ? -127.0f : code);
    }
}

/* row: n scales, then n * width codes. */
static hd_status write_row(const float *vectors, size_t n, uint32_t width, unsigned char *row, hd_error *err)
{
    for (size_t i = 0; i < n; i++) {
        const float *vector = vectors + i * width;
        const float largest = largest_magnitude(vector, width);
        if (!isfinite(largest))
            return hd__fail(err, HD_ERR_ARG, "token vector %zu of %zu is not finite", i, n);
        const float scale = largest / 127.0f;
        const uint32_t bits = hd__float_bits(scale);
        for (size_t byte = 0; byte < 4; byte++)
            row[4 * i + byte] = (unsigned char)(bits >> (8 * byte));
        write_codes(vector, width, scale, row + 4 * n + i * width);
    }
    return HD_OK;
}

hd_status hd__token_vectors_add(hd_connection *connection, hd_chunk_id id, const float *vectors, size_t n, uint32_t width,
                                hd_error *err)
{
    static const char insert[] = "INSERT INTO token_vectors VALUES(?, ?)";
    if (n == 0)
        return HD_OK;
    sqlite3_stmt *statement;
    HD_TRY(hd__connection_statement(connection, insert, &statement, err));
    const size_t bytes = hd__mul(n, (size_t)width + 4);
    unsigned char *row = hd__malloc(bytes);
    if (row == NULL)
        return hd__fail(err, HD_ERR_MEMORY, "no memory for %zu token vectors", n);
    hd_status status = write_row(vectors, n, width, row, err);
    if (status == HD_OK) {
        sqlite3_bind_int64(statement, 1, id);
        hd__sql_bind_blob(statement, 2, hd__span(row, bytes));
        status = hd__sql_run(statement, err);
    }
    hd__free(row);
    return status;
}

hd_status hd__token_vectors_remove(hd_connection *connection, hd_chunk_id begin, hd_chunk_id end, hd_error *err)
{
    static const char remove[] = "DELETE FROM token_vectors WHERE chunk >= ? AND chunk < ?";
    sqlite3_stmt *statement;
    HD_TRY(hd__connection_statement(connection, remove, &statement, err));
    sqlite3_bind_int64(statement, 1, begin);
    sqlite3_bind_int64(statement, 2, end);
    return hd__sql_run(statement, err);
}

static void read_row(hd_span row, size_t n, uint32_t width, float *vectors)
{
    hd_cursor c = hd__cursor(row);
    const int8_t *codes = (const int8_t *)row.ptr + 4 * n;
    for (size_t i = 0; i < n; i++) {
        const float scale = hd__float_of_bits(hd__cursor_u32(&c));
        for (size_t j = i * width; j < (i + 1) * width; j++)
            vectors[j] = scale * (float)codes[j];
    }
}

hd_status hd__token_vectors_get(hd_connection *connection, hd_chunk_id id, uint32_t width, hd_arena *arena, float **vectors,
                                size_t *n, hd_error *err)
{
    static const char select[] = "SELECT vectors FROM token_vectors WHERE chunk = ?";
    *vectors = NULL;
    *n = 0;
    sqlite3_stmt *statement;
    HD_TRY(hd__connection_statement(connection, select, &statement, err));
    sqlite3_bind_int64(statement, 1, id);
    bool has_row;
    hd_status status = hd__sql_next(statement, &has_row, err);
    if (status == HD_OK && has_row) {
        const hd_span row = hd__sql_span(statement, 0);
        const size_t n_rows = row.len / ((size_t)width + 4);
        float *read = hd__arena_alloc(arena, hd__mul(hd__mul(n_rows, width), sizeof *read));
        if (row.len % ((size_t)width + 4) != 0)
            status = hd__sql_damaged(connection->db, err, "token vectors of chunk %u", id);
        else if (read == NULL)
            status = hd__fail(err, HD_ERR_MEMORY, "no memory for %zu token vectors", n_rows);
        if (status == HD_OK) {
            read_row(row, n_rows, width, read);
            *vectors = read;
            *n = n_rows;
        }
    }
    hd__sql_reset(statement);
    return status;
}
