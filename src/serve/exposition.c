/* exposition.c - see exposition.h. */
#include "serve/exposition.h"

#include <math.h>

#include "base/utf8.h"

static bool is_plain(char c)
{
    return c >= ' ' && c <= '~' && c != '\\' && c != '"';
}

/* Text with backslash and line feed escaped, inside of quotes the quote too. */
static void put_text(hd_buffer *out, const char *text, bool quoted)
{
    hd_span span = hd__span_of(text);
    size_t len;
    for (size_t at = 0; at < span.len; at += len) {
        for (len = 0; at + len < span.len && is_plain(span.ptr[at + len]); len++)
            ;
        if (len > 0) {
            hd__buffer_append(out, span.ptr + at, len);
            continue;
        }
        bool valid;
        uint32_t code = hd__utf8_decode(span, at, &len, &valid);
        if (code == '\\')
            hd__buffer_append_text(out, "\\\\");
        else if (code == '\n')
            hd__buffer_append_text(out, "\\n");
        else if (code == '"' && quoted)
            hd__buffer_append_text(out, "\\\"");
        else if (valid)
            hd__buffer_append(out, span.ptr + at, len);
        else
            hd__buffer_append_text(out, "\xef\xbf\xbd");
    }
}

void hd__expose_family(hd_buffer *out, const char *name, const char *type, const char *help)
{
    hd__buffer_printf(out, "# HELP %s ", name);
    put_text(out, help, false);
    hd__buffer_printf(out, "\n# TYPE %s %s\n", name, type);
}

/* "name_suffix{a="…",le="…"} ": everything before the value. */
static void put_sample(hd_buffer *out, const char *name, const char *suffix, const hd_label *labels, size_t n_labels,
                       const char *le)
{
    hd__buffer_append_text(out, name);
    hd__buffer_append_text(out, suffix);
    for (size_t i = 0; i < n_labels; i++) {
        hd__buffer_append_char(out, i == 0 ? '{' : ',');
        hd__buffer_append_text(out, labels[i].name);
        hd__buffer_append_text(out, "=\"");
        put_text(out, labels[i].value, true);
        hd__buffer_append_char(out, '"');
    }
    if (le != NULL) {
        hd__buffer_append_text(out, n_labels == 0 ? "{le=\"" : ",le=\"");
        hd__buffer_append_text(out, le);
        hd__buffer_append_char(out, '"');
    }
    hd__buffer_append_text(out, n_labels > 0 || le != NULL ? "} " : " ");
}

static void put_real(hd_buffer *out, double value)
{
    if (isnan(value))
        hd__buffer_append_text(out, "NaN");
    else if (isinf(value))
        hd__buffer_append_text(out, value > 0 ? "+Inf" : "-Inf");
    else
        hd__buffer_printf(out, "%.12g", value);
}

/* The number and the line's end: most of what is written. */
static void put_uint(hd_buffer *out, uint64_t value)
{
    char text[21];
    size_t at = sizeof text;
    text[--at] = '\n';
    do
        text[--at] = (char)('0' + value % 10);
    while ((value /= 10) != 0);
    hd__buffer_append(out, text + at, sizeof text - at);
}

void hd__expose_uint(hd_buffer *out, const char *name, const hd_label *labels, size_t n_labels, uint64_t value)
{
    put_sample(out, name, "", labels, n_labels, NULL);
    put_uint(out, value);
}

void hd__expose_real(hd_buffer *out, const char *name, const hd_label *labels, size_t n_labels, double value)
{
    put_sample(out, name, "", labels, n_labels, NULL);
    put_real(out, value);
    hd__buffer_append_char(out, '\n');
}

void hd__expose_histogram(hd_buffer *out, const char *name, const hd_label *labels, size_t n_labels,
                          const hd_buckets *buckets, const hd_histogram *histogram)
{
    uint64_t count = 0;
    for (size_t i = 0; i <= buckets->n; i++) {
        count += hd__counter_get(&histogram->counts[i]);
        put_sample(out, name, "_bucket", labels, n_labels, i < buckets->n ? buckets->texts[i] : "+Inf");
        put_uint(out, count);
    }
    put_sample(out, name, "_sum", labels, n_labels, NULL);
    put_real(out, (double)hd__counter_get(&histogram->sum) * buckets->unit);
    hd__buffer_append_char(out, '\n');
    put_sample(out, name, "_count", labels, n_labels, NULL);
    put_uint(out, count);
}
