/* Start lines of text-embeddings-router and llama-server as `heddle serve` takes them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "cli/start_line.h"
#include "unit/scratch.h"

#define MOST 32

static hd_arena arena;
static hd_error err;
static cli_start_line line;

/* Splits at blanks; the list ends with NULL. */
static size_t split(const char *text, char *words[MOST])
{
    size_t n = 0;
    char *copy = hd__arena_strndup(&arena, text, strlen(text));
    for (char *word = strtok(copy, " "); word != NULL && n + 1 < MOST; word = strtok(NULL, " "))
        words[n++] = word;
    words[n] = NULL;
    return n;
}

static hd_status try_translate(const char *args, const char *environment)
{
    char *words[MOST], *variables[MOST];
    const size_t n = split(args, words);
    split(environment, variables);
    err = (hd_error){0};
    return cli_start_line_translate(n, words, variables, &arena, &line, &err);
}

static void check(const char *args, const char *environment, const char *expected)
{
    char got[2048] = "";
    if (try_translate(args, environment) != HD_OK)
        fail_msg("%s | %s: %s", args, environment, err.text);
    for (size_t i = 0; i < line.n_args + line.n_variables; i++) {
        strcat(got, i == 0 ? "" : i == line.n_args ? " | " : " ");
        strcat(got, i < line.n_args ? line.args[i] : line.variables[i - line.n_args]);
    }
    if (strcmp(got, expected) != 0)
        fail_msg("%s | %s:\n  %s\nexpected:\n  %s", args, environment, got, expected);
}

static void check_notice(const char *names)
{
    if (names == NULL) {
        assert_null(line.notice);
        return;
    }
    assert_non_null(line.notice);
    assert_non_null(strstr(line.notice, names));
    assert_string_equal(strrchr(line.notice, ':') + 2, names);
}

static void refuses(const char *args, const char *environment, const char *says)
{
    assert_int_equal(try_translate(args, environment), HD_ERR_ARG);
    if (strstr(err.text, says) == NULL)
        fail_msg("\"%s\" instead of \"…%s…\"", err.text, says);
}

static void test_own_options_pass(void **state)
{
    (void)state;
    check("", "", "");
    check("--max-inputs 5 --preload -v --strict", "PATH=/bin HOME=/", "--max-inputs 5 --preload -v --strict");
    check("--model a --model=b --port 80", "", "--port=80 --model=a --model=b");
    check("--model x=/models/y", "", "--model=x=/models/y");
    check_notice(NULL);
}

static void test_letters_joined(void **state)
{
    (void)state;
    check("-ma -p80", "", "--port=80 --model=a");
    check("-qp80 -vma -qv", "", "-q --port=80 -v -qv --model=a");
    check("-qvp 80 -qm a", "", "-qv --port=80 -q --model=a");
    check("--model-id a/b --hostname h -p80", "", "--host=h --port=80 --model=a/b --allow-pull"); /* not 3000 too */
    check("-qx -x5", "", "-qx -x5");
    check("-ngl 99 -mg 0 -hf a/b", "", "--model=a/b --allow-pull"); /* words of several letters are llama-server's */
    check_notice("-ngl, -mg");
    refuses("-qp", "", "serve: '-p' needs a value");
}

static void test_tei(void **state)
{
    (void)state;
    check("--model-id BAAI/bge-small-en-v1.5 --revision refs/pr/5 --port 8080 --hostname 127.0.0.1", "",
          "--port=8080 --host=127.0.0.1 --model=BAAI/bge-small-en-v1.5@refs/pr/5 --allow-pull");
    check("--model-id=a/b --dtype float16 --pooling cls --max-client-batch-size 64 --payload-limit 5000000", "",
          "--dtype=auto --pooling=cls --max-inputs=64 --max-body=5000000 --model=a/b --allow-pull --host=0.0.0.0 "
          "--port=3000");
    check("--model-id a/b -p 1 --hostname ::1 --dtype float32 --api-key k --json-output", "",
          "--port=1 --host=::1 --dtype=f32 --api-key=k --log-format=json --model=a/b "
          "--allow-pull");
    check("--model-id a/b -p 1 --hostname h --served-model-name c --hf-token t --huggingface-hub-cache /data", "",
          "--port=1 --host=h --model=c=a/b --allow-pull | HF_TOKEN=t HF_HUB_CACHE=/data");
    check_notice(NULL);
    check("--model-id a/b -p 1 --hostname h --max-batch-tokens 16384 --max-concurrent-requests 9 --disable-spans", "",
          "--port=1 --host=h --model=a/b --allow-pull");
    check_notice("--max-batch-tokens, --max-concurrent-requests, --disable-spans");
}

