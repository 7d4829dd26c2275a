/* models.c - see models.h. The lock guards the table's growth and the pulling; entries never move and never go before
 * close. A model that is pulled gets its handle once, when it is there. */
#include "wire/models.h"

#include <pthread.h>
#include <strings.h>
#include <time.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/thread_name.h"

#define RETRY_AFTER_S 5              /* while a model is pulled */
#define PULL_AGAIN_NS 30000000000ull /* after a pull that failed */

struct hd_model_entry {
    char *name;
    hd_models *models;
    _Atomic(hd_model *) model; /* NULL: not on this machine yet */
    uint64_t created_s;

    /* What is needed to pull it; the rest with the lock. */
    char *source, *pooling;
    hd_model_options options;
    uint32_t n_pulling; /* threads that pull it, or wait to */
    bool has_thread, thread_runs;
    pthread_t thread;
    uint64_t failed_ns; /* 0: has not */
    hd_error pull_error;
};

struct hd_models {
    pthread_mutex_t lock;
    hd_engine *engine;
    bool strict;
    hd_model_pull *pull; /* NULL: nothing is pulled */
    void *pull_data;
    pthread_mutex_t pull_lock; /* held by the one who pulls; taken before the other, never while that is held */
    atomic_bool stop;
    hd_model_entry *entries[HD_LIMIT_SERVED_MODELS];
    size_t n;
};

hd_status hd__models_open(hd_engine *engine, bool strict, hd_models **out, hd_error *err)
{
    hd_models *m = hd__calloc(1, sizeof *m);
    if (m == NULL)
        return hd__fail(err, HD_ERR_MEMORY, "no memory for the models' names");
    pthread_mutex_init(&m->lock, NULL);
    pthread_mutex_init(&m->pull_lock, NULL);
    m->engine = engine;
    m->strict = strict;
    *out = m;
    return HD_OK;
}

void hd__models_stop(hd_models *m)
{
    atomic_store(&m->stop, true);
}

static void free_entry(hd_model_entry *entry)
{
    if (entry->has_thread)
        pthread_join(entry->thread, NULL);
    hd_model_close(atomic_load(&entry->model));
    hd__free(entry->name);
    hd__free(entry->source);
    hd__free(entry->pooling);
    hd__free(entry);
}

void hd__models_close(hd_models *m)
{
    if (m == NULL)
        return;
    hd__models_stop(m);
    for (size_t i = 0; i < m->n; i++)
        free_entry(m->entries[i]);
    pthread_mutex_destroy(&m->pull_lock);
    pthread_mutex_destroy(&m->lock);
    hd__free(m);
}

static size_t count(hd_models *m)
{
    pthread_mutex_lock(&m->lock);
    const size_t n = m->n;
    pthread_mutex_unlock(&m->lock);
    return n;
}

/* ---- registering and pulling ---- */

static hd_span last_part(hd_span name)
{
    for (size_t i = name.len; i > 0; i--)
        if (name.ptr[i - 1] == '/')
            return hd__span(name.ptr + i, name.len - i);
    return name;
}

void hd__models_allow_pull(hd_models *m, hd_model_pull *pull, void *data)
{
    m->pull = pull;
    m->pull_data = data;
}

static hd_status open_handle(hd_model_entry *entry, hd_error *err)
{
    hd_model *model;
    HD_TRY(hd_model_open(entry->models->engine, entry->source, &entry->options, &model, err));
    atomic_store(&entry->model, model);
    return HD_OK;
}

/* With the lock. */
static bool has_just_failed(const hd_model_entry *entry)
{
    return entry->failed_ns != 0 && hd__now_ns() - entry->failed_ns < PULL_AGAIN_NS;
}

