/* markup.c - see markup.h. */
#include "ingest/markup.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "base/limits.h"
#include "ingest/block_list.h"
#include "ingest/encoding.h"
#include "ingest/xml_library.h"

typedef struct parse {
    const hd_xml_library *library;
    const hd_markup_handler *handler;
    void *data;
    xmlParserCtxtPtr context;
    uint32_t depth, most_depth;
    bool too_deep, declares_entity;
} parse;

static const char *local_name(const char *name)
{
    const char *colon = strchr(name, ':');
    return colon != NULL && colon[1] != '\0' ? colon + 1 : name;
}

static void begin_element(void *data, const xmlChar *name, const xmlChar **attributes)
{
    parse *p = data;
    if (p->too_deep)
        return;
    if (++p->depth > p->most_depth) {
        p->too_deep = true;
        p->library->stop_parser(p->context);
        return;
    }
    int line = p->library->line_number(p->context);
    p->handler->begin(p->data, local_name((const char *)name), (const char *const *)attributes,
                      line > 0 ? (uint32_t)line : 0);
}

static void end_element(void *data, const xmlChar *name)
{
    parse *p = data;
    if (p->too_deep || p->depth == 0)
        return;
    p->depth--;
    p->handler->end(p->data, local_name((const char *)name));
}

static void characters(void *data, const xmlChar *text, int len)
{
    parse *p = data;
    if (!p->too_deep && len > 0)
        p->handler->text(p->data, hd__span(text, (size_t)len));
}

static void declare_entity(void *data, const xmlChar *name, int type, const xmlChar *public_id, const xmlChar *system_id,
                           xmlChar *content)
{
    parse *p = data;
    (void)name;
    (void)type;
    (void)public_id;
    (void)system_id;
    (void)content;
    p->declares_entity = true;
    p->library->stop_parser(p->context);
}

/* Events go to the handler, and nothing else is done: no tree, no messages, no entities from elsewhere. */
static void set_events(parse *p, xmlParserCtxtPtr context)
{
    p->context = context;
    memset(context->sax, 0, sizeof *context->sax);
    context->sax->startElement = begin_element;
    context->sax->endElement = end_element;
    context->sax->characters = characters;
    context->sax->ignorableWhitespace = characters;
    context->sax->cdataBlock = characters;
    context->sax->entityDecl = declare_entity;
    context->userData = p;
}

/* ---- elements with too many attributes ---- */

/* Past the next such word; the end when there is none. */
static size_t after(hd_span text, size_t at, const char *word)
{
    const size_t n = strlen(word);
    const char *found = at < text.len ? memmem(text.ptr + at, text.len - at, word, n) : NULL;
    return found != NULL ? (size_t)(found - text.ptr) + n : text.len;
}

static bool is_name_byte(char c)
{
    return (unsigned char)c >= 0x80 || isalnum((unsigned char)c) || (c != '\0' && strchr(":_.-", c) != NULL);
}

static size_t skip_blanks(hd_span text, size_t at)
{
    while (at < text.len && hd__ascii_is_space(text.ptr[at]))
        at++;
    return at;
}

/* Counts the attributes of a start tag from the end of its name on; *at becomes its end. What is no attribute counts too. */
static uint32_t count_attributes(hd_span text, size_t *at)
{
    uint32_t n = 0;
    while (n <= HD_LIMIT_ATTRIBUTES) {
        *at = skip_blanks(text, *at);
        if (*at >= text.len || text.ptr[*at] == '>')
            break;
        if (text.ptr[*at] == '/') {
            ++*at;
            continue;
        }
        const size_t begin = *at;
        while (*at < text.len && is_name_byte(text.ptr[*at]))
            ++*at;
        const size_t equals = skip_blanks(text, *at);
        if (*at == begin) { /* no name: to the next blank */
            while (*at < text.len && !hd__ascii_is_space(text.ptr[*at]) && text.ptr[*at] != '>')
                ++*at;
        } else if (equals < text.len && text.ptr[equals] == '=') {
            *at = skip_blanks(text, equals + 1);
            const char quote = *at < text.len ? text.ptr[*at] : '\0';
            if (quote == '"' || quote == '\'')
                *at = after(text, *at + 1, (char[]){quote, '\0'});
            else
                while (*at < text.len && !hd__ascii_is_space(text.ptr[*at]) && text.ptr[*at] != '>')
                    ++*at;
        }
        n++;
    }
    return n;
}

static bool is_name(hd_span name, const char *with)
{
    return name.len == strlen(with) && strncasecmp(name.ptr, with, name.len) == 0;
}

/* Past a script or style sheet: to the first end tag, as the parser takes it. */
static size_t after_raw_text(hd_span text, size_t at)
{
    do
        at = after(text, at, "</");
    while (at < text.len && !isalpha((unsigned char)text.ptr[at]));
    return at;
}

