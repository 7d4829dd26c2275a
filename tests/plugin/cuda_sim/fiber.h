/* fiber.h - several stacks of one thread of the host. Changes are the compiler's __builtin_setjmp and __builtin_longjmp,
 * which cost a few nanoseconds: the sum of a warp is hundreds of them.
 */
#ifndef CUDA_SIM_FIBER_H
#define CUDA_SIM_FIBER_H

#include <stddef.h>

#define FIBER_STACK_BYTES ((size_t)256 << 10)

typedef void *fiber_place[5]; /* where one goes on */

/* Leaves what runs at `from`, and goes on at `to`, until somebody goes on at `from`. */
void fiber_change(fiber_place from, fiber_place to);

char *fiber_stack(void);

/* Leaves what runs at `from`, and calls a function, which never returns, on a stack that is new. Returns when somebody goes
 * on at `from`. */
void fiber_begin(fiber_place from, char *stack, void (*live)(unsigned number), unsigned number);

#endif
