/* model_identity.c - see model_identity.h.
 *
 * Weights are told by their files' sizes and by stretches of them, evenly spread from the beginning to the end: training
 * changes every one. The files are those of the first kind that the folder has, and each of its modules' folders; the same
 * weights in another format count as another model.
 */
#include "search/model_identity.h"

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/alloc.h"
#include "base/buffer.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/limits.h"

#define N_STRETCHES 16u
#define STRETCH_BYTES 4096u
#define MAX_FILES 64u /* weights in more parts are told by the first ones */

static hd_status no_memory(hd_error *err)
{
    return hd__fail(err, HD_ERR_MEMORY, "no memory to tell one model from others");
}

/* ---- the name ---- */

static bool is_path(const char *name)
{
    return hd__path_is_meant(name) || hd__dir_exists(name) || hd__file_exists(name);
}

/* "…/models/owner/name" of Heddle's own store; NULL when it is not in one. */
static const char *name_in_store(const char *path)
{
    const char *at = path + strlen(path);
    for (int n = 0; n < 2; n++)
        for (at--; at > path && *at != '/';)
            at--;
    const char *folder = at - strlen("/models");
    return folder >= path && memcmp(folder, "/models", strlen("/models")) == 0 ? at + 1 : NULL;
}

/* "…/models--owner--name/snapshots/…" of the Hugging Face cache; NULL when it is not in one. */
static const char *name_in_cache(const char *path, hd_arena *arena)
{
    const char *owner = strstr(path, "/models--");
    const char *end = owner != NULL ? strstr(owner, "/snapshots/") : NULL;
    if (end == NULL)
        return NULL;
    owner += strlen("/models--");
    const char *dashes = strstr(owner, "--");
    if (dashes == NULL || dashes > end)
        return hd__arena_printf(arena, "%.*s", (int)(end - owner), owner);
    return hd__arena_printf(arena, "%.*s/%.*s", (int)(dashes - owner), owner, (int)(end - dashes - 2), dashes + 2);
}

hd_status hd__model_identity_name(const hd_model_info *info, hd_arena *arena, const char **name, hd_error *err)
{
    if (!is_path(info->name)) {
        *name = hd__arena_strndup(arena, info->name, strlen(info->name));
        return *name != NULL ? HD_OK : no_memory(err);
    }
    char real[PATH_MAX];
    const char *path = realpath(info->path, real) != NULL ? real : info->path;
    const char *cached = name_in_cache(path, arena), *own = name_in_store(path);
    const char *short_name = own != NULL ? own : path;
    *name = cached != NULL ? cached : hd__arena_strndup(arena, short_name, strlen(short_name));
    return *name != NULL ? HD_OK : no_memory(err);
}

/* ---- the fingerprint ---- */

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static bool ends_with(const char *name, const char *end)
{
    const size_t n = strlen(name), n_end = strlen(end);
    return n > n_end && strcmp(name + n - n_end, end) == 0;
}

/* Appends the hash of a file's size and stretches. One that is not there is told by its absence. */
static hd_status add_file(const char *folder, const char *name, hd_buffer *text, hd_error *err)
{
    char path[HD_LIMIT_PATH_BYTES];
    hd_file_map map;
    const int n = snprintf(path, sizeof path, "%s%s%s", folder, name[0] != '\0' ? "/" : "", name);
    if (n < 0 || (size_t)n >= sizeof path || !hd__file_exists(path))
        return HD_OK;
    HD_TRY(hd__file_map_open(path, &map, err));
    const uint64_t size = map.bytes.len, step = size > STRETCH_BYTES ? (size - STRETCH_BYTES) / (N_STRETCHES - 1) : 0;
    hd__buffer_printf(text, "%s %llu;", name, (unsigned long long)size);
    for (uint64_t i = 0; i < N_STRETCHES; i++) {
        const uint64_t at = i * step, left = size - at;
        const hd_hash128 hash =
            hd__hash128(hd__span(map.bytes.ptr + at, left < STRETCH_BYTES ? (size_t)left : STRETCH_BYTES), i);
        hd__buffer_append_uint(text, hash.low, 8);
        hd__buffer_append_uint(text, hash.high, 8);
    }
    hd__file_map_close(&map);
    return HD_OK;
}

typedef bool is_wanted_fn(const char *name, const char *end);

