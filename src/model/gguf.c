/* gguf.c - see gguf.h. */
#include "model/gguf.h"

#include <assert.h>
#include <stdlib.h>

#include "base/alloc.h"

#define MAGIC "GGUF"
#define MAX_NESTED_ARRAYS 4
#define MIN_PAIR_BYTES (8 + 4 + 1)       /* an empty key, a type, a byte */
#define MIN_TENSOR_BYTES (8 + 4 + 4 + 8) /* an empty name, no dimension, a type, an offset */
#define MAX_ALIGNMENT (1u << 20)

/* ---- types ---- */

static const struct {
    const char *name;
    uint8_t bytes; /* 0: not always the same */
} value_types[] = {
    [HD_GGUF_U8] = {"u8", 1},     [HD_GGUF_I8] = {"i8", 1},       [HD_GGUF_U16] = {"u16", 2}, [HD_GGUF_I16] = {"i16", 2},
    [HD_GGUF_U32] = {"u32", 4},   [HD_GGUF_I32] = {"i32", 4},     [HD_GGUF_F32] = {"f32", 4}, [HD_GGUF_BOOL] = {"bool", 1},
    [HD_GGUF_TEXT] = {"text", 0}, [HD_GGUF_ARRAY] = {"array", 0}, [HD_GGUF_U64] = {"u64", 8}, [HD_GGUF_I64] = {"i64", 8},
    [HD_GGUF_F64] = {"f64", 8},
};

#define N_VALUE_TYPES (sizeof value_types / sizeof *value_types)

/* ggml's numbers. Those without a type here are known by name only, so that errors can say it. */
static const struct {
    const char *name;
    bool is_read;
    hd_tensor_type type;
} tensor_types[] = {
    [0] = {"F32", true, HD_TENSOR_F32},
    [1] = {"F16", true, HD_TENSOR_F16},
    [2] = {"Q4_0", true, HD_TENSOR_Q4_0},
    [3] = {"Q4_1", true, HD_TENSOR_Q4_1},
    [6] = {"Q5_0", true, HD_TENSOR_Q5_0},
    [7] = {"Q5_1", true, HD_TENSOR_Q5_1},
    [8] = {"Q8_0", true, HD_TENSOR_Q8_0},
    [9] = {.name = "Q8_1"},
    [10] = {.name = "Q2_K"},
    [11] = {.name = "Q3_K"},
    [12] = {"Q4_K", true, HD_TENSOR_Q4_K},
    [13] = {"Q5_K", true, HD_TENSOR_Q5_K},
    [14] = {"Q6_K", true, HD_TENSOR_Q6_K},
    [15] = {.name = "Q8_K"},
    [16] = {.name = "IQ2_XXS"},
    [17] = {.name = "IQ2_XS"},
    [18] = {.name = "IQ3_XXS"},
    [19] = {.name = "IQ1_S"},
    [20] = {.name = "IQ4_NL"},
    [21] = {.name = "IQ3_S"},
    [22] = {.name = "IQ2_S"},
    [23] = {.name = "IQ4_XS"},
    [24] = {"I8", true, HD_TENSOR_I8},
    [25] = {"I16", true, HD_TENSOR_I16},
    [26] = {"I32", true, HD_TENSOR_I32},
    [27] = {"I64", true, HD_TENSOR_I64},
    [28] = {"F64", true, HD_TENSOR_F64},
    [29] = {.name = "IQ1_M"},
    [30] = {"BF16", true, HD_TENSOR_BF16},
    [34] = {.name = "TQ1_0"},
    [35] = {.name = "TQ2_0"},
    [39] = {.name = "MXFP4"},
    [40] = {.name = "NVFP4"},
};

#define N_TENSOR_TYPES (sizeof tensor_types / sizeof *tensor_types)

uint32_t hd__gguf_tensor_type(hd_tensor_type type)
{
    uint32_t i = 0;
    while (!tensor_types[i].is_read || tensor_types[i].type != type) {
        i++;
        assert(i < N_TENSOR_TYPES);
    }
    return i;
}

/* ---- pairs ---- */

static hd_span take_text(hd_cursor *c)
{
    uint64_t n = hd__cursor_u64(c);
    return hd__cursor_take(c, (size_t)n);
}

hd_span hd__gguf_next_text(hd_cursor *cursor)
{
    return take_text(cursor);
}

