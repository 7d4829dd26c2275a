/* model_embedder.c, model_identity.c, model_prompts.c: whose vectors they are, what stands before texts, lengths in tokens.
 */
#include "search/embedder.h"
#include "search/model_identity.h"
#include "unit/tiny_models.h"

#include "unit/store_fixture.h"

static hd_engine *engine;

static int begin(void **state)
{
    store_begin(state);
    tiny_models_make(&s, "tiny-mrl tiny-prompts tiny-cls tiny-dense");
    const hd_engine_options options = {.n_threads = 1, .cache_dir = scratch_path(&s, "cache")};
    return hd_engine_open(&options, &engine, &err) == HD_OK ? 0 : -1;
}

static int end(void **state)
{
    hd_engine_close(engine);
    return store_end(state);
}

static hd_model *open_model(const char *name, hd_dtype dtype)
{
    hd_model *model;
    assert_ok(hd_model_open(engine, tiny_model_dir(&s, name), &(hd_model_options){.dtype = dtype}, &model, &err));
    return model;
}

static const char *fingerprint_of(const char *name, hd_dtype dtype)
{
    hd_model *model = open_model(name, dtype);
    hd_embedder *embedder;
    assert_ok(hd__embedder_open(model, false, false, &embedder, &err));
    const char *fingerprint =
        hd__arena_strndup(&arena, embedder->identity.fingerprint, strlen(embedder->identity.fingerprint));
    hd__embedder_close(embedder);
    hd_model_close(model);
    return fingerprint;
}

static void rename_model(const char *from, const char *to)
{
    assert_int_equal(rename(tiny_model_dir(&s, from), tiny_model_dir(&s, to)), 0);
}

/* Changes one byte of a weight. */
static void change_weights(const char *file)
{
    FILE *weights = fopen(scratch_path(&s, file), "r+b");
    assert_non_null(weights);
    assert_int_equal(fseek(weights, -100, SEEK_END), 0);
    const int byte = fgetc(weights);
    fseek(weights, -100, SEEK_END);
    fputc(byte ^ 1, weights);
    fclose(weights);
}

static void test_identity(void **state)
{
    (void)state;
    const char *first = fingerprint_of("tiny-mrl", HD_DTYPE_F32);
    assert_int_equal(strlen(first), 32);
    assert_string_equal(fingerprint_of("tiny-mrl", HD_DTYPE_INT8), first);
    assert_string_not_equal(fingerprint_of("tiny-cls", HD_DTYPE_F32), first);
    rename_model("tiny-mrl", "elsewhere");
    assert_string_equal(fingerprint_of("elsewhere", HD_DTYPE_F32), first);
    change_weights("models/elsewhere/model.safetensors");
    assert_string_not_equal(fingerprint_of("elsewhere", HD_DTYPE_F32), first);
    const char *dense = fingerprint_of("tiny-dense", HD_DTYPE_F32);
    change_weights("models/tiny-dense/2_Dense/model.safetensors");
    assert_string_not_equal(fingerprint_of("tiny-dense", HD_DTYPE_F32), dense);
}