/* With pull_lock. */
static void pull_now(hd_model_entry *entry)
{
    hd_models *m = entry->models;
    hd_error error = {0};
    hd__log(HD_LOG_INFO, "%s: pulling", entry->source);
    hd_status status = atomic_load(&m->stop) ? hd__fail(&error, HD_ERR_CANCELLED, "%s: stopping", entry->source)
                                             : m->pull(entry->source, &m->stop, m->pull_data, &error);
    if (status == HD_OK)
        status = open_handle(entry, &error);
    if (status != HD_OK && status != HD_ERR_CANCELLED)
        hd__log(HD_LOG_ERROR, "%s", error.text);
    pthread_mutex_lock(&m->lock);
    entry->failed_ns = status != HD_OK ? hd__now_ns() : 0;
    entry->pull_error = error;
    pthread_mutex_unlock(&m->lock);
}

/* Pulls, unless somebody did meanwhile, or has just failed to. Waits for other pulls. */
static void pull(hd_model_entry *entry)
{
    hd_models *m = entry->models;
    pthread_mutex_lock(&m->lock);
    entry->n_pulling++;
    pthread_mutex_unlock(&m->lock);
    pthread_mutex_lock(&m->pull_lock);
    pthread_mutex_lock(&m->lock);
    const bool is_due = atomic_load(&entry->model) == NULL && !has_just_failed(entry);
    pthread_mutex_unlock(&m->lock);
    if (is_due)
        pull_now(entry);
    pthread_mutex_unlock(&m->pull_lock);
    pthread_mutex_lock(&m->lock);
    entry->n_pulling--;
    pthread_mutex_unlock(&m->lock);
}

static void *pull_thread(void *data)
{
    hd_model_entry *entry = data;
    hd__thread_name("heddle-pull");
    pull(entry);
    pthread_mutex_lock(&entry->models->lock);
    entry->thread_runs = false;
    pthread_mutex_unlock(&entry->models->lock);
    return NULL;
}

/* With the lock: a thread that pulls, unless there is one or a pull failed a moment ago. */
static void start_pull(hd_model_entry *entry)
{
    if (entry->thread_runs || has_just_failed(entry))
        return;
    if (entry->has_thread) /* it is at its end */
        pthread_join(entry->thread, NULL);
    entry->failed_ns = 0;
    entry->has_thread = entry->thread_runs = pthread_create(&entry->thread, NULL, pull_thread, entry) == 0;
}

/* Whether there is something to serve under the entry; if not, it is being looked after. */
static hd_status check_pulled(hd_model_entry *entry, hd_fault *fault)
{
    hd_status status = HD_ERR_BUSY;
    if (atomic_load(&entry->model) != NULL)
        return HD_OK;
    pthread_mutex_lock(&entry->models->lock);
    start_pull(entry);
    if (entry->failed_ns == 0) {
        (void)hd__fault(fault, HD_FAULT_LOADING, "model", "The model `%.128s` is being fetched", entry->name);
        fault->retry_after_s = RETRY_AFTER_S;
    } else {
        status = entry->pull_error.status;
        (void)hd__fault(fault, HD_FAULT_LOAD, "model", "%s", entry->pull_error.text);
    }
    pthread_mutex_unlock(&entry->models->lock);
    return status;
}

/* What to call a model that came without a name: an id of the hub as it is, of a path the last part. A snapshot in the hub
 * client's cache, "…/models--OWNER--NAME/snapshots/REVISION", is called by its id. */
static char *name_of(const char *name_or_dir)
{
    static const char repository[] = "/models--";
    const char *slash = strchr(name_or_dir, '/'), *found = strstr(name_or_dir, repository);
    const bool is_path = name_or_dir[0] == '.' || name_or_dir[0] == '~' ||
                         (slash != NULL && (slash == name_or_dir || strchr(slash + 1, '/') != NULL));
    size_t n = strlen(name_or_dir);
    while (n > 1 && name_or_dir[n - 1] == '/')
        n--;
    if (!is_path)
        return hd__strndup(name_or_dir, n);
    if (found == NULL) {
        const hd_span last = last_part(hd__span(name_or_dir, n));
        return last.len > 0 ? hd__strndup(last.ptr, last.len) : hd__strndup(name_or_dir, n);
    }
    const char *id = found + sizeof repository - 1;
    char *name = hd__strndup(id, strcspn(id, "/"));
    char *dashes = name != NULL ? strstr(name, "--") : NULL;
    if (dashes != NULL) {
        *dashes = '/';
        memmove(dashes + 1, dashes + 2, strlen(dashes + 2) + 1);
    }
    return name;
}

