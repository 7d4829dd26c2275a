/* chunk*.c and sentence.c: sections, borders, lengths, AnyLoom's ids against Python's, the plugin's stretches; and of any
 * text that all of it is there, within the limits. */
#include "ingest/chunk.h"

#include <ctype.h>
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/json.h"
#include "base/limits.h"
#include "base/utf8.h"
#include "ingest/sentence.h"

static hd_error err;

/* ---- a small reader: "# " headings, code between fences, else paragraphs ---- */

typedef struct fixture {
    hd_arena arena;
    hd_extract extract;
    hd_block blocks[4096];
    hd_chunk *chunks;
    size_t n;
} fixture;

static void add_block(fixture *f, hd_block_kind kind, size_t begin, size_t end, uint32_t line)
{
    const hd_span trimmed = hd__strip(hd__span(f->extract.text.ptr + begin, end - begin));
    if (trimmed.len == 0 || f->extract.n_blocks == 4096)
        return;
    hd_block *b = &f->blocks[f->extract.n_blocks++];
    *b = (hd_block){.kind = kind, .line = line, .begin = (uint32_t)(trimmed.ptr - f->extract.text.ptr)};
    b->end = b->begin + (uint32_t)trimmed.len;
    if (kind != HD_BLOCK_HEADING)
        return;
    while (trimmed.ptr[b->level] == '#')
        b->level++;
    const hd_span name = hd__strip(hd__span(trimmed.ptr + b->level, trimmed.len - b->level));
    b->name = hd__arena_strndup(&f->arena, name.ptr, name.len);
}

static void read_text(fixture *f, hd_span text)
{
    *f = (fixture){.extract = {.kind = HD_KIND_MARKDOWN, .title = "", .language = "", .text = text}};
    hd__arena_init(&f->arena);
    size_t open = 0; /* where the block at hand begins */
    uint32_t line = 1, open_line = 1;
    bool in_code = false;
    for (size_t at = 0; at < text.len; line++) {
        const char *newline = memchr(text.ptr + at, '\n', text.len - at);
        const size_t next = newline != NULL ? (size_t)(newline + 1 - text.ptr) : text.len;
        const hd_span l = hd__strip(hd__span(text.ptr + at, next - at));
        const bool fence = hd__span_begins(l, "```"), heading = !in_code && text.ptr[at] == '#';
        if (fence && in_code) {
            add_block(f, HD_BLOCK_CODE, open, next, open_line);
            open = next;
            open_line = line + 1;
        } else if (!in_code && (fence || heading || l.len == 0)) {
            add_block(f, HD_BLOCK_PARAGRAPH, open, at, open_line);
            open = at;
            open_line = line;
        }
        in_code = fence ? !in_code : in_code;
        if (heading || (!in_code && l.len == 0)) {
            if (heading)
                add_block(f, HD_BLOCK_HEADING, at, next, line);
            open = next;
            open_line = line + 1;
        }
        at = next;
    }
    add_block(f, in_code ? HD_BLOCK_CODE : HD_BLOCK_PARAGRAPH, open, text.len, open_line);
    f->extract.blocks = f->blocks;
}

static void clear(fixture *f)
{
    hd__arena_clear(&f->arena);
}

/* Tokens of the tests: words, and each byte that is neither letter, digit nor blank. */
static size_t word_ends(hd_span text, uint32_t *ends, size_t max, void *data)
{
    (void)data;
    size_t n = 0;
    for (size_t at = 0; at < text.len && n < max;) {
        const unsigned char c = (unsigned char)text.ptr[at++];
        if (isspace(c))
            continue;
        while (isalnum(c) && at < text.len && isalnum((unsigned char)text.ptr[at]))
            at++;
        ends[n++] = (uint32_t)at;
    }
    return n;
}

static uint32_t count_words(hd_span text)
{
    static uint32_t ends[1 << 20];
    return (uint32_t)word_ends(text, ends, 1 << 20, NULL);
}

static hd_chunk_options options_of(hd_chunking rule, uint32_t max_tokens, uint32_t overlap)
{
    return (hd_chunk_options){.rule = rule, .max_tokens = max_tokens, .overlap_tokens = overlap, .token_ends = word_ends};
}

