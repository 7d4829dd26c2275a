/* gguf_vocab.c - see gguf_vocab.h. */
#include "model/gguf_vocab.h"

#include <stdio.h>

#include "base/json.h"
#include "model/gguf_pre.h"

typedef struct token {
    const char *text; /* NULL: nobody's id */
    int32_t type;     /* hd_gguf_token_type */
    float score;
} token;

typedef struct vocabulary {
    const hd_settings *settings;
    hd_gguf_writer *writer;
    hd_arena *arena;
    const char *path;
    const json_t *root, *model, *normalizer, *pre_tokenizer;
    uint32_t n;    /* rows of the table of words */
    token *tokens; /* [n] */
    hd_error *err;
} vocabulary;

static hd_status no_memory(const vocabulary *v)
{
    return hd__fail(v->err, HD_ERR_MEMORY, "%s: no memory to write it as GGUF", v->path);
}

static hd_status refuse(const vocabulary *v, const char *what)
{
    return hd__fail(v->err, HD_ERR_UNSUPPORTED, "%s: GGUF has no place for %s", v->path, what);
}

static const char *type_of(const json_t *object)
{
    const char *type = json_string_value(json_object_get(object, "type"));
    return type != NULL ? type : "";
}

static bool is_of_type(const json_t *object, const char *type)
{
    return strcmp(type_of(object), type) == 0;
}

/* ---- tokens ---- */

static hd_status set_token(vocabulary *v, json_int_t id, const char *text, hd_gguf_token_type type, double score)
{
    if (text == NULL || id < 0 || id >= (json_int_t)v->n)
        return hd__fail(v->err, HD_ERR_FORMAT, "%s: token \"%s\" has an id that is not below config.json's vocab_size %u",
                        v->path, text != NULL ? text : "", v->n);
    v->tokens[id] = (token){text, type, (float)score};
    return HD_OK;
}

/* {text: id, …} or [[text, score], …]; then the added ones, whose kind is their own. */
static hd_status collect_tokens(vocabulary *v)
{
    json_t *vocab = json_object_get(v->model, "vocab"), *value;
    const char *text;
    size_t i;
    json_object_foreach (vocab, text, value)
        HD_TRY(set_token(v, json_is_integer(value) ? json_integer_value(value) : -1, text, HD_GGUF_TOKEN_NORMAL, 0.0));
    json_array_foreach (vocab, i, value)
        HD_TRY(set_token(v, (json_int_t)i, json_string_value(json_array_get(value, 0)), HD_GGUF_TOKEN_NORMAL,
                         json_number_value(json_array_get(value, 1))));
    json_array_foreach (json_object_get(v->root, "added_tokens"), i, value) {
        const json_t *id = json_object_get(value, "id");
        const json_int_t at = json_is_integer(id) ? json_integer_value(id) : -1;
        const bool special = json_is_true(json_object_get(value, "special"));
        HD_TRY(set_token(v, at, json_string_value(json_object_get(value, "content")),
                         special ? HD_GGUF_TOKEN_CONTROL : HD_GGUF_TOKEN_USER_DEFINED,
                         at >= 0 && at < (json_int_t)v->n ? (double)v->tokens[at].score : 0.0));
    }
    return HD_OK;
}

/* WordPiece's words get U+2581 in front, its other pieces lose their "##". */
static void put_token(const token *t, uint32_t id, bool wordpiece, hd_buffer *texts, hd_buffer *types)
{
    char unused[24];
    const int32_t type = t->text != NULL ? t->type : HD_GGUF_TOKEN_UNUSED;
    const char *text = t->text, *begin = "";
    if (text == NULL) {
        snprintf(unused, sizeof unused, "[PAD%u]", id);
        text = unused;
    } else if (wordpiece && type == HD_GGUF_TOKEN_NORMAL && strncmp(text, "##", 2) == 0) {
        text += 2;
    } else if (wordpiece && type == HD_GGUF_TOKEN_NORMAL) {
        begin = HD_GGUF_WORD_BEGIN;
    }
    hd__buffer_append_uint(texts, strlen(begin) + strlen(text), 8);
    hd__buffer_append_text(texts, begin);
    hd__buffer_append_text(texts, text);
    hd__buffer_append(types, &type, sizeof type);
}

