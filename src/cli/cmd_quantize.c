/* cmd_quantize.c - `heddle quantize`: what fewer bits cost on the user's own texts, and a Q8_0 file if wanted.
 *
 * Each text is read by f32 and by every smaller type, by all heads of the model. Reported are, for each head:
 *
 * - dense, sparse: the cosine between the two vectors of a text, and how many of the ten texts nearest to it by f32 are
 *   among the ten nearest by the smaller type (sparse vectors: by their product);
 * - colbert: the mean cosine over the tokens of a text;
 * - scores: the difference of the logits; of rerankers, which read lines of {"query", "document"}, how many of two pairs
 *   keep their order; of classifiers, how many texts keep their first label.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file.h"
#include "cli/commands.h"
#include "cli/config.h"
#include "cli/input.h"
#include "cli/interrupt.h"
#include "model/gguf_export.h"
#include "model/locate.h"

enum { MAX_TEXTS = 2000, MIN_TEXTS = 2, N_NEAREST = 10 };
enum { MAX_MULTI = 100 }; /* texts compared token by token: each is as large as its tokens are many */

static const char *flag_input, *flag_input_format, *flag_output;

static const cli_option quantize_options[] = {
    {.letter = 'i',
     .name = "input",
     .value = "FILE|-",
     .text = &flag_input,
     .help = "texts or pairs to measure on, the first 2,000 (default: standard input)"},
    {.name = "input-format",
     .value = "lines|jsonl",
     .text = &flag_input_format,
     .help = "when the file's name does not say it"},
    {.letter = 'o', .name = "output", .value = "FILE.gguf", .text = &flag_output, .help = "write the model as Q8_0, too"},
    {0},
};

/* What a model of one type makes of the texts; NULL where it lacks the head. */
typedef struct made {
    float *dense;       /* [n, width], of unit length */
    hd_output *outputs; /* [n] SPARSE, SCORES */
    hd_output *multi;   /* [n_multi] */
} made;

typedef struct run {
    cli_config config;
    hd_engine *engine;
    cli_input input;
    cli_window window;
    hd_text *texts, *pairs; /* [n]; pairs NULL: texts alone */
    size_t n, n_multi;
    hd_model_info info;  /* of the model measured */
    uint32_t max_length; /* its: a GGUF file knows the number of positions only */
    made exact, rough;   /* by f32, by what is measured */
} run;

/* ---- texts ---- */

static hd_status read_texts(run *r, hd_error *err)
{
    static const char *const members[] = {"query", "document", NULL};
    const bool reranks = r->info.heads == HD_HEAD_SCORES && r->info.reranks;
    const size_t each = reranks ? 2 : 1;
    bool jsonl;
    HD_TRY(cli_input_format(flag_input_format, flag_input, &jsonl, err));
    HD_TRY(cli_input_open(&r->input, flag_input != NULL ? flag_input : "-", jsonl || reranks, false, err));
    r->input.members = reranks ? members : NULL;
    HD_TRY(cli_input_fill(&r->input, &r->window, each * MAX_TEXTS, SIZE_MAX, true, err));
    r->n = r->window.n / each;
    r->n_multi = r->n < MAX_MULTI ? r->n : MAX_MULTI;
    if (r->n < MIN_TEXTS)
        return hd__fail(err, HD_ERR_ARG, "quantize: %zu %s are too few to compare, %d are not", r->n,
                        reranks ? "pairs" : "texts", MIN_TEXTS);
    r->texts = hd__calloc(r->n, sizeof *r->texts);
    r->pairs = reranks ? hd__calloc(r->n, sizeof *r->pairs) : NULL;
    if (r->texts == NULL || (reranks && r->pairs == NULL))
        return hd__fail(err, HD_ERR_MEMORY, "no memory for %zu texts", r->n);
    for (size_t i = 0; i < r->n; i++) {
        r->texts[i] = r->window.texts[each * i];
        if (reranks)
            r->pairs[i] = r->window.texts[2 * i + 1];
        if (reranks && r->pairs[i].ptr == NULL)
            r->pairs[i] = (hd_text){"", 0};
    }
    return HD_OK;
}

/* ---- vectors ---- */

static void forget(const run *r, made *m)
{
    if (m->outputs != NULL)
        hd_outputs_free(m->outputs, r->n);
    if (m->multi != NULL)
        hd_outputs_free(m->multi, r->n_multi);
    hd__free(m->dense);
    hd__free(m->outputs);
    hd__free(m->multi);
    *m = (made){0};
}

