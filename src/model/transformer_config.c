/* transformer_config.c - see transformer_config.h.
 *
 * Sources: the configuration classes of transformers 5 and the config.json files of the models themselves; a number that a
 * file leaves out has the value that its class gives it. Families that are not in the table are read by BERT's names and
 * left to the encoder registry, which refuses them by name.
 */
#include "model/transformer_config.h"

#include <float.h>
#include <stdio.h>

#include "model/task_config.h"

/* How a family spells what BERT's config.json calls num_hidden_layers, hidden_size, …: NULL where it does as BERT. A file
 * may use BERT's name all the same. */
typedef struct config_family {
    const char *model_type;
    const char *n_layers, *hidden, *n_heads, *intermediate, *n_positions, *norm_eps, *activation;
    struct {
        uint32_t n_layers, hidden, n_heads, intermediate, vocab_size, n_positions, n_token_types;
        double norm_eps;
        int32_t pad_id;
        const char *activation; /* NULL: gelu */
    } defaults;
    bool has_token_types, may_lack_token_types;
    bool counts_from_pad; /* places in the table of positions begin at pad_token_id + 1, as in fairseq */
    bool may_have_tasks;
    hd_status (*more)(const json_t *root, const char *shown, hd_settings *settings, hd_error *err); /* or NULL */
} config_family;

#define BERT_BASE_WIDTHS .hidden = 768, .n_heads = 12, .intermediate = 3072, .norm_eps = 1e-12
#define XLM_ROBERTA_FLASH                                                                                                   \
    .defaults = {.n_layers = 24,                                                                                            \
                 .hidden = 1024,                                                                                            \
                 .n_heads = 16,                                                                                             \
                 .intermediate = 4096,                                                                                      \
                 .norm_eps = 1e-5,                                                                                          \
                 .vocab_size = 250002,                                                                                      \
                 .n_positions = 8194,                                                                                       \
                 .n_token_types = 1,                                                                                        \
                 .pad_id = 1},                                                                                              \
    .has_token_types = true, .may_lack_token_types = true, .counts_from_pad = true, .may_have_tasks = true,                 \
    .more = more_of_flash

static hd_status more_of_bert(const json_t *root, const char *shown, hd_settings *s, hd_error *err);
static hd_status more_of_flash(const json_t *root, const char *shown, hd_settings *s, hd_error *err);
static hd_status more_of_gte(const json_t *root, const char *shown, hd_settings *s, hd_error *err);
static hd_status more_of_mpnet(const json_t *root, const char *shown, hd_settings *s, hd_error *err);
static hd_status more_of_nomic(const json_t *root, const char *shown, hd_settings *s, hd_error *err);
static hd_status more_of_modernbert(const json_t *root, const char *shown, hd_settings *s, hd_error *err);
static hd_status more_of_qwen3(const json_t *root, const char *shown, hd_settings *s, hd_error *err);
static hd_status more_of_gemma3(const json_t *root, const char *shown, hd_settings *s, hd_error *err);
static hd_status more_of_model2vec(const json_t *root, const char *shown, hd_settings *s, hd_error *err);

