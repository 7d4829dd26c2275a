/* Finding models: names, our store, the Hugging Face cache, and what is said when there is none. */
#include "model/locate.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/limits.h"
#include "unit/safetensors_file.h"
#include "unit/scratch.h"

static scratch s;
static hd_arena arena;
static hd_error err;

static int begin(void **state)
{
    (void)state;
    static const char *const variables[] = {"HEDDLE_CACHE", "XDG_CACHE_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE",
                                            "HF_HOME"};
    for (size_t i = 0; i < sizeof variables / sizeof *variables; i++)
        unsetenv(variables[i]);
    scratch_begin(&s);
    setenv("HOME", s.dir, 1);
    hd__arena_init(&arena);
    return 0;
}

static int end(void **state)
{
    (void)state;
    hd__arena_clear(&arena);
    scratch_end(&s);
    return 0;
}

/* A complete little model folder. */
static void write_model(const char *dir)
{
    char path[512];
    hd_span weights = safetensors_file("{}", NULL, 0);
    snprintf(path, sizeof path, "%s/config.json", dir);
    scratch_text(&s, path, "{\"model_type\":\"bert\"}");
    snprintf(path, sizeof path, "%s/vocab.txt", dir);
    scratch_text(&s, path, "[UNK]\n");
    snprintf(path, sizeof path, "%s/model.safetensors", dir);
    scratch_write(&s, path, weights.ptr, weights.len);
    free((void *)(uintptr_t)weights.ptr);
}

static const char *located(const char *name)
{
    const char *path = NULL;
    if (hd__model_locate(name, NULL, &arena, &path, &err) != HD_OK)
        return err.text;
    return path;
}

static const char *cache_dir(void)
{
    const char *dir = NULL;
    assert_int_equal(hd__cache_dir(&arena, &dir, &err), HD_OK);
    return dir;
}

static void the_cache_folder_follows_the_environment(void **state)
{
    (void)state;
    assert_string_equal(cache_dir(), scratch_path(&s, ".cache/heddle"));
    setenv("XDG_CACHE_HOME", "/xdg", 1);
    assert_string_equal(cache_dir(), "/xdg/heddle");
    setenv("HEDDLE_CACHE", "/own", 1);
    assert_string_equal(cache_dir(), "/own");
    setenv("HEDDLE_CACHE", "", 1);
    assert_string_equal(cache_dir(), "/xdg/heddle");
    unsetenv("XDG_CACHE_HOME");
    unsetenv("HOME");
    const char *dir;
    assert_int_equal(hd__cache_dir(&arena, &dir, &err), HD_ERR_NOT_FOUND);
    assert_non_null(strstr(err.text, "HOME"));
}

static void parses_names(void **state)
{
    (void)state;
    static const struct {
        const char *text, *owner, *name, *revision;
    } good[] = {
        {"a/b", "a", "b", ""},
        {"sentence-transformers/all-MiniLM-L6-v2", "sentence-transformers", "all-MiniLM-L6-v2", ""},
        {"b", "", "b", ""},
        {"a/b@v1.0", "a", "b", "v1.0"},
        {"a/b@refs/pr/1", "a", "b", "refs/pr/1"},
        {"A_1/b.c-d", "A_1", "b.c-d", ""},
    };
    static const char *const bad[] = {"",       "/b",       "a/",    "a/b/c",   "a/..",  "../b", "a/.b",
                                      "a/b@",   "a/b@../c", "@main", "a b/c",   "a/b\n", "a\\b", "a/b@x@y",
                                      "a/b@/x", "a/b@x/",   "-a/b",  "a/b@x y", "ä/b",   "a/b?x"};
    hd_model_name name;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_int_equal(hd__model_name_parse(good[i].text, &arena, &name, &err), HD_OK);
        assert_string_equal(name.owner, good[i].owner);
        assert_string_equal(name.name, good[i].name);
        assert_string_equal(name.revision, good[i].revision);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        if (hd__model_name_parse(bad[i], &arena, &name, &err) != HD_ERR_ARG)
            fail_msg("\"%s\" is taken as a name", bad[i]);
    }
    char longest[HD_LIMIT_MODEL_NAME_BYTES + 2];
    memset(longest, 'x', sizeof longest);
    longest[HD_LIMIT_MODEL_NAME_BYTES] = '\0';
    assert_int_equal(hd__model_name_parse(longest, &arena, &name, &err), HD_OK);
    longest[HD_LIMIT_MODEL_NAME_BYTES] = 'x';
    longest[HD_LIMIT_MODEL_NAME_BYTES + 1] = '\0';
    assert_int_equal(hd__model_name_parse(longest, &arena, &name, &err), HD_ERR_ARG);
}

