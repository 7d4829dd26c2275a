/* settings.c - see settings.h. */
#include "model/settings.h"

#include <float.h>
#include <stdio.h>

#include "base/file.h"
#include "model/gguf_settings.h"
#include "model/late_config.h"
#include "model/locate.h"
#include "model/peft.h"
#include "model/tensors.h"
#include "model/transformer_config.h"

static hd_status get_u32(const json_t *root, const char *key, uint32_t min, uint32_t max, const char *shown, uint32_t *value,
                         hd_error *err)
{
    uint64_t wide = *value;
    HD_TRY(hd__json_get_uint(root, key, min, max, shown, &wide, err));
    *value = (uint32_t)wide;
    return HD_OK;
}

/* ---- config.json ---- */

/* Where config.json and the weights are. */
typedef struct base_folder {
    hd_settings_source source;
    hd_settings_reader reader;
    const char *path;  /* below the reader's folder */
    json_t *config;    /* what config.json holds, where it has been read already; else NULL */
    const char *shown; /* its name */
} base_folder;

/* sentence-transformers writes none for a static model of its own, of which every token counts. */
static hd_status read_config(base_folder *base, const hd_modules *modules, hd_settings *settings)
{
    const hd_settings_reader *reader = &base->reader;
    const bool is_static = hd__modules_have(modules, "StaticEmbedding");
    if (base->config == NULL)
        HD_TRY(hd__settings_file(reader, base->path, "config.json", !is_static, &base->config, &base->shown));
    if (base->config == NULL) {
        settings->counts_unknown = true;
        base->config = json_pack("{s:s}", "model_type", "model2vec");
    }
    if (base->config == NULL)
        return hd__fail(reader->err, HD_ERR_MEMORY, "%s: no memory for its settings", reader->dir);
    hd_status status = hd__transformer_config(reader, base->path, base->config, base->shown, settings);
    json_decref(base->config);
    base->config = NULL;
    return status;
}

/* ---- sentence_bert_config.json, tokenizer_config.json ---- */

typedef struct transformer_task {
    const char *name, *module_output, *method_output;
} transformer_task;

/* A transformer module that gives anything but what its model is for: the last layer's vectors for each token, the logits
 * of a masked-language head, or those of a classifier. */
static hd_status check_task(const json_t *root, const transformer_task *task, const char *shown, hd_error *err)
{
    const json_t *text = json_object_get(json_object_get(root, "modality_config"), "text");
    const struct {
        const json_t *object;
        const char *key, *wanted;
    } checks[] = {
        {root, "transformer_task", task->name},
        {root, "module_output_name", task->module_output},
        {text, "method_output_name", task->method_output},
    };
    for (size_t i = 0; i < sizeof checks / sizeof *checks; i++) {
        const char *value = checks[i].wanted;
        HD_TRY(hd__json_get_text(checks[i].object, checks[i].key, shown, &value, err));
        if (strcmp(value, checks[i].wanted) != 0)
            return hd__fail(err, HD_ERR_UNSUPPORTED, "%s: \"%s\" is \"%s\", Heddle runs \"%s\"", shown, checks[i].key, value,
                            checks[i].wanted);
    }
    return HD_OK;
}

/* "max_seq_length", or what the file passes to the tokenizer as its model_max_length; 0 for neither. */
static hd_status parse_sentence_config(const json_t *root, const transformer_task *task, const char *shown,
                                       hd_settings *settings, uint32_t *max_length, hd_error *err)
{
    static const char *const kwargs[] = {"processor_kwargs", "tokenizer_args"};
    HD_TRY(check_task(root, task, shown, err));
    HD_TRY(hd__json_get_bool(root, "do_lower_case", shown, &settings->lower_case, err));
    HD_TRY(get_u32(root, "max_seq_length", 1, INT32_MAX, shown, max_length, err));
    for (size_t i = 0; *max_length == 0 && i < sizeof kwargs / sizeof *kwargs; i++)
        HD_TRY(get_u32(json_object_get(root, kwargs[i]), "model_max_length", 1, INT32_MAX, shown, max_length, err));
    return HD_OK;
}

