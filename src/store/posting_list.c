/* posting_list.c - see posting_list.h. */
#include "store/posting_list.h"

enum { COLUMNS = 4, ROWS = HD_POSTING_BLOCK / COLUMNS, MAX_BITS = 32, MAX_PAYLOAD = UINT16_MAX };

/* ---- varints ------------------------------------------------------------------------------------ */

void hd__varint_append(hd_buffer *out, uint64_t value)
{
    for (; value >= 0x80; value >>= 7)
        hd__buffer_append_char(out, (char)(value | 0x80));
    hd__buffer_append_char(out, (char)value);
}

uint64_t hd__varint_read(hd_cursor *cursor)
{
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        const uint8_t byte = hd__cursor_u8(cursor);
        value |= (uint64_t)(byte & 0x7F) << shift;
        if (byte < 0x80)
            return value;
    }
    cursor->failed = true;
    return 0;
}

/* ---- numbers of equal width --------------------------------------------------------------------- */

static unsigned bits_of(uint32_t value)
{
    return value == 0 ? 0 : 32 - (unsigned)__builtin_clz(value);
}

static void pack(hd_buffer *out, const uint32_t numbers[HD_POSTING_BLOCK], unsigned bits)
{
    uint32_t words[MAX_BITS * COLUMNS] = {0};
    for (unsigned i = 0; i < HD_POSTING_BLOCK; i++) {
        const unsigned column = i % COLUMNS, bit = i / COLUMNS * bits, word = bit / 32, shift = bit % 32;
        words[word * COLUMNS + column] |= numbers[i] << shift;
        if (shift + bits > 32)
            words[(word + 1) * COLUMNS + column] |= numbers[i] >> (32 - shift);
    }
    for (unsigned i = 0; i < bits * COLUMNS; i++)
        hd__buffer_append_uint(out, words[i], 4);
}

typedef uint32_t row __attribute__((vector_size(COLUMNS * sizeof(uint32_t)))); /* SSE2's and NEON's registers */

static void unpack(const unsigned char *bytes, unsigned bits, uint32_t numbers[HD_POSTING_BLOCK])
{
    if (bits == 0) {
        memset(numbers, 0, HD_POSTING_BLOCK * sizeof *numbers);
        return;
    }
    const uint32_t mask = bits == 32 ? UINT32_MAX : (1u << bits) - 1;
    unsigned shift = 0;
    row word;
    memcpy(&word, bytes, sizeof word);
    for (unsigned i = 0; i < ROWS; i++) {
        row value = word >> shift;
        shift += bits;
        if (shift >= 32 && i + 1 < ROWS) {
            shift -= 32;
            bytes += sizeof word;
            memcpy(&word, bytes, sizeof word);
            if (shift > 0)
                value |= word << (bits - shift);
        }
        value &= mask;
        memcpy(numbers + (size_t)i * COLUMNS, &value, sizeof value);
    }
}

/* ---- writing ------------------------------------------------------------------------------------ */

static void write_postings(hd_buffer *out, const uint32_t *ids, const uint16_t *payloads, size_t n, uint32_t next)
{
    for (size_t i = 0; i < n; i++) {
        hd__varint_append(out, (uint64_t)(ids[i] - next) << 1 | (payloads[i] == 1));
        if (payloads[i] != 1)
            hd__varint_append(out, payloads[i]);
        next = ids[i] + 1;
    }
}

static void write_block(hd_buffer *out, const uint32_t *ids, const uint16_t *payloads, uint32_t next)
{
    uint32_t gaps[HD_POSTING_BLOCK], above[HD_POSTING_BLOCK], all_gaps = 0, all_above = 0;
    uint16_t least = MAX_PAYLOAD;
    for (size_t i = 0; i < HD_POSTING_BLOCK; i++) {
        gaps[i] = ids[i] - next;
        all_gaps |= gaps[i];
        next = ids[i] + 1;
        if (payloads[i] < least)
            least = payloads[i];
    }
    for (size_t i = 0; i < HD_POSTING_BLOCK; i++) {
        above[i] = (uint32_t)(payloads[i] - least);
        all_above |= above[i];
    }
    hd__buffer_append_char(out, (char)bits_of(all_gaps));
    hd__buffer_append_char(out, (char)bits_of(all_above));
    hd__varint_append(out, least);
    pack(out, gaps, bits_of(all_gaps));
    pack(out, above, bits_of(all_above));
}