/* Names in a folder that are wanted, in order. */
static hd_status list(const char *folder, is_wanted_fn *is_wanted, const char *end, hd_arena *arena,
                      const char *names[MAX_FILES], size_t *n, hd_error *err)
{
    DIR *dir = opendir(folder);
    const struct dirent *d;
    hd_status status = HD_OK;
    *n = 0;
    while (dir != NULL && status == HD_OK && *n < MAX_FILES && (d = readdir(dir)) != NULL)
        if (is_wanted(d->d_name, end)) {
            names[*n] = hd__arena_strndup(arena, d->d_name, strlen(d->d_name));
            if (names[(*n)++] == NULL)
                status = no_memory(err);
        }
    if (dir != NULL)
        closedir(dir);
    if (status == HD_OK && *n > 1)
        qsort(names, *n, sizeof names[0], compare_names);
    return status;
}

/* Files of weights in the model's folder, or in one below it: those of the first kind that there are. */
static hd_status add_files(const char *folder, const char *below, hd_buffer *text, hd_error *err)
{
    static const char *const kinds[] = {".safetensors", ".bin", ".gguf"};
    hd_arena arena;
    const char *names[MAX_FILES];
    size_t n = 0;
    hd_status status = HD_OK;
    hd__arena_init(&arena);
    const char *path = hd__arena_printf(&arena, "%s/%s", folder, below);
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0] && n == 0 && path != NULL; i++)
        HD_TRY_OUT(list(path, ends_with, kinds[i], &arena, names, &n, err));
    for (size_t i = 0; i < n; i++) {
        const char *name = below[0] != '\0' ? hd__arena_printf(&arena, "%s/%s", below, names[i]) : names[i];
        status = name != NULL ? add_file(folder, name, text, err) : no_memory(err);
        if (status != HD_OK)
            goto out;
    }
    status = path != NULL ? HD_OK : no_memory(err);
out:
    hd__arena_clear(&arena);
    return status;
}

/* A module's folder, as sentence-transformers calls them: "2_Dense", "document_0_Transformer". Others (onnx, openvino) hold
 * what Heddle does not read. */
static bool is_module(const char *name, const char *unused)
{
    (void)unused;
    static const char *const routes[] = {"", "document_", "query_"};
    for (size_t i = 0; i < sizeof routes / sizeof routes[0]; i++) {
        const size_t n = strlen(routes[i]);
        if (strncmp(name, routes[i], n) == 0 && name[n] >= '0' && name[n] <= '9' && strchr(name, '_') != NULL)
            return true;
    }
    return false;
}

static hd_status add_weights(const hd_model_info *info, hd_buffer *text, hd_error *err)
{
    if (hd__file_exists(info->path)) /* a GGUF file */
        return add_file(info->path, "", text, err);
    static const char *const others[] = {"config.json", "tokenizer.json", "vocab.txt", "adapter_config.json"};
    hd_arena arena;
    const char *modules[MAX_FILES];
    size_t n;
    hd_status status;
    hd__arena_init(&arena);
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        HD_TRY_OUT(add_file(info->path, others[i], text, err));
    HD_TRY_OUT(add_files(info->path, "", text, err));
    HD_TRY_OUT(list(info->path, is_module, NULL, &arena, modules, &n, err));
    for (size_t i = 0; i < n; i++)
        HD_TRY_OUT(add_files(info->path, modules[i], text, err));
    if (info->base_path != NULL) {
        HD_TRY_OUT(add_file(info->base_path, "config.json", text, err));
        HD_TRY_OUT(add_files(info->base_path, "", text, err));
    }
out:
    hd__arena_clear(&arena);
    return status;
}

hd_status hd__model_identity_fingerprint(const hd_model_info *info, const hd_model_prompts *prompts, hd_arena *arena,
                                         const char **fingerprint, hd_error *err)
{
    hd_buffer text;
    hd__buffer_init(&text);
    hd__buffer_printf(&text, "%s;%s;%s;%u;%u;%u;%d;", info->architecture, info->pooling, info->similarity,
                      info->n_dimensions, info->n_token_dimensions, info->vocab_size, info->normalizes);
    hd__buffer_printf(&text, "%s;%s;%s;%s;", prompts->document_text, prompts->query_text,
                      prompts->document.task != NULL ? prompts->document.task : "",
                      prompts->query.task != NULL ? prompts->query.task : "");
    hd_status status = add_weights(info, &text, err);
    if (status == HD_OK && text.failed)
        status = no_memory(err);
    if (status == HD_OK) {
        const hd_hash128 hash = hd__hash128(hd__buffer_span(&text), 0);
        *fingerprint =
            hd__arena_printf(arena, "%016llx%016llx", (unsigned long long)hash.high, (unsigned long long)hash.low);
        status = *fingerprint != NULL ? HD_OK : no_memory(err);
    }
    hd__buffer_clear(&text);
    return status;
}
