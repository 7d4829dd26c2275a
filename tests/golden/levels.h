/* levels.h - the levels of instruction sets at which goldens are compared, lowest first, and at which of them an encoder has
 * kernels of its own.
 */
#ifndef HD_TESTS_LEVELS_H
#define HD_TESTS_LEVELS_H

#include <string.h>

#include "kernel/kernels.h"

typedef struct tested_level {
    hd_isa isa;
    const char *mask; /* leaves this level and those it is built on */
} tested_level;

static tested_level levels[] = {
    {HD_ISA_BASE, "-avx2,-neon"},
    {HD_ISA_NEON, "-dotprod"},
    {HD_ISA_DOTPROD, ""},
    {HD_ISA_AVX2, "-avx-vnni,-avx512"},
    {HD_ISA_AVXVNNI, "-avx512"},
    {HD_ISA_AVX512, "-avx-vnni,-avx512-vnni,-avx512-bf16,-amx"},
    {HD_ISA_VNNI, "-avx512-bf16,-amx"},
    {HD_ISA_BF16, "-amx"},
    {HD_ISA_AMX, ""},
};

enum { N_LEVELS = sizeof levels / sizeof levels[0] };

/* What an encoder of a type, f32 to int8, computes with; architecture_test.c makes sure that nothing else is called. Heads
 * are f32 in each of them. */
enum { N_USED = 11 };
static const char *const used[K_I8 + 1][N_USED] = {
#define FOR_ALL "gemm_f32", "attention_f32", "norm", "convert", "embed", "rotary", "pool_sum", "pool_max", "dot"
    [K_F32] = {FOR_ALL},
    [K_BF16] = {FOR_ALL, "gemm_bf16", "attention_bf16"},
    [K_I8] = {FOR_ALL, "gemm_i8", "attention_bf16"},
#undef FOR_ALL
};

static inline bool is_used(k_type type, const char *entry)
{
    bool is = false;
    for (size_t i = 0; i < N_USED && used[type][i] != NULL; i++)
        is = is || strcmp(used[type][i], entry) == 0;
    return is;
}

/* Whether an encoder of this type computes with other kernels than at the last level asked for; else it makes the same bits
 * once more. */
static inline bool level_differs(k_type type)
{
    static const hd_kernel_row *chosen[K_I8 + 1][N_USED];
    bool differs = false;
    for (size_t i = 0; i < N_USED && used[type][i] != NULL; i++) {
        const hd_kernel_row *row = hd__kernel_chosen(used[type][i]);
        differs = differs || row != chosen[type][i];
        chosen[type][i] = row;
    }
    return differs;
}

#endif
