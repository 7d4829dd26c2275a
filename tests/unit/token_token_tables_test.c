/* A tokenizer over the tables of another one: the same ids, nothing read past the tables, and each way in which they may
 * lie. */
#include "unit/token_fixture.h"

#include <stdlib.h>

#include "base/file.h"
#include "base/limits.h"
#include "unit/scratch.h"

static hd_error err;

#define UNIGRAM                                                                                                             \
    "{\"pre_tokenizer\":{\"type\":\"Metaspace\",\"replacement\":\"_\"},\"model\":{\"type\":\"Unigram\",\"unk_id\":0,"       \
    "\"vocab\":[[\"<unk>\",0],[\"_\",-3],[\"a\",-2.5],[\"ab\",-1],[\"_ab\",-1.5],[\"cd\",-2]]}}"
#define BPE                                                                                                                 \
    "{\"model\":{\"type\":\"BPE\",\"unk_token\":\"?\",\"vocab\":{\"?\":0,\"a\":1,\"b\":2,\"ab\":3,\"abb\":4},"              \
    "\"merges\":[\"a b\",\"ab b\"]}}"
#define WORDPIECE                                                                                                           \
    "{" TOKEN_BERT TOKEN_TEMPLATE "\"added_tokens\":[" TOKEN_ADDED("[CLS]", ",\"special\":true") "]," TOKEN_MODEL("") "}"

/* Each table in a block of its own size, at its end, so that AddressSanitizer sees what is read behind it. */
typedef struct copies {
    hd_span tables[HD_TABLE_COUNT];
    void *blocks[HD_TABLE_COUNT];
} copies;

static void copy_tables(const hd_tokenizer *t, copies *c)
{
    hd_span tables[HD_TABLE_COUNT];
    assert_true(hd__token_tables_of(t, tables));
    for (size_t i = 0; i < HD_TABLE_COUNT; i++) {
        c->blocks[i] = malloc(tables[i].len > 0 ? tables[i].len : 1);
        if (tables[i].len > 0)
            memcpy(c->blocks[i], tables[i].ptr, tables[i].len);
        c->tables[i] = hd__span(c->blocks[i], tables[i].len);
    }
}

static void free_copies(copies *c)
{
    for (size_t i = 0; i < HD_TABLE_COUNT; i++)
        free(c->blocks[i]);
}

static copies copies_of(const char *json)
{
    copies c;
    hd_tokenizer *t = token_open(json);
    copy_tables(t, &c);
    hd__tokenizer_close(t);
    return c;
}

static hd_tokenizer *open_copies(const copies *c)
{
    hd_tokenizer *t;
    if (hd__tokenizer_open_tables(c->tables, "t", &t, &err) != HD_OK)
        fail_msg("%s", err.text);
    return t;
}

static void test_kinds(void **state)
{
    (void)state;
    copies c = copies_of(UNIGRAM);
    hd_tokenizer *t = open_copies(&c), *other;
    TOKEN_GIVES(t, "ab cdx a", 4, 1, 5, 0, 1, 2);
    assert_string_equal(hd__tokenizer_token(t, 4), "_ab");
    assert_int_equal(hd__tokenizer_vocab_size(t), 6);
    assert_false(hd__token_tables_of(t, (hd_span[HD_TABLE_COUNT]){0}));
    hd__tokenizer_close(t);
    free_copies(&c);
    c = copies_of(BPE);
    t = open_copies(&c);
    TOKEN_GIVES(t, "abbaxb", 4, 1, 0, 2);
    hd__tokenizer_close(t);
    free_copies(&c);
    c = copies_of(WORDPIECE);
    t = open_copies(&c);
    other = open_copies(&c); /* nobody writes to them */
    TOKEN_GIVES(t, "abab [CLS] cafe!", 2, 6, 9, 2, 10, 11, 3);
    hd__tokenizer_close(t);
    TOKEN_GIVES(other, "ba", 2, 5, 7, 3);
    hd__tokenizer_close(other);
    free_copies(&c);
}

