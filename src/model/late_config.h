/* late_config.h - how a late-interaction model reads queries and documents: by PyLate's config_sentence_transformers.json,
 * sentence-transformers' MultiVectorMask, or the artifact.metadata of ColBERT's own code. Part of settings.h.
 */
#ifndef HD_MODEL_LATE_CONFIG_H
#define HD_MODEL_LATE_CONFIG_H

#include "model/modules.h"

/* Fills settings->late of a model whose modules give a vector for each token; max_length is then that of documents. `root`
 * is config_sentence_transformers.json or NULL, `path` the transformer's folder. To be called when prompts and lengths are
 * read. */
HD_MUST_USE hd_status hd__late_config(const hd_settings_reader *reader, const json_t *root, const char *shown,
                                      const char *path, hd_settings *settings);

/* The same of sentence-transformers' own layout: of the transformer's folder and MultiVectorMask's. */
HD_MUST_USE hd_status hd__late_mask(const hd_settings_reader *reader, const char *path, const char *mask_path,
                                    hd_settings *settings);

/* The same of a folder without modules.json whose config.json names ColBERT's own class, and its one linear layer. */
HD_MUST_USE hd_status hd__late_metadata(const hd_settings_reader *reader, hd_settings *settings);

#endif
