/* hub_export.c - see hub_export.h. */
#include "model/hub_export.h"

#include "base/alloc.h"
#include "model/gguf_files.h"
#include "model/gguf_settings.h"
#include "model/gguf_tokenizer.h"

typedef struct export
{
    const char *dir;
    hd_arena arena;
    hd_gguf_files files;
    hd_tensors *tensors;    /* under the Hub's names */
    const hd_tensor **plan; /* [n_plan] those that are written */
    size_t n_plan;
    uint64_t n_front; /* rows missing at the front of the table of positions */
    hd_error *err;
}
export;

static const char positions[] = "embeddings.position_embeddings.weight", answers[] = "score.weight";

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
    hd_status status = hd__gguf_write_tokenizer(&e->files.gguf, &json, e->err);
    if (status == HD_OK)
        status = write_text(e, "tokenizer.json", hd__buffer_span(&json));
    hd__buffer_clear(&json);
    return status;
}

/* ---- weights ---- */

static uint32_t find_token(const export *e, const char *text)
{
    const hd_gguf_pair *tokens = hd__gguf_find(&e->files.gguf, "tokenizer.ggml.tokens");
    hd_cursor c = hd__cursor(tokens->bytes);
    uint32_t id = 0;
    while (id < tokens->n && !hd__span_is(hd__gguf_next_text(&c), text))
        id++;
    return id;
}

/* Whether a row of one tensor is that of another. */
static hd_status compare_rows(const export *e, const hd_tensor *a, uint64_t row_a, const hd_tensor *b, uint64_t row_b,
                              bool *same)
{
    const uint64_t n = a->dims[1];
    float values[64], others[64];
    *same = a->n_dims == 2 && b->n_dims == 2 && b->dims[1] == n && row_a < a->dims[0] && row_b < b->dims[0];
    for (uint64_t at = 0; *same && at < n; at += 64) {
        const uint64_t n_part = n - at < 64 ? n - at : 64;
        HD_TRY(hd__tensor_read_f32(a, row_a * n + at, n_part, values, e->err));
        HD_TRY(hd__tensor_read_f32(b, row_b * n + at, n_part, others, e->err));
        *same = memcmp(values, others, (size_t)n_part * sizeof *values) == 0;
    }
    return HD_OK;
}

/* A Qwen3-Reranker's "yes" and "no" are rows of its table of words; the Hub's layout has no place for others. */
static hd_status check_answers(const export *e, const hd_tensor *t)
{
    static const char *const texts[] = {"yes", "no"};
    const hd_tensor *words = hd__tensors_find(e->tensors, "model.embed_tokens.weight");
    bool same = words != NULL;
    for (uint64_t i = 0; same && i < 2; i++)
        HD_TRY(compare_rows(e, t, i, words, find_token(e, texts[i]), &same));
    return same ? HD_OK
                : hd__fail(e->err, HD_ERR_UNSUPPORTED,
                           "%s: of the layer that predicts tokens it has the rows of \"yes\" and \"no\" alone; a folder "
                           "holds all of it",
                           e->files.gguf.file);
}

static hd_status plan_tensors(export *e)
{
    const size_t n = hd__tensors_count(e->tensors);
    e->plan = hd__arena_calloc(&e->arena, n, sizeof *e->plan);
    if (e->plan == NULL)
        return no_memory(e);
    for (size_t i = 0; i < n; i++) {
        const hd_tensor *t = hd__tensors_at(e->tensors, i);
        if (strcmp(t->name, answers) == 0)
            HD_TRY(check_answers(e, t));
        else
            e->plan[e->n_plan++] = t;
    }
    return HD_OK;
}

static bool is_quantised(const hd_tensor *t)
{
    return hd__tensor_type_block(t->type) > 1;
}

static uint64_t front_values(const export *e, const hd_tensor *t)
{
    const size_t n = strlen(t->name), n_end = sizeof positions - 1;
    const bool is_table = n >= n_end && strcmp(t->name + n - n_end, positions) == 0;
    return e->n_front > 0 && t->n_dims == 2 && is_table ? e->n_front * t->dims[1] : 0;
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
    for (size_t i = 0; i < e->n_plan; i++) {
        const char *name = e->plan[i]->name;
        for (const char *c = name; *c != '\0'; c++) {
            if ((unsigned char)*c < 0x20 || *c == '"' || *c == '\\')
                return hd__fail(e->err, HD_ERR_FORMAT,
                                "%s: tensor \"%s\": a name with a quote, a backslash or a control character",
                                e->files.gguf.file, name);
        }
    }
    return HD_OK;
}

/* safetensors' header, of a length that is a multiple of 8 by spaces at its end. */
static void put_header(const export *e, hd_buffer *header)
{
    uint64_t at = 0;
    hd__buffer_append_text(header, "{\"__metadata__\":{\"format\":\"pt\"}");
    for (size_t i = 0; i < e->n_plan; i++) {
        const hd_tensor *t = e->plan[i];
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
    memset(piece, 0, HD_TENSOR_PIECE * sizeof *piece);
    for (uint64_t done = 0; done < front; done += HD_TENSOR_PIECE) /* bytes, of which the piece has four times as many */
        hd__file_writer_add(file,
                            hd__span(piece, (size_t)(front - done < HD_TENSOR_PIECE ? front - done : HD_TENSOR_PIECE)));
    if (!is_quantised(t)) {
        hd__file_writer_add(file, t->bytes);
        return HD_OK;
    }
    for (uint64_t at = 0; at < t->n_elements; at += HD_TENSOR_PIECE) {
        const uint64_t left = t->n_elements - at, n = left < HD_TENSOR_PIECE ? left : HD_TENSOR_PIECE;
        HD_TRY(hd__tensor_read_f32(t, at, n, piece, e->err));
        hd__file_writer_add(file, hd__span(piece, (size_t)n * sizeof *piece));
    }
    hd__tensor_forget(t);
    return HD_OK;
}

static hd_status write_data(const export *e, hd_span header, hd_file_writer *file)
{
    const uint64_t n = header.len;
    float *piece = hd__malloc(HD_TENSOR_PIECE * sizeof *piece);
    hd_status status = piece != NULL ? HD_OK : no_memory(e);
    hd__file_writer_add(file, hd__span(&n, sizeof n));
    hd__file_writer_add(file, header);
    for (size_t i = 0; status == HD_OK && i < e->n_plan; i++)
        status = write_values(e, e->plan[i], piece, file);
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
    HD_TRY(hd__tensors_open_file(gguf_path, &e->tensors, e->err));
    HD_TRY(plan_tensors(e));
    HD_TRY(check_names(e));
    const char *pooling = hd__arena_printf(&e->arena, "%s/1_Pooling", e->dir);
    HD_TRY(pooling != NULL ? hd__dir_make(pooling, e->err) : no_memory(e));
    const hd_settings_source source = hd__gguf_settings_source(&e->files.gguf);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        HD_TRY(write_json(e, &source, files[i]));
    HD_TRY(write_tokenizer(e));
    return write_weights(e);
}

hd_status hd__hub_export(const char *gguf_path, const char *dir, hd_error *err)
{
    export e = {.dir = dir, .err = err};
    hd__arena_init(&e.arena);
    hd_status status = hd__gguf_open(gguf_path, &e.arena, &e.files, err);
    if (status == HD_OK) {
        status = run(&e, gguf_path);
        hd__tensors_close(e.tensors);
        hd__gguf_close(&e.files);
    }
    hd__arena_clear(&e.arena);
    return status;
}