/* Goldens of real structure, each text by a tokenizer made from its file and by one over that one's tables. */
static void check_golden(const char *path)
{
    hd_arena arena;
    hd_span json, texts;
    hd_tokenizer *made, *over;
    copies c;
    hd_ids ids = {0}, wanted = {0};
    const hd_tokenize_options plain = {0};
    hd__arena_init(&arena);
    if (hd__file_read(path, 1 << 20, &arena, &json, &err) != HD_OK ||
        hd__file_read("tests/golden/tokenizers/bpe/texts.jsonl", 1 << 20, &arena, &texts, &err) != HD_OK ||
        hd__tokenizer_open_json(json, path, &made, &err) != HD_OK)
        fail_msg("%s", err.text);
    copy_tables(made, &c);
    over = open_copies(&c);
    for (size_t at = 0, end; at < texts.len; at = end + 1) {
        end = (size_t)((const char *)memchr(texts.ptr + at, '\n', texts.len - at) - texts.ptr);
        const hd_span text = hd__span(texts.ptr + at, end - at);
        ids.n = wanted.n = 0;
        assert_int_equal(hd__tokenizer_encode(made, text, &plain, &wanted, NULL, &err), HD_OK);
        assert_int_equal(hd__tokenizer_encode(over, text, &plain, &ids, NULL, &err), HD_OK);
        assert_int_equal(ids.n, wanted.n);
        assert_memory_equal(ids.ids, wanted.ids, ids.n * sizeof *ids.ids);
    }
    hd__ids_clear(&ids);
    hd__ids_clear(&wanted);
    hd__tokenizer_close(made);
    hd__tokenizer_close(over);
    free_copies(&c);
    hd__arena_clear(&arena);
}

static void test_goldens(void **state)
{
    (void)state;
    check_golden("tests/golden/unigram/tokenizer.json");
    check_golden("tests/golden/tokenizers/bpe/roberta.json");
    check_golden("tests/golden/tokenizers/bpe/qwen2.json");
}

/* vocab.txt has no settings of that form. */
static void test_none(void **state)
{
    (void)state;
    scratch s;
    hd_tokenizer *t;
    scratch_begin(&s);
    scratch_text(&s, "vocab.txt", "[UNK]\n[CLS]\n[SEP]\na\n");
    assert_int_equal(hd__tokenizer_open(s.dir, &t, &err), HD_OK);
    assert_false(hd__token_tables_of(t, (hd_span[HD_TABLE_COUNT]){0}));
    hd__tokenizer_close(t);
    scratch_end(&s);
}

static void refused(const copies *c, const char *part_of_message)
{
    hd_tokenizer *t = NULL;
    if (hd__tokenizer_open_tables(c->tables, "f.heddle", &t, &err) != HD_ERR_FORMAT)
        fail_msg("opened, or %s", err.text);
    assert_null(t);
    assert_non_null(strstr(err.text, part_of_message));
    assert_non_null(strstr(err.text, "f.heddle"));
}

/* With a number in place of that at `at` of a table; less than 0: from its end. */
static void refused_with(const char *json, hd_token_table table, long at, uint32_t value)
{
    copies c = copies_of(json);
    char *bytes = c.blocks[table];
    memcpy(bytes + (at >= 0 ? (size_t)at : c.tables[table].len - (size_t)-at), &value, sizeof value);
    refused(&c, "not the tables");
    free_copies(&c);
}

static void refused_cut(const char *json, hd_token_table table, size_t len)
{
    copies c = copies_of(json);
    c.tables[table].len = len;
    refused(&c, "not the tables");
    free_copies(&c);
}

