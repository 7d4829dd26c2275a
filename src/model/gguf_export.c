/* gguf_export.c - see gguf_export.h. */
#include "model/gguf_export.h"

#include <stdio.h>

#include "base/alloc.h"
#include "base/json.h"
#include "model/gguf_names.h"
#include "model/gguf_writer.h"
#include "model/quantise.h"

#define WORD_BEGIN "\xE2\x96\x81"                               /* U+2581 */
enum { NORMAL = 1, CONTROL = 3, USER_DEFINED = 4, UNUSED = 5 }; /* tokenizer.ggml.token_type */
enum { PIECE = 16384 };                                         /* values converted at a time, a multiple of every block */

typedef struct planned {
    const hd_tensor *from;
    const char *name;
    hd_tensor_type type;
} planned;

typedef struct export
{
    const hd_settings *settings;
    hd_tensor_type type;
    hd_arena arena;
    hd_gguf_writer writer;
    hd_file_writer file;
    hd_tensors *tensors;
    planned *plan; /* [n_plan] */
    size_t n_plan;
    float *values; /* [PIECE] */
    char *bytes;   /* [PIECE * 4] */
    hd_error *err;
}
export;

static hd_status no_memory(const export *e)
{
    return hd__fail(e->err, HD_ERR_MEMORY, "%s: no memory to write it as GGUF", e->settings->dir);
}

static hd_status refuse(const export *e, const char *what)
{
    return hd__fail(e->err, HD_ERR_UNSUPPORTED, "%s: GGUF has no place for %s", e->settings->dir, what);
}

/* ---- settings ---- */

static hd_status put_settings(export *e)
{
    const hd_settings *s = e->settings;
    hd_gguf_writer *w = &e->writer;
    if (strcmp(s->model_type, "bert") != 0)
        return hd__fail(e->err, HD_ERR_UNSUPPORTED,
                        "%s: models of type \"%s\" are not written as GGUF, those of type \"bert\" are", s->dir,
                        s->model_type);
    if (s->n_dense > 0 || s->heads != HD_HEAD_DENSE || s->activation != HD_ACTIVATION_GELU)
        return refuse(e, s->n_dense > 0 ? "Dense modules" : s->heads != HD_HEAD_DENSE ? "its heads" : "its activation");
    const uint32_t pooling = s->pooling == HD_POOLING_MEAN   ? 1
                             : s->pooling == HD_POOLING_CLS  ? 2
                             : s->pooling == HD_POOLING_LAST ? 3
                                                             : 0;
    if (pooling == 0)
        return refuse(e, "its pooling: mean, cls and last have one");
    hd__gguf_put_text(w, "general.architecture", hd__span_of("bert"));
    hd__gguf_put_text(w, "general.type", hd__span_of("model"));
    hd__gguf_put_uint(w, "general.file_type", e->type == HD_TENSOR_F32 ? 0 : e->type == HD_TENSOR_F16 ? 1 : 7);
    hd__gguf_put_uint(w, "general.quantization_version", 2);
    hd__gguf_put_uint(w, "bert.block_count", s->n_layers);
    hd__gguf_put_uint(w, "bert.context_length", s->n_positions);
    hd__gguf_put_uint(w, "bert.embedding_length", s->hidden);
    hd__gguf_put_uint(w, "bert.feed_forward_length", s->intermediate);
    hd__gguf_put_uint(w, "bert.attention.head_count", s->n_heads);
    hd__gguf_put_real(w, "bert.attention.layer_norm_epsilon", (float)s->norm_eps);
    hd__gguf_put_bool(w, "bert.attention.causal", false);
    hd__gguf_put_uint(w, "bert.pooling_type", pooling);
    hd__gguf_put_uint(w, "tokenizer.ggml.token_type_count", s->n_token_types);
    return HD_OK;
}

/* ---- tokenizer ---- */

typedef struct token {
    const char *text;
    int32_t type;
} token;

