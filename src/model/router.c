/* router.c - see router.h.
 *
 *   {"types": {"query_0_SparseStaticEmbedding": "sentence_transformers.sparse_encoder.models.SparseStaticEmbedding",
 *              "": "sentence_transformers.sparse_encoder.models.MLMTransformer", "document_1_SpladePooling": "…"},
 *    "structure": {"query": ["query_0_SparseStaticEmbedding"], "document": ["", "document_1_SpladePooling"]},
 *    "parameters": {"default_route": "document", "allow_empty_key": true, "route_mappings": {}}}
 *
 * What a module is called is its folder below the Router's own. Asym has the same in the config.json of its folder, with
 * routes of any name, "doc" by custom. Source: sentence_transformers.base.modules.Router 6.2, which reads both.
 */
#include "model/router.h"

#include "base/file.h"

typedef struct router {
    const hd_settings_reader *reader;
    const char *path, *shown;
    const json_t *types;
    hd_modules *modules;
} router;

/* A module's class and its folder below the model's. */
static hd_status find_module(const router *r, const json_t *name, const char **type, const char **path)
{
    const char *id = json_string_value(name);
    *type = id != NULL ? json_string_value(json_object_get(r->types, id)) : NULL;
    if (*type == NULL)
        return hd__fail(r->reader->err, HD_ERR_FORMAT, "%s: \"types\" has no class for a module of its \"structure\"",
                        r->shown);
    if (id[0] != '\0' && !hd__path_is_below(hd__span_of(id)))
        return hd__fail(r->reader->err, HD_ERR_FORMAT, "%s: module \"%s\" is not a path below the folder", r->shown, id);
    *path = id[0] == '\0' ? r->path : hd__settings_path(r->reader, r->path, id);
    return *path != NULL ? HD_OK : hd__fail(r->reader->err, HD_ERR_MEMORY, "%s: no memory for its settings", r->reader->dir);
}

static hd_status add_modules(const router *r, const json_t *names)
{
    for (size_t i = 0; i < json_array_size(names); i++) {
        const char *type, *path;
        HD_TRY(find_module(r, json_array_get(names, i), &type, &path));
        HD_TRY(hd__modules_add(r->reader, type, path, r->shown, r->modules));
    }
    return HD_OK;
}

/* The other side's modules, by their folders; what they are is seen when that side is read. */
static hd_status list_others(const router *r, const json_t *names)
{
    hd_modules *m = r->modules;
    for (size_t i = 0; i < json_array_size(names); i++) {
        const char *type, *path;
        HD_TRY(find_module(r, json_array_get(names, i), &type, &path));
        if (m->n_others == HD_LIMIT_MODULES)
            return hd__fail(r->reader->err, HD_ERR_LIMIT, "%s: more modules than the limit of %d", r->shown,
                            HD_LIMIT_MODULES);
        HD_TRY(hd__settings_keep(r->reader, path, &m->others[m->n_others]));
        m->n_others++;
    }
    return HD_OK;
}

/* Whether queries go through a table alone, and its folder. */
static hd_status find_table(const router *r, const json_t *query, bool *found)
{
    const char *type, *path;
    HD_TRY(find_module(r, json_array_get(query, 0), &type, &path));
    const char *class = hd__module_class(type);
    *found = class != NULL && strcmp(class, "SparseStaticEmbedding") == 0;
    if (!*found)
        return HD_OK;
    if (json_array_size(query) != 1 || r->modules->n > 0)
        return hd__fail(r->reader->err, HD_ERR_UNSUPPORTED,
                        "%s: queries go through a SparseStaticEmbedding and other modules; Heddle runs it alone", r->shown);
    return hd__settings_keep(r->reader, path, &r->modules->query_table);
}

static hd_status parse_structure(const router *r, const json_t *root)
{
    static const char *const names[] = {"document", "doc", "passage", "corpus"};
    const json_t *structure = json_object_get(root, "structure"), *query = json_object_get(structure, "query");
    const json_t *document = NULL;
    bool by_table;
    for (size_t i = 0; document == NULL && i < sizeof names / sizeof *names; i++)
        document = json_object_get(structure, names[i]);
    if (json_array_size(query) == 0 || json_array_size(document) == 0 || json_object_size(structure) != 2)
        return hd__fail(r->reader->err, HD_ERR_UNSUPPORTED,
                        "%s: \"structure\" has other routes than \"query\" and \"document\", which Heddle runs", r->shown);
    HD_TRY(find_table(r, query, &by_table));
    if (by_table)
        return add_modules(r, document);
    const bool of_queries = r->reader->source->of_queries;
    r->modules->has_sides = true;
    HD_TRY(add_modules(r, of_queries ? query : document));
    return list_others(r, of_queries ? document : query);
}

/* Without "default_route" it is the first one. */
static hd_status parse_parameters(const router *r, const json_t *root)
{
    const json_t *parameters = json_object_get(root, "parameters");
    const char *route = json_object_iter_key(json_object_iter(json_object_get(root, "structure")));
    HD_TRY(hd__json_get_text(parameters, "default_route", r->shown, &route, r->reader->err));
    r->modules->query_is_default = strcmp(route, "query") == 0;
    if (json_object_size(json_object_get(parameters, "route_mappings")) > 0)
        return hd__fail(r->reader->err, HD_ERR_UNSUPPORTED, "%s: \"route_mappings\" are not what Heddle runs", r->shown);
    return HD_OK;
}

hd_status hd__router_read(const hd_settings_reader *reader, const char *path, hd_modules *modules)
{
    json_t *root;
    router r = {.reader = reader, .path = path, .modules = modules};
    if (path[0] != '\0' && !hd__path_is_below(hd__span_of(path)))
        return hd__fail(reader->err, HD_ERR_FORMAT, "%s: the Router's \"path\" is \"%s\", not a path below the folder",
                        reader->dir, path);
    if (modules->has_sides || modules->query_table != NULL)
        return hd__fail(reader->err, HD_ERR_UNSUPPORTED, "%s: more than one Router", reader->dir);
    HD_TRY(hd__settings_file(reader, path, "router_config.json", false, &root, &r.shown));
    if (root == NULL)
        HD_TRY(
            hd__settings_file(reader, path, path[0] != '\0' ? "config.json" : "router_config.json", true, &root, &r.shown));
    r.types = json_object_get(root, "types");
    hd_status status = parse_structure(&r, root);
    if (status == HD_OK)
        status = parse_parameters(&r, root);
    json_decref(root);
    return status;
}

hd_status hd__router_apply(const hd_settings_reader *reader, const hd_modules *modules, hd_settings *settings)
{
    json_t *root;
    const char *shown, *path = NULL;
    HD_TRY(hd__settings_file(reader, modules->query_table, "config.json", false, &root, &shown));
    hd_status status = hd__json_get_text(root, "path", shown, &path, reader->err);
    if (status == HD_OK && path != NULL)
        status = hd__fail(reader->err, HD_ERR_UNSUPPORTED,
                          "%s: \"path\" is \"%s\"; Heddle reads a query's weights from the tensor \"weight\" beside it",
                          shown, path);
    json_decref(root);
    HD_TRY(status);
    settings->query_table = hd__arena_printf(reader->arena, "%s/%s", reader->dir, modules->query_table);
    if (settings->query_table == NULL)
        return hd__fail(reader->err, HD_ERR_MEMORY, "%s: no memory for its settings", reader->dir);
    return HD_OK;
}
