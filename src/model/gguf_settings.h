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

/* The kind of model in the file, as hd_settings' model_type says it: by general.architecture, and for "bert", which is the
 * graph of several, by tokenizer and tensors. HD_ERR_UNSUPPORTED, with the list of those that are, for an architecture that
 * Heddle does not run. */
HD_MUST_USE hd_status hd__gguf_model_type(const hd_gguf *gguf, const char **model_type, hd_error *err);

/* Whether tensors besides the body's count, which decides on their names on the Hub (gguf_names.h). */
bool hd__gguf_has_head(const hd_gguf *gguf);

/* The value of a pooling in "<architecture>.pooling_type"; 0 for one that GGUF does not have. */
uint32_t hd__gguf_pooling_type(uint32_t pooling);
enum { HD_GGUF_POOLING_RANK = 4 }; /* of a model that gives scores */

#endif
