/* ignore.c - see ignore.h.
 *
 * A pattern is a stretch of plain bytes, compared as they are, and steps after it. Steps are run as a machine that is in
 * several places at once (Thompson 1968), so that no pattern takes longer than its length times the path's.
 */
#include "ingest/ignore.h"

#include <ctype.h>

#include "base/limits.h"

typedef enum step_kind {
    STEP_BYTE,
    STEP_ANY,  /* one byte but "/" */
    STEP_SET,  /* one byte of a class */
    STEP_STAR, /* any bytes but "/" */
    STEP_ALL,  /* any bytes */
    STEP_DIRS, /* any folders, each with the slash at its end */
} step_kind;

typedef struct byte_set {
    uint64_t words[4];
} byte_set;

typedef struct step {
    step_kind kind;
    unsigned char byte;
    const byte_set *set;
} step;

typedef struct rule {
    const struct rule *before; /* in the file */
    hd_span plain;
    const step *steps; /* [n_steps] */
    size_t n_steps;
    bool takes;         /* "!" */
    bool dirs_only;     /* "/" at the end */
    bool is_about_name; /* no other slash */
} rule;

struct hd_ignore {
    const rule *last;
};

/* ---- reading ---- */

static void set_add(byte_set *set, unsigned char byte)
{
    set->words[byte / 64] |= UINT64_C(1) << (byte % 64);
}

static bool set_has(const byte_set *set, unsigned char byte)
{
    return (set->words[byte / 64] >> (byte % 64) & 1) != 0;
}

/* The bytes of "[:name:]", ASCII alone whatever the locale; false for a name that there is not. */
static bool set_add_named(byte_set *set, hd_span name)
{
    static const struct {
        const char *name;
        int (*has)(int);
    } classes[] = {{"alnum", isalnum}, {"alpha", isalpha}, {"blank", isblank}, {"cntrl", iscntrl},
                   {"digit", isdigit}, {"graph", isgraph}, {"lower", islower}, {"print", isprint},
                   {"punct", ispunct}, {"space", isspace}, {"upper", isupper}, {"xdigit", isxdigit}};
    for (size_t i = 0; i < sizeof classes / sizeof classes[0]; i++) {
        if (!hd__span_is(name, classes[i].name))
            continue;
        for (int byte = 0; byte < 128; byte++)
            if (classes[i].has(byte) != 0)
                set_add(set, (unsigned char)byte);
        return true;
    }
    return false;
}

/* What a byte in a class stands for: itself, or the next after a backslash. False at the end. */
static bool take_member(hd_cursor *c, unsigned char *byte)
{
    *byte = hd__cursor_u8(c);
    if (*byte == '\\')
        *byte = hd__cursor_u8(c);
    return !c->failed;
}

/* "[:name:]" after its first byte. *is_named false, and nothing taken, when the next "]" does not end one. */
static bool take_named(hd_cursor *c, byte_set *set, bool *is_named)
{
    const unsigned char *end = memchr(c->at, ']', hd__cursor_left(c));
    *is_named = end != NULL && end - c->at >= 2 && end[-1] == ':' && c->at[0] == ':';
    if (!*is_named)
        return end != NULL; /* no "]" any more: the class around it has no end either */
    const hd_span name = hd__span(c->at + 1, (size_t)(end - c->at) - 2);
    c->at = end + 1;
    return set_add_named(set, name);
}

/* A class after its "[". False for one without an end or with an unknown name: the pattern matches nothing. */
static bool take_set(hd_cursor *c, byte_set *set)
{
    *set = (byte_set){0};
    const bool negated = hd__cursor_left(c) > 0 && (*c->at == '!' || *c->at == '^');
    c->at += negated;
    int before = -1; /* what a range can begin with */
    for (bool first = true;; first = false) {
        if (hd__cursor_left(c) == 0)
            return false;
        const unsigned char next = *c->at;
        if (next == ']' && !first)
            break;
        if (next == '-' && before >= 0 && hd__cursor_left(c) > 1 && c->at[1] != ']') {
            unsigned char last;
            c->at++;
            if (!take_member(c, &last))
                return false;
            for (int byte = before; byte <= last; byte++)
                set_add(set, (unsigned char)byte);
            before = -1;
            continue;
        }
        bool is_named = false;
        if (next == '[' && hd__cursor_left(c) > 1 && c->at[1] == ':') {
            c->at++;
            if (!take_named(c, set, &is_named))
                return false;
            c->at -= !is_named;
        }
        unsigned char member = 0;
        if (!is_named && !take_member(c, &member))
            return false;
        if (!is_named)
            set_add(set, member);
        before = is_named ? -1 : member;
    }
    c->at++;
    for (size_t i = 0; negated && i < 4; i++)
        set->words[i] = ~set->words[i];
    set->words['/' / 64] &= ~(UINT64_C(1) << ('/' % 64));
    return true;
}

/* One or more stars. Two and more cross slashes when they stand between two: as git does, also right after the plain bytes.
 */