static void test_auto_truncate(void **state)
{
    (void)state;
    check("--auto-truncate", "", "");
    check("--auto-truncate true", "", "");
    check("--auto-truncate false", "", "--no-auto-truncate");
    check("--auto-truncate=false", "", "--no-auto-truncate");
    check("--auto-truncate --preload", "", "--preload");
    check("--no-auto-truncate", "", "--no-auto-truncate");
}

static void test_tei_environment(void **state)
{
    (void)state;
    check("", "MODEL_ID=a/b PORT=81 HOSTNAME=0.0.0.0 DTYPE=bfloat16 AUTO_TRUNCATE=false JSON_OUTPUT=true",
          "--dtype=bf16 --no-auto-truncate --host=0.0.0.0 --port=81 --log-format=json --model=a/b --allow-pull");
    check("", "PORT=81 DTYPE=float32 API_KEY=k", ""); /* anybody's */
    check("--model-id a/b", "HOSTNAME=3f2a91c0de77 PORT=81", "--port=81 --model=a/b --allow-pull --host=0.0.0.0");
    check("--model-id a/b --port 82", "PORT=81 HEDDLE_HOST=::1", "--port=82 --model=a/b --allow-pull");
    check("--model-id a/b", "PORT=81 HEDDLE_PORT=90 HEDDLE_UDS=/run/h", "--model=a/b --allow-pull");
    check("", "MODEL_ID=a/b HEDDLE_MODEL=c PORT=81 HOSTNAME=::", "--host=:: --port=81");
    check("--hf-token one",
          "MODEL_ID=a/b HF_API_TOKEN=two PORT=1 HOSTNAME=::", "--host=:: --port=1 --model=a/b --allow-pull | HF_TOKEN=one");
    check("", "MODEL_ID=a/b LISTEN_FDS=1 PORT=1", "--port=1 --model=a/b --allow-pull");
    check("", "MODEL_ID= PORT=81", "");
}

static void test_llama(void **state)
{
    (void)state;
    check("-m /nowhere/model -c 2048 -b 512 -ub 512 -np 4 -t 8 -ngl 99 --embedding --host 0.0.0.0 --port 8081 -fa on", "",
          "--threads=8 --host=0.0.0.0 --port=8081 --model=/nowhere/model | HEDDLE_MAX_LENGTH=2048");
    check_notice("-b, -ub, -np, -ngl, -fa");
    check("-m d --embeddings -cb --metrics -c 0 -t -1", "", "--model=d");
    check_notice(NULL);
    check("-fa -m d", "", "--model=d");
    check_notice("-fa");
    check("-hf user/repo:Q8_0 --alias short --host /run/heddle.sock", "",
          "--uds=/run/heddle.sock --model=short=user/repo --allow-pull");
    check("-hf user/repo --offline -dev none", "", "--device=cpu --model=user/repo");
    check("-dev CUDA0", "", "--device=CUDA0");
    check("-to 600 --models-max 4 -m d", "", "--timeout=600 --model=d");
    check("--embd-normalize 2 --ssl-key-file k.pem --ssl-cert-file c.pem", "", "--tls-key=k.pem --tls-cert=c.pem");
}

static void test_llama_environment(void **state)
{
    (void)state;
    check("", "LLAMA_ARG_MODEL=/m LLAMA_ARG_PORT=8080 LLAMA_ARG_HOST=0.0.0.0 LLAMA_ARG_THREADS=2 LLAMA_ARG_CTX_SIZE=512",
          "--host=0.0.0.0 --port=8080 --threads=2 --model=/m | HEDDLE_MAX_LENGTH=512");
    check("--port 1 -m /n -c 8", "LLAMA_ARG_MODEL=/m LLAMA_ARG_PORT=8080 LLAMA_ARG_CTX_SIZE=512",
          "--port=1 --model=/n | HEDDLE_MAX_LENGTH=8");
    check("", "LLAMA_API_KEY=one,two,,three", "--api-key=one --api-key=two --api-key=three");
    check("--api-key zero", "LLAMA_API_KEY=one", "--api-key=zero");
    check("", "LLAMA_ARG_EMBEDDINGS=1 LLAMA_ARG_FLASH_ATTN=off LLAMA_ARG_UBATCH=512 LLAMA_ARG_SOMETHING_NEW=1", "");
    check_notice("LLAMA_ARG_UBATCH, LLAMA_ARG_SOMETHING_NEW");
    check("", "LLAMA_ARG_HOST=0.0.0.0 HEDDLE_UDS=/run/h", "");
}

