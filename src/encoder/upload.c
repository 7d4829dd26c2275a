/* upload.c - see upload.h. */
#include "encoder/upload.h"

#include "base/alloc.h"

#define STAGING_BYTES (16u << 20) /* panels made rows at a time */

/* On the way through an encoder's pointers: once to add up their bytes, once to copy what they point to. */
typedef struct mover {
    hd_device_stream *stream;
    char *base; /* of the device; NULL: bytes are added up */
    size_t at;
    char *staging;
    size_t staging_bytes;
    hd_status status; /* the first failure; nothing is copied after it */
    hd_error *err;
} mover;

/* The part's place on the device; NULL when there is nothing to copy to it. */
static char *place(mover *m, size_t bytes)
{
    char *to = hd__carve(m->base, &m->at, bytes);
    return m->status == HD_OK ? to : NULL;
}

static void send(mover *m, char *to, const void *from, size_t bytes)
{
    m->stream->accelerator->plugin->upload(m->stream->stream, to, from, bytes);
}

static void move_bytes(mover *m, const void **pointer, size_t bytes)
{
    char *to = *pointer != NULL ? place(m, bytes) : NULL;
    if (to == NULL)
        return;
    send(m, to, *pointer, bytes);
    *pointer = to;
}

static void move_floats(mover *m, const float **values, size_t n)
{
    const void *pointer = *values;
    move_bytes(m, &pointer, hd__mul(n, sizeof(float)));
    *values = pointer;
}

/* A panel's 64-byte rows hold 4 bytes of each of 16 channels, whatever the type. */
static void panel_to_rows(const uint32_t *panel, size_t n_words, uint32_t *rows)
{
    for (size_t i = 0; i < n_words; i++) {
        for (size_t c = 0; c < K_PANEL; c++)
            rows[c * n_words + i] = panel[i * K_PANEL + c];
    }
}

/* The staging area is written again only when what was in it has left. */
static void move_panels(mover *m, k_weights *w)
{
    const size_t row_bytes = (size_t)w->k_pad * k_type_bytes(w->type), panel_bytes = row_bytes * K_PANEL;
    const size_t n_panels = (size_t)w->n_pad / K_PANEL;
    char *to = place(m, n_panels * panel_bytes);
    if (m->base == NULL) {
        m->staging_bytes = panel_bytes > m->staging_bytes ? panel_bytes : m->staging_bytes;
        return;
    }
    const size_t at_once = m->staging_bytes / panel_bytes;
    const char *panels = w->panels;
    for (size_t first = 0, n; first < n_panels && m->status == HD_OK; first += n) {
        n = n_panels - first < at_once ? n_panels - first : at_once;
        for (size_t i = 0; i < n; i++)
            panel_to_rows((const uint32_t *)(const void *)(panels + (first + i) * panel_bytes), row_bytes / 4,
                          (uint32_t *)(void *)(m->staging + i * panel_bytes));
        send(m, to + first * panel_bytes, m->staging, n * panel_bytes);
        m->status = hd__device_stream_wait(m->stream, m->err);
    }
    w->panels = to;
}

static void move_linear(mover *m, k_weights *w)
{
    if (w->n == 0)
        return;
    move_panels(m, w);
    move_floats(m, &w->bias, (size_t)w->n_pad);
    move_floats(m, &w->scale, (size_t)w->n_pad);
    move_floats(m, &w->channel_sum, (size_t)w->n_pad);
}

static void move_norm(mover *m, hd_norm *norm)
{
    if (norm->n == 0)
        return;
    move_floats(m, &norm->gamma, (size_t)norm->n);
    move_floats(m, &norm->beta, (size_t)norm->n);
}

static void move_adapter(mover *m, hd_adapter *adapter, const k_weights *changed)
{
    if (adapter->rank == 0)
        return;
    move_linear(m, &adapter->down);
    move_floats(m, &adapter->lift, hd__mul((size_t)adapter->down.n, (size_t)changed->n_pad));
}

static void move_table_adapter(mover *m, hd_table_adapter *adapter, const hd_settings *s)
{
    const size_t rows = s->n_tasks * (size_t)adapter->rank;
    move_floats(m, &adapter->low, hd__mul(rows, (size_t)adapter->n_rows));
    move_floats(m, &adapter->lift, hd__mul(rows, s->hidden));
}

static void move_embedding(mover *m, hd_encoder *e)
{
    const hd_settings *s = e->settings;
    hd_embedding *t = &e->embedding;
    move_bytes(m, &t->words, hd__mul(hd__mul(s->vocab_size, t->word_stride), k_type_bytes(t->type)));
    move_floats(m, &t->word_scale, s->vocab_size);
    move_floats(m, &t->positions, hd__mul(s->n_positions, s->hidden));
    move_floats(m, &t->types, hd__mul(s->n_token_types, s->hidden));
    move_table_adapter(m, &e->word_adapter, s);
    move_table_adapter(m, &e->type_adapter, s);
    move_norm(m, &e->embedding_norm);
    move_norm(m, &e->final_norm);
}

