/* HTML, PDF, Office files, EPUB and CSV: goldens of what tools/make_extract_fixtures.py wrote, and files that lie. */
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file.h"
#include "ingest/package.h"
#include "unit/extract_dump.h"
#include "unit/packed.h"

#define FOLDER "tests/golden/documents/"

/* ---- HTML ---- */

static void a_page_is_its_main_part(void **state)
{
    (void)state;
    text_gives(
        "<!DOCTYPE html><html lang=en><head><title> The\n title </title><meta name=author content=Ann>"
        "<meta property='article:published_time' content='2024-05-17'><meta name=description content='D &amp; d'>"
        "<meta property='og:title' content='Another'><link rel=canonical href='https://x/y'>"
        "<script>if (a<b) '</p>'</script><style>x</style></head>\n"
        "<body><nav><ul><li>Home</ul></nav><header><h1>Site</h1></header>\n"
        "<main><h1>Main <em>part</em></h1><p>One &amp; two&nbsp;three<br>four</p>text <b>bo</b>ld"
        "<div hidden>no</div><p style='color: red; display: none'>no</p><p aria-hidden=true>no</p>\n"
        "<button>no</button></main><footer>Foot</footer></body></html>",
        "a.html",
        "text/html title=The title author=Ann url=https://x/y created=1715904000 "
        "{\"author\":\"Ann\",\"date\":\"2024-05-17\",\"description\":\"D & d\",\"lang\":\"en\",\"title\":\"The title\","
        "\"url\":\"https://x/y\"}\n"
        "H 1 @4 <Main part> |Main part|\nP 0 @4 |One & two\xC2\xA0three\\nfour|\nP 0 @4 |text bold|\n");
    text_gives("<h1>A</h1><header>B</header><div role=main>C</div>", "a.html",
               "text/html title=A\nH 1 @1 <A> |A|\nP 0 @1 |B|\nP 0 @1 |C|\n"); /* too little in the main part */
    text_gives("<div role=banner>no</div><div role=navigation>no</div><article>A<header>B</header></article>", "a.html",
               "text/html\nP 0 @1 |A|\nP 0 @1 |B|\n");
    text_gives("<h1>A<a class='headerlink x' href='#a'>\u00b6</a></h1><p>B <a class='copiable-link' href='#b'>\u00b6</a><a "
               "class=anchor href='/b'>C</a> <a href='#d'>D</a>",
               "a.html", "text/html title=A\nH 1 @1 <A> |A|\nP 0 @1 |B C D|\n"); /* a link of a heading to itself */
    text_gives("", "a.html", "text/html\n");
}

static void lists_tables_and_code_of_pages(void **state)
{
    (void)state;
    text_gives("<ul><li>a<li><p>b</p><p>c</p><ol><li>x<li>y</ol></ul><pre>\n\n int x;\n  y\n</pre>"
               "<table><caption>Cap</caption><tr><th>A<th>B<tr><td>1<td><p>2</p><p>3</p><tr><td><td><tr><td><td>4</table>"
               "<table><tr><td><h2>Layout</h2><p>para</p></td><td>cell</td></tr></table><p>a<p>b",
               "a.html",
               "text/html\n"
               "ITEM 0 @1 |- a|\nITEM 0 @1 |- b\\nc|\nITEM 1 @1 |1. x|\nITEM 1 @1 |2. y|\n"
               "CODE 0 @1 |\\n int x;\\n  y|\n"
               "TABLE 0 @5 |Cap\\nA | B\\n1 | 2 3\\n| 4|\n"
               "H 2 @5 <Layout> |Layout|\nP 0 @5 |para|\nP 0 @5 |cell|\nP 0 @5 |a|\nP 0 @5 |b|\n");
}

