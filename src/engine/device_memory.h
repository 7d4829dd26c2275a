/* device_memory.h - what of a device's memory its models and workers have: each model once, in its type there, and what
 * those leave divided among the workers, for the group that each has in hand. Where a model's words would leave too little
 * for that, they stay on the host, which sends those of each batch's tokens: 4 bytes of each of a token's values.
 */
#ifndef HD_ENGINE_DEVICE_MEMORY_H
#define HD_ENGINE_DEVICE_MEMORY_H

#include "engine/engine_int.h"

#define HD_DEVICE_FIRST_PAUSE_MS 250
#define HD_DEVICE_LONGEST_PAUSE_MS 60000 /* and as long a model that did not fit is not tried again */
#define HD_NS_OF_MS UINT64_C(1000000)

/* What a model's products are on a device. Past the range of f16 it is bf16, or what the CPU has. */
k_type hd__device_type(const hd_device *device, const hd_model *model);

/* With the lock: of a model's weights on all devices. */
uint64_t hd__device_weights_bytes(const hd_model *model);

/* With the lock: whether a model did not fit, a while ago. */
bool hd__device_refuses(const hd_device *device, const hd_model *model);

/* Room for a group of so many tokens. */
hd_room hd__device_room(int n_tokens);

/* With the lock: most tokens of a group. */
int hd__device_group_tokens(const hd_device *device, const hd_model *model, uint32_t heads);

/* The model on the device, uploaded at its first use by whichever worker is first; the others wait for it. The worker
 * computes with it until it leaves. */
HD_MUST_USE hd_status hd__device_bring(hd_worker *worker, hd_model *model, hd_device_copy *copy, hd_error *err);
void hd__device_leave(hd_worker *worker, hd_model *model);

/* Makes the worker's slot hold n_tokens and n_rows of results: the host's side of a batch for the device's encoder; and then
 * the device's. */
HD_MUST_USE hd_status hd__device_fit_slot(hd_worker *worker, const hd_model *model, const hd_encoder *encoder, int n_tokens,
                                          int n_rows, uint32_t heads, hd_error *err);
HD_MUST_USE hd_status hd__device_fit_block(hd_worker *worker, const hd_model *model, const hd_encoder *encoder,
                                           hd_error *err);

#endif
