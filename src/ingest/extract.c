/* extract.c - see extract.h: a file to the reader of its kind. */
#include "ingest/extract.h"

#include "base/limits.h"
#include "ingest/reader.h"

static hd_reader_fn *const readers[HD_KIND_EPUB + 1] = {
    [HD_KIND_TEXT] = hd__read_text, [HD_KIND_MARKDOWN] = hd__read_markdown, [HD_KIND_HTML] = hd__read_html,
    [HD_KIND_CODE] = hd__read_code, [HD_KIND_CSV] = hd__read_csv,           [HD_KIND_JSON] = hd__read_json,
    [HD_KIND_PDF] = hd__read_pdf,   [HD_KIND_DOCX] = hd__read_docx,         [HD_KIND_PPTX] = hd__read_pptx,
    [HD_KIND_EPUB] = hd__read_epub,
};

/* A name of at most HD_LIMIT_HEADING_BYTES, cut between characters. False when there is no memory. */
static bool cut(hd_arena *arena, const char **name)
{
    size_t len = *name != NULL ? strlen(*name) : 0;
    if (len <= HD_LIMIT_HEADING_BYTES)
        return true;
    for (len = HD_LIMIT_HEADING_BYTES; len > 0 && ((unsigned char)(*name)[len] & 0xC0) == 0x80;)
        len--;
    const char *shorter = hd__arena_strndup(arena, *name, len);
    if (shorter != NULL)
        *name = shorter;
    return shorter != NULL;
}

hd_status hd__reader_end(hd_reader *reader, const hd_block_list *blocks, hd_error *err)
{
    bool failed =
        blocks->failed || !cut(reader->arena, &reader->extract->title) || !cut(reader->arena, &reader->extract->author);
    for (size_t i = 0; i < blocks->n && !failed; i++)
        failed = !cut(reader->arena, &blocks->items[i].name);
    if (failed)
        return hd__fail(err, HD_ERR_MEMORY, "no memory for the text's blocks");
    reader->extract->blocks = blocks->items;
    reader->extract->n_blocks = blocks->n;
    return HD_OK;
}

void hd__reader_title(hd_reader *reader)
{
    hd_extract *extract = reader->extract;
    for (size_t i = 0; i < extract->n_blocks && extract->title[0] == '\0'; i++)
        if (extract->blocks[i].kind == HD_BLOCK_HEADING && extract->blocks[i].level == 1)
            extract->title = extract->blocks[i].name;
}

static hd_status refuse(hd_span bytes, const hd_file_type *type, hd_error *err)
{
    const hd_status status = type->is_lie ? HD_ERR_FORMAT : HD_ERR_UNSUPPORTED;
    if (type->why != NULL)
        return hd__fail(err, status, "%s: no text is got from it", type->why);
    const char *zero = memchr(bytes.ptr, '\0', bytes.len);
    if (zero != NULL)
        return hd__fail(err, status, "binary, not text: byte %zu is zero", (size_t)(zero - bytes.ptr));
    return hd__fail(err, status, "binary, not text: more than one byte in fifty is a control character");
}

static hd_status read_all_lines(hd_reader *reader, hd_extract_fn *document, void *data, hd_error *err)
{
    hd_lines lines = {0};
    const hd_status status = hd__read_jsonl(reader, &lines, document, data, err);
    const hd_status told = hd__lines_end(&lines, status == HD_OK ? err : NULL);
    return status != HD_OK ? status : told;
}

hd_status hd__extract(hd_span bytes, const char *name, const char *mime, hd_arena *arena, hd_extract_fn *document,
                      void *data, hd_error *err)
{
    hd_file_type type = hd__file_type_of(bytes, name, mime);
    if (type.kind == HD_KIND_UNKNOWN)
        return refuse(bytes, &type, err);
    if (type.kind != HD_KIND_JSONL && bytes.len > HD_LIMIT_DOCUMENT_BYTES)
        return hd__fail(err, HD_ERR_LIMIT, "%zu bytes, at most %u are read of one document", bytes.len,
                        HD_LIMIT_DOCUMENT_BYTES);
    hd_extract extract = {.kind = type.kind, .mime = type.mime, .language = "", .title = "", .author = "", .text = {"", 0}};
    hd_reader reader = {.bytes = bytes, .type = type, .arena = arena, .extract = &extract};
    if (type.language != NULL) {
        extract.language = type.language->name;
        extract.mime = hd__arena_printf(arena, "text/x-%s", type.language->name);
        if (extract.mime == NULL)
            return hd__fail(err, HD_ERR_MEMORY, "no memory for a mime type");
    }
    if (type.kind == HD_KIND_JSONL)
        return read_all_lines(&reader, document, data, err);
    HD_TRY(readers[type.kind](&reader, err));
    return document(&extract, data, err);
}

hd_status hd__extract_lines(hd_span bytes, hd_lines *lines, hd_extract_fn *document, void *data, hd_error *err)
{
    hd_arena arena;
    hd_file_type type = hd__file_type_of(hd__span("", 0), NULL, "application/jsonl");
    hd_extract extract = {.kind = type.kind, .mime = type.mime, .language = "", .title = "", .author = "", .text = {"", 0}};
    hd__arena_init(&arena);
    hd_reader reader = {.bytes = bytes, .type = type, .arena = &arena, .extract = &extract};
    hd_status status = hd__read_jsonl(&reader, lines, document, data, err);
    hd__arena_clear(&arena);
    return status;
}