static hd_status read_by(const run *r, hd_model *model, made *m, hd_error *err)
{
    const uint32_t heads = r->info.heads;
    const bool dense = (heads & HD_HEAD_DENSE) != 0, others = (heads & (HD_HEAD_SPARSE | HD_HEAD_SCORES)) != 0;
    const size_t width = r->info.n_dimensions;
    m->dense = dense ? hd__malloc(hd__mul(hd__mul(r->n, width), sizeof *m->dense)) : NULL;
    m->outputs = others ? hd__calloc(r->n, sizeof *m->outputs) : NULL;
    m->multi = (heads & HD_HEAD_MULTI) != 0 ? hd__calloc(r->n_multi, sizeof *m->multi) : NULL;
    if ((dense && m->dense == NULL) || (others && m->outputs == NULL) || ((heads & HD_HEAD_MULTI) != 0 && m->multi == NULL))
        return hd__fail(err, HD_ERR_MEMORY, "no memory for the vectors of %zu texts", r->n);
    hd_encode_options options = {.heads = heads & ~(uint32_t)HD_HEAD_MULTI, .raw_scores = true};
    if (options.heads != 0)
        HD_TRY(hd_encode_outputs(model, r->texts, r->pairs, r->n, &options, m->dense, m->outputs, NULL, err));
    options.heads = HD_HEAD_MULTI;
    if (m->multi != NULL)
        HD_TRY(hd_encode_outputs(model, r->texts, NULL, r->n_multi, &options, NULL, m->multi, NULL, err));
    for (size_t i = 0; dense && i < r->n; i++) {
        float *row = m->dense + i * width, length = 0.0f;
        for (size_t k = 0; k < width; k++)
            length += row[k] * row[k];
        for (size_t k = 0; k < width && length > 0.0f; k++)
            row[k] /= sqrtf(length);
    }
    return HD_OK;
}

static hd_status make(run *r, const char *model_name, hd_dtype dtype, made *m, hd_error *err)
{
    hd_model *model;
    const hd_model_options options = {.dtype = dtype, .max_length = r->max_length};
    forget(r, m);
    HD_TRY(hd_model_open(r->engine, model_name, &options, &model, err));
    const hd_status status = read_by(r, model, m, err);
    hd_model_close(model);
    return status;
}

/* ---- dense and sparse ---- */

static double dense_product(const run *r, const made *a, size_t i, const made *b, size_t k)
{
    const size_t width = r->info.n_dimensions;
    const float *x = a->dense + i * width, *y = b->dense + k * width;
    float sums[8] = {0};
    size_t at = 0;
    for (; at + 8 <= width; at += 8) {
        for (size_t j = 0; j < 8; j++)
            sums[j] += x[at + j] * y[at + j];
    }
    for (; at < width; at++)
        sums[0] += x[at] * y[at];
    return (double)(((sums[0] + sums[1]) + (sums[2] + sums[3])) + ((sums[4] + sums[5]) + (sums[6] + sums[7])));
}

static double sparse_product(const run *r, const made *a, size_t i, const made *b, size_t k)
{
    (void)r;
    const hd_sparse_vector *x = &a->outputs[i].sparse, *y = &b->outputs[k].sparse;
    double sum = 0.0;
    for (size_t at = 0, with = 0; at < x->n && with < y->n;) {
        if (x->ids[at] == y->ids[with])
            sum += (double)x->weights[at] * (double)y->weights[with];
        const bool next_x = x->ids[at] <= y->ids[with], next_y = y->ids[with] <= x->ids[at];
        at += next_x;
        with += next_y;
    }
    return sum;
}

typedef double product_fn(const run *r, const made *a, size_t i, const made *b, size_t k);

/* Of two vectors without length, which are equal, 1. */
static double cosine(const run *r, product_fn *product, size_t i)
{
    const double lengths = product(r, &r->exact, i, &r->exact, i) * product(r, &r->rough, i, &r->rough, i);
    const double both = product(r, &r->exact, i, &r->rough, i);
    return lengths > 0.0 ? fmin(both / sqrt(lengths), 1.0) : 1.0;
}

/* The texts nearest to one, itself left out; returns how many there are. */
static size_t find_nearest(const run *r, product_fn *product, const made *m, size_t of, uint32_t nearest[N_NEAREST])
{
    double scores[N_NEAREST];
    size_t n = 0;
    for (size_t i = 0; i < r->n; i++) {
        const double score = i != of ? product(r, m, of, m, i) : 0.0;
        if (i == of || (n == N_NEAREST && score <= scores[n - 1]))
            continue;
        size_t at = n < N_NEAREST ? n++ : n - 1;
        for (; at > 0 && scores[at - 1] < score; at--) {
            scores[at] = scores[at - 1];
            nearest[at] = nearest[at - 1];
        }
        scores[at] = score;
        nearest[at] = (uint32_t)i;
    }
    return n;
}

