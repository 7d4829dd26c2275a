/* cmd_convert.c - `heddle convert`: a model in another format. */
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "cli/commands.h"
#include "cli/config.h"
#include "model/gguf_export.h"
#include "model/hub_export.h"
#include "model/locate.h"

static const char *flag_output, *flag_type;
static bool flag_packed;

static const cli_option convert_options[] = {
    {.letter = 'o',
     .name = "output",
     .value = "FILE.gguf|DIR",
     .text = &flag_output,
     .help = "a GGUF file, or the folder that a GGUF file becomes"},
    {.name = "type", .value = "TYPE", .text = &flag_type, .help = "of GGUF's matrices: f32, f16 or q8_0 (default: f16)"},
    {.name = "packed", .flag = &flag_packed, .help = "pack the weights as --dtype says, where the next start finds them"},
    {0},
};

static hd_status type_parse(const char *name, hd_tensor_type *type, hd_error *err)
{
    static const struct {
        const char *name;
        hd_tensor_type type;
    } known[] = {{"f16", HD_TENSOR_F16}, {"f32", HD_TENSOR_F32}, {"q8_0", HD_TENSOR_Q8_0}}; /* the first by default */
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (name == NULL || strcmp(name, known[i].name) == 0) {
            *type = known[i].type;
            return HD_OK;
        }
    }
    return hd__fail(err, HD_ERR_ARG, "--type: '%s' is not one of f32, f16, q8_0", name);
}

static hd_status pack(const cli_config *config, hd_error *err)
{
    hd_engine *engine = NULL;
    hd_model *model = NULL;
    hd_status status = cli_config_open(config, &engine, &model, err);
    if (status == HD_OK)
        status = hd_model_load(model, err);
    hd_model_close(model);
    hd_engine_close(engine);
    return status;
}

static bool is_gguf_name(const char *path)
{
    const size_t n = strlen(path), n_end = strlen(".gguf");
    return n > n_end && strcmp(path + n - n_end, ".gguf") == 0;
}

static hd_status write_model(const cli_config *config, hd_tensor_type type, hd_arena *arena, hd_error *err)
{
    const char *path;
    hd_settings settings;
    HD_TRY(hd__model_locate(config->model, config->cache_dir, arena, &path, err));
    const bool from_gguf = hd__file_exists(path);
    if (!is_gguf_name(flag_output))
        return from_gguf ? hd__hub_export(path, flag_output, err)
                         : hd__fail(err, HD_ERR_ARG, "convert: %s is a folder in the Hub's layout already", path);
    if (from_gguf)
        return hd__fail(err, HD_ERR_ARG, "convert: %s is a GGUF file already", path);
    HD_TRY(hd__settings_read(path, config->cache_dir, arena, &settings, err));
    return hd__gguf_export(&settings, type, flag_output, err);
}

static hd_status run_convert(int n_args, hd_error *err)
{
    cli_config config;
    hd_tensor_type type = HD_TENSOR_F16;
    hd_arena arena;
    if (n_args > 0)
        return hd__fail(err, HD_ERR_ARG, "convert: takes no arguments: name the model by --model");
    if (flag_output != NULL && flag_packed)
        return hd__fail(err, HD_ERR_ARG, "convert: give --output or --packed, not both");
    if (flag_output == NULL && !flag_packed)
        return hd__fail(err, HD_ERR_ARG, "convert: give --output FILE.gguf, --output DIR or --packed");
    if (flag_type != NULL && (flag_packed || !is_gguf_name(flag_output)))
        return hd__fail(err, HD_ERR_ARG, "convert: --type is for a GGUF file, --output FILE.gguf%s",
                        flag_packed ? "; --packed packs as --dtype says" : "");
    HD_TRY(type_parse(flag_type, &type, err));
    HD_TRY(cli_config_load(&config, err));
    if (flag_packed)
        return pack(&config, err);
    hd__arena_init(&arena);
    hd_status status = write_model(&config, type, &arena, err);
    hd__arena_clear(&arena);
    return status;
}

static int convert(int n_args, char **args)
{
    (void)args;
    hd_error err = {0};
    return cli_exit_code(run_convert(n_args, &err), &err);
}

const cli_command cli_convert = {
    .name = "convert",
    .arguments = "",
    .summary = "Writes a model in another format: GGUF, the Hub's layout, packed",
    .notes = "  heddle convert -m intfloat/e5-small-v2 --type q8_0 --output e5-small-v2-q8_0.gguf\n"
             "  heddle convert -m model.gguf --output folder\n"
             "  heddle convert -m model.gguf --packed --dtype int8",
    .tables = {cli_model_options, convert_options},
    .run = convert,
};