static void terms_stay_with_what_they_are_about(void **state)
{
    (void)state;
    text_gives(
        "<p>before<dl><dt>-v<dt>--verbose<dd><p>Says more.</p><p>Much more.</p><dt>-q<dd>Less.<dd>Or nothing.</dl>after",
        "a.html",
        "text/html\nP 0 @1 |before|\nP 0 @1 |-v\\n--verbose\\nSays more.|\nP 0 @1 |Much more.|\n"
        "P 0 @1 |-q\\nLess.\\nOr nothing.|\nP 0 @1 |after|\n");
    text_gives("<dl><dt>def f()<dd>Does it.<dl><dt>Returns<dd>a number</dl></dl><dl><dt>alone</dl><p>after", "a.html",
               "text/html\nP 0 @1 |def f()\\nDoes it.|\nP 0 @1 |Returns\\na number|\nP 0 @1 |alone|\nP 0 @1 |after|\n");
    text_gives("<dl><dt>a<dd><ul><li>x</ul><dt>b<dd><pre>y</pre>z</dl><details><summary>More</summary><p>c</p>d</details>e",
               "a.html",
               "text/html\nP 0 @1 |a|\nITEM 0 @1 |- x|\nP 0 @1 |b|\nCODE 0 @1 |y|\nP 0 @1 |z|\n"
               "P 0 @1 |More\\nc|\nP 0 @1 |d|\nP 0 @1 |e|\n");
    text_gives("<ul><li>i<dl><dt>a<dd>b</dl></ul><table><tr><td><dl><dt>a<dd>b</dl><td>c</table>", "a.html",
               "text/html\nITEM 0 @1 |- i\\na\\nb|\nTABLE 0 @1 |a b | c|\n");
}

/* Beside those of one element, what looks like more of them. */
static void many_attributes(void **state)
{
    (void)state;
    static const struct {
        const char *begin, *each, *end;
        hd_status past; /* with one more than are allowed */
    } pages[] = {{"<p ", "a%u ", ">x", HD_ERR_LIMIT},
                 {"<p ", "a%u='>' ", ">x", HD_ERR_LIMIT},
                 {"<p ", "a%u=\">\"", ">x", HD_ERR_LIMIT},
                 {"<p a\"=\"b ", "a%u ", ">x", HD_ERR_LIMIT}, /* no quote that the parser takes for one */
                 {"<p a='", "a%u ", "'>x", HD_OK},
                 {"<!--<p ", "a%u ", "-->x", HD_OK},
                 {"<script>if (a<b ", "a%u ", "</script>x", HD_OK},
                 {"x <3 ", "a%u ", "", HD_OK}};
    hd_buffer text;
    hd__buffer_init(&text);
    for (size_t i = 0; i < sizeof pages / sizeof *pages; i++)
        for (unsigned n = HD_LIMIT_ATTRIBUTES - 2; n <= HD_LIMIT_ATTRIBUTES + 1; n++) {
            hd_status status;
            hd__buffer_reset(&text);
            hd__buffer_append_text(&text, pages[i].begin);
            for (unsigned k = 0; k < n; k++)
                hd__buffer_printf(&text, pages[i].each, k);
            hd__buffer_append_text(&text, pages[i].end);
            free(dump(hd__buffer_span(&text), "a.html", NULL, &status));
            if (n == HD_LIMIT_ATTRIBUTES - 2 || n == HD_LIMIT_ATTRIBUTES + 1)
                assert_int_equal(status, n > HD_LIMIT_ATTRIBUTES ? pages[i].past : HD_OK);
        }
    hd__buffer_clear(&text);
}

static void pages_say_their_encoding(void **state)
{
    (void)state;
    text_gives("<meta charset=\"windows-1251\"><p>\xCF\xF0\xE8", "a.html", "text/html\nP 0 @1 |\xD0\x9F\xD1\x80\xD0\xB8|\n");
    text_gives("<?xml version='1.0' encoding='iso-8859-15'?><html><p>\xA4 100", "a.html",
               "text/html\nP 0 @1 |\xE2\x82\xAC 100|\n");
    text_gives("<meta http-equiv=Content-Type content='text/html; charset=latin1'><p>na\xC3\xAFve", "a.html",
               "text/html\nP 0 @1 |na\xC3\xAFve|\n"); /* what is UTF-8 is UTF-8 */
    refuses(hd__span_of("<meta charset=klingon><p>\xE9"), "a.html", HD_ERR_UNSUPPORTED, "\"klingon\"");
}

