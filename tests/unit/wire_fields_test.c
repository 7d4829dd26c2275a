/* fields.c: what each getter takes, leaves alone and refuses, at the edges of ranges and limits. */
#include "wire/fields.h"

#include "unit/wire_transcript.h"

static const hd_wire_settings settings = {.max_inputs = 3};
static const hd_http_request http;

/* A request with this body; ' stands for ". */
static void body(const char *text)
{
    char json[1024];
    json_error_t error;
    transcript_forget();
    transcript_quote(text, json, sizeof json);
    hd__arena_init(&t.arena);
    t.body = json_loads(json, JSON_ALLOW_NUL, &error);
    assert_non_null(t.body);
    t.request = (hd_wire_request){.http = &http, .body = t.body, .arena = &t.arena, .settings = &settings};
}

static void refused(hd_status status, hd_fault_kind kind, const char *field, const char *text)
{
    assert_int_equal(status, HD_ERR_ARG);
    assert_int_equal(t.fault.kind, kind);
    if (field != NULL)
        assert_string_equal(t.fault.field, field);
    assert_string_equal(t.fault.text, text);
}

/* ---- single values ---- */

static void test_missing(void **state)
{
    (void)state;
    static const char *const names[] = {"a", NULL};
    body("{'null':null}");
    for (int i = 0; i < 2; i++) {
        const char *const name = i == 0 ? "null" : "none", *text = "before";
        bool flag = true;
        uint32_t number = 7, choice = 8;
        assert_null(hd__field(t.body, name));
        assert_int_equal(hd__field_text(t.body, name, &text, &t.fault), HD_OK);
        assert_int_equal(hd__field_bool(t.body, name, &flag, &t.fault), HD_OK);
        assert_int_equal(hd__field_uint(t.body, name, 10, 20, &number, &t.fault), HD_OK);
        assert_int_equal(hd__field_choice(t.body, name, names, &choice, &t.fault), HD_OK);
        assert_string_equal(text, "before");
        assert_true(flag && number == 7 && choice == 8);
    }
    assert_null(hd__field(NULL, "a")); /* no body */
}

static void test_text(void **state)
{
    (void)state;
    const char *text = NULL;
    body("{'a':'\\u00e9','empty':'','n':1,'nul':'x\\u0000y','list':['a']}");
    assert_int_equal(hd__field_text(t.body, "a", &text, &t.fault), HD_OK);
    assert_string_equal(text, "\xc3\xa9");
    assert_int_equal(hd__field_text(t.body, "empty", &text, &t.fault), HD_OK);
    assert_string_equal(text, "");
    refused(hd__field_text(t.body, "n", &text, &t.fault), HD_FAULT_TYPE, "n", "`n` is not a string");
    refused(hd__field_text(t.body, "list", &text, &t.fault), HD_FAULT_TYPE, "list", "`list` is not a string");
    refused(hd__field_text(t.body, "nul", &text, &t.fault), HD_FAULT_VALUE, "nul", "`nul` holds a NUL character");
    const hd_text whole = hd__json_string(json_object_get(t.body, "nul"));
    assert_int_equal(whole.len, 3);
    assert_memory_equal(whole.ptr, "x\0y", 3);
}

static void test_bool(void **state)
{
    (void)state;
    bool flag = false;
    body("{'yes':true,'no':false,'one':1,'text':'true'}");
    assert_int_equal(hd__field_bool(t.body, "yes", &flag, &t.fault), HD_OK);
    assert_true(flag);
    assert_int_equal(hd__field_bool(t.body, "no", &flag, &t.fault), HD_OK);
    assert_false(flag);
    refused(hd__field_bool(t.body, "one", &flag, &t.fault), HD_FAULT_TYPE, "one", "`one` is not true or false");
    refused(hd__field_bool(t.body, "text", &flag, &t.fault), HD_FAULT_TYPE, "text", "`text` is not true or false");
}

static void test_uint(void **state)
{
    (void)state;
    uint32_t n = 0;
    body("{'two':2,'five':5,'one':1,'six':6,'minus':-1,'real':2.0,'text':'2','most':4294967295,'past':4294967296,"
         "'huge':9223372036854775807}");
    assert_int_equal(hd__field_uint(t.body, "two", 2, 5, &n, &t.fault), HD_OK);
    assert_int_equal(n, 2);
    assert_int_equal(hd__field_uint(t.body, "five", 2, 5, &n, &t.fault), HD_OK);
    assert_int_equal(n, 5);
    refused(hd__field_uint(t.body, "one", 2, 5, &n, &t.fault), HD_FAULT_VALUE, "one", "`one` is 1, allowed are 2 to 5");
    refused(hd__field_uint(t.body, "six", 2, 5, &n, &t.fault), HD_FAULT_VALUE, "six", "`six` is 6, allowed are 2 to 5");
    refused(hd__field_uint(t.body, "minus", 0, 5, &n, &t.fault), HD_FAULT_VALUE, "minus",
            "`minus` is -1, allowed are 0 to 5");
    refused(hd__field_uint(t.body, "real", 0, 5, &n, &t.fault), HD_FAULT_TYPE, "real", "`real` is not an integer");
    refused(hd__field_uint(t.body, "text", 0, 5, &n, &t.fault), HD_FAULT_TYPE, "text", "`text` is not an integer");
    assert_int_equal(n, 5);
    assert_int_equal(hd__field_uint(t.body, "most", 0, UINT32_MAX, &n, &t.fault), HD_OK);
    assert_true(n == UINT32_MAX);
    refused(hd__field_uint(t.body, "past", 0, UINT32_MAX, &n, &t.fault), HD_FAULT_VALUE, "past",
            "`past` is 4294967296, allowed are 0 to 4294967295");
    refused(hd__field_uint(t.body, "huge", 0, 1, &n, &t.fault), HD_FAULT_VALUE, "huge",
            "`huge` is 9223372036854775807, allowed are 0 to 1");
}

