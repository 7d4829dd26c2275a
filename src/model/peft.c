/* peft.c - see peft.h. */
#include "model/peft.h"

#include <math.h>
#include <stdio.h>

#include "base/alloc.h"
#include "base/file.h"

/* ---- adapter_config.json ---- */

/* Whether a field says that PEFT does nothing more: absent, null, false, 0, "", [] or {}. */
static bool is_nothing(const json_t *field)
{
    return field == NULL || json_is_null(field) || json_is_false(field) ||
           (json_is_number(field) && json_number_value(field) == 0.0) ||
           (json_is_string(field) && json_string_length(field) == 0) ||
           (json_is_array(field) && json_array_size(field) == 0) || (json_is_object(field) && json_object_size(field) == 0);
}

/* Options that change more than A and B say, or other than by one scale. */
static hd_status check_options(const json_t *root, const char *shown, hd_error *err)
{
    static const char *const options[] = {
        "use_dora",       "use_qalora",    "lora_bias",         "modules_to_save",         "trainable_token_indices",
        "rank_pattern",   "alpha_pattern", "layer_replication", "alora_invocation_tokens", "target_parameters",
        "fan_in_fan_out", "arrow_config",
    };
    const char *type = "", *bias = "none";
    HD_TRY(hd__json_get_text(root, "peft_type", shown, &type, err));
    if (strcmp(type, "LORA") != 0)
        return hd__fail(err, HD_ERR_UNSUPPORTED, "%s: \"peft_type\" is \"%s\", Heddle runs \"LORA\"", shown, type);
    HD_TRY(hd__json_get_text(root, "bias", shown, &bias, err));
    if (strcmp(bias, "none") != 0)
        return hd__fail(err, HD_ERR_UNSUPPORTED, "%s: \"bias\" is \"%s\", Heddle runs \"none\"", shown, bias);
    for (size_t i = 0; i < sizeof options / sizeof *options; i++)
        if (!is_nothing(json_object_get(root, options[i])))
            return hd__fail(err, HD_ERR_UNSUPPORTED, "%s: \"%s\", which Heddle does not run", shown, options[i]);
    return HD_OK;
}

/* Some ways to begin the training take a part of the weights away, which is then in A and B. */
static hd_status check_begin(const json_t *root, const char *shown, hd_error *err)
{
    static const char *const harmless[] = {"gaussian", "eva", "orthogonal"};
    const json_t *field = json_object_get(root, "init_lora_weights");
    const char *name = json_string_value(field);
    for (size_t i = 0; name != NULL && i < sizeof harmless / sizeof *harmless; i++)
        if (strcmp(name, harmless[i]) == 0)
            return HD_OK;
    return name == NULL ? HD_OK
                        : hd__fail(err, HD_ERR_UNSUPPORTED,
                                   "%s: \"init_lora_weights\" is \"%s\", which may change the weights below: let PEFT merge "
                                   "them (merge_and_unload)",
                                   shown, name);
}

static hd_status parse_config(const hd_settings_reader *reader, const json_t *root, const char *shown,
                              hd_peft_config *config)
{
    hd_error *err = reader->err;
    uint64_t rank = 8;
    double alpha = 8.0;
    bool by_root = false;
    const char *base = "";
    HD_TRY(check_options(root, shown, err));
    HD_TRY(check_begin(root, shown, err));
    HD_TRY(hd__json_get_uint(root, "r", 1, HD_LIMIT_ADAPTER_RANK, shown, &rank, err));
    HD_TRY(hd__json_get_real(root, "lora_alpha", -1e6, 1e6, shown, &alpha, err));
    HD_TRY(hd__json_get_bool(root, "use_rslora", shown, &by_root, err));
    HD_TRY(hd__json_get_text(root, "base_model_name_or_path", shown, &base, err));
    config->rank = (uint32_t)rank;
    config->scale = alpha / (by_root ? sqrt((double)rank) : (double)rank);
    return hd__settings_keep(reader, base, &config->base);
}

hd_status hd__peft_config_read(const hd_settings_reader *reader, const char *path, bool *present, hd_peft_config *config)
{
    json_t *root;
    const char *shown;
    HD_TRY(hd__settings_file(reader, path, "adapter_config.json", false, &root, &shown));
    *present = root != NULL;
    if (root == NULL)
        return HD_OK;
    const hd_status status = parse_config(reader, root, shown, config);
    json_decref(root);
    return status;
}

/* ---- tensors ---- */

typedef struct peft_pair {
    const char *module;
    size_t n_module;
    const hd_tensor *a, *b;
    bool asked_for;
} peft_pair;

struct hd_peft {
    hd_arena arena;
    hd_tensors *tensors;
    peft_pair *pairs; /* [n] */
    size_t n;
};

static const struct {
    const char *a, *b;
} endings[] = {{".lora_A.weight", ".lora_B.weight"}, {".lora_embedding_A", ".lora_embedding_B"}};

static bool ends_with(const char *text, size_t n, const char *end)
{
    const size_t n_end = strlen(end);
    return n >= n_end && memcmp(text + n - n_end, end, n_end) == 0;
}

