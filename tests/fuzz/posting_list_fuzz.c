/* posting_list_fuzz.c - any bytes as a posting list and as a block of terms. What opens must keep to its bounds; what was
 * written from what was read must be read as the same again.
 *
 *   input = u16(postings) u16(chunks) list, or with postings 0: block of terms
 */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "store/posting_list.h"
#include "store/segment.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
    if (!holds)
        abort();
}

static void read_terms(hd_span bytes, uint32_t n_chunks)
{
    const hd_segment segment = {.n_chunks = n_chunks, .stream_bytes = {0, bytes.len, 1000, 0}};
    hd_cursor block = hd__cursor(bytes);
    hd_term term = {0};
    while (hd__cursor_left(&block) > 0 && hd__term_next(&block, &segment, &term)) {
        must(term.n_postings <= n_chunks);
        must(term.n_postings <= HD_POSTING_BLOCK || term.list_offset + term.list_bytes <= 1000);
        hd_posting_block postings;
        if (term.n_postings > 0 && term.n_postings <= HD_POSTING_BLOCK)
            (void)hd__posting_list_decode_short(term.list, term.n_postings, n_chunks, &postings);
    }
}

/* Each block by itself: as many as its entry says, within it. */
static void read_blocks(hd_span bytes, uint32_t n, uint32_t n_chunks, void *memory)
{
    hd_posting_list list;
    if (n <= HD_POSTING_BLOCK || !hd__posting_list_open(bytes, n, n_chunks, memory, &list))
        return;
    for (uint32_t i = 0; i < list.n_blocks; i++) {
        must(list.dir[i + 1].front > list.dir[i].front && list.dir[i].last < n_chunks);
        hd_posting_block block;
        if (!hd__posting_list_decode(&list, i, &block))
            continue;
        must(block.n > 0 && block.ids[block.n - 1] == list.dir[i].last);
        must(i == 0 || block.ids[0] > list.dir[i - 1].last);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 4)
        return 0;
    const uint32_t n = (uint32_t)(data[0] | data[1] << 8), n_chunks = (uint32_t)(data[2] | data[3] << 8) + 1;
    /* As large as it is, so that a read past its end is seen. */
    char *bytes = malloc(size - 4 + 1);
    void *memory = malloc(hd__posting_list_memory(n));
    uint32_t *ids = malloc((n + 1) * sizeof *ids);
    uint16_t *payloads = malloc((n + 1) * sizeof *payloads);
    must(bytes != NULL && memory != NULL && ids != NULL && payloads != NULL);
    memcpy(bytes, data + 4, size - 4);
    const hd_span list = hd__span(bytes, size - 4);
    if (n == 0)
        read_terms(list, n_chunks);
    read_blocks(list, n, n_chunks, memory);
    if (n > 0 && hd__posting_list_decode_all(list, n, n_chunks, memory, ids, payloads)) {
        for (uint32_t i = 0; i < n; i++)
            must(ids[i] < n_chunks && payloads[i] > 0 && (i == 0 || ids[i] > ids[i - 1]));
        hd_buffer written = {0};
        hd__posting_list_write(&written, ids, payloads, n, NULL);
        uint32_t *again = malloc(n * sizeof *again);
        uint16_t *payloads_again = malloc(n * sizeof *payloads_again);
        must(again != NULL && payloads_again != NULL && !written.failed);
        must(hd__posting_list_decode_all(hd__buffer_span(&written), n, n_chunks, memory, again, payloads_again));
        must(memcmp(ids, again, n * sizeof *ids) == 0 && memcmp(payloads, payloads_again, n * sizeof *payloads) == 0);
        hd__buffer_clear(&written);
        free(again);
        free(payloads_again);
    }
    free(bytes);
    free(memory);
    free(ids);
    free(payloads);
    return 0;
}