static const config_family families[] = {
    {
        .model_type = "bert",
        .defaults = {.n_layers = 12, BERT_BASE_WIDTHS, .vocab_size = 30522, .n_positions = 512, .n_token_types = 2},
        .has_token_types = true,
        .more = more_of_bert,
    },
    {
        .model_type = "roberta",
        .defaults =
            {.n_layers = 12, BERT_BASE_WIDTHS, .vocab_size = 50265, .n_positions = 512, .n_token_types = 2, .pad_id = 1},
        .has_token_types = true,
        .counts_from_pad = true,
    },
    {
        .model_type = "xlm-roberta",
        .defaults =
            {.n_layers = 12, BERT_BASE_WIDTHS, .vocab_size = 30522, .n_positions = 512, .n_token_types = 2, .pad_id = 1},
        .has_token_types = true,
        .counts_from_pad = true,
    },
    {
        .model_type = "camembert",
        .defaults =
            {.n_layers = 12, BERT_BASE_WIDTHS, .vocab_size = 30522, .n_positions = 512, .n_token_types = 2, .pad_id = 1},
        .has_token_types = true,
        .counts_from_pad = true,
    },
    {.model_type = "xlm_roberta_flash", XLM_ROBERTA_FLASH},
    {.model_type = "jina_embeddings_v3", XLM_ROBERTA_FLASH}, /* what transformers calls it */
    {
        .model_type = "distilbert",
        .n_layers = "n_layers",
        .hidden = "dim",
        .n_heads = "n_heads",
        .intermediate = "hidden_dim",
        .activation = "activation",
        .defaults = {.n_layers = 6, BERT_BASE_WIDTHS, .vocab_size = 30522, .n_positions = 512},
    },
    {
        .model_type = "mpnet",
        .defaults = {.n_layers = 12, BERT_BASE_WIDTHS, .vocab_size = 30527, .n_positions = 512, .pad_id = 1},
        .counts_from_pad = true,
        .more = more_of_mpnet,
    },
    {
        .model_type = "nomic_bert",
        .n_layers = "n_layer",
        .hidden = "n_embd",
        .n_heads = "n_head",
        .intermediate = "n_inner",
        .n_positions = "n_positions",
        .norm_eps = "layer_norm_epsilon",
        .activation = "activation_function",
        .defaults = {.n_layers = 12, BERT_BASE_WIDTHS, .vocab_size = 30528, .n_positions = 2048, .n_token_types = 2},
        .has_token_types = true,
        .more = more_of_nomic,
    },
    {
        .model_type = "modernbert",
        .norm_eps = "norm_eps",
        .activation = "hidden_activation",
        .defaults = {.n_layers = 22,
                     .hidden = 768,
                     .n_heads = 12,
                     .intermediate = 1152,
                     .norm_eps = 1e-5,
                     .vocab_size = 50368,
                     .n_positions = 8192,
                     .pad_id = 50283},
        .more = more_of_modernbert,
    },
    {
        .model_type = "new",
        .defaults = {.n_layers = 12, BERT_BASE_WIDTHS, .vocab_size = 30528, .n_positions = 2048, .n_token_types = 1},
        .may_lack_token_types = true,
        .has_token_types = true,
        .more = more_of_gte,
    },
    {
        .model_type = "qwen3",
        .norm_eps = "rms_norm_eps",
        .defaults = {.n_layers = 32,
                     .hidden = 4096,
                     .n_heads = 32,
                     .intermediate = 22016,
                     .norm_eps = 1e-6,
                     .vocab_size = 151936,
                     .n_positions = 32768,
                     .pad_id = -1},
        .more = more_of_qwen3,
    },
    {
        .model_type = "gemma3_text",
        .norm_eps = "rms_norm_eps",
        .activation = "hidden_activation",
        .defaults = {.n_layers = 26,
                     .hidden = 2304,
                     .n_heads = 8,
                     .intermediate = 9216,
                     .norm_eps = 1e-6,
                     .vocab_size = 262208,
                     .n_positions = 131072,
                     .activation = "gelu_pytorch_tanh"},
        .more = more_of_gemma3,
    },
    {
        .model_type = "model2vec",
        .hidden = "hidden_dim",
        .defaults = {.hidden = 256,
                     .n_heads = 1,
                     .intermediate = 1,
                     .norm_eps = 1e-12,
                     .n_positions = HD_LIMIT_SEQUENCE,
                     .pad_id = -1},
        .more = more_of_model2vec,
    },
};

static const char *either(const json_t *root, const char *own, const char *berts)
{
    return own != NULL && json_object_get(root, own) != NULL ? own : berts;
}

static hd_status get_u32(const json_t *root, const char *key, uint32_t min, uint32_t max, const char *shown, uint32_t *value,
                         hd_error *err)
{
    uint64_t wide = *value;
    HD_TRY(hd__json_get_uint(root, key, min, max, shown, &wide, err));
    *value = (uint32_t)wide;
    return HD_OK;
}

static void set_defaults(const config_family *f, hd_settings *s)
{
    s->n_layers = f->defaults.n_layers;
    s->hidden = f->defaults.hidden;
    s->n_heads = f->defaults.n_heads;
    s->intermediate = f->defaults.intermediate;
    s->vocab_size = f->defaults.vocab_size;
    s->n_positions = f->defaults.n_positions;
    s->n_token_types = f->defaults.n_token_types;
    s->norm_eps = f->defaults.norm_eps;
    s->pad_id = f->defaults.pad_id;
    s->rotary_factor = 1.0;
}

static hd_status parse_pad_id(const json_t *root, const char *shown, hd_settings *settings, hd_error *err)
{
    const json_t *field = json_object_get(root, "pad_token_id");
    if (field == NULL)
        return HD_OK;
    settings->pad_id = -1;
    if (json_is_null(field) || json_integer_value(field) == -1)
        return HD_OK;
    uint64_t id = 0;
    HD_TRY(hd__json_get_uint(root, "pad_token_id", 0, HD_LIMIT_VOCAB, shown, &id, err));
    settings->pad_id = (int32_t)id;
    return HD_OK;
}