static void finds_folders(void **state)
{
    (void)state;
    scratch_text(&s, "model/config.json", "{}");
    scratch_text(&s, "old/modules.json", "[]");
    scratch_text(&s, "other/README.md", "");
    assert_string_equal(located(scratch_path(&s, "model")), scratch_path(&s, "model"));
    assert_string_equal(located(scratch_path(&s, "old")), scratch_path(&s, "old"));
    assert_non_null(strstr(located(scratch_path(&s, "other")), "without config.json"));
    assert_non_null(strstr(located(scratch_path(&s, "absent")), "no such folder"));
    assert_non_null(strstr(located("./absent"), "./absent: no such folder"));
    assert_non_null(strstr(located("not a name"), "neither a folder nor"));
}

static void finds_models_in_our_store(void **state)
{
    (void)state;
    scratch_text(&s, ".cache/heddle/models/sentence-transformers/mini/config.json", "{}");
    scratch_text(&s, ".cache/heddle/models/own/mini@refs%2Fpr%2F1/config.json", "{}");
    scratch_text(&s, ".cache/heddle/models/bare/config.json", "{}");
    assert_string_equal(located("sentence-transformers/mini"),
                        scratch_path(&s, ".cache/heddle/models/sentence-transformers/mini"));
    assert_string_equal(located("mini"), scratch_path(&s, ".cache/heddle/models/sentence-transformers/mini"));
    assert_string_equal(located("own/mini@refs/pr/1"), scratch_path(&s, ".cache/heddle/models/own/mini@refs%2Fpr%2F1"));
    assert_string_equal(located("bare"), scratch_path(&s, ".cache/heddle/models/bare"));
    const char *text = located("own/mini");
    assert_non_null(strstr(text, "heddle pull own/mini"));
    assert_non_null(strstr(text, scratch_path(&s, ".cache/heddle/models")));
    assert_non_null(strstr(text, "models--own--mini"));
    assert_non_null(strstr(located("nothing@v1"), "heddle pull sentence-transformers/nothing@v1"));
    const char *path;
    scratch_text(&s, "elsewhere/models/a/b/config.json", "{}");
    assert_int_equal(hd__model_locate("a/b", scratch_path(&s, "elsewhere"), &arena, &path, &err), HD_OK);
}

#define COMMIT "0123456789abcdef0123456789abcdef01234567"
#define REPO ".cache/huggingface/hub/models--a--b"

static void finds_complete_models_in_the_hugging_face_cache(void **state)
{
    (void)state;
    write_model(REPO "/snapshots/" COMMIT);
    assert_non_null(strstr(located("a/b"), "no model \"a/b\""));
    scratch_text(&s, REPO "/refs/main", COMMIT "\n");
    assert_string_equal(located("a/b"), scratch_path(&s, REPO "/snapshots/" COMMIT));
    assert_string_equal(located("a/b@main"), scratch_path(&s, REPO "/snapshots/" COMMIT));
    assert_string_equal(located("a/b@" COMMIT), scratch_path(&s, REPO "/snapshots/" COMMIT));
    scratch_text(&s, REPO "/refs/refs/pr/1", COMMIT);
    assert_string_equal(located("a/b@refs/pr/1"), scratch_path(&s, REPO "/snapshots/" COMMIT));
    assert_non_null(strstr(located("a/b@v2"), "no model"));
    scratch_text(&s, REPO "/refs/v2", "../../../x");
    assert_non_null(strstr(located("a/b@v2"), "not a commit"));

    unlink(scratch_path(&s, REPO "/snapshots/" COMMIT "/vocab.txt"));
    assert_non_null(strstr(located("a/b"), "no vocab.txt"));
    scratch_text(&s, REPO "/snapshots/" COMMIT "/tokenizer.json", "{}");
    assert_string_equal(located("a/b"), scratch_path(&s, REPO "/snapshots/" COMMIT));
    unlink(scratch_path(&s, REPO "/snapshots/" COMMIT "/model.safetensors"));
    assert_non_null(strstr(located("a/b"), "neither model.safetensors nor"));
    scratch_text(&s, ".cache/heddle/models/a/b/config.json", "{}");
    assert_string_equal(located("a/b"), scratch_path(&s, ".cache/heddle/models/a/b"));
}

