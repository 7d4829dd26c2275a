/* cmd_embed.c - `heddle embed`: texts in, vectors out, in order and in constant memory.
 *
 * The input is read in windows. While the workers compute some, this thread tokenises the next one and writes
 * the oldest: a ring of windows, each with its texts, its rows and its job. Memory is the ring's, whatever the
 * length of the input.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "cli/commands.h"
#include "cli/config.h"
#include "cli/input.h"
#include "cli/interrupt.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "cli/vector_format.h"

#define MAX_WINDOWS 16
#define MIN_WINDOWS 3
#define RING_TEXTS 1536u /* texts in flight that keep all workers busy */
#define WINDOW_BYTES (256u << 10)

static const char *flag_prompt_name, *flag_prompt, *flag_task, *flag_input, *flag_output, *flag_input_format,
    *flag_output_format;
static const char *flag_heads, *flag_long_text;
static bool flag_no_normalize, flag_strict;
static uint32_t flag_dimensions;

static const cli_option embed_options[] = {
    {.letter = 'i',
     .name = "input",
     .value = "FILE|-",
     .text = &flag_input,
     .help = "one text a line; .jsonl: one {\"text\": ...} a line (default: standard input)"},
    {.letter = 'o',
     .name = "output",
     .value = "FILE|-",
     .text = &flag_output,
     .help = "replaced when everything is done, never before (default: standard output)"},
    {.name = "input-format",
     .value = "lines|jsonl",
     .text = &flag_input_format,
     .help = "when the file's name does not say it"},
    {.name = "output-format",
     .value = "FORMAT",
     .text = &flag_output_format,
     .help = "jsonl, npy or f32 (default: by the file's name, else jsonl)"},
    {.name = "prompt-name", .value = "NAME", .text = &flag_prompt_name, .help = "one of the model's prompts, such as query"},
    {.name = "prompt", .value = "TEXT", .text = &flag_prompt, .help = "put this before every text"},
    {.name = "task",
     .value = "NAME",
     .text = &flag_task,
     .help = "one of the model's tasks, such as retrieval.query: its adapters, and its prompt unless another is given"},
    {.name = "dimensions",
     .value = "N",
     .number = &flag_dimensions,
     .min = 1,
     .max = 1u << 20,
     .help = "keep the first N values, then normalise (Matryoshka models)"},
    {.name = "heads",
     .value = "LIST",
     .text = &flag_heads,
     .help = "of dense, sparse, colbert, with commas: what the model gives for each text (default: dense)"},
    {.name = "long-text",
     .value = "WAY",
     .text = &flag_long_text,
     .help = "cut a text that is too long; windows: the mean of its windows; late: the texts given are pieces of one "
             "document (default: cut)"},
    {.name = "no-normalize", .flag = &flag_no_normalize, .help = "vectors as pooled, not of unit length"},
    {.name = "strict", .flag = &flag_strict, .help = "refuse bytes that are not UTF-8 instead of replacing them"},
    {0},
};

typedef struct slot {
    cli_window window;
    float *rows;        /* [batch, dimensions]; NULL until first used */
    hd_output *outputs; /* [batch] with other heads than dense; zero where nothing is to be freed */
    hd_job *job;        /* NULL: not started */
} slot;

typedef struct run {
    cli_config config;
    hd_engine *engine;
    hd_model *model;
    hd_encode_options options;
    size_t dimensions, token_dimensions, batch, n_slots;
    cli_input input;
    cli_output output;
    cli_format format;
    slot slots[MAX_WINDOWS];
    size_t oldest, n_started;
    uint64_t n_texts, n_tokens, n_truncated;
    uint64_t n_bytes; /* of the input, whose texts are done */
    cli_progress progress;
} run;

/* ---- one window ---- */

