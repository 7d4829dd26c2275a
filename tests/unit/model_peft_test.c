/* Adapters of PEFT's: their pairs of tensors, and everything that can be wrong with them. */
#include "model/peft.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "unit/safetensors_file.h"
#include "unit/scratch.h"

#define A(name, rank) "\"" name "\":{\"dtype\":\"F32\",\"shape\":[" rank ",3],\"data_offsets\":[0,24]}"
#define B(name, rank) "\"" name "\":{\"dtype\":\"F32\",\"shape\":[3," rank "],\"data_offsets\":[24,48]}"

static scratch s;
static hd_error err;

static int begin(void **state)
{
    (void)state;
    scratch_begin(&s);
    return 0;
}

static int end(void **state)
{
    (void)state;
    scratch_end(&s);
    return 0;
}

static void write_adapter(const char *header)
{
    static const float values[12] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
    const hd_span bytes = safetensors_file(header, values, sizeof values);
    scratch_write(&s, "adapter_model.safetensors", bytes.ptr, bytes.len);
    free((void *)(uintptr_t)bytes.ptr);
}

static void finds_pairs_by_their_end(void **state)
{
    (void)state;
    static const char *const same[] = {"encoder.layer.0.query", "bert.encoder.layer.0.query", "layer.0.query"};
    static const char *const other[] = {"encoder.layer.0.key", "encoder.layer.10.query", "my_layer.0.query", "y", ""};
    hd_peft *peft;
    const hd_tensor *a, *b;
    write_adapter("{" A("base_model.model.encoder.layer.0.query.lora_A.weight",
                        "2") "," B("base_model.model.encoder.layer.0.query.lora_B.weight", "2") "}");
    assert_int_equal(hd__peft_open(s.dir, 2, &peft, &err), HD_OK);
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
        assert_true(hd__peft_find(peft, same[i], &a, &b));
        assert_true(a->dims[0] == 2 && a->dims[1] == 3 && b->dims[0] == 3 && b->dims[1] == 2);
    }
    for (size_t i = 0; i < sizeof other / sizeof *other; i++)
        if (hd__peft_find(peft, other[i], &a, &b))
            fail_msg("%s", other[i]);
    assert_non_null(strstr(hd__peft_identity(peft), "adapter_model.safetensors"));
    hd__peft_close(peft);
}

static void finds_tables(void **state)
{
    (void)state;
    hd_peft *peft;
    const hd_tensor *a, *b;
    write_adapter("{" A("base_model.model.embeddings.word_embeddings.lora_embedding_A",
                        "2") "," B("base_model.model.embeddings.word_embeddings.lora_embedding_B", "2") "}");
    assert_int_equal(hd__peft_open(s.dir, 2, &peft, &err), HD_OK);
    assert_non_null(hd__peft_left(peft));
    assert_true(hd__peft_find(peft, "roberta.embeddings.word_embeddings", &a, &b));
    assert_string_equal(a->name, "base_model.model.embeddings.word_embeddings.lora_embedding_A");
    assert_null(hd__peft_left(peft));
    hd__peft_close(peft);
}

static void refuses_others(void **state)
{
    (void)state;
    static const struct {
        const char *header;
        hd_status status;
        const char *text;
    } cases[] = {
        {"{" A("m.lora_A.weight", "2") "," B("n.lora_B.weight", "2") "}", HD_ERR_FORMAT,
         "\"m.lora_A.weight\" is there without \"m.lora_B.weight\""},
        {"{" A("m.lora_embedding_A", "2") "," B("m.lora_B.weight", "2") "}", HD_ERR_FORMAT, "is there without"},
        {"{" A("m.lora_A.weight", "2") "," B("m.lora_B.weight", "2") "}", HD_ERR_FORMAT, "are not [3, …] and […, 3]"},
        {"{" A("m.lora_magnitude_vector", "2") "," B("m.lora_B.weight", "2") "}", HD_ERR_UNSUPPORTED,
         "\"m.lora_magnitude_vector\" is not one of LoRA's"},
        {"{" A("classifier.weight", "2") "," B("m.lora_B.weight", "2") "}", HD_ERR_UNSUPPORTED, "\"classifier.weight\""},
    };
    hd_peft *peft = NULL;
    assert_int_equal(hd__peft_open(s.dir, 3, &peft, &err), HD_ERR_NOT_FOUND);
    assert_non_null(strstr(err.text, "neither adapter_model.safetensors nor adapter_model.bin"));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        write_adapter(cases[i].header);
        const hd_status status = hd__peft_open(s.dir, 3, &peft, &err);
        if (status != cases[i].status || strstr(err.text, cases[i].text) == NULL)
            fail_msg("case %zu: %s, \"%s\"", i, hd_status_name(status), err.text);
        assert_null(peft);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(finds_pairs_by_their_end, begin, end),
        cmocka_unit_test_setup_teardown(finds_tables, begin, end),
        cmocka_unit_test_setup_teardown(refuses_others, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
