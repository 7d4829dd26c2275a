/* handle.h - what a hd_index is: a store, who makes its vectors, who reranks. index.c opens and closes it. */
#ifndef HD_SEARCH_HANDLE_H
#define HD_SEARCH_HANDLE_H

#include <stdatomic.h>

#include "heddle/index.h"
#include "ingest/extract.h"
#include "search/embedder.h"

struct hd_index {
    hd_store *store;
    hd_embedder *embedder;        /* NULL: BM25 alone */
    _Atomic(hd_model *) reranker; /* NULL: none; the caller's */
    bool read_only;
    bool owns_embedder;
};

/* What reranks from now on, where the index was opened before that was there; it must outlive the index. */
void hd__index_set_reranker(hd_index *index, hd_model *reranker);

/* Puts whole lines of JSONL, which are the document's text, in one transaction; those that cannot be kept are left out. */
HD_MUST_USE hd_status hd__index_put_lines(hd_index *index, const hd_document *document, hd_lines *lines, hd_error *err);

/* HD_ERR_UNSUPPORTED for an index that is only read, or that needs vectors which nobody makes. */
HD_MUST_USE hd_status hd__index_check_writes(const hd_index *index, hd_error *err);

/* Removes documents in one transaction; ids that are not there do not count. *n_removed grows. */
HD_MUST_USE hd_status hd__index_remove_ids(hd_index *index, const char *const *ids, size_t n, uint64_t *n_removed,
                                           hd_error *err);

#endif
