/* kind.c - see kind.h and hd__kind_of in extract.h.
 *
 * Bytes that cannot be anything else come first (PDF, zip, images, …), then the name, then the mime type. Text that begins
 * as HTML does is HTML under any name that does not say Markdown, code or records; text that nothing is known of is Markdown
 * when it has a heading of it.
 */
#include "ingest/kind.h"

#include <strings.h>

#include "ingest/block_list.h"
#include "ingest/encoding.h"

/* Suffixes and mime types are between spaces; the first mime type is the one that is given. */
typedef struct format {
    hd_kind kind;
    const char *suffixes, *mime, *mimes;
} format;

static const format formats[] = {
    {HD_KIND_MARKDOWN, " md markdown mdown mkd mdx mdwn ", "text/markdown", " text/x-markdown "},
    {HD_KIND_HTML, " html htm xhtml xht ", "text/html", " application/xhtml+xml "},
    {HD_KIND_TEXT, " rst rest ", "text/x-rst", " text/prs.fallenstein.rst "},
    {HD_KIND_TEXT, " adoc asciidoc asc ", "text/asciidoc", " text/x-asciidoc "},
    {HD_KIND_TEXT, " org ", "text/org", " text/x-org "},
    {HD_KIND_TEXT, " tex ltx latex ", "text/x-tex", " application/x-tex application/x-latex text/x-latex "},
    {HD_KIND_TEXT, " txt text log ", "text/plain", ""},
    {HD_KIND_CSV, " tsv tab ", "text/tab-separated-values", ""},
    {HD_KIND_CSV, " csv ", "text/csv", " application/csv "},
    {HD_KIND_JSONL, " jsonl ndjson jsonlines ", "application/jsonl",
     " application/x-ndjson application/x-jsonlines application/jsonlines application/ndjson "},
    {HD_KIND_JSON, " json geojson jsonld webmanifest ", "application/json", " text/json application/ld+json "},
    {HD_KIND_PDF, " pdf ", "application/pdf", " application/x-pdf "},
    {HD_KIND_DOCX, " docx docm dotx ", "application/vnd.openxmlformats-officedocument.wordprocessingml.document", ""},
    {HD_KIND_PPTX, " pptx pptm ppsx ", "application/vnd.openxmlformats-officedocument.presentationml.presentation", ""},
    {HD_KIND_EPUB, " epub ", "application/epub+zip", ""},
};
#define N_FORMATS (sizeof formats / sizeof *formats)

static const struct {
    const char *begins, *what;
} others[] = {
    {"\x89PNG\r\n", "an image"},
    {"\xFF\xD8\xFF", "an image"},
    {"GIF8", "an image"},
    {"RIFF", "sound, an image or a film"},
    {"OggS", "sound"},
    {"ID3", "sound"},
    {"\x7F"
     "ELF",
     "a program"},
    {"\x1F\x8B", "compressed (gzip)"},
    {"BZh", "compressed (bzip2)"},
    {"\xFD"
     "7zXZ",
     "compressed (xz)"},
    {"\x28\xB5\x2F\xFD", "compressed (zstd)"},
    {"7z\xBC\xAF", "an archive (7z)"},
    {"Rar!", "an archive (rar)"},
    {"SQLite format 3", "an SQLite database"},
    {"\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1", "a document of old Office (doc, xls, ppt), or one with a password"},
    {"{\\rtf", "Rich Text Format, which is not read"},
};

static hd_file_type type_of(const format *f)
{
    return (hd_file_type){.kind = f->kind, .mime = f->mime};
}

static const format *format_of(hd_kind kind)
{
    const format *f = formats;
    while (f->kind != kind)
        f++;
    return f;
}

static const format *format_by_suffix(hd_span name)
{
    const char *dot = memrchr(name.ptr, '.', name.len);
    hd_span suffix = dot != NULL ? hd__span(dot + 1, (size_t)(name.ptr + name.len - dot - 1)) : hd__span("", 0);
    for (size_t i = 0; i < N_FORMATS; i++) {
        if (hd__word_in(formats[i].suffixes, suffix, true))
            return &formats[i];
    }
    return NULL;
}

