/* judged.c - see judged.h. */
#include "cli/judged.h"

#include <stdio.h>

#include "base/file.h"
#include "cli/interrupt.h"
#include "cli/progress.h"

#define MAX_FILE_BYTES (1ull << 30)

static const char *flag_queries, *flag_qrels;

const cli_option cli_judged_options[] = {
    {.name = "queries",
     .value = "FILE",
     .text = &flag_queries,
     .help = "JSON lines with \"_id\" and \"text\", or lines of id, tab, text"},
    {.name = "qrels",
     .value = "FILE",
     .text = &flag_qrels,
     .help = "lines of query, document, grade (BEIR's), or query, iteration, document, grade (TREC's)"},
    {0},
};

hd_status cli_judged_open(cli_judged *judged, const cli_index_options *options, hd_error *err)
{
    hd_span queries, qrels;
    hd__arena_init(&judged->arena);
    if (flag_queries == NULL || flag_qrels == NULL)
        return hd__fail(err, HD_ERR_ARG, "--queries and --qrels are needed: what is asked, and what should be found");
    HD_TRY(cli_interrupt_begin(err));
    HD_TRY(cli_config_load(&judged->config, err));
    HD_TRY(hd__file_read(flag_queries, MAX_FILE_BYTES, &judged->arena, &queries, err));
    HD_TRY(hd__file_read(flag_qrels, MAX_FILE_BYTES, &judged->arena, &qrels, err));
    HD_TRY(
        hd__judgements_parse(queries, flag_queries, qrels, flag_qrels, &judged->arena, &judged->queries, &judged->n, err));
    HD_TRY(cli_index_open(&judged->opened, &judged->config, options, err));
    return hd_index_get_stats(judged->opened.index, &judged->stats, err);
}

void cli_judged_close(cli_judged *judged)
{
    cli_index_close(&judged->opened);
    hd__arena_clear(&judged->arena);
}

typedef struct running {
    cli_progress line;
    size_t n;
} running;

static bool draw(size_t done, void *data)
{
    running *r = data;
    char text[64], count[32];
    snprintf(text, sizeof text, "searching for %s queries", cli_count_text(r->n, count));
    cli_progress_draw(&r->line, (double)done / (double)r->n, text);
    return cli_interrupted() == 0;
}

hd_status cli_judged_run(cli_judged *judged, const hd_search *search, hd_evaluation *evaluation, hd_error *err)
{
    running r = {.n = judged->n};
    cli_progress_begin(&r.line);
    const hd_status status =
        hd__evaluation_run(judged->opened.index, search, judged->queries, judged->n, draw, &r, evaluation, err);
    cli_progress_end(&r.line);
    if (status == HD_OK && evaluation->warning[0] != '\0')
        cli_notice("%s", evaluation->warning);
    return status;
}

const char *cli_fuse_text(const hd_fuse_options *options, char text[160])
{
    const bool alone = (options->legs & (options->legs - 1)) == 0;
    int n = snprintf(text, 160, "%s", alone ? "" : hd__fusion_names[options->fusion]);
    if (options->fusion == HD_FUSION_RRF && !alone)
        n += snprintf(text + n, 160 - (size_t)n, " (k %g)", (double)options->rrf_k);
    for (size_t leg = 0; leg < HD_N_LEGS && !alone; leg++)
        if ((options->legs >> leg & 1) != 0)
            n += snprintf(text + n, 160 - (size_t)n, ", %s %g", hd__leg_names[leg], (double)options->weights[leg]);
    return text;
}
