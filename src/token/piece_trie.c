/* piece_trie.c - see piece_trie.h. */
#include "token/piece_trie.h"

#include <assert.h>

#include "base/alloc.h"
#include "base/limits.h"

enum { MANY_CHILDREN = 24 }; /* from here on dense, whatever the gaps */
enum { MAX_NODES = 1 << 24, FRONT_BYTES = 8, FEW_KEYS = 32 };

static_assert(HD_LIMIT_VOCAB < 1u << (32 - HD_TRIE_FANOUT_BITS), "a node holds every id");

typedef struct key {
    uint64_t front; /* the next 8 bytes from a depth that is a multiple of 8 on, to be compared as a number */
    const char *text;
    uint32_t len, id;
} key;

/* A node whose children are to be made: keys [low, high) begin with its string, of `depth` bytes. */
typedef struct branch {
    uint32_t node, low, high;
    uint32_t depth : 31, is_sorted : 1;
} branch;

typedef struct builder {
    key *keys, *spare; /* [n] */
    branch *stack;     /* [n + 1] those on it have no key in common */
    hd_trie_node *nodes;
    uint32_t n, n_nodes, capacity;
    hd_error *err;
} builder;

/* A vocabulary's texts have HD_VOCAB_PADDING readable bytes behind them. Every target is little endian. */
static void load_front(key *k, uint32_t depth)
{
    uint64_t bytes;
    memcpy(&bytes, k->text + depth, sizeof bytes);
    uint32_t n_rest = k->len - depth;
    uint64_t mask = n_rest >= FRONT_BYTES ? UINT64_MAX : ~(UINT64_MAX >> (8 * n_rest));
    k->front = __builtin_bswap64(bytes) & mask;
}

static uint8_t label_of(const key *k, uint32_t depth)
{
    return (uint8_t)(k->front >> (8 * (FRONT_BYTES - 1 - depth % FRONT_BYTES)));
}

/* ---- sorting: by one byte after the other as the trie grows, few keys at once ---- */

/* By text, then by id; what is before `depth` is equal. */
static bool is_after(const key *x, const key *y, uint32_t depth)
{
    if (x->front != y->front)
        return x->front > y->front;
    uint32_t begin = depth / FRONT_BYTES * FRONT_BYTES, len = x->len < y->len ? x->len : y->len;
    int order = len > begin ? memcmp(x->text + begin, y->text + begin, len - begin) : 0;
    if (order != 0)
        return order > 0;
    return x->len != y->len ? x->len > y->len : x->id > y->id;
}

static void sort_few(key *keys, uint32_t n, uint32_t depth)
{
    for (uint32_t i = 1; i < n; i++) {
        key moving = keys[i];
        uint32_t at = i;
        for (; at > 0 && is_after(&keys[at - 1], &moving, depth); at--)
            keys[at] = keys[at - 1];
        keys[at] = moving;
    }
}

/* Stable, so that equal texts stay in the order of their ids; texts that end here come first. */
static void sort_by_label(builder *b, branch at)
{
    uint32_t begins[258] = {0};
    key *keys = b->keys, *spare = b->spare;
    for (uint32_t i = at.low; i < at.high; i++)
        begins[1 + (keys[i].len > at.depth ? 1u + label_of(&keys[i], at.depth) : 0)]++;
    if (begins[2 + label_of(&keys[at.low], at.depth)] == at.high - at.low)
        return; /* all go on alike */
    for (uint32_t i = 0; i < 257; i++)
        begins[i + 1] += begins[i];
    for (uint32_t i = at.low; i < at.high; i++)
        spare[begins[keys[i].len > at.depth ? 1u + label_of(&keys[i], at.depth) : 0]++] = keys[i];
    memcpy(keys + at.low, spare, (at.high - at.low) * sizeof *keys);
}

/* ---- growing ---- */

static hd_status reserve(builder *b, uint32_t n)
{
    if (b->capacity - b->n_nodes >= n)
        return HD_OK;
    if (n > MAX_NODES - b->n_nodes)
        return hd__fail(b->err, HD_ERR_LIMIT, "the vocabulary of %u tokens needs more than %d nodes", b->n, MAX_NODES);
    uint32_t capacity = b->n_nodes + n + b->n_nodes / 2;
    hd_trie_node *nodes = hd__realloc(b->nodes, hd__mul(capacity, sizeof *nodes));
    if (nodes == NULL)
        return hd__fail(b->err, HD_ERR_MEMORY, "no memory for a vocabulary of %u tokens", b->n);
    b->nodes = nodes;
    b->capacity = capacity;
    return HD_OK;
}

/* The rest of one text: a node for each byte, one behind the other. */
static hd_status grow_tail(builder *b, branch at)
{
    const key *k = &b->keys[at.low];
    HD_TRY(reserve(b, k->len - at.depth));
    for (uint32_t depth = at.depth; depth < k->len; depth++) {
        b->nodes[at.node].first_label |= b->n_nodes << 8;
        b->nodes[at.node].id_fanout |= 1;
        at.node = b->n_nodes++;
        b->nodes[at.node] = (hd_trie_node){(unsigned char)k->text[depth], 0};
    }
    b->nodes[at.node].id_fanout |= (k->id + 1) << HD_TRIE_FANOUT_BITS;
    return HD_OK;
}

