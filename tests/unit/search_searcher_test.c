/* Searches of a small index with a fake model: legs, what becomes of those that cannot take part, filters, quotes, order,
 * pages, what is shown; options out of range; every allocation failing.
 */
#include "search/searcher.h"

#include <math.h>

#include "base/alloc.h"
#include "base/limits.h"
#include "unit/store_fixture.h"

/* ---- a model of four meanings: a text's vector counts the words of each ---- */

#define WIDTH 4
static const char *const meanings[WIDTH][4] = {{"loom", "weave", "textile", NULL},
                                               {"ship", "sail", "boat", NULL},
                                               {"bread", "bake", "oven", NULL},
                                               {"the", "of", "and", NULL}};

static const char *model_failure; /* NULL: it works */

static void make_vector(hd_span text, float vector[WIDTH])
{
    char copy[1024];
    snprintf(copy, sizeof copy, "%.*s", (int)text.len, text.ptr);
    for (size_t i = 0; i < WIDTH; i++) {
        vector[i] = 0.01f;
        for (size_t k = 0; meanings[i][k] != NULL; k++)
            for (const char *at = copy; (at = strstr(at, meanings[i][k])) != NULL; at++)
                vector[i] += 1;
    }
    float length = 0;
    for (size_t i = 0; i < WIDTH; i++)
        length += vector[i] * vector[i];
    for (size_t i = 0; i < WIDTH; i++)
        vector[i] /= sqrtf(length);
}

static hd_status embed_query(void *data, hd_text query, hd_chunk_vectors *out, void **out_memory, hd_error *e)
{
    (void)data;
    if (model_failure != NULL) {
        snprintf(e->text, sizeof e->text, "%s", model_failure);
        return e->status = HD_ERR_NUMERIC;
    }
    float *vector = hd__malloc(WIDTH * sizeof *vector);
    if (vector == NULL) {
        snprintf(e->text, sizeof e->text, "no memory");
        return e->status = HD_ERR_MEMORY;
    }
    make_vector(hd__span(query.ptr, query.len), vector);
    *out = (hd_chunk_vectors){.dense = vector};
    *out_memory = vector;
    return HD_OK;
}

typedef struct embedded {
    hd_chunk_vectors vectors[64];
    float rows[64][WIDTH];
} embedded;

static size_t n_embedded; /* texts handed to the model since the test began */

static hd_status start_texts(void *data, const hd_text *texts, size_t n, hd_embedded **out, hd_error *e)
{
    (void)data, (void)e;
    assert_true(n <= 64);
    embedded *batch = hd__malloc(sizeof *batch);
    if (batch == NULL || model_failure != NULL) {
        hd__free(batch);
        return HD_ERR_MEMORY;
    }
    for (size_t i = 0; i < n; i++) {
        make_vector(hd__span(texts[i].ptr, texts[i].len), batch->rows[i]);
        batch->vectors[i] = (hd_chunk_vectors){.dense = batch->rows[i]};
    }
    n_embedded += n;
    *out = (hd_embedded *)batch;
    return HD_OK;
}

static hd_status wait_texts(hd_embedded *of, const hd_chunk_vectors **vectors, uint64_t *n_tokens, hd_error *e)
{
    (void)e;
    *vectors = ((embedded *)of)->vectors;
    *n_tokens = 0;
    return HD_OK;
}

static void free_texts(hd_embedded *of)
{
    hd__free(of);
}

static hd_embedder fake = {.identity = {.model = "fake", .fingerprint = "1", .similarity = "cosine", .n_dimensions = WIDTH},
                           .start = start_texts,
                           .wait = wait_texts,
                           .free = free_texts,
                           .query = embed_query,
                           .release = hd__free};

/* ---- the index ---- */

static hd_index hdx;
static hd_results found;

static void put(const char *id, const char *source, const char *title, const char *const *texts)
{
    hd_write *write;
    hd_document_row row = document_of(id);
    hd_chunk_row chunks[8] = {0};
    float vectors[8][WIDTH];
    hd_chunk_vectors with[8] = {0};
    size_t n = 0;
    row.source = source;
    row.title = title;
    row.path = id;
    for (; texts[n] != NULL; n++) {
        chunks[n] =
            (hd_chunk_row){.key = "", .section = "S", .text = hd__span_of(texts[n]), .ordinal = (uint32_t)n, .line = 7};
        make_vector(chunks[n].text, vectors[n]);
        with[n].dense = vectors[n];
    }
    assert_ok(hd__write_begin(hdx.store, &write, &err));
    assert_ok(hd__document_put(write, &row, chunks, with, n, &err));
    assert_ok(hd__write_commit(write, &err));
}

