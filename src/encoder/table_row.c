/* table_row.c - see table_row.h. */
#include "encoder/table_row.h"

#include <string.h>

hd_status hd__table_row_mapped(const hd_tensor *mapping, int i, uint64_t n_rows, uint64_t *row, hd_error *err)
{
    const bool wide = mapping->type == HD_TENSOR_I64;
    int64_t value = 0;
    if ((!wide && mapping->type != HD_TENSOR_I32) || mapping->strides != NULL)
        return hd__fail(err, HD_ERR_UNSUPPORTED, "%s: tensor \"%s\" is of %s, not of I64 or I32", mapping->file,
                        mapping->name, hd__tensor_type_name(mapping->type));
    memcpy(&value, mapping->bytes.ptr + (size_t)i * (wide ? 8 : 4), wide ? 8 : 4); /* little-endian, as files are */
    if (value < 0 || (uint64_t)value >= n_rows)
        return hd__fail(err, HD_ERR_FORMAT, "%s: tensor \"%s\": value %d is %lld, there are %llu rows", mapping->file,
                        mapping->name, i, (long long)value, (unsigned long long)n_rows);
    *row = (uint64_t)value;
    return HD_OK;
}

hd_status hd__table_row_static(const hd_tensor *table, uint64_t row, size_t n, float *values, hd_error *err)
{
    if (table->type != HD_TENSOR_I8 || table->strides != NULL)
        return hd__tensor_read_f32(table, row * n, n, values, err);
    const char *bytes = table->bytes.ptr + row * n;
    for (size_t i = 0; i < n; i++)
        values[i] = (float)(int8_t)bytes[i];
    return HD_OK;
}
