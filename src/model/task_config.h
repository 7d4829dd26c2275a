/* task_config.h - the tasks of a model that comes with a low-rank adapter (LoRA, Hu et al. 2021) for each of them:
 * jina-embeddings-v3. Part of settings.h.
 *
 * config.json has "lora_adaptations", their names, and "task_instructions", what is put before their texts. The adapters are
 * tensors of the weights' own file ("load_trained_adapters"), A of all tasks in one and B in another; or as transformers'
 * class has them, PEFT's folders beside config.json (peft.h), "retrieval_query" for "retrieval.query".
 */
#ifndef HD_MODEL_TASK_CONFIG_H
#define HD_MODEL_TASK_CONFIG_H

#include "model/modules.h"

/* path: of config.json's folder, below the model's or "". No tasks, when there are no adapters. */
HD_MUST_USE hd_status hd__task_config(const hd_settings_reader *reader, const char *path, const json_t *root,
                                      const char *shown, hd_settings *settings);

/* The folder of a task's adapter, from its name, in the arena; NULL: no memory. */
const char *hd__task_folder(const char *task, hd_arena *arena);

#endif
