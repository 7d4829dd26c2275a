/* exposition.h - numbers as Prometheus reads them: the text format, version 0.0.4.
 *
 * Families are written one after the other: first the family's line, then all its samples. Errors are the buffer's:
 * sticky. Format: https://prometheus.io/docs/instrumenting/exposition_formats/
 */
#ifndef HD_SERVE_EXPOSITION_H
#define HD_SERVE_EXPOSITION_H

#include "base/buffer.h"
#include "serve/series.h"

#define HD_EXPOSITION_CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"

typedef struct hd_label {
    const char *name, *value; /* a value's bytes that are not UTF-8 become U+FFFD */
} hd_label;

/* The HELP and TYPE lines. type: "counter", "gauge", "histogram". */
void hd__expose_family(hd_buffer *out, const char *name, const char *type, const char *help);

void hd__expose_uint(hd_buffer *out, const char *name, const hd_label *labels, size_t n_labels, uint64_t value);
void hd__expose_real(hd_buffer *out, const char *name, const hd_label *labels, size_t n_labels, double value);

/* <name>_bucket for each bound and +Inf, <name>_sum and <name>_count; the count is that of the buckets as they were read,
 * so that the three agree. */
void hd__expose_histogram(hd_buffer *out, const char *name, const hd_label *labels, size_t n_labels,
                          const hd_buckets *buckets, const hd_histogram *histogram);

#endif
