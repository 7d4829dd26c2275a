"""OpenAI's embeddings API: its own client against a running server, and every error by its exact body."""

import json
import struct
import unittest

from serving import ServedTest, floats

try:
    import openai
except ImportError:
    openai = None

TEXTS = ["river stone", "the garden in winter", "music and bread"]


def error(message, param=None, code=None, kind="invalid_request_error"):
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


class Embeddings(ServedTest):
    def embed(self, status=200, **body):
        return self.json("/v1/embeddings", body, status)

    def rows(self, **body):
        return [d["embedding"] for d in self.embed(**body)["data"]]

    def test_shape(self):
        got = self.embed(input=TEXTS, model="any")
        self.assertEqual(list(got), ["object", "data", "model", "usage"])
        self.assertEqual(got["object"], "list")
        self.assertEqual(got["model"], "any")
        self.assertEqual([d["index"] for d in got["data"]], [0, 1, 2])
        self.assertEqual({d["object"] for d in got["data"]}, {"embedding"})
        self.assertEqual(got["usage"]["prompt_tokens"], got["usage"]["total_tokens"])
        self.close([d["embedding"] for d in got["data"]], self.vectors(TEXTS))
        again = self.embed(input=TEXTS, model="any")  # out of the cache: tokens count all the same
        self.assertEqual(again, got)

    def test_forms(self):
        one = self.rows(input="river stone")
        self.close(one, self.vectors("river stone"))
        self.assertEqual(self.rows(input=["river stone"]), one)
        ids = self.json("/tokenize", {"inputs": "river stone"})[0]
        ids = [t["id"] for t in ids]
        self.assertEqual(self.rows(input=ids), one)
        self.assertEqual(self.rows(input=[ids, "river stone"]), one + one)
        self.assertEqual(self.embed(input=ids)["usage"]["total_tokens"], len(ids))

    def test_base64_and_dtypes(self):
        plain = self.rows(input=TEXTS)
        coded = self.rows(input=TEXTS, encoding_format="base64")
        self.close([floats(c) for c in coded], plain, 1e-7)
        half = self.rows(input=TEXTS, output_dtype="float16")
        self.close(half, plain, 1e-3)
        for name, low, high in (("int8", -127, 127), ("uint8", 1, 255)):
            rows = self.rows(input=TEXTS, output_dtype=name)
            self.assertTrue(all(isinstance(v, int) and low <= v <= high for row in rows for v in row))
        bits = self.rows(input=TEXTS, output_dtype="ubinary")
        signed = self.rows(input=TEXTS, output_dtype="binary")
        for row, byte_row, signed_row in zip(plain, bits, signed):
            wanted = [sum((row[8 * i + k] > 0) << (7 - k) for k in range(8)) for i in range(len(row) // 8)]
            self.assertEqual(byte_row, wanted)
            self.assertEqual(signed_row, [b - 128 for b in wanted])

    def test_dimensions(self):
        for n in (1, 7, 40):
            self.close(self.rows(input=TEXTS, dimensions=n), self.vectors(TEXTS, "--dimensions", str(n), dimensions=n))
        self.assertEqual(self.embed(400, input="x", dimensions=41),
                         error("`dimensions` is 41, the model gives at most 40", "dimensions", "invalid_value"))
        self.embed(400, input="x", dimensions=0)

    def test_options(self):
        long = "river " * 3000
        self.assertEqual(self.rows(input=long), self.rows(input=long, truncate=True))
        n = self.embed(input=long)["usage"]["total_tokens"]
        refused = self.embed(400, input=["x", long], truncate=False)["error"]
        self.assertEqual((refused["param"], refused["code"]), ("input", "context_length_exceeded"))
        self.assertEqual(refused["message"], f"input 1 has 3002 tokens, the model takes at most {n}")
        other = "garden " + long
        self.assertNotEqual(self.rows(input=other, truncate="END"), self.rows(input=other, truncate="START"))
        self.assertEqual(self.rows(input=other, truncate="START"), self.rows(input=long))
        self.assertEqual(self.rows(input="stone", prompt="river "), self.rows(input="river stone"))
        self.assertEqual(self.embed(400, input="x", prompt_name="nobody")["error"]["param"], "prompt_name")

    def test_text_of_all_kinds(self):
        odd = ["\0", "a\0b", "\U0001f600 \u4e2d\u6587 e\u0301", "\u202e", " ", "\n" * 50, "\\\"'"]
        self.assertEqual(len(self.rows(input=odd)), len(odd))
        self.assertEqual(self.rows(input=odd), [self.rows(input=o)[0] for o in odd])

    def test_errors(self):
        said = {
            b"": "the request has no body",
            b"{": "the body is not JSON: line 1 column 1: string or '}' expected near end of file",
            b"[]": "the body is not a JSON object",
            b"[" * 40: "the body nests deeper than 32 levels",
            b'{"input": "\\ud800"}': None,
            b'{"input": "\xff"}': None,
            b'{"input": "x"} y': None,
            b'{"input": 1e999}': None,
        }
        for body, message in said.items():
            got = self.json("/v1/embeddings", body, 400)
            self.assertEqual(got["error"]["type"], "invalid_request_error", body)
            if message:
                self.assertEqual(got, error(message))
        ids = "`input` is not a string, a list of strings, a list of token ids, a list of lists of token ids"
        for body, wanted in (
                ({}, error("`input` is missing", "input", "missing_required_parameter")),
                ({"input": None}, error("`input` is missing", "input", "missing_required_parameter")),
                ({"input": 5}, error(ids, "input", "invalid_type")),
                ({"input": {"a": 1}}, error(ids, "input", "invalid_type")),
                ({"input": ["a", 5]}, error(ids, "input", "invalid_type")),
                ({"input": [5, "a"]}, error(ids, "input", "invalid_type")),
                ({"input": []}, error("`input` cannot be an empty list", "input", "invalid_value")),
                ({"input": ""}, error("`input` cannot be an empty string", "input", "invalid_value")),
                ({"input": ["a", ""]}, error("`input` cannot be an empty string", "input", "invalid_value")),
                ({"input": [[]]}, error("`input` holds an empty list of token ids", "input", "invalid_value")),
                ({"input": [-1]}, error("`input`: -1 is no token id", "input", "invalid_value")),
                ({"input": [2**40]}, error(f"`input`: {2**40} is no token id", "input", "invalid_value")),
                ({"input": ["a"] * 2049}, error("`input` holds 2049 inputs, the limit is 2048", "input", "array_above_max_length")),
                ({"input": "a", "encoding_format": "hex"},
                 error('`encoding_format` is "hex", allowed are float, base64', "encoding_format", "invalid_value")),
                ({"input": "a", "dimensions": "3"}, error("`dimensions` is not an integer", "dimensions", "invalid_type")),
                ({"input": "a", "model": 3}, error("`model` is not a string", "model", "invalid_type"))):
            self.assertEqual(self.json("/v1/embeddings", body, 400), wanted, body)
        self.assertIn("token id 99999999", self.json("/v1/embeddings", {"input": [99999999]}, 400)["error"]["message"])
        self.assertEqual(len(self.rows(input=["a"] * 2048)), 2048)
        self.embed(input="a", user="someone", unknown=[1, {"x": None}])

    def test_models(self):
        listed = self.json("/v1/models")
        self.assertEqual(listed["object"], "list")
        name = listed["data"][0]["id"]
        self.assertEqual(self.json(f"/v1/models/{name}")["id"], name)

    @unittest.skipUnless(openai, "the openai package is not installed")
    def test_client(self):
        with openai.OpenAI(base_url=self.url + "/v1", api_key="none", max_retries=0) as client:
            got = client.embeddings.create(model="text-embedding-3-small", input=TEXTS)  # asks for base64
            self.close([d.embedding for d in got.data], self.vectors(TEXTS), 1e-6)
            self.assertGreater(got.usage.total_tokens, 6)
            plain = client.embeddings.create(model="m", input="river stone", encoding_format="float", dimensions=8)
            self.assertEqual(len(plain.data[0].embedding), 8)
            self.assertEqual(len(client.models.list().data), 1)
            with self.assertRaises(openai.BadRequestError) as caught:
                client.embeddings.create(model="m", input=[])
            self.assertEqual(caught.exception.param, "input")


class Several(ServedTest):
    models = ("tiny-mrl", "tiny-cls")

    def test_names(self):
        names = [m["id"] for m in self.json("/v1/models")["data"]]
        self.assertEqual(len(names), 2)
        for name in names + ["tiny-cls", "TINY-CLS", "x/tiny-cls", "tiny-cls:latest"]:
            self.assertEqual(self.json("/v1/embeddings", {"input": "a", "model": name})["model"], name)
        missing = self.json("/v1/embeddings", {"input": "a", "model": "gone"}, 404)
        self.assertEqual(missing, error("The model `gone` does not exist", "model", "model_not_found"))
        self.json("/v1/embeddings", {"input": "a"})  # the first is the default


if __name__ == "__main__":
    unittest.main()
