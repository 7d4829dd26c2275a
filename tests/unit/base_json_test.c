/* Settings in JSON: strict text, getters that name file and field, and integers past 64 bits. */
#include "base/json.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static hd_error err;

static json_t *parse(const char *text)
{
    json_t *root = NULL;
    assert_int_equal(hd__json_parse(hd__span_of(text), "file.json", &root, &err), HD_OK);
    return root;
}

static void refuses_what_is_not_strict(void **state)
{
    (void)state;
    static const char *const bad[] = {"",           "{",    "{} x",    "{\"a\":1,\"a\":2}", "{'a':1}",
                                      "[NaN]",      "[1,]", "[01]",    "\"\\u0000\"",       "{\"\\u0000\":1}",
                                      "[\"\xff\"]", "7",    "[1e999]", "// x\n{}"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        json_t *root = NULL;
        assert_int_equal(hd__json_parse(hd__span_of(bad[i]), "file.json", &root, &err), HD_ERR_FORMAT);
        assert_non_null(strstr(err.text, "file.json: line "));
        assert_null(root);
    }
    json_t *root = NULL;
    assert_int_equal(hd__json_parse(hd__span_of("[\"\\u0000\"]"), "file.json", &root, &err), HD_ERR_FORMAT);
    assert_string_equal(err.text, "file.json: line 1 column 9: \\u0000 is not allowed");
}

static void gets_integers(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        hd_status status;
        uint64_t value;
    } cases[] = {
        {"{\"n\":5}", HD_OK, 5},
        {"{\"n\":9}", HD_OK, 9},
        {"{}", HD_OK, 77},
        {"{\"n\":null}", HD_OK, 77},
        {"{\"n\":4}", HD_ERR_FORMAT, 77},
        {"{\"n\":10}", HD_ERR_FORMAT, 77},
        {"{\"n\":-5}", HD_ERR_FORMAT, 77},
        {"{\"n\":\"5\"}", HD_ERR_FORMAT, 77},
        {"{\"n\":true}", HD_ERR_FORMAT, 77},
        {"{\"n\":5.5}", HD_ERR_FORMAT, 77},
        {"{\"n\":5,\"big\":1000000000000000019884624838656}", HD_OK, 5},
        {"{\"n\":1000000000000000019884624838656}", HD_ERR_FORMAT, 77},
        {"{\"n\":-1000000000000000019884624838656}", HD_ERR_FORMAT, 77},
        {"{\"n\":1e300}", HD_ERR_FORMAT, 77},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        json_t *root = parse(cases[i].text);
        uint64_t value = 77;
        assert_int_equal(hd__json_get_uint(root, "n", 5, 9, "file.json", &value, &err), cases[i].status);
        assert_int_equal(value, cases[i].value);
        if (cases[i].status != HD_OK)
            assert_non_null(strstr(err.text, "file.json: \"n\" is "));
        json_decref(root);
    }
}

static void gets_the_other_types(void **state)
{
    (void)state;
    json_t *root = parse("{\"real\":0.5,\"whole\":2,\"yes\":true,\"text\":\"t\",\"none\":null,\"list\":[]}");
    double real = 7;
    bool flag = false;
    const char *text = "default";
    assert_int_equal(hd__json_get_real(root, "real", 0, 1, "f", &real, &err), HD_OK);
    assert_true(real == 0.5);
    assert_int_equal(hd__json_get_real(root, "whole", 0, 2, "f", &real, &err), HD_OK);
    assert_true(real == 2);
    assert_int_equal(hd__json_get_real(root, "whole", 0, 1, "f", &real, &err), HD_ERR_FORMAT);
    assert_int_equal(hd__json_get_real(root, "text", 0, 1, "f", &real, &err), HD_ERR_FORMAT);
    assert_int_equal(hd__json_get_bool(root, "yes", "f", &flag, &err), HD_OK);
    assert_true(flag);
    assert_int_equal(hd__json_get_bool(root, "whole", "f", &flag, &err), HD_ERR_FORMAT);
    assert_int_equal(hd__json_get_text(root, "none", "f", &text, &err), HD_OK);
    assert_string_equal(text, "default");
    assert_int_equal(hd__json_get_text(root, "text", "f", &text, &err), HD_OK);
    assert_string_equal(text, "t");
    assert_int_equal(hd__json_get_text(root, "list", "f", &text, &err), HD_ERR_FORMAT);
    assert_string_equal(err.text, "f: \"list\" is not a string");
    json_decref(root);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuses_what_is_not_strict),
        cmocka_unit_test(gets_integers),
        cmocka_unit_test(gets_the_other_types),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
