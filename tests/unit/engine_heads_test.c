/* Heads chosen per call, pairs of texts and reranking, on the small models of make_tiny_architectures.py: beside what the
 * reference libraries answer (tests/golden/architectures), and beside each other.
 */
#include "unit/engine_fixture.h"

#include <jansson.h>
#include <math.h>

#include "base/alloc.h"

enum { N = 30, MOST_VALUES = 40000, MOST_WIDTH = 128 };

static hd_engine *engine;
static hd_model *model;
static hd_model_info info;

static void open_one(const char *name, uint32_t n_threads, uint64_t cache_bytes)
{
    engine = open_engine((hd_engine_options){.n_threads = n_threads, .cache_bytes = cache_bytes});
    model = open_model(engine, name, HD_DTYPE_F32);
    hd_model_get_info(model, &info);
}

static void close_one(void)
{
    hd_engine_close(engine);
}

/* ---- beside the reference ---- */

static float golden[MOST_VALUES];

static void read_golden(const char *name)
{
    char path[256];
    snprintf(path, sizeof path, "tests/golden/architectures/%s.f32", name);
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    assert_true(fread(golden, sizeof *golden, MOST_VALUES, f) > 0);
    fclose(f);
}

static json_t *golden_ids(void)
{
    json_t *manifest = json_load_file("tests/golden/architectures/manifest.json", 0, NULL);
    json_t *ids = json_incref(json_object_get(manifest, "ids"));
    json_decref(manifest);
    assert_true(json_array_size(ids) > 5);
    return ids;
}

static size_t ids_of(const json_t *list, int32_t *ids)
{
    for (size_t i = 0; i < json_array_size(list); i++)
        ids[i] = (int32_t)json_integer_value(json_array_get(list, i));
    return json_array_size(list);
}

static void encode_ids(const int32_t *ids, size_t n, uint32_t heads, bool raw_scores, hd_output *output)
{
    const hd_token_ids given = {.ids = ids, .n = n};
    const hd_encode_options options = {.heads = heads, .raw_scores = raw_scores};
    const hd_job_options job_options = {.ids = &given, .outputs = output};
    const hd_text nothing = {0};
    hd_job *job;
    MUST(hd_job_submit(model, &nothing, 1, &options, &job_options, NULL, &job, &err));
    MUST(hd_job_wait(job, NULL, &err));
}

static void assert_near(const float *got, const float *wanted, size_t n, const char *what)
{
    for (size_t i = 0; i < n; i++)
        if (!(fabs((double)got[i] - (double)wanted[i]) <= 1e-4))
            fail_msg("%s: value %zu is %.9g, not %.9g", what, i, (double)got[i], (double)wanted[i]);
}

/* The greatest weight of each token id, of those above 0. */
static void assert_weights(const hd_sparse_vector *sparse, const int32_t *ids, const float *weights, size_t n)
{
    static float most[5000];
    size_t n_wanted = 0;
    memset(most, 0, sizeof most);
    for (size_t i = 0; i < n; i++) {
        float *m = &most[ids != NULL ? (size_t)ids[i] : i];
        n_wanted += *m <= 0.0f && weights[i] > 0.0f;
        *m = weights[i] > *m ? weights[i] : *m;
    }
    assert_int_equal(sparse->n, n_wanted);
    for (size_t i = 0; i < sparse->n; i++) {
        assert_true(i == 0 || sparse->ids[i] > sparse->ids[i - 1]);
        assert_near(&sparse->weights[i], &most[sparse->ids[i]], 1, "weight");
    }
}

