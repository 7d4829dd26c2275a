/* lookup.h - vectors shared with other processes: between the vector cache and the queue, a store is asked. */
#ifndef HD_ENGINE_LOOKUP_H
#define HD_ENGINE_LOOKUP_H

#include <heddle/heddle.h>

#include "base/vector_store.h"

/* Before the engine's first model is loaded. The store must outlive the engine. Loading then also reads all weights once,
 * because the keys are made of their contents. */
void hd__engine_set_store(hd_engine *engine, const hd_vector_store *store);

#endif
