/* cmd_db.c - `heddle db`: keeping an index well. Each action is one function of store/maintain.h. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include "cli/commands.h"
#include "cli/config.h"
#include "cli/index_path.h"
#include "cli/input.h"
#include "cli/interrupt.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "ingest/block_list.h"
#include "store/maintain.h"

#define IMPORT_LINES 256         /* read at once, and at most so many bytes */
#define IMPORT_BYTES (16u << 20) /* also of a transaction */

static const char *flag_db;
static bool flag_json, flag_vectors, flag_repair;

static const cli_option db_options[] = {
    {.name = "db",
     .value = "FILE",
     .text = &flag_db,
     .help = "the index (default: HEDDLE_DB, or the nearest " CLI_INDEX_NAME " upwards from here)"},
    {.name = "repair", .flag = &flag_repair, .help = "check: make anew what can be made from the rest, when it is wrong"},
    {.name = "vectors", .flag = &flag_vectors, .help = "export: with vectors, for an import that embeds nothing"},
    {.name = "json", .flag = &flag_json, .help = "for programs"},
    {0},
};

/* What an action works with. */
typedef struct action {
    cli_index_path path;
    hd_store *store;
    const char *file; /* the argument after the action's name; NULL: none */
    json_t *report;   /* what --json prints */
    cli_progress progress;
    const char *doing;
} action;

static hd_status open_store(action *a, const hd_store_options *options, hd_error *err)
{
    return hd__store_open(a->path.text, options, &a->store, err);
}

/* ---- progress --------------------------------------------------------------------------------------------- */

static bool show_progress(uint64_t done, uint64_t all, void *data)
{
    action *a = data;
    cli_progress_draw(&a->progress, all > 0 ? (double)done / (double)all : -1.0, a->doing);
    return cli_interrupted() == 0;
}

static hd_status build_graph(action *a, hd_error *err)
{
    a->doing = "graph";
    cli_progress_begin(&a->progress);
    hd_status status = hd__store_build_graph(a->store, show_progress, a, err);
    cli_progress_end(&a->progress);
    return status == HD_OK && cli_interrupted() != 0 ? hd__fail(err, HD_ERR_CANCELLED, "interrupted") : status;
}

/* ---- check ------------------------------------------------------------------------------------------------ */

typedef struct findings {
    json_t *faults;
    unsigned parts; /* bits of hd_part */
} findings;

static const char *const part_names[] = {
    [HD_PART_FILE] = "file",   [HD_PART_ROWS] = "rows",         [HD_PART_VECTORS] = "vectors",
    [HD_PART_WORDS] = "words", [HD_PART_TRIGRAMS] = "trigrams", [HD_PART_GRAPH] = "graph"};

static void note_fault(hd_part part, const char *what, void *data)
{
    findings *f = data;
    f->parts |= 1u << part;
    json_array_append_new(f->faults, json_pack("{s:s, s:s%}", "part", part_names[part], "what", what, strlen(what)));
    if (!flag_json)
        printf("%s: %s\n", part_names[part], what);
}

static hd_status repair(action *a, hd_error *err)
{
    HD_TRY(open_store(a, &(hd_store_options){0}, err));
    HD_TRY(hd__store_mend(a->store, err));
    return build_graph(a, err);
}

static hd_status check_once(action *a, findings *f, hd_error *err)
{
    f->parts = 0;
    json_array_clear(f->faults);
    return hd__store_check(a->path.text, note_fault, f, err);
}

static hd_status check(action *a, hd_error *err)
{
    const unsigned mendable = 1u << HD_PART_TRIGRAMS | 1u << HD_PART_GRAPH;
    findings f = {.faults = json_array()};
    json_object_set_new(a->report, "faults", f.faults);
    HD_TRY(check_once(a, &f, err));
    if (flag_repair && f.parts != 0 && (f.parts & ~mendable) == 0) {
        HD_TRY(repair(a, err));
        HD_TRY(check_once(a, &f, err));
    }
    json_object_set_new(a->report, "ok", json_boolean(f.parts == 0));
    if (f.parts == 0) {
        if (!flag_json)
            printf("%s: well\n", a->path.text);
        return HD_OK;
    }
    if ((f.parts & ~mendable) == 0)
        return hd__fail(err, HD_ERR_FORMAT, "%s: 'heddle db check --repair' makes anew what is wrong", a->path.text);
    return hd__fail(err, HD_ERR_FORMAT,
                    "%s: take the last backup, or index again; 'heddle db export' writes out what can still be read",
                    a->path.text);
}

