/* Models by name: those that are not here yet and how they get here, limits, options, no memory. */
#include "unit/engine_fixture.h"

#include <pthread.h>

#include "base/alloc.h"
#include "base/limits.h"
#include "wire/models.h"

static hd_engine *engine;
static hd_models *models;
static atomic_int n_pulls;
static atomic_bool gate_open;

static int begin(void **state)
{
    (void)state;
    engine = open_engine((hd_engine_options){.n_threads = 1, .cache_dir = scratch_path(&folder, "cache")});
    MUST(hd__models_open(engine, false, &models, &err));
    atomic_store(&n_pulls, 0);
    atomic_store(&gate_open, false);
    return 0;
}

static int end(void **state)
{
    (void)state;
    hd__models_close(models);
    hd_engine_close(engine);
    scratch_wipe(scratch_path(&folder, "cache"));
    return 0;
}

/* Puts a model into the store under any name, once the gate is open. */
static hd_status pull_tiny(const char *name, const atomic_bool *stop, void *data, hd_error *error)
{
    (void)data;
    char command[1024];
    atomic_fetch_add(&n_pulls, 1);
    while (!atomic_load(&gate_open)) {
        if (atomic_load(stop)) {
            snprintf(error->text, sizeof error->text, "stopped");
            return error->status = HD_ERR_CANCELLED;
        }
        usleep(1000);
    }
    snprintf(command, sizeof command, "mkdir -p '%s/cache/models/%s' && cp -r '%s/models/tiny-cls/.' '%s/cache/models/%s'",
             folder.dir, name, folder.dir, folder.dir, name);
    return system(command) == 0 ? HD_OK : HD_ERR_IO;
}

static hd_status pull_nothing(const char *name, const atomic_bool *stop, void *data, hd_error *error)
{
    (void)stop;
    (void)data;
    atomic_fetch_add(&n_pulls, 1);
    snprintf(error->text, sizeof error->text, "%s: gated", name);
    return error->status = HD_ERR_PEER;
}

static hd_model_state state_of(size_t i)
{
    hd_arena arena;
    const hd_model_card *cards;
    size_t n;
    hd__arena_init(&arena);
    MUST(hd__models_list(models, &arena, &cards, &n, &err));
    assert_true(i < n);
    const hd_model_state state = cards[i].state;
    assert_non_null(cards[i].info.pooling);
    assert_non_null(cards[i].info.path);
    hd__arena_clear(&arena);
    return state;
}

static void test_pull_at_first_use(void **state)
{
    (void)state;
    hd_model_entry *entry = NULL;
    hd_fault fault = {0};
    assert_int_equal(hd__models_add(models, "a/b", NULL, NULL, &err), HD_ERR_NOT_FOUND);
    hd__models_allow_pull(models, pull_tiny, NULL);
    MUST(hd__models_add(models, "a/b", "short", NULL, &err));
    MUST(hd__models_add(models, tiny_model_dir(&folder, "tiny-mrl"), "here", NULL, &err));
    assert_int_equal(state_of(0), HD_MODEL_UNLOADED);
    for (int i = 0; i < 3; i++) { /* the first asks for it, all are told to come back */
        assert_int_equal(hd__models_find(models, "short", &entry, &fault), HD_ERR_BUSY);
        assert_int_equal(fault.kind, HD_FAULT_LOADING);
        assert_true(fault.retry_after_s > 0);
    }
    MUST(hd__models_find(models, "here", &entry, &fault)); /* nobody else waits */
    assert_int_equal(hd__models_find(models, "other", &entry, &fault), HD_ERR_NOT_FOUND);
    atomic_store(&gate_open, true);
    for (int i = 0; hd__models_find(models, "short", &entry, &fault) != HD_OK; i++) {
        assert_true(i < 10000);
        usleep(1000);
    }
    assert_int_equal(atomic_load(&n_pulls), 1);
    MUST(hd_model_load(hd__models_handle(entry), &err));
    assert_int_equal(state_of(0), HD_MODEL_LOADED);
}

