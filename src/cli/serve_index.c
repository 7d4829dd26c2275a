/* serve_index.c - see serve_index.h.
 *
 * RERANK_ENABLE, RERANK_MODEL, RERANK_K and RERANK_FINAL_N are the names that users of the retrieval plugin have for its
 * reranking: the first chunks that are reranked, and how many of them are answered.
 */
#include "cli/serve_index.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/timed_cond.h"
#include "cli/serve_models.h"
#include "search/handle.h"

#define DEFAULT_RERANK_K 5
#define DEFAULT_RERANK_N 3
#define OPEN_AGAIN_NS 2000000000u /* an index that could not be opened is not tried again by each request */
#define BUSY_RETRY_S 5
#define RETRY_S 31 /* a little more than a model that could not be fetched is left alone (wire/models.c) */

static const char *flag_index, *flag_reranker;

const cli_option cli_serve_index_options[] = {
    {.name = "index",
     .value = "FILE",
     .text = &flag_index,
     .help = "search this index and put documents into it; made when there is none (default: HEDDLE_DB, else none)"},
    {.name = "rerank-model",
     .value = "NAME|DIR",
     .text = &flag_reranker,
     .help = "order what searches find by this cross-encoder or late-interaction model, where a request says so"},
    {0},
};

static const char *index_path(void)
{
    return cli_setting(flag_index, "HEDDLE_DB");
}

static bool is_switched_off(const char *variable)
{
    static const char *const words[] = {"0", "false", "no", "off"};
    const char *value = getenv(variable);
    bool is_off = false;
    for (size_t i = 0; i < sizeof words / sizeof words[0] && value != NULL; i++)
        is_off |= strcasecmp(value, words[i]) == 0;
    return is_off;
}

static const char *reranker_name(void)
{
    const char *ours = cli_setting(flag_reranker, "HEDDLE_RERANK_MODEL");
    return ours != NULL || is_switched_off("RERANK_ENABLE") ? ours : cli_setting(NULL, "RERANK_MODEL");
}

static hd_status load_count(const char *variable, uint32_t *value, hd_error *err)
{
    const char *text = cli_setting(NULL, variable);
    char *end = NULL;
    if (text == NULL)
        return HD_OK;
    const unsigned long n = strtoul(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end != '\0' || n == 0 || n > HD_LIMIT_ANSWERED_HITS)
        return hd__fail(err, HD_ERR_ARG, "%s: '%s' is not a number from 1 to %u", variable, text, HD_LIMIT_ANSWERED_HITS);
    *value = (uint32_t)n;
    return HD_OK;
}

/* Whose vectors are in the file. *name NULL: nobody's. */
static hd_status read_model(const char *path, hd_arena *arena, const char **name, hd_error *err)
{
    hd_index_stats stats;
    hd_index *index;
    *name = NULL;
    HD_TRY(hd_index_open(path, &(hd_index_options){.read_only = true}, &index, err));
    const hd_status status = hd_index_get_stats(index, &stats, err);
    if (status == HD_OK && stats.model != NULL && stats.model[0] != '\0')
        *name = hd__arena_strndup(arena, stats.model, strlen(stats.model));
    hd_index_close(index);
    return status;
}

hd_status cli_serve_index_load(cli_serve_config *config, hd_error *err)
{
    const char *path = index_path(), *model = NULL;
    hd_wire_settings *s = &config->settings;
    s->has_index = path != NULL;
    s->has_reranker = path != NULL && reranker_name() != NULL;
    s->plugin_reranks = s->has_reranker && !is_switched_off("RERANK_ENABLE");
    s->rerank_k = DEFAULT_RERANK_K;
    s->rerank_n = DEFAULT_RERANK_N;
    HD_TRY(load_count("RERANK_K", &s->rerank_k, err));
    HD_TRY(load_count("RERANK_FINAL_N", &s->rerank_n, err));
    if (reranker_name() != NULL && path == NULL && flag_reranker != NULL)
        return hd__fail(err, HD_ERR_ARG, "--rerank-model orders what is found in an index: it needs --index");
    const bool is_model_chosen =
        cli_given_models.n > 0 || config->base.model_is_given || cli_setting(NULL, "HEDDLE_MODELS") != NULL;
    if (path == NULL || is_model_chosen || !hd__file_exists(path))
        return HD_OK;
    HD_TRY(read_model(path, &config->arena, &model, err));
    if (model == NULL)
        return HD_OK;
    config->base.model = model;
    config->models = (cli_texts){{model}, 1};
    return HD_OK;
}

