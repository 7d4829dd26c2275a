/* gguf_tokenizer.h - the tokenizer in a GGUF file's metadata, written as the tokenizer.json that it was made from.
 *
 * tokenizer.ggml.model says which kind it is:
 *   "bert"  WordPiece. Tokens that begin a word are stored with U+2581 in front, those that go on in one without their "##".
 *   "t5"    Unigram with the SentencePiece normaliser's table (XLM-RoBERTa's)
 *   "llama" BPE of SentencePiece's: merges are made of scores (gguf_merges.h), unknown characters are bytes
 *   "gpt2"  BPE with merges, mostly byte-level; tokenizer.ggml.pre names what is in front of them (gguf_pre.h)
 *   "whitespace"  BPE of plain characters within words (jina-embeddings-v2-base-zh)
 * The texts that are found before anything else are those of type control, unknown and user defined.
 *
 * Source: llama.cpp's converter and llama-vocab.cpp.
 */
#ifndef HD_MODEL_GGUF_TOKENIZER_H
#define HD_MODEL_GGUF_TOKENIZER_H

#include "base/buffer.h"
#include "model/gguf.h"

/* Appends the text of a tokenizer.json. HD_ERR_UNSUPPORTED names a kind that Heddle does not run. */
HD_MUST_USE hd_status hd__gguf_write_tokenizer(const hd_gguf *gguf, hd_buffer *json, hd_error *err);

/* The same for a file. */
HD_MUST_USE hd_status hd__gguf_read_tokenizer(const char *path, hd_buffer *json, hd_error *err);

#endif
