/* Texts beyond the model's length in windows and by late chunking, and the states of single tokens, against means that are
 * made here of what the model says to the same token ids.
 */
#include "unit/engine_fixture.h"

#include <math.h>

#include "base/alloc.h"

enum { MOST_IDS = 4000, MOST_WIDTH = 128 };

static hd_engine *engine;
static hd_model *model;

static void open_one(const char *name, uint64_t cache_bytes)
{
    engine = open_engine((hd_engine_options){.n_threads = 2, .cache_bytes = cache_bytes});
    model = open_model(engine, name, HD_DTYPE_F32);
}

static void close_one(void)
{
    hd_engine_close(engine);
}

/* Many words, all of them in the vocabulary. */
static hd_text long_text(size_t n_bytes)
{
    static char text[1 << 16];
    assert_true(n_bytes <= sizeof text);
    size_t at = 0;
    for (size_t i = 0; at < n_bytes; i++) {
        const hd_text *t = &some_texts(200)[i % 200];
        at += (size_t)snprintf(text + at, sizeof text - at, "%.*s ", (int)t->len, t->ptr);
        if (at >= sizeof text)
            break;
    }
    return (hd_text){text, n_bytes};
}

static size_t ids_of(hd_text text, const char *prompt, bool no_specials, int32_t *ids)
{
    hd_tokens tokens;
    size_t n = 0;
    /* word by word: hd_tokenize itself cuts at the model's length */
    for (size_t begin = 0; begin <= text.len;) {
        size_t end = begin;
        while (end < text.len && text.ptr[end] != ' ')
            end++;
        const hd_text word = {text.ptr + begin, end - begin};
        const hd_encode_options options = {.prompt = prompt, .no_specials = no_specials};
        MUST(hd_tokenize(model, word, &options, &tokens, &err));
        assert_true(n + tokens.n <= MOST_IDS);
        for (size_t i = 0; i < tokens.n; i++)
            ids[n++] = tokens.tokens[i].id;
        hd_tokens_free(&tokens);
        begin = end + 1;
    }
    return n;
}

static void encode_ids(const int32_t *ids, size_t n, float *vector)
{
    const hd_token_ids given = {.ids = ids, .n = n};
    const hd_job_options job_options = {.ids = &given};
    const hd_text nothing = {0};
    hd_job *job;
    MUST(hd_job_submit(model, &nothing, 1, NULL, &job_options, vector, &job, &err));
    MUST(hd_job_wait(job, NULL, &err));
}

static void to_unit(double *vector, size_t n)
{
    double sum = 0.0;
    for (size_t i = 0; i < n; i++)
        sum += vector[i] * vector[i];
    for (size_t i = 0; i < n; i++)
        vector[i] /= sqrt(sum);
}

static void assert_near(const float *got, const double *wanted, size_t n, const char *what)
{
    for (size_t i = 0; i < n; i++)
        if (!(fabs((double)got[i] - wanted[i]) <= 2e-6))
            fail_msg("%s: value %zu is %.9g, not %.9g", what, i, (double)got[i], wanted[i]);
}

/* ---- windows ---- */

static void check_windows(const char *name, hd_text text, const char *prompt, uint32_t max_length, bool is_unit)
{
    int32_t ids[MOST_IDS], specials[2], prompt_ids[64], window[1024];
    double wanted[MOST_WIDTH] = {0};
    float got[MOST_WIDTH], part[MOST_WIDTH];
    hd_encode_stats stats;
    const size_t width = width_of(model), n = ids_of(text, "", true, ids);
    assert_int_equal(ids_of(text_of(""), "", false, specials), 2);
    const size_t n_prompt = ids_of(text_of(""), prompt, true, prompt_ids), room = max_length - 2 - n_prompt;
    size_t n_windows = 0;
    for (size_t at = 0; at < n; at += room, n_windows++) {
        const size_t count = n - at < room ? n - at : room;
        window[0] = specials[0];
        memcpy(window + 1, prompt_ids, n_prompt * sizeof *window);
        memcpy(window + 1 + n_prompt, ids + at, count * sizeof *window);
        window[1 + n_prompt + count] = specials[1];
        encode_ids(window, count + n_prompt + 2, part);
        for (size_t i = 0; i < width; i++)
            wanted[i] += (double)part[i] * (double)count / (double)n;
    }
    if (is_unit)
        to_unit(wanted, width);
    const hd_encode_options options = {.prompt = prompt, .max_length = max_length, .long_text = HD_LONG_WINDOWS};
    MUST(hd_encode(model, &text, 1, &options, got, &stats, &err));
    assert_near(got, wanted, width, name);
    assert_true(n_windows > 1);
    if (stats.n_cached == 0)
        assert_int_equal(stats.n_tokens, n + n_windows * (n_prompt + 2));
    assert_int_equal(stats.n_truncated, 0);
}

