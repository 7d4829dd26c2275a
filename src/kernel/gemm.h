/* gemm.h - matrix products with packed weights: the contract of the gemm family.
 *
 *   y[m, n] = epilogue( sum_k a[m, k] * w[n, k] + bias[n] + sum_r low[m, r] * lift[r, n] )
 *
 * The last sum is a low-rank change of the weights (LoRA, Hu et al. 2021), W + B A, without W being touched: low = A a is
 * a product of its own beforehand, lift is B transposed. As a rule there is none.
 *
 * Weights are packed once into panels of 16 output channels, in groups of G consecutive k
 * (G = 1 for f32, 2 for bf16, 4 for int8), so that one 64-byte row holds 16 channels times one group:
 *
 *   panels[n_pad / 16][k_pad / G][16][G]
 *
 * That is the operand of VPDPBUSD and VDPBF16PS as it is, and 16 such rows are one AMX B tile. k_pad and
 * n_pad are multiples of 64; the padding is zero, so kernels have no tails in k or n.
 *
 * Activations are row-major with a stride of at least k_pad elements; elements in [k, k_pad) must be zero
 * for f32 and bf16 (they are multiplied by zero weights, and NaN times zero is NaN) and may be anything for
 * int8. Beside bf16 weights they are bf16 where the level multiplies bf16 (VDPBF16PS, AMX), and f32 elsewhere. Outputs have
 * a stride of at least n_pad; columns in [n, n_pad) receive epilogue(0) = 0.
 *
 * int8: w[n, k] ~ scale[n] * q[n, k], |q| <= 127; a[m, k] ~ a_scale[m] * u[m, k] + a_offset[m], u in [0, 255].
 * VPMADDUBSW adds two products in 16 bits, and where it is all there is ("narrow"), those of two groups are added in 16
 * bits before they are widened: u <= 217, and of the four weights that meet in a lane neither the positive nor the
 * negative ones sum to more than 151 in size (docs/SPEED.md has other splits of 2^15). Then
 *
 *   sum_k a w = a_scale[m] * scale[n] * (sum_k u q) + a_offset[m] * channel_sum[n],
 *   channel_sum[n] = scale[n] * sum_k q[n, k]
 *
 * Integer sums are exact, so all levels with the same activations agree to the last rounding of this line. Weights of rows
 * that were multiplied by H (hadamard.h) are packed multiplied by H / r: the kernels need not know.
 *
 * Rounding: f32 and bf16 accumulate in f32, k ascending. An element's bits depend on its row of a, its
 * channel and the level, never on m, n, the range of panels or the rows beside it. (The reference for the
 * tests accumulates in double.) Tolerance class: reduction.
 */
#ifndef HD_KERNEL_GEMM_H
#define HD_KERNEL_GEMM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define K_PANEL 16     /* output channels in a panel */
#define K_PAD 64       /* k and n are padded to multiples of this */
#define K_PANEL_STEP 4 /* panel_begin and panel_end are multiples of this */

typedef enum k_type {
    K_F32,
    K_BF16,
    K_I8,
    K_F16, /* of devices that are not the CPU, and so is the next: no kernel here takes them */
    K_F8   /* E4M3, scaled by rows */
} k_type;

/* Bytes of one element of weights of a type. */
static inline size_t k_type_bytes(k_type type)
{
    return type == K_F32 ? 4 : type == K_I8 || type == K_F8 ? 1 : 2;
}

typedef struct k_weights {
    k_type type;
    int n, k, n_pad, k_pad;
    const void *panels;       /* as above, 64-byte aligned */
    const float *bias;        /* [n_pad] */
    const void *rounded_bias; /* [n_pad] of the type, on devices that are not the CPU; NULL: none */
    const float *scale;       /* [n_pad], int8 and K_F8 only */
    const float *channel_sum; /* [n_pad], int8 only */
    int hadamard;             /* int8: what rows they are for (rows.h, k_act) */
} k_weights;

