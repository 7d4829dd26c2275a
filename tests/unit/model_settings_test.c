/* Settings of model folders in the Hub's layout: what real models say, what holds when they say nothing, and
 * what is refused. Folders here are lists of texts in memory. */
#include "model/settings.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/buffer.h"
#include "model/peft.h"
#include "unit/scratch.h"

#define BERT "\"model_type\":\"bert\""
#define GEMMA "\"model_type\":\"gemma3_text\",\"use_bidirectional_attention\":true"
#define SMALL                                                                                                               \
    "\"hidden_size\":64,\"num_attention_heads\":4,\"num_hidden_layers\":2,\"intermediate_size\":256,\"vocab_size\":100"
#define POOLED                                                                                                              \
    "[{\"idx\":0,\"name\":\"0\",\"path\":\"\",\"type\":\"sentence_transformers.models.Transformer\"},"                      \
    "{\"idx\":1,\"name\":\"1\",\"path\":\"1_Pooling\",\"type\":\"sentence_transformers.models.Pooling\"}"
#define MODULE(path, type) ",{\"path\":\"" path "\",\"type\":\"sentence_transformers.models." type "\"}"

#define FLASH                                                                                                               \
    "\"auto_map\":{\"AutoConfig\":\"jinaai/xlm-roberta-flash-implementation--configuration_xlm_roberta."                    \
    "XLMRobertaFlashConfig\"}"
#define TASKS "{" FLASH ",\"load_trained_adapters\":true,\"lora_adaptations\":"
#define TASKS_8 "\"\",\"\",\"\",\"\",\"\",\"\",\"\",\"\""
#define TASKS_64 TASKS_8 "," TASKS_8 "," TASKS_8 "," TASKS_8 "," TASKS_8 "," TASKS_8 "," TASKS_8 "," TASKS_8
#define MANY_TASKS "[" TASKS_64 "," TASKS_64 "," TASKS_64 "," TASKS_64 ",\"\"]"

#define STATIC "[{\"path\":\"\",\"type\":\"sentence_transformers.models.StaticEmbedding\"}]"
#define ADAPTED "{\"model_type\":\"jina_embeddings_v3\"," SMALL
#define LORA(more) "{\"peft_type\":\"LORA\",\"r\":4,\"lora_alpha\":1" more "}"

typedef struct file {
    const char *path, *text;
} file;

typedef struct folder {
    file files[8]; /* ends at a NULL path */
} folder;

static size_t n_parsed[8]; /* of a folder's files, how often */

static hd_status read_file(void *data, const char *path, json_t **root, hd_error *err)
{
    const folder *f = data;
    for (size_t i = 0; i < 8 && f->files[i].path != NULL; i++) {
        n_parsed[i] += strcmp(f->files[i].path, path) == 0;
        if (strcmp(f->files[i].path, path) == 0)
            return hd__json_parse(hd__span_of(f->files[i].text), path, root, err);
    }
    return hd__fail(err, HD_ERR_NOT_FOUND, "%s: no such file", path);
}

static hd_arena arena;
static hd_error err;

static hd_status read_folder(const folder *f, hd_settings *settings)
{
    hd_settings_source source = {.read = read_file, .data = (void *)(uintptr_t)f};
    memset(settings, 0, sizeof *settings);
    memset(&err, 0, sizeof err);
    memset(n_parsed, 0, sizeof n_parsed);
    return hd__settings_read_from(&source, "dir", &arena, settings, &err);
}

/* Each file is read once at most. */
static hd_settings good(folder f)
{
    hd_settings settings;
    if (read_folder(&f, &settings) != HD_OK)
        fail_msg("%s", err.text);
    for (size_t i = 0; i < 8; i++)
        if (n_parsed[i] > 1)
            fail_msg("%s was read %zu times", f.files[i].path, n_parsed[i]);
    return settings;
}

static int begin(void **state)
{
    (void)state;
    hd__arena_init(&arena);
    return 0;
}

static int end(void **state)
{
    (void)state;
    hd__arena_clear(&arena);
    return 0;
}

/* The files of sentence-transformers/all-MiniLM-L6-v2. */
static void reads_minilm(void **state)
{
    (void)state;
    hd_settings s = good((folder){{
        {"config.json",
         "{\"architectures\":[\"BertModel\"],\"hidden_act\":\"gelu\",\"hidden_size\":384,\"intermediate_size\":1536,"
         "\"layer_norm_eps\":1e-12,\"max_position_embeddings\":512," BERT ",\"num_attention_heads\":12,"
         "\"num_hidden_layers\":6,\"pad_token_id\":0,\"position_embedding_type\":\"absolute\","
         "\"type_vocab_size\":2,\"vocab_size\":30522}"},
        {"modules.json", POOLED MODULE("2_Normalize", "Normalize") "]"},
        {"1_Pooling/config.json", "{\"word_embedding_dimension\":384,\"pooling_mode_cls_token\":false,"
                                  "\"pooling_mode_mean_tokens\":true,\"pooling_mode_max_tokens\":false}"},
        {"sentence_bert_config.json", "{\"max_seq_length\":256,\"do_lower_case\":false}"},
        {"config_sentence_transformers.json", "{\"__version__\":{\"sentence_transformers\":\"2.0.0\"}}"},
        {"tokenizer_config.json", "{\"do_lower_case\":true,\"model_max_length\":512}"},
    }});
    assert_string_equal(s.dir, "dir");
    assert_string_equal(s.model_type, "bert");
    assert_string_equal(s.architecture, "BertModel");
    assert_int_equal(s.n_layers, 6);
    assert_int_equal(s.hidden, 384);
    assert_int_equal(s.n_heads, 12);
    assert_int_equal(s.intermediate, 1536);
    assert_int_equal(s.vocab_size, 30522);
    assert_int_equal(s.n_positions, 512);
    assert_int_equal(s.n_token_types, 2);
    assert_true(s.norm_eps == 1e-12);
    assert_int_equal(s.activation, HD_ACTIVATION_GELU);
    assert_true(s.absolute_positions);
    assert_int_equal(s.pad_id, 0);
    assert_int_equal(s.pooling, HD_POOLING_MEAN);
    assert_true(s.include_prompt && s.normalize && !s.lower_case);
    assert_int_equal(s.n_dense, 0);
    assert_int_equal(s.max_length, 256);
    assert_int_equal(s.n_prompts, 0);
    assert_string_equal(s.default_prompt_name, "");
    assert_string_equal(s.similarity, "cosine");
    assert_int_equal(s.truncate_dim, 0);
}

/* e5: prompts, and a tokenizer that says "no limit" with an integer that no machine type holds. */
static void reads_prompts_and_huge_lengths(void **state)
{
    (void)state;
    folder f = {{
        {"config.json", "{" BERT "," SMALL ",\"max_position_embeddings\":300}"},
        {"modules.json", POOLED "]"},
        {"1_Pooling/config.json", "{\"pooling_mode_mean_tokens\":true,\"include_prompt\":false}"},
        {"tokenizer_config.json", "{\"model_max_length\":1000000000000000019884624838656}"},
        {"config_sentence_transformers.json",
         "{\"prompts\":{\"query\":\"query: \",\"passage\":\"passage: \",\"none\":null},\"default_prompt_name\":\"passage\","
         "\"similarity_fn_name\":\"dot\",\"truncate_dim\":32}"},
    }};
    hd_settings s = good(f);
    assert_int_equal(s.max_length, 300);
    assert_false(s.include_prompt);
    assert_false(s.normalize);
    assert_int_equal(s.n_prompts, 3);
    assert_string_equal(s.prompts[0].name, "query");
    assert_string_equal(s.prompts[0].text, "query: ");
    assert_string_equal(s.prompts[2].text, "");
    assert_string_equal(s.default_prompt_name, "passage");
    assert_string_equal(s.similarity, "dot");
    assert_int_equal(s.truncate_dim, 32);
    f.files[4].text = "{\"default_prompt_name\":\"document\",\"similarity_fn_name\":\"maxsim\"}";
    s = good(f);
    assert_string_equal(s.default_prompt_name, "");
    assert_string_equal(s.similarity, "cosine");
    f.files[4].text = "{\"prompts\":null,\"default_prompt_name\":null,\"similarity_fn_name\":null}";
    assert_int_equal(good(f).n_prompts, 0);
}

