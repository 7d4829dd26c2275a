/* tokenizer.c - see tokenizer.h and, for how it is made, tokenizer_parts.h. */
#include "token/tokenizer.h"

#include "base/alloc.h"
#include "base/file.h"
#include "base/limits.h"
#include "base/utf8.h"
#include "token/byte_level.h"
#include "token/tokenizer_parts.h"
#include "token/unicode.h"

/* ---- open ---- */

static bool has_space(hd_span text)
{
    bool valid, found = false;
    for (size_t at = 0, len; at < text.len && !found; at += len)
        found = hd__unicode_flags(hd__utf8_decode(text, at, &len, &valid)) & HD_UNICODE_SPACE;
    return found;
}

static bool is_cuttable(const hd_tokenizer *t)
{
    bool words_end_at_spaces = t->pretokenizer.n_steps > 0 && (t->pretokenizer.steps[0].kind == HD_SPLIT_SPACES ||
                                                               t->pretokenizer.steps[0].kind == HD_SPLIT_WORDS);
    bool tokens_have_none = true;
    for (size_t i = 0; i < t->n_added; i++)
        tokens_have_none = tokens_have_none && !has_space(t->added[i].pattern);
    return t->normalizer.local && words_end_at_spaces && tokens_have_none;
}

static hd_status begin_open(hd_tokenizer **tokenizer, hd_error *err)
{
    hd_tokenizer *t = hd__calloc(1, sizeof *t);
    if (t == NULL)
        return hd__fail(err, HD_ERR_MEMORY, "no memory for a tokenizer");
    hd__arena_init(&t->arena);
    hd__token_model_init(&t->model);
    *tokenizer = t;
    return HD_OK;
}

/* Hands out a tokenizer whose settings have been read, or frees it. */
static hd_status end_open(hd_tokenizer *t, hd_status status, hd_tokenizer **tokenizer)
{
    if (status != HD_OK) {
        hd__tokenizer_close(t);
        return status;
    }
    t->cuttable = is_cuttable(t);
    hd__bert_scan_init(t);
    hd__unigram_scan_init(t);
    hd__bpe_scan_init(t);
    *tokenizer = t;
    return HD_OK;
}

hd_status hd__tokenizer_open_json(hd_span text, const char *file, hd_tokenizer **tokenizer, hd_error *err)
{
    hd_tokenizer *t = NULL;
    HD_TRY(begin_open(&t, err));
    return end_open(t, hd__tokenizer_parse_json(t, text, file, err), tokenizer);
}

hd_status hd__tokenizer_open_vocab_txt(hd_span text, const char *path, const json_t *config, const char *config_path,
                                       hd_tokenizer **tokenizer, hd_error *err)
{
    hd_tokenizer *t = NULL;
    HD_TRY(begin_open(&t, err));
    return end_open(t, hd__tokenizer_parse_vocab_txt(t, text, path, config, config_path, err), tokenizer);
}

hd_status hd__tokenizer_open_sentencepiece(hd_span bytes, const char *path, hd_tokenizer **tokenizer, hd_error *err)
{
    hd_tokenizer *t = NULL;
    HD_TRY(begin_open(&t, err));
    return end_open(t, hd__tokenizer_parse_folder(t, NULL, path, bytes, hd__span(NULL, 0), err), tokenizer);
}

hd_status hd__tokenizer_open_tables(const hd_span tables[HD_TABLE_COUNT], const char *file, hd_tokenizer **tokenizer,
                                    hd_error *err)
{
    hd_tokenizer *t = NULL;
    HD_TRY(begin_open(&t, err));
    if (!hd__token_tables_view(&t->model, tables))
        return end_open(t, hd__fail(err, HD_ERR_FORMAT, "%s: not the tables of a tokenizer", file), tokenizer);
    return end_open(t, hd__tokenizer_parse_json(t, tables[HD_TABLE_SETTINGS], file, err), tokenizer);
}

