/* A store's file with bytes changed at places that the input names (four bytes where, one byte what, at most 64 times):
 * checking, searching, writing and compacting it are errors or not, and nothing worse. */
#include <stdint.h>
#include <stdlib.h>

#include "base/file.h"
#include "store/document.h"
#include "store/legs.h"
#include "store/maintain.h"
#include "unit/scratch.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { N_DOCUMENTS = 12, N_CHUNKS = 3, MAX_CHANGES = 64 };

static scratch s;
static hd_error err;

static void put_documents(hd_store *store, int first, int n)
{
    static const float axes[N_CHUNKS][2] = {{1, 0}, {0, 1}, {1, 1}};
    static const uint32_t term = 3;
    hd_write *write;
    if (hd__write_begin(store, &write, &err) != HD_OK)
        return;
    hd_status status = HD_OK;
    for (int i = first; i < first + n && status == HD_OK; i++) {
        char id[32], text[64];
        hd_chunk_row chunks[N_CHUNKS];
        hd_chunk_vectors vectors[N_CHUNKS];
        snprintf(id, sizeof id, "d%d", i);
        snprintf(text, sizeof text, "common word%d of a text", i);
        for (int j = 0; j < N_CHUNKS; j++) {
            chunks[j] = (hd_chunk_row){.key = "", .section = "", .text = hd__span_of(text), .is_code = j == 0};
            vectors[j] = (hd_chunk_vectors){
                .dense = axes[j], .sparse = {&term, axes[2], 1}, .token_vectors = axes[j], .n_token_vectors = 2};
        }
        const hd_document_row document = {.id = id,
                                          .source = "",
                                          .root = "",
                                          .path = "",
                                          .title = "",
                                          .url = "",
                                          .author = "",
                                          .mime = "",
                                          .metadata = "{}",
                                          .cut = ""};
        status = hd__document_put(write, &document, chunks, vectors, N_CHUNKS, &err);
    }
    if (status == HD_OK)
        status = hd__write_commit(write, &err);
    else
        hd__write_abandon(write);
}

static hd_span make_store(void)
{
    static hd_arena arena;
    const hd_identity identity = {.model = "m",
                                  .fingerprint = "f",
                                  .similarity = "cosine",
                                  .n_dimensions = 2,
                                  .n_token_dimensions = 1,
                                  .has_sparse = true};
    hd_store *store = NULL;
    hd_span bytes;
    scratch_begin(&s);
    const char *path = scratch_path(&s, "whole");
    if (hd__store_open(path, &(hd_store_options){.create = true, .identity = &identity}, &store, &err) != HD_OK)
        abort();
    put_documents(store, 0, N_DOCUMENTS);
    put_documents(store, 0, 2);
    hd__store_close(store);
    hd__arena_init(&arena);
    if (hd__file_read(path, 1u << 24, &arena, &bytes, &err) != HD_OK)
        abort();
    return bytes;
}

static void ignore_fault(hd_part part, const char *what, void *data)
{
    (void)part, (void)what, (void)data;
}

static void use_store(hd_store *store)
{
    hd_snapshot *snapshot;
    if (hd__snapshot_begin(store, &snapshot, &err) == HD_OK) {
        static const float query[2] = {1, 0.5f};
        static const uint32_t term = 3;
        hd_ranked ranked[8];
        size_t n;
        hd_arena arena;
        hd__arena_init(&arena);
        hd_chunk_row *chunks;
        float scores[8];
        const hd_chunk_id ids[] = {0, 9, 20};
        HD_IGNORE(hd__leg_bm25(snapshot, hd__span_of("common word5"), 8, NULL, ranked, &n, &err));
        HD_IGNORE(hd__leg_sparse(snapshot, (hd_sparse_vector){&term, query, 1}, 8, NULL, ranked, &n, &err));
        HD_IGNORE(hd__leg_dense(snapshot, query, 8, NULL, false, ranked, &n, &err));
        HD_IGNORE(hd__leg_trigram(snapshot, hd__span_of("ord5"), 8, NULL, ranked, &n, &err));
        HD_IGNORE(hd__leg_multi(snapshot, query, 2, ids, 3, scores, &err));
        HD_IGNORE(hd__document_chunks(snapshot, "d5", &arena, &chunks, &n, &err));
        hd__arena_clear(&arena);
        hd__snapshot_end(snapshot);
    }
    put_documents(store, 3, 2);
    HD_IGNORE(hd__store_compact(store, &err));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static hd_span whole;
    static char *bytes;
    if (bytes == NULL) {
        whole = make_store();
        bytes = malloc(whole.len);
    }
    memcpy(bytes, whole.ptr, whole.len);
    hd_cursor c = hd__cursor(hd__span(data, size));
    for (int i = 0; i < MAX_CHANGES && hd__cursor_left(&c) >= 5; i++) {
        const uint32_t at = hd__cursor_u32(&c);
        bytes[at % whole.len] = (char)hd__cursor_u8(&c);
    }
    scratch_wipe(s.dir);
    mkdir(s.dir, 0777);
    const char *path = scratch_write(&s, "db", bytes, whole.len);
    HD_IGNORE(hd__store_check(path, ignore_fault, NULL, &err));
    hd_store *store = NULL;
    if (hd__store_open(path, &(hd_store_options){.busy_ms = 1}, &store, &err) == HD_OK) {
        use_store(store);
        hd__store_close(store);
    }
    return 0;
}
