/* gguf_merges.c - see gguf_merges.h. */
#include "model/gguf_merges.h"

#include <stdlib.h>

#include "base/limits.h"
#include "base/utf8.h"
#include "model/name_table.h"

static int by_rank(const void *left, const void *right)
{
    const hd_gguf_merge *a = left, *b = right;
    if (a->score != b->score)
        return a->score > b->score ? -1 : 1;
    if (a->n_left != b->n_left)
        return a->n_left > b->n_left ? -1 : 1;
    if (a->n_right != b->n_right)
        return a->n_right > b->n_right ? -1 : 1;
    if (a->whole != b->whole)
        return a->whole < b->whole ? -1 : 1;
    if (a->left != b->left)
        return a->left < b->left ? -1 : 1;
    return (a->right > b->right) - (a->right < b->right);
}

/* Both halves of a token wherever it can be cut between two characters. */
static void add_halves(const hd_name_table *pieces, hd_span token, hd_gguf_merge merge, hd_buffer *merges)
{
    for (size_t at = 1; at < token.len; at++) {
        const hd_span left = hd__span(token.ptr, at), right = hd__span(token.ptr + at, token.len - at);
        if (((unsigned char)token.ptr[at] & 0xc0) == 0x80 || !hd__name_table_find(pieces, left, &merge.left) ||
            !hd__name_table_find(pieces, right, &merge.right))
            continue;
        merge.n_left = (uint32_t)hd__utf8_count(left);
        merge.n_right = (uint32_t)hd__utf8_count(right);
        hd__buffer_append(merges, &merge, sizeof merge);
    }
}

static hd_status collect(const hd_span *tokens, const char *scores, const bool *is_piece, uint32_t n, const char *file,
                         hd_arena *arena, hd_buffer *merges, hd_error *err)
{
    hd_name_table pieces;
    HD_TRY(hd__name_table_init(&pieces, n, arena, err));
    for (uint32_t i = 0; i < n; i++) {
        if (!is_piece[i] || tokens[i].len == 0)
            continue;
        if (tokens[i].len > HD_LIMIT_PIECE_BYTES)
            return hd__fail(err, HD_ERR_LIMIT, "%s: token %u has %zu bytes, the limit for pieces of SentencePiece's is %u",
                            file, i, tokens[i].len, HD_LIMIT_PIECE_BYTES);
        hd__name_table_add(&pieces, tokens[i], i);
    }
    for (uint32_t i = 0; i < n; i++) {
        hd_gguf_merge merge = {.whole = i};
        memcpy(&merge.score, scores + (size_t)i * sizeof merge.score, sizeof merge.score);
        if (is_piece[i])
            add_halves(&pieces, tokens[i], merge, merges);
    }
    return merges->failed ? hd__fail(err, HD_ERR_MEMORY, "%s: no memory for its merges", file) : HD_OK;
}

hd_status hd__gguf_merges(const hd_span *tokens, const char *scores, const bool *is_piece, uint32_t n, const char *file,
                          hd_buffer *merges, hd_error *err)
{
    hd_arena arena;
    hd__arena_init(&arena);
    const hd_status status = collect(tokens, scores, is_piece, n, file, &arena, merges, err);
    if (status == HD_OK && merges->len > 0)
        qsort(merges->ptr, merges->len / sizeof(hd_gguf_merge), sizeof(hd_gguf_merge), by_rank);
    hd__arena_clear(&arena);
    return status;
}
