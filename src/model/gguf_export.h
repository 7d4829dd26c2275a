/* gguf_export.h - a model of the Hub's layout as a GGUF file that llama.cpp runs: the inverse of gguf_settings.h,
 * gguf_tokenizer.h and gguf_names.h, for every architecture that llama.cpp has and Heddle runs.
 *
 * What GGUF has no place for is refused (Dense modules, heads other than vectors and scores) or, where vectors stay what
 * they are, left out: poolers that nothing reads, masked-language heads, bge-m3's sparse and multi-vector heads (which is
 * said), prompts, a max_seq_length. Of a Qwen3-Reranker's head there are two rows.
 */
#ifndef HD_MODEL_GGUF_EXPORT_H
#define HD_MODEL_GGUF_EXPORT_H

#include "model/settings.h"
#include "model/tensor_type.h"

/* Writes `path` atomically. Matrices are of `type` (F32, F16 or Q8_0), but for those whose rows are no whole blocks: F16;
 * tables of positions and token types and all vectors are F32. HD_ERR_UNSUPPORTED names what does not go. */
HD_MUST_USE hd_status hd__gguf_export(const hd_settings *settings, hd_tensor_type type, const char *path, hd_error *err);

#endif