static void test_windows(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        bool is_unit;
    } models[] = {{"tiny-cls", true}, {"tiny-mean-f16", false}, {"tiny-dense", true}, {"tiny-last", true}};
    for (size_t m = 0; m < sizeof models / sizeof models[0]; m++) {
        for (uint64_t cache_bytes = 0; cache_bytes < 2; cache_bytes++) {
            open_one(models[m].name, cache_bytes << 20);
            check_windows(models[m].name, long_text(3000), "", 64, models[m].is_unit);
            check_windows(models[m].name, long_text(3000), "water stone ", 17, models[m].is_unit);
            check_windows(models[m].name, long_text(300), "", 8, models[m].is_unit);
            close_one();
        }
    }
}

/* What fits is as if nobody had asked for windows, to the bit, and together with what does not. */
static void test_windows_of_short_texts(void **state)
{
    (void)state;
    enum { N = 40 };
    float plain[N * MOST_WIDTH], windowed[N * MOST_WIDTH], alone[MOST_WIDTH];
    hd_text texts[N];
    open_one("tiny-mrl", 0);
    const size_t width = width_of(model);
    for (size_t i = 0; i < N; i++)
        texts[i] = i % 10 == 3 ? long_text(2000 + i) : some_texts(N)[i];
    const hd_encode_options options = {.long_text = HD_LONG_WINDOWS};
    MUST(hd_encode(model, some_texts(N), N, NULL, plain, NULL, &err));
    MUST(hd_encode(model, texts, N, &options, windowed, NULL, &err));
    for (size_t i = 0; i < N; i++) {
        MUST(hd_encode(model, &texts[i], 1, &options, alone, NULL, &err));
        assert_memory_equal(alone, windowed + i * width, width * sizeof *alone);
        if (i % 10 != 3)
            assert_memory_equal(plain + i * width, windowed + i * width, width * sizeof *alone);
    }
    close_one();
}

/* ---- late chunking ---- */

/* Means over the tokens' states, seen in windows as heddle.h describes them. */
static void late_means(const int32_t *ids, size_t n, size_t window, const size_t *ends, size_t n_pieces, double *means)
{
    const size_t width = width_of(model), overlap = window / 8;
    size_t counts[64] = {0};
    memset(means, 0, n_pieces * width * sizeof *means);
    for (size_t begin = 0, end = 0; end < n; begin += window - overlap) {
        end = n - begin < window ? n : begin + window;
        const hd_token_ids given = {.ids = ids + begin, .n = end - begin};
        const hd_text nothing = {0};
        hd_output output;
        const hd_encode_options options = {.heads = HD_HEAD_TOKENS};
        const hd_job_options job_options = {.ids = &given, .outputs = &output};
        hd_job *job;
        MUST(hd_job_submit(model, &nothing, 1, &options, &job_options, NULL, &job, &err));
        MUST(hd_job_wait(job, NULL, &err));
        assert_int_equal(output.n_token_states, end - begin);
        for (size_t at = begin > 0 ? begin + overlap : 0; at < end; at++) {
            size_t piece = 0;
            while (ends[piece] <= at)
                piece++;
            counts[piece]++;
            for (size_t i = 0; i < width; i++)
                means[piece * width + i] += (double)output.token_states[(at - begin) * width + i];
        }
        hd_outputs_free(&output, 1);
    }
    for (size_t p = 0; p < n_pieces; p++)
        for (size_t i = 0; i < width; i++)
            means[p * width + i] /= (double)counts[p];
}

