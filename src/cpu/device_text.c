/* device_text.c - the public one-line answer to "what does this run on?". */
#include <pthread.h>
#include <stdio.h>

#include "base/status.h"
#include "cpu/isa.h"
#include "cpu/machine.h"

static pthread_once_t once = PTHREAD_ONCE_INIT;
static char text[192]; /* written once, inside `once` */

static void describe(void)
{
    hd_machine machine;
    hd__machine_get(&machine);
    HD_IGNORE(hd__isa_init(NULL)); /* a HEDDLE_CPU that is not understood leaves the base level, which is then the answer */
    hd_isa highest = HD_ISA_BASE;
    for (hd_isa i = HD_ISA_BASE; i < HD_ISA_COUNT; i++)
        if (hd__isa_has(i))
            highest = i;
    snprintf(text, sizeof text, "cpu (%s), %u core%s, %s", machine.cpu_name, machine.n_cpus_allowed,
             machine.n_cpus_allowed == 1 ? "" : "s", hd__isa_name(highest));
}

const char *hd_device_text(void)
{
    pthread_once(&once, describe);
    return text;
}
