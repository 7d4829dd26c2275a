/* postings_search.c - see postings_search.h. */
#include "store/postings_search.h"

#include <math.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/half.h"
#include "store/postings.h"

enum {
    WINDOW = 4096,
    WINDOW_BLOCKS = WINDOW / HD_POSTING_BLOCK + 2, /* of one list that a window can have a part of */
    GROUP = 16,                                    /* sums that are compared at once */
    CHEAP = 3,                                     /* see order_by_bounds */
    NO_BLOCK = UINT32_MAX,
};
#define UNITS 1073741824.0f /* all terms' bounds together: sums stay below 2^31 */

/* A term's list in one segment. */
typedef struct cursor {
    const hd_posting_list *list;    /* NULL: one block, decoded for good */
    float weight;                   /* in units */
    uint32_t block;                 /* the first that can have postings of this window, or after */
    uint32_t bound;                 /* in this window */
    uint32_t n_window_blocks;       /* that have a part of it */
    uint32_t decoded;               /* number of the block that `postings` has */
    uint32_t n_blocks, last;        /* last: id of the only block's last */
    uint32_t at;                    /* in `postings`, for what is looked up */
    bool scored;                    /* `units` are of `postings` */
    uint32_t bounds[WINDOW_BLOCKS]; /* of the window's blocks, from `block` */
    hd_posting_block postings;
    uint32_t units[HD_POSTING_BLOCK];
} cursor;

typedef struct candidate {
    uint32_t id, units;
} candidate;

typedef struct search {
    hd_view_reader *reader;
    hd_segment_kind kind;
    const hd_search_term *terms;
    size_t n_terms;
    float *weights;   /* [n_terms] in units */
    hd_term *entries; /* [n_terms, n_segments] */
    const hd_segment *segments;
    size_t n_segments;
    float norm, norm_per_word; /* BM25's k1 * (1 - b + b * length / mean) */
    const hd_bitmap *allowed;
    /* of the segment at hand */
    const hd_segment *segment;
    const uint16_t *lengths;
    cursor *cursors; /* [n_terms] */
    size_t n_cursors;
    cursor **order;        /* [n_terms] by bounds, ascending */
    uint32_t *below;       /* [n_terms + 1] sums of the bounds before each in that order */
    uint32_t *sums;        /* [WINDOW] */
    candidate *candidates; /* [WINDOW] */
    /* the best so far: a heap, the worst first */
    candidate *best;
    size_t n_best, k;
    uint32_t threshold; /* what a chunk must have more of; 0 until there are k */
} search;

float hd__bm25_idf(uint64_t n, uint64_t df)
{
    const double absent = n > df ? (double)(n - df) : 0.0;
    return (float)log(1.0 + (absent + 0.5) / ((double)df + 0.5));
}

/* ---- sixteen numbers at once -------------------------------------------------------------------- */

typedef int32_t lanes __attribute__((vector_size(16))); /* SSE2's and NEON's registers */
typedef int64_t halves __attribute__((vector_size(16)));

/* Bit i: whether numbers[i] is more than `bound`. All are below 2^31. */
static inline uint32_t mask_above(const uint32_t numbers[GROUP], uint32_t bound)
{
    static const lanes bits[GROUP / 4] = {
        {1, 2, 4, 8}, {16, 32, 64, 128}, {256, 512, 1024, 2048}, {4096, 8192, 16384, 32768}};
    const lanes bounds = (lanes){0} + (int32_t)bound;
    lanes values[GROUP / 4], found = {0};
    memcpy(values, numbers, sizeof values);
    for (size_t i = 0; i < GROUP / 4; i++)
        found |= (values[i] > bounds) & bits[i];
    const uint64_t both = (uint64_t)(((halves)found)[0] | ((halves)found)[1]);
    return (uint32_t)(both | both >> 32);
}

/* ---- what a posting gives ----------------------------------------------------------------------- */

