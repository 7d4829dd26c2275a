/* filter_cache.c - see filter_cache.h. Lists of entries, the one used last first; the least recently used go. The lock is
 * `lock`: it guards the lists and the counts of users.
 */
#include "store/filter_cache.h"

#include <pthread.h>

#include "base/alloc.h"
#include "base/buffer.h"

typedef struct entry {
    struct entry *next;
    char *text; /* [len], whole: filters may keep people apart, so no hash will do */
    size_t len;
    uint64_t version;
    hd_bitmap bitmap;
    uint32_t n_users; /* the cache is one while it has it */
} entry;

struct hd_filter_hold {
    hd_filter_hold *next;
    entry *entry;
};

typedef struct facet {
    struct facet *next;
    hd_buffer bytes; /* the key, then each value with its NUL */
    size_t key_len, limit, n;
    uint64_t version;
    uint64_t counts[]; /* [n] */
} facet;

struct hd_filter_cache {
    pthread_mutex_t lock;
    entry *entries;
    facet *facets;
};

hd_status hd__filter_cache_new(hd_filter_cache **cache, hd_error *err)
{
    *cache = hd__calloc(1, sizeof **cache);
    if (*cache == NULL)
        return hd__fail(err, HD_ERR_MEMORY, "no memory for the cache of filters");
    pthread_mutex_init(&(*cache)->lock, NULL);
    return HD_OK;
}

static void let_go(entry *e)
{
    if (--e->n_users > 0)
        return;
    hd__bitmap_clear(&e->bitmap);
    hd__free(e->text);
    hd__free(e);
}

static void free_facet(facet *f)
{
    hd__buffer_clear(&f->bytes);
    hd__free(f);
}

void hd__filter_cache_free(hd_filter_cache *cache)
{
    if (cache == NULL)
        return;
    for (entry *e = cache->entries, *next; e != NULL; e = next) {
        next = e->next;
        let_go(e);
    }
    for (facet *f = cache->facets, *next; f != NULL; f = next) {
        next = f->next;
        free_facet(f);
    }
    pthread_mutex_destroy(&cache->lock);
    hd__free(cache);
}

void hd__filter_release(hd_filter_cache *cache, hd_filter_hold **holds)
{
    if (*holds == NULL)
        return;
    pthread_mutex_lock(&cache->lock);
    while (*holds != NULL) {
        hd_filter_hold *hold = *holds;
        *holds = hold->next;
        let_go(hold->entry);
        hd__free(hold);
    }
    pthread_mutex_unlock(&cache->lock);
}

static void hold_entry(entry *e, hd_filter_hold *hold, hd_filter_hold **holds)
{
    e->n_users++;
    *hold = (hd_filter_hold){*holds, e};
    *holds = hold;
}

const hd_bitmap *hd__filter_cache_get(hd_filter_cache *cache, hd_span text, uint64_t version, hd_filter_hold **holds)
{
    hd_filter_hold *hold = hd__malloc(sizeof *hold);
    if (hold == NULL)
        return NULL;
    pthread_mutex_lock(&cache->lock);
    entry **at = &cache->entries;
    while (*at != NULL && ((*at)->version != version || !hd__span_equal(hd__span((*at)->text, (*at)->len), text)))
        at = &(*at)->next;
    entry *found = *at;
    if (found != NULL) {
        *at = found->next;
        found->next = cache->entries;
        cache->entries = found;
        hold_entry(found, hold, holds);
    }
    pthread_mutex_unlock(&cache->lock);
    if (found == NULL)
        hd__free(hold);
    return found != NULL ? &found->bitmap : NULL;
}

/* Entries past the limits go, and with the lock held. */
static void shrink(hd_filter_cache *cache)
{
    size_t n = 0, bytes = 0;
    entry **at = &cache->entries;
    while (*at != NULL) {
        entry *e = *at;
        n++;
        bytes += hd__bitmap_n_words(e->bitmap.n) * sizeof *e->bitmap.words;
        if (n == 1 || (n <= HD_FILTER_CACHE_ENTRIES && bytes <= HD_FILTER_CACHE_BYTES)) {
            at = &e->next;
            continue;
        }
        *at = e->next;
        let_go(e);
    }
}

