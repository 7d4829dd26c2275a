/* gguf_settings.c - see gguf_settings.h. */
#include "model/gguf_settings.h"

#include <stdio.h>

#include "base/file.h"
#include "model/gguf_names.h"

/* llama.cpp's enum llama_pooling_type. */
enum { POOLING_NONE, POOLING_MEAN, POOLING_CLS, POOLING_LAST, POOLING_RANK, POOLING_UNSET };

typedef struct key_map {
    const char *gguf; /* behind "<architecture>." */
    const char *hub;  /* in config.json */
    bool is_real;
} key_map;

static const key_map bert_keys[] = {
    {"block_count", "num_hidden_layers", false},
    {"embedding_length", "hidden_size", false},
    {"feed_forward_length", "intermediate_size", false},
    {"attention.head_count", "num_attention_heads", false},
    {"context_length", "max_position_embeddings", false},
    {"attention.layer_norm_epsilon", "layer_norm_eps", true},
    {0},
};

static const key_map nomic_keys[] = {
    {"block_count", "n_layer", false},           {"embedding_length", "n_embd", false},
    {"feed_forward_length", "n_inner", false},   {"attention.head_count", "n_head", false},
    {"context_length", "n_positions", false},    {"attention.layer_norm_epsilon", "layer_norm_epsilon", true},
    {"rope.freq_base", "rotary_emb_base", true}, {0},
};

static const key_map modern_keys[] = {
    {"block_count", "num_hidden_layers", false},
    {"embedding_length", "hidden_size", false},
    {"feed_forward_length", "intermediate_size", false},
    {"attention.head_count", "num_attention_heads", false},
    {"context_length", "max_position_embeddings", false},
    {"attention.layer_norm_epsilon", "norm_eps", true},
    {"rope.freq_base", "global_rope_theta", true},
    {"rope.freq_base_swa", "local_rope_theta", true},
    {"attention.sliding_window", "local_attention", false},
    {"attention.sliding_window_pattern", "global_attn_every_n_layers", false},
    {0},
};

static const key_map qwen3_keys[] = {
    {"block_count", "num_hidden_layers", false},
    {"embedding_length", "hidden_size", false},
    {"feed_forward_length", "intermediate_size", false},
    {"attention.head_count", "num_attention_heads", false},
    {"attention.head_count_kv", "num_key_value_heads", false},
    {"attention.key_length", "head_dim", false},
    {"context_length", "max_position_embeddings", false},
    {"attention.layer_norm_rms_epsilon", "rms_norm_eps", true},
    {"rope.freq_base", "rope_theta", true},
    {0},
};

/* What config.json says besides, the same for all models that llama.cpp's converter takes. */
static const struct {
    const char *architecture;
    const key_map *keys;
    uint32_t pooling; /* when the file does not say */
    const char *fixed;
} architectures[] = {
    {"bert", bert_keys, POOLING_MEAN,
     "{\"model_type\": \"bert\", \"architectures\": [\"BertModel\"], \"hidden_act\": \"gelu\"}"},
    {"nomic-bert", nomic_keys, POOLING_MEAN,
     "{\"model_type\": \"nomic_bert\", \"architectures\": [\"NomicBertModel\"], \"activation_function\": \"swiglu\", "
     "\"causal\": false,"
     " \"prenorm\": false, \"qkv_proj_bias\": false, \"mlp_fc1_bias\": false, \"mlp_fc2_bias\": false,"
     " \"rotary_emb_fraction\": 1.0, \"rotary_emb_interleaved\": false}"},
    {"jina-bert-v2", bert_keys, POOLING_MEAN,
     "{\"model_type\": \"bert\", \"architectures\": [\"JinaBertForMaskedLM\"], \"position_embedding_type\": \"alibi\","
     " \"feed_forward_type\": \"geglu\", \"hidden_act\": \"gelu\"}"},
    {"modern-bert", modern_keys, POOLING_MEAN,
     "{\"model_type\": \"modernbert\", \"architectures\": [\"ModernBertModel\"], \"hidden_activation\": \"gelu\"}"},
    {"qwen3", qwen3_keys, POOLING_LAST,
     "{\"model_type\": \"qwen3\", \"architectures\": [\"Qwen3ForCausalLM\"], \"hidden_act\": \"silu\"}"},
};

