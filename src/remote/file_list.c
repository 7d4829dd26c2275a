/* file_list.c - see file_list.h. */
#include "remote/file_list.h"

#include <stdio.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/limits.h"

hd_status hd__file_list_add(hd_file_list *list, const hd_remote_file *file, hd_error *err)
{
    if (!hd__path_is_below(hd__span_of(file->path)))
        return hd__fail(err, HD_ERR_FORMAT, "%s: file name \"%.200s\" is not a path below the model's folder", list->source,
                        file->path);
    if (list->n == HD_LIMIT_MODEL_FILES)
        return hd__fail(err, HD_ERR_LIMIT, "%s: more than %u files", list->source, HD_LIMIT_MODEL_FILES);
    if (list->n == list->capacity) {
        size_t capacity = list->capacity != 0 ? list->capacity * 2 : 32;
        hd_remote_file *files = hd__arena_calloc(list->arena, capacity, sizeof *files);
        if (files == NULL)
            return hd__fail(err, HD_ERR_MEMORY, "%s: no memory for its list of files", list->source);
        if (list->n > 0)
            memcpy(files, list->files, list->n * sizeof *files);
        list->files = files;
        list->capacity = capacity;
    }
    hd_remote_file *added = &list->files[list->n];
    *added = *file;
    added->path = hd__arena_strndup(list->arena, file->path, strlen(file->path));
    if (added->path == NULL)
        return hd__fail(err, HD_ERR_MEMORY, "%s: no memory for its list of files", list->source);
    list->n++;
    return HD_OK;
}

hd_remote_file *hd__file_list_find(const hd_file_list *list, const char *path)
{
    for (size_t i = 0; i < list->n; i++) {
        if (strcmp(list->files[i].path, path) == 0)
            return &list->files[i];
    }
    return NULL;
}

/* The file `name` in folder `dir` ("" for the model's own). */
static hd_remote_file *find_in(const hd_file_list *list, const char *dir, const char *name)
{
    char path[HD_LIMIT_PATH_BYTES];
    int n = snprintf(path, sizeof path, "%s%s%s", dir, dir[0] != '\0' ? "/" : "", name);
    return n > 0 && (size_t)n < sizeof path ? hd__file_list_find(list, path) : NULL;
}

static bool ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), n_end = strlen(end);
    return n >= n_end && strcmp(text + n - n_end, end) == 0;
}

static bool begins_with(const char *text, const char *begin)
{
    return strncmp(text, begin, strlen(begin)) == 0;
}

static bool is_settings_name(const char *name)
{
    static const char *const names[] = {
        "config.json",
        "modules.json",
        "router_config.json",
        "adapter_config.json",
        "artifact.metadata",
        "config_sentence_transformers.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "special_tokens_map.json",
        "added_tokens.json",
        "vocab.txt",
        "vocab.json",
        "merges.txt",
        "sentencepiece.bpe.model",
        "spiece.model",
        "tokenizer.model",
        "unigram.json",
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (strcmp(name, names[i]) == 0)
            return true;
    }
    return (begins_with(name, "sentence_") && ends_with(name, "_config.json")) || begins_with(name, "LICENSE") ||
           begins_with(name, "NOTICE");
}

/* Weights in one file or in shards with an index; the first kind that a folder has is the one. */
static const struct {
    const char *whole, *index, *shards_begin, *shards_end;
} weight_kinds[] = {
    {"model.safetensors", "model.safetensors.index.json", "model-", ".safetensors"},
    {"pytorch_model.bin", "pytorch_model.bin.index.json", "pytorch_model-", ".bin"},
};

#define N_WEIGHT_KINDS (sizeof weight_kinds / sizeof *weight_kinds)

/* Heads of bge-m3, beside its weights. */
static bool is_head(const char *name)
{
    return strcmp(name, "sparse_linear.pt") == 0 || strcmp(name, "colbert_linear.pt") == 0;
}

/* The kind of weights in a folder; N_WEIGHT_KINDS when there are none. */
static size_t find_kind(const hd_file_list *list, const char *dir)
{
    size_t i = 0;
    while (i < N_WEIGHT_KINDS && find_in(list, dir, weight_kinds[i].whole) == NULL &&
           find_in(list, dir, weight_kinds[i].index) == NULL)
        i++;
    return i;
}

/* PEFT's adapter in a folder: its settings tell that there is one. */
static void choose_adapter(hd_file_list *list, const char *dir)
{
    static const char *const names[] = {"adapter_model.safetensors", "adapter_model.bin"};
    hd_remote_file *file = NULL;
    for (size_t i = 0; file == NULL && i < sizeof names / sizeof *names; i++)
        file = find_in(list, dir, names[i]);
    if (file != NULL && find_in(list, dir, "adapter_config.json") != NULL)
        file->role = HD_FILE_WEIGHTS;
}

