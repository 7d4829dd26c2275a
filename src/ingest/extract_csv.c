/* extract_csv.c - CSV and TSV (RFC 4180): a block for each record, a line "column: value" for each of its fields.
 *
 * The separator is the one of , ; tab | that gives the first records the most fields, the same number in each. The first
 * record is a header when its fields are all there, different and no numbers, and a record follows; without a header a
 * record is its fields with " | " between. A quote that is never closed is a character as others.
 */
#include "base/limits.h"
#include "ingest/encoding.h"
#include "ingest/prose.h"

#define SNIFFED_RECORDS 20u
#define SNIFFED_BYTES 65536u

typedef struct table {
    hd_span text;
    char separator;
    hd_arena *arena;
    hd_span *fields; /* [HD_LIMIT_CSV_COLUMNS] of the record read last */
    size_t n_fields;
    bool unclosed; /* a quote was */
    bool too_many, failed;
} table;

/* The end of the quoted field that begins at `at`: past its closing quote. False when it is not closed. */
static bool quoted_end(table *t, size_t at, size_t *end, bool *doubled)
{
    hd_span text = t->text;
    *doubled = false;
    if (t->unclosed)
        return false;
    for (at++;; at += 2) {
        const char *quote = at < text.len ? memchr(text.ptr + at, '"', text.len - at) : NULL;
        if (quote == NULL) {
            t->unclosed = true;
            return false;
        }
        at = (size_t)(quote - text.ptr);
        if (at + 1 >= text.len || text.ptr[at + 1] != '"') {
            *end = at + 1;
            return true;
        }
        *doubled = true;
    }
}

/* A quoted field without its quotes; doubled ones are one. */
static hd_span unquoted(table *t, hd_span field, bool doubled)
{
    field = hd__span(field.ptr + 1, field.len - 2);
    char *copy = doubled ? hd__arena_strndup(t->arena, field.ptr, field.len) : NULL;
    if (!doubled || copy == NULL) {
        t->failed |= doubled;
        return field;
    }
    size_t n = 0;
    for (size_t i = 0; i < field.len; i++) {
        copy[n++] = field.ptr[i];
        i += field.ptr[i] == '"';
    }
    return hd__span(copy, n);
}

static bool ends_field(const table *t, size_t at)
{
    return at >= t->text.len || t->text.ptr[at] == t->separator || t->text.ptr[at] == '\n';
}

/* Reads the record at `at`; returns where the next one begins. */
static size_t read_record(table *t, size_t at)
{
    t->n_fields = 0;
    for (;; at++) {
        size_t end = at;
        bool doubled = false;
        bool quoted = at < t->text.len && t->text.ptr[at] == '"' && quoted_end(t, at, &end, &doubled) && ends_field(t, end);
        if (!quoted) {
            for (end = at; !ends_field(t, end);)
                end++;
        }
        hd_span field = hd__span(t->text.ptr + at, end - at);
        if (t->n_fields == HD_LIMIT_CSV_COLUMNS)
            t->too_many = true;
        else
            t->fields[t->n_fields++] = hd__ascii_trim(quoted ? unquoted(t, field, doubled) : field);
        at = end;
        if (at >= t->text.len || t->text.ptr[at] == '\n')
            return at + 1;
    }
}

/* How well a separator fits the first records: by the fields of the first, and far better when all have as many. */
static size_t fit(table *t)
{
    size_t n = 0, at = 0;
    bool agree = true;
    hd_span all = t->text;
    if (t->text.len > SNIFFED_BYTES)
        t->text.len = SNIFFED_BYTES;
    for (uint32_t i = 0; i < SNIFFED_RECORDS && at < t->text.len; i++) {
        at = read_record(t, at);
        bool blank = t->n_fields == 1 && t->fields[0].len == 0, cut = at >= t->text.len && at < all.len;
        agree &= i == 0 || t->n_fields == n || blank || cut;
        n = i == 0 ? t->n_fields : n;
    }
    t->text = all;
    t->too_many = t->unclosed = false;
    return n > 1 && agree ? n + HD_LIMIT_CSV_COLUMNS : n;
}

