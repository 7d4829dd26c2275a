/* unigram.c - see unigram.h. */
#include "token/unigram.h"

#include <math.h>
#include <stdio.h>

#include "base/alloc.h"

static const double unk_penalty = 10;

const char hd__no_unknown_token[] = "the text has a character that the vocabulary lacks, and it has no unknown token";

hd_status hd__unigram_add_score(hd_unigram *model, double score, hd_error *err)
{
    if (model->n_scores == model->capacity) {
        size_t capacity = hd__add(hd__mul(model->capacity, 2), 256);
        double *scores = hd__realloc(model->scores, hd__mul(capacity, sizeof *scores));
        if (scores == NULL)
            return hd__fail(err, HD_ERR_MEMORY, "no memory for a vocabulary of %zu tokens", capacity);
        model->scores = scores;
        model->capacity = capacity;
    }
    model->scores[model->n_scores++] = score;
    return HD_OK;
}

void hd__unigram_clear(hd_unigram *model)
{
    hd__free(model->scores);
    hd__piece_trie_clear(&model->trie);
    *model = (hd_unigram){0};
}

hd_status hd__unigram_build(hd_unigram *model, hd_vocab *vocab, int64_t unk_id, bool byte_fallback, const char *file,
                            hd_error *err)
{
    if (unk_id >= (int64_t)vocab->n_ids)
        return hd__fail(err, HD_ERR_FORMAT, "%s: the unknown token %lld is not in the vocabulary of %u", file,
                        (long long)unk_id, vocab->n_ids);
    HD_TRY(hd__vocab_index(vocab, err));
    vocab->n_tokens = vocab->n_ids;
    if (model->trie.nodes == NULL)
        HD_TRY(hd__piece_trie_build(&model->trie, vocab, err));
    double lowest = INFINITY;
    for (size_t i = 0; i < model->n_scores; i++)
        lowest = model->scores[i] < lowest ? model->scores[i] : lowest;
    model->vocab = vocab;
    model->unk_score = lowest - unk_penalty;
    model->unk_id = (int32_t)unk_id;
    model->byte_fallback = byte_fallback;
    for (unsigned byte = 0; byte < 256; byte++) {
        char piece[8];
        int len = snprintf(piece, sizeof piece, "<0x%02X>", byte);
        model->byte_ids[byte] = hd__piece_trie_find(&model->trie, hd__span(piece, (size_t)len));
    }
    return HD_OK;
}

/* ---- the best way ---- */

static inline size_t char_len(char first)
{
    unsigned char c = (unsigned char)first;
    return c < 0x80 ? 1 : c < 0xE0 ? 2 : c < 0xF0 ? 3 : 4;
}

static inline void offer(hd_unigram_node *to, double score, uint32_t begin, int32_t id)
{
    if (to->begin == UINT32_MAX || score > to->score)
        *to = (hd_unigram_node){score, begin, id};
}

void hd__unigram_search(const hd_unigram *model, hd_span word, hd_unigram_node *nodes)
{
    const hd_trie_node *trie = model->trie.nodes;
    nodes[0] = (hd_unigram_node){0, 0, 0};
    for (size_t i = 1; i <= word.len; i++)
        nodes[i].begin = UINT32_MAX;
    for (size_t begin = 0, len; begin < word.len; begin += len) {
        len = char_len(word.ptr[begin]);
        len = len < word.len - begin ? len : word.len - begin;
        double score = nodes[begin].score;
        bool is_piece = false; /* the character alone */
        uint32_t at = 0;
        for (size_t end = begin; end < word.len;) {
            at = hd__piece_trie_child(trie, at, (uint8_t)word.ptr[end]);
            if (at == 0)
                break;
            int32_t id = hd__piece_trie_id(trie, at);
            end++;
            if (id < 0)
                continue;
            offer(&nodes[end], score + model->scores[id], (uint32_t)begin, id);
            is_piece = is_piece || end == begin + len;
        }
        if (!is_piece)
            offer(&nodes[begin + len], score + model->unk_score, (uint32_t)begin, model->unk_id);
    }
}

/* ---- its pieces ---- */

/* Links the best way forwards: each node on it gets, as `begin`, where the next piece ends. */
static void turn_round(hd_unigram_node *nodes, size_t len)
{
    uint32_t next = (uint32_t)len;
    int32_t next_id = -1;
    for (uint32_t at = (uint32_t)len;;) {
        uint32_t begin = nodes[at].begin;
        int32_t id = nodes[at].id;
        nodes[at].begin = next;
        nodes[at].id = next_id;
        if (at == 0)
            break;
        next = at;
        next_id = id;
        at = begin;
    }
}

typedef struct pieces {
    int32_t *ids;
    uint32_t *begins, *ends;
    size_t n;
} pieces;

static void put(pieces *to, int32_t id, size_t begin, size_t end)
{
    to->ids[to->n] = id;
    if (to->begins != NULL) {
        to->begins[to->n] = (uint32_t)begin;
        to->ends[to->n] = (uint32_t)end;
    }
    to->n++;
}

/* A run of unknown characters: what the vocabulary has for them together, or their bytes, or the unknown token. */
static void put_unknown(const hd_unigram *model, hd_span word, size_t begin, size_t end, pieces *to)
{
    int32_t id = hd__piece_trie_find(&model->trie, hd__span(word.ptr + begin, end - begin));
    bool has_bytes = id < 0 && model->byte_fallback;
    for (size_t i = begin; i < end && has_bytes; i++)
        has_bytes = model->byte_ids[(unsigned char)word.ptr[i]] >= 0;
    if (!has_bytes)
        put(to, id >= 0 ? id : model->unk_id, begin, end);
    for (size_t i = begin; i < end && has_bytes; i++)
        put(to, model->byte_ids[(unsigned char)word.ptr[i]], begin, end);
}

size_t hd__unigram_pieces(const hd_unigram *model, hd_span word, hd_unigram_node *nodes, int32_t *ids, uint32_t *begins,
                          uint32_t *ends)
{
    pieces to = {ids, begins, ends, 0};
    turn_round(nodes, word.len);
    for (size_t at = 0, end; at < word.len; at = end) {
        int32_t id = nodes[at].id;
        end = nodes[at].begin;
        if (id != model->unk_id) {
            put(&to, id, at, end);
            continue;
        }
        if (id < 0)
            return 0;
        while (end < word.len && nodes[end].id == model->unk_id)
            end = nodes[end].begin;
        put_unknown(model, word, at, end, &to);
    }
    return to.n;
}