static hd_status parse_sizes(const json_t *root, const config_family *f, const char *shown, hd_settings *s, hd_error *err)
{
    const struct {
        const char *key;
        uint32_t min, max;
        uint32_t *value;
    } sizes[] = {
        {either(root, f->n_layers, "num_hidden_layers"), 1, HD_LIMIT_LAYERS, &s->n_layers},
        {either(root, f->hidden, "hidden_size"), 1, HD_LIMIT_HIDDEN, &s->hidden},
        {either(root, f->n_heads, "num_attention_heads"), 1, HD_LIMIT_HIDDEN, &s->n_heads},
        {either(root, f->intermediate, "intermediate_size"), 1, HD_LIMIT_HIDDEN, &s->intermediate},
        {"vocab_size", 1, HD_LIMIT_VOCAB, &s->vocab_size},
        {either(root, f->n_positions, "max_position_embeddings"), 1, HD_LIMIT_SEQUENCE, &s->n_positions},
        {"type_vocab_size", 0, HD_LIMIT_HIDDEN, &s->n_token_types},
    };
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        HD_TRY(get_u32(root, sizes[i].key, sizes[i].min, sizes[i].max, shown, sizes[i].value, err));
    HD_TRY(hd__json_get_real(root, either(root, f->norm_eps, "layer_norm_eps"), DBL_MIN, 1, shown, &s->norm_eps, err));
    return parse_pad_id(root, shown, s, err);
}

static hd_status parse_activation(const json_t *root, const config_family *f, const char *shown, hd_settings *s,
                                  hd_error *err)
{
    const char *key = either(root, f->activation, "hidden_act");
    const char *name = f->defaults.activation != NULL ? f->defaults.activation : "gelu";
    HD_TRY(hd__json_get_text(root, key, shown, &name, err));
    if (!hd__activation_parse(name, &s->activation))
        return hd__fail(err, HD_ERR_UNSUPPORTED, "%s: \"%s\" is \"%s\", which Heddle does not run", shown, key, name);
    return HD_OK;
}

/* ---- what families have of their own ---- */

/* Fields that must be as Heddle runs them: true or false where the file has them at all. */
typedef struct fixed_field {
    const char *key;
    bool value;
} fixed_field;

static hd_status check_fixed(const json_t *root, const fixed_field *fields, size_t n, const char *shown, hd_error *err)
{
    for (size_t i = 0; i < n; i++) {
        bool value = fields[i].value;
        HD_TRY(hd__json_get_bool(root, fields[i].key, shown, &value, err));
        if (value != fields[i].value)
            return hd__fail(err, HD_ERR_UNSUPPORTED, "%s: \"%s\" is %s, which Heddle does not run", shown, fields[i].key,
                            value ? "true" : "false");
    }
    return HD_OK;
}

/* Fields that a file has as null or not at all; `what` Heddle does tells why. */
static hd_status check_absent(const json_t *root, const char *const *keys, size_t n, const char *what, const char *shown,
                              hd_error *err)
{
    for (size_t i = 0; i < n; i++) {
        const json_t *field = json_object_get(root, keys[i]);
        if (field != NULL && !json_is_null(field))
            return hd__fail(err, HD_ERR_UNSUPPORTED, "%s: \"%s\": Heddle %s", shown, keys[i], what);
    }
    return HD_OK;
}

/* The base of rotary angles: a key of its own, else "rope_parameters", perhaps by kind of layer. Scaled ones are refused. */
static hd_status parse_theta(const json_t *root, const char *own, const char *kind, const char *shown, double *theta,
                             hd_error *err)
{
    const json_t *rope = json_object_get(root, "rope_parameters"), *of_kind = json_object_get(rope, kind);
    const json_t *scaling = json_object_get(root, "rope_scaling");
    const char *type = "default";
    rope = of_kind != NULL ? of_kind : rope;
    HD_TRY(hd__json_get_text(rope, "rope_type", shown, &type, err));
    if (strcmp(type, "default") != 0 || json_is_object(scaling))
        return hd__fail(err, HD_ERR_UNSUPPORTED, "%s: \"%s\": Heddle does not scale rotary positions", shown,
                        json_is_object(scaling) ? "rope_scaling" : "rope_parameters");
    HD_TRY(hd__json_get_real(rope, "rope_theta", 1, 1e12, shown, theta, err));
    return hd__json_get_real(root, own, 1, 1e12, shown, theta, err);
}

