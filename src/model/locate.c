/* locate.c - see locate.h. */
#include "model/locate.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/limits.h"
#include "model/gguf_files.h"
#include "model/peft.h"
#include "model/settings.h"
#include "model/tensors.h"

static hd_status no_memory(hd_error *err)
{
    return hd__fail(err, HD_ERR_MEMORY, "no memory to look for models");
}

/* The variable's value, or NULL when it is unset or empty. */
static const char *variable(const char *name)
{
    const char *value = getenv(name);
    return value != NULL && value[0] != '\0' ? value : NULL;
}

/* ---- folders ---- */

hd_status hd__cache_dir(hd_arena *arena, const char **dir, hd_error *err)
{
    const char *own = variable("HEDDLE_CACHE"), *xdg = variable("XDG_CACHE_HOME"), *home = variable("HOME");
    const char *path;
    if (own != NULL)
        path = hd__arena_strndup(arena, own, strlen(own));
    else if (xdg != NULL)
        path = hd__arena_printf(arena, "%s/heddle", xdg);
    else if (home != NULL)
        path = hd__arena_printf(arena, "%s/.cache/heddle", home);
    else
        return hd__fail(err, HD_ERR_NOT_FOUND, "no cache folder: none of HEDDLE_CACHE, XDG_CACHE_HOME and HOME is set");
    if (path == NULL)
        return no_memory(err);
    *dir = path;
    return HD_OK;
}

/* The hub folder of the Hugging Face client; "" when no variable says where. */
static hd_status hf_cache_dir(hd_arena *arena, const char **dir, hd_error *err)
{
    const char *cache = variable("HF_HUB_CACHE"), *legacy = variable("HUGGINGFACE_HUB_CACHE");
    const char *hf_home = variable("HF_HOME"), *xdg = variable("XDG_CACHE_HOME"), *home = variable("HOME");
    const char *path = "";
    if (cache != NULL || legacy != NULL)
        path = hd__arena_printf(arena, "%s", cache != NULL ? cache : legacy);
    else if (hf_home != NULL)
        path = hd__arena_printf(arena, "%s/hub", hf_home);
    else if (xdg != NULL)
        path = hd__arena_printf(arena, "%s/huggingface/hub", xdg);
    else if (home != NULL)
        path = hd__arena_printf(arena, "%s/.cache/huggingface/hub", home);
    if (path == NULL)
        return no_memory(err);
    *dir = path;
    return HD_OK;
}

static bool has_file(const char *dir, const char *file)
{
    char path[HD_LIMIT_PATH_BYTES];
    int n = snprintf(path, sizeof path, "%s/%s", dir, file);
    return n > 0 && (size_t)n < sizeof path && hd__file_exists(path);
}

/* Old sentence-transformers folders keep config.json in 0_Transformer; an adapter may leave it to the model it names. */
static bool is_model_dir(const char *dir)
{
    return has_file(dir, "config.json") || has_file(dir, "modules.json") || has_file(dir, "adapter_config.json");
}

/* The one GGUF file of a folder, or the first part of the one that there is in parts, in the arena; NULL when there is none
 * or several. */
static hd_status find_gguf(const char *dir, hd_arena *arena, const char **path, hd_error *err)
{
    static const char suffix[] = ".gguf";
    DIR *handle = opendir(dir);
    hd_status status = HD_OK;
    size_t n_found = 0;
    *path = NULL;
    const struct dirent *entry;
    while (handle != NULL && status == HD_OK && (entry = readdir(handle)) != NULL) {
        size_t n = strlen(entry->d_name), n_suffix = sizeof suffix - 1;
        uint32_t number, count;
        if (n <= n_suffix || strcmp(entry->d_name + n - n_suffix, suffix) != 0 ||
            (hd__gguf_name_is_part(entry->d_name, &number, &count) && number > 1))
            continue;
        *path = n_found++ == 0 ? hd__arena_printf(arena, "%s/%s", dir, entry->d_name) : NULL;
        if (n_found == 1 && *path == NULL)
            status = no_memory(err);
    }
    if (handle != NULL)
        closedir(handle);
    return status;
}

