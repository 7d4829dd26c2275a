"""`heddle search` with models of every head: learned words, late interaction and cross-encoders give the scores and the order of a
plain computation on what `heddle embed --heads` and `heddle rerank` print.
"""

import json
import unittest

from harness import CommandTest, tiny_architectures

TEXTS = {
    "loom": "A loom is a machine that weaves cloth. The warp is held under tension.",
    "ship": "A ship carries goods over the sea. Its sails are woven from cloth.",
    "bread": "Bread is baked in a hot oven. The dough has to rise for an hour.",
    "moon": "The moon pulls at the sea: twice a day the water rises and falls.",
    "river": "The river runs from the hills to the sea, and carries stones.",
}
QUERY = "sea cloth"
TOLERANCE = 2e-3  # relative: the index keeps weights and token vectors in fewer bits


class HeadsTest(CommandTest):
    model, heads, query_options = "", "", ()

    def setUp(self):
        super().setUp()
        self.index({i: {"text": text} for i, text in TEXTS.items()})

    def seeded(self, name):
        return str(tiny_architectures() / name)

    def index(self, documents):
        self.write("documents.jsonl", "".join(json.dumps({"id": i, **fields}) + "\n" for i, fields in documents.items()))
        self.heddle("index", "-q", "-m", self.seeded(self.model), "--dtype", "f32", "--heads", self.heads, "documents.jsonl")

    def rows(self, command, *args):
        """The lines of a command that has nothing else to say."""
        stdout, stderr = self.heddle(command, "--dtype", "f32", *args)
        self.assertEqual(stderr, "")
        return [json.loads(line) for line in stdout.decode().splitlines()]

    def hits(self, *args, query=QUERY):
        return self.rows("search", *args, query)

    def head(self, head, text, *args):
        return self.rows("embed", "-m", self.seeded(self.model), "--heads", head, *args, text)[0][head]

    def reranked(self, model, texts, query=QUERY):
        """{id: score} as `heddle rerank` has it."""
        ids = list(texts)
        return {ids[row["index"]]: row["score"] for row in self.rows("rerank", "-m", self.seeded(model), query, *texts.values())}

    def agree(self, hits, leg, expected, tolerance, key="document"):
        """These documents, each with the score that was computed, in the order of the scores."""
        self.assertEqual([hit[key] for hit in hits], sorted(expected, key=expected.get, reverse=True))
        self.assertEqual([hit["ranks"][leg] for hit in hits], list(range(1, len(hits) + 1)))
        for hit in hits:
            self.assertAlmostEqual(hit["scores"][leg] / expected[hit[key]], 1, delta=tolerance)


class LearnedWords:
    def test_learned_words(self):
        asked = self.head("sparse", QUERY, *self.query_options)
        weights, expected = dict(zip(asked["indices"], asked["values"])), {}
        for i, text in TEXTS.items():
            found = self.head("sparse", text)
            expected[i] = sum(weights.get(token, 0) * value for token, value in zip(found["indices"], found["values"]))
        self.assertGreater(min(expected.values()), 0)
        hits = self.hits("--mode", "sparse")
        self.agree(hits, "sparse", expected, TOLERANCE)
        self.assertEqual([hit["score"] for hit in hits], [hit["scores"]["sparse"] for hit in hits])

    def test_learned_words_beside_other_legs(self):
        for hit in self.hits():
            self.assertIn("sparse", hit["ranks"])
            self.assertAlmostEqual(hit["score"], sum(1 / (60 + rank) for rank in hit["ranks"].values()), places=6)
        self.agree(self.hits("--weights", "sparse=1"), "sparse", {hit["document"]: hit["score"] for hit in self.hits("--mode", "sparse")}, 1e-6)


