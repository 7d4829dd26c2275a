/* prepared.h - a document made ready: cut into chunks, with all that is to be embedded and written in one memory of its own.
 */
#ifndef HD_SEARCH_PREPARED_H
#define HD_SEARCH_PREPARED_H

#include "base/arena.h"
#include "heddle/index.h"
#include "ingest/extract.h"
#include "search/embedder.h"

typedef enum hd_prepared_kind {
    HD_PREPARED_PUT,
    HD_PREPARED_TOUCH,
    HD_PREPARED_MOVE,
    HD_PREPARED_LABEL, /* as it was, from another source */
} hd_prepared_kind;

/* What is to be written, in the order in which it was read. */
typedef struct hd_prepared {
    struct hd_prepared *next;
    hd_prepared_kind kind;
    hd_arena arena;            /* holds it, and all below */
    hd_document_row row;       /* TOUCH: its id, size and time; MOVE, LABEL: what it becomes */
    const char *old_id;        /* MOVE */
    bool replaces;             /* PUT: the index had one of this id */
    hd_chunk_row *chunks;      /* [n] PUT */
    hd_text *texts;            /* [n] to be embedded */
    hd_chunk_vectors *vectors; /* [n] NULL: no vectors are wanted */
    size_t n, n_embedded;
    size_t bytes;           /* that it takes, without vectors */
    const hd_error *failed; /* it could not be kept, and why */
} hd_prepared;

typedef struct hd_prepare_options {
    hd_embedder *embedder; /* NULL: no vectors */
    hd_chunking chunking;
    uint32_t chunk_tokens, overlap_tokens; /* as in hd_ingest_options */
} hd_prepare_options;

/* An empty one. Freed by hd__prepared_free. */
HD_MUST_USE hd_status hd__prepared_new(hd_prepared_kind kind, hd_prepared **prepared, hd_error *err);
void hd__prepared_free(hd_prepared *prepared); /* NULL allowed */

/* Sets the row of a prepared one: a copy. */
HD_MUST_USE hd_status hd__prepared_set_row(hd_prepared *prepared, const hd_document_row *row, hd_error *err);

/* How documents are cut by these options, as it is kept with each: "auto 256/32". */
#define HD_PREPARED_CUT_BYTES 64
void hd__prepare_cut(const hd_prepare_options *options, char cut[HD_PREPARED_CUT_BYTES]);

/* Whether a document was cut so; one that does not say is taken to be. */
bool hd__prepared_is_cut(const hd_document_row *row, const char *cut);

/* Cuts an extract. `row` is what the caller knows, NULL or "" where it does not: the extract's own words are taken there.
 * `file` takes part in ids by the rules (chunk.h). */
HD_MUST_USE hd_status hd__prepare(const hd_prepare_options *options, const hd_extract *extract, const hd_document_row *row,
                                  const char *file, hd_prepared **prepared, hd_error *err);

#endif
