"""The retrieval plugin's API as its clients use it, held against the OpenAPI document that it publishes.

    HEDDLE_BUILD=build python3 -m unittest -v test_plugin
"""

import importlib.util
import json
import os
import subprocess
import sys
import unittest
import urllib.request
import uuid

from serving import PATIENCE_S, IndexTest

TOKEN = {"Authorization": "Bearer secret"}

# What the plugin's own .well-known/openapi.yaml says (b28ddce): of each schema the properties with their types, those in
# CAPITALS are required.
PUBLISHED = {
    "Source": {},
    "DocumentMetadataFilter": {"document_id": "string", "source": "Source", "source_id": "string", "author": "string", "start_date": "string",
                               "end_date": "string"},
    "Query": {"QUERY": "string", "filter": "DocumentMetadataFilter", "top_k": "integer"},
    "QueryRequest": {"QUERIES": ["Query"]},
    "DocumentChunkMetadata": {"source": "Source", "source_id": "string", "url": "string", "created_at": "string", "author": "string",
                              "document_id": "string"},
    "DocumentChunkWithScore": {"id": "string", "TEXT": "string", "METADATA": "DocumentChunkMetadata", "embedding": ["number"], "SCORE": "number"},
    "QueryResult": {"QUERY": "string", "RESULTS": ["DocumentChunkWithScore"]},
    "QueryResponse": {"RESULTS": ["QueryResult"]},
    "ValidationError": {"LOC": ["any"], "MSG": "string", "TYPE": "string"},
    "HTTPValidationError": {"detail": ["ValidationError"]},
}


def kind_of(schema):
    """A name, a type, or a list of one of them."""
    if schema.get("type") == "array":
        return [kind_of(schema["items"])]
    return schema["$ref"].rpartition("/")[2] if "$ref" in schema else schema.get("type", "any")


def facts_of(schemas):
    return {name: {field.upper() if field in schema.get("required", ()) else field: kind_of(about)
                   for field, about in schema.get("properties", {}).items()} for name, schema in schemas.items()}


def form(parts):
    """A multipart body as clients write it: {name: text or (filename, type, bytes)}."""
    boundary, body = uuid.uuid4().hex, b""
    for name, value in parts.items():
        body += b"--" + boundary.encode() + b"\r\nContent-Disposition: form-data; name=\"" + name.encode() + b'"'
        if isinstance(value, tuple):
            body += b'; filename="' + value[0].encode() + b'"' + (b"\r\nContent-Type: " + value[1].encode() if value[1] else b"")
            value = value[2]
        body += b"\r\n\r\n" + (value if isinstance(value, bytes) else value.encode()) + b"\r\n"
    return body + b"--" + boundary.encode() + b"--\r\n", {"Content-Type": f"multipart/form-data; boundary={boundary}"}


class PluginTest(IndexTest):
    options = ("--api-key", "other,secret")

    def ask(self, path, body=None, headers=None):
        return super().ask(path, body, {**TOKEN, **(headers or {})})

    def delete(self, path, body=None, status=200, headers=None):
        return super().delete(path, body, status, {**TOKEN, **(headers or {})})

    def query(self, query, **fields):
        return self.json("/query", {"queries": [{"query": query, **fields}]})["results"][0]["results"]

    def valid(self, value, schema, schemas, path="$"):
        """As much of JSON Schema as the published document uses."""
        if "$ref" in schema:
            return self.valid(value, schemas[schema["$ref"].rpartition("/")[2]], schemas, path)
        kinds = {"object": dict, "array": list, "string": str, "number": (int, float), "integer": int}
        if "type" in schema and value is not None:  # what may be missing is null in the plugin's own answers
            self.assertIsInstance(value, kinds[schema["type"]], path)
        if "enum" in schema and value is not None:
            self.assertIn(value, schema["enum"], path)
        for name in schema.get("required", []):
            self.assertIn(name, value, path)
        for name, part in schema.get("properties", {}).items():
            if isinstance(value, dict) and name in value:
                self.valid(value[name], part, schemas, f"{path}.{name}")
        for i, item in enumerate(value if isinstance(value, list) else []):
            self.valid(item, schema.get("items", {}), schemas, f"{path}[{i}]")


