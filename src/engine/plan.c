/* plan.c - a call's options against what the model is and has. */
#include <stdio.h>
#include <string.h>

#include "engine/engine_int.h"

#define NAMES_BYTES 256

enum { N_HEADS = 5 };

/* Appends to a list for a message, as far as there is room. */
static void add_name(char names[NAMES_BYTES], const char *name)
{
    const size_t at = strlen(names);
    snprintf(names + at, NAMES_BYTES - at, "%s%s", at > 0 ? ", " : "", name);
}

/* "dense, tokens" */
static const char *name_heads(uint32_t heads, char names[NAMES_BYTES])
{
    names[0] = '\0';
    for (size_t i = 0; i < N_HEADS; i++)
        if ((heads >> i & 1) != 0)
            add_name(names, hd_head_name(1u << i));
    return names;
}

static hd_status check_heads(const hd_model *m, uint32_t heads, hd_error *err)
{
    char has[NAMES_BYTES], lacks[NAMES_BYTES];
    if (heads >> N_HEADS != 0)
        return hd__fail(err, HD_ERR_ARG, "heads 0x%x: there is no such head", heads);
    if ((heads & ~m->info.heads) == 0)
        return HD_OK;
    return hd__fail(err, HD_ERR_UNSUPPORTED, "%s: the model has no head \"%s\"; it has: %s", m->name,
                    name_heads(heads & ~m->info.heads, lacks), name_heads(m->info.heads, has));
}

static hd_status check_long_text(const hd_model *m, const hd_plan *plan, hd_error *err)
{
    if ((unsigned)plan->long_text > HD_LONG_LATE)
        return hd__fail(err, HD_ERR_ARG, "long_text %d: there is no such way", (int)plan->long_text);
    if (plan->long_text != HD_LONG_CUT && plan->heads != HD_HEAD_DENSE)
        return hd__fail(err, HD_ERR_UNSUPPORTED, "windows and late chunking are for dense vectors alone");
    if (plan->long_text == HD_LONG_LATE && m->settings.pooling != HD_POOLING_MEAN)
        return hd__fail(err, HD_ERR_UNSUPPORTED, "%s: late chunking needs a model with mean pooling; this one's is \"%s\"",
                        m->name, m->info.pooling);
    return HD_OK;
}

static hd_status find_task(const hd_model *m, const char *name, uint32_t *task, hd_error *err)
{
    const hd_settings *s = &m->settings;
    *task = 0;
    if (name == NULL)
        return HD_OK;
    for (uint32_t i = 0; i < s->n_tasks; i++) {
        if (strcmp(s->tasks[i], name) == 0) {
            *task = i + 1;
            return HD_OK;
        }
    }
    char names[NAMES_BYTES] = "";
    for (uint32_t i = 0; i < s->n_tasks; i++)
        add_name(names, s->tasks[i]);
    return hd__fail(err, HD_ERR_NOT_FOUND, "%s: no task named \"%s\"; it has: %s", m->name, name,
                    names[0] != '\0' ? names : "none");
}

static const char *name_of_prompt(const hd_model *m, const hd_encode_options *o)
{
    return o->prompt_name != NULL ? o->prompt_name : m->settings.default_prompt_name;
}

static bool is_query(const hd_model *m, const hd_encode_options *o)
{
    const char *name = name_of_prompt(m, o);
    return name[0] != '\0' ? strcmp(name, "query") == 0 : m->settings.query_is_default;
}

hd_model *hd__model_of_side(hd_model *m, const hd_encode_options *options)
{
    static const hd_encode_options defaults;
    return m->queries != NULL && is_query(m, options != NULL ? options : &defaults) ? m->queries : m;
}

static hd_status no_prompt(const hd_model *m, const char *name, hd_error *err)
{
    char names[NAMES_BYTES] = "";
    for (uint32_t i = 0; i < m->settings.n_prompts; i++)
        add_name(names, m->settings.prompts[i].name);
    return hd__fail(err, HD_ERR_NOT_FOUND, "%s: no prompt named \"%s\"; it has: %s", m->name, name,
                    names[0] != '\0' ? names : "none");
}