static hd_status start_slot(run *r, slot *s, hd_error *err)
{
    if (s->rows == NULL)
        s->rows = hd__malloc(hd__mul(hd__mul(r->batch, r->dimensions), sizeof *s->rows));
    if (s->outputs == NULL && r->options.heads != HD_HEAD_DENSE)
        s->outputs = hd__calloc(r->batch, sizeof *s->outputs);
    if (s->rows == NULL || (s->outputs == NULL && r->options.heads != HD_HEAD_DENSE))
        return hd__fail(err, HD_ERR_MEMORY, "no memory for %zu vectors of %zu values; try a smaller --batch", r->batch,
                        r->dimensions);
    const hd_job_options job_options = {.outputs = s->outputs};
    const hd_status status =
        hd_job_submit(r->model, s->window.texts, s->window.n, &r->options, &job_options, s->rows, &s->job, err);
    if (status == HD_ERR_NOT_FOUND) /* the model is loaded: it is the name of a prompt or of a task */
        return HD_ERR_ARG;
    HD_TRY(status);
    r->n_started++;
    if (cli_interrupt_watch(s->job) != HD_OK)
        return hd__fail(err, HD_ERR_CANCELLED, "interrupted");
    return HD_OK;
}

static hd_status wait_slot(run *r, slot *s, hd_error *err)
{
    hd_encode_stats stats = {0};
    cli_interrupt_unwatch(s->job);
    hd_status status = hd_job_wait(s->job, &stats, err);
    s->job = NULL;
    r->n_started--;
    r->oldest = (r->oldest + 1) % r->n_slots;
    r->n_texts += s->window.n;
    r->n_bytes = s->window.end_byte;
    r->n_tokens += stats.n_tokens;
    r->n_truncated += stats.n_truncated;
    return status;
}

static const char *rate_text(uint64_t n, double seconds, char text[32])
{
    return cli_count_text((uint64_t)((double)n / seconds + 0.5), text);
}

static void draw_progress(run *r)
{
    if (!r->progress.shown)
        return;
    char text[160], texts[32], texts_rate[32], tokens_rate[32];
    double seconds = cli_progress_seconds(&r->progress);
    double share = r->input.n_bytes_total != 0 ? (double)r->n_bytes / (double)r->input.n_bytes_total : -1;
    snprintf(text, sizeof text, "%s docs  %s docs/s  %s tokens/s", cli_count_text(r->n_texts, texts),
             rate_text(r->n_texts, seconds, texts_rate), rate_text(r->n_tokens, seconds, tokens_rate));
    cli_progress_draw(&r->progress, share, text);
}

static hd_status write_slot(run *r, slot *s, hd_error *err)
{
    HD_TRY(wait_slot(r, s, err));
    for (size_t i = 0; i < s->window.n; i++) { /* row by row: the output buffer stays small */
        const float *row = s->rows + i * r->dimensions;
        if (s->outputs == NULL)
            cli_rows_append(&r->output.pending, r->format, row, 1, r->dimensions);
        else
            cli_heads_append(&r->output.pending, r->options.heads, row, r->dimensions, &s->outputs[i], r->token_dimensions);
        HD_TRY(cli_output_flush(&r->output, false, err));
    }
    hd_outputs_free(s->outputs, s->outputs != NULL ? s->window.n : 0);
    draw_progress(r);
    return HD_OK;
}

/* ---- all of them ---- */

static hd_status embed_input(run *r, hd_error *err)
{
    for (bool more = true; more || r->n_started > 0;) {
        if (more && r->n_started < r->n_slots) {
            slot *next = &r->slots[(r->oldest + r->n_started) % r->n_slots];
            bool may_wait = r->n_started == 0;
            if (may_wait) /* the next line may be long in coming: show what is done */
                HD_TRY(cli_output_flush(&r->output, true, err));
            HD_TRY(cli_input_fill(&r->input, &next->window, r->batch, WINDOW_BYTES, may_wait, err));
            more = !r->input.at_end || next->window.n > 0;
            if (next->window.n > 0) {
                HD_TRY(start_slot(r, next, err));
                continue;
            }
        }
        if (r->n_started > 0)
            HD_TRY(write_slot(r, &r->slots[r->oldest], err));
    }
    return HD_OK;
}

