/* pending.c - see pending.h. Postings are sorted by their terms when all have come, by counting: that keeps each term's in
 * the order of chunks.
 */
#include "store/pending.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "base/hash.h"
#include "store/sql.h"

enum { MIN_SLOTS = 1024, MAX_PAYLOAD = UINT16_MAX };

void hd__pending_init(hd_pending *pending, hd_segment_kind kind)
{
    *pending = (hd_pending){.kind = kind};
}

void hd__pending_clear(hd_pending *pending)
{
    hd__buffer_clear(&pending->text);
    hd__buffer_clear(&pending->lengths);
    hd__free(pending->terms);
    hd__free(pending->slots);
    hd__free(pending->postings);
    hd__pending_init(pending, pending->kind);
}

void hd__pending_reset(hd_pending *pending)
{
    hd__buffer_reset(&pending->text);
    hd__buffer_reset(&pending->lengths);
    if (pending->slots != NULL)
        memset(pending->slots, 0, pending->n_slots * sizeof *pending->slots);
    pending->n_terms = pending->n_postings = pending->first = pending->n_chunks = pending->n_removals = 0;
    pending->n_counted = pending->sum_length = 0;
}

static hd_status fail_memory(hd_error *err)
{
    return hd__fail(err, HD_ERR_MEMORY, "no memory for the words of new chunks");
}

/* Room for one more at *list. */
static hd_status reserve(void **list, uint32_t n, uint32_t *capacity, size_t bytes_each, hd_error *err)
{
    if (n < *capacity)
        return HD_OK;
    if (n > UINT32_MAX / 4)
        return hd__fail(err, HD_ERR_LIMIT, "%u words of new chunks in one part of a commit", n);
    const uint32_t more = n * 2 + 1024;
    void *grown = hd__realloc(*list, hd__mul(more, bytes_each));
    if (grown == NULL)
        return fail_memory(err);
    *list = grown;
    *capacity = more;
    return HD_OK;
}

static hd_span text_of(const hd_pending *pending, const hd_pending_term *term)
{
    return hd__span(pending->text.ptr + term->at, term->len);
}

static uint32_t *find_slot(const hd_pending *pending, hd_span text)
{
    uint32_t at = (uint32_t)hd__hash64(text, 0) & (pending->n_slots - 1);
    while (pending->slots[at] != 0 && !hd__span_equal(text_of(pending, &pending->terms[pending->slots[at] - 1]), text))
        at = (at + 1) & (pending->n_slots - 1);
    return &pending->slots[at];
}

static hd_status grow_slots(hd_pending *pending, hd_error *err)
{
    const uint32_t n_slots = pending->n_slots == 0 ? MIN_SLOTS : pending->n_slots * 4;
    uint32_t *slots = hd__calloc(n_slots, sizeof *slots);
    if (slots == NULL)
        return fail_memory(err);
    hd__free(pending->slots);
    pending->slots = slots;
    pending->n_slots = n_slots;
    for (uint32_t i = 0; i < pending->n_terms; i++)
        *find_slot(pending, text_of(pending, &pending->terms[i])) = i + 1;
    return HD_OK;
}

static hd_status find_term(hd_pending *pending, hd_span text, hd_pending_term **term, hd_error *err)
{
    if (pending->n_terms >= pending->n_slots / 2)
        HD_TRY(grow_slots(pending, err));
    uint32_t *slot = find_slot(pending, text);
    if (*slot == 0) {
        void *terms = pending->terms;
        hd_status status = reserve(&terms, pending->n_terms, &pending->terms_capacity, sizeof *pending->terms, err);
        pending->terms = terms;
        HD_TRY(status);
        const size_t at = pending->text.len;
        hd__buffer_append(&pending->text, text.ptr, text.len);
        if (pending->text.failed || at > UINT32_MAX)
            return fail_memory(err);
        pending->terms[pending->n_terms++] = (hd_pending_term){.at = (uint32_t)at, .len = (uint8_t)text.len};
        *slot = pending->n_terms;
    }
    *term = &pending->terms[*slot - 1];
    return HD_OK;
}