static void find_separator(table *t)
{
    static const char separators[] = ",;\t|";
    char best = separators[0];
    size_t most = 0;
    for (const char *s = separators; *s != '\0'; s++) {
        t->separator = *s;
        size_t n = fit(t);
        if (n > most) {
            most = n;
            best = *s;
        }
    }
    t->separator = best;
}

static bool is_number(hd_span field)
{
    for (size_t i = 0; i < field.len; i++) {
        if (strchr("0123456789+-.,eE% ", field.ptr[i]) == NULL)
            return false;
    }
    return field.len > 0;
}

static bool is_header(const table *t)
{
    if (t->n_fields < 2)
        return false;
    for (size_t i = 0; i < t->n_fields; i++) {
        if (t->fields[i].len == 0 || t->fields[i].len > 100 || is_number(t->fields[i]) ||
            memchr(t->fields[i].ptr, '\n', t->fields[i].len))
            return false;
        for (size_t j = 0; j < i && i < 256; j++) {
            if (hd__span_equal(t->fields[i], t->fields[j]))
                return false;
        }
    }
    return true;
}

static void write_record(const table *t, const hd_span *header, size_t n_header, hd_prose *prose, uint32_t line)
{
    hd__prose_begin(prose, HD_BLOCK_TABLE, 0, line);
    for (size_t i = 0; i < t->n_fields; i++) {
        if (header == NULL) {
            hd__prose_cell(prose);
            hd__prose_text(prose, t->fields[i]);
        } else if (t->fields[i].len > 0) {
            if (i < n_header) {
                hd__prose_text(prose, header[i]);
                hd__prose_text(prose, hd__span_of(": "));
            }
            hd__prose_text(prose, t->fields[i]);
            hd__prose_row(prose);
        }
    }
    hd__prose_end(prose);
}

static hd_status write_records(table *t, hd_prose *prose, hd_error *err)
{
    hd_line_counter lines = {t->text, 0, 1};
    hd_span *header = NULL;
    size_t at = read_record(t, 0), first = 0, n_header = t->n_fields;
    if (at < t->text.len && is_header(t)) {
        header = hd__arena_alloc(t->arena, n_header * sizeof *header);
        if (header == NULL)
            return hd__fail(err, HD_ERR_MEMORY, "no memory for the names of %zu columns", n_header);
        memcpy(header, t->fields, n_header * sizeof *header);
        first = at;
    }
    for (at = first; at < t->text.len && !prose->too_long;) {
        uint32_t line = hd__line_of(&lines, at);
        at = read_record(t, at);
        write_record(t, header, n_header, prose, line);
    }
    if (t->too_many)
        return hd__fail(err, HD_ERR_LIMIT, "a record has more than %u fields", HD_LIMIT_CSV_COLUMNS);
    return t->failed ? hd__fail(err, HD_ERR_MEMORY, "no memory for a record") : HD_OK;
}

hd_status hd__read_csv(hd_reader *reader, hd_error *err)
{
    table t = {.arena = reader->arena};
    hd_prose prose;
    hd_status status;
    HD_TRY(hd__encoding_decode(reader->bytes, NULL, reader->arena, &t.text, err));
    t.fields = hd__arena_alloc(reader->arena, HD_LIMIT_CSV_COLUMNS * sizeof *t.fields);
    if (t.fields == NULL)
        return hd__fail(err, HD_ERR_MEMORY, "no memory for the fields of a record");
    hd__prose_init(&prose, reader->arena);
    if (strcmp(reader->extract->mime, "text/tab-separated-values") == 0)
        t.separator = '\t';
    else
        find_separator(&t);
    HD_TRY_OUT(write_records(&t, &prose, err));
    HD_TRY_OUT(hd__prose_end_document(&prose, reader, err));
out:
    hd__prose_clear(&prose);
    return status;
}
