/* Lines of an export, as `heddle db import` reads them: the first one, and documents, into a store that has vectors. */
#include <stdint.h>
#include <stdlib.h>

#include "store/document.h"
#include "store/maintain.h"
#include "unit/scratch.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static hd_store *open_store(void)
{
    static scratch s;
    const hd_identity identity = {
        .model = "m", .fingerprint = "f", .similarity = "cosine", .n_dimensions = 2, .n_token_dimensions = 1};
    hd_store *store = NULL;
    scratch_begin(&s);
    hd_error err;
    if (hd__store_open(scratch_path(&s, "db"), &(hd_store_options){.create = true, .identity = &identity}, &store, &err) !=
        HD_OK)
        abort();
    scratch_end(&s); /* the file lives on as long as it is open */
    return store;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static hd_store *store;
    if (store == NULL)
        store = open_store();
    hd_error err;
    hd_arena arena;
    hd__arena_init(&arena);
    hd_export_head head;
    if (hd__store_read_head(hd__span(data, size), &arena, &head, &err) == HD_OK && head.identity.model == NULL)
        abort();
    hd_write *write;
    if (hd__write_begin(store, &write, &err) != HD_OK)
        abort();
    if (hd__store_import(write, hd__span(data, size), &err) != HD_OK && err.text[0] == '\0')
        abort();
    hd__write_abandon(write);
    hd__arena_clear(&arena);
    return 0;
}
