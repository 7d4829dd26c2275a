/* piece_trie.h - a set of byte strings to be searched by their beginnings: which of them does a text begin with?
 *
 * The children of a node are neighbours, in the order of their labels; they lie behind it, the first one's own children
 * next, so that a walk mostly moves on. Where they are many or dense, their labels are without gaps (a gap is a node that no
 * label finds) and the child is found by its place; else they are looked through. 8 bytes a node: 250,000 pieces of
 * a multilingual model take about 9 MB and, sorted once, are built in one pass.
 *
 * Built with one owner, then read-only.
 */
#ifndef HD_TOKEN_PIECE_TRIE_H
#define HD_TOKEN_PIECE_TRIE_H

#include "token/vocab.h"

typedef struct hd_trie_node {
    uint32_t first_label; /* place of the first child << 8, own label */
    uint32_t id_fanout;   /* id + 1 (0: no string ends here) << 10, children; HD_TRIE_DENSE more when without gaps */
} hd_trie_node;

enum { HD_TRIE_DENSE = 256, HD_TRIE_FANOUT_BITS = 10 };

typedef struct hd_piece_trie {
    hd_trie_node *nodes; /* [n_nodes], the root first */
    uint32_t n_nodes;
} hd_piece_trie;

/* All texts of a vocabulary but empty ones; of those equal, the last id counts. HD_ERR_LIMIT, HD_ERR_MEMORY. */
HD_MUST_USE hd_status hd__piece_trie_build(hd_piece_trie *trie, const hd_vocab *vocab, hd_error *err);
void hd__piece_trie_clear(hd_piece_trie *trie);

/* The nodes of a trie over n_ids texts, lying elsewhere (token_tables.h). false when they are not such: nothing in them is
 * believed. */
bool hd__piece_trie_view(hd_piece_trie *trie, hd_span nodes, uint32_t n_ids);

/* The child of a node by its label, or 0. */
static inline uint32_t hd__piece_trie_child(const hd_trie_node *nodes, uint32_t at, uint8_t label)
{
    uint32_t first = nodes[at].first_label >> 8, n = nodes[at].id_fanout & ((1u << HD_TRIE_FANOUT_BITS) - 1);
    if (n > HD_TRIE_DENSE) {
        uint32_t i = (uint32_t)label - (nodes[first].first_label & 0xFF);
        return i < n - HD_TRIE_DENSE && (nodes[first + i].first_label & 0xFF) == label ? first + i : 0;
    }
    for (uint32_t i = first; i < first + n; i++)
        if ((nodes[i].first_label & 0xFF) == label)
            return i;
    return 0;
}

/* The id of the string that ends at a node, or -1. */
static inline int32_t hd__piece_trie_id(const hd_trie_node *nodes, uint32_t at)
{
    return (int32_t)(nodes[at].id_fanout >> HD_TRIE_FANOUT_BITS) - 1;
}

/* The id of exactly this text, or -1. */
int32_t hd__piece_trie_find(const hd_piece_trie *trie, hd_span text);

#endif
