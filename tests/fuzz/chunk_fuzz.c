/* Any text as Markdown or code, cut by every rule: chunks are within the text, in order, within their length, and by
 * sections and tokens nothing but blanks and headings is left out. */
#include <stdint.h>
#include <stdlib.h>

#include "base/utf8.h"
#include "ingest/chunk.h"
#include "ingest/sentence.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct cutting {
    hd_chunk_options options;
    hd_arena *arena;
} cutting;

/* Tokens of three bytes. */
static size_t token_ends(hd_span text, uint32_t *ends, size_t max, void *data)
{
    (void)data;
    size_t n = 0;
    for (size_t at = 0; at < text.len && n < max; n++) {
        at = at + 3 < text.len ? at + 3 : text.len;
        ends[n] = (uint32_t)at;
    }
    return n;
}

static void mark(bool *covered, uint32_t begin, uint32_t end)
{
    for (uint32_t i = begin; i < end; i++)
        covered[i] = true;
}

static void check(const hd_extract *e, const cutting *c, const hd_chunk *chunks, size_t n)
{
    bool *covered = calloc(e->text.len + 1, 1);
    const bool is_plain = c->options.rule == HD_CHUNKING_AUTO || c->options.rule == HD_CHUNKING_TOKENS;
    for (size_t i = 0; i < e->n_blocks; i++)
        if (e->blocks[i].kind == HD_BLOCK_HEADING)
            mark(covered, e->blocks[i].begin, e->blocks[i].end);
    for (size_t i = 0; i < n; i++) {
        if (chunks[i].begin >= chunks[i].end || chunks[i].end > e->text.len ||
            (i > 0 && chunks[i].begin <= chunks[i - 1].begin))
            abort();
        /* tokens of a piece are counted where it stands: two of its ends may be cut */
        if (is_plain && (chunks[i].end - chunks[i].begin + 2) / 3 > c->options.max_tokens + 2 && chunks[i].text.len > 4)
            abort();
        if (is_plain && chunks[i].text.ptr != e->text.ptr + chunks[i].begin)
            abort();
        mark(covered, chunks[i].begin, chunks[i].end);
    }
    size_t len = 1;
    bool valid;
    const bool has_all = is_plain && e->kind != HD_KIND_CODE && (e->metadata == NULL); /* front matter is metadata */
    for (size_t i = 0; i < e->text.len && has_all; i += len)
        if (!hd__is_space(hd__utf8_decode(e->text, i, &len, &valid)) && !covered[i])
            abort();
    free(covered);
}

static hd_status cut(const hd_extract *extract, void *data, hd_error *err)
{
    cutting *c = data;
    hd_chunk *chunks;
    size_t n;
    const hd_status status = hd__chunk_make(extract, &c->options, "label", "file.md", c->arena, &chunks, &n, err);
    if (status == HD_OK)
        check(extract, c, chunks, n);
    return status;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    hd_arena arena;
    hd_error err;
    if (size < 2)
        return 0;
    hd__arena_init(&arena);
    cutting c = {.arena = &arena};
    c.options = (hd_chunk_options){.rule = data[0] % 4, .max_tokens = 8u + data[1] % 64u, .token_ends = token_ends};
    c.options.overlap_tokens = c.options.max_tokens / 4;
    hd_status status =
        hd__extract(hd__span(data + 2, size - 2), data[0] % 8 < 4 ? "a.md" : "a.py", NULL, &arena, cut, &c, &err);
    (void)status; /* what is no text is refused */
    hd__arena_clear(&arena);
    return 0;
}
