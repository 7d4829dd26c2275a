/* gguf_merges.h - the merges of a byte-pair vocabulary of SentencePiece's, which GGUF stores as scores.
 *
 * SentencePiece joins the two neighbours that make the token of the highest score. tokenizer.json lists pairs, the first to
 * be joined first: each pair of tokens that makes a token, by its score. Ties are ordered as transformers' converter orders
 * them. Source: sentencepiece's bpe_model.cc; transformers' convert_slow_tokenizer.py (generate_merges).
 */
#ifndef HD_MODEL_GGUF_MERGES_H
#define HD_MODEL_GGUF_MERGES_H

#include "base/buffer.h"
#include "base/status.h"

typedef struct hd_gguf_merge {
    uint32_t left, right;     /* tokens */
    uint32_t n_left, n_right; /* their characters */
    uint32_t whole;
    float score;
} hd_gguf_merge;

/* Of the tokens for which is_piece is set. scores are f32 of any alignment, finite ones. Appends hd_gguf_merge, in order, to
 * a buffer. `file` is for error texts. HD_ERR_LIMIT for a token of more than HD_LIMIT_PIECE_BYTES, HD_ERR_MEMORY. */
HD_MUST_USE hd_status hd__gguf_merges(const hd_span *tokens, const char *scores, const bool *is_piece, uint32_t n,
                                      const char *file, hd_buffer *merges, hd_error *err);

#endif
