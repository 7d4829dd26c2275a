/* bpe_scan.c - text to ids without places, for byte-level BPE whose words a word rule cuts: GPT-2, RoBERTa, ModernBERT,
 * Qwen2 and Qwen3, Llama 3.
 *
 * Words are read off the text itself and merged byte by byte in registers and stack; a part of the text is copied only where
 * NFC changes it or it is not UTF-8. Parts of a few kilobytes end before a space between two words, where no rule, no added
 * token and no composition reaches across; so reading stops soon after the limit.
 */
#include "base/alloc.h"
#include "base/utf8.h"
#include "token/byte_level.h"
#include "token/tokenizer_parts.h"
#include "token/unicode.h"

enum { PART_BYTES = 4096 };

typedef struct byte_scan {
    const hd_tokenizer *tokenizer;
    const hd_bpe_scan *settings;
    hd_ids *ids;
    size_t most; /* ids after which to stop */
    hd_error *err;
    hd_bpe_work work;         /* for long words */
    hd_norm_text text, spare; /* a part that NFC changes */
    hd_buffer utf8;           /* the same */
    hd_buffer copy;           /* of a part with a space in front, of a word in byte-level characters */
} byte_scan;

static bool is_done(const byte_scan *s)
{
    return s->ids->n > s->most;
}

static hd_status emit(byte_scan *s, int32_t id)
{
    HD_TRY(hd__ids_reserve(s->ids, 1, s->err));
    s->ids->ids[s->ids->n++] = id;
    return HD_OK;
}

/* The id of a whole word, or -1. */
static hd_status find_word(byte_scan *s, hd_span word, int32_t *id)
{
    hd__buffer_reset(&s->copy);
    char *to = hd__buffer_reserve(&s->copy, hd__add(hd__mul(word.len, 2), HD_VOCAB_PADDING));
    if (to == NULL)
        return hd__fail(s->err, HD_ERR_MEMORY, "no memory for a word of %zu bytes", word.len);
    size_t n = 0;
    for (size_t i = 0; i < word.len; i++)
        n += hd__utf8_encode(hd__byte_level_char((uint8_t)word.ptr[i]), to + n);
    memset(to + n, 0, HD_VOCAB_PADDING);
    *id = hd__vocab_find(&s->tokenizer->model.vocab, hd__span(to, n), HD_PIECE_FIRST);
    return HD_OK;
}

static hd_status encode_long(byte_scan *s, hd_span word)
{
    HD_TRY(hd__bpe_reserve(&s->work, word.len, s->err));
    for (size_t i = 0; i < word.len; i++)
        s->work.symbols[i] = (hd_bpe_symbol){.id = s->settings->byte_id[(unsigned char)word.ptr[i]], .n_bytes = 1};
    s->work.n = word.len;
    HD_TRY(hd__bpe_merge(&s->tokenizer->model.bpe, &s->work, s->err));
    HD_TRY(hd__ids_reserve(s->ids, s->work.n, s->err));
    for (size_t i = 0; i < s->work.n; i++)
        s->ids->ids[s->ids->n++] = (int32_t)s->work.symbols[i].id;
    return HD_OK;
}

static hd_status encode_word(byte_scan *s, hd_span word)
{
    const hd_bpe *bpe = &s->tokenizer->model.bpe;
    uint32_t ids[HD_BPE_SHORT];
    if (bpe->ignore_merges) {
        int32_t id = -1;
        HD_TRY(find_word(s, word, &id));
        if (id >= 0)
            return emit(s, id);
    }
    if (word.len > HD_BPE_SHORT)
        return encode_long(s, word);
    for (size_t i = 0; i < word.len; i++)
        ids[i] = s->settings->byte_id[(unsigned char)word.ptr[i]];
    const size_t n = hd__bpe_merge_short(bpe, ids, NULL, word.len);
    HD_TRY(hd__ids_reserve(s->ids, n, s->err));
    for (size_t i = 0; i < n; i++)
        s->ids->ids[s->ids->n++] = (int32_t)ids[i];
    return HD_OK;
}

