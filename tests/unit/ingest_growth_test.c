/* What reading costs when a file is made to be costly: four times the bytes may take no more than about four times as long.
 *
 * Time of the processor, the least of several runs. HEDDLE_GROWTH=BYTES prints all times, of files of so many.
 */
#include <time.h>

#include "ingest/chunk.h"
#include "unit/extract_dump.h"
#include "unit/packed.h"

#define LEAST_BYTES 200000u
#define MOST_GROWTH 9.0 /* of time, for four times the bytes: what is quadratic takes 16 times as long */
#define FREE_S 0.02     /* is too little to tell */

/* A file: the beginning, the middle again and again ("%" is a number), the end. */
typedef struct costly {
    const char *name, *begin, *middle, *end;
} costly;

static const costly texts[] = {
    {"a.txt", "", "word%, ", ""},
    {"a.txt", "", "w", ""},
    {"a.txt", "", "a\n\n", ""},
    {"a.txt", "", "\n", "a"},
    {"a.txt", "", ". ", ""},
    {"a.rst", "", "a\n=\n", ""},
    {"a.rst", "", "=\n", ""},
    {"a.org", "", "* a\n", ""},
    {"a.adoc", "", "== a\n", ""},
    {"a.tex", "", "\\section{", ""},
    {"a.tex", "", "\\section{a}\n", ""},
    {"a.md", "", "# h%\n", ""},
    {"a.md", "", "[", ""},
    {"a.md", "", "![", ""},
    {"a.md", "", "[a](", ""},
    {"a.md", "", "*a_ ", ""},
    {"a.md", "", "**a ", ""},
    {"a.md", "", "a**b", "c* "},
    {"a.md", "", "`% ", ""},
    {"a.md", "", "``a`", ""},
    {"a.md", "", "<a ", ""},
    {"a.md", "", "<!--", ""},
    {"a.md", "", "<?", ""},
    {"a.md", "", "> ", "a"},
    {"a.md", "", "- ", "a"},
    {"a.md", "", "- a\n", ""},
    {"a.md", "", "1. a\n\n\n", ""},
    {"a.md", "", "[r%]: /x\n", "[r1]"},
    {"a.md", "", "[a%]: b\n[a%] ", ""},
    {"a.md", "", "[a%]\n", ""},
    {"a.md", "", "| a ", "|\n|-|\n"},
    {"a.md", "| a | b |\n|---|---|\n", "| % | b |\n", ""},
    {"a.md", "", "&amp", ""},
    {"a.md", "", "www.a", ""},
    {"a.md", "", "a@b", ""},
    {"a.md", "", "~~a~ ", ""},
    {"a.md", "", "\\", ""},
    {"a.md", "", "```\n", ""},
    {"a.md", "---\n", "a%: b\n", "---\n"},
    {"a.md", "---\n", "- a\n", "---\n"},
    {"a.html", "", "<p>a", ""},
    {"a.html", "", "<a>", ""},
    {"a.html", "", "</a>", ""},
    {"a.html", "", "<b></i>", ""},
    {"a.html", "<ul>", "<li>a", "</ul>"},
    {"a.html", "<table>", "<tr><td>%", "</table>"},
    {"a.html", "<table>", "<td>", "</table>"},
    {"a.html", "<dl>", "<dt>a<dd>b", "</dl>"},
    {"a.html", "<pre>", "a\n", "</pre>"},
    {"a.html", "<title>", "a ", ""},
    {"a.html", "<!--", "--", ""},
    {"a.html", "", "<!--", ""},
    {"a.html", "", "<", ""},
    {"a.html", "", "</", ""},
    {"a.html", "", "&", ""},
    {"a.html", "", "&lt", ""},
    {"a.html", "<p ", "a% ", ">"},
    {"a.html", "<p a=\"", "b ", "\">"},
    {"a.html", "<p a=\"", "&amp;", "\">"},
    {"a.html", "<p class=\"", "b ", "\">"},
    {"a.html", "", "<a href=# class='a b c d headerlin'>x</a>", ""},
    {"a.html", "<script>", "</", ""},
    {"a.html", "<script>", "a", ""},
    {"a.csv", "a,b\n", "%,x\n", ""},
    {"a.csv", "\"", "\"\"", ""},
    {"a.csv", "", "\"a\n", ""},
    {"a.csv", "", "\n", ""},
    {"a.json", "[", "1,", "1]"},
    {"a.json", "[", "{\"a\":[1]},", "1]"},
    {"a.json", "{", "\"k%\":{\"a\":1},", "\"z\":1}"},
    {"a.json", "\"", "\\u0041", "\""},
    {"a.jsonl", "", "{\"text\":\"a%\"}\n", ""},
    {"a.jsonl", "", "{\"id\":1,\"text\":\"a%\"}\n", ""},
    {"a.jsonl", "", "{\n", ""},
    {"a.c", "", "int f%(void)\n{\n}\n", ""},
    {"a.c", "", "{", ""},
    {"a.c", "", "(", ""},
    {"a.c", "", "\"", ""},
    {"a.c", "", "/*", ""},
    {"a.c", "", "#if\n", ""},
    {"a.c", "", "a\n", ""},
    {"a.py", "", "def f%():\n  pass\n", ""},
    {"a.py", "", "\"\"\"\n", ""},
    {"a.py", "", "class A:\n def f():\n  def g():\n", ""},
    {"a.py", "", "@a\n", ""},
    {"a.js", "", "function f%() {\n}\n", ""},
    {"a.js", "", "`${", ""},
    {"a.js", "", "/", ""},
    {"a.rs", "", "fn f() {}\n", ""},
    {"a.rs", "", "r#\"", ""},
    {"a.go", "", "func f%() {\n}\n", ""},
    {"a.sh", "", "f() {\n", ""},
    {"a.sh", "", "<<A\n", ""},
    {"a.rb", "", "def a\n", ""},
};