static const format *format_by_mime(const char *mime)
{
    hd_span type = hd__ascii_trim(hd__span(mime, strcspn(mime, ";"))); /* "text/html; charset=utf-8" */
    for (size_t i = 0; i < N_FORMATS; i++) {
        if ((type.len == strlen(formats[i].mime) && strncasecmp(type.ptr, formats[i].mime, type.len) == 0) ||
            hd__word_in(formats[i].mimes, type, true))
            return &formats[i];
    }
    return NULL;
}

static bool holds(hd_span bytes, const char *word)
{
    return memmem(bytes.ptr, bytes.len, word, strlen(word)) != NULL;
}

/* A zip by the names of its entries, which are not compressed: the first are at the beginning, all are at the end. What
 * they do not tell, the file's name does: `bytes` may be its beginning alone. */
static hd_file_type zip_type(hd_span bytes, const format *named)
{
    static const struct {
        const char *entry;
        hd_kind kind;
    } entries[] = {{"word/document", HD_KIND_DOCX},
                   {"word/_rels/", HD_KIND_DOCX},
                   {"ppt/presentation", HD_KIND_PPTX},
                   {"application/epub+zip", HD_KIND_EPUB},
                   {"META-INF/container.xml", HD_KIND_EPUB}};
    size_t part = bytes.len < 65536 ? bytes.len : 65536;
    hd_span head = hd__span(bytes.ptr, part), tail = hd__span(bytes.ptr + bytes.len - part, part);
    for (size_t i = 0; i < sizeof entries / sizeof *entries; i++) {
        if (holds(head, entries[i].entry) || holds(tail, entries[i].entry))
            return type_of(format_of(entries[i].kind));
    }
    if (holds(head, "xl/workbook") || holds(tail, "xl/workbook") || holds(head, "opendocument"))
        return (hd_file_type){.why = "a spreadsheet or an OpenDocument, which are not read"};
    if (named != NULL && named->kind >= HD_KIND_DOCX)
        return type_of(named);
    return (hd_file_type){.why = "a zip archive"};
}

/* Whether a text begins as HTML does, past white space, an XML declaration and comments. */
static bool begins_as_html(hd_span text)
{
    if (hd__span_begins(text, "\xEF\xBB\xBF"))
        text = hd__span(text.ptr + 3, text.len - 3);
    for (;;) {
        text = hd__ascii_trim(text);
        const char *close = hd__span_begins(text, "<?xml") ? "?>" : hd__span_begins(text, "<!--") ? "-->" : NULL;
        const char *end = close != NULL ? memmem(text.ptr, text.len, close, strlen(close)) : NULL;
        if (end == NULL)
            break;
        end += strlen(close);
        text = hd__span(end, (size_t)(text.ptr + text.len - end));
    }
    return (text.len >= 14 && strncasecmp(text.ptr, "<!doctype html", 14) == 0) ||
           (text.len >= 6 && strncasecmp(text.ptr, "<html", 5) == 0 && strchr(" \t\r\n>", text.ptr[5]) != NULL);
}

/* A line "# heading" at the beginning or after a blank line. */
static bool has_markdown_heading(hd_span text)
{
    bool after_blank = true;
    for (size_t at = 0; at < text.len;) {
        const char *newline = memchr(text.ptr + at, '\n', text.len - at);
        size_t end = newline != NULL ? (size_t)(newline - text.ptr) : text.len;
        hd_span line = hd__span(text.ptr + at, end - at);
        size_t hashes = 0;
        while (hashes < line.len && line.ptr[hashes] == '#')
            hashes++;
        if (after_blank && hashes >= 1 && hashes <= 6 && hashes < line.len && line.ptr[hashes] == ' ')
            return true;
        after_blank = hd__ascii_is_blank(line);
        at = end + 1;
    }
    return false;
}