/* What sentence-transformers 6 writes. */
static void reads_the_modern_layout(void **state)
{
    (void)state;
    folder f = {{
        {"config.json", "{" BERT "," SMALL ",\"pad_token_id\":null}"},
        {"modules.json",
         "[{\"path\":\"\",\"type\":\"sentence_transformers.base.modules.transformer.Transformer\"},"
         "{\"path\":\"1_Pooling\",\"type\":\"sentence_transformers.sentence_transformer.modules.pooling.Pooling\"},"
         "{\"path\":\"2_Dense\",\"type\":\"sentence_transformers.base.modules.dense.Dense\"},"
         "{\"path\":\"3_Dropout\",\"type\":\"sentence_transformers.models.Dropout\"},"
         "{\"path\":\"4_Normalize\",\"type\":\"sentence_transformers.base.modules.normalize.Normalize\"}]"},
        {"1_Pooling/config.json", "{\"embedding_dimension\":64,\"pooling_mode\":[\"mean\",\"lasttoken\"]}"},
        {"2_Dense/config.json", "{\"in_features\":128,\"out_features\":48,\"bias\":false,\"activation_function\":"
                                "\"torch.nn.modules.linear.Identity\",\"module_input_name\":\"sentence_embedding\"}"},
        {"4_Normalize/config.json", "{\"module_input_name\":\"sentence_embedding\",\"module_output_name\":null}"},
        {"sentence_bert_config.json",
         "{\"transformer_task\":\"feature-extraction\",\"module_output_name\":\"token_embeddings\","
         "\"modality_config\":{\"text\":{\"method\":\"forward\",\"method_output_name\":"
         "\"last_hidden_state\"}},\"processor_kwargs\":{\"model_max_length\":99}}"},
        {"tokenizer_config.json", "{\"model_max_length\":72}"},
    }};
    hd_settings s = good(f);
    assert_int_equal(s.pooling, HD_POOLING_MEAN | HD_POOLING_LAST);
    assert_int_equal(s.n_dense, 1);
    assert_string_equal(s.dense[0].dir, "dir/2_Dense");
    assert_int_equal(s.dense[0].n_in, 128);
    assert_int_equal(s.dense[0].n_out, 48);
    assert_false(s.dense[0].has_bias);
    assert_int_equal(s.dense[0].activation, HD_ACTIVATION_IDENTITY);
    assert_true(s.normalize);
    assert_int_equal(s.max_length, 99);
    assert_int_equal(s.pad_id, -1);
    f.files[5].text = "{}";
    assert_int_equal(good(f).max_length, 72);
}

/* The layout of 2019: the transformer in a folder of its own. */
static void reads_a_transformer_in_a_subfolder(void **state)
{
    (void)state;
    hd_settings s = good((folder){{
        {"modules.json", "[{\"path\":\"0_Transformer\",\"type\":\"sentence_transformers.models.Transformer\"}" MODULE(
                             "1_Pooling", "Pooling") MODULE("2_Dense", "Dense") "]"},
        {"0_Transformer/config.json", "{" BERT "," SMALL "}"},
        {"0_Transformer/sentence_distilbert_config.json", "{\"max_seq_length\":128,\"do_lower_case\":true}"},
        {"1_Pooling/config.json", "{}"},
        {"2_Dense/config.json", "{\"in_features\":64,\"out_features\":512}"},
    }});
    assert_string_equal(s.dir, "dir/0_Transformer");
    assert_int_equal(s.max_length, 128);
    assert_true(s.lower_case);
    assert_int_equal(s.pooling, HD_POOLING_MEAN);
    assert_string_equal(s.dense[0].dir, "dir/2_Dense");
    assert_true(s.dense[0].has_bias);
    assert_int_equal(s.dense[0].activation, HD_ACTIVATION_TANH);
}

static void a_plain_transformer_is_pooled_by_the_mean(void **state)
{
    (void)state;
    folder f = {{
        {"config.json", "{" BERT "}"},
        {"sentence_bert_config.json", "{\"max_seq_length\":7}"},
        {"config_sentence_transformers.json", "{\"prompts\":{\"query\":\"q\"}}"},
    }};
    hd_settings s = good(f);
    assert_int_equal(s.pooling, HD_POOLING_MEAN);
    assert_false(s.normalize);
    assert_int_equal(s.max_length, 512);
    assert_int_equal(s.n_prompts, 0);
    assert_int_equal(s.hidden, 768); /* BertConfig's defaults */
    assert_int_equal(s.n_layers, 12);
    assert_int_equal(s.vocab_size, 30522);
    assert_string_equal(s.architecture, "");
    f.files[0].text = "{\"model_type\":\"llama\",\"architectures\":[\"LlamaForCausalLM\"]}";
    s = good(f);
    assert_int_equal(s.pooling, HD_POOLING_LAST);
    assert_int_equal(s.hidden, 0);
    assert_int_equal(s.max_length, HD_LIMIT_SEQUENCE);
    f.files[0].text = "{\"model_type\":\"llama\",\"architectures\":[\"LlamaForCausalLM\"],\"is_causal\":false}";
    assert_int_equal(good(f).pooling, HD_POOLING_MEAN);
}

static void knows_activations(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        hd_activation activation;
    } known[] = {{"gelu", HD_ACTIVATION_GELU},
                 {"gelu_new", HD_ACTIVATION_GELU_TANH},
                 {"gelu_pytorch_tanh", HD_ACTIVATION_GELU_TANH},
                 {"relu", HD_ACTIVATION_RELU},
                 {"silu", HD_ACTIVATION_SILU},
                 {"swish", HD_ACTIVATION_SILU},
                 {"tanh", HD_ACTIVATION_TANH},
                 {"linear", HD_ACTIVATION_IDENTITY},
                 {"gelu_python", HD_ACTIVATION_GELU},
                 {"gelu_fast", HD_ACTIVATION_GELU_TANH}};
    char text[256];
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        snprintf(text, sizeof text, "{" BERT ",\"hidden_act\":\"%s\"}", known[i].name);
        assert_int_equal(good((folder){{{"config.json", text}}}).activation, known[i].activation);
    }
}

static void knows_poolings(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint32_t pooling;
        const char *name;
    } cases[] = {
        {"{\"pooling_mode_cls_token\":true}", HD_POOLING_CLS, "cls"},
        {"{\"pooling_mode_max_tokens\":true,\"pooling_mode_cls_token\":true}", HD_POOLING_CLS | HD_POOLING_MAX, "cls+max"},
        {"{\"pooling_mode_mean_sqrt_len_tokens\":true}", HD_POOLING_MEAN_SQRT, "mean_sqrt_len"},
        {"{\"pooling_mode_weightedmean_tokens\":true}", HD_POOLING_WEIGHTED_MEAN, "weighted_mean"},
        {"{\"pooling_mode_lasttoken\":true}", HD_POOLING_LAST, "last"},
        {"{\"pooling_mode_mean_tokens\":false}", HD_POOLING_MEAN, "mean"},
        {"{\"pooling_mode\":\"cls\",\"pooling_mode_mean_tokens\":true}", HD_POOLING_CLS, "cls"},
        {"{\"pooling_mode\":[\"cls\",\"max\",\"mean\",\"mean_sqrt_len_tokens\",\"weightedmean\",\"lasttoken\"]}", 63,
         "cls+max+mean+mean_sqrt_len+weighted_mean+last"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        hd_settings s = good((folder){
            {{"config.json", "{" BERT "}"}, {"modules.json", POOLED "]"}, {"1_Pooling/config.json", cases[i].text}}});
        assert_int_equal(s.pooling, cases[i].pooling);
        assert_string_equal(hd__pooling_name(s.pooling, &arena), cases[i].name);
    }
}

#define ADAPTER(text)                                                                                                       \
    {                                                                                                                       \
        {                                                                                                                   \
            {"config.json", ADAPTED "}"},                                                                                   \
            {                                                                                                               \
                "separation/adapter_config.json", text                                                                      \
            }                                                                                                               \
        }                                                                                                                   \
    }
#define CONFIG(text)                                                                                                        \
    {                                                                                                                       \
        {                                                                                                                   \
            {                                                                                                               \
                "config.json", text                                                                                         \
            }                                                                                                               \
        }                                                                                                                   \
    }
