/* run.h - one forward pass and who takes part in it.
 *
 * A pass is a sequence of phases (one for each device operation, or part of one). Every member of a team runs
 * the same code; in each phase the work is cut into chunks, members take chunks until none is left, and nobody
 * goes on before all chunks are finished. Work is taken, not assigned: a member that joins late, or whose core is
 * taken away by the machine, costs nothing but its share. Every second member takes from the end, so that what two
 * of them take lies side by side: each can fetch ahead what it takes next. A pass alone (team NULL) takes each phase
 * whole and touches no atomic.
 *
 * Which member does a chunk never changes a bit of the result: kernels promise that (kernel/gemm.h and others).
 */
#ifndef HD_DEVICE_RUN_H
#define HD_DEVICE_RUN_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* Shared by the members of one pass; zeroed before it begins. */
typedef struct hd_team {
    _Alignas(64) _Atomic uint64_t state; /* phase << 32 | chunks taken from the end << 16 | from the beginning */
    _Alignas(64) _Atomic uint32_t done;  /* chunks of the phase finished */
    _Alignas(64) uint32_t n_members;     /* most that may take part: how finely to cut */
} hd_team;

/* One member's view. */
typedef struct hd_run {
    hd_team *team;                         /* NULL: alone */
    uint32_t rank;                         /* this member's scratch, below team->n_members */
    uint32_t phase;                        /* phases passed */
    const struct hd_device_stream *stream; /* where operations are called; NULL: on the CPU */
} hd_run;

/* The part of a phase this member is working on: units [begin, end). */
typedef struct hd_phase {
    uint32_t n_units, step, n_chunks; /* step units to a chunk */
    uint32_t begin, end;
    uint32_t next; /* where the chunk begins that this member is likely to take next; n_units: none */
} hd_phase;

/* Begins a phase of n_units (may be 0). Members pass the same numbers in the same order. */
hd_phase hd__phase_begin(const hd_run *run, uint32_t n_units);

/* Finishes the chunk in hand, if any, and takes the next into [begin, end); false when the whole phase is done.
 *   for (hd_phase p = hd__phase_begin(run, n); hd__phase_take(run, &p);) work(p.begin, p.end); */
bool hd__phase_take(hd_run *run, hd_phase *phase);

#endif