/* ---- opening ---- */

typedef hd_status find_model(hd_models *models, const char *name, hd_model_entry **entry, hd_fault *fault);

static bool is_open(const cli_serve_index *x)
{
    return atomic_load(&x->index) != NULL;
}

/* With the lock. */
static hd_status open_locked(cli_serve_index *x, const hd_index_options *options)
{
    hd_index *index;
    if (x->failed_ns != 0 && hd__now_ns() - x->failed_ns < OPEN_AGAIN_NS)
        return x->error.status;
    const hd_status status = hd_index_open(x->path, options, &index, &x->error);
    x->failed_ns = status != HD_OK ? hd__now_ns() : 0;
    if (status == HD_OK)
        atomic_store(&x->index, index);
    return status;
}

static hd_status open_now(cli_serve_index *x, const hd_model_entry *model, hd_error *err)
{
    const hd_index_options options = {.model = hd__models_handle(model), .create = true, .n_threads = x->n_threads};
    pthread_mutex_lock(&x->lock);
    const hd_status status = is_open(x) ? HD_OK : open_locked(x, &options);
    if (status != HD_OK)
        *err = x->error;
    pthread_mutex_unlock(&x->lock);
    return status;
}

/* Of an index that is open: what is to rerank is not here yet. */
static bool lacks_reranker(const cli_serve_index *x)
{
    return x->rerankers != NULL && atomic_load(&atomic_load(&x->index)->reranker) == NULL;
}

/* Of an index that is open. */
static hd_status set_reranker(cli_serve_index *x, find_model *find, hd_fault *fault)
{
    hd_model_entry *reranker;
    if (!lacks_reranker(x))
        return HD_OK;
    HD_TRY(find(x->rerankers, NULL, &reranker, fault));
    hd__index_set_reranker(atomic_load(&x->index), hd__models_handle(reranker));
    return HD_OK;
}

static hd_status add_reranker(const cli_serve_config *config, hd_engine *engine, const char *name, cli_serve_index *x,
                              hd_error *err)
{
    HD_TRY(cli_serve_models_check(name, err));
    HD_TRY(hd__models_open(engine, false, &x->rerankers, err));
    cli_serve_models_allow_pull(config, x->rerankers);
    return hd__models_add(x->rerankers, name, NULL, &(hd_model_options){.dtype = config->base.dtype}, err);
}

/* Whether there can be a new index: said before models are fetched for it. */
static hd_status check_folder(cli_serve_index *x, hd_error *err)
{
    const char *slash = strrchr(x->path, '/');
    const char *folder = slash != NULL ? hd__arena_strndup(&x->arena, x->path, (size_t)(slash + 1 - x->path)) : ".";
    if (folder == NULL)
        return hd__fail(err, HD_ERR_MEMORY, "%s: no memory to make it", x->path);
    if (hd__dir_exists(x->path))
        return hd__fail(err, HD_ERR_FORMAT, "%s: a folder, no index", x->path);
    return access(folder, W_OK | X_OK) == 0 ? HD_OK : hd__fail_errno(err, errno, "%s: cannot make the index", x->path);
}

