/* office.c - see office.h. */
#include "ingest/office.h"

#include <stdlib.h>
#include <strings.h>

#include "base/alloc.h"
#include "base/limits.h"
#include "ingest/markup.h"

static void ignore_end(void *data, const char *name)
{
    (void)data;
    (void)name;
}

static void ignore_text(void *data, hd_span text)
{
    (void)data;
    (void)text;
}

static bool is(const char *name, const char *with)
{
    return strcmp(name, with) == 0;
}

static bool ends(const char *text, const char *with)
{
    size_t n = strlen(text), m = strlen(with);
    return n >= m && strcmp(text + n - m, with) == 0;
}

/* ---- relations ---- */

typedef struct relation_reader {
    hd_arena *arena;
    const char *part;
    hd_office_relations *relations;
    bool failed;
} relation_reader;

static void begin_relation(void *data, const char *name, const char *const *attributes, uint32_t line)
{
    relation_reader *r = data;
    hd_office_relations *all = r->relations;
    const char *id = hd__attribute(attributes, "Id"), *type = hd__attribute(attributes, "Type");
    const char *target = hd__attribute(attributes, "Target"), *mode = hd__attribute(attributes, "TargetMode");
    (void)line;
    if (r->failed || !is(name, "Relationship") || target == NULL || (mode != NULL && is(mode, "External")))
        return;
    if (all->n == all->capacity) {
        const size_t capacity = all->capacity == 0 ? 64 : all->capacity * 2;
        hd_office_relation *items = hd__arena_alloc(r->arena, hd__mul(capacity, sizeof *items));
        r->failed = items == NULL;
        if (r->failed)
            return;
        if (all->n > 0)
            memcpy(items, all->items, all->n * sizeof *items);
        all->items = items;
        all->capacity = capacity;
    }
    id = id != NULL ? id : "";
    type = type != NULL ? type : "";
    const hd_office_relation added = {.id = hd__arena_strndup(r->arena, id, strlen(id)),
                                      .type = hd__arena_strndup(r->arena, type, strlen(type)),
                                      .target = hd__package_name(r->arena, r->part, target),
                                      .place = all->n};
    r->failed = added.id == NULL || added.type == NULL || added.target == NULL;
    all->items[all->n++] = added;
}

static int compare_relations(const void *a, const void *b)
{
    const hd_office_relation *x = a, *y = b;
    const int order = strcmp(x->id, y->id);
    return order != 0 ? order : (x->place > y->place) - (x->place < y->place);
}

hd_status hd__office_relations_read(hd_package *package, const char *part, hd_office_relations *relations, hd_error *err)
{
    static const hd_markup_handler handler = {begin_relation, ignore_end, ignore_text};
    const char *slash = strrchr(part, '/');
    size_t folder = slash != NULL ? (size_t)(slash + 1 - part) : 0;
    relation_reader r = {.arena = package->arena, .part = part, .relations = relations};
    hd_span xml;
    *relations = (hd_office_relations){0};
    const char *name = hd__arena_printf(package->arena, "%.*s_rels/%s.rels", (int)folder, part, part + folder);
    if (name == NULL)
        return hd__fail(err, HD_ERR_MEMORY, "no memory for a part's name");
    if (!hd__package_has(package, name))
        return HD_OK;
    HD_TRY(hd__package_read(package, name, &xml, err));
    HD_TRY(hd__xml_parse(xml, name, &handler, &r, err));
    if (r.failed)
        return hd__fail(err, HD_ERR_MEMORY, "no memory for the relations of a part");
    if (relations->n > 0)
        qsort(relations->items, relations->n, sizeof *relations->items, compare_relations);
    return HD_OK;
}

const char *hd__office_of_type(const hd_office_relations *relations, const char *type)
{
    const hd_office_relation *first = NULL;
    for (size_t i = 0; i < relations->n; i++) {
        const hd_office_relation *r = &relations->items[i];
        if (ends(r->type, type) && (first == NULL || r->place < first->place))
            first = r;
    }
    return first != NULL ? first->target : NULL;
}

