/* charsmap.c - see charsmap.h. Nothing in a map is believed: units and texts out of its range are not there. */
#include "token/charsmap.h"

#include "base/alloc.h"
#include "base/buffer.h"
#include "base/utf8.h"
#include "token/grapheme.h"

enum { MAX_CLUSTER_BYTES = 5 };

static uint32_t little_u32(const char *at)
{
    hd_cursor c = hd__cursor(hd__span(at, 4));
    return hd__cursor_u32(&c);
}

static hd_status read_units(hd_span bytes, const char *file, uint32_t *units, hd_charsmap *map, hd_error *err)
{
    uint32_t n_bytes = bytes.len >= 4 ? little_u32(bytes.ptr) : 0;
    if (n_bytes < 4 || n_bytes > bytes.len - 4)
        return hd__fail(err, HD_ERR_FORMAT, "%s: precompiled_charsmap of %zu bytes has a trie of %u", file, bytes.len,
                        n_bytes);
    map->n_units = n_bytes / 4;
    for (size_t i = 0; i < map->n_units; i++)
        units[i] = little_u32(bytes.ptr + 4 + 4 * i);
    map->units = units;
    return HD_OK;
}

hd_status hd__charsmap_read(hd_span bytes, const char *file, hd_arena *arena, hd_charsmap *map, hd_error *err)
{
    uint32_t *units = hd__arena_alloc(arena, hd__add(bytes.len, 4));
    if (units == NULL)
        return hd__fail(err, HD_ERR_MEMORY, "%s: no memory for a precompiled_charsmap of %zu bytes", file, bytes.len);
    HD_TRY(read_units(bytes, file, units, map, err));
    hd_span texts = hd__span(bytes.ptr + 4 + 4 * (size_t)map->n_units, bytes.len - 4 - 4 * (size_t)map->n_units);
    if (hd__utf8_valid_len(texts) != texts.len)
        return hd__fail(err, HD_ERR_FORMAT, "%s: the texts of precompiled_charsmap are not UTF-8", file);
    char *copy = hd__arena_strndup(arena, texts.ptr, texts.len);
    if (copy == NULL)
        return hd__fail(err, HD_ERR_MEMORY, "%s: no memory for a precompiled_charsmap of %zu bytes", file, bytes.len);
    map->texts = hd__span(copy, texts.len);
    return HD_OK;
}

hd_status hd__charsmap_read_base64(hd_span base64, const char *file, hd_arena *arena, hd_charsmap *map, hd_error *err)
{
    hd_arena spare;
    hd__arena_init(&spare);
    hd_status status;
    size_t len;
    char *bytes = hd__arena_alloc(&spare, base64.len / 4 * 3 + 1);
    if (bytes == NULL)
        status = hd__fail(err, HD_ERR_MEMORY, "%s: no memory for a precompiled_charsmap of %zu bytes", file, base64.len);
    else if (!hd__base64_decode(base64, bytes, &len))
        status = hd__fail(err, HD_ERR_FORMAT, "%s: \"precompiled_charsmap\" is not base64", file);
    else
        status = hd__charsmap_read(hd__span(bytes, len), file, arena, map, err);
    hd__arena_clear(&spare);
    return status;
}

bool hd__charsmap_find(const hd_charsmap *map, const char *bytes, size_t n, hd_span *text)
{
    const uint32_t *units = map->units;
    uint32_t at = units[0] >> 10 << ((units[0] & 1u << 9) >> 6);
    for (size_t i = 0; i < n && bytes[i] != '\0'; i++) {
        uint32_t byte = (unsigned char)bytes[i];
        at ^= byte;
        if (at >= map->n_units || (units[at] & 0x800000FFu) != byte)
            return false;
        bool has_value = units[at] >> 8 & 1;
        at ^= units[at] >> 10 << ((units[at] & 1u << 9) >> 6);
        if (!has_value)
            continue;
        size_t place = at < map->n_units ? units[at] & 0x7FFFFFFFu : SIZE_MAX;
        if (place > map->texts.len)
            return false;
        const char *begin = map->texts.ptr + place, *end = memchr(begin, '\0', map->texts.len - place);
        *text = hd__span(begin, end != NULL ? (size_t)(end - begin) : map->texts.len - place);
        return true;
    }
    return false;
}

/* Puts what replaces old characters [from, from + n_old), in the changes of normalize_text.c. When nothing does, the
 * character before uses them up; when there is none, the library forgets them, and places shift. */
static hd_status put(hd_norm_text *to, size_t n_old, hd_span text, hd_error *err)
{
    size_t n_new = 0;
    bool valid;
    HD_TRY(hd__norm_text_reserve(to, to->n + text.len, err));
    for (size_t at = 0, len; at < text.len; at += len) {
        uint32_t c = hd__utf8_decode(text, at, &len, &valid);
        to->chars[to->n++] = (hd_norm_char){c, n_new++ >= n_old, 0};
    }
    if (n_new < n_old && to->n > 0)
        to->chars[to->n - 1].begin -= (uint32_t)(n_old - n_new);
    return HD_OK;
}

/* One cluster, old characters [0, n). */
static hd_status run_cluster(const hd_charsmap *map, const hd_norm_char *chars, size_t n, hd_norm_text *to, bool *modified,
                             hd_error *err)
{
    char utf8[MAX_CLUSTER_BYTES + 4];
    size_t len = 0;
    hd_span text;
    for (size_t i = 0; i < n && len <= MAX_CLUSTER_BYTES; i++)
        len += hd__utf8_encode(chars[i].code_point, utf8 + len);
    if (len <= MAX_CLUSTER_BYTES && hd__charsmap_find(map, utf8, len, &text)) {
        *modified = true;
        return put(to, n, text, err);
    }
    for (size_t i = 0; i < n; i++) {
        len = hd__utf8_encode(chars[i].code_point, utf8);
        bool found = hd__charsmap_find(map, utf8, len, &text);
        *modified = *modified || found;
        HD_TRY(put(to, 1, found ? text : hd__span(utf8, len), err));
    }
    return HD_OK;
}

hd_status hd__charsmap_run(const hd_charsmap *map, hd_norm_text *text, hd_norm_text *spare, hd_error *err)
{
    hd_grapheme_state state = {0};
    bool modified = false;
    spare->n = 0;
    for (size_t begin = 0, end; begin < text->n; begin = end) {
        if (begin == 0)
            hd__grapheme_ends(&state, text->chars[0].code_point);
        end = begin + 1;
        while (end < text->n && !hd__grapheme_ends(&state, text->chars[end].code_point))
            end++;
        HD_TRY(run_cluster(map, text->chars + begin, end - begin, spare, &modified, err));
    }
    if (modified)
        hd__norm_text_settle(spare, text);
    return HD_OK;
}