static hd_status put_tokens(const vocabulary *v, bool wordpiece, bool scores)
{
    hd_buffer texts, types, values;
    hd__buffer_init(&texts);
    hd__buffer_init(&types);
    hd__buffer_init(&values);
    for (uint32_t i = 0; i < v->n; i++) {
        const float score = v->tokens[i].text != NULL ? v->tokens[i].score : -10000.0f;
        put_token(&v->tokens[i], i, wordpiece, &texts, &types);
        if (scores)
            hd__buffer_append(&values, &score, sizeof score);
    }
    hd__gguf_put_array(v->writer, "tokenizer.ggml.tokens", HD_GGUF_TEXT, v->n, hd__buffer_span(&texts));
    hd__gguf_put_array(v->writer, "tokenizer.ggml.token_type", HD_GGUF_I32, v->n, hd__buffer_span(&types));
    if (scores)
        hd__gguf_put_array(v->writer, "tokenizer.ggml.scores", HD_GGUF_F32, v->n, hd__buffer_span(&values));
    const bool failed = texts.failed || types.failed || values.failed;
    hd__buffer_clear(&texts);
    hd__buffer_clear(&types);
    hd__buffer_clear(&values);
    return failed ? no_memory(v) : HD_OK;
}

static void begin_kind(const vocabulary *v, const char *model, const char *pre)
{
    hd__gguf_put_text(v->writer, "tokenizer.ggml.model", hd__span_of(model));
    hd__gguf_put_text(v->writer, "tokenizer.ggml.pre", hd__span_of(pre));
}

/* ---- specials ---- */

/* What stands around a text: a special token in front, one behind, two between the texts of a pair. */
typedef struct frame {
    const char *begin, *end; /* NULL: none */
    bool two_separators;
} frame;

static const char *special_of(const json_t *piece)
{
    return json_string_value(json_object_get(json_object_get(piece, "SpecialToken"), "id"));
}

/* The step that adds tokens, of one or of a sequence. */
static const json_t *find_template(const json_t *processor)
{
    const json_t *steps = json_object_get(processor, "processors"), *found = NULL;
    for (size_t i = 0; i < json_array_size(steps) && found == NULL; i++)
        found = find_template(json_array_get(steps, i));
    if (is_of_type(processor, "TemplateProcessing") || is_of_type(processor, "BertProcessing") ||
        is_of_type(processor, "RobertaProcessing"))
        found = processor;
    return found;
}

static hd_status read_frame(const vocabulary *v, frame *f)
{
    const json_t *step = find_template(json_object_get(v->root, "post_processor"));
    const json_t *single = json_object_get(step, "single"), *pair = json_object_get(step, "pair");
    const size_t n = json_array_size(single);
    *f = (frame){0};
    if (step == NULL)
        return HD_OK;
    if (!is_of_type(step, "TemplateProcessing")) {
        f->begin = json_string_value(json_array_get(json_object_get(step, "cls"), 0));
        f->end = json_string_value(json_array_get(json_object_get(step, "sep"), 0));
        f->two_separators = is_of_type(step, "RobertaProcessing");
        return HD_OK;
    }
    f->begin = special_of(json_array_get(single, 0));
    f->end = n > 0 ? special_of(json_array_get(single, n - 1)) : NULL;
    if (n != 1u + (f->begin != NULL) + (f->end != NULL))
        return refuse(v, "more than one special token on a side of a text");
    for (size_t i = 1; i < json_array_size(pair); i++)
        f->two_separators |= special_of(json_array_get(pair, i)) != NULL && special_of(json_array_get(pair, i - 1)) != NULL;
    return HD_OK;
}

static hd_status put_id(const vocabulary *v, const char *text, const char *key, bool required)
{
    for (uint32_t i = 0; text != NULL && i < v->n; i++) {
        if (v->tokens[i].text != NULL && strcmp(v->tokens[i].text, text) == 0) {
            hd__gguf_put_uint(v->writer, key, i);
            return HD_OK;
        }
    }
    return required ? hd__fail(v->err, HD_ERR_FORMAT, "%s: no token for %s", v->path, key) : HD_OK;
}

static hd_status put_specials(const vocabulary *v, const frame *f, const char *unk, bool framed)
{
    hd_gguf_writer *w = v->writer;
    HD_TRY(put_id(v, f->begin, "tokenizer.ggml.bos_token_id", framed || f->begin != NULL));
    HD_TRY(put_id(v, f->end, "tokenizer.ggml.eos_token_id", framed || f->end != NULL));
    HD_TRY(put_id(v, f->begin != NULL ? f->end : NULL, "tokenizer.ggml.seperator_token_id", framed));
    HD_TRY(put_id(v, unk, "tokenizer.ggml.unknown_token_id", unk != NULL));
    HD_TRY(put_id(v, "[MASK]", "tokenizer.ggml.mask_token_id", false));
    HD_TRY(put_id(v, "<mask>", "tokenizer.ggml.mask_token_id", false));
    if (v->settings->pad_id >= 0)
        hd__gguf_put_uint(w, "tokenizer.ggml.padding_token_id", (uint32_t)v->settings->pad_id);
    hd__gguf_put_bool(w, "tokenizer.ggml.add_bos_token", f->begin != NULL);
    hd__gguf_put_bool(w, "tokenizer.ggml.add_eos_token", f->end != NULL);
    hd__gguf_put_bool(w, "tokenizer.ggml.add_sep_token", f->two_separators);
    return HD_OK;
}

