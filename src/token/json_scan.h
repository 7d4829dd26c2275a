/* json_scan.h - going over JSON text without building anything (RFC 8259): for the parts of tokenizer.json that are nearly
 * all of it. Only strings and brackets are told apart; what is malformed is left for a stricter reader to say.
 */
#ifndef HD_TOKEN_JSON_SCAN_H
#define HD_TOKEN_JSON_SCAN_H

#include "base/span.h"

typedef struct hd_json_scan {
    const char *at, *end;
} hd_json_scan;

/* The next byte after white space, or '\0' at the end. take: whether it is c, which is then behind. */
static inline char hd__json_scan_peek(hd_json_scan *scan)
{
    while (scan->at < scan->end && (*scan->at == ' ' || *scan->at == '\n' || *scan->at == '\t' || *scan->at == '\r'))
        scan->at++;
    return scan->at < scan->end ? *scan->at : '\0';
}

static inline bool hd__json_scan_take(hd_json_scan *scan, char c)
{
    bool is_next = hd__json_scan_peek(scan) == c && scan->at < scan->end;
    scan->at += is_next;
    return is_next;
}

/* The raw text between two quotes. */
bool hd__json_scan_string(hd_json_scan *scan, hd_span *raw);

/* Resolves its escapes into out, which has room for raw.len bytes. */
bool hd__json_unescape(hd_span raw, char *out, size_t *len);

/* Any value goes by. */
bool hd__json_scan_skip(hd_json_scan *scan);

/* Inside an object, just after its '{': moves to the value of a key. */
bool hd__json_scan_key(hd_json_scan *scan, const char *key);

#endif