/* Takes a posting's payload and length into fronts, which ascend in both. */
static size_t add_front(hd_front *fronts, size_t n, hd_front front)
{
    size_t at = 0; /* the first with a payload that is not less */
    while (at < n && fronts[at].payload < front.payload)
        at++;
    if (at < n && fronts[at].length <= front.length)
        return n;
    size_t begin = at; /* those that the new one covers stand before it, and perhaps at it */
    while (begin > 0 && fronts[begin - 1].length >= front.length)
        begin--;
    const size_t end = at < n && fronts[at].payload == front.payload ? at + 1 : at;
    memmove(fronts + begin + 1, fronts + end, (n - end) * sizeof *fronts);
    fronts[begin] = front;
    return n - (end - begin) + 1;
}

size_t hd__posting_fronts(const uint32_t *ids, const uint16_t *payloads, size_t n, const uint16_t *lengths,
                          hd_front fronts[HD_POSTING_FRONTS])
{
    hd_front found[HD_POSTING_BLOCK + 1];
    size_t n_found = 0;
    for (size_t i = 0; i < n; i++) {
        const hd_front front = {payloads[i], lengths != NULL ? lengths[ids[i]] : 0};
        n_found = add_front(found, n_found, front);
    }
    /* Too many: the greatest payloads become one front, with the least length of theirs. They differ least in what they
     * give, since BM25 saturates. */
    if (n_found > HD_POSTING_FRONTS) {
        found[HD_POSTING_FRONTS - 1].payload = found[n_found - 1].payload;
        n_found = HD_POSTING_FRONTS;
    }
    memcpy(fronts, found, n_found * sizeof *fronts);
    return n_found;
}

void hd__posting_list_write(hd_buffer *out, const uint32_t *ids, const uint16_t *payloads, size_t n, const uint16_t *lengths)
{
    if (n <= HD_POSTING_BLOCK) {
        write_postings(out, ids, payloads, n, 0);
        return;
    }
    hd_buffer blocks;
    hd__buffer_init(&blocks);
    uint32_t next = 0; /* one more than the last id of the block before */
    for (size_t at = 0; at < n; at += HD_POSTING_BLOCK) {
        const size_t n_block = n - at < HD_POSTING_BLOCK ? n - at : HD_POSTING_BLOCK, begin = blocks.len;
        if (n_block < HD_POSTING_BLOCK)
            write_postings(&blocks, ids + at, payloads + at, n_block, next);
        else
            write_block(&blocks, ids + at, payloads + at, next);
        const uint32_t last = ids[at + n_block - 1];
        hd__varint_append(out, last - next);
        hd__varint_append(out, blocks.len - begin);
        hd_front fronts[HD_POSTING_FRONTS];
        const size_t n_fronts = hd__posting_fronts(ids + at, payloads + at, n_block, lengths, fronts);
        hd__buffer_append_char(out, (char)n_fronts);
        for (size_t i = 0; i < n_fronts; i++) {
            hd__varint_append(out, fronts[i].payload);
            hd__varint_append(out, fronts[i].length);
        }
        next = last + 1;
    }
    hd__buffer_append(out, blocks.ptr, blocks.len);
    out->failed = out->failed || blocks.failed;
    hd__buffer_clear(&blocks);
}

/* ---- reading ------------------------------------------------------------------------------------ */

static uint32_t blocks_of(uint32_t n)
{
    return n / HD_POSTING_BLOCK + (n % HD_POSTING_BLOCK != 0);
}

