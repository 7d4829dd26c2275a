/* Post-processors of tokenizer.json: the ids around a text, and what is refused. */
#include "token/template.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define SPECIALS                                                                                                            \
    "\"special_tokens\":{\"[CLS]\":{\"id\":\"[CLS]\",\"ids\":[101],\"tokens\":[\"[CLS]\"]},"                                \
    "\"two\":{\"id\":\"two\",\"ids\":[7,8],\"tokens\":[\"x\",\"y\"]}}"
#define SPECIAL(name) "{\"SpecialToken\":{\"id\":\"" name "\",\"type_id\":0}}"
#define TEXT "{\"Sequence\":{\"id\":\"A\",\"type_id\":0}}"
#define TEMPLATE(pieces) "{\"type\":\"TemplateProcessing\",\"single\":[" pieces "]," SPECIALS "}"

#define SECOND "{\"Sequence\":{\"id\":\"B\",\"type_id\":1}}"
#define PAIR(pieces) "{\"type\":\"TemplateProcessing\",\"single\":[" TEXT "],\"pair\":[" pieces "]," SPECIALS "}"

static hd_error err;

static hd_status parse(const char *text, hd_template *template)
{
    json_t *json = NULL;
    if (text != NULL)
        assert_int_equal(hd__json_parse(hd__span_of(text), "t", &json, &err), HD_OK);
    hd_status status = hd__template_parse(json, "t.json", template, &err);
    json_decref(json);
    return status;
}

static void gives(const char *text, size_t n_before, const int32_t *before, size_t n_after, const int32_t *after)
{
    hd_template t;
    if (parse(text, &t) != HD_OK)
        fail_msg("%s", err.text);
    assert_int_equal(t.n_before, n_before);
    assert_int_equal(t.n_after, n_after);
    assert_memory_equal(t.before, before, n_before * sizeof *before);
    assert_memory_equal(t.after, after, n_after * sizeof *after);
}

static void test_kinds(void **state)
{
    (void)state;
    int32_t none[1] = {0};
    gives(NULL, 0, none, 0, none);
    gives(TEMPLATE(TEXT), 0, none, 0, none);
    gives(TEMPLATE(SPECIAL("[CLS]") "," TEXT "," SPECIAL("two")), 1, (int32_t[]){101}, 2, (int32_t[]){7, 8});
    gives("{\"type\":\"BertProcessing\",\"sep\":[\"[SEP]\",102],\"cls\":[\"[CLS]\",101]}", 1, (int32_t[]){101}, 1,
          (int32_t[]){102});
    gives("{\"type\":\"RobertaProcessing\",\"sep\":[\"</s>\",2],\"cls\":[\"<s>\",0]}", 1, (int32_t[]){0}, 1, (int32_t[]){2});
}

static void test_roberta_settings(void **state)
{
    (void)state;
    hd_template t;
    assert_int_equal(
        parse("{\"type\":\"RobertaProcessing\",\"sep\":[\"</s>\",2],\"cls\":[\"<s>\",0],\"trim_offsets\":false}", &t),
        HD_OK);
    assert_false(t.trims_spaces);
    assert_true(t.has_prefix_space);
    assert_int_equal(parse("{\"type\":\"BertProcessing\",\"sep\":[\"</s>\",2],\"cls\":[\"<s>\",0]}", &t), HD_OK);
    assert_false(t.trims_spaces);
}

static void refused(const char *text, hd_status status, const char *message)
{
    hd_template t;
    hd_status got = parse(text, &t);
    if (got != status || strstr(err.text, message) == NULL || strstr(err.text, "t.json") == NULL)
        fail_msg("%d: %s", (int)got, err.text);
}

