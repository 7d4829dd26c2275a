/* peak_tmpl.h - one loop of peak.h: PEAK_NAME its symbol, PEAK_VEC the vector, PEAK_KEEP the assembler constraint of
 * its registers, PEAK_STEPS the chains, PEAK_DOT(acc, a, b) one step. The empty assembler statements keep the values
 * unknown to the compiler.
 */
void PEAK_NAME(uint64_t turns)
{
    PEAK_VEC acc[PEAK_STEPS] = {0}, a = {0}, b = {0};
    __asm__ volatile("" : "+" PEAK_KEEP(a), "+" PEAK_KEEP(b));
#pragma GCC unroll 24
    for (int c = 0; c < PEAK_STEPS; c++) /* chains known to be equal would be computed once */
        __asm__ volatile("" : "+" PEAK_KEEP(acc[c]));
    for (uint64_t i = 0; i < turns; i++) {
#pragma GCC unroll 24
        for (int c = 0; c < PEAK_STEPS; c++)
            acc[c] = PEAK_DOT(acc[c], a, b);
    }
#pragma GCC unroll 24
    for (int c = 0; c < PEAK_STEPS; c++)
        __asm__ volatile("" : : PEAK_KEEP(acc[c]));
}
#undef PEAK_NAME
#undef PEAK_VEC
#undef PEAK_KEEP
#undef PEAK_STEPS
#undef PEAK_DOT