static void hostile_pages_end(void **state)
{
    (void)state;
    static const struct {
        const char *unit;
        hd_status status;
    } units[] = {{"<div>", HD_ERR_LIMIT},   {"<p>", HD_OK},      {"</i>", HD_OK},          {"<table><tr><td>", HD_ERR_LIMIT},
                 {"<li>", HD_OK},           {"<!--", HD_OK},     {"<a b='", HD_ERR_LIMIT}, {"&amp", HD_OK},
                 {"<b></i>", HD_ERR_LIMIT}, {"<script>", HD_OK}, {"<![CDATA[", HD_OK},     {"\xEF\xBF\xBF<", HD_OK}};
    hd_buffer text;
    hd__buffer_init(&text);
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        hd__buffer_reset(&text);
        for (int j = 0; j < 20000; j++)
            hd__buffer_append_text(&text, units[i].unit);
        hd_status status;
        free(dump(hd__buffer_span(&text), "a.html", NULL, &status));
        if (status != units[i].status)
            fail_msg("%s: status %d \"%s\"", units[i].unit, (int)status, err.text);
    }
    for (uint32_t n = HD_LIMIT_HTML_DEPTH - 2; n <= HD_LIMIT_HTML_DEPTH - 1; n++) { /* html and body are there too */
        hd__buffer_reset(&text);
        for (uint32_t i = 0; i < n; i++)
            hd__buffer_append_text(&text, "<div>");
        hd_status status;
        free(dump(hd__buffer_span(&text), "a.html", NULL, &status));
        assert_int_equal(status, n == HD_LIMIT_HTML_DEPTH - 2 ? HD_OK : HD_ERR_LIMIT);
    }
    refuses(hd__span_of("<!DOCTYPE html [<!ENTITY a 'aaaa'><!ENTITY b '&a;&a;'>]><p>&b;"), "a.html", HD_OK, "");
    hd__buffer_clear(&text);
}

/* ---- CSV ---- */

static void records_of_csv(void **state)
{
    (void)state;
    text_gives("name,note,n\r\n\"a \"\"b\"\"\",\"line\none\",3\r\nx,,4\r\n", "a.csv",
               "text/csv\nTABLE 0 @2 |name: a \"b\"\\nnote: line one\\nn: 3|\nTABLE 0 @4 |name: x\\nn: 4|\n");
    text_gives("1;2\n3;4\n", "a.csv", "text/csv\nTABLE 0 @1 |1 | 2|\nTABLE 0 @2 |3 | 4|\n");
    text_gives("a\tb, c\nd\te\n", "a.tsv", "text/tab-separated-values\nTABLE 0 @2 |a: d\\nb, c: e|\n");
    text_gives("a,b\n1,2,3\n", "a.csv", "text/csv\nTABLE 0 @2 |a: 1\\nb: 2\\n3|\n");
    text_gives("a,a\n1,2\n", "a.csv", "text/csv\nTABLE 0 @1 |a | a|\nTABLE 0 @2 |1 | 2|\n");
    text_gives("a,b\n\"x,1\n\"y,2", "a.csv", "text/csv\nTABLE 0 @2 |a: \"x\\nb: 1|\nTABLE 0 @3 |a: \"y\\nb: 2|\n");
    text_gives("one\ntwo\n\nthree\n", "a.csv", "text/csv\nTABLE 0 @1 |one|\nTABLE 0 @2 |two|\nTABLE 0 @4 |three|\n");
    text_gives("", "a.csv", "text/csv\n");
    for (uint32_t n = HD_LIMIT_CSV_COLUMNS; n <= HD_LIMIT_CSV_COLUMNS + 1; n++) {
        char *wide = malloc(2 * (size_t)n);
        for (uint32_t i = 0; i < n; i++)
            memcpy(wide + 2 * i, i + 1 < n ? "1," : "1\n", 2);
        hd_status status;
        free(dump(hd__span(wide, 2 * (size_t)n), "a.csv", NULL, &status));
        assert_int_equal(status, n == HD_LIMIT_CSV_COLUMNS ? HD_OK : HD_ERR_LIMIT);
        free(wide);
    }
}

/* ---- files ---- */

