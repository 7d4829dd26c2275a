#!/usr/bin/env python3
"""Heddle beside the stacks that people glue together: documents in, answers out. run.sh calls this.

    compare.py --build DIR --tools DIR --model DIR --documents DIR --set DIR --results DIR
               [--queries N] [--only NAMES] [--task folder|passages]

Two tasks. "folder": files in (HTML, Markdown, text), each stack parses and cuts them as it does. "passages": a retrieval
set's passages, cut by Heddle where the model would not read them to their end and the same pieces for all, with queries and
judgements, so that what is found can be compared as well. A stack's ingest
is timed from the first byte read to the index on the disk, with the model already loaded; Heddle's is its program from
start to exit. Heddle runs before and after each stack, and a ratio is to the mean of the two, so that a slow minute of the
machine hits both.
"""

import argparse
import datetime
import fnmatch
import json
import math
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "peers"))
import bench  # noqa: E402

STACKS = (("glued", "ONNX Runtime int8 + sqlite-vec + FTS5", "int8"), ("chroma-onnx", "Chroma, its ONNX f32", "auto"),
          ("langchain-chroma", "LangChain + Chroma, f32", "auto"), ("txtai", "txtai, f32", "auto"),
          ("lancedb", "LanceDB + sentence-transformers, f32", "auto"))
DTYPES = ("int8", "auto")
TASKS = ("folder", "passages")
SPAWN = [sys.executable, "-I", "-S", str(HERE.parent / "peers" / "spawn.py")]
OFFLINE = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error", "ANONYMIZED_TELEMETRY": "False", "RUST_LOG": "error",
           "HF_HUB_DISABLE_PROGRESS_BARS": "1"}


def say(text):
    print(f"compare: {text}", file=sys.stderr, flush=True)


def ndcg(hits, relevant):
    """nDCG@10 as trec_eval's, in the mean over the queries; a passage that was cut counts once, at its best chunk."""
    def of(found, judged):
        found = list(dict.fromkeys(hit.split("#")[0] for hit in found))
        gained = sum(judged.get(d, 0) / math.log2(i + 2) for i, d in enumerate(found[:10]))
        return gained / sum(g / math.log2(i + 2) for i, g in enumerate(sorted(judged.values(), reverse=True)[:10]))
    return statistics.mean(of(found, judged) for found, judged in zip(hits, relevant))


def percentile(values, share):
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


