/* words.c - see words.h.
 *
 * Most words are ASCII and of one part: for them a table tells what each byte is, and a cache their stems. All others take
 * the way through utf8proc. An identifier's borders are those of Unicode's \b in code: an underscore, a single dot, "::",
 * a lower case letter before an upper case one (camelCase), the last of several upper case letters before a lower case
 * one (HTTPServer), a digit before a capitalised word (sha256Sum).
 */
#include "store/words.h"

#include <assert.h>
#include <libstemmer.h>
#include <utf8proc.h>

#include "base/alloc.h"
#include "base/buffer.h"
#include "base/hash.h"
#include "base/limits.h"
#include "base/utf8.h"

enum {
    STEMS = 4096,       /* cached: the frequent words of a language */
    STEM_BYTES = 28,    /* of a word or a stem there */
    MAX_EXPANSION = 18, /* code points that one becomes under NFKD: U+FDFA */
    MAX_SUFFIX_WORD = 16,
};
static_assert(HD_LIMIT_WORD_BYTES < 256, "lengths of terms are bytes");

typedef enum char_class { BREAK, LOWER, UPPER, DIGIT, LETTER, JOIN, UNSPACED } char_class;

typedef struct stem {
    uint8_t word_len, stem_len;
    char word[STEM_BYTES], stem[STEM_BYTES];
} stem;

struct hd_words {
    struct sb_stemmer *stemmer; /* NULL: none */
    bool is_english;
    stem *stems; /* [STEMS] */
    hd_word *list;
    size_t n, capacity;
    uint32_t position;
    hd_buffer terms;
};

#define CLASSES_OF_LETTERS(base, class)                                                                                     \
    [(base) + 0] = class, [(base) + 1] = class, [(base) + 2] = class, [(base) + 3] = class, [(base) + 4] = class,           \
              [(base) + 5] = class, [(base) + 6] = class, [(base) + 7] = class, [(base) + 8] = class, [(base) + 9] = class, \
              [(base) + 10] = class, [(base) + 11] = class, [(base) + 12] = class, [(base) + 13] = class,                   \
              [(base) + 14] = class, [(base) + 15] = class, [(base) + 16] = class, [(base) + 17] = class,                   \
              [(base) + 18] = class, [(base) + 19] = class, [(base) + 20] = class, [(base) + 21] = class,                   \
              [(base) + 22] = class, [(base) + 23] = class, [(base) + 24] = class, [(base) + 25] = class

static const uint8_t ascii_class[128] = {
    CLASSES_OF_LETTERS('a', LOWER),
    CLASSES_OF_LETTERS('A', UPPER),
    ['0'] = DIGIT,
    ['1'] = DIGIT,
    ['2'] = DIGIT,
    ['3'] = DIGIT,
    ['4'] = DIGIT,
    ['5'] = DIGIT,
    ['6'] = DIGIT,
    ['7'] = DIGIT,
    ['8'] = DIGIT,
    ['9'] = DIGIT,
    ['_'] = JOIN,
    ['.'] = JOIN,
    [':'] = JOIN,
    ['\''] = JOIN,
};

/* ---- characters --------------------------------------------------------------------------------- */

/* Blocks of scripts that are written without spaces between words (Unicode 15, Blocks.txt), ascending. */
static const struct {
    uint32_t first, last;
} unspaced[] = {
    {0x0E00, 0x0EFF},   /* Thai, Lao */
    {0x1000, 0x109F},   /* Burmese */
    {0x1100, 0x11FF},   /* Hangul Jamo */
    {0x1780, 0x17FF},   /* Khmer */
    {0x2E80, 0x2FDF},   /* radicals of Han */
    {0x3005, 0x3007},   /* iteration mark, closing mark, zero */
    {0x3021, 0x3029},   /* Hangzhou numerals */
    {0x3031, 0x30FF},   /* kana */
    {0x3100, 0x31BF},   /* bopomofo, Hangul compatibility Jamo, kanbun */
    {0x31F0, 0x31FF},   /* kana */
    {0x3400, 0x4DBF},   /* Han */
    {0x4E00, 0x9FFF},   /* Han */
    {0xA960, 0xA97F},   /* Hangul Jamo */
    {0xAC00, 0xD7FF},   /* Hangul */
    {0xF900, 0xFAFF},   /* Han */
    {0xFF66, 0xFFDC},   /* kana and Hangul of half width */
    {0x1B000, 0x1B16F}, /* kana */
    {0x20000, 0x3FFFF}, /* Han */
};

