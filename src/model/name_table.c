/* name_table.c - see name_table.h. */
#include "model/name_table.h"

#include "base/alloc.h"
#include "base/hash.h"

hd_status hd__name_table_init(hd_name_table *table, size_t n, hd_arena *arena, hd_error *err)
{
    size_t n_slots = 4;
    while (n_slots / 2 < n)
        n_slots *= 2;
    table->slots = hd__arena_calloc(arena, n_slots, sizeof *table->slots);
    table->n_slots = n_slots;
    if (table->slots == NULL)
        return hd__fail(err, HD_ERR_MEMORY, "no memory for a table of %zu names", n);
    return HD_OK;
}

/* The slot that holds the name, or the free one where it belongs: there is always one. */
static hd_name_slot *slot_of(const hd_name_table *table, hd_span name)
{
    size_t at = (size_t)hd__hash64(name, 0) & (table->n_slots - 1);
    while (table->slots[at].name.ptr != NULL && !hd__span_equal(table->slots[at].name, name))
        at = (at + 1) & (table->n_slots - 1);
    return &table->slots[at];
}

bool hd__name_table_add(hd_name_table *table, hd_span name, uint32_t index)
{
    hd_name_slot *slot = slot_of(table, name);
    if (slot->name.ptr != NULL)
        return false;
    *slot = (hd_name_slot){name, index};
    return true;
}

bool hd__name_table_find(const hd_name_table *table, hd_span name, uint32_t *index)
{
    const hd_name_slot *slot = slot_of(table, name);
    if (slot->name.ptr == NULL)
        return false;
    *index = slot->index;
    return true;
}
