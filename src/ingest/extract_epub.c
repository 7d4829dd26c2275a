/* extract_epub.c - EPUB 2 and 3 (https://www.w3.org/TR/epub-33/): the chapters in the order of reading, each through the
 * reader of HTML, but for the table of contents; the book's title and authors.
 *
 *   META-INF/container.xml   names the package document
 *   *.opf                    metadata; manifest: id → part; spine: ids in order
 */
#include <stdlib.h>

#include "base/alloc.h"
#include "base/limits.h"
#include "ingest/encoding.h"
#include "ingest/html.h"
#include "ingest/markup.h"
#include "ingest/package.h"

typedef struct item {
    const char *id, *part; /* part NULL: the item of a spine, which names an id */
    bool is_chapter;
    size_t place; /* among all */
} item;

typedef struct book {
    hd_arena *arena;
    const char *package_part;
    item *items; /* [n]: manifest, then spine */
    size_t n, capacity;
    json_t *metadata;
    hd_buffer text;
    bool failed;
} book;

static bool is(const char *name, const char *with)
{
    return name != NULL && strcmp(name, with) == 0;
}

static const char *copy(book *b, const char *text)
{
    const char *copied = hd__arena_strndup(b->arena, text, strlen(text));
    b->failed |= copied == NULL;
    return copied != NULL ? copied : "";
}

static void add_item(book *b, const item *added)
{
    if (b->n == b->capacity) {
        size_t capacity = b->capacity == 0 ? 64 : b->capacity * 2;
        item *items =
            b->n < 2 * HD_LIMIT_ARCHIVE_ENTRIES ? hd__arena_alloc(b->arena, hd__mul(capacity, sizeof *items)) : NULL;
        b->failed |= items == NULL;
        if (items == NULL)
            return;
        if (b->n > 0)
            memcpy(items, b->items, b->n * sizeof *items);
        b->items = items;
        b->capacity = capacity;
    }
    b->items[b->n] = *added;
    b->items[b->n].place = b->n;
    b->n++;
}

static void begin(void *data, const char *name, const char *const *attributes, uint32_t line)
{
    book *b = data;
    (void)line;
    hd__buffer_reset(&b->text);
    if (b->failed)
        return;
    const char *id = hd__attribute(attributes, "id"), *href = hd__attribute(attributes, "href");
    const char *type = hd__attribute(attributes, "media-type"), *properties = hd__attribute(attributes, "properties");
    const char *path = hd__attribute(attributes, "full-path"), *ref = hd__attribute(attributes, "idref");
    if (is(name, "rootfile") && path != NULL && b->package_part == NULL) {
        b->package_part = hd__package_name(b->arena, "", path);
        b->failed |= b->package_part == NULL;
    } else if (is(name, "item") && id != NULL && href != NULL && b->package_part != NULL) {
        item added = {.id = copy(b, id),
                      .part = hd__package_name(b->arena, b->package_part, href),
                      .is_chapter = (is(type, "application/xhtml+xml") || is(type, "text/html")) &&
                                    (properties == NULL || strstr(properties, "nav") == NULL)};
        b->failed |= added.part == NULL;
        add_item(b, &added);
    } else if (is(name, "itemref") && ref != NULL) {
        add_item(b, &(item){.id = copy(b, ref)});
    }
}

static void end(void *data, const char *name)
{
    static const struct {
        const char *name, *key;
    } known[] = {{"title", "title"},
                 {"creator", "author"},
                 {"date", "date"},
                 {"language", "lang"},
                 {"subject", "subject"},
                 {"publisher", "publisher"},
                 {"description", "description"}};
    book *b = data;
    hd_span text = b->text.len > 0 ? hd__ascii_trim(hd__buffer_span(&b->text)) : hd__span("", 0);
    for (size_t i = 0; i < sizeof known / sizeof *known && text.len > 0; i++) {
        if (!is(name, known[i].name))
            continue;
        json_t *value = json_stringn(text.ptr, text.len), *list = json_object_get(b->metadata, known[i].key);
        if (strcmp(name, "creator") != 0)
            b->failed |= json_object_set_new(b->metadata, known[i].key, value) != 0;
        else if (list != NULL)
            b->failed |= json_array_append_new(list, value) != 0;
        else
            b->failed |= json_object_set_new(b->metadata, known[i].key, json_pack("[o]", value)) != 0;
    }
    hd__buffer_reset(&b->text);
}

