/* normalize_text.c - the steps of a normaliser; see normalizer.h.
 *
 * A step is a list of new characters, each with a change: 0 takes the place of the next old character, -n
 * does so and uses up n more, 1 is added and stands where the character before it stands
 * (NormalizedString::transform_range). Steps that only drop or map characters are done in place.
 */
#include <assert.h>

#include "base/alloc.h"
#include "base/utf8.h"
#include "token/charsmap.h"
#include "token/normalizer.h"
#include "token/unicode.h"

void hd__norm_text_clear(hd_norm_text *text)
{
    hd__free(text->chars);
    *text = (hd_norm_text){0};
}

hd_status hd__norm_text_reserve(hd_norm_text *text, size_t n, hd_error *err)
{
    if (n <= text->capacity)
        return HD_OK;
    size_t capacity = n < 256 ? 256 : hd__add(n, n / 2);
    hd_norm_char *chars = hd__realloc(text->chars, hd__mul(capacity, sizeof *chars));
    if (chars == NULL)
        return hd__fail(err, HD_ERR_MEMORY, "no memory to normalise %zu characters", n);
    text->chars = chars;
    text->capacity = capacity;
    return HD_OK;
}

hd_status hd__norm_text_decode(hd_norm_text *text, hd_span utf8, uint32_t base, hd_error *err)
{
    HD_TRY(hd__norm_text_reserve(text, utf8.len, err));
    text->n = 0;
    bool valid;
    for (size_t at = 0, len; at < utf8.len; at += len) {
        uint32_t c = hd__utf8_decode(utf8, at, &len, &valid);
        text->chars[text->n++] = (hd_norm_char){c, base + (uint32_t)at, base + (uint32_t)(at + len)};
    }
    return HD_OK;
}

hd_status hd__norm_text_encode(const hd_norm_text *text, hd_buffer *utf8, hd_error *err)
{
    if (hd__buffer_reserve(utf8, hd__add(hd__mul(text->n, 4), 1)) == NULL)
        return hd__fail(err, HD_ERR_MEMORY, "no memory for %zu characters", text->n);
    for (size_t i = 0; i < text->n; i++)
        utf8->len += hd__utf8_encode(text->chars[i].code_point, utf8->ptr + utf8->len);
    return HD_OK;
}

/* The next new character with its place; *from is how many old ones are used up. */
static hd_norm_char standing(const hd_norm_text *old, size_t *from, uint32_t c, int32_t change)
{
    hd_norm_char made = {c, 0, 0};
    if (change <= 0) {
        assert(*from < old->n);
        made = old->chars[*from];
        *from += 1 + (size_t)-change;
    } else if (*from > 0) {
        made = old->chars[*from - 1];
    }
    made.code_point = c;
    return made;
}

static void put(hd_norm_text *to, const hd_norm_text *old, size_t *from, uint32_t c, int32_t change)
{
    to->chars[to->n++] = standing(old, from, c, change);
}

static void swap(hd_norm_text *a, hd_norm_text *b)
{
    hd_norm_text t = *a;
    *a = *b;
    *b = t;
}

static void drop(hd_norm_text *text, uint32_t flags)
{
    size_t n = 0;
    for (size_t i = 0; i < text->n; i++)
        if (!(hd__unicode_flags(text->chars[i].code_point) & flags))
            text->chars[n++] = text->chars[i];
    text->n = n;
}

static void clean_text(hd_norm_text *text)
{
    drop(text, HD_UNICODE_CONTROL);
    for (size_t i = 0; i < text->n; i++)
        if (hd__unicode_flags(text->chars[i].code_point) & HD_UNICODE_SPACE)
            text->chars[i].code_point = ' ';
}

static hd_status space_chinese(hd_norm_text *text, hd_norm_text *spare, hd_error *err)
{
    HD_TRY(hd__norm_text_reserve(spare, hd__mul(text->n, 3), err));
    spare->n = 0;
    size_t from = 0;
    for (size_t i = 0; i < text->n; i++) {
        uint32_t c = text->chars[i].code_point;
        bool chinese = hd__unicode_flags(c) & HD_UNICODE_CHINESE;
        if (chinese)
            put(spare, text, &from, ' ', 0);
        put(spare, text, &from, c, chinese ? 1 : 0);
        if (chinese)
            put(spare, text, &from, ' ', 1);
    }
    swap(text, spare);
    return HD_OK;
}

