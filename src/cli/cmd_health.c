/* cmd_health.c - `heddle health`: exits with 0 when the server on this machine is well; for containers and scripts.
 *
 * Without options it asks where `heddle serve` would listen with this environment. In a container, where the server, or
 * an init that starts it, is the first process, the server's own start line counts as well, so that
 * `docker run --init heddle --port 9000` is found.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/commands.h"
#include "cli/serve_config.h"
#include "cli/start_line.h"
#include "remote/probe.h"

#define MOST_ARGUMENTS 1024

static const char *flag_host, *flag_port, *flag_uds;
static bool flag_ready, flag_tls;
static uint32_t flag_timeout = 3;

static const cli_option health_options[] = {
    {.name = "host",
     .value = "HOST",
     .text = &flag_host,
     .help = "where it listens (default: as the server's own settings say)"},
    {.letter = 'p', .name = "port", .value = "PORT", .text = &flag_port, .help = "and on which port"},
    {.name = "uds", .value = "PATH", .text = &flag_uds, .help = "or on which Unix socket"},
    {.name = "tls", .flag = &flag_tls, .help = "it speaks HTTPS"},
    {.name = "ready", .flag = &flag_ready, .help = "ask whether it is ready for work, not only whether it lives"},
    {.name = "timeout", .value = "SECONDS", .number = &flag_timeout, .min = 1, .max = 3600, .help = "(default: 3)"},
    {0},
};

/* Where to ask. */
typedef struct address {
    const char *host, *port, *uds;
    bool tls;
} address;

/* "--name=value" or "--name value" among a server's arguments; NULL: not there. */
static const char *value_of(const cli_start_line *line, const char *name)
{
    const char *found = NULL;
    const size_t n = strlen(name);
    for (size_t i = 0; i < line->n_args; i++) {
        const char *arg = line->args[i];
        if (strncmp(arg, "--", 2) != 0 || strncmp(arg + 2, name, n) != 0)
            continue;
        if (arg[2 + n] == '=')
            found = arg + 3 + n;
        else if (arg[2 + n] == '\0' && i + 1 < line->n_args)
            found = line->args[i + 1];
    }
    return found;
}

/* The server's arguments in the first process's, which is `heddle serve` or an init that was told to start it. */
static size_t first_process(hd_arena *arena, char *args[MOST_ARGUMENTS])
{
    static const char path[] = "/proc/1/cmdline";
    char text[4096];
    size_t n = 0;
    FILE *file = fopen(path, "rb"); /* has no size: hd__file_read cannot read it */
    if (file == NULL)
        return 0;
    const size_t len = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[len] = '\0';
    bool is_heddle = false, is_server = false;
    for (size_t at = 0; at < len && n < MOST_ARGUMENTS; at += strlen(text + at) + 1) {
        const char *arg = text + at, *slash = strrchr(arg, '/');
        if (is_server && (args[n] = hd__arena_strndup(arena, arg, strlen(arg))) != NULL)
            n++;
        is_server |= is_heddle && strcmp(arg, "serve") == 0;
        is_heddle = strcmp(slash != NULL ? slash + 1 : arg, "heddle") == 0;
    }
    return n;
}

static hd_status check_port(const char *source, const char *text, hd_error *err)
{
    char *end;
    const unsigned long port = strtoul(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end != '\0' || port < 1 || port > 65535)
        return hd__fail(err, HD_ERR_ARG, "%s: '%s' is not a port from 1 to 65535", source, text);
    return HD_OK;
}

static hd_status find_server(hd_arena *arena, address *where, hd_error *err)
{
    char *args[MOST_ARGUMENTS];
    cli_start_line line;
    HD_TRY(cli_start_line_translate(first_process(arena, args), args, environ, arena, &line, err));
    where->host = cli_setting(flag_host != NULL ? flag_host : value_of(&line, "host"), "HEDDLE_HOST");
    where->port = cli_setting(flag_port != NULL ? flag_port : value_of(&line, "port"), "HEDDLE_PORT");
    where->uds = cli_setting(flag_uds != NULL ? flag_uds : value_of(&line, "uds"), "HEDDLE_UDS");
    where->tls = flag_tls || cli_setting(value_of(&line, "tls-cert"), "HEDDLE_TLS_CERT") != NULL;
    if (flag_host != NULL || flag_port != NULL)
        where->uds = flag_uds;
    if (where->host == NULL || strcmp(where->host, "0.0.0.0") == 0)
        where->host = "127.0.0.1";
    else if (strcmp(where->host, "::") == 0)
        where->host = "::1";
    if (where->port == NULL)
        where->port = "8080";
    const char *source = value_of(&line, "port") != NULL ? "the server's --port" : "HEDDLE_PORT";
    return where->uds == NULL ? check_port(flag_port != NULL ? "--port" : source, where->port, err) : HD_OK;
}

static hd_status check_usage(int n_args, char **args, hd_error *err)
{
    if (n_args > 0)
        return hd__fail(err, HD_ERR_ARG, "health: unexpected argument '%s'", args[0]);
    if (flag_uds != NULL && (flag_host != NULL || flag_port != NULL))
        return hd__fail(err, HD_ERR_ARG, "health: give --uds or --host and --port, not both");
    return HD_OK;
}

static hd_status ask(hd_arena *arena, hd_error *err)
{
    address where;
    HD_TRY(find_server(arena, &where, err));
    const bool is_v6 = strchr(where.host, ':') != NULL;
    const char *url = hd__arena_printf(arena, "%s://%s%s%s:%s/%s", where.tls ? "https" : "http", is_v6 ? "[" : "",
                                       where.host, is_v6 ? "]" : "", where.port, flag_ready ? "ready" : "health");
    if (url == NULL)
        return hd__fail(err, HD_ERR_MEMORY, "no memory");
    return hd__probe(url, where.uds, flag_timeout * 1000, err);
}

static int health(int n_args, char **args)
{
    hd_error err = {0};
    hd_arena arena;
    hd__arena_init(&arena);
    hd_status status = check_usage(n_args, args, &err);
    if (status == HD_OK)
        status = ask(&arena, &err);
    hd__arena_clear(&arena);
    return cli_exit_code(status, &err);
}

const cli_command cli_health = {
    .name = "health",
    .arguments = "",
    .summary = "Says by its exit code whether the server on this machine is well",
    .tables = {health_options},
    .run = health,
};