static void test_bge_m3(void **state)
{
    (void)state;
    static const char *const names[] = {"tiny-m3", "tiny-m3-wide"};
    json_t *all = golden_ids();
    for (size_t m = 0; m < 2; m++) {
        open_one(names[m], 2, 0);
        assert_int_equal(info.heads, HD_HEAD_DENSE | HD_HEAD_SPARSE | HD_HEAD_MULTI | HD_HEAD_TOKENS);
        assert_true(info.reranks);
        read_golden(names[m]);
        size_t n_tokens = 0;
        for (size_t i = 0; i < json_array_size(all); i++)
            n_tokens += json_array_size(json_array_get(all, i));
        const float *weights = golden + json_array_size(all) * info.n_dimensions, *vectors = weights + n_tokens;
        for (size_t i = 0; i < json_array_size(all); i++) {
            int32_t ids[256];
            hd_output output;
            const size_t n = ids_of(json_array_get(all, i), ids), width = info.n_token_dimensions;
            if (n > info.max_length)
                break; /* the longest is last */
            encode_ids(ids, n, HD_HEAD_SPARSE | HD_HEAD_MULTI, false, &output);
            assert_weights(&output.sparse, ids, weights, n);
            assert_int_equal(output.n_token_vectors, n - 1); /* the first token's does not count */
            assert_near(output.token_vectors, vectors + width, (n - 1) * width, names[m]);
            assert_null(output.scores);
            assert_null(output.token_states);
            hd_outputs_free(&output, 1);
            weights += n;
            vectors += n * width;
        }
        close_one();
    }
    json_decref(all);
}

static void test_splade(void **state)
{
    (void)state;
    json_t *all = golden_ids();
    open_one("tiny-roberta-splade", 2, 0);
    assert_int_equal(info.heads, HD_HEAD_SPARSE | HD_HEAD_TOKENS);
    assert_int_equal(info.n_dimensions, 0);
    read_golden("tiny-roberta-splade");
    for (size_t i = 0; i < json_array_size(all); i++) {
        int32_t ids[256];
        hd_output output;
        const size_t n = ids_of(json_array_get(all, i), ids);
        if (n > info.max_length)
            break;
        encode_ids(ids, n, HD_HEAD_SPARSE, false, &output);
        assert_weights(&output.sparse, NULL, golden + i * info.vocab_size, info.vocab_size);
        hd_outputs_free(&output, 1);
    }
    json_decref(all);
    float out[MOST_WIDTH];
    must_fail(hd_encode(model, some_texts(1), 1, NULL, out, NULL, &err), HD_ERR_UNSUPPORTED, "no head \"dense\"");
    close_one();
}

static void test_scores(void **state)
{
    (void)state;
    json_t *all = golden_ids();
    static const char *const names[] = {"tiny-xlmr-reranker", "tiny-roberta-classifier"};
    for (size_t m = 0; m < 2; m++) {
        open_one(names[m], 2, 0);
        const size_t n_labels = info.n_labels;
        assert_int_equal(n_labels, m == 0 ? 1 : 3);
        assert_int_equal(info.reranks, m == 0);
        if (m == 1)
            assert_string_equal(info.labels[2], "positive");
        read_golden(names[m]);
        for (size_t i = 0; i < json_array_size(all); i++) {
            int32_t ids[256];
            hd_output raw, activated;
            float wanted[3] = {0}, sum = 0.0f;
            const float *logits = golden + i * n_labels;
            const size_t n = ids_of(json_array_get(all, i), ids);
            if (n > info.max_length)
                break;
            encode_ids(ids, n, HD_HEAD_SCORES, true, &raw);
            assert_near(raw.scores, logits, n_labels, names[m]);
            for (size_t k = 0; k < n_labels; k++)
                sum += wanted[k] = expf(logits[k]);
            for (size_t k = 0; k < n_labels; k++)
                wanted[k] /= n_labels == 1 ? 1.0f + sum : sum;
            encode_ids(ids, n, HD_HEAD_SCORES, false, &activated);
            assert_near(activated.scores, wanted, n_labels, names[m]);
            hd_outputs_free(&raw, 1);
            hd_outputs_free(&activated, 1);
        }
        close_one();
    }
    json_decref(all);
}

