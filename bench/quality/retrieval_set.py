#!/usr/bin/env python3
"""Makes a retrieval set from real documents, in BEIR's files: corpus.jsonl, queries.jsonl, qrels/test.tsv.

    retrieval_set.py debian|python OUT_DIR

debian: the packages of the main section of this machine's Debian release. A passage is a package's long description, its
query the one-line synopsis, which is not a part of the passage. One package stands for all that are built from one source,
since those share most of their text. Package lists and descriptions are fetched by apt-get into OUT_DIR, so the
machine's own lists stay as they are.

python: Python's standard library as it is installed. A passage is what a documentation string says after its first
sentence, which is the query.

In both, each query has one relevant passage. Left out are passages most of whose phrases (five words in a row) stand in
earlier ones, queries that occur twice or are too short to say anything, and queries found word for word in their passage. The
choice and the order depend on hashes of names, so the same texts give the same files; SHA-256 sums are printed, and the
descriptions are the packages' own, under their licences: they are made anew, never handed on.
"""

import ast
import hashlib
import json
import re
import subprocess
import sys
import sysconfig
from pathlib import Path

DEBIAN_PASSAGES, DEBIAN_QUERIES = 20000, 2500
MIN_PASSAGE, MAX_DEBIAN, MAX_PYTHON = 100, 800, 2000 # characters; what is longer is cut
MIN_QUERY_WORDS, MAX_QUERY = 4, 250
PHRASE_WORDS, MAX_SHARED = 5, 0.5


def one_line(text):
    return " ".join(text.split())


def words_of(text):
    return re.findall(r"\w+", text.lower())


def name_hash(name):
    return hashlib.sha256(name.encode()).hexdigest()


# ---- documents: (name, query, passage) ----

def apt_lists(folder):
    """Paths of this release's package lists and descriptions, as apt keeps them."""
    folder = folder.resolve()
    (folder / "lists" / "partial").mkdir(parents=True, exist_ok=True)
    (folder / "cache" / "archives" / "partial").mkdir(parents=True, exist_ok=True)
    settings = ["-o", f"Dir::State::lists={folder}/lists", "-o", f"Dir::Cache={folder}/cache", "-o", "Acquire::Languages=en",
                "-o", "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false", "-o", "Debug::NoLocking=1"]
    subprocess.run(["apt-get", "-qq", *settings, "update"], check=True)
    listed = subprocess.run(["apt-get", *settings, "indextargets", "--format", "$(CREATED_BY)|$(CODENAME)|$(COMPONENT)|$(FILENAME)"],
                            check=True, capture_output=True, text=True).stdout
    release = re.search(r"^VERSION_CODENAME=(\w+)", Path("/etc/os-release").read_text(), re.MULTILINE).group(1)
    found = {kind: path for kind, codename, component, path in (line.split("|") for line in listed.splitlines())
             if codename == release and component == "main"}
    if "Packages" not in found or "Translations" not in found:
        sys.exit(f"retrieval_set: apt knows no package lists of {release}/main")
    return found["Packages"], found["Translations"]


def stanzas(path):
    """Paragraphs of "Field: value" lines; lines that go on keep their newlines."""
    text = subprocess.run(["/usr/lib/apt/apt-helper", "cat-file", path], check=True, capture_output=True).stdout
    for paragraph in text.decode("utf-8", "replace").split("\n\n"):
        fields = dict(re.findall(r"^([\w-]+): ?((?:.*)(?:\n[ \t].*)*)", paragraph, re.MULTILINE))
        if "Package" in fields:
            yield fields


def debian_documents(folder):
    packages_path, translations_path = apt_lists(folder)
    source_of = {f["Package"]: f.get("Source", f["Package"]).split()[0] for f in stanzas(packages_path)}
    by_source = {}
    for fields in stanzas(translations_path):
        name = fields["Package"]
        if name in source_of:
            synopsis, _, description = fields["Description-en"].partition("\n")
            by_source.setdefault(source_of[name], {})[name] = (one_line(synopsis), one_line(description.replace("\n .\n", "\n")))
    for source, packages in by_source.items():
        name = source if source in packages else min(packages, key=lambda n: (len(n), n))
        yield name, *packages[name]


