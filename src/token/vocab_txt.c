/* vocab_txt.c - a tokenizer from BERT's vocab.txt: one token a line, its number is its id.
 *
 * The rest is as `transformers` builds BertTokenizerFast from such a folder: BertNormalizer by
 * tokenizer_config.json, BertPreTokenizer, words of up to 100 characters, "[CLS] text [SEP]", and the special
 * tokens found in the text as given.
 */
#include "base/limits.h"
#include "base/utf8.h"
#include "token/tokenizer_parts.h"
#include "token/unicode.h"

enum { N_SPECIALS = 5, UNK = 0, SEP = 1, CLS = 3 };
enum { MAX_WORD_CHARS = 100 };

typedef struct config {
    bool do_lower_case, strip_accents, chinese_chars;
    hd_span specials[N_SPECIALS];
} config;

/* A name is a string or an added token {"content": "[UNK]", ...}. */
static hd_status parse_names(const json_t *root, const char *path, hd_arena *arena, config *c, hd_error *err)
{
    static const char *const keys[N_SPECIALS] = {"unk_token", "sep_token", "pad_token", "cls_token", "mask_token"};
    for (size_t i = 0; i < N_SPECIALS; i++) {
        const json_t *value = json_object_get(root, keys[i]);
        const json_t *name = json_is_object(value) ? json_object_get(value, "content") : value;
        if (name == NULL || json_is_null(name))
            continue;
        if (!json_is_string(name))
            return hd__fail(err, HD_ERR_FORMAT, "%s: \"%s\" is not a string", path, keys[i]);
        char *copy = hd__arena_strndup(arena, json_string_value(name), json_string_length(name));
        if (copy == NULL)
            return hd__fail(err, HD_ERR_MEMORY, "%s: no memory for \"%s\"", path, keys[i]);
        c->specials[i] = hd__span(copy, json_string_length(name));
    }
    return HD_OK;
}

static hd_status parse_config(const json_t *json, const char *path, hd_arena *arena, config *c, hd_error *err)
{
    *c = (config){.do_lower_case = true, .chinese_chars = true};
    static const char *const names[N_SPECIALS] = {"[UNK]", "[SEP]", "[PAD]", "[CLS]", "[MASK]"};
    for (size_t i = 0; i < N_SPECIALS; i++)
        c->specials[i] = hd__span_of(names[i]);
    HD_TRY(hd__json_get_bool(json, "do_lower_case", path, &c->do_lower_case, err));
    c->strip_accents = c->do_lower_case; /* null or missing: as do_lower_case */
    HD_TRY(hd__json_get_bool(json, "strip_accents", path, &c->strip_accents, err));
    HD_TRY(hd__json_get_bool(json, "tokenize_chinese_chars", path, &c->chinese_chars, err));
    return parse_names(json, path, arena, c, err);
}

/* A line without the white space at its end. */
static hd_span trimmed(hd_span line)
{
    while (line.len > 0) {
        size_t at = line.len - 1, len;
        while (at > 0 && ((unsigned char)line.ptr[at] & 0xC0) == 0x80)
            at--;
        bool valid;
        if (!(hd__unicode_flags(hd__utf8_decode(line, at, &len, &valid)) & HD_UNICODE_SPACE))
            break;
        line.len = at;
    }
    return line;
}

static hd_status read_lines(hd_vocab *vocab, hd_span text, const char *path, hd_error *err)
{
    size_t valid_len = hd__utf8_valid_len(text);
    if (valid_len != text.len)
        return hd__fail(err, HD_ERR_FORMAT, "%s: not UTF-8 at byte %zu", path, valid_len);
    uint64_t id = 0;
    for (size_t at = 0; at < text.len; id++) {
        const char *newline = memchr(text.ptr + at, '\n', text.len - at);
        size_t end = newline != NULL ? (size_t)(newline - text.ptr) : text.len;
        HD_TRY(hd__vocab_add(vocab, trimmed(hd__span(text.ptr + at, end - at)), id, path, err));
        at = end + 1;
    }
    return HD_OK;
}

static hd_status find_special(hd_tokenizer *t, hd_span name, const char *path, int32_t *id, hd_error *err)
{
    for (size_t i = 0; i < t->n_added; i++) {
        if (hd__span_equal(t->added[i].content, name) && (uint32_t)t->added[i].id < t->model.vocab.n_ids) {
            *id = t->added[i].id;
            return HD_OK;
        }
    }
    return hd__fail(err, HD_ERR_FORMAT, "%s: the special token \"%s\" is not in it", path, name.ptr);
}

static hd_status assemble(hd_tokenizer *t, const config *c, const char *path, hd_error *err)
{
    hd_norm_step *bert = hd__arena_calloc(&t->arena, 1, sizeof *bert);
    if (bert == NULL)
        return hd__fail(err, HD_ERR_MEMORY, "%s: no memory for its settings", path);
    *bert = (hd_norm_step){.kind = HD_NORM_BERT,
                           .clean_text = true,
                           .chinese_chars = c->chinese_chars,
                           .strip_accents = c->strip_accents,
                           .lowercase = c->do_lower_case};
    t->normalizer = (hd_normalizer){.steps = bert, .n_steps = 1, .capacity = 1, .local = true};
    t->pretokenizer = (hd_pretokenizer){
        .steps = {{HD_SPLIT_SPACES, HD_SPLIT_REMOVED}, {HD_SPLIT_PUNCTUATION, HD_SPLIT_ISOLATED}}, .n_steps = 2};
    t->decoder = hd__decoder_bert;
    t->model.wordpiece.max_word_chars = MAX_WORD_CHARS;
    HD_TRY(hd__wordpiece_build(&t->model.wordpiece, &t->model.vocab, hd__span("##", 2), c->specials[UNK], path, err));
    hd_added_request requests[N_SPECIALS] = {0};
    for (size_t i = 0; i < N_SPECIALS; i++)
        requests[i] = (hd_added_request){.content = c->specials[i], .special = true};
    HD_TRY(hd__tokenizer_set_added(t, requests, N_SPECIALS, path, err));
    int32_t cls = 0, sep = 0;
    HD_TRY(find_special(t, c->specials[CLS], path, &cls, err));
    HD_TRY(find_special(t, c->specials[SEP], path, &sep, err));
    hd__template_wrap(&t->template, cls, sep, false);
    return HD_OK;
}

hd_status hd__tokenizer_parse_vocab_txt(hd_tokenizer *tokenizer, hd_span text, const char *path, const json_t *json,
                                        const char *config_path, hd_error *err)
{
    config c;
    HD_TRY(parse_config(json, config_path, &tokenizer->arena, &c, err));
    HD_TRY(read_lines(&tokenizer->model.vocab, text, path, err));
    return assemble(tokenizer, &c, path, err);
}