/* Labels that do not exclude each other have a sigmoid each. */
static void test_independent_labels(void **state)
{
    (void)state;
    hd_output raw, activated;
    const hd_text text = text_of("river stone");
    open_one("independent-labels", 1, 0);
    MUST(hd_encode_outputs(model, &text, NULL, 1, &(hd_encode_options){.heads = HD_HEAD_SCORES, .raw_scores = true}, NULL,
                           &raw, NULL, &err));
    MUST(hd_encode_outputs(model, &text, NULL, 1, &(hd_encode_options){.heads = HD_HEAD_SCORES}, NULL, &activated, NULL,
                           &err));
    for (size_t k = 0; k < 3; k++) {
        const float wanted = 1.0f / (1.0f + expf(-raw.scores[k]));
        assert_near(&activated.scores[k], &wanted, 1, "score");
    }
    hd_outputs_free(&raw, 1);
    hd_outputs_free(&activated, 1);
    close_one();
}

/* Special tokens of XLM-RoBERTa's have no weight. */
static void test_unweighted(void **state)
{
    (void)state;
    hd_output output;
    hd_tokens tokens;
    const hd_text text = text_of("river stone");
    const hd_encode_options options = {.heads = HD_HEAD_SPARSE};
    for (int renamed = 0; renamed < 2; renamed++) {
        open_one(renamed ? "renamed-m3" : "tiny-m3", 1, 0);
        MUST(hd_tokenize(model, text, NULL, &tokens, &err));
        MUST(hd_encode_outputs(model, &text, NULL, 1, &options, NULL, &output, NULL, &err));
        size_t n_special = 0;
        for (size_t i = 0; i < output.sparse.n; i++)
            n_special += output.sparse.ids[i] == (uint32_t)tokens.tokens[0].id ||
                         output.sparse.ids[i] == (uint32_t)tokens.tokens[tokens.n - 1].id;
        if (renamed)
            assert_int_equal(n_special, 0);
        else
            assert_true(n_special > 0); /* else the test shows nothing */
        hd_tokens_free(&tokens);
        hd_outputs_free(&output, 1);
        close_one();
    }
}

/* ---- beside each other ---- */

static void assert_same_output(const hd_output *a, const hd_output *b, uint32_t heads)
{
    if ((heads & HD_HEAD_SPARSE) != 0) {
        assert_int_equal(a->sparse.n, b->sparse.n);
        assert_memory_equal(a->sparse.ids, b->sparse.ids, a->sparse.n * sizeof *a->sparse.ids);
        assert_memory_equal(a->sparse.weights, b->sparse.weights, a->sparse.n * sizeof *a->sparse.weights);
    }
    if ((heads & HD_HEAD_MULTI) != 0) {
        assert_int_equal(a->n_token_vectors, b->n_token_vectors);
        assert_memory_equal(a->token_vectors, b->token_vectors,
                            a->n_token_vectors * info.n_token_dimensions * sizeof *a->token_vectors);
    }
    if ((heads & HD_HEAD_TOKENS) != 0) {
        assert_int_equal(a->n_token_states, b->n_token_states);
        assert_memory_equal(a->token_states, b->token_states, a->n_token_states * info.hidden_size * sizeof(float));
    }
    if ((heads & HD_HEAD_SCORES) != 0)
        assert_memory_equal(a->scores, b->scores, info.n_labels * sizeof *a->scores);
}

