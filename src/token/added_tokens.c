/* added_tokens.c - see added_tokens.h. */
#include "token/added_tokens.h"

#include <stdlib.h>

#include "base/utf8.h"
#include "token/unicode.h"

/* By first byte, then longest first, then by bytes so that equal patterns are neighbours. */
static int compare(const void *a, const void *b)
{
    hd_span x = ((const hd_added_token *)a)->pattern, y = ((const hd_added_token *)b)->pattern;
    unsigned char x0 = (unsigned char)x.ptr[0], y0 = (unsigned char)y.ptr[0];
    if (x0 != y0)
        return x0 < y0 ? -1 : 1;
    if (x.len != y.len)
        return x.len > y.len ? -1 : 1;
    return memcmp(x.ptr, y.ptr, x.len);
}

hd_status hd__added_set_build(hd_added_set *set, hd_added_token *tokens, size_t n, const char *file, hd_error *err)
{
    *set = (hd_added_set){.tokens = tokens, .n = n};
    for (size_t i = 0; i < n; i++)
        if (tokens[i].pattern.len == 0)
            return hd__fail(err, HD_ERR_FORMAT, "%s: \"added_tokens\": \"%s\" is empty once normalised", file,
                            tokens[i].content.ptr);
    if (n > 0)
        qsort(tokens, n, sizeof *tokens, compare);
    for (size_t i = 0; i < n; i++) {
        if (i > 0 && compare(&tokens[i - 1], &tokens[i]) == 0)
            return hd__fail(err, HD_ERR_FORMAT, "%s: \"added_tokens\": \"%s\" and \"%s\" are the same text once normalised",
                            file, tokens[i - 1].content.ptr, tokens[i].content.ptr);
        set->first[(unsigned char)tokens[i].pattern.ptr[0] + 1]++;
    }
    for (size_t b = 0; b < 256; b++)
        set->first[b + 1] += set->first[b];
    return HD_OK;
}

const hd_added_token *hd__added_set_find(const hd_added_set *set, hd_span text, size_t at)
{
    unsigned char first = (unsigned char)text.ptr[at];
    for (uint32_t i = set->first[first]; i < set->first[first + 1]; i++) {
        hd_span pattern = set->tokens[i].pattern;
        if (pattern.len <= text.len - at && memcmp(text.ptr + at, pattern.ptr, pattern.len) == 0)
            return &set->tokens[i];
    }
    return NULL;
}

/* The flags of the code point that ends at `end`, those of U+FFFD when the bytes are not UTF-8. */
static uint32_t flags_before(hd_span text, size_t end, size_t *begin)
{
    size_t at = end - 1;
    while (at > 0 && end - at < 4 && ((unsigned char)text.ptr[at] & 0xC0) == 0x80)
        at--;
    size_t len;
    bool valid;
    uint32_t c = hd__utf8_decode(hd__span(text.ptr, end), at, &len, &valid);
    *begin = valid && at + len == end ? at : end - 1;
    return hd__unicode_flags(valid && at + len == end ? c : HD_UTF8_REPLACEMENT);
}

static uint32_t flags_at(hd_span text, size_t at, size_t *len)
{
    bool valid;
    return hd__unicode_flags(hd__utf8_decode(text, at, len, &valid));
}

bool hd__added_token_fits(const hd_added_token *token, hd_span text, size_t begin, size_t end)
{
    if (!token->single_word)
        return true;
    size_t unused;
    if (begin > 0 && (flags_before(text, begin, &unused) & HD_UNICODE_WORD))
        return false;
    return end == text.len || !(flags_at(text, end, &unused) & HD_UNICODE_WORD);
}

/* Widens a match by the white space its token takes, but not into what an earlier match has taken. */
static void take_spaces(const hd_added_walk *walk, const hd_added_token *token, size_t *begin, size_t *end)
{
    size_t at, len;
    while (token->lstrip && *begin > walk->done && (flags_before(walk->text, *begin, &at) & HD_UNICODE_SPACE))
        *begin = at;
    while (token->rstrip && *end < walk->text.len && (flags_at(walk->text, *end, &len) & HD_UNICODE_SPACE))
        *end += len;
}

const hd_added_token *hd__added_walk_next(hd_added_walk *walk, size_t *gap_begin, size_t *gap_end, size_t *begin,
                                          size_t *end)
{
    const hd_added_token *found = NULL;
    *gap_begin = walk->done;
    while (found == NULL && walk->search_at < walk->text.len) {
        size_t at = walk->search_at;
        const hd_added_token *token = hd__added_set_find(walk->set, walk->text, at);
        walk->search_at += token != NULL ? token->pattern.len : 1;
        if (token == NULL || !hd__added_token_fits(token, walk->text, at, at + token->pattern.len))
            continue;
        found = token;
        *begin = at;
        *end = at + token->pattern.len;
        take_spaces(walk, token, begin, end);
    }
    *gap_end = found != NULL ? *begin : walk->text.len;
    if (*gap_end < *gap_begin)
        *gap_end = *gap_begin;
    walk->done = found != NULL ? *end : walk->text.len;
    return found;
}
