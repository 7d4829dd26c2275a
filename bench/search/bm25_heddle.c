/* bm25_heddle.c - Heddle's index of words by itself, for bench/search/bm25.sh.
 *
 *   bm25_heddle index DB TEXTS COMMIT      a passage for each line, COMMIT of them a transaction
 *   bm25_heddle search DB QUERIES K        each line of QUERIES once to warm up, then three times
 *   bm25_heddle commit DB TEXTS N          a transaction of the first N passages more, rolled back
 *
 * Prints JSON. Times are of the processor, which other programs on the machine change least.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "store/postings.h"

enum { MAX_LINE = 65536, MAX_QUERIES = 10000, ROUNDS = 3, PAGE = 4096 };

static double now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static void need(hd_status status, const hd_error *err)
{
    if (status == HD_OK)
        return;
    fprintf(stderr, "bm25_heddle: %s\n", err->text);
    exit(1);
}

static void run_sql(sqlite3 *db, const char *sql)
{
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK)
        return;
    fprintf(stderr, "bm25_heddle: %s: %s\n", sql, sqlite3_errmsg(db));
    exit(1);
}

static char *next_line(FILE *f)
{
    static char line[MAX_LINE];
    if (fgets(line, sizeof line, f) == NULL)
        return NULL;
    line[strcspn(line, "\n")] = '\0';
    return line;
}

static FILE *open_lines(const char *path)
{
    FILE *f = fopen(path, "r");
    if (f == NULL) {
        perror(path);
        exit(1);
    }
    return f;
}

static hd_chunk_id count_chunks(sqlite3 *db)
{
    sqlite3_stmt *last;
    sqlite3_prepare_v2(db, "SELECT coalesce(max(first + n_chunks), 0) FROM postings_segments", -1, &last, NULL);
    sqlite3_step(last);
    const hd_chunk_id n = (hd_chunk_id)sqlite3_column_int64(last, 0);
    sqlite3_finalize(last);
    return n;
}

static void add(hd_postings *postings, sqlite3 *db, hd_chunk_id id, const char *text)
{
    hd_error err;
    const hd_span none = {"", 0};
    need(hd__postings_add_text(postings, db, id, none, none, hd__span_of(text), &err), &err);
}

static void index_texts(sqlite3 *db, const char *path, long n_commit)
{
    hd_error err;
    hd_postings *postings;
    run_sql(db, "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; BEGIN IMMEDIATE");
    need(hd__postings_create(db, "english", &err), &err);
    need(hd__postings_open(db, &postings, &err), &err);
    FILE *f = open_lines(path);
    const double begin = now_ms();
    double longest = 0, last = begin;
    hd_chunk_id n = 0;
    for (const char *text; (text = next_line(f)) != NULL;) {
        add(postings, db, n++, text);
        if (n % (hd_chunk_id)n_commit != 0)
            continue;
        need(hd__postings_flush(postings, db, &err), &err);
        run_sql(db, "COMMIT; BEGIN IMMEDIATE");
        const double now = now_ms();
        longest = now - last > longest ? now - last : longest;
        last = now;
    }
    need(hd__postings_flush(postings, db, &err), &err);
    run_sql(db, "COMMIT; PRAGMA wal_checkpoint(TRUNCATE)");
    fclose(f);
    hd_postings_stats stats;
    const double seconds = (now_ms() - begin) / 1e3;
    need(hd__postings_get_stats(postings, db, &stats, &err), &err);
    printf("{\"n\": %u, \"index_s\": %.2f, \"longest_commit_ms\": %.0f, \"segments\": %llu, \"bytes\": %llu}\n", n, seconds,
           longest, (unsigned long long)stats.n_segments, (unsigned long long)stats.disk_bytes);
    hd__postings_close(postings);
}

static int compare_doubles(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void search_queries(sqlite3 *db, const char *path, long k)
{
    static char *queries[MAX_QUERIES];
    static double ms[MAX_QUERIES * ROUNDS];
    hd_error err;
    hd_postings *postings;
    need(hd__postings_open(db, &postings, &err), &err);
    hd_bitmap all = {.n = count_chunks(db)};
    all.n_set = all.n;
    all.words = malloc(((size_t)all.n + 63) / 64 * 8);
    hd_ranked *ranked = malloc((size_t)k * sizeof *ranked);
    if (all.words == NULL || ranked == NULL)
        exit(1);
    memset(all.words, 0xFF, ((size_t)all.n + 63) / 64 * 8);
    FILE *f = open_lines(path);
    size_t n_queries = 0, n, n_ms = 0;
    for (const char *line; n_queries < MAX_QUERIES && (line = next_line(f)) != NULL;)
        queries[n_queries++] = strdup(line);
    fclose(f);
    const double begin = now_ms();
    need(hd__postings_bm25(postings, db, hd__span_of(queries[0]), (size_t)k, &all, ranked, &n, &err), &err);
    const double first = now_ms() - begin;
    printf("{\"first_ms\": %.3f, \"top\": [", first);
    for (size_t i = 0; i < n_queries; i++) {
        need(hd__postings_bm25(postings, db, hd__span_of(queries[i]), (size_t)k, &all, ranked, &n, &err), &err);
        printf("%s[", i > 0 ? ", " : "");
        for (size_t j = 0; j < n; j++)
            printf("%s%u", j > 0 ? ", " : "", ranked[j].id);
        printf("]");
    }
    for (int round = 0; round < ROUNDS; round++) {
        for (size_t i = 0; i < n_queries; i++) {
            const double start = now_ms();
            need(hd__postings_bm25(postings, db, hd__span_of(queries[i]), (size_t)k, &all, ranked, &n, &err), &err);
            ms[n_ms++] = now_ms() - start;
        }
    }
    qsort(ms, n_ms, sizeof *ms, compare_doubles);
    hd_postings_stats stats;
    need(hd__postings_get_stats(postings, db, &stats, &err), &err);
    printf("], \"p50_ms\": %.3f, \"p90_ms\": %.3f, \"p99_ms\": %.3f, \"memory_bytes\": %llu}\n", ms[n_ms / 2],
           ms[n_ms * 9 / 10], ms[n_ms * 99 / 100], (unsigned long long)stats.memory_bytes);
    hd__postings_close(postings);
}

static void time_commit(sqlite3 *db, const char *path, long n_texts)
{
    hd_error err;
    hd_postings *postings;
    need(hd__postings_open(db, &postings, &err), &err);
    run_sql(db, "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; BEGIN IMMEDIATE");
    const hd_chunk_id first = count_chunks(db);
    FILE *f = open_lines(path);
    int written = 0, unused;
    sqlite3_db_status(db, SQLITE_DBSTATUS_CACHE_WRITE, &written, &unused, 1);
    const double begin = now_ms();
    const char *text;
    for (long i = 0; i < n_texts && (text = next_line(f)) != NULL; i++)
        add(postings, db, first + (hd_chunk_id)i, text);
    const double added = now_ms();
    need(hd__postings_flush(postings, db, &err), &err);
    const double flushed = now_ms();
    sqlite3_db_cacheflush(db);
    sqlite3_db_status(db, SQLITE_DBSTATUS_CACHE_WRITE, &written, &unused, 0);
    run_sql(db, "ROLLBACK");
    fclose(f);
    hd__postings_rollback(postings);
    hd__postings_close(postings);
    printf("{\"n\": %ld, \"add_ms\": %.3f, \"flush_ms\": %.3f, \"written_bytes\": %lld}\n", n_texts, added - begin,
           flushed - added, (long long)written * PAGE);
}

int main(int argc, char **argv)
{
    sqlite3 *db;
    if (argc != 5 || sqlite3_open(argv[2], &db) != SQLITE_OK) {
        fprintf(stderr, "usage: see the head of bm25_heddle.c\n");
        return 2;
    }
    const long number = atol(argv[4]);
    if (strcmp(argv[1], "index") == 0)
        index_texts(db, argv[3], number);
    else if (strcmp(argv[1], "search") == 0)
        search_queries(db, argv[3], number);
    else
        time_commit(db, argv[3], number);
    sqlite3_close(db);
    return 0;
}
