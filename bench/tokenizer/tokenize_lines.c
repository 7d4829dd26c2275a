/* tokenize_lines.c - drives the tokenizer for tools/compare_tokenizer.py and the benchmark.
 *
 *   tokenize_lines DIR [--max-length N] [--lower-case] [--ids-only] < texts
 *     Each text is its length in bytes in decimal, a newline, and the bytes. For each, one line:
 *     "id id ...|id:char_begin:char_end:byte_begin:byte_end ..." (the fast way, then the one with offsets).
 *   tokenize_lines DIR [--max-length N] --bench SECONDS < texts
 *     Encodes all texts over and over for so long and prints ids, bytes and seconds of the fastest round.
 *   tokenize_lines DIR --open
 *     Prints the milliseconds of opening, best and median of 20.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "token/tokenizer.h"

typedef struct texts {
    hd_span *texts;
    size_t n, capacity;
} texts;

static void die(const char *what)
{
    fprintf(stderr, "tokenize_lines: %s\n", what);
    exit(1);
}

static bool read_text(texts *all)
{
    size_t len;
    if (scanf("%zu", &len) != 1 || getchar() != '\n')
        return false;
    char *bytes = malloc(len + 1);
    if (bytes == NULL || fread(bytes, 1, len, stdin) != len)
        die("a text is cut short");
    if (all->n == all->capacity) {
        all->capacity = all->capacity * 2 + 64;
        all->texts = realloc(all->texts, all->capacity * sizeof *all->texts);
        if (all->texts == NULL)
            die("no memory");
    }
    all->texts[all->n++] = hd__span(bytes, len);
    return true;
}

static void print_all(const hd_tokenizer *tokenizer, const texts *all, const hd_tokenize_options *options, bool ids_only)
{
    hd_ids ids = {0};
    hd_error err;
    for (size_t i = 0; i < all->n; i++) {
        hd_tokens tokens = {0};
        ids.n = 0;
        if (hd__tokenizer_encode(tokenizer, all->texts[i], options, &ids, NULL, &err) != HD_OK ||
            (!ids_only && hd__tokenizer_encode_offsets(tokenizer, all->texts[i], options, &tokens, &err) != HD_OK))
            die(err.text);
        for (size_t k = 0; k < ids.n; k++)
            printf("%s%d", k > 0 ? " " : "", ids.ids[k]);
        putchar('|');
        for (size_t k = 0; k < tokens.n; k++) {
            const hd_token *t = &tokens.tokens[k];
            printf("%s%d:%u:%u:%u:%u", k > 0 ? " " : "", t->id, t->char_begin, t->char_end, t->byte_begin, t->byte_end);
        }
        putchar('\n');
        hd_tokens_free(&tokens);
    }
    hd__ids_clear(&ids);
}

static void bench(const hd_tokenizer *tokenizer, const texts *all, const hd_tokenize_options *options, double seconds)
{
    hd_ids ids = {0};
    hd_error err;
    size_t n_bytes = 0, n_ids = 0;
    double best = 1e9;
    for (size_t i = 0; i < all->n; i++)
        n_bytes += all->texts[i].len;
    for (uint64_t start = hd__now_ns(); hd__seconds_since(start) < seconds;) {
        uint64_t round = hd__now_ns();
        n_ids = 0;
        for (size_t i = 0; i < all->n; i++) {
            ids.n = 0;
            if (hd__tokenizer_encode(tokenizer, all->texts[i], options, &ids, NULL, &err) != HD_OK)
                die(err.text);
            n_ids += ids.n;
        }
        double took = hd__seconds_since(round);
        best = took < best ? took : best;
    }
    printf("%zu %zu %.9f\n", n_ids, n_bytes, best);
    hd__ids_clear(&ids);
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void bench_open(const char *dir)
{
    double ms[20];
    hd_error err;
    for (size_t i = 0; i < 20; i++) {
        hd_tokenizer *tokenizer;
        uint64_t start = hd__now_ns();
        if (hd__tokenizer_open(dir, &tokenizer, &err) != HD_OK)
            die(err.text);
        ms[i] = hd__seconds_since(start) * 1e3;
        hd__tokenizer_close(tokenizer);
    }
    double first = ms[0];
    qsort(ms, 20, sizeof *ms, compare);
    printf("first %.3f best %.3f median %.3f\n", first, ms[0], ms[10]);
}

int main(int argc, char **argv)
{
    hd_tokenize_options options = {0};
    bool ids_only = false;
    double seconds = 0;
    if (argc < 2)
        die("which folder?");
    for (int i = 2; i < argc; i++) {
        if (strcmp(argv[i], "--max-length") == 0 && i + 1 < argc)
            options.max_length = (uint32_t)atoi(argv[++i]);
        else if (strcmp(argv[i], "--bench") == 0 && i + 1 < argc)
            seconds = atof(argv[++i]);
        else if (strcmp(argv[i], "--lower-case") == 0)
            options.lower_case = true;
        else if (strcmp(argv[i], "--ids-only") == 0)
            ids_only = true;
        else if (strcmp(argv[i], "--open") == 0)
            return bench_open(argv[1]), 0;
        else
            die("unknown option");
    }
    hd_tokenizer *tokenizer;
    hd_error err;
    texts all = {0};
    if (hd__tokenizer_open(argv[1], &tokenizer, &err) != HD_OK)
        die(err.text);
    while (read_text(&all))
        ;
    if (seconds > 0)
        bench(tokenizer, &all, &options, seconds);
    else
        print_all(tokenizer, &all, &options, ids_only);
    for (size_t i = 0; i < all.n; i++)
        free((void *)(uintptr_t)all.texts[i].ptr);
    free(all.texts);
    hd__tokenizer_close(tokenizer);
    return 0;
}
