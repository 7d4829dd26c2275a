/* unicode.c - see unicode.h. Hangul is arithmetic: The Unicode Standard 15, section 3.12. */
#include "token/unicode.h"

#include <string.h>

extern const uint8_t hd__unicode_class_index[], hd__unicode_class_block[];
extern const uint8_t hd__unicode_lower_index[], hd__unicode_nfd_index[], hd__unicode_nfkd_index[];
extern const uint16_t hd__unicode_lower_block[], hd__unicode_nfd_block[], hd__unicode_nfkd_block[];
extern const uint32_t hd__unicode_pool[];  /* records: how many, then the code points */
extern const uint32_t hd__unicode_pairs[]; /* first, second, composed; sorted */
extern const uint32_t hd__unicode_n_pairs;
extern const uint32_t hd__unicode_class_top, hd__unicode_map_top; /* nothing at or above these is in the tables */

enum { HANGUL_S = 0xAC00, HANGUL_L = 0x1100, HANGUL_V = 0x1161, HANGUL_T = 0x11A7 };
enum { N_HANGUL_L = 19, N_HANGUL_V = 21, N_HANGUL_T = 28, N_HANGUL_S = N_HANGUL_L * N_HANGUL_V * N_HANGUL_T };

uint32_t hd__unicode_class(uint32_t c)
{
    return c < hd__unicode_class_top ? hd__unicode_class_block[hd__unicode_class_index[c >> 6] * 64u + (c & 63)] : 0;
}

static size_t mapped(const uint8_t *index, const uint16_t *block, uint32_t c, uint32_t *out)
{
    uint32_t at = c < hd__unicode_map_top ? block[index[c >> 6] * 64u + (c & 63)] : 0;
    if (at == 0) {
        out[0] = c;
        return 1;
    }
    size_t n = hd__unicode_pool[at];
    memcpy(out, &hd__unicode_pool[at + 1], n * sizeof *out);
    return n;
}

size_t hd__unicode_lower(uint32_t c, uint32_t out[HD_UNICODE_MAX_LOWER])
{
    return mapped(hd__unicode_lower_index, hd__unicode_lower_block, c, out);
}

size_t hd__unicode_nfd(uint32_t c, uint32_t out[HD_UNICODE_MAX_DECOMPOSED])
{
    uint32_t s = c - HANGUL_S;
    if (s >= N_HANGUL_S)
        return mapped(hd__unicode_nfd_index, hd__unicode_nfd_block, c, out);
    out[0] = HANGUL_L + s / (N_HANGUL_V * N_HANGUL_T);
    out[1] = HANGUL_V + s % (N_HANGUL_V * N_HANGUL_T) / N_HANGUL_T;
    out[2] = HANGUL_T + s % N_HANGUL_T;
    return s % N_HANGUL_T != 0 ? 3 : 2;
}

size_t hd__unicode_nfkd(uint32_t c, uint32_t out[HD_UNICODE_MAX_DECOMPOSED])
{
    size_t n = mapped(hd__unicode_nfkd_index, hd__unicode_nfkd_block, c, out);
    return n == 1 && out[0] == c ? hd__unicode_nfd(c, out) : n;
}

static uint32_t compose_hangul(uint32_t first, uint32_t second)
{
    uint32_t l = first - HANGUL_L, v = second - HANGUL_V;
    if (l < N_HANGUL_L && v < N_HANGUL_V)
        return HANGUL_S + (l * N_HANGUL_V + v) * N_HANGUL_T;
    uint32_t s = first - HANGUL_S, t = second - HANGUL_T;
    if (s < N_HANGUL_S && s % N_HANGUL_T == 0 && t > 0 && t < N_HANGUL_T)
        return first + t;
    return 0;
}

uint32_t hd__unicode_compose(uint32_t first, uint32_t second)
{
    uint32_t hangul = compose_hangul(first, second);
    if (hangul != 0)
        return hangul;
    size_t low = 0, high = hd__unicode_n_pairs;
    while (low < high) {
        size_t middle = (low + high) / 2;
        const uint32_t *pair = &hd__unicode_pairs[middle * 3];
        if (pair[0] == first && pair[1] == second)
            return pair[2];
        if (pair[0] < first || (pair[0] == first && pair[1] < second))
            low = middle + 1;
        else
            high = middle;
    }
    return 0;
}
