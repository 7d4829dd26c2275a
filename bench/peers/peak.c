/* peak.c - what the arithmetic units of this machine can do: loops that touch nothing but registers.
 *
 *   cc -O2 -pthread -o peak peak.c && ./peak [THREADS [SECONDS]]
 *
 * Prints one JSON object: for each instruction the best rate seen, all threads together, in units of 1e9 operations a
 * second, where a multiplication and an addition are two operations. 0 means that the CPU has no such
 * instruction. HEDDLE_BENCH_ISA (see cpuid_mask.c) hides the same instructions here as there.
 *
 * Each loop keeps 12 independent accumulators, enough to hide 4 to 6 cycles of latency on two ports. AMX uses 4
 * accumulator tiles, the arrangement of a real kernel.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define N_ACC 12
#define ARCH_REQ_XCOMP_PERM 0x1023
#define XFEATURE_XTILEDATA 18

typedef void (*loop_fn)(uint64_t n);

/* Registers 0 to 11 add up, 12 and 13 are the operands (all zero), 14 and 15 are scratch. Assembly, so that what is timed is
 * what is written here, whatever the compiler and its flags. */
#define TWELVE(S) S("0") S("1") S("2") S("3") S("4") S("5") S("6") S("7") S("8") S("9") S("10") S("11")
#define CLEAR(i) "vpxor %%xmm" i ", %%xmm" i ", %%xmm" i "\n\t"

