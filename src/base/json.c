/* json.c - see json.h. */
#include "base/json.h"

#include <math.h>

#include "base/file.h"
#include "base/limits.h"

hd_status hd__json_parse(hd_span text, const char *file, json_t **root, hd_error *err)
{
    json_error_t e;
    json_t *parsed = json_loadb(text.ptr, text.len, JSON_REJECT_DUPLICATES, &e);
    if (parsed == NULL && json_error_code(&e) == json_error_numeric_overflow)
        parsed = json_loadb(text.ptr, text.len, JSON_REJECT_DUPLICATES | JSON_DECODE_INT_AS_REAL, &e);
    if (parsed == NULL) {
        if (json_error_code(&e) == json_error_out_of_memory)
            return hd__fail(err, HD_ERR_MEMORY, "%s: no memory to parse it", file);
        const bool is_zero = json_error_code(&e) == json_error_null_character; /* whose text is about jansson's flags */
        return hd__fail(err, HD_ERR_FORMAT, "%s: line %d column %d: %s", file, e.line, e.column,
                        is_zero ? "\\u0000 is not allowed" : e.text);
    }
    *root = parsed;
    return HD_OK;
}

hd_status hd__json_read(const char *path, json_t **root, hd_error *err)
{
    hd_arena arena;
    hd__arena_init(&arena);
    hd_span text;
    hd_status status = hd__file_read(path, HD_LIMIT_JSON_FILE_BYTES, &arena, &text, err);
    if (status == HD_OK)
        status = hd__json_parse(text, path, root, err);
    hd__arena_clear(&arena);
    return status;
}

/* The field, or NULL when it is missing or null. */
static json_t *field(const json_t *object, const char *key)
{
    json_t *value = json_object_get(object, key);
    return json_is_null(value) ? NULL : value;
}

hd_status hd__json_get_uint(const json_t *object, const char *key, uint64_t min, uint64_t max, const char *file,
                            uint64_t *value, hd_error *err)
{
    const json_t *f = field(object, key);
    if (f == NULL)
        return HD_OK;
    json_int_t v = json_integer_value(f);
    if (!json_is_integer(f)) {
        double real = json_real_value(f);
        if (!json_is_real(f) || floor(real) != real)
            return hd__fail(err, HD_ERR_FORMAT, "%s: \"%s\" is not an integer", file, key);
        if (fabs(real) > 0x1p53)
            return hd__fail(err, HD_ERR_FORMAT, "%s: \"%s\" is %g, allowed are %llu to %llu", file, key, real,
                            (unsigned long long)min, (unsigned long long)max);
        v = (json_int_t)real;
    }
    if (v < 0 || (uint64_t)v < min || (uint64_t)v > max)
        return hd__fail(err, HD_ERR_FORMAT, "%s: \"%s\" is %lld, allowed are %llu to %llu", file, key, (long long)v,
                        (unsigned long long)min, (unsigned long long)max);
    *value = (uint64_t)v;
    return HD_OK;
}

hd_status hd__json_get_real(const json_t *object, const char *key, double min, double max, const char *file, double *value,
                            hd_error *err)
{
    const json_t *f = field(object, key);
    if (f == NULL)
        return HD_OK;
    if (!json_is_number(f))
        return hd__fail(err, HD_ERR_FORMAT, "%s: \"%s\" is not a number", file, key);
    double v = json_number_value(f);
    if (!(v >= min && v <= max))
        return hd__fail(err, HD_ERR_FORMAT, "%s: \"%s\" is %g, allowed are %g to %g", file, key, v, min, max);
    *value = v;
    return HD_OK;
}

hd_status hd__json_get_bool(const json_t *object, const char *key, const char *file, bool *value, hd_error *err)
{
    const json_t *f = field(object, key);
    if (f == NULL)
        return HD_OK;
    if (!json_is_boolean(f))
        return hd__fail(err, HD_ERR_FORMAT, "%s: \"%s\" is not true or false", file, key);
    *value = json_is_true(f);
    return HD_OK;
}

hd_status hd__json_get_text(const json_t *object, const char *key, const char *file, const char **value, hd_error *err)
{
    const json_t *f = field(object, key);
    if (f == NULL)
        return HD_OK;
    if (!json_is_string(f))
        return hd__fail(err, HD_ERR_FORMAT, "%s: \"%s\" is not a string", file, key);
    *value = json_string_value(f);
    return HD_OK;
}
