/* Lower case before tokenising. Expected values are those of Python's str.lower(). */
#include "unit/token_fixture.h"

static void lowers(const char *text, const char *wanted)
{
    hd_norm_text lowered = {0};
    hd_buffer utf8;
    hd_error err;
    hd__buffer_init(&utf8);
    if (hd__lower_text(hd__span_of(text), &lowered, &err) != HD_OK || hd__norm_text_encode(&lowered, &utf8, &err) != HD_OK)
        fail_msg("%s", err.text);
    hd__buffer_append(&utf8, "", 1);
    assert_string_equal(utf8.ptr, wanted);
    hd__buffer_clear(&utf8);
    hd__norm_text_clear(&lowered);
}

#define SIGMA "\xCE\xA3"
#define SMALL "\xCF\x83"
#define FINAL "\xCF\x82"

static void test_lower(void **state)
{
    (void)state;
    lowers("", "");
    lowers("Hello W\xC3\x96RLD", "hello w\xC3\xB6rld");
    lowers("\xC4\xB0", "i\xCC\x87");
    lowers("\xFF", "\xEF\xBF\xBD");
}

static void test_final_sigma(void **state)
{
    (void)state;
    lowers(SIGMA, SMALL);
    lowers("A" SIGMA, "a" FINAL);
    lowers("A" SIGMA "B", "a" SMALL "b");
    lowers("A" SIGMA " B", "a" FINAL " b");
    lowers(" " SIGMA, " " SMALL);
    lowers("A." SIGMA, "a." FINAL); /* a full stop is ignorable */
    lowers("A" SIGMA "'B", "a" SMALL "'b");
    lowers("A" SIGMA "\xCC\x81", "a" FINAL "\xCC\x81");
    lowers("A1" SIGMA, "a1" SMALL); /* a digit is neither */
    lowers("\xE1\xBD\x88\xCE\x94\xCE\xA5\xCE\xA3\xCE\xA3\xCE\x95\xCE\x8E\xCE\xA3",
           "\xE1\xBD\x80\xCE\xB4\xCF\x85\xCF\x83\xCF\x83\xCE\xB5\xCF\x8D\xCF\x82");
}

static void test_places(void **state)
{
    (void)state;
    hd_norm_text lowered = {0};
    hd_error err;
    assert_int_equal(hd__lower_text(hd__span_of("a\xC4\xB0"
                                                "B"),
                                    &lowered, &err),
                     HD_OK);
    static const hd_norm_char wanted[] = {{'a', 0, 1}, {'i', 1, 3}, {0x307, 1, 3}, {'b', 3, 4}};
    assert_int_equal(lowered.n, 4);
    assert_memory_equal(lowered.chars, wanted, sizeof wanted);
    hd__norm_text_clear(&lowered);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lower),
        cmocka_unit_test(test_final_sigma),
        cmocka_unit_test(test_places),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
