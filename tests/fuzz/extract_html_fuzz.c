/* Pages of HTML. */
#include <stdint.h>

#include "fuzz/extract_check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    extract_and_check(hd__span(data, size), "fuzz.html");
    return 0;
}
