/* serve_index.h - the index that `heddle serve` searches, and the model that reranks what it finds.
 *
 * It is opened at the start, or, when its model is to be pulled first (--allow-pull), as soon as that is here: by a thread
 * that waits for it, or by the first request after a pull that failed. What reranks is added in the same way; until then
 * searches that do not ask for it are answered.
 */
#ifndef HD_CLI_SERVE_INDEX_H
#define HD_CLI_SERVE_INDEX_H

#include <pthread.h>

#include "cli/serve_config.h"
#include "wire/models.h"

typedef struct cli_serve_index {
    _Atomic(hd_index *) index; /* NULL: none, or not open yet */

    /* What is needed to open it. */
    const char *path; /* NULL: none */
    const char *name; /* of the model, on the arena; NULL: the first */
    hd_models *models;
    hd_models *rerankers; /* one, which is not served by itself; NULL: none */
    uint32_t n_threads;
    pthread_mutex_t lock; /* held by the one who opens; all below */
    pthread_cond_t stopped;
    bool is_stopped;
    uint64_t failed_ns; /* when it could not be opened, and why; 0: it was not tried, or is open */
    hd_error error;
    hd_arena arena;
} cli_serve_index;

/* --index, --rerank-model. */
extern const cli_option cli_serve_index_options[];

/* After the config is loaded: without --model the model that made the index's vectors is the one to serve, and the settings
 * say what the index's protocols can. */
HD_MUST_USE hd_status cli_serve_index_load(cli_serve_config *config, hd_error *err);

/* Opens what --index names, or makes it; nothing without one. Its model may have yet to come: then nothing is open after
 * it. The models must be registered, and outlive it. */
HD_MUST_USE hd_status cli_serve_index_open(const cli_serve_config *config, hd_engine *engine, hd_models *models,
                                           cli_serve_index *index, hd_error *err);
bool cli_serve_index_is_awaited(const cli_serve_index *index);

/* Waits for its model, opens it, waits for what reranks; until hd__models_stop and this one's stop. What goes wrong is
 * logged. */
void cli_serve_index_await(cli_serve_index *index);

/* The same again and again, some time apart, until nothing is awaited, or stop. */
void cli_serve_index_retry(cli_serve_index *index);
void cli_serve_index_stop(cli_serve_index *index);

/* A service's find_index. */
HD_MUST_USE hd_status cli_serve_index_find(void *data, bool reranks, hd_index **index, hd_fault *fault);

void cli_serve_index_close(cli_serve_index *index); /* also after a failed open, or none */

#endif
