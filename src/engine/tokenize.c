/* tokenize.c - tokens for people: what the model sees of a text, and the way back. See heddle.h. */
#include "base/alloc.h"
#include "engine/engine_int.h"

hd_status hd_tokenize(hd_model *m, hd_text text, const hd_encode_options *options, hd_tokens *tokens, hd_error *err)
{
    const hd_model *side = hd__model_of_side(m, options);
    hd_plan plan;
    HD_TRY(hd__plan_make(side, options, &plan, err));
    HD_TRY(hd_model_begin(m, err));
    hd_buffer joined;
    hd__buffer_init(&joined);
    hd__buffer_append_text(&joined, plan.prompt);
    hd__buffer_append(&joined, text.ptr, text.len);
    hd_status status =
        joined.failed ? hd__fail(err, HD_ERR_MEMORY, "no memory for a text of %zu bytes", text.len)
                      : hd__tokenizer_encode_offsets(side->tokenizer, hd__buffer_span(&joined), &plan.tokenize, tokens, err);
    hd__buffer_clear(&joined);
    hd_model_end(m);
    return status;
}

const char *hd_token_text(hd_model *m, const hd_encode_options *options, int32_t id)
{
    const hd_model *side = hd__model_of_side(m, options);
    pthread_mutex_lock(&m->engine->lock);
    const char *text = side->state == HD_LOADED ? hd__tokenizer_token(side->tokenizer, id) : "";
    pthread_mutex_unlock(&m->engine->lock);
    return text;
}

hd_status hd_detokenize(hd_model *m, const int32_t *ids, size_t n, const hd_encode_options *options, hd_text *text,
                        hd_error *err)
{
    hd_model *side = hd__model_of_side(m, options);
    const bool no_specials = options != NULL && options->no_specials;
    hd_buffer decoded;
    hd__buffer_init(&decoded);
    HD_TRY(hd__model_acquire(side, err));
    hd_status status = hd__tokenizer_decode(side->tokenizer, ids, n, no_specials, &decoded, err);
    hd__model_release(side);
    if (status != HD_OK)
        hd__buffer_clear(&decoded);
    else
        *text = (hd_text){decoded.ptr, decoded.len};
    return status;
}

void hd_text_free(hd_text *text)
{
    hd__free((void *)(uintptr_t)text->ptr);
    *text = (hd_text){NULL, 0};
}