class LateInteraction:
    def test_late_interaction(self):
        """Of what the other legs find; the index's own token vectors need no reranker. Passages are what the model reads at once."""
        asked = self.head("colbert", QUERY, *self.query_options)
        expected = {}
        for hit in self.hits():
            vectors = self.head("colbert", hit["text"])
            expected[hit["chunk"]] = sum(max(sum(a * b for a, b in zip(q, d)) for d in vectors) for q in asked)
        self.assertGreater(len(expected), 3)
        hits = self.hits("--rerank")
        self.agree(hits, "multi", expected, TOLERANCE, "chunk")
        self.assertEqual([hit["score"] for hit in hits], [hit["scores"]["multi"] for hit in hits])


class M3(LearnedWords, LateInteraction, HeadsTest):
    model, heads = "tiny-m3", "sparse,colbert"


class Splade(LearnedWords, HeadsTest):
    """Without dense vectors."""

    model, heads = "tiny-bert-splade", "sparse"

    def test_what_it_lacks(self):
        self.fails("search", "--mode", "dense", QUERY, says="dense: the index keeps none of its vectors")
        stdout, stderr = self.heddle("search", "--rerank", QUERY)
        self.assertEqual(len(stdout.splitlines()), len(TEXTS))
        self.assertEqual(stderr.count("\n"), 1, stderr)
        self.assertIn("nothing is reranked", stderr)


class Lookup(LearnedWords, HeadsTest):
    """Queries are looked up in a table, documents go through the model."""

    model, heads, query_options = "tiny-lookup", "sparse", ("--prompt-name", "query")

    def test_queries_are_no_documents(self):
        self.assertNotEqual(self.head("sparse", QUERY, *self.query_options), self.head("sparse", QUERY))


class ColBert(LateInteraction, HeadsTest):
    """Without dense vectors and learned words: of what words find."""

    model, heads, query_options = "tiny-pylate", "colbert", ("--prompt-name", "query")


class CrossEncoder(HeadsTest):
    model, heads = "tiny-m3", "sparse"

    def test_scores_and_order(self):
        for model in ("tiny-bert-reranker", "tiny-xlmr-reranker", "tiny-m3"):
            hits = self.hits("--reranker", self.seeded(model))
            self.agree(hits, "rerank", self.reranked(model, TEXTS), 1e-5)
            self.assertEqual([hit["score"] for hit in hits], [hit["scores"]["rerank"] for hit in hits])

    def test_titles_are_read_too(self):
        titled = {i: {"title": f"About the {i}", "text": text} for i, text in TEXTS.items()}
        self.index(titled)
        expected = self.reranked("tiny-bert-reranker", {i: f"{d['title']}\n{d['text']}" for i, d in titled.items()})
        self.agree(self.hits("--reranker", self.seeded("tiny-bert-reranker")), "rerank", expected, 1e-5)

    def test_blend(self):
        reranker = ("--reranker", self.seeded("tiny-bert-reranker"))
        plain, hits = self.hits(*reranker), self.hits(*reranker, "--rerank-blend", "0.25")

        def scaled(values):
            return [(value - min(values)) / (max(values) - min(values)) for value in values]

        reranked, fused = scaled([hit["scores"]["rerank"] for hit in plain]), scaled([hit["fused"] for hit in plain])
        expected = {hit["document"]: 0.25 * r + 0.75 * f for hit, r, f in zip(plain, reranked, fused)}
        self.assertEqual([hit["document"] for hit in hits], sorted(expected, key=expected.get, reverse=True))
        for hit in hits:
            self.assertAlmostEqual(hit["score"], expected[hit["document"]], places=5)

    def test_floor(self):
        reranker = ("--reranker", self.seeded("tiny-bert-reranker"))
        scores = [hit["score"] for hit in self.hits(*reranker)]
        floor = (scores[1] + scores[2]) / 2
        self.assertEqual([hit["score"] for hit in self.hits(*reranker, "--min-score", f"rerank={floor}")], scores[:2])

    def test_what_is_no_reranker(self):
        self.fails("search", "--reranker", self.seeded("tiny-bert-splade"), QUERY, says="gives no scores for pairs of texts")


if __name__ == "__main__":
    unittest.main()
