/* Fusion: figures by hand, and what must hold of any lists: order, ties, one-sided hits, weights. */
#include "search/fusion.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/alloc.h"

#define MAX 64

typedef struct lists {
    hd_ranked items[HD_N_LEGS][MAX];
    size_t n[HD_N_LEGS];
} lists;

static hd_error err;
static hd_arena arena;

static int begin(void **state)
{
    (void)state;
    hd__arena_init(&arena);
    return 0;
}

static int end(void **state)
{
    (void)state;
    hd__arena_clear(&arena);
    return 0;
}

static void add(lists *l, size_t leg, hd_chunk_id id, float score)
{
    l->items[leg][l->n[leg]++] = (hd_ranked){id, score};
}

static hd_candidate *collect(const lists *l, size_t *n)
{
    hd_candidate *candidates = NULL;
    hd_ranked_list of[HD_N_LEGS];
    for (size_t leg = 0; leg < HD_N_LEGS; leg++)
        of[leg] = (hd_ranked_list){l->items[leg], l->n[leg]};
    assert_int_equal(hd__candidates_collect(of, &arena, &candidates, n, &err), HD_OK);
    return candidates;
}

static hd_candidate *fuse(const lists *l, const hd_fuse_options *options, size_t *n)
{
    hd_candidate *candidates = collect(l, n);
    hd__fuse(candidates, *n, options);
    return candidates;
}

static const hd_candidate *find(const hd_candidate *candidates, size_t n, hd_chunk_id id)
{
    for (size_t i = 0; i < n; i++)
        if (candidates[i].id == id)
            return &candidates[i];
    return NULL;
}

#define BOTH (HD_LEG_BM25 | HD_LEG_DENSE)
#define EVEN                                                                                                                \
    {                                                                                                                       \
        1, 1, 1, 1, 1                                                                                                       \
    }

/* Three hits of words, three of vectors, two of them the same. */
static lists three_and_three(void)
{
    lists l = {0};
    add(&l, HD_AT_BM25, 7, 12);
    add(&l, HD_AT_BM25, 3, 8);
    add(&l, HD_AT_BM25, 9, 4);
    add(&l, HD_AT_DENSE, 3, 0.9f);
    add(&l, HD_AT_DENSE, 7, 0.6f);
    add(&l, HD_AT_DENSE, 5, 0.5f);
    return l;
}

static void collects_each_id_once(void **state)
{
    (void)state;
    const lists l = three_and_three();
    size_t n;
    const hd_candidate *c = collect(&l, &n);
    static const hd_chunk_id ids[] = {3, 5, 7, 9};
    assert_int_equal(n, 4);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(c[i].id, ids[i]);
    assert_int_equal(c[0].ranks[HD_AT_BM25], 2);
    assert_int_equal(c[0].ranks[HD_AT_DENSE], 1);
    assert_float_equal(c[0].scores[HD_AT_BM25], 8, 0);
    assert_int_equal(c[1].ranks[HD_AT_BM25], 0);
    assert_true(isnan(c[1].scores[HD_AT_BM25]));
    assert_true(isnan(c[1].scores[HD_AT_SPARSE]));
    const lists none = {0};
    collect(&none, &n);
    assert_int_equal(n, 0);
}

static void has_the_figures_of_the_papers(void **state)
{
    (void)state;
    const lists l = three_and_three();
    /* of 7, 3, 9, 5: by hand */
    static const struct {
        hd_fusion fusion;
        double of[4];
    } cases[] = {
        {HD_FUSION_RRF, {1 / 61.0 + 1 / 62.0, 1 / 62.0 + 1 / 61.0, 1 / 63.0, 1 / 63.0}},
        {HD_FUSION_MINMAX, {1 + 0.25, 0.5 + 1, 0, 0}},
        {HD_FUSION_ZSCORE, {1.2247449 - 0.3922323, 0 + 1.3728129, -1.2247449 - 0.9805807, -0.9805807 - 1.2247449}},
        /* words: mean 8, sd of the sample 4; vectors: mean 0.666667, sd 0.208167 */
        {HD_FUSION_DBSF, {0.6666667 + 0.4466250, 0.5 + 0.6868125, 0.3333333, 0.3665625}},
    };
    static const hd_chunk_id ids[] = {7, 3, 9, 5};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const hd_fuse_options options = {.legs = BOTH, .fusion = cases[i].fusion, .rrf_k = 60, .weights = EVEN};
        size_t n;
        const hd_candidate *c = fuse(&l, &options, &n);
        for (size_t k = 0; k < 4; k++)
            assert_float_equal(find(c, n, ids[k])->fused, cases[i].of[k], 1e-5);
    }
}