/* Grows with the payload and falls with the length: each step of the arithmetic does, rounding included. */
static inline uint32_t units_of_word(const search *s, float weight, float tf, float length)
{
    const float ratio = tf / (s->norm + s->norm_per_word * length);
    const int32_t units = (int32_t)(weight - weight / (1.0f + ratio));
    return (uint32_t)(units < 1 ? 1 : units);
}

static inline uint32_t units_of_half(float weight, uint32_t half)
{
    const int32_t units = (int32_t)(weight * hd__float_of_bits(hd__half_widen((uint16_t)half)));
    return (uint32_t)(units < 1 ? 1 : units);
}

static uint32_t units_of(const search *s, float weight, uint32_t payload, uint32_t length)
{
    return s->kind == HD_SEGMENT_WORDS ? units_of_word(s, weight, (float)payload, (float)length)
                                       : units_of_half(weight, payload);
}

static void score_block(const search *s, cursor *c)
{
    const hd_posting_block *p = &c->postings;
    if (c->scored)
        return;
    c->scored = true;
    if (s->kind == HD_SEGMENT_SPARSE) {
        for (uint32_t i = 0; i < p->n; i++)
            c->units[i] = units_of_half(c->weight, p->payloads[i]);
        return;
    }
    float lengths[HD_POSTING_BLOCK] = {0};
    for (uint32_t i = 0; i < p->n; i++)
        lengths[i] = (float)s->lengths[p->ids[i]];
    for (uint32_t i = 0; i < HD_POSTING_BLOCK; i++) /* all of them: what stands after the last is not read */
        c->units[i] = units_of_word(s, c->weight, (float)(int32_t)p->payloads[i], lengths[i]);
}

/* ---- terms and their lists ---------------------------------------------------------------------- */

static hd_status damaged(const search *s, const char *what, hd_error *err)
{
    return hd__segment_damaged(s->reader->rows.db, s->segment, what, err);
}

static hd_term *entry_of(const search *s, size_t term, size_t segment)
{
    return &s->entries[term * s->n_segments + segment];
}

/* The greatest payload of a term's lists; 0: there are none. */
static hd_status greatest_payload(search *s, size_t term, uint32_t *greatest, hd_error *err)
{
    *greatest = 0;
    for (size_t i = 0; i < s->n_segments; i++) {
        const hd_term *entry = entry_of(s, term, i);
        s->segment = &s->segments[i];
        if (entry->n_postings > HD_POSTING_BLOCK) {
            const hd_posting_list *list;
            HD_TRY(hd__view_list(s->reader, s->segment, entry, &list, err));
            for (uint32_t f = 0; f < list->dir[list->n_blocks].front; f++)
                *greatest = list->fronts[f].payload > *greatest ? list->fronts[f].payload : *greatest;
        } else if (entry->n_postings > 0) {
            hd_posting_block block;
            if (!hd__posting_list_decode_short(entry->list, entry->n_postings, s->segment->n_chunks, &block))
                return damaged(s, "a posting list is none", err);
            for (uint32_t j = 0; j < block.n; j++)
                *greatest = block.payloads[j] > *greatest ? block.payloads[j] : *greatest;
        }
    }
    return HD_OK;
}

/* The weight of a term, and the most that it can give to a chunk. */
static hd_status weigh(search *s, size_t term, float *most, hd_error *err)
{
    uint64_t n_postings = 0, n_removed = 0;
    for (size_t i = 0; i < s->n_segments; i++) {
        const hd_term *entry = entry_of(s, term, i);
        n_postings += entry->n_postings;
        n_removed += entry->n_removed;
    }
    s->weights[term] = *most = 0;
    if (n_postings == 0)
        return HD_OK;
    if (s->kind == HD_SEGMENT_WORDS) {
        const uint64_t df = n_postings > n_removed ? n_postings - n_removed : 0;
        *most = s->weights[term] = s->terms[term].weight * hd__bm25_idf(s->reader->view->n_counted, df);
        return HD_OK;
    }
    uint32_t greatest;
    HD_TRY(greatest_payload(s, term, &greatest, err));
    s->weights[term] = s->terms[term].weight;
    *most = s->weights[term] * hd__float_of_bits(hd__half_widen((uint16_t)greatest));
    return HD_OK;
}

