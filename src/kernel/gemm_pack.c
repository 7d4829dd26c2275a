/* gemm_pack.c - weights into panels; the layout is drawn in gemm.h. Runs once per model, or never when the packed
 * cache has it. Compiled at baseline.
 */
#include "kernel/gemm.h"

#include <assert.h>
#include <float.h>
#include <math.h>
#include <string.h>

#include "kernel/round_i8.h"

_Static_assert(K_ROUND_BLOCK == K_PAD, "a row's last block is its padding's too");

size_t k_pack_bytes(k_type type, int n, int k)
{
    return (size_t)k_padded(n) * (size_t)k_padded(k) * k_type_bytes(type);
}

/* Where element (channel, 0) lies; element (channel, i) is i / group * 16 * group + i % group further. */
static size_t panel_at(int channel, int k_pad, int group)
{
    return (size_t)(channel / K_PANEL) * K_PANEL * (size_t)k_pad + (size_t)(channel % K_PANEL) * (size_t)group;
}

static void pack_f32(int k, int channel, const float *row, float *panels)
{
    float *to = panels + panel_at(channel, k_padded(k), 1);
    for (int i = 0; i < k; i++)
        to[(size_t)i * K_PANEL] = row[i];
}

static void pack_bf16(int k, int channel, const float *row, uint16_t *panels)
{
    uint16_t *to = panels + panel_at(channel, k_padded(k), 2);
    for (int i = 0; i < k; i++)
        to[(size_t)(i / 2) * K_PANEL * 2 + (size_t)(i % 2)] = k_bf16_from_f32(row[i]);
}

typedef float four __attribute__((vector_size(16)));
typedef int32_t four_bits __attribute__((vector_size(16)));

static inline four sizes_of(four x)
{
    return (four)((four_bits)x & 0x7fffffff);
}

/* The larger of what the positive and the negative weights of each of four lanes sum to, w[8 i + 2 j + {0, 1, 4, 5}], i
 * and j being 0 or 1: their sum is that of all sizes, their difference that of all. */
static inline four lane_sums(const float w[16])
{
    four a, b, c, d;
    memcpy(&a, w, sizeof a);
    memcpy(&b, w + 4, sizeof b);
    memcpy(&c, w + 8, sizeof c);
    memcpy(&d, w + 12, sizeof d);
    const four w0 = __builtin_shufflevector(a, c, 0, 2, 4, 6), w1 = __builtin_shufflevector(a, c, 1, 3, 5, 7);
    const four w4 = __builtin_shufflevector(b, d, 0, 2, 4, 6), w5 = __builtin_shufflevector(b, d, 1, 3, 5, 7);
    return 0.5f * (sizes_of(w0) + sizes_of(w1) + sizes_of(w4) + sizes_of(w5) + sizes_of(w0 + w1 + w4 + w5));
}

/* The largest of all lanes that K_I8_NARROW_SUM is about. */
static float largest_lane(const float *row, int k)
{
    four most = {0.0f};
    for (int i = 0; i < k; i += 16) {
        float rest[16] = {0.0f};
        const float *w = row + i;
        if (k - i < 16)
            w = memcpy(rest, w, (size_t)(k - i) * sizeof *w);
        const four sums = lane_sums(w);
        const four_bits larger = sums > most;
        most = (four)(((four_bits)sums & larger) | ((four_bits)most & ~larger));
    }
    return fmaxf(fmaxf(most[0], most[1]), fmaxf(most[2], most[3]));
}

/* Symmetric, one scale a channel: q = round(w / scale), scale = max |w| / 127. Narrow, lanes have their say too, and
 * four roundings add two at most. A channel that is not finite has NaN for scale and q = 0, so that its outputs are NaN. */
static void pack_i8(bool narrow, int k, int channel, const float *row, int8_t *panels, float *scale, float *channel_sum)
{
    const float most = k_largest(row, k), lane = narrow ? largest_lane(row, k) : 0.0f;
    if (isnan(most)) {
        *scale = *channel_sum = NAN;
        return;
    }
    float unit = most / (float)K_I8_MAX;
    if (lane / (float)(K_I8_NARROW_SUM - 2) > unit)
        unit = lane / (float)(K_I8_NARROW_SUM - 2);
    if (!(unit > FLT_MIN * 2.0f)) /* 1 / unit must be finite */
        unit = 1.0f;
    float inverse = 1.0f / unit;
    int8_t *to = panels + panel_at(channel, k_padded(k), 4);
    int32_t sum = 0;
    for (int i = 0; i < k; i += K_ROUND_BLOCK) {
        int8_t q[K_ROUND_BLOCK] = {0};
        sum += k_round_block(row + i, k - i < K_ROUND_BLOCK ? k - i : K_ROUND_BLOCK, inverse, q);
        for (int group = 0; group < K_ROUND_BLOCK; group += 4, to += K_PANEL * 4)
            memcpy(to, q + group, 4);
    }
    *scale = unit;
    *channel_sum = unit * (float)sum;
}

void k_pack_rows(k_type type, bool narrow, int k, int first, int n_rows, const float *rows, void *panels, float *scale,
                 float *channel_sum)
{
    for (int r = 0; r < n_rows; r++) {
        const float *row = rows + (size_t)r * (size_t)k;
        int channel = first + r;
        switch (type) {
        case K_F32: pack_f32(k, channel, row, panels); break;
        case K_BF16: pack_bf16(k, channel, row, panels); break;
        case K_I8: pack_i8(narrow, k, channel, row, panels, scale + channel, channel_sum + channel); break;
        case K_F16:
        case K_F8: break;
        }
    }
}

void k_unpack_row(const k_weights *w, int channel, float *row)
{
    const int group = w->type == K_F32 ? 1 : w->type == K_BF16 ? 2 : 4;
    assert(w->hadamard <= 1);
    const size_t first = panel_at(channel, w->k_pad, group);
    for (int i = 0; i < w->k; i++) {
        const size_t at = first + (size_t)(i / group) * K_PANEL * (size_t)group + (size_t)(i % group);
        row[i] = w->type == K_F32    ? ((const float *)w->panels)[at]
                 : w->type == K_BF16 ? k_f32_from_bf16(((const uint16_t *)w->panels)[at])
                                     : w->scale[channel] * (float)((const int8_t *)w->panels)[at];
    }
}
