/* vocab_json.c - "vocab" of tokenizer.json, read at the speed of the memory (RFC 8259): {"piece": id, ...}, or
 * [["piece", score], ...] of a Unigram model.
 *
 * 30,000 small JSON values cost a general reader 30,000 allocations and a hash table that is thrown away.
 * Finding where it begins needs only strings and brackets to be told apart: what is malformed before
 * it is left for the general reader to say. It itself is read strictly here.
 */
#include "base/limits.h"
#include "base/utf8.h"
#include "token/tokenizer_parts.h"

typedef struct reader {
    const char *at, *end;
} reader;

static char peek(const reader *r)
{
    return r->at < r->end ? *r->at : '\0';
}

static void skip_spaces(reader *r)
{
    while (r->at < r->end && (*r->at == ' ' || *r->at == '\n' || *r->at == '\t' || *r->at == '\r'))
        r->at++;
}

static bool take(reader *r, char c)
{
    skip_spaces(r);
    if (peek(r) != c)
        return false;
    r->at++;
    return true;
}

/* The raw text between two quotes. */
static bool take_string(reader *r, hd_span *raw)
{
    if (!take(r, '"'))
        return false;
    const char *begin = r->at;
    while (r->at < r->end && *r->at != '"') {
        if ((unsigned char)*r->at < 0x20 || (*r->at == '\\' && ++r->at == r->end))
            return false;
        r->at++;
    }
    if (r->at == r->end)
        return false;
    *raw = hd__span(begin, (size_t)(r->at - begin));
    r->at++;
    return true;
}

/* Any value: a balanced run of brackets, a string, or a run without punctuation. */
static bool skip_value(reader *r)
{
    hd_span raw;
    size_t depth = 0;
    do {
        skip_spaces(r);
        char c = peek(r);
        if (c == '"') {
            if (!take_string(r, &raw))
                return false;
            continue;
        }
        if (c == '\0' || ((c == ']' || c == '}') && depth == 0))
            return false;
        depth += c == '[' || c == '{';
        depth -= c == ']' || c == '}';
        r->at++;
        if (depth == 0 && c != ']' && c != '}') /* a number or a name, to its end */
            while (r->at < r->end && *r->at != ',' && *r->at != '}' && *r->at != ']')
                r->at++;
    } while (depth > 0);
    return true;
}

/* Inside an object, just after its '{': moves to the value of a key. */
static bool find_key(reader *r, const char *key)
{
    hd_span raw;
    do {
        if (!take_string(r, &raw) || !take(r, ':'))
            return false;
        if (hd__span_is(raw, key))
            return true;
        if (!skip_value(r))
            return false;
    } while (take(r, ','));
    return false;
}

bool hd__vocab_json_find(hd_span json, size_t *begin)
{
    reader r = {json.ptr, json.ptr + json.len};
    if (!take(&r, '{') || !find_key(&r, "model") || !take(&r, '{') || !find_key(&r, "vocab") ||
        (!take(&r, '{') && !take(&r, '[')))
        return false;
    *begin = (size_t)(r.at - 1 - json.ptr);
    return true;
}

static bool take_hex4(const char *at, const char *end, uint32_t *value)
{
    *value = 0;
    if (end - at < 4)
        return false;
    for (int i = 0; i < 4; i++) {
        char c = at[i];
        uint32_t digit = c >= '0' && c <= '9'   ? (uint32_t)(c - '0')
                         : c >= 'a' && c <= 'f' ? (uint32_t)(c - 'a' + 10)
                         : c >= 'A' && c <= 'F' ? (uint32_t)(c - 'A' + 10)
                                                : 16u;
        if (digit == 16)
            return false;
        *value = *value << 4 | digit;
    }
    return true;
}

/* \uXXXX or a surrogate pair of them; *at is after the 'u'. */
static bool take_unicode(const char **at, const char *end, uint32_t *c)
{
    uint32_t low;
    if (!take_hex4(*at, end, c))
        return false;
    *at += 4;
    if (*c < 0xD800 || *c > 0xDFFF)
        return true;
    if (*c > 0xDBFF || end - *at < 6 || (*at)[0] != '\\' || (*at)[1] != 'u' || !take_hex4(*at + 2, end, &low) ||
        low < 0xDC00 || low > 0xDFFF)
        return false;
    *at += 6;
    *c = 0x10000 + ((*c - 0xD800) << 10 | (low - 0xDC00));
    return true;
}

