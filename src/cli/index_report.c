/* index_report.c - see index_report.h. */
#include "cli/index_report.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "cli/args.h"
#include "cli/interrupt.h"

void cli_index_report_begin(cli_index_report *report)
{
    *report = (cli_index_report){0};
    hd__buffer_init(&report->failed);
    hd__buffer_init(&report->failed_json);
    cli_progress_begin(&report->progress);
}

bool cli_index_report_progress(const hd_ingest_progress *p, void *data)
{
    cli_index_report *r = data;
    char text[200], a[32], b[32], c[32];
    double share = -1;
    if (p->state != r->state && r->progress.shown)
        cli_progress_begin(&r->progress); /* each state has its own time left */
    r->state = p->state;
    switch (p->state) {
    case HD_INGEST_SCAN: snprintf(text, sizeof text, "looking for files: %s", cli_count_text(p->n_files, a)); break;
    case HD_INGEST_READ:
        snprintf(text, sizeof text, "%s of %s files  %s chunks", cli_count_text(p->n_files_done, a),
                 cli_count_text(p->n_files, b), cli_count_text(p->n_chunks, c));
        share = p->n_bytes > 0 ? (double)p->n_bytes_done / (double)p->n_bytes : -1;
        share = share > 1 ? 1 : share;
        break;
    case HD_INGEST_GRAPH:
    case HD_INGEST_DONE:
        snprintf(text, sizeof text, "graph  %s of %s chunks", cli_count_text(p->n_files_done, a),
                 cli_count_text(p->n_files, b));
        share = p->n_files > 0 ? (double)p->n_files_done / (double)p->n_files : -1;
        break;
    }
    cli_progress_draw(&r->progress, share, text);
    return cli_interrupted() == 0;
}

/* A name may hold what a terminal takes for commands. */
static void append_shown(hd_buffer *line, const char *text)
{
    for (; *text != '\0'; text++)
        hd__buffer_append_char(line, (unsigned char)*text < 0x20 || *text == 0x7F ? '?' : *text);
}

void cli_index_report_failed(const char *path, const hd_error *why, void *data)
{
    cli_index_report *r = data;
    if (why->status == HD_ERR_UNSUPPORTED) {
        r->n_textless++;
    } else {
        hd__buffer_append_text(&r->failed, "  ");
        append_shown(&r->failed, path);
        hd__buffer_append_text(&r->failed, ": ");
        append_shown(&r->failed, why->text);
        hd__buffer_append_char(&r->failed, '\n');
    }
    r->n_failed++;
    hd__buffer_append_text(&r->failed_json, r->failed_json.len > 0 ? ", {\"path\": " : "{\"path\": ");
    hd__buffer_append_json(&r->failed_json, hd__span_of(path));
    hd__buffer_append_text(&r->failed_json, ", \"status\": ");
    hd__buffer_append_json(&r->failed_json, hd__span_of(hd_status_name(why->status)));
    hd__buffer_append_text(&r->failed_json, ", \"error\": ");
    hd__buffer_append_json(&r->failed_json, hd__span_of(why->text));
    hd__buffer_append_char(&r->failed_json, '}');
}

/* "12 added, 3 changed": what there was of each. */
static void append_counts(hd_buffer *line, const cli_index_report *r)
{
    const hd_ingest_progress *p = &r->result;
    const struct {
        uint64_t n;
        const char *what;
    } counts[] = {{p->n_added, "added"},          {p->n_changed, "changed"},     {p->n_moved, "moved"},
                  {p->n_removed, "removed"},      {p->n_unchanged, "unchanged"}, {p->n_failed - r->n_textless, "failed"},
                  {r->n_textless, "without text"}};
    char text[32];
    const size_t before = line->len;
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++)
        if (counts[i].n > 0)
            hd__buffer_printf(line, "%s%s %s", line->len > before ? ", " : "", cli_count_text(counts[i].n, text),
                              counts[i].what);
    if (line->len == before)
        hd__buffer_append_text(line, "nothing to read");
}