/* How many bytes the smaller of two files has. */
static size_t least_bytes(void)
{
    const char *asked = getenv("HEDDLE_GROWTH");
    return asked != NULL ? strtoul(asked, NULL, 10) : LEAST_BYTES;
}

static void fill(hd_buffer *bytes, const costly *c, size_t n)
{
    hd__buffer_reset(bytes);
    hd__buffer_append_text(bytes, c->begin);
    for (size_t i = 0; bytes->len < n; i++)
        for (const char *at = c->middle; *at != '\0'; at++)
            if (*at == '%')
                hd__buffer_printf(bytes, "%zu", i);
            else
                hd__buffer_append_char(bytes, *at);
    hd__buffer_append_text(bytes, c->end);
    assert_false(bytes->failed);
}

static hd_status chunk(const hd_extract *extract, void *data, hd_error *why)
{
    static const hd_chunk_options how = {.rule = HD_CHUNKING_AUTO, .max_tokens = 256, .overlap_tokens = 32};
    hd_arena arena;
    hd_chunk *chunks;
    size_t *n_chunks = data, n = 0;
    hd__arena_init(&arena);
    const hd_status status = hd__chunk_make(extract, &how, "s", "f", &arena, &chunks, &n, why);
    hd__arena_clear(&arena);
    *n_chunks += n;
    return status;
}

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* How long a file takes to be read and cut, whatever comes of it. */
static double time_of(hd_span bytes, const char *name, size_t n_runs)
{
    double least = 1e9;
    for (size_t i = 0; i < n_runs; i++) {
        hd_arena arena;
        size_t n = 0;
        hd__arena_init(&arena);
        const double begin = seconds();
        const hd_status status = hd__extract(bytes, name, NULL, &arena, chunk, &n, &err);
        const double took = seconds() - begin;
        hd__arena_clear(&arena);
        assert_true(status == HD_OK || status == HD_ERR_FORMAT || status == HD_ERR_LIMIT);
        least = took < least ? took : least;
    }
    return least;
}

static bool grows_slowly(const char *what, const char *name, hd_span little, hd_span much)
{
    double a = 0.0, b = time_of(much, name, 1);
    if (b > FREE_S || getenv("HEDDLE_GROWTH") != NULL)
        a = time_of(little, name, 3);
    if (b > FREE_S && b > MOST_GROWTH * a)
        b = time_of(much, name, 3);
    const bool good = b <= FREE_S || b <= MOST_GROWTH * a;
    if (!good || getenv("HEDDLE_GROWTH") != NULL)
        fprintf(stderr, "%s %-8s %8.2f ms, %8.2f ms for four times as much: %s\n", good ? "    " : "SLOW", name, 1e3 * a,
                1e3 * b, what);
    return good;
}

