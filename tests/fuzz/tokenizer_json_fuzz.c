/* tokenizer_json_fuzz.c - any bytes as a tokenizer.json. One that opens must tokenise hostile text by both ways
 * alike, with and without a length limit. */
#include <stdlib.h>

#include "base/log.h"
#include "token/tokenizer_parts.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const texts[] = {
    "",
    "Hello [CLS] world, na\xC3\xAFve <mask>  caf\xC3\xA9 aaa",
    "\xE6\xBC\xA2\xE5\xAD\x97 a\xCC\x81\xCC\xA3\xE3\x80\xAE \xFF\xC3 \t\r\n[MASK]",
    "\xF0\x9D\x85\x9E\xF0\x9D\x85\xA5 \xEA\xB0\x81 \xEF\xAC\x81 \xC4\xB0I \xCE\xA3",
};

static void check(const hd_tokenizer *tokenizer, hd_span text, const hd_tokenize_options *options)
{
    hd_ids ids = {0};
    hd_tokens tokens = {0};
    hd_status by_ids = hd__tokenizer_encode(tokenizer, text, options, &ids, NULL, NULL);
    hd_status by_tokens = hd__tokenizer_encode_offsets(tokenizer, text, options, &tokens, NULL);
    if (by_ids != by_tokens || ids.n != tokens.n)
        abort();
    for (size_t i = 0; i < ids.n; i++) {
        const hd_token *t = &tokens.tokens[i];
        if (ids.ids[i] != t->id || t->byte_begin > t->byte_end || t->byte_end > text.len || t->char_begin > t->char_end)
            abort();
        if (hd__tokenizer_token(tokenizer, t->id) == NULL)
            abort();
    }
    hd__ids_clear(&ids);
    hd_tokens_free(&tokens);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    hd_tokenizer *tokenizer;
    hd_error err;
    hd__log_set_level(HD_LOG_ERROR);
    if (hd__tokenizer_open_json(hd__span(data, size), "fuzz.json", &tokenizer, &err) != HD_OK)
        return 0;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        check(tokenizer, hd__span_of(texts[i]), &(hd_tokenize_options){0});
        check(tokenizer, hd__span_of(texts[i]), &(hd_tokenize_options){.max_length = 4, .lower_case = true});
    }
    hd__tokenizer_close(tokenizer);
    return 0;
}
