/* unigram_scan.c - text to ids in one pass, for tokenizers made of a Precompiled normaliser, Metaspace and the Unigram
 * model: those of the XLM-RoBERTa family. Two settings are known, and what lies between them:
 *
 *   Precompiled; WhitespaceSplit, Metaspace                        white space ends a word and is gone
 *   Precompiled, Strip (right), Replace " {2,}"; Metaspace         each run of blanks is a mark, but for the last one
 *
 * ASCII letters before ASCII, which is what no cluster and no rule of the charsmap concerns, are copied. Else a grapheme
 * cluster is looked up as charsmap.h has it. Characters go into the word at hand; where a mark or white space ends it, its
 * pieces are appended. Reading stops at the limit. Added tokens are looked for on the way, where a byte may begin one; what
 * is between two of them is a text of its own.
 */
#include "base/alloc.h"
#include "base/utf8.h"
#include "token/charsmap.h"
#include "token/grapheme.h"
#include "token/tokenizer_parts.h"
#include "token/unicode.h"

enum { WORD_BYTES = 512 }; /* longer words are on the heap */
enum { MAX_CLUSTER_BYTES = 5 };

typedef struct unigram_scan {
    const hd_tokenizer *tokenizer;
    const hd_unigram_scan *settings;
    hd_ids *ids;
    hd_error *err;
    bool begun; /* a word, or where white space does not end one the text, has had its first mark */
    char *word; /* [n] of [capacity] */
    hd_unigram_node *nodes;
    size_t n, capacity;
    hd_buffer blanks; /* white space that Strip may take, if nothing follows */
    size_t searched;  /* no added token begins before */
    char first_word[WORD_BYTES];
    hd_unigram_node first_nodes[WORD_BYTES + 1];
} unigram_scan;

/* ---- the word at hand ---- */

static hd_status reserve(unigram_scan *s, size_t n)
{
    if (s->capacity - s->n >= n)
        return HD_OK;
    size_t capacity = hd__mul(hd__add(s->n, n), 2);
    bool on_heap = s->word != s->first_word;
    char *word = hd__realloc(on_heap ? s->word : NULL, capacity);
    if (word != NULL && !on_heap)
        memcpy(word, s->word, s->n);
    s->word = word != NULL ? word : s->word;
    hd_unigram_node *nodes =
        hd__realloc(s->nodes != s->first_nodes ? s->nodes : NULL, hd__mul(hd__add(capacity, 1), sizeof *nodes));
    s->nodes = nodes != NULL ? nodes : s->nodes;
    if (word == NULL || nodes == NULL)
        return hd__fail(s->err, HD_ERR_MEMORY, "no memory for a word of %zu bytes", capacity);
    s->capacity = capacity;
    return HD_OK;
}

static hd_status append(unigram_scan *s, const char *bytes, size_t n)
{
    HD_TRY(reserve(s, n));
    memcpy(s->word + s->n, bytes, n);
    s->n += n;
    return HD_OK;
}

static hd_status end_word(unigram_scan *s)
{
    if (s->n == 0)
        return HD_OK;
    const hd_unigram *model = &s->tokenizer->model.unigram;
    hd_span word = hd__span(s->word, s->n);
    hd_ids *ids = s->ids;
    HD_TRY(hd__ids_reserve(ids, s->n, s->err));
    hd__unigram_search(model, word, s->nodes);
    size_t n = hd__unigram_pieces(model, word, s->nodes, ids->ids + ids->n, NULL, NULL);
    if (n == 0)
        return hd__fail(s->err, HD_ERR_FORMAT, "%s", hd__no_unknown_token);
    ids->n += n;
    s->n = 0;
    return HD_OK;
}

/* ---- characters, as the charsmap leaves them ---- */

static hd_status put_mark(unigram_scan *s)
{
    s->begun = true;
    HD_TRY(end_word(s));
    return append(s, s->settings->mark, s->settings->mark_len);
}

