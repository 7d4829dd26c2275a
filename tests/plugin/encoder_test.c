/* encoder_test.c - every architecture and head of the small seeded models on a device, beside the CPU, in every type. The
 * device is host_plugin.h's: an encoder that reads behind one of its addresses ends this test with a fault.
 *
 * f32 is computed alike but for the order of sums. With fewer bits the two round at other places: there the bound tells a
 * wrong graph from lost bits, as in tests/golden/architecture_test.c. f16 and fp8 stand beside the CPU's f32. Random weights
 * make much of what E4M3 loses in a few rows: there the mean of all rows' cosines tells.
 *
 *   ENCODER_TEXTS   how many, at most; 16
 *   ENCODER_TOKENS  of a text, at most; 40: plain loops are slow
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>

#include "unit/scratch.h"

#include "base/alloc.h"
#include "device/device_library.h"
#include "encoder/upload.h"

#define GOLDEN "tests/golden/architectures/"

enum { MAX_SEQUENCES = 16, MAX_TOKENS = 1024, FEW_TEXTS = 4 };

static scratch folder;
static hd_error err;
static json_t *manifest;
static hd_accelerator *accelerator;

/* What a batch is made of, in one piece, so that it goes to the device in one piece. */
typedef struct input {
    int32_t begin[MAX_SEQUENCES + 1], pool_begin[MAX_SEQUENCES], n_seen[MAX_SEQUENCES];
    int32_t span_begin[MAX_SEQUENCES], span_end[MAX_SEQUENCES];
    int32_t ids[MAX_TOKENS], positions[MAX_TOKENS], types[MAX_TOKENS];
} input;

static input texts;
static int n_sequences, n_tokens;

typedef struct outputs {
    float *values[6]; /* in the order of hd_batch */
    size_t n[6], n_rows[6], total;
} outputs;

/* How a batch differs from a plain one. */
typedef struct variant {
    const char *name;
    bool types, prompts, unseen, spans;
} variant;

