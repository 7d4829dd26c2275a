/* hub_source.c - see hub_source.h and hub.h.
 *
 * A download is two files in a folder of its own, FILE (the bytes so far) and FILE.etag (what the server called
 * them, for If-Range), until its length and checksum are right; then it moves to the staging folder, which holds
 * whole files only.
 */
#include "remote/hub_source.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/json.h"
#include "base/limits.h"

/* ---- what the hub's answers mean ---- */

static hd_status refused(const hd_hub_source *source, const char *what, const hd_http_client_response *r, hd_error *err)
{
    const char *said = r->error_message[0] != '\0' ? r->error_message : r->error_code;
    const char *name = source->repository, *hub = source->endpoint;
    if (strcmp(r->error_code, "RevisionNotFound") == 0)
        return hd__fail(err, HD_ERR_NOT_FOUND, "%s: no such revision at %s", what, hub);
    if (strcmp(r->error_code, "GatedRepo") == 0)
        return hd__fail(err, HD_ERR_PEER, "%s: a gated model: ask for access at %s/%s%s (%s)", what, hub, name,
                        source->token != NULL ? "" : " and set HF_TOKEN", said);
    if (r->status == 404 || strcmp(r->error_code, "RepoNotFound") == 0)
        return hd__fail(err, HD_ERR_NOT_FOUND, "%s: no such model at %s%s", what, hub,
                        source->token != NULL ? " (or the token may not see it)" : " (a private one needs HF_TOKEN)");
    if (r->status == 401)
        return hd__fail(err, HD_ERR_PEER, "%s: %s %s (%s)", what, hub,
                        source->token != NULL ? "does not accept the token"
                                              : "wants a token: set HF_TOKEN, or there is no such model",
                        said);
    if (r->status == 403)
        return hd__fail(err, HD_ERR_PEER, "%s: %s forbids it (%s)", what, hub, said);
    if (r->status == 429)
        return hd__fail(err, HD_ERR_PEER, "%s: %s limits the rate of requests%s%s%s", what, hub,
                        r->retry_after[0] != '\0' ? "; it says to come back in " : "", r->retry_after,
                        r->retry_after[0] != '\0' ? " s" : "");
    return hd__fail(err, HD_ERR_PEER, "%s: %s answers %u%s%s", what, hub, r->status, said[0] != '\0' ? ": " : "", said);
}

/* ---- the list of files ---- */

typedef struct reply {
    hd_buffer text;
    hd_pull_meter *meter;
    const char *what;
} reply;

static hd_status begin_reply(void *data, const hd_http_client_response *response, hd_error *err)
{
    reply *r = data;
    (void)response, (void)err;
    hd__buffer_reset(&r->text);
    return HD_OK;
}

static hd_status add_to_reply(void *data, hd_span bytes, hd_error *err)
{
    reply *r = data;
    if (bytes.len > HD_LIMIT_HUB_REPLY_BYTES - r->text.len)
        return hd__fail(err, HD_ERR_LIMIT, "%s: more than %u bytes", r->what, HD_LIMIT_HUB_REPLY_BYTES);
    hd__buffer_append(&r->text, bytes.ptr, bytes.len);
    return r->text.failed ? hd__fail(err, HD_ERR_MEMORY, "%s: no memory for the answer", r->what) : HD_OK;
}

static bool tick_meter(void *data)
{
    const reply *r = data;
    const hd_pull_options *options = r->meter->options;
    return options->on_progress == NULL || options->on_progress(&r->meter->progress, options->progress_data);
}

static bool is_commit(const char *text)
{
    size_t n = strspn(text, "0123456789abcdef");
    return n >= 7 && n <= 64 && text[n] == '\0';
}

/* {"rfilename": …, "size": …, "blobId": …, "lfs": {"sha256": …}}: all but the name only from some hubs. */
static hd_status add_sibling(hd_hub_source *source, const json_t *entry, const char *what, hd_error *err)
{
    const char *path = NULL, *blob = NULL, *sha256 = NULL;
    hd_remote_file file = {.bytes = UINT64_MAX};
    const json_t *lfs = json_object_get(entry, "lfs");
    HD_TRY(hd__json_get_text(entry, "rfilename", what, &path, err));
    HD_TRY(hd__json_get_text(entry, "blobId", what, &blob, err));
    HD_TRY(hd__json_get_text(lfs, "sha256", what, &sha256, err));
    HD_TRY(hd__json_get_uint(entry, "size", 0, HD_LIMIT_MODEL_BYTES, what, &file.bytes, err));
    if (path == NULL)
        return hd__fail(err, HD_ERR_PEER, "%s: a file without \"rfilename\"", what);
    file.path = path;
    if (sha256 != NULL || (blob != NULL && !json_is_object(lfs)))
        file.checksum = hd__checksum_parse(sha256 != NULL ? sha256 : blob);
    return hd__file_list_add(&source->base.files, &file, err);
}