static hd_status begin(unigram_scan *s)
{
    if (s->begun)
        return HD_OK;
    if (s->settings->prepends)
        return put_mark(s);
    s->begun = true;
    return HD_OK;
}

/* White space that turned out not to be the last. */
static hd_status put_blanks(unigram_scan *s)
{
    for (size_t at = 0, len; at < s->blanks.len; at += len) {
        bool valid;
        uint32_t c = hd__utf8_decode(hd__buffer_span(&s->blanks), at, &len, &valid);
        if (c == ' ') {
            HD_TRY(put_mark(s));
        } else {
            HD_TRY(begin(s));
            HD_TRY(append(s, s->blanks.ptr + at, len));
        }
    }
    hd__buffer_reset(&s->blanks);
    return HD_OK;
}

static hd_status put_space(unigram_scan *s, const char *bytes, size_t n)
{
    if (s->settings->splits_spaces) {
        s->begun = false;
        return end_word(s);
    }
    hd_buffer *blanks = &s->blanks;
    if (s->settings->squeezes && *bytes == ' ' && blanks->len > 0 && blanks->ptr[blanks->len - 1] == ' ')
        return HD_OK;
    hd__buffer_append(blanks, bytes, n);
    return blanks->failed ? hd__fail(s->err, HD_ERR_MEMORY, "no memory for %zu bytes of white space", blanks->len) : HD_OK;
}

static hd_status put(unigram_scan *s, uint32_t c, const char *bytes, size_t n)
{
    if (hd__unicode_flags(c) & HD_UNICODE_SPACE)
        return put_space(s, bytes, n);
    if (s->blanks.len > 0)
        HD_TRY(put_blanks(s));
    if (c == s->settings->mark_code_point)
        return put_mark(s);
    HD_TRY(begin(s));
    return append(s, bytes, n);
}

static hd_status put_text(unigram_scan *s, hd_span text)
{
    for (size_t at = 0, len; at < text.len; at += len) {
        bool valid;
        uint32_t c = hd__utf8_decode(text, at, &len, &valid);
        HD_TRY(put(s, c, text.ptr + at, len));
    }
    return HD_OK;
}

/* A text, or a part of it between added tokens, ends. */
static hd_status end_text(unigram_scan *s)
{
    if (s->settings->strips_right)
        hd__buffer_reset(&s->blanks);
    HD_TRY(put_blanks(s));
    s->begun = false;
    return end_word(s);
}

/* ---- clusters ---- */

/* A match refused by single_word still uses up its characters: no other is looked for in them. */
static const hd_added_token *added_at(unigram_scan *s, hd_span text, size_t at)
{
    if (s->settings->byte_class[(unsigned char)text.ptr[at]] != HD_BYTE_ADDED || at < s->searched)
        return NULL;
    const hd_added_token *token = hd__added_set_find(&s->tokenizer->added_raw, text, at);
    if (token == NULL || hd__added_token_fits(token, text, at, at + token->pattern.len))
        return token;
    s->searched = at + token->pattern.len;
    return NULL;
}

static hd_status put_char(unigram_scan *s, uint32_t c)
{
    char utf8[4];
    hd_span text, bytes = hd__span(utf8, hd__utf8_encode(c, utf8));
    if (hd__charsmap_find(s->settings->charsmap, utf8, bytes.len, &text))
        return put_text(s, text);
    return put(s, c, utf8, bytes.len);
}

