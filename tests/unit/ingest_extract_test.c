/* Text, Markdown, light markups and JSON as extracts: their blocks, their metadata, and what they are refused for. */
#include "base/alloc.h"
#include "unit/extract_dump.h"

static void paragraphs_of_text(void **state)
{
    (void)state;
    text_gives("", "a.txt", "text/plain\n");
    text_gives(" \n\t\n", "a.txt", "text/plain\n");
    text_gives("\n\none\ntwo\n \n\n  three", "a.txt", "text/plain\nP 0 @3 |one\\ntwo|\nP 0 @7 |  three|\n");
    text_gives("one\r\n\r\ntwo\r\n", "a.txt", "text/plain\nP 0 @1 |one|\nP 0 @3 |two|\n");
}

static void headings_of_light_markups(void **state)
{
    (void)state;
    text_gives("=====\nTitle\n=====\n\ntext\n\nPart\n----\ntext\n----\n\nNext\n----\n", "a.rst",
               "text/x-rst title=Title\n"
               "H 1 @1 <Title> |=====\\nTitle\\n=====|\n"
               "P 0 @5 |text|\n"
               "H 2 @7 <Part> |Part\\n----|\n"
               "H 2 @9 <text> |text\\n----|\n"
               "H 2 @12 <Next> |Next\\n----|\n");
    text_gives("====\nDoc\n====\n\n\u00dcbersicht\n=========\n\ntext\n", "a.rst", /* with a line above it is another way */
               "text/x-rst title=Doc\n"
               "H 1 @1 <Doc> |====\\nDoc\\n====|\n"
               "H 2 @5 <\u00dcbersicht> |\u00dcbersicht\\n=========|\n"
               "P 0 @8 |text|\n");
    text_gives(":mod:`heapq` --- a ``queue``\n============================\n", "a.rst",
               "text/x-rst title=heapq --- a queue\n"
               "H 1 @1 <heapq --- a queue> |:mod:`heapq` --- a ``queue``\\n============================|\n");
    text_gives("a: b :c\n=======\n", "a.rst", "text/x-rst title=a: b :c\nH 1 @1 <a: b :c> |a: b :c\\n=======|\n");
    text_gives("= Doc\nann\n\n== Part\ntext\n==\n", "a.adoc",
               "text/asciidoc title=Doc\nH 1 @1 <Doc> |= Doc|\nP 0 @2 |ann|\nH 2 @4 <Part> |== Part|\nP 0 @5 |text\\n==|\n");
    text_gives("* One\n** Two\n*bold* text\n", "a.org",
               "text/org title=One\nH 1 @1 <One> |* One|\nH 2 @2 <Two> |** Two|\nP 0 @3 |*bold* text|\n");
    text_gives("\\section*{Intro}\ntext \\section\n\\subsection{A {b} c}", "a.tex",
               "text/x-tex\nH 2 @1 <Intro> |\\section*{Intro}|\nP 0 @2 |text \\section|\n"
               "H 3 @3 <A {b} c> |\\subsection{A {b} c}|\n");
}

/* So many brackets in one paragraph that their lines are not looked for; one line less of them, and they are. */
static void a_costly_paragraph_is_plain_text(void **state)
{
    (void)state;
    hd_buffer text;
    uint64_t n_steps = 0;
    size_t at = 0;
    hd__buffer_init(&text);
    hd__buffer_append_text(&text, "# Heading\n\n");
    for (unsigned line = 1; n_steps <= HD_LIMIT_MARKDOWN_STEPS; line++) { /* 2 brackets in each */
        at = text.len;
        hd__buffer_append_text(&text, "[[\n");
        n_steps += 2 * line;
    }
    for (int i = 0; i < 2; i++) {
        hd_status status;
        char *found = dump(hd__span(text.ptr, i == 0 ? at : text.len), "a.md", NULL, &status);
        assert_int_equal(status, HD_OK);
        assert_true((strstr(found, "H 1 @1 <Heading>") != NULL) == (i == 0));
        assert_non_null(strstr(found, i == 0 ? "P 0 @3 |[[" : "P 0 @1 |# Heading|"));
        free(found);
    }
    hd__buffer_clear(&text);
}

