/* bpe.c - see bpe.h. */
#include "token/bpe.h"

#include <assert.h>

#include "base/alloc.h"
#include "base/limits.h"
#include "base/utf8.h"

enum { FIRST_SLOTS = 1024 };

#define REMOVED UINT32_MAX /* the id of a symbol that another one has taken in */
#define NONE UINT32_MAX    /* no neighbour */

static_assert(HD_LIMIT_TEXT_BYTES < NONE, "a symbol's place is 32 bits");

/* ---- merges ---- */

/* The slot of a pair, or the free one where it belongs. */
static inline hd_bpe_merge *slot_of(const hd_bpe *bpe, uint32_t left, uint32_t right)
{
    uint64_t hash = ((uint64_t)left << 32 | right) * 0x9E3779B97F4A7C15u; /* the golden ratio: Knuth, vol. 3, 6.4 */
    for (uint32_t at = (uint32_t)(hash >> 32) & bpe->slot_mask;; at = (at + 1) & bpe->slot_mask) {
        hd_bpe_merge *slot = &bpe->slots[at];
        if ((slot->left == left && slot->right == right) || slot->rank == HD_BPE_NO_RANK)
            return slot;
    }
}

static hd_status resize(hd_bpe *bpe, uint32_t n_slots, hd_error *err)
{
    hd_bpe old = *bpe;
    bpe->slots = hd__malloc(hd__mul(n_slots, sizeof *bpe->slots));
    if (bpe->slots == NULL) {
        *bpe = old;
        return hd__fail(err, HD_ERR_MEMORY, "no memory for %u merges", n_slots / 2);
    }
    bpe->slot_mask = n_slots - 1;
    for (uint32_t i = 0; i < n_slots; i++)
        bpe->slots[i] = (hd_bpe_merge){.left = NONE, .right = NONE, .rank = HD_BPE_NO_RANK};
    for (uint32_t i = 0; old.slots != NULL && i <= old.slot_mask; i++)
        if (old.slots[i].rank != HD_BPE_NO_RANK)
            *slot_of(bpe, old.slots[i].left, old.slots[i].right) = old.slots[i];
    hd__free(old.slots);
    return HD_OK;
}

static void find_bytes(hd_bpe *bpe)
{
    for (unsigned byte = 0; byte < 256; byte++) {
        static const char digits[] = "0123456789ABCDEF";
        char text[6 + HD_VOCAB_PADDING] = {'<', '0', 'x', digits[byte >> 4], digits[byte & 15], '>'};
        bpe->byte_id[byte] = hd__vocab_find(bpe->vocab, hd__span(text, 6), HD_PIECE_FIRST);
    }
}

static hd_status find_unknown(hd_bpe *bpe, hd_span token, const char *file, hd_error *err)
{
    char text[HD_LIMIT_TOKEN_BYTES + HD_VOCAB_PADDING] = {0};
    bpe->unk_id = -1;
    if (token.ptr == NULL)
        return HD_OK;
    if (token.len > HD_LIMIT_TOKEN_BYTES)
        return hd__fail(err, HD_ERR_LIMIT, "%s: \"unk_token\" has %zu bytes, the limit is %u", file, token.len,
                        HD_LIMIT_TOKEN_BYTES);
    memcpy(text, token.ptr, token.len);
    bpe->unk_id = hd__vocab_find(bpe->vocab, hd__span(text, token.len), HD_PIECE_FIRST);
    if (bpe->unk_id < 0)
        return hd__fail(err, HD_ERR_FORMAT, "%s: the unknown token \"%.64s\" is not in the vocabulary of %u", file, text,
                        bpe->vocab->n_tokens);
    return HD_OK;
}

hd_status hd__bpe_begin(hd_bpe *bpe, const hd_vocab *vocab, hd_span unk_token, const char *file, hd_error *err)
{
    uint32_t n_slots = FIRST_SLOTS;
    while (n_slots < vocab->n_tokens) /* most tokens are made by a merge */
        n_slots *= 2;
    assert(bpe->prefix.len <= HD_BPE_AFFIX_BYTES && bpe->suffix.len <= HD_BPE_AFFIX_BYTES);
    bpe->vocab = vocab;
    find_bytes(bpe);
    HD_TRY(find_unknown(bpe, unk_token, file, err));
    return bpe->slots != NULL ? HD_OK : resize(bpe, 2 * n_slots, err);
}

void hd__bpe_clear(hd_bpe *bpe)
{
    hd__free(bpe->slots);
    bpe->slots = NULL;
}

