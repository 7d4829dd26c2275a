/* metadata.c - what documents say about themselves, as JSON, and the parts of it that have a place of their own; see
 * reader.h.
 */
#include <math.h>

#include "base/buffer.h"
#include "base/date.h"
#include "ingest/reader.h"

static int append(const char *bytes, size_t n, void *data)
{
    hd_buffer *out = data;
    hd__buffer_append(out, bytes, n);
    return out->failed ? -1 : 0;
}

bool hd__metadata_date(const json_t *value, int64_t *seconds)
{
    if (json_is_string(value))
        return hd__date_parse(hd__span(json_string_value(value), json_string_length(value)), seconds);
    double number = json_number_value(value);
    if (!json_is_number(value) || !(fabs(number) < 1e15))
        return false;
    *seconds = (int64_t)(fabs(number) >= 1e11 ? number / 1000 : number); /* the year 5138 as seconds, 1973 as milliseconds */
    return true;
}

const char *hd__metadata_text(const json_t *value, hd_arena *arena)
{
    size_t i;
    json_t *item;
    if (json_is_string(value))
        return hd__arena_strndup(arena, json_string_value(value), json_string_length(value));
    if (json_is_integer(value))
        return hd__arena_printf(arena, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    if (!json_is_array(value))
        return NULL;
    hd_buffer all;
    hd__buffer_init(&all);
    json_array_foreach (value, i, item) {
        if (json_is_string(item)) {
            hd__buffer_append_text(&all, all.len > 0 ? ", " : "");
            hd__buffer_append(&all, json_string_value(item), json_string_length(item));
        }
    }
    const char *text = all.failed || all.len == 0 ? NULL : hd__arena_strndup(arena, all.ptr, all.len);
    hd__buffer_clear(&all);
    return text;
}

static const json_t *first_of(const json_t *object, const char *const *keys)
{
    for (size_t i = 0; keys[i] != NULL; i++) {
        const json_t *value = json_object_get(object, keys[i]);
        if (value != NULL && !json_is_null(value))
            return value;
    }
    return NULL;
}

static hd_status take_text(hd_reader *reader, const json_t *object, const char *const *keys, const char **text,
                           hd_error *err)
{
    const json_t *value = first_of(object, keys);
    if (value == NULL || **text != '\0' || json_is_object(value))
        return HD_OK;
    const char *found = hd__metadata_text(value, reader->arena);
    if (found != NULL)
        *text = found;
    else if (json_is_string(value))
        return hd__fail(err, HD_ERR_MEMORY, "no memory for metadata");
    return HD_OK;
}

hd_status hd__metadata_take(hd_reader *reader, json_t *metadata, hd_error *err)
{
    static const char *const titles[] = {"title", "Title", NULL};
    static const char *const authors[] = {"author", "authors", "creator", "Author", NULL};
    static const char *const dates[] = {"created_at", "date",         "created",      "published", "publishDate",
                                        "pubDate",    "published_at", "publish_date", "timestamp", NULL};
    hd_extract *extract = reader->extract;
    HD_TRY(take_text(reader, metadata, titles, &extract->title, err));
    HD_TRY(take_text(reader, metadata, authors, &extract->author, err));
    for (size_t i = 0; dates[i] != NULL && extract->created_at == 0; i++) {
        const json_t *date = json_object_get(metadata, dates[i]);
        if (date != NULL)
            hd__metadata_date(date, &extract->created_at);
    }
    if (json_object_size(metadata) == 0)
        return HD_OK;
    hd_buffer text;
    hd__buffer_init(&text);
    int failed = json_dump_callback(metadata, append, &text, JSON_COMPACT | JSON_SORT_KEYS);
    extract->metadata = failed != 0 ? NULL : hd__arena_strndup(reader->arena, text.ptr, text.len);
    hd__buffer_clear(&text);
    return extract->metadata != NULL ? HD_OK : hd__fail(err, HD_ERR_MEMORY, "no memory for metadata");
}