static hd_status read_sentence_config(const hd_settings_reader *reader, const hd_modules *modules, const char *path,
                                      hd_settings *settings, uint32_t *max_length)
{
    static const transformer_task features = {"feature-extraction", "token_embeddings", "last_hidden_state"},
                                  masks = {"fill-mask", "token_embeddings", "logits"},
                                  classes = {"sequence-classification", "scores", "logits"},
                                  answers = {"text-generation", "causal_logits", "logits"};
    static const char *const names[] = {
        "sentence_bert_config.json",      "sentence_roberta_config.json", "sentence_distilbert_config.json",
        "sentence_camembert_config.json", "sentence_albert_config.json",  "sentence_xlm-roberta_config.json",
        "sentence_xlnet_config.json",
    };
    json_t *root = NULL;
    const char *shown = "";
    for (size_t i = 0; root == NULL && i < sizeof names / sizeof *names; i++)
        HD_TRY(hd__settings_file(reader, path, names[i], false, &root, &shown));
    const transformer_task *task = hd__modules_have(modules, "SpladePooling")             ? &masks
                                   : hd__modules_have(modules, "LogitScore")              ? &answers
                                   : modules->n == 1 && settings->heads == HD_HEAD_SCORES ? &classes
                                                                                          : &features;
    hd_status status = root != NULL ? parse_sentence_config(root, task, shown, settings, max_length, reader->err) : HD_OK;
    json_decref(root);
    return status;
}

/* "model_max_length", which is 10^30 for "no limit". */
static hd_status read_tokenizer_length(const hd_settings_reader *reader, const char *path, uint32_t *max_length)
{
    json_t *root;
    const char *shown;
    double length = 0;
    HD_TRY(hd__settings_file(reader, path, "tokenizer_config.json", false, &root, &shown));
    hd_status status = hd__json_get_real(root, "model_max_length", 1, DBL_MAX, shown, &length, reader->err);
    json_decref(root);
    *max_length = length < HD_LIMIT_SEQUENCE ? (uint32_t)length : HD_LIMIT_SEQUENCE;
    return status;
}

/* A static model of sentence-transformers' own is cut as its tokenizer's file says, and asks no other. */
static hd_status read_truncation(const hd_settings_reader *reader, const char *path, hd_settings *settings)
{
    json_t *root;
    const char *shown, *direction = "Right";
    HD_TRY(hd__settings_file(reader, path, "tokenizer.json", false, &root, &shown));
    const json_t *truncation = json_object_get(root, "truncation");
    settings->max_length = settings->n_positions;
    hd_status status = get_u32(truncation, "max_length", 1, UINT32_MAX, shown, &settings->max_length, reader->err);
    if (status == HD_OK)
        status = hd__json_get_text(truncation, "direction", shown, &direction, reader->err);
    settings->cuts_front = strcmp(direction, "Left") == 0;
    json_decref(root);
    if (settings->max_length > settings->n_positions)
        settings->max_length = settings->n_positions;
    return status;
}

/* base: of the model that an adapter is for, whose tokenizer an adapter without one has. */
static hd_status read_lengths(const hd_settings_reader *reader, const hd_modules *modules, const char *path,
                              const hd_settings_reader *base, hd_settings *settings)
{
    uint32_t length = 0;
    if (settings->counts_unknown)
        return read_truncation(reader, path, settings);
    if (modules->present)
        HD_TRY(read_sentence_config(reader, modules, path, settings, &length));
    if (length == 0)
        HD_TRY(read_tokenizer_length(reader, path, &length));
    if (length == 0 && base->dir != reader->dir)
        HD_TRY(read_tokenizer_length(base, "", &length));
    uint32_t most = settings->n_positions != 0 ? settings->n_positions : HD_LIMIT_SEQUENCE;
    settings->max_length = length == 0 || length > most ? most : length;
    if (modules->query_table == NULL)
        return HD_OK;
    HD_TRY(read_tokenizer_length(reader, modules->query_table, &length));
    settings->query_length = length == 0 ? HD_LIMIT_SEQUENCE : length;
    return HD_OK;
}

