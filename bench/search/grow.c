/* grow.c - fills an index with as many chunks as wanted, out of a few real ones: what bench/search/million.sh searches.
 *
 *   grow MODEL INDEX PASSAGES VECTORS N_CHUNKS SEED
 *
 * PASSAGES: a text a line; VECTORS: their vectors, raw f32. Chunk i grows out of passage b = random: its text is a sentence
 * or two of b between sentences of others, so that words have the frequencies of real text and no two chunks are equal; its
 * vector is b's with a part of another one's (so that neighbours of b's stay neighbours) and noise, together SPREAD as long
 * as b's, cosine about 0.9. Ten chunks make a document, with metadata to filter by. Nothing is embedded but PASSAGES, which
 * is why this goes through the store and not through the public API.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "search/embedder.h"
#include "store/document.h"

#define CHUNKS_PER_DOCUMENT 10
#define DOCUMENTS_PER_COMMIT 500
#define SENTENCES 4
#define MAX_TEXT 2048
#define SPREAD 0.45f
#define MOST_PASSAGES 1000000

typedef struct sources {
    hd_span *passages; /* [n] */
    float *vectors;    /* [n, n_dimensions] */
    size_t n, n_dimensions;
    uint64_t state;
} sources;

typedef struct grown {
    char texts[CHUNKS_PER_DOCUMENT][MAX_TEXT];
    float *vectors; /* [CHUNKS_PER_DOCUMENT, n_dimensions] */
    hd_chunk_row chunks[CHUNKS_PER_DOCUMENT];
    hd_chunk_vectors rows[CHUNKS_PER_DOCUMENT];
    char id[32], metadata[96];
} grown;