/* Any mix, alone or among others, on any number of threads: the same bits. */
static void test_mixes(void **state)
{
    (void)state;
    static const char *const names[] = {"tiny-m3", "tiny-bert-splade", "tiny-bert-reranker"};
    for (size_t m = 0; m < 3; m++) {
        hd_output wanted[N];
        float vectors[N * MOST_WIDTH], more[N * MOST_WIDTH];
        open_one(names[m], 1, 0);
        const uint32_t all = info.heads;
        const bool has_dense = (all & HD_HEAD_DENSE) != 0;
        hd_encode_options options = {.heads = all};
        MUST(hd_encode_outputs(model, some_texts(N), NULL, N, &options, has_dense ? vectors : NULL, wanted, NULL, &err));
        close_one();
        for (uint32_t n_threads = 1; n_threads < 5; n_threads += 3) {
            open_one(names[m], n_threads, 1 << 16);
            for (uint32_t heads = 1; heads <= all; heads++) {
                hd_output got[N];
                if ((heads & ~all) != 0 || heads == HD_HEAD_DENSE)
                    continue;
                options.heads = heads;
                MUST(hd_encode_outputs(model, some_texts(N), NULL, N, &options, more, got, NULL, &err));
                for (size_t i = 0; i < N; i++)
                    assert_same_output(&got[i], &wanted[i], heads);
                if ((heads & HD_HEAD_DENSE) != 0)
                    assert_memory_equal(more, vectors, N * info.n_dimensions * sizeof *more);
                hd_outputs_free(got, N);
                MUST(hd_encode_outputs(model, &some_texts(N)[7], NULL, 1, &options, more, got, NULL, &err));
                assert_same_output(&got[0], &wanted[7], heads);
                hd_outputs_free(got, 1);
            }
            if (has_dense) { /* what the mixes left in the cache is what a call for dense alone gets */
                MUST(hd_encode(model, some_texts(N), N, NULL, more, NULL, &err));
                assert_memory_equal(more, vectors, N * info.n_dimensions * sizeof *more);
            }
            close_one();
        }
        hd_outputs_free(wanted, N);
    }
}

/* Equal texts in flight are computed once, whatever the heads, and not mixed up between them. */
static void test_shared(void **state)
{
    (void)state;
    enum { COPIES = 400 };
    static hd_text texts[COPIES];
    static hd_output outputs[COPIES];
    open_one("tiny-m3", 3, 0);
    for (size_t i = 0; i < COPIES; i++)
        texts[i] = some_texts(4)[i % 4];
    const hd_encode_options options = {.heads = HD_HEAD_SPARSE | HD_HEAD_MULTI};
    MUST(hd_encode_outputs(model, texts, NULL, COPIES, &options, NULL, outputs, NULL, &err));
    for (size_t i = 4; i < COPIES; i++)
        assert_same_output(&outputs[i], &outputs[i % 4], options.heads);
    assert_true(stats_of(engine).n_shared > COPIES / 2);
    hd_outputs_free(outputs, COPIES);
    close_one();
}

/* ---- pairs ---- */

static float score_of(hd_text a, hd_text b)
{
    hd_output output;
    const hd_encode_options options = {.heads = HD_HEAD_SCORES, .raw_scores = true};
    MUST(hd_encode_outputs(model, &a, &b, 1, &options, NULL, &output, NULL, &err));
    const float score = output.scores[0];
    hd_outputs_free(&output, 1);
    return score;
}

static void test_pairs(void **state)
{
    (void)state;
    hd_text firsts[N], seconds[N];
    hd_output outputs[N];
    uint32_t n_tokens[N];
    hd_job *job;
    open_one("tiny-bert-reranker", 2, 1 << 16);
    for (size_t i = 0; i < N; i++) {
        firsts[i] = some_texts(N)[i];
        seconds[i] = i % 5 == 4 ? (hd_text){NULL, 0} : some_texts(2 * N)[N + i]; /* some are no pairs */
    }
    const hd_encode_options options = {.heads = HD_HEAD_SCORES, .raw_scores = true};
    const hd_job_options job_options = {.pairs = seconds, .outputs = outputs, .n_tokens = n_tokens};
    MUST(hd_job_submit(model, firsts, N, &options, &job_options, NULL, &job, &err));
    MUST(hd_job_wait(job, NULL, &err));
    for (size_t i = 0; i < N; i++) {
        hd_tokens a, b = {0};
        MUST(hd_tokenize(model, firsts[i], NULL, &a, &err));
        if (seconds[i].ptr != NULL)
            MUST(hd_tokenize(model, seconds[i], NULL, &b, &err));
        const size_t n_both = a.n + (b.n > 0 ? b.n - 1 : 0);
        if (n_both <= info.max_length)
            assert_int_equal(n_tokens[i], n_both);
        const float alone = score_of(firsts[i], seconds[i]);
        assert_memory_equal(&alone, outputs[i].scores, sizeof alone);
        hd_tokens_free(&a);
        hd_tokens_free(&b);
    }
    assert_true(score_of(firsts[0], firsts[1]) != score_of(firsts[1], firsts[0]));
    assert_true(score_of(firsts[0], text_of("")) != score_of(firsts[0], (hd_text){NULL, 0}));
    hd_outputs_free(outputs, N);
    close_one();
}