size_t hd__posting_list_memory(uint32_t n)
{
    const size_t n_blocks = blocks_of(n);
    return (n_blocks + 1) * sizeof(hd_posting_dir) + n_blocks * HD_POSTING_FRONTS * sizeof(hd_front);
}

static bool read_fronts(hd_cursor *cursor, hd_front *fronts, uint32_t *n)
{
    const unsigned count = hd__cursor_u8(cursor);
    if (count == 0 || count > HD_POSTING_FRONTS)
        return false;
    for (unsigned i = 0; i < count; i++) {
        const uint64_t payload = hd__varint_read(cursor), length = hd__varint_read(cursor);
        if (payload == 0 || payload > MAX_PAYLOAD || length > UINT16_MAX)
            return false;
        fronts[(*n)++] = (hd_front){(uint16_t)payload, (uint16_t)length};
    }
    return true;
}

bool hd__posting_list_open(hd_span bytes, uint32_t n, uint32_t n_chunks, void *memory, hd_posting_list *list)
{
    const uint32_t n_blocks = blocks_of(n);
    hd_posting_dir *dir = memory;
    hd_front *fronts = (hd_front *)(dir + n_blocks + 1);
    hd_cursor cursor = hd__cursor(bytes);
    uint32_t n_fronts = 0;
    uint64_t next = 0, offset = 0;
    for (uint32_t i = 0; i < n_blocks; i++) {
        const uint64_t gap = hd__varint_read(&cursor), n_bytes = hd__varint_read(&cursor);
        const uint32_t left = n - i * HD_POSTING_BLOCK, n_block = left < HD_POSTING_BLOCK ? left : HD_POSTING_BLOCK;
        if (cursor.failed || gap + 1 < n_block || gap >= n_chunks || next + gap >= n_chunks || n_bytes > bytes.len)
            return false;
        dir[i] = (hd_posting_dir){(uint32_t)(next + gap), (uint32_t)offset, n_fronts};
        next += gap + 1;
        offset += n_bytes;
        if (offset > bytes.len || !read_fronts(&cursor, fronts, &n_fronts))
            return false;
    }
    const size_t head = bytes.len - hd__cursor_left(&cursor);
    if (cursor.failed || bytes.len > UINT32_MAX || offset != bytes.len - head)
        return false;
    for (uint32_t i = 0; i < n_blocks; i++)
        dir[i].offset += (uint32_t)head;
    dir[n_blocks] = (hd_posting_dir){UINT32_MAX, (uint32_t)bytes.len, n_fronts};
    *list = (hd_posting_list){bytes, n, n_blocks, dir, fronts};
    return true;
}

static bool read_postings(hd_span bytes, uint32_t n, uint32_t next, uint32_t n_chunks, hd_posting_block *out)
{
    hd_cursor cursor = hd__cursor(bytes);
    uint64_t id = next;
    for (uint32_t i = 0; i < n; i++) {
        const uint64_t head = hd__varint_read(&cursor);
        const uint64_t payload = (head & 1) != 0 ? 1 : hd__varint_read(&cursor);
        if ((head >> 1) >= n_chunks || payload == 0 || payload > MAX_PAYLOAD)
            return false;
        id += head >> 1;
        if (id >= n_chunks)
            return false;
        out->ids[i] = (uint32_t)id++;
        out->payloads[i] = (uint32_t)payload;
    }
    for (uint32_t i = n; i < HD_POSTING_BLOCK; i++) {
        out->ids[i] = HD_POSTING_NO_ID;
        out->payloads[i] = 1;
    }
    out->n = n;
    return !cursor.failed && hd__cursor_left(&cursor) == 0;
}

