/* cpuid_mask.c - shows a peer a smaller CPU, so that all rows of a table run on the same instruction set.
 *
 * ONNX Runtime has no switch for its instruction set: it asks CPUID and takes the best. Where the processor
 * can fault on CPUID (flag cpuid_fault, arch_prctl(ARCH_SET_CPUID), Linux 4.12) this library, loaded with
 * LD_PRELOAD, catches the fault, runs the real CPUID and clears bits in the answer. Nothing is slowed
 * down but CPUID itself, which libraries execute a few hundred times when they start.
 *
 *   HEDDLE_BENCH_ISA=avx2          no AVX-512, no AVX-VNNI, no AMX
 *   HEDDLE_BENCH_ISA=avx512_vnni   no AMX; AVX-512 with VNNI and BF16 stays
 *   HEDDLE_BENCH_ISA=native        nothing is taken away
 *
 * In every mode leaves 0x1D and 0x1E (the shape of the AMX tiles) are given their architectural values where the
 * processor has AMX but a hypervisor answers zero there: oneDNN believes the zeros and dies of SIGILL.
 *
 * Masked like this: CPUID.7 (features), CPUID.0xD.0 (state components), CPUID.0x24 (AVX10). XCR0 itself cannot be
 * masked, but nobody uses a feature whose CPUID bit is clear. The C library's own choice of memcpy is made
 * before this library is loaded and stays.
 *
 * HEDDLE_BENCH_CPUID_LOG=1 prints how many CPUIDs were answered, at exit.
 *
 *   cc -O2 -shared -fPIC -o libcpuid_mask.so cpuid_mask.c
 *   cc -O2 -DCPUID_MASK_PROBE -o cpuid_probe cpuid_mask.c      prints "ok" when faulting works here, else why
 *                                                              not; then "tiles hidden" when AMX needs the repair
 */
#define _GNU_SOURCE
#include <asm/prctl.h>
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#ifndef ARCH_SET_CPUID
#define ARCH_SET_CPUID 0x1012
#endif

#define BIT(n) (UINT32_C(1) << (n))

/* CPUID.(7,0) and (7,1): the bits that belong to each group. */
#define L7_EBX_AVX512 (BIT(16) | BIT(17) | BIT(21) | BIT(26) | BIT(27) | BIT(28) | BIT(30) | BIT(31))
#define L7_ECX_AVX512 (BIT(1) | BIT(6) | BIT(11) | BIT(12) | BIT(14))
#define L7_EDX_AVX512 (BIT(2) | BIT(3) | BIT(8) | BIT(23))
#define L7_EDX_AMX (BIT(22) | BIT(24) | BIT(25))
#define L71_EAX_AVX512 BIT(5)                        /* AVX512_BF16 */
#define L71_EAX_AVX_VNNI (BIT(4) | BIT(23))          /* AVX_VNNI, AVX_IFMA */
#define L71_EAX_AMX BIT(21)                          /* AMX_FP16 */
#define L71_EDX_AVX_VNNI (BIT(4) | BIT(5) | BIT(10)) /* AVX_VNNI_INT8, AVX_NE_CONVERT, AVX_VNNI_INT16 */
#define L71_EDX_AMX BIT(8)                           /* AMX_COMPLEX */
#define L71_EDX_AVX10 BIT(19)
#define XCR0_AVX512 (BIT(5) | BIT(6) | BIT(7))
#define XCR0_AMX (BIT(17) | BIT(18))

struct regs {
    uint32_t a, b, c, d;
};

static int hide_avx512, hide_amx;
static unsigned n_answered;

static struct regs real_cpuid(uint32_t leaf, uint32_t subleaf)
{
    struct regs r;
    __asm__ volatile("cpuid" : "=a"(r.a), "=b"(r.b), "=c"(r.c), "=d"(r.d) : "a"(leaf), "c"(subleaf));
    return r;
}

static long set_cpuid_allowed(int allowed)
{
    return syscall(SYS_arch_prctl, ARCH_SET_CPUID, (unsigned long)allowed);
}

static void mask_features(uint32_t subleaf, struct regs *r)
{
    if (subleaf == 0) {
        if (hide_avx512) {
            r->b &= ~L7_EBX_AVX512;
            r->c &= ~L7_ECX_AVX512;
            r->d &= ~L7_EDX_AVX512;
        }
        if (hide_amx)
            r->d &= ~L7_EDX_AMX;
    } else if (subleaf == 1) {
        if (hide_avx512) {
            r->a &= ~(L71_EAX_AVX512 | L71_EAX_AVX_VNNI);
            r->d &= ~(L71_EDX_AVX_VNNI | L71_EDX_AVX10);
        }
        if (hide_amx) {
            r->a &= ~L71_EAX_AMX;
            r->d &= ~L71_EDX_AMX;
        }
    }
}