#define N_ARCHITECTURES (sizeof architectures / sizeof *architectures)

static hd_status no_memory(const hd_gguf *gguf, hd_error *err)
{
    return hd__fail(err, HD_ERR_MEMORY, "%s: no memory for its settings", gguf->file);
}

static hd_status find_architecture(const hd_gguf *gguf, size_t *index, hd_error *err)
{
    hd_span name = {"", 0};
    HD_TRY(hd__gguf_get_text(gguf, "general.architecture", &name, err));
    for (size_t i = 0; i < N_ARCHITECTURES; i++) {
        if (hd__span_is(name, architectures[i].architecture)) {
            *index = i;
            return HD_OK;
        }
    }
    return hd__fail(
        err, HD_ERR_UNSUPPORTED,
        "%s: general.architecture is \"%.*s\", Heddle runs bert, nomic-bert, jina-bert-v2, modern-bert and qwen3",
        gguf->file, (int)(name.len < 64 ? name.len : 64), name.ptr);
}

hd_status hd__gguf_architecture(const hd_gguf *gguf, const char **architecture, hd_error *err)
{
    size_t i;
    HD_TRY(find_architecture(gguf, &i, err));
    *architecture = architectures[i].architecture;
    return HD_OK;
}

static hd_status pooling_of(const hd_gguf *gguf, size_t index, uint64_t *pooling, hd_error *err)
{
    char key[64];
    snprintf(key, sizeof key, "%s.pooling_type", architectures[index].architecture);
    *pooling = POOLING_UNSET;
    HD_TRY(hd__gguf_get_uint(gguf, key, POOLING_RANK, pooling, err));
    if (*pooling == POOLING_UNSET || *pooling == POOLING_NONE)
        *pooling = architectures[index].pooling;
    return HD_OK;
}

static const hd_tensor *find_tensor(const hd_gguf *gguf, const char *name)
{
    for (size_t i = 0; i < gguf->n_tensors; i++) {
        if (strcmp(gguf->tensors[i].name, name) == 0)
            return &gguf->tensors[i];
    }
    return NULL;
}

/* ---- the files ---- */

static hd_status add_keys(const hd_gguf *gguf, size_t index, json_t *root, hd_error *err)
{
    char key[128];
    for (const key_map *k = architectures[index].keys; k->gguf != NULL; k++) {
        snprintf(key, sizeof key, "%s.%s", architectures[index].architecture, k->gguf);
        uint64_t number = 0;
        double real = 0;
        if (hd__gguf_find(gguf, key) == NULL)
            continue;
        if (k->is_real)
            HD_TRY(hd__gguf_get_real(gguf, key, &real, err));
        else
            HD_TRY(hd__gguf_get_uint(gguf, key, INT32_MAX, &number, err));
        if (json_object_set_new(root, k->hub, k->is_real ? json_real(real) : json_integer((json_int_t)number)) != 0)
            return no_memory(gguf, err);
    }
    return HD_OK;
}

/* Rows of a table, which say more than a key. */
static hd_status add_rows(const hd_gguf *gguf, const char *tensor, const char *field, json_t *root, hd_error *err)
{
    const hd_tensor *t = find_tensor(gguf, tensor);
    if (t == NULL)
        return HD_OK;
    if (t->n_dims != 2 || t->dims[0] > INT32_MAX)
        return hd__fail(err, HD_ERR_FORMAT, "%s: tensor \"%s\" is no table", gguf->file, tensor);
    return json_object_set_new(root, field, json_integer((json_int_t)t->dims[0])) == 0 ? HD_OK : no_memory(gguf, err);
}

