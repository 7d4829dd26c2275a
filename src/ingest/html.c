/* html.c - see html.h.
 *
 * What browsers do not show is left out, and so is what is for getting around: nav, forms' controls, hidden elements. Tables
 * become a line for each row with " | " between cells; a table that holds headings, lists or tables is taken for layout,
 * whose cells are paragraphs. A term of a list (dt), or the line that opens details, stands above what it is about, in one
 * paragraph with the beginning of that.
 */
#include "ingest/html.h"

#include <stdlib.h>
#include <strings.h>

#include "base/limits.h"
#include "ingest/markup.h"

typedef enum action {
    INLINE, /* of no meaning here */
    SKIP,
    HEAD,
    TITLE,
    META,
    LINK,
    BLOCK,
    GROUP, /* of terms and what they are about */
    TERM,
    ABOUT,
    HEADING,
    LIST,
    ORDERED,
    ITEM,
    PRE,
    TABLE,
    ROW,
    CELL,
    BREAK,
    IMAGE,
    MAIN,
    ASIDE,
} action;

static const struct meaning {
    const char *name;
    action action;
} meanings[] = {
    /* sorted by name */
    {"address", BLOCK}, {"article", MAIN},  {"aside", ASIDE},   {"blockquote", BLOCK}, {"body", BLOCK},
    {"br", BREAK},      {"button", SKIP},   {"canvas", SKIP},   {"caption", ROW},      {"center", BLOCK},
    {"datalist", SKIP}, {"dd", ABOUT},      {"details", GROUP}, {"dialog", SKIP},      {"dir", LIST},
    {"div", BLOCK},     {"dl", GROUP},      {"dt", TERM},       {"fieldset", BLOCK},   {"figcaption", BLOCK},
    {"figure", BLOCK},  {"footer", ASIDE},  {"form", BLOCK},    {"frameset", BLOCK},   {"h1", HEADING},
    {"h2", HEADING},    {"h3", HEADING},    {"h4", HEADING},    {"h5", HEADING},       {"h6", HEADING},
    {"head", HEAD},     {"header", ASIDE},  {"hgroup", BLOCK},  {"hr", BLOCK},         {"iframe", SKIP},
    {"img", IMAGE},     {"input", SKIP},    {"legend", BLOCK},  {"li", ITEM},          {"link", LINK},
    {"main", MAIN},     {"map", SKIP},      {"menu", LIST},     {"meta", META},        {"nav", SKIP},
    {"noframes", SKIP}, {"noscript", SKIP}, {"object", SKIP},   {"ol", ORDERED},       {"optgroup", SKIP},
    {"option", SKIP},   {"p", BLOCK},       {"pre", PRE},       {"script", SKIP},      {"section", BLOCK},
    {"select", SKIP},   {"style", SKIP},    {"summary", TERM},  {"svg", SKIP},         {"table", TABLE},
    {"tbody", INLINE},  {"td", CELL},       {"template", SKIP}, {"textarea", SKIP},    {"tfoot", INLINE},
    {"th", CELL},       {"thead", INLINE},  {"title", TITLE},   {"tr", ROW},           {"ul", LIST},
};

typedef struct element {
    uint8_t action;
    uint32_t number; /* of the next item of an ordered list */
} element;

typedef struct page {
    hd_prose *prose;
    json_t *head;
    bool zones;
    element stack[HD_LIMIT_HTML_DEPTH];
    uint32_t depth, skip_depth; /* skip_depth: of the element that is left out, 0 for none */
    uint32_t n_head, n_main, n_aside, n_list, n_item, n_term, n_pre, n_table;
    bool layout;     /* the outermost table is none */
    size_t term_end; /* bytes of text when a term had ended, and line ends since */
    hd_buffer title;
    bool in_title, failed;
} page;

static int compare(const void *name, const void *with)
{
    return strcmp(name, ((const struct meaning *)with)->name);
}

static action action_of(const char *name)
{
    const struct meaning *found = bsearch(name, meanings, sizeof meanings / sizeof *meanings, sizeof *meanings, compare);
    return found != NULL ? found->action : INLINE;
}