#define MODULES(text)                                                                                                       \
    {                                                                                                                       \
        {                                                                                                                   \
            {"config.json", "{" BERT "," SMALL "}"}, {"modules.json", text}, {"1_Pooling/config.json", "{}"},               \
            {                                                                                                               \
                "2_Dense/config.json", "{\"in_features\":64,\"out_features\":8}"                                            \
            }                                                                                                               \
        }                                                                                                                   \
    }
#define POOLING(text)                                                                                                       \
    {                                                                                                                       \
        {                                                                                                                   \
            {"config.json", "{" BERT "," SMALL "}"}, {"modules.json", POOLED "]"},                                          \
            {                                                                                                               \
                "1_Pooling/config.json", text                                                                               \
            }                                                                                                               \
        }                                                                                                                   \
    }
#define DENSE(text)                                                                                                         \
    {                                                                                                                       \
        {                                                                                                                   \
            {"config.json", "{" BERT "," SMALL "}"}, {"modules.json", POOLED MODULE("2_Dense", "Dense") "]"},               \
                {"1_Pooling/config.json", "{}"},                                                                            \
            {                                                                                                               \
                "2_Dense/config.json", text                                                                                 \
            }                                                                                                               \
        }                                                                                                                   \
    }
#define OTHER(name, text)                                                                                                   \
    {                                                                                                                       \
        {                                                                                                                   \
            {"config.json", "{" BERT "," SMALL "}"}, {"modules.json", POOLED MODULE("2_Normalize", "Normalize") "]"},       \
                {"1_Pooling/config.json", "{}"},                                                                            \
            {                                                                                                               \
                name, text                                                                                                  \
            }                                                                                                               \
        }                                                                                                                   \
    }

