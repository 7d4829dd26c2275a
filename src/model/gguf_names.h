/* gguf_names.h - what GGUF calls the tensors of each kind of model, and what the Hub calls them. The only place that knows.
 *
 * A row of a table holds the stems of both names ("blk.%u.attn_q", "encoder.layer.%u.attention.self.query"); what follows
 * the stem (".weight", ".bias") is the same on both sides. On the Hub the tensors of a model without a head go by these
 * names; where there is a head the body's have a prefix ("bert.") in front.
 * Source: gguf-py's constants.py and tensor_mapping.py, and the models' own files on the Hub.
 */
#ifndef HD_MODEL_GGUF_NAMES_H
#define HD_MODEL_GGUF_NAMES_H

#include "base/arena.h"
#include "base/span.h"

typedef struct hd_gguf_name {
    const char *gguf, *hub;
} hd_gguf_name;

typedef struct hd_gguf_names {
    const char *model_type;
    const char *prefix;              /* of the body where there is a head */
    const hd_gguf_name *body, *head; /* a row of NULLs ends each */
} hd_gguf_names;

/* The tables of a kind of model, by hd_settings' model_type; NULL for one that GGUF has no names for. */
const hd_gguf_names *hd__gguf_names(const char *model_type);

/* The other name of a tensor, in the arena. *name stays NULL for a tensor that the tables do not know. From the Hub's side
 * the prefix may be there or not, and be sentence-transformers'. */
HD_MUST_USE hd_status hd__gguf_name_to_hub(const hd_gguf_names *names, const char *gguf, bool has_head, hd_arena *arena,
                                           const char **name, hd_error *err);
HD_MUST_USE hd_status hd__gguf_name_from_hub(const hd_gguf_names *names, const char *hub, hd_arena *arena, const char **name,
                                             hd_error *err);

#endif
