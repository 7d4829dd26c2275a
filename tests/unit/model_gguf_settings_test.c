/* What GGUF's metadata becomes: settings, names of tensors, a tokenizer.json; for each architecture that has a table. */
#include "model/gguf_settings.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/json.h"
#include "base/limits.h"
#include "model/gguf_names.h"
#include "model/gguf_tokenizer.h"
#include "unit/gguf_file.h"
#include "unit/scratch.h"

static hd_error err;

/* ---- settings ---- */

typedef struct gguf_settings {
    const char *architecture;
    uint32_t n_tokens, n_rows;
    int pooling; /* -1: not said */
    bool no_types;
    uint32_t n_scores;         /* rows of the classifier's tensor; 0: none */
    const char *const *labels; /* [n_labels] */
    uint32_t n_labels;
} gguf_settings;

static const char *write_file(scratch *s, const gguf_settings *f)
{
    hd_buffer b;
    char key[64];
    const char *name = f->architecture;
    const struct {
        const char *name;
        uint64_t n_rows;
    } tables[] = {
        {"token_embd.weight", f->n_rows}, {"token_types.weight", f->no_types ? 0 : 2}, {"cls.output.weight", f->n_scores}};
    uint64_t n_rows = 0, n_tensors = 0;
    for (size_t i = 0; i < 3; i++)
        n_tensors += tables[i].n_rows > 0;
    gguf_begin(&b, 3, n_tensors, 8u + (f->pooling >= 0) + (f->n_labels > 0));
    gguf_pair_text(&b, "general.architecture", name);
    static const struct {
        const char *key;
        uint32_t value;
    } sizes[] = {{"block_count", 2},
                 {"embedding_length", 32},
                 {"feed_forward_length", 64},
                 {"attention.head_count", 2},
                 {"context_length", 100}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        snprintf(key, sizeof key, "%s.%s", name, sizes[i].key);
        gguf_pair_uint(&b, key, HD_GGUF_U32, sizes[i].value, 4);
    }
    snprintf(key, sizeof key, "%s.attention.layer_norm_epsilon", name);
    gguf_pair_f32(&b, key, 1e-5f);
    if (f->pooling >= 0) {
        snprintf(key, sizeof key, "%s.pooling_type", name);
        gguf_pair_uint(&b, key, HD_GGUF_U32, (uint64_t)f->pooling, 4);
    }
    gguf_pair_array(&b, "tokenizer.ggml.tokens", HD_GGUF_TEXT, f->n_tokens);
    for (uint32_t i = 0; i < f->n_tokens; i++)
        gguf_text(&b, "t");
    if (f->n_labels > 0) {
        snprintf(key, sizeof key, "%s.classifier.output_labels", name);
        gguf_pair_array(&b, key, HD_GGUF_TEXT, f->n_labels);
        for (uint32_t i = 0; i < f->n_labels; i++)
            gguf_text(&b, f->labels[i]);
    }
    for (size_t i = 0; i < 3; n_rows += tables[i++].n_rows) {
        if (tables[i].n_rows > 0)
            gguf_tensor(&b, tables[i].name, 0, 2, (uint64_t[]){32, tables[i].n_rows}, n_rows * 128);
    }
    gguf_pad(&b, 32);
    for (uint64_t i = 0; i < n_rows * 128; i++)
        hd__buffer_append_char(&b, 0);
    hd_span bytes = gguf_end(&b);
    const char *path = scratch_write(s, "m.gguf", bytes.ptr, bytes.len);
    free((void *)(uintptr_t)bytes.ptr);
    return path;
}

static hd_status read_file(const gguf_settings *f, hd_arena *arena, hd_settings *settings)
{
    scratch s;
    scratch_begin(&s);
    hd_status status = hd__settings_read(write_file(&s, f), NULL, arena, settings, &err);
    scratch_end(&s);
    return status;
}