static hd_status check_vocab(const hd_gguf *gguf, hd_error *err)
{
    const hd_tensor *words = find_tensor(gguf, "token_embd.weight");
    const hd_gguf_pair *tokens;
    HD_TRY(hd__gguf_get_array(gguf, "tokenizer.ggml.tokens", HD_GGUF_TEXT, UINT64_MAX, &tokens, err));
    if (words == NULL || words->n_dims != 2)
        return hd__fail(err, HD_ERR_FORMAT, "%s: no table \"token_embd.weight\"", gguf->file);
    if (tokens != NULL && tokens->n != words->dims[0])
        return hd__fail(err, HD_ERR_FORMAT, "%s: the tokenizer has %llu tokens, \"token_embd.weight\" has %llu rows",
                        gguf->file, (unsigned long long)tokens->n, (unsigned long long)words->dims[0]);
    return HD_OK;
}

/* RoBERTa's positions count from pad_token_id + 1; the converter leaves the rows before that away. */
static hd_status add_roberta_positions(const hd_gguf *gguf, json_t *root, hd_error *err)
{
    const hd_tensor *table = find_tensor(gguf, "position_embd.weight");
    uint64_t pad = 1;
    HD_TRY(hd__gguf_get_uint(gguf, "tokenizer.ggml.padding_token_id", HD_LIMIT_VOCAB, &pad, err));
    if (table == NULL || table->n_dims != 2 || table->dims[0] > INT32_MAX)
        return hd__fail(err, HD_ERR_FORMAT, "%s: no table \"position_embd.weight\"", gguf->file);
    const json_int_t positions = (json_int_t)(table->dims[0] + pad + 1);
    if (json_object_set_new(root, "max_position_embeddings", json_integer(positions)) != 0 ||
        json_object_set_new(root, "pad_token_id", json_integer((json_int_t)pad)) != 0)
        return no_memory(gguf, err);
    return HD_OK;
}

/* BERT's graph is that of RoBERTa as well; the tokenizer tells them apart. A classifier makes a model that gives scores. */
static hd_status refine_bert(const hd_gguf *gguf, json_t *root, hd_error *err)
{
    hd_span model = {"bert", 4};
    HD_TRY(hd__gguf_get_text(gguf, "tokenizer.ggml.model", &model, err));
    const char *type = hd__span_is(model, "t5") ? "xlm-roberta" : hd__span_is(model, "gpt2") ? "roberta" : "bert";
    const char *class = type[0] == 'x' ? "XLMRoberta" : type[0] == 'r' ? "Roberta" : "Bert";
    const char *task = find_tensor(gguf, "cls.output.weight") != NULL ? "ForSequenceClassification" : "Model";
    json_t *name = json_sprintf("%s%s", class, task);
    json_t *names = name != NULL ? json_pack("[o]", name) : NULL;
    if (names == NULL || json_object_set_new(root, "architectures", names) != 0 ||
        json_object_set_new(root, "model_type", json_string(type)) != 0)
        return no_memory(gguf, err);
    return type[0] == 'b' ? add_rows(gguf, "position_embd.weight", "max_position_embeddings", root, err)
                          : add_roberta_positions(gguf, root, err);
}

static hd_status refine_qwen3(const hd_gguf *gguf, json_t *root, hd_error *err)
{
    const bool tied = find_tensor(gguf, "output.weight") == NULL;
    return json_object_set_new(root, "tie_word_embeddings", json_boolean(tied)) == 0 ? HD_OK : no_memory(gguf, err);
}

static hd_status add_pad(const hd_gguf *gguf, json_t *root, hd_error *err)
{
    uint64_t id = UINT64_MAX;
    HD_TRY(hd__gguf_get_uint(gguf, "tokenizer.ggml.padding_token_id", INT32_MAX, &id, err));
    if (id != UINT64_MAX && json_object_set_new(root, "pad_token_id", json_integer((json_int_t)id)) != 0)
        return no_memory(gguf, err);
    return HD_OK;
}

