/* Teams: every unit of every phase is done exactly once, after all of the phase before, whoever takes part and whenever
 * they come. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "device/run.h"

enum { N_PHASES = 64, MOST_UNITS = 500, MOST_MEMBERS = 16 };

/* Sizes of the phases: none, one, fewer than members, many. */
static uint32_t n_units(int phase)
{
    static const uint32_t sizes[] = {0, 1, 2, 5, 17, 64, 0, 0, 500, 3, 100};
    return sizes[phase % (int)(sizeof sizes / sizeof sizes[0])];
}

typedef struct pass {
    hd_team team;
    int done[N_PHASES][MOST_UNITS]; /* not atomic: the phases are what keeps members apart */
    long sum[N_PHASES][MOST_UNITS]; /* each unit adds up what the phase before left */
} pass;

typedef struct member {
    pass *pass;
    hd_run run;
    int late_us;
    uint32_t n_taken;
    pthread_t thread;
} member;

static void run_pass(pass *p, hd_run *run, uint32_t *n_taken)
{
    int before = -1; /* the last phase that had units */
    for (int phase = 0; phase < N_PHASES; phase++) {
        for (hd_phase part = hd__phase_begin(run, n_units(phase)); hd__phase_take(run, &part);) {
            if (part.begin >= part.end || part.end > n_units(phase))
                abort();
            for (uint32_t i = part.begin; i < part.end; i++) {
                p->done[phase][i]++;
                p->sum[phase][i] = 1;
                for (uint32_t k = 0; before >= 0 && k < n_units(before); k++)
                    p->sum[phase][i] += p->sum[before][k] % 1000;
            }
            ++*n_taken;
        }
        before = n_units(phase) > 0 ? phase : before;
    }
}

static void *member_main(void *data)
{
    member *m = data;
    nanosleep(&(struct timespec){.tv_nsec = m->late_us * 1000}, NULL);
    run_pass(m->pass, &m->run, &m->n_taken);
    return NULL;
}

static pass *alone(void)
{
    pass *p = calloc(1, sizeof *p);
    hd_run run = {0};
    uint32_t n_taken = 0;
    run_pass(p, &run, &n_taken);
    return p;
}

static void check(const pass *p, const pass *wanted)
{
    for (int phase = 0; phase < N_PHASES; phase++)
        for (uint32_t i = 0; i < n_units(phase); i++)
            if (p->done[phase][i] != 1 || p->sum[phase][i] != wanted->sum[phase][i])
                fail_msg("phase %d, unit %u: done %d times, %ld", phase, i, p->done[phase][i], p->sum[phase][i]);
}

static void test_alone(void **state)
{
    (void)state;
    pass *p = alone();
    check(p, p);
    free(p);
}

/* n threads of a team cut for `most`; thread i comes i * late_us late. */
static void team_of(uint32_t n, uint32_t most, int late_us)
{
    pass *wanted = alone(), *p = aligned_alloc(64, (sizeof *p + 63) / 64 * 64);
    memset(p, 0, sizeof *p);
    p->team.n_members = most;
    member members[MOST_MEMBERS];
    for (uint32_t i = 0; i < n; i++) {
        members[i] = (member){.pass = p, .run = {.team = &p->team, .rank = i}, .late_us = (int)i * late_us};
        assert_int_equal(pthread_create(&members[i].thread, NULL, member_main, &members[i]), 0);
    }
    for (uint32_t i = 0; i < n; i++)
        pthread_join(members[i].thread, NULL);
    check(p, wanted);
    free(p);
    free(wanted);
}

/* Two members come towards each other, and know what they take next. */
static void test_sides(void **state)
{
    (void)state;
    enum { UNITS = 31 };
    hd_team team = {.n_members = 2};
    hd_run runs[2] = {{.team = &team}, {.team = &team, .rank = 1}};
    hd_phase phases[2] = {hd__phase_begin(&runs[0], UNITS), hd__phase_begin(&runs[1], UNITS)};
    const uint32_t step = phases[0].step, n_chunks = phases[0].n_chunks;
    assert_true(n_chunks > 4 && n_chunks < UNITS); /* several each, of several units */
    uint32_t expected[2] = {0, (n_chunks - 1) * step};
    for (uint32_t i = 0; i < n_chunks; i++) {
        hd_phase *phase = &phases[i % 2];
        assert_true(hd__phase_take(&runs[i % 2], phase));
        assert_int_equal(phase->begin, expected[i % 2]);
        assert_int_equal(phase->end, phase->begin + step < UNITS ? phase->begin + step : UNITS);
        expected[i % 2] = phase->next;
    }
    assert_int_equal(phases[n_chunks % 2].next, phases[1 - n_chunks % 2].begin); /* they have met */

    hd_run alone = {0};
    hd_phase whole = hd__phase_begin(&alone, UNITS);
    assert_true(hd__phase_take(&alone, &whole));
    assert_int_equal(whole.next, UNITS);
}

static void test_teams(void **state)
{
    (void)state;
    team_of(1, 1, 0);
    team_of(1, 8, 0); /* nobody else came */
    for (int again = 0; again < 5; again++) {
        team_of(2, 2, 0);
        team_of(3, 8, 0);
        team_of(8, 8, 0);
    }
}

static void test_late(void **state)
{
    (void)state;
    for (int late_us = 10; late_us <= 3000; late_us *= 3)
        team_of(6, 6, late_us);
}

/* Who comes when all is done passes through and takes nothing. */
static void test_too_late(void **state)
{
    (void)state;
    pass *p = aligned_alloc(64, (sizeof *p + 63) / 64 * 64);
    memset(p, 0, sizeof *p);
    p->team.n_members = 4;
    hd_run leader = {.team = &p->team}, late = {.team = &p->team, .rank = 1};
    uint32_t n_leader = 0, n_late = 0;
    run_pass(p, &leader, &n_leader);
    run_pass(p, &late, &n_late);
    assert_true(n_leader > 0);
    assert_int_equal(n_late, 0);
    assert_int_equal(late.phase, leader.phase);
    free(p);
}

/* Chunks: together all units, none empty, at most five for each member. */
static void test_chunks(void **state)
{
    (void)state;
    for (uint32_t n_members = 1; n_members <= 9; n_members++) {
        for (uint32_t n = 0; n <= 100; n++) {
            hd_team team = {.n_members = n_members};
            hd_run run = {.team = &team};
            uint32_t next = 0, n_chunks = 0;
            for (hd_phase p = hd__phase_begin(&run, n); hd__phase_take(&run, &p); n_chunks++) {
                assert_int_equal(p.begin, next);
                assert_true(p.end > p.begin);
                next = p.end;
            }
            assert_int_equal(next, n);
            assert_true(n_chunks <= 5 * n_members);
            assert_int_equal(run.phase, n > 0);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_alone), cmocka_unit_test(test_chunks), cmocka_unit_test(test_sides),
        cmocka_unit_test(test_teams), cmocka_unit_test(test_late),   cmocka_unit_test(test_too_late),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
