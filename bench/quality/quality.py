#!/usr/bin/env python3
"""Measures what fewer bits cost in retrieval, and what they cost peers. Called by run.sh, which says how.

    quality.py SET_DIR --program heddle --model DIR --peers DIR --threads N
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

import ranking

HEDDLE = (("heddle f32", "f32", ""), ("heddle bf16", "bf16", ""), ("heddle int8", "int8", ""),
          ("heddle int8, AVX2", "int8", "-avx512,-avx-vnni"))
PEERS = (("sentence-transformers f32", "SentenceTransformers", "float32"), ("ONNX Runtime f32", "OnnxRuntime", "f32"),
         ("ONNX Runtime int8", "OnnxRuntime", "int8"))


def heddle_vectors(program, model, file, dtype, levels="", threads=0):
    """Vectors of each line of a .jsonl file."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "vectors.npy"
        command = [str(program), "embed", "-m", str(model), "--input", str(file), "--output", str(out), "--dtype", dtype]
        subprocess.run(command + (["--threads", str(threads)] if threads else []), check=True, stderr=subprocess.PIPE,
                       env={**os.environ, "HEDDLE_CPU": levels, "HEDDLE_CACHE": str(Path(folder) / "cache")})
        return np.load(out)


def peer_vectors(name, dtype, model, peers, threads, texts):
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "peers"))
    import peer
    options = (dtype,) if name == "SentenceTransformers" else (dtype, 4096)
    encoder = getattr(peer, name)(model, peers, threads, *options)
    return [np.asarray(encoder.encode(some)) for some in texts]


def cosines(a, b):
    return (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)


class Table:
    def __init__(self, retrieval_set):
        self.set = retrieval_set
        self.base = None
        print(f"{retrieval_set.folder.name}: {len(retrieval_set.queries)} queries, {len(retrieval_set.passages)} passages\n")
        print("| vectors | nDCG@10 | MRR@10 | recall@10 | nDCG@10 to heddle f32, % (95 % interval) | cosine to heddle f32, mean | least |")
        print("|---|---|---|---|---|---|---|")

    def add(self, name, queries, passages):
        measured = ranking.measure(self.set, queries, passages)
        vectors = np.concatenate((queries, passages))
        if self.base is None:
            self.base = measured, vectors
        ratio, low, high = ranking.ratio_interval(measured[:, 0], self.base[0][:, 0])
        cosine = cosines(vectors, self.base[1])
        print(f"| {name} | " + " | ".join(f"{100 * mean:.2f}" for mean in measured.mean(0)) +
              f" | {100 * ratio:.2f} ({100 * low:.2f} to {100 * high:.2f}) | {cosine.mean():.6f} | {cosine.min():.4f} |", flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("set", type=Path)
    parser.add_argument("--program", required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--peers", type=Path, required=True)
    parser.add_argument("--threads", type=int, required=True)
    options = parser.parse_args()
    retrieval_set = ranking.RetrievalSet(options.set)
    table = Table(retrieval_set)
    for name, dtype, levels in HEDDLE:
        table.add(name, *(heddle_vectors(options.program, options.model, options.set / file, dtype, levels, options.threads)
                          for file in ("queries.jsonl", "corpus.jsonl")))
    texts = [[row["text"] for row in rows] for rows in (retrieval_set.queries, retrieval_set.passages)]
    for name, kind, dtype in PEERS:
        table.add(name, *peer_vectors(kind, dtype, options.model, options.peers, options.threads, texts))


if __name__ == "__main__":
    main()
