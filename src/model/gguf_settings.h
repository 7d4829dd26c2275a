/* gguf_settings.h - what a GGUF file says about its model, as the settings files of a folder on the Hub.
 *
 * llama.cpp's converter keeps of config.json what its graphs need and the kind of pooling, and of tokenizer_config.json
 * nothing. From that the files are made again which settings.h reads: config.json, modules.json, 1_Pooling/config.json.
 * Vectors are normalised, as llama.cpp's own tools do. What the converter drops is not there: prompts, Dense modules, a
 * max_seq_length below the number of positions.
 *
 * Source: llama.cpp's converter (conversion/, gguf-py's constants.py), whose keys these are.
 */
#ifndef HD_MODEL_GGUF_SETTINGS_H
#define HD_MODEL_GGUF_SETTINGS_H

#include "model/gguf.h"
#include "model/settings.h"

/* The settings files; gguf must live as long. Its general.architecture is checked when config.json is read. */
hd_settings_source hd__gguf_settings_source(hd_gguf *gguf);

/* Reads and checks what a GGUF file says, and that the tokenizer has a token for each row of the word table. */
HD_MUST_USE hd_status hd__gguf_settings_read(const char *path, hd_arena *arena, hd_settings *settings, hd_error *err);

/* general.architecture; HD_ERR_UNSUPPORTED, with the list of those that are, for one that Heddle does not run. */
HD_MUST_USE hd_status hd__gguf_architecture(const hd_gguf *gguf, const char **architecture, hd_error *err);

#endif