/* JinaBERT goes by the name of BERT; what it does in place of a table of positions tells it apart. */
static hd_status more_of_bert(const json_t *root, const char *shown, hd_settings *s, hd_error *err)
{
    const char *feed_forward = NULL;
    HD_TRY(hd__json_get_text(root, "feed_forward_type", shown, &feed_forward, err));
    if (feed_forward == NULL || s->absolute_positions)
        return HD_OK;
    if (strcmp(feed_forward, "geglu") != 0 && strcmp(feed_forward, "reglu") != 0)
        return hd__fail(err, HD_ERR_UNSUPPORTED, "%s: \"feed_forward_type\" is \"%s\", Heddle runs \"geglu\" and \"reglu\"",
                        shown, feed_forward);
    s->model_type = "jina_bert";
    s->absolute_positions = true; /* none else, that is */
    s->activation = feed_forward[0] == 'g' ? HD_ACTIVATION_GELU : HD_ACTIVATION_RELU;
    s->gated = true;
    return HD_OK;
}

/* Rotary positions with the whole head turned, or a table. */
static hd_status more_of_flash(const json_t *root, const char *shown, hd_settings *s, hd_error *err)
{
    static const fixed_field fixed[] = {{"rotary_emb_interleaved", false}, {"last_layer_subset", false}};
    static const char *const absent[] = {"rotary_emb_dim", "rotary_emb_scale_base"};
    const char *positions = "rotary";
    HD_TRY(check_fixed(root, fixed, sizeof fixed / sizeof *fixed, shown, err));
    HD_TRY(
        check_absent(root, absent, sizeof absent / sizeof *absent, "turns whole heads by angles as they are", shown, err));
    HD_TRY(hd__json_get_text(root, "position_embedding_type", shown, &positions, err));
    if (strcmp(positions, "rotary") != 0 && strcmp(positions, "absolute") != 0)
        return hd__fail(err, HD_ERR_UNSUPPORTED,
                        "%s: \"position_embedding_type\" is \"%s\", Heddle runs \"rotary\" and \"absolute\"", shown,
                        positions);
    s->absolute_positions = true; /* the table is of angles, or of positions */
    if (positions[0] == 'r') {
        s->rotary_theta = strcmp(s->model_type, "jina_embeddings_v3") == 0 ? 20000 : 10000;
        HD_TRY(parse_theta(root, "rotary_emb_base", "full_attention", shown, &s->rotary_theta, err));
    }
    s->model_type = "xlm_roberta_flash";
    return HD_OK;
}

static hd_status more_of_gte(const json_t *root, const char *shown, hd_settings *s, hd_error *err)
{
    static const fixed_field fixed[] = {{"logn_attention_scale", false}};
    const json_t *scaling = json_object_get(root, "rope_scaling");
    const char *type = "ntk", *norm = "layer_norm", *positions = "rope";
    HD_TRY(check_fixed(root, fixed, sizeof fixed / sizeof *fixed, shown, err));
    HD_TRY(hd__json_get_text(root, "layer_norm_type", shown, &norm, err));
    HD_TRY(hd__json_get_text(root, "position_embedding_type", shown, &positions, err));
    HD_TRY(hd__json_get_text(scaling, "type", shown, &type, err));
    if (strcmp(norm, "layer_norm") != 0 || strcmp(positions, "rope") != 0 || strcmp(type, "ntk") != 0)
        return hd__fail(err, HD_ERR_UNSUPPORTED,
                        "%s: \"layer_norm_type\" is \"%s\", \"position_embedding_type\" \"%s\", type of \"rope_scaling\" "
                        "\"%s\"; Heddle runs \"layer_norm\", \"rope\", \"ntk\"",
                        shown, norm, positions, type);
    s->absolute_positions = true; /* the table is of angles */
    s->rotary_theta = 10000;
    s->gated = true;
    HD_TRY(hd__json_get_real(scaling, "factor", 1, 1e6, shown, &s->rotary_factor, err));
    return hd__json_get_real(root, "rope_theta", 1, 1e12, shown, &s->rotary_theta, err);
}

static hd_status more_of_mpnet(const json_t *root, const char *shown, hd_settings *s, hd_error *err)
{
    uint32_t n_buckets = 32;
    HD_TRY(get_u32(root, "relative_attention_num_buckets", 1, HD_LIMIT_SEQUENCE, shown, &n_buckets, err));
    if (n_buckets != 32)
        return hd__fail(err, HD_ERR_UNSUPPORTED, "%s: \"relative_attention_num_buckets\" is %u, Heddle runs 32", shown,
                        n_buckets);
    s->pad_id = 1; /* what the class itself counts from */
    return HD_OK;
}

