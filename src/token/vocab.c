/* vocab.c - see vocab.h. */
#include "token/vocab.h"

#include <assert.h>

#include "base/alloc.h"
#include "base/limits.h"

enum { RECORD_ALIGN = 4, RECORD_HEADER = 6 };
enum { PLACE_BITS = 24, KIND_SHIFT = 24, TAG_SHIFT = 25 }; /* of a slot */

static_assert(HD_LIMIT_VOCAB_BYTES / RECORD_ALIGN <= 1u << PLACE_BITS, "a slot holds every record's place");
static_assert(HD_LIMIT_TOKEN_BYTES <= UINT16_MAX, "a record holds every token's length");

__extension__ typedef unsigned __int128 u128;

static const uint64_t byte_mask[9] = {
    0, 0xFF, 0xFFFF, 0xFFFFFF, 0xFFFFFFFF, 0xFFFFFFFFFF, 0xFFFFFFFFFFFF, 0xFFFFFFFFFFFFFF, UINT64_MAX,
};

static inline uint64_t load64(const char *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

static inline uint64_t fold(uint64_t a, uint64_t b)
{
    u128 product = (u128)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* One multiplication for what almost every piece is: up to 16 bytes. Constants: digits of pi. */
static inline uint64_t piece_hash(const char *p, size_t n, hd_piece_kind kind)
{
    uint64_t seed = 0x243F6A8885A308D3u + (uint64_t)kind * 0x13198A2E03707344u + n;
    while (n > 16) {
        seed = fold(load64(p) ^ seed, load64(p + 8) ^ 0xA4093822299F31D0u);
        p += 16;
        n -= 16;
    }
    uint64_t a = load64(p) & byte_mask[n < 8 ? n : 8];
    uint64_t b = load64(p + 8) & byte_mask[n < 8 ? 0 : n - 8];
    return fold(a ^ seed, b ^ 0x082EFA98EC4E6C89u);
}

static inline const char *record_at(const hd_vocab *vocab, uint32_t place)
{
    return vocab->records.ptr + (size_t)place * RECORD_ALIGN;
}

static inline uint32_t record_id(const char *record)
{
    uint32_t id;
    memcpy(&id, record, sizeof id);
    return id;
}

static inline hd_span record_text(const char *record)
{
    uint16_t len;
    memcpy(&len, record + 4, sizeof len);
    return hd__span(record + RECORD_HEADER, len);
}

void hd__vocab_init(hd_vocab *vocab)
{
    *vocab = (hd_vocab){0};
    hd__buffer_init(&vocab->records);
}

void hd__vocab_clear(hd_vocab *vocab)
{
    hd__buffer_clear(&vocab->records);
    hd__free(vocab->slots);
    hd__free(vocab->place_of);
    hd__vocab_init(vocab);
}

hd_status hd__vocab_add(hd_vocab *vocab, hd_span text, uint64_t id, const char *file, hd_error *err)
{
    if (id >= HD_LIMIT_VOCAB)
        return hd__fail(err, HD_ERR_LIMIT, "%s: token id %llu is over the limit of %u", file, (unsigned long long)id,
                        HD_LIMIT_VOCAB - 1);
    if (text.len > HD_LIMIT_TOKEN_BYTES)
        return hd__fail(err, HD_ERR_LIMIT, "%s: token %llu has %zu bytes, the limit is %u", file, (unsigned long long)id,
                        text.len, HD_LIMIT_TOKEN_BYTES);
    if (vocab->n_records >= HD_LIMIT_VOCAB || vocab->records.len > HD_LIMIT_VOCAB_BYTES - 2 * HD_LIMIT_TOKEN_BYTES)
        return hd__fail(err, HD_ERR_LIMIT, "%s: the vocabulary has more than %u tokens or %u bytes", file, HD_LIMIT_VOCAB,
                        HD_LIMIT_VOCAB_BYTES);
    if (vocab->records.len == 0) /* so that no record is at place 0 */
        hd__buffer_append(&vocab->records, "\0\0\0", RECORD_ALIGN);
    size_t bytes = hd__round_up(RECORD_HEADER + text.len + 1, RECORD_ALIGN);
    char *record = hd__buffer_reserve(&vocab->records, bytes);
    if (record == NULL)
        return hd__fail(err, HD_ERR_MEMORY, "%s: no memory for the vocabulary", file);
    uint32_t id32 = (uint32_t)id;
    uint16_t len = (uint16_t)text.len;
    memcpy(record, &id32, sizeof id32);
    memcpy(record + 4, &len, sizeof len);
    if (text.len > 0)
        memcpy(record + RECORD_HEADER, text.ptr, text.len);
    memset(record + RECORD_HEADER + text.len, 0, bytes - RECORD_HEADER - text.len);
    vocab->records.len += bytes;
    vocab->n_records++;
    if (id32 >= vocab->n_ids)
        vocab->n_ids = id32 + 1;
    return HD_OK;
}

/* The slot of these bytes, or the free one where they belong. */
static inline uint32_t slot_of(const hd_vocab *vocab, hd_span text, hd_piece_kind kind, uint64_t hash)
{
    uint32_t wanted = (uint32_t)(hash >> 57) << 1 | (uint32_t)kind;
    for (uint32_t at = (uint32_t)hash & vocab->slot_mask;; at = (at + 1) & vocab->slot_mask) {
        uint32_t slot = vocab->slots[at];
        if (slot == 0)
            return at;
        if (slot >> KIND_SHIFT != wanted)
            continue;
        hd_span found = record_text(record_at(vocab, slot & ((1u << PLACE_BITS) - 1)));
        size_t skipped = found.len - text.len; /* the prefix, when the rest is equal */
        if (found.len < text.len || (kind == HD_PIECE_FIRST && skipped != 0) ||
            (kind == HD_PIECE_NEXT && skipped != vocab->prefix_len))
            continue;
        if (memcmp(found.ptr + skipped, text.ptr, text.len) == 0)
            return at;
    }
}

/* Says whether these bytes were new. */
static bool insert(hd_vocab *vocab, hd_span text, hd_piece_kind kind, uint32_t place)
{
    uint64_t hash = piece_hash(text.ptr, text.len, kind);
    uint32_t at = slot_of(vocab, text, kind, hash);
    bool is_new = vocab->slots[at] == 0;
    vocab->slots[at] = (uint32_t)(hash >> 57) << TAG_SHIFT | (uint32_t)kind << KIND_SHIFT | place;
    if (text.len < 64 && text.len > 0)
        vocab->lengths[kind][(unsigned char)text.ptr[0]] |= 1ull << text.len;
    if (text.len > vocab->longest[kind])
        vocab->longest[kind] = (uint32_t)text.len;
    return is_new;
}

hd_status hd__vocab_index(hd_vocab *vocab, hd_error *err)
{
    size_t records_end = vocab->records.len;
    if (vocab->place_of != NULL)
        return HD_OK;
    vocab->place_of = hd__calloc((size_t)vocab->n_ids + 1, sizeof *vocab->place_of);
    char *padding = hd__buffer_reserve(&vocab->records, HD_VOCAB_PADDING);
    if (vocab->place_of == NULL || padding == NULL)
        return hd__fail(err, HD_ERR_MEMORY, "no memory for a vocabulary of %u tokens", vocab->n_records);
    memset(padding, 0, HD_VOCAB_PADDING);
    for (size_t at = RECORD_ALIGN; at < records_end;) {
        const char *record = vocab->records.ptr + at;
        vocab->place_of[record_id(record)] = (uint32_t)(at / RECORD_ALIGN);
        at += hd__round_up(RECORD_HEADER + record_text(record).len + 1, RECORD_ALIGN);
    }
    return HD_OK;
}

hd_status hd__vocab_build(hd_vocab *vocab, hd_span prefix, hd_error *err)
{
    uint32_t n_slots = 64;
    if (vocab->slots != NULL)
        return HD_OK;
    while (n_slots < 3 * (uint64_t)vocab->n_records) /* two keys of a record: at most 2/3 full, in practice under 1/2 */
        n_slots *= 2;
    HD_TRY(hd__vocab_index(vocab, err));
    vocab->slots = hd__calloc(n_slots, sizeof *vocab->slots);
    if (vocab->slots == NULL)
        return hd__fail(err, HD_ERR_MEMORY, "no memory for a vocabulary of %u tokens", vocab->n_records);
    vocab->slot_mask = n_slots - 1;
    vocab->prefix_len = (uint32_t)prefix.len;
    for (size_t at = RECORD_ALIGN; at < vocab->records.len;) {
        hd_span text = record_text(vocab->records.ptr + at);
        uint32_t place = (uint32_t)(at / RECORD_ALIGN);
        vocab->n_tokens += insert(vocab, text, HD_PIECE_FIRST, place);
        if (prefix.ptr != NULL && text.len > prefix.len && memcmp(text.ptr, prefix.ptr, prefix.len) == 0)
            insert(vocab, hd__span(text.ptr + prefix.len, text.len - prefix.len), HD_PIECE_NEXT, place);
        at += hd__round_up(RECORD_HEADER + text.len + 1, RECORD_ALIGN);
    }
    return HD_OK;
}

/* Whether the record of an id lies at a place, with its NUL. */
static bool holds_record(const hd_vocab *vocab, uint32_t place)
{
    const size_t at = (size_t)place * RECORD_ALIGN, end = vocab->records.len;
    if (place == 0 || at >= end || end - at <= RECORD_HEADER)
        return false;
    const hd_span text = record_text(vocab->records.ptr + at);
    return text.len < end - at - RECORD_HEADER && text.ptr[text.len] == '\0' &&
           record_id(vocab->records.ptr + at) < vocab->n_ids;
}

/* A search that finds nothing ends at a free slot. */
static bool check_slots(const hd_vocab *vocab, size_t n)
{
    size_t n_free = 0;
    for (size_t i = 0; i < n; i++) {
        if (vocab->slots[i] != 0 && !holds_record(vocab, vocab->slots[i] & ((1u << PLACE_BITS) - 1)))
            return false;
        n_free += vocab->slots[i] == 0;
    }
    return n_free > 0 && (n & (n - 1)) == 0;
}

bool hd__vocab_view(hd_vocab *vocab, hd_span records, hd_span places, hd_span slots)
{
    const size_t n_ids = places.len / sizeof *vocab->place_of, n_slots = slots.len / sizeof *vocab->slots;
    if (records.len < HD_VOCAB_PADDING || records.len > HD_LIMIT_VOCAB_BYTES + HD_VOCAB_PADDING || n_ids == 0 ||
        n_ids > HD_LIMIT_VOCAB || n_slots > UINT32_MAX)
        return false;
    vocab->records = (hd_buffer){.ptr = (char *)records.ptr, .len = records.len - HD_VOCAB_PADDING};
    vocab->place_of = (uint32_t *)(void *)places.ptr;
    vocab->n_ids = (uint32_t)n_ids;
    for (uint32_t id = 0; id < n_ids; id++)
        if (vocab->place_of[id] != 0 && !holds_record(vocab, vocab->place_of[id]))
            return false;
    if (n_slots == 0)
        return true;
    vocab->slots = (uint32_t *)(void *)slots.ptr;
    vocab->slot_mask = (uint32_t)n_slots - 1;
    return check_slots(vocab, n_slots);
}

int32_t hd__vocab_find(const hd_vocab *vocab, hd_span text, hd_piece_kind kind)
{
    uint32_t slot = vocab->slots[slot_of(vocab, text, kind, piece_hash(text.ptr, text.len, kind))];
    return slot == 0 ? -1 : (int32_t)record_id(record_at(vocab, slot & ((1u << PLACE_BITS) - 1)));
}

int32_t hd__vocab_find_longest(const hd_vocab *vocab, hd_span text, hd_piece_kind kind, size_t *len)
{
    size_t longest = text.len < vocab->longest[kind] ? text.len : vocab->longest[kind];
    for (size_t n = longest; n >= 64; n--) {
        int32_t id = hd__vocab_find(vocab, hd__span(text.ptr, n), kind);
        if (id >= 0) {
            *len = n;
            return id;
        }
    }
    uint64_t lengths = vocab->lengths[kind][(unsigned char)text.ptr[0]];
    if (longest < 63)
        lengths &= (2ull << longest) - 1;
    while (lengths != 0) {
        size_t n = 63 - (size_t)__builtin_clzll(lengths);
        lengths ^= 1ull << n;
        int32_t id = hd__vocab_find(vocab, hd__span(text.ptr, n), kind);
        if (id >= 0) {
            *len = n;
            return id;
        }
    }
    return -1;
}

hd_span hd__vocab_text(const hd_vocab *vocab, uint32_t id)
{
    if (id >= vocab->n_ids || vocab->place_of[id] == 0)
        return hd__span("", 0);
    return record_text(record_at(vocab, vocab->place_of[id]));
}
