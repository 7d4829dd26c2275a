/* words_fuzz.c - any bytes as a text and as a query, in a language that the first byte chooses. Words must be within the
 * text, their terms within the limit; a text's words must be the same twice and admit themselves as a quote.
 */
#include <stdlib.h>

#include "base/alloc.h"
#include "base/limits.h"
#include "store/postings_query.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const languages[] = {"none", "english", "german", "french", "russian", "turkish", "arabic", "porter"};

enum { N_LANGUAGES = sizeof languages / sizeof *languages };

static void must(bool holds)
{
    if (!holds)
        abort();
}

static hd_words *words_of(size_t i)
{
    static hd_words *opened[N_LANGUAGES];
    if (opened[i] == NULL)
        must(hd__words_open(languages[i], &opened[i], NULL) == HD_OK);
    return opened[i];
}

static size_t check_words(hd_words *words, hd_span text, uint64_t *sum)
{
    const hd_word *list;
    size_t n;
    must(hd__words_split(words, text, &list, &n, NULL) == HD_OK);
    *sum = 0;
    for (size_t i = 0; i < n; i++) {
        const hd_span term = hd__words_term(words, &list[i]);
        must(list[i].begin < list[i].end && list[i].end <= text.len);
        must(term.len > 0 && term.len <= HD_LIMIT_WORD_BYTES);
        for (size_t j = 0; j < term.len; j++)
            *sum = *sum * 31 + (unsigned char)term.ptr[j] + list[i].position;
    }
    return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    hd_words *words = words_of(data[0] % N_LANGUAGES);
    char *bytes = malloc(size);
    must(bytes != NULL);
    memcpy(bytes, data + 1, size - 1);
    const hd_span text = hd__span(bytes, size - 1);
    uint64_t sum, again;
    const size_t n = check_words(words, text, &sum);
    must(check_words(words, text, &again) == n && again == sum);

    hd_query query;
    must(hd__query_parse(text, words, &query, NULL) == HD_OK);
    must(query.n_terms <= n && query.n_terms <= HD_LIMIT_QUERY_TERMS);
    must(query.n_quotes == 0 || hd__query_has_quotes(text));
    bool admits, excludes = false;
    must(hd__query_admits(&query, words, &text, 1, &admits, NULL) == HD_OK);
    for (size_t i = 0; i < query.n_quotes; i++)
        excludes = excludes || query.quotes[i].is_excluded;
    must(admits || excludes || query.n_quoted == HD_LIMIT_QUERY_TERMS);
    hd__query_clear(&query);
    free(bytes);
    return 0;
}
