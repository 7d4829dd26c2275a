"""Ollama's, llama.cpp's, Cohere's and Jina's APIs over HTTP: the numbers are those of `heddle embed`, errors are the protocol's own.

    HEDDLE_BUILD=build python3 -m unittest -v test_protocols
"""

import struct
import unittest
import urllib.request

from serving import ServedTest, floats

TEXTS = ["hello world", "Größe 東京", "a much longer text that says hello to the world again and again"]


def half(value):
    return struct.unpack("<e", struct.pack("<e", value))[0]


def int8(row):
    scale = 127 / max(map(abs, row))
    return [round(v * scale) for v in row]


def bits(row):
    padded = [v > 0 for v in row] + [False] * (-len(row) % 8)
    return [sum(bit << (7 - i) for i, bit in enumerate(padded[at:at + 8])) for at in range(0, len(padded), 8)]


class Ollama(ServedTest):
    def test_embed(self):
        expected = self.vectors(TEXTS)
        got = self.json("/api/embed", {"model": "all-minilm", "input": TEXTS, "keep_alive": "5m"})
        self.close(got["embeddings"], expected)
        self.assertEqual(got["model"], "all-minilm")
        self.assertGreater(got["total_duration"], 0)
        self.assertGreaterEqual(got["total_duration"], got["load_duration"])
        self.assertGreater(got["prompt_eval_count"], 6)
        self.close(self.json("/api/embed", {"model": "m", "input": TEXTS[0]})["embeddings"], expected[:1])
        self.assertEqual(self.json("/api/embed", {"model": "m", "input": ""}), {"model": "m", "embeddings": []})

    def test_options(self):
        got = self.json("/api/embed", {"input": TEXTS[0], "dimensions": 8})
        self.close(got["embeddings"], self.vectors(TEXTS[0], "--dimensions", "8"))
        got = self.json("/api/embed", {"input": TEXTS[2], "options": {"num_ctx": 6}})
        self.close(got["embeddings"], self.vectors(TEXTS[2], "--max-length", "6"))
        self.assertEqual(got["prompt_eval_count"], 6)
        got = self.json("/api/embed", {"input": TEXTS[2], "options": {"num_ctx": 6}, "truncate": False}, 400)
        self.assertTrue(got["error"].startswith("the input length exceeds the context length: input 0 has "), got)

    def test_older_route_gives_vectors_as_pooled(self):
        got = self.json("/api/embeddings", {"model": "m", "prompt": TEXTS[0]})
        self.close([got["embedding"]], self.vectors(TEXTS[0], "--no-normalize"), 1e-5)

    def test_facts(self):
        tags = self.json("/api/tags")["models"]
        self.assertTrue(tags[0]["name"].endswith("tiny-mrl:latest"))
        self.assertEqual(len(tags[0]["digest"]), 64)
        shown = self.json("/api/show", {"model": tags[0]["name"]})
        self.assertEqual(shown["model_info"]["bert.embedding_length"], 40)
        self.assertEqual(shown["capabilities"], ["embedding"])
        self.json("/api/embed", {"input": "a"})
        [running] = self.json("/api/ps")["models"]
        self.assertEqual(running.keys() ^ tags[0].keys(), {"modified_at", "expires_at", "size_vram", "context_length"})
        self.assertEqual([running[key] for key in ("name", "model", "digest")], [tags[0][key] for key in ("name", "model", "digest")])
        self.assertGreater(running["size"], 0)
        with urllib.request.urlopen(urllib.request.Request(self.url + "/", method="HEAD")) as alive:  # as its program asks
            self.assertEqual(alive.status, 200)
        self.assertRegex(self.json("/api/version")["version"], r"^\d+\.\d+\.\d+$")

    def test_errors(self):
        self.assertEqual(self.json("/api/embed", b"", 400), {"error": "missing request body"})
        self.assertIn("not JSON", self.json("/api/embed", b"{", 400)["error"])
        self.assertEqual(list(self.json("/api/embed", {"input": 5}, 400)), ["error"])
        self.assertEqual(list(self.json("/api/embed", {"input": "a", "dimensions": 41}, 400)), ["error"])


class OllamaModels(ServedTest):
    models = ("tiny-mrl", "tiny-relu")

    def test_models_by_name_and_tag(self):
        names = [model["name"] for model in self.json("/api/tags")["models"]]
        self.assertEqual(len(names), 2)
        for name, folder in zip(names, self.models):
            for asked in (name, name.removesuffix(":latest")):
                got = self.json("/api/embed", {"model": asked, "input": TEXTS[0]})
                self.close(got["embeddings"], self.vectors(TEXTS[0], model=folder))
        self.assertIn("nobody", self.json("/api/embed", {"model": "nobody", "input": "a"}, 404)["error"])
        self.assertIn("nobody", self.json("/v2/embed", {"model": "nobody", "texts": ["a"]}, 404)["message"])