hd_status cli_serve_index_open(const cli_serve_config *config, hd_engine *engine, hd_models *models, cli_serve_index *x,
                               hd_error *err)
{
    const char *path = index_path(), *reranker = reranker_name();
    hd_model_entry *model;
    hd_fault fault;
    if (path == NULL)
        return HD_OK;
    x->path = path;
    x->models = models;
    x->n_threads = config->base.n_threads;
    pthread_mutex_init(&x->lock, NULL);
    hd__timed_cond_init(&x->stopped);
    hd__arena_init(&x->arena);
    HD_TRY(hd__file_exists(path) ? read_model(path, &x->arena, &x->name, err) : check_folder(x, err));
    if (reranker != NULL)
        HD_TRY(add_reranker(config, engine, reranker, x, err));
    if (hd__models_find(models, x->name, &model, &fault) == HD_OK) {
        HD_TRY(open_now(x, model, err));
        HD_IGNORE(set_reranker(x, hd__models_find, &fault)); /* or it is to be pulled */
        return HD_OK;
    }
    if (fault.kind == HD_FAULT_MODEL)
        return hd__fail(err, HD_ERR_NOT_FOUND, "%s: its vectors were made by %s, which is not among the served models: %s",
                        path, x->name != NULL ? x->name : "no model", fault.text);
    if (x->name != NULL && !hd__models_has(models, x->name)) /* one that was renamed is the same model */
        cli_notice("%s: its vectors were made by %s: it is opened if the model that is fetched is that one", path, x->name);
    return HD_OK;
}

bool cli_serve_index_is_awaited(const cli_serve_index *x)
{
    return x->path != NULL && (!is_open(x) || lacks_reranker(x));
}

void cli_serve_index_await(cli_serve_index *x)
{
    hd_model_entry *model;
    hd_fault fault; /* was logged, unless it was stopped */
    hd_error error;
    if (!cli_serve_index_is_awaited(x) || hd__models_await(x->models, x->name, &model, &fault) != HD_OK)
        return;
    if (open_now(x, model, &error) != HD_OK)
        hd__log(HD_LOG_ERROR, "%s", error.text);
    else
        HD_IGNORE(set_reranker(x, hd__models_await, &fault));
}

/* Whether it may go on, some time later. */
static bool wait_to_retry(cli_serve_index *x)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += RETRY_S;
    pthread_mutex_lock(&x->lock);
    while (!x->is_stopped && pthread_cond_timedwait(&x->stopped, &x->lock, &until) == 0)
        continue;
    const bool goes_on = !x->is_stopped;
    pthread_mutex_unlock(&x->lock);
    return goes_on;
}

void cli_serve_index_retry(cli_serve_index *x)
{
    while (cli_serve_index_is_awaited(x) && wait_to_retry(x))
        cli_serve_index_await(x);
}

/* What a request is told of an index that could not be opened. */
static hd_status fault_of(const hd_error *error, hd_fault *fault)
{
    if (error->status == HD_ERR_BUSY) {
        HD_IGNORE(hd__fault(fault, HD_FAULT_LOADING, NULL, "%s", error->text));
        fault->retry_after_s = BUSY_RETRY_S;
        return HD_ERR_BUSY;
    }
    return hd__fault(fault, error->status == HD_ERR_MEMORY ? HD_FAULT_MEMORY : HD_FAULT_INTERNAL, NULL, "%s", error->text);
}

static hd_status find_index(cli_serve_index *x, bool reranks, hd_index **index, hd_fault *fault)
{
    hd_model_entry *model;
    hd_error error;
    if (!is_open(x)) {
        HD_TRY(hd__models_find(x->models, x->name, &model, fault));
        if (open_now(x, model, &error) != HD_OK)
            return fault_of(&error, fault);
    }
    if (reranks)
        HD_TRY(set_reranker(x, hd__models_find, fault));
    *index = atomic_load(&x->index);
    return HD_OK;
}

hd_status cli_serve_index_find(void *data, bool reranks, hd_index **index, hd_fault *fault)
{
    const hd_status status = find_index(data, reranks, index, fault);
    if (status != HD_OK)
        fault->field = NULL; /* of a model, which no request has named */
    return status;
}

void cli_serve_index_stop(cli_serve_index *x)
{
    if (x->path == NULL)
        return;
    pthread_mutex_lock(&x->lock);
    x->is_stopped = true;
    pthread_cond_broadcast(&x->stopped);
    pthread_mutex_unlock(&x->lock);
    if (x->rerankers != NULL)
        hd__models_stop(x->rerankers);
}

void cli_serve_index_close(cli_serve_index *x)
{
    if (x->path == NULL)
        return;
    hd_index_close(atomic_load(&x->index));
    hd__models_close(x->rerankers);
    hd__arena_clear(&x->arena);
    pthread_cond_destroy(&x->stopped);
    pthread_mutex_destroy(&x->lock);
    *x = (cli_serve_index){0};
}