static void blocks_of_markdown(void **state)
{
    (void)state;
    text_gives("intro\nmore\n\n# One *two* &amp; `three` #\ntext\nSet\next\n===\n\n***\n[r]: /x\n\n## Last", "a.md",
               "text/markdown title=One two & three\n"
               "P 0 @1 |intro\\nmore|\n"
               "H 1 @4 <One two & three> |# One *two* &amp; `three` #|\n"
               "H 1 @5 <text Set ext> |text\\nSet\\next\\n===\\n\\n***\\n[r]: /x|\n"
               "H 2 @13 <Last> |## Last|\n");
    text_gives("- a\n- b\n  more\n\n  second\n  - c\n    ```sh\n    x\n\n    ```\n  after\n\n1. d\n", "a.md",
               "text/markdown\n"
               "ITEM 0 @1 |- a|\n"
               "ITEM 0 @2 |- b\\n  more\\n\\n  second|\n"
               "ITEM 1 @6 |- c|\n"
               "CODE 0 @7 |```sh\\n    x\\n\\n    ```|\n"
               "ITEM 0 @11 |after|\n"
               "ITEM 0 @13 |1. d|\n");
    text_gives("```\n\n\n# no heading\n```\n~~~ c\n~~~\n| a | b |\n|---|---|\n| 1 | 2 |\n\n> q\n> r\n\n<p>\nhtml\n</p>\n\n  "
               "  code\n",
               "a.md",
               "text/markdown\n"
               "CODE 0 @1 |```\\n\\n\\n# no heading\\n```\\n~~~ c\\n~~~|\n"
               "TABLE 0 @8 || a | b |\\n|---|---|\\n| 1 | 2 ||\n"
               "P 0 @12 |> q\\n> r|\n"
               "P 0 @15 |<p>\\nhtml\\n</p>|\n"
               "CODE 0 @19 |code|\n");
    text_gives("---\n\n***\n", "a.md", "text/markdown\nP 0 @1 |---\\n\\n***|\n");
    text_gives("#\n\n# \n\nx", "a.md", "text/markdown\nP 0 @1 |#\\n\\n# \\n\\nx|\n");
}

static void front_matter(void **state)
{
    (void)state;
    text_gives(
        "---\ntitle: \"A \\\"b\\\"\" \nauthor: [Ann, 'Bob''s, c']\n# comment\ndate: 2024-05-17\ntags:\n  - one\n  - two: x\n"
        "n: 3 # three\nx: 1.5\nnone:\nmap:\n  a: b\nflow: {a: b}\nfold: >\n  one\n  two\nkeep: |\n  one\n  two\n"
        "draft: false\nurl: http://a/b\n---\n# Head\n",
        "a.md",
        "text/markdown title=A \"b\" author=Ann, Bob's, c created=1715904000 "
        "{\"author\":[\"Ann\",\"Bob's, c\"],\"date\":\"2024-05-17\",\"draft\":false,\"fold\":\"one "
        "two\",\"keep\":\"one\\ntwo\","
        "\"n\":3,\"tags\":[\"one\",\"two: x\"],\"title\":\"A \\\"b\\\"\",\"url\":\"http://a/b\",\"x\":1.5}\n"
        "H 1 @24 <Head> |# Head|\n");
    text_gives("---\na: b\nnever closed\n", "a.md", "text/markdown\nP 0 @1 |---\\na: b\\nnever closed|\n");
    text_gives("---\na rule\n\n---\n", "a.md", "text/markdown\nP 0 @1 |---\\na rule\\n\\n---|\n");
    text_gives("---\na: b\n---", "a.md", "text/markdown {\"a\":\"b\"}\n");
}

