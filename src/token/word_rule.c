/* word_rule.c - see word_rule.h. */
#include "token/word_rule.h"

#include "token/unicode.h"

/* Classes of characters; those of white space come last. */
enum { OTHER, LETTER, NUMBER, SPACE, NEWLINE };

#define SET(class) (1u << (class))

static const uint8_t ascii_class[128] = {
    ['\t'] = SPACE, ['\n'] = NEWLINE, [0x0B] = SPACE, [0x0C] = SPACE, ['\r'] = NEWLINE, [' '] = SPACE, ['0'] = NUMBER,
    NUMBER,         NUMBER,           NUMBER,         NUMBER,         NUMBER,           NUMBER,        NUMBER,
    NUMBER,         NUMBER,           ['A'] = LETTER, LETTER,         LETTER,           LETTER,        LETTER,
    LETTER,         LETTER,           LETTER,         LETTER,         LETTER,           LETTER,        LETTER,
    LETTER,         LETTER,           LETTER,         LETTER,         LETTER,           LETTER,        LETTER,
    LETTER,         LETTER,           LETTER,         LETTER,         LETTER,           LETTER,        LETTER,
    ['a'] = LETTER, LETTER,           LETTER,         LETTER,         LETTER,           LETTER,        LETTER,
    LETTER,         LETTER,           LETTER,         LETTER,         LETTER,           LETTER,        LETTER,
    LETTER,         LETTER,           LETTER,         LETTER,         LETTER,           LETTER,        LETTER,
    LETTER,         LETTER,           LETTER,         LETTER,         LETTER,
};

static unsigned class_of(uint32_t c)
{
    uint32_t flags = hd__unicode_flags(c);
    if (flags & HD_UNICODE_LETTER)
        return LETTER;
    if (flags & HD_UNICODE_NUMBER)
        return NUMBER;
    return flags & HD_UNICODE_SPACE ? SPACE : OTHER;
}

/* Of the character at text[at], whose bytes are known to be valid. */
static inline unsigned class_at(hd_span text, size_t at, size_t *len)
{
    const unsigned char *p = (const unsigned char *)text.ptr + at;
    if (p[0] < 0x80) {
        *len = 1;
        return ascii_class[p[0]];
    }
    *len = p[0] < 0xE0 ? 2 : p[0] < 0xF0 ? 3 : 4;
    if (*len == 2)
        return class_of((p[0] & 0x1Fu) << 6 | (p[1] & 0x3Fu));
    uint32_t c = (p[1] & 0x3Fu) << 6 | (p[2] & 0x3Fu);
    return class_of(*len == 3 ? (p[0] & 0x0Fu) << 12 | c : (p[0] & 7u) << 18 | c << 6 | (p[3] & 0x3Fu));
}

/* The end of the characters of these classes. */
static inline size_t run_end(hd_span text, size_t at, unsigned set)
{
    for (size_t len; at < text.len; at += len)
        if (!(set >> class_at(text, at, &len) & 1))
            break;
    return at;
}

/* The end of 's, 't, 're, 've, 'm, 'll, 'd, or `at`. Without case, a long s is an s. */
static size_t contraction_end(hd_span text, size_t at, bool any_case)
{
    const size_t left = text.len - at;
    const unsigned char *p = (const unsigned char *)text.ptr + at;
    const unsigned char fold = any_case ? 0x20 : 0;
    if (left < 2)
        return at;
    const unsigned char first = p[1] | (p[1] < 0x80 ? fold : 0);
    if (first == 's' || first == 't' || first == 'm' || first == 'd')
        return at + 2;
    if (left < 3)
        return at;
    const unsigned char second = p[2] | (p[2] < 0x80 ? fold : 0);
    if (((first == 'r' || first == 'v') && second == 'e') || (first == 'l' && second == 'l'))
        return at + 3;
    return any_case && p[1] == 0xC5 && p[2] == 0xBF ? at + 3 : at;
}

/* \s+(?!\S)|\s+ : white space but for the last before a word, or that one alone. */
static size_t spaces_end(hd_span text, size_t at)
{
    size_t last = at, end = at;
    for (size_t len; end < text.len && class_at(text, end, &len) >= SPACE; end += len)
        last = end;
    return end == text.len || last == at ? end : last;
}

static size_t gpt2_end(hd_span text, size_t at)
{
    size_t len, begin = at;
    if (text.ptr[at] == '\'') {
        size_t end = contraction_end(text, at, false);
        if (end > at)
            return end;
    }
    begin += text.ptr[at] == ' ' && at + 1 < text.len;
    unsigned class = class_at(text, begin, &len);
    return class >= SPACE ? spaces_end(text, at) : run_end(text, begin + len, SET(class));
}

static size_t numbers_end(hd_span text, size_t at, unsigned most)
{
    for (size_t len; most > 0 && at < text.len && class_at(text, at, &len) == NUMBER; most--)
        at += len;
    return at;
}

/* \s*[\r\n]+|\s+(?!\S)|\s+ : up to the last line's end that is in the white space, if there is one. */
static size_t lines_end(hd_span text, size_t at)
{
    size_t lines = at;
    unsigned class;
    for (size_t i = at, len; i < text.len && (class = class_at(text, i, &len)) >= SPACE; i += len)
        lines = class == NEWLINE ? i + len : lines;
    return lines > at ? lines : spaces_end(text, at);
}

static size_t cl100k_end(hd_span text, size_t at, unsigned most_numbers)
{
    size_t len, next_len;
    if (text.ptr[at] == '\'') {
        size_t end = contraction_end(text, at, true);
        if (end > at)
            return end;
    }
    const unsigned class = class_at(text, at, &len);
    if (class == LETTER)
        return run_end(text, at + len, SET(LETTER));
    if (class == NUMBER)
        return numbers_end(text, at, most_numbers);
    const unsigned next = class != NEWLINE && at + len < text.len ? class_at(text, at + len, &next_len) : NEWLINE;
    if (next == LETTER)
        return run_end(text, at + len, SET(LETTER));
    if (class == OTHER || (text.ptr[at] == ' ' && next == OTHER))
        return run_end(text, run_end(text, at + len, SET(OTHER)), SET(NEWLINE));
    return lines_end(text, at);
}

size_t hd__word_end(hd_word_rule rule, hd_span text, size_t at)
{
    return rule == HD_WORDS_GPT2 ? gpt2_end(text, at) : cl100k_end(text, at, rule == HD_WORDS_QWEN2 ? 1 : 3);
}

bool hd__word_rule_of(hd_span regex, hd_word_rule *rule)
{
#define CL100K(numbers)                                                                                                     \
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|" numbers                                                   \
    "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
    static const char *const regexes[] = {
        [HD_WORDS_GPT2] = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+",
        [HD_WORDS_CL100K] = CL100K("\\p{N}{1,3}"),
        [HD_WORDS_QWEN2] = CL100K("\\p{N}"),
    };
    for (size_t i = 0; i < sizeof regexes / sizeof *regexes; i++) {
        if (hd__span_is(regex, regexes[i])) {
            *rule = (hd_word_rule)i;
            return true;
        }
    }
    return false;
}
