/* search_print.h - hits as lines: for people on a terminal, and as JSON. */
#ifndef HD_CLI_SEARCH_PRINT_H
#define HD_CLI_SEARCH_PRINT_H

#include "base/buffer.h"
#include "heddle/index.h"

/* One object a line for each hit; then, where there are facets, one {"facets": …}; with explain one {"explain": …}. */
void cli_print_json(hd_buffer *out, const hd_results *results, uint32_t offset, bool explain);

typedef struct cli_print_style {
    bool color, explain;
    uint32_t columns;   /* of the terminal */
    const char *folder; /* paths below it are shown from there; "" for none */
} cli_print_style;

/* Title, place, snippet with the query's words in bold. What documents say is printed without its control characters. */
void cli_print_hits(hd_buffer *out, const hd_results *results, uint32_t offset, const cli_print_style *style);

#endif
