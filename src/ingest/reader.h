/* reader.h - what readers of formats share: each turns a file's bytes into an extract.
 *
 * A reader gets bytes of its kind (kind.h), fills in `extract`, whose texts are on the arena or part of the bytes, and
 * names no file in its messages: who calls it knows which one it is.
 */
#ifndef HD_INGEST_READER_H
#define HD_INGEST_READER_H

#include <jansson.h>

#include "ingest/block_list.h"
#include "ingest/kind.h"

typedef struct hd_reader {
    hd_span bytes;
    hd_file_type type;
    hd_arena *arena;
    hd_extract *extract; /* kind, mime and language are there; title, author "" */
} hd_reader;

typedef hd_status hd_reader_fn(hd_reader *reader, hd_error *err);

hd_reader_fn hd__read_text, hd__read_markdown, hd__read_code, hd__read_csv, hd__read_json, hd__read_html, hd__read_pdf,
    hd__read_docx, hd__read_pptx, hd__read_epub;

/* JSONL is a document for each line, given to the caller at once, as hd__extract_lines says. */
HD_MUST_USE hd_status hd__read_jsonl(hd_reader *reader, hd_lines *lines, hd_extract_fn *document, void *data, hd_error *err);

/* The paragraphs of text[begin, end), which are separated by blank lines; `line` is that of `begin`. */
void hd__paragraphs_add(hd_block_list *blocks, hd_span text, size_t begin, size_t end, uint32_t line);

/* Takes the blocks over, and cuts names that are too long; HD_ERR_MEMORY, also when the list has failed. */
HD_MUST_USE hd_status hd__reader_end(hd_reader *reader, const hd_block_list *blocks, hd_error *err);

/* A document without a title has that of its first heading of level 1, if there is one. After hd__reader_end. */
void hd__reader_title(hd_reader *reader);

/* Looks through metadata for what has a field of its own in an extract: title, author, date. `metadata` becomes the
 * extract's, as text; it is the caller's to decref. */
HD_MUST_USE hd_status hd__metadata_take(hd_reader *reader, json_t *metadata, hd_error *err);

/* Seconds of what JSON says as a date: text, or a number of seconds or milliseconds. */
bool hd__metadata_date(const json_t *value, int64_t *seconds);

/* "a, b" of texts in an array, or the text. NULL: neither, or no memory. */
const char *hd__metadata_text(const json_t *value, hd_arena *arena);

#endif
