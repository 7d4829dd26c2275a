/* gguf_files.c - see gguf_files.h. */
#include "model/gguf_files.h"

#include <stdio.h>

#define PART_SUFFIX "-%05u-of-%05u.gguf"
#define PART_SUFFIX_BYTES (sizeof "-00001-of-00001.gguf" - 1)

bool hd__gguf_name_is_part(const char *name, uint32_t *number, uint32_t *count)
{
    char again[64];
    const size_t n = strlen(name);
    if (n <= PART_SUFFIX_BYTES || sscanf(name + n - PART_SUFFIX_BYTES, PART_SUFFIX, number, count) != 2)
        return false;
    snprintf(again, sizeof again, PART_SUFFIX, *number, *count);
    return strcmp(name + n - PART_SUFFIX_BYTES, again) == 0 && *number >= 1 && *number <= *count;
}

static hd_status no_memory(const char *path, hd_error *err)
{
    return hd__fail(err, HD_ERR_MEMORY, "%s: no memory for its parts", path);
}

static hd_status open_part(const char *path, hd_arena *arena, hd_file_map *map, hd_gguf *gguf, hd_error *err)
{
    HD_TRY(hd__file_map_open(path, map, err));
    const hd_status status = hd__gguf_parse(map->bytes, path, arena, gguf, err);
    if (status != HD_OK)
        hd__file_map_close(map);
    return status;
}

/* How many parts there are, by the first; 1 for a file that is all of the model. */
static hd_status count_parts(const hd_gguf *first, uint64_t *count, hd_error *err)
{
    uint64_t no = 0;
    uint32_t number, n_named;
    *count = 1;
    HD_TRY(hd__gguf_get_uint(first, "split.count", HD_LIMIT_SHARDS, count, err));
    HD_TRY(hd__gguf_get_uint(first, "split.no", UINT16_MAX, &no, err));
    if (*count <= 1) {
        *count = 1;
        return HD_OK;
    }
    if (no != 0)
        return hd__fail(err, HD_ERR_ARG, "%s: part %llu of %llu of a model; name the first, which ends in " PART_SUFFIX,
                        first->file, (unsigned long long)no + 1, (unsigned long long)*count, 1, (uint32_t)*count);
    if (!hd__gguf_name_is_part(first->file, &number, &n_named) || number != 1 || n_named != *count)
        return hd__fail(err, HD_ERR_FORMAT,
                        "%s: the first of %llu parts, so its name must end in " PART_SUFFIX " for the others to be found",
                        first->file, (unsigned long long)*count, 1, (uint32_t)*count);
    return HD_OK;
}

static hd_status check_part(const hd_gguf *part, uint64_t i, uint64_t count, hd_error *err)
{
    uint64_t no = UINT64_MAX, n = UINT64_MAX;
    HD_TRY(hd__gguf_get_uint(part, "split.no", UINT16_MAX, &no, err));
    HD_TRY(hd__gguf_get_uint(part, "split.count", UINT16_MAX, &n, err));
    if (no != i || n != count)
        return hd__fail(err, HD_ERR_FORMAT, "%s: split.no %lld, split.count %lld; a file of this name has %llu, %llu",
                        part->file, (long long)no, (long long)n, (unsigned long long)i, (unsigned long long)count);
    return HD_OK;
}

