/* args.c - see args.h. */
#include "cli/args.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool cli_want_help, cli_quiet, cli_verbose;

static const cli_option common_options[] = {
    {.letter = 'q', .name = "quiet", .help = "no progress bar, no notices", .flag = &cli_quiet},
    {.letter = 'v', .name = "verbose", .help = "say what is being done", .flag = &cli_verbose},
    {.letter = 'h', .name = "help", .help = "this text", .flag = &cli_want_help},
    {0},
};

/* The i-th option of a command, its own tables first, then the common ones; NULL after the last. */
static const cli_option *option_at(const cli_command *command, size_t i)
{
    for (size_t t = 0; t <= CLI_MAX_TABLES; t++) {
        const cli_option *table = t < CLI_MAX_TABLES ? command->tables[t] : common_options;
        for (; table != NULL && table->name != NULL; table++)
            if (i-- == 0)
                return table;
    }
    return NULL;
}

/* ---- hints ---- */

/* Edits (insert, delete, replace) from a to b, for words shorter than 32 letters. */
static unsigned edit_distance(const char *a, const char *b)
{
    unsigned row[33];
    size_t n = strlen(b);
    if (strlen(a) > 31 || n > 31)
        return 99;
    for (unsigned j = 0; j <= n; j++)
        row[j] = j;
    for (unsigned i = 1; *a != '\0'; a++, i++) {
        unsigned diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= n; j++) {
            unsigned best = diagonal + (*a != b[j - 1]);
            diagonal = row[j];
            best = best < row[j] + 1 ? best : row[j] + 1;
            row[j] = best < row[j - 1] + 1 ? best : row[j - 1] + 1;
        }
    }
    return row[n];
}

const char *cli_closest(const char *typed, const char *const *names)
{
    const char *closest = NULL;
    for (unsigned best = 3; *names != NULL; names++) {
        unsigned distance = edit_distance(typed, *names);
        if (distance < best && distance < strlen(typed)) { /* a letter of it is left */
            best = distance;
            closest = *names;
        }
    }
    return closest;
}

/* typed: the argument. letter: which of its letters is unknown; 0: it is a long option. */
static hd_status unknown_option(const cli_command *command, const char *typed, char letter, hd_error *err)
{
    const char *names[64];
    char name[32];
    size_t n = 0;
    for (const cli_option *option; n < 63 && (option = option_at(command, n)) != NULL; n++)
        names[n] = option->name;
    names[n] = NULL;
    snprintf(name, sizeof name, "%.*s", (int)strcspn(typed, "="), typed);
    const char *closest = letter == 0 || name[2] != '\0' ? cli_closest(name + (letter == 0 ? 2 : 1), names) : NULL;
    if (closest != NULL)
        return hd__fail(err, HD_ERR_ARG, "%s: unknown option '%s': did you mean '--%s'?", command->name, name, closest);
    if (letter > 0 && typed[2] != '\0') /* ASCII */
        return hd__fail(err, HD_ERR_ARG, "%s: unknown option '-%c' in '%s' (see 'heddle %s --help')", command->name, letter,
                        typed, command->name);
    return hd__fail(err, HD_ERR_ARG, "%s: unknown option '%s' (see 'heddle %s --help')", command->name, typed,
                    command->name);
}

/* ---- parsing ---- */

static hd_status set_number(const cli_option *option, const char *value, hd_error *err)
{
    char *end;
    errno = 0;
    unsigned long long number = strtoull(value, &end, 10);
    if (*value < '0' || *value > '9' || *end != '\0' || errno != 0 || number < option->min || number > option->max)
        return hd__fail(err, HD_ERR_ARG, "--%s: '%s' is not a number from %u to %u", option->name, value, option->min,
                        option->max);
    *option->number = (uint32_t)number;
    return HD_OK;
}

/* By its letter, or, letter 0, by the name that an argument "--name" or "--name=value" begins with. */
static const cli_option *find_option(const cli_command *command, char letter, const char *arg)
{
    const cli_option *option;
    for (size_t i = 0; (option = option_at(command, i)) != NULL; i++) {
        size_t len = strlen(option->name);
        if (letter != 0 ? letter == option->letter
                        : strncmp(arg + 2, option->name, len) == 0 && (arg[2 + len] == '=' || arg[2 + len] == '\0'))
            return option;
    }
    return NULL;
}

