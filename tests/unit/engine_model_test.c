/* A model's life: lazy load, unload, idleness, the packed cache, the memory limit, and folders that are wrong. */
#include "unit/engine_fixture.h"

#include <dirent.h>
#include <fcntl.h>
#include <jansson.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include "base/alloc.h"
#include "base/log.h"
#include "base/status.h"

enum { N = 40 };

static void sleep_ms(int ms)
{
    nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000}, NULL);
}

/* A model of its own for a test that changes files. */
static void fresh_model(const char *name)
{
    scratch_wipe(tiny_model_dir(&folder, name));
    tiny_models_make(&folder, name);
}

/* ---- loading and unloading ---- */

static _Atomic int n_loads, n_warnings;
static _Atomic int pause_at_warning_ms;
static char last_warning[512];

static void listen(hd_log_level level, const char *line, void *data)
{
    (void)data;
    n_loads += strstr(line, ": loaded as ") != NULL;
    if (level == HD_LOG_WARN) {
        snprintf(last_warning, sizeof last_warning, "%s", line);
        n_warnings++;
        sleep_ms(pause_at_warning_ms);
    }
}

static void *load_main(void *model)
{
    return (void *)(intptr_t)hd_model_load(model, NULL);
}

static void test_loads_once(void **state)
{
    (void)state;
    enum { THREADS = 8 };
    hd_engine *engine = open_engine((hd_engine_options){.n_threads = 2});
    hd_model *model = open_model(engine, "tiny-cls", HD_DTYPE_F32);
    pthread_t threads[THREADS];
    assert_false(is_loaded(model));
    assert_int_equal(stats_of(engine).weights_bytes, 0);
    n_loads = 0;
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, load_main, model), 0);
    for (int i = 0; i < THREADS; i++) {
        void *status;
        pthread_join(threads[i], &status);
        assert_int_equal((intptr_t)status, HD_OK);
    }
    assert_int_equal(n_loads, 1);
    assert_true(is_loaded(model));
    hd_engine_stats stats = stats_of(engine);
    assert_int_equal(stats.n_models_loaded, 1);
    assert_true(stats.weights_bytes > 100000);
    assert_int_equal(stats.scratch_bytes, 0); /* nothing was computed */
    hd_engine_close(engine);
}

static void test_unload(void **state)
{
    (void)state;
    enum { MANY = 2000 };
    hd_engine *engine = open_engine((hd_engine_options){.n_threads = 1});
    hd_model *model = open_model(engine, "tiny-cls", HD_DTYPE_F32);
    MUST(hd_model_unload(model, &err)); /* was not loaded */
    float *out = malloc(MANY * width_of(model) * sizeof *out), *before = encode_some(model, N);
    hd_job *job;
    MUST(hd_job_start(model, some_texts(MANY), MANY, NULL, out, &job, &err));
    must_fail(hd_model_unload(model, &err), HD_ERR_BUSY, "in use by 1");
    MUST(hd_job_wait(job, NULL, &err));
    MUST(hd_model_unload(model, &err));
    assert_false(is_loaded(model));
    assert_int_equal(stats_of(engine).weights_bytes + stats_of(engine).scratch_bytes, 0);
    float *after = encode_some(model, N);
    assert_memory_equal(before, after, N * width_of(model) * sizeof *after);
    free(out);
    free(before);
    free(after);
    hd_engine_close(engine);
}

typedef struct restless {
    hd_model *model;
    _Atomic bool stop;
} restless;

static void *unload_main(void *data)
{
    restless *r = data;
    while (!r->stop)
        HD_IGNORE(hd_model_unload(r->model, NULL)); /* BUSY is as good */
    return NULL;
}

static void test_unload_while_encoding(void **state)
{
    (void)state;
    hd_engine *engine = open_engine((hd_engine_options){.n_threads = 2});
    hd_model *model = open_model(engine, "tiny-mrl", HD_DTYPE_INT8);
    restless r = {.model = model};
    pthread_t thread;
    float *wanted = encode_some(model, N);
    assert_int_equal(pthread_create(&thread, NULL, unload_main, &r), 0);
    for (int i = 0; i < 20; i++) {
        float *got = encode_some(model, N);
        assert_memory_equal(got, wanted, N * width_of(model) * sizeof *got);
        free(got);
    }
    r.stop = true;
    pthread_join(thread, NULL);
    free(wanted);
    hd_engine_close(engine);
}

static bool unloaded_within(hd_model *model, int ms)
{
    for (; ms > 0 && is_loaded(model); ms -= 20)
        sleep_ms(20);
    return !is_loaded(model);
}

/* Also a model that was only loaded, and one whose neighbour is busy all the time. */
static void test_idle(void **state)
{
    (void)state;
    hd_engine *engine = open_engine((hd_engine_options){.n_threads = 2, .idle_unload_s = 1});
    hd_model *idle = open_model(engine, "tiny-cls", HD_DTYPE_F32), *busy = open_model(engine, "tiny-mrl", HD_DTYPE_F32);
    hd_model_info info;
    MUST(hd_model_begin(idle, &err));
    sleep_ms(20);
    hd_model_get_info(idle, &info);
    assert_int_equal(info.unload_in_ns, 1000000000); /* in use: from its end on */
    hd_model_end(idle);
    sleep_ms(20);
    hd_model_get_info(idle, &info);
    assert_in_range(info.unload_in_ns, 0, 980000000);
    assert_int_equal(info.device_bytes, 0);
    assert_true(unloaded_within(idle, 10000));
    float *wanted = encode_some(idle, N);
    for (int i = 0; i < 1000 && is_loaded(idle); i++) {
        free(encode_some(busy, 3));
        sleep_ms(10);
    }
    assert_true(!is_loaded(idle) && is_loaded(busy));
    float *got = encode_some(idle, N); /* comes back */
    assert_memory_equal(got, wanted, N * width_of(idle) * sizeof *got);
    free(wanted);
    free(got);
    hd_engine_close(engine);
}

