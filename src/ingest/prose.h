/* prose.h - the text of a document that is put together from pieces (HTML, PDF, Office): a writer of blocks.
 *
 * Blocks are separated by a blank line, items of a list by a line's end. White space inside is one space, as browsers show
 * it, but in HD_BLOCK_CODE. Blocks that turn out blank leave nothing. Errors are sticky and told by hd__prose_end_document.
 */
#ifndef HD_INGEST_PROSE_H
#define HD_INGEST_PROSE_H

#include "ingest/reader.h"

typedef struct hd_prose {
    hd_buffer text;
    hd_block_list blocks;
    hd_block block; /* open; begin UINT32_MAX: nothing written yet */
    bool open, space;
    bool row, cell; /* in a table: something was written in this row; a cell begins */
    char prefix[16];
    size_t prefix_at; /* end of what is not the document's own: "- " */
    size_t row_at;    /* where the row of a table begins */
    uint32_t page;    /* of blocks that begin from now on */
    uint32_t line;    /* of paragraphs that text opens */
    bool too_long;
} hd_prose;

void hd__prose_init(hd_prose *prose, hd_arena *arena);
void hd__prose_clear(hd_prose *prose);

/* Ends the open block and opens another. */
void hd__prose_begin(hd_prose *prose, hd_block_kind kind, uint32_t level, uint32_t line);

/* Before the next text of this block: "- ", "12. ". */
void hd__prose_prefix(hd_prose *prose, const char *prefix);

/* Opens a paragraph when no block is open. */
void hd__prose_text(hd_prose *prose, hd_span text);
void hd__prose_space(hd_prose *prose);
void hd__prose_break(hd_prose *prose); /* a line's end */
void hd__prose_row(hd_prose *prose);   /* of a table: a line */
void hd__prose_cell(hd_prose *prose);  /* "a | b" */
void hd__prose_end(hd_prose *prose);

/* Leaves out the blocks whose index `keep` refuses. */
void hd__prose_filter(hd_prose *prose, bool (*keep)(const hd_block *block));

/* Text and blocks to the extract. HD_ERR_LIMIT over HD_LIMIT_DOCUMENT_BYTES, HD_ERR_MEMORY. */
HD_MUST_USE hd_status hd__prose_end_document(hd_prose *prose, hd_reader *reader, hd_error *err);

#endif
