"""A server of its own for a class of tests, and clients that need not behave: raw sockets, half requests, no reading.

Bytes go out exactly as they are given; what comes back is split into responses without trusting it.
"""

import json
import os
import re
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "cli"))
from harness import PROGRAM, SETTINGS, tiny_models  # noqa: E402

SLOW = 5 if os.environ.get("HEDDLE_SANITIZED") else 1
PATIENCE_S = 20 * SLOW


class Response:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @property
    def json(self):
        return json.loads(self.body)


class Client:
    """One connection. It reads nothing unless it is asked to."""

    def __init__(self, port, source=None, receive_bytes=0, timeout=PATIENCE_S):
        self.socket = socket.socket()
        self.socket.settimeout(timeout)
        if receive_bytes:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        if source:
            self.socket.bind((source, 0))
        self.socket.connect(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.ahead = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def send(self, data):
        """False: the server has closed."""
        try:
            self.socket.sendall(data)
            return True
        except OSError:
            return False

    def until(self, mark, n=None):
        while (mark not in self.ahead) if n is None else (len(self.ahead) < n):
            try:
                data = self.socket.recv(1 << 16)
            except (ConnectionError, BrokenPipeError):
                data = b""
            if not data:
                return None
            self.ahead += data
        at = self.ahead.index(mark) + len(mark) if n is None else n
        taken, self.ahead = self.ahead[:at], self.ahead[at:]
        return taken

    def read(self):
        """The next response; None when the connection ends before it is whole."""
        head = self.until(b"\r\n\r\n")
        if head is None:
            return None
        lines = head.decode("latin-1").split("\r\n")
        headers = {}
        for line in lines[1:-2]:
            name, _, value = line.partition(":")
            headers[name.strip().lower()] = value.strip()
        body = self.until(b"", int(headers.get("content-length", 0)))
        return None if body is None else Response(int(lines[0].split()[1]), headers, body)

    def read_all(self):
        """Every response until the server closes, or says no more for two seconds."""
        self.socket.settimeout(2 * SLOW)
        found = []
        try:
            while (response := self.read()) is not None:
                found.append(response)
        except TimeoutError:
            pass
        return found

    def post(self, path, body, headers=()):
        self.send(post(path, body, headers))
        return self.read()


def post(path, body, headers=()):
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"POST {path} HTTP/1.1", "Host: h", "Content-Type: application/json", f"Content-Length: {len(data)}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + data


def sentences(n, words=20, mark=""):
    """Texts of which no two are equal, and none is in a cache when the mark is new."""
    return [f"{mark} {i} " + " ".join(f"w{(i * 7 + k) % 997}" for k in range(words)) for i in range(n)]


class LoopbackTest(unittest.TestCase):
    """One server for all tests of a class; `options` are its own, `max_files` its limit of descriptors."""

    maxDiff = None
    model = "tiny-mrl"
    options = ()
    max_files = 0
    key = "none"

    @classmethod
    def setUpClass(cls):
        cls.folder = Path(tempfile.mkdtemp(prefix="heddle-faults-"))
        cls.addClassCleanup(shutil.rmtree, cls.folder, ignore_errors=True)
        cls.start()
        cls.addClassCleanup(cls.stop)

    @classmethod
    def start(cls):
        clean = {k: v for k, v in os.environ.items() if not k.startswith(SETTINGS)}
        env = {**clean, "HEDDLE_CACHE": str(cls.folder / "cache"), "HOME": str(cls.folder)}
        cls.log = cls.folder / "serve.log"
        line = [str(PROGRAM), "serve", "--port", "0", "--no-access-log", "--preload", *map(str, cls.options), "--model",
                str(tiny_models() / cls.model)]
        limit = (lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (cls.max_files, cls.max_files))) if cls.max_files else None
        with open(cls.log, "wb") as log:
            cls.server = subprocess.Popen(line, cwd=cls.folder, env=env, stdout=log, stderr=log, preexec_fn=limit)
        end = time.monotonic() + PATIENCE_S
        while not (said := re.search(r"listening on http://127.0.0.1:(\d+)", cls.said())):
            if cls.server.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"the server does not start: {cls.said()}")
            time.sleep(0.01)
        cls.port = int(said[1])
        with Client(cls.port) as client:
            while client.post("/v1/embeddings", {"input": "warm"}, (f"X-Api-Key: {cls.key}",)).status != 200:
                time.sleep(0.01)

    @classmethod
    def said(cls):
        return cls.log.read_text(errors="replace")

    @classmethod
    def stop(cls):
        """It ends by itself when it is asked to, whatever was done to it, and says nothing of bugs."""
        if cls.server.poll() is None:
            cls.server.send_signal(signal.SIGTERM)
        try:
            status = cls.server.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            cls.server.kill()
            raise RuntimeError("the server does not stop") from None
        if status != 0:
            raise RuntimeError(f"the server ended with {status}: {cls.said()}")

    def client(self, **options):
        client = Client(self.port, **options)
        self.addCleanup(client.close)
        return client

    def get(self, path, **options):
        with Client(self.port, **options) as client:
            client.send(f"GET {path} HTTP/1.1\r\nHost: h\r\nX-Api-Key: {self.key}\r\n\r\n".encode())
            return client.read()

    def embed(self, body, **options):
        with Client(self.port, **options) as client:
            return client.post("/v1/embeddings", body, (f"X-Api-Key: {self.key}",))

    def metric(self, name):
        found = re.search(rf"^{name}(?:{{.*}})? (\S+)$", self.get("/metrics").body.decode(), re.M)
        self.assertIsNotNone(found, name)
        return float(found[1])

    def rss_mb(self):
        return int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{self.server.pid}/status").read_text())[1]) / 1024

    def wait_until(self, condition, what, seconds=PATIENCE_S):
        end = time.monotonic() + seconds
        while not condition():
            self.assertLess(time.monotonic(), end, what)
            time.sleep(0.02)

    def assert_serves(self):
        """Nobody else notices: a new client gets health and a vector at once."""
        self.assertIsNone(self.server.poll(), self.said())
        start = time.monotonic()
        answer = self.get("/health", timeout=PATIENCE_S)
        self.assertEqual((answer.status, answer.json), (200, {"status": "ok"}))
        answer = self.embed({"input": "still here"})
        self.assertEqual(answer.status, 200, answer.body)
        self.assertEqual(len(answer.json["data"][0]["embedding"]), 40)
        self.assertLess(time.monotonic() - start, 5 * SLOW)