static void make(fixture *f, hd_chunk_options options)
{
    assert_int_equal(hd__chunk_make(&f->extract, &options, "label", "dir/file.md", &f->arena, &f->chunks, &f->n, &err),
                     HD_OK);
}

static void read_and_make(fixture *f, const char *text, uint32_t max_tokens, uint32_t overlap)
{
    read_text(f, hd__span_of(text));
    make(f, options_of(HD_CHUNKING_AUTO, max_tokens, overlap));
}

static void assert_chunk(const fixture *f, size_t i, const char *section, const char *text)
{
    assert_true(i < f->n);
    assert_string_equal(f->chunks[i].section, section);
    char copy[4096] = "";
    memcpy(copy, f->chunks[i].text.ptr, f->chunks[i].text.len);
    assert_string_equal(copy, text);
}

/* ---- sentences ---- */

static void test_sentences(void **state)
{
    (void)state;
    /* "|" stands where one ends */
    static const char *const cases[] = {
        "One. |Two! |Three? |Four",
        "Pi is 3.14 and e is 2.72. |So",
        "Ask Dr. Smith, e.g. about fig. 3 of it. |Then go.",
        "J. R. Tolkien wrote. |I did it, said I. |You too.",
        "He said \"Stop.\" |Then he went (far away.) |Done.",
        "Wait... what? |Wait... |What?",
        "1. First item. |2. Second",
        "See example.com and a.b.c. |End",
        "これは文です。|次の文！|本当？|はい",
        "यह वाक्य है। |दूसरा",
        "هل هذا؟ |نعم",
        "no end\n\n|new paragraph",
        "Yes?! |No.",
        "",
        "...",
        "Ends in the midst of bytes. |\xE3\x80",
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[256], got[512] = "";
        size_t n = 0;
        for (const char *c = cases[i]; *c != '\0'; c++)
            if (*c != '|')
                text[n++] = *c;
        for (size_t at = 0; at < n;) {
            const size_t end = hd__sentence_end(hd__span(text, n), at);
            assert_true(end > at && end <= n);
            strncat(got, text + at, end - at);
            if (end < n)
                strcat(got, "|");
            at = end;
        }
        assert_string_equal(got, cases[i]);
    }
}

/* ---- by headings ---- */

#define WORDS_10 "one two three four five six seven eight nine ten"

static void test_sections(void **state)
{
    (void)state;
    fixture f;
    read_and_make(&f,
                  "Before all.\n\n# A\n\n" WORDS_10 "\n\n## B\n\n" WORDS_10 "\n\n### C\n\n" WORDS_10 "\n\n## D\n\n" WORDS_10
                  "\n\n# E\n\n" WORDS_10 "\n",
                  32, 0);
    assert_chunk(&f, 0, "", "Before all.");
    assert_chunk(&f, 1, "A", WORDS_10);
    assert_chunk(&f, 2, "A > B", WORDS_10);
    assert_chunk(&f, 3, "A > B > C", WORDS_10);
    assert_chunk(&f, 4, "A > D", WORDS_10);
    assert_chunk(&f, 5, "E", WORDS_10);
    assert_int_equal(f.n, 6);
    assert_string_equal(f.chunks[3].context, "A > B > C");
    assert_int_equal(f.chunks[3].line, 13);
    clear(&f);
}

static void test_short_sections(void **state)
{
    (void)state;
    fixture f;
    read_and_make(&f, "# A\n\n## B\n\nb is b.\n\n## C\n\nc is c.\n\n# D\n\nd is d.\n\n## E\n\ne is e.\n\n## F\n\n", 60, 0);
    assert_int_equal(f.n, 2);
    assert_chunk(&f, 0, "A", "## B\n\nb is b.\n\n## C\n\nc is c.");
    assert_chunk(&f, 1, "D", "d is d.\n\n## E\n\ne is e.\n\n## F");
    clear(&f);
    read_and_make(&f, "# A\n\n# B\n", 60, 0); /* headings alone are text too */
    assert_int_equal(f.n, 1);
    assert_chunk(&f, 0, "", "# A\n\n# B");
    clear(&f);
    read_and_make(&f, "", 60, 0);
    assert_int_equal(f.n, 0);
    clear(&f);
    read_and_make(&f, " \n\n\t\n", 60, 0);
    assert_int_equal(f.n, 0);
    clear(&f);
}

