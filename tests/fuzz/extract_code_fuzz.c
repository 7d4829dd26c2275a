/* Source code; the first byte chooses the language. */
#include <stdint.h>

#include "fuzz/extract_check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const names[] = {"a.c",  "a.cpp", "a.java", "a.js", "a.go", "a.rs",  "a.py",
                                        "a.rb", "a.sql", "a.R",    "a.sh", "a.cs", "a.lua", "a.yml"};
    if (size > 0)
        extract_and_check(hd__span(data + 1, size - 1), names[data[0] % (sizeof names / sizeof *names)]);
    return 0;
}
