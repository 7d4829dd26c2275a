/* scan.c - see scan.h.
 *
 * A scan is a job that the caller and as many of the pool's threads as come in time take pieces of. The caller does not
 * wait for threads that are busy with other scans: what they find when they come is that nothing is left. So a job belongs
 * to whoever leaves it last. Its lock is job.lock.
 */
#include "store/scan.h"

#include <string.h>

#include "base/alloc.h"

#define PIECE_ROWS 8192u   /* a multiple of 64; about 0.2 ms */
#define DENSE_ROWS 40      /* so many of 64 may be found: all are multiplied, in the order they lie in memory */
#define SHARED_ROWS 16384u /* fewer are not worth waking anyone */
#define GATHER_ROWS 64

struct hd_scanner {
    hd_pool *pool;
    uint32_t n_threads;
};

typedef struct job job;

typedef struct helper {
    hd_task_node node; /* first */
    job *job;
} helper;

struct job {
    const hd_codes *codes;
    const hd_query_codes *query;
    const hd_bitmap *allowed;
    uint32_t first, end;
    _Atomic uint32_t next; /* piece */
    pthread_mutex_t lock;
    pthread_cond_t left;
    uint32_t n_inside, n_owners; /* helpers at work; all that hold it */
    bool closed;                 /* nobody enters any more */
    hd_top *top;                 /* the caller's; under the lock */
    size_t k;
    uint64_t *keys; /* [n_helpers, k] */
    helper helpers[];
};

hd_status hd__scanner_open(uint32_t n_threads, hd_scanner **out, hd_error *err)
{
    hd_scanner *scanner = hd__calloc(1, sizeof *scanner);
    if (scanner == NULL)
        return hd__fail(err, HD_ERR_MEMORY, "no memory for a scanner");
    scanner->n_threads = n_threads > 0 ? n_threads : 1;
    hd_status status = HD_OK;
    if (n_threads > 1)
        status = hd__pool_open("heddle-scan", n_threads - 1, &scanner->pool, err);
    if (status == HD_OK)
        *out = scanner;
    else
        hd__free(scanner);
    return status;
}

void hd__scanner_close(hd_scanner *scanner)
{
    if (scanner == NULL)
        return;
    hd__pool_close(scanner->pool);
    hd__free(scanner);
}

/* Products of n rows, and those that are good enough to the list. */
static void add_rows(const hd_codes *codes, const hd_query_codes *query, const uint32_t *ids, const uint8_t *const *rows,
                     size_t n, hd_top *top)
{
    int32_t products[GATHER_ROWS];
    codes->dot(&query->codes, rows, n, products);
    for (size_t i = 0; i < n; i++)
        hd__top_add(top, (float)products[i] * hd__codes_scale(codes, ids[i]), ids[i]);
}

/* 64 rows from `first` on that lie side by side, and which of them may be found. */
static void scan_dense(const hd_codes *codes, const hd_query_codes *query, uint32_t first, uint64_t word, hd_top *top)
{
    const uint8_t *rows[64], *row = hd__codes_row(codes, first);
    const float *scales = hd__codes_segment(codes, first)->scales + (first & (HD_SEGMENT - 1));
    const int last = 63 - __builtin_clzll(word);
    int32_t products[64];
    for (int i = 0; i <= last; i++)
        rows[i] = row + (size_t)i * codes->row_bytes;
    codes->dot(&query->codes, rows, (size_t)last + 1, products);
    for (int i = 0; i <= last; i++) {
        const float score = (float)products[i] * scales[i];
        if (score >= top->worst && (word >> i & 1) != 0)
            hd__top_push(top, hd__top_key(score, first + (uint32_t)i));
    }
}

/* Rows [begin, end) that may be found. */
static void scan_range(const hd_codes *codes, const hd_query_codes *query, const hd_bitmap *allowed, uint32_t begin,
                       uint32_t end, hd_top *top)
{
    uint32_t ids[GATHER_ROWS];
    const uint8_t *rows[GATHER_ROWS];
    size_t n = 0;
    for (uint32_t first = begin & ~63u; first < end; first += 64) {
        uint64_t word = allowed->words[first / 64];
        word &= first < begin ? ~0ull << (begin - first) : ~0ull;
        word &= end - first < 64 ? ~(~0ull << (end - first)) : ~0ull;
        if (__builtin_popcountll(word) >= DENSE_ROWS) {
            scan_dense(codes, query, first, word, top);
            continue;
        }
        for (; word != 0; word &= word - 1) {
            ids[n] = first + (uint32_t)__builtin_ctzll(word);
            rows[n] = hd__codes_row(codes, ids[n]);
            if (++n == GATHER_ROWS) {
                add_rows(codes, query, ids, rows, n, top);
                n = 0;
            }
        }
    }
    add_rows(codes, query, ids, rows, n, top);
}