static void test_refused(void **state)
{
    (void)state;
    enum { KIND_AT = -4, N_TOKENS_AT = -12, FIRST_RECORD = 4 };
    refused_with(WORDPIECE, HD_TABLE_NUMBERS, KIND_AT, 3);
    refused_with(WORDPIECE, HD_TABLE_NUMBERS, N_TOKENS_AT, HD_LIMIT_VOCAB + 1);
    refused_cut(WORDPIECE, HD_TABLE_NUMBERS, 16);
    refused_cut(WORDPIECE, HD_TABLE_SLOTS, 0);
    refused_cut(WORDPIECE, HD_TABLE_SLOTS, 40); /* not a power of two */
    refused_cut(WORDPIECE, HD_TABLE_PLACES, 0);
    refused_cut(WORDPIECE, HD_TABLE_PLACES, 8); /* records of ids that are not there */
    refused_cut(WORDPIECE, HD_TABLE_RECORDS, 0);
    refused_cut(WORDPIECE, HD_TABLE_RECORDS, 60);
    refused_with(WORDPIECE, HD_TABLE_PLACES, 4, 0xFFFFFF);
    refused_with(WORDPIECE, HD_TABLE_RECORDS, FIRST_RECORD, 14);            /* an id past the last */
    refused_with(WORDPIECE, HD_TABLE_RECORDS, FIRST_RECORD + 4, 0xFFFF);    /* a text past the end */
    refused_with(WORDPIECE, HD_TABLE_RECORDS, FIRST_RECORD + 8, 'A' << 24); /* without its NUL */
    refused_with(UNIGRAM, HD_TABLE_NODES, 4, 0xFFFFFC02);                   /* an id past the last */
    refused_with(UNIGRAM, HD_TABLE_NODES, 0, 0xFFFFFF00);                   /* children past the end */
    refused_cut(UNIGRAM, HD_TABLE_NODES, 0);
    refused_cut(UNIGRAM, HD_TABLE_SCORES, 40);
    refused_cut(BPE, HD_TABLE_MERGES, 0);
    refused_cut(BPE, HD_TABLE_MERGES, 48);
    refused_cut(BPE, HD_TABLE_SLOTS, 0);
    copies c = copies_of(BPE), other = copies_of(UNIGRAM);
    for (size_t i = 0; i < c.tables[HD_TABLE_SLOTS].len / 4; i++) /* no free slot where a search would end */
        if (((uint32_t *)c.blocks[HD_TABLE_SLOTS])[i] == 0)
            ((uint32_t *)c.blocks[HD_TABLE_SLOTS])[i] = 1;
    refused(&c, "not the tables");
    free_copies(&c);
    c = copies_of(BPE);
    hd_bpe_merge *merges = c.blocks[HD_TABLE_MERGES];
    const size_t n_merges = c.tables[HD_TABLE_MERGES].len / sizeof *merges;
    for (size_t i = 0; i < n_merges; i++)
        if (merges[i].rank != HD_BPE_NO_RANK)
            merges[i].id = 5;
    refused(&c, "not the tables");
    for (size_t i = 0; i < n_merges; i++)
        merges[i] = (hd_bpe_merge){0};
    refused(&c, "not the tables");
    free_copies(&c);
    c = copies_of(BPE);
    const hd_span settings = c.tables[HD_TABLE_SETTINGS];
    c.tables[HD_TABLE_SETTINGS] = other.tables[HD_TABLE_SETTINGS];
    refused(&c, "tables of a BPE for a \"model\" of type \"Unigram\"");
    c.tables[HD_TABLE_SETTINGS] = hd__span(settings.ptr, settings.len - 1);
    refused(&c, "f.heddle");
    free_copies(&c);
    free_copies(&other);
}

static void count(void *owner)
{
    ++*(int *)owner;
}

static void test_keep(void **state)
{
    (void)state;
    int n = 0;
    copies c = copies_of(BPE);
    hd_tokenizer *t = open_copies(&c);
    assert_int_equal(hd__tokenizer_keep(t, count, &n, &err), HD_OK);
    assert_int_equal(n, 0);
    hd__tokenizer_close(t);
    assert_int_equal(n, 1);
    free_copies(&c);
}

static void test_no_memory(void **state)
{
    (void)state;
    copies c = copies_of(WORDPIECE);
    hd_status status = HD_ERR_MEMORY;
    for (uint64_t n = 0; status != HD_OK; n++) {
        hd_tokenizer *t = NULL;
        assert_true(n < 300);
        hd__alloc_fail_after(n, UINT64_MAX);
        status = hd__tokenizer_open_tables(c.tables, "t", &t, &err);
        hd__alloc_fail_off();
        assert_true(status == HD_OK || status == HD_ERR_MEMORY);
        hd__tokenizer_close(t);
    }
    free_copies(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kinds),   cmocka_unit_test(test_goldens), cmocka_unit_test(test_none),
        cmocka_unit_test(test_refused), cmocka_unit_test(test_keep),    cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