hd_status hd__pending_begin_chunk(hd_pending *pending, uint32_t id, hd_error *err)
{
    if (pending->n_chunks == 0)
        pending->first = id;
    if (pending->kind == HD_SEGMENT_WORDS) { /* 0 for numbers without a chunk, and for this one until its end */
        for (uint32_t at = pending->first + pending->n_chunks; at <= id; at++)
            hd__buffer_append_uint(&pending->lengths, 0, sizeof(uint16_t));
        if (pending->lengths.failed)
            return fail_memory(err);
    }
    pending->n_chunks = id - pending->first + 1;
    pending->n_counted++;
    return HD_OK;
}

void hd__pending_end_chunk(hd_pending *pending, uint16_t length)
{
    memcpy(pending->lengths.ptr + pending->lengths.len - sizeof length, &length, sizeof length);
    pending->sum_length += length;
}

hd_status hd__pending_add(hd_pending *pending, hd_span text, uint32_t payload, hd_error *err)
{
    const uint32_t id = pending->first + pending->n_chunks - 1;
    hd_pending_term *term;
    HD_TRY(find_term(pending, text, &term, err));
    if (term->n_postings > 0 && pending->postings[term->newest].id == id) {
        hd_pending_posting *posting = &pending->postings[term->newest];
        payload += posting->payload;
        posting->payload = (uint16_t)(payload < MAX_PAYLOAD ? payload : MAX_PAYLOAD);
        return HD_OK;
    }
    void *postings = pending->postings;
    hd_status status = reserve(&postings, pending->n_postings, &pending->postings_capacity, sizeof *pending->postings, err);
    pending->postings = postings;
    HD_TRY(status);
    pending->postings[pending->n_postings] =
        (hd_pending_posting){.term = (uint32_t)(term - pending->terms),
                             .id = id,
                             .payload = (uint16_t)(payload < MAX_PAYLOAD ? payload : MAX_PAYLOAD)};
    term->newest = pending->n_postings++;
    term->n_postings++;
    return HD_OK;
}

void hd__pending_begin_removal(hd_pending *pending)
{
    pending->n_removals++;
    pending->n_counted--;
}

hd_status hd__pending_remove(hd_pending *pending, hd_span text, hd_error *err)
{
    hd_pending_term *term;
    HD_TRY(find_term(pending, text, &term, err));
    if (term->removal != pending->n_removals)
        term->n_removed++;
    term->removal = pending->n_removals;
    return HD_OK;
}

void hd__pending_end_removal(hd_pending *pending, uint16_t length)
{
    pending->sum_length -= length;
}

/* ---- writing ------------------------------------------------------------------------------------ */

/* A term to be sorted: its text's first bytes as a number, which settles most comparisons. */
typedef struct sort_key {
    uint64_t prefix;
    uint32_t term;
} sort_key;

static int compare_terms(const void *a, const void *b, void *data)
{
    const hd_pending *pending = data;
    const sort_key *x = a, *y = b;
    if (x->prefix != y->prefix)
        return x->prefix < y->prefix ? -1 : 1;
    return hd__term_compare(text_of(pending, &pending->terms[x->term]), text_of(pending, &pending->terms[y->term]));
}

/* The numbers of all terms in the order of their texts; freed by the caller. */
static sort_key *sort_terms(const hd_pending *pending)
{
    sort_key *keys = hd__malloc(hd__mul(pending->n_terms, sizeof *keys));
    for (uint32_t i = 0; keys != NULL && i < pending->n_terms; i++) {
        const hd_span text = text_of(pending, &pending->terms[i]);
        keys[i] = (sort_key){0, i};
        for (size_t j = 0; j < sizeof keys[i].prefix; j++)
            keys[i].prefix = keys[i].prefix << 8 | (j < text.len ? (unsigned char)text.ptr[j] : 0);
    }
    if (keys != NULL)
        qsort_r(keys, pending->n_terms, sizeof *keys, compare_terms, (void *)pending);
    return keys;
}