/* Sets the roles of the files right in folder `dir`. Shards count when there is an index of them and no whole. */
static void choose_in(hd_file_list *list, const char *dir)
{
    size_t n_dir = strlen(dir), kind = find_kind(list, dir);
    bool has_whole = kind < N_WEIGHT_KINDS && find_in(list, dir, weight_kinds[kind].whole) != NULL;
    for (size_t i = 0; i < list->n; i++) {
        hd_remote_file *file = &list->files[i];
        const char *name = hd__remote_file_name(file);
        size_t n_own = name > file->path ? (size_t)(name - file->path) - 1 : 0;
        if (n_own != n_dir || memcmp(file->path, dir, n_dir) != 0)
            continue;
        if (is_settings_name(name))
            file->role = HD_FILE_SETTINGS;
        else if (is_head(name))
            file->role = HD_FILE_WEIGHTS;
        else if (has_whole && strcmp(name, weight_kinds[kind].whole) == 0)
            file->role = HD_FILE_WEIGHTS;
        else if (kind < N_WEIGHT_KINDS && !has_whole && strcmp(name, weight_kinds[kind].index) == 0)
            file->role = HD_FILE_SETTINGS;
        else if (kind < N_WEIGHT_KINDS && !has_whole && begins_with(name, weight_kinds[kind].shards_begin) &&
                 ends_with(name, weight_kinds[kind].shards_end))
            file->role = HD_FILE_WEIGHTS;
    }
    choose_adapter(list, dir);
}

/* What the Hub's repositories for llama.cpp hold. */
static const char *find_gguf(const hd_file_list *list)
{
    for (size_t i = 0; i < list->n; i++)
        if (ends_with(list->files[i].path, ".gguf"))
            return list->files[i].path;
    return NULL;
}

/* dir: of the first module, which holds the weights. */
static hd_status check_choice(const hd_file_list *list, const hd_modules *modules, const char *dir, hd_error *err)
{
    static const char *const others[] = {"tf_model.h5", "flax_model.msgpack"};
    const char *gguf = find_gguf(list);
    const bool has_config = find_in(list, dir, "config.json") != NULL || hd__modules_have(modules, "StaticEmbedding");
    if (!has_config && find_in(list, dir, "adapter_config.json") != NULL) /* the model that it names has the rest */
        return HD_OK;
    if (!has_config && gguf != NULL)
        return hd__fail(err, HD_ERR_UNSUPPORTED, "%s: holds GGUF files, such as %s: fetch one of them and give its path",
                        list->source, gguf);
    if (!has_config)
        return hd__fail(err, HD_ERR_UNSUPPORTED, "%s: has no config.json, so is no transformer model", list->source);
    if (find_in(list, dir, "tokenizer.json") == NULL && find_in(list, dir, "vocab.txt") == NULL &&
        find_in(list, dir, "sentencepiece.bpe.model") == NULL && find_in(list, dir, "spiece.model") == NULL &&
        (find_in(list, dir, "vocab.json") == NULL || find_in(list, dir, "merges.txt") == NULL))
        return hd__fail(err, HD_ERR_UNSUPPORTED,
                        "%s: has no tokenizer.json, vocab.txt, sentencepiece.bpe.model or spiece.model, nor vocab.json with "
                        "merges.txt",
                        list->source);
    if (find_kind(list, dir) < N_WEIGHT_KINDS)
        return HD_OK;
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        if (find_in(list, dir, others[i]) != NULL)
            return hd__fail(err, HD_ERR_UNSUPPORTED,
                            "%s: has its weights in %s only, Heddle reads model.safetensors and pytorch_model.bin",
                            list->source, others[i]);
    }
    return hd__fail(err, HD_ERR_UNSUPPORTED, "%s: has neither model.safetensors nor pytorch_model.bin", list->source);
}

/* The folders of adapters for tasks, right below the model's own. */
static void choose_adapters(hd_file_list *list)
{
    char dir[HD_LIMIT_PATH_BYTES];
    for (size_t i = 0; i < list->n; i++) {
        const char *path = list->files[i].path, *slash = strchr(path, '/');
        if (slash == NULL || strcmp(slash + 1, "adapter_config.json") != 0)
            continue;
        snprintf(dir, sizeof dir, "%.*s", (int)(slash - path), path);
        choose_in(list, dir);
    }
}

hd_status hd__file_list_choose(hd_file_list *list, const hd_modules *modules, hd_error *err)
{
    for (size_t i = 0; i < list->n; i++)
        list->files[i].role = HD_FILE_UNUSED;
    choose_in(list, "");
    for (uint32_t i = 0; i < modules->n; i++)
        choose_in(list, modules->modules[i].path);
    for (uint32_t i = 0; i < modules->n_others; i++)
        choose_in(list, modules->others[i]);
    if (modules->query_table != NULL)
        choose_in(list, modules->query_table);
    choose_adapters(list);
    return check_choice(list, modules, modules->n > 0 ? modules->modules[0].path : "", err);
}
