/* search_print.c - see search_print.h. */
#include "cli/search_print.h"

#include <math.h>
#include <string.h>

#include "base/date.h"
#include "base/float_text.h"
#include "base/utf8.h"
#include "cli/progress.h"
#include "search/fusion.h"

/* ---- JSON ---- */

static void append_text(hd_buffer *b, const char *name, const char *value)
{
    hd__buffer_printf(b, ", \"%s\": ", name);
    hd__buffer_append_json(b, hd__span_of(value));
}

static void append_real(hd_buffer *b, float value)
{
    char text[HD_FLOAT_TEXT_BYTES];
    hd__buffer_append(b, text, hd__float_text(value, text)); /* NaN: null */
}

/* Each leg that has something to say of the hit: {"bm25": 12.5, "dense": 0.61}. */
static void append_scores(hd_buffer *b, const hd_hit *hit)
{
    const char *comma = "";
    hd__buffer_append_text(b, ", \"scores\": {");
    for (size_t leg = 0; leg < HD_N_LEGS; leg++) {
        if (isnan(hit->scores[leg]))
            continue;
        hd__buffer_printf(b, "%s\"%s\": ", comma, hd__leg_names[leg]);
        append_real(b, hit->scores[leg]);
        comma = ", ";
    }
    hd__buffer_append_text(b, "}, \"ranks\": {");
    comma = "";
    for (size_t leg = 0; leg < HD_N_LEGS; leg++) {
        if (hit->ranks[leg] == 0)
            continue;
        hd__buffer_printf(b, "%s\"%s\": %u", comma, hd__leg_names[leg], hit->ranks[leg]);
        comma = ", ";
    }
    hd__buffer_append_text(b, "}, \"fused\": ");
    append_real(b, hit->fused);
    hd__buffer_printf(b, ", \"fused_rank\": %u", hit->fused_rank);
}

static void append_hit(hd_buffer *b, const hd_hit *hit, size_t rank)
{
    hd__buffer_printf(b, "{\"rank\": %zu", rank);
    append_text(b, "source", hit->source);
    append_text(b, "section", hit->section);
    append_text(b, "text", hit->text);
    hd__buffer_append_text(b, ", \"score\": ");
    append_real(b, hit->score);
    append_scores(b, hit);
    append_text(b, "document", hit->document_id);
    append_text(b, "chunk", hit->chunk_id);
    hd__buffer_printf(b, ", \"ordinal\": %u", hit->ordinal);
    append_text(b, "path", hit->path);
    append_text(b, "title", hit->title);
    append_text(b, "url", hit->url);
    append_text(b, "author", hit->author);
    append_text(b, "mime", hit->mime);
    if (hit->created_at != 0) {
        char date[HD_DATE_TEXT_BYTES];
        hd__date_text(hit->created_at, date);
        append_text(b, "created_at", date);
    }
    hd__buffer_printf(b, ", \"line\": %u, \"page\": %u, \"span\": [%u, %u]", hit->line, hit->page, hit->span.begin,
                      hit->span.end);
    append_text(b, "snippet", hit->snippet);
    hd__buffer_append_text(b, ", \"highlights\": [");
    for (size_t i = 0; i < hit->n_highlights; i++)
        hd__buffer_printf(b, "%s[%u, %u]", i > 0 ? ", " : "", hit->highlights[i].begin, hit->highlights[i].end);
    hd__buffer_printf(b, "], \"metadata\": %s}\n", hit->metadata[0] != '\0' ? hit->metadata : "{}");
}

static void append_facets(hd_buffer *b, const hd_results *results)
{
    hd__buffer_append_text(b, "{\"facets\": {");
    for (size_t i = 0; i < results->n_facets; i++) {
        hd__buffer_append_text(b, i > 0 ? ", " : "");
        hd__buffer_append_json(b, hd__span_of(results->facets[i].field));
        hd__buffer_append_text(b, ": [");
        for (size_t k = 0; k < results->facets[i].n; k++) {
            hd__buffer_append_text(b, k > 0 ? ", {\"value\": " : "{\"value\": ");
            hd__buffer_append_json(b, hd__span_of(results->facets[i].values[k].value));
            hd__buffer_printf(b, ", \"n\": %llu}", (unsigned long long)results->facets[i].values[k].n);
        }
        hd__buffer_append_text(b, "]");
    }
    hd__buffer_append_text(b, "}}\n");
}

