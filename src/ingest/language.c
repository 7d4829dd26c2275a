/* language.c - see language.h. */
#include "ingest/language.h"

#include <strings.h>

#define C_TRAITS (HD_LANGUAGE_SEMICOLONS | HD_LANGUAGE_PREPROCESSOR | HD_LANGUAGE_CALLS)
#define TYPED_TRAITS (HD_LANGUAGE_SEMICOLONS | HD_LANGUAGE_CALLS)
#define SCRIPT_TRAITS (HD_LANGUAGE_METHODS | HD_LANGUAGE_BACKTICK)
#define C_COMMENTS "//", NULL, "/*", "*/"
#define HASH_COMMENTS "#", NULL, NULL, NULL

/* name, suffixes, names, traits, comments, quotes, words */
static const hd_language languages[] = {
    {"c", " c h ", "", C_TRAITS, C_COMMENTS, "\"'", " struct enum union define "},
    {"cpp", " cc cpp cxx c++ hh hpp hxx h++ ipp inl cu cuh ino ", "", C_TRAITS, C_COMMENTS, "\"'",
     " struct enum union class namespace concept define "},
    {"objective-c", " m mm ", "", C_TRAITS, C_COMMENTS, "\"'", " @interface @implementation @protocol struct enum union "},
    {"java", " java ", "", TYPED_TRAITS | HD_LANGUAGE_TRIPLE, C_COMMENTS, "\"'", " class interface enum record @interface "},
    {"csharp", " cs csx ", "", TYPED_TRAITS | HD_LANGUAGE_PREPROCESSOR | HD_LANGUAGE_TRIPLE, C_COMMENTS, "\"'",
     " class interface enum record struct namespace "},
    {"dart", " dart ", "", TYPED_TRAITS | HD_LANGUAGE_TRIPLE, C_COMMENTS, "\"'", " class mixin enum extension typedef "},
    {"javascript", " js mjs cjs jsx vue svelte ", " node deno bun ", SCRIPT_TRAITS, C_COMMENTS, "\"'",
     " function class const let var "},
    {"typescript", " ts tsx mts cts ", " ts-node ", SCRIPT_TRAITS, C_COMMENTS, "\"'",
     " function class interface enum namespace module type const let var "},
    {"go", " go ", "", HD_LANGUAGE_BACKTICK, C_COMMENTS, "\"'", " func type "},
    {"rust", " rs ", "", 0, C_COMMENTS, "\"", " fn struct enum trait impl mod union macro_rules! type "},
    {"swift", " swift ", "", HD_LANGUAGE_TRIPLE, C_COMMENTS, "\"", " func class struct enum protocol extension actor "},
    {"kotlin", " kt kts ", "", HD_LANGUAGE_TRIPLE, C_COMMENTS, "\"'", " fun class interface object typealias "},
    {"scala", " scala sc sbt ", "", HD_LANGUAGE_TRIPLE, C_COMMENTS, "\"", " def class trait object enum type "},
    {"groovy", " groovy gradle ", " Jenkinsfile ", HD_LANGUAGE_CALLS | HD_LANGUAGE_TRIPLE, C_COMMENTS, "\"'",
     " def class interface enum "},
    {"php", " php phtml ", " php ", HD_LANGUAGE_METHODS, "//", "#", "/*", "*/", "\"'",
     " function class interface trait enum "},
    {"zig", " zig ", "", 0, "//", NULL, NULL, NULL, "\"'", " fn const var "},
    {"protobuf", " proto ", "", 0, C_COMMENTS, "\"'", " message service enum "},
    {"solidity", " sol ", "", 0, C_COMMENTS, "\"'", " contract interface library function struct enum event modifier "},
    {"verilog", " v sv svh vh ", "", 0, C_COMMENTS, "\"", " module interface package class function task "},
    {"css", " css scss less sass ", "", 0, C_COMMENTS, "\"'", " @mixin @function @keyframes "},
    {"terraform", " tf hcl ", "", 0, "#", "//", "/*", "*/", "\"", " resource module variable output provider data "},
    {"cuda-ptx", " ptx ", "", 0, C_COMMENTS, "\"", " .func .entry "},
    {"python", " py pyi pyx pyw ", " python python2 python3 SConstruct ", HD_LANGUAGE_TRIPLE, HASH_COMMENTS, "\"'",
     " def class "},
    {"ruby", " rb rake gemspec ", " ruby Rakefile Gemfile Vagrantfile ", 0, HASH_COMMENTS, "\"'", " def class module "},
    {"elixir", " ex exs ", " elixir ", HD_LANGUAGE_TRIPLE, HASH_COMMENTS, "\"", " def defp defmodule defmacro defprotocol "},
    {"julia", " jl ", " julia ", HD_LANGUAGE_TRIPLE, HASH_COMMENTS, "\"", " function struct module macro type "},
    {"lua", " lua ", " lua luajit ", 0, "--", NULL, "--[[", "]]", "\"'", " function "},
    {"perl", " pl pm t ", " perl ", 0, HASH_COMMENTS, "\"'", " sub package "},
    {"shell", " sh bash zsh ksh fish bats ", " sh bash zsh dash ksh fish .bashrc .profile .zshrc ", HD_LANGUAGE_CALLS,
     HASH_COMMENTS, "\"'", " function "},
    {"powershell", " ps1 psm1 ", " pwsh ", 0, "#", NULL, "<#", "#>", "\"'", " function class enum Function "},
    {"r", " r R ", " Rscript ", HD_LANGUAGE_ARROW, HASH_COMMENTS, "\"'", ""},
    {"sql", " sql ddl ", "", HD_LANGUAGE_ANY_CASE, "--", NULL, "/*", "*/", "'",
     " table view function procedure trigger index type schema "},
    {"haskell", " hs ", "", 0, "--", NULL, "{-", "-}", "\"", " data newtype class instance type module "},
    {"ocaml", " ml mli ", " ocaml ", 0, NULL, NULL, "(*", "*)", "\"", " let type module class exception "},
    {"fsharp", " fs fsx ", "", HD_LANGUAGE_TRIPLE, "//", NULL, "(*", "*)", "\"", " let type module "},
    {"erlang", " erl hrl ", " escript ", 0, "%", NULL, NULL, NULL, "\"", ""},
    {"clojure", " clj cljs cljc edn ", "", 0, ";", NULL, NULL, NULL, "\"",
     " (defn (def (defmacro (defprotocol (ns (defrecord "},
    {"lisp", " lisp el scm rkt ", "", 0, ";", NULL, NULL, NULL, "\"",
     " (defun (defvar (defmacro (define (defclass (defcustom "},
    {"pascal", " pas pp dpr ", "", HD_LANGUAGE_ANY_CASE, "//", NULL, "{", "}", "'", " procedure function unit program "},
    {"ada", " adb ads ", "", HD_LANGUAGE_ANY_CASE, "--", NULL, NULL, NULL, "\"", " procedure function package type body "},
    {"fortran", " f f90 f95 f03 f08 for ", "", HD_LANGUAGE_ANY_CASE, "!", NULL, NULL, NULL, "\"'",
     " subroutine function module program "},
    {"vhdl", " vhd vhdl ", "", HD_LANGUAGE_ANY_CASE, "--", NULL, NULL, NULL, "\"", " entity architecture package process "},
    {"nim", " nim ", "", HD_LANGUAGE_TRIPLE, HASH_COMMENTS, "\"", " proc func template macro iterator "},
    {"graphql", " graphql gql ", "", HD_LANGUAGE_TRIPLE, HASH_COMMENTS, "\"",
     " type input enum interface query mutation scalar "},
    {"assembly", " s S asm ", "", HD_LANGUAGE_FLAT, "#", "//", "/*", "*/", "\"", ""},
    {"makefile", " mk mak ", " Makefile GNUmakefile makefile make ", HD_LANGUAGE_FLAT, HASH_COMMENTS, "", ""},
    {"cmake", " cmake ", " CMakeLists.txt ", HD_LANGUAGE_ANY_CASE, HASH_COMMENTS, "\"", ""},
    {"dockerfile", " dockerfile ", " Dockerfile Containerfile ", HD_LANGUAGE_FLAT, HASH_COMMENTS, "", ""},
    {"yaml", " yaml yml ", "", HD_LANGUAGE_FLAT, HASH_COMMENTS, "", ""},
    {"toml", " toml ", " Cargo.lock ", HD_LANGUAGE_FLAT, HASH_COMMENTS, "", ""},
    {"ini", " ini cfg conf properties env service desktop ", " .gitconfig .editorconfig .env ", HD_LANGUAGE_FLAT,
     HASH_COMMENTS, "", ""},
    {"xml", " xml xsd xsl xslt svg plist wsdl csproj ", "", HD_LANGUAGE_FLAT, NULL, NULL, NULL, NULL, "", ""},
    {"batch", " bat cmd ", "", HD_LANGUAGE_FLAT, NULL, NULL, NULL, NULL, "", ""},
    {"diff", " diff patch ", "", HD_LANGUAGE_FLAT, NULL, NULL, NULL, NULL, "", ""},
    {"nix", " nix ", "", HD_LANGUAGE_FLAT, "#", NULL, "/*", "*/", "", ""},
};
#define N_LANGUAGES (sizeof languages / sizeof *languages)