static void check_late(const char *name, size_t n_pieces, uint32_t window, bool is_unit)
{
    int32_t ids[MOST_IDS], specials[2];
    size_t ends[64], n = 1;
    double wanted[64 * MOST_WIDTH];
    float got[64 * MOST_WIDTH];
    uint32_t n_tokens[64];
    const size_t width = width_of(model);
    const hd_text *pieces = some_texts(n_pieces);
    assert_int_equal(ids_of(text_of(""), "", false, specials), 2);
    ids[0] = specials[0];
    for (size_t i = 0; i < n_pieces; i++) {
        n += ids_of(pieces[i], "", true, ids + n);
        ends[i] = n;
    }
    ids[n++] = specials[1];
    ends[n_pieces - 1] = n;
    late_means(ids, n, window, ends, n_pieces, wanted);
    for (size_t p = 0; p < n_pieces && is_unit; p++)
        to_unit(wanted + p * width, width);
    const hd_encode_options options = {.max_length = window, .long_text = HD_LONG_LATE};
    const hd_job_options job_options = {.n_tokens = n_tokens};
    hd_job *job;
    MUST(hd_job_submit(model, pieces, n_pieces, &options, &job_options, got, &job, &err));
    MUST(hd_job_wait(job, NULL, &err));
    for (size_t p = 0; p < n_pieces; p++) {
        assert_near(got + p * width, wanted + p * width, width, name);
        assert_int_equal(n_tokens[p], ids_of(pieces[p], "", true, ids));
    }
}

static void test_late_chunking(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        bool is_unit;
    } models[] = {{"tiny-relu", true}, {"tiny-mean-f16", false}};
    for (size_t m = 0; m < 2; m++) {
        open_one(models[m].name, 1 << 20);
        for (size_t n = 1; n < 40; n += 6)
            for (uint32_t window = 64; window > 4; window /= 2)
                check_late(models[m].name, n, window, models[m].is_unit);
        close_one();
    }
}

/* A document of one piece that fits is a text like any other. */
static void test_late_alone(void **state)
{
    (void)state;
    float plain[MOST_WIDTH], late[MOST_WIDTH];
    const hd_encode_options options = {.long_text = HD_LONG_LATE};
    static const char *const names[] = {"tiny-relu", "tiny-dense"};
    for (size_t m = 0; m < 2; m++) {
        open_one(names[m], 0);
        const size_t width = width_of(model);
        double wanted[MOST_WIDTH];
        MUST(hd_encode(model, &some_texts(5)[4], 1, NULL, plain, NULL, &err));
        MUST(hd_encode(model, &some_texts(5)[4], 1, &options, late, NULL, &err));
        for (size_t i = 0; i < width; i++)
            wanted[i] = (double)plain[i];
        assert_near(late, wanted, width, names[m]);
        close_one();
    }
}

/* ---- what goes wrong ---- */

