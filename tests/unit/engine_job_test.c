/* Jobs: the same bits in any company, options, cancelling, fairness, texts of every kind. */
#include "base/thread_priority.h"
#include "sanitized.h"
#include "unit/engine_fixture.h"

#include <dirent.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

enum { N = 60 }; /* texts where it does not matter which */

static const char *const models[] = {"tiny-cls", "tiny-mrl", "tiny-dense", "tiny-pool-concat", "tiny-last"};
enum { N_MODELS = sizeof models / sizeof models[0] };

/* ---- the same bits ---- */

static void same_bits(const float *a, const float *b, size_t n, const char *how)
{
    for (size_t i = 0; i < n; i++)
        if (memcmp(&a[i], &b[i], sizeof *a) != 0)
            fail_msg("%s: value %zu is %.9g and %.9g", how, i, (double)a[i], (double)b[i]);
}

static void test_alone_or_together(void **state)
{
    (void)state;
    for (size_t m = 0; m < N_MODELS; m++) {
        for (hd_dtype dtype = HD_DTYPE_F32; dtype <= HD_DTYPE_INT8; dtype++) {
            hd_engine *engine = open_engine((hd_engine_options){.n_threads = 1});
            hd_model *model = open_model(engine, models[m], dtype);
            size_t width = width_of(model);
            float *together = encode_some(model, N), *alone = malloc(width * sizeof *alone);
            for (size_t i = 0; i < N; i++) {
                MUST(hd_encode(model, &some_texts(N)[i], 1, NULL, alone, NULL, &err));
                same_bits(alone, together + i * width, width, models[m]);
            }
            free(together);
            free(alone);
            hd_engine_close(engine);
        }
    }
}

/* Few texts make teams of the idle threads, many make groups side by side. */
static void test_any_threads(void **state)
{
    (void)state;
    for (size_t m = 0; m < N_MODELS; m++) {
        for (hd_dtype dtype = HD_DTYPE_F32; dtype <= HD_DTYPE_INT8; dtype++) {
            static const uint32_t counts[] = {1, 2, 3, 8};
            float *wanted = NULL;
            for (size_t c = 0; c < 4; c++) {
                hd_engine *engine = open_engine((hd_engine_options){.n_threads = counts[c]});
                hd_model *model = open_model(engine, models[m], dtype);
                size_t width = width_of(model);
                float *got = encode_some(model, N);
                for (size_t i = 0; i < 6; i++)
                    MUST(hd_encode(model, &some_texts(N)[i], 1, NULL, got + i * width, NULL, &err));
                if (wanted == NULL)
                    wanted = got;
                else
                    same_bits(got, wanted, N * width, models[m]);
                if (got != wanted)
                    free(got);
                hd_engine_close(engine);
            }
            free(wanted);
        }
    }
}

/* ---- many callers ---- */

typedef struct caller {
    hd_model *model;
    const float *wanted;
    size_t n, width;
    uint32_t seed;
    pthread_t thread;
    bool failed;
} caller;

static void *caller_main(void *data)
{
    caller *c = data;
    float *out = malloc(c->n * c->width * sizeof *out);
    for (int again = 0; again < 12 && !c->failed; again++) {
        c->seed = c->seed * 1664525u + 1013904223u;
        size_t first = c->seed % c->n, n = (c->seed >> 16) % (c->n - first) + 1;
        c->failed = hd_encode(c->model, some_texts(c->n) + first, n, NULL, out, NULL, NULL) != HD_OK ||
                    memcmp(out, c->wanted + first * c->width, n * c->width * sizeof *out) != 0;
    }
    free(out);
    return NULL;
}

static void test_many_callers(void **state)
{
    (void)state;
    enum { CALLERS = 8 };
    hd_engine *engine = open_engine((hd_engine_options){.n_threads = 3, .cache_bytes = 8192});
    hd_model *both[2] = {open_model(engine, "tiny-cls", HD_DTYPE_F32), open_model(engine, "tiny-mrl", HD_DTYPE_INT8)};
    float *wanted[2] = {encode_some(both[0], N), encode_some(both[1], N)};
    caller callers[CALLERS];
    for (uint32_t i = 0; i < CALLERS; i++) {
        callers[i] =
            (caller){.model = both[i % 2], .wanted = wanted[i % 2], .n = N, .width = width_of(both[i % 2]), .seed = i};
        assert_int_equal(pthread_create(&callers[i].thread, NULL, caller_main, &callers[i]), 0);
    }
    for (int i = 0; i < 200; i++) /* while looking on */
        stats_of(engine);
    for (uint32_t i = 0; i < CALLERS; i++) {
        pthread_join(callers[i].thread, NULL);
        assert_false(callers[i].failed);
    }
    assert_true(stats_of(engine).scratch_bytes > 0);
    free(wanted[0]);
    free(wanted[1]);
    hd_engine_close(engine);
}

