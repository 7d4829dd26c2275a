/* tiny_models.h - the small seeded models of tools/make_tiny_models.py in a temporary folder, for tests that need
 * a whole model; and an engine that keeps its packed weights there. */
#ifndef HD_TESTS_TINY_MODELS_H
#define HD_TESTS_TINY_MODELS_H

#include "unit/scratch.h"

#include <heddle/heddle.h>

/* Writes the named models (separated by spaces; "" for all) below the folder. */
static inline void tiny_models_make(scratch *s, const char *names)
{
    char command[4096];
    snprintf(command, sizeof command, "python3 tools/make_tiny_models.py '%s/models' %s", s->dir, names);
    if (system(command) != 0)
        abort();
}

/* The folder of a model; valid for seven more calls of scratch_path. */
static inline const char *tiny_model_dir(scratch *s, const char *name)
{
    char path[256];
    snprintf(path, sizeof path, "models/%s", name);
    return scratch_path(s, path);
}

/* Where tools/fetch_model.sh puts real weights, or HEDDLE_TEST_MODEL. */
static inline const char *minilm_dir(void)
{
    static char dir[4096];
    const char *cache = getenv("XDG_CACHE_HOME"), *model = getenv("HEDDLE_TEST_MODEL");
    if (model != NULL)
        snprintf(dir, sizeof dir, "%s", model);
    else
        snprintf(dir, sizeof dir, "%s%s/heddle/models/sentence-transformers/all-MiniLM-L6-v2",
                 cache != NULL ? cache : getenv("HOME"), cache != NULL ? "" : "/.cache");
    return dir;
}

static inline hd_text text_of(const char *text)
{
    return (hd_text){text, strlen(text)};
}

#endif