/* Of what is too long the document gives way, or the longer of both. */
static void test_cut(void **state)
{
    (void)state;
    static char words[4000];
    hd_output outputs[2];
    for (size_t i = 0; i + 6 < sizeof words; i += 6)
        memcpy(words + i, "river ", 6);
    open_one("tiny-bert-reranker", 1, 0);
    const hd_text query = {words, 20 * 6}, document = {words, 1200};
    hd_encode_options options = {.heads = HD_HEAD_TOKENS, .max_length = 27};
    for (int cut_second = 0; cut_second < 2; cut_second++) {
        options.cut_second = cut_second != 0;
        MUST(hd_encode_outputs(model, &query, &document, 1, &options, NULL, &outputs[cut_second], NULL, &err));
        assert_int_equal(outputs[cut_second].n_token_states, 27);
    }
    /* [CLS] and 12 tokens, or 20 of which 27 * 3 / 4 may stay, before [SEP], which differs from them */
    const size_t bytes = info.hidden_size * sizeof(float);
    assert_memory_not_equal(outputs[0].token_states + 13 * info.hidden_size, outputs[1].token_states + 13 * info.hidden_size,
                            bytes);
    hd_outputs_free(outputs, 2);
    options = (hd_encode_options){.heads = HD_HEAD_SCORES, .max_length = 27, .refuse_longer = true};
    must_fail(hd_encode_outputs(model, &query, &document, 1, &options, NULL, outputs, NULL, &err), HD_ERR_LIMIT,
              "text 0 has 223 tokens, the limit is 27");
    close_one();
}

/* ---- reranking ---- */

static void test_rerank_cross(void **state)
{
    (void)state;
    float scores[N], raw[N];
    open_one("tiny-bert-reranker", 2, 0);
    const hd_text query = text_of("river stone");
    const hd_encode_options options = {.raw_scores = true};
    MUST(hd_rerank(model, query, some_texts(N), N, NULL, scores, NULL, &err));
    MUST(hd_rerank(model, query, some_texts(N), N, &options, raw, NULL, &err));
    for (size_t i = 0; i < N; i++) {
        const float alone = score_of(query, some_texts(N)[i]), wanted = 1.0f / (1.0f + expf(-raw[i]));
        assert_memory_equal(&alone, &raw[i], sizeof alone);
        assert_near(&scores[i], &wanted, 1, "score");
    }
    MUST(hd_rerank(model, query, NULL, 0, NULL, scores, NULL, &err));
    must_fail(hd_rerank_submit(model, query, some_texts(1), 1, NULL, &(hd_job_options){.pairs = &query}, raw, NULL, &err),
              HD_ERR_ARG, "texts alone");
    close_one();
    open_one("tiny-roberta-classifier", 1, 0);
    must_fail(hd_rerank(model, query, some_texts(N), N, NULL, scores, NULL, &err), HD_ERR_UNSUPPORTED, "does not rerank");
    close_one();
}

