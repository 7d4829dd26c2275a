/* tensors.c - see tensors.h. */
#include "model/tensors.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/arena.h"
#include "base/file.h"
#include "base/json.h"
#include "model/convert.h"
#include "model/dequantise.h"
#include "model/gguf_files.h"
#include "model/gguf_names.h"
#include "model/gguf_settings.h"
#include "model/name_table.h"
#include "model/safetensors.h"
#include "model/torch_zip.h"

struct hd_tensors {
    hd_arena arena;    /* all that is below, and names */
    hd_file_map *maps; /* [n_maps] */
    size_t n_maps;
    hd_tensor *tensors; /* [n] */
    size_t n;
    hd_name_table names;
    const char *identity;
};

/* Each file that holds all the weights, and the index that lists shards of its kind. */
static const char *const weight_files[] = {"model.safetensors", "model.safetensors.index.json", "pytorch_model.bin",
                                           "pytorch_model.bin.index.json"};

static const char no_memory[] = "%s: no memory for its list of tensors";

static hd_status parse_file(hd_span bytes, const char *path, hd_arena *arena, hd_tensor **tensors, size_t *n, hd_error *err)
{
    if (bytes.len == 0)
        return hd__fail(err, HD_ERR_FORMAT, "%s: the file is empty", path);
    if (hd__torch_zip_is(bytes))
        return hd__torch_zip_parse(bytes, path, arena, tensors, n, err);
    if (bytes.len > 1 && bytes.ptr[0] == '\x80' && bytes.ptr[1] <= 5) /* a bare pickle */
        return hd__fail(err, HD_ERR_UNSUPPORTED,
                        "%s: written by torch before 1.6; load it and save it again, by torch.save or as safetensors", path);
    return hd__safetensors_parse(bytes, path, arena, tensors, n, err);
}

/* Maps and parses each file, then joins their tensors, in the order of the files. */
static hd_status open_files(hd_tensors *set, const char *const *paths, size_t n_paths, hd_error *err)
{
    hd_arena *arena = &set->arena;
    hd_tensor **parts = hd__arena_calloc(arena, n_paths, sizeof *parts);
    size_t *n_in_part = hd__arena_calloc(arena, n_paths, sizeof *n_in_part);
    set->maps = hd__arena_calloc(arena, n_paths, sizeof *set->maps);
    if (parts == NULL || n_in_part == NULL || set->maps == NULL)
        return hd__fail(err, HD_ERR_MEMORY, no_memory, paths[0]);
    for (size_t i = 0; i < n_paths; i++) {
        HD_TRY(hd__file_map_open(paths[i], &set->maps[i], err));
        set->n_maps = i + 1;
        HD_TRY(parse_file(set->maps[i].bytes, paths[i], arena, &parts[i], &n_in_part[i], err));
        set->n += n_in_part[i];
    }
    if (set->n > HD_LIMIT_TENSORS)
        return hd__fail(err, HD_ERR_LIMIT, "%s: %zu tensors in %zu files, the limit is %u", paths[0], set->n, n_paths,
                        HD_LIMIT_TENSORS);
    set->tensors = hd__arena_calloc(arena, set->n, sizeof *set->tensors);
    if (set->tensors == NULL)
        return hd__fail(err, HD_ERR_MEMORY, no_memory, paths[0]);
    for (size_t i = 0, at = 0; i < n_paths; at += n_in_part[i++])
        memcpy(set->tensors + at, parts[i], n_in_part[i] * sizeof *parts[i]);
    return HD_OK;
}

static hd_status index_names(hd_tensors *set, hd_error *err)
{
    HD_TRY(hd__name_table_init(&set->names, set->n, &set->arena, err));
    for (size_t i = 0; i < set->n; i++) {
        const hd_tensor *tensor = &set->tensors[i];
        if (hd__name_table_add(&set->names, hd__span_of(tensor->name), (uint32_t)i))
            continue;
        return hd__fail(err, HD_ERR_FORMAT, "%s: tensor \"%s\" is in %s as well", tensor->file, tensor->name,
                        hd__tensors_find(set, tensor->name)->file);
    }
    return HD_OK;
}

static hd_status describe(hd_tensors *set, const char *const *paths, hd_error *err)
{
    hd_buffer text;
    hd__buffer_init(&text);
    for (size_t i = 0; i < set->n_maps; i++)
        hd__file_map_describe(&set->maps[i], paths[i], &text);
    if (!text.failed)
        set->identity = hd__arena_strndup(&set->arena, text.ptr, text.len);
    hd__buffer_clear(&text);
    return set->identity != NULL ? HD_OK : hd__fail(err, HD_ERR_MEMORY, no_memory, paths[0]);
}

