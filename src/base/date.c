/* date.c - see date.h. Days are counted in the proleptic Gregorian calendar, years beginning in March so that the leap day
 * is a year's last one: Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms".
 */
#include "base/date.h"

#include <stdio.h>

#define DAY_S 86400
#define FIRST_S INT64_C(-62167219200) /* 0000-01-01T00:00:00Z */
#define LAST_S INT64_C(253402300799)  /* 9999-12-31T23:59:59Z */

static int64_t days_of(int64_t year, int month, int day)
{
    year -= month <= 2;
    const int64_t era = (year >= 0 ? year : year - 399) / 400, of_era = year - era * 400;
    const int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

static int days_in(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    const bool is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    return days[month - 1] + (month == 2 && is_leap);
}

/* ---- reading ---- */

/* Takes n digits of at most `max`. */
static bool digits(hd_span *rest, size_t n, int min, int max, int *value)
{
    *value = 0;
    if (rest->len < n)
        return false;
    for (size_t i = 0; i < n; i++) {
        if (rest->ptr[i] < '0' || rest->ptr[i] > '9')
            return false;
        *value = *value * 10 + (rest->ptr[i] - '0');
    }
    *rest = hd__span(rest->ptr + n, rest->len - n);
    return *value >= min && *value <= max;
}

static bool sign(hd_span *rest, char c)
{
    if (rest->len == 0 || rest->ptr[0] != c)
        return false;
    *rest = hd__span(rest->ptr + 1, rest->len - 1);
    return true;
}

/* "10:00", "10:00:30", "10:00:30.25". A second of 60 is a leap second, which Unix time counts as the next one. */
static bool time_of_day(hd_span *rest, int64_t *seconds)
{
    int hour, minute, second = 0;
    if (!digits(rest, 2, 0, 23, &hour) || !sign(rest, ':') || !digits(rest, 2, 0, 59, &minute))
        return false;
    if (sign(rest, ':')) {
        if (!digits(rest, 2, 0, 60, &second))
            return false;
        int digit;
        if ((sign(rest, '.') || sign(rest, ',')) && !digits(rest, 1, 0, 9, &digit))
            return false;
        while (rest->len > 0 && rest->ptr[0] >= '0' && rest->ptr[0] <= '9')
            *rest = hd__span(rest->ptr + 1, rest->len - 1);
    }
    *seconds = hour * 3600 + minute * 60 + second;
    return true;
}

/* "Z", "+02", "+02:00", "+0200" or nothing: what is to be added to local time. */
static bool zone(hd_span *rest, int64_t *seconds)
{
    int hour = 0, minute = 0;
    *seconds = 0;
    if (sign(rest, 'Z') || sign(rest, 'z') || rest->len == 0)
        return true;
    const bool is_west = sign(rest, '-');
    if ((!is_west && !sign(rest, '+')) || !digits(rest, 2, 0, 23, &hour))
        return false;
    if (rest->len > 0) {
        if (rest->ptr[0] == ':')
            *rest = hd__span(rest->ptr + 1, rest->len - 1);
        if (!digits(rest, 2, 0, 59, &minute))
            return false;
    }
    *seconds = (is_west ? 1 : -1) * (hour * 3600 + minute * 60);
    return true;
}

bool hd__date_parse(hd_span text, int64_t *unix_s)
{
    int year, month = 1, day = 1;
    int64_t of_day = 0, to_utc = 0;
    if (!digits(&text, 4, 0, 9999, &year))
        return false;
    if (text.len > 0) {
        if (!sign(&text, '-') || !digits(&text, 2, 1, 12, &month))
            return false;
        if (text.len > 0 && (!sign(&text, '-') || !digits(&text, 2, 1, days_in(year, month), &day)))
            return false;
    }
    if (text.len > 0) {
        if (!sign(&text, 'T') && !sign(&text, 't') && !sign(&text, ' '))
            return false;
        if (!time_of_day(&text, &of_day) || !zone(&text, &to_utc))
            return false;
    }
    *unix_s = days_of(year, month, day) * DAY_S + of_day + to_utc;
    return text.len == 0;
}

/* ---- writing ---- */

void hd__date_text(int64_t unix_s, char text[HD_DATE_TEXT_BYTES])
{
    unix_s = unix_s < FIRST_S ? FIRST_S : unix_s > LAST_S ? LAST_S : unix_s;
    const int64_t from_first = unix_s - FIRST_S; /* not negative: divisions cut towards the day's beginning */
    const int64_t days = from_first / DAY_S + FIRST_S / DAY_S + 719468, of_day = from_first % DAY_S;
    const int64_t era = (days >= 0 ? days : days - 146096) / 146097, of_era = days - era * 146097;
    const int64_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    const int64_t of_year = of_era - (365 * year + year / 4 - year / 100), part = (5 * of_year + 2) / 153;
    const int64_t day = of_year - (153 * part + 2) / 5 + 1, month = part < 10 ? part + 3 : part - 9;
    /* What the remainders cut off is never there: they tell the compiler how much room it takes. */
    snprintf(text, HD_DATE_TEXT_BYTES, "%04u-%02u-%02uT%02u:%02u:%02uZ", (unsigned)(year + era * 400 + (month <= 2)) % 10000,
             (unsigned)month % 100, (unsigned)day % 100, (unsigned)(of_day / 3600) % 100, (unsigned)(of_day / 60 % 60),
             (unsigned)(of_day % 60));
}