static void test_long_section(void **state)
{
    (void)state;
    fixture f;
    read_and_make(&f, "A b c d e. F g h i j. K l m n o.\n\nP q r s t. U v w x y.", 18, 0);
    assert_chunk(&f, 0, "", "A b c d e. F g h i j. K l m n o."); /* after a paragraph */
    assert_chunk(&f, 1, "", "P q r s t. U v w x y.");
    assert_int_equal(f.n, 2);
    clear(&f);
    read_and_make(&f, "A b c d e. F g h i j. K l m n o. P q r s t. U v w x y. A b c d e. F g h i j.", 18, 6);
    assert_chunk(&f, 0, "", "A b c d e. F g h i j. K l m n o."); /* after a sentence, which comes again */
    assert_chunk(&f, 1, "", "K l m n o. P q r s t. U v w x y.");
    assert_chunk(&f, 2, "", "U v w x y. A b c d e. F g h i j.");
    assert_int_equal(f.n, 3);
    clear(&f);
    read_and_make(&f, "a b c d e f g h i j k l", 5, 2); /* no border at all */
    assert_chunk(&f, 0, "", "a b c d e");
    assert_chunk(&f, 1, "", "f g h i");
    assert_chunk(&f, 2, "", "j k l");
    clear(&f);
    read_and_make(&f, "Text.\n\n```\none(1);\ntwo(2);\n\nthree(3);\nfour(4);\n```\n", 16, 0); /* code between lines */
    assert_chunk(&f, 0, "", "Text.\n\n```\none(1);\ntwo(2);");
    assert_chunk(&f, 1, "", "three(3);\nfour(4);\n```");
    assert_true(f.chunks[1].is_code);
    assert_int_equal(f.chunks[1].line, 7);
    clear(&f);
}

static void test_huge_word(void **state)
{
    (void)state;
    fixture f;
    static char word[30001];
    for (size_t i = 0; i + 3 <= 30000; i += 3)
        memcpy(word + i, "\xE6\x96\x87", 3); /* three tokens of the tests each, cut between code points all the same */
    read_and_make(&f, word, 100, 20);
    size_t total = 0;
    for (size_t i = 0; i < f.n; i++) {
        assert_true(count_words(f.chunks[i].text) <= 100);
        assert_int_equal(f.chunks[i].text.len % 3, 0);
        total += f.chunks[i].text.len;
    }
    assert_int_equal(total, 30000);
    clear(&f);
    read_and_make(&f, word, 2, 0); /* less than one code point: one at a time */
    assert_int_equal(f.n, 10000);
    clear(&f);
}

static void test_context(void **state)
{
    (void)state;
    fixture f;
    read_text(&f, hd__span_of("# A\n\n" WORDS_10 "\n\n# A very long heading of many words\n\n" WORDS_10 " " WORDS_10));
    f.extract.title = "Title";
    make(&f, options_of(HD_CHUNKING_AUTO, 24, 0));
    assert_string_equal(f.chunks[0].context, "Title > A");
    assert_string_equal(f.chunks[1].context, ""); /* more than a quarter */
    assert_int_equal(count_words(f.chunks[1].text), 20);
    clear(&f);
    read_text(&f, hd__span_of("# A\n\n" WORDS_10));
    f.extract.title = "A";
    make(&f, options_of(HD_CHUNKING_AUTO, 24, 0));
    assert_string_equal(f.chunks[0].context, "A");
    clear(&f);
    read_text(&f, hd__span_of("# About\n\n" WORDS_10)); /* begins with the title's letters, and is not it */
    f.extract.title = "A";
    make(&f, options_of(HD_CHUNKING_AUTO, 24, 0));
    assert_string_equal(f.chunks[0].context, "A > About");
    clear(&f);
}

