/* Measures of rankings: trec_eval's figures, and by hand. */
#include "search/measures.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MAX 256

static size_t read_grades(char *text, int32_t grades[MAX])
{
    size_t n = 0;
    for (char *at = text; *at != '\0' && n < MAX; at += strcspn(at, ","), at += *at == ',')
        grades[n++] = (int32_t)strtol(at, NULL, 10);
    return n;
}

static void agrees_with_trec_eval(void **state)
{
    (void)state;
    static char line[8192];
    FILE *file = fopen("tests/golden/measures/trec_eval.tsv", "r");
    size_t n_lines = 0;
    assert_non_null(file);
    while (fgets(line, sizeof line, file) != NULL) {
        int32_t ranked[MAX], judged[MAX];
        double expected[4];
        char *columns[6], *rest = line;
        for (size_t i = 0; i < 6; i++)
            columns[i] = strsep(&rest, "\t\n");
        for (size_t i = 0; i < 4; i++)
            expected[i] = strtod(columns[i + 2], NULL);
        const size_t n_ranked = read_grades(columns[0], ranked), n_judged = read_grades(columns[1], judged);
        const hd_measures m = hd__measures_of(ranked, n_ranked, judged, n_judged);
        assert_true(fabs(m.ndcg_10 - expected[0]) < 1e-9);
        assert_true(fabs(m.mrr_10 - expected[1]) < 1e-9);
        assert_true(fabs(m.recall_10 - expected[2]) < 1e-9);
        assert_true(fabs(m.recall_100 - expected[3]) < 1e-9);
        n_lines++;
    }
    fclose(file);
    assert_int_equal(n_lines, 60);
}

static void nothing_relevant_is_zero(void **state)
{
    (void)state;
    const int32_t ranked[] = {0, 0};
    int32_t judged[] = {0, -1};
    const hd_measures m = hd__measures_of(ranked, 2, judged, 2), none = hd__measures_of(NULL, 0, judged, 0);
    assert_true(m.ndcg_10 == 0 && m.mrr_10 == 0 && m.recall_10 == 0 && m.recall_100 == 0);
    assert_true(none.ndcg_10 == 0);
    judged[0] = 2;
    assert_true(hd__measures_of(NULL, 0, judged, 2).ndcg_10 == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_trec_eval),
        cmocka_unit_test(nothing_relevant_is_zero),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
