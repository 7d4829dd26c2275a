/* sentencepiece_fuzz.c - any bytes as a sentencepiece.bpe.model. One that opens must tokenise hostile text by both ways
 * alike, whatever its charsmap says. */
#include <stdlib.h>

#include "token/tokenizer_parts.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const texts[] = {
    "",
    "Hello <mask> world</s>, na\xC3\xAFve  caf\x65\xCC\x81 aaa",
    "\xE6\xBC\xA2\xE5\xAD\x97 a\xCC\x81\xCC\xA3\xE3\x80\xAE \xFF\xC3 \t\r\n\xE2\x96\x81\xE2\x96\x81",
    "\xF0\x9F\x87\xA9\xF0\x9F\x87\xAA \xE0\xA4\x95\xE0\xA5\x8D\xE0\xA4\xB7 \xC2\xBD\xEF\xAC\x81 \x01",
};

static void check(const hd_tokenizer *tokenizer, hd_span text, const hd_tokenize_options *options)
{
    hd_ids ids = {0};
    hd_tokens tokens = {0};
    if (hd__tokenizer_encode(tokenizer, text, options, &ids, NULL, NULL) != HD_OK ||
        hd__tokenizer_encode_offsets(tokenizer, text, options, &tokens, NULL) != HD_OK || ids.n != tokens.n)
        abort();
    for (size_t i = 0; i < ids.n; i++) {
        const hd_token *t = &tokens.tokens[i];
        if (ids.ids[i] != t->id || t->byte_begin > t->byte_end || t->byte_end > text.len || t->char_begin > t->char_end)
            abort();
    }
    hd__ids_clear(&ids);
    hd_tokens_free(&tokens);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    hd_tokenizer *tokenizer;
    hd_error err;
    if (hd__tokenizer_open_sentencepiece(hd__span(data, size), "fuzz.model", &tokenizer, &err) != HD_OK)
        return 0;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        check(tokenizer, hd__span_of(texts[i]), &(hd_tokenize_options){0});
        check(tokenizer, hd__span_of(texts[i]), &(hd_tokenize_options){.max_length = 4, .lower_case = true});
    }
    hd__tokenizer_close(tokenizer);
    return 0;
}