static hd_status lowercase(hd_norm_text *text, hd_norm_text *spare, hd_error *err)
{
    HD_TRY(hd__norm_text_reserve(spare, hd__mul(text->n, HD_UNICODE_MAX_LOWER), err));
    spare->n = 0;
    size_t from = 0;
    for (size_t i = 0; i < text->n; i++) {
        uint32_t lower[HD_UNICODE_MAX_LOWER];
        size_t n = hd__unicode_lower(text->chars[i].code_point, lower);
        for (size_t k = 0; k < n; k++)
            put(spare, text, &from, lower[k], k > 0);
    }
    swap(text, spare);
    return HD_OK;
}

/* Unicode normalisation works on characters whose `begin` is their change (as int32_t) and whose `end` is
 * their canonical combining class; `settle` then gives them their places. */
static hd_norm_char pending(uint32_t c, int32_t change)
{
    return (hd_norm_char){c, (uint32_t)change, hd__unicode_class(c)};
}

static hd_status sort_long_run(hd_norm_char *chars, size_t n, hd_error *err)
{
    hd_norm_char *sorted = hd__malloc(hd__mul(n, sizeof *sorted));
    if (sorted == NULL)
        return hd__fail(err, HD_ERR_MEMORY, "no memory to order %zu combining marks", n);
    size_t first[256 + 1] = {0};
    for (size_t i = 0; i < n; i++)
        first[chars[i].end + 1]++;
    for (size_t class = 0; class < 256; class ++)
        first[class + 1] += first[class];
    for (size_t i = 0; i < n; i++)
        sorted[first[chars[i].end]++] = chars[i];
    memcpy(chars, sorted, n * sizeof *chars);
    hd__free(sorted);
    return HD_OK;
}

/* Canonical ordering of a run of marks: stable, by class. */
static hd_status sort_run(hd_norm_char *chars, size_t n, hd_error *err)
{
    if (n > 32)
        return sort_long_run(chars, n, err);
    for (size_t i = 1; i < n; i++) {
        hd_norm_char moving = chars[i];
        size_t at = i;
        for (; at > 0 && chars[at - 1].end > moving.end; at--)
            chars[at] = chars[at - 1];
        chars[at] = moving;
    }
    return HD_OK;
}

static hd_status decompose(const hd_norm_text *text, bool compatible, hd_norm_text *to, hd_error *err)
{
    to->n = 0;
    size_t run = 0; /* where the run of marks at the end of `to` begins */
    for (size_t i = 0; i < text->n; i++) {
        uint32_t parts[HD_UNICODE_MAX_DECOMPOSED];
        uint32_t c = text->chars[i].code_point;
        size_t n = compatible ? hd__unicode_nfkd(c, parts) : hd__unicode_nfd(c, parts);
        HD_TRY(hd__norm_text_reserve(to, to->n + n, err));
        for (size_t k = 0; k < n; k++) {
            hd_norm_char made = pending(parts[k], k > 0);
            if (made.end == 0) {
                HD_TRY(sort_run(to->chars + run, to->n - run, err));
                run = to->n + 1;
            }
            to->chars[to->n++] = made;
        }
    }
    return sort_run(to->chars + run, to->n - run, err);
}

/* Canonical composition, in place: The Unicode Standard 15, section 3.11, D117. */
static void compose(hd_norm_text *text)
{
    size_t n = 0, starter = SIZE_MAX; /* SIZE_MAX: none yet */
    uint32_t last_class = 0;          /* of the last mark kept since the starter; 0: none */
    for (size_t i = 0; i < text->n; i++) {
        hd_norm_char c = text->chars[i];
        uint32_t composed = 0;
        if (starter != SIZE_MAX && (last_class == 0 || last_class < c.end))
            composed = hd__unicode_compose(text->chars[starter].code_point, c.code_point);
        if (composed != 0) {
            text->chars[starter].code_point = composed;
            text->chars[starter].begin += c.begin - 1; /* both used up, one made */
            continue;
        }
        if (c.end == 0) {
            starter = n;
            last_class = 0;
        } else if (starter != SIZE_MAX) {
            last_class = c.end;
        }
        text->chars[n++] = c;
    }
    text->n = n;
}

