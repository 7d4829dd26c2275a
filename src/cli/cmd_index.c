/* cmd_index.c - `heddle index`: folders and files into an index, or an index brought up to date with them.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/buffer.h"
#include "base/limits.h"
#include "cli/commands.h"
#include "cli/config.h"
#include "base/file.h"
#include "cli/index_path.h"
#include "cli/index_report.h"
#include "cli/index_stdin.h"
#include "cli/index_watch.h"
#include "cli/interrupt.h"
#include "heddle/index.h"
#include "search/handle.h"
#include "store/schema.h"
#include "store/words.h"

#define CACHE_BYTES (64u << 20) /* so that what is the same in several files is computed once */

static const char *flag_db, *flag_heads, *flag_language, *flag_source, *flag_chunks;
static bool flag_watch, flag_force, flag_no_ignore, flag_json;
static uint32_t flag_chunk_tokens, flag_overlap;
static cli_texts flag_exclude;

static const cli_option index_options[] = {
    {.name = "db",
     .value = "FILE",
     .text = &flag_db,
     .help = "the index (default: HEDDLE_DB, else .heddle.db of this folder or the nearest above it that has one, else made "
             "here)"},
    {.letter = 'w', .name = "watch", .flag = &flag_watch, .help = "stay, and follow every change until Ctrl-C"},
    {.letter = 'x',
     .name = "exclude",
     .value = "PATTERN",
     .texts = &flag_exclude,
     .help = "leave out files, as a line of .gitignore would; may be given several times"},
    {.name = "no-ignore", .flag = &flag_no_ignore, .help = "read what .gitignore leaves out (.heddleignore still counts)"},
    {.name = "force", .flag = &flag_force, .help = "read and embed also what has not changed"},
    {.name = "source",
     .value = "LABEL",
     .text = &flag_source,
     .help = "the documents' source, for filters (default: the folder's name)"},
    {.name = "chunks",
     .value = "WAY",
     .text = &flag_chunks,
     .help = "auto: by headings and functions; tokens: by length alone; anyloom: Markdown by '## ' (default: auto)"},
    {.name = "chunk-tokens",
     .value = "N",
     .number = &flag_chunk_tokens,
     .min = 8,
     .max = HD_LIMIT_SEQUENCE,
     .help = "at most so many tokens in a chunk (default: 256, or what the model reads)"},
    {.name = "overlap",
     .value = "N",
     .number = &flag_overlap,
     .min = 1,
     .max = HD_LIMIT_SEQUENCE,
     .help = "tokens that a chunk may repeat of the one before where a paragraph is cut (default: an eighth)"},
    {.name = "heads",
     .value = "LIST",
     .text = &flag_heads,
     .help = "of sparse, colbert, with commas: kept beside dense vectors in a new index, if the model has them"},
    {.name = "language",
     .value = "NAME",
     .text = &flag_language,
     .help = "of the words' stems in a new index: english, german, ..., none (default: english)"},
    {.name = "json", .flag = &flag_json, .help = "the summary as one JSON object"},
    {0},
};

typedef struct run {
    cli_config config;
    cli_index_path path;
    hd_engine *engine;
    hd_model *model;
    hd_index *index;
    hd_index_options open;
    hd_ingest_options ingest;
    cli_index_report report;
    char model_name[HD_LIMIT_PATH_BYTES];
} run;

/* ---- set-up ---- */

static hd_status parse_heads(hd_index_options *options, hd_error *err)
{
    for (const char *at = flag_heads; at != NULL;) {
        const size_t n = strcspn(at, ",");
        if (n == 6 && memcmp(at, "sparse", n) == 0)
            options->keep_sparse = true;
        else if (n == 7 && memcmp(at, "colbert", n) == 0)
            options->keep_multi = true;
        else if (n != 5 || memcmp(at, "dense", n) != 0)
            return hd__fail(err, HD_ERR_ARG, "--heads: '%.*s' is not one of dense, sparse, colbert", (int)n, at);
        at = at[n] == ',' ? at + n + 1 : NULL;
    }
    return HD_OK;
}

