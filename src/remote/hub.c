/* hub.c - see hub.h. */
#include "remote/hub.h"

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/limits.h"
#include "base/log.h"
#include "model/locate.h"
#include "remote/archive.h"
#include "remote/hub_source.h"

#define PUBLIC_HUB "https://huggingface.co"
#define LOCK_STEP_MS 500u

/* One call of hd__hub_pull. */
typedef struct pull {
    const hd_pull_options *options;
    hd_arena arena;
    const char *cache_dir;
    hd_model_name name;
    const char *place; /* the folder where the model belongs */
    const char *work;  /* <cache>/pull/<owner>/<name>: the lock, and a folder for each commit on its way */
    hd_pull_meter meter;
} pull;

static const char *variable(const char *name)
{
    const char *value = getenv(name);
    return value != NULL && value[0] != '\0' ? value : NULL;
}

static hd_status no_memory(hd_error *err)
{
    return hd__fail(err, HD_ERR_MEMORY, "no memory to pull a model");
}

/* ---- endpoint, token, offline ---- */

/* Without slashes at its end. */
static hd_status get_endpoint(pull *p, const char **endpoint, hd_error *err)
{
    const char *text = p->options->endpoint != NULL ? p->options->endpoint : variable("HF_ENDPOINT");
    if (text == NULL)
        text = PUBLIC_HUB;
    size_t n = strlen(text);
    while (n > 0 && text[n - 1] == '/')
        n--;
    if (strncmp(text, "https://", 8) != 0 && strncmp(text, "http://", 7) != 0)
        return hd__fail(err, HD_ERR_ARG, "hub \"%s\" is neither https:// nor http://", text);
    *endpoint = hd__arena_strndup(&p->arena, text, n);
    return *endpoint != NULL ? HD_OK : no_memory(err);
}

/* Where the Hugging Face client keeps the token of `hf auth login`; NULL when no variable says. */
static const char *token_path(hd_arena *arena)
{
    const char *path = variable("HF_TOKEN_PATH"), *hf_home = variable("HF_HOME");
    const char *xdg = variable("XDG_CACHE_HOME"), *home = variable("HOME");
    if (path != NULL)
        return path;
    if (hf_home != NULL)
        return hd__arena_printf(arena, "%s/token", hf_home);
    if (xdg != NULL)
        return hd__arena_printf(arena, "%s/huggingface/token", xdg);
    return home != NULL ? hd__arena_printf(arena, "%s/.cache/huggingface/token", home) : NULL;
}

/* *token stays NULL when there is none. */
static hd_status get_token(pull *p, const char **token, hd_error *err)
{
    const char *given = p->options->token != NULL ? p->options->token : variable("HF_TOKEN");
    if (given == NULL)
        given = variable("HUGGING_FACE_HUB_TOKEN");
    hd_span text = given != NULL ? hd__span_of(given) : hd__span("", 0);
    const char *path = given == NULL ? token_path(&p->arena) : NULL;
    if (path != NULL && hd__file_exists(path))
        HD_TRY(hd__file_read(path, HD_LIMIT_TOKEN_FILE_BYTES, &p->arena, &text, err));
    while (text.len > 0 && (unsigned char)text.ptr[text.len - 1] <= ' ')
        text.len--;
    *token = NULL;
    if (text.len == 0)
        return HD_OK;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] <= ' ' || text.ptr[i] > '~')
            return hd__fail(err, HD_ERR_ARG, "the hub's token has a character at place %zu that no token has", i);
    }
    *token = hd__arena_strndup(&p->arena, text.ptr, text.len);
    return *token != NULL ? HD_OK : no_memory(err);
}

/* Certificates to trust, from the variables and in the order of the curl program: libcurl itself asks none of them. */
static hd_http_client_options http_options(void)
{
    const char *bundle = variable("CURL_CA_BUNDLE");
    if (bundle != NULL)
        return (hd_http_client_options){.ca_file = bundle};
    return (hd_http_client_options){.ca_file = variable("SSL_CERT_FILE"), .ca_dir = variable("SSL_CERT_DIR")};
}

static bool is_offline(const pull *p)
{
    static const char *const yes[] = {"1", "true", "yes", "on"};
    const char *value = variable("HF_HUB_OFFLINE");
    for (size_t i = 0; value != NULL && i < sizeof yes / sizeof *yes; i++) {
        if (strcasecmp(value, yes[i]) == 0)
            return true;
    }
    return p->options->offline;
}

static bool is_model(const char *dir)
{
    static const char *const files[] = {"config.json", "modules.json", "adapter_config.json"};
    char path[HD_LIMIT_PATH_BYTES];
    bool found = false;
    for (size_t i = 0; !found && i < sizeof files / sizeof *files; i++) {
        snprintf(path, sizeof path, "%s/%s", dir, files[i]);
        found = hd__file_exists(path);
    }
    return found;
}