static hd_status embed_arguments(run *r, int n_args, char **args, hd_error *err)
{
    slot *s = &r->slots[0];
    for (int done = 0; done < n_args;) {
        size_t n = (size_t)(n_args - done) < r->batch ? (size_t)(n_args - done) : r->batch;
        hd_text *texts = hd__realloc(s->window.texts, n * sizeof *texts);
        if (texts == NULL)
            return hd__fail(err, HD_ERR_MEMORY, "no memory for %zu texts", n);
        for (size_t i = 0; i < n; i++)
            texts[i] = (hd_text){args[done + (int)i], strlen(args[done + (int)i])};
        s->window.texts = texts;
        s->window.n = n;
        r->oldest = 0;
        HD_TRY(start_slot(r, s, err));
        HD_TRY(write_slot(r, s, err));
        done += (int)n;
    }
    return HD_OK;
}

static void summarise(const run *r)
{
    if (cli_quiet || (!cli_verbose && !r->progress.shown))
        return;
    hd_model_info info;
    hd_model_get_info(r->model, &info);
    char device[CLI_DEVICE_TEXT_BYTES], texts[32], tokens[32], texts_rate[32], tokens_rate[32];
    double seconds = cli_progress_seconds(&r->progress);
    fprintf(stderr, "%s doc%s, %s tokens in %.2f s: %s docs/s, %s tokens/s (%s, %s)\n", cli_count_text(r->n_texts, texts),
            r->n_texts == 1 ? "" : "s", cli_count_text(r->n_tokens, tokens), seconds,
            rate_text(r->n_texts, seconds, texts_rate), rate_text(r->n_tokens, seconds, tokens_rate),
            cli_dtype_name(info.dtype), cli_device_text(r->engine, device));
    if (r->n_truncated > 0)
        fprintf(stderr, "%s of them were longer than the model takes and were cut\n", cli_count_text(r->n_truncated, texts));
}

/* ---- set-up ---- */

static hd_status check_usage(int n_args, bool *jsonl, cli_format *format, hd_error *err)
{
    if (n_args > 0 && flag_input != NULL)
        return hd__fail(err, HD_ERR_ARG, "embed: give texts or --input, not both");
    if (n_args == 0 && flag_input == NULL && isatty(STDIN_FILENO) == 1)
        return hd__fail(err, HD_ERR_ARG,
                        "embed: nothing to embed: give texts, --input FILE, or a pipe (see 'heddle embed --help')");
    if (flag_prompt != NULL && flag_prompt_name != NULL)
        return hd__fail(err, HD_ERR_ARG, "embed: give --prompt or --prompt-name, not both");
    HD_TRY(cli_input_format(flag_input_format, flag_input, jsonl, err));
    HD_TRY(cli_format_parse(flag_output_format, flag_output, format, err));
    const bool to_stdout = flag_output == NULL || strcmp(flag_output, "-") == 0;
    if (*format != CLI_JSONL && to_stdout && isatty(STDOUT_FILENO) == 1)
        return hd__fail(err, HD_ERR_ARG, "embed: npy and f32 are not for a terminal to show: use --output FILE or a pipe");
    return HD_OK;
}

static hd_status parse_heads(uint32_t *heads, hd_error *err)
{
    *heads = flag_heads == NULL ? HD_HEAD_DENSE : 0;
    for (const char *at = flag_heads; at != NULL;) {
        const size_t n = strcspn(at, ",");
        uint32_t head = 0;
        for (uint32_t i = HD_HEAD_DENSE; i <= HD_HEAD_MULTI; i <<= 1)
            if (hd__span_is(hd__span(at, n), hd_head_name(i)))
                head = i;
        if (head == 0)
            return hd__fail(err, HD_ERR_ARG, "--heads: '%.*s' is not one of dense, sparse, colbert", (int)n, at);
        *heads |= head;
        at = at[n] == ',' ? at + n + 1 : NULL;
    }
    return HD_OK;
}