/* What is before the first block (Markdown's front matter) is in no chunk. */
static void test_front_matter(void **state)
{
    (void)state;
    fixture f;
    static const hd_chunking rules[] = {HD_CHUNKING_AUTO, HD_CHUNKING_TOKENS};
    for (size_t i = 0; i < 2; i++) {
        read_text(&f, hd__span_of("tags: [a]\n\n" WORDS_10 "\n"));
        f.extract.blocks++;
        f.extract.n_blocks--;
        make(&f, options_of(rules[i], 24, 0));
        assert_int_equal(f.n, 1);
        assert_true(hd__span_is(f.chunks[0].text, WORDS_10));
        assert_int_equal(f.chunks[0].line, 3);
        clear(&f);
    }
}

static void test_code(void **state)
{
    (void)state;
    static const char text[] = "import x\n\nclass A:\n    a = 1\n\n    def f(self):\n        return 1\n\n    def g(self):\n"
                               "        return 2\n\ndef h():\n    return one, two, three, four, five, six, seven\n";
    fixture f;
    read_text(&f, hd__span_of(text));
    f.extract.kind = HD_KIND_CODE;
    const char *marks[] = {"import", "class A", "    def f", "    def g", "def h"}, *names[] = {NULL, "A", "f", "g", "h"};
    const uint32_t levels[] = {0, 0, 1, 1, 0};
    for (size_t i = 0; i < 5; i++)
        f.blocks[i] = (hd_block){.kind = HD_BLOCK_CODE,
                                 .name = names[i],
                                 .level = levels[i],
                                 .line = 1,
                                 .begin = (uint32_t)(strstr(text, marks[i]) - text)};
    for (size_t i = 0; i < 5; i++)
        f.blocks[i].end = i < 4 ? f.blocks[i + 1].begin : (uint32_t)strlen(text);
    f.extract.n_blocks = 5;
    make(&f, options_of(HD_CHUNKING_AUTO, 25, 0));
    assert_int_equal(f.n, 4);
    assert_string_equal(f.chunks[1].section, "A > f");
    assert_string_equal(f.chunks[2].section, "A > g");
    assert_string_equal(f.chunks[3].section, "h");
    assert_true(f.chunks[2].is_code);
    clear(&f);
}

/* ---- any text ---- */

static uint64_t seed = 1;

static uint32_t chance(uint32_t n)
{
    seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(seed >> 33) % n;
}

static size_t make_text(char *text, size_t max)
{
    static const char *const parts[] = {"word ",   "Another ",      "end. ",        "\n\n",
                                        "\n",      "\n# Heading\n", "\n## Sub\n",   "\n```\n",
                                        "x",       "\xE6\x96\x87",  "\xE3\x80\x82", "\xC3\xA9t\xC3\xA9 ",
                                        "()[]{};", "   ",           "! ",           "1.5 "};
    size_t n = 0;
    for (uint32_t i = chance(400); i > 0 && n + 64 < max; i--) {
        const char *part = parts[chance(sizeof parts / sizeof parts[0])];
        for (uint32_t times = 1 + (chance(8) == 0 ? chance(40) : 0); times > 0 && n + 64 < max; times--) {
            memcpy(text + n, part, strlen(part));
            n += strlen(part);
        }
    }
    text[n] = '\0';
    return n;
}

