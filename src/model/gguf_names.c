/* gguf_names.c - see gguf_names.h. */
#include "model/gguf_names.h"

#include "base/limits.h"

#define BERT_BODY                                                                                                           \
    {"token_embd", "embeddings.word_embeddings"}, {"position_embd", "embeddings.position_embeddings"},                      \
        {"token_types", "embeddings.token_type_embeddings"}, {"token_embd_norm", "embeddings.LayerNorm"},                   \
        {"blk.%u.attn_q", "encoder.layer.%u.attention.self.query"},                                                         \
        {"blk.%u.attn_k", "encoder.layer.%u.attention.self.key"},                                                           \
        {"blk.%u.attn_v", "encoder.layer.%u.attention.self.value"},                                                         \
        {"blk.%u.attn_output", "encoder.layer.%u.attention.output.dense"},                                                  \
        {"blk.%u.attn_output_norm", "encoder.layer.%u.attention.output.LayerNorm"},                                         \
        {"blk.%u.ffn_up", "encoder.layer.%u.intermediate.dense"}, {"blk.%u.ffn_down", "encoder.layer.%u.output.dense"},     \
    {                                                                                                                       \
        "blk.%u.layer_output_norm", "encoder.layer.%u.output.LayerNorm"                                                     \
    }

static const hd_gguf_name no_names[] = {{NULL, NULL}};

/* A pooler is a tanh behind a linear layer, which is what llama.cpp makes of "cls". */
static const hd_gguf_name bert_body[] = {BERT_BODY, {"cls", "pooler.dense"}, {NULL, NULL}};
static const hd_gguf_name bert_head[] = {{"cls.output", "classifier"}, {NULL, NULL}};

static const hd_gguf_name roberta_body[] = {BERT_BODY, {NULL, NULL}};
static const hd_gguf_name roberta_head[] = {
    {"cls", "classifier.dense"}, {"cls.output", "classifier.out_proj"}, {NULL, NULL}};

static const hd_gguf_name distilbert_body[] = {
    {"token_embd", "embeddings.word_embeddings"},
    {"position_embd", "embeddings.position_embeddings"},
    {"token_embd_norm", "embeddings.LayerNorm"},
    {"blk.%u.attn_q", "transformer.layer.%u.attention.q_lin"},
    {"blk.%u.attn_k", "transformer.layer.%u.attention.k_lin"},
    {"blk.%u.attn_v", "transformer.layer.%u.attention.v_lin"},
    {"blk.%u.attn_output", "transformer.layer.%u.attention.out_lin"},
    {"blk.%u.attn_output_norm", "transformer.layer.%u.sa_layer_norm"},
    {"blk.%u.ffn_up", "transformer.layer.%u.ffn.lin1"},
    {"blk.%u.ffn_down", "transformer.layer.%u.ffn.lin2"},
    {"blk.%u.layer_output_norm", "transformer.layer.%u.output_layer_norm"},
    {NULL, NULL},
};

static const hd_gguf_name nomic_body[] = {
    {"token_embd", "embeddings.word_embeddings"},
    {"token_types", "embeddings.token_type_embeddings"},
    {"token_embd_norm", "emb_ln"},
    {"blk.%u.attn_qkv", "encoder.layers.%u.attn.Wqkv"},
    {"blk.%u.attn_output", "encoder.layers.%u.attn.out_proj"},
    {"blk.%u.attn_output_norm", "encoder.layers.%u.norm1"},
    {"blk.%u.ffn_up", "encoder.layers.%u.mlp.fc11"},
    {"blk.%u.ffn_gate", "encoder.layers.%u.mlp.fc12"},
    {"blk.%u.ffn_down", "encoder.layers.%u.mlp.fc2"},
    {"blk.%u.layer_output_norm", "encoder.layers.%u.norm2"},
    {NULL, NULL},
};

/* The feed-forward's two halves are one tensor in both. */
static const hd_gguf_name jina_body[] = {
    {"token_embd", "embeddings.word_embeddings"},
    {"token_types", "embeddings.token_type_embeddings"},
    {"token_embd_norm", "embeddings.LayerNorm"},
    {"blk.%u.attn_q", "encoder.layer.%u.attention.self.query"},
    {"blk.%u.attn_k", "encoder.layer.%u.attention.self.key"},
    {"blk.%u.attn_v", "encoder.layer.%u.attention.self.value"},
    {"blk.%u.attn_output", "encoder.layer.%u.attention.output.dense"},
    {"blk.%u.attn_output_norm", "encoder.layer.%u.attention.output.LayerNorm"},
    {"blk.%u.ffn_up", "encoder.layer.%u.mlp.gated_layers"},
    {"blk.%u.ffn_down", "encoder.layer.%u.mlp.wo"},
    {"blk.%u.layer_output_norm", "encoder.layer.%u.mlp.layernorm"},
    {NULL, NULL},
};

static const hd_gguf_name modern_body[] = {
    {"token_embd", "embeddings.tok_embeddings"},
    {"token_embd_norm", "embeddings.norm"},
    {"output_norm", "final_norm"},
    {"blk.%u.attn_norm", "layers.%u.attn_norm"},
    {"blk.%u.attn_qkv", "layers.%u.attn.Wqkv"},
    {"blk.%u.attn_output", "layers.%u.attn.Wo"},
    {"blk.%u.ffn_norm", "layers.%u.mlp_norm"},
    {"blk.%u.ffn_up", "layers.%u.mlp.Wi"},
    {"blk.%u.ffn_down", "layers.%u.mlp.Wo"},
    {NULL, NULL},
};