/* Jobs started before any is waited for, waited for in another order. */
static void test_many_jobs_at_once(void **state)
{
    (void)state;
    enum { JOBS = 40 };
    hd_engine *engine = open_engine((hd_engine_options){.n_threads = 2});
    hd_model *model = open_model(engine, "tiny-mrl", HD_DTYPE_F32);
    size_t width = width_of(model);
    float *wanted = encode_some(model, N), *out = malloc(JOBS * N * width * sizeof *out);
    hd_job *jobs[JOBS];
    for (size_t i = 0; i < JOBS; i++)
        MUST(hd_job_start(model, some_texts(N) + i % 7, N - i % 7, NULL, out + i * N * width, &jobs[i], &err));
    for (size_t k = 0; k < JOBS; k++) {
        size_t i = k * 23 % JOBS;
        hd_encode_stats stats;
        MUST(hd_job_wait(jobs[i], &stats, &err));
        assert_true(stats.n_tokens > 0 && stats.n_cached == 0);
        same_bits(out + i * N * width, wanted + i % 7 * width, (N - i % 7) * width, "jobs at once");
    }
    free(out);
    free(wanted);
    hd_engine_close(engine);
}

/* ---- cancelling and fairness ---- */

/* MANY inputs of 20 token ids, no two alike. */
enum { MANY = SANITIZED ? 1000 : 5000, LENGTH = 20 };
static hd_token_ids *many_ids(void)
{
    static int32_t ids[MANY][LENGTH];
    static hd_token_ids all[MANY];
    for (int i = 0; i < MANY; i++) {
        for (int k = 0; k < LENGTH; k++)
            ids[i][k] = 5 + (i >> k % 13 & 1) + 2 * (k % 7);
        all[i] = (hd_token_ids){.ids = ids[i], .n = LENGTH};
    }
    return all;
}

static hd_text no_texts[MANY];

static hd_job *submit_with(hd_model *model, size_t first, size_t n, hd_job_options options, float *out)
{
    hd_job *job;
    options.ids = many_ids() + first;
    MUST(hd_job_submit(model, no_texts, n, NULL, &options, out, &job, &err));
    return job;
}

static hd_job *submit(hd_model *model, size_t first, size_t n, uint64_t whose, float *out)
{
    return submit_with(model, first, n, (hd_job_options){.caller = whose}, out);
}

