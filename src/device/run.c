/* run.c - see run.h. */
#include "device/run.h"

#include <sched.h>

#include "base/limits.h"

/* Chunks for each member: enough to even out unequal cores, few enough that taking them costs little. */
#define CHUNKS_PER_MEMBER 5
_Static_assert(UINT16_MAX / CHUNKS_PER_MEMBER >= HD_LIMIT_THREADS, "the counts in hd_team.state");

static void relax(uint32_t *spins)
{
    if (++*spins % 4096 == 0)
        sched_yield();
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
}

hd_phase hd__phase_begin(const hd_run *run, uint32_t n_units)
{
    hd_phase phase = {.n_units = n_units, .step = n_units, .n_chunks = n_units > 0};
    if (run->team != NULL && n_units > 0) {
        uint32_t want = run->team->n_members * CHUNKS_PER_MEMBER;
        phase.step = (n_units + want - 1) / want;
        phase.n_chunks = (n_units + phase.step - 1) / phase.step;
    }
    return phase;
}

static bool take_alone(hd_phase *phase)
{
    bool first = phase->end == 0 && phase->n_units > 0;
    phase->end = phase->next = phase->n_units;
    return first;
}

/* Chunk i becomes the one in hand. */
static void hold(hd_phase *phase, uint32_t i, bool from_end)
{
    phase->begin = i * phase->step;
    phase->end = phase->begin + phase->step < phase->n_units ? phase->begin + phase->step : phase->n_units;
    phase->next = !from_end ? phase->end : i > 0 ? phase->begin - phase->step : phase->n_units;
}

bool hd__phase_take(hd_run *run, hd_phase *phase)
{
    if (phase->n_chunks == 0)
        return false;
    hd_team *team = run->team;
    if (team == NULL)
        return take_alone(phase);

    const uint64_t mine = (uint64_t)run->phase << 32;
    if (phase->end > phase->begin &&
        atomic_fetch_add_explicit(&team->done, 1, memory_order_acq_rel) + 1 == phase->n_chunks) {
        /* The last to finish opens the next phase; nobody touches `done` in between. */
        atomic_store_explicit(&team->done, 0, memory_order_relaxed);
        atomic_store_explicit(&team->state, mine + ((uint64_t)1 << 32), memory_order_release);
    }
    const bool from_end = run->rank % 2 == 1;
    uint64_t state = atomic_load_explicit(&team->state, memory_order_acquire);
    uint32_t spins = 0;
    while (state >> 32 == run->phase) {
        const uint32_t at_begin = state & 0xffff, at_end = state >> 16 & 0xffff;
        if (at_begin + at_end >= phase->n_chunks) {
            relax(&spins);
            state = atomic_load_explicit(&team->state, memory_order_acquire);
        } else if (atomic_compare_exchange_weak_explicit(&team->state, &state, state + (from_end ? 1 << 16 : 1),
                                                         memory_order_acq_rel, memory_order_acquire)) {
            hold(phase, from_end ? phase->n_chunks - 1 - at_end : at_begin, from_end);
            return true;
        }
    }
    run->phase++;
    return false;
}
