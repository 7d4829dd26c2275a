/* embed_pack.c - words into their table, as rows.h has it for k_embed. Runs once per model, or never when the packed cache
 * has it. Compiled at baseline.
 */
#include "kernel/rows.h"

#include <float.h>
#include <math.h>

#include "kernel/round_i8.h"

/* A row that is not finite is NaN: a scale of NaN, and zeros. */
static void pack_i8(const float *row, int n, int8_t *q, float *scale)
{
    const float most = k_largest(row, n);
    *scale = most > FLT_MIN * 256.0f ? most / (float)K_I8_MAX : 1.0f; /* 1 / scale must be finite */
    if (isnan(most)) {
        *scale = NAN;
        memset(q, 0, (size_t)n);
        return;
    }
    const float inverse = 1.0f / *scale;
    for (int i = 0; i < n; i += K_ROUND_BLOCK)
        k_round_block(row + i, n - i < K_ROUND_BLOCK ? n - i : K_ROUND_BLOCK, inverse, q + i);
}

void k_embed_pack(k_type type, const float *row, int n, size_t word_stride, size_t at, void *words, float *word_scale)
{
    if (type == K_F32) {
        memcpy((float *)words + at * word_stride, row, (size_t)n * sizeof *row);
    } else if (type == K_BF16) {
        for (int i = 0; i < n; i++)
            ((uint16_t *)words)[at * word_stride + (size_t)i] = k_bf16_from_f32(row[i]);
    } else {
        pack_i8(row, n, (int8_t *)words + at * word_stride, word_scale + at);
    }
}