static hd_status parse_chunks(hd_chunking *chunking, hd_error *err)
{
    static const char *const names[] = {"auto", "tokens", "anyloom"};
    *chunking = HD_CHUNKING_AUTO;
    if (flag_chunks == NULL)
        return HD_OK;
    for (hd_chunking i = HD_CHUNKING_AUTO; i <= HD_CHUNKING_ANYLOOM; i++)
        if (strcmp(flag_chunks, names[i]) == 0) {
            *chunking = i;
            return HD_OK;
        }
    return hd__fail(err, HD_ERR_ARG, "--chunks: '%s' is not one of auto, tokens, anyloom", flag_chunks);
}

/* The model that an index was made with, unless another is asked for (which is then refused by name). */
static hd_status choose_model(run *r, hd_error *err)
{
    hd_index *index;
    hd_index_stats stats;
    if (r->config.model_is_given || !hd__file_exists(r->path.text))
        return HD_OK;
    hd_status status = hd_index_open(r->path.text, &(hd_index_options){.read_only = true}, &index, err);
    if (status == HD_ERR_NOT_FOUND) /* empty: made, but not yet an index */
        return HD_OK;
    HD_TRY(status);
    status = hd_index_get_stats(index, &stats, err);
    if (status == HD_OK && stats.model[0] != '\0') {
        snprintf(r->model_name, sizeof r->model_name, "%s", stats.model);
        r->config.model = r->model_name;
    }
    hd_index_close(index);
    return status;
}

/* A name that nobody knows is refused also where the index has its language already. */
static hd_status check_language(hd_error *err)
{
    hd_words *words;
    if (flag_language == NULL)
        return HD_OK;
    HD_TRY(hd__words_open(flag_language, &words, err));
    hd__words_close(words);
    return HD_OK;
}

static hd_status say_which_language(const run *r, hd_error *err)
{
    hd_arena arena;
    hd_snapshot *snapshot;
    const char *language = NULL;
    if (flag_language == NULL)
        return HD_OK;
    HD_TRY(hd__snapshot_begin(r->index->store, &snapshot, err));
    hd__arena_init(&arena);
    hd_status status = hd__store_get(snapshot, HD_SCHEMA_LANGUAGE, &arena, &language, err);
    if (status == HD_OK && language != NULL && strcmp(language, flag_language) != 0)
        cli_notice("--language: the words of %s are '%s' since it was made", r->path.text, language);
    hd__arena_clear(&arena);
    hd__snapshot_end(snapshot);
    return status;
}

/* What was asked for and is not kept: the model lacks it, or the index was made without it. */
static hd_status say_what_is_kept(const run *r, hd_error *err)
{
    hd_index_stats stats;
    HD_TRY(say_which_language(r, err));
    HD_TRY(hd_index_get_stats(r->index, &stats, err));
    if (r->open.keep_sparse && (stats.legs & HD_LEG_SPARSE) == 0)
        cli_notice("--heads: %s keeps no sparse weights of %s", r->path.text, stats.model);
    if (r->open.keep_multi && (stats.legs & HD_LEG_MULTI) == 0)
        cli_notice("--heads: %s keeps no token vectors of %s", r->path.text, stats.model);
    return HD_OK;
}

