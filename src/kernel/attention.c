/* attention.c - what all levels share: the size of the scratch. See attention.h. */
#include "kernel/attention.h"

#include "kernel/attention_span.h"

size_t k_attention_scratch_bytes(int n_k, int head_dim)
{
    /* A group of queries, then the largest of: k and v widened to f32 (attention_tmpl.h), v in pairs (attention_bf16.c),
     * k and v as int16 (attention_vnni.c), k and v in tiles (attention_amx.c), each with keys rounded up. */
    size_t keys = ((size_t)n_k + 31) / 32 * 32;
    return (k_span_floats(head_dim) + 2 * keys * (size_t)k_padded(head_dim)) * sizeof(float) + 64 * K_HEAD_DIM_MAX;
}