/* Closing while work goes on: waits, and frees what nobody closed. */
static void test_close(void **state)
{
    (void)state;
    for (int i = 0; i < 5; i++) {
        hd_engine *engine = open_engine((hd_engine_options){.n_threads = 3, .idle_unload_s = 1, .cache_bytes = 1 << 16});
        hd_model *a = open_model(engine, "tiny-cls", HD_DTYPE_F32), *b = open_model(engine, "tiny-cls", HD_DTYPE_BF16);
        free(encode_some(a, N));
        if (i % 2 == 0)
            hd_model_close(a);
        free(encode_some(b, 1));
        hd_engine_close(engine);
    }
    hd_engine_close(NULL);
    hd_model_close(NULL);
}

static void test_open(void **state)
{
    (void)state;
    hd_engine *engine;
    hd_model *model;
    must_fail(hd_engine_open(&(hd_engine_options){.n_threads = 1025}, &engine, &err), HD_ERR_ARG, "1025 threads");
    MUST(hd_engine_open(NULL, &engine, &err));
    must_fail(hd_model_open(engine, scratch_path(&folder, "none"), NULL, &model, &err), HD_ERR_NOT_FOUND, "none");
    const char *dir = tiny_model_dir(&folder, "tiny-cls");
    must_fail(hd_model_open(engine, dir, &(hd_model_options){.dtype = (hd_dtype)6}, &model, &err), HD_ERR_ARG, "dtype 6");
    must_fail(hd_model_open(engine, dir, &(hd_model_options){.max_length = 131}, &model, &err), HD_ERR_ARG,
              "max_length 131, the model's limit is 130");
    MUST(hd_model_open(engine, dir, &(hd_model_options){.max_length = 130}, &model, &err));
    hd_model_info info;
    hd_model_get_info(model, &info);
    assert_string_equal(info.pooling, "cls");
    assert_string_equal(info.architecture, "bert");
    assert_int_equal(info.max_length, 130);
    assert_int_equal(info.n_dimensions, 64);
    assert_true(info.normalizes && !info.loaded && info.dtype != HD_DTYPE_AUTO);
    assert_int_equal(info.flops_per_token, 2 * 2 * (4 * 64 * 64 + 2 * 64 * 256));
    const char *name, *text;
    assert_false(hd_model_get_prompt(model, 0, &name, &text));
    hd_engine_close(engine);
}

/* ---- the packed cache ---- */

static char cache_dir[128];

static hd_engine *caching_engine(void)
{
    return open_engine((hd_engine_options){.n_threads = 1, .cache_dir = cache_dir});
}

/* The one file of weights in the cache; false when there is not exactly one. */
static bool packed_file(char path[512])
{
    char dir[256];
    int n = 0;
    snprintf(dir, sizeof dir, "%s/packed", cache_dir);
    DIR *d = opendir(dir);
    for (struct dirent *entry; d != NULL && (entry = readdir(d)) != NULL;) {
        if (entry->d_name[0] == '.' || strstr(entry->d_name, "-tokenizer.heddle") != NULL)
            continue;
        snprintf(path, 512, "%s/%.200s", dir, entry->d_name);
        n++;
    }
    if (d != NULL)
        closedir(d);
    return n == 1;
}

/* Encodes through a fresh engine; says whether a warning came up. */
static bool encodes_with_warning(const float *wanted)
{
    hd_engine *engine = caching_engine();
    hd_model *model = open_model(engine, "tiny-dense", HD_DTYPE_INT8);
    last_warning[0] = '\0';
    float *got = encode_some(model, N);
    assert_memory_equal(got, wanted, N * width_of(model) * sizeof *got);
    free(got);
    hd_engine_close(engine);
    return last_warning[0] != '\0';
}

static float *packed_wanted(void)
{
    hd_engine *engine = open_engine((hd_engine_options){.n_threads = 1});
    float *wanted = encode_some(open_model(engine, "tiny-dense", HD_DTYPE_INT8), N);
    hd_engine_close(engine);
    return wanted;
}

static void test_packed(void **state)
{
    (void)state;
    char path[512];
    struct stat first, second;
    float *wanted = packed_wanted();
    scratch_wipe(cache_dir);
    assert_false(encodes_with_warning(wanted)); /* packs */
    assert_true(packed_file(path) && stat(path, &first) == 0);
    assert_false(encodes_with_warning(wanted)); /* maps */
    assert_true(packed_file(path) && stat(path, &second) == 0);
    assert_int_equal(first.st_ino, second.st_ino); /* the same file */
    free(wanted);
}