static hd_span read_file(hd_arena *arena, const char *name)
{
    hd_span bytes;
    char path[256];
    snprintf(path, sizeof path, FOLDER "%s", name);
    assert_int_equal(hd__file_read(path, 1 << 20, arena, &bytes, &err), HD_OK);
    return bytes;
}

static void file_gives(const char *name, const char *expected)
{
    hd_arena arena;
    hd__arena_init(&arena);
    gives(read_file(&arena, name), name, expected);
    hd__arena_clear(&arena);
}

static void file_refuses(const char *name, hd_status status, const char *says)
{
    hd_arena arena;
    hd__arena_init(&arena);
    refuses(read_file(&arena, name), name, status, says);
    hd__arena_clear(&arena);
}

static bool have_pdftotext(void)
{
    return access("/usr/bin/pdftotext", X_OK) == 0;
}

static void pages_of_pdf(void **state)
{
    (void)state;
    if (!have_pdftotext())
        skip();
    file_gives("text.pdf",
               "application/pdf title=Looms & <heddles> author=Ann Weaver created=1715927415 "
               "{\"author\":\"Ann Weaver\",\"date\":\"2024-05-17T08:30:15+02\",\"title\":\"Looms & <heddles>\"}\n"
               "P 0 @0/1 |Weaving and looms\\nA heddle guides the threads of the warp. It is an instrument of wire or "
               "cord, with an eye in its middle.|\n"
               "P 0 @0/1 |The second paragraph of the page, na\xC3\xAFve & <plain>.|\nP 0 @0/2 |The second page.|\n");
    file_refuses("encrypted.pdf", HD_ERR_UNSUPPORTED, "the PDF has a password");
    file_refuses("scanned.pdf", HD_ERR_UNSUPPORTED, "its 1 page holds no text");
    hd_arena arena;
    hd__arena_init(&arena);
    hd_span all = read_file(&arena, "text.pdf");
    refuses(hd__span(all.ptr, 300), "cut.pdf", HD_ERR_FORMAT, "the PDF is damaged: Syntax Error");
    hd__arena_clear(&arena);
}

/* A program of this name, first in PATH, for what pdftotext itself does not do. */
static void with_program(const char *script, hd_status wanted, const char *says)
{
    char folder[] = "/tmp/heddle-test-XXXXXX", path[64], *before = strdup(getenv("PATH")), with[4096];
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/pdftotext", folder);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fprintf(file, "#!/bin/sh\n%s\n", script);
    fclose(file);
    chmod(path, 0755);
    snprintf(with, sizeof with, "%s:%s", folder, before);
    setenv("PATH", with, 1);
    refuses(hd__span_of("%PDF-1.4 the bytes"), "a.pdf", wanted, says);
    setenv("PATH", before, 1);
    unlink(path);
    rmdir(folder);
    free(before);
}

static void a_child_has_limits(void **state)
{
    (void)state;
    with_program("exit 1", HD_ERR_FORMAT, "the PDF is damaged");
    with_program("exit 3", HD_ERR_UNSUPPORTED, "does not allow");
    with_program("kill -SEGV $$", HD_ERR_FORMAT, "ended by signal 11");
    with_program("kill -XCPU $$", HD_ERR_LIMIT, "took more than");
    with_program("cat >&2; exit 1", HD_ERR_FORMAT, "%PDF-1.4 the bytes"); /* its input is ours */
    with_program("sleep 0.1; ulimit -t -v -f -c -n | tr '\\n' ' ' >&2; exit 1", HD_ERR_FORMAT, "damaged");
    with_program("sleep 0.1; echo `ulimit -t` `ulimit -c` `ulimit -n` `ulimit -f` >&2; exit 1", HD_ERR_FORMAT, "60 0 64 0");
    with_program("ls /proc/$$/fd | tr '\\n' ' ' >&2; exit 1", HD_ERR_FORMAT, "0 1 10 2"); /* 10 is sh's own script */
    with_program("env | sort | tr '\\n' ' ' >&2; exit 1", HD_ERR_FORMAT, "LC_ALL=C.UTF-8 PATH=/usr/bin:/bin PWD=");
    with_program("yes | head -c 100000 >&2; exit 1", HD_ERR_FORMAT, "damaged: y"); /* more than is kept */
    with_program("sleep 0.1; exec yes", HD_ERR_LIMIT, "more than 268435456 bytes of text");
    char *before = strdup(getenv("PATH"));
    setenv("PATH", "relative:/nonexistent", 1);
    refuses(hd__span_of("%PDF-1.4"), "a.pdf", HD_ERR_UNSUPPORTED, "pdftotext, which is not installed");
    setenv("PATH", before, 1);
    free(before);
}

