/* The table of names: all found, none invented, doubles refused, the empty name too. */
#include "model/name_table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/alloc.h"

static void finds_what_was_added(void **state)
{
    (void)state;
    enum { N = 1000 };
    static char names[N][16];
    for (size_t n = 0; n <= N; n = n * 3 + 1) {
        hd_arena arena;
        hd_name_table table;
        uint32_t index;
        hd__arena_init(&arena);
        assert_int_equal(hd__name_table_init(&table, n, &arena, NULL), HD_OK);
        assert_false(hd__name_table_find(&table, hd__span_of("0"), &index));
        for (uint32_t i = 0; i < n; i++) {
            snprintf(names[i], sizeof names[i], "%.0u", i); /* the first is empty */
            assert_true(hd__name_table_add(&table, hd__span_of(names[i]), i));
            assert_false(hd__name_table_add(&table, hd__span_of(names[i]), i + 1));
        }
        for (uint32_t i = 0; i < n; i++) {
            assert_true(hd__name_table_find(&table, hd__span_of(names[i]), &index));
            assert_int_equal(index, i);
        }
        assert_false(hd__name_table_find(&table, hd__span_of("-"), &index));
        hd__arena_clear(&arena);
    }
}

static void says_when_there_is_no_memory(void **state)
{
    (void)state;
    hd_arena arena;
    hd_name_table table;
    hd_error err;
    hd__arena_init(&arena);
    hd__alloc_fail_after(0, UINT64_MAX);
    assert_int_equal(hd__name_table_init(&table, 10, &arena, &err), HD_ERR_MEMORY);
    hd__alloc_fail_off();
    hd__arena_clear(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(finds_what_was_added),
                                       cmocka_unit_test(says_when_there_is_no_memory)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
