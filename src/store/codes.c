/* codes.c - see codes.h. */
#include "store/codes.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "base/alloc.h"

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "blocks are copied as they lie in the file");

static size_t segment_bytes(const hd_codes *codes)
{
    return sizeof(hd_segment) + (size_t)HD_SEGMENT * codes->row_bytes;
}

hd_status hd__codes_new(uint32_t n_dimensions, hd_codes **out, hd_error *err)
{
    hd_codes *codes = hd__calloc(1, sizeof *codes);
    if (codes == NULL)
        return hd__fail(err, HD_ERR_MEMORY, "no memory for %zu bytes of a vector index", sizeof *codes);
    hd_kernels kernels;
    hd__kernels_fill(&kernels);
    codes->dot = kernels.codes_dot;
    codes->flip = kernels.codes_flip;
    codes->n_dimensions = n_dimensions;
    codes->row_bytes = (uint32_t)hd__round_up(n_dimensions, K_CODES_STEP);
    pthread_mutex_init(&codes->lock, NULL);
    *out = codes;
    return HD_OK;
}

void hd__codes_free(hd_codes *codes)
{
    if (codes == NULL)
        return;
    for (uint32_t i = 0; i < codes->n_segments; i++)
        hd__map_free(codes->segments[i], segment_bytes(codes));
    pthread_mutex_destroy(&codes->lock);
    hd__free(codes);
}

/* max |x| / 127, and what values are multiplied by; 0 both when that is nothing. */
static float scale_of(const float *row, uint32_t n, float *inverse)
{
    float most = 0.0f;
    for (uint32_t j = 0; j < n; j++)
        most = fabsf(row[j]) > most ? fabsf(row[j]) : most;
    *inverse = most >= 1e-30f ? K_CODES_MOST / most : 0.0f;
    return most >= 1e-30f ? most / K_CODES_MOST : 0.0f;
}

/* To nearest: what is rounded down here is positive. */
static inline uint8_t code_of(float value, float inverse)
{
    return (uint8_t)(value * inverse + (K_CODES_ZERO + 0.5f));
}

float hd__codes_quantise(const hd_codes *codes, const float *row, uint8_t *out)
{
    float inverse, scale = scale_of(row, codes->n_dimensions, &inverse);
    memset(out, K_CODES_ZERO, codes->row_bytes);
    for (uint32_t j = 0; j < codes->n_dimensions; j++)
        out[j] = code_of(row[j], inverse);
    return scale;
}

void hd__codes_query(const hd_codes *codes, const float *row, int8_t *bytes, hd_query_codes *query)
{
    float inverse;
    query->scale = scale_of(row, codes->n_dimensions, &inverse);
    int32_t sum = 0;
    memset(bytes, 0, codes->row_bytes);
    for (uint32_t j = 0; j < codes->n_dimensions; j++) {
        bytes[j] = (int8_t)(code_of(row[j], inverse) ^ K_CODES_ZERO);
        sum += bytes[j];
    }
    query->codes = (k_codes){bytes, K_CODES_ZERO * sum, (int)codes->row_bytes};
}

void hd__codes_query_row(const hd_codes *codes, uint32_t id, int8_t *bytes, hd_query_codes *query)
{
    const int32_t offset = codes->flip(hd__codes_row(codes, id), (int)codes->row_bytes, bytes);
    query->codes = (k_codes){bytes, offset, (int)codes->row_bytes};
    query->scale = hd__codes_scale(codes, id);
}

/* Makes the segment of a row when there is none. Under the lock. */
static hd_status make_segment(hd_codes *codes, uint32_t id, hd_segment **segment, hd_error *err)
{
    const uint32_t at = id >> HD_SEGMENT_SHIFT;
    *segment = codes->segments[at];
    if (*segment != NULL)
        return HD_OK;
    *segment = hd__map_alloc(segment_bytes(codes));
    if (*segment == NULL)
        return hd__fail(err, HD_ERR_MEMORY, "no memory for %zu bytes of vectors", segment_bytes(codes));
    atomic_store_explicit(&codes->segments[at], *segment, memory_order_release);
    if (codes->n_segments <= at)
        codes->n_segments = at + 1;
    return HD_OK;
}

/* Counts rows that have come into a segment. Searches begin by reading a few rows of each: huge pages come when half of them
 * are here, so that a first search does not wait until the kernel has cleared memory for all. Under the lock. */
static void count_rows(const hd_codes *codes, hd_segment *s, uint32_t n)
{
    const uint32_t before = s->n_here;
    s->n_here += n;
    if (before < HD_SEGMENT / 2 && s->n_here >= HD_SEGMENT / 2)
        hd__map_widen(s, segment_bytes(codes));
}

void hd__codes_grow(hd_codes *codes, uint32_t from, uint32_t n)
{
    pthread_mutex_lock(&codes->lock);
    uint64_t n_missing = 0;
    for (uint32_t id = from; id < n; id = (id | (HD_CODE_BLOCK - 1)) + 1) {
        const uint32_t first = id & ~(HD_CODE_BLOCK - 1), end = n - first < HD_CODE_BLOCK ? n - first : HD_CODE_BLOCK;
        const uint32_t here = hd__codes_n_rows(codes, id), begin = here > id - first ? here : id - first;
        n_missing += end > begin ? end - begin : 0;
    }
    codes->n_missing += n_missing;
    pthread_mutex_unlock(&codes->lock);
}