/* Normalised text between added tokens: valid UTF-8. */
static hd_status encode_words(byte_scan *s, hd_span text)
{
    hd_buffer with_space;
    hd_status status = HD_OK;
    hd__buffer_init(&with_space);
    if (s->settings->prefix_space && text.len > 0 && text.ptr[0] != ' ') {
        hd__buffer_append_char(&with_space, ' ');
        hd__buffer_append(&with_space, text.ptr, text.len);
        if (with_space.failed)
            status = hd__fail(s->err, HD_ERR_MEMORY, "no memory to tokenise %zu bytes", text.len);
        text = hd__buffer_span(&with_space);
    }
    for (size_t at = 0, end; status == HD_OK && at < text.len && !is_done(s); at = end) {
        end = hd__word_end(s->settings->rule, text, at);
        status = encode_word(s, hd__span(text.ptr + at, end - at));
    }
    hd__buffer_clear(&with_space);
    return status;
}

/* Whether the normaliser leaves valid UTF-8 as it is. */
static bool is_normal(const byte_scan *s, hd_span text)
{
    const uint32_t changing = s->settings->nfc ? HD_UNICODE_HAS_CLASS | HD_UNICODE_COMPOSES | HD_UNICODE_HAS_NFC : 0;
    for (size_t at = 0, len; at < text.len; at += len) {
        bool valid = true;
        uint64_t eight;
        len = 1;
        if (text.len - at >= sizeof eight && (memcpy(&eight, text.ptr + at, sizeof eight), eight & 0x8080808080808080u) == 0)
            len = sizeof eight;
        else if ((unsigned char)text.ptr[at] >= 0x80 &&
                 ((hd__unicode_flags(hd__utf8_decode(text, at, &len, &valid)) & changing) || !valid))
            return false;
    }
    return true;
}

static hd_status normalize(byte_scan *s, hd_span *text)
{
    HD_TRY(hd__norm_text_decode(&s->text, *text, 0, s->err));
    HD_TRY(hd__normalizer_run(&s->tokenizer->normalizer, &s->text, &s->spare, s->err));
    hd__buffer_reset(&s->utf8);
    HD_TRY(hd__norm_text_encode(&s->text, &s->utf8, s->err));
    *text = hd__buffer_span(&s->utf8);
    return HD_OK;
}

/* Text between added tokens that are found as given. */
static hd_status encode_gap(byte_scan *s, hd_span text)
{
    if (!is_normal(s, text))
        HD_TRY(normalize(s, &text));
    hd_added_walk walk = {.set = &s->tokenizer->added_normalized, .text = text};
    if (walk.set->n == 0)
        return encode_words(s, text);
    for (bool more = true; more && !is_done(s);) {
        size_t gap_begin, gap_end, begin, end;
        const hd_added_token *token = hd__added_walk_next(&walk, &gap_begin, &gap_end, &begin, &end);
        HD_TRY(encode_words(s, hd__span(text.ptr + gap_begin, gap_end - gap_begin)));
        more = token != NULL;
        if (more && !is_done(s))
            HD_TRY(emit(s, token->id));
    }
    return HD_OK;
}

