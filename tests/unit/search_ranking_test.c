/* What becomes of the fused list: blends, floors, one hit for each document, sandwich order, diversity, profiles. */
#include "search/ranking.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "search/mmr.h"

static hd_error err;

static hd_candidate hit(hd_chunk_id id, float fused, float reranked)
{
    hd_candidate c = {.id = id, .fused = fused, .score = fused};
    for (size_t i = 0; i < HD_N_LEGS; i++)
        c.scores[i] = NAN;
    c.scores[HD_AT_RERANK] = reranked;
    return c;
}

static void rerankers_scores_order(void **state)
{
    (void)state;
    hd_candidate c[] = {hit(1, 0.9f, 0.2f), hit(2, 0.5f, 0.7f), hit(3, 0.1f, NAN)};
    hd__ranking_blend(c, 3, HD_AT_RERANK, 1);
    assert_int_equal(c[0].id, 2);
    assert_float_equal(c[0].score, 0.7, 1e-7); /* as the reranker says, not scaled */
    assert_int_equal(c[1].id, 1);
    assert_int_equal(c[2].id, 3);
    assert_float_equal(c[2].score, 0, 0);
}

static void blends_are_of_scaled_scores(void **state)
{
    (void)state;
    hd_candidate c[] = {hit(1, 0.9f, 0.2f), hit(2, 0.5f, 0.7f), hit(3, 0.1f, 0.45f)};
    hd__ranking_blend(c, 3, HD_AT_RERANK, 0.25f);
    assert_int_equal(c[0].id, 1);
    assert_float_equal(c[0].score, 0.75, 1e-6);
    assert_float_equal(c[1].score, 0.25 + 0.75 * 0.5, 1e-6);
    assert_float_equal(c[2].score, 0.25 * 0.5, 1e-6);
    hd_candidate same[] = {hit(1, 0.5f, 0.2f), hit(2, 0.5f, 0.2f)};
    hd__ranking_blend(same, 2, HD_AT_RERANK, 0.5f);
    assert_float_equal(same[1].score, 1, 0);
}

static void floors_are_of_a_named_score(void **state)
{
    (void)state;
    hd_candidate c[] = {hit(1, 0.9f, 0.2f), hit(2, 0.5f, 0.7f), hit(3, 0.1f, NAN)};
    assert_int_equal(hd__ranking_floor(c, 3, HD_N_LEGS, 0.5f), 2);
    assert_int_equal(hd__ranking_floor(c, 2, HD_AT_RERANK, 0.7f), 1);
    assert_int_equal(c[0].id, 2);
    assert_int_equal(hd__ranking_floor(c, 1, HD_AT_DENSE, -1), 0); /* none has one */
}

static void documents_have_their_best_hit(void **state)
{
    (void)state;
    hd_candidate c[] = {hit(1, 5, 0), hit(2, 4, 0), hit(3, 3, 0), hit(4, 2, 0), hit(5, 1, 0)};
    const char *documents[] = {"b", "a", "b", "c", "a"};
    assert_int_equal(hd__ranking_group(c, documents, 5), 3);
    assert_int_equal(c[0].id, 1);
    assert_int_equal(c[1].id, 2);
    assert_int_equal(c[2].id, 4);
    assert_string_equal(documents[2], "c");
}

static void sandwich_is_anylooms(void **state)
{
    (void)state;
    static const uint32_t seven[] = {0, 1, 4, 5, 6, 2, 3}, five[] = {0, 1, 4, 2, 3}, four[] = {0, 1, 2, 3};
    uint32_t order[1000];
    hd__ranking_sandwich(order, 7);
    assert_memory_equal(order, seven, sizeof seven);
    hd__ranking_sandwich(order, 5);
    assert_memory_equal(order, five, sizeof five);
    hd__ranking_sandwich(order, 4);
    assert_memory_equal(order, four, sizeof four);
    for (uint32_t n = 0; n <= 1000; n++) { /* always a permutation */
        bool seen[1000] = {false};
        hd__ranking_sandwich(order, n);
        for (uint32_t i = 0; i < n; i++) {
            assert_true(order[i] < n && !seen[order[i]]);
            seen[order[i]] = true;
        }
    }
}