static void test_pull_that_fails(void **state)
{
    (void)state;
    hd_model_entry *entry;
    hd_fault fault = {0};
    hd__models_allow_pull(models, pull_nothing, NULL);
    MUST(hd__models_add(models, "a/b", NULL, NULL, &err));
    hd__models_preload(models);
    assert_int_equal(state_of(0), HD_MODEL_FAILED);
    for (int i = 0; i < 3; i++) { /* the hub is not asked again at once */
        assert_int_equal(hd__models_find(models, NULL, &entry, &fault), HD_ERR_PEER);
        assert_int_equal(fault.kind, HD_FAULT_LOAD);
        assert_string_equal(fault.text, "a/b: gated");
    }
    assert_int_equal(atomic_load(&n_pulls), 1);
}

static void *preload(void *data)
{
    (void)data;
    hd__models_preload(models);
    return NULL;
}

static void test_preload_pulls_and_stops(void **state)
{
    (void)state;
    pthread_t thread;
    hd__models_allow_pull(models, pull_tiny, NULL);
    MUST(hd__models_add(models, "a/b", NULL, NULL, &err));
    MUST(hd__models_add(models, "a/c", NULL, NULL, &err));
    atomic_store(&gate_open, true);
    hd__models_preload(models);
    assert_int_equal(state_of(0), HD_MODEL_LOADED);
    assert_int_equal(state_of(1), HD_MODEL_LOADED);
    atomic_store(&gate_open, false);
    MUST(hd__models_add(models, "a/d", NULL, NULL, &err));
    MUST(hd__models_add(models, "a/e", NULL, NULL, &err));
    assert_int_equal(pthread_create(&thread, NULL, preload, NULL), 0);
    while (atomic_load(&n_pulls) < 3)
        usleep(1000);
    assert_int_equal(state_of(2), HD_MODEL_LOADING);
    hd__models_stop(models);
    pthread_join(thread, NULL);
    assert_int_equal(atomic_load(&n_pulls), 3);
    assert_int_equal(state_of(2), HD_MODEL_FAILED);
}

static void test_closing_ends_a_pull(void **state)
{
    (void)state;
    hd_model_entry *entry;
    hd_fault fault;
    hd__models_allow_pull(models, pull_tiny, NULL);
    MUST(hd__models_add(models, "a/b", NULL, NULL, &err));
    MUST(hd__models_add(models, "a/c", NULL, NULL, &err));
    assert_int_equal(hd__models_find(models, "a/b", &entry, &fault), HD_ERR_BUSY);
    assert_int_equal(hd__models_find(models, "a/c", &entry, &fault), HD_ERR_BUSY); /* waits behind the first */
}

/* ---- waiting for one ---- */

typedef struct waiter {
    pthread_t thread;
    const char *name;
    hd_status status;
    hd_model_entry *entry;
    hd_fault fault;
} waiter;

static void *await(void *data)
{
    waiter *w = data;
    w->status = hd__models_await(models, w->name, &w->entry, &w->fault);
    return NULL;
}

static void begin_waiting(waiter *w, const char *name)
{
    *w = (waiter){.name = name};
    assert_int_equal(pthread_create(&w->thread, NULL, await, w), 0);
}

static void test_await_pulls(void **state)
{
    (void)state;
    waiter waiters[2];
    hd_model_entry *entry;
    hd_fault fault;
    hd__models_allow_pull(models, pull_tiny, NULL);
    MUST(hd__models_add(models, "a/b", NULL, NULL, &err));
    for (size_t i = 0; i < 2; i++)
        begin_waiting(&waiters[i], i == 0 ? "a/b" : NULL);
    while (atomic_load(&n_pulls) == 0)
        usleep(1000);
    assert_int_equal(state_of(0), HD_MODEL_LOADING);
    assert_int_equal(hd__models_find(models, "a/b", &entry, &fault), HD_ERR_BUSY); /* nobody else waits */
    atomic_store(&gate_open, true);
    for (size_t i = 0; i < 2; i++) {
        pthread_join(waiters[i].thread, NULL);
        assert_int_equal(waiters[i].status, HD_OK);
        assert_non_null(hd__models_handle(waiters[i].entry));
    }
    assert_ptr_equal(waiters[0].entry, waiters[1].entry);
    MUST(hd__models_await(models, "a/b", &entry, &fault)); /* it is here */
    assert_int_equal(atomic_load(&n_pulls), 1);
}

