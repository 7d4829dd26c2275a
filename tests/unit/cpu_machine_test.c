/* Tests of cpu/machine.c on machines made of files: quotas and limits of both control group versions, cache
 * sizes, odd or missing files. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "cpu/machine.h"

static char root[64];

/* Writes a file of the made-up machine, with its folders. */
static void put(const char *path, const char *text)
{
    char full[512];
    snprintf(full, sizeof full, "%s%s", root, path);
    *strrchr(full, '/') = '\0';
    hd_error err;
    assert_int_equal(hd__dir_make(full, &err), HD_OK);
    snprintf(full, sizeof full, "%s%s", root, path);
    FILE *file = fopen(full, "w");
    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
}

static int new_machine(void **state)
{
    (void)state;
    snprintf(root, sizeof root, "/tmp/heddle-machine-XXXXXX");
    if (mkdtemp(root) == NULL)
        return -1;
    put("/proc/meminfo", "MemTotal:       16000000 kB\nMemFree:  1 kB\nMemAvailable:   12000000 kB\n");
    put("/sys/devices/system/cpu/online", "0-7\n");
    return 0;
}

static int drop_machine(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", root);
    return system(command);
}

static hd_machine look(uint32_t n_affine)
{
    hd_machine machine;
    hd__machine_read(root, n_affine, &machine);
    return machine;
}

static void test_plain(void **state)
{
    (void)state;
    put("/proc/cpuinfo", "processor\t: 0\nmodel name\t: Some CPU @ 2 GHz\nflags : a b\nmodel name\t: Other\n");
    hd_machine m = look(8);
    assert_string_equal(m.cpu_name, "Some CPU @ 2 GHz");
    assert_int_equal(m.n_cpus_online, 8);
    assert_int_equal(m.n_cpus_allowed, 8);
    assert_int_equal(m.memory_bytes, 16000000ull << 10);
    assert_int_equal(m.memory_free_bytes, 12000000ull << 10);
    assert_int_equal(look(3).n_cpus_allowed, 3);
    assert_int_equal(look(0).n_cpus_allowed, 8);
}

static void test_names(void **state)
{
    (void)state;
    assert_string_equal(look(1).cpu_name, "unknown");
    put("/proc/cpuinfo", "CPU implementer\t: 0x41\nCPU part\t: 0xd0c\n");
    assert_string_equal(look(1).cpu_name, "Arm implementer 0x41 part 0xd0c");
    char line[200] = "model name\t: ";
    memset(line + strlen(line), 'x', 150);
    put("/proc/cpuinfo", line);
    assert_int_equal(strlen(look(1).cpu_name), sizeof((hd_machine *)0)->cpu_name - 1);
}

static void test_cache_sizes(void **state)
{
    (void)state;
    hd_machine m = look(1);
    assert_int_equal(m.l1d_bytes, 32 << 10);
    assert_int_equal(m.l2_bytes, 256 << 10);
    assert_int_equal(m.l3_bytes, 2 << 20);
    static const char *const caches[4][3] = {
        {"Data", "1", "48K"}, {"Instruction", "1", "64K"}, {"Unified", "2", "2048K"}, {"Unified", "3", "32M"}};
    for (int i = 0; i < 4; i++) {
        char path[100];
        const char *const names[3] = {"type", "level", "size"};
        for (int j = 0; j < 3; j++) {
            snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu0/cache/index%d/%s", i, names[j]);
            put(path, caches[i][j]);
        }
    }
    m = look(1);
    assert_int_equal(m.l1d_bytes, 48 << 10);
    assert_int_equal(m.l2_bytes, 2 << 20);
    assert_int_equal(m.l3_bytes, 32 << 20);
}

static void test_groups_v2(void **state)
{
    (void)state;
    put("/proc/self/cgroup", "0::/a/b\n");
    put("/sys/fs/cgroup/a/b/cpu.max", "max 100000\n");
    put("/sys/fs/cgroup/a/b/memory.max", "max\n");
    hd_machine m = look(8);
    assert_int_equal(m.n_cpus_allowed, 8);
    assert_int_equal(m.memory_bytes, 16000000ull << 10);

    put("/sys/fs/cgroup/a/cpu.max", "250000 100000\n"); /* a parent's limit binds: 2.5 processors */
    put("/sys/fs/cgroup/a/memory.max", "1073741824\n");
    put("/sys/fs/cgroup/a/memory.current", "805306368\n");
    put("/sys/fs/cgroup/a/memory.stat", "anon 1\ninactive_file 268435456\n");
    m = look(8);
    assert_int_equal(m.n_cpus_allowed, 3);
    assert_int_equal(m.memory_bytes, 1u << 30);
    assert_int_equal(m.memory_free_bytes, 512u << 20);
    assert_int_equal(look(2).n_cpus_allowed, 2);

    put("/sys/fs/cgroup/cpu.max", "1000 100000\n"); /* the mount point's own, as inside a container */
    assert_int_equal(look(8).n_cpus_allowed, 1);
}

