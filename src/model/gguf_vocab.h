/* gguf_vocab.h - a folder's tokenizer.json as tokenizer.ggml.*: the inverse of gguf_tokenizer.h.
 *
 * WordPiece becomes "bert", Unigram "t5", byte-level BPE "gpt2". What llama.cpp would read differently is refused.
 */
#ifndef HD_MODEL_GGUF_VOCAB_H
#define HD_MODEL_GGUF_VOCAB_H

#include "model/gguf_writer.h"
#include "model/settings.h"

/* Adds the pairs. answers are the ids of "no" and "yes", -1 where the vocabulary has no such token. HD_ERR_UNSUPPORTED
 * names what GGUF has no place for. */
HD_MUST_USE hd_status hd__gguf_put_vocab(hd_gguf_writer *writer, const hd_settings *settings, int32_t answers[2],
                                         hd_error *err);

#endif
