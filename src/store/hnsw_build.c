/* hnsw_build.c - see hnsw_build.h. Algorithms 1 and 4 of the paper.
 *
 * A row is searched for on each of its levels first, from the entry, and only then linked: its own links on all levels, then
 * those to it. So whoever comes by it can go on. Lists of links are read without locks, as one link after the other, each
 * of which is sound at any time; who changes a list holds the bit of its row in builder.busy.
 *
 * Neighbours are chosen by the paper's heuristic: a candidate is left out when it is nearer to one already chosen than to
 * the row itself. What is left out does not come back to fill the list: it made lists longer and no search better.
 */
#include "store/hnsw_build.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/parallel.h"

#define BUILD_BEAM 128u  /* the list of a search for a new row's neighbours, the paper's efConstruction */
#define BUILD_PIECE 32u  /* rows that a thread takes at once */
#define BUILD_STEP 8192u /* rows between two calls of `progress` */
#define BUILD_ALONE 512u /* the first rows are linked by one thread: several would not find each other's */
#define REPAIR_BEAM 64u

typedef struct worker {
    hd_walk walk;
    int8_t *other_bytes; /* [row_bytes] of a candidate or a neighbour */
} worker;

typedef struct builder {
    hd_graph *graph;
    hd_codes *codes;
    uint32_t n_threads;
    worker *workers;
    _Atomic uint8_t *busy;                     /* [graph->n] */
    _Atomic uint8_t *changed[HD_GRAPH_LEVELS]; /* [blocks] */
    pthread_mutex_t entry_lock;                /* of raising it */
    _Atomic uint64_t entry;                    /* level << 32 | slot */
    uint32_t first;                            /* row of the step at hand */
    uint32_t end;
} builder;

/* ---- choosing ---- */

typedef struct candidate {
    float score; /* to the row that chooses */
    uint32_t slot;
} candidate;

/* Whether row `id`, `score` away from the row that chooses, is nearer to one of the chosen. */
static bool is_covered(const builder *b, worker *w, const hd_graph_level *level, uint32_t slot, float score,
                       const uint32_t *chosen, uint32_t n_chosen)
{
    hd_query_codes query;
    hd__codes_query_row(b->codes, hd__graph_id(level, slot), w->other_bytes, &query);
    for (uint32_t i = 0; i < n_chosen; i += 4) {
        const uint32_t n = n_chosen - i < 4 ? n_chosen - i : 4;
        const uint8_t *rows[4];
        int32_t products[4];
        for (uint32_t j = 0; j < n; j++)
            rows[j] = hd__codes_row(b->codes, hd__graph_id(level, chosen[i + j]));
        b->codes->dot(&query.codes, rows, n, products);
        for (uint32_t j = 0; j < n; j++) {
            const float scale = hd__codes_scale(b->codes, hd__graph_id(level, chosen[i + j]));
            if ((float)products[j] * scale * query.scale > score)
                return true;
        }
    }
    return false;
}

/* From candidates, nearest first, at most `most`. */
static uint32_t choose(const builder *b, worker *w, const hd_graph_level *level, const candidate *candidates, uint32_t n,
                       uint32_t most, uint32_t *chosen)
{
    uint32_t n_chosen = 0;
    for (uint32_t i = 0; i < n && n_chosen < most; i++)
        if (!is_covered(b, w, level, candidates[i].slot, candidates[i].score, chosen, n_chosen))
            chosen[n_chosen++] = candidates[i].slot;
    return n_chosen;
}

/* ---- linking ---- */

static void lock_row(builder *b, uint32_t id)
{
    while (atomic_exchange_explicit(&b->busy[id], 1, memory_order_acquire) != 0)
        while (atomic_load_explicit(&b->busy[id], memory_order_relaxed) != 0)
            ;
}

static void unlock_row(builder *b, uint32_t id)
{
    atomic_store_explicit(&b->busy[id], 0, memory_order_release);
}

static void set_links(builder *b, uint32_t l, uint32_t slot, const uint32_t *to, uint32_t n)
{
    const hd_graph_level *level = &b->graph->levels[l];
    _Atomic uint32_t *links = hd__graph_links(level, slot);
    for (uint32_t i = 0; i < level->n_links; i++)
        atomic_store_explicit(&links[i], i < n ? to[i] : HD_GRAPH_NONE, memory_order_release);
    atomic_store_explicit(&b->changed[l][slot >> HD_LINK_BLOCK_SHIFT], 1, memory_order_relaxed);
}

static int nearer_first(const void *a, const void *b)
{
    const candidate *x = a, *y = b;
    return x->score < y->score ? 1 : x->score > y->score ? -1 : (x->slot > y->slot) - (x->slot < y->slot);
}

