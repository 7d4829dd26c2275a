/* cmd_bench.c - `heddle bench`: how fast this machine is with this model, before and after a change.
 *
 * Four cases: one short query, ten queries, twenty documents, and a query with five passages: reranked where the model
 * does that, else compared by their vectors.
 * Each is repeated for a while; what is reported are the times of single calls. The share of peak compares the
 * model's matrix products with what a loop on registers alone reaches on as many cores.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/json.h"
#include "cli/bench_texts.h"
#include "cli/commands.h"
#include "cli/config.h"
#include "cli/interrupt.h"
#include "cli/progress.h"
#include "cpu/machine.h"
#include "kernel/kernels.h"

#define N_CASES 4
#define N_DOCUMENTS 20
#define N_PASSAGES 5
#define MAX_CALLS 20000
#define PEAK_MS 100
#define SWEEP_TEXTS 512

static const char *flag_compare;
static bool flag_json, flag_sweep;
static uint32_t flag_seconds = 2;

static const cli_option bench_options[] = {
    {.name = "seconds",
     .value = "N",
     .number = &flag_seconds,
     .min = 1,
     .max = 3600,
     .help = "how long each case runs (default: 2)"},
    {.name = "json", .flag = &flag_json, .help = "for programs, and for --compare later"},
    {.name = "compare",
     .value = "FILE",
     .text = &flag_compare,
     .help = "show an earlier --json output beside the new figures"},
    {.name = "sweep", .flag = &flag_sweep, .help = "documents per second for batch sizes and thread counts"},
    {0},
};

typedef struct result {
    const char *name, *what;
    size_t n_texts;
    double mean_ms, p50_ms, p99_ms, deviation_ms, texts_per_s, tokens_per_s, share;
} result;

typedef struct bench {
    hd_engine *engine;
    hd_model *model;
    hd_model_info info;
    uint32_t n_threads;
    double peak_gflops; /* of all threads' cores; 0 when unknown */
    float *rows;        /* [SWEEP_TEXTS, n_dimensions] */
    float scores[N_PASSAGES];
    double *times; /* [MAX_CALLS], seconds */
    hd_text texts[SWEEP_TEXTS];
    char documents[SWEEP_TEXTS][CLI_BENCH_DOCUMENT_BYTES];
} bench;

/* ---- measuring ---- */

