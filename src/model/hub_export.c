/* hub_export.c - see hub_export.h. */
#include "model/hub_export.h"

#include "base/alloc.h"
#include "base/file.h"
#include "model/gguf_settings.h"
#include "model/gguf_tokenizer.h"

enum { PIECE = 16384 }; /* values at a time, a multiple of every block */

typedef struct export
{
    const char *dir;
    hd_arena arena;
    hd_file_map map;
    hd_gguf gguf;
    hd_tensors *tensors; /* under the Hub's names */
    uint64_t n_front;    /* rows missing at the front of the table of positions */
    hd_error *err;
}
export;

static const char positions[] = "embeddings.position_embeddings.weight";

static hd_status no_memory(const export *e)
{
    return hd__fail(e->err, HD_ERR_MEMORY, "%s: no memory to write it", e->dir);
}

static hd_status write_text(export *e, const char *file, hd_span text)
{
    hd_file_writer writer;
    char *path = hd__arena_printf(&e->arena, "%s/%s", e->dir, file);
    if (path == NULL)
        return no_memory(e);
    HD_TRY(hd__file_writer_open(&writer, path, e->err));
    hd__file_writer_add(&writer, text);
    return hd__file_writer_commit(&writer, e->err);
}

static int append_json(const char *text, size_t n, void *buffer)
{
    hd__buffer_append(buffer, text, n);
    return 0;
}

static hd_status write_json(export *e, const hd_settings_source *source, const char *file)
{
    json_t *root;
    hd_status status = source->read(source->data, file, &root, e->err);
    if (status != HD_OK)
        return status == HD_ERR_NOT_FOUND ? HD_OK : status;
    const json_t *type = json_object_get(root, "model_type"), *most = json_object_get(root, "max_position_embeddings");
    const json_t *pad = json_object_get(root, "pad_token_id");
    if (json_is_string(type) && strstr(json_string_value(type), "roberta") != NULL && most != NULL)
        e->n_front = (uint64_t)json_integer_value(pad) + 1;
    hd_buffer text;
    hd__buffer_init(&text);
    const int failed = json_dump_callback(root, append_json, &text, JSON_INDENT(2) | JSON_REAL_PRECISION(17));
    json_decref(root);
    status = failed != 0 || text.failed ? no_memory(e) : write_text(e, file, hd__buffer_span(&text));
    hd__buffer_clear(&text);
    return status;
}

static hd_status write_tokenizer(export *e)
{
    hd_buffer json;
    hd__buffer_init(&json);
    hd_status status = hd__gguf_write_tokenizer(&e->gguf, &json, e->err);
    if (status == HD_OK)
        status = write_text(e, "tokenizer.json", hd__buffer_span(&json));
    hd__buffer_clear(&json);
    return status;
}

/* ---- weights ---- */

static bool is_quantised(const hd_tensor *t)
{
    return hd__tensor_type_block(t->type) > 1;
}

static uint64_t front_values(const export *e, const hd_tensor *t)
{
    return e->n_front > 0 && t->n_dims == 2 && strcmp(t->name, positions) == 0 ? e->n_front * t->dims[1] : 0;
}

static uint64_t bytes_of(const export *e, const hd_tensor *t)
{
    const hd_tensor_type type = is_quantised(t) ? HD_TENSOR_F32 : t->type;
    uint64_t bytes = 0;
    hd__tensor_type_size(type, t->n_elements + front_values(e, t), &bytes);
    return bytes;
}

/* Names go into JSON as they are. */
static hd_status check_names(const export *e)
{
    for (size_t i = 0; i < hd__tensors_count(e->tensors); i++) {
        const char *name = hd__tensors_at(e->tensors, i)->name;
        for (const char *c = name; *c != '\0'; c++) {
            if ((unsigned char)*c < 0x20 || *c == '"' || *c == '\\')
                return hd__fail(e->err, HD_ERR_FORMAT,
                                "%s: tensor \"%s\": a name with a quote, a backslash or a control character", e->gguf.file,
                                name);
        }
    }
    return HD_OK;
}