/* Whether a folder has weights in a format of the Hub's. */
static bool has_weights(const char *dir)
{
    return has_file(dir, "model.safetensors") || has_file(dir, "model.safetensors.index.json") ||
           has_file(dir, "pytorch_model.bin") || has_file(dir, "pytorch_model.bin.index.json");
}

/* What stands for a model at a path: the folder in the Hub's layout, the GGUF file that the path names, or the only one in
 * the folder when that has no other weights. NULL: nothing. */
static hd_status find_model(const char *path, hd_arena *arena, const char **found, hd_error *err)
{
    *found = NULL;
    if (hd__file_exists(path)) {
        *found = hd__arena_strndup(arena, path, strlen(path));
        return *found != NULL ? HD_OK : no_memory(err);
    }
    if (!has_weights(path))
        HD_TRY(find_gguf(path, arena, found, err));
    if (*found == NULL && is_model_dir(path)) {
        *found = hd__arena_strndup(arena, path, strlen(path));
        return *found != NULL ? HD_OK : no_memory(err);
    }
    return HD_OK;
}

/* Whether all files are there that settings ask for. */
static hd_status check_files(const hd_settings *settings, hd_error *err)
{
    hd_tensors *tensors = NULL;
    if (!hd__file_exists(settings->dir) && !hd__settings_have_tokenizer(settings->tokenizer_dir))
        return hd__fail(
            err, HD_ERR_NOT_FOUND,
            "%s: no tokenizer.json, no vocab.txt, no sentencepiece.bpe.model, no spiece.model, no vocab.json with "
            "merges.txt",
            settings->tokenizer_dir);
    for (uint32_t i = 0; i <= settings->n_dense; i++) {
        HD_TRY(hd__tensors_open(i == 0 ? settings->dir : settings->dense[i - 1].dir, &tensors, err));
        hd__tensors_close(tensors);
    }
    for (uint32_t i = 0; settings->task_dirs != NULL && i < settings->n_tasks; i++) {
        HD_TRY(hd__peft_tensors(settings->task_dirs[i], &tensors, err));
        hd__tensors_close(tensors);
    }
    if (settings->adapter_dir != NULL) {
        HD_TRY(hd__peft_tensors(settings->adapter_dir, &tensors, err));
        hd__tensors_close(tensors);
    }
    if (settings->query_table != NULL) {
        HD_TRY(hd__tensors_open(settings->query_table, &tensors, err));
        hd__tensors_close(tensors);
    }
    return HD_OK;
}

hd_status hd__model_check_folder(const char *dir, const char *cache_dir, hd_error *err)
{
    hd_arena arena;
    hd_settings settings;
    hd_status status;
    hd__arena_init(&arena);
    HD_TRY_OUT(hd__settings_read(dir, cache_dir, &arena, &settings, err));
    HD_TRY_OUT(check_files(&settings, err));
    if (settings.has_sides) {
        HD_TRY_OUT(hd__settings_read_queries(dir, cache_dir, &arena, &settings, err));
        HD_TRY_OUT(check_files(&settings, err));
    }
out:
    hd__arena_clear(&arena);
    return status;
}

/* ---- names ---- */

static bool is_name_part(hd_span text)
{
    if (text.len == 0 || text.len > HD_LIMIT_MODEL_NAME_BYTES || text.ptr[0] == '.' || text.ptr[0] == '-')
        return false;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!plain && c != '.' && c != '_' && c != '-')
            return false;
    }
    return true;
}

