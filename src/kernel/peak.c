/* peak.c - what a core's arithmetic units reach; see peak.h. Compiled at baseline. */
#include "kernel/peak.h"

#include "base/clock.h"
#include "kernel/kernels.h"

/* Portable C: four lanes at a time if the compiler likes. */
void k_peak_f32_base(uint64_t turns)
{
    float acc[PEAK_CHAINS][4] = {{0}}, a = 0.5f, b = 0.25f;
    __asm__ volatile("" : "+m"(a), "+m"(b), "+m"(acc));
    for (uint64_t i = 0; i < turns; i++) {
        for (int c = 0; c < PEAK_CHAINS; c++)
            for (int lane = 0; lane < 4; lane++)
                acc[c][lane] = acc[c][lane] * a + b;
    }
    __asm__ volatile("" : : "m"(acc));
}

/* For each type the ways it is multiplied. */
static const struct {
    k_type type;
    hd_isa isa;
    k_peak_fn *loop;
    double flops; /* of one turn: two for each product */
} ways[] = {
    {K_F32, HD_ISA_BASE, k_peak_f32_base, PEAK_CHAINS * 4 * 2},
    {K_BF16, HD_ISA_BASE, k_peak_f32_base, PEAK_CHAINS * 4 * 2},
    {K_I8, HD_ISA_BASE, k_peak_f32_base, PEAK_CHAINS * 4 * 2},
#if defined(__x86_64__)
    {K_F32, HD_ISA_AVX2, k_peak_f32_avx2, PEAK_CHAINS * 8 * 2},
    {K_F32, HD_ISA_AVX512, k_peak_f32_avx512, PEAK_CHAINS_AVX512 * 16 * 2},
    {K_BF16, HD_ISA_AVX2, k_peak_f32_avx2, PEAK_CHAINS * 8 * 2},
    {K_BF16, HD_ISA_AVX512, k_peak_f32_avx512, PEAK_CHAINS_AVX512 * 16 * 2},
    {K_BF16, HD_ISA_BF16, k_peak_bf16_bf16, PEAK_CHAINS_AVX512 * 32 * 2},
    {K_BF16, HD_ISA_AMX, k_peak_bf16_amx, PEAK_CHAINS_AMX * 16 * 16 * 32 * 2},
    {K_I8, HD_ISA_AVX2, k_peak_i8_avx2, PEAK_CHAINS * 64 * 2},
    {K_I8, HD_ISA_AVX512, k_peak_i8_avx512, PEAK_CHAINS_AVX512 * 128 * 2},
    {K_I8, HD_ISA_AVXVNNI, k_peak_i8_avxvnni, PEAK_CHAINS * 32 * 2},
    {K_I8, HD_ISA_VNNI, k_peak_i8_vnni, PEAK_CHAINS_AVX512 * 64 * 2},
    {K_I8, HD_ISA_AMX, k_peak_i8_amx, PEAK_CHAINS_AMX * 16 * 16 * 64 * 2},
#elif defined(__aarch64__)
    {K_F32, HD_ISA_NEON, k_peak_f32_neon, PEAK_CHAINS * 4 * 2},
    {K_BF16, HD_ISA_NEON, k_peak_f32_neon, PEAK_CHAINS * 4 * 2},
    {K_I8, HD_ISA_NEON, k_peak_i8_neon, PEAK_CHAINS * 8 * 2},
    {K_I8, HD_ISA_DOTPROD, k_peak_i8_dotprod, PEAK_CHAINS * 16 * 2},
#endif
};

double hd__kernel_peak_gflops(k_type type, uint32_t milliseconds)
{
    /* Short spans, the best of which was disturbed by nothing; the first ones also wake the units up. All ways are
     * tried in turn, because a higher level's instruction is not faster everywhere. */
    const uint64_t turns = 5000;
    double best = 0.0;
    uint64_t now = hd__now_ns(), end = now + (uint64_t)milliseconds * 1000000u;
    while (now < end) {
        for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
            if (ways[i].type != type || !hd__isa_has(ways[i].isa))
                continue;
            now = hd__now_ns();
            ways[i].loop(turns);
            uint64_t after = hd__now_ns();
            double gflops = ways[i].flops * (double)turns / (double)(after - now);
            best = gflops > best ? gflops : best;
            now = after;
        }
    }
    return best;
}
