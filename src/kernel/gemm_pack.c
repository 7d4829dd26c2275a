/* gemm_pack.c - weights into panels; the layout is drawn in gemm.h. Runs once per model, or never when the packed
 * cache has it. Compiled at baseline.
 */
#include "kernel/gemm.h"

#include <assert.h>
#include <float.h>
#include <math.h>
#include <string.h>

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

/* The largest magnitude; NaN when the row holds one, or an infinity. */
static float largest(const float *row, int k)
{
    float most = 0.0f, nothing = 0.0f;
    for (int i = 0; i < k; i++) {
        float size = fabsf(row[i]);
        most = size > most ? size : most;
        nothing += size - size;
    }
    return most + nothing;
}

/* The larger of what the positive and the negative of w[{0, 1, 4, 5}] sum to: their sum is that of all sizes, their
 * difference that of all. */
static float lane_sum(const float *w)
{
    const float sizes = fabsf(w[0]) + fabsf(w[1]) + fabsf(w[4]) + fabsf(w[5]);
    return 0.5f * (sizes + fabsf(w[0] + w[1] + w[4] + w[5]));
}

/* The largest of all lanes that K_I8_NARROW_SUM is about. */
static float largest_lane(const float *row, int k)
{
    float most = 0.0f;
    for (int i = 0; i < k; i += 8) {
        float rest[8] = {0.0f};
        const float *w = row + i;
        if (k - i < 8)
            w = memcpy(rest, w, (size_t)(k - i) * sizeof *w);
        const float one = lane_sum(w), other = lane_sum(w + 2);
        most = one > most ? one : most;
        most = other > most ? other : most;
    }
    return most;
}

/* Symmetric, one scale a channel: q = round(w / scale), scale = max |w| / 127. Narrow, lanes have their say too, and
 * four roundings add two at most. A channel that is not finite has NaN for scale and q = 0, so that its outputs are NaN. */
static void pack_i8(bool narrow, int k, int channel, const float *row, int8_t *panels, float *scale, float *channel_sum)
{
    const float most = largest(row, k), lane = narrow ? largest_lane(row, k) : 0.0f;
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
    for (int i = 0; i < k; i++) {
        /* 2^23 * 1.5 pushes the fraction out of the mantissa: round to nearest even without a call. */
        float q = (row[i] * inverse + 12582912.0f) - 12582912.0f;
        int32_t rounded = (int32_t)q;
        sum += rounded;
        to[(size_t)(i / 4) * K_PANEL * 4 + (size_t)(i % 4)] = (int8_t)rounded;
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