/* SplitMix64 (Steele, Lea and Flood 2014). */
static uint64_t next_random(sources *s)
{
    uint64_t z = s->state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static size_t below(sources *s, size_t n)
{
    return (size_t)(next_random(s) % n);
}

/* Near to normal: the sum of twelve uniform ones. */
static float gaussian(sources *s)
{
    float sum = -6;
    for (int i = 0; i < 12; i++)
        sum += (float)(next_random(s) >> 40) / (float)(1 << 24);
    return sum;
}

static bool read_sources(const char *passages, const char *vectors, sources *s)
{
    FILE *file = fopen(passages, "r");
    char *line = NULL;
    size_t capacity = 0;
    ssize_t length;
    s->passages = malloc(MOST_PASSAGES * sizeof *s->passages);
    while (file != NULL && s->passages != NULL && s->n < MOST_PASSAGES && (length = getline(&line, &capacity, file)) > 1) {
        s->passages[s->n++] = (hd_span){line, (size_t)length - 1};
        line = NULL;
    }
    free(line);
    if (file != NULL)
        fclose(file);
    file = fopen(vectors, "rb");
    s->vectors = malloc((s->n * s->n_dimensions + 1) * sizeof *s->vectors);
    bool ok = s->n > 0 && file != NULL && s->vectors != NULL &&
              fread(s->vectors, sizeof *s->vectors * s->n_dimensions, s->n, file) == s->n;
    if (file != NULL)
        fclose(file);
    return ok;
}

/* A sentence of a passage: from behind a ". " to the next one. */
static hd_span some_sentence(sources *s, hd_span passage)
{
    const char *begin = passage.ptr, *end = passage.ptr + passage.len;
    const char *from = begin + below(s, passage.len);
    while (from > begin && !(from[-1] == ' ' && from - 1 > begin && from[-2] == '.'))
        from--;
    const char *to = from;
    while (to < end && !(to[0] == '.' && (to + 1 == end || to[1] == ' ')))
        to++;
    return (hd_span){from, (size_t)((to < end ? to + 1 : end) - from)};
}

static size_t grow_text(sources *s, hd_span passage, char *text)
{
    size_t length = 0;
    for (size_t i = 0; i < SENTENCES; i++) {
        hd_span sentence = some_sentence(s, i % 2 == 0 ? passage : s->passages[below(s, s->n)]);
        if (sentence.len + 1 > MAX_TEXT - length)
            break;
        memcpy(text + length, sentence.ptr, sentence.len);
        length += sentence.len;
        text[length++] = ' ';
    }
    return length > 0 ? length - 1 : 0;
}

static void grow_vector(sources *s, size_t passage, float *vector)
{
    const float *base = s->vectors + passage * s->n_dimensions, *other = s->vectors + below(s, s->n) * s->n_dimensions;
    float part = SPREAD * (float)(next_random(s) >> 40) / (float)(1 << 24);
    float noise = SPREAD / sqrtf((float)s->n_dimensions);
    double norm = 0;
    for (size_t d = 0; d < s->n_dimensions; d++) {
        vector[d] = base[d] + part * other[d] + noise * gaussian(s);
        norm += (double)vector[d] * (double)vector[d];
    }
    for (size_t d = 0; d < s->n_dimensions; d++)
        vector[d] = (float)(vector[d] / sqrt(norm));
}

static hd_status put_document(sources *s, grown *g, hd_write *write, size_t number, hd_error *err)
{
    static const char *const languages[] = {"en", "de", "fr", "nl", "pl"};
    snprintf(g->id, sizeof g->id, "document-%zu", number);
    snprintf(g->metadata, sizeof g->metadata, "{\"language\": \"%s\", \"year\": %zu, \"part\": %zu}", languages[below(s, 5)],
             2000 + below(s, 25), number % 100);
    for (size_t i = 0; i < CHUNKS_PER_DOCUMENT; i++) {
        size_t passage = below(s, s->n);
        float *vector = g->vectors + i * s->n_dimensions;
        grow_vector(s, passage, vector);
        g->rows[i] = (hd_chunk_vectors){.dense = vector};
        size_t length = grow_text(s, s->passages[passage], g->texts[i]);
        g->chunks[i] = (hd_chunk_row){.key = "",
                                      .section = "",
                                      .text = {g->texts[i], length},
                                      .ordinal = (uint32_t)i,
                                      .begin = (uint32_t)(i * MAX_TEXT),
                                      .end = (uint32_t)(i * MAX_TEXT + length)};
    }
    hd_document_row row = {.id = g->id,
                           .source = "grown",
                           .root = "",
                           .path = "",
                           .title = "",
                           .url = "",
                           .author = "",
                           .mime = "text/plain",
                           .metadata = g->metadata,
                           .cut = "",
                           .n_chunks = CHUNKS_PER_DOCUMENT};
    return hd__document_put(write, &row, g->chunks, g->rows, CHUNKS_PER_DOCUMENT, err);
}

static bool fill(sources *s, hd_store *store, size_t n_documents, hd_error *err)
{
    static grown g;
    g.vectors = malloc(CHUNKS_PER_DOCUMENT * s->n_dimensions * sizeof *g.vectors);
    bool ok = g.vectors != NULL;
    for (size_t at = 0; ok && at < n_documents;) {
        hd_write *write = NULL;
        ok = hd__write_begin(store, &write, err) == HD_OK;
        for (size_t i = 0; ok && i < DOCUMENTS_PER_COMMIT && at < n_documents; i++)
            ok = put_document(s, &g, write, at++, err) == HD_OK;
        if (ok)
            ok = hd__write_commit(write, err) == HD_OK;
        else
            hd__write_abandon(write);
    }
    free(g.vectors);
    return ok;
}

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

int main(int argc, char **argv)
{
    if (argc != 7) {
        fprintf(stderr, "usage: grow MODEL INDEX PASSAGES VECTORS N_CHUNKS SEED\n");
        return 2;
    }
    hd_engine *engine = NULL;
    hd_model *model = NULL;
    hd_embedder *embedder = NULL;
    hd_store *store = NULL;
    hd_error err = {HD_OK, "passages and vectors do not go together"};
    size_t n_documents = strtoul(argv[5], NULL, 10) / CHUNKS_PER_DOCUMENT;
    bool ok =
        hd_engine_open(NULL, &engine, &err) == HD_OK && hd_model_open(engine, argv[1], NULL, &model, &err) == HD_OK &&
        hd__embedder_open(model, false, false, &embedder, &err) == HD_OK &&
        hd__store_open(argv[2], &(hd_store_options){.identity = &embedder->identity, .create = true}, &store, &err) == HD_OK;
    sources s = {.state = strtoul(argv[6], NULL, 10)};
    if (ok) {
        s.n_dimensions = embedder->identity.n_dimensions;
        ok = read_sources(argv[3], argv[4], &s);
    }
    double begin = now_s();
    ok = ok && fill(&s, store, n_documents, &err);
    double filled = now_s();
    ok = ok && hd__store_build_graph(store, NULL, NULL, &err) == HD_OK;
    if (ok)
        printf("{\"n_chunks\": %zu, \"fill_s\": %.1f, \"graph_s\": %.1f}\n", n_documents * CHUNKS_PER_DOCUMENT,
               filled - begin, now_s() - filled);
    else
        fprintf(stderr, "grow: %s\n", err.text);
    hd__store_close(store);
    hd__embedder_close(embedder);
    hd_model_close(model);
    hd_engine_close(engine);
    return ok ? 0 : 1;
}