static const struct {
    folder files;
    hd_status status;
    const char *text[2]; /* parts of the message: the file, the field or value */
} bad_folders[] = {
    {{{{"tokenizer.json", "{}"}}}, HD_ERR_NOT_FOUND, {"config.json", "no such file"}},
    {CONFIG("{\"model_type\":"), HD_ERR_FORMAT, {"config.json", "line 1"}},
    {CONFIG("[1]"), HD_ERR_FORMAT, {"dir/config.json", "not an object"}},
    {CONFIG("{}"), HD_ERR_FORMAT, {"dir/config.json", "model_type"}},
    {CONFIG("{\"model_type\":7}"), HD_ERR_FORMAT, {"dir/config.json", "model_type"}},
    {CONFIG("{" BERT ",\"hidden_size\":0}"), HD_ERR_FORMAT, {"hidden_size", "1 to 65536"}},
    {CONFIG("{" BERT ",\"hidden_size\":-64}"), HD_ERR_FORMAT, {"hidden_size", "-64"}},
    {CONFIG("{" BERT ",\"hidden_size\":65537}"), HD_ERR_FORMAT, {"hidden_size", "65537"}},
    {CONFIG("{" BERT ",\"hidden_size\":\"64\"}"), HD_ERR_FORMAT, {"hidden_size", "not an integer"}},
    {CONFIG("{" BERT ",\"hidden_size\":64.5}"), HD_ERR_FORMAT, {"hidden_size", "not an integer"}},
    {CONFIG("{" BERT ",\"hidden_size\":99999999999999999999}"), HD_ERR_FORMAT, {"hidden_size", "1e+20"}},
    {CONFIG("{" BERT ",\"num_hidden_layers\":513}"), HD_ERR_FORMAT, {"num_hidden_layers", "512"}},
    {CONFIG("{" BERT ",\"num_attention_heads\":0}"), HD_ERR_FORMAT, {"num_attention_heads", "0"}},
    {CONFIG("{" BERT ",\"num_attention_heads\":7}"), HD_ERR_FORMAT, {"hidden_size", "7 heads"}},
    {CONFIG("{" BERT ",\"num_attention_heads\":2}"), HD_ERR_LIMIT, {"384", "256"}},
    {CONFIG("{" BERT ",\"vocab_size\":2000001}"), HD_ERR_FORMAT, {"vocab_size", "2000000"}},
    {CONFIG("{" BERT ",\"max_position_embeddings\":131073}"), HD_ERR_FORMAT, {"max_position_embeddings", "131072"}},
    {CONFIG("{" BERT ",\"type_vocab_size\":0}"), HD_ERR_FORMAT, {"type_vocab_size", "0"}},
    {CONFIG("{" BERT ",\"layer_norm_eps\":0}"), HD_ERR_FORMAT, {"layer_norm_eps", "0"}},
    {CONFIG("{" BERT ",\"layer_norm_eps\":-1e-12}"), HD_ERR_FORMAT, {"layer_norm_eps", "-1e-12"}},
    {CONFIG("{" BERT ",\"pad_token_id\":-2}"), HD_ERR_FORMAT, {"pad_token_id", "-2"}},
    {CONFIG("{" BERT ",\"hidden_act\":\"quick_gelu\"}"), HD_ERR_UNSUPPORTED, {"hidden_act", "quick_gelu"}},
    {CONFIG("{\"model_type\":\"roberta\",\"pad_token_id\":600}"), HD_ERR_FORMAT, {"max_position_embeddings", "601"}},
    {CONFIG("{\"model_type\":\"mpnet\",\"relative_attention_num_buckets\":64}"), HD_ERR_UNSUPPORTED, {"buckets", "64"}},
    {CONFIG("{\"model_type\":\"nomic_bert\",\"prenorm\":true}"), HD_ERR_UNSUPPORTED, {"prenorm", "true"}},
    {CONFIG("{\"model_type\":\"nomic_bert\",\"moe_every_n_layers\":2}"), HD_ERR_UNSUPPORTED, {"moe_every_n_layers", "2"}},
    {CONFIG("{\"model_type\":\"modernbert\",\"norm_bias\":true}"), HD_ERR_UNSUPPORTED, {"norm_bias", "true"}},
    {CONFIG("{\"model_type\":\"modernbert\",\"layer_types\":[\"sliding_attention\"]}"),
     HD_ERR_UNSUPPORTED,
     {"layer_types", "layer 0"}},
    {CONFIG("{\"model_type\":\"gemma3_text\"}"), HD_ERR_UNSUPPORTED, {"use_bidirectional_attention", "not true"}},
    {CONFIG("{" GEMMA ",\"query_pre_attn_scalar\":128}"), HD_ERR_UNSUPPORTED, {"query_pre_attn_scalar", "128"}},
    {CONFIG("{" GEMMA ",\"attn_logit_softcapping\":50.0}"), HD_ERR_UNSUPPORTED, {"attn_logit_softcapping", "without"}},
    {CONFIG("{" GEMMA ",\"layer_types\":[\"full_attention\"]}"), HD_ERR_UNSUPPORTED, {"layer_types", "layer 0"}},
    {CONFIG("{\"model_type\":\"qwen3\",\"rope_scaling\":{\"type\":\"yarn\"}}"),
     HD_ERR_UNSUPPORTED,
     {"rope_scaling", "rotary"}},
    {CONFIG("{\"model_type\":\"new\",\"rope_scaling\":{\"type\":\"yarn\"}}"), HD_ERR_UNSUPPORTED, {"rope_scaling", "yarn"}},
    {CONFIG("{\"model_type\":\"new\",\"layer_norm_type\":\"rms_norm\"}"),
     HD_ERR_UNSUPPORTED,
     {"layer_norm_type", "rms_norm"}},
    {CONFIG("{" FLASH ",\"position_embedding_type\":\"alibi\"}"), HD_ERR_UNSUPPORTED, {"position_embedding_type", "alibi"}},
    {CONFIG("{" FLASH ",\"rotary_emb_interleaved\":true}"), HD_ERR_UNSUPPORTED, {"rotary_emb_interleaved", "true"}},
    {CONFIG("{" FLASH ",\"rotary_emb_scale_base\":512}"), HD_ERR_UNSUPPORTED, {"rotary_emb_scale_base", "whole heads"}},
    {CONFIG(TASKS "[\"a\",7]}"), HD_ERR_FORMAT, {"lora_adaptations", "entry 1"}},
    {CONFIG(TASKS "[\"a\"],\"task_instructions\":{\"a\":7}}"), HD_ERR_FORMAT, {"config.json", "not a string"}},
    {CONFIG(TASKS "[\"a\"],\"lora_rank\":0}"), HD_ERR_FORMAT, {"lora_rank", "1 to 1024"}},
    {CONFIG(TASKS "[\"a\"],\"lora_rank\":1025}"), HD_ERR_FORMAT, {"lora_rank", "1025"}},
    {CONFIG(TASKS MANY_TASKS ",\"lora_rank\":1}"), HD_ERR_LIMIT, {"257 tasks", "256"}},
    {CONFIG(TASKS "[" TASKS_64 ",\"\"],\"lora_rank\":1024}"), HD_ERR_LIMIT, {"65 tasks of rank 1024", "65536"}},
    {{{{"config.json", "{" BERT "," SMALL "}"}, {"adapter_config.json", LORA(",\"use_dora\":true")}}},
     HD_ERR_UNSUPPORTED,
     {"dir/adapter_config.json", "use_dora"}},
    {{{{"config.json", "{" BERT "," SMALL "}"}, {"adapter_config.json", LORA(",\"trainable_token_indices\":[7]")}}},
     HD_ERR_UNSUPPORTED,
     {"dir/adapter_config.json", "trainable_token_indices"}},
    {{{{"config.json", "{" BERT "," SMALL "}"}, {"adapter_config.json", LORA(",\"alpha_pattern\":[1]")}}},
     HD_ERR_FORMAT,
     {"alpha_pattern", "not an object"}},
    {{{{"config.json", "{" BERT "," SMALL "}"}, {"adapter_config.json", LORA(",\"alpha_pattern\":{\"q\":\"x\"}")}}},
     HD_ERR_FORMAT,
     {"dir/adapter_config.json", "\"q\""}},
    {{{{"adapter_config.json", LORA(",\"base_model_name_or_path\":\"intfloat/e5-base\"")}}},
     HD_ERR_UNSUPPORTED,
     {"dir/adapter_config.json", "without config.json"}},
    {{{{"config.json", ADAPTED "}"}, {"separation/adapter_config.json", LORA("")}, {"adapter_config.json", LORA("")}}},
     HD_ERR_UNSUPPORTED,
     {"dir", "one for each of its tasks"}},
    {ADAPTER("{}"), HD_ERR_UNSUPPORTED, {"separation/adapter_config.json", "peft_type"}},
    {ADAPTER("{\"peft_type\":\"IA3\"}"), HD_ERR_UNSUPPORTED, {"peft_type", "IA3"}},
    {ADAPTER(LORA(",\"bias\":\"lora_only\"")), HD_ERR_UNSUPPORTED, {"bias", "lora_only"}},
    {ADAPTER(LORA(",\"use_dora\":true")), HD_ERR_UNSUPPORTED, {"use_dora", "does not run"}},
    {ADAPTER(LORA(",\"modules_to_save\":[\"classifier\"]")), HD_ERR_UNSUPPORTED, {"modules_to_save", "does not run"}},
    {ADAPTER(LORA(",\"rank_pattern\":{\"fc1\":8}")), HD_ERR_UNSUPPORTED, {"rank_pattern", "does not run"}},
    {ADAPTER(LORA(",\"alpha_pattern\":{\"fc1\":8}")), HD_ERR_UNSUPPORTED, {"alpha_pattern", "does not run"}},
    {ADAPTER(LORA(",\"init_lora_weights\":\"pissa_niter_4\"")), HD_ERR_UNSUPPORTED, {"init_lora_weights", "pissa_niter_4"}},
    {ADAPTER("{\"peft_type\":\"LORA\",\"r\":0}"), HD_ERR_FORMAT, {"\"r\"", "1 to 1024"}},
    {ADAPTER("{\"peft_type\":\"LORA\",\"r\":1025}"), HD_ERR_FORMAT, {"\"r\"", "1025"}},
    {{{{"config.json", ADAPTED "}"},
       {"separation/adapter_config.json", LORA("")},
       {"text_matching/adapter_config.json", "{\"peft_type\":\"LORA\",\"r\":8,\"lora_alpha\":2}"}}},
     HD_ERR_UNSUPPORTED,
     {"text_matching", "rank 8 and scale 0.25 beside one of rank 4"}},
    {CONFIG("{" BERT ",\"position_embedding_type\":\"alibi\",\"feed_forward_type\":\"original\"}"),
     HD_ERR_UNSUPPORTED,
     {"feed_forward_type", "original"}},
    {CONFIG("{\"model_type\":\"qwen3\",\"num_key_value_heads\":5}"), HD_ERR_FORMAT, {"5 heads of keys", "32"}},
    {CONFIG("{" BERT ",\"architectures\":[\"BertForSequenceClassification\"],\"id2label\":{\"1\":\"a\",\"2\":\"b\"}}"),
     HD_ERR_FORMAT,
     {"id2label", "id 0"}},
    {CONFIG("{" BERT ",\"position_embedding_type\":\"alibi\"}"), HD_ERR_UNSUPPORTED, {"position_embedding_type", "alibi"}},
    {CONFIG("{" BERT ",\"is_decoder\":true}"), HD_ERR_UNSUPPORTED, {"is_decoder", "encoders"}},
    {CONFIG("{" BERT ",\"quantization_config\":{\"bits\":4}}"),
     HD_ERR_UNSUPPORTED,
     {"quantization_config", "dir/config.json"}},
    {MODULES("{}"), HD_ERR_FORMAT, {"modules.json", "not a list"}},
    {MODULES("[]"), HD_ERR_FORMAT, {"modules.json", "not a list"}},
    {MODULES("[7]"), HD_ERR_FORMAT, {"modules.json", "entry 0"}},
    {MODULES("[{\"path\":\"\"}]"), HD_ERR_FORMAT, {"modules.json", "no \"type\""}},
    {MODULES("[{\"type\":\"sentence_transformers.models.Transformer\"}]"), HD_ERR_FORMAT, {"modules.json", "no \"path\""}},
    {MODULES("[{\"path\":\"../x\",\"type\":\"sentence_transformers.models.Transformer\"}]"),
     HD_ERR_FORMAT,
     {"entry 0", "../x"}},
    {MODULES("[{\"path\":\"\",\"type\":\"pylate.models.Dense\"}]"), HD_ERR_UNSUPPORTED, {"entry 0", "pylate.models.Dense"}},
    {MODULES("[{\"path\":\"\",\"type\":\"Transformer\"}]"), HD_ERR_UNSUPPORTED, {"entry 0", "Transformer"}},
    {MODULES("[{\"path\":\"\",\"type\":\"sentence_transformers.models.WordEmbeddings\"}]"),
     HD_ERR_UNSUPPORTED,
     {"entry 0", "WordEmbeddings"}},
    {{{{"modules.json", STATIC}, {"tokenizer.json", "{\"truncation\":{\"max_length\":0}}"}}},
     HD_ERR_FORMAT,
     {"tokenizer.json", "\"max_length\""}},
    {MODULES("[{\"path\":\"\",\"type\":\"sentence_transformers.models.StaticEmbedding\"}]"),
     HD_ERR_UNSUPPORTED,
     {"modules.json", "StaticEmbedding alone"}},
    {MODULES(POOLED MODULE("2", "LayerNorm") "]"), HD_ERR_UNSUPPORTED, {"entry 2", "LayerNorm"}},
    {MODULES(POOLED MODULE("2", "WeightedLayerPooling") "]"), HD_ERR_UNSUPPORTED, {"entry 2", "WeightedLayerPooling"}},
    {MODULES(POOLED MODULE("2", "CNN") "]"), HD_ERR_UNSUPPORTED, {"entry 2", "CNN"}},
    {MODULES(POOLED MODULE("2", "LSTM") "]"), HD_ERR_UNSUPPORTED, {"entry 2", "LSTM"}},
    {MODULES(POOLED MODULE("", "Transformer") "]"), HD_ERR_UNSUPPORTED, {"entry 2", "comes first"}},
    {MODULES(POOLED MODULE("1_Pooling", "Pooling") "]"), HD_ERR_UNSUPPORTED, {"entry 2", "in this order"}},
    {MODULES(POOLED MODULE("2", "Normalize") MODULE("2_Dense", "Dense") "]"), HD_ERR_UNSUPPORTED, {"entry 3", "Dense"}},
    {MODULES("[{\"path\":\"\",\"type\":\"sentence_transformers.models.Transformer\"}]"),
     HD_ERR_UNSUPPORTED,
     {"modules.json", "Pooling"}},
    {MODULES("[{\"path\":\"\",\"type\":\"sentence_transformers.models.Pooling\"}]"),
     HD_ERR_UNSUPPORTED,
     {"entry 0", "Pooling"}},
    {MODULES(POOLED MODULE("3_Dense", "Dense") "]"), HD_ERR_NOT_FOUND, {"3_Dense/config.json", "no such file"}},
    {POOLING("{\"pooling_mode\":\"median\"}"), HD_ERR_UNSUPPORTED, {"1_Pooling/config.json", "median"}},
    {POOLING("{\"pooling_mode\":7}"), HD_ERR_FORMAT, {"1_Pooling/config.json", "pooling_mode"}},
    {POOLING("{\"pooling_mode\":[\"mean\",\"cls\"]}"), HD_ERR_UNSUPPORTED, {"1_Pooling/config.json", "\"cls\""}},
    {POOLING("{\"pooling_mode\":[\"mean\",\"mean\"]}"), HD_ERR_UNSUPPORTED, {"1_Pooling/config.json", "twice"}},
    {POOLING("{\"pooling_mode_cls_token\":1}"), HD_ERR_FORMAT, {"1_Pooling/config.json", "pooling_mode_cls_token"}},
    {POOLING("{\"word_embedding_dimension\":65}"), HD_ERR_FORMAT, {"word_embedding_dimension", "64"}},
    {POOLING("{\"embedding_dimension\":63}"), HD_ERR_FORMAT, {"\"embedding_dimension\"", "63"}},
    {DENSE("{\"out_features\":8}"), HD_ERR_FORMAT, {"2_Dense/config.json", "in_features"}},
    {DENSE("{\"in_features\":64}"), HD_ERR_FORMAT, {"2_Dense/config.json", "out_features"}},
    {DENSE("{\"in_features\":65,\"out_features\":8}"), HD_ERR_FORMAT, {"in_features", "64 values"}},
    {DENSE("{\"in_features\":64,\"out_features\":1048577}"), HD_ERR_FORMAT, {"out_features", "1048576"}},
    {DENSE("{\"in_features\":64,\"out_features\":8,\"use_residual\":1}"), HD_ERR_FORMAT, {"2_Dense", "use_residual"}},
    {DENSE("{\"in_features\":64,\"out_features\":8,\"activation_function\":\"torch.nn.modules.activation.Softmax\"}"),
     HD_ERR_UNSUPPORTED,
     {"2_Dense/config.json", "Softmax"}},
    {DENSE("{\"in_features\":64,\"out_features\":8,\"module_input_name\":\"token_embeddings\"}"),
     HD_ERR_UNSUPPORTED,
     {"2_Dense/config.json", "token_embeddings"}},
    {OTHER("2_Normalize/config.json", "{\"module_output_name\":\"token_embeddings\"}"),
     HD_ERR_UNSUPPORTED,
     {"2_Normalize/config.json", "module_output_name"}},
    {OTHER("sentence_bert_config.json", "{\"max_seq_length\":0}"),
     HD_ERR_FORMAT,
     {"sentence_bert_config.json", "max_seq_length"}},
    {OTHER("sentence_bert_config.json", "{\"transformer_task\":\"fill-mask\"}"),
     HD_ERR_UNSUPPORTED,
     {"transformer_task", "fill-mask"}},
    {OTHER("sentence_bert_config.json", "{\"modality_config\":{\"text\":{\"method_output_name\":\"pooler_output\"}}}"),
     HD_ERR_UNSUPPORTED,
     {"sentence_bert_config.json", "pooler_output"}},
    {OTHER("tokenizer_config.json", "{\"model_max_length\":0}"),
     HD_ERR_FORMAT,
     {"tokenizer_config.json", "model_max_length"}},
    {OTHER("config_sentence_transformers.json", "{\"prompts\":[]}"),
     HD_ERR_FORMAT,
     {"config_sentence_transformers.json", "prompts"}},
    {OTHER("config_sentence_transformers.json", "{\"prompts\":{\"a\":1}}"),
     HD_ERR_FORMAT,
     {"config_sentence_transformers.json", "\"a\""}},
    {OTHER("config_sentence_transformers.json", "{\"prompts\":{\"a\":\"\"},\"default_prompt_name\":\"b\"}"),
     HD_ERR_FORMAT,
     {"config_sentence_transformers.json", "\"b\""}},
};