static hd_tensors *set_new(void)
{
    hd_tensors *set = hd__calloc(1, sizeof *set);
    if (set != NULL)
        hd__arena_init(&set->arena);
    return set;
}

static hd_status load(hd_tensors *set, const char *const *paths, size_t n_paths, hd_error *err)
{
    HD_TRY(open_files(set, paths, n_paths, err));
    HD_TRY(index_names(set, err));
    return describe(set, paths, err);
}

/* ---- GGUF ---- */

/* Tensors under the Hub's names. Those without one there (rotary frequencies) keep their own. */
static hd_status rename_all(const hd_gguf *gguf, hd_arena *arena, hd_error *err)
{
    const char *model_type, *name;
    HD_TRY(hd__gguf_model_type(gguf, &model_type, err));
    const hd_gguf_names *names = hd__gguf_names(model_type);
    const bool has_head = hd__gguf_has_head(gguf);
    for (size_t i = 0; i < gguf->n_tensors; i++) {
        HD_TRY(hd__gguf_name_to_hub(names, gguf->tensors[i].name, has_head, arena, &name, err));
        if (name != NULL)
            gguf->tensors[i].name = name;
    }
    return HD_OK;
}

static hd_status load_gguf(hd_tensors *set, const char *path, hd_error *err)
{
    hd_gguf_files files;
    HD_TRY(hd__gguf_open(path, &set->arena, &files, err));
    set->maps = files.maps;
    set->n_maps = files.n;
    set->tensors = files.gguf.tensors;
    set->n = files.gguf.n_tensors;
    HD_TRY(rename_all(&files.gguf, &set->arena, err));
    HD_TRY(index_names(set, err));
    return describe(set, files.paths, err);
}

/* One file of any format. */
static hd_status load_file(hd_tensors *set, const char *path, hd_error *err)
{
    hd_file_map map;
    HD_TRY(hd__file_map_open(path, &map, err));
    const bool is_gguf = hd__gguf_is(map.bytes);
    hd__file_map_close(&map);
    return is_gguf ? load_gguf(set, path, err) : load(set, &path, 1, err);
}

/* ---- shards ---- */

static int by_text(const void *left, const void *right)
{
    return strcmp(*(const char *const *)left, *(const char *const *)right);
}

/* The files named by the index's weight_map, each once, sorted; paths live in the set's arena. */
static hd_status list_shards(hd_tensors *set, const char *dir, const json_t *weight_map, const char *index_path,
                             const char ***paths_out, size_t *n_out, hd_error *err)
{
    size_t n_names = json_object_size(weight_map);
    if (!json_is_object(weight_map) || n_names == 0)
        return hd__fail(err, HD_ERR_FORMAT, "%s: \"weight_map\" is not an object with tensors", index_path);
    if (n_names > HD_LIMIT_TENSORS)
        return hd__fail(err, HD_ERR_LIMIT, "%s: %zu tensors, the limit is %u", index_path, n_names, HD_LIMIT_TENSORS);
    const char **files = hd__arena_calloc(&set->arena, n_names, sizeof *files);
    if (files == NULL)
        return hd__fail(err, HD_ERR_MEMORY, no_memory, index_path);
    size_t n = 0;
    const char *name;
    json_t *file;
    json_object_foreach ((json_t *)(uintptr_t)weight_map, name, file) {
        files[n] = json_string_value(file);
        if (files[n] == NULL || !hd__path_is_below(hd__span_of(files[n])))
            return hd__fail(err, HD_ERR_FORMAT, "%s: \"weight_map\": the file of \"%s\" is not a path below the folder",
                            index_path, name);
        n++;
    }
    qsort(files, n, sizeof *files, by_text);
    size_t n_files = 0;
    for (size_t i = 0; i < n; i++) {
        if (i > 0 && strcmp(files[i], files[i - 1]) == 0)
            continue;
        if (n_files == HD_LIMIT_SHARDS)
            return hd__fail(err, HD_ERR_LIMIT, "%s: more than %u files", index_path, HD_LIMIT_SHARDS);
        files[n_files++] = files[i];
    }
    for (size_t i = 0; i < n_files; i++) {
        files[i] = hd__arena_printf(&set->arena, "%s/%s", dir, files[i]);
        if (files[i] == NULL)
            return hd__fail(err, HD_ERR_MEMORY, no_memory, index_path);
    }
    *paths_out = files;
    *n_out = n_files;
    return HD_OK;
}

