/* isa.c - see isa.h.
 *
 * One table states for each level its name and the levels it is built on; detection, the mask and the
 * answers all read it. On x86-64 a level comes from CPUID leaves 1 and 7 and from XCR0 (XGETBV, register 0):
 * bits 1-2 are the XMM and YMM state, 5-7 the mask and ZMM state, 17-18 the tile state. Tile state is large,
 * so Linux hands it out only to a process that asks: arch_prctl(ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA).
 * On 64-bit Arm the kernel's own verdict is in the auxiliary vector (AT_HWCAP).
 */
#include "cpu/isa.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/span.h"

#if defined(__x86_64__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#elif defined(__aarch64__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

#define BIT(isa) (1u << (isa))

/* `needs` is complete, not only the next level down, and says what the level's files are compiled with. */
static const struct {
    const char *name;
    uint32_t needs;
} levels[HD_ISA_COUNT] = {
    [HD_ISA_BASE] = {"base", 0},
    [HD_ISA_AVX2] = {"avx2", 0},
    [HD_ISA_AVXVNNI] = {"avx-vnni", BIT(HD_ISA_AVX2)},
    [HD_ISA_AVX512] = {"avx512", BIT(HD_ISA_AVX2)},
    [HD_ISA_VNNI] = {"avx512-vnni", BIT(HD_ISA_AVX2) | BIT(HD_ISA_AVX512)},
    [HD_ISA_BF16] = {"avx512-bf16", BIT(HD_ISA_AVX2) | BIT(HD_ISA_AVX512) | BIT(HD_ISA_VNNI)},
    [HD_ISA_AMX] = {"amx", BIT(HD_ISA_AVX2) | BIT(HD_ISA_AVX512) | BIT(HD_ISA_VNNI) | BIT(HD_ISA_BF16)},
    [HD_ISA_NEON] = {"neon", 0},
    [HD_ISA_DOTPROD] = {"dotprod", BIT(HD_ISA_NEON)},
};

static const char granted_text[] = "granted";
static const char absent_text[] = "not in CPUID";
static const char incomplete_text[] = "a level it is built on is missing";
static const char foreign_text[] = "belongs to another architecture";
static const char removed_text[] = "removed by HEDDLE_CPU";

static const char *detected_reasons[HD_ISA_COUNT]; /* written once, inside `once` */
static uint32_t detected;                          /* the same */
static atomic_uint granted = BIT(HD_ISA_BASE);
static pthread_once_t once = PTHREAD_ONCE_INIT;
static hd_error init_error; /* status HD_OK when HEDDLE_CPU was understood; written inside `once` */

const char *hd__isa_name(hd_isa isa)
{
    return (unsigned)isa < HD_ISA_COUNT ? levels[isa].name : "";
}

#if defined(__x86_64__)
/* Feature bits, named here because compilers differ in which of them their headers know. */
static const uint32_t leaf1_ecx_avx = 1u << 12 | 1u << 20 | 1u << 23 | 1u << 28 | 1u << 29; /* FMA SSE4.2 POPCNT AVX F16C */
static const uint32_t leaf1_ecx_osxsave = 1u << 27;
static const uint32_t leaf7_ebx_avx2 = 1u << 5;
static const uint32_t leaf7_ebx_avx512 = 1u << 16 | 1u << 17 | 1u << 30 | 1u << 31; /* F DQ BW VL */
static const uint32_t leaf7_ecx_vnni = 1u << 11;
static const uint32_t leaf7_edx_amx = 1u << 22 | 1u << 24 | 1u << 25; /* BF16 TILE INT8 */
static const uint32_t leaf71_eax_avxvnni = 1u << 4;
static const uint32_t leaf71_eax_bf16 = 1u << 5;
static const uint64_t xcr0_ymm = 0x6, xcr0_zmm = 0xE6, xcr0_tile = 0x600E6;

static uint64_t read_xcr0(void)
{
    uint32_t low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (uint64_t)high << 32 | low;
}

/* The permission call; NULL when tiles may be used, else why not. */
static const char *ask_for_tiles(void)
{
    enum { ARCH_REQ_XCOMP_PERM = 0x1023, XFEATURE_XTILEDATA = 18 };
    static char refused[64]; /* written once, inside `once` */
    if (syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) == 0)
        return NULL;
    snprintf(refused, sizeof refused, "refused by the kernel (errno %d)", errno);
    return refused;
}

static const char *x86_reason(bool in_cpuid, uint64_t xcr0, uint64_t needs_xcr0)
{
    if (!in_cpuid)
        return absent_text;
    return (xcr0 & needs_xcr0) == needs_xcr0 ? granted_text : "not enabled by the operating system";
}

/* "GenuineIntel" in CPUID leaf 0. */
static bool is_intel(void)
{
    uint32_t a = 0, b = 0, c = 0, d = 0; /* and so they stay without leaf 0 */
    return __get_cpuid(0, &a, &b, &c, &d) != 0 && b == 0x756e6547u && d == 0x49656e69u && c == 0x6c65746eu;
}