/* The parser compares each attribute of an element with all before it, which takes hours for some megabytes of them. */
static bool has_crowded_element(hd_span text, bool is_html)
{
    for (size_t at = after(text, 0, "<"); at < text.len; at = after(text, at, "<")) {
        const hd_span rest = hd__span(text.ptr + at, text.len - at);
        if (hd__span_begins(rest, "!--")) {
            at = after(text, at + 3, "--");
            while (at < text.len && text.ptr[at] != '>' && text.ptr[at] != '!')
                at = text.ptr[at] == '-' ? at + 1 : after(text, at, "--");
            continue;
        }
        if (!is_html && hd__span_begins(rest, "![CDATA[")) {
            at = after(text, at, "]]>");
            continue;
        }
        if (!is_name_byte(rest.ptr[0]) || isdigit((unsigned char)rest.ptr[0]) || rest.ptr[0] == '-')
            continue;
        size_t n = 1;
        while (n < rest.len && is_name_byte(rest.ptr[n]))
            n++;
        const hd_span name = hd__span(rest.ptr, n);
        at += n;
        if (count_attributes(text, &at) > HD_LIMIT_ATTRIBUTES)
            return true;
        if (is_html && (is_name(name, "script") || is_name(name, "style")))
            at = after_raw_text(text, at);
    }
    return false;
}

static hd_status check_attributes(hd_span text, bool is_html, hd_error *err)
{
    if (has_crowded_element(text, is_html))
        return hd__fail(err, HD_ERR_LIMIT, "an element has more than %u attributes", HD_LIMIT_ATTRIBUTES);
    return HD_OK;
}

/* ---- parsing ---- */

static hd_status check(const parse *p, size_t len, size_t most, hd_error *err)
{
    if (len > most)
        return hd__fail(err, HD_ERR_LIMIT, "%zu bytes of markup, at most %zu are read", len, most);
    if (p->too_deep)
        return hd__fail(err, HD_ERR_LIMIT, "elements are nested deeper than %u", p->most_depth);
    return HD_OK;
}

hd_status hd__html_parse(hd_span text, const hd_markup_handler *handler, void *data, hd_error *err)
{
    parse p = {.handler = handler, .data = data, .most_depth = HD_LIMIT_HTML_DEPTH};
    HD_TRY(check(&p, text.len, HD_LIMIT_HTML_BYTES, err));
    HD_TRY(check_attributes(text, true, err));
    HD_TRY(hd__xml_library_open(&p.library, err));
    if (text.len == 0)
        return HD_OK;
    htmlParserCtxtPtr context = p.library->html_new_parser_ctxt();
    if (context == NULL)
        return hd__fail(err, HD_ERR_MEMORY, "no memory for an HTML parser");
    set_events(&p, context);
    htmlDocPtr none = p.library->html_ctxt_read_memory(context, text.ptr, (int)text.len, NULL, "UTF-8",
                                                       HTML_PARSE_NOERROR | HTML_PARSE_NOWARNING | HTML_PARSE_NONET);
    p.library->free_doc(none);
    const xmlError *last = p.library->ctxt_get_last_error(context);
    bool no_memory = last != NULL && last->code == XML_ERR_NO_MEMORY;
    p.library->html_free_parser_ctxt(context);
    if (no_memory)
        return hd__fail(err, HD_ERR_MEMORY, "no memory to parse HTML");
    return check(&p, text.len, HD_LIMIT_HTML_BYTES, err);
}

hd_status hd__xml_parse(hd_span bytes, const char *part, const hd_markup_handler *handler, void *data, hd_error *err)
{
    parse p = {.handler = handler, .data = data, .most_depth = HD_LIMIT_XML_DEPTH};
    xmlParserCtxtPtr context = NULL;
    hd_arena arena;
    hd_span text;
    hd_status status;
    HD_TRY(check(&p, bytes.len, HD_LIMIT_ARCHIVE_ENTRY_BYTES, err));
    HD_TRY(hd__xml_library_open(&p.library, err));
    hd__arena_init(&arena);
    HD_TRY_OUT(hd__encoding_decode(bytes, NULL, &arena, &text, err)); /* so that what is looked at is what is parsed */
    HD_TRY_OUT(check_attributes(text, false, err));
    context = p.library->new_parser_ctxt();
    if (context == NULL) {
        status = hd__fail(err, HD_ERR_MEMORY, "no memory for an XML parser");
        goto out;
    }
    set_events(&p, context);
    xmlDocPtr none =
        p.library->ctxt_read_memory(context, text.ptr, (int)text.len, NULL, "UTF-8",
                                    XML_PARSE_NOERROR | XML_PARSE_NOWARNING | XML_PARSE_NONET | XML_PARSE_IGNORE_ENC);
    p.library->free_doc(none);
    const xmlError *last = p.library->ctxt_get_last_error(context);
    HD_TRY_OUT(check(&p, bytes.len, HD_LIMIT_ARCHIVE_ENTRY_BYTES, err));
    if (p.declares_entity)
        status = hd__fail(err, HD_ERR_FORMAT, "%s declares an entity, which is not allowed there", part);
    else if (last != NULL && last->code == XML_ERR_NO_MEMORY)
        status = hd__fail(err, HD_ERR_MEMORY, "no memory to parse %s", part);
    else if (!context->wellFormed)
        status =
            hd__fail(err, HD_ERR_FORMAT, "%s is not well-formed XML, line %d: %.*s", part, last != NULL ? last->line : 0,
                     last != NULL && last->message != NULL ? (int)strcspn(last->message, "\n") : 0,
                     last != NULL && last->message != NULL ? last->message : "");
out:
    if (context != NULL)
        p.library->free_parser_ctxt(context);
    hd__arena_clear(&arena);
    return status;
}

const char *hd__attribute(const char *const *attributes, const char *name)
{
    for (; attributes != NULL && attributes[0] != NULL; attributes += 2) {
        if (strcmp(local_name(attributes[0]), name) == 0)
            return attributes[1];
    }
    return NULL;
}