bool hd__bpe_view(hd_bpe *bpe, hd_span slots, uint32_t n_ids)
{
    const size_t n = slots.len / sizeof *bpe->slots;
    size_t n_free = 0;
    if (n == 0 || n > UINT32_MAX || (n & (n - 1)) != 0)
        return false;
    bpe->slots = (hd_bpe_merge *)(void *)slots.ptr;
    bpe->slot_mask = (uint32_t)n - 1;
    for (size_t i = 0; i < n; i++) {
        const bool is_free = bpe->slots[i].rank == HD_BPE_NO_RANK;
        if (!is_free && bpe->slots[i].id >= n_ids)
            return false;
        n_free += is_free;
    }
    return n_free > 0; /* where a search ends that finds nothing */
}

/* Merges mostly make token after token: the next id is looked at first. */
static int32_t find_made(const hd_bpe *bpe, hd_span text, uint32_t guess)
{
    return hd__span_equal(hd__vocab_text(bpe->vocab, guess), text) ? (int32_t)guess
                                                                   : hd__vocab_find(bpe->vocab, text, HD_PIECE_FIRST);
}

hd_status hd__bpe_add_merge(hd_bpe *bpe, hd_span left, hd_span right, const char *file, hd_error *err)
{
    char text[3 * HD_LIMIT_TOKEN_BYTES + HD_VOCAB_PADDING]; /* left and what right adds to it, then right */
    if (left.len > HD_LIMIT_TOKEN_BYTES || right.len > HD_LIMIT_TOKEN_BYTES)
        return hd__fail(err, HD_ERR_LIMIT, "%s: merge %u has a piece of %zu bytes, the limit is %u", file, bpe->n_merges,
                        left.len > right.len ? left.len : right.len, HD_LIMIT_TOKEN_BYTES);
    if (right.len <= bpe->prefix.len)
        return hd__fail(err, HD_ERR_FORMAT, "%s: merge %u: the right piece \"%.*s\" adds nothing", file, bpe->n_merges,
                        (int)right.len, right.ptr);
    if (bpe->n_merges == HD_LIMIT_VOCAB)
        return hd__fail(err, HD_ERR_LIMIT, "%s: more than %u merges", file, HD_LIMIT_VOCAB);
    const hd_span tail = hd__span(right.ptr + bpe->prefix.len, right.len - bpe->prefix.len);
    const hd_span made = hd__span(text, left.len + tail.len);
    if (left.len > 0)
        memcpy(text, left.ptr, left.len);
    memcpy(text + left.len, tail.ptr, tail.len);
    memcpy(text + made.len, right.ptr, right.len);
    memset(text + made.len + right.len, 0, HD_VOCAB_PADDING);
    const int32_t left_id = hd__vocab_find(bpe->vocab, hd__span(text, left.len), HD_PIECE_FIRST);
    const int32_t right_id = hd__vocab_find(bpe->vocab, hd__span(text + made.len, right.len), HD_PIECE_FIRST);
    const int32_t made_id = find_made(bpe, made, bpe->last_made + 1);
    if (left_id < 0 || right_id < 0 || made_id < 0) {
        const hd_span missing = left_id < 0 ? left : right_id < 0 ? right : made;
        return hd__fail(err, HD_ERR_FORMAT, "%s: merge %u: \"%.*s\" is not in the vocabulary", file, bpe->n_merges,
                        (int)(missing.len < 64 ? missing.len : 64), missing.ptr);
    }
    if (2 * (uint64_t)bpe->n_merges > bpe->slot_mask)
        HD_TRY(resize(bpe, 2 * (bpe->slot_mask + 1), err));
    *slot_of(bpe, (uint32_t)left_id, (uint32_t)right_id) =
        (hd_bpe_merge){(uint32_t)left_id, (uint32_t)right_id, bpe->n_merges++, (uint32_t)made_id};
    bpe->last_made = (uint32_t)made_id;
    return HD_OK;
}

/* ---- memory ---- */

void hd__bpe_work_clear(hd_bpe_work *work)
{
    hd__free(work->symbols);
    hd__free(work->heap);
    *work = (hd_bpe_work){0};
}

hd_status hd__bpe_reserve(hd_bpe_work *work, size_t n, hd_error *err)
{
    if (n <= work->capacity)
        return HD_OK;
    size_t capacity = n < 64 ? 64 : hd__add(n, n / 2);
    hd_bpe_symbol *symbols = hd__realloc(work->symbols, hd__mul(capacity, sizeof *symbols));
    if (symbols == NULL)
        return hd__fail(err, HD_ERR_MEMORY, "no memory for a word of %zu symbols", n);
    work->symbols = symbols;
    work->capacity = capacity;
    return HD_OK;
}

