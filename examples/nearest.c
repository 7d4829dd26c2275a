/* nearest.c - semantic search over a text file with libheddle; what `make demo` runs.
 *
 *   nearest [MODEL [FILE [QUERY...]]]
 *
 * Embeds every line of FILE, then shows for each query the lines whose vectors are nearest, with their cosines.
 * Uses the public API only.
 */
#define _POSIX_C_SOURCE 200809L
#include <heddle/heddle.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define MAX_LINES 10000
#define N_SHOWN 3
#define BAR_CELLS 20

static const char *bold = "", *dim = "", *green = "", *plain = "";

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* The process's largest resident set so far, MiB. */
static double peak_memory(void)
{
    char line[256];
    double kib = 0;
    FILE *status = fopen("/proc/self/status", "r");
    while (status != NULL && fgets(line, sizeof line, status) != NULL)
        if (sscanf(line, "VmHWM: %lf", &kib) == 1)
            break;
    if (status != NULL)
        fclose(status);
    return kib / 1024;
}

/* Reads the file into lines; the texts live until the process ends. */
static size_t read_lines(const char *path, hd_text lines[MAX_LINES])
{
    FILE *file = fopen(path, "r");
    char *line = NULL;
    size_t capacity = 0, n = 0;
    ssize_t len;
    while (file != NULL && n < MAX_LINES && (len = getline(&line, &capacity, file)) > 0) {
        len -= line[len - 1] == '\n';
        lines[n++] = (hd_text){line, (size_t)len};
        line = NULL;
    }
    free(line);
    if (file != NULL)
        fclose(file);
    return n;
}

static void print_bar(float cosine)
{
    int eighths = (int)((cosine > 0 ? cosine : 0) * BAR_CELLS * 8 + 0.5f);
    for (int cell = 0; cell < BAR_CELLS; cell++, eighths -= 8)
        if (eighths > 0)
            printf("\xE2\x96%c", eighths >= 8 ? 0x88 : 0x90 - eighths);
        else
            printf(" ");
}

static bool show_nearest(hd_model *model, const char *query, const hd_text *lines, const float *vectors, size_t n,
                         hd_error *err)
{
    hd_model_info info;
    hd_model_get_info(model, &info);
    float *q = malloc(info.n_dimensions * sizeof *q);
    float *cosines = malloc(n * sizeof *cosines);
    double start = now();
    bool ok =
        q != NULL && cosines != NULL && hd_encode(model, &(hd_text){query, strlen(query)}, 1, NULL, q, NULL, err) == HD_OK;
    double milliseconds = 1e3 * (now() - start);
    if (ok) {
        printf("\n%s%s%s  %s%.1f ms%s\n", bold, query, plain, dim, milliseconds, plain);
        for (size_t i = 0; i < n; i++)
            cosines[i] = hd_cosine(q, vectors + i * info.n_dimensions, info.n_dimensions);
    }
    for (int rank = 0; ok && rank < N_SHOWN && (size_t)rank < n; rank++) {
        size_t best = 0;
        for (size_t i = 1; i < n; i++)
            if (cosines[i] > cosines[best])
                best = i;
        printf("  %.2f %s", (double)cosines[best], green);
        print_bar(cosines[best]);
        printf("%s %.*s\n", plain, (int)lines[best].len, lines[best].ptr);
        cosines[best] = -2;
    }
    free(q);
    free(cosines);
    return ok;
}

static bool embed_file(hd_model *model, const char *path, double opened, hd_text *lines, size_t *n, float **vectors,
                       hd_error *err)
{
    hd_model_info info;
    float first[4096];
    *n = read_lines(path, lines);
    if (*n == 0) {
        snprintf(err->text, sizeof err->text, "%s: no lines, or it cannot be read", path);
        return false;
    }
    hd_model_get_info(model, &info);
    if (info.n_dimensions > 4096 || hd_encode(model, lines, 1, NULL, first, NULL, err) != HD_OK)
        return false;
    double first_ms = 1e3 * (now() - opened);

    *vectors = malloc(*n * info.n_dimensions * sizeof **vectors);
    double start = now();
    hd_encode_stats stats;
    if (*vectors == NULL || hd_encode(model, lines, *n, NULL, *vectors, &stats, err) != HD_OK)
        return false;
    double seconds = now() - start;
    static const char *const types[] = {"auto", "f32", "bf16", "int8"};
    const char *slash = strrchr(info.name, '/');
    printf("%s%s%s  %u layers, %u dimensions, %s\n", bold, slash != NULL && slash[1] != 0 ? slash + 1 : info.name, plain,
           info.n_layers, info.n_dimensions, types[info.dtype]);
    printf("  device                  %s\n", hd_device_text());
    printf("  first vector after      %.0f ms, weights loaded\n", first_ms);
    char label[40];
    snprintf(label, sizeof label, "%zu sentences in", *n);
    printf("  %-24s%.1f ms: %.0f sentences/s, %.0f tokens/s\n", label, 1e3 * seconds, (double)*n / seconds,
           (double)stats.n_tokens / seconds);
    printf("  memory                  %.0f MiB at most, the weights included\n", peak_memory());
    return true;
}

int main(int argc, char **argv)
{
    static const char *const demo_queries[] = {"why is the sea higher on some days",
                                               "my code does not handle a missing value",
                                               "when can I cut back the plants in the garden"};
    const char *name = argc > 1 ? argv[1] : "sentence-transformers/all-MiniLM-L6-v2";
    const char *path = argc > 2 ? argv[2] : "examples/sentences.txt";
    const char *const *queries = argc > 3 ? (const char *const *)argv + 3 : demo_queries;
    int n_queries = argc > 3 ? argc - 3 : 3;
    if (isatty(STDOUT_FILENO) == 1 && getenv("NO_COLOR") == NULL) {
        bold = "\x1b[1m";
        dim = "\x1b[2m";
        green = "\x1b[32m";
        plain = "\x1b[0m";
    }

    hd_engine *engine = NULL;
    hd_model *model = NULL;
    hd_error err = {HD_OK, "out of memory"};
    static hd_text lines[MAX_LINES];
    float *vectors = NULL;
    size_t n = 0;
    double opened = now();
    bool ok = hd_engine_open(NULL, &engine, &err) == HD_OK && hd_model_open(engine, name, NULL, &model, &err) == HD_OK &&
              embed_file(model, path, opened, lines, &n, &vectors, &err);
    for (int i = 0; ok && i < n_queries; i++)
        ok = show_nearest(model, queries[i], lines, vectors, n, &err);
    if (!ok)
        fprintf(stderr, "nearest: %s\n", err.text);
    hd_model_close(model);
    hd_engine_close(engine);
    free(vectors);
    for (size_t i = 0; i < n; i++)
        free((void *)(size_t)lines[i].ptr);
    return ok ? 0 : 1;
}
