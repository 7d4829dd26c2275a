/* Dates in text and back, held against timegm(3) and gmtime(3) for every day of ten thousand years. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>

#include <cmocka.h>

#include "base/date.h"

static void test_forms(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t seconds;
    } dates[] = {
        {"1970-01-01", 0},
        {"1970", 0},
        {"1970-02", 31 * 86400},
        {"2024-02-29", 1709164800},
        {"2024-05-01T10:00:00Z", 1714557600},
        {"2024-05-01t10:00:00z", 1714557600},
        {"2024-05-01 10:00", 1714557600},
        {"2024-05-01T10:00:00.999999Z", 1714557600},
        {"2024-05-01T10:00:00,5", 1714557600},
        {"2024-05-01T12:00:00+02:00", 1714557600},
        {"2024-05-01T12:00:00+0200", 1714557600},
        {"2024-05-01T12:00+02", 1714557600},
        {"2024-05-01T04:30:00-05:30", 1714557600},
        {"2016-12-31T23:59:60Z", 1483228800},
        {"0000-01-01", INT64_C(-62167219200)},
        {"9999-12-31T23:59:59Z", INT64_C(253402300799)},
    };
    for (size_t i = 0; i < sizeof dates / sizeof *dates; i++) {
        int64_t seconds = 1;
        if (!hd__date_parse(hd__span_of(dates[i].text), &seconds) || seconds != dates[i].seconds)
            fail_msg("%s: %lld", dates[i].text, (long long)seconds);
    }
}

static void test_no_dates(void **state)
{
    (void)state;
    static const char *const texts[] = {"",
                                        "1",
                                        "197",
                                        "19700",
                                        "1970-",
                                        "1970-1",
                                        "1970-00",
                                        "1970-13",
                                        "1970-01-00",
                                        "1970-01-32",
                                        "2023-02-29",
                                        "1900-02-29",
                                        "1970-01-01T",
                                        "1970-01-01T1",
                                        "1970-01-01T10",
                                        "1970-01-01T24:00",
                                        "1970-01-01T10:60",
                                        "1970-01-01T10:00:61",
                                        "1970-01-01T10:00:00.",
                                        "1970-01-01T10:00:00X",
                                        "1970-01-01T10:00:00Zx",
                                        "1970-01-01T10:00:00+",
                                        "1970-01-01T10:00:00+2",
                                        "1970-01-01T10:00:00+02:",
                                        "1970-01-01T10:00:00+24:00",
                                        "-1970-01-01",
                                        "yesterday",
                                        "1970-01-01 10:00 "};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        int64_t seconds;
        if (hd__date_parse(hd__span_of(texts[i]), &seconds))
            fail_msg("'%s' is no date", texts[i]);
    }
}

static void test_every_day(void **state)
{
    (void)state;
    const int64_t first = INT64_C(-62167219200), last = INT64_C(253402300799);
    for (int64_t day = first; day <= last; day += 86400) {
        const int64_t seconds = day + (day / 86400 * 7919 % 86400 + 86400) % 86400;
        const time_t at = (time_t)seconds;
        struct tm parts;
        char expected[64], text[HD_DATE_TEXT_BYTES];
        int64_t back;
        assert_non_null(gmtime_r(&at, &parts));
        snprintf(expected, sizeof expected, "%04d-%02d-%02dT%02d:%02d:%02dZ", parts.tm_year + 1900, parts.tm_mon + 1,
                 parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec);
        hd__date_text(seconds, text);
        assert_string_equal(text, expected);
        assert_true(hd__date_parse(hd__span_of(text), &back));
        assert_int_equal(back, seconds);
    }
}

static void test_outside(void **state)
{
    (void)state;
    char text[HD_DATE_TEXT_BYTES];
    hd__date_text(INT64_MIN, text);
    assert_string_equal(text, "0000-01-01T00:00:00Z");
    hd__date_text(INT64_MAX, text);
    assert_string_equal(text, "9999-12-31T23:59:59Z");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forms),
        cmocka_unit_test(test_no_dates),
        cmocka_unit_test(test_every_day),
        cmocka_unit_test(test_outside),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
