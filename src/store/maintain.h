/* maintain.h - keeping an index well: checking, mending, compacting and copying it; documents out and in as JSON lines.
 */
#ifndef HD_STORE_MAINTAIN_H
#define HD_STORE_MAINTAIN_H

#include "base/buffer.h"
#include "store/store.h"

/* ---- check ------------------------------------------------------------------------------------------------ */

/* What a fault is in. Derived parts can be made anew from the others. */
typedef enum hd_part { HD_PART_FILE, HD_PART_ROWS, HD_PART_VECTORS, HD_PART_WORDS, HD_PART_TRIGRAMS, HD_PART_GRAPH } hd_part;

/* Reads all of the file and calls `found` for each fault. It need not be a store that can be opened. A file that cannot be
 * written to is checked but for its trigrams. HD_ERR_NOT_FOUND, _FORMAT (no index at all), _UNSUPPORTED, _BUSY, _IO. */
typedef void hd_fault_fn(hd_part part, const char *what, void *data);
HD_MUST_USE hd_status hd__store_check(const char *path, hd_fault_fn *found, void *data, hd_error *err);

/* Forgets the graph and makes the trigrams anew. The graph is made by hd__store_build_graph. */
HD_MUST_USE hd_status hd__store_mend(hd_store *store, hd_error *err);

/* ---- compaction ------------------------------------------------------------------------------------------- */

/* Writes the store anew without what is dead, in a file beside it, "<path>-compact", which then takes its place in one
 * transaction: a kill at any time leaves the old or the new. Chunks get other numbers; open snapshots keep the old ones and
 * go on. Others cannot write meanwhile, and read. The disk needs room for two more files of that size. The graph is gone:
 * hd__store_build_graph. HD_ERR_BUSY: another process compacts, or has written in between. */
HD_MUST_USE hd_status hd__store_compact(hd_store *store, hd_error *err);

/* Compacts when more than a third of the chunks' numbers, and more than HD_STORE_TIDY_CHUNKS, are dead. For whoever has
 * ended a run of changes. */
#define HD_STORE_TIDY_CHUNKS 10000u
HD_MUST_USE hd_status hd__store_tidy(hd_store *store, bool *compacted, hd_error *err);

/* ---- copies ----------------------------------------------------------------------------------------------- */

/* A copy of the last commit, while others write. `path` must not exist; it appears when it is whole. `progress` (may be
 * NULL) ends it with false: HD_ERR_CANCELLED. */
HD_MUST_USE hd_status hd__store_backup(hd_store *store, const char *path,
                                       bool (*progress)(uint64_t done, uint64_t all, void *data), void *data, hd_error *err);

/* JSON lines: a first one that says which model made the vectors, then one for each document, in the order of ids. Vectors
 * and sparse weights are written with `with_vectors` alone. `write` is called with each line and its newline. */
typedef hd_status hd_line_fn(hd_span line, void *data, hd_error *err);
HD_MUST_USE hd_status hd__store_export(hd_snapshot *snapshot, bool with_vectors, hd_line_fn *write, void *data,
                                       hd_error *err);

/* What an export's first line says, on the arena. HD_ERR_FORMAT. */
typedef struct hd_export_head {
    hd_identity identity;
    const char *language;
    bool with_vectors;
} hd_export_head;
HD_MUST_USE hd_status hd__store_read_head(hd_span line, hd_arena *arena, hd_export_head *head, hd_error *err);

/* Puts the document of one of the other lines, with the vectors that come with it. HD_ERR_FORMAT, and hd__document_put's. */
HD_MUST_USE hd_status hd__store_import(hd_write *write, hd_span line, hd_error *err);

/* ---- sizes ------------------------------------------------------------------------------------------------ */

/* Bytes on the disk. Reads every page's head: seconds for gigabytes. */
typedef struct hd_store_sizes {
    uint64_t documents, chunks, trigrams, postings, vectors, graph, token_vectors, other, free;
} hd_store_sizes;

/* HD_ERR_UNSUPPORTED where SQLite was built without its dbstat. */
HD_MUST_USE hd_status hd__store_measure(hd_snapshot *snapshot, hd_store_sizes *sizes, hd_error *err);

#endif