static void print_failures(const cli_index_report *r)
{
    char text[32];
    if (r->failed.len > 0)
        fprintf(stderr, "Could not be read:\n%.*s", (int)(r->failed.len < 1u << 24 ? r->failed.len : 1u << 24),
                r->failed.ptr);
    if (r->n_textless > 0)
        fprintf(stderr, "%s %s of a kind that no text can be got from%s\n", cli_count_text(r->n_textless, text),
                r->n_textless == 1 ? "file is" : "files are", r->failed.len > 0 ? " beside these" : "; --json lists them");
}

static void print_json(const cli_index_report *r, const char *index, double seconds, hd_status status)
{
    const hd_ingest_progress *p = &r->result;
    hd_buffer line;
    hd__buffer_init(&line);
    hd__buffer_append_text(&line, "{\"index\": ");
    hd__buffer_append_json(&line, hd__span_of(index));
    hd__buffer_printf(&line, ", \"complete\": %s", status == HD_OK ? "true" : "false");
    const struct {
        const char *name;
        uint64_t n;
    } counts[] = {{"files", p->n_files},         {"bytes", p->n_bytes},   {"added", p->n_added},
                  {"changed", p->n_changed},     {"moved", p->n_moved},   {"removed", p->n_removed},
                  {"unchanged", p->n_unchanged}, {"failed", p->n_failed}, {"chunks", p->n_chunks},
                  {"tokens", p->n_tokens}};
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++)
        hd__buffer_printf(&line, ", \"%s\": %llu", counts[i].name, (unsigned long long)counts[i].n);
    hd__buffer_printf(&line, ", \"seconds\": %.3f, \"failures\": [", seconds);
    hd__buffer_append(&line, r->failed_json.ptr, r->failed_json.len);
    hd__buffer_append_text(&line, "]}\n");
    fwrite(line.ptr, 1, line.failed ? 0 : line.len, stdout);
    hd__buffer_clear(&line);
}

static void print_summary(const cli_index_report *r, const char *index, double seconds)
{
    const hd_ingest_progress *p = &r->result;
    char chunks[32], rate[32];
    hd_buffer line;
    hd__buffer_init(&line);
    hd__buffer_printf(&line, "%s: ", index);
    append_counts(&line, r);
    if (p->n_chunks > 0)
        hd__buffer_printf(&line, "; %s chunks in %.1f s, %s chunks/s", cli_count_text(p->n_chunks, chunks), seconds,
                          cli_count_text((uint64_t)((double)p->n_chunks / seconds + 0.5), rate));
    if (!line.failed)
        printf("%.*s\n", (int)line.len, line.ptr);
    hd__buffer_clear(&line);
}

/* Whether a document is not as it was, or could not be read. */
static bool has_news(const hd_ingest_progress *p)
{
    return p->n_added + p->n_changed + p->n_moved + p->n_removed + p->n_failed > 0;
}

void cli_index_report_end(cli_index_report *r, const char *index, bool json, hd_status status)
{
    const bool has_begun = has_news(&r->result) || r->result.n_unchanged > 0;
    const double seconds = cli_progress_seconds(&r->progress);
    cli_progress_end(&r->progress);
    if (json) {
        print_json(r, index, seconds, status);
    } else if (!cli_quiet && (status == HD_OK || (status == HD_ERR_CANCELLED && has_begun))) {
        print_summary(r, index, seconds);
        print_failures(r);
    }
    hd__buffer_clear(&r->failed);
    hd__buffer_clear(&r->failed_json);
}

void cli_index_report_turn(cli_index_report *r)
{
    cli_progress_end(&r->progress);
    if (!cli_quiet && has_news(&r->result)) {
        const time_t now = time(NULL);
        struct tm local;
        char clock[16] = "";
        hd_buffer line;
        hd__buffer_init(&line);
        if (localtime_r(&now, &local) != NULL)
            strftime(clock, sizeof clock, "%H:%M:%S ", &local);
        append_counts(&line, r);
        if (!line.failed)
            printf("%s%.*s\n", clock, (int)line.len, line.ptr);
        fflush(stdout);
        hd__buffer_clear(&line);
        print_failures(r);
    }
    hd__buffer_clear(&r->failed);
    hd__buffer_clear(&r->failed_json);
    cli_index_report_begin(r);
}
