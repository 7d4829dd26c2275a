/* cmd_quantize.c - `heddle quantize`: what fewer bits cost on the user's own texts, and a Q8_0 file if wanted.
 *
 * Each text is embedded by f32 and by every smaller type. Reported are the cosine between the two vectors of a text, and how
 * many of the ten texts nearest to it by f32 are among the ten nearest by the smaller type.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/file.h"
#include "cli/commands.h"
#include "cli/config.h"
#include "cli/input.h"
#include "cli/interrupt.h"
#include "model/gguf_export.h"
#include "model/locate.h"

enum { MAX_TEXTS = 2000, MIN_TEXTS = 2, N_NEAREST = 10 };

static const char *flag_input, *flag_input_format, *flag_output;

static const cli_option quantize_options[] = {
    {.letter = 'i',
     .name = "input",
     .value = "FILE|-",
     .text = &flag_input,
     .help = "texts to measure on, the first 2,000 (default: standard input)"},
    {.name = "input-format",
     .value = "lines|jsonl",
     .text = &flag_input_format,
     .help = "when the file's name does not say it"},
    {.letter = 'o', .name = "output", .value = "FILE.gguf", .text = &flag_output, .help = "write the model as Q8_0, too"},
    {0},
};

typedef struct run {
    cli_config config;
    hd_engine *engine;
    cli_input input;
    cli_window window;
    size_t n, width;      /* texts; values of a vector */
    uint32_t max_length;  /* of the model measured: a GGUF file knows the number of positions only */
    float *exact, *rough; /* [n, width] by f32, by what is measured */
    uint32_t *nearest;    /* [n, N_NEAREST] by f32 */
} run;

static hd_status read_texts(run *r, hd_error *err)
{
    bool jsonl;
    HD_TRY(cli_input_format(flag_input_format, flag_input, &jsonl, err));
    HD_TRY(cli_input_open(&r->input, flag_input != NULL ? flag_input : "-", jsonl, false, err));
    HD_TRY(cli_input_fill(&r->input, &r->window, MAX_TEXTS, SIZE_MAX, true, err));
    r->n = r->window.n;
    if (r->n < MIN_TEXTS)
        return hd__fail(err, HD_ERR_ARG, "quantize: %zu texts are too few to compare, %d are not", r->n, MIN_TEXTS);
    return HD_OK;
}

/* Vectors of unit length of every text. */
static hd_status embed(run *r, const char *model_name, hd_dtype dtype, float **out, hd_error *err)
{
    hd_model *model;
    hd_model_info info;
    hd_model_options options = {.dtype = dtype, .max_length = r->max_length};
    HD_TRY(hd_model_open(r->engine, model_name, &options, &model, err));
    hd_model_get_info(model, &info);
    r->width = info.n_dimensions;
    r->max_length = info.max_length;
    hd_status status = HD_OK;
    if (*out == NULL)
        *out = hd__malloc(hd__mul(hd__mul(r->n, r->width), sizeof **out));
    if (*out == NULL)
        status = hd__fail(err, HD_ERR_MEMORY, "no memory for %zu vectors of %zu values", r->n, r->width);
    if (status == HD_OK)
        status = hd_encode(model, r->window.texts, r->n, NULL, *out, NULL, err);
    hd_model_close(model);
    for (size_t i = 0; status == HD_OK && i < r->n; i++) {
        float *row = *out + i * r->width, length = 0.0f;
        for (size_t k = 0; k < r->width; k++)
            length += row[k] * row[k];
        for (size_t k = 0; k < r->width && length > 0.0f; k++)
            row[k] /= sqrtf(length);
    }
    return status;
}

static float dot(const float *a, const float *b, size_t n)
{
    float sums[8] = {0};
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        for (size_t k = 0; k < 8; k++)
            sums[k] += a[i + k] * b[i + k];
    }
    for (; i < n; i++)
        sums[0] += a[i] * b[i];
    return ((sums[0] + sums[1]) + (sums[2] + sums[3])) + ((sums[4] + sums[5]) + (sums[6] + sums[7]));
}

