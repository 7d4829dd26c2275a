/* cmd_tokenize.c - `heddle tokenize`: the tokens the model sees, for people and for comparing with others. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/commands.h"
#include "cli/config.h"
#include "cli/input.h"
#include "cli/interrupt.h"
#include "cli/output.h"

static const char *flag_input, *flag_output, *flag_offsets = "chars", *flag_input_format, *flag_prompt_name;
static bool flag_strict;

static const cli_option tokenize_options[] = {
    {.letter = 'i',
     .name = "input",
     .value = "FILE|-",
     .text = &flag_input,
     .help = "one text a line; .jsonl: one {\"text\": ...} a line (default: standard input)"},
    {.letter = 'o', .name = "output", .value = "FILE|-", .text = &flag_output, .help = "default: standard output"},
    {.name = "input-format",
     .value = "lines|jsonl",
     .text = &flag_input_format,
     .help = "when the file's name does not say it"},
    {.name = "offsets",
     .value = "chars|bytes",
     .text = &flag_offsets,
     .help = "what offsets count (default: chars, code points)"},
    {.name = "prompt-name",
     .value = "NAME",
     .text = &flag_prompt_name,
     .help = "behind one of the model's prompts, such as query"},
    {.name = "strict", .flag = &flag_strict, .help = "refuse bytes that are not UTF-8 instead of replacing them"},
    {0},
};

typedef struct run {
    hd_engine *engine;
    hd_model *model;
    hd_encode_options options;
    bool in_bytes;
    cli_input input;
    cli_output output;
    cli_window window;
} run;

static hd_status write_tokens(run *r, hd_text text, hd_error *err)
{
    hd_tokens tokens = {0};
    const hd_status status = hd_tokenize(r->model, text, &r->options, &tokens, err);
    if (status == HD_ERR_NOT_FOUND) /* the model is loaded: it is the name of a prompt */
        return HD_ERR_ARG;
    HD_TRY(status);
    hd_buffer *to = &r->output.pending;
    hd__buffer_append_text(to, "{\"ids\": [");
    for (size_t i = 0; i < tokens.n; i++)
        hd__buffer_printf(to, "%s%d", i > 0 ? ", " : "", tokens.tokens[i].id);
    hd__buffer_append_text(to, "], \"tokens\": [");
    for (size_t i = 0; i < tokens.n; i++) {
        hd__buffer_append_text(to, i > 0 ? ", " : "");
        hd__buffer_append_json(to, hd__span_of(hd_token_text(r->model, &r->options, tokens.tokens[i].id)));
    }
    hd__buffer_append_text(to, "], \"offsets\": [");
    for (size_t i = 0; i < tokens.n; i++) {
        const hd_token *t = &tokens.tokens[i];
        hd__buffer_printf(to, "%s[%u, %u]", i > 0 ? ", " : "", r->in_bytes ? t->byte_begin : t->char_begin,
                          r->in_bytes ? t->byte_end : t->char_end);
    }
    hd__buffer_append_text(to, "]}\n");
    hd_tokens_free(&tokens);
    return cli_output_flush(&r->output, false, err);
}

static hd_status tokenize_input(run *r, hd_error *err)
{
    const size_t max_texts = 256, max_bytes = 64u << 10;
    do {
        HD_TRY(cli_input_fill(&r->input, &r->window, max_texts, max_bytes, false, err));
        if (r->window.n == 0 && !r->input.at_end) { /* the next line may be long in coming: show what is done */
            HD_TRY(cli_output_flush(&r->output, true, err));
            HD_TRY(cli_input_fill(&r->input, &r->window, max_texts, max_bytes, true, err));
        }
        for (size_t i = 0; i < r->window.n; i++)
            HD_TRY(write_tokens(r, r->window.texts[i], err));
    } while (!r->input.at_end || r->window.n > 0);
    return HD_OK;
}

static hd_status run_tokenize(run *r, int n_args, char **args, hd_error *err)
{
    if (n_args > 0 && flag_input != NULL)
        return hd__fail(err, HD_ERR_ARG, "tokenize: give texts or --input, not both");
    if (n_args == 0 && flag_input == NULL && isatty(STDIN_FILENO) == 1)
        return hd__fail(err, HD_ERR_ARG, "tokenize: nothing to tokenise: give texts, --input FILE, or a pipe");
    if (strcmp(flag_offsets, "chars") != 0 && strcmp(flag_offsets, "bytes") != 0)
        return hd__fail(err, HD_ERR_ARG, "--offsets: '%s' is not one of chars, bytes", flag_offsets);
    bool jsonl = false;
    HD_TRY(cli_input_format(flag_input_format, flag_input, &jsonl, err));
    r->in_bytes = strcmp(flag_offsets, "bytes") == 0;

    cli_config config;
    HD_TRY(cli_config_load(&config, err));
    HD_TRY(cli_interrupt_begin(err));
    HD_TRY(cli_config_open(&config, &r->engine, &r->model, err));
    r->options = (hd_encode_options){
        .prompt_name = flag_prompt_name, .prompt = flag_prompt_name == NULL ? "" : NULL, .strict = flag_strict};
    HD_TRY(cli_config_max_length(&config, r->model, &r->options.max_length, err));
    if (n_args == 0)
        HD_TRY(cli_input_open(&r->input, flag_input != NULL ? flag_input : "-", jsonl, flag_strict, err));
    HD_TRY(hd_model_load(r->model, err)); /* before the output is touched */
    HD_TRY(cli_output_open(&r->output, flag_output != NULL ? flag_output : "-", err));
    for (int i = 0; i < n_args; i++)
        HD_TRY(write_tokens(r, (hd_text){args[i], strlen(args[i])}, err));
    if (n_args == 0)
        HD_TRY(tokenize_input(r, err));
    return cli_output_commit(&r->output, err);
}

static int tokenize(int n_args, char **args)
{
    run r = {.input.fd = -1, .output.fd = -1};
    hd_error err = {0};
    hd_status status = run_tokenize(&r, n_args, args, &err);
    cli_window_clear(&r.window);
    cli_output_abandon(&r.output);
    cli_input_close(&r.input);
    hd_model_close(r.model);
    hd_engine_close(r.engine);
    return cli_exit_code(status, &err);
}

const cli_command cli_tokenize = {
    .name = "tokenize",
    .arguments = "[TEXT...]",
    .summary = "Shows the tokens of texts: ids, vocabulary entries, offsets",
    .notes = "One line a text: {\"ids\": [...], \"tokens\": [...], \"offsets\": [[begin, end], ...]}, special tokens\n"
             "included, cut to the model's length as the model would see it.",
    .tables = {cli_model_options, cli_length_options, tokenize_options},
    .run = tokenize,
};
