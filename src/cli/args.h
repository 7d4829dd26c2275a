/* args.h - command lines: one table of options for each command, from which parsing, --help and the "did you
 * mean" hints all come.
 *
 * Options and arguments may be mixed; "--" ends the options; "--name=value", "--name value", "-nvalue" and
 * "-n value" are the same; letters may be joined, "-qv", and the last of them may have a value, "-qn5" or "-qn 5".
 */
#ifndef HD_CLI_ARGS_H
#define HD_CLI_ARGS_H

#include "base/status.h"

/* What an option that may be given several times was given. */
#define CLI_MAX_TEXTS 256
typedef struct cli_texts {
    const char *items[CLI_MAX_TEXTS];
    size_t n;
} cli_texts;

/* Exactly one of flag, text, texts and number is set: where the answer goes. A table ends with a row without name. */
typedef struct cli_option {
    char letter; /* 0: none */
    const char *name;
    const char *value; /* what the help calls it; NULL for a flag */
    const char *help;
    bool *flag;
    const char **text;
    cli_texts *texts;
    uint32_t *number;
    uint32_t min, max; /* of number */
} cli_option;

#define CLI_MAX_TABLES 6

typedef struct cli_command {
    const char *name, *arguments, *summary;
    const char *notes; /* paragraphs after the options in --help; may be NULL */
    const cli_option *tables[CLI_MAX_TABLES];
    /* Rewrites the arguments before they are looked at; NULL: not needed. */
    hd_status (*prepare)(int *n_args, char ***args, hd_error *err);
    bool hands_on;                       /* options are not looked at: they belong to another program */
    int (*run)(int n_args, char **args); /* the arguments that are not options; returns the exit code */
} cli_command;

/* Options of every command. */
extern bool cli_want_help, cli_quiet, cli_verbose;

/* Sets the options' targets, leaves the other arguments at the front of args and their number in *n_args.
 * HD_ERR_ARG with a line for the person who typed it. */
HD_MUST_USE hd_status cli_args_parse(const cli_command *command, int *n_args, char **args, hd_error *err);

/* The command's help on stdout. */
void cli_args_help(const cli_command *command);

/* The name closest to what was typed, at most two edits away; NULL when there is none. names ends with NULL. */
const char *cli_closest(const char *typed, const char *const *names);

#endif
