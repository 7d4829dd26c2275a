/* extract_pdf.c - PDF through pdftotext (poppler-utils), a child process with limits.
 *
 * pdftotext -htmlmeta writes the document's properties as HTML, then the text between <pre> and </pre> as it is: lines as
 * they stand on the page, words broken at their ends already joined, paragraphs mostly apart by blank lines, a form feed
 * after each page. Lines of a paragraph are joined by spaces; a line that is much shorter than the longest above ends where
 * it ends, as headings, addresses and the last lines of paragraphs do. Headings are not guessed: nothing in the output tells
 * them safely.
 */
#include "base/limits.h"
#include "ingest/child.h"
#include "ingest/encoding.h"
#include "ingest/prose.h"

static hd_span next_line(hd_span text, size_t *at)
{
    const char *begin = text.ptr + *at, *newline = memchr(begin, '\n', text.len - *at);
    size_t len = newline != NULL ? (size_t)(newline - begin) : text.len - *at;
    *at += len + 1;
    return hd__ascii_trim(hd__span(begin, len));
}

static void write_paragraph(hd_prose *prose, hd_span paragraph)
{
    size_t longest = 0;
    for (size_t at = 0; at < paragraph.len;) {
        hd_span line = next_line(paragraph, &at);
        longest = line.len > longest ? line.len : longest;
    }
    for (size_t at = 0; at < paragraph.len;) {
        hd_span line = next_line(paragraph, &at);
        hd__prose_text(prose, line);
        if (line.len * 3 < longest * 2)
            hd__prose_break(prose);
        else
            hd__prose_space(prose);
    }
    hd__prose_end(prose);
}

static void write_page(hd_prose *prose, hd_span page)
{
    size_t begin = 0;
    for (size_t at = 0; at < page.len;) {
        size_t line = at;
        if (next_line(page, &at).len == 0) {
            write_paragraph(prose, hd__span(page.ptr + begin, line - begin));
            begin = at;
        }
    }
    if (begin < page.len)
        write_paragraph(prose, hd__span(page.ptr + begin, page.len - begin));
}

static hd_status write_pages(hd_prose *prose, hd_span text, hd_error *err)
{
    prose->page = 1;
    for (size_t at = 0; at < text.len; prose->page++) {
        const char *feed = memchr(text.ptr + at, '\f', text.len - at);
        size_t end = feed != NULL ? (size_t)(feed - text.ptr) : text.len;
        write_page(prose, hd__span(text.ptr + at, end - at));
        at = end + 1;
    }
    if (prose->blocks.n == 0 && !prose->blocks.failed && !prose->text.failed && !prose->too_long)
        return hd__fail(err, HD_ERR_UNSUPPORTED,
                        "its %u page%s hold%s no text, as scans do: it would have to be recognised first", prose->page - 1,
                        prose->page == 2 ? "" : "s", prose->page == 2 ? "s" : "");
    return HD_OK;
}

/* The value of <meta name="…" content="…"/> or <title>…</title>, on its line, without HTML's entities. */
static hd_status take_property(json_t *info, const char *key, hd_span html, const char *open, const char *close,
                               hd_error *err)
{
    const char *begin = memmem(html.ptr, html.len, open, strlen(open));
    if (begin == NULL)
        return HD_OK;
    begin += strlen(open);
    const char *end = memmem(begin, (size_t)(html.ptr + html.len - begin), close, strlen(close));
    hd_buffer value;
    hd__buffer_init(&value);
    for (const char *at = begin; end != NULL && at < end;) {
        static const char *const entities[] = {"&amp;", "&lt;", "&gt;", "&quot;", "&apos;", "&#39;"};
        static const char plain[] = "&<>\"''";
        size_t i = 0;
        while (i < sizeof entities / sizeof *entities && !hd__span_begins(hd__span(at, (size_t)(end - at)), entities[i]))
            i++;
        bool entity = i < sizeof entities / sizeof *entities;
        hd__buffer_append_char(&value, entity ? plain[i] : *at);
        at += entity ? strlen(entities[i]) : 1;
    }
    hd_span text = hd__ascii_trim(hd__buffer_span(&value));
    int failed = value.failed;
    if (!failed && text.len > 0) {
        json_t *string = json_stringn(text.ptr, text.len); /* NULL too for what is not UTF-8: it is left out */
        failed = string != NULL && json_object_set_new(info, key, string) != 0;
    }
    hd__buffer_clear(&value);
    return failed ? hd__fail(err, HD_ERR_MEMORY, "no memory for a PDF's properties") : HD_OK;
}

