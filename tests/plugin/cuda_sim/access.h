/* access.h - a device's memory, and what each read and write of it by a kernel is held against, as compute-sanitizer does on
 * a GPU: memory that is there (memcheck), that was written before (initcheck), and that no other thread reads or writes
 * without a barrier between (racecheck); addresses that are multiples of what is read at once.
 *
 * The compiler calls for each access: kernels are compiled as for ThreadSanitizer, whose functions access.c has in its
 * place. Without SIM_CHECKS nothing is looked at, and the rest is several times as fast.
 *
 * Each allocation has pages of its own, at their end, with one that nobody may touch on both sides. While no operation runs,
 * nobody may touch any of it: the host that reads behind a device's address ends with a fault.
 */
#ifndef CUDA_SIM_ACCESS_H
#define CUDA_SIM_ACCESS_H

#include <stdbool.h>
#include <stddef.h>

typedef struct sim_memory sim_memory;

/* Full of NaNs, the first megabyte at least, at a multiple of 256. NULL: this machine has none. With the device's lock, as
 * all that follows. */
sim_memory *sim_memory_new(size_t bytes);
void sim_memory_free(sim_memory *memory);
char *sim_memory_address(const sim_memory *memory);
sim_memory *sim_memory_find(const char *address); /* that begins there; NULL: none */

/* Around operations. */
void sim_memory_open(void);
void sim_memory_close(void);

#pragma GCC visibility push(default)
/* What an operation of the driver's or of a library's reads or writes; a mistake ends the process. */
void sim_check_range(const char *what, const void *address, size_t bytes, bool writes);

/* Whether all of it was written before; true where nothing is looked at. */
bool sim_check_is_written(const void *address, size_t bytes);
#pragma GCC visibility pop

#endif
