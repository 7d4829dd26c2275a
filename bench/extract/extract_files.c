/* extract_files.c - how long the texts of files take, without a model and without an index.
 *
 *   extract_files SECONDS FILE ...
 *
 * Reads the files, then extracts all of each kind over and over for so long. A line for each kind: files, KB, then of
 * the fastest round microseconds a KB and files a second.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/file.h"
#include "ingest/extract.h"

typedef struct file {
    const char *name;
    hd_span bytes;
    hd_kind kind;
} file;

static hd_status count(const hd_extract *extract, void *data, hd_error *err)
{
    (void)err;
    *(size_t *)data += extract->n_blocks;
    return HD_OK;
}

/* Seconds of one round over all files of a kind; files that cannot be read are told in the first round. */
static double round_of(const file *files, size_t n, hd_kind kind, bool first, size_t *n_blocks)
{
    uint64_t begin = hd__now_ns();
    for (size_t i = 0; i < n; i++) {
        hd_arena arena;
        hd_error err;
        if (files[i].kind != kind)
            continue;
        hd__arena_init(&arena);
        if (hd__extract(files[i].bytes, files[i].name, NULL, &arena, count, n_blocks, &err) != HD_OK && first)
            fprintf(stderr, "%s: %s\n", files[i].name, err.text);
        hd__arena_clear(&arena);
    }
    return hd__seconds_since(begin);
}

static void measure(const file *files, size_t n, hd_kind kind, double seconds)
{
    static const char *const names[] = {"unknown", "text",  "markdown", "html", "code", "csv",
                                        "json",    "jsonl", "pdf",      "docx", "pptx", "epub"};
    size_t n_files = 0, bytes = 0, n_blocks = 0, n_rounds = 0;
    for (size_t i = 0; i < n; i++) {
        n_files += files[i].kind == kind;
        bytes += files[i].kind == kind ? files[i].bytes.len : 0;
    }
    if (n_files == 0 || bytes == 0)
        return;
    uint64_t begin = hd__now_ns();
    double best = 0;
    while (n_rounds == 0 || hd__seconds_since(begin) < seconds) {
        double took = round_of(files, n, kind, n_rounds == 0, &n_blocks);
        best = n_rounds++ == 0 || took < best ? took : best;
    }
    printf("%-9s %6zu files %8.0f KB %8zu blocks %8.2f us/KB %9.0f files/s\n", names[kind], n_files, (double)bytes / 1024,
           n_blocks / n_rounds, best * 1e6 / ((double)bytes / 1024), (double)n_files / best);
}

int main(int argc, char **argv)
{
    if (argc < 3) {
        fprintf(stderr, "usage: extract_files SECONDS FILE ...\n");
        return 2;
    }
    size_t n = 0;
    hd_arena arena;
    hd__arena_init(&arena);
    file *files = calloc((size_t)argc, sizeof *files);
    for (int i = 2; files != NULL && i < argc; i++) {
        hd_error err;
        file *f = &files[n];
        f->name = argv[i];
        if (hd__file_read(f->name, 1 << 28, &arena, &f->bytes, &err) != HD_OK) {
            fprintf(stderr, "%s\n", err.text);
            continue;
        }
        f->kind = hd__kind_of(f->bytes, f->name, NULL);
        n++;
    }
    for (int kind = HD_KIND_TEXT; kind <= HD_KIND_EPUB; kind++)
        measure(files, n, (hd_kind)kind, strtod(argv[1], NULL));
    free(files);
    hd__arena_clear(&arena);
    return 0;
}