static void test_group_over_its_limit(void **state)
{
    (void)state;
    put("/proc/self/cgroup", "0::/\n");
    put("/sys/fs/cgroup/memory.max", "1000000\n");
    put("/sys/fs/cgroup/memory.current", "1000001\n");
    hd_machine m = look(1);
    assert_int_equal(m.memory_bytes, 1000000);
    assert_int_equal(m.memory_free_bytes, 0);
}

static void test_groups_v1(void **state)
{
    (void)state;
    put("/proc/self/cgroup", "5:memory:/job\n4:cpu,cpuacct:/job\n3:cpuset:/other\n0::/\n");
    put("/sys/fs/cgroup/cpu/job/cpu.cfs_quota_us", "-1\n");
    put("/sys/fs/cgroup/cpu/job/cpu.cfs_period_us", "100000\n");
    put("/sys/fs/cgroup/memory/job/memory.limit_in_bytes", "9223372036854771712\n");
    hd_machine m = look(8);
    assert_int_equal(m.n_cpus_allowed, 8);
    assert_int_equal(m.memory_bytes, 16000000ull << 10);

    put("/sys/fs/cgroup/cpu/job/cpu.cfs_quota_us", "400000\n");
    put("/sys/fs/cgroup/memory/memory.limit_in_bytes", "2147483648\n");
    put("/sys/fs/cgroup/memory/memory.usage_in_bytes", "1073741824\n");
    m = look(8);
    assert_int_equal(m.n_cpus_allowed, 4);
    assert_int_equal(m.memory_bytes, 2u << 30);
    assert_int_equal(m.memory_free_bytes, 1u << 30);
}

static void test_nonsense_is_ignored(void **state)
{
    (void)state;
    put("/proc/self/cgroup", "nonsense\n0:\n::\n");
    put("/sys/fs/cgroup/cpu.max", "0 0\n");
    put("/sys/devices/system/cpu/online", "9-2,x\n");
    put("/proc/meminfo", "MemTotal: many kB\nMemAvailable\n");
    hd_machine m = look(0);
    assert_int_equal(m.n_cpus_online, 1);
    assert_int_equal(m.n_cpus_allowed, 1);
    assert_int_equal(m.memory_bytes, 1u << 30);
    assert_true(m.memory_free_bytes <= m.memory_bytes);
}

static void test_nothing_there(void **state)
{
    (void)state;
    hd_machine m;
    hd__machine_read("/nonexistent", 2, &m);
    assert_int_equal(m.n_cpus_allowed, 2);
    assert_int_equal(m.n_cpus_online, 2);
    assert_true(m.memory_bytes > 0 && m.l2_bytes > 0);
}

static void test_this_machine(void **state)
{
    (void)state;
    hd_machine m;
    hd__machine_get(&m);
    assert_true(m.n_cpus_allowed >= 1 && m.n_cpus_allowed <= (uint32_t)sysconf(_SC_NPROCESSORS_CONF));
    assert_true(m.memory_bytes > 64u << 20);
    assert_true(m.memory_free_bytes <= m.memory_bytes);
    assert_true(hd__machine_rss() > 100u << 10);
    assert_true(hd__machine_rss_peak() >= hd__machine_rss() / 2);
}

static void test_device_text(void **state)
{
    (void)state;
    hd_machine m;
    hd__machine_get(&m);
    assert_non_null(strstr(hd_device_text(), m.cpu_name));
    assert_ptr_equal(hd_device_text(), hd_device_text());
}

#define MACHINE_TEST(f) cmocka_unit_test_setup_teardown(f, new_machine, drop_machine)

int main(void)
{
    const struct CMUnitTest tests[] = {
        MACHINE_TEST(test_plain),
        MACHINE_TEST(test_names),
        MACHINE_TEST(test_cache_sizes),
        MACHINE_TEST(test_groups_v2),
        MACHINE_TEST(test_group_over_its_limit),
        MACHINE_TEST(test_groups_v1),
        MACHINE_TEST(test_nonsense_is_ignored),
        cmocka_unit_test(test_nothing_there),
        cmocka_unit_test(test_this_machine),
        cmocka_unit_test(test_device_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
