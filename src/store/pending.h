/* pending.h - what is to become the next segment: postings in the order they came, and the terms they are of.
 */
#ifndef HD_STORE_PENDING_H
#define HD_STORE_PENDING_H

#include "store/segment.h"

typedef struct hd_pending_term {
    uint32_t at; /* its text, in `text` */
    uint8_t len;
    uint32_t n_postings, n_removed;
    uint32_t newest;  /* its posting that came last */
    uint32_t removal; /* the one that counted it last */
} hd_pending_term;

typedef struct hd_pending_posting {
    uint32_t term, id;
    uint16_t payload;
} hd_pending_posting;

typedef struct hd_pending {
    hd_segment_kind kind;
    hd_buffer text;
    hd_pending_term *terms; /* [n_terms] */
    uint32_t n_terms, terms_capacity;
    uint32_t *slots; /* [n_slots] number of a term + 1, or 0: a hash table, a power of two */
    uint32_t n_slots;
    hd_pending_posting *postings; /* [n_postings] */
    uint32_t n_postings, postings_capacity;
    hd_buffer lengths; /* u16 for each chunk from `first` */
    uint32_t first, n_chunks;
    uint32_t n_removals;
    int64_t n_counted, sum_length;
} hd_pending;

void hd__pending_init(hd_pending *pending, hd_segment_kind kind);
void hd__pending_clear(hd_pending *pending);

/* Empties it and keeps its memory. */
void hd__pending_reset(hd_pending *pending);

/* A chunk begins; its number is greater than any before. */
HD_MUST_USE hd_status hd__pending_begin_chunk(hd_pending *pending, uint32_t id, hd_error *err);

/* A term of it: its payload, or that much more of it. */
HD_MUST_USE hd_status hd__pending_add(hd_pending *pending, hd_span term, uint32_t payload, hd_error *err);

/* How many words it had. */
void hd__pending_end_chunk(hd_pending *pending, uint16_t length);

/* A chunk that goes had these terms, which may come more than once, and that length. */
void hd__pending_begin_removal(hd_pending *pending);
HD_MUST_USE hd_status hd__pending_remove(hd_pending *pending, hd_span term, hd_error *err);
void hd__pending_end_removal(hd_pending *pending, uint16_t length);

/* Writes a segment of what is there, if anything is, and empties it. */
HD_MUST_USE hd_status hd__pending_flush(hd_pending *pending, sqlite3 *db, hd_error *err);

#endif
