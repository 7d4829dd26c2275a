"""Scores, labels, sparse and token vectors over every protocol that has a place for them: the numbers are those of
`heddle rerank` and `heddle embed --heads` on the same small models.

    HEDDLE_BUILD=build python3 -m unittest -v test_heads        (in tests/serve)
"""

import json
import math
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

from serving import PROGRAM, ServedTest

try:
    import cohere
except ImportError:
    cohere = None

ROOT = Path(__file__).resolve().parent.parent.parent
QUERY = "river stone"
TEXTS = ["house garden in winter", "river", "music of the sea and the light", "", "stone bread water ship"]


class HeadsTest(ServedTest):
    model = None  # of tools/make_tiny_architectures.py

    @classmethod
    def setUpClass(cls):
        made = tempfile.TemporaryDirectory(prefix="heddle-heads-")
        cls.addClassCleanup(made.cleanup)
        subprocess.run([sys.executable, str(ROOT / "tools/make_tiny_architectures.py"), made.name, cls.model], check=True,
                       capture_output=True)
        cls.models = (Path(made.name) / cls.model,)
        super().setUpClass()

    def program(self, *args):
        """The JSON lines that the program prints for the same model."""
        command, *args = args
        done = subprocess.run([str(PROGRAM), command, "-m", str(self.models[0]), "--dtype", "f32", *args], env=self.env,
                              cwd=self.folder, capture_output=True, check=True)
        return [json.loads(line) for line in done.stdout.splitlines()]

    def ranking(self):
        """[(index, logit, score)], the best first."""
        return [(line["index"], line["logit"], line["score"]) for line in self.program("rerank", "--", QUERY, *TEXTS)]

    def ranks(self, got, values, key="relevance_score"):
        self.assertEqual([entry["index"] for entry in got], [index for index, _, _ in self.ranking()][:len(got)])
        self.close([[entry[key] for entry in got]], [values[:len(got)]], 1e-5)


class Tasks(HeadsTest):
    model = "tiny-jina-v3"

    def test_tasks(self):
        texts = [text for text in TEXTS if text]
        rows = {task: [line["embedding"] for line in self.program("embed", *(["--task", task] if task else []), "--", *texts)]
                for task in ("", "retrieval.query", "retrieval.passage", "separation")}
        self.assertEqual(len({json.dumps(vectors) for vectors in rows.values()}), 4)
        for task in ("retrieval.query", "retrieval.passage", "separation"):
            got = self.json("/v1/embeddings", {"input": texts, "task": task})
            self.close([entry["embedding"] for entry in got["data"]], rows[task])
        for kind, task in (("search_query", "retrieval.query"), ("search_document", "retrieval.passage"),
                           ("classification", "")):  # a task that this model lacks
            self.close(self.json("/v2/embed", {"texts": texts, "input_type": kind})["embeddings"]["float"], rows[task])
        got = self.json("/v1/embeddings", {"input": texts})
        self.close([entry["embedding"] for entry in got["data"]], rows[""])
        unprompted = [line["embedding"] for line in self.program("embed", "--task", "retrieval.query", "--prompt", "", "--", *texts)]
        got = self.json("/v1/embeddings", {"input": texts, "task": "retrieval.query", "prompt": ""})
        self.close([entry["embedding"] for entry in got["data"]], unprompted)

    def test_no_such_task(self):
        done = subprocess.run([str(PROGRAM), "embed", "-m", str(self.models[0]), "--task", "query", "river"], env=self.env,
                              cwd=self.folder, capture_output=True)
        self.assertEqual(done.returncode != 0, True)
        self.assertIn(b"no task named \"query\"; it has: retrieval.query, retrieval.passage, separation", done.stderr)