/* Whatever is wrong with the file: it is not used, and written anew. */
static void test_packed_damaged(void **state)
{
    (void)state;
    char path[512];
    float *wanted = packed_wanted();
    scratch_wipe(cache_dir);
    assert_false(encodes_with_warning(wanted));
    assert_true(packed_file(path));
    struct stat whole, now;
    assert_int_equal(stat(path, &whole), 0);
    for (int damage = 0; damage < 6; damage++) {
        FILE *f = fopen(path, "r+b");
        assert_non_null(f);
        switch (damage) {
        case 0: assert_int_equal(ftruncate(fileno(f), 0), 0); break;
        case 1: assert_int_equal(ftruncate(fileno(f), 63), 0); break;
        case 2: assert_int_equal(ftruncate(fileno(f), whole.st_size - 1), 0); break;
        case 3: assert_true(fputc('h', f) == 'h'); break;                            /* the magic number */
        case 4: assert_true(fseek(f, 80, SEEK_SET) == 0 && fputc(1, f) == 1); break; /* the table */
        case 5: assert_int_equal(ftruncate(fileno(f), whole.st_size + 4096), 0); break;
        }
        assert_int_equal(fclose(f), 0);
        if (!encodes_with_warning(wanted))
            fail_msg("damage %d was not noticed", damage);
        assert_int_equal(stat(path, &now), 0);
        assert_int_equal(now.st_size, whole.st_size); /* whole again */
        assert_false(encodes_with_warning(wanted));
    }
    free(wanted);
}

/* Other weights in the same folder are not answered from the old file. */
static void test_packed_stale(void **state)
{
    (void)state;
    scratch_wipe(cache_dir);
    fresh_model("tiny-bf16-max");
    hd_engine *engine = caching_engine();
    hd_model *model = open_model(engine, "tiny-bf16-max", HD_DTYPE_F32);
    float *before = encode_some(model, N);
    hd_model_close(model);
    char command[1024]; /* weights of the same shapes from another model */
    snprintf(command, sizeof command, "cp %s/models/tiny-cls/model.safetensors %s/models/tiny-bf16-max/model.safetensors",
             folder.dir, folder.dir);
    assert_int_equal(system(command), 0);
    model = open_model(engine, "tiny-bf16-max", HD_DTYPE_F32);
    float *after = encode_some(model, N);
    assert_memory_not_equal(before, after, N * width_of(model) * sizeof *after);
    free(before);
    free(after);
    hd_engine_close(engine);
}

static void test_packed_unwritable(void **state)
{
    (void)state;
    float *wanted = packed_wanted();
    scratch_wipe(cache_dir);
    scratch_text(&folder, "cache", "a file where the folder should be");
    assert_true(encodes_with_warning(wanted));
    assert_non_null(strstr(last_warning, cache_dir));
    assert_int_equal(unlink(cache_dir), 0);
    free(wanted);
}

/* Processes that pack at the same time: each has its vectors, and one whole file is left. */
static void test_packed_processes(void **state)
{
    (void)state;
    enum { PROCESSES = 4 };
    char path[512];
    float *wanted = packed_wanted();
    scratch_wipe(cache_dir);
    pid_t children[PROCESSES];
    for (int i = 0; i < PROCESSES; i++) {
        fflush(NULL);
        children[i] = fork();
        assert_true(children[i] >= 0);
        if (children[i] == 0)
            _exit(encodes_with_warning(wanted));
    }
    for (int i = 0; i < PROCESSES; i++) {
        int status;
        assert_int_equal(waitpid(children[i], &status, 0), children[i]);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 0);
    }
    assert_true(packed_file(path)); /* and no temporary beside it */
    assert_false(encodes_with_warning(wanted));
    free(wanted);
}

static int reached_rename[2] = {-1, -1}; /* with a pipe in it, whoever renames weights says so and waits to be killed */

