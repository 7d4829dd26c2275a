/* start_line.h - start lines of other servers, said in `heddle serve`'s own options.
 *
 * text-embeddings-router's and llama-server's flags and environment names are understood where they mean something
 * here; the others are taken and named in one notice, so that a fleet's start line keeps working.
 */
#ifndef HD_CLI_START_LINE_H
#define HD_CLI_START_LINE_H

#include "base/arena.h"

typedef struct cli_start_line {
    char **args; /* [n_args] in our own options, as "--name=value"; what is ours already is as it was */
    size_t n_args;
    const char **variables; /* [n_variables] "NAME=value" for the environment, where NAME is not set there */
    size_t n_variables;
    const char *notice; /* the line to print; NULL: none */
} cli_start_line;

/* Flags win over the environment, and our own names (HEDDLE_HOST, …) over others' there. environment is like environ
 * and ends with NULL. text-embeddings-router's variables have everyday names (PORT, DTYPE): they count only when the
 * start line is its own, which is when it has --model-id or MODEL_ID. All of *line lives in the arena, or as long as
 * args and environment. HD_ERR_ARG names the option whose value cannot be used here. */
HD_MUST_USE hd_status cli_start_line_translate(size_t n_args, char *const *args, char *const *environment, hd_arena *arena,
                                               cli_start_line *line, hd_error *err);

#endif