/* safetensors' header, of a length that is a multiple of 8 by spaces at its end. */
static void put_header(const export *e, hd_buffer *header)
{
    uint64_t at = 0;
    hd__buffer_append_text(header, "{\"__metadata__\":{\"format\":\"pt\"}");
    for (size_t i = 0; i < hd__tensors_count(e->tensors); i++) {
        const hd_tensor *t = hd__tensors_at(e->tensors, i);
        const uint64_t bytes = bytes_of(e, t);
        hd__buffer_printf(header, ",\"%s\":{\"dtype\":\"%s\",\"shape\":[", t->name,
                          hd__tensor_type_name(is_quantised(t) ? HD_TENSOR_F32 : t->type));
        for (uint32_t d = 0; d < t->n_dims; d++)
            hd__buffer_printf(header, "%s%llu", d > 0 ? "," : "",
                              (unsigned long long)(t->dims[d] + (d == 0 && front_values(e, t) > 0 ? e->n_front : 0)));
        hd__buffer_printf(header, "],\"data_offsets\":[%llu,%llu]}", (unsigned long long)at,
                          (unsigned long long)(at + bytes));
        at += bytes;
    }
    hd__buffer_append_text(header, "}");
    while (header->len % 8 != 0)
        hd__buffer_append_char(header, ' ');
}

static hd_status write_values(const export *e, const hd_tensor *t, float *piece, hd_file_writer *file)
{
    const uint64_t front = front_values(e, t) * (is_quantised(t) ? sizeof(float) : hd__tensor_type_bytes(t->type));
    memset(piece, 0, PIECE * sizeof *piece);
    for (uint64_t done = 0; done < front; done += PIECE) /* bytes, of which the piece has four times as many */
        hd__file_writer_add(file, hd__span(piece, (size_t)(front - done < PIECE ? front - done : PIECE)));
    if (!is_quantised(t)) {
        hd__file_writer_add(file, t->bytes);
        return HD_OK;
    }
    for (uint64_t at = 0; at < t->n_elements; at += PIECE) {
        const uint64_t left = t->n_elements - at, n = left < PIECE ? left : PIECE;
        HD_TRY(hd__tensor_read_f32(t, at, n, piece, e->err));
        hd__file_writer_add(file, hd__span(piece, (size_t)n * sizeof *piece));
    }
    hd__tensor_forget(t);
    return HD_OK;
}

static hd_status write_data(const export *e, hd_span header, hd_file_writer *file)
{
    const uint64_t n = header.len;
    float *piece = hd__malloc(PIECE * sizeof *piece);
    hd_status status = piece != NULL ? HD_OK : no_memory(e);
    hd__file_writer_add(file, hd__span(&n, sizeof n));
    hd__file_writer_add(file, header);
    for (size_t i = 0; status == HD_OK && i < hd__tensors_count(e->tensors); i++)
        status = write_values(e, hd__tensors_at(e->tensors, i), piece, file);
    hd__free(piece);
    return status;
}

static hd_status write_weights(export *e)
{
    hd_buffer header;
    hd_file_writer file;
    const char *path = hd__arena_printf(&e->arena, "%s/model.safetensors", e->dir);
    if (path == NULL)
        return no_memory(e);
    hd__buffer_init(&header);
    put_header(e, &header);
    hd_status status = header.failed ? no_memory(e) : hd__file_writer_open(&file, path, e->err);
    if (status == HD_OK) {
        status = write_data(e, hd__buffer_span(&header), &file);
        if (status == HD_OK)
            status = hd__file_writer_commit(&file, e->err);
        else
            hd__file_writer_abandon(&file);
    }
    hd__buffer_clear(&header);
    return status;
}

/* ---- the whole ---- */

static hd_status run(export *e, const char *gguf_path)
{
    static const char *const files[] = {"modules.json", "1_Pooling/config.json", "config.json"};
    HD_TRY(hd__gguf_parse(e->map.bytes, gguf_path, &e->arena, &e->gguf, e->err));
    HD_TRY(hd__tensors_open_file(gguf_path, &e->tensors, e->err));
    HD_TRY(check_names(e));
    const char *pooling = hd__arena_printf(&e->arena, "%s/1_Pooling", e->dir);
    HD_TRY(pooling != NULL ? hd__dir_make(pooling, e->err) : no_memory(e));
    const hd_settings_source source = hd__gguf_settings_source(&e->gguf);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        HD_TRY(write_json(e, &source, files[i]));
    HD_TRY(write_tokenizer(e));
    return write_weights(e);
}

hd_status hd__hub_export(const char *gguf_path, const char *dir, hd_error *err)
{
    export e = {.dir = dir, .err = err};
    HD_TRY(hd__file_map_open(gguf_path, &e.map, err));
    hd__arena_init(&e.arena);
    hd_status status = run(&e, gguf_path);
    hd__tensors_close(e.tensors);
    hd__arena_clear(&e.arena);
    hd__file_map_close(&e.map);
    return status;
}