int rename(const char *from, const char *to) /* in place of the library's */
{
    if (reached_rename[1] >= 0 && strstr(to, "-tokenizer.heddle") == NULL) {
        if (write(reached_rename[1], "x", 1) == 1)
            pause();
        _exit(1);
    }
    return (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
}

/* A process killed with its file all written but not in place: others are not disturbed by it, nor it by them, and what it
 * left goes at the next load. */
static void test_packed_killed(void **state)
{
    (void)state;
    char path[512], c;
    struct stat first, second;
    float *wanted = packed_wanted();
    scratch_wipe(cache_dir);
    assert_int_equal(pipe(reached_rename), 0);
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        _exit(encodes_with_warning(wanted));
    close(reached_rename[1]);
    reached_rename[1] = -1;
    assert_int_equal(read(reached_rename[0], &c, 1), 1);
    close(reached_rename[0]);
    assert_true(packed_file(path) && strstr(path, ".tmp") != NULL && stat(path, &first) == 0);
    assert_false(encodes_with_warning(wanted)); /* packs too */
    assert_false(packed_file(path));            /* both files */
    kill(child, SIGKILL);
    assert_int_equal(waitpid(child, NULL, 0), child);
    assert_false(encodes_with_warning(wanted)); /* maps */
    assert_true(packed_file(path) && strstr(path, ".tmp") == NULL && stat(path, &second) == 0);
    assert_true(first.st_ino != second.st_ino);
    free(wanted);
}

/* Vectors of a model as its folder is now, through a cache that may hold what it was before, and past any cache. */
static void must_follow_the_folder(const char *name, hd_dtype dtype)
{
    float *got[2];
    size_t bytes = 0;
    hd_status status[2];
    for (int cached = 0; cached < 2; cached++) {
        hd_engine *engine = open_engine((hd_engine_options){.n_threads = 1, .cache_dir = cached ? cache_dir : NULL});
        hd_model *model = open_model(engine, name, dtype);
        bytes = N * width_of(model) * sizeof *got[0];
        got[cached] = calloc(1, bytes);
        status[cached] = hd_encode(model, some_texts(N), N, NULL, got[cached], NULL, &err);
        hd_engine_close(engine);
    }
    if (status[0] != status[1])
        fail_msg("%s, cached %s", hd_status_name(status[0]), hd_status_name(status[1]));
    if (status[0] == HD_OK)
        assert_memory_equal(got[0], got[1], bytes);
    free(got[0]);
    free(got[1]);
}

static void *load_error_main(void *model)
{
    static hd_error errors[64];
    static _Atomic int n;
    hd_error *error = &errors[n++ % 64];
    HD_IGNORE(hd_model_load(model, error));
    return error;
}

/* Who waits for a load that fails gets its error, and does not try once more; who comes later does. Each try warns of a
 * damaged packed file and then fails for a tensor that is missing. */
static void test_fails_once(void **state)
{
    (void)state;
    enum { THREADS = 8 };
    char path[512];
    scratch_wipe(cache_dir);
    fresh_model("tiny-relu");
    hd_engine *engine = caching_engine();
    hd_model *model = open_model(engine, "tiny-relu", HD_DTYPE_F32);
    MUST(hd_model_load(model, &err));
    MUST(hd_model_unload(model, &err));
    assert_true(packed_file(path));
    change_file("tiny-relu", "model.safetensors", "encoder.layer.1.attention.self.key.bias",
                "encoder.layer.1.attention.self.kez.bias");
    assert_int_equal(truncate(path, 63), 0);
    pause_at_warning_ms = 300; /* the others arrive meanwhile */
    for (int round = 1; round <= 2; round++) {
        pthread_t threads[THREADS];
        n_warnings = 0;
        for (int i = 0; i < THREADS; i++)
            assert_int_equal(pthread_create(&threads[i], NULL, load_error_main, model), 0);
        for (int i = 0; i < THREADS; i++) {
            void *error;
            pthread_join(threads[i], &error);
            err = *(hd_error *)error;
            must_fail(err.status, HD_ERR_FORMAT, "self.key.bias\" is missing");
        }
        assert_int_equal(n_warnings, 1);
        assert_false(is_loaded(model));
    }
    pause_at_warning_ms = 0;
    fresh_model("tiny-relu");
    MUST(hd_model_load(model, &err));
    hd_engine_close(engine);
}

/* The same tensors under other settings: each change alters what the blobs hold, or that there may be any, though
 * their sizes, rounded up, stay the same. */
static void test_packed_other_settings(void **state)
{
    (void)state;
    static const struct {
        const char *model, *file, *old, *with;
    } changes[] = {
        {"tiny-dense", "2_Dense/config.json", "\"bias\": true", "\"bias\": false"},
        {"tiny-dense", "2_Dense/config.json", "\"bias\": false", "\"bias\": true"},
        {"tiny-dense", "2_Dense/config.json", "\"out_features\": 24", "\"out_features\": 32"},
        {"tiny-dense", "2_Dense/config.json", "\"out_features\": 32", "\"out_features\": 24"},
        {"tiny-relu", "config.json", "\"intermediate_size\": 256", "\"intermediate_size\": 250"},
        {"tiny-relu", "config.json", "\"intermediate_size\": 250", "\"intermediate_size\": 256"},
        {"tiny-relu", "config.json", "\"num_hidden_layers\": 2", "\"num_hidden_layers\": 1"},
        {"tiny-relu", "config.json", "\"layer_norm_eps\": 1e-12", "\"layer_norm_eps\": 1e-1"},
        {"tiny-relu", "config.json", "\"hidden_act\": \"relu\"", "\"hidden_act\": \"gelu\""},
        {"tiny-relu", "config.json", "\"num_attention_heads\": 4", "\"num_attention_heads\": 2"},
        {"tiny-relu", "config.json", "\"type_vocab_size\": 2", "\"type_vocab_size\": 1"},
    };
    for (hd_dtype dtype = HD_DTYPE_F32; dtype <= HD_DTYPE_INT8; dtype++) {
        scratch_wipe(cache_dir);
        fresh_model("tiny-dense");
        fresh_model("tiny-relu");
        must_follow_the_folder("tiny-dense", dtype);
        must_follow_the_folder("tiny-relu", dtype);
        for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
            change_file(changes[i].model, changes[i].file, changes[i].old, changes[i].with);
            must_follow_the_folder(changes[i].model, dtype);
        }
    }
    fresh_model("tiny-dense");
    fresh_model("tiny-relu");
}

/* ---- memory ---- */