static size_t n_common(const uint32_t *a, const uint32_t *b, size_t n)
{
    size_t common = 0;
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < n; k++)
            common += a[i] == b[k];
    }
    return common;
}

/* ---- the report ---- */

static void report_vectors(const run *r, const char *type, const char *head, product_fn *product)
{
    double sum = 0.0, least = 1.0;
    size_t kept = 0, wanted = 0;
    for (size_t i = 0; i < r->n; i++) {
        const double same = cosine(r, product, i);
        uint32_t exact[N_NEAREST], rough[N_NEAREST];
        const size_t n = find_nearest(r, product, &r->exact, i, exact);
        find_nearest(r, product, &r->rough, i, rough);
        sum += same;
        least = fmin(least, same);
        kept += n_common(exact, rough, n);
        wanted += n;
    }
    printf("%-6s %-8s %11.6f %10.6f %16.1f %%\n", type, head, sum / (double)r->n, least,
           100.0 * (double)kept / (double)wanted);
}

static void report_multi(const run *r, const char *type)
{
    const size_t width = r->info.n_token_dimensions;
    double sum = 0.0, least = 1.0;
    for (size_t i = 0; i < r->n_multi; i++) {
        const hd_output *exact = &r->exact.multi[i], *rough = &r->rough.multi[i];
        double same = 0.0;
        for (size_t k = 0; k < exact->n_token_vectors; k++)
            same += (double)hd_cosine(exact->token_vectors + k * width, rough->token_vectors + k * width, width);
        same = exact->n_token_vectors > 0 ? same / (double)exact->n_token_vectors : 1.0;
        sum += same;
        least = fmin(least, same);
    }
    printf("%-6s %-8s %11.6f %10.6f %18s\n", type, "colbert", sum / (double)r->n_multi, least, "");
}

static size_t first_label(const float *scores, size_t n)
{
    size_t best = 0;
    for (size_t i = 1; i < n; i++)
        best = scores[i] > scores[best] ? i : best;
    return best;
}

/* The share of two pairs that keep their order, or of texts that keep their first label. */
static double scores_kept(const run *r)
{
    const hd_output *exact = r->exact.outputs, *rough = r->rough.outputs;
    size_t kept = 0, n = 0;
    for (size_t i = 0; i < r->n; i++) {
        if (r->pairs == NULL)
            kept += first_label(exact[i].scores, r->info.n_labels) == first_label(rough[i].scores, r->info.n_labels);
        for (size_t k = 0; r->pairs != NULL && k < i; k++) {
            n += exact[i].scores[0] != exact[k].scores[0];
            kept += exact[i].scores[0] > exact[k].scores[0] && rough[i].scores[0] > rough[k].scores[0];
            kept += exact[i].scores[0] < exact[k].scores[0] && rough[i].scores[0] < rough[k].scores[0];
        }
    }
    n = r->pairs != NULL ? n : r->n;
    return n > 0 ? (double)kept / (double)n : 1.0;
}

static void report_scores(const run *r, const char *type)
{
    double sum = 0.0, most = 0.0;
    for (size_t i = 0; i < r->n; i++) {
        for (size_t k = 0; k < r->info.n_labels; k++) {
            const double off = fabs((double)r->exact.outputs[i].scores[k] - (double)r->rough.outputs[i].scores[k]);
            sum += off;
            most = fmax(most, off);
        }
    }
    printf("%-6s %-8s %11.6f %10.6f %16.1f %%\n", type, "scores", sum / (double)(r->n * r->info.n_labels), most,
           100.0 * scores_kept(r));
}

static void report_head(const run *r)
{
    const bool pairs = r->pairs != NULL;
    if ((r->info.heads & HD_HEAD_SCORES) != 0)
        printf("%zu %-10s logit off mean       most   %16s\n", r->n, pairs ? "pairs" : "texts",
               pairs ? "order kept" : "first label kept");
    else
        printf("%zu %-10s cosine mean        min   ten nearest kept\n", r->n, "texts");
}

