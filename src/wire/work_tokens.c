/* work_tokens.c - the steps that make tokens of texts, and texts of tokens: on this thread, the engine's queue has no part
 * in it. */
#include "base/clock.h"
#include "wire/work.h"

static void free_tokens(void *data)
{
    hd_tokens_free(data);
}

static hd_status tokenize_all(hd_work *w, const hd_encode_options *options, hd_tokens *all, hd_error *err)
{
    hd_model *model = hd__models_handle(w->entry);
    for (size_t i = 0; i < w->call.n_inputs; i++) {
        HD_TRY(hd_tokenize(model, w->call.inputs[i].text, options, &all[i], err));
        hd_status status = hd__arena_on_clear(&w->exchange->arena, free_tokens, &all[i]);
        if (status != HD_OK) {
            hd_tokens_free(&all[i]);
            return hd__fail(err, status, "no memory for tokens");
        }
        w->n_tokens[i] = (uint32_t)all[i].n;
        w->result.n_tokens_total += all[i].n;
        w->result.n_truncated += all[i].truncated;
    }
    return HD_OK;
}

void hd__work_tokenize(hd_work *w)
{
    hd_arena *arena = &w->exchange->arena;
    const hd_encode_options options = hd__work_encode_options(w);
    hd_error error = {0};
    hd_tokens *all = hd__arena_calloc(arena, w->call.n_inputs, sizeof *all);
    w->n_tokens = hd__arena_calloc(arena, w->call.n_inputs, sizeof *w->n_tokens);
    if (all == NULL || w->n_tokens == NULL) {
        hd__work_no_memory(w);
        return;
    }
    const hd_status status = tokenize_all(w, &options, all, &error);
    const char **texts = status == HD_OK ? hd__arena_calloc(arena, w->result.n_tokens_total + 1, sizeof *texts) : NULL;
    if (status != HD_OK) {
        hd__work_status(w, status, &error);
        return;
    }
    if (texts == NULL) {
        hd__work_no_memory(w);
        return;
    }
    size_t at = 0; /* the model stays loaded until the answer is written: its texts need no copies */
    for (size_t i = 0; i < w->call.n_inputs; i++)
        for (size_t k = 0; k < all[i].n; k++)
            texts[at++] = hd_token_text(hd__models_handle(w->entry), &options, all[i].tokens[k].id);
    w->result.tokens = all;
    w->result.token_texts = texts;
    w->result.prompt = hd__work_prompt_text(w);
    w->result.n_tokens = w->n_tokens;
    w->exchange->record.n_tokens = w->result.n_tokens_total;
    w->exchange->record.tokenize_ns = hd__now_ns() - w->step_ns;
    hd__work_write(&w->node);
}

static void free_text(void *data)
{
    hd_text_free(data);
}

static hd_status detokenize_all(hd_work *w, hd_text *all, hd_error *err)
{
    const hd_encode_options options = hd__work_encode_options(w);
    for (size_t i = 0; i < w->call.n_inputs; i++) {
        const hd_token_ids *input = &w->call.inputs[i].ids;
        HD_TRY(hd_detokenize(hd__models_handle(w->entry), input->ids, input->n, &options, &all[i], err));
        hd_status status = hd__arena_on_clear(&w->exchange->arena, free_text, &all[i]);
        if (status != HD_OK) {
            hd_text_free(&all[i]);
            return hd__fail(err, status, "no memory for texts");
        }
        w->result.n_tokens_total += input->n;
    }
    return HD_OK;
}

void hd__work_detokenize(hd_work *w)
{
    hd_error error = {0};
    hd_text *all = hd__arena_calloc(&w->exchange->arena, w->call.n_inputs, sizeof *all);
    if (all == NULL) {
        hd__work_no_memory(w);
        return;
    }
    const hd_status status = detokenize_all(w, all, &error);
    if (status != HD_OK) {
        hd__work_status(w, status, &error);
        return;
    }
    w->result.texts = all;
    w->exchange->record.n_tokens = w->result.n_tokens_total;
    w->exchange->record.tokenize_ns = hd__now_ns() - w->step_ns;
    hd__work_write(&w->node);
}
