/* kernels.c - from the list of kernels to the table in use. Compiled at baseline. See kernels.h. */
#include "kernel/kernels.h"

#include <string.h>

/* Declarations. */
#define K(entry, type, isa, symbol) type symbol;
#include "kernel/kernels.inc"
#undef K

static const hd_kernel_row rows[] = {
#define K(entry, type, isa, symbol) {#entry, #symbol, isa, (k_any_fn *)symbol},
#include "kernel/kernels.inc"
#undef K
};

const hd_kernel_row *hd__kernel_rows(size_t *n)
{
    *n = sizeof rows / sizeof rows[0];
    return rows;
}

/* Capability is not policy: slow bfloat16 products are passed over, the level's other kernels are not. */
static bool worth(const char *entry, hd_isa isa)
{
    bool product = strcmp(entry, "gemm_bf16") == 0 || strcmp(entry, "attention_bf16") == 0;
    return hd__isa_has(isa) && (isa != HD_ISA_BF16 || !product || hd__isa_fast_bf16());
}

const hd_kernel_row *hd__kernel_chosen(const char *entry)
{
    const hd_kernel_row *chosen = NULL;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (strcmp(rows[i].entry, entry) == 0 && worth(entry, rows[i].isa))
            chosen = &rows[i];
    }
    return chosen;
}

void hd__kernels_fill(hd_kernels *kernels)
{
    *kernels = (hd_kernels){0};
#define K(entry, type, isa, symbol)                                                                                         \
    if (worth(#entry, isa))                                                                                                 \
        kernels->entry = symbol;
#include "kernel/kernels.inc"
#undef K
    kernels->i8_narrow = hd__isa_has(HD_ISA_AVX2) && !hd__isa_has(HD_ISA_AVXVNNI) && !hd__isa_has(HD_ISA_VNNI);
    kernels->i8_act_max = kernels->i8_narrow ? K_I8_NARROW_ACT_MAX : K_I8_ACT_MAX;
    kernels->i8_out_type = hd__isa_has(HD_ISA_AMX) ? K_BF16 : K_F32; /* tiles wait for caches, the others do not */
    kernels->bf16_native = hd__isa_fast_bf16() || hd__isa_has(HD_ISA_AMX);
    kernels->bf16_attention_fast = kernels->bf16_native || hd__isa_has(HD_ISA_VNNI);
}
