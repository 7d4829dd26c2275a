/* modules.c - see modules.h. */
#include "model/modules.h"

#include "base/file.h"
#include "model/router.h"

static const char modules_file[] = "modules.json";

const char *hd__settings_path(const hd_settings_reader *reader, const char *path, const char *file)
{
    return hd__arena_printf(reader->arena, "%s%s%s", path, path[0] != '\0' ? "/" : "", file);
}

hd_status hd__settings_file(const hd_settings_reader *reader, const char *path, const char *file, bool required,
                            json_t **root, const char **shown)
{
    const char *relative = hd__settings_path(reader, path, file);
    *root = NULL;
    *shown = relative != NULL ? hd__arena_printf(reader->arena, "%s/%s", reader->dir, relative) : NULL;
    if (*shown == NULL)
        return hd__fail(reader->err, HD_ERR_MEMORY, "%s: no memory for its settings", reader->dir);
    hd_error missing;
    hd_status status = reader->source->read(reader->source->data, relative, root, &missing);
    if (status == HD_ERR_NOT_FOUND && !required)
        return HD_OK;
    if (status != HD_OK)
        return hd__fail(reader->err, status, "%s", missing.text);
    if (!json_is_object(*root) && strcmp(file, modules_file) != 0) {
        json_decref(*root);
        *root = NULL;
        return hd__fail(reader->err, HD_ERR_FORMAT, "%s: not an object", *shown);
    }
    return HD_OK;
}

hd_status hd__settings_keep(const hd_settings_reader *reader, const char *text, const char **value)
{
    const char *kept = hd__arena_strndup(reader->arena, text, strlen(text));
    if (kept == NULL)
        return hd__fail(reader->err, HD_ERR_MEMORY, "%s: no memory for its settings", reader->dir);
    *value = kept;
    return HD_OK;
}

/* The class of a dotted name of the sentence_transformers package, whose inner paths changed over the
 * versions, or PyLate's Dense; NULL for other packages, whose classes may share a name but are code that comes with the
 * model. That of jina-embeddings-v3 is a Transformer, which also takes a task. */
const char *hd__module_class(const char *type)
{
    const char *dot = strrchr(type, '.');
    if (strcmp(type, "custom_st.Transformer") == 0)
        return "Transformer";
    if (strcmp(type, "pylate.models.Dense.Dense") == 0)
        return "Dense";
    return strncmp(type, "sentence_transformers.", strlen("sentence_transformers.")) == 0 && dot != NULL ? dot + 1 : NULL;
}

static bool runs(const char *class)
{
    static const char *const known[] = {"Transformer", "MLMTransformer", "Pooling",    "SpladePooling",   "Dense",
                                        "Normalize",   "Dropout",        "LogitScore", "StaticEmbedding", "MultiVectorMask"};
    for (size_t i = 0; class != NULL && i < sizeof known / sizeof *known; i++) {
        if (strcmp(class, known[i]) == 0)
            return true;
    }
    return false;
}

hd_status hd__modules_add(const hd_settings_reader *reader, const char *type, const char *path, const char *shown,
                          hd_modules *modules)
{
    const uint32_t i = modules->n;
    const char *class = hd__module_class(type);
    if (i == HD_LIMIT_MODULES)
        return hd__fail(reader->err, HD_ERR_LIMIT, "%s: more modules than the limit of %d", shown, HD_LIMIT_MODULES);
    if (path[0] != '\0' && !hd__path_is_below(hd__span_of(path)))
        return hd__fail(reader->err, HD_ERR_FORMAT, "%s: entry %u: \"path\" is \"%s\", not a path below the folder", shown,
                        i, path);
    if (!runs(class))
        return hd__fail(reader->err, HD_ERR_UNSUPPORTED, "%s: entry %u: module type \"%s\" is none that Heddle runs", shown,
                        i, type);
    bool transforms =
        strcmp(class, "Transformer") == 0 || strcmp(class, "MLMTransformer") == 0 || strcmp(class, "StaticEmbedding") == 0;
    if ((i == 0) != transforms)
        return hd__fail(reader->err, HD_ERR_UNSUPPORTED,
                        "%s: entry %u is a %s; Heddle runs one Transformer, which comes first", shown, i, class);
    HD_TRY(hd__settings_keep(reader, class, &modules->modules[i].type));
    HD_TRY(hd__settings_keep(reader, path, &modules->modules[i].path));
    modules->n++;
    return HD_OK;
}

