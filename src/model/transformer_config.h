/* transformer_config.h - config.json: which transformer, how large, and which heads it was trained with. Part of settings.h.
 *
 * Every family of models spells the same few numbers in its own way; a table says how (transformer_config.c).
 */
#ifndef HD_MODEL_TRANSFORMER_CONFIG_H
#define HD_MODEL_TRANSFORMER_CONFIG_H

#include "model/modules.h"

/* Fills what settings say of the transformer and its own heads, and the pooling that holds without modules.json. root: of
 * path/config.json. */
HD_MUST_USE hd_status hd__transformer_config(const hd_settings_reader *reader, const char *path, const json_t *root,
                                             const char *shown, hd_settings *settings);

#endif
