/* registry.c - architectures by name, and what is the same for all of them. See encoder.h. */
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "encoder/encoder.h"
#include "encoder/head.h"
#include "encoder/states.h"

static const hd_architecture *const architectures[] = {
    &hd__bert,  &hd__roberta,    &hd__xlm_roberta,       &hd__camembert, &hd__distilbert,
    &hd__mpnet, &hd__nomic_bert, &hd__modernbert,        &hd__qwen3,     &hd__gemma3,
    &hd__gte,   &hd__jina_bert,  &hd__xlm_roberta_flash, &hd__static,
};

static const hd_architecture *find(const char *model_type)
{
    for (size_t i = 0; i < sizeof architectures / sizeof architectures[0]; i++) {
        if (strcmp(architectures[i]->model_type, model_type) == 0)
            return architectures[i];
    }
    return NULL;
}

/* "bert", "roberta", … */
static void list_names(char *names, size_t size)
{
    int at = 0;
    for (size_t i = 0; i < sizeof architectures / sizeof architectures[0]; i++)
        at += snprintf(names + at, size - (size_t)at, "%s\"%s\"", i > 0 ? ", " : "", architectures[i]->model_type);
}

hd_status hd__encoder_check(const hd_settings *s, hd_error *err)
{
    if (find(s->model_type) == NULL) {
        char names[512];
        list_names(names, sizeof names);
        return hd__fail(err, HD_ERR_UNSUPPORTED, "%s/config.json: model_type \"%s\" is not supported; this build runs %s",
                        s->dir, s->model_type, names);
    }
    if (s->head_dim % 2 != 0)
        return hd__fail(err, HD_ERR_UNSUPPORTED, "%s/config.json: heads of %u values; supported are even sizes up to %u",
                        s->dir, s->head_dim, HD_LIMIT_HEAD_DIM);
    if (s->max_length > s->n_positions)
        return hd__fail(err, HD_ERR_FORMAT, "%s: maximal length %u, but config.json's max_position_embeddings is %u", s->dir,
                        s->max_length, s->n_positions);
    return HD_OK;
}

bool hd__encoder_runs_on_devices(const hd_settings *s)
{
    return !find(s->model_type)->no_device;
}

uint64_t hd__encoder_flops_per_token(const hd_settings *s)
{
    uint64_t heads = 2 * (s->n_heads + s->n_kv_heads), products = s->gated ? 3 : 2;
    return 2 * s->n_layers * s->hidden * (heads * s->head_dim + products * s->intermediate);
}

/* Rows that a product reads as they are need zeros behind them, up to a whole step of k, and attention writes none. */
static k_type context_type_of(const hd_encoder *e)
{
    const int width = hd__q_width(e->settings);
    if (e->type == K_I8)
        return e->qkv_type == K_BF16 ? e->kernels.i8_out_type : K_F32;
    return e->qkv_type == e->act_type && k_padded(width) == width ? e->act_type : K_F32;
}

hd_status hd__encoder_open(const hd_settings *settings, hd_weights *weights, const hd_device_ops *device, k_type type,
                           hd_encoder **out, hd_error *err)
{
    HD_TRY(hd__encoder_check(settings, err));
    hd_encoder *e = hd__calloc(1, sizeof *e);
    if (e == NULL)
        return hd__fail(err, HD_ERR_MEMORY, "%s: no memory", settings->dir);
    hd__arena_init(&e->arena);
    e->architecture = find(settings->model_type);
    e->settings = settings;
    e->device = device;
    hd__kernels_fill(&e->kernels);
    e->type = type;
    e->act_type = e->normed_type = hd__gemm_row_type(&e->kernels, type);
    e->qkv_type = type != K_F32 && e->kernels.bf16_attention_fast ? K_BF16 : K_F32;
    e->context_type = context_type_of(e);
    e->middle_type = type == K_I8 ? e->kernels.i8_out_type : e->act_type;
    e->block_rows = device->block_rows(hd__middle_row_bytes(e));
    hd_status status = e->architecture->bind(e, weights, err);
    if (status == HD_OK)
        status = hd__bind_heads(e, weights, err);
    if (status != HD_OK) {
        hd__encoder_close(e);
        return status;
    }
    *out = e;
    return HD_OK;
}

hd_status hd__encoder_measure(const hd_settings *settings, hd_weights *weights, const hd_device_ops *device, k_type type,
                              uint64_t *bytes, hd_error *err)
{
    hd_encoder *e = NULL;
    if (hd__weights_mapped(weights)) {
        *bytes = hd__weights_bytes(weights);
        return HD_OK;
    }
    hd__weights_measure_begin(weights);
    hd_status status = hd__encoder_open(settings, weights, device, type, &e, err);
    *bytes = hd__weights_measure_end(weights);
    hd__encoder_close(e);
    HD_TRY(status);
    return hd__weights_check_adapters(weights, err);
}

void hd__encoder_close(hd_encoder *e)
{
    if (e == NULL)
        return;
    hd__arena_clear(&e->arena);
    hd__free(e);
}
