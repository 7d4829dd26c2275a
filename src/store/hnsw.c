/* hnsw.c - a graph in memory, and searching it. See hnsw.h; hnsw_build.c makes it.
 *
 * The list of a search (the paper's W and C in one) is an array in order: most rows that are looked at do not enter it, and
 * those that do move few others. What was seen is a bit for each row, 125 kB for a million, which stay in the second cache;
 * they are cleared one by one.
 */
#include "store/hnsw.h"

#include <math.h>
#include <string.h>

#include "base/alloc.h"

#define MOST_FOUND (2 * HD_GRAPH_LINKS) /* rows whose products are computed at once */

static inline uint32_t mixed(uint32_t id)
{
    uint64_t x = id * 0x9e3779b97f4a7c15ull; /* splitmix64's finaliser (Steele, Lea and Flood 2014) */
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
    x = (x ^ x >> 27) * 0x94d049bb133111ebull;
    return (uint32_t)(x ^ x >> 31);
}

uint32_t hd__graph_level_of(uint32_t id)
{
    const uint32_t hash = mixed(id), level = hash == 0 ? HD_GRAPH_LEVELS : (uint32_t)__builtin_ctz(hash) / 4;
    return level < HD_GRAPH_LEVELS ? level : HD_GRAPH_LEVELS - 1;
}

/* ---- memory ---- */

static uint32_t n_blocks_of(const hd_graph_level *level)
{
    return (level->n + HD_LINK_BLOCK - 1) >> HD_LINK_BLOCK_SHIFT;
}

static size_t links_bytes(const hd_graph_level *level)
{
    return (size_t)level->capacity * level->n_links * sizeof *level->links;
}

static hd_status level_alloc(hd_graph_level *level, uint32_t at, hd_error *err)
{
    level->capacity = level->n;
    level->n_links = at == 0 ? 2 * HD_GRAPH_LINKS : HD_GRAPH_LINKS;
    level->links = hd__map_alloc(links_bytes(level));
    level->is_here = hd__calloc(n_blocks_of(level), sizeof *level->is_here);
    if (at > 0) {
        level->ids = hd__malloc(level->n * sizeof *level->ids);
        level->down = hd__malloc(level->n * sizeof *level->down);
    }
    if (level->links == NULL || level->is_here == NULL || (at > 0 && (level->ids == NULL || level->down == NULL)))
        return hd__fail(err, HD_ERR_MEMORY, "no memory for %zu bytes of a graph", links_bytes(level));
    return HD_OK;
}

hd_status hd__graph_new(uint32_t n, int64_t version, hd_graph **out, hd_error *err)
{
    hd_graph *graph = hd__calloc(1, sizeof *graph);
    if (graph == NULL)
        return hd__fail(err, HD_ERR_MEMORY, "no memory for a graph");
    pthread_mutex_init(&graph->lock, NULL);
    graph->n_holders = 1;
    graph->n = n;
    graph->version = version;
    uint32_t n_on[HD_GRAPH_LEVELS] = {n};
    for (uint32_t id = 0; id < n; id++) {
        const uint32_t level = hd__graph_level_of(id);
        for (uint32_t l = 1; l <= level; l++)
            n_on[l]++;
    }
    hd_status status = HD_OK;
    for (uint32_t l = 0; l < HD_GRAPH_LEVELS && n_on[l] > 0; l++) {
        graph->levels[l].n = n_on[l];
        graph->n_levels = l + 1;
        HD_TRY_OUT(level_alloc(&graph->levels[l], l, err));
        graph->n_blocks += n_blocks_of(&graph->levels[l]);
    }
    graph->n_missing = graph->n_blocks;
    uint32_t at[HD_GRAPH_LEVELS] = {0};
    for (uint32_t id = 0; graph->n_levels > 1 && id < n; id++) {
        const uint32_t level = hd__graph_level_of(id);
        for (uint32_t l = 1; l <= level; l++) {
            graph->levels[l].ids[at[l]] = id;
            graph->levels[l].down[at[l]] = l == 1 ? id : at[l - 1] - 1;
            at[l]++;
        }
    }
out:
    if (status == HD_OK)
        *out = graph;
    else
        hd__graph_free(graph);
    return status;
}

void hd__graph_free(hd_graph *graph)
{
    if (graph == NULL)
        return;
    for (uint32_t l = 0; l < HD_GRAPH_LEVELS; l++) {
        hd_graph_level *level = &graph->levels[l];
        hd__map_free((void *)level->links, links_bytes(level));
        hd__free((void *)level->is_here);
        hd__free(level->ids);
        hd__free(level->down);
    }
    pthread_mutex_destroy(&graph->lock);
    hd__free(graph);
}