/* Resolves escapes into out, which has room for raw.len bytes. */
static bool unescape(hd_span raw, char *out, size_t *len)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    const char *at = raw.ptr, *end = raw.ptr + raw.len;
    *len = 0;
    while (at < end) {
        char c = *at++;
        if (c != '\\') {
            out[(*len)++] = c;
            continue;
        }
        c = *at++; /* take_string saw it */
        uint32_t code_point;
        const char *simple = c != '\0' ? strchr(from, c) : NULL;
        if (simple != NULL)
            out[(*len)++] = to[simple - from];
        else if (c == 'u' && take_unicode(&at, end, &code_point))
            *len += hd__utf8_encode(code_point, out + *len);
        else
            return false;
    }
    return true;
}

static bool take_id(reader *r, uint64_t *id)
{
    skip_spaces(r);
    const char *begin = r->at;
    *id = 0;
    while (r->at < r->end && *r->at >= '0' && *r->at <= '9' && r->at - begin < 12)
        *id = *id * 10 + (uint64_t)(*r->at++ - '0');
    return r->at > begin && (*begin != '0' || r->at == begin + 1);
}

/* The longest escape of a byte is six bytes. */
typedef struct unescaped {
    char bytes[HD_LIMIT_TOKEN_BYTES * 6];
} unescaped;

/* The string that an entry begins with; it may lie in `token`. */
static hd_status read_piece(reader *r, const char *file, const hd_vocab *vocab, unescaped *token, hd_span *piece,
                            hd_error *err)
{
    hd_span raw;
    size_t len;
    if (!take_string(r, &raw))
        return hd__fail(err, HD_ERR_FORMAT, "%s: \"model\": \"vocab\": entry %u does not begin with a string", file,
                        vocab->n_records);
    if (raw.len > sizeof token->bytes)
        return hd__fail(err, HD_ERR_LIMIT, "%s: \"model\": \"vocab\": token %u has %zu bytes, the limit is %u", file,
                        vocab->n_records, raw.len, HD_LIMIT_TOKEN_BYTES);
    if (memchr(raw.ptr, '\\', raw.len) != NULL || hd__utf8_valid_len(raw) != raw.len) {
        if (!unescape(raw, token->bytes, &len) || hd__utf8_valid_len(hd__span(token->bytes, len)) != len)
            return hd__fail(err, HD_ERR_FORMAT, "%s: \"model\": \"vocab\": token %u is not a valid string", file,
                            vocab->n_records);
        raw = hd__span(token->bytes, len);
    }
    *piece = raw;
    return HD_OK;
}

static hd_status read_entry(reader *r, const char *file, hd_vocab *vocab, hd_error *err)
{
    unescaped token;
    hd_span raw;
    uint64_t id;
    HD_TRY(read_piece(r, file, vocab, &token, &raw, err));
    if (!take(r, ':') || !take_id(r, &id))
        return hd__fail(err, HD_ERR_FORMAT, "%s: \"model\": \"vocab\": \"%.*s\" is not a whole number from 0 on", file,
                        (int)(raw.len < 64 ? raw.len : 64), raw.ptr);
    return hd__vocab_add(vocab, raw, id, file, err);
}

hd_status hd__vocab_json_read(hd_span json, const char *file, hd_vocab *vocab, size_t *len, hd_error *err)
{
    reader r = {json.ptr + 1, json.ptr + json.len};
    bool empty = take(&r, '}');
    if (!empty) {
        do {
            HD_TRY(read_entry(&r, file, vocab, err));
        } while (take(&r, ','));
        if (!take(&r, '}'))
            return hd__fail(err, HD_ERR_FORMAT, "%s: \"model\": \"vocab\": no , or } after entry %u", file,
                            vocab->n_records - 1);
    }
    *len = (size_t)(r.at - json.ptr);
    return HD_OK;
}

/* ---- with scores ---- */

enum { MAX_SCORE_EXPONENT = 63 };

