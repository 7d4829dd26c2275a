/* packed.c - see packed.h for the format. */
#include "model/packed.h"

#include <assert.h>
#include <string.h>

#include "base/alloc.h"
#include "base/arena.h"
#include "base/buffer.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/limits.h"
#include "model/name_table.h"

#define FORMAT_VERSION 1
#define HEADER_BYTES 64
#define SMALL_ALIGN 64
#define LARGE_ALIGN 4096
#define CHECKSUM_SEED 0

static const char magic[7] = "HEDDLE";
static_assert(sizeof magic == 7, "the magic is six letters and a NUL; the version follows it");

typedef struct blob {
    hd_span name, bytes;
    uint64_t checksum;
} blob;

struct hd_packed {
    hd_file_map map;
    hd_arena arena; /* all that is below */
    blob *blobs;    /* [n_blobs] */
    uint32_t n_blobs;
    hd_name_table names;
};

static size_t align_of(uint64_t len)
{
    return len > LARGE_ALIGN ? LARGE_ALIGN : SMALL_ALIGN;
}

/* ---- reading ---- */

static hd_status damaged(const char *path, const char *what, hd_error *err)
{
    return hd__fail(err, HD_ERR_FORMAT, "%s: damaged: %s", path, what);
}

/* Checks the first 64 bytes and the table's checksum. */
static hd_status parse_header(hd_span file, const char *path, hd_span *table, hd_error *err)
{
    static const char zeroes[24];
    hd_cursor c = hd__cursor(file);
    hd_span found_magic = hd__cursor_take(&c, sizeof magic);
    uint8_t version = hd__cursor_u8(&c);
    uint64_t table_bytes = hd__cursor_u64(&c);
    hd_hash128 checksum = {.low = hd__cursor_u64(&c)};
    checksum.high = hd__cursor_u64(&c);
    uint64_t file_bytes = hd__cursor_u64(&c);
    hd_span reserved = hd__cursor_take(&c, sizeof zeroes);
    if (c.failed || !hd__span_equal(found_magic, hd__span(magic, sizeof magic)))
        return damaged(path, "no header", err);
    if (version != FORMAT_VERSION)
        return hd__fail(err, HD_ERR_NOT_FOUND, "%s: a packed file of format %u, wanted is %d", path, version,
                        FORMAT_VERSION);
    if (file_bytes != file.len)
        return hd__fail(err, HD_ERR_FORMAT, "%s: damaged: %zu bytes of %llu", path, file.len,
                        (unsigned long long)file_bytes);
    if (!hd__span_equal(reserved, hd__span(zeroes, sizeof zeroes)))
        return damaged(path, "reserved bytes of the header are set", err);
    if (table_bytes > hd__cursor_left(&c))
        return damaged(path, "its table goes past the end", err);
    *table = hd__cursor_take(&c, (size_t)table_bytes);
    hd_hash128 actual = hd__hash128(*table, CHECKSUM_SEED);
    if (actual.low != checksum.low || actual.high != checksum.high)
        return damaged(path, "its table does not have its checksum", err);
    return HD_OK;
}

/* Reads one entry; the blob lies behind *at, which moves to its end. */
static bool parse_blob(hd_cursor *c, hd_span file, uint64_t *at, blob *out)
{
    out->name = hd__cursor_take(c, hd__cursor_u16(c));
    uint64_t offset = hd__cursor_u64(c), len = hd__cursor_u64(c);
    out->checksum = hd__cursor_u64(c);
    if (c->failed || offset < *at || offset > file.len || len > file.len - offset || offset % align_of(len) != 0)
        return false;
    out->bytes = hd__span(file.ptr + offset, (size_t)len);
    *at = offset + len;
    return true;
}