static void test_names(void **state)
{
    (void)state;
    static const struct {
        const char *name, *path, *identity;
    } cases[] = {
        {"owner/name", "/anywhere", "owner/name"},
        {"/x/models/owner/name", "/x/models/owner/name", "owner/name"},
        {"/h/models--owner--some--name/snapshots/abc", "/h/models--owner--some--name/snapshots/abc", "owner/some--name"},
        {"/data/my-model", "/data/my-model", "/data/my-model"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const hd_model_info info = {.name = cases[i].name, .path = cases[i].path};
        const char *name;
        assert_ok(hd__model_identity_name(&info, &arena, &name, &err));
        assert_string_equal(name, cases[i].identity);
    }
}

static void test_prompts(void **state)
{
    (void)state;
    hd_model_prompts prompts;
    hd_model *model = open_model("tiny-prompts", HD_DTYPE_F32); /* "query" is its default too */
    hd__model_prompts(model, &prompts);
    assert_string_equal(prompts.query.prompt_name, "query");
    assert_string_equal(prompts.document.prompt_name, "passage");
    assert_string_equal(prompts.document_text, "passage: ");
    hd_model_close(model);
    static const char *const families[][3] = {
        {"nomic-embed-text-v1.5", "search_document: ", "search_query: "},
        {"e5-small-v2", "passage: ", "query: "},
        {"BGE-small-en-v1.5", "", "Represent this sentence for searching relevant passages: "},
        {"anything-else", "", ""}};
    const char *name = "tiny-mrl";
    for (size_t i = 0; i < 4; i++) {
        rename_model(name, families[i][0]);
        name = families[i][0];
        model = open_model(name, HD_DTYPE_F32);
        hd__model_prompts(model, &prompts);
        assert_string_equal(prompts.document.prompt, families[i][1]);
        assert_string_equal(prompts.query.prompt, families[i][2]);
        hd_model_close(model);
    }
}

/* What the embedder gives for documents and queries is what the model gives with the prompts. */
static void test_vectors(void **state)
{
    (void)state;
    hd_model *model = open_model("tiny-prompts", HD_DTYPE_F32);
    hd_embedder *embedder;
    hd_embedded *embedded;
    const hd_chunk_vectors *vectors;
    hd_chunk_vectors of_query;
    void *memory;
    uint64_t n_tokens;
    assert_ok(hd__embedder_open(model, true, true, &embedder, &err)); /* heads that it lacks are not kept */
    assert_int_equal(embedder->identity.n_token_dimensions, 0);
    assert_string_equal(embedder->identity.similarity, "dot");
    const hd_text texts[] = {text_of("the quick brown fox"), text_of("water")};
    const size_t width = embedder->identity.n_dimensions;
    float *wanted = calloc(3 * width, sizeof *wanted);
    assert_ok(hd_encode(model, texts, 2, &(hd_encode_options){.prompt = "passage: "}, wanted, NULL, &err));
    assert_ok(hd_encode(model, texts, 1, &(hd_encode_options){.prompt = "query: "}, wanted + 2 * width, NULL, &err));
    assert_ok(embedder->start(embedder->data, texts, 2, &embedded, &err));
    assert_ok(embedder->wait(embedded, &vectors, &n_tokens, &err));
    assert_ok(embedder->query(embedder->data, texts[0], &of_query, &memory, &err));
    assert_memory_equal(vectors[0].dense, wanted, width * sizeof *wanted);
    assert_memory_equal(vectors[1].dense, wanted + width, width * sizeof *wanted);
    assert_memory_equal(of_query.dense, wanted + 2 * width, width * sizeof *wanted);
    assert_true(n_tokens > 4);
    embedder->release(memory);
    embedder->free(embedded);
    assert_ok(embedder->start(embedder->data, texts, 2, &embedded, &err));
    embedder->free(embedded); /* not waited for */
    free(wanted);
    hd__embedder_close(embedder);
    hd_model_close(model);
}

static void make_sides(void)
{
    char command[4096];
    snprintf(command, sizeof command, "python3 tools/make_tiny_architectures.py '%s' tiny-sides tiny-sides-tasks",
             scratch_path(&s, "models"));
    assert_int_equal(system(command), 0);
}

/* Encoders of two sides with adapters: of each side its own, and behind its own prompt. */
static void test_tasks_of_sides(void **state)
{
    (void)state;
    make_sides();
    hd_model *model = open_model("tiny-sides-tasks", HD_DTYPE_F32);
    hd_embedder *embedder;
    hd_embedded *embedded;
    const hd_chunk_vectors *vectors;
    hd_chunk_vectors of_query;
    void *memory;
    uint64_t n_tokens;
    const hd_text text = text_of("a river of music");
    const hd_encode_options query = {.prompt_name = "query", .task = "retrieval.query", .prompt = "Represent the query: "},
                            document = {.prompt_name = "document",
                                        .task = "retrieval.passage",
                                        .prompt = "Represent the document: "};
    assert_ok(hd__embedder_open(model, false, false, &embedder, &err));
    const size_t width = embedder->identity.n_dimensions;
    float *wanted = calloc(3 * width, sizeof *wanted);
    assert_ok(hd_encode(model, &text, 1, &query, wanted, NULL, &err));
    assert_ok(hd_encode(model, &text, 1, &document, wanted + width, NULL, &err));
    assert_ok(hd_encode(model, &text, 1, NULL, wanted + 2 * width, NULL, &err));
    assert_memory_not_equal(wanted + width, wanted + 2 * width, width * sizeof *wanted);
    assert_ok(embedder->start(embedder->data, &text, 1, &embedded, &err));
    assert_ok(embedder->wait(embedded, &vectors, &n_tokens, &err));
    assert_ok(embedder->query(embedder->data, text, &of_query, &memory, &err));
    assert_memory_equal(of_query.dense, wanted, width * sizeof *wanted);
    assert_memory_equal(vectors[0].dense, wanted + width, width * sizeof *wanted);
    embedder->release(memory);
    embedder->free(embedded);
    free(wanted);
    hd__embedder_close(embedder);
    hd_model_close(model);
}

/* Documents are cut by their own tokenizer, also where everything without a name is a query. */
static void test_token_ends_of_sides(void **state)
{
    (void)state;
    make_sides();
    const char *router = "models/tiny-sides/router_config.json";
    char command[4096];
    snprintf(command, sizeof command,
             "sed -i 's/\"default_route\": \"document\"/\"default_route\": \"query\"/' '%s' && grep -q "
             "'\"default_route\": \"query\"' '%s'",
             scratch_path(&s, router), scratch_path(&s, router));
    assert_int_equal(system(command), 0);
    const hd_text text = text_of("the rivers of winter, walking in gardens"); /* a query's has no parts of words */
    hd_model *model = open_model("tiny-sides", HD_DTYPE_F32);
    hd_embedder *embedder;
    hd_tokens of_document, of_query;
    uint32_t ends[64];
    assert_ok(hd__embedder_open(model, false, false, &embedder, &err));
    const hd_encode_options document = {.prompt_name = "document", .prompt = "", .no_specials = true},
                            query = {.prompt_name = "query", .prompt = "", .no_specials = true};
    assert_ok(hd_tokenize(model, text, &document, &of_document, &err));
    assert_ok(hd_tokenize(model, text, &query, &of_query, &err));
    assert_int_not_equal(of_document.n, of_query.n);
    assert_int_equal(embedder->token_ends(hd__span(text.ptr, text.len), ends, 64, embedder->data), of_document.n);
    for (size_t i = 0; i < of_document.n; i++)
        assert_int_equal(ends[i], of_document.tokens[i].byte_end);
    hd_tokens_free(&of_document);
    hd_tokens_free(&of_query);
    hd__embedder_close(embedder);
    hd_model_close(model);
}

/* More text than the model reads at once: all tokens are told, each within the text and after the one before. */
static void test_token_ends(void **state)
{
    (void)state;
    hd_model *model = open_model("tiny-mrl", HD_DTYPE_F32);
    hd_embedder *embedder;
    assert_ok(hd__embedder_open(model, false, false, &embedder, &err));
    static char text[20000];
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = i % 5 == 4 ? ' ' : 'a';
    static uint32_t ends[20000];
    const size_t n = embedder->token_ends(hd__span(text, sizeof text), ends, 20000, embedder->data);
    assert_true(n >= 4000);
    for (size_t i = 1; i < n; i++)
        assert_true(ends[i] >= ends[i - 1]);
    assert_true(ends[n - 1] >= sizeof text - 1 && ends[n - 1] <= sizeof text);
    assert_int_equal(embedder->token_ends(hd__span(text, sizeof text), ends, 10, embedder->data), 10);
    hd__embedder_close(embedder);
    hd_model_close(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_identity, begin, end),
        cmocka_unit_test_setup_teardown(test_names, begin, end),
        cmocka_unit_test_setup_teardown(test_prompts, begin, end),
        cmocka_unit_test_setup_teardown(test_vectors, begin, end),
        cmocka_unit_test_setup_teardown(test_token_ends, begin, end),
        cmocka_unit_test_setup_teardown(test_tasks_of_sides, begin, end),
        cmocka_unit_test_setup_teardown(test_token_ends_of_sides, begin, end),
    };
    return cmocka_run_group_tests_name("model_embedder", tests, NULL, NULL);
}
