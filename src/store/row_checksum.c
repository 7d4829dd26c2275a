/* row_checksum.c - see row_checksum.h. */
#include "store/row_checksum.h"

#include "base/hash.h"
#include "store/sql.h"

static uint64_t add_integer(int64_t value, uint64_t hash)
{
    unsigned char bytes[sizeof value];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (unsigned char)((uint64_t)value >> (8 * i));
    return hd__hash64(hd__span(bytes, sizeof bytes), hash);
}

static void row_checksum(sqlite3_context *context, int n, sqlite3_value **values)
{
    uint64_t hash = 0;
    for (int i = 0; i < n; i++) {
        if (sqlite3_value_type(values[i]) == SQLITE_INTEGER) {
            hash = add_integer(sqlite3_value_int64(values[i]), hash);
            continue;
        }
        const void *bytes = sqlite3_value_blob(values[i]); /* NULL for none */
        hash = hd__hash64(bytes != NULL ? hd__span(bytes, (size_t)sqlite3_value_bytes(values[i])) : hd__span("", 0), hash);
    }
    sqlite3_result_int64(context, (int64_t)hash);
}

hd_status hd__row_checksum_attach(sqlite3 *db, hd_error *err)
{
    const int flags = SQLITE_UTF8 | SQLITE_DETERMINISTIC | SQLITE_DIRECTONLY;
    return sqlite3_create_function(db, "row_checksum", -1, flags, NULL, row_checksum, NULL, NULL) == SQLITE_OK
               ? HD_OK
               : hd__sql_fail(db, err, "open");
}