static void refuses_bad_folders(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof bad_folders / sizeof *bad_folders; i++) {
        hd_settings settings;
        hd_status status = read_folder(&bad_folders[i].files, &settings);
        bool says = strstr(err.text, bad_folders[i].text[0]) != NULL && strstr(err.text, bad_folders[i].text[1]) != NULL;
        if (status != bad_folders[i].status || !says)
            fail_msg("case %zu: status %s, \"%s\"", i, hd_status_name(status), err.text);
        assert_null(settings.model_type); /* untouched */
    }
}

/* n modules or prompts of one kind, for the limits. */
static hd_status status_with(const char *file_name, const char *first, const char *format, unsigned n, const char *last)
{
    hd_buffer text;
    hd_settings settings;
    hd__buffer_init(&text);
    hd__buffer_append_text(&text, first);
    for (unsigned i = 0; i < n; i++) {
        const char *part = strchr(format, '#');
        hd__buffer_printf(&text, "%.*s%u%s", (int)(part - format), format, i, part + 1);
    }
    hd__buffer_append(&text, last, strlen(last) + 1);
    folder f = {{{"config.json", "{" BERT "," SMALL "}"},
                 {"1_Pooling/config.json", "{}"},
                 {"D/config.json", "{\"in_features\":64,\"out_features\":64}"},
                 {file_name, text.ptr},
                 {"modules.json", POOLED "]"}}};
    hd_status status = read_folder(&f, &settings);
    hd__buffer_clear(&text);
    return status;
}

static void keeps_limits(void **state)
{
    (void)state;
    assert_int_equal(status_with("modules.json", POOLED, MODULE("D", "Dense") "", 0, "]"), HD_OK);
    static const char dense[] = ",{\"name\":\"#\",\"path\":\"D\",\"type\":\"sentence_transformers.models.Dense\"}";
    assert_int_equal(status_with("modules.json", POOLED, dense, HD_LIMIT_DENSE_MODULES, "]"), HD_OK);
    assert_int_equal(status_with("modules.json", POOLED, dense, HD_LIMIT_DENSE_MODULES + 1, "]"), HD_ERR_LIMIT);
    static const char dropout[] = ",{\"name\":\"#\",\"path\":\"D\",\"type\":\"sentence_transformers.models.Dropout\"}";
    assert_int_equal(status_with("modules.json", POOLED, dropout, 30, "]"), HD_OK);
    assert_int_equal(status_with("modules.json", POOLED, dropout, 31, "]"), HD_ERR_LIMIT);
    static const char prompt[] = ",\"p#\":\"text\"", own[] = "config_sentence_transformers.json";
    assert_int_equal(status_with(own, "{\"prompts\":{\"p\":\"\"", prompt, HD_LIMIT_PROMPTS - 1, "}}"), HD_OK);
    assert_int_equal(status_with(own, "{\"prompts\":{\"p\":\"\"", prompt, HD_LIMIT_PROMPTS, "}}"), HD_ERR_LIMIT);
}

static void reads_a_real_folder(void **state)
{
    (void)state;
    scratch s;
    hd_settings settings;
    scratch_begin(&s);
    scratch_text(&s, "config.json", "{" BERT "," SMALL "}");
    scratch_text(&s, "modules.json", POOLED "]");
    assert_int_equal(hd__settings_read(s.dir, NULL, &arena, &settings, &err), HD_ERR_NOT_FOUND);
    assert_non_null(strstr(err.text, scratch_path(&s, "1_Pooling/config.json")));
    scratch_text(&s, "1_Pooling/config.json", "{\"pooling_mode_cls_token\":true}");
    assert_int_equal(hd__settings_read(s.dir, NULL, &arena, &settings, &err), HD_OK);
    assert_int_equal(settings.pooling, HD_POOLING_CLS);
    assert_string_equal(settings.dir, s.dir);
    scratch_end(&s);
}