static void test_cancel(void **state)
{
    (void)state;
    hd_engine *engine = open_engine((hd_engine_options){.n_threads = 1});
    hd_model *model = open_model(engine, "tiny-head64", HD_DTYPE_F32);
    size_t width = width_of(model);
    float *out = malloc(MANY * width * sizeof *out), *other = malloc(N * width * sizeof *other);
    float *wanted = encode_some(model, N);
    hd_job *job, *beside, *late;
    job = submit(model, 0, MANY, 0, out);
    MUST(hd_job_start(model, some_texts(N), N, NULL, other, &beside, &err));
    hd_job_cancel(job);
    hd_job_cancel(job);
    must_fail(hd_job_wait(job, NULL, &err), HD_ERR_CANCELLED, "cancelled");
    MUST(hd_job_wait(beside, NULL, &err)); /* not harmed */
    same_bits(other, wanted, N * width, "beside a cancelled job");

    uint64_t before = stats_of(engine).n_texts;
    MUST(hd_job_start(model, some_texts(1), 1, NULL, out, &late, &err));
    for (int patience = 20000; stats_of(engine).n_texts == before; patience--) {
        assert_true(patience > 0);
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    hd_job_cancel(late); /* too late: it is done */
    MUST(hd_job_wait(late, NULL, &err));
    MUST(hd_model_unload(model, &err)); /* nobody holds it */
    free(out);
    free(other);
    free(wanted);
    hd_engine_close(engine);
}

/* A job of one text behind one of thousands is done while most of those wait; nor does it help the other caller to
 * have many jobs. */
static void test_fairness(void **state)
{
    (void)state;
    enum { JOBS = 49, EACH = MANY / 50 };
    hd_engine *engine = open_engine((hd_engine_options){.n_threads = 1});
    hd_model *model = open_model(engine, "tiny-head64", HD_DTYPE_F32);
    size_t width = width_of(model);
    float *out = malloc(MANY * width * sizeof *out), *one = malloc(width * sizeof *one);
    hd_job *jobs[JOBS];
    MUST(hd_model_load(model, &err));
    for (uint64_t whose = 1; whose <= 2; whose++) {
        const uint64_t start = stats_of(engine).n_texts;
        for (size_t i = 0; i < JOBS; i++)
            jobs[i] = submit(model, i * EACH, EACH, 1, out + i * EACH * width);
        hd_job *small = submit(model, MANY - 1, 1, whose, one);
        uint64_t before = stats_of(engine).n_texts - start;
        MUST(hd_job_wait(small, NULL, &err));
        uint64_t after = stats_of(engine).n_texts - start;
        assert_true(before < MANY / 2);
        assert_true(whose == 1 || after - before < MANY / 10);
        for (size_t i = 0; i < JOBS; i++)
            MUST(hd_job_wait(jobs[i], NULL, &err));
        assert_int_equal(stats_of(engine).n_texts - start, JOBS * EACH + 1);
    }
    hd_job *large = submit(model, 0, MANY, 0, out), *small;
    const uint64_t before = stats_of(engine).n_texts;
    MUST(hd_job_start(model, some_texts(1), 1, NULL, one, &small, &err));
    MUST(hd_job_wait(small, NULL, &err));
    assert_true(stats_of(engine).n_texts - before < MANY / 2);
    MUST(hd_job_wait(large, NULL, &err));
    free(out);
    free(one);
    hd_engine_close(engine);
}

/* How many of this process's threads give way to others. */
static size_t n_giving_way(void)
{
    DIR *tasks = opendir("/proc/self/task");
    size_t n = 0;
    assert_non_null(tasks);
    for (struct dirent *entry; (entry = readdir(tasks)) != NULL;) {
        const int id = atoi(entry->d_name);
        n += id != 0 && getpriority(PRIO_PROCESS, (id_t)id) == HD_NICE_BACKGROUND;
    }
    closedir(tasks);
    return n;
}

/* What nobody waits for is computed by other threads, which give way: a text that is
 * in their queue too is not waited for there. */
static void test_background(void **state)
{
    (void)state;
    hd_engine *engine = open_engine((hd_engine_options){.n_threads = 2});
    hd_model *model = open_model(engine, "tiny-head64", HD_DTYPE_F32);
    size_t width = width_of(model);
    float *out = malloc(MANY * width * sizeof *out), *wanted = malloc(MANY * width * sizeof *wanted);
    float *one = malloc(width * sizeof *one);
    MUST(hd_job_wait(submit(model, 0, MANY, 0, wanted), NULL, &err));
    assert_int_equal(n_giving_way(), 0);
    const uint64_t before = stats_of(engine).n_texts;
    hd_job *behind = submit_with(model, 0, MANY, (hd_job_options){.background = true}, out);
    MUST(hd_job_wait(submit(model, MANY - 1, 1, 0, one), NULL, &err)); /* the last that the other job comes to */
    assert_true(stats_of(engine).n_texts - before < MANY / 2);
    same_bits(one, wanted + (MANY - 1) * width, width, "before the background");
    MUST(hd_job_wait(behind, NULL, &err));
    assert_true(n_giving_way() > 0); /* those that have run at all */
    same_bits(out, wanted, MANY * width, "in the background");
    assert_int_equal(stats_of(engine).n_texts - before, MANY + 1);
    assert_int_equal(stats_of(engine).queue_tokens, 0);

    behind = submit_with(model, 0, MANY, (hd_job_options){.background = true}, out);
    hd_job_cancel(behind);
    must_fail(hd_job_wait(behind, NULL, &err), HD_ERR_CANCELLED, "cancelled");
    free(out);
    free(wanted);
    free(one);
    hd_engine_close(engine);
}

/* Equal texts on their way at the same time are computed once, also when the job that computes them is cancelled. */
static void test_shared(void **state)
{
    (void)state;
    enum { SOME = 200 };
    hd_engine *engine = open_engine((hd_engine_options){.n_threads = 1});
    hd_model *model = open_model(engine, "tiny-head64", HD_DTYPE_F32);
    size_t width = width_of(model);
    float *first = malloc(MANY * width * sizeof *first), *second = malloc(SOME * width * sizeof *second);
    float *third = malloc(SOME * width * sizeof *third), *wanted = malloc(SOME * width * sizeof *wanted);
    MUST(hd_job_wait(submit(model, MANY - SOME, SOME, 0, wanted), NULL, &err));
    hd_job *a = submit(model, 0, MANY, 0, first), *b = submit(model, MANY - SOME, SOME, 0, second);
    hd_job *c = submit(model, MANY - SOME, SOME, 0, third);
    hd_job_cancel(a);
    hd_job_cancel(c);
    must_fail(hd_job_wait(a, NULL, &err), HD_ERR_CANCELLED, "cancelled");
    must_fail(hd_job_wait(c, NULL, &err), HD_ERR_CANCELLED, "cancelled");
    MUST(hd_job_wait(b, NULL, &err));
    same_bits(second, wanted, SOME * width, "of a cancelled job");
    assert_true(stats_of(engine).n_shared >= SOME && stats_of(engine).n_texts < MANY);
    assert_int_equal(stats_of(engine).queue_tokens, 0);
    assert_int_equal(stats_of(engine).queue_texts, 0);
    free(first);
    free(second);
    free(third);
    free(wanted);
    hd_engine_close(engine);
}

typedef struct called {
    _Atomic int n;
    hd_job *job;
} called;

static void on_done(hd_job *job, void *data)
{
    called *c = data;
    c->job = job;
    atomic_fetch_add(&c->n, 1);
}

static void await(called *c, int n)
{
    for (int patience = 20000; atomic_load(&c->n) < n; patience--) {
        assert_true(patience > 0);
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
}

/* Callbacks come once, whether the vectors are computed, cached, or not wanted any more. */
/* Equal jobs of several threads at once, again and again: with the cache each text is computed once, whether another was on
 * its way to the queue when it was done or not. */
enum { TWINS = 4, TWIN_TEXTS = 8, TWIN_ROUNDS = 200 };

/* All different for the tokenizer, too: the digits of their numbers as words. */
static const hd_text *twin_texts(void)
{
    static const char *const digits[] = {"river", "stone", "the", "house", "garden", "in", "winter", "music", "a", "paper"};
    static hd_text texts[TWIN_ROUNDS * TWIN_TEXTS];
    static char bytes[TWIN_ROUNDS * TWIN_TEXTS][64];
    for (unsigned i = 0; i < TWIN_ROUNDS * TWIN_TEXTS; i++) {
        snprintf(bytes[i], sizeof bytes[i], "%s %s %s %s", digits[i / 1000], digits[i / 100 % 10], digits[i / 10 % 10],
                 digits[i % 10]);
        texts[i] = text_of(bytes[i]);
    }
    return texts;
}

typedef struct twin {
    hd_model *model;
    const hd_text *texts;
    pthread_barrier_t *barrier;
    pthread_t thread;
    uint64_t n_tokens, n_cached;
    bool failed;
} twin;

static void *twin_main(void *data)
{
    twin *t = data;
    float *out = malloc(TWIN_TEXTS * width_of(t->model) * sizeof *out);
    for (size_t i = 0; i < TWIN_ROUNDS; i++) {
        hd_encode_stats stats;
        pthread_barrier_wait(t->barrier);
        t->failed |= hd_encode(t->model, t->texts + i * TWIN_TEXTS, TWIN_TEXTS, NULL, out, &stats, NULL) != HD_OK;
        t->n_tokens += stats.n_tokens;
        t->n_cached += stats.n_cached;
    }
    free(out);
    return NULL;
}

static void test_computed_once(void **state)
{
    (void)state;
    pthread_barrier_t barrier;
    twin twins[TWINS];
    const hd_text *texts = twin_texts();

    hd_engine *engine = open_engine((hd_engine_options){.n_threads = 2, .cache_bytes = 16 << 20});
    hd_model *model = open_model(engine, "tiny-cls", HD_DTYPE_F32);
    MUST(hd_model_load(model, &err));
    pthread_barrier_init(&barrier, NULL, TWINS);
    for (int i = 0; i < TWINS; i++) {
        twins[i] = (twin){.model = model, .texts = texts, .barrier = &barrier};
        assert_int_equal(pthread_create(&twins[i].thread, NULL, twin_main, &twins[i]), 0);
    }
    for (int i = 0; i < TWINS; i++) {
        pthread_join(twins[i].thread, NULL);
        assert_false(twins[i].failed);
    }
    const hd_engine_stats stats = stats_of(engine);
    assert_int_equal(stats.n_texts, TWIN_ROUNDS * TWIN_TEXTS);
    assert_int_equal(stats.n_tokens, 6 * TWIN_ROUNDS * TWIN_TEXTS); /* four words and two specials */
    assert_int_equal(stats.cache_hits + stats.cache_misses, TWINS * TWIN_ROUNDS * TWIN_TEXTS);
    assert_int_equal(stats.cache_misses, TWIN_ROUNDS * TWIN_TEXTS + stats.n_shared);
    uint64_t n_cached = 0;
    for (int i = 0; i < TWINS; i++)
        n_cached += twins[i].n_cached;
    assert_int_equal(n_cached, stats.cache_hits);
    pthread_barrier_destroy(&barrier);
    hd_engine_close(engine);
}

static void test_callbacks(void **state)
{
    (void)state;
    hd_engine *engine = open_engine((hd_engine_options){.n_threads = 2, .cache_bytes = 1 << 20});
    hd_model *model = open_model(engine, "tiny-head64", HD_DTYPE_F32);
    float *out = malloc(MANY * width_of(model) * sizeof *out);
    uint32_t n_tokens[3] = {0};
    called c = {0};
    hd_job_options options = {.done = on_done, .data = &c, .ids = many_ids(), .n_tokens = n_tokens};
    hd_job *job;
    hd_encode_stats stats;
    for (int again = 0; again < 2; again++) {
        MUST(hd_job_submit(model, no_texts, 3, NULL, &options, out, &job, &err));
        await(&c, again + 1);
        assert_ptr_equal(c.job, job);
        MUST(hd_job_wait(job, &stats, &err));
        assert_int_equal(stats.n_cached, again == 0 ? 0 : 3);
        assert_int_equal(n_tokens[2], LENGTH);
        assert_true(again == 1 || (stats.compute_ns > 0 && stats.tokenize_ns > 0));
    }
    options.n_tokens = NULL;
    MUST(hd_job_submit(model, no_texts, MANY, NULL, &options, out, &job, &err));
    hd_job_cancel(job);
    await(&c, 3);
    must_fail(hd_job_wait(job, NULL, &err), HD_ERR_CANCELLED, "cancelled");
    nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
    assert_int_equal(atomic_load(&c.n), 3);
    free(out);
    hd_engine_close(engine);
}

/* The queue holds so many tokens, but an empty one takes anything. */
static void test_queue_limit(void **state)
{
    (void)state;
    hd_engine *engine = open_engine((hd_engine_options){.n_threads = 1, .max_queue_tokens = LENGTH * 100});
    hd_model *model = open_model(engine, "tiny-head64", HD_DTYPE_F32);
    float *out = malloc(MANY * width_of(model) * sizeof *out), one[256];
    hd_job *large = submit(model, 0, MANY, 0, out), *small;
    const hd_job_options options = {.ids = many_ids()};
    must_fail(hd_job_submit(model, no_texts, 1, NULL, &options, one, &small, &err), HD_ERR_BUSY, "the limit");
    hd_job_cancel(large);
    must_fail(hd_job_wait(large, NULL, &err), HD_ERR_CANCELLED, "cancelled");
    MUST(hd_job_wait(submit(model, 0, 100, 0, out), NULL, &err));
    free(out);
    hd_engine_close(engine);
}

/* What is longer than the model takes: cut at either end, or refused with its length. */
static void test_cut(void **state)
{
    (void)state;
    hd_engine *engine = open_engine((hd_engine_options){.n_threads = 1});
    hd_model *model = open_model(engine, "tiny-cls", HD_DTYPE_F32);
    size_t width = width_of(model);
    float a[256], b[256];
    assert_true(width <= 256);
    const hd_text text = text_of("river stone the house garden"), front = text_of("river stone the"),
                  back = text_of("the house garden");
    hd_encode_options options = {.max_length = 5};
    MUST(hd_encode(model, &text, 1, &options, a, NULL, &err));
    MUST(hd_encode(model, &front, 1, NULL, b, NULL, &err));
    same_bits(a, b, width, "cut at the end");
    options.cut_front = true;
    MUST(hd_encode(model, &text, 1, &options, a, NULL, &err));
    MUST(hd_encode(model, &back, 1, NULL, b, NULL, &err));
    same_bits(a, b, width, "cut at the front");
    options.refuse_longer = true;
    uint32_t n_tokens = 0;
    hd_job *job;
    hd_job_options job_options = {.n_tokens = &n_tokens};
    must_fail(hd_job_submit(model, &text, 1, &options, &job_options, a, &job, &err), HD_ERR_LIMIT,
              "text 0 has 7 tokens, the limit is 5");
    assert_int_equal(n_tokens, 7);
    job_options.ids = many_ids();
    must_fail(hd_job_submit(model, &text, 1, &options, &job_options, a, &job, &err), HD_ERR_LIMIT,
              "text 0 has 20 tokens, the limit is 5");
    static const int32_t outside[] = {5, 1 << 30}, below[] = {-1};
    job_options.ids = (hd_token_ids[]){{.ids = outside, .n = 2}};
    must_fail(hd_job_submit(model, &text, 1, NULL, &job_options, a, &job, &err), HD_ERR_FORMAT, "token id 1073741824");
    job_options.ids = (hd_token_ids[]){{.ids = below, .n = 1}};
    must_fail(hd_job_submit(model, &text, 1, NULL, &job_options, a, &job, &err), HD_ERR_FORMAT, "token id -1");
    hd_engine_close(engine);
}

/* The vector of these ids, perhaps with texts among them. How many tokens they are. */
static uint32_t encode_given(hd_model *model, hd_token_ids ids, const hd_encode_options *options, float *out)
{
    hd_job *job;
    uint32_t n_tokens = 0;
    MUST(hd_job_submit(model, no_texts, 1, options, &(hd_job_options){.ids = &ids, .n_tokens = &n_tokens}, out, &job, &err));
    MUST(hd_job_wait(job, NULL, &err));
    return n_tokens;
}

/* Text among ids is its tokens, with specials where it comes first. */
static void test_text_among_ids(void **state)
{
    (void)state;
    hd_engine *engine = open_engine((hd_engine_options){.n_threads = 1});
    hd_model *model = open_model(engine, "tiny-cls", HD_DTYPE_F32);
    const hd_text texts[] = {text_of("river stone the house"), text_of("garden river")};
    static const int32_t among[] = {-1, 7, -2, 7}, beyond[] = {7, -3};
    const hd_token_ids mixed = {.ids = among, .n = 4, .texts = texts, .n_texts = 2},
                       wrong = {.ids = beyond, .n = 2, .texts = texts, .n_texts = 2};
    int32_t ids[64];
    size_t n = 0;
    float a[256], b[256];
    for (size_t i = 0; i < 2; i++) {
        hd_tokens tokens;
        MUST(hd_tokenize(model, texts[i], &(hd_encode_options){.no_specials = i > 0}, &tokens, &err));
        for (size_t k = 0; k < tokens.n; k++)
            ids[n++] = tokens.tokens[k].id;
        ids[n++] = 7;
        hd_tokens_free(&tokens);
    }
    assert_int_equal(n, 4 + 2 + 1 + 2 + 1);
    encode_given(model, (hd_token_ids){.ids = ids, .n = n}, NULL, a);
    assert_int_equal(encode_given(model, mixed, NULL, b), n);
    same_bits(a, b, width_of(model), "text among ids");
    hd_encode_options options = {.max_length = 3, .cut_front = true};
    encode_given(model, (hd_token_ids){.ids = ids + n - 3, .n = 3}, NULL, a);
    encode_given(model, mixed, &options, b);
    same_bits(a, b, width_of(model), "their end");
    options.long_text = HD_LONG_WINDOWS;
    encode_given(model, (hd_token_ids){.ids = ids, .n = n}, &options, a);
    encode_given(model, mixed, &options, b);
    same_bits(a, b, width_of(model), "their windows");
    hd_job *job;
    must_fail(hd_job_submit(model, no_texts, 1, NULL, &(hd_job_options){.ids = &wrong}, a, &job, &err), HD_ERR_ARG,
              "text 0: token id -3 stands for text 2 of 2");
    hd_engine_close(engine);
}

/* ---- options and texts ---- */

static void one(hd_model *model, const char *text, hd_encode_options options, float *out)
{
    hd_text t = text_of(text);
    MUST(hd_encode(model, &t, 1, &options, out, NULL, &err));
}

static void test_options(void **state)
{
    (void)state;
    hd_engine *engine = open_engine((hd_engine_options){.n_threads = 1});
    hd_model *model = open_model(engine, "tiny-prompts", HD_DTYPE_F32);
    float a[64], b[64];
    hd_text text = text_of("river stone");
    must_fail(hd_encode(model, &text, 1, &(hd_encode_options){.prompt_name = "qery"}, a, NULL, &err), HD_ERR_NOT_FOUND,
              "no prompt named \"qery\"");
    must_fail(hd_encode(model, &text, 1, &(hd_encode_options){.dimensions = 65}, a, NULL, &err), HD_ERR_ARG,
              "65 dimensions");
    must_fail(hd_encode(model, &text, 1, &(hd_encode_options){.max_length = 129}, a, NULL, &err), HD_ERR_ARG,
              "max_length 129, the model's is 128");
    must_fail(hd_encode(model, &text, 1, &(hd_encode_options){.max_length = 1}, a, NULL, &err), HD_ERR_LIMIT,
              "max_length of 1");
    one(model, "river stone", (hd_encode_options){.dimensions = 64, .max_length = 128}, a);
    one(model, "query: river stone", (hd_encode_options){.prompt = ""}, b); /* "query" is the default prompt */
    same_bits(a, b, 64, "default prompt");
    one(model, "river stone", (hd_encode_options){.prompt = "passage: ", .prompt_name = "query"}, a);
    one(model, "river stone", (hd_encode_options){.prompt_name = "passage"}, b);
    same_bits(a, b, 64, "prompt wins over prompt_name");
    one(model, "", (hd_encode_options){.prompt = "query: river stone"}, a);
    one(model, "river stone", (hd_encode_options){.prompt_name = "query"}, b);
    same_bits(a, b, 64, "prompt and empty text");
    one(model, "river stone", (hd_encode_options){.max_length = 2}, a); /* the specials alone */
    one(model, "", (hd_encode_options){.prompt = ""}, b);
    same_bits(a, b, 64, "max_length 2");
    one(model, "river", (hd_encode_options){.dimensions = 1}, a);
    assert_true(fabsf(fabsf(a[0]) - 1.0f) < 1e-6f);
    hd_engine_close(engine);
}

static void test_normalize(void **state)
{
    (void)state;
    hd_engine *engine = open_engine((hd_engine_options){.n_threads = 1});
    hd_model *unit = open_model(engine, "tiny-cls", HD_DTYPE_F32),
             *plain = open_model(engine, "tiny-mean-f16", HD_DTYPE_F32);
    float whole[64], cut[64];
    one(unit, "river", (hd_encode_options){.no_normalize = true}, whole);
    one(unit, "river", (hd_encode_options){.dimensions = 10}, cut);
    double length = 0.0, sum = 0.0;
    for (int i = 0; i < 10; i++)
        length += (double)whole[i] * (double)whole[i];
    for (int i = 0; i < 10; i++) {
        assert_true(fabs((double)whole[i] / sqrt(length) - (double)cut[i]) < 1e-6);
        sum += (double)cut[i] * (double)cut[i];
    }
    assert_true(fabs(sum - 1.0) < 1e-6);
    one(plain, "river", (hd_encode_options){0}, whole); /* its files ask for no unit length: cutting does not either */
    one(plain, "river", (hd_encode_options){.dimensions = 10}, cut);
    same_bits(whole, cut, 10, "cut and left as it is");
    hd_engine_close(engine);
}

static void test_texts(void **state)
{
    (void)state;
    enum { LARGE = 10 << 20 };
    hd_engine *engine = open_engine((hd_engine_options){.n_threads = 2});
    hd_model *model = open_model(engine, "tiny-cls", HD_DTYPE_F32);
    float a[3 * 64], b[64];
    hd_encode_stats stats = {.n_tokens = 9};
    MUST(hd_encode(model, NULL, 0, NULL, NULL, &stats, &err)); /* no text at all */
    assert_int_equal(stats.n_tokens, 0);

    hd_text empty[3] = {{NULL, 0}, {"", 0}, {" \n", 2}};
    MUST(hd_encode(model, empty, 3, NULL, a, &stats, &err));
    assert_int_equal(stats.n_tokens, 6);
    same_bits(a, a + 64, 64, "NULL and empty text");
    same_bits(a, a + 128, 64, "white space");
    MUST(hd_encode(model, empty, 1, &(hd_encode_options){.prompt = " "}, b, NULL, &err));
    same_bits(a, b, 64, "NULL behind a prompt");

    char *large = malloc(LARGE);
    for (size_t i = 0; i < LARGE; i++)
        large[i] = "river stone "[i % 12];
    MUST(hd_encode(model, &(hd_text){large, LARGE}, 1, NULL, a, &stats, &err));
    assert_int_equal(stats.n_tokens, 128);
    assert_int_equal(stats.n_truncated, 1);
    MUST(hd_encode(model, &(hd_text){large, 12 * 1000}, 1, NULL, b, &stats, &err));
    same_bits(a, b, 64, "what is cut off does not matter");
    memset(large, 'x', LARGE); /* one word */
    MUST(hd_encode(model, &(hd_text){large, LARGE}, 1, NULL, a, &stats, &err));
    assert_true(stats.n_tokens <= 128);
    free(large);

    hd_text invalid = {"river \xFF", 7};
    MUST(hd_encode(model, &invalid, 1, NULL, a, NULL, &err));
    must_fail(hd_encode(model, &invalid, 1, &(hd_encode_options){.strict = true}, a, NULL, &err), HD_ERR_FORMAT,
              "text 0: the text is not UTF-8 at byte 6");
    MUST(hd_encode(model, &(hd_text){"a\0b", 3}, 1, NULL, a, NULL, &err));
    hd_engine_close(engine);
}

static void test_tokens(void **state)
{
    (void)state;
    hd_engine *engine = open_engine((hd_engine_options){.n_threads = 1});
    hd_model *model = open_model(engine, "tiny-prompts", HD_DTYPE_F32);
    hd_tokens tokens;
    assert_string_equal(hd_token_text(model, NULL, 2), ""); /* not loaded */
    MUST(hd_tokenize(model, (hd_text){NULL, 0}, &(hd_encode_options){.prompt = ""}, &tokens, &err));
    assert_int_equal(tokens.n, 2);
    assert_true(tokens.tokens[0].special && tokens.tokens[1].special);
    assert_string_equal(hd_token_text(model, NULL, tokens.tokens[0].id), "[CLS]");
    assert_string_equal(hd_token_text(model, NULL, -1), "");
    assert_string_equal(hd_token_text(model, NULL, 1 << 30), "");
    hd_tokens_free(&tokens);
    MUST(hd_tokenize(model, text_of("river"), NULL, &tokens, &err)); /* behind "query: " */
    assert_int_equal(tokens.n, 5);
    assert_int_equal(tokens.tokens[3].byte_begin, 7);
    hd_tokens_free(&tokens);
    must_fail(hd_tokenize(model, text_of("a"), &(hd_encode_options){.prompt_name = "no"}, &tokens, &err), HD_ERR_NOT_FOUND,
              "no");
    hd_engine_close(engine);
}

static int set_up(void **state)
{
    (void)state;
    scratch_begin(&folder);
    tiny_models_make(&folder,
                     "tiny-cls tiny-mrl tiny-dense tiny-pool-concat tiny-last tiny-head64 tiny-prompts tiny-mean-f16");
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_alone_or_together),
        cmocka_unit_test(test_any_threads),
        cmocka_unit_test(test_many_callers),
        cmocka_unit_test(test_many_jobs_at_once),
        cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_fairness),
        cmocka_unit_test(test_background),
        cmocka_unit_test(test_shared),
        cmocka_unit_test(test_computed_once),
        cmocka_unit_test(test_callbacks),
        cmocka_unit_test(test_queue_limit),
        cmocka_unit_test(test_cut),
        cmocka_unit_test(test_text_among_ids),
        cmocka_unit_test(test_options),
        cmocka_unit_test(test_normalize),
        cmocka_unit_test(test_texts),
        cmocka_unit_test(test_tokens),
    };
    return cmocka_run_group_tests(tests, set_up, remove_folder);
}