/* Where a segment without chunks stands: after all others. */
static hd_status place_of_none(hd_pending *pending, sqlite3 *db, hd_error *err)
{
    hd_segment *segments;
    size_t n;
    HD_TRY(hd__segment_list(db, pending->kind, &segments, &n, err));
    pending->first = n > 0 ? segments[n - 1].first + segments[n - 1].n_chunks : 0;
    hd__free(segments);
    return HD_OK;
}

/* Postings by terms: term i's are from begins[i]. */
typedef struct sorted {
    sort_key *terms;  /* [n_terms] */
    uint32_t *begins; /* [n_terms] */
    uint32_t *ids;    /* [n_postings] of the segment */
    uint16_t *payloads;
} sorted;

static hd_status sort_postings(const hd_pending *pending, sorted *s, hd_error *err)
{
    s->terms = sort_terms(pending);
    s->begins = hd__malloc(hd__mul(pending->n_terms, sizeof *s->begins));
    s->ids = hd__malloc(hd__mul((size_t)pending->n_postings + 1, sizeof *s->ids));
    s->payloads = hd__malloc(hd__mul((size_t)pending->n_postings + 1, sizeof *s->payloads));
    if (s->terms == NULL || s->begins == NULL || s->ids == NULL || s->payloads == NULL)
        return fail_memory(err);
    uint32_t at = 0;
    for (uint32_t i = 0; i < pending->n_terms; i++) {
        s->begins[s->terms[i].term] = at;
        at += pending->terms[s->terms[i].term].n_postings;
    }
    for (uint32_t i = 0; i < pending->n_postings; i++) {
        const hd_pending_posting *posting = &pending->postings[i];
        const uint32_t to = s->begins[posting->term]++;
        s->ids[to] = posting->id - pending->first;
        s->payloads[to] = posting->payload;
    }
    return HD_OK;
}

hd_status hd__pending_flush(hd_pending *pending, sqlite3 *db, hd_error *err)
{
    if (pending->n_terms == 0 && pending->n_removals == 0 && pending->n_chunks == 0)
        return HD_OK;
    sorted s = {0};
    hd_segment_writer writer = {0};
    hd_status status = HD_OK;
    if (pending->n_chunks == 0)
        HD_TRY_OUT(place_of_none(pending, db, err));
    HD_TRY_OUT(sort_postings(pending, &s, err));
    const hd_segment about = {.kind = pending->kind,
                              .first = pending->first,
                              .n_chunks = pending->n_chunks,
                              .n_counted = pending->n_counted,
                              .sum_length = pending->sum_length};
    const uint16_t *lengths =
        pending->kind == HD_SEGMENT_WORDS ? (const uint16_t *)(const void *)pending->lengths.ptr : NULL;
    HD_TRY_OUT(hd__segment_begin(&writer, db, &about, lengths, err));
    for (uint32_t i = 0; i < pending->n_terms; i++) {
        const hd_pending_term *term = &pending->terms[s.terms[i].term];
        const uint32_t end = s.begins[s.terms[i].term], begin = end - term->n_postings; /* begins have moved to the ends */
        HD_TRY_OUT(hd__segment_add(&writer, text_of(pending, term), term->n_removed, s.ids + begin, s.payloads + begin,
                                   term->n_postings, err));
    }
    HD_TRY_OUT(hd__segment_end(&writer, err));
    hd__pending_reset(pending);
    HD_TRY_OUT(hd__segment_tidy(db, pending->kind, err));
out:
    hd__segment_abandon(&writer);
    hd__free(s.terms);
    hd__free(s.begins);
    hd__free(s.ids);
    hd__free(s.payloads);
    return status;
}
