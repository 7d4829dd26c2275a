/* tokenizer_folder.c - a tokenizer from a folder without tokenizer.json, as `transformers` 5 builds the class that
 * tokenizer_config.json names, or config.json's model_type: its files come down to the tokenizer.json that it would be.
 *
 *   class                 vocabulary                                    text
 *   RobertaTokenizer      vocab.json, merges.txt                        GPT-2's words; "<s> text </s>"
 *   GPT2Tokenizer         vocab.json, merges.txt                        GPT-2's words
 *   Qwen2Tokenizer        vocab.json, merges.txt                        NFC, Qwen2's words
 *   XLMRobertaTokenizer   sentencepiece.bpe.model (sentencepiece.c)     charsmap, words at white space; "<s> text </s>"
 *   CamembertTokenizer    sentencepiece.bpe.model                       the same
 *   T5Tokenizer           spiece.model                                  charsmap, words at white space; "text </s>"
 *   AlbertTokenizer       spiece.model                                  quotes, accents, case, charsmap; "[CLS] text [SEP]"
 *
 * Special tokens are those of tokenizer_config.json; in older folders special_tokens_map.json and added_tokens.json have
 * them, in place of its added_tokens_decoder.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/limits.h"
#include "token/json_scan.h"
#include "token/tokenizer_parts.h"

#define METASPACE                                                                                                           \
    "{\"type\":\"Metaspace\",\"replacement\":\"\\u2581\",\"prepend_scheme\":\"%s\",\"split\":true}" /* always or never */
#define GPT2_WORDS "{\"type\":\"ByteLevel\",\"add_prefix_space\":%s,\"trim_offsets\":true,\"use_regex\":true}"
#define QWEN2_WORDS                                                                                                         \
    "{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Split\",\"pattern\":{\"Regex\":\"(?i:'s|'t|'re|'ve|'m|'ll|'d)|"  \
    "[^\\\\r\\\\n\\\\p{L}\\\\p{N}]?\\\\p{L}+|\\\\p{N}| ?[^\\\\s\\\\p{L}\\\\p{N}]+[\\\\r\\\\n]*|\\\\s*[\\\\r\\\\n]+|"        \
    "\\\\s+(?!\\\\S)|\\\\s+\"},\"behavior\":\"Isolated\",\"invert\":false},{\"type\":\"ByteLevel\",\"add_prefix_space\":%"  \
    "s,"                                                                                                                    \
    "\"trim_offsets\":true,\"use_regex\":false}]}"

enum { BOS, EOS, UNK, SEP, PAD, CLS, MASK, N_SPECIALS };
static const char *const special_keys[N_SPECIALS] = {"bos_token", "eos_token", "unk_token", "sep_token",
                                                     "pad_token", "cls_token", "mask_token"};

typedef enum shape { NOTHING, BEGIN_AND_END, END_ONLY, BERT, ROBERTA } shape;

typedef struct tokenizer_class {
    const char *name;           /* with or without "Fast" behind it */
    const char *model_types[3]; /* config.json's */
    const char *specials[N_SPECIALS];
    const char *words; /* BPE: the pre-tokenizer; NULL: Unigram */
    hd_piece_order pieces;
    shape shape; /* what is put around texts */
    bool prefix_space, nfc, cleans, has_extra_ids;
} tokenizer_class;

