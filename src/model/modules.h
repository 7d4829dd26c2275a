/* modules.h - modules.json: which transformer, and what is done to its output. Part of settings.h.
 *
 * modules.json is a list of {"type": "sentence_transformers…Class", "path": "1_Pooling", …}, run in order.
 * Heddle runs Transformer, Pooling, any number of Dense, then perhaps Normalize; Dropout does nothing once
 * training is over. A Transformer and Dense alone are PyLate's late interaction, and with MultiVectorMask and Normalize that
 * of sentence-transformers: Dense is for each token then. A Transformer (older: MLMTransformer) and a SpladePooling are a
 * sparse encoder, a Transformer and a LogitScore a reranker that answers yes or no, a StaticEmbedding a model without a
 * transformer, a Transformer alone is a classifier if its config.json says so. A Router (older: Asym) sends queries and
 * documents through modules of their own (router.h), with others before and behind it for both. Anything else is refused by
 * its name.
 */
#ifndef HD_MODEL_MODULES_H
#define HD_MODEL_MODULES_H

#include "model/settings.h"

/* What reading one model's settings needs at every step. */
typedef struct hd_settings_reader {
    const hd_settings_source *source;
    const char *dir; /* the model's folder */
    hd_arena *arena;
    hd_error *err;
} hd_settings_reader;

#define HD_LIMIT_MODULES 32

typedef struct hd_modules {
    bool present;            /* there is a modules.json */
    const char *query_table; /* a Router's folder of weights for queries; `modules` are for documents then; else NULL */
    bool query_is_default;   /* of a Router: what is not said to be a document is a query */
    bool has_sides;          /* a Router has other modules for queries: `modules` are those of the source's side */
    uint32_t n, n_others;
    const char *others[HD_LIMIT_MODULES]; /* [n_others] folders of the other side's */
    struct {
        const char *type; /* the class's own name */
        const char *path; /* "" for the model's folder itself */
    } modules[HD_LIMIT_MODULES];
} hd_modules;

/* "path/file", or just "file" when path is "". NULL: no memory. */
const char *hd__settings_path(const hd_settings_reader *reader, const char *path, const char *file);

/* Reads a settings file; *root stays NULL when it is absent and `required` is false. *shown is its name for
 * error texts. */
HD_MUST_USE hd_status hd__settings_file(const hd_settings_reader *reader, const char *path, const char *file, bool required,
                                        json_t **root, const char **shown);

/* *value into the arena; *value may be a literal before. */
HD_MUST_USE hd_status hd__settings_keep(const hd_settings_reader *reader, const char *text, const char **value);

/* Reads modules.json, when there is one, and a Router's own file, of one side. The first module is then a Transformer,
 * MLMTransformer or StaticEmbedding. */
HD_MUST_USE hd_status hd__modules_read(const hd_settings_reader *reader, hd_modules *modules);

/* The class of a dotted name ("sentence_transformers.models.Pooling"), NULL for a stranger's. */
const char *hd__module_class(const char *type);

/* One more module, of a class that Heddle runs and in its order. path: below the model's folder, or "". */
HD_MUST_USE hd_status hd__modules_add(const hd_settings_reader *reader, const char *type, const char *path,
                                      const char *shown, hd_modules *modules);

/* Whether a class is among them. */
bool hd__modules_have(const hd_modules *modules, const char *type);

/* Whether they are late interaction. */
bool hd__modules_interact_late(const hd_modules *modules);

/* Reads the folders of the modules behind the transformer: pooling, dense, normalize, and decides which heads there are.
 * settings->hidden and settings->heads are those of config.json. */
HD_MUST_USE hd_status hd__modules_apply(const hd_settings_reader *reader, const hd_modules *modules, hd_settings *settings);

/* "gelu", "gelu_new", …: names of config.json's hidden_act. False for one that Heddle does not run. */
bool hd__activation_parse(const char *name, hd_activation *activation);

#endif
