"""text-embeddings-inference's API from outside: huggingface_hub's InferenceClient, and every route as clients send it.

    HEDDLE_BUILD=build python3 -m unittest -v test_tei
"""

import math
import struct
import unittest

from serving import ServedTest, cosine, floats

try:
    import numpy
    from huggingface_hub import InferenceClient
    from huggingface_hub.errors import HfHubHTTPError
except ImportError:
    InferenceClient = None

TEXTS = ["the heddle lifts the warp", "naïve café", "a b c d e f g"]


def norm(row):
    return math.sqrt(sum(x * x for x in row))


def as_f32(row):
    """Decimals as the f32 they stand for."""
    return list(struct.unpack(f"<{len(row)}f", struct.pack(f"<{len(row)}f", *row)))


class TeiTest(ServedTest):
    options = ("--max-inputs", "8")

    def refuses(self, path, body, status, kind, says):
        answer = self.json(path, body, status)
        self.assertEqual(answer["error_type"], kind)
        self.assertIn(says, answer["error"])
        self.assertEqual(set(answer), {"error", "error_type"})


class Routes(TeiTest):
    def test_embed(self):
        answer = self.ask("/embed", {"inputs": TEXTS})
        self.close(answer.json, self.vectors(TEXTS))
        self.assertEqual(answer.headers["x-compute-characters"], str(sum(map(len, TEXTS))))
        self.assertGreater(int(answer.headers["x-compute-tokens"]), 10)
        for name in ("compute", "total", "tokenization", "queue", "inference"):
            self.assertRegex(answer.headers[f"x-{name}-time"], r"^\d+$")
        self.assertEqual(self.json("/embed", {"inputs": TEXTS[0]}), answer.json[:1])
        self.assertEqual(self.json("/", {"inputs": TEXTS[0]}), answer.json[:1])

    def test_embed_token_ids(self):
        ids = [t["id"] for t in self.json("/tokenize", {"inputs": TEXTS[0]})[0]]
        vectors = self.json("/embed", {"inputs": [TEXTS[0], ids]})
        self.assertEqual(vectors[0], vectors[1])
        self.assertEqual(self.json("/embed", {"inputs": ids}), vectors[:1])

    def test_embed_options(self):
        short = self.json("/embed", {"inputs": TEXTS[0], "dimensions": 8})
        self.close(short, self.vectors(TEXTS[0], "--dimensions", "8", dimensions=8))
        raw = self.json("/embed", {"inputs": TEXTS[0], "normalize": False})
        self.close(raw, self.vectors(TEXTS[0], "--no-normalize"), 1e-5)
        self.assertNotAlmostEqual(norm(raw[0]), 1, places=2)
        packed = self.json("/embed", {"inputs": TEXTS[0], "dimensions": 8, "encoding_format": "base64"})
        self.assertEqual(floats(packed[0]), as_f32(short[0]))

    def test_truncation(self):
        text = " ".join(f"w{i}" for i in range(500))
        most = self.json("/info")["max_input_length"]
        cut = self.ask("/embed", {"inputs": text, "truncate": True})
        self.assertEqual(cut.headers["x-compute-tokens"], str(most))
        self.assertEqual(self.json("/embed", {"inputs": text}), cut.json)
        self.assertNotEqual(self.json("/embed", {"inputs": text, "truncate": True, "truncation_direction": "left"}), cut.json)
        self.refuses("/embed", {"inputs": text, "truncate": False}, 422, "Validation",
                     f"`inputs` must have less than {most} tokens. Given: ")

    def test_vertex(self):
        [one, two] = self.json("/vertex", {"instances": [{"inputs": "a b"}, {"inputs": ["c", "d e"]}]})["predictions"]
        self.assertEqual(one + two, self.json("/embed", {"inputs": ["a b", "c", "d e"]}))

    def test_similarity(self):
        scores = self.json("/similarity", {"inputs": {"source_sentence": "a b", "sentences": ["a b", "z y x"]}})
        vectors = self.json("/embed", {"inputs": ["a b", "z y x"]})
        self.assertAlmostEqual(scores[0], 1, places=5)
        self.assertAlmostEqual(scores[1], cosine(*vectors), places=5)

    def test_tokenize(self):
        text = "naïve café heddle"
        tokens = self.json("/tokenize", {"inputs": text})[0]
        self.assertTrue(tokens[0]["special"] and tokens[-1]["special"])
        self.assertEqual((tokens[0]["start"], tokens[0]["text"]), (None, "[CLS]"))
        for token in tokens[1:-1]:
            self.assertEqual(token["text"], text.encode()[token["start"]:token["stop"]].decode())
        self.assertEqual(self.json("/tokenize", {"inputs": text, "add_special_tokens": False}), [tokens[1:-1]])

    def test_decode(self):
        text = "hello, world! it ' s a heddle"
        ids = [t["id"] for t in self.json("/tokenize", {"inputs": text})[0]]
        self.assertEqual(self.json("/decode", {"ids": ids}), [text])
        self.assertEqual(self.json("/decode", {"ids": [ids, ids[1:2]], "skip_special_tokens": False})[0], f"[CLS] {text} [SEP]")
        self.assertEqual(self.json("/decode", {"ids": [2**31 - 1]}), [""])

    def test_heads_the_model_lacks(self):
        self.refuses("/rerank", {"query": "q", "texts": ["a"]}, 424, "Backend", "model is not a re-ranker model")
        self.refuses("/predict", {"inputs": "a"}, 424, "Backend", "Model is not a classifier model")
        self.refuses("/embed_sparse", {"inputs": "a"}, 424, "Backend", "SPLADE pooling")

    def test_refused(self):
        self.refuses("/embed", b"{", 400, "Validation", "not JSON")
        self.refuses("/embed", b"[" * 100, 400, "Validation", "deep")
        self.refuses("/embed", {"inputs": []}, 400, "Empty", "`inputs` cannot be empty")
        self.refuses("/embed", {"inputs": [""]}, 400, "Empty", "`inputs` cannot be empty")
        self.refuses("/embed", {"inputs": ["a"] * 9}, 422, "Validation", "batch size 9 > maximum allowed batch size 8")
        self.refuses("/embed", {"inputs": 5}, 422, "Validation", "`inputs`")
        self.refuses("/embed", {"inputs": "a", "dimensions": 0}, 422, "Validation", "`dimensions` should be positive")
        self.refuses("/embed", {"inputs": "a", "dimensions": 9999}, 422, "Validation", "maximum embedding dimension")
        self.refuses("/embed", {"inputs": "a", "prompt_name": "no"}, 422, "Validation", "no prompt named")
        self.refuses("/embed", {"inputs": [2**31 - 1]}, 422, "Validation", "vocab_size")

    def test_info_and_ping(self):
        info = self.json("/info")
        self.assertEqual(info["max_client_batch_size"], 8)
        self.assertEqual(info["model_dtype"], "float32")
        self.assertEqual(info["model_type"], {"embedding": {"pooling": "mean"}})
        ping = self.ask("/ping")
        self.assertEqual((ping.status, ping.body), (200, b""))


