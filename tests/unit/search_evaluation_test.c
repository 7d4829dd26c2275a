/* Evaluation of kept candidates: each document once, only what a leg listed, halves that do not overlap; tuning finds the
 * weights that are best by construction. */
#include "search/evaluation.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define N_QUERIES 40
#define N_DOCUMENTS 12

static hd_error err;
static hd_judgement judgements[N_QUERIES];
static hd_judged_query judged[N_QUERIES];
static hd_candidate candidates[N_QUERIES][N_DOCUMENTS];
static const char *documents[N_QUERIES][N_DOCUMENTS];
static int32_t grades[N_QUERIES][N_DOCUMENTS];
static hd_evaluated_query queries[N_QUERIES];
static const char *const names[N_DOCUMENTS] = {"a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"};

/* Vectors rank the relevant document first, words rank it last; every second query is held out. */
static hd_evaluation make(void)
{
    for (size_t i = 0; i < N_QUERIES; i++) {
        const size_t relevant = i % N_DOCUMENTS;
        judgements[i] = (hd_judgement){"q", names[relevant], 1, (uint32_t)i + 1};
        judged[i] = (hd_judged_query){"q", "text", &judgements[i], 1};
        for (size_t k = 0; k < N_DOCUMENTS; k++) {
            hd_candidate *c = &candidates[i][k];
            const uint32_t after = (uint32_t)((k + N_DOCUMENTS - relevant) % N_DOCUMENTS); /* 0 for the relevant one */
            *c = (hd_candidate){.id = (hd_chunk_id)k, .place = (uint32_t)k};
            for (size_t leg = 0; leg < HD_N_LEGS; leg++)
                c->scores[leg] = NAN;
            c->ranks[HD_AT_DENSE] = after + 1;
            c->scores[HD_AT_DENSE] = 1 - 0.05f * (float)after;
            c->ranks[HD_AT_BM25] = after == 0 ? N_DOCUMENTS : after;
            c->scores[HD_AT_BM25] = (float)(N_DOCUMENTS + 1 - c->ranks[HD_AT_BM25]);
            documents[i][k] = names[k];
            grades[i][k] = k == relevant;
        }
        queries[i] = (hd_evaluated_query){&judged[i], candidates[i], documents[i], grades[i], N_DOCUMENTS, i % 2 == 1};
    }
    return (hd_evaluation){.queries = queries, .n = N_QUERIES, .legs = HD_LEG_BM25 | HD_LEG_DENSE, .warning = ""};
}

static hd_measures measure(const hd_evaluation *e, uint32_t legs, hd_evaluation_part part)
{
    const hd_fuse_options options = {.legs = legs, .rrf_k = 60, .weights = {1, 1, 1, 1, 1}};
    hd_measures m;
    assert_int_equal(hd__evaluation_measure(e, &options, part, NULL, NULL, &m, &err), HD_OK);
    return m;
}

static void legs_are_measured_alone(void **state)
{
    (void)state;
    const hd_evaluation e = make();
    const hd_measures dense = measure(&e, HD_LEG_DENSE, HD_EVALUATION_ALL),
                      words = measure(&e, HD_LEG_BM25, HD_EVALUATION_ALL);
    assert_true(dense.ndcg_10 == 1 && dense.mrr_10 == 1 && dense.recall_10 == 1);
    assert_true(words.ndcg_10 == 0 && words.recall_10 == 0 && words.recall_100 == 1); /* the twelfth of twelve */
}

static void halves_are_apart(void **state)
{
    (void)state;
    hd_evaluation e = make();
    for (size_t i = 1; i < N_QUERIES; i += 2) /* nothing of what is held out is found */
        e.queries[i].n = 0;
    assert_true(measure(&e, HD_LEG_DENSE, HD_EVALUATION_TRAIN).ndcg_10 == 1);
    assert_true(measure(&e, HD_LEG_DENSE, HD_EVALUATION_HELD_OUT).ndcg_10 == 0);
    assert_true(fabs(measure(&e, HD_LEG_DENSE, HD_EVALUATION_ALL).ndcg_10 - 0.5) < 1e-12);
}

static void documents_count_once(void **state)
{
    (void)state;
    hd_evaluation e = make();
    for (size_t i = 0; i < N_QUERIES; i++) { /* all but the relevant one are chunks of one document */
        for (size_t k = 0; k < N_DOCUMENTS; k++)
            if (grades[i][k] == 0)
                documents[i][k] = "other";
    }
    assert_true(fabs(measure(&e, HD_LEG_BM25, HD_EVALUATION_ALL).mrr_10 - 0.5) < 1e-12); /* second of two */
}

static void what_no_leg_listed_is_no_hit(void **state)
{
    (void)state;
    hd_evaluation e = make();
    for (size_t i = 0; i < N_QUERIES; i++)
        for (size_t k = 0; k < N_DOCUMENTS; k++)
            candidates[i][k].ranks[HD_AT_DENSE] = 0; /* scored because words found it, but not in the list */
    assert_true(measure(&e, HD_LEG_DENSE, HD_EVALUATION_ALL).recall_100 == 0);
}

static size_t n_ranked;

static void count_ranked(const hd_judged_query *query, const char *document, size_t rank, float score, void *data)
{
    float *last = data;
    assert_ptr_equal(query, &judged[n_ranked / N_DOCUMENTS]);
    assert_non_null(document);
    assert_true(rank == n_ranked % N_DOCUMENTS + 1);
    assert_true(rank == 1 || score <= *last);
    *last = score;
    n_ranked++;
}

static void rankings_are_told(void **state)
{
    (void)state;
    const hd_evaluation e = make();
    const hd_fuse_options options = {.legs = HD_LEG_DENSE, .rrf_k = 60, .weights = {1, 1}};
    hd_measures m;
    float last = 0;
    n_ranked = 0;
    assert_int_equal(hd__evaluation_measure(&e, &options, HD_EVALUATION_ALL, count_ranked, &last, &m, &err), HD_OK);
    assert_true(n_ranked == (size_t)N_QUERIES * N_DOCUMENTS);
}

static void tuning_prefers_what_is_right(void **state)
{
    (void)state;
    const hd_evaluation e = make();
    hd_fuse_options best;
    hd_measures even = measure(&e, HD_LEG_BM25 | HD_LEG_DENSE, HD_EVALUATION_ALL), tuned;
    assert_true(even.ndcg_10 < 0.9); /* the lists contradict each other */
    assert_int_equal(hd__evaluation_tune(&e, &best, &err), HD_OK);
    assert_true(best.weights[HD_AT_DENSE] > best.weights[HD_AT_BM25]);
    assert_true(best.weights[HD_AT_SPARSE] == 0);
    assert_int_equal(hd__evaluation_measure(&e, &best, HD_EVALUATION_HELD_OUT, NULL, NULL, &tuned, &err), HD_OK);
    assert_true(tuned.ndcg_10 == 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(legs_are_measured_alone), cmocka_unit_test(halves_are_apart),
        cmocka_unit_test(documents_count_once),    cmocka_unit_test(what_no_leg_listed_is_no_hit),
        cmocka_unit_test(rankings_are_told),       cmocka_unit_test(tuning_prefers_what_is_right),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
