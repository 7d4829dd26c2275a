/* input.c - see input.h. */
#include "cli/input.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/json.h"
#include "base/limits.h"
#include "base/utf8.h"
#include "cli/interrupt.h"
#include "ingest/block_list.h"

#define CHUNK_BYTES (64u << 10)
#define KEEP_BYTES (1u << 20) /* buffers that one long line made larger are given back */

void cli_window_clear(cli_window *window)
{
    hd__buffer_clear(&window->bytes);
    hd__free(window->texts);
    *window = (cli_window){0};
}

hd_status cli_input_format(const char *name, const char *path, bool *jsonl, hd_error *err)
{
    const char *dot = path != NULL ? strrchr(path, '.') : NULL;
    if (name == NULL) {
        *jsonl = dot != NULL && (strcmp(dot, ".jsonl") == 0 || strcmp(dot, ".ndjson") == 0);
        return HD_OK;
    }
    *jsonl = strcmp(name, "jsonl") == 0;
    if (!*jsonl && strcmp(name, "lines") != 0)
        return hd__fail(err, HD_ERR_ARG, "--input-format: '%s' is not one of lines, jsonl", name);
    return HD_OK;
}

hd_status cli_input_open(cli_input *input, const char *path, bool jsonl, bool strict, hd_error *err)
{
    *input = (cli_input){.name = path, .fd = STDIN_FILENO, .jsonl = jsonl, .strict = strict};
    if (strcmp(path, "-") == 0)
        input->name = "standard input";
    else
        input->fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    if (input->fd < 0 || fstat(input->fd, &st) != 0) {
        if (errno == ENOENT)
            return hd__fail(err, HD_ERR_NOT_FOUND, "%s: no such file", input->name);
        return hd__fail_errno(err, errno, "%s: cannot open", input->name);
    }
    input->n_bytes_total = S_ISREG(st.st_mode) ? (uint64_t)st.st_size : 0;
    input->chunk = hd__malloc(CHUNK_BYTES);
    return input->chunk != NULL ? HD_OK : hd__fail(err, HD_ERR_MEMORY, "%s: no memory to read it", input->name);
}

void cli_input_close(cli_input *input)
{
    if (input->fd > STDERR_FILENO)
        close(input->fd);
    hd__free(input->chunk);
    hd__buffer_clear(&input->line);
    hd__buffer_clear(&input->fixed);
    *input = (cli_input){.fd = -1};
}

/* Reads the next chunk. *ready is false when there is nothing now and may_wait is false. */
static hd_status read_chunk(cli_input *input, bool may_wait, bool *ready, hd_error *err)
{
    struct pollfd fds[2] = {{.fd = input->fd, .events = POLLIN}, {.fd = cli_interrupt_fd(), .events = POLLIN}};
    for (;;) {
        *ready = poll(fds, 2, may_wait ? -1 : 0) > 0 && fds[0].revents != 0;
        if (cli_interrupted() != 0)
            return hd__fail(err, HD_ERR_CANCELLED, "interrupted");
        if (!*ready && !may_wait)
            return HD_OK;
        ssize_t n = *ready ? read(input->fd, input->chunk, CHUNK_BYTES) : -1;
        if (n >= 0) {
            input->at = 0;
            input->end = (size_t)n;
            input->n_bytes += (uint64_t)n;
            input->at_end = n == 0;
            return HD_OK;
        }
        if (errno != EINTR && errno != EAGAIN)
            return hd__fail_errno(err, errno, "%s: cannot read", input->name);
    }
}

/* ---- one line ---- */

/* What is at the end of the window's bytes from `before` on is one more text. */
static hd_status add_text(const cli_input *input, cli_window *window, size_t before, hd_error *err)
{
    if (window->n == window->capacity) {
        size_t capacity = window->capacity != 0 ? 2 * window->capacity : 64;
        hd_text *texts = hd__realloc(window->texts, hd__mul(capacity, sizeof *texts));
        if (texts == NULL)
            return hd__fail(err, HD_ERR_MEMORY, "%s: no memory for %zu texts", input->name, capacity);
        window->texts = texts;
        window->capacity = capacity;
    }
    if (window->n == 0)
        window->first_line = input->n_lines;
    window->texts[window->n++] = (hd_text){NULL, window->bytes.len - before};
    return HD_OK;
}

static hd_status add_member(const cli_input *input, cli_window *window, const json_t *root, const char *member,
                            hd_error *err)
{
    const json_t *text = json_object_get(root, member);
    const size_t before = window->bytes.len;
    if (!json_is_string(text))
        return hd__fail(err, HD_ERR_FORMAT, "%s:%llu: no string member \"%s\"", input->name,
                        (unsigned long long)input->n_lines, member);
    hd__buffer_append(&window->bytes, json_string_value(text), json_string_length(text));
    return add_text(input, window, before, err);
}

