/* chunk_anyloom.c - Markdown as AnyLoom's retrieval server cuts it (Intradyne/AnyLoom, 2026-02-20), so that its chunks,
 * their numbers and their ids are found again.
 *
 *   title    what follows "# " when the file begins with it at its very first byte, else the file's name without its ending
 *   parts    split before every line that begins with "## ", in code too; stripped; less than 80 characters are left out,
 *            and count nevertheless
 *   text     the part when it begins with "# ", else "# <title>\n\n<part>"
 *   section  the part's "## " title, or "Introduction"
 *   id       UUID of version 5 in the namespace of DNS (RFC 9562) of "<source>/<file>::<section>::<number>"
 */
#include "base/hash.h"
#include "base/utf8.h"
#include "base/uuid.h"
#include "ingest/chunk_rules.h"
#include "ingest/sentence.h"

#define MIN_CHARACTERS 80u

static hd_status no_memory(hd_error *err)
{
    return hd__fail(err, HD_ERR_MEMORY, "no memory for the parts of a document");
}

static hd_status make_uuid(hd_arena *arena, const char *name, const char **uuid, hd_error *err)
{
    static const char dns[16] = "\x6b\xa7\xb8\x10\x9d\xad\x11\xd1\x80\xb4\x00\xc0\x4f\xd4\x30\xc8";
    const size_t n = strlen(name);
    char *bytes = hd__arena_alloc(arena, sizeof dns + n), *text = hd__arena_alloc(arena, HD_UUID_TEXT_BYTES);
    unsigned char digest[HD_SHA1_BYTES];
    if (bytes == NULL || text == NULL)
        return no_memory(err);
    memcpy(bytes, dns, sizeof dns);
    memcpy(bytes + sizeof dns, name, n);
    HD_TRY(hd__sha1(hd__span(bytes, sizeof dns + n), digest, err));
    hd__uuid_text(digest, 5, text);
    *uuid = text;
    return HD_OK;
}

/* What follows a mark at the beginning, to the end of the line; empty when the mark is not there. */
static hd_span heading_of(hd_span text, const char *mark)
{
    if (!hd__span_begins(text, mark))
        return hd__span("", 0);
    const hd_span rest = hd__span(text.ptr + strlen(mark), text.len - strlen(mark));
    const char *newline = rest.len > 0 ? memchr(rest.ptr, '\n', rest.len) : NULL;
    return hd__strip(hd__span(rest.ptr, newline != NULL ? (size_t)(newline - rest.ptr) : rest.len));
}

/* A path's last part without its last ending, as Python's Path.stem has it. */
static hd_span stem_of(const char *file)
{
    const char *slash = strrchr(file, '/');
    const char *name = slash != NULL ? slash + 1 : file;
    const char *dot = strrchr(name, '.');
    const size_t n = strlen(name);
    return hd__span(name, dot != NULL && dot != name && dot[1] != '\0' ? (size_t)(dot - name) : n);
}

static bool has_characters(hd_span text, size_t least)
{
    size_t n = 0, len;
    bool valid;
    for (size_t at = 0; at < text.len && n < least; at += len, n++)
        hd__utf8_decode(text, at, &len, &valid);
    return n >= least;
}

static hd_status add_part(hd_chunker *c, hd_span title, hd_span part, uint32_t number, hd_error *err)
{
    const char *all = c->extract->text.ptr;
    part = hd__strip(part);
    if (!has_characters(part, MIN_CHARACTERS))
        return HD_OK;
    const hd_span heading = heading_of(part, "## ");
    hd_chunk chunk = {.context = "", .text = part, .ordinal = number, .begin = (uint32_t)(part.ptr - all)};
    chunk.end = chunk.begin + (uint32_t)part.len;
    chunk.section = heading.len > 0 ? hd__arena_strndup(c->arena, heading.ptr, heading.len) : "Introduction";
    if (!hd__span_begins(part, "# ")) {
        const size_t len = title.len + part.len + 4;
        char *text = hd__arena_alloc(c->arena, len);
        if (text == NULL)
            return no_memory(err);
        memcpy(text, "# ", 2);
        memcpy(text + 2, title.ptr, title.len);
        memcpy(text + 2 + title.len, "\n\n", 2);
        memcpy(text + 4 + title.len, part.ptr, part.len);
        chunk.text = hd__span(text, len);
    }
    const char *name = hd__arena_printf(c->arena, "%s/%s::%s::%u", c->source, c->file, chunk.section, number);
    if (chunk.section == NULL || name == NULL)
        return no_memory(err);
    HD_TRY(make_uuid(c->arena, name, &chunk.key, err));
    return hd__chunker_add(c, chunk, err);
}

hd_status hd__chunk_as_anyloom(hd_chunker *c, hd_error *err)
{
    const hd_span text = c->extract->text;
    hd_span title = heading_of(text, "# ");
    if (title.len == 0)
        title = stem_of(c->file);
    uint32_t number = 0;
    for (size_t begin = 0, at = 0; at <= text.len; at++) {
        const bool is_line = at < text.len && (at == 0 || text.ptr[at - 1] == '\n');
        if (at < text.len && !(is_line && hd__span_begins(hd__span(text.ptr + at, text.len - at), "## ")))
            continue;
        HD_TRY(add_part(c, title, hd__span(text.ptr + begin, at - begin), number++, err));
        begin = at;
    }
    return HD_OK;
}
