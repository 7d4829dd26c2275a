/* A filter: what the parser takes, SQLite must take too, with as many parameters as are bound, and give 0 or 1. */
#include <stdint.h>
#include <stdlib.h>

#include "store/filter_sql.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static sqlite3 *db;

static void open_database(void)
{
    static const char sql[] = "CREATE TABLE document(number INTEGER PRIMARY KEY, id, source, path, title, url, author, "
                              "mime, metadata, created_at, "
                              "size); CREATE TABLE chunk(id INTEGER PRIMARY KEY, document, section);"
                              "INSERT INTO document VALUES(1, 'a', 'docs', '/a', 'A', '', 'x', 'text/plain', "
                              "'{\"year\":2020,\"tags\":[\"a\",1,true,null],\"deep\":{\"k\":1.5}}', 1714521600, 10);"
                              "INSERT INTO document VALUES(2, 'b', '', '', '', '', '', '', '{}', 0, 0);"
                              "INSERT INTO chunk VALUES(1, 1, 'Intro'); INSERT INTO chunk VALUES(2, 2, '');";
    if (sqlite3_open(":memory:", &db) != SQLITE_OK || sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
        abort();
}

static void run(const hd_filter *filter, hd_arena *arena)
{
    hd_buffer sql;
    sqlite3_stmt *statement;
    int parameter = 1, n_rows = 0;
    hd__buffer_init(&sql);
    hd__buffer_append_text(&sql, "SELECT ");
    if (hd__filter_sql(filter, &sql, NULL) != HD_OK)
        abort();
    hd__buffer_append_text(&sql, " FROM document AS d JOIN chunk AS c ON c.document = d.number");
    hd__buffer_append_char(&sql, '\0');
    if (sqlite3_prepare_v2(db, sql.ptr, -1, &statement, NULL) != SQLITE_OK)
        abort();
    if (hd__filter_bind(filter, statement, &parameter, arena, NULL) != HD_OK ||
        parameter - 1 != sqlite3_bind_parameter_count(statement))
        abort();
    while (sqlite3_step(statement) == SQLITE_ROW) {
        if (sqlite3_column_type(statement, 0) != SQLITE_INTEGER || (sqlite3_column_int64(statement, 0) & ~INT64_C(1)) != 0)
            abort();
        n_rows++;
    }
    if (sqlite3_finalize(statement) != SQLITE_OK || n_rows != 2)
        abort();
    hd__buffer_clear(&sql);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    hd_arena arena;
    hd_error err = {0};
    const hd_filter *filter;
    hd_field field;
    const char *path;
    if (db == NULL)
        open_database();
    hd__arena_init(&arena);
    if (hd__filter_parse(hd__span(data, size), &arena, &filter, &err) == HD_OK)
        run(filter, &arena);
    else if (err.text[0] == '\0')
        abort();
    if (hd__field_parse(hd__span(data, size), &arena, &field, &path, &err) == HD_OK && path[0] != '$')
        abort();
    hd__arena_clear(&arena);
    return 0;
}
