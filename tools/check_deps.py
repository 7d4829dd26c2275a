#!/usr/bin/env python3
"""Holds the tree to the rules of CONTRIBUTING.md that a machine can check.

    tools/check_deps.py [--build DIR] [CHECK ...]

Without names every check runs. Those that look at compiled code need --build, a build folder with
compile_commands.json, the hd_* archives and libheddle.so. Each finding is one line, "file:line: what"; the
exit code is 0 without findings, 1 with, 2 when a check could not be made. Only the standard library is used.
"""

import argparse
import json
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MAX_FILE_LINES = 1000
MAX_FUNCTION_LINES = 70
MAX_COLUMNS = 125


class CannotCheck(Exception):
    """The tree or the build lacks what a check reads: neither a pass nor a finding."""


def c_files(*folders):
    for folder in folders:
        for suffix in ("*.c", "*.h", "*.inc"):
            yield from sorted((ROOT / folder).rglob(suffix))


def name_of(path):
    return path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else str(path)


def without_comments_and_strings(text):
    """The code with comments and the insides of literals blanked, so that line numbers stay."""
    pattern = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)
    return pattern.sub(lambda m: re.sub(r"[^\n]", " ", m.group()), text)


def run(command, **options):
    try:
        return subprocess.run(command, capture_output=True, text=True, **options)
    except FileNotFoundError as error:
        raise CannotCheck(f"{error.filename} is not installed") from error


# --- the sources --------------------------------------------------------------------------------------------

def read_layers():
    """The table of CONTRIBUTING.md: folder -> folders it may include; None stands for every folder."""
    text = (ROOT / "CONTRIBUTING.md").read_text()
    layers = {}
    for line in text.splitlines():
        row = re.fullmatch(r"\| `(\w+)` \| (.+) \|", line)
        if row:
            layers[row[1]] = None if row[2] == "everything" else set(re.findall(r"`(\w+)`", row[2]))
    if "base" not in layers:
        raise CannotCheck("CONTRIBUTING.md: the table of layers is not where it was")
    return layers


def check_includes(_build):
    """Folders include only what the table in CONTRIBUTING.md allows, always as "folder/file.h"."""
    layers = read_layers()
    for path in c_files("src"):
        folder = path.relative_to(ROOT / "src").parts[0]
        if folder not in layers:
            yield f"{name_of(path)}:1: folder '{folder}' is not in CONTRIBUTING.md's table of layers"
            continue
        for number, line in enumerate(path.read_text().splitlines(), 1):
            match = re.match(r'\s*#\s*include\s+"([^"]+)"', line)
            if not match:
                continue
            target, _, rest = match[1].partition("/")
            if not rest:
                yield f'{name_of(path)}:{number}: write "folder/{target}"'
            elif target not in layers and target != "heddle":
                yield f"{name_of(path)}:{number}: '{target}' is not a folder of src"
            elif target not in (folder, "heddle") and layers[folder] is not None and target not in layers[folder]:
                yield f"{name_of(path)}:{number}: '{folder}' may not include '{target}' ({match[1]})"
    for path in c_files("examples"):
        for number, line in enumerate(path.read_text().splitlines(), 1):
            match = re.match(r'\s*#\s*include\s+"([^"]+)"', line)
            if match:
                yield f'{name_of(path)}:{number}: an example sees <heddle/heddle.h> only, not "{match[1]}"'


def check_names(_build):
    """File names are unique in src, so that a name alone says which file is meant."""
    seen = {}
    for path in c_files("src"):
        other = seen.setdefault(path.name, path)
        if other != path:
            yield f"{name_of(path)}:1: {name_of(other)} has the same name"


HEAP = "malloc calloc realloc reallocarray free aligned_alloc posix_memalign memalign valloc strdup strndup asprintf vasprintf " \
       "getline getdelim open_memstream alloca"
UNBOUNDED = "strcpy stpcpy strcat sprintf vsprintf gets strtok scanf"
UNCHECKED = "atoi atol atoll atof system popen signal"
PROCESS = "exit _exit _Exit quick_exit abort printf puts putchar perror fprintf vfprintf fputs"
EXEMPT = {
    "src/base/alloc.c": (HEAP + " abort fprintf").split(),  # the door to the heap; its guard reports bugs
    "src/base/log.c": ["fprintf"],                          # the log's default sink
}


