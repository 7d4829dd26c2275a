/* machine.c - see machine.h.
 *
 * Sources: proc(5) for cpuinfo, meminfo and self/cgroup; Documentation/ABI/testing/sysfs-devices-system-cpu
 * for caches; Documentation/admin-guide/cgroup-v2.rst (cpu.max, memory.max) and cgroup-v1 (cpu.cfs_quota_us,
 * memory.limit_in_bytes). A group's limit binds everything below it, so each step from the process's own
 * group up to the root is looked at; steps that a container does not show are simply not there.
 */
#include "cpu/machine.h"

#include <ctype.h>
#include <fcntl.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/limits.h"

#define FILE_BYTES 16384 /* enough for the start of any file read here */

/* The beginning of root + path as a text; false when it cannot be read. */
static bool read_text(const char *root, const char *path, char text[FILE_BYTES])
{
    char full[HD_LIMIT_PATH_BYTES];
    int n = snprintf(full, sizeof full, "%s%s", root, path);
    if (n < 0 || (size_t)n >= sizeof full)
        return false;
    int fd = open(full, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    size_t len = 0;
    ssize_t got;
    while (len < FILE_BYTES - 1 && (got = read(fd, text + len, FILE_BYTES - 1 - len)) > 0)
        len += (size_t)got;
    close(fd);
    text[len] = '\0';
    return len > 0;
}

/* The text after `key` at the start of a line, with the blanks and the colon between them gone; or NULL. */
static const char *find_field(const char *text, const char *key)
{
    size_t len = strlen(key);
    for (const char *line = text; line != NULL; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, key, len) == 0 && (line[len] == ':' || isspace((unsigned char)line[len])))
            return line + len + strspn(line + len, ": \t");
    }
    return NULL;
}

/* A number with an optional K, M or G; UINT64_MAX for "max", anything unreadable and -1. */
static uint64_t parse_size(const char *text)
{
    if (!isdigit((unsigned char)*text))
        return UINT64_MAX;
    char *end;
    uint64_t value = strtoull(text, &end, 10);
    unsigned shift = *end == 'K' ? 10 : *end == 'M' ? 20 : *end == 'G' ? 30 : 0;
    return value > UINT64_MAX >> shift ? UINT64_MAX : value << shift;
}

static uint64_t read_size(const char *root, const char *path)
{
    char text[FILE_BYTES];
    return read_text(root, path, text) ? parse_size(text) : UINT64_MAX;
}

/* A "kB" field of meminfo or status, in bytes; UINT64_MAX when it is not there. */
static uint64_t field_kib(const char *text, const char *key)
{
    const char *value = find_field(text, key);
    uint64_t kib = value != NULL ? parse_size(value) : UINT64_MAX;
    return kib > UINT64_MAX >> 10 ? UINT64_MAX : kib << 10;
}

static uint64_t min_u64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* How many numbers a list like "0-3,8,10-11" names. */
static uint32_t count_list(const char *text)
{
    uint32_t n = 0;
    while (isdigit((unsigned char)*text)) {
        char *end;
        unsigned long first = strtoul(text, &end, 10), last = first;
        if (*end == '-')
            last = strtoul(end + 1, &end, 10);
        n += last >= first ? (uint32_t)(last - first + 1) : 0;
        text = *end == ',' ? end + 1 : end;
    }
    return n;
}

/* ---- the processor ---- */

static void copy_line(char *to, size_t bytes, const char *from)
{
    size_t len = strcspn(from, "\n");
    snprintf(to, bytes, "%.*s", (int)(len < bytes ? len : bytes - 1), from);
}

static void read_cpu_name(const char *root, hd_machine *machine)
{
    char text[FILE_BYTES];
    const char *name = NULL, *maker = NULL, *part = NULL;
    if (read_text(root, "/proc/cpuinfo", text)) {
        name = find_field(text, "model name");
        maker = find_field(text, "CPU implementer"); /* all that 64-bit Arm says */
        part = find_field(text, "CPU part");
    }
    if (name != NULL)
        copy_line(machine->cpu_name, sizeof machine->cpu_name, name);
    else if (maker != NULL && part != NULL)
        snprintf(machine->cpu_name, sizeof machine->cpu_name, "Arm implementer %.*s part %.*s", (int)strcspn(maker, "\n"),
                 maker, (int)strcspn(part, "\n"), part);
    else
        copy_line(machine->cpu_name, sizeof machine->cpu_name, "unknown");
}

