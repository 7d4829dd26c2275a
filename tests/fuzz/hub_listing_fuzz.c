/* The hub's list of a repository's files. No path may lead out of the folder, and the commit, which becomes a
 * folder's name, is hexadecimal. */
#include <stdint.h>
#include <stdlib.h>

#include "base/file.h"
#include "remote/hub_source.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    hd_arena arena;
    hd_error err;
    hd__arena_init(&arena);
    hd_hub_source source = {.arena = &arena, .base.files = {.arena = &arena, .source = "fuzz"}};
    const hd_modules modules = {.present = true, .n = 2, .modules = {{"Transformer", ""}, {"Pooling", "1_Pooling"}}};
    if (hd__hub_listing_parse(&source, hd__span(data, size), "fuzz", &err) == HD_OK) {
        if (source.commit[0] == '\0' || source.commit[strspn(source.commit, "0123456789abcdef")] != '\0')
            abort();
        for (size_t i = 0; i < source.base.files.n; i++) {
            if (!hd__path_is_below(hd__span_of(source.base.files.files[i].path)))
                abort();
        }
        HD_IGNORE(hd__file_list_choose(&source.base.files, &modules, &err));
    }
    hd__arena_clear(&arena);
    return 0;
}
