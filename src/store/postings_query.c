/* postings_query.c - see postings_query.h. */
#include "store/postings_query.h"

#include "base/limits.h"

typedef struct piece {
    hd_span text;
    bool is_quote, is_excluded;
} piece;

static bool is_blank(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* The next stretch or quote. False at the end. */
static bool next_piece(hd_span query, size_t *at, piece *out)
{
    if (*at >= query.len)
        return false;
    const char *const begin = query.ptr + *at, *const end = query.ptr + query.len;
    const char *open = begin, *close;
    for (;;) { /* the next quote that has an end, and something in it */
        open = memchr(open, '"', (size_t)(end - open));
        close = open != NULL ? memchr(open + 1, '"', (size_t)(end - open - 1)) : NULL;
        if (close == NULL) {
            *out = (piece){.text = hd__span(begin, (size_t)(end - begin))};
            *at = query.len;
            return true;
        }
        if (close > open + 1)
            break;
        open = close + 1;
    }
    const bool minus = open > begin && open[-1] == '-' && (open - 1 == query.ptr || is_blank(open[-2]));
    const size_t before = (size_t)(open - begin) - minus;
    if (before > 0) {
        *out = (piece){.text = hd__span(begin, before)};
        *at += before;
        return true;
    }
    *out = (piece){hd__span(open + 1, (size_t)(close - open - 1)), true, minus};
    *at = (size_t)(close + 1 - query.ptr);
    return true;
}

bool hd__query_has_quotes(hd_span query)
{
    piece found;
    for (size_t at = 0; next_piece(query, &at, &found);)
        if (found.is_quote)
            return true;
    return false;
}

bool hd__query_find(const hd_query *query, hd_span text, size_t *term)
{
    for (size_t i = 0; i < query->n_terms; i++) {
        if (hd__span_equal(query->terms[i].text, text)) {
            *term = i;
            return true;
        }
    }
    return false;
}

static hd_status fail_memory(hd_error *err)
{
    return hd__fail(err, HD_ERR_MEMORY, "no memory for the words of a query");
}

static hd_status add_term(hd_query *query, hd_span text, hd_error *err)
{
    size_t term;
    if (hd__query_find(query, text, &term)) {
        query->terms[term].weight += 1;
        return HD_OK;
    }
    if (query->n_terms == HD_LIMIT_QUERY_TERMS)
        return HD_OK;
    const char *copy = hd__arena_strndup(&query->memory, text.ptr, text.len);
    if (copy == NULL)
        return fail_memory(err);
    query->terms[query->n_terms++] = (hd_search_term){hd__span(copy, text.len), 1};
    return HD_OK;
}

static hd_status add_quote(hd_query *query, const hd_words *words, const hd_word *list, size_t n, bool is_excluded,
                           hd_error *err)
{
    hd_query_quote quote = {is_excluded, query->n_quoted, 0};
    for (size_t i = 0; i < n && query->n_quoted < HD_LIMIT_QUERY_TERMS; i++) {
        if (list[i].is_whole)
            continue;
        const hd_span term = hd__words_term(words, &list[i]);
        const char *copy = hd__arena_strndup(&query->memory, term.ptr, term.len);
        if (copy == NULL)
            return fail_memory(err);
        query->quoted[query->n_quoted++] = hd__span(copy, term.len);
        quote.n++;
    }
    if (quote.n > 0)
        query->quotes[query->n_quotes++] = quote;
    return HD_OK;
}

hd_status hd__query_parse(hd_span text, hd_words *words, hd_query *query, hd_error *err)
{
    *query = (hd_query){0};
    hd__arena_init(&query->memory);
    query->terms = hd__arena_alloc(&query->memory, HD_LIMIT_QUERY_TERMS * sizeof *query->terms);
    query->quotes = hd__arena_alloc(&query->memory, HD_LIMIT_QUERY_TERMS * sizeof *query->quotes);
    query->quoted = hd__arena_alloc(&query->memory, HD_LIMIT_QUERY_TERMS * sizeof *query->quoted);
    if (query->terms == NULL || query->quotes == NULL || query->quoted == NULL)
        return fail_memory(err);
    piece found;
    for (size_t at = 0; next_piece(text, &at, &found);) {
        const hd_word *list;
        size_t n;
        HD_TRY(hd__words_split(words, found.text, &list, &n, err));
        if (found.is_quote)
            HD_TRY(add_quote(query, words, list, n, found.is_excluded, err));
        for (size_t i = 0; i < n && !found.is_excluded; i++)
            HD_TRY(add_term(query, hd__words_term(words, &list[i]), err));
    }
    return HD_OK;
}

void hd__query_clear(hd_query *query)
{
    hd__arena_clear(&query->memory);
    *query = (hd_query){0};
}

/* Whether the words of a text have those of the quote one after the other. */
static bool has_quote(const hd_query *query, const hd_query_quote *quote, const hd_words *words, const hd_word *list,
                      size_t n)
{
    for (size_t begin = 0; begin < n; begin++) {
        size_t matched = 0;
        for (size_t i = begin; i < n && matched < quote->n; i++) {
            if (list[i].is_whole)
                continue;
            if (!hd__span_equal(hd__words_term(words, &list[i]), query->quoted[quote->first + matched]))
                break;
            matched++;
        }
        if (matched == quote->n)
            return true;
    }
    return false;
}

hd_status hd__query_admits(const hd_query *query, hd_words *words, const hd_span *texts, size_t n_texts, bool *admits,
                           hd_error *err)
{
    *admits = true;
    for (size_t q = 0; q < query->n_quotes && *admits; q++) {
        bool has = false;
        for (size_t i = 0; i < n_texts && !has; i++) {
            const hd_word *list;
            size_t n;
            HD_TRY(hd__words_split(words, texts[i], &list, &n, err));
            has = has_quote(query, &query->quotes[q], words, list, n);
        }
        *admits = has != query->quotes[q].is_excluded;
    }
    return HD_OK;
}
