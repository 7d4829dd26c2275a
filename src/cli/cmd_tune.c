/* cmd_tune.c - `heddle tune --search`: how the legs' lists are best made one, for an index and queries with judgements.
 *
 * Half of the queries choose, the other half says what it is worth.
 */
#include <stdio.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/index_path.h"
#include "cli/judged.h"
#include "cli/progress.h"
#include "search/searcher.h"

static bool flag_search, flag_save;
static const char *flag_db;

static const cli_option tune_options[] = {
    {.name = "search", .flag = &flag_search, .help = "fit the fusion and the weights of legs"},
    {.name = "db", .value = "FILE", .text = &flag_db, .help = "the index (default: .heddle.db here or in a folder above)"},
    {.name = "save", .flag = &flag_save, .help = "make it what searches of this index do when nothing else is asked for"},
    {0},
};

typedef struct run {
    cli_judged judged;
    hd_evaluation evaluation;
    hd_fuse_options best;
} run;

static hd_status measure(run *r, const char *name, const hd_fuse_options *options, double *held_out, hd_error *err)
{
    hd_measures train, test;
    char text[160];
    HD_TRY(hd__evaluation_measure(&r->evaluation, options, HD_EVALUATION_TRAIN, NULL, NULL, &train, err));
    HD_TRY(hd__evaluation_measure(&r->evaluation, options, HD_EVALUATION_HELD_OUT, NULL, NULL, &test, err));
    printf("%-8s%10.2f%10.2f%10.2f%12.2f  %s\n", name, 100 * train.ndcg_10, 100 * test.ndcg_10, 100 * test.mrr_10,
           100 * test.recall_100, cli_fuse_text(options, text));
    *held_out = test.ndcg_10;
    return HD_OK;
}

/* Words and vectors alone, the default, and the best. */
static hd_status compare(run *r, bool *gains, hd_error *err)
{
    const uint32_t legs = r->evaluation.legs;
    double value, standard, best;
    size_t n_held_out = 0;
    for (size_t i = 0; i < r->evaluation.n; i++)
        n_held_out += r->evaluation.queries[i].held_out;
    printf("%zu queries choose, %zu are held out\n\n%-8s%10s%10s%10s%12s\n%-8s%10s%10s%10s%12s\n",
           r->evaluation.n - n_held_out, n_held_out, "", "nDCG@10", "nDCG@10", "MRR@10", "recall@100", "", "choosing",
           "held out", "held out", "held out");
    for (size_t leg = 0; leg < HD_AT_MULTI; leg++) {
        const hd_fuse_options alone = {.legs = 1u << leg, .rrf_k = 60, .weights = {1, 1, 1, 1, 1}};
        if ((legs >> leg & 1) != 0)
            HD_TRY(measure(r, hd__leg_names[leg], &alone, &value, err));
    }
    const hd_fuse_options even = {.legs = legs, .rrf_k = 60, .weights = {1, 1, 1, 1, 1}};
    HD_TRY(measure(r, "default", &even, &standard, err));
    HD_TRY(hd__evaluation_tune(&r->evaluation, &r->best, err));
    HD_TRY(measure(r, "best", &r->best, &best, err));
    *gains = best > standard;
    return HD_OK;
}

static void print_options(const run *r)
{
    const char *comma = "";
    printf("\nheddle search --fusion %s", hd__fusion_names[r->best.fusion]);
    if (r->best.fusion == HD_FUSION_RRF)
        printf(" --rrf-k %g", (double)r->best.rrf_k);
    printf(" --weights ");
    for (size_t leg = 0; leg < HD_N_LEGS; leg++) {
        if (r->best.weights[leg] > 0) {
            printf("%s%s=%g", comma, hd__leg_names[leg], (double)r->best.weights[leg]);
            comma = ",";
        }
    }
    printf("\n");
}

static hd_status save(run *r, hd_error *err)
{
    cli_index_path path;
    hd_search search = {.fusion = r->best.fusion, .rrf_k = r->best.rrf_k};
    hd_store *store;
    hd_write *write;
    memcpy(search.weights, r->best.weights, sizeof search.weights);
    const char *text = hd__search_setting_text(&search, &r->judged.arena);
    if (text == NULL)
        return hd__fail(err, HD_ERR_MEMORY, "no memory for a setting");
    HD_TRY(cli_index_path_find(flag_db, false, &path, err));
    HD_TRY(hd__store_open(path.text, &(hd_store_options){0}, &store, err));
    hd_status status = hd__write_begin(store, &write, err);
    if (status == HD_OK) {
        status = hd__store_set(write, HD_SEARCH_SETTING, text, err);
        if (status == HD_OK)
            status = hd__write_commit(write, err);
        else
            hd__write_abandon(write);
    }
    hd__store_close(store);
    if (status == HD_OK)
        printf("saved: searches of %s do this when nothing else is asked for\n", path.text);
    return status;
}

static hd_status run_tune(run *r, int n_args, hd_error *err)
{
    bool gains;
    if (n_args > 0)
        return hd__fail(err, HD_ERR_ARG, "tune takes no arguments: queries are in the file of --queries");
    if (!flag_search)
        return hd__fail(err, HD_ERR_ARG, "tune: what? --search is what can be tuned (see 'heddle tune --help')");
    HD_TRY(cli_judged_open(&r->judged, &(cli_index_options){.db = flag_db}, err));
    if (r->judged.n < 4)
        return hd__fail(err, HD_ERR_ARG, "tune: %zu queries: at least 4 are needed to choose and to check", r->judged.n);
    HD_TRY(cli_judged_run(&r->judged, &(hd_search){0}, &r->evaluation, err));
    if ((r->evaluation.legs & (r->evaluation.legs - 1)) == 0)
        return hd__fail(err, HD_ERR_UNSUPPORTED,
                        "tune: the index can be searched by one leg alone: there is nothing to weigh");
    HD_TRY(compare(r, &gains, err));
    if (!gains) {
        printf("\nno better than the default on what was held out%s\n", flag_save ? ": nothing is saved" : "");
        return HD_OK;
    }
    print_options(r);
    return flag_save ? save(r, err) : HD_OK;
}

static int tune(int n_args, char **args)
{
    static run r;
    hd_error err = {0};
    (void)args;
    const hd_status status = run_tune(&r, n_args, &err);
    hd__evaluation_clear(&r.evaluation);
    cli_judged_close(&r.judged);
    return cli_exit_code(status, &err);
}

const cli_command cli_tune = {
    .name = "tune",
    .arguments = "",
    .summary = "Fits how an index is searched to queries with judgements",
    .notes = "Every fusion, and weights by tenths; chosen by nDCG@10 on half of the queries, checked on the other half.\n\n"
             "  heddle tune --search --queries queries.jsonl --qrels qrels/test.tsv --save",
    .tables = {tune_options, cli_judged_options, cli_search_model_options},
    .run = tune,
};