#define DEFINE_LOOP(NAME, STEP)                                                                                             \
    static void NAME(uint64_t n)                                                                                            \
    {                                                                                                                       \
        __asm__ volatile(TWELVE(CLEAR) CLEAR("12") CLEAR("13") "1:\n\t" TWELVE(STEP) "dec %0\n\tjnz 1b\n\tvzeroupper"       \
                         : "+r"(n)                                                                                          \
                         :                                                                                                  \
                         : "cc", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10",   \
                           "xmm11", "xmm12", "xmm13", "xmm14", "xmm15");                                                    \
    }

#define AVX2_F32(i) "vfmadd231ps %%ymm12, %%ymm13, %%ymm" i "\n\t"
#define AVX2_INT8(i)                                                                                                        \
    "vpmaddubsw %%ymm12, %%ymm13, %%ymm14\n\t"                                                                              \
    "vpmaddubsw %%ymm12, %%ymm13, %%ymm15\n\t"                                                                              \
    "vpaddw %%ymm15, %%ymm14, %%ymm14\n\t"                                                                                  \
    "vpmaddwd %%ymm13, %%ymm14, %%ymm14\n\t"                                                                                \
    "vpaddd %%ymm14, %%ymm" i ", %%ymm" i "\n\t"
#define AVX_VNNI_INT8(i) "%{vex%} vpdpbusd %%ymm12, %%ymm13, %%ymm" i "\n\t"
#define AVX512_F32(i) "vfmadd231ps %%zmm12, %%zmm13, %%zmm" i "\n\t"
#define AVX512_VNNI_INT8(i) "vpdpbusd %%zmm12, %%zmm13, %%zmm" i "\n\t"
#define AVX512_BF16(i) "vdpbf16ps %%zmm12, %%zmm13, %%zmm" i "\n\t"

DEFINE_LOOP(avx2_f32, AVX2_F32)
DEFINE_LOOP(avx2_int8, AVX2_INT8)
DEFINE_LOOP(avx_vnni_int8, AVX_VNNI_INT8)
DEFINE_LOOP(avx512_f32, AVX512_F32)
DEFINE_LOOP(avx512_vnni_int8, AVX512_VNNI_INT8)
DEFINE_LOOP(avx512_bf16, AVX512_BF16)

/* One palette, 8 tiles of 16 rows of 64 bytes: 4 accumulate, 2 + 2 are operands. */
#define DEFINE_AMX_LOOP(NAME, OP)                                                                                           \
    static void NAME(uint64_t n)                                                                                            \
    {                                                                                                                       \
        unsigned char config[64] = {1};                                                                                     \
        for (int i = 0; i < 8; i++) {                                                                                       \
            config[16 + 2 * i] = 64;                                                                                        \
            config[48 + i] = 16;                                                                                            \
        }                                                                                                                   \
        __asm__ volatile("ldtilecfg (%1)\n\t"                                                                               \
                         "tilezero %%tmm0\n\ttilezero %%tmm1\n\ttilezero %%tmm2\n\ttilezero %%tmm3\n\t"                     \
                         "tilezero %%tmm4\n\ttilezero %%tmm5\n\ttilezero %%tmm6\n\ttilezero %%tmm7\n\t"                     \
                         "1:\n\t" OP " %%tmm6, %%tmm4, %%tmm0\n\t" OP " %%tmm7, %%tmm4, %%tmm1\n\t" OP                      \
                         " %%tmm6, %%tmm5, %%tmm2\n\t" OP " %%tmm7, %%tmm5, %%tmm3\n\t"                                     \
                         "dec %0\n\tjnz 1b\n\ttilerelease"                                                                  \
                         : "+r"(n)                                                                                          \
                         : "r"(config)                                                                                      \
                         : "cc", "memory");                                                                                 \
    }

DEFINE_AMX_LOOP(amx_bf16, "tdpbf16ps")
DEFINE_AMX_LOOP(amx_int8, "tdpbusd")

static const struct row {
    const char *name, *flag; /* flag: as in /proc/cpuinfo */
    int level;               /* 0: in every mode; 1: hidden by avx2; 2: hidden by avx512_vnni too */
    loop_fn loop;
    double ops; /* of one turn of the loop */
} rows[] = {
    {"avx2_f32", "fma", 0, avx2_f32, N_ACC * 8 * 2.0},
    {"avx2_int8", "avx2", 0, avx2_int8, N_ACC * 64 * 2.0},
    {"avx_vnni_int8", "avx_vnni", 1, avx_vnni_int8, N_ACC * 32 * 2.0},
    {"avx512_f32", "avx512f", 1, avx512_f32, N_ACC * 16 * 2.0},
    {"avx512_vnni_int8", "avx512_vnni", 1, avx512_vnni_int8, N_ACC * 64 * 2.0},
    {"avx512_bf16", "avx512_bf16", 1, avx512_bf16, N_ACC * 32 * 2.0},
    {"amx_bf16", "amx_bf16", 2, amx_bf16, 4 * 16 * 16 * 32 * 2.0},
    {"amx_int8", "amx_int8", 2, amx_int8, 4 * 16 * 16 * 64 * 2.0},
};
#define N_ROWS (sizeof rows / sizeof rows[0])

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

struct task {
    pthread_barrier_t *start;
    const struct row *row;
    uint64_t n;
    double begin, end;
};

static void *work(void *argument)
{
    struct task *task = argument;
    pthread_barrier_wait(task->start);
    task->begin = now();
    task->row->loop(task->n);
    task->end = now();
    return NULL;
}

static double rate(const struct row *row, int n_threads, uint64_t n)
{
    struct task tasks[256];
    pthread_t threads[256];
    pthread_barrier_t start;
    pthread_barrier_init(&start, NULL, (unsigned)n_threads);
    for (int i = 0; i < n_threads; i++) {
        tasks[i] = (struct task){.start = &start, .row = row, .n = n};
        if (pthread_create(&threads[i], NULL, work, &tasks[i]) != 0)
            exit(1);
    }
    double begin = 1e300, end = 0;
    for (int i = 0; i < n_threads; i++) {
        pthread_join(threads[i], NULL);
        begin = tasks[i].begin < begin ? tasks[i].begin : begin;
        end = tasks[i].end > end ? tasks[i].end : end;
    }
    pthread_barrier_destroy(&start);
    return (double)n * row->ops * n_threads / (end - begin) * 1e-9;
}

static int cpu_has(const char *flag)
{
    static char text[1 << 16];
    if (text[0] == '\0') {
        FILE *f = fopen("/proc/cpuinfo", "r");
        if (f == NULL)
            return 0;
        while (fgets(text, sizeof text, f) != NULL && strncmp(text, "flags", 5) != 0)
            ;
        fclose(f);
        text[strcspn(text, "\n")] = ' ';
    }
    char word[64];
    snprintf(word, sizeof word, " %s ", flag);
    return strstr(text, word) != NULL;
}

int main(int argc, char **argv)
{
    int n_threads = argc > 1 ? atoi(argv[1]) : (int)sysconf(_SC_NPROCESSORS_ONLN);
    double seconds = argc > 2 ? atof(argv[2]) : 0.2;
    if (n_threads < 1 || n_threads > 256 || seconds <= 0) {
        fprintf(stderr, "usage: %s [THREADS 1-256 [SECONDS]]\n", argv[0]);
        return 2;
    }
    const char *isa = getenv("HEDDLE_BENCH_ISA");
    int level = isa == NULL ? 2 : strcmp(isa, "avx2") == 0 ? 0 : strcmp(isa, "avx512_vnni") == 0 ? 1 : 2;
    int tiles = syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) == 0;
    printf("{\"threads\": %d", n_threads);
    for (size_t i = 0; i < N_ROWS; i++) {
        const struct row *row = &rows[i];
        double best = 0;
        if (row->level <= level && cpu_has(row->flag) && (row->level < 2 || tiles)) {
            double trial = rate(row, n_threads, 200000); /* also wakes the cores up */
            uint64_t n = (uint64_t)(seconds * trial * 1e9 / (row->ops * n_threads)) + 1;
            for (int k = 0; k < 5; k++) {
                double r = rate(row, n_threads, n);
                best = r > best ? r : best;
            }
        }
        printf(", \"%s\": %.1f", row->name, best);
        fflush(stdout);
    }
    puts("}");
    return 0;
}