static bool is_unspaced(uint32_t c)
{
    for (size_t i = 0; i < sizeof unspaced / sizeof unspaced[0] && c >= unspaced[i].first; i++)
        if (c <= unspaced[i].last)
            return true;
    return false;
}

static bool is_mark(uint32_t c)
{
    if (c == 0xFF9E || c == 0xFF9F) /* kana's of half width: letters, which NFKC makes marks */
        return true;
    const utf8proc_category_t category = utf8proc_category((utf8proc_int32_t)c);
    return category == UTF8PROC_CATEGORY_MN || category == UTF8PROC_CATEGORY_MC || category == UTF8PROC_CATEGORY_ME;
}

/* Marks that a letter is the same letter without. */
static bool is_accent(utf8proc_int32_t c)
{
    return (c >= 0x0300 && c <= 0x036F) || (c >= 0x1AB0 && c <= 0x1AFF) || (c >= 0x1DC0 && c <= 0x1DFF) ||
           (c >= 0x20D0 && c <= 0x20FF) || (c >= 0xFE20 && c <= 0xFE2F);
}

static char_class class_of(hd_span text, size_t at, size_t *len)
{
    const unsigned char first = (unsigned char)text.ptr[at];
    *len = 1;
    if (first < 0x80)
        return (char_class)ascii_class[first];
    bool valid;
    const uint32_t c = hd__utf8_decode(text, at, len, &valid);
    if (!valid)
        return BREAK;
    switch (utf8proc_category((utf8proc_int32_t)c)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LT: return UPPER;
    case UTF8PROC_CATEGORY_LL: return LOWER;
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME: return is_unspaced(c) ? UNSPACED : LETTER;
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_NO: return is_unspaced(c) ? UNSPACED : DIGIT;
    case UTF8PROC_CATEGORY_CF:
        return c == 0x00AD || c == 0x200C || c == 0x200D ? LETTER : BREAK; /* within a word, nothing */
    case UTF8PROC_CATEGORY_PF: return c == 0x2019 ? JOIN : BREAK;          /* the other apostrophe */
    default: return BREAK;
    }
}

static bool is_word(char_class class)
{
    return class == LOWER || class == UPPER || class == DIGIT || class == LETTER;
}

static char_class class_at(hd_span text, size_t at)
{
    size_t len;
    return at < text.len ? class_of(text, at, &len) : BREAK;
}

/* ---- terms -------------------------------------------------------------------------------------- */

/* The front of a text that is no longer than max and ends with a character. */
static size_t cut(const char *text, size_t len, size_t max)
{
    if (len <= max)
        return len;
    while (max > 0 && ((unsigned char)text[max] & 0xC0) == 0x80)
        max--;
    return max;
}

static size_t lower_ascii(const char *word, size_t len, char *out)
{
    for (size_t i = 0; i < len; i++)
        out[i] = (char)(word[i] | (ascii_class[(unsigned char)word[i]] == UPPER ? 0x20 : 0));
    return len;
}

/* NFKC and case folding of valid UTF-8, at most HD_LIMIT_WORD_BYTES of it, with or without accents. */
static size_t fold(const char *word, size_t len, bool accents, char out[HD_LIMIT_WORD_BYTES])
{
    utf8proc_int32_t points[HD_LIMIT_WORD_BYTES * MAX_EXPANSION];
    utf8proc_ssize_t n = utf8proc_decompose((const utf8proc_uint8_t *)word, (utf8proc_ssize_t)len, points,
                                            HD_LIMIT_WORD_BYTES * MAX_EXPANSION,
                                            UTF8PROC_COMPAT | UTF8PROC_DECOMPOSE | UTF8PROC_CASEFOLD | UTF8PROC_IGNORE);
    utf8proc_ssize_t kept = 0;
    for (utf8proc_ssize_t i = 0; i < n; i++)
        if (accents || !is_accent(points[i]))
            points[kept++] = points[i] == 0x2019 ? '\'' : points[i];
    n = kept > 0 ? utf8proc_normalize_utf32(points, kept, UTF8PROC_COMPOSE | UTF8PROC_STABLE) : 0;
    size_t at = 0;
    for (utf8proc_ssize_t i = 0; i < n; i++) {
        const uint32_t c = (uint32_t)points[i];
        if (at + hd__utf8_len(c) > HD_LIMIT_WORD_BYTES)
            break;
        char bytes[4];
        const size_t n_bytes = hd__utf8_encode(c, bytes);
        memcpy(out + at, bytes, n_bytes);
        at += n_bytes;
    }
    return at;
}

