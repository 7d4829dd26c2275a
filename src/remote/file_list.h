/* file_list.h - the files that a source offers, and the choice of those that Heddle needs of them.
 *
 * Needed are: settings and tokenizer files and weights as safetensors, or as pytorch_model.bin where there are none, in the
 * model's own folder and in those that modules.json names, and PEFT's adapters. Left out are the same weights in other
 * formats (ONNX, OpenVINO, TensorFlow, GGUF …), pictures and texts about the model; licences come along.
 */
#ifndef HD_REMOTE_FILE_LIST_H
#define HD_REMOTE_FILE_LIST_H

#include <string.h>

#include "base/arena.h"
#include "model/modules.h"
#include "remote/checksum.h"

typedef enum hd_file_role { HD_FILE_UNUSED, HD_FILE_SETTINGS, HD_FILE_WEIGHTS } hd_file_role;

typedef struct hd_remote_file {
    const char *path;     /* below the model's folder */
    uint64_t bytes;       /* UINT64_MAX while unknown */
    hd_checksum checksum; /* NONE while unknown */
    uint64_t index;       /* the source's own number for it */
    hd_file_role role;
} hd_remote_file;

typedef struct hd_file_list {
    hd_arena *arena;
    const char *source;    /* for error texts */
    hd_remote_file *files; /* [n], in the arena */
    size_t n, capacity;
} hd_file_list;

/* Adds a file; path is copied. HD_ERR_FORMAT for a path that would lead out of the model's folder, HD_ERR_LIMIT
 * past HD_LIMIT_MODEL_FILES. */
HD_MUST_USE hd_status hd__file_list_add(hd_file_list *list, const hd_remote_file *file, hd_error *err);
hd_remote_file *hd__file_list_find(const hd_file_list *list, const char *path); /* NULL when there is none */

/* The last part of its path. */
static inline const char *hd__remote_file_name(const hd_remote_file *file)
{
    const char *slash = strrchr(file->path, '/');
    return slash != NULL ? slash + 1 : file->path;
}

/* Sets every file's role. HD_ERR_UNSUPPORTED when what Heddle needs is not among them. */
HD_MUST_USE hd_status hd__file_list_choose(hd_file_list *list, const hd_modules *modules, hd_error *err);

#endif