def check_libc(_build):
    """Outside base/alloc.c nobody touches the heap; no unbounded calls; only the CLI prints and exits."""
    for path in c_files("src"):
        in_cli = path.is_relative_to(ROOT / "src" / "cli")
        banned = f"{HEAP} {UNBOUNDED} {UNCHECKED}".split() + ([] if in_cli else PROCESS.split())
        banned = [word for word in banned if word not in EXEMPT.get(name_of(path), [])]
        call = re.compile(r"(?<![\w.>])(" + "|".join(banned) + r")\s*\(")
        for number, line in enumerate(without_comments_and_strings(path.read_text()).splitlines(), 1):
            for match in call.finditer(line):
                yield f"{name_of(path)}:{number}: {match[1]}() is not called here"


def check_size(_build):
    """Files and functions of a size that fits a head. Kernels, whose loops are written out, and tables are exempt."""
    for path in c_files("src", "include"):
        if path.is_relative_to(ROOT / "src" / "kernel") or path.stem.endswith("_table"):
            continue
        lines = path.read_text().splitlines()
        if len(lines) > MAX_FILE_LINES:
            yield f"{name_of(path)}:1: {len(lines)} lines, the limit is {MAX_FILE_LINES}"
        start = None
        for number, line in enumerate(lines, 1):
            if line.startswith("{"):
                start = number
            elif line.startswith("}") and start is not None:
                if number - start - 1 > MAX_FUNCTION_LINES:
                    yield f"{name_of(path)}:{start}: function of {number - start - 1} lines, the limit is {MAX_FUNCTION_LINES}"
                start = None


def check_style(_build):
    """No tabs, trailing blanks, carriage returns or overlong lines."""
    folders = c_files("src", "include", "tests", "examples", "plugins")
    for path in [*folders, *sorted((ROOT / "plugins").rglob("*.cu")), *sorted((ROOT / "tools").glob("*"))]:
        if not path.is_file():
            continue
        text = path.read_bytes().decode("utf-8", "replace")
        if text and not text.endswith("\n"):
            yield f"{name_of(path)}:{text.count(chr(10)) + 1}: no newline at the end"
        for number, line in enumerate(text.split("\n"), 1):
            if "\t" in line or "\r" in line or line != line.rstrip():
                yield f"{name_of(path)}:{number}: tab, carriage return or trailing blank"
            if len(line) > MAX_COLUMNS and path.suffix in (".c", ".h", ".cu") and not path.stem.endswith("_table"):
                yield f"{name_of(path)}:{number}: {len(line)} columns, the limit is {MAX_COLUMNS}"


# --- the compiled code --------------------------------------------------------------------------------------

def compile_commands(build):
    path = build / "compile_commands.json"
    if not path.exists():
        raise CannotCheck(f"{path} does not exist: give --build")
    return json.loads(path.read_text())


def compiler_of(entry):
    """The compiler of one of them, and what it is told about its language, its machine, and where headers are."""
    words = shlex.split(entry["command"])
    kept = [w for w in words[1:] if w.startswith(("-I", "-D", "-m", "-std", "-W"))]
    return words[0], kept + [x for w, x in zip(words, words[1:]) if w == "-isystem" for x in (w, x)]


def isa_suffixes():
    """The file name endings that hd_isa.cmake compiles for an instruction set of their own."""
    match = re.search(r"foreach\(isa ([\w ]+)\)", (ROOT / "cmake" / "hd_isa.cmake").read_text())
    if not match:
        raise CannotCheck("cmake/hd_isa.cmake: the list of instruction sets is not where it was")
    return match[1].split()


def check_headers(build):
    """Each header compiles alone, the public one also as C99 and as C++."""
    flags = {}
    for entry in compile_commands(build):
        source = Path(entry["file"])
        compiler, kept = compiler_of(entry)
        if source.is_relative_to(ROOT / "src"):
            for where in ((source.parent, source.stem.rpartition("_")[2]), (source.parent, ""), ""):
                flags.setdefault(where, (compiler, kept))
    if not flags:
        raise CannotCheck("compile_commands.json names no file of src")
    public = list(c_files("include"))
    headers = [p for p in c_files("src") if p.suffix == ".h" and not p.stem.endswith("_tmpl")]  # templates are bodies
    jobs = [(command, path) for path in headers if (command := header_command(flags, path)) is not None]
    strict = ["-Wall", "-Wextra", "-Wpedantic", "-Werror"]
    jobs += [(["cc", "-std=c99", *strict, "-x", "c"], path) for path in public]
    jobs += [(["c++", "-std=c++11", *strict, "-x", "c++"], path) for path in public]
    with tempfile.TemporaryDirectory() as folder:
        for command, path in jobs:
            unit = Path(folder) / "unit.c"
            unit.write_text(f'#include "{path}"\n#include "{path}"\ntypedef int not_empty;\n')
            done = run([*command, "-I", str(ROOT / "src"), "-I", str(ROOT / "include"), "-fsyntax-only", str(unit)])
            if done.returncode != 0:
                first = next((l for l in done.stderr.splitlines() if "error" in l), done.stderr.strip())
                yield f"{name_of(path)}:1: does not compile alone as {command[-1]}: {first}"


