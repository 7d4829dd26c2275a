/* gguf_settings.c - see gguf_settings.h. */
#include "model/gguf_settings.h"

#include <stdio.h>

#include "model/gguf_files.h"
#include "model/qwen3_prompt.h"

/* llama.cpp's enum llama_pooling_type. */
enum { POOLING_NONE, POOLING_MEAN, POOLING_CLS, POOLING_LAST, POOLING_RANK = HD_GGUF_POOLING_RANK, POOLING_UNSET };

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
    const char *model_type; /* of hd_settings; bert's depends on more */
    const char *class;      /* what "architectures" begins with */
    const char *task;       /* and ends in, without a classifier */
    const key_map *keys;
    uint32_t pooling; /* when the file does not say */
    const char *fixed;
} architectures[] = {
    {"bert", NULL, NULL, "Model", bert_keys, POOLING_MEAN, "{\"hidden_act\": \"gelu\"}"},
    {"nomic-bert", "nomic_bert", "NomicBert", "Model", nomic_keys, POOLING_MEAN,
     "{\"model_type\": \"nomic_bert\", \"activation_function\": \"swiglu\", \"causal\": false, \"prenorm\": false,"
     " \"qkv_proj_bias\": false, \"mlp_fc1_bias\": false, \"mlp_fc2_bias\": false, \"rotary_emb_fraction\": 1.0,"
     " \"rotary_emb_interleaved\": false}"},
    {"jina-bert-v2", "jina_bert", "JinaBert", "ForMaskedLM", bert_keys, POOLING_MEAN,
     "{\"model_type\": \"bert\", \"position_embedding_type\": \"alibi\", \"feed_forward_type\": \"geglu\","
     " \"hidden_act\": \"gelu\"}"},
    {"modern-bert", "modernbert", "ModernBert", "Model", modern_keys, POOLING_MEAN, "{\"model_type\": \"modernbert\"}"},
    {"qwen3", "qwen3", "Qwen3", "ForCausalLM", qwen3_keys, POOLING_LAST,
     "{\"model_type\": \"qwen3\", \"hidden_act\": \"silu\"}"},
};

/* The kinds of model whose graph is "bert". */
static const struct {
    const char *model_type, *class;
} berts[] = {{"bert", "Bert"}, {"roberta", "Roberta"}, {"xlm-roberta", "XLMRoberta"}, {"distilbert", "DistilBert"}};
enum { BERT, ROBERTA, XLM_ROBERTA, DISTILBERT };

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

/* The tokenizer tells them apart: WordPiece is BERT's, Unigram XLM-RoBERTa's, byte-level BPE RoBERTa's; DistilBERT is BERT
 * without token types. */
static hd_status kind_of_bert(const hd_gguf *gguf, size_t *kind, hd_error *err)
{
    hd_span model = {"bert", 4};
    HD_TRY(hd__gguf_get_text(gguf, "tokenizer.ggml.model", &model, err));
    *kind = hd__span_is(model, "t5")                                   ? XLM_ROBERTA
            : hd__span_is(model, "gpt2")                               ? ROBERTA
            : hd__gguf_find_tensor(gguf, "token_types.weight") != NULL ? BERT
                                                                       : DISTILBERT;
    return HD_OK;
}

hd_status hd__gguf_model_type(const hd_gguf *gguf, const char **model_type, hd_error *err)
{
    size_t index, kind;
    HD_TRY(find_architecture(gguf, &index, err));
    *model_type = architectures[index].model_type;
    if (*model_type != NULL)
        return HD_OK;
    HD_TRY(kind_of_bert(gguf, &kind, err));
    *model_type = berts[kind].model_type;
    return HD_OK;
}

static bool has_classifier(const hd_gguf *gguf)
{
    return hd__gguf_find_tensor(gguf, "cls.output.weight") != NULL;
}

static bool is_qwen3(const hd_gguf *gguf)
{
    size_t index;
    hd_error ignored;
    return find_architecture(gguf, &index, &ignored) == HD_OK && strcmp(architectures[index].architecture, "qwen3") == 0;
}

bool hd__gguf_has_head(const hd_gguf *gguf)
{
    return has_classifier(gguf) || is_qwen3(gguf);
}

