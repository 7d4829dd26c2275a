/* commands.h - every subcommand, and how they end. */
#ifndef HD_CLI_COMMANDS_H
#define HD_CLI_COMMANDS_H

#include "cli/args.h"

/* Exit codes, documented in heddle(1). */
enum { CLI_EXIT_OK = 0, CLI_EXIT_FAILURE = 1, CLI_EXIT_USAGE = 2, CLI_EXIT_SIGNAL = 128 /* + the signal's number */ };

extern const cli_command cli_embed, cli_tokenize, cli_info, cli_models, cli_pull, cli_bench, cli_kcheck, cli_serve,
    cli_rerank, cli_health, cli_convert, cli_quantize, cli_search, cli_eval, cli_tune, cli_index_folders, cli_db;

/* Prints the error, unless its text is empty or a signal was the cause, and says what to exit with. */
int cli_exit_code(hd_status status, const hd_error *err);

#endif
