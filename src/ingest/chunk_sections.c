/* chunk_sections.c - text by its headings, code by its functions and types: a chunk for each section, short ones joined,
 * long ones cut. And text by tokens alone, which is one long section.
 *
 * A long section is cut after the last paragraph that fits when that leaves the chunk at least half full, else after the
 * last sentence, and then the next chunk begins with the last sentences again. Code and tables are cut between lines, at
 * empty ones where there are any. What is longer than a chunk without any of these is cut at a blank, or anywhere.
 */
#include "base/alloc.h"
#include "ingest/chunk_rules.h"
#include "ingest/sentence.h"

#define NAME_BYTES 256u     /* of a heading, in a path */
#define MAX_DEPTH 16u       /* headings have 6 levels; functions in functions may have more, which count as the last */
#define SHORT_SHARE 4u      /* a section of less than this part of a chunk is joined with others */
#define CONTEXT_SHARE 4u    /* a context of more than this part of a chunk is left out */
#define SEPARATOR_TOKENS 2u /* between context and text, at most */

typedef struct section {
    const char *path, *above;  /* its own and that of what it is in */
    uint32_t begin, body, end; /* body: after its heading */
} section;

typedef struct section_list {
    section *items; /* on the heap */
    size_t n, capacity;
} section_list;

/* The names that lead to where one is. */
typedef struct trail {
    const char *paths[MAX_DEPTH];
    uint32_t levels[MAX_DEPTH];
    size_t n;
} trail;

static hd_status no_memory(hd_error *err)
{
    return hd__fail(err, HD_ERR_MEMORY, "no memory for the sections of a document");
}

/* ---- sections ---- */

static hd_status section_push(section_list *list, section s, hd_error *err)
{
    if (list->n == list->capacity) {
        const size_t capacity = list->capacity != 0 ? 2 * list->capacity : 32;
        section *items = hd__realloc(list->items, hd__mul(capacity, sizeof *items));
        if (items == NULL)
            return no_memory(err);
        list->items = items;
        list->capacity = capacity;
    }
    list->items[list->n++] = s;
    return HD_OK;
}

/* Goes up to what a level is in, and returns its path. */
static const char *trail_above(trail *t, uint32_t level)
{
    while (t->n > 0 && (t->levels[t->n - 1] >= level || t->n == MAX_DEPTH))
        t->n--;
    return t->n > 0 ? t->paths[t->n - 1] : "";
}

static const char *path_join(hd_arena *arena, const char *above, const char *name)
{
    size_t len = strlen(name);
    if (len > NAME_BYTES)
        for (len = NAME_BYTES; len > 0 && ((unsigned char)name[len] & 0xC0) == 0x80;)
            len--;
    return hd__arena_printf(arena, "%s%s%.*s", above, above[0] != '\0' && len > 0 ? " > " : "", (int)len, name);
}

static bool is_empty(const hd_chunker *c, uint32_t begin, uint32_t end)
{
    return hd__strip(hd__span(c->extract->text.ptr + begin, end - begin)).len == 0;
}

/* Where the text begins: Markdown's front matter, which is before all blocks, is not cut. */
static uint32_t text_begin(const hd_chunker *c)
{
    return c->extract->n_blocks > 0 ? c->extract->blocks[0].begin : 0;
}

/* What stands under a heading, up to the next one. A heading with nothing but further headings below it is in their paths.
 */