/* Moves past n values. A lie about n ends at the end of the file: each value takes a byte at least. */
static void skip_values(hd_cursor *c, uint32_t type, uint64_t n, int depth)
{
    if (type >= N_VALUE_TYPES || depth > MAX_NESTED_ARRAYS) {
        c->failed = true;
    } else if (type != HD_GGUF_TEXT && type != HD_GGUF_ARRAY) {
        hd__cursor_take(c, hd__mul((size_t)n, value_types[type].bytes));
    } else {
        for (uint64_t i = 0; i < n && !c->failed; i++) {
            if (type == HD_GGUF_TEXT) {
                take_text(c);
                continue;
            }
            uint32_t inner = hd__cursor_u32(c);
            uint64_t n_inner = hd__cursor_u64(c);
            skip_values(c, inner, n_inner, depth + 1);
        }
    }
}

/* A text as a string of C, in the arena. */
static hd_status keep_name(hd_span text, const char *what, const hd_gguf *gguf, hd_arena *arena, const char **name,
                           hd_error *err)
{
    if (text.len == 0 || text.len > HD_LIMIT_GGUF_NAME_BYTES || memchr(text.ptr, '\0', text.len) != NULL)
        return hd__fail(err, HD_ERR_FORMAT, "%s: %s of %zu bytes: allowed are 1 to %u, none of them NUL", gguf->file, what,
                        text.len, HD_LIMIT_GGUF_NAME_BYTES);
    *name = hd__arena_strndup(arena, text.ptr, text.len);
    return *name != NULL ? HD_OK : hd__fail(err, HD_ERR_MEMORY, "%s: no memory for %s", gguf->file, what);
}

static hd_status parse_pair(hd_cursor *c, hd_gguf *gguf, size_t i, hd_arena *arena, hd_error *err)
{
    hd_gguf_pair *pair = &gguf->pairs[i];
    hd_span key = take_text(c);
    if (c->failed)
        return hd__fail(err, HD_ERR_FORMAT, "%s: ends in key %zu of %zu", gguf->file, i, gguf->n_pairs);
    HD_TRY(keep_name(key, "a key", gguf, arena, &pair->key, err));
    if (!hd__name_table_add(&gguf->keys, hd__span_of(pair->key), (uint32_t)i))
        return hd__fail(err, HD_ERR_FORMAT, "%s: key \"%s\" occurs twice", gguf->file, pair->key);
    uint32_t type = hd__cursor_u32(c);
    pair->n = 1;
    pair->is_array = type == HD_GGUF_ARRAY;
    if (pair->is_array) {
        type = hd__cursor_u32(c);
        pair->n = hd__cursor_u64(c);
    }
    if (type >= N_VALUE_TYPES && !c->failed)
        return hd__fail(err, HD_ERR_FORMAT, "%s: key \"%s\" has a value of type %u, known are 0 to %zu", gguf->file,
                        pair->key, type, N_VALUE_TYPES - 1);
    pair->type = (hd_gguf_type)type;
    const char *begin = (const char *)c->at;
    skip_values(c, type, pair->n, 0);
    if (c->failed)
        return hd__fail(err, HD_ERR_FORMAT, "%s: key \"%s\": its value (%llu of %s) does not fit the file", gguf->file,
                        pair->key, (unsigned long long)pair->n, type < N_VALUE_TYPES ? value_types[type].name : "?");
    pair->bytes = hd__span(begin, (size_t)((const char *)c->at - begin));
    return HD_OK;
}

/* ---- values ---- */

const hd_gguf_pair *hd__gguf_find(const hd_gguf *gguf, const char *key)
{
    uint32_t i;
    return hd__name_table_find(&gguf->keys, hd__span_of(key), &i) ? &gguf->pairs[i] : NULL;
}

const hd_tensor *hd__gguf_find_tensor(const hd_gguf *gguf, const char *name)
{
    for (size_t i = 0; i < gguf->n_tensors; i++) {
        if (strcmp(gguf->tensors[i].name, name) == 0)
            return &gguf->tensors[i];
    }
    return NULL;
}

static hd_status wrong_type(const hd_gguf *gguf, const hd_gguf_pair *pair, const char *wanted, hd_error *err)
{
    return hd__fail(err, HD_ERR_FORMAT, "%s: key \"%s\" is %s%s, not %s", gguf->file, pair->key,
                    pair->is_array ? "an array of " : "", value_types[pair->type].name, wanted);
}

