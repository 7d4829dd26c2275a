/* connection.h - one SQLite connection to the store's file, with its settings and the statements it has prepared.
 *
 * Threads: one at a time.
 */
#ifndef HD_STORE_CONNECTION_H
#define HD_STORE_CONNECTION_H

#include "store/sql.h"

#define HD_CONNECTION_STATEMENTS 40 /* more than there are in the sources */

typedef struct hd_connection {
    sqlite3 *db;
    struct {
        const char *sql; /* known by its address */
        sqlite3_stmt *statement;
    } prepared[HD_CONNECTION_STATEMENTS];
    size_t n_prepared;
} hd_connection;

typedef enum hd_connection_mode {
    HD_CONNECTION_WRITE,     /* the file must exist */
    HD_CONNECTION_CREATE,    /* it is made */
    HD_CONNECTION_READ,      /* no statement of it may write */
    HD_CONNECTION_IMMUTABLE, /* for a file that nobody can write to, without log */
} hd_connection_mode;

HD_MUST_USE hd_status hd__connection_open(const char *path, hd_connection_mode mode, uint32_t busy_ms,
                                          hd_connection *connection, hd_error *err);
void hd__connection_close(hd_connection *connection); /* zeroed: nothing happens */

/* A statement whose text is a constant of the program, prepared at its first use and reset. The caller resets it when it
 * has its rows. */
HD_MUST_USE hd_status hd__connection_statement(hd_connection *connection, const char *sql, sqlite3_stmt **statement,
                                               hd_error *err);

#endif
