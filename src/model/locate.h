/* locate.h - where models are on this machine: a folder, our own store, or the Hugging Face cache.
 *
 * Our store: <cache_dir>/models/<owner>/<name>[@revision]/, complete folders only (placed by rename).
 * Hugging Face cache: $HF_HUB_CACHE, $HF_HOME/hub or ~/.cache/huggingface/hub:
 * models--<owner>--<name>/refs/<revision> -> snapshots/<commit>/.
 */
#ifndef HD_MODEL_LOCATE_H
#define HD_MODEL_LOCATE_H

#include "base/arena.h"

/* $HEDDLE_CACHE, else $XDG_CACHE_HOME/heddle, else ~/.cache/heddle. */
HD_MUST_USE hd_status hd__cache_dir(hd_arena *arena, const char **dir, hd_error *err);

/* Finds the folder of "dir/with/config.json", "owner/name" or "owner/name@revision"; a bare "name" is also
 * tried as sentence-transformers/name. cache_dir NULL: hd__cache_dir. HD_ERR_NOT_FOUND says where it looked
 * and how to pull. Path lives in the arena. */
HD_MUST_USE hd_status hd__model_locate(const char *name_or_dir, const char *cache_dir, hd_arena *arena, const char **path,
                                       hd_error *err);

typedef struct hd_located_model {
    const char *name, *revision, *path; /* revision "" when not pinned */
    const char *source;                 /* "heddle" or "huggingface" */
    uint64_t bytes;                     /* on disk */
} hd_located_model;

/* Every model found, sorted by name; the array and its texts live in the arena. */
HD_MUST_USE hd_status hd__model_list(const char *cache_dir, hd_arena *arena, hd_located_model **models, size_t *n, hd_error *err);

#endif
