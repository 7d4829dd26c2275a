/* kcheck.c - heddle-kcheck: every kernel of kernels.inc at every level against its formula in double.
 *
 *   heddle-kcheck [--quick] [--sample N] [--part I/N] [--seed N] [--require LEVEL]... [--list] [--json FILE] [--emulated]
 *                 [FILTER...]
 *   heddle-kcheck --bench [FILTER] [--json FILE]
 *
 * A filter is a part of a symbol's name. Each kernel runs in a process of its own, so that one that crashes is
 * named and the others still run. Levels that this machine lacks (or HEDDLE_CPU removes) are shown as SKIP;
 * --require fails where that level is missing. --quick leaves cases out, --sample N runs one in N (for valgrind and
 * emulators), --emulated is for QEMU, which reads the lanes that a masked load leaves out. The exit status is 0 when nothing
 * failed.
 */
#include "kcheck.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"

#define MAX_FILTERS 32

typedef struct options {
    uint64_t seed;
    int sample;
    uint64_t part, n_parts; /* part is below n_parts */
    bool quick, list, bench, emulated, help;
    const char *json;
    const char *filters[MAX_FILTERS];
    int n_filters;
    bool required[HD_ISA_COUNT];
} options;

/* What is known of one kernel when its process has ended. */
typedef struct verdict {
    kc_shared shared;
    double seconds;
    enum { PASS, FAIL, SKIP } state;
    char detail[384];
} verdict;

static bool starts(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

static void check(kc *c)
{
    const char *entry = c->row->entry;
    if (starts(entry, "gemm_"))
        kc_check_gemm(c);
    else if (starts(entry, "attention_"))
        kc_check_attention(c);
    else if (starts(entry, "maxsim_"))
        kc_check_maxsim(c);
    else if (starts(entry, "codes_") || starts(entry, "half_"))
        kc_check_distance(c);
    else
        kc_check_rows(c);
    kc_case_end(c);
}

/* Each kernel's data depend on the seed and its entry, not on what ran before it. */
static uint64_t seed_of(const hd_kernel_row *row, uint64_t seed)
{
    for (const char *p = row->entry; *p != '\0'; p++)
        seed = (seed ^ (uint8_t)*p) * 0x100000001b3u;
    return seed;
}

static void run(const hd_kernel_row *row, const options *o, kc_shared *shared, verdict *v)
{
    memset(shared, 0, sizeof *shared);
    uint64_t start = hd__now_ns();
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        static kc c;
        c = (kc){.row = row,
                 .shared = shared,
                 .quick = o->quick,
                 .sample = o->sample,
                 .emulated = o->emulated,
                 .rng = seed_of(row, o->seed)};
        check(&c);
        fflush(stdout);
        _exit(0);
    }
    int status = 0;
    if (child < 0 || waitpid(child, &status, 0) != child) {
        perror("kcheck: fork");
        exit(2);
    }
    v->shared = *shared;
    v->seconds = hd__seconds_since(start);
    v->state = shared->n_failed > 0 ? FAIL : PASS;
    if (WIFSIGNALED(status)) {
        v->state = FAIL;
        snprintf(v->detail, sizeof v->detail, "%s in case: %s", strsignal(WTERMSIG(status)), shared->what);
    } else if (WEXITSTATUS(status) != 0) {
        v->state = FAIL;
        snprintf(v->detail, sizeof v->detail, "exit status %d in case: %s", WEXITSTATUS(status), shared->what);
    } else if (shared->n_failed > 0) {
        snprintf(v->detail, sizeof v->detail, "%" PRIu64 " wrong values", shared->n_failed);
    }
}

static bool selected(const options *o, const hd_kernel_row *rows, size_t at)
{
    const hd_kernel_row *row = &rows[at];
    if (at % o->n_parts != o->part)
        return false;
    for (int i = 0; i < o->n_filters; i++) {
        if (strstr(row->symbol, o->filters[i]) != NULL)
            return true;
    }
    return o->n_filters == 0;
}

