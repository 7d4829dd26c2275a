/* gguf_tokenizer.c - see gguf_tokenizer.h. */
#include "model/gguf_tokenizer.h"

#include <stdio.h>

#include "base/limits.h"
#include "model/gguf_files.h"
#include "model/gguf_merges.h"
#include "model/gguf_pre.h"

typedef struct vocabulary {
    const hd_gguf *gguf;
    hd_buffer *json;
    hd_error *err;
    uint32_t n;
    hd_span *tokens;                   /* [n] as stored */
    const char *types;                 /* [n] i32, or NULL: all normal */
    const char *scores;                /* [n] f32, or NULL */
    uint64_t bos, eos, unk, sep, mask; /* UINT64_MAX: none */
} vocabulary;

static int type_of(const vocabulary *v, uint32_t id)
{
    int32_t type = HD_GGUF_TOKEN_NORMAL;
    if (v->types != NULL)
        memcpy(&type, v->types + (size_t)id * sizeof type, sizeof type);
    return type;
}

/* Found in the text as it is, before the tokenizer proper sees it. */
static bool is_added(const vocabulary *v, uint32_t id)
{
    const int type = type_of(v, id);
    return type == HD_GGUF_TOKEN_UNKNOWN || type == HD_GGUF_TOKEN_CONTROL || type == HD_GGUF_TOKEN_USER_DEFINED;
}

static hd_status no_memory(const vocabulary *v)
{
    return hd__fail(v->err, HD_ERR_MEMORY, "%s: no memory for its tokenizer", v->gguf->file);
}

/* ---- JSON ---- */

static void put(const vocabulary *v, const char *text)
{
    hd__buffer_append_text(v->json, text);
}

/* The inside of a string. Runs without anything to escape are copied whole. */
static void put_escaped(const vocabulary *v, hd_span text)
{
    size_t begin = 0;
    for (size_t i = 0; i < text.len; i++) {
        const unsigned char c = (unsigned char)text.ptr[i];
        if (c >= 0x20 && c != '"' && c != '\\')
            continue;
        hd__buffer_append(v->json, text.ptr + begin, i - begin);
        if (c >= 0x20)
            hd__buffer_append(v->json, (char[]){'\\', (char)c}, 2);
        else
            hd__buffer_printf(v->json, "\\u%04x", c);
        begin = i + 1;
    }
    hd__buffer_append(v->json, text.ptr + begin, text.len - begin);
}

static void put_string(const vocabulary *v, hd_span text)
{
    put(v, "\"");
    put_escaped(v, text);
    put(v, "\"");
}

/* Once for each token: without the two passes of hd__buffer_printf. */
static void put_number(const vocabulary *v, const char *format, double value)
{
    enum { MOST = 32 };
    char *to = hd__buffer_reserve(v->json, MOST);
    if (to != NULL)
        v->json->len += (size_t)snprintf(to, MOST, format, value);
}

/* ---- what all kinds have ---- */

/* Token ids that are not in the vocabulary count as absent, as they do for llama.cpp. */
static hd_status read_id(vocabulary *v, const char *key, uint64_t *id)
{
    *id = UINT64_MAX;
    HD_TRY(hd__gguf_get_uint(v->gguf, key, UINT32_MAX, id, v->err));
    if (*id >= v->n)
        *id = UINT64_MAX;
    return HD_OK;
}

