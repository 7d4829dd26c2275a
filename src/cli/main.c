/* main.c - `heddle COMMAND`: finds the command, prints help and errors, exits. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "cli/commands.h"
#include "cli/interrupt.h"

static const cli_command *const commands[] = {&cli_embed,  &cli_rerank,  &cli_index_folders, &cli_search,   &cli_eval,
                                              &cli_tune,   &cli_db,      &cli_serve,         &cli_health,   &cli_pull,
                                              &cli_models, &cli_convert, &cli_quantize,      &cli_tokenize, &cli_info,
                                              &cli_bench,  &cli_kcheck};
#define N_COMMANDS (sizeof commands / sizeof commands[0])

int cli_exit_code(hd_status status, const hd_error *err)
{
    if (status == HD_OK)
        return CLI_EXIT_OK;
    if (cli_interrupted() != 0)
        return CLI_EXIT_SIGNAL + cli_interrupted();
    if (err->text[0] != '\0')
        fprintf(stderr, "heddle: %s\n", err->text);
    return status == HD_ERR_ARG ? CLI_EXIT_USAGE : CLI_EXIT_FAILURE;
}

static void print_help(void)
{
    bool color = isatty(STDOUT_FILENO) == 1 && getenv("NO_COLOR") == NULL;
    const char *bold = color ? "\x1b[1m" : "", *dim = color ? "\x1b[2m" : "", *plain = color ? "\x1b[0m" : "";
    printf("%sheddle%s %s - text in, vectors out, at the speed of the machine\n\n", bold, plain, hd_version());
    for (size_t i = 0; i < N_COMMANDS; i++)
        printf("  %sheddle %-9s%s %s\n", bold, commands[i]->name, plain, commands[i]->summary);
    printf("\n%sTry%s\n\n", dim, plain);
    printf("  heddle embed \"a sentence\" \"another one\"\n"
           "  heddle embed --input passages.txt --output vectors.npy --dtype int8\n"
           "  heddle embed --help\n");
}

static int unknown_command(const char *typed)
{
    const char *names[N_COMMANDS + 1] = {NULL};
    for (size_t i = 0; i < N_COMMANDS; i++)
        names[i] = commands[i]->name;
    const char *closest = cli_closest(typed, names);
    if (closest != NULL)
        fprintf(stderr, "heddle: unknown command '%s': did you mean '%s'?\n", typed, closest);
    else
        fprintf(stderr, "heddle: unknown command '%s' (see 'heddle --help')\n", typed);
    return CLI_EXIT_USAGE;
}

static int run_command(const cli_command *command, int n_args, char **args)
{
    hd_error err = {0};
    hd_status status = command->prepare != NULL ? command->prepare(&n_args, &args, &err) : HD_OK;
    if (status == HD_OK && !command->hands_on)
        status = cli_args_parse(command, &n_args, args, &err);
    if (status != HD_OK)
        return cli_exit_code(status, &err);
    if (cli_want_help) {
        cli_args_help(command);
        return CLI_EXIT_OK;
    }
    hd__log_set_level(cli_quiet ? HD_LOG_ERROR : cli_verbose ? HD_LOG_DEBUG : HD_LOG_WARN);
    return command->run(n_args, args);
}

static int run_named(const char *name, int n_args, char **args)
{
    for (size_t i = 0; i < N_COMMANDS; i++)
        if (strcmp(name, commands[i]->name) == 0)
            return run_command(commands[i], n_args, args);
    return unknown_command(name);
}

static bool asks_for_help(const char *arg)
{
    return strcmp(arg, "help") == 0 || strcmp(arg, "--help") == 0 || strcmp(arg, "-h") == 0;
}

static int run_program(int argc, char **argv)
{
    static char help_option[] = "--help";
    if (argc > 2 && strcmp(argv[1], "help") == 0 && !asks_for_help(argv[2]))
        return run_named(argv[2], 1, (char *[]){argv[2], help_option, NULL} + 1);
    if (argc < 2 || asks_for_help(argv[1])) {
        print_help();
        return CLI_EXIT_OK;
    }
    if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0) {
        printf("heddle %s\n", hd_version());
        return CLI_EXIT_OK;
    }
    return run_named(argv[1], argc - 2, argv + 2);
}

/* A standard file that the caller has closed would be the next one that is opened: texts would be read from it, or messages
 * written into it. What stands in its place can only be used the other way round, so that using it is an error. */
static void hold_standard_files(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0)
            (void)open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY); /* the lowest that is free: fd */
}

int main(int argc, char **argv)
{
    hold_standard_files();
    const struct sigaction ignore = {.sa_handler = SIG_IGN};
    sigaction(SIGPIPE, &ignore, NULL); /* a closed pipe is an error of write(), */
    sigaction(SIGXFSZ, &ignore, NULL); /* and so is a file of more than `ulimit -f` */
    int code = run_program(argc, argv);
    if (fflush(stdout) == 0)
        return code;
    if (errno != EPIPE && code == CLI_EXIT_OK)
        fprintf(stderr, "heddle: standard output: cannot write: %s\n", strerror(errno));
    return code != CLI_EXIT_OK ? code : CLI_EXIT_FAILURE;
}