static hd_status more_of_nomic(const json_t *root, const char *shown, hd_settings *s, hd_error *err)
{
    static const fixed_field fixed[] = {{"prenorm", false},      {"qkv_proj_bias", false}, {"mlp_fc1_bias", false},
                                        {"mlp_fc2_bias", false}, {"causal", false},        {"rotary_emb_interleaved", false},
                                        {"use_rms_norm", false}};
    double fraction = 1.0, n_expert_layers = 0.0;
    HD_TRY(check_fixed(root, fixed, sizeof fixed / sizeof *fixed, shown, err));
    HD_TRY(hd__json_get_real(root, "rotary_emb_fraction", 0, 1, shown, &fraction, err));
    HD_TRY(hd__json_get_real(root, "moe_every_n_layers", 0, 1e6, shown, &n_expert_layers, err));
    if (fraction != 1.0 || n_expert_layers != 0.0)
        return hd__fail(err, HD_ERR_UNSUPPORTED, "%s: \"%s\" is %g, which Heddle does not run", shown,
                        fraction != 1.0 ? "rotary_emb_fraction" : "moe_every_n_layers",
                        fraction != 1.0 ? fraction : n_expert_layers);
    s->rotary_theta = 1000;
    s->gated = true;
    return parse_theta(root, "rotary_emb_base", "full_attention", shown, &s->rotary_theta, err);
}

/* "cls" or "mean"; "classifier_activation". */
static hd_status parse_modernbert_classifier(const json_t *root, const char *shown, hd_settings *s, hd_error *err)
{
    const char *pooling = "cls", *activation = "gelu";
    HD_TRY(hd__json_get_text(root, "classifier_pooling", shown, &pooling, err));
    HD_TRY(hd__json_get_text(root, "classifier_activation", shown, &activation, err));
    if (!hd__pooling_parse(pooling, &s->score_pooling))
        return hd__fail(err, HD_ERR_UNSUPPORTED, "%s: \"classifier_pooling\" is \"%s\", which Heddle does not run", shown,
                        pooling);
    if (!hd__activation_parse(activation, &s->score_activation))
        return hd__fail(err, HD_ERR_UNSUPPORTED, "%s: \"classifier_activation\" is \"%s\", which Heddle does not run", shown,
                        activation);
    return HD_OK;
}

/* "layer_types", where a file has it, must be what the settings say. */
static hd_status check_layer_types(const json_t *root, const char *shown, const hd_settings *s, hd_error *err)
{
    const json_t *types = json_object_get(root, "layer_types");
    for (uint32_t i = 0; i < json_array_size(types); i++) {
        const char *type = json_string_value(json_array_get(types, i));
        const char *wanted = i % s->global_every == s->global_first ? "full_attention" : "sliding_attention";
        if (type == NULL || strcmp(type, wanted) != 0)
            return hd__fail(err, HD_ERR_UNSUPPORTED, "%s: \"layer_types\": layer %u is not \"%s\"", shown, i, wanted);
    }
    return HD_OK;
}

static hd_status more_of_modernbert(const json_t *root, const char *shown, hd_settings *s, hd_error *err)
{
    static const fixed_field fixed[] = {{"norm_bias", false},
                                        {"attention_bias", false},
                                        {"mlp_bias", false},
                                        {"classifier_bias", false},
                                        {"decoder_bias", true}};
    uint32_t window = 128;
    HD_TRY(check_fixed(root, fixed, sizeof fixed / sizeof *fixed, shown, err));
    s->rotary_theta = 160000;
    s->rotary_theta_local = 10000;
    s->global_every = 3;
    s->gated = true;
    HD_TRY(get_u32(root, "local_attention", 2, HD_LIMIT_SEQUENCE, shown, &window, err));
    HD_TRY(get_u32(root, "global_attn_every_n_layers", 1, HD_LIMIT_LAYERS, shown, &s->global_every, err));
    s->local_window = window / 2;
    HD_TRY(check_layer_types(root, shown, s, err));
    HD_TRY(parse_theta(root, "global_rope_theta", "full_attention", shown, &s->rotary_theta, err));
    HD_TRY(parse_theta(root, "local_rope_theta", "sliding_attention", shown, &s->rotary_theta_local, err));
    return parse_modernbert_classifier(root, shown, s, err);
}