static const tokenizer_class classes[] = {
    {.name = "XLMRobertaTokenizer",
     .model_types = {"xlm-roberta"},
     .specials = {"<s>", "</s>", "<unk>", "</s>", "<pad>", "<s>", "<mask>"},
     .pieces = {.n_replaced = 3, .first = {"<s>", "<pad>", "</s>", "<unk>"}, .has_mask = true, .unk_id = 3},
     .shape = BEGIN_AND_END,
     .prefix_space = true},
    {.name = "CamembertTokenizer",
     .model_types = {"camembert"},
     .specials = {"<s>", "</s>", "<unk>", "</s>", "<pad>", "<s>", "<mask>"},
     .pieces = {.n_replaced = 1,
                .first = {"<s>NOTUSED", "<pad>", "</s>NOTUSED", "<unk>", "<unk>NOTUSED"},
                .has_mask = true,
                .unk_id = 3},
     .shape = BEGIN_AND_END,
     .prefix_space = true},
    {.name = "T5Tokenizer",
     .model_types = {"t5", "mt5"},
     .specials = {[EOS] = "</s>", [UNK] = "<unk>", [PAD] = "<pad>"},
     .pieces = {.unk_id = 2},
     .shape = END_ONLY,
     .prefix_space = true,
     .has_extra_ids = true},
    {.name = "AlbertTokenizer",
     .model_types = {"albert"},
     .specials = {"[CLS]", "[SEP]", "<unk>", "[SEP]", "<pad>", "[CLS]", "[MASK]"},
     .pieces = {.unk_id = 1},
     .shape = BERT,
     .prefix_space = true,
     .cleans = true},
    {.name = "RobertaTokenizer",
     .model_types = {"roberta"},
     .specials = {"<s>", "</s>", "<unk>", "</s>", "<pad>", "<s>", "<mask>"},
     .words = GPT2_WORDS,
     .shape = ROBERTA},
    {.name = "GPT2Tokenizer",
     .model_types = {"gpt2"},
     .specials = {[BOS] = "<|endoftext|>", [EOS] = "<|endoftext|>", [UNK] = "<|endoftext|>"},
     .words = GPT2_WORDS},
    {.name = "Qwen2Tokenizer",
     .model_types = {"qwen2", "qwen3"},
     .specials = {[EOS] = "<|endoftext|>", [UNK] = "<|endoftext|>", [PAD] = "<|endoftext|>"},
     .words = QWEN2_WORDS,
     .nfc = true},
};

enum { EXTRA_IDS = 100 };

typedef struct folder {
    const char *dir;
    const char *vocab_path;
    const tokenizer_class *class;
    json_t *config, *specials, *added, *model; /* tokenizer_config.json and so on; NULL: not there */
    json_t *tokens;                            /* [] what is to be added, in order */
    uint32_t n_extra_ids;
    hd_buffer settings;
    hd_error *err;
} folder;

static hd_status no_memory(const folder *f)
{
    return hd__fail(f->err, HD_ERR_MEMORY, "%s: no memory for its tokenizer", f->vocab_path);
}

/* ---- which class ---- */

static bool is_class(const char *name, const tokenizer_class *class)
{
    const size_t n = strlen(class->name);
    return strncmp(name, class->name, n) == 0 && (name[n] == '\0' || strcmp(name + n, "Fast") == 0);
}

static bool has_model_type(const char *type, const tokenizer_class *class)
{
    for (size_t i = 0; i < sizeof class->model_types / sizeof *class->model_types; i++)
        if (class->model_types[i] != NULL && strcmp(class->model_types[i], type) == 0)
            return true;
    return false;
}

/* PreTrainedTokenizerFast and the like say nothing: then it is the model's. is_bpe: by the files that are there. */
static hd_status find_class(folder *f, bool is_bpe)
{
    const char *name = json_string_value(json_object_get(f->config, "tokenizer_class"));
    const char *type = json_string_value(json_object_get(f->model, "model_type"));
    const bool is_named = name != NULL && strncmp(name, "PreTrained", 10) != 0 && strcmp(name, "TokenizersBackend") != 0;
    for (size_t i = 0; i < sizeof classes / sizeof *classes && f->class == NULL; i++)
        if (is_named ? is_class(name, &classes[i]) : type != NULL && has_model_type(type, &classes[i]))
            f->class = &classes[i];
    if (f->class == NULL && !is_named && type == NULL && !is_bpe)
        f->class = &classes[0];
    if (f->class == NULL || is_bpe != (f->class->words != NULL))
        return hd__fail(f->err, HD_ERR_UNSUPPORTED,
                        "%s: the %s \"%s\" is not supported without tokenizer.json; RobertaTokenizer, GPT2Tokenizer and "
                        "Qwen2Tokenizer are from vocab.json and merges.txt, XLMRobertaTokenizer, CamembertTokenizer, "
                        "T5Tokenizer and AlbertTokenizer from a SentencePiece model",
                        f->vocab_path, is_named ? "tokenizer_class" : "model_type",
                        is_named       ? name
                        : type != NULL ? type
                                       : "");
    return HD_OK;
}

