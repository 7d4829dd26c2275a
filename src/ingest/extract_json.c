/* extract_json.c - JSON as lines that can be read, and JSONL as a document for each line.
 *
 * JSON (RFC 8259) is one document: a line "path: value" for each value, "a.b[2].c: text"; values of a list that has no
 * lists or objects in it stand in one line. A block for each element of the outermost list or object, with its line in the
 * file.
 *
 * JSONL: each line is an object with the names that corpora use (BEIR: _id, title, text, metadata; Pyserini: id, contents;
 * LangChain: page_content; …). What has no meaning of its own is metadata.
 */
#include "base/hash.h"
#include "base/json.h"
#include "base/limits.h"
#include "ingest/encoding.h"
#include "ingest/reader.h"

#define ERRORS_NAMED 3u /* of the lines that cannot be read, in the message */

/* ---- JSON ---- */

typedef struct json_writer {
    hd_buffer text;
    hd_buffer path;
    bool too_deep;
} json_writer;

static bool is_plain(const json_t *value)
{
    return !json_is_array(value) && !json_is_object(value);
}

static bool is_plain_list(const json_t *value)
{
    size_t i;
    json_t *item;
    if (!json_is_array(value))
        return false;
    json_array_foreach (value, i, item) {
        if (!is_plain(item))
            return false;
    }
    return true;
}

static void write_plain(hd_buffer *text, const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_STRING: hd__buffer_append(text, json_string_value(value), json_string_length(value)); break;
    case JSON_INTEGER: hd__buffer_printf(text, "%" JSON_INTEGER_FORMAT, json_integer_value(value)); break;
    case JSON_REAL: hd__buffer_printf(text, "%.17g", json_real_value(value)); break;
    case JSON_TRUE: hd__buffer_append_text(text, "true"); break;
    case JSON_FALSE: hd__buffer_append_text(text, "false"); break;
    default: hd__buffer_append_text(text, "null"); break;
    }
}

static void write_value(json_writer *w, const json_t *value, uint32_t depth);

static void write_below(json_writer *w, const char *separator, const char *key, const json_t *value, uint32_t depth)
{
    size_t before = w->path.len;
    if (before > 0 || separator[0] == '[')
        hd__buffer_append_text(&w->path, separator);
    hd__buffer_append_text(&w->path, key);
    if (separator[0] == '[')
        hd__buffer_append_char(&w->path, ']');
    write_value(w, value, depth + 1);
    w->path.len = before;
}

static void write_value(json_writer *w, const json_t *value, uint32_t depth)
{
    size_t i;
    json_t *item;
    if (depth > HD_LIMIT_RECORD_DEPTH || w->text.len > HD_LIMIT_DOCUMENT_BYTES) {
        w->too_deep |= depth > HD_LIMIT_RECORD_DEPTH;
        return;
    }
    if (json_is_object(value)) {
        for (void *at = json_object_iter((json_t *)(uintptr_t)value); at != NULL;
             at = json_object_iter_next((json_t *)(uintptr_t)value, at))
            write_below(w, ".", json_object_iter_key(at), json_object_iter_value(at), depth);
        return;
    }
    if (json_is_array(value) && !is_plain_list(value)) {
        json_array_foreach (value, i, item) {
            char index[24];
            snprintf(index, sizeof index, "%zu", i);
            write_below(w, "[", index, item, depth);
        }
        return;
    }
    if (w->path.len > 0) {
        hd__buffer_append(&w->text, w->path.ptr, w->path.len);
        hd__buffer_append_text(&w->text, ": ");
    }
    if (is_plain(value))
        write_plain(&w->text, value);
    json_array_foreach (value, i, item) {
        hd__buffer_append_text(&w->text, i > 0 ? ", " : "");
        write_plain(&w->text, item);
    }
    hd__buffer_append_char(&w->text, '\n');
}

/* Where the next element of the outermost list or object begins, in text known to be JSON. */
static size_t next_element(hd_span text, size_t at)
{
    uint32_t depth = at == 0 ? 0 : 1;
    for (; at < text.len; at++) {
        char c = text.ptr[at];
        if (c == '"') {
            for (at++; at < text.len && text.ptr[at] != '"'; at++)
                at += text.ptr[at] == '\\';
        }
        depth += c == '[' || c == '{';
        depth -= c == ']' || c == '}';
        if ((c == ',' || c == '[' || c == '{') && depth == 1) {
            for (at++; at < text.len && strchr(" \t\r\n", text.ptr[at]) != NULL; at++) {
            }
            return at;
        }
    }
    return at;
}

