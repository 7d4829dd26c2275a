/* router.h - router_config.json: queries and documents that go through modules of their own. Part of modules.h.
 *
 * Either queries go through a table that has a weight for each token (SparseStaticEmbedding) and needs no inference (Geng et
 * al. 2024, https://arxiv.org/abs/2411.04403), and documents through a sparse encoder: opensearch-neural-sparse-encoding-doc
 * and others like it. Or both sides have modules of their own, an encoder each or other Dense modules: two models with one
 * name, that are read one at a time.
 */
#ifndef HD_MODEL_ROUTER_H
#define HD_MODEL_ROUTER_H

#include "model/modules.h"

/* Reads the file in the Router's folder, path: the modules of one side are added, the table of queries is named. */
HD_MUST_USE hd_status hd__router_read(const hd_settings_reader *reader, const char *path, hd_modules *modules);

/* What settings say of modules->query_table. */
HD_MUST_USE hd_status hd__router_apply(const hd_settings_reader *reader, const hd_modules *modules, hd_settings *settings);

#endif