/* How families spell their sizes, and what they have besides. */
static void reads_families(void **state)
{
    (void)state;
    hd_settings s = good((folder){
        {{"config.json", "{\"model_type\":\"xlm-roberta\"," SMALL ",\"max_position_embeddings\":514,\"pad_token_id\":1}"}}});
    assert_int_equal(s.position_offset, 2);
    assert_int_equal(s.n_positions, 512);
    assert_int_equal(s.max_length, 512);
    assert_int_equal(s.head_dim, 16);
    assert_int_equal(s.n_kv_heads, 4);
    assert_int_equal(s.heads, HD_HEAD_DENSE);
    s = good((folder){{{"config.json", "{\"model_type\":\"distilbert\",\"dim\":32,\"n_heads\":2,\"n_layers\":3,"
                                       "\"hidden_dim\":48,\"activation\":\"relu\",\"type_vocab_size\":2}"}}});
    assert_true(s.hidden == 32 && s.n_heads == 2 && s.n_layers == 3 && s.intermediate == 48);
    assert_true(s.activation == HD_ACTIVATION_RELU && s.n_token_types == 0 && s.vocab_size == 30522);
    s = good((folder){{{"config.json", "{\"model_type\":\"nomic_bert\",\"n_embd\":32,\"n_head\":2,\"n_layer\":3,"
                                       "\"n_inner\":48,\"n_positions\":8192,\"activation_function\":\"swiglu\","
                                       "\"rotary_emb_base\":1000,\"prenorm\":false}"}}});
    assert_true(s.hidden == 32 && s.n_positions == 8192 && s.gated && s.rotary_theta == 1000.0);
    assert_int_equal(s.activation, HD_ACTIVATION_SILU);
    s = good(
        (folder){{{"config.json", "{\"model_type\":\"modernbert\"," SMALL ",\"local_attention\":64,\"rope_parameters\":{"
                                  "\"full_attention\":{\"rope_type\":\"default\",\"rope_theta\":5000.0},"
                                  "\"sliding_attention\":{\"rope_type\":\"default\",\"rope_theta\":700.0}}}"}}});
    assert_true(s.local_window == 32 && s.global_every == 3 && s.rotary_theta == 5000.0 && s.rotary_theta_local == 700.0);
    s = good((folder){{{"config.json", "{\"model_type\":\"qwen3\"," SMALL ",\"num_key_value_heads\":2,\"head_dim\":64,"
                                       "\"rope_theta\":1000000,\"rms_norm_eps\":1e-6,\"pad_token_id\":null}"}}});
    assert_true(s.n_kv_heads == 2 && s.head_dim == 64 && s.norm_eps == 1e-6 && s.pad_id == -1);
    s = good((folder){
        {{"config.json", "{" GEMMA "," SMALL ",\"head_dim\":64,\"query_pre_attn_scalar\":64,\"num_key_value_heads\":1,"
                         "\"rope_theta\":1000000.0,\"rope_local_base_freq\":10000.0,\"sliding_window\":512,"
                         "\"_sliding_window_pattern\":6,\"attn_logit_softcapping\":null,\"rope_scaling\":null}"}}});
    assert_true(s.n_kv_heads == 1 && s.head_dim == 64 && s.local_window == 256 && s.global_every == 6 &&
                s.global_first == 5);
    assert_true(s.rotary_theta == 1e6 && s.rotary_theta_local == 1e4 && s.gated && s.activation == HD_ACTIVATION_GELU_TANH);
    s = good((folder){
        {{"config.json", "{\"model_type\":\"new\"," SMALL ",\"position_embedding_type\":\"rope\",\"type_vocab_size\":0,"
                         "\"rope_theta\":20000,\"rope_scaling\":{\"factor\":8.0,\"type\":\"ntk\"}}"}}});
    assert_true(s.rotary_theta == 20000.0 && s.rotary_factor == 8.0 && s.n_token_types == 0 && s.gated);
    s = good((folder){
        {{"config.json", "{" BERT "," SMALL ",\"position_embedding_type\":\"alibi\",\"feed_forward_type\":\"reglu\"}"}}});
    assert_string_equal(s.model_type, "jina_bert");
    assert_int_equal(s.activation, HD_ACTIVATION_RELU);
}

/* Jina's own code goes by XLM-RoBERTa's name or BERT's, or by none: the files of jina-embeddings-v3,
 * jina-reranker-v2-base-multilingual, jina-embeddings-v2-base-code, and of transformers' port. */
static void reads_jina(void **state)
{
    (void)state;
    hd_settings s = good((folder){{
        {"config.json",
         "{\"architectures\":[\"XLMRobertaModel\"]," FLASH
         ",\"emb_pooler\":null,\"hidden_act\":\"gelu\",\"hidden_size\":1024,"
         "\"intermediate_size\":4096,\"layer_norm_eps\":1e-05,\"load_trained_adapters\":true,\"lora_adaptations\":["
         "\"retrieval.query\",\"retrieval.passage\",\"separation\"],\"lora_alpha\":1,\"lora_dropout_p\":0.0,"
         "\"lora_main_params_trainable\":false,\"lora_rank\":4,\"max_position_embeddings\":8194,\"num_attention_heads\":16,"
         "\"num_hidden_layers\":24,\"pad_token_id\":1,\"position_embedding_type\":\"rotary\",\"rotary_emb_base\":20000.0,"
         "\"truncate_dim\":null,\"type_vocab_size\":1,\"use_flash_attn\":true,\"vocab_size\":250002,\"task_instructions\":{"
         "\"retrieval.query\":\"Represent the query: \",\"retrieval.passage\":\"\"}}"},
        {"modules.json", "[{\"idx\":0,\"name\":\"transformer\",\"path\":\"\",\"type\":\"custom_st.Transformer\",\"kwargs\":["
                         "\"task\"]}" MODULE("1_Pooling", "Pooling") MODULE("2_Normalize", "Normalize") "]"},
        {"1_Pooling/config.json", "{\"pooling_mode_cls_token\":false,\"pooling_mode_mean_tokens\":true}"},
        {"tokenizer_config.json", "{\"model_max_length\":8194}"},
    }});
    assert_string_equal(s.model_type, "xlm_roberta_flash");
    assert_true(s.rotary_theta == 20000.0 && s.n_positions == 8194 && s.max_length == 8194 && s.position_offset == 0);
    assert_true(s.n_token_types == 1 && s.pooling == HD_POOLING_MEAN && s.normalize && s.heads == HD_HEAD_DENSE);
    assert_true(s.n_tasks == 3 && s.adapter_rank == 4 && s.adapter_scale == 0.25);
    assert_string_equal(s.tasks[0], "retrieval.query");
    assert_string_equal(s.task_prompts[0], "Represent the query: ");
    assert_string_equal(s.tasks[2], "separation");
    assert_string_equal(s.task_prompts[2], "");
    s = good((folder){{{"config.json", "{\"model_type\":\"xlm-roberta\"," FLASH
                                       ",\"position_embedding_type\":\"absolute\",\"max_position_embeddings\":1026,"
                                       "\"architectures\":[\"XLMRobertaForSequenceClassification\"],\"id2label\":{"
                                       "\"0\":\"LABEL_0\"}," SMALL "}"}}});
    assert_string_equal(s.model_type, "xlm_roberta_flash");
    assert_true(s.rotary_theta == 0.0 && s.n_positions == 1024 && s.position_offset == 2 && s.n_tasks == 0);
    assert_true(s.heads == HD_HEAD_SCORES && s.n_labels == 1);
    s = good((folder){{{"config.json", "{\"model_type\":\"xlm-roberta\",\"position_embedding_type\":\"rotary\"," SMALL
                                       ",\"lora_adaptations\":[\"a\"],\"emb_pooler\":\"cls\"}"}}});
    assert_string_equal(s.model_type, "xlm_roberta_flash");
    assert_true(s.rotary_theta == 10000.0 && s.pooling == HD_POOLING_CLS);
    assert_true(s.n_tasks == 0 && s.adapter_rank == 0); /* adapters that nobody has trained yet */
    s = good((folder){{{"config.json", "{\"model_type\":\"jina_embeddings_v3\"," SMALL "}"}}});
    assert_string_equal(s.model_type, "xlm_roberta_flash");
    assert_true(s.rotary_theta == 20000.0);
    s = good(
        (folder){{{"config.json", "{\"auto_map\":{\"AutoConfig\":\"jinaai/jina-bert-v2-qk-post-norm--configuration_bert."
                                  "JinaBertConfig\"},\"position_embedding_type\":\"alibi\"," SMALL
                                  ",\"feed_forward_type\":\"geglu\",\"emb_pooler\":\"mean\"}"}}});
    assert_string_equal(s.model_type, "jina_bert");
    assert_int_equal(s.pooling, HD_POOLING_MEAN);
}