static hd_status parse_long_text(hd_long_text *way, hd_error *err)
{
    static const char *const names[] = {"cut", "windows", "late"};
    *way = HD_LONG_CUT;
    for (hd_long_text i = HD_LONG_CUT; flag_long_text != NULL && i <= HD_LONG_LATE; i++) {
        if (strcmp(flag_long_text, names[i]) != 0)
            continue;
        *way = i;
        return HD_OK;
    }
    return flag_long_text == NULL
               ? HD_OK
               : hd__fail(err, HD_ERR_ARG, "--long-text: '%s' is not one of cut, windows, late", flag_long_text);
}

/* The names of heads that can be asked for, with commas. */
static const char *list_heads(uint32_t heads, char text[32])
{
    size_t n = 0;
    text[0] = '\0';
    for (uint32_t i = HD_HEAD_DENSE; i <= HD_HEAD_MULTI; i <<= 1)
        if ((heads & i) != 0)
            n += (size_t)snprintf(text + n, 32 - n, "%s%s", n > 0 ? "," : "", hd_head_name(i));
    return text;
}

/* The engine knows of heads that are no option here; what can be done is asking for others, or another command. */
static hd_status check_heads(uint32_t heads, const hd_model_info *info, hd_error *err)
{
    char wanted[32], given[32];
    if ((heads & ~info->heads) == 0)
        return HD_OK;
    if (list_heads(info->heads, given)[0] == '\0')
        return hd__fail(err, HD_ERR_UNSUPPORTED, "%s gives scores and no vectors%s", info->name,
                        info->reranks ? ": heddle rerank takes it" : "");
    return hd__fail(err, HD_ERR_UNSUPPORTED, "%s gives no %s vectors: --heads %s is what it gives", info->name,
                    list_heads(heads & ~info->heads, wanted), given);
}

/* What goes together: a document's pieces are given all at once, and other heads than dense have no rows. */
static hd_status check_ways(const run *r, int n_args, hd_error *err)
{
    if (r->options.heads != HD_HEAD_DENSE && r->format != CLI_JSONL)
        return hd__fail(err, HD_ERR_ARG, "--heads: npy and f32 files hold dense vectors alone");
    if (r->options.long_text == HD_LONG_LATE && n_args == 0)
        return hd__fail(err, HD_ERR_ARG, "--long-text late: the pieces of the document are given as arguments");
    if (r->options.long_text == HD_LONG_LATE && (size_t)n_args > r->batch)
        return hd__fail(err, HD_ERR_ARG, "--long-text late: %d pieces of one document, --batch is %zu", n_args, r->batch);
    return HD_OK;
}

static hd_status set_up(run *r, hd_error *err)
{
    HD_TRY(cli_config_load(&r->config, err));
    HD_TRY(cli_config_open(&r->config, &r->engine, &r->model, err));
    r->options = (hd_encode_options){
        .prompt_name = flag_prompt_name,
        .prompt = flag_prompt,
        .task = flag_task,
        .dimensions = flag_dimensions,
        .no_normalize = flag_no_normalize,
        .strict = flag_strict,
    };
    HD_TRY(parse_heads(&r->options.heads, err));
    HD_TRY(parse_long_text(&r->options.long_text, err));
    HD_TRY(cli_config_max_length(&r->config, r->model, &r->options.max_length, err));
    hd_model_info info;
    hd_model_get_info(r->model, &info);
    HD_TRY(check_heads(r->options.heads, &info, err));
    if (flag_dimensions > info.n_dimensions)
        return hd__fail(err, HD_ERR_ARG, "--dimensions: %u, but vectors of %s have %u values", flag_dimensions, info.name,
                        info.n_dimensions);
    r->dimensions = flag_dimensions != 0 ? flag_dimensions : info.n_dimensions;
    r->token_dimensions = info.n_token_dimensions;
    r->batch = r->config.batch;
    r->n_slots = RING_TEXTS / r->batch;
    r->n_slots = r->n_slots < MIN_WINDOWS ? MIN_WINDOWS : r->n_slots > MAX_WINDOWS ? MAX_WINDOWS : r->n_slots;
    return HD_OK;
}