static hd_status read_vocabulary(vocabulary *v, hd_arena *arena)
{
    const hd_gguf_pair *tokens, *types, *scores;
    const char *file = v->gguf->file;
    HD_TRY(hd__gguf_get_array(v->gguf, "tokenizer.ggml.tokens", HD_GGUF_TEXT, UINT64_MAX, &tokens, v->err));
    if (tokens == NULL)
        return hd__fail(v->err, HD_ERR_FORMAT, "%s: no tokenizer.ggml.tokens: there is no tokenizer in it", file);
    if (tokens->n > HD_LIMIT_VOCAB)
        return hd__fail(v->err, HD_ERR_LIMIT, "%s: %llu tokens, the limit is %u", file, (unsigned long long)tokens->n,
                        HD_LIMIT_VOCAB);
    HD_TRY(hd__gguf_get_array(v->gguf, "tokenizer.ggml.token_type", HD_GGUF_I32, tokens->n, &types, v->err));
    HD_TRY(hd__gguf_get_array(v->gguf, "tokenizer.ggml.scores", HD_GGUF_F32, tokens->n, &scores, v->err));
    v->n = (uint32_t)tokens->n;
    v->types = types != NULL ? types->bytes.ptr : NULL;
    v->scores = scores != NULL ? scores->bytes.ptr : NULL;
    v->tokens = hd__arena_calloc(arena, v->n, sizeof *v->tokens);
    if (v->tokens == NULL)
        return no_memory(v);
    hd_cursor c = hd__cursor(tokens->bytes);
    for (uint32_t i = 0; i < v->n; i++)
        v->tokens[i] = hd__gguf_next_text(&c);
    HD_TRY(read_id(v, "tokenizer.ggml.bos_token_id", &v->bos));
    HD_TRY(read_id(v, "tokenizer.ggml.eos_token_id", &v->eos));
    HD_TRY(read_id(v, "tokenizer.ggml.unknown_token_id", &v->unk));
    HD_TRY(read_id(v, "tokenizer.ggml.mask_token_id", &v->mask));
    return read_id(v, "tokenizer.ggml.seperator_token_id", &v->sep); /* sic */
}

/* XLM-RoBERTa's and RoBERTa's masks take the white space before them along. normalizes: tokens that are not special are
 * looked for in normalized text, after the special ones. */
static void put_added_tokens(const vocabulary *v, bool mask_strips, bool normalizes)
{
    bool first = true;
    put(v, "\"added_tokens\":[");
    for (uint32_t i = 0; i < v->n; i++) {
        if (!is_added(v, i))
            continue;
        hd__buffer_printf(v->json, "%s{\"id\":%u,\"content\":", first ? "" : ",", i);
        put_string(v, v->tokens[i]);
        const bool special = type_of(v, i) != HD_GGUF_TOKEN_USER_DEFINED;
        hd__buffer_printf(v->json, ",\"single_word\":false,\"lstrip\":%s,\"rstrip\":false,\"normalized\":%s,\"special\":%s}",
                          mask_strips && i == v->mask ? "true" : "false", normalizes && !special ? "true" : "false",
                          special ? "true" : "false");
        first = false;
    }
    put(v, "],");
}

/* One part of a template: a special token, or the text "A" or "B". */
static void put_piece(const vocabulary *v, uint64_t id, const char *text, int type)
{
    put(v, id != UINT64_MAX ? "{\"SpecialToken\":{\"id\":" : "{\"Sequence\":{\"id\":");
    put_string(v, id != UINT64_MAX ? v->tokens[id] : hd__span_of(text));
    hd__buffer_printf(v->json, ",\"type_id\":%d}}", type);
}

/* "begin A end", and for pairs "begin A end B end", with a second `end` between the two when `twice`. */
static void put_template(const vocabulary *v, uint64_t begin, uint64_t end, bool twice, int second_type)
{
    const uint64_t none = UINT64_MAX;
    put(v, "\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[");
    for (int pair = 0; pair < 2; pair++) {
        if (begin != none) {
            put_piece(v, begin, NULL, 0);
            put(v, ",");
        }
        put_piece(v, none, "A", 0);
        for (int i = 0; end != none && i < (pair != 0 && twice ? 2 : 1); i++) {
            put(v, ",");
            put_piece(v, end, NULL, 0);
        }
        if (pair == 0) {
            put(v, "],\"pair\":[");
            continue;
        }
        put(v, ",");
        put_piece(v, none, "B", second_type);
        if (end != none) {
            put(v, ",");
            put_piece(v, end, NULL, second_type);
        }
    }
    put(v, "],\"special_tokens\":{");
    for (int i = 0; i < 2; i++) {
        const uint64_t id = i == 0 ? begin : end;
        if (id == none || (i == 1 && begin == end))
            continue;
        put(v, i == 1 && begin != none ? "," : "");
        put_string(v, v->tokens[id]);
        put(v, ":{\"id\":");
        put_string(v, v->tokens[id]);
        hd__buffer_printf(v->json, ",\"ids\":[%llu],\"tokens\":[", (unsigned long long)id);
        put_string(v, v->tokens[id]);
        put(v, "]}");
    }
    put(v, "}},");
}