/* Adapters in folders, as PEFT saves them and jina-embeddings-v3-hf has them. */
static void reads_adapter_folders(void **state)
{
    (void)state;
    hd_settings s = good((folder){{
        {"config.json", ADAPTED ",\"lora_adaptations\":[\"retrieval.query\",\"text-matching\",\"separation\"],"
                                "\"task_instructions\":{\"separation\":\"Apart: \"}}"},
        {"text_matching/adapter_config.json",
         LORA(
             ",\"bias\":\"none\",\"use_dora\":false,\"modules_to_save\":null,\"rank_pattern\":{},\"init_lora_weights\":true,"
             "\"base_model_name_or_path\":\"jinaai/jina-embeddings-v3-hf\"")},
        {"separation/adapter_config.json", LORA(",\"init_lora_weights\":\"gaussian\"")},
    }});
    assert_true(s.n_tasks == 2 && s.adapter_rank == 4 && s.adapter_scale == 0.25);
    assert_string_equal(s.tasks[0], "text-matching");
    assert_string_equal(s.task_dirs[0], "dir/text_matching");
    assert_string_equal(s.tasks[1], "separation");
    assert_string_equal(s.task_prompts[1], "Apart: ");
    s = good((folder){{{"config.json", ADAPTED "}"},
                       {"retrieval_passage/adapter_config.json",
                        "{\"peft_type\":\"LORA\",\"r\":16,\"lora_alpha\":8,\"use_rslora\":true}"}}});
    assert_true(s.n_tasks == 1 && s.adapter_rank == 16 && s.adapter_scale == 2.0);
    assert_string_equal(s.tasks[0], "retrieval.passage");
    s = good((folder){{{"config.json", ADAPTED "}"}}});
    assert_true(s.n_tasks == 0 && s.task_dirs == NULL);
}

/* A reader of settings that knows no other models. */
static hd_status find_nothing(const char *name, const char *cache_dir, hd_arena *a, const char **dir, hd_error *e)
{
    (void)cache_dir, (void)a, (void)dir;
    return hd__fail(e, HD_ERR_NOT_FOUND, "no model \"%s\"", name);
}

/* An adapter for the whole model, beside its weights or without them. */
static void reads_whole_adapter(void **state)
{
    (void)state;
    hd_settings s =
        good((folder){{{"config.json", "{" BERT "," SMALL "}"},
                       {"adapter_config.json", "{\"peft_type\":\"LORA\",\"r\":16,\"lora_alpha\":8,\"use_rslora\":true,"
                                               "\"fan_in_fan_out\":true,\"rank_pattern\":{\"query\":4},"
                                               "\"alpha_pattern\":{\"key\":1.5,\"value\":-2}}"}}});
    assert_string_equal(s.dir, "dir");
    assert_string_equal(s.tokenizer_dir, "dir");
    assert_string_equal(s.adapter_dir, "dir");
    const hd_peft_config *a = s.adapter;
    assert_true(a->rank == 16 && a->alpha == 8.0 && a->by_root && a->ranks_differ && a->n_alphas == 2);
    assert_true(hd__peft_scale(a, 4) == 4.0);
    assert_string_equal(a->alphas[0].pattern, "key");
    assert_true(a->alphas[0].alpha == 1.5 && a->alphas[1].alpha == -2.0);
    s = good((folder){{{"config.json", "{" BERT "," SMALL "}"}}});
    assert_true(s.adapter_dir == NULL && s.adapter == NULL);
    const folder alone = {{{"adapter_config.json", LORA(",\"base_model_name_or_path\":\"a/base\"")}}};
    hd_settings_source source = {.read = read_file, .data = (void *)(uintptr_t)&alone, .locate = find_nothing};
    assert_int_equal(hd__settings_read_from(&source, "dir", &arena, &s, &err), HD_ERR_NOT_FOUND);
    assert_non_null(strstr(err.text, "dir/adapter_config.json: the model that it is an adapter to: no model \"a/base\""));
}