static int begin(void **state)
{
    store_begin(state);
    model_failure = NULL;
    const hd_store_options options = {.create = true, .identity = &fake.identity};
    hdx = (hd_index){.embedder = &fake};
    assert_ok(hd__store_open(scratch_path(&s, "db"), &options, &hdx.store, &err));
    put("weaving", "craft", "Weaving",
        (const char *const[]){"A loom is used to weave textile from yarn.", "Oak is the wood for a loom frame.", NULL});
    put("sailing", "sea", "Sailing",
        (const char *const[]){"A ship has a sail and a keel. A boat is small.", "Yarn holds the sail together.", NULL});
    put("baking", "craft", "Baking",
        (const char *const[]){"Bake bread in an oven.", "The frame of the oven is brick.", NULL});
    put("words", "craft", "", (const char *const[]){"of the and of the and", NULL});
    return 0;
}

static int end(void **state)
{
    hd_results_free(&found);
    hd__store_close(hdx.store);
    return store_end(state);
}

static void search(const char *query, hd_search with)
{
    hd_results_free(&found);
    with.query = (hd_text){query, strlen(query)};
    assert_ok(hd_index_search(&hdx, &with, &found, &err));
}

/* "weaving#0 sailing#1 " */
static const char *hits(void)
{
    static char text[512];
    text[0] = '\0';
    for (size_t i = 0; i < found.n; i++) {
        strcat(text, found.hits[i].chunk_id);
        strcat(text, " ");
    }
    return text;
}

/* ---- tests ---- */

static void words_and_vectors_find_together(void **state)
{
    (void)state;
    search("yarn", (hd_search){.legs = HD_LEG_BM25});
    assert_string_equal(hits(), "sailing#1 weaving#0 "); /* the shorter text first */
    assert_true(found.hits[0].score == found.hits[0].scores[HD_AT_BM25]);
    assert_true(isnan(found.hits[0].scores[HD_AT_DENSE]));
    search("textile", (hd_search){.legs = HD_LEG_DENSE, .limit = 2});
    assert_string_equal(hits(), "weaving#0 weaving#1 ");
    assert_true(found.hits[0].score == found.hits[0].scores[HD_AT_DENSE]);
    search("boat frame", (hd_search){.limit = 20});
    assert_int_equal(found.n, 7); /* vectors find all */
    assert_string_equal(found.hits[0].chunk_id, "sailing#0");
    assert_int_equal(found.n_in_leg[HD_AT_BM25], 3);
    for (size_t i = 0; i < found.n; i++) {
        assert_true(found.hits[i].fused_rank == i + 1);
        assert_true(!isnan(found.hits[i].scores[HD_AT_DENSE]));
    }
    assert_string_equal(found.warning, "");
    assert_int_equal(found.n_matching, 7);
}

static void hits_say_where_they_are(void **state)
{
    (void)state;
    search("loom textile", (hd_search){.limit = 1});
    const hd_hit *h = &found.hits[0];
    assert_string_equal(h->document_id, "weaving");
    assert_string_equal(h->chunk_id, "weaving#0");
    assert_string_equal(h->title, "Weaving");
    assert_string_equal(h->source, "craft");
    assert_string_equal(h->section, "S");
    assert_string_equal(h->text, "A loom is used to weave textile from yarn.");
    assert_string_equal(h->snippet, "A loom is used to weave textile from yarn.");
    assert_int_equal(h->line, 7);
    assert_int_equal(h->n_highlights, 2);
    assert_memory_equal(h->snippet + h->highlights[1].begin, "textile", 7);
}

