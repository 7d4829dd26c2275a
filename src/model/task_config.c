/* task_config.c - see task_config.h. Sources: modeling_lora.py of jinaai/xlm-roberta-flash-implementation on the Hub, and
 * jinaai/jina-embeddings-v3-hf with JinaEmbeddingsV3Model of transformers 5. */
#include "model/task_config.h"

#include "model/peft.h"

enum { SECTIONS = 3 }; /* PEFT's adapters of queries, keys and values make one of three times the rank */

/* Where config.json names none, which transformers' class does not ask for, the model's own. */
static const char *const default_names[] = {"retrieval.query", "retrieval.passage", "separation", "classification",
                                            "text-matching"};

const char *hd__task_folder(const char *task, hd_arena *arena)
{
    char *folder = hd__arena_strndup(arena, task, strlen(task));
    for (char *c = folder; c != NULL && *c != '\0'; c++)
        if (*c == '.' || *c == '-')
            *c = '_';
    return folder;
}

static hd_status no_memory(const hd_settings_reader *reader)
{
    return hd__fail(reader->err, HD_ERR_MEMORY, "%s: no memory for its tasks", reader->dir);
}

/* One task more, with its text in "task_instructions". */
static hd_status add_task(const hd_settings_reader *reader, const json_t *root, const char *name, const char *shown,
                          const char **tasks, const char **prompts, hd_settings *settings)
{
    const char *text = "";
    HD_TRY(hd__json_get_text(json_object_get(root, "task_instructions"), name, shown, &text, reader->err));
    HD_TRY(hd__settings_keep(reader, name, &tasks[settings->n_tasks]));
    HD_TRY(hd__settings_keep(reader, text, &prompts[settings->n_tasks]));
    settings->n_tasks++;
    return HD_OK;
}

/* The adapter of a task among PEFT's folders, if there is one. All must be alike: passes are made for one rank. */
static hd_status find_folder(const hd_settings_reader *reader, const char *path, const char *task, const char **dir,
                             hd_settings *settings)
{
    const char *name = hd__task_folder(task, reader->arena);
    const char *folder = name != NULL ? hd__settings_path(reader, path, name) : NULL;
    hd_peft_config config;
    bool present;
    *dir = NULL;
    if (folder == NULL)
        return no_memory(reader);
    if (task[0] == '\0')
        return HD_OK;
    HD_TRY(hd__peft_config_read(reader, folder, &present, &config));
    if (!present)
        return HD_OK;
    if (config.ranks_differ || config.n_alphas > 0)
        return hd__fail(reader->err, HD_ERR_UNSUPPORTED,
                        "%s/%s/adapter_config.json: \"%s\", which Heddle does not run in an adapter of a task", reader->dir,
                        folder, config.ranks_differ ? "rank_pattern" : "alpha_pattern");
    const double scale = hd__peft_scale(&config, config.rank);
    if (settings->n_tasks > 0 && (config.rank != settings->adapter_rank || scale != settings->adapter_scale))
        return hd__fail(reader->err, HD_ERR_UNSUPPORTED,
                        "%s/%s: an adapter of rank %u and scale %g beside one of rank %u and scale %g; Heddle runs adapters "
                        "of one rank and scale",
                        reader->dir, folder, config.rank, scale, settings->adapter_rank, settings->adapter_scale);
    settings->adapter_rank = config.rank;
    settings->adapter_scale = scale;
    *dir = hd__arena_printf(reader->arena, "%s/%s", reader->dir, folder);
    return *dir != NULL ? HD_OK : no_memory(reader);
}

/* Names, texts and folders of n tasks as far as they have any. */
static hd_status parse_folders(const hd_settings_reader *reader, const char *path, const json_t *root,
                               const char *const *names, size_t n, const char *shown, hd_settings *settings)
{
    const char **tasks = hd__arena_calloc(reader->arena, n + 1, sizeof *tasks);
    const char **prompts = hd__arena_calloc(reader->arena, n + 1, sizeof *prompts);
    const char **dirs = hd__arena_calloc(reader->arena, n + 1, sizeof *dirs), *dir;
    if (tasks == NULL || prompts == NULL || dirs == NULL)
        return no_memory(reader);
    for (size_t i = 0; i < n; i++) {
        HD_TRY(find_folder(reader, path, names[i], &dir, settings));
        if (dir == NULL)
            continue;
        dirs[settings->n_tasks] = dir;
        HD_TRY(add_task(reader, root, names[i], shown, tasks, prompts, settings));
    }
    if (settings->n_tasks > 0) {
        settings->tasks = tasks;
        settings->task_prompts = prompts;
        settings->task_dirs = dirs;
    }
    return HD_OK;
}