/* A branch, tag or commit: parts like those of a name, split by '/'. */
static bool is_revision(const char *text)
{
    if (strlen(text) > HD_LIMIT_MODEL_NAME_BYTES)
        return false;
    for (const char *begin = text;; begin++) {
        size_t n = strcspn(begin, "/");
        if (!is_name_part(hd__span(begin, n)))
            return false;
        begin += n;
        if (*begin == '\0')
            return true;
    }
}

hd_status hd__model_name_parse(const char *text, hd_arena *arena, hd_model_name *name, hd_error *err)
{
    const char *at = strchr(text, '@');
    size_t n = at != NULL ? (size_t)(at - text) : strlen(text);
    const char *slash = memchr(text, '/', n);
    size_t n_owner = slash != NULL ? (size_t)(slash - text) : 0;
    const char *own_name = slash != NULL ? slash + 1 : text;
    hd_span last = hd__span(own_name, n - (size_t)(own_name - text));
    if ((slash != NULL && !is_name_part(hd__span(text, n_owner))) || !is_name_part(last) ||
        (at != NULL && !is_revision(at + 1)))
        return hd__fail(err, HD_ERR_ARG, "\"%s\" is neither a folder nor a model's name (owner/name or owner/name@revision)",
                        text);
    name->owner = hd__arena_strndup(arena, text, n_owner);
    name->name = hd__arena_strndup(arena, last.ptr, last.len);
    name->revision = at != NULL ? hd__arena_strndup(arena, at + 1, strlen(at + 1)) : "";
    return name->owner != NULL && name->name != NULL && name->revision != NULL ? HD_OK : no_memory(err);
}

hd_status hd__model_store_path(const hd_model_name *name, const char *cache_dir, hd_arena *arena, const char **path,
                               hd_error *err)
{
    hd_buffer text;
    hd__buffer_init(&text);
    hd__buffer_printf(&text, "%s/models/%s%s%s", cache_dir, name->owner, name->owner[0] != '\0' ? "/" : "", name->name);
    if (name->revision[0] != '\0')
        hd__buffer_append_char(&text, '@');
    for (const char *c = name->revision; *c != '\0'; c++) {
        if (*c == '/')
            hd__buffer_append_text(&text, "%2F");
        else
            hd__buffer_append_char(&text, *c);
    }
    const char *kept = text.failed ? NULL : hd__arena_strndup(arena, text.ptr, text.len);
    hd__buffer_clear(&text);
    if (kept == NULL)
        return no_memory(err);
    *path = kept;
    return HD_OK;
}

/* ---- the Hugging Face cache ---- */

/* The commit that a ref points at, or the revision itself when it is no ref. */
static hd_status resolve_ref(const char *repo_dir, const char *revision, hd_arena *arena, const char **commit, hd_error *err)
{
    const size_t most = 128;
    hd_span text = hd__span_of(revision);
    const char *path = hd__arena_printf(arena, "%s/refs/%s", repo_dir, revision);
    if (path == NULL)
        return no_memory(err);
    if (hd__file_exists(path))
        HD_TRY(hd__file_read(path, most, arena, &text, err));
    while (text.len > 0 && (unsigned char)text.ptr[text.len - 1] <= ' ')
        text.len--;
    if (!is_name_part(text))
        return hd__fail(err, HD_ERR_FORMAT, "%s: not a commit", path);
    *commit = hd__arena_strndup(arena, text.ptr, text.len);
    return *commit != NULL ? HD_OK : no_memory(err);
}

