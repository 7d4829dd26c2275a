/* cmd_eval.c - `heddle eval`: how well an index finds what it should, by each leg and by each way of making one list of
 * them.
 *
 * Queries are searched once, their candidates fused in every way; how long a search takes is then measured by searching.
 * What the search options ask for is a further row, every query searched with them.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "cli/commands.h"
#include "cli/interrupt.h"
#include "cli/judged.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "cli/search_flags.h"

#define TIMED_QUERIES 200u

static const char *flag_run;
static bool flag_json;

static const cli_option eval_options[] = {
    {.name = "run", .value = "FILE|-", .text = &flag_run, .help = "write what is found, as TREC's run lines"},
    {.name = "json", .flag = &flag_json, .help = "for programs: one object a row"},
    {0},
};

typedef struct row {
    char name[32];
    hd_measures measures;
    double p50_ms, p99_ms;
} row;

typedef struct run {
    cli_judged judged;
    hd_evaluation evaluation;
    hd_search search; /* as asked for */
    bool is_asked;    /* for more than the index and the legs */
    cli_output output;
    double *times_ms; /* [n queries] */
    bool has_warned;
} run;

/* ---- rows ---- */

static void print_head(const run *r)
{
    char queries[32], documents[32], chunks[32];
    if (flag_json)
        return;
    printf("%s queries; %s documents, %s passages; %s\n\n%-28s%9s%9s%11s%12s%9s%9s\n", cli_count_text(r->judged.n, queries),
           cli_count_text(r->judged.stats.n_documents, documents), cli_count_text(r->judged.stats.n_chunks, chunks),
           r->judged.opened.model != NULL ? r->judged.stats.model : "words alone", "", "nDCG@10", "MRR@10", "recall@10",
           "recall@100", "p50 ms", "p99 ms");
}

static void print_row(const row *w)
{
    const hd_measures *m = &w->measures;
    if (flag_json)
        printf("{\"name\": \"%s\", \"ndcg@10\": %.6f, \"mrr@10\": %.6f, \"recall@10\": %.6f, \"recall@100\": %.6f, "
               "\"p50_ms\": %.3f, \"p99_ms\": %.3f}\n",
               w->name, m->ndcg_10, m->mrr_10, m->recall_10, m->recall_100, w->p50_ms, w->p99_ms);
    else
        printf("%-28s%9.2f%9.2f%11.2f%12.2f%9.2f%9.2f\n", w->name, 100 * m->ndcg_10, 100 * m->mrr_10, 100 * m->recall_10,
               100 * m->recall_100, w->p50_ms, w->p99_ms);
    fflush(stdout);
}

