/* tokenizer_folder_fuzz.c - a folder without tokenizer.json: the input is its files, one behind the other with a NUL
 * between: vocab.json, merges.txt, tokenizer_config.json, special_tokens_map.json, added_tokens.json. One that opens must
 * tokenise by both ways alike. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "token/tokenizer_parts.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { N_FILES = 5 };
static const char *const files[N_FILES] = {"vocab.json", "merges.txt", "tokenizer_config.json", "special_tokens_map.json",
                                           "added_tokens.json"};
static const char *const texts[] = {"", "ab <mask> abab</s> x", "\xE6\xBC\xA2 a\xCC\x81 \xFF b"};

static void check(const hd_tokenizer *tokenizer, hd_span text)
{
    hd_ids ids = {0};
    hd_tokens tokens = {0};
    const hd_tokenize_options options = {0};
    if (hd__tokenizer_encode(tokenizer, text, &options, &ids, NULL, NULL) != HD_OK ||
        hd__tokenizer_encode_offsets(tokenizer, text, &options, &tokens, NULL) != HD_OK || ids.n != tokens.n)
        abort();
    for (size_t i = 0; i < ids.n; i++)
        if (ids.ids[i] != tokens.tokens[i].id)
            abort();
    hd__ids_clear(&ids);
    hd_tokens_free(&tokens);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char dir[64], path[N_FILES][128];
    hd_tokenizer *tokenizer;
    hd__log_set_level(HD_LOG_ERROR);
    snprintf(dir, sizeof dir, "/tmp/heddle-folder-fuzz.%ld", (long)getpid());
    mkdir(dir, 0700);
    for (size_t i = 0, at = 0; i < N_FILES; i++) {
        const uint8_t *end = at < size ? memchr(data + at, 0, size - at) : NULL;
        const size_t len = at < size ? (end != NULL ? (size_t)(end - data) : size) - at : 0;
        snprintf(path[i], sizeof path[i], "%s/%s", dir, files[i]);
        FILE *f = i < 2 || len > 0 ? fopen(path[i], "wb") : NULL;
        if (f != NULL && ((len > 0 && fwrite(data + at, 1, len, f) != len) || fclose(f) != 0))
            abort();
        at += len + 1;
    }
    if (hd__tokenizer_open(dir, &tokenizer, NULL) == HD_OK) {
        for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
            check(tokenizer, hd__span_of(texts[i]));
        hd__tokenizer_close(tokenizer);
    }
    for (size_t i = 0; i < N_FILES; i++)
        unlink(path[i]);
    rmdir(dir);
    return 0;
}