static bool is(const char *value, const char *word)
{
    return value != NULL && strcasecmp(value, word) == 0;
}

/* Elements that are not shown, or are there for getting around by what they say of themselves. */
static bool is_left_out(const char *const *attributes)
{
    for (; attributes != NULL && attributes[0] != NULL; attributes += 2) {
        const char *name = attributes[0], *value = attributes[1];
        if (strcmp(name, "hidden") == 0 || (strcmp(name, "aria-hidden") == 0 && is(value, "true")))
            return true;
        if (strcmp(name, "style") == 0 && value != NULL &&
            (strcasestr(value, "display:none") != NULL || strcasestr(value, "display: none") != NULL))
            return true;
        if (strcmp(name, "role") == 0 && (is(value, "navigation") || is(value, "search") || is(value, "menu")))
            return true;
    }
    return false;
}

/* "¶", "#" or "§" beside a heading or a term, a link to it: as Sphinx, MkDocs, Docusaurus, AsciiDoctor, rustdoc and Texinfo
 * name it. */
static bool is_permalink(const char *const *attributes)
{
    static const char *const classes[] = {"headerlink",  "hash-link",  "permalink",    "anchor",
                                          "anchor-link", "doc-anchor", "copiable-link"};
    const char *all = hd__attribute(attributes, "class"), *href = hd__attribute(attributes, "href");
    for (size_t n; all != NULL && *all != '\0' && href != NULL && href[0] == '#'; all += n + strspn(all + n, " ")) {
        n = strcspn(all, " ");
        for (size_t i = 0; i < sizeof classes / sizeof *classes; i++)
            if (hd__span_is(hd__span(all, n), classes[i]))
                return true;
    }
    return false;
}

static action by_role(action a, const char *const *attributes)
{
    const char *role = hd__attribute(attributes, "role");
    if (role == NULL || a != BLOCK)
        return a;
    if (is(role, "main") || is(role, "article"))
        return MAIN;
    return is(role, "banner") || is(role, "contentinfo") || is(role, "complementary") ? ASIDE : a;
}

static void set_head(page *p, const char *key, const char *value)
{
    if (p->head == NULL || value == NULL || *value == '\0' || json_object_get(p->head, key) != NULL)
        return;
    hd_span text = hd__ascii_trim(hd__span_of(value));
    p->failed |= text.len > 0 && json_object_set_new(p->head, key, json_stringn(text.ptr, text.len)) != 0;
}

static void take_meta(page *p, const char *const *attributes)
{
    static const struct {
        const char *name, *key;
    } known[] = {{"description", "description"},
                 {"og:description", "description"},
                 {"keywords", "keywords"},
                 {"author", "author"},
                 {"article:author", "author"},
                 {"dc.creator", "author"},
                 {"dcterms.creator", "author"},
                 {"date", "date"},
                 {"dc.date", "date"},
                 {"dcterms.created", "date"},
                 {"article:published_time", "date"},
                 {"og:title", "title"}};
    const char *name = hd__attribute(attributes, "name");
    if (name == NULL)
        name = hd__attribute(attributes, "property");
    for (size_t i = 0; name != NULL && i < sizeof known / sizeof *known; i++) {
        if (is(name, known[i].name))
            set_head(p, known[i].key, hd__attribute(attributes, "content"));
    }
}

static bool in_table(const page *p)
{
    return p->n_table > 0 && !p->layout;
}

/* What a table of data does not hold has begun. */
static void leave_table(page *p)
{
    if (in_table(p)) {
        p->layout = true;
        hd__prose_end(p->prose);
    }
}

/* The border of a paragraph. */
static void border(page *p)
{
    bool heading = p->prose->open && p->prose->block.kind == HD_BLOCK_HEADING;
    bool after_term = p->prose->open && p->prose->text.len == p->term_end;
    if (p->n_pre > 0 || heading || in_table(p)) {
        hd__prose_space(p->prose);
    } else if (p->n_item > 0 || after_term) {
        hd__prose_break(p->prose);
        p->term_end = after_term ? p->prose->text.len : p->term_end;
    } else {
        hd__prose_end(p->prose);
    }
}