static void check_any(const fixture *f, hd_chunk_options o, bool overlaps)
{
    static bool covered[1 << 16];
    memset(covered, 0, f->extract.text.len);
    for (size_t i = 0; i < f->extract.n_blocks; i++) /* headings are in the sections' paths */
        if (f->blocks[i].kind == HD_BLOCK_HEADING)
            memset(covered + f->blocks[i].begin, 1, f->blocks[i].end - f->blocks[i].begin);
    for (size_t i = 0; i < f->n; i++) {
        const hd_chunk *c = &f->chunks[i];
        assert_int_equal(c->ordinal, i);
        assert_ptr_equal(c->text.ptr, f->extract.text.ptr + c->begin);
        assert_int_equal(c->text.len, c->end - c->begin);
        assert_true(c->text.len > 0 && hd__strip(c->text).len == c->text.len);
        assert_int_equal(hd__utf8_valid_len(c->text), c->text.len);
        size_t len;
        bool valid;
        hd__utf8_decode(c->text, 0, &len, &valid);
        assert_true(count_words(c->text) + count_words(hd__span_of(c->context)) <= o.max_tokens || len == c->text.len);
        assert_true(i == 0 || c->begin > f->chunks[i - 1].begin);
        if (i > 0 && c->begin < f->chunks[i - 1].end) {
            assert_true(overlaps);
            assert_true(count_words(hd__span(c->text.ptr, f->chunks[i - 1].end - c->begin)) <= o.overlap_tokens);
        }
        uint32_t line = 1;
        for (uint32_t at = 0; at < c->begin; at++)
            line += f->extract.text.ptr[at] == '\n';
        if (c->line != line)
            fail_msg("line %u of '%.*s' in '%.*s'", c->line, (int)c->text.len, c->text.ptr, (int)f->extract.text.len,
                     f->extract.text.ptr);
        memset(covered + c->begin, 1, c->text.len);
    }
    for (size_t i = 0; i < f->extract.text.len; i++)
        if (!covered[i] && !isspace((unsigned char)f->extract.text.ptr[i]))
            fail_msg("byte %zu of '%.*s' is in no chunk", i, (int)f->extract.text.len, f->extract.text.ptr);
}

static void test_any_text(void **state)
{
    (void)state;
    static char text[1 << 16];
    static fixture f;
    for (int i = 0; i < 1500; i++) {
        read_text(&f, hd__span(text, make_text(text, sizeof text)));
        const uint32_t max_tokens = 4 + chance(60), overlap = chance(max_tokens / 2);
        const hd_chunk_options o = options_of(i % 2 == 0 ? HD_CHUNKING_AUTO : HD_CHUNKING_TOKENS, max_tokens, overlap);
        make(&f, o);
        check_any(&f, o, overlap > 0);
        clear(&f);
    }
}

/* ---- as others cut ---- */

static void test_anyloom(void **state)
{
    (void)state;
    FILE *golden = fopen("tests/golden/anyloom/chunks.jsonl", "r");
    assert_non_null(golden);
    static char line[1 << 16];
    static fixture f;
    json_t *file = NULL;
    size_t next = 0, n_checked = 0;
    while (fgets(line, sizeof line, golden) != NULL) {
        json_t *root;
        assert_int_equal(hd__json_parse(hd__span_of(line), "golden", &root, &err), HD_OK);
        const json_t *content = json_object_get(root, "content");
        if (content != NULL) {
            assert_int_equal(next, file != NULL ? f.n : 0);
            if (file != NULL)
                clear(&f);
            json_decref(file);
            file = root;
            read_text(&f, hd__span(json_string_value(content), json_string_length(content)));
            const hd_chunk_options o = {.rule = HD_CHUNKING_ANYLOOM};
            assert_int_equal(hd__chunk_make(&f.extract, &o, "lmstudio", json_string_value(json_object_get(root, "file")),
                                            &f.arena, &f.chunks, &f.n, &err),
                             HD_OK);
            next = 0;
            continue;
        }
        assert_true(next < f.n);
        const hd_chunk *c = &f.chunks[next++];
        assert_string_equal(c->key, json_string_value(json_object_get(root, "id")));
        assert_string_equal(c->section, json_string_value(json_object_get(root, "section")));
        assert_int_equal(c->ordinal, json_integer_value(json_object_get(root, "index")));
        assert_true(hd__span_is(c->text, json_string_value(json_object_get(root, "text"))));
        json_decref(root);
        n_checked++;
    }
    assert_int_equal(next, f.n);
    assert_true(n_checked > 15);
    clear(&f);
    json_decref(file);
    fclose(golden);
}