hd_status hd__tokenizer_keep(hd_tokenizer *tokenizer, void (*release)(void *), void *owner, hd_error *err)
{
    if (hd__arena_on_clear(&tokenizer->arena, release, owner) == HD_OK)
        return HD_OK;
    return hd__fail(err, HD_ERR_MEMORY, "no memory for a tokenizer's owner");
}

static hd_status open_vocab_txt(const char *path, const char *config_path, hd_arena *arena, hd_tokenizer **tokenizer,
                                hd_error *err)
{
    hd_span text;
    json_t *config = NULL;
    HD_TRY(hd__file_read(path, HD_LIMIT_JSON_FILE_BYTES, arena, &text, err));
    if (hd__file_exists(config_path))
        HD_TRY(hd__json_read(config_path, &config, err));
    hd_status status = hd__tokenizer_open_vocab_txt(text, path, config, config_path, tokenizer, err);
    json_decref(config);
    return status;
}

/* Mapped, not read: those of large vocabularies are about 20 MB, of which little stays. */
static hd_status map_open(const char *path, hd_file_map *map, hd_error *err)
{
    HD_TRY(hd__file_map_open(path, map, err));
    if (map->bytes.len <= HD_LIMIT_JSON_FILE_BYTES)
        return HD_OK;
    const size_t len = map->bytes.len;
    hd__file_map_close(map);
    return hd__fail(err, HD_ERR_LIMIT, "%s: %zu bytes, the limit is %u", path, len, HD_LIMIT_JSON_FILE_BYTES);
}

static hd_status open_json(const char *path, hd_tokenizer **tokenizer, hd_error *err)
{
    hd_file_map map;
    HD_TRY(map_open(path, &map, err));
    const hd_status status = hd__tokenizer_open_json(map.bytes, path, tokenizer, err);
    hd__file_map_close(&map);
    return status;
}

/* The vocabulary, its merges (a path, or NULL) and what else a folder says. */
static hd_status open_folder(const char *dir, const char *vocab_path, const char *merges_path, hd_tokenizer **tokenizer,
                             hd_error *err)
{
    hd_file_map vocab, merges = {0};
    hd_tokenizer *t = NULL;
    HD_TRY(map_open(vocab_path, &vocab, err));
    hd_status status = merges_path != NULL ? map_open(merges_path, &merges, err) : HD_OK;
    if (status == HD_OK)
        status = begin_open(&t, err);
    if (status == HD_OK) {
        const hd_span lines = merges.bytes.len > 0 ? merges.bytes : hd__span(merges_path, 0);
        status = end_open(t, hd__tokenizer_parse_folder(t, dir, vocab_path, vocab.bytes, lines, err), tokenizer);
    }
    hd__file_map_close(&vocab);
    hd__file_map_close(&merges);
    return status;
}

enum { JSON, LINES, BPE_PIECES, PIECES, BPE_VOCAB, BPE_MERGES, CONFIG };

const char *const hd__tokenizer_files[] = {
    [JSON] = "tokenizer.json",
    [LINES] = "vocab.txt",
    [BPE_PIECES] = "sentencepiece.bpe.model",
    [PIECES] = "spiece.model",
    [BPE_VOCAB] = "vocab.json",
    [BPE_MERGES] = "merges.txt",
    [CONFIG] = "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "config.json",
    NULL,
};