static void test_await_of_one_that_is_being_pulled(void **state)
{
    (void)state;
    waiter w;
    hd_model_entry *entry;
    hd_fault fault;
    hd__models_allow_pull(models, pull_tiny, NULL);
    MUST(hd__models_add(models, "a/b", NULL, NULL, &err));
    assert_int_equal(hd__models_find(models, "a/b", &entry, &fault), HD_ERR_BUSY);
    begin_waiting(&w, "a/b");
    atomic_store(&gate_open, true);
    pthread_join(w.thread, NULL);
    assert_int_equal(w.status, HD_OK);
    assert_int_equal(atomic_load(&n_pulls), 1);
}

static void test_await_of_one_that_cannot_be_had(void **state)
{
    (void)state;
    hd_model_entry *entry;
    hd_fault fault = {0};
    hd__models_allow_pull(models, pull_nothing, NULL);
    assert_int_equal(hd__models_await(models, NULL, &entry, &fault), HD_ERR_NOT_FOUND);
    assert_int_equal(fault.kind, HD_FAULT_MODEL);
    MUST(hd__models_add(models, "a/b", NULL, NULL, &err));
    MUST(hd__models_add(models, "a/c", NULL, NULL, &err));
    assert_int_equal(hd__models_await(models, "a/d", &entry, &fault), HD_ERR_NOT_FOUND);
    assert_int_equal(fault.kind, HD_FAULT_MODEL);
    assert_int_equal(atomic_load(&n_pulls), 0);
    for (int i = 0; i < 3; i++) { /* the hub is not asked again at once */
        assert_int_equal(hd__models_await(models, "a/b", &entry, &fault), HD_ERR_PEER);
        assert_int_equal(fault.kind, HD_FAULT_LOAD);
        assert_string_equal(fault.text, "a/b: gated");
    }
    assert_int_equal(atomic_load(&n_pulls), 1);
}

static void test_await_ends_at_stop(void **state)
{
    (void)state;
    waiter waiters[2]; /* one pulls, one waits for its turn */
    hd__models_allow_pull(models, pull_tiny, NULL);
    MUST(hd__models_add(models, "a/b", NULL, NULL, &err));
    MUST(hd__models_add(models, "a/c", NULL, NULL, &err));
    begin_waiting(&waiters[0], "a/b");
    while (atomic_load(&n_pulls) == 0)
        usleep(1000);
    begin_waiting(&waiters[1], "a/c");
    while (state_of(1) != HD_MODEL_LOADING)
        usleep(1000);
    hd__models_stop(models);
    for (size_t i = 0; i < 2; i++) {
        pthread_join(waiters[i].thread, NULL);
        assert_int_equal(waiters[i].status, HD_ERR_CANCELLED);
    }
    assert_int_equal(atomic_load(&n_pulls), 1);
}

