/* chunk.c - see chunk.h: the tokens of a text, the list of its chunks. */
#include "ingest/chunk.h"

#include "base/alloc.h"
#include "base/limits.h"
#include "base/utf8.h"
#include "ingest/chunk_rules.h"
#include "ingest/sentence.h"

/* Text handed over at once to be cut into tokens; it ends at a blank where there is one. */
#define WINDOW_BYTES 16384u

#define BYTES_PER_TOKEN 4u /* where nobody counts */

static hd_status no_memory(hd_error *err)
{
    return hd__fail(err, HD_ERR_MEMORY, "no memory for the chunks of a document");
}

/* ---- tokens ---- */

/* How much of the text is looked at next: to the last blank of a window, or of all of it to a code point's end. */
static size_t window_len(hd_span text)
{
    if (text.len <= WINDOW_BYTES)
        return text.len;
    size_t len = WINDOW_BYTES;
    while (len > WINDOW_BYTES / 2 && text.ptr[len - 1] != '\n' && text.ptr[len - 1] != ' ')
        len--;
    if (len > WINDOW_BYTES / 2)
        return len;
    for (len = WINDOW_BYTES; len > 1 && ((unsigned char)text.ptr[len] & 0xC0) == 0x80;)
        len--;
    return len;
}

static size_t ends_of(const hd_chunk_options *options, hd_span text, uint32_t *ends, size_t max)
{
    if (options->token_ends != NULL)
        return options->token_ends(text, ends, max, options->data);
    size_t n = 0;
    for (; n < max && n * BYTES_PER_TOKEN < text.len; n++)
        ends[n] = (uint32_t)((n + 1) * BYTES_PER_TOKEN < text.len ? (n + 1) * BYTES_PER_TOKEN : text.len);
    return n;
}

/* Appends the ends of a text's tokens, in order, whatever the tokenizer makes of them. */
static hd_status add_ends(hd_chunker *c, hd_span text, hd_error *err)
{
    for (size_t at = 0; at < text.len;) {
        const hd_span window = hd__span(text.ptr + at, window_len(hd__span(text.ptr + at, text.len - at)));
        if (c->ends_capacity - c->n_ends < WINDOW_BYTES) {
            const size_t capacity = hd__add(hd__mul(c->ends_capacity, 2), WINDOW_BYTES);
            uint32_t *ends = hd__realloc(c->ends, hd__mul(capacity, sizeof *ends));
            if (ends == NULL)
                return no_memory(err);
            c->ends = ends;
            c->ends_capacity = capacity;
        }
        uint32_t *ends = c->ends + c->n_ends, last = (uint32_t)at;
        const size_t n = ends_of(c->options, window, ends, WINDOW_BYTES);
        for (size_t i = 0; i < n; i++) {
            const uint32_t end = (uint32_t)at + (ends[i] < window.len ? ends[i] : (uint32_t)window.len);
            last = ends[i] = end > last ? end : last;
        }
        c->n_ends += n;
        at += window.len;
    }
    return HD_OK;
}