/* The cluster that begins at *at, where no added token does. */
static hd_status scan_cluster(unigram_scan *s, hd_span text, size_t *at)
{
    hd_grapheme_state state = {0};
    size_t begin = *at, end, len, n_bytes;
    bool valid, all_valid;
    uint32_t first = hd__utf8_decode(text, begin, &len, &all_valid), c;
    hd__grapheme_ends(&state, first);
    n_bytes = all_valid ? len : 3; /* U+FFFD */
    for (end = begin + len; end < text.len; end += len) {
        c = hd__utf8_decode(text, end, &len, &valid);
        if (hd__grapheme_ends(&state, c) || added_at(s, text, end) != NULL)
            break;
        n_bytes += valid ? len : 3;
        all_valid = all_valid && valid;
    }
    *at = end;
    hd_span found;
    if (all_valid && n_bytes <= MAX_CLUSTER_BYTES &&
        hd__charsmap_find(s->settings->charsmap, text.ptr + begin, n_bytes, &found))
        return put_text(s, found);
    if (!all_valid && n_bytes <= MAX_CLUSTER_BYTES) {
        char utf8[MAX_CLUSTER_BYTES + 1];
        n_bytes = 0;
        for (size_t i = begin; i < end; i += len)
            n_bytes += hd__utf8_encode(hd__utf8_decode(text, i, &len, &valid), utf8 + n_bytes);
        if (hd__charsmap_find(s->settings->charsmap, utf8, n_bytes, &found))
            return put_text(s, found);
    }
    for (size_t i = begin; i < end; i += len)
        HD_TRY(put_char(s, hd__utf8_decode(text, i, &len, &valid)));
    return HD_OK;
}

/* ---- bytes ---- */

/* ASCII that is copied, up to what may be the beginning of a cluster. Says whether there was any. */
static hd_status scan_letters(unigram_scan *s, hd_span text, size_t *at, bool *any)
{
    const uint8_t *class = s->settings->byte_class;
    size_t begin_at = *at, end = begin_at;
    while (end < text.len && class[(unsigned char)text.ptr[end]] == HD_BYTE_LETTER)
        end++;
    if (end < text.len && (unsigned char)text.ptr[end] >= 0x80)
        end--;
    *any = end > begin_at;
    if (!*any)
        return HD_OK;
    *at = end;
    if (s->blanks.len > 0)
        HD_TRY(put_blanks(s));
    HD_TRY(begin(s));
    return append(s, text.ptr + begin_at, end - begin_at);
}

static hd_status scan_added(unigram_scan *s, hd_span text, const hd_added_token *token, size_t *at)
{
    HD_TRY(end_text(s));
    *at += token->pattern.len;
    for (size_t len; token->rstrip && *at < text.len; *at += len) {
        bool valid;
        if (!(hd__unicode_flags(hd__utf8_decode(text, *at, &len, &valid)) & HD_UNICODE_SPACE))
            break;
    }
    HD_TRY(hd__ids_reserve(s->ids, 1, s->err));
    s->ids->ids[s->ids->n++] = token->id;
    return HD_OK;
}

static hd_status scan(unigram_scan *s, hd_span text, size_t most)
{
    const uint8_t *class = s->settings->byte_class;
    for (size_t at = 0; at < text.len && s->ids->n <= most;) {
        uint8_t kind = class[(unsigned char)text.ptr[at]];
        bool done = false;
        if (kind == HD_BYTE_SPACE && (at + 1 == text.len || (unsigned char)text.ptr[at + 1] < 0x80)) {
            HD_TRY(put_space(s, " ", 1));
            at++;
            continue;
        }
        const hd_added_token *token = kind == HD_BYTE_ADDED ? added_at(s, text, at) : NULL;
        if (token != NULL) {
            HD_TRY(scan_added(s, text, token, &at));
            continue;
        }
        if (kind == HD_BYTE_LETTER)
            HD_TRY(scan_letters(s, text, &at, &done));
        if (!done)
            HD_TRY(scan_cluster(s, text, &at));
    }
    return end_text(s);
}

hd_status hd__unigram_scan_run(const hd_tokenizer *tokenizer, hd_span text, size_t limit, hd_ids *ids, hd_error *err)
{
    unigram_scan s;
    s.tokenizer = tokenizer;
    s.settings = &tokenizer->unigram_scan;
    s.ids = ids;
    s.err = err;
    s.begun = false;
    s.word = s.first_word;
    s.nodes = s.first_nodes;
    s.n = s.searched = 0;
    s.capacity = WORD_BYTES;
    hd__buffer_init(&s.blanks);
    hd_status status = scan(&s, text, hd__add(ids->n, limit));
    hd__buffer_clear(&s.blanks);
    if (s.word != s.first_word)
        hd__free(s.word);
    if (s.nodes != s.first_nodes)
        hd__free(s.nodes);
    return status;
}