static void read_caches(const char *root, hd_machine *machine)
{
    /* Smaller than what any server or laptop of the last decade has, so that plans made from them fit. */
    machine->l1d_bytes = 32u << 10;
    machine->l2_bytes = 256u << 10;
    machine->l3_bytes = 2u << 20;
    for (int i = 0; i < 8; i++) {
        char path[96], type[FILE_BYTES];
        const int n = snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu0/cache/index%d/", i);
        snprintf(path + n, sizeof path - (size_t)n, "type");
        if (!read_text(root, path, type))
            return;
        snprintf(path + n, sizeof path - (size_t)n, "level");
        uint64_t level = read_size(root, path);
        snprintf(path + n, sizeof path - (size_t)n, "size");
        uint64_t size = read_size(root, path);
        if (strncmp(type, "Instruction", 11) == 0 || size == 0 || size > UINT32_MAX)
            continue;
        if (level == 1)
            machine->l1d_bytes = (uint32_t)size;
        else if (level == 2)
            machine->l2_bytes = (uint32_t)size;
        else if (level == 3)
            machine->l3_bytes = (uint32_t)size;
    }
}

/* ---- control groups ---- */

/* The process's group under one controller: the path field of the line of /proc/self/cgroup that names it
 * ("4:cpu,cpuacct:/a/b"), or of the version 2 line ("0::/a/b") for controller "". */
static bool find_group(const char *groups, const char *controller, char path[HD_LIMIT_PATH_BYTES])
{
    size_t len = strlen(controller);
    for (const char *line = groups; *line != '\0'; line += strcspn(line, "\n"), line += *line == '\n') {
        const char *names = strchr(line, ':');
        const char *group = names != NULL ? strchr(names + 1, ':') : NULL;
        if (group == NULL)
            return false;
        bool found = len == 0 && group == names + 1;
        for (const char *name = names + 1; len > 0 && name < group; name += strcspn(name, ",:") + 1)
            found = found || (strncmp(name, controller, len) == 0 && (name[len] == ',' || name[len] == ':'));
        if (found) {
            copy_line(path, HD_LIMIT_PATH_BYTES, group + 1);
            return true;
        }
    }
    return false;
}

typedef struct group_limits {
    uint64_t cpus;        /* whole processors, rounded up; UINT64_MAX: no limit */
    uint64_t memory;      /* bytes; UINT64_MAX: no limit */
    uint64_t memory_free; /* of it */
} group_limits;

static void limit_cpus(group_limits *limits, uint64_t quota_us, uint64_t period_us)
{
    if (quota_us != UINT64_MAX && period_us != UINT64_MAX && quota_us > 0 && period_us > 0)
        limits->cpus = min_u64(limits->cpus, quota_us / period_us + (quota_us % period_us != 0));
}

/* Page cache that would be dropped first does not count as used. */
static void limit_memory(group_limits *limits, uint64_t limit, uint64_t used, uint64_t droppable)
{
    if (limit == UINT64_MAX)
        return;
    used = used == UINT64_MAX ? 0 : used - min_u64(used, droppable == UINT64_MAX ? 0 : droppable);
    limits->memory = min_u64(limits->memory, limit);
    limits->memory_free = min_u64(limits->memory_free, limit - min_u64(limit, used));
}

static void join(char out[HD_LIMIT_PATH_BYTES], const char *dir, const char *file)
{
    size_t len = strlen(dir), more = strlen(file);
    if (len + more >= HD_LIMIT_PATH_BYTES)
        len = more = 0;
    memcpy(out, dir, len);
    memcpy(out + len, file, more);
    out[len + more] = '\0';
}

static uint64_t read_droppable(const char *root, const char *dir, const char *key)
{
    char path[HD_LIMIT_PATH_BYTES], text[FILE_BYTES];
    join(path, dir, "/memory.stat");
    const char *value = read_text(root, path, text) ? find_field(text, key) : NULL;
    return value != NULL ? parse_size(value) : UINT64_MAX;
}

static void read_group_v2(const char *root, const char *dir, group_limits *limits)
{
    char path[HD_LIMIT_PATH_BYTES], text[FILE_BYTES];
    join(path, dir, "/cpu.max"); /* "max 100000" or "150000 100000" */
    if (read_text(root, path, text)) {
        const char *period = strchr(text, ' ');
        limit_cpus(limits, parse_size(text), period != NULL ? parse_size(period + 1) : UINT64_MAX);
    }
    join(path, dir, "/memory.max");
    uint64_t limit = read_size(root, path);
    join(path, dir, "/memory.current");
    limit_memory(limits, limit, read_size(root, path), read_droppable(root, dir, "inactive_file"));
}

