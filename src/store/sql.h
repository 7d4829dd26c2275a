/* sql.h - SQLite as the store uses it: statements, and what its errors mean to the person who reads them.
 *
 * Every message begins with the database file's path. Statements are SQL texts of ours with parameters: nothing from outside
 * is ever part of one.
 */
#ifndef HD_STORE_SQL_H
#define HD_STORE_SQL_H

#include <sqlite3.h>

#include "base/span.h"
#include "base/status.h"

/* The status and text of the connection's last error: "<path>: cannot <doing>: …". HD_ERR_BUSY, _FORMAT (damaged), _MEMORY,
 * _LIMIT, _CANCELLED, _IO. */
hd_status hd__sql_fail(sqlite3 *db, hd_error *err, const char *doing) __attribute__((cold));

/* The same of a connection that did not come to be, and so does not know its path. */
hd_status hd__sql_fail_open(sqlite3 *db, const char *path, hd_error *err) __attribute__((cold));

/* HD_ERR_FORMAT, "<path>: the file is damaged (…): 'heddle db check' says what can be saved". */
hd_status hd__sql_damaged(sqlite3 *db, hd_error *err, const char *format, ...) __attribute__((cold, format(printf, 3, 4)));

/* Statements without results, one after the other. */
HD_MUST_USE hd_status hd__sql_exec(sqlite3 *db, const char *sql, hd_error *err);

/* *statement is finalized by the caller. */
HD_MUST_USE hd_status hd__sql_prepare(sqlite3 *db, const char *sql, sqlite3_stmt **statement, hd_error *err);

/* The next row; *row false when there is none. On failure, too, the caller resets the statement. */
HD_MUST_USE hd_status hd__sql_next(sqlite3_stmt *statement, bool *row, hd_error *err);

/* Runs a statement that gives no row, and resets it; bindings go. */
HD_MUST_USE hd_status hd__sql_run(sqlite3_stmt *statement, hd_error *err);

/* Resets, and forgets what was bound: it may be memory that goes. */
void hd__sql_reset(sqlite3_stmt *statement);

/* The first column of the only row of a statement without parameters, as an integer. */
HD_MUST_USE hd_status hd__sql_integer(sqlite3 *db, const char *sql, int64_t *value, hd_error *err);

/* A text or blob column's bytes, which live until the statement's next row. */
hd_span hd__sql_span(sqlite3_stmt *statement, int column);

/* Parameters whose memory stays until the statement was reset. Nothing is copied, so that binding fails for more than
 * SQLite's 10^9 bytes alone; then the value is NULL, which no column of ours takes. */
void hd__sql_bind_text(sqlite3_stmt *statement, int parameter, hd_span text);
void hd__sql_bind_blob(sqlite3_stmt *statement, int parameter, hd_span bytes);

#endif