static void code_in_functions(void **state)
{
    (void)state;
    text_gives(
        "#!/usr/bin/env python3\n\"\"\"Doc.\n\ndef no(): pass\n\"\"\"\nimport os\n\nX = 1\n\n# about f\n@decorator\ndef "
        "f(a,\n"
        "      b):\n    s = '''\nfar left\n'''\n# far left too\n    return s\n\n\nclass A(B):\n    def m(self):\n        "
        "pass\n\n"
        "if X:\n    f()\nelse:\n    pass\n",
        "a.py",
        "text/x-python\n"
        "CODE 0 @1 |#!/usr/bin/env python3\\n\"\"\"Doc.\\n\\ndef no(): pass\\n\"\"\"\\nimport os\\n\\nX = 1|\n"
        "CODE 0 @10 <f> |# about f\\n@decorator\\ndef f(a,\\n      b):\\n    s = '''\\nfar left\\n'''\\n# far left too\\n"
        "    return s|\n"
        "CODE 0 @21 <A> |class A(B):\\n    def m(self):\\n        pass|\n"
        "CODE 0 @25 |if X:\\n    f()\\nelse:\\n    pass|\n");
    text_gives("#include <a.h>\nint x;\n\nint f(void);\n\n/* About g,\n\n   at length. */\nstatic int\ng(const struct s "
               "*p)\n{\n#ifdef A\n"
               "    goto out;\n#endif\nout:\n    return \"{\\\"\"[0];\n}\n\nstruct s {\n    int a;\n};\n\nstatic const int "
               "t[] = {\n"
               "    f(1),\n};\n",
               "a.c",
               "text/x-c\n"
               "CODE 0 @1 |#include <a.h>\\nint x;\\n\\nint f(void);|\n"
               "CODE 0 @6 <g> |/* About g,\\n\\n   at length. */\\nstatic int\\ng(const struct s *p)\\n{\\n#ifdef A\\n    "
               "goto out;\\n"
               "#endif\\nout:\\n    return \"{\\\"\"[0];\\n}|\n"
               "CODE 0 @19 <s> |struct s {\\n    int a;\\n};|\n"
               "CODE 0 @23 |static const int t[] = {\\n    f(1),\\n};|\n");
    text_gives("package main\n\n// T is.\ntype T struct {\n\ta int\n}\n\nfunc (t *T) Name() string {\n\treturn `\nfunc no() "
               "{\n`\n}\n",
               "a.go",
               "text/x-go\nCODE 0 @1 |package main|\nCODE 0 @3 <T> |// T is.\\ntype T struct {\\n\ta int\\n}|\n"
               "CODE 0 @8 <Name> |func (t *T) Name() string {\\n\treturn `\\nfunc no() {\\n`\\n}|\n");
    text_gives("impl<'a> fmt::Display for F<'a> {\n    fn f() {}\n}\n\n#[derive(Debug)]\npub enum E {\n    A,\n}\n", "a.rs",
               "text/x-rust\nCODE 0 @1 <fmt::Display> |impl<'a> fmt::Display for F<'a> {\\n    fn f() {}\\n}|\n"
               "CODE 0 @5 <E> |#[derive(Debug)]\\npub enum E {\\n    A,\\n}|\n");
    text_gives("import x from 'y';\nexport const add = (a) => {\n  return a;\n};\nexport default async function g() {\n}\n",
               "a.ts",
               "text/x-typescript\nCODE 0 @1 |import x from 'y';|\n"
               "CODE 0 @2 <add> |export const add = (a) => {\\n  return a;\\n};|\n"
               "CODE 0 @5 <g> |export default async function g() {\\n}|\n");
    text_gives("create table if not exists t (\n  a int\n);\n", "a.sql",
               "text/x-sql\nCODE 0 @1 <t> |create table if not exists t (\\n  a int\\n);|\n");
    text_gives("f <- function(x) {\n  x\n}\ny <- 1\n", "a.R",
               "text/x-r\nCODE 0 @1 <f> |f <- function(x) {\\n  x\\n}|\nCODE 0 @4 |y <- 1|\n");
    text_gives("a: 1\n\nb:\n  - c\n", "a.yml", "text/x-yaml\nCODE 0 @1 |a: 1|\nCODE 0 @3 |b:\\n  - c|\n");
    text_gives("", "a.c", "text/x-c\n");
    text_gives("\n\n", "a.c", "text/x-c\n");
    text_gives("}\n) else\n'''\n`\"", "a.py", "text/x-python\nCODE 0 @1 |}\\n) else\\n'''\\n`\"|\n");
}

