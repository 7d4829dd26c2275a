"""A running server for a class of tests, and what they ask of it.

    HEDDLE_BUILD=build python3 -m unittest -v test_protocols
"""

import base64
import json
import os
import re
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.error
import urllib.request
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "cli"))
from harness import PROGRAM, SETTINGS, cosine, rows_of, tiny_architectures, tiny_models  # noqa: E402, F401

PATIENCE_S = 20 * (5 if os.environ.get("HEDDLE_SANITIZED") else 1)


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body
        self.json = json.loads(body) if body[:1] in (b"{", b"[") else None


def floats(text):
    """Numbers of base64 in a response."""
    data = base64.b64decode(text)
    return list(struct.unpack(f"<{len(data) // 4}f", data))


class ServedTest(unittest.TestCase):
    """One server for all tests of a class, with `options`; the models are the small seeded ones of `models`."""

    maxDiff = None
    models = ("tiny-mrl",)
    options = ()
    environment = {}

    @classmethod
    def setUpClass(cls):
        cls.folder = Path(tempfile.mkdtemp(prefix="heddle-serve-"))
        cls.addClassCleanup(shutil.rmtree, cls.folder, ignore_errors=True)
        clean = {k: v for k, v in os.environ.items() if not k.startswith(SETTINGS)}
        cls.env = {**clean, "HEDDLE_CACHE": str(cls.folder / "cache"), "HOME": str(cls.folder), **cls.environment}
        cls.log = cls.folder / "serve.log"
        cls.prepare()
        line = [str(PROGRAM), "serve", "--port", "0", "--no-access-log", "--dtype", "f32", *cls.options]
        for model in cls.models:
            line += ["--model", str(tiny_models() / model)]
        with open(cls.log, "wb") as log:
            cls.server = subprocess.Popen(line, cwd=cls.folder, env=cls.env, stdout=log, stderr=log)
        cls.addClassCleanup(cls.stop)
        end = time.monotonic() + PATIENCE_S
        while not (said := re.search(r"listening on (http\S+)", cls.log.read_text(errors="replace"))):
            if cls.server.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"the server does not start: {cls.log.read_text(errors='replace')}")
            time.sleep(0.01)
        cls.url = said[1].rstrip("/")

    @classmethod
    def prepare(cls):
        """What has to be there before the server starts."""

    @classmethod
    def stop(cls):
        cls.server.send_signal(signal.SIGTERM)
        try:
            status = cls.server.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            cls.server.kill()
            raise
        if status != 0:
            raise RuntimeError(f"the server ended with {status}: {cls.log.read_text(errors='replace')}")

    def ask(self, path, body=None, headers=None):
        """GET, or POST of a body."""
        data = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data=data, headers={"Content-Type": "application/json", **(headers or {})})
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE_S) as response:
                return Answer(response.status, response.headers, response.read())
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, error.headers, error.read())

    def json(self, path, body=None, status=200, headers=None):
        answer = self.ask(path, body, headers)
        self.assertEqual(answer.status, status, answer.body)
        return answer.json

    def vectors(self, texts, *args, model=None, dimensions=None):
        """What `heddle embed` gives for them: the server has to answer with the same numbers."""
        texts = [texts] if isinstance(texts, str) else texts
        done = subprocess.run([str(PROGRAM), "embed", "-m", str(tiny_models() / (model or self.models[0])), "--dtype", "f32",
                               "--output-format", "f32", *args, "--", *texts], env=self.env, cwd=self.folder, capture_output=True, check=True)
        return rows_of(done.stdout, dimensions or len(done.stdout) // (4 * len(texts)))

    def close(self, got, expected, tolerance=1e-6):
        self.assertEqual(len(got), len(expected))
        for a, b in zip(got, expected):
            self.assertEqual(len(a), len(b))
            self.assertLess(max(abs(x - y) for x, y in zip(a, b)), tolerance)


class IndexTest(ServedTest):
    """A server with an index, made empty for each class."""

    @classmethod
    def setUpClass(cls):
        cls.home = tempfile.TemporaryDirectory(prefix="heddle-index-")
        cls.addClassCleanup(cls.home.cleanup)
        cls.index = Path(cls.home.name) / "notes.db"
        cls.options = (*cls.options, "--index", str(cls.index))
        super().setUpClass()

    def delete(self, path, body=None, status=200, headers=None):
        request = urllib.request.Request(self.url + path, None if body is None else json.dumps(body).encode(), method="DELETE",
                                         headers={"Content-Type": "application/json", **(headers or {})})
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
                code, text = answer.status, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                code, text = error.code, error.read()
        self.assertEqual(code, status, text)
        return json.loads(text)

    def search(self, query, status=200, **fields):
        return self.json("/v1/search", {"query": query, **fields}, status)