class Comparison:
    def __init__(self, args, folder):
        self.args, self.folder = args, folder
        self.rows = {}  # (task, name) → figures
        self.n_files = sum(1 for p in args.documents.rglob("*") if p.is_file())
        self.prepare()

    def prepare(self):
        """The set's files as each side reads them."""
        read = lambda name: [json.loads(line) for line in (self.args.set / name).read_text().splitlines()]
        passages, queries = read("corpus.jsonl"), read("queries.jsonl")[:self.args.queries]
        judged = {}
        for line in (self.args.set / "qrels" / "test.tsv").read_text().splitlines()[1:]:
            query, passage, score = line.split("\t")
            judged.setdefault(query, {})[passage] = int(score)
        self.relevant = [judged[q["_id"]] for q in queries]
        self.n_passages = 0
        self.passages = self.pieces(passages)
        self.queries = self.folder / "queries.jsonl"
        self.queries.write_text("".join(json.dumps({"text": q["text"]}) + "\n" for q in queries))
        self.query_lines = self.folder / "queries.txt"
        self.query_lines.write_text("".join(" ".join(q["text"].split()) + "\n" for q in queries))

    def pieces(self, passages):
        """A file of {"id", "text"}: passages as Heddle cuts them. The id of a piece that is not the first ends in #N."""
        whole, cut = self.folder / "whole.jsonl", self.folder / "passages.jsonl"
        whole.write_text("".join(json.dumps({"id": p["_id"], "text": p["text"]}) + "\n" for p in passages))
        heddle, db = self.args.build / "heddle", self.folder / "cut.db"
        self.timed([heddle, "index", "--db", db, "-m", self.args.model, "--dtype", "int8", whole])
        with cut.open("w") as out:
            for document in map(json.loads, self.timed([heddle, "db", "export", "--db", db])[0].splitlines()[1:]):
                for i, chunk in enumerate(document["chunks"]):
                    row = {"id": document["id"] + (f"#{i}" if i else ""), "text": chunk["text"]}
                    out.write(json.dumps(row) + "\n")
                    self.n_passages += 1
        return cut

    def timed(self, line):
        """Runs a command: (its standard output, seconds, peak RSS in MB)."""
        done = subprocess.run([*SPAWN, *map(str, line)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        spent = json.loads(done.stderr.strip().splitlines()[-1])
        if spent["status"] != 0:
            raise RuntimeError(f"{line[:3]}: {done.stderr.strip().splitlines()[:-1][-1:]}")
        return done.stdout, spent["wall_s"], spent["peak_rss_mb"]

    def source(self, task):
        return self.args.documents if task == "folder" else self.passages

    def index(self, task, dtype):
        """One run of the program into a new file; its seconds."""
        db = self.folder / f"{task}-{dtype}.db"
        for path in self.folder.glob(db.name + "*"):
            path.unlink()
        _, wall, rss = self.timed([self.args.build / "heddle", "index", "--db", db, "-m", self.args.model, "--dtype", dtype,
                                   self.source(task)])
        row = self.rows.setdefault((task, f"heddle-{dtype}"), {"ingest_turns": []})
        row["ingest_turns"].append(wall)
        row.update(ingest_rss_mb=rss, disk_bytes=sum(p.stat().st_size for p in self.folder.glob(db.name + "*")))
        return wall

    def embed(self, dtype):
        """The bare engine on the same passages; its seconds."""
        _, wall, _ = self.timed([self.args.build / "heddle", "embed", "-m", self.args.model, "--dtype", dtype,
                                 "--output-format", "f32", "--input", self.passages, "-o", self.folder / "vectors.f32"])
        self.rows.setdefault(("passages", f"embed-{dtype}"), {"ingest_turns": []})["ingest_turns"].append(wall)

    def ask(self, task, dtype):
        row, db = self.rows[task, f"heddle-{dtype}"], self.folder / f"{task}-{dtype}.db"
        out, _, rss = self.timed([self.args.tools / "driver", "queries", dtype, 0, self.args.model, db, self.query_lines])
        found = json.loads(out)
        row.update(query_ms=found["total_ms"], hits=found["hits"], n_chunks=found["n_chunks"], peak_rss_mb=rss,
                   open_ms=found["open_ms"], first_ms=found["first_ms"], embed_ms=found["embed_ms"])
        row["program_ms"] = [1000 * self.timed([self.args.build / "heddle", "search", "--db", db, "-m", self.args.model, "--dtype",
                                                dtype, "--json", q])[1] for q in self.query_lines.read_text().splitlines()[:10]]

    def stack(self, task, name):
        """One stack's run; its seconds. Its folder goes at once."""
        db = self.folder / name
        kind = "--documents" if task == "folder" else "--chunks"
        line = [sys.executable, HERE / "stack.py", name, "--model", self.args.model, "--onnx", self.args.tools.parent,
                "--db", db, kind, self.source(task), "--queries", self.queries]
        done = subprocess.run(list(map(str, line)), capture_output=True, text=True, env={**os.environ, **OFFLINE})
        shutil.rmtree(db, ignore_errors=True)
        if done.returncode != 0:
            raise RuntimeError("; ".join(done.stderr.strip().splitlines()[-2:]))
        self.rows[task, name] = json.loads(done.stdout.strip().splitlines()[-1])
        return self.rows[task, name]["ingest_s"]

    def run(self, task, chosen):
        for dtype in DTYPES:
            self.index(task, dtype)  # packs the weights
            self.rows[task, f"heddle-{dtype}"]["ingest_turns"].clear()
        for name, label, dtype in chosen:
            try:
                before = self.index(task, dtype)
                took = self.stack(task, name)
                self.rows[task, name]["ratio"] = took / statistics.mean((before, self.index(task, dtype)))
                say(f"{task}: {label}: {took:.1f} s, {self.rows[task, name]['ratio']:.2f} × Heddle's ({dtype})")
            except RuntimeError as error:
                say(f"{task}: {label}: {error}")
                self.rows[task, name] = {"failure": str(error)}
        for dtype in DTYPES:
            for _ in range(3):
                self.index(task, dtype)
                if task == "passages":
                    self.embed(dtype)
            self.ask(task, dtype)


def cells(figures, n_documents, relevant):
    if "failure" in figures:
        return [figures["failure"][:60]] + [""] * 8
    seconds = statistics.median(figures["ingest_turns"]) if "ingest_turns" in figures else figures["ingest_s"]
    asked = figures["query_ms"]
    return [f"{n_documents / seconds:.1f}", f"{figures['n_chunks'] / seconds:.0f}",
            f"{figures['ratio']:.2f} ×" if "ratio" in figures else "", f"{figures['ingest_rss_mb']:.0f}",
            f"{figures['disk_bytes'] / 1e6:.1f}", f"{statistics.median(asked):.1f}", f"{percentile(asked, 0.99):.1f}",
            f"{100 * ndcg(figures['hits'], relevant):.2f}" if relevant else "", f"{figures['n_chunks']}"]


def table(comparison, task, chosen, info):
    labels = {**{f"heddle-{d}": f"Heddle, {d}" for d in DTYPES}, **{n: label for n, label, _ in chosen}}
    lines = [f"{info['cpu']}, {info['threads_used']} threads, {os.getloadavg()[0]:.1f} of load at the end; all-MiniLM-L6-v2. A ratio "
             "is of the ingest's time to Heddle's, int8 to int8, the others to what Heddle chooses by itself.", ""]
    n = comparison.n_files if task == "folder" else comparison.n_passages
    lines += [f"{task}: {n} documents", "",
              "| stack | docs/s | chunks/s | Heddle's lead | ingest RSS, MB | disk, MB | query p50, ms | p99, ms | nDCG@10 | chunks |",
              "|---|---|---|---|---|---|---|---|---|---|"]
    for name, label in labels.items():
        relevant = comparison.relevant if task == "passages" else None
        lines.append(f"| {label} | " + " | ".join(cells(comparison.rows[task, name], n, relevant)) + " |")
    lines.append("")
    for dtype in DTYPES:
        row = comparison.rows[task, f"heddle-{dtype}"]
        lines.append(f"- {dtype}: opening {row['open_ms']:.1f} ms, first search {row['first_ms']:.1f} ms, embedding "
                     f"{statistics.median(row['embed_ms']):.2f} ms of a query; the program `heddle search` from start to exit "
                     f"{statistics.median(row['program_ms']):.0f} ms.")
        if task == "passages":
            bare = comparison.rows[task, f"embed-{dtype}"]["ingest_turns"]
            turns = zip(row["ingest_turns"][-len(bare):], bare)
            lines.append(f"- {dtype}: {statistics.median(e / i for i, e in turns):.0%} of the docs/s of `heddle embed` on the same "
                         "passages, in the median turn.")
    return "\n".join(lines) + "\n"


def keep(comparison, task, chosen, info):
    text = table(comparison, task, chosen, info)
    print(text, flush=True)
    out = comparison.args.results / f"{datetime.date.today()}-{bench.slug(info)}-search-{task}"
    out.with_suffix(".md").write_text(text)
    rows = [{"name": name, **{k: v for k, v in row.items() if k != "hits"}}
            for (of, name), row in comparison.rows.items() if of == task]
    out.with_suffix(".json").write_text(json.dumps({"machine": info, "task": task, "rows": rows}, indent=1) + "\n")
    say(f"kept in {out}.md")


def main():
    parser = argparse.ArgumentParser()
    for name in ("build", "tools", "model", "documents", "set", "results"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--queries", type=int, default=500)
    parser.add_argument("--only", default="*")
    parser.add_argument("--task", choices=TASKS)
    args = parser.parse_args()
    chosen = [s for s in STACKS if any(fnmatch.fnmatch(s[0], p) for p in args.only.split(","))]
    info = bench.machine(os.cpu_count())
    args.results.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="heddle-search-", dir=args.tools) as folder:
        comparison = Comparison(args, Path(folder))
        for task in [args.task] if args.task else TASKS:
            comparison.run(task, chosen)
            keep(comparison, task, chosen, info)


if __name__ == "__main__":
    main()