static void long_classes_in_methods(void **state)
{
    (void)state;
    hd_buffer source;
    hd__buffer_init(&source);
    hd__buffer_append_text(
        &source, "/** Doc. */\npublic class A extends B {\n    private int x;\n\n    @Override\n    public int f() {\n");
    for (int i = 0; i < 100; i++)
        hd__buffer_append_text(&source, "        x += 1; // long\n");
    hd__buffer_append_text(&source,
                           "    }\n\n    int g(int a,\n          int b) {\n        return 1;\n    }\n}\n\nclass C {\n}\n");
    hd_status status;
    char *found = dump(hd__buffer_span(&source), "A.java", NULL, &status);
    assert_int_equal(status, HD_OK);
    assert_non_null(strstr(found, "\nCODE 0 @1 <A> |/** Doc. */\\npublic class A extends B {|\n"
                                  "CODE 1 @3 |    private int x;|\nCODE 1 @5 <f> |    @Override\\n    public int f() {\\n"));
    assert_non_null(strstr(found,
                           "}|\nCODE 1 @109 <g> |    int g(int a,\\n          int b) {\\n        return 1;\\n    }\\n}|\n"
                           "CODE 0 @115 <C> |class C {\\n}|\n"));
    free(found);
    hd__buffer_clear(&source);
}

static void json_as_lines(void **state)
{
    (void)state;
    text_gives("{\"title\": \"T\",\n \"a\": {\"b\": [1, 2.5, null], \"c\": [{\"d\": true}, [\"x\"]]},\n \"e\": \"li\\nne\"}",
               "a.json",
               "application/json title=T\n"
               "P 0 @1 |title: T|\n"
               "P 0 @2 |a.b: 1, 2.5, null\\na.c[0].d: true\\na.c[1]: x|\n"
               "P 0 @3 |e: li\\nne|\n");
    text_gives("[{\"a\": \"]\\\"\"},\n\n {\"a\": 2}, 3,\n[[4]]]", "a.json",
               "application/json\nP 0 @1 |a: ]\"|\nP 0 @3 |a: 2|\nP 0 @3 |3|\nP 0 @4 |[0]: 4|\n");
    text_gives("[\"a\\r\\nb\\rc\"]", "a.json", "application/json\nP 0 @1 |a \\nb\\nc|\n"); /* as read, in place */
    text_gives("[]", "a.json", "application/json\n");
    text_gives(" ", "a.json", "application/json\n");
    refuses(hd__span_of("{\"a\": 1,\n}"), "a.json", HD_ERR_FORMAT, "line 2");
    refuses(hd__span_of("\"x\""), "a.json", HD_ERR_FORMAT, "line 1");
    char deep[2 * (HD_LIMIT_RECORD_DEPTH + 3)];
    for (uint32_t n = HD_LIMIT_RECORD_DEPTH + 2; n <= HD_LIMIT_RECORD_DEPTH + 3; n++) { /* the innermost list is one line */
        memset(deep, '[', n);
        memset(deep + n, ']', n);
        hd_status status;
        free(dump(hd__span(deep, 2 * (size_t)n), "a.json", NULL, &status));
        assert_int_equal(status, n == HD_LIMIT_RECORD_DEPTH + 2 ? HD_OK : HD_ERR_LIMIT);
    }
}