static void office_files(void **state)
{
    (void)state;
    file_gives(
        "report.docx",
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document title=Looms author=Ann Weaver "
        "created=1715934600 "
        "{\"author\":\"Ann Weaver\",\"date\":\"2024-05-17T08:30:00Z\",\"keywords\":\"warp, weft\",\"title\":\"Looms\"}\n"
        "H 1 @0 <The Loom> |The Loom|\nH 1 @0 <Parts> |Parts|\nP 0 @0 |A heddle guides\\nthe warp.[2] Added.|\n"
        "ITEM 0 @0 |- wire & cord|\nITEM 1 @0 |- an eye|\nH 2 @0 <Use> |Use|\n"
        "TABLE 0 @0 |part | made of\\nheddle | wire|\nP 0 @0 |boxed|\nP 0 @0 |Last.|\n"
        "P 0 @0 |[2] See the second chapter.|\n");
    file_gives("slides.pptx",
               "application/vnd.openxmlformats-officedocument.presentationml.presentation title=Slides of looms "
               "author=Ann Weaver created=1715934600 "
               "{\"author\":\"Ann Weaver\",\"date\":\"2024-05-17T08:30:00Z\",\"keywords\":\"warp, weft\","
               "\"title\":\"Slides of looms\"}\n"
               "H 1 @0/1 <The Loom> |The Loom|\nITEM 0 @0/1 |- wire|\nITEM 0 @0/1 |- cord|\nP 0 @0/1 |Say hello.|\n"
               "H 1 @0/2 <Use> |Use|\nTABLE 0 @0/2 |part | of|\n");
    file_gives("book.epub", "application/epub+zip title=The Book of Looms author=Ann Weaver, Bob Warp created=1715904000 "
                            "{\"author\":[\"Ann Weaver\",\"Bob Warp\"],\"date\":\"2024-05-17\",\"lang\":\"en\","
                            "\"title\":\"The Book of Looms\"}\n"
                            "H 1 @0 <One> |One|\nP 0 @0 |The warp is held.|\nITEM 0 @0 |- a|\n"
                            "H 1 @0 <Two> |Two|\nP 0 @0 |The weft &\xC2\xA0more.|\n");
}

/* ---- archives that lie ---- */

static void docx_refuses(const char *document, hd_status status, const char *says)
{
    const packed_entry only = {"word/document.xml", hd__span_of(document), false};
    hd_span zip = pack(&only, 1);
    refuses(zip, "a.docx", status, says);
    free((void *)(uintptr_t)zip.ptr);
}

