/* heddle_peer.c - Heddle measured as peer.py measures the others: one process, through the C library.
 *
 *   heddle_peer DTYPE MODEL_DIR DATA_DIR THREADS STARTED QUERIES FILE…       warmed up with the files; then, on stdin, lines
 *
 *   encode FILE BEGIN END [VECTORS]
 *   heads BITS FILE BEGIN END            these hd_head bits from one pass
 *   device                               what the first GPU has done; {} without one
 *   end
 *
 * GPUs compute where the plugin is found. HEDDLE_PEER_GPU_BYTES is what is taken of each one's memory.
 *
 * What a reranker makes of lines are their scores for the line of query.txt. The vector cache is off. Answers are JSON
 * objects, one a line, with the names that peer.py uses.
 */
#include <heddle/heddle.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define WARM_UP 16 /* texts of each file */

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

/* Lines [begin, end) of a file, a text each. */
static struct texts read_texts(const char *folder, const char *name, size_t begin, size_t end)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "rb");
    if (f == NULL)
        die(path, NULL);
    fseek(f, 0, SEEK_END);
    size_t size = (size_t)ftell(f), line = 0;
    rewind(f);
    struct texts t = {.bytes = malloc(size + 1), .rows = calloc(end - begin + 1, sizeof *t.rows)};
    if (t.bytes == NULL || t.rows == NULL || fread(t.bytes, 1, size, f) != size)
        die(path, NULL);
    fclose(f);
    for (char *p = t.bytes, *last = t.bytes + size; p < last && line < end; line++) {
        char *newline = memchr(p, '\n', (size_t)(last - p));
        if (newline == NULL)
            newline = last;
        if (line >= begin)
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

struct peer {
    hd_engine *engine;
    hd_model *model;
    hd_model_info info;
    const char *data;
    struct texts query;
};

/* Values that a text becomes. */
static size_t width_of(const struct peer *peer)
{
    return peer->info.n_dimensions > 0 ? peer->info.n_dimensions : 1;
}

static double encode(const struct peer *peer, const struct texts *texts, float *out)
{
    hd_error err;
    double begin = now_ms();
    hd_status status = peer->info.n_dimensions > 0
                           ? hd_encode(peer->model, texts->rows, texts->n, NULL, out, NULL, &err)
                           : hd_rerank(peer->model, peer->query.rows[0], texts->rows, texts->n, NULL, out, NULL, &err);
    if (status != HD_OK)
        die("encode", &err);
    return now_ms() - begin;
}

static double encode_heads(const struct peer *peer, const struct texts *texts, uint32_t heads, float *out)
{
    hd_error err;
    hd_encode_options options = {.heads = heads};
    hd_output *outputs = calloc(texts->n, sizeof *outputs);
    if (outputs == NULL)
        die("out of memory", NULL);
    double begin = now_ms();
    if (hd_encode_outputs(peer->model, texts->rows, NULL, texts->n, &options, (heads & HD_HEAD_DENSE) != 0 ? out : NULL,
                          (heads & ~(uint32_t)HD_HEAD_DENSE) != 0 ? outputs : NULL, NULL, &err) != HD_OK)
        die("heads", &err);
    double took = now_ms() - begin;
    hd_outputs_free(outputs, texts->n);
    free(outputs);
    return took;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void measure_queries(const struct peer *peer, size_t n, float *out)
{
    double *times = calloc(n, sizeof *times);
    if (times == NULL)
        die("queries", NULL);
    for (size_t i = 0; i < n; i++)
        times[i] = encode(peer, &peer->query, out);
    qsort(times, n, sizeof *times, ascending);
    size_t last = n * 99 / 100 < n ? n * 99 / 100 : n - 1;
    printf(", \"query_p50_ms\": %.4f, \"query_p99_ms\": %.4f", times[n / 2], times[last]);
    free(times);
}

static hd_dtype dtype_named(const char *name)
{
    static const char *const names[] = {[HD_DTYPE_AUTO] = "auto", [HD_DTYPE_F32] = "f32", [HD_DTYPE_BF16] = "bf16",
                                        [HD_DTYPE_INT8] = "int8", [HD_DTYPE_F16] = "f16", [HD_DTYPE_FP8] = "fp8"};
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

static float *room_for(const struct peer *peer, size_t n)
{
    float *out = malloc(n * width_of(peer) * sizeof *out);
    if (out == NULL)
        die("out of memory", NULL);
    return out;
}

static void print_device(const struct peer *peer)
{
    hd_device_info d;
    if (hd_engine_get_device(peer->engine, 0, &d))
        printf("{\"hardware\": \"%s\", \"driver\": \"%s\", \"texts\": %llu, \"replayed\": %llu, \"failures\": %llu, "
               "\"returned\": %llu, \"used_mb\": %.1f}\n",
               d.hardware, d.driver, (unsigned long long)d.n_texts, (unsigned long long)d.n_replayed,
               (unsigned long long)(d.n_failures + d.n_out_of_memory), (unsigned long long)d.n_returned,
               (double)d.used_bytes * 1e-6);
    else
        puts("{}");
}

static void run_command(const struct peer *peer, char *line)
{
    char name[256], vectors[4096] = "";
    size_t begin, end;
    unsigned heads = 0;
    if (strcmp(line, "end\n") == 0) {
        printf("{\"peak_rss_mb\": %.1f}\n", peak_rss_mb());
    } else if (strcmp(line, "device\n") == 0) {
        print_device(peer);
    } else if ((sscanf(line, "encode %255s %zu %zu %4095s", name, &begin, &end, vectors) >= 3 ||
                sscanf(line, "heads %u %255s %zu %zu", &heads, name, &begin, &end) == 4) &&
               begin < end) {
        struct texts texts = read_texts(peer->data, name, begin, end);
        float *out = room_for(peer, texts.n);
        double took = heads != 0 ? encode_heads(peer, &texts, heads, out) : encode(peer, &texts, out);
        printf("{\"seconds\": %.6f}\n", took * 1e-3);
        if (vectors[0] != '\0')
            write_vectors(vectors, out, texts.n * width_of(peer));
        free(out);
        free(texts.rows);
        free(texts.bytes);
    } else {
        die(line, NULL);
    }
    fflush(stdout);
}

int main(int argc, char **argv)
{
    if (argc < 8) {
        fputs("usage: heddle_peer DTYPE MODEL_DIR DATA_DIR THREADS STARTED QUERIES FILE...\n", stderr);
        return 2;
    }
    double started_ms = atof(argv[5]) * 1e3;
    const char *gpu_bytes = getenv("HEDDLE_PEER_GPU_BYTES");
    hd_engine_options engine_options = {.n_threads = (uint32_t)atoi(argv[4]),
                                        .device_memory_bytes = gpu_bytes != NULL ? strtoull(gpu_bytes, NULL, 10) : 0};
    hd_model_options model_options = {.dtype = dtype_named(argv[1])};
    struct peer peer = {.data = argv[3]};
    hd_error err;
    if (hd_engine_open(&engine_options, &peer.engine, &err) != HD_OK)
        die("hd_engine_open", &err);
    if (hd_model_open(peer.engine, argv[2], &model_options, &peer.model, &err) != HD_OK)
        die("hd_model_open", &err);
    hd_model_get_info(peer.model, &peer.info);

    float *out = room_for(&peer, WARM_UP);
    peer.query = read_texts(peer.data, "query.txt", 0, 1);
    encode(&peer, &peer.query, out);
    printf("{\"first_vector_ms\": %.3f", now_ms() - started_ms);
    for (int i = 7; i < argc; i++) {
        struct texts some = read_texts(peer.data, argv[i], 0, WARM_UP);
        encode(&peer, &some, out);
    }
    measure_queries(&peer, (size_t)atol(argv[6]), out);
    printf(", \"sees\": \"\", \"versions\": {\"heddle\": \"%s\"}}\n", hd_version());
    fflush(stdout);
    for (char line[8192]; fgets(line, sizeof line, stdin) != NULL;)
        run_command(&peer, line);

    hd_model_close(peer.model);
    hd_engine_close(peer.engine);
    return 0;
}
