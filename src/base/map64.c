/* map64.c - see map64.h. */
#include "base/map64.h"

#include "base/alloc.h"

/* Where a key is, or would be. Keys are hashes: their low bits do. */
static uint64_t *place_of(const hd_map64 *map, uint64_t key)
{
    size_t i = key & (map->capacity - 1);
    while (map->entries[i][0] != 0 && map->entries[i][0] != key)
        i = (i + 1) & (map->capacity - 1);
    return map->entries[i];
}

static bool grow(hd_map64 *map)
{
    const hd_map64 old = *map;
    map->capacity = old.capacity != 0 ? hd__mul(old.capacity, 2) : 64;
    map->entries = hd__calloc(map->capacity, sizeof *map->entries);
    if (map->entries == NULL) {
        *map = old;
        return false;
    }
    for (size_t i = 0; i < old.capacity; i++) {
        if (old.entries[i][0] == 0)
            continue;
        uint64_t *place = place_of(map, old.entries[i][0]);
        place[0] = old.entries[i][0];
        place[1] = old.entries[i][1];
    }
    hd__free(old.entries);
    return true;
}

void hd__map64_clear(hd_map64 *map)
{
    hd__free(map->entries);
    *map = (hd_map64){0};
}

uint64_t *hd__map64_put(hd_map64 *map, uint64_t key)
{
    key += key == 0; /* which stands for a free place */
    if (map->n >= map->capacity / 4 * 3 && !grow(map))
        return NULL;
    uint64_t *place = place_of(map, key);
    if (place[0] == 0) {
        place[0] = key;
        map->n++;
    }
    return &place[1];
}

uint64_t *hd__map64_get(const hd_map64 *map, uint64_t key)
{
    key += key == 0;
    if (map->capacity == 0)
        return NULL;
    uint64_t *place = place_of(map, key);
    return place[0] != 0 ? &place[1] : NULL;
}
