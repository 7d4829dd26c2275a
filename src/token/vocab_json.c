/* vocab_json.c - "vocab" of tokenizer.json, read at the speed of the memory (RFC 8259): {"piece": id, ...}, or
 * [["piece", score], ...] of a Unigram model.
 *
 * 30,000 small JSON values cost a general reader 30,000 allocations and a hash table that is thrown away.
 * Finding where it begins needs only strings and brackets to be told apart: what is malformed before
 * it is left for the general reader to say. It itself is read strictly here.
 */
#include "base/limits.h"
#include "base/utf8.h"
#include "token/json_scan.h"
#include "token/tokenizer_parts.h"

bool hd__vocab_json_find(hd_span json, size_t *begin)
{
    hd_json_scan r = {json.ptr, json.ptr + json.len};
    if (!hd__json_scan_take(&r, '{') || !hd__json_scan_key(&r, "model") || !hd__json_scan_take(&r, '{') ||
        !hd__json_scan_key(&r, "vocab") || (!hd__json_scan_take(&r, '{') && !hd__json_scan_take(&r, '[')))
        return false;
    *begin = (size_t)(r.at - 1 - json.ptr);
    return true;
}

static bool take_id(hd_json_scan *r, uint64_t *id)
{
    hd__json_scan_peek(r);
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
static hd_status read_piece(hd_json_scan *r, const char *file, const hd_vocab *vocab, unescaped *token, hd_span *piece,
                            hd_error *err)
{
    hd_span raw;
    size_t len;
    if (!hd__json_scan_string(r, &raw))
        return hd__fail(err, HD_ERR_FORMAT, "%s: \"model\": \"vocab\": entry %u does not begin with a string", file,
                        vocab->n_records);
    if (raw.len > sizeof token->bytes)
        return hd__fail(err, HD_ERR_LIMIT, "%s: \"model\": \"vocab\": token %u has %zu bytes, the limit is %u", file,
                        vocab->n_records, raw.len, HD_LIMIT_TOKEN_BYTES);
    if (memchr(raw.ptr, '\\', raw.len) != NULL || hd__utf8_valid_len(raw) != raw.len) {
        if (!hd__json_unescape(raw, token->bytes, &len) || hd__utf8_valid_len(hd__span(token->bytes, len)) != len)
            return hd__fail(err, HD_ERR_FORMAT, "%s: \"model\": \"vocab\": token %u is not a valid string", file,
                            vocab->n_records);
        raw = hd__span(token->bytes, len);
    }
    *piece = raw;
    return HD_OK;
}

static hd_status read_entry(hd_json_scan *r, const char *file, hd_vocab *vocab, hd_error *err)
{
    unescaped token;
    hd_span raw;
    uint64_t id;
    HD_TRY(read_piece(r, file, vocab, &token, &raw, err));
    if (!hd__json_scan_take(r, ':') || !take_id(r, &id))
        return hd__fail(err, HD_ERR_FORMAT, "%s: \"model\": \"vocab\": \"%.*s\" is not a whole number from 0 on", file,
                        (int)(raw.len < 64 ? raw.len : 64), raw.ptr);
    return hd__vocab_add(vocab, raw, id, file, err);
}

hd_status hd__vocab_json_read(hd_span json, const char *file, hd_vocab *vocab, size_t *len, hd_error *err)
{
    hd_json_scan r = {json.ptr + 1, json.ptr + json.len};
    bool empty = hd__json_scan_take(&r, '}');
    if (!empty) {
        do {
            HD_TRY(read_entry(&r, file, vocab, err));
        } while (hd__json_scan_take(&r, ','));
        if (!hd__json_scan_take(&r, '}'))
            return hd__fail(err, HD_ERR_FORMAT, "%s: \"model\": \"vocab\": no , or } after entry %u", file,
                            vocab->n_records - 1);
    }
    *len = (size_t)(r.at - json.ptr);
    return HD_OK;
}

/* ---- with scores ---- */

enum { MAX_SCORE_EXPONENT = 63 };

static char next(const hd_json_scan *r)
{
    return r->at < r->end ? *r->at : '\0';
}

/* The digits as a whole number, up to where one more would not fit; *exponent counts what is left out and what is behind the
 * point. */
static bool take_digits(hd_json_scan *r, uint64_t *value, int *exponent, int step)
{
    const char *begin = r->at, *at = begin, *end = r->end;
    uint64_t sum = *value;
    for (; at < end && *at >= '0' && *at <= '9'; at++) {
        uint64_t digit = (uint64_t)(*at - '0');
        if (sum >= UINT64_MAX / 10 && sum > (UINT64_MAX - digit) / 10)
            break;
        sum = sum * 10 + digit;
    }
    *value = sum;
    *exponent += (int)(at - begin) * step;
    for (; at < end && *at >= '0' && *at <= '9'; at++)
        *exponent += step == 0;
    r->at = at;
    return at > begin;
}

/* A number as the library's JSON reader (serde_json without float_roundtrip) has it: all digits as an integer, rounded to
 * double, then once multiplied or divided by a power of ten. The nearest double would now and then be another. */
static bool take_score(hd_json_scan *r, double *score)
{
    static const double tens[MAX_SCORE_EXPONENT + 1] = {
        1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
        1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22, 1e23, 1e24, 1e25, 1e26, 1e27, 1e28, 1e29, 1e30, 1e31,
        1e32, 1e33, 1e34, 1e35, 1e36, 1e37, 1e38, 1e39, 1e40, 1e41, 1e42, 1e43, 1e44, 1e45, 1e46, 1e47,
        1e48, 1e49, 1e50, 1e51, 1e52, 1e53, 1e54, 1e55, 1e56, 1e57, 1e58, 1e59, 1e60, 1e61, 1e62, 1e63,
    };
    uint64_t digits = 0, power = 0;
    int exponent = 0, unused = 0;
    bool negative = hd__json_scan_take(r, '-');
    if (!take_digits(r, &digits, &exponent, 0))
        return false;
    if (next(r) == '.') {
        r->at++;
        if (!take_digits(r, &digits, &exponent, -1))
            return false;
    }
    if (next(r) == 'e' || next(r) == 'E') {
        r->at++;
        bool down = next(r) == '-';
        r->at += down || next(r) == '+';
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

static hd_status read_scored_entry(hd_json_scan *r, const char *file, hd_vocab *vocab, hd_unigram *model, hd_error *err)
{
    unescaped token;
    hd_span piece;
    double score;
    if (!hd__json_scan_take(r, '['))
        return hd__fail(err, HD_ERR_FORMAT, "%s: \"model\": \"vocab\": entry %u is not an array", file, vocab->n_records);
    HD_TRY(read_piece(r, file, vocab, &token, &piece, err));
    bool valid = hd__json_scan_take(r, ',');
    hd__json_scan_peek(r);
    if (!valid || !take_score(r, &score) || !hd__json_scan_take(r, ']'))
        return hd__fail(err, HD_ERR_FORMAT, "%s: \"model\": \"vocab\": entry %u is not [text, score], its score up to 10^%d",
                        file, vocab->n_records, MAX_SCORE_EXPONENT);
    HD_TRY(hd__vocab_add(vocab, piece, vocab->n_records, file, err));
    return hd__unigram_add_score(model, score, err);
}

hd_status hd__vocab_json_read_scored(hd_span json, const char *file, hd_vocab *vocab, hd_unigram *model, size_t *len,
                                     hd_error *err)
{
    hd_json_scan r = {json.ptr + 1, json.ptr + json.len};
    if (!hd__json_scan_take(&r, ']')) {
        do {
            HD_TRY(read_scored_entry(&r, file, vocab, model, err));
        } while (hd__json_scan_take(&r, ','));
        if (!hd__json_scan_take(&r, ']'))
            return hd__fail(err, HD_ERR_FORMAT, "%s: \"model\": \"vocab\": no , or ] after entry %u", file,
                            vocab->n_records - 1);
    }
    *len = (size_t)(r.at - json.ptr);
    return HD_OK;
}
