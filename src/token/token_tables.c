/* token_tables.c - see token_tables.h. */
#include "token/token_tables.h"

#include <assert.h>

#include "base/limits.h"
#include "token/tokenizer_parts.h"

const char *const hd__token_table_names[HD_TABLE_COUNT] = {"settings", "numbers", "records", "places",
                                                           "slots",    "scores",  "nodes",   "merges"};

typedef struct hd_token_numbers {
    uint64_t lengths[2][256]; /* these are hd_vocab's */
    uint32_t longest[2];
    uint32_t n_records, n_tokens, prefix_len;
    uint32_t kind; /* hd_token_model_kind */
} hd_token_numbers;

static_assert(sizeof(hd_token_numbers) == 2 * 256 * 8 + 6 * 4, "no padding, whose bytes would be anything");
static_assert(sizeof(hd_trie_node) == 8 && sizeof(hd_bpe_merge) == 16, "the same everywhere");

/* ---- of an open one ---- */

static hd_token_numbers numbers_of(const hd_token_model *model)
{
    const hd_vocab *v = &model->vocab;
    hd_token_numbers numbers = {
        .longest = {v->longest[0], v->longest[1]},
        .n_records = v->n_records,
        .n_tokens = v->n_tokens,
        .prefix_len = v->prefix_len,
        .kind = (uint32_t)model->kind,
    };
    memcpy(numbers.lengths, v->lengths, sizeof numbers.lengths);
    return numbers;
}

static hd_span array(const void *first, size_t n, size_t bytes_each)
{
    return hd__span(first, first != NULL ? n * bytes_each : 0);
}

hd_status hd__token_tables_note(hd_tokenizer *t, hd_span settings, hd_error *err)
{
    const hd_token_numbers numbers = numbers_of(&t->model);
    char *text = hd__arena_strndup(&t->arena, settings.ptr, settings.len);
    hd_token_numbers *copy = hd__arena_alloc(&t->arena, sizeof *copy);
    if (text == NULL || copy == NULL)
        return hd__fail(err, HD_ERR_MEMORY, "no memory for a tokenizer's settings");
    *copy = numbers;
    t->settings = hd__span(text, settings.len);
    t->numbers = hd__span(copy, sizeof *copy);
    return HD_OK;
}

bool hd__token_tables_of(const hd_tokenizer *t, hd_span tables[HD_TABLE_COUNT])
{
    const hd_token_model *m = &t->model;
    const hd_vocab *v = &m->vocab;
    tables[HD_TABLE_SETTINGS] = t->settings;
    tables[HD_TABLE_NUMBERS] = t->numbers;
    tables[HD_TABLE_RECORDS] = array(v->records.ptr, v->records.len + HD_VOCAB_PADDING, 1);
    tables[HD_TABLE_PLACES] = array(v->place_of, v->n_ids, sizeof *v->place_of);
    tables[HD_TABLE_SLOTS] = array(v->slots, (size_t)v->slot_mask + 1, sizeof *v->slots);
    tables[HD_TABLE_SCORES] = array(m->unigram.scores, m->unigram.n_scores, sizeof *m->unigram.scores);
    tables[HD_TABLE_NODES] = array(m->unigram.trie.nodes, m->unigram.trie.n_nodes, sizeof *m->unigram.trie.nodes);
    tables[HD_TABLE_MERGES] = array(m->bpe.slots, (size_t)m->bpe.slot_mask + 1, sizeof *m->bpe.slots);
    return t->settings.ptr != NULL && v->records.ptr != NULL;
}

/* ---- another one over them ---- */

static bool take_numbers(hd_token_model *model, hd_span table)
{
    hd_token_numbers numbers;
    hd_vocab *v = &model->vocab;
    if (table.len != sizeof numbers)
        return false;
    memcpy(&numbers, table.ptr, sizeof numbers);
    memcpy(v->lengths, numbers.lengths, sizeof v->lengths);
    memcpy(v->longest, numbers.longest, sizeof v->longest);
    v->n_records = numbers.n_records;
    v->n_tokens = numbers.n_tokens;
    v->prefix_len = numbers.prefix_len;
    model->kind = (hd_token_model_kind)numbers.kind;
    return numbers.kind <= HD_MODEL_BPE && numbers.n_tokens <= HD_LIMIT_VOCAB;
}

static bool view_unigram(hd_unigram *model, const hd_vocab *vocab, const hd_span tables[HD_TABLE_COUNT])
{
    const hd_span scores = tables[HD_TABLE_SCORES];
    model->scores = (double *)(void *)scores.ptr;
    model->n_scores = scores.len / sizeof *model->scores;
    return model->n_scores == vocab->n_ids && hd__piece_trie_view(&model->trie, tables[HD_TABLE_NODES], vocab->n_ids);
}

bool hd__token_tables_view(hd_token_model *model, const hd_span tables[HD_TABLE_COUNT])
{
    hd_vocab *v = &model->vocab;
    model->is_view = true;
    if (!take_numbers(model, tables[HD_TABLE_NUMBERS]) ||
        !hd__vocab_view(v, tables[HD_TABLE_RECORDS], tables[HD_TABLE_PLACES], tables[HD_TABLE_SLOTS]))
        return false;
    switch (model->kind) {
    case HD_MODEL_UNIGRAM: return view_unigram(&model->unigram, v, tables);
    case HD_MODEL_BPE: return v->slots != NULL && hd__bpe_view(&model->bpe, tables[HD_TABLE_MERGES], v->n_ids);
    case HD_MODEL_WORDPIECE: return v->slots != NULL;
    }
    return false;
}
