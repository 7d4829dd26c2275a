"""/openapi.json against the server that it describes: schemathesis sends what the document allows and what it forbids, and
holds every answer against it. Bounded in examples and in time, with a fixed seed.

    HEDDLE_BUILD=build python3 -m unittest -v test_openapi
"""

import importlib.util
import json
import subprocess
import sys
import unittest

from serving import PATIENCE_S, ServedTest

# Requests that follow the schema may still ask for what this model has not: other heads, more dimensions, a prompt. Heads
# that are missing are 501 at llama.cpp's routes and 424 at TEI's.
CONFIG = """
seed = 1

[checks.not_a_server_error]
expected-statuses = ["2xx", "4xx", 501, 504]

[checks.positive_data_acceptance]
expected-statuses = ["2xx", 400, 404, 422, 424, 429, 501, 504]

[checks.negative_data_rejection]
expected-statuses = [400, 404, 405, 415, 422, 424, 429, 501, 504]
"""

ALTERNATIVES = ("/embedding", "/embeddings")  # "content" in place of "input", which is not looked at then


class OpenApi(ServedTest):
    def document(self, path="/openapi.json"):
        answer = self.ask(path)
        self.assertEqual((answer.status, answer.headers["Content-Type"]), (200, "application/json"))
        return answer.json

    def test_document(self):
        document = self.document()
        self.assertEqual(document["openapi"], "3.1.0")
        for path in ("/v1/embeddings", "/embed", "/openapi.json", "/health"):
            self.assertIn(path, document["paths"])
        self.assertEqual(document, self.document("/api-doc/openapi.json"))

    # A request that each operation takes, and the fields that Heddle adds to protocols.
    BODIES = {
        "/rerank": {"query": "a", "documents": ["b"]}, "/reranking": {"query": "a", "documents": ["b"]},
        "/v1/rerank": {"query": "a", "documents": ["b"]}, "/v1/reranking": {"query": "a", "documents": ["b"]},
        "/v2/rerank": {"query": "a", "documents": ["b"]}, "/v1/embeddings": {"input": "a"}, "/embeddings": {"input": "a"},
        "/embedding": {"content": "a"}, "/embed": {"inputs": "a"}, "/embed_all": {"inputs": "a"},
        "/embed_sparse": {"inputs": "a"}, "/predict": {"inputs": "a"}, "/tokenize": {"inputs": "a"},
        "/v1/embed": {"texts": ["a"]}, "/v2/embed": {"texts": ["a"], "embedding_types": ["float"], "input_type": "search_query"},
        "/api/embed": {"input": "a"}, "/api/embeddings": {"prompt": "a"},
        "/similarity": {"inputs": {"source_sentence": "a", "sentences": ["b"]}},
    }
    EXTRAS = ("prompt_name", "prompt", "truncate", "normalize", "output_dtype", "raw_scores", "timeout_ms", "heads", "long_text")

    def properties(self, document, schema):
        """Names of the fields of all schemas that it may be."""
        if "$ref" in schema:
            schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
        parts = [self.properties(document, part) for kind in ("anyOf", "oneOf", "allOf") for part in schema.get(kind, [])]
        return set(schema.get("properties", {})).union(*parts)

    def test_every_field_is_documented(self):
        """What is refused when it has a wrong type is read; what is read is in the document, and the other way around."""
        document, n_read = self.document(), 0
        for path, body in self.BODIES.items():
            schema = document["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"]
            documented = self.properties(document, schema)
            for name in self.EXTRAS:
                if name in body:
                    continue
                answer = self.ask(path, {**body, name: {"no": "such"}})
                is_read = answer.status in (400, 413, 422) and f"`{name}`".encode() in answer.body
                n_read += is_read
                if is_read:
                    self.assertIn(name, documented, path)
                elif json.dumps(schema).count("$ref") == 1:
                    self.assertNotIn(name, documented, (path, answer.status, answer.body))
        self.assertGreater(n_read, 60)

    @unittest.skipIf(importlib.util.find_spec("schemathesis") is None, "schemathesis is not installed")
    def test_schemathesis(self):
        shared, own = [], []
        for path, methods in self.document()["paths"].items():
            takes = json.dumps(methods.get("post", {}).get("requestBody", {}))
            if path != "/":
                (shared if takes.count("$ref") > 1 or path in ALTERNATIVES else own).append(path)
        self.check(own)
        # An operation that protocols share takes what any of them takes, but looks at the fields of one: what the schemas of
        # the others forbid passes.
        self.check(shared, "--exclude-checks", "negative_data_rejection")
        # GET / is the page, which is no protocol's.
        self.check(["/"], "--exclude-checks", "negative_data_rejection,allow_header_conformance,unsupported_method")

    def check(self, paths, *options):
        (self.folder / "schemathesis.toml").write_text(CONFIG)
        # The module's own command line, so that the interpreter is this one.
        line = [sys.executable, "-c", "from schemathesis.cli import schemathesis; schemathesis()", "run", self.url + "/openapi.json",
                "--phases", "coverage,fuzzing", "--max-examples", "10", "--checks", "all", "--no-color",
                *(f"--include-path={p}" for p in paths), *options]
        done = subprocess.run(line, cwd=self.folder, env=self.env, capture_output=True, text=True, timeout=4 * PATIENCE_S)
        self.assertEqual(done.returncode, 0, done.stdout[-20000:] + done.stderr[-2000:])
        self.assertIsNone(self.server.poll())


if __name__ == "__main__":
    unittest.main()