static hd_status need_token(const vocabulary *v, uint64_t id, const char *key)
{
    if (id != UINT64_MAX)
        return HD_OK;
    return hd__fail(v->err, HD_ERR_FORMAT, "%s: no %s, or one that is no token", v->gguf->file, key);
}

/* ---- WordPiece ---- */

/* A vocabulary with words in capitals is not for a text in small letters. For files older than the key that says so. */
static bool is_cased(const vocabulary *v)
{
    for (uint32_t id = 0; id < v->n; id++) {
        const hd_span token = v->tokens[id];
        if (type_of(v, id) != HD_GGUF_TOKEN_NORMAL || !hd__span_begins(token, HD_GGUF_WORD_BEGIN) ||
            token.ptr[token.len - 1] == ']')
            continue;
        for (size_t i = 0; i < token.len; i++) {
            if (token.ptr[i] >= 'A' && token.ptr[i] <= 'Z')
                return true;
        }
    }
    return false;
}

/* Old files leave "[unused1]" as it was. */
static void put_piece_of_word(const vocabulary *v, uint32_t id)
{
    hd_span token = v->tokens[id];
    const bool begins = hd__span_begins(token, HD_GGUF_WORD_BEGIN);
    const bool bracketed = token.len > 1 && token.ptr[0] == '[' && token.ptr[token.len - 1] == ']';
    put(v, "\"");
    if (begins && !is_added(v, id))
        token = hd__span(token.ptr + strlen(HD_GGUF_WORD_BEGIN), token.len - strlen(HD_GGUF_WORD_BEGIN));
    else if (!bracketed && !is_added(v, id))
        put(v, "##");
    put_escaped(v, token);
    put(v, "\"");
}

static hd_status write_wordpiece(vocabulary *v)
{
    bool lowercase = !is_cased(v), strip_accents;
    HD_TRY(hd__gguf_get_bool(v->gguf, "tokenizer.ggml.normalizer.lowercase", &lowercase, v->err));
    strip_accents = lowercase;
    HD_TRY(hd__gguf_get_bool(v->gguf, "tokenizer.ggml.normalizer.strip_accents", &strip_accents, v->err));
    HD_TRY(need_token(v, v->unk, "tokenizer.ggml.unknown_token_id"));
    const uint64_t end = v->sep != UINT64_MAX ? v->sep : v->eos;
    HD_TRY(need_token(v, end, "tokenizer.ggml.seperator_token_id"));
    HD_TRY(need_token(v, v->bos, "tokenizer.ggml.bos_token_id"));
    put_added_tokens(v, false, false);
    hd__buffer_printf(v->json,
                      "\"normalizer\":{\"type\":\"BertNormalizer\",\"clean_text\":true,\"handle_chinese_chars\":true,"
                      "\"strip_accents\":%s,\"lowercase\":%s},\"pre_tokenizer\":{\"type\":\"BertPreTokenizer\"},",
                      strip_accents ? "true" : "false", lowercase ? "true" : "false");
    put_template(v, v->bos, end, false, 1);
    put(v, "\"decoder\":{\"type\":\"WordPiece\",\"prefix\":\"##\",\"cleanup\":true},"
           "\"model\":{\"type\":\"WordPiece\",\"continuing_subword_prefix\":\"##\",\"max_input_chars_per_word\":100,"
           "\"unk_token\":");
    put_string(v, v->tokens[v->unk]);
    put(v, ",\"vocab\":{");
    for (uint32_t i = 0, n = 0; i < v->n; i++) {
        if (type_of(v, i) == HD_GGUF_TOKEN_UNUSED)
            continue;
        put(v, n++ > 0 ? "," : "");
        put_piece_of_word(v, i);
        put_number(v, ":%.0f", i);
    }
    put(v, "}}}");
    return HD_OK;
}

/* ---- Unigram ---- */

static float score_of(const vocabulary *v, uint32_t id)
{
    float score;
    memcpy(&score, v->scores + (size_t)id * sizeof score, sizeof score);
    return score;
}

