/* grid.h - runs a kernel's blocks on this machine, one after the other. The threads of a block are fibers of one thread of
 * the host: each runs until it waits for others, at a barrier of the block or at an exchange of its warp, so that what lies
 * between two barriers runs in the order that the seed says, whole threads at a time. Which is what a kernel that misses a
 * barrier does not stand.
 *
 * A kernel's mistake ends the process with one line: a barrier or an exchange that not all threads reach, and what access.h
 * finds. C and C++: the device's side (device_code.h) includes it, too.
 */
#ifndef CUDA_SIM_GRID_H
#define CUDA_SIM_GRID_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
    SIM_LANES = 32,
    SIM_MOST_THREADS = 1024,
    SIM_SHARED_BYTES = 64 << 10, /* of a block at most: what sm_75 has, the least of the architectures built for */
    SIM_EXCHANGE_WORDS = 8
};

typedef struct sim_dims {
    unsigned x, y, z;
} sim_dims;

typedef struct sim_kernel {
    const char *name;
    size_t parameter_bytes;
    void (*run)(const void *parameters);
} sim_kernel;

/* The kernels of one file, closed by one without a name. */
extern const sim_kernel sim_kernels_rows[], sim_kernels_product[], sim_kernels_attention[], sim_kernels_tensor_attention[],
    sim_kernels_heads[], sim_kernels_faults[];

typedef struct sim_launch {
    const sim_kernel *kernel;
    sim_dims blocks, threads;
    size_t shared_bytes;
    const void *parameters; /* aligned to 16 bytes */
} sim_launch;

/* One launch at a time: the caller holds the device's lock. */
void sim_grid_run(const sim_launch *launch);

/* "ascending" (NULL, too), "descending", or a number: shuffled anew for each block, from that seed. */
void sim_grid_order(const char *order);

/* ---- for kernels ---- */

/* What a thread sees of itself. */
typedef struct sim_machine {
    const sim_dims *thread;
    sim_dims block, n_threads, n_blocks;
} sim_machine;
extern sim_machine sim_now;

void sim_barrier(void);
int sim_barrier_and(int value);
void sim_warp_barrier(uint32_t mask);

/* Gives up to SIM_EXCHANGE_WORDS words to the warp; what all lanes gave, until the lane's next but one exchange. */
typedef uint32_t sim_words[SIM_EXCHANGE_WORDS];
const sim_words *sim_exchange(uint32_t mask, const uint32_t *words, size_t n);

/* ---- for access.c ---- */

typedef struct sim_place {
    uint32_t block_serial; /* counted through all launches, from 2 on; 1 is the host */
    uint32_t first_serial; /* of this launch */
    uint32_t interval;     /* barriers of the block so far */
    uint32_t warp_interval, thread;
} sim_place;
void sim_grid_place(sim_place *place);

/* A block's shared memory: variables of this thread of the host. */
void sim_grid_shared(char **begin, char **end, char **dynamic, char **dynamic_end);

/* Whether bytes are the running thread's own: its stack, its parameters, what it sees of itself and of
 * its warp. */
int sim_grid_is_own(const char *address, size_t bytes);

/* Ends the process with one line. */
__attribute__((noreturn, format(printf, 1, 2), visibility("default"))) void sim_fault(const char *format, ...);

#ifdef __cplusplus
}
#endif

#endif