static void report(const run *r, const char *type)
{
    const uint32_t heads = r->info.heads;
    if ((heads & HD_HEAD_DENSE) != 0)
        report_vectors(r, type, "dense", dense_product);
    if ((heads & HD_HEAD_SPARSE) != 0)
        report_vectors(r, type, "sparse", sparse_product);
    if ((heads & HD_HEAD_MULTI) != 0)
        report_multi(r, type);
    if ((heads & HD_HEAD_SCORES) != 0)
        report_scores(r, type);
}

static hd_status write_q8_0(run *r, hd_error *err)
{
    hd_arena arena;
    hd_settings settings;
    const char *path;
    hd__arena_init(&arena);
    hd_status status = hd__model_locate(r->config.model, r->config.cache_dir, &arena, &path, err);
    if (status == HD_OK && hd__file_exists(path))
        status = hd__fail(err, HD_ERR_ARG, "quantize: --output: %s is a GGUF file already", path);
    if (status == HD_OK)
        status = hd__settings_read(path, r->config.cache_dir, &arena, &settings, err);
    if (status == HD_OK)
        status = hd__gguf_export(&settings, HD_TENSOR_Q8_0, flag_output, err);
    hd__arena_clear(&arena);
    return status;
}

static hd_status measure(run *r, hd_error *err)
{
    HD_TRY(make(r, r->config.model, HD_DTYPE_F32, &r->exact, err));
    report_head(r);
    static const hd_dtype dtypes[] = {HD_DTYPE_BF16, HD_DTYPE_INT8};
    for (size_t i = 0; i < sizeof dtypes / sizeof *dtypes; i++) {
        HD_TRY(make(r, r->config.model, dtypes[i], &r->rough, err));
        report(r, cli_dtype_name(dtypes[i]));
    }
    if (flag_output == NULL)
        return HD_OK;
    HD_TRY(write_q8_0(r, err));
    HD_TRY(make(r, flag_output, HD_DTYPE_F32, &r->rough, err));
    report(r, "q8_0");
    return HD_OK;
}

/* The heads and the length of texts of the model measured. */
static hd_status look_at(run *r, hd_error *err)
{
    hd_model *model;
    const hd_model_options options = {.max_length = r->config.max_length};
    HD_TRY(hd_model_open(r->engine, r->config.model, &options, &model, err));
    hd_model_get_info(model, &r->info);
    hd_model_close(model);
    r->max_length = r->info.max_length;
    r->info.heads &= (r->info.heads & HD_HEAD_SCORES) != 0 ? (uint32_t)HD_HEAD_SCORES
                                                           : (uint32_t)(HD_HEAD_DENSE | HD_HEAD_SPARSE | HD_HEAD_MULTI);
    return HD_OK;
}

static hd_status run_quantize(run *r, int n_args, hd_error *err)
{
    if (n_args > 0)
        return hd__fail(err, HD_ERR_ARG, "quantize: takes no arguments: give texts by --input or a pipe");
    if (flag_input == NULL && isatty(STDIN_FILENO) == 1)
        return hd__fail(err, HD_ERR_ARG,
                        "quantize: nothing to measure on: give --input FILE, or a pipe (see 'heddle quantize --help')");
    HD_TRY(cli_config_load(&r->config, err));
    HD_TRY(cli_interrupt_begin(err));
    HD_TRY(cli_config_open(&r->config, &r->engine, NULL, err));
    HD_TRY(look_at(r, err));
    HD_TRY(read_texts(r, err));
    return measure(r, err);
}

static int quantize(int n_args, char **args)
{
    (void)args;
    run r = {.input.fd = -1};
    hd_error err = {0};
    hd_status status = run_quantize(&r, n_args, &err);
    forget(&r, &r.exact);
    forget(&r, &r.rough);
    hd__free(r.texts);
    hd__free(r.pairs);
    cli_window_clear(&r.window);
    cli_input_close(&r.input);
    hd_engine_close(r.engine);
    return cli_exit_code(status, &err);
}

const cli_command cli_quantize = {
    .name = "quantize",
    .arguments = "",
    .summary = "Measures what fewer bits cost on texts of yours; writes Q8_0",
    .notes = "For each type and head: the cosine to the vectors of f32, and how many of the ten texts nearest to each\n"
             "by f32 are among its ten nearest. Rerankers read lines of {\"query\", \"document\"}: how far their\n"
             "logits are off, and how many of two pairs keep their order.\n\n"
             "  heddle quantize -m intfloat/e5-small-v2 --input passages.txt --output e5-small-v2-q8_0.gguf",
    .tables = {cli_model_options, cli_length_options, quantize_options},
    .run = quantize,
};