/* Looks up all terms in all segments and makes units of their weights. *unit 0: nothing can be found. */
static hd_status find_terms(search *s, double *unit, hd_error *err)
{
    double most = 0;
    *unit = 0;
    for (size_t t = 0; t < s->n_terms; t++) {
        for (size_t i = 0; i < s->n_segments; i++)
            HD_TRY(hd__view_term(s->reader, &s->segments[i], s->terms[t].text, entry_of(s, t, i), err));
        float bound;
        HD_TRY(weigh(s, t, &bound, err));
        most += bound;
    }
    if (!(most > 0) || !isfinite(most))
        return HD_OK;
    *unit = most / (double)UNITS;
    for (size_t t = 0; t < s->n_terms; t++)
        s->weights[t] = (float)(s->weights[t] / *unit);
    return HD_OK;
}

static hd_status open_segment(search *s, size_t segment, hd_error *err)
{
    s->segment = &s->segments[segment];
    s->n_cursors = 0;
    s->lengths = NULL;
    if (s->kind == HD_SEGMENT_WORDS)
        HD_TRY(hd__view_lengths(s->reader, s->segment, &s->lengths, err));
    for (size_t t = 0; t < s->n_terms; t++) {
        const hd_term *entry = entry_of(s, t, segment);
        if (entry->n_postings == 0 || !(s->weights[t] > 0))
            continue;
        cursor *c = &s->cursors[s->n_cursors];
        c->weight = s->weights[t];
        c->block = c->at = 0;
        c->scored = false;
        c->list = NULL;
        if (entry->n_postings > HD_POSTING_BLOCK) {
            HD_TRY(hd__view_list(s->reader, s->segment, entry, &c->list, err));
            c->n_blocks = c->list->n_blocks;
            c->decoded = NO_BLOCK;
        } else {
            if (!hd__posting_list_decode_short(entry->list, entry->n_postings, s->segment->n_chunks, &c->postings))
                return damaged(s, "a posting list is none", err);
            c->n_blocks = 1;
            c->decoded = 0;
            c->last = c->postings.ids[c->postings.n - 1];
        }
        s->order[s->n_cursors++] = c;
    }
    return HD_OK;
}

static inline uint32_t last_of(const cursor *c, uint32_t block)
{
    return c->list != NULL ? c->list->dir[block].last : c->last;
}

static hd_status decode(search *s, cursor *c, uint32_t block, hd_error *err)
{
    if (c->decoded == block)
        return HD_OK;
    c->decoded = NO_BLOCK;
    c->scored = false;
    c->at = 0;
    if (!hd__posting_list_decode(c->list, block, &c->postings))
        return damaged(s, "a posting list is none", err);
    c->decoded = block;
    return HD_OK;
}

/* ---- bounds ------------------------------------------------------------------------------------- */

static uint32_t bound_of_block(const search *s, const cursor *c, uint32_t block)
{
    uint32_t bound = 0;
    for (uint32_t f = c->list->dir[block].front; f < c->list->dir[block + 1].front; f++) {
        const uint32_t units = units_of(s, c->weight, c->list->fronts[f].payload, c->list->fronts[f].length);
        bound = units > bound ? units : bound;
    }
    return bound;
}

/* Moves to the window [begin, end) and sets the bound there. */
static void enter_window(search *s, cursor *c, uint32_t begin, uint32_t end)
{
    while (c->block < c->n_blocks && last_of(c, c->block) < begin)
        c->block++;
    c->bound = 0;
    c->n_window_blocks = 1;
    if (c->list == NULL) {
        score_block(s, c);
        while (c->at < c->postings.n && c->postings.ids[c->at] < begin)
            c->at++;
        for (uint32_t i = c->at; i < c->postings.n && c->postings.ids[i] < end; i++)
            c->bound = c->units[i] > c->bound ? c->units[i] : c->bound;
        c->bounds[0] = c->bound;
        return;
    }
    for (uint32_t block = c->block; block < c->n_blocks; block++) {
        if (block > c->block && c->list->dir[block - 1].last + 1 >= end)
            break;
        const uint32_t bound = bound_of_block(s, c, block);
        c->bounds[block - c->block] = bound;
        c->n_window_blocks = block - c->block + 1;
        c->bound = bound > c->bound ? bound : c->bound;
    }
}