/* The digits as a whole number, up to where one more would not fit; *exponent counts what is left out and what is behind the
 * point. */
static bool take_digits(reader *r, uint64_t *value, int *exponent, int step)
{
    const char *begin = r->at;
    bool full = *value > UINT64_MAX / 10 - 1;
    for (; r->at < r->end && *r->at >= '0' && *r->at <= '9' && r->at - begin < 1024; r->at++) {
        full = full || *value > UINT64_MAX / 10 - 1;
        if (!full)
            *value = *value * 10 + (uint64_t)(*r->at - '0');
        *exponent += full ? (step == 0) : step;
    }
    return r->at > begin;
}

/* A number as the library's JSON reader (serde_json without float_roundtrip) has it: all digits as an integer, rounded to
 * double, then once multiplied or divided by a power of ten. The nearest double would now and then be another. */
static bool take_score(reader *r, double *score)
{
    static const double tens[MAX_SCORE_EXPONENT + 1] = {
        1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
        1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22, 1e23, 1e24, 1e25, 1e26, 1e27, 1e28, 1e29, 1e30, 1e31,
        1e32, 1e33, 1e34, 1e35, 1e36, 1e37, 1e38, 1e39, 1e40, 1e41, 1e42, 1e43, 1e44, 1e45, 1e46, 1e47,
        1e48, 1e49, 1e50, 1e51, 1e52, 1e53, 1e54, 1e55, 1e56, 1e57, 1e58, 1e59, 1e60, 1e61, 1e62, 1e63,
    };
    uint64_t digits = 0, power = 0;
    int exponent = 0, unused = 0;
    bool negative = take(r, '-');
    if (!take_digits(r, &digits, &exponent, 0))
        return false;
    if (peek(r) == '.') {
        r->at++;
        if (!take_digits(r, &digits, &exponent, -1))
            return false;
    }
    if (peek(r) == 'e' || peek(r) == 'E') {
        r->at++;
        bool down = peek(r) == '-';
        r->at += down || peek(r) == '+';
        if (!take_digits(r, &power, &unused, 0) || power > 1024)
            return false;
        exponent += down ? -(int)power : (int)power;
    }
    if (digits != 0 && (exponent > MAX_SCORE_EXPONENT || exponent < -MAX_SCORE_EXPONENT))
        return false;
    double value = (double)digits;
    if (digits != 0)
        value = exponent < 0 ? value / tens[-exponent] : value * tens[exponent];
    *score = negative ? -value : value;
    return true;
}

static hd_status read_scored_entry(reader *r, const char *file, hd_vocab *vocab, hd_unigram *model, hd_error *err)
{
    unescaped token;
    hd_span piece;
    double score;
    if (!take(r, '['))
        return hd__fail(err, HD_ERR_FORMAT, "%s: \"model\": \"vocab\": entry %u is not an array", file, vocab->n_records);
    HD_TRY(read_piece(r, file, vocab, &token, &piece, err));
    bool valid = take(r, ',');
    skip_spaces(r);
    if (!valid || !take_score(r, &score) || !take(r, ']'))
        return hd__fail(err, HD_ERR_FORMAT, "%s: \"model\": \"vocab\": entry %u is not [text, score], its score up to 10^%d",
                        file, vocab->n_records, MAX_SCORE_EXPONENT);
    HD_TRY(hd__vocab_add(vocab, piece, vocab->n_records, file, err));
    return hd__unigram_add_score(model, score, err);
}

hd_status hd__vocab_json_read_scored(hd_span json, const char *file, hd_vocab *vocab, hd_unigram *model, size_t *len,
                                     hd_error *err)
{
    reader r = {json.ptr + 1, json.ptr + json.len};
    if (!take(&r, ']')) {
        do {
            HD_TRY(read_scored_entry(&r, file, vocab, model, err));
        } while (take(&r, ','));
        if (!take(&r, ']'))
            return hd__fail(err, HD_ERR_FORMAT, "%s: \"model\": \"vocab\": no , or ] after entry %u", file,
                            vocab->n_records - 1);
    }
    *len = (size_t)(r.at - json.ptr);
    return HD_OK;
}
