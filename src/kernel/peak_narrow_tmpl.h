/* peak_narrow_tmpl.h - two steps of an int8 product where VPMADDUBSW is all there is, for peak_tmpl.h: five instructions, as
 * gemm_narrow_tmpl.h has them, on registers. PEAK_VEC and PEAK_KEEP as there. As assembly: equal products would be taken out
 * of the loop.
 */
static inline PEAK_VEC i8_steps(PEAK_VEC acc, PEAK_VEC a, PEAK_VEC b)
{
    PEAK_VEC sum, more;
    __asm__ volatile(
        "vpmaddubsw %4, %3, %1\n\tvpmaddubsw %4, %3, %2\n\tvpaddw %2, %1, %1\n\tvpmaddwd %4, %1, %1\n\tvpaddd %1, %0, %0"
        : "+" PEAK_KEEP(acc), "=&" PEAK_KEEP(sum), "=&" PEAK_KEEP(more)
        : PEAK_KEEP(a), PEAK_KEEP(b));
    return acc;
}
