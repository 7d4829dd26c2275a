/* pooling.h - from hidden states to one row for each sequence: pooling, then the Dense modules or the classifier behind it.
 */
#ifndef HD_ENCODER_POOLING_H
#define HD_ENCODER_POOLING_H

#include "encoder/encoder.h"

/* Bytes of scratch the head needs for n_sequences: 0 without steps. */
size_t hd__row_head_scratch_bytes(const hd_row_head *head, int n_sequences);

/* out [n_sequences, head->n_out] = steps(pool(x)), by sequence or by span. x is [n_tokens, stride], or, when `gathered`,
 * [n_sequences, stride] with the one pooled row of each. */
void hd__row_head_forward(const hd_encoder *encoder, const hd_row_head *head, hd_run *run, const hd_batch *batch,
                          const float *x, size_t stride, bool gathered, char *scratch, float *out);

/* out [n_rows, stride] = activation(W in + b) + R in, of a step without its norm. */
void hd__step_forward(const hd_encoder *encoder, hd_run *run, const hd_head_step *step, const hd_act *in, int n_rows,
                      float *out, size_t stride);

/* Whether hd_pooling bits need one row of each sequence only: CLS the first that pooling does not skip, last the last. */
bool hd__pools_one_row(uint32_t pooling);

#endif