/* Placing removes what was there, so that must be a model; and a model's folder holds no other models. */
static hd_status check_place(pull *p, hd_error *err)
{
    const char *owner = hd__arena_printf(&p->arena, "%s/models/%s", p->cache_dir, p->name.owner);
    if (owner == NULL)
        return no_memory(err);
    if (hd__dir_exists(p->place) && !is_model(p->place))
        return hd__fail(err, HD_ERR_IO, "%s: in the way of the model, and no model itself", p->place);
    if (p->name.owner[0] != '\0' && is_model(owner))
        return hd__fail(err, HD_ERR_IO, "%s: in the way: it is a model, and would have to hold others", owner);
    return HD_OK;
}

/* ---- one at a time ---- */

/* Waits for another process that pulls the same model, however long that takes; its death frees the lock. */
static hd_status lock_work(pull *p, int *lock, hd_error *err)
{
    HD_TRY(hd__dir_make(p->work, err));
    const char *path = hd__arena_printf(&p->arena, "%s/lock", p->work);
    if (path == NULL)
        return no_memory(err);
    hd_status status;
    p->meter.progress.file = "waiting for another process";
    while ((status = hd__file_lock_open(path, LOCK_STEP_MS, lock, err)) == HD_ERR_BUSY)
        HD_TRY(hd__meter_set(&p->meter, 0, err));
    return status;
}

/* Removes the folders that earlier pulls left behind, but for one. */
static void wipe_work(pull *p, const char *keep)
{
    DIR *handle = opendir(p->work);
    const struct dirent *entry;
    while (handle != NULL && (entry = readdir(handle)) != NULL) {
        char path[HD_LIMIT_PATH_BYTES];
        int n = snprintf(path, sizeof path, "%s/%s", p->work, entry->d_name);
        if (entry->d_name[0] != '.' && strcmp(entry->d_name, keep) != 0 && n > 0 && (size_t)n < sizeof path &&
            hd__dir_exists(path))
            hd__pull_wipe(path);
    }
    if (handle != NULL)
        closedir(handle);
}

/* Fetches into <work>/<name>/files and moves that to its place. */
static hd_status fetch_and_place(pull *p, hd_pull_source *source, const char *name, hd_error *err)
{
    const char *staging = hd__arena_printf(&p->arena, "%s/%s/files", p->work, name);
    if (staging == NULL)
        return no_memory(err);
    wipe_work(p, name);
    HD_TRY(hd__pull_fetch(source, staging, p->cache_dir, &p->meter, err));
    HD_TRY(hd__pull_place(staging, p->place, err));
    wipe_work(p, "");
    return HD_OK;
}

/* ---- from a hub ---- */

static hd_status download(pull *p, hd_error *err)
{
    const char *endpoint, *token;
    hd_http_client *http = NULL;
    hd_hub_source source;
    HD_TRY(get_endpoint(p, &endpoint, err));
    HD_TRY(get_token(p, &token, err));
    const hd_http_client_options options = http_options();
    HD_TRY(hd__http_client_open(&options, &http, err));
    p->meter.progress.file = "list of files";
    hd_status status = hd__hub_source_open(&source, http, endpoint, token, &p->name, &p->meter, &p->arena, err);
    if (status == HD_OK) {
        source.parts_dir = hd__arena_printf(&p->arena, "%s/%s/parts", p->work, source.commit);
        status = source.parts_dir != NULL ? fetch_and_place(p, &source.base, source.commit, err) : no_memory(err);
    }
    hd__http_client_close(http);
    return status;
}

/* *path is set when the model is on this machine already. */
static hd_status look_here(pull *p, const char **path, hd_error *err)
{
    *path = NULL;
    if (p->options->force)
        return HD_OK;
    if (is_model(p->place)) {
        *path = p->place;
        return HD_OK;
    }
    hd_status status = hd__model_find_in_hf_cache(&p->name, p->cache_dir, &p->arena, path, err);
    return status == HD_ERR_NOT_FOUND || status == HD_ERR_FORMAT ? HD_OK : status;
}

static hd_status prepare(pull *p, const char *name, hd_error *err)
{
    HD_TRY(hd__model_name_parse(name, &p->arena, &p->name, err));
    HD_TRY(hd__model_store_path(&p->name, p->cache_dir, &p->arena, &p->place, err));
    const char *owner = p->name.owner[0] != '\0' ? p->name.owner : "-"; /* which is no owner's name */
    p->work = hd__arena_printf(&p->arena, "%s/pull/%s/%s", p->cache_dir, owner, p->name.name);
    return p->work != NULL ? check_place(p, err) : no_memory(err);
}