def header_command(flags, path):
    """The compiler and flags for a header: those of its folder's sources with the same ending ("_avx2"), or of any of them.
    None for an instruction set of another machine, whose sources are compiled without any -m flag."""
    ending = path.stem.rpartition("_")[2] if "_" in path.stem else ""
    compiler, words = next(flags[w] for w in ((path.parent, ending), (path.parent, ""), "") if w in flags)
    if ending in isa_suffixes() and not any(w.startswith("-m") for w in words):
        return None
    return [compiler, *words, "-Wno-unused-function", "-Wno-unused-const-variable", "-x", "c"]


def check_clang(build):
    """What is compiled by GCC here is C to Clang as well, which builds the fuzzers."""
    if shutil.which("clang") is None:
        print("clang: SKIP: it is not installed (tools/setup.sh fuzz)")
        return
    for entry in compile_commands(build):
        source = Path(entry["file"])
        if not source.is_relative_to(ROOT / "src"):
            continue
        done = run(["clang", *compiler_of(entry)[1], "-w", "-fsyntax-only", str(source)])
        for line in done.stderr.splitlines():
            if found := re.match(r"(.+?):(\d+):\d+: (?:fatal )?error: (.+)", line):
                yield f"{name_of(Path(found[1]))}:{found[2]}: {found[3]}"


def archives(build):
    found = sorted(build.glob("libhd_*.a"))
    if not found:
        raise CannotCheck(f"{build} holds no libhd_*.a")
    return found


def check_symbols(build):
    """Every global symbol of ours begins with hd_, hd__ or k_."""
    for archive in archives(build):
        for line in run(["nm", "-g", "--defined-only", str(archive)]).stdout.splitlines():
            fields = line.split()
            if len(fields) == 3 and not re.match(r"(hd_|k_)", fields[2]):
                yield f"{archive.name}: global symbol {fields[2]} has no hd_, hd__ or k_ in front"


def check_exports(build):
    """libheddle.so shows exactly the functions of the public headers."""
    library = build / "libheddle.so"
    if not library.exists():
        raise CannotCheck(f"{library} does not exist")
    headers = "".join(without_comments_and_strings(path.read_text()) for path in c_files("include"))
    declared = set(re.findall(r"HD_API[^;]*?\b(hd_\w+)\s*\(", headers))
    listed = run(["nm", "-D", "--defined-only", str(library)]).stdout.splitlines()
    exported = {line.split()[-1] for line in listed}
    for name in sorted(declared - exported):
        yield f"libheddle.so: {name} is declared in a public header and not exported"
    for name in sorted(exported - declared):
        yield f"libheddle.so: {name} is exported and not declared in a public header"


def check_isa(build):
    """Files without an instruction set in their name hold no AVX, AVX-512 or AMX instruction."""
    objects = "|".join(isa_suffixes())
    for archive in archives(build):
        done = run(["objdump", "-d", "--no-show-raw-insn", str(archive)])
        if "x86-64" not in done.stdout:
            continue
        member, function, reported = "", "", set()
        for line in done.stdout.splitlines():
            if ":     file format" in line:
                member = line.split(":")[0]
            elif line.endswith(">:"):
                function = line.split("<")[-1][:-2]
            elif re.search(rf"_({objects})\.c\.o$", member):
                continue
            elif re.search(r"%[yzt]mm|\tv\w+ .*%xmm", line) and (member, function) not in reported:
                reported.add((member, function))
                yield f"{archive.name}: {member}: {function}: {line.split(chr(9), 1)[-1].strip()}"


CHECKS = {f.__name__.removeprefix("check_"): f for f in (
    check_includes, check_names, check_libc, check_size, check_style, check_headers, check_clang, check_symbols, check_exports,
    check_isa)}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", type=Path, default=ROOT / "build", help="build folder (default: build)")
    parser.add_argument("checks", nargs="*", metavar="CHECK", help=", ".join(CHECKS))
    args = parser.parse_args()
    n_findings = 0
    for name in args.checks or CHECKS:
        if name not in CHECKS:
            parser.error(f"no check named '{name}'; there are {', '.join(CHECKS)}")
        try:
            for finding in CHECKS[name](args.build):
                print(f"{finding} [{name}]")
                n_findings += 1
        except CannotCheck as error:
            print(f"{name}: cannot check: {error}", file=sys.stderr)
            return 2
    return 1 if n_findings else 0


if __name__ == "__main__":
    sys.exit(main())
