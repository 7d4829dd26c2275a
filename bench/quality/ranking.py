"""How well vectors find the passages that queries ask for: nDCG@10, MRR@10, recall@10 of a set in BEIR's files.

Every passage is compared with every query, so that nothing but the vectors is measured. nDCG is trec_eval's: gains are the
relevances, discounts log2(rank + 1). Two runs are compared on the same queries by the paired bootstrap (Efron & Tibshirani
1993): queries are drawn with replacement, and the ratio of the two means is taken in each draw.
"""

import json
from pathlib import Path

import numpy as np

DEPTH = 10
DRAWS = 10000
MEASURES = ("nDCG@10", "MRR@10", "recall@10")


class RetrievalSet:
    def __init__(self, folder):
        self.folder = Path(folder)
        self.passages = self._rows("corpus.jsonl")
        self.queries = self._rows("queries.jsonl")
        number = {row["_id"]: i for i, row in enumerate(self.passages)}
        relevant = {}
        for line in (self.folder / "qrels" / "test.tsv").read_text().splitlines()[1:]:
            query, passage, score = line.split("\t")
            relevant.setdefault(query, {})[number[passage]] = int(score)
        self.relevant = [relevant[row["_id"]] for row in self.queries]

    def _rows(self, name):
        with open(self.folder / name) as lines:
            return [json.loads(line) for line in lines]


def best(queries, passages, block=256):
    """Numbers of the DEPTH nearest passages of each query, nearest first."""
    found = []
    for begin in range(0, len(queries), block):
        scores = queries[begin:begin + block] @ passages.T
        candidates = np.sort(np.argpartition(-scores, DEPTH, axis=1)[:, :DEPTH], axis=1)
        order = np.argsort(-np.take_along_axis(scores, candidates, axis=1), axis=1, kind="stable")
        found.append(np.take_along_axis(candidates, order, axis=1))
    return np.concatenate(found)


def measure(retrieval_set, queries, passages):
    """[queries, measures]"""
    discounts = 1 / np.log2(np.arange(2, DEPTH + 2))
    table = np.zeros((len(queries), len(MEASURES)))
    for i, (nearest, relevant) in enumerate(zip(best(queries, passages), retrieval_set.relevant)):
        gains = np.array([relevant.get(int(p), 0) for p in nearest], float)
        ideal = np.sort(np.array(list(relevant.values()), float))[::-1][:DEPTH]
        hits = np.flatnonzero(gains)
        table[i] = (gains @ discounts / (ideal @ discounts[:len(ideal)]),
                    1 / (hits[0] + 1) if len(hits) else 0,
                    len(hits) / len(relevant))
    return table


def ratio_interval(values, base):
    """Ratio of the means of two columns, and its 95 % confidence interval."""
    random = np.random.default_rng(20261121)
    ratios = []
    for _ in range(DRAWS // 500):
        drawn = random.integers(0, len(base), (500, len(base)))
        ratios.append(values[drawn].mean(1) / base[drawn].mean(1))
    low, high = np.percentile(np.concatenate(ratios), (2.5, 97.5))
    return values.mean() / base.mean(), low, high
