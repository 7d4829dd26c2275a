/* peak.h - loops that do nothing but multiply and add in registers, one for each way a type has to do so. The
 * best of them is what a core can reach (kernels.h, hd__kernel_peak_gflops).
 */
#ifndef HD_KERNEL_PEAK_H
#define HD_KERNEL_PEAK_H

#include <stdint.h>

/* Each turn of a loop is so many independent multiply-adds of one vector or tile: enough to hide the latency, few
 * enough for the registers there are. */
#define PEAK_CHAINS 12
#define PEAK_CHAINS_AVX512 24
#define PEAK_CHAINS_AMX 4

typedef void k_peak_fn(uint64_t turns);

k_peak_fn k_peak_f32_base;
k_peak_fn k_peak_f32_avx2, k_peak_i8_avx2;
k_peak_fn k_peak_i8_avxvnni;
k_peak_fn k_peak_f32_avx512, k_peak_i8_avx512;
k_peak_fn k_peak_i8_vnni;
k_peak_fn k_peak_bf16_bf16;
k_peak_fn k_peak_bf16_amx, k_peak_i8_amx;
k_peak_fn k_peak_f32_neon, k_peak_i8_neon;
k_peak_fn k_peak_i8_dotprod;

#endif
