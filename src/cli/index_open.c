/* index_open.c - see index_open.h. */
#include "cli/index_open.h"

#include "cli/index_path.h"
#include "search/handle.h"

/* The file says which model it was made with, so it is opened twice: without one, which reads little, then with it. */
static hd_status open_index(cli_index *o, const char *path, hd_error *err)
{
    const hd_index_options options = {.model = o->model, .reranker = o->reranker, .read_only = true};
    return hd_index_open(path, &options, &o->index, err);
}

static hd_status open_engine(cli_index *o, const cli_config *config, hd_error *err)
{
    return o->engine != NULL ? HD_OK : cli_config_open(config, &o->engine, NULL, err);
}

/* The index's model; without it words can be searched still. */
static hd_status open_model(cli_index *o, const cli_config *config, const char *name, bool needed, hd_error *err)
{
    HD_TRY(open_engine(o, config, err));
    const hd_status status = hd_model_open(o->engine, name, &(hd_model_options){.dtype = config->dtype}, &o->model, err);
    if (status != HD_ERR_NOT_FOUND || needed)
        return status;
    o->model = NULL;
    cli_notice("the index's model %s is not here ('heddle pull %s' fetches it): words alone are searched", name, name);
    return HD_OK;
}

/* given NULL: the default one, which need not be here. */
static hd_status open_reranker(cli_index *o, const cli_config *config, const char *given, hd_error *err)
{
    const char *name = given != NULL ? given : CLI_DEFAULT_RERANKER;
    hd_model_info info;
    HD_TRY(open_engine(o, config, err));
    const hd_status status = hd_model_open(o->engine, name, &(hd_model_options){.dtype = config->dtype}, &o->reranker, err);
    if (status == HD_ERR_NOT_FOUND && given == NULL) {
        o->reranker = NULL;
        cli_notice("the reranker %s is not here ('heddle pull %s' fetches it): nothing is reranked", name, name);
        return HD_OK;
    }
    if (status != HD_OK)
        return status;
    hd_model_get_info(o->reranker, &info);
    return info.reranks ? HD_OK
                        : hd__fail(err, HD_ERR_UNSUPPORTED, "--reranker: %s gives no scores for pairs of texts", name);
}

static hd_status open_all(cli_index *o, const cli_config *config, const cli_index_options *options, hd_error *err)
{
    cli_index_path path;
    HD_TRY(cli_index_path_find(options->db, false, &path, err));
    HD_TRY(open_index(o, path.text, err));
    const hd_identity *identity = hd__store_identity(o->index->store);
    const char *name = config->model_is_given ? config->model : identity->model;
    if (!options->no_model && name != NULL && name[0] != '\0')
        HD_TRY(open_model(o, config, name, options->needs_model || config->model_is_given, err));
    const bool has_multi = o->model != NULL && identity->n_token_dimensions > 0;
    if (options->rerank && (options->reranker != NULL || !has_multi))
        HD_TRY(open_reranker(o, config, options->reranker, err));
    o->reranks = o->reranker != NULL || has_multi;
    if (o->model == NULL && o->reranker == NULL)
        return HD_OK;
    hd_index_close(o->index);
    o->index = NULL;
    return open_index(o, path.text, err);
}

hd_status cli_index_open(cli_index *opened, const cli_config *config, const cli_index_options *options, hd_error *err)
{
    *opened = (cli_index){0};
    const hd_status status = open_all(opened, config, options, err);
    if (status != HD_OK)
        cli_index_close(opened);
    return status;
}

void cli_index_close(cli_index *opened)
{
    hd_index_close(opened->index);
    hd_model_close(opened->reranker);
    hd_model_close(opened->model);
    hd_engine_close(opened->engine);
    *opened = (cli_index){0};
}

void cli_index_narrow(const cli_index *opened, hd_search *search)
{
    if (opened->model == NULL && search->legs == 0)
        search->legs = HD_LEG_BM25;
    search->rerank &= opened->reranks;
}