static hd_status parse_table(hd_packed *packed, hd_span table, const char *path, const char *key, hd_error *err)
{
    const size_t least_entry = 2 + 3 * 8;
    hd_span file = packed->map.bytes;
    hd_cursor c = hd__cursor(table);
    hd_span found_key = hd__cursor_take(&c, hd__cursor_u32(&c));
    uint32_t n = hd__cursor_u32(&c);
    if (c.failed || n > hd__cursor_left(&c) / least_entry)
        return damaged(path, "its table is too short", err);
    if (!hd__span_is(found_key, key))
        return hd__fail(err, HD_ERR_NOT_FOUND, "%s: packed from other files or in another way", path);
    packed->blobs = hd__arena_calloc(&packed->arena, n, sizeof *packed->blobs);
    if (packed->blobs == NULL)
        return hd__fail(err, HD_ERR_MEMORY, "%s: no memory for %u blobs", path, n);
    packed->n_blobs = n;
    HD_TRY(hd__name_table_init(&packed->names, n, &packed->arena, err));
    uint64_t at = HEADER_BYTES + table.len;
    for (uint32_t i = 0; i < n; i++) {
        if (!parse_blob(&c, file, &at, &packed->blobs[i]))
            return damaged(path, "a blob lies outside of the file, out of order or out of line", err);
        if (!hd__name_table_add(&packed->names, packed->blobs[i].name, i))
            return damaged(path, "two blobs have one name", err);
    }
    if (hd__cursor_left(&c) != 0 || at != file.len)
        return damaged(path, "bytes that belong to nothing", err);
    return HD_OK;
}

hd_status hd__packed_open(const char *path, const char *key, hd_packed **packed, hd_error *err)
{
    hd_packed *opened = hd__calloc(1, sizeof *opened);
    if (opened == NULL)
        return hd__fail(err, HD_ERR_MEMORY, "%s: no memory to open it", path);
    hd__arena_init(&opened->arena);
    hd_status status;
    hd_span table;
    HD_TRY_OUT(hd__file_map_open(path, &opened->map, err));
    HD_TRY_OUT(parse_header(opened->map.bytes, path, &table, err));
    HD_TRY_OUT(parse_table(opened, table, path, key, err));
    *packed = opened;
    return HD_OK;
out:
    hd__packed_close(opened);
    return status;
}

void hd__packed_close(hd_packed *packed)
{
    if (packed == NULL)
        return;
    hd__file_map_close(&packed->map);
    hd__arena_clear(&packed->arena);
    hd__free(packed);
}

bool hd__packed_find(const hd_packed *packed, const char *name, hd_span *bytes)
{
    uint32_t i;
    if (!hd__name_table_find(&packed->names, hd__span_of(name), &i))
        return false;
    *bytes = packed->blobs[i].bytes;
    return true;
}

uint64_t hd__packed_bytes(const hd_packed *packed)
{
    return packed->map.size;
}

hd_status hd__packed_verify(const hd_packed *packed, hd_error *err)
{
    for (uint32_t i = 0; i < packed->n_blobs; i++) {
        const blob *b = &packed->blobs[i];
        if (hd__hash64(b->bytes, CHECKSUM_SEED) != b->checksum)
            return hd__fail(err, HD_ERR_FORMAT, "damaged: blob \"%.*s\" does not have its checksum", (int)b->name.len,
                            b->name.ptr);
    }
    return HD_OK;
}

/* ---- writing ---- */

void hd__packed_plan_add(hd_packed_plan *plan, size_t name_len, size_t bytes)
{
    plan->n_blobs++;
    plan->name_bytes += name_len;
    plan->blob_bytes = hd__add(plan->blob_bytes, hd__add(bytes, align_of(bytes) - 1));
}

struct hd_packed_writer {
    hd_file_writer file;
    char *memory, *key;
    size_t memory_bytes;
    blob *blobs; /* [plan.n_blobs] checksums at commit */
    hd_packed_plan plan;
    size_t n_blobs, name_bytes, at; /* added so far; where the last one ends */
};

static size_t table_len(const char *key, const hd_packed_plan *plan)
{
    return 4 + strlen(key) + 4 + plan->n_blobs * (2 + 3 * 8) + plan->name_bytes;
}

static hd_status check_plan(const char *path, const char *key, const hd_packed_plan *plan, hd_error *err)
{
    if (strlen(key) > HD_LIMIT_PACKED_KEY_BYTES || plan->n_blobs > HD_LIMIT_TENSORS)
        return hd__fail(err, HD_ERR_LIMIT, "%s: key of %zu bytes and %zu blobs, the limits are %u and %u", path, strlen(key),
                        plan->n_blobs, HD_LIMIT_PACKED_KEY_BYTES, HD_LIMIT_TENSORS);
    return HD_OK;
}

