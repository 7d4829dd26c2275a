/* isa.h - which instruction sets this process may use.
 *
 * A level is a named bundle. It is granted when three answers agree: CPUID has every feature of the bundle,
 * XCR0 says that the operating system saves its registers, and, for AMX, the kernel's permission call
 * succeeded (it is made once, by hd__isa_init). HEDDLE_CPU=-amx,-avx512 can only remove levels; removing
 * one removes those built on it. Off x86-64 the level is neon (and its dot-product extension).
 *
 * Sources: Intel SDM volume 1 chapters 13 to 18, volume 2 CPUID; Linux Documentation/arch/x86/xstate.rst.
 */
#ifndef HD_CPU_ISA_H
#define HD_CPU_ISA_H

#include "base/status.h"

typedef enum hd_isa {
    HD_ISA_BASE,    /* portable C, the reference kernels */
    HD_ISA_AVX2,    /* + FMA, F16C */
    HD_ISA_AVXVNNI, /* 256-bit int8 dot product */
    HD_ISA_AVX512,  /* F, BW, DQ, VL */
    HD_ISA_VNNI,    /* AVX-512 int8 dot product */
    HD_ISA_BF16,    /* AVX-512 bfloat16 dot product */
    HD_ISA_AMX,     /* tiles: int8 and bfloat16 */
    HD_ISA_NEON,
    HD_ISA_DOTPROD, /* Arm 8-bit dot product */
    HD_ISA_COUNT
} hd_isa;

const char *hd__isa_name(hd_isa isa); /* "base", "avx2", "avx-vnni", "avx512", "avx512-vnni", "avx512-bf16", "amx", … */

/* Detects once, then applies the HEDDLE_CPU mask. HD_ERR_ARG for an unknown name in the mask.
 * Idempotent and thread-safe; later calls return the first call's answer. */
HD_MUST_USE hd_status hd__isa_init(hd_error *err);

/* Whether a level is granted. Before hd__isa_init only BASE is. */
bool hd__isa_has(hd_isa isa);

/* Whether VDPBF16PS is granted and faster than f32 multiply-adds. Intel's cores run it at half their rate
 * (docs/SPEED.md), AMD's at twice. */
bool hd__isa_fast_bf16(void);

/* Why a level is or is not granted: "granted", "not in CPUID", "not enabled by the operating system",
 * "refused by the kernel (errno …)", "a level it is built on is missing", "belongs to another architecture",
 * "removed by HEDDLE_CPU". Static text. */
const char *hd__isa_reason(hd_isa isa);

/* Removes levels as HEDDLE_CPU would ("-amx,-avx512"), starting from what was detected; "" restores all.
 * For tests and kcheck, before other threads run kernels. */
HD_MUST_USE hd_status hd__isa_set_mask(const char *mask, hd_error *err);

/* What a mask leaves of a set of levels (bit i is level i): those it names go, and those built on them.
 * Pure; the two functions above are made of it. HD_ERR_ARG for a name that is not a level's. */
HD_MUST_USE hd_status hd__isa_apply_mask(uint32_t from, const char *mask, uint32_t *result, hd_error *err);

#endif
