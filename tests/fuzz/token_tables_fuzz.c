/* Tables of a tokenizer (src/token/token_tables.h) with changes that the input asks for: the first byte says which
 * tokenizer, each further seven bytes a table, a place in it and four bytes to be there. What opens must be memory safe. */
#include <stdlib.h>

#include "base/log.h"
#include "token/tokenizer_parts.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { N_KINDS = 3, CHANGE_BYTES = 7 };

static const char *const settings[N_KINDS] = {
    "{\"normalizer\":{\"type\":\"BertNormalizer\"},\"pre_tokenizer\":{\"type\":\"BertPreTokenizer\"},\"model\":{\"type\":"
    "\"WordPiece\",\"unk_token\":\"[UNK]\",\"continuing_subword_prefix\":\"##\",\"max_input_chars_per_word\":10,\"vocab\":{"
    "\"[UNK]\":0,\"a\":1,\"b\":2,\"ab\":3,\"##a\":4,\"##b\":5,\"caf\\u00e9\":6}}}",
    "{\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"WhitespaceSplit\"},{\"type\":\"Metaspace\","
    "\"replacement\":\"\\u2581\"}]},\"model\":{\"type\":\"Unigram\",\"unk_id\":0,\"byte_fallback\":true,\"vocab\":[[\"<unk>"
    "\""
    ",0],[\"\\u2581\",-3],[\"a\",-2.5],[\"ab\",-1],[\"\\u2581ab\",-1.5],[\"<0xC3>\",-9]]}}",
    "{\"model\":{\"type\":\"BPE\",\"unk_token\":\"?\",\"vocab\":{\"?\":0,\"a\":1,\"b\":2,\"ab\":3,\"abb\":4},\"merges\":["
    "\"a b\",\"ab b\"]}}",
};

static const char *const texts[] = {"", "abba ab caf\xC3\xA9 [UNK] b", "\xE6\xBC\xA2 aaabbb \xFF a a a a abbbbbbb"};

static void run(const hd_tokenizer *t)
{
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        hd_ids ids = {0};
        hd_tokens tokens = {0};
        hd_buffer out;
        hd__buffer_init(&out);
        const hd_tokenize_options options = {0};
        if (hd__tokenizer_encode(t, hd__span_of(texts[i]), &options, &ids, NULL, NULL) == HD_OK &&
            hd__tokenizer_decode(t, ids.ids, ids.n, false, &out, NULL) == HD_OK)
            for (size_t k = 0; k < ids.n; k++)
                if (hd__tokenizer_token(t, ids.ids[k]) == NULL)
                    abort();
        if (hd__tokenizer_encode_offsets(t, hd__span_of(texts[i]), &options, &tokens, NULL) != HD_OK && tokens.n != 0)
            abort();
        hd__buffer_clear(&out);
        hd__ids_clear(&ids);
        hd_tokens_free(&tokens);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    hd_tokenizer *made, *over;
    hd_span tables[HD_TABLE_COUNT];
    hd__log_set_level(HD_LOG_ERROR);
    const char *json = settings[size > 0 ? data[0] % N_KINDS : 0];
    if (hd__tokenizer_open_json(hd__span_of(json), "fuzz", &made, NULL) != HD_OK || !hd__token_tables_of(made, tables))
        abort();
    char *blocks[HD_TABLE_COUNT];
    for (size_t i = 0; i < HD_TABLE_COUNT; i++) {
        blocks[i] = malloc(tables[i].len > 0 ? tables[i].len : 1);
        if (tables[i].len > 0)
            memcpy(blocks[i], tables[i].ptr, tables[i].len);
        tables[i].ptr = blocks[i];
    }
    for (size_t at = 1; at + CHANGE_BYTES <= size; at += CHANGE_BYTES) {
        const size_t table = data[at] % HD_TABLE_COUNT, place = data[at + 1] | (size_t)data[at + 2] << 8;
        const size_t len = tables[table].len;
        if (data[at] >= 0xF0) /* a shorter one */
            tables[table].len = place < len ? place : len;
        else if (len >= 4)
            memcpy(blocks[table] + place % (len - 3), data + at + 3, 4);
    }
    if (hd__tokenizer_open_tables(tables, "fuzz", &over, NULL) == HD_OK) {
        run(over);
        hd__tokenizer_close(over);
    }
    for (size_t i = 0; i < HD_TABLE_COUNT; i++)
        free(blocks[i]);
    hd__tokenizer_close(made);
    return 0;
}
