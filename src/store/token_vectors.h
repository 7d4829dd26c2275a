/* token_vectors.h - a vector for each token of a chunk, for late interaction (kernel/maxsim.h), in 8 bits.
 *
 * A row is n scales in f32, then n * width codes: value = code * scale, scale = largest magnitude / 127. No value moves by
 * more than half a scale; docs/STORE.md has what that does to scores.
 */
#ifndef HD_STORE_TOKEN_VECTORS_H
#define HD_STORE_TOKEN_VECTORS_H

#include "store/connection.h"
#include "store/store.h"

HD_MUST_USE hd_status hd__token_vectors_create(sqlite3 *db, hd_error *err);

/* vectors: [n, width], finite (HD_ERR_ARG); n may be 0. */
HD_MUST_USE hd_status hd__token_vectors_add(hd_connection *connection, hd_chunk_id id, const float *vectors, size_t n,
                                            uint32_t width, hd_error *err);
HD_MUST_USE hd_status hd__token_vectors_remove(hd_connection *connection, hd_chunk_id begin, hd_chunk_id end, hd_error *err);

/* Those of a chunk, [*n, width] in memory of the arena; *n 0 when there are none. */
HD_MUST_USE hd_status hd__token_vectors_get(hd_connection *connection, hd_chunk_id id, uint32_t width, hd_arena *arena,
                                            float **vectors, size_t *n, hd_error *err);

#endif
