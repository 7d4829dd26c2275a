/* peft.h - a low-rank adapter (LoRA, Hu et al. 2021) as the PEFT library saves it: a folder of adapter_config.json and
 * adapter_model.safetensors (or .bin). Part of settings.h.
 *
 * Of each module that it changes, by the path of transformers' class behind "base_model.model.":
 *
 *   <module>.lora_A.weight [r, k] and .lora_B.weight [n, r]           W [n, k] + scale B A
 *   <module>.lora_embedding_A [r, rows] and _B [columns, r]           a table's W [rows, columns] + scale (B A)^T
 *
 * with scale = lora_alpha / r, or / sqrt(r) with "use_rslora". A module may have a rank of its own ("rank_pattern"), which
 * its tensors tell, and an alpha of its own ("alpha_pattern"). "fan_in_fan_out" is about layers that none of Heddle's models
 * has; PEFT itself passes it over for all others. What else PEFT can do is refused by its name; so is a tensor that is none
 * of these. Source: peft.LoraConfig, peft.tuners.lora 0.21.
 */
#ifndef HD_MODEL_PEFT_H
#define HD_MODEL_PEFT_H

#include "model/modules.h"
#include "model/tensors.h"

/* The alpha of modules whose path, or the end of it behind a dot, matches; of several patterns the first. */
typedef struct hd_peft_alpha {
    const char *pattern; /* a regular expression of Python's */
    double alpha;
} hd_peft_alpha;

typedef struct hd_peft_config {
    uint32_t rank;
    bool ranks_differ; /* modules have ranks of their own */
    bool by_root;      /* scales are alpha / sqrt(rank) */
    double alpha;
    uint32_t n_alphas;
    const hd_peft_alpha *alphas; /* [n_alphas] */
    const char *base;            /* "base_model_name_or_path", or "" */
    const char *text;            /* all of it that scales come from: another text, another model */
} hd_peft_config;

/* That of modules without an alpha of their own. */
double hd__peft_scale(const hd_peft_config *config, uint32_t rank);

/* Reads adapter_config.json of a folder below the model's, or with "" its own. *present false: there is none. */
HD_MUST_USE hd_status hd__peft_config_read(const hd_settings_reader *reader, const char *path, bool *present,
                                           hd_peft_config *config);

/* Opens the file of an adapter's tensors, as hd__tensors_open does a model's. */
HD_MUST_USE hd_status hd__peft_tensors(const char *dir, hd_tensors **tensors, hd_error *err);

typedef struct hd_peft hd_peft;

/* What an adapter does to a module. */
typedef struct hd_peft_pair {
    const hd_tensor *a, *b;
    double scale;
    bool is_table; /* of lora_embedding_A and _B */
} hd_peft_pair;

/* Opens the adapter's tensors, of which the ranks are those of the config. */
HD_MUST_USE hd_status hd__peft_open(const char *dir, const hd_peft_config *config, hd_peft **peft, hd_error *err);
void hd__peft_close(hd_peft *peft); /* NULL allowed */

/* What changes a module; NULL when the adapter leaves it as it is. Names agree when one of them is the other's end, behind a
 * dot: files of a model put a prefix before them or none. */
const hd_peft_pair *hd__peft_find(const hd_peft *peft, const char *module);

/* The A of a module that has not been asked for yet, so that it changes nothing; NULL: there is none. */
const hd_tensor *hd__peft_left(const hd_peft *peft);

/* As hd__tensors_identity. */
const char *hd__peft_identity(const hd_peft *peft);

#endif
