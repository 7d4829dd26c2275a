/* ingest_pipe.h - from prepared documents to the disk, in order: texts are embedded in batches, several at once, while the
 * next documents are read; what has all its vectors is written in transactions of bounded size.
 *
 * One thread uses a pipe. What is committed stays; a kill loses what is in the pipe and nothing else.
 */
#ifndef HD_SEARCH_INGEST_PIPE_H
#define HD_SEARCH_INGEST_PIPE_H

#include "search/prepared.h"

typedef struct hd_ingest_pipe hd_ingest_pipe;

typedef struct hd_ingest_pipe_options {
    hd_store *store;
    hd_embedder *embedder; /* NULL: nothing is embedded */
    bool at_once;          /* all in one transaction, at the end */
    /* After the commit that a document was in, before it is freed; or it could not be kept (failed), the others are. */
    void (*written)(const hd_prepared *prepared, void *data);
    void *data;
} hd_ingest_pipe_options;

HD_MUST_USE hd_status hd__ingest_pipe_open(const hd_ingest_pipe_options *options, hd_ingest_pipe **pipe, hd_error *err);

/* Takes the document over, also on failure. May wait for vectors and write. */
HD_MUST_USE hd_status hd__ingest_pipe_add(hd_ingest_pipe *pipe, hd_prepared *prepared, hd_error *err);

/* Writes what has waited for long; for when nothing comes to be added. */
HD_MUST_USE hd_status hd__ingest_pipe_tick(hd_ingest_pipe *pipe, hd_error *err);

/* Embeds and writes all that is left; or, with `stop`, only what is embedded already. */
HD_MUST_USE hd_status hd__ingest_pipe_finish(hd_ingest_pipe *pipe, bool stop, hd_error *err);

/* Chunks and tokens embedded so far. */
uint64_t hd__ingest_pipe_chunks(const hd_ingest_pipe *pipe);
uint64_t hd__ingest_pipe_tokens(const hd_ingest_pipe *pipe);

void hd__ingest_pipe_close(hd_ingest_pipe *pipe); /* drops what is in it. NULL allowed */

#endif
