/* serve_index.h - the index that `heddle serve` searches, and the model that reranks what it finds. */
#ifndef HD_CLI_SERVE_INDEX_H
#define HD_CLI_SERVE_INDEX_H

#include "cli/serve_config.h"
#include "heddle/index.h"

typedef struct cli_serve_index {
    hd_index *index;    /* NULL: none */
    hd_model *reranker; /* NULL: none */
} cli_serve_index;

/* --index, --rerank-model. */
extern const cli_option cli_serve_index_options[];

/* After the config is loaded: without --model the model that made the index's vectors is the one to serve, and the settings
 * say what the index's protocols can. */
HD_MUST_USE hd_status cli_serve_index_load(cli_serve_config *config, hd_error *err);

/* Opens what --index names, or makes it; nothing without one. The models must be registered, and outlive it. */
HD_MUST_USE hd_status cli_serve_index_open(const cli_serve_config *config, hd_engine *engine, hd_models *models,
                                           cli_serve_index *index, hd_error *err);
void cli_serve_index_close(cli_serve_index *index); /* also after a failed open, or none */

#endif
