/* json.h - settings files: jansson's strict, depth-limited reader, and getters that fail with the file and
 * the field's name.
 *
 * `file` in the getters is only for the message. A missing field leaves *value as it was (its default); a
 * field of the wrong type or range is HD_ERR_FORMAT. JSON null counts as missing.
 *
 * Integers past 64 bits are allowed, because tokenizer_config.json says "no limit" as 10^30: a text holding
 * one is read with all its integers as doubles, and the getters take a double of integral value up to 2^53
 * as the integer it is.
 */
#ifndef HD_BASE_JSON_H
#define HD_BASE_JSON_H

#include <jansson.h>

#include "base/arena.h"
#include "base/span.h"

/* Parses text; NaN, duplicate keys and trailing bytes are refused. *root is freed by json_decref. */
HD_MUST_USE hd_status hd__json_parse(hd_span text, const char *file, json_t **root, hd_error *err);

/* Reads and parses a file of at most HD_LIMIT_JSON_FILE_BYTES. */
HD_MUST_USE hd_status hd__json_read(const char *path, json_t **root, hd_error *err);

HD_MUST_USE hd_status hd__json_get_uint(const json_t *object, const char *key, uint64_t min, uint64_t max, const char *file,
                                        uint64_t *value, hd_error *err);
HD_MUST_USE hd_status hd__json_get_real(const json_t *object, const char *key, double min, double max, const char *file,
                                        double *value, hd_error *err);
HD_MUST_USE hd_status hd__json_get_bool(const json_t *object, const char *key, const char *file, bool *value, hd_error *err);

/* *value lives as long as the object. */
HD_MUST_USE hd_status hd__json_get_text(const json_t *object, const char *key, const char *file, const char **value,
                                        hd_error *err);

#endif