/* The texts nearest to one, itself left out; returns how many there are. */
static size_t find_nearest(const run *r, const float *rows, size_t of, uint32_t nearest[N_NEAREST])
{
    float scores[N_NEAREST];
    size_t n = 0;
    for (size_t i = 0; i < r->n; i++) {
        const float score = i != of ? dot(rows + of * r->width, rows + i * r->width, r->width) : 0.0f;
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

static void report(const run *r, const char *name)
{
    double sum = 0.0, least = 1.0;
    size_t kept = 0, wanted = 0;
    for (size_t i = 0; i < r->n; i++) {
        const double cosine = hd_cosine(r->exact + i * r->width, r->rough + i * r->width, r->width);
        uint32_t nearest[N_NEAREST];
        const size_t n = find_nearest(r, r->rough, i, nearest);
        sum += cosine;
        least = fmin(least, cosine);
        kept += n_common(r->nearest + i * N_NEAREST, nearest, n);
        wanted += n;
    }
    printf("%-6s %11.6f %10.6f %16.1f %%\n", name, sum / (double)r->n, least, 100.0 * (double)kept / (double)wanted);
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
        status = hd__settings_read(path, &arena, &settings, err);
    if (status == HD_OK)
        status = hd__gguf_export(&settings, HD_TENSOR_Q8_0, flag_output, err);
    hd__arena_clear(&arena);
    return status;
}

static hd_status measure(run *r, hd_error *err)
{
    HD_TRY(embed(r, r->config.model, HD_DTYPE_F32, &r->exact, err));
    r->nearest = hd__calloc(r->n, N_NEAREST * sizeof *r->nearest);
    if (r->nearest == NULL)
        return hd__fail(err, HD_ERR_MEMORY, "no memory for the nearest of %zu texts", r->n);
    for (size_t i = 0; i < r->n; i++)
        find_nearest(r, r->exact, i, r->nearest + i * N_NEAREST);
    printf("%zu texts   cosine mean        min   ten nearest kept\n", r->n);
    static const hd_dtype dtypes[] = {HD_DTYPE_BF16, HD_DTYPE_INT8};
    for (size_t i = 0; i < sizeof dtypes / sizeof *dtypes; i++) {
        HD_TRY(embed(r, r->config.model, dtypes[i], &r->rough, err));
        report(r, cli_dtype_name(dtypes[i]));
    }
    if (flag_output == NULL)
        return HD_OK;
    HD_TRY(write_q8_0(r, err));
    HD_TRY(embed(r, flag_output, HD_DTYPE_F32, &r->rough, err));
    report(r, "q8_0");
    return HD_OK;
}

static hd_status run_quantize(run *r, int n_args, hd_error *err)
{
    if (n_args > 0)
        return hd__fail(err, HD_ERR_ARG, "quantize: takes no arguments: give texts by --input or a pipe");
    HD_TRY(cli_config_load(&r->config, err));
    r->max_length = r->config.max_length;
    HD_TRY(cli_interrupt_begin(err));
    HD_TRY(read_texts(r, err));
    HD_TRY(cli_config_open(&r->config, &r->engine, NULL, err));
    return measure(r, err);
}

static int quantize(int n_args, char **args)
{
    (void)args;
    run r = {.input.fd = -1};
    hd_error err = {0};
    hd_status status = run_quantize(&r, n_args, &err);
    hd__free(r.exact);
    hd__free(r.rough);
    hd__free(r.nearest);
    cli_window_clear(&r.window);
    cli_input_close(&r.input);
    hd_engine_close(r.engine);
    return cli_exit_code(status, &err);
}

const cli_command cli_quantize = {
    .name = "quantize",
    .arguments = "",
    .summary = "Measures what fewer bits cost on texts of yours; writes Q8_0",
    .notes = "For each type: the cosine to the vectors of f32, and how many of the ten texts nearest to each by f32\n"
             "are among its ten nearest.\n\n"
             "  heddle quantize -m intfloat/e5-small-v2 --input passages.txt --output e5-small-v2-q8_0.gguf",
    .tables = {cli_model_options, quantize_options},
    .run = quantize,
};
