/* head.h - from hidden states to vectors: pooling, then Dense modules. */
#ifndef HD_ENCODER_HEAD_H
#define HD_ENCODER_HEAD_H

#include "encoder/encoder.h"

/* Bytes head_forward needs for n_sequences: 0 without Dense modules. */
size_t hd__head_scratch_bytes(const hd_encoder *encoder, int n_sequences);

/* batch->out = dense(pool(x)). x is [n_tokens, stride], or, when `gathered`, [n_sequences, stride] with the one
 * pooled row of each. */
void hd__head_forward(const hd_encoder *encoder, hd_run *run, const hd_batch *batch, const float *x, size_t stride,
                      bool gathered, char *scratch);

/* The epilogue of a matrix product that applies an activation. */
k_epilogue hd__epilogue_of(hd_activation activation);

/* Whether pooling needs one row only, and which: CLS the first that pooling does not skip, last the last. */
bool hd__pools_one_row(const hd_settings *settings);
int hd__pooled_row(const hd_settings *settings, const hd_batch *batch, int sequence);

#endif
