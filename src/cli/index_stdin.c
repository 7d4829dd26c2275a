/* index_stdin.c - see index_stdin.h. JSON lines are put piece by piece, each a transaction; any other document is read to
 * its end first.
 */
#include "cli/index_stdin.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "base/limits.h"
#include "cli/interrupt.h"
#include "ingest/block_list.h"
#include "search/handle.h"

#define PIECE_BYTES (1u << 20)
#define FIRST_LINES 8u /* tell whether a stream is JSON lines */

typedef struct stream {
    hd_buffer bytes;
    bool at_end;
    uint64_t n_pieces; /* put before */
    char id[32];       /* with a line's number the id of one that has none */
} stream;

/* Fills up to so many bytes. */
static hd_status fill(stream *s, size_t n, hd_error *err)
{
    while (s->bytes.len < n && !s->at_end) {
        struct pollfd fds[2] = {{.fd = STDIN_FILENO, .events = POLLIN}, {.fd = cli_interrupt_fd(), .events = POLLIN}};
        const bool ready = poll(fds, 2, -1) > 0;
        if (cli_interrupted() != 0)
            return hd__fail(err, HD_ERR_CANCELLED, "interrupted");
        char *room = hd__buffer_reserve(&s->bytes, n - s->bytes.len);
        if (room == NULL)
            return hd__fail(err, HD_ERR_MEMORY, "standard input: no memory for %zu bytes", n);
        const ssize_t got = ready ? read(STDIN_FILENO, room, n - s->bytes.len) : -1;
        if (got < 0 && errno != EINTR && errno != EAGAIN)
            return hd__fail_errno(err, errno, "standard input: cannot read");
        s->bytes.len += got > 0 ? (size_t)got : 0;
        s->at_end = got == 0;
    }
    return HD_OK;
}

/* lines: NULL for a document that is not JSON lines. */
static hd_status put(hd_index *index, const hd_document *document, hd_lines *lines, cli_index_report *report, hd_error *err)
{
    hd_index_stats before, after;
    HD_TRY(hd_index_get_stats(index, &before, err));
    HD_TRY(lines != NULL ? hd__index_put_lines(index, document, lines, err) : hd_index_put(index, document, 1, NULL, err));
    HD_TRY(hd_index_get_stats(index, &after, err));
    hd_ingest_progress *p = &report->result;
    p->state = HD_INGEST_READ;
    p->n_bytes += document->text.len;
    p->n_bytes_done = p->n_bytes;
    p->n_added += after.n_documents - before.n_documents;
    p->n_chunks += after.n_chunks > before.n_chunks ? after.n_chunks - before.n_chunks : 0;
    return cli_index_report_progress(p, report) ? HD_OK : hd__fail(err, HD_ERR_CANCELLED, "interrupted");
}

static hd_status put_pieces(hd_index *index, stream *s, hd_document *document, hd_lines *lines, cli_index_report *report,
                            hd_error *err)
{
    document->mime = "application/jsonl";
    document->id = s->id;
    while (s->bytes.len > 0 || !s->at_end) {
        const size_t n = hd__lines_cut(lines, &s->bytes, s->at_end);
        if (n > 0) {
            if (s->n_pieces++ > 0)
                snprintf(s->id, sizeof s->id, "stdin-%llu", (unsigned long long)s->n_pieces);
            document->text = (hd_text){s->bytes.ptr, n};
            HD_TRY(put(index, document, lines, report, err));
            memmove(s->bytes.ptr, s->bytes.ptr + n, s->bytes.len - n);
            s->bytes.len -= n;
        }
        HD_TRY(fill(s, s->bytes.len + PIECE_BYTES, err));
    }
    return HD_OK;
}

/* What is left out of a stream, also of one that was cut off, is told at the end. */
static hd_status put_lines(hd_index *index, stream *s, hd_document *document, cli_index_report *report, hd_error *err)
{
    hd_lines lines = {0};
    hd_error why = {0};
    const hd_status status = put_pieces(index, s, document, &lines, report, err);
    if (hd__lines_end(&lines, &why) != HD_OK) {
        report->result.n_failed++;
        cli_index_report_failed("standard input", &why, report);
    }
    return status;
}

/* Whether most of the first whole lines are JSON objects. Where it begins with "{", half are enough: the other half may be
 * broken, and a JSON document of several lines has few that are JSON themselves. */
static bool begins_as_lines(hd_span bytes)
{
    size_t n_lines = 0, n_objects = 0;
    for (size_t at = 0; at < bytes.len && n_lines < FIRST_LINES;) {
        const char *newline = memchr(bytes.ptr + at, '\n', bytes.len - at);
        if (newline == NULL)
            break;
        const hd_span line = hd__ascii_trim(hd__span(bytes.ptr + at, (size_t)(newline - bytes.ptr) - at));
        json_t *root = NULL;
        at = (size_t)(newline + 1 - bytes.ptr);
        n_lines += line.len > 0;
        if (hd__span_begins(line, "{") && hd__json_parse(line, "", &root, NULL) == HD_OK)
            n_objects++;
        json_decref(root);
    }
    return n_objects > 0 && 2 * n_objects + (bytes.ptr[0] == '{') > n_lines;
}

static hd_status put_stream(hd_index *index, stream *s, hd_document *document, cli_index_report *report, hd_error *err)
{
    HD_TRY(fill(s, PIECE_BYTES, err));
    if (begins_as_lines(hd__buffer_span(&s->bytes)))
        return put_lines(index, s, document, report, err);
    HD_TRY(fill(s, (size_t)HD_LIMIT_FILE_BYTES + 1, err));
    if (s->bytes.len > HD_LIMIT_FILE_BYTES)
        return hd__fail(err, HD_ERR_LIMIT, "standard input: a document of more than %u bytes", HD_LIMIT_FILE_BYTES);
    document->text = (hd_text){s->bytes.ptr, s->bytes.len};
    return put(index, document, NULL, report, err);
}

hd_status cli_index_stdin(hd_index *index, const hd_ingest_options *options, cli_index_report *report, hd_error *err)
{
    stream s = {.id = "stdin"};
    hd_document document = {.source = options->source != NULL ? options->source : "stdin",
                            .chunking = options->chunking,
                            .chunk_tokens = options->chunk_tokens,
                            .overlap_tokens = options->overlap_tokens};
    hd__buffer_init(&s.bytes);
    const hd_status status = put_stream(index, &s, &document, report, err);
    hd__buffer_clear(&s.bytes);
    return status;
}
