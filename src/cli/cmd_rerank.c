/* cmd_rerank.c - `heddle rerank`: how well documents answer a query.
 *
 *   heddle rerank QUERY [DOC...]      one line a document, the best first:
 *                                     {"index": 1, "logit": 4.2, "score": 0.985, "document": "..."}
 *   heddle rerank --input FILE.jsonl  one line a line of the file, in its order: {"logit": 4.2, "score": 0.985}
 *
 * The logit is what the model says, the score what clients want: between 0 and 1. Of models that compare token vectors the
 * logit is the sum over the query's vectors (MaxSim), the score their mean.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/float_text.h"
#include "cli/commands.h"
#include "cli/config.h"
#include "cli/input.h"
#include "cli/interrupt.h"
#include "cli/output.h"

#define WINDOW_BYTES (1u << 20)

static const char *flag_input, *flag_output, *flag_prompt;
static bool flag_strict, flag_cut_second;
static uint32_t flag_top;

static const cli_option rerank_options[] = {
    {.letter = 'i',
     .name = "input",
     .value = "FILE|-",
     .text = &flag_input,
     .help = "one {\"query\": ..., \"document\": ...} a line, in place of QUERY and DOC"},
    {.letter = 'o',
     .name = "output",
     .value = "FILE|-",
     .text = &flag_output,
     .help = "replaced when everything is done, never before (default: standard output)"},
    {.letter = 'n',
     .name = "top",
     .value = "N",
     .number = &flag_top,
     .min = 1,
     .max = UINT32_MAX,
     .help = "only the best N documents of QUERY"},
    {.name = "prompt",
     .value = "TEXT",
     .text = &flag_prompt,
     .help = "put this before the query, or in place of a reranker's instruction"},
    {.name = "cut-second",
     .flag = &flag_cut_second,
     .help = "of what is too long cut the document alone, as FlagEmbedding does, not the longer of the two"},
    {.name = "strict", .flag = &flag_strict, .help = "refuse bytes that are not UTF-8 instead of replacing them"},
    {0},
};

typedef struct run {
    cli_config config;
    hd_engine *engine;
    hd_model *model;
    hd_model_info info;
    hd_encode_options options;
    cli_input input;
    cli_output output;
    cli_window window;
    hd_text *texts;     /* [n_texts] */
    float *logits;      /* [n_texts] */
    double *scores;     /* [n_texts] */
    hd_output *outputs; /* [n_texts] */
    size_t n_texts;
} run;

/* ---- scores ---- */

static hd_status grow(run *r, size_t n, hd_error *err)
{
    if (n <= r->n_texts)
        return HD_OK;
    hd__free(r->texts);
    hd__free(r->logits);
    hd__free(r->scores);
    hd__free(r->outputs);
    r->texts = hd__calloc(n, sizeof *r->texts);
    r->logits = hd__calloc(n, sizeof *r->logits);
    r->scores = hd__calloc(n, sizeof *r->scores);
    r->outputs = hd__calloc(n, sizeof *r->outputs);
    r->n_texts = n;
    return r->texts != NULL && r->logits != NULL && r->scores != NULL && r->outputs != NULL
               ? HD_OK
               : hd__fail(err, HD_ERR_MEMORY, "no memory for %zu documents", n);
}

/* Late interaction: documents [first, first + n) of one query. */
static hd_status compare_one(run *r, hd_text query, const hd_text *documents, size_t first, size_t n, hd_error *err)
{
    hd_encode_options options = r->options;
    hd_output output;
    HD_TRY(hd_rerank(r->model, query, documents, n, &options, r->logits + first, NULL, err));
    options.heads = HD_HEAD_MULTI;
    HD_TRY(hd_encode_outputs(r->model, &query, NULL, 1, &options, NULL, &output, NULL, err));
    for (size_t i = first; i < first + n; i++)
        r->scores[i] = output.n_token_vectors > 0 ? (double)r->logits[i] / (double)output.n_token_vectors : 0.0;
    hd_outputs_free(&output, 1);
    return HD_OK;
}

