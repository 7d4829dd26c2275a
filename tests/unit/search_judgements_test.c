/* Queries and judgements out of BEIR's and TREC's files; lines that are neither; every allocation failing. */
#include "search/judgements.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/buffer.h"

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

static hd_status parse(const char *queries, const char *qrels, hd_judged_query **judged, size_t *n)
{
    return hd__judgements_parse(hd__span_of(queries), "q.jsonl", hd__span_of(qrels), "test.tsv", &arena, judged, n, &err);
}

static const char beir_queries[] = "{\"_id\": \"q1\", \"text\": \"first\", \"metadata\": {}}\n\n"
                                   "{\"_id\": \"q2\", \"text\": \"nobody judged\"}\r\n"
                                   "{\"_id\": \"q3\", \"text\": \"third\"}";

static int32_t grade_of(const hd_judged_query *query, const char *document, const char *chunk, const char *id)
{
    const char *told;
    const int32_t grade = hd__judgements_grade(query, document, chunk, &told);
    assert_string_equal(told, id);
    return grade;
}

static void reads_beirs_files(void **state)
{
    (void)state;
    hd_judged_query *judged;
    size_t n;
    assert_int_equal(parse(beir_queries,
                           "query-id\tcorpus-id\tscore\nq3\td 7\t1\nq1\td2\t2\nq1\td1\t0\nq1\td2\t1\nq2\td1\t0\nq9\td1\t1\n",
                           &judged, &n),
                     HD_OK);
    assert_int_equal(n, 2); /* q2 has nothing that is relevant, q9 no text */
    assert_string_equal(judged[0].id, "q1");
    assert_string_equal(judged[0].text, "first");
    assert_int_equal(judged[0].n_judgements, 2);
    assert_int_equal(grade_of(&judged[0], "d1", "d1#0", "d1"), 0);
    assert_int_equal(grade_of(&judged[0], "d3", "d3#0", "d3"), 0);
    assert_int_equal(grade_of(&judged[1], "d 7", "d 7#0", "d 7"), 1);
    assert_int_equal(grade_of(&judged[0], "d2", "d1", "d2"), 2); /* of two judgements the first; the document's before the
                                                                  * chunk's */
    assert_int_equal(grade_of(&judged[0], "d1", "d2", "d2"), 2);
}

static void reads_trecs_files(void **state)
{
    (void)state;
    hd_judged_query *judged;
    size_t n;
    assert_int_equal(
        parse("301\tinternational crime\n302\tpolio", "301 0 FBIS3-1 1\n301  0 FBIS3-2 0\n302 Q0 FT-9 -1\n", &judged, &n),
        HD_OK);
    assert_int_equal(n, 1);
    assert_string_equal(judged[0].text, "international crime");
    assert_int_equal(grade_of(&judged[0], "FBIS3-1", "", "FBIS3-1"), 1);
    assert_int_equal(parse("{\"id\":\"1\",\"query\":\"q\"}", "1\t0\td\t1", &judged, &n), HD_OK);
    assert_int_equal(n, 1);
}

static void of_several_judgements_the_first_counts(void **state)
{
    (void)state;
    hd_judged_query *judged;
    hd_buffer b;
    size_t n;
    hd__buffer_init(&b);
    for (int i = 0; i < 2000; i++) /* more than any sort leaves in their order by luck */
        hd__buffer_printf(&b, "1 d%d %d\n", i % 10, i < 10 ? 7 : 1 + i % 3);
    hd__buffer_append_char(&b, '\0');
    assert_int_equal(parse("1\ta", b.ptr, &judged, &n), HD_OK);
    assert_int_equal(judged[0].n_judgements, 10);
    for (size_t i = 0; i < 10; i++)
        assert_int_equal(judged[0].judgements[i].grade, 7);
    hd__buffer_clear(&b);
}

static void says_which_line_is_wrong(void **state)
{
    (void)state;
    static const struct {
        const char *queries, *qrels, *says;
    } cases[] = {
        {"1\ta", "1 2", "test.tsv: line 1: not three columns"},
        {"1\ta", "1 2 3 4 5", "test.tsv: line 1: not three columns"},
        {"1\ta", "q d s\n1 d x", "test.tsv: line 2: its grade"},
        {"1\ta", "1 d 1\n1 d 1001", "test.tsv: line 2: its grade"},
        {"1\ta", "1 d 1.5\n1 d 1.5", "test.tsv: line 2: its grade"},
        {"1\ta", "", "test.tsv: no judgement"},
        {"1\ta", "q\td\tscore\n", "test.tsv: no judgement"},
        {"no tab", "1 d 1", "q.jsonl: line 1: neither"},
        {"\n{\"_id\":1,\"text\":\"x\"}", "1 d 1", "q.jsonl: line 2: an object without"},
        {"{\"_id\":\"1\"}", "1 d 1", "q.jsonl: line 1: an object without"},
        {"{\"_id\":", "1 d 1", "q.jsonl: line 1: no JSON object"},
        {"2\ta", "1 d 1", "q.jsonl: none of its queries has a relevant document in test.tsv"},
        {"1\ta\xff", "1 d 1", "q.jsonl: byte 4 is not UTF-8"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        hd_judged_query *judged;
        size_t n;
        assert_int_equal(parse(cases[i].queries, cases[i].qrels, &judged, &n), HD_ERR_FORMAT);
        if (strstr(err.text, cases[i].says) == NULL)
            fail_msg("%s", err.text);
    }
}

static void no_memory_is_an_error(void **state)
{
    (void)state;
    hd_status status = HD_ERR_MEMORY;
    for (uint64_t n = 0; status != HD_OK; n++) {
        hd_judged_query *judged;
        size_t n_judged;
        hd__arena_clear(&arena);
        hd__alloc_fail_after(n, UINT64_MAX);
        status = parse("1\ta\n2\tb", "1 d 1\n2 d 1", &judged, &n_judged);
        hd__alloc_fail_off();
        assert_true(status == HD_OK || status == HD_ERR_MEMORY);
        assert_true(n < 100);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(reads_beirs_files, begin, end),
        cmocka_unit_test_setup_teardown(reads_trecs_files, begin, end),
        cmocka_unit_test_setup_teardown(of_several_judgements_the_first_counts, begin, end),
        cmocka_unit_test_setup_teardown(says_which_line_is_wrong, begin, end),
        cmocka_unit_test_setup_teardown(no_memory_is_an_error, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
