/* token_model.h - "model" of a tokenizer: a word of normalised text to the pieces it is made of.
 *
 * Every kind has its vocabulary here, so that ids have texts and texts ids whatever the kind; what else a kind
 * needs is a struct of its own. Built with one owner, then read-only: what an encoding needs in memory is the caller's.
 */
#ifndef HD_TOKEN_TOKEN_MODEL_H
#define HD_TOKEN_TOKEN_MODEL_H

#include "token/bpe.h"
#include "token/unigram.h"
#include "token/wordpiece.h"

typedef enum hd_token_model_kind { HD_MODEL_WORDPIECE, HD_MODEL_UNIGRAM, HD_MODEL_BPE } hd_token_model_kind;

typedef struct hd_token_model {
    hd_token_model_kind kind;
    bool is_view; /* the arrays below are somebody else's (token_tables.h) */
    hd_vocab vocab;
    hd_wordpiece wordpiece;
    hd_unigram unigram;
    hd_bpe bpe;
} hd_token_model;

void hd__token_model_init(hd_token_model *model);
void hd__token_model_clear(hd_token_model *model);

/* The id of exactly this text, or -1. HD_VOCAB_PADDING more bytes must be readable. */
int32_t hd__token_model_find(const hd_token_model *model, hd_span text);

/* Where added tokens that the vocabulary lacks begin to count. */
uint32_t hd__token_model_size(const hd_token_model *model);

/* The pieces of a word, each with its bytes [begins[i], ends[i]) of it; grows, one owner. */
typedef struct hd_pieces {
    int32_t *ids; /* [n], as are the others */
    uint32_t *begins, *ends;
    size_t n, capacity;
    hd_unigram_node *nodes; /* [node_capacity] for the Unigram model's search */
    size_t node_capacity;
    hd_bpe_work bpe; /* for the BPE model's merging */
} hd_pieces;

void hd__pieces_clear(hd_pieces *pieces);

/* Room for n pieces in all. HD_ERR_MEMORY. */
HD_MUST_USE hd_status hd__pieces_reserve(hd_pieces *pieces, size_t n, hd_error *err);

/* Replaces pieces by those of a word of n_chars code points, at least one, with HD_VOCAB_PADDING readable bytes after
 * it. HD_ERR_FORMAT when a character is unknown and the model has no token for that; HD_ERR_MEMORY. */
HD_MUST_USE hd_status hd__token_model_encode(const hd_token_model *model, hd_span word, size_t n_chars, hd_pieces *pieces,
                                             hd_error *err);

#endif
