/* embedder.h - who makes vectors and scores, as search sees it: a model behind the public API, or a fake in tests.
 */
#ifndef HD_SEARCH_EMBEDDER_H
#define HD_SEARCH_EMBEDDER_H

#include "heddle/heddle.h"
#include "store/document.h"

typedef struct hd_embedded hd_embedded; /* texts on their way */

typedef struct hd_embedder {
    hd_identity identity;
    uint32_t max_tokens; /* that it reads of a text, without specials and the document prompt */
    /* Vectors of documents' chunks, in two steps so that reading goes on meanwhile. texts may go once start returns. vectors
     * is [n] received by wait, in memory that embedded_free frees. Every start is followed by wait and free. */
    hd_status (*start)(void *data, const hd_text *texts, size_t n, hd_embedded **embedded, hd_error *err);
    hd_status (*wait)(hd_embedded *embedded, const hd_chunk_vectors **vectors, uint64_t *n_tokens, hd_error *err);
    void (*free)(hd_embedded *embedded);
    /* One query: out lives until out_memory goes to release. */
    hd_status (*query)(void *data, hd_text query, hd_chunk_vectors *out, void **out_memory, hd_error *err);
    void (*release)(void *out_memory);
    size_t (*token_ends)(hd_span text, uint32_t *ends, size_t max, void *data); /* as in ingest/chunk.h */
    void *data;
} hd_embedder;

/* Of a model; reads its info, loads nothing. Heads: dense, and sparse and multi where asked for and there. */
HD_MUST_USE hd_status hd__embedder_open(hd_model *model, bool sparse, bool multi, hd_embedder **embedder, hd_error *err);
void hd__embedder_close(hd_embedder *embedder);

#endif