static void add_element(json_writer *w, const char *key, const json_t *value, hd_block_list *blocks, uint32_t line)
{
    size_t begin = w->text.len;
    if (key != NULL)
        write_below(w, "", key, value, 0);
    else
        write_value(w, value, 0);
    if (w->text.len > begin)
        hd__block_list_add(blocks, &(hd_block){.begin = (uint32_t)begin, .end = (uint32_t)(w->text.len - 1), .line = line});
    if (key == NULL)
        hd__buffer_append_char(&w->text, '\n');
}

static hd_status write_json(const json_t *root, hd_span source, json_writer *w, hd_block_list *blocks, hd_error *err)
{
    size_t i, at = 0;
    json_t *item;
    hd_line_counter lines = {source, 0, 1};
    json_array_foreach (root, i, item) {
        at = next_element(source, at);
        add_element(w, NULL, item, blocks, hd__line_of(&lines, at));
    }
    if (json_is_object(root)) {
        for (void *it = json_object_iter((json_t *)(uintptr_t)root); it != NULL;
             it = json_object_iter_next((json_t *)(uintptr_t)root, it)) {
            at = next_element(source, at);
            add_element(w, json_object_iter_key(it), json_object_iter_value(it), blocks, hd__line_of(&lines, at));
        }
    } else if (is_plain(root)) {
        add_element(w, NULL, root, blocks, 1);
    }
    if (w->too_deep)
        return hd__fail(err, HD_ERR_LIMIT, "values are nested deeper than %u", HD_LIMIT_RECORD_DEPTH);
    if (w->text.len > HD_LIMIT_DOCUMENT_BYTES)
        return hd__fail(err, HD_ERR_LIMIT, "more than %u bytes when written as lines", HD_LIMIT_DOCUMENT_BYTES);
    return HD_OK;
}

hd_status hd__read_json(hd_reader *reader, hd_error *err)
{
    hd_extract *extract = reader->extract;
    hd_block_list blocks = {.arena = reader->arena};
    json_writer w = {.too_deep = false};
    json_t *root = NULL;
    hd_span source;
    hd_status status = HD_OK;
    if (reader->bytes.len > HD_LIMIT_RECORD_BYTES)
        return hd__fail(err, HD_ERR_LIMIT, "%zu bytes of JSON, at most %u are read: write a document on each line (.jsonl)",
                        reader->bytes.len, HD_LIMIT_RECORD_BYTES);
    HD_TRY_OUT(hd__encoding_decode(reader->bytes, NULL, reader->arena, &source, err));
    if (hd__ascii_is_blank(source))
        goto out;
    HD_TRY_OUT(hd__json_parse(source, "JSON", &root, err));
    HD_TRY_OUT(write_json(root, source, &w, &blocks, err));
    const json_t *title = json_object_get(root, "title");
    if (json_is_string(title))
        extract->title = hd__metadata_text(title, reader->arena);
    hd__buffer_append_char(&w.text, '\0');
    char *text = w.text.failed || w.path.failed ? NULL : hd__arena_strndup(reader->arena, w.text.ptr, w.text.len - 1);
    if (text == NULL || extract->title == NULL) {
        status = hd__fail(err, HD_ERR_MEMORY, "no memory for %zu bytes of text", w.text.len);
        goto out;
    }
    hd__line_ends(text, w.text.len - 1);
    extract->text = hd__span(text, w.text.len - 1);
    HD_TRY_OUT(hd__reader_end(reader, &blocks, err));
out:
    json_decref(root);
    hd__buffer_clear(&w.text);
    hd__buffer_clear(&w.path);
    return status;
}

/* ---- JSONL ---- */

static const char *const id_keys[] = {"id", "_id", "doc_id", "docid", "document_id", "docno", NULL};
static const char *const text_keys[] = {"text", "content", "contents", "body", "passage", "page_content", "document", NULL};
static const char *const url_keys[] = {"url", "link", "permalink", NULL};
static const char *const source_keys[] = {"source", NULL};

/* The first of the keys with a value, taken out of the object; the caller's, or NULL. */
static json_t *take(json_t *object, const char *const *keys)
{
    for (size_t i = 0; keys[i] != NULL; i++) {
        json_t *value = json_object_get(object, keys[i]);
        if (value == NULL || json_is_null(value) || json_is_object(value))
            continue;
        json_incref(value);
        json_object_del(object, keys[i]);
        return value;
    }
    return NULL;
}

