/* Ignore patterns and a path, after a NUL: the answer is the same when the path is asked about again, and the same as that
 * of a matcher that tries every possibility, where that comes to an end. */
#include <stdint.h>
#include <stdlib.h>

#include "base/limits.h"
#include "ingest/ignore.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* "*" and "?" alone, by trying: what a pattern without brackets, backslashes and slashes means for a name. */
static bool tried(const char *pattern, size_t n_pattern, const char *name, size_t n_name, int *budget)
{
    if (--*budget < 0)
        return false;
    if (n_pattern == 0)
        return n_name == 0;
    if (*pattern == '*')
        return tried(pattern + 1, n_pattern - 1, name, n_name, budget) ||
               (n_name > 0 && tried(pattern, n_pattern, name + 1, n_name - 1, budget));
    return n_name > 0 && (*pattern == '?' || *pattern == *name) &&
           tried(pattern + 1, n_pattern - 1, name + 1, n_name - 1, budget);
}

/* Whether a text is one pattern that `tried` understands. */
static bool is_simple(hd_span text)
{
    for (size_t i = 0; i < text.len; i++)
        if (strchr("/[]\\!# \n\r", text.ptr[i]) != NULL || (unsigned char)text.ptr[i] >= 0xEF)
            return false;
    return text.len > 0 && text.len <= HD_LIMIT_IGNORE_PATTERN_BYTES;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *nul = size > 0 ? memchr(data, '\0', size) : NULL;
    if (nul == NULL)
        return 0;
    const hd_span text = hd__span(data, (size_t)(nul - (const char *)data));
    const hd_span path = hd__span(nul + 1, size - text.len - 1);
    hd_arena arena;
    const hd_ignore *ignore;
    hd_error err;
    hd__arena_init(&arena);
    if (path.len > 0 && path.len < HD_LIMIT_PATH_BYTES && hd__ignore_parse(text, &arena, &ignore, &err) == HD_OK) {
        const hd_ignore_answer answer = hd__ignore_ask(ignore, path, false);
        if (answer != hd__ignore_ask(ignore, path, false))
            abort();
        int budget = 100000;
        if (is_simple(text) && memchr(path.ptr, '/', path.len) == NULL) {
            const bool matches = tried(text.ptr, text.len, path.ptr, path.len, &budget);
            if (budget >= 0 && matches != (answer == HD_IGNORE_LEAVE))
                abort();
        }
    }
    hd__arena_clear(&arena);
    return 0;
}