void hd__graph_widen(hd_graph *graph)
{
    hd__map_widen((void *)graph->levels[0].links, links_bytes(&graph->levels[0]));
}

void hd__graph_shrink(hd_graph *graph, uint32_t n)
{
    graph->n = graph->levels[0].n = n;
    for (uint32_t l = 1; l < graph->n_levels; l++) {
        hd_graph_level *level = &graph->levels[l];
        while (level->n > 0 && level->ids[level->n - 1] >= n)
            level->n--;
    }
    while (graph->n_levels > 1 && graph->levels[graph->n_levels - 1].n == 0)
        graph->n_levels--;
}

uint64_t hd__graph_memory(const hd_graph *graph)
{
    uint64_t bytes = sizeof *graph;
    for (uint32_t l = 0; l < graph->n_levels; l++) {
        const hd_graph_level *level = &graph->levels[l];
        for (uint32_t b = 0; b < n_blocks_of(level); b++)
            bytes += 1 + (level->is_here[b] ? (uint64_t)HD_LINK_BLOCK * level->n_links * sizeof *level->links : 0);
        bytes += l > 0 ? (uint64_t)level->n * 2 * sizeof *level->ids : 0;
    }
    return bytes;
}

/* Links of a block of n slots: each of a slot of the level, or none. */
static bool links_are_sound(const char *bytes, size_t n_links, uint32_t n_slots)
{
    for (size_t i = 0; i < n_links; i++) {
        uint32_t link;
        memcpy(&link, bytes + i * sizeof link, sizeof link);
        if (link >= n_slots && link != HD_GRAPH_NONE)
            return false;
    }
    return true;
}

/* As hd__codes_load: read first, then locked. */
hd_status hd__graph_load_block(hd_graph *graph, hd_block_io *io, uint32_t l, uint32_t slot, hd_error *err)
{
    hd_graph_level *level = &graph->levels[l];
    const uint32_t block = slot >> HD_LINK_BLOCK_SHIFT, first = block << HD_LINK_BLOCK_SHIFT;
    const uint32_t n = level->n - first < HD_LINK_BLOCK ? level->n - first : HD_LINK_BLOCK;
    const size_t n_links = (size_t)n * level->n_links;
    const uint64_t number = (uint64_t)l << 32 | block;
    hd_span bytes;
    if (atomic_load_explicit(&level->is_here[block], memory_order_acquire))
        return HD_OK;
    HD_TRY(hd__block_get(io, HD_BLOCK_LINKS, number, &bytes, err));
    if (bytes.len != n_links * sizeof *level->links)
        return hd__block_fail(io, HD_BLOCK_LINKS, number, "its length is wrong", err);
    if (!links_are_sound(bytes.ptr, n_links, level->n))
        return hd__block_fail(io, HD_BLOCK_LINKS, number, "a link leads nowhere", err);
    pthread_mutex_lock(&graph->lock);
    if (!level->is_here[block]) {
        memcpy((void *)hd__graph_links(level, first), bytes.ptr, bytes.len);
        atomic_store_explicit(&level->is_here[block], 1, memory_order_release);
        if (atomic_fetch_sub_explicit(&graph->n_missing, 1, memory_order_release) == graph->n_blocks / 2 + 1)
            hd__graph_widen(graph); /* as codes.c: not for the few that a first search reads */
    }
    pthread_mutex_unlock(&graph->lock);
    return HD_OK;
}

hd_status hd__graph_load(hd_graph *graph, hd_block_io *io, const atomic_bool *stop, hd_error *err)
{
    for (uint32_t l = 0; l < graph->n_levels; l++)
        for (uint32_t slot = 0; slot < graph->levels[l].n && !(stop != NULL && atomic_load(stop)); slot += HD_LINK_BLOCK)
            HD_TRY(hd__graph_load_block(graph, io, l, slot, err));
    return HD_OK;
}

uint32_t hd__graph_reach(const hd_graph_level *level, uint8_t *reached, uint32_t *queue, uint32_t n)
{
    for (uint32_t at = 0; at < n; at++) {
        const _Atomic uint32_t *links = hd__graph_links(level, queue[at]);
        for (uint32_t i = 0; i < level->n_links && links[i] != HD_GRAPH_NONE; i++) {
            if (reached[links[i]])
                continue;
            reached[links[i]] = 1;
            queue[n++] = links[i];
        }
    }
    return n;
}

/* ---- what a walk keeps ---- */

