/* cmd_info.c - `heddle info`: what this machine offers, what is used of it, and why. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include <curl/curlver.h>
#include <hiredis/hiredis.h>
#include <microhttpd.h>
#include <openssl/crypto.h>
#include <pcre2.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <utf8proc.h>
#include <zlib.h>

#include "base/json.h"
#include "cli/commands.h"
#include "cli/config.h"
#include "cli/progress.h"
#include "cpu/machine.h"
#include "kernel/kernels.h"
#include "model/locate.h"

static bool flag_json;

static const cli_option info_options[] = {
    {.name = "json", .flag = &flag_json, .help = "for programs"},
    {0},
};

/* Levels that this architecture could have: the others are left out of the report for people. */
static bool is_native(hd_isa isa)
{
    return strcmp(hd__isa_reason(isa), "belongs to another architecture") != 0;
}

/* Why the kernel chosen for an entry is not a higher one: "" when it is the highest there is. */
static void explain(const hd_kernel_row *chosen, char *text, size_t bytes)
{
    size_t n, len = 0;
    const hd_kernel_row *rows = hd__kernel_rows(&n);
    text[0] = '\0';
    for (const hd_kernel_row *row = chosen + 1; row < rows + n && len < bytes; row++)
        if (strcmp(row->entry, chosen->entry) == 0)
            len += (size_t)snprintf(text + len, bytes - len, "%s%s: %s", len > 0 ? ", " : "", hd__isa_name(row->isa),
                                    hd__isa_has(row->isa) ? "no faster on this processor" : hd__isa_reason(row->isa));
}

/* Calls each(row, data) for the chosen row of every entry, in the list's order. */
static void each_entry(void (*each)(const hd_kernel_row *, void *), void *data)
{
    size_t n;
    const hd_kernel_row *rows = hd__kernel_rows(&n);
    for (size_t i = 0; i < n; i++) {
        bool first = true;
        for (size_t j = 0; first && j < i; j++)
            first = strcmp(rows[i].entry, rows[j].entry) != 0;
        if (first)
            each(hd__kernel_chosen(rows[i].entry), data);
    }
}

static void print_kernel(const hd_kernel_row *row, void *unused)
{
    (void)unused;
    char why[256];
    explain(row, why, sizeof why);
    printf("  %-15s %-13s%s%s\n", row->entry, hd__isa_name(row->isa), why[0] != '\0' ? "not " : "the best there is", why);
}

static void add_kernel(const hd_kernel_row *row, void *kernels)
{
    char why[256];
    explain(row, why, sizeof why);
    json_object_set_new(
        kernels, row->entry,
        json_pack("{s:s, s:s, s:s}", "symbol", row->symbol, "level", hd__isa_name(row->isa), "why_not_higher", why));
}

/* How an opened GPU is doing, in one line. */
static void print_device(const hd_device_info *d)
{
    char total[32], free_bytes[32];
    printf("  device          %s: %s, %s, %s, %s free", d->name, d->hardware, d->driver,
           cli_bytes_text(d->memory_bytes, total), cli_bytes_text(d->free_bytes, free_bytes));
    if (d->utilisation_percent >= 0)
        printf(", %d%% busy", d->utilisation_percent);
    if (d->temperature_c >= 0)
        printf(", %d degrees", d->temperature_c);
    if (d->clock_mhz >= 0)
        printf(", %d MHz", d->clock_mhz);
    putchar('\n');
}

/* The first GPU that works, or the CPU; `info` is room for its name. */
static const char *computes_on(hd_engine *engine, hd_device_info *info)
{
    for (uint32_t i = 0; hd_engine_get_device(engine, i, info); i++) {
        if (info->is_up)
            return info->name;
    }
    return "cpu";
}

static void print_devices(hd_engine *engine)
{
    hd_device_info info;
    for (uint32_t i = 0; hd_engine_get_device(engine, i, &info); i++)
        print_device(&info);
    printf("  computes on     %s\n", computes_on(engine, &info));
}

static json_t *devices_json(hd_engine *engine)
{
    hd_device_info d;
    json_t *devices = json_array();
    for (uint32_t i = 0; hd_engine_get_device(engine, i, &d); i++)
        json_array_append_new(devices, json_pack("{s:s, s:s, s:s, s:b, s:I, s:I, s:i, s:i, s:i}", "name", d.name, "hardware",
                                                 d.hardware, "driver", d.driver, "up", (int)d.is_up, "memory_bytes",
                                                 (json_int_t)d.memory_bytes, "memory_free_bytes", (json_int_t)d.free_bytes,
                                                 "utilisation_percent", d.utilisation_percent, "temperature_c",
                                                 d.temperature_c, "clock_mhz", d.clock_mhz));
    return devices;
}

