/* name_table.h - from a name to its place in an array: open addressing, filled once.
 *
 * Names are views; they must live as long as the table.
 */
#ifndef HD_MODEL_NAME_TABLE_H
#define HD_MODEL_NAME_TABLE_H

#include "base/arena.h"
#include "base/span.h"

typedef struct hd_name_slot {
    hd_span name; /* ptr NULL: free */
    uint32_t index;
} hd_name_slot;

typedef struct hd_name_table {
    hd_name_slot *slots; /* [n_slots] */
    size_t n_slots;      /* a power of two, at least twice the names */
} hd_name_table;

/* Room for n names, in the arena. HD_ERR_MEMORY. */
HD_MUST_USE hd_status hd__name_table_init(hd_name_table *table, size_t n, hd_arena *arena, hd_error *err);

/* False when the name is there already. */
bool hd__name_table_add(hd_name_table *table, hd_span name, uint32_t index);
bool hd__name_table_find(const hd_name_table *table, hd_span name, uint32_t *index);

#endif