static void settings_are_those_of_the_metadata(void **state)
{
    (void)state;
    hd_arena arena;
    hd_settings settings;
    hd__arena_init(&arena);
    assert_int_equal(read_file(&(gguf_settings){"bert", 7, 7, .pooling = 2}, &arena, &settings), HD_OK);
    assert_string_equal(settings.model_type, "bert");
    assert_string_equal(settings.architecture, "BertModel");
    assert_string_equal(settings.dir + strlen(settings.dir) - 7, "/m.gguf");
    assert_int_equal(settings.n_layers, 2);
    assert_int_equal(settings.hidden, 32);
    assert_int_equal(settings.intermediate, 64);
    assert_int_equal(settings.n_heads, 2);
    assert_int_equal(settings.n_positions, 100);
    assert_int_equal(settings.max_length, 100);
    assert_int_equal(settings.vocab_size, 7);
    assert_true((float)settings.norm_eps == 1e-5f);
    assert_int_equal(settings.pooling, HD_POOLING_CLS);
    assert_true(settings.normalize);
    static const struct {
        int said;
        uint32_t pooling;
    } poolings[] = {{-1, HD_POOLING_MEAN}, {0, HD_POOLING_MEAN}, {1, HD_POOLING_MEAN}, {3, HD_POOLING_LAST}};
    for (size_t i = 0; i < sizeof poolings / sizeof *poolings; i++) {
        assert_int_equal(read_file(&(gguf_settings){"bert", 7, 7, .pooling = poolings[i].said}, &arena, &settings), HD_OK);
        assert_int_equal(settings.pooling, poolings[i].pooling);
    }
    hd__arena_clear(&arena);
}

static void a_classifier_has_labels(void **state)
{
    (void)state;
    static const char *const labels[] = {"bad", "good"}, *const answers[] = {"yes", "no"}, *const others[] = {"no", "yes"};
    hd_arena arena;
    hd_settings settings;
    hd__arena_init(&arena);
    assert_int_equal(
        read_file(&(gguf_settings){"bert", 7, 7, 4, .n_scores = 2, .labels = labels, .n_labels = 2}, &arena, &settings),
        HD_OK);
    assert_string_equal(settings.architecture, "BertForSequenceClassification");
    assert_int_equal(settings.heads, HD_HEAD_SCORES);
    assert_int_equal(settings.n_labels, 2);
    assert_string_equal(settings.labels[1], "good");
    assert_int_equal(read_file(&(gguf_settings){"modern-bert", 7, 7, -1, .n_scores = 3}, &arena, &settings), HD_OK);
    assert_string_equal(settings.architecture, "ModernBertForSequenceClassification");
    assert_int_equal(settings.n_labels, 3);
    assert_int_equal(settings.score_pooling, HD_POOLING_MEAN);

    assert_int_equal(
        read_file(&(gguf_settings){"qwen3", 7, 7, 4, .n_scores = 2, .labels = answers, .n_labels = 2}, &arena, &settings),
        HD_OK);
    assert_true(settings.judges && settings.answers_alone);
    assert_int_equal(settings.heads & HD_HEAD_SCORES, HD_HEAD_SCORES);
    assert_int_equal(read_file(&(gguf_settings){"qwen3", 7, 7, .pooling = 3}, &arena, &settings), HD_OK);
    assert_int_equal(settings.heads, HD_HEAD_DENSE);
    assert_false(settings.judges || settings.answers_alone);

    static const struct {
        gguf_settings file;
        hd_status status;
        const char *says;
    } wrong[] = {
        {{"bert", 7, 7, 4, .n_scores = 3, .labels = labels, .n_labels = 2}, HD_ERR_FORMAT, "has 3 rows for 2 labels"},
        {{"bert", 7, 7, .pooling = 4}, HD_ERR_UNSUPPORTED, "pooling_type is rank, but there is no \"cls.output.weight\""},
        {{"qwen3", 7, 7, 4, .n_scores = 1}, HD_ERR_FORMAT, "has 1 rows for 2 labels"},
        {{"qwen3", 7, 7, 4, .n_scores = 2, .labels = others, .n_labels = 2},
         HD_ERR_UNSUPPORTED,
         "are not \"yes\" and \"no\""},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_int_equal(read_file(&wrong[i].file, &arena, &settings), wrong[i].status);
        if (strstr(err.text, wrong[i].says) == NULL)
            fail_msg("%s", err.text);
    }
    hd__arena_clear(&arena);
}

