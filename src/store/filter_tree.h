/* filter_tree.h - a parsed filter: filter.c makes it of text, filter_sql.c makes SQL of it.
 */
#ifndef HD_STORE_FILTER_TREE_H
#define HD_STORE_FILTER_TREE_H

#include "store/filter.h"

typedef enum hd_field {
    HD_FIELD_ID,
    HD_FIELD_SOURCE,
    HD_FIELD_PATH,
    HD_FIELD_TITLE,
    HD_FIELD_URL,
    HD_FIELD_AUTHOR,
    HD_FIELD_MIME,
    HD_FIELD_SECTION, /* the one that chunks have, not documents */
    HD_FIELD_CREATED_AT,
    HD_FIELD_SIZE,
    HD_FIELD_METADATA,
} hd_field;

static inline bool hd__field_is_text(hd_field field)
{
    return field <= HD_FIELD_SECTION;
}

typedef enum hd_value_type {
    HD_VALUE_TEXT,
    HD_VALUE_INTEGER,
    HD_VALUE_REAL,
    HD_VALUE_TRUE,
    HD_VALUE_FALSE,
    HD_VALUE_NULL,
    HD_VALUE_TIME, /* of created_at: a day or a second */
} hd_value_type;

typedef struct hd_value {
    hd_value_type type;
    hd_span text; /* as it is spelled; of quoted text without quotes and escapes */
    double real;
    int64_t integer; /* INTEGER; TIME: its beginning in Unix seconds */
    int64_t end;     /* TIME: one past its last second */
} hd_value;

typedef enum hd_test_op {
    HD_TEST_EQ,
    HD_TEST_NE,
    HD_TEST_LT,
    HD_TEST_LE,
    HD_TEST_GT,
    HD_TEST_GE,
    HD_TEST_LIKE,
    HD_TEST_BEGINS,
    HD_TEST_IN,
    HD_TEST_EXISTS,
} hd_test_op;

typedef enum hd_filter_kind { HD_FILTER_OR, HD_FILTER_AND, HD_FILTER_NOT, HD_FILTER_TEST } hd_filter_kind;

typedef struct hd_filter_node {
    hd_filter_kind kind;
    const struct hd_filter_node *const *children; /* [n_children] of OR, AND: two and more; of NOT: one */
    size_t n_children;
    hd_field field;   /* of TEST, as all that follows */
    const char *path; /* METADATA: SQLite's path, $."a"."b" */
    hd_test_op op;
    const hd_value *values; /* [n_values] */
    size_t n_values;
} hd_filter_node;

struct hd_filter {
    hd_span text;
    const hd_filter_node *root;
    bool of_chunks; /* SECTION is in it */
};

/* A field by its name, as filters spell it; *path is on the arena. HD_ERR_ARG. */
HD_MUST_USE hd_status hd__field_parse(hd_span name, hd_arena *arena, hd_field *field, const char **path, hd_error *err);

#endif