class Prompts(TeiTest):
    models = ("tiny-prompts",)

    def test_prompts(self):
        for options, line in (({}, []), ({"prompt_name": "query"}, ["--prompt-name", "query"]),
                              ({"prompt_name": "passage"}, ["--prompt-name", "passage"]), ({"prompt": ""}, ["--prompt", ""])):
            self.close(self.json("/embed", {"inputs": "a b", **options}), self.vectors("a b", *line, ))

    def test_tokens_of_prompts(self):
        text = "passage: a b"
        for token in self.json("/tokenize", {"inputs": "a b", "prompt_name": "passage"})[0][1:-1]:
            self.assertEqual(token["text"], text[token["start"]:token["stop"]])
        self.assertEqual((token["text"], token["stop"]), ("b", len(text)))


class NotNormalized(TeiTest):
    """TEI makes vectors unit length whatever the model's files say."""

    models = ("tiny-last",)

    def test_unit_length(self):
        raw = self.json("/embed", {"inputs": TEXTS, "normalize": False})
        unit = self.json("/embed", {"inputs": TEXTS})
        for a, b in zip(raw, unit):
            self.assertNotAlmostEqual(norm(a), 1, places=2)
            self.assertAlmostEqual(norm(b), 1, places=5)
            self.assertAlmostEqual(cosine(a, b), 1, places=5)


@unittest.skipIf(InferenceClient is None, "huggingface_hub is not installed")
class HuggingFace(TeiTest):
    def test_feature_extraction(self):
        client = InferenceClient(model=self.url)
        vectors = client.feature_extraction(TEXTS[0])
        self.assertEqual((vectors.shape, vectors.dtype), ((1, 40), numpy.float32))
        self.close(vectors.tolist(), self.vectors(TEXTS[0]))
        many = client.feature_extraction(TEXTS, normalize=True, truncate=True, truncation_direction="left", dimensions=8)
        self.close(many.tolist(), self.vectors(TEXTS, "--dimensions", "8", dimensions=8))
        raw = client.feature_extraction(TEXTS[0], normalize=False)
        self.close(raw.tolist(), self.vectors(TEXTS[0], "--no-normalize"), 1e-5)

    def test_addresses_of_routes(self):
        self.assertEqual(len(InferenceClient(model=self.url + "/embed").feature_extraction("a")), 1)
        scores = InferenceClient(model=self.url + "/similarity").sentence_similarity("a", ["a"])
        self.assertAlmostEqual(scores[0], 1, places=5)

    def test_sentence_similarity(self):
        scores = InferenceClient(model=self.url).sentence_similarity("a b", ["a b", "z y x"])
        self.assertEqual(len(scores), 2)
        self.assertAlmostEqual(scores[0], 1, places=5)
        self.assertLess(scores[1], 1)

    def test_errors(self):
        with self.assertRaises(HfHubHTTPError) as raised:
            InferenceClient(model=self.url).feature_extraction("a", prompt_name="no")
        self.assertEqual(raised.exception.response.status_code, 422)
        self.assertIn("no prompt named", raised.exception.response.json()["error"])


@unittest.skipIf(InferenceClient is None, "huggingface_hub is not installed")
class HuggingFaceKey(TeiTest):
    options = ("--api-key", "secret")

    def test_key(self):
        self.assertEqual(len(InferenceClient(model=self.url, token="secret").feature_extraction("a")), 1)
        with self.assertRaises(HfHubHTTPError) as raised:
            InferenceClient(model=self.url, token="wrong").feature_extraction("a")
        self.assertEqual(raised.exception.response.status_code, 401)
        self.assertEqual(raised.exception.response.content, b"")


if __name__ == "__main__":
    unittest.main()