hd_status hd__tokenizer_open(const char *dir, hd_tokenizer **tokenizer, hd_error *err)
{
    hd_arena arena;
    hd__arena_init(&arena);
    hd_status status;
    const char *paths[CONFIG + 1];
    bool is_there[CONFIG + 1];
    for (size_t i = 0; i <= CONFIG; i++) {
        paths[i] = hd__arena_printf(&arena, "%s/%s", dir, hd__tokenizer_files[i]);
        if (paths[i] == NULL)
            HD_TRY_OUT(hd__fail(err, HD_ERR_MEMORY, "%s: no memory for its files' names", dir));
        is_there[i] = hd__file_exists(paths[i]);
    }
    if (is_there[JSON])
        status = open_json(paths[JSON], tokenizer, err);
    else if (is_there[LINES])
        status = open_vocab_txt(paths[LINES], paths[CONFIG], &arena, tokenizer, err);
    else if (is_there[BPE_PIECES] || is_there[PIECES])
        status = open_folder(dir, paths[is_there[BPE_PIECES] ? BPE_PIECES : PIECES], NULL, tokenizer, err);
    else if (is_there[BPE_VOCAB] && is_there[BPE_MERGES])
        status = open_folder(dir, paths[BPE_VOCAB], paths[BPE_MERGES], tokenizer, err);
    else
        status = hd__fail(err, HD_ERR_NOT_FOUND,
                          "%s: there is no tokenizer.json, vocab.txt, sentencepiece.bpe.model, spiece.model, or vocab.json "
                          "with merges.txt",
                          dir);
out:
    hd__arena_clear(&arena);
    return status;
}

void hd__tokenizer_close(hd_tokenizer *tokenizer)
{
    if (tokenizer == NULL)
        return;
    hd__token_model_clear(&tokenizer->model);
    hd__arena_clear(&tokenizer->arena);
    hd__free(tokenizer);
}

uint32_t hd__tokenizer_vocab_size(const hd_tokenizer *tokenizer)
{
    return tokenizer->vocab_size;
}

static const hd_added_token *find_added(const hd_tokenizer *tokenizer, int32_t id)
{
    for (size_t i = 0; i < tokenizer->n_added; i++)
        if (tokenizer->added[i].id == id)
            return &tokenizer->added[i];
    return NULL;
}

/* NUL-terminated, and may hold U+0000. */
static hd_span token_text(const hd_tokenizer *tokenizer, int32_t id)
{
    const hd_added_token *added = find_added(tokenizer, id);
    if (id < 0)
        return hd__span("", 0);
    return added != NULL ? added->content : hd__vocab_text(&tokenizer->model.vocab, (uint32_t)id);
}

const char *hd__tokenizer_token(const hd_tokenizer *tokenizer, int32_t id)
{
    return token_text(tokenizer, id).ptr;
}

void hd__tokenizer_specials(const hd_tokenizer *tokenizer, hd_token_ids *before, hd_token_ids *after)
{
    const hd_template *t = &tokenizer->template;
    *before = (hd_token_ids){.ids = t->before, .n = t->n_before};
    *after = (hd_token_ids){.ids = t->after, .n = t->n_after};
}

void hd__tokenizer_drop_specials(hd_tokenizer *tokenizer)
{
    tokenizer->template.n_before = tokenizer->template.n_after = tokenizer->template.n_pair = 0;
}

int32_t hd__tokenizer_unknown_id(const hd_tokenizer *tokenizer)
{
    switch (tokenizer->model.kind) {
    case HD_MODEL_WORDPIECE: return tokenizer->model.wordpiece.unk_id;
    case HD_MODEL_UNIGRAM: return tokenizer->model.unigram.unk_id;
    case HD_MODEL_BPE: return tokenizer->model.bpe.unk_id;
    }
    return -1;
}

int32_t hd__tokenizer_added_id(const hd_tokenizer *tokenizer, const char *text)
{
    for (size_t i = 0; i < tokenizer->n_added; i++)
        if (strcmp(tokenizer->added[i].content.ptr, text) == 0)
            return tokenizer->added[i].id;
    return -1;
}

int32_t hd__tokenizer_id(const hd_tokenizer *tokenizer, const char *text)
{
    char padded[HD_LIMIT_TOKEN_BYTES + HD_VOCAB_PADDING] = {0};
    const int32_t added = hd__tokenizer_added_id(tokenizer, text);
    const size_t n = strlen(text);
    if (added >= 0 || n == 0 || n > HD_LIMIT_TOKEN_BYTES)
        return added;
    memcpy(padded, text, n);
    return hd__token_model_find(&tokenizer->model, hd__span(padded, n));
}