static void test_options(void **state)
{
    (void)state;
    const char *dir = tiny_model_dir(&folder, "tiny-cls");
    hd_model_entry *entry;
    hd_fault fault;
    hd_model_card card;
    char pooling[] = "last-token";
    MUST(hd__models_add(models, dir, "one", &(hd_model_options){.pooling = pooling}, &err));
    memset(pooling, 'x', sizeof pooling - 1);
    MUST(hd__models_add(models, dir, "two", &(hd_model_options){.max_length = 9, .max_length_is_a_wish = true}, &err));
    MUST(hd__models_add(models, dir, "three", &(hd_model_options){.max_length = 1u << 20, .max_length_is_a_wish = true},
                        &err));
    MUST(hd__models_find(models, "one", &entry, &fault));
    hd__models_card(entry, &card);
    assert_string_equal(card.info.pooling, "last");
    const uint32_t own = card.info.max_length;
    MUST(hd__models_find(models, "two", &entry, &fault));
    hd__models_card(entry, &card);
    assert_int_equal(card.info.max_length, 9);
    assert_string_equal(card.info.pooling, "cls");
    MUST(hd__models_find(models, "three", &entry, &fault));
    hd__models_card(entry, &card);
    assert_int_equal(card.info.max_length, own);
    must_fail(hd__models_add(models, dir, "four", &(hd_model_options){.pooling = "splade"}, &err), HD_ERR_ARG, "'splade'");
    must_fail(hd__models_add(models, dir, "four", &(hd_model_options){.max_length = 1u << 20}, &err), HD_ERR_ARG,
              "max_length");
    must_fail(hd__models_add(models, dir, "two", NULL, &err), HD_ERR_ARG, "two: two models of this name");
}

static void check_card(const char *name, bool loaded, uint64_t least, uint64_t most)
{
    hd_model_entry *entry;
    hd_model_card card;
    hd_fault fault;
    MUST(hd__models_find(models, name, &entry, &fault));
    if (loaded)
        MUST(hd_model_load(hd__models_handle(entry), &err));
    hd__models_card(entry, &card);
    assert_int_equal(card.state, loaded ? HD_MODEL_LOADED : HD_MODEL_UNLOADED);
    assert_in_range(card.unload_s, least, most);
}

/* When a model goes, if ever. */
static void test_when_it_is_unloaded(void **state)
{
    (void)state;
    const char *dir = tiny_model_dir(&folder, "tiny-cls");
    MUST(hd__models_add(models, dir, "stays", NULL, &err));
    check_card("stays", true, 0, 0);
    hd__models_close(models);
    hd_engine_close(engine);
    engine = open_engine((hd_engine_options){.n_threads = 1, .idle_unload_s = 600});
    MUST(hd__models_open(engine, false, &models, &err));
    MUST(hd__models_add(models, dir, "goes", NULL, &err));
    const uint64_t begin_s = (uint64_t)time(NULL);
    check_card("goes", false, 0, 0);
    check_card("goes", true, begin_s + 599, (uint64_t)time(NULL) + 660);
}

/* ---- names ---- */

static void must_be_called(const char *name_or_dir, const char *name)
{
    MUST(hd__models_open(engine, true, &models, &err));
    hd__models_allow_pull(models, pull_nothing, NULL); /* so that nothing need be there */
    MUST(hd__models_add(models, name_or_dir, NULL, NULL, &err));
    hd_arena arena;
    const hd_model_card *cards;
    size_t n;
    hd__arena_init(&arena);
    MUST(hd__models_list(models, &arena, &cards, &n, &err));
    assert_string_equal(cards[0].name, name);
    hd__arena_clear(&arena);
    hd__models_close(models);
}

static void test_names(void **state)
{
    (void)state;
    hd_models *given = models;
    must_be_called("BAAI/bge-m3", "BAAI/bge-m3");
    must_be_called("bge-m3", "bge-m3");
    must_be_called("/no/such/bge-m3", "bge-m3");
    must_be_called("/no/such/bge-m3//", "bge-m3");
    must_be_called("./bge-m3", "bge-m3");
    must_be_called("/no/hub/models--BAAI--bge-m3/snapshots/5617a9f61b028005a4858fdac845db406aefb181", "BAAI/bge-m3");
    must_be_called("/no/hub/models--gpt2/snapshots/5617a9f61b028005a4858fdac845db406aefb181", "gpt2");
    models = given;
}

