"""Models come and go while the server runs: lazy loading, unloading, eviction, pulling, files that vanish; start lines.

    HEDDLE_BUILD=build python3 -m unittest -v test_lifecycle
"""

import array
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import unittest
import urllib.error
import urllib.request
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "cli"), str(HERE.parent / "remote")]
from fake_hub import FakeHub  # noqa: E402
from harness import PROGRAM, CommandTest, cosine, tiny_architectures  # noqa: E402

PATIENCE_S = 20 * (5 if os.environ.get("HEDDLE_SANITIZED") else 1)


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body
        self.json = json.loads(body) if body[:1] in (b"{", b"[") else None


class LifecycleTest(CommandTest):
    def serve(self, *args, env=None, port=True, wait=True, user=None):
        """Starts a server of its own; its base URL goes to self.url, what it says to self.log."""
        self.log = self.folder / "serve.log"
        line = [str(PROGRAM), "serve", "--no-access-log", *map(str, args), *(["--port", "0"] if port else [])]
        with open(self.log, "wb") as log:
            self.server = subprocess.Popen(line, cwd=self.work, env=self.env(**(env or {})), stdout=log, stderr=log, user=user)
        self.addCleanup(self.stop)
        if wait:
            self.url = self.wait_for(r"listening on (http\S+)")[1]

    def stop(self):
        if self.server.poll() is None:
            self.server.send_signal(signal.SIGTERM)
            try:
                self.server.wait(PATIENCE_S)
            except subprocess.TimeoutExpired:
                self.server.kill()
                self.fail("the server does not stop")
        return self.server.returncode

    def said(self):
        return self.log.read_text(errors="replace")

    def wait_for(self, pattern, times=1):
        """Until the log has it so many times; returns the last."""
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            found = list(re.finditer(pattern, self.said()))
            if len(found) >= times:
                return found[-1]
            if self.server.poll() is not None:
                break
            time.sleep(0.02)
        self.fail(f"never said {pattern}: {self.said()}")

    def ask(self, path, body=None):
        data = json.dumps(body).encode() if body is not None else None
        request = urllib.request.Request(self.url + path, data, {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
                return Answer(answer.status, answer.headers, answer.read())
        except urllib.error.HTTPError as error:
            return Answer(error.code, error.headers, error.read())

    def embed(self, model=None, text="a river of stone", **more):
        body = {"input": text, **more}
        if model is not None:
            body["model"] = model
        return self.ask("/v1/embeddings", body)

    def vector(self, *args, **more):
        answer = self.embed(*args, **more)
        self.assertEqual(answer.status, 200, answer.body)
        return answer.json["data"][0]["embedding"]

    def states(self):
        return {model["id"]: model["state"] for model in self.ask("/ready").json["models"]}

    def wait_for_state(self, name, state):
        end = time.monotonic() + PATIENCE_S
        while self.states()[name] != state:
            self.assertLess(time.monotonic(), end, f"{name} is {self.states()[name]}, not {state}: {self.said()}")
            time.sleep(0.05)

    def copy_of(self, model, name):
        return Path(shutil.copytree(self.tiny(model), self.work / name))


class Loading(LifecycleTest):
    def test_models_load_when_they_are_used(self):
        self.serve("--model", f"one={self.tiny('tiny-cls')}", "--model", f"two={self.tiny('tiny-mrl')}")
        self.assertEqual(self.states(), {"one": "unloaded", "two": "unloaded"})
        vector = self.vector("two")
        self.assertEqual(self.states(), {"one": "unloaded", "two": "loaded"})
        expected = self.vectors("-m", self.tiny("tiny-mrl"), "a river of stone", dimensions=len(vector))[0]
        self.assertGreater(cosine(vector, expected), 0.99999)
        self.assertEqual(self.stop(), 0)

    @unittest.skipIf(os.environ.get("HEDDLE_SANITIZED"), "sanitizers take memory of their own")
    def test_memory_before_any_is_used(self):
        self.serve("--model", self.minilm())
        rss = int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{self.server.pid}/status").read_text())[1])
        self.assertLess(rss, 20 * 1024)

    def test_preload(self):
        self.serve("--preload", "--model", f"one={self.tiny('tiny-cls')}", "--model", f"two={self.tiny('tiny-mrl')}")
        for name in ("one", "two"):
            self.wait_for_state(name, "loaded")
        self.assertEqual(self.ask("/ready").status, 200)

    def test_preload_by_the_environment(self):
        self.serve(env={"HEDDLE_PRELOAD": "1", "HEDDLE_MODELS": f"one={self.tiny('tiny-cls')},two={self.tiny('tiny-mrl')}"})
        for name in ("one", "two"):
            self.wait_for_state(name, "loaded")

    def test_one_bad_model_does_not_hold_up_the_others(self):
        bad = self.copy_of("tiny-cls", "bad")
        (bad / "model.safetensors").write_bytes(b"nonsense")
        self.serve("--preload", "--model", f"bad={bad}", "--model", f"good={self.tiny('tiny-mrl')}")
        self.wait_for_state("good", "loaded")
        self.assertEqual(self.states()["bad"], "failed")
        self.assertIn("model.safetensors", self.said())
        self.assertEqual(self.embed("bad").status, 500)
        self.vector("good")

    def test_idle_models_are_unloaded_and_come_back(self):
        self.serve("--idle-unload", 1, "--cache-bytes", 0, "--model", f"one={self.tiny('tiny-cls')}")
        before = self.vector()
        self.wait_for_state("one", "unloaded")
        self.assertEqual(self.vector(), before)
        self.assertEqual(self.states()["one"], "loaded")

    def test_least_recently_used_goes_when_memory_is_short(self):
        names = ["a", "b", "c"]
        models = [arg for name in names for arg in ("--model", f"{name}={self.minilm()}")]
        self.serve("-v", *models, "--threads", 1, "--cache-bytes", 0, "--dtype", "int8", "--memory-limit", "62M")
        vectors = {name: self.vector(name) for name in "ab"}
        self.assertEqual(self.states(), {"a": "loaded", "b": "loaded", "c": "unloaded"})
        self.assertEqual(self.vector("a"), vectors["a"])
        self.vector("c")
        self.assertEqual(self.states(), {"a": "loaded", "b": "unloaded", "c": "loaded"})
        self.wait_for("unloading to make room within the memory limit")
        self.assertEqual(self.vector("b"), vectors["a"])
        self.assertEqual(self.states(), {"a": "unloaded", "b": "loaded", "c": "loaded"})

    def test_a_model_that_never_fits_says_so(self):
        self.serve("--model", self.minilm(), "--threads", 1, "--cache-bytes", 0, "--memory-limit", "8M")
        answer = self.embed()
        self.assertEqual(answer.status, 503)
        self.assertIn("memory", answer.json["error"]["message"])


class Names(LifecycleTest):
    def test_one_model_answers_to_any_name(self):
        self.serve("--model", f"one={self.tiny('tiny-cls')}")
        for name in ("one", "text-embedding-3-small", "whatever/else"):
            self.assertEqual(self.embed(name).json["model"], name)
        self.assertEqual(self.embed().json["model"], "one")

    def test_unless_it_is_to_be_strict(self):
        self.serve("--strict-model", "--model", f"one={self.tiny('tiny-cls')}")
        self.assertEqual(self.embed("one").status, 200)
        self.assertEqual(self.embed("two").status, 404)

    def test_of_several_an_unknown_one_is_not_found_in_each_protocol(self):
        self.serve("--model", f"one={self.tiny('tiny-cls')}", "--model", f"two={self.tiny('tiny-mrl')}")
        answer = self.embed("three")
        self.assertEqual((answer.status, answer.json["error"]["code"]), (404, "model_not_found"))
        self.assertIn("`three`", answer.json["error"]["message"])
        for path, body in (("/api/embed", {"input": "a"}), ("/v2/embed", {"texts": ["a"], "input_type": "search_query", "embedding_types": ["float"]})):
            answer = self.ask(path, {"model": "three", **body})
            self.assertEqual(answer.status, 404, path)
            self.assertIn("three", answer.body.decode(), path)
        self.assertEqual(self.states(), {"one": "unloaded", "two": "unloaded"})

    def test_two_of_one_name(self):
        self.fails("serve", "--model", f"x={self.tiny('tiny-cls')}", "--model", f"x={self.tiny('tiny-mrl')}", code=2,
                   says="x: two models of this name")

    def test_no_such_model(self):
        self.fails("serve", "--model", "no/such", "--port", "0", code=1, says=["no/such", "heddle pull"])


class Files(LifecycleTest):
    def test_a_loaded_model_outlives_its_files(self):
        model = self.copy_of("tiny-cls", "gone")
        self.serve("--model", f"one={model}", "--cache-bytes", 0, "--idle-unload", 2)
        before = self.vector()
        texts = [f"stone {i} river" for i in range(2000)]
        answers = []
        running = threading.Thread(target=lambda: answers.append(self.embed(text=texts)))
        running.start()
        shutil.rmtree(model)
        running.join()
        self.assertEqual(answers[0].status, 200)
        self.assertEqual(self.vector(), before)
        self.wait_for_state("one", "unloaded")
        answer = self.embed()
        self.assertEqual(answer.status, 500)
        self.assertIn(str(model), answer.json["error"]["message"])
        self.assertEqual(self.states()["one"], "failed")
        self.assertEqual(self.ask("/health").status, 200)
        shutil.copytree(self.tiny("tiny-cls"), model)
        self.assertEqual(self.vector(), before)

    def test_one_replaced_by_another_shape(self):
        model = self.copy_of("tiny-cls", "swapped")
        self.serve("--model", f"one={model}", "--cache-bytes", 0, "--idle-unload", 1)
        self.vector()
        self.wait_for_state("one", "unloaded")
        shutil.copy(self.tiny("tiny-head64") / "model.safetensors", model / "model.safetensors.new")
        (model / "model.safetensors.new").rename(model / "model.safetensors")
        answer = self.embed()
        self.assertEqual(answer.status, 500)
        self.assertRegex(answer.json["error"]["message"], "model.safetensors|shape")

    def test_one_replaced_by_other_weights(self):
        model = self.copy_of("tiny-cls", "trained")
        self.serve("--model", f"one={model}", "--idle-unload", 1)
        before = self.vector()
        self.assertEqual(self.vector(), before)  # from the cache
        self.wait_for_state("one", "unloaded")
        weights = (model / "model.safetensors").read_bytes()
        header = 8 + int.from_bytes(weights[:8], "little")
        values = array.array("f", weights[header:])
        self.write("new", weights[:header] + array.array("f", [-0.5 * v for v in values]).tobytes()).rename(model / "model.safetensors")
        after = self.vector()
        self.assertNotEqual(after, before)
        self.assertEqual(self.vector(), after)

    def test_a_truncated_one(self):
        model = self.copy_of("tiny-cls", "cut")
        weights = (model / "model.safetensors").read_bytes()
        (model / "model.safetensors").write_bytes(weights[: len(weights) // 2])
        self.serve("--model", f"one={model}", "--model", f"two={self.tiny('tiny-mrl')}")
        self.assertEqual(self.embed("one").status, 500)
        self.vector("two")


class Pulling(LifecycleTest):
    def setUp(self):
        super().setUp()
        self.hub = FakeHub()
        self.hub.__enter__()
        self.addCleanup(self.hub.__exit__, None, None, None)
        folder = self.tiny("tiny-cls")
        self.hub.add("a/b", {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()})
        self.at = {"HF_ENDPOINT": self.hub.endpoint}

    def nobody(self):
        """The user of a server that must not write everywhere."""
        user = {"user": 65534} if os.geteuid() == 0 else {}
        try:
            subprocess.run([PROGRAM, "--version"], check=True, capture_output=True, **user)
        except PermissionError:
            self.skipTest("the program is not for all users")
        return user

    def embed_until_there(self, *args):
        end = time.monotonic() + PATIENCE_S
        answer = self.embed(*args)
        while answer.status == 503 and time.monotonic() < end:
            self.assertGreater(int(answer.headers["Retry-After"]), 0)
            time.sleep(0.1)
            answer = self.embed(*args)
        return answer

    def test_nothing_is_pulled_unasked(self):
        self.fails("serve", "--model", "a/b", env=self.at, says="a/b")
        self.serve("--model", self.tiny("tiny-mrl"), "--allow-pull", "--strict-model", env=self.at)
        self.assertEqual(self.embed("a/b").status, 404)

    def test_at_first_use(self):
        self.serve("--model", "a/b", "--model", f"two={self.tiny('tiny-mrl')}", "--allow-pull", env=self.at)
        self.assertEqual(self.states()["a/b"], "unloaded")
        self.vector("two")
        answer = self.embed_until_there("a/b")
        self.assertEqual(answer.status, 200, answer.body)
        expected = self.vectors("-m", self.tiny("tiny-cls"), "a river of stone", dimensions=len(answer.json["data"][0]["embedding"]))
        self.assertGreater(cosine(answer.json["data"][0]["embedding"], expected[0]), 0.99999)

    def test_at_the_start(self):
        self.serve("--model", "a/b", "--allow-pull", "--preload", env=self.at)
        self.wait_for_state("a/b", "loaded")

    def test_one_that_is_not_there_either(self):
        self.serve("--model", "no/such", "--allow-pull", env=self.at)
        answer = self.embed_until_there()
        self.assertEqual(answer.status, 500, answer.body)
        self.assertIn("no/such", answer.json["error"]["message"])
        self.assertEqual(self.states(), {"no/such": "failed"})
        self.assertEqual(self.stop(), 0)

    def wait_until_ready(self):
        end = time.monotonic() + PATIENCE_S
        while (answer := self.ask("/ready")).status != 200:
            self.assertEqual(answer.json["status"], "not ready")
            self.assertLess(time.monotonic(), end, self.said())
            time.sleep(0.05)

    def finds(self, text):
        return [hit["doc_id"] for hit in self.ask("/v1/search", {"query": text}).json["hits"]]

    def test_an_index_waits_for_its_model(self):
        index = self.work / "new.db"
        document = {"documents": [{"id": "river", "text": "a river of stone"}]}
        with self.hub.lock:  # it does not answer
            self.serve("--model", "a/b", "--allow-pull", "--index", index, env=self.at)
            self.assertEqual(self.ask("/health").status, 200)
            self.wait_for_state("a/b", "loading")
            self.assertEqual(self.ask("/ready").status, 503)
            self.assertNotIn(b"heddle_index_documents", self.ask("/metrics").body)
            for path, body in (("/v1/search", {"query": "a river"}), ("/v1/documents", document), ("/v1/index", None)):
                answer = self.ask(path, body)
                self.assertEqual(answer.status, 503, path)
                self.assertEqual(answer.json["error"]["message"], "The model `a/b` is being fetched")
                self.assertGreater(int(answer.headers["Retry-After"]), 0)
        self.wait_until_ready()
        self.assertEqual(self.ask("/v1/documents", document).status, 200)
        self.assertEqual(self.finds("stone"), ["river"])
        self.assertIn(b"heddle_index_documents 1", self.ask("/metrics").body)
        self.assertEqual(self.stop(), 0)
        self.assertNotIn("error", self.said())
        # its own model, when that is gone, and with another that is here
        for more in ((), ("--model", self.tiny("tiny-mrl"), "--model", "a/b")):
            shutil.rmtree(self.cache)
            self.serve("--allow-pull", "--index", index, *more, env=self.at)
            self.wait_until_ready()
            self.assertEqual(self.finds("stone"), ["river"])
            self.assertEqual(self.stop(), 0)
            self.assertNotIn("its vectors", self.said())

    def test_an_index_whose_model_is_not_there_either(self):
        self.serve("--model", "no/such", "--model", self.tiny("tiny-mrl"), "--allow-pull", "--preload", "--index", self.work / "new.db",
                   env=self.at)
        self.wait_until_ready()
        self.assertEqual(self.states(), {"no/such": "failed", "tiny-mrl": "loaded"})
        for path, body in (("/v1/search", {"query": "a"}), ("/v1/embeddings", {"input": "a"})):
            answer = self.ask(path, body)
            self.assertEqual(answer.status, 500, answer.body)
            self.assertIn("no/such", answer.json["error"]["message"])
        self.vector("tiny-mrl")
        self.assertEqual(self.stop(), 0)
        self.assertEqual(self.said().count("no/such"), 1, self.said())
        self.assertEqual(len(self.hub.asked("hub")), 1)

    def test_an_index_whose_models_come_later(self):
        """What the hub did not have at the start is asked for again half a minute later, by nobody's request."""
        self.serve("--model", "e/f", "--rerank-model", "c/d", "--allow-pull", "--index", self.work / "new.db", env=self.at)
        self.wait_until_ready()
        for name, folder in (("e/f", Path(self.tiny("tiny-cls"))), ("c/d", tiny_architectures() / "tiny-bert-reranker")):
            self.hub.add(name, {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()})
        end = time.monotonic() + 40 + PATIENCE_S
        while b"heddle_index_documents 0" not in self.ask("/metrics").body:
            self.assertLess(time.monotonic(), end, self.said())
            time.sleep(0.5)
        self.assertEqual(self.finds("a"), [])
        while not (self.cache / "models/c/d").exists():
            self.assertLess(time.monotonic(), end, self.said())
            time.sleep(0.1)

    def test_an_index_that_cannot_be_made_when_its_model_has_come(self):
        (self.work / "none").mkdir()
        with self.hub.lock:
            self.serve("--model", "a/b", "--allow-pull", "--index", self.work / "none" / "new.db", env=self.at)
            (self.work / "none").rmdir()
        self.wait_until_ready()
        self.wait_for("none/new.db")
        answer = self.ask("/v1/search", {"query": "a"})
        self.assertEqual(answer.status, 500, answer.body)
        self.assertIn("none/new.db", answer.json["error"]["message"])
        (self.work / "none").mkdir()
        end = time.monotonic() + PATIENCE_S
        while (answer := self.ask("/v1/search", {"query": "a"})).status != 200:
            self.assertLess(time.monotonic(), end, answer.body)
            time.sleep(0.1)
        self.assertEqual(answer.json["hits"], [])
        self.fails("serve", "--model", "x=./typo", "--allow-pull", env=self.at, says="./typo: no such folder or file")
        self.fails("serve", "--index", "new.db", "--rerank-model", "/no/typo", "--allow-pull", env=self.at, says="/no/typo: no such")

    def test_an_index_that_cannot_be_made(self):
        """It is said before anything is fetched for it."""
        for index, why in (("none/new.db", "cannot make the index: No such file or directory"), (".", "a folder, no index")):
            self.fails("serve", "--model", "a/b", "--allow-pull", "--index", index, env=self.at, says=f"heddle: {index}: {why}")
        self.folder.chmod(0o755)
        (self.folder / "closed").mkdir(mode=0o555)
        self.serve("--model", "a/b", "--allow-pull", "--index", self.folder / "closed" / "new.db", env=self.at, wait=False, **self.nobody())
        self.assertEqual(self.server.wait(PATIENCE_S), 1)
        self.assertIn("closed/new.db: cannot make the index: Permission denied", self.said())
        self.assertEqual(self.hub.asked("hub"), [])

    def test_an_index_waits_for_what_reranks(self):
        folder = tiny_architectures() / "tiny-bert-reranker"
        files = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        options = ["--model", self.tiny("tiny-mrl"), "--rerank-model", "c/d", "--index", self.work / "new.db"]
        self.fails("serve", *options, env=self.at, says=["c/d", "heddle pull"])
        with self.hub.lock:
            self.hub.add("c/d", files)
            self.serve(*options, "--allow-pull", env=self.at)
            self.vector("tiny-mrl")
            self.assertEqual(self.ask("/ready").status, 503)
            answer = self.ask("/v1/search", {"query": "a river", "rerank": True})
            self.assertEqual((answer.status, answer.json["error"]["message"]), (503, "The model `c/d` is being fetched"))
            self.assertGreater(int(answer.headers["Retry-After"]), 0)
            self.assertEqual(self.ask("/v1/search", {"query": "a river"}).status, 200)
            self.assertEqual(self.stop(), 0)
        self.serve(*options, "--allow-pull", env=self.at)
        self.wait_until_ready()
        self.ask("/v1/documents", {"documents": [{"id": "river", "text": "a river of stone"}]})
        hit = self.ask("/v1/search", {"query": "stone", "rerank": True}).json["hits"][0]
        self.assertIn("rerank", hit["scores"])
        self.assertEqual([model["id"] for model in self.ask("/v1/models").json["data"]], ["tiny-mrl"])

    def test_searches_without_what_reranks_when_it_cannot_be_had(self):
        self.serve("--model", self.tiny("tiny-mrl"), "--rerank-model", "no/such", "--allow-pull", "--index", self.work / "new.db", env=self.at)
        self.wait_until_ready()
        self.assertIn("no/such@main: no such model at ", self.said())
        self.ask("/v1/documents", {"documents": [{"id": "river", "text": "a river of stone"}]})
        self.assertEqual(self.finds("stone"), ["river"])
        self.assertEqual(self.ask("/query", {"queries": [{"query": "stone"}]}).status, 500)
        answer = self.ask("/v1/search", {"query": "stone", "rerank": True})
        self.assertEqual(answer.status, 500, answer.body)
        self.assertIn("no/such@main: no such model at ", answer.json["error"]["message"])
        self.assertEqual(self.ask("/v1/index").status, 200)
        self.assertEqual(self.stop(), 0)

    def test_an_index_of_a_model_that_is_not_served(self):
        self.serve("--model", self.tiny("tiny-cls"), "--index", self.work / "a.db")
        self.stop()
        self.fails("serve", "--model", "a/b", "--model", "no/such", "--allow-pull", "--index", self.work / "a.db", env=self.at,
                   says=["a.db", "tiny-cls", "not among the served models"])

    def test_an_index_of_a_model_of_another_name(self):
        """Said before the one that is served has been fetched, of which only its weights tell whether it is the same."""
        folder, made_by = self.tiny("tiny-mrl"), self.tiny("tiny-cls")
        notice = f"a.db: its vectors were made by {made_by}: it is opened if "
        self.hub.add("c/d", {str(path.relative_to(folder)): path.read_bytes() for path in Path(folder).rglob("*") if path.is_file()})
        self.serve("--model", made_by, "--index", self.work / "a.db")
        self.stop()
        for model, status in (("a/b", 200), ("c/d", 500)):
            with self.hub.lock:
                self.serve("--model", model, "--allow-pull", "--index", self.work / "a.db", env=self.at)
                self.assertIn(notice, self.said())
            self.wait_until_ready()
            answer = self.ask("/v1/search", {"query": "a"})
            self.assertEqual(answer.status, status, answer.body)
            self.assertEqual(f"made with {made_by}, not with c/d" in self.said(), status == 500, self.said())
            self.stop()
        self.serve("--model", "a/b", "--allow-pull", "--index", self.work / "a.db", env=self.at)  # it is here
        self.assertNotIn(notice, self.said())

    def test_stopped_meanwhile(self):
        for more in (["--index", self.work / "new.db"], ["--preload"]):
            with self.hub.lock:
                self.serve("--model", "a/b", "--allow-pull", *more, env=self.at)
                self.wait_for_state("a/b", "loading")
                self.assertEqual(self.stop(), 0)
            self.assertNotIn("error", self.said())

    def test_a_cache_that_cannot_be_written(self):
        self.folder.chmod(0o755)
        self.cache.mkdir()
        self.cache.chmod(0o555)
        (self.folder / "public").mkdir()
        (self.folder / "public").chmod(0o777)
        self.serve("--model", "a/b", "--allow-pull", "--index", self.folder / "public" / "new.db", env=self.at, **self.nobody())
        self.wait_for(re.escape(f"{self.cache}/pull: cannot make folder: Permission denied"))
        self.wait_until_ready()
        self.assertIn(str(self.cache), self.ask("/v1/search", {"query": "a"}).json["error"]["message"])


class StartLines(LifecycleTest):
    def test_text_embeddings_router(self):
        self.serve("--model-id", self.tiny("tiny-cls"), "--hostname", "127.0.0.1", "--max-batch-tokens", 16384, "--auto-truncate",
                   "--pooling", "mean", "--max-client-batch-size", 2, "--tokenization-workers", 1)
        self.assertEqual(self.said().count("without meaning here"), 1)
        self.assertIn("not used: --max-batch-tokens, --tokenization-workers\n", self.said())
        self.assertEqual(self.embed(text=["a", "b", "c"]).status, 400)
        mean = self.vector()
        self.stop()
        self.serve("--model", self.tiny("tiny-cls"))
        cls = self.vector()
        self.assertEqual(len(mean), len(cls))
        self.assertLess(cosine(mean, cls), 0.999)

    def test_llama_server(self):
        self.serve("-m", self.tiny("tiny-cls") / "model.safetensors", "-c", 2048, "-b", 512, "-ub", 512, "-np", 4, "-t", 1,
                   "-ngl", 99, "--embedding", "--host", "127.0.0.1", env={"LLAMA_ARG_FLASH_ATTN": "on", "LLAMA_API_KEY": "k"})
        self.assertIn("not used: -b, -ub, -np, -ngl, LLAMA_ARG_FLASH_ATTN\n", self.said())
        self.assertEqual(self.embed().status, 401)
        self.assertEqual(self.ask("/health").status, 200)

    def test_environment(self):
        self.serve(env={"MODEL_ID": str(self.tiny("tiny-cls")), "HOSTNAME": "127.0.0.1", "DTYPE": "float32", "POOLING": "cls"})
        self.vector()

    def test_a_gguf_file(self):
        self.serve("-m", HERE.parent / "golden/gguf/tiny-cls-q8_0.gguf")
        self.vector()

    def test_what_cannot_be_had(self):
        self.fails("serve", "-m", "nomic.Q8_0.gguf", says='no model "nomic.Q8_0.gguf"')
        self.fails("serve", "--model-id", self.tiny("tiny-cls"), "--pooling", "splade", code=2, says="pooling 'splade': the model has no head that gives sparse weights")
        self.fails("serve", "--lora", "x", code=2, says="--lora")


class Health(LifecycleTest):
    def test_over_tcp(self):
        self.serve("--model", self.tiny("tiny-cls"))
        port = self.url.rsplit(":", 1)[1]
        self.heddle("health", "--port", port)
        self.heddle("health", "--ready", env={"HEDDLE_PORT": port, "HEDDLE_HOST": "0.0.0.0"})
        self.heddle("health", env={"LLAMA_ARG_PORT": port, "http_proxy": "http://127.0.0.1:9"})
        self.stop()
        self.fails("health", "--port", port, says=f"http://127.0.0.1:{port}/health")

    def test_over_a_unix_socket(self):
        path = self.work / "h.sock"
        self.serve("--model", self.tiny("tiny-cls"), "--uds", path, port=False, wait=False)
        self.wait_for("listening on ")
        self.heddle("health", env={"HEDDLE_UDS": str(path)})
        self.heddle("health", "--uds", path, "--ready")

    def test_over_tls(self):
        cert, key = self.work / "cert.pem", self.work / "key.pem"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1",
                        "-subj", "/CN=localhost", "-keyout", key, "-out", cert], check=True, capture_output=True)
        self.serve("--model", self.tiny("tiny-cls"), "--tls-cert", cert, "--tls-key", key)
        port = self.url.rsplit(":", 1)[1]
        self.heddle("health", "--port", port, "--tls")
        self.heddle("health", env={"HEDDLE_PORT": port, "HEDDLE_TLS_CERT": str(cert)})
        self.fails("health", "--port", port, says="/health")

    def test_a_server_that_never_answers(self):
        with socket.create_server(("127.0.0.1", 0)) as deaf:
            start = time.monotonic()
            self.fails("health", "--port", deaf.getsockname()[1], "--timeout", 1, says="/health")
            self.assertLess(time.monotonic() - start, PATIENCE_S)

    def test_in_a_container(self):
        """The first process, an init, has been told to start the server; who asks gives no port."""
        namespaces = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--mount-proc", "--kill-child"]
        if shutil.which("unshare") is None or subprocess.run([*namespaces, "true"], capture_output=True).returncode != 0:
            self.skipTest("no right to make namespaces")
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        init = '"$@" 2>/dev/null & for i in $(seq 100); do "$1" health && exit; sleep 0.1; done; exit 1'
        for form in (["--port", port], [f"--port={port}"]):
            line = [*namespaces, "sh", "-c", init, "--", PROGRAM, "serve", "--model", self.tiny("tiny-cls"), *form]
            done = subprocess.run(list(map(str, line)), cwd=self.work, env=self.env(), capture_output=True, text=True)
            self.assertEqual(done.returncode, 0, done.stderr)
        with socket.create_server(("127.0.0.1", port)):  # and the server is gone with its init
            pass

    def test_not_ready(self):
        self.serve("--model", self.tiny("tiny-cls"))
        port = self.url.rsplit(":", 1)[1]
        self.heddle("health", "--port", port, "--ready")
        self.fails("health", "--port", port, "surplus", code=2, says="health: unexpected argument 'surplus'")


if __name__ == "__main__":
    unittest.main()
