/* Packed weight files. The input's checksum, length and version are put right first, so that the table behind
 * them is reached; accepted blobs must lie inside the file. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/hash.h"
#include "model/packed.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { TABLE_LEN_AT = 8, HASH_AT = 16, FILE_LEN_AT = 32, HEADER = 64 };

static void put_right(uint8_t *file, size_t size)
{
    if (size < HEADER)
        return;
    uint64_t table_len = 0, len = size;
    memcpy(&table_len, file + TABLE_LEN_AT, 2); /* the upper bytes are zero */
    memcpy(file + TABLE_LEN_AT, &table_len, sizeof table_len);
    memcpy(file, "HEDDLE\0\1", 8);
    memcpy(file + FILE_LEN_AT, &len, sizeof len);
    memset(file + FILE_LEN_AT + 8, 0, 24);
    if (table_len <= size - HEADER) {
        hd_hash128 hash = hd__hash128(hd__span(file + HEADER, (size_t)table_len), 0);
        memcpy(file + HASH_AT, &hash.low, sizeof hash.low);
        memcpy(file + HASH_AT + 8, &hash.high, sizeof hash.high);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[64];
    snprintf(path, sizeof path, "/tmp/heddle-packed-fuzz.%ld", (long)getpid());
    uint8_t *file = malloc(size + 1);
    memcpy(file, data, size);
    put_right(file, size);
    FILE *f = fopen(path, "wb");
    if (f == NULL || fwrite(file, 1, size, f) != size || fclose(f) != 0)
        abort();
    hd_packed *packed;
    hd_span bytes;
    if (hd__packed_open(path, "k", &packed, NULL) == HD_OK) {
        if (hd__packed_find(packed, "a", &bytes) && ((uintptr_t)bytes.ptr % 64 != 0 || bytes.len > size - HEADER))
            abort();
        if (hd__packed_verify(packed, NULL) != HD_OK)
            hd__packed_find(packed, "", &bytes);
        hd__packed_close(packed);
    }
    unlink(path);
    free(file);
    return 0;
}
