/* kcheck.h - the harness every kernel is checked in: guarded buffers, data, comparison, the case at hand.
 *
 * A check runs in a process of its own (kcheck.c forks), so it may crash; what it was doing lies in memory shared
 * with the parent. Buffers begin or end at an unmapped page and come filled with 0xff, which is NaN in f32 and
 * bf16; bytes between a buffer and its page are verified when the case ends.
 */
#ifndef HD_TESTS_KCHECK_H
#define HD_TESTS_KCHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernel/kernels.h"

#define KC_EPS (1.0 / 16777216.0) /* 2^-24, half an ulp of f32 at 1 */

typedef struct kc_shared {
    char what[256]; /* the case at hand, in words */
    uint64_t n_seen, n_cases, n_values, n_failed;
    double worst; /* largest |error| / bound seen */
} kc_shared;

typedef struct kc_block {
    uint8_t *map, *data;
    size_t map_bytes, bytes;
} kc_block;

typedef struct kc {
    const hd_kernel_row *row;
    kc_shared *shared;
    uint64_t rng;
    bool quick;    /* fewer cases, for every build */
    int sample;    /* one case in so many */
    bool emulated; /* buffers keep away from their guard page: QEMU reads what masked loads leave out */
    bool at_begin; /* buffers of this case start at their guard page; else they end at it */
    size_t n_blocks;
    kc_block blocks[32];
} kc;

typedef enum kc_data {
    KC_NORMAL,
    KC_WIDE,     /* signs and exponents spread over 24 binary orders */
    KC_DENORMAL, /* a few ordinary values among denormals */
    KC_ZERO,     /* +0 and -0 */
    KC_CONSTANT,
    KC_DATA_COUNT
} kc_data;

extern const char *const kc_data_names[KC_DATA_COUNT];

/* Ends the case before (frees its buffers) and begins one, said in words; false: leave this one out. */
bool kc_case(kc *c, const char *format, ...) __attribute__((format(printf, 2, 3)));
void kc_case_end(kc *c);

/* Between guard pages, aligned to `align`. Lives until the case ends. */
void *kc_buffer(kc *c, size_t bytes, size_t align);
/* The same, at `skew` bytes past a 64-byte boundary. */
void *kc_buffer_skewed(kc *c, size_t bytes, size_t skew);

/* Says what is wrong with the case at hand. */
void kc_fail(kc *c, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* |got - want| <= bound, or both NaN. */
void kc_near(kc *c, const char *name, int i, int j, double got, double want, double bound);
/* Equal bytes. */
void kc_same(kc *c, const char *name, const void *got, const void *want, size_t bytes);

uint64_t kc_random(kc *c);
int kc_below(kc *c, int n); /* uniform in [0, n) */
double kc_uniform(kc *c);   /* [0, 1) */
double kc_normal(kc *c);    /* mean 0, variance 1 */
float kc_value(kc *c, kc_data data);
void kc_fill(kc *c, kc_data data, float *values, size_t n);

void kc_check_gemm(kc *c);
void kc_check_attention(kc *c);
void kc_check_rows(kc *c);
void kc_check_maxsim(kc *c);
void kc_check_distance(kc *c);

/* Times every kernel whose symbol contains `filter`. json may be NULL. */
int kc_bench(const char *filter, const char *json);

#endif
