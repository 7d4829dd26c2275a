/* distance.h - how near stored vectors are to a query: the contract of the distance family.
 *
 * Vectors are kept twice. For searching, as 8-bit codes, x ~ scale * q with |q| <= 127, stored as u = q + 128: VPDPBUSD
 * multiplies unsigned by signed bytes, so stored rows are the unsigned side, the query is the signed one, and
 *
 *   sum_j q[j] (u[j] - 128) = sum_j q[j] u[j] - 128 sum_j q[j]
 *
 * needs one correction a query and none a row. For scores, as IEEE halves.
 */
#ifndef HD_KERNEL_DISTANCE_H
#define HD_KERNEL_DISTANCE_H

#include <stddef.h>
#include <stdint.h>

#define K_CODES_STEP 64       /* bytes of a row are padded to a multiple of it; what the padding holds does not matter */
#define K_CODES_MAX (1 << 16) /* bytes of a row: its products stay below 2^31 */
#define K_CODES_ZERO 128      /* u of q = 0 */
#define K_CODES_MOST 127      /* largest |q| */

/* out[i] = sum_j query[j] * (rows[i][j] - 128), exactly, in every level. query is [n], any alignment, in -127 … 127 and zero
 * past the vector's end; offset = 128 * sum of query; n a multiple of K_CODES_STEP up to K_CODES_MAX; rows of n bytes and
 * any alignment, in no order: each is asked for from memory some rows ahead. */
typedef struct k_codes {
    const int8_t *query;
    int32_t offset;
    int n;
} k_codes;
typedef void k_codes_dot_fn(const k_codes *codes, const uint8_t *const *rows, size_t n_rows, int32_t *out);

/* A row as a query: query[j] = row[j] - 128, [n]; returns 128 * their sum. */
typedef int32_t k_codes_flip_fn(const uint8_t *row, int n, int8_t *query);

/* sum_j query[j] * half(row[j]); any alignment of the elements. Tolerance class: reduction. */
typedef float k_half_dot_fn(const float *query, const uint16_t *row, size_t n);

#endif
