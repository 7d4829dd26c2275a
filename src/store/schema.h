/* schema.h - what is in the file: its tables, their version, how older versions become this one; docs/STORE.md describes
 * them. SQLite's application_id says that a file is ours, its user_version which version of the schema it has.
 */
#ifndef HD_STORE_SCHEMA_H
#define HD_STORE_SCHEMA_H

#include <sqlite3.h>

#include "store/store.h"

#define HD_SCHEMA_APPLICATION_ID 0x48644c31 /* "HdL1" */

#define HD_SCHEMA_LANGUAGE "language" /* the setting that says which stemmer its words went through; never changed */

/* One step from a version to the next, in a write transaction that also raises user_version: all of it happens, or nothing.
 * `data` is what migrate was given. */
typedef hd_status hd_migration(sqlite3 *db, const void *data, hd_error *err);

/* Brings a file to version n, by steps[version] … steps[n - 1]. HD_ERR_UNSUPPORTED when it is of a newer one. */
HD_MUST_USE hd_status hd__schema_migrate(sqlite3 *db, hd_migration *const *steps, uint32_t n, const void *data,
                                         hd_error *err);

/* After the connection is open: refuses what is no index of ours, makes the tables of a new one, migrates an older one,
 * makes sure of write-ahead logging. */
HD_MUST_USE hd_status hd__schema_open(sqlite3 *db, const char *path, const hd_store_options *options, hd_error *err);

/* Whether it is an index of an older version, which one who writes takes further. */
bool hd__schema_is_older(sqlite3 *db);

/* The identity in the file, on the arena. */
HD_MUST_USE hd_status hd__schema_identity(sqlite3 *db, hd_arena *arena, hd_identity *identity, hd_error *err);

/* HD_ERR_UNSUPPORTED names both and the first difference. */
HD_MUST_USE hd_status hd__schema_same_identity(const char *path, const hd_identity *file, const hd_identity *wanted,
                                               hd_error *err);

#endif
