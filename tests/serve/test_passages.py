"""Searches and documents over HTTP, on a real index with a small model.

    HEDDLE_BUILD=build python3 -m unittest -v test_passages
"""

import base64
import contextlib
import http.client
import json
import os
import re
import socket
import sqlite3
import subprocess
import tempfile
import threading
import time
import unittest
import urllib.parse
from pathlib import Path

from serving import PATIENCE_S, PROGRAM, IndexTest, ServedTest, tiny_architectures, tiny_models

LOOMS = """# Looms

A heddle guides each warp thread through the loom.

## Shuttles

The shuttle carries the weft from side to side.

## Reeds

The reed beats the weft against the cloth, naïvely said.
"""


class Search(IndexTest):
    def setUp(self):
        self.delete("/v1/documents", {"all": True})
        self.json("/v1/documents", {"documents": [
            {"id": "looms.md", "text": LOOMS, "mime": "text/markdown", "source": "notes", "title": "Looms", "author": "Ada",
             "created_at": "2024-05-01", "metadata": {"year": 2024, "tags": ["cloth", "craft"]}},
            {"id": "mail/1", "text": "The invoice of May is wrong: the weft was charged twice.", "source": "email", "created_at": 1700000000},
            {"id": "mail/2", "text": "Password reset: follow the link.", "source": "email"}]})

    def test_hit(self):
        answer = self.search("shuttle weft", mode="bm25", facets=["source"])
        hit = answer["hits"][0]
        self.assertEqual((hit["doc_id"], hit["source"], hit["title"], hit["author"]), ("looms.md", "notes", "Looms", "Ada"))
        self.assertEqual(hit["id"], f"looms.md#{hit['chunk_index']}")
        self.assertIn("shuttle carries", hit["text"])
        self.assertIn("Shuttles", hit["section"])
        self.assertEqual(hit["metadata"], {"year": 2024, "tags": ["cloth", "craft"]})
        self.assertEqual(hit["created_at"], "2024-05-01T00:00:00Z")
        self.assertEqual((hit["ranks"]["bm25"], hit["ranks"]["fused"]), (1, 1))
        self.assertNotIn("dense", hit["scores"])
        text = LOOMS.encode()[hit["offsets"]["start"]:hit["offsets"]["end"]].decode()
        self.assertEqual(" ".join(text.split()), " ".join(hit["text"].split()))
        snippet = hit["snippet"].encode()
        marked = {snippet[h["start"]:h["end"]].decode().lower() for h in hit["highlights"]}
        self.assertLessEqual({"shuttle", "weft"}, marked)
        self.assertIn({"value": "notes", "n": 3}, answer["facets"]["source"])
        self.assertIsNone(answer["warning"])
        self.assertEqual(list(answer["legs"]), ["bm25"])

    def test_legs_agree_with_their_ranks(self):
        answer = self.search("weft", limit=50)
        self.assertEqual(set(answer["legs"]), {"bm25", "dense"})
        for leg in ("bm25", "dense"):
            ranked = sorted((hit["ranks"][leg], -hit["scores"][leg]) for hit in answer["hits"] if leg in hit["ranks"])
            self.assertEqual(ranked, sorted(ranked, key=lambda row: row[1]))
        fused = [hit["scores"]["fused"] for hit in answer["hits"]]
        self.assertEqual(fused, sorted(fused, reverse=True))
        for hit in answer["hits"]:
            expected = sum(1 / (60 + hit["ranks"][leg]) for leg in ("bm25", "dense") if leg in hit["ranks"])
            self.assertAlmostEqual(hit["scores"]["fused"], expected, places=6)

    def test_filters_pages_and_documents(self):
        self.assertEqual({h["source"] for h in self.search("the", filter="source = email")["hits"]}, {"email"})
        self.assertEqual([h["doc_id"] for h in self.search("weft", filter="created_at >= 2024-01-01", per_document=True)["hits"]], ["looms.md"])
        self.assertEqual({h["doc_id"] for h in self.search("weft", filter='tags = "craft"')["hits"]}, {"looms.md"})
        self.assertEqual(self.search("weft", filter="year > 2030")["hits"], [])
        whole = [h["id"] for h in self.search("weft", limit=6)["hits"]]
        self.assertEqual(whole, [h["id"] for o in range(0, 6, 2) for h in self.search("weft", limit=2, offset=o, n_candidates=100)["hits"]])
        refused = self.search("weft", 400, filter="source = ")["error"]
        self.assertEqual(refused["code"], "invalid_value")
        self.assertIn("filter", refused["message"])

    def test_quick_look(self):
        answer = self.json("/v1/search?" + urllib.parse.urlencode({"q": "shuttle", "limit": 1, "mode": "bm25", "filter": "source = notes"}))
        self.assertEqual([hit["doc_id"] for hit in answer["hits"]], ["looms.md"])

    def test_documents(self):
        listed = self.json("/v1/documents?limit=2&offset=1")
        self.assertEqual([d["id"] for d in listed["documents"]], ["mail/1", "mail/2"])
        self.assertEqual((listed["total"], listed["offset"], listed["limit"]), (3, 1, 2))
        self.assertTrue(listed["documents"][0]["sample"].startswith("The invoice"))
        self.assertEqual(self.json("/v1/documents?filter=source%3Demail&limit=0")["total"], 2)
        one = self.json("/v1/documents/mail%2F1")
        self.assertEqual((one["id"], one["n_chunks"], len(one["chunks"])), ("mail/1", 1, 1))
        self.assertEqual(one["chunks"][0]["id"], "mail/1#0")
        self.json("/v1/documents/none", status=404)
        self.assertEqual(self.delete("/v1/documents/mail%2F1"), {"deleted": 1})
        self.delete("/v1/documents/mail%2F1", status=404)
        self.assertEqual(self.delete("/v1/documents", {"filter": "source = email"}), {"deleted": 1})
        self.assertEqual(self.json("/v1/index")["n_documents"], 1)
        self.delete("/v1/documents", {"filter": "source ="}, 400)
        self.delete("/v1/documents", {"ids": ["looms.md"], "filter": "source ="}, 400)  # nothing goes
        self.delete("/v1/documents", {}, 400)
        self.assertEqual(self.json("/v1/index")["n_documents"], 1)

    def test_replaced_whole(self):
        self.json("/v1/documents", {"id": "looms.md", "text": "Nothing but bobbins."})
        one = self.json("/v1/documents/looms.md")
        self.assertEqual((one["n_chunks"], one["title"], one["metadata"]), (1, "", {}))
        self.assertEqual([h["doc_id"] for h in self.search("shuttle", mode="bm25")["hits"]], [])
        self.assertEqual(self.search("bobbins", mode="bm25")["hits"][0]["doc_id"], "looms.md")

    def test_files(self):
        page = b"<html><head><title>Dyes</title></head><body><h1>Dyes</h1><p>Madder gives red.</p></body></html>"
        ids = self.json("/v1/documents", {"documents": [{"file": base64.b64encode(page).decode(), "mime": "text/html"}, {"text": " \n "}]})["ids"]
        self.assertRegex(ids[0], r"^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$")
        self.assertIsNone(ids[1])
        hit = self.search("madder", mode="bm25")["hits"][0]
        self.assertEqual((hit["doc_id"], hit["title"], hit["mime"]), (ids[0], "Dyes", "text/html"))
        broken = self.json("/v1/documents", {"documents": [{"id": "x", "text": "fine"}, {"file": base64.b64encode(b"%PDF-1.7 no").decode(),
                                                                                          "mime": "application/pdf"}]}, 400)
        self.assertIn("error", broken)
        self.json("/v1/documents/x", status=404)  # all or none

    def test_ids_and_texts_of_any_script(self):
        for name in ("ключ/ü 1.md", "a#b?c=d&e", "100%", "'; DROP TABLE document; --"):
            self.json("/v1/documents", {"id": name, "text": f"weaving {name} ends"})
            path = "/v1/documents/" + urllib.parse.quote(name, safe="")
            self.assertEqual(self.json(path)["id"], name)
            self.assertEqual(self.delete(path), {"deleted": 1})
        for query in ('"', "AND OR NOT", "a*", "(", "NEAR(a b)", "col:x", "' OR 1=1 --", "a\u0000b", "𝄞" * 50, "-", "weft " * 2000):
            self.search(query)
        for blank in ("", " ", "\t\n", "\u0000"):
            self.search(blank, 400)
        for value in ("x' OR 'a'='a", "\u0000", "\\", '"'):
            self.assertIn(self.ask("/v1/search", {"query": "a", "filter": "source = " + json.dumps(value)}).status, (200, 400))

    def test_stats_and_metrics(self):
        self.search("weft")
        about = self.json("/v1/index")
        self.assertEqual((about["n_documents"], about["legs"]), (3, ["bm25", "dense"]))
        self.assertEqual(about["path"], str(self.index))
        text = self.ask("/metrics").body.decode()
        self.assertRegex(text, r'heddle_search_seconds_count\{leg="dense"\} [1-9]')
        self.assertRegex(text, r'heddle_search_seconds_count\{leg="total"\} [1-9]')
        self.assertIn("heddle_index_documents 3\n", text)
        self.assertRegex(text, r'heddle_request_duration_seconds_count\{protocol="openai",route="/v1/search",model="",status="200"\} [1-9]')

    def test_survives_its_server(self):
        """What was acknowledged is there for the next process that opens the file."""
        out = subprocess.run([str(PROGRAM), "serve", "--index", str(self.index), "--port", "70000"], env=self.env, capture_output=True, text=True)
        self.assertEqual(out.returncode, 2)
        with open(self.index, "rb") as file:
            self.assertEqual(file.read(15), b"SQLite format 3")