static hd_status more_of_qwen3(const json_t *root, const char *shown, hd_settings *s, hd_error *err)
{
    static const fixed_field fixed[] = {{"attention_bias", false}, {"use_sliding_window", false}};
    HD_TRY(check_fixed(root, fixed, sizeof fixed / sizeof *fixed, shown, err));
    s->rotary_theta = 10000;
    s->gated = true;
    s->head_dim = 128;
    s->score_pooling = HD_POOLING_LAST;
    HD_TRY(get_u32(root, "head_dim", 2, HD_LIMIT_HEAD_DIM, shown, &s->head_dim, err));
    HD_TRY(get_u32(root, "num_key_value_heads", 1, HD_LIMIT_HIDDEN, shown, &s->n_kv_heads, err));
    return parse_theta(root, "rope_theta", "full_attention", shown, &s->rotary_theta, err);
}

/* The window is of both sides together. */
static hd_status more_of_gemma3(const json_t *root, const char *shown, hd_settings *s, hd_error *err)
{
    static const fixed_field fixed[] = {{"attention_bias", false}};
    static const char *const absent[] = {"attn_logit_softcapping", "final_logit_softcapping"};
    uint32_t window = 4096;
    double scalar = 256.0;
    bool sees_ahead = false;
    HD_TRY(check_fixed(root, fixed, sizeof fixed / sizeof *fixed, shown, err));
    HD_TRY(check_absent(root, absent, sizeof absent / sizeof *absent, "runs models without it", shown, err));
    HD_TRY(hd__json_get_bool(root, "use_bidirectional_attention", shown, &sees_ahead, err));
    if (!sees_ahead)
        return hd__fail(err, HD_ERR_UNSUPPORTED, "%s: \"use_bidirectional_attention\" is not true: Heddle runs encoders",
                        shown);
    s->rotary_theta = 1000000;
    s->rotary_theta_local = 10000;
    s->global_every = 6;
    s->gated = true;
    s->head_dim = 256;
    s->n_kv_heads = 4;
    HD_TRY(get_u32(root, "head_dim", 2, HD_LIMIT_HEAD_DIM, shown, &s->head_dim, err));
    HD_TRY(get_u32(root, "num_key_value_heads", 1, HD_LIMIT_HIDDEN, shown, &s->n_kv_heads, err));
    HD_TRY(hd__json_get_real(root, "query_pre_attn_scalar", 1, 1e6, shown, &scalar, err));
    if (scalar != (double)s->head_dim)
        return hd__fail(err, HD_ERR_UNSUPPORTED, "%s: \"query_pre_attn_scalar\" is %g, Heddle runs head_dim, %u", shown,
                        scalar, s->head_dim);
    HD_TRY(get_u32(root, "sliding_window", 2, HD_LIMIT_SEQUENCE, shown, &window, err));
    HD_TRY(get_u32(root, either(root, "sliding_window_pattern", "_sliding_window_pattern"), 1, HD_LIMIT_LAYERS, shown,
                   &s->global_every, err));
    s->local_window = window / 2;
    s->global_first = s->global_every - 1;
    HD_TRY(check_layer_types(root, shown, s, err));
    HD_TRY(parse_theta(root, "rope_theta", "full_attention", shown, &s->rotary_theta, err));
    return parse_theta(root, "rope_local_base_freq", "sliding_attention", shown, &s->rotary_theta_local, err);
}

/* No transformer at all: what there is of one is as small as can be. */
static hd_status more_of_model2vec(const json_t *root, const char *shown, hd_settings *s, hd_error *err)
{
    s->head_dim = 2;
    s->n_layers = 0;
    s->no_specials = true;
    s->unknown_id = -1;
    return hd__json_get_bool(root, "normalize", shown, &s->normalize, err);
}

/* ---- all families ---- */

/* Heads of queries share the heads of keys and values evenly; without head_dim the hidden states are shared out. */
static hd_status check_heads(const json_t *root, const config_family *f, const char *shown, hd_settings *s, hd_error *err)
{
    if (s->n_kv_heads == 0)
        s->n_kv_heads = s->n_heads;
    if (s->n_heads % s->n_kv_heads != 0)
        return hd__fail(err, HD_ERR_FORMAT, "%s: \"num_attention_heads\" is %u, not a multiple of %u heads of keys", shown,
                        s->n_heads, s->n_kv_heads);
    if (s->head_dim == 0 && s->hidden % s->n_heads != 0)
        return hd__fail(err, HD_ERR_FORMAT, "%s: \"%s\" is %u, not a multiple of %u heads", shown,
                        either(root, f->hidden, "hidden_size"), s->hidden, s->n_heads);
    if (s->head_dim == 0)
        s->head_dim = s->hidden / s->n_heads;
    if (s->head_dim > HD_LIMIT_HEAD_DIM)
        return hd__fail(err, HD_ERR_LIMIT, "%s: heads of %u values, the limit is %u", shown, s->head_dim, HD_LIMIT_HEAD_DIM);
    return HD_OK;
}

