/* safetensors.c - see safetensors.h. */
#include "model/safetensors.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "base/json.h"

#define METADATA_KEY "__metadata__"

static hd_status parse_type(const json_t *entry, hd_tensor *tensor, hd_error *err)
{
    const char *name = json_string_value(json_object_get(entry, "dtype"));
    if (name == NULL)
        return hd__fail(err, HD_ERR_FORMAT, "%s: tensor \"%s\": \"dtype\" is not a string", tensor->file, tensor->name);
    if (hd__tensor_type_parse(name, &tensor->type))
        return HD_OK;
    return hd__fail(err, HD_ERR_UNSUPPORTED, "%s: tensor \"%s\": dtype \"%s\" is none that Heddle reads", tensor->file,
                    tensor->name, name);
}

static hd_status parse_shape(const json_t *entry, hd_tensor *tensor, hd_error *err)
{
    const json_t *shape = json_object_get(entry, "shape");
    if (!json_is_array(shape))
        return hd__fail(err, HD_ERR_FORMAT, "%s: tensor \"%s\": \"shape\" is not an array", tensor->file, tensor->name);
    size_t n_dims = json_array_size(shape);
    if (n_dims > HD_LIMIT_TENSOR_DIMS)
        return hd__fail(err, HD_ERR_LIMIT, "%s: tensor \"%s\" has %zu dimensions, the limit is %u", tensor->file,
                        tensor->name, n_dims, HD_LIMIT_TENSOR_DIMS);
    tensor->n_dims = (uint32_t)n_dims;
    tensor->n_elements = 1;
    for (size_t i = 0; i < n_dims; i++) {
        const json_t *dim = json_array_get(shape, i);
        json_int_t value = json_integer_value(dim);
        if (!json_is_integer(dim) || value < 0)
            return hd__fail(err, HD_ERR_FORMAT, "%s: tensor \"%s\": dimension %zu of \"shape\" is not a count", tensor->file,
                            tensor->name, i);
        tensor->dims[i] = (uint64_t)value;
        if (__builtin_mul_overflow(tensor->n_elements, tensor->dims[i], &tensor->n_elements))
            return hd__fail(err, HD_ERR_FORMAT, "%s: tensor \"%s\": \"shape\" does not fit 64 bits", tensor->file,
                            tensor->name);
    }
    return HD_OK;
}

static hd_status parse_data(const json_t *entry, hd_span data, hd_tensor *tensor, hd_error *err)
{
    const json_t *offsets = json_object_get(entry, "data_offsets");
    const json_t *first = json_array_get(offsets, 0), *second = json_array_get(offsets, 1);
    if (json_array_size(offsets) != 2 || !json_is_integer(first) || !json_is_integer(second))
        return hd__fail(err, HD_ERR_FORMAT, "%s: tensor \"%s\": \"data_offsets\" is not a pair of integers", tensor->file,
                        tensor->name);
    json_int_t begin = json_integer_value(first), end = json_integer_value(second);
    if (begin < 0 || end < begin || (uint64_t)end > data.len)
        return hd__fail(err, HD_ERR_FORMAT, "%s: tensor \"%s\": data_offsets %lld to %lld, the file has %zu bytes of data",
                        tensor->file, tensor->name, (long long)begin, (long long)end, data.len);
    uint64_t bytes;
    if (!hd__tensor_type_size(tensor->type, tensor->n_elements, &bytes) || bytes != (uint64_t)(end - begin))
        return hd__fail(err, HD_ERR_FORMAT,
                        "%s: tensor \"%s\": %llu elements of %s do not take the %lld bytes of its data_offsets",
                        tensor->file, tensor->name, (unsigned long long)tensor->n_elements,
                        hd__tensor_type_name(tensor->type), (long long)(end - begin));
    tensor->bytes = hd__span(data.ptr + begin, (size_t)(end - begin));
    return HD_OK;
}

static hd_status check_metadata(const json_t *metadata, const char *file, hd_error *err)
{
    const char *key;
    json_t *value;
    if (!json_is_object(metadata) && !json_is_null(metadata))
        return hd__fail(err, HD_ERR_FORMAT, "%s: \"" METADATA_KEY "\" is not an object", file);
    json_object_foreach ((json_t *)(uintptr_t)metadata, key, value) {
        if (!json_is_string(value))
            return hd__fail(err, HD_ERR_FORMAT, "%s: \"" METADATA_KEY "\": \"%s\" is not a string", file, key);
    }
    return HD_OK;
}