const char *hd__office_of_id(const hd_office_relations *relations, const char *id)
{
    size_t low = 0, high = relations->n;
    while (low < high) { /* the first of those that have it */
        const size_t middle = low + (high - low) / 2;
        if (strcmp(relations->items[middle].id, id) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low < relations->n && is(relations->items[low].id, id) ? relations->items[low].target : NULL;
}

/* ---- properties ---- */

typedef struct properties {
    json_t *object;
    hd_buffer text;
    bool failed;
} properties;

static void begin_property(void *data, const char *name, const char *const *attributes, uint32_t line)
{
    properties *p = data;
    (void)name;
    (void)attributes;
    (void)line;
    hd__buffer_reset(&p->text);
}

static void property_text(void *data, hd_span text)
{
    properties *p = data;
    hd__buffer_append(&p->text, text.ptr, text.len);
}

static void end_property(void *data, const char *name)
{
    static const struct {
        const char *name, *key;
    } known[] = {{"title", "title"},       {"creator", "author"},          {"created", "date"},
                 {"keywords", "keywords"}, {"description", "description"}, {"subject", "subject"}};
    properties *p = data;
    hd_span text = p->text.len > 0 ? hd__ascii_trim(hd__buffer_span(&p->text)) : hd__span("", 0);
    for (size_t i = 0; i < sizeof known / sizeof *known && text.len > 0; i++) {
        if (is(name, known[i].name))
            p->failed |=
                p->text.failed || json_object_set_new(p->object, known[i].key, json_stringn(text.ptr, text.len)) != 0;
    }
    hd__buffer_reset(&p->text);
}

hd_status hd__office_properties(hd_package *package, hd_reader *reader, hd_error *err)
{
    static const hd_markup_handler handler = {begin_property, end_property, property_text};
    static const char part[] = "docProps/core.xml";
    hd_span xml;
    if (!hd__package_has(package, part))
        return HD_OK;
    HD_TRY(hd__package_read(package, part, &xml, err));
    properties p = {.object = json_object()};
    hd__buffer_init(&p.text);
    hd_status status = HD_OK;
    p.failed = p.object == NULL;
    if (!p.failed)
        HD_TRY_OUT(hd__xml_parse(xml, part, &handler, &p, err));
    if (p.failed) {
        status = hd__fail(err, HD_ERR_MEMORY, "no memory for the document's properties");
        goto out;
    }
    HD_TRY_OUT(hd__metadata_take(reader, p.object, err));
out:
    json_decref(p.object);
    hd__buffer_clear(&p.text);
    return status;
}

/* ---- styles ---- */

typedef struct style_reader {
    hd_arena *arena;
    hd_office_styles *styles;
    bool failed;
} style_reader;

static const char *copy(style_reader *r, const char *text)
{
    const char *copied = hd__arena_strndup(r->arena, text, strlen(text));
    r->failed |= copied == NULL;
    return copied != NULL ? copied : "";
}

static void add_style(style_reader *r, const char *id)
{
    hd_office_styles *s = r->styles;
    if (s->n == s->capacity) {
        size_t capacity = s->capacity == 0 ? 64 : s->capacity * 2;
        hd_office_style *items = hd__arena_alloc(r->arena, hd__mul(capacity, sizeof *items));
        if (items == NULL) {
            r->failed = true;
            return;
        }
        if (s->n > 0)
            memcpy(items, s->items, s->n * sizeof *items);
        s->items = items;
        s->capacity = capacity;
    }
    s->items[s->n] = (hd_office_style){.id = copy(r, id), .place = s->n};
    s->n++;
}

static int compare_styles(const void *a, const void *b)
{
    const hd_office_style *x = a, *y = b;
    const int order = strcmp(x->id, y->id);
    return order != 0 ? order : (x->place > y->place) - (x->place < y->place);
}

/* The level that "w:outlineLvl" says: 0 for the highest, 9 for none. */
static uint32_t outline_level(const char *value)
{
    return value != NULL && value[0] >= '0' && value[0] <= '8' && value[1] == '\0' ? (uint32_t)(value[0] - '0') + 1 : 0;
}

static void begin_style(void *data, const char *name, const char *const *attributes, uint32_t line)
{
    style_reader *r = data;
    const char *value = hd__attribute(attributes, "val"), *id = hd__attribute(attributes, "styleId");
    hd_office_style *style = r->styles->n > 0 ? &r->styles->items[r->styles->n - 1] : NULL;
    (void)line;
    if (r->failed)
        return;
    if (is(name, "style") && id != NULL) {
        add_style(r, id);
    } else if (style == NULL || value == NULL) {
        if (style != NULL && is(name, "numPr"))
            style->is_item = true;
    } else if (is(name, "name")) {
        if (strncasecmp(value, "heading ", 8) == 0)
            style->level = value[8] >= '1' && value[8] <= '9' ? (uint32_t)(value[8] - '0') : 0;
        else if (strcasecmp(value, "title") == 0)
            style->level = 1;
    } else if (is(name, "basedOn")) {
        style->based_on = copy(r, value);
    } else if (is(name, "outlineLvl") && style->level == 0) {
        style->level = outline_level(value);
    }
}

hd_status hd__office_styles_read(hd_package *package, const char *part, hd_office_styles *styles, hd_error *err)
{
    static const hd_markup_handler handler = {begin_style, ignore_end, ignore_text};
    style_reader r = {.arena = package->arena, .styles = styles};
    hd_span xml;
    HD_TRY(hd__package_read(package, part, &xml, err));
    HD_TRY(hd__xml_parse(xml, part, &handler, &r, err));
    if (r.failed)
        return hd__fail(err, HD_ERR_MEMORY, "no memory for the document's styles");
    if (styles->n > 0)
        qsort(styles->items, styles->n, sizeof *styles->items, compare_styles);
    return HD_OK;
}

/* NULL: there is none; of several with one id the first. */
static const hd_office_style *find_style(const hd_office_styles *styles, const char *id)
{
    size_t low = 0, high = styles->n;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (strcmp(styles->items[middle].id, id) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low < styles->n && is(styles->items[low].id, id) ? &styles->items[low] : NULL;
}

/* The style of this id, and those that it is based on: a few steps, since they may go round. */
static void apply_style(const hd_office_styles *styles, const char *id, uint32_t *level, bool *is_item)
{
    for (int steps = 0; steps < 8 && id != NULL && styles != NULL; steps++) {
        const hd_office_style *style = find_style(styles, id);
        if (style == NULL)
            return;
        *level = *level == 0 ? style->level : *level;
        *is_item |= style->is_item;
        id = style->based_on;
    }
}

/* ---- text ---- */

typedef struct writer {
    hd_prose *prose;
    hd_office_kind kind;
    const hd_office_styles *styles;
    uint32_t depth, skip_depth; /* skip_depth: of the element that is left out, 0 for none */
    uint32_t n_table;
    bool in_text; /* in <t> */
    bool in_run;
    bool pending;        /* a paragraph has begun, of which nothing is written yet */
    bool is_item, title; /* of the paragraph; of the shape */
    uint32_t level, item_level;
    char note[16]; /* the number of a note, before its first text */
} writer;

/* The block of the paragraph, by what its properties said. */
static void open_paragraph(writer *w)
{
    bool slide = w->kind == HD_OFFICE_SLIDE;
    if (!w->pending)
        return;
    w->pending = false;
    if (w->n_table > 0)
        return;
    if (w->level > 0 || (slide && w->title)) {
        hd__prose_begin(w->prose, HD_BLOCK_HEADING, w->level > 6 ? 6 : w->level > 0 ? w->level : 1, 0);
    } else if (w->is_item || slide) {
        hd__prose_begin(w->prose, HD_BLOCK_LIST_ITEM, w->item_level, 0);
        hd__prose_prefix(w->prose, "- ");
    } else {
        hd__prose_begin(w->prose, HD_BLOCK_PARAGRAPH, 0, 0);
        if (w->note[0] != '\0')
            hd__prose_prefix(w->prose, w->note);
        w->note[0] = '\0';
    }
}

static void write_text(writer *w, const char *text)
{
    open_paragraph(w);
    hd__prose_text(w->prose, hd__span_of(text));
}

static void begin_paragraph(writer *w)
{
    if (w->n_table == 0)
        hd__prose_end(w->prose);
    else
        hd__prose_space(w->prose);
    w->pending = true;
    w->is_item = false;
    w->level = w->item_level = 0;
}

/* What a paragraph says of itself, and a shape: style, place in the outline, in a list. */
static void take_property(writer *w, const char *name, const char *const *attributes)
{
    const char *value = hd__attribute(attributes, "val"), *level = hd__attribute(attributes, "lvl");
    if (is(name, "pStyle"))
        apply_style(w->styles, value, &w->level, &w->is_item);
    else if (is(name, "outlineLvl") && outline_level(value) > 0)
        w->level = outline_level(value);
    else if (is(name, "numPr"))
        w->is_item = true;
    else if (is(name, "ilvl") && value != NULL && value[0] >= '0' && value[0] <= '8')
        w->item_level = (uint32_t)(value[0] - '0');
    else if (is(name, "pPr") && level != NULL && level[0] >= '0' && level[0] <= '8')
        w->item_level = (uint32_t)(level[0] - '0');
}

static void begin_shape(writer *w, const char *type)
{
    w->title = type != NULL && (is(type, "title") || is(type, "ctrTitle"));
    if (type != NULL && (is(type, "sldNum") || is(type, "dt") || is(type, "ftr") || is(type, "hdr") || is(type, "sldImg")))
        w->skip_depth = w->depth > 3 ? w->depth - 3 : 1; /* <p:sp><p:nvSpPr><p:nvPr><p:ph>: the rest of the shape */
}

static void begin_table(writer *w)
{
    if (w->n_table++ == 0)
        hd__prose_begin(w->prose, HD_BLOCK_TABLE, 0, 0);
}

static void begin_element(void *data, const char *name, const char *const *attributes, uint32_t line)
{
    writer *w = data;
    (void)line;
    w->depth++;
    if (w->skip_depth > 0)
        return;
    if (is(name, "p")) {
        begin_paragraph(w);
    } else if (is(name, "r") || is(name, "fld")) {
        w->in_run = true;
    } else if (is(name, "t")) {
        w->in_text = true;
    } else if (is(name, "tbl")) {
        begin_table(w);
    } else if (is(name, "tr") && w->n_table == 1) {
        hd__prose_row(w->prose);
    } else if (is(name, "tc") && w->n_table == 1) {
        hd__prose_cell(w->prose);
    } else if (is(name, "br") || is(name, "cr")) {
        if (w->n_table > 0)
            hd__prose_space(w->prose);
        else
            hd__prose_break(w->prose);
    } else if (is(name, "tab") && w->in_run) {
        hd__prose_space(w->prose);
    } else if (is(name, "noBreakHyphen")) {
        write_text(w, "-");
    } else if (is(name, "footnoteReference") || is(name, "endnoteReference")) {
        char mark[24];
        const char *id = hd__attribute(attributes, "id");
        snprintf(mark, sizeof mark, "[%.16s]", id != NULL ? id : "");
        write_text(w, mark);
    } else if (is(name, "footnote") || is(name, "endnote")) {
        const char *id = hd__attribute(attributes, "id");
        snprintf(w->note, sizeof w->note, "[%.10s] ", id != NULL ? id : "");
    } else if (is(name, "del") || is(name, "moveFrom") || is(name, "Fallback")) {
        w->skip_depth = w->depth;
    } else if (is(name, "sp")) {
        w->title = false;
    } else if (is(name, "ph")) {
        begin_shape(w, hd__attribute(attributes, "type"));
    } else {
        take_property(w, name, attributes);
    }
}

static void end_element(void *data, const char *name)
{
    writer *w = data;
    if (w->skip_depth > 0) {
        if (w->depth-- == w->skip_depth)
            w->skip_depth = 0;
        return;
    }
    w->depth--;
    if (is(name, "t"))
        w->in_text = false;
    else if (is(name, "r") || is(name, "fld"))
        w->in_run = false;
    else if (is(name, "tbl") && w->n_table > 0 && --w->n_table == 0)
        hd__prose_end(w->prose);
    else if (is(name, "p") && w->n_table == 0)
        hd__prose_end(w->prose);
}

static void element_text(void *data, hd_span text)
{
    writer *w = data;
    if (!w->in_text || w->skip_depth > 0)
        return;
    open_paragraph(w);
    hd__prose_text(w->prose, text);
}

hd_status hd__office_write(hd_package *package, const char *part, hd_office_kind kind, const hd_office_styles *styles,
                           hd_prose *prose, hd_error *err)
{
    static const hd_markup_handler handler = {begin_element, end_element, element_text};
    writer w = {.prose = prose, .kind = kind, .styles = styles};
    hd_span xml;
    HD_TRY(hd__package_read(package, part, &xml, err));
    hd_status status = hd__xml_parse(xml, part, &handler, &w, err);
    hd__prose_end(prose);
    return status;
}