/* ---- config_sentence_transformers.json ---- */

static hd_status parse_prompts(const hd_settings_reader *reader, const json_t *root, const char *shown,
                               hd_settings *settings)
{
    json_t *object = json_object_get(root, "prompts");
    size_t n = json_object_size(object);
    if (object == NULL || json_is_null(object))
        return HD_OK;
    if (!json_is_object(object))
        return hd__fail(reader->err, HD_ERR_FORMAT, "%s: \"prompts\" is not an object", shown);
    if (n > HD_LIMIT_PROMPTS)
        return hd__fail(reader->err, HD_ERR_LIMIT, "%s: %zu prompts, the limit is %u", shown, n, HD_LIMIT_PROMPTS);
    hd_prompt *prompts = hd__arena_calloc(reader->arena, n, sizeof *prompts);
    if (prompts == NULL)
        return hd__fail(reader->err, HD_ERR_MEMORY, "%s: no memory for %zu prompts", shown, n);
    settings->prompts = prompts;
    const char *name;
    json_t *value;
    json_object_foreach (object, name, value) {
        const char *text = "";
        HD_TRY(hd__json_get_text(object, name, shown, &text, reader->err));
        HD_TRY(hd__settings_keep(reader, name, &prompts[settings->n_prompts].name));
        HD_TRY(hd__settings_keep(reader, text, &prompts[settings->n_prompts].text));
        settings->n_prompts++;
    }
    return HD_OK;
}

/* sentence-transformers has "query" and "document" in every model, as empty prompts. */
static hd_status parse_default_prompt(const hd_settings_reader *reader, const json_t *root, const char *shown,
                                      hd_settings *settings)
{
    const char *name = NULL;
    HD_TRY(hd__json_get_text(root, "default_prompt_name", shown, &name, reader->err));
    if (name == NULL)
        return HD_OK;
    for (uint32_t i = 0; i < settings->n_prompts; i++) {
        if (strcmp(settings->prompts[i].name, name) == 0) {
            settings->default_prompt_name = settings->prompts[i].name;
            return HD_OK;
        }
    }
    if (strcmp(name, "query") == 0 || strcmp(name, "document") == 0)
        return HD_OK;
    return hd__fail(reader->err, HD_ERR_FORMAT, "%s: \"default_prompt_name\" is \"%s\", which is not among the \"prompts\"",
                    shown, name);
}

/* Names of other kinds of models ("maxsim") are passed over, as sentence-transformers does. */
static hd_status parse_similarity(const json_t *root, const char *shown, hd_settings *settings, hd_error *err)
{
    static const char *const known[] = {"cosine", "dot", "euclidean", "manhattan"};
    const char *name = known[0];
    HD_TRY(hd__json_get_text(root, "similarity_fn_name", shown, &name, err));
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (strcmp(name, known[i]) == 0)
            settings->similarity = known[i];
    }
    return HD_OK;
}

/* Where queries and documents are read differently they are told apart by the names of prompts: both names are there, with
 * a text or without. */
static hd_status name_prompts(const hd_settings_reader *reader, hd_settings *settings)
{
    static const char *const names[] = {"query", "document"};
    const uint32_t n = settings->n_prompts;
    hd_prompt *prompts = hd__arena_calloc(reader->arena, n + 2, sizeof *prompts);
    if (prompts == NULL)
        return hd__fail(reader->err, HD_ERR_MEMORY, "%s: no memory for %u prompts", reader->dir, n + 2);
    if (n > 0)
        memcpy(prompts, settings->prompts, n * sizeof *prompts);
    settings->prompts = prompts;
    for (size_t i = 0; i < 2; i++) {
        uint32_t k = 0;
        while (k < n && strcmp(prompts[k].name, names[i]) != 0)
            k++;
        if (k == n)
            prompts[settings->n_prompts++] = (hd_prompt){names[i], ""};
    }
    return HD_OK;
}