hd_status hd__gguf_get_uint(const hd_gguf *gguf, const char *key, uint64_t max, uint64_t *value, hd_error *err)
{
    const hd_gguf_pair *pair = hd__gguf_find(gguf, key);
    if (pair == NULL)
        return HD_OK;
    bool is_signed =
        pair->type == HD_GGUF_I8 || pair->type == HD_GGUF_I16 || pair->type == HD_GGUF_I32 || pair->type == HD_GGUF_I64;
    bool is_unsigned =
        pair->type == HD_GGUF_U8 || pair->type == HD_GGUF_U16 || pair->type == HD_GGUF_U32 || pair->type == HD_GGUF_U64;
    if (pair->is_array || (!is_signed && !is_unsigned))
        return wrong_type(gguf, pair, "an integer", err);
    hd_cursor c = hd__cursor(pair->bytes);
    uint64_t wide = hd__cursor_uint(&c, pair->bytes.len);
    bool negative = is_signed && wide >> (8 * pair->bytes.len - 1) != 0;
    if (negative || wide > max)
        return hd__fail(err, HD_ERR_FORMAT, "%s: key \"%s\" is %s%llu, allowed are 0 to %llu", gguf->file, key,
                        negative ? "negative: " : "", (unsigned long long)wide, (unsigned long long)max);
    *value = wide;
    return HD_OK;
}

hd_status hd__gguf_get_real(const hd_gguf *gguf, const char *key, double *value, hd_error *err)
{
    const hd_gguf_pair *pair = hd__gguf_find(gguf, key);
    if (pair == NULL)
        return HD_OK;
    if (pair->is_array || (pair->type != HD_GGUF_F32 && pair->type != HD_GGUF_F64))
        return wrong_type(gguf, pair, "a real number", err);
    double wide;
    float narrow;
    if (pair->type == HD_GGUF_F64) {
        memcpy(&wide, pair->bytes.ptr, sizeof wide);
    } else {
        memcpy(&narrow, pair->bytes.ptr, sizeof narrow);
        wide = (double)narrow;
    }
    if (!__builtin_isfinite(wide))
        return hd__fail(err, HD_ERR_FORMAT, "%s: key \"%s\" is not a finite number", gguf->file, key);
    *value = wide;
    return HD_OK;
}

hd_status hd__gguf_get_bool(const hd_gguf *gguf, const char *key, bool *value, hd_error *err)
{
    const hd_gguf_pair *pair = hd__gguf_find(gguf, key);
    if (pair == NULL)
        return HD_OK;
    if (pair->is_array || pair->type != HD_GGUF_BOOL)
        return wrong_type(gguf, pair, "a bool", err);
    *value = pair->bytes.ptr[0] != 0;
    return HD_OK;
}

hd_status hd__gguf_get_text(const hd_gguf *gguf, const char *key, hd_span *value, hd_error *err)
{
    const hd_gguf_pair *pair = hd__gguf_find(gguf, key);
    if (pair == NULL)
        return HD_OK;
    if (pair->is_array || pair->type != HD_GGUF_TEXT)
        return wrong_type(gguf, pair, "a text", err);
    hd_cursor c = hd__cursor(pair->bytes);
    *value = take_text(&c);
    return HD_OK;
}

hd_status hd__gguf_get_array(const hd_gguf *gguf, const char *key, hd_gguf_type type, uint64_t n,
                             const hd_gguf_pair **pair_out, hd_error *err)
{
    const hd_gguf_pair *pair = hd__gguf_find(gguf, key);
    *pair_out = pair;
    if (pair == NULL)
        return HD_OK;
    if (!pair->is_array || pair->type != type)
        return hd__fail(err, HD_ERR_FORMAT, "%s: key \"%s\" is not an array of %s", gguf->file, key, value_types[type].name);
    if (n != UINT64_MAX && pair->n != n)
        return hd__fail(err, HD_ERR_FORMAT, "%s: key \"%s\" has %llu values, %llu tokens have one each", gguf->file, key,
                        (unsigned long long)pair->n, (unsigned long long)n);
    return HD_OK;
}

/* ---- tensors ---- */

static hd_status parse_shape(hd_cursor *c, const hd_gguf *gguf, hd_tensor *tensor, hd_error *err)
{
    tensor->n_dims = hd__cursor_u32(c);
    tensor->n_elements = 1;
    if (tensor->n_dims > HD_LIMIT_TENSOR_DIMS)
        return hd__fail(err, HD_ERR_LIMIT, "%s: tensor \"%s\" has %u dimensions, the limit is %u", gguf->file, tensor->name,
                        tensor->n_dims, HD_LIMIT_TENSOR_DIMS);
    for (uint32_t i = tensor->n_dims; i-- > 0;) {
        tensor->dims[i] = hd__cursor_u64(c);
        if (__builtin_mul_overflow(tensor->n_elements, tensor->dims[i], &tensor->n_elements))
            return hd__fail(err, HD_ERR_FORMAT, "%s: tensor \"%s\": its dimensions do not fit 64 bits", gguf->file,
                            tensor->name);
    }
    return HD_OK;
}