/* Fills a zeroed entry. */
static hd_status fill_entry(hd_model_entry *entry, hd_models *m, const char *name_or_dir, const char *name,
                            const hd_model_options *options, hd_error *err)
{
    entry->models = m;
    entry->name = name != NULL ? hd__strdup(name) : name_of(name_or_dir);
    entry->source = hd__strdup(name_or_dir);
    entry->created_s = (uint64_t)time(NULL);
    if (options != NULL)
        entry->options = *options;
    if (entry->options.pooling != NULL)
        entry->options.pooling = entry->pooling = hd__strdup(entry->options.pooling);
    if (entry->name == NULL || entry->source == NULL ||
        (options != NULL && options->pooling != NULL && entry->pooling == NULL))
        return hd__fail(err, HD_ERR_MEMORY, "%s: no memory", name_or_dir);
    hd_status status = open_handle(entry, err);
    return status == HD_ERR_NOT_FOUND && m->pull != NULL ? HD_OK : status; /* later */
}

/* With the lock. */
static bool is_taken(const hd_models *m, const char *name)
{
    for (size_t i = 0; i < m->n; i++)
        if (strcmp(m->entries[i]->name, name) == 0)
            return true;
    return false;
}

static hd_status call_by_path(hd_model_entry *entry, hd_error *err)
{
    hd__free(entry->name);
    entry->name = hd__strdup(entry->source);
    return entry->name != NULL ? HD_OK : hd__fail(err, HD_ERR_MEMORY, "%s: no memory", entry->source);
}

hd_status hd__models_add(hd_models *m, const char *name_or_dir, const char *name, const hd_model_options *options,
                         hd_error *err)
{
    hd_model_entry *entry = hd__calloc(1, sizeof *entry);
    if (entry == NULL)
        return hd__fail(err, HD_ERR_MEMORY, "%s: no memory", name_or_dir);
    hd_status status = fill_entry(entry, m, name_or_dir, name, options, err);
    pthread_mutex_lock(&m->lock);
    if (status == HD_OK && name == NULL && is_taken(m, entry->name)) /* the same last part as another's: by its path */
        status = call_by_path(entry, err);
    if (status == HD_OK && is_taken(m, entry->name))
        status = hd__fail(err, HD_ERR_ARG, "%s: two models of this name", entry->name);
    if (status == HD_OK && m->n == HD_LIMIT_SERVED_MODELS)
        status = hd__fail(err, HD_ERR_LIMIT, "%s: more than %u models", entry->source, HD_LIMIT_SERVED_MODELS);
    if (status == HD_OK)
        m->entries[m->n++] = entry;
    pthread_mutex_unlock(&m->lock);
    if (status != HD_OK)
        free_entry(entry);
    return status;
}

void hd__models_preload(hd_models *m)
{
    const size_t n = count(m);
    hd_error error;
    for (size_t i = 0; i < n && !atomic_load(&m->stop); i++) {
        hd_model_entry *entry = m->entries[i];
        if (atomic_load(&entry->model) == NULL)
            pull(entry);
        if (atomic_load(&entry->model) != NULL && hd_model_load(entry->model, &error) != HD_OK)
            hd__log(HD_LOG_ERROR, "%s", error.text);
    }
}

/* ---- names ---- */

static hd_span without(hd_span name, char mark)
{
    const char *at = name.len > 0 ? memchr(name.ptr, mark, name.len) : NULL;
    return at != NULL ? hd__span(name.ptr, (size_t)(at - name.ptr)) : name;
}

static bool same(hd_span a, hd_span b)
{
    return a.len == b.len && strncasecmp(a.ptr, b.ptr, a.len) == 0;
}

/* How loosely names are compared: the whole, the part after the last slash, that without tag and revision. */
enum { WHOLE, LAST, BARE, N_WAYS };