class Plugin(PluginTest):
    def setUp(self):
        self.delete("/delete", {"delete_all": True})

    def upsert(self, *documents):
        return self.json("/upsert", {"documents": list(documents)})["ids"]

    def test_upsert_and_query(self):
        ids = self.upsert({"id": "doc1", "text": "The shuttle carries the weft.",
                           "metadata": {"source": "email", "source_id": "m-1", "url": "https://x.example/1", "created_at": "2024-05-01T10:00:00Z", "author": "Ann"}},
                          {"text": "Madder gives red."}, {"id": "empty", "text": ""}, {"text": " "})
        self.assertEqual((ids[0], ids[2]), ("doc1", "empty"))
        self.assertEqual([uuid.UUID(i).version for i in (ids[1], ids[3])], [4, 4])
        self.assertEqual(self.upsert({"id": "empty", "text": " "}, {"text": ""}), [])  # no chunk at all
        chunks = {d["document_id"]: d["chunk_count"] for d in self.json("/list", {})["documents"]}
        self.assertEqual(chunks, {"doc1": 1, ids[1]: 1, "empty": 0})
        self.assertEqual(self.upsert({"id": 7, "text": 20241121}), ["7"])
        hit = self.query("shuttle weft")[0]
        self.assertEqual(hit["id"], "doc1_0")
        self.assertEqual(hit["text"], "The shuttle carries the weft.")
        self.assertEqual(hit["metadata"], {"document_id": "doc1", "source": "email", "source_id": "m-1", "url": "https://x.example/1",
                                           "created_at": "2024-05-01T10:00:00Z", "author": "Ann"})
        self.assertIsNone(hit["embedding"])
        self.assertGreater(hit["score"], 0)
        self.assertEqual(self.query("madder")[0]["metadata"], {"document_id": ids[1], "source": None, "source_id": None, "url": None,
                                                               "created_at": None, "author": None})

    def test_chunks_as_the_plugin_cuts(self):
        text = "".join(f"Sentence number {i} of a long text about looms.\n" for i in range(100))
        self.assertEqual(self.upsert({"id": "long", "text": text}), ["long"])
        chunks = self.json("/v1/documents/long")["chunks"]
        self.assertGreater(len(chunks), 3)
        self.assertEqual([c["id"] for c in chunks], [f"long_{i}" for i in range(len(chunks))])
        for chunk in chunks:
            self.assertNotIn("\n", chunk["text"])
            self.assertTrue(chunk["text"].endswith("."), chunk["text"][-30:])
        self.upsert({"id": "long", "text": "Short now."})  # chunks of the id go first
        self.assertEqual(self.json("/v1/documents/long")["n_chunks"], 1)

    def test_top_k_and_several_queries(self):
        self.upsert(*({"id": f"d{i}", "text": f"weft number {i}"} for i in range(10)))
        self.assertEqual(len(self.query("weft")), 3)
        self.assertEqual(len(self.query("weft", top_k=7)), 7)
        both = self.json("/sub/query", {"queries": [{"query": "weft", "top_k": 1}, {"query": "number 4", "top_k": 2}]})["results"]
        self.assertEqual([(r["query"], len(r["results"])) for r in both], [("weft", 1), ("number 4", 2)])
        self.assertEqual(self.json("/query", {"queries": []}), {"results": []})

    def test_filters(self):
        for i, (source, author, day) in enumerate([("email", "Ann", "2024-01-10"), ("file", "Bob", "2024-02-10"), ("chat", "Ann \"A\\\" x", "2024-03-10")]):
            self.upsert({"id": f"d{i}", "text": "weft and warp", "metadata": {"source": source, "author": author, "source_id": f"s{i}", "created_at": day}})

        def found(**filter_):
            return sorted(hit["metadata"]["document_id"] for hit in self.query("weft", top_k=10, filter=filter_))

        self.assertEqual(found(), ["d0", "d1", "d2"])
        self.assertEqual(found(document_id="d1"), ["d1"])
        self.assertEqual(found(source="email"), ["d0"])
        self.assertEqual(found(source_id="s2"), ["d2"])
        self.assertEqual(found(author="Ann \"A\\\" x"), ["d2"])
        self.assertEqual(found(start_date="2024-02-01"), ["d1", "d2"])
        self.assertEqual(found(end_date="2024-02-10"), ["d0", "d1"])
        self.assertEqual(found(start_date="2024-02-01T00:00:00+00:00", end_date="2024-02-28", source="file"), ["d1"])
        self.assertEqual(found(start_date="some day"), [])  # unreadable is now
        self.assertEqual(found(author='x" OR id EXISTS OR author = "'), [])

    def test_delete(self):
        self.upsert(*({"id": f"d{i}", "text": "weft", "metadata": {"author": "Ann" if i < 3 else "Bob"}} for i in range(6)))
        self.assertEqual(self.delete("/delete", {"ids": ["d0", "none"]}), {"success": True})
        self.assertEqual(self.json("/list", {})["total"], 5)
        self.assertEqual(self.delete("/delete", {"filter": {"author": "Ann"}}), {"success": True})
        self.assertEqual(self.json("/list", {})["total"], 3)
        for nothing in ({}, {"ids": []}, {"filter": {}}, {"delete_all": False}):
            self.assertEqual(self.delete("/delete", nothing, 400), {"detail": "One of ids, filter, or delete_all is required"})
        self.assertEqual(self.delete("/delete", {"ids": ["d3"], "filter": {"document_id": "d4"}}), {"success": True})
        self.assertEqual([d["document_id"] for d in self.json("/list", {})["documents"]], ["d5"])
        self.delete("/delete", {"delete_all": True})
        self.assertEqual(self.json("/list", {}), {"documents": [], "total": 0})

    def test_list(self):
        self.upsert(*({"id": f"d{i}", "text": "é" * 500 + f" {i}", "metadata": {"source": "chat" if i % 2 else "file"}} for i in range(5)))
        page = self.json("/list", {"limit": 2, "offset": 1})
        self.assertEqual([d["document_id"] for d in page["documents"]], ["d1", "d2"])
        self.assertEqual(page["total"], 5)
        self.assertEqual(page["documents"][0]["metadata"]["source"], "chat")
        self.assertEqual(page["documents"][0]["sample_text"], "é" * 200)
        self.assertEqual(page["documents"][0]["chunk_count"], self.json("/v1/documents/d1")["n_chunks"])
        self.assertEqual(self.json("/list", {"filter": {"source": "chat"}})["total"], 2)

    def test_files(self):
        for name, kind, data in (("a.txt", "text/plain", b"The heddle lifts."), ("b.md", "text/markdown", b"# T\n\nThe heddle lifts."),
                                 ("c.csv", "text/csv", b"word,meaning\nheddle,lifts"), ("d.txt", None, b"The heddle lifts.")):
            body, headers = form({"file": (name, kind, data), "metadata": json.dumps({"source": "chat", "author": "Ann"})})
            (one,) = self.json("/upsert-file", body, headers=headers)["ids"]
            shown = self.json("/list", {"filter": {"document_id": one}})["documents"][0]
            self.assertEqual((shown["metadata"]["source"], shown["metadata"]["author"], shown["metadata"]["filename"], shown["metadata"]["filesize"]),
                             ("chat", "Ann", name, str(len(data))))
            self.assertIn("heddle", self.json(f"/v1/documents/{one}")["chunks"][0]["text"])
            self.delete("/delete", {"ids": [one]})
        body, headers = form({"file": ("a.txt", "text/plain", b"x " * 50), "metadata": "{not json"})
        (one,) = self.json("/upsert-file", body, headers=headers)["ids"]
        self.assertEqual(self.json(f"/v1/documents/{one}")["source"], "file")
        body, headers = form({"file": ("a.txt", "text/plain", b"x " * 50), "metadata": "{}"})
        (one,) = self.json("/upsert-file", body, headers=headers)["ids"]
        self.assertIsNone(self.json("/list", {"filter": {"document_id": one}})["documents"][0]["metadata"]["source"])
        body, headers = form({"file": ("a.bin", "application/octet-stream", bytes(range(256)) * 50)})
        broken = self.ask("/upsert-file", body, headers)
        self.assertEqual(broken.status, 500)
        self.assertRegex(broken.json["detail"], "binary|kind")
        body, headers = form({"metadata": "{}"})
        self.assertEqual(self.json("/upsert-file", body, 422, headers)["detail"][0], {"loc": ["body", "file"], "msg": "field required",
                                                                                       "type": "value_error.missing"})
        for wrong in (b"", b"--", body[:-8]):
            self.assertIn(self.ask("/upsert-file", wrong, headers).status, (422,))

    def test_tokens(self):
        for headers, status, detail in (({}, 403, "Not authenticated"), ({"Authorization": "Basic eDp5"}, 403, "Invalid authentication credentials"),
                                        ({"Authorization": "Bearer wrong"}, 401, "Invalid or missing token")):
            request = urllib.request.Request(self.url + "/query", b'{"queries":[]}', {"Content-Type": "application/json", **headers})
            with self.assertRaises(urllib.error.HTTPError) as refused:
                urllib.request.urlopen(request, timeout=PATIENCE_S)
            with refused.exception as error:
                self.assertEqual((error.code, json.loads(error.read())), (status, {"detail": detail}))
        self.assertEqual(self.json("/query", {"queries": []}, headers={"Authorization": "Bearer other"}), {"results": []})
        for path in ("/.well-known/ai-plugin.json", "/.well-known/openapi.yaml", "/.well-known/logo.png", "/sub/openapi.json"):
            with urllib.request.urlopen(self.url + path, timeout=PATIENCE_S) as open_to_all:
                self.assertEqual(open_to_all.status, 200)

    def test_published_document(self):
        """Answers are what the published OpenAPI says; the manifest leads to it."""
        manifest = self.json("/.well-known/ai-plugin.json")
        self.assertEqual(manifest["schema_version"], "v1")
        self.assertEqual(manifest["auth"], {"type": "user_http", "authorization_type": "bearer"})
        with urllib.request.urlopen(manifest["api"]["url"], timeout=PATIENCE_S) as answer:
            self.assertEqual(answer.headers["Content-Type"], "text/yaml")
            document = json.loads(answer.read())  # JSON is YAML
        self.assertEqual(list(document["paths"]), ["/query"])
        schemas = document["components"]["schemas"]
        self.assertEqual(facts_of(schemas), PUBLISHED)
        self.assertEqual(schemas["Source"]["enum"], ["email", "file", "chat"])
        self.assertEqual(schemas["Query"]["properties"]["top_k"]["default"], 3)
        self.assertEqual(document["components"]["securitySchemes"], {"HTTPBearer": {"type": "http", "scheme": "bearer"}})
        operation = document["paths"]["/query"]["post"]
        self.assertEqual((operation["operationId"], operation["security"], sorted(operation["responses"])), ("query_query_post", [{"HTTPBearer": []}], ["200", "422"]))
        self.upsert({"id": "a", "text": "weft", "metadata": {"source": "email"}})
        valid = self.json("/query", {"queries": [{"query": "weft", "filter": {"source": "email"}}, {"query": "none", "top_k": 1}]})
        self.valid(valid, {"$ref": "QueryResponse"}, schemas)
        for wrong in ({}, {"queries": [{}]}, {"queries": {}}, {"queries": [{"query": "a", "top_k": "x"}]}, {"queries": [{"query": "a", "filter": []}]}):
            answer = self.json("/query", wrong, 422)
            self.valid(answer, {"$ref": "HTTPValidationError"}, schemas)
            self.assertEqual(answer["detail"][0]["loc"][0], "body")
        with urllib.request.urlopen(manifest["logo_url"], timeout=PATIENCE_S) as logo:
            self.assertEqual(logo.headers["Content-Type"], "image/png")
            self.assertEqual(logo.read(8), b"\x89PNG\r\n\x1a\n")

    @unittest.skipIf(importlib.util.find_spec("schemathesis") is None or os.environ.get("HEDDLE_SANITIZED"), "schemathesis is not installed, or the server slow")
    def test_schemathesis(self):
        """What the server's own document says of these routes, and of search and documents."""
        (self.folder / "schemathesis.toml").write_text('seed = 1\n[checks.not_a_server_error]\nexpected-statuses = ["2xx", "4xx", 500, 504]\n'
                                                       '[checks.positive_data_acceptance]\nexpected-statuses = ["2xx", 400, 404, 422, 500, 504]\n'
                                                       '[checks.negative_data_rejection]\nexpected-statuses = [400, 401, 403, 404, 405, 415, 422, 504]\n')
        paths = ("/upsert", "/query", "/sub/query", "/list", "/delete", "/v1/search", "/v1/documents", "/v1/documents/{name}", "/v1/index")
        line = [sys.executable, "-c", "from schemathesis.cli import schemathesis; schemathesis()", "run", self.url + "/openapi.json",
                "--phases", "coverage,fuzzing", "--max-examples", "10", "--checks", "all", "--no-color", "-H", "Authorization: Bearer secret",
                *(f"--include-path={p}" for p in paths), "--exclude-checks", "ignored_auth"]
        done = subprocess.run(line, cwd=self.folder, env=self.env, capture_output=True, text=True, timeout=8 * PATIENCE_S)
        self.assertEqual(done.returncode, 0, done.stdout[-20000:] + done.stderr[-2000:])
        self.assertIsNone(self.server.poll())


class Environment(PluginTest):
    """BEARER_TOKEN is what the plugin calls its keys."""

    options = ()

    @classmethod
    def setUpClass(cls):
        os.environ["BEARER_TOKEN"] = "alpha,secret"
        try:
            super().setUpClass()
        finally:
            del os.environ["BEARER_TOKEN"]

    def test_token(self):
        self.assertEqual(self.json("/query", {"queries": []}), {"results": []})
        self.assertEqual(self.ask("/query", {"queries": []}, {"Authorization": "Bearer beta"}).status, 401)


if __name__ == "__main__":
    unittest.main()
