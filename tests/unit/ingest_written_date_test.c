/* Dates of documents, against those of Python's datetime. */
#include "ingest/written_date.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void is(const char *text, int64_t wanted)
{
    int64_t seconds = -1;
    if (!hd__written_date_parse(hd__span_of(text), &seconds) || seconds != wanted)
        fail_msg("%s: %lld, wanted %lld", text, (long long)seconds, (long long)wanted);
}

static void reads_dates(void **state)
{
    (void)state;
    is("1970-01-01", 0);
    is("2024", 1704067200);
    is("2024-02", 1706745600);
    is("2024-02-29", 1709164800);
    is("20240517", 1715904000);
    is("2024/05/17", 1715904000);
    is("2000-03-01", 951868800);
    is("1969-12-31T23:59:59Z", -1);
    is("0001-01-01", -62135596800);
    is("9999-12-31", 253402214400);
    is("2024-05-17T08:30", 1715934600);
    is("2024-05-17 08:30:15", 1715934615);
    is("2024-05-17T08:30:15.250Z", 1715934615);
    is("2024-05-17T08:30:15+02:00", 1715927415);
    is("2024-05-17T08:30:15 -0530", 1715954415);
    is("20240517T083015+02", 1715927415);
    is("D:20240517083015+02'00'", 1715927415);
    is("D:20240517083015Z00'00'", 1715934615);
    is("D:20240517083015Z", 1715934615);
    is("D:2024", 1704067200);
}

static void refuses_what_is_none(void **state)
{
    static const char *const wrong[] = {"",
                                        "x",
                                        "12",
                                        "2024-13",
                                        "2024-00-01",
                                        "2023-02-29",
                                        "2024-04-31",
                                        "2024-05-1",
                                        "2024-05-17T",
                                        "2024-05-17T25:00",
                                        "2024-05-17T08:61",
                                        "2024-05-17T08:30+",
                                        "2024-05-17T08:30x",
                                        "2024-05-17 and more",
                                        "20240517083015+02'00'x",
                                        "May 17, 2024"};
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        int64_t seconds = 42;
        if (hd__written_date_parse(hd__span_of(wrong[i]), &seconds) || seconds != 42)
            fail_msg("\"%s\" is taken for %lld", wrong[i], (long long)seconds);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(reads_dates), cmocka_unit_test(refuses_what_is_none)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
