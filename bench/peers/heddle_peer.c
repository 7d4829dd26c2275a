/* heddle_peer.c - Heddle measured as peer.py measures the others: one process, through the C library.
 *
 *   heddle_peer DTYPE MODEL_DIR DATA_DIR THREADS STARTED SHORT LONG QUERIES [VECTORS]
 *
 * The vector cache is off. Prints one JSON object, with the names that peer.py uses.
 */
#include <heddle/heddle.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define WARM_UP 64

static void die(const char *what, const hd_error *err)
{
    fprintf(stderr, "heddle_peer: %s: %s\n", what, err != NULL ? err->text : "failed");
    exit(1);
}

static double now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}

struct texts {
    char *bytes;
    hd_text *rows; /* [n] */
    size_t n;
};

/* One text a line, at most `limit` of them. */
static struct texts read_texts(const char *folder, const char *name, size_t limit)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s.txt", folder, name);
    FILE *f = fopen(path, "rb");
    if (f == NULL)
        die(path, NULL);
    fseek(f, 0, SEEK_END);
    size_t size = (size_t)ftell(f);
    rewind(f);
    struct texts t = {.bytes = malloc(size + 1), .rows = calloc(limit + 1, sizeof *t.rows)};
    if (t.bytes == NULL || t.rows == NULL || fread(t.bytes, 1, size, f) != size)
        die(path, NULL);
    fclose(f);
    for (char *p = t.bytes, *end = t.bytes + size; p < end && t.n < limit;) {
        char *newline = memchr(p, '\n', (size_t)(end - p));
        if (newline == NULL)
            newline = end;
        t.rows[t.n++] = (hd_text){p, (size_t)(newline - p)};
        p = newline + 1;
    }
    return t;
}

static double peak_rss_mb(void)
{
    char line[256];
    long kb = 0;
    FILE *f = fopen("/proc/self/status", "r");
    while (f != NULL && fgets(line, sizeof line, f) != NULL)
        if (sscanf(line, "VmHWM: %ld", &kb) == 1)
            break;
    if (f != NULL)
        fclose(f);
    return (double)kb / 1024;
}

static double encode(hd_model *model, const hd_text *texts, size_t n, float *out)
{
    hd_error err;
    double begin = now_ms();
    if (hd_encode(model, texts, n, NULL, out, NULL, &err) != HD_OK)
        die("hd_encode", &err);
    return now_ms() - begin;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void measure_queries(hd_model *model, const hd_text *query, size_t n, float *out)
{
    double *times = calloc(n, sizeof *times);
    if (times == NULL)
        die("queries", NULL);
    for (size_t i = 0; i < n; i++)
        times[i] = encode(model, query, 1, out);
    qsort(times, n, sizeof *times, ascending);
    size_t last = n * 99 / 100 < n ? n * 99 / 100 : n - 1;
    printf(", \"query_p50_ms\": %.4f, \"query_p99_ms\": %.4f", times[n / 2], times[last]);
    free(times);
}

static hd_dtype dtype_named(const char *name)
{
    static const char *const names[] = {
        [HD_DTYPE_AUTO] = "auto", [HD_DTYPE_F32] = "f32", [HD_DTYPE_BF16] = "bf16", [HD_DTYPE_INT8] = "int8"};
    for (unsigned i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(name, names[i]) == 0)
            return (hd_dtype)i;
    fprintf(stderr, "heddle_peer: no dtype %s\n", name);
    exit(2);
}

static void write_vectors(const char *path, const float *vectors, size_t n)
{
    FILE *f = fopen(path, "wb");
    if (f == NULL || fwrite(vectors, sizeof *vectors, n, f) != n || fclose(f) != 0)
        die(path, NULL);
}

int main(int argc, char **argv)
{
    if (argc < 9) {
        fputs("usage: heddle_peer DTYPE MODEL_DIR DATA_DIR THREADS STARTED SHORT LONG QUERIES [VECTORS]\n", stderr);
        return 2;
    }
    double started_ms = atof(argv[5]) * 1e3;
    hd_engine_options engine_options = {.n_threads = (uint32_t)atoi(argv[4])};
    hd_model_options model_options = {.dtype = dtype_named(argv[1])};
    hd_engine *engine;
    hd_model *model;
    hd_error err;
    if (hd_engine_open(&engine_options, &engine, &err) != HD_OK)
        die("hd_engine_open", &err);
    if (hd_model_open(engine, argv[2], &model_options, &model, &err) != HD_OK)
        die("hd_model_open", &err);
    hd_model_info info;
    hd_model_get_info(model, &info);

    struct texts query = read_texts(argv[3], "query", 1);
    struct texts small = read_texts(argv[3], "short", (size_t)atol(argv[6]));
    struct texts large = read_texts(argv[3], "long", (size_t)atol(argv[7]));
    float *out = malloc((small.n + large.n + 1) * info.n_dimensions * sizeof *out);
    if (out == NULL)
        die("out of memory", NULL);
    encode(model, query.rows, 1, out);
    printf("{\"first_vector_ms\": %.3f", now_ms() - started_ms);
    encode(model, small.rows, small.n < WARM_UP ? small.n : WARM_UP, out);
    encode(model, large.rows, large.n < WARM_UP / 4 ? large.n : WARM_UP / 4, out);
    measure_queries(model, query.rows, (size_t)atol(argv[8]), out);
    printf(", \"short_docs_per_s\": %.3f", (double)small.n * 1e3 / encode(model, small.rows, small.n, out));
    if (argc > 9)
        write_vectors(argv[9], out, small.n * info.n_dimensions);
    printf(", \"long_docs_per_s\": %.3f", (double)large.n * 1e3 / encode(model, large.rows, large.n, out));
    printf(", \"peak_rss_mb\": %.1f, \"sees\": \"\", \"versions\": {\"heddle\": \"%s\"}}\n", peak_rss_mb(), hd_version());

    hd_model_close(model);
    hd_engine_close(engine);
    return 0;
}
