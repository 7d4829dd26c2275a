/* profile.c - named sets of search options.
 *
 *   fast, default, gpu   of a question-answering pipeline over papers (ScholarQA's parameters as its users run them):
 *                        n_retrieval candidates by vectors, n_keyword by words, the best reranked, one passage of each
 *                        document, none below a threshold of the reranker's score
 *   elastic              0.3 * BM25 + 0.7 * cosine, each scaled to [0, 1]
 */
#include <string.h>

#include "base/status.h"
#include "heddle/index.h"

typedef struct profile {
    const char *name;
    hd_search search;
} profile;

#define SCHOLAR(retrieval, keyword, reranked, threshold)                                                                    \
    {                                                                                                                       \
        .n_candidates = (retrieval), .n_keyword = (keyword), .rerank = true, .n_rerank = (reranked), .per_document = true,  \
        .min_score_leg = HD_LEG_RERANK, .min_score = (threshold), .has_min_score = true                                     \
    }

static const profile profiles[] = {
    {"fast", SCHOLAR(50, 5, 30, 0.3f)},
    {"default", SCHOLAR(80, 8, 100, 0.2f)},
    {"gpu", SCHOLAR(128, 10, 50, 0.2f)},
    {"elastic", {.legs = HD_LEG_BM25 | HD_LEG_DENSE, .fusion = HD_FUSION_MINMAX, .weights = {0.3f, 0.7f}}},
};

hd_status hd_search_profile(const char *name, hd_search *search, hd_error *err)
{
    for (size_t i = 0; i < sizeof profiles / sizeof *profiles; i++) {
        if (strcmp(profiles[i].name, name) == 0) {
            *search = profiles[i].search;
            return HD_OK;
        }
    }
    return hd__fail(err, HD_ERR_NOT_FOUND, "no search profile '%s': there are fast, default, gpu and elastic", name);
}