static hd_status parse_type(hd_cursor *c, const hd_gguf *gguf, hd_tensor *tensor, hd_error *err)
{
    uint32_t type = hd__cursor_u32(c);
    if (type >= N_TENSOR_TYPES || tensor_types[type].name == NULL)
        return hd__fail(err, HD_ERR_UNSUPPORTED, "%s: tensor \"%s\" is of type %u, which is unknown", gguf->file,
                        tensor->name, type);
    if (!tensor_types[type].is_read)
        return hd__fail(err, HD_ERR_UNSUPPORTED,
                        "%s: tensor \"%s\" is %s; Heddle reads F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q5_0, Q5_1, Q4_K, Q5_K "
                        "and Q6_K",
                        gguf->file, tensor->name, tensor_types[type].name);
    tensor->type = tensor_types[type].type;
    const uint64_t row = tensor->n_dims > 0 ? tensor->dims[tensor->n_dims - 1] : 1;
    if (row % hd__tensor_type_block(tensor->type) != 0)
        return hd__fail(err, HD_ERR_FORMAT, "%s: tensor \"%s\": rows of %llu values are not whole blocks of %s", gguf->file,
                        tensor->name, (unsigned long long)row, tensor_types[type].name);
    return HD_OK;
}

/* The offset goes into bytes.len until it is known where data begins. */
static hd_status parse_tensor(hd_cursor *c, const hd_gguf *gguf, hd_arena *arena, hd_tensor *tensor, hd_error *err)
{
    tensor->file = gguf->file;
    HD_TRY(keep_name(take_text(c), "the name of a tensor", gguf, arena, &tensor->name, err));
    HD_TRY(parse_shape(c, gguf, tensor, err));
    HD_TRY(parse_type(c, gguf, tensor, err));
    tensor->bytes.len = (size_t)hd__cursor_u64(c);
    if (c->failed)
        return hd__fail(err, HD_ERR_FORMAT, "%s: ends in the description of tensor \"%s\"", gguf->file, tensor->name);
    if (tensor->bytes.len % gguf->alignment != 0)
        return hd__fail(err, HD_ERR_FORMAT, "%s: tensor \"%s\" is at offset %zu, no multiple of the alignment %llu",
                        gguf->file, tensor->name, tensor->bytes.len, (unsigned long long)gguf->alignment);
    return HD_OK;
}

static hd_status place_tensor(const hd_gguf *gguf, hd_span data, hd_tensor *tensor, hd_error *err)
{
    const size_t offset = tensor->bytes.len;
    uint64_t bytes;
    if (!hd__tensor_type_size(tensor->type, tensor->n_elements, &bytes) || offset > data.len || bytes > data.len - offset)
        return hd__fail(err, HD_ERR_FORMAT,
                        "%s: tensor \"%s\": %llu values of %s at offset %zu do not fit the %zu bytes of data", gguf->file,
                        tensor->name, (unsigned long long)tensor->n_elements, hd__tensor_type_name(tensor->type), offset,
                        data.len);
    tensor->bytes = hd__span(data.ptr + offset, (size_t)bytes);
    return HD_OK;
}

static int by_place(const void *left, const void *right)
{
    const hd_tensor *a = *(hd_tensor *const *)left, *b = *(hd_tensor *const *)right;
    if (a->bytes.ptr != b->bytes.ptr)
        return a->bytes.ptr < b->bytes.ptr ? -1 : 1;
    return (a->bytes.len > b->bytes.len) - (a->bytes.len < b->bytes.len);
}

static hd_status check_overlaps(const hd_gguf *gguf, hd_arena *arena, hd_error *err)
{
    const hd_tensor **sorted = hd__arena_calloc(arena, gguf->n_tensors, sizeof *sorted);
    if (sorted == NULL)
        return hd__fail(err, HD_ERR_MEMORY, "%s: no memory for %zu tensors", gguf->file, gguf->n_tensors);
    for (size_t i = 0; i < gguf->n_tensors; i++)
        sorted[i] = &gguf->tensors[i];
    if (gguf->n_tensors > 1)
        qsort(sorted, gguf->n_tensors, sizeof *sorted, by_place);
    for (size_t i = 1; i < gguf->n_tensors; i++) {
        if (sorted[i - 1]->bytes.ptr + sorted[i - 1]->bytes.len > sorted[i]->bytes.ptr)
            return hd__fail(err, HD_ERR_FORMAT, "%s: tensors \"%s\" and \"%s\" lie one over the other", gguf->file,
                            sorted[i - 1]->name, sorted[i]->name);
    }
    return HD_OK;
}

/* ---- the whole ---- */

