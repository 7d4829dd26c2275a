/* tokenizer_json.c - tokenizer.json of the `tokenizers` library, version "1.0". */
#include <stdlib.h>

#include "base/alloc.h"
#include "base/limits.h"
#include "base/log.h"
#include "token/tokenizer_parts.h"

/* The normalised form of an added token's content, in the tokenizer's arena. */
static hd_status normalized_pattern(hd_tokenizer *t, hd_span content, hd_span *pattern, hd_error *err)
{
    hd_norm_text text = {0}, spare = {0};
    hd_buffer utf8;
    hd__buffer_init(&utf8);
    hd_status status;
    HD_TRY_OUT(hd__norm_text_decode(&text, content, 0, err));
    HD_TRY_OUT(hd__normalizer_run(&t->normalizer, &text, &spare, err));
    HD_TRY_OUT(hd__norm_text_encode(&text, &utf8, err));
    char *copy = hd__arena_strndup(&t->arena, utf8.len > 0 ? utf8.ptr : "", utf8.len);
    *pattern = hd__span(copy, utf8.len);
    if (copy == NULL)
        status = hd__fail(err, HD_ERR_MEMORY, "no memory for an added token of %zu bytes", utf8.len);
out:
    hd__buffer_clear(&utf8);
    hd__norm_text_clear(&text);
    hd__norm_text_clear(&spare);
    return status;
}

/* Ids follow the library: a content the vocabulary has keeps that id, others count on from its size. */
static hd_status number_added(hd_tokenizer *t, const hd_added_request *requests, size_t n, hd_error *err)
{
    uint32_t next_id = hd__token_model_size(&t->model);
    for (size_t i = 0; i < n; i++) {
        const hd_added_request *r = &requests[i];
        if (r->content.len == 0)
            continue;
        char *content = hd__arena_calloc(&t->arena, r->content.len + 1 + HD_VOCAB_PADDING, 1);
        if (content == NULL)
            return hd__fail(err, HD_ERR_MEMORY, "no memory for %zu added tokens", n);
        memcpy(content, r->content.ptr, r->content.len);
        hd_span text = hd__span(content, r->content.len);
        size_t at = 0; /* the same content once more: the later flags count */
        while (at < t->n_added && !hd__span_equal(t->added[at].content, text))
            at++;
        int32_t id = at < t->n_added ? t->added[at].id : hd__token_model_find(&t->model, text);
        if (id < 0)
            id = (int32_t)next_id++;
        hd_added_token *token = &t->added[at];
        *token = (hd_added_token){text, text, id, r->single_word, r->lstrip, r->rstrip, r->normalized, r->special};
        t->n_added += at == t->n_added;
        if ((uint32_t)id >= t->vocab_size)
            t->vocab_size = (uint32_t)id + 1;
    }
    return HD_OK;
}

static int raw_first(const void *a, const void *b)
{
    return (int)((const hd_added_token *)a)->normalized - (int)((const hd_added_token *)b)->normalized;
}

hd_status hd__tokenizer_set_added(hd_tokenizer *t, const hd_added_request *requests, size_t n, const char *file,
                                  hd_error *err)
{
    if (n > HD_LIMIT_ADDED_TOKENS)
        return hd__fail(err, HD_ERR_LIMIT, "%s: %zu added tokens, the limit is %u", file, n, HD_LIMIT_ADDED_TOKENS);
    t->vocab_size = t->model.vocab.n_ids;
    t->added = hd__arena_calloc(&t->arena, n + 1, sizeof *t->added);
    if (t->added == NULL)
        return hd__fail(err, HD_ERR_MEMORY, "%s: no memory for %zu added tokens", file, n);
    HD_TRY(number_added(t, requests, n, err));
    qsort(t->added, t->n_added, sizeof *t->added, raw_first);
    size_t n_raw = 0;
    for (size_t i = 0; i < t->n_added; i++) {
        n_raw += !t->added[i].normalized;
        if (t->added[i].normalized && t->normalizer.n_steps > 0)
            HD_TRY(normalized_pattern(t, t->added[i].content, &t->added[i].pattern, err));
    }
    HD_TRY(hd__added_set_build(&t->added_raw, t->added, n_raw, file, err));
    return hd__added_set_build(&t->added_normalized, t->added + n_raw, t->n_added - n_raw, file, err);
}