/* The texts of a JSON line, appended to the window. */
static hd_status add_json(cli_input *input, cli_window *window, hd_span line, hd_error *err)
{
    hd_buffer *fixed = &input->fixed;
    if (hd__utf8_valid_len(line) < line.len) {
        hd__buffer_reset(fixed);
        for (size_t at = 0, len; at < line.len; at += len) {
            bool valid;
            char encoded[4];
            size_t n = hd__utf8_encode(hd__utf8_decode(line, at, &len, &valid), encoded);
            hd__buffer_append(fixed, encoded, n);
        }
        if (fixed->failed)
            return hd__fail(err, HD_ERR_MEMORY, "%s:%llu: no memory for %zu bytes", input->name,
                            (unsigned long long)input->n_lines, line.len);
        line = hd__buffer_span(fixed);
    }
    json_error_t why;
    json_t *root = json_loadb(line.ptr, line.len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &why);
    static const char *const text_alone[] = {"text", NULL};
    hd_status status = HD_OK;
    if (root == NULL)
        status = hd__fail(err, HD_ERR_FORMAT, "%s:%llu: not JSON: %s (column %d)", input->name,
                          (unsigned long long)input->n_lines, why.text, why.column);
    for (const char *const *m = input->members != NULL ? input->members : text_alone; *m != NULL && status == HD_OK; m++)
        status = add_member(input, window, root, *m, err);
    json_decref(root);
    return status;
}

/* A whole line, without its end. */
static hd_status add_line(cli_input *input, cli_window *window, hd_span line, hd_error *err)
{
    input->n_lines++;
    if (input->n_lines == 1 && hd__span_begins(line, "\xEF\xBB\xBF"))
        line = hd__span(line.ptr + 3, line.len - 3);
    if (line.len > 0 && line.ptr[line.len - 1] == '\r')
        line.len--;
    if (input->strict && hd__utf8_valid_len(line) < line.len)
        return hd__fail(err, HD_ERR_FORMAT, "%s:%llu: byte %zu is not UTF-8", input->name,
                        (unsigned long long)input->n_lines, hd__utf8_valid_len(line));
    if (input->jsonl)
        return hd__ascii_is_blank(line) ? HD_OK : add_json(input, window, line, err);
    const size_t before = window->bytes.len;
    hd__buffer_append(&window->bytes, line.ptr, line.len);
    return add_text(input, window, before, err);
}

/* Keeps the beginning of a line until its end is read. */
static hd_status keep_partial(cli_input *input, hd_error *err)
{
    size_t n = input->end - input->at;
    if (n > HD_LIMIT_LINE_BYTES - input->line.len)
        return hd__fail(err, HD_ERR_LIMIT, "%s:%llu: line longer than %u bytes", input->name,
                        (unsigned long long)input->n_lines + 1, HD_LIMIT_LINE_BYTES);
    hd__buffer_append(&input->line, input->chunk + input->at, n);
    input->at = input->end;
    return HD_OK;
}

/* Takes the lines of the chunk until the window is full. */
static hd_status take_lines(cli_input *input, cli_window *window, size_t max_texts, size_t max_bytes, hd_error *err)
{
    while (input->at < input->end && window->n < max_texts && window->bytes.len < max_bytes) {
        char *begin = input->chunk + input->at;
        char *newline = memchr(begin, '\n', input->end - input->at);
        if (newline == NULL)
            return keep_partial(input, err);
        size_t len = (size_t)(newline - begin);
        if (input->line.len == 0) {
            HD_TRY(add_line(input, window, hd__span(begin, len), err));
            input->at += len + 1;
            continue;
        }
        size_t end = input->end;
        input->end = input->at + len;
        hd_status status = keep_partial(input, err);
        input->end = end;
        input->at++;
        HD_TRY(status);
        if (input->line.failed)
            return hd__fail(err, HD_ERR_MEMORY, "%s: no memory for a line", input->name);
        HD_TRY(add_line(input, window, hd__buffer_span(&input->line), err));
        if (input->line.capacity > KEEP_BYTES)
            hd__buffer_clear(&input->line);
        hd__buffer_reset(&input->line);
    }
    return HD_OK;
}

hd_status cli_input_fill(cli_input *input, cli_window *window, size_t max_texts, size_t max_bytes, bool may_wait,
                         hd_error *err)
{
    if (window->bytes.capacity > 2 * max_bytes + KEEP_BYTES)
        hd__buffer_clear(&window->bytes);
    hd__buffer_reset(&window->bytes);
    window->n = 0;
    bool ready = true;
    while (ready && !input->at_end && window->n < max_texts && window->bytes.len < max_bytes) {
        if (input->at == input->end)
            HD_TRY(read_chunk(input, may_wait && window->n == 0, &ready, err));
        if (ready)
            HD_TRY(take_lines(input, window, max_texts, max_bytes, err));
    }
    if (input->at_end && input->line.len > 0 && window->n < max_texts) { /* the last line has no end */
        HD_TRY(add_line(input, window, hd__buffer_span(&input->line), err));
        hd__buffer_clear(&input->line);
    }
    if (window->bytes.failed || input->line.failed)
        return hd__fail(err, HD_ERR_MEMORY, "%s: no memory for a line", input->name);
    window->end_byte = input->n_bytes - (input->end - input->at);
    const char *at = window->bytes.ptr;
    for (size_t i = 0; i < window->n; i++) {
        window->texts[i].ptr = at;
        at = at != NULL ? at + window->texts[i].len : NULL;
    }
    return HD_OK;
}