static void weights_are_factors(void **state)
{
    (void)state;
    const lists l = three_and_three();
    const hd_fuse_options options = {.legs = BOTH, .fusion = HD_FUSION_MINMAX, .weights = {0.3f, 0.7f}};
    size_t n;
    const hd_candidate *c = fuse(&l, &options, &n);
    assert_float_equal(find(c, n, 7)->fused, 0.475, 1e-6);
    assert_float_equal(find(c, n, 3)->fused, 0.85, 1e-6);
    assert_int_equal(c[0].id, 3);
}

static void ties_go_by_dense_rank_then_id(void **state)
{
    (void)state;
    lists l = {0};
    add(&l, HD_AT_BM25, 9, 5);
    add(&l, HD_AT_BM25, 4, 4);
    add(&l, HD_AT_DENSE, 4, 0.5f);
    add(&l, HD_AT_DENSE, 9, 0.4f);
    add(&l, HD_AT_DENSE, 8, 0.3f);
    add(&l, HD_AT_BM25, 2, 3);
    add(&l, HD_AT_SPARSE, 1, 3); /* 1/61: above 8 and 2 */
    const hd_fuse_options options = {.legs = BOTH | HD_LEG_SPARSE, .fusion = HD_FUSION_RRF, .rrf_k = 60, .weights = EVEN};
    size_t n;
    const hd_candidate *c = fuse(&l, &options, &n);
    static const hd_chunk_id ids[] = {4, 9, 1, 8, 2};
    assert_int_equal(n, 5);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(c[i].id, ids[i]);
        assert_int_equal(c[i].fused_rank, i + 1);
    }
}

static void one_leg_alone_keeps_its_scores(void **state)
{
    (void)state;
    lists l = {0};
    add(&l, HD_AT_DENSE, 4, 0.5f);
    add(&l, HD_AT_DENSE, 9, 0.4f);
    for (int fusion = HD_FUSION_RRF; fusion <= HD_FUSION_DBSF; fusion++) {
        const hd_fuse_options options = {.legs = HD_LEG_DENSE, .fusion = (hd_fusion)fusion, .rrf_k = 60, .weights = EVEN};
        size_t n;
        const hd_candidate *c = fuse(&l, &options, &n);
        assert_int_equal(c[0].id, 4);
        assert_float_equal(c[0].score, 0.5, 0);
        assert_float_equal(c[1].score, 0.4, 1e-7);
    }
}

static void equal_scores_scale(void **state)
{
    (void)state;
    lists l = {0};
    add(&l, HD_AT_BM25, 1, 5);
    add(&l, HD_AT_BM25, 2, 5);
    add(&l, HD_AT_DENSE, 3, 0.5f);
    static const double of_present[] = {0, 1, 0, 0.5}, of_absent[] = {0, 0, -1, 0};
    for (int fusion = HD_FUSION_MINMAX; fusion <= HD_FUSION_DBSF; fusion++) {
        const hd_fuse_options options = {.legs = BOTH, .fusion = (hd_fusion)fusion, .weights = {1, 0}};
        size_t n;
        const hd_candidate *c = fuse(&l, &options, &n);
        assert_float_equal(find(c, n, 1)->fused, of_present[fusion], 0);
        assert_float_equal(find(c, n, 2)->fused, of_present[fusion], 0);
        assert_float_equal(find(c, n, 3)->fused, of_absent[fusion], 0);
    }
}

/* ---- of any lists ---- */

static uint32_t seed;

static uint32_t next_random(void)
{
    seed = seed * 1664525 + 1013904223;
    return seed >> 8;
}

static int compare_items(const void *a, const void *b)
{
    const hd_ranked *x = a, *y = b;
    return x->score != y->score ? (x->score > y->score ? -1 : 1) : x->id < y->id ? -1 : x->id > y->id;
}

static lists random_lists(void)
{
    lists l = {0};
    const uint32_t range = 1 + next_random() % 80;
    for (size_t leg = 0; leg < 3; leg++) {
        bool taken[80] = {false};
        const uint32_t n = next_random() % MAX;
        const float unit = leg == HD_AT_DENSE ? 0.01f : 0.5f;
        for (uint32_t i = 0; i < n; i++) {
            const uint32_t id = next_random() % range;
            if (!taken[id])
                add(&l, leg, id, (float)(int32_t)(next_random() % 50) * unit - (leg == HD_AT_DENSE ? 0.2f : 0));
            taken[id] = true;
        }
        qsort(l.items[leg], l.n[leg], sizeof l.items[leg][0], compare_items);
    }
    return l;
}

