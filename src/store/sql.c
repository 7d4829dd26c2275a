/* sql.c - see sql.h. */
#include "store/sql.h"

#include <stdarg.h>
#include <stdio.h>

static const char *file_of(sqlite3 *db)
{
    const char *path = sqlite3_db_filename(db, "main");
    return path != NULL && path[0] != '\0' ? path : "database";
}

hd_status hd__sql_damaged(sqlite3 *db, hd_error *err, const char *format, ...)
{
    char what[256];
    va_list args;
    va_start(args, format);
    vsnprintf(what, sizeof what, format, args);
    va_end(args);
    return hd__fail(err, HD_ERR_FORMAT, "%s: the file is damaged (%s): 'heddle db check' says what can be saved",
                    file_of(db), what);
}

static hd_status fail(const char *path, sqlite3 *db, hd_error *err, const char *doing)
{
    const int code = sqlite3_extended_errcode(db);
    if (code == SQLITE_IOERR_SHORT_READ || code == SQLITE_IOERR_CORRUPTFS)
        return hd__sql_damaged(db, err, "cannot %s: %s", doing, sqlite3_errmsg(db));
    if (code == SQLITE_IOERR_NOMEM)
        return hd__fail(err, HD_ERR_MEMORY, "%s: cannot %s: no memory", path, doing);
    switch (code & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return hd__fail(err, HD_ERR_BUSY, "%s: cannot %s: another process is writing to it, and did not end in time", path,
                        doing);
    case SQLITE_NOTADB: return hd__fail(err, HD_ERR_FORMAT, "%s: cannot %s: it is no SQLite database", path, doing);
    case SQLITE_CONSTRAINT:
    case SQLITE_CORRUPT:
    case SQLITE_ERROR: /* our SQL is right: a table or column that it names is not there */
    case SQLITE_MISMATCH: return hd__sql_damaged(db, err, "cannot %s: %s", doing, sqlite3_errmsg(db));
    case SQLITE_FULL: return hd__fail(err, HD_ERR_IO, "%s: cannot %s: no space left on the disk", path, doing);
    case SQLITE_NOMEM: return hd__fail(err, HD_ERR_MEMORY, "%s: cannot %s: no memory", path, doing);
    case SQLITE_TOOBIG:
        return hd__fail(err, HD_ERR_LIMIT, "%s: cannot %s: more than SQLite takes in one value", path, doing);
    case SQLITE_INTERRUPT: return hd__fail(err, HD_ERR_CANCELLED, "%s: %s: interrupted", path, doing);
    case SQLITE_READONLY: return hd__fail(err, HD_ERR_IO, "%s: cannot %s: it may only be read", path, doing);
    default: break;
    }
    const int saved_errno = sqlite3_system_errno(db);
    if (saved_errno != 0)
        return hd__fail_errno(err, saved_errno, "%s: cannot %s: %s", path, doing, sqlite3_errmsg(db));
    return hd__fail(err, HD_ERR_IO, "%s: cannot %s: %s", path, doing, sqlite3_errmsg(db));
}

hd_status hd__sql_fail(sqlite3 *db, hd_error *err, const char *doing)
{
    return fail(file_of(db), db, err, doing);
}

hd_status hd__sql_fail_open(sqlite3 *db, const char *path, hd_error *err)
{
    return fail(path, db, err, "open");
}

hd_status hd__sql_exec(sqlite3 *db, const char *sql, hd_error *err)
{
    return sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK ? HD_OK : hd__sql_fail(db, err, "write");
}

hd_status hd__sql_prepare(sqlite3 *db, const char *sql, sqlite3_stmt **statement, hd_error *err)
{
    return sqlite3_prepare_v3(db, sql, -1, SQLITE_PREPARE_PERSISTENT, statement, NULL) == SQLITE_OK
               ? HD_OK
               : hd__sql_fail(db, err, "read");
}

hd_status hd__sql_next(sqlite3_stmt *statement, bool *row, hd_error *err)
{
    const int code = sqlite3_step(statement);
    *row = code == SQLITE_ROW;
    if (code == SQLITE_ROW || code == SQLITE_DONE)
        return HD_OK;
    return hd__sql_fail(sqlite3_db_handle(statement), err, sqlite3_stmt_readonly(statement) ? "read" : "write");
}

void hd__sql_reset(sqlite3_stmt *statement)
{
    sqlite3_reset(statement); /* its result is that of the last step, which was looked at */
    sqlite3_clear_bindings(statement);
}

hd_status hd__sql_run(sqlite3_stmt *statement, hd_error *err)
{
    bool row;
    hd_status status = hd__sql_next(statement, &row, err);
    hd__sql_reset(statement);
    return status;
}

hd_status hd__sql_integer(sqlite3 *db, const char *sql, int64_t *value, hd_error *err)
{
    sqlite3_stmt *statement;
    HD_TRY(hd__sql_prepare(db, sql, &statement, err));
    bool row;
    hd_status status = hd__sql_next(statement, &row, err);
    if (status == HD_OK && !row)
        status = hd__sql_damaged(db, err, "no answer to \"%s\"", sql);
    if (status == HD_OK)
        *value = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return status;
}

hd_span hd__sql_span(sqlite3_stmt *statement, int column)
{
    const void *bytes = sqlite3_column_blob(statement, column); /* of texts too: no NUL is added, so nothing is allocated */
    return bytes != NULL ? hd__span(bytes, (size_t)sqlite3_column_bytes(statement, column)) : hd__span("", 0);
}

void hd__sql_bind_text(sqlite3_stmt *statement, int parameter, hd_span text)
{
    sqlite3_bind_text64(statement, parameter, text.ptr != NULL ? text.ptr : "", text.len, SQLITE_STATIC, SQLITE_UTF8);
}

void hd__sql_bind_blob(sqlite3_stmt *statement, int parameter, hd_span bytes)
{
    sqlite3_bind_blob64(statement, parameter, bytes.ptr != NULL ? bytes.ptr : "", bytes.len, SQLITE_STATIC);
}