/* Two directions: three hits say the same, a fourth something else. */
static void diversity_skips_what_was_said(void **state)
{
    (void)state;
    static const float vectors[] = {1, 0, 2, 0.02f, 1, 0.01f, 0, 3}, scores[] = {1, 0.9f, 0.8f, 0.5f};
    uint32_t picked[4];
    hd_arena arena;
    hd__arena_init(&arena);
    assert_int_equal(hd__mmr_pick(scores, vectors, 4, 2, 0.5f, 4, NULL, NULL, &arena, picked, &err), HD_OK);
    assert_int_equal(picked[0], 0);
    assert_int_equal(picked[1], 3);
    assert_int_equal(picked[2], 1);
    assert_int_equal(picked[3], 2);
    assert_int_equal(hd__mmr_pick(scores, vectors, 4, 2, 1, 4, NULL, NULL, &arena, picked, &err), HD_OK);
    for (uint32_t i = 0; i < 4; i++)
        assert_int_equal(picked[i], i); /* relevance alone */
    static const float same[] = {3, 3, 3, 3};
    assert_int_equal(hd__mmr_pick(same, vectors, 4, 2, 0.5f, 2, NULL, NULL, &arena, picked, &err), HD_OK);
    assert_int_equal(picked[0], 0);
    assert_int_equal(picked[1], 3);
    assert_int_equal(hd__mmr_pick(scores, vectors, 0, 2, 0.5f, 0, NULL, NULL, &arena, picked, &err), HD_OK);
    hd__alloc_fail_after(0, UINT64_MAX);
    const hd_status status = hd__mmr_pick(scores, vectors, 4, 2, 0.5f, 4, NULL, NULL, &(hd_arena){0}, picked, &err);
    hd__alloc_fail_off();
    assert_int_equal(status, HD_ERR_MEMORY);
    hd__arena_clear(&arena);
}

static void profiles_have_their_figures(void **state)
{
    (void)state;
    hd_search s;
    assert_int_equal(hd_search_profile("gpu", &s, &err), HD_OK);
    assert_int_equal(s.n_candidates, 128);
    assert_int_equal(s.n_keyword, 10);
    assert_int_equal(s.n_rerank, 50);
    assert_true(s.rerank && s.per_document && s.has_min_score && s.min_score_leg == HD_LEG_RERANK);
    assert_float_equal(s.min_score, 0.2, 1e-7);
    assert_int_equal(hd_search_profile("fast", &s, &err), HD_OK);
    assert_int_equal(s.n_candidates, 50);
    assert_int_equal(s.n_keyword, 5);
    assert_int_equal(s.n_rerank, 30);
    assert_float_equal(s.min_score, 0.3, 1e-7);
    assert_int_equal(hd_search_profile("default", &s, &err), HD_OK);
    assert_int_equal(s.n_candidates, 80);
    assert_int_equal(s.n_keyword, 8);
    assert_int_equal(s.n_rerank, 100);
    assert_int_equal(hd_search_profile("elastic", &s, &err), HD_OK);
    assert_int_equal(s.fusion, HD_FUSION_MINMAX);
    assert_float_equal(s.weights[HD_AT_BM25], 0.3, 1e-7);
    assert_float_equal(s.weights[HD_AT_DENSE], 0.7, 1e-7);
    assert_int_equal(hd_search_profile("slow", &s, &err), HD_ERR_NOT_FOUND);
    assert_non_null(strstr(err.text, "'slow': there are fast, default, gpu and elastic"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rerankers_scores_order),      cmocka_unit_test(blends_are_of_scaled_scores),
        cmocka_unit_test(floors_are_of_a_named_score), cmocka_unit_test(documents_have_their_best_hit),
        cmocka_unit_test(sandwich_is_anylooms),        cmocka_unit_test(diversity_skips_what_was_said),
        cmocka_unit_test(profiles_have_their_figures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