/* "#!/usr/bin/env -S python3 -u": python3. */
static const hd_language *language_by_shebang(hd_span text)
{
    if (!hd__span_begins(text, "#!"))
        return NULL;
    size_t end = 2;
    while (end < text.len && text.ptr[end] != '\n')
        end++;
    const hd_language *language = NULL;
    for (size_t at = 2; at < end && language == NULL;) {
        size_t begin = at;
        while (at < end && strchr(" /\t\r", text.ptr[at]) == NULL)
            at++;
        hd_span word = hd__span(text.ptr + begin, at - begin);
        while (word.len > 1 && strchr("0123456789.", word.ptr[word.len - 1]) != NULL)
            word.len--; /* python3.11 */
        language = word.len > 0 ? hd__language_of_interpreter(word) : NULL;
        at++;
    }
    return language;
}

static hd_file_type text_type(hd_span head, hd_span name, const char *mime)
{
    const hd_language *language = name.len != 0 ? hd__language_of_name(name) : NULL;
    if (language != NULL)
        return (hd_file_type){.kind = HD_KIND_CODE, .language = language};
    const format *f = name.len != 0 ? format_by_suffix(name) : NULL;
    if (f == NULL && mime != NULL)
        f = format_by_mime(mime);
    bool told = f != NULL && f->kind < HD_KIND_PDF && strcmp(f->mime, "text/plain") != 0;
    if (told) /* by a name that is no PDF's or DOCX's, which this text is not */
        return type_of(f);
    if (begins_as_html(head))
        return type_of(format_of(HD_KIND_HTML));
    language = language_by_shebang(head);
    if (language != NULL)
        return (hd_file_type){.kind = HD_KIND_CODE, .language = language};
    if (f == NULL && memrchr(name.ptr, '.', name.len) == NULL && has_markdown_heading(head))
        return type_of(format_of(HD_KIND_MARKDOWN));
    return (hd_file_type){.kind = HD_KIND_TEXT, .mime = "text/plain"};
}

static hd_file_type type_by_bytes(hd_span bytes, hd_span file, const format *named, const char *mime)
{
    hd_span head = hd__span(bytes.ptr, bytes.len < 65536 ? bytes.len : 65536);
    hd_span first = hd__span(bytes.ptr, bytes.len < 1024 ? bytes.len : 1024);
    if (hd__span_begins(bytes, "%PDF-") || (named != NULL && named->kind == HD_KIND_PDF && holds(first, "%PDF-")))
        return type_of(format_of(HD_KIND_PDF)); /* readers allow for other bytes in front */
    if (hd__span_begins(bytes, "PK\3\4"))
        return zip_type(bytes, named);
    hd_encoding encoding = bytes.len != 0 ? hd__encoding_of(head) : HD_ENCODING_UTF8;
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        if (hd__span_begins(bytes, others[i].begins) && (encoding != HD_ENCODING_UTF8 || others[i].begins[0] == '{'))
            return (hd_file_type){.why = others[i].what};
    }
    const bool is_lines = named != NULL && named->kind == HD_KIND_JSONL && hd__span_begins(bytes, "{");
    if (encoding == HD_ENCODING_BINARY && !is_lines) /* a line that is no text is left out, the others are read */
        return (hd_file_type){.kind = HD_KIND_UNKNOWN};
    return text_type(head, file, mime);
}

hd_file_type hd__file_type_of(hd_span bytes, const char *name, const char *mime)
{
    hd_span file = name != NULL ? hd__span_of(name) : hd__span("", 0);
    const char *slash = file.len != 0 ? memrchr(file.ptr, '/', file.len) : NULL;
    if (slash != NULL)
        file = hd__span_of(slash + 1);
    const format *named = file.len != 0 ? format_by_suffix(file) : mime != NULL ? format_by_mime(mime) : NULL;
    hd_file_type type = type_by_bytes(bytes, file, named, mime);
    type.is_lie = type.kind == HD_KIND_UNKNOWN && (named != NULL || (file.len != 0 && hd__language_of_name(file) != NULL));
    return type;
}

hd_kind hd__kind_of(hd_span bytes, const char *name, const char *mime)
{
    return hd__file_type_of(bytes, name, mime).kind;
}