def first_sentence(docstring):
    """The first paragraph and the others; or the first sentence and the rest, where there is one paragraph only."""
    first, *others = re.split(r"\n\s*\n", docstring.strip())
    if others:
        return one_line(first), one_line(" ".join(others))
    match = re.match(r"(.+?[.])\s+(?=[A-Z])(.*)", one_line(first))
    return match.groups() if match else (one_line(first), "")


def python_documents(_):
    library = Path(sysconfig.get_paths()["stdlib"])
    left_out = {"test", "tests", "dist-packages", "site-packages", "idlelib", "lib2to3", "__pycache__"}
    for path in sorted(library.rglob("*.py")):
        parts = path.relative_to(library).with_suffix("").parts
        if left_out.intersection(parts):
            continue
        try:
            tree = ast.parse(path.read_bytes())
        except SyntaxError: # a template, or a file that is wrong on purpose
            continue
        for node in ast.walk(tree):
            if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
                docstring = ast.get_docstring(node)
                if docstring:
                    name = f"{'.'.join(parts)}:{getattr(node, 'name', '')}:{getattr(node, 'lineno', 0)}"
                    yield name, *first_sentence(docstring)


# ---- the set ----

def without_near_duplicates(documents):
    seen = set()
    for name, query, passage in documents:
        words = words_of(passage)
        phrases = {hash(tuple(words[i:i + PHRASE_WORDS])) for i in range(max(1, len(words) - PHRASE_WORDS + 1))}
        if len(phrases & seen) <= MAX_SHARED * len(phrases):
            seen |= phrases
            yield name, query, passage


def usable_queries(documents):
    """Names of documents whose query can only mean them."""
    times = {}
    for _, query, _ in documents:
        key = tuple(words_of(query))
        times[key] = times.get(key, 0) + 1
    for name, query, passage in documents:
        words = words_of(query)
        if (len(words) >= MIN_QUERY_WORDS and len(query) <= MAX_QUERY and times[tuple(words)] == 1 and
                " ".join(words) not in " ".join(words_of(passage))):
            yield name


def write_jsonl(path, rows):
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def make(which, out):
    find, longest, n_passages, n_queries = {"debian": (debian_documents, MAX_DEBIAN, DEBIAN_PASSAGES, DEBIAN_QUERIES),
                                            "python": (python_documents, MAX_PYTHON, None, None)}[which]
    out.mkdir(parents=True, exist_ok=True)
    found = [(name, query, passage[:longest]) for name, query, passage in find(out / "apt") if len(passage) >= MIN_PASSAGE]
    found.sort(key=lambda document: name_hash(document[0]))
    documents = list(without_near_duplicates(found))[:n_passages]
    asked = set(list(usable_queries(documents))[:n_queries])
    queries = [(f"q{i}", name, query) for i, (name, query, _) in enumerate(documents) if name in asked]
    write_jsonl(out / "corpus.jsonl", ({"_id": name, "title": "", "text": passage} for name, _, passage in documents))
    write_jsonl(out / "queries.jsonl", ({"_id": id, "text": query} for id, _, query in queries))
    (out / "qrels").mkdir(exist_ok=True)
    (out / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\n" + "".join(f"{id}\t{name}\t1\n" for id, name, _ in queries))
    print(f"{which}: {len(queries)} queries, {len(documents)} passages of {len(found)} before near-duplicates were left out")
    for name in ("corpus.jsonl", "queries.jsonl", "qrels/test.tsv"):
        print(f"  {hashlib.sha256((out / name).read_bytes()).hexdigest()}  {name}")


if __name__ == "__main__":
    if len(sys.argv) != 3 or sys.argv[1] not in ("debian", "python"):
        sys.exit(__doc__)
    make(sys.argv[1], Path(sys.argv[2]))