static hd_status read_model_config(const hd_settings_reader *reader, const hd_modules *modules, hd_settings *settings)
{
    json_t *root;
    const char *shown;
    HD_TRY(hd__settings_file(reader, "", "config_sentence_transformers.json", false, &root, &shown));
    hd_status status = HD_OK;
    HD_TRY_OUT(parse_prompts(reader, root, shown, settings));
    HD_TRY_OUT(parse_default_prompt(reader, root, shown, settings));
    HD_TRY_OUT(parse_similarity(root, shown, settings, reader->err));
    HD_TRY_OUT(get_u32(root, "truncate_dim", 1, HD_LIMIT_DENSE_WIDTH, shown, &settings->truncate_dim, reader->err));
    if (hd__modules_have(modules, "MultiVectorMask"))
        HD_TRY_OUT(hd__late_mask(reader, modules->modules[0].path, modules->modules[modules->n - 2].path, settings));
    else if (hd__modules_interact_late(modules))
        HD_TRY_OUT(hd__late_config(reader, root, shown, modules->modules[0].path, settings));
out:
    json_decref(root);
    return status;
}

/* ---- the whole ---- */

/* The folder of the model that an adapter names. */
static hd_status find_base(const hd_settings_reader *reader, const char *path, const hd_peft_config *adapter,
                           base_folder *base)
{
    const hd_settings_source *source = reader->source;
    const char *shown = hd__settings_path(reader, path, "adapter_config.json"), *dir;
    if (shown == NULL)
        return hd__fail(reader->err, HD_ERR_MEMORY, "%s: no memory for its settings", reader->dir);
    if (adapter->base[0] == '\0' || source->locate == NULL)
        return hd__fail(reader->err, HD_ERR_UNSUPPORTED,
                        "%s/%s: an adapter without config.json and weights beside it, and no \"base_model_name_or_path\"",
                        reader->dir, shown);
    hd_error why;
    const hd_status status = source->locate(adapter->base, source->cache_dir, reader->arena, &dir, &why);
    if (status != HD_OK)
        return hd__fail(reader->err, status, "%s/%s: the model that it is an adapter to: %s", reader->dir, shown, why.text);
    if (hd__file_exists(dir))
        return hd__fail(reader->err, HD_ERR_UNSUPPORTED,
                        "%s/%s: an adapter to %s, a GGUF file; Heddle merges adapters into the Hub's files", reader->dir,
                        shown, dir);
    base->source = hd__settings_source_folder(dir, source->cache_dir);
    base->reader = (hd_settings_reader){&base->source, dir, reader->arena, reader->err};
    base->path = "";
    return HD_OK;
}

/* Whether there is an adapter for the whole model, and to which weights; config.json beside it has then been read. */
static hd_status read_adapter(const hd_settings_reader *reader, const char *path, hd_settings *settings, base_folder *base)
{
    hd_peft_config config;
    bool present;
    HD_TRY(hd__peft_config_read(reader, path, &present, &config));
    if (!present)
        return HD_OK;
    hd_peft_config *kept = hd__arena_calloc(reader->arena, 1, sizeof *kept);
    if (kept == NULL)
        return hd__fail(reader->err, HD_ERR_MEMORY, "%s: no memory for its settings", reader->dir);
    *kept = config;
    settings->adapter = kept;
    settings->adapter_dir = settings->dir;
    HD_TRY(hd__settings_file(reader, path, "config.json", false, &base->config, &base->shown));
    if (base->config != NULL)
        return HD_OK;
    HD_TRY(find_base(reader, path, kept, base));
    settings->dir = base->reader.dir;
    return HD_OK;
}

