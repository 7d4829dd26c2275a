/* serve_config.h - what `heddle serve` was asked for: flags, environment, key files, sockets from systemd. */
#ifndef HD_CLI_SERVE_CONFIG_H
#define HD_CLI_SERVE_CONFIG_H

#include "cli/config.h"
#include "serve/server.h"
#include "wire/service.h"

typedef struct cli_serve_config {
    cli_config base;
    cli_texts models; /* at least one */
    hd_server_options server;
    hd_wire_settings settings;
    uint32_t timeout_ms;
    const char *redis_url; /* NULL: none */
    uint32_t redis_timeout_ms, redis_ttl_s;
    bool preload, strict_model, log_json, no_access_log;
    hd_arena arena; /* keys, and what the options point to */
} cli_serve_config;

extern const cli_option cli_serve_options[], cli_serve_limit_options[];

/* After cli_args_parse. Errors name the flag, the variable or the file. */
HD_MUST_USE hd_status cli_serve_config_load(cli_serve_config *config, hd_error *err);
void cli_serve_config_clear(cli_serve_config *config);

/* The flag's value, or the variable's; NULL when there is none or it is empty. */
const char *cli_setting(const char *flag, const char *variable);

/* Whether a variable says 1, true, yes or on. */
bool cli_is_switched_on(const char *variable);

/* Tells the service manager, if there is one, how things are: "READY=1", "STOPPING=1" (sd_notify(3)). */
void cli_service_notify(const char *state);

#endif