typedef enum k_epilogue {
    K_STORE,
    K_ADD,  /* out += y; f32 only: the residual stream */
    K_MUL,  /* out *= y: the other half of a gated feed-forward */
    K_GELU, /* y * Phi(y) with the normal distribution's Phi; within 1e-6 for f32 weights, 1e-4 + 2e-6 |y| else */
    K_GELU_TANH,
    K_RELU,
    K_SILU,
    K_TANH,
} k_epilogue;

/* Rows that are added to y, by their factors. */
typedef struct k_low_rank {
    int rank;         /* 0: none */
    const float *low; /* [rows, stride] */
    size_t stride;
    const float *lift; /* [rank, n_pad of the weights], 64-byte aligned, 0 from n on */
} k_low_rank;

typedef struct k_gemm {
    const k_weights *w;
    const void *a;              /* [rows, a_stride] of the type above (uint8_t for int8), 64-byte aligned rows */
    size_t a_stride;            /* elements: whole cache lines */
    const float *a_scale;       /* [rows], int8 only */
    const float *a_offset;      /* [rows], int8 only */
    int rows;                   /* at least 1 */
    int panel_begin, panel_end; /* which panels to compute: output columns [16 * begin, 16 * end) */
    const void *next;           /* panels that the caller takes after these, fetched ahead; NULL: not known */
    k_low_rank change;
    k_epilogue epilogue;
    k_type out_type;   /* K_F32 or K_BF16 (round to nearest even) */
    void *out;         /* [rows, out_stride], 64-byte aligned rows */
    size_t out_stride; /* elements: whole cache lines */
} k_gemm;

typedef void k_gemm_fn(const k_gemm *gemm);

/* ---- packing (gemm_pack.c) ---- */

static inline int k_padded(int n)
{
    return (n + K_PAD - 1) / K_PAD * K_PAD;
}

/* A stride for rows of n padded elements: an odd number of cache lines. Rows a power of two apart compete for the same
 * few sets of the cache: 1536 int8 are 24 lines, and a tile of 16 such rows sits in 8 of 64 sets. */
static inline size_t k_row_stride(int n, k_type type)
{
    size_t line = 64 / k_type_bytes(type), lines = (size_t)k_padded(n) / line;
    return (lines | 1) * line;
}

/* Bytes of the panels of an [n, k] matrix. */
size_t k_pack_bytes(k_type type, int n, int k);

/* Largest u and |q|; narrow, the largest u and sum of one sign in a lane: of q[8 i + 2 j + {0, 1, 4, 5}], j being 0 or 1. */
#define K_I8_ACT_MAX 255
#define K_I8_MAX 127
#define K_I8_NARROW_ACT_MAX 217
#define K_I8_NARROW_SUM 151
_Static_assert(K_I8_NARROW_SUM <= INT16_MAX / K_I8_NARROW_ACT_MAX, "sums in 16 bits must not saturate");

/* Packs rows [first, first + n_rows) of a matrix with k columns, `rows` being [n_rows, k] f32, into its panels, which
 * must have been zeroed; first is a multiple of 16. For int8, scale and channel_sum of those rows are written too, and
 * `narrow` says which bounds hold. */
void k_pack_rows(k_type type, bool narrow, int k, int first, int n_rows, const float *rows, void *panels, float *scale,
                 float *channel_sum);

/* One of those rows back, not multiplied by H: [w->k] f32, as exact as the type. */
void k_unpack_row(const k_weights *w, int channel, float *row);

/* ---- conversions shared by kernels' scalar code ---- */

static inline uint16_t k_bf16_from_f32(float value)
{
    union {
        float f;
        uint32_t u;
    } v = {value};
    if ((v.u & 0x7fffffffu) > 0x7f800000u)
        return (uint16_t)(v.u >> 16 | 0x40); /* quiet NaN */
    return (uint16_t)((v.u + 0x7fffu + (v.u >> 16 & 1)) >> 16);
}

static inline float k_f32_from_bf16(uint16_t value)
{
    union {
        uint32_t u;
        float f;
    } v = {(uint32_t)value << 16};
    return v.f;
}

#endif