hd_status hd__walk_reserve(hd_walk *walk, const hd_codes *codes, uint32_t n_slots, uint32_t beam, hd_error *err)
{
    const size_t n_words = n_slots / 64 + 1;
    if (walk->query_bytes == NULL)
        walk->query_bytes = hd__malloc_aligned(codes->row_bytes);
    if (walk->beam_capacity < beam) {
        uint64_t *entries = hd__realloc(walk->beam, (beam + 1) * sizeof *entries);
        if (entries != NULL) {
            walk->beam = entries;
            walk->beam_capacity = beam;
        }
    }
    if (walk->seen_words < n_words) {
        hd__free(walk->seen);
        walk->seen = hd__calloc(n_words, sizeof *walk->seen);
        walk->seen_words = walk->seen != NULL ? n_words : 0;
    }
    if (walk->query_bytes == NULL || walk->beam_capacity < beam || walk->seen_words < n_words)
        return hd__fail(err, HD_ERR_MEMORY, "no memory for a search with a list of %u", beam);
    return HD_OK;
}

void hd__walk_clear(hd_walk *walk)
{
    hd__free(walk->query_bytes);
    hd__free(walk->beam);
    hd__free(walk->seen);
    hd__free(walk->seen_slots);
    *walk = (hd_walk){0};
}

/* Room for n more; seen_slots has one place more than is counted. */
static hd_status seen_reserve(hd_walk *walk, uint32_t n, hd_error *err)
{
    if (walk->n_seen + n <= walk->seen_capacity)
        return HD_OK;
    const uint32_t capacity = 2 * (walk->n_seen + n);
    uint32_t *slots = hd__realloc(walk->seen_slots, (capacity + 1) * sizeof *slots);
    if (slots == NULL)
        return hd__fail(err, HD_ERR_MEMORY, "no memory for a search");
    walk->seen_slots = slots;
    walk->seen_capacity = capacity;
    return HD_OK;
}

/* Notes a slot; 0 when it was there. Without a branch: whether it was is a matter of chance. */
static inline uint32_t see(hd_walk *walk, uint32_t slot)
{
    const uint64_t word = walk->seen[slot / 64];
    const uint32_t is_new = (uint32_t)(~word >> (slot % 64) & 1);
    walk->seen[slot / 64] = word | 1ull << (slot % 64);
    walk->seen_slots[walk->n_seen] = slot;
    walk->n_seen += is_new;
    return is_new;
}

static void forget_seen(hd_walk *walk)
{
    for (uint32_t i = 0; i < walk->n_seen; i++)
        walk->seen[walk->seen_slots[i] / 64] = 0;
    walk->n_seen = 0;
}

/* ---- walking ---- */

static inline hd_status need_links(const hd_walk_task *task, uint32_t l, uint32_t slot, hd_error *err)
{
    hd_graph_level *level = &task->graph->levels[l];
    if (task->io == NULL || atomic_load_explicit(&level->is_here[slot >> HD_LINK_BLOCK_SHIFT], memory_order_acquire) != 0)
        return HD_OK;
    return hd__graph_load_block(task->graph, task->io, l, slot, err);
}

static inline uint32_t link_at(const _Atomic uint32_t *links, uint32_t i)
{
    return atomic_load_explicit(&links[i], memory_order_relaxed);
}

static inline void prefetch_links(const hd_graph_level *level, uint32_t slot)
{
    const char *links = (const char *)hd__graph_links(level, slot);
    __builtin_prefetch(links);
    __builtin_prefetch(links + 64);
}

/* Scores of n slots to the query. */
static hd_status score_slots(const hd_walk_task *task, const hd_graph_level *level, const uint32_t *slots, uint32_t n,
                             float *scores, hd_error *err)
{
    const uint8_t *rows[MOST_FOUND];
    int32_t products[MOST_FOUND];
    for (uint32_t i = 0; i < n; i++) {
        const uint32_t id = hd__graph_id(level, slots[i]);
        if (task->io != NULL)
            HD_TRY(hd__codes_need(task->codes, task->io, id, task->n_rows, err));
        rows[i] = hd__codes_row(task->codes, id);
    }
    if (n > 0)
        task->codes->dot(&task->query->codes, rows, n, products);
    for (uint32_t i = 0; i < n; i++)
        scores[i] = (float)products[i] * hd__codes_scale(task->codes, hd__graph_id(level, slots[i]));
    return HD_OK;
}