/* What a term is about, or more of it. */
static void begin_about(page *p)
{
    if (p->prose->open && p->prose->block.kind == HD_BLOCK_PARAGRAPH && p->prose->text.len != p->term_end)
        hd__prose_break(p->prose);
    else
        border(p);
}

static void begin_item(page *p, uint32_t line)
{
    char prefix[16] = "- ";
    element *list = NULL;
    for (uint32_t i = p->depth; i > 0 && list == NULL; i--) {
        if (p->stack[i - 1].action == ORDERED || p->stack[i - 1].action == LIST)
            list = &p->stack[i - 1];
    }
    if (list != NULL && list->action == ORDERED)
        snprintf(prefix, sizeof prefix, "%u. ", ++list->number);
    hd__prose_begin(p->prose, HD_BLOCK_LIST_ITEM, p->n_list > 0 ? p->n_list - 1 : 0, line);
    hd__prose_prefix(p->prose, prefix);
}

static void set_zone(page *p)
{
    if (p->zones)
        p->prose->page = p->n_main > 0 ? HD_HTML_MAIN : p->n_aside > 0 ? HD_HTML_ASIDE : HD_HTML_PLAIN;
}

static void begin_structure(page *p, action a, const char *name, uint32_t line)
{
    switch (a) {
    case BLOCK:
    case GROUP: border(p); break;
    case TERM:
        if (p->n_term++ > 0) /* another one, which the parser takes to be in the first */
            p->term_end = p->prose->text.len;
        border(p);
        break;
    case ABOUT: begin_about(p); break;
    case MAIN:
    case ASIDE:
        border(p);
        p->n_main += a == MAIN;
        p->n_aside += a == ASIDE;
        set_zone(p);
        break;
    case HEADING:
        leave_table(p);
        hd__prose_begin(p->prose, HD_BLOCK_HEADING, (uint32_t)(name[1] - '0'), line);
        break;
    case LIST:
    case ORDERED:
        leave_table(p);
        hd__prose_end(p->prose);
        p->n_list++;
        break;
    case ITEM:
        begin_item(p, line);
        p->n_item++;
        break;
    case PRE:
        leave_table(p);
        hd__prose_begin(p->prose, HD_BLOCK_CODE, 0, line);
        p->n_pre++;
        break;
    case TABLE:
        leave_table(p);
        if (p->n_table++ == 0) {
            p->layout = false;
            hd__prose_begin(p->prose, HD_BLOCK_TABLE, 0, line);
        }
        break;
    case ROW:
        if (in_table(p))
            hd__prose_row(p->prose);
        break;
    case CELL:
        if (in_table(p))
            hd__prose_cell(p->prose);
        else
            hd__prose_end(p->prose);
        break;
    default: break;
    }
}

static void begin(void *data, const char *name, const char *const *attributes, uint32_t line)
{
    page *p = data;
    action a = action_of(name);
    element *e = &p->stack[p->depth++]; /* markup.c ends what is deeper */
    *e = (element){.action = INLINE};
    p->prose->line = line;
    if (p->skip_depth > 0)
        return;
    if (a == SKIP || is_left_out(attributes) || (strcmp(name, "a") == 0 && is_permalink(attributes))) {
        p->skip_depth = p->depth;
        return;
    }
    a = by_role(a, attributes);
    e->action = (uint8_t)a;
    if (a == HEAD)
        p->n_head++;
    else if (a == TITLE)
        p->in_title = p->title.len == 0;
    else if (a == META)
        take_meta(p, attributes);
    else if (a == LINK && is(hd__attribute(attributes, "rel"), "canonical"))
        set_head(p, "url", hd__attribute(attributes, "href"));
    else if (a == BREAK && p->n_pre > 0)
        hd__prose_text(p->prose, hd__span_of("\n"));
    else if (a == BREAK && in_table(p))
        hd__prose_space(p->prose);
    else if (a == BREAK)
        hd__prose_break(p->prose);
    else if (a == IMAGE && hd__attribute(attributes, "alt") != NULL)
        hd__prose_text(p->prose, hd__span_of(hd__attribute(attributes, "alt")));
    else if (strcmp(name, "html") == 0)
        set_head(p, "lang", hd__attribute(attributes, "lang"));
    else
        begin_structure(p, a, name, line);
}

