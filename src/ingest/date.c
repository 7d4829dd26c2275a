/* date.c - see date.h. Days are counted by the civil calendar's arithmetic: years of March, 400-year eras. */
#include "ingest/date.h"

static bool digits(hd_span text, size_t *at, size_t n, int *value)
{
    int v = 0;
    if (text.len - *at < n)
        return false;
    for (size_t i = 0; i < n; i++) {
        char c = text.ptr[*at + i];
        if (c < '0' || c > '9')
            return false;
        v = v * 10 + (c - '0');
    }
    *at += n;
    *value = v;
    return true;
}

static bool skip(hd_span text, size_t *at, const char *any)
{
    bool found = *at < text.len && text.ptr[*at] != '\0' && strchr(any, text.ptr[*at]) != NULL;
    *at += found;
    return found;
}

/* Days since 1970-01-01 of the proleptic Gregorian calendar; year from 0. */
static int64_t days_of(int year, int month, int day)
{
    int y = month <= 2 ? year - 1 + 400 : year + 400; /* an era later, so that nothing is negative */
    int m = month <= 2 ? month + 9 : month - 3;
    int era = y / 400, of_era = y % 400;
    int day_of_year = (153 * m + 2) / 5 + day - 1;
    return (int64_t)(era - 1) * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + day_of_year - 719468;
}

static int month_days(int year, int month)
{
    static const int days[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return days[month - 1] + (month == 2 && leap);
}

/* "Z", "+02:00", "+0200", "+02", "+02'00'", or nothing; seconds that the clock is ahead of UTC. */
static bool zone(hd_span text, size_t *at, int *ahead)
{
    int hours = 0, minutes = 0;
    bool west = *at < text.len && text.ptr[*at] == '-', utc = *at < text.len && (text.ptr[*at] | 0x20) == 'z';
    *ahead = 0;
    bool marked = skip(text, at, "+-Zz");
    if (*at == text.len)
        return !marked || utc;
    if (!marked || !digits(text, at, 2, &hours))
        return false;
    skip(text, at, ":'");
    if (*at < text.len && !digits(text, at, 2, &minutes))
        return false;
    skip(text, at, "'");
    *ahead = (hours * 60 + minutes) * 60 * (west ? -1 : 1);
    return *at == text.len && hours < 24 && minutes < 60;
}

/* What follows the date: a time and a zone. */
static bool clock_of(hd_span text, size_t *at, int64_t *seconds)
{
    int hour = 0, minute = 0, second = 0, ahead;
    if (*at == text.len) {
        *seconds = 0;
        return true;
    }
    bool time = skip(text, at, "Tt ");
    if (digits(text, at, 2, &hour)) {
        skip(text, at, ":");
        if (!digits(text, at, 2, &minute))
            return false;
        if ((skip(text, at, ":") || (*at < text.len && text.ptr[*at] >= '0' && text.ptr[*at] <= '9')) &&
            !digits(text, at, 2, &second))
            return false;
        if (skip(text, at, ".,")) {
            while (*at < text.len && text.ptr[*at] >= '0' && text.ptr[*at] <= '9')
                ++*at;
        }
        skip(text, at, " ");
    } else if (time) {
        return false;
    }
    if (!zone(text, at, &ahead) || hour > 24 || minute > 59 || second > 60)
        return false;
    *seconds = (int64_t)hour * 3600 + minute * 60 + second - ahead;
    return true;
}

bool hd__written_date_parse(hd_span text, int64_t *seconds)
{
    int year, month = 1, day = 1;
    int64_t clock;
    size_t at = hd__span_begins(text, "D:") ? 2 : 0;
    if (!digits(text, &at, 4, &year))
        return false;
    skip(text, &at, "-/");
    if (at < text.len && !digits(text, &at, 2, &month))
        return false;
    skip(text, &at, "-/");
    if (at < text.len && !digits(text, &at, 2, &day))
        return false;
    if (month < 1 || month > 12 || day < 1 || day > month_days(year, month) || !clock_of(text, &at, &clock))
        return false;
    *seconds = days_of(year, month, day) * 86400 + clock;
    return true;
}
