/* codes_neon.h - what codes_tmpl.h needs of 16-byte vectors, but for the product itself. Both sides are signed here. */
#ifndef HD_KERNEL_CODES_NEON_H
#define HD_KERNEL_CODES_NEON_H

#define CD_BYTES 16
#define CD_CORRECTED 1
typedef int8x16_t cd_query, cd_row;
typedef int32x4_t cd_acc;
static inline cd_acc cd_zero(void)
{
    return vdupq_n_s32(0);
}
static inline cd_query cd_query_load(const int8_t *p)
{
    return vld1q_s8(p);
}
static inline cd_row cd_row_load(const uint8_t *p)
{
    return vreinterpretq_s8_u8(veorq_u8(vld1q_u8(p), vdupq_n_u8(K_CODES_ZERO)));
}
static inline int32_t cd_sum(cd_acc acc)
{
    return vaddvq_s32(acc);
}

#endif