static hd_status parse_added(hd_tokenizer *t, const json_t *json, const char *file, hd_error *err)
{
    size_t n = json_array_size(json); /* 0 when it is missing */
    if (json != NULL && !json_is_array(json))
        return hd__fail(err, HD_ERR_FORMAT, "%s: \"added_tokens\" is not an array", file);
    hd_added_request *requests = hd__calloc(n, sizeof *requests);
    if (requests == NULL)
        return hd__fail(err, HD_ERR_MEMORY, "%s: no memory for %zu added tokens", file, n);
    hd_status status = HD_OK;
    for (size_t i = 0; i < n; i++) {
        const json_t *token = json_array_get(json, i), *content = json_object_get(token, "content");
        hd_added_request *r = &requests[i];
        r->normalized = true;
        if (!json_is_string(content)) {
            status = hd__fail(err, HD_ERR_FORMAT, "%s: \"added_tokens\": token %zu has no \"content\"", file, i);
            goto out;
        }
        r->content = hd__span(json_string_value(content), json_string_length(content));
        HD_TRY_OUT(hd__json_get_bool(token, "single_word", file, &r->single_word, err));
        HD_TRY_OUT(hd__json_get_bool(token, "lstrip", file, &r->lstrip, err));
        HD_TRY_OUT(hd__json_get_bool(token, "rstrip", file, &r->rstrip, err));
        HD_TRY_OUT(hd__json_get_bool(token, "normalized", file, &r->normalized, err));
        HD_TRY_OUT(hd__json_get_bool(token, "special", file, &r->special, err));
    }
    status = hd__tokenizer_set_added(t, requests, n, file, err);
out:
    hd__free(requests);
    return status;
}

/* The library only warns when a token's "id" is not the one it gets; so do we. */
static void warn_about_ids(const hd_tokenizer *t, const json_t *json, const char *file)
{
    for (size_t i = 0; i < json_array_size(json); i++) {
        const json_t *token = json_array_get(json, i), *id = json_object_get(token, "id");
        hd_span content = hd__span_of(json_string_value(json_object_get(token, "content")));
        for (size_t k = 0; k < t->n_added; k++)
            if (json_is_integer(id) && hd__span_equal(t->added[k].content, content) &&
                t->added[k].id != json_integer_value(id))
                hd__log(HD_LOG_WARN, "%s: the added token \"%s\" has id %lld there and gets %d", file, content.ptr,
                        (long long)json_integer_value(id), t->added[k].id);
    }
}

static hd_status parse_unigram(hd_tokenizer *t, const json_t *json, const char *file, hd_error *err)
{
    hd_unigram *model = &t->model.unigram;
    uint64_t unk_id = UINT64_MAX;
    bool byte_fallback = false;
    t->model.kind = HD_MODEL_UNIGRAM;
    HD_TRY(hd__json_get_uint(json, "unk_id", 0, HD_LIMIT_VOCAB, file, &unk_id, err));
    HD_TRY(hd__json_get_bool(json, "byte_fallback", file, &byte_fallback, err));
    if (model->n_scores != t->model.vocab.n_records)
        return hd__fail(err, HD_ERR_FORMAT, "%s: \"model\": \"vocab\" of a Unigram model is not an array of [text, score]",
                        file);
    return hd__unigram_build(model, &t->model.vocab, unk_id == UINT64_MAX ? -1 : (int64_t)unk_id, byte_fallback, file, err);
}

static hd_status parse_affix(hd_tokenizer *t, const json_t *json, const char *key, const char *file, hd_span *out,
                             hd_error *err)
{
    const char *text = NULL;
    HD_TRY(hd__json_get_text(json, key, file, &text, err));
    if (text == NULL)
        return HD_OK;
    if (strlen(text) > HD_BPE_AFFIX_BYTES)
        return hd__fail(err, HD_ERR_LIMIT, "%s: \"%s\" has %zu bytes, the limit is %u", file, key, strlen(text),
                        HD_BPE_AFFIX_BYTES);
    *out = hd__span(hd__arena_strndup(&t->arena, text, strlen(text)), strlen(text));
    return out->ptr != NULL ? HD_OK : hd__fail(err, HD_ERR_MEMORY, "%s: no memory for \"%s\"", file, key);
}