static hd_status find_headings(hd_chunker *c, section_list *list, hd_error *err)
{
    const hd_extract *e = c->extract;
    trail t = {.n = 0};
    section s = {.path = "", .begin = text_begin(c)}; /* before the first heading: in nothing, and nothing is in it */
    s.body = s.begin;
    uint32_t level = 0;
    for (size_t i = 0; i <= e->n_blocks; i++) {
        const hd_block *b = i < e->n_blocks ? &e->blocks[i] : NULL;
        if (b != NULL && b->kind != HD_BLOCK_HEADING)
            continue;
        s.end = b != NULL ? b->begin : (uint32_t)e->text.len;
        const bool is_outline = is_empty(c, s.body, s.end), has_children = b != NULL && b->level > level;
        if (is_outline && !has_children)
            s.body = s.begin;
        if (!is_empty(c, s.body, s.end))
            HD_TRY(section_push(list, s, err));
        if (b == NULL)
            break;
        const char *above = trail_above(&t, b->level);
        s = (section){.above = above, .begin = b->begin, .body = b->end};
        s.path = path_join(c->arena, above, b->name != NULL ? b->name : "");
        if (s.path == NULL)
            return no_memory(err);
        level = b->level;
        t.levels[t.n] = level;
        t.paths[t.n++] = s.path;
    }
    return HD_OK;
}

/* Functions and types; what has no name belongs to what it is in. */
static hd_status find_code(hd_chunker *c, section_list *list, hd_error *err)
{
    const hd_extract *e = c->extract;
    trail t = {.n = 0};
    for (size_t i = 0; i < e->n_blocks; i++) {
        const hd_block *b = &e->blocks[i];
        const char *above = trail_above(&t, b->level);
        section s = {.path = above, .above = above, .begin = b->begin, .body = b->begin, .end = b->end};
        if (b->name != NULL) {
            s.path = path_join(c->arena, above, b->name);
            if (s.path == NULL)
                return no_memory(err);
            t.levels[t.n] = b->level;
            t.paths[t.n++] = s.path;
        }
        HD_TRY(section_push(list, s, err));
    }
    return HD_OK;
}

/* ---- one chunk ---- */

/* Title and section, as the model is to see them before the text, and how many tokens they leave. */
static hd_status make_context(hd_chunker *c, const char *path, const char **context, uint32_t *room, hd_error *err)
{
    const char *title = c->extract->title;
    const size_t n_title = strlen(title);
    const bool in_path = strncmp(path, title, n_title) == 0 &&
                         (path[n_title] == '\0' || n_title == 0 || strncmp(path + n_title, " > ", 3) == 0);
    uint32_t n;
    *room = c->options->max_tokens;
    *context = path[0] == '\0' ? title : in_path ? path : hd__arena_printf(c->arena, "%s > %s", title, path);
    if (*context == NULL)
        return no_memory(err);
    HD_TRY(hd__chunker_count_text(c, hd__span_of(*context), &n, err));
    if (n == 0 || n + SEPARATOR_TOKENS > *room / CONTEXT_SHARE)
        *context = "";
    else
        *room -= n + SEPARATOR_TOKENS;
    return HD_OK;
}

static hd_status add(hd_chunker *c, uint32_t begin, uint32_t end, const char *path, const char *context, hd_error *err)
{
    const char *text = c->extract->text.ptr;
    const hd_span trimmed = hd__strip(hd__span(text + begin, end - begin));
    if (trimmed.len == 0)
        return HD_OK;
    begin = (uint32_t)(trimmed.ptr - text);
    return hd__chunker_add(c,
                           (hd_chunk){.section = path,
                                      .context = context,
                                      .text = trimmed,
                                      .ordinal = (uint32_t)c->n,
                                      .begin = begin,
                                      .end = begin + (uint32_t)trimmed.len},
                           err);
}

/* ---- cutting ---- */

/* A stretch to be cut, and how far that has come. */
typedef struct cutting {
    hd_chunker *c;
    uint32_t end;
    size_t block; /* where the search for the block of an offset goes on */
} cutting;

/* The next border after an offset, or `stop` when that comes first; *is_paragraph for one that is more than the end of a
 * sentence or a line. */