static void show(const hd_kernel_row *row, const verdict *v)
{
    static const char *const names[] = {"ok", "FAIL", "SKIP"};
    printf("%-4s  %-26s %-12s", names[v->state], row->symbol, hd__isa_name(row->isa));
    if (v->state != SKIP)
        printf("%7" PRIu64 " cases %10" PRIu64 " values  worst %4.2f of bound %6.1f s", v->shared.n_cases,
               v->shared.n_values, v->shared.worst, v->seconds);
    printf("%s%s\n", v->detail[0] != '\0' ? "  " : "", v->detail);
}

static void write_json(FILE *out, const hd_kernel_row *row, const verdict *v, bool first)
{
    static const char *const names[] = {"pass", "fail", "skip"};
    fprintf(out,
            "%s\n  {\"kernel\": \"%s\", \"level\": \"%s\", \"result\": \"%s\", \"cases\": %" PRIu64 ", \"values\": %" PRIu64
            ", \"worst\": %.4f, \"seconds\": %.3f}",
            first ? "" : ",", row->symbol, hd__isa_name(row->isa), names[v->state], v->shared.n_cases, v->shared.n_values,
            v->shared.worst, v->seconds);
}

static int check_all(const options *o)
{
    kc_shared *shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    FILE *json = o->json != NULL ? fopen(o->json, "w") : NULL;
    if (shared == MAP_FAILED || (o->json != NULL && json == NULL)) {
        perror("heddle-kcheck");
        return 2;
    }
    size_t n;
    const hd_kernel_row *rows = hd__kernel_rows(&n);
    int count[3] = {0};
    printf("seed %" PRIu64 "\n", o->seed);
    if (json != NULL)
        fprintf(json, "{\"seed\": %" PRIu64 ", \"kernels\": [", o->seed);
    for (size_t i = 0; i < n; i++) {
        if (!selected(o, rows, i))
            continue;
        verdict v = {0};
        if (hd__isa_has(rows[i].isa)) {
            run(&rows[i], o, shared, &v);
        } else {
            v.state = SKIP;
            snprintf(v.detail, sizeof v.detail, "%s", hd__isa_reason(rows[i].isa));
        }
        show(&rows[i], &v);
        if (json != NULL)
            write_json(json, &rows[i], &v, count[0] + count[1] + count[2] == 0);
        count[v.state]++;
    }
    printf("%d passed, %d failed, %d skipped\n", count[PASS], count[FAIL], count[SKIP]);
    if (json != NULL) {
        fprintf(json, "\n]}\n");
        if (fclose(json) != 0) {
            perror(o->json);
            return 2;
        }
    }
    munmap(shared, sizeof *shared);
    if (count[PASS] + count[FAIL] + count[SKIP] == 0) {
        fprintf(stderr, "heddle-kcheck: no such kernel (--list shows all)\n");
        return 2;
    }
    return count[FAIL] > 0 ? 1 : 0;
}

/* A required level has kernels that are not in the table at all where it is another architecture's. */
static bool has_required(const options *o)
{
    bool has_all = true;
    for (int i = 0; i < HD_ISA_COUNT; i++) {
        if (o->required[i] && !hd__isa_has((hd_isa)i)) {
            fprintf(stderr, "heddle-kcheck: %s is required: %s\n", hd__isa_name((hd_isa)i), hd__isa_reason((hd_isa)i));
            has_all = false;
        }
    }
    return has_all;
}

static const char synopsis[] = "usage: heddle-kcheck [--quick] [--sample N] [--part I/N] [--seed N] [--require LEVEL]...\n"
                               "            [--list] [--json FILE] [--emulated] [FILTER...]\n"
                               "       heddle-kcheck --bench [FILTER] [--json FILE]\n";

static const char help[] = "\n"
                           "Compares every kernel at every level of this machine with its reference; --bench times them.\n"
                           "A filter is a part of a kernel's name: only those whose names hold one are run.\n"
                           "\n"
                           "  --list            the kernels that would run\n"
                           "  --quick           fewer sizes\n"
                           "  --sample N        one case in N\n"
                           "  --part I/N        every N-th kernel, beginning with the I-th\n"
                           "  --seed N          the random data of an earlier run\n"
                           "  --require LEVEL   fails where this machine lacks the level, instead of skipping it\n"
                           "  --json FILE       results as JSON\n"
                           "  --emulated        for QEMU, which reads the lanes that a masked load leaves out\n"
                           "  -h, --help        this text\n";