/* What the architecture says about the one palette that exists: 8 tiles of 16 rows of 64 bytes. */
static void repair_tiles(uint32_t leaf, uint32_t subleaf, struct regs *r)
{
    if (r->a | r->b | r->c | r->d)
        return;
    if (leaf == 0x1D && subleaf == 0)
        r->a = 1;
    if (leaf == 0x1D && subleaf == 1)
        *r = (struct regs){.a = (1024u << 16) | 8192, .b = (8u << 16) | 64, .c = 16};
    if (leaf == 0x1E && subleaf == 0)
        r->b = (64u << 8) | 16;
}

static struct regs masked_cpuid(uint32_t leaf, uint32_t subleaf)
{
    struct regs r = real_cpuid(leaf, subleaf);
    if (leaf == 7)
        mask_features(subleaf, &r);
    if (leaf == 0xD && subleaf == 0) {
        if (hide_avx512)
            r.a &= ~XCR0_AVX512;
        if (hide_amx)
            r.a &= ~XCR0_AMX;
    }
    if (leaf == 0x24 && hide_avx512)
        r = (struct regs){0};
    if ((leaf == 0x1D || leaf == 0x1E)) {
        if (hide_amx)
            r = (struct regs){0};
        else if (real_cpuid(7, 0).d & BIT(24))
            repair_tiles(leaf, subleaf, &r);
    }
    return r;
}

static void on_fault(int signal_number, siginfo_t *info, void *context)
{
    (void)info;
    greg_t *g = ((ucontext_t *)context)->uc_mcontext.gregs;
    const unsigned char *at = (const unsigned char *)(uintptr_t)g[REG_RIP];
    if (at[0] != 0x0F || at[1] != 0xA2) { /* a real fault: let it happen again without us */
        signal(signal_number, SIG_DFL);
        return;
    }
    int saved_errno = errno;
    set_cpuid_allowed(1);
    struct regs r = masked_cpuid((uint32_t)g[REG_RAX], (uint32_t)g[REG_RCX]);
    set_cpuid_allowed(0);
    errno = saved_errno;
    g[REG_RAX] = r.a;
    g[REG_RBX] = r.b;
    g[REG_RCX] = r.c;
    g[REG_RDX] = r.d;
    g[REG_RIP] += 2;
    __atomic_fetch_add(&n_answered, 1, __ATOMIC_RELAXED);
}

static int start_masking(void)
{
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_sigaction = on_fault;
    action.sa_flags = SA_SIGINFO | SA_NODEFER;
    if (sigaction(SIGSEGV, &action, NULL) != 0 || set_cpuid_allowed(0) != 0)
        return errno;
    return 0;
}

#ifdef CPUID_MASK_PROBE

int main(void)
{
    int error = start_masking();
    if (error != 0) {
        printf("this processor or kernel cannot fault on CPUID (%s)\n", strerror(error));
        return 1;
    }
    hide_avx512 = hide_amx = 1;
    struct regs r = real_cpuid(7, 0);
    if (n_answered != 1 || (r.b & L7_EBX_AVX512) || (r.d & L7_EDX_AMX)) {
        puts("CPUID did not fault");
        return 1;
    }
    puts("ok");
    set_cpuid_allowed(1);
    if ((real_cpuid(7, 0).d & BIT(24)) && real_cpuid(0x1D, 1).b == 0)
        puts("tiles hidden");
    return 0;
}

#else

static void report(void)
{
    fprintf(stderr, "cpuid_mask: %u CPUIDs answered\n", n_answered);
}

__attribute__((constructor)) static void init(void)
{
    const char *isa = getenv("HEDDLE_BENCH_ISA");
    if (isa == NULL)
        return;
    hide_avx512 = strcmp(isa, "avx2") == 0;
    hide_amx = hide_avx512 || strcmp(isa, "avx512_vnni") == 0;
    int error = start_masking();
    if (error != 0) {
        fprintf(stderr, "cpuid_mask: CPUID cannot be masked here: %s\n", strerror(error));
        _exit(125); /* a row measured on another machine than its heading says would be worse than no row */
    }
    if (getenv("HEDDLE_BENCH_CPUID_LOG") != NULL)
        atexit(report);
}

#endif