hd_status hd__filter_cache_put(hd_filter_cache *cache, hd_span text, uint64_t version, hd_bitmap *bitmap,
                               hd_filter_hold **holds, const hd_bitmap **held, hd_error *err)
{
    entry *e = hd__calloc(1, sizeof *e);
    hd_filter_hold *hold = hd__malloc(sizeof *hold);
    char *copy = hd__strndup(text.ptr, text.len);
    if (e == NULL || hold == NULL || copy == NULL) {
        hd__free(copy);
        hd__free(e);
        hd__free(hold);
        hd__bitmap_clear(bitmap);
        return hd__fail(err, HD_ERR_MEMORY, "no memory for what a filter lets through");
    }
    *e = (entry){.text = copy, .len = text.len, .version = version, .bitmap = *bitmap, .n_users = 1};
    *bitmap = (hd_bitmap){0};
    *held = &e->bitmap;
    pthread_mutex_lock(&cache->lock);
    hold_entry(e, hold, holds);
    e->next = cache->entries;
    cache->entries = e;
    shrink(cache);
    pthread_mutex_unlock(&cache->lock);
    return HD_OK;
}

/* ---- facets ---- */

static bool copy_values(const facet *f, hd_arena *arena, hd_value_count **values)
{
    const size_t bytes = f->bytes.len - f->key_len;
    char *texts = hd__arena_alloc(arena, bytes + 1);
    *values = hd__arena_alloc(arena, (f->n + 1) * sizeof **values);
    if (texts == NULL || *values == NULL)
        return false;
    if (bytes > 0)
        memcpy(texts, f->bytes.ptr + f->key_len, bytes);
    for (size_t i = 0; i < f->n; i++) {
        (*values)[i] = (hd_value_count){texts, f->counts[i]};
        texts += strlen(texts) + 1;
    }
    return true;
}

bool hd__facet_cache_get(hd_filter_cache *cache, hd_span key, uint64_t version, size_t limit, hd_arena *arena,
                         hd_value_count **values, size_t *n)
{
    bool found = false;
    pthread_mutex_lock(&cache->lock);
    facet **at = &cache->facets;
    while (*at != NULL && ((*at)->version != version || (*at)->limit != limit ||
                           !hd__span_equal(hd__span((*at)->bytes.ptr, (*at)->key_len), key)))
        at = &(*at)->next;
    facet *f = *at;
    if (f != NULL) {
        *at = f->next;
        f->next = cache->facets;
        cache->facets = f;
        *n = f->n;
        found = copy_values(f, arena, values);
    }
    pthread_mutex_unlock(&cache->lock);
    return found;
}

void hd__facet_cache_put(hd_filter_cache *cache, hd_span key, uint64_t version, size_t limit, const hd_value_count *values,
                         size_t n)
{
    facet *f = hd__calloc(1, sizeof *f + n * sizeof f->counts[0]);
    if (f == NULL)
        return;
    hd__buffer_init(&f->bytes);
    f->key_len = key.len;
    f->version = version;
    f->limit = limit;
    f->n = n;
    hd__buffer_append(&f->bytes, key.ptr, key.len);
    for (size_t i = 0; i < n; i++) {
        hd__buffer_append(&f->bytes, values[i].value, strlen(values[i].value) + 1);
        f->counts[i] = values[i].n;
    }
    if (f->bytes.failed) {
        free_facet(f);
        return;
    }
    pthread_mutex_lock(&cache->lock);
    f->next = cache->facets;
    cache->facets = f;
    size_t n_kept = 0;
    facet **at = &cache->facets;
    while (*at != NULL && n_kept < HD_FACET_CACHE_ENTRIES) {
        at = &(*at)->next;
        n_kept++;
    }
    facet *gone = *at; /* one at most */
    *at = NULL;
    pthread_mutex_unlock(&cache->lock);
    if (gone != NULL)
        free_facet(gone);
}