static void test_rerank_multi(void **state)
{
    (void)state;
    float scores[N], raw[N];
    uint32_t n_tokens[N];
    hd_output outputs[N], q;
    hd_job *job;
    const hd_text query = text_of("river stone house");
    const hd_encode_options options = {.heads = HD_HEAD_MULTI, .raw_scores = true};
    for (uint32_t n_threads = 1; n_threads < 5; n_threads += 3) {
        open_one("tiny-m3", n_threads, 0);
        MUST(hd_rerank(model, query, some_texts(N), N, NULL, scores, NULL, &err));
        const hd_job_options job_options = {.n_tokens = n_tokens};
        MUST(hd_rerank_submit(model, query, some_texts(N), N, &options, &job_options, raw, &job, &err));
        MUST(hd_job_wait(job, NULL, &err));
        MUST(hd_encode_outputs(model, some_texts(N), NULL, N, &options, NULL, outputs, NULL, &err));
        MUST(hd_encode_outputs(model, &query, NULL, 1, &options, NULL, &q, NULL, &err));
        for (size_t i = 0; i < N; i++) {
            const hd_output *d = &outputs[i];
            const size_t width = info.n_token_dimensions;
            const float sum = hd_maxsim(q.token_vectors, q.n_token_vectors, d->token_vectors, d->n_token_vectors, width);
            const float mean = sum / (float)q.n_token_vectors;
            double wanted = 0.0;
            for (size_t a = 0; a < q.n_token_vectors; a++) {
                double most = -2.0;
                for (size_t b = 0; b < d->n_token_vectors; b++) {
                    double product = 0.0;
                    for (size_t k = 0; k < width; k++)
                        product += (double)q.token_vectors[a * width + k] * (double)d->token_vectors[b * width + k];
                    most = product > most ? product : most;
                }
                wanted += most;
            }
            assert_true(fabs(wanted - (double)sum) < 1e-4);
            assert_memory_equal(&raw[i], &sum, sizeof sum);
            assert_memory_equal(&scores[i], &mean, sizeof mean);
            assert_int_equal(n_tokens[i], q.n_token_vectors + 1 + d->n_token_vectors + 1);
        }
        hd_outputs_free(outputs, N);
        hd_outputs_free(&q, 1);
        close_one();
    }
    assert_true(hd_maxsim(NULL, 0, raw, 1, 1) == 0.0f && hd_maxsim(raw, 1, NULL, 0, 1) == 0.0f);
}

static void test_cancel(void **state)
{
    (void)state;
    enum { MANY = 3000 };
    float *scores = malloc(MANY * sizeof *scores);
    hd_output *outputs = malloc(MANY * sizeof *outputs);
    open_one("tiny-m3", 2, 0);
    MUST(hd_model_load(model, &err));
    for (int kind = 0; kind < 2; kind++) {
        hd_job *job;
        const hd_encode_options options = {.heads = HD_HEAD_SPARSE | HD_HEAD_MULTI};
        const hd_job_options job_options = {.outputs = outputs};
        if (kind == 0)
            MUST(hd_rerank_submit(model, text_of("river"), some_texts(MANY), MANY, NULL, NULL, scores, &job, &err));
        else
            MUST(hd_job_submit(model, some_texts(MANY), MANY, &options, &job_options, NULL, &job, &err));
        hd_job_cancel(job);
        const hd_status status = hd_job_wait(job, NULL, &err);
        assert_true(status == HD_ERR_CANCELLED || status == HD_OK);
        for (size_t i = 0; i < MANY && kind == 1 && status != HD_OK; i++)
            assert_null(outputs[i].memory);
        if (kind == 1 && status == HD_OK)
            hd_outputs_free(outputs, MANY);
    }
    free(scores);
    free(outputs);
    close_one();
}

/* With each allocation failing in its turn the call fails cleanly or works. */
static void test_no_memory(void **state)
{
    (void)state;
    float scores[8];
    hd_output outputs[8];
    static const char *const names[] = {"tiny-m3", "tiny-bert-reranker", "tiny-bert-splade"};
    for (size_t m = 0; m < 3; m++) {
        open_one(names[m], 2, 0);
        MUST(hd_model_load(model, &err));
        const hd_encode_options options = {.heads = info.heads & ~(uint32_t)HD_HEAD_DENSE};
        for (int reranks = 0; reranks <= info.reranks; reranks++) {
            bool done = false;
            for (uint64_t n = 0; !done; n++) {
                assert_true(n < 1000);
                hd__alloc_fail_after(n, UINT64_MAX);
                const hd_status status = reranks
                                             ? hd_rerank(model, text_of("river"), some_texts(8), 8, NULL, scores, NULL, &err)
                                             : hd_encode_outputs(model, some_texts(8), m == 1 ? some_texts(8) : NULL, 8,
                                                                 &options, NULL, outputs, NULL, &err);
                hd__alloc_fail_off();
                assert_true(status == HD_OK || status == HD_ERR_MEMORY);
                done = status == HD_OK;
                for (size_t i = 0; i < 8 && !reranks && !done; i++)
                    assert_null(outputs[i].memory);
            }
            if (!reranks)
                hd_outputs_free(outputs, 8);
        }
        close_one();
    }
}