uint32_t hd__gguf_pooling_type(uint32_t pooling)
{
    return pooling == HD_POOLING_MEAN   ? POOLING_MEAN
           : pooling == HD_POOLING_CLS  ? POOLING_CLS
           : pooling == HD_POOLING_LAST ? POOLING_LAST
                                        : 0;
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
    const hd_tensor *t = hd__gguf_find_tensor(gguf, tensor);
    if (t == NULL)
        return HD_OK;
    if (t->n_dims != 2 || t->dims[0] > INT32_MAX)
        return hd__fail(err, HD_ERR_FORMAT, "%s: tensor \"%s\" is no table", gguf->file, tensor);
    return json_object_set_new(root, field, json_integer((json_int_t)t->dims[0])) == 0 ? HD_OK : no_memory(gguf, err);
}

static hd_status check_vocab(const hd_gguf *gguf, hd_error *err)
{
    const hd_tensor *words = hd__gguf_find_tensor(gguf, "token_embd.weight");
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
    const hd_tensor *table = hd__gguf_find_tensor(gguf, "position_embd.weight");
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

static hd_status refine_bert(const hd_gguf *gguf, size_t kind, json_t *root, hd_error *err)
{
    if (json_object_set_new(root, "model_type", json_string(berts[kind].model_type)) != 0)
        return no_memory(gguf, err);
    return kind == ROBERTA || kind == XLM_ROBERTA
               ? add_roberta_positions(gguf, root, err)
               : add_rows(gguf, "position_embd.weight", "max_position_embeddings", root, err);
}

/* Texts that a key may have besides its default. */
static hd_status refine_modern(const hd_gguf *gguf, json_t *root, hd_error *err)
{
    hd_span activation = {"gelu", 4};
    uint64_t pooling = POOLING_MEAN;
    HD_TRY(hd__gguf_get_text(gguf, "modern-bert.hidden_activation", &activation, err));
    HD_TRY(hd__gguf_get_uint(gguf, "modern-bert.classifier.pooling_type", POOLING_CLS, &pooling, err));
    if (json_object_set_new(root, "hidden_activation", json_stringn(activation.ptr, activation.len)) != 0 ||
        json_object_set_new(root, "classifier_pooling", json_string(pooling == POOLING_CLS ? "cls" : "mean")) != 0)
        return hd__fail(err, HD_ERR_FORMAT, "%s: key \"modern-bert.hidden_activation\" is no text", gguf->file);
    return HD_OK;
}

/* The prompt is Qwen3-Reranker's. */
static hd_status refine_qwen3(const hd_gguf *gguf, json_t *root, hd_error *err)
{
    const bool tied = hd__gguf_find_tensor(gguf, "output.weight") == NULL;
    hd_span template = hd__span_of(HD_QWEN3_TEMPLATE);
    HD_TRY(hd__gguf_get_text(gguf, "tokenizer.chat_template.rerank", &template, err));
    if (!hd__span_is(template, HD_QWEN3_TEMPLATE))
        return hd__fail(err, HD_ERR_UNSUPPORTED,
                        "%s: tokenizer.chat_template.rerank is not the prompt of Qwen3-Reranker, which Heddle runs",
                        gguf->file);
    return json_object_set_new(root, "tie_word_embeddings", json_boolean(tied)) == 0 ? HD_OK : no_memory(gguf, err);
}

/* id2label, or how many labels there are. Qwen3's two are "yes" and "no". */
static hd_status add_labels(const hd_gguf *gguf, size_t index, json_t *root, hd_error *err)
{
    const hd_tensor *out = hd__gguf_find_tensor(gguf, "cls.output.weight");
    const bool judges = strcmp(architectures[index].architecture, "qwen3") == 0;
    const hd_gguf_pair *labels;
    char key[64], id[24];
    snprintf(key, sizeof key, "%s.classifier.output_labels", architectures[index].architecture);
    HD_TRY(hd__gguf_get_array(gguf, key, HD_GGUF_TEXT, UINT64_MAX, &labels, err));
    const uint64_t n_rows = out->n_dims == 2 ? out->dims[0] : 0, n = labels != NULL ? labels->n : judges ? 2 : n_rows;
    if (n == 0 || n > HD_LIMIT_LABELS || n != n_rows || (judges && n != 2))
        return hd__fail(err, HD_ERR_FORMAT, "%s: \"cls.output.weight\" has %llu rows for %llu labels%s", gguf->file,
                        (unsigned long long)n_rows, (unsigned long long)n, judges ? "; those of qwen3 are yes and no" : "");
    json_t *names = json_object();
    hd_cursor c = hd__cursor(labels != NULL ? labels->bytes : hd__span("", 0));
    bool failed = names == NULL || json_object_set_new(root, "num_labels", json_integer((json_int_t)n)) != 0;
    for (uint64_t i = 0; labels != NULL && !failed && i < n; i++) {
        const hd_span text = hd__gguf_next_text(&c);
        if (judges && !hd__span_is(text, i == 0 ? "yes" : "no")) {
            json_decref(names);
            return hd__fail(err, HD_ERR_UNSUPPORTED, "%s: the labels of %s are not \"yes\" and \"no\"", gguf->file, key);
        }
        snprintf(id, sizeof id, "%llu", (unsigned long long)i);
        failed = json_object_set_new(names, id, json_stringn(text.ptr, text.len)) != 0;
    }
    if (failed || labels == NULL || judges)
        json_decref(names);
    else
        failed = json_object_set_new(root, "id2label", names) != 0;
    return failed ? hd__fail(err, HD_ERR_FORMAT, "%s: the labels of %s are no texts", gguf->file, key) : HD_OK;
}

/* The class of transformers. */
static hd_status add_class(const hd_gguf *gguf, size_t index, const char *class, json_t *root, hd_error *err)
{
    const bool scores = has_classifier(gguf) && strcmp(architectures[index].architecture, "qwen3") != 0;
    json_t *name = json_sprintf("%s%s", class, scores ? "ForSequenceClassification" : architectures[index].task);
    json_t *names = name != NULL ? json_pack("[o]", name) : NULL;
    return names != NULL && json_object_set_new(root, "architectures", names) == 0 ? HD_OK : no_memory(gguf, err);
}

static hd_status add_pad(const hd_gguf *gguf, json_t *root, hd_error *err)
{
    uint64_t id = UINT64_MAX;
    HD_TRY(hd__gguf_get_uint(gguf, "tokenizer.ggml.padding_token_id", INT32_MAX, &id, err));
    if (id != UINT64_MAX && json_object_set_new(root, "pad_token_id", json_integer((json_int_t)id)) != 0)
        return no_memory(gguf, err);
    return HD_OK;
}

static hd_status fill_config(const hd_gguf *gguf, size_t index, json_t *root, hd_error *err)
{
    const char *architecture = architectures[index].architecture, *class = architectures[index].class;
    size_t kind;
    HD_TRY(add_keys(gguf, index, root, err));
    HD_TRY(add_rows(gguf, "token_embd.weight", "vocab_size", root, err));
    HD_TRY(add_rows(gguf, "token_types.weight", "type_vocab_size", root, err));
    HD_TRY(add_pad(gguf, root, err));
    if (class == NULL) {
        HD_TRY(kind_of_bert(gguf, &kind, err));
        HD_TRY(refine_bert(gguf, kind, root, err));
        class = berts[kind].class;
    }
    if (strcmp(architecture, "modern-bert") == 0)
        HD_TRY(refine_modern(gguf, root, err));
    if (strcmp(architecture, "qwen3") == 0)
        HD_TRY(refine_qwen3(gguf, root, err));
    if (has_classifier(gguf))
        HD_TRY(add_labels(gguf, index, root, err));
    return add_class(gguf, index, class, root, err);
}

static hd_status make_config(const hd_gguf *gguf, size_t index, json_t **out, hd_error *err)
{
    json_t *root = json_loads(architectures[index].fixed, 0, NULL);
    const hd_status status = root != NULL ? fill_config(gguf, index, root, err) : no_memory(gguf, err);
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
    if (pooling == POOLING_RANK && !hd__gguf_has_head(gguf))
        return hd__fail(err, HD_ERR_UNSUPPORTED, "%s: pooling_type is rank, but there is no \"cls.output.weight\"",
                        gguf->file);
    if (pooling == POOLING_RANK || has_classifier(gguf))
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
    return (hd_settings_source){.read = read_file, .data = gguf};
}

hd_status hd__gguf_settings_read(const char *path, hd_arena *arena, hd_settings *settings, hd_error *err)
{
    hd_gguf_files files;
    hd_arena own;
    hd__arena_init(&own);
    hd_status status = hd__gguf_open(path, &own, &files, err);
    if (status == HD_OK) {
        hd_settings_source source = hd__gguf_settings_source(&files.gguf);
        status = check_vocab(&files.gguf, err);
        if (status == HD_OK)
            status = hd__settings_read_from(&source, path, arena, settings, err);
        settings->position_offset = 0; /* the table in the file begins with the first token's row */
        settings->answers_alone = settings->judges && has_classifier(&files.gguf);
        hd__gguf_close(&files);
    }
    hd__arena_clear(&own);
    return status;
}