/* By where the data lies; empty tensors before the one that starts at the same place. */
static int by_offset(const void *left, const void *right)
{
    const hd_tensor *a = left, *b = right;
    if (a->bytes.ptr != b->bytes.ptr)
        return a->bytes.ptr < b->bytes.ptr ? -1 : 1;
    if (a->bytes.len != b->bytes.len)
        return a->bytes.len < b->bytes.len ? -1 : 1;
    return strcmp(a->name, b->name);
}

static hd_status check_layout(const hd_tensor *tensors, size_t n, hd_span data, const char *file, hd_error *err)
{
    size_t at = 0;
    for (size_t i = 0; i < n; i++) {
        size_t begin = (size_t)(tensors[i].bytes.ptr - data.ptr);
        if (begin != at)
            return hd__fail(err, HD_ERR_FORMAT,
                            "%s: tensor \"%s\" begins at byte %zu of the data, where the one before it ends at %zu", file,
                            tensors[i].name, begin, at);
        at += tensors[i].bytes.len;
    }
    if (at != data.len)
        return hd__fail(err, HD_ERR_FORMAT, "%s: %zu bytes of data, the tensors take %zu", file, data.len, at);
    return HD_OK;
}

static hd_status parse_entries(json_t *root, hd_span data, const char *file, hd_arena *arena, hd_tensor **tensors_out,
                               size_t *n_out, hd_error *err)
{
    if (!json_is_object(root))
        return hd__fail(err, HD_ERR_FORMAT, "%s: the header is not an object", file);
    size_t n = 0, most = json_object_size(root);
    if (most > HD_LIMIT_TENSORS)
        return hd__fail(err, HD_ERR_LIMIT, "%s: %zu tensors, the limit is %u", file, most, HD_LIMIT_TENSORS);
    hd_tensor *tensors = hd__arena_calloc(arena, most, sizeof *tensors);
    if (tensors == NULL)
        return hd__fail(err, HD_ERR_MEMORY, "%s: no memory for %zu tensors", file, most);
    const char *key;
    json_t *entry;
    json_object_foreach (root, key, entry) {
        if (strcmp(key, METADATA_KEY) == 0) {
            HD_TRY(check_metadata(entry, file, err));
            continue;
        }
        hd_tensor *tensor = &tensors[n++];
        tensor->file = file;
        tensor->name = hd__arena_strndup(arena, key, strlen(key));
        if (tensor->name == NULL)
            return hd__fail(err, HD_ERR_MEMORY, "%s: no memory for the name of a tensor", file);
        HD_TRY(parse_type(entry, tensor, err));
        HD_TRY(parse_shape(entry, tensor, err));
        HD_TRY(parse_data(entry, data, tensor, err));
    }
    if (n > 1)
        qsort(tensors, n, sizeof *tensors, by_offset);
    HD_TRY(check_layout(tensors, n, data, file, err));
    *tensors_out = tensors;
    *n_out = n;
    return HD_OK;
}

hd_status hd__safetensors_parse(hd_span bytes, const char *file, hd_arena *arena, hd_tensor **tensors, size_t *n,
                                hd_error *err)
{
    hd_cursor cursor = hd__cursor(bytes);
    uint64_t header_bytes = hd__cursor_u64(&cursor);
    if (cursor.failed)
        return hd__fail(err, HD_ERR_FORMAT, "%s: %zu bytes are too few for a safetensors file", file, bytes.len);
    if (header_bytes > HD_LIMIT_SAFETENSORS_HEADER_BYTES)
        return hd__fail(err, HD_ERR_LIMIT, "%s: header of %llu bytes, the limit is %u", file,
                        (unsigned long long)header_bytes, HD_LIMIT_SAFETENSORS_HEADER_BYTES);
    hd_span header = hd__cursor_take(&cursor, (size_t)header_bytes);
    if (cursor.failed)
        return hd__fail(err, HD_ERR_FORMAT,
                        "%s: header of %llu bytes in a file of %zu: not a safetensors file, or cut short", file,
                        (unsigned long long)header_bytes, bytes.len);
    json_t *root;
    HD_TRY(hd__json_parse(header, file, &root, err));
    hd_status status = parse_entries(root, hd__cursor_take(&cursor, hd__cursor_left(&cursor)), file, arena, tensors, n, err);
    json_decref(root);
    return status;
}