static hd_status add_entry(const hd_settings_reader *reader, const json_t *entry, size_t i, const char *shown,
                           hd_modules *modules)
{
    if (!json_is_object(entry))
        return hd__fail(reader->err, HD_ERR_FORMAT, "%s: entry %zu is not an object", shown, i);
    const char *type = NULL, *path = NULL;
    HD_TRY(hd__json_get_text(entry, "type", shown, &type, reader->err));
    HD_TRY(hd__json_get_text(entry, "path", shown, &path, reader->err));
    if (type == NULL || path == NULL)
        return hd__fail(reader->err, HD_ERR_FORMAT, "%s: entry %zu has no \"%s\"", shown, i, type == NULL ? "type" : "path");
    if (strcmp(path, ".") == 0)
        path = "";
    const char *class = hd__module_class(type);
    if (class != NULL && (strcmp(class, "Router") == 0 || strcmp(class, "Asym") == 0))
        return hd__router_read(reader, path, modules);
    return hd__modules_add(reader, type, path, shown, modules);
}

hd_status hd__modules_read(const hd_settings_reader *reader, hd_modules *modules)
{
    json_t *root;
    const char *shown;
    *modules = (hd_modules){0};
    HD_TRY(hd__settings_file(reader, "", modules_file, false, &root, &shown));
    if (root == NULL)
        return HD_OK;
    hd_status status = HD_OK;
    size_t n = json_array_size(root);
    modules->present = true;
    if (!json_is_array(root) || n == 0)
        status = hd__fail(reader->err, HD_ERR_FORMAT, "%s: not a list of modules", shown);
    for (size_t i = 0; i < n && status == HD_OK; i++)
        status = add_entry(reader, json_array_get(root, i), i, shown, modules);
    json_decref(root);
    return status;
}

/* ---- pooling ---- */

/* In the order in which sentence-transformers puts them side by side, which is that of the bits. */
static const struct {
    hd_pooling bit;
    const char *name, *flag; /* of "pooling_mode", and of the older "pooling_mode_…": true */
} pooling_modes[] = {
    {HD_POOLING_CLS, "cls", "pooling_mode_cls_token"},
    {HD_POOLING_MAX, "max", "pooling_mode_max_tokens"},
    {HD_POOLING_MEAN, "mean", "pooling_mode_mean_tokens"},
    {HD_POOLING_MEAN_SQRT, "mean_sqrt_len_tokens", "pooling_mode_mean_sqrt_len_tokens"},
    {HD_POOLING_WEIGHTED_MEAN, "weightedmean", "pooling_mode_weightedmean_tokens"},
    {HD_POOLING_LAST, "lasttoken", "pooling_mode_lasttoken"},
};

#define N_POOLING_MODES (sizeof pooling_modes / sizeof *pooling_modes)

static hd_status add_pooling(const hd_settings_reader *reader, const json_t *name, const char *shown, uint32_t *pooling)
{
    if (!json_is_string(name))
        return hd__fail(reader->err, HD_ERR_FORMAT, "%s: \"pooling_mode\" is neither a name nor a list of names", shown);
    const char *text = json_string_value(name);
    for (size_t i = 0; i < N_POOLING_MODES; i++) {
        if (strcmp(text, pooling_modes[i].name) != 0)
            continue;
        if (*pooling >= (uint32_t)pooling_modes[i].bit)
            return hd__fail(reader->err, HD_ERR_UNSUPPORTED,
                            "%s: \"pooling_mode\": \"%s\" twice or behind one that it goes before", shown, text);
        *pooling |= pooling_modes[i].bit;
        return HD_OK;
    }
    return hd__fail(reader->err, HD_ERR_UNSUPPORTED, "%s: \"pooling_mode\" is \"%s\", which Heddle does not know", shown,
                    text);
}

static hd_status parse_pooling_modes(const hd_settings_reader *reader, const json_t *root, const char *shown,
                                     uint32_t *pooling)
{
    const json_t *mode = json_object_get(root, "pooling_mode");
    if (mode != NULL && !json_is_array(mode))
        return add_pooling(reader, mode, shown, pooling);
    for (size_t i = 0; i < json_array_size(mode); i++)
        HD_TRY(add_pooling(reader, json_array_get(mode, i), shown, pooling));
    for (size_t i = 0; mode == NULL && i < N_POOLING_MODES; i++) {
        bool on = false;
        HD_TRY(hd__json_get_bool(root, pooling_modes[i].flag, shown, &on, reader->err));
        if (on)
            *pooling |= pooling_modes[i].bit;
    }
    if (*pooling == 0)
        *pooling = HD_POOLING_MEAN;
    return HD_OK;
}

