/* driver.c - times searches through libheddle in one process, and prints one JSON object.
 *
 *   driver queries TYPE LEGS MODEL INDEX QUERIES
 *   driver beside  TYPE LEGS MODEL INDEX QUERIES PASSAGES TURNS
 *
 * TYPE: f32, bf16, int8 or auto; LEGS: bits of hd_leg, 0 for those of the index; the files have a text a line.
 *
 * queries: with the model loaded, opens the index (open_ms) and asks for the first time (first_ms), then each line once. The
 * lists are in the order of the queries: total_ms with embedding, embed_ms, of the legs bm25_ms and dense_ms, and the ten
 * documents' ids.
 *
 * beside: what a writer costs a reader. In turns of a second each, one thread asks while nobody else works (alone), while
 * another thread embeds passages, eight at a time (embedding), and while that thread puts them into the index as
 * documents, eight at a time (writing); the medians of each turn's times are printed, and how many documents were put. The
 * difference of the first two is what sharing the cores costs, that of the last two is the store's.
 */
#define _POSIX_C_SOURCE 200809L
#include <heddle/index.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MAX_LINES 100000
#define N_HITS 10
#define PUT_AT_ONCE 8
#define MAX_ASKED 100000

typedef enum work { ALONE, EMBEDDING, WRITING, N_WORKS } work;

typedef struct bench {
    hd_model *model;
    hd_index *index;
    uint32_t legs;
    hd_text queries[MAX_LINES], passages[MAX_LINES];
    size_t n_queries, n_passages;
    _Atomic(work) work;
    atomic_bool stop;
    size_t n_put;
    hd_error err;
} bench;

static double now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return 1e3 * (double)t.tv_sec + 1e-6 * (double)t.tv_nsec;
}

/* The lines live until the process ends. */
static size_t read_lines(const char *path, hd_text *lines)
{
    FILE *file = fopen(path, "r");
    char *line = NULL;
    size_t capacity = 0, n = 0;
    ssize_t length;
    while (file != NULL && n < MAX_LINES && (length = getline(&line, &capacity, file)) > 0) {
        length -= line[length - 1] == '\n';
        lines[n++] = (hd_text){line, (size_t)length};
        line = NULL;
    }
    free(line);
    if (file != NULL)
        fclose(file);
    return n;
}

static void print_list(const char *name, const double *values, size_t n)
{
    printf(", \"%s\": [", name);
    for (size_t i = 0; i < n; i++)
        printf("%s%.4f", i > 0 ? "," : "", values[i]);
    printf("]");
}

static void print_text(const char *text)
{
    printf("\"");
    for (; *text != 0; text++)
        if (*text == '"' || *text == '\\')
            printf("\\%c", *text);
        else if ((unsigned char)*text < ' ')
            printf("\\u%04x", *text);
        else
            printf("%c", *text);
    printf("\"");
}

static bool ask(bench *b, size_t i, hd_results *results)
{
    hd_search search = {.query = b->queries[i % b->n_queries], .legs = b->legs, .limit = N_HITS};
    return hd_index_search(b->index, &search, results, &b->err) == HD_OK;
}

static bool run_queries(bench *b, double open_ms)
{
    static double total[MAX_LINES], embed[MAX_LINES], bm25[MAX_LINES], dense[MAX_LINES];
    hd_results r;
    double begin = now_ms();
    if (!ask(b, 0, &r))
        return false;
    printf("{\"open_ms\": %.3f, \"first_ms\": %.3f, \"hits\": [", open_ms, now_ms() - begin);
    hd_results_free(&r);
    for (size_t i = 0; i < b->n_queries; i++) {
        begin = now_ms();
        if (!ask(b, i, &r))
            return false;
        total[i] = now_ms() - begin;
        embed[i] = r.embed_ms;
        bm25[i] = r.leg_ms[0];
        dense[i] = r.leg_ms[1];
        printf("%s[", i > 0 ? "," : "");
        for (size_t hit = 0; hit < r.n; hit++) {
            printf("%s", hit > 0 ? "," : "");
            print_text(r.hits[hit].document_id);
        }
        printf("]");
        hd_results_free(&r);
    }
    printf("]");
    print_list("total_ms", total, b->n_queries);
    print_list("embed_ms", embed, b->n_queries);
    print_list("bm25_ms", bm25, b->n_queries);
    print_list("dense_ms", dense, b->n_queries);
    hd_index_stats s;
    if (hd_index_get_stats(b->index, &s, &b->err) != HD_OK)
        return false;
    printf(", \"n_chunks\": %llu, \"n_graph\": %llu, \"file_bytes\": %llu, \"memory_bytes\": %llu}\n",
           (unsigned long long)s.n_chunks, (unsigned long long)s.n_graph, (unsigned long long)s.file_bytes,
           (unsigned long long)s.memory_bytes);
    return true;
}