hd_status hd__tokenizer_decode(const hd_tokenizer *tokenizer, const int32_t *ids, size_t n, bool no_specials, hd_buffer *out,
                               hd_error *err)
{
    if (tokenizer->decoder.unknown != NULL)
        return hd__fail(err, HD_ERR_UNSUPPORTED, "a decoder of type \"%s\" is not supported", tokenizer->decoder.unknown);
    hd_token_texts texts = {0};
    hd_status status = HD_OK;
    for (size_t i = 0; i < n && status == HD_OK; i++) {
        const hd_added_token *added = find_added(tokenizer, ids[i]);
        const hd_span text = token_text(tokenizer, ids[i]);
        if (text.len > 0 && !(added != NULL && added->special && no_specials))
            status = hd__token_texts_add(&texts, text, err);
    }
    if (status == HD_OK)
        status = hd__decoder_run(&tokenizer->decoder, &texts, out, err);
    hd__token_texts_clear(&texts);
    return status;
}

/* ---- encode ---- */

void hd__ids_clear(hd_ids *ids)
{
    hd__free(ids->ids);
    *ids = (hd_ids){0};
}

hd_status hd__ids_grow(hd_ids *ids, size_t n, hd_error *err)
{
    size_t capacity = hd__add(ids->n, n);
    capacity = hd__add(capacity, capacity / 2);
    capacity = capacity < 64 ? 64 : capacity;
    int32_t *grown = hd__realloc(ids->ids, hd__mul(capacity, sizeof *grown));
    if (grown == NULL)
        return hd__fail(err, HD_ERR_MEMORY, "no memory for %zu token ids", capacity);
    ids->ids = grown;
    ids->capacity = capacity;
    return HD_OK;
}

hd_status hd__ids_append(hd_ids *ids, const int32_t *more, size_t n, hd_error *err)
{
    HD_TRY(hd__ids_reserve(ids, n, err));
    if (n > 0)
        memcpy(ids->ids + ids->n, more, n * sizeof *more);
    ids->n += n;
    return HD_OK;
}

hd_status hd__tokenizer_check_text(hd_span text, const hd_tokenize_options *options, uint32_t n_specials, size_t *limit,
                                   hd_error *err)
{
    if (text.len > HD_LIMIT_TEXT_BYTES)
        return hd__fail(err, HD_ERR_LIMIT, "a text of %zu bytes, the limit is %u", text.len, HD_LIMIT_TEXT_BYTES);
    if (options->max_length != 0 && options->max_length < n_specials)
        return hd__fail(err, HD_ERR_LIMIT, "a max_length of %u tokens has no room for the %u the model adds",
                        options->max_length, n_specials);
    if (options->strict && hd__utf8_valid_len(text) != text.len)
        return hd__fail(err, HD_ERR_FORMAT, "the text is not UTF-8 at byte %zu", hd__utf8_valid_len(text));
    *limit = options->max_length == 0 ? SIZE_MAX : options->max_length - n_specials;
    return HD_OK;
}

static hd_status check(const hd_tokenizer *tokenizer, hd_span text, const hd_tokenize_options *options, size_t *limit,
                       hd_error *err)
{
    const hd_template *template = &tokenizer->template;
    return hd__tokenizer_check_text(text, options, options->no_specials ? 0 : template->n_before + template->n_after, limit,
                                    err);
}

/* The most of the text, up to `most` bytes, that can be tokenised alone. */
static hd_span front(const hd_tokenizer *tokenizer, hd_span text, size_t most)
{
    size_t len = tokenizer->cuttable && most < text.len ? most : text.len;
    while (len < text.len && len > 0 && !hd__is_ascii_space(text.ptr[len - 1]))
        len--;
    return hd__span(text.ptr, len > 0 ? len : text.len);
}

