/* search_flags.h - how to search, as options of the command line: of `heddle search`, and but for which hits are shown of
 * `heddle eval`, whose measures say how many they look at. */
#ifndef HD_CLI_SEARCH_FLAGS_H
#define HD_CLI_SEARCH_FLAGS_H

#include "cli/index_open.h"

extern const cli_option cli_search_page_options[]; /* --limit, --offset */
extern const cli_option cli_search_options[];      /* all others */

/* After cli_args_parse: what they ask for (the query is the caller's), and which models that takes. Texts live as long as
 * the arguments do. HD_ERR_ARG. */
HD_MUST_USE hd_status cli_search_flags(hd_search *search, cli_index_options *options, hd_error *err);

/* Whether they ask for anything but legs, candidates and a filter. */
bool cli_search_is_asked(const hd_search *search);

/* "bm25=0.3,dense=0.7": the others are 0. */
HD_MUST_USE hd_status cli_weights_parse(const char *text, const char *source, float weights[HD_N_LEGS], hd_error *err);

#endif