static hd_status apply_pooling(const hd_settings_reader *reader, const char *path, hd_settings *settings)
{
    json_t *root;
    const char *shown;
    HD_TRY(hd__settings_file(reader, path, "config.json", true, &root, &shown));
    hd_status status = HD_OK;
    uint64_t width = 0;
    HD_TRY_OUT(parse_pooling_modes(reader, root, shown, &settings->pooling));
    HD_TRY_OUT(hd__json_get_bool(root, "include_prompt", shown, &settings->include_prompt, reader->err));
    const char *key =
        json_object_get(root, "embedding_dimension") != NULL ? "embedding_dimension" : "word_embedding_dimension";
    HD_TRY_OUT(hd__json_get_uint(root, key, 1, HD_LIMIT_HIDDEN, shown, &width, reader->err));
    if (width != 0 && settings->hidden != 0 && width != settings->hidden)
        status = hd__fail(reader->err, HD_ERR_FORMAT, "%s: \"%s\" is %llu, the transformer's hidden size is %u", shown, key,
                          (unsigned long long)width, settings->hidden);
out:
    json_decref(root);
    return status;
}

/* SPLADE's pooling of a masked-language head: over the tokens the greatest of log(1 + relu(logit)), or their sum. */
static hd_status apply_splade(const hd_settings_reader *reader, const char *path, hd_settings *settings)
{
    json_t *root;
    const char *shown, *strategy = "max", *activation = "relu";
    HD_TRY(hd__settings_file(reader, path, "config.json", true, &root, &shown));
    hd_status status = HD_OK;
    HD_TRY_OUT(hd__json_get_text(root, "pooling_strategy", shown, &strategy, reader->err));
    HD_TRY_OUT(hd__json_get_text(root, "activation_function", shown, &activation, reader->err));
    settings->sparse_log_twice = strcmp(activation, "log1p_relu") == 0;
    settings->sparse_sums = strcmp(strategy, "sum") == 0;
    if (!settings->sparse_sums && strcmp(strategy, "max") != 0)
        status = hd__fail(reader->err, HD_ERR_UNSUPPORTED,
                          "%s: \"pooling_strategy\" is \"%s\", Heddle runs \"max\" and \"sum\"", shown, strategy);
    else if (!settings->sparse_log_twice && strcmp(activation, "relu") != 0)
        status =
            hd__fail(reader->err, HD_ERR_UNSUPPORTED,
                     "%s: \"activation_function\" is \"%s\", Heddle runs \"relu\" and \"log1p_relu\"", shown, activation);
out:
    json_decref(root);
    return status;
}

/* ---- dense, normalize ---- */

bool hd__activation_parse(const char *name, hd_activation *activation)
{
    static const struct {
        const char *name;
        hd_activation activation;
    } known[] = {
        {"gelu", HD_ACTIVATION_GELU},
        {"gelu_python", HD_ACTIVATION_GELU},
        {"gelu_new", HD_ACTIVATION_GELU_TANH},
        {"gelu_pytorch_tanh", HD_ACTIVATION_GELU_TANH},
        {"gelu_python_tanh", HD_ACTIVATION_GELU_TANH},
        {"gelu_fast", HD_ACTIVATION_GELU_TANH},
        {"gelu_accurate", HD_ACTIVATION_GELU_TANH},
        {"relu", HD_ACTIVATION_RELU},
        {"silu", HD_ACTIVATION_SILU},
        {"swish", HD_ACTIVATION_SILU},
        {"swiglu", HD_ACTIVATION_SILU}, /* of the gate */
        {"geglu", HD_ACTIVATION_GELU},
        {"tanh", HD_ACTIVATION_TANH},
        {"linear", HD_ACTIVATION_IDENTITY},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (strcmp(name, known[i].name) == 0) {
            *activation = known[i].activation;
            return true;
        }
    }
    return false;
}

/* "torch.nn.modules.activation.Tanh". Classes outside of torch count as tanh, as in sentence-transformers when
 * it does not trust a model's code. */