/* A link from `from` to `to`; when its list is full, the best of all of them. */
static void link_back(builder *b, worker *w, uint32_t l, uint32_t from, uint32_t to)
{
    const hd_graph_level *level = &b->graph->levels[l];
    const uint32_t id = hd__graph_id(level, from);
    uint32_t links[2 * HD_GRAPH_LINKS + 1], n = 0;
    lock_row(b, id);
    for (; n < level->n_links; n++) {
        links[n] = atomic_load_explicit(&hd__graph_links(level, from)[n], memory_order_relaxed);
        if (links[n] == HD_GRAPH_NONE)
            break;
    }
    links[n++] = to;
    if (n > level->n_links) {
        candidate candidates[2 * HD_GRAPH_LINKS + 1];
        const uint8_t *rows[2 * HD_GRAPH_LINKS + 1];
        int32_t products[2 * HD_GRAPH_LINKS + 1];
        hd_query_codes query;
        for (uint32_t i = 0; i < n; i++)
            rows[i] = hd__codes_row(b->codes, hd__graph_id(level, links[i]));
        hd__codes_query_row(b->codes, id, w->other_bytes, &query);
        b->codes->dot(&query.codes, rows, n, products);
        for (uint32_t i = 0; i < n; i++) {
            const float scale = hd__codes_scale(b->codes, hd__graph_id(level, links[i]));
            candidates[i] = (candidate){(float)products[i] * scale * query.scale, links[i]};
        }
        qsort(candidates, n, sizeof *candidates, nearer_first);
        n = choose(b, w, level, candidates, n, level->n_links, links);
    }
    set_links(b, l, from, links, n);
    unlock_row(b, id);
}

static uint32_t slot_of(const hd_graph_level *level, uint32_t id)
{
    if (level->ids == NULL)
        return id;
    uint32_t low = 0, high = level->n;
    while (high - low > 1) {
        const uint32_t middle = low + (high - low) / 2;
        if (level->ids[middle] <= id)
            low = middle;
        else
            high = middle;
    }
    return low;
}

/* Searches for the row's neighbours on levels `top` and below, then links it. */
static hd_status link_row(builder *b, worker *w, uint32_t id, uint32_t top, uint32_t slot, const hd_walk_task *task,
                          hd_error *err)
{
    uint32_t chosen[HD_GRAPH_LEVELS][2 * HD_GRAPH_LINKS], n_chosen[HD_GRAPH_LEVELS] = {0};
    candidate candidates[BUILD_BEAM];
    for (uint32_t l = top + 1; l-- > 0;) {
        const hd_graph_level *level = &b->graph->levels[l];
        HD_TRY(hd__walk_level(&w->walk, task, l, slot, BUILD_BEAM, err));
        slot = hd__graph_down(level, hd__walk_slot(w->walk.beam[0]));
        uint32_t n = 0;
        for (uint32_t i = 0; i < w->walk.n_beam; i++) {
            const uint64_t entry = w->walk.beam[i];
            if (hd__graph_id(level, hd__walk_slot(entry)) != id)
                candidates[n++] = (candidate){hd__walk_score(entry) * task->query->scale, hd__walk_slot(entry)};
        }
        n_chosen[l] = choose(b, w, level, candidates, n, HD_GRAPH_LINKS, chosen[l]);
    }
    for (uint32_t l = 0; l <= top; l++) {
        lock_row(b, id);
        set_links(b, l, slot_of(&b->graph->levels[l], id), chosen[l], n_chosen[l]);
        unlock_row(b, id);
    }
    for (uint32_t l = 0; l <= top; l++)
        for (uint32_t i = 0; i < n_chosen[l]; i++)
            link_back(b, w, l, chosen[l][i], slot_of(&b->graph->levels[l], id));
    return HD_OK;
}

static hd_status insert(builder *b, worker *w, uint32_t id, hd_error *err)
{
    hd_query_codes query;
    hd__codes_query_row(b->codes, id, w->walk.query_bytes, &query);
    const hd_walk_task task = {.graph = b->graph, .codes = b->codes, .n_rows = b->graph->n, .query = &query};
    const uint32_t level = hd__graph_level_of(id);
    uint64_t entry = atomic_load_explicit(&b->entry, memory_order_acquire);
    const bool raises = level > entry >> 32;
    if (raises) {
        pthread_mutex_lock(&b->entry_lock);
        entry = b->entry; /* another may have raised it, and this one is not so high any more */
    }
    const uint32_t top = (uint32_t)(entry >> 32);
    uint32_t slot;
    hd_status status = hd__walk_descend(&task, top, (uint32_t)entry, level < top ? level : top, &slot, err);
    if (status == HD_OK)
        status = link_row(b, w, id, level < top ? level : top, slot, &task, err);
    if (raises) {
        if (level > top)
            b->entry = (uint64_t)level << 32 | slot_of(&b->graph->levels[level], id);
        pthread_mutex_unlock(&b->entry_lock);
    }
    return status;
}

