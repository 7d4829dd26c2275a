/* architecture_test.c - what every architecture and head makes of token ids, beside the reference libraries
 * (tests/golden/architectures), in every type at every level of this processor that has kernels for it; each head alone, and
 * all of them in one pass of two threads. Instrumented builds see the shorter sequences. No encoder may call kernels that
 * levels.h does not know of, since it leaves out the levels at which those alone are others.
 *
 * The models have random weights, which are harder on few bits than trained ones: bounds for bf16 and int8 only tell
 * lost bits from a wrong graph.
 */
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>

#include "golden/levels.h"
#include "sanitized.h"
#include "unit/scratch.h"

#include "base/alloc.h"
#include "base/file.h"
#include "encoder/encoder.h"

#define GOLDEN "tests/golden/architectures/"

enum { N_HEADS = 5, MAX_SEQUENCES = 16, MAX_TOKENS = 1024 };

static scratch folder;
static hd_error err;
static json_t *manifest;

static struct {
    int n_sequences, n_tokens;
    size_t n_golden_sequences, n_golden_tokens; /* that files have values of: these, and more behind them */
    int32_t begin[MAX_SEQUENCES + 1], pool_begin[MAX_SEQUENCES];
    int32_t ids[MAX_TOKENS], positions[MAX_TOKENS], types[MAX_TOKENS];
} input;

/* ---- kernels that an encoder is not to call ---- */

static atomic_int n_forbidden;

static void forbidden_product(const k_gemm *gemm)
{
    (void)gemm;
    n_forbidden++;
}

static void forbidden_attention(const k_attention *attention)
{
    (void)attention;
    n_forbidden++;
}