static hd_status collect_tokens(export *e, const json_t *root, const char *path, token *tokens)
{
    const uint32_t n = e->settings->vocab_size;
    const char *text;
    json_t *value;
    size_t i;
    json_object_foreach (json_object_get(json_object_get(root, "model"), "vocab"), text, value) {
        const json_int_t id = json_integer_value(value);
        if (!json_is_integer(value) || id < 0 || id >= (json_int_t)n)
            return hd__fail(e->err, HD_ERR_FORMAT,
                            "%s: token \"%s\" has an id that is not below config.json's vocab_size %u", path, text, n);
        tokens[id] = (token){text, NORMAL};
    }
    json_array_foreach (json_object_get(root, "added_tokens"), i, value) {
        const json_int_t id = json_integer_value(json_object_get(value, "id"));
        text = json_string_value(json_object_get(value, "content"));
        if (text == NULL || id < 0 || id >= (json_int_t)n)
            return hd__fail(e->err, HD_ERR_FORMAT, "%s: added token %zu has no text, or an id that is not below %u", path, i,
                            n);
        tokens[id] = (token){text, json_is_true(json_object_get(value, "special")) ? CONTROL : USER_DEFINED};
    }
    return HD_OK;
}

/* WordPiece's words with U+2581 in front, the other pieces without "##". */
static void put_token(const token *t, uint32_t id, hd_buffer *texts, hd_buffer *types)
{
    char unused[24];
    int32_t type = t->text != NULL ? t->type : UNUSED;
    const char *text = t->text, *begin = "";
    if (text == NULL) {
        snprintf(unused, sizeof unused, "[PAD%u]", id);
        text = unused;
    } else if (type == NORMAL && strncmp(text, "##", 2) == 0) {
        text += 2;
    } else if (type == NORMAL) {
        begin = WORD_BEGIN;
    }
    hd__buffer_append_uint(texts, strlen(begin) + strlen(text), 8);
    hd__buffer_append_text(texts, begin);
    hd__buffer_append_text(texts, text);
    hd__buffer_append(types, &type, sizeof type);
}

static hd_status put_id(export *e, const token *tokens, const char *text, const char *key, bool required)
{
    for (uint32_t i = 0; text != NULL && i < e->settings->vocab_size; i++) {
        if (tokens[i].text != NULL && strcmp(tokens[i].text, text) == 0) {
            hd__gguf_put_uint(&e->writer, key, i);
            return HD_OK;
        }
    }
    return required ? hd__fail(e->err, HD_ERR_FORMAT, "%s/tokenizer.json: no token for %s", e->settings->dir, key) : HD_OK;
}

/* The text of the special token at one end of a single text's template. */
static const char *template_end(const json_t *root, bool last)
{
    const json_t *processor = json_object_get(root, "post_processor"), *single = json_object_get(processor, "single");
    const json_t *piece = json_array_get(single, last ? json_array_size(single) - 1 : 0);
    if (single != NULL)
        return json_string_value(json_object_get(json_object_get(piece, "SpecialToken"), "id"));
    return json_string_value(json_array_get(json_object_get(processor, last ? "sep" : "cls"), 0));
}

static hd_status put_specials(export *e, const json_t *root, const token *tokens)
{
    hd_gguf_writer *w = &e->writer;
    const char *unk = json_string_value(json_object_get(json_object_get(root, "model"), "unk_token"));
    const char *end = template_end(root, true);
    HD_TRY(put_id(e, tokens, template_end(root, false), "tokenizer.ggml.bos_token_id", true));
    HD_TRY(put_id(e, tokens, end, "tokenizer.ggml.eos_token_id", true));
    HD_TRY(put_id(e, tokens, end, "tokenizer.ggml.seperator_token_id", true));
    HD_TRY(put_id(e, tokens, unk, "tokenizer.ggml.unknown_token_id", true));
    HD_TRY(put_id(e, tokens, "[MASK]", "tokenizer.ggml.mask_token_id", false));
    if (e->settings->pad_id >= 0)
        hd__gguf_put_uint(w, "tokenizer.ggml.padding_token_id", (uint32_t)e->settings->pad_id);
    hd__gguf_put_bool(w, "tokenizer.ggml.add_bos_token", true);
    hd__gguf_put_bool(w, "tokenizer.ggml.add_eos_token", true);
    return HD_OK;
}

