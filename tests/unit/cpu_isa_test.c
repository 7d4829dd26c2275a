/* Tests of cpu/isa.c: the mask, what removing a level takes with it, and agreement with the compiler's view. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "cpu/isa.h"

#define BIT(isa) (1u << (isa))
#define ALL ((1u << HD_ISA_COUNT) - 1)

static uint32_t masked(uint32_t from, const char *mask)
{
    uint32_t left = 0;
    hd_error err = {0};
    assert_int_equal(hd__isa_apply_mask(from, mask, &left, &err), HD_OK);
    return left;
}

static void test_empty_mask_keeps_all(void **state)
{
    (void)state;
    assert_int_equal(masked(ALL, ""), ALL);
    assert_int_equal(masked(ALL, " , ,"), ALL);
}

static void test_removal_takes_what_is_built_on_it(void **state)
{
    (void)state;
    const uint32_t arm = BIT(HD_ISA_NEON) | BIT(HD_ISA_DOTPROD), base = BIT(HD_ISA_BASE);
    const uint32_t vex = BIT(HD_ISA_AVX2) | BIT(HD_ISA_AVXVNNI);
    assert_int_equal(masked(ALL, "-amx"), ALL & ~BIT(HD_ISA_AMX));
    assert_int_equal(masked(ALL, "-avx512-bf16"), ALL & ~(BIT(HD_ISA_AMX) | BIT(HD_ISA_BF16)));
    assert_int_equal(masked(ALL, "-avx512-vnni"), base | arm | vex | BIT(HD_ISA_AVX512));
    assert_int_equal(masked(ALL, "-avx512"), base | arm | vex);
    assert_int_equal(masked(ALL, "-avx-vnni"), ALL & ~BIT(HD_ISA_AVXVNNI));
    assert_int_equal(masked(ALL, "-avx2"), base | arm);
    assert_int_equal(masked(ALL, "-neon"), ALL & ~arm);
    assert_int_equal(masked(ALL, "-dotprod"), ALL & ~BIT(HD_ISA_DOTPROD));
    assert_int_equal(masked(ALL, "-amx,-avx-vnni -dotprod"),
                     ALL & ~(BIT(HD_ISA_AMX) | BIT(HD_ISA_AVXVNNI) | BIT(HD_ISA_DOTPROD)));
    assert_int_equal(masked(ALL, "-avx2,-neon"), base);
}

static void test_mask_only_removes(void **state)
{
    (void)state;
    assert_int_equal(masked(BIT(HD_ISA_BASE), "-amx"), BIT(HD_ISA_BASE));
    /* A set that no machine has: what lacks its foundation goes too. */
    assert_int_equal(masked(BIT(HD_ISA_BASE) | BIT(HD_ISA_AMX), ""), BIT(HD_ISA_BASE));
}

static void test_unknown_names(void **state)
{
    (void)state;
    static const char *const bad[] = {"amx", "+amx", "-", "-base", "-AVX2", "-avx", "-avx2x", "-amx,fast", "--amx"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        uint32_t left = 42;
        hd_error err = {0};
        assert_int_equal(hd__isa_apply_mask(ALL, bad[i], &left, &err), HD_ERR_ARG);
        assert_int_equal(left, 42);
        assert_non_null(strstr(err.text, "HEDDLE_CPU: '"));
        assert_non_null(strstr(err.text, "-avx512-vnni"));
        assert_int_equal(hd__isa_apply_mask(ALL, bad[i], &left, NULL), HD_ERR_ARG);
    }
}

static void test_long_name_is_cut_in_the_message(void **state)
{
    (void)state;
    char mask[4000];
    memset(mask, 'x', sizeof mask - 1);
    mask[sizeof mask - 1] = '\0';
    uint32_t left;
    hd_error err = {0};
    assert_int_equal(hd__isa_apply_mask(ALL, mask, &left, &err), HD_ERR_ARG);
    assert_true(strlen(err.text) < 200);
}

static void test_host(void **state)
{
    (void)state;
    hd_error err = {0};
    assert_int_equal(hd__isa_init(&err), HD_OK);
    assert_int_equal(hd__isa_init(NULL), HD_OK);
    assert_true(hd__isa_has(HD_ISA_BASE));
    assert_false(hd__isa_has(HD_ISA_COUNT));
    for (unsigned i = 0; i < HD_ISA_COUNT; i++) {
        assert_true(strlen(hd__isa_name((hd_isa)i)) > 0);
        assert_int_equal(strcmp(hd__isa_reason((hd_isa)i), "granted") == 0, hd__isa_has((hd_isa)i));
    }
    assert_string_equal(hd__isa_name(HD_ISA_COUNT), "");
#if defined(__x86_64__)
    assert_false(hd__isa_has(HD_ISA_NEON));
    assert_string_equal(hd__isa_reason(HD_ISA_NEON), "belongs to another architecture");
    assert_int_equal(hd__isa_has(HD_ISA_AVX2), __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"));
    assert_int_equal(hd__isa_has(HD_ISA_VNNI), __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512vl"));
#endif
}

static void test_set_mask_and_back(void **state)
{
    (void)state;
    bool had = hd__isa_has(HD_ISA_AVX2);
    assert_int_equal(hd__isa_set_mask("-avx2,-neon", NULL), HD_OK);
    for (unsigned i = HD_ISA_BASE + 1; i < HD_ISA_COUNT; i++)
        assert_false(hd__isa_has((hd_isa)i));
    if (had)
        assert_string_equal(hd__isa_reason(HD_ISA_AVX2), "removed by HEDDLE_CPU");
    assert_int_equal(hd__isa_set_mask("-nothing", NULL), HD_ERR_ARG);
    assert_false(hd__isa_has(HD_ISA_AVX2)); /* a refused mask changes nothing */
    assert_int_equal(hd__isa_set_mask("", NULL), HD_OK);
    assert_int_equal(hd__isa_has(HD_ISA_AVX2), had);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_empty_mask_keeps_all),
        cmocka_unit_test(test_removal_takes_what_is_built_on_it),
        cmocka_unit_test(test_mask_only_removes),
        cmocka_unit_test(test_unknown_names),
        cmocka_unit_test(test_long_name_is_cut_in_the_message),
        cmocka_unit_test(test_host),
        cmocka_unit_test(test_set_mask_and_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