/* check: whether all that Heddle reads of it must be there. */
static hd_status find_snapshot(const hd_model_name *name, const char *cache_dir, bool check, hd_arena *arena,
                               const char **path, hd_error *err)
{
    const char *hub, *commit;
    HD_TRY(hf_cache_dir(arena, &hub, err));
    const char *repo_dir =
        hd__arena_printf(arena, "%s/models--%s%s%s", hub, name->owner, name->owner[0] != '\0' ? "--" : "", name->name);
    if (repo_dir == NULL)
        return no_memory(err);
    if (hub[0] == '\0' || !hd__dir_exists(repo_dir))
        return hd__fail(err, HD_ERR_NOT_FOUND, "%s: no such folder", repo_dir);
    HD_TRY(resolve_ref(repo_dir, name->revision[0] != '\0' ? name->revision : "main", arena, &commit, err));
    const char *dir = hd__arena_printf(arena, "%s/snapshots/%s", repo_dir, commit);
    if (dir == NULL)
        return no_memory(err);
    hd_error problem;
    const char *found;
    HD_TRY(find_model(dir, arena, &found, err));
    hd_status status = HD_OK;
    if (check || found == NULL)
        status = hd__model_check_folder(found != NULL ? found : dir, cache_dir, &problem);
    if (status == HD_ERR_MEMORY)
        return no_memory(err);
    if (status != HD_OK)
        return hd__fail(err, HD_ERR_NOT_FOUND, "%s", problem.text);
    *path = found;
    return HD_OK;
}

hd_status hd__model_find_in_hf_cache(const hd_model_name *name, const char *cache_dir, hd_arena *arena, const char **path,
                                     hd_error *err)
{
    return find_snapshot(name, cache_dir, true, arena, path, err);
}

/* ---- locate ---- */

/* Looks for one name in both places; why receives what the Hugging Face cache lacks. */
static hd_status find_name(const hd_model_name *name, const char *cache_dir, bool check, hd_arena *arena, const char **path,
                           hd_error *why)
{
    const char *own;
    HD_TRY(hd__model_store_path(name, cache_dir, arena, &own, why));
    HD_TRY(find_model(own, arena, path, why));
    return *path != NULL ? HD_OK : find_snapshot(name, cache_dir, check, arena, path, why);
}

/* Why a path is no model. */
static hd_status no_model_at(const char *path, hd_error *err)
{
    const bool is_dir = hd__dir_exists(path);
    if (access(path, is_dir ? R_OK | X_OK : F_OK) != 0 && errno == EACCES)
        return hd__fail_errno(err, errno, "%s: cannot open", path);
    return hd__fail(err, HD_ERR_NOT_FOUND, "%s: %s", path,
                    is_dir ? "a folder without config.json and without one GGUF file is no model"
                           : "no such folder or file");
}

static hd_status locate(const char *name_or_dir, const char *cache_dir, bool check, hd_arena *arena, const char **path,
                        hd_error *err)
{
    HD_TRY(find_model(name_or_dir, arena, path, err));
    if (*path != NULL)
        return HD_OK;
    if (hd__path_is_meant(name_or_dir))
        return no_model_at(name_or_dir, err);
    if (cache_dir == NULL)
        HD_TRY(hd__cache_dir(arena, &cache_dir, err));
    hd_model_name name;
    HD_TRY(hd__model_name_parse(name_or_dir, arena, &name, err));
    hd_error why;
    hd_status status = find_name(&name, cache_dir, check, arena, path, &why);
    if (status == HD_ERR_NOT_FOUND && name.owner[0] == '\0') {
        name.owner = "sentence-transformers";
        status = find_name(&name, cache_dir, check, arena, path, &why);
    }
    if (status == HD_ERR_NOT_FOUND)
        return hd__fail(err, status,
                        "no model \"%s\": not in %s/models, nor complete in the Hugging Face cache (%s). Fetch it: "
                        "heddle pull %s%s%s%s%s",
                        name_or_dir, cache_dir, why.text, name.owner, name.owner[0] != '\0' ? "/" : "", name.name,
                        name.revision[0] != '\0' ? "@" : "", name.revision);
    return status == HD_OK ? HD_OK : hd__fail(err, status, "%s", why.text);
}

hd_status hd__model_locate(const char *name_or_dir, const char *cache_dir, hd_arena *arena, const char **path, hd_error *err)
{
    return locate(name_or_dir, cache_dir, true, arena, path, err);
}