static hd_status pull_name(pull *p, const char *name, const char **path, hd_error *err)
{
    int lock = -1;
    HD_TRY(prepare(p, name, err));
    HD_TRY(look_here(p, path, err));
    if (*path != NULL)
        return HD_OK;
    if (is_offline(p))
        return hd__fail(err, HD_ERR_NOT_FOUND, "%s: not on this machine, and the hub may not be asked (offline)", name);
    HD_TRY(lock_work(p, &lock, err));
    hd_status status = look_here(p, path, err); /* another process may have brought it meanwhile */
    if (status == HD_OK && *path == NULL) {
        status = download(p, err);
        *path = p->place;
    }
    hd__file_lock_close(lock);
    return status;
}

/* ---- from this machine ---- */

/* How many of the last of n bytes say that it is an archive; 0: none. */
static size_t archive_suffix(const char *path, size_t n)
{
    static const char *const suffixes[] = {".zip", ".whl"};
    for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++) {
        size_t n_suffix = strlen(suffixes[i]);
        if (n > n_suffix && strncasecmp(path + n - n_suffix, suffixes[i], n_suffix) == 0)
            return n_suffix;
    }
    return 0;
}

/* Where the last part of a path begins; *end is moved before the slashes behind it. */
static size_t last_part(const char *path, size_t *end)
{
    size_t n = strlen(path);
    while (n > 0 && path[n - 1] == '/')
        n--;
    size_t begin = n;
    while (begin > 0 && path[begin - 1] != '/')
        begin--;
    *end = n;
    return begin;
}

/* The name that a folder or an archive gives its model. */
static hd_status local_name(pull *p, const char *source, const char **name, hd_error *err)
{
    char real[PATH_MAX];
    size_t end, begin = last_part(source, &end);
    const hd_span part = hd__span(source + begin, end - begin);
    if ((hd__span_is(part, ".") || hd__span_is(part, "..")) && realpath(source, real) != NULL) {
        source = real;
        begin = last_part(source, &end);
    }
    *name = p->options->as_name != NULL
                ? p->options->as_name
                : hd__arena_strndup(&p->arena, source + begin, end - begin - archive_suffix(source + begin, end - begin));
    return *name != NULL ? HD_OK : no_memory(err);
}

static hd_status pull_local(pull *p, const char *from, bool is_folder, const char **path, hd_error *err)
{
    const char *name;
    hd_pull_source source;
    int lock = -1;
    HD_TRY(local_name(p, from, &name, err));
    hd_status status = prepare(p, name, err);
    if (status == HD_ERR_ARG && p->options->as_name == NULL)
        return hd__fail(err, status, "%s: \"%s\" is no name for a model; --as OWNER/NAME gives it one", from, name);
    HD_TRY(status);
    const bool was_there = is_model(p->place); /* and not put there by who pulls it beside us */
    HD_TRY(lock_work(p, &lock, err));
    *path = p->place;
    if (!is_model(p->place) || p->options->force) {
        wipe_work(p, ""); /* a copy is begun anew */
        status = is_folder ? hd__folder_source_open(&source, from, &p->arena, err)
                           : hd__archive_source_open(&source, from, p->options->subfolder, &p->arena, err);
        if (status == HD_OK)
            status = fetch_and_place(p, &source, "local", err);
    } else if (was_there) {
        hd__log(HD_LOG_WARN, "%s is there already and stays as it is; --force puts %s in its place", p->place, from);
    }
    hd__file_lock_close(lock);
    return status;
}

/* ---- the interface ---- */

static hd_status pull_any(pull *p, const char *source, const char **path, hd_error *err)
{
    p->cache_dir = p->options->cache_dir;
    if (p->cache_dir == NULL)
        HD_TRY(hd__cache_dir(&p->arena, &p->cache_dir, err));
    bool is_folder = hd__dir_exists(source);
    if (is_folder || hd__file_exists(source))
        return pull_local(p, source, is_folder, path, err);
    if (hd__path_is_meant(source) || archive_suffix(source, strlen(source)) > 0)
        return hd__fail(err, HD_ERR_NOT_FOUND, "%s: no such folder or archive", source);
    return pull_name(p, source, path, err);
}

hd_status hd__hub_pull(const char *source, const hd_pull_options *options, char **path_out, hd_error *err)
{
    static const hd_pull_options defaults;
    pull p = {.options = options != NULL ? options : &defaults};
    const char *path = NULL;
    p.meter.options = p.options;
    p.meter.progress.file = "";
    hd__arena_init(&p.arena);
    hd_status status = pull_any(&p, source, &path, err);
    char *kept = status == HD_OK ? hd__strdup(path) : NULL;
    if (status == HD_OK && kept == NULL)
        status = no_memory(err);
    if (status == HD_OK)
        *path_out = kept;
    hd__arena_clear(&p.arena);
    return status;
}
