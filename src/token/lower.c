/* lower.c - lower case as Python's str.lower() has it: each code point's full mapping, and for U+03A3 the final
 * form at a word's end (The Unicode Standard 15, section 3.13, table 3-17, Final_Sigma).
 *
 * sentence-transformers does this to the text, when sentence_bert_config.json says do_lower_case, before the
 * tokenizer sees it.
 */
#include "token/tokenizer_parts.h"
#include "token/unicode.h"

enum { SIGMA = 0x3A3, SMALL_SIGMA = 0x3C3, FINAL_SIGMA = 0x3C2 };

/* The first code point that is not ignorable, going `step` from i, is cased. */
static bool cased(const hd_norm_text *text, size_t i, size_t step)
{
    for (i += step; i < text->n; i += step) { /* below 0 is SIZE_MAX */
        uint32_t flags = hd__unicode_flags(text->chars[i].code_point);
        if (!(flags & HD_UNICODE_IGNORABLE))
            return flags & HD_UNICODE_CASED;
    }
    return false;
}

hd_status hd__lower_text(hd_span text, hd_norm_text *lowered, hd_error *err)
{
    hd_norm_text decoded = {0};
    hd_status status;
    HD_TRY_OUT(hd__norm_text_decode(&decoded, text, 0, err));
    HD_TRY_OUT(hd__norm_text_reserve(lowered, decoded.n * HD_UNICODE_MAX_LOWER, err));
    lowered->n = 0;
    for (size_t i = 0; i < decoded.n; i++) {
        hd_norm_char c = decoded.chars[i];
        uint32_t lower[HD_UNICODE_MAX_LOWER];
        size_t n = hd__unicode_lower(c.code_point, lower);
        if (c.code_point == SIGMA)
            lower[0] = cased(&decoded, i, SIZE_MAX) && !cased(&decoded, i, 1) ? FINAL_SIGMA : SMALL_SIGMA;
        for (size_t k = 0; k < n; k++)
            lowered->chars[lowered->n++] = (hd_norm_char){lower[k], c.begin, c.end};
    }
out:
    hd__norm_text_clear(&decoded);
    return status;
}