/* ---- vacuum, backup --------------------------------------------------------------------------------------- */

static hd_status usage_of(action *a, hd_store_usage *usage, hd_error *err)
{
    hd_snapshot *snapshot;
    HD_TRY(hd__snapshot_begin(a->store, &snapshot, err));
    hd_status status = hd__store_get_usage(snapshot, usage, err);
    hd__snapshot_end(snapshot);
    return status;
}

static hd_status vacuum(action *a, hd_error *err)
{
    hd_store_usage before, after;
    char texts[2][32];
    HD_TRY(open_store(a, &(hd_store_options){0}, err));
    HD_TRY(usage_of(a, &before, err));
    HD_TRY(hd__store_compact(a->store, err));
    HD_TRY(build_graph(a, err));
    HD_TRY(usage_of(a, &after, err));
    json_object_set_new(a->report, "bytes_before", json_integer((json_int_t)before.file_bytes));
    json_object_set_new(a->report, "bytes_after", json_integer((json_int_t)after.file_bytes));
    json_object_set_new(a->report, "chunks_dropped", json_integer((json_int_t)before.n_dead_chunks));
    if (!flag_json)
        printf("%s: %s, %s before\n", a->path.text, cli_bytes_text(after.file_bytes, texts[0]),
               cli_bytes_text(before.file_bytes, texts[1]));
    return HD_OK;
}

static hd_status backup(action *a, hd_error *err)
{
    HD_TRY(open_store(a, &(hd_store_options){.read_only = true}, err));
    a->doing = "backup";
    cli_progress_begin(&a->progress);
    hd_status status = hd__store_backup(a->store, a->file, show_progress, a, err);
    cli_progress_end(&a->progress);
    HD_TRY(status);
    json_object_set_new(a->report, "file", json_string(a->file));
    if (!flag_json)
        printf("%s: a copy of %s\n", a->file, a->path.text);
    return HD_OK;
}

/* ---- export, import --------------------------------------------------------------------------------------- */

static hd_status write_line(hd_span line, void *data, hd_error *err)
{
    cli_output *output = data;
    hd__buffer_append(&output->pending, line.ptr, line.len);
    if (cli_interrupted() != 0)
        return hd__fail(err, HD_ERR_CANCELLED, "interrupted");
    return cli_output_flush(output, false, err);
}

static hd_status export_index(action *a, hd_error *err)
{
    hd_snapshot *snapshot = NULL;
    cli_output output = {.fd = -1};
    hd_status status;
    HD_TRY_OUT(open_store(a, &(hd_store_options){.read_only = true}, err));
    HD_TRY_OUT(hd__snapshot_begin(a->store, &snapshot, err));
    HD_TRY_OUT(cli_output_open(&output, a->file != NULL ? a->file : "-", err));
    HD_TRY_OUT(hd__store_export(snapshot, flag_vectors, write_line, &output, err));
    status = cli_output_commit(&output, err);
out:
    cli_output_abandon(&output);
    if (snapshot != NULL)
        hd__snapshot_end(snapshot);
    return status;
}

typedef struct importer {
    action *action;
    cli_input input;
    cli_window window;
    uint64_t n_documents;
} importer;

/* The index that the first line asks for: a new one for its model, without vectors for words alone. */
static hd_status open_for_import(importer *in, hd_text line, hd_error *err)
{
    hd_arena arena;
    hd__arena_init(&arena);
    hd_export_head head;
    hd_error why = {0};
    hd_status status = hd__store_read_head(hd__span(line.ptr, line.len), &arena, &head, &why);
    if (status != HD_OK)
        status = hd__fail(err, status, "%s: line 1: %s", in->input.name, why.text);
    else
        status =
            open_store(in->action,
                       &(hd_store_options){
                           .identity = head.with_vectors ? &head.identity : NULL, .language = head.language, .create = true},
                       err);
    hd__arena_clear(&arena);
    return status;
}

static bool is_blank(hd_text line)
{
    return hd__ascii_is_blank(hd__span(line.ptr, line.len));
}

