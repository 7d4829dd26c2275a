/* gguf_names.h - what GGUF calls the tensors of each architecture, and what the Hub calls them. The only place that knows.
 *
 * A row of a table holds the stems of both names ("blk.%u.attn_q", "encoder.layer.%u.attention.self.query"); what follows
 * the stem (".weight", ".bias") is the same on both sides.
 * Source: gguf-py's constants.py and tensor_mapping.py, and the models' own files on the Hub.
 */
#ifndef HD_MODEL_GGUF_NAMES_H
#define HD_MODEL_GGUF_NAMES_H

#include "base/arena.h"
#include "base/span.h"

typedef struct hd_gguf_name {
    const char *gguf, *hub;
} hd_gguf_name;

/* The table of general.architecture; a row of NULLs ends it. NULL for an architecture that Heddle does not run. */
const hd_gguf_name *hd__gguf_names(const char *architecture);

/* The other name of a tensor, in the arena. *name stays NULL for a tensor that the table does not know. */
HD_MUST_USE hd_status hd__gguf_name_to_hub(const hd_gguf_name *table, const char *gguf, hd_arena *arena, const char **name,
                                           hd_error *err);
HD_MUST_USE hd_status hd__gguf_name_from_hub(const hd_gguf_name *table, const char *hub, hd_arena *arena, const char **name,
                                             hd_error *err);

#endif