static void a_document_on_each_line(void **state)
{
    (void)state;
    text_gives("\xEF\xBB\xBF{\"_id\": \"d1\", \"title\": \"T\", \"text\": \"one\\n\\ntwo\", \"metadata\": {\"url\": "
               "\"http://x\", \"n\": 1}}\n"
               "\n{\"id\": 7, \"contents\": \"c\", \"author\": [\"A\", \"B\"], \"date\": \"2024-05-17\", \"source\": \"s\", "
               "\"k\": [1]}\r\n"
               "{\"docid\":\"x\",\"body\":\"\",\"timestamp\":1715904000000}",
               "a.jsonl",
               "application/jsonl title=T id=d1 url=http://x {\"n\":1,\"title\":\"T\",\"url\":\"http://x\"}\n"
               "P 0 @1 |one|\nP 0 @1 |two|\n"
               "application/jsonl author=A, B id=7 source=s created=1715904000 "
               "{\"author\":[\"A\",\"B\"],\"date\":\"2024-05-17\",\"k\":[1]}\n"
               "P 0 @3 |c|\n"
               "application/jsonl id=x created=1715904000 {\"timestamp\":1715904000000}\n");
}

/* Each is its line's fault alone. */
static hd_status too_much_of_b(const hd_extract *extract, void *data, hd_error *why)
{
    if (hd__span_is(extract->text, "b"))
        return hd__fail(why, HD_ERR_LIMIT, "b is too much");
    return hd__span_is(extract->text, "end") ? hd__fail(why, HD_ERR_IO, "disk") : dump_document(extract, data, why);
}

static void lines_that_are_left_out(void **state)
{
    (void)state;
    hd_buffer out;
    hd_lines lines = {0};
    bool again;
    static const char bytes[] = "{\"text\":\"a\\u0000\"}\n{\"text\":\"\xFF\"}\n{\"text\":[1]}\n{\"text\":\"b\"}\n\0{}\n"
                                "{\"text\":\"c\"}\n";
    hd__buffer_init(&out);
    assert_int_equal(hd__extract_lines(hd__span(bytes, sizeof bytes - 1), &lines, too_much_of_b, &out, &err), HD_OK);
    assert_int_equal(lines.n, 6);
    assert_int_equal(lines.n_failed, 5);
    assert_int_equal(hd__lines_take_id(&lines, "x", &again, &err), HD_OK);
    assert_false(again);
    lines.n += 2;
    assert_int_equal(hd__lines_take_id(&lines, "y", &again, &err), HD_OK);
    assert_false(again);
    assert_int_equal(hd__lines_take_id(&lines, "x", &again, &err), HD_OK);
    assert_true(again);
    assert_int_equal(lines.n_failed, 6);
    assert_int_equal(hd__extract_lines(hd__span_of("{\"text\":\"end\"}\n[]\n"), &lines, too_much_of_b, &out, &err),
                     HD_ERR_IO);
    assert_string_equal(err.text, "disk");
    assert_int_equal(lines.n_failed, 6);
    assert_int_equal(hd__lines_end(&lines, &err), HD_ERR_FORMAT);
    hd__buffer_append_char(&out, '\0');
    assert_string_equal(out.ptr, "application/jsonl\nP 0 @6 |c|\n");
    hd__buffer_clear(&out);

    lines = (hd_lines){0};
    assert_int_equal(hd__lines_take_id(&lines, "x", &again, &err), HD_OK);
    lines.n = 6;
    assert_int_equal(hd__lines_take_id(&lines, "x", &again, &err), HD_OK);
    assert_int_equal(hd__lines_end(&lines, &err), HD_ERR_FORMAT);
    assert_string_equal(err.text, "1 line is left out: line 1: line 7 has the same id, x");
}