/* All tasks' adapters in the weights' own file. */
static hd_status parse_stacked(const hd_settings_reader *reader, const json_t *root, const char *const *names, size_t n,
                               const char *shown, hd_settings *settings)
{
    bool trained = false;
    double alpha = 1.0;
    uint64_t rank = 4;
    HD_TRY(hd__json_get_bool(root, "load_trained_adapters", shown, &trained, reader->err));
    HD_TRY(hd__json_get_uint(root, "lora_rank", 1, HD_LIMIT_ADAPTER_RANK, shown, &rank, reader->err));
    HD_TRY(hd__json_get_real(root, "lora_alpha", -1e6, 1e6, shown, &alpha, reader->err));
    if (!trained) /* those that would be added to the weights change nothing */
        return HD_OK;
    const char **tasks = hd__arena_calloc(reader->arena, n, sizeof *tasks);
    const char **prompts = hd__arena_calloc(reader->arena, n, sizeof *prompts);
    if (tasks == NULL || prompts == NULL)
        return no_memory(reader);
    for (size_t i = 0; i < n; i++)
        HD_TRY(add_task(reader, root, names[i], shown, tasks, prompts, settings));
    settings->tasks = tasks;
    settings->task_prompts = prompts;
    settings->adapter_rank = (uint32_t)rank;
    settings->adapter_scale = alpha / (double)rank;
    return HD_OK;
}

/* "lora_adaptations" as a list of texts that live as long as root. */
static hd_status list_names(const hd_settings_reader *reader, const json_t *root, const char *shown,
                            const char *const **names, size_t *n)
{
    const json_t *list = json_object_get(root, "lora_adaptations");
    const char **texts;
    *n = json_array_size(list);
    if (*n > HD_LIMIT_TASKS)
        return hd__fail(reader->err, HD_ERR_LIMIT, "%s: \"lora_adaptations\" has %zu tasks, the limit is %u", shown, *n,
                        HD_LIMIT_TASKS);
    texts = hd__arena_calloc(reader->arena, *n + 1, sizeof *texts);
    if (texts == NULL)
        return no_memory(reader);
    for (size_t i = 0; i < *n; i++) {
        texts[i] = json_string_value(json_array_get(list, i));
        if (texts[i] == NULL)
            return hd__fail(reader->err, HD_ERR_FORMAT, "%s: \"lora_adaptations\": entry %zu is not a name", shown, i);
    }
    *names = texts;
    return HD_OK;
}

hd_status hd__task_config(const hd_settings_reader *reader, const char *path, const json_t *root, const char *shown,
                          hd_settings *settings)
{
    const char *const *names = NULL;
    size_t n;
    HD_TRY(list_names(reader, root, shown, &names, &n));
    if (n > 0)
        HD_TRY(parse_folders(reader, path, root, names, n, shown, settings));
    else
        HD_TRY(
            parse_folders(reader, path, root, default_names, sizeof default_names / sizeof *default_names, shown, settings));
    if (settings->n_tasks == 0 && n > 0)
        HD_TRY(parse_stacked(reader, root, names, n, shown, settings));
    const uint32_t sections = settings->task_dirs != NULL ? SECTIONS : 1;
    if ((uint64_t)settings->n_tasks * settings->adapter_rank * sections > HD_LIMIT_HIDDEN)
        return hd__fail(reader->err, HD_ERR_LIMIT, "%s: %u tasks of rank %u, the limit is %u for both multiplied", shown,
                        settings->n_tasks, settings->adapter_rank * sections, HD_LIMIT_HIDDEN);
    return HD_OK;
}