static bool same_text(hd_text a, hd_text b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

/* r->logits and r->scores of n pairs; runs of one query go together. */
static hd_status score_pairs(run *r, const hd_text *queries, const hd_text *documents, size_t n, hd_error *err)
{
    if ((r->info.heads & HD_HEAD_SCORES) == 0) {
        for (size_t first = 0, end; first < n; first = end) {
            for (end = first + 1; end < n && same_text(queries[first], queries[end]);)
                end++;
            HD_TRY(compare_one(r, queries[first], documents + first, first, end - first, err));
        }
        return HD_OK;
    }
    hd_encode_options options = r->options;
    options.heads = HD_HEAD_SCORES;
    HD_TRY(hd_encode_outputs(r->model, queries, documents, n, &options, NULL, r->outputs, NULL, err));
    for (size_t i = 0; i < n; i++) {
        r->logits[i] = r->outputs[i].scores[0];
        r->scores[i] = 1.0 / (1.0 + exp(-(double)r->logits[i]));
    }
    hd_outputs_free(r->outputs, n);
    return HD_OK;
}

/* ---- lines ---- */

static void append_number(hd_buffer *b, const char *name, double value)
{
    char text[HD_FLOAT_TEXT_BYTES];
    hd__buffer_append_text(b, name);
    hd__buffer_append(b, text, hd__float_text((float)value, text));
}

static void append_scores(hd_buffer *b, const run *r, size_t i)
{
    append_number(b, "\"logit\": ", (double)r->logits[i]);
    append_number(b, ", \"score\": ", r->scores[i]);
}

static hd_text not_null(hd_text text)
{
    return text.ptr != NULL ? text : (hd_text){"", 0};
}

static hd_status rerank_input(run *r, hd_error *err)
{
    for (bool more = true; more;) {
        HD_TRY(cli_output_flush(&r->output, true, err));
        HD_TRY(cli_input_fill(&r->input, &r->window, 2 * (size_t)r->config.batch, WINDOW_BYTES, true, err));
        const size_t n = r->window.n / 2;
        more = !r->input.at_end || n > 0;
        HD_TRY(grow(r, r->window.n, err));
        for (size_t i = 0; i < n; i++) { /* queries, then documents */
            r->texts[i] = not_null(r->window.texts[2 * i]);
            r->texts[n + i] = not_null(r->window.texts[2 * i + 1]);
        }
        if (n > 0)
            HD_TRY(score_pairs(r, r->texts, r->texts + n, n, err));
        for (size_t i = 0; i < n; i++) {
            hd__buffer_append_char(&r->output.pending, '{');
            append_scores(&r->output.pending, r, i);
            hd__buffer_append_text(&r->output.pending, "}\n");
        }
    }
    return HD_OK;
}

static const run *sorted; /* what qsort compares by */

static int compare_documents(const void *a, const void *b)
{
    const size_t i = *(const size_t *)a, k = *(const size_t *)b;
    if (sorted->logits[i] != sorted->logits[k])
        return sorted->logits[i] > sorted->logits[k] ? -1 : 1;
    return i < k ? -1 : 1;
}

static hd_status write_ranking(run *r, const hd_text *documents, size_t n, hd_error *err)
{
    hd_buffer *b = &r->output.pending;
    size_t *order = hd__calloc(n, sizeof *order);
    if (order == NULL)
        return hd__fail(err, HD_ERR_MEMORY, "no memory for %zu documents", n);
    for (size_t i = 0; i < n; i++)
        order[i] = i;
    sorted = r;
    qsort(order, n, sizeof *order, compare_documents);
    for (size_t i = 0; i < n && (flag_top == 0 || i < flag_top); i++) {
        hd__buffer_printf(b, "{\"index\": %zu, ", order[i]);
        append_scores(b, r, order[i]);
        hd__buffer_append_text(b, ", \"document\": ");
        hd__buffer_append_json(b, hd__span(documents[order[i]].ptr, documents[order[i]].len));
        hd__buffer_append_text(b, "}\n");
    }
    hd__free(order);
    return b->failed ? hd__fail(err, HD_ERR_MEMORY, "no memory for %zu documents", n) : HD_OK;
}

static hd_status rerank_arguments(run *r, int n_args, char **args, hd_error *err)
{
    const size_t n = (size_t)n_args - 1;
    HD_TRY(grow(r, 2 * n, err));
    for (size_t i = 0; i < n; i++) {
        r->texts[i] = (hd_text){args[0], strlen(args[0])};
        r->texts[n + i] = (hd_text){args[i + 1], strlen(args[i + 1])};
    }
    HD_TRY(score_pairs(r, r->texts, r->texts + n, n, err));
    return write_ranking(r, r->texts + n, n, err);
}

/* ---- set-up ---- */

static hd_status check_usage(int n_args, hd_error *err)
{
    if (n_args > 0 && flag_input != NULL)
        return hd__fail(err, HD_ERR_ARG, "rerank: give a query and documents, or --input, not both");
    if (flag_top != 0 && n_args == 0)
        return hd__fail(err, HD_ERR_ARG, "rerank: --top is for the documents of QUERY, not for lines of pairs");
    if (n_args == 1)
        return hd__fail(err, HD_ERR_ARG, "rerank: a query, but no documents (see 'heddle rerank --help')");
    if (n_args == 0 && flag_input == NULL && isatty(STDIN_FILENO) == 1)
        return hd__fail(err, HD_ERR_ARG,
                        "rerank: nothing to rerank: give a query and documents, --input FILE, or a pipe (see 'heddle rerank "
                        "--help')");
    return HD_OK;
}

static hd_status run_rerank(run *r, int n_args, char **args, hd_error *err)
{
    static const char *const members[] = {"query", "document", NULL};
    HD_TRY(check_usage(n_args, err));
    HD_TRY(cli_interrupt_begin(err));
    HD_TRY(cli_config_load(&r->config, err));
    if (!r->config.model_is_given)
        r->config.model = CLI_DEFAULT_RERANKER;
    HD_TRY(cli_config_open(&r->config, &r->engine, &r->model, err));
    hd_model_get_info(r->model, &r->info);
    if (!r->info.reranks)
        return hd__fail(err, HD_ERR_UNSUPPORTED,
                        "%s does not rerank: it gives no scores for pairs of texts; --model names one that does, such "
                        "as " CLI_DEFAULT_RERANKER,
                        r->info.name);
    r->options =
        (hd_encode_options){.prompt = flag_prompt, .strict = flag_strict, .cut_second = flag_cut_second, .raw_scores = true};
    HD_TRY(cli_config_max_length(&r->config, r->model, &r->options.max_length, err));
    if (n_args == 0) {
        HD_TRY(cli_input_open(&r->input, flag_input != NULL ? flag_input : "-", true, flag_strict, err));
        r->input.members = members;
    }
    HD_TRY(hd_model_load(r->model, err)); /* before the output is touched */
    HD_TRY(cli_output_open(&r->output, flag_output != NULL ? flag_output : "-", err));
    HD_TRY(n_args > 0 ? rerank_arguments(r, n_args, args, err) : rerank_input(r, err));
    return cli_output_commit(&r->output, err);
}

static int rerank(int n_args, char **args)
{
    static run r;
    hd_error err = {0};
    r.output.fd = r.input.fd = -1;
    const hd_status status = run_rerank(&r, n_args, args, &err);
    cli_window_clear(&r.window);
    hd__free(r.texts);
    hd__free(r.logits);
    hd__free(r.scores);
    hd__free(r.outputs);
    cli_output_abandon(&r.output);
    cli_input_close(&r.input);
    hd_model_close(r.model);
    hd_engine_close(r.engine);
    return cli_exit_code(status, &err);
}

const cli_command cli_rerank = {
    .name = "rerank",
    .arguments = "[QUERY DOC...]",
    .summary = "Says how well documents answer a query",
    .notes =
        "Prints one line {\"index\", \"logit\", \"score\", \"document\"} for each document, the best first; with --input\n"
        "one line {\"logit\", \"score\"} for each pair, in the order they come. Models: cross-encoders, and those\n"
        "with a vector for each token (bge-m3), Qwen3-Reranker.\n\n"
        "  heddle pull " CLI_DEFAULT_RERANKER "\n"
        "  heddle rerank \"how do tides work\" \"The moon ...\" \"A cake ...\"\n"
        "  heddle rerank -m BAAI/bge-reranker-v2-m3 --input pairs.jsonl --output scores.jsonl",
    .tables = {cli_rerank_model_options, cli_length_options, cli_batch_options, rerank_options},
    .run = rerank,
};
