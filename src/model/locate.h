/* locate.h - where models are on this machine: a folder, our own store, or the Hugging Face cache.
 *
 * Our store: <cache_dir>/models/<owner>/<name>[@revision]/, complete folders only (placed by rename); a '/'
 * in a revision is "%2F" there.
 * Hugging Face cache: $HF_HUB_CACHE, $HF_HOME/hub or ~/.cache/huggingface/hub:
 * models--<owner>--<name>/refs/<revision> -> snapshots/<commit>/.
 */
#ifndef HD_MODEL_LOCATE_H
#define HD_MODEL_LOCATE_H

#include "base/arena.h"

/* $HEDDLE_CACHE, else $XDG_CACHE_HOME/heddle, else ~/.cache/heddle. */
HD_MUST_USE hd_status hd__cache_dir(hd_arena *arena, const char **dir, hd_error *err);

/* Finds the folder of "dir/with/config.json", "owner/name" or "owner/name@revision"; a bare "name" is also
 * tried as sentence-transformers/name. A path may be that of a GGUF file as well, and a folder whose only weights are one
 * GGUF file stands for that file: *path is then the file's. cache_dir NULL: hd__cache_dir. HD_ERR_NOT_FOUND says where it
 * looked and how to pull. Path lives in the arena. */
HD_MUST_USE hd_status hd__model_locate(const char *name_or_dir, const char *cache_dir, hd_arena *arena, const char **path,
                                       hd_error *err);

/* The same, of the model that an adapter is for: what is in its folder is left to who reads it. To check it would follow
 * adapters, whose names may lead around in a circle. */
HD_MUST_USE hd_status hd__model_locate_base(const char *name_or_dir, const char *cache_dir, hd_arena *arena,
                                            const char **path, hd_error *err);

/* "owner/name@revision" in its parts. */
typedef struct hd_model_name {
    const char *owner; /* "" for a bare name */
    const char *name;
    const char *revision; /* "" when not pinned */
} hd_model_name;

/* HD_ERR_ARG for a text that is not a name: letters, digits, '.', '_', '-', as on the Hub. */
HD_MUST_USE hd_status hd__model_name_parse(const char *text, hd_arena *arena, hd_model_name *name, hd_error *err);

/* The folder of our store where the model is or would be. */
HD_MUST_USE hd_status hd__model_store_path(const hd_model_name *name, const char *cache_dir, hd_arena *arena,
                                           const char **path, hd_error *err);

/* The folder in the Hugging Face cache, when it is there and all that Heddle reads of it; else HD_ERR_NOT_FOUND. */
HD_MUST_USE hd_status hd__model_find_in_hf_cache(const hd_model_name *name, const char *cache_dir, hd_arena *arena,
                                                 const char **path, hd_error *err);

/* Whether a folder (or a GGUF file) holds what a model needs: settings, tokenizer, weights with sound headers. The error
 * says what is missing or wrong. cache_dir: where the model may be that an adapter is for; NULL: hd__cache_dir. */
HD_MUST_USE hd_status hd__model_check_folder(const char *dir, const char *cache_dir, hd_error *err);

typedef struct hd_located_model {
    const char *name, *revision, *path; /* revision "" when not pinned */
    const char *source;                 /* "heddle" or "huggingface" */
    uint64_t bytes;                     /* on disk */
} hd_located_model;

/* Every model found, sorted by name; the array and its texts live in the arena. */
HD_MUST_USE hd_status hd__model_list(const char *cache_dir, hd_arena *arena, hd_located_model **models, size_t *n,
                                     hd_error *err);

#endif
