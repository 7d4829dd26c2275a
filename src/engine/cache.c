/* cache.c - see cache.h. Buckets of chains, and one list through all entries from newest to oldest use. */
#include "engine/cache.h"

#include <pthread.h>
#include <string.h>

#include "base/alloc.h"

typedef struct entry {
    struct entry *chain;         /* next in the bucket */
    struct entry *newer, *older; /* by use */
    hd_hash128 key;
    size_t n;
    float vector[];
} entry;

struct hd_cache {
    pthread_mutex_t lock; /* guards all below */
    entry **buckets;      /* [n_buckets], a power of two */
    size_t n_buckets, n_entries;
    entry *newest, *oldest;
    uint64_t max_bytes, used_bytes, n_hits, n_misses;
};

#define FIRST_BUCKETS 1024

static size_t entry_bytes(size_t n)
{
    return sizeof(entry) + n * sizeof(float);
}

hd_status hd__cache_open(uint64_t max_bytes, hd_cache **out, hd_error *err)
{
    hd_cache *c = hd__calloc(1, sizeof *c);
    entry **buckets = hd__calloc(FIRST_BUCKETS, sizeof *buckets);
    if (c == NULL || buckets == NULL) {
        hd__free(c);
        hd__free(buckets);
        return hd__fail(err, HD_ERR_MEMORY, "no memory for the vector cache");
    }
    pthread_mutex_init(&c->lock, NULL);
    c->buckets = buckets;
    c->n_buckets = FIRST_BUCKETS;
    c->max_bytes = max_bytes;
    *out = c;
    return HD_OK;
}

void hd__cache_close(hd_cache *c)
{
    if (c == NULL)
        return;
    for (entry *e = c->newest; e != NULL;) {
        entry *older = e->older;
        hd__free(e);
        e = older;
    }
    pthread_mutex_destroy(&c->lock);
    hd__free(c->buckets);
    hd__free(c);
}

static entry **bucket_of(const hd_cache *c, hd_hash128 key)
{
    return &c->buckets[key.low & (c->n_buckets - 1)];
}

static entry *find(const hd_cache *c, hd_hash128 key)
{
    entry *e = *bucket_of(c, key);
    while (e != NULL && (e->key.low != key.low || e->key.high != key.high))
        e = e->chain;
    return e;
}

static void list_remove(hd_cache *c, entry *e)
{
    *(e->newer != NULL ? &e->newer->older : &c->newest) = e->older;
    *(e->older != NULL ? &e->older->newer : &c->oldest) = e->newer;
}

static void list_push(hd_cache *c, entry *e)
{
    e->newer = NULL;
    e->older = c->newest;
    *(c->newest != NULL ? &c->newest->newer : &c->oldest) = e;
    c->newest = e;
}

static void evict_oldest(hd_cache *c)
{
    entry *e = c->oldest;
    entry **link = bucket_of(c, e->key);
    while (*link != e)
        link = &(*link)->chain;
    *link = e->chain;
    list_remove(c, e);
    c->used_bytes -= entry_bytes(e->n);
    c->n_entries--;
    hd__free(e);
}

/* Doubles the buckets when entries outnumber them; without memory chains just get longer. */
static void grow(hd_cache *c)
{
    size_t n = c->n_buckets * 2;
    entry **buckets = hd__calloc(n, sizeof *buckets);
    if (buckets == NULL)
        return;
    hd__free(c->buckets);
    c->buckets = buckets;
    c->n_buckets = n;
    for (entry *e = c->newest; e != NULL; e = e->older) {
        entry **bucket = bucket_of(c, e->key);
        e->chain = *bucket;
        *bucket = e;
    }
}

/* With the lock. */
static bool copy_out(hd_cache *c, hd_hash128 key, float *out, size_t n)
{
    entry *e = find(c, key);
    if (e == NULL || e->n != n)
        return false;
    memcpy(out, e->vector, n * sizeof *out);
    list_remove(c, e);
    list_push(c, e);
    return true;
}

bool hd__cache_get(hd_cache *c, hd_hash128 key, float *out, size_t n)
{
    pthread_mutex_lock(&c->lock);
    const bool hit = copy_out(c, key, out, n);
    c->n_hits += hit;
    c->n_misses += !hit;
    pthread_mutex_unlock(&c->lock);
    return hit;
}

bool hd__cache_get_again(hd_cache *c, hd_hash128 key, float *out, size_t n)
{
    pthread_mutex_lock(&c->lock);
    const bool hit = copy_out(c, key, out, n);
    c->n_hits += hit;
    c->n_misses -= hit;
    pthread_mutex_unlock(&c->lock);
    return hit;
}

void hd__cache_put(hd_cache *c, hd_hash128 key, const float *vector, size_t n)
{
    entry *fresh = entry_bytes(n) <= c->max_bytes ? hd__malloc(entry_bytes(n)) : NULL;
    if (fresh == NULL)
        return;
    fresh->key = key;
    fresh->n = n;
    memcpy(fresh->vector, vector, n * sizeof *vector);

    pthread_mutex_lock(&c->lock);
    if (find(c, key) != NULL) { /* somebody else computed the same text meanwhile */
        hd__free(fresh);
    } else {
        while (c->used_bytes + entry_bytes(n) > c->max_bytes)
            evict_oldest(c);
        entry **bucket = bucket_of(c, key);
        fresh->chain = *bucket;
        *bucket = fresh;
        list_push(c, fresh);
        c->used_bytes += entry_bytes(n);
        if (++c->n_entries > c->n_buckets)
            grow(c);
    }
    pthread_mutex_unlock(&c->lock);
}

void hd__cache_get_stats(hd_cache *c, hd_cache_stats *stats)
{
    pthread_mutex_lock(&c->lock);
    *stats = (hd_cache_stats){c->n_hits, c->n_misses, c->n_entries, c->used_bytes};
    pthread_mutex_unlock(&c->lock);
}
