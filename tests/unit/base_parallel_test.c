/* Pieces of work by several threads: each once, workers apart, the first failure reported. */
#include "base/parallel.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>

#include <cmocka.h>

enum { N_THREADS = 4, N_PIECES = 1000 };

typedef struct counts {
    _Atomic int pieces[N_PIECES], inside[N_THREADS];
    _Atomic int n_clashes;
    size_t fails_from; /* pieces from here on fail */
} counts;

static hd_status count(void *data, size_t piece, uint32_t worker, hd_error *err)
{
    counts *c = data;
    if (worker >= N_THREADS || atomic_fetch_add(&c->inside[worker], 1) != 0)
        atomic_fetch_add(&c->n_clashes, 1);
    atomic_fetch_add(&c->pieces[piece], 1);
    for (volatile int i = 0; i < 1000; i++)
        continue;
    atomic_fetch_sub(&c->inside[worker], 1);
    return piece < c->fails_from ? HD_OK : hd__fail(err, HD_ERR_FORMAT, "piece %zu", piece);
}

static void each_piece_once(void **state)
{
    (void)state;
    for (uint32_t n_threads = 1; n_threads <= N_THREADS; n_threads++) {
        counts c = {.fails_from = N_PIECES};
        assert_int_equal(hd__parallel(n_threads, N_PIECES, count, &c, NULL), HD_OK);
        for (size_t i = 0; i < N_PIECES; i++)
            assert_int_equal(c.pieces[i], 1);
        assert_int_equal(c.n_clashes, 0);
    }
}

static void nothing_to_do(void **state)
{
    (void)state;
    counts c = {.fails_from = 0};
    assert_int_equal(hd__parallel(0, 0, count, &c, NULL), HD_OK);
    assert_int_equal(hd__parallel(N_THREADS, 0, count, &c, NULL), HD_OK);
    assert_int_equal(c.pieces[0], 0);
}

static void a_failure_ends_it(void **state)
{
    (void)state;
    hd_error err;
    counts alone = {.fails_from = 10};
    assert_int_equal(hd__parallel(1, N_PIECES, count, &alone, &err), HD_ERR_FORMAT);
    assert_string_equal(err.text, "piece 10");
    assert_int_equal(alone.pieces[11], 0);
    counts several = {.fails_from = 10};
    assert_int_equal(hd__parallel(N_THREADS, N_PIECES, count, &several, &err), HD_ERR_FORMAT);
    assert_int_equal(several.pieces[N_PIECES - 1], 0);
    assert_int_equal(hd__parallel(N_THREADS, N_PIECES, count, &several, NULL), HD_ERR_FORMAT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_piece_once),
        cmocka_unit_test(nothing_to_do),
        cmocka_unit_test(a_failure_ends_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
