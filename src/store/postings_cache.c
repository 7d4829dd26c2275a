/* postings_cache.c - see postings_cache.h: a hash table of chains, and a list by last use. */
#include "store/postings_cache.h"

#include <assert.h>
#include <pthread.h>

#include "base/alloc.h"
#include "base/hash.h"

enum { BUCKETS = 4096 };

struct hd_postings_cache {
    pthread_mutex_t lock;
    hd_part *buckets[BUCKETS];
    hd_part *newest, *oldest;
    uint64_t bytes, max_bytes;
};

static_assert(sizeof(hd_part_key) == 24, "keys are compared and hashed as bytes");

hd_status hd__postings_cache_open(uint64_t max_bytes, hd_postings_cache **cache, hd_error *err)
{
    hd_postings_cache *opened = hd__calloc(1, sizeof *opened);
    if (opened == NULL)
        return hd__fail(err, HD_ERR_MEMORY, "no memory for the cache of the index");
    opened->max_bytes = max_bytes;
    pthread_mutex_init(&opened->lock, NULL);
    *cache = opened;
    return HD_OK;
}

void hd__postings_cache_close(hd_postings_cache *cache)
{
    if (cache == NULL)
        return;
    for (hd_part *part = cache->newest; part != NULL;) {
        hd_part *older = part->older;
        hd__free(part);
        part = older;
    }
    pthread_mutex_destroy(&cache->lock);
    hd__free(cache);
}

static hd_part **bucket_of(hd_postings_cache *cache, const hd_part_key *key)
{
    return &cache->buckets[hd__hash64(hd__span(key, sizeof *key), 0) % BUCKETS];
}

static hd_part *find(hd_postings_cache *cache, const hd_part_key *key)
{
    hd_part *part = *bucket_of(cache, key);
    while (part != NULL && memcmp(&part->key, key, sizeof *key) != 0)
        part = part->chained;
    return part;
}

static void unlink_use(hd_postings_cache *cache, hd_part *part)
{
    *(part->newer != NULL ? &part->newer->older : &cache->newest) = part->older;
    *(part->older != NULL ? &part->older->newer : &cache->oldest) = part->newer;
}

static void link_newest(hd_postings_cache *cache, hd_part *part)
{
    part->newer = NULL;
    part->older = cache->newest;
    *(part->older != NULL ? &part->older->newer : &cache->oldest) = part;
    cache->newest = part;
}

static void use(hd_postings_cache *cache, hd_part *part)
{
    part->n_users++;
    unlink_use(cache, part);
    link_newest(cache, part);
}

static size_t size_of(const hd_part *part)
{
    return sizeof *part + part->bytes;
}

static void evict(hd_postings_cache *cache)
{
    for (hd_part *part = cache->oldest; part != NULL && cache->bytes > cache->max_bytes;) {
        hd_part *newer = part->newer;
        if (part->n_users == 0) {
            hd_part **link = bucket_of(cache, &part->key);
            while (*link != part)
                link = &(*link)->chained;
            *link = part->chained;
            unlink_use(cache, part);
            cache->bytes -= size_of(part);
            hd__free(part);
        }
        part = newer;
    }
}

hd_part *hd__postings_cache_take(hd_postings_cache *cache, const hd_part_key *key)
{
    pthread_mutex_lock(&cache->lock);
    hd_part *part = find(cache, key);
    if (part != NULL)
        use(cache, part);
    pthread_mutex_unlock(&cache->lock);
    return part;
}

hd_part *hd__postings_part_new(const hd_part_key *key, size_t bytes)
{
    hd_part *part = hd__malloc(hd__add(sizeof *part, bytes));
    if (part != NULL)
        *part = (hd_part){.key = *key, .bytes = bytes};
    return part;
}

hd_part *hd__postings_cache_put(hd_postings_cache *cache, hd_part *part)
{
    pthread_mutex_lock(&cache->lock);
    hd_part *first = find(cache, &part->key);
    if (first != NULL) {
        use(cache, first);
        hd__free(part);
        part = first;
    } else {
        hd_part **bucket = bucket_of(cache, &part->key);
        part->n_users = 1;
        part->chained = *bucket;
        *bucket = part;
        link_newest(cache, part);
        cache->bytes += size_of(part);
        evict(cache);
    }
    pthread_mutex_unlock(&cache->lock);
    return part;
}

void hd__postings_cache_release(hd_postings_cache *cache, hd_part *part)
{
    if (part == NULL)
        return;
    pthread_mutex_lock(&cache->lock);
    part->n_users--;
    evict(cache);
    pthread_mutex_unlock(&cache->lock);
}

uint64_t hd__postings_cache_bytes(hd_postings_cache *cache)
{
    pthread_mutex_lock(&cache->lock);
    const uint64_t bytes = cache->bytes;
    pthread_mutex_unlock(&cache->lock);
    return bytes;
}
