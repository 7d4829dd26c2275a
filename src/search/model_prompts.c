/* model_prompts.c - see model_prompts.h.
 *
 * Files of sentence-transformers may name prompts; models older than that say in their cards what belongs before a query:
 * nomic-embed-text, E5 and BGE do, and lose much without it.
 */
#include "search/model_prompts.h"

#include <string.h>
#include <strings.h>

/* Names that prompts and tasks have, the usual first. */
static const char *const query_names[] = {"query",           "search_query", "retrieval_query",  "retrieval.query",
                                          "Retrieval-query", "s2p_query",    "web_search_query", NULL};
static const char *const document_names[] = {
    "document", "passage", "search_document", "retrieval_document", "retrieval.passage", "Retrieval-document",
    "corpus",   NULL};

/* By a part of the model's name, in small letters. Sources: the models' cards on the Hugging Face hub. */
static const struct family {
    const char *part, *but; /* `but`: not when this is in it too */
    const char *document, *query;
} families[] = {
    {"nomic-embed-text", NULL, "search_document: ", "search_query: "},
    {"e5-", "instruct", "passage: ", "query: "},
    {"bge-small-en", NULL, "", "Represent this sentence for searching relevant passages: "},
    {"bge-base-en", NULL, "", "Represent this sentence for searching relevant passages: "},
    {"bge-large-en", NULL, "", "Represent this sentence for searching relevant passages: "},
    {"bge-small-zh", NULL, "", "为这个句子生成表示以用于检索相关文章："},
    {"bge-base-zh", NULL, "", "为这个句子生成表示以用于检索相关文章："},
    {"bge-large-zh", NULL, "", "为这个句子生成表示以用于检索相关文章："},
    {"mxbai-embed-large", NULL, "", "Represent this sentence for searching relevant passages: "},
    {"snowflake-arctic-embed", NULL, "", "Represent this sentence for searching relevant passages: "},
};

/* The first of the names that the model has a prompt of; NULL: none. */
static const char *find_prompt(hd_model *model, const char *const *names, const char **text)
{
    const char *name;
    for (; *names != NULL; names++)
        for (uint32_t i = 0; hd_model_get_prompt(model, i, &name, text); i++)
            if (strcmp(name, *names) == 0)
                return name;
    *text = "";
    return NULL;
}

static const char *find_task(const char *const *tasks, uint32_t n_tasks, const char *const *names)
{
    for (; *names != NULL; names++)
        for (uint32_t i = 0; i < n_tasks; i++)
            if (strcmp(tasks[i], *names) == 0)
                return tasks[i];
    return NULL;
}

/* Adapters for what is searched, and their prompts, unless the files name another one. */
static void choose_tasks(const hd_model_info *info, hd_model_prompts *prompts)
{
    prompts->query.task = find_task(info->query_tasks, info->n_query_tasks, query_names);
    prompts->document.task = find_task(info->tasks, info->n_tasks, document_names);
    if (info->has_sides) /* names tell the side, with a text or without */
        return;
    if (prompts->query_text[0] == '\0')
        prompts->query.prompt_name = NULL;
    if (prompts->document_text[0] == '\0')
        prompts->document.prompt_name = NULL;
}

/* What the model's name or folder says it is; NULL: nothing that needs prompts. */
static const struct family *find_family(const hd_model_info *info)
{
    for (size_t i = 0; i < sizeof families / sizeof families[0]; i++) {
        const struct family *f = &families[i];
        const char *const names[] = {info->name, info->path};
        for (size_t j = 0; j < 2; j++)
            if (strcasestr(names[j], f->part) != NULL && (f->but == NULL || strcasestr(names[j], f->but) == NULL))
                return f;
    }
    return NULL;
}

void hd__model_prompts(hd_model *model, hd_model_prompts *prompts)
{
    hd_model_info info;
    hd_model_get_info(model, &info);
    *prompts = (hd_model_prompts){0};
    prompts->query.prompt_name = find_prompt(model, query_names, &prompts->query_text);
    prompts->document.prompt_name = find_prompt(model, document_names, &prompts->document_text);
    const bool tells = prompts->query_text[0] != '\0' || prompts->document_text[0] != '\0';
    if (info.n_tasks + info.n_query_tasks > 0) {
        choose_tasks(&info, prompts);
        return;
    }
    const struct family *family = tells ? NULL : find_family(&info);
    if (family != NULL) {
        prompts->document_text = prompts->document.prompt = family->document;
        prompts->query_text = prompts->query.prompt = family->query;
    }
    if (prompts->document.prompt_name == NULL && prompts->document.prompt == NULL)
        prompts->document.prompt = ""; /* a default prompt of the model's would be the query's */
    if (prompts->query.prompt_name == NULL && prompts->query.prompt == NULL && info.default_prompt_name[0] == '\0')
        prompts->query.prompt = "";
}