hd_status hd__packed_writer_open(const char *path, const char *key, const hd_packed_plan *plan, hd_packed_writer **out,
                                 hd_error *err)
{
    HD_TRY(check_plan(path, key, plan, err));
    hd_packed_writer *w = hd__calloc(1, sizeof *w);
    if (w == NULL)
        return hd__fail(err, HD_ERR_MEMORY, "%s: no memory to write it", path);
    hd_status status = hd__file_writer_open(&w->file, path, err);
    if (status != HD_OK) {
        hd__free(w);
        return status;
    }
    w->plan = *plan;
    w->at = HEADER_BYTES + table_len(key, plan);
    w->memory_bytes = hd__add(w->at, plan->blob_bytes);
    w->key = hd__strdup(key);
    w->blobs = hd__calloc(plan->n_blobs + 1, sizeof *w->blobs);
    status = w->key == NULL || w->blobs == NULL ? hd__fail(err, HD_ERR_MEMORY, "%s: no memory for its table", path)
                                                : hd__file_writer_map(&w->file, w->memory_bytes, &w->memory, err);
    if (status != HD_OK) {
        hd__packed_writer_abandon(w);
        return status;
    }
    *out = w;
    return HD_OK;
}

void *hd__packed_writer_add(hd_packed_writer *w, const char *name, size_t bytes)
{
    const size_t at = hd__round_up(w->at, align_of(bytes)), len = strlen(name);
    if (w->n_blobs == w->plan.n_blobs || len > w->plan.name_bytes - w->name_bytes || len > UINT16_MAX ||
        at > w->memory_bytes || bytes > w->memory_bytes - at)
        return NULL;
    w->blobs[w->n_blobs++] = (blob){.name = hd__span(name, len), .bytes = hd__span(w->memory + at, bytes)};
    w->name_bytes += len;
    w->at = at + bytes;
    return w->memory + at;
}

/* The table as planned; what was planned and not added would leave a hole in front of the blobs. */
static void append_table(const hd_packed_writer *w, hd_buffer *table)
{
    hd__buffer_append_uint(table, strlen(w->key), 4);
    hd__buffer_append_text(table, w->key);
    hd__buffer_append_uint(table, w->n_blobs, 4);
    for (size_t i = 0; i < w->n_blobs; i++) {
        const blob *b = &w->blobs[i];
        hd__buffer_append_uint(table, b->name.len, 2);
        hd__buffer_append(table, b->name.ptr, b->name.len);
        hd__buffer_append_uint(table, (uint64_t)(b->bytes.ptr - w->memory), 8);
        hd__buffer_append_uint(table, b->bytes.len, 8);
        hd__buffer_append_uint(table, hd__hash64(b->bytes, CHECKSUM_SEED), 8);
    }
}

static void append_header(hd_buffer *header, hd_span table, uint64_t file_bytes)
{
    hd_hash128 checksum = hd__hash128(table, CHECKSUM_SEED);
    hd__buffer_append(header, magic, sizeof magic);
    hd__buffer_append_uint(header, FORMAT_VERSION, 1);
    hd__buffer_append_uint(header, table.len, 8);
    hd__buffer_append_uint(header, checksum.low, 8);
    hd__buffer_append_uint(header, checksum.high, 8);
    hd__buffer_append_uint(header, file_bytes, 8);
    for (size_t i = 0; i < 3; i++)
        hd__buffer_append_uint(header, 0, 8);
}

hd_status hd__packed_writer_commit(hd_packed_writer *w, hd_error *err)
{
    hd_buffer header, table;
    hd__buffer_init(&header);
    hd__buffer_init(&table);
    append_table(w, &table);
    append_header(&header, hd__buffer_span(&table), w->at);
    hd_status status;
    if (table.failed || header.failed) {
        status = hd__fail(err, HD_ERR_MEMORY, "%s: no memory for its table", w->file.path);
    } else if (table.len != table_len(w->key, &w->plan)) {
        status = hd__fail(err, HD_ERR_ARG, "%s: %zu blobs were planned, %zu are there", w->file.path, w->plan.n_blobs,
                          w->n_blobs);
    } else {
        memcpy(w->memory, header.ptr, header.len);
        memcpy(w->memory + HEADER_BYTES, table.ptr, table.len);
        hd__file_writer_keep(&w->file, w->at);
        status = hd__file_writer_commit(&w->file, err);
    }
    hd__buffer_clear(&header);
    hd__buffer_clear(&table);
    hd__packed_writer_abandon(w);
    return status;
}

void hd__packed_writer_abandon(hd_packed_writer *w)
{
    if (w == NULL)
        return;
    hd__file_writer_abandon(&w->file);
    hd__free(w->key);
    hd__free(w->blobs);
    hd__free(w);
}