class LlamaCpp(ServedTest):
    def test_embedding(self):
        expected = self.vectors(TEXTS)
        for path, field in (("/embedding", "content"), ("/embedding", "input"), ("/embeddings", "content"), ("/v1/embeddings", "content")):
            got = self.json(path, {field: TEXTS})
            self.assertEqual([entry["index"] for entry in got], [0, 1, 2])
            self.close([entry["embedding"][0] for entry in got], expected)

        got = self.json("/embeddings", {"input": TEXTS})  # without "content" it is OpenAI's, as at text-embeddings-inference
        self.close([entry["embedding"] for entry in got["data"]], expected)

    def test_norms(self):
        raw = self.vectors(TEXTS[0], "--no-normalize")[0]
        scales = {-1: 1, 0: 32760 / max(map(abs, raw)), 1: 1 / sum(map(abs, raw)), 2: 1 / sum(v * v for v in raw) ** 0.5,
                  3: 1 / sum(abs(v) ** 3 for v in raw) ** (1 / 3)}
        for norm, scale in scales.items():
            got = self.json("/embedding", {"content": TEXTS[0], "embd_normalize": norm})
            self.close(got[0]["embedding"], [[v * scale for v in raw]], 1e-5 * max(1, scale))
        got = self.json("/v1/embeddings", {"input": TEXTS[0], "embd_normalize": 3, "encoding_format": "base64"})
        self.close([floats(got["data"][0]["embedding"])], [[v * scales[3] for v in raw]], 1e-5)

    def test_token_ids(self):
        ids = self.json("/tokenize", {"content": TEXTS[2], "add_special": True})["tokens"]
        self.assertEqual(len(ids), len(self.json("/tokenize", {"content": TEXTS[2]})["tokens"]) + 2)
        got = self.json("/embedding", {"content": [ids, TEXTS[2]]})
        self.close(got[0]["embedding"], got[1]["embedding"])
        rest = self.json("/tokenize", {"content": TEXTS[0]})["tokens"]
        got = self.json("/embedding", {"content": [[*ids, 9, *rest], [TEXTS[2], 9, TEXTS[0]], {"prompt_string": TEXTS[2]}]})
        self.close(got[1]["embedding"], got[0]["embedding"])
        self.close(got[2]["embedding"], self.vectors(TEXTS[2]))
        [one] = self.json("/embedding", {"content": [TEXTS[2], 9, TEXTS[0]]})
        self.close(one["embedding"], got[0]["embedding"])
        pieces = self.json("/tokenize", {"content": "hello", "with_pieces": True})["tokens"]
        self.assertEqual("".join(token["piece"].removeprefix("##") for token in pieces), "hello")
        self.assertEqual(self.json("/tokenize", {"content": ""})["tokens"], [])
        self.assertEqual(self.json("/detokenize", {"tokens": self.json("/tokenize", {"content": TEXTS[2]})["tokens"]}), {"content": TEXTS[2]})
        self.assertEqual(self.json("/detokenize", {"tokens": []}), {"content": ""})
        long = self.json("/tokenize", {"content": "hello " * 500}, 400)
        self.assertEqual(long["error"]["type"], "exceed_context_size_error")

    def test_facts(self):
        props = self.json("/props")
        self.assertEqual(props["default_generation_settings"]["n_ctx"], 128)
        slots = self.json("/slots?fail_on_no_slot=1")
        self.assertEqual(len(slots), props["total_slots"])
        self.assertEqual(self.json("/models")["data"][0]["meta"]["n_embd"], 40)
        self.assertEqual(self.json("/health"), {"status": "ok"})

    def test_errors(self):
        def error(path, body, status):
            got = self.json(path, body, status)["error"]
            self.assertEqual(got["code"], status)
            return got["type"], got["message"]
        self.assertEqual(error("/embedding", {}, 400), ("invalid_request_error", '"input" or "content" must be provided'))
        self.assertEqual(error("/embedding", {"content": ""}, 400), ("invalid_request_error", "Input content cannot be empty"))
        self.assertEqual(error("/embedding", b"[", 400)[0], "invalid_request_error")
        for path in ("/rerank", "/reranking", "/v1/reranking"):
            self.assertEqual(error(path, {"query": "q", "documents": ["a"]}, 501)[0], "not_supported_error")
        self.assertEqual(error("/reranking", {"query": "q", "texts": ["a"]}, 501)[0], "not_supported_error")
        self.assertEqual(error("/props", {}, 501)[0], "not_supported_error")
        self.assertEqual(error("/apply-template", {"messages": []}, 501)[0], "not_supported_error")
        long = self.json("/embedding", {"content": "hello " * 500, "truncate": False}, 400)["error"]
        self.assertEqual((long["type"], long["n_ctx"]), ("exceed_context_size_error", 128))
        self.assertGreater(long["n_prompt_tokens"], 128)