/* Each tensor of the index must be in the file that the index says. Tensors it does not name are kept, as
 * the reference loader does. */
static hd_status check_weight_map(const hd_tensors *set, const json_t *weight_map, const char *index_path, hd_error *err)
{
    const char *name;
    json_t *file;
    json_object_foreach ((json_t *)(uintptr_t)weight_map, name, file) {
        const hd_tensor *tensor = hd__tensors_find(set, name);
        const char *wanted = json_string_value(file);
        size_t n_file = tensor != NULL ? strlen(tensor->file) : 0, n_wanted = strlen(wanted);
        if (n_file <= n_wanted || strcmp(tensor->file + n_file - n_wanted, wanted) != 0 ||
            tensor->file[n_file - n_wanted - 1] != '/')
            return hd__fail(err, HD_ERR_FORMAT, "%s: \"weight_map\": tensor \"%s\" is not in %s", index_path, name, wanted);
    }
    return HD_OK;
}

static hd_status load_shards(hd_tensors *set, const char *dir, const char *index_path, hd_error *err)
{
    json_t *root = NULL;
    const char **paths = NULL;
    size_t n_paths = 0;
    HD_TRY(hd__json_read(index_path, &root, err));
    hd_status status = HD_OK;
    const json_t *weight_map = json_object_get(root, "weight_map");
    HD_TRY_OUT(list_shards(set, dir, weight_map, index_path, &paths, &n_paths, err));
    HD_TRY_OUT(load(set, paths, n_paths, err));
    HD_TRY_OUT(check_weight_map(set, weight_map, index_path, err));
out:
    json_decref(root);
    return status;
}

static hd_status no_weights(const char *dir, hd_error *err)
{
    static const char *const others[] = {"tf_model.h5", "flax_model.msgpack"};
    char path[HD_LIMIT_PATH_BYTES];
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        int n = snprintf(path, sizeof path, "%s/%s", dir, others[i]);
        if (n > 0 && (size_t)n < sizeof path && hd__file_exists(path))
            return hd__fail(err, HD_ERR_UNSUPPORTED,
                            "%s: weights are in %s only, Heddle reads safetensors, pytorch_model.bin and GGUF", dir,
                            others[i]);
    }
    return hd__fail(err, HD_ERR_NOT_FOUND, "%s: neither model.safetensors nor pytorch_model.bin, nor shards of either", dir);
}

/* ---- the interface ---- */

hd_status hd__tensors_open(const char *dir, hd_tensors **tensors, hd_error *err)
{
    if (hd__file_exists(dir))
        return hd__tensors_open_file(dir, tensors, err);
    hd_tensors *set = set_new();
    if (set == NULL)
        return hd__fail(err, HD_ERR_MEMORY, no_memory, dir);
    const char *path = NULL;
    bool found = false;
    size_t i = 0;
    for (; !found && i < sizeof weight_files / sizeof *weight_files; i++) {
        path = hd__arena_printf(&set->arena, "%s/%s", dir, weight_files[i]);
        found = path == NULL || hd__file_exists(path);
    }
    hd_status status;
    if (path == NULL)
        status = hd__fail(err, HD_ERR_MEMORY, no_memory, dir);
    else if (!found)
        status = no_weights(dir, err);
    else if (i % 2 == 0) /* behind an index */
        status = load_shards(set, dir, path, err);
    else
        status = load_file(set, path, err);
    if (status == HD_OK)
        *tensors = set;
    else
        hd__tensors_close(set);
    return status;
}

hd_status hd__tensors_open_file(const char *path, hd_tensors **tensors, hd_error *err)
{
    hd_tensors *set = set_new();
    const char *kept = set != NULL ? hd__arena_strndup(&set->arena, path, strlen(path)) : NULL;
    hd_status status = kept != NULL ? load_file(set, kept, err) : hd__fail(err, HD_ERR_MEMORY, no_memory, path);
    if (status == HD_OK)
        *tensors = set;
    else
        hd__tensors_close(set);
    return status;
}

void hd__tensors_close(hd_tensors *tensors)
{
    if (tensors == NULL)
        return;
    for (size_t i = 0; i < tensors->n_maps; i++)
        hd__file_map_close(&tensors->maps[i]);
    hd__arena_clear(&tensors->arena);
    hd__free(tensors);
}

const hd_tensor *hd__tensors_find(const hd_tensors *tensors, const char *name)
{
    uint32_t i;
    return hd__name_table_find(&tensors->names, hd__span_of(name), &i) ? &tensors->tensors[i] : NULL;
}