static hd_status set_up(run *r, hd_error *err)
{
    HD_TRY(cli_config_load(&r->config, err));
    if (!r->config.cache_is_given)
        r->config.cache_bytes = CACHE_BYTES;
    HD_TRY(cli_index_path_find(flag_db, true, &r->path, err));
    r->open = (hd_index_options){.create = true, .language = flag_language, .n_threads = r->config.n_threads};
    r->ingest = (hd_ingest_options){
        .progress = cli_index_report_progress,
        .failed = cli_index_report_failed,
        .data = &r->report,
        .source = flag_source,
        .exclude = flag_exclude.items,
        .n_exclude = flag_exclude.n,
        .force = flag_force,
        .no_ignore = flag_no_ignore,
        .chunk_tokens = flag_chunk_tokens,
        .overlap_tokens = flag_overlap,
    };
    HD_TRY(parse_heads(&r->open, err));
    HD_TRY(parse_chunks(&r->ingest.chunking, err));
    HD_TRY(check_language(err));
    HD_TRY(choose_model(r, err));
    HD_TRY(cli_config_open(&r->config, &r->engine, &r->model, err));
    r->open.model = r->model;
    HD_TRY(hd_model_load(r->model, err)); /* before a file is made, and before the clock starts */
    HD_TRY(hd_index_open(r->path.text, &r->open, &r->index, err));
    return say_what_is_kept(r, err);
}

/* ---- the run ---- */

static hd_status run_index(run *r, int n_args, char **args, hd_error *err)
{
    const bool from_stdin = n_args == 1 && strcmp(args[0], "-") == 0;
    if (n_args == 0)
        return hd__fail(err, HD_ERR_ARG, "index: give folders or files, or - (see 'heddle index --help')");
    for (int i = 0; i < n_args && !from_stdin; i++)
        if (strcmp(args[i], "-") == 0)
            return hd__fail(err, HD_ERR_ARG, "index: standard input, -, is given alone");
    if (flag_watch && (from_stdin || flag_json))
        return hd__fail(err, HD_ERR_ARG, "index: --watch is for folders and files, and prints no JSON");
    HD_TRY(cli_interrupt_begin(err));
    cli_interrupt_await_commit();
    HD_TRY(set_up(r, err));
    cli_index_report_begin(&r->report);
    hd_status status;
    const cli_index_watch watch = {.index = r->index,
                                   .paths = (const char *const *)args,
                                   .n_paths = (size_t)n_args,
                                   .options = &r->ingest,
                                   .report = &r->report};
    if (from_stdin)
        status = cli_index_stdin(r->index, &r->ingest, &r->report, err);
    else if (flag_watch)
        status = cli_index_watch_run(&watch, err);
    else
        status = hd_index_add_paths(r->index, watch.paths, watch.n_paths, &r->ingest, &r->report.result, err);
    cli_index_report_end(&r->report, r->path.text, flag_json, status);
    return status;
}

static int index_command(int n_args, char **args)
{
    static run r;
    hd_error err = {0};
    const hd_status status = run_index(&r, n_args, args, &err);
    hd_index_close(r.index);
    hd_model_close(r.model);
    hd_engine_close(r.engine);
    return cli_exit_code(status, &err);
}

const cli_command cli_index_folders = {
    .name = "index",
    .arguments = "PATH...",
    .summary = "Makes an index of folders and files, or brings it up to date",
    .notes = "What is new or has changed is read, cut into passages, embedded and written; what has moved is\n"
             "noticed, what is gone is removed. Everything that was committed stays, whenever the run ends:\n"
             "the next one goes on. Markdown, text, HTML, PDF, DOCX, PPTX, EPUB, source code, CSV, JSON and\n"
             "JSON lines ({\"id\", \"text\", \"title\", \"metadata\", ...}) are read; .gitignore and .heddleignore count.\n"
             "A path may be a pattern in quotes, with ** for any folders, as in .gitignore.\n"
             "The index is one file: .heddle.db of the working folder, unless a folder above has one.\n\n"
             "  heddle index .\n"
             "  heddle index 'docs/**/*.md' src\n"
             "  heddle index --watch ~/notes ~/papers\n"
             "  heddle index --db books.db --exclude '*.tmp' --language german ~/books\n"
             "  heddle index - < documents.jsonl",
    .tables = {index_options, cli_index_model_options},
    .run = index_command,
};