static hd_status flag_of(const folder *f, const char *key, bool *value)
{
    return hd__json_get_bool(f->config, key, "tokenizer_config.json", value, f->err);
}

/* ---- added tokens ---- */

/* A token is text or {"content": …, "lstrip": …}. */
static const json_t *content_of(const json_t *token)
{
    return json_is_object(token) ? json_object_get(token, "content") : token;
}

static json_t *find_token(const folder *f, const json_t *content)
{
    for (size_t i = 0; i < json_array_size(f->tokens); i++)
        if (json_equal(content_of(json_array_get(f->tokens, i)), content))
            return json_array_get(f->tokens, i);
    return NULL;
}

/* Adds a token unless it is among them; a special one is special from now on in any case. */
static hd_status add_token(folder *f, const json_t *token, bool special)
{
    const json_t *content = content_of(token);
    if (token == NULL || json_is_null(token))
        return HD_OK;
    if (!json_is_string(content))
        return hd__fail(f->err, HD_ERR_FORMAT, "%s: a special token is neither text nor has a \"content\"", f->vocab_path);
    json_t *own = find_token(f, content);
    if (own == NULL) {
        if (json_array_size(f->tokens) == HD_LIMIT_ADDED_TOKENS)
            return hd__fail(f->err, HD_ERR_LIMIT, "%s: more than %u added tokens", f->vocab_path, HD_LIMIT_ADDED_TOKENS);
        own = json_is_object(token) ? json_deep_copy(token) : json_pack("{s:O}", "content", content);
        if (own == NULL || json_array_append_new(f->tokens, own) != 0)
            return no_memory(f);
        if (json_object_get(own, "normalized") == NULL &&
            json_object_set_new(own, "normalized", json_boolean(!special)) != 0)
            return no_memory(f);
    }
    if (special && json_object_set_new(own, "special", json_true()) != 0)
        return no_memory(f);
    return HD_OK;
}

static hd_status add_text(folder *f, const char *text, bool special)
{
    json_t *token = json_string(text);
    const hd_status status = token != NULL ? add_token(f, token, special) : no_memory(f);
    json_decref(token);
    return status;
}

static hd_status set_lstrip(const folder *f, const char *text)
{
    json_t *content = json_string(text);
    json_t *token = find_token(f, content);
    json_decref(content);
    return json_object_set_new(token, "lstrip", json_true()) == 0 ? HD_OK : no_memory(f);
}

static hd_status add_list(folder *f, const json_t *list)
{
    for (size_t i = 0; json_is_array(list) && i < json_array_size(list); i++)
        HD_TRY(add_token(f, json_array_get(list, i), true));
    return HD_OK;
}

static const json_t *special_of(const folder *f, const char *key)
{
    const json_t *own =
        json_object_get(f->config, "added_tokens_decoder") == NULL ? json_object_get(f->specials, key) : NULL;
    return own != NULL ? own : json_object_get(f->config, key);
}

/* The text of a special token, or NULL. */
static const char *special_text(const folder *f, int i)
{
    const json_t *token = special_of(f, special_keys[i]);
    return token != NULL ? json_string_value(content_of(token)) : f->class->specials[i];
}

static bool is_special_text(const folder *f, const char *text)
{
    for (int i = 0; i < N_SPECIALS; i++) {
        const char *special = special_text(f, i);
        if (special != NULL && strcmp(special, text) == 0)
            return true;
    }
    return false;
}

typedef struct numbered {
    long long id;
    const char *key;
    const json_t *value;
} numbered;