class Damaged(IndexTest):
    def test_is_no_fault_of_the_request(self):
        """Words that lead to a chunk that is not there: the file is wrong, not what was asked."""
        self.json("/v1/documents", {"id": "a", "text": "weft and warp"})
        with contextlib.closing(sqlite3.connect(self.index)) as db, db:
            db.execute("DELETE FROM chunk")
        self.assertIn("damaged", self.search("weft", 500, mode="bm25")["error"]["message"])
        self.assertEqual(self.json("/query", {"queries": [{"query": "weft"}]}, 500), {"detail": "Internal Service Error"})


class Hostile(IndexTest):
    def test_bodies(self):
        bodies = [b"", b"[]", b"{", b"\xff", b'{"query":' + b"[" * 100, b'{"query":"a","query":"b"}', b'{"query":"\xff\xfe"}', b'{"query":"a","limit":1e400}',
                  b'{"query":"a","limit":-0}', b'{"query":"a","limit":99999999999999999999}', b'{"query":"a","mmr":-1}', b'{"query":"a","offset":4294967295}',
                  b'{"query":"a","facets":["no such field", ""]}', b'{"query":"a","n_candidates":4294967295}', b'{"query":"a","snippet_bytes":4294967295}',
                  json.dumps({"query": "a", "filter": "(" * 100000}).encode(), json.dumps({"query": "a", "filter": " AND ".join(["a = 1"] * 20000)}).encode(),
                  json.dumps({"query": "a", "facets": ["source"] * 5000}).encode(), json.dumps({"documents": [{"text": "a"}] * 2049}).encode(),
                  json.dumps({"ids": ["a"] * 100000}).encode(), json.dumps({"text": "a", "metadata": {"a": {"b": {"c": [1] * 1000}}}}).encode()]
        for path in ("/v1/search", "/v1/documents", "/upsert", "/query", "/list"):
            for body in bodies:
                answer = self.ask(path, body)
                self.assertIn(answer.status, (200, 400, 413, 422), (path, body[:80], answer.body[:200]))
                self.assertIsNotNone(answer.json)
        self.assertIsNone(self.server.poll())

    def test_client_that_leaves(self):
        host, port = self.url[7:].split(":")
        body = json.dumps({"documents": [{"text": "warp and weft " * 500} for _ in range(64)]}).encode()
        for _ in range(10):
            with socket.create_connection((host, int(port)), PATIENCE_S) as s:
                s.sendall(b"POST /v1/documents HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        self.assertEqual(self.search("warp")["query"], "warp")
        self.assertIsNone(self.server.poll())

    def test_too_late_to_begin(self):
        """A request whose time is over when its turn comes is not begun."""
        slow = json.dumps({"documents": [{"text": f"{i} " + "warp and weft " * 2000} for i in range(64)]}).encode()
        started = threading.Thread(target=self.ask, args=("/v1/documents", slow))
        started.start()
        time.sleep(0.05)
        answers = [self.ask("/v1/documents", {"documents": [{"id": "late", "text": "late"}], "timeout_ms": 1}) for _ in range(3)]
        started.join()
        late = [a for a in answers if a.status == 504]
        for answer in late:
            self.assertEqual(answer.json["error"]["code"], "timeout")
        if len(late) == len(answers):
            self.json("/v1/documents/late", status=404)
        self.assertIn(answers[0].status, (200, 504))


class Overload(IndexTest):
    def test_no_more_than_so_many_wait(self):
        host, port = self.url[7:].split(":")
        body = json.dumps({"documents": [{"text": f"{i} " + "warp and weft " * 300} for i in range(4)]}).encode()
        connections = [http.client.HTTPConnection(host, int(port), timeout=5 * PATIENCE_S) for _ in range(160)]
        for connection in connections:
            self.addCleanup(connection.close)
            connection.connect()
        for connection in connections:
            connection.request("POST", "/v1/documents", body, {"Content-Type": "application/json"})
        self.search("warp")  # searches go on meanwhile
        replies = [connection.getresponse() for connection in connections]
        codes = [reply.status for reply in replies]
        for reply in replies:
            reply.read()
            if reply.status == 429:
                self.assertTrue(reply.headers["Retry-After"].isdigit())
        self.assertLessEqual(set(codes), {200, 429})
        self.assertIn(200, codes)
        self.assertIn(429, codes)


class Concurrency(IndexTest):
    def test_searches_while_upserting(self):
        """Every search is answered and sees whole documents alone; what was acknowledged is found at once."""
        self.json("/v1/documents", {"documents": [{"id": f"base{i}", "text": f"warp number {i} on the loom"} for i in range(200)]})
        stop, errors, n_searches = threading.Event(), [], [0]

        def searcher():
            while not stop.is_set():
                try:
                    answer = self.search("pair left right", mode="bm25", limit=100)
                    versions = {}
                    for hit in answer["hits"]:
                        if hit["doc_id"].startswith("pair"):
                            versions.setdefault(hit["doc_id"], set()).add(hit["metadata"]["version"])
                    for document, seen in versions.items():
                        if len(seen) != 1:
                            errors.append((document, seen))
                    n_searches[0] += 1
                except Exception as error:  # noqa: BLE001
                    errors.append(error)
                    return

        threads = [threading.Thread(target=searcher) for _ in range(4)]
        for thread in threads:
            thread.start()
        try:
            for version in range(30):
                self.json("/v1/documents", {"documents": [
                    {"id": f"pair{i}", "mime": "text/markdown", "metadata": {"version": version},
                     "text": f"# A\n\npair left {version}\n\n# B\n\npair right {version}"} for i in range(8)]})
                found = self.search(f"pair {version}", mode="bm25", limit=100)["hits"]
                self.assertEqual({h["metadata"]["version"] for h in found if h["doc_id"].startswith("pair")}, {version})
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        self.assertEqual(errors, [])
        self.assertGreater(n_searches[0], 20)
        self.assertEqual(self.json("/v1/index")["n_documents"], 208)


class Keys(IndexTest):
    options = ("--api-key", "one,two")

    def test_keys(self):
        for path, body in (("/v1/search", {"query": "a"}), ("/v1/documents", {"text": "a"}), ("/v1/index", None), ("/v1/documents/a", None)):
            self.assertEqual(self.ask(path, body).status, 401, path)
            self.assertIn(self.ask(path, body, {"Authorization": "Bearer two"}).status, (200, 404), path)
        self.delete("/v1/documents", {"all": True}, 401)


class NoIndex(ServedTest):
    def test_says_how_to_get_one(self):
        for path, body in (("/v1/search", {"query": "a"}), ("/v1/documents", {"text": "a"}), ("/v1/documents", None), ("/v1/index", None)):
            self.assertIn("--index", self.json(path, body, 404)["error"]["message"])
        self.assertIn("--index", self.json("/query", {"queries": [{"query": "a"}]}, 404)["detail"])


class RerankerTest(IndexTest):
    @classmethod
    def setUpClass(cls):
        cls.options = ("--rerank-model", str(tiny_architectures() / "tiny-bert-reranker"))
        super().setUpClass()


class Reranked(RerankerTest):
    """The order of a cross-encoder, and both scores."""

    def test_order_and_scores(self):
        texts = ["river stone", "a river flows", "stone upon stone", "tree", "a cat and a dog"]
        self.json("/v1/documents", {"documents": [{"id": str(i), "text": text} for i, text in enumerate(texts)]})
        self.assertIn("rerank", self.json("/v1/index")["legs"])
        answer = self.search("river", rerank=True)
        scores = [hit["scores"]["rerank"] for hit in answer["hits"]]
        self.assertEqual(scores, sorted(scores, reverse=True))
        self.assertEqual([hit["ranks"]["rerank"] for hit in answer["hits"]], list(range(1, len(scores) + 1)))
        self.assertNotIn("rerank", self.search("river")["hits"][0]["scores"])
        plugin = self.json("/query", {"queries": [{"query": "river", "top_k": 5}]})["results"][0]["results"]
        self.assertEqual(len(plugin), 3)
        ranked = [hit["rerank_score"] for hit in plugin]
        self.assertEqual(ranked, sorted(ranked, reverse=True))
        by_text = {hit["text"]: hit["scores"] for hit in answer["hits"]}
        for hit in plugin:
            self.assertAlmostEqual(hit["rerank_score"], by_text[hit["text"]]["rerank"], places=5)


class Cancelled(RerankerTest):
    """A search that nobody waits for any more ends at its next step: what reranks has read a part, and no more of it."""

    N = 200 if os.environ.get("HEDDLE_SANITIZED") else 800  # documents: as many as take long enough to be caught in the middle

    def setUp(self):
        self.json("/v1/documents", {"documents": [{"id": str(i), "text": f"river {i} " + "stone and water " * 40} for i in range(self.N)]})

    def read(self, query, ask):
        """Tokens that the engine computes for a search, once nothing more comes."""
        def computed():
            return int(re.search(r"^heddle_engine_tokens_total (\d+)", self.ask("/metrics").body.decode(), re.M)[1])

        before = computed()
        ask({"query": query, "rerank": True, "n_rerank": self.N, "n_candidates": self.N, "limit": 1})
        n = -1
        while n != (n := computed()):
            time.sleep(0.3)
        return n - before

    def a_part(self, ask):
        """Some of the tokens, not all: the time at which to give up is found by trying."""
        start, whole = time.monotonic(), self.read("river whole", lambda body: self.json("/v1/search", body))
        takes = time.monotonic() - start
        parts = []
        for i in range(12):
            parts.append(self.read(f"river {i}", lambda body: ask(body, takes * (i + 1) / 12)))
            if 0.02 * whole < parts[-1] < 0.9 * whole:
                return
        self.fail(f"of {whole} tokens {parts}")

    def test_deadline(self):
        def ask(body, seconds):
            answer = self.ask("/v1/search", {**body, "timeout_ms": max(1, int(1000 * seconds))})
            self.assertIn(answer.status, (200, 504))

        self.a_part(ask)

    def test_client_that_leaves(self):
        host, port = self.url[7:].split(":")

        def ask(body, seconds):
            data = json.dumps(body).encode()
            with socket.create_connection((host, int(port)), PATIENCE_S) as s:
                s.sendall(b"POST /v1/search HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(data) + data)
                time.sleep(seconds)

        self.a_part(ask)


class Heads(IndexTest):
    """Learned words, late interaction and a cross-encoder: hits are those of `heddle search`, which tests/cli holds against a plain
    computation."""

    texts = ("river stone", "a river flows to the sea", "stone upon stone", "a tree by the river", "a cat and a dog", "the sea")

    @classmethod
    def setUpClass(cls):
        cls.models = (tiny_architectures() / "tiny-m3",)
        cls.reranker = str(tiny_architectures() / "tiny-bert-reranker")
        cls.options = ("--rerank-model", cls.reranker)
        super().setUpClass()

    @classmethod
    def prepare(cls):
        lines = "".join(json.dumps({"id": str(i), "text": text}) + "\n" for i, text in enumerate(cls.texts))
        cls.heddle("index", "-q", "-m", str(cls.models[0]), "--heads", "sparse,colbert", "-", stdin=lines)

    @classmethod
    def heddle(cls, command, *args, stdin=""):
        return subprocess.run([str(PROGRAM), command, "--db", str(cls.index), "--dtype", "f32", *args], env=cls.env, cwd=cls.folder, input=stdin,
                              capture_output=True, text=True, check=True).stdout

    def agree(self, fields, *args):
        answer = self.search("river sea", **fields)
        expected = [json.loads(line) for line in self.heddle("search", *args, "river sea").splitlines()]
        self.assertIsNone(answer["warning"])
        self.assertEqual([hit["id"] for hit in answer["hits"]], [hit["chunk"] for hit in expected])
        for hit, row in zip(answer["hits"], expected):
            self.assertAlmostEqual(hit["score"], row["score"], places=5)
            self.assertEqual({**hit["ranks"], "fused": None}, {**row["ranks"], "fused": None})
            for leg, score in row["scores"].items():
                self.assertAlmostEqual(hit["scores"][leg], score, places=5)
        return answer

    def test_as_the_command_line(self):
        self.assertEqual(self.json("/v1/index")["legs"], ["bm25", "dense", "sparse", "multi", "rerank"])
        self.assertEqual(list(self.agree({}, )["legs"]), ["bm25", "dense", "sparse"])
        self.assertEqual(list(self.agree({"mode": "sparse"}, "--mode", "sparse")["legs"]), ["sparse"])
        self.assertIn("rerank", self.agree({"rerank": True}, "--reranker", self.reranker)["legs"])
        self.agree({"rerank": True, "rerank_blend": 0.5, "n_candidates": 3}, "--reranker", self.reranker, "--rerank-blend", "0.5", "--candidates", "3")

    def test_late_interaction_as_a_leg(self):
        """Of what other legs found; its score takes part in the fusion as theirs do."""
        late = {row["chunk"]: row["scores"]["multi"] for row in map(json.loads, self.heddle("search", "--rerank", "river sea").splitlines())}
        hits = self.search("river sea", legs=["bm25", "dense", "multi"], fusion="minmax", weights={"multi": 1})["hits"]
        self.assertEqual([hit["id"] for hit in hits], sorted(late, key=late.get, reverse=True))
        for hit in hits:
            self.assertAlmostEqual(hit["scores"]["multi"], late[hit["id"]], places=5)


class LateReranked(Heads):
    """Without a reranker the index's token vectors do it."""

    @classmethod
    def setUpClass(cls):
        cls.models, cls.options = (tiny_architectures() / "tiny-m3",), ()
        super(Heads, cls).setUpClass()

    def test_as_the_command_line(self):
        self.assertEqual(self.json("/v1/index")["legs"], ["bm25", "dense", "sparse", "multi"])
        self.assertIn("multi", self.agree({"rerank": True}, "--rerank")["legs"])


class Opening(unittest.TestCase):
    def serve(self, *args):
        with tempfile.TemporaryDirectory() as home:
            env = {"HOME": home, "PATH": "/usr/bin:/bin", "HEDDLE_CACHE": home}
            done = subprocess.run([str(PROGRAM), "serve", "--port", "0", *args], env=env, capture_output=True, text=True, timeout=PATIENCE_S)
            return done.returncode, done.stderr

    def test_what_is_no_index(self):
        model = str(tiny_models() / "tiny-mrl")
        with tempfile.TemporaryDirectory() as folder:
            plain = Path(folder) / "plain.txt"
            plain.write_text("no database " * 1000)
            code, said = self.serve("--model", model, "--index", str(plain))
            self.assertNotEqual(code, 0)
            self.assertIn("plain.txt", said)
            code, said = self.serve("--model", model, "--index", str(Path(folder) / "none" / "a.db"))
            self.assertNotEqual(code, 0)
            code, said = self.serve("--model", model, "--rerank-model", model)
            self.assertEqual(code, 2)
            self.assertIn("--index", said)

    def test_another_model(self):
        with tempfile.TemporaryDirectory() as folder:
            db = str(Path(folder) / "a.db")
            first, other = str(tiny_models() / "tiny-mrl"), str(tiny_models() / "tiny-cls")
            server = subprocess.Popen([str(PROGRAM), "serve", "--port", "0", "--model", first, "--index", db], stderr=subprocess.PIPE, text=True)
            try:
                self.assertIn("listening", server.stderr.readline())
            finally:
                server.terminate()
                server.communicate(timeout=PATIENCE_S)
            code, said = self.serve("--model", other, "--index", db)
            self.assertNotEqual(code, 0)
            self.assertIn("tiny-mrl", said)
            self.assertIn("tiny-cls", said)


if __name__ == "__main__":
    unittest.main()