static int usage(const char *fault, const char *value)
{
    fprintf(stderr, "heddle-kcheck: %s: %s\n%s", fault, value, synopsis);
    return 2;
}

static hd_isa isa_named(const char *name)
{
    for (int i = 0; i < HD_ISA_COUNT; i++) {
        if (strcmp(hd__isa_name((hd_isa)i), name) == 0)
            return (hd_isa)i;
    }
    return HD_ISA_COUNT;
}

/* The value of "--name value" or "--name=value" at argv[*i], or NULL. */
static const char *value_of(char **argv, int argc, int *i, const char *name)
{
    size_t length = strlen(name);
    if (!starts(argv[*i], name))
        return NULL;
    if (argv[*i][length] == '=')
        return argv[*i] + length + 1;
    return argv[*i][length] == '\0' && *i + 1 < argc ? argv[++*i] : NULL;
}

static bool number(const char *text, uint64_t max, uint64_t *value)
{
    char *end;
    *value = strtoull(text, &end, 0);
    return end != text && *end == '\0' && *value <= max;
}

/* "I/N", 1 <= I <= N. */
static bool part_of(const char *text, options *o)
{
    char first[8] = "";
    const char *slash = strchr(text, '/');
    if (slash == NULL || (size_t)(slash - text) >= sizeof first)
        return false;
    memcpy(first, text, (size_t)(slash - text));
    if (!number(slash + 1, 1000, &o->n_parts) || !number(first, o->n_parts, &o->part) || o->part == 0)
        return false;
    o->part--;
    return true;
}

static int parse(int argc, char **argv, options *o)
{
    for (int i = 1; i < argc; i++) {
        const char *value;
        if (strcmp(argv[i], "--quick") == 0) {
            o->quick = true;
        } else if (strcmp(argv[i], "--list") == 0) {
            o->list = true;
        } else if (strcmp(argv[i], "--emulated") == 0) {
            o->emulated = true;
        } else if (strcmp(argv[i], "--bench") == 0) {
            o->bench = true;
        } else if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            o->help = true;
        } else if ((value = value_of(argv, argc, &i, "--json")) != NULL) {
            o->json = value;
        } else if ((value = value_of(argv, argc, &i, "--seed")) != NULL) {
            if (!number(value, UINT64_MAX, &o->seed))
                return usage("not a number", value);
        } else if ((value = value_of(argv, argc, &i, "--sample")) != NULL) {
            uint64_t sample;
            if (!number(value, 1000000, &sample) || sample == 0)
                return usage("not a number from 1 to 1000000", value);
            o->sample = (int)sample;
        } else if ((value = value_of(argv, argc, &i, "--part")) != NULL) {
            if (!part_of(value, o))
                return usage("not a part such as 1/2", value);
        } else if ((value = value_of(argv, argc, &i, "--require")) != NULL) {
            hd_isa isa = isa_named(value);
            if (isa == HD_ISA_COUNT)
                return usage("unknown level", value);
            o->required[isa] = true;
        } else if (argv[i][0] == '-' || o->n_filters == MAX_FILTERS) {
            return usage("unexpected argument", argv[i]);
        } else {
            o->filters[o->n_filters++] = argv[i];
        }
    }
    return 0;
}

int main(int argc, char **argv)
{
    options o = {.seed = hd__now_ns() % 1000000, .sample = 1, .n_parts = 1};
    int fault = parse(argc, argv, &o);
    if (fault != 0)
        return fault;
    if (o.help) {
        printf("%s%s", synopsis, help);
        return 0;
    }
    hd_error err;
    if (hd__isa_init(&err) != HD_OK) {
        fprintf(stderr, "heddle-kcheck: %s\n", err.text);
        return 2;
    }
    if (o.bench)
        return kc_bench(o.n_filters > 0 ? o.filters[0] : "", o.json);
    if (!o.list)
        return has_required(&o) ? check_all(&o) : 1;

    size_t n;
    const hd_kernel_row *rows = hd__kernel_rows(&n);
    for (size_t i = 0; i < n; i++) {
        if (selected(&o, rows, i))
            printf("%-16s %-26s %-12s %s\n", rows[i].entry, rows[i].symbol, hd__isa_name(rows[i].isa),
                   hd__isa_reason(rows[i].isa));
    }
    return 0;
}
