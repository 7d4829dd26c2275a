/* kind.h - what a file is: its kind, its mime type, the language of code.
 */
#ifndef HD_INGEST_KIND_H
#define HD_INGEST_KIND_H

#include "ingest/extract.h"
#include "ingest/language.h"

typedef struct hd_file_type {
    hd_kind kind;
    const char *mime;            /* NULL: made of the language */
    const hd_language *language; /* of HD_KIND_CODE; NULL else */
    const char *why;             /* of HD_KIND_UNKNOWN: what it is instead, "an image"; NULL: not known */
    bool is_lie;                 /* of HD_KIND_UNKNOWN: the name or the mime type says that it could be read */
} hd_file_type;

/* As hd__kind_of. */
hd_file_type hd__file_type_of(hd_span bytes, const char *name, const char *mime);

#endif