static void xml_that_lies(void **state)
{
    (void)state;
    docx_refuses("<w:document xmlns:w='x'><w:p>", HD_ERR_FORMAT, "word/document.xml is not well-formed XML, line 1: ");
    docx_refuses("", HD_ERR_FORMAT, "not well-formed");
    docx_refuses("<!DOCTYPE d [<!ENTITY a 'lol'><!ENTITY b '&a;&a;&a;&a;'>]><d>&b;</d>", HD_ERR_FORMAT,
                 "declares an entity");
    docx_refuses("<!DOCTYPE d [<!ENTITY x SYSTEM 'file:///etc/passwd'>]><d><t>&x;</t></d>", HD_ERR_FORMAT,
                 "declares an entity");
    docx_refuses("<!DOCTYPE d [<!ENTITY % p SYSTEM 'http://127.0.0.1/'> %p;]><d/>", HD_ERR_FORMAT, "declares an entity");
    static const char wide[] = "\xFF\xFE<\0d\0>\0<\0p\0>\0<\0t\0>\0a\0<\0/\0t\0>\0<\0/\0p\0>\0<\0/\0d\0>"; /* UTF-16 */
    const packed_entry in_utf16 = {"word/document.xml", hd__span(wide, sizeof wide), false};
    hd_span zip = pack(&in_utf16, 1);
    hd_status status;
    char *found = dump(zip, "a.docx", NULL, &status);
    assert_int_equal(status, HD_OK);
    assert_non_null(strstr(found, "|a|"));
    free(found);
    free((void *)(uintptr_t)zip.ptr);
    for (uint32_t n = HD_LIMIT_ATTRIBUTES; n <= HD_LIMIT_ATTRIBUTES + 1; n++) {
        hd_buffer crowded;
        hd__buffer_init(&crowded);
        hd__buffer_append_text(&crowded, "<d><![CDATA[<b ' ]]><!-- <b ' --><p ");
        for (uint32_t i = 0; i < n; i++)
            hd__buffer_printf(&crowded, "a%u='>' ", i);
        hd__buffer_append_text(&crowded, "/></d>");
        hd__buffer_append_char(&crowded, '\0');
        docx_refuses(crowded.ptr, n == HD_LIMIT_ATTRIBUTES ? HD_OK : HD_ERR_LIMIT,
                     n == HD_LIMIT_ATTRIBUTES ? "" : "an element has more than 512 attributes");
        hd__buffer_clear(&crowded);
    }
    for (uint32_t n = HD_LIMIT_XML_DEPTH; n <= HD_LIMIT_XML_DEPTH + 1; n++) {
        hd_buffer deep;
        hd__buffer_init(&deep);
        for (uint32_t i = 0; i < n; i++)
            hd__buffer_append_text(&deep, "<a>");
        for (uint32_t i = 0; i < n; i++)
            hd__buffer_append_text(&deep, "</a>");
        hd__buffer_append_char(&deep, '\0');
        docx_refuses(deep.ptr, n == HD_LIMIT_XML_DEPTH ? HD_OK : HD_ERR_LIMIT,
                     n == HD_LIMIT_XML_DEPTH ? "" : "elements are nested deeper than 200");
        hd__buffer_clear(&deep);
    }
}

static void archives_that_lie(void **state)
{
    (void)state;
    static const char document[] = "<d><p><r><t>text</t></r></p></d>";
    const packed_entry secret = {"word/document.xml", hd__span_of(document), true};
    hd_span zip = pack(&secret, 1);
    refuses(zip, "a.docx", HD_ERR_UNSUPPORTED, "word/document.xml is encrypted");
    free((void *)(uintptr_t)zip.ptr);

    const packed_entry other = {"word/_rels/document.xml.rels", hd__span_of("<a/>"), false};
    zip = pack(&other, 1);
    refuses(zip, "a.docx", HD_ERR_FORMAT, "the archive has no word/document.xml");
    free((void *)(uintptr_t)zip.ptr);

    size_t bomb_bytes = HD_LIMIT_ARCHIVE_ENTRY_BYTES;
    char *zeros = calloc(1, bomb_bytes + 1);
    for (int i = 0; i < 2; i++) { /* over the ratio; over the size */
        const packed_entry bomb = {"word/document.xml", hd__span(zeros, bomb_bytes + (size_t)i), false};
        zip = pack(&bomb, 1);
        refuses(zip, "a.docx", HD_ERR_LIMIT, i == 0 ? "more than 300 times its size" : "unpacks to 67108865 bytes");
        free((void *)(uintptr_t)zip.ptr);
    }
    free(zeros);

    const packed_entry plain = {"word/document.xml", hd__span_of(document), false};
    zip = pack(&plain, 1);
    for (size_t n = 4; n < zip.len; n++) { /* every shorter archive that begins as one */
        hd_status status;
        free(dump(hd__span(zip.ptr, n), "a.docx", NULL, &status));
        assert_true(status == HD_ERR_FORMAT || status == HD_ERR_UNSUPPORTED);
    }
    char *bytes = (char *)(uintptr_t)zip.ptr;
    for (size_t i = 4; i < zip.len; i++) { /* every byte wrong, one at a time */
        hd_status status;
        bytes[i] = (char)(bytes[i] ^ 0x41);
        free(dump(zip, "a.docx", NULL, &status));
        bytes[i] = (char)(bytes[i] ^ 0x41);
    }
    free(bytes);
}