static hd_status check_scores(const vocabulary *v)
{
    if (v->scores == NULL)
        return hd__fail(v->err, HD_ERR_FORMAT, "%s: no tokenizer.ggml.scores", v->gguf->file);
    for (uint32_t i = 0; i < v->n; i++) {
        if (!__builtin_isfinite(score_of(v, i)))
            return hd__fail(v->err, HD_ERR_FORMAT, "%s: tokenizer.ggml.scores: that of token %u is not a finite number",
                            v->gguf->file, i);
    }
    return HD_OK;
}

/* White space is one space whatever tokenizer.ggml.remove_extra_whitespaces says: so it is in XLM-RoBERTa, and the converter
 * takes the flag from a field that is about decoding. */
static hd_status write_unigram(vocabulary *v)
{
    const hd_gguf_pair *charsmap;
    bool prefix = true;
    HD_TRY(hd__gguf_get_array(v->gguf, "tokenizer.ggml.precompiled_charsmap", HD_GGUF_U8, UINT64_MAX, &charsmap, v->err));
    HD_TRY(hd__gguf_get_bool(v->gguf, "tokenizer.ggml.add_space_prefix", &prefix, v->err));
    HD_TRY(need_token(v, v->unk, "tokenizer.ggml.unknown_token_id"));
    HD_TRY(need_token(v, v->bos, "tokenizer.ggml.bos_token_id"));
    HD_TRY(need_token(v, v->eos, "tokenizer.ggml.eos_token_id"));
    HD_TRY(check_scores(v));
    put_added_tokens(v, true, false);
    if (charsmap != NULL && charsmap->n > 0) {
        put(v, "\"normalizer\":{\"type\":\"Precompiled\",\"precompiled_charsmap\":\"");
        hd__buffer_append_base64(v->json, charsmap->bytes);
        put(v, "\"},");
    }
    const char *scheme = prefix ? "always" : "never";
    put(v, "\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"WhitespaceSplit\"},");
    hd__buffer_printf(
        v->json, "{\"type\":\"Metaspace\",\"replacement\":\"" HD_GGUF_WORD_BEGIN "\",\"prepend_scheme\":\"%s\"}]},", scheme);
    put_template(v, v->bos, v->eos, true, 0);
    hd__buffer_printf(v->json,
                      "\"decoder\":{\"type\":\"Metaspace\",\"replacement\":\"" HD_GGUF_WORD_BEGIN
                      "\",\"prepend_scheme\":\"%s\"},"
                      "\"model\":{\"type\":\"Unigram\",\"unk_id\":%llu,\"vocab\":[",
                      scheme, (unsigned long long)v->unk);
    for (uint32_t i = 0; i < v->n; i++) {
        put(v, i > 0 ? ",[" : "[");
        put_string(v, v->tokens[i]);
        put_number(v, ",%.17g]", (double)score_of(v, i)); /* all digits of the double that it is in tokenizer.json */
    }
    put(v, "]}}");
    return HD_OK;
}

/* ---- BPE ---- */

/* Which specials there are, by the keys that say so. */
static hd_status read_specials(vocabulary *v, bool bos, bool eos)
{
    HD_TRY(hd__gguf_get_bool(v->gguf, "tokenizer.ggml.add_bos_token", &bos, v->err));
    HD_TRY(hd__gguf_get_bool(v->gguf, "tokenizer.ggml.add_eos_token", &eos, v->err));
    if (bos)
        HD_TRY(need_token(v, v->bos, "tokenizer.ggml.bos_token_id"));
    if (eos)
        HD_TRY(need_token(v, v->eos, "tokenizer.ggml.eos_token_id"));
    v->bos = bos ? v->bos : UINT64_MAX;
    v->eos = eos ? v->eos : UINT64_MAX;
    return HD_OK;
}

/* Added tokens are among the vocabulary, so that they keep their ids. Unknown characters are dropped where there is no
 * unknown token. */