static hd_fuse_options random_options(void)
{
    return (hd_fuse_options){
        .legs = BOTH | HD_LEG_SPARSE,
        .fusion = (hd_fusion)(next_random() % 4),
        .rrf_k = (float)(1 + next_random() % 100),
        .weights = {(float)(next_random() % 5), (float)(next_random() % 5), (float)(next_random() % 5)}};
}

static void order_is_total_and_repeats(void **state)
{
    (void)state;
    for (seed = 1; seed < 2000; seed += 1) {
        const uint32_t kept = seed;
        const lists l = random_lists();
        const hd_fuse_options options = random_options();
        size_t n, n_again;
        const hd_candidate *c = fuse(&l, &options, &n), *again = fuse(&l, &options, &n_again);
        assert_int_equal(n, n_again);
        assert_memory_equal(c, again, n * sizeof *c);
        for (size_t i = 0; i < n; i++) {
            assert_true(isfinite(c[i].fused));
            assert_int_equal(c[i].fused_rank, i + 1);
            if (i == 0)
                continue;
            const uint32_t before = c[i - 1].ranks[HD_AT_DENSE] - 1, after = c[i].ranks[HD_AT_DENSE] - 1;
            assert_true(c[i - 1].fused > c[i].fused ||
                        (c[i - 1].fused == c[i].fused && (before < after || (before == after && c[i - 1].id < c[i].id))));
        }
        hd__arena_clear(&arena);
        seed = kept;
    }
}

/* Who is at least as good in every leg is never behind, and who is missing never gains from it. */
static void dominance_is_kept(void **state)
{
    (void)state;
    for (seed = 1; seed < 1000; seed += 1) {
        const uint32_t kept = seed;
        const lists l = random_lists();
        const hd_fuse_options options = random_options();
        size_t n;
        const hd_candidate *c = fuse(&l, &options, &n);
        for (size_t i = 0; i < n; i++) {
            for (size_t k = 0; k < n; k++) {
                bool dominates = true;
                for (size_t leg = 0; leg < 3; leg++) {
                    const uint32_t mine = c[i].ranks[leg] - 1, other = c[k].ranks[leg] - 1;
                    dominates &= mine <= other;
                }
                if (dominates)
                    assert_true(c[i].fused >= c[k].fused);
            }
        }
        hd__arena_clear(&arena);
        seed = kept;
    }
}

/* Other units of a leg's scores change nothing where scores are scaled, and no scores at all matter to RRF. */
static void units_do_not_count(void **state)
{
    (void)state;
    for (seed = 1; seed < 500; seed += 1) {
        const uint32_t kept = seed;
        lists l = random_lists();
        const hd_fuse_options options = random_options();
        size_t n, n_again;
        const hd_candidate *c = fuse(&l, &options, &n);
        for (size_t i = 0; i < l.n[HD_AT_BM25]; i++)
            l.items[HD_AT_BM25][i].score = 8 * l.items[HD_AT_BM25][i].score + 4; /* exact */
        const hd_candidate *again = fuse(&l, &options, &n_again);
        assert_int_equal(n, n_again);
        for (size_t i = 0; i < n; i++)
            assert_float_equal(find(again, n, c[i].id)->fused, c[i].fused, 1e-4);
        hd__arena_clear(&arena);
        seed = kept;
    }
}

static void no_memory_is_an_error(void **state)
{
    (void)state;
    const hd_ranked items[] = {{7, 12}, {3, 8}};
    const hd_ranked_list of[HD_N_LEGS] = {{items, 2}};
    hd_candidate *candidates = NULL;
    size_t n = 0;
    hd__alloc_fail_after(0, UINT64_MAX);
    const hd_status status = hd__candidates_collect(of, &arena, &candidates, &n, &err);
    hd__alloc_fail_off();
    assert_int_equal(status, HD_ERR_MEMORY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(collects_each_id_once, begin, end),
        cmocka_unit_test_setup_teardown(has_the_figures_of_the_papers, begin, end),
        cmocka_unit_test_setup_teardown(weights_are_factors, begin, end),
        cmocka_unit_test_setup_teardown(ties_go_by_dense_rank_then_id, begin, end),
        cmocka_unit_test_setup_teardown(one_leg_alone_keeps_its_scores, begin, end),
        cmocka_unit_test_setup_teardown(equal_scores_scale, begin, end),
        cmocka_unit_test_setup_teardown(order_is_total_and_repeats, begin, end),
        cmocka_unit_test_setup_teardown(dominance_is_kept, begin, end),
        cmocka_unit_test_setup_teardown(units_do_not_count, begin, end),
        cmocka_unit_test_setup_teardown(no_memory_is_an_error, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