static void test_files_of_models(void **state)
{
    (void)state;
    scratch s;
    scratch_begin(&s);
    char args[512], expected[512];
    scratch_write(&s, "config.json", "{}", 2);
    snprintf(args, sizeof args, "-m %s/model.Q8_0.gguf", s.dir);
    snprintf(expected, sizeof expected, "--model=%s/model.Q8_0.gguf", s.dir); /* read as it is */
    check(args, "", expected);
    snprintf(expected, sizeof expected, "--model=%s", s.dir);
    snprintf(args, sizeof args, "-m %s/model.safetensors", s.dir);
    check(args, "", expected);
    snprintf(args, sizeof args, "--model-id %s --revision main -p 1 --hostname h", s.dir); /* a folder has no revisions */
    snprintf(expected, sizeof expected, "--port=1 --host=h --model=%s --allow-pull", s.dir);
    check(args, "", expected);
    scratch_end(&s);
}

static void test_refusals(void **state)
{
    (void)state;
    refuses("--default-prompt query:", "", "--default-prompt: ");
    refuses("--lora a.gguf", "", "--lora: ");
    refuses("", "MODEL_ID=a/b DENSE_PATH=2_Dense_8", "DENSE_PATH: ");
    refuses("--embd-normalize -1", "", "--embd-normalize: '-1' is not 2");
    refuses("--port", "", "'--port' needs a value");
    refuses("-ub", "", "'-ub' needs a value");
    refuses("--alias a -m b -m c", "", "'a' is a name for one model, and 2 are given");
}

static void test_too_many_keys(void **state)
{
    (void)state;
    static char keys[8192] = "LLAMA_API_KEY=";
    char *variables[] = {keys, NULL};
    for (int i = 0; i < 2000; i++)
        strcat(keys, "k,");
    assert_int_equal(cli_start_line_translate(0, NULL, variables, &arena, &line, &err), HD_ERR_LIMIT);
}

static void test_no_memory(void **state)
{
    (void)state;
    char *args[] = {"--model-id", "a/b",  "--revision", "r",      "--served-model-name", "n", "-ub",        "5", "-np", "2",
                    "--dtype",    "bf16", "--api-key",  "secret", "--hf-token",          "t", "--hostname", "h"};
    char *variables[] = {"LLAMA_API_KEY=a,b", "LLAMA_ARG_STRANGE=1", "PORT=9", NULL};
    hd_status status = HD_ERR_MEMORY;
    for (uint64_t n = 0; status != HD_OK; n++) {
        hd_arena own;
        hd__arena_init(&own);
        hd__alloc_fail_after(n, UINT64_MAX);
        status = cli_start_line_translate(sizeof args / sizeof args[0], args, variables, &own, &line, &err);
        hd__alloc_fail_off();
        assert_true(status == HD_OK || status == HD_ERR_MEMORY);
        hd__arena_clear(&own);
        assert_true(n < 1000);
    }
}

static int begin(void **state)
{
    (void)state;
    hd__arena_init(&arena);
    return 0;
}

static int end(void **state)
{
    (void)state;
    hd__arena_clear(&arena);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_own_options_pass, begin, end),
        cmocka_unit_test_setup_teardown(test_letters_joined, begin, end),
        cmocka_unit_test_setup_teardown(test_tei, begin, end),
        cmocka_unit_test_setup_teardown(test_auto_truncate, begin, end),
        cmocka_unit_test_setup_teardown(test_tei_environment, begin, end),
        cmocka_unit_test_setup_teardown(test_llama, begin, end),
        cmocka_unit_test_setup_teardown(test_llama_environment, begin, end),
        cmocka_unit_test_setup_teardown(test_files_of_models, begin, end),
        cmocka_unit_test_setup_teardown(test_refusals, begin, end),
        cmocka_unit_test_setup_teardown(test_too_many_keys, begin, end),
        cmocka_unit_test_setup_teardown(test_no_memory, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
