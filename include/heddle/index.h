/* index.h - documents in, the right passages out: the public C API of Heddle's index, beside heddle.h.
 *
 * An index is one SQLite file: documents, their chunks, the chunks' words, vectors, sparse weights and token vectors.
 * The model that made its vectors is written in it, and another is refused.
 *
 *   hd_index   one open file, a model for new documents and queries, perhaps a reranker.
 *   add        hd_index_add_paths reads folders and files as `heddle index` does; hd_index_put takes documents as they are.
 *   search     hd_index_search: every leg (BM25, dense, sparse) ranks chunks, the lists are fused, the best are reranked.
 *
 * Threads: every function may be called from any thread at any time on the same index. Searches never wait for writes; a
 * search sees all that was committed before it began. Writes of one process take turns; another process that writes to
 * the same file makes them wait for busy_ms, then they are HD_ERR_BUSY.
 *
 * Errors and text are as in heddle.h.
 */
#ifndef HEDDLE_INDEX_H
#define HEDDLE_INDEX_H

#include "heddle/heddle.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct hd_index hd_index;

typedef struct hd_index_options {
    hd_model *model;      /* makes vectors of chunks and queries; NULL: BM25 alone can be searched, and nothing be added that
                           * needs vectors */
    hd_model *reranker;   /* for `rerank`; NULL: none */
    bool create;          /* make the file when there is none */
    bool read_only;       /* writes are HD_ERR_UNSUPPORTED */
    bool keep_sparse;     /* at creation: keep the model's SPARSE weights, if it has that head */
    bool keep_multi;      /* at creation: keep the model's MULTI vectors, if it has that head */
    const char *language; /* at creation: of the stemmer, by Snowball's name; "none"; NULL: "english" */
    uint32_t busy_ms;     /* how long writes wait for another process; 0: 10,000 */
    uint32_t n_threads;   /* for scans and for building the graph; 0: one for each core */
} hd_index_options;

/* The model must outlive the index. HD_ERR_NOT_FOUND without `create`; HD_ERR_FORMAT for a file that is no index or is
 * damaged; HD_ERR_UNSUPPORTED for one of a newer version, or of another model (the text names both). */
HD_API HD_MUST_USE hd_status hd_index_open(const char *path, const hd_index_options *options, hd_index **index,
                                           hd_error *err);

/* Waits for running writes. NULL is allowed. */
HD_API void hd_index_close(hd_index *index);

/* ---- documents ---------------------------------------------------------------------------------- */

/* How a document's text is cut. */
typedef enum hd_chunking {
    HD_CHUNKING_AUTO = 0, /* code by functions and types, the rest by headings where there are any, else by tokens */
    HD_CHUNKING_TOKENS,   /* by tokens alone */
    HD_CHUNKING_ANYLOOM,  /* Markdown at its lines "## " alone, as AnyLoom's server cuts it, with its ids */
    HD_CHUNKING_PLUGIN    /* as chatgpt-retrieval-plugin cuts: 200 tokens to the last end of a sentence, newlines as blanks;
                           * a chunk's id is "<document id>_<ordinal>" */
} hd_chunking;

/* A document. Strings are UTF-8, NULL or "" where there is none. */
typedef struct hd_document {
    const char *id;     /* the caller's; NULL: made (a random UUID). One of the same id is replaced, whole */
    const char *source; /* where it comes from: a folder's name, "email", … */
    const char *title;
    const char *url;
    const char *author;
    const char *mime;     /* "text/markdown"; NULL: told from the text */
    const char *metadata; /* a JSON object, for filters; NULL: {} */
    int64_t created_at;   /* Unix seconds; 0: unknown */
    hd_text text;         /* or a file's bytes: PDF, DOCX, …, as `mime` says */
    hd_chunking chunking;
    uint32_t chunk_tokens, overlap_tokens; /* as in hd_ingest_options */
} hd_document;

/* Adds documents, each with all of its chunks or not at all; returns when they are on the disk and can be found. Of
 * n_put documents ids[i] (may be NULL: [n] received, each freed by hd_text_free) receives the id, ptr NULL for a document
 * without any text. HD_ERR_FORMAT names the first document that cannot be read; none is added then. */
HD_API HD_MUST_USE hd_status hd_index_put(hd_index *index, const hd_document *documents, size_t n, hd_text *ids,
                                          hd_error *err);

/* Removes documents by id, and those for which the filter holds (NULL: none). *n_removed may be NULL. */
HD_API HD_MUST_USE hd_status hd_index_remove(hd_index *index, const char *const *ids, size_t n, const char *filter,
                                             uint64_t *n_removed, hd_error *err);

typedef struct hd_span32 {
    uint32_t begin, end; /* bytes */
} hd_span32;

/* A chunk as the index holds it. */
typedef struct hd_stored_chunk {
    const char *id, *section, *text; /* as in hd_hit */
    uint32_t ordinal;
    hd_span32 span;      /* in the document's text */
    uint32_t line, page; /* of its beginning, from 1; 0: the format has none */
    bool is_code;
} hd_stored_chunk;