static void *other_thread(void *data)
{
    bench *b = data;
    hd_error err;
    hd_model_info info;
    hd_model_get_info(b->model, &info);
    float *vectors = malloc(PUT_AT_ONCE * info.n_dimensions * sizeof *vectors);
    hd_document documents[PUT_AT_ONCE] = {{0}};
    bool ok = vectors != NULL;
    for (size_t at = 0; ok && !atomic_load(&b->stop); at = (at + PUT_AT_ONCE) % (b->n_passages - PUT_AT_ONCE + 1)) {
        work now = atomic_load(&b->work);
        if (now == EMBEDDING) {
            ok = hd_encode(b->model, b->passages + at, PUT_AT_ONCE, NULL, vectors, NULL, &err) == HD_OK;
        } else if (now == WRITING) {
            for (size_t i = 0; i < PUT_AT_ONCE; i++)
                documents[i].text = b->passages[at + i];
            ok = hd_index_put(b->index, documents, PUT_AT_ONCE, NULL, &err) == HD_OK;
            b->n_put += ok ? PUT_AT_ONCE : 0;
        } else {
            nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
        }
    }
    if (!ok)
        fprintf(stderr, "driver: the writer: %s\n", vectors != NULL ? err.text : "out of memory");
    free(vectors);
    return NULL;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static bool run_turn(bench *b, double *median, double *p99)
{
    static double times[MAX_ASKED];
    size_t n = 0;
    double end = now_ms() + 1000;
    while (n < MAX_ASKED && now_ms() < end) {
        hd_results r;
        double begin = now_ms();
        if (!ask(b, n, &r))
            return false;
        times[n++] = now_ms() - begin;
        hd_results_free(&r);
    }
    qsort(times, n, sizeof *times, by_value);
    *median = times[n / 2];
    *p99 = times[n * 99 / 100];
    return true;
}

static bool run_beside(bench *b, size_t turns)
{
    static const char *const names[] = {"alone", "embedding", "writing"};
    static double p50[N_WORKS][MAX_LINES], p99[N_WORKS][MAX_LINES];
    pthread_t other;
    if (b->n_passages < PUT_AT_ONCE || turns > MAX_LINES || pthread_create(&other, NULL, other_thread, b) != 0)
        return false;
    bool ok = true;
    for (size_t turn = 0; ok && turn < turns; turn++)
        for (int now = 0; ok && now < N_WORKS; now++) {
            atomic_store(&b->work, (work)now);
            ok = run_turn(b, &p50[now][turn], &p99[now][turn]);
        }
    atomic_store(&b->stop, true);
    pthread_join(other, NULL);
    if (!ok)
        return false;
    printf("{\"n_put\": %zu", b->n_put);
    for (int now = 0; now < N_WORKS; now++) {
        char name[40];
        snprintf(name, sizeof name, "%s_p50_ms", names[now]);
        print_list(name, p50[now], turns);
        snprintf(name, sizeof name, "%s_p99_ms", names[now]);
        print_list(name, p99[now], turns);
    }
    printf("}\n");
    return true;
}

int main(int argc, char **argv)
{
    static bench b = {.err = {HD_OK, "a file has no lines, or too few"}};
    static const char *const types[] = {"auto", "f32", "bf16", "int8"};
    bool beside = argc == 9 && strcmp(argv[1], "beside") == 0;
    if (!beside && !(argc == 7 && strcmp(argv[1], "queries") == 0)) {
        fprintf(stderr, "usage: driver queries TYPE LEGS MODEL INDEX QUERIES | driver beside … PASSAGES TURNS\n");
        return 2;
    }
    hd_model_options options = {0};
    for (int i = 0; i < 4; i++)
        if (strcmp(argv[2], types[i]) == 0)
            options.dtype = (hd_dtype)i;
    b.legs = (uint32_t)strtoul(argv[3], NULL, 10);
    b.n_queries = read_lines(argv[6], b.queries);
    b.n_passages = beside ? read_lines(argv[7], b.passages) : 0;
    hd_engine *engine = NULL;
    bool ok = b.n_queries > 0 && hd_engine_open(NULL, &engine, &b.err) == HD_OK &&
              hd_model_open(engine, argv[4], &options, &b.model, &b.err) == HD_OK && hd_model_load(b.model, &b.err) == HD_OK;
    double begin = now_ms();
    ok =
        ok && hd_index_open(argv[5], &(hd_index_options){.model = b.model, .read_only = !beside}, &b.index, &b.err) == HD_OK;
    ok = ok && (beside ? run_beside(&b, strtoul(argv[8], NULL, 10)) : run_queries(&b, now_ms() - begin));
    if (!ok)
        fprintf(stderr, "driver: %s\n", b.err.text);
    hd_index_close(b.index);
    hd_model_close(b.model);
    hd_engine_close(engine);
    return ok ? 0 : 1;
}
