/* levels.h - the levels of instruction sets at which goldens are compared, lowest first, and at which of them an encoder has
 * kernels of its own.
 */
#ifndef HD_TESTS_LEVELS_H
#define HD_TESTS_LEVELS_H

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

/* Whether an encoder of this type, f32 to int8, computes with other kernels than at the last level asked for; else it makes
 * the same bits once more. */
static inline bool level_differs(k_type type)
{
    static const char *const products[] = {[K_F32] = "gemm_f32", [K_BF16] = "gemm_bf16", [K_I8] = "gemm_i8"};
    static const char *const others[] = {"attention_f32", "norm",     "convert", "embed",      "rotary",
                                         "pool_sum",      "pool_max", "dot",     "maxsim_f32", "maxsim_bf16"};
    enum { N_OTHERS = sizeof others / sizeof others[0] };
    static const hd_kernel_row *chosen[K_I8 + 1][N_OTHERS + 2];
    bool differs = false;
    for (size_t i = 0; i < N_OTHERS + 2; i++) {
        const char *entry = i < N_OTHERS ? others[i] : i == N_OTHERS ? products[type] : "attention_bf16";
        const hd_kernel_row *row = type == K_F32 && i > N_OTHERS ? NULL : hd__kernel_chosen(entry); /* f32 has its own */
        differs = differs || row != chosen[type][i];
        chosen[type][i] = row;
    }
    return differs;
}

#endif
