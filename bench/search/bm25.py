#!/usr/bin/env python3
"""Heddle's words beside SQLite's FTS5, Tantivy and bm25s, for bench/search/bm25.sh.

    bm25.py index NAME WORK HEDDLE         one engine's index of WORK/texts.txt
    bm25.py search WORK HEDDLE             WORK/queries.txt against all indexes that are there; prints a table

One thread each, English stems, no stop words, no stored text. A query is any of its words, ranked by BM25; bm25s, FTS5 and
Tantivy get the words with all signs taken out. FTS5 is asked fewer queries, since each takes long. All times are of the
processor, which other programs on the machine change least; searches run on the calling thread in all of them.
"""

import json
import re
import resource
import shutil
import sqlite3
import statistics
import subprocess
import sys
import time
from pathlib import Path

COMMIT, TOP, ROUNDS, FTS5_QUERIES = 5000, (10, 100), 3, 10


def lines_of(path):
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            yield line.rstrip("\n")


def words_of(text):
    return re.findall(r"\w+", text.lower())


def bytes_below(path):
    path = Path(path)
    return sum(p.stat().st_size for p in path.rglob("*") if p.is_file()) if path.is_dir() else path.stat().st_size


def percentile(values, share):
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


# ---- engines: index(work, heddle) -> None; open(work) -> search(query, k) -> ids --------------------

def index_heddle(work, heddle):
    for old in work.glob("heddle*"):
        old.unlink()
    subprocess.run([heddle, "index", work / "heddle.db", work / "texts.txt", str(COMMIT)], check=True,
                   stdout=(work / "heddle.json").open("w"))


def index_fts5(work, _):
    (work / "fts5.db").unlink(missing_ok=True)
    db = sqlite3.connect(work / "fts5.db", isolation_level=None)
    db.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;"
                     "CREATE VIRTUAL TABLE words USING fts5(text, content='', tokenize='porter unicode61'); BEGIN")
    for n, text in enumerate(lines_of(work / "texts.txt"), 1):
        db.execute("INSERT INTO words (rowid, text) VALUES (?, ?)", (n, text))
        if n % COMMIT == 0:
            db.execute("COMMIT")
            db.execute("BEGIN")
    db.execute("COMMIT")
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def open_fts5(work):
    db = sqlite3.connect(work / "fts5.db")

    def search(query, k):
        match = " OR ".join(f'"{word}"' for word in words_of(query))
        return [n - 1 for n, in db.execute("SELECT rowid FROM words WHERE words MATCH ? ORDER BY rank LIMIT ?", (match, k))]
    return search


def index_tantivy(work, _):
    import tantivy
    shutil.rmtree(work / "tantivy", ignore_errors=True)
    (work / "tantivy").mkdir()
    schema = (tantivy.SchemaBuilder().add_integer_field("n", stored=True)
              .add_text_field("text", tokenizer_name="en_stem").build())
    writer = tantivy.Index(schema, path=str(work / "tantivy")).writer(heap_size=256 << 20, num_threads=1)
    for n, text in enumerate(lines_of(work / "texts.txt")):
        writer.add_document(tantivy.Document(n=n, text=text))
    writer.commit()
    writer.wait_merging_threads()


def open_tantivy(work):
    import tantivy
    index = tantivy.Index.open(str(work / "tantivy"))
    searcher = index.searcher()

    def search(query, k):
        parsed = index.parse_query(" ".join(words_of(query)), ["text"])
        return [searcher.doc(address)["n"][0] for _, address in searcher.search(parsed, k).hits]
    return search


def index_bm25s(work, _):
    import bm25s
    index = bm25s.BM25(method="lucene", k1=1.2, b=0.75)
    index.index(bm25s.tokenize(list(lines_of(work / "texts.txt")), stopwords=None, show_progress=False), show_progress=False)
    index.save(work / "bm25s")


def open_bm25s(work):
    import bm25s
    index = bm25s.BM25.load(work / "bm25s")

    def search(query, k):
        tokens = bm25s.tokenize([query], stopwords=None, show_progress=False)
        return index.retrieve(tokens, k=k, show_progress=False).documents[0].tolist()
    return search


ENGINES = {"heddle": ("Heddle", index_heddle, None, "heddle.db"), "fts5": ("SQLite FTS5", index_fts5, open_fts5, "fts5.db"),
           "tantivy": ("Tantivy", index_tantivy, open_tantivy, "tantivy"), "bm25s": ("bm25s", index_bm25s, open_bm25s, "bm25s")}


# ---- the comparison ------------------------------------------------------------------------------

def run_index(name, work, heddle):
    ENGINES[name][1](work, heddle)
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    seconds = sum(u.ru_utime + u.ru_stime for u in used)
    (work / f"{name}.index").write_text(json.dumps({"cpu_s": seconds, "bytes": bytes_below(work / ENGINES[name][3])}))


def search_heddle(work, heddle, k):
    out = subprocess.run([heddle, "search", work / "heddle.db", work / "queries.txt", str(k)], check=True, capture_output=True)
    found = json.loads(out.stdout)
    return found["p50_ms"], found["p99_ms"], found["top"]


def search_peer(search, queries, k, rounds):
    top = [search(query, k) for query in queries] if rounds > 1 else []
    ms = []
    for _ in range(rounds):
        for query in queries:
            begin = time.thread_time()
            found = search(query, k)
            ms.append((time.thread_time() - begin) * 1e3)
            if rounds == 1:
                top.append(found)
    return statistics.median(ms), percentile(ms, 0.99), top


def overlap(a, b):
    shared = [len(set(x[:10]) & set(y[:10])) / max(1, len(y[:10])) for x, y in zip(a, b)]
    return statistics.mean(shared)


def run_search(work, heddle):
    queries = list(lines_of(work / "queries.txt"))
    print("| engine | k | p50 ms | p99 ms | top 10 shared with Heddle | index, CPU s | index, MB |\n|---|---|---|---|---|---|---|")
    for k in TOP:
        p50, p99, ours = search_heddle(work, heddle, k)
        rows = [("heddle", p50, p99, ours)]
        for name in ("tantivy", "fts5", "bm25s"):
            if (work / f"{name}.index").exists():
                few = name == "fts5"
                rows.append((name, *search_peer(ENGINES[name][2](work), queries[:FTS5_QUERIES] if few else queries, k,
                                                1 if few else ROUNDS)))
        for name, p50, p99, top in rows:
            built = json.loads((work / f"{name}.index").read_text())
            print(f"| {ENGINES[name][0]} | {k} | {p50:.2f} | {p99:.2f} | {overlap(top, ours):.0%} | {built['cpu_s']:.0f} | "
                  f"{built['bytes'] / 1e6:.0f} |", flush=True)


def main(argv):
    if len(argv) == 5 and argv[1] == "index":
        run_index(argv[2], Path(argv[3]), argv[4])
    elif len(argv) == 4 and argv[1] == "search":
        run_search(Path(argv[2]), argv[3])
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main(sys.argv)
