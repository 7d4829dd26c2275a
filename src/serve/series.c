/* series.c - see series.h.
 *
 * The table is open addressing over atomic pointers: a series is made aside, put into its slot by one compare-and-swap,
 * and never moves or goes away before the table does. Two threads that make the same one at once meet in the same slot,
 * because no slot is ever emptied; the one that comes second frees its own.
 */
#include "serve/series.h"

#include <assert.h>
#include <stdio.h>

#include "base/alloc.h"
#include "base/hash.h"

void hd__buckets_init(hd_buckets *buckets)
{
    for (size_t i = 0; i < buckets->n; i++)
        snprintf(buckets->texts[i], sizeof buckets->texts[i], "%.9g", (double)buckets->bounds[i] * buckets->unit);
}

void hd__histogram_add(hd_histogram *histogram, const hd_buckets *buckets, uint64_t value, uint64_t n)
{
    size_t i = 0;
    for (size_t left = buckets->n; left > 0;) { /* the first bound that is not below value */
        const size_t half = left / 2;
        const bool above = value > buckets->bounds[i + half];
        i = above ? i + half + 1 : i;
        left = above ? left - half - 1 : half;
    }
    hd__counter_add(&histogram->counts[i], n);
    hd__counter_add(&histogram->sum, value * n);
}

typedef struct series {
    uint64_t hash;
    const char *labels[HD_SERIES_LABELS];
    char *text; /* what labels point into */
    _Alignas(16) char value[];
} series;

struct hd_series_table {
    size_t n_labels, value_bytes;
    size_t n_slots, max_series;
    atomic_size_t n_series;
    series *other;          /* for all that finds no room */
    atomic_bool other_used; /* shown only then */
    _Atomic(series *) slots[];
};

static series *new_series(const hd_series_table *table, uint64_t hash, const char *const *labels)
{
    size_t text_bytes = 0;
    for (size_t i = 0; i < table->n_labels; i++)
        text_bytes += strlen(labels[i]) + 1;
    series *s = hd__calloc(1, hd__add(sizeof *s, hd__add(table->value_bytes, text_bytes)));
    if (s == NULL)
        return NULL;
    s->hash = hash;
    s->text = s->value + table->value_bytes;
    char *at = s->text;
    for (size_t i = 0; i < table->n_labels; i++) {
        size_t bytes = strlen(labels[i]) + 1;
        s->labels[i] = memcpy(at, labels[i], bytes);
        at += bytes;
    }
    return s;
}

hd_status hd__series_open(size_t n_labels, size_t value_bytes, size_t max_series, hd_series_table **table_out, hd_error *err)
{
    static const char *const other[HD_SERIES_LABELS] = {"other", "other", "other", "other"};
    assert(n_labels >= 1 && n_labels <= HD_SERIES_LABELS && max_series >= 1);
    size_t n_slots = 8;
    while (n_slots < hd__mul(max_series, 2)) /* at most half full: walks stay short and always end */
        n_slots *= 2;
    hd_series_table *table = hd__calloc(1, hd__add(sizeof *table, hd__mul(n_slots, sizeof table->slots[0])));
    if (table == NULL)
        return hd__fail(err, HD_ERR_MEMORY, "no memory for a table of %zu series", max_series);
    table->n_labels = n_labels;
    table->value_bytes = value_bytes;
    table->n_slots = n_slots;
    table->max_series = max_series;
    table->other = new_series(table, 0, other);
    if (table->other == NULL) {
        hd__free(table);
        return hd__fail(err, HD_ERR_MEMORY, "no memory for a table of %zu series", max_series);
    }
    *table_out = table;
    return HD_OK;
}

void hd__series_close(hd_series_table *table)
{
    if (table == NULL)
        return;
    for (size_t i = 0; i < table->n_slots; i++)
        hd__free(atomic_load(&table->slots[i]));
    hd__free(table->other);
    hd__free(table);
}

static bool is_of(const series *s, uint64_t hash, const char *const *labels, size_t n_labels)
{
    bool same = s->hash == hash;
    for (size_t i = 0; same && i < n_labels; i++)
        same = strcmp(s->labels[i], labels[i]) == 0;
    return same;
}

/* Puts a new series into an empty slot; whatever is in the slot afterwards, NULL when there is no room or memory. */
static series *fill_slot(hd_series_table *table, _Atomic(series *) *slot, uint64_t hash, const char *const *labels)
{
    if (atomic_fetch_add(&table->n_series, 1) >= table->max_series) {
        atomic_fetch_sub(&table->n_series, 1);
        return NULL;
    }
    series *made = new_series(table, hash, labels), *there = NULL;
    if (made != NULL && atomic_compare_exchange_strong(slot, &there, made))
        return made;
    hd__free(made);
    atomic_fetch_sub(&table->n_series, 1);
    return there;
}

void *hd__series_at(hd_series_table *table, const char *const *labels_in)
{
    char cut[HD_SERIES_LABELS][HD_SERIES_LABEL_BYTES];
    const char *labels[HD_SERIES_LABELS];
    uint64_t hash = 0;
    for (size_t i = 0; i < table->n_labels; i++) {
        labels[i] = labels_in[i] != NULL ? labels_in[i] : "";
        if (strlen(labels[i]) >= HD_SERIES_LABEL_BYTES) {
            memcpy(cut[i], labels[i], HD_SERIES_LABEL_BYTES - 1);
            cut[i][HD_SERIES_LABEL_BYTES - 1] = '\0';
            labels[i] = cut[i];
        }
        hash = hd__hash64(hd__span_of(labels[i]), hash + 1);
    }
    for (size_t place = (size_t)hash & (table->n_slots - 1);; place = (place + 1) & (table->n_slots - 1)) {
        series *s = atomic_load_explicit(&table->slots[place], memory_order_acquire);
        if (s == NULL)
            s = fill_slot(table, &table->slots[place], hash, labels);
        if (s == NULL) {
            atomic_store_explicit(&table->other_used, true, memory_order_relaxed);
            return table->other->value;
        }
        if (is_of(s, hash, labels, table->n_labels))
            return s->value;
    }
}

void *hd__series_next(const hd_series_table *table, size_t *place, const char *const **labels)
{
    while (*place <= table->n_slots) {
        size_t i = (*place)++;
        series *s = i < table->n_slots ? atomic_load((_Atomic(series *) *)&table->slots[i]) : NULL;
        if (i == table->n_slots && atomic_load((atomic_bool *)&table->other_used))
            s = table->other;
        if (s == NULL)
            continue;
        *labels = s->labels;
        return s->value;
    }
    return NULL;
}
