/* peft.c - see peft.h. */
#include "model/peft.h"

#include <math.h>
#include <stdio.h>

#include "base/alloc.h"
#include "base/buffer.h"
#include "base/file.h"
#include "base/regex_memory.h"

#define MAX_ALPHA 1e6

/* ---- adapter_config.json ---- */

/* Whether a field says that PEFT does nothing more: absent, null, false, 0, "", [] or {}. */
static bool is_nothing(const json_t *field)
{
    return field == NULL || json_is_null(field) || json_is_false(field) ||
           (json_is_number(field) && json_number_value(field) == 0.0) ||
           (json_is_string(field) && json_string_length(field) == 0) ||
           (json_is_array(field) && json_array_size(field) == 0) || (json_is_object(field) && json_object_size(field) == 0);
}

/* Options that change more than A and B say. */
static hd_status check_options(const json_t *root, const char *shown, hd_error *err)
{
    static const char *const options[] = {
        "use_dora",          "use_qalora",
        "lora_bias",         "modules_to_save",
        "layer_replication", "trainable_token_indices",
        "target_parameters", "alora_invocation_tokens",
        "arrow_config",
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

static hd_status parse_alphas(const hd_settings_reader *reader, const json_t *root, const char *shown,
                              hd_peft_config *config)
{
    json_t *object = json_object_get(root, "alpha_pattern");
    const size_t n = json_object_size(object);
    hd_error *err = reader->err;
    if (is_nothing(object))
        return HD_OK;
    if (!json_is_object(object))
        return hd__fail(err, HD_ERR_FORMAT, "%s: \"alpha_pattern\" is not an object", shown);
    if (n > HD_LIMIT_ADAPTER_PATTERNS)
        return hd__fail(err, HD_ERR_LIMIT, "%s: \"alpha_pattern\" has %zu patterns, the limit is %u", shown, n,
                        HD_LIMIT_ADAPTER_PATTERNS);
    hd_peft_alpha *alphas = hd__arena_calloc(reader->arena, n, sizeof *alphas);
    if (alphas == NULL)
        return hd__fail(err, HD_ERR_MEMORY, "%s: no memory for %zu patterns", shown, n);
    const char *pattern;
    json_t *value;
    json_object_foreach (object, pattern, value) {
        hd_peft_alpha *rule = &alphas[config->n_alphas++];
        HD_TRY(hd__settings_keep(reader, pattern, &rule->pattern));
        HD_TRY(hd__json_get_real(object, pattern, -MAX_ALPHA, MAX_ALPHA, shown, &rule->alpha, err));
    }
    config->alphas = alphas;
    return HD_OK;
}

static hd_status describe(const hd_settings_reader *reader, const char *shown, hd_peft_config *config)
{
    hd_buffer text;
    hd__buffer_init(&text);
    hd__buffer_printf(&text, "%u %.17g %d", config->rank, config->alpha, config->by_root);
    for (uint32_t i = 0; i < config->n_alphas; i++)
        hd__buffer_printf(&text, " %s %.17g", config->alphas[i].pattern, config->alphas[i].alpha);
    config->text = text.failed ? NULL : hd__arena_strndup(reader->arena, text.ptr, text.len);
    hd__buffer_clear(&text);
    return config->text != NULL ? HD_OK : hd__fail(reader->err, HD_ERR_MEMORY, "%s: no memory for its settings", shown);
}

static hd_status parse_config(const hd_settings_reader *reader, const json_t *root, const char *shown,
                              hd_peft_config *config)
{
    hd_error *err = reader->err;
    uint64_t rank = 8;
    const char *base = "";
    *config = (hd_peft_config){.alpha = 8.0};
    HD_TRY(check_options(root, shown, err));
    HD_TRY(check_begin(root, shown, err));
    HD_TRY(hd__json_get_uint(root, "r", 1, HD_LIMIT_ADAPTER_RANK, shown, &rank, err));
    HD_TRY(hd__json_get_real(root, "lora_alpha", -MAX_ALPHA, MAX_ALPHA, shown, &config->alpha, err));
    HD_TRY(hd__json_get_bool(root, "use_rslora", shown, &config->by_root, err));
    HD_TRY(hd__json_get_text(root, "base_model_name_or_path", shown, &base, err));
    config->rank = (uint32_t)rank;
    config->ranks_differ = !is_nothing(json_object_get(root, "rank_pattern"));
    HD_TRY(parse_alphas(reader, root, shown, config));
    HD_TRY(describe(reader, shown, config));
    return hd__settings_keep(reader, base, &config->base);
}

static double scale_of(double alpha, bool by_root, uint64_t rank)
{
    return alpha / (by_root ? sqrt((double)rank) : (double)rank);
}

double hd__peft_scale(const hd_peft_config *config, uint32_t rank)
{
    return scale_of(config->alpha, config->by_root, rank);
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

typedef struct module_pair {
    hd_peft_pair pair;
    const char *module;
    size_t n_module;
    bool asked_for;
} module_pair;

struct hd_peft {
    hd_arena arena;
    hd_tensors *tensors;
    module_pair *pairs; /* [n] */
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
static hd_status add_tensor(hd_peft *p, const hd_tensor *t, const hd_peft_config *config, hd_error *err)
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
        const bool has_own = config->ranks_differ && a->n_dims == 2 && a->dims[0] <= HD_LIMIT_ADAPTER_RANK;
        const uint64_t rank = has_own ? a->dims[0] : config->rank;
        if (a->n_dims != 2 || b->n_dims != 2 || a->dims[0] != rank || b->dims[1] != rank || rank == 0)
            return hd__fail(err, HD_ERR_FORMAT, "%s: tensors \"%s\" and \"%s\" are not [%u, …] and […, %u]", t->file,
                            a->name, b->name, (unsigned)rank, (unsigned)rank);
        if (is_a && n_stem > n_begin)
            p->pairs[p->n++] = (module_pair){
                {a, b, hd__peft_scale(config, (uint32_t)rank), i > 0}, t->name + n_begin, n_stem - n_begin, false};
        return HD_OK;
    }
    return hd__fail(err, HD_ERR_UNSUPPORTED, "%s: tensor \"%s\" is not one of LoRA's, which Heddle runs alone", t->file,
                    t->name);
}

/* ---- patterns ---- */

static hd_status compile(pcre2_general_context *memory, const char *pattern, const char *dir, hd_arena *arena,
                         pcre2_code **code, hd_error *err)
{
    PCRE2_UCHAR message[128];
    int number = PCRE2_ERROR_NOMEMORY;
    PCRE2_SIZE at = 0;
    const char *whole = hd__arena_printf(arena, "(?:.*\\.)?(?:%s)", pattern);
    pcre2_compile_context *settings = pcre2_compile_context_create(memory);
    if (settings != NULL && whole != NULL) {
        pcre2_set_parens_nest_limit(settings, HD_LIMIT_REGEX_NESTING);
        *code = pcre2_compile((PCRE2_SPTR)whole, strlen(whole), PCRE2_ANCHORED | PCRE2_ENDANCHORED | PCRE2_NEVER_BACKSLASH_C,
                              &number, &at, settings);
    }
    pcre2_compile_context_free(settings);
    if (*code != NULL)
        return HD_OK;
    pcre2_get_error_message(number, message, sizeof message);
    return hd__fail(err, whole == NULL || settings == NULL ? HD_ERR_MEMORY : HD_ERR_FORMAT,
                    "%s/adapter_config.json: \"alpha_pattern\": \"%.200s\" is no regular expression: %s", dir, pattern,
                    (const char *)message);
}

/* Gives its alpha to those modules that match and have none of their own yet. */
static hd_status match_modules(hd_peft *p, const hd_peft_config *config, uint32_t rule, const pcre2_code *code,
                               pcre2_general_context *memory, bool *has_own, const char *dir, hd_error *err)
{
    pcre2_match_context *limits = pcre2_match_context_create(memory);
    pcre2_match_data *found = pcre2_match_data_create(1, memory);
    hd_status status = HD_OK;
    if (limits == NULL || found == NULL) {
        status = hd__fail(err, HD_ERR_MEMORY, "%s: no memory for a pattern", dir);
        goto out;
    }
    pcre2_set_match_limit(limits, HD_LIMIT_ADAPTER_PATTERN_STEPS);
    pcre2_set_heap_limit(limits, HD_LIMIT_REGEX_HEAP_KB);
    for (size_t i = 0; i < p->n; i++) {
        module_pair *m = &p->pairs[i];
        const int code_of_match =
            has_own[i] ? PCRE2_ERROR_NOMATCH : pcre2_match(code, (PCRE2_SPTR)m->module, m->n_module, 0, 0, found, limits);
        if (code_of_match == PCRE2_ERROR_NOMATCH)
            continue;
        if (code_of_match < 0) {
            status =
                hd__fail(err, HD_ERR_LIMIT, "%s/adapter_config.json: \"alpha_pattern\": \"%.200s\" takes too many steps",
                         dir, config->alphas[rule].pattern);
            goto out;
        }
        has_own[i] = true;
        m->pair.scale = scale_of(config->alphas[rule].alpha, config->by_root, m->pair.a->dims[0]);
    }
out:
    pcre2_match_data_free(found);
    pcre2_match_context_free(limits);
    return status;
}

static hd_status set_scales(hd_peft *p, const hd_peft_config *config, const char *dir, hd_error *err)
{
    if (config->n_alphas == 0)
        return HD_OK;
    bool *has_own = hd__arena_calloc(&p->arena, p->n + 1, sizeof *has_own);
    pcre2_general_context *memory = hd__regex_memory();
    hd_status status = has_own != NULL && memory != NULL ? HD_OK : hd__fail(err, HD_ERR_MEMORY, "%s: no memory", dir);
    for (uint32_t i = 0; i < config->n_alphas && status == HD_OK; i++) {
        pcre2_code *code = NULL;
        status = compile(memory, config->alphas[i].pattern, dir, &p->arena, &code, err);
        if (status == HD_OK)
            status = match_modules(p, config, i, code, memory, has_own, dir, err);
        pcre2_code_free(code);
    }
    pcre2_general_context_free(memory);
    return status;
}

/* ---- the interface ---- */

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

hd_status hd__peft_open(const char *dir, const hd_peft_config *config, hd_peft **peft, hd_error *err)
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
        HD_TRY_OUT(add_tensor(p, hd__tensors_at(p->tensors, i), config, err));
    HD_TRY_OUT(set_scales(p, config, dir, err));
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

const hd_peft_pair *hd__peft_find(const hd_peft *p, const char *module)
{
    const size_t n = strlen(module);
    for (size_t i = 0; i < p->n; i++) {
        if (!agree(p->pairs[i].module, p->pairs[i].n_module, module, n))
            continue;
        p->pairs[i].asked_for = true;
        return &p->pairs[i].pair;
    }
    return NULL;
}

const hd_tensor *hd__peft_left(const hd_peft *p)
{
    static const char pooler[] = "pooler.dense"; /* no vector goes through it */
    for (size_t i = 0; i < p->n; i++) {
        const module_pair *m = &p->pairs[i];
        if (!m->asked_for && !agree(m->module, m->n_module, pooler, sizeof pooler - 1))
            return m->pair.a;
    }
    return NULL;
}

const char *hd__peft_identity(const hd_peft *p)
{
    return hd__tensors_identity(p->tensors);
}
