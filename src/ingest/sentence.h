/* sentence.h - where sentences end, in any script: after Unicode Standard Annex 29, section 5, with what it leaves to
 * languages: abbreviations, initials and numbers do not end one.
 */
#ifndef HD_INGEST_SENTENCE_H
#define HD_INGEST_SENTENCE_H

#include "base/span.h"

/* The offset after the sentence that begins at `at`, and after the blanks behind it; text.len for the last one. */
size_t hd__sentence_end(hd_span text, size_t at);

/* White_Space of Unicode, and what Python's str.strip takes beside it. */
bool hd__is_space(uint32_t c);

/* The text without blanks at its ends. */
hd_span hd__strip(hd_span text);

#endif
