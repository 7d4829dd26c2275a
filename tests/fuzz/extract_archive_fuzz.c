/* Office files and books as archives: any bytes behind the first, which chooses what they are called. */
#include <stdint.h>

#include "fuzz/extract_check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const names[] = {"a.docx", "a.pptx", "a.epub"};
    if (size > 0)
        extract_and_check(hd__span(data + 1, size - 1), names[data[0] % (sizeof names / sizeof *names)]);
    return 0;
}
