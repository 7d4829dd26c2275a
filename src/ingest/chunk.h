/* chunk.h - an extract in pieces that a model reads whole, each with its place.
 *
 *   headings  a section each (contracts of AnyLoom, so that its ids match: HD_CHUNK_ANYLOOM), cut further by tokens when too
 * long, short ones joined with the next of the same parent tokens    as many sentences as fit, the next beginning with the
 * last ones again (overlap) code      functions and types whole where they fit
 *
 * Lengths are in the model's tokens, counted by the caller's function; without one, a token is taken for four bytes.
 */
#ifndef HD_INGEST_CHUNK_H
#define HD_INGEST_CHUNK_H

#include "ingest/extract.h"

typedef enum hd_chunk_rule {
    HD_CHUNK_AUTO = 0, /* code for code, headings where there are any, else tokens */
    HD_CHUNK_TOKENS,
    HD_CHUNK_ANYLOOM, /* Markdown by "## " lines alone, as AnyLoom's server cuts it */
    HD_CHUNK_PLUGIN,  /* 200 tokens cut at the last sentence, as chatgpt-retrieval-plugin cuts it */
} hd_chunk_rule;

typedef struct hd_chunk_options {
    hd_chunk_rule rule;
    uint32_t max_tokens, overlap_tokens;
    /* The ends, in bytes, of the text's tokens without specials: ends[i] for token i, at most `max`; returns how many. NULL:
     * none. */
    size_t (*token_ends)(hd_span text, uint32_t *ends, size_t max, void *data);
    void *data;
} hd_chunk_options;

typedef struct hd_chunk {
    const char *key;     /* NULL, or the id by the rule (ANYLOOM: uuid5) */
    const char *section; /* headings above it, joined by " > "; "" for none */
    hd_span text;        /* what is embedded and shown */
    uint32_t ordinal;    /* by the rule: ANYLOOM counts skipped parts */
    uint32_t begin, end; /* bytes in the extract's text */
    uint32_t line, page;
    bool is_code;
} hd_chunk;

/* On the arena. `source` and `file` take part in ANYLOOM's ids. */
HD_MUST_USE hd_status hd__chunk_make(const hd_extract *extract, const hd_chunk_options *options, const char *source,
                                     const char *file, hd_arena *arena, hd_chunk **chunks, size_t *n, hd_error *err);

#endif