/* What holds for the families here and would give wrong vectors when it were passed over. */
static hd_status check_known(const json_t *root, const config_family *f, const char *shown, hd_settings *s, hd_error *err)
{
    bool is_decoder = false;
    if (f->more != NULL)
        HD_TRY(f->more(root, shown, s, err));
    HD_TRY(check_heads(root, f, shown, s, err));
    if (f->has_token_types && !f->may_lack_token_types && s->n_token_types == 0)
        return hd__fail(err, HD_ERR_FORMAT, "%s: \"type_vocab_size\" is 0, allowed are 1 to %u", shown, HD_LIMIT_HIDDEN);
    if (!f->has_token_types)
        s->n_token_types = 0;
    if (!s->absolute_positions)
        return hd__fail(err, HD_ERR_UNSUPPORTED, "%s: \"position_embedding_type\" is \"%s\", Heddle runs \"absolute\"",
                        shown, json_string_value(json_object_get(root, "position_embedding_type")));
    HD_TRY(hd__json_get_bool(root, "is_decoder", shown, &is_decoder, err));
    if (is_decoder)
        return hd__fail(err, HD_ERR_UNSUPPORTED, "%s: \"is_decoder\" is true, Heddle runs encoders", shown);
    if (f->counts_from_pad && s->rotary_theta == 0) {
        s->position_offset = (uint32_t)(s->pad_id + 1);
        if (s->position_offset >= s->n_positions)
            return hd__fail(err, HD_ERR_FORMAT, "%s: \"max_position_embeddings\" is %u, but positions begin at %u", shown,
                            s->n_positions, s->position_offset);
        s->n_positions -= s->position_offset;
    }
    return HD_OK;
}

static bool ends_with(const char *text, const char *suffix)
{
    size_t n = strlen(text), n_suffix = strlen(suffix);
    return n >= n_suffix && strcmp(text + n - n_suffix, suffix) == 0;
}

/* Without modules.json: the mean, or what Jina's models name themselves; for a model made to predict the next token, the
 * last token. */
static hd_status set_default_pooling(const json_t *root, const char *shown, hd_settings *settings, hd_error *err)
{
    bool is_causal = true;
    const char *pooler = "mean";
    HD_TRY(hd__json_get_bool(root, "is_causal", shown, &is_causal, err));
    HD_TRY(hd__json_get_text(root, "emb_pooler", shown, &pooler, err));
    bool predicts = ends_with(settings->architecture, "ForCausalLM");
    settings->pooling = predicts && is_causal ? HD_POOLING_LAST : HD_POOLING_MEAN;
    if (strcmp(pooler, "cls") == 0)
        settings->pooling = HD_POOLING_CLS;
    return HD_OK;
}

/* id2label's names in the order of their ids, else LABEL_0, LABEL_1, …, as many as "num_labels" says, or two. */
static hd_status parse_labels(const hd_settings_reader *reader, const json_t *root, const char *shown, hd_settings *settings)
{
    const json_t *names = json_object_get(root, "id2label");
    uint32_t n = 2;
    HD_TRY(get_u32(root, "num_labels", 1, HD_LIMIT_LABELS, shown, &n, reader->err));
    if (json_object_size(names) > HD_LIMIT_LABELS)
        return hd__fail(reader->err, HD_ERR_LIMIT, "%s: \"id2label\" has %zu labels, the limit is %u", shown,
                        json_object_size(names), HD_LIMIT_LABELS);
    if (json_object_size(names) > 0)
        n = (uint32_t)json_object_size(names);
    const char **labels = hd__arena_calloc(reader->arena, n, sizeof *labels);
    if (labels == NULL)
        return hd__fail(reader->err, HD_ERR_MEMORY, "%s: no memory for %u labels", shown, n);
    for (uint32_t i = 0; i < n; i++) {
        char id[16], plain[32];
        snprintf(id, sizeof id, "%u", i);
        snprintf(plain, sizeof plain, "LABEL_%u", i);
        const char *name = names != NULL ? NULL : plain;
        HD_TRY(hd__json_get_text(names, id, shown, &name, reader->err));
        if (name == NULL)
            return hd__fail(reader->err, HD_ERR_FORMAT, "%s: \"id2label\" has %u labels, but none of id %u", shown, n, i);
        HD_TRY(hd__settings_keep(reader, name, &labels[i]));
    }
    const char *problem = "";
    HD_TRY(hd__json_get_text(root, "problem_type", shown, &problem, reader->err));
    settings->labels_are_independent = problem != NULL && strcmp(problem, "multi_label_classification") == 0;
    settings->n_labels = n;
    settings->labels = labels;
    return HD_OK;
}

