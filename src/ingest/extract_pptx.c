/* extract_pptx.c - PowerPoint's presentations (ECMA-376 part 1, PresentationML): slides in the order of the show, a page
 * each, with what is said to them.
 */
#include "base/alloc.h"
#include "base/limits.h"
#include "ingest/markup.h"
#include "ingest/office.h"

typedef struct slides {
    hd_arena *arena;
    const char **ids; /* [n], of relations */
    size_t n, capacity;
    bool failed;
} slides;

static void begin(void *data, const char *name, const char *const *attributes, uint32_t line)
{
    slides *s = data;
    (void)line;
    if (strcmp(name, "sldId") != 0 || s->failed || s->n == HD_LIMIT_ARCHIVE_ENTRIES)
        return;
    const char *id = NULL;
    for (; attributes != NULL && attributes[0] != NULL; attributes += 2) { /* "id" is another, without a prefix */
        const char *colon = strchr(attributes[0], ':');
        if (colon != NULL && strcmp(colon, ":id") == 0)
            id = attributes[1];
    }
    if (s->n == s->capacity) {
        size_t capacity = s->capacity == 0 ? 64 : s->capacity * 2;
        const char **ids = hd__arena_alloc(s->arena, hd__mul(capacity, sizeof *ids));
        s->failed = ids == NULL;
        if (s->failed)
            return;
        if (s->n > 0)
            memcpy(ids, s->ids, s->n * sizeof *ids);
        s->ids = ids;
        s->capacity = capacity;
    }
    if (id != NULL)
        s->ids[s->n] = hd__arena_strndup(s->arena, id, strlen(id));
    s->failed |= id != NULL && s->ids[s->n] == NULL;
    s->n += id != NULL;
}

static void end(void *data, const char *name)
{
    (void)data;
    (void)name;
}

static void text(void *data, hd_span bytes)
{
    (void)data;
    (void)bytes;
}

static hd_status write_slide(hd_package *package, const char *slide, hd_prose *prose, hd_error *err)
{
    hd_office_relations relations;
    HD_TRY(hd__office_write(package, slide, HD_OFFICE_SLIDE, NULL, prose, err));
    HD_TRY(hd__office_relations_read(package, slide, &relations, err));
    const char *notes = hd__office_of_type(&relations, "/notesSlide");
    if (notes != NULL && hd__package_has(package, notes))
        HD_TRY(hd__office_write(package, notes, HD_OFFICE_SPEECH, NULL, prose, err));
    return HD_OK;
}

static hd_status write_slides(hd_package *package, hd_prose *prose, hd_error *err)
{
    static const hd_markup_handler handler = {begin, end, text};
    slides s = {.arena = package->arena};
    hd_office_relations relations;
    hd_span xml;
    HD_TRY(hd__office_relations_read(package, "", &relations, err));
    const char *presentation = hd__office_of_type(&relations, "/officeDocument");
    if (presentation == NULL)
        presentation = "ppt/presentation.xml";
    HD_TRY(hd__package_read(package, presentation, &xml, err));
    HD_TRY(hd__xml_parse(xml, presentation, &handler, &s, err));
    if (s.failed)
        return hd__fail(err, HD_ERR_MEMORY, "no memory for the list of slides");
    HD_TRY(hd__office_relations_read(package, presentation, &relations, err));
    for (size_t i = 0; i < s.n; i++) {
        const char *slide = hd__office_of_id(&relations, s.ids[i]);
        prose->page = (uint32_t)i + 1;
        if (slide != NULL)
            HD_TRY(write_slide(package, slide, prose, err));
    }
    return HD_OK;
}

hd_status hd__read_pptx(hd_reader *reader, hd_error *err)
{
    hd_package package;
    hd_prose prose;
    hd_status status;
    HD_TRY(hd__package_open(reader->bytes, reader->arena, &package, err));
    hd__prose_init(&prose, reader->arena);
    HD_TRY_OUT(hd__office_properties(&package, reader, err));
    HD_TRY_OUT(write_slides(&package, &prose, err));
    HD_TRY_OUT(hd__prose_end_document(&prose, reader, err));
out:
    hd__prose_clear(&prose);
    hd__package_close(&package);
    return status;
}