/* Orders the cursors by bounds and sums them up; returns how many are not essential. Where some are, terms with few blocks
 * here, a CHEAPth of theirs, are taken as essential too: to add their postings costs little, and the fewer chunks need to
 * be looked up. */
static size_t order_by_bounds(search *s)
{
    for (size_t i = 1; i < s->n_cursors; i++) {
        cursor *c = s->order[i];
        size_t at = i;
        for (; at > 0 && s->order[at - 1]->bound > c->bound; at--)
            s->order[at] = s->order[at - 1];
        s->order[at] = c;
    }
    size_t n_not_essential = 0;
    s->below[0] = 0;
    for (size_t i = 0; i < s->n_cursors; i++) {
        s->below[i + 1] = s->below[i] + s->order[i]->bound;
        if (s->below[i + 1] <= s->threshold)
            n_not_essential = i + 1;
    }
    uint32_t n_blocks = 0;
    for (size_t i = n_not_essential; i < s->n_cursors; i++)
        n_blocks += s->order[i]->n_window_blocks;
    while (n_not_essential > 0 && s->order[n_not_essential - 1]->n_window_blocks * CHEAP <= n_blocks)
        n_not_essential--;
    return n_not_essential;
}

/* ---- a window ----------------------------------------------------------------------------------- */

/* Adds a term's postings of the window to the sums. */
static hd_status add_postings(search *s, cursor *c, uint32_t begin, uint32_t end, hd_error *err)
{
    for (uint32_t block = c->block; block < c->n_blocks; block++) {
        if (block > c->block && last_of(c, block - 1) + 1 >= end)
            break;
        HD_TRY(decode(s, c, block, err));
        score_block(s, c);
        const hd_posting_block *p = &c->postings;
        uint32_t i = 0;
        while (i < p->n && p->ids[i] < begin)
            i++;
        if (p->ids[p->n - 1] < end) {
            for (; i < p->n; i++)
                s->sums[p->ids[i] - begin] += c->units[i];
        } else {
            for (; p->ids[i] < end; i++)
                s->sums[p->ids[i] - begin] += c->units[i];
        }
    }
    return HD_OK;
}

/* The place of an id in a block, or of the next greater one, which there is; not before `at`. */
static inline uint32_t find_id(const hd_posting_block *p, uint32_t at, uint32_t id)
{
    at -= at % GROUP;
    while (p->ids[at + GROUP - 1] < id)
        at += GROUP;
    return at + (uint32_t)__builtin_ctz(mask_above(p->ids + at, id - 1)); /* id 0 stands first, if anywhere */
}

/* Adds what a term gives to the candidates, and drops those that cannot be among the best. below: what all other terms that
 * are still to come can give. */
static hd_status look_up(search *s, cursor *c, uint32_t below, size_t *n_candidates, hd_error *err)
{
    const uint32_t threshold = s->threshold;
    uint32_t block = c->block, at = 0;
    size_t n_left = 0;
    for (size_t i = 0; i < *n_candidates; i++) {
        candidate found = s->candidates[i];
        const uint32_t without = found.units + below;
        if (without + c->bound <= threshold)
            continue;
        while (block < c->n_blocks && last_of(c, block) < found.id) {
            block++;
            at = 0;
        }
        if (block < c->n_blocks && without + c->bounds[block - c->block] > threshold) {
            HD_TRY(decode(s, c, block, err));
            const hd_posting_block *p = &c->postings;
            at = found.id > 0 ? find_id(p, at, found.id) : 0;
            if (p->ids[at] == found.id)
                found.units += units_of(s, c->weight, p->payloads[at], s->lengths != NULL ? s->lengths[found.id] : 0);
        }
        s->candidates[n_left] = found;
        n_left += found.units + below > threshold;
    }
    *n_candidates = n_left;
    return HD_OK;
}