static void test_memory_limit(void **state)
{
    (void)state;
    hd_engine *engine = open_engine((hd_engine_options){.n_threads = 1});
    hd_model *model = open_model(engine, "tiny-cls", HD_DTYPE_F32);
    float *wanted = encode_some(model, N);
    const uint64_t weights = stats_of(engine).weights_bytes, roomy = stats_of(engine).scratch_bytes;
    assert_true(weights > 0 && roomy > 0);
    hd_engine_close(engine);

    bool refused = false, tight = false;
    for (uint64_t room = 4096; room <= roomy; room += room / 2) {
        engine = open_engine((hd_engine_options){.n_threads = 1, .memory_limit_bytes = weights + room});
        model = open_model(engine, "tiny-cls", HD_DTYPE_F32);
        float *got = malloc(N * width_of(model) * sizeof *got);
        hd_status status = hd_encode(model, some_texts(N), N, NULL, got, NULL, &err);
        if (status == HD_OK) {
            assert_memory_equal(got, wanted, N * width_of(model) * sizeof *got);
            assert_true(stats_of(engine).scratch_bytes <= room);
            tight |= stats_of(engine).scratch_bytes < roomy;
        } else {
            must_fail(status, HD_ERR_MEMORY, "memory limit");
            assert_non_null(strstr(err.text, "raise the limit"));
            refused = true;
        }
        free(got);
        hd_engine_close(engine);
    }
    assert_true(refused && tight);

    engine = open_engine((hd_engine_options){.memory_limit_bytes = 1});
    model = open_model(engine, "tiny-cls", HD_DTYPE_F32);
    float *got = malloc(N * width_of(model) * sizeof *got);
    must_fail(hd_encode(model, some_texts(N), N, NULL, got, NULL, &err), HD_ERR_MEMORY, "memory limit");
    free(got);
    free(wanted);
    hd_engine_close(engine);
}

/* The least memory limit, within a thirty-second of `roomy` scratch, with which some_texts are encoded: how much a token
 * takes depends on the machine's caches. */
static uint64_t least_limit(uint64_t weights, uint64_t roomy)
{
    for (uint64_t limit = weights;; limit += roomy / 32) {
        assert_true(limit <= weights + roomy);
        hd_engine *engine = open_engine((hd_engine_options){.n_threads = 1, .memory_limit_bytes = limit});
        hd_model *model = open_model(engine, "tiny-cls", HD_DTYPE_F32);
        float *got = malloc(N * width_of(model) * sizeof *got);
        const hd_status status = hd_encode(model, some_texts(N), N, NULL, got, NULL, &err);
        free(got);
        hd_engine_close(engine);
        if (status == HD_OK)
            return limit;
        assert_int_equal(status, HD_ERR_MEMORY);
    }
}

/* One text too long for the limit fails its own job only. */
static void test_memory_of_others(void **state)
{
    (void)state;
    static char text[4096];
    hd_engine *engine = open_engine((hd_engine_options){.n_threads = 1});
    hd_model *model = open_model(engine, "tiny-cls", HD_DTYPE_F32);
    float *wanted = encode_some(model, N), out[64];
    const uint64_t weights = stats_of(engine).weights_bytes, roomy = stats_of(engine).scratch_bytes;
    hd_engine_close(engine);
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = "a b "[i % 4];
    const uint64_t limit = least_limit(weights, roomy) + roomy / 32; /* for the longest of some_texts, not for 128 tokens */
    engine = open_engine((hd_engine_options){.n_threads = 1, .memory_limit_bytes = limit});
    model = open_model(engine, "tiny-cls", HD_DTYPE_F32);
    float *got = malloc(N * width_of(model) * sizeof *got);
    hd_job *large, *small;
    MUST(hd_job_start(model, &(hd_text){text, sizeof text}, 1, NULL, out, &large, &err));
    MUST(hd_job_start(model, some_texts(N), N, NULL, got, &small, &err));
    MUST(hd_job_wait(small, NULL, &err));
    assert_memory_equal(got, wanted, N * width_of(model) * sizeof *got);
    must_fail(hd_job_wait(large, NULL, &err), HD_ERR_MEMORY, "128 tokens");
    free(got);
    free(wanted);
    hd_engine_close(engine);
}

static uint64_t held(hd_engine *engine)
{
    hd_engine_stats stats = stats_of(engine);
    return stats.weights_bytes + stats.scratch_bytes;
}

/* What a model holds alone and without a limit. */
static hd_engine_stats stats_alone(const char *name, float **wanted)
{
    hd_engine *engine = open_engine((hd_engine_options){.n_threads = 1});
    *wanted = encode_some(open_model(engine, name, HD_DTYPE_F32), N);
    hd_engine_stats stats = stats_of(engine);
    hd_engine_close(engine);
    return stats;
}

