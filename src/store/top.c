/* top.c - see top.h. */
#include "store/top.h"

#include <math.h>
#include <stdlib.h>

void hd__top_init(hd_top *top, uint64_t *keys, size_t k)
{
    *top = (hd_top){.keys = keys, .k = k, .worst = -INFINITY};
}

static void sink(uint64_t *keys, size_t n, size_t at, uint64_t key)
{
    for (size_t child; (child = 2 * at + 1) < n; at = child) {
        if (child + 1 < n && keys[child + 1] < keys[child])
            child++;
        if (keys[child] >= key)
            break;
        keys[at] = keys[child];
    }
    keys[at] = key;
}

void hd__top_push(hd_top *top, uint64_t key)
{
    if (top->n < top->k) {
        size_t at = top->n++;
        for (; at > 0 && top->keys[(at - 1) / 2] > key; at = (at - 1) / 2)
            top->keys[at] = top->keys[(at - 1) / 2];
        top->keys[at] = key;
    } else if (key > top->keys[0]) {
        sink(top->keys, top->n, 0, key);
    }
    if (top->n == top->k)
        top->worst = hd__top_score(top->keys[0]);
}

static int descending(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? 1 : x > y ? -1 : 0;
}

void hd__top_sort(hd_top *top)
{
    qsort(top->keys, top->n, sizeof *top->keys, descending);
}
