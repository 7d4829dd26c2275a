/* upload.c - see upload.h. */
#include "encoder/upload.h"

#include <assert.h>
#include <math.h>

#include "base/alloc.h"
#include "base/f8.h"
#include "base/parallel.h"

#define STAGING_BYTES (16u << 20) /* what is made anew at a time; one half is sent while the other is made */
#define TURN_BYTES (64u << 10)    /* of it by one thread at a time */

/* On the way through an encoder's pointers: once to add up their bytes, once to copy what they point to. */
typedef struct mover {
    hd_device_stream *stream;
    k_type type, normed_type; /* of the products there */
    uint32_t n_threads;
    char *base; /* of the device; NULL: bytes are added up */
    size_t at;
    char *staging;                /* two halves */
    size_t staging_bytes, n_sent; /* of a half; how many have left */
    hd_status status;             /* the first failure; nothing is copied after it */
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

/* ---- what is made anew on the way ---- */

/* Past the range of an f16 is a NaN there, as it is on devices (HD_PLUGIN_F16). */
static uint16_t narrow(k_type type, float value)
{
    const uint16_t half = type == K_F16 ? hd__half_of(value) : k_bf16_from_f32(value);
    return type == K_F16 && (half & 0x7fff) == 0x7c00 ? 0x7fff : half;
}

/* A panel's 64-byte rows hold 4 bytes of each of 16 channels, whatever the type. */
static void panel_to_rows(const void *panel, size_t n_words, void *rows)
{
    const uint32_t *from = panel;
    uint32_t *to = rows;
    for (size_t i = 0; i < n_words; i++) {
        for (size_t c = 0; c < K_PANEL; c++)
            to[c * n_words + i] = from[i * K_PANEL + c];
    }
}

/* One of f32. */
static void panel_to_narrow_rows(k_type type, const void *panel, size_t n, void *rows)
{
    const float *from = panel;
    uint16_t *to = rows;
    for (size_t c = 0; c < K_PANEL; c++) {
        for (size_t i = 0; i < n; i++)
            to[c * n + i] = narrow(type, from[i * K_PANEL + c]);
    }
}

/* One of f32, each channel with its scale, as rows of activations have theirs (HD_PLUGIN_F8). */
static void panel_to_f8_rows(const void *panel, size_t n, void *rows, float *scales)
{
    const float *from = panel;
    uint8_t *to = rows;
    for (size_t c = 0; c < K_PANEL; c++) {
        float most = 0.0f;
        bool is_finite = true;
        for (size_t i = 0; i < n; i++) {
            is_finite &= isfinite(from[i * K_PANEL + c]) != 0;
            most = fmaxf(most, fabsf(from[i * K_PANEL + c]));
        }
        scales[c] = !is_finite ? NAN : most < K_ACT_RANGE_MIN ? 1.0f : most / HD_F8_MOST;
        for (size_t i = 0; i < n; i++)
            to[c * n + i] = hd__f8_of(from[i * K_PANEL + c] / scales[c]);
    }
}

static void row_to_narrow(k_type type, const void *row, size_t n, void *narrowed)
{
    const float *from = row;
    uint16_t *to = narrowed;
    for (size_t i = 0; i < n; i++)
        to[i] = narrow(type, from[i]);
}

/* Pieces of weights: panels, or rows of words. */
typedef struct pieces {
    bool are_panels;
    k_type from_type, type;
    const char *from;
    size_t n, width;          /* values of a row */
    size_t from_bytes, bytes; /* of a piece */
    size_t n_scales;          /* of a piece, K_F8 */
} pieces;

/* Some of them on their way to the staging area. */
typedef struct some_pieces {
    const pieces *all;
    size_t first, n, each; /* each: of a thread's turn */
    char *to;
    float *scales;
} some_pieces;

static void make_piece(const pieces *p, size_t i, char *to, float *scales)
{
    const char *from = p->from + i * p->from_bytes;
    if (!p->are_panels)
        row_to_narrow(p->type, from, p->width, to);
    else if (p->type == K_F8)
        panel_to_f8_rows(from, p->width, to, scales);
    else if (p->type == p->from_type)
        panel_to_rows(from, p->bytes / K_PANEL / 4, to);
    else
        panel_to_narrow_rows(p->type, from, p->width, to);
}

static hd_status make_some(void *data, size_t turn, uint32_t worker, hd_error *err)
{
    (void)worker, (void)err;
    const some_pieces *s = data;
    const size_t begin = turn * s->each, end = begin + s->each < s->n ? begin + s->each : s->n;
    for (size_t i = begin; i < end; i++)
        make_piece(s->all, s->first + i, s->to + i * s->all->bytes, s->scales + i * s->all->n_scales);
    return HD_OK;
}

/* A half of the staging area is written again only when what was in it has left: the other is sent after that. */
static void send_some(mover *m, some_pieces *s, char *to, char *scales_to)
{
    const size_t turn = TURN_BYTES / s->all->bytes, bytes = s->n * s->all->bytes, n_scales = s->n * s->all->n_scales;
    s->each = turn > 0 ? turn : 1;
    s->to = m->staging + m->n_sent++ % 2 * m->staging_bytes;
    s->scales = (float *)(void *)(s->to + bytes);
    m->status = hd__parallel(m->n_threads, (s->n + s->each - 1) / s->each, make_some, s, m->err);
    if (m->status == HD_OK)
        m->status = hd__device_stream_wait(m->stream, m->err);
    if (m->status != HD_OK)
        return;
    send(m, to, s->to, bytes);
    if (n_scales > 0)
        send(m, scales_to, s->scales, n_scales * sizeof(float));
}

/* scales: NULL where there are none. */
static void move_pieces(mover *m, const pieces *p, const void **pointer, const float **scales)
{
    const size_t scale_bytes = p->n_scales * sizeof(float), piece_bytes = p->bytes + scale_bytes;
    char *to = place(m, hd__mul(p->n, p->bytes)), *scales_to = scales != NULL ? place(m, hd__mul(p->n, scale_bytes)) : NULL;
    if (m->base == NULL) {
        m->staging_bytes = piece_bytes > m->staging_bytes ? piece_bytes : m->staging_bytes;
        return;
    }
    const size_t at_once = m->staging_bytes / piece_bytes;
    for (size_t first = 0; first < p->n && m->status == HD_OK; first += at_once) {
        some_pieces some = {.all = p, .first = first, .n = p->n - first < at_once ? p->n - first : at_once};
        send_some(m, &some, to + first * p->bytes, scales_to != NULL ? scales_to + first * scale_bytes : NULL);
    }
    *pointer = to;
    if (scales != NULL)
        *scales = (const float *)(const void *)scales_to;
}

static void move_panels(mover *m, k_weights *w, k_type type)
{
    const size_t values = (size_t)w->k_pad * K_PANEL;
    const pieces panels = {.are_panels = true,
                           .from_type = w->type,
                           .type = type,
                           .from = w->panels,
                           .n = (size_t)w->n_pad / K_PANEL,
                           .width = (size_t)w->k_pad,
                           .from_bytes = values * k_type_bytes(w->type),
                           .bytes = values * k_type_bytes(type),
                           .n_scales = type == K_F8 ? K_PANEL : 0};
    move_pieces(m, &panels, &w->panels, type == K_F8 ? &w->scale : NULL);
    w->type = m->base != NULL ? type : w->type;
}

/* The bias as products of 16 bits add it that are stored in those. To be called before the bias itself has moved. */
static void move_rounded_bias(mover *m, k_weights *w, k_type type)
{
    const size_t n = (size_t)w->n_pad;
    const pieces one = {.from_type = K_F32,
                        .type = type,
                        .from = (const char *)w->bias,
                        .n = 1,
                        .width = n,
                        .from_bytes = n * sizeof(float),
                        .bytes = n * k_type_bytes(type)};
    if (type == K_BF16 || type == K_F16)
        move_pieces(m, &one, &w->rounded_bias, NULL);
}

/* `type`: what it is there. */
static void move_linear(mover *m, k_weights *w, k_type type)
{
    if (w->n == 0)
        return;
    move_floats(m, &w->bias, (size_t)w->n_pad);
    move_floats(m, &w->scale, (size_t)w->n_pad);
    move_floats(m, &w->channel_sum, (size_t)w->n_pad);
    move_panels(m, w, type);
}

static void move_norm(mover *m, hd_norm *norm)
{
    if (norm->n == 0)
        return;
    move_floats(m, &norm->gamma, (size_t)norm->n);
    move_floats(m, &norm->beta, (size_t)norm->n);
}

/* `type`: of what the changed product reads. */
static void move_adapter(mover *m, hd_adapter *adapter, const k_weights *changed, k_type type)
{
    if (adapter->rank == 0)
        return;
    move_linear(m, &adapter->down, type);
    move_floats(m, &adapter->lift, hd__mul((size_t)adapter->down.n, (size_t)changed->n_pad));
}

static void move_table_adapter(mover *m, hd_table_adapter *adapter, const hd_settings *s)
{
    const size_t rows = s->n_tasks * (size_t)adapter->rank;
    move_floats(m, &adapter->low, hd__mul(rows, (size_t)adapter->n_rows));
    move_floats(m, &adapter->lift, hd__mul(rows, s->hidden));
}

static void move_words(mover *m, hd_embedding *t, size_t n)
{
    const size_t row_bytes = hd__mul(t->word_stride, k_type_bytes(t->type));
    const pieces rows = {.from_type = t->type,
                         .type = m->type,
                         .from = t->words,
                         .n = n,
                         .width = t->word_stride,
                         .from_bytes = row_bytes,
                         .bytes = hd__mul(t->word_stride, k_type_bytes(m->type))};
    if (t->words == NULL || t->type == m->type) {
        move_bytes(m, &t->words, hd__mul(n, row_bytes));
        return;
    }
    move_pieces(m, &rows, &t->words, NULL);
    t->type = m->base != NULL ? m->type : t->type;
}

static void move_embedding(mover *m, hd_encoder *e)
{
    const hd_settings *s = e->settings;
    hd_embedding *t = &e->embedding;
    move_words(m, t, s->vocab_size);
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
    k_weights *const of_norms[] = {&layer->qkv, &layer->up, &layer->gate};
    k_weights *const others[] = {&layer->attention_out, &layer->down};
    hd_norm *const norms[] = {&layer->attention_norm, &layer->output_norm,         &layer->query_norm,   &layer->key_norm,
                              &layer->inner_norm,     &layer->attention_post_norm, &layer->ffn_post_norm};
    move_rounded_bias(m, &layer->qkv, m->normed_type);
    for (size_t i = 0; i < sizeof of_norms / sizeof of_norms[0]; i++)
        move_linear(m, of_norms[i], m->normed_type);
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        move_linear(m, others[i], m->type);
    for (size_t i = 0; i < sizeof norms / sizeof norms[0]; i++)
        move_norm(m, norms[i]);
    move_floats(m, &layer->q_gamma, s->head_dim);
    move_floats(m, &layer->k_gamma, s->head_dim);
    move_adapter(m, &layer->qkv_adapter, &layer->qkv, m->normed_type);
    move_adapter(m, &layer->out_adapter, &layer->attention_out, m->type);
    move_adapter(m, &layer->up_adapter, &layer->up, m->normed_type);
    move_adapter(m, &layer->down_adapter, &layer->down, m->type);
}

static void move_steps(mover *m, hd_head_step *steps, uint32_t n, k_type type)
{
    for (uint32_t i = 0; i < n; i++) {
        move_linear(m, &steps[i].linear, type);
        move_linear(m, &steps[i].residual, type);
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
    move_steps(m, e->dense.steps, e->dense.n_steps, K_F32);
    move_steps(m, e->query_dense.steps, e->query_dense.n_steps, K_F32);
    move_steps(m, e->scores.steps, e->scores.n_steps, K_F32);
    move_steps(m, e->token_steps, e->n_token_steps, m->type);
    move_linear(m, &e->vocab.dense, m->type);
    move_linear(m, &e->vocab.decoder, m->type);
    move_norm(m, &e->vocab.norm);
    move_linear(m, &e->token_weight, K_F32);
}

/* What is not a product behind a layer's norm. */
static k_type type_beside(k_type type)
{
    return type == K_F8 ? K_F16 : type;
}

/* A copy on the heap that shares no memory with its original but for settings and what is about to be moved. */
static hd_encoder *copy_of(const hd_encoder *e, k_type type, bool gathers)
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
    copy->embedding.is_gathered = gathers;
    copy->embedding.words = gathers ? NULL : e->embedding.words;
    copy->embedding.word_scale = gathers ? NULL : e->embedding.word_scale;
    copy->device = hd__device_accelerator();
    copy->type = copy->act_type = type_beside(type);
    copy->normed_type = type;
    copy->qkv_type = type == K_I8 ? K_BF16 : copy->type;
    copy->context_type = copy->middle_type = type == K_I8 ? K_F32 : copy->type;
    copy->block_rows = copy->device->block_rows(0);
    return copy;
}

bool hd__encoder_fits(const hd_encoder *e, k_type type, const hd_accelerator *a)
{
    const uint32_t needed = 1u << K_F32 | 1u << type_beside(type) | 1u << type;
    return !e->architecture->no_device && (a->state.types & needed) == needed;
}

bool hd__encoder_can_gather(const hd_encoder *e)
{
    return e->embedding.words != NULL && e->word_adapter.low == NULL;
}

hd_status hd__encoder_measure_there(const hd_encoder *e, const hd_upload *how, const hd_room *room, uint64_t *weights,
                                    uint64_t *scratch, hd_error *err)
{
    mover m = {.type = type_beside(how->type), .normed_type = how->type, .err = err};
    hd_encoder *copy = copy_of(e, how->type, how->gathers);
    if (copy == NULL)
        return hd__fail(err, HD_ERR_MEMORY, "%s: no memory for a device's encoder", e->settings->dir);
    move_encoder(&m, copy);
    *weights = m.at;
    *scratch = e->architecture->scratch_bytes(copy, room);
    hd__encoder_close(copy);
    return HD_OK;
}

hd_status hd__encoder_upload(const hd_encoder *e, const hd_upload *how, hd_device_stream *stream, hd_encoder **out,
                             hd_device_memory *memory, hd_error *err)
{
    mover m = {.stream = stream,
               .type = type_beside(how->type),
               .normed_type = how->type,
               .n_threads = how->n_threads,
               .err = err,
               .staging_bytes = STAGING_BYTES};
    hd_accelerator *a = stream->accelerator;
    hd_device_memory block = {0};
    hd_error why;
    hd_status status = HD_OK;
    assert((how->type == e->type || (e->type == K_F32 && how->type != K_I8)) &&
           (!how->gathers || hd__encoder_can_gather(e)));
    hd_encoder *copy = copy_of(e, how->type, how->gathers);
    if (copy == NULL)
        return hd__fail(err, HD_ERR_MEMORY, "%s: no memory for a device's encoder", e->settings->dir);
    move_encoder(&m, copy);
    const size_t bytes = m.at;
    m.staging = hd__map_alloc(2 * m.staging_bytes);
    if (m.staging == NULL) {
        status = hd__fail(err, HD_ERR_MEMORY, "%s: no memory to upload weights", e->settings->dir);
        goto out;
    }
    HD_TRY_OUT(hd__accelerator_alloc(a, bytes, &block, err));
    hd__device_stream_stage(stream, m.staging, 2 * m.staging_bytes);
    m.base = block.address;
    m.at = 0;
    move_encoder(&m, copy);
    status = hd__device_stream_wait(stream, m.status == HD_OK ? err : &why);
    status = m.status != HD_OK ? m.status : status;
    hd__device_stream_stage(stream, NULL, 0);
out:
    hd__map_free(m.staging, 2 * m.staging_bytes);
    if (status != HD_OK) {
        hd__accelerator_free(a, &block);
        hd__encoder_close(copy);
        return status;
    }
    *out = copy;
    *memory = block;
    return HD_OK;
}
