/* postings_view.h - the segments that one reader sees, and their parts through the cache.
 *
 * A reader's snapshot names a generation. Its list of segments is kept until another generation is seen, so that a search
 * reads one row to know what it sees; a reader of an older snapshot reads its own list.
 */
#ifndef HD_STORE_POSTINGS_VIEW_H
#define HD_STORE_POSTINGS_VIEW_H

#include "store/posting_list.h"
#include "store/postings_cache.h"
#include "store/segment.h"

enum { HD_N_SEGMENT_KINDS = 2 };

typedef struct hd_view {
    uint32_t n_users; /* under the lock of hd_views */
    int64_t epoch, generation;
    hd_segment *segments[HD_N_SEGMENT_KINDS];
    size_t n_segments[HD_N_SEGMENT_KINDS];
    uint64_t n_counted, sum_length; /* of words */
} hd_view;

typedef struct hd_views hd_views;

HD_MUST_USE hd_status hd__views_open(hd_views **views, hd_error *err);
void hd__views_close(hd_views *views); /* NULL allowed */
uint64_t hd__views_bytes(hd_views *views);

/* One search's reading. */
typedef struct hd_view_reader {
    hd_views *views;
    const hd_view *view;
    hd_segment_reader rows;
    hd_part **held; /* until the end */
    size_t n_held, held_capacity;
} hd_view_reader;

HD_MUST_USE hd_status hd__view_begin(hd_view_reader *reader, hd_views *views, sqlite3 *db, hd_error *err);
void hd__view_end(hd_view_reader *reader);

/* A term of a segment: n_postings and n_removed 0 when it is not there. The list of a short one lives until the end. */
HD_MUST_USE hd_status hd__view_term(hd_view_reader *reader, const hd_segment *segment, hd_span text, hd_term *term,
                                    hd_error *err);

/* The list of a term with more than one block; lives until the end. */
HD_MUST_USE hd_status hd__view_list(hd_view_reader *reader, const hd_segment *segment, const hd_term *term,
                                    const hd_posting_list **list, hd_error *err);

/* [n_chunks] of a segment of words; lives until the end. */
HD_MUST_USE hd_status hd__view_lengths(hd_view_reader *reader, const hd_segment *segment, const uint16_t **lengths,
                                       hd_error *err);

/* Sets the bits of the segment's chunks that have the term, those below n. */
HD_MUST_USE hd_status hd__view_chunks(hd_view_reader *reader, const hd_segment *segment, hd_span text, uint32_t n,
                                      uint64_t *words, hd_error *err);

#endif
