#!/usr/bin/env python3
"""Writes tests/golden/bm25.json: BM25 scores by bm25s (method "lucene", k1 1.2, b 0.75) for store_bm25_golden_test.

    pip install bm25s numpy; tools/make_bm25_golden.py

The texts are of whole lower case words without signs, so that its terms are ours (language "none"). Words are as frequent as
in real text (Zipf), a query's may come twice or be in no text. Seeded: the same file each time.
"""

import json
import random
from pathlib import Path

import bm25s

N_TEXTS, N_WORDS, N_QUERIES, N_DOCUMENT_WORDS, N_QUERY_WORDS = 160, 200, 24, 40, 6


def main():
    choose = random.Random(6)
    vocabulary = [f"w{i}" for i in range(N_WORDS)]
    weights = [1 / (i + 1) for i in range(N_WORDS)]
    texts = [choose.choices(vocabulary, weights, k=choose.randint(1, N_DOCUMENT_WORDS)) for _ in range(N_TEXTS)]
    queries = [choose.choices([*vocabulary, "nowhere"], [*weights, 0.05], k=choose.randint(1, N_QUERY_WORDS))
               for _ in range(N_QUERIES)]
    index = bm25s.BM25(method="lucene", k1=1.2, b=0.75, dtype="float64")
    index.index(texts, show_progress=False)
    golden = {"maker": f"bm25s {bm25s.__version__}", "texts": [" ".join(t) for t in texts], "queries": [
        {"text": " ".join(q), "scores": [round(float(s), 7) for s in scores_of(index, q)]} for q in queries]}
    path = Path(__file__).resolve().parent.parent / "tests" / "golden" / "bm25.json"
    path.write_text(json.dumps(golden) + "\n", encoding="utf-8")


def scores_of(index, query):
    """Each occurrence of a word in the query counts."""
    known = [word for word in query if word in index.vocab_dict]
    return sum(index.get_scores([word]) for word in known) if known else [0.0] * N_TEXTS


if __name__ == "__main__":
    main()