hd_status hd__hub_listing_parse(hd_hub_source *source, hd_span text, const char *what, hd_error *err)
{
    json_t *root;
    hd_status status = HD_OK;
    const char *commit = NULL;
    HD_TRY(hd__json_parse(text, what, &root, err));
    const json_t *siblings = json_object_get(root, "siblings");
    HD_TRY_OUT(hd__json_get_text(root, "sha", what, &commit, err));
    if (commit == NULL || !is_commit(commit) || !json_is_array(siblings)) {
        status = hd__fail(err, HD_ERR_PEER, "%s: no \"sha\" and \"siblings\": not the answer of a model hub", what);
        goto out;
    }
    source->commit = hd__arena_strndup(source->arena, commit, strlen(commit));
    if (source->commit == NULL) {
        status = hd__fail(err, HD_ERR_MEMORY, "%s: no memory for the answer", what);
        goto out;
    }
    for (size_t i = 0; i < json_array_size(siblings); i++)
        HD_TRY_OUT(add_sibling(source, json_array_get(siblings, i), what, err));
out:
    json_decref(root);
    return status;
}

/* err is not NULL. */
static hd_status read_listing(hd_hub_source *source, const char *url, const char *what, hd_pull_meter *meter, hd_error *err)
{
    reply r = {.meter = meter, .what = what};
    hd_http_client_response response;
    hd_http_client_request request = {.url = url,
                                      .token = source->token,
                                      .compressed = true,
                                      .begin = begin_reply,
                                      .body = add_to_reply,
                                      .tick = tick_meter,
                                      .data = &r};
    hd__buffer_init(&r.text);
    hd_status status = hd__http_client_get(source->http, &request, &response, err);
    if (status != HD_OK && response.unreachable) {
        const hd_error cause = *err;
        hd__fail(err, status, "%s; HF_ENDPOINT names a mirror, HTTPS_PROXY a proxy, and pulling a folder takes no network",
                 cause.text);
    }
    if (status == HD_OK && response.status != 200)
        status = refused(source, what, &response, err);
    if (status == HD_OK)
        status = hd__hub_listing_parse(source, hd__buffer_span(&r.text), what, err);
    hd__buffer_clear(&r.text);
    if (status == HD_ERR_FORMAT) /* a malformed answer is the hub's fault */
        status = err->status = HD_ERR_PEER;
    return status;
}

/* ---- one file ---- */

typedef struct download {
    hd_hub_source *source;
    hd_remote_file *file;
    hd_pull_meter *meter;
    char part[HD_LIMIT_PATH_BYTES], etag_path[HD_LIMIT_PATH_BYTES];
    char etag[HD_HTTP_CLIENT_FIELD_BYTES]; /* of what is in part; "" when unknown */
    int fd;
    uint64_t bytes;    /* in part */
    uint64_t expected; /* UINT64_MAX while unknown */
    hd_checksum checksum;
} download;

/* Fit for a line of a request's header. */
static bool is_printable(hd_span text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < ' ' || text.ptr[i] > '~')
            return false;
    }
    return true;
}

