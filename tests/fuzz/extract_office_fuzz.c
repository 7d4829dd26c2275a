/* The parts of Office files and books, in archives that are sound: the first byte chooses the format, the others are its
 * parts, each ended by a zero. */
#include <stdint.h>
#include <zip.h>

#include "base/buffer.h"
#include "fuzz/extract_check.h"

#define MOST_PARTS 6

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const parts[3][MOST_PARTS] = {
    {"word/document.xml", "word/styles.xml", "word/footnotes.xml", "docProps/core.xml", "_rels/.rels",
     "word/_rels/document.xml.rels"},
    {"ppt/presentation.xml", "ppt/_rels/presentation.xml.rels", "ppt/slides/slide1.xml", "ppt/slides/_rels/slide1.xml.rels",
     "ppt/notesSlides/notesSlide1.xml", "docProps/core.xml"},
    {"META-INF/container.xml", "content.opf", "a.xhtml", "b.xhtml", "c/d.xhtml", "mimetype"},
};

/* The parts, packed; *packed is freed by the caller, NULL when libzip has failed. */
static size_t pack(const char *const *names, const uint8_t *data, size_t size, char **packed)
{
    zip_error_t why;
    zip_stat_t about;
    zip_error_init(&why);
    zip_source_t *target = zip_source_buffer_create(NULL, 0, 0, &why);
    zip_t *zip = zip_open_from_source(target, ZIP_CREATE | ZIP_TRUNCATE, &why);
    zip_source_keep(target);
    for (size_t i = 0, at = 0; i < MOST_PARTS && at <= size; i++) {
        const uint8_t *end = at < size ? memchr(data + at, 0, size - at) : NULL;
        size_t len = end != NULL ? (size_t)(end - data) - at : size - at;
        zip_file_add(zip, names[i], zip_source_buffer(zip, data + at, len, 0), 0);
        zip_set_file_compression(zip, i, ZIP_CM_STORE, 0);
        at += len + 1;
    }
    *packed = NULL;
    if (zip_close(zip) == 0 && zip_source_stat(target, &about) == 0 && zip_source_open(target) == 0) {
        *packed = malloc(about.size);
        zip_source_read(target, *packed, about.size);
        zip_source_close(target);
    }
    zip_source_free(target);
    zip_error_fini(&why);
    return *packed != NULL ? about.size : 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const names[] = {"a.docx", "a.pptx", "a.epub"};
    if (size == 0)
        return 0;
    char *packed;
    size_t len = pack(parts[data[0] % 3], data + 1, size - 1, &packed);
    if (packed != NULL)
        extract_and_check(hd__span(packed, len), names[data[0] % 3]);
    free(packed);
    return 0;
}
