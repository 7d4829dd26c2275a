/* extract_html.c - a page of the web: its main part where it says which that is, else all but what is for getting around.
 */
#include "base/limits.h"
#include "ingest/encoding.h"
#include "ingest/html.h"

#define MAIN_BYTES 200u /* a main part with less is taken for a mistake */

static bool keep_main(const hd_block *block)
{
    return block->page == HD_HTML_MAIN;
}

static void keep_the_main_part(hd_prose *prose)
{
    size_t n_main = 0, n_other = 0;
    for (size_t i = 0; i < prose->blocks.n; i++) {
        const hd_block *block = &prose->blocks.items[i];
        *(block->page == HD_HTML_MAIN ? &n_main : &n_other) += block->end - block->begin;
    }
    if (n_main >= MAIN_BYTES || (n_main > 0 && n_main >= n_other))
        hd__prose_filter(prose, keep_main);
    for (size_t i = 0; i < prose->blocks.n; i++)
        prose->blocks.items[i].page = 0;
}

hd_status hd__read_html(hd_reader *reader, hd_error *err)
{
    char encoding[HD_LIMIT_ENCODING_NAME_BYTES + 1];
    hd_extract *extract = reader->extract;
    hd_prose prose;
    hd_span text;
    hd_status status;
    hd__html_encoding(reader->bytes, encoding, sizeof encoding);
    HD_TRY(hd__encoding_decode(reader->bytes, encoding[0] != '\0' ? encoding : NULL, reader->arena, &text, err));
    hd__prose_init(&prose, reader->arena);
    json_t *head = json_object();
    if (head == NULL) {
        status = hd__fail(err, HD_ERR_MEMORY, "no memory for a page's metadata");
        goto out;
    }
    HD_TRY_OUT(hd__html_write(text, &prose, head, true, err));
    keep_the_main_part(&prose);
    const json_t *url = json_object_get(head, "url");
    if (json_is_string(url) && strncmp(json_string_value(url), "http", 4) == 0)
        extract->url = hd__metadata_text(url, reader->arena);
    HD_TRY_OUT(hd__metadata_take(reader, head, err));
    HD_TRY_OUT(hd__prose_end_document(&prose, reader, err));
    hd__reader_title(reader);
out:
    json_decref(head);
    hd__prose_clear(&prose);
    return status;
}