static void what_cannot_take_part_is_told(void **state)
{
    (void)state;
    model_failure = "the model is on fire";
    search("yarn", (hd_search){0});
    assert_string_equal(hits(), "sailing#1 weaving#0 ");
    assert_string_equal(found.warning, "dense: the model is on fire");
    hd_search dense = {.query = {"yarn", 4}, .legs = HD_LEG_DENSE};
    hd_results none;
    assert_error(hd_index_search(&hdx, &dense, &none, &err), HD_ERR_NUMERIC, "on fire");
    model_failure = NULL;
    hdx.embedder = NULL;
    search("yarn", (hd_search){0});
    assert_non_null(strstr(found.warning, "no model is open"));
    hdx.embedder = &fake;
    search("yarn", (hd_search){.legs = HD_LEG_BM25 | HD_LEG_SPARSE, .rerank = true});
    assert_non_null(strstr(found.warning, "sparse: the index keeps none of its vectors"));
    assert_non_null(strstr(found.warning, "rerank: no reranker is open"));
    assert_int_equal(found.n, 2);
    search("yarn", (hd_search){.has_min_score = true, .min_score = 0.5f, .min_score_leg = HD_LEG_RERANK});
    assert_non_null(strstr(found.warning, "least score of rerank"));
    assert_true(found.n > 0);
}

/* One weight for texts with "loom", none for others. */
static hd_status weigh_query(void *data, hd_text query, hd_chunk_vectors *out, void **out_memory, hd_error *e)
{
    static const uint32_t ids[] = {7};
    static const float weights[] = {2};
    (void)data, (void)e;
    *out = (hd_chunk_vectors){.sparse = {ids, weights, memmem(query.ptr, query.len, "loom", 4) != NULL ? 1 : 0}};
    *out_memory = NULL;
    return HD_OK;
}

static void a_query_without_a_weight_finds_nothing(void **state)
{
    (void)state;
    const uint32_t ids[] = {7, 9};
    const float weights[] = {1, 1};
    hd_chunk_row chunk = {.key = "", .section = "", .text = hd__span_of("A loom.")};
    const hd_chunk_vectors vectors = {.sparse = {ids, weights, 2}};
    hd_embedder learned = {.identity = {.model = "learned", .fingerprint = "1", .similarity = "", .has_sparse = true},
                           .query = weigh_query,
                           .release = hd__free};
    hd_write *write;
    hd__store_close(hdx.store);
    hdx = (hd_index){.embedder = &learned};
    assert_ok(hd__store_open(scratch_path(&s, "db2"), &(hd_store_options){.create = true, .identity = &learned.identity},
                             &hdx.store, &err));
    assert_ok(hd__write_begin(hdx.store, &write, &err));
    const hd_document_row row = document_of("a");
    assert_ok(hd__document_put(write, &row, &chunk, &vectors, 1, &err));
    assert_ok(hd__write_commit(write, &err));
    search("loom", (hd_search){.legs = HD_LEG_SPARSE});
    assert_string_equal(hits(), "a#0 ");
    assert_true(found.hits[0].score == 2);
    search("frame", (hd_search){.legs = HD_LEG_SPARSE});
    assert_int_equal(found.n, 0);
    assert_string_equal(found.warning, "");
    search("a", (hd_search){0}); /* its words are found as ever */
    assert_string_equal(hits(), "a#0 ");
    assert_string_equal(found.warning, "");
}

/* A long text that has none of the query's words is shown where it means the same. */
static void snippets_of_meanings(void **state)
{
    (void)state;
    static const char text[] =
        "Nothing is said here yet. Nor in this sentence, which goes on for a while. Then, a textile is what comes "
        "of it. And after that there is more of nothing, as before, and more.";
    put("long", "craft", "", (const char *const[]){text, NULL});
    n_embedded = 0;
    search("weave loom", (hd_search){.filter = "id = long", .snippet_bytes = 60});
    assert_string_equal(found.hits[0].snippet, "Nothing is said here yet. Nor in this sentence, which\xE2\x80\xA6");
    assert_int_equal(n_embedded, 0);
    search("weave loom", (hd_search){.filter = "id = long", .snippet_bytes = 60, .snippets_by_meaning = true});
    assert_string_equal(found.hits[0].snippet, "Then, a textile is what comes of it.");
    assert_int_equal(found.hits[0].n_highlights, 0);
    assert_int_equal(n_embedded, 4);
    search("weave yet",
           (hd_search){.filter = "id = long", .snippet_bytes = 60, .snippets_by_meaning = true}); /* a word is there */
    assert_string_equal(found.hits[0].snippet, "Nothing is said here yet. Nor in this sentence, which\xE2\x80\xA6");
    search("weave", (hd_search){.filter = "id = long",
                                .snippet_bytes = 60,
                                .snippets_by_meaning = true,
                                .legs = HD_LEG_BM25 | HD_LEG_DENSE,
                                .limit = 1});
    assert_int_equal(n_embedded, 8);
    search("weave loom",
           (hd_search){.filter = "id = long", .snippet_bytes = 240, .snippets_by_meaning = true}); /* it is shown whole */
    assert_string_equal(found.hits[0].snippet, text);
    assert_int_equal(n_embedded, 8);
}