static hd_status put_normalizer(export *e, const json_t *root)
{
    const json_t *normalizer = json_object_get(root, "normalizer"), *accents = json_object_get(normalizer, "strip_accents");
    const char *type = json_string_value(json_object_get(normalizer, "type"));
    if (type == NULL || strcmp(type, "BertNormalizer") != 0)
        return refuse(e, "a normaliser other than BERT's");
    hd__gguf_put_bool(&e->writer, "tokenizer.ggml.normalizer.lowercase",
                      json_is_true(json_object_get(normalizer, "lowercase")));
    if (json_is_boolean(accents))
        hd__gguf_put_bool(&e->writer, "tokenizer.ggml.normalizer.strip_accents", json_is_true(accents));
    return HD_OK;
}

static hd_status put_vocabulary(export *e, const json_t *root, const char *path)
{
    const uint32_t n = e->settings->vocab_size;
    const char *type = json_string_value(json_object_get(json_object_get(root, "model"), "type"));
    token *tokens = hd__arena_calloc(&e->arena, n, sizeof *tokens);
    if (tokens == NULL)
        return no_memory(e);
    if (type == NULL || strcmp(type, "WordPiece") != 0)
        return hd__fail(e->err, HD_ERR_UNSUPPORTED, "%s: a tokenizer of type \"%s\" is not written as GGUF, WordPiece is",
                        path, type != NULL ? type : "");
    HD_TRY(collect_tokens(e, root, path, tokens));
    hd__gguf_put_text(&e->writer, "tokenizer.ggml.model", hd__span_of("bert"));
    hd__gguf_put_text(&e->writer, "tokenizer.ggml.pre", hd__span_of("default"));
    hd_buffer texts, types;
    hd__buffer_init(&texts);
    hd__buffer_init(&types);
    for (uint32_t i = 0; i < n; i++)
        put_token(&tokens[i], i, &texts, &types);
    hd__gguf_put_array(&e->writer, "tokenizer.ggml.tokens", HD_GGUF_TEXT, n, hd__buffer_span(&texts));
    hd__gguf_put_array(&e->writer, "tokenizer.ggml.token_type", HD_GGUF_I32, n, hd__buffer_span(&types));
    const bool failed = texts.failed || types.failed;
    hd__buffer_clear(&texts);
    hd__buffer_clear(&types);
    HD_TRY(failed ? no_memory(e) : HD_OK);
    HD_TRY(put_specials(e, root, tokens));
    return put_normalizer(e, root);
}

static hd_status put_tokenizer(export *e)
{
    json_t *root;
    const char *path = hd__arena_printf(&e->arena, "%s/tokenizer.json", e->settings->dir);
    if (path == NULL)
        return no_memory(e);
    HD_TRY(hd__json_read(path, &root, e->err));
    hd_status status = put_vocabulary(e, root, path);
    json_decref(root);
    return status;
}

/* ---- tensors ---- */

static bool begins_with(const char *text, const char *begin)
{
    return strncmp(text, begin, strlen(begin)) == 0;
}

/* What vectors do not depend on. */
static bool is_left_out(const char *name)
{
    return begins_with(name, "pooler.") || begins_with(name, "cls.") || strcmp(name, "embeddings.position_ids") == 0;
}

/* "gamma" and "beta" are what old checkpoints call a LayerNorm's weight and bias. */
static const char *modern_name(const char *name, hd_arena *arena)
{
    const size_t n = strlen(name);
    if (n > 6 && strcmp(name + n - 6, ".gamma") == 0)
        return hd__arena_printf(arena, "%.*s.weight", (int)(n - 6), name);
    if (n > 5 && strcmp(name + n - 5, ".beta") == 0)
        return hd__arena_printf(arena, "%.*s.bias", (int)(n - 5), name);
    return name;
}