static void test_choice(void **state)
{
    (void)state;
    static const char *const names[] = {"float", "base64", NULL};
    uint32_t choice = 9;
    body("{'first':'float','second':'base64','other':'Base64','part':'base','n':0}");
    assert_int_equal(hd__field_choice(t.body, "first", names, &choice, &t.fault), HD_OK);
    assert_int_equal(choice, 0);
    assert_int_equal(hd__field_choice(t.body, "second", names, &choice, &t.fault), HD_OK);
    assert_int_equal(choice, 1);
    refused(hd__field_choice(t.body, "other", names, &choice, &t.fault), HD_FAULT_VALUE, "other",
            "`other` is \"Base64\", allowed are float, base64");
    refused(hd__field_choice(t.body, "part", names, &choice, &t.fault), HD_FAULT_VALUE, "part",
            "`part` is \"base\", allowed are float, base64");
    refused(hd__field_choice(t.body, "n", names, &choice, &t.fault), HD_FAULT_TYPE, "n", "`n` is not a string");
    assert_int_equal(choice, 1);
}

/* More names than a message has room for. */
static void test_many_choices(void **state)
{
    (void)state;
    static const char *const names[] = {
        "a-name-of-some-forty-characters-number-1", "a-name-of-some-forty-characters-number-2",
        "a-name-of-some-forty-characters-number-3", "a-name-of-some-forty-characters-number-4",
        "a-name-of-some-forty-characters-number-5", "a-name-of-some-forty-characters-number-6",
        "a-name-of-some-forty-characters-number-7", NULL};
    uint32_t choice = 9;
    body("{'x':'none','y':'a-name-of-some-forty-characters-number-7'}");
    assert_int_equal(hd__field_choice(t.body, "x", names, &choice, &t.fault), HD_ERR_ARG);
    assert_non_null(strstr(t.fault.text, "number-1, a-name"));
    assert_int_equal(hd__field_choice(t.body, "y", names, &choice, &t.fault), HD_OK);
    assert_int_equal(choice, 6);
}

/* ---- inputs ---- */

enum { ALL = HD_INPUT_TEXT | HD_INPUT_TEXTS | HD_INPUT_IDS | HD_INPUT_LISTS | HD_INPUT_OBJECTS };

static hd_status inputs(const char *text, unsigned forms)
{
    body(text);
    return hd__field_inputs(&t.request, "in", forms, &t.call, &t.fault);
}

static void assert_text(size_t i, const char *text, size_t n)
{
    assert_true(i < t.call.n_inputs);
    assert_null(t.call.inputs[i].ids.ids);
    assert_int_equal(t.call.inputs[i].text.len, n);
    assert_memory_equal(t.call.inputs[i].text.ptr, text, n);
}

static void assert_ids(size_t i, const int32_t *ids, size_t n)
{
    assert_true(i < t.call.n_inputs);
    assert_int_equal(t.call.inputs[i].ids.n, n);
    assert_memory_equal(t.call.inputs[i].ids.ids, ids, n * sizeof *ids);
}

static void test_forms(void **state)
{
    (void)state;
    assert_int_equal(inputs("{'in':'a\\u0000b'}", ALL), HD_OK);
    assert_true(t.call.n_inputs == 1 && t.call.is_single);
    assert_text(0, "a\0b", 3);
    assert_int_equal(inputs("{'in':['a','']}", ALL), HD_OK);
    assert_true(t.call.n_inputs == 2 && !t.call.is_single);
    assert_text(0, "a", 1);
    assert_text(1, "", 0);
    assert_int_equal(inputs("{'in':[0,2147483647]}", ALL), HD_OK);
    assert_true(t.call.n_inputs == 1 && t.call.is_single);
    assert_ids(0, (const int32_t[]){0, INT32_MAX}, 2);
    assert_int_equal(inputs("{'in':['a',[5],{'text':'b','other':1}]}", ALL), HD_OK);
    assert_true(t.call.n_inputs == 3 && !t.call.is_single);
    assert_text(0, "a", 1);
    assert_ids(1, (const int32_t[]){5}, 1);
    assert_text(2, "b", 1);
}

