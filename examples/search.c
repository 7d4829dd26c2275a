/* search.c - an index over a folder, and what it finds: a small use of heddle/index.h.
 *
 *   cc search.c $(pkg-config --cflags --libs heddle) -o search && ./search ~/notes "where did we leave the boat"
 */
#include <heddle/index.h>
#include <stdio.h>
#include <string.h>

int main(int argc, char **argv)
{
    hd_engine *engine = NULL;
    hd_model *model = NULL;
    hd_index *index = NULL;
    hd_error err = {HD_ERR_ARG, "usage: search FOLDER QUESTION"};
    hd_ingest_progress done;
    hd_results found = {0};
    const char *const folder = argc == 3 ? argv[1] : "", *question = argc == 3 ? argv[2] : "";
    bool ok = argc == 3 && hd_engine_open(NULL, &engine, &err) == HD_OK &&
              hd_model_open(engine, "sentence-transformers/all-MiniLM-L6-v2", NULL, &model, &err) == HD_OK &&
              hd_index_open("search.db", &(hd_index_options){.model = model, .create = true}, &index, &err) == HD_OK &&
              hd_index_add_paths(index, &folder, 1, NULL, &done, &err) == HD_OK &&
              hd_index_search(index, &(hd_search){.query = {question, strlen(question)}, .limit = 3}, &found, &err) == HD_OK;
    for (size_t i = 0; i < found.n; i++)
        printf("%s:%u %s\n", found.hits[i].path, found.hits[i].line, found.hits[i].snippet);
    if (!ok)
        fprintf(stderr, "%s\n", err.text);
    hd_results_free(&found);
    hd_index_close(index);
    hd_model_close(model);
    hd_engine_close(engine);
    return ok ? 0 : 1;
}