static hd_status import_texts(importer *in, const hd_text *texts, size_t n, uint64_t first_line, hd_error *err)
{
    hd_write *write;
    HD_TRY(hd__write_begin(in->action->store, &write, err));
    for (size_t i = 0; i < n; i++) {
        hd_error why = {0};
        if (is_blank(texts[i]))
            continue;
        const hd_status status = hd__store_import(write, hd__span(texts[i].ptr, texts[i].len), &why);
        if (status != HD_OK) {
            hd__write_abandon(write);
            return hd__fail(err, status, "%s: line %" PRIu64 ": %s", in->input.name, first_line + i, why.text);
        }
        in->n_documents++;
    }
    return hd__write_commit(write, err);
}

static hd_status import_lines(importer *in, hd_error *err)
{
    for (;;) {
        HD_TRY(cli_input_fill(&in->input, &in->window, IMPORT_LINES, IMPORT_BYTES, true, err));
        const hd_text *texts = in->window.texts;
        size_t n = in->window.n;
        if (n == 0)
            break;
        uint64_t line = in->window.first_line;
        for (; in->action->store == NULL && n > 0; texts++, n--, line++)
            if (!is_blank(texts[0]))
                HD_TRY(open_for_import(in, texts[0], err));
        if (n == 0)
            continue;
        HD_TRY(import_texts(in, texts, n, line, err));
        if (cli_interrupted() != 0)
            return hd__fail(err, HD_ERR_CANCELLED, "interrupted");
    }
    return in->action->store != NULL ? HD_OK : hd__fail(err, HD_ERR_FORMAT, "%s: it is empty, no export", in->input.name);
}

static hd_status import_index(action *a, hd_error *err)
{
    char text[32];
    importer in = {.action = a, .input = {.fd = -1}};
    hd_status status = cli_input_open(&in.input, a->file != NULL ? a->file : "-", false, false, err);
    if (status == HD_OK)
        status = import_lines(&in, err);
    cli_window_clear(&in.window);
    cli_input_close(&in.input);
    HD_TRY(status);
    HD_TRY(build_graph(a, err));
    json_object_set_new(a->report, "documents", json_integer((json_int_t)in.n_documents));
    if (!flag_json)
        printf("%s: %s documents put\n", a->path.text, cli_count_text(in.n_documents, text));
    return HD_OK;
}

/* ---- stats ------------------------------------------------------------------------------------------------ */

static void report_count(action *a, const char *name, const char *key, uint64_t n, bool is_bytes)
{
    char text[32];
    json_object_set_new(a->report, key, json_integer((json_int_t)n));
    if (!flag_json)
        printf("%-16s %14s\n", name, is_bytes ? cli_bytes_text(n, text) : cli_count_text(n, text));
}

static void report_text(action *a, const char *key, const char *text)
{
    json_object_set_new(a->report, key, json_stringn(text, strlen(text)));
    if (!flag_json)
        printf("%-16s %s\n", key, text);
}

static void report_sizes(action *a, const hd_store_sizes *s)
{
    report_count(a, "  documents", "documents_bytes", s->documents, true);
    report_count(a, "  chunks", "chunks_bytes", s->chunks, true);
    report_count(a, "  words", "postings_bytes", s->postings, true);
    report_count(a, "  trigrams", "trigrams_bytes", s->trigrams, true);
    report_count(a, "  vectors", "vectors_bytes", s->vectors, true);
    report_count(a, "  graph", "graph_bytes", s->graph, true);
    report_count(a, "  token vectors", "token_vectors_bytes", s->token_vectors, true);
    report_count(a, "  other", "other_bytes", s->other, true);
    report_count(a, "  free", "free_bytes", s->free, true);
}

static hd_status report_stats(action *a, hd_snapshot *snapshot, hd_error *err)
{
    const hd_identity *identity = hd__store_identity(a->store);
    hd_store_usage usage;
    hd_store_sizes sizes;
    HD_TRY(hd__store_get_usage(snapshot, &usage, err));
    report_text(a, "file", a->path.text);
    report_text(a, "model", identity->model[0] != '\0' ? identity->model : "none");
    report_count(a, "dimensions", "dimensions", identity->n_dimensions, false);
    report_count(a, "documents", "documents", usage.n_documents, false);
    report_count(a, "chunks", "chunks", usage.n_chunks, false);
    report_count(a, "dead chunks", "dead_chunks", usage.n_dead_chunks, false);
    report_count(a, "terms", "terms", usage.n_terms, false);
    report_count(a, "in the graph", "graph_chunks", usage.n_graph, false);
    report_count(a, "size", "file_bytes", usage.file_bytes, true);
    const hd_status status = hd__store_measure(snapshot, &sizes, err);
    if (status == HD_OK)
        report_sizes(a, &sizes);
    return status == HD_ERR_UNSUPPORTED ? HD_OK : status; /* a SQLite that cannot tell parts apart */
}

