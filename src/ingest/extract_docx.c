/* extract_docx.c - Word's documents (ECMA-376 part 1, WordprocessingML): the text as it was last accepted, headings by their
 * styles, then the notes of its pages' feet.
 */
#include "ingest/office.h"

static hd_status write_document(hd_package *package, hd_prose *prose, hd_error *err)
{
    hd_office_relations relations;
    hd_office_styles styles = {.n = 0};
    HD_TRY(hd__office_relations_read(package, "", &relations, err));
    const char *document = hd__office_of_type(&relations, "/officeDocument");
    if (document == NULL)
        document = "word/document.xml";
    HD_TRY(hd__office_relations_read(package, document, &relations, err));
    const char *styles_part = hd__office_of_type(&relations, "/styles");
    if (styles_part == NULL)
        styles_part = "word/styles.xml";
    if (hd__package_has(package, styles_part))
        HD_TRY(hd__office_styles_read(package, styles_part, &styles, err));
    HD_TRY(hd__office_write(package, document, HD_OFFICE_DOCUMENT, &styles, prose, err));
    static const char *const kinds[] = {"/footnotes", "/endnotes"};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        const char *notes = hd__office_of_type(&relations, kinds[i]);
        if (notes != NULL && hd__package_has(package, notes))
            HD_TRY(hd__office_write(package, notes, HD_OFFICE_NOTES, &styles, prose, err));
    }
    return HD_OK;
}

hd_status hd__read_docx(hd_reader *reader, hd_error *err)
{
    hd_package package;
    hd_prose prose;
    hd_status status;
    HD_TRY(hd__package_open(reader->bytes, reader->arena, &package, err));
    hd__prose_init(&prose, reader->arena);
    HD_TRY_OUT(hd__office_properties(&package, reader, err));
    HD_TRY_OUT(write_document(&package, &prose, err));
    HD_TRY_OUT(hd__prose_end_document(&prose, reader, err));
    hd__reader_title(reader);
out:
    hd__prose_clear(&prose);
    hd__package_close(&package);
    return status;
}
