/* xml_library.c - see xml_library.h. */
#include "ingest/xml_library.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stddef.h>
#include <string.h>

static const struct {
    const char *name;
    size_t offset; /* of the pointer in the table */
} symbols[] = {
    {"xmlInitParser", offsetof(hd_xml_library, init_parser)},
    {"htmlNewParserCtxt", offsetof(hd_xml_library, html_new_parser_ctxt)},
    {"htmlCtxtReadMemory", offsetof(hd_xml_library, html_ctxt_read_memory)},
    {"htmlFreeParserCtxt", offsetof(hd_xml_library, html_free_parser_ctxt)},
    {"xmlNewParserCtxt", offsetof(hd_xml_library, new_parser_ctxt)},
    {"xmlCtxtReadMemory", offsetof(hd_xml_library, ctxt_read_memory)},
    {"xmlFreeParserCtxt", offsetof(hd_xml_library, free_parser_ctxt)},
    {"xmlFreeDoc", offsetof(hd_xml_library, free_doc)},
    {"xmlStopParser", offsetof(hd_xml_library, stop_parser)},
    {"xmlCtxtGetLastError", offsetof(hd_xml_library, ctxt_get_last_error)},
    {"xmlSAX2GetLineNumber", offsetof(hd_xml_library, line_number)},
};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static hd_xml_library table; /* written once, under `once` */
static hd_status table_status;
static hd_error table_error;

static void open_library(void)
{
    void *handle = dlopen("libxml2.so.2", RTLD_NOW | RTLD_LOCAL);
    if (handle == NULL) {
        table_status = hd__fail(&table_error, HD_ERR_UNSUPPORTED,
                                "HTML and Office files are read with libxml2, which is not installed (%s)", dlerror());
        return;
    }
    for (size_t i = 0; i < sizeof symbols / sizeof *symbols; i++) {
        void *symbol = dlsym(handle, symbols[i].name);
        if (symbol == NULL) {
            table_status = hd__fail(&table_error, HD_ERR_UNSUPPORTED, "the libxml2 found here has no %s", symbols[i].name);
            return;
        }
        memcpy((char *)&table + symbols[i].offset, &symbol, sizeof symbol); /* ISO C has no cast from data to function */
    }
    table.init_parser();
}

hd_status hd__xml_library_open(const hd_xml_library **library, hd_error *err)
{
    pthread_once(&once, open_library);
    if (table_status != HD_OK)
        return hd__fail(err, table_status, "%s", table_error.text);
    *library = &table;
    return HD_OK;
}