/* Puts a slot where it belongs among at most `beam`; returns its place, or UINT32_MAX for one that is not good enough. */
static inline uint32_t beam_insert(hd_walk *walk, uint32_t beam, float score, uint32_t slot)
{
    const uint64_t entry = hd__top_key(score, slot << 1);
    if (walk->n_beam == beam && entry <= walk->beam[beam - 1])
        return UINT32_MAX;
    uint32_t low = 0;
    for (uint32_t n = walk->n_beam; n > 0;) { /* without branches that nobody can foresee */
        const uint32_t half = (n + 1) / 2;
        low += walk->beam[low + half - 1] > entry ? half : 0;
        n -= half;
    }
    if (walk->n_beam < beam)
        walk->n_beam++;
    memmove(walk->beam + low + 1, walk->beam + low, (walk->n_beam - 1 - low) * sizeof *walk->beam);
    walk->beam[low] = entry;
    return low;
}

/* Adds to `found` the slots not yet seen that `slot` links to. */
static hd_status find_linked(hd_walk *walk, const hd_walk_task *task, uint32_t l, uint32_t slot, uint32_t *found,
                             uint32_t *n, hd_error *err)
{
    const hd_graph_level *level = &task->graph->levels[l];
    HD_TRY(seen_reserve(walk, level->n_links, err));
    HD_TRY(need_links(task, l, slot, err));
    const _Atomic uint32_t *links = hd__graph_links(level, slot);
    for (uint32_t i = 0; i < level->n_links; i++) {
        const uint32_t to = link_at(links, i);
        if (to == HD_GRAPH_NONE)
            break;
        found[*n] = to;
        *n += see(walk, to);
    }
    return HD_OK;
}

hd_status hd__walk_level(hd_walk *walk, const hd_walk_task *task, uint32_t l, uint32_t slot, uint32_t beam, hd_error *err)
{
    const hd_graph_level *level = &task->graph->levels[l];
    uint32_t found[MOST_FOUND + 1]; /* the last is written to, but does not count */
    float scores[MOST_FOUND];
    forget_seen(walk);
    walk->n_beam = 0;
    HD_TRY(seen_reserve(walk, 1, err));
    see(walk, slot);
    HD_TRY(score_slots(task, level, &slot, 1, scores, err));
    beam_insert(walk, beam, scores[0], slot);
    for (uint32_t at = 0; at < walk->n_beam;) {
        if ((walk->beam[at] & 1) == 0) { /* followed: the slot is kept complemented */
            at++;
            continue;
        }
        const uint32_t from = hd__walk_slot(walk->beam[at]);
        walk->beam[at] &= ~1ull;
        uint32_t n = 0;
        HD_TRY(find_linked(walk, task, l, from, found, &n, err));
        HD_TRY(score_slots(task, level, found, n, scores, err));
        for (uint32_t i = 0; i < n; i++) {
            const uint32_t place = beam_insert(walk, beam, scores[i], found[i]);
            at = place < at ? place : at;
        }
        for (uint32_t i = at; i < walk->n_beam && i < at + 4; i++)
            if ((walk->beam[i] & 1) != 0) {
                prefetch_links(level, hd__walk_slot(walk->beam[i]));
                break;
            }
    }
    return HD_OK;
}

hd_status hd__walk_descend(const hd_walk_task *task, uint32_t from_level, uint32_t from_slot, uint32_t to, uint32_t *result,
                           hd_error *err)
{
    uint32_t slot = from_slot;
    for (uint32_t l = from_level; l > to; l--) {
        const hd_graph_level *level = &task->graph->levels[l];
        float best;
        HD_TRY(score_slots(task, level, &slot, 1, &best, err));
        for (bool moved = true; moved;) {
            uint32_t found[2 * HD_GRAPH_LINKS], n = 0;
            float scores[2 * HD_GRAPH_LINKS];
            moved = false;
            HD_TRY(need_links(task, l, slot, err));
            const _Atomic uint32_t *links = hd__graph_links(level, slot);
            for (; n < level->n_links && link_at(links, n) != HD_GRAPH_NONE; n++)
                found[n] = link_at(links, n);
            HD_TRY(score_slots(task, level, found, n, scores, err));
            for (uint32_t i = 0; i < n; i++) {
                if (scores[i] > best) {
                    best = scores[i];
                    slot = found[i];
                    moved = true;
                }
            }
        }
        slot = hd__graph_down(level, slot);
    }
    *result = slot;
    return HD_OK;
}

hd_status hd__walk(hd_walk *walk, const hd_walk_task *task, uint32_t beam, hd_error *err)
{
    uint32_t slot;
    HD_TRY(hd__walk_descend(task, task->graph->n_levels - 1, 0, 0, &slot, err));
    return hd__walk_level(walk, task, 0, slot, beam, err);
}