#define MUST(call)                                                                                                          \
    do {                                                                                                                    \
        if ((call) != HD_OK)                                                                                                \
            fail_msg("%s: %s", #call, err.text);                                                                            \
    } while (0)

/* ---- one pass ---- */

static outputs outputs_of(const hd_encoder *e)
{
    const size_t sequences = (size_t)n_sequences, tokens = (size_t)n_tokens;
    const size_t rows[6] = {sequences, tokens, tokens, tokens, sequences, sequences};
    const size_t widths[6] = {(size_t)e->n_out,        e->settings->hidden, (size_t)e->n_token_out, 1,
                              e->settings->vocab_size, (size_t)e->n_labels};
    outputs o = {0};
    for (size_t i = 0; i < 6; i++) {
        o.n_rows[i] = rows[i];
        o.n[i] = rows[i] * widths[i];
        o.total += o.n[i];
    }
    return o;
}

/* Where they are in one block of floats. */
static void place_outputs(outputs *o, float *block)
{
    for (size_t i = 0, at = 0; i < 6; at += o->n[i++])
        o->values[i] = block + at;
}

static hd_batch batch_of(const input *in, const outputs *o, const variant *v, uint32_t heads, uint32_t task)
{
    return (hd_batch){
        .n_sequences = n_sequences,
        .n_tokens = n_tokens,
        .begin = in->begin,
        .ids = in->ids,
        .positions = in->positions,
        .types = v->types ? in->types : NULL,
        .pool_begin = in->pool_begin,
        .n_spans = v->spans ? n_sequences : 0,
        .span_begin = in->span_begin,
        .span_end = in->span_end,
        .n_seen = v->unseen ? in->n_seen : NULL,
        .heads = heads,
        .task = task,
        .out = o->values[0],
        .token_states = o->values[1],
        .token_vectors = o->values[2],
        .token_weights = o->values[3],
        .vocab_weights = o->values[4],
        .scores = o->values[5],
    };
}

static float *run_on_cpu(const hd_encoder *e, const input *in, const variant *v, uint32_t heads, uint32_t task)
{
    const hd_room room = {n_tokens, n_sequences, 1};
    const size_t bytes = e->architecture->scratch_bytes(e, &room);
    outputs o = outputs_of(e);
    float *block = calloc(o.total, sizeof *block);
    char *scratch_block = hd__map_alloc(bytes);
    assert_true(block != NULL && scratch_block != NULL);
    place_outputs(&o, block);
    const hd_batch batch = batch_of(in, &o, v, heads, task);
    hd_run run = {0};
    e->architecture->forward(e, &run, &batch, &room, scratch_block);
    hd__map_free(scratch_block, bytes);
    return block;
}

static float *run_on_device(const hd_encoder *e, const input *in, const variant *v, uint32_t heads, uint32_t task)
{
    const hd_room room = {n_tokens, n_sequences, 0};
    const size_t bytes = e->architecture->scratch_bytes(e, &room);
    const hd_plugin *plugin = accelerator->plugin;
    outputs o = outputs_of(e);
    float *block = malloc(o.total * sizeof *block);
    hd_device_memory inputs, results, scratch_block;
    assert_non_null(block);
    MUST(hd__accelerator_alloc(accelerator, sizeof *in, &inputs, &err));
    MUST(hd__accelerator_alloc(accelerator, o.total * sizeof *block, &results, &err));
    MUST(hd__accelerator_alloc(accelerator, bytes, &scratch_block, &err));
    plugin->upload(accelerator->streams[0].stream, inputs.address, in, sizeof *in);
    plugin->clear(accelerator->streams[0].stream, results.address, o.total * sizeof *block);
    place_outputs(&o, (float *)(void *)results.address);
    const hd_batch batch = batch_of((const input *)(const void *)inputs.address, &o, v, heads, task);
    hd_run run = {.stream = &accelerator->streams[0]};
    e->architecture->forward(e, &run, &batch, &room, scratch_block.address);
    plugin->download(accelerator->streams[0].stream, block, results.address, o.total * sizeof *block);
    MUST(hd__device_stream_wait(&accelerator->streams[0], &err));
    hd__accelerator_free(accelerator, &inputs);
    hd__accelerator_free(accelerator, &results);
    hd__accelerator_free(accelerator, &scratch_block);
    return block;
}

/* ---- the two beside each other ---- */

/* Only the least cosine of rows of random weights tells something where there are few bits. */
static void check(const char *what, k_type type, const float *got, const float *wanted, size_t n_rows, size_t width)
{
    static const double allowed[] = {[K_F32] = 1e-4, [K_BF16] = 0.25, [K_I8] = 1.0, [K_F16] = 0.0625, [K_F8] = INFINITY};
    static const double least[] = {[K_F32] = 0.99999, [K_BF16] = 0.99, [K_I8] = 0.93, [K_F16] = 0.9999, [K_F8] = -1.0};
    static const double least_mean = 0.95; /* K_F8 */
    double sum = 0.0;
    size_t n = 0;
    for (size_t i = 0; i < n_rows; i++) {
        double ab = 0.0, aa = 0.0, bb = 0.0;
        for (size_t j = 0; j < width; j++) {
            const double a = (double)got[i * width + j], b = (double)wanted[i * width + j];
            if (!(fabs(a - b) <= allowed[type] * fmax(1.0, fabs(b) / 8.0)))
                fail_msg("%s, type %d: row %zu, value %zu is %g, on the CPU %g", what, type, i, j, a, b);
            ab += a * b;
            aa += a * a;
            bb += b * b;
        }
        if (width <= 3 || aa * bb == 0.0)
            continue;
        if (!(ab / sqrt(aa * bb) >= least[type]))
            fail_msg("%s, type %d: row %zu has cosine %.6f", what, type, i, ab / sqrt(aa * bb));
        sum += ab / sqrt(aa * bb);
        n++;
    }
    if (type == K_F8 && sum < least_mean * (double)n)
        fail_msg("%s: the mean cosine is %.6f", what, sum / (double)n);
}

static void compare(const char *model, const hd_encoder *cpu, const hd_encoder *device, const variant *v, uint32_t task)
{
    char what[256];
    const uint32_t all = v->spans ? HD_HEAD_DENSE : cpu->heads;
    /* One head alone may pick rows; all together never do. */
    const uint32_t wanted[] = {all, all & HD_HEAD_DENSE, all & HD_HEAD_SCORES};
    for (size_t h = 0; h < sizeof wanted / sizeof wanted[0]; h++) {
        if (wanted[h] == 0 || (h > 0 && wanted[h] == all))
            continue;
        outputs o = outputs_of(cpu);
        float *here = run_on_cpu(cpu, &texts, v, wanted[h], task),
              *there = run_on_device(device, &texts, v, wanted[h], task);
        for (size_t i = 0, at = 0; i < 6; at += o.n[i++]) {
            snprintf(what, sizeof what, "%s, %s, heads %u, output %zu", model, v->name, wanted[h], i);
            check(what, device->normed_type, there + at, here + at, o.n_rows[i], o.n[i] / o.n_rows[i]);
        }
        free(here);
        free(there);
    }
}

static void check_model(const char *name, const hd_settings *s, k_type cpu_type, k_type type)
{
    static const variant variants[] = {
        {.name = "plain"},
        {.name = "prompts", .prompts = true},
        {.name = "types", .types = true},
        {.name = "unseen", .unseen = true},
        {.name = "spans", .spans = true},
    };
    hd_weights *weights;
    hd_encoder *cpu, *device;
    hd_device_memory memory;
    MUST(hd__weights_open(s->dir, s, cpu_type, NULL, false, 1, &weights, &err));
    MUST(hd__encoder_open(s, weights, hd__device_cpu(), cpu_type, &cpu, &err));
    if (hd__encoder_fits(cpu, type, accelerator)) {
        const uint64_t before = hd__accelerator_used(accelerator);
        MUST(hd__encoder_upload(cpu, &(hd_upload){.type = type, .n_threads = 2}, &accelerator->streams[0], &device, &memory,
                                &err));
        assert_true(hd__accelerator_used(accelerator) == before + memory.bytes);
        for (size_t i = 0; i < sizeof variants / sizeof variants[0]; i++) {
            const variant *v = &variants[i];
            if ((v->types && cpu->embedding.types == NULL) || (v->spans && s->pooling != HD_POOLING_MEAN) ||
                (v->types && s->n_token_types < 2))
                continue;
            for (int t = 0; t < n_sequences; t++)
                texts.pool_begin[t] = v->prompts && texts.begin[t + 1] - texts.begin[t] > 2 ? 2 : 0;
            compare(name, cpu, device, v, s->n_tasks > 0 ? 1 + (uint32_t)(i % s->n_tasks) : 0);
        }
        hd__encoder_close(device);
        hd__accelerator_free(accelerator, &memory);
        assert_true(hd__accelerator_used(accelerator) == before);
    } else {
        assert_true(cpu->architecture->no_device);
    }
    hd__encoder_close(cpu);
    hd__weights_close(weights);
}

static void check_named(const char *name, k_type cpu_type, k_type type)
{
    char dir[256];
    hd_arena arena;
    hd_settings settings;
    snprintf(dir, sizeof dir, "%s/models/%s", folder.dir, name);
    hd__arena_init(&arena);
    MUST(hd__settings_read(dir, NULL, &arena, &settings, &err));
    check_model(name, &settings, cpu_type, type);
    hd__arena_clear(&arena);
}

typedef struct types {
    k_type cpu, device;
} types;

static void test_types(void **state)
{
    const types *t = *state;
    const json_t *models = json_object_get(manifest, "models");
    const char *last = "";
    if ((accelerator->state.types & 1u << t->device) == 0)
        skip();
    for (size_t i = 0; i < json_array_size(models); i++) {
        const char *name = json_string_value(json_object_get(json_array_get(models, i), "model"));
        if (strcmp(name, last) != 0) /* else once more, with a task */
            check_named(name, t->cpu, t->device);
        last = name;
    }
    check_named("tiny-pylate-residual", t->cpu, t->device); /* whose goldens are elsewhere */
}

/* The first texts alone. The last of the tests: the others are not read again. */
static void test_few_texts(void **state)
{
    n_sequences = n_sequences < FEW_TEXTS ? n_sequences : FEW_TEXTS;
    n_tokens = texts.begin[n_sequences];
    test_types(state);
}

static void read_texts(void)
{
    const json_t *sequences = json_object_get(manifest, "ids");
    const char *few_texts = getenv("ENCODER_TEXTS"), *few_tokens = getenv("ENCODER_TOKENS");
    const int most_texts = few_texts != NULL ? atoi(few_texts) : MAX_SEQUENCES;
    const int most = few_tokens != NULL ? atoi(few_tokens) : 40;
    n_sequences = (int)json_array_size(sequences);
    assert_true(n_sequences > 3 && n_sequences <= MAX_SEQUENCES);
    n_sequences = n_sequences < most_texts ? n_sequences : most_texts;
    for (int i = 0; i < n_sequences; i++) {
        const json_t *ids = json_array_get(sequences, (size_t)i);
        const int all = (int)json_array_size(ids), n = all < most ? all : most;
        assert_true(n_tokens + n <= MAX_TOKENS);
        texts.n_seen[i] = n > 2 ? n - 2 : n;
        texts.span_begin[i] = n_tokens + n / 3;
        texts.span_end[i] = n_tokens + n;
        for (int t = 0; t < n; t++) {
            texts.ids[n_tokens] = (int32_t)json_integer_value(json_array_get(ids, (size_t)t));
            texts.types[n_tokens] = t >= n - n / 2;
            texts.positions[n_tokens++] = t;
        }
        texts.begin[i + 1] = n_tokens;
    }
}

static int set_up(void **state)
{
    (void)state;
    char command[4096];
    const hd_plugin *plugin;
    json_error_t e;
    scratch_begin(&folder);
    snprintf(command, sizeof command, "python3 tools/make_tiny_architectures.py '%s/models'", folder.dir);
    manifest = json_load_file(GOLDEN "manifest.json", 0, &e);
    if (system(command) != 0 || manifest == NULL || hd__isa_init(&err) != HD_OK)
        return -1;
    read_texts();
    if (hd__device_library_open("cuda", &plugin, &err) != HD_OK ||
        hd__accelerator_open(plugin, 0, 0.8, 0, &accelerator, &err) != HD_OK) {
        print_error("%s\n", err.text);
        return -1;
    }
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    hd__accelerator_close(accelerator);
    json_decref(manifest);
    scratch_end(&folder);
    return 0;
}

int main(void)
{
    static types f32 = {K_F32, K_F32}, bf16 = {K_BF16, K_BF16}, int8 = {K_I8, K_I8}, f16 = {K_F32, K_F16},
                 fp8 = {K_F32, K_F8};
    const struct CMUnitTest tests[] = {
        {.name = "f32", .test_func = test_types, .initial_state = &f32},
        {.name = "bf16", .test_func = test_types, .initial_state = &bf16},
        {.name = "int8", .test_func = test_types, .initial_state = &int8},
        {.name = "f16", .test_func = test_types, .initial_state = &f16},
        {.name = "fp8", .test_func = test_few_texts, .initial_state = &fp8},
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