static hd_status make_config(const hd_gguf *gguf, size_t index, json_t **out, hd_error *err)
{
    json_t *root = json_loads(architectures[index].fixed, 0, NULL);
    hd_status status = root != NULL ? HD_OK : no_memory(gguf, err);
    if (status == HD_OK)
        status = add_keys(gguf, index, root, err);
    if (status == HD_OK)
        status = add_rows(gguf, "token_embd.weight", "vocab_size", root, err);
    if (status == HD_OK)
        status = add_rows(gguf, "token_types.weight", "type_vocab_size", root, err);
    if (status == HD_OK)
        status = add_pad(gguf, root, err);
    if (status == HD_OK && strcmp(architectures[index].architecture, "bert") == 0)
        status = refine_bert(gguf, root, err);
    if (status == HD_OK && strcmp(architectures[index].architecture, "qwen3") == 0)
        status = refine_qwen3(gguf, root, err);
    if (status == HD_OK)
        *out = root;
    else
        json_decref(root);
    return status;
}

/* NULL without a word about it: absent. */
static hd_status make_file(const hd_gguf *gguf, const char *path, json_t **root, hd_error *err)
{
    static const char *const modes[] = {[POOLING_MEAN] = "mean", [POOLING_CLS] = "cls", [POOLING_LAST] = "lasttoken"};
    size_t index;
    uint64_t pooling;
    HD_TRY(find_architecture(gguf, &index, err));
    if (strcmp(path, "config.json") == 0)
        return make_config(gguf, index, root, err);
    HD_TRY(pooling_of(gguf, index, &pooling, err));
    if (pooling == POOLING_RANK)
        return HD_OK;
    if (strcmp(path, "modules.json") == 0)
        *root = json_pack("[{s:i,s:s,s:s,s:s},{s:i,s:s,s:s,s:s},{s:i,s:s,s:s,s:s}]", "idx", 0, "name", "0", "path", "",
                          "type", "sentence_transformers.models.Transformer", "idx", 1, "name", "1", "path", "1_Pooling",
                          "type", "sentence_transformers.models.Pooling", "idx", 2, "name", "2", "path", "2_Normalize",
                          "type", "sentence_transformers.models.Normalize");
    else if (strcmp(path, "1_Pooling/config.json") == 0)
        *root = json_pack("{s:s}", "pooling_mode", modes[pooling]);
    else
        return HD_OK;
    return *root != NULL ? HD_OK : no_memory(gguf, err);
}

static hd_status read_file(void *data, const char *path, json_t **root, hd_error *err)
{
    const hd_gguf *gguf = data;
    *root = NULL;
    HD_TRY(make_file(gguf, path, root, err));
    return *root != NULL ? HD_OK : hd__fail(err, HD_ERR_NOT_FOUND, "%s: no %s", gguf->file, path);
}

hd_settings_source hd__gguf_settings_source(hd_gguf *gguf)
{
    return (hd_settings_source){read_file, gguf};
}

hd_status hd__gguf_settings_read(const char *path, hd_arena *arena, hd_settings *settings, hd_error *err)
{
    hd_file_map map;
    hd_gguf gguf;
    hd_arena own;
    HD_TRY(hd__file_map_open(path, &map, err));
    hd__arena_init(&own);
    hd_status status = hd__gguf_parse(map.bytes, path, &own, &gguf, err);
    if (status == HD_OK)
        status = check_vocab(&gguf, err);
    if (status == HD_OK) {
        hd_settings_source source = hd__gguf_settings_source(&gguf);
        status = hd__settings_read_from(&source, path, arena, settings, err);
        settings->position_offset = 0; /* the table in the file begins with the first token's row */
    }
    hd__arena_clear(&own);
    hd__file_map_close(&map);
    return status;
}
