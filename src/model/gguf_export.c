/* gguf_export.c - see gguf_export.h. */
#include "model/gguf_export.h"

#include <stdio.h>

#include "base/alloc.h"
#include "base/log.h"
#include "model/gguf_names.h"
#include "model/gguf_settings.h"
#include "model/gguf_vocab.h"
#include "model/gguf_writer.h"
#include "model/qwen3_prompt.h"
#include "model/quantise.h"
#include "model/tensors.h"

/* A tensor of the file: values of one of the folder, in one run or in two. */
typedef struct planned {
    const hd_tensor *from;
    const char *name;
    hd_tensor_type type;
    uint64_t first[2], n[2]; /* values of a run; n[1] is 0 when there is one */
} planned;

typedef struct export
{
    const hd_settings *settings;
    const hd_gguf_names *names;
    const char *architecture; /* GGUF's */
    hd_tensor_type type;
    hd_arena arena;
    hd_gguf_writer writer;
    hd_file_writer file;
    hd_tensors *tensors;
    planned *plan; /* [n_plan] */
    size_t n_plan;
    int32_t answers[2]; /* ids of "no" and "yes" */
    float *values;      /* [HD_TENSOR_PIECE] */
    char *bytes;        /* [HD_TENSOR_PIECE * 4] */
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

static bool is_architecture(const export *e, const char *name)
{
    return strcmp(e->architecture, name) == 0;
}

/* ---- settings ---- */

/* Models of llama.cpp's by hd_settings' model_type; their tensors' names are in gguf_names.c. */
static hd_status find_architecture(export *e)
{
    static const struct {
        const char *model_type, *architecture;
    } known[] = {
        {"bert", "bert"},       {"roberta", "bert"},          {"xlm-roberta", "bert"},       {"camembert", "bert"},
        {"distilbert", "bert"}, {"nomic_bert", "nomic-bert"}, {"jina_bert", "jina-bert-v2"}, {"modernbert", "modern-bert"},
        {"qwen3", "qwen3"},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (strcmp(e->settings->model_type, known[i].model_type) == 0)
            e->architecture = known[i].architecture;
    }
    e->names = hd__gguf_names(e->settings->model_type);
    if (e->architecture == NULL || e->names == NULL)
        return hd__fail(e->err, HD_ERR_UNSUPPORTED,
                        "%s: models of type \"%s\" are not written as GGUF; those of bert, roberta, xlm-roberta, camembert, "
                        "distilbert, nomic_bert, jina_bert, modernbert and qwen3 are",
                        e->settings->dir, e->settings->model_type);
    return HD_OK;
}

/* A classifier, as against vectors or the answer of a Qwen3-Reranker. */
static bool classifies(const hd_settings *s)
{
    return s->heads == HD_HEAD_SCORES && !s->judges;
}

static hd_status check_places(const export *e)
{
    const hd_settings *s = e->settings;
    const bool gated = is_architecture(e, "nomic-bert") || is_architecture(e, "qwen3");
    const bool classifier_has_place = e->names->head[0].gguf != NULL && !is_architecture(e, "qwen3");
    if (s->n_dense > 0)
        return refuse(e, "Dense modules");
    if (s->adapter_dir != NULL)
        return refuse(e, "an adapter: let PEFT merge it (merge_and_unload)");
    if (s->has_sides)
        return refuse(e, "encoders of queries and of documents beside each other");
    if (classifies(s) ? !classifier_has_place : !s->judges && (s->heads & HD_HEAD_DENSE) == 0)
        return refuse(e, "its heads");
    if ((s->heads & (HD_HEAD_SPARSE | HD_HEAD_MULTI)) != 0)
        hd__log(HD_LOG_WARN, "%s: GGUF has no place for its sparse and multi-vector heads: they are left out", s->dir);
    if (s->activation != (gated ? HD_ACTIVATION_SILU : HD_ACTIVATION_GELU) &&
        !(is_architecture(e, "modern-bert") && s->activation == HD_ACTIVATION_SILU))
        return refuse(e, "its activation");
    if (classifies(s) && is_architecture(e, "modern-bert") && s->score_activation != HD_ACTIVATION_GELU)
        return refuse(e, "its classifier's activation");
    if (s->lower_case)
        return refuse(e, "\"do_lower_case\"");
    if ((s->heads & HD_HEAD_DENSE) != 0 && !s->judges && hd__gguf_pooling_type(s->pooling) == 0)
        return refuse(e, "its pooling: mean, cls and last have one");
    return HD_OK;
}

static void put_uint(export *e, const char *key, uint32_t value)
{
    char full[96];
    snprintf(full, sizeof full, "%s.%s", e->architecture, key);
    hd__gguf_put_uint(&e->writer, full, value);
}

static void put_real(export *e, const char *key, double value)
{
    char full[96];
    snprintf(full, sizeof full, "%s.%s", e->architecture, key);
    hd__gguf_put_real(&e->writer, full, (float)value);
}

static hd_status put_texts(export *e, const char *key, const char *const *values, uint32_t n)
{
    hd_buffer texts;
    hd__buffer_init(&texts);
    for (uint32_t i = 0; i < n; i++) {
        hd__buffer_append_uint(&texts, strlen(values[i]), 8);
        hd__buffer_append_text(&texts, values[i]);
    }
    hd__gguf_put_array(&e->writer, key, HD_GGUF_TEXT, n, hd__buffer_span(&texts));
    const bool failed = texts.failed;
    hd__buffer_clear(&texts);
    return failed ? no_memory(e) : HD_OK;
}

/* What becomes of the last hidden states. */
static hd_status put_heads(export *e)
{
    static const char *const answers[] = {"yes", "no"}, *const templates[] = {"rerank"};
    const hd_settings *s = e->settings;
    char labels[96];
    if (!classifies(s) && !s->judges) {
        put_uint(e, "pooling_type", hd__gguf_pooling_type(s->pooling));
        return HD_OK;
    }
    put_uint(e, "pooling_type", HD_GGUF_POOLING_RANK);
    snprintf(labels, sizeof labels, "%s.classifier.output_labels", e->architecture);
    if (classifies(s))
        return put_texts(e, labels, s->labels, s->n_labels);
    hd__gguf_put_text(&e->writer, "tokenizer.chat_template.rerank", hd__span_of(HD_QWEN3_TEMPLATE));
    HD_TRY(put_texts(e, "tokenizer.chat_templates", templates, 1));
    return put_texts(e, labels, answers, 2);
}

static void put_modern(export *e)
{
    const hd_settings *s = e->settings;
    put_uint(e, "attention.sliding_window", s->local_window * 2);
    put_uint(e, "attention.sliding_window_pattern", s->global_every);
    put_uint(e, "vocab_size", s->vocab_size);
    put_real(e, "rope.freq_base", s->rotary_theta);
    put_real(e, "rope.freq_base_swa", s->rotary_theta_local);
    hd__gguf_put_text(&e->writer, "modern-bert.rope.scaling.type", hd__span_of("none"));
    hd__gguf_put_text(&e->writer, "modern-bert.hidden_activation",
                      hd__span_of(s->activation == HD_ACTIVATION_SILU ? "silu" : "gelu"));
    if (classifies(s))
        put_uint(e, "classifier.pooling_type", hd__gguf_pooling_type(s->score_pooling));
}

static hd_status put_settings(export *e)
{
    const hd_settings *s = e->settings;
    hd_gguf_writer *w = &e->writer;
    const bool qwen3 = is_architecture(e, "qwen3");
    hd__gguf_put_text(w, "general.architecture", hd__span_of(e->architecture));
    hd__gguf_put_text(w, "general.type", hd__span_of("model"));
    hd__gguf_put_uint(w, "general.file_type", e->type == HD_TENSOR_F32 ? 0 : e->type == HD_TENSOR_F16 ? 1 : 7);
    hd__gguf_put_uint(w, "general.quantization_version", 2);
    put_uint(e, "block_count", s->n_layers);
    put_uint(e, "context_length", s->n_positions);
    put_uint(e, "embedding_length", s->hidden);
    put_uint(e, "feed_forward_length", s->intermediate);
    put_uint(e, "attention.head_count", s->n_heads);
    put_real(e, qwen3 ? "attention.layer_norm_rms_epsilon" : "attention.layer_norm_epsilon", s->norm_eps);
    if (qwen3) {
        put_uint(e, "attention.head_count_kv", s->n_kv_heads);
        put_uint(e, "attention.key_length", s->head_dim);
        put_uint(e, "attention.value_length", s->head_dim);
        put_real(e, "rope.freq_base", s->rotary_theta);
    } else {
        char key[96];
        snprintf(key, sizeof key, "%s.attention.causal", e->architecture);
        hd__gguf_put_bool(w, key, false);
    }
    if (is_architecture(e, "nomic-bert"))
        put_real(e, "rope.freq_base", s->rotary_theta);
    if (is_architecture(e, "modern-bert"))
        put_modern(e);
    else if (!qwen3)
        hd__gguf_put_uint(w, "tokenizer.ggml.token_type_count", s->n_token_types > 0 ? s->n_token_types : 1);
    return put_heads(e);
}

/* ---- tensors ---- */

static bool begins_with(const char *text, const char *begin)
{
    return strncmp(text, begin, strlen(begin)) == 0;
}

/* What vectors do not depend on: poolers, masked-language heads, tables of numbers from 0 on. */
static bool is_left_out(const export *e, const char *name)
{
    static const char *const beginnings[] = {"pooler.", "cls.", "lm_head.", "vocab_", "head.", "decoder."};
    const size_t n = strlen(e->names->prefix);
    if (strncmp(name, e->names->prefix, n) == 0)
        name += n;
    for (size_t i = 0; i < sizeof beginnings / sizeof *beginnings; i++) {
        if (begins_with(name, beginnings[i]))
            return true;
    }
    return strcmp(name, "embeddings.position_ids") == 0;
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

static void plan(export *e, const planned *p, uint64_t n_rows)
{
    uint64_t dims[HD_LIMIT_TENSOR_DIMS];
    memcpy(dims, p->from->dims, sizeof dims);
    if (p->from->n_dims == 2)
        dims[0] = n_rows;
    hd__gguf_put_tensor(&e->writer, p->name, p->type, p->from->n_dims, dims);
    e->plan[e->n_plan++] = *p;
}

/* RoBERTa's table of positions begins with rows that no text reaches. */
static hd_status plan_tensor(export *e, const hd_tensor *t)
{
    const char *gguf, *name = modern_name(t->name, &e->arena);
    if (name == NULL)
        return no_memory(e);
    HD_TRY(hd__gguf_name_from_hub(e->names, name, &e->arena, &gguf, e->err));
    const bool of_head = gguf != NULL && (begins_with(gguf, "cls") || (e->settings->judges && begins_with(gguf, "output.")));
    if (of_head ? !classifies(e->settings) : gguf == NULL && is_left_out(e, name))
        return HD_OK;
    if (gguf == NULL)
        return hd__fail(e->err, HD_ERR_UNSUPPORTED, "%s: GGUF has no name for tensor \"%s\"", t->file, t->name);
    planned p = {.from = t, .name = gguf, .type = type_of(e, t, gguf), .n = {t->n_elements}};
    uint64_t n_rows = t->n_dims == 2 ? t->dims[0] : 1;
    if (t->n_dims == 2 && strcmp(gguf, "position_embd.weight") == 0) {
        const uint64_t front = e->settings->position_offset;
        if (front >= n_rows)
            return hd__fail(e->err, HD_ERR_FORMAT, "%s: tensor \"%s\" has %llu rows, positions begin at %llu", t->file,
                            t->name, (unsigned long long)n_rows, (unsigned long long)front);
        p.first[0] = front * t->dims[1];
        p.n[0] -= p.first[0];
        n_rows -= front;
    }
    plan(e, &p, n_rows);
    return HD_OK;
}

/* The rows of "yes" and "no" of the layer that predicts tokens, or of the table of words where that is it. */
static hd_status plan_answers(export *e)
{
    const hd_settings *s = e->settings;
    const hd_tensor *t = hd__tensors_find(e->tensors, "lm_head.weight");
    const char *const words[] = {"model.embed_tokens.weight", "embed_tokens.weight"};
    for (size_t i = 0; t == NULL && i < 2; i++)
        t = hd__tensors_find(e->tensors, words[i]);
    if (t == NULL || t->n_dims != 2 || t->dims[0] != s->vocab_size)
        return hd__fail(e->err, HD_ERR_FORMAT, "%s: no layer of %u tokens to take \"yes\" and \"no\" from", s->dir,
                        s->vocab_size);
    planned p = {.from = t, .name = "cls.output.weight", .type = type_of(e, t, "cls.output.weight")};
    for (size_t i = 0; i < 2; i++) {
        const int32_t id = s->answers[1 - i] >= 0 ? s->answers[1 - i] : e->answers[1 - i];
        if (id < 0 || (uint32_t)id >= s->vocab_size)
            return hd__fail(e->err, HD_ERR_FORMAT, "%s/tokenizer.json: \"%s\" is not one token of the vocabulary", s->dir,
                            i == 0 ? "yes" : "no");
        p.first[i] = (uint64_t)id * t->dims[1];
        p.n[i] = t->dims[1];
    }
    plan(e, &p, 2);
    return HD_OK;
}

static hd_status plan_tensors(export *e)
{
    HD_TRY(hd__tensors_open(e->settings->dir, &e->tensors, e->err));
    const size_t n = hd__tensors_count(e->tensors);
    e->plan = hd__arena_calloc(&e->arena, n + 1, sizeof *e->plan);
    if (e->plan == NULL)
        return no_memory(e);
    for (size_t i = 0; i < n; i++)
        HD_TRY(plan_tensor(e, hd__tensors_at(e->tensors, i)));
    return e->settings->judges ? plan_answers(e) : HD_OK;
}

static hd_status write_run(export *e, const planned *p, uint64_t first, uint64_t n)
{
    for (uint64_t at = 0; at < n; at += HD_TENSOR_PIECE) {
        const uint64_t left = n - at, n_piece = left < HD_TENSOR_PIECE ? left : HD_TENSOR_PIECE;
        uint64_t bytes = 0;
        HD_TRY(hd__tensor_read_f32(p->from, first + at, n_piece, e->values, e->err));
        if (p->type == HD_TENSOR_F32)
            memcpy(e->bytes, e->values, (size_t)n_piece * sizeof *e->values);
        else if (p->type == HD_TENSOR_F16)
            hd__quantise_f16(e->values, (size_t)n_piece, e->bytes);
        else
            hd__quantise_q8_0(e->values, (size_t)n_piece, e->bytes);
        hd__tensor_type_size(p->type, n_piece, &bytes);
        hd__file_writer_add(&e->file, hd__span(e->bytes, (size_t)bytes));
    }
    return HD_OK;
}

static hd_status write_tensor(export *e, const planned *p)
{
    for (size_t i = 0; i < 2; i++)
        HD_TRY(write_run(e, p, p->first[i], p->n[i]));
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
    e->values = hd__arena_alloc(&e->arena, HD_TENSOR_PIECE * sizeof *e->values);
    e->bytes = hd__arena_alloc(&e->arena, HD_TENSOR_PIECE * sizeof *e->values);
    if (e->values == NULL || e->bytes == NULL)
        return no_memory(e);
    HD_TRY(find_architecture(e));
    HD_TRY(check_places(e));
    HD_TRY(put_settings(e));
    HD_TRY(hd__gguf_put_vocab(&e->writer, e->settings, e->answers, e->err));
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
