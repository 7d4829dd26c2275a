/* vectors.c - Heddle's vector index alone, as bench/search/vectors.sh measures it beside others. One JSON line for each
 * figure.
 *
 *   vectors build DB VECTORS N_THREADS [N]
 *       rows of 384 f32 values into a new database, committed by 10,000, and a graph
 *   vectors search DB QUERIES TRUTH N_THREADS SECONDS [BEAM...]
 *       recall@10, latencies of one thread and queries a second of all, for each share of allowed rows and each length of
 *       a walk's list
 *   vectors scan DB QUERIES N_THREADS
 *       exact search of all rows
 *   vectors cold DB QUERIES
 *       opening, the first query, the next hundred
 *
 * TRUTH and which rows are allowed come from vector_set.py.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "store/vectors.h"

#define DIM 384
#define K 10
#define COMMIT_ROWS 10000

static const double shares[] = {1.0, 0.5, 0.1, 0.01, 0.001};
#define N_SHARES (sizeof shares / sizeof shares[0])

static hd_error err;

static void need(hd_status status)
{
    if (status == HD_OK)
        return;
    fprintf(stderr, "vectors: %s\n", err.text);
    exit(1);
}

static hd_connection connect_to(const char *path)
{
    sqlite3 *db;
    const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
    if (sqlite3_open_v2(path, &db, flags, NULL) != SQLITE_OK ||
        sqlite3_exec(db, "PRAGMA page_size = 8192; PRAGMA journal_mode = WAL; PRAGMA mmap_size = 17179869184", NULL, NULL,
                     NULL) != SQLITE_OK) {
        fprintf(stderr, "vectors: %s: %s\n", path, sqlite3_errmsg(db));
        exit(1);
    }
    return (hd_connection){.db = db};
}

static void run(sqlite3 *db, const char *sql)
{
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK)
        return;
    fprintf(stderr, "vectors: %s: %s\n", sql, sqlite3_errmsg(db));
    exit(1);
}

static void *read_file(const char *path, size_t each, size_t *n)
{
    struct stat st;
    FILE *file = fopen(path, "rb");
    if (file == NULL || fstat(fileno(file), &st) != 0) {
        perror(path);
        exit(1);
    }
    void *bytes = malloc((size_t)st.st_size + 1);
    *n = (size_t)st.st_size / each;
    if (bytes == NULL || fread(bytes, each, *n, file) != *n) {
        perror(path);
        exit(1);
    }
    fclose(file);
    return bytes;
}

static hd_bitmap allowed_rows(uint32_t n, double share)
{
    hd_bitmap set = {.words = calloc(n / 64 + 1, sizeof(uint64_t)), .n = n};
    for (uint32_t id = 0; id < n; id++) {
        if (id * 0x9e3779b97f4a7c15u >> 32 < (uint64_t)(share * 4294967296.0)) {
            set.words[id / 64] |= 1ull << (id % 64);
            set.n_set++;
        }
    }
    return set;
}

static uint32_t count_of(hd_vectors *vectors)
{
    hd_vectors_stats stats;
    hd__vectors_get_stats(vectors, &stats);
    return (uint32_t)stats.n;
}

/* ---- building ---- */

static double cpu_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static int build(char **argv)
{
    size_t n;
    float *rows = read_file(argv[3], DIM * sizeof *rows, &n);
    n = argv[5] != NULL && (size_t)atol(argv[5]) < n ? (size_t)atol(argv[5]) : n;
    unlink(argv[2]);
    hd_connection connection = connect_to(argv[2]);
    sqlite3 *db = connection.db;
    hd_vectors *vectors;
    run(db, "BEGIN IMMEDIATE");
    need(hd__vectors_create(db, &err));
    run(db, "COMMIT");
    need(hd__vectors_open(db, DIM, true, (uint32_t)atoi(argv[4]), &vectors, &err));
    uint64_t start = hd__now_ns();
    for (size_t first = 0; first < n; first += COMMIT_ROWS) {
        run(db, "BEGIN IMMEDIATE");
        need(hd__vectors_append(vectors, db, (uint32_t)first, rows + first * DIM,
                                n - first < COMMIT_ROWS ? n - first : COMMIT_ROWS, &err));
        run(db, "COMMIT");
        hd__vectors_commit(vectors);
    }
    const double append_s = hd__seconds_since(start);
    start = hd__now_ns();
    run(db, "BEGIN IMMEDIATE");
    need(hd__vectors_build(vectors, db, NULL, NULL, &err));
    const double graph_s = hd__seconds_since(start);
    run(db, "COMMIT");
    hd__vectors_commit(vectors);
    const double build_s = hd__seconds_since(start), cpu_s = cpu_seconds();
    hd_vectors_stats stats;
    hd__vectors_get_stats(vectors, &stats);
    hd__vectors_close(vectors);
    run(db, "PRAGMA wal_checkpoint(TRUNCATE)");
    hd__connection_close(&connection);
    struct stat st;
    stat(argv[2], &st);
    printf("{\"n\": %zu, \"append_s\": %.2f, \"graph_s\": %.2f, \"build_s\": %.2f, \"cpu_s\": %.2f, \"n_graph\": %llu, "
           "\"memory_bytes\": %llu, "
           "\"disk_bytes\": %lld}\n",
           n, append_s, graph_s, build_s, cpu_s, (unsigned long long)stats.n_graph, (unsigned long long)stats.memory_bytes,
           (long long)st.st_size);
    return 0;
}