static void the_hugging_face_cache_follows_the_environment(void **state)
{
    (void)state;
    static const struct {
        const char *variable, *value, *dir;
    } cases[] = {
        {"XDG_CACHE_HOME", "1", "1/huggingface/hub"},
        {"HF_HOME", "2", "2/hub"},
        {"HUGGINGFACE_HUB_CACHE", "3", "3"},
        {"HF_HUB_CACHE", "4", "4"},
    };
    setenv("HEDDLE_CACHE", "/nowhere", 1);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char dir[256];
        setenv(cases[i].variable, scratch_path(&s, cases[i].value), 1);
        snprintf(dir, sizeof dir, "%s/models--a--b/refs/main", cases[i].dir);
        scratch_text(&s, dir, COMMIT);
        snprintf(dir, sizeof dir, "%s/models--a--b/snapshots/" COMMIT, cases[i].dir);
        write_model(dir);
        assert_string_equal(located("a/b"), scratch_path(&s, dir));
    }
}

static void lists_models(void **state)
{
    (void)state;
    hd_located_model *models;
    size_t n;
    assert_int_equal(hd__model_list(NULL, &arena, &models, &n, &err), HD_OK);
    assert_int_equal(n, 0);
    write_model(".cache/heddle/models/z/last");
    scratch_text(&s, ".cache/heddle/models/own/mini@refs%2Fpr%2F1/config.json", "{\"a\":1}");
    scratch_text(&s, ".cache/heddle/models/own/mini@refs%2Fpr%2F1/1_Pooling/config.json", "{}");
    scratch_text(&s, ".cache/heddle/models/bare/config.json", "{}");
    scratch_text(&s, ".cache/heddle/models/own/.hidden/config.json", "{}");
    scratch_text(&s, ".cache/heddle/models/own/not-a-model/README.md", "{}");
    scratch_text(&s, ".cache/heddle/models/file", "{}");
    write_model(REPO "/snapshots/" COMMIT);
    scratch_text(&s, REPO "/refs/main", COMMIT);
    write_model(REPO "/snapshots/older");
    scratch_text(&s, ".cache/huggingface/hub/models--x--incomplete/snapshots/1/config.json", "{\"model_type\":\"bert\"}");
    scratch_text(&s, ".cache/huggingface/hub/datasets--x--y/snapshots/1/config.json", "{}");
    assert_int_equal(hd__model_list(NULL, &arena, &models, &n, &err), HD_OK);
    static const struct {
        const char *name, *revision, *source;
        uint64_t bytes;
    } wanted[] = {
        {"a/b", "", "huggingface", 37},         {"a/b", "older", "huggingface", 37}, {"bare", "", "heddle", 2},
        {"own/mini", "refs/pr/1", "heddle", 9}, {"z/last", "", "heddle", 37},
    };
    assert_int_equal(n, sizeof wanted / sizeof *wanted);
    for (size_t i = 0; i < n; i++) {
        assert_string_equal(models[i].name, wanted[i].name);
        assert_string_equal(models[i].revision, wanted[i].revision);
        assert_string_equal(models[i].source, wanted[i].source);
        assert_int_equal(models[i].bytes, wanted[i].bytes);
        struct stat st;
        assert_int_equal(stat(models[i].path, &st), 0);
    }
}

static void survives_failing_allocations(void **state)
{
    (void)state;
    write_model(REPO "/snapshots/" COMMIT);
    scratch_text(&s, REPO "/refs/main", COMMIT);
    scratch_text(&s, ".cache/heddle/models/own/mini@v1/config.json", "{}");
    for (int list = 0; list <= 1; list++) {
        hd_status status;
        uint64_t n = 0;
        do {
            const char *path;
            hd_located_model *models;
            size_t n_models;
            hd__arena_clear(&arena);
            hd__alloc_fail_after(n++, UINT64_MAX);
            status = list ? hd__model_list(NULL, &arena, &models, &n_models, &err)
                          : hd__model_locate("a/b", NULL, &arena, &path, &err);
            hd__alloc_fail_off();
            if (status != HD_OK && status != HD_ERR_MEMORY)
                fail_msg("%s", err.text);
        } while (status != HD_OK);
        assert_true(n > 1);
    }
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)
    const struct CMUnitTest tests[] = {
        TEST(the_cache_folder_follows_the_environment),
        TEST(parses_names),
        TEST(finds_folders),
        TEST(finds_models_in_our_store),
        TEST(finds_complete_models_in_the_hugging_face_cache),
        TEST(the_hugging_face_cache_follows_the_environment),
        TEST(lists_models),
        TEST(survives_failing_allocations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