hd_status hd__model_locate_base(const char *name_or_dir, const char *cache_dir, hd_arena *arena, const char **path,
                                hd_error *err)
{
    return locate(name_or_dir, cache_dir, false, arena, path, err);
}

/* ---- list ---- */

typedef struct model_list {
    const char *cache_dir;
    hd_arena *arena;
    hd_located_model *models; /* [n], on the heap while it grows */
    size_t n, capacity;
} model_list;

typedef hd_status visit_fn(model_list *list, const char *dir, const char *entry, void *data, hd_error *err);

/* Calls visit for each subfolder that is not hidden. A folder that cannot be read counts as empty. */
static hd_status each_subfolder(model_list *list, const char *dir, visit_fn *visit, void *data, hd_error *err)
{
    DIR *handle = opendir(dir);
    if (handle == NULL)
        return HD_OK;
    hd_status status = HD_OK;
    const struct dirent *entry;
    while (status == HD_OK && (entry = readdir(handle)) != NULL) {
        if (entry->d_name[0] == '.')
            continue;
        const char *path = hd__arena_printf(list->arena, "%s/%s", dir, entry->d_name);
        if (path == NULL)
            status = no_memory(err);
        else if (hd__dir_exists(path))
            status = visit(list, path, entry->d_name, data, err);
    }
    closedir(handle);
    return status;
}

/* Bytes of all files in a folder and the folders in it, to a depth no model has. */
static uint64_t folder_bytes(const char *dir, int depth)
{
    uint64_t bytes = 0;
    DIR *handle = depth > 0 ? opendir(dir) : NULL;
    if (handle == NULL)
        return 0;
    const struct dirent *entry;
    while ((entry = readdir(handle)) != NULL) {
        char path[HD_LIMIT_PATH_BYTES];
        struct stat st;
        int n = snprintf(path, sizeof path, "%s/%s", dir, entry->d_name);
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 || n < 0 || (size_t)n >= sizeof path ||
            stat(path, &st) != 0)
            continue;
        bytes += S_ISDIR(st.st_mode) ? folder_bytes(path, depth - 1) : (uint64_t)st.st_size;
    }
    closedir(handle);
    return bytes;
}

static hd_status add_model(model_list *list, const char *name, const char *revision, const char *path, const char *source,
                           hd_error *err)
{
    const int most_depth = 8;
    if (name == NULL || revision == NULL)
        return no_memory(err);
    if (list->n == list->capacity) {
        size_t capacity = list->capacity != 0 ? list->capacity * 2 : 16;
        hd_located_model *models = hd__realloc(list->models, hd__mul(capacity, sizeof *models));
        if (models == NULL)
            return no_memory(err);
        list->models = models;
        list->capacity = capacity;
    }
    list->models[list->n++] = (hd_located_model){name, revision, path, source, folder_bytes(path, most_depth)};
    return HD_OK;
}

/* "name@a%2Fb" to the revision "a/b". */
static const char *decode_revision(const char *text, hd_arena *arena)
{
    char *revision = hd__arena_strndup(arena, text, strlen(text));
    char *to = revision;
    for (const char *from = text; to != NULL && *from != '\0'; from++) {
        bool slash = strncmp(from, "%2F", 3) == 0;
        *to++ = slash ? '/' : *from;
        from += slash ? 2 : 0;
    }
    if (to != NULL)
        *to = '\0';
    return revision;
}

/* owner is "" for models right in the store's folder. */
static hd_status visit_store(model_list *list, const char *dir, const char *entry, void *owner, hd_error *err)
{
    const char *prefix = owner;
    if (is_model_dir(dir)) {
        const char *at = strchr(entry, '@');
        int n = at != NULL ? (int)(at - entry) : (int)strlen(entry);
        const char *name = hd__arena_printf(list->arena, "%s%s%.*s", prefix, prefix[0] != '\0' ? "/" : "", n, entry);
        const char *revision = at != NULL ? decode_revision(at + 1, list->arena) : "";
        return add_model(list, name, revision, dir, "heddle", err);
    }
    if (prefix[0] != '\0')
        return HD_OK;
    char *own_name = hd__arena_strndup(list->arena, entry, strlen(entry));
    return own_name != NULL ? each_subfolder(list, dir, visit_store, own_name, err) : no_memory(err);
}

