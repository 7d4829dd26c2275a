/* bert_scan.c - text to ids in one pass, for tokenizers made of BertNormalizer, BertPreTokenizer, WordPiece and
 * added tokens with normalized = false. That is every model of the BERT family.
 *
 * One byte is looked at once: letters go, lower-cased, into the word at hand; spaces end it; punctuation is a
 * word of its own. Code points that the settings do something with (decompose, drop, lower-case, split) take
 * a slower road; all others are copied. Nothing is allocated but room for ids, and reading stops at the limit.
 *
 * The steps of the library, in its order, for each code point: drop controls and make white space one space
 * (clean_text); spaces around Chinese characters; canonical decomposition and order, without nonspacing
 * marks (strip_accents); lower case; then words. Canonical order matters for the few marks that stay: they
 * wait in `marks` until the next character of class 0.
 */
#include "base/alloc.h"
#include "base/utf8.h"
#include "token/tokenizer_parts.h"
#include "token/unicode.h"

enum { MAX_WORD_CHARS = 1024 }; /* of models this way is for; they have 100 or 200 */

typedef struct mark {
    uint32_t code_point, class;
} mark;

typedef struct word_scan {
    const hd_tokenizer *tokenizer;
    const hd_bert_scan *settings;
    hd_ids *ids;
    hd_error *err;
    size_t max_chars; /* of a word; of longer ones only the length matters */
    size_t n_chars;   /* of the word at hand, at most max_chars + 1 */
    size_t n_bytes;
    size_t n_marks;
    char word[MAX_WORD_CHARS * 4 + HD_VOCAB_PADDING];
    mark marks[MAX_WORD_CHARS + 1];
} word_scan;

static hd_status end_word(word_scan *s);

/* ---- the word at hand ---- */

static void append(word_scan *s, const char *bytes, size_t n)
{
    if (s->n_chars >= s->max_chars) {
        s->n_chars = s->max_chars + 1;
        return;
    }
    memcpy(s->word + s->n_bytes, bytes, n);
    s->n_bytes += n;
    s->n_chars++;
}

/* A code point as it is after normalisation. */
static hd_status push(word_scan *s, uint32_t c)
{
    uint32_t flags = hd__unicode_flags(c);
    char utf8[4];
    size_t n = hd__utf8_encode(c, utf8);
    if (!(flags & (HD_UNICODE_SPACE | HD_UNICODE_PUNCTUATION))) {
        append(s, utf8, n);
        return HD_OK;
    }
    HD_TRY(end_word(s));
    if (flags & HD_UNICODE_SPACE)
        return HD_OK;
    append(s, utf8, n);
    return end_word(s);
}

static hd_status push_lowered(word_scan *s, uint32_t c)
{
    uint32_t lower[HD_UNICODE_MAX_LOWER] = {c};
    size_t n = s->settings->bert.lowercase ? hd__unicode_lower(c, lower) : 1;
    for (size_t i = 0; i < n; i++)
        HD_TRY(push(s, lower[i]));
    return HD_OK;
}

static hd_status flush_marks(word_scan *s)
{
    size_t n = s->n_marks;
    s->n_marks = 0;
    for (size_t i = 0; i < n; i++)
        HD_TRY(push_lowered(s, s->marks[i].code_point));
    return HD_OK;
}

/* Keeps marks in canonical order. A word with more of them than max_chars is unknown in any order: no mark is
 * a space or punctuation. */
static void add_mark(word_scan *s, uint32_t c, uint32_t class)
{
    if (s->n_marks > s->max_chars)
        return;
    size_t at = s->n_marks++;
    for (; at > 0 && s->marks[at - 1].class > class; at--)
        s->marks[at] = s->marks[at - 1];
    s->marks[at] = (mark){c, class};
}

static hd_status emit(word_scan *s, int32_t id)
{
    HD_TRY(hd__ids_reserve(s->ids, 1, s->err));
    s->ids->ids[s->ids->n++] = id;
    return HD_OK;
}

static hd_status end_word(word_scan *s)
{
    if (s->n_marks != 0)
        HD_TRY(flush_marks(s));
    if (s->n_chars == 0)
        return HD_OK;
    HD_TRY(hd__ids_reserve(s->ids, s->n_bytes + 1, s->err));
    hd_ids *ids = s->ids;
    ids->n += hd__wordpiece_encode(&s->tokenizer->model.wordpiece, hd__span(s->word, s->n_bytes), s->n_chars,
                                   ids->ids + ids->n, NULL);
    s->n_chars = s->n_bytes = 0;
    return HD_OK;
}

