/* A model folder's settings files, all in one input: {"config.json": {…}, "modules.json": […], …}. What is
 * accepted must keep the promises that the encoder builds on. */
#include <stdint.h>
#include <stdlib.h>

#include "model/settings.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static hd_status read_member(void *data, const char *path, json_t **root, hd_error *err)
{
    json_t *file = json_object_get(data, path);
    if (file == NULL)
        return hd__fail(err, HD_ERR_NOT_FOUND, "%s: no such file", path);
    *root = json_incref(file);
    return HD_OK;
}

static void check(const hd_settings *s)
{
    uint64_t width = (uint64_t)s->hidden * (uint64_t)__builtin_popcount(s->pooling);
    if (s->pooling == 0 || s->pooling > 63 || s->max_length == 0 || s->max_length > HD_LIMIT_SEQUENCE ||
        !(s->norm_eps > 0) || s->n_dense > HD_LIMIT_DENSE_MODULES || s->n_prompts > HD_LIMIT_PROMPTS ||
        s->hidden > HD_LIMIT_HIDDEN)
        abort();
    for (uint32_t i = 0; i < s->n_dense; i++) {
        if (width != 0 && s->dense[i].n_in != width)
            abort();
        width = s->dense[i].n_out;
    }
    if (strcmp(s->model_type, "bert") == 0 && (s->hidden == 0 || s->n_heads == 0 || s->hidden % s->n_heads != 0))
        abort();
    for (uint32_t i = 0; i < s->n_prompts; i++) {
        if (s->prompts[i].name == NULL || s->prompts[i].text == NULL)
            abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    json_t *root;
    if (hd__json_parse(hd__span(data, size), "fuzz", &root, NULL) != HD_OK)
        return 0;
    hd_arena arena;
    hd_settings settings;
    hd_error err;
    hd__arena_init(&arena);
    for (int of_queries = 0; of_queries < 2; of_queries++) { /* a Router's sides */
        const hd_settings_source source = {.read = read_member, .data = root, .of_queries = of_queries != 0};
        if (hd__settings_read_from(&source, "dir", &arena, &settings, &err) != HD_OK)
            continue;
        check(&settings);
        if (hd__pooling_name(settings.pooling, &arena) == NULL)
            abort();
    }
    hd__arena_clear(&arena);
    json_decref(root);
    return 0;
}
