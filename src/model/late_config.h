/* late_config.h - what config_sentence_transformers.json of a late-interaction model says: how queries and documents are
 * read. Part of settings.h.
 */
#ifndef HD_MODEL_LATE_CONFIG_H
#define HD_MODEL_LATE_CONFIG_H

#include "model/modules.h"

/* Fills settings->late of a model whose modules give a vector for each token; max_length is then that of documents. `root`
 * is config_sentence_transformers.json or NULL, `path` the transformer's folder. To be called when prompts and lengths are
 * read. */
HD_MUST_USE hd_status hd__late_config(const hd_settings_reader *reader, const json_t *root, const char *shown,
                                      const char *path, hd_settings *settings);

#endif
