/* states.h - the hidden states of one pass: what an architecture's forward works on.
 *
 * Two copies of the hidden states are kept: x in f32, the residual stream, and act, x as the next matrix product
 * reads it (kernel/rows.h); each norm writes both. Scratch is one block, planned for T tokens and S sequences or spans, each
 * part at a multiple of 64 bytes; strides come from k_row_stride, R are the rows of the wide middle worked on at a time
 * (hd_device_ops.block_rows):
 *
 *   x        f32   [T, hidden]             act      act_type [T, as context] (+ scale, offset [T] for int8)
 *                                          normed   normed_type, in act's place (+ scale [T] for K_F8; int8 multiplied by
 *                                                   H, kernel/hadamard.h, as are the weights of what reads it)
 *   qkv      qkv_type [T, q + k + v]       context  f32   [T, widest of attention and heads]
 *   middle   middle_type [R, intermediate], int8     middle_act act_type [R, intermediate] (+ scale, offset [R])
 *   low      f32   [T, n_tasks * rank], models with adapters only
 *   update   f32   [T, hidden], models that normalise what they add to the stream only
 *   picked   the rows that go on after hd__states_pick: x f32 [S, hidden], act [S, ..], rows int32 [S + 1]
 *   head, and for each member the attention kernel's own
 *
 * Where memory is dear (hd_device_ops.overlays), what heads have, context and head, what attention has, qkv and where it
 * writes f32, context, and what the feed-forward has, middle and middle_act, lie over each other, and R are as many rows as
 * have room there. Attention of 16 bits writes act itself; elsewhere it writes context_type, rows of context or, in 16 bits,
 * narrower ones in their place.
 *
 * x is the first, so that rows of words can be sent there before a pass (hd_embedding.is_gathered).
 *
 * Every member of a team has its own hd_states over the same scratch and makes the same calls.
 */
#ifndef HD_ENCODER_STATES_H
#define HD_ENCODER_STATES_H

#include "encoder/encoder.h"

typedef struct hd_states {
    const hd_encoder *encoder;
    hd_run *run;
    const hd_batch *batch;

    /* The rows worked on: all tokens, or after hd__states_pick one of each sequence. */
    int n_rows;
    float *x; /* [n_rows, x_stride] */
    size_t x_stride;
    hd_act act;    /* where converted rows go; K_F32: only with pre-norm, since products read f32 states where they are */
    hd_act normed; /* act, or where norms put rows of fewer bits in its place */
    hd_act in;     /* what the next product reads: act, normed, or x itself */
    uint32_t pick_pooling; /* the pooling whose row of each sequence is all that the heads read, or 0 */
    bool picked;
    const int32_t *positions; /* [n_rows]: of the rows in their sequences */

    void *qkv; /* [n_tokens, qkv_stride] qkv_type: queries, keys, values, each padded to whole panels; some heads' at a time
                * (hd_device_ops.head_columns), in rows of their own stride, or all heads' */
    size_t qkv_stride;
    float *context; /* [n_rows, context_stride]: heads put their rows here, and attention (hd__states_attended) */
    size_t context_stride;
    hd_act middle, middle_act; /* device.h's hd_ffn */
    int block_rows;            /* R */
    float *low;                /* [n_rows, low_stride]: what adapters make of the rows that a product reads */
    size_t low_stride;
    float *update; /* [n_rows, x_stride]: what a layer's half adds to the stream, to be normalised before */
    char *head;
    char *attention;
    size_t attention_bytes; /* for each member */

    float *picked_x;
    hd_act picked_act, picked_normed;
    int32_t *picked_begin; /* [T + 1]: 0, 1, 2, … */
    int32_t *picked_positions;
} hd_states;

/* Every architecture's scratch_bytes. */
size_t hd__states_bytes(const hd_encoder *encoder, const hd_room *room);

/* Of a row of the middle, with its copy for the next product. */
size_t hd__middle_row_bytes(const hd_encoder *encoder);

void hd__states_begin(const hd_encoder *encoder, hd_run *run, const hd_batch *batch, const hd_room *room, char *scratch,
                      hd_states *states);

/* Values of a row of queries, and of a row of keys or values. */
static inline int hd__q_width(const hd_settings *settings)
{
    return (int)(settings->n_heads * settings->head_dim);
}

static inline int hd__kv_width(const hd_settings *settings)
{
    return (int)(settings->n_kv_heads * settings->head_dim);
}

/* f32 rows as a matrix product's input, which for K_F32 are the rows themselves, else their converted copy in act. */
static inline hd_act hd__states_input(const hd_act *act, float *rows, size_t stride)
{
    return act->type == K_F32 ? (hd_act){.type = K_F32, .data = rows, .stride = stride} : *act;
}

/* Whether attention writes act, and not where context is. */
static inline bool hd__attends_into_act(const hd_encoder *e)
{
    return e->device->overlays && e->context_type != K_F32;
}

/* Where attention writes its rows. */
hd_act hd__states_attended(const hd_states *states);

/* Goes on with the one row of each sequence that the heads read: copies it out of x and in, which then are those rows
 * alone. */
void hd__states_pick(hd_states *states);

#endif