static hd_status parse_bpe(hd_tokenizer *t, const json_t *json, hd_merges merges, const char *file, hd_error *err)
{
    hd_bpe *model = &t->model.bpe;
    const char *unk = NULL;
    double dropout = 0;
    t->model.kind = HD_MODEL_BPE;
    if (t->model.unigram.n_scores > 0)
        return hd__fail(err, HD_ERR_FORMAT, "%s: \"model\": \"vocab\" of a BPE model is not an object", file);
    HD_TRY(hd__json_get_real(json, "dropout", 0, 1, file, &dropout, err));
    if (dropout != 0)
        return hd__fail(err, HD_ERR_UNSUPPORTED, "%s: \"model\": a \"dropout\" of %g makes tokens random", file, dropout);
    HD_TRY(hd__json_get_text(json, "unk_token", file, &unk, err));
    HD_TRY(hd__json_get_bool(json, "fuse_unk", file, &model->fuse_unk, err));
    HD_TRY(hd__json_get_bool(json, "byte_fallback", file, &model->byte_fallback, err));
    HD_TRY(hd__json_get_bool(json, "ignore_merges", file, &model->ignore_merges, err));
    HD_TRY(parse_affix(t, json, "continuing_subword_prefix", file, &model->prefix, err));
    HD_TRY(parse_affix(t, json, "end_of_word_suffix", file, &model->suffix, err));
    HD_TRY(hd__vocab_build(&t->model.vocab, hd__span(NULL, 0), err));
    HD_TRY(hd__bpe_begin(model, &t->model.vocab, unk != NULL ? hd__span_of(unk) : hd__span(NULL, 0), file, err));
    if (t->model.is_view)
        return HD_OK;
    if (merges.text.ptr == NULL)
        return hd__fail(err, HD_ERR_FORMAT, "%s: \"model\": a BPE model has no array \"merges\"", file);
    return merges.is_lines ? hd__merges_txt_read(merges.text, file, model, err)
                           : hd__merges_json_read(merges.text, file, model, err);
}

static hd_status parse_wordpiece(hd_tokenizer *t, const json_t *json, const char *file, hd_error *err)
{
    hd_wordpiece *model = &t->model.wordpiece;
    const char *unk = NULL, *prefix = NULL;
    uint64_t max_word_chars = UINT64_MAX;
    if (t->model.unigram.n_scores > 0)
        return hd__fail(err, HD_ERR_FORMAT, "%s: \"model\": \"vocab\" of a WordPiece model is not an object", file);
    HD_TRY(hd__json_get_text(json, "unk_token", file, &unk, err));
    HD_TRY(hd__json_get_text(json, "continuing_subword_prefix", file, &prefix, err));
    HD_TRY(hd__json_get_uint(json, "max_input_chars_per_word", 0, INT64_MAX, file, &max_word_chars, err));
    if (unk == NULL || prefix == NULL || max_word_chars == UINT64_MAX)
        return hd__fail(err, HD_ERR_FORMAT, "%s: \"model\" has no \"%s\"", file,
                        unk == NULL      ? "unk_token"
                        : prefix == NULL ? "continuing_subword_prefix"
                                         : "max_input_chars_per_word");
    model->max_word_chars = max_word_chars < UINT32_MAX ? (uint32_t)max_word_chars : UINT32_MAX;
    return hd__wordpiece_build(model, &t->model.vocab, hd__span_of(prefix), hd__span_of(unk), file, err);
}

static hd_status parse_model(hd_tokenizer *t, const json_t *json, hd_merges merges, const char *file, hd_error *err)
{
    static const char *const types[] = {
        [HD_MODEL_WORDPIECE] = "WordPiece", [HD_MODEL_UNIGRAM] = "Unigram", [HD_MODEL_BPE] = "BPE"};
    const hd_token_model_kind implied = t->model.is_view                ? t->model.kind
                                        : merges.text.ptr != NULL       ? HD_MODEL_BPE
                                        : t->model.unigram.n_scores > 0 ? HD_MODEL_UNIGRAM
                                                                        : HD_MODEL_WORDPIECE;
    const char *type = types[implied]; /* older files do not say it */
    HD_TRY(hd__json_get_text(json, "type", file, &type, err));
    if (t->model.is_view && strcmp(type, types[implied]) != 0)
        return hd__fail(err, HD_ERR_FORMAT, "%s: tables of a %s for a \"model\" of type \"%s\"", file, types[implied], type);
    if (strcmp(type, types[HD_MODEL_BPE]) == 0)
        return parse_bpe(t, json, merges, file, err);
    if (merges.text.ptr != NULL)
        return hd__fail(err, HD_ERR_FORMAT, "%s: \"merges\" in a \"model\" of type \"%s\"", file, type);
    if (strcmp(type, types[HD_MODEL_UNIGRAM]) == 0)
        return parse_unigram(t, json, file, err);
    if (strcmp(type, types[HD_MODEL_WORDPIECE]) != 0)
        return hd__fail(err, HD_ERR_UNSUPPORTED, "%s: \"model\" of type \"%s\" is not supported", file, type);
    return parse_wordpiece(t, json, file, err);
}