static void test_plugin(void **state)
{
    (void)state;
    static fixture f;
    static char text[1 << 16];
    size_t n = 0;
    for (int i = 0; i < 100; i++)
        n += (size_t)sprintf(text + n, "word%d and%cmore%s", i, i == 0 ? '\n' : ' ', i % 10 == 9 ? ". " : " ");
    read_text(&f, hd__span(text, n));
    make(&f, options_of(HD_CHUNKING_PLUGIN, 0, 0));
    assert_int_equal(f.n, 2); /* 310 tokens, each stretch cut after the last full stop within 200 */
    assert_string_equal(f.chunks[0].key, "dir/file.md_0");
    assert_true(f.chunks[0].text.ptr[f.chunks[0].text.len - 1] == '.');
    assert_null(memchr(f.chunks[0].text.ptr, '\n', f.chunks[0].text.len));
    assert_int_equal(f.extract.text.ptr[f.chunks[0].begin + 9], '\n');
    assert_true(count_words(f.chunks[0].text) > 180);
    clear(&f);
    static const char *const none[] = {"", " \n \n", "12345", "  12345  "};
    for (size_t i = 0; i < 4; i++) {
        read_text(&f, hd__span_of(none[i]));
        make(&f, options_of(HD_CHUNKING_PLUGIN, 0, 0));
        assert_int_equal(f.n, 0);
        clear(&f);
    }
    read_text(&f, hd__span_of("123456"));
    make(&f, options_of(HD_CHUNKING_PLUGIN, 0, 0));
    assert_int_equal(f.n, 1);
    clear(&f);
}

/* ---- faults ---- */

static void test_faults(void **state)
{
    (void)state;
    static fixture f;
    static char text[1 << 16];
    for (hd_chunking rule = HD_CHUNKING_AUTO; rule <= HD_CHUNKING_PLUGIN; rule++) {
        seed = 77;
        read_text(&f, hd__span(text, make_text(text, sizeof text)));
        const hd_chunk_options o = options_of(rule, 8, 2);
        for (uint64_t n = 0;; n++) {
            hd_arena arena;
            hd__arena_init(&arena);
            hd__alloc_fail_after(n, 1);
            const hd_status status = hd__chunk_make(&f.extract, &o, "s", "f", &arena, &f.chunks, &f.n, &err);
            hd__alloc_fail_off();
            hd__arena_clear(&arena);
            if (status == HD_OK)
                break;
            assert_int_equal(status, HD_ERR_MEMORY);
        }
        clear(&f);
    }
    read_text(&f, hd__span_of("a"));
    const hd_chunk_options unknown = {.rule = (hd_chunking)17};
    assert_int_equal(hd__chunk_make(&f.extract, &unknown, "s", "f", &f.arena, &f.chunks, &f.n, &err), HD_ERR_ARG);
    f.extract.text.len = (size_t)HD_LIMIT_TEXT_BYTES + 1;
    const hd_chunk_options o = options_of(HD_CHUNKING_AUTO, 8, 2);
    assert_int_equal(hd__chunk_make(&f.extract, &o, "s", "f", &f.arena, &f.chunks, &f.n, &err), HD_ERR_LIMIT);
    clear(&f);
}

/* As many chunks as a document may have, and one more; and in a time that grows with the text alone. */
static void test_limit(void **state)
{
    (void)state;
    static fixture f;
    const size_t n = 2 * ((size_t)HD_LIMIT_DOCUMENT_CHUNKS + 1);
    char *text = malloc(n + 1);
    for (size_t i = 0; i < n; i++)
        text[i] = i % 2 == 0 ? 'a' : ' ';
    read_text(&f, hd__span(text, n - 2));
    make(&f, options_of(HD_CHUNKING_TOKENS, 1, 0));
    assert_int_equal(f.n, HD_LIMIT_DOCUMENT_CHUNKS);
    clear(&f);
    read_text(&f, hd__span(text, n));
    const hd_chunk_options o = options_of(HD_CHUNKING_TOKENS, 1, 0);
    assert_int_equal(hd__chunk_make(&f.extract, &o, "s", "f", &f.arena, &f.chunks, &f.n, &err), HD_ERR_LIMIT);
    clear(&f);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sentences),    cmocka_unit_test(test_sections),  cmocka_unit_test(test_short_sections),
        cmocka_unit_test(test_long_section), cmocka_unit_test(test_huge_word), cmocka_unit_test(test_context),
        cmocka_unit_test(test_front_matter), cmocka_unit_test(test_code),      cmocka_unit_test(test_any_text),
        cmocka_unit_test(test_anyloom),      cmocka_unit_test(test_plugin),    cmocka_unit_test(test_faults),
        cmocka_unit_test(test_limit),
    };
    return cmocka_run_group_tests_name("chunk", tests, NULL, NULL);
}
