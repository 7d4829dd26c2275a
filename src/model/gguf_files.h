/* gguf_files.h - the GGUF file of a model, or the parts that llama.cpp's converter and splitter cut large ones into:
 *
 *   NAME-00001-of-00003.gguf   the model's pairs and perhaps tensors; the one that stands for all
 *   NAME-00002-of-00003.gguf   tensors
 *   …
 * Each is a GGUF file of its own (gguf.h) with split.no (0 for the first), split.count and split.tensors.count, which counts
 * the tensors of all.
 *
 * Source: llama.cpp's llama_split_path and llama_model_loader; gguf-py's gguf_writer.py.
 */
#ifndef HD_MODEL_GGUF_FILES_H
#define HD_MODEL_GGUF_FILES_H

#include "base/file.h"
#include "model/gguf.h"

typedef struct hd_gguf_files {
    hd_gguf gguf; /* pairs of the first file, tensors of all */
    size_t n;
    const char **paths; /* [n] */
    hd_file_map *maps;  /* [n] */
} hd_gguf_files;

/* Maps and parses a file, and the other parts when it is the first of several. All but the mappings lives in the arena.
 * HD_ERR_NOT_FOUND when a part is missing, HD_ERR_ARG for a part that is not the first, HD_ERR_FORMAT for one that belongs
 * to others; else as hd__gguf_parse. Closed by hd__gguf_close. */
HD_MUST_USE hd_status hd__gguf_open(const char *path, hd_arena *arena, hd_gguf_files *files, hd_error *err);
void hd__gguf_close(hd_gguf_files *files);

/* Whether a file's name is that of a part; *number counts from 1. */
bool hd__gguf_name_is_part(const char *name, uint32_t *number, uint32_t *count);

#endif