static hd_status take_properties(hd_reader *reader, hd_span html, hd_error *err)
{
    hd_status status;
    json_t *info = json_object();
    if (info == NULL)
        return hd__fail(err, HD_ERR_MEMORY, "no memory for a PDF's properties");
    HD_TRY_OUT(take_property(info, "title", html, "<title>", "</title>", err));
    HD_TRY_OUT(take_property(info, "author", html, "<meta name=\"Author\" content=\"", "\"/>", err));
    HD_TRY_OUT(take_property(info, "keywords", html, "<meta name=\"Keywords\" content=\"", "\"/>", err));
    HD_TRY_OUT(take_property(info, "subject", html, "<meta name=\"Subject\" content=\"", "\"/>", err));
    HD_TRY_OUT(take_property(info, "date", html, "<meta name=\"CreationDate\" content=\"", "\"/>", err));
    HD_TRY_OUT(hd__metadata_take(reader, info, err));
out:
    json_decref(info);
    return status;
}

/* What went wrong, by how pdftotext ended and the last line it said. */
static hd_status explain(hd_child_end end, int code, hd_span said, hd_error *err)
{
    if (end == HD_CHILD_TOO_SLOW)
        return hd__fail(err, HD_ERR_LIMIT, "pdftotext took more than %u s", HD_LIMIT_PDF_SECONDS);
    if (end == HD_CHILD_TOO_LONG)
        return hd__fail(err, HD_ERR_LIMIT, "more than %u bytes of text", HD_LIMIT_DOCUMENT_BYTES);
    if (end == HD_CHILD_KILLED)
        return hd__fail(err, HD_ERR_FORMAT, "pdftotext ended by signal %d", code);
    if (said.len > 0 && memmem(said.ptr, said.len, "Incorrect password", 18) != NULL)
        return hd__fail(err, HD_ERR_UNSUPPORTED, "the PDF has a password");
    if (code == 3)
        return hd__fail(err, HD_ERR_UNSUPPORTED, "the PDF does not allow its text to be copied");
    said = said.len > 0 ? hd__ascii_trim(said) : hd__span("", 0);
    const char *newline = said.len > 0 ? memrchr(said.ptr, '\n', said.len) : NULL;
    if (newline != NULL)
        said = hd__span(newline + 1, (size_t)(said.ptr + said.len - newline - 1));
    return hd__fail(err, HD_ERR_FORMAT, "the PDF is damaged: %.*s", said.len < 200 ? (int)said.len : 200, said.ptr);
}

hd_status hd__read_pdf(hd_reader *reader, hd_error *err)
{
    static const char *const arguments[] = {"pdftotext", "-htmlmeta", "-enc", "UTF-8", "-", "-", NULL};
    static const char begins[] = "<pre>\n", ends[] = "</pre>";
    const hd_child child = {.program = "pdftotext",
                            .arguments = arguments,
                            .input = reader->bytes,
                            .seconds = HD_LIMIT_PDF_SECONDS,
                            .memory_bytes = HD_LIMIT_PDF_MEMORY_BYTES,
                            .most_output = HD_LIMIT_DOCUMENT_BYTES};
    hd_buffer output, messages;
    hd_prose prose;
    hd_child_end end;
    hd_status status;
    int code;
    hd__buffer_init(&output);
    hd__buffer_init(&messages);
    hd__prose_init(&prose, reader->arena);
    HD_TRY_OUT(hd__child_run(&child, &output, &messages, &end, &code, err));
    const char *text = output.len > 0 ? memmem(output.ptr, output.len, begins, strlen(begins)) : NULL;
    if (end != HD_CHILD_EXITED || code != 0 || text == NULL) {
        status = explain(end, code, hd__buffer_span(&messages), err);
        goto out;
    }
    hd_span html = hd__span(output.ptr, (size_t)(text - output.ptr));
    text += strlen(begins);
    size_t len = (size_t)(output.ptr + output.len - text);
    for (size_t i = len; i >= strlen(ends); i--) { /* the last one: the text may say </pre> too */
        if (memcmp(text + i - strlen(ends), ends, strlen(ends)) == 0) {
            len = i - strlen(ends);
            break;
        }
    }
    hd_span pages;
    HD_TRY_OUT(hd__encoding_decode(hd__span(text, len), NULL, reader->arena, &pages, err));
    HD_TRY_OUT(take_properties(reader, html, err));
    HD_TRY_OUT(write_pages(&prose, pages, err));
    HD_TRY_OUT(hd__prose_end_document(&prose, reader, err));
out:
    hd__prose_clear(&prose);
    hd__buffer_clear(&messages);
    hd__buffer_clear(&output);
    return status;
}
