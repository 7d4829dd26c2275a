/* What GGUF's metadata becomes: settings, names of tensors, a tokenizer.json; for each architecture that has a table. */
#include "model/gguf_settings.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/json.h"
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
} gguf_settings;

static const char *write_file(scratch *s, const gguf_settings *f)
{
    hd_buffer b;
    char key[64];
    const char *name = f->architecture;
    gguf_begin(&b, 3, 1, f->pooling >= 0 ? 9 : 8);
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
    gguf_tensor(&b, "token_embd.weight", 0, 2, (uint64_t[]){32, f->n_rows}, 0);
    gguf_pad(&b, 32);
    for (uint32_t i = 0; i < f->n_rows * 128; i++)
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
    hd_status status = hd__settings_read(write_file(&s, f), arena, settings, &err);
    scratch_end(&s);
    return status;
}

static void settings_are_those_of_the_metadata(void **state)
{
    (void)state;
    hd_arena arena;
    hd_settings settings;
    hd__arena_init(&arena);
    assert_int_equal(read_file(&(gguf_settings){"bert", 7, 7, 2}, &arena, &settings), HD_OK);
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
        assert_int_equal(read_file(&(gguf_settings){"bert", 7, 7, poolings[i].said}, &arena, &settings), HD_OK);
        assert_int_equal(settings.pooling, poolings[i].pooling);
    }
    hd__arena_clear(&arena);
}

static void what_does_not_fit_is_refused(void **state)
{
    (void)state;
    hd_arena arena;
    hd_settings settings;
    hd__arena_init(&arena);
    assert_int_equal(read_file(&(gguf_settings){"llama", 7, 7, 1}, &arena, &settings), HD_ERR_UNSUPPORTED);
    assert_non_null(strstr(err.text, "\"llama\", Heddle runs bert, nomic-bert,"));
    assert_int_equal(read_file(&(gguf_settings){"bert", 6, 7, 1}, &arena, &settings), HD_ERR_FORMAT);
    assert_non_null(strstr(err.text, "the tokenizer has 6 tokens, \"token_embd.weight\" has 7 rows"));
    assert_int_equal(read_file(&(gguf_settings){"bert", 7, 7, 5}, &arena, &settings), HD_ERR_FORMAT);
    assert_non_null(strstr(err.text, "bert.pooling_type"));
    hd__arena_clear(&arena);
}

/* ---- names ---- */

static void names_go_both_ways(void **state)
{
    (void)state;
    static const char *const cases[][3] = {
        {"bert", "blk.11.attn_q.bias", "encoder.layer.11.attention.self.query.bias"},
        {"bert", "blk.0.attn_output.weight", "encoder.layer.0.attention.output.dense.weight"},
        {"bert", "blk.0.attn_output_norm.weight", "encoder.layer.0.attention.output.LayerNorm.weight"},
        {"bert", "token_embd.weight", "embeddings.word_embeddings.weight"},
        {"bert", "cls.output.weight", "classifier.out_proj.weight"},
        {"nomic-bert", "blk.3.ffn_gate.weight", "encoder.layers.3.mlp.fc12.weight"},
        {"jina-bert-v2", "blk.3.ffn_up.weight", "encoder.layer.3.mlp.gated_layers.weight"},
        {"modern-bert", "output_norm.weight", "final_norm.weight"},
        {"qwen3", "blk.27.attn_k_norm.weight", "model.layers.27.self_attn.k_norm.weight"},
    };
    static const char *const strangers[] = {"blk.01.attn_q.bias", "blk.attn_q.bias",    "blk.9999.attn_q.bias",
                                            "blk.1.attn_q.scale", "blk.1.attn_q",       "blk.99999999999.attn_q.bias",
                                            "rope_freqs.weight",  "blk.1.attn_qq.bias", ""};
    hd_arena arena;
    const char *name;
    hd__arena_init(&arena);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const hd_gguf_name *table = hd__gguf_names(cases[i][0]);
        assert_int_equal(hd__gguf_name_to_hub(table, cases[i][1], &arena, &name, &err), HD_OK);
        assert_string_equal(name, cases[i][2]);
        assert_int_equal(hd__gguf_name_from_hub(table, cases[i][2], &arena, &name, &err), HD_OK);
        assert_string_equal(name, cases[i][1]);
    }
    for (size_t i = 0; i < sizeof strangers / sizeof *strangers; i++) {
        assert_int_equal(hd__gguf_name_to_hub(hd__gguf_names("bert"), strangers[i], &arena, &name, &err), HD_OK);
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
    static const char *const known[] = {"gpt-2", "roberta-bpe", "jina-v2-code", "modern-bert", "qwen2"};
    json_t *root;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        assert_int_equal(write_tokenizer(&(tokens){"gpt2", known[i], texts, types, 5, 3, 3, 3}, &root), HD_OK);
        assert_int_equal(json_object_size(at(root, "model", "vocab")), 3);
        assert_string_equal(json_string_value(json_array_get(at(root, "model", "merges"), 0)), "a \xC4\xA0");
        assert_true(json_is_object(json_object_get(root, "pre_tokenizer")));
        json_decref(root);
    }
    assert_int_equal(write_tokenizer(&(tokens){"gpt2", "llama3", texts, types, 5, 3, 3, 3}, &root), HD_ERR_UNSUPPORTED);
    assert_non_null(strstr(err.text, "\"llama3\", Heddle runs gpt-2,"));
    assert_int_equal(write_tokenizer(&(tokens){"llama", "", texts, types, 5, 3, 3, 3}, &root), HD_ERR_UNSUPPORTED);
    assert_non_null(strstr(err.text, "\"llama\", Heddle runs bert, t5 and gpt2"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(settings_are_those_of_the_metadata),
        cmocka_unit_test(what_does_not_fit_is_refused),
        cmocka_unit_test(names_go_both_ways),
        cmocka_unit_test(wordpiece_gets_its_marks_back),
        cmocka_unit_test(unigram_keeps_its_scores_and_table),
        cmocka_unit_test(bpe_names_its_pre_tokenizer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
