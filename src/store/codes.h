/* codes.h - 8-bit codes of vectors in memory: what searches walk and scan over.
 *
 * A row is n_dimensions codes u = q + 128, padded to whole 64 bytes (kernel/distance.h), and a scale: x ~ scale * q,
 * scale = max |x| / 127. Rows lie in segments of 65,536, which never move, so that rows are appended while others are read.
 * Blocks of 64 rows are read from the file when they are first needed. Who reads rows below a number that was committed, and
 * asked for them by hd__codes_need or found that none is missing, needs no lock.
 *
 * Threads: any; appending and truncating is the one writer's. The lock is hd_codes.lock: reading blocks, making segments.
 */
#ifndef HD_STORE_CODES_H
#define HD_STORE_CODES_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/limits.h"
#include "kernel/kernels.h"
#include "store/vector_blocks.h"

#define HD_CODE_BLOCK_SHIFT 6
#define HD_CODE_BLOCK (1u << HD_CODE_BLOCK_SHIFT)
#define HD_SEGMENT_SHIFT 16
#define HD_SEGMENT (1u << HD_SEGMENT_SHIFT)
#define HD_N_SEGMENTS (HD_LIMIT_CHUNKS / HD_SEGMENT)

typedef struct hd_segment {
    _Atomic uint8_t n_rows[HD_SEGMENT / HD_CODE_BLOCK]; /* of each block that are here */
    uint32_t n_here;                                    /* rows that have ever been here; under the lock */
    float scales[HD_SEGMENT];
    uint8_t rows[];
} hd_segment;

typedef struct hd_codes {
    pthread_mutex_t lock;
    uint32_t n_dimensions, row_bytes;
    k_codes_dot_fn *dot;
    k_codes_flip_fn *flip;
    _Atomic uint64_t n_missing; /* committed rows that are not here */
    _Atomic uint32_t n_segments;
    hd_segment *_Atomic segments[HD_N_SEGMENTS];
} hd_codes;

/* A vector as products take it. */
typedef struct hd_query_codes {
    k_codes codes;
    float scale;
} hd_query_codes;

HD_MUST_USE hd_status hd__codes_new(uint32_t n_dimensions, hd_codes **codes, hd_error *err);
void hd__codes_free(hd_codes *codes); /* NULL allowed */

/* The row's codes to codes[row_bytes]; returns its scale, 0 for a row of zeros. Values are finite. */
float hd__codes_quantise(const hd_codes *codes, const float *row, uint8_t *out);

/* The same as signed bytes for a query, to bytes[row_bytes], which lives as long as it. */
void hd__codes_query(const hd_codes *codes, const float *row, int8_t *bytes, hd_query_codes *query);
/* Row `id` as a query. */
void hd__codes_query_row(const hd_codes *codes, uint32_t id, int8_t *bytes, hd_query_codes *query);

/* Rows `from` … n - 1 are there for all: those that are not in memory count as missing. */
void hd__codes_grow(hd_codes *codes, uint32_t from, uint32_t n);

/* Reads rows of the block of `id` that are below n and not here. */
HD_MUST_USE hd_status hd__codes_load(hd_codes *codes, hd_block_io *io, uint32_t id, uint32_t n, hd_error *err);

/* The writer's: row `id`, which lies behind all others of its block, and forgetting rows from n on. */
HD_MUST_USE hd_status hd__codes_append(hd_codes *codes, uint32_t id, const uint8_t *row, float scale, hd_error *err);
void hd__codes_truncate(hd_codes *codes, uint32_t n);

/* The block that begins with row `first`, of n rows, as it is kept: bytes[n * (4 + row_bytes)]. */
void hd__codes_pack(const hd_codes *codes, uint32_t first, uint32_t n, char *bytes);

uint64_t hd__codes_memory(const hd_codes *codes);

static inline bool hd__codes_complete(const hd_codes *codes)
{
    return atomic_load_explicit(&codes->n_missing, memory_order_acquire) == 0;
}

static inline const hd_segment *hd__codes_segment(const hd_codes *codes, uint32_t id)
{
    return atomic_load_explicit(&codes->segments[id >> HD_SEGMENT_SHIFT], memory_order_acquire);
}

/* Rows of the block of `id` that are here. */
static inline uint32_t hd__codes_n_rows(const hd_codes *codes, uint32_t id)
{
    const hd_segment *s = hd__codes_segment(codes, id);
    const uint32_t block = (id & (HD_SEGMENT - 1)) >> HD_CODE_BLOCK_SHIFT;
    return s == NULL ? 0 : atomic_load_explicit(&s->n_rows[block], memory_order_acquire);
}

static inline const uint8_t *hd__codes_row(const hd_codes *codes, uint32_t id)
{
    return hd__codes_segment(codes, id)->rows + (size_t)(id & (HD_SEGMENT - 1)) * codes->row_bytes;
}

static inline float hd__codes_scale(const hd_codes *codes, uint32_t id)
{
    return hd__codes_segment(codes, id)->scales[id & (HD_SEGMENT - 1)];
}

/* Row `id`, of n there are, is in memory when this returns. */
static inline hd_status hd__codes_need(hd_codes *codes, hd_block_io *io, uint32_t id, uint32_t n, hd_error *err)
{
    if (hd__codes_n_rows(codes, id) > (id & (HD_CODE_BLOCK - 1)))
        return HD_OK;
    return hd__codes_load(codes, io, id, n, err);
}

#endif