/* ---- code points ---- */

static hd_status push_decomposed(word_scan *s, uint32_t c)
{
    uint32_t parts[HD_UNICODE_MAX_DECOMPOSED];
    size_t n = hd__unicode_nfd(c, parts);
    for (size_t i = 0; i < n; i++) {
        uint32_t flags = hd__unicode_flags(parts[i]);
        if (!(flags & HD_UNICODE_HAS_CLASS)) {
            HD_TRY(flush_marks(s));
            if (!(flags & HD_UNICODE_NONSPACING))
                HD_TRY(push_lowered(s, parts[i]));
        } else if (!(flags & HD_UNICODE_NONSPACING)) {
            add_mark(s, parts[i], hd__unicode_class(parts[i]));
        }
    }
    return HD_OK;
}

/* A code point that the settings do something with. */
static hd_status scan_interesting(word_scan *s, uint32_t c, uint32_t flags)
{
    const hd_norm_step *bert = &s->settings->bert;
    if (bert->clean_text) {
        if (flags & HD_UNICODE_CONTROL)
            return HD_OK;
        if (flags & HD_UNICODE_SPACE)
            return end_word(s);
    }
    bool chinese = bert->chinese_chars && (flags & HD_UNICODE_CHINESE);
    if (chinese)
        HD_TRY(end_word(s));
    HD_TRY(bert->strip_accents ? push_decomposed(s, c) : push_lowered(s, c));
    return chinese ? end_word(s) : HD_OK;
}

static hd_status scan_longer(word_scan *s, hd_span text, size_t *at)
{
    size_t len;
    bool valid;
    uint32_t c = hd__utf8_decode(text, *at, &len, &valid);
    const char *bytes = text.ptr + *at;
    *at += len;
    uint32_t flags = hd__unicode_flags(c);
    if (flags & s->settings->interesting)
        return scan_interesting(s, c, flags);
    if (s->n_marks != 0)
        HD_TRY(flush_marks(s));
    if (valid)
        append(s, bytes, len);
    else
        append(s, "\xEF\xBF\xBD", 3);
    return HD_OK;
}

/* ---- bytes ---- */

/* A run of letters: the loop that most text is spent in. */
static hd_status scan_letters(word_scan *s, hd_span text, size_t *at)
{
    const hd_bert_scan *settings = s->settings;
    if (s->n_marks != 0)
        HD_TRY(flush_marks(s));
    size_t room = s->max_chars - (s->n_chars < s->max_chars ? s->n_chars : s->max_chars);
    size_t begin = *at, end = text.len - begin < room ? text.len : begin + room, i = begin;
    char *to = s->word + s->n_bytes;
    for (; i < end && settings->byte_class[(unsigned char)text.ptr[i]] == HD_BYTE_LETTER; i++)
        *to++ = settings->byte_to[(unsigned char)text.ptr[i]];
    s->n_bytes += i - begin;
    s->n_chars += i - begin;
    if (i == end)
        for (; i < text.len && settings->byte_class[(unsigned char)text.ptr[i]] == HD_BYTE_LETTER; i++)
            s->n_chars = s->max_chars + 1;
    *at = i;
    return HD_OK;
}

static hd_status scan_plain(word_scan *s, hd_span text, size_t *at, hd_byte_class class)
{
    unsigned char byte = (unsigned char)text.ptr[*at];
    switch (class) {
    case HD_BYTE_SPACE: (*at)++; return end_word(s);
    case HD_BYTE_PUNCTUATION:
        (*at)++;
        HD_TRY(end_word(s));
        return emit(s, s->settings->byte_id[byte]);
    case HD_BYTE_DROPPED: (*at)++; return HD_OK;
    case HD_BYTE_LONGER: return scan_longer(s, text, at);
    case HD_BYTE_LETTER:
    case HD_BYTE_ADDED: break;
    }
    if (s->n_marks != 0)
        HD_TRY(flush_marks(s));
    append(s, &s->settings->byte_to[byte], 1);
    (*at)++;
    return HD_OK;
}

/* Where an added token may begin. White space that lstrip and rstrip take is no part of any word. A token that
 * single_word refuses still uses up its bytes: no other is looked for before *searched. */
static hd_status scan_added(word_scan *s, hd_span text, size_t *at, size_t *searched)
{
    const hd_added_token *token = *at >= *searched ? hd__added_set_find(&s->tokenizer->added_raw, text, *at) : NULL;
    if (token != NULL) {
        size_t end = *at + token->pattern.len;
        if (hd__added_token_fits(token, text, *at, end)) {
            HD_TRY(end_word(s));
            *at = end;
            return emit(s, token->id);
        }
        *searched = end;
    }
    return scan_plain(s, text, at, s->settings->plain_class[(unsigned char)text.ptr[*at]]);
}