typedef struct hf_repo {
    const char *name;
    const char *main_commit; /* of refs/main; "" when there is none */
} hf_repo;

static hd_status visit_snapshot(model_list *list, const char *dir, const char *entry, void *data, hd_error *err)
{
    const hf_repo *repo = data;
    hd_status status = hd__model_check_folder(dir, list->cache_dir, err);
    if (status != HD_OK)
        return status == HD_ERR_MEMORY ? status : HD_OK;
    bool is_main = strcmp(entry, repo->main_commit) == 0;
    const char *revision = is_main ? "" : hd__arena_strndup(list->arena, entry, strlen(entry));
    return add_model(list, repo->name, revision, dir, "huggingface", err);
}

/* "models--owner--name" */
static hd_status visit_hf_repo(model_list *list, const char *dir, const char *entry, void *data, hd_error *err)
{
    (void)data;
    static const char prefix[] = "models--";
    size_t n_prefix = sizeof prefix - 1;
    if (strncmp(entry, prefix, n_prefix) != 0)
        return HD_OK;
    const char *id = entry + n_prefix, *split = strstr(id, "--");
    int n_owner = split != NULL ? (int)(split - id) : 0;
    hf_repo repo = {
        hd__arena_printf(list->arena, "%.*s%s%s", n_owner, id, split != NULL ? "/" : "", split != NULL ? split + 2 : id),
        ""};
    const char *snapshots = hd__arena_printf(list->arena, "%s/snapshots", dir);
    if (repo.name == NULL || snapshots == NULL)
        return no_memory(err);
    hd_status status = resolve_ref(dir, "main", list->arena, &repo.main_commit, err);
    if (status == HD_ERR_MEMORY)
        return status;
    return each_subfolder(list, snapshots, visit_snapshot, &repo, err);
}

static int by_name(const void *left, const void *right)
{
    const hd_located_model *a = left, *b = right;
    int order = strcmp(a->name, b->name);
    if (order == 0)
        order = strcmp(a->revision, b->revision);
    return order != 0 ? order : strcmp(a->source, b->source);
}

static hd_status collect(model_list *list, const char *cache_dir, hd_error *err)
{
    char no_owner[] = "";
    const char *hub;
    const char *store = hd__arena_printf(list->arena, "%s/models", cache_dir);
    if (store == NULL)
        return no_memory(err);
    HD_TRY(each_subfolder(list, store, visit_store, no_owner, err));
    HD_TRY(hf_cache_dir(list->arena, &hub, err));
    return hub[0] != '\0' ? each_subfolder(list, hub, visit_hf_repo, NULL, err) : HD_OK;
}

hd_status hd__model_list(const char *cache_dir, hd_arena *arena, hd_located_model **models, size_t *n, hd_error *err)
{
    model_list list = {.arena = arena};
    if (cache_dir == NULL)
        HD_TRY(hd__cache_dir(arena, &cache_dir, err));
    list.cache_dir = cache_dir;
    hd_status status = collect(&list, cache_dir, err);
    hd_located_model *kept = hd__arena_calloc(arena, list.n, sizeof *kept);
    if (status == HD_OK && kept == NULL)
        status = no_memory(err);
    if (status == HD_OK) {
        if (list.n > 0) {
            qsort(list.models, list.n, sizeof *list.models, by_name);
            memcpy(kept, list.models, list.n * sizeof *kept);
        }
        *models = kept;
        *n = list.n;
    }
    hd__free(list.models);
    return status;
}
