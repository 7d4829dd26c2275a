/* extract.h - the text of a file: from its bytes to paragraphs under headings.
 *
 * What kind a file is is told from its bytes first, and from its name where bytes do not tell (source code, CSV,
 * Markdown). Every reader takes bytes that may lie; limits are in base/limits.h.
 */
#ifndef HD_INGEST_EXTRACT_H
#define HD_INGEST_EXTRACT_H

#include "base/arena.h"
#include "base/buffer.h"
#include "base/map64.h"
#include "base/span.h"
#include "base/status.h"

typedef enum hd_kind {
    HD_KIND_UNKNOWN, /* nothing that text can be got from */
    HD_KIND_TEXT,
    HD_KIND_MARKDOWN,
    HD_KIND_HTML,
    HD_KIND_CODE,
    HD_KIND_CSV,
    HD_KIND_JSON,  /* one document: its keys and values as lines */
    HD_KIND_JSONL, /* one document for each line: {"id", "text" | "content" | "contents", "title", "metadata", …} */
    HD_KIND_PDF,   /* from here on bytes that are no text */
    HD_KIND_DOCX,
    HD_KIND_PPTX,
    HD_KIND_EPUB,
} hd_kind;

/* A stretch of the text with one meaning. Blocks follow each other without overlap and cover all that is not blank, but for
 * Markdown's front matter, which is metadata. */
typedef enum hd_block_kind {
    HD_BLOCK_PARAGRAPH,
    HD_BLOCK_HEADING,
    HD_BLOCK_CODE,
    HD_BLOCK_TABLE,
    HD_BLOCK_LIST_ITEM,
} hd_block_kind;

typedef struct hd_block {
    hd_block_kind kind;
    uint32_t begin, end; /* bytes in the text */
    uint32_t level;      /* of a heading, 1 to 6; of list items and of source code, how deep it is nested, from 0: a method
                          * has level 1 and follows its class, whose block ends where the first method begins */
    uint32_t line, page; /* in the file, from 1; 0 where it has none */
    const char *name;    /* heading: its plain text; code: the function or type that it is, or NULL */
} hd_block;

typedef struct hd_extract {
    hd_kind kind;
    const char *mime;
    const char *language; /* of code: "c", "python"; "" else */
    const char *title;    /* "" when the document names none */
    const char *author;
    const char *metadata; /* JSON object, or NULL: what the format says (front matter, PDF's info, JSONL's fields) */
    const char *id, *url, *source; /* JSONL's own; NULL else */
    int64_t created_at;            /* Unix seconds; 0 unknown */
    hd_span text;                  /* UTF-8, lines end in \n. Of Markdown, text and code: the file's own, so that a line of
                                    * it is a line of the file; of other kinds what a reader would see */
    const hd_block *blocks;        /* [n_blocks] */
    size_t n_blocks;
} hd_extract;

/* The kind, by the first bytes and the name (may be NULL) or mime type (may be NULL). */
hd_kind hd__kind_of(hd_span bytes, const char *name, const char *mime);

/* Calls `document` once, for JSONL once for each line, with an extract that lives until it returns (its text may be part of
 * `bytes`). HD_ERR_FORMAT for what is not what it says or its name does, HD_ERR_UNSUPPORTED for other HD_KIND_UNKNOWN,
 * for what has a password and for programs that are missing (pdftotext), HD_ERR_LIMIT. Errors of `document` end it. A line
 * of JSONL that cannot be read does not: the other lines are given, and HD_ERR_FORMAT at the end says how many were left
 * out and names the first ones. A document may have no text (an empty file). `arena` is for what is kept meanwhile. */
typedef hd_status hd_extract_fn(const hd_extract *extract, void *data, hd_error *err);
HD_MUST_USE hd_status hd__extract(hd_span bytes, const char *name, const char *mime, hd_arena *arena,
                                  hd_extract_fn *document, void *data, hd_error *err);

/* JSONL by pieces of whole lines: how far it has come, and which lines are left out. Zeroed is its beginning. */
typedef struct hd_lines {
    uint32_t n;        /* lines passed */
    uint32_t n_failed; /* left out */
    hd_buffer first;   /* what was wrong with the first of those */
    hd_map64 ids;      /* the line of each id, by its hash */
    bool in_long;      /* the rest of the line at hand is left out too */
} hd_lines;

/* How many bytes at the beginning of what was read are whole lines, or all of them at the end. A line that is too long to be
 * read is left out of the buffer as it comes, so that no more than HD_LIMIT_RECORD_BYTES and what was read last are kept. */
size_t hd__lines_cut(hd_lines *lines, hd_buffer *read, bool at_end);

/* As hd__extract of JSONL, but that the lines which cannot be read are left out, also those that are too much for
 * `document` (HD_ERR_LIMIT). */
HD_MUST_USE hd_status hd__extract_lines(hd_span bytes, hd_lines *lines, hd_extract_fn *document, void *data, hd_error *err);

/* For `document`: notes the id that the line at hand has. *again: an earlier line had it, which is left out now. */
HD_MUST_USE hd_status hd__lines_take_id(hd_lines *lines, const char *id, bool *again, hd_error *err);

/* Leaves a line out, by its number; 0 for one that `why` names. */
void hd__lines_fail(hd_lines *lines, uint32_t line, const hd_error *why);

/* HD_ERR_FORMAT that says how many were left out and names the first ones; HD_OK for none. Frees them. */
HD_MUST_USE hd_status hd__lines_end(hd_lines *lines, hd_error *err);

#endif
