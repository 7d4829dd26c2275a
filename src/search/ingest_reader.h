/* ingest_reader.h - files read ahead by threads of their own: bytes, hash, text, chunks; handed over in the order in which
 * they were asked for, a file's documents as they come, in bounded memory.
 */
#ifndef HD_SEARCH_INGEST_READER_H
#define HD_SEARCH_INGEST_READER_H

#include "search/ingest_area.h"
#include "search/prepared.h"

typedef struct hd_ingest_readers hd_ingest_readers;
typedef struct hd_ingest_file hd_ingest_file;

typedef struct hd_ingest_readers_options {
    hd_store *store;
    hd_prepare_options prepare;
    const char *source; /* label of documents; NULL: the area's */
    const char *cut;    /* by `prepare` (hd__prepare_cut): what was cut otherwise is read again */
    bool force;         /* read also what has the same bytes as before */
    /* The id of a document that is gone and had these bytes, to become document `id` (NULL: one of many in a file, of which
     * a name says nothing), and nobody else's from then on; NULL: none. Called by the threads. */
    const char *(*claim)(hd_hash128 hash, const char *id, void *data);
    void *data;
} hd_ingest_readers_options;

HD_MUST_USE hd_status hd__ingest_readers_open(const hd_ingest_readers_options *options, hd_ingest_readers **readers,
                                              hd_error *err);
void hd__ingest_readers_close(hd_ingest_readers *readers); /* drops what is on its way. NULL allowed */

/* path: as a walk found it; name: below the area's root. is_known: the index has documents of this path. */
HD_MUST_USE hd_status hd__ingest_readers_push(hd_ingest_readers *readers, const hd_ingest_area *area, const char *path,
                                              const char *name, bool is_known, hd_error *err);

/* How many were pushed and not taken to their end. */
size_t hd__ingest_readers_waiting(const hd_ingest_readers *readers);

/* What comes next of the oldest file. */
typedef struct hd_ingest_taken {
    hd_prepared *document; /* the caller's; NULL: none for now */
    bool is_end;           /* the file is at its end: only then is what follows set, until the next call */
    const char *path;
    uint64_t size, mtime_ns; /* as it was when it was opened */
    bool has_many;           /* documents: it is JSONL */
    hd_status status;        /* of the whole file */
    hd_error why;
} hd_ingest_taken;

/* Waits a tenth of a second at most. */
void hd__ingest_readers_take(hd_ingest_readers *readers, hd_ingest_taken *taken);

#endif