/* Copies rows that are not here from a block's bytes. Under the lock. */
static hd_status take_block(hd_codes *codes, hd_block_io *io, uint32_t first, uint32_t n_wanted, hd_span bytes,
                            hd_error *err)
{
    const uint32_t block = first >> HD_CODE_BLOCK_SHIFT;
    const size_t each = sizeof(float) + codes->row_bytes, n_rows = bytes.len / each;
    if (bytes.len % each != 0 || n_rows > HD_CODE_BLOCK || n_rows < n_wanted)
        return hd__block_fail(io, HD_BLOCK_CODES, block, "its length is wrong", err);
    hd_segment *s;
    HD_TRY(make_segment(codes, first, &s, err));
    const uint32_t here = hd__codes_n_rows(codes, first), at = first & (HD_SEGMENT - 1);
    for (uint32_t i = here; i < n_wanted; i++) {
        float scale;
        memcpy(&scale, bytes.ptr + i * sizeof scale, sizeof scale);
        if (!isfinite(scale) || scale < 0.0f)
            return hd__block_fail(io, HD_BLOCK_CODES, block, "a scale is no number", err);
        s->scales[at + i] = scale;
        memcpy(s->rows + (size_t)(at + i) * codes->row_bytes, bytes.ptr + n_rows * sizeof scale + i * codes->row_bytes,
               codes->row_bytes);
    }
    if (n_wanted > here) {
        atomic_store_explicit(&s->n_rows[at >> HD_CODE_BLOCK_SHIFT], (uint8_t)n_wanted, memory_order_release);
        atomic_fetch_sub_explicit(&codes->n_missing, n_wanted - here, memory_order_release);
        count_rows(codes, s, n_wanted - here);
    }
    return HD_OK;
}

/* The block is read before the lock is taken: readers do not wait for each other's reading, and two that read the same block
 * bring the same rows. */
hd_status hd__codes_load(hd_codes *codes, hd_block_io *io, uint32_t id, uint32_t n, hd_error *err)
{
    const uint32_t first = id & ~(HD_CODE_BLOCK - 1), n_wanted = n - first < HD_CODE_BLOCK ? n - first : HD_CODE_BLOCK;
    hd_span bytes;
    if (hd__codes_n_rows(codes, id) >= n_wanted)
        return HD_OK;
    HD_TRY(hd__block_get(io, HD_BLOCK_CODES, first >> HD_CODE_BLOCK_SHIFT, &bytes, err));
    pthread_mutex_lock(&codes->lock);
    hd_status status = take_block(codes, io, first, n_wanted, bytes, err);
    pthread_mutex_unlock(&codes->lock);
    return status;
}

hd_status hd__codes_append(hd_codes *codes, uint32_t id, const uint8_t *row, float scale, hd_error *err)
{
    hd_segment *s;
    pthread_mutex_lock(&codes->lock);
    hd_status status = make_segment(codes, id, &s, err);
    if (status == HD_OK) {
        const uint32_t at = id & (HD_SEGMENT - 1);
        s->scales[at] = scale;
        memcpy(s->rows + (size_t)at * codes->row_bytes, row, codes->row_bytes);
        atomic_store_explicit(&s->n_rows[at >> HD_CODE_BLOCK_SHIFT], (uint8_t)((id & (HD_CODE_BLOCK - 1)) + 1),
                              memory_order_release);
        count_rows(codes, s, 1);
    }
    pthread_mutex_unlock(&codes->lock);
    return status;
}

void hd__codes_truncate(hd_codes *codes, uint32_t n)
{
    pthread_mutex_lock(&codes->lock);
    for (uint32_t i = n >> HD_SEGMENT_SHIFT; i < codes->n_segments; i++) {
        hd_segment *s = codes->segments[i];
        for (uint32_t b = 0; s != NULL && b < HD_SEGMENT / HD_CODE_BLOCK; b++) {
            const uint64_t first = ((uint64_t)i << HD_SEGMENT_SHIFT) + b * HD_CODE_BLOCK;
            const uint32_t left = first >= n ? 0 : n - first < HD_CODE_BLOCK ? (uint32_t)(n - first) : HD_CODE_BLOCK;
            if (s->n_rows[b] > left)
                s->n_rows[b] = (uint8_t)left;
        }
    }
    pthread_mutex_unlock(&codes->lock);
}

void hd__codes_pack(const hd_codes *codes, uint32_t first, uint32_t n, char *bytes)
{
    for (uint32_t i = 0; i < n; i++) {
        const float scale = hd__codes_scale(codes, first + i);
        memcpy(bytes + i * sizeof scale, &scale, sizeof scale);
        memcpy(bytes + n * sizeof scale + (size_t)i * codes->row_bytes, hd__codes_row(codes, first + i), codes->row_bytes);
    }
}

uint64_t hd__codes_memory(const hd_codes *codes)
{
    uint64_t n_blocks = 0;
    for (uint32_t i = 0; i < codes->n_segments; i++) {
        const hd_segment *s = codes->segments[i];
        for (uint32_t b = 0; s != NULL && b < HD_SEGMENT / HD_CODE_BLOCK; b++)
            n_blocks += s->n_rows[b] > 0;
    }
    return sizeof *codes + n_blocks * HD_CODE_BLOCK * (codes->row_bytes + sizeof(float) + 1);
}