/* Every merge takes one entry out and puts two in at most: 2n are enough for n symbols. */
static hd_status reserve_heap(hd_bpe_work *work, hd_error *err)
{
    if (2 * work->n <= work->heap_capacity)
        return HD_OK;
    hd__free(work->heap);
    work->heap_capacity = 0;
    work->heap = hd__malloc(hd__mul(2 * work->n, sizeof *work->heap));
    if (work->heap == NULL)
        return hd__fail(err, HD_ERR_MEMORY, "no memory for a word of %zu symbols", work->n);
    work->heap_capacity = 2 * work->n;
    return HD_OK;
}

/* ---- joining few ---- */

typedef struct short_word {
    const hd_bpe *bpe;
    uint32_t *ids;
    uint32_t ranks[HD_BPE_SHORT]; /* of each symbol and the next */
    uint32_t made[HD_BPE_SHORT];
} short_word;

static inline void rank_pair(short_word *w, size_t i)
{
    const hd_bpe_merge *merge = slot_of(w->bpe, w->ids[i], w->ids[i + 1]);
    w->ranks[i] = merge->rank;
    w->made[i] = merge->id;
}

size_t hd__bpe_merge_short(const hd_bpe *bpe, uint32_t *ids, uint32_t *lens, size_t n)
{
    short_word w;
    w.bpe = bpe;
    w.ids = ids;
    for (size_t i = 0; i + 1 < n; i++)
        rank_pair(&w, i);
    while (n > 1) {
        size_t best = 0;
        for (size_t i = 1; i + 1 < n; i++)
            best = w.ranks[i] < w.ranks[best] ? i : best;
        if (w.ranks[best] == HD_BPE_NO_RANK)
            break;
        n--;
        ids[best] = w.made[best];
        if (lens != NULL)
            lens[best] += lens[best + 1];
        for (size_t i = best + 1; i < n; i++) {
            ids[i] = ids[i + 1];
            w.ranks[i - 1] = w.ranks[i];
            w.made[i - 1] = w.made[i];
            if (lens != NULL)
                lens[i] = lens[i + 1];
        }
        if (best > 0)
            rank_pair(&w, best - 1);
        if (best + 1 < n)
            rank_pair(&w, best);
    }
    return n;
}

/* ---- joining many ---- */

/* An entry is a merge's rank and the place of the left one of its symbols: the least comes first. */
static void sift_down(uint64_t *heap, size_t n, size_t at)
{
    uint64_t moving = heap[at];
    for (size_t child; (child = 2 * at + 1) < n; at = child) {
        child += child + 1 < n && heap[child + 1] < heap[child];
        if (heap[child] >= moving)
            break;
        heap[at] = heap[child];
    }
    heap[at] = moving;
}

static void push(uint64_t *heap, size_t *n, uint64_t entry)
{
    size_t at = (*n)++;
    for (; at > 0 && heap[(at - 1) / 2] > entry; at = (at - 1) / 2)
        heap[at] = heap[(at - 1) / 2];
    heap[at] = entry;
}

static void push_pair(const hd_bpe *bpe, hd_bpe_work *work, size_t *n_heap, uint32_t left, uint32_t right)
{
    const hd_bpe_merge *merge = slot_of(bpe, work->symbols[left].id, work->symbols[right].id);
    if (merge->rank != HD_BPE_NO_RANK)
        push(work->heap, n_heap, (uint64_t)merge->rank << 32 | left);
}

/* Joins symbol `at` and its next, if the entry that says so still holds: a pair has one rank, and a rank one pair. */
static void join(const hd_bpe *bpe, hd_bpe_work *work, size_t *n_heap, uint64_t entry)
{
    hd_bpe_symbol *symbols = work->symbols, *left = &symbols[(uint32_t)entry];
    const uint32_t at = (uint32_t)entry;
    if (left->id == REMOVED || left->next == NONE)
        return;
    hd_bpe_symbol *right = &symbols[left->next];
    const hd_bpe_merge *merge = slot_of(bpe, left->id, right->id);
    if (merge->rank != (uint32_t)(entry >> 32))
        return;
    left->id = merge->id;
    left->n_bytes += right->n_bytes;
    left->next = right->next;
    right->id = REMOVED;
    if (left->next != NONE)
        symbols[left->next].previous = at;
    if (left->previous != NONE)
        push_pair(bpe, work, n_heap, left->previous, at);
    if (left->next != NONE)
        push_pair(bpe, work, n_heap, at, left->next);
}