static bool parse_torch_activation(const char *name, hd_activation *activation)
{
    static const struct {
        const char *class;
        hd_activation activation;
    } known[] = {
        {"Tanh", HD_ACTIVATION_TANH}, {"Identity", HD_ACTIVATION_IDENTITY}, {"GELU", HD_ACTIVATION_GELU},
        {"ReLU", HD_ACTIVATION_RELU}, {"SiLU", HD_ACTIVATION_SILU},
    };
    const char *dot = strrchr(name, '.');
    if (strncmp(name, "torch.", strlen("torch.")) != 0) {
        *activation = HD_ACTIVATION_TANH;
        return true;
    }
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (strcmp(dot + 1, known[i].class) == 0) {
            *activation = known[i].activation;
            return true;
        }
    }
    return false;
}

/* Modules may name which of several outputs they read and write; Heddle has the one. */
static hd_status check_in_and_out(const hd_settings_reader *reader, const json_t *root, const char *wanted,
                                  const char *shown)
{
    static const char *const keys[] = {"module_input_name", "module_output_name"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        const char *name = NULL;
        HD_TRY(hd__json_get_text(root, keys[i], shown, &name, reader->err));
        if (name != NULL && strcmp(name, wanted) != 0)
            return hd__fail(reader->err, HD_ERR_UNSUPPORTED, "%s: \"%s\" is \"%s\", Heddle runs \"%s\" only", shown, keys[i],
                            name, wanted);
    }
    return HD_OK;
}

/* Which output the modules behind the transformer read and write. */
static const char *vector_of(const hd_settings *settings)
{
    return settings->heads == HD_HEAD_MULTI ? "token_embeddings" : "sentence_embedding";
}

static hd_status parse_dense(const hd_settings_reader *reader, const json_t *root, const char *shown,
                             hd_dense_settings *dense)
{
    uint64_t n_in = 0, n_out = 0;
    const char *activation = "torch.nn.modules.activation.Tanh";
    dense->has_bias = true;
    HD_TRY(hd__json_get_uint(root, "in_features", 1, HD_LIMIT_DENSE_WIDTH, shown, &n_in, reader->err));
    HD_TRY(hd__json_get_uint(root, "out_features", 1, HD_LIMIT_DENSE_WIDTH, shown, &n_out, reader->err));
    HD_TRY(hd__json_get_bool(root, "bias", shown, &dense->has_bias, reader->err));
    HD_TRY(hd__json_get_bool(root, "use_residual", shown, &dense->has_residual, reader->err));
    HD_TRY(hd__json_get_text(root, "activation_function", shown, &activation, reader->err));
    if (n_in == 0 || n_out == 0)
        return hd__fail(reader->err, HD_ERR_FORMAT, "%s: no \"%s\"", shown, n_in == 0 ? "in_features" : "out_features");
    if (!parse_torch_activation(activation, &dense->activation))
        return hd__fail(reader->err, HD_ERR_UNSUPPORTED, "%s: \"activation_function\" is \"%s\", which Heddle does not run",
                        shown, activation);
    dense->n_in = (uint32_t)n_in;
    dense->n_out = (uint32_t)n_out;
    return HD_OK;
}

static hd_status apply_dense(const hd_settings_reader *reader, const char *path, uint64_t width, hd_settings *settings)
{
    json_t *root;
    const char *shown;
    if (settings->n_dense == HD_LIMIT_DENSE_MODULES)
        return hd__fail(reader->err, HD_ERR_LIMIT, "%s: more Dense modules than the limit of %d", reader->dir,
                        HD_LIMIT_DENSE_MODULES);
    HD_TRY(hd__settings_file(reader, path, "config.json", true, &root, &shown));
    hd_dense_settings dense = {.dir = hd__arena_printf(reader->arena, "%s/%s", reader->dir, path)};
    hd_status status = parse_dense(reader, root, shown, &dense);
    if (status == HD_OK)
        status = check_in_and_out(reader, root, vector_of(settings), shown);
    json_decref(root);
    HD_TRY(status);
    if (dense.dir == NULL)
        return hd__fail(reader->err, HD_ERR_MEMORY, "%s: no memory for its settings", shown);
    if (width != 0 && dense.n_in != width)
        return hd__fail(reader->err, HD_ERR_FORMAT, "%s: \"in_features\" is %u, the module before it gives %llu values",
                        shown, dense.n_in, (unsigned long long)width);
    settings->dense[settings->n_dense++] = dense;
    return HD_OK;
}

static hd_status apply_normalize(const hd_settings_reader *reader, const char *path, hd_settings *settings)
{
    json_t *root = NULL;
    const char *shown;
    if (path[0] != '\0')
        HD_TRY(hd__settings_file(reader, path, "config.json", false, &root, &shown));
    hd_status status = root != NULL ? check_in_and_out(reader, root, vector_of(settings), shown) : HD_OK;
    json_decref(root);
    settings->normalize = true;
    return status;
}

