/* html.h - HTML into prose: for pages of the web and for chapters of EPUB.
 */
#ifndef HD_INGEST_HTML_H
#define HD_INGEST_HTML_H

#include "ingest/prose.h"

/* Appends what a reader of the page would read to `prose`. `head`: NULL, or an object that receives what the page says about
 * itself: title, author, date, description, keywords, lang, url. With `zones`, the blocks' `page` is the hd_html_zone that
 * they stand in, for hd__prose_filter. Status as hd__html_parse. */
HD_MUST_USE hd_status hd__html_write(hd_span text, hd_prose *prose, json_t *head, bool zones, hd_error *err);

typedef enum hd_html_zone {
    HD_HTML_PLAIN,
    HD_HTML_MAIN,  /* in <main>, <article> */
    HD_HTML_ASIDE, /* in <header>, <footer>, <aside> that are not of an article */
} hd_html_zone;

/* The encoding that a page names (<meta charset>, <?xml encoding?>), to `name`; "" for none. */
void hd__html_encoding(hd_span bytes, char *name, size_t size);

#endif