/* Gaps become ids; returns one more than the last. */
static uint64_t add_up(uint32_t ids[HD_POSTING_BLOCK], unsigned bits, uint32_t next)
{
    if (bits > 24) { /* gaps so wide that 32 bits may not hold their sum */
        uint64_t id = next;
        for (size_t i = 0; i < HD_POSTING_BLOCK; i++) {
            id += ids[i];
            ids[i] = (uint32_t)id++;
        }
        return id;
    }
    const row zero = {0};
    row before = zero + (next - 1);
    for (size_t i = 0; i < HD_POSTING_BLOCK; i += COLUMNS) {
        row id;
        memcpy(&id, ids + i, sizeof id);
        id += 1;
        id += __builtin_shufflevector(zero, id, 0, 4, 5, 6); /* sums of two, then of four */
        id += __builtin_shufflevector(zero, id, 0, 1, 4, 5);
        id += before;
        memcpy(ids + i, &id, sizeof id);
        before = __builtin_shufflevector(id, id, 3, 3, 3, 3);
    }
    return (uint64_t)before[0] + 1;
}

static bool read_block(hd_span bytes, uint32_t next, uint32_t last, hd_posting_block *out)
{
    hd_cursor cursor = hd__cursor(bytes);
    const unsigned id_bits = hd__cursor_u8(&cursor), payload_bits = hd__cursor_u8(&cursor);
    const uint64_t least = hd__varint_read(&cursor);
    if (cursor.failed || id_bits > MAX_BITS || payload_bits > 16 || least == 0 || least > MAX_PAYLOAD ||
        hd__cursor_left(&cursor) != (size_t)(id_bits + payload_bits) * COLUMNS * sizeof(uint32_t))
        return false;
    unpack(cursor.at, id_bits, out->ids);
    unpack(cursor.at + (size_t)id_bits * COLUMNS * sizeof(uint32_t), payload_bits, out->payloads);
    uint32_t greatest = 0;
    for (size_t i = 0; i < HD_POSTING_BLOCK; i++) {
        out->payloads[i] += (uint32_t)least;
        greatest |= out->payloads[i];
    }
    out->n = HD_POSTING_BLOCK;
    return add_up(out->ids, id_bits, next) == (uint64_t)last + 1 && greatest <= MAX_PAYLOAD; /* so no id was past the last */
}

bool hd__posting_list_decode(const hd_posting_list *list, uint32_t block, hd_posting_block *out)
{
    const uint32_t next = block == 0 ? 0 : list->dir[block - 1].last + 1, last = list->dir[block].last;
    const hd_span bytes =
        hd__span(list->bytes.ptr + list->dir[block].offset, list->dir[block + 1].offset - list->dir[block].offset);
    const uint32_t left = list->n - block * HD_POSTING_BLOCK;
    if (left >= HD_POSTING_BLOCK)
        return read_block(bytes, next, last, out);
    return read_postings(bytes, left, next, last + 1, out) && out->ids[left - 1] == last;
}

bool hd__posting_list_decode_short(hd_span bytes, uint32_t n, uint32_t n_chunks, hd_posting_block *out)
{
    return n > 0 && n <= HD_POSTING_BLOCK && read_postings(bytes, n, 0, n_chunks, out);
}

static void copy_block(const hd_posting_block *block, uint32_t *ids, uint16_t *payloads)
{
    memcpy(ids, block->ids, block->n * sizeof *ids);
    for (uint32_t i = 0; i < block->n; i++)
        payloads[i] = (uint16_t)block->payloads[i];
}

bool hd__posting_list_decode_all(hd_span bytes, uint32_t n, uint32_t n_chunks, void *memory, uint32_t *ids,
                                 uint16_t *payloads)
{
    hd_posting_block block;
    if (n <= HD_POSTING_BLOCK) {
        if (!hd__posting_list_decode_short(bytes, n, n_chunks, &block))
            return false;
        copy_block(&block, ids, payloads);
        return true;
    }
    hd_posting_list list;
    if (!hd__posting_list_open(bytes, n, n_chunks, memory, &list))
        return false;
    for (uint32_t i = 0; i < list.n_blocks; i++) {
        if (!hd__posting_list_decode(&list, i, &block))
            return false;
        copy_block(&block, ids + (size_t)i * HD_POSTING_BLOCK, payloads + (size_t)i * HD_POSTING_BLOCK);
    }
    return true;
}