static int compare_times(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static hd_status interrupted(hd_error *err)
{
    return cli_interrupted() != 0 ? hd__fail(err, HD_ERR_CANCELLED, "interrupted") : HD_OK;
}

/* Texts by the head that the model is for. */
static hd_status encode(bench *b, const hd_text *texts, size_t n, hd_encode_stats *stats, hd_error *err)
{
    if ((b->info.heads & HD_HEAD_DENSE) != 0)
        return hd_encode(b->model, texts, n, NULL, b->rows, stats, err);
    hd_output outputs[SWEEP_TEXTS];
    const hd_encode_options options = {.heads = (b->info.heads & HD_HEAD_SCORES) != 0   ? HD_HEAD_SCORES
                                                : (b->info.heads & HD_HEAD_SPARSE) != 0 ? HD_HEAD_SPARSE
                                                                                        : HD_HEAD_MULTI};
    HD_TRY(hd_encode_outputs(b->model, texts, NULL, n, &options, NULL, outputs, stats, err));
    hd_outputs_free(outputs, n);
    return HD_OK;
}

/* One call: texts to vectors; in the last case the first is a query for the others. */
static hd_status call(bench *b, const hd_text *texts, size_t n, bool is_last, uint64_t *n_tokens, hd_error *err)
{
    hd_encode_stats stats;
    if (is_last && b->info.reranks)
        HD_TRY(hd_rerank(b->model, texts[0], texts + 1, n - 1, NULL, b->scores, &stats, err));
    else
        HD_TRY(encode(b, texts, n, &stats, err));
    volatile float sink = 0; /* keeps the compiler from leaving the cosines out */
    for (size_t i = 1; is_last && !b->info.reranks && i < n; i++)
        sink = sink + hd_cosine(b->rows, b->rows + i * b->info.n_dimensions, b->info.n_dimensions);
    *n_tokens = stats.n_tokens;
    return interrupted(err);
}

/* Repeats calls for `seconds`, after a tenth of that to warm up. */
static hd_status measure(bench *b, const hd_text *texts, double seconds, result *r, hd_error *err)
{
    const bool is_last = r->n_texts == 1 + N_PASSAGES;
    uint64_t n_tokens = 0;
    for (uint64_t start = hd__now_ns(); hd__seconds_since(start) < seconds / 10;)
        HD_TRY(call(b, texts, r->n_texts, is_last, &n_tokens, err));
    size_t n = 0;
    double sum = 0, squares = 0;
    for (uint64_t start = hd__now_ns(); n < MAX_CALLS && (n < 3 || hd__seconds_since(start) < seconds); n++) {
        uint64_t call_start = hd__now_ns();
        HD_TRY(call(b, texts, r->n_texts, is_last, &n_tokens, err));
        b->times[n] = hd__seconds_since(call_start);
        sum += b->times[n];
    }
    double mean = sum / (double)n;
    for (size_t i = 0; i < n; i++)
        squares += (b->times[i] - mean) * (b->times[i] - mean);
    qsort(b->times, n, sizeof *b->times, compare_times);
    r->mean_ms = 1e3 * mean;
    r->p50_ms = 1e3 * b->times[n / 2];
    r->p99_ms = 1e3 * b->times[(n * 99 + 99) / 100 - 1];
    r->deviation_ms = 1e3 * sqrt(squares / (double)n);
    r->texts_per_s = (double)r->n_texts / mean;
    r->tokens_per_s = (double)n_tokens / mean;
    r->share = b->peak_gflops > 0 ? r->tokens_per_s * (double)b->info.flops_per_token / (1e9 * b->peak_gflops) : 0;
    return HD_OK;
}

static hd_status run_cases(bench *b, result results[N_CASES], hd_error *err)
{
    const char *last = b->info.reranks ? "rerank" : "similarity";
    const char *last_what = b->info.reranks ? "rerank of five passages" : "a query with five passages";
    const result cases[N_CASES] = {
        {.name = "query", .what = "one short query", .n_texts = 1},
        {.name = "queries", .what = "ten queries", .n_texts = CLI_BENCH_QUERIES},
        {.name = "documents", .what = "twenty documents", .n_texts = N_DOCUMENTS},
        {.name = last, .what = last_what, .n_texts = 1 + N_PASSAGES},
    };
    hd_text queries[CLI_BENCH_QUERIES], passages[1 + N_PASSAGES];
    for (size_t i = 0; i < CLI_BENCH_QUERIES; i++)
        queries[i] = (hd_text){cli_bench_queries[i], strlen(cli_bench_queries[i])};
    passages[0] = queries[0];
    memcpy(passages + 1, b->texts, N_PASSAGES * sizeof passages[0]);
    const hd_text *texts[N_CASES] = {queries, queries, b->texts, passages};
    for (size_t i = 0; i < N_CASES; i++) {
        results[i] = cases[i];
        HD_TRY(measure(b, texts[i], flag_seconds, &results[i], err));
    }
    return HD_OK;
}

/* ---- reporting ---- */

static json_t *results_to_json(const bench *b, const result results[N_CASES])
{
    hd_machine machine;
    hd__machine_get(&machine);
    char device[CLI_DEVICE_TEXT_BYTES];
    json_t *cases = json_object();
    for (size_t i = 0; i < N_CASES; i++) {
        const result *r = &results[i];
        json_object_set_new(cases, r->name,
                            json_pack("{s:I, s:f, s:f, s:f, s:f, s:f, s:f, s:f}", "texts", (json_int_t)r->n_texts, "mean_ms",
                                      r->mean_ms, "p50_ms", r->p50_ms, "p99_ms", r->p99_ms, "std_dev_ms", r->deviation_ms,
                                      "texts_per_s", r->texts_per_s, "tokens_per_s", r->tokens_per_s, "share_of_peak",
                                      r->share));
    }
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:I, s:f, s:I, s:o}", "version", hd_version(), "processor", machine.cpu_name,
                     "device", cli_device_text(b->engine, device), "model", b->info.name, "dtype",
                     cli_dtype_name(b->info.dtype), "threads", (json_int_t)b->n_threads, "peak_gflops", b->peak_gflops,
                     "peak_rss_bytes", (json_int_t)hd__machine_rss_peak(), "cases", cases);
}

