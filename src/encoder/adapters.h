/* adapters.h - the low-rank adapters of a model, as its files hold them: W + scale B A for a module's W.
 *
 * One for the whole model, which is merged into the weights (encoder/merge.h); and those of tasks, each in a PEFT folder of
 * its own (model/peft.h) or all of them stacked in tensors of the model's: "<module>.parametrizations.weight.0.lora_A" and
 * ".lora_B", [n_tasks, rows, columns] of what follows.
 */
#ifndef HD_ENCODER_ADAPTERS_H
#define HD_ENCODER_ADAPTERS_H

#include "base/arena.h"
#include "model/peft.h"
#include "model/settings.h"

typedef struct hd_adapters {
    const char *model_dir;
    hd_arena *arena;
    const hd_tensors *tensors; /* the model's */
    hd_peft *whole;            /* NULL: none */
    hd_peft **tasks;           /* [n_tasks] of settings->task_dirs; NULL: none, or stacked */
    uint32_t n_tasks;
} hd_adapters;

/* Opens those in folders. To be closed, also after a failure; model_dir, arena and tensors are to live as long. */
HD_MUST_USE hd_status hd__adapters_open(const char *model_dir, const hd_settings *settings, const hd_tensors *tensors,
                                        hd_arena *arena, hd_adapters *adapters, hd_error *err);
void hd__adapters_close(hd_adapters *adapters);

/* What adapters in folders have for a module is not left over; refuses what is, which would be left out silently. */
void hd__adapters_claim(const hd_adapters *adapters, const char *module);
HD_MUST_USE hd_status hd__adapters_check(const hd_adapters *adapters, hd_error *err);

/* A module with W [n, k]: A [rank, k] and B [n, rank]. Of a table of n rows stacked tensors are A [n, rank] and B [rank, k],
 * PEFT's A [rank, n] and B [k, rank]. */
typedef struct hd_adapted {
    const char *module;
    bool is_table;
    uint64_t n, k;
} hd_adapted;

/* One task's A and B of it: `a` from row a_first on, the same of b. a NULL: the module is not changed. */
typedef struct hd_low_rank {
    const hd_tensor *a, *b;
    uint64_t a_first, b_first;
} hd_low_rank;

/* Settings know n_tasks and the rank. */
HD_MUST_USE hd_status hd__adapters_find(const hd_adapters *adapters, const hd_adapted *adapted, const hd_settings *settings,
                                        uint64_t task, hd_low_rank *found, hd_error *err);

#endif
