/* cmd_search.c - `heddle search`: the passages of an index that answer a query.
 *
 *   heddle search how are looms threaded      for people, on a terminal
 *   heddle search --json "..." | ...          one object a line: rank, source, section, text, score, each leg's score
 *                                             and rank
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/limits.h"
#include "cli/commands.h"
#include "cli/interrupt.h"
#include "cli/output.h"
#include "cli/search_flags.h"
#include "cli/search_print.h"

static bool flag_json, flag_explain;

static const cli_option output_options[] = {
    {.name = "json", .flag = &flag_json, .help = "JSON lines, also on a terminal (elsewhere always)"},
    {.name = "explain", .flag = &flag_explain, .help = "each leg's score and rank, and how long it took"},
    {0},
};

typedef struct run {
    cli_config config;
    cli_index opened;
    hd_results results;
    cli_output output;
    hd_buffer query;
} run;

static uint32_t terminal_columns(void)
{
    struct winsize size = {0};
    return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col >= 40 ? size.ws_col : 80;
}

static hd_status join_query(run *r, int n_args, char **args, hd_error *err)
{
    for (int i = 0; i < n_args; i++) {
        hd__buffer_append_text(&r->query, i > 0 ? " " : "");
        hd__buffer_append_text(&r->query, args[i]);
    }
    if (r->query.failed)
        return hd__fail(err, HD_ERR_MEMORY, "no memory for the query");
    return r->query.len > 0 ? HD_OK : hd__fail(err, HD_ERR_ARG, "search: what for? (see 'heddle search --help')");
}

static hd_status print(run *r, const hd_search *search, hd_error *err)
{
    const bool terminal = isatty(STDOUT_FILENO) == 1;
    char folder[HD_LIMIT_PATH_BYTES];
    const cli_print_style style = {.color = terminal && getenv("NO_COLOR") == NULL,
                                   .explain = flag_explain,
                                   .columns = terminal_columns(),
                                   .folder = getcwd(folder, sizeof folder) != NULL ? folder : ""};
    HD_TRY(cli_output_open(&r->output, "-", err));
    if (flag_json || !terminal)
        cli_print_json(&r->output.pending, &r->results, search->offset, flag_explain);
    else
        cli_print_hits(&r->output.pending, &r->results, search->offset, &style);
    return cli_output_commit(&r->output, err);
}

static hd_status run_search(run *r, int n_args, char **args, hd_error *err)
{
    hd_search search;
    cli_index_options options;
    HD_TRY(join_query(r, n_args, args, err));
    HD_TRY(cli_search_flags(&search, &options, err));
    HD_TRY(cli_interrupt_begin(err));
    HD_TRY(cli_config_load(&r->config, err));
    HD_TRY(cli_index_open(&r->opened, &r->config, &options, err));
    search.query = (hd_text){r->query.ptr, r->query.len};
    search.snippets_by_meaning = true; /* somebody reads them */
    search.keep_going = cli_interrupt_keep_going;
    cli_index_narrow(&r->opened, &search);
    HD_TRY(hd_index_search(r->opened.index, &search, &r->results, err));
    if (r->results.warning[0] != '\0')
        cli_notice("%s", r->results.warning);
    return print(r, &search, err);
}

static int search(int n_args, char **args)
{
    static run r;
    hd_error err = {0};
    r.output.fd = -1;
    hd__buffer_init(&r.query);
    const hd_status status = run_search(&r, n_args, args, &err);
    hd_results_free(&r.results);
    hd__buffer_clear(&r.query);
    cli_output_abandon(&r.output);
    cli_index_close(&r.opened);
    return cli_exit_code(status, &err);
}

const cli_command cli_search = {
    .name = "search",
    .arguments = "QUERY...",
    .summary = "Finds the passages of an index that answer a query",
    .notes = "Words count where they are, in any form; vectors find what means the same. \"Words in quotes\" must\n"
             "be there as they stand, those after a minus, -\"like this\", must not.\n\n"
             "  heddle search how do I thread a loom\n"
             "  heddle search --filter 'source = docs AND created_at >= 2024' --json \"warp tension\"\n"
             "  heddle search --mode bm25 --facets source,author '\"error code 7\"'",
    .tables = {cli_search_page_options, cli_search_options, output_options, cli_search_model_options},
    .run = search,
};