static void append_explanation(hd_buffer *b, const hd_results *results)
{
    hd__buffer_printf(b, "{\"explain\": {\"n_matching\": %llu, \"embed_ms\": %.3f, \"total_ms\": %.3f",
                      (unsigned long long)results->n_matching, results->embed_ms, results->total_ms);
    for (size_t leg = 0; leg < HD_N_LEGS; leg++)
        if (results->leg_ms[leg] > 0)
            hd__buffer_printf(b, ", \"%s\": {\"n\": %u, \"ms\": %.3f}", hd__leg_names[leg], results->n_in_leg[leg],
                              results->leg_ms[leg]);
    append_text(b, "warning", results->warning);
    hd__buffer_append_text(b, "}}\n");
}

void cli_print_json(hd_buffer *out, const hd_results *results, uint32_t offset, bool explain)
{
    for (size_t i = 0; i < results->n; i++)
        append_hit(out, &results->hits[i], offset + i + 1);
    if (results->n_facets > 0)
        append_facets(out, results);
    if (explain)
        append_explanation(out, results);
}

/* ---- for people ---- */

typedef struct paint {
    const char *bold, *dim, *match, *plain;
} paint;

static paint paint_of(bool color)
{
    return color ? (paint){"\x1b[1m", "\x1b[2m", "\x1b[1;33m", "\x1b[0m"} : (paint){"", "", "", ""};
}

/* One character of a text that may hold anything: what a terminal would act on, and what is no UTF-8, is shown as a blank
 * or "?". Returns the bytes read. */
static size_t append_character(hd_buffer *b, hd_span text, size_t at)
{
    size_t len;
    bool valid;
    const uint32_t c = hd__utf8_decode(text, at, &len, &valid);
    if (!valid)
        hd__buffer_append_char(b, '?');
    else if (c < 0x20 || (c >= 0x7F && c < 0xA0) || (c >= 0x202A && c <= 0x202E) || (c >= 0x2066 && c <= 0x2069))
        hd__buffer_append_char(b, ' '); /* controls; marks that turn the direction of writing */
    else
        hd__buffer_append(b, text.ptr + at, len);
    return len;
}

static void append_safe(hd_buffer *b, const char *text)
{
    const hd_span span = hd__span_of(text);
    for (size_t at = 0; at < span.len;)
        at += append_character(b, span, at);
}

/* Breaks lines at blanks so that they fit; each begins with three blanks. */
static void append_snippet(hd_buffer *b, const hd_hit *hit, const paint *p, uint32_t columns)
{
    const hd_span text = hd__span_of(hit->snippet);
    uint32_t column = 3;
    size_t next = 0;
    hd__buffer_append_text(b, "   ");
    for (size_t at = 0; at < text.len;) {
        if (next < hit->n_highlights && hit->highlights[next].begin == at)
            hd__buffer_append_text(b, p->match);
        uint32_t word = 1;
        while (text.ptr[at] == ' ' && at + word < text.len && text.ptr[at + word] != ' ')
            word++;
        if (text.ptr[at] == ' ' && column + word >= columns) {
            hd__buffer_append_text(b, "\n   ");
            column = 3;
            at++;
        } else {
            at += append_character(b, text, at);
            column++;
        }
        if (next < hit->n_highlights && hit->highlights[next].end <= at) {
            hd__buffer_append_text(b, p->plain);
            next++;
        }
    }
    hd__buffer_append_text(b, "\n");
}

/* A bar of ten cells by the rank of the hit in a leg's list: full for the first. */
static void append_legs(hd_buffer *b, const hd_hit *hit, const hd_results *results, const paint *p)
{
    for (size_t leg = 0; leg < HD_N_LEGS; leg++) {
        if (isnan(hit->scores[leg]))
            continue;
        const uint32_t n = results->n_in_leg[leg], rank = hit->ranks[leg];
        const uint32_t cells = rank == 0 || n == 0 ? 0 : 10 - (uint32_t)((uint64_t)(rank - 1) * 10 / n);
        hd__buffer_printf(b, "   %s%-6s ", p->dim, hd__leg_names[leg]);
        for (uint32_t i = 0; i < 10; i++)
            hd__buffer_append_text(b, i < cells ? "\u2588" : "\u00B7");
        hd__buffer_printf(b, " %9.4f ", (double)hit->scores[leg]);
        if (rank > 0)
            hd__buffer_printf(b, " #%u", rank);
        hd__buffer_printf(b, "%s\n", p->plain);
    }
}

