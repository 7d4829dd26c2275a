"""text-embeddings-inference's API from outside: huggingface_hub's InferenceClient, and every route as clients send it.

    HEDDLE_BUILD=build python3 -m unittest -v test_tei
"""

import json
import math
import struct
import unittest
import urllib.error
import urllib.request

from harness import cosine, rows_of
from serving import ServingTest

try:
    import numpy
    from huggingface_hub import InferenceClient
    from huggingface_hub.errors import HfHubHTTPError
except ImportError:
    InferenceClient = None

TEXTS = ["the heddle lifts the warp", "", "naïve café", "a b c d e f g"]


def norm(row):
    return math.sqrt(sum(x * x for x in row))


class TeiTest(ServingTest):
    options = ("--max-inputs", "8")

    def post(self, path, body, status=200):
        """Returns (parsed body, headers)."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                code, headers, answer = response.status, response.headers, response.read()
        except urllib.error.HTTPError as e:
            code, headers, answer = e.code, e.headers, e.read()
        self.assertEqual(code, status, answer)
        return json.loads(answer), headers

    def refuses(self, path, body, status, kind, says):
        answer, _ = self.post(path, body, status)
        self.assertEqual(answer["error_type"], kind)
        self.assertIn(says, answer["error"])
        self.assertEqual(set(answer), {"error", "error_type"})

    def embedded(self, texts, *options):
        """The vectors of `heddle embed`."""
        out, _ = self.heddle("embed", "--model", self.model_dir(), "--format", "f32", *options, stdin="\n".join(texts) + "\n")
        return rows_of(out, len(out) // 4 // len(texts))

    def model_dir(self):
        return self.server.args[self.server.args.index("--model") + 1]


class Routes(TeiTest):
    def test_embed(self):
        texts = [t for t in TEXTS if t]
        vectors, headers = self.post("/embed", {"inputs": texts})
        self.assertEqual(len(vectors), len(texts))
        for vector, wanted in zip(vectors, self.embedded(texts)):
            self.assertAlmostEqual(norm(vector), 1, places=5)
            self.assertGreater(cosine(vector, wanted), 0.999999)
        self.assertEqual(headers["x-compute-characters"], str(sum(map(len, texts))))
        self.assertGreater(int(headers["x-compute-tokens"]), 10)
        for name in ("compute", "total", "tokenization", "queue", "inference"):
            self.assertRegex(headers[f"x-{name}-time"], r"^\d+$")
        single, _ = self.post("/embed", {"inputs": texts[0]})
        self.assertEqual(single, vectors[:1])

    def test_embed_token_ids(self):
        tokens, _ = self.post("/tokenize", {"inputs": TEXTS[0]})
        ids = [t["id"] for t in tokens[0]]
        vectors, _ = self.post("/embed", {"inputs": [TEXTS[0], ids]})
        self.assertEqual(vectors[0], vectors[1])
        single, _ = self.post("/embed", {"inputs": ids})
        self.assertEqual(single, vectors[:1])

    def test_embed_options(self):
        whole, _ = self.post("/embed", {"inputs": TEXTS[0], "normalize": False})
        short, _ = self.post("/embed", {"inputs": TEXTS[0], "dimensions": 8})
        self.assertEqual(len(short[0]), 8)
        self.assertAlmostEqual(norm(short[0]), 1, places=5)
        self.assertGreater(cosine(short[0], whole[0][:8]), 0.999999)
        self.assertNotAlmostEqual(norm(whole[0]), 1, places=2)
        base64, _ = self.post("/embed", {"inputs": TEXTS[0], "dimensions": 8, "encoding_format": "base64"})
        import base64 as codec

        self.assertEqual(list(struct.unpack("<8f", codec.b64decode(base64[0]))), [numpy_free(x) for x in short[0]])

    def test_truncation(self):
        text = " ".join(f"w{i}" for i in range(500))
        info = json.load(urllib.request.urlopen(self.url + "/info", timeout=60))
        cut, headers = self.post("/embed", {"inputs": text, "truncate": True})
        self.assertEqual(headers["x-compute-tokens"], str(info["max_input_length"]))
        other, _ = self.post("/embed", {"inputs": text, "truncate": True, "truncation_direction": "left"})
        self.assertNotEqual(cut, other)
        self.refuses("/embed", {"inputs": text, "truncate": False}, 422, "Validation",
                     f"`inputs` must have less than {info['max_input_length']} tokens. Given: ")

    def test_similarity(self):
        scores, _ = self.post("/similarity", {"inputs": {"source_sentence": "a b", "sentences": ["a b", "z y x"]}})
        vectors, _ = self.post("/embed", {"inputs": ["a b", "z y x"]})
        self.assertAlmostEqual(scores[0], 1, places=5)
        self.assertAlmostEqual(scores[1], cosine(*vectors), places=5)

    def test_tokenize(self):
        text = "naïve café heddle"
        (tokens,), _ = self.post("/tokenize", {"inputs": text})
        self.assertTrue(tokens[0]["special"] and tokens[-1]["special"])
        self.assertEqual((tokens[0]["start"], tokens[0]["text"]), (None, "[CLS]"))
        for token in tokens[1:-1]:
            self.assertEqual(token["text"], text.encode()[token["start"]:token["stop"]].decode())
        (bare,), _ = self.post("/tokenize", {"inputs": text, "add_special_tokens": False})
        self.assertEqual(bare, tokens[1:-1])

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
        info = json.load(urllib.request.urlopen(self.url + "/info", timeout=60))
        self.assertEqual(info["max_client_batch_size"], 8)
        self.assertEqual(info["model_type"], {"embedding": {"pooling": "mean"}})
        with urllib.request.urlopen(self.url + "/ping", timeout=60) as response:
            self.assertEqual((response.status, response.read()), (200, b""))


def numpy_free(x):
    """A decimal as the f32 it stands for."""
    return struct.unpack("<f", struct.pack("<f", x))[0]


class Prompts(TeiTest):
    model = "tiny-prompts"

    def test_prompts(self):
        query, passage, bare = (
            self.post("/embed", {"inputs": "a b", **options})[0][0]
            for options in ({}, {"prompt_name": "passage"}, {"prompt": ""}))
        for vector, options in ((query, ["--prompt-name", "query"]), (passage, ["--prompt-name", "passage"])):
            self.assertGreater(cosine(vector, self.embedded(["a b"], *options)[0]), 0.999999)
        self.assertNotEqual(bare, query)
        (tokens,), _ = self.post("/tokenize", {"inputs": "a b", "prompt_name": "passage"})
        self.assertEqual("passage: a b".split(), ["".join(t["text"] for t in tokens[1:-3]), *(t["text"] for t in tokens[-3:-1])])


@unittest.skipIf(InferenceClient is None, "huggingface_hub is not installed")
class HuggingFace(TeiTest):
    def test_feature_extraction(self):
        client = InferenceClient(model=self.url)
        vectors = client.feature_extraction(TEXTS[0])
        self.assertEqual((vectors.shape[0], vectors.dtype), (1, numpy.float32))
        wanted = self.embedded([TEXTS[0]])[0]
        self.assertGreater(cosine(vectors[0].tolist(), wanted), 0.999999)
        many = client.feature_extraction([TEXTS[0], TEXTS[2]], normalize=True, truncate=True, truncation_direction="left", dimensions=8)
        self.assertEqual(many.shape, (2, 8))
        self.assertTrue(numpy.allclose(numpy.linalg.norm(many, axis=1), 1, atol=1e-5))
        raw = client.feature_extraction(TEXTS[0], normalize=False)
        self.assertFalse(numpy.allclose(numpy.linalg.norm(raw), 1, atol=1e-2))

    def test_its_routes(self):
        """With the route's own address."""
        client = InferenceClient(model=self.url + "/embed")
        self.assertEqual(len(client.feature_extraction("a")), 1)
        client = InferenceClient(model=self.url + "/similarity")
        self.assertAlmostEqual(client.sentence_similarity("a", ["a"])[0], 1, places=5)

    def test_sentence_similarity(self):
        client = InferenceClient(model=self.url)
        scores = client.sentence_similarity("a b", ["a b", "z y x"])
        self.assertEqual(len(scores), 2)
        self.assertAlmostEqual(scores[0], 1, places=5)
        self.assertLess(scores[1], 1)

    def test_errors(self):
        client = InferenceClient(model=self.url)
        with self.assertRaises(HfHubHTTPError) as raised:
            client.feature_extraction("a", prompt_name="no")
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
