/* store.h - the database: one SQLite file that holds documents, chunks and everything they are found by.
 *
 * docs/STORE.md describes the schema. Chunks have numbers, `hd_chunk_id`, from 0, given in the order of arrival and never
 * given twice (but by compaction, which renumbers all of them): words, vectors and filters all speak of chunks by number, so
 * that sets of chunks are bitmaps and lists of chunks are ascending. What is deleted leaves a dead number behind until
 * compaction.
 *
 *   hd_store      an open file: one connection that writes, as many that read as there are readers at once, and the parts
 *                 of the vector index that have been read so far.
 *   hd_snapshot   what one reader sees: the last commit before it began, until it ends. Never waits for the writer.
 *   hd_write      the one write transaction at a time. What it did is seen whole or, after a kill, not at all.
 *
 * Threads: hd_store is for all threads; a snapshot or a write is used by one thread at a time. The store's locks are in
 * store.c.
 */
#ifndef HD_STORE_STORE_H
#define HD_STORE_STORE_H

#include "base/arena.h"
#include "base/span.h"
#include "base/status.h"

typedef struct hd_store hd_store;
typedef struct hd_snapshot hd_snapshot;
typedef struct hd_write hd_write;
typedef uint32_t hd_chunk_id;

/* What made the vectors. All of it must be equal for a store to be written to, and for vectors to be searched. */
typedef struct hd_identity {
    const char *model;           /* "sentence-transformers/all-MiniLM-L6-v2" */
    const char *fingerprint;     /* of its weights and settings: equal for equal vectors but for rounding */
    const char *similarity;      /* "cosine", "dot" */
    uint32_t n_dimensions;       /* dense; 0: the store has no dense vectors */
    uint32_t n_token_dimensions; /* 0: no token vectors are kept */
    bool has_sparse;
} hd_identity;

typedef struct hd_store_options {
    const hd_identity *identity; /* written at creation, compared later; NULL: as the file says, and no vectors are added */
    const char *language;        /* at creation: of the stemmer (postings.h); NULL: "english" */
    bool create, read_only;
    uint32_t busy_ms;   /* wait for another process that writes; 0: 10,000 */
    uint32_t n_threads; /* of scans and graph building */
} hd_store_options;

/* HD_ERR_NOT_FOUND (an empty file, too), _FORMAT (no database of ours, damaged), _UNSUPPORTED (a newer version; another
 * model: both are named), _BUSY, _IO. Older versions are migrated, unless read_only. */
HD_MUST_USE hd_status hd__store_open(const char *path, const hd_store_options *options, hd_store **store, hd_error *err);
void hd__store_close(hd_store *store); /* no snapshot and no write may be open. NULL allowed */

/* As the file says; strings live as long as the store. */
const hd_identity *hd__store_identity(const hd_store *store);
const char *hd__store_path(const hd_store *store);

HD_MUST_USE hd_status hd__snapshot_begin(hd_store *store, hd_snapshot **snapshot, hd_error *err);
void hd__snapshot_end(hd_snapshot *snapshot);

/* Asked a hundred times a second while the thread that called this reads rows; false makes what is being read fail with
 * HD_ERR_CANCELLED. Until the snapshot ends; NULL: nobody. */
void hd__snapshot_ask(hd_snapshot *snapshot, bool (*keep_going)(void *data), void *data);

/* Changes with every commit that the snapshot can see: a key for what is kept about it. */
uint64_t hd__snapshot_version(const hd_snapshot *snapshot);

/* Waits for other writers. commit or abandon ends it; a commit that fails has done nothing, and ends it too. */
HD_MUST_USE hd_status hd__write_begin(hd_store *store, hd_write **write, hd_error *err);
HD_MUST_USE hd_status hd__write_commit(hd_write *write, hd_error *err);
void hd__write_abandon(hd_write *write);

/* Takes vectors that the graph does not cover into it, where there are enough for one; nothing is done else. In write
 * transactions of its own; `progress` (may be NULL) ends it early with false, which is no error. */
HD_MUST_USE hd_status hd__store_build_graph(hd_store *store, bool (*progress)(uint64_t done, uint64_t all, void *data),
                                            void *data, hd_error *err);

/* Settings that others keep in the file, by name ("ingest.chunk_tokens"). get: *value NULL when there is none. */
HD_MUST_USE hd_status hd__store_get(hd_snapshot *snapshot, const char *name, hd_arena *arena, const char **value,
                                    hd_error *err);
HD_MUST_USE hd_status hd__store_set(hd_write *write, const char *name, const char *value, hd_error *err);

typedef struct hd_store_usage {
    uint64_t n_documents, n_chunks, n_dead_chunks, n_terms, n_graph; /* chunks: live ones */
    uint64_t file_bytes;                                             /* with the write-ahead log */
    uint64_t memory_bytes;                                           /* vectors, graph and postings held by this process */
} hd_store_usage;

/* Costs little. What each part takes on the disk is in maintain.h. */
HD_MUST_USE hd_status hd__store_get_usage(hd_snapshot *snapshot, hd_store_usage *usage, hd_error *err);

#endif