static uint32_t next_border(cutting *k, uint32_t at, uint32_t stop, bool *is_paragraph)
{
    const hd_extract *e = k->c->extract;
    while (k->block > 0 && e->blocks[k->block].begin > at)
        k->block--;
    while (k->block + 1 < e->n_blocks && e->blocks[k->block + 1].begin <= at)
        k->block++;
    uint32_t limit = stop;
    bool by_lines = false;
    if (e->n_blocks > 0) {
        const hd_block *b = &e->blocks[k->block];
        by_lines = b->begin <= at && (b->kind == HD_BLOCK_CODE || b->kind == HD_BLOCK_TABLE);
        const uint32_t next = b->begin > at ? b->begin : k->block + 1 < e->n_blocks ? b[1].begin : k->end;
        limit = next < stop ? next : stop;
    }
    uint32_t border = limit;
    if (by_lines) {
        const char *newline = memchr(e->text.ptr + at, '\n', limit - at);
        border = newline != NULL ? (uint32_t)(newline + 1 - e->text.ptr) : limit;
        *is_paragraph = border == limit || e->text.ptr[border] == '\n';
    } else {
        border = (uint32_t)hd__sentence_end(hd__span(e->text.ptr, limit), at);
        *is_paragraph = border == limit || (border >= 2 && memcmp(e->text.ptr + border - 2, "\n\n", 2) == 0);
    }
    return border;
}

/* The best place within what fits to cut something without any borders: after a line, after a blank, anywhere. */
static uint32_t cut_anywhere(const cutting *k, uint32_t at, uint32_t n_tokens)
{
    const char *text = k->c->extract->text.ptr;
    const uint32_t reach = hd__chunker_reach(k->c, at, n_tokens, k->end);
    const uint32_t least = at + (reach - at) / 2;
    for (uint32_t i = reach; i > least && reach < k->end; i--)
        if (text[i] == '\n')
            return i;
    for (uint32_t i = reach; i > least && reach < k->end; i--)
        if (text[i] == ' ' || text[i] == '\t')
            return i;
    return reach;
}

/* Where the chunk after a cut begins: at the first sentence of at most overlap_tokens before it, if what follows still fits.
 */
static uint32_t begin_again(cutting *k, uint32_t at, uint32_t cut, uint32_t room)
{
    bool is_paragraph;
    if (k->c->options->overlap_tokens == 0)
        return cut;
    const uint32_t following = next_border(k, cut, hd__chunker_reach(k->c, cut, room + 1, k->end), &is_paragraph);
    for (uint32_t border = next_border(k, at, cut, &is_paragraph); border < cut;
         border = next_border(k, border, cut, &is_paragraph))
        if (hd__chunker_count(k->c, border, cut) <= k->c->options->overlap_tokens &&
            hd__chunker_count(k->c, border, following) <= room)
            return border;
    return cut;
}

/* The end of the chunk that begins at an offset; *again is where the next one does. */
static uint32_t find_cut(cutting *k, uint32_t at, uint32_t room, uint32_t *again)
{
    const uint32_t left = hd__chunker_count(k->c, at, k->end);
    uint32_t most = room; /* of what fills less than two chunks each gets about half */
    if (left < 2 * room && left / 2 + left / 8 + 1 < room)
        most = left / 2 + left / 8 + 1;
    uint32_t last = at, paragraph = at;
    bool is_paragraph;
    const uint32_t stop = hd__chunker_reach(k->c, at, most + 1, k->end); /* borders past it are not looked for */
    for (uint32_t border = at; border < stop;) {
        border = next_border(k, border, stop, &is_paragraph);
        if (hd__chunker_count(k->c, at, border) > most)
            break;
        last = border;
        paragraph = is_paragraph ? border : paragraph;
    }
    if (last == at)
        return *again = cut_anywhere(k, at, most);
    if (hd__chunker_count(k->c, at, paragraph) >= most / 2)
        return *again = paragraph;
    *again = begin_again(k, at, last, room);
    return last;
}

