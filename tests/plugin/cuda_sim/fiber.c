/* fiber.c - see fiber.h. A file of its own: where the compiler sees both sides of a change, it keeps values in registers
 * that other fibers use.
 */
#include "fiber.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <ucontext.h>

/* Stacks begin at different places of their pages, or all would share a few lines of the caches. */
#define N_COLOURS 61
#define COLOUR_BYTES ((size_t)832)

static __attribute__((noinline, noreturn)) void jump_to(fiber_place to)
{
    __builtin_longjmp(to, 1);
}

void fiber_change(fiber_place from, fiber_place to)
{
    if (__builtin_setjmp(from) == 0)
        jump_to(to);
}

char *fiber_stack(void)
{
    char *stack = mmap(NULL, FIBER_STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (stack == MAP_FAILED)
        abort();
    return stack;
}

void fiber_begin(fiber_place from, char *stack, void (*live)(unsigned number), unsigned number)
{
    static ucontext_t left; /* never gone back to */
    ucontext_t context;
    if (getcontext(&context) != 0)
        abort();
    context.uc_stack.ss_sp = stack;
    context.uc_stack.ss_size = FIBER_STACK_BYTES - number % N_COLOURS * COLOUR_BYTES;
    context.uc_link = NULL;
    makecontext(&context, (void (*)(void))live, 1, number);
    if (__builtin_setjmp(from) == 0)
        swapcontext(&left, &context);
}
