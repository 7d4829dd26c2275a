/* gguf_names.c - see gguf_names.h. */
#include "model/gguf_names.h"

#include "base/limits.h"

/* BERT, RoBERTa, XLM-RoBERTa */
static const hd_gguf_name bert_names[] = {
    {"token_embd", "embeddings.word_embeddings"},
    {"position_embd", "embeddings.position_embeddings"},
    {"token_types", "embeddings.token_type_embeddings"},
    {"token_embd_norm", "embeddings.LayerNorm"},
    {"blk.%u.attn_q", "encoder.layer.%u.attention.self.query"},
    {"blk.%u.attn_k", "encoder.layer.%u.attention.self.key"},
    {"blk.%u.attn_v", "encoder.layer.%u.attention.self.value"},
    {"blk.%u.attn_output", "encoder.layer.%u.attention.output.dense"},
    {"blk.%u.attn_output_norm", "encoder.layer.%u.attention.output.LayerNorm"},
    {"blk.%u.ffn_up", "encoder.layer.%u.intermediate.dense"},
    {"blk.%u.ffn_down", "encoder.layer.%u.output.dense"},
    {"blk.%u.layer_output_norm", "encoder.layer.%u.output.LayerNorm"},
    {"cls", "classifier.dense"},
    {"cls.output", "classifier.out_proj"},
    {NULL, NULL},
};

static const hd_gguf_name nomic_names[] = {
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
static const hd_gguf_name jina_v2_names[] = {
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

static const hd_gguf_name modern_names[] = {
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

static const hd_gguf_name qwen3_names[] = {
    {"token_embd", "model.embed_tokens"},
    {"output_norm", "model.norm"},
    {"output", "lm_head"},
    {"blk.%u.attn_norm", "model.layers.%u.input_layernorm"},
    {"blk.%u.attn_q", "model.layers.%u.self_attn.q_proj"},
    {"blk.%u.attn_k", "model.layers.%u.self_attn.k_proj"},
    {"blk.%u.attn_v", "model.layers.%u.self_attn.v_proj"},
    {"blk.%u.attn_output", "model.layers.%u.self_attn.o_proj"},
    {"blk.%u.attn_q_norm", "model.layers.%u.self_attn.q_norm"},
    {"blk.%u.attn_k_norm", "model.layers.%u.self_attn.k_norm"},
    {"blk.%u.ffn_norm", "model.layers.%u.post_attention_layernorm"},
    {"blk.%u.ffn_gate", "model.layers.%u.mlp.gate_proj"},
    {"blk.%u.ffn_up", "model.layers.%u.mlp.up_proj"},
    {"blk.%u.ffn_down", "model.layers.%u.mlp.down_proj"},
    {NULL, NULL},
};

const hd_gguf_name *hd__gguf_names(const char *architecture)
{
    static const struct {
        const char *architecture;
        const hd_gguf_name *names;
    } tables[] = {
        {"bert", bert_names},          {"nomic-bert", nomic_names}, {"jina-bert-v2", jina_v2_names},
        {"modern-bert", modern_names}, {"qwen3", qwen3_names},
    };
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
        if (strcmp(architecture, tables[i].architecture) == 0)
            return tables[i].names;
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

static hd_status rename_by(const hd_gguf_name *table, bool to_hub, const char *name, hd_arena *arena, const char **out,
                           hd_error *err)
{
    uint32_t layer = 0;
    const char *suffix;
    *out = NULL;
    for (; table->gguf != NULL; table++) {
        if (!match(to_hub ? table->gguf : table->hub, name, &layer, &suffix))
            continue;
        const char *stem = to_hub ? table->hub : table->gguf, *number = strstr(stem, "%u");
        *out = number == NULL ? hd__arena_printf(arena, "%s%s", stem, suffix)
                              : hd__arena_printf(arena, "%.*s%u%s%s", (int)(number - stem), stem, layer, number + 2, suffix);
        return *out != NULL ? HD_OK : hd__fail(err, HD_ERR_MEMORY, "no memory for the name of a tensor");
    }
    return HD_OK;
}

hd_status hd__gguf_name_to_hub(const hd_gguf_name *table, const char *gguf, hd_arena *arena, const char **name,
                               hd_error *err)
{
    return rename_by(table, true, gguf, arena, name, err);
}

hd_status hd__gguf_name_from_hub(const hd_gguf_name *table, const char *hub, hd_arena *arena, const char **name,
                                 hd_error *err)
{
    return rename_by(table, false, hub, arena, name, err);
}