static void the_graph_of_bert_is_that_of_several(void **state)
{
    (void)state;
    hd_arena arena;
    hd_settings settings;
    hd__arena_init(&arena);
    assert_int_equal(read_file(&(gguf_settings){"bert", 7, 7, 1, .no_types = true}, &arena, &settings), HD_OK);
    assert_string_equal(settings.model_type, "distilbert");
    assert_int_equal(settings.hidden, 32);
    hd__arena_clear(&arena);
}

static void what_does_not_fit_is_refused(void **state)
{
    (void)state;
    hd_arena arena;
    hd_settings settings;
    hd__arena_init(&arena);
    assert_int_equal(read_file(&(gguf_settings){"llama", 7, 7, .pooling = 1}, &arena, &settings), HD_ERR_UNSUPPORTED);
    assert_non_null(strstr(err.text, "\"llama\", Heddle runs bert, nomic-bert,"));
    assert_int_equal(read_file(&(gguf_settings){"bert", 6, 7, .pooling = 1}, &arena, &settings), HD_ERR_FORMAT);
    assert_non_null(strstr(err.text, "the tokenizer has 6 tokens, \"token_embd.weight\" has 7 rows"));
    assert_int_equal(read_file(&(gguf_settings){"bert", 7, 7, .pooling = 5}, &arena, &settings), HD_ERR_FORMAT);
    assert_non_null(strstr(err.text, "bert.pooling_type"));
    hd__arena_clear(&arena);
}

/* ---- names ---- */

static void names_go_both_ways(void **state)
{
    (void)state;
    static const struct {
        const char *model_type, *gguf, *hub, *beside_head;
    } cases[] = {
        {"bert", "blk.11.attn_q.bias", "encoder.layer.11.attention.self.query.bias",
         "bert.encoder.layer.11.attention.self.query.bias"},
        {"bert", "blk.0.attn_output.weight", "encoder.layer.0.attention.output.dense.weight", NULL},
        {"bert", "blk.0.attn_output_norm.weight", "encoder.layer.0.attention.output.LayerNorm.weight", NULL},
        {"bert", "token_embd.weight", "embeddings.word_embeddings.weight", "bert.embeddings.word_embeddings.weight"},
        {"bert", "cls.weight", "pooler.dense.weight", "bert.pooler.dense.weight"},
        {"bert", "cls.output.weight", "classifier.weight", "classifier.weight"},
        {"xlm-roberta", "cls.weight", "classifier.dense.weight", "classifier.dense.weight"},
        {"xlm-roberta", "cls.output.bias", "classifier.out_proj.bias", "classifier.out_proj.bias"},
        {"roberta", "position_embd.weight", "embeddings.position_embeddings.weight",
         "roberta.embeddings.position_embeddings.weight"},
        {"distilbert", "blk.5.ffn_down.bias", "transformer.layer.5.ffn.lin2.bias", NULL},
        {"nomic_bert", "blk.3.ffn_gate.weight", "encoder.layers.3.mlp.fc12.weight", NULL},
        {"jina_bert", "blk.3.ffn_up.weight", "encoder.layer.3.mlp.gated_layers.weight", NULL},
        {"modernbert", "output_norm.weight", "final_norm.weight", "model.final_norm.weight"},
        {"modernbert", "cls.norm.weight", "head.norm.weight", "head.norm.weight"},
        {"qwen3", "blk.27.attn_k_norm.weight", "layers.27.self_attn.k_norm.weight",
         "model.layers.27.self_attn.k_norm.weight"},
        {"qwen3", "output.weight", "lm_head.weight", "lm_head.weight"},
    };
    static const char *const strangers[] = {"blk.01.attn_q.bias", "blk.attn_q.bias",    "blk.9999.attn_q.bias",
                                            "blk.1.attn_q.scale", "blk.1.attn_q",       "blk.99999999999.attn_q.bias",
                                            "rope_freqs.weight",  "blk.1.attn_qq.bias", ""};
    hd_arena arena;
    const char *name;
    hd__arena_init(&arena);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const hd_gguf_names *names = hd__gguf_names(cases[i].model_type);
        const char *const hubs[] = {cases[i].hub, cases[i].beside_head};
        for (size_t k = 0; k < 2 && hubs[k] != NULL; k++) {
            assert_int_equal(hd__gguf_name_to_hub(names, cases[i].gguf, k == 1, &arena, &name, &err), HD_OK);
            assert_string_equal(name, hubs[k]);
            assert_int_equal(hd__gguf_name_from_hub(names, hubs[k], &arena, &name, &err), HD_OK);
            assert_string_equal(name, cases[i].gguf);
        }
    }
    assert_int_equal(
        hd__gguf_name_from_hub(hd__gguf_names("bert"), "0.auto_model.embeddings.LayerNorm.bias", &arena, &name, &err),
        HD_OK);
    assert_string_equal(name, "token_embd_norm.bias");
    for (size_t i = 0; i < sizeof strangers / sizeof *strangers; i++) {
        assert_int_equal(hd__gguf_name_to_hub(hd__gguf_names("bert"), strangers[i], false, &arena, &name, &err), HD_OK);
        assert_null(name);
        assert_int_equal(hd__gguf_name_from_hub(hd__gguf_names("bert"), strangers[i], &arena, &name, &err), HD_OK);
        assert_null(name);
    }
    assert_null(hd__gguf_names("gpt2"));
    hd__arena_clear(&arena);
}