/* The pair that a tensor is A of; of B it is found by its A. */
static hd_status add_tensor(hd_peft *p, const hd_tensor *t, uint32_t rank, hd_error *err)
{
    static const char begin[] = "base_model.model.";
    const size_t n = strlen(t->name), n_begin = strncmp(t->name, begin, sizeof begin - 1) == 0 ? sizeof begin - 1 : 0;
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
        const bool is_a = ends_with(t->name, n, endings[i].a);
        if (!is_a && !ends_with(t->name, n, endings[i].b))
            continue;
        const size_t n_stem = n - strlen(endings[i].a);
        const char *other = hd__arena_printf(&p->arena, "%.*s%s", (int)n_stem, t->name, is_a ? endings[i].b : endings[i].a);
        if (other == NULL)
            return hd__fail(err, HD_ERR_MEMORY, "%s: no memory for its list of tensors", t->file);
        const hd_tensor *twin = hd__tensors_find(p->tensors, other);
        const hd_tensor *a = is_a ? t : twin, *b = is_a ? twin : t;
        if (twin == NULL)
            return hd__fail(err, HD_ERR_FORMAT, "%s: tensor \"%s\" is there without \"%s\"", t->file, t->name, other);
        if (a->n_dims != 2 || b->n_dims != 2 || a->dims[0] != rank || b->dims[1] != rank)
            return hd__fail(err, HD_ERR_FORMAT, "%s: tensors \"%s\" and \"%s\" are not [%u, …] and […, %u]", t->file,
                            a->name, b->name, rank, rank);
        if (is_a && n_stem > n_begin)
            p->pairs[p->n++] = (peft_pair){t->name + n_begin, n_stem - n_begin, a, b, false};
        return HD_OK;
    }
    return hd__fail(err, HD_ERR_UNSUPPORTED, "%s: tensor \"%s\" is not one of LoRA's, which Heddle runs alone", t->file,
                    t->name);
}

hd_status hd__peft_tensors(const char *dir, hd_tensors **tensors, hd_error *err)
{
    static const char *const files[] = {"adapter_model.safetensors", "adapter_model.bin"};
    char path[HD_LIMIT_PATH_BYTES];
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        const int n = snprintf(path, sizeof path, "%s/%s", dir, files[i]);
        if (n > 0 && (size_t)n < sizeof path && hd__file_exists(path))
            return hd__tensors_open_file(path, tensors, err);
    }
    return hd__fail(err, HD_ERR_NOT_FOUND, "%s: neither %s nor %s", dir, files[0], files[1]);
}

hd_status hd__peft_open(const char *dir, uint32_t rank, hd_peft **peft, hd_error *err)
{
    hd_peft *p = hd__calloc(1, sizeof *p);
    if (p == NULL)
        return hd__fail(err, HD_ERR_MEMORY, "%s: no memory for its list of tensors", dir);
    hd__arena_init(&p->arena);
    hd_status status;
    HD_TRY_OUT(hd__peft_tensors(dir, &p->tensors, err));
    const size_t n = hd__tensors_count(p->tensors);
    p->pairs = hd__arena_calloc(&p->arena, n + 1, sizeof *p->pairs);
    if (p->pairs == NULL) {
        status = hd__fail(err, HD_ERR_MEMORY, "%s: no memory for its list of tensors", dir);
        goto out;
    }
    for (size_t i = 0; i < n; i++)
        HD_TRY_OUT(add_tensor(p, hd__tensors_at(p->tensors, i), rank, err));
    *peft = p;
    p = NULL;
out:
    hd__peft_close(p);
    return status;
}

void hd__peft_close(hd_peft *p)
{
    if (p == NULL)
        return;
    hd__tensors_close(p->tensors);
    hd__arena_clear(&p->arena);
    hd__free(p);
}

/* Whether the longer of two names ends in the other one, at a dot. */
static bool agree(const char *x, size_t n_x, const char *y, size_t n_y)
{
    if (n_x < n_y)
        return agree(y, n_y, x, n_x);
    return memcmp(x + n_x - n_y, y, n_y) == 0 && (n_x == n_y || x[n_x - n_y - 1] == '.');
}

bool hd__peft_find(const hd_peft *p, const char *module, const hd_tensor **a, const hd_tensor **b)
{
    const size_t n = strlen(module);
    for (size_t i = 0; i < p->n; i++) {
        if (!agree(p->pairs[i].module, p->pairs[i].n_module, module, n))
            continue;
        *a = p->pairs[i].a;
        *b = p->pairs[i].b;
        p->pairs[i].asked_for = true;
        return true;
    }
    return false;
}

const hd_tensor *hd__peft_left(const hd_peft *p)
{
    static const char pooler[] = "pooler.dense"; /* no vector goes through it */
    for (size_t i = 0; i < p->n; i++) {
        const peft_pair *pair = &p->pairs[i];
        if (!pair->asked_for && !agree(pair->module, pair->n_module, pooler, sizeof pooler - 1))
            return pair->a;
    }
    return NULL;
}

const char *hd__peft_identity(const hd_peft *p)
{
    return hd__tensors_identity(p->tensors);
}
