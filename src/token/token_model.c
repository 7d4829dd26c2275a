/* token_model.c - see token_model.h. */
#include "token/token_model.h"

#include "base/alloc.h"

void hd__token_model_init(hd_token_model *model)
{
    *model = (hd_token_model){.kind = HD_MODEL_WORDPIECE};
    hd__vocab_init(&model->vocab);
}

void hd__token_model_clear(hd_token_model *model)
{
    if (model->is_view) {
        hd__token_model_init(model);
        return;
    }
    hd__vocab_clear(&model->vocab);
    hd__unigram_clear(&model->unigram);
    hd__bpe_clear(&model->bpe);
}

int32_t hd__token_model_find(const hd_token_model *model, hd_span text)
{
    if (model->kind == HD_MODEL_UNIGRAM)
        return hd__piece_trie_find(&model->unigram.trie, text);
    return hd__vocab_find(&model->vocab, text, HD_PIECE_FIRST);
}

uint32_t hd__token_model_size(const hd_token_model *model)
{
    return model->vocab.n_tokens;
}

void hd__pieces_clear(hd_pieces *pieces)
{
    hd__free(pieces->ids);
    hd__free(pieces->begins);
    hd__free(pieces->ends);
    hd__free(pieces->nodes);
    hd__bpe_work_clear(&pieces->bpe);
    *pieces = (hd_pieces){0};
}

hd_status hd__pieces_reserve(hd_pieces *pieces, size_t n, hd_error *err)
{
    if (n <= pieces->capacity)
        return HD_OK;
    int32_t *ids = hd__realloc(pieces->ids, hd__mul(n, sizeof *ids));
    pieces->ids = ids != NULL ? ids : pieces->ids;
    uint32_t *begins = hd__realloc(pieces->begins, hd__mul(n, sizeof *begins));
    pieces->begins = begins != NULL ? begins : pieces->begins;
    uint32_t *ends = hd__realloc(pieces->ends, hd__mul(n, sizeof *ends));
    pieces->ends = ends != NULL ? ends : pieces->ends;
    if (ids == NULL || begins == NULL || ends == NULL)
        return hd__fail(err, HD_ERR_MEMORY, "no memory for the pieces of a word, %zu at most", n);
    pieces->capacity = n;
    return HD_OK;
}

static void encode_wordpiece(const hd_wordpiece *model, hd_span word, size_t n_chars, hd_pieces *pieces)
{
    pieces->n = hd__wordpiece_encode(model, word, n_chars, pieces->ids, pieces->ends);
    for (size_t i = 0; i < pieces->n; i++)
        pieces->begins[i] = i > 0 ? pieces->ends[i - 1] : 0;
}

static hd_status encode_unigram(const hd_unigram *model, hd_span word, hd_pieces *pieces, hd_error *err)
{
    if (pieces->node_capacity <= word.len) {
        size_t n = hd__add(word.len, word.len / 2 + 64);
        hd_unigram_node *nodes = hd__realloc(pieces->nodes, hd__mul(n, sizeof *nodes));
        if (nodes == NULL)
            return hd__fail(err, HD_ERR_MEMORY, "no memory for a word of %zu bytes", word.len);
        pieces->nodes = nodes;
        pieces->node_capacity = n;
    }
    hd__unigram_search(model, word, pieces->nodes);
    pieces->n = hd__unigram_pieces(model, word, pieces->nodes, pieces->ids, pieces->begins, pieces->ends);
    if (pieces->n == 0)
        return hd__fail(err, HD_ERR_FORMAT, "%s", hd__no_unknown_token);
    return HD_OK;
}

/* What prefixes and suffixes add to bytes that stand for themselves may reach over the end of the word. */
static hd_status encode_bpe(const hd_bpe *model, hd_span word, hd_pieces *pieces, hd_error *err)
{
    HD_TRY(hd__bpe_encode(model, word, &pieces->bpe, err));
    HD_TRY(hd__pieces_reserve(pieces, pieces->bpe.n, err));
    pieces->n = pieces->bpe.n;
    size_t at = 0;
    for (size_t i = 0; i < pieces->n; i++) {
        const size_t end = hd__add(at, pieces->bpe.symbols[i].n_bytes);
        pieces->ids[i] = (int32_t)pieces->bpe.symbols[i].id;
        pieces->begins[i] = (uint32_t)(at < word.len ? at : word.len - 1);
        pieces->ends[i] = (uint32_t)(end < word.len ? end : word.len);
        at = end;
    }
    return HD_OK;
}

hd_status hd__token_model_encode(const hd_token_model *model, hd_span word, size_t n_chars, hd_pieces *pieces, hd_error *err)
{
    HD_TRY(hd__pieces_reserve(pieces, word.len, err));
    switch (model->kind) {
    case HD_MODEL_BPE: return encode_bpe(&model->bpe, word, pieces, err);
    case HD_MODEL_WORDPIECE: encode_wordpiece(&model->wordpiece, word, n_chars, pieces); break;
    case HD_MODEL_UNIGRAM: return encode_unigram(&model->unigram, word, pieces, err);
    }
    return HD_OK;
}
