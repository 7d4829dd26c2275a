/* SentencePiece files: what is read, what is passed over, and each way in which one may be broken or lie. */
#include "unit/token_fixture.h"

#include "unit/scratch.h"

#include "base/limits.h"

static hd_error err;

/* Messages are written as strings: a field of bytes with its length, one of a float. Lengths are below 128. */
static size_t put_bytes(char *to, unsigned number, const char *bytes, size_t n)
{
    to[0] = (char)(number << 3 | 2);
    to[1] = (char)n;
    memcpy(to + 2, bytes, n);
    return n + 2;
}

static size_t put_piece(char *to, const char *text, float score)
{
    char piece[120];
    size_t n = put_bytes(piece, 1, text, strlen(text));
    piece[n++] = 2 << 3 | 5;
    memcpy(piece + n, &score, 4);
    return put_bytes(to, 1, piece, n + 4);
}

static size_t put_model(char *to)
{
    size_t n = 0;
    n += put_piece(to + n, "<unk>", 0);
    n += put_piece(to + n, "<s>", 0);
    n += put_piece(to + n, "</s>", 0);
    n += put_piece(to + n, "\u2581", -3);
    n += put_piece(to + n, "\u2581ab", -1);
    n += put_piece(to + n, "a", -2.5f);
    return n;
}

static hd_status open_bytes(const char *bytes, size_t n, hd_tokenizer **tokenizer)
{
    *tokenizer = NULL;
    hd_status status = hd__tokenizer_open_sentencepiece(hd__span(bytes, n), "f.model", tokenizer, &err);
    assert_true((status == HD_OK) == (*tokenizer != NULL));
    return status;
}

static void refused(const char *bytes, size_t n, hd_status status, const char *part_of_message)
{
    hd_tokenizer *tokenizer;
    if (open_bytes(bytes, n, &tokenizer) != status || strstr(err.text, part_of_message) == NULL ||
        strstr(err.text, "f.model") == NULL)
        fail_msg("%s, not %s", err.text, part_of_message);
}

static void test_opens(void **state)
{
    (void)state;
    char bytes[1024];
    hd_tokenizer *t;
    size_t n = put_model(bytes);
    n += put_bytes(bytes + n, 2, "\x18\x01\x21zzzzzzzz\xA0\x06\x2A",
                   14); /* Unigram; fields of other wire types are passed over */
    n += put_bytes(bytes + n, 3, "\x0A\x01x\x18\x00", 5);
    n += put_bytes(bytes + n, 5, "anything", 8);
    if (open_bytes(bytes, n, &t) != HD_OK)
        fail_msg("%s", err.text);
    assert_int_equal(hd__tokenizer_vocab_size(t), 8);
    assert_string_equal(hd__tokenizer_token(t, 3), "<unk>");
    assert_string_equal(hd__tokenizer_token(t, 5), "\u2581ab");
    assert_string_equal(hd__tokenizer_token(t, 7), "<mask>");
    TOKEN_GIVES(t, "ab a <mask>x", 0, 5, 4, 6, 7, 4, 3, 2);
    hd__tokenizer_close(t);
}

static void test_folder(void **state)
{
    (void)state;
    char bytes[1024];
    scratch folder;
    hd_tokenizer *t = NULL;
    scratch_begin(&folder);
    scratch_write(&folder, "sentencepiece.bpe.model", bytes, put_model(bytes));
    if (hd__tokenizer_open(folder.dir, &t, &err) != HD_OK)
        fail_msg("%s", err.text);
    hd__tokenizer_close(t);
    scratch_end(&folder);
}

static void test_refused(void **state)
{
    (void)state;
    char bytes[1024];
    size_t n = put_model(bytes);
    refused("", 0, HD_ERR_FORMAT, "0 pieces");
    refused(bytes, 14, HD_ERR_FORMAT, "1 pieces");
    for (size_t i = 1; i < n; i++) { /* cut anywhere, it is malformed or has too few pieces, or fewer of them */
        hd_tokenizer *t;
        if (open_bytes(bytes, i, &t) == HD_OK)
            hd__tokenizer_close(t);
        else
            assert_non_null(strstr(err.text, "f.model"));
    }
    size_t end = n + put_bytes(bytes + n, 2, "\x18\x02", 2);
    refused(bytes, end, HD_ERR_UNSUPPORTED, "type BPE");
    end = n + put_bytes(bytes + n, 2, "\x18\x63", 2);
    refused(bytes, end, HD_ERR_UNSUPPORTED, "type unknown");
    end = n + put_bytes(bytes + n, 2, "\x18", 1);
    refused(bytes, end, HD_ERR_FORMAT, "trainer_spec");
    end = n + put_bytes(bytes + n, 3, "\x12\x05zzzz", 6);
    refused(bytes, end, HD_ERR_FORMAT, "normalizer_spec");
    end = n + put_bytes(bytes + n, 3, "\x12\x04zzzz", 6);
    refused(bytes, end, HD_ERR_FORMAT, "precompiled_charsmap");
    end = n + put_piece(bytes + n, "\xFF", 0);
    refused(bytes, end, HD_ERR_FORMAT, "piece 6 is not UTF-8");
    float bad = 0;
    memcpy(&bad, "\x00\x00\xC0\x7F", 4);
    end = n + put_piece(bytes + n, "x", bad);
    refused(bytes, end, HD_ERR_FORMAT, "its score not a number");
    static const struct {
        const char *bytes;
        size_t n;
    } lies[] = {
        {"\x0A\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01", 11},     /* a length of 2^64 - 1 */
        {"\x0A\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF", 12}, /* a number that does not end */
        {"\x0A\x7F", 2},                                          /* longer than what is left */
        {"\x0B", 1},                                              /* a group */
        {"\x0D\x01\x02", 3},
        {"\x09\x01\x02\x03\x04\x05\x06\x07", 8},
    };
    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++)
        refused(lies[i].bytes, lies[i].n, HD_ERR_FORMAT, "not a protocol buffer");
    static char large[HD_LIMIT_TOKEN_BYTES + 16];
    memcpy(large, "\x0A\x84\x20\x0A\x81\x20", 6); /* a piece of the limit and one byte */
    memset(large + 6, 'a', HD_LIMIT_TOKEN_BYTES + 1);
    size_t n_large = HD_LIMIT_TOKEN_BYTES + 7;
    static char whole[1024 + sizeof large];
    memcpy(whole, bytes, n);
    memcpy(whole + n, large, n_large);
    refused(whole, n + n_large, HD_ERR_LIMIT, "4097 bytes");
}

static void test_no_memory(void **state)
{
    (void)state;
    char bytes[1024];
    size_t n = put_model(bytes);
    n += put_bytes(bytes + n, 3, "\x12\x08\x04\x00\x00\x00\x00\x00\x00\x00", 10);
    hd_status status = HD_ERR_MEMORY;
    for (uint64_t k = 0; status != HD_OK; k++) {
        hd_tokenizer *t;
        assert_true(k < 100);
        hd__alloc_fail_after(k, UINT64_MAX);
        status = open_bytes(bytes, n, &t);
        hd__alloc_fail_off();
        assert_true(status == HD_OK || status == HD_ERR_MEMORY);
        hd__tokenizer_close(t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_opens),
        cmocka_unit_test(test_folder),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