static void filters_and_facets_count(void **state)
{
    (void)state;
    static const char *const fields[] = {"source", "title"};
    search("yarn frame", (hd_search){.filter = "source = craft", .facets = fields, .n_facets = 2});
    for (size_t i = 0; i < found.n; i++)
        assert_string_equal(found.hits[i].source, "craft");
    assert_int_equal(found.n, 5);
    assert_int_equal(found.n_matching, 5);
    assert_int_equal(found.n_facets, 2);
    assert_int_equal(found.facets[0].n, 1);
    assert_string_equal(found.facets[0].values[0].value, "craft");
    assert_int_equal(found.facets[0].values[0].n, 5);
    assert_int_equal(found.facets[1].n, 2);
    search("yarn", (hd_search){.filter = "source = nowhere"});
    assert_int_equal(found.n, 0);
    hd_search bad = {.query = {"x", 1}, .filter = "source ="},
              wrong = {.query = {"x", 1}, .facets = (const char *const[]){"a b"}, .n_facets = 1};
    hd_results none;
    assert_error(hd_index_search(&hdx, &bad, &none, &err), HD_ERR_ARG, "expected a value");
    assert_error(hd_index_search(&hdx, &wrong, &none, &err), HD_ERR_ARG, "field");
}

static void quotes_must_be_there(void **state)
{
    (void)state;
    search("\"the oven\"", (hd_search){.limit = 50});
    assert_string_equal(hits(), "baking#1 ");
    search("frame -\"oak\"", (hd_search){.limit = 50});
    assert_null(strstr(hits(), "weaving#1"));
    assert_int_equal(found.n, 6);
    const hd_text plain = hd__search_plain_query(hd__span_of("a \"b c\" -\"d\" -e f\""), &arena);
    assert_int_equal(plain.len, strlen("a b c  -e f\""));
    assert_memory_equal(plain.ptr, "a b c  -e f\"", plain.len);
}

static void documents_come_once(void **state)
{
    (void)state;
    search("frame yarn loom", (hd_search){.per_document = true});
    assert_int_equal(found.n, 4);
    for (size_t i = 0; i < found.n; i++)
        for (size_t k = 0; k < i; k++)
            assert_string_not_equal(found.hits[i].document_id, found.hits[k].document_id);
    search("frame yarn loom", (hd_search){.per_document = true, .limit = 2, .offset = 1});
    assert_int_equal(found.n, 2);
}

static void pages_are_parts_of_one_list(void **state)
{
    (void)state;
    char whole[512], parts[512] = "";
    search("frame yarn", (hd_search){.limit = 50, .n_candidates = 100});
    strcpy(whole, hits());
    for (uint32_t at = 0; at < 9; at += 2) {
        search("frame yarn", (hd_search){.limit = 2, .offset = at, .n_candidates = 100});
        strcat(parts, hits());
    }
    assert_string_equal(parts, whole);
}