/* Leaves what levels.h says an encoder of the type computes with. Rows that no encoder has anything to do with are gone. */
static void forbid_others(k_type type, hd_kernels *kernels)
{
    hd_kernels left = *kernels;
#define K(entry, type_of_entry, isa, symbol)                                                                                \
    if (!is_used(type, #entry))                                                                                             \
        left.entry = NULL;
#include "kernel/kernels.inc"
#undef K
    k_gemm_fn **const products[] = {&left.gemm_f32, &left.gemm_bf16, &left.gemm_i8};
    k_attention_fn **const attentions[] = {&left.attention_f32, &left.attention_bf16};
    for (size_t i = 0; i < sizeof products / sizeof products[0]; i++)
        *products[i] = *products[i] != NULL ? *products[i] : forbidden_product;
    for (size_t i = 0; i < sizeof attentions / sizeof attentions[0]; i++)
        *attentions[i] = *attentions[i] != NULL ? *attentions[i] : forbidden_attention;
    *kernels = left;
}

/* ---- one model ---- */

typedef struct fixture {
    const char *name, *level;
    k_type type;
    hd_arena arena;
    hd_settings settings;
    hd_weights *weights;
    hd_encoder *encoder;
    hd_batch batch;
    uint32_t task;
} fixture;

typedef struct head {
    const char *name;
    uint32_t bit;
    float *(*out)(const hd_batch *batch);
    size_t width; /* of a row: a sequence or a token */
} head;

static float *dense_of(const hd_batch *b)
{
    return b->out;
}

static float *weights_of(const hd_batch *b)
{
    return b->token_weights;
}

static float *vectors_of(const hd_batch *b)
{
    return b->token_vectors;
}

static float *vocabulary_of(const hd_batch *b)
{
    return b->vocab_weights;
}

static float *scores_of(const hd_batch *b)
{
    return b->scores;
}

static void list_heads(const hd_encoder *e, head heads[N_HEADS])
{
    const head all[N_HEADS] = {
        {"dense", HD_HEAD_DENSE, dense_of, (size_t)e->n_out},
        {"weights", HD_HEAD_SPARSE, weights_of, 1},
        {"vectors", HD_HEAD_MULTI, vectors_of, (size_t)e->n_token_out},
        {"vocabulary", HD_HEAD_SPARSE, vocabulary_of, e->settings->vocab_size},
        {"scores", HD_HEAD_SCORES, scores_of, (size_t)e->n_labels},
    };
    memcpy(heads, all, sizeof all);
}

/* What bf16 and int8 may do to a row of random weights: a mean over rows, and the least. */
static void check_rows(const fixture *f, const head *h, const float *got, const float *wanted, size_t n_rows)
{
    static const double least_mean[] = {[K_F32] = 0.99999, [K_BF16] = 0.999, [K_I8] = 0.985};
    static const double least[] = {[K_F32] = 0.99999, [K_BF16] = 0.99, [K_I8] = 0.93};
    double sum = 0.0, min = 1.0, error = 0.0;
    for (size_t i = 0; i < n_rows; i++) {
        double ab = 0.0, aa = 0.0, bb = 0.0;
        for (size_t j = 0; j < h->width; j++) {
            const double a = (double)got[i * h->width + j], b = (double)wanted[i * h->width + j];
            error = fmax(error,
                         fabs(a - b) / (f->settings.sparse_sums ? fmax(1.0, fabs(b)) : 1.0)); /* of a long sum its share */
            ab += a * b;
            aa += a * a;
            bb += b * b;
        }
        const double cosine = aa * bb > 0.0 ? ab / sqrt(aa * bb) : 1.0;
        sum += cosine;
        min = fmin(min, cosine);
    }
    if (getenv("HEDDLE_TEST_VERBOSE") != NULL)
        print_message("%-12s %-28s %-10s type %d: mean %.6f min %.6f error %.1e\n", f->level, f->name, h->name, f->type,
                      sum / (double)n_rows, min, error);
    if (h->width > 3 && !(sum / (double)n_rows >= least_mean[f->type] && min >= least[f->type]))
        fail_msg("%s %s %s, type %d: cosine mean %.6f, min %.6f", f->level, f->name, h->name, f->type, sum / (double)n_rows,
                 min);
    const double allowed = f->type == K_F32 ? 1e-4 : f->type == K_BF16 ? 0.25 : 1.0;
    if (!(error <= allowed))
        fail_msg("%s %s %s, type %d: a value is off by %.2e", f->level, f->name, h->name, f->type, error);
}

static void run(const fixture *f, uint32_t heads, const hd_batch *outputs)
{
    const hd_encoder *e = f->encoder;
    const hd_room room = {input.n_tokens, input.n_tokens, 1};
    const size_t bytes = e->architecture->scratch_bytes(e, &room);
    char *block = hd__map_alloc(bytes);
    assert_non_null(block);
    hd_batch batch = *outputs;
    batch.heads = heads;
    batch.task = f->task;
    hd_run alone = {0};
    hd__no_alloc_begin("forward");
    e->architecture->forward(e, &alone, &batch, &room, block);
    hd__no_alloc_end();
    hd__map_free(block, bytes);
}

typedef struct member {
    const fixture *f;
    const hd_batch *batch;
    char *block;
    hd_run run;
} member;

static void *run_member(void *data)
{
    member *m = data;
    const hd_room room = {input.n_tokens, input.n_tokens, 2};
    m->f->encoder->architecture->forward(m->f->encoder, &m->run, m->batch, &room, m->block);
    return NULL;
}

/* All heads by a team of two. */
static void run_team(const fixture *f, const hd_batch *outputs)
{
    const hd_room room = {input.n_tokens, input.n_tokens, 2};
    const size_t bytes = f->encoder->architecture->scratch_bytes(f->encoder, &room);
    hd_team team = {.n_members = 2};
    hd_batch batch = *outputs;
    batch.heads = f->encoder->heads;
    batch.task = f->task;
    char *block = hd__map_alloc(bytes);
    assert_non_null(block);
    member members[2] = {{f, &batch, block, {.team = &team}}, {f, &batch, block, {.team = &team, .rank = 1}}};
    pthread_t second;
    assert_int_equal(pthread_create(&second, NULL, run_member, &members[1]), 0);
    run_member(&members[0]);
    pthread_join(second, NULL);
    hd__map_free(block, bytes);
}

static bool is_of_tokens(const head *h)
{
    return h->out == weights_of || h->out == vectors_of;
}

static float *floats(size_t n)
{
    float *values = malloc((n + 1) * sizeof *values);
    assert_non_null(values);
    for (size_t i = 0; i < n; i++)
        values[i] = NAN;
    return values;
}

static hd_batch new_batch(const hd_encoder *e, bool two_types)
{
    const size_t sequences = (size_t)input.n_sequences, tokens = (size_t)input.n_tokens;
    return (hd_batch){
        .n_sequences = input.n_sequences,
        .n_tokens = input.n_tokens,
        .begin = input.begin,
        .ids = input.ids,
        .positions = input.positions,
        .types = two_types ? input.types : NULL,
        .pool_begin = input.pool_begin,
        .out = floats(sequences * (size_t)e->n_out),
        .token_states = floats(tokens * e->settings->hidden),
        .token_vectors = floats(tokens * (size_t)e->n_token_out),
        .token_weights = floats(tokens),
        .vocab_weights = floats(sequences * e->settings->vocab_size),
        .scores = floats(sequences * (size_t)e->n_labels),
    };
}

static void free_batch(hd_batch *b)
{
    free(b->out);
    free(b->token_states);
    free(b->token_vectors);
    free(b->token_weights);
    free(b->vocab_weights);
    free(b->scores);
}

/* Every head alone and beside the reference; all of them at once, by a team of two, must be the same bits. */
static void check_model(fixture *f, const json_t *entry, const float *wanted)
{
    const json_t *values = json_object_get(entry, "values");
    const bool two_types = json_is_true(json_object_get(entry, "two_types"));
    hd_batch alone = new_batch(f->encoder, two_types), together = new_batch(f->encoder, two_types);
    head heads[N_HEADS];
    uint32_t seen = HD_HEAD_TOKENS;
    list_heads(f->encoder, heads);
    run_team(f, &together); /* all that the encoder can do */
    if (n_forbidden > 0)
        fail_msg("%s %s, type %d: kernels are called that levels.h does not have for it", f->level, f->name, f->type);
    const char *name;
    json_t *count;
    json_object_foreach ((json_t *)(uintptr_t)values, name, count) {
        for (size_t i = 0; i < N_HEADS; i++) {
            const head *h = &heads[i];
            if (strcmp(h->name, name) != 0)
                continue;
            const size_t n_rows = (size_t)(is_of_tokens(h) ? input.n_tokens : input.n_sequences), n = n_rows * h->width;
            const size_t n_golden = (is_of_tokens(h) ? input.n_golden_tokens : input.n_golden_sequences) * h->width;
            assert_int_equal(n_golden, json_integer_value(count));
            run(f, h->bit, &alone);
            check_rows(f, h, h->out(&alone), wanted, n_rows);
            if (memcmp(h->out(&alone), h->out(&together), n * sizeof(float)) != 0)
                fail_msg("%s %s %s: other values beside other heads", f->level, f->name, h->name);
            wanted += n_golden;
            seen |= h->bit;
        }
    }
    assert_int_equal(f->encoder->heads, seen);
    free_batch(&alone);
    free_batch(&together);
}

/* The task that an entry is of; NULL: none. */
static void find_task(fixture *f, const char *name)
{
    if (name == NULL)
        return;
    while (f->task < f->settings.n_tasks && strcmp(f->settings.tasks[f->task], name) != 0)
        f->task++;
    assert_true(f->task++ < f->settings.n_tasks);
}

static void check_type(const char *level, const json_t *entry, k_type type)
{
    char dir[256], path[256];
    fixture f = {.name = json_string_value(json_object_get(entry, "model")), .level = level, .type = type};
    hd_file_map map;
    snprintf(dir, sizeof dir, "%s/models/%s", folder.dir, f.name);
    snprintf(path, sizeof path, GOLDEN "%s", json_string_value(json_object_get(entry, "file")));
    hd__arena_init(&f.arena);
    if (hd__file_map_open(path, &map, &err) != HD_OK || hd__settings_read(dir, NULL, &f.arena, &f.settings, &err) != HD_OK ||
        hd__weights_open(f.settings.dir, &f.settings, type, NULL, false, 1, &f.weights, &err) != HD_OK ||
        hd__encoder_open(&f.settings, f.weights, hd__device_cpu(), type, &f.encoder, &err) != HD_OK)
        fail_msg("%s: %s", f.name, err.text);
    find_task(&f, json_string_value(json_object_get(entry, "task")));
    forbid_others(type, &f.encoder->kernels);
    check_model(&f, entry, (const float *)(const void *)map.bytes.ptr);
    hd__encoder_close(f.encoder);
    hd__weights_close(f.weights);
    hd__file_map_close(&map);
    hd__arena_clear(&f.arena);
}

/* ---- levels ---- */

static void test_level(void **state)
{
    const tested_level *l = *state;
    if (hd__isa_set_mask(l->mask, &err) != HD_OK)
        fail_msg("%s", err.text);
    const bool here = hd__isa_has(l->isa);
    const json_t *models = json_object_get(manifest, "models");
    for (k_type type = K_F32; here && type <= K_I8; type++) {
        const bool differs = level_differs(type);
        for (size_t i = 0; differs && i < json_array_size(models); i++)
            check_type(hd__isa_name(l->isa), json_array_get(models, i), type);
    }
    assert_int_equal(hd__isa_set_mask("", &err), HD_OK);
    if (!here)
        skip(); /* this processor lacks the level */
}

static void read_input(void)
{
    const json_t *sequences = json_object_get(manifest, "ids");
    input.n_golden_sequences = json_array_size(sequences);
    for (size_t i = 0; i < input.n_golden_sequences; i++)
        input.n_golden_tokens += json_array_size(json_array_get(sequences, i));
    input.n_sequences = SANITIZED ? 4 : (int)input.n_golden_sequences; /* they grow longer */
    assert_true(input.n_sequences > 3 && input.n_sequences <= MAX_SEQUENCES);
    for (int i = 0; i < input.n_sequences; i++) {
        const json_t *ids = json_array_get(sequences, (size_t)i);
        const int n = (int)json_array_size(ids);
        assert_true(input.n_tokens + n <= MAX_TOKENS);
        for (int t = 0; t < n; t++) {
            input.ids[input.n_tokens] = (int32_t)json_integer_value(json_array_get(ids, (size_t)t));
            input.types[input.n_tokens] = t >= n - n / 2;
            input.positions[input.n_tokens++] = t;
        }
        input.begin[i + 1] = input.n_tokens;
    }
}

static int set_up(void **state)
{
    (void)state;
    char command[4096];
    scratch_begin(&folder);
    snprintf(command, sizeof command, "python3 tools/make_tiny_architectures.py '%s/models'", folder.dir);
    json_error_t e;
    manifest = json_load_file(GOLDEN "manifest.json", 0, &e);
    if (system(command) != 0 || manifest == NULL || hd__isa_init(&err) != HD_OK)
        return -1;
    read_input();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    json_decref(manifest);
    scratch_end(&folder);
    return 0;
}

int main(void)
{
    struct CMUnitTest tests[N_LEVELS];
    for (size_t i = 0; i < N_LEVELS; i++)
        tests[i] =
            (struct CMUnitTest){.name = hd__isa_name(levels[i].isa), .test_func = test_level, .initial_state = &levels[i]};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