static void texts_grow_slowly(void **state)
{
    (void)state;
    hd_buffer little, much;
    size_t n_slow = 0;
    hd__buffer_init(&little);
    hd__buffer_init(&much);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        fill(&little, &texts[i], least_bytes());
        fill(&much, &texts[i], 4 * least_bytes());
        n_slow += !grows_slowly(texts[i].middle, texts[i].name, hd__buffer_span(&little), hd__buffer_span(&much));
    }
    hd__buffer_clear(&little);
    hd__buffer_clear(&much);
    assert_int_equal(n_slow, 0);
}

/* A part of an archive, as above; its name tells which of them it is. */
typedef struct costly_part {
    const char *name;
    costly content;
} costly_part;

#define RELATIONS "http://schemas.openxmlformats.org/package/2006/relationships"
static const struct {
    const char *what, *name;
    costly_part parts[4];
} archives[] = {
    {"slides",
     "a.pptx",
     {{"ppt/presentation.xml", {"", "<p xmlns:r='r'>", "<sldId r:id='r%'/>", "</p>"}},
      {"ppt/_rels/presentation.xml.rels", {"", "<R>", "<Relationship Id='r%' Type='/slide' Target='slide.xml'/>", "</R>"}},
      {"ppt/slide.xml", {"", "<s>", NULL, "</s>"}}}},
    {"styles",
     "a.docx",
     {{"word/document.xml", {"", "<d>", "<p><pPr><pStyle val='s%'/></pPr></p>", "</d>"}},
      {"word/styles.xml", {"", "<s>", "<style styleId='s%'><basedOn val='s1'/></style>", "</s>"}}}},
    {"attributes", "a.docx", {{"word/document.xml", {"", "<d ", "a%='' ", "/>"}}}},
    {"runs", "a.docx", {{"word/document.xml", {"", "<d><p>", "<r><t>a</t></r>", "</p></d>"}}}},
    {"rows", "a.docx", {{"word/document.xml", {"", "<d><tbl>", "<tr><tc><p><r><t>a</t></r></p></tc></tr>", "</tbl></d>"}}}},
    {"chapters",
     "a.epub",
     {{"mimetype", {"", "application/epub+zip", NULL, ""}},
      {"META-INF/container.xml", {"", "<c><rootfile full-path='b.opf'/></c>", NULL, ""}},
      {"b.opf", {"", "<p><item id='none' href='none'/>", "<item id='i%' href='x'/><itemref idref='r%'/>", "</p>"}}}},
    {"creators",
     "a.epub",
     {{"mimetype", {"", "application/epub+zip", NULL, ""}},
      {"META-INF/container.xml", {"", "<c><rootfile full-path='b.opf'/></c>", NULL, ""}},
      {"b.opf", {"", "<p>", "<creator>a%</creator><subject>b</subject>", "</p>"}}}},
};

static hd_span archive_of(const costly_part parts[4], size_t n)
{
    hd_buffer bytes[4];
    packed_entry entries[4];
    size_t n_parts = 0;
    for (; n_parts < 4 && parts[n_parts].name != NULL; n_parts++) {
        const costly *c = &parts[n_parts].content;
        hd__buffer_init(&bytes[n_parts]);
        fill(&bytes[n_parts], &(costly){"", c->begin, c->middle != NULL ? c->middle : "", c->end},
             c->middle != NULL ? n : 0);
        entries[n_parts] = (packed_entry){parts[n_parts].name, hd__buffer_span(&bytes[n_parts]), false};
    }
    const hd_span zip = pack(entries, n_parts);
    for (size_t i = 0; i < n_parts; i++)
        hd__buffer_clear(&bytes[i]);
    return zip;
}

static void archives_grow_slowly(void **state)
{
    (void)state;
    size_t n_slow = 0;
    for (size_t i = 0; i < sizeof archives / sizeof *archives; i++) {
        const hd_span little = archive_of(archives[i].parts, least_bytes()),
                      much = archive_of(archives[i].parts, 4 * least_bytes());
        n_slow += !grows_slowly(archives[i].what, archives[i].name, little, much);
        free((void *)(uintptr_t)little.ptr);
        free((void *)(uintptr_t)much.ptr);
    }
    assert_int_equal(n_slow, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_grow_slowly),
        cmocka_unit_test(archives_grow_slowly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