static bool is_ascii(const char *text, size_t len)
{
    unsigned char any = 0;
    for (size_t i = 0; i < len; i++)
        any |= (unsigned char)text[i];
    return any < 0x80;
}

/* In place: the stem of a folded word. False when there is no memory. */
static bool stem_word(hd_words *words, char word[HD_LIMIT_WORD_BYTES], size_t *len)
{
    stem *known = &words->stems[hd__hash64(hd__span(word, *len), 0) % STEMS];
    if (*len <= STEM_BYTES && known->word_len == *len && memcmp(known->word, word, *len) == 0) {
        memcpy(word, known->stem, known->stem_len);
        *len = known->stem_len;
        return true;
    }
    const char *stemmed = (const char *)sb_stemmer_stem(words->stemmer, (const sb_symbol *)word, (int)*len);
    if (stemmed == NULL)
        return false;
    size_t stem_len = cut(stemmed, (size_t)sb_stemmer_length(words->stemmer), HD_LIMIT_WORD_BYTES);
    char accents[HD_LIMIT_WORD_BYTES];
    if (!words->is_english && !is_ascii(stemmed, stem_len)) {
        stem_len = fold(stemmed, stem_len, false, accents);
        stemmed = accents;
    }
    if (stem_len == 0) /* nothing but endings: itself */
        return true;
    if (*len <= STEM_BYTES && stem_len <= STEM_BYTES) {
        known->word_len = (uint8_t)*len;
        known->stem_len = (uint8_t)stem_len;
        memcpy(known->word, word, *len);
        memcpy(known->stem, stemmed, stem_len);
    }
    memcpy(word, stemmed, stem_len);
    *len = stem_len;
    return true;
}

static hd_status fail_memory(hd_error *err)
{
    return hd__fail(err, HD_ERR_MEMORY, "no memory for the words of a text");
}

static hd_status add_word(hd_words *words, hd_word word, const char *term, hd_error *err)
{
    if (words->n == words->capacity) {
        const size_t capacity = words->capacity * 2 + 256;
        hd_word *list = hd__realloc(words->list, hd__mul(capacity, sizeof *list));
        if (list == NULL)
            return fail_memory(err);
        words->list = list;
        words->capacity = capacity;
    }
    char *to = hd__buffer_reserve(&words->terms, word.len);
    if (to == NULL || words->terms.len + word.len > UINT32_MAX)
        return fail_memory(err);
    memcpy(to, term, word.len);
    word.at = (uint32_t)words->terms.len;
    words->terms.len += word.len;
    words->list[words->n++] = word;
    return HD_OK;
}

/* A word or one part of it. Words of which nothing is left (soft hyphens) are none. */
static hd_status take_word(hd_words *words, hd_span text, size_t begin, size_t end, hd_error *err)
{
    char term[HD_LIMIT_WORD_BYTES];
    const size_t source_len = cut(text.ptr + begin, end - begin, HD_LIMIT_WORD_BYTES);
    const char *source = text.ptr + begin;
    const bool accents = words->stemmer != NULL && !words->is_english;
    size_t len =
        is_ascii(source, source_len) ? lower_ascii(source, source_len, term) : fold(source, source_len, accents, term);
    if (len == 0)
        return HD_OK;
    if (words->stemmer != NULL && !stem_word(words, term, &len))
        return fail_memory(err);
    const hd_word word = {
        .len = (uint32_t)len, .begin = (uint32_t)begin, .end = (uint32_t)end, .position = words->position++};
    return add_word(words, word, term, err);
}

