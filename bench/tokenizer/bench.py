#!/usr/bin/env python3
"""Heddle's tokenizer against the Hugging Face `tokenizers` library (Rust), one thread each, same texts, same ids.

    pip install tokenizers==0.23.3
    bench/tokenizer/bench.py DRIVER MODEL_DIR [--seconds 2] [--quick] [--no-save]

DRIVER is the program of tokenize_lines.c. Rounds of the two alternate and the fastest of each counts, of the library, whose
passes take longer, in CPU time. The table goes to bench/results too. The library is given whole batches and asked for ids only where that is faster (encode_batch_fast), so
that Python has as little part in its time as can be.

  queries     30 tokens                       paragraphs  65 tokens in the mean
  chunks      250 tokens                      prose       1 MB of Python's own documentation as one text
  scripts     the texts of tests/golden, most of which are not English
  cut         the same 1 MB with a limit of 256 tokens (the library tokenises up to there, but normalises all of it)
"""
import argparse
import datetime
import importlib.metadata
import json
import os
import pathlib
import pydoc_data.topics
import subprocess
import sys
import time

os.environ["TOKENIZERS_PARALLELISM"] = "false"
from tokenizers import Tokenizer  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "bench" / "peers"))
import bench  # noqa: E402  (bench/peers/bench.py)
import texts  # noqa: E402

FLOORS = {"WordPiece": 10, "Unigram": 5, "BPE": 5}  # what has been promised


def cases():
    documentation = "\n".join(pydoc_data.topics.topics[k] for k in sorted(pydoc_data.topics.topics))
    prose = (documentation * 3)[:1000000]
    with open(ROOT / "tests" / "golden" / "texts.jsonl") as f:
        golden = [json.loads(line)["text"] for line in f]
    yield "queries", [texts.QUERY] * 2000, 0
    yield "paragraphs", list(texts.short_texts(2000)), 0
    yield "chunks", list(texts.long_texts(400)), 0
    yield "prose", [prose], 0
    yield "scripts", golden, 0
    yield "cut", [prose], 256


def ours(driver, folder, data, max_length, seconds):
    command = [driver, folder, "--bench", str(seconds)] + (["--max-length", str(max_length)] if max_length else [])
    n_ids, n_bytes, best = subprocess.run(command, input=data, stdout=subprocess.PIPE, check=True).stdout.split()
    return int(n_ids), int(n_bytes), float(best)


def theirs(tokenizer, batch, seconds):
    best, start = float("inf"), time.perf_counter()
    while time.perf_counter() - start < seconds:
        for encode in (tokenizer.encode_batch_fast, tokenizer.encode_batch):
            begin = time.thread_time()
            encode(batch)
            best = min(best, time.thread_time() - begin)
    return best


def measure(args, tokenizer, batch, max_length):
    """Ids and bytes of the batch, the best seconds of both."""
    tokenizer.no_truncation()
    if max_length:
        tokenizer.enable_truncation(max_length)
    data = b"".join(b"%d\n%s" % (len(b), b) for b in (t.encode("utf-8") for t in batch))
    best_ours, best_theirs = float("inf"), float("inf")
    for _ in range(3):
        n_ids, n_bytes, best = ours(args.driver, args.model_dir, data, max_length, args.seconds / 3)
        best_ours = min(best_ours, best)
        best_theirs = min(best_theirs, theirs(tokenizer, batch, args.seconds / 3))
    assert n_ids == sum(len(e.ids) for e in tokenizer.encode_batch(batch))
    return {"ids": n_ids, "bytes": n_bytes, "heddle_s": best_ours, "library_s": best_theirs,
            "ratio": best_theirs / best_ours}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("driver")
    parser.add_argument("model_dir")
    parser.add_argument("--seconds", type=float, default=2, help="for each case and side [2]")
    parser.add_argument("--quick", action="store_true", help="half a second")
    parser.add_argument("--no-save", action="store_true", help="print, but write nothing into bench/results")
    args = parser.parse_args()
    args.seconds = 0.5 if args.quick else args.seconds
    tokenizer = Tokenizer.from_file(os.path.join(args.model_dir, "tokenizer.json"))
    tokenizer.no_padding()
    kind, info = type(tokenizer.model).__name__, bench.machine(1)
    floor = FLOORS[kind]
    rows = [{"case": name, **measure(args, tokenizer, batch, max_length)} for name, batch, max_length in cases()]
    table = bench.markdown_table(["", "ids", "Heddle ns/id", "MB/s", "library ns/id", "MB/s", f"ratio, floor {floor}", ""], [
        [r["case"], str(r["ids"]), *(cell for side in ("heddle_s", "library_s") for cell in (
            f"{r[side] / r['ids'] * 1e9:.1f}", f"{r['bytes'] / r[side] / 1e6:.0f}")), f"{r['ratio']:.1f}",
         "met" if r["ratio"] >= floor else "NOT met"] for r in rows])
    text = (f"# Tokenizer: {kind}, {tokenizer.get_vocab_size()} tokens, {datetime.date.today()}\n\n{info['cpu']} "
            f"(family/model/stepping {info['family_model_stepping']}), one thread, tokenizers {importlib.metadata.version('tokenizers')}. "
            f"Best of {args.seconds} s each, in turns; load average {os.getloadavg()[0]:.1f}.\n\n{table}\n")
    print(text)
    if not args.no_save:
        name = ["tokenizer", kind.lower(), bench.slug(info), "quick" if args.quick else ""]
        bench.keep(ROOT / "bench" / "results", name, text, {
            "date": str(datetime.date.today()), "machine": info, "floor": floor, "rows": rows})


main()
