/* tokens.c - the public list of tokens with offsets; see heddle.h. */
#include "base/alloc.h"
#include "heddle/heddle.h"

void hd_tokens_free(hd_tokens *tokens)
{
    if (tokens == NULL)
        return;
    hd__free(tokens->tokens);
    *tokens = (hd_tokens){0};
}