static hd_tensor_type type_of(const export *e, const hd_tensor *t, const char *gguf_name)
{
    if (t->n_dims != 2 || begins_with(gguf_name, "position_embd") || begins_with(gguf_name, "token_types"))
        return HD_TENSOR_F32;
    return t->dims[1] % hd__tensor_type_block(e->type) == 0 ? e->type : HD_TENSOR_F16;
}

static hd_status plan_tensors(export *e)
{
    HD_TRY(hd__tensors_open(e->settings->dir, &e->tensors, e->err));
    const size_t n = hd__tensors_count(e->tensors);
    e->plan = hd__arena_calloc(&e->arena, n, sizeof *e->plan);
    if (e->plan == NULL)
        return no_memory(e);
    for (size_t i = 0; i < n; i++) {
        const hd_tensor *t = hd__tensors_at(e->tensors, i);
        const char *name = modern_name(begins_with(t->name, "bert.") ? t->name + strlen("bert.") : t->name, &e->arena),
                   *gguf;
        if (name == NULL)
            return no_memory(e);
        if (is_left_out(name))
            continue;
        HD_TRY(hd__gguf_name_from_hub(hd__gguf_names("bert"), name, &e->arena, &gguf, e->err));
        if (gguf == NULL)
            return hd__fail(e->err, HD_ERR_UNSUPPORTED, "%s: GGUF has no name for tensor \"%s\"", t->file, t->name);
        e->plan[e->n_plan] = (planned){t, gguf, type_of(e, t, gguf)};
        hd__gguf_put_tensor(&e->writer, gguf, e->plan[e->n_plan++].type, t->n_dims, t->dims);
    }
    return HD_OK;
}

static hd_status write_tensor(export *e, const planned *p)
{
    for (uint64_t at = 0; at < p->from->n_elements; at += PIECE) {
        const uint64_t left = p->from->n_elements - at, n = left < PIECE ? left : PIECE;
        uint64_t bytes = 0;
        HD_TRY(hd__tensor_read_f32(p->from, at, n, e->values, e->err));
        if (p->type == HD_TENSOR_F32)
            memcpy(e->bytes, e->values, (size_t)n * sizeof *e->values);
        else if (p->type == HD_TENSOR_F16)
            hd__quantise_f16(e->values, (size_t)n, e->bytes);
        else
            hd__quantise_q8_0(e->values, (size_t)n, e->bytes);
        hd__tensor_type_size(p->type, n, &bytes);
        hd__file_writer_add(&e->file, hd__span(e->bytes, (size_t)bytes));
    }
    hd__file_writer_align(&e->file, 32);
    hd__tensor_forget(p->from);
    return HD_OK;
}

static hd_status write_file(export *e, const char *path)
{
    HD_TRY(hd__file_writer_open(&e->file, path, e->err));
    hd_status status = hd__gguf_writer_end(&e->writer, &e->file, e->err);
    for (size_t i = 0; status == HD_OK && i < e->n_plan; i++)
        status = write_tensor(e, &e->plan[i]);
    if (status == HD_OK)
        return hd__file_writer_commit(&e->file, e->err);
    hd__file_writer_abandon(&e->file);
    return status;
}

static hd_status run(export *e, const char *path)
{
    e->values = hd__arena_alloc(&e->arena, PIECE * sizeof *e->values);
    e->bytes = hd__arena_alloc(&e->arena, PIECE * sizeof *e->values);
    if (e->values == NULL || e->bytes == NULL)
        return no_memory(e);
    HD_TRY(put_settings(e));
    HD_TRY(put_tokenizer(e));
    HD_TRY(plan_tensors(e));
    return write_file(e, path);
}

hd_status hd__gguf_export(const hd_settings *settings, hd_tensor_type type, const char *path, hd_error *err)
{
    export e = {.settings = settings, .type = type, .err = err};
    hd__arena_init(&e.arena);
    hd__gguf_writer_init(&e.writer);
    hd_status status = run(&e, path);
    hd__tensors_close(e.tensors);
    hd__gguf_writer_clear(&e.writer);
    hd__arena_clear(&e.arena);
    return status;
}
