/* serve_models.h - which models `heddle serve` serves, under which names, and how they get here. */
#ifndef HD_CLI_SERVE_MODELS_H
#define HD_CLI_SERVE_MODELS_H

#include "cli/serve_config.h"

/* --allow-pull, --pooling. */
extern const cli_option cli_serve_source_options[];

/* A command's `prepare`: other servers' start lines become ours. */
HD_MUST_USE hd_status cli_serve_prepare(int *n_args, char ***args, hd_error *err);

/* A name may be of a model that is yet to be pulled, a path has to be there. */
HD_MUST_USE hd_status cli_serve_models_check(const char *name_or_dir, hd_error *err);

/* When --allow-pull says so. The config must outlive the models. */
void cli_serve_models_allow_pull(const cli_serve_config *config, hd_models *models);

/* Registers what --model and HEDDLE_MODELS name: NAME_OR_DIR, or NAME=NAME_OR_DIR to serve it under that name. Says what
 * of the start line means nothing here. The config must outlive the models. */
HD_MUST_USE hd_status cli_serve_models_add(const cli_serve_config *config, hd_models *models, hd_error *err);

#endif