static void put_bpe_model(const vocabulary *v, bool plain, bool ignore_merges)
{
    put(v, "\"model\":{\"type\":\"BPE\",\"dropout\":null,\"continuing_subword_prefix\":null,\"end_of_word_suffix\":null,"
           "\"unk_token\":");
    if (plain && v->unk != UINT64_MAX)
        put_string(v, v->tokens[v->unk]);
    else
        put(v, "null");
    hd__buffer_printf(v->json, ",\"fuse_unk\":%s,\"byte_fallback\":%s,\"ignore_merges\":%s,\"vocab\":{",
                      plain ? "true" : "false", plain ? "true" : "false", ignore_merges ? "true" : "false");
    for (uint32_t i = 0, n = 0; i < v->n; i++) {
        if (type_of(v, i) == HD_GGUF_TOKEN_UNUSED)
            continue;
        put(v, n++ > 0 ? "," : "");
        put_string(v, v->tokens[i]);
        put_number(v, ":%.0f", i);
    }
    put(v, "},\"merges\":[");
}

static hd_status put_merges(const vocabulary *v)
{
    const hd_gguf_pair *merges;
    HD_TRY(hd__gguf_get_array(v->gguf, "tokenizer.ggml.merges", HD_GGUF_TEXT, UINT64_MAX, &merges, v->err));
    if (merges == NULL)
        return hd__fail(v->err, HD_ERR_FORMAT, "%s: no tokenizer.ggml.merges", v->gguf->file);
    hd_cursor c = hd__cursor(merges->bytes);
    for (uint64_t i = 0; i < merges->n; i++) {
        put(v, i > 0 ? "," : "");
        put_string(v, hd__gguf_next_text(&c));
    }
    put(v, "]}}");
    return HD_OK;
}

static const char plain_decoder[] =
    "\"decoder\":{\"type\":\"Sequence\",\"decoders\":[{\"type\":\"Replace\",\"pattern\":{\"String\":\"" HD_GGUF_WORD_BEGIN
    "\"},\"content\":\" \"},{\"type\":\"ByteFallback\"},{\"type\":\"Fuse\"}%s]},";

static hd_status write_bpe(vocabulary *v)
{
    hd_span name = {"", 0};
    bool lowercase = false;
    HD_TRY(hd__gguf_get_text(v->gguf, "tokenizer.ggml.pre", &name, v->err));
    HD_TRY(hd__gguf_get_bool(v->gguf, "tokenizer.ggml.normalizer.lowercase", &lowercase, v->err));
    HD_TRY(read_specials(v, false, false));
    const hd_gguf_pre *pre = hd__gguf_pre_find(name);
    if (pre == NULL)
        return hd__fail(v->err, HD_ERR_UNSUPPORTED, "%s: tokenizer.ggml.pre is \"%.*s\", Heddle runs %s", v->gguf->file,
                        (int)(name.len < 64 ? name.len : 64), name.ptr, hd__gguf_pre_names);
    put_added_tokens(v, true, pre->normalizes_added);
    hd__buffer_printf(v->json, "\"normalizer\":%s,\"pre_tokenizer\":%s,",
                      lowercase && strcmp(pre->normalizer, "null") == 0 ? "{\"type\":\"Lowercase\"}" : pre->normalizer,
                      pre->pre_tokenizer);
    put_template(v, v->bos, v->eos, pre->two_separators, 0);
    if (pre->plain)
        hd__buffer_printf(v->json, plain_decoder, "");
    else
        put(v, "\"decoder\":{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"trim_offsets\":true,\"use_regex\":true},");
    put_bpe_model(v, pre->plain, pre->ignore_merges);
    return put_merges(v);
}

/* Words are what is between spaces, and runs of punctuation. */
static hd_status write_whitespace(vocabulary *v)
{
    bool lowercase = false;
    HD_TRY(hd__gguf_get_bool(v->gguf, "tokenizer.ggml.normalizer.lowercase", &lowercase, v->err));
    HD_TRY(read_specials(v, false, false));
    put_added_tokens(v, true, false);
    hd__buffer_printf(v->json, "\"normalizer\":%s,\"pre_tokenizer\":{\"type\":\"Whitespace\"},",
                      lowercase ? "{\"type\":\"Lowercase\"}" : "null");
    put_template(v, v->bos, v->eos, true, 0);
    put(v, "\"decoder\":null,");
    put_bpe_model(v, true, false);
    return put_merges(v);
}

/* ---- BPE of SentencePiece's ---- */