/* How much is there from an earlier try. */
static hd_status open_part(download *d, hd_error *err)
{
    struct stat st;
    hd_arena arena;
    hd_span etag;
    d->fd = open(d->part, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
    if (d->fd < 0 || fstat(d->fd, &st) != 0)
        return hd__fail_errno(err, errno, "%s: cannot open", d->part);
    d->bytes = (uint64_t)st.st_size;
    hd__arena_init(&arena);
    if (hd__file_read(d->etag_path, HD_HTTP_CLIENT_FIELD_BYTES - 1, &arena, &etag, NULL) == HD_OK && is_printable(etag))
        memcpy(d->etag, etag.ptr, etag.len + 1);
    hd__arena_clear(&arena);
    return HD_OK;
}

static hd_status cut_part(download *d, uint64_t bytes, hd_error *err)
{
    if (ftruncate(d->fd, (off_t)bytes) != 0 || lseek(d->fd, (off_t)bytes, SEEK_SET) < 0)
        return hd__fail_errno(err, errno, "%s: cannot cut to %llu bytes", d->part, (unsigned long long)bytes);
    d->bytes = bytes;
    return HD_OK;
}

static void resume_part(void *data, uint64_t *from, const char **if_range)
{
    download *d = data;
    *from = d->bytes;
    *if_range = d->etag[0] == '"' ? d->etag : NULL; /* weak ones (W/"…") may not be used for ranges */
}

/* The answer's own word on length and checksum, for what the list of files did not say. */
static void learn(download *d, const hd_http_client_response *r)
{
    char *end;
    unsigned long long linked = strtoull(r->linked_size, &end, 10);
    if (d->expected == UINT64_MAX && r->linked_size[0] != '\0' && *end == '\0')
        d->expected = linked;
    if (d->expected == UINT64_MAX && r->content_bytes < UINT64_MAX - r->body_from)
        d->expected = r->body_from + r->content_bytes;
    if (d->checksum.kind == HD_CHECKSUM_NONE)
        d->checksum = hd__checksum_parse(r->linked_etag);
    if (d->checksum.kind == HD_CHECKSUM_NONE && r->same_origin)
        d->checksum = hd__checksum_parse(r->etag);
}

static hd_status begin_part(void *data, const hd_http_client_response *r, hd_error *err)
{
    download *d = data;
    if (r->content_encoding[0] != '\0' && strcmp(r->content_encoding, "identity") != 0)
        return hd__fail(err, HD_ERR_PEER, "%s: sent with Content-Encoding %s, which was not asked for", d->file->path,
                        r->content_encoding);
    learn(d, r);
    if (d->expected != UINT64_MAX && d->expected > HD_LIMIT_MODEL_BYTES)
        return hd__fail(err, HD_ERR_LIMIT, "%s: %llu bytes, the limit is %llu", d->file->path,
                        (unsigned long long)d->expected, HD_LIMIT_MODEL_BYTES);
    HD_TRY(cut_part(d, r->body_from, err));
    if (strcmp(d->etag, r->etag) == 0)
        return HD_OK;
    memcpy(d->etag, r->etag, sizeof d->etag);
    hd_file_writer writer;
    HD_TRY(hd__file_writer_open(&writer, d->etag_path, err));
    hd__file_writer_add(&writer, hd__span_of(d->etag));
    return hd__file_writer_commit(&writer, err);
}

static hd_status write_part(void *data, hd_span bytes, hd_error *err)
{
    download *d = data;
    uint64_t most = d->expected != UINT64_MAX ? d->expected : HD_LIMIT_MODEL_BYTES;
    if (bytes.len > most - d->bytes)
        return hd__fail(err, HD_ERR_PEER, "%s: the server sends more than the %llu bytes of the file", d->file->path,
                        (unsigned long long)most);
    while (bytes.len > 0) {
        ssize_t n = write(d->fd, bytes.ptr, bytes.len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return hd__fail_errno(err, errno, "%s: cannot write after %llu bytes", d->part, (unsigned long long)d->bytes);
        bytes = hd__span(bytes.ptr + n, bytes.len - (size_t)n);
        d->bytes += (uint64_t)n;
    }
    return hd__meter_set(d->meter, d->bytes, err);
}

static bool tick_download(void *data)
{
    download *d = data;
    return hd__meter_set(d->meter, d->bytes, NULL) == HD_OK;
}

/* Downloads what is missing. 416 says that there is nothing behind what is there, which is then not the file's
 * beginning: once more, all of it. */
static hd_status download_rest(download *d, const char *url, const char *what, hd_error *err)
{
    const uint32_t range_not_satisfiable = 416;
    hd_http_client_response response;
    hd_http_client_request request = {.url = url,
                                      .token = d->source->token,
                                      .resume = resume_part,
                                      .begin = begin_part,
                                      .body = write_part,
                                      .tick = tick_download,
                                      .data = d};
    HD_TRY(hd__http_client_get(d->source->http, &request, &response, err));
    if (response.status == range_not_satisfiable && d->bytes > 0) {
        HD_TRY(cut_part(d, 0, err));
        HD_TRY(hd__http_client_get(d->source->http, &request, &response, err));
    }
    return response.status == 200 || response.status == 206 ? HD_OK : refused(d->source, what, &response, err);
}

static hd_status check_part(download *d, const char *what, hd_error *err)
{
    if (d->expected != UINT64_MAX && d->bytes != d->expected)
        return hd__fail(err, HD_ERR_PEER, "%s: %llu bytes arrived, the file has %llu", what, (unsigned long long)d->bytes,
                        (unsigned long long)d->expected);
    return hd__checksum_verify(&d->checksum, d->part, err);
}

static hd_status download_checked(download *d, const char *url, const char *what, hd_error *err)
{
    HD_TRY(open_part(d, err));
    if (d->expected != UINT64_MAX && d->bytes > d->expected)
        HD_TRY(cut_part(d, 0, err));
    hd_status status = HD_ERR_PEER;
    for (int round = 0; round < 2 && status == HD_ERR_PEER; round++) {
        if (round > 0) /* what is there is wrong: once more, from its beginning */
            HD_TRY(cut_part(d, 0, err));
        if (d->bytes != d->expected)
            HD_TRY(download_rest(d, url, what, err));
        status = check_part(d, what, err);
    }
    if (status == HD_ERR_PEER) {
        unlink(d->part);
        unlink(d->etag_path);
    }
    HD_TRY(status);
    return fsync(d->fd) == 0 ? HD_OK : hd__fail_errno(err, errno, "%s: cannot write", d->part);
}

static hd_status file_url(const hd_hub_source *source, const char *path, hd_buffer *url, hd_error *err)
{
    hd__buffer_printf(url, "%s/", source->endpoint);
    hd__url_append(url, source->repository, true);
    hd__buffer_printf(url, "/resolve/%s/", source->commit);
    hd__url_append(url, path, true);
    hd__buffer_append(url, "", 1);
    return url->failed ? hd__fail(err, HD_ERR_MEMORY, "%s: no memory for its URL", path) : HD_OK;
}

static hd_status fetch(void *data, hd_remote_file *file, const char *to, hd_pull_meter *meter, hd_error *err)
{
    hd_hub_source *source = data;
    download d = {
        .source = source, .file = file, .meter = meter, .fd = -1, .expected = file->bytes, .checksum = file->checksum};
    char what[HD_LIMIT_PATH_BYTES];
    hd_buffer url;
    hd_status status;
    hd__buffer_init(&url);
    snprintf(what, sizeof what, "%s: %s", source->repository, file->path);
    int n = snprintf(d.etag_path, sizeof d.etag_path, "%s/%s.etag", source->parts_dir, file->path);
    if (n < 0 || (size_t)n >= sizeof d.etag_path) {
        status = hd__fail(err, HD_ERR_LIMIT, "%s: path of %d bytes, the limit is %u", what, n, HD_LIMIT_PATH_BYTES - 1);
        goto out;
    }
    snprintf(d.part, sizeof d.part, "%s/%s", source->parts_dir, file->path);
    HD_TRY_OUT(hd__pull_make_parent(d.part, err));
    HD_TRY_OUT(file_url(source, file->path, &url, err));
    HD_TRY_OUT(download_checked(&d, url.ptr, what, err));
    if (rename(d.part, to) != 0)
        status = hd__fail_errno(err, errno, "%s: cannot be moved to %s", d.part, to);
    unlink(d.etag_path);
out:
    if (d.fd >= 0)
        close(d.fd);
    hd__buffer_clear(&url);
    return status;
}

/* ---- open ---- */

hd_status hd__hub_source_open(hd_hub_source *source, hd_http_client *http, const char *endpoint, const char *token,
                              const hd_model_name *name, hd_pull_meter *meter, hd_arena *arena, hd_error *err)
{
    const char *revision = name->revision[0] != '\0' ? name->revision : "main";
    hd_buffer url;
    *source = (hd_hub_source){.http = http, .endpoint = endpoint, .token = token, .arena = arena};
    source->repository = hd__arena_printf(arena, "%s%s%s", name->owner, name->owner[0] != '\0' ? "/" : "", name->name);
    const char *what = hd__arena_printf(arena, "%s@%s", source->repository != NULL ? source->repository : "", revision);
    hd__buffer_init(&url);
    hd__buffer_printf(&url, "%s/api/models/", endpoint);
    hd__url_append(&url, source->repository != NULL ? source->repository : "", true);
    hd__buffer_append_text(&url, "/revision/");
    hd__url_append(&url, revision, false);
    hd__buffer_append(&url, "?blobs=true", sizeof "?blobs=true");
    hd_error local;
    hd_status status = HD_ERR_MEMORY;
    source->base = (hd_pull_source){.files = {.arena = arena, .source = source->repository}, .fetch = fetch, .data = source};
    if (source->repository == NULL || what == NULL || url.failed)
        hd__fail(&local, status, "no memory to ask for a model");
    else
        status = read_listing(source, url.ptr, what, meter, &local);
    hd__buffer_clear(&url);
    return status == HD_OK ? HD_OK : hd__fail(err, status, "%s", local.text);
}