static int by_id(const void *a, const void *b)
{
    const long long x = ((const numbered *)a)->id, y = ((const numbered *)b)->id;
    return (x > y) - (x < y);
}

/* The entries of {"id": token} or, in added_tokens.json, {"text": id}, by ids: new tokens get theirs in this order. */
static hd_status add_numbered(folder *f, const json_t *object, bool ids_are_keys)
{
    const size_t n = json_object_size(object);
    if (n > HD_LIMIT_ADDED_TOKENS)
        return hd__fail(f->err, HD_ERR_LIMIT, "%s: %zu added tokens, the limit is %u", f->vocab_path, n,
                        HD_LIMIT_ADDED_TOKENS);
    numbered *tokens = hd__calloc(n + 1, sizeof *tokens);
    if (tokens == NULL)
        return no_memory(f);
    size_t i = 0;
    for (void *at = json_object_iter((json_t *)(uintptr_t)object); at != NULL;
         at = json_object_iter_next((json_t *)(uintptr_t)object, at), i++) {
        const char *key = json_object_iter_key(at);
        const json_t *value = json_object_iter_value(at);
        tokens[i] = (numbered){ids_are_keys ? strtoll(key, NULL, 10) : json_integer_value(value), key, value};
    }
    if (n > 0)
        qsort(tokens, n, sizeof *tokens, by_id);
    hd_status status = HD_OK;
    for (i = 0; i < n && status == HD_OK; i++)
        status = ids_are_keys ? add_token(f, tokens[i].value, json_is_true(json_object_get(tokens[i].value, "special")))
                              : add_text(f, tokens[i].key, is_special_text(f, tokens[i].key));
    hd__free(tokens);
    return status;
}

static hd_status add_extra_ids(folder *f)
{
    char text[32];
    for (uint32_t i = 0; i < f->n_extra_ids; i++) {
        snprintf(text, sizeof text, "<extra_id_%u>", i);
        HD_TRY(add_text(f, text, true));
    }
    return HD_OK;
}

static hd_status collect_tokens(folder *f)
{
    const json_t *decoder = json_object_get(f->config, "added_tokens_decoder");
    HD_TRY(decoder != NULL ? add_numbered(f, decoder, true) : add_numbered(f, f->added, false));
    for (int i = 0; i < N_SPECIALS; i++) {
        const json_t *token = special_of(f, special_keys[i]);
        if (token == NULL && f->class->specials[i] != NULL)
            HD_TRY(add_text(f, f->class->specials[i], true));
        else
            HD_TRY(add_token(f, token, true));
        if (token == NULL && i == MASK && f->class->pieces.has_mask) /* as the published files have it */
            HD_TRY(set_lstrip(f, f->class->specials[MASK]));
    }
    HD_TRY(add_list(f, special_of(f, "additional_special_tokens")));
    HD_TRY(add_list(f, special_of(f, "extra_special_tokens")));
    return add_extra_ids(f);
}

/* ---- its tokenizer.json ---- */

static void put(folder *f, const char *text)
{
    hd__buffer_append_text(&f->settings, text);
}

static void put_text(folder *f, const char *text)
{
    hd__buffer_append_json(&f->settings, hd__span_of(text));
}

static int put_bytes(const char *bytes, size_t n, void *buffer)
{
    hd__buffer_append(buffer, bytes, n);
    return 0;
}

static hd_status put_tokens(folder *f)
{
    put(f, "\"added_tokens\":");
    return json_dump_callback(f->tokens, put_bytes, &f->settings, JSON_COMPACT) == 0 ? HD_OK : no_memory(f);
}

/* ALBERT's: `` and '' are quotes, and accents and case go unless they are to be kept. */
static hd_status put_cleaning(folder *f)
{
    bool lower_case = true, keep_accents = false;
    HD_TRY(flag_of(f, "do_lower_case", &lower_case));
    HD_TRY(flag_of(f, "keep_accents", &keep_accents));
    put(f, "{\"type\":\"Replace\",\"pattern\":{\"String\":\"``\"},\"content\":\"\\\"\"},"
           "{\"type\":\"Replace\",\"pattern\":{\"String\":\"''\"},\"content\":\"\\\"\"},");
    put(f, keep_accents ? "" : "{\"type\":\"NFKD\"},{\"type\":\"StripAccents\"},");
    put(f, lower_case ? "{\"type\":\"Lowercase\"}," : "");
    return HD_OK;
}

