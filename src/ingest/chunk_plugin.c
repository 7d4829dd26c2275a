/* chunk_plugin.c - text as openai/chatgpt-retrieval-plugin cuts it (2024-04-24, services/chunks.py): stretches of 200
 * tokens, each cut after its last full stop, question mark, exclamation mark or newline when that is not among its first 350
 * characters; newlines become blanks; what has no more than 5 characters is left out; no more than 10,000 stretches.
 *
 * Its tokens are those of cl100k_base, which no model here has: the model's own are counted in their place, so chunks are
 * about as long and not the same. A chunk's id is "<file>_<n>", where the file is the document's id.
 */
#include "base/utf8.h"
#include "ingest/chunk_rules.h"
#include "ingest/sentence.h"

#define CHUNK_TOKENS 200u
#define MIN_CHARACTERS 350u
#define MIN_LENGTH 5u
#define MAX_STRETCHES 10000u

/* Where a stretch is cut. */
static size_t cut_len(hd_span stretch)
{
    size_t last = stretch.len;
    while (last > 0 && memchr(".?!\n", stretch.ptr[last - 1], 4) == NULL)
        last--;
    return last > 0 && hd__utf8_count(hd__span(stretch.ptr, last - 1)) > MIN_CHARACTERS ? last : stretch.len;
}

static hd_status add_stretch(hd_chunker *c, hd_span stretch, hd_error *err)
{
    const hd_span trimmed = hd__strip(stretch);
    if (hd__utf8_count(trimmed) <= MIN_LENGTH)
        return HD_OK;
    hd_chunk chunk = {.section = "", .context = "", .ordinal = (uint32_t)c->n};
    chunk.begin = (uint32_t)(trimmed.ptr - c->extract->text.ptr);
    chunk.end = chunk.begin + (uint32_t)trimmed.len;
    char *text = hd__arena_strndup(c->arena, trimmed.ptr, trimmed.len);
    chunk.key = hd__arena_printf(c->arena, "%s_%zu", c->file, c->n);
    if (text == NULL || chunk.key == NULL)
        return hd__fail(err, HD_ERR_MEMORY, "no memory for the chunks of a document");
    for (size_t i = 0; i < trimmed.len; i++)
        if (text[i] == '\n')
            text[i] = ' ';
    chunk.text = hd__span(text, trimmed.len);
    return hd__chunker_add(c, chunk, err);
}

hd_status hd__chunk_as_plugin(hd_chunker *c, hd_error *err)
{
    const char *text = c->extract->text.ptr;
    const uint32_t end = (uint32_t)c->extract->text.len;
    uint32_t at = 0;
    for (uint32_t n = 0; at < end && n < MAX_STRETCHES;) {
        hd_span stretch = hd__span(text + at, hd__chunker_reach(c, at, CHUNK_TOKENS, end) - at);
        if (hd__strip(stretch).len == 0) {
            at += (uint32_t)stretch.len;
            continue;
        }
        stretch.len = cut_len(stretch);
        HD_TRY(add_stretch(c, stretch, err));
        at += (uint32_t)stretch.len;
        n++;
    }
    return at < end ? add_stretch(c, hd__span(text + at, end - at), err) : HD_OK;
}
