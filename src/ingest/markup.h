/* markup.h - HTML and XML as events: an element begins, text, an element ends. By libxml2's parsers, without trees.
 *
 * Nothing is fetched and no entity is expanded but those of the languages themselves: XML that declares one is refused.
 * Names come without their namespace's prefix: which elements mean what is told by the part of the format they stand in.
 */
#ifndef HD_INGEST_MARKUP_H
#define HD_INGEST_MARKUP_H

#include "base/span.h"
#include "base/status.h"

typedef struct hd_markup_handler {
    /* attributes: name, value, name, value, …, NULL; or NULL. The names have their prefixes. A value may be NULL (HTML). */
    void (*begin)(void *data, const char *name, const char *const *attributes, uint32_t line);
    void (*end)(void *data, const char *name);
    void (*text)(void *data, hd_span text);
} hd_markup_handler;

/* HTML as it is found in the wild: never HD_ERR_FORMAT. `text` is UTF-8. HD_ERR_LIMIT for HD_LIMIT_HTML_BYTES, elements
 * nested deeper than HD_LIMIT_HTML_DEPTH and those with more than HD_LIMIT_ATTRIBUTES, HD_ERR_MEMORY, HD_ERR_UNSUPPORTED
 * without libxml2. */
HD_MUST_USE hd_status hd__html_parse(hd_span text, const hd_markup_handler *handler, void *data, hd_error *err);

/* XML, which must be well-formed. `part` is for messages. */
HD_MUST_USE hd_status hd__xml_parse(hd_span bytes, const char *part, const hd_markup_handler *handler, void *data,
                                    hd_error *err);

/* The value of an attribute, whatever its prefix; NULL for none. */
const char *hd__attribute(const char *const *attributes, const char *name);

#endif