static void detect_native(void)
{
    uint32_t a, b, c, d, leaf1_c = 0, last7 = 0, b7 = 0, c7 = 0, d7 = 0, a71 = 0;
    if (!__get_cpuid(1, &a, &b, &leaf1_c, &d) || !__get_cpuid_count(7, 0, &last7, &b7, &c7, &d7))
        last7 = 0;
    if (last7 >= 1)
        __cpuid_count(7, 1, a71, b, c, d);
    uint64_t xcr0 = (leaf1_c & leaf1_ecx_osxsave) != 0 ? read_xcr0() : 0;

    bool avx2 = (leaf1_c & leaf1_ecx_avx) == leaf1_ecx_avx && (b7 & leaf7_ebx_avx2) != 0;
    detected_reasons[HD_ISA_AVX2] = x86_reason(avx2, xcr0, xcr0_ymm);
    detected_reasons[HD_ISA_AVXVNNI] = x86_reason((a71 & leaf71_eax_avxvnni) != 0, xcr0, xcr0_ymm);
    detected_reasons[HD_ISA_AVX512] = x86_reason((b7 & leaf7_ebx_avx512) == leaf7_ebx_avx512, xcr0, xcr0_zmm);
    detected_reasons[HD_ISA_VNNI] = x86_reason((c7 & leaf7_ecx_vnni) != 0, xcr0, xcr0_zmm);
    detected_reasons[HD_ISA_BF16] = x86_reason((a71 & leaf71_eax_bf16) != 0, xcr0, xcr0_zmm);
    detected_reasons[HD_ISA_AMX] = x86_reason((d7 & leaf7_edx_amx) == leaf7_edx_amx, xcr0, xcr0_tile);
    const char *refused = detected_reasons[HD_ISA_AMX] == granted_text ? ask_for_tiles() : NULL;
    if (refused != NULL)
        detected_reasons[HD_ISA_AMX] = refused;
}
#elif defined(__aarch64__)
static bool is_intel(void)
{
    return false;
}

static void detect_native(void)
{
    unsigned long caps = getauxval(AT_HWCAP);
    detected_reasons[HD_ISA_NEON] = (caps & HWCAP_ASIMD) != 0 ? granted_text : absent_text;
    detected_reasons[HD_ISA_DOTPROD] = (caps & HWCAP_ASIMDDP) != 0 ? granted_text : absent_text;
}
#else
static bool is_intel(void)
{
    return false;
}

static void detect_native(void) {}
#endif

static void detect(void)
{
    for (int i = 0; i < HD_ISA_COUNT; i++)
        detected_reasons[i] = foreign_text;
    detected_reasons[HD_ISA_BASE] = granted_text;
    detect_native();
    for (unsigned i = 0; i < HD_ISA_COUNT; i++) {
        if (detected_reasons[i] != granted_text)
            continue;
        if ((detected & levels[i].needs) == levels[i].needs)
            detected |= BIT(i);
        else
            detected_reasons[i] = incomplete_text;
    }
}

/* The level that an entry of a mask, "-amx", names; BASE, which cannot be removed, when it names none. */
static hd_isa find_level(hd_span entry)
{
    for (hd_isa i = HD_ISA_BASE + 1; i < HD_ISA_COUNT; i++)
        if (hd__span_begins(entry, "-") && hd__span_is(hd__span(entry.ptr + 1, entry.len - 1), levels[i].name))
            return i;
    return HD_ISA_BASE;
}

static hd_status unknown_entry(hd_span entry, hd_error *err)
{
    char names[128] = "";
    for (size_t i = HD_ISA_BASE + 1, at = 0; i < HD_ISA_COUNT; i++)
        at += (size_t)snprintf(names + at, sizeof names - at, " -%s", levels[i].name);
    int shown = entry.len < 40 ? (int)entry.len : 40;
    return hd__fail(err, HD_ERR_ARG, "HEDDLE_CPU: '%.*s' is not one of%s", shown, entry.ptr, names);
}

hd_status hd__isa_apply_mask(uint32_t from, const char *mask, uint32_t *result, hd_error *err)
{
    uint32_t left = from;
    for (const char *at = mask; *at != '\0';) {
        size_t len = strcspn(at, ", ");
        if (len > 0) {
            hd_isa isa = find_level(hd__span(at, len));
            if (isa == HD_ISA_BASE)
                return unknown_entry(hd__span(at, len), err);
            left &= ~BIT(isa);
        }
        at += len;
        at += strspn(at, ", ");
    }
    for (unsigned i = 0; i < HD_ISA_COUNT; i++)
        if ((left & levels[i].needs) != levels[i].needs)
            left &= ~BIT(i);
    *result = left;
    return HD_OK;
}

static void init_once(void)
{
    detect();
    const char *mask = getenv("HEDDLE_CPU");
    uint32_t left = detected;
    init_error.status = mask != NULL ? hd__isa_apply_mask(detected, mask, &left, &init_error) : HD_OK;
    if (init_error.status == HD_OK)
        atomic_store(&granted, left);
}

hd_status hd__isa_init(hd_error *err)
{
    pthread_once(&once, init_once);
    if (init_error.status != HD_OK && err != NULL)
        *err = init_error;
    return init_error.status;
}

bool hd__isa_has(hd_isa isa)
{
    return (unsigned)isa < HD_ISA_COUNT && (atomic_load_explicit(&granted, memory_order_relaxed) & BIT(isa)) != 0;
}

bool hd__isa_fast_bf16(void)
{
    return hd__isa_has(HD_ISA_BF16) && !is_intel();
}

const char *hd__isa_reason(hd_isa isa)
{
    pthread_once(&once, init_once);
    if ((unsigned)isa >= HD_ISA_COUNT)
        return foreign_text;
    if ((detected & BIT(isa)) != 0 && !hd__isa_has(isa))
        return removed_text;
    return detected_reasons[isa];
}

hd_status hd__isa_set_mask(const char *mask, hd_error *err)
{
    pthread_once(&once, init_once);
    uint32_t left;
    HD_TRY(hd__isa_apply_mask(detected, mask, &left, err));
    atomic_store(&granted, left);
    return HD_OK;
}