/* Values that leave the modules applied so far; 0 when the transformer's width is not known. */
static uint64_t width_of(const hd_settings *settings)
{
    if (settings->n_dense > 0)
        return settings->dense[settings->n_dense - 1].n_out;
    return (uint64_t)settings->hidden * (uint64_t)__builtin_popcount(settings->pooling);
}

bool hd__modules_have(const hd_modules *modules, const char *type)
{
    for (uint32_t i = 0; i < modules->n; i++) {
        if (strcmp(modules->modules[i].type, type) == 0)
            return true;
    }
    return false;
}

/* Transformer, then SpladePooling and nothing else. */
static hd_status apply_sparse_modules(const hd_settings_reader *reader, const hd_modules *modules, hd_settings *settings)
{
    if (modules->n != 2)
        return hd__fail(reader->err, HD_ERR_UNSUPPORTED, "%s/%s: a SpladePooling among %u modules; Heddle runs it alone",
                        reader->dir, modules_file, modules->n);
    settings->heads = HD_HEAD_SPARSE;
    settings->sparse_by_vocabulary = true;
    if (modules->query_table != NULL)
        HD_TRY(hd__router_apply(reader, modules, settings));
    return apply_splade(reader, modules->modules[1].path, settings);
}

/* The ids of "yes" and "no". */
static hd_status apply_logit_score(const hd_settings_reader *reader, const char *path, hd_settings *settings)
{
    static const char *const keys[] = {"false_token_id", "true_token_id"};
    json_t *root;
    const char *shown, *input = "causal_logits";
    HD_TRY(hd__settings_file(reader, path, "config.json", true, &root, &shown));
    hd_status status = HD_OK;
    HD_TRY_OUT(hd__json_get_text(root, "module_input_name", shown, &input, reader->err));
    if (strcmp(input, "causal_logits") != 0)
        HD_TRY_OUT(hd__fail(reader->err, HD_ERR_UNSUPPORTED,
                            "%s: \"module_input_name\" is \"%s\", Heddle runs \"causal_logits\"", shown, input));
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        uint64_t id = UINT64_MAX;
        HD_TRY_OUT(hd__json_get_uint(root, keys[i], 0, settings->vocab_size - 1, shown, &id, reader->err));
        if (id == UINT64_MAX)
            HD_TRY_OUT(hd__fail(reader->err, HD_ERR_UNSUPPORTED, "%s: no \"%s\"; Heddle runs scores of two tokens", shown,
                                keys[i]));
        settings->answers[i] = (int32_t)id;
    }
out:
    json_decref(root);
    return status;
}

/* Transformer, then LogitScore and nothing else. */
static hd_status apply_judging_modules(const hd_settings_reader *reader, const hd_modules *modules, hd_settings *settings)
{
    if (modules->n != 2 || !settings->judges)
        return hd__fail(
            reader->err, HD_ERR_UNSUPPORTED,
            "%s/%s: a LogitScore among %u modules behind \"%s\"; Heddle runs it alone behind \"Qwen3ForCausalLM\"",
            reader->dir, modules_file, modules->n, settings->architecture);
    settings->heads = HD_HEAD_SCORES;
    return apply_logit_score(reader, modules->modules[1].path, settings);
}

/* StaticEmbedding, then perhaps Normalize; the mean needs no module. */
static hd_status apply_static_modules(const hd_settings_reader *reader, const hd_modules *modules, hd_settings *settings)
{
    const bool normalizes = hd__modules_have(modules, "Normalize");
    if (modules->n != 1u + normalizes || !settings->no_specials)
        return hd__fail(reader->err, HD_ERR_UNSUPPORTED, "%s/%s: Heddle runs StaticEmbedding alone or with Normalize",
                        reader->dir, modules_file);
    return normalizes ? apply_normalize(reader, modules->modules[1].path, settings) : HD_OK;
}

/* A Transformer, then Dense for each token; and in sentence-transformers' own layout MultiVectorMask and Normalize. */
bool hd__modules_interact_late(const hd_modules *modules)
{
    uint32_t n = 1;
    while (n < modules->n && strcmp(modules->modules[n].type, "Dense") == 0)
        n++;
    const bool masks = n + 2 == modules->n && strcmp(modules->modules[n].type, "MultiVectorMask") == 0 &&
                       strcmp(modules->modules[n + 1].type, "Normalize") == 0;
    return n > 1 && (n == modules->n || masks);
}