static void read_group_v1(const char *root, const char *dir, group_limits *limits)
{
    char path[HD_LIMIT_PATH_BYTES];
    join(path, dir, "/cpu.cfs_quota_us");
    uint64_t quota = read_size(root, path);
    join(path, dir, "/cpu.cfs_period_us");
    limit_cpus(limits, quota, read_size(root, path));
    join(path, dir, "/memory.limit_in_bytes");
    uint64_t limit = read_size(root, path);
    join(path, dir, "/memory.usage_in_bytes");
    limit_memory(limits, limit, read_size(root, path), read_droppable(root, dir, "total_inactive_file"));
}

/* Reads mount + group and every group above it, the mount point included. */
static void read_upwards(const char *root, const char *mount, const char *group,
                         void (*read)(const char *, const char *, group_limits *), group_limits *limits)
{
    char dir[HD_LIMIT_PATH_BYTES];
    join(dir, mount, group);
    for (size_t least = strlen(mount); strlen(dir) >= least;) {
        read(root, dir, limits);
        char *slash = strrchr(dir, '/');
        if (slash == NULL)
            return;
        *slash = '\0';
    }
}

static group_limits read_groups(const char *root)
{
    static const char *const mounts_v2[] = {"/sys/fs/cgroup", "/sys/fs/cgroup/unified"};
    static const char *const controllers[] = {"cpu", "memory"};
    group_limits limits = {UINT64_MAX, UINT64_MAX, UINT64_MAX};
    char groups[FILE_BYTES], group[HD_LIMIT_PATH_BYTES], mount[64];
    if (!read_text(root, "/proc/self/cgroup", groups))
        return limits;
    for (size_t i = 0; i < 2; i++)
        if (find_group(groups, "", group))
            read_upwards(root, mounts_v2[i], group, read_group_v2, &limits);
    for (size_t i = 0; i < 2; i++) {
        snprintf(mount, sizeof mount, "/sys/fs/cgroup/%s", controllers[i]);
        if (find_group(groups, controllers[i], group))
            read_upwards(root, mount, group, read_group_v1, &limits);
    }
    return limits;
}

/* ---- together ---- */

void hd__machine_read(const char *root, uint32_t n_affine, hd_machine *machine)
{
    *machine = (hd_machine){0};
    char text[FILE_BYTES];
    read_cpu_name(root, machine);
    read_caches(root, machine);
    machine->n_cpus_online = read_text(root, "/sys/devices/system/cpu/online", text) ? count_list(text) : n_affine;
    if (machine->n_cpus_online == 0)
        machine->n_cpus_online = 1;

    uint64_t total = UINT64_MAX, available = UINT64_MAX;
    if (read_text(root, "/proc/meminfo", text)) {
        total = field_kib(text, "MemTotal");
        available = field_kib(text, "MemAvailable");
    }
    if (total == UINT64_MAX)
        total = 1u << 30;
    group_limits limits = read_groups(root);
    machine->memory_bytes = min_u64(total, limits.memory);
    machine->memory_free_bytes = min_u64(min_u64(available, limits.memory_free), machine->memory_bytes);

    uint64_t allowed = min_u64(n_affine != 0 ? n_affine : machine->n_cpus_online, limits.cpus);
    machine->n_cpus_allowed = allowed != 0 ? (uint32_t)allowed : 1;
}

/* How many processors the affinity mask holds; 0 when the kernel does not say. */
static uint32_t count_affine(void)
{
    cpu_set_t sets[8]; /* one holds 1,024; the kernel wants room for all it could have */
    int n = sched_getaffinity(0, sizeof sets, sets) == 0 ? CPU_COUNT_S(sizeof sets, sets) : 0;
    return n > 0 ? (uint32_t)n : 0;
}

void hd__machine_get(hd_machine *machine)
{
    hd__machine_read("", count_affine(), machine);
}

static uint64_t read_own_status(const char *key)
{
    char text[FILE_BYTES];
    uint64_t bytes = read_text("", "/proc/self/status", text) ? field_kib(text, key) : UINT64_MAX;
    return bytes == UINT64_MAX ? 0 : bytes;
}

uint64_t hd__machine_rss_peak(void)
{
    return read_own_status("VmHWM");
}

uint64_t hd__machine_rss(void)
{
    return read_own_status("VmRSS");
}