static void test_forms_not_allowed(void **state)
{
    (void)state;
    refused(inputs("{'in':'a'}", HD_INPUT_TEXTS), HD_FAULT_TYPE, "in", "`in` is not a string, a list of strings");
    refused(inputs("{'in':['a']}", HD_INPUT_TEXT), HD_FAULT_TYPE, "in", "`in` is not a string");
    refused(inputs("{'in':[1]}", HD_INPUT_TEXT | HD_INPUT_TEXTS), HD_FAULT_TYPE, "in",
            "`in` is not a string, a list of strings");
    refused(inputs("{'in':[[1]]}", HD_INPUT_TEXT | HD_INPUT_IDS), HD_FAULT_TYPE, "in",
            "`in` is not a string, a list of token ids");
    refused(inputs("{'in':[{'text':'a'}]}", HD_INPUT_LISTS), HD_FAULT_TYPE, "in",
            "`in` is not a string, a list of lists of token ids");
    static const char *const wrong[] = {"{'in':5}",       "{'in':true}",         "{'in':{}}",
                                        "{'in':['a',5]}", "{'in':[null]}",       "{'in':[[1],[2.0]]}",
                                        "{'in':[1,'a']}", "{'in':[{'text':5}]}", "{'in':[{'t':''}]}"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        refused(inputs(wrong[i], ALL), HD_FAULT_TYPE, "in",
                "`in` is not a string, a list of strings, a list of token ids, a list of lists of token ids, a list of "
                "objects with a string `text`");
}

static void test_nothing(void **state)
{
    (void)state;
    refused(inputs("{}", ALL), HD_FAULT_MISSING, "in", "`in` is missing");
    refused(inputs("{'in':null}", ALL), HD_FAULT_MISSING, "in", "`in` is missing");
    refused(inputs("{'in':[]}", ALL), HD_FAULT_EMPTY, "in", "`in` cannot be an empty list");
    refused(inputs("{'in':[[]]}", ALL), HD_FAULT_EMPTY, "in", "`in` holds an empty list of token ids");
    refused(inputs("{'in':''}", ALL | HD_INPUT_NO_EMPTY), HD_FAULT_EMPTY, "in", "`in` cannot be an empty string");
    refused(inputs("{'in':['a','']}", ALL | HD_INPUT_NO_EMPTY), HD_FAULT_EMPTY, "in", "`in` cannot be an empty string");
    refused(inputs("{'in':[{'text':''}]}", ALL | HD_INPUT_NO_EMPTY), HD_FAULT_EMPTY, "in", "`in` cannot be an empty string");
}

static void test_ranges(void **state)
{
    (void)state;
    refused(inputs("{'in':[-1]}", ALL), HD_FAULT_VALUE, "in", "`in`: -1 is no token id");
    refused(inputs("{'in':[[0],[2147483648]]}", ALL), HD_FAULT_VALUE, "in", "`in`: 2147483648 is no token id");
    assert_int_equal(inputs("{'in':['a','b','c']}", ALL), HD_OK);
    refused(inputs("{'in':['a','b','c','d']}", ALL), HD_FAULT_INPUTS, "in", "`in` holds 4 inputs, the limit is 3");
    assert_true(t.fault.n == 4 && t.fault.limit == 3);
    assert_int_equal(inputs("{'in':[1,2,3,4,5]}", ALL), HD_OK); /* one input */
}

static void test_no_memory(void **state)
{
    (void)state;
    static const char *const wanted[] = {"no memory for 1 inputs", "no memory for 100000 token ids"};
    json_t *ids = json_array();
    for (int i = 0; i < 100000; i++)
        json_array_append_new(ids, json_integer(i));
    for (uint64_t n = 0; n < 2; n++) {
        body("{}");
        json_object_set(t.body, "in", ids);
        hd__alloc_fail_after(n, UINT64_MAX);
        const hd_status status = hd__field_inputs(&t.request, "in", ALL, &t.call, &t.fault);
        hd__alloc_fail_off();
        refused(status, HD_FAULT_MEMORY, NULL, wanted[n]);
    }
    json_decref(ids);
}

static void test_nothing_to_read(void **state)
{
    (void)state;
    t.call.task = HD_TASK_EMBED;
    assert_int_equal(hd__read_nothing(&t.request, &t.call, &t.fault), HD_OK);
    assert_int_equal(t.call.task, HD_TASK_REPLY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_missing),   cmocka_unit_test(test_text),
        cmocka_unit_test(test_bool),      cmocka_unit_test(test_uint),
        cmocka_unit_test(test_choice),    cmocka_unit_test(test_many_choices),
        cmocka_unit_test(test_forms),     cmocka_unit_test(test_nothing),
        cmocka_unit_test(test_ranges),    cmocka_unit_test(test_forms_not_allowed),
        cmocka_unit_test(test_no_memory), cmocka_unit_test(test_nothing_to_read),
    };
    return cmocka_run_group_tests_name("wire_fields", tests, transcript_begin, transcript_end);
}