/* ---- tokenizers ---- */

typedef struct tokens {
    const char *model, *pre;
    const char *const *texts; /* [n] */
    const int32_t *types;     /* [n] */
    uint32_t n;
    uint32_t bos, eos, unk;
} tokens;

static hd_span tokenizer_file(const tokens *t)
{
    hd_buffer b;
    gguf_begin(&b, 3, 0, 10);
    gguf_pair_text(&b, "tokenizer.ggml.model", t->model);
    gguf_pair_text(&b, "tokenizer.ggml.pre", t->pre);
    gguf_pair_array(&b, "tokenizer.ggml.tokens", HD_GGUF_TEXT, t->n);
    for (uint32_t i = 0; i < t->n; i++)
        gguf_text(&b, t->texts[i]);
    gguf_pair_array(&b, "tokenizer.ggml.token_type", HD_GGUF_I32, t->n);
    for (uint32_t i = 0; i < t->n; i++)
        gguf_uint(&b, (uint32_t)t->types[i], 4);
    gguf_pair_array(&b, "tokenizer.ggml.scores", HD_GGUF_F32, t->n);
    for (uint32_t i = 0; i < t->n; i++)
        gguf_uint(&b, 0xC0000000u, 4); /* -2 */
    gguf_pair_array(&b, "tokenizer.ggml.merges", HD_GGUF_TEXT, 1);
    gguf_text(&b, "a \xC4\xA0");
    gguf_pair_array(&b, "tokenizer.ggml.precompiled_charsmap", HD_GGUF_U8, 4);
    gguf_uint(&b, 0x01020304, 4);
    gguf_pair_uint(&b, "tokenizer.ggml.bos_token_id", HD_GGUF_U32, t->bos, 4);
    gguf_pair_uint(&b, "tokenizer.ggml.eos_token_id", HD_GGUF_U32, t->eos, 4);
    gguf_pair_uint(&b, "tokenizer.ggml.unknown_token_id", HD_GGUF_U32, t->unk, 4);
    return gguf_end(&b);
}

static hd_status write_tokenizer(const tokens *t, json_t **root)
{
    hd_span file = tokenizer_file(t);
    hd_arena arena;
    hd_gguf gguf;
    hd_buffer json;
    hd__buffer_init(&json);
    hd__arena_init(&arena);
    hd_status status = hd__gguf_parse(file, "m.gguf", &arena, &gguf, &err);
    if (status == HD_OK)
        status = hd__gguf_write_tokenizer(&gguf, &json, &err);
    if (status == HD_OK)
        status = hd__json_parse(hd__buffer_span(&json), "written", root, &err);
    hd__buffer_clear(&json);
    hd__arena_clear(&arena);
    free((void *)(uintptr_t)file.ptr);
    return status;
}

static json_t *at(const json_t *root, const char *a, const char *b)
{
    return json_object_get(json_object_get(root, a), b);
}