static void take_stars(hd_cursor *c, bool at_border, step *s)
{
    size_t n = 1;
    for (; hd__cursor_left(c) > 0 && *c->at == '*'; c->at++)
        n++;
    const size_t left = hd__cursor_left(c);
    const bool before_slash = left > 0 && c->at[0] == '/', before_escaped = left > 1 && c->at[0] == '\\' && c->at[1] == '/';
    s->kind = STEP_STAR;
    if (n == 1 || !at_border || (left > 0 && !before_slash && !before_escaped))
        return;
    s->kind = before_slash ? STEP_DIRS : STEP_ALL;
    c->at += before_slash;
}

/* The steps of what follows the plain bytes; false when it matches nothing. */
static bool take_steps(hd_span text, hd_arena *arena, step *steps, size_t *n, bool *no_memory)
{
    hd_cursor c = hd__cursor(text);
    bool at_border = true;
    for (*n = 0; hd__cursor_left(&c) > 0; (*n)++) {
        step *s = &steps[*n];
        *s = (step){.kind = STEP_BYTE, .byte = hd__cursor_u8(&c)};
        if (s->byte == '*') {
            take_stars(&c, at_border, s);
            at_border = s->kind == STEP_DIRS;
            continue;
        }
        at_border = s->byte == '/';
        if (s->byte == '?') {
            s->kind = STEP_ANY;
        } else if (s->byte == '[') {
            byte_set *set = hd__arena_alloc(arena, sizeof *set);
            *no_memory = set == NULL;
            if (set == NULL || !take_set(&c, set))
                return false;
            s->kind = STEP_SET;
            s->set = set;
        } else if (s->byte == '\\') {
            s->byte = hd__cursor_u8(&c);
            at_border = s->byte == '/';
        }
    }
    return !c.failed;
}

/* Blanks at the end go, unless a backslash stands before the first of them. */
static hd_span without_last_blanks(hd_span line)
{
    size_t end = 0;
    for (size_t i = 0; i < line.len; i++) {
        if (line.ptr[i] == ' ')
            continue;
        if (line.ptr[i] == '\\' && i + 1 < line.len)
            i++;
        else if (line.ptr[i] == '\\')
            return line; /* one at the very end keeps what is before it */
        end = i + 1;
    }
    return hd__span(line.ptr, end);
}

static hd_status no_memory_for_patterns(hd_error *err)
{
    return hd__fail(err, HD_ERR_MEMORY, "no memory for the patterns of an ignore file");
}

static hd_status add_rule(hd_ignore *ignore, hd_span line, hd_arena *arena, hd_error *err)
{
    rule r = {.before = ignore->last};
    r.takes = line.ptr[0] == '!';
    line = hd__span(line.ptr + r.takes, line.len - r.takes);
    r.dirs_only = line.len > 0 && line.ptr[line.len - 1] == '/';
    line.len -= r.dirs_only;
    r.is_about_name = line.len == 0 || memchr(line.ptr, '/', line.len) == NULL;
    if (!r.is_about_name && line.ptr[0] == '/')
        line = hd__span(line.ptr + 1, line.len - 1);
    if (line.len == 0)
        return HD_OK;
    const char *text = hd__arena_strndup(arena, line.ptr, line.len);
    step *steps = hd__arena_calloc(arena, line.len, sizeof *steps);
    rule *kept = hd__arena_alloc(arena, sizeof *kept);
    if (text == NULL || steps == NULL || kept == NULL)
        return no_memory_for_patterns(err);
    for (r.plain = hd__span(text, 0); r.plain.len < line.len && strchr("*?[\\", text[r.plain.len]) == NULL;)
        r.plain.len++;
    bool no_memory = false;
    const bool can_match =
        take_steps(hd__span(text + r.plain.len, line.len - r.plain.len), arena, steps, &r.n_steps, &no_memory);
    if (no_memory)
        return no_memory_for_patterns(err);
    if (!can_match)
        return HD_OK;
    r.steps = steps;
    *kept = r;
    ignore->last = kept;
    return HD_OK;
}

hd_status hd__ignore_parse(hd_span text, hd_arena *arena, const hd_ignore **out, hd_error *err)
{
    hd_ignore *ignore = hd__arena_calloc(arena, 1, sizeof *ignore);
    if (ignore == NULL)
        return no_memory_for_patterns(err);
    if (hd__span_begins(text, "\xEF\xBB\xBF"))
        text = hd__span(text.ptr + 3, text.len - 3);
    while (text.len > 0) {
        const char *newline = memchr(text.ptr, '\n', text.len);
        hd_span line = hd__span(text.ptr, newline != NULL ? (size_t)(newline - text.ptr) : text.len);
        const size_t taken = line.len + (newline != NULL);
        text = hd__span(text.ptr + taken, text.len - taken);
        line.len -= newline != NULL && line.len > 0 && line.ptr[line.len - 1] == '\r';
        const char *nul = line.len > 0 ? memchr(line.ptr, '\0', line.len) : NULL;
        if (nul != NULL) /* no name holds one */
            line.len = (size_t)(nul - line.ptr);
        line = without_last_blanks(line);
        if (line.len > 0 && line.ptr[0] != '#' && line.len <= HD_LIMIT_IGNORE_PATTERN_BYTES)
            HD_TRY(add_rule(ignore, line, arena, err));
    }
    *out = ignore;
    return HD_OK;
}