/* The first token that ends after an offset. */
static size_t token_after(const hd_chunker *c, uint32_t offset)
{
    size_t low = 0, high = c->n_ends;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (c->ends[middle] <= offset)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

uint32_t hd__chunker_count(const hd_chunker *c, uint32_t begin, uint32_t end)
{
    return (uint32_t)(token_after(c, end) - token_after(c, begin));
}

uint32_t hd__chunker_reach(const hd_chunker *c, uint32_t begin, uint32_t n, uint32_t end)
{
    const size_t token = token_after(c, begin) + n;
    if (token - 1 >= c->n_ends || c->ends[token - 1] >= end)
        return end;
    const hd_span text = c->extract->text;
    uint32_t reach = c->ends[token - 1];
    while (reach > begin && ((unsigned char)text.ptr[reach] & 0xC0) == 0x80)
        reach--;
    if (reach > begin)
        return reach;
    size_t len; /* one code point is all that fits, and more than fits */
    bool valid;
    hd__utf8_decode(text, begin, &len, &valid);
    return begin + (uint32_t)len < end ? begin + (uint32_t)len : end;
}

hd_status hd__chunker_count_text(hd_chunker *c, hd_span text, uint32_t *n, hd_error *err)
{
    const size_t before = c->n_ends;
    const hd_status status = add_ends(c, text, err);
    *n = (uint32_t)(c->n_ends - before);
    c->n_ends = before;
    return status;
}

/* ---- the list ---- */

/* The block that a chunk begins in, or the next one. Chunks come nearly in order: the search goes on from the last. */
static const hd_block *block_at(hd_chunker *c, uint32_t begin)
{
    const hd_extract *e = c->extract;
    while (c->block > 0 && e->blocks[c->block].begin > begin)
        c->block--;
    while (c->block + 1 < e->n_blocks && e->blocks[c->block].end <= begin)
        c->block++;
    return e->n_blocks > 0 ? &e->blocks[c->block] : NULL;
}

/* The line of an offset in a block, counted on from the last one asked for where that is nearer. */
static uint32_t line_at(hd_chunker *c, const hd_block *block, uint32_t offset)
{
    if (c->line == 0 || c->line_at < block->begin || c->line_at > offset) {
        c->line_at = block->begin;
        c->line = block->line;
    }
    for (; c->line_at < offset; c->line_at++)
        c->line += c->extract->text.ptr[c->line_at] == '\n';
    return c->line;
}

/* Whether half of a chunk and more is code. */
static bool is_mostly_code(const hd_chunker *c, const hd_chunk *chunk)
{
    const hd_extract *e = c->extract;
    if (e->kind == HD_KIND_CODE)
        return true;
    uint64_t n_code = 0;
    for (size_t i = c->block; i < e->n_blocks && e->blocks[i].begin < chunk->end; i++) {
        const hd_block *b = &e->blocks[i];
        const uint32_t begin = b->begin > chunk->begin ? b->begin : chunk->begin;
        const uint32_t end = b->end < chunk->end ? b->end : chunk->end;
        n_code += b->kind == HD_BLOCK_CODE && end > begin ? end - begin : 0;
    }
    return 2 * n_code >= chunk->end - chunk->begin && n_code > 0;
}

hd_status hd__chunker_add(hd_chunker *c, hd_chunk chunk, hd_error *err)
{
    if (c->n == HD_LIMIT_DOCUMENT_CHUNKS)
        return hd__fail(err, HD_ERR_LIMIT, "more than %u chunks in one document", HD_LIMIT_DOCUMENT_CHUNKS);
    if (c->n == c->capacity) {
        const size_t capacity = c->capacity != 0 ? 2 * c->capacity : 16;
        hd_chunk *chunks = hd__realloc(c->chunks, hd__mul(capacity, sizeof *chunks));
        if (chunks == NULL)
            return no_memory(err);
        c->chunks = chunks;
        c->capacity = capacity;
    }
    const hd_block *block = block_at(c, chunk.begin);
    if (block != NULL && block->begin <= chunk.begin) {
        chunk.page = block->page;
        chunk.line = block->line != 0 ? line_at(c, block, chunk.begin) : 0;
    }
    chunk.is_code = is_mostly_code(c, &chunk);
    c->chunks[c->n++] = chunk;
    return HD_OK;
}

hd_status hd__chunk_make(const hd_extract *extract, const hd_chunk_options *options, const char *source, const char *file,
                         hd_arena *arena, hd_chunk **chunks, size_t *n, hd_error *err)
{
    static hd_chunk_rule *const rules[] = {
        [HD_CHUNKING_AUTO] = hd__chunk_by_sections,
        [HD_CHUNKING_TOKENS] = hd__chunk_by_tokens,
        [HD_CHUNKING_ANYLOOM] = hd__chunk_as_anyloom,
        [HD_CHUNKING_PLUGIN] = hd__chunk_as_plugin,
    };
    hd_chunker c = {.extract = extract, .options = options, .source = source, .file = file, .arena = arena};
    if ((unsigned)options->rule >= sizeof rules / sizeof rules[0])
        return hd__fail(err, HD_ERR_ARG, "%u is no way of cutting text", (unsigned)options->rule);
    if (extract->text.len > HD_LIMIT_TEXT_BYTES)
        return hd__fail(err, HD_ERR_LIMIT, "a text of %zu bytes, at most %u are read", extract->text.len,
                        HD_LIMIT_TEXT_BYTES);
    hd_status status = options->rule == HD_CHUNKING_ANYLOOM ? HD_OK : add_ends(&c, extract->text, err);
    if (status == HD_OK)
        status = rules[options->rule](&c, err);
    if (status == HD_OK) {
        hd_chunk *kept = hd__arena_alloc(arena, hd__mul(c.n, sizeof *kept));
        if (kept == NULL)
            status = no_memory(err);
        for (size_t i = 0; i < c.n && kept != NULL; i++)
            kept[i] = c.chunks[i];
        *chunks = kept;
        *n = c.n;
    }
    hd__free(c.chunks);
    hd__free(c.ends);
    return status;
}