/* A vocabulary's weights for many texts at once are computed in small groups: memory stays bounded. */
static void test_bounded(void **state)
{
    (void)state;
    enum { MANY = 500 };
    static hd_text texts[MANY];
    static hd_output outputs[MANY];
    open_one("tiny-bert-splade", 1, 0);
    for (size_t i = 0; i < MANY; i++)
        texts[i] = (hd_text){some_texts(MANY)[i].ptr, 3}; /* short: hundreds would fit a group */
    const hd_encode_options options = {.heads = HD_HEAD_SPARSE};
    MUST(hd_encode_outputs(model, texts, NULL, MANY, &options, NULL, outputs, NULL, &err));
    const hd_engine_stats stats = stats_of(engine);
    assert_true(stats.n_batch_texts / stats.n_batches <= 32);
    hd_outputs_free(outputs, MANY);
    close_one();
}

/* Start lines of other servers name heads as poolings: taken by models that have the head, refused for others. */
static void test_heads_named_as_poolings(void **state)
{
    (void)state;
    static const struct {
        const char *model, *pooling, *refusal;
    } cases[] = {
        {"tiny-bert-splade", "splade", NULL},
        {"tiny-bert-reranker", "rank", NULL},
        {"tiny-bert-reranker", "splade", "pooling 'splade': the model has no head that gives sparse weights"},
        {"tiny-bert-splade", "rank", "pooling 'rank': the model has no head that gives scores"},
    };
    MUST(hd_engine_open(NULL, &engine, &err));
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char path[512];
        hd_model *opened = NULL;
        const hd_model_options options = {.pooling = cases[i].pooling};
        snprintf(path, sizeof path, "%s/models/%s", folder.dir, cases[i].model);
        const hd_status status = hd_model_open(engine, path, &options, &opened, &err);
        assert_int_equal(status, cases[i].refusal == NULL ? HD_OK : HD_ERR_ARG);
        if (cases[i].refusal != NULL)
            assert_non_null(strstr(err.text, cases[i].refusal));
        hd_model_close(opened);
    }
    close_one();
}

static int set_up(void **state)
{
    (void)state;
    some_texts(3000); /* all that any test takes */
    scratch_begin(&folder);
    return run_in_models(
        "python3 tools/make_tiny_architectures.py \"$models\" tiny-m3 tiny-m3-wide tiny-xlmr-reranker "
        "tiny-roberta-classifier tiny-roberta-splade tiny-bert-reranker tiny-bert-splade && cd \"$models\" && "
        "cp -r tiny-m3 renamed-m3 && sed -i 's|\\[CLS\\]|<s>|g; s|\\[SEP\\]|</s>|g; s|\\[PAD\\]|<pad>|g' "
        "renamed-m3/tokenizer.json && cp -r tiny-roberta-classifier independent-labels && "
        "sed -i '0,/{/s//{ \"problem_type\": \"multi_label_classification\",/' independent-labels/config.json");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bge_m3),
        cmocka_unit_test(test_splade),
        cmocka_unit_test(test_scores),
        cmocka_unit_test(test_independent_labels),
        cmocka_unit_test(test_unweighted),
        cmocka_unit_test(test_mixes),
        cmocka_unit_test(test_shared),
        cmocka_unit_test(test_pairs),
        cmocka_unit_test(test_cut),
        cmocka_unit_test(test_rerank_cross),
        cmocka_unit_test(test_rerank_multi),
        cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_bounded),
        cmocka_unit_test(test_heads_named_as_poolings),
    };
    return cmocka_run_group_tests(tests, set_up, remove_folder);
}
