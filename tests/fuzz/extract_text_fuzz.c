/* Text of any encoding, light markups and records; the first byte chooses. */
#include <stdint.h>

#include "fuzz/extract_check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const names[] = {"a.txt", "a.rst", "a.org",  "a.adoc",  "a.tex",
                                        "a.csv", "a.tsv", "a.json", "a.jsonl", ""};
    if (size > 0)
        extract_and_check(hd__span(data + 1, size - 1), names[data[0] % (sizeof names / sizeof *names)]);
    return 0;
}