class Cohere(ServedTest):
    def test_types_are_exact(self):
        rows = self.vectors(TEXTS)
        got = self.json("/v2/embed", {"model": "embed-v4", "texts": TEXTS, "input_type": "search_document",
                                      "embedding_types": ["float", "int8", "uint8", "binary", "ubinary", "base64", "float16"]})
        sent, kinds = got["texts"], got["embeddings"]
        self.assertEqual(sent, TEXTS)
        self.close(kinds["float"], rows)
        rows = kinds["float"]  # the rest is made of these very numbers
        for i, row in enumerate(rows):
            f32 = [struct.unpack("<f", struct.pack("<f", v))[0] for v in row]
            self.assertEqual(floats(kinds["base64"][i]), f32)
            self.assertEqual([half(v) for v in kinds["float16"][i]], [half(v) for v in f32])
            self.close([kinds["float16"][i]], [[half(v) for v in f32]], 1e-8)
            self.assertEqual(kinds["int8"][i], int8(f32))
            self.assertEqual(kinds["uint8"][i], [v + 128 for v in kinds["int8"][i]])
            self.assertEqual(kinds["ubinary"][i], bits(f32))
            self.assertEqual(kinds["binary"][i], [v - 128 for v in bits(f32)])

    def test_v1(self):
        got = self.json("/v1/embed", {"texts": TEXTS, "truncate": "END"})
        self.assertEqual(got["response_type"], "embeddings_floats")
        self.close(got["embeddings"], self.vectors(TEXTS))

    def test_options(self):
        got = self.json("/v2/embed", {"texts": TEXTS, "output_dimension": 16})
        self.close(got["embeddings"]["float"], self.vectors(TEXTS, "--dimensions", "16"))
        got = self.json("/v2/embed", {"texts": [TEXTS[2]], "max_tokens": 6})
        self.close(got["embeddings"]["float"], self.vectors(TEXTS[2], "--max-length", "6"))
        got = self.json("/v2/embed", {"inputs": [{"content": [{"type": "text", "text": TEXTS[0]}]}]})
        self.close(got["embeddings"]["float"], self.vectors(TEXTS[0]))
        self.assertIn("tokens", self.json("/v2/embed", {"texts": [TEXTS[2]], "max_tokens": 6, "truncate": "NONE"}, 400)["message"])

    def test_errors(self):
        for path, body in (("/v2/rerank", {"query": "q", "documents": ["a"]}), ("/v1/rerank", {"query": "q", "documents": ["a"], "rank_fields": ["text"]})):
            got = self.json(path, body, 422)
            self.assertRegex(got["message"], "^invalid request: .*cannot rerank$")
            self.assertTrue(got["id"])
        self.assertEqual(sorted(self.json("/v2/embed", {"texts": []}, 400)), ["id", "message"])
        self.json("/v2/embed", {"images": ["data:"]}, 422)


class Prompts(ServedTest):
    models = ("tiny-prompts",)

    def test_input_type_and_task_pick_prompts(self):
        query, passage = (self.vectors(TEXTS, "--prompt-name", name) for name in ("query", "passage"))
        for kind, rows in (("search_query", query), ("search_document", passage), ("clustering", query)):  # query is the default
            got = self.json("/v2/embed", {"texts": TEXTS, "input_type": kind})
            self.close(got["embeddings"]["float"], rows)
        for task, rows in (("retrieval.query", query), ("retrieval.passage", passage), ("text-matching", query)):
            got = self.json("/v1/embeddings", {"input": TEXTS, "task": task})
            self.close([entry["embedding"] for entry in got["data"]], rows)
        got = self.json("/v2/embed", {"texts": TEXTS, "input_type": "search_query", "prompt_name": "passage"})
        self.close(got["embeddings"]["float"], passage)


class Jina(ServedTest):
    def test_embeddings(self):
        rows = self.vectors(TEXTS)
        got = self.json("/v1/embeddings", {"model": "jina-embeddings-v3", "task": "text-matching", "input": [{"text": text} for text in TEXTS]})
        self.assertEqual(got["model"], "jina-embeddings-v3")
        self.assertEqual(got["usage"]["total_tokens"], got["usage"]["prompt_tokens"])
        self.close([entry["embedding"] for entry in got["data"]], rows)
        got = self.json("/v1/embeddings", {"input": TEXTS, "embedding_type": "ubinary"})
        self.assertEqual([entry["embedding"] for entry in got["data"]], [bits(row) for row in rows])
        got = self.json("/v1/embeddings", {"input": TEXTS[0], "normalized": False, "embedding_type": "base64"})
        self.close([floats(got["data"][0]["embedding"])], self.vectors(TEXTS[0], "--no-normalize"), 1e-5)

    def test_late_chunking(self):
        got = self.json("/v1/embeddings", {"input": TEXTS, "late_chunking": True})
        self.close([entry["embedding"] for entry in got["data"]], self.vectors(TEXTS, "--long-text", "late"), 1e-5)

    def test_errors(self):
        self.assertRegex(self.json("/v1/rerank", {"query": "q", "documents": ["a"]}, 400)["detail"], "cannot rerank$")
        error = self.json("/v1/embeddings", {"input": "a", "heads": ["dense", "colbert", "sparse"]}, 400)["error"]
        self.assertEqual(error["param"], "heads")
        self.assertRegex(error["message"], 'has no head "sparse"$')
        self.assertIn("input", self.json("/v1/embeddings", {"task": "text-matching"}, 422)["detail"])


if __name__ == "__main__":
    unittest.main()