static void wordpiece_gets_its_marks_back(void **state)
{
    (void)state;
    static const char *const texts[] = {"[UNK]", "[CLS]", "[SEP]", "\xE2\x96\x81hey", "ing", "[unused0]", "\xE2\x96\x81\"\\",
                                        "[PAD7]"};
    json_t *root;
    assert_int_equal(write_tokenizer(&(tokens){"bert", "", texts, (int32_t[]){3, 3, 3, 1, 1, 1, 1, 5}, 8, 1, 2, 0}, &root),
                     HD_OK);
    static const char *const wanted[] = {"[UNK]", "[CLS]", "[SEP]", "hey", "##ing", "[unused0]", "\"\\"};
    const json_t *vocab = at(root, "model", "vocab");
    assert_int_equal(json_object_size(vocab), 7);
    for (size_t i = 0; i < 7; i++)
        assert_int_equal(json_integer_value(json_object_get(vocab, wanted[i])), i);
    assert_true(json_is_true(at(root, "normalizer", "lowercase")));
    assert_int_equal(json_array_size(json_object_get(root, "added_tokens")), 3);
    assert_int_equal(json_array_size(at(root, "post_processor", "single")), 3);
    assert_int_equal(json_array_size(at(root, "post_processor", "pair")), 5);
    json_decref(root);

    static const char *const cased[] = {"[UNK]", "[CLS]", "[SEP]", "\xE2\x96\x81Hey"};
    assert_int_equal(write_tokenizer(&(tokens){"bert", "", cased, (int32_t[]){3, 3, 3, 1}, 4, 1, 2, 0}, &root), HD_OK);
    assert_true(json_is_false(at(root, "normalizer", "lowercase")));
    json_decref(root);

    assert_int_equal(write_tokenizer(&(tokens){"bert", "", cased, (int32_t[]){3, 3, 3, 1}, 4, 4, 2, 0}, &root),
                     HD_ERR_FORMAT);
    assert_non_null(strstr(err.text, "bos_token_id"));
}

static void unigram_keeps_its_scores_and_table(void **state)
{
    (void)state;
    static const char *const texts[] = {"<s>", "<pad>", "</s>", "<unk>", "\xE2\x96\x81hey", "<tool>"};
    json_t *root;
    assert_int_equal(write_tokenizer(&(tokens){"t5", "default", texts, (int32_t[]){3, 3, 3, 2, 1, 4}, 6, 0, 2, 3}, &root),
                     HD_OK);
    assert_string_equal(json_string_value(at(root, "normalizer", "precompiled_charsmap")), "BAMCAQ==");
    assert_int_equal(json_integer_value(at(root, "model", "unk_id")), 3);
    const json_t *piece = json_array_get(at(root, "model", "vocab"), 4);
    assert_string_equal(json_string_value(json_array_get(piece, 0)), texts[4]);
    assert_true(json_number_value(json_array_get(piece, 1)) == -2.0);
    assert_int_equal(json_array_size(json_object_get(root, "added_tokens")), 5);
    assert_int_equal(json_array_size(at(root, "post_processor", "pair")), 6); /* two </s> between the texts */
    json_decref(root);
}

static void bpe_names_its_pre_tokenizer(void **state)
{
    (void)state;
    static const char *const texts[] = {"a", "\xC4\xA0", "a\xC4\xA0", "<|end|>", "[PAD4]"};
    static const int32_t types[] = {1, 1, 1, 3, 5};
    static const char *const known[] = {"gpt-2",
                                        "roberta-bpe",
                                        "jina-v2-code",
                                        "jina-v1-en",
                                        "jina-v2-de",
                                        "jina-v2-es",
                                        "jina-de",
                                        "jina-es",
                                        "modern-bert",
                                        "qwen2",
                                        "deepseek-r1-qwen",
                                        "f2llmv2",
                                        "kormo",
                                        "megrez",
                                        "granite-embed-multi-97m",
                                        "granite-embed-multi-311m"};
    json_t *root;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        assert_int_equal(write_tokenizer(&(tokens){"gpt2", known[i], texts, types, 5, 3, 3, 3}, &root), HD_OK);
        assert_int_equal(json_object_size(at(root, "model", "vocab")), 4); /* all but [PAD4] */
        assert_string_equal(json_string_value(json_array_get(at(root, "model", "merges"), 0)), "a \xC4\xA0");
        assert_true(json_is_object(json_object_get(root, "pre_tokenizer")));
        json_decref(root);
    }
    assert_int_equal(write_tokenizer(&(tokens){"gpt2", "llama3", texts, types, 5, 3, 3, 3}, &root), HD_ERR_UNSUPPORTED);
    assert_non_null(strstr(err.text, "\"llama3\", Heddle runs gpt-2,"));
    assert_int_equal(write_tokenizer(&(tokens){"rwkv", "", texts, types, 5, 3, 3, 3}, &root), HD_ERR_UNSUPPORTED);
    assert_non_null(strstr(err.text, "\"rwkv\", Heddle runs bert, t5, gpt2, llama and whitespace"));
}

