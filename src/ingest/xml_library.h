/* xml_library.h - libxml2, opened when it is first needed.
 *
 * libxml2 brings ICU with it, thirty megabytes to map and two milliseconds at the start of a process, which one that never
 * reads HTML or Office files should not spend. Functions are called through this table; structures are those of the headers
 * that Heddle was built with, whose ABI (soname 2) is stable.
 */
#ifndef HD_INGEST_XML_LIBRARY_H
#define HD_INGEST_XML_LIBRARY_H

#include <libxml/HTMLparser.h>
#include <libxml/parser.h>

#include "base/status.h"

typedef struct hd_xml_library {
    void (*init_parser)(void);
    htmlParserCtxtPtr (*html_new_parser_ctxt)(void);
    htmlDocPtr (*html_ctxt_read_memory)(htmlParserCtxtPtr ctxt, const char *buffer, int size, const char *url,
                                        const char *encoding, int options);
    void (*html_free_parser_ctxt)(htmlParserCtxtPtr ctxt);
    xmlParserCtxtPtr (*new_parser_ctxt)(void);
    xmlDocPtr (*ctxt_read_memory)(xmlParserCtxtPtr ctxt, const char *buffer, int size, const char *url, const char *encoding,
                                  int options);
    void (*free_parser_ctxt)(xmlParserCtxtPtr ctxt);
    void (*free_doc)(xmlDocPtr doc);
    void (*stop_parser)(xmlParserCtxtPtr ctxt);
    xmlErrorPtr (*ctxt_get_last_error)(void *ctxt);
    int (*line_number)(void *ctxt);
} hd_xml_library;

/* The table, the same for every caller and never closed. HD_ERR_UNSUPPORTED when there is no libxml2. */
HD_MUST_USE hd_status hd__xml_library_open(const hd_xml_library **library, hd_error *err);

#endif
