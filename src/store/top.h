/* top.h - the best k of many scored rows: by score, of equal scores the lower number first.
 *
 * A heap of keys whose worst is on top. A key is one integer: the score's bits in an order that integers have, then the
 * number, complemented. What is best does not depend on the order of arrival.
 */
#ifndef HD_STORE_TOP_H
#define HD_STORE_TOP_H

#include "base/half.h"
#include "store/legs.h"

typedef struct hd_top {
    uint64_t *keys; /* [k] the caller's */
    size_t n, k;
    float worst; /* a lower score cannot enter */
} hd_top;

static inline uint64_t hd__top_key(float score, uint32_t id)
{
    const uint32_t bits = hd__float_bits(score);
    return (uint64_t)(bits & 0x80000000u ? ~bits : bits | 0x80000000u) << 32 | (uint32_t)~id;
}

static inline uint32_t hd__top_id(uint64_t key)
{
    return ~(uint32_t)key;
}

static inline float hd__top_score(uint64_t key)
{
    const uint32_t bits = (uint32_t)(key >> 32);
    return hd__float_of_bits(bits & 0x80000000u ? bits & 0x7fffffffu : ~bits);
}

void hd__top_init(hd_top *top, uint64_t *keys, size_t k); /* k at least 1 */
void hd__top_push(hd_top *top, uint64_t key);
void hd__top_sort(hd_top *top); /* best first; nothing is added after it */

/* Scores are no NaN. */
static inline void hd__top_add(hd_top *top, float score, uint32_t id)
{
    if (score >= top->worst)
        hd__top_push(top, hd__top_key(score, id));
}

#endif
