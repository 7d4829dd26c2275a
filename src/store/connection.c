/* connection.c - see connection.h. */
#include "store/connection.h"

#include <assert.h>
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/buffer.h"
#include "store/row_checksum.h"
#include "store/trigram.h"

/* What a commit wrote is on the disk when it returns: the log is synced by each (synchronous FULL, where NORMAL would leave
 * the last commits to a loss of power). The file's own schema is not trusted to call anything, and pages are looked at
 * before their cells are. Pages are read, not mapped: a file that shrinks under a mapping ends the process. */
static const char settings[] =
    "PRAGMA synchronous = FULL; PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON;"
    "PRAGMA secure_delete = FAST; PRAGMA temp_store = MEMORY; PRAGMA journal_size_limit = 67108864";

/* "file:<path>?immutable=1", with what has a meaning in URIs escaped. */
static hd_status write_immutable_uri(const char *path, hd_buffer *uri, hd_error *err)
{
    hd__buffer_append_text(uri, "file:");
    for (const char *at = path; *at != '\0'; at++) {
        if (isalnum((unsigned char)*at) || strchr("/._-~", *at) != NULL)
            hd__buffer_append_char(uri, *at);
        else
            hd__buffer_printf(uri, "%%%02X", (unsigned)(unsigned char)*at);
    }
    hd__buffer_append(uri, "?immutable=1", sizeof "?immutable=1");
    return uri->failed ? hd__fail(err, HD_ERR_MEMORY, "%s: no memory to open it", path) : HD_OK;
}

/* A reader may write to the log's index, and, as the last one to leave, bring the log into the file: else it stays there. */
static hd_status open_db(const char *path, hd_connection_mode mode, sqlite3 **db, hd_error *err)
{
    hd_buffer name;
    hd__buffer_init(&name);
    hd_status status = HD_OK;
    int flags = mode == HD_CONNECTION_CREATE      ? SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE
                : mode == HD_CONNECTION_IMMUTABLE ? SQLITE_OPEN_READONLY
                                                  : SQLITE_OPEN_READWRITE; /* where the file may be written to */
    if (mode == HD_CONNECTION_IMMUTABLE) {
        flags |= SQLITE_OPEN_URI;
        HD_TRY_OUT(write_immutable_uri(path, &name, err));
    } else { /* SQLite may take "file:…" and ":…" for more than a path */
        hd__buffer_printf(&name, "%s%s", path[0] == '/' ? "" : "./", path);
        hd__buffer_append_char(&name, '\0');
        if (name.failed)
            status = hd__fail(err, HD_ERR_MEMORY, "%s: no memory to open it", path);
    }
    if (status == HD_OK && sqlite3_open_v2(name.ptr, db, flags | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK)
        status =
            *db != NULL ? hd__sql_fail_open(*db, path, err) : hd__fail(err, HD_ERR_MEMORY, "%s: no memory to open it", path);
out:
    hd__buffer_clear(&name);
    return status;
}

hd_status hd__connection_open(const char *path, hd_connection_mode mode, uint32_t busy_ms, hd_connection *connection,
                              hd_error *err)
{
    *connection = (hd_connection){0};
    hd_status status = open_db(path, mode, &connection->db, err);
    if (status == HD_OK) {
        sqlite3_busy_timeout(connection->db, busy_ms <= INT32_MAX ? (int)busy_ms : INT32_MAX);
        sqlite3_db_config(connection->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
        sqlite3_db_config(connection->db, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, NULL);
        sqlite3_db_config(connection->db, SQLITE_DBCONFIG_DQS_DML, 0, NULL);
        status = sqlite3_exec(connection->db, settings, NULL, NULL, NULL) == SQLITE_OK &&
                         sqlite3_exec(connection->db, mode == HD_CONNECTION_READ ? "PRAGMA query_only = ON" : "", NULL, NULL,
                                      NULL) == SQLITE_OK
                     ? hd__trigram_attach(connection->db, err)
                     : hd__sql_fail(connection->db, err, "open");
    }
    if (status == HD_OK)
        status = hd__row_checksum_attach(connection->db, err);
    if (status != HD_OK)
        hd__connection_close(connection);
    return status;
}

void hd__connection_close(hd_connection *connection)
{
    for (size_t i = 0; i < connection->n_prepared; i++)
        sqlite3_finalize(connection->prepared[i].statement);
    sqlite3_close(connection->db);
    *connection = (hd_connection){0};
}

hd_status hd__connection_statement(hd_connection *connection, const char *sql, sqlite3_stmt **statement, hd_error *err)
{
    for (size_t i = 0; i < connection->n_prepared; i++) {
        if (connection->prepared[i].sql == sql) {
            *statement = connection->prepared[i].statement;
            return HD_OK;
        }
    }
    assert(connection->n_prepared < HD_CONNECTION_STATEMENTS);
    HD_TRY(hd__sql_prepare(connection->db, sql, statement, err));
    connection->prepared[connection->n_prepared].sql = sql;
    connection->prepared[connection->n_prepared++].statement = *statement;
    return HD_OK;
}
