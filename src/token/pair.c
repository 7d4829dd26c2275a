/* pair.c - two texts to one sequence of ids, as cross-encoders read them; see hd__tokenizer_encode_pair.
 *
 * Which text gives way follows `tokenizers` (utils/truncation.rs). Texts are read no further than their ids can count.
 */
#include "base/limits.h"
#include "token/tokenizer_parts.h"

typedef struct pair {
    hd_span texts[2];
    hd_ids ids[2];     /* of each text, then cut */
    size_t limit;      /* of both together */
    bool first_is_cut; /* to options->max_first */
} pair;

static void cut(hd_ids *ids, size_t n, bool cut_front)
{
    if (cut_front && n > 0)
        memmove(ids->ids, ids->ids + ids->n - n, n * sizeof *ids->ids);
    ids->n = n;
}

static hd_status encode_both(const hd_tokenizer *tokenizer, const hd_tokenize_options *options, size_t limit, pair *p,
                             hd_error *err)
{
    for (size_t i = 0; i < 2; i++) {
        p->ids[i].n = 0;
        HD_TRY(hd__tokenizer_encode_text(tokenizer, p->texts[i], limit, options->lower_case, &p->ids[i], err));
    }
    p->first_is_cut = options->max_first != 0 && p->ids[0].n > options->max_first;
    if (p->first_is_cut)
        cut(&p->ids[0], options->max_first, options->cut_front);
    return HD_OK;
}

/* The shorter text stays whole while the other can give way; then each gets half, and the longer one the odd token. */
static void share_limit(size_t limit, size_t n[2])
{
    const size_t shorter = n[0] > n[1];
    size_t least = n[shorter], rest = limit > least ? limit - least : 0;
    if (rest < least) {
        least = limit / 2;
        rest = limit - least;
    }
    n[shorter] = least;
    n[1 - shorter] = rest;
}

static hd_status cut_one(size_t limit, size_t which, size_t n[2], hd_error *err)
{
    if (n[1 - which] >= limit)
        return hd__fail(err, HD_ERR_LIMIT, "the %s text of a pair leaves none of %zu tokens to the one that is to be cut",
                        which == 1 ? "first" : "second", limit);
    n[which] = limit - n[1 - which];
    return HD_OK;
}

static hd_status truncate(const hd_tokenizer *tokenizer, const hd_tokenize_options *options, hd_truncation truncation,
                          pair *p, bool *truncated, hd_error *err)
{
    const size_t limit = p->limit;
    *truncated = p->ids[0].n + p->ids[1].n > limit;
    if (!*truncated)
        return HD_OK;
    if (truncation == HD_TRUNCATE_LONGEST_FIRST && limit % 2 != 0 && p->ids[0].n > limit && p->ids[1].n > limit)
        HD_TRY(encode_both(tokenizer, options, SIZE_MAX - 1, p, err)); /* which one is longer? */
    size_t n[2] = {p->ids[0].n, p->ids[1].n};
    if (truncation == HD_TRUNCATE_LONGEST_FIRST || limit == 0)
        share_limit(limit, n);
    else
        HD_TRY(cut_one(limit, truncation == HD_TRUNCATE_ONLY_SECOND, n, err));
    for (size_t i = 0; i < 2; i++)
        cut(&p->ids[i], n[i], options->cut_front);
    return HD_OK;
}

static void put(hd_ids *ids, hd_ids *types, const int32_t *more, size_t n, int32_t type)
{
    if (n > 0)
        memcpy(ids->ids + ids->n, more, n * sizeof *more);
    ids->n += n;
    for (size_t i = 0; types != NULL && i < n; i++)
        types->ids[types->n++] = type;
}

static hd_status join(const hd_template *template, bool no_specials, const pair *p, hd_ids *ids, hd_ids *types,
                      hd_error *err)
{
    const size_t n = p->ids[0].n + p->ids[1].n + HD_TEMPLATE_MAX_PAIR;
    HD_TRY(hd__ids_reserve(ids, n, err));
    if (types != NULL)
        HD_TRY(hd__ids_reserve(types, n, err));
    for (uint32_t i = 0; i < template->n_pair; i++) {
        const hd_pair_piece *piece = &template->pair[i];
        const hd_ids *text = &p->ids[piece->kind == HD_PAIR_SECOND];
        if (piece->kind != HD_PAIR_SPECIAL)
            put(ids, types, text->ids, text->n, piece->type);
        else if (!no_specials)
            put(ids, types, &piece->id, 1, piece->type);
    }
    return HD_OK;
}

hd_status hd__tokenizer_encode_pair(const hd_tokenizer *tokenizer, hd_span a, hd_span b, const hd_tokenize_options *options,
                                    hd_truncation truncation, hd_ids *ids, hd_ids *types, bool *truncated, hd_error *err)
{
    const hd_template *template = &tokenizer->template;
    const uint32_t n_specials = options->no_specials || template->n_pair == 0 ? 0 : template->n_pair - 2;
    pair p = {.texts = {a, b}};
    bool is_cut = false;
    hd_status status;
    if (template->n_pair == 0)
        return hd__fail(err, HD_ERR_UNSUPPORTED, "the tokenizer's post-processor has no place for a second text");
    for (size_t i = 0; i < 2; i++)
        HD_TRY(hd__tokenizer_check_text(p.texts[i], options, n_specials, &p.limit, err));
    HD_TRY_OUT(encode_both(tokenizer, options, options->cut_front ? SIZE_MAX - 1 : p.limit, &p, err));
    HD_TRY_OUT(truncate(tokenizer, options, truncation, &p, &is_cut, err));
    HD_TRY_OUT(join(template, options->no_specials, &p, ids, types, err));
    if (truncated != NULL)
        *truncated = is_cut || p.first_is_cut;
out:
    hd__ids_clear(&p.ids[0]);
    hd__ids_clear(&p.ids[1]);
    return status;
}