bool hd__word_in(const char *list, hd_span word, bool any_case)
{
    while (*list != '\0') {
        list += *list == ' ';
        size_t n = strcspn(list, " ");
        if (n == word.len && n > 0 && (any_case ? strncasecmp(list, word.ptr, n) : strncmp(list, word.ptr, n)) == 0)
            return true;
        list += n;
    }
    return false;
}

const hd_language *hd__language_of_name(hd_span file_name)
{
    for (size_t i = 0; i < N_LANGUAGES; i++) {
        if (hd__word_in(languages[i].names, file_name, false))
            return &languages[i];
    }
    const char *dot = memrchr(file_name.ptr, '.', file_name.len);
    if (dot == NULL)
        return NULL;
    hd_span suffix = hd__span(dot + 1, (size_t)(file_name.ptr + file_name.len - dot - 1));
    for (size_t i = 0; i < N_LANGUAGES; i++) {
        if (hd__word_in(languages[i].suffixes, suffix, suffix.len > 1))
            return &languages[i];
    }
    return NULL;
}

const hd_language *hd__language_of_interpreter(hd_span program)
{
    for (size_t i = 0; i < N_LANGUAGES; i++) {
        if (hd__word_in(languages[i].names, program, false))
            return &languages[i];
    }
    return NULL;
}