/* sentence-transformers' static models are cut as tokenizer.json says, and nothing else counts. */
static void reads_truncation(void **state)
{
    (void)state;
    static const struct {
        const char *tokenizer;
        uint32_t length;
        bool front;
    } cases[] = {
        {"{\"truncation\":{\"direction\":\"Right\",\"max_length\":9,\"strategy\":\"LongestFirst\",\"stride\":0}}", 9, false},
        {"{\"truncation\":{\"direction\":\"Left\",\"max_length\":512}}", 512, true},
        {"{\"truncation\":{\"max_length\":4000000000}}", HD_LIMIT_SEQUENCE, false},
        {"{\"truncation\":null}", HD_LIMIT_SEQUENCE, false},
        {"{}", HD_LIMIT_SEQUENCE, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const hd_settings s = good((folder){{{"modules.json", STATIC},
                                             {"tokenizer.json", cases[i].tokenizer},
                                             {"tokenizer_config.json", "{\"model_max_length\":7}"}}});
        assert_int_equal(s.max_length, cases[i].length);
        assert_int_equal(s.cuts_front, cases[i].front);
    }
}

/* As many patterns as may be, and one more. */
static void limits_patterns(void **state)
{
    (void)state;
    hd_buffer text;
    hd_settings s;
    for (unsigned n = HD_LIMIT_ADAPTER_PATTERNS; n <= HD_LIMIT_ADAPTER_PATTERNS + 1; n++) {
        hd__buffer_init(&text);
        hd__buffer_append_text(&text, "{\"peft_type\":\"LORA\",\"alpha_pattern\":{");
        for (unsigned i = 0; i < n; i++)
            hd__buffer_printf(&text, "%s\"m%u\":%u", i > 0 ? "," : "", i, i);
        hd__buffer_append_text(&text, "}}");
        hd__buffer_append_char(&text, '\0');
        assert_false(text.failed);
        const folder f = {{{"config.json", "{" BERT "," SMALL "}"}, {"adapter_config.json", text.ptr}}};
        const hd_status status = read_folder(&f, &s);
        hd__buffer_clear(&text);
        if (n <= HD_LIMIT_ADAPTER_PATTERNS) {
            assert_true(status == HD_OK && s.adapter->n_alphas == n);
        } else {
            assert_int_equal(status, HD_ERR_LIMIT);
            assert_non_null(strstr(err.text, "1025 patterns, the limit is 1024"));
        }
    }
}

/* One side at a time, in the older layout: the Dense of documents or of queries. */
static void reads_sides(void **state)
{
    (void)state;
    folder f = {{{"config.json", "{" BERT "," SMALL "}"},
                 {"modules.json", POOLED MODULE("2_Asym", "Asym") MODULE("3_Normalize", "Normalize") "]"},
                 {"1_Pooling/config.json", "{}"},
                 {"2_Asym/config.json",
                  "{\"types\":{\"q\":\"sentence_transformers.models.Dense\",\"d\":\"sentence_transformers.models.Dense\"},"
                  "\"structure\":{\"doc\":[\"d\"],\"query\":[\"q\"]}}"},
                 {"2_Asym/d/config.json", "{\"in_features\":64,\"out_features\":8}"},
                 {"2_Asym/q/config.json", "{\"in_features\":64,\"out_features\":8}"}}};
    hd_settings s = good(f);
    assert_true(s.has_sides && s.n_dense == 1 && s.normalize && s.n_prompts == 2);
    assert_string_equal(s.dense[0].dir, "dir/2_Asym/d");
    assert_false(s.query_is_default); /* the first route is that of documents */
    const hd_settings_source queries = {.read = read_file, .data = &f, .of_queries = true};
    assert_int_equal(hd__settings_read_from(&queries, "dir", &arena, &s, &err), HD_OK);
    assert_true(s.has_sides && s.n_dense == 1 && s.normalize);
    assert_string_equal(s.dense[0].dir, "dir/2_Asym/q");
}

/* As many tasks as may be, of as high a rank as may be together. */
static void reads_many_tasks(void **state)
{
    (void)state;
    hd_settings s =
        good((folder){{{"config.json", TASKS "[" TASKS_64 "," TASKS_64 "," TASKS_64 "," TASKS_64 "],\"lora_rank\":256}"}}});
    assert_int_equal(s.n_tasks, HD_LIMIT_TASKS);
    s = good((folder){{{"config.json", TASKS "[" TASKS_64 "],\"lora_rank\":1024}"}}});
    assert_int_equal(s.adapter_rank, HD_LIMIT_ADAPTER_RANK);
}

/* Heads that config.json and modules.json ask for. */
static void reads_heads(void **state)
{
    (void)state;
    hd_settings s =
        good((folder){{{"config.json", "{" BERT "," SMALL ",\"architectures\":[\"BertForSequenceClassification\"],"
                                       "\"id2label\":{\"1\":\"good\",\"0\":\"bad\"}}"}}});
    assert_int_equal(s.heads, HD_HEAD_SCORES);
    assert_int_equal(s.n_labels, 2);
    assert_string_equal(s.labels[0], "bad");
    assert_string_equal(s.labels[1], "good");
    s = good((folder){{{"config.json", "{" BERT "," SMALL ",\"architectures\":[\"BertForSequenceClassification\"],"
                                       "\"num_labels\":1}"}}});
    assert_int_equal(s.n_labels, 1);
    assert_string_equal(s.labels[0], "LABEL_0");
    s = good((folder){
        {{"config.json", "{" BERT "," SMALL ",\"architectures\":[\"BertForMaskedLM\"]}"},
         {"modules.json", "[{\"path\":\"\",\"type\":\"sentence_transformers.sparse_encoder.models.MLMTransformer\"}" MODULE(
                              "1_SpladePooling", "SpladePooling") "]"},
         {"1_SpladePooling/config.json", "{\"activation_function\":\"log1p_relu\"}"}}});
    assert_int_equal(s.heads, HD_HEAD_SPARSE);
    assert_true(s.sparse_by_vocabulary && s.sparse_log_twice);
}

#define QWEN3 "{\"model_type\":\"qwen3\"," SMALL ",\"architectures\":[\"Qwen3ForCausalLM\"]}"
#define LOGIT_SCORE(text)                                                                                                   \
    {                                                                                                                       \
        {                                                                                                                   \
            {"config.json", QWEN3},                                                                                         \
                {"modules.json", "[{\"path\":\"\",\"type\":\"sentence_transformers.cross_encoder.modules."                  \
                                 "Transformer\"}" MODULE("1_LogitScore", "LogitScore") "]"},                                \
                {"1_LogitScore/config.json", text},                                                                         \
        }                                                                                                                   \
    }

/* Rerankers that answer yes or no. */
static void reads_answers(void **state)
{
    (void)state;
    static const struct {
        const char *text, *says;
        hd_status status;
    } bad[] = {
        {"{\"true_token_id\":7}", "no \"false_token_id\"", HD_ERR_UNSUPPORTED},
        {"{\"true_token_id\":7,\"false_token_id\":151936}", "\"false_token_id\"", HD_ERR_FORMAT},
        {"{\"true_token_id\":\"yes\",\"false_token_id\":1}", "\"true_token_id\"", HD_ERR_FORMAT},
        {"{\"module_input_name\":\"scores\"}", "\"causal_logits\"", HD_ERR_UNSUPPORTED},
    };
    hd_settings s = good((folder){{{"config.json", QWEN3}}});
    assert_int_equal(s.heads, HD_HEAD_DENSE | HD_HEAD_SCORES);
    assert_true(s.judges && s.answers[0] == -1 && s.answers[1] == -1);
    s = good((folder)LOGIT_SCORE("{\"true_token_id\":7,\"false_token_id\":0,\"module_input_name\":\"causal_logits\"}"));
    assert_int_equal(s.heads, HD_HEAD_SCORES);
    assert_true(s.judges && s.answers[0] == 0 && s.answers[1] == 7);
    assert_int_equal(s.score_pooling, HD_POOLING_LAST);
    s = good((folder){{{"config.json", QWEN3},
                       {"modules.json", "[{\"path\":\"\",\"type\":\"sentence_transformers.models.Transformer\"}" MODULE(
                                            "1_Pooling", "Pooling") "]"},
                       {"1_Pooling/config.json", "{\"pooling_mode_lasttoken\":true}"}}});
    assert_int_equal(s.heads, HD_HEAD_DENSE);
    assert_true(!s.judges && s.n_labels == 0);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        folder f = LOGIT_SCORE(bad[i].text);
        const hd_status status = read_folder(&f, &s);
        if (status != bad[i].status || strstr(err.text, bad[i].says) == NULL)
            fail_msg("case %zu: status %s, \"%s\"", i, hd_status_name(status), err.text);
    }
    folder f = LOGIT_SCORE("{}");
    f.files[0].text = "{" BERT "}";
    assert_int_equal(read_folder(&f, &s), HD_ERR_UNSUPPORTED);
    assert_non_null(strstr(err.text, "LogitScore"));
}

/* Reads a folder with every allocation failing in its turn. */
static void check_allocations(const folder *f)
{
    hd_settings settings;
    hd_status status;
    uint64_t n = 0;
    do {
        hd__arena_clear(&arena);
        hd__alloc_fail_after(n++, UINT64_MAX);
        status = read_folder(f, &settings);
        hd__alloc_fail_off();
        assert_true(status == HD_OK || status == HD_ERR_MEMORY);
    } while (status != HD_OK);
    assert_true(n > 1);
}

static void survives_failing_allocations(void **state)
{
    (void)state;
    folder f = DENSE("{\"in_features\":64,\"out_features\":8}");
    f.files[4] = (file){"config_sentence_transformers.json", "{\"prompts\":{\"a\":\"b\"},\"default_prompt_name\":\"a\"}"};
    check_allocations(&f);
    f = (folder){{{"d/config.json", "{" BERT "," SMALL "}"},
                  {"modules.json", "[{\"path\":\"\",\"type\":\"sentence_transformers.models.Router\"}]"},
                  {"router_config.json",
                   "{\"types\":{\"d\":\"sentence_transformers.models.Transformer\","
                   "\"p\":\"sentence_transformers.models.SpladePooling\",\"q\":\"sentence_transformers.models.SparseStatic"
                   "Embedding\"},\"structure\":{\"query\":[\"q\"],\"document\":[\"d\",\"p\"]}}"},
                  {"p/config.json", "{}"}}};
    check_allocations(&f);
    f = (folder){{{"config.json", "{" BERT "," SMALL "}"},
                  {"modules.json", POOLED MODULE("2_Asym", "Asym") "]"},
                  {"1_Pooling/config.json", "{}"},
                  {"2_Asym/config.json",
                   "{\"types\":{\"q\":\"sentence_transformers.models.Dense\",\"d\":\"sentence_transformers.models.Dense\"},"
                   "\"structure\":{\"doc\":[\"d\"],\"query\":[\"q\"]}}"},
                  {"2_Asym/d/config.json", "{\"in_features\":64,\"out_features\":8}"},
                  {"2_Asym/q/config.json", "{\"in_features\":64,\"out_features\":8}"}}};
    check_allocations(&f);
    f = (folder){{{"config.json", ADAPTED "}"}, {"separation/adapter_config.json", LORA("")}}};
    check_allocations(&f);
    f = (folder){{{"config.json", "{" BERT "," SMALL ",\"architectures\":[\"HF_ColBERT\"]}"},
                  {"artifact.metadata", "{\"doc_maxlen\":64}"}}};
    check_allocations(&f);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)
    const struct CMUnitTest tests[] = {
        TEST(reads_minilm),
        TEST(reads_prompts_and_huge_lengths),
        TEST(reads_the_modern_layout),
        TEST(reads_a_transformer_in_a_subfolder),
        TEST(a_plain_transformer_is_pooled_by_the_mean),
        TEST(knows_activations),
        TEST(knows_poolings),
        TEST(refuses_bad_folders),
        TEST(keeps_limits),
        TEST(reads_a_real_folder),
        TEST(reads_families),
        TEST(reads_jina),
        TEST(reads_adapter_folders),
        TEST(reads_whole_adapter),
        TEST(reads_truncation),
        TEST(limits_patterns),
        TEST(reads_sides),
        TEST(reads_many_tasks),
        TEST(reads_heads),
        TEST(reads_answers),
        TEST(survives_failing_allocations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
