/* head.h - what is made of the last hidden states: any mix of heads from one pass. */
#ifndef HD_ENCODER_HEAD_H
#define HD_ENCODER_HEAD_H

#include "encoder/states.h"

/* Whether all wanted heads read the same one row of each sequence, so that the last layer may compute only those. */
bool hd__picks_rows(const hd_encoder *encoder, const hd_batch *batch);

/* Values of the widest f32 row that attention or a head leaves in states->context. */
int hd__context_width(const hd_encoder *encoder);

/* Bytes of scratch the heads need for n_tokens. */
size_t hd__head_scratch_bytes(const hd_encoder *encoder, int n_tokens);

/* Writes the wanted outputs of the batch. */
void hd__heads_forward(hd_states *states);

#endif
