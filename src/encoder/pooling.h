/* pooling.h - from hidden states to one vector for each sequence: pooling, then Dense modules. */
#ifndef HD_ENCODER_POOLING_H
#define HD_ENCODER_POOLING_H

#include "encoder/encoder.h"

/* Bytes pooling_forward needs for n_sequences: 0 without Dense modules. */
size_t hd__pooling_scratch_bytes(const hd_encoder *encoder, int n_sequences);

/* batch->out = dense(pool(x)), by sequence or by span. x is [n_tokens, stride], or, when `gathered`, [n_sequences, stride]
 * with the one pooled row of each. */
void hd__pooling_forward(const hd_encoder *encoder, hd_run *run, const hd_batch *batch, const float *x, size_t stride,
                         bool gathered, char *scratch);

/* Whether hd_pooling bits need one row only, and which: CLS the first that pooling does not skip, last the last. */
bool hd__pools_one_row(uint32_t pooling);
int hd__pooled_row(uint32_t pooling, const hd_batch *batch, int sequence);

#endif