static const hd_gguf_name modern_head[] = {
    {"cls", "head.dense"}, {"cls.norm", "head.norm"}, {"cls.output", "classifier"}, {NULL, NULL}};

static const hd_gguf_name qwen3_body[] = {
    {"token_embd", "embed_tokens"},
    {"output_norm", "norm"},
    {"blk.%u.attn_norm", "layers.%u.input_layernorm"},
    {"blk.%u.attn_q", "layers.%u.self_attn.q_proj"},
    {"blk.%u.attn_k", "layers.%u.self_attn.k_proj"},
    {"blk.%u.attn_v", "layers.%u.self_attn.v_proj"},
    {"blk.%u.attn_output", "layers.%u.self_attn.o_proj"},
    {"blk.%u.attn_q_norm", "layers.%u.self_attn.q_norm"},
    {"blk.%u.attn_k_norm", "layers.%u.self_attn.k_norm"},
    {"blk.%u.ffn_norm", "layers.%u.post_attention_layernorm"},
    {"blk.%u.ffn_gate", "layers.%u.mlp.gate_proj"},
    {"blk.%u.ffn_up", "layers.%u.mlp.up_proj"},
    {"blk.%u.ffn_down", "layers.%u.mlp.down_proj"},
    {NULL, NULL},
};

/* "cls.output" has the rows of "yes" and "no" of the layer that predicts tokens. */
static const hd_gguf_name qwen3_head[] = {{"output", "lm_head"}, {"cls.output", "score"}, {NULL, NULL}};

const hd_gguf_names *hd__gguf_names(const char *model_type)
{
    static const hd_gguf_names tables[] = {
        {"bert", "bert.", bert_body, bert_head},
        {"roberta", "roberta.", roberta_body, roberta_head},
        {"xlm-roberta", "roberta.", roberta_body, roberta_head},
        {"camembert", "roberta.", roberta_body, roberta_head},
        {"distilbert", "distilbert.", distilbert_body, no_names},
        {"nomic_bert", "bert.", nomic_body, no_names},
        {"jina_bert", "bert.", jina_body, no_names},
        {"modernbert", "model.", modern_body, modern_head},
        {"qwen3", "model.", qwen3_body, qwen3_head},
    };
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
        if (strcmp(model_type, tables[i].model_type) == 0)
            return &tables[i];
    }
    return NULL;
}

/* Whether a name is a stem and ".weight" or ".bias"; %u stands for a number without leading zeroes. */
static bool match(const char *stem, const char *name, uint32_t *layer, const char **suffix)
{
    for (; *stem != '\0'; stem++) {
        if (stem[0] != '%') {
            if (*stem != *name++)
                return false;
            continue;
        }
        stem++; /* the u */
        const char *digits = name;
        for (*layer = 0; *name >= '0' && *name <= '9'; name++) {
            *layer = *layer * 10 + (uint32_t)(*name - '0');
            if (*layer >= HD_LIMIT_LAYERS)
                return false;
        }
        if (name == digits || (*digits == '0' && name - digits > 1))
            return false;
    }
    *suffix = name;
    return strcmp(name, ".weight") == 0 || strcmp(name, ".bias") == 0;
}

static const hd_gguf_name *find_row(const hd_gguf_name *row, bool by_gguf, const char *name, uint32_t *layer,
                                    const char **suffix)
{
    while (row->gguf != NULL && !match(by_gguf ? row->gguf : row->hub, name, layer, suffix))
        row++;
    return row->gguf != NULL ? row : NULL;
}

static hd_status compose(const char *prefix, const char *stem, uint32_t layer, const char *suffix, hd_arena *arena,
                         const char **name, hd_error *err)
{
    const char *number = strstr(stem, "%u");
    *name = number == NULL
                ? hd__arena_printf(arena, "%s%s%s", prefix, stem, suffix)
                : hd__arena_printf(arena, "%s%.*s%u%s%s", prefix, (int)(number - stem), stem, layer, number + 2, suffix);
    return *name != NULL ? HD_OK : hd__fail(err, HD_ERR_MEMORY, "no memory for the name of a tensor");
}

hd_status hd__gguf_name_to_hub(const hd_gguf_names *names, const char *gguf, bool has_head, hd_arena *arena,
                               const char **name, hd_error *err)
{
    uint32_t layer = 0;
    const char *suffix, *prefix = "";
    const hd_gguf_name *row = find_row(names->head, true, gguf, &layer, &suffix);
    *name = NULL;
    if (row == NULL) {
        row = find_row(names->body, true, gguf, &layer, &suffix);
        prefix = has_head ? names->prefix : "";
    }
    return row != NULL ? compose(prefix, row->hub, layer, suffix, arena, name, err) : HD_OK;
}

hd_status hd__gguf_name_from_hub(const hd_gguf_names *names, const char *hub, hd_arena *arena, const char **name,
                                 hd_error *err)
{
    const char *const prefixes[] = {"", names->prefix, "model.", "0.auto_model."};
    uint32_t layer = 0;
    const char *suffix;
    const hd_gguf_name *row = find_row(names->head, false, hub, &layer, &suffix);
    *name = NULL;
    for (size_t i = 0; row == NULL && i < sizeof prefixes / sizeof *prefixes; i++) {
        const size_t n = strlen(prefixes[i]);
        if (strncmp(hub, prefixes[i], n) == 0)
            row = find_row(names->body, false, hub + n, &layer, &suffix);
    }
    return row != NULL ? compose("", row->gguf, layer, suffix, arena, name, err) : HD_OK;
}