/* Pieces until none is left. */
static void take_pieces(job *j, hd_top *top)
{
    for (;;) {
        const uint64_t begin = (j->first & ~63u) + (uint64_t)atomic_fetch_add(&j->next, 1) * PIECE_ROWS;
        if (begin >= j->end)
            return;
        const uint64_t end = begin + PIECE_ROWS < j->end ? begin + PIECE_ROWS : j->end;
        scan_range(j->codes, j->query, j->allowed, begin > j->first ? (uint32_t)begin : j->first, (uint32_t)end, top);
    }
}

/* Gives up one hold of a locked job, and the job with the last. */
static void leave(job *j)
{
    const bool last = --j->n_owners == 0;
    pthread_mutex_unlock(&j->lock);
    if (!last)
        return;
    pthread_cond_destroy(&j->left);
    pthread_mutex_destroy(&j->lock);
    hd__free(j);
}

static void help(hd_task_node *node)
{
    helper *h = (helper *)(void *)node;
    job *j = h->job;
    hd_top top;
    pthread_mutex_lock(&j->lock);
    if (!j->closed) {
        j->n_inside++;
        pthread_mutex_unlock(&j->lock);
        hd__top_init(&top, j->keys + (size_t)(h - j->helpers) * j->k, j->k);
        take_pieces(j, &top);
        pthread_mutex_lock(&j->lock);
        for (size_t i = 0; i < top.n; i++)
            hd__top_push(j->top, top.keys[i]);
        j->n_inside--;
        pthread_cond_signal(&j->left);
    }
    leave(j);
}

static hd_status scan_shared(hd_scanner *scanner, const job *what, uint32_t n_helpers, hd_top *top, hd_error *err)
{
    const size_t head = hd__round_up(sizeof(job) + n_helpers * sizeof(helper), 64);
    const size_t keys_bytes = hd__mul(hd__mul(n_helpers, top->k), sizeof *top->keys);
    job *j = hd__malloc(hd__add(head, hd__add(keys_bytes, hd__mul(top->k, sizeof *top->keys))));
    if (j == NULL)
        return hd__fail(err, HD_ERR_MEMORY, "no memory for a list of %zu", top->k);
    memcpy(j, what, sizeof *j);
    j->k = top->k;
    j->keys = (uint64_t *)(void *)((char *)j + head);
    j->top = top;
    j->n_owners = n_helpers + 1;
    pthread_mutex_init(&j->lock, NULL);
    pthread_cond_init(&j->left, NULL);
    for (uint32_t i = 0; i < n_helpers; i++) {
        j->helpers[i] = (helper){.node.run = help, .job = j};
        hd__pool_push(scanner->pool, &j->helpers[i].node);
    }
    hd_top own; /* the caller's list is for those who have done */
    hd__top_init(&own, j->keys + n_helpers * j->k, j->k);
    take_pieces(j, &own);
    pthread_mutex_lock(&j->lock);
    for (size_t i = 0; i < own.n; i++)
        hd__top_push(top, own.keys[i]);
    j->closed = true;
    while (j->n_inside > 0)
        pthread_cond_wait(&j->left, &j->lock);
    leave(j);
    return HD_OK;
}

hd_status hd__scan(hd_scanner *scanner, const hd_codes *codes, const hd_query_codes *query, uint32_t first, uint32_t end,
                   const hd_bitmap *allowed, hd_top *top, hd_error *err)
{
    end = end < allowed->n ? end : allowed->n;
    if (first >= end)
        return HD_OK;
    const uint32_t n_rows = end - first < allowed->n_set ? end - first : allowed->n_set;
    const uint32_t n_pieces = (end - (first & ~63u) + PIECE_ROWS - 1) / PIECE_ROWS;
    if (n_rows >= SHARED_ROWS && scanner->n_threads > 1 && n_pieces > 1) {
        const job what = {.codes = codes, .query = query, .allowed = allowed, .first = first, .end = end};
        const uint32_t n_helpers = (scanner->n_threads < n_pieces ? scanner->n_threads : n_pieces) - 1;
        return scan_shared(scanner, &what, n_helpers, top, err);
    }
    scan_range(codes, query, allowed, first, end, top);
    return HD_OK;
}