static hd_status read_all(const hd_settings_reader *reader, hd_settings *settings)
{
    hd_modules modules;
    HD_TRY(hd__modules_read(reader, &modules));
    const char *path = modules.present ? modules.modules[0].path : "";
    base_folder base = {.reader = *reader, .path = path};
    settings->dir = hd__arena_printf(reader->arena, "%s%s%s", reader->dir, path[0] != '\0' ? "/" : "", path);
    if (settings->dir == NULL)
        return hd__fail(reader->err, HD_ERR_MEMORY, "%s: no memory for its settings", reader->dir);
    settings->tokenizer_dir = settings->dir;
    HD_TRY(read_adapter(reader, path, settings, &base));
    HD_TRY(read_config(&base, &modules, settings));
    if (settings->adapter != NULL && settings->n_tasks > 0)
        return hd__fail(reader->err, HD_ERR_UNSUPPORTED, "%s: an adapter for a model that has one for each of its tasks",
                        settings->adapter_dir);
    HD_TRY(read_lengths(reader, &modules, path, &base.reader, settings));
    if (modules.present) {
        HD_TRY(hd__modules_apply(reader, &modules, settings));
        HD_TRY(read_model_config(reader, &modules, settings));
    } else if (strcmp(settings->architecture, "HF_ColBERT") == 0) {
        HD_TRY(hd__late_metadata(reader, settings));
    }
    settings->has_sides = modules.has_sides;
    settings->query_is_default = modules.query_is_default;
    const bool tells_apart = settings->late != NULL || settings->query_table != NULL || settings->has_sides;
    return tells_apart ? name_prompts(reader, settings) : HD_OK;
}

hd_status hd__settings_read_from(const hd_settings_source *source, const char *dir, hd_arena *arena, hd_settings *settings,
                                 hd_error *err)
{
    hd_settings_reader reader = {source, dir, arena, err};
    hd_settings result = {
        .model_type = "",
        .architecture = "",
        .include_prompt = true,
        .default_prompt_name = "",
        .similarity = "cosine",
    };
    HD_TRY(read_all(&reader, &result));
    *settings = result;
    return HD_OK;
}

static hd_status read_from_folder(void *data, const char *path, json_t **root, hd_error *err)
{
    const char *dir = data;
    char full[HD_LIMIT_PATH_BYTES];
    int n = snprintf(full, sizeof full, "%s/%s", dir, path);
    if (n < 0 || (size_t)n >= sizeof full)
        return hd__fail(err, HD_ERR_LIMIT, "%s/%s: path of %d bytes, the limit is %u", dir, path, n,
                        HD_LIMIT_PATH_BYTES - 1);
    return hd__json_read(full, root, err);
}

hd_settings_source hd__settings_source_folder(const char *dir, const char *cache_dir)
{
    return (hd_settings_source){
        .read = read_from_folder, .data = (void *)(uintptr_t)dir, .locate = hd__model_locate_base, .cache_dir = cache_dir};
}

bool hd__settings_have_tokenizer(const char *dir)
{
    static const char *const files[][2] = {
        {"tokenizer.json"}, {"vocab.txt"}, {"sentencepiece.bpe.model"}, {"spiece.model"}, {"vocab.json", "merges.txt"}};
    char path[HD_LIMIT_PATH_BYTES];
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        bool all = true;
        for (size_t j = 0; j < 2 && files[i][j] != NULL; j++) {
            const int n = snprintf(path, sizeof path, "%s/%s", dir, files[i][j]);
            all = all && n > 0 && (size_t)n < sizeof path && hd__file_exists(path);
        }
        if (all)
            return true;
    }
    return false;
}

/* A file of a linear layer beside config.json, as bge-m3 has them; *path stays NULL when there is none. */
static hd_status find_linear(const hd_settings *settings, const char *name, hd_arena *arena, const char **path,
                             hd_error *err)
{
    static const char *const endings[] = {"pt", "safetensors"};
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
        const char *file = hd__arena_printf(arena, "%s/%s.%s", settings->dir, name, endings[i]);
        if (file == NULL)
            return hd__fail(err, HD_ERR_MEMORY, "%s: no memory for its settings", settings->dir);
        if (hd__file_exists(file)) {
            *path = file;
            return HD_OK;
        }
    }
    return HD_OK;
}

/* How many values colbert_linear makes of a token. */
static hd_status read_token_width(const char *path, hd_settings *settings, hd_error *err)
{
    hd_tensors *tensors;
    HD_TRY(hd__tensors_open_file(path, &tensors, err));
    hd_status status = HD_OK;
    const hd_tensor *t = hd__tensors_find(tensors, "weight");
    if (t == NULL || t->n_dims != 2 || t->dims[0] == 0 || t->dims[0] > HD_LIMIT_HIDDEN || t->dims[1] != settings->hidden)
        status = hd__fail(err, HD_ERR_FORMAT, "%s: no tensor \"weight\" of [1 to %u, %u]", path, HD_LIMIT_HIDDEN,
                          settings->hidden);
    else
        settings->n_token_out = (uint32_t)t->dims[0];
    hd__tensors_close(tensors);
    return status;
}

