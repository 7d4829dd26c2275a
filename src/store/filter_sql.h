/* filter_sql.h - a filter as an SQL condition and the values of its parameters. The condition's text is made of ours alone.
 *
 * It speaks of one row `d` of document and, where the filter is of chunks, one row `c` of chunk; it is 0 or 1, never NULL.
 */
#ifndef HD_STORE_FILTER_SQL_H
#define HD_STORE_FILTER_SQL_H

#include <sqlite3.h>

#include "base/buffer.h"
#include "store/filter_tree.h"

/* Appends the condition. HD_ERR_MEMORY. */
HD_MUST_USE hd_status hd__filter_sql(const hd_filter *filter, hd_buffer *sql, hd_error *err);

/* Binds the values that the condition asks for to parameters from *parameter on, which is raised past them; texts are on
 * the arena or the filter's. */
HD_MUST_USE hd_status hd__filter_bind(const hd_filter *filter, sqlite3_stmt *statement, int *parameter, hd_arena *arena,
                                      hd_error *err);

/* The column of a field other than METADATA: "d.title". */
const char *hd__field_column(hd_field field);

#endif