/* ---- kinds ---- */

static hd_status put_wordpiece(vocabulary *v, const frame *f)
{
    const json_t *accents = json_object_get(v->normalizer, "strip_accents");
    if (!is_of_type(v->normalizer, "BertNormalizer"))
        return refuse(v, "a normaliser other than BERT's");
    begin_kind(v, "bert", "default");
    HD_TRY(put_tokens(v, true, false));
    HD_TRY(put_specials(v, f, json_string_value(json_object_get(v->model, "unk_token")), true));
    hd__gguf_put_bool(v->writer, "tokenizer.ggml.normalizer.lowercase",
                      json_is_true(json_object_get(v->normalizer, "lowercase")));
    if (json_is_boolean(accents))
        hd__gguf_put_bool(v->writer, "tokenizer.ggml.normalizer.strip_accents", json_is_true(accents));
    return HD_OK;
}

static hd_status put_charsmap(const vocabulary *v, const json_t *step)
{
    const json_t *base64 = json_object_get(step, "precompiled_charsmap");
    size_t n;
    const hd_span text = hd__span(json_string_value(base64), json_string_length(base64));
    char *bytes = hd__arena_alloc(v->arena, text.len / 4 * 3 + 1);
    if (bytes == NULL)
        return no_memory(v);
    if (!hd__base64_decode(text, bytes, &n))
        return hd__fail(v->err, HD_ERR_FORMAT, "%s: \"precompiled_charsmap\" is not base64", v->path);
    hd__gguf_put_array(v->writer, "tokenizer.ggml.precompiled_charsmap", HD_GGUF_U8, n, hd__span(bytes, n));
    return HD_OK;
}

/* SentencePiece's own table; runs of white space are one space for it anyway. */
static hd_status put_unigram_normalizer(const vocabulary *v)
{
    const json_t *steps = json_object_get(v->normalizer, "normalizers");
    const size_t n = steps != NULL ? json_array_size(steps) : !json_is_null(v->normalizer) && v->normalizer != NULL;
    for (size_t i = 0; i < n; i++) {
        const json_t *step = steps != NULL ? json_array_get(steps, i) : v->normalizer;
        if (is_of_type(step, "Precompiled"))
            HD_TRY(put_charsmap(v, step));
        else if (!is_of_type(step, "Replace") && !is_of_type(step, "Strip"))
            return refuse(v, "a normaliser other than SentencePiece's");
    }
    return HD_OK;
}

static hd_status put_unigram(vocabulary *v, const frame *f)
{
    const json_t *steps = json_object_get(v->pre_tokenizer, "pretokenizers");
    const json_t *last = steps != NULL ? json_array_get(steps, json_array_size(steps) - 1) : v->pre_tokenizer;
    const char *scheme = json_string_value(json_object_get(last, "prepend_scheme"));
    const json_t *unk = json_object_get(v->model, "unk_id");
    const bool prefix =
        scheme != NULL ? strcmp(scheme, "always") == 0 : !json_is_false(json_object_get(last, "add_prefix_space"));
    if (!is_of_type(last, "Metaspace") || json_is_true(json_object_get(v->model, "byte_fallback")) ||
        json_array_size(steps) > 2 || (scheme != NULL && strcmp(scheme, "first") == 0))
        return refuse(v, "a tokenizer other than XLM-RoBERTa's of its kind");
    if (!json_is_integer(unk) || json_integer_value(unk) < 0 || json_integer_value(unk) >= (json_int_t)v->n)
        return hd__fail(v->err, HD_ERR_FORMAT, "%s: \"unk_id\" is not below %u", v->path, v->n);
    token *unknown = &v->tokens[json_integer_value(unk)];
    unknown->type = HD_GGUF_TOKEN_UNKNOWN;
    begin_kind(v, "t5", "default");
    HD_TRY(put_tokens(v, false, true));
    hd__gguf_put_bool(v->writer, "tokenizer.ggml.add_space_prefix", prefix);
    hd__gguf_put_bool(v->writer, "tokenizer.ggml.remove_extra_whitespaces", true);
    HD_TRY(put_unigram_normalizer(v));
    return put_specials(v, f, unknown->text, true);
}