/* What is kept of a stream while a line of it does not end. */
static void long_lines_are_cut_out(void **state)
{
    (void)state;
    hd_lines lines = {.n = 2};
    hd_buffer read;
    hd__buffer_init(&read);
    assert_int_equal(hd__lines_cut(&lines, &read, false), 0);
    hd__buffer_append_text(&read, "{}\n{");
    assert_int_equal(hd__lines_cut(&lines, &read, false), 3);
    assert_int_equal(hd__lines_cut(&lines, &read, true), 4);
    hd__buffer_reset(&read);
    char *room = hd__buffer_reserve(&read, HD_LIMIT_RECORD_BYTES + 1u);
    assert_non_null(room);
    memset(room, 'a', HD_LIMIT_RECORD_BYTES + 1u);
    read.len = HD_LIMIT_RECORD_BYTES;
    assert_int_equal(hd__lines_cut(&lines, &read, false), 0); /* the newline may come next */
    assert_int_equal(read.len, HD_LIMIT_RECORD_BYTES);
    read.len++;
    assert_int_equal(hd__lines_cut(&lines, &read, false), 0);
    assert_int_equal(read.len, 0);
    assert_true(lines.in_long);
    assert_int_equal(lines.n, 2);
    hd__buffer_append_text(&read, "aaaa");
    assert_int_equal(hd__lines_cut(&lines, &read, false), 0);
    assert_int_equal(read.len, 0);
    hd__buffer_append_text(&read, "a\n{}\n{}");
    assert_int_equal(hd__lines_cut(&lines, &read, false), 3);
    assert_int_equal(read.len, 5);
    assert_int_equal(lines.n, 3);
    assert_false(lines.in_long);
    lines.in_long = true; /* to the end of the stream */
    hd__buffer_reset(&read);
    hd__buffer_append_text(&read, "aaaa");
    assert_int_equal(hd__lines_cut(&lines, &read, true), 0);
    assert_int_equal(lines.n, 4);
    hd__buffer_clear(&read);
    assert_int_equal(hd__lines_end(&lines, &err), HD_ERR_FORMAT);
    assert_string_equal(err.text, "1 line is left out: line 3: more than 67108864 bytes, which are read of one line");
}

static void broken_lines_do_not_stop_the_others(void **state)
{
    (void)state;
    static const char lines[] = "{\"text\":\"a\"}\n{\"text\":\n[1]\n{\"id\":\"x\"}\n\"s\"\n{\"text\":\"b\"}\n";
    hd_status status;
    char *found = dump(hd__span_of(lines), "a.jsonl", NULL, &status);
    assert_int_equal(status, HD_ERR_FORMAT);
    assert_string_equal(found, "application/jsonl\nP 0 @1 |a|\napplication/jsonl\nP 0 @6 |b|\n");
    assert_non_null(strstr(err.text, "4 lines are left out: line 2: "));
    assert_non_null(strstr(err.text, "; line 3: no JSON object; line 4: no text: none of \"text\""));
    assert_null(strstr(err.text, "line 5"));
    free(found);
}

static void lines_by_pieces(void **state)
{
    (void)state;
    hd_buffer out;
    hd_lines lines = {.n = 6};
    static const hd_span pieces[] = {
        {"{\"text\":\"a\"}\n\n", 14}, {"[]\n{\"text\":\"b\"}\n", 16}, {"{\n\0\0\0\n", 6}, {"[1]\n", 4}};
    static const uint32_t passed[] = {8, 10, 12, 13};
    hd__buffer_init(&out);
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(hd__extract_lines(pieces[i], &lines, dump_document, &out, &err), HD_OK);
        assert_int_equal(lines.n, passed[i]);
    }
    assert_int_equal(hd__lines_end(&lines, &err), HD_ERR_FORMAT);
    assert_non_null(strstr(err.text, "4 lines are left out: line 9: no JSON object; line 11: "));
    assert_non_null(strstr(err.text, "; line 12: "));
    lines = (hd_lines){0};
    assert_int_equal(hd__lines_end(&lines, &err), HD_OK);
    hd__buffer_append_char(&out, '\0');
    assert_string_equal(out.ptr, "application/jsonl\nP 0 @7 |a|\napplication/jsonl\nP 0 @10 |b|\n");
    hd__buffer_clear(&out);
}

static hd_status stop(const hd_extract *extract, void *data, hd_error *error)
{
    (void)extract;
    ++*(int *)data;
    return hd__fail(error, HD_ERR_CANCELLED, "stop");
}

