/* vectors_check.c - all of what the tables of vectors hold, looked at, and copied without dead rows. See vectors.h. */
#include "store/vectors_state.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"

typedef struct check {
    hd_block_io io;
    hd_vector_state state;
    hd_codes *codes; /* how rows are made into codes */
    void (*found)(bool in_graph, const char *what, void *data);
    void *data;
} check;

static void tell(const check *c, bool in_graph, const char *format, uint64_t value)
{
    char what[256];
    snprintf(what, sizeof what, format, (unsigned long long)value);
    c->found(in_graph, what, c->data);
}

/* A fault that reading came upon is told and is no failure of the check; others are. */
static hd_status told(const check *c, bool in_graph, hd_status status, const hd_error *error, hd_error *err)
{
    if (status == HD_ERR_FORMAT)
        c->found(in_graph, error->text, c->data);
    else if (status != HD_OK && err != NULL)
        *err = *error;
    return status == HD_ERR_FORMAT ? HD_OK : status;
}

/* Every row's codes are those that its halves make. */
static hd_status check_rows(check *c, hd_error *err)
{
    const uint32_t n_dimensions = c->codes->n_dimensions, row_bytes = c->codes->row_bytes;
    float *row = hd__malloc(n_dimensions * sizeof *row);
    uint8_t *codes = hd__malloc(row_bytes);
    hd_status status = HD_OK;
    if (row == NULL || codes == NULL) {
        status = hd__fail(err, HD_ERR_MEMORY, "no memory for a vector");
        goto out;
    }
    hd_error error;
    for (uint32_t id = 0; id < c->state.n; id++) {
        const uint16_t *halves = NULL;
        hd_status read = hd__codes_need(c->codes, &c->io, id, c->state.n, &error);
        if (read == HD_OK)
            read = hd__halves_get(&c->io, n_dimensions, id, &halves, &error);
        if (read != HD_OK) {
            HD_TRY_OUT(told(c, false, read, &error, err));
            id |= HD_CODE_BLOCK - 1; /* once a block */
            continue;
        }
        hd__halves_widen(halves, n_dimensions, row);
        bool sound = true;
        for (uint32_t j = 0; j < n_dimensions; j++)
            sound = sound && isfinite(row[j]);
        if (!sound)
            tell(c, false, "the vector of chunk %llu has a value that is no number", id);
        else if (hd__codes_quantise(c->codes, row, codes) != hd__codes_scale(c->codes, id) ||
                 memcmp(codes, hd__codes_row(c->codes, id), row_bytes) != 0)
            tell(c, false, "the codes of chunk %llu are not those of its vector", id);
    }
out:
    hd__free(row);
    hd__free(codes);
    return status;
}

/* Slots that the entry leads to, on a level. */
static hd_status count_reached(const hd_graph_level *level, uint32_t entry, uint32_t *n_reached, hd_error *err)
{
    uint8_t *reached = hd__calloc(level->n, 1);
    uint32_t *queue = hd__malloc(level->n * sizeof *queue);
    hd_status status = HD_OK;
    if (reached == NULL || queue == NULL) {
        status = hd__fail(err, HD_ERR_MEMORY, "no memory for %u rows of a graph", level->n);
        goto out;
    }
    queue[0] = entry;
    reached[entry] = 1;
    *n_reached = hd__graph_reach(level, reached, queue, 1);
out:
    hd__free(reached);
    hd__free(queue);
    return status;
}

/* No list has a slot twice or its own, or goes on behind its end. */
static void check_lists(const check *c, const hd_graph_level *level)
{
    for (uint32_t slot = 0; slot < level->n; slot++) {
        const _Atomic uint32_t *links = hd__graph_links(level, slot);
        bool sound = true, ended = false;
        for (uint32_t i = 0; i < level->n_links; i++) {
            const uint32_t to = links[i];
            sound = sound && to != slot && (!ended || to == HD_GRAPH_NONE);
            ended = ended || to == HD_GRAPH_NONE;
            for (uint32_t j = 0; j < i && to != HD_GRAPH_NONE; j++)
                sound = sound && links[j] != to;
        }
        if (!sound)
            tell(c, true, "the links of chunk %llu are not sound", hd__graph_id(level, slot));
    }
}

static hd_status check_graph(check *c, hd_error *err)
{
    hd_graph *graph;
    hd_error error;
    HD_TRY(hd__graph_new(c->state.n_graph, c->state.graph_version, &graph, err));
    hd_status status = hd__graph_load(graph, &c->io, NULL, &error);
    if (status != HD_OK) {
        status = told(c, true, status, &error, err);
        goto out;
    }
    for (uint32_t l = 0; l < graph->n_levels; l++)
        check_lists(c, &graph->levels[l]);
    uint32_t n_reached = 0;
    HD_TRY_OUT(count_reached(&graph->levels[0], hd__graph_id(&graph->levels[graph->n_levels - 1], 0), &n_reached, err));
    if (n_reached < graph->n)
        tell(c, true, "no search comes to %llu chunks", graph->n - n_reached);
out:
    hd__graph_free(graph);
    return status;
}

hd_status hd__vectors_check(sqlite3 *db, uint32_t n_dimensions, void (*found)(bool in_graph, const char *what, void *data),
                            void *data, hd_error *err)
{
    check c = {.io = {.db = db}, .found = found, .data = data};
    hd_error error;
    hd_status status = hd__blocks_state(&c.io, &c.state, &error);
    if (status != HD_OK)
        return told(&c, false, status, &error, err);
    HD_TRY(hd__codes_new(n_dimensions, &c.codes, err));
    hd__codes_grow(c.codes, 0, c.state.n);
    HD_TRY_OUT(check_rows(&c, err));
    if (c.state.n_graph > 0)
        HD_TRY_OUT(check_graph(&c, err));
out:
    hd__block_io_clear(&c.io);
    hd__codes_free(c.codes);
    return status;
}

/* ---- compaction ---- */

#define COMPACT_ROWS 1024u /* appended at once */

hd_status hd__vectors_compact(sqlite3 *from, sqlite3 *to, uint32_t n_dimensions, const hd_bitmap *live, hd_error *err)
{
    hd_block_io io = {.db = from};
    hd_vector_state state;
    hd_vectors *target = NULL;
    float *rows = hd__malloc(COMPACT_ROWS * n_dimensions * sizeof *rows);
    hd_status status = HD_OK;
    if (rows == NULL) {
        status = hd__fail(err, HD_ERR_MEMORY, "no memory for %u vectors", COMPACT_ROWS);
        goto out;
    }
    HD_TRY_OUT(hd__blocks_state(&io, &state, err));
    HD_TRY_OUT(hd__vectors_open(to, n_dimensions, false, 1, &target, err)); /* lengths stay as they are */
    const uint32_t n = state.n < live->n ? state.n : live->n;
    uint32_t first = 0, n_rows = 0;
    for (uint32_t id = 0; id < n; id++) {
        const uint16_t *halves;
        if (!hd__bitmap_has(live, id))
            continue;
        HD_TRY_OUT(hd__halves_get(&io, n_dimensions, id, &halves, err));
        hd__halves_widen(halves, n_dimensions, rows + (size_t)n_rows * n_dimensions);
        if (++n_rows < COMPACT_ROWS)
            continue;
        HD_TRY_OUT(hd__vectors_append(target, to, first, rows, n_rows, err));
        first += n_rows;
        n_rows = 0;
    }
    HD_TRY_OUT(hd__vectors_append(target, to, first, rows, n_rows, err));
out:
    hd__block_io_clear(&io);
    hd__vectors_close(target);
    hd__free(rows);
    return status;
}