static void order_and_diversity(void **state)
{
    (void)state;
    char plain[512];
    search("frame yarn", (hd_search){.limit = 5});
    assert_int_equal(found.n, 5);
    char last_two[64];
    snprintf(last_two, sizeof last_two, "%s %s ", found.hits[2].chunk_id, found.hits[3].chunk_id);
    strcpy(plain, hits());
    search("frame yarn", (hd_search){.limit = 5, .order = HD_ORDER_SANDWICH});
    assert_string_not_equal(hits(), plain);
    assert_string_equal(hits() + strlen(hits()) - strlen(last_two), last_two);
    search("loom weave", (hd_search){.legs = HD_LEG_DENSE, .limit = 3, .mmr = 0.3f});
    assert_string_equal(found.hits[0].chunk_id, "weaving#0");
    assert_string_not_equal(found.hits[1].document_id, "weaving"); /* which would say the same */
    search("loom weave", (hd_search){.legs = HD_LEG_DENSE, .limit = 3, .has_min_score = true, .min_score = 0.6f});
    assert_string_equal(hits(), "weaving#0 weaving#1 ");
    search("loom weave", (hd_search){.limit = 9, .has_min_score = true, .min_score = 0.6f, .min_score_leg = HD_LEG_DENSE});
    assert_int_equal(found.n, 2);
}