static hd_status put_merges_of_scores(const vocabulary *v, const bool *is_piece)
{
    hd_buffer merges;
    hd__buffer_init(&merges);
    const hd_status status = hd__gguf_merges(v->tokens, v->scores, is_piece, v->n, v->gguf->file, &merges, v->err);
    for (size_t at = 0; status == HD_OK && at < merges.len; at += sizeof(hd_gguf_merge)) {
        hd_gguf_merge merge;
        memcpy(&merge, merges.ptr + at, sizeof merge);
        put(v, at > 0 ? ",[" : "[");
        put_string(v, v->tokens[merge.left]);
        put(v, ",");
        put_string(v, v->tokens[merge.right]);
        put(v, "]");
    }
    put(v, "]}}");
    hd__buffer_clear(&merges);
    return status;
}

static hd_status write_sentencepiece(vocabulary *v, hd_arena *arena)
{
    bool prefix = true;
    HD_TRY(hd__gguf_get_bool(v->gguf, "tokenizer.ggml.add_space_prefix", &prefix, v->err));
    HD_TRY(read_specials(v, true, false));
    HD_TRY(need_token(v, v->unk, "tokenizer.ggml.unknown_token_id"));
    HD_TRY(check_scores(v));
    bool *is_piece = hd__arena_calloc(arena, v->n, sizeof *is_piece);
    if (is_piece == NULL)
        return no_memory(v);
    for (uint32_t i = 0; i < v->n; i++)
        is_piece[i] = type_of(v, i) == HD_GGUF_TOKEN_NORMAL;
    put_added_tokens(v, false, false);
    put(v, "\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":[");
    put(v, prefix ? "{\"type\":\"Prepend\",\"prepend\":\"" HD_GGUF_WORD_BEGIN "\"}," : "");
    put(v, "{\"type\":\"Replace\",\"pattern\":{\"String\":\" \"},\"content\":\"" HD_GGUF_WORD_BEGIN
           "\"}]},\"pre_tokenizer\":null,");
    put_template(v, v->bos, v->eos, false, 0);
    hd__buffer_printf(v->json, plain_decoder,
                      prefix ? ",{\"type\":\"Strip\",\"content\":\" \",\"start\":1,\"stop\":0}" : "");
    put_bpe_model(v, true, false);
    return put_merges_of_scores(v, is_piece);
}

/* ---- the whole ---- */

static hd_status write_kind(vocabulary *v, hd_arena *arena)
{
    hd_span model = {"", 0};
    HD_TRY(hd__gguf_get_text(v->gguf, "tokenizer.ggml.model", &model, v->err));
    put(v, "{\"version\":\"1.0\",\"truncation\":null,\"padding\":null,");
    if (hd__span_is(model, "bert"))
        return write_wordpiece(v);
    if (hd__span_is(model, "t5"))
        return write_unigram(v);
    if (hd__span_is(model, "gpt2"))
        return write_bpe(v);
    if (hd__span_is(model, "llama"))
        return write_sentencepiece(v, arena);
    if (hd__span_is(model, "whitespace"))
        return write_whitespace(v);
    return hd__fail(v->err, HD_ERR_UNSUPPORTED,
                    "%s: tokenizer.ggml.model is \"%.*s\", Heddle runs bert, t5, gpt2, llama and whitespace", v->gguf->file,
                    (int)(model.len < 64 ? model.len : 64), model.ptr);
}

hd_status hd__gguf_write_tokenizer(const hd_gguf *gguf, hd_buffer *json, hd_error *err)
{
    hd_arena arena;
    vocabulary v = {.gguf = gguf, .json = json, .err = err};
    hd__arena_init(&arena);
    hd_status status = read_vocabulary(&v, &arena);
    if (status == HD_OK)
        status = write_kind(&v, &arena);
    if (status == HD_OK && json->failed)
        status = no_memory(&v);
    hd__arena_clear(&arena);
    return status;
}

hd_status hd__gguf_read_tokenizer(const char *path, hd_buffer *json, hd_error *err)
{
    hd_gguf_files files;
    hd_arena arena;
    hd__arena_init(&arena);
    hd_status status = hd__gguf_open(path, &arena, &files, err);
    if (status == HD_OK) {
        status = hd__gguf_write_tokenizer(&files.gguf, json, err);
        hd__gguf_close(&files);
    }
    hd__arena_clear(&arena);
    return status;
}