const hd_tensor *hd__static_table(const hd_tensors *tensors)
{
    const hd_tensor *table = hd__tensors_find(tensors, "embedding.weight");
    return table != NULL ? table : hd__tensors_find(tensors, "embeddings");
}

/* A static model's sizes, which its config.json leaves to its tensors: an id for each row of the table, or where tokens
 * share rows of their mapping, and one more for empty texts. */
static hd_status read_static_sizes(hd_settings *settings, hd_error *err)
{
    hd_tensors *tensors;
    HD_TRY(hd__tensors_open(settings->dir, &tensors, err));
    const hd_tensor *table = hd__static_table(tensors), *mapping = hd__tensors_find(tensors, "mapping");
    const hd_tensor *ids = mapping != NULL ? mapping : table;
    hd_status status = HD_OK;
    if (table == NULL || table->n_dims != 2 || table->dims[0] == 0 || table->dims[1] == 0 || ids->n_dims == 0 ||
        ids->dims[0] == 0)
        status = hd__fail(err, HD_ERR_FORMAT, "%s: no tensor \"embeddings\" or \"embedding.weight\" of a row for each token",
                          settings->dir);
    else if (ids->dims[0] >= HD_LIMIT_VOCAB || table->dims[1] > HD_LIMIT_HIDDEN)
        status = hd__fail(err, HD_ERR_LIMIT, "%s: %llu tokens of %llu values, the limits are %u and %u", settings->dir,
                          (unsigned long long)ids->dims[0], (unsigned long long)table->dims[1], HD_LIMIT_VOCAB - 1,
                          HD_LIMIT_HIDDEN);
    if (status == HD_OK) {
        settings->hidden = (uint32_t)table->dims[1];
        settings->pad_id = (int32_t)ids->dims[0];
        settings->vocab_size = (uint32_t)ids->dims[0] + 1;
    }
    hd__tensors_close(tensors);
    return status;
}

static hd_status read_folder(const char *dir, const char *cache_dir, bool of_queries, hd_arena *arena, hd_settings *settings,
                             hd_error *err)
{
    hd_settings_source source = hd__settings_source_folder(dir, cache_dir);
    source.of_queries = of_queries;
    HD_TRY(hd__settings_read_from(&source, dir, arena, settings, err));
    if (!hd__settings_have_tokenizer(settings->tokenizer_dir))
        settings->tokenizer_dir = settings->dir;
    if (strcmp(settings->model_type, "model2vec") == 0)
        return read_static_sizes(settings, err);
    if ((settings->heads & HD_HEAD_DENSE) == 0)
        return HD_OK;
    HD_TRY(find_linear(settings, "sparse_linear", arena, &settings->sparse_linear, err));
    HD_TRY(find_linear(settings, "colbert_linear", arena, &settings->colbert_linear, err));
    settings->heads |= settings->sparse_linear != NULL ? HD_HEAD_SPARSE : 0;
    settings->heads |= settings->colbert_linear != NULL ? HD_HEAD_MULTI : 0;
    return settings->colbert_linear != NULL ? read_token_width(settings->colbert_linear, settings, err) : HD_OK;
}

hd_status hd__settings_read(const char *dir, const char *cache_dir, hd_arena *arena, hd_settings *settings, hd_error *err)
{
    return hd__file_exists(dir) ? hd__gguf_settings_read(dir, arena, settings, err)
                                : read_folder(dir, cache_dir, false, arena, settings, err);
}

hd_status hd__settings_read_queries(const char *dir, const char *cache_dir, hd_arena *arena, hd_settings *settings,
                                    hd_error *err)
{
    return read_folder(dir, cache_dir, true, arena, settings, err);
}
