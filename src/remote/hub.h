/* hub.h - pulling models: from a Hugging Face hub over HTTPS, from a folder, or from a zip archive.
 *
 * Hub protocol: GET {endpoint}/api/models/{name}/revision/{revision} lists files ("siblings", "sha");
 * GET {endpoint}/{name}/resolve/{commit}/{file} answers or redirects, with X-Linked-Etag / ETag (SHA-256 for
 * large files, git blob SHA-1 for small ones), X-Linked-Size and Accept-Ranges. Downloads go to a folder of parts,
 * which are resumed, checked against size and hash, then the complete folder is moved into place by rename.
 * Two processes pulling the same model: one works, the other waits for it.
 */
#ifndef HD_REMOTE_HUB_H
#define HD_REMOTE_HUB_H

#include "base/status.h"

typedef struct hd_pull_progress {
    const char *file;
    uint32_t file_index, n_files;
    uint64_t bytes_done, bytes_total; /* over all files; total 0 while unknown */
} hd_pull_progress;

typedef struct hd_pull_options {
    const char *cache_dir; /* NULL: hd__cache_dir's; the model lands in <cache_dir>/models/<owner>/<name>[@revision] */
    const char *endpoint;  /* NULL: $HF_ENDPOINT, else the public hub */
    const char *token;     /* NULL: $HF_TOKEN, else the Hugging Face client's token file, else none; "": none */
    const char *as_name;   /* "owner/name" for folders and archives, which carry none; NULL: from their name */
    const char *subfolder; /* archives: the folder inside that is the model; NULL: the one with config.json */
    bool force;            /* pull again although it is there */
    bool offline;          /* only look at what is there */
    bool (*on_progress)(const hd_pull_progress *progress, void *data); /* false stops; may be NULL */
    void *progress_data;
} hd_pull_options;

/* Pulls "owner/name[@revision]", or places a local folder, .zip or .whl. *path (caller frees with hd__free) is
 * the model's folder. HD_ERR_NOT_FOUND (no such model), HD_ERR_PEER (server's answer, in words: gated model,
 * rate limit, checksum), HD_ERR_IO (disk), HD_ERR_CANCELLED. No partial model is ever visible. */
HD_MUST_USE hd_status hd__hub_pull(const char *source, const hd_pull_options *options, char **path, hd_error *err);

#endif
