/* chunk_rules.h - what the rules of cutting share: the tokens of an extract's text, and where chunks are put. One file for
 * each rule: chunk_sections.c, chunk_anyloom.c, chunk_plugin.c.
 */
#ifndef HD_INGEST_CHUNK_RULES_H
#define HD_INGEST_CHUNK_RULES_H

#include "ingest/chunk.h"

typedef struct hd_chunker {
    const hd_extract *extract;
    const hd_chunk_options *options;
    const char *source, *file;
    hd_arena *arena;
    uint32_t *ends; /* [n_ends] of the whole text's tokens; on the heap */
    size_t n_ends, ends_capacity;
    hd_chunk *chunks; /* [n] on the heap until all are there */
    size_t n, capacity;
    size_t block;           /* where the search for a chunk's block goes on */
    uint32_t line_at, line; /* an offset in that block, and its line; 0: none yet */
} hd_chunker;

typedef hd_status hd_chunk_rule(hd_chunker *c, hd_error *err);
hd_chunk_rule hd__chunk_by_sections, hd__chunk_by_tokens, hd__chunk_as_anyloom, hd__chunk_as_plugin;

/* How many of the tokens end within a stretch of the text. */
uint32_t hd__chunker_count(const hd_chunker *c, uint32_t begin, uint32_t end);

/* The end of the n-th token from `begin` on, which ends on a code point; `end` when there are not so many before it. More
 * than `begin` when end is. */
uint32_t hd__chunker_reach(const hd_chunker *c, uint32_t begin, uint32_t n, uint32_t end);

/* The tokens of some other text. */
HD_MUST_USE hd_status hd__chunker_count_text(hd_chunker *c, hd_span text, uint32_t *n, hd_error *err);

/* Adds a chunk with its begin, end and texts; line, page and is_code are found here. */
HD_MUST_USE hd_status hd__chunker_add(hd_chunker *c, hd_chunk chunk, hd_error *err);

#endif
