/* encoding.h - the text in bytes of an encoding that nobody or somebody names.
 *
 * In this order: a byte order mark; UTF-8 that is valid but for a few bytes; UTF-16 without a mark, told by the zeros of
 * its ASCII; the encoding that the document names (HTML, XML), by iconv(3); else Windows-1252, as browsers read it
 * (https://encoding.spec.whatwg.org/#windows-1252: every byte is a character). Bytes with zeros or with many control
 * characters are no text.
 */
#ifndef HD_INGEST_ENCODING_H
#define HD_INGEST_ENCODING_H

#include "base/arena.h"
#include "base/span.h"

typedef enum hd_encoding {
    HD_ENCODING_BINARY,
    HD_ENCODING_UTF8,
    HD_ENCODING_UTF16_LE,
    HD_ENCODING_UTF16_BE,
    HD_ENCODING_UTF32_LE,
    HD_ENCODING_UTF32_BE,
    HD_ENCODING_OTHER, /* one byte or more for a character, ASCII among them */
} hd_encoding;

/* By the first bytes alone: what is UTF-8 until there may not be later. */
hd_encoding hd__encoding_of(hd_span bytes);

/* The text as UTF-8 whose lines end in \n, without byte order mark; part of `bytes` where nothing had to change, else on the
 * arena. `named`: the encoding that the document names, or NULL. HD_ERR_UNSUPPORTED for what is no text (the message says
 * why) and for names that iconv does not know; HD_ERR_LIMIT over HD_LIMIT_DOCUMENT_BYTES. What is wrong inside becomes
 * U+FFFD. */
HD_MUST_USE hd_status hd__encoding_decode(hd_span bytes, const char *named, hd_arena *arena, hd_span *text, hd_error *err);

#endif
