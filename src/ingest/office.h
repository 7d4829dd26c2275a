/* office.h - what Word's and PowerPoint's files have in common (ECMA-376, Office Open XML): relations between parts,
 * properties, and text in paragraphs, runs and tables, whose elements have the same local names in both.
 */
#ifndef HD_INGEST_OFFICE_H
#define HD_INGEST_OFFICE_H

#include "ingest/package.h"
#include "ingest/prose.h"

/* A style of paragraphs. */
typedef struct hd_office_style {
    const char *id, *based_on; /* based_on: NULL for none */
    uint32_t level;            /* of a heading; 0: none */
    bool is_item;
    size_t place; /* among all, as they were written */
} hd_office_style;

typedef struct hd_office_styles {
    hd_office_style *items; /* [n] by id */
    size_t n, capacity;
} hd_office_styles;

/* Another part that a part names; parts outside of the file are left out. */
typedef struct hd_office_relation {
    const char *id, *type, *target;
    size_t place; /* among all, as they were written */
} hd_office_relation;

typedef struct hd_office_relations {
    hd_office_relation *items; /* [n] by id */
    size_t n, capacity;
} hd_office_relations;

/* The relations of a part, on the package's arena; none when it has no list of them. */
HD_MUST_USE hd_status hd__office_relations_read(hd_package *package, const char *part, hd_office_relations *relations,
                                                hd_error *err);

/* The part of the first relation whose type ends so, or of the one with this id; NULL when there is none. */
const char *hd__office_of_type(const hd_office_relations *relations, const char *type);
const char *hd__office_of_id(const hd_office_relations *relations, const char *id);

/* Title, author, dates and keywords of docProps/core.xml, to the extract. */
HD_MUST_USE hd_status hd__office_properties(hd_package *package, hd_reader *reader, hd_error *err);

HD_MUST_USE hd_status hd__office_styles_read(hd_package *package, const char *part, hd_office_styles *styles, hd_error *err);

typedef enum hd_office_kind {
    HD_OFFICE_DOCUMENT,
    HD_OFFICE_NOTES, /* of the foot of pages, each with the number that refers to it */
    HD_OFFICE_SLIDE, /* its title is a heading, the rest are items */
    HD_OFFICE_SPEECH /* what is said to a slide */
} hd_office_kind;

/* Appends the text of a part to the prose. */
HD_MUST_USE hd_status hd__office_write(hd_package *package, const char *part, hd_office_kind kind,
                                       const hd_office_styles *styles, hd_prose *prose, hd_error *err);

#endif