static bool matches(hd_span asked, hd_span name, int way)
{
    if (way >= LAST) {
        asked = last_part(asked);
        name = last_part(name);
    }
    if (way == BARE)
        asked = without(without(asked, '@'), ':');
    return asked.len > 0 && same(asked, name);
}

static hd_model_entry *find_called(hd_models *m, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(m->entries[i]->name, name) == 0 || strcmp(m->entries[i]->source, name) == 0)
            return m->entries[i];
    for (int way = WHOLE; way < N_WAYS; way++)
        for (size_t i = 0; i < n; i++)
            if (matches(hd__span_of(name), hd__span_of(m->entries[i]->name), way))
                return m->entries[i];
    return NULL;
}

static hd_model_entry *find(hd_models *m, size_t n, const char *name)
{
    const bool any = name == NULL || name[0] == '\0' || (n == 1 && !m->strict);
    return any ? m->entries[0] : find_called(m, n, name);
}

bool hd__models_has(hd_models *m, const char *name)
{
    return find_called(m, count(m), name) != NULL;
}

static hd_status find_pulled(hd_models *m, const char *name, bool waits, hd_model_entry **entry, hd_fault *fault)
{
    const size_t n = count(m);
    hd_model_entry *found = n > 0 ? find(m, n, name) : NULL;
    if (found == NULL) {
        (void)(n == 0 ? hd__fault(fault, HD_FAULT_MODEL, "model", "no model is served")
                      : hd__fault(fault, HD_FAULT_MODEL, "model", "The model `%.128s` does not exist", name));
        return HD_ERR_NOT_FOUND;
    }
    if (waits && atomic_load(&found->model) == NULL)
        pull(found);
    HD_TRY(check_pulled(found, fault));
    *entry = found;
    return HD_OK;
}

hd_status hd__models_find(hd_models *m, const char *name, hd_model_entry **entry, hd_fault *fault)
{
    return find_pulled(m, name, false, entry, fault);
}

hd_status hd__models_await(hd_models *m, const char *name, hd_model_entry **entry, hd_fault *fault)
{
    return find_pulled(m, name, true, entry, fault);
}

hd_model *hd__models_handle(const hd_model_entry *entry)
{
    return atomic_load(&entry->model);
}

/* ---- cards ---- */

void hd__models_card(const hd_model_entry *entry, hd_model_card *card)
{
    hd_model *model = atomic_load(&entry->model);
    *card = (hd_model_card){.name = entry->name, .created_s = entry->created_s};
    hd_model_info *info = &card->info;
    if (model == NULL) {
        info->name = info->path = info->architecture = info->pooling = info->similarity = info->default_prompt_name = "";
        pthread_mutex_lock(&entry->models->lock);
        card->state = entry->n_pulling > 0 ? HD_MODEL_LOADING : entry->failed_ns != 0 ? HD_MODEL_FAILED : HD_MODEL_UNLOADED;
        pthread_mutex_unlock(&entry->models->lock);
        return;
    }
    hd_model_get_info(model, info);
    card->weights_bytes = info->weights_bytes;
    card->vocab_size = info->vocab_size;
    card->state = info->loaded        ? HD_MODEL_LOADED
                  : info->loading     ? HD_MODEL_LOADING
                  : info->load_failed ? HD_MODEL_FAILED
                                      : HD_MODEL_UNLOADED;
    if (info->loaded && info->unload_in_ns != UINT64_MAX)
        card->unload_s = (uint64_t)time(NULL) + info->unload_in_ns / 1000000000u;
}

hd_status hd__models_list(hd_models *m, hd_arena *arena, const hd_model_card **cards, size_t *n, hd_error *err)
{
    const size_t n_all = count(m);
    hd_model_card *all = hd__arena_calloc(arena, n_all != 0 ? n_all : 1, sizeof *all);
    if (all == NULL)
        return hd__fail(err, HD_ERR_MEMORY, "no memory for a list of %zu models", n_all);
    for (size_t i = 0; i < n_all; i++)
        hd__models_card(m->entries[i], &all[i]);
    *cards = all;
    *n = n_all;
    return HD_OK;
}