static void too_many_entries(void **state)
{
    (void)state;
    for (uint32_t n = HD_LIMIT_ARCHIVE_ENTRIES; n <= HD_LIMIT_ARCHIVE_ENTRIES + 1; n++) {
        packed_entry *entries = calloc(n, sizeof *entries);
        char(*names)[16] = calloc(n, sizeof *names);
        for (uint32_t i = 0; i < n; i++) {
            snprintf(names[i], sizeof names[i], "%u", i);
            entries[i] = (packed_entry){i == 0 ? "word/document.xml" : names[i], hd__span_of("<d/>"), false};
        }
        hd_span zip = pack(entries, n);
        refuses(zip, "a.docx", n == HD_LIMIT_ARCHIVE_ENTRIES ? HD_OK : HD_ERR_LIMIT,
                n == HD_LIMIT_ARCHIVE_ENTRIES ? "" : "10001 entries in the archive");
        free((void *)(uintptr_t)zip.ptr);
        free(names);
        free(entries);
    }
}

static void names_of_parts(void **state)
{
    static const char *const cases[][3] = {
        {"word/document.xml", "styles.xml", "word/styles.xml"},
        {"word/document.xml", "/ppt/a.xml", "ppt/a.xml"},
        {"a/b/c.xml", "../d.xml", "a/d.xml"},
        {"a/b.xml", "../../../c.xml", "c.xml"},
        {"", "x/./y//z", "x/y/z"},
        {"a/b", "two%20c%2.x#part", "a/two c%2.x"},
        {"a/b", "%00%zz%", "a/%00%zz%"},
        {"a/b", "", "a/"},
    };
    hd_arena arena;
    (void)state;
    hd__arena_init(&arena);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_string_equal(hd__package_name(&arena, cases[i][0], cases[i][1]), cases[i][2]);
    hd__arena_clear(&arena);
}

static hd_status nothing(const hd_extract *extract, void *data, hd_error *error)
{
    (void)extract;
    (void)data;
    (void)error;
    return HD_OK;
}

static void survives_failed_allocations(void **state)
{
    static const char *const names[] = {"report.docx", "slides.pptx", "book.epub", "text.pdf"};
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names + 2; i++) {
        hd_arena kept;
        hd__arena_init(&kept);
        const bool file = i < sizeof names / sizeof *names;
        if (file && i == 3 && !have_pdftotext())
            continue;
        hd_span bytes = file     ? read_file(&kept, names[i])
                        : i == 4 ? hd__span_of("<title>t</title><main><h1>a</h1><p>b")
                                 : hd__span_of("a,b\n\"c \"\"d\"\"\",e\n");
        hd_status status = HD_ERR_MEMORY;
        for (uint64_t n = 0; status == HD_ERR_MEMORY; n++) {
            hd_arena arena;
            hd__arena_init(&arena);
            hd__alloc_fail_after(n, UINT64_MAX);
            status = hd__extract(bytes, file ? names[i] : i == 4 ? "a.html" : "a.csv", NULL, &arena, nothing, NULL, &err);
            hd__alloc_fail_off();
            hd__arena_clear(&arena);
            assert_true(n < 1000);
        }
        if (status != HD_OK)
            fail_msg("%zu: %d \"%s\"", i, (int)status, err.text);
        hd__arena_clear(&kept);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_page_is_its_main_part),
        cmocka_unit_test(lists_tables_and_code_of_pages),
        cmocka_unit_test(terms_stay_with_what_they_are_about),
        cmocka_unit_test(many_attributes),
        cmocka_unit_test(pages_say_their_encoding),
        cmocka_unit_test(hostile_pages_end),
        cmocka_unit_test(records_of_csv),
        cmocka_unit_test(pages_of_pdf),
        cmocka_unit_test(a_child_has_limits),
        cmocka_unit_test(office_files),
        cmocka_unit_test(xml_that_lies),
        cmocka_unit_test(archives_that_lie),
        cmocka_unit_test(too_many_entries),
        cmocka_unit_test(names_of_parts),
        cmocka_unit_test(survives_failed_allocations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
