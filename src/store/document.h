/* document.h - documents and their chunks, as rows: put, replaced, removed, read.
 */
#ifndef HD_STORE_DOCUMENT_H
#define HD_STORE_DOCUMENT_H

#include "base/hash.h"
#include "heddle/heddle.h"
#include "store/store.h"

/* Strings are NUL-terminated; "" where there is none. */
typedef struct hd_document_row {
    const char *id;     /* unique; the caller's own, or "<source>/<path below its folder>" */
    const char *source; /* label */
    const char *root;   /* the folder it was found in, absolute, any bytes; "" for documents that are no files */
    const char *path;   /* absolute, any bytes */
    const char *title, *url, *author, *mime;
    const char *metadata; /* JSON object */
    int64_t created_at;   /* Unix seconds, 0 unknown */
    hd_hash128 hash;      /* of the bytes */
    uint64_t size, mtime_ns;
    const char *cut;         /* how its text was cut into chunks, in words of who did; "" unknown */
    uint32_t n_chunks;       /* received, as the next */
    hd_chunk_id first_chunk; /* the others follow it */
} hd_document_row;

typedef struct hd_chunk_row {
    hd_chunk_id id;      /* given by the store */
    const char *key;     /* the caller's id of the chunk; "": "<document id>#<ordinal>" */
    const char *section; /* headings above it, joined by " > " */
    hd_span text;        /* what is shown and what BM25 reads, with title and section */
    uint32_t ordinal;    /* in the document */
    uint32_t begin, end; /* bytes in the document's extracted text */
    uint32_t line, page; /* from 1; 0 none */
    bool is_code;        /* also found by parts of words */
} hd_chunk_row;

/* What a chunk is found by, beside its words. */
typedef struct hd_chunk_vectors {
    const float *dense; /* [n_dimensions]; NULL only where the store has none */
    hd_sparse_vector sparse;
    const float *token_vectors; /* [n_token_vectors, n_token_dimensions] */
    size_t n_token_vectors;
} hd_chunk_vectors;

/* Puts a document with all its chunks; one of the same id goes, with its chunks. chunks[i].id is received; vectors may be
 * NULL where the store's identity has none. HD_ERR_LIMIT, and HD_ERR_ARG of a document's and its chunks' rows, name what
 * cannot be kept, and change nothing; after any other failure (HD_ERR_ARG: a vector with a value that is no number;
 * HD_ERR_IO: the disk is full) the write can only be abandoned. */
HD_MUST_USE hd_status hd__document_put(hd_write *write, const hd_document_row *document, hd_chunk_row *chunks,
                                       const hd_chunk_vectors *vectors, size_t n_chunks, hd_error *err);

/* Another id, source, root, path, size and mtime for a document that has moved, or is called otherwise; another one that had
 * the id goes. HD_ERR_NOT_FOUND. */
HD_MUST_USE hd_status hd__document_move(hd_write *write, const char *id, const hd_document_row *to, hd_error *err);

/* The same content, seen again in a file of another size (a line of JSONL) or time. HD_ERR_NOT_FOUND. */
HD_MUST_USE hd_status hd__document_touch(hd_write *write, const char *id, uint64_t size, uint64_t mtime_ns, hd_error *err);

/* *removed false when there was none. */
HD_MUST_USE hd_status hd__document_remove(hd_write *write, const char *id, bool *removed, hd_error *err);

/* One document; *document NULL when there is none. */
HD_MUST_USE hd_status hd__document_get(hd_snapshot *snapshot, const char *id, hd_arena *arena,
                                       const hd_document_row **document, hd_error *err);

/* Calls `row` for each document in the order of ids, with rows that live until it returns; HD_ERR_CANCELLED from it ends
 * quietly. root NULL: of all. */
typedef hd_status hd_document_fn(const hd_document_row *document, void *data, hd_error *err);
HD_MUST_USE hd_status hd__document_each(hd_snapshot *snapshot, const char *root, hd_document_fn *row, void *data,
                                        hd_error *err);

/* A chunk and its document. Rows of chunks that are dead or were never there have document NULL. */
typedef struct hd_chunk_found {
    hd_chunk_row chunk;
    const hd_document_row *document;
} hd_chunk_found;

HD_MUST_USE hd_status hd__chunk_get(hd_snapshot *snapshot, const hd_chunk_id *ids, size_t n, hd_arena *arena,
                                    hd_chunk_found *found, hd_error *err);

/* The chunks of a document, in its order. */
HD_MUST_USE hd_status hd__document_chunks(hd_snapshot *snapshot, const char *id, hd_arena *arena, hd_chunk_row **chunks,
                                          size_t *n, hd_error *err);

#endif