static void errors_of_the_caller_end_it(void **state)
{
    (void)state;
    hd_arena arena;
    int n = 0;
    hd__arena_init(&arena);
    hd_span lines = hd__span_of("{\"text\":\"a\"}\n{\"text\":\"b\"}\n");
    assert_int_equal(hd__extract(lines, "a.jsonl", NULL, &arena, stop, &n, &err), HD_ERR_CANCELLED);
    assert_int_equal(n, 1);
    assert_string_equal(err.text, "stop");
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
    static const char *const names[] = {"a.txt", "a.md", "a.rst", "a.py", "a.c", "a.json", "a.jsonl"};
    static const char *const texts[] = {"a\r\n\r\nb",
                                        "---\ntitle: x\ntags: [a, b]\nl:\n - a\n---\n# a\n- b\n",
                                        "a\n==\n\nb",
                                        "class A:\n    def f():\n        pass\n",
                                        "int f(void)\n{\n}\n",
                                        "{\"title\": \"x\", \"a\": [{\"b\": 1}]}",
                                        "{\"id\": \"a\", \"text\": \"x\", \"title\": \"t\"}"};
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        hd_status status = HD_ERR_MEMORY;
        for (uint64_t n = 0; status == HD_ERR_MEMORY; n++) {
            hd_arena arena;
            hd__arena_init(&arena);
            hd__alloc_fail_after(n, UINT64_MAX);
            status = hd__extract(hd__span_of(texts[i]), names[i], NULL, &arena, nothing, NULL, &err);
            hd__alloc_fail_off();
            hd__arena_clear(&arena);
            assert_true(n < 1000);
        }
        assert_int_equal(status, HD_OK);
    }
}

/* What would take a parser too long or too deep ends in time, with a limit's name or as text. */
static void hostile_markdown_ends(void **state)
{
    (void)state;
    hd_buffer text;
    hd__buffer_init(&text);
    hd__buffer_append_text(&text,
                           "[a]: /x 'long title long title long title long title long title long title long title'\n\n");
    for (int i = 0; i < 20000; i++)
        hd__buffer_append_text(&text, "[a] ");
    refuses(hd__buffer_span(&text), "a.md", HD_ERR_LIMIT, "more than 16 times its size");
    hd__buffer_reset(&text);
    for (int i = 0; i < 2000; i++)
        hd__buffer_append_text(&text, "|a");
    hd__buffer_append_text(&text, "\n");
    for (int i = 0; i < 2000; i++)
        hd__buffer_append_text(&text, "|---");
    for (int i = 0; i < 2000; i++)
        hd__buffer_append_text(&text, "\n|");
    refuses(hd__buffer_span(&text), "a.md", HD_ERR_LIMIT, "more than 16 times its size");
    static const char *const units[] = {"> ", "- ", "[", "*a ", "`", "<", "![", "&", "((", "**a *", "_a__"};
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        hd__buffer_reset(&text);
        for (int j = 0; j < 20000; j++)
            hd__buffer_append_text(&text, units[i]);
        hd_status status;
        free(dump(hd__buffer_span(&text), "a.md", NULL, &status));
        assert_true(status == HD_OK || status == HD_ERR_LIMIT);
    }
    hd__buffer_clear(&text);
}

/* `n` bytes of `filler` between a beginning and an end, as a file of this name. */
static hd_status status_of(const char *name, const char *begin, char filler, size_t n, const char *end)
{
    size_t head = strlen(begin), tail = strlen(end), len = head + n + tail;
    char *bytes = hd__map_alloc(len);
    hd_arena arena;
    assert_non_null(bytes);
    memcpy(bytes, begin, head);
    memset(bytes + head, filler, n);
    memcpy(bytes + head + n, end, tail);
    hd__arena_init(&arena);
    memset(&err, 0, sizeof err);
    hd_status status = hd__extract(hd__span(bytes, len), name, NULL, &arena, nothing, NULL, &err);
    hd__arena_clear(&arena);
    hd__map_free(bytes, len);
    return status;
}

