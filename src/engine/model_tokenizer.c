/* model_tokenizer.c - see model_tokenizer.h. The tables are blobs of a packed file (model/packed.h). */
#include "engine/model_tokenizer.h"

#include <string.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/log.h"
#include "model/gguf_tokenizer.h"
#include "model/packed.h"
#include "token/tokenizer_parts.h"

static hd_status open_files(const char *path, hd_tokenizer **tokenizer, hd_error *err)
{
    if (!hd__file_exists(path))
        return hd__tokenizer_open(path, tokenizer, err);
    hd_buffer json;
    hd__buffer_init(&json);
    hd_status status = hd__gguf_read_tokenizer(path, &json, err);
    if (status == HD_OK)
        status = hd__tokenizer_open_json(hd__buffer_span(&json), path, tokenizer, err);
    hd__buffer_clear(&json);
    return status;
}

/* ---- tables ---- */

static void describe(const char *path, hd_buffer *key)
{
    hd_file_map map;
    if (hd__file_map_open(path, &map, NULL) != HD_OK)
        return;
    hd__file_map_describe(&map, path, key);
    hd__file_map_close(&map);
}

/* All that the tables depend on, NUL-terminated. */
static hd_status make_key(const char *path, hd_buffer *key, hd_error *err)
{
    hd_buffer name;
    hd__buffer_init(&name);
    hd__buffer_printf(key, "tokenizer tables=%d ", HD_TOKEN_TABLES_VERSION);
    describe(path, key);
    for (size_t i = 0; hd__tokenizer_files[i] != NULL && !name.failed; i++) {
        hd__buffer_reset(&name);
        hd__buffer_printf(&name, "%s/%s", path, hd__tokenizer_files[i]);
        hd__buffer_append_char(&name, '\0');
        if (!name.failed)
            describe(name.ptr, key);
    }
    hd__buffer_append_char(key, '\0');
    const bool failed = key->failed || name.failed;
    hd__buffer_clear(&name);
    return failed ? hd__fail(err, HD_ERR_MEMORY, "%s: no memory", path) : HD_OK;
}

static void close_packed(void *packed)
{
    hd__packed_close(packed);
}

static hd_status open_tables(const char *tables_path, const char *key, hd_tokenizer **tokenizer, hd_error *err)
{
    hd_packed *packed;
    hd_tokenizer *opened = NULL;
    hd_span tables[HD_TABLE_COUNT] = {0};
    HD_TRY(hd__packed_open(tables_path, key, &packed, err));
    hd_status status = hd__packed_verify(packed, err);
    for (size_t i = 0; i < HD_TABLE_COUNT; i++)
        hd__packed_find(packed, hd__token_table_names[i], &tables[i]);
    if (status == HD_OK)
        status = hd__tokenizer_open_tables(tables, tables_path, &opened, err);
    if (status == HD_OK)
        status = hd__tokenizer_keep(opened, close_packed, packed, err);
    if (status != HD_OK) {
        hd__tokenizer_close(opened);
        hd__packed_close(packed);
        return status;
    }
    *tokenizer = opened;
    return HD_OK;
}

static hd_status write_tables(const char *tables_path, const char *key, const hd_span tables[HD_TABLE_COUNT], hd_error *err)
{
    hd_packed_plan plan = {0};
    hd_packed_writer *writer;
    char *dir = hd__strndup(tables_path, (size_t)(strrchr(tables_path, '/') - tables_path));
    hd_status status = dir != NULL ? hd__dir_make(dir, err) : hd__fail(err, HD_ERR_MEMORY, "%s: no memory", tables_path);
    hd__free(dir);
    for (size_t i = 0; i < HD_TABLE_COUNT; i++)
        hd__packed_plan_add(&plan, strlen(hd__token_table_names[i]), tables[i].len);
    if (status == HD_OK)
        status = hd__packed_writer_open(tables_path, key, &plan, &writer, err);
    if (status != HD_OK)
        return status;
    for (size_t i = 0; i < HD_TABLE_COUNT; i++) {
        void *blob = hd__packed_writer_add(writer, hd__token_table_names[i], tables[i].len);
        if (blob != NULL && tables[i].len > 0) /* NULL is found at commit */
            memcpy(blob, tables[i].ptr, tables[i].len);
    }
    return hd__packed_writer_commit(writer, err);
}

/* Writes the tables of an open tokenizer and opens one over them in its place, whose memory the system may share and drop.
 */
static void go_over(const char *tables_path, const char *key, hd_tokenizer **tokenizer)
{
    hd_span tables[HD_TABLE_COUNT];
    hd_tokenizer *over;
    hd_error why = {0};
    if (!hd__token_tables_of(*tokenizer, tables))
        return;
    if (write_tables(tables_path, key, tables, &why) != HD_OK || open_tables(tables_path, key, &over, &why) != HD_OK) {
        hd__log(HD_LOG_WARN, "tokenizer not kept, the next start reads it again: %s", why.text);
        return;
    }
    hd__tokenizer_close(*tokenizer);
    *tokenizer = over;
}

hd_status hd__model_tokenizer_open(const char *path, const char *tables_path, hd_tokenizer **tokenizer, hd_error *err)
{
    hd_buffer key;
    hd_error why = {0};
    if (tables_path == NULL)
        return open_files(path, tokenizer, err);
    hd__buffer_init(&key);
    hd_status status = make_key(path, &key, err);
    if (status == HD_OK && open_tables(tables_path, key.ptr, tokenizer, &why) != HD_OK) {
        if (why.status != HD_ERR_NOT_FOUND)
            hd__log(HD_LOG_WARN, "%s is made again: %s", tables_path, why.text);
        status = open_files(path, tokenizer, err);
        if (status == HD_OK)
            go_over(tables_path, key.ptr, tokenizer);
    }
    hd__buffer_clear(&key);
    return status;
}