static hd_status stats(action *a, hd_error *err)
{
    hd_snapshot *snapshot;
    HD_TRY(open_store(a, &(hd_store_options){.read_only = true}, err));
    HD_TRY(hd__snapshot_begin(a->store, &snapshot, err));
    hd_status status = report_stats(a, snapshot, err);
    hd__snapshot_end(snapshot);
    return status;
}

/* ---- the command ------------------------------------------------------------------------------------------ */

typedef enum file_use { NO_FILE, FILE_WANTED, FILE_OR_STREAM } file_use;

static const struct action_row {
    const char *name;
    hd_status (*run)(action *a, hd_error *err);
    file_use file;
    bool is_silent; /* nothing but its result goes to standard output */
} actions[] = {
    {"check", check, NO_FILE, false},
    {"vacuum", vacuum, NO_FILE, false},
    {"backup", backup, FILE_WANTED, false},
    {"export", export_index, FILE_OR_STREAM, true},
    {"import", import_index, FILE_OR_STREAM, false},
    {"stats", stats, NO_FILE, false},
};
#define N_ACTIONS (sizeof actions / sizeof actions[0])

static hd_status find_action(int n_args, char **args, const struct action_row **found, hd_error *err)
{
    if (n_args == 0)
        return hd__fail(err, HD_ERR_ARG, "db: say what to do: check, vacuum, backup, export, import or stats");
    for (size_t i = 0; i < N_ACTIONS; i++) {
        if (strcmp(args[0], actions[i].name) != 0)
            continue;
        const int most = actions[i].file == NO_FILE ? 1 : 2;
        if (n_args > most)
            return hd__fail(err, HD_ERR_ARG, "db %s: unexpected argument '%s'", args[0], args[most]);
        if (n_args < 2 && actions[i].file == FILE_WANTED)
            return hd__fail(err, HD_ERR_ARG, "db %s: say to which file", args[0]);
        *found = &actions[i];
        return HD_OK;
    }
    return hd__fail(err, HD_ERR_ARG, "db: '%s' is not one of check, vacuum, backup, export, import, stats", args[0]);
}

/* Options of one action given with another would do nothing. */
static hd_status check_options(const struct action_row *row, hd_error *err)
{
    if (flag_repair && row->run != check)
        return hd__fail(err, HD_ERR_ARG, "db %s: --repair is for check", row->name);
    if (flag_vectors && row->run != export_index)
        return hd__fail(err, HD_ERR_ARG, "db %s: --vectors is for export", row->name);
    return HD_OK;
}

static int db(int n_args, char **args)
{
    hd_error err = {0};
    action a = {.report = json_object()};
    const struct action_row *row = NULL;
    hd_status status = find_action(n_args, args, &row, &err);
    if (status == HD_OK)
        status = check_options(row, &err);
    if (status == HD_OK)
        status = cli_config_load_env(&err); /* it may say which index */
    if (status == HD_OK)
        status = cli_interrupt_begin(&err);
    if (status == HD_OK)
        status = cli_index_path_find(flag_db, row->run == import_index, &a.path, &err);
    if (status == HD_OK) {
        a.file = n_args > 1 ? args[1] : NULL;
        status = row->run(&a, &err);
    }
    if (flag_json && row != NULL && !row->is_silent && json_object_size(a.report) > 0) {
        json_dumpf(a.report, stdout, JSON_INDENT(2));
        putchar('\n');
    }
    hd__store_close(a.store);
    json_decref(a.report);
    return cli_exit_code(status, &err);
}

const cli_command cli_db = {
    .name = "db",
    .arguments = "check|vacuum|backup FILE|export [FILE]|import [FILE]|stats",
    .summary = "Checks, compacts, copies an index, and writes it out",
    .notes = "check reads all of the index and says what is wrong. vacuum writes it anew without what was deleted.\n"
             "backup makes a copy while others write. export writes documents and chunks as JSON lines, import puts\n"
             "them; without FILE, to standard output and from standard input.",
    .tables = {db_options},
    .run = db,
};
