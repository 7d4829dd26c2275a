/* date.h - dates as people and programs write them, and Unix seconds.
 *
 * Source: ISO 8601-1:2019 calendar dates, in the profile of RFC 3339, section 5.6, and what is commonly left out of it.
 */
#ifndef HD_BASE_DATE_H
#define HD_BASE_DATE_H

#include <stdint.h>

#include "base/span.h"

#define HD_DATE_TEXT_BYTES 32

/* "2024", "2024-05", "2024-05-01", with "T10:00", "T10:00:30.5" or a blank in place of the T, with "Z", "+02", "+02:00" or
 * "+0200" (none: UTC). Fractions of seconds are cut off. Years 0000 to 9999. False when it is none of these. */
bool hd__date_parse(hd_span text, int64_t *unix_s);

/* "2024-05-01T10:00:00Z"; seconds outside of years 0000 to 9999 give the nearest that is inside. */
void hd__date_text(int64_t unix_s, char text[HD_DATE_TEXT_BYTES]);

#endif
