/* live.c - see live.h. */
#include "store/live.h"

#include <string.h>

#include "base/alloc.h"
#include "base/limits.h"

#define BLOCK_BYTES (HD_LIVE_BLOCK / 8)
#define BLOCK_WORDS (HD_LIVE_BLOCK / 64)

static const char select_state[] = "SELECT version, layout, n_documents, n_chunks, n_live FROM state";
static const char update_state[] = "UPDATE state SET version = ?, layout = ?, n_documents = ?, n_chunks = ?, n_live = ?";
static const char select_blocks[] = "SELECT block, bits FROM live WHERE version > ?";
static const char replace_block[] = "INSERT OR REPLACE INTO live VALUES(?, ?, ?)";

hd_status hd__live_read_state(hd_connection *connection, hd_state *state, hd_error *err)
{
    sqlite3_stmt *select;
    HD_TRY(hd__connection_statement(connection, select_state, &select, err));
    bool row;
    hd_status status = hd__sql_next(select, &row, err);
    int64_t values[5] = {0};
    for (int i = 0; i < 5 && status == HD_OK && row; i++) {
        values[i] = sqlite3_column_int64(select, i);
        row = values[i] >= 0;
    }
    hd__sql_reset(select);
    HD_TRY(status);
    if (!row || values[3] > HD_LIMIT_CHUNKS || values[4] > values[3])
        return hd__sql_damaged(connection->db, err, "its state makes no sense");
    *state = (hd_state){.version = (uint64_t)values[0],
                        .layout = (uint64_t)values[1],
                        .n_documents = (uint64_t)values[2],
                        .n_chunks = (uint32_t)values[3],
                        .n_live = (uint32_t)values[4]};
    return HD_OK;
}

hd_status hd__live_write_state(hd_connection *connection, const hd_state *state, hd_error *err)
{
    sqlite3_stmt *update;
    HD_TRY(hd__connection_statement(connection, update_state, &update, err));
    sqlite3_bind_int64(update, 1, (int64_t)state->version);
    sqlite3_bind_int64(update, 2, (int64_t)state->layout);
    sqlite3_bind_int64(update, 3, (int64_t)state->n_documents);
    sqlite3_bind_int64(update, 4, state->n_chunks);
    sqlite3_bind_int64(update, 5, state->n_live);
    return hd__sql_run(update, err);
}

static hd_status new_live(const hd_bitmap *from, hd_live **live, hd_error *err)
{
    hd_live *made = hd__calloc(1, sizeof *made);
    if (made == NULL)
        return hd__fail(err, HD_ERR_MEMORY, "no memory to read an index");
    hd_status status = from != NULL ? hd__bitmap_copy(&made->chunks, from, err) : hd__bitmap_init(&made->chunks, 0, err);
    if (status != HD_OK) {
        hd__free(made);
        return status;
    }
    atomic_init(&made->n_holders, 1);
    *live = made;
    return HD_OK;
}

/* The words of a block that the bitmap has: fewer than BLOCK_WORDS in the last one. */
static size_t words_in_block(const hd_bitmap *chunks, size_t block)
{
    const size_t left = hd__bitmap_n_words(chunks->n) - block * BLOCK_WORDS;
    return left < BLOCK_WORDS ? left : BLOCK_WORDS;
}

static bool take_block(hd_bitmap *chunks, int64_t block, hd_span bits)
{
    if (block < 0 || (uint64_t)block >= hd__live_n_blocks(chunks->n) || bits.len != BLOCK_BYTES)
        return false;
    hd_cursor c = hd__cursor(bits);
    const size_t n_words = words_in_block(chunks, (size_t)block);
    uint64_t *words = chunks->words + (size_t)block * BLOCK_WORDS;
    for (size_t i = 0; i < n_words; i++)
        words[i] = hd__cursor_u64(&c);
    const bool is_last_word = (size_t)block * BLOCK_WORDS + n_words == hd__bitmap_n_words(chunks->n);
    return !is_last_word || chunks->n % 64 == 0 || words[n_words - 1] >> (chunks->n % 64) == 0;
}

static hd_status read_blocks(hd_connection *connection, uint64_t since, hd_bitmap *chunks, hd_error *err)
{
    sqlite3_stmt *select;
    HD_TRY(hd__connection_statement(connection, select_blocks, &select, err));
    sqlite3_bind_int64(select, 1, (int64_t)since);
    bool row;
    hd_status status;
    while ((status = hd__sql_next(select, &row, err)) == HD_OK && row) {
        if (!take_block(chunks, sqlite3_column_int64(select, 0), hd__sql_span(select, 1))) {
            status = hd__sql_damaged(connection->db, err, "a block of its list of live chunks");
            break;
        }
    }
    hd__sql_reset(select);
    hd__bitmap_recount(chunks);
    return status;
}

hd_status hd__live_read(hd_connection *connection, const hd_state *state, const hd_live *before, hd_live **live,
                        hd_error *err)
{
    const bool goes_on = before != NULL && before->layout == state->layout && before->version <= state->version &&
                         before->chunks.n <= state->n_chunks;
    hd_live *made = NULL;
    HD_TRY(new_live(goes_on ? &before->chunks : NULL, &made, err));
    made->version = state->version;
    made->layout = state->layout;
    hd_status status = hd__bitmap_grow(&made->chunks, state->n_chunks, err);
    if (status == HD_OK)
        status = read_blocks(connection, goes_on ? before->version : 0, &made->chunks, err);
    if (status == HD_OK && made->chunks.n_set != state->n_live)
        status = hd__sql_damaged(connection->db, err, "its list of live chunks is not as long as it should be");
    if (status != HD_OK) {
        hd__live_release(made);
        return status;
    }
    *live = made;
    return HD_OK;
}

hd_status hd__live_copy(const hd_live *from, hd_live **live, hd_error *err)
{
    HD_TRY(new_live(&from->chunks, live, err));
    (*live)->version = from->version;
    (*live)->layout = from->layout;
    return HD_OK;
}

hd_status hd__live_write(hd_connection *connection, const hd_live *live, const bool *changed, size_t n_blocks, hd_error *err)
{
    unsigned char bits[BLOCK_BYTES];
    sqlite3_stmt *replace;
    HD_TRY(hd__connection_statement(connection, replace_block, &replace, err));
    for (size_t block = 0; block < n_blocks; block++) {
        if (!changed[block])
            continue;
        memset(bits, 0, sizeof bits);
        const uint64_t *words = live->chunks.words + block * BLOCK_WORDS;
        for (size_t i = 0; i < 8 * words_in_block(&live->chunks, block); i++)
            bits[i] = (unsigned char)(words[i / 8] >> (i % 8 * 8));
        sqlite3_bind_int64(replace, 1, (int64_t)block);
        sqlite3_bind_int64(replace, 2, (int64_t)live->version);
        hd__sql_bind_blob(replace, 3, hd__span(bits, sizeof bits));
        HD_TRY(hd__sql_run(replace, err));
    }
    return HD_OK;
}

hd_live *hd__live_hold(hd_live *live)
{
    atomic_fetch_add(&live->n_holders, 1);
    return live;
}

void hd__live_release(hd_live *live)
{
    if (live == NULL || atomic_fetch_sub(&live->n_holders, 1) != 1)
        return;
    hd__bitmap_clear(&live->chunks);
    hd__free(live);
}
