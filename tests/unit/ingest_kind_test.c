/* What a file is, by its bytes, its name and its mime type. */
#include "ingest/kind.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void is(const char *bytes, const char *name, const char *mime, hd_kind wanted)
{
    hd_kind kind = hd__kind_of(hd__span_of(bytes), name, mime);
    if (kind != wanted)
        fail_msg("\"%.20s\" named %s, %s: kind %d, wanted %d", bytes, name != NULL ? name : "-", mime != NULL ? mime : "-",
                 (int)kind, (int)wanted);
}

static void bytes_tell_before_names(void **state)
{
    (void)state;
    is("%PDF-1.7\n", "a.txt", NULL, HD_KIND_PDF);
    is("junk\n%PDF-1.7\n", "a.pdf", NULL, HD_KIND_PDF);
    is("junk\n%PDF-1.7\n", "a.txt", NULL, HD_KIND_TEXT);
    is("<!DOCTYPE HTML><title>404</title>", "report.pdf", NULL, HD_KIND_HTML);
    is("\xEF\xBB\xBF <?xml version='1.0'?><!-- c --><html lang=en>", "a.txt", NULL, HD_KIND_HTML);
    is("<!-- never closed <html>", "a.txt", NULL, HD_KIND_TEXT);
    is("<htmlx>", NULL, NULL, HD_KIND_TEXT);
    is("only text", "report.docx", NULL, HD_KIND_TEXT);
    is("\x89PNG\r\n\x1A\n", "a.md", NULL, HD_KIND_UNKNOWN);
    is("{\\rtf1 text}", "a.txt", NULL, HD_KIND_UNKNOWN);
    is("ID3 is how tags of music begin, and this sentence", "a.txt", NULL, HD_KIND_TEXT);
    is("PK\3\4xxxxxxxxxxxxxxxxxxxxxxxxxxword/document.xml", "a.bin", NULL, HD_KIND_DOCX);
    is("PK\3\4xxxxxxxxxxxxxxxxxxxxxxxxxxppt/presentation.xml", "a.docx", NULL, HD_KIND_PPTX);
    is("PK\3\4xxxxxxxxxxxxxxxxxxxxxxxxxxmimetypeapplication/epub+zip", "a.zip", NULL, HD_KIND_EPUB);
    is("PK\3\4xxxxxxxxxxxxxxxxxxxxxxxxxxsome/file", "a.docx", NULL, HD_KIND_DOCX);
    is("PK\3\4xxxxxxxxxxxxxxxxxxxxxxxxxxsome/file", "a.pdf", NULL, HD_KIND_UNKNOWN);
    is("PK\3\4xxxxxxxxxxxxxxxxxxxxxxxxxxxl/workbook.xml", "a.docx", NULL, HD_KIND_UNKNOWN);
    is("#!/usr/bin/env -S python3.11 -u\nprint()", "tool", NULL, HD_KIND_CODE);
    is("#!/no/such/thing\nprint()", "tool", NULL, HD_KIND_TEXT);
}

static void names_tell_what_bytes_do_not(void **state)
{
    (void)state;
    is("a", "dir.d/a.MD", NULL, HD_KIND_MARKDOWN);
    is("<!doctype html>", "a.md", NULL, HD_KIND_MARKDOWN);
    is("<html>", "a.vue", NULL, HD_KIND_CODE);
    is("a,b", "a.csv", NULL, HD_KIND_CSV);
    is("{}", "a.json", NULL, HD_KIND_JSON);
    is("{}", "a.jsonl", NULL, HD_KIND_JSONL);
    is("int x;", "a.c", NULL, HD_KIND_CODE);
    is("project(x)", "src/CMakeLists.txt", NULL, HD_KIND_CODE);
    is("all:", "Makefile", NULL, HD_KIND_CODE);
    is("x", "notes.v2.txt", NULL, HD_KIND_TEXT);
    is("x", "a.unheard-of", NULL, HD_KIND_TEXT);
    is("", "a.txt", NULL, HD_KIND_TEXT);
    is("", NULL, NULL, HD_KIND_TEXT);
}

static void mime_types_tell_what_names_do_not(void **state)
{
    (void)state;
    is("a", NULL, "text/markdown; charset=utf-8", HD_KIND_MARKDOWN);
    is("a", "upload", "Text/HTML", HD_KIND_HTML);
    is("a", "a.json", "text/html", HD_KIND_JSON);
    is("a\n\n## b\n", NULL, NULL, HD_KIND_MARKDOWN);
    is("a\n## b\n", NULL, NULL, HD_KIND_TEXT);
    is("# b", "README", NULL, HD_KIND_MARKDOWN);
    is("# b", "a.conf", NULL, HD_KIND_CODE);
    is("# b", NULL, "text/plain", HD_KIND_TEXT);
}

static void what_is_no_text_is_unknown(void **state)
{
    (void)state;
    assert_int_equal(hd__kind_of(hd__span("ab\0cd\0\0\0ef", 10), "a.txt", NULL), HD_KIND_UNKNOWN);
    is("\1\2\3\4\5\6\7\1\2\3", "a.txt", NULL, HD_KIND_UNKNOWN);
    is("colours: \x1B[31mred\x1B[0m, and \t tabs", "a.log", NULL, HD_KIND_TEXT);
    assert_int_equal(hd__kind_of(hd__span("h\0e\0l\0l\0o\0", 10), "a.txt", NULL), HD_KIND_TEXT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_tell_before_names),
        cmocka_unit_test(names_tell_what_bytes_do_not),
        cmocka_unit_test(mime_types_tell_what_names_do_not),
        cmocka_unit_test(what_is_no_text_is_unknown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
