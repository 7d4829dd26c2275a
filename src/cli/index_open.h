/* index_open.h - an index for searching, with the models that go with it. */
#ifndef HD_CLI_INDEX_OPEN_H
#define HD_CLI_INDEX_OPEN_H

#include "cli/config.h"
#include "heddle/index.h"

typedef struct cli_index {
    hd_engine *engine;
    hd_model *model, *reranker;
    hd_index *index;
    bool reranks; /* there is something that can */
} cli_index;

typedef struct cli_index_options {
    const char *db;   /* as cli_index_path_find takes it */
    bool no_model;    /* words alone are searched */
    bool needs_model; /* and a model that is not here is an error, not a notice */
    bool rerank;
    const char *reranker; /* NULL: the index's own token vectors where it keeps them, else CLI_DEFAULT_RERANKER */
} cli_index_options;

/* Opens the index for reading, the model that it names (or the one that the config was given) and the reranker. A model that
 * is not here is said in a notice, and searches go on without it. */
HD_MUST_USE hd_status cli_index_open(cli_index *opened, const cli_config *config, const cli_index_options *options,
                                     hd_error *err);
void cli_index_close(cli_index *opened);

/* Takes out of a search what could not be opened: that was said, and needs no warning. */
void cli_index_narrow(const cli_index *opened, hd_search *search);

#endif