static hd_status write_header(run *r, uint64_t n, bool again, hd_error *err)
{
    if (r->format != CLI_NPY)
        return HD_OK;
    char header[CLI_NPY_HEADER_BYTES];
    cli_npy_header(n, r->dimensions, header);
    if (again)
        return r->output.to_file ? cli_output_patch(&r->output, hd__span(header, sizeof header), err) : HD_OK;
    hd__buffer_append(&r->output.pending, header, sizeof header);
    return HD_OK;
}

static hd_status run_embed(run *r, int n_args, char **args, hd_error *err)
{
    bool jsonl = false;
    HD_TRY(check_usage(n_args, &jsonl, &r->format, err));
    HD_TRY(cli_interrupt_begin(err));
    HD_TRY(set_up(r, err));
    HD_TRY(check_ways(r, n_args, err));
    if (n_args == 0)
        HD_TRY(cli_input_open(&r->input, flag_input != NULL ? flag_input : "-", jsonl, flag_strict, err));
    HD_TRY(hd_model_load(r->model, err)); /* before the output is touched and the clock starts */
    HD_TRY(cli_output_open(&r->output, flag_output != NULL ? flag_output : "-", err));
    if (r->format == CLI_NPY && n_args == 0 && !r->output.to_file)
        return hd__fail(err, HD_ERR_ARG,
                        "embed: npy begins with the number of rows, which a pipe learns last: use --output FILE");
    cli_progress_begin(&r->progress);
    r->progress.shown = r->progress.shown && n_args == 0 && !(r->output.fd == STDOUT_FILENO && isatty(STDOUT_FILENO) == 1);
    HD_TRY(write_header(r, (uint64_t)n_args, false, err));
    HD_TRY(n_args > 0 ? embed_arguments(r, n_args, args, err) : embed_input(r, err));
    HD_TRY(write_header(r, r->n_texts, true, err));
    HD_TRY(cli_output_commit(&r->output, err));
    bool was_shown = r->progress.shown;
    cli_progress_end(&r->progress);
    r->progress.shown = was_shown;
    summarise(r);
    return HD_OK;
}

static int embed(int n_args, char **args)
{
    static run r; /* large, and one is enough */
    hd_error err = {0};
    r.output.fd = r.input.fd = -1;
    hd_status status = run_embed(&r, n_args, args, &err);
    if (status != HD_OK)
        cli_progress_end(&r.progress);
    for (size_t i = 0; i < r.n_slots; i++)
        if (r.slots[i].job != NULL) {
            hd_job_cancel(r.slots[i].job);
            cli_interrupt_unwatch(r.slots[i].job);
            HD_IGNORE(hd_job_wait(r.slots[i].job, NULL, NULL)); /* the first error is the one to tell */
        }
    for (size_t i = 0; i < MAX_WINDOWS; i++) {
        cli_window_clear(&r.slots[i].window);
        hd__free(r.slots[i].rows);
        hd_outputs_free(r.slots[i].outputs, r.slots[i].outputs != NULL ? r.batch : 0);
        hd__free(r.slots[i].outputs);
    }
    cli_output_abandon(&r.output);
    cli_input_close(&r.input);
    hd_model_close(r.model);
    hd_engine_close(r.engine);
    return cli_exit_code(status, &err);
}

const cli_command cli_embed = {
    .name = "embed",
    .arguments = "[TEXT...]",
    .summary = "Turns texts into vectors, in the order they come",
    .notes = "Each text becomes one line {\"embedding\": [...]}, or one row of an npy or f32 file. Input of any\n"
             "length is processed in constant memory. Settings may also come from the environment or a .env\n"
             "file; see heddle(1). With --heads a line has \"embedding\", \"sparse\": {\"indices\", \"values\"}\n"
             "and \"colbert\": [[...]], as asked.\n\n"
             "  heddle embed \"a sentence\" \"another\"\n"
             "  heddle embed --input passages.txt --output vectors.npy --dtype int8\n"
             "  heddle embed -m BAAI/bge-m3 --heads dense,sparse,colbert \"a sentence\"\n"
             "  heddle embed -m intfloat/e5-small-v2 --prompt \"query: \" \"how do tides work\"",
    .tables = {cli_model_options, cli_length_options, cli_batch_options, embed_options},
    .run = embed,
};