/* 64 bits of the allowed chunks, from a local number on. */
static inline uint64_t allowed_from(const search *s, uint32_t id)
{
    const uint64_t first = (uint64_t)s->segment->first + id, word = first / 64,
                   n_words = ((uint64_t)s->allowed->n + 63) / 64;
    const unsigned shift = first % 64;
    uint64_t bits = word < n_words ? s->allowed->words[word] >> shift : 0;
    if (shift > 0 && word + 1 < n_words)
        bits |= s->allowed->words[word + 1] << (64 - shift);
    return bits;
}

/* Chunks of the window that are allowed and whose sums are more than `need`. There are no sums past its end. */
static size_t collect(search *s, uint32_t begin, uint32_t end, uint32_t need)
{
    size_t n = 0;
    for (uint32_t i = 0; i < end - begin; i += 64) {
        uint64_t found = 0;
        for (uint32_t j = 0; j < 64; j += GROUP)
            found |= (uint64_t)mask_above(s->sums + i + j, need) << j;
        if (found == 0)
            continue;
        for (found &= allowed_from(s, begin + i); found != 0; found &= found - 1) {
            const uint32_t at = i + (uint32_t)__builtin_ctzll(found);
            s->candidates[n++] = (candidate){begin + at, s->sums[at]};
        }
    }
    return n;
}

static size_t collect_allowed(search *s, uint32_t begin, uint32_t end)
{
    size_t n = 0;
    for (uint32_t id = begin; id < end; id++)
        if (hd__bitmap_has(s->allowed, s->segment->first + id))
            s->candidates[n++] = (candidate){id, 0};
    return n;
}

static bool is_worse(candidate a, candidate b)
{
    return a.units < b.units || (a.units == b.units && a.id > b.id);
}

static void keep(search *s, candidate c)
{
    size_t at;
    if (s->n_best < s->k) {
        for (at = s->n_best++; at > 0 && is_worse(c, s->best[(at - 1) / 2]); at = (at - 1) / 2)
            s->best[at] = s->best[(at - 1) / 2];
    } else {
        for (at = 0;;) {
            size_t child = 2 * at + 1;
            if (child + 1 < s->k && is_worse(s->best[child + 1], s->best[child]))
                child++;
            if (child >= s->k || !is_worse(s->best[child], c))
                break;
            s->best[at] = s->best[child];
            at = child;
        }
    }
    s->best[at] = c;
    if (s->n_best == s->k)
        s->threshold = s->best[0].units;
}

/* Completes the candidates by the first n of the cursors in their order, and keeps the best. */
static hd_status complete(search *s, size_t n_candidates, size_t n_cursors, hd_error *err)
{
    for (size_t i = n_cursors; i-- > 0 && n_candidates > 0;)
        HD_TRY(look_up(s, s->order[i], s->below[i], &n_candidates, err));
    for (size_t j = 0; j < n_candidates; j++)
        if (s->candidates[j].units > s->threshold)
            keep(s, (candidate){s->segment->first + s->candidates[j].id, s->candidates[j].units});
    return HD_OK;
}

static uint32_t count_allowed(const search *s, uint32_t begin, uint32_t end)
{
    const uint64_t first = (uint64_t)s->segment->first + begin, last = (uint64_t)s->segment->first + end - 1;
    uint32_t n = 0;
    for (uint64_t word = first / 64; word <= last / 64 && word * 64 < s->allowed->n; word++)
        n += (uint32_t)__builtin_popcountll(s->allowed->words[word]);
    return n; /* with neighbours in the first and last word: an estimate */
}