hd_status hd__ignore_parse_path(const char *pattern, hd_arena *arena, const hd_ignore **out, hd_error *err)
{
    hd_ignore *ignore = hd__arena_calloc(arena, 1, sizeof *ignore);
    const char *line = hd__arena_printf(arena, "/%s", pattern);
    if (ignore == NULL || line == NULL)
        return no_memory_for_patterns(err);
    if (strlen(line) > HD_LIMIT_IGNORE_PATTERN_BYTES)
        return hd__fail(err, HD_ERR_LIMIT, "a pattern of %zu bytes, at most %u are allowed", strlen(pattern),
                        HD_LIMIT_IGNORE_PATTERN_BYTES - 1);
    *out = ignore;
    return add_rule(ignore, hd__span_of(line), arena, err);
}

/* ---- matching ---- */

/* The places that a machine is in: before step i, or after all. */
typedef struct places {
    bool in[HD_LIMIT_IGNORE_PATTERN_BYTES + 1];
    size_t first, end; /* none is outside */
} places;

static void places_add(places *p, size_t i)
{
    p->in[i] = true;
    p->first = i < p->first ? i : p->first;
    p->end = i >= p->end ? i + 1 : p->end;
}

/* Also past the steps that may stand for nothing. */
static void places_enter(places *p, const rule *r, size_t i)
{
    for (places_add(p, i); i < r->n_steps && r->steps[i].kind >= STEP_STAR; places_add(p, i))
        i++;
}

static void take_byte(const rule *r, size_t i, unsigned char byte, places *next)
{
    const step *s = &r->steps[i];
    switch (s->kind) {
    case STEP_BYTE:
    case STEP_ANY:
    case STEP_SET:
        if (s->kind == STEP_BYTE ? byte == s->byte : s->kind == STEP_ANY ? byte != '/' : set_has(s->set, byte))
            places_enter(next, r, i + 1);
        break;
    case STEP_STAR:
    case STEP_ALL:
        if (s->kind == STEP_ALL || byte != '/')
            places_enter(next, r, i);
        break;
    case STEP_DIRS:
        places_add(next, i); /* in the midst of a name: what follows begins after a slash */
        if (byte == '/')
            places_enter(next, r, i + 1);
        break;
    }
}

static bool steps_match(const rule *r, hd_span text)
{
    places sets[2];
    places *now = &sets[0], *next = &sets[1];
    memset(now->in, 0, r->n_steps + 1);
    memset(next->in, 0, r->n_steps + 1);
    now->first = r->n_steps + 1;
    now->end = 0;
    places_enter(now, r, 0);
    for (size_t at = 0; at < text.len && now->first < now->end; at++) {
        next->first = r->n_steps + 1;
        next->end = 0;
        for (size_t i = now->first; i < now->end; i++) {
            if (now->in[i] && i < r->n_steps)
                take_byte(r, i, (unsigned char)text.ptr[at], next);
            now->in[i] = false;
        }
        places *swap = now;
        now = next;
        next = swap;
    }
    return now->first < now->end && now->in[r->n_steps];
}

/* "*" and plain bytes: by far the most of what is not plain altogether. */
static bool is_ending(const rule *r)
{
    if (r->plain.len > 0 || r->n_steps == 0 || r->steps[0].kind != STEP_STAR)
        return false;
    for (size_t i = 1; i < r->n_steps; i++)
        if (r->steps[i].kind != STEP_BYTE)
            return false;
    return true;
}

static bool ending_matches(const rule *r, hd_span name)
{
    const size_t n = r->n_steps - 1;
    for (size_t i = 0; i < n; i++)
        if (name.len < n || (unsigned char)name.ptr[name.len - n + i] != r->steps[1 + i].byte)
            return false;
    return true;
}

static bool rule_matches(const rule *r, hd_span path, hd_span name, bool is_dir)
{
    const hd_span text = r->is_about_name ? name : path;
    if ((r->dirs_only && !is_dir) || text.len < r->plain.len || memcmp(text.ptr, r->plain.ptr, r->plain.len) != 0)
        return false;
    if (r->n_steps == 0)
        return text.len == r->plain.len;
    if (r->is_about_name && is_ending(r))
        return ending_matches(r, name);
    return steps_match(r, hd__span(text.ptr + r->plain.len, text.len - r->plain.len));
}

hd_ignore_answer hd__ignore_ask(const hd_ignore *ignore, hd_span path, bool is_dir)
{
    const char *slash = path.len > 0 ? memrchr(path.ptr, '/', path.len) : NULL;
    const char *name = slash != NULL ? slash + 1 : path.ptr;
    const hd_span last = hd__span(name, (size_t)(path.ptr + path.len - name));
    for (const rule *r = ignore != NULL ? ignore->last : NULL; r != NULL; r = r->before)
        if (rule_matches(r, path, last, is_dir))
            return r->takes ? HD_IGNORE_TAKE : HD_IGNORE_LEAVE;
    return HD_IGNORE_UNSAID;
}