/* Makes the children of a node; those that have children themselves go to the stack, the first one on top. */
static hd_status grow(builder *b, branch at, uint32_t *n_stack)
{
    if (at.high - at.low == 1)
        return grow_tail(b, at);
    for (uint32_t i = at.low; at.depth % FRONT_BYTES == 0 && i < at.high; i++)
        load_front(&b->keys[i], at.depth);
    if (!at.is_sorted && at.high - at.low <= FEW_KEYS)
        sort_few(b->keys + at.low, at.high - at.low, at.depth);
    else if (!at.is_sorted)
        sort_by_label(b, at);
    at.is_sorted |= at.high - at.low <= FEW_KEYS;
    uint32_t low = at.low, n = 0, id_plus_1 = 0;
    for (; low < at.high && b->keys[low].len == at.depth; low++)
        id_plus_1 = b->keys[low].id + 1;
    b->nodes[at.node].id_fanout |= id_plus_1 << HD_TRIE_FANOUT_BITS;
    if (low == at.high)
        return HD_OK;
    uint32_t begins[257]; /* of each child's keys */
    for (uint32_t i = low; i < at.high; i++)
        if (i == low || label_of(&b->keys[i], at.depth) != label_of(&b->keys[i - 1], at.depth))
            begins[n++] = i;
    begins[n] = at.high;
    uint32_t min = label_of(&b->keys[low], at.depth), span = label_of(&b->keys[at.high - 1], at.depth) - min + 1;
    bool dense = n > 2 && (n >= MANY_CHILDREN || span <= 2 * n);
    uint32_t first = b->n_nodes, n_slots = dense ? span : n;
    HD_TRY(reserve(b, n_slots));
    b->nodes[at.node].first_label |= first << 8;
    b->nodes[at.node].id_fanout |= dense ? n_slots + HD_TRIE_DENSE : n_slots;
    for (uint32_t i = 0; i < n_slots; i++)
        b->nodes[first + i] = (hd_trie_node){(uint8_t) ~(min + i), 0};
    b->n_nodes += n_slots;
    for (uint32_t i = n; i-- > 0;) {
        uint8_t label = label_of(&b->keys[begins[i]], at.depth);
        uint32_t child = first + (dense ? label - min : i);
        b->nodes[child].first_label = label;
        b->stack[(*n_stack)++] = (branch){child, begins[i], begins[i + 1], at.depth + 1u, at.is_sorted};
    }
    return HD_OK;
}

static hd_status build(builder *b)
{
    uint32_t n_stack = 0;
    HD_TRY(reserve(b, b->n + 256));
    b->nodes[b->n_nodes++] = (hd_trie_node){0};
    b->stack[n_stack++] = (branch){0, 0, b->n, 0, false};
    while (n_stack > 0) {
        branch at = b->stack[--n_stack];
        HD_TRY(grow(b, at, &n_stack));
    }
    return HD_OK;
}

hd_status hd__piece_trie_build(hd_piece_trie *trie, const hd_vocab *vocab, hd_error *err)
{
    builder b = {.err = err};
    hd_status status;
    key *keys = hd__calloc((size_t)vocab->n_ids + 1, sizeof *keys),
        *spare = hd__calloc((size_t)vocab->n_ids + 1, sizeof *spare);
    b.keys = keys;
    b.spare = spare;
    b.stack = hd__calloc((size_t)vocab->n_ids + 1, sizeof *b.stack);
    if (keys == NULL || spare == NULL || b.stack == NULL) {
        status = hd__fail(err, HD_ERR_MEMORY, "no memory for a vocabulary of %u tokens", vocab->n_ids);
        goto out;
    }
    for (uint32_t id = 0; id < vocab->n_ids; id++) {
        hd_span text = hd__vocab_text(vocab, id);
        if (text.len > 0)
            keys[b.n++] = (key){0, text.ptr, (uint32_t)text.len, id};
    }
    status = build(&b);
    hd_trie_node *fitted = status == HD_OK ? hd__realloc(b.nodes, b.n_nodes * sizeof *fitted) : NULL;
    *trie = (hd_piece_trie){fitted != NULL ? fitted : b.nodes, b.n_nodes};
out:
    hd__free(keys);
    hd__free(spare);
    hd__free(b.stack);
    return status;
}

void hd__piece_trie_clear(hd_piece_trie *trie)
{
    hd__free(trie->nodes);
    *trie = (hd_piece_trie){0};
}

bool hd__piece_trie_view(hd_piece_trie *trie, hd_span nodes, uint32_t n_ids)
{
    const size_t n = nodes.len / sizeof *trie->nodes;
    if (n == 0 || n > MAX_NODES)
        return false;
    *trie = (hd_piece_trie){(hd_trie_node *)(void *)nodes.ptr, (uint32_t)n};
    for (size_t i = 0; i < n; i++) {
        const uint32_t first = trie->nodes[i].first_label >> 8, id_plus_1 = trie->nodes[i].id_fanout >> HD_TRIE_FANOUT_BITS;
        uint32_t n_children = trie->nodes[i].id_fanout & ((1u << HD_TRIE_FANOUT_BITS) - 1);
        n_children -= n_children > HD_TRIE_DENSE ? HD_TRIE_DENSE : 0;
        if (id_plus_1 > n_ids || first + n_children > n)
            return false;
    }
    return true;
}

int32_t hd__piece_trie_find(const hd_piece_trie *trie, hd_span text)
{
    uint32_t at = 0;
    for (size_t i = 0; i < text.len; i++) {
        at = hd__piece_trie_child(trie->nodes, at, (uint8_t)text.ptr[i]);
        if (at == 0)
            return -1;
    }
    return hd__piece_trie_id(trie->nodes, at);
}