static int compare_times(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static void set_times(row *w, double *times_ms, size_t n)
{
    qsort(times_ms, n, sizeof *times_ms, compare_times);
    w->p50_ms = times_ms[n / 2];
    w->p99_ms = times_ms[n * 99 / 100];
}

/* Ten hits of up to TIMED_QUERIES queries from all over the file. */
static hd_status time_search(run *r, const hd_search *search, row *w, hd_error *err)
{
    const size_t n = r->judged.n < TIMED_QUERIES ? r->judged.n : TIMED_QUERIES;
    for (size_t i = 0; i < n; i++) {
        const char *text = r->judged.queries[i * r->judged.n / n].text;
        hd_search one = *search;
        hd_results results;
        one.query = (hd_text){text, strlen(text)};
        HD_TRY(hd_index_search(r->judged.opened.index, &one, &results, err));
        r->times_ms[i] = results.total_ms;
        hd_results_free(&results);
    }
    set_times(w, r->times_ms, n);
    return HD_OK;
}

static hd_status evaluate(run *r, const char *name, const hd_fuse_options *options, hd_error *err)
{
    row w = {0};
    hd_search search = {.legs = options->legs,
                        .fusion = options->fusion,
                        .rrf_k = options->rrf_k,
                        .n_candidates = r->search.n_candidates,
                        .filter = r->search.filter,
                        .keep_going = r->search.keep_going};
    memcpy(search.weights, options->weights, sizeof search.weights);
    snprintf(w.name, sizeof w.name, "%s", name);
    HD_TRY(hd__evaluation_measure(&r->evaluation, options, HD_EVALUATION_ALL, NULL, NULL, &w.measures, err));
    HD_TRY(time_search(r, &search, &w, err));
    print_row(&w);
    return HD_OK;
}

static hd_status evaluate_legs(run *r, hd_error *err)
{
    const uint32_t legs = r->evaluation.legs;
    for (size_t leg = 0; leg < HD_AT_MULTI; leg++) {
        const hd_fuse_options alone = {.legs = 1u << leg, .rrf_k = 60, .weights = {1, 1, 1, 1, 1}};
        if ((legs >> leg & 1) != 0)
            HD_TRY(evaluate(r, hd__leg_names[leg], &alone, err));
    }
    if ((legs & (legs - 1)) == 0)
        return HD_OK;
    for (int fusion = HD_FUSION_RRF; fusion <= HD_FUSION_DBSF; fusion++) {
        const hd_fuse_options even = {.legs = legs, .fusion = (hd_fusion)fusion, .rrf_k = 60, .weights = {1, 1, 1, 1, 1}};
        HD_TRY(evaluate(r, hd__fusion_names[fusion], &even, err));
    }
    const uint32_t both = HD_LEG_BM25 | HD_LEG_DENSE;
    const hd_fuse_options elastic = {.legs = both, .fusion = HD_FUSION_MINMAX, .rrf_k = 60, .weights = {0.3f, 0.7f}};
    return (legs & both) == both ? evaluate(r, "elastic (0.3, 0.7)", &elastic, err) : HD_OK;
}

/* ---- what was asked for ---- */

static hd_status search_one(run *r, const hd_judged_query *q, hd_measures *m, double *ms, hd_error *err)
{
    int32_t ranked[HD_EVALUATION_DEPTH], *judged = hd__calloc(q->n_judgements + 1, sizeof *judged);
    hd_search one = r->search;
    hd_results results;
    if (judged == NULL)
        return hd__fail(err, HD_ERR_MEMORY, "no memory for %zu judgements", q->n_judgements);
    one.query = (hd_text){q->text, strlen(q->text)};
    const hd_status status = hd_index_search(r->judged.opened.index, &one, &results, err);
    if (status != HD_OK) {
        hd__free(judged);
        return status;
    }
    if (results.warning[0] != '\0' && !r->has_warned)
        cli_notice("%s", results.warning);
    r->has_warned |= results.warning[0] != '\0';
    for (size_t i = 0; i < results.n; i++) {
        const hd_hit *hit = &results.hits[i];
        const char *id;
        ranked[i] = hd__judgements_grade(q, hit->document_id, hit->chunk_id, &id);
        if (flag_run != NULL)
            hd__buffer_printf(&r->output.pending, "%s Q0 %s %zu %.6f heddle\n", q->id, id, i + 1, (double)hit->score);
    }
    for (size_t i = 0; i < q->n_judgements; i++)
        judged[i] = q->judgements[i].grade;
    *m = hd__measures_of(ranked, results.n, judged, q->n_judgements);
    *ms = results.total_ms;
    hd_results_free(&results);
    hd__free(judged);
    return HD_OK;
}

static hd_status evaluate_asked(run *r, hd_error *err)
{
    row w = {.name = "as asked"};
    if (flag_run != NULL)
        HD_TRY(cli_output_open(&r->output, flag_run, err));
    for (size_t i = 0; i < r->judged.n; i++) {
        hd_measures m;
        HD_TRY(search_one(r, &r->judged.queries[i], &m, &r->times_ms[i], err));
        w.measures.ndcg_10 += m.ndcg_10 / (double)r->judged.n;
        w.measures.mrr_10 += m.mrr_10 / (double)r->judged.n;
        w.measures.recall_10 += m.recall_10 / (double)r->judged.n;
        w.measures.recall_100 += m.recall_100 / (double)r->judged.n;
        if (flag_run != NULL)
            HD_TRY(cli_output_flush(&r->output, false, err));
    }
    set_times(&w, r->times_ms, r->judged.n);
    print_row(&w);
    return flag_run != NULL ? cli_output_commit(&r->output, err) : HD_OK;
}

static hd_status run_eval(run *r, int n_args, hd_error *err)
{
    cli_index_options options;
    if (n_args > 0)
        return hd__fail(err, HD_ERR_ARG, "eval takes no arguments: queries are in the file of --queries");
    HD_TRY(cli_search_flags(&r->search, &options, err));
    r->is_asked = cli_search_is_asked(&r->search) || flag_run != NULL;
    HD_TRY(cli_judged_open(&r->judged, &options, err));
    r->search.keep_going = cli_interrupt_keep_going;
    cli_index_narrow(&r->judged.opened, &r->search);
    r->times_ms = hd__calloc(r->judged.n, sizeof *r->times_ms);
    if (r->times_ms == NULL)
        return hd__fail(err, HD_ERR_MEMORY, "no memory for %zu queries", r->judged.n);
    const hd_search lists = {.legs = r->search.legs, .n_candidates = r->search.n_candidates, .filter = r->search.filter};
    HD_TRY(cli_judged_run(&r->judged, &lists, &r->evaluation, err));
    print_head(r);
    HD_TRY(evaluate_legs(r, err));
    r->search.per_document = true;
    r->search.limit = HD_EVALUATION_DEPTH;
    return r->is_asked ? evaluate_asked(r, err) : HD_OK;
}

static int eval(int n_args, char **args)
{
    static run r;
    hd_error err = {0};
    (void)args;
    r.output.fd = -1;
    const hd_status status = run_eval(&r, n_args, &err);
    cli_output_abandon(&r.output);
    hd__evaluation_clear(&r.evaluation);
    cli_judged_close(&r.judged);
    hd__free(r.times_ms);
    return cli_exit_code(status, &err);
}

const cli_command cli_eval = {
    .name = "eval",
    .arguments = "",
    .summary = "Measures how well an index finds what it should",
    .notes = "Prints nDCG@10, MRR@10, recall@10 and recall@100, in percent, and the time of a search for ten\n"
             "hits, for each leg and each way to make one list of them; and for what other options ask for.\n\n"
             "  heddle eval --queries queries.jsonl --qrels qrels/test.tsv\n"
             "  heddle eval --queries queries.jsonl --qrels qrels/test.tsv --rerank --run reranked.trec",
    .tables = {cli_judged_options, eval_options, cli_search_options, cli_search_model_options},
    .run = eval,
};
