/* layout.c - see layout.h. */
#include "store/layout.h"

#include <string.h>

#include "base/alloc.h"

hd_status hd__layout_open(hd_connection *connection, const hd_identity *identity, uint32_t n_threads, uint64_t number,
                          uint64_t version, hd_layout **layout, hd_error *err)
{
    hd_layout *opened = hd__calloc(1, sizeof *opened);
    if (opened == NULL)
        return hd__fail(err, HD_ERR_MEMORY, "no memory to open an index");
    atomic_init(&opened->n_holders, 1);
    pthread_mutex_init(&opened->lock, NULL);
    opened->number = number;
    opened->seen = version;
    hd_status status = hd__postings_open(connection->db, &opened->postings, err);
    if (status == HD_OK && identity->n_dimensions > 0)
        status = hd__vectors_open(connection->db, identity->n_dimensions, strcmp(identity->similarity, "cosine") == 0,
                                  n_threads, &opened->vectors, err);
    if (status == HD_OK)
        *layout = opened;
    else
        hd__layout_release(opened);
    return status;
}

hd_layout *hd__layout_hold(hd_layout *layout)
{
    atomic_fetch_add(&layout->n_holders, 1);
    return layout;
}

void hd__layout_release(hd_layout *layout)
{
    if (layout == NULL || atomic_fetch_sub(&layout->n_holders, 1) != 1)
        return;
    hd__postings_close(layout->postings);
    hd__vectors_close(layout->vectors);
    pthread_mutex_destroy(&layout->lock);
    hd__free(layout);
}

hd_status hd__layout_refresh(hd_layout *layout, hd_connection *connection, uint64_t version, hd_error *err)
{
    if (layout->vectors == NULL)
        return HD_OK;
    hd_status status = HD_OK;
    pthread_mutex_lock(&layout->lock);
    if (version > layout->seen)
        status = hd__vectors_refresh(layout->vectors, connection->db, err);
    if (version > layout->seen && status == HD_OK)
        layout->seen = version;
    pthread_mutex_unlock(&layout->lock);
    return status;
}

void hd__layout_will_commit(hd_layout *layout, uint64_t version)
{
    pthread_mutex_lock(&layout->lock);
    layout->seen = version;
    pthread_mutex_unlock(&layout->lock);
}

void hd__layout_failed(hd_layout *layout)
{
    pthread_mutex_lock(&layout->lock);
    layout->seen = 0;
    pthread_mutex_unlock(&layout->lock);
}