static hd_status put_unigram(folder *f, hd_span charsmap)
{
    bool prefix_space = f->class->prefix_space;
    HD_TRY(flag_of(f, "add_prefix_space", &prefix_space));
    const char *scheme = prefix_space ? "always" : "never";
    put(f, "{\"version\":\"1.0\",\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":[");
    if (f->class->cleans)
        HD_TRY(put_cleaning(f));
    if (charsmap.len > 0) {
        put(f, "{\"type\":\"Precompiled\",\"precompiled_charsmap\":\"");
        hd__buffer_append_base64(&f->settings, charsmap);
        put(f, "\"},");
    }
    if (f->settings.len > 0 && !f->settings.failed && f->settings.ptr[f->settings.len - 1] == ',')
        f->settings.len--;
    hd__buffer_printf(
        &f->settings,
        "]},\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"WhitespaceSplit\"}," METASPACE
        "]},\"decoder\":" METASPACE ",\"model\":{\"type\":\"Unigram\",\"unk_id\":%d},",
        scheme, scheme, f->class->pieces.unk_id);
    return put_tokens(f);
}

static hd_status put_bpe(folder *f)
{
    bool prefix_space = f->class->prefix_space;
    HD_TRY(flag_of(f, "add_prefix_space", &prefix_space));
    put(f, "{\"version\":\"1.0\",\"normalizer\":");
    put(f, f->class->nfc ? "{\"type\":\"NFC\"},\"pre_tokenizer\":" : "null,\"pre_tokenizer\":");
    const char *words = f->class->words, *place = strstr(words, "%s");
    hd__buffer_append(&f->settings, words, (size_t)(place - words));
    put(f, prefix_space ? "true" : "false");
    put(f, place + 2);
    put(f, ",\"decoder\":{\"type\":\"ByteLevel\",\"add_prefix_space\":true,\"trim_offsets\":true,\"use_regex\":true},"
           "\"model\":{\"type\":\"BPE\",\"unk_token\":null,\"continuing_subword_prefix\":\"\",\"end_of_word_suffix\":\"\","
           "\"fuse_unk\":false,\"byte_fallback\":false},");
    return put_tokens(f);
}

/* ---- what is put around texts: known by id only when the rest is read ---- */

static hd_status id_of(const folder *f, const hd_tokenizer *t, int i, const char **text, int32_t *id)
{
    *text = special_text(f, i);
    *id = *text != NULL ? hd__tokenizer_added_id(t, *text) : -1;
    if (*id < 0)
        return hd__fail(f->err, HD_ERR_FORMAT, "%s: the tokenizer has no \"%s\"", f->vocab_path, special_keys[i]);
    return HD_OK;
}

static void put_piece(folder *f, const char *special, const char *text, int type)
{
    put(f, special != NULL ? "{\"SpecialToken\":{\"id\":" : "{\"Sequence\":{\"id\":");
    put_text(f, special != NULL ? special : text);
    hd__buffer_printf(&f->settings, ",\"type_id\":%d}},", type);
}

/* "begin A end", and for two texts "begin A end B end", with a second `end` between them for RoBERTa's kin and a second
 * `begin` where there is no template but only the wish for them. Both may be NULL. */
static void put_template(folder *f, const char *begin, const char *end)
{
    const bool wished = f->class->shape == NOTHING;
    const int second_type = wished || f->class->shape == BERT;
    const char *between = wished ? begin : f->class->shape == BEGIN_AND_END ? end : NULL;
    put(f, "{\"type\":\"TemplateProcessing\",\"single\":[");
    for (int pair = 0; pair < 2; pair++) {
        if (begin != NULL)
            put_piece(f, begin, NULL, 0);
        put_piece(f, NULL, "A", 0);
        if (end != NULL)
            put_piece(f, end, NULL, 0);
        if (pair == 1 && between != NULL)
            put_piece(f, between, NULL, second_type);
        if (pair == 1)
            put_piece(f, NULL, "B", second_type);
        if (pair == 1 && end != NULL)
            put_piece(f, end, NULL, second_type);
        f->settings.len -= !f->settings.failed;
        put(f, pair == 0 ? "],\"pair\":[" : "],\"special_tokens\":{");
    }
}

static void put_special(folder *f, const char *text, int32_t id)
{
    put_text(f, text);
    put(f, ":{\"id\":");
    put_text(f, text);
    hd__buffer_printf(&f->settings, ",\"ids\":[%d],\"tokens\":[", id);
    put_text(f, text);
    put(f, "]}");
}

static hd_status put_shape(folder *f, const hd_tokenizer *t)
{
    const shape around = f->class->shape;
    const int first = around == BERT || around == ROBERTA ? CLS : BOS, last = first == CLS ? SEP : EOS;
    bool has_begin = around != NOTHING && around != END_ONLY, has_end = around != NOTHING;
    const char *begin = NULL, *end = NULL;
    int32_t begin_id = -1, end_id = -1;
    if (around == NOTHING) {
        HD_TRY(flag_of(f, "add_bos_token", &has_begin));
        HD_TRY(flag_of(f, "add_eos_token", &has_end));
    }
    if (has_begin)
        HD_TRY(id_of(f, t, first, &begin, &begin_id));
    if (has_end)
        HD_TRY(id_of(f, t, last, &end, &end_id));
    if (around == ROBERTA) {
        bool prefix_space = f->class->prefix_space, trims = true;
        HD_TRY(flag_of(f, "add_prefix_space", &prefix_space));
        HD_TRY(flag_of(f, "trim_offsets", &trims));
        put(f, "{\"type\":\"RobertaProcessing\",\"sep\":[");
        put_text(f, end);
        hd__buffer_printf(&f->settings, ",%d],\"cls\":[", end_id);
        put_text(f, begin);
        hd__buffer_printf(&f->settings, ",%d],\"trim_offsets\":%s,\"add_prefix_space\":%s}", begin_id,
                          trims ? "true" : "false", prefix_space ? "true" : "false");
        return HD_OK;
    }
    put_template(f, begin, end);
    if (begin != NULL)
        put_special(f, begin, begin_id);
    if (end != NULL && end_id != begin_id) {
        put(f, begin != NULL ? "," : "");
        put_special(f, end, end_id);
    }
    put(f, "}}");
    return HD_OK;
}

/* Reads the settings so far, and then the template, which they are kept with. */
static hd_status parse(folder *f, hd_tokenizer *t, hd_merges merges)
{
    json_t *root = NULL, *template = NULL;
    hd_status status;
    const size_t len = f->settings.len;
    put(f, "}");
    if (f->settings.failed)
        return no_memory(f);
    HD_TRY_OUT(hd__json_parse(hd__buffer_span(&f->settings), f->vocab_path, &root, f->err));
    HD_TRY_OUT(hd__tokenizer_parse_settings(t, root, merges, f->vocab_path, f->err));
    f->settings.len = len;
    put(f, ",\"post_processor\":");
    const size_t begin = f->settings.len;
    HD_TRY_OUT(put_shape(f, t));
    const hd_span text = hd__span(f->settings.ptr + begin, f->settings.len - begin);
    if (f->settings.failed)
        HD_TRY_OUT(no_memory(f));
    HD_TRY_OUT(hd__json_parse(text, f->vocab_path, &template, f->err));
    HD_TRY_OUT(hd__template_parse(template, f->vocab_path, &t->template, f->err));
    put(f, "}");
    status = f->settings.failed ? no_memory(f) : hd__token_tables_note(t, hd__buffer_span(&f->settings), f->err);
out:
    json_decref(root);
    json_decref(template);
    return status;
}

/* ---- vocabularies ---- */

static hd_status read_pieces(folder *f, hd_tokenizer *t, hd_span bytes)
{
    hd_piece_order order = f->class->pieces;
    hd_span charsmap = hd__span("", 0);
    uint64_t n_extra = f->class->has_extra_ids ? EXTRA_IDS : 0;
    if (f->class->has_extra_ids)
        HD_TRY(
            hd__json_get_uint(f->config, "extra_ids", 0, HD_LIMIT_ADDED_TOKENS, "tokenizer_config.json", &n_extra, f->err));
    f->n_extra_ids = order.n_extra_ids = (uint32_t)n_extra;
    t->model.kind = HD_MODEL_UNIGRAM;
    json_t *controls = json_array();
    if (controls == NULL)
        return no_memory(f);
    hd_status status = hd__sentencepiece_read(bytes, f->vocab_path, &order, &t->model, &charsmap, controls, f->err);
    if (status == HD_OK)
        status = collect_tokens(f);
    if (status == HD_OK)
        status = add_list(f, controls);
    json_decref(controls);
    if (status == HD_OK)
        status = put_unigram(f, charsmap);
    return status == HD_OK ? parse(f, t, (hd_merges){0}) : status;
}

static hd_status read_bpe(folder *f, hd_tokenizer *t, hd_span vocab, hd_merges merges)
{
    hd_json_scan scan = {vocab.ptr, vocab.ptr + vocab.len};
    size_t len;
    if (hd__json_scan_peek(&scan) != '{')
        return hd__fail(f->err, HD_ERR_FORMAT, "%s: not an object of tokens and their ids", f->vocab_path);
    HD_TRY(
        hd__vocab_json_read(hd__span(scan.at, (size_t)(scan.end - scan.at)), f->vocab_path, &t->model.vocab, &len, f->err));
    scan.at += len;
    if (hd__json_scan_peek(&scan) != '\0' || scan.at < scan.end)
        return hd__fail(f->err, HD_ERR_FORMAT, "%s: more behind its object", f->vocab_path);
    HD_TRY(collect_tokens(f));
    HD_TRY(put_bpe(f));
    return parse(f, t, merges);
}

/* ---- files ---- */

static hd_status read_json(const folder *f, const char *name, json_t **root)
{
    hd_arena arena;
    hd__arena_init(&arena);
    const char *path = hd__arena_printf(&arena, "%s/%s", f->dir, name);
    hd_status status = path != NULL ? HD_OK : no_memory(f);
    if (status == HD_OK && hd__file_exists(path))
        status = hd__json_read(path, root, f->err);
    hd__arena_clear(&arena);
    return status;
}

static hd_status read_configs(folder *f)
{
    HD_TRY(read_json(f, "tokenizer_config.json", &f->config));
    HD_TRY(read_json(f, "special_tokens_map.json", &f->specials));
    HD_TRY(read_json(f, "added_tokens.json", &f->added));
    return read_json(f, "config.json", &f->model);
}

hd_status hd__tokenizer_parse_folder(hd_tokenizer *t, const char *dir, const char *vocab_path, hd_span vocab, hd_span merges,
                                     hd_error *err)
{
    folder f = {.dir = dir, .vocab_path = vocab_path, .tokens = json_array(), .err = err};
    const bool is_bpe = merges.ptr != NULL;
    hd_status status;
    hd__buffer_init(&f.settings);
    if (f.tokens == NULL)
        HD_TRY_OUT(no_memory(&f));
    if (dir != NULL)
        HD_TRY_OUT(read_configs(&f));
    HD_TRY_OUT(find_class(&f, is_bpe));
    status = is_bpe ? read_bpe(&f, t, vocab, (hd_merges){merges, true}) : read_pieces(&f, t, vocab);
out:
    hd__buffer_clear(&f.settings);
    json_decref(f.tokens);
    json_decref(f.config);
    json_decref(f.specials);
    json_decref(f.added);
    json_decref(f.model);
    return status;
}