static void plain_bpe_has_an_unknown_token(void **state)
{
    (void)state;
    static const char *const texts[] = {"<unk>", "<s>", "</s>", "a"};
    json_t *root;
    assert_int_equal(
        write_tokenizer(&(tokens){"whitespace", "whitespace", texts, (int32_t[]){3, 3, 3, 1}, 4, 1, 2, 0}, &root), HD_OK);
    assert_string_equal(json_string_value(at(root, "model", "unk_token")), "<unk>");
    assert_string_equal(json_string_value(at(root, "pre_tokenizer", "type")), "Whitespace");
    json_decref(root);
}

/* Scores are all the same here: longer left halves come first, then tokens in their order. */
static void scores_become_merges(void **state)
{
    (void)state;
    static const char *const texts[] = {"<unk>", "<s>", "</s>",     "<0x0A>",    "a", "b",
                                        "ab",    "aab", "\xC3\xA9", "a\xC3\xA9", "c<"};
    static const int32_t types[] = {2, 3, 3, 6, 1, 1, 1, 1, 1, 1, 4};
    static const char *const wanted[][2] = {{"a", "ab"}, {"a", "b"}, {"a", "\xC3\xA9"}};
    json_t *root;
    assert_int_equal(write_tokenizer(&(tokens){"llama", "default", texts, types, 11, 1, 2, 0}, &root), HD_OK);
    const json_t *merges = at(root, "model", "merges");
    assert_int_equal(json_array_size(merges), 3);
    for (size_t i = 0; i < 3; i++)
        for (size_t k = 0; k < 2; k++)
            assert_string_equal(json_string_value(json_array_get(json_array_get(merges, i), k)), wanted[i][k]);
    assert_true(json_is_true(at(root, "model", "byte_fallback")));
    assert_int_equal(json_object_size(at(root, "model", "vocab")), 11);
    assert_int_equal(json_array_size(json_object_get(root, "added_tokens")), 4);
    assert_int_equal(json_array_size(at(root, "post_processor", "single")), 2); /* no </s> unless a key says so */
    json_decref(root);

    char piece[HD_LIMIT_PIECE_BYTES + 2] = {0};
    const char *const long_texts[] = {"<unk>", "<s>", "</s>", piece};
    memset(piece, 'a', HD_LIMIT_PIECE_BYTES);
    assert_int_equal(write_tokenizer(&(tokens){"llama", "default", long_texts, types, 3, 1, 2, 0}, &root), HD_OK);
    json_decref(root);
    static const int32_t long_types[] = {2, 3, 3, 1};
    assert_int_equal(write_tokenizer(&(tokens){"llama", "default", long_texts, long_types, 4, 1, 2, 0}, &root), HD_OK);
    json_decref(root);
    piece[HD_LIMIT_PIECE_BYTES] = 'a';
    assert_int_equal(write_tokenizer(&(tokens){"llama", "default", long_texts, long_types, 4, 1, 2, 0}, &root),
                     HD_ERR_LIMIT);
    assert_non_null(strstr(err.text, "token 3 has 257 bytes"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(settings_are_those_of_the_metadata),
        cmocka_unit_test(a_classifier_has_labels),
        cmocka_unit_test(the_graph_of_bert_is_that_of_several),
        cmocka_unit_test(what_does_not_fit_is_refused),
        cmocka_unit_test(names_go_both_ways),
        cmocka_unit_test(wordpiece_gets_its_marks_back),
        cmocka_unit_test(unigram_keeps_its_scores_and_table),
        cmocka_unit_test(bpe_names_its_pre_tokenizer),
        cmocka_unit_test(plain_bpe_has_an_unknown_token),
        cmocka_unit_test(scores_become_merges),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