/* "a b" or ["a", "b"] */
static hd_status put_merges(const vocabulary *v)
{
    const json_t *merges = json_object_get(v->model, "merges");
    hd_buffer texts;
    bool failed = false;
    hd__buffer_init(&texts);
    for (size_t i = 0; i < json_array_size(merges) && !failed; i++) {
        const json_t *merge = json_array_get(merges, i);
        const char *left = json_string_value(json_array_get(merge, 0)), *right = json_string_value(json_array_get(merge, 1));
        const char *both = json_string_value(merge);
        failed = both == NULL && (left == NULL || right == NULL || strchr(left, ' ') != NULL || strchr(right, ' ') != NULL);
        if (failed)
            break;
        hd__buffer_append_uint(&texts, both != NULL ? strlen(both) : strlen(left) + 1 + strlen(right), 8);
        hd__buffer_append_text(&texts, both != NULL ? both : left);
        hd__buffer_append_text(&texts, both != NULL ? "" : " ");
        hd__buffer_append_text(&texts, both != NULL ? "" : right);
    }
    hd__gguf_put_array(v->writer, "tokenizer.ggml.merges", HD_GGUF_TEXT, json_array_size(merges), hd__buffer_span(&texts));
    const bool no_room = texts.failed;
    hd__buffer_clear(&texts);
    if (failed)
        return hd__fail(v->err, HD_ERR_FORMAT, "%s: \"merges\" has an entry that is no pair of texts without spaces",
                        v->path);
    return no_room ? no_memory(v) : HD_OK;
}

static hd_status put_bpe(vocabulary *v, const frame *f)
{
    const hd_gguf_pre *pre = hd__gguf_pre_match(v->normalizer, v->pre_tokenizer, f->two_separators);
    if (pre == NULL || pre->plain || pre->ignore_merges != json_is_true(json_object_get(v->model, "ignore_merges")))
        return refuse(v, "what is in front of its merges");
    begin_kind(v, "gpt2", pre->name);
    HD_TRY(put_tokens(v, false, false));
    HD_TRY(put_merges(v));
    return put_specials(v, f, json_string_value(json_object_get(v->model, "unk_token")), false);
}

/* Older files do not say. */
static const char *kind_of(const json_t *model)
{
    if (type_of(model)[0] != '\0')
        return type_of(model);
    return json_object_get(model, "merges") != NULL         ? "BPE"
           : json_is_array(json_object_get(model, "vocab")) ? "Unigram"
                                                            : "WordPiece";
}

static hd_status put_kind(vocabulary *v)
{
    frame f;
    v->model = json_object_get(v->root, "model");
    v->normalizer = json_object_get(v->root, "normalizer");
    v->pre_tokenizer = json_object_get(v->root, "pre_tokenizer");
    v->tokens = hd__arena_calloc(v->arena, v->n, sizeof *v->tokens);
    if (v->tokens == NULL)
        return no_memory(v);
    HD_TRY(collect_tokens(v));
    HD_TRY(read_frame(v, &f));
    const char *type = kind_of(v->model);
    if (strcmp(type, "WordPiece") == 0)
        return put_wordpiece(v, &f);
    if (strcmp(type, "Unigram") == 0)
        return put_unigram(v, &f);
    if (strcmp(type, "BPE") == 0)
        return put_bpe(v, &f);
    return hd__fail(v->err, HD_ERR_UNSUPPORTED,
                    "%s: a tokenizer of type \"%s\" is not written as GGUF, WordPiece, Unigram and BPE are", v->path, type);
}

hd_status hd__gguf_put_vocab(hd_gguf_writer *writer, const hd_settings *settings, int32_t answers[2], hd_error *err)
{
    static const char *const texts[] = {"no", "yes"};
    hd_arena arena;
    json_t *root = NULL;
    vocabulary v = {.settings = settings, .writer = writer, .arena = &arena, .n = settings->vocab_size, .err = err};
    hd__arena_init(&arena);
    v.path = hd__arena_printf(&arena, "%s/tokenizer.json", settings->dir);
    hd_status status = v.path != NULL ? hd__json_read(v.path, &root, err)
                                      : hd__fail(err, HD_ERR_MEMORY, "%s: no memory to write it as GGUF", settings->dir);
    v.root = root;
    if (status == HD_OK)
        status = put_kind(&v);
    for (size_t i = 0; i < 2; i++) {
        const json_t *id = json_object_get(json_object_get(v.model, "vocab"), texts[i]);
        answers[i] = json_is_integer(id) ? (int32_t)json_integer_value(id) : -1;
    }
    json_decref(root);
    hd__arena_clear(&arena);
    return status;
}