class Reranker(HeadsTest):
    model = "tiny-bert-reranker"

    def test_tei(self):
        logits, scores = [l for _, l, _ in self.ranking()], [s for _, _, s in self.ranking()]
        body = {"query": QUERY, "texts": TEXTS}
        self.ranks(self.json("/rerank", body), scores, "score")
        self.ranks(self.json("/rerank", {**body, "raw_scores": True}), logits, "score")
        for entry in self.json("/rerank", {**body, "return_text": True}):
            self.assertEqual(entry["text"], TEXTS[entry["index"]])
        self.ranks(self.json("/", body), scores, "score")
        self.assertEqual(list(self.json("/info")["model_type"]), ["reranker"])

    def test_cohere_and_jina(self):
        scores = [s for _, _, s in self.ranking()]
        body = {"model": "m", "query": QUERY, "documents": TEXTS}
        self.ranks(self.json("/v2/rerank", body)["results"], scores)
        got = self.json("/v1/rerank", {**body, "top_n": 2, "return_documents": True})["results"]
        self.assertEqual(len(got), 2)
        self.ranks(got, scores)

    @unittest.skipIf(cohere is None, "the clients are not installed: run tools/test_venv.sh")
    def test_cohere_clients(self):
        scores = [s for _, _, s in self.ranking()]
        got = cohere.ClientV2("key", base_url=self.url).rerank(model="m", query=QUERY, documents=TEXTS, top_n=3)
        self.ranks([{"index": r.index, "relevance_score": r.relevance_score} for r in got.results], scores)
        got = cohere.Client("key", base_url=self.url).rerank(model="m", query=QUERY, documents=TEXTS)
        self.ranks([{"index": r.index, "relevance_score": r.relevance_score} for r in got.results], scores)

    def test_llama_cpp(self):
        got = self.json("/rerank", {"query": QUERY, "documents": TEXTS, "top_n": 4})["results"]
        self.ranks(got, [l for _, l, _ in self.ranking()])

    def test_pairs_of_a_file(self):
        path = self.folder / "pairs.jsonl"
        path.write_text("".join(json.dumps({"query": QUERY, "document": text}) + "\n" for text in TEXTS))
        lines = self.program("rerank", "--input", str(path))
        best = sorted(range(len(TEXTS)), key=lambda i: -lines[i]["logit"])
        self.assertEqual([(i, lines[i]["logit"], lines[i]["score"]) for i in best], self.ranking())

    def test_predict(self):
        [[got]] = self.json("/predict", {"inputs": [[QUERY, TEXTS[0]]]})
        index, _, score = next(entry for entry in self.ranking() if entry[0] == 0)
        self.assertAlmostEqual(got["score"], score, 5)
        self.assertEqual(got["label"], "LABEL_0")

    def test_no_vectors(self):
        self.assertIn("error", self.json("/v1/embeddings", {"input": "a"}, 400))
        self.assertEqual(self.json("/embed_sparse", {"inputs": "a"}, 424)["error_type"], "Backend")


class Classifier(HeadsTest):
    model = "tiny-roberta-classifier"

    def test_predict(self):
        one = self.json("/predict", {"inputs": "river stone"})
        self.assertEqual({entry["label"] for entry in one}, {"negative", "neutral", "positive"})
        self.assertAlmostEqual(sum(entry["score"] for entry in one), 1, 5)
        self.assertEqual(sorted((entry["score"] for entry in one), reverse=True), [entry["score"] for entry in one])
        raw = self.json("/predict", {"inputs": "river stone", "raw_scores": True})
        total = sum(math.exp(entry["score"]) for entry in raw)
        self.close([[math.exp(entry["score"]) / total for entry in raw]], [[entry["score"] for entry in one]], 1e-5)
        both = self.json("/predict", {"inputs": [["river stone"], ["river", "stone"]]})
        self.assertEqual(both[0], one)
        self.assertEqual(both[1], self.json("/predict", {"inputs": ["river", "stone"]}))
        self.assertNotEqual(both[1], one)

    def test_info(self):
        self.assertEqual(self.json("/info")["model_type"]["classifier"]["id2label"],
                         {"0": "negative", "1": "neutral", "2": "positive"})

    def test_no_rerank(self):
        self.assertIn("re-ranker", self.json("/rerank", {"query": "a", "texts": ["b"]}, 424)["error"])


