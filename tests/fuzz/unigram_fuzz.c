/* unigram_fuzz.c - any bytes as text for the small Unigram tokenizer of tests/golden, in several settings (the first byte
 * chooses). The one-pass way and the step-by-step way must give the same ids, a length limit the front of them; places must
 * be in the text; the ids must decode. */
#include <stdlib.h>
#include <string.h>

#include "token/tokenizer_parts.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define METASPACE(scheme, split)                                                                                            \
    "{\"type\":\"Metaspace\",\"replacement\":\"\\u2581\",\"prepend_scheme\":\"" scheme "\",\"split\":" split "}"
#define STRIP "{\"type\":\"Strip\",\"strip_left\":false,\"strip_right\":true}"
#define SQUEEZE "{\"type\":\"Replace\",\"pattern\":{\"Regex\":\" {2,}\"},\"content\":\"\\u2581\"}"

static const struct {
    const char *more_steps; /* after the charsmap */
    const char *pre_tokenizer;
    bool byte_fallback;
} settings[] = {
    {"[]", "{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"WhitespaceSplit\"}," METASPACE("always", "true") "]}",
     false},
    {"[" STRIP "," SQUEEZE "]", METASPACE("always", "true"), false},
    {"[" SQUEEZE "]", METASPACE("never", "true"), true},
    {"[" STRIP "]", METASPACE("always", "true"), false},
    {"[]", METASPACE("first", "false"), true},
};

enum { N_SETTINGS = sizeof settings / sizeof *settings };

static hd_tokenizer *tokenizers[N_SETTINGS];

static json_t *parse(const char *text)
{
    json_t *json = json_loads(text, 0, NULL);
    if (json == NULL)
        abort();
    return json;
}

static const hd_tokenizer *tokenizer_of(size_t i)
{
    if (tokenizers[i] != NULL)
        return tokenizers[i];
    json_t *root = json_load_file("tests/golden/unigram/tokenizer.json", 0, NULL);
    if (root == NULL)
        abort(); /* run from the repository's root */
    json_t *steps = parse(settings[i].more_steps);
    json_array_insert(steps, 0, json_object_get(root, "normalizer"));
    json_object_set_new(root, "normalizer", json_pack("{s:s, s:o}", "type", "Sequence", "normalizers", steps));
    json_object_set_new(root, "pre_tokenizer", parse(settings[i].pre_tokenizer));
    json_object_set_new(json_object_get(root, "model"), "byte_fallback", json_boolean(settings[i].byte_fallback));
    char *text = json_dumps(root, 0);
    hd_error err;
    if (text == NULL || hd__tokenizer_open_json(hd__span_of(text), "settings", &tokenizers[i], &err) != HD_OK)
        abort();
    free(text);
    json_decref(root);
    return tokenizers[i];
}

static void check_cut(const hd_tokenizer *tokenizer, hd_span text, const hd_ids *all, uint32_t max_length)
{
    hd_ids cut = {0};
    bool truncated;
    hd_tokenize_options options = {.max_length = max_length, .no_specials = true};
    if (hd__tokenizer_encode(tokenizer, text, &options, &cut, &truncated, NULL) != HD_OK ||
        cut.n != (all->n < max_length ? all->n : max_length) || truncated != (all->n > max_length) ||
        (cut.n > 0 && memcmp(cut.ids, all->ids, cut.n * sizeof *cut.ids) != 0))
        abort();
    hd__ids_clear(&cut);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    const hd_tokenizer *tokenizer = tokenizer_of(data[0] % N_SETTINGS);
    hd_tokenize_options options = {.no_specials = true};
    hd_span text = hd__span(data + 2, size - 2);
    hd_ids all = {0};
    hd_tokens tokens = {0};
    if (hd__tokenizer_encode(tokenizer, text, &options, &all, NULL, NULL) != HD_OK ||
        hd__tokenizer_encode_offsets(tokenizer, text, &options, &tokens, NULL) != HD_OK || all.n != tokens.n)
        abort();
    for (size_t i = 0; i < all.n; i++) {
        const hd_token *t = &tokens.tokens[i];
        if (all.ids[i] != t->id || t->byte_begin > t->byte_end || t->byte_end > text.len || t->char_begin > t->char_end)
            abort();
    }
    check_cut(tokenizer, text, &all, 1 + data[1] % 64);
    hd_buffer decoded;
    hd__buffer_init(&decoded);
    if (hd__tokenizer_decode(tokenizer, all.ids, all.n, false, &decoded, NULL) != HD_OK)
        abort();
    hd__buffer_clear(&decoded);
    hd__ids_clear(&all);
    hd_tokens_free(&tokens);
    return 0;
}
