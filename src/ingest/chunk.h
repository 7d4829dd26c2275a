/* chunk.h - an extract in pieces that a model reads whole, each with its place.
 *
 * The rules are hd_chunking's (heddle/index.h):
 *
 *   by headings   a chunk for each section; sections that are too long are cut as by tokens, short ones joined with the
 *                 next of the same parent
 *   by tokens     as many sentences as fit; the next chunk begins with the last ones again (overlap)
 *   code          functions and types whole where they fit
 *   ANYLOOM       Markdown at its lines "## ", with the ids that AnyLoom's server gives
 *   PLUGIN        200 tokens to the last end of a sentence, as chatgpt-retrieval-plugin cuts
 *
 * Lengths are in the model's tokens, told by the caller's function; without one, a token is taken for four bytes.
 */
#ifndef HD_INGEST_CHUNK_H
#define HD_INGEST_CHUNK_H

#include "heddle/index.h"
#include "ingest/extract.h"

typedef struct hd_chunk_options {
    hd_chunking rule;
    uint32_t max_tokens; /* of context and text together; but for ANYLOOM, which cuts nothing, and PLUGIN */
    uint32_t
        overlap_tokens; /* that a chunk repeats of the one before, at most, where a paragraph was cut; whole sentences */
    /* The ends, in bytes, of the text's tokens without specials: ends[i] for token i, at most `max`; returns how many. NULL:
     * none. */
    size_t (*token_ends)(hd_span text, uint32_t *ends, size_t max, void *data);
    void *data;
} hd_chunk_options;

typedef struct hd_chunk {
    const char *key;     /* NULL, or the id by the rule (ANYLOOM: uuid5; PLUGIN: "<file>_<n>") */
    const char *section; /* headings above it, of code the types and functions that it is in, joined by " > "; "" for none */
    const char *context; /* what is put before the text when it is embedded, to be seen by the model alone: title and
                          * section; "" where that would be too much beside the text */
    hd_span text;        /* what is embedded and shown */
    uint32_t ordinal;    /* by the rule: ANYLOOM counts skipped parts */
    uint32_t begin, end; /* bytes in the extract's text */
    uint32_t line, page;
    bool is_code;
} hd_chunk;

/* On the arena, or part of the extract's text. `source` and `file` take part in ids by the rules. */
HD_MUST_USE hd_status hd__chunk_make(const hd_extract *extract, const hd_chunk_options *options, const char *source,
                                     const char *file, hd_arena *arena, hd_chunk **chunks, size_t *n, hd_error *err);

#endif