static hd_status insert_piece(void *data, size_t piece, uint32_t at, hd_error *err)
{
    builder *b = data;
    const uint32_t first = b->first + (uint32_t)piece * BUILD_PIECE;
    const uint32_t end = b->end - first < BUILD_PIECE ? b->end : first + BUILD_PIECE;
    for (uint32_t id = first; id < end; id++)
        HD_TRY(insert(b, &b->workers[at], id, err));
    return HD_OK;
}

/* ---- rows that no other leads to ---- */

/* A link to row `id` from the nearest row of `beam` that can be come to and has room; then its own lead on. */
static hd_status attach(builder *b, uint32_t id, uint32_t beam, uint8_t *reached, uint32_t *queue, hd_error *err)
{
    worker *w = &b->workers[0];
    const hd_graph_level *level = &b->graph->levels[0];
    hd_query_codes query;
    hd__codes_query_row(b->codes, id, w->walk.query_bytes, &query);
    const hd_walk_task task = {.graph = b->graph, .codes = b->codes, .n_rows = b->graph->n, .query = &query};
    HD_TRY(hd__walk_reserve(&w->walk, b->codes, b->graph->n, beam, err));
    HD_TRY(hd__walk(&w->walk, &task, beam, err));
    for (uint32_t i = 0; i < w->walk.n_beam && !reached[id]; i++) {
        const uint32_t from = hd__walk_slot(w->walk.beam[i]);
        _Atomic uint32_t *links = hd__graph_links(level, from);
        uint32_t n = 0;
        while (n < level->n_links && links[n] != HD_GRAPH_NONE)
            n++;
        if (!reached[from] || n == level->n_links)
            continue;
        links[n] = id;
        b->changed[0][from >> HD_LINK_BLOCK_SHIFT] = 1;
        reached[id] = 1;
        queue[0] = id;
        hd__graph_reach(level, reached, queue, 1);
    }
    return HD_OK;
}

static hd_status attach_all(builder *b, hd_error *err)
{
    const hd_graph *graph = b->graph;
    uint8_t *reached = hd__calloc(graph->n, 1);
    uint32_t *queue = hd__malloc(graph->n * sizeof *queue);
    hd_status status = HD_OK;
    if (reached == NULL || queue == NULL) {
        status = hd__fail(err, HD_ERR_MEMORY, "no memory for %u rows of a graph", graph->n);
        goto out;
    }
    const uint32_t top = graph->n_levels - 1;
    queue[0] = hd__graph_id(&graph->levels[top], 0);
    reached[queue[0]] = 1;
    hd__graph_reach(&graph->levels[0], reached, queue, 1);
    for (uint32_t id = 0; id < graph->n; id++)
        for (uint32_t beam = REPAIR_BEAM; !reached[id] && beam / 4 < graph->n; beam *= 4)
            HD_TRY_OUT(attach(b, id, beam, reached, queue, err));
out:
    hd__free(reached);
    hd__free(queue);
    return status;
}

/* ---- all of it ---- */

static void builder_clear(builder *b)
{
    for (uint32_t i = 0; b->workers != NULL && i < b->n_threads; i++) {
        hd__walk_clear(&b->workers[i].walk);
        hd__free(b->workers[i].other_bytes);
    }
    for (uint32_t l = 0; l < HD_GRAPH_LEVELS; l++)
        hd__free((void *)b->changed[l]);
    hd__free(b->workers);
    hd__free((void *)b->busy);
    pthread_mutex_destroy(&b->entry_lock);
}

/* Every list ends at once, but for those of `old`. */
static void copy_links(hd_graph *graph, const hd_graph *old)
{
    for (uint32_t l = 0; l < graph->n_levels; l++) {
        hd_graph_level *level = &graph->levels[l];
        const size_t each = level->n_links * sizeof *level->links, n_old = old != NULL ? old->levels[l].n : 0;
        if (n_old > 0)
            memcpy((void *)level->links, (const void *)old->levels[l].links, n_old * each);
        memset((void *)hd__graph_links(level, (uint32_t)n_old), 0xff, (level->n - n_old) * each);
        memset((void *)level->is_here, 1, (level->n + HD_LINK_BLOCK - 1) >> HD_LINK_BLOCK_SHIFT);
    }
    graph->n_missing = 0;
}