static hd_status take_text(json_t *object, const char *const *keys, hd_arena *arena, const char **text, hd_error *err)
{
    json_t *value = take(object, keys);
    const char *found = value != NULL ? hd__metadata_text(value, arena) : NULL;
    bool failed = found == NULL && (json_is_string(value) || json_is_integer(value));
    json_decref(value);
    if (failed)
        return hd__fail(err, HD_ERR_MEMORY, "no memory for a document's fields");
    *text = found;
    return HD_OK;
}

/* What is left of the line's object, with the fields of its "metadata" beside the others. */
static hd_status take_rest(hd_reader *reader, json_t *object, hd_error *err)
{
    json_t *metadata = json_object_get(object, "metadata");
    if (json_is_object(metadata)) {
        json_incref(metadata);
        json_object_del(object, "metadata");
        int failed = json_object_update_missing(object, metadata);
        json_decref(metadata);
        if (failed != 0)
            return hd__fail(err, HD_ERR_MEMORY, "no memory for metadata");
    }
    HD_TRY(hd__metadata_take(reader, object, err));
    if (reader->extract->url == NULL && json_is_string(json_object_get(object, "url")))
        HD_TRY(take_text(object, url_keys, reader->arena, &reader->extract->url, err));
    return HD_OK;
}

static hd_status read_record(hd_reader *reader, json_t *object, uint32_t line, hd_error *err)
{
    hd_extract *extract = reader->extract;
    const char *text;
    if (!json_is_object(object))
        return hd__fail(err, HD_ERR_FORMAT, "no JSON object");
    HD_TRY(take_text(object, text_keys, reader->arena, &text, err));
    if (text == NULL)
        return hd__fail(err, HD_ERR_FORMAT, "no text: none of \"text\", \"content\", \"contents\", \"body\" is a string");
    HD_TRY(take_text(object, id_keys, reader->arena, &extract->id, err));
    HD_TRY(take_text(object, url_keys, reader->arena, &extract->url, err));
    HD_TRY(take_text(object, source_keys, reader->arena, &extract->source, err));
    HD_TRY(take_rest(reader, object, err));
    hd_block_list blocks = {.arena = reader->arena};
    HD_TRY(hd__encoding_decode(hd__span_of(text), NULL, reader->arena, &extract->text, err));
    hd__paragraphs_add(&blocks, extract->text, 0, extract->text.len, 1);
    for (size_t i = 0; i < blocks.n; i++)
        blocks.items[i].line = line;
    return hd__reader_end(reader, &blocks, err);
}

static hd_status read_line(hd_reader *reader, hd_span text, uint32_t line, hd_error *err)
{
    json_t *object = NULL;
    if (text.len > HD_LIMIT_RECORD_BYTES)
        return hd__fail(err, HD_ERR_LIMIT, "%zu bytes, at most %u are read of one line", text.len, HD_LIMIT_RECORD_BYTES);
    HD_TRY(hd__json_parse(text, "JSON", &object, err));
    hd_status status = read_record(reader, object, line, err);
    json_decref(object);
    return status;
}

/* The number of the line at hand. */
static uint32_t line_of(const hd_lines *lines)
{
    return lines->n + 1;
}

void hd__lines_fail(hd_lines *lines, uint32_t line, const hd_error *why)
{
    if (lines->n_failed++ >= ERRORS_NAMED)
        return;
    hd__buffer_append_text(&lines->first, lines->first.len > 0 ? "; " : "");
    if (line > 0)
        hd__buffer_printf(&lines->first, "line %u: ", line);
    hd__buffer_append_text(&lines->first, why->text);
}

hd_status hd__lines_take_id(hd_lines *lines, const char *id, bool *again, hd_error *err)
{
    uint64_t *line = hd__map64_put(&lines->ids, hd__hash64(hd__span_of(id), 0));
    if (line == NULL)
        return hd__fail(err, HD_ERR_MEMORY, "no memory for the ids of lines");
    *again = *line != 0;
    if (*again) {
        hd_error why = {0};
        HD_IGNORE(hd__fail(&why, HD_ERR_FORMAT, "line %u has the same id, %.64s", line_of(lines), id));
        hd__lines_fail(lines, (uint32_t)*line, &why);
    }
    *line = line_of(lines);
    return HD_OK;
}

