/* router.h - router_config.json: queries and documents that go through modules of their own. Part of modules.h.
 *
 * Heddle runs what opensearch-neural-sparse-encoding-doc and others like it are: a sparse encoder for documents, and for
 * queries a table with a weight for each token (SparseStaticEmbedding), which needs no inference (Geng et al. 2024,
 * https://arxiv.org/abs/2411.04403). Other Routers are refused by what they send queries to.
 */
#ifndef HD_MODEL_ROUTER_H
#define HD_MODEL_ROUTER_H

#include "model/modules.h"

/* Reads the file in the Router's folder, path: the modules of documents are added, the table of queries is named. */
HD_MUST_USE hd_status hd__router_read(const hd_settings_reader *reader, const char *path, hd_modules *modules);

/* What settings say of modules->query_table. */
HD_MUST_USE hd_status hd__router_apply(const hd_settings_reader *reader, const hd_modules *modules, hd_settings *settings);

#endif