static double number_of(const json_t *object, const char *key)
{
    return json_number_value(json_object_get(object, key));
}

static void print_table(const bench *b, const result results[N_CASES], const json_t *before)
{
    char rss[32], device[CLI_DEVICE_TEXT_BYTES];
    printf("%s, %s, %s, peak of the CPU %.0f GFLOP/s\n\n", b->info.name, cli_dtype_name(b->info.dtype),
           cli_device_text(b->engine, device), b->peak_gflops);
    printf("%-28s %9s %9s %9s %9s %10s %11s %6s\n", "", "mean ms", "p50 ms", "p99 ms", "std dev", "texts/s", "tokens/s",
           "peak");
    for (size_t i = 0; i < N_CASES; i++) {
        const result *r = &results[i];
        printf("%-28s %9.3f %9.3f %9.3f %9.3f %10.1f %11.0f %4.0f %%\n", r->what, r->mean_ms, r->p50_ms, r->p99_ms,
               r->deviation_ms, r->texts_per_s, r->tokens_per_s, 100 * r->share);
    }
    printf("\npeak resident memory: %s\n", cli_bytes_text(hd__machine_rss_peak(), rss));
    if (before == NULL)
        return;
    printf("\n%-28s %12s %12s %9s   (before: %s, %s)\n", "p50 ms", "before", "after", "speed-up", flag_compare,
           json_string_value(json_object_get(before, "dtype")));
    for (size_t i = 0; i < N_CASES; i++) {
        double was = number_of(json_object_get(json_object_get(before, "cases"), results[i].name), "p50_ms");
        if (was > 0)
            printf("%-28s %12.3f %12.3f %8.2fx\n", results[i].what, was, results[i].p50_ms, was / results[i].p50_ms);
        else /* a reranker has another last case than other models */
            printf("%-28s %12s %12.3f %9s\n", results[i].what, "-", results[i].p50_ms, "-");
    }
}

static hd_status read_before(json_t **before, hd_error *err)
{
    HD_TRY(hd__json_read(flag_compare, before, err));
    const json_t *cases = json_object_get(*before, "cases");
    if (!json_is_object(cases) || !json_is_string(json_object_get(*before, "dtype")))
        return hd__fail(err, HD_ERR_FORMAT, "%s: not what 'heddle bench --json' writes: no cases", flag_compare);
    return HD_OK;
}

/* ---- the sweep ---- */

static void bench_close(bench *b)
{
    hd_model_close(b->model);
    hd_engine_close(b->engine);
    b->model = NULL;
    b->engine = NULL;
}

static hd_status bench_open(bench *b, const cli_config *config, hd_error *err)
{
    HD_TRY(cli_config_open(config, &b->engine, &b->model, err));
    HD_TRY(hd_model_load(b->model, err));
    hd_model_get_info(b->model, &b->info);
    hd_engine_stats stats;
    hd_engine_get_stats(b->engine, &stats);
    b->n_threads = stats.n_threads;
    if (b->rows == NULL)
        b->rows = hd__malloc(hd__mul(SWEEP_TEXTS * sizeof *b->rows, b->info.n_dimensions + 1)); /* 0 for a reranker */
    return b->rows != NULL ? HD_OK : hd__fail(err, HD_ERR_MEMORY, "no memory for %d vectors", SWEEP_TEXTS);
}

