/* Adapters on their way into weights, beside sums in double: ranks and widths at and beside the edges of blocks and
 * products, linear layers and tables, any part of the rows, at every level of this processor with products of its own. */
#include "encoder/merge.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "golden/levels.h"
#include "unit/safetensors_file.h"
#include "unit/scratch.h"

enum { MOST_ROWS = 150, MOST_K = 200, MOST_RANK = 130 };

static scratch s;
static hd_error err;
static float factors[(MOST_ROWS + MOST_K) * MOST_RANK];

static float any(size_t i)
{
    return (float)((i * 2654435761u >> 7) % 2001) / 1000.0f - 1.0f;
}

/* An adapter of one module: A [rank, a_columns], then B [b_rows, rank]. */
static hd_peft *open_adapter(bool is_table, size_t rank, size_t a_columns, size_t b_rows)
{
    char header[512];
    const char *const endings[] = {is_table ? "lora_embedding_A" : "lora_A.weight",
                                   is_table ? "lora_embedding_B" : "lora_B.weight"};
    const size_t n_a = rank * a_columns * sizeof(float), n_b = rank * b_rows * sizeof(float);
    const hd_peft_config config = {.rank = (uint32_t)rank, .alpha = 0.5 * (double)rank};
    hd_peft *peft;
    snprintf(header, sizeof header,
             "{\"m.%s\":{\"dtype\":\"F32\",\"shape\":[%zu,%zu],\"data_offsets\":[0,%zu]},"
             "\"m.%s\":{\"dtype\":\"F32\",\"shape\":[%zu,%zu],\"data_offsets\":[%zu,%zu]}}",
             endings[0], rank, a_columns, n_a, endings[1], b_rows, rank, n_a, n_a + n_b);
    const hd_span bytes = safetensors_file(header, factors, n_a + n_b);
    scratch_write(&s, "adapter_model.safetensors", bytes.ptr, bytes.len);
    free((void *)(uintptr_t)bytes.ptr);
    if (hd__peft_open(s.dir, &config, &peft, &err) != HD_OK)
        fail_msg("%s", err.text);
    return peft;
}

/* Rows [first, first + n) of zeros, and of what is there. */
static void check(bool is_table, size_t rank, size_t rows, size_t k, size_t first, size_t n)
{
    static float got[MOST_ROWS * MOST_K + 1];
    const size_t a_columns = is_table ? rows : k;
    const float *a = factors, *b = factors + rank * a_columns;
    hd_merge merge;
    hd_peft *peft = open_adapter(is_table, rank, a_columns, is_table ? k : rows);
    for (size_t i = 0; i < n * k; i++)
        got[i] = any(i + 77);
    got[n * k] = 12345.0f;
    if (hd__merge_begin(peft, "m", is_table, rows, k, &merge, &err) != HD_OK)
        fail_msg("%s", err.text);
    hd__merge_rows(&merge, first, n, got);
    hd__merge_end(&merge);
    hd__peft_close(peft);
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < k; j++) {
            double sum = 0.0;
            for (size_t r = 0; r < rank; r++)
                sum += is_table ? (double)a[r * rows + first + i] * (double)b[j * rank + r]
                                : (double)b[(first + i) * rank + r] * (double)a[r * k + j];
            const double wanted = (double)any(i * k + j + 77) + 0.5 * sum, value = (double)got[i * k + j];
            if (!(fabs(value - wanted) <= 1e-5 * (1.0 + fabs(wanted))))
                fail_msg("%s of rank %zu, [%zu, %zu], row %zu, column %zu: %.9g, not %.9g", is_table ? "table" : "layer",
                         rank, rows, k, first + i, j, value, wanted);
        }
    }
    assert_true(got[n * k] == 12345.0f);
}

static void adds_products(void **state)
{
    (void)state;
    static const size_t ranks[] = {1, 5, 16, 63, 64, 65, 130}, widths[] = {1, 16, 63, 64, 65, 200};
    for (size_t i = 0; i < sizeof ranks / sizeof *ranks; i++) {
        for (size_t j = 0; j < sizeof widths / sizeof *widths; j++) {
            for (int is_table = 0; is_table < 2; is_table++) {
                check(is_table, ranks[i], MOST_ROWS, widths[j], 0, MOST_ROWS);
                check(is_table, ranks[i], MOST_ROWS, widths[j], 7, 65);
                check(is_table, ranks[i], 3, widths[j], 2, 1);
            }
        }
    }
}

static void test_level(void **state)
{
    const tested_level *l = *state;
    static const hd_kernel_row *last;
    assert_int_equal(hd__isa_set_mask(l->mask, &err), HD_OK);
    const hd_kernel_row *row = hd__kernel_chosen("gemm_f32");
    const bool is_new = hd__isa_has(l->isa) && row != last;
    last = row;
    if (is_new)
        adds_products(NULL);
    assert_int_equal(hd__isa_set_mask("", &err), HD_OK);
    if (!is_new)
        skip();
}

/* Without an adapter, or with none for the module, rows stay as they are. */
static void adds_nothing(void **state)
{
    (void)state;
    float rows[4] = {1, 2, 3, 4};
    hd_merge merge;
    assert_int_equal(hd__merge_begin(NULL, "m", false, 2, 2, &merge, &err), HD_OK);
    hd__merge_rows(&merge, 0, 2, rows);
    hd__merge_end(&merge);
    hd_peft *peft = open_adapter(false, 2, 2, 2);
    assert_int_equal(hd__merge_begin(peft, "other", false, 2, 2, &merge, &err), HD_OK);
    hd__merge_rows(&merge, 0, 2, rows);
    hd__merge_end(&merge);
    assert_int_equal(hd__merge_begin(peft, "m", false, 3, 2, &merge, &err), HD_ERR_FORMAT);
    hd__merge_end(&merge);
    hd__peft_close(peft);
    assert_true(rows[0] == 1.0f && rows[1] == 2.0f && rows[2] == 3.0f && rows[3] == 4.0f);
}

/* Whatever fails to be allocated is an error, and nothing is left behind. */
static void survives_failing_allocations(void **state)
{
    (void)state;
    hd_peft *peft = open_adapter(false, 65, 70, 30);
    hd_merge merge;
    hd_status status = HD_ERR_MEMORY;
    for (uint64_t n = 0; status == HD_ERR_MEMORY; n++) {
        hd__alloc_fail_after(n, UINT64_MAX);
        status = hd__merge_begin(peft, "m", false, 30, 70, &merge, &err);
        hd__alloc_fail_off();
        hd__merge_end(&merge);
        assert_true(n > 2 || status == HD_ERR_MEMORY);
    }
    assert_int_equal(status, HD_OK);
    hd__peft_close(peft);
}

static int set_up(void **state)
{
    (void)state;
    scratch_begin(&s);
    for (size_t i = 0; i < sizeof factors / sizeof *factors; i++)
        factors[i] = any(i);
    return hd__isa_init(&err) == HD_OK ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    scratch_end(&s);
    return 0;
}

int main(void)
{
    struct CMUnitTest tests[N_LEVELS + 2] = {cmocka_unit_test(adds_nothing), cmocka_unit_test(survives_failing_allocations)};
    for (size_t i = 0; i < N_LEVELS; i++)
        tests[i + 2] =
            (struct CMUnitTest){.name = hd__isa_name(levels[i].isa), .test_func = test_level, .initial_state = &levels[i]};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