hd_status hd__bert_scan_run(const hd_tokenizer *tokenizer, hd_span text, size_t limit, hd_ids *ids, hd_error *err)
{
    word_scan s;
    s.tokenizer = tokenizer;
    s.settings = &tokenizer->scan;
    s.ids = ids;
    s.err = err;
    s.max_chars = tokenizer->model.wordpiece.max_word_chars;
    s.n_chars = s.n_bytes = s.n_marks = 0;
    size_t searched = 0, most = hd__add(ids->n, limit);
    for (size_t at = 0; at < text.len && ids->n <= most;) {
        hd_byte_class class = s.settings->byte_class[(unsigned char)text.ptr[at]];
        if (class == HD_BYTE_LETTER)
            HD_TRY(scan_letters(&s, text, &at));
        else if (class == HD_BYTE_ADDED)
            HD_TRY(scan_added(&s, text, &at, &searched));
        else
            HD_TRY(scan_plain(&s, text, &at, class));
    }
    return end_word(&s);
}

/* ---- settings ---- */

static bool settings_fit(const hd_tokenizer *t)
{
    const hd_split_step *steps = t->pretokenizer.steps;
    bool bert_words = t->pretokenizer.n_steps == 2 && steps[0].kind == HD_SPLIT_SPACES &&
                      steps[1].kind == HD_SPLIT_PUNCTUATION && steps[1].behavior == HD_SPLIT_ISOLATED;
    bool bert_normalizer =
        t->normalizer.n_steps == 0 || (t->normalizer.n_steps == 1 && t->normalizer.steps[0].kind == HD_NORM_BERT);
    return t->model.kind == HD_MODEL_WORDPIECE && bert_words && bert_normalizer && t->added_normalized.n == 0 &&
           t->model.wordpiece.max_word_chars < MAX_WORD_CHARS;
}

static void set_ascii(hd_bert_scan *scan, const hd_wordpiece *model, uint32_t c)
{
    uint32_t flags = hd__unicode_flags(c), lower[HD_UNICODE_MAX_LOWER] = {c};
    if (scan->bert.lowercase)
        hd__unicode_lower(c, lower);
    scan->byte_to[c] = (char)lower[0];
    scan->plain_class[c] = HD_BYTE_LETTER;
    if (flags & HD_UNICODE_PUNCTUATION) {
        char word[1 + HD_VOCAB_PADDING] = {(char)c};
        scan->plain_class[c] = HD_BYTE_PUNCTUATION;
        hd__wordpiece_encode(model, hd__span(word, 1), 1, &scan->byte_id[c], NULL);
    } else if (scan->bert.clean_text && (flags & HD_UNICODE_CONTROL)) {
        scan->plain_class[c] = HD_BYTE_DROPPED;
    } else if (flags & HD_UNICODE_SPACE) {
        scan->plain_class[c] = HD_BYTE_SPACE;
    }
}

void hd__bert_scan_init(hd_tokenizer *t)
{
    hd_bert_scan *scan = &t->scan;
    scan->usable = settings_fit(t);
    if (!scan->usable)
        return;
    scan->bert = t->normalizer.n_steps == 1 ? t->normalizer.steps[0] : (hd_norm_step){.kind = HD_NORM_BERT};
    scan->interesting = HD_UNICODE_SPACE | HD_UNICODE_PUNCTUATION;
    if (scan->bert.clean_text)
        scan->interesting |= HD_UNICODE_CONTROL;
    if (scan->bert.chinese_chars)
        scan->interesting |= HD_UNICODE_CHINESE;
    if (scan->bert.strip_accents)
        scan->interesting |= HD_UNICODE_HAS_NFD | HD_UNICODE_NONSPACING | HD_UNICODE_HAS_CLASS;
    if (scan->bert.lowercase)
        scan->interesting |= HD_UNICODE_HAS_LOWER;
    for (uint32_t c = 0; c < 128; c++)
        set_ascii(scan, &t->model.wordpiece, c);
    memset(scan->plain_class + 128, HD_BYTE_LONGER, 128);
    memcpy(scan->byte_class, scan->plain_class, sizeof scan->byte_class);
    for (size_t i = 0; i < t->added_raw.n; i++)
        scan->byte_class[(unsigned char)t->added_raw.tokens[i].pattern.ptr[0]] = HD_BYTE_ADDED;
}