class BgeM3(HeadsTest):
    model = "tiny-m3"

    def lines(self, heads="dense,sparse,colbert"):
        return self.program("embed", "--heads", heads, "--", *TEXTS)

    def test_openai(self):
        expected = self.lines()
        got = self.json("/v1/embeddings", {"input": TEXTS[:3], "heads": ["dense", "sparse", "colbert"]})["data"]
        for entry, line in zip(got, expected):
            self.close([entry["embedding"]], [line["embedding"]])
            self.assertEqual(entry["sparse"]["indices"], line["sparse"]["indices"])
            self.close([entry["sparse"]["values"]], [line["sparse"]["values"]])
            self.close(entry["colbert"], line["colbert"])
        [entry] = self.json("/v1/embeddings", {"input": TEXTS[0], "heads": ["sparse"]})["data"]
        self.assertNotIn("embedding", entry)
        self.assertIn("heads", self.json("/v1/embeddings", {"input": "a", "heads": ["scores"]}, 400)["error"]["message"])

    def test_tei(self):
        for weights, line in zip(self.json("/embed_sparse", {"inputs": TEXTS[:3]}), self.lines("sparse")):
            self.assertEqual([w["index"] for w in weights], line["sparse"]["indices"])
            self.close([[w["value"] for w in weights]], [line["sparse"]["values"]])
        states = self.json("/embed_all", {"inputs": TEXTS[:3]})
        tokens = self.json("/tokenize", {"inputs": TEXTS[:3]})
        self.assertEqual([len(rows) for rows in states], [len(row) for row in tokens])
        self.assertEqual(list(self.json("/info")["model_type"]), ["embedding"])

    def test_rerank_by_late_interaction(self):
        self.ranks(self.json("/v2/rerank", {"model": "m", "query": QUERY, "documents": TEXTS})["results"],
                   [s for _, _, s in self.ranking()])
        query = self.program("embed", "--heads", "colbert", "--", QUERY)[0]["colbert"]
        for index, logit, score in self.ranking():
            rows = self.lines("colbert")[index]["colbert"]
            total = sum(max(sum(a * b for a, b in zip(q, d)) for d in rows) for q in query)
            self.assertAlmostEqual(logit, total, 4)
            self.assertAlmostEqual(score, total / len(query), 4)

    def test_long_texts(self):
        text = " ".join(TEXTS * 20)
        [whole] = self.program("embed", "--long-text", "windows", "--", text)
        [cut] = self.program("embed", "--", text)
        [entry] = self.json("/v1/embeddings", {"input": text, "long_text": "windows"})["data"]
        self.close([entry["embedding"]], [whole["embedding"]])
        self.assertNotEqual(whole, cut)
        self.assertIn("mean pooling", self.json("/v1/embeddings", {"input": text, "long_text": "late"}, 400)["error"]["message"])


class Lookup(HeadsTest):
    """Queries are looked up in a table, documents go through the model."""

    model = "tiny-lookup"

    def test_sides(self):
        text = TEXTS[2]
        [query] = self.program("embed", "--heads", "sparse", "--prompt-name", "query", "--", text)
        [document] = self.program("embed", "--heads", "sparse", "--", text)
        self.assertLess(len(query["sparse"]["indices"]), len(document["sparse"]["indices"]))
        for expected, fields in ((query, {"prompt_name": "query"}), (document, {"prompt_name": "document"}), (document, {})):
            [weights] = self.json("/embed_sparse", {"inputs": text, **fields})
            self.assertEqual([w["index"] for w in weights], expected["sparse"]["indices"])
            self.close([[w["value"] for w in weights]], [expected["sparse"]["values"]])
            [entry] = self.json("/v1/embeddings", {"input": text, "heads": ["sparse"], **fields})["data"]
            self.assertEqual(entry["sparse"]["indices"], expected["sparse"]["indices"])


if __name__ == "__main__":
    unittest.main()
