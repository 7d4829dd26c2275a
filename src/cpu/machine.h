/* machine.h - cores, caches, memory: what plans are made from.
 *
 * Cores are those this process may run on: the affinity mask, cut by the cgroup's CPU quota. Memory is the
 * smaller of physical and the cgroup's limit. Read from sysfs, procfs and cgroup v2/v1.
 */
#ifndef HD_CPU_MACHINE_H
#define HD_CPU_MACHINE_H

#include <stdint.h>

typedef struct hd_machine {
    char cpu_name[64]; /* "AMD EPYC 9454P 48-Core Processor" */
    uint32_t n_cpus_online;
    uint32_t n_cpus_allowed;                /* affinity and quota; at least 1 */
    uint32_t l1d_bytes, l2_bytes, l3_bytes; /* of one instance; conservative defaults when unknown */
    uint64_t memory_bytes;                  /* physical or cgroup limit, the smaller */
    uint64_t memory_free_bytes;             /* available now */
} hd_machine;

void hd__machine_get(hd_machine *machine);

/* The same from the files below another root ("" is the real one), for a process whose affinity mask holds
 * n_affine processors (0: unknown). hd__machine_get is made of it; tests give it machines that do not exist. */
void hd__machine_read(const char *root, uint32_t n_affine, hd_machine *machine);

/* Peak and current resident set of this process, bytes. */
uint64_t hd__machine_rss_peak(void);
uint64_t hd__machine_rss(void);

#endif
