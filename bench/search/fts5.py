#!/usr/bin/env python3
"""What SQLite's FTS5 takes to rank the answers to questions in natural language: why words have an index of their own.

    bench/search/fts5.py make FILE [--chunks N]     N chunks of 60 words with the frequencies of language (Zipf)
    bench/search/fts5.py ask FILE [--questions N]   p50 and p99, in ms of the processor, of questions of 8 words, any of which may be there

FTS5 scores every row that matches before it knows the best (ORDER BY rank), and a question's common words match most rows.
The same text for Heddle: `bench/search/fts5.py jsonl FILE`, then `heddle db import --db INDEX FILE`.
"""

import argparse
import json
import random
import sqlite3
import statistics
import time

WORDS, LENGTH = 50000, 60


def vocabulary():
    """Words, and the cumulative weights with which they come: 1 / rank."""
    total, weights = 0.0, []
    for rank in range(1, WORDS + 1):
        total += 1 / rank
        weights.append(total)
    return [f"w{i:x}" for i in range(WORDS)], weights


def chunks(n):
    words, weights = vocabulary()
    choose = random.Random(1)
    for _ in range(n):
        yield " ".join(choose.choices(words, cum_weights=weights, k=LENGTH))


def questions(n):
    """Half of a question is function words, as in language; the others are of any rank."""
    words, _ = vocabulary()
    choose = random.Random(2)
    for _ in range(n):
        yield [*(words[choose.randrange(40)] for _ in range(4)), *(words[int(100 * 500 ** choose.random())] for _ in range(4))]


def make(path, n):
    with sqlite3.connect(path) as db:
        db.execute("CREATE VIRTUAL TABLE t USING fts5(text, content='', tokenize='unicode61')")
        db.executemany("INSERT INTO t(text) VALUES(?)", ((text,) for text in chunks(n)))
        db.execute("INSERT INTO t(t) VALUES('optimize')")


def ask(path, n):
    db = sqlite3.connect(path)
    rows = db.execute("SELECT count(*) FROM t_docsize").fetchone()[0]
    for how, select in (("ranked", "SELECT rowid FROM t WHERE t MATCH ? ORDER BY rank LIMIT 100"),
                        ("counted alone", "SELECT count(*) FROM t WHERE t MATCH ?")):
        took = []
        for question in questions(n):
            start = time.process_time()
            db.execute(select, (" OR ".join(f'"{word}"' for word in question),)).fetchall()
            took.append(1000 * (time.process_time() - start))
        took.sort()
        print(f"FTS5, {rows} chunks, {n} questions, {how}: p50 {statistics.median(took):.0f} ms, p99 {took[int(0.99 * n)]:.0f} ms")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("action", choices=["make", "ask", "jsonl"])
    parser.add_argument("file")
    parser.add_argument("--chunks", type=int, default=500000)
    parser.add_argument("--questions", type=int, default=50)
    args = parser.parse_args()
    if args.action == "make":
        make(args.file, args.chunks)
    elif args.action == "ask":
        ask(args.file, args.questions)
    else:
        with open(args.file, "w", encoding="utf-8") as out:
            out.write(json.dumps({"heddle": "index", "version": 1, "with_vectors": False}) + "\n")
            for i, text in enumerate(chunks(args.chunks)):
                out.write(json.dumps({"id": str(i), "chunks": [{"text": text}]}) + "\n")


if __name__ == "__main__":
    main()
