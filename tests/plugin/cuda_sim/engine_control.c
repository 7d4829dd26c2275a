/* engine_control.c - the orders of host_plugin.h for the simulated device, so that engine_test.c runs on it. An operation is
 * here any call of the driver's that puts something on a stream; how much memory there is, and how many streams work at
 * once, is not asked for.
 */
#include "../host_plugin.h"
#include "cuda_sim.h"
#include "driver.h"

SIM_EXPORT host_plugin_control_fn host_plugin_control;

void host_plugin_control(const host_plugin_orders *orders, host_plugin_counts *out)
{
    static const int results[] = {[HD_PLUGIN_NO_MEMORY] = CUDA_ERROR_OUT_OF_MEMORY,
                                  [HD_PLUGIN_FAILED] = CUDA_ERROR_LAUNCH_FAILED,
                                  [HD_PLUGIN_LOST] = CUDA_ERROR_ECC_UNCORRECTABLE};
    cuda_sim_counts counts;
    cuda_sim_orders own = {0};
    if (orders != NULL && orders->fails != HD_PLUGIN_OK)
        own = (cuda_sim_orders){.call = CUDA_SIM_ANY_OPERATION,
                                .result = results[orders->fails],
                                .at = orders->at,
                                .period = orders->period,
                                .n_opens = orders->n_opens};
    cuda_sim_control(orders != NULL ? &own : NULL, &counts);
    if (out != NULL)
        *out = (host_plugin_counts){
            .n_failures = counts.n_failures, .n_allocated = counts.n_allocated, .n_streams = (uint32_t)counts.n_streams};
}
