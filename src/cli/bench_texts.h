/* bench_texts.h - what `heddle bench` embeds: the same text everywhere, so that figures can be compared. */
#ifndef HD_CLI_BENCH_TEXTS_H
#define HD_CLI_BENCH_TEXTS_H

#include <stddef.h>

#define CLI_BENCH_QUERIES 10
#define CLI_BENCH_DOCUMENT_BYTES 1024

extern const char *const cli_bench_queries[CLI_BENCH_QUERIES];

/* The i-th document, for any i: three sentences out of a pool, about 60 tokens. Returns its length. */
size_t cli_bench_document(size_t i, char text[CLI_BENCH_DOCUMENT_BYTES]);

#endif
