#!/usr/bin/env python3
"""Rankings with grades and what trec_eval says of them, for search_measures_test.c.

    python3 -m venv venv && venv/bin/pip install pytrec-eval-terrier==0.5.11
    venv/bin/python tools/make_measure_goldens.py > tests/golden/measures/trec_eval.tsv

A line: grades of the ranking, grades of all judgements, nDCG@10, reciprocal rank of the first ten, recall@10, recall@100.
"""

import random

import pytrec_eval


def evaluate(qrel, ranking, measures):
    run = {"q": {document: float(len(ranking) - i) for i, document in enumerate(ranking)}}
    return pytrec_eval.RelevanceEvaluator({"q": qrel}, measures).evaluate(run)["q"]


random.seed(20261121)
for _ in range(60):
    documents = [f"d{i}" for i in range(150)]
    grades = random.choice(([0, 1], [0, 0, 1, 2, 3], [1], [0, 0, 0, 0, 0, 1], [-1, 0, 1, 4]))
    qrel = {d: random.choice(grades) for d in random.sample(documents, random.randint(1, 60))}
    qrel[random.choice(documents)] = 1
    ranking = random.sample(documents, random.randint(1, 150))
    m = evaluate(qrel, ranking, {"ndcg_cut.10", "recall.10,100"})
    first = evaluate(qrel, ranking[:10], {"recip_rank"})
    print(",".join(str(qrel.get(d, 0)) for d in ranking), ",".join(map(str, qrel.values())), repr(m["ndcg_cut_10"]),
          repr(first["recip_rank"]), repr(m["recall_10"]), repr(m["recall_100"]), sep="\t")
