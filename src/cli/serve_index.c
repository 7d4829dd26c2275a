/* serve_index.c - see serve_index.h.
 *
 * RERANK_ENABLE, RERANK_MODEL, RERANK_K and RERANK_FINAL_N are the names that users of the retrieval plugin have for its
 * reranking: the first chunks that are reranked, and how many of them are answered.
 */
#include "cli/serve_index.h"

#include <stdlib.h>
#include <strings.h>

#include "base/file.h"
#include "base/limits.h"

#define DEFAULT_RERANK_K 5
#define DEFAULT_RERANK_N 3

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

/* Of the served models the one that made the index's vectors; for a new index the first. */
static hd_status find_model(const char *path, hd_models *models, hd_arena *arena, hd_model **model, hd_error *err)
{
    const char *name = NULL;
    hd_model_entry *entry;
    hd_fault fault;
    if (hd__file_exists(path))
        HD_TRY(read_model(path, arena, &name, err));
    if (hd__models_find(models, name, &entry, &fault) != HD_OK)
        return hd__fail(err, HD_ERR_NOT_FOUND, "%s: its vectors were made by %s, which is not among the served models: %s",
                        path, name != NULL ? name : "no model", fault.text);
    *model = hd__models_handle(entry);
    return HD_OK;
}

hd_status cli_serve_index_open(const cli_serve_config *config, hd_engine *engine, hd_models *models, cli_serve_index *index,
                               hd_error *err)
{
    hd_index_options options = {.create = true, .n_threads = config->base.n_threads};
    const char *path = index_path(), *reranker = reranker_name();
    if (path == NULL)
        return HD_OK;
    hd_arena arena;
    hd__arena_init(&arena);
    hd_status status;
    HD_TRY_OUT(find_model(path, models, &arena, &options.model, err));
    if (reranker != NULL)
        HD_TRY_OUT(hd_model_open(engine, reranker, &(hd_model_options){.dtype = config->base.dtype}, &index->reranker, err));
    options.reranker = index->reranker;
    HD_TRY_OUT(hd_index_open(path, &options, &index->index, err));
out:
    hd__arena_clear(&arena);
    return status;
}

void cli_serve_index_close(cli_serve_index *index)
{
    hd_index_close(index->index);
    hd_model_close(index->reranker);
    *index = (cli_serve_index){0};
}