static void text_piece(void *data, hd_span text)
{
    book *b = data;
    hd__buffer_append(&b->text, text.ptr, text.len);
}

static hd_status parse_part(book *b, hd_package *package, const char *part, hd_error *err)
{
    static const hd_markup_handler handler = {begin, end, text_piece};
    hd_span xml;
    HD_TRY(hd__package_read(package, part, &xml, err));
    HD_TRY(hd__xml_parse(xml, part, &handler, b, err));
    return b->failed || b->text.failed ? hd__fail(err, HD_ERR_MEMORY, "no memory for the book's contents") : HD_OK;
}

static hd_status write_chapter(hd_package *package, const char *part, hd_prose *prose, hd_error *err)
{
    char encoding[HD_LIMIT_ENCODING_NAME_BYTES + 1];
    hd_span bytes, text;
    HD_TRY(hd__package_read(package, part, &bytes, err));
    hd__html_encoding(bytes, encoding, sizeof encoding);
    HD_TRY(hd__encoding_decode(bytes, encoding[0] != '\0' ? encoding : NULL, prose->blocks.arena, &text, err));
    return hd__html_write(text, prose, NULL, false, err);
}

/* By id, what is in the manifest first. */
static int compare_items(const void *a, const void *b)
{
    const item *x = a, *y = b;
    const int order = strcmp(x->id, y->id);
    if (order != 0 || (x->part == NULL) != (y->part == NULL))
        return order != 0 ? order : x->part == NULL ? 1 : -1;
    return (x->place > y->place) - (x->place < y->place);
}

/* Chapters by their places in the spine; NULL elsewhere. */
static hd_status order_chapters(book *b, const char ***chapters, hd_error *err)
{
    const char *part = NULL, *id = "";
    *chapters = hd__arena_calloc(b->arena, b->n, sizeof **chapters);
    if (*chapters == NULL)
        return hd__fail(err, HD_ERR_MEMORY, "no memory for the book's contents");
    if (b->n > 0)
        qsort(b->items, b->n, sizeof *b->items, compare_items);
    for (size_t i = 0; i < b->n; i++) {
        const item *at = &b->items[i];
        if (i == 0 || !is(at->id, id))
            part = at->part != NULL && at->is_chapter ? at->part : NULL;
        id = at->id;
        if (at->part == NULL)
            (*chapters)[at->place] = part;
    }
    return HD_OK;
}

static hd_status write_chapters(book *b, hd_package *package, hd_prose *prose, hd_error *err)
{
    const char **chapters;
    HD_TRY(order_chapters(b, &chapters, err));
    for (size_t i = 0; i < b->n; i++)
        if (chapters[i] != NULL)
            HD_TRY(write_chapter(package, chapters[i], prose, err));
    for (size_t i = 0; i < prose->blocks.n; i++)
        prose->blocks.items[i].line = 0; /* of a chapter's file, which nobody opens */
    return HD_OK;
}

hd_status hd__read_epub(hd_reader *reader, hd_error *err)
{
    static const char container[] = "META-INF/container.xml";
    hd_package package = {.zip = NULL};
    hd_prose prose;
    book b = {.arena = reader->arena, .metadata = json_object()};
    hd_status status;
    hd__buffer_init(&b.text);
    hd__prose_init(&prose, reader->arena);
    b.failed = b.metadata == NULL;
    status = hd__package_open(reader->bytes, reader->arena, &package, err);
    if (status != HD_OK)
        goto out;
    HD_TRY_OUT(parse_part(&b, &package, container, err));
    if (b.package_part == NULL) {
        status = hd__fail(err, HD_ERR_FORMAT, "%s names no package document", container);
        goto out;
    }
    json_object_clear(b.metadata);
    HD_TRY_OUT(parse_part(&b, &package, b.package_part, err));
    HD_TRY_OUT(hd__metadata_take(reader, b.metadata, err));
    HD_TRY_OUT(write_chapters(&b, &package, &prose, err));
    HD_TRY_OUT(hd__prose_end_document(&prose, reader, err));
out:
    hd__package_close(&package);
    hd__prose_clear(&prose);
    hd__buffer_clear(&b.text);
    json_decref(b.metadata);
    return status;
}