/* The limit is for all models together: one that is in use stays, one that is not goes when another needs the room. */
static void test_memory_of_all(void **state)
{
    (void)state;
    float *wanted[2], out[64], *got;
    const uint64_t first = stats_alone("tiny-cls", &wanted[0]).weights_bytes,
                   second = stats_alone("tiny-mrl", &wanted[1]).weights_bytes;
    const uint64_t room = second - 1; /* enough for scratch, not for both */
    hd_engine *engine = open_engine((hd_engine_options){.n_threads = 1, .memory_limit_bytes = first + room});
    hd_model *a = open_model(engine, "tiny-cls", HD_DTYPE_F32), *b = open_model(engine, "tiny-mrl", HD_DTYPE_F32);
    hd_job *job;
    MUST(hd_job_start(a, some_texts(1), 1, NULL, out, &job, &err)); /* from here on in use */
    while (stats_of(engine).n_texts == 0)
        sleep_ms(1);
    assert_true(held(engine) + second > first + room);
    char numbers[128];
    snprintf(numbers, sizeof numbers, "%.1f MB of weights do not fit in the memory limit of %.1f MB, of which",
             (double)second / 1e6, (double)(first + room) / 1e6);
    must_fail(hd_model_load(b, &err), HD_ERR_MEMORY, numbers);
    assert_true(is_loaded(a) && !is_loaded(b));
    MUST(hd_job_wait(job, NULL, &err));
    for (int i = 0; i < 4; i++) { /* turn by turn */
        hd_model *model = i % 2 == 0 ? b : a;
        got = encode_some(model, N);
        assert_memory_equal(got, wanted[model == b], N * width_of(model) * sizeof *got);
        free(got);
        assert_true(is_loaded(model) && !is_loaded(model == a ? b : a));
        assert_true(held(engine) <= first + room);
    }
    hd_engine_close(engine);

    engine = open_engine((hd_engine_options){.n_threads = 1, .memory_limit_bytes = first + second + 4096});
    a = open_model(engine, "tiny-cls", HD_DTYPE_F32), b = open_model(engine, "tiny-mrl", HD_DTYPE_F32);
    MUST(hd_model_load(b, &err));
    MUST(hd_model_load(a, &err));
    assert_true(is_loaded(a) && is_loaded(b));
    got = encode_some(a, N); /* there is room for its scratch when b goes */
    assert_memory_equal(got, wanted[0], N * width_of(a) * sizeof *got);
    free(got);
    assert_true(is_loaded(a) && !is_loaded(b));
    hd_engine_close(engine);

    const uint64_t less = first < second ? first : second;
    engine = open_engine((hd_engine_options){.n_threads = 1, .memory_limit_bytes = less + 4096});
    a = open_model(engine, "tiny-cls", HD_DTYPE_F32), b = open_model(engine, "tiny-mrl", HD_DTYPE_F32);
    hd_model *small = less == first ? a : b, *large = small == a ? b : a;
    MUST(hd_model_load(small, &err));
    must_fail(hd_model_load(large, &err), HD_ERR_MEMORY, "do not fit");
    assert_true(is_loaded(small)); /* nobody goes for what has no room anyway */
    hd_engine_close(engine);
    free(wanted[0]);
    free(wanted[1]);
}

/* A model that is in use leaves less to the batches of another; never do they hold more than the limit together. */
static void test_memory_beside_others(void **state)
{
    (void)state;
    float *wanted[2], out[64];
    const hd_engine_stats first = stats_alone("tiny-cls", &wanted[0]), second = stats_alone("tiny-mrl", &wanted[1]);
    bool refused = false, tight = false, roomy = false;
    for (uint64_t room = 4096; room <= 2 * (first.scratch_bytes + second.scratch_bytes); room += room / 2) {
        const uint64_t limit = first.weights_bytes + second.weights_bytes + room;
        hd_engine *engine = open_engine((hd_engine_options){.n_threads = 1, .memory_limit_bytes = limit});
        hd_model *a = open_model(engine, "tiny-cls", HD_DTYPE_F32), *b = open_model(engine, "tiny-mrl", HD_DTYPE_F32);
        MUST(hd_model_load(b, &err));
        hd_job *job;
        MUST(hd_job_start(a, some_texts(1), 1, NULL, out, &job, &err));
        float *got = malloc(N * width_of(b) * sizeof *got);
        hd_status status = hd_encode(b, some_texts(N), N, NULL, got, NULL, &err);
        if (status == HD_OK)
            assert_memory_equal(got, wanted[1], N * width_of(b) * sizeof *got);
        else
            must_fail(status, HD_ERR_MEMORY, "models in use and the vector cache"); /* for the scratch, or for all of b */
        assert_true(held(engine) <= limit);
        refused |= status != HD_OK;
        tight |= status == HD_OK && stats_of(engine).scratch_bytes < second.scratch_bytes;
        roomy |= stats_of(engine).scratch_bytes >= second.scratch_bytes;
        HD_IGNORE(hd_job_wait(job, NULL, &err)); /* there may have been no room for it */
        free(got);
        hd_engine_close(engine);
    }
    assert_true(refused && tight && roomy);
    free(wanted[0]);
    free(wanted[1]);
}

/* One worker's scratch serves every model in turn, is as large as the largest needs, and leaves nothing of one behind that
 * another reads. */
static void test_scratch_of_all(void **state)
{
    (void)state;
    static const char *const names[] = {"tiny-head64", "tiny-mrl", "tiny-dense", "tiny-cls", "tiny-bf16-max"};
    enum { MODELS = sizeof names / sizeof *names, TURNS = 3 };
    for (hd_dtype dtype = HD_DTYPE_F32; dtype <= HD_DTYPE_INT8; dtype++) {
        float *few[MODELS], *many[MODELS];
        uint64_t largest = 0;
        for (int i = 0; i < MODELS; i++) {
            hd_engine *alone = open_engine((hd_engine_options){.n_threads = 1});
            hd_model *model = open_model(alone, names[i], dtype);
            many[i] = encode_some(model, N);
            few[i] = encode_some(model, 1);
            if (stats_of(alone).scratch_bytes > largest)
                largest = stats_of(alone).scratch_bytes;
            hd_engine_close(alone);
        }
        hd_engine *engine = open_engine((hd_engine_options){.n_threads = 1});
        hd_model *models[MODELS];
        for (int i = 0; i < MODELS; i++)
            models[i] = open_model(engine, names[i], dtype);
        for (int turn = 0; turn < TURNS * MODELS; turn++) {
            const int i = turn % MODELS;
            const size_t n = turn % 2 == 0 ? 1 : N;
            float *got = encode_some(models[i], n);
            assert_memory_equal(got, n == 1 ? few[i] : many[i], n * width_of(models[i]) * sizeof *got);
            free(got);
        }
        assert_int_equal(stats_of(engine).scratch_bytes, largest);
        MUST(hd_model_unload(models[0], &err)); /* nobody is at work: nobody needs a slot */
        assert_int_equal(stats_of(engine).scratch_bytes, 0);
        float *got = encode_some(models[1], 1);
        assert_memory_equal(got, few[1], width_of(models[1]) * sizeof *got);
        free(got);
        hd_engine_close(engine);
        for (int i = 0; i < MODELS; i++) {
            free(few[i]);
            free(many[i]);
        }
    }
}