static void print_for_people(const hd_machine *m, hd_engine *engine, const char *store, size_t n_models)
{
    char a[32], b[32], c[32];
    bool color = isatty(STDOUT_FILENO) == 1;
    const char *bold = color ? "\x1b[1m" : "", *plain = color ? "\x1b[0m" : "";
    printf("%sheddle %s%s\n\n%smachine%s\n", bold, hd_version(), plain, bold, plain);
    printf("  processor       %s\n", m->cpu_name);
    printf("  cores           %u of %u may be used\n", m->n_cpus_allowed, m->n_cpus_online);
    printf("  caches          L1 %s, L2 %s, L3 %s\n", cli_bytes_text(m->l1d_bytes, a), cli_bytes_text(m->l2_bytes, b),
           cli_bytes_text(m->l3_bytes, c));
    printf("  memory          %s, %s free\n", cli_bytes_text(m->memory_bytes, a), cli_bytes_text(m->memory_free_bytes, b));
    print_devices(engine);
    printf("\n%sinstruction sets%s\n", bold, plain);
    for (hd_isa i = HD_ISA_BASE; i < HD_ISA_COUNT; i++)
        if (is_native(i))
            printf("  %c %-13s %s\n", hd__isa_has(i) ? '+' : '-', hd__isa_name(i), hd__isa_reason(i));
    printf("\n%skernels%s\n", bold, plain);
    each_entry(print_kernel, NULL);
    printf("\n%smodels%s\n  %zu found; pulled ones are in %s/models\n", bold, plain, n_models, store);
    printf("\n%slibraries%s\n  jansson %s, utf8proc %s, PCRE2 %d.%d, zlib %s, libmicrohttpd %s, %s;\n"
           "  opened when they are needed: libcurl %s, hiredis %d.%d\n",
           bold, plain, jansson_version_str(), utf8proc_version(), PCRE2_MAJOR, PCRE2_MINOR, zlibVersion(),
           MHD_get_version(), OpenSSL_version(OPENSSL_VERSION), LIBCURL_VERSION, HIREDIS_MAJOR, HIREDIS_MINOR);
}

static void print_json(const hd_machine *m, hd_engine *engine, const char *store, size_t n_models)
{
    json_t *levels = json_object(), *kernels = json_object();
    for (hd_isa i = HD_ISA_BASE; i < HD_ISA_COUNT; i++)
        json_object_set_new(levels, hd__isa_name(i),
                            json_pack("{s:b, s:s}", "granted", (int)hd__isa_has(i), "reason", hd__isa_reason(i)));
    each_entry(add_kernel, kernels);
    hd_device_info device;
    json_t *root = json_pack(
        "{s:s, s:{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I}, s:s, s:o, s:o, s:o, s:{s:s, s:I}}", "version", hd_version(),
        "machine", "processor", m->cpu_name, "cores_online", (json_int_t)m->n_cpus_online, "cores_allowed",
        (json_int_t)m->n_cpus_allowed, "l1d_bytes", (json_int_t)m->l1d_bytes, "l2_bytes", (json_int_t)m->l2_bytes,
        "l3_bytes", (json_int_t)m->l3_bytes, "memory_bytes", (json_int_t)m->memory_bytes, "memory_free_bytes",
        (json_int_t)m->memory_free_bytes, "device", computes_on(engine, &device), "gpus", devices_json(engine), "levels",
        levels, "kernels", kernels, "models", "store", store, "count", (json_int_t)n_models);
    json_dumpf(root, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(root);
}

static hd_status run_info(int n_args, char **args, hd_arena *arena, hd_error *err)
{
    if (n_args > 0)
        return hd__fail(err, HD_ERR_ARG, "info: unexpected argument '%s'", args[0]);
    cli_config config;
    HD_TRY(cli_config_load(&config, err));
    HD_TRY(hd__isa_init(err));
    const char *store = config.cache_dir;
    if (store == NULL)
        HD_TRY(hd__cache_dir(arena, &store, err));
    hd_located_model *models;
    size_t n_models;
    HD_TRY(hd__model_list(store, arena, &models, &n_models, err));
    hd_machine machine;
    hd_engine *engine;
    hd__machine_get(&machine);
    HD_TRY(cli_config_open(&config, &engine, NULL, err));
    hd_engine_open_devices(engine);
    (flag_json ? print_json : print_for_people)(&machine, engine, store, n_models);
    hd_engine_close(engine);
    return HD_OK;
}

static int info(int n_args, char **args)
{
    hd_error err = {0};
    hd_arena arena;
    hd__arena_init(&arena);
    hd_status status = run_info(n_args, args, &arena, &err);
    hd__arena_clear(&arena);
    return cli_exit_code(status, &err);
}

const cli_command cli_info = {
    .name = "info",
    .arguments = "",
    .summary = "Says what this machine offers and which kernels are used, and why",
    .notes = "HEDDLE_CPU removes levels, as in HEDDLE_CPU=-amx,-avx512; removing one removes those built on it.",
    .tables = {info_options, cli_store_options},
    .run = info,
};
