#!/usr/bin/env python3
"""Heddle's tokenizer against the Hugging Face `tokenizers` library (Rust), one thread each, same texts, same ids.

    pip install tokenizers==0.23.3
    bench/tokenizer/bench.py DRIVER MODEL_DIR [--seconds 2]

DRIVER is the program of tokenize_lines.c. Rounds of the two alternate and the fastest of each counts. The
library is given whole batches and asked for ids only where that is faster (encode_batch_fast), so that Python
has as little part in its time as can be.

  queries     30 tokens                       paragraphs  65 tokens in the mean
  chunks      250 tokens                      prose       1 MB of Python's own documentation as one text
  scripts     the texts of tests/golden, most of which are not English
  cut         the same 1 MB with a limit of 256 tokens (the library tokenises up to there, but normalises all of it)
"""
import argparse
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
import texts  # noqa: E402


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
            begin = time.perf_counter()
            encode(batch)
            best = min(best, time.perf_counter() - begin)
    return best


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("driver")
    parser.add_argument("model_dir")
    parser.add_argument("--seconds", type=float, default=2)
    args = parser.parse_args()
    tokenizer = Tokenizer.from_file(os.path.join(args.model_dir, "tokenizer.json"))
    tokenizer.no_padding()
    print(f"{'case':12}{'ids':>9}{'heddle ns/id':>14}{'MB/s':>8}{'library ns/id':>15}{'MB/s':>7}{'ratio':>8}")
    for name, batch, max_length in cases():
        tokenizer.no_truncation()
        if max_length:
            tokenizer.enable_truncation(max_length)
        data = b"".join(b"%d\n%s" % (len(b), b) for b in (t.encode("utf-8") for t in batch))
        best_ours, best_theirs = float("inf"), float("inf")
        for _ in range(3):
            n_ids, n_bytes, best = ours(args.driver, args.model_dir, data, max_length, args.seconds / 3)
            best_ours = min(best_ours, best)
            best_theirs = min(best_theirs, theirs(tokenizer, batch, args.seconds / 3))
        assert n_ids == sum(len(e.ids) for e in tokenizer.encode_batch(batch)), name
        print(f"{name:12}{n_ids:9}{best_ours / n_ids * 1e9:14.1f}{n_bytes / best_ours / 1e6:8.0f}"
              f"{best_theirs / n_ids * 1e9:15.1f}{n_bytes / best_theirs / 1e6:7.0f}{best_theirs / best_ours:8.1f}", flush=True)


main()