bool hd__gguf_is(hd_span bytes)
{
    return hd__span_begins(bytes, MAGIC);
}

/* Numbers of tensors and pairs, which the rest of the file must have room for. */
static hd_status parse_counts(hd_cursor *c, hd_gguf *gguf, hd_error *err)
{
    gguf->version = hd__cursor_u32(c);
    uint64_t n_tensors = hd__cursor_u64(c), n_pairs = hd__cursor_u64(c);
    if (c->failed)
        return hd__fail(err, HD_ERR_FORMAT, "%s: cut short in its first 24 bytes", gguf->file);
    if (gguf->version != 2 && gguf->version != 3)
        return hd__fail(err, HD_ERR_UNSUPPORTED, "%s: GGUF version %u%s, Heddle reads 2 and 3, little-endian", gguf->file,
                        gguf->version, gguf->version != 0 && (gguf->version & 0xffff) == 0 ? " (a big-endian file?)" : "");
    if (n_tensors > HD_LIMIT_TENSORS)
        return hd__fail(err, HD_ERR_LIMIT, "%s: %llu tensors, the limit is %u", gguf->file, (unsigned long long)n_tensors,
                        HD_LIMIT_TENSORS);
    if (n_pairs > HD_LIMIT_GGUF_PAIRS)
        return hd__fail(err, HD_ERR_LIMIT, "%s: %llu keys, the limit is %u", gguf->file, (unsigned long long)n_pairs,
                        HD_LIMIT_GGUF_PAIRS);
    if (n_tensors * MIN_TENSOR_BYTES + n_pairs * MIN_PAIR_BYTES > hd__cursor_left(c))
        return hd__fail(err, HD_ERR_FORMAT, "%s: %llu tensors and %llu keys do not fit the %zu bytes that follow",
                        gguf->file, (unsigned long long)n_tensors, (unsigned long long)n_pairs, hd__cursor_left(c));
    gguf->n_tensors = (size_t)n_tensors;
    gguf->n_pairs = (size_t)n_pairs;
    return HD_OK;
}

static hd_status parse_alignment(hd_gguf *gguf, hd_error *err)
{
    gguf->alignment = 32;
    HD_TRY(hd__gguf_get_uint(gguf, "general.alignment", MAX_ALIGNMENT, &gguf->alignment, err));
    if (gguf->alignment == 0 || (gguf->alignment & (gguf->alignment - 1)) != 0)
        return hd__fail(err, HD_ERR_FORMAT, "%s: key \"general.alignment\" is %llu, not a power of two", gguf->file,
                        (unsigned long long)gguf->alignment);
    return HD_OK;
}

hd_status hd__gguf_parse(hd_span bytes, const char *file, hd_arena *arena, hd_gguf *out, hd_error *err)
{
    hd_gguf gguf = {.file = file};
    hd_cursor c = hd__cursor(bytes);
    if (!hd__gguf_is(hd__cursor_take(&c, sizeof MAGIC - 1)))
        return hd__fail(err, HD_ERR_FORMAT, "%s: not a GGUF file", file);
    HD_TRY(parse_counts(&c, &gguf, err));
    gguf.pairs = hd__arena_calloc(arena, gguf.n_pairs, sizeof *gguf.pairs);
    gguf.tensors = hd__arena_calloc(arena, gguf.n_tensors, sizeof *gguf.tensors);
    if (gguf.pairs == NULL || gguf.tensors == NULL)
        return hd__fail(err, HD_ERR_MEMORY, "%s: no memory for %zu keys and %zu tensors", file, gguf.n_pairs,
                        gguf.n_tensors);
    HD_TRY(hd__name_table_init(&gguf.keys, gguf.n_pairs, arena, err));
    for (size_t i = 0; i < gguf.n_pairs; i++)
        HD_TRY(parse_pair(&c, &gguf, i, arena, err));
    HD_TRY(parse_alignment(&gguf, err));
    for (size_t i = 0; i < gguf.n_tensors; i++)
        HD_TRY(parse_tensor(&c, &gguf, arena, &gguf.tensors[i], err));
    size_t begin = hd__round_up((size_t)((const char *)c.at - bytes.ptr), (size_t)gguf.alignment);
    hd_span data = begin < bytes.len ? hd__span(bytes.ptr + begin, bytes.len - begin) : hd__span(bytes.ptr, 0);
    for (size_t i = 0; i < gguf.n_tensors; i++)
        HD_TRY(place_tensor(&gguf, data, &gguf.tensors[i], err));
    HD_TRY(check_overlaps(&gguf, arena, err));
    *out = gguf;
    return HD_OK;
}
