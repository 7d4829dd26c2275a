/* trigram.h - which chunks of code have a text as it stands, parts of words included: SQLite's FTS5 over trigrams.
 *
 * Words are found by postings.h. This is for names in code ("hd__store_op"), and holds chunks with is_code alone.
 */
#ifndef HD_STORE_TRIGRAM_H
#define HD_STORE_TRIGRAM_H

#include "store/connection.h"
#include "store/legs.h"

#define HD_TRIGRAM_MIN_CHARS 3     /* of a query: there is no shorter trigram */
#define HD_TRIGRAM_MAX_SEEN 20000u /* chunks looked at for one query, in the order of their numbers */

/* What a connection needs before it searches. HD_ERR_UNSUPPORTED: this SQLite has no FTS5. */
HD_MUST_USE hd_status hd__trigram_attach(sqlite3 *db, hd_error *err);

HD_MUST_USE hd_status hd__trigram_create(sqlite3 *db, hd_error *err);
HD_MUST_USE hd_status hd__trigram_add(hd_connection *connection, hd_chunk_id id, hd_span text, hd_error *err);
HD_MUST_USE hd_status hd__trigram_remove(hd_connection *connection, hd_chunk_id id, hd_span text, hd_error *err);

/* As hd__leg_trigram; allowed is never NULL. */
HD_MUST_USE hd_status hd__trigram_search(hd_connection *connection, hd_span query, size_t k, const hd_bitmap *allowed,
                                         hd_ranked *out, size_t *n, hd_error *err);

/* FTS5's own check of its index, against the chunks. Calls `found` for a fault. */
HD_MUST_USE hd_status hd__trigram_check(sqlite3 *db, void (*found)(const char *what, void *data), void *data, hd_error *err);

#endif