static hd_status apply_late_modules(const hd_settings_reader *reader, const hd_modules *modules, hd_settings *settings)
{
    settings->heads = HD_HEAD_MULTI;
    settings->judges = false;
    settings->n_labels = 0;
    for (uint32_t i = 1; i < modules->n; i++) {
        const char *type = modules->modules[i].type, *path = modules->modules[i].path;
        const uint64_t width = i == 1 ? settings->hidden : settings->dense[settings->n_dense - 1].n_out;
        if (strcmp(type, "Dense") == 0)
            HD_TRY(apply_dense(reader, path, width, settings));
        else if (strcmp(type, "Normalize") == 0)
            HD_TRY(apply_normalize(reader, path, settings));
    }
    settings->n_token_out = settings->dense[settings->n_dense - 1].n_out;
    if (settings->n_token_out > HD_LIMIT_HIDDEN)
        return hd__fail(reader->err, HD_ERR_LIMIT, "%s: vectors of %u values for each token, the limit is %u", reader->dir,
                        settings->n_token_out, HD_LIMIT_HIDDEN);
    return HD_OK;
}

hd_status hd__modules_apply(const hd_settings_reader *reader, const hd_modules *modules, hd_settings *settings)
{
    if (modules->query_table != NULL && !hd__modules_have(modules, "SpladePooling"))
        return hd__fail(reader->err, HD_ERR_UNSUPPORTED,
                        "%s: a Router with a SparseStaticEmbedding for queries, but no SpladePooling for documents",
                        reader->dir);
    if (hd__modules_have(modules, "StaticEmbedding"))
        return apply_static_modules(reader, modules, settings);
    if (hd__modules_have(modules, "LogitScore"))
        return apply_judging_modules(reader, modules, settings);
    if (hd__modules_have(modules, "SpladePooling"))
        return apply_sparse_modules(reader, modules, settings);
    if (hd__modules_interact_late(modules))
        return apply_late_modules(reader, modules, settings);
    if (modules->n == 1 && settings->heads == HD_HEAD_SCORES)
        return HD_OK; /* a classifier needs no more */
    settings->pooling = 0;
    settings->heads = HD_HEAD_DENSE;
    settings->judges = false;
    settings->n_labels = 0;
    for (uint32_t i = 1; i < modules->n; i++) {
        const char *type = modules->modules[i].type, *path = modules->modules[i].path;
        if (strcmp(type, "Dropout") == 0)
            continue;
        bool pools = strcmp(type, "Pooling") == 0, is_dense = strcmp(type, "Dense") == 0;
        if (pools != (settings->pooling == 0) || (is_dense && settings->normalize))
            return hd__fail(reader->err, HD_ERR_UNSUPPORTED,
                            "%s/%s: entry %u is a %s; Heddle runs Transformer, Pooling, Dense, "
                            "Normalize in this order",
                            reader->dir, modules_file, i, type);
        if (pools)
            HD_TRY(apply_pooling(reader, path, settings));
        else if (is_dense)
            HD_TRY(apply_dense(reader, path, width_of(settings), settings));
        else
            HD_TRY(apply_normalize(reader, path, settings));
    }
    if (settings->pooling == 0)
        return hd__fail(reader->err, HD_ERR_UNSUPPORTED, "%s/%s: no Pooling module, so no vector for a text", reader->dir,
                        modules_file);
    return HD_OK;
}

static const char *const pooling_names[] = {"cls", "max", "mean", "mean_sqrt_len", "weighted_mean", "last"};
#define N_POOLING_NAMES (sizeof pooling_names / sizeof *pooling_names)

const char *hd__pooling_name(uint32_t pooling, hd_arena *arena)
{
    const char *joined = "";
    for (size_t i = 0; joined != NULL && i < N_POOLING_NAMES; i++) {
        if ((pooling >> i & 1) != 0)
            joined = hd__arena_printf(arena, "%s%s%s", joined, joined[0] != '\0' ? "+" : "", pooling_names[i]);
    }
    return joined;
}

bool hd__pooling_parse(const char *name, uint32_t *pooling)
{
    const char *kind = strcmp(name, "last-token") == 0 ? "last" : name;
    for (uint32_t i = 0; i < N_POOLING_NAMES; i++) {
        if (strcmp(kind, pooling_names[i]) == 0) {
            *pooling = 1u << i;
            return true;
        }
    }
    return false;
}