/* NULL: there is none of that name. */
static const char *text_of_prompt(const hd_model *m, const char *name)
{
    for (uint32_t i = 0; i < m->settings.n_prompts; i++)
        if (strcmp(m->settings.prompts[i].name, name) == 0)
            return m->settings.prompts[i].text;
    return NULL;
}

/* The prompt itself, that of its name, that of the task, or the model's default, whichever is given first. Where names tell
 * queries from documents, one without a text says no more than that. */
static hd_status find_prompt(const hd_model *m, const hd_encode_options *o, uint32_t task, const char **prompt,
                             hd_error *err)
{
    const char *name = name_of_prompt(m, o);
    *prompt = "";
    if (o->prompt != NULL) {
        *prompt = o->prompt;
        return HD_OK;
    }
    const char *text = name[0] != '\0' ? text_of_prompt(m, name) : "";
    if (text == NULL && o->prompt_name != NULL)
        return no_prompt(m, name, err);
    const bool by_task = task > 0 && (o->prompt_name == NULL || (m->settings.has_sides && text[0] == '\0'));
    *prompt = by_task ? m->settings.task_prompts[task - 1] : text != NULL ? text : "";
    return HD_OK;
}

/* A query that is looked up in a table: its tokens as they are. */
static void plan_query(const hd_model *m, const hd_encode_options *o, hd_plan *plan)
{
    plan->looks_up = true;
    plan->tokenize.no_specials = true;
    plan->tokenize.lower_case = false;
    if (o->max_length == 0 || o->max_length > m->settings.query_length)
        plan->tokenize.max_length = m->settings.query_length;
}

hd_status hd__plan_make(const hd_model *m, const hd_encode_options *options, hd_plan *plan, hd_error *err)
{
    static const hd_encode_options defaults;
    const hd_encode_options *o = options != NULL ? options : &defaults;
    const bool asks = is_query(m, o);
    uint32_t most = m->info.n_dimensions;
    if (o->dimensions > most)
        return hd__fail(err, HD_ERR_ARG, "%u dimensions, the model gives %u", o->dimensions, most);
    const uint32_t own = m->settings.max_length, given = m->documents != NULL ? m->documents->settings.max_length : own;
    const uint32_t longest = given > own ? given : own; /* that of documents is the one a caller is told */
    if (o->max_length > longest)
        return hd__fail(err, HD_ERR_ARG, "max_length %u, the model's is %u", o->max_length, longest);
    *plan = (hd_plan){
        .heads = o->heads != 0 ? o->heads : HD_HEAD_DENSE,
        .n_dimensions = o->dimensions != 0 ? o->dimensions : most,
        .normalize = m->settings.normalize && !o->no_normalize,
        .tokenize =
            {
                .max_length = o->max_length != 0 && o->max_length < own ? o->max_length : own,
                .lower_case = m->settings.lower_case,
                .strict = o->strict,
                .cut_front = o->cut_front || m->settings.cuts_front,
                .no_specials = o->no_specials,
            },
        .refuse_longer = o->refuse_longer && o->long_text == HD_LONG_CUT,
        .raw_scores = o->raw_scores,
        .cut_second = o->cut_second,
        .is_query = m->settings.late != NULL && asks,
        .long_text = o->long_text,
    };
    if (m->settings.query_table != NULL && asks)
        plan_query(m, o, plan);
    HD_TRY(find_task(m, o->task, &plan->task, err));
    HD_TRY(find_prompt(m, o, plan->task, &plan->prompt, err));
    const bool by_side =
        m->settings.late != NULL && m->settings.late->has_prompts && o->prompt == NULL && o->prompt_name == NULL;
    plan->query_prompt = by_side ? text_of_prompt(m, "query") : plan->prompt;
    plan->document_prompt = by_side ? text_of_prompt(m, "document") : plan->prompt;
    return HD_OK;
}

hd_status hd__plan_check(const hd_model *m, const hd_plan *plan, hd_error *err)
{
    HD_TRY(check_heads(m, plan->heads, err));
    if (plan->looks_up && plan->heads != HD_HEAD_SPARSE)
        return hd__fail(err, HD_ERR_UNSUPPORTED, "%s: queries have sparse weights alone, the model does not read them",
                        m->name);
    return check_long_text(m, plan, err);
}