static void test_refused(void **state)
{
    (void)state;
    refused("{}", HD_ERR_FORMAT, "\"type\"");
    refused("[]", HD_ERR_FORMAT, "\"type\"");
    refused("{\"type\":\"Other\"}", HD_ERR_UNSUPPORTED, "Other");
    refused("{\"type\":\"Sequence\"}", HD_ERR_FORMAT, "processors");
    refused("{\"type\":\"Sequence\",\"processors\":[" TEMPLATE(TEXT) "," TEMPLATE(TEXT) "]}", HD_ERR_UNSUPPORTED, "twice");
    refused(PAIR("3"), HD_ERR_FORMAT, "piece 0 of \"pair\"");
    refused(PAIR(TEXT), HD_ERR_UNSUPPORTED, "the second 0 times");
    refused(PAIR(TEXT "," TEXT "," SECOND), HD_ERR_UNSUPPORTED, "the first text 2 times");
    refused(PAIR(TEXT ","
                      "{\"Sequence\":{\"id\":\"C\"}}"),
            HD_ERR_FORMAT, "\"C\"");
    refused(PAIR(TEXT "," SECOND "," SPECIAL("[SEP]")), HD_ERR_FORMAT, "[SEP]");
    refused(PAIR("{\"Sequence\":{\"id\":\"A\",\"type_id\":2147483648}}"), HD_ERR_LIMIT, "2147483648");
    refused("{\"type\":\"TemplateProcessing\",\"single\":[" TEXT "],\"pair\":3}", HD_ERR_FORMAT, "\"pair\"");
    refused("{\"type\":\"TemplateProcessing\"}", HD_ERR_FORMAT, "\"single\"");
    refused(TEMPLATE("{}"), HD_ERR_FORMAT, "piece 0");
    refused(TEMPLATE("3"), HD_ERR_FORMAT, "piece 0");
    refused(TEMPLATE(SPECIAL("[SEP]") "," TEXT), HD_ERR_FORMAT, "[SEP]");
    refused(TEMPLATE(SPECIAL("[CLS]")), HD_ERR_UNSUPPORTED, "leaves out the text");
    refused(TEMPLATE(TEXT "," TEXT), HD_ERR_UNSUPPORTED, "twice");
    refused(TEMPLATE("{\"Sequence\":{\"id\":\"B\",\"type_id\":0}}"), HD_ERR_FORMAT, "\"B\"");
    refused(TEMPLATE("{\"Sequence\":{\"id\":\"A\",\"type_id\":1}}"), HD_ERR_UNSUPPORTED, "type_id 1");
    refused("{\"type\":\"BertProcessing\",\"sep\":[\"[SEP]\",102]}", HD_ERR_FORMAT, "integer");
    refused("{\"type\":\"BertProcessing\",\"cls\":[\"[CLS]\",-1]}", HD_ERR_FORMAT, "integer");
    refused("{\"type\":\"BertProcessing\",\"cls\":[\"[CLS]\",2000000]}", HD_ERR_FORMAT, "1999999");
}

static void test_too_many(void **state)
{
    (void)state;
    hd_template t;
    for (int n = HD_TEMPLATE_MAX_IDS; n <= HD_TEMPLATE_MAX_IDS + 1; n++) {
        json_t *ids = json_array(), *json = json_loads(TEMPLATE(SPECIAL("[CLS]") "," TEXT), 0, NULL);
        for (int i = 0; i < n; i++)
            json_array_append_new(ids, json_integer(i));
        json_object_set_new(json_object_get(json_object_get(json, "special_tokens"), "[CLS]"), "ids", ids);
        assert_int_equal(hd__template_parse(json, "t.json", &t, &err), n <= HD_TEMPLATE_MAX_IDS ? HD_OK : HD_ERR_LIMIT);
        json_decref(json);
    }
}

/* At the limit and past it. */
static void test_long_pair(void **state)
{
    (void)state;
    hd_template t;
    for (int n = HD_TEMPLATE_MAX_PAIR - 2; n <= HD_TEMPLATE_MAX_PAIR - 1; n++) {
        json_t *ids = json_array(), *json = json_loads(PAIR(TEXT "," SECOND "," SPECIAL("[CLS]")), 0, NULL);
        for (int i = 0; i < n; i++)
            json_array_append_new(ids, json_integer(i));
        json_object_set_new(json_object_get(json_object_get(json, "special_tokens"), "[CLS]"), "ids", ids);
        assert_int_equal(hd__template_parse(json, "t.json", &t, &err), n <= HD_TEMPLATE_MAX_PAIR - 2 ? HD_OK : HD_ERR_LIMIT);
        json_decref(json);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kinds),    cmocka_unit_test(test_roberta_settings), cmocka_unit_test(test_refused),
        cmocka_unit_test(test_too_many), cmocka_unit_test(test_long_pair),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