static hd_status builder_init(builder *b, const hd_graph *old, hd_error *err)
{
    hd_graph *graph = b->graph;
    pthread_mutex_init(&b->entry_lock, NULL);
    b->busy = hd__calloc(graph->n, sizeof *b->busy);
    b->workers = hd__calloc(b->n_threads, sizeof *b->workers);
    bool failed = b->busy == NULL || b->workers == NULL;
    for (uint32_t l = 0; l < graph->n_levels; l++) {
        b->changed[l] = hd__calloc((graph->levels[l].n >> HD_LINK_BLOCK_SHIFT) + 1, sizeof *b->changed[l]);
        failed = failed || b->changed[l] == NULL;
        const uint32_t n_old = old != NULL ? old->levels[l].n : 0; /* a block with a new slot is written in any case */
        for (uint32_t slot = n_old; !failed && slot < graph->levels[l].n; slot = (slot | (HD_LINK_BLOCK - 1)) + 1)
            b->changed[l][slot >> HD_LINK_BLOCK_SHIFT] = 1;
    }
    for (uint32_t i = 0; !failed && i < b->n_threads; i++) {
        b->workers[i].other_bytes = hd__malloc_aligned(b->codes->row_bytes);
        failed = b->workers[i].other_bytes == NULL;
        HD_TRY(hd__walk_reserve(&b->workers[i].walk, b->codes, graph->n, BUILD_BEAM, err));
    }
    if (failed)
        return hd__fail(err, HD_ERR_MEMORY, "no memory to build a graph of %u rows", graph->n);
    const uint32_t n_old = old != NULL ? old->n : 0;
    for (uint32_t l = 0; l < graph->n_levels; l++)
        if (hd__graph_id(&graph->levels[l], 0) < n_old)
            b->entry = (uint64_t)l << 32;
    if (n_old == 0)
        b->entry = (uint64_t)hd__graph_level_of(0) << 32;
    return HD_OK;
}

static hd_status write_changed(const builder *b, hd_block_io *io, hd_error *err)
{
    for (uint32_t l = 0; l < b->graph->n_levels; l++) {
        const hd_graph_level *level = &b->graph->levels[l];
        for (uint32_t first = 0; first < level->n; first += HD_LINK_BLOCK) {
            const uint32_t block = first >> HD_LINK_BLOCK_SHIFT;
            const uint32_t n = level->n - first < HD_LINK_BLOCK ? level->n - first : HD_LINK_BLOCK;
            const hd_span bytes =
                hd__span((const void *)hd__graph_links(level, first), (size_t)n * level->n_links * sizeof *level->links);
            if (b->changed[l][block])
                HD_TRY(hd__block_put(io, HD_BLOCK_LINKS, (uint64_t)l << 32 | block, bytes, err));
        }
    }
    return HD_OK;
}

/* Rows [first, n) by all threads; *done of them when `progress` says no. */
static hd_status insert_all(builder *b, uint32_t first, bool (*progress)(uint64_t done, uint64_t all, void *data),
                            void *data, uint32_t *done, hd_error *err)
{
    const uint32_t n = b->graph->n;
    b->first = first > 0 ? first : 1; /* row 0 is where searches begin */
    while (b->first < n && (progress == NULL || progress(b->first, n, data))) {
        const uint32_t step = b->first < BUILD_ALONE ? BUILD_ALONE : BUILD_STEP;
        b->end = n - b->first < step ? n : b->first + step;
        HD_TRY(hd__parallel(b->first < BUILD_ALONE ? 1 : b->n_threads, (b->end - b->first + BUILD_PIECE - 1) / BUILD_PIECE,
                            insert_piece, b, err));
        b->first = b->end;
    }
    *done = b->first;
    return HD_OK;
}

hd_status hd__graph_build(const hd_graph *old, hd_codes *codes, uint32_t n, int64_t version, uint32_t n_threads,
                          bool (*progress)(uint64_t done, uint64_t all, void *data), void *data, hd_block_io *io,
                          hd_graph **out, hd_error *err)
{
    builder b = {.codes = codes, .n_threads = n_threads > 0 ? n_threads : 1};
    HD_TRY(hd__graph_new(n, version, &b.graph, err));
    hd__graph_widen(b.graph);
    hd_status status;
    uint32_t done;
    copy_links(b.graph, old);
    HD_TRY_OUT(builder_init(&b, old, err));
    HD_TRY_OUT(insert_all(&b, old != NULL ? old->n : 0, progress, data, &done, err));
    hd__graph_shrink(b.graph, done);
    HD_TRY_OUT(attach_all(&b, err));
    HD_TRY_OUT(write_changed(&b, io, err));
    *out = b.graph;
    b.graph = NULL;
out:
    hd__graph_free(b.graph);
    builder_clear(&b);
    return status;
}
