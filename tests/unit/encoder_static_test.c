/* model2vec through the engine: what counts in the mean, nothing around texts, and files that do not fit. The numbers beside
 * the reference: tests/golden/architecture_test.c.
 */
#include "unit/engine_fixture.h"

#include <math.h>

#include "base/alloc.h"

enum { WIDTH = 80 };

static hd_engine *engine;
static hd_model *model;

static void embed(const char *text, const hd_encode_options *options, float out[WIDTH])
{
    const hd_text one = text_of(text);
    MUST(hd_encode(model, &one, 1, options, out, NULL, &err));
}

static void test_texts(void **state)
{
    (void)state;
    static const char *const names[] = {"tiny-static", "tiny-static-mapped"};
    for (size_t m = 0; m < 2; m++) {
        float plain[WIDTH], other[WIDTH], sum = 0.0f;
        hd_model_info info;
        hd_tokens tokens;
        engine = open_engine((hd_engine_options){.n_threads = 2});
        model = open_model(engine, names[m], HD_DTYPE_F32);
        hd_model_get_info(model, &info);
        assert_int_equal(info.n_dimensions, WIDTH);
        assert_int_equal(info.heads, HD_HEAD_DENSE | HD_HEAD_TOKENS);
        assert_true(info.normalizes);
        MUST(hd_tokenize(model, text_of("river stone"), NULL, &tokens, &err));
        assert_int_equal(tokens.n, 2); /* no special tokens */
        hd_tokens_free(&tokens);
        embed("river stone", NULL, plain);
        for (size_t i = 0; i < WIDTH; i++)
            sum += plain[i] * plain[i];
        assert_true(fabsf(sum - 1.0f) < 1e-5f);
        embed("river \u2603 stone", &(hd_encode_options){.no_normalize = true}, other); /* a mean of two, not of three */
        embed("river stone", &(hd_encode_options){.no_normalize = true}, plain);
        assert_memory_equal(plain, other, sizeof plain);
        for (size_t k = 0; k < 2; k++) {
            embed(k == 0 ? "" : "\u2603 \u2603", NULL, other);
            for (size_t i = 0; i < WIDTH; i++)
                assert_true(other[i] == 0.0f);
        }
        hd_engine_close(engine);
    }
}

/* From the packed file it is the same, in every type. */
static void test_packed(void **state)
{
    (void)state;
    static const hd_dtype types[] = {HD_DTYPE_F32, HD_DTYPE_BF16, HD_DTYPE_INT8};
    for (size_t t = 0; t < 3; t++) {
        float first[WIDTH], again[WIDTH];
        for (int i = 0; i < 2; i++) {
            engine = open_engine((hd_engine_options){.n_threads = 1, .cache_dir = folder.dir});
            model = open_model(engine, "tiny-static-mapped", types[t]);
            embed("river stone", NULL, i == 0 ? first : again);
            hd_engine_close(engine);
        }
        assert_memory_equal(first, again, sizeof first);
    }
}

static void test_refused(void **state)
{
    (void)state;
    static const struct {
        const char *name, *says;
        hd_status status;
    } cases[] = {
        {"bad-mapping", "value 0 is -1, there are 311 rows", HD_ERR_FORMAT},
        {"flat-weights", "\"weights\"", HD_ERR_FORMAT},
    };
    hd_model *m;
    engine = open_engine((hd_engine_options){.n_threads = 1});
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        model = open_model(engine, cases[i].name, HD_DTYPE_F32);
        must_fail(hd_model_load(model, &err), cases[i].status, cases[i].says);
    }
    must_fail(hd_model_open(engine, tiny_model_dir(&folder, "no-table"), NULL, &m, &err), HD_ERR_FORMAT,
              "no tensor \"embeddings\"");
    must_fail(hd_model_open(engine, tiny_model_dir(&folder, "with-dense"), NULL, &m, &err), HD_ERR_UNSUPPORTED,
              "StaticEmbedding");
    hd_engine_close(engine);
}

#define SCRIPT                                                                                                              \
    "set -e; python3 tools/make_tiny_architectures.py \"$models\" tiny-static tiny-static-mapped\n"                         \
    "cd \"$models\"; for i in bad-mapping flat-weights; do cp -r tiny-static-mapped $i; done\n"                             \
    "for i in no-table with-dense; do cp -r tiny-static $i; done\n"                                                         \
    "sed -i 's/\"embeddings\"/\"embedding!\"/' no-table/model.safetensors\n"                                                \
    "sed -i 's/models.Normalize/models.Dense/' with-dense/modules.json\n"                                                   \
    "python3 - <<'EOS'\n"                                                                                                   \
    "import json, struct\n"                                                                                                 \
    "def change(name, edit):\n"                                                                                             \
    "    path = name + '/model.safetensors'\n"                                                                              \
    "    data = open(path, 'rb').read()\n"                                                                                  \
    "    n = struct.unpack('<Q', data[:8])[0]\n"                                                                            \
    "    header, body = json.loads(data[8:8 + n]), bytearray(data[8 + n:])\n"                                               \
    "    edit(header, body)\n"                                                                                              \
    "    text = json.dumps(header).encode()\n"                                                                              \
    "    open(path, 'wb').write(struct.pack('<Q', len(text)) + text + body)\n"                                              \
    "def unmap(header, body):\n"                                                                                            \
    "    at = header['mapping']['data_offsets'][0]\n"                                                                       \
    "    body[at:at + 8] = b'\\xff' * 8\n"                                                                                  \
    "def cut(header, body):\n"                                                                                              \
    "    header['weights']['shape'].insert(0, 1)\n"                                                                         \
    "change('bad-mapping', unmap)\n"                                                                                        \
    "change('flat-weights', cut)\n"                                                                                         \
    "EOS"

static int set_up(void **state)
{
    (void)state;
    scratch_begin(&folder);
    return run_in_models(SCRIPT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_texts),
        cmocka_unit_test(test_packed),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, set_up, remove_folder);
}