size_t hd__tensors_count(const hd_tensors *tensors)
{
    return tensors->n;
}

const hd_tensor *hd__tensors_at(const hd_tensors *tensors, size_t i)
{
    assert(i < tensors->n);
    return &tensors->tensors[i];
}

const char *hd__tensors_identity(const hd_tensors *tensors)
{
    return tensors->identity;
}

/* ---- one tensor ---- */

/* Whole blocks, and parts of the first and the last one. */
static bool read_blocks(const hd_tensor *tensor, uint64_t first, uint64_t n, float *out)
{
    const uint32_t block = hd__tensor_type_block(tensor->type), bytes = hd__tensor_type_bytes(tensor->type);
    float part[HD_LARGEST_BLOCK];
    bool finite = true;
    while (n > 0) {
        const char *in = tensor->bytes.ptr + first / block * bytes;
        const uint64_t skip = first % block, left = block - skip;
        uint64_t done = n / block * block;
        if (skip == 0 && done > 0) {
            finite &= hd__dequantise(tensor->type, in, (size_t)(done / block), out);
        } else {
            done = n < left ? n : left;
            finite &= hd__dequantise(tensor->type, in, 1, part);
            memcpy(out, part + skip, (size_t)done * sizeof *out);
        }
        first += done;
        n -= done;
        out += done;
    }
    return finite;
}

static bool read_values(const hd_tensor *tensor, const char *in, uint64_t first, uint64_t n, float *out)
{
    switch (tensor->type) {
    case HD_TENSOR_F64: return hd__convert_f64(in, (size_t)n, out);
    case HD_TENSOR_F32: return hd__convert_f32(in, (size_t)n, out);
    case HD_TENSOR_F16: return hd__convert_f16(in, (size_t)n, out);
    case HD_TENSOR_BF16: return hd__convert_bf16(in, (size_t)n, out);
    default: return read_blocks(tensor, first, n, out);
    }
}

/* Values that are not one behind the other, some at a time. */
static bool read_strided(const hd_tensor *tensor, uint64_t first, uint64_t n, float *out)
{
    enum { PART = 64 };
    char part[PART * sizeof(double)];
    const uint32_t bytes = hd__tensor_type_bytes(tensor->type);
    bool finite = true;
    for (uint64_t done = 0, n_part; done < n; done += n_part) {
        n_part = n - done < PART ? n - done : PART;
        for (uint64_t i = 0; i < n_part; i++) {
            uint64_t rest = first + done + i, at = 0;
            for (uint32_t d = tensor->n_dims; d-- > 0; rest /= tensor->dims[d])
                at += rest % tensor->dims[d] * tensor->strides[d];
            memcpy(part + i * bytes, tensor->bytes.ptr + at * bytes, bytes);
        }
        finite &= read_values(tensor, part, 0, n_part, out + done);
    }
    return finite;
}

static bool read_any(const hd_tensor *tensor, uint64_t first, uint64_t n, float *out)
{
    if (tensor->strides != NULL)
        return read_strided(tensor, first, n, out);
    return read_values(tensor, tensor->bytes.ptr + first * hd__tensor_type_bytes(tensor->type), first, n, out);
}

hd_status hd__tensor_read_f32(const hd_tensor *tensor, uint64_t first, uint64_t n, float *out, hd_error *err)
{
    assert(first <= tensor->n_elements && n <= tensor->n_elements - first);
    if (!hd__tensor_type_is_read(tensor->type))
        return hd__fail(err, HD_ERR_UNSUPPORTED, "%s: tensor \"%s\" is %s, no type of weights", tensor->file, tensor->name,
                        hd__tensor_type_name(tensor->type));
    if (read_any(tensor, first, n, out))
        return HD_OK;
    uint64_t at = 0;
    while (at + 1 < n && __builtin_isfinite(out[at]))
        at++;
    return hd__fail(err, HD_ERR_NUMERIC, "%s: tensor \"%s\": value %llu is not a finite number", tensor->file, tensor->name,
                    (unsigned long long)(first + at));
}

void hd__tensor_forget(const hd_tensor *tensor)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t begin = ((uintptr_t)tensor->bytes.ptr + page - 1) & ~(page - 1); /* neighbours keep the pages they share */
    uintptr_t end = ((uintptr_t)tensor->bytes.ptr + tensor->bytes.len) & ~(page - 1);
    if (begin < end)
        madvise((void *)begin, end - begin, MADV_DONTNEED); /* a hint: nothing is lost when it is refused */
}