hd_status hd__tokenizer_parse_settings(hd_tokenizer *t, const json_t *root, hd_merges merges, const char *file,
                                       hd_error *err)
{
    const char *version = "1.0";
    HD_TRY(hd__json_get_text(root, "version", file, &version, err));
    if (strcmp(version, "1.0") != 0)
        return hd__fail(err, HD_ERR_UNSUPPORTED, "%s: \"version\" is \"%s\", not \"1.0\"", file, version);
    HD_TRY(hd__normalizer_parse(json_object_get(root, "normalizer"), file, &t->arena, &t->normalizer, err));
    HD_TRY(hd__pretokenizer_parse(json_object_get(root, "pre_tokenizer"), file, &t->arena, &t->pretokenizer, err));
    HD_TRY(hd__template_parse(json_object_get(root, "post_processor"), file, &t->template, err));
    HD_TRY(hd__decoder_parse(json_object_get(root, "decoder"), file, &t->arena, &t->decoder, err));
    HD_TRY(parse_model(t, json_object_get(root, "model"), merges, file, err));
    const json_t *added = json_object_get(root, "added_tokens");
    HD_TRY(parse_added(t, added, file, err));
    warn_about_ids(t, added, file);
    return HD_OK;
}

/* The text with `instead` in place of [begin, begin + len), in the arena. */
static hd_status cut_out(hd_span text, size_t begin, size_t len, const char instead[2], const char *path, hd_arena *arena,
                         hd_span *rest, hd_error *err)
{
    char *copy = hd__arena_alloc(arena, text.len - len + 2);
    if (copy == NULL)
        return hd__fail(err, HD_ERR_MEMORY, "%s: no memory to read it", path);
    memcpy(copy, text.ptr, begin);
    memcpy(copy + begin, instead, 2);
    memcpy(copy + begin + 2, text.ptr + begin + len, text.len - begin - len);
    *rest = hd__span(copy, text.len - len + 2);
    return HD_OK;
}

/* Reads the vocabulary, finds the merges and returns the file without both. */
static hd_status take_large(hd_tokenizer *t, hd_span text, const char *path, hd_arena *arena, hd_span *merges, hd_span *rest,
                            hd_error *err)
{
    size_t begin, len;
    *rest = text;
    if (hd__vocab_json_find(text, &begin)) {
        hd_span vocab = hd__span(text.ptr + begin, text.len - begin);
        if (vocab.ptr[0] == '[')
            HD_TRY(hd__vocab_json_read_scored(vocab, path, &t->model.vocab, &t->model.unigram, &len, err));
        else
            HD_TRY(hd__vocab_json_read(vocab, path, &t->model.vocab, &len, err));
        HD_TRY(cut_out(text, begin, len, "{}", path, arena, rest, err));
    }
    *merges = hd__span(NULL, 0);
    if (!hd__merges_json_find(*rest, merges))
        return HD_OK;
    return cut_out(*rest, (size_t)(merges->ptr - rest->ptr), merges->len, "[]", path, arena, rest, err);
}

hd_status hd__tokenizer_parse_json(hd_tokenizer *tokenizer, hd_span text, const char *file, hd_error *err)
{
    hd_arena arena;
    hd__arena_init(&arena);
    json_t *root = NULL;
    hd_merges merges = {0};
    hd_span rest = text;
    hd_status status;
    if (!tokenizer->model.is_view)
        HD_TRY_OUT(take_large(tokenizer, text, file, &arena, &merges.text, &rest, err));
    HD_TRY_OUT(hd__json_parse(rest, file, &root, err));
    HD_TRY_OUT(hd__tokenizer_parse_settings(tokenizer, root, merges, file, err));
    if (!tokenizer->model.is_view)
        status = hd__token_tables_note(tokenizer, rest, err);
out:
    json_decref(root);
    hd__arena_clear(&arena);
    return status;
}