static void test_memory_of_the_cache(void **state)
{
    (void)state;
    float *wanted;
    const uint64_t weights = stats_alone("tiny-cls", &wanted).weights_bytes;
    for (uint64_t cache_bytes = 1000; cache_bytes <= 1001; cache_bytes++) {
        hd_engine *engine = open_engine(
            (hd_engine_options){.n_threads = 1, .cache_bytes = cache_bytes, .memory_limit_bytes = weights + 1000});
        hd_status status = hd_model_load(open_model(engine, "tiny-cls", HD_DTYPE_F32), &err);
        if (cache_bytes <= 1000)
            MUST(status);
        else
            must_fail(status, HD_ERR_MEMORY, "vector cache hold");
        hd_engine_close(engine);
    }
    free(wanted);
}

/* ---- folders that are wrong ---- */

static void load_fails(const char *name, hd_status wanted, const char *const *says)
{
    hd_engine *engine = open_engine((hd_engine_options){.n_threads = 1});
    hd_model *model = open_model(engine, name, HD_DTYPE_F32);
    for (int again = 0; again < 2; again++) /* and stays unloaded */
        for (size_t i = 0; says[i] != NULL; i++)
            must_fail(hd_model_load(model, &err), wanted, says[i]);
    assert_false(is_loaded(model));
    hd_engine_close(engine);
}

#define SAYS(...) ((const char *const[]){__VA_ARGS__, NULL})

/* Fills the data of a tensor with a value. */
static void fill_tensor(const char *model, const char *tensor, float value)
{
    static char header[1 << 16];
    char path[512];
    unsigned char bytes[8];
    snprintf(path, sizeof path, "%s/model.safetensors", tiny_model_dir(&folder, model));
    FILE *f = fopen(path, "r+b");
    assert_true(f != NULL && fread(bytes, 1, 8, f) == 8);
    size_t n_header = bytes[0] | (size_t)bytes[1] << 8 | (size_t)bytes[2] << 16;
    assert_true(n_header < sizeof header && fread(header, 1, n_header, f) == n_header);
    json_t *root = json_loadb(header, n_header, 0, NULL);
    const json_t *offsets = json_object_get(json_object_get(root, tensor), "data_offsets");
    long begin = (long)json_integer_value(json_array_get(offsets, 0)),
         end = (long)json_integer_value(json_array_get(offsets, 1));
    assert_true(begin < end && fseek(f, (long)(8 + n_header) + begin, SEEK_SET) == 0);
    for (long at = begin; at < end; at += (long)sizeof value)
        assert_int_equal(fwrite(&value, sizeof value, 1, f), 1);
    assert_int_equal(fclose(f), 0);
    json_decref(root);
}

static void test_tensors(void **state)
{
    (void)state;
    fresh_model("tiny-relu");
    change_file("tiny-relu", "model.safetensors", "encoder.layer.1.attention.self.key.bias",
                "encoder.layer.1.attention.self.kez.bias");
    load_fails("tiny-relu", HD_ERR_FORMAT, SAYS("tiny-relu", "\"encoder.layer.1.attention.self.key.bias\" is missing"));

    fresh_model("tiny-relu");
    change_file("tiny-relu", "config.json", "\"intermediate_size\": 256", "\"intermediate_size\": 250");
    load_fails(
        "tiny-relu", HD_ERR_FORMAT,
        SAYS("tiny-relu/model.safetensors", "\"encoder.layer.0.intermediate.dense.weight\"", "[256, 64]", "[250, 64]"));

    fresh_model("tiny-relu");
    change_file("tiny-relu", "config.json", "\"num_hidden_layers\": 2", "\"num_hidden_layers\": 3");
    load_fails("tiny-relu", HD_ERR_FORMAT, SAYS("\"encoder.layer.2.attention.self.query.weight\" is missing"));

    fresh_model("tiny-relu");
    change_file("tiny-relu", "config.json", "\"vocab_size\": ", "\"vocab_size\": 1");
    load_fails("tiny-relu", HD_ERR_FORMAT, SAYS("model.safetensors", "word_embeddings.weight"));

    fresh_model("tiny-relu");
    change_file("tiny-relu", "model.safetensors", "embeddings.word_embeddings.weight", "embeddings.word_embeddinks.weight");
    load_fails("tiny-relu", HD_ERR_FORMAT, SAYS("word_embeddings.weight\" is missing"));

    fresh_model("tiny-relu");
    change_file("tiny-relu", "model.safetensors", "embeddings.token_type_embeddings", "embeddings.token_typo_embeddings");
    load_fails("tiny-relu", HD_ERR_FORMAT, SAYS("token_type_embeddings.weight\" is missing"));

    fresh_model("tiny-dense");
    assert_int_equal(unlink(scratch_path(&folder, "models/tiny-dense/2_Dense/model.safetensors")), 0);
    load_fails("tiny-dense", HD_ERR_NOT_FOUND, SAYS("2_Dense"));
    fresh_model("tiny-dense");
    change_file("tiny-dense", "2_Dense/config.json", "\"out_features\": 24", "\"out_features\": 25");
    load_fails("tiny-dense", HD_ERR_FORMAT, SAYS("2_Dense", "\"linear.weight\"", "[24, 64]", "[25, 64]"));
    fresh_model("tiny-relu");
    fill_tensor("tiny-relu", "embeddings.LayerNorm.weight", __builtin_nanf(""));
    load_fails("tiny-relu", HD_ERR_NUMERIC,
               SAYS("model.safetensors", "\"embeddings.LayerNorm.weight\"", "not a finite number"));
    fresh_model("tiny-relu");
    fresh_model("tiny-dense");
}