/* Drops what has been read of a line that is left out: to its end, or all. */
static void drop_line(hd_lines *lines, hd_buffer *read, bool at_end)
{
    const char *newline = read->len > 0 ? memchr(read->ptr, '\n', read->len) : NULL;
    const size_t n = newline != NULL ? (size_t)(newline + 1 - read->ptr) : read->len;
    lines->in_long = newline == NULL && !at_end;
    lines->n += !lines->in_long;
    if (n > 0)
        memmove(read->ptr, read->ptr + n, read->len - n);
    read->len -= n;
}

size_t hd__lines_cut(hd_lines *lines, hd_buffer *read, bool at_end)
{
    if (lines->in_long)
        drop_line(lines, read, at_end);
    if (read->len == 0 || at_end)
        return read->len;
    const char *newline = memrchr(read->ptr, '\n', read->len);
    if (newline != NULL)
        return (size_t)(newline + 1 - read->ptr);
    if (read->len > HD_LIMIT_RECORD_BYTES) {
        hd_error why = {0};
        HD_IGNORE(hd__fail(&why, HD_ERR_LIMIT, "more than %u bytes, which are read of one line", HD_LIMIT_RECORD_BYTES));
        hd__lines_fail(lines, line_of(lines), &why);
        drop_line(lines, read, false);
    }
    return 0;
}

static hd_status read_lines(hd_reader *reader, hd_span text, hd_lines *lines, hd_extract_fn *document, void *data,
                            hd_error *err)
{
    for (size_t at = 0; at < text.len; lines->n++) {
        const char *newline = memchr(text.ptr + at, '\n', text.len - at);
        size_t end = newline != NULL ? (size_t)(newline - text.ptr) : text.len;
        hd_span record = hd__ascii_trim(hd__span(text.ptr + at, end - at));
        at = end + 1;
        if (record.len == 0)
            continue;
        hd_arena arena; /* of one line: a file has millions */
        hd_error why = {0};
        hd__arena_init(&arena);
        hd_extract extract = *reader->extract;
        hd_reader of_line = {.type = reader->type, .arena = &arena, .extract = &extract};
        hd_status status = read_line(&of_line, record, line_of(lines), &why);
        bool is_lines = status != HD_OK && status != HD_ERR_MEMORY; /* a fault of the line's own */
        if (status == HD_OK) {
            status = document(&extract, data, &why);
            is_lines = status == HD_ERR_LIMIT;
        }
        hd__arena_clear(&arena);
        if (is_lines)
            hd__lines_fail(lines, line_of(lines), &why);
        else if (status != HD_OK)
            return hd__fail(err, status, "%s", why.text);
    }
    return HD_OK;
}

hd_status hd__lines_end(hd_lines *lines, hd_error *err)
{
    hd_status status = HD_OK;
    if (lines->n_failed > 0)
        status =
            hd__fail(err, HD_ERR_FORMAT, "%u line%s left out: %.*s", lines->n_failed, lines->n_failed == 1 ? " is" : "s are",
                     (int)lines->first.len, lines->first.len > 0 ? lines->first.ptr : "");
    hd__buffer_clear(&lines->first);
    hd__map64_clear(&lines->ids);
    return status;
}

hd_status hd__read_jsonl(hd_reader *reader, hd_lines *lines, hd_extract_fn *document, void *data, hd_error *err)
{
    hd_span text = reader->bytes;
    hd_encoding encoding = text.len > 0 ? hd__encoding_of(text) : HD_ENCODING_UTF8;
    if (encoding != HD_ENCODING_UTF8 && encoding != HD_ENCODING_OTHER && encoding != HD_ENCODING_BINARY) {
        /* of UTF-16 and UTF-32 alone: else a byte that no text has is its line's error */
        hd_error why = {0};
        const hd_status status = hd__encoding_decode(reader->bytes, NULL, reader->arena, &text, &why);
        if (status == HD_ERR_FORMAT) { /* of all these lines */
            hd__lines_fail(lines, line_of(lines), &why);
            lines->n = hd__line_of(&(hd_line_counter){text, 0, line_of(lines)}, text.len) - 1;
            return HD_OK;
        }
        if (status != HD_OK && err != NULL)
            *err = why;
        HD_TRY(status);
    } else if (hd__span_begins(text, "\xEF\xBB\xBF")) {
        text = hd__span(text.ptr + 3, text.len - 3);
    }
    return read_lines(reader, text, lines, document, data, err);
}
