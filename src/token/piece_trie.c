/* piece_trie.c - see piece_trie.h. */
#include "token/piece_trie.h"

#include <assert.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/limits.h"

enum { MANY_CHILDREN = 24 }; /* from here on dense, whatever the gaps */
enum { MAX_NODES = 1 << 24 };

static_assert(HD_LIMIT_VOCAB < 1u << (32 - HD_TRIE_FANOUT_BITS), "a node holds every id");

typedef struct key {
    uint64_t front; /* the first 8 bytes, to be compared as a number */
    const char *text;
    uint32_t len, id;
} key;

/* A node whose children are to be made: keys [low, high) begin with its string, of `depth` bytes. */
typedef struct branch {
    uint32_t node, low, high, depth;
} branch;

typedef struct builder {
    key *keys, *spare; /* [n] */
    branch *stack;     /* [n + 1] those on it have no key in common */
    hd_trie_node *nodes;
    uint32_t n, n_nodes, capacity;
    hd_error *err;
} builder;

static uint64_t front_of(hd_span text)
{
    uint64_t front = 0;
    for (size_t i = 0; i < 8; i++)
        front = front << 8 | (i < text.len ? (unsigned char)text.ptr[i] : 0);
    return front;
}

/* By text, then by id. */
static int compare(const void *a, const void *b)
{
    const key *x = a, *y = b;
    if (x->front != y->front)
        return x->front < y->front ? -1 : 1;
    int order = memcmp(x->text, y->text, x->len < y->len ? x->len : y->len);
    if (order != 0)
        return order;
    if (x->len != y->len)
        return x->len < y->len ? -1 : 1;
    return (x->id > y->id) - (x->id < y->id);
}

/* By the first 8 bytes, one after the other from the last; then what is still equal. */
static void sort(builder *b)
{
    for (unsigned shift = 0; shift < 64; shift += 8) {
        uint32_t begins[257] = {0};
        for (uint32_t i = 0; i < b->n; i++)
            begins[(b->keys[i].front >> shift & 0xFF) + 1]++;
        for (uint32_t i = 0; i < 256; i++)
            begins[i + 1] += begins[i];
        for (uint32_t i = 0; i < b->n; i++)
            b->spare[begins[b->keys[i].front >> shift & 0xFF]++] = b->keys[i];
        key *t = b->keys;
        b->keys = b->spare;
        b->spare = t;
    }
    for (uint32_t low = 0, high; low < b->n; low = high) {
        for (high = low + 1; high < b->n && b->keys[high].front == b->keys[low].front;)
            high++;
        if (high - low > 1)
            qsort(b->keys + low, high - low, sizeof *b->keys, compare);
    }
}

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

static uint8_t label_at(const builder *b, uint32_t i, uint32_t depth)
{
    return (uint8_t)b->keys[i].text[depth];
}

/* Makes the children of a node; those that have children themselves go to the stack, the first one on top. */
static hd_status grow(builder *b, branch at, uint32_t *n_stack)
{
    uint32_t low = at.low, n = 0, id_plus_1 = 0;
    for (; low < at.high && b->keys[low].len == at.depth; low++)
        id_plus_1 = b->keys[low].id + 1;
    b->nodes[at.node].id_fanout |= id_plus_1 << HD_TRIE_FANOUT_BITS;
    if (low == at.high)
        return HD_OK;
    for (uint32_t i = low; i < at.high; i++)
        n += i == low || label_at(b, i, at.depth) != label_at(b, i - 1, at.depth);
    uint32_t min = label_at(b, low, at.depth), span = label_at(b, at.high - 1, at.depth) - min + 1;
    bool dense = n > 2 && (n >= MANY_CHILDREN || span <= 2 * n);
    uint32_t first = b->n_nodes, n_slots = dense ? span : n;
    HD_TRY(reserve(b, n_slots));
    b->nodes[at.node].first_label |= first << 8;
    b->nodes[at.node].id_fanout |= dense ? n_slots + HD_TRIE_DENSE : n_slots;
    for (uint32_t i = 0; i < n_slots; i++)
        b->nodes[first + i] = (hd_trie_node){(uint8_t) ~(min + i), 0};
    b->n_nodes += n_slots;
    uint32_t high = at.high;
    for (uint32_t i = n; i-- > 0; high = low) { /* from the last child to the first */
        uint8_t label = label_at(b, high - 1, at.depth);
        for (low = high - 1; low > at.low && b->keys[low - 1].len > at.depth && label_at(b, low - 1, at.depth) == label;)
            low--;
        uint32_t child = first + (dense ? label - min : i);
        b->nodes[child].first_label = label;
        b->stack[(*n_stack)++] = (branch){child, low, high, at.depth + 1};
    }
    return HD_OK;
}

static hd_status build(builder *b)
{
    uint32_t n_stack = 0;
    HD_TRY(reserve(b, b->n + 256));
    b->nodes[b->n_nodes++] = (hd_trie_node){0};
    b->stack[n_stack++] = (branch){0, 0, b->n, 0};
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
            keys[b.n++] = (key){front_of(text), text.ptr, (uint32_t)text.len, id};
    }
    sort(&b);
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