/* ---- searching ---- */

typedef struct searcher {
    const char *path;
    hd_vectors *vectors;
    const float *queries;
    size_t n_queries, first, n_done;
    const hd_bitmap *allowed;
    uint64_t until;
    pthread_t thread;
} searcher;

static void *search_main(void *data)
{
    searcher *s = data;
    hd_connection connection = connect_to(s->path);
    sqlite3 *db = connection.db;
    hd_ranked got[K];
    size_t n_got;
    run(db, "BEGIN");
    for (size_t q = s->first; hd__now_ns() < s->until; q = (q + 1) % s->n_queries) {
        need(hd__vectors_search(s->vectors, &connection, s->queries + q * DIM, K, s->allowed, false, got, &n_got, &err));
        s->n_done++;
    }
    run(db, "COMMIT");
    hd__connection_close(&connection);
    return NULL;
}

static double rate(const char *path, hd_vectors *vectors, const float *queries, size_t n_queries, const hd_bitmap *allowed,
                   int n_threads, double seconds)
{
    searcher threads[64];
    const uint64_t start = hd__now_ns();
    size_t n = 0;
    for (int i = 0; i < n_threads; i++) {
        threads[i] = (searcher){path,
                                vectors,
                                queries,
                                n_queries,
                                n_queries * (size_t)i / (size_t)n_threads,
                                0,
                                allowed,
                                start + (uint64_t)(seconds * 1e9),
                                0};
        pthread_create(&threads[i].thread, NULL, search_main, &threads[i]);
    }
    for (int i = 0; i < n_threads; i++) {
        pthread_join(threads[i].thread, NULL);
        n += threads[i].n_done;
    }
    return (double)n / hd__seconds_since(start);
}

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Each query once: how much is found of what is right, and how long each took. */
static double once(hd_vectors *vectors, hd_connection *connection, const float *queries, size_t n_queries,
                   const hd_bitmap *allowed, const uint32_t *truth, bool exact, double *ms)
{
    size_t n_right = 0;
    for (size_t q = 0; q < n_queries; q++) {
        hd_ranked got[K];
        size_t n_got;
        const uint64_t start = hd__now_ns();
        need(hd__vectors_search(vectors, connection, queries + q * DIM, K, allowed, exact, got, &n_got, &err));
        ms[q] = hd__seconds_since(start) * 1e3;
        for (size_t i = 0; truth != NULL && i < n_got; i++)
            for (size_t j = 0; j < K; j++)
                n_right += truth[q * K + j] == got[i].id;
    }
    qsort(ms, n_queries, sizeof *ms, ascending);
    return (double)n_right / (double)(n_queries * K);
}

