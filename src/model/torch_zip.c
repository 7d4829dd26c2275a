/* torch_zip.c - see torch_zip.h. */
#include "model/torch_zip.h"

#include "model/pickle.h"
#include "model/zip.h"

typedef struct torch_file {
    const char *file;
    hd_arena *arena;
    hd_error *err;
    hd_zip zip;
    hd_span root; /* "NAME/" */
} torch_file;

bool hd__torch_zip_is(hd_span bytes)
{
    return hd__zip_is(bytes);
}

static hd_status no_memory(const torch_file *f)
{
    return hd__fail(f->err, HD_ERR_MEMORY, "%s: no memory for its tensors", f->file);
}

/* The entry whose name is "NAME/data.pkl". TorchScript has "constants.pkl" beside it, and code. */
static hd_status find_pickle(torch_file *f, hd_span *pickle)
{
    static const char data[] = "data.pkl";
    for (size_t i = 0; i < f->zip.n; i++) {
        const hd_span name = f->zip.entries[i].name;
        const char *slash = memchr(name.ptr, '/', name.len);
        if (slash == NULL || !hd__span_is(hd__span(slash + 1, name.len - (size_t)(slash + 1 - name.ptr)), data))
            continue;
        f->root = hd__span(name.ptr, (size_t)(slash + 1 - name.ptr));
        *pickle = f->zip.entries[i].bytes;
        if (pickle->len > HD_LIMIT_PICKLE_BYTES)
            return hd__fail(f->err, HD_ERR_LIMIT, "%s: a pickle of %zu bytes, the limit is %u", f->file, pickle->len,
                            HD_LIMIT_PICKLE_BYTES);
        return HD_OK;
    }
    return hd__fail(f->err, HD_ERR_FORMAT, "%s: a zip archive without a data.pkl: torch did not write it", f->file);
}

/* "NAME/<part><key>" */
static hd_status find_entry(const torch_file *f, const char *part, hd_span key, bool *found, hd_span *bytes)
{
    const char *name = hd__arena_printf(f->arena, "%.*s%s%.*s", (int)f->root.len, f->root.ptr, part, (int)key.len, key.ptr);
    if (name == NULL)
        return no_memory(f);
    *found = hd__zip_find(&f->zip, hd__span_of(name), bytes);
    return HD_OK;
}

static hd_status check_byte_order(const torch_file *f)
{
    hd_span order;
    bool found;
    HD_TRY(find_entry(f, "byteorder", hd__span("", 0), &found, &order));
    if (found && !hd__span_is(order, "little"))
        return hd__fail(f->err, HD_ERR_UNSUPPORTED, "%s: written on a big-endian machine", f->file);
    return HD_OK;
}

/* How many values of the storage the tensor reaches over, from its first on; and whether it is row-major without gaps. */
static hd_status measure(const torch_file *f, const hd_pickle_tensor *p, hd_tensor *t, uint64_t *reach, bool *plain)
{
    uint64_t expected = 1, last = 0, step;
    bool fits = true;
    t->n_elements = 1;
    *plain = true;
    for (uint32_t i = p->n_dims; i-- > 0;) {
        t->dims[i] = p->dims[i];
        *plain &= p->dims[i] == 1 || p->strides[i] == expected;
        fits &= !__builtin_mul_overflow(t->n_elements, p->dims[i], &t->n_elements);
        expected = t->n_elements;
        if (p->dims[i] > 0)
            fits &=
                !__builtin_mul_overflow(p->dims[i] - 1, p->strides[i], &step) && !__builtin_add_overflow(last, step, &last);
    }
    *reach = t->n_elements == 0 ? 0 : last + 1;
    *plain |= t->n_elements == 0;
    fits &= *reach != 0 || t->n_elements == 0;
    if (!fits || p->offset > p->n_stored || *reach > p->n_stored - p->offset || t->n_elements > p->n_stored)
        return hd__fail(f->err, HD_ERR_FORMAT, "%s: tensor \"%s\" reaches out of its storage of %llu values", f->file,
                        t->name, (unsigned long long)p->n_stored);
    return HD_OK;
}

static hd_status make_tensor(const torch_file *f, const hd_pickle_tensor *p, hd_tensor *t)
{
    hd_span storage;
    uint64_t bytes, reach;
    bool found, plain;
    const uint32_t size = hd__tensor_type_bytes(p->type);
    t->file = f->file;
    t->type = p->type;
    t->n_dims = p->n_dims;
    if (memchr(p->name.ptr, '\0', p->name.len) != NULL)
        return hd__fail(f->err, HD_ERR_FORMAT, "%s: the name of a tensor has a NUL in it", f->file);
    t->name = hd__arena_strndup(f->arena, p->name.ptr, p->name.len);
    if (t->name == NULL)
        return no_memory(f);
    HD_TRY(find_entry(f, "data/", p->key, &found, &storage));
    if (!found || !hd__tensor_type_size(p->type, p->n_stored, &bytes) || bytes > storage.len)
        return hd__fail(f->err, HD_ERR_FORMAT, "%s: tensor \"%s\": no storage of %llu values of %s", f->file, t->name,
                        (unsigned long long)p->n_stored, hd__tensor_type_name(p->type));
    HD_TRY(measure(f, p, t, &reach, &plain));
    t->bytes = hd__span(storage.ptr + p->offset * size, (size_t)(reach * size));
    if (plain)
        return HD_OK;
    uint64_t *strides = hd__arena_calloc(f->arena, p->n_dims, sizeof *strides);
    if (strides == NULL)
        return no_memory(f);
    memcpy(strides, p->strides, p->n_dims * sizeof *strides);
    t->strides = strides;
    return HD_OK;
}

hd_status hd__torch_zip_parse(hd_span bytes, const char *file, hd_arena *arena, hd_tensor **tensors, size_t *n,
                              hd_error *err)
{
    torch_file f = {.file = file, .arena = arena, .err = err};
    hd_span pickle;
    hd_pickle_tensor *found;
    HD_TRY(hd__zip_open(bytes, file, arena, &f.zip, err));
    HD_TRY(find_pickle(&f, &pickle));
    HD_TRY(check_byte_order(&f));
    HD_TRY(hd__pickle_read(pickle, file, arena, &found, n, err));
    if (*n == 0)
        return hd__fail(err, HD_ERR_FORMAT, "%s: no tensors by name in it", file);
    if (*n > HD_LIMIT_TENSORS)
        return hd__fail(err, HD_ERR_LIMIT, "%s: %zu tensors, the limit is %u", file, *n, HD_LIMIT_TENSORS);
    *tensors = hd__arena_calloc(arena, *n, sizeof **tensors);
    if (*tensors == NULL)
        return no_memory(&f);
    for (size_t i = 0; i < *n; i++)
        HD_TRY(make_tensor(&f, &found[i], &(*tensors)[i]));
    return HD_OK;
}