/* A word of several parts, or with a suffix, as it is. One without any sign between its parts (camelCase) may also be
 * written as a word, and is stemmed as that. Too long ones are found by their parts. */
static hd_status take_whole(hd_words *words, hd_span text, size_t begin, size_t end, bool joined, uint32_t position,
                            hd_error *err)
{
    if (end - begin > HD_LIMIT_WORD_BYTES)
        return HD_OK;
    char term[HD_LIMIT_WORD_BYTES];
    const char *source = text.ptr + begin;
    const bool stemmed = words->stemmer != NULL && !joined;
    size_t len = is_ascii(source, end - begin) ? lower_ascii(source, end - begin, term)
                                               : fold(source, end - begin, stemmed && !words->is_english, term);
    if (len == 0)
        return HD_OK;
    if (stemmed && !stem_word(words, term, &len))
        return fail_memory(err);
    const hd_word word = {
        .len = (uint32_t)len, .begin = (uint32_t)begin, .end = (uint32_t)end, .position = position, .is_whole = true};
    return add_word(words, word, term, err);
}

/* ---- runs --------------------------------------------------------------------------------------- */

/* Bytes of what joins two parts at `at`; 0: nothing does. */
static size_t join_len(const hd_words *words, hd_span text, size_t at, bool *within)
{
    size_t len = 0;
    *within = false;
    if (text.ptr[at] == '_') {
        while (at + len < text.len && text.ptr[at + len] == '_')
            len++;
    } else if (text.ptr[at] == '.') {
        len = 1;
    } else if (text.ptr[at] == ':') {
        len = at + 1 < text.len && text.ptr[at + 1] == ':' ? 2 : 0;
    } else if (words->is_english) { /* an apostrophe */
        len = text.ptr[at] == '\'' ? 1 : 3;
        *within = true;
    }
    return len > 0 && is_word(class_at(text, at + len)) ? len : 0;
}

/* "++" or "#" after a word that ends there: c++, f#. */
static size_t suffix_len(hd_span text, size_t begin, size_t end)
{
    size_t len = 0;
    if (end < text.len && text.ptr[end] == '#')
        len = 1;
    else if (end + 1 < text.len && text.ptr[end] == '+' && text.ptr[end + 1] == '+')
        len = 2;
    return len > 0 && end - begin <= MAX_SUFFIX_WORD && class_at(text, end + len) == BREAK ? len : 0;
}

/* Letters, digits and what joins them, from `begin`; *end is where they end. */
static hd_status take_run(hd_words *words, hd_span text, size_t begin, size_t *end, hd_error *err)
{
    const uint32_t position = words->position;
    size_t at = begin, part = begin, before = begin; /* before: of the last character */
    char_class last = BREAK, second_last = BREAK;
    bool joined = false, parted = false;
    while (at < text.len) {
        size_t len;
        const char_class class = class_of(text, at, &len);
        if (class == JOIN) {
            bool within;
            len = join_len(words, text, at, &within);
            if (len == 0)
                break;
            if (!within) {
                HD_TRY(take_word(words, text, part, at, err));
                part = at + len;
                joined = true;
            }
            last = BREAK;
            at += len;
            continue;
        }
        if (!is_word(class))
            break;
        size_t border = SIZE_MAX;
        if (class == UPPER && (last == LOWER || (last == DIGIT && class_at(text, at + len) == LOWER)))
            border = at;
        else if (class == LOWER && last == UPPER && second_last == UPPER)
            border = before;
        if (border != SIZE_MAX && border > part) {
            HD_TRY(take_word(words, text, part, border, err));
            part = border;
            parted = true;
        }
        second_last = last;
        last = class;
        before = at;
        at += len;
    }
    HD_TRY(take_word(words, text, part, at, err));
    const size_t suffix = suffix_len(text, begin, at);
    *end = at;
    if (joined || parted || suffix > 0)
        return take_whole(words, text, begin, at + suffix, joined || suffix > 0, position, err);
    return HD_OK;
}