/* The path of the last section that begins at or before an offset. */
static const char *path_at(const section_list *sections, uint32_t at)
{
    size_t low = 0, high = sections->n;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (sections->items[middle].begin <= at)
            low = middle + 1;
        else
            high = middle;
    }
    return low > 0 ? sections->items[low - 1].path : "";
}

/* Cuts a stretch, of one section where it is not NULL, else of several. */
static hd_status cut(hd_chunker *c, uint32_t begin, uint32_t end, const section *one, const section_list *several,
                     hd_error *err)
{
    cutting k = {.c = c, .end = end};
    for (uint32_t at = begin; at < end;) {
        const hd_span rest = hd__strip(hd__span(c->extract->text.ptr + at, end - at));
        if (rest.len == 0)
            break;
        at = (uint32_t)(rest.ptr - c->extract->text.ptr);
        const char *path = one != NULL ? one->path : path_at(several, at), *context;
        uint32_t room, again = end;
        HD_TRY(make_context(c, path, &context, &room, err));
        const uint32_t to = hd__chunker_count(c, at, end) <= room ? end : find_cut(&k, at, room, &again);
        HD_TRY(add(c, at, to, path, context, err));
        at = again;
    }
    return HD_OK;
}

/* ---- joining ---- */

static bool same(const char *a, const char *b)
{
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

/* How many sections from the first on become one chunk; *inside when the others are all in the first. */
static size_t join(const hd_chunker *c, const section *first, size_t n, uint32_t room, bool *inside)
{
    const uint32_t few = c->options->max_tokens / SHORT_SHARE;
    size_t n_joined = 1;
    *inside = n > 1 && first->path[0] != '\0' && same(first[1].above, first->path);
    for (; n_joined < n; n_joined++) {
        const section *next = &first[n_joined];
        const uint32_t begin = *inside ? first->body : first->begin;
        if (!same(next->above, *inside ? first->path : first->above) || hd__chunker_count(c, begin, next->end) > room)
            break;
        if (hd__chunker_count(c, begin, next[-1].end) >= few && hd__chunker_count(c, next->begin, next->end) >= few)
            break;
    }
    return n_joined;
}

static hd_status add_sections(hd_chunker *c, const section_list *list, hd_error *err)
{
    for (size_t i = 0; i < list->n;) {
        const section *s = &list->items[i];
        const char *context;
        uint32_t room;
        bool inside;
        HD_TRY(make_context(c, s->path, &context, &room, err));
        if (hd__chunker_count(c, s->body, s->end) > room) {
            HD_TRY(cut(c, s->body, s->end, s, NULL, err));
            i++;
            continue;
        }
        const size_t n = join(c, s, list->n - i, room, &inside);
        const bool is_one = n == 1 || inside;
        const uint32_t begin = is_one ? s->body : s->begin, end = s[n - 1].end;
        if (!is_one)
            HD_TRY(make_context(c, s->above, &context, &room, err));
        if (hd__chunker_count(c, begin, end) >
            room) /* the section's own context was too long to take room, this one is not */
            context = "";
        HD_TRY(add(c, begin, end, is_one ? s->path : s->above, context, err));
        i += n;
    }
    return HD_OK;
}

static hd_status find_sections(hd_chunker *c, section_list *list, hd_error *err)
{
    return c->extract->kind == HD_KIND_CODE ? find_code(c, list, err) : find_headings(c, list, err);
}

hd_status hd__chunk_by_sections(hd_chunker *c, hd_error *err)
{
    section_list list = {0};
    hd_status status = find_sections(c, &list, err);
    if (status == HD_OK)
        status = add_sections(c, &list, err);
    hd__free(list.items);
    return status;
}

hd_status hd__chunk_by_tokens(hd_chunker *c, hd_error *err)
{
    section_list list = {0};
    hd_status status = find_sections(c, &list, err);
    if (status == HD_OK)
        status = cut(c, text_begin(c), (uint32_t)c->extract->text.len, NULL, &list, err);
    hd__free(list.items);
    return status;
}