/* A document as the index holds it. */
typedef struct hd_stored_document {
    const char *id, *source, *path, *title, *url, *author, *mime;
    const char *metadata; /* JSON object */
    int64_t created_at;   /* Unix seconds; 0: unknown */
    uint64_t size;        /* bytes of the file or the text that was put */
    uint32_t n_chunks;
    const char *sample;            /* its first chunk's text, cut to a few hundred bytes */
    const hd_stored_chunk *chunks; /* [n_chunks] in the document's order; NULL in lists */
} hd_stored_document;

typedef struct hd_listing {
    const hd_stored_document *documents; /* [n] */
    size_t n;
    uint64_t n_matching; /* documents for which the filter holds */
    void *memory;
} hd_listing;

/* One document with its chunks: a listing of one, or of none. *listing is freed by hd_listing_free after success. */
HD_API HD_MUST_USE hd_status hd_index_get(hd_index *index, const char *id, hd_listing *listing, hd_error *err);

/* Documents for which the filter holds (NULL or "": all), in the order of their ids, from `offset`, at most `limit`. */
HD_API HD_MUST_USE hd_status hd_index_list(hd_index *index, const char *filter, uint64_t offset, uint32_t limit,
                                           hd_listing *listing, hd_error *err);
HD_API void hd_listing_free(hd_listing *listing);

typedef enum hd_ingest_state { HD_INGEST_SCAN, HD_INGEST_READ, HD_INGEST_GRAPH, HD_INGEST_DONE } hd_ingest_state;

typedef struct hd_ingest_progress {
    hd_ingest_state state;
    uint64_t n_files, n_files_done; /* found so far, done */
    uint64_t n_bytes, n_bytes_done;
    uint64_t n_added, n_changed, n_moved, n_unchanged, n_removed, n_failed; /* documents */
    uint64_t n_chunks, n_tokens;                                            /* made in this run */
    const char *path;                                                       /* being read */
} hd_ingest_progress;

typedef struct hd_ingest_options {
    /* Called now and then from the calling thread; false ends the run after what is committed. NULL: none. */
    bool (*progress)(const hd_ingest_progress *progress, void *data);
    /* A file that could not be read, and why, once each at the end of the run. NULL: none. */
    void (*failed)(const char *path, const hd_error *why, void *data);
    void *data;
    const char *source;         /* label of what is read, also of what has not changed; NULL: the name of each folder */
    const char *const *exclude; /* [n_exclude] patterns as in .gitignore */
    size_t n_exclude;
    bool force;     /* read again what has not changed */
    bool no_ignore; /* read what .gitignore leaves out; .heddleignore counts still */
    hd_chunking chunking;
    uint32_t chunk_tokens; /* at most so many in a chunk; 0: what the model reads, at most 256 */
    uint32_t overlap_tokens;
} hd_ingest_options;

/* Brings the index up to date with folders and files: new and changed ones are read, and those that were cut by other
 * chunking or lengths than `options` say; moved ones are noticed, those with another label than `options` say get it, those
 * that are gone from these folders are removed. Files that cannot be read are told by `failed` and do not fail the run. A
 * path that is not there and has "*", "?" or "[" in it is a pattern with the rules of .gitignore, for files and folders
 * below the folder before the first of them; HD_ERR_NOT_FOUND where it is about no file, and for other paths that are not
 * there. */
HD_API HD_MUST_USE hd_status hd_index_add_paths(hd_index *index, const char *const *paths, size_t n,
                                                const hd_ingest_options *options, hd_ingest_progress *result, hd_error *err);

/* ---- search ------------------------------------------------------------------------------------- */

/* What ranks chunks. Bits. */
typedef enum hd_leg {
    HD_LEG_BM25 = 1,
    HD_LEG_DENSE = 2,
    HD_LEG_SPARSE = 4,
    HD_LEG_MULTI = 8,  /* MaxSim over token vectors: of the other legs' candidates */
    HD_LEG_RERANK = 16 /* the reranker's score: of the fused list's first */
} hd_leg;
#define HD_N_LEGS 5

typedef enum hd_fusion {
    HD_FUSION_RRF = 0, /* sum of weight / (rrf_k + rank), ranks from 1 (Cormack et al. 2009) */
    HD_FUSION_MINMAX,  /* weighted sum of scores, each leg's scaled to [0, 1] over its list */
    HD_FUSION_ZSCORE,  /* weighted sum of standardised scores */
    HD_FUSION_DBSF     /* weighted sum of scores scaled from mean - 3 sd … mean + 3 sd to [0, 1] (Qdrant's) */
} hd_fusion;

typedef enum hd_order {
    HD_ORDER_SCORE = 0, /* best first */
    HD_ORDER_SANDWICH /* for readers that lose the middle: of 4 hits and more 1, 2, 5, 6, …, 3, 4, as AnyLoom puts them */
} hd_order;