static hd_status merge_long(const hd_bpe *bpe, hd_bpe_work *work, hd_error *err)
{
    HD_TRY(reserve_heap(work, err));
    size_t n_heap = 0, kept = 0;
    for (size_t i = 0; i < work->n; i++) {
        work->symbols[i].previous = i > 0 ? (uint32_t)(i - 1) : NONE;
        work->symbols[i].next = i + 1 < work->n ? (uint32_t)(i + 1) : NONE;
        if (i + 1 < work->n) {
            const hd_bpe_merge *merge = slot_of(bpe, work->symbols[i].id, work->symbols[i + 1].id);
            if (merge->rank != HD_BPE_NO_RANK)
                work->heap[n_heap++] = (uint64_t)merge->rank << 32 | i;
        }
    }
    for (size_t i = n_heap / 2; i-- > 0;)
        sift_down(work->heap, n_heap, i);
    while (n_heap > 0) {
        uint64_t least = work->heap[0];
        work->heap[0] = work->heap[--n_heap];
        if (n_heap > 0)
            sift_down(work->heap, n_heap, 0);
        join(bpe, work, &n_heap, least);
    }
    for (size_t i = 0; i < work->n; i++)
        if (work->symbols[i].id != REMOVED)
            work->symbols[kept++] = work->symbols[i];
    work->n = kept;
    return HD_OK;
}

hd_status hd__bpe_merge(const hd_bpe *bpe, hd_bpe_work *work, hd_error *err)
{
    uint32_t ids[HD_BPE_SHORT], lens[HD_BPE_SHORT];
    if (work->n > HD_BPE_SHORT)
        return merge_long(bpe, work, err);
    for (size_t i = 0; i < work->n; i++) {
        ids[i] = work->symbols[i].id;
        lens[i] = work->symbols[i].n_bytes;
    }
    work->n = hd__bpe_merge_short(bpe, ids, lens, work->n);
    for (size_t i = 0; i < work->n; i++)
        work->symbols[i] = (hd_bpe_symbol){.id = ids[i], .n_bytes = lens[i]};
    return HD_OK;
}

/* ---- a word ---- */

static hd_status add_symbol(hd_bpe_work *work, int32_t id, size_t n_bytes, hd_error *err)
{
    HD_TRY(hd__bpe_reserve(work, work->n + 1, err));
    work->symbols[work->n++] = (hd_bpe_symbol){.id = (uint32_t)id, .n_bytes = (uint32_t)n_bytes};
    return HD_OK;
}

static bool has_bytes(const hd_bpe *bpe, hd_span text)
{
    for (size_t i = 0; i < text.len; i++)
        if (bpe->byte_id[(unsigned char)text.ptr[i]] < 0)
            return false;
    return true;
}

/* A character with prefix and suffix as it has them; unknown ones wait in *unknown_bytes, so that they may become one. */
static hd_status add_character(const hd_bpe *bpe, hd_span text, size_t n_bytes, hd_bpe_work *work, size_t *unknown_bytes,
                               hd_error *err)
{
    int32_t id = hd__vocab_find(bpe->vocab, text, HD_PIECE_FIRST);
    if (id < 0 && bpe->byte_fallback && has_bytes(bpe, text)) {
        for (size_t i = 0; i < text.len; i++)
            HD_TRY(add_symbol(work, bpe->byte_id[(unsigned char)text.ptr[i]], 1, err));
        return HD_OK;
    }
    if (id < 0 && bpe->unk_id < 0)
        return HD_OK;
    if (*unknown_bytes > 0 && (id >= 0 || !bpe->fuse_unk)) {
        HD_TRY(add_symbol(work, bpe->unk_id, *unknown_bytes, err));
        *unknown_bytes = 0;
    }
    if (id >= 0)
        return add_symbol(work, id, n_bytes, err);
    *unknown_bytes += n_bytes;
    return HD_OK;
}

hd_status hd__bpe_encode(const hd_bpe *bpe, hd_span word, hd_bpe_work *work, hd_error *err)
{
    char text[2 * HD_BPE_AFFIX_BYTES + 4 + HD_VOCAB_PADDING] = {0};
    size_t unknown_bytes = 0;
    work->n = 0;
    int32_t whole = bpe->ignore_merges ? hd__vocab_find(bpe->vocab, word, HD_PIECE_FIRST) : -1;
    if (whole >= 0)
        return add_symbol(work, whole, word.len, err);
    for (size_t at = 0, len; at < word.len; at += len) {
        bool valid;
        hd__utf8_decode(word, at, &len, &valid);
        size_t n = at > 0 ? bpe->prefix.len : 0, n_suffix = at + len == word.len ? bpe->suffix.len : 0;
        if (n > 0)
            memcpy(text, bpe->prefix.ptr, n);
        memcpy(text + n, word.ptr + at, len);
        if (n_suffix > 0)
            memcpy(text + n + len, bpe->suffix.ptr, n_suffix);
        HD_TRY(add_character(bpe, hd__span(text, n + len + n_suffix), len, work, &unknown_bytes, err));
    }
    if (unknown_bytes > 0)
        HD_TRY(add_symbol(work, bpe->unk_id, unknown_bytes, err));
    return hd__bpe_merge(bpe, work, err);
}
