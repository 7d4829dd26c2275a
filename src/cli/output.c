/* output.c - see output.h. */
#include "cli/output.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/interrupt.h"

#define FLUSH_BYTES (64u << 10)

static hd_status open_file(cli_output *output, const char *path, hd_error *err)
{
    struct stat st;
    bool exists = stat(path, &st) == 0;
    if (exists && S_ISDIR(st.st_mode))
        return hd__fail(err, HD_ERR_IO, "%s: is a folder", path);
    if (exists && !S_ISREG(st.st_mode)) { /* a device or a pipe cannot be replaced, only written to */
        output->fd = open(path, O_WRONLY | O_CLOEXEC);
        return output->fd >= 0 ? HD_OK : hd__fail_errno(err, errno, "%s: cannot open", path);
    }
    char target[PATH_MAX]; /* where a symbolic link points: the link is to stay */
    HD_TRY(hd__file_writer_open(&output->writer, exists && realpath(path, target) != NULL ? target : path, err));
    output->to_file = true;
    cli_interrupt_guard_file(output->writer.temp_path);
    return HD_OK;
}

hd_status cli_output_open(cli_output *output, const char *path, hd_error *err)
{
    *output = (cli_output){.name = path, .fd = -1};
    hd__buffer_init(&output->pending);
    if (strcmp(path, "-") != 0)
        return open_file(output, path, err);
    output->name = "standard output";
    output->fd = STDOUT_FILENO;
    return HD_OK;
}

static hd_status write_all(cli_output *output, hd_span bytes, hd_error *err)
{
    while (bytes.len > 0) {
        ssize_t n = write(output->fd, bytes.ptr, bytes.len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EPIPE)
            return hd__fail(err, HD_ERR_IO, "%s", "");
        if (n < 0)
            return hd__fail_errno(err, errno, "%s: cannot write", output->name);
        bytes = hd__span(bytes.ptr + n, bytes.len - (size_t)n);
    }
    return HD_OK;
}

hd_status cli_output_flush(cli_output *output, bool all, hd_error *err)
{
    if (output->pending.failed)
        return hd__fail(err, HD_ERR_MEMORY, "%s: no memory for a row", output->name);
    if (!all && output->pending.len < FLUSH_BYTES)
        return HD_OK;
    if (output->to_file) {
        hd__file_writer_add(&output->writer, hd__buffer_span(&output->pending));
        if (output->writer.failed_errno != 0)
            return hd__fail_errno(err, output->writer.failed_errno, "%s: cannot write", output->name);
    } else {
        HD_TRY(write_all(output, hd__buffer_span(&output->pending), err));
    }
    hd__buffer_reset(&output->pending);
    return HD_OK;
}

hd_status cli_output_patch(cli_output *output, hd_span header, hd_error *err)
{
    HD_TRY(cli_output_flush(output, true, err));
    if (pwrite(output->writer.fd, header.ptr, header.len, 0) != (ssize_t)header.len)
        return hd__fail_errno(err, errno, "%s: cannot write", output->name);
    return HD_OK;
}

hd_status cli_output_commit(cli_output *output, hd_error *err)
{
    hd_status status = cli_output_flush(output, true, err);
    if (status == HD_OK && output->to_file) {
        cli_interrupt_guard_file(NULL);
        status = hd__file_writer_commit(&output->writer, err);
        output->to_file = false;
    } else if (status == HD_OK && output->fd != STDOUT_FILENO && close(output->fd) != 0) {
        status = hd__fail_errno(err, errno, "%s: cannot write", output->name);
    }
    output->fd = status == HD_OK ? -1 : output->fd;
    cli_output_abandon(output);
    return status;
}

void cli_output_abandon(cli_output *output)
{
    if (output->to_file) {
        cli_interrupt_guard_file(NULL);
        hd__file_writer_abandon(&output->writer);
        output->to_file = false;
    } else if (output->fd > STDERR_FILENO) {
        close(output->fd);
    }
    output->fd = -1;
    hd__buffer_clear(&output->pending);
}
