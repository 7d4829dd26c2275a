/* written_date.h - dates as documents write them, beside those that base/date.h reads:
 *
 *   ISO 8601's basic format     20240517   20240517T083015Z
 *   slashes                     2024/05/17
 *   PDF                         D:20240517083015+02'00'        (ISO 32000-1, 7.9.4)
 *
 * A date without a zone is UTC's; what is missing is the earliest (January, first, midnight).
 */
#ifndef HD_INGEST_WRITTEN_DATE_H
#define HD_INGEST_WRITTEN_DATE_H

#include "base/span.h"

/* Unix seconds. False, and *seconds as it was, for what is no date. */
bool hd__written_date_parse(hd_span text, int64_t *seconds);

#endif