void hd__norm_text_settle(hd_norm_text *made, hd_norm_text *text)
{
    size_t from = 0;
    for (size_t i = 0; i < made->n; i++)
        made->chars[i] = standing(text, &from, made->chars[i].code_point, (int32_t)made->chars[i].begin);
    swap(text, made);
}

static hd_status normalize(hd_norm_text *text, hd_norm_text *spare, bool compatible, bool composes, hd_error *err)
{
    HD_TRY(decompose(text, compatible, spare, err));
    if (composes)
        compose(spare);
    hd__norm_text_settle(spare, text);
    return HD_OK;
}

static void strip(hd_norm_text *text, bool left, bool right)
{
    size_t begin = 0, end = text->n;
    while (left && begin < end && (hd__unicode_flags(text->chars[begin].code_point) & HD_UNICODE_SPACE))
        begin++;
    while (right && end > begin && (hd__unicode_flags(text->chars[end - 1].code_point) & HD_UNICODE_SPACE))
        end--;
    if (begin > 0) /* an empty text may have no characters to point at */
        memmove(text->chars, text->chars + begin, (end - begin) * sizeof *text->chars);
    text->n = end - begin;
}

/* How many characters from `at` on are an occurrence of the pattern; 0: none begins there. */
static size_t match(const hd_norm_text *text, size_t at, const hd_norm_step *step)
{
    size_t n = 0;
    if (step->is_run) {
        while (at + n < text->n && text->chars[at + n].code_point == step->pattern[0])
            n++;
        return n >= 2 ? n : 0;
    }
    while (n < step->n_pattern && at + n < text->n && text->chars[at + n].code_point == step->pattern[n])
        n++;
    return n == step->n_pattern ? n : 0;
}

/* What is put in stands where the last replaced character stood. */
static hd_status replace(const hd_norm_step *step, hd_norm_text *text, hd_norm_text *spare, hd_error *err)
{
    spare->n = 0;
    for (size_t at = 0; at < text->n;) {
        size_t n_matched = match(text, at, step), from = at + n_matched;
        HD_TRY(hd__norm_text_reserve(spare, spare->n + (n_matched > 0 ? step->n_content : 1), err));
        if (n_matched == 0)
            spare->chars[spare->n++] = text->chars[from++];
        for (size_t i = 0; n_matched > 0 && i < step->n_content; i++)
            spare->chars[spare->n++] = standing(text, &from, step->content[i], 1);
        at = from;
    }
    swap(text, spare);
    return HD_OK;
}

static hd_status put_content(const hd_norm_step *step, const hd_norm_text *text, size_t from, hd_norm_text *out,
                             hd_error *err)
{
    HD_TRY(hd__norm_text_reserve(out, out->n + step->n_content, err));
    for (size_t i = 0; i < step->n_content; i++)
        out->chars[out->n++] = standing(text, &from, step->content[i], 1);
    return HD_OK;
}

static hd_status copy_chars(const hd_norm_text *text, size_t from, size_t to, hd_norm_text *out, hd_error *err)
{
    HD_TRY(hd__norm_text_reserve(out, out->n + (to - from), err));
    if (to > from)
        memcpy(out->chars + out->n, text->chars + from, (to - from) * sizeof *text->chars);
    out->n += to - from;
    return HD_OK;
}

static hd_status replace_matches(const hd_norm_step *step, const hd_norm_text *text, const hd_words *matches,
                                 hd_norm_text *out, hd_error *err)
{
    size_t at = 0, byte = 0, copied = 0; /* characters, and the bytes before them */
    out->n = 0;
    for (size_t i = 0; i < matches->n; i++) {
        for (; byte < matches->words[i].begin; at++)
            byte += hd__utf8_len(text->chars[at].code_point);
        HD_TRY(copy_chars(text, copied, at, out, err));
        for (; byte < matches->words[i].end; at++)
            byte += hd__utf8_len(text->chars[at].code_point);
        HD_TRY(put_content(step, text, at, out, err));
        copied = at;
    }
    return copy_chars(text, copied, text->n, out, err);
}