/* A Qwen3 that predicts tokens and comes without modules.json may be a Qwen3-Reranker: its text is what tells. */
static void judge(hd_settings *settings)
{
    static const char *const labels[] = {"yes"};
    settings->heads |= HD_HEAD_SCORES;
    settings->judges = true;
    settings->answers[0] = settings->answers[1] = -1;
    settings->n_labels = 1;
    settings->labels = labels;
}

/* The head that a class of transformers has, by its name; modules.json may say otherwise later. */
static hd_status parse_heads(const hd_settings_reader *reader, const json_t *root, const char *shown, hd_settings *settings)
{
    settings->heads = HD_HEAD_DENSE;
    if (strcmp(settings->architecture, "Qwen3ForCausalLM") == 0)
        judge(settings);
    if (!ends_with(settings->architecture, "ForSequenceClassification"))
        return HD_OK;
    settings->heads = HD_HEAD_SCORES;
    if (settings->score_pooling == 0)
        settings->score_pooling = HD_POOLING_CLS;
    return parse_labels(reader, root, shown, settings);
}

/* The class of the code that comes with a model: the last part of "jinaai/xlm-roberta-…--configuration_….XLMRoberta…". */
static const char *class_of_code(const json_t *root)
{
    const char *name = json_string_value(json_object_get(json_object_get(root, "auto_map"), "AutoConfig"));
    const char *dot = name != NULL ? strrchr(name, '.') : NULL;
    return dot != NULL ? dot + 1 : "";
}

/* What the model is called in the table: its model_type, but where Jina's code goes by another's, or by none. */
static hd_status find_model_type(const json_t *root, const char *shown, const char **model_type, hd_error *err)
{
    const char *class = class_of_code(root), *positions = "", *name = NULL;
    HD_TRY(hd__json_get_text(root, "model_type", shown, &name, err));
    HD_TRY(hd__json_get_text(root, "position_embedding_type", shown, &positions, err));
    const bool is_xlm_roberta = name != NULL && strcmp(name, "xlm-roberta") == 0;
    if (strcmp(class, "XLMRobertaFlashConfig") == 0 || (is_xlm_roberta && strcmp(positions, "rotary") == 0))
        name = "xlm_roberta_flash";
    else if (name == NULL && strcmp(class, "JinaBertConfig") == 0)
        name = "bert";
    *model_type = name;
    return name != NULL ? HD_OK : hd__fail(err, HD_ERR_FORMAT, "%s: no \"model_type\"", shown);
}

hd_status hd__transformer_config(const hd_settings_reader *reader, const char *path, const json_t *root, const char *shown,
                                 hd_settings *settings)
{
    static const config_family stranger = {.defaults = {.norm_eps = 1e-12}};
    hd_error *err = reader->err;
    const char *model_type, *positions = "absolute";
    const config_family *family = &stranger;
    HD_TRY(find_model_type(root, shown, &model_type, err));
    for (size_t i = 0; i < sizeof families / sizeof *families; i++) {
        if (strcmp(families[i].model_type, model_type) == 0)
            family = &families[i];
    }
    set_defaults(family, settings);
    HD_TRY(hd__settings_keep(reader, model_type, &settings->model_type));
    const char *architecture = json_string_value(json_array_get(json_object_get(root, "architectures"), 0));
    if (architecture != NULL)
        HD_TRY(hd__settings_keep(reader, architecture, &settings->architecture));
    HD_TRY(parse_sizes(root, family, shown, settings, err));
    HD_TRY(parse_activation(root, family, shown, settings, err));
    HD_TRY(hd__json_get_text(root, "position_embedding_type", shown, &positions, err));
    settings->absolute_positions = strcmp(positions, "absolute") == 0;
    if (json_is_object(json_object_get(root, "quantization_config")))
        return hd__fail(err, HD_ERR_UNSUPPORTED, "%s: \"quantization_config\": Heddle reads weights that are not quantised",
                        shown);
    if (family != &stranger)
        HD_TRY(check_known(root, family, shown, settings, err));
    if (family->may_have_tasks)
        HD_TRY(hd__task_config(reader, path, root, shown, settings));
    HD_TRY(parse_heads(reader, root, shown, settings));
    return set_default_pooling(root, shown, settings, err);
}