/* Up to limit + 1 tokens. Of a long text ever longer fronts are tried: what comes after enough is not read. */
static hd_status pipeline(const hd_tokenizer *tokenizer, hd_span text, size_t limit, bool lower_case, hd_token_list *tokens,
                          hd_error *err)
{
    for (size_t most = hd__add(hd__mul(limit, 16), 1024);; most = hd__mul(most, 4)) {
        hd_span part = front(tokenizer, text, most);
        tokens->n = 0;
        HD_TRY(hd__pipeline_run(tokenizer, part, limit, lower_case, tokens, err));
        if (tokens->n > limit || part.len == text.len)
            return HD_OK;
    }
}

hd_status hd__tokenizer_encode_text(const hd_tokenizer *tokenizer, hd_span text, size_t limit, bool lower_case, hd_ids *ids,
                                    hd_error *err)
{
    if (tokenizer->scan.usable && !lower_case)
        return hd__bert_scan_run(tokenizer, text, limit, ids, err);
    if (tokenizer->unigram_scan.usable && !lower_case)
        return hd__unigram_scan_run(tokenizer, text, limit, ids, err);
    if (tokenizer->bpe_scan.usable && !lower_case)
        return hd__bpe_scan_run(tokenizer, text, limit, ids, err);
    hd_token_list tokens = {0};
    hd_status status = pipeline(tokenizer, text, limit, lower_case, &tokens, err);
    if (status == HD_OK)
        status = hd__ids_reserve(ids, tokens.n, err);
    for (size_t i = 0; status == HD_OK && i < tokens.n; i++)
        ids->ids[ids->n++] = tokens.tokens[i].id;
    hd__free(tokens.tokens);
    return status;
}

static void append_ids(hd_ids *ids, const int32_t *more, size_t n)
{
    if (n > 0)
        memcpy(ids->ids + ids->n, more, n * sizeof *more);
    ids->n += n;
}

hd_status hd__tokenizer_encode(const hd_tokenizer *tokenizer, hd_span text, const hd_tokenize_options *options, hd_ids *ids,
                               bool *truncated, hd_error *err)
{
    const hd_template *template = &tokenizer->template;
    size_t limit, begin = ids->n;
    HD_TRY(check(tokenizer, text, options, &limit, err));
    size_t guess = text.len / 4 < limit ? text.len / 4 : limit; /* saves growing step by step */
    hd_status status;
    HD_TRY_OUT(hd__ids_reserve(ids, guess + HD_TEMPLATE_MAX_IDS, err));
    if (!options->no_specials)
        append_ids(ids, template->before, template->n_before);
    size_t text_begin = ids->n;
    HD_TRY_OUT(hd__tokenizer_encode_text(tokenizer, text, options->cut_front ? SIZE_MAX - 1 : limit, options->lower_case,
                                         ids, err));
    bool cut = ids->n - text_begin > limit;
    if (cut && options->cut_front)
        memmove(ids->ids + text_begin, ids->ids + ids->n - limit, limit * sizeof *ids->ids);
    if (cut)
        ids->n = text_begin + limit;
    HD_TRY_OUT(hd__ids_reserve(ids, HD_TEMPLATE_MAX_IDS, err));
    if (!options->no_specials)
        append_ids(ids, template->after, template->n_after);
    if (truncated != NULL)
        *truncated = cut;
out:
    if (status != HD_OK)
        ids->n = begin;
    return status;
}

/* ---- encode with offsets ---- */

static hd_token *put_specials(hd_token *to, const int32_t *ids, size_t n)
{
    for (size_t i = 0; i < n; i++)
        *to++ = (hd_token){.id = ids[i], .special = true};
    return to;
}

/* How many blanks a token begins and ends with: white space, or what stands for a space in byte-level vocabularies. */
static void count_blanks(hd_span text, size_t *leading, size_t *trailing)
{
    bool only_blanks = true, valid;
    *leading = *trailing = 0;
    for (size_t at = 0, len; at < text.len; at += len) {
        uint32_t c = hd__utf8_decode(text, at, &len, &valid);
        bool blank = c == HD_BYTE_LEVEL_SPACE || (hd__unicode_flags(c) & HD_UNICODE_SPACE);
        only_blanks = only_blanks && blank;
        *leading += only_blanks;
        *trailing = blank ? *trailing + 1 : 0;
    }
}