static hd_status sweep(bench *b, cli_config config, uint32_t max_threads, hd_error *err)
{
    enum { BATCHES = 10 };
    double best = 0;
    uint32_t best_threads = 0;
    size_t best_batch = 0, n_columns = 0;
    static double rates[BATCHES][32];
    uint32_t threads[32];
    for (uint32_t n = 1; n_columns < 32; n = n * 2 < max_threads ? n * 2 : max_threads) {
        threads[n_columns] = config.n_threads = n;
        HD_TRY(bench_open(b, &config, err));
        for (size_t i = 0; i < BATCHES; i++) {
            result r = {.name = "sweep", .n_texts = (size_t)1 << i};
            HD_TRY(measure(b, b->texts, 0.5, &r, err));
            rates[i][n_columns] = r.texts_per_s;
            if (r.texts_per_s > best) {
                best = r.texts_per_s;
                best_batch = r.n_texts;
                best_threads = n;
            }
        }
        bench_close(b);
        n_columns++;
        if (n == max_threads)
            break;
    }
    printf("documents/s by batch size and threads\n\n%8s", "batch");
    for (size_t j = 0; j < n_columns; j++)
        printf(" %9u", threads[j]);
    for (size_t i = 0; i < BATCHES; i++) {
        printf("\n%8zu", (size_t)1 << i);
        for (size_t j = 0; j < n_columns; j++)
            printf(" %9.1f", rates[i][j]);
    }
    printf("\n\nbest: %.1f documents/s with --batch %zu --threads %u\n", best, best_batch, best_threads);
    return HD_OK;
}

/* ---- the command ---- */

static hd_status run_bench(bench *b, int n_args, char **args, json_t **before, hd_error *err)
{
    if (n_args > 0)
        return hd__fail(err, HD_ERR_ARG, "bench: unexpected argument '%s'", args[0]);
    if (flag_sweep + flag_json + (flag_compare != NULL) > 1)
        return hd__fail(err, HD_ERR_ARG, "bench: give one of --json, --compare and --sweep");
    cli_config config;
    HD_TRY(cli_config_load(&config, err));
    if (flag_compare != NULL)
        HD_TRY(read_before(before, err));
    HD_TRY(cli_interrupt_begin(err));
    config.cache_bytes = 0; /* a cache would be measured instead of the model */
    for (size_t i = 0; i < SWEEP_TEXTS; i++)
        b->texts[i] = (hd_text){b->documents[i], cli_bench_document(i, b->documents[i])};
    b->times = hd__malloc(MAX_CALLS * sizeof *b->times);
    if (b->times == NULL)
        return hd__fail(err, HD_ERR_MEMORY, "no memory for %d times", MAX_CALLS);
    HD_TRY(bench_open(b, &config, err));
    if (flag_sweep) {
        uint32_t n_threads = b->n_threads;
        bench_close(b);
        return sweep(b, config, n_threads, err);
    }
    k_type type = b->info.dtype == HD_DTYPE_INT8 ? K_I8 : b->info.dtype == HD_DTYPE_BF16 ? K_BF16 : K_F32;
    b->peak_gflops = hd__kernel_peak_gflops(type, PEAK_MS) * b->n_threads;
    result results[N_CASES];
    HD_TRY(run_cases(b, results, err));
    if (flag_json) {
        json_t *root = results_to_json(b, results);
        json_dumpf(root, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(6));
        putchar('\n');
        json_decref(root);
    } else {
        print_table(b, results, *before);
    }
    return HD_OK;
}

static int run(int n_args, char **args)
{
    static bench b; /* large, and one is enough */
    json_t *before = NULL;
    hd_error err = {0};
    hd_status status = run_bench(&b, n_args, args, &before, &err);
    json_decref(before);
    bench_close(&b);
    hd__free(b.rows);
    hd__free(b.times);
    return cli_exit_code(status, &err);
}

const cli_command cli_bench = {
    .name = "bench",
    .arguments = "",
    .summary = "Measures this machine with a model",
    .notes = "Times are of single calls, vectors of earlier texts are not kept. The peak is what a loop on registers\n"
             "alone reaches; the share counts the model's matrix products only.\n\n"
             "  heddle bench --dtype int8 --json > before.json\n"
             "  heddle bench --dtype int8 --compare before.json",
    .tables = {cli_model_options, bench_options},
    .run = run,
};
