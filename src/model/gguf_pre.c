/* gguf_pre.c - see gguf_pre.h. */
#include "model/gguf_pre.h"

#define BYTE_LEVEL(regex)                                                                                                   \
    "{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"trim_offsets\":true,\"use_regex\":" #regex "}"
#define SPLIT(regex)                                                                                                        \
    "{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Split\",\"pattern\":{\"Regex\":\"" regex                         \
    "\"},\"behavior\":\"Isolated\",\"invert\":false}," BYTE_LEVEL(false) "]}"

#define ENDINGS "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
#define QWEN2                                                                                                               \
    SPLIT(ENDINGS "|[^\\\\r\\\\n\\\\p{L}\\\\p{N}]?\\\\p{L}+|\\\\p{N}| ?[^\\\\s\\\\p{L}\\\\p{N}]+[\\\\r\\\\n]*"              \
                  "|\\\\s*[\\\\r\\\\n]+|\\\\s+(?!\\\\S)|\\\\s+")
#define UPPER "\\\\p{Lu}\\\\p{Lt}\\\\p{Lm}\\\\p{Lo}\\\\p{M}"
#define LOWER "\\\\p{Ll}\\\\p{Lm}\\\\p{Lo}\\\\p{M}"
#define GPT4O                                                                                                               \
    SPLIT("[^\\\\r\\\\n\\\\p{L}\\\\p{N}]?[" UPPER "]*[" LOWER "]+" ENDINGS "?"                                              \
          "|[^\\\\r\\\\n\\\\p{L}\\\\p{N}]?[" UPPER "]+[" LOWER "]*" ENDINGS "?"                                             \
          "|\\\\p{N}{1,3}| ?[^\\\\s\\\\p{L}\\\\p{N}]+[\\\\r\\\\n/]*|\\\\s*[\\\\r\\\\n]+|\\\\s+(?!\\\\S)|\\\\s+")

#define NFC "{\"type\":\"NFC\"}"
#define GEMMA_SPACES "{\"type\":\"Replace\",\"pattern\":{\"String\":\" \"},\"content\":\"\xE2\x96\x81\"}"
#define GEMMA_SPLIT                                                                                                         \
    "{\"type\":\"Split\",\"pattern\":{\"String\":\" \"},\"behavior\":\"MergedWithPrevious\",\"invert\":false}"

/* Those that a tokenizer.json is matched with first come first. */
static const hd_gguf_pre table[] = {
    {.name = "gpt-2", .normalizer = "null", .pre_tokenizer = BYTE_LEVEL(true)},
    {.name = "roberta-bpe", .normalizer = "null", .pre_tokenizer = BYTE_LEVEL(true), .two_separators = true},
    {.name = "modern-bert", .normalizer = NFC, .pre_tokenizer = BYTE_LEVEL(true), .normalizes_added = true},
    {.name = "qwen2", .normalizer = NFC, .pre_tokenizer = QWEN2},
    {.name = "jina-v2-code", .normalizer = "null", .pre_tokenizer = BYTE_LEVEL(true), .two_separators = true},
    {.name = "jina-v1-en", .normalizer = "null", .pre_tokenizer = BYTE_LEVEL(true), .two_separators = true},
    {.name = "jina-v2-de", .normalizer = "null", .pre_tokenizer = BYTE_LEVEL(true), .two_separators = true},
    {.name = "jina-v2-es", .normalizer = "null", .pre_tokenizer = BYTE_LEVEL(true), .two_separators = true},
    {.name = "jina-de", .normalizer = "null", .pre_tokenizer = BYTE_LEVEL(true), .two_separators = true},
    {.name = "jina-es", .normalizer = "null", .pre_tokenizer = BYTE_LEVEL(true), .two_separators = true},
    {.name = "deepseek-r1-qwen", .normalizer = NFC, .pre_tokenizer = QWEN2},
    {.name = "f2llmv2", .normalizer = NFC, .pre_tokenizer = QWEN2},
    {.name = "kormo", .normalizer = NFC, .pre_tokenizer = QWEN2},
    {.name = "megrez", .normalizer = NFC, .pre_tokenizer = QWEN2},
    {.name = "granite-embed-multi-97m", .normalizer = "null", .pre_tokenizer = GPT4O, .ignore_merges = true},
    {.name = "granite-embed-multi-311m", .normalizer = GEMMA_SPACES, .pre_tokenizer = GEMMA_SPLIT, .plain = true},
};

const char hd__gguf_pre_names[] =
    "gpt-2, roberta-bpe, modern-bert, qwen2, jina-v1-en, jina-v2-code, jina-v2-de, jina-v2-es, deepseek-r1-qwen, f2llmv2, "
    "kormo, megrez, granite-embed-multi-97m and granite-embed-multi-311m";

#define N_ROWS (sizeof table / sizeof *table)

const hd_gguf_pre *hd__gguf_pre_find(hd_span name)
{
    for (size_t i = 0; i < N_ROWS; i++) {
        if (hd__span_is(name, table[i].name))
            return &table[i];
    }
    return NULL;
}

/* Whether two steps do the same. Of ByteLevel "trim_offsets" does not count: ids do not depend on it. Absent is null. */
static bool same_step(const json_t *a, const json_t *b)
{
    static const char *const keys[] = {"type",     "add_prefix_space", "use_regex", "pattern",
                                       "behavior", "invert",           "content",   "normalizers"};
    const json_t *parts = json_object_get(a, "pretokenizers"), *others = json_object_get(b, "pretokenizers");
    if (a == NULL || json_is_null(a) || b == NULL || json_is_null(b))
        return (a == NULL || json_is_null(a)) && (b == NULL || json_is_null(b));
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        const json_t *of_a = json_object_get(a, keys[i]), *of_b = json_object_get(b, keys[i]);
        if (of_a != of_b && !json_equal(of_a, of_b))
            return false;
    }
    if (json_array_size(parts) != json_array_size(others))
        return false;
    for (size_t i = 0; i < json_array_size(parts); i++) {
        if (!same_step(json_array_get(parts, i), json_array_get(others, i)))
            return false;
    }
    return true;
}

static bool is_step(const char *text, const json_t *step)
{
    json_t *root = json_loads(text, JSON_DECODE_ANY, NULL);
    const bool same = root != NULL && same_step(root, step);
    json_decref(root);
    return same;
}

const hd_gguf_pre *hd__gguf_pre_match(const json_t *normalizer, const json_t *pre_tokenizer, bool two_separators)
{
    for (size_t i = 0; i < N_ROWS; i++) {
        if (table[i].two_separators == two_separators && is_step(table[i].normalizer, normalizer) &&
            is_step(table[i].pre_tokenizer, pre_tokenizer))
            return &table[i];
    }
    return NULL;
}
