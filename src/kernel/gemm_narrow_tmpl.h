/* gemm_narrow_tmpl.h - operands of gemm_i8_tmpl.h where VPMADDUBSW is all there is: four products are summed in 16 bits,
 * which the packing of the weights keeps from overflowing (K_I8_NARROW_SUM in gemm.h). Include a vec_*.h of x86 before.
 */
typedef struct gt_a {
    vi first, second; /* of two steps */
} gt_a;
typedef const vi *gt_b; /* left in memory: an operand from there costs no instruction of its own */
static inline gt_a gt_a_load(const char *p)
{
    const int32_t *four = (const int32_t *)(const void *)p;
    return (gt_a){vi_set1(four[0]), vi_set1(four[1])};
}
static inline gt_b gt_b_load(const char *p)
{
    return (gt_b)(const void *)p;
}
/* As assembly: GCC 12 runs out of registers when the loop is unrolled. */
static inline vi gt_dot(vi acc, gt_a a, gt_b b)
{
    vi sum, more;
    __asm__("vpmaddubsw %4, %3, %1\n\tvpmaddubsw %6, %5, %2\n\tvpaddw %2, %1, %1\n\tvpmaddwd %7, %1, %1\n\tvpaddd %1, %0, %0"
            : "+v"(acc), "=&v"(sum), "=&v"(more)
            : "v"(a.first), "m"(b[0]), "v"(a.second), "m"(b[64 / sizeof *b]), "v"(vi_set1(0x00010001)));
    return acc;
}