static hd_status replace_regex(const hd_norm_step *step, hd_norm_text *text, hd_norm_text *spare, hd_error *err)
{
    hd_words matches = {0};
    hd_buffer utf8;
    hd__buffer_init(&utf8);
    hd_status status = hd__norm_text_encode(text, &utf8, err);
    if (status == HD_OK)
        status = hd__pattern_find(step->regex, hd__buffer_span(&utf8), &matches, err);
    if (status == HD_OK)
        status = replace_matches(step, text, &matches, spare, err);
    if (status == HD_OK)
        swap(text, spare);
    hd__buffer_clear(&utf8);
    hd__free(matches.words);
    return status;
}

/* What is put in front stands where the first character stood. */
static hd_status prepend(const hd_norm_step *step, hd_norm_text *text, hd_error *err)
{
    if (text->n == 0 || step->n_content == 0)
        return HD_OK;
    HD_TRY(hd__norm_text_reserve(text, text->n + step->n_content, err));
    memmove(text->chars + step->n_content, text->chars, text->n * sizeof *text->chars);
    hd_norm_char first = text->chars[step->n_content];
    for (size_t i = 0; i < step->n_content; i++)
        text->chars[i] = (hd_norm_char){step->content[i], first.begin, first.end};
    text->n += step->n_content;
    return HD_OK;
}

/* What neural machine translation of SentencePiece's makers leaves out, and what is a space there. */
static void nmt(hd_norm_text *text)
{
    size_t n = 0;
    for (size_t i = 0; i < text->n; i++) {
        uint32_t c = text->chars[i].code_point;
        bool space = c == 0x09 || c == 0x0A || c == 0x0C || c == 0x0D || c == 0x1680 || (c >= 0x200B && c <= 0x200F) ||
                     c == 0x2028 || c == 0x2029 || c == 0x2581 || c == 0xFEFF || c == 0xFFFD;
        bool dropped = !space && ((c >= 0x01 && c <= 0x1F) || c == 0x7F || c == 0x8F || c == 0x9F);
        text->chars[n] = text->chars[i];
        if (space)
            text->chars[n].code_point = ' ';
        n += !dropped;
    }
    text->n = n;
}

static hd_status bert(const hd_norm_step *step, hd_norm_text *text, hd_norm_text *spare, hd_error *err)
{
    if (step->clean_text)
        clean_text(text);
    if (step->chinese_chars)
        HD_TRY(space_chinese(text, spare, err));
    if (step->strip_accents) {
        HD_TRY(normalize(text, spare, false, false, err));
        drop(text, HD_UNICODE_NONSPACING);
    }
    return step->lowercase ? lowercase(text, spare, err) : HD_OK;
}

static hd_status run(const hd_norm_step *step, hd_norm_text *text, hd_norm_text *spare, hd_error *err)
{
    switch (step->kind) {
    case HD_NORM_BERT: return bert(step, text, spare, err);
    case HD_NORM_LOWERCASE: return lowercase(text, spare, err);
    case HD_NORM_NFC: return normalize(text, spare, false, true, err);
    case HD_NORM_NFD: return normalize(text, spare, false, false, err);
    case HD_NORM_NFKC: return normalize(text, spare, true, true, err);
    case HD_NORM_NFKD: return normalize(text, spare, true, false, err);
    case HD_NORM_STRIP_ACCENTS: drop(text, HD_UNICODE_MARK); return HD_OK;
    case HD_NORM_STRIP: strip(text, step->left, step->right); return HD_OK;
    case HD_NORM_REPLACE:
        return step->regex != NULL ? replace_regex(step, text, spare, err) : replace(step, text, spare, err);
    case HD_NORM_PREPEND: return prepend(step, text, err);
    case HD_NORM_NMT: nmt(text); return HD_OK;
    case HD_NORM_PRECOMPILED: return hd__charsmap_run(step->charsmap, text, spare, err);
    }
    return hd__fail(err, HD_ERR_UNSUPPORTED, "normaliser step %d is not known", (int)step->kind);
}

hd_status hd__normalizer_run(const hd_normalizer *normalizer, hd_norm_text *text, hd_norm_text *spare, hd_error *err)
{
    for (size_t i = 0; i < normalizer->n_steps; i++)
        HD_TRY(run(&normalizer->steps[i], text, spare, err));
    return HD_OK;
}
