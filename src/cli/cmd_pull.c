/* cmd_pull.c - `heddle pull`: a model from a hub, a folder or an archive into the store. */
#include <stdio.h>

#include "base/alloc.h"
#include "base/file.h"
#include "cli/commands.h"
#include "cli/config.h"
#include "cli/interrupt.h"
#include "cli/progress.h"
#include "remote/hub.h"

static const char *flag_as, *flag_subfolder, *flag_endpoint;
static bool flag_force, flag_offline;

static const cli_option pull_options[] = {
    {.name = "as", .value = "OWNER/NAME", .text = &flag_as, .help = "what a folder or archive is to be called"},
    {.name = "subfolder",
     .value = "PATH",
     .text = &flag_subfolder,
     .help = "the folder inside an archive that is the model (default: the one with config.json)"},
    {.name = "endpoint",
     .value = "URL",
     .text = &flag_endpoint,
     .help = "another hub (default: $HF_ENDPOINT, else the public one)"},
    {.name = "force", .flag = &flag_force, .help = "again, although it is there"},
    {.name = "offline", .flag = &flag_offline, .help = "only say where it is"},
    {0},
};

static bool show(const hd_pull_progress *now, void *data)
{
    char text[160], done[32], total[32];
    double share = now->bytes_total != 0 ? (double)now->bytes_done / (double)now->bytes_total : -1;
    if (now->n_files == 0) /* the list of them is still to come */
        snprintf(text, sizeof text, "%s", now->file);
    else
        snprintf(text, sizeof text, "%u/%u %-24.60s %s of %s", now->file_index + 1, now->n_files, now->file,
                 cli_bytes_text(now->bytes_done, done),
                 now->bytes_total != 0 ? cli_bytes_text(now->bytes_total, total) : "?");
    cli_progress_draw(data, share, text);
    return cli_interrupted() == 0;
}

/* Of a model on the hub, and not of a folder or an archive here, whatever it is. */
static bool is_a_name(const char *source)
{
    return !hd__path_is_meant(source) && !hd__dir_exists(source) && !hd__file_exists(source);
}

static hd_status run_pull(int n_args, char **args, char **path, hd_error *err)
{
    if (n_args != 1)
        return hd__fail(err, HD_ERR_ARG, "pull: give one model: OWNER/NAME[@REVISION], a folder or an archive");
    if (flag_force && flag_offline)
        return hd__fail(err, HD_ERR_ARG, "pull: give --force or --offline, not both");
    if ((flag_as != NULL || flag_subfolder != NULL) && is_a_name(args[0]))
        return hd__fail(err, HD_ERR_ARG, "pull: --%s is for a folder or an archive, and '%s' is neither",
                        flag_as != NULL ? "as" : "subfolder", args[0]);
    cli_config config;
    HD_TRY(cli_config_load(&config, err));
    HD_TRY(cli_interrupt_begin(err));
    cli_progress progress;
    cli_progress_begin(&progress);
    const hd_pull_options options = {
        .cache_dir = config.cache_dir,
        .endpoint = flag_endpoint,
        .token = flag_endpoint == NULL ? cli_config_hub_token() : NULL,
        .as_name = flag_as,
        .subfolder = flag_subfolder,
        .force = flag_force,
        .offline = flag_offline,
        .on_progress = show,
        .progress_data = &progress,
    };
    hd_status status = hd__hub_pull(args[0], &options, path, err);
    cli_progress_end(&progress);
    return status;
}

static int pull(int n_args, char **args)
{
    hd_error err = {0};
    char *path = NULL;
    hd_status status = run_pull(n_args, args, &path, &err);
    if (status == HD_OK)
        printf("%s\n", path);
    hd__free(path);
    return cli_exit_code(status, &err);
}

const cli_command cli_pull = {
    .name = "pull",
    .arguments = "OWNER/NAME[@REVISION] | FOLDER | ARCHIVE",
    .summary = "Gets a model and prints the folder it is in",
    .notes = "Downloads are resumed, checked against the hub's hashes and appear only when complete. What the\n"
             "Hugging Face cache holds is used as it is. HF_ENDPOINT and HF_TOKEN are honoured.\n\n"
             "  heddle pull BAAI/bge-small-en-v1.5\n"
             "  heddle pull ./my-model --as me/my-model",
    .tables = {pull_options, cli_store_options},
    .run = pull,
};