static int search(char **argv)
{
    size_t n_queries, n_truth;
    float *queries = read_file(argv[3], DIM * sizeof *queries, &n_queries);
    uint32_t *truth = read_file(argv[4], sizeof *truth, &n_truth);
    const int n_threads = atoi(argv[5]);
    const double seconds = atof(argv[6]);
    double *ms = malloc(n_queries * sizeof *ms);
    hd_connection connection = connect_to(argv[2]);
    sqlite3 *db = connection.db;
    hd_vectors *vectors;
    need(hd__vectors_open(db, DIM, true, (uint32_t)n_threads, &vectors, &err));
    const uint32_t n = count_of(vectors);
    static char *standard[] = {"0", NULL};
    for (size_t s = 0; s < N_SHARES && n_truth >= N_SHARES * n_queries * K; s++) {
        hd_bitmap allowed = allowed_rows(n, shares[s]);
        for (char **beam = argv[7] != NULL ? argv + 7 : standard; *beam != NULL; beam++) {
            hd_vectors_tuning tuning = hd__vectors_tuning;
            tuning.beam = (uint32_t)atoi(*beam); /* 0: by the number of rows */
            hd__vectors_tune(vectors, &tuning);
            run(db, "BEGIN");
            once(vectors, &connection, queries, n_queries, &allowed, NULL, false, ms); /* everything is read */
            const double cpu = cpu_seconds();
            const double recall =
                once(vectors, &connection, queries, n_queries, &allowed, truth + s * n_queries * K, false, ms);
            const double cpu_ms = (cpu_seconds() - cpu) / (double)n_queries * 1e3;
            run(db, "COMMIT");
            const double one = rate(argv[2], vectors, queries, n_queries, &allowed, 1, seconds);
            const double all = rate(argv[2], vectors, queries, n_queries, &allowed, n_threads, seconds);
            printf("{\"share\": %g, \"beam\": %u, \"recall\": %.4f, \"p50_ms\": %.4f, \"p99_ms\": %.4f, \"cpu_ms\": %.4f, "
                   "\"qps_one\": %.0f, "
                   "\"qps\": %.0f}\n",
                   shares[s], tuning.beam, recall, ms[n_queries / 2], ms[n_queries * 99 / 100], cpu_ms, one, all);
            fflush(stdout);
        }
        free(allowed.words);
    }
    hd_vectors_stats stats;
    hd__vectors_get_stats(vectors, &stats);
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    printf("{\"memory_bytes\": %llu, \"peak_rss_bytes\": %ld}\n", (unsigned long long)stats.memory_bytes,
           usage.ru_maxrss * 1024);
    hd__vectors_close(vectors);
    hd__connection_close(&connection);
    return 0;
}

static int scan(char **argv)
{
    size_t n_queries;
    float *queries = read_file(argv[3], DIM * sizeof *queries, &n_queries);
    double *ms = malloc(n_queries * sizeof *ms);
    hd_connection connection = connect_to(argv[2]);
    sqlite3 *db = connection.db;
    hd_vectors *vectors;
    need(hd__vectors_open(db, DIM, true, (uint32_t)atoi(argv[4]), &vectors, &err));
    hd_bitmap all = allowed_rows(count_of(vectors), 1.0);
    once(vectors, &connection, queries, 20, &all, NULL, true, ms);
    once(vectors, &connection, queries, n_queries < 500 ? n_queries : 500, &all, NULL, true, ms);
    printf("{\"scan_rows\": %u, \"threads\": %s, \"p50_ms\": %.3f, \"least_ms\": %.3f}\n", all.n, argv[4],
           ms[(n_queries < 500 ? n_queries : 500) / 2], ms[0]);
    hd__vectors_close(vectors);
    hd__connection_close(&connection);
    return 0;
}

static int cold(char **argv)
{
    size_t n_queries;
    float *queries = read_file(argv[3], DIM * sizeof *queries, &n_queries);
    double ms[100];
    uint64_t start = hd__now_ns();
    hd_connection connection = connect_to(argv[2]);
    sqlite3 *db = connection.db;
    hd_vectors *vectors;
    need(hd__vectors_open(db, DIM, true, 2, &vectors, &err));
    const double open_ms = hd__seconds_since(start) * 1e3;
    hd_bitmap all = allowed_rows(count_of(vectors), 1.0);
    hd_ranked got[K];
    size_t n_got;
    start = hd__now_ns();
    need(hd__vectors_search(vectors, &connection, queries, K, &all, false, got, &n_got, &err));
    const double first_ms = hd__seconds_since(start) * 1e3;
    once(vectors, &connection, queries + DIM, 100, &all, NULL, false, ms);
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    printf("{\"open_ms\": %.2f, \"first_ms\": %.2f, \"next_p50_ms\": %.3f, \"next_most_ms\": %.3f, \"rss_bytes\": %ld}\n",
           open_ms, first_ms, ms[50], ms[99], usage.ru_maxrss * 1024);
    hd__vectors_close(vectors);
    hd__connection_close(&connection);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc >= 5 && strcmp(argv[1], "build") == 0)
        return build(argv);
    if (argc >= 7 && strcmp(argv[1], "search") == 0)
        return search(argv);
    if (argc == 5 && strcmp(argv[1], "scan") == 0)
        return scan(argv);
    if (argc == 4 && strcmp(argv[1], "cold") == 0)
        return cold(argv);
    fputs("usage: vectors build|search|scan|cold DB …\n", stderr);
    return 2;
}