/* Where the character at `at` with its marks ends. */
static size_t cluster_end(hd_span text, size_t at)
{
    size_t len;
    (void)class_of(text, at, &len);
    for (at += len; at < text.len && class_of(text, at, &len) == UNSPACED; at += len) {
        bool valid;
        if (!is_mark(hd__utf8_decode(text, at, &len, &valid)))
            break;
    }
    return at;
}

/* A run of a script without spaces: its pairs. */
static hd_status take_pairs(hd_words *words, hd_span text, size_t begin, size_t *end, hd_error *err)
{
    size_t first = begin, second = cluster_end(text, begin);
    bool alone = true;
    while (alone || (second < text.len && class_at(text, second) == UNSPACED)) {
        const bool pair = second < text.len && class_at(text, second) == UNSPACED;
        const size_t stop = pair ? cluster_end(text, second) : second;
        char term[HD_LIMIT_WORD_BYTES];
        const size_t len = fold(text.ptr + first, cut(text.ptr + first, stop - first, HD_LIMIT_WORD_BYTES), false, term);
        const hd_word word = {
            .len = (uint32_t)len, .begin = (uint32_t)first, .end = (uint32_t)stop, .position = words->position++};
        if (len > 0)
            HD_TRY(add_word(words, word, term, err));
        alone = false;
        if (!pair)
            break;
        first = second;
        second = stop;
    }
    *end = second;
    return HD_OK;
}

/* ---- the outside -------------------------------------------------------------------------------- */

static hd_status fail_language(const char *language, hd_error *err)
{
    hd_buffer names;
    hd__buffer_init(&names);
    for (const char **name = sb_stemmer_list(); *name != NULL; name++) {
        hd__buffer_append_text(&names, ", ");
        hd__buffer_append_text(&names, *name);
    }
    hd_status status = hd__fail(err, HD_ERR_ARG, "no stemmer for language '%s': there are none%.*s", language,
                                (int)names.len, names.ptr != NULL ? names.ptr : "");
    hd__buffer_clear(&names);
    return status;
}

hd_status hd__words_open(const char *language, hd_words **words, hd_error *err)
{
    bool known = strcmp(language, "none") == 0;
    for (const char **name = sb_stemmer_list(); *name != NULL && !known; name++)
        known = strcmp(*name, language) == 0;
    if (!known)
        return fail_language(language, err);
    hd_words *opened = hd__calloc(1, sizeof *opened);
    if (opened == NULL)
        return fail_memory(err);
    hd__buffer_init(&opened->terms);
    if (strcmp(language, "none") != 0) {
        opened->stemmer = sb_stemmer_new(language, NULL);
        opened->stems = hd__calloc(STEMS, sizeof *opened->stems);
        opened->is_english = strcmp(language, "english") == 0 || strcmp(language, "porter") == 0;
        if (opened->stemmer == NULL || opened->stems == NULL) {
            hd__words_close(opened);
            return fail_memory(err);
        }
    }
    *words = opened;
    return HD_OK;
}

void hd__words_close(hd_words *words)
{
    if (words == NULL)
        return;
    sb_stemmer_delete(words->stemmer);
    hd__free(words->stems);
    hd__free(words->list);
    hd__buffer_clear(&words->terms);
    hd__free(words);
}

hd_status hd__words_split(hd_words *words, hd_span text, const hd_word **split, size_t *n, hd_error *err)
{
    words->n = 0;
    words->position = 0;
    hd__buffer_reset(&words->terms);
    if (text.len > HD_LIMIT_TEXT_BYTES)
        return hd__fail(err, HD_ERR_LIMIT, "a text of %zu bytes: the limit is %u", text.len, HD_LIMIT_TEXT_BYTES);
    for (size_t at = 0; at < text.len;) {
        size_t len;
        const char_class class = class_of(text, at, &len);
        if (is_word(class))
            HD_TRY(take_run(words, text, at, &at, err));
        else if (class == UNSPACED)
            HD_TRY(take_pairs(words, text, at, &at, err));
        else
            at += len;
    }
    *split = words->list;
    *n = words->n;
    return HD_OK;
}

hd_span hd__words_term(const hd_words *words, const hd_word *word)
{
    return hd__span(words->terms.ptr + word->at, word->len);
}