/* ---- settings ---- */

static bool is_squeeze(const hd_norm_step *step, uint32_t mark)
{
    return step->kind == HD_NORM_REPLACE && step->is_run && step->pattern[0] == ' ' && step->n_content == 1 &&
           (step->content[0] == ' ' || step->content[0] == mark);
}

/* White space that is gone, or that Strip takes, may as well be an added token's. */
static bool added_tokens_fit(const hd_tokenizer *t, const hd_unigram_scan *scan)
{
    bool fit = t->added_normalized.n == 0;
    for (size_t i = 0; i < t->added_raw.n; i++)
        fit = fit && (!t->added_raw.tokens[i].lstrip || scan->splits_spaces || scan->strips_right);
    return fit;
}

static bool normalizer_fits(const hd_normalizer *normalizer, hd_unigram_scan *scan)
{
    const hd_norm_step *steps = normalizer->steps;
    size_t n = normalizer->n_steps, i = 1;
    if (n == 0 || steps[0].kind != HD_NORM_PRECOMPILED)
        return false;
    scan->charsmap = steps[0].charsmap;
    if (i < n && steps[i].kind == HD_NORM_STRIP && !steps[i].left && steps[i].right) {
        scan->strips_right = true;
        i++;
    }
    if (i < n && is_squeeze(&steps[i], scan->mark_code_point)) {
        scan->squeezes = true;
        i++;
    }
    return i == n;
}

static bool pretokenizer_fits(const hd_pretokenizer *pretokenizer, hd_unigram_scan *scan)
{
    const hd_split_step *steps = pretokenizer->steps;
    size_t n = pretokenizer->n_steps;
    scan->splits_spaces = n == 2 && steps[0].kind == HD_SPLIT_SPACES;
    if (n != 1u + scan->splits_spaces || steps[n - 1].kind != HD_SPLIT_METASPACE || steps[n - 1].whole ||
        steps[n - 1].prepend == HD_PREPEND_FIRST)
        return false;
    scan->prepends = steps[n - 1].prepend == HD_PREPEND_ALWAYS;
    scan->mark_code_point = steps[n - 1].mark;
    scan->mark_len = hd__utf8_encode(scan->mark_code_point, scan->mark);
    return !(hd__unicode_flags(scan->mark_code_point) & HD_UNICODE_SPACE);
}

static hd_byte_class class_of(const hd_unigram_scan *scan, char c)
{
    hd_span text;
    bool is_replaced = hd__charsmap_find(scan->charsmap, &c, 1, &text);
    if (is_replaced)
        return hd__span_is(text, " ") && c != '\r' ? HD_BYTE_SPACE : HD_BYTE_LONGER;
    if (hd__unicode_flags((unsigned char)c) & HD_UNICODE_SPACE)
        return c == ' ' ? HD_BYTE_SPACE : HD_BYTE_LONGER;
    return (unsigned char)c == scan->mark_code_point ? HD_BYTE_LONGER : HD_BYTE_LETTER;
}

void hd__unigram_scan_init(hd_tokenizer *t)
{
    hd_unigram_scan *scan = &t->unigram_scan;
    scan->usable = t->model.kind == HD_MODEL_UNIGRAM && pretokenizer_fits(&t->pretokenizer, scan) &&
                   normalizer_fits(&t->normalizer, scan) && added_tokens_fit(t, scan);
    if (!scan->usable)
        return;
    memset(scan->byte_class, HD_BYTE_LONGER, sizeof scan->byte_class);
    for (int c = 0; c < 128; c++)
        scan->byte_class[c] = (uint8_t)class_of(scan, (char)c);
    for (size_t i = 0; i < t->added_raw.n; i++)
        scan->byte_class[(unsigned char)t->added_raw.tokens[i].pattern.ptr[0]] = HD_BYTE_ADDED;
}