static void test_whether_one_is_called_so(void **state)
{
    (void)state;
    hd_model_entry *entry;
    hd_fault fault;
    assert_false(hd__models_has(models, "BAAI/bge-m3"));
    hd__models_allow_pull(models, pull_nothing, NULL);
    MUST(hd__models_add(models, "BAAI/bge-m3", NULL, NULL, &err));
    assert_true(hd__models_has(models, "BAAI/bge-m3"));
    assert_true(hd__models_has(models, "bge-m3:latest"));
    assert_false(hd__models_has(models, "gpt2"));
    assert_int_equal(atomic_load(&n_pulls), 0);
    assert_int_equal(hd__models_find(models, "gpt2", &entry, &fault), HD_ERR_BUSY); /* it means the one that there is */
}

/* Two of the same last part; what they were registered by finds them, too. */
static void test_names_of_two_paths(void **state)
{
    (void)state;
    char one[512], two[512];
    hd_model_entry *first, *second, *again;
    hd_fault fault;
    snprintf(two, sizeof two, "%s", tiny_model_dir(&folder, "tiny-mrl"));
    snprintf(one, sizeof one, "%.*s/./tiny-mrl", (int)(strlen(two) - strlen("/tiny-mrl")), two);
    MUST(hd__models_add(models, one, NULL, NULL, &err));
    MUST(hd__models_add(models, two, NULL, NULL, &err));
    MUST(hd__models_find(models, "tiny-mrl", &first, &fault));
    MUST(hd__models_find(models, two, &second, &fault));
    MUST(hd__models_find(models, one, &again, &fault));
    assert_true(first == again && first != second);
    must_fail(hd__models_add(models, two, NULL, NULL, &err), HD_ERR_ARG, "two models of this name");
}

static void test_as_many_as_the_limit(void **state)
{
    (void)state;
    char name[16];
    hd__models_allow_pull(models, pull_nothing, NULL);
    for (unsigned i = 0; i < HD_LIMIT_SERVED_MODELS; i++) {
        snprintf(name, sizeof name, "a/m%u", i);
        MUST(hd__models_add(models, name, NULL, NULL, &err));
    }
    must_fail(hd__models_add(models, "a/more", NULL, NULL, &err), HD_ERR_LIMIT, "256");
}

static void test_no_memory(void **state)
{
    (void)state;
    const char *dir = tiny_model_dir(&folder, "tiny-cls");
    hd_status status = HD_ERR_MEMORY;
    for (uint64_t n = 0; status != HD_OK; n++) {
        hd__alloc_fail_after(n, UINT64_MAX);
        status = hd__models_add(models, dir, "one", &(hd_model_options){.pooling = "mean"}, &err);
        hd__alloc_fail_off();
        if (status != HD_OK)
            assert_int_equal(status, HD_ERR_MEMORY);
        assert_true(n < 10000);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_pull_at_first_use, begin, end),
        cmocka_unit_test_setup_teardown(test_pull_that_fails, begin, end),
        cmocka_unit_test_setup_teardown(test_preload_pulls_and_stops, begin, end),
        cmocka_unit_test_setup_teardown(test_closing_ends_a_pull, begin, end),
        cmocka_unit_test_setup_teardown(test_await_pulls, begin, end),
        cmocka_unit_test_setup_teardown(test_await_of_one_that_is_being_pulled, begin, end),
        cmocka_unit_test_setup_teardown(test_await_of_one_that_cannot_be_had, begin, end),
        cmocka_unit_test_setup_teardown(test_await_ends_at_stop, begin, end),
        cmocka_unit_test_setup_teardown(test_options, begin, end),
        cmocka_unit_test_setup_teardown(test_when_it_is_unloaded, begin, end),
        cmocka_unit_test_setup_teardown(test_names, begin, end),
        cmocka_unit_test_setup_teardown(test_whether_one_is_called_so, begin, end),
        cmocka_unit_test_setup_teardown(test_names_of_two_paths, begin, end),
        cmocka_unit_test_setup_teardown(test_as_many_as_the_limit, begin, end),
        cmocka_unit_test_setup_teardown(test_no_memory, begin, end),
    };
    scratch_begin(&folder);
    tiny_models_make(&folder, "tiny-cls tiny-mrl");
    const int n_failed = cmocka_run_group_tests(tests, NULL, NULL);
    scratch_end(&folder);
    return n_failed;
}
