/* engine_fixture.h - engines and models for the tests of src/engine: shortcuts that fail the test with the error's text. */
#ifndef HD_TESTS_ENGINE_FIXTURE_H
#define HD_TESTS_ENGINE_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "unit/tiny_models.h"

#define MUST(call)                                                                                                          \
    do {                                                                                                                    \
        if ((call) != HD_OK)                                                                                                \
            fail_msg("%s: %s", #call, err.text);                                                                            \
    } while (0)

static hd_error err;
static scratch folder; /* with the models in models/ */

/* Fails unless a call failed in this way, with a text that says this. */
static inline void must_fail(hd_status status, hd_status wanted, const char *says)
{
    if (status != wanted || err.status != wanted || strstr(err.text, says) == NULL)
        fail_msg("%s \"%s\" instead of %s \"…%s…\"", hd_status_name(status), status != HD_OK ? err.text : "",
                 hd_status_name(wanted), says);
}

/* Runs a script of the shell with $models the folder of models; for set-up functions: 0 when it went well. */
static inline int run_in_models(const char *script)
{
    char command[8192];
    const int n = snprintf(command, sizeof command, "models='%s/models'\n%s", folder.dir, script);
    assert_in_range(n, 0, sizeof command - 1);
    return system(command);
}

static inline int remove_folder(void **state)
{
    (void)state;
    scratch_end(&folder);
    return 0;
}

static inline hd_engine *open_engine(hd_engine_options options)
{
    hd_engine *engine;
    options.no_packed_cache = options.cache_dir == NULL;
    MUST(hd_engine_open(&options, &engine, &err));
    return engine;
}

static inline hd_model *open_model(hd_engine *engine, const char *name, hd_dtype dtype)
{
    hd_model *model;
    MUST(hd_model_open(engine, tiny_model_dir(&folder, name), &(hd_model_options){.dtype = dtype}, &model, &err));
    return model;
}

static inline hd_engine_stats stats_of(hd_engine *engine)
{
    hd_engine_stats stats;
    hd_engine_get_stats(engine, &stats);
    return stats;
}

static inline uint32_t width_of(hd_model *model)
{
    hd_model_info info;
    hd_model_get_info(model, &info);
    return info.n_dimensions;
}

static inline bool is_loaded(hd_model *model)
{
    hd_model_info info;
    hd_model_get_info(model, &info);
    return info.loaded;
}

/* n texts of very unlike lengths, all different, about 20 tokens each. They live as long as the program. */
static inline const hd_text *some_texts(size_t n)
{
    static const char *const words[] = {"river", "stone", "the",   "house", "garden", "in",   "winter",
                                        "music", "a",     "paper", "of",    "water",  "ship", "answer",
                                        "query", "dog",   "bird",  "sea",   "light",  "bread"};
    enum { MOST = 6000, N_WORDS = sizeof words / sizeof words[0] };
    static hd_text texts[MOST];
    static char bytes[MOST][256];
    assert_true(n <= MOST);
    for (size_t i = 0; i < n; i++) {
        if (texts[i].ptr != NULL)
            continue; /* of a call before */
        size_t at = (size_t)snprintf(bytes[i], sizeof bytes[i], "%zu", i), n_words = 1 + i * 7 % 31;
        for (size_t k = 0; k < n_words; k++)
            at += (size_t)snprintf(bytes[i] + at, sizeof bytes[i] - at, " %s", words[(i * 13 + k * (1 + i % 5)) % N_WORDS]);
        texts[i] = (hd_text){bytes[i], at};
    }
    return texts;
}

/* Vectors of the first n of some_texts, all in one call; freed by free. */
static inline float *encode_some(hd_model *model, size_t n)
{
    float *out = malloc(n * width_of(model) * sizeof *out);
    MUST(hd_encode(model, some_texts(n), n, NULL, out, NULL, &err));
    return out;
}

/* ---- files of a model ---- */

/* Replaces the first occurrence of a text in a file of a model. */
static inline void change_file(const char *model, const char *file, const char *old, const char *with)
{
    static char text[1 << 20];
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", tiny_model_dir(&folder, model), file);
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    size_t n = fread(text, 1, sizeof text, f), n_old = strlen(old);
    fclose(f);
    size_t at = 0;
    while (at + n_old <= n && memcmp(text + at, old, n_old) != 0)
        at++;
    if (at + n_old > n)
        fail_msg("%s: there is no %s", path, old);
    f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, at, f), at);
    assert_int_equal(fwrite(with, 1, strlen(with), f), strlen(with));
    assert_int_equal(fwrite(text + at + n_old, 1, n - at - n_old, f), n - at - n_old);
    assert_int_equal(fclose(f), 0);
}

#endif