static hd_status search_window(search *s, uint32_t begin, uint32_t end, hd_error *err)
{
    const uint32_t n_allowed = count_allowed(s, begin, end);
    if (n_allowed == 0)
        return HD_OK;
    for (size_t i = 0; i < s->n_cursors; i++)
        enter_window(s, &s->cursors[i], begin, end);
    const size_t n_not_essential = order_by_bounds(s);
    if (n_not_essential == s->n_cursors)
        return HD_OK;
    if (n_allowed <= (end - begin) / 64) {
        const size_t n = collect_allowed(s, begin, end);
        return complete(s, n, s->n_cursors, err);
    }
    memset(s->sums, 0, WINDOW * sizeof *s->sums);
    for (size_t i = n_not_essential; i < s->n_cursors; i++)
        HD_TRY(add_postings(s, s->order[i], begin, end, err));
    const uint32_t rest = s->below[n_not_essential];
    const size_t n = collect(s, begin, end, s->threshold > rest ? s->threshold - rest : 0);
    return complete(s, n, n_not_essential, err);
}

/* ---- the outside -------------------------------------------------------------------------------- */

static int compare_best(const void *a, const void *b)
{
    return is_worse(*(const candidate *)a, *(const candidate *)b) ? 1 : -1;
}

static hd_status allocate(search *s, hd_error *err)
{
    char *base = NULL;
    for (int pass = 0; pass < 2; pass++) { /* counts, then lays out */
        size_t bytes = 0;
        s->sums = hd__carve(base, &bytes, WINDOW * sizeof *s->sums);
        s->candidates = hd__carve(base, &bytes, WINDOW * sizeof *s->candidates);
        s->weights = hd__carve(base, &bytes, s->n_terms * sizeof *s->weights);
        s->entries = hd__carve(base, &bytes, hd__mul(s->n_terms * s->n_segments, sizeof *s->entries));
        s->cursors = hd__carve(base, &bytes, s->n_terms * sizeof *s->cursors);
        s->order = hd__carve(base, &bytes, s->n_terms * sizeof *s->order);
        s->below = hd__carve(base, &bytes, (s->n_terms + 1) * sizeof *s->below);
        s->best = hd__carve(base, &bytes, hd__mul(s->k, sizeof *s->best));
        if (pass == 0 && (base = hd__malloc_aligned(bytes)) == NULL)
            return hd__fail(err, HD_ERR_MEMORY, "no memory for a search by %zu terms for %zu chunks", s->n_terms, s->k);
    }
    return HD_OK;
}

hd_status hd__postings_rank(hd_view_reader *reader, hd_segment_kind kind, const hd_search_term *terms, size_t n_terms,
                            size_t k, const hd_bitmap *allowed, hd_ranked *out, size_t *n, hd_error *err)
{
    const hd_view *view = reader->view;
    search s = {.reader = reader, .kind = kind, .terms = terms, .n_terms = n_terms, .allowed = allowed};
    s.k = k < allowed->n_set ? k : allowed->n_set;
    s.segments = view->segments[kind];
    s.n_segments = view->n_segments[kind];
    *n = 0;
    if (s.k == 0 || n_terms == 0 || s.n_segments == 0)
        return HD_OK;
    const double mean = view->n_counted > 0 && view->sum_length > 0 ? (double)view->sum_length / (double)view->n_counted : 1;
    s.norm = (float)(HD_BM25_K1 * (1 - HD_BM25_B));
    s.norm_per_word = (float)(HD_BM25_K1 * HD_BM25_B / mean);
    hd_status status = HD_OK;
    double unit;
    HD_TRY(allocate(&s, err));
    HD_TRY_OUT(find_terms(&s, &unit, err));
    for (size_t i = 0; i < s.n_segments && unit > 0; i++) {
        HD_TRY_OUT(open_segment(&s, i, err));
        for (uint32_t begin = 0; begin < s.segment->n_chunks && s.n_cursors > 0;) {
            const uint32_t left = s.segment->n_chunks - begin, end = begin + (left < WINDOW ? left : WINDOW);
            HD_TRY_OUT(search_window(&s, begin, end, err));
            begin = end;
        }
    }
    qsort(s.best, s.n_best, sizeof *s.best, compare_best);
    for (size_t i = 0; i < s.n_best; i++)
        out[i] = (hd_ranked){s.best[i].id, (float)(s.best[i].units * unit)};
    *n = s.n_best;
out:
    hd__free(s.sums); /* the first of all */
    return status;
}
