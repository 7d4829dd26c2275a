/* merges_json.c - "merges" of a BPE model in tokenizer.json, read like its vocabulary (vocab_json.c): ["a b", ...] as older
 * files have it, or [["a", "b"], ...]; and the lines of a merges.txt.
 */
#include "base/limits.h"
#include "base/utf8.h"
#include "token/json_scan.h"
#include "token/tokenizer_parts.h"

bool hd__merges_json_find(hd_span json, hd_span *merges)
{
    hd_json_scan s = {json.ptr, json.ptr + json.len};
    if (!hd__json_scan_take(&s, '{') || !hd__json_scan_key(&s, "model") || !hd__json_scan_take(&s, '{') ||
        !hd__json_scan_key(&s, "merges") || !hd__json_scan_take(&s, '['))
        return false;
    s.at--;
    merges->ptr = s.at;
    if (!hd__json_scan_skip(&s))
        return false;
    merges->len = (size_t)(s.at - merges->ptr);
    return true;
}

enum { MERGE_BYTES = 2 * HD_LIMIT_TOKEN_BYTES + 1 };

/* The two strings of an entry and where escapes are resolved. */
typedef struct entry {
    char bytes[2][MERGE_BYTES * 6]; /* the longest escape of a byte is six bytes */
    hd_span pieces[2];
} entry;

static hd_status bad_entry(const hd_bpe *bpe, const char *file, hd_error *err)
{
    return hd__fail(err, HD_ERR_FORMAT,
                    "%s: \"model\": \"merges\": entry %u is neither two pieces with a space between nor an "
                    "array of two pieces",
                    file, bpe->n_merges);
}

static hd_status read_string(hd_json_scan *s, const char *file, const hd_bpe *bpe, char *bytes, hd_span *out, hd_error *err)
{
    size_t len;
    if (!hd__json_scan_string(s, out))
        return bad_entry(bpe, file, err);
    if (out->len > MERGE_BYTES * 6)
        return hd__fail(err, HD_ERR_LIMIT, "%s: \"model\": \"merges\": entry %u has %zu bytes, the limit of a piece is %u",
                        file, bpe->n_merges, out->len, HD_LIMIT_TOKEN_BYTES);
    if (memchr(out->ptr, '\\', out->len) == NULL && hd__utf8_valid_len(*out) == out->len)
        return HD_OK;
    if (!hd__json_unescape(*out, bytes, &len) || hd__utf8_valid_len(hd__span(bytes, len)) != len)
        return hd__fail(err, HD_ERR_FORMAT, "%s: \"model\": \"merges\": entry %u is not a valid string", file,
                        bpe->n_merges);
    *out = hd__span(bytes, len);
    return HD_OK;
}

/* A line as merges.txt has it; the first of those may say "#version". */
static hd_status add_line(hd_span line, const char *file, hd_bpe *bpe, hd_error *err)
{
    const char *space = memchr(line.ptr, ' ', line.len);
    if (hd__span_begins(line, "#version"))
        return HD_OK;
    const size_t n = space != NULL ? (size_t)(space - line.ptr) : 0;
    if (space == NULL || memchr(space + 1, ' ', line.len - n - 1) != NULL)
        return bad_entry(bpe, file, err);
    return hd__bpe_add_merge(bpe, hd__span(line.ptr, n), hd__span(space + 1, line.len - n - 1), file, err);
}

static hd_status read_entry(hd_json_scan *s, const char *file, hd_bpe *bpe, entry *e, hd_error *err)
{
    if (!hd__json_scan_take(s, '[')) {
        HD_TRY(read_string(s, file, bpe, e->bytes[0], &e->pieces[0], err));
        return add_line(e->pieces[0], file, bpe, err);
    }
    HD_TRY(read_string(s, file, bpe, e->bytes[0], &e->pieces[0], err));
    if (!hd__json_scan_take(s, ','))
        return bad_entry(bpe, file, err);
    HD_TRY(read_string(s, file, bpe, e->bytes[1], &e->pieces[1], err));
    if (!hd__json_scan_take(s, ']'))
        return bad_entry(bpe, file, err);
    return hd__bpe_add_merge(bpe, e->pieces[0], e->pieces[1], file, err);
}

hd_status hd__merges_json_read(hd_span json, const char *file, hd_bpe *bpe, hd_error *err)
{
    hd_json_scan s = {json.ptr + 1, json.ptr + json.len};
    entry e;
    if (hd__json_scan_take(&s, ']'))
        return HD_OK;
    do {
        HD_TRY(read_entry(&s, file, bpe, &e, err));
    } while (hd__json_scan_take(&s, ','));
    if (!hd__json_scan_take(&s, ']'))
        return hd__fail(err, HD_ERR_FORMAT, "%s: \"model\": \"merges\": no , or ] after entry %u", file, bpe->n_merges - 1);
    return HD_OK;
}

hd_status hd__merges_txt_read(hd_span text, const char *file, hd_bpe *bpe, hd_error *err)
{
    const size_t valid_len = hd__utf8_valid_len(text);
    if (valid_len != text.len)
        return hd__fail(err, HD_ERR_FORMAT, "%s: its merges are not UTF-8 at byte %zu", file, valid_len);
    for (size_t at = 0; at < text.len;) {
        const char *newline = memchr(text.ptr + at, '\n', text.len - at);
        const size_t end = newline != NULL ? (size_t)(newline - text.ptr) : text.len;
        const size_t len = end - at - (end > at && text.ptr[end - 1] == '\r');
        HD_TRY(add_line(hd__span(text.ptr + at, len), file, bpe, err));
        at = end + 1;
    }
    return HD_OK;
}