static hd_status encode_part(byte_scan *s, hd_span text)
{
    hd_added_walk walk = {.set = &s->tokenizer->added_raw, .text = text};
    if (walk.set->n == 0)
        return encode_gap(s, text);
    for (bool more = true; more && !is_done(s);) {
        size_t gap_begin, gap_end, begin, end;
        const hd_added_token *token = hd__added_walk_next(&walk, &gap_begin, &gap_end, &begin, &end);
        HD_TRY(encode_gap(s, hd__span(text.ptr + gap_begin, gap_end - gap_begin)));
        more = token != NULL;
        if (more && !is_done(s))
            HD_TRY(emit(s, token->id));
    }
    return HD_OK;
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_letter_or_digit(char c)
{
    return is_letter(c) || (c >= '0' && c <= '9');
}

/* Whether text[at] is the space between two words. */
static bool is_between(hd_span text, size_t at)
{
    return at > 0 && at + 1 < text.len && text.ptr[at] == ' ' && is_letter_or_digit(text.ptr[at - 1]) &&
           is_letter(text.ptr[at + 1]);
}

static size_t part_len(const hd_bpe_scan *settings, hd_span text)
{
    size_t len = settings->cuttable && text.len > PART_BYTES ? PART_BYTES : text.len;
    while (len < text.len && !is_between(text, len))
        len++;
    return len;
}

hd_status hd__bpe_scan_run(const hd_tokenizer *tokenizer, hd_span text, size_t limit, hd_ids *ids, hd_error *err)
{
    byte_scan s = {
        .tokenizer = tokenizer, .settings = &tokenizer->bpe_scan, .ids = ids, .most = hd__add(ids->n, limit), .err = err};
    hd_status status = HD_OK;
    hd__buffer_init(&s.utf8);
    hd__buffer_init(&s.copy);
    for (size_t at = 0, len; status == HD_OK && at < text.len && !is_done(&s); at += len) {
        const hd_span rest = hd__span(text.ptr + at, text.len - at);
        len = part_len(s.settings, rest);
        status = encode_part(&s, hd__span(rest.ptr, len));
    }
    hd__bpe_work_clear(&s.work);
    hd__norm_text_clear(&s.text);
    hd__norm_text_clear(&s.spare);
    hd__buffer_clear(&s.utf8);
    hd__buffer_clear(&s.copy);
    return status;
}

/* ---- settings ---- */

/* Whether an added token may be found across, or otherwise because of, a cut. */
static bool reaches_across(const hd_added_token *token)
{
    const hd_span text = token->pattern;
    if (text.len == 0)
        return false;
    for (size_t at = 0; at < text.len; at++)
        if (is_between(text, at))
            return true;
    const bool open_end = text.len > 1 && text.ptr[text.len - 1] == ' ' && is_letter_or_digit(text.ptr[text.len - 2]);
    return open_end || (token->rstrip && is_letter_or_digit(text.ptr[text.len - 1])) ||
           (token->single_word && text.ptr[0] == ' ');
}

/* [a space in front,] words by a rule, bytes */
static bool steps_fit(const hd_pretokenizer *p, hd_bpe_scan *scan)
{
    const hd_split_step *step = p->steps;
    scan->prefix_space = p->n_steps == 3 && step->kind == HD_SPLIT_PREFIX_SPACE;
    if (p->n_steps != 2u + scan->prefix_space)
        return false;
    step += scan->prefix_space;
    if (step->kind != HD_SPLIT_PATTERN || step->behavior != HD_SPLIT_ISOLATED || step->invert ||
        hd__pattern_rule(step->pattern) == NULL)
        return false;
    scan->rule = *hd__pattern_rule(step->pattern);
    return step[1].kind == HD_SPLIT_BYTES;
}

static bool find_bytes(const hd_vocab *vocab, hd_bpe_scan *scan)
{
    for (unsigned byte = 0; byte < 256; byte++) {
        char text[4 + HD_VOCAB_PADDING] = {0};
        size_t n = hd__utf8_encode(hd__byte_level_char((uint8_t)byte), text);
        int32_t id = hd__vocab_find(vocab, hd__span(text, n), HD_PIECE_FIRST);
        if (id < 0)
            return false;
        scan->byte_id[byte] = (uint32_t)id;
    }
    return true;
}

void hd__bpe_scan_init(hd_tokenizer *t)
{
    hd_bpe_scan *scan = &t->bpe_scan;
    const hd_bpe *bpe = &t->model.bpe;
    scan->nfc = t->normalizer.n_steps == 1 && t->normalizer.steps[0].kind == HD_NORM_NFC;
    scan->usable = t->model.kind == HD_MODEL_BPE && bpe->prefix.len == 0 && bpe->suffix.len == 0 &&
                   (t->normalizer.n_steps == 0 || scan->nfc) && steps_fit(&t->pretokenizer, scan) &&
                   find_bytes(&t->model.vocab, scan);
    scan->cuttable = true;
    for (size_t i = 0; i < t->n_added; i++)
        scan->cuttable = scan->cuttable && !reaches_across(&t->added[i]);
}