/* All zero means defaults; hd_search_profile fills in a named set. */
typedef struct hd_search {
    hd_text query;
    uint32_t legs;  /* hd_leg bits; 0: BM25, DENSE, and SPARSE where the index keeps it */
    uint32_t limit; /* hits; 0: 10 */
    uint32_t offset;
    uint32_t n_candidates; /* of each leg; 0: 100, and never less than 2 * (limit + offset) */
    uint32_t n_keyword;    /* of BM25; 0: n_candidates */
    const char *filter;    /* docs/SEARCH.md has the language; NULL or "": all */
    hd_fusion fusion;
    float rrf_k;              /* 0: 60 */
    float weights[HD_N_LEGS]; /* of BM25, DENSE, SPARSE, MULTI, RERANK in the order of the bits; all 0: 1 each */
    bool rerank;              /* the first n_rerank by the reranker, or by MULTI without one */
    uint32_t n_rerank;        /* 0: 50 */
    float rerank_blend;       /* final = blend * reranked + (1 - blend) * fused, both scaled to [0, 1]; 0: 1 */
    hd_leg min_score_leg;     /* the score that min_score is about; 0: the one that orders the hits */
    float min_score;
    bool has_min_score;
    bool per_document; /* the best chunk of each document alone */
    float mmr;         /* maximal marginal relevance: weight of relevance against novelty; 0: off */
    hd_order order;
    const char *const *facets; /* [n_facets] fields to count values of among all that match */
    size_t n_facets;
    uint32_t snippet_bytes;   /* 0: 240 */
    bool snippets_by_meaning; /* of hits without the query's words the sentence that comes closest to it, not the beginning:
                               * up to 32 sentences are embedded, which takes longer than all the rest */
    /* Asked before each step of the search and each hit, and a hundred times a second within long steps, on the calling
     * thread; false ends the search: HD_ERR_CANCELLED. NULL: it runs to its end. */
    bool (*keep_going)(void *data);
    void *data;
} hd_search;

/* "fast", "default", "gpu", "elastic" (0.3 BM25 + 0.7 cosine). HD_ERR_NOT_FOUND lists them. */
HD_API HD_MUST_USE hd_status hd_search_profile(const char *name, hd_search *search, hd_error *err);

typedef struct hd_hit {
    const char *document_id, *chunk_id; /* chunk_id: "<document id>#<ordinal>" or the caller's */
    uint32_t ordinal;                   /* of the chunk in its document */
    const char *source, *path, *url, *author, *mime, *title;
    const char *section;  /* headings above the chunk, joined by " > "; "" for none */
    const char *text;     /* the chunk's */
    const char *snippet;  /* the part of it that answers best */
    const char *metadata; /* JSON object of the document */
    int64_t created_at;
    hd_span32 span;              /* where the chunk stands in the document's text */
    uint32_t line, page;         /* of its beginning, from 1; 0: the format has none */
    const hd_span32 *highlights; /* [n_highlights] in the snippet */
    size_t n_highlights;
    float score;               /* the one that orders */
    float scores[HD_N_LEGS];   /* by leg, as the leg gives them; NaN: none. DENSE has one for every hit, listed or not */
    uint32_t ranks[HD_N_LEGS]; /* from 1; 0: not in its list */
    float fused;               /* of one leg alone: its score */
    uint32_t fused_rank;
} hd_hit;

typedef struct hd_facet_value {
    const char *value;
    uint64_t n;
} hd_facet_value;

typedef struct hd_facet {
    const char *field;
    const hd_facet_value *values; /* [n] most frequent first */
    size_t n;
} hd_facet;

typedef struct hd_results {
    const hd_hit *hits; /* [n] */
    size_t n;
    const hd_facet *facets; /* [n_facets] */
    size_t n_facets;
    uint64_t n_matching; /* chunks that the filter lets through */
    uint32_t n_in_leg[HD_N_LEGS];
    double leg_ms[HD_N_LEGS], embed_ms, total_ms;
    const char *warning; /* "": a leg that was wanted and could not take part, and why */
    void *memory;
} hd_results;

/* HD_ERR_ARG for a filter that cannot be read (the text shows where) and for options out of range. *results is freed by
 * hd_results_free after success. */
HD_API HD_MUST_USE hd_status hd_index_search(hd_index *index, const hd_search *search, hd_results *results, hd_error *err);
HD_API void hd_results_free(hd_results *results);

/* ---- about -------------------------------------------------------------------------------------- */

typedef struct hd_index_stats {
    const char *path, *model; /* live as long as the index */
    uint32_t n_dimensions;
    uint32_t legs; /* that it can answer */
    uint64_t n_documents, n_chunks, n_dead_chunks, n_terms;
    uint64_t n_graph; /* chunks that the graph covers; the others are scanned */
    uint64_t file_bytes, memory_bytes;
} hd_index_stats;

HD_API HD_MUST_USE hd_status hd_index_get_stats(hd_index *index, hd_index_stats *stats, hd_error *err);

#ifdef __cplusplus
}
#endif
#endif