static void the_index_says_how_lists_become_one(void **state)
{
    (void)state;
    hd_write *write;
    search("yarn", (hd_search){0});
    const float rrf = found.hits[0].score;
    assert_true(rrf < 0.1f);
    assert_ok(hd__write_begin(hdx.store, &write, &err));
    hd_search kept = {.fusion = HD_FUSION_MINMAX, .rrf_k = 60, .weights = {0.25f, 0.75f}};
    assert_string_equal(hd__search_setting_text(&kept, &arena), "fusion=minmax rrf_k=60 bm25=0.25 dense=0.75");
    assert_ok(hd__store_set(write, HD_SEARCH_SETTING, hd__search_setting_text(&kept, &arena), &err));
    assert_ok(hd__write_commit(write, &err));
    search("yarn", (hd_search){0});
    assert_true(found.hits[0].score > 0.5f);
    search("yarn", (hd_search){.rrf_k = 60});
    assert_true(found.hits[0].score == rrf);
    hd_search read = {0};
    static const char *const bad[] = {"", "fusion=best bm25=1", "bm25", "bm25=-1", "bm25=nan", "fusion", "rrf_k=60"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(hd__search_setting_read(bad[i], &read));
    assert_true(hd__search_setting_read("later=1 dense=2", &read)); /* what a newer one keeps is passed by */
    assert_true(read.weights[HD_AT_DENSE] == 2);
}

static void options_have_ranges(void **state)
{
    (void)state;
    static const hd_search bad[] = {
        {.legs = HD_LEG_MULTI},
        {.legs = HD_LEG_RERANK},
        {.legs = 64},
        {.fusion = (hd_fusion)4},
        {.order = (hd_order)2},
        {.rrf_k = -1},
        {.rrf_k = NAN},
        {.weights = {-1}},
        {.weights = {NAN}},
        {.mmr = 1.5f},
        {.mmr = NAN},
        {.rerank_blend = 2},
        {.min_score_leg = (hd_leg)3},
        {.has_min_score = true, .min_score = NAN},
        {.snippet_bytes = 15},
    };
    static const hd_search past_limits[] = {
        {.limit = HD_LIMIT_SEARCH_HITS + 1},      {.limit = HD_LIMIT_SEARCH_HITS, .offset = 1},
        {.limit = 1, .offset = UINT32_MAX},       {.n_candidates = HD_LIMIT_SEARCH_HITS + 1},
        {.n_keyword = HD_LIMIT_SEARCH_HITS + 1},  {.n_rerank = HD_LIMIT_SEARCH_RERANKED + 1},
        {.n_facets = HD_LIMIT_SEARCH_FACETS + 1}, {.snippet_bytes = HD_LIMIT_SNIPPET_BYTES + 1},
    };
    hd_results none;
    for (size_t i = 0; i < sizeof bad / sizeof *bad + sizeof past_limits / sizeof *past_limits; i++) {
        const bool is_limit = i >= sizeof bad / sizeof *bad;
        hd_search w = is_limit ? past_limits[i - sizeof bad / sizeof *bad] : bad[i];
        w.query = (hd_text){"x", 1};
        if (hd_index_search(&hdx, &w, &none, &err) != (is_limit ? HD_ERR_LIMIT : HD_ERR_ARG))
            fail_msg("case %zu: %s", i, err.text);
    }
    static const char *const queries[] = {"", "  \t\n"};
    for (size_t i = 0; i < 2; i++) {
        hd_search w = {.query = {queries[i], strlen(queries[i])}};
        assert_error(hd_index_search(&hdx, &w, &none, &err), HD_ERR_ARG, "the query is empty");
    }
    char *longest = hd__malloc(HD_LIMIT_QUERY_BYTES + 1);
    memset(longest, 'x', HD_LIMIT_QUERY_BYTES + 1);
    hd_search w = {.query = {longest, HD_LIMIT_QUERY_BYTES + 1}};
    assert_status(hd_index_search(&hdx, &w, &none, &err), HD_ERR_LIMIT);
    w.query.len--;
    assert_ok(hd_index_search(&hdx, &w, &none, &err));
    hd_results_free(&none);
    hd__free(longest);
    search("frame",
           (hd_search){.limit = HD_LIMIT_SEARCH_HITS / 2, .n_candidates = HD_LIMIT_SEARCH_HITS, .snippet_bytes = 16});
    assert_int_equal(found.n, 7);
}

static size_t n_asked;

static bool goes_on_for(void *data)
{
    return n_asked++ < *(const size_t *)data;
}

/* Wherever it has got to; what ends it is asked no more. */
static void a_search_that_nobody_wants_ends(void **state)
{
    (void)state;
    size_t n_allowed = 0;
    hd_search w = {.query = {"yarn \"frame\"", 12},
                   .mmr = 0.5f,
                   .facets = (const char *const[]){"source", "title"},
                   .n_facets = 2,
                   .keep_going = goes_on_for,
                   .data = &n_allowed};
    hd_results r;
    for (;; n_allowed++) {
        n_asked = 0;
        const hd_status status = hd_index_search(&hdx, &w, &r, &err);
        if (status == HD_OK)
            break;
        assert_error(status, HD_ERR_CANCELLED, "the search was cancelled");
        assert_int_equal(n_asked, n_allowed + 1);
    }
    assert_true(n_asked <= n_allowed);
    assert_true(r.n > 1);
    assert_true(n_asked >=
                8 + 4 * r.n); /* words and model, vectors, fusion, rerank, diversity, hits, each facet; each hit in
                                          * quotes, diversity, for its matches, for its snippet */
    hd_results_free(&r);
}

static void any_failed_allocation_is_an_error_or_a_warning(void **state)
{
    (void)state;
    const hd_search w = {.query = {"yarn \"frame\"", 12},
                         .filter = "source IN (craft, sea) AND NOT title = x",
                         .per_document = true,
                         .mmr = 0.5f,
                         .facets = (const char *const[]){"source"},
                         .n_facets = 1};
    hd_status status = HD_ERR_MEMORY;
    bool complete = false;
    for (uint64_t n = 0; !complete; n++) {
        hd_results r = {0};
        hd__alloc_fail_after(n, 1);
        status = hd_index_search(&hdx, &w, &r, &err);
        hd__alloc_fail_off();
        assert_true(status == HD_OK || status == HD_ERR_MEMORY);
        complete = status == HD_OK && r.warning[0] == '\0' && n > 60; /* which is more than are asked for */
        hd_results_free(&r);
        assert_true(n < 5000);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(words_and_vectors_find_together, begin, end),
        cmocka_unit_test_setup_teardown(hits_say_where_they_are, begin, end),
        cmocka_unit_test_setup_teardown(what_cannot_take_part_is_told, begin, end),
        cmocka_unit_test_setup_teardown(a_query_without_a_weight_finds_nothing, begin, end),
        cmocka_unit_test_setup_teardown(snippets_of_meanings, begin, end),
        cmocka_unit_test_setup_teardown(filters_and_facets_count, begin, end),
        cmocka_unit_test_setup_teardown(quotes_must_be_there, begin, end),
        cmocka_unit_test_setup_teardown(documents_come_once, begin, end),
        cmocka_unit_test_setup_teardown(pages_are_parts_of_one_list, begin, end),
        cmocka_unit_test_setup_teardown(order_and_diversity, begin, end),
        cmocka_unit_test_setup_teardown(the_index_says_how_lists_become_one, begin, end),
        cmocka_unit_test_setup_teardown(options_have_ranges, begin, end),
        cmocka_unit_test_setup_teardown(a_search_that_nobody_wants_ends, begin, end),
        cmocka_unit_test_setup_teardown(any_failed_allocation_is_an_error_or_a_warning, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