static void end(void *data, const char *name)
{
    page *p = data;
    (void)name;
    if (p->depth == 0)
        return;
    action a = (action)p->stack[--p->depth].action;
    if (p->skip_depth > 0) {
        if (p->depth < p->skip_depth)
            p->skip_depth = 0;
        return;
    }
    p->n_head -= a == HEAD;
    p->n_main -= a == MAIN;
    p->n_aside -= a == ASIDE;
    p->n_item -= a == ITEM;
    p->n_term -= a == TERM;
    p->n_list -= a == LIST || a == ORDERED;
    p->n_pre -= a == PRE;
    p->n_table -= a == TABLE;
    p->in_title &= a != TITLE;
    if (a == TERM)
        p->term_end = p->prose->text.len;
    else if (a == GROUP)
        p->term_end = SIZE_MAX;
    if (a == HEADING || a == LIST || a == ORDERED || a == ITEM || a == PRE || (a == TABLE && p->n_table == 0))
        hd__prose_end(p->prose);
    else if (a == BLOCK || a == GROUP || a == MAIN || a == ASIDE || (a == CELL && p->layout))
        border(p);
    if (a == MAIN || a == ASIDE)
        set_zone(p);
}

static void text(void *data, hd_span bytes)
{
    page *p = data;
    if (p->skip_depth > 0)
        return;
    if (p->in_title)
        hd__buffer_append(&p->title, bytes.ptr, bytes.len);
    else if (p->n_head == 0)
        hd__prose_text(p->prose, bytes);
}

hd_status hd__html_write(hd_span source, hd_prose *prose, json_t *head, bool zones, hd_error *err)
{
    static const hd_markup_handler handler = {begin, end, text};
    page p = {.prose = prose, .head = head, .zones = zones, .term_end = SIZE_MAX};
    hd_status status = hd__html_parse(source, &handler, &p, err);
    hd__prose_end(prose);
    if (head != NULL && p.title.len > 0 && status == HD_OK) {
        json_object_del(head, "title"); /* og:title, which sites add to */
        hd_prose line;                  /* white space as in a heading */
        hd__prose_init(&line, prose->blocks.arena);
        hd__prose_text(&line, hd__buffer_span(&p.title));
        hd__buffer_append_char(&line.text, '\0');
        p.failed |= line.text.failed || p.title.failed;
        if (!p.failed)
            set_head(&p, "title", line.text.ptr);
        hd__prose_clear(&line);
    }
    hd__buffer_clear(&p.title);
    return status == HD_OK && p.failed ? hd__fail(err, HD_ERR_MEMORY, "no memory for a page's metadata") : status;
}

void hd__html_encoding(hd_span bytes, char *name, size_t size)
{
    static const char *const words[] = {"charset", "encoding"};
    char head[2048];
    size_t n = bytes.len < sizeof head - 1 ? bytes.len : sizeof head - 1;
    memcpy(head, bytes.ptr, n);
    head[n] = '\0';
    name[0] = '\0';
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        const char *at = strcasestr(head, words[i]);
        if (at == NULL || (i == 1 && strncmp(head, "<?xml", 5) != 0))
            continue;
        at += strlen(words[i]);
        at += strspn(at, " \t\r\n");
        if (*at != '=')
            continue;
        at++;
        at += strspn(at, " \t\r\n\"'");
        size_t len = strcspn(at, " \t\r\n\"'/>;?");
        if (len > 0 && len < size) {
            memcpy(name, at, len);
            name[len] = '\0';
            return;
        }
    }
}
