/* wordpiece.c - see wordpiece.h. */
#include "token/wordpiece.h"

#include "base/limits.h"

hd_status hd__wordpiece_build(hd_wordpiece *model, hd_vocab *vocab, hd_span prefix, hd_span unk_token, const char *file,
                              hd_error *err)
{
    char padded[HD_LIMIT_TOKEN_BYTES + HD_VOCAB_PADDING] = {0};
    if (unk_token.len > HD_LIMIT_TOKEN_BYTES)
        return hd__fail(err, HD_ERR_LIMIT, "%s: \"unk_token\" has %zu bytes, the limit is %u", file, unk_token.len,
                        HD_LIMIT_TOKEN_BYTES);
    HD_TRY(hd__vocab_build(vocab, prefix, err));
    model->vocab = vocab;
    memcpy(padded, unk_token.ptr, unk_token.len);
    model->unk_id = hd__vocab_find(vocab, hd__span(padded, unk_token.len), HD_PIECE_FIRST);
    if (model->unk_id < 0)
        return hd__fail(err, HD_ERR_FORMAT, "%s: the unknown token \"%.64s\" is not in the vocabulary of %u", file, padded,
                        vocab->n_tokens);
    return HD_OK;
}

static size_t unknown(const hd_wordpiece *model, hd_span word, int32_t *ids, uint32_t *ends)
{
    ids[0] = model->unk_id;
    if (ends != NULL)
        ends[0] = (uint32_t)word.len;
    return 1;
}

size_t hd__wordpiece_encode(const hd_wordpiece *model, hd_span word, size_t n_chars, int32_t *ids, uint32_t *ends)
{
    if (n_chars > model->max_word_chars)
        return unknown(model, word, ids, ends);
    size_t n = 0;
    for (size_t at = 0; at < word.len; n++) {
        size_t len = 0;
        hd_piece_kind kind = at == 0 ? HD_PIECE_FIRST : HD_PIECE_NEXT;
        ids[n] = hd__vocab_find_longest(model->vocab, hd__span(word.ptr + at, word.len - at), kind, &len);
        if (ids[n] < 0)
            return unknown(model, word, ids, ends);
        at += len;
        if (ends != NULL)
            ends[n] = (uint32_t)at;
    }
    return n;
}
