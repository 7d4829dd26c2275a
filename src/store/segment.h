/* segment.h - the inverted index of a stretch of chunks, as rows of the database: written once, read in parts, merged.
 *
 *   postings_segments   a row for each segment: its kind, chunks, counts, and how long its streams are
 *   postings_rows       the streams of bytes, in rows of HD_SEGMENT_ROW_BYTES (the last one less): id = segment << 32 |
 *                       stream << 28 | number of the row
 *   postings_state      one row: the stemmer's language; an epoch that no other file has; a generation, one more for each
 *                       flush; the next segment's number, which is never given twice
 *
 *   terms     dictionary blocks of ascending terms (words: UTF-8; sparse: the token's id, four bytes, the first the
 *             highest): u8(bytes equal to the term before, 0 for a block's first) u8(more bytes) bytes varint(postings)
 *             varint(chunks removed) and, with postings, varint(bytes of the list) and then the list (posting_list.h), if
 *             it is of one block, else varint(its offset in `lists`)
 *   index     for each block of terms: u8(bytes) first term varint(bytes of the block)
 *   lists     longer lists, one after the other
 *   lengths   u16 for each chunk of the stretch: words in it, 0 for numbers without a chunk; of words alone
 *
 * A term's df is its postings less its removals: removals of chunks are counted where they happen, by a later segment than
 * the postings', and sum up. Rows of segments that are gone are deleted with them.
 */
#ifndef HD_STORE_SEGMENT_H
#define HD_STORE_SEGMENT_H

#include <sqlite3.h>

#include "base/buffer.h"
#include "store/bitmap.h"

enum { HD_SEGMENT_ROW_BYTES = 4000 }; /* with its id and header in one page of 4096 */
#define HD_SEGMENT_MAX_TERM 255u

typedef enum hd_segment_kind { HD_SEGMENT_WORDS, HD_SEGMENT_SPARSE } hd_segment_kind;
typedef enum hd_segment_stream { HD_STREAM_INDEX, HD_STREAM_TERMS, HD_STREAM_LISTS, HD_STREAM_LENGTHS } hd_segment_stream;
enum { HD_N_STREAMS = 4 };

typedef struct hd_segment {
    uint32_t id;
    hd_segment_kind kind;
    uint32_t first, n_chunks;      /* the stretch */
    int64_t n_counted, sum_length; /* chunks added less removed, and their lengths */
    uint64_t n_postings, n_terms;
    uint64_t stream_bytes[HD_N_STREAMS];
} hd_segment;

/* The tables. */
HD_MUST_USE hd_status hd__segment_create(sqlite3 *db, const char *language, hd_error *err);

/* All segments of a kind, by their stretches; *segments is freed with hd__free. */
HD_MUST_USE hd_status hd__segment_list(sqlite3 *db, hd_segment_kind kind, hd_segment **segments, size_t *n, hd_error *err);

/* ---- reading ------------------------------------------------------------------------------------ */

/* Reads streams on one connection. */
typedef struct hd_segment_reader {
    sqlite3 *db;
    sqlite3_stmt *rows;
} hd_segment_reader;

void hd__segment_reader_end(hd_segment_reader *reader);

/* Bytes of a stream into `out`. HD_ERR_FORMAT when they are not there. */
HD_MUST_USE hd_status hd__segment_read(hd_segment_reader *reader, const hd_segment *segment, hd_segment_stream stream,
                                       uint64_t offset, size_t n, char *out, hd_error *err);

/* A dictionary's entry. */
typedef struct hd_term {
    char text[HD_SEGMENT_MAX_TERM];
    uint8_t len;
    uint32_t n_postings, n_removed;
    hd_span list; /* of a short one; else where it is in `lists` */
    uint64_t list_offset, list_bytes;
} hd_term;

/* The next entry of a block, into what the entry before is in (zeroed for the first). False: the block is no block. */
bool hd__term_next(hd_cursor *block, const hd_segment *segment, hd_term *term);

static inline hd_span hd__term_text(const hd_term *term)
{
    return hd__span(term->text, term->len);
}

/* Bytes as numbers of 0 … 255, a front of another one first. */
int hd__term_compare(hd_span a, hd_span b);

hd_status hd__segment_damaged(sqlite3 *db, const hd_segment *segment, const char *what, hd_error *err) __attribute__((cold));

/* ---- writing ------------------------------------------------------------------------------------ */

typedef struct hd_segment_writer {
    sqlite3 *db;
    sqlite3_stmt *insert;
    hd_segment segment;
    const uint16_t *lengths; /* [n_chunks] or NULL */
    hd_buffer streams[HD_N_STREAMS];
    uint64_t n_rows[HD_N_STREAMS];
    hd_buffer block, list;
    char first[HD_SEGMENT_MAX_TERM], last[HD_SEGMENT_MAX_TERM];
    uint8_t first_len, last_len;
} hd_segment_writer;

/* In a write transaction. about: kind, stretch and counts; lengths live until the end. `abandon` after any failure, and
 * after success too. */
HD_MUST_USE hd_status hd__segment_begin(hd_segment_writer *writer, sqlite3 *db, const hd_segment *about,
                                        const uint16_t *lengths, hd_error *err);

/* Terms ascend; ids are of the stretch, from 0. */
HD_MUST_USE hd_status hd__segment_add(hd_segment_writer *writer, hd_span term, uint32_t n_removed, const uint32_t *ids,
                                      const uint16_t *payloads, size_t n, hd_error *err);
HD_MUST_USE hd_status hd__segment_end(hd_segment_writer *writer, hd_error *err);
void hd__segment_abandon(hd_segment_writer *writer);

/* ---- several side by side (segment_merge.c) ----------------------------------------------------- */

/* Every term of a kind in their order, with the chunks that have it, ascending, and their payloads. */
typedef hd_status hd_term_fn(hd_span term, const uint32_t *ids, const uint16_t *payloads, size_t n, void *data,
                             hd_error *err);
HD_MUST_USE hd_status hd__segment_each_term(sqlite3 *db, hd_segment_kind kind, hd_term_fn *take, void *data, hd_error *err);

/* Puts one segment in the place of several of a kind at the end, when they are many of about a size. */
HD_MUST_USE hd_status hd__segment_tidy(sqlite3 *db, hd_segment_kind kind, hd_error *err);

/* As hd__postings_compact and hd__postings_check, of a kind. */
HD_MUST_USE hd_status hd__segment_compact(sqlite3 *from, sqlite3 *to, hd_segment_kind kind, const hd_bitmap *live,
                                          hd_error *err);
HD_MUST_USE hd_status hd__segment_check(sqlite3 *db, hd_segment_kind kind, uint32_t n_chunks,
                                        void (*found)(const char *what, void *data), void *data, hd_error *err);

#endif
