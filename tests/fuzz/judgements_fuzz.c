/* Queries and judgements: two files in one input, a NUL between them. What is accepted has queries that have a relevant
 * document. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "search/judgements.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    hd_arena arena;
    hd_error err = {0};
    hd_judged_query *judged;
    size_t n;
    const uint8_t *nul = memchr(data, 0, size);
    if (nul == NULL)
        return 0;
    const size_t n_queries = (size_t)(nul - data);
    hd__arena_init(&arena);
    if (hd__judgements_parse(hd__span(data, n_queries), "q", hd__span(nul + 1, size - n_queries - 1), "r", &arena, &judged,
                             &n, &err) == HD_OK) {
        for (size_t i = 0; i < n; i++) {
            int32_t most = 0;
            for (size_t k = 0; k < judged[i].n_judgements; k++) {
                const char *id;
                const int32_t grade = hd__judgements_grade(&judged[i], judged[i].judgements[k].document, "", &id);
                if (grade != judged[i].judgements[k].grade)
                    abort();
                most = grade > most ? grade : most;
            }
            if (most == 0)
                abort();
        }
        if (n == 0)
            abort();
    } else if (err.text[0] == '\0') {
        abort();
    }
    hd__arena_clear(&arena);
    return 0;
}
