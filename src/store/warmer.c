/* warmer.c - see warmer.h. */
#include "store/warmer.h"

#include "base/thread_name.h"
#include "store/store_int.h"

static void *warmer_main(void *data)
{
    hd_store *store = data;
    hd_snapshot *snapshot;
    hd__thread_name("heddle-warmer");
    if (hd__snapshot_begin(store, &snapshot, NULL) == HD_OK) {
        HD_IGNORE(hd__vectors_warm(snapshot->layout->vectors, &snapshot->connection, &store->warmer.stop, NULL));
        hd__snapshot_end(snapshot);
    }
    atomic_store(&store->warmer.works, false);
    return NULL;
}

void hd__warmer_init(hd_warmer *warmer)
{
    pthread_mutex_init(&warmer->lock, NULL);
    atomic_init(&warmer->works, false);
    atomic_init(&warmer->stop, false);
}

void hd__warmer_start(hd_warmer *warmer, hd_store *store)
{
    if (atomic_exchange(&warmer->works, true))
        return;
    pthread_mutex_lock(&warmer->lock);
    if (warmer->has_thread)
        pthread_join(warmer->thread, NULL);
    warmer->has_thread = pthread_create(&warmer->thread, NULL, warmer_main, store) == 0;
    if (!warmer->has_thread)
        atomic_store(&warmer->works, false);
    pthread_mutex_unlock(&warmer->lock);
}

void hd__warmer_end(hd_warmer *warmer)
{
    atomic_store(&warmer->stop, true);
    if (warmer->has_thread)
        pthread_join(warmer->thread, NULL);
    pthread_mutex_destroy(&warmer->lock);
}