static void limits_of_bytes(void **state)
{
    (void)state;
    assert_int_equal(status_of("a.txt", "", 'a', HD_LIMIT_DOCUMENT_BYTES, ""), HD_OK); /* in one line */
    assert_int_equal(status_of("a.txt", "", 'a', HD_LIMIT_DOCUMENT_BYTES, "a"), HD_ERR_LIMIT);
    assert_non_null(strstr(err.text, "268435457 bytes, at most 268435456 are read"));
    assert_int_equal(status_of("a.json", "[\"", 'a', HD_LIMIT_RECORD_BYTES - 4, "\"]"), HD_OK);
    assert_int_equal(status_of("a.json", "[\"", 'a', HD_LIMIT_RECORD_BYTES - 3, "\"]"), HD_ERR_LIMIT);
    assert_int_equal(status_of("a.jsonl", "{\"text\":\"", 'a', HD_LIMIT_RECORD_BYTES - 11, "\"}"), HD_OK);
    assert_int_equal(status_of("a.jsonl", "{\"text\":\"", 'a', HD_LIMIT_RECORD_BYTES - 10, "\"}\n"), HD_ERR_FORMAT);
    assert_non_null(strstr(err.text, "1 line is left out: line 1: 67108865 bytes, at most 67108864"));
    assert_int_equal(status_of("a.html", "", 'a', HD_LIMIT_HTML_BYTES, ""), HD_OK);
    assert_int_equal(status_of("a.html", "", 'a', HD_LIMIT_HTML_BYTES, "a"), HD_ERR_LIMIT);
}

static hd_status count_metadata(const hd_extract *extract, void *data, hd_error *error)
{
    (void)error;
    *(bool *)data = extract->metadata != NULL;
    return HD_OK;
}

static void limits_of_names(void **state)
{
    (void)state;
    hd_buffer text;
    hd__buffer_init(&text);
    for (uint32_t n = HD_LIMIT_FRONT_MATTER_BYTES + 1; n <= HD_LIMIT_FRONT_MATTER_BYTES + 2; n++) { /* its last \n beside */
        hd_arena arena;
        bool found = false;
        hd__arena_init(&arena);
        hd__buffer_reset(&text);
        hd__buffer_append_text(&text, "---\na: ");
        while (text.len < n - 5)
            hd__buffer_append_char(&text, 'x');
        hd__buffer_append_text(&text, "\n---\n");
        assert_int_equal(hd__extract(hd__buffer_span(&text), "a.md", NULL, &arena, count_metadata, &found, &err), HD_OK);
        assert_int_equal(found, n == HD_LIMIT_FRONT_MATTER_BYTES + 1);
        hd__arena_clear(&arena);
    }
    for (uint32_t n = HD_LIMIT_HEADING_BYTES; n <= HD_LIMIT_HEADING_BYTES + 1; n++) {
        hd__buffer_reset(&text);
        hd__buffer_append_text(&text, "# ");
        for (uint32_t i = 0; i + 2 < n; i++)
            hd__buffer_append_char(&text, 'x');
        hd__buffer_append_text(&text, "\xC3\xA9\n");
        hd_status status;
        char *found = dump(hd__buffer_span(&text), "a.md", NULL, &status);
        assert_int_equal(status, HD_OK);
        assert_int_equal(strstr(found, "x\xC3\xA9> ") != NULL, n == HD_LIMIT_HEADING_BYTES);
        assert_int_equal(strstr(found, "x> ") != NULL, n != HD_LIMIT_HEADING_BYTES);
        free(found);
    }
    hd__buffer_clear(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paragraphs_of_text),
        cmocka_unit_test(headings_of_light_markups),
        cmocka_unit_test(blocks_of_markdown),
        cmocka_unit_test(a_costly_paragraph_is_plain_text),
        cmocka_unit_test(front_matter),
        cmocka_unit_test(code_in_functions),
        cmocka_unit_test(long_classes_in_methods),
        cmocka_unit_test(json_as_lines),
        cmocka_unit_test(a_document_on_each_line),
        cmocka_unit_test(broken_lines_do_not_stop_the_others),
        cmocka_unit_test(lines_by_pieces),
        cmocka_unit_test(lines_that_are_left_out),
        cmocka_unit_test(long_lines_are_cut_out),
        cmocka_unit_test(errors_of_the_caller_end_it),
        cmocka_unit_test(survives_failed_allocations),
        cmocka_unit_test(hostile_markdown_ends),
        cmocka_unit_test(limits_of_bytes),
        cmocka_unit_test(limits_of_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