static void test_refused(void **state)
{
    (void)state;
    float out[4 * MOST_WIDTH];
    hd_output outputs[4];
    hd_job *job;
    const hd_text texts[2] = {text_of("river"), text_of("")};
    const hd_encode_options late = {.long_text = HD_LONG_LATE};
    open_one("tiny-cls", 0);
    must_fail(hd_encode(model, texts, 2, &late, out, NULL, &err), HD_ERR_UNSUPPORTED, "mean pooling");
    const hd_encode_options stranger = {.long_text = (hd_long_text)3};
    must_fail(hd_encode(model, texts, 2, &stranger, out, NULL, &err), HD_ERR_ARG, "long_text 3");
    const hd_encode_options mixed = {.heads = HD_HEAD_DENSE | HD_HEAD_TOKENS, .long_text = HD_LONG_WINDOWS};
    must_fail(hd_encode_outputs(model, texts, NULL, 2, &mixed, out, outputs, NULL, &err), HD_ERR_UNSUPPORTED, "dense");
    const hd_encode_options no_room = {.prompt = "river stone house garden", .max_length = 6, .long_text = HD_LONG_WINDOWS};
    const hd_text text = long_text(500);
    must_fail(hd_encode(model, &text, 1, &no_room, out, NULL, &err), HD_ERR_LIMIT, "windows of 6 tokens");
    close_one();
    open_one("tiny-relu", 0);
    must_fail(hd_encode(model, texts, 2, &late, out, NULL, &err), HD_ERR_ARG, "text 1 has no tokens");
    const hd_encode_options scores = {.heads = HD_HEAD_SCORES};
    must_fail(hd_encode_outputs(model, texts, NULL, 2, &scores, NULL, outputs, NULL, &err), HD_ERR_UNSUPPORTED,
              "no head \"scores\"; it has: dense, tokens");
    const hd_encode_options vectors = {.heads = HD_HEAD_SPARSE | HD_HEAD_MULTI}; /* by the names that callers know */
    must_fail(hd_encode_outputs(model, texts, NULL, 2, &vectors, NULL, outputs, NULL, &err), HD_ERR_UNSUPPORTED,
              "no head \"sparse, colbert\"; it has: dense, tokens");
    const hd_encode_options unknown = {.heads = 64};
    must_fail(hd_encode_outputs(model, texts, NULL, 2, &unknown, NULL, outputs, NULL, &err), HD_ERR_ARG, "heads 0x40");
    const hd_encode_options tokens = {.heads = HD_HEAD_TOKENS};
    must_fail(hd_job_submit(model, texts, 2, &tokens, NULL, out, &job, &err), HD_ERR_ARG, "outputs");
    must_fail(hd_encode(model, texts, 2, NULL, NULL, NULL, &err), HD_ERR_ARG, "no place");
    must_fail(hd_rerank(model, texts[0], texts, 2, NULL, out, NULL, &err), HD_ERR_UNSUPPORTED, "does not rerank");
    close_one();
}

/* With each allocation failing in its turn the call fails cleanly or works. */
static void test_no_memory(void **state)
{
    (void)state;
    float out[8 * MOST_WIDTH];
    hd_output outputs[8];
    open_one("tiny-relu", 1 << 16);
    MUST(hd_model_load(model, &err));
    for (int kind = 0; kind < 3; kind++) {
        const hd_encode_options options = {.heads = kind == 2 ? HD_HEAD_DENSE | HD_HEAD_TOKENS : 0,
                                           .max_length = 16,
                                           .long_text = kind == 2 ? HD_LONG_CUT : (hd_long_text)(kind + 1)};
        bool done = false;
        for (uint64_t n = 0; !done; n++) {
            assert_true(n < 500);
            hd__alloc_fail_after(n, UINT64_MAX);
            const hd_status status =
                hd_encode_outputs(model, some_texts(8), NULL, 8, &options, out, kind == 2 ? outputs : NULL, NULL, &err);
            hd__alloc_fail_off();
            assert_true(status == HD_OK || status == HD_ERR_MEMORY);
            done = status == HD_OK;
            for (size_t i = 0; i < 8 && kind == 2 && !done; i++)
                assert_null(outputs[i].memory);
        }
        if (kind == 2)
            hd_outputs_free(outputs, 8);
    }
    close_one();
}

static int make(void **state)
{
    (void)state;
    scratch_begin(&folder);
    some_texts(200); /* all that any test takes */
    tiny_models_make(&folder, "tiny-cls tiny-mean-f16 tiny-dense tiny-last tiny-mrl tiny-relu");
    return 0;
}

static int clear(void **state)
{
    (void)state;
    scratch_end(&folder);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_windows),       cmocka_unit_test(test_windows_of_short_texts),
        cmocka_unit_test(test_late_chunking), cmocka_unit_test(test_late_alone),
        cmocka_unit_test(test_refused),       cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, make, clear);
}