static hd_status set_value(const cli_command *command, const cli_option *option, const char *value, hd_error *err)
{
    if (*value == '\0' && (strncmp(option->value, "FILE", 4) == 0 || strcmp(option->value, "PATH") == 0))
        return hd__fail(err, HD_ERR_ARG, "%s: '--%s' is empty, and no name of a file", command->name, option->name);
    if (option->number != NULL)
        return set_number(option, value, err);
    if (option->texts == NULL) {
        *option->text = value;
        return HD_OK;
    }
    if (option->texts->n == CLI_MAX_TEXTS)
        return hd__fail(err, HD_ERR_ARG, "--%s: given more than %d times", option->name, CLI_MAX_TEXTS);
    option->texts->items[option->texts->n++] = value;
    return HD_OK;
}

/* Arguments, and how far they have been read. */
typedef struct line {
    int n, at;
    char **args;
} line;

/* The option's value: `attached` to it, or the next argument. */
static hd_status take_value(const cli_command *command, const cli_option *option, const char *attached, line *l,
                            hd_error *err)
{
    if (attached == NULL && l->at + 1 >= l->n)
        return hd__fail(err, HD_ERR_ARG, "%s: '--%s' needs a value (%s)", command->name, option->name, option->value);
    return set_value(command, option, attached != NULL ? attached : l->args[++l->at], err);
}

static hd_status take_long(const cli_command *command, line *l, hd_error *err)
{
    const char *arg = l->args[l->at], *equals = strchr(arg, '=');
    const cli_option *option = find_option(command, 0, arg);
    if (option == NULL)
        return unknown_option(command, arg, 0, err);
    if (option->value != NULL)
        return take_value(command, option, equals != NULL ? equals + 1 : NULL, l, err);
    if (equals != NULL)
        return hd__fail(err, HD_ERR_ARG, "%s: '--%s' takes no value", command->name, option->name);
    *option->flag = true;
    return HD_OK;
}

/* "-abc": flags, of which the last may be an option with a value, in the same argument or the next. */
static hd_status take_letters(const cli_command *command, line *l, hd_error *err)
{
    const char *arg = l->args[l->at];
    for (const char *letter = arg + 1; *letter != '\0'; letter++) {
        const cli_option *option = find_option(command, *letter, NULL);
        if (option == NULL)
            return unknown_option(command, arg, *letter, err);
        if (option->value != NULL)
            return take_value(command, option, letter[1] != '\0' ? letter + 1 : NULL, l, err);
        *option->flag = true;
    }
    return HD_OK;
}

hd_status cli_args_parse(const cli_command *command, int *n_args, char **args, hd_error *err)
{
    int n_kept = 0;
    bool options_end = false;
    line l = {.n = *n_args, .args = args};
    for (; l.at < l.n; l.at++) {
        char *arg = args[l.at];
        if (options_end || arg[0] != '-' || arg[1] == '\0')
            args[n_kept++] = arg;
        else if (strcmp(arg, "--") == 0)
            options_end = true;
        else
            HD_TRY(arg[1] == '-' ? take_long(command, &l, err) : take_letters(command, &l, err));
    }
    *n_args = n_kept;
    return HD_OK;
}

/* ---- help ---- */

#define HELP_COLUMN 28
#define HELP_WIDTH 92

/* Prints text from `column` on, broken at blanks and indented to HELP_COLUMN. */
static void print_wrapped(const char *text, int column)
{
    int at = column;
    while (*text != '\0') {
        int len = (int)strcspn(text, " ");
        if (at > HELP_COLUMN && at + 1 + len > HELP_WIDTH) {
            printf("\n%*s", HELP_COLUMN, "");
            at = HELP_COLUMN;
        } else if (at > HELP_COLUMN) {
            putchar(' ');
            at++;
        }
        printf("%.*s", len, text);
        at += len;
        text += len;
        text += *text == ' ';
    }
    putchar('\n');
}

void cli_args_help(const cli_command *command)
{
    printf("usage: heddle %s [options]%s%s\n\n%s.\n\n", command->name, command->arguments[0] != 0 ? " " : "",
           command->arguments, command->summary);
    const cli_option *option;
    for (size_t i = 0; (option = option_at(command, i)) != NULL; i++) {
        char left[64];
        int n = snprintf(left, sizeof left, "  %c%c%c --%s %s", option->letter != 0 ? '-' : ' ',
                         option->letter != 0 ? option->letter : ' ', option->letter != 0 ? ',' : ' ', option->name,
                         option->value != NULL ? option->value : "");
        printf("%-*s", HELP_COLUMN, left);
        if (n >= HELP_COLUMN)
            printf("\n%*s", HELP_COLUMN, "");
        print_wrapped(option->help, HELP_COLUMN);
    }
    if (command->notes != NULL)
        printf("\n%s\n", command->notes);
}