/* The title, unless the section begins with it; the section. */
static void append_title(hd_buffer *b, const hd_hit *hit)
{
    const bool has_title = hit->title[0] != '\0' && strncmp(hit->section, hit->title, strlen(hit->title)) != 0;
    const bool has_section = hit->section[0] != '\0';
    if (has_title)
        append_safe(b, hit->title);
    if (has_title && has_section)
        hd__buffer_append_text(b, " > ");
    append_safe(b, has_section || has_title ? hit->section : hit->document_id);
}

static void append_head(hd_buffer *b, const hd_hit *hit, size_t rank, const cli_print_style *style, const paint *p)
{
    const bool has_path = hit->path[0] != '\0';
    const size_t n_folder = strlen(style->folder);
    const bool is_below = n_folder > 1 && strncmp(hit->path, style->folder, n_folder) == 0 && hit->path[n_folder] == '/';
    hd__buffer_printf(b, "%s%zu. ", p->bold, rank);
    append_title(b, hit);
    hd__buffer_printf(b, "%s  %s%.4f%s\n   %s", p->plain, p->dim, (double)hit->score, p->plain, p->dim);
    append_safe(b, is_below              ? hit->path + n_folder + 1
                   : has_path            ? hit->path
                   : hit->url[0] != '\0' ? hit->url
                                         : hit->document_id);
    if (has_path && hit->line > 0)
        hd__buffer_printf(b, ":%u", hit->line);
    if (hit->page > 0)
        hd__buffer_printf(b, " page %u", hit->page);
    hd__buffer_printf(b, "%s\n", p->plain);
}

static void append_facet_lines(hd_buffer *b, const hd_results *results, const paint *p)
{
    for (size_t i = 0; i < results->n_facets; i++) {
        const hd_facet *facet = &results->facets[i];
        hd__buffer_printf(b, "%s", p->bold);
        append_safe(b, facet->field);
        hd__buffer_printf(b, "%s", p->plain);
        for (size_t k = 0; k < facet->n && k < 20; k++) {
            char count[32];
            hd__buffer_append_text(b, k > 0 ? ", " : "  ");
            append_safe(b, facet->values[k].value);
            hd__buffer_printf(b, " %s%s%s", p->dim, cli_count_text(facet->values[k].n, count), p->plain);
        }
        hd__buffer_append_text(b, "\n");
    }
}

static void append_summary(hd_buffer *b, const hd_results *results, const cli_print_style *style, const paint *p)
{
    char count[32];
    hd__buffer_printf(b, "%s%zu of %s passages, %.1f ms", p->dim, results->n, cli_count_text(results->n_matching, count),
                      results->total_ms);
    if (style->explain) {
        hd__buffer_printf(b, ": embedding %.1f", results->embed_ms);
        for (size_t leg = 0; leg < HD_N_LEGS; leg++)
            if (results->leg_ms[leg] > 0)
                hd__buffer_printf(b, ", %s %.1f (%u)", hd__leg_names[leg], results->leg_ms[leg], results->n_in_leg[leg]);
    }
    hd__buffer_printf(b, "%s\n", p->plain);
}

void cli_print_hits(hd_buffer *out, const hd_results *results, uint32_t offset, const cli_print_style *style)
{
    const paint p = paint_of(style->color);
    for (size_t i = 0; i < results->n; i++) {
        append_head(out, &results->hits[i], offset + i + 1, style, &p);
        append_snippet(out, &results->hits[i], &p, style->columns);
        if (style->explain)
            append_legs(out, &results->hits[i], results, &p);
        hd__buffer_append_text(out, "\n");
    }
    append_facet_lines(out, results, &p);
    append_summary(out, results, style, &p);
}