/* An id past the table: an added token that config.json does not count. */
static void test_vocabulary(void **state)
{
    (void)state;
    float out[2 * 64];
    fresh_model("tiny-relu");
    change_file("tiny-relu", "tokenizer.json", "\"added_tokens\": [",
                "\"added_tokens\": [ {\"id\": 99999, \"content\": \"<extra>\", \"single_word\": false, \"lstrip\": false, "
                "\"rstrip\": false, \"normalized\": false, \"special\": true},");
    hd_engine *engine = open_engine((hd_engine_options){.n_threads = 1});
    hd_model *model = open_model(engine, "tiny-relu", HD_DTYPE_F32);
    hd_text texts[2] = {text_of("river"), text_of("a <extra>")};
    MUST(hd_encode(model, texts, 1, NULL, out, NULL, &err));
    must_fail(hd_encode(model, texts, 2, NULL, out, NULL, &err), HD_ERR_FORMAT, "vocab_size");
    assert_non_null(strstr(err.text, "text 1"));
    for (uint64_t n = 0; n < 10; n++) { /* no memory for both: the halves count from the front all the same */
        hd__alloc_fail_after(n, 1);
        hd_status status = hd_encode(model, texts, 2, NULL, out, NULL, &err);
        hd__alloc_fail_off();
        must_fail(status, HD_ERR_FORMAT, "text 1 ");
    }
    hd_engine_close(engine);
    fresh_model("tiny-relu");
}

/* Weights that are finite, but nothing that comes of them is. */
static void test_not_finite(void **state)
{
    (void)state;
    static const char *const tensors[] = {"encoder.layer.1.output.dense.weight",
                                          "encoder.layer.0.attention.self.query.weight", "embeddings.LayerNorm.weight"};
    for (size_t i = 0; i < sizeof tensors / sizeof tensors[0]; i++) {
        for (hd_dtype dtype = HD_DTYPE_F32; dtype <= HD_DTYPE_INT8; dtype++) {
            fresh_model("tiny-relu");
            fill_tensor("tiny-relu", tensors[i], 3e38f);
            hd_engine *engine = open_engine((hd_engine_options){.n_threads = 1, .cache_bytes = 1 << 16});
            hd_model *model = open_model(engine, "tiny-relu", dtype);
            float out[64];
            hd_text text = text_of("river");
            for (int again = 0; again < 2; again++) { /* not from the cache either */
                hd_status status = hd_encode(model, &text, 1, NULL, out, NULL, &err);
                if (status != HD_ERR_NUMERIC || strstr(err.text, "text 0") == NULL)
                    fail_msg("%s, dtype %d: %s", tensors[i], (int)dtype, status != HD_OK ? err.text : "no error");
            }
            assert_int_equal(stats_of(engine).cache_entries, 0);
            hd_engine_close(engine);
        }
    }
    fresh_model("tiny-relu");
}

static int set_up(void **state)
{
    (void)state;
    scratch_begin(&folder);
    tiny_models_make(&folder, "tiny-cls tiny-mrl tiny-dense tiny-relu tiny-bf16-max tiny-head64");
    snprintf(cache_dir, sizeof cache_dir, "%s", scratch_path(&folder, "cache"));
    hd__log_set_level(HD_LOG_INFO);
    hd__log_set_sink(listen, NULL);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_open),
        cmocka_unit_test(test_loads_once),
        cmocka_unit_test(test_unload),
        cmocka_unit_test(test_unload_while_encoding),
        cmocka_unit_test(test_idle),
        cmocka_unit_test(test_close),
        cmocka_unit_test(test_packed),
        cmocka_unit_test(test_packed_damaged),
        cmocka_unit_test(test_packed_stale),
        cmocka_unit_test(test_packed_unwritable),
        cmocka_unit_test(test_packed_processes),
        cmocka_unit_test(test_packed_killed),
        cmocka_unit_test(test_packed_other_settings),
        cmocka_unit_test(test_fails_once),
        cmocka_unit_test(test_memory_limit),
        cmocka_unit_test(test_memory_of_others),
        cmocka_unit_test(test_memory_of_all),
        cmocka_unit_test(test_memory_beside_others),
        cmocka_unit_test(test_scratch_of_all),
        cmocka_unit_test(test_memory_of_the_cache),
        cmocka_unit_test(test_tensors),
        cmocka_unit_test(test_vocabulary),
        cmocka_unit_test(test_not_finite),
    };
    return cmocka_run_group_tests(tests, set_up, remove_folder);
}