/* The tensors of all parts in one array. */
static hd_status join(hd_gguf_files *files, const hd_gguf *parts, hd_arena *arena, hd_error *err)
{
    hd_gguf *all = &files->gguf;
    uint64_t n = 0, n_said;
    for (size_t i = 0; i < files->n; i++)
        n += parts[i].n_tensors;
    n_said = n;
    HD_TRY(hd__gguf_get_uint(all, "split.tensors.count", UINT32_MAX, &n_said, err));
    if (n != n_said)
        return hd__fail(err, HD_ERR_FORMAT, "%s: split.tensors.count is %llu, the %zu parts have %llu", all->file,
                        (unsigned long long)n_said, files->n, (unsigned long long)n);
    if (n > HD_LIMIT_TENSORS)
        return hd__fail(err, HD_ERR_LIMIT, "%s: %llu tensors in %zu parts, the limit is %u", all->file,
                        (unsigned long long)n, files->n, HD_LIMIT_TENSORS);
    hd_tensor *tensors = hd__arena_calloc(arena, (size_t)n, sizeof *tensors);
    if (tensors == NULL)
        return no_memory(all->file, err);
    all->tensors = tensors;
    all->n_tensors = (size_t)n;
    for (size_t i = 0; i < files->n; tensors += parts[i++].n_tensors) {
        if (parts[i].n_tensors > 0)
            memcpy(tensors, parts[i].tensors, parts[i].n_tensors * sizeof *tensors);
    }
    return HD_OK;
}

/* All parts behind the first. files->n is how many are open. */
static hd_status open_others(hd_gguf_files *files, uint64_t count, hd_arena *arena, hd_error *err)
{
    const char *first = files->paths[0];
    const int n_stem = (int)(strlen(first) - PART_SUFFIX_BYTES);
    hd_gguf *parts = hd__arena_calloc(arena, (size_t)count, sizeof *parts);
    if (parts == NULL)
        return no_memory(first, err);
    parts[0] = files->gguf;
    for (size_t i = 1; i < count; i++) {
        hd_error why;
        const char *path = hd__arena_printf(arena, "%.*s" PART_SUFFIX, n_stem, first, (uint32_t)i + 1, (uint32_t)count);
        if (path == NULL)
            return no_memory(first, err);
        const hd_status status = open_part(path, arena, &files->maps[i], &parts[i], &why);
        if (status != HD_OK)
            return hd__fail(err, status, "part %zu of %llu: %s", i + 1, (unsigned long long)count, why.text);
        files->paths[i] = path;
        files->n = i + 1;
        HD_TRY(check_part(&parts[i], i, count, err));
    }
    return join(files, parts, arena, err);
}

/* ggml drops leading dimensions of one (in its order: the last ones), so that a table of one row comes back as a vector. */
static void restore_rows(hd_gguf *gguf)
{
    static const char *const tables[] = {"token_types.weight", "cls.output.weight"};
    for (size_t i = 0; i < gguf->n_tensors; i++) {
        hd_tensor *t = &gguf->tensors[i];
        if (t->n_dims == 1 && (strcmp(t->name, tables[0]) == 0 || strcmp(t->name, tables[1]) == 0)) {
            t->n_dims = 2;
            t->dims[1] = t->dims[0];
            t->dims[0] = 1;
        }
    }
}

hd_status hd__gguf_open(const char *path, hd_arena *arena, hd_gguf_files *out, hd_error *err)
{
    hd_gguf_files files = {.n = 1};
    hd_file_map first;
    uint64_t count;
    hd_status status;
    const char *kept = hd__arena_strndup(arena, path, strlen(path));
    if (kept == NULL)
        return no_memory(path, err);
    HD_TRY(open_part(kept, arena, &first, &files.gguf, err));
    files.maps = &first;
    HD_TRY_OUT(count_parts(&files.gguf, &count, err));
    files.paths = hd__arena_calloc(arena, (size_t)count, sizeof *files.paths);
    hd_file_map *maps = hd__arena_calloc(arena, (size_t)count, sizeof *maps);
    if (files.paths == NULL || maps == NULL)
        HD_TRY_OUT(no_memory(kept, err));
    files.paths[0] = kept;
    maps[0] = first;
    files.maps = maps;
    if (count > 1)
        HD_TRY_OUT(open_others(&files, count, arena, err));
    restore_rows(&files.gguf);
    *out = files;
    return HD_OK;
out:
    hd__gguf_close(&files);
    return status;
}

void hd__gguf_close(hd_gguf_files *files)
{
    for (size_t i = 0; i < files->n; i++)
        hd__file_map_close(&files->maps[i]);
}