static void skip_chars(hd_span text, uint32_t *byte, uint32_t *index, uint32_t end)
{
    bool valid;
    for (size_t len; *index < end; *index += 1, *byte += (uint32_t)len)
        hd__utf8_decode(text, *byte, &len, &valid);
}

/* trim_offsets of RobertaProcessing and ByteLevel: a token's place leaves out its blanks. The one that add_prefix_space may
 * have put at the very beginning has no place. */
static void trim_blanks(const hd_tokenizer *tokenizer, hd_span text, hd_token *token, bool is_first)
{
    const bool is_added = find_added(tokenizer, token->id) != NULL;
    const hd_span own = is_added ? hd__span(text.ptr + token->byte_begin, token->byte_end - token->byte_begin)
                                 : token_text(tokenizer, token->id);
    size_t leading, trailing;
    count_blanks(own, &leading, &trailing);
    if (leading == 1 && tokenizer->template.has_prefix_space && (is_first || token->char_begin == 0))
        leading = 0;
    const uint32_t n = token->char_end - token->char_begin;
    skip_chars(text, &token->byte_begin, &token->char_begin, token->char_begin + (uint32_t)(leading < n ? leading : n));
    if (trailing == 0 || trailing > token->char_end)
        return;
    uint32_t end = token->char_end - (uint32_t)trailing;
    end = end > token->char_begin ? end : token->char_begin;
    token->byte_end = token->byte_begin;
    token->char_end = token->char_begin;
    skip_chars(text, &token->byte_end, &token->char_end, end);
}

/* How many code points are before a byte. Places are asked for in order, but for added tokens that overlap. */
typedef struct place {
    size_t byte, index;
} place;

static uint32_t seek_char(hd_span text, place *known, size_t at)
{
    size_t len;
    bool valid;
    if (at < known->byte)
        *known = (place){0};
    for (; known->byte < at; known->byte += len, known->index++)
        hd__utf8_decode(text, known->byte, &len, &valid);
    return (uint32_t)known->index;
}

static void count_chars(hd_span text, hd_token *tokens, size_t n)
{
    place begin = {0}, end = {0};
    for (size_t i = 0; i < n; i++) {
        tokens[i].char_begin = seek_char(text, &begin, tokens[i].byte_begin);
        tokens[i].char_end = seek_char(text, &end, tokens[i].byte_end);
    }
}

hd_status hd__tokenizer_encode_offsets(const hd_tokenizer *tokenizer, hd_span text, const hd_tokenize_options *options,
                                       hd_tokens *tokens, hd_error *err)
{
    const hd_template *template = &tokenizer->template;
    hd_token_list list = {0};
    size_t limit;
    HD_TRY(check(tokenizer, text, options, &limit, err));
    hd_status status;
    HD_TRY_OUT(pipeline(tokenizer, text, options->cut_front ? SIZE_MAX - 1 : limit, options->lower_case, &list, err));
    size_t n = list.n < limit ? list.n : limit;
    size_t n_before = options->no_specials ? 0 : template->n_before, n_after = options->no_specials ? 0 : template->n_after;
    hd_token *all = hd__calloc(n_before + n + n_after, sizeof *all);
    if (all == NULL) {
        status = hd__fail(err, HD_ERR_MEMORY, "no memory for %zu tokens", n);
        goto out;
    }
    hd_token *to = put_specials(all, template->before, n_before);
    if (n > 0)
        memcpy(to, list.tokens + (options->cut_front ? list.n - n : 0), n * sizeof *to);
    count_chars(text, to, n);
    for (size_t i = 0; template->trims_spaces && i < n; i++)
        trim_blanks(tokenizer, text, &to[i], i == 0);
    put_specials(to + n, template->after, n_after);
    *tokens = (hd_tokens){all, n_before + n + n_after, list.n > limit};
out:
    hd__free(list.tokens);
    return status;
}
