/* adapters.c - see adapters.h. */
#include "encoder/adapters.h"

#include <string.h>

hd_status hd__adapters_open(const char *model_dir, const hd_settings *s, const hd_tensors *tensors, hd_arena *arena,
                            hd_adapters *adapters, hd_error *err)
{
    const hd_peft_config of_task = {.rank = s->adapter_rank};
    *adapters = (hd_adapters){.model_dir = model_dir, .arena = arena, .tensors = tensors};
    if (s->adapter_dir != NULL)
        HD_TRY(hd__peft_open(s->adapter_dir, s->adapter, &adapters->whole, err));
    if (s->task_dirs == NULL)
        return HD_OK;
    adapters->tasks = hd__arena_calloc(arena, s->n_tasks, sizeof *adapters->tasks);
    if (adapters->tasks == NULL)
        return hd__fail(err, HD_ERR_MEMORY, "%s: no memory", model_dir);
    for (uint32_t i = 0; i < s->n_tasks; i++) {
        HD_TRY(hd__peft_open(s->task_dirs[i], &of_task, &adapters->tasks[i], err));
        adapters->n_tasks++;
    }
    return HD_OK;
}

void hd__adapters_close(hd_adapters *adapters)
{
    for (uint32_t i = 0; i < adapters->n_tasks; i++)
        hd__peft_close(adapters->tasks[i]);
    hd__peft_close(adapters->whole);
    *adapters = (hd_adapters){0};
}

/* The i-th of those in folders, i up to n_tasks; NULL: there is no such one. */
static const hd_peft *in_folder(const hd_adapters *adapters, uint32_t i)
{
    return i < adapters->n_tasks ? adapters->tasks[i] : adapters->whole;
}

void hd__adapters_claim(const hd_adapters *adapters, const char *module)
{
    for (uint32_t i = 0; i <= adapters->n_tasks; i++) {
        const hd_peft *adapter = in_folder(adapters, i);
        if (adapter != NULL)
            (void)hd__peft_find(adapter, module);
    }
}

hd_status hd__adapters_check(const hd_adapters *adapters, hd_error *err)
{
    for (uint32_t i = 0; i <= adapters->n_tasks; i++) {
        const hd_peft *adapter = in_folder(adapters, i);
        const hd_tensor *left = adapter != NULL ? hd__peft_left(adapter) : NULL;
        if (left != NULL)
            return hd__fail(err, HD_ERR_UNSUPPORTED, "%s: tensor \"%s\" changes no module of the model's", left->file,
                            left->name);
    }
    return HD_OK;
}

/* Tensor "<module>.parametrizations.weight.0.<which>" of exactly these dimensions. */
static hd_status find_stacked(const hd_adapters *adapters, const char *module, const char *which, const uint64_t dims[3],
                              const hd_tensor **tensor, hd_error *err)
{
    char *name = hd__arena_printf(adapters->arena, "%s.parametrizations.weight.0.%s", module, which);
    if (name == NULL)
        return hd__fail(err, HD_ERR_MEMORY, "%s: no memory", adapters->model_dir);
    const hd_tensor *t = hd__tensors_find(adapters->tensors, name);
    if (t == NULL)
        return hd__fail(err, HD_ERR_FORMAT, "%s: tensor \"%s\" is missing", adapters->model_dir, name);
    if (t->n_dims != 3 || memcmp(t->dims, dims, 3 * sizeof *dims) != 0)
        return hd__fail(err, HD_ERR_FORMAT,
                        "%s: tensor \"%s\" has %u dimensions [%llu, …], config.json says "
                        "[%llu, %llu, %llu]",
                        t->file, name, t->n_dims, t->n_dims > 0 ? (unsigned long long)t->dims[0] : 0,
                        (unsigned long long)dims[0], (unsigned long long)dims[1], (unsigned long long)dims[2]);
    *tensor = t;
    return HD_OK;
}

hd_status hd__adapters_find(const hd_adapters *adapters, const hd_adapted *of, const hd_settings *s, uint64_t task,
                            hd_low_rank *found, hd_error *err)
{
    const uint64_t rank = s->adapter_rank;
    *found = (hd_low_rank){0};
    if (adapters->tasks == NULL) {
        const uint64_t a_rows = of->is_table ? of->n : rank, b_rows = of->is_table ? rank : of->n;
        found->a_first = task * a_rows;
        found->b_first = task * b_rows;
        HD_TRY(find_stacked(adapters, of->module, "lora_A",
                            (const uint64_t[]){s->n_tasks, a_rows, of->is_table ? rank : of->k}, &found->a, err));
        return find_stacked(adapters, of->module, "lora_B",
                            (const uint64_t[]){s->n_tasks, b_rows, of->is_table ? of->k : rank}, &found->b, err);
    }
    const hd_peft_pair *pair = hd__peft_find(adapters->tasks[task], of->module);
    if (pair == NULL)
        return HD_OK;
    found->a = pair->a;
    found->b = pair->b;
    const uint64_t a_columns = of->is_table ? of->n : of->k, b_rows = of->is_table ? of->k : of->n;
    if (found->a->dims[1] != a_columns || found->b->dims[0] != b_rows)
        return hd__fail(err, HD_ERR_FORMAT, "%s: tensors \"%s\" and \"%s\" are not [%llu, %llu] and [%llu, %llu]",
                        found->a->file, found->a->name, found->b->name, (unsigned long long)rank,
                        (unsigned long long)a_columns, (unsigned long long)b_rows, (unsigned long long)rank);
    return HD_OK;
}