/* Sines lie behind cosines; a bias by distance points to its middle. */
static void move_rule(mover *m, hd_attention_rule *rule, const hd_settings *s)
{
    const size_t n = hd__mul(s->n_positions, s->head_dim / 2), reach = rule->bias_stride / 2;
    if (rule->cos != NULL) {
        move_floats(m, &rule->cos, 2 * n);
        rule->sin = rule->cos + n;
    }
    if (rule->bias != NULL) {
        const float *first = rule->bias - reach;
        move_floats(m, &first, hd__mul(s->n_heads, rule->bias_stride));
        rule->bias = first + reach;
    }
}

static void move_layer(mover *m, hd_layer *layer, const hd_settings *s)
{
    k_weights *const products[] = {&layer->qkv, &layer->attention_out, &layer->up, &layer->down, &layer->gate};
    hd_norm *const norms[] = {&layer->attention_norm, &layer->output_norm, &layer->query_norm, &layer->key_norm,
                              &layer->inner_norm};
    for (size_t i = 0; i < sizeof products / sizeof products[0]; i++)
        move_linear(m, products[i]);
    for (size_t i = 0; i < sizeof norms / sizeof norms[0]; i++)
        move_norm(m, norms[i]);
    move_floats(m, &layer->q_gamma, s->head_dim);
    move_floats(m, &layer->k_gamma, s->head_dim);
    move_adapter(m, &layer->qkv_adapter, &layer->qkv);
    move_adapter(m, &layer->out_adapter, &layer->attention_out);
    move_adapter(m, &layer->up_adapter, &layer->up);
    move_adapter(m, &layer->down_adapter, &layer->down);
}

static void move_steps(mover *m, hd_head_step *steps, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        move_linear(m, &steps[i].linear);
        move_linear(m, &steps[i].residual);
        move_norm(m, &steps[i].norm);
    }
}

static void move_encoder(mover *m, hd_encoder *e)
{
    const hd_settings *s = e->settings;
    move_embedding(m, e);
    for (size_t i = 0; i < sizeof e->rules / sizeof e->rules[0]; i++)
        move_rule(m, &e->rules[i], s);
    for (uint32_t i = 0; i < s->n_layers; i++)
        move_layer(m, &e->layers[i], s);
    move_steps(m, e->dense.steps, e->dense.n_steps);
    move_steps(m, e->scores.steps, e->scores.n_steps);
    move_steps(m, e->token_steps, e->n_token_steps);
    move_linear(m, &e->vocab.dense);
    move_linear(m, &e->vocab.decoder);
    move_norm(m, &e->vocab.norm);
    move_linear(m, &e->token_weight);
}

/* A copy on the heap that shares no memory with its original but for settings and what is about to be moved. */
static hd_encoder *copy_of(const hd_encoder *e)
{
    hd_encoder *copy = hd__malloc(sizeof *copy);
    if (copy == NULL)
        return NULL;
    *copy = *e;
    hd__arena_init(&copy->arena);
    copy->layers = hd__arena_calloc(&copy->arena, e->settings->n_layers, sizeof *copy->layers);
    if (copy->layers == NULL) {
        hd__encoder_close(copy);
        return NULL;
    }
    for (uint32_t i = 0; i < e->settings->n_layers; i++) {
        copy->layers[i] = e->layers[i];
        copy->layers[i].rule = copy->rules + (e->layers[i].rule - e->rules);
    }
    if (e->embedding.tied != NULL)
        copy->embedding.tied = &copy->vocab.decoder;
    copy->device = hd__device_accelerator();
    copy->qkv_type = e->type == K_F32 ? K_F32 : K_BF16;
    copy->block_rows = copy->device->block_rows(0);
    return copy;
}

bool hd__encoder_fits(const hd_encoder *e, const hd_accelerator *a)
{
    const uint32_t needed = 1u << K_F32 | 1u << e->type;
    return !e->architecture->no_device && (a->state.types & needed) == needed;
}

hd_status hd__encoder_upload(const hd_encoder *e, hd_device_stream *stream, hd_encoder **out, hd_device_memory *memory,
                             hd_error *err)
{
    mover m = {.stream = stream, .err = err, .staging_bytes = STAGING_BYTES};
    hd_accelerator *a = stream->accelerator;
    hd_device_memory block = {0};
    hd_error why;
    hd_status status = HD_OK;
    hd_encoder *copy = copy_of(e);
    if (copy == NULL)
        return hd__fail(err, HD_ERR_MEMORY, "%s: no memory for a device's encoder", e->settings->dir);
    move_encoder(&m, copy);
    const size_t bytes = m.at;
    m.staging = hd__malloc_aligned(m.staging_bytes);
    if (m.staging == NULL) {
        status = hd__fail(err, HD_ERR_MEMORY, "%s: no memory to upload weights", e->settings->dir);
        goto out;
    }
    HD_TRY_OUT(hd__accelerator_alloc(a, bytes, &block, err));
    m.base = block.address;
    m.at = 0;
    move_encoder(&m, copy);
    status = hd__device_stream_wait(stream, m.status == HD_OK ? err : &why);
    status = m.status != HD_OK ? m.status : status;
out:
    hd__free(m.staging);
    if (status != HD_OK) {
        hd__accelerator_free(a, &block);
        hd__encoder_close(copy);
        return status;
    }
    *out = copy;
    *memory = block;
    return HD_OK;
}
