#!/usr/bin/env python3
"""A million mixed requests against one server, every answer compared.

    bench/serve/soak.py [--requests N] [--model DIR] [--connections N] [--seed N]        HEDDLE_BUILD: the build folder

Requests of all protocols, from one text to 64, lists of token ids, errors on purpose, are made up front and asked one by
one of an idle server: those answers are what is expected, after every vector in them has been compared with what
`heddle embed` gives for the text. Then the same requests come in random order over many connections, up to four on
their way on each, and every status and body has to be the same to the byte (but for times and ids, which are
left out). The server's cache holds a part of the texts: most are computed again and again, in whatever company.

Fails on an answer that differs, a status of 500 or more, a lost connection, or when memory grows: of 200,000 requests and
more, the peak of RSS in the last tenth may be at most 5 % and 4 MB above that in the second.
"""

import argparse
import base64
import collections
import json
import os
import random
import re
import select
import socket
import struct
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "peers"))
import texts as prose  # noqa: E402

BUILD = Path(os.environ.get("HEDDLE_BUILD", HERE.parent.parent / "build")).resolve()
N_TEXTS = 4000
CACHE_BYTES = 4 << 20  # some 2,000 vectors
DEPTH = 4
PATIENCE_S = 300
SETTLED = 200000  # requests after which memory has found its size
VOLATILE = re.compile(rb'("(?:total_duration|load_duration|id|created|created_at|modified_at|build_info)":)("[^"]*"|\d+)')

Request = collections.namedtuple("Request", "name data texts rows")  # rows: answer → vectors of texts; None: no vectors
Expected = collections.namedtuple("Expected", "status body")


# --- requests -----------------------------------------------------------------------------------------------------

def raw(method, path, body=b"", *headers):
    data = body if isinstance(body, bytes) else json.dumps(body, ensure_ascii=False).encode()
    head = [f"{method} {path} HTTP/1.1", "Host: localhost", *headers]
    if method == "POST":
        head += [f"Content-Length: {len(data)}", "Content-Type: application/json"]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + data


def floats(text):
    data = base64.b64decode(text)
    return struct.unpack(f"<{len(data) // 4}f", data)


def embedding_requests(pick):
    """Each protocol's way to ask for vectors, and where they are in its answer."""
    def post(name, path, body, of, rows):
        return Request(name, raw("POST", path, body), of, rows)

    few, some, many, one = pick(3), pick(8), pick(64), pick(1)
    yield post("openai base64", "/v1/embeddings", {"model": "m", "input": one[0], "encoding_format": "base64"}, one,
               lambda a: [floats(row["embedding"]) for row in a["data"]])
    yield post("openai floats", "/v1/embeddings", {"model": "m", "input": some}, some, lambda a: [row["embedding"] for row in a["data"]])
    yield post("openai 64 texts", "/v1/embeddings", {"input": many, "encoding_format": "base64", "user": "u"}, many,
               lambda a: [floats(row["embedding"]) for row in a["data"]])
    yield post("tei", "/embed", {"inputs": few, "truncate": True}, few, lambda a: a)
    yield post("tei, the root", "/", {"inputs": one[0]}, one, lambda a: a)
    yield post("llama.cpp", "/embedding", {"content": one[0]}, one, lambda a: [row["embedding"][0] for row in a])
    yield post("llama.cpp list", "/embeddings", {"content": few}, few, lambda a: [row["embedding"][0] for row in a])
    yield post("ollama", "/api/embed", {"model": "m", "input": few}, few, lambda a: a["embeddings"])
    yield post("cohere", "/v2/embed", {"model": "m", "texts": few, "input_type": "search_document", "embedding_types": ["float"]},
               few, lambda a: a["embeddings"]["float"])
    yield post("jina", "/v1/embeddings", {"model": "m", "input": few, "task": "text-matching"}, few,
               lambda a: [row["embedding"] for row in a["data"]])


def other_requests(pick):
    def post(name, path, body, *headers):
        return Request(name, raw("POST", path, body, *headers), None, None)

    text, few = pick(1)[0], pick(3)
    short = ["how do tides work", "Größe 東京 🦆"]
    yield post("openai ids", "/v1/embeddings", {"model": "m", "input": [[5, 1012, 6], [5, 1037, 1045, 6]]})
    yield post("openai dimensions", "/v1/embeddings", {"input": few, "dimensions": 8, "encoding_format": "base64"})
    yield post("similarity", "/similarity", {"inputs": {"source_sentence": text, "sentences": few}})
    yield post("tei tokenize", "/tokenize", {"inputs": short})
    yield post("llama.cpp tokenize", "/tokenize", {"content": short[1], "with_pieces": True})
    yield post("detokenize", "/detokenize", {"tokens": [1012, 1037]})
    yield post("decode", "/decode", {"ids": [5, 1012, 1037, 6]})
    yield post("cohere bytes", "/v2/embed", {"model": "m", "texts": few, "input_type": "search_query", "embedding_types": ["int8", "ubinary"]})
    yield post("older ollama", "/api/embeddings", {"model": "m", "prompt": text})
    for path in ("/health", "/ready", "/v1/models", "/info", "/ping", "/api/tags", "/api/ps", "/props", "/openapi.json", "/"):
        yield Request(f"GET {path}", raw("GET", path), None, None)
    yield Request("GET / as gzip", raw("GET", "/", b"", "Accept: text/html", "Accept-Encoding: gzip"), None, None)
    yield Request("HEAD", raw("HEAD", "/v1/models"), None, None)
    yield Request("OPTIONS", raw("OPTIONS", "/v1/embeddings"), None, None)


def wrong_requests(pick):
    def post(name, path, body, *headers):
        return Request(f"wrong: {name}", raw("POST", path, body, *headers), None, None)

    few = pick(3)
    yield post("no JSON", "/v1/embeddings", b'{"input": "x"')
    yield post("not UTF-8", "/embed", b'{"inputs": "\xff\xfe"}')
    yield post("nested", "/v1/embeddings", b'{"input": ' + b"[" * 40 + b"]" * 40 + b"}")
    yield post("no body", "/v1/embeddings", b"")
    yield post("no input", "/v1/embeddings", {"model": "m"})
    yield post("a type", "/v1/embeddings", {"input": 5})
    yield post("empty", "/embed", {"inputs": ""})
    yield post("too many", "/embed", {"inputs": ["x"] * 3000})
    yield post("dimensions", "/v1/embeddings", {"input": few, "dimensions": 100000})
    yield post("a dtype", "/v1/embeddings", {"input": few, "output_dtype": "int3"})
    yield post("a prompt", "/embed", {"inputs": few, "prompt_name": "nobody's"})
    yield post("too long", "/embed", {"inputs": "word " * 3000, "truncate": False})
    yield post("an id", "/v1/embeddings", {"input": [2147483647]})
    yield post("rerank", "/v1/rerank", {"model": "m", "query": "q", "documents": few})
    yield post("tei rerank", "/rerank", {"query": "q", "texts": few})
    yield post("input_type", "/v2/embed", {"model": "m", "texts": few, "input_type": "nothing"})
    yield post("length", "/api/embed", {"model": "m", "input": "word " * 300, "truncate": False, "options": {"num_ctx": 16}})
    yield post("coding", "/v1/embeddings", {"input": "x"}, "Content-Encoding: br")
    yield post("path", "/v1/nothing", {"input": "x"})
    for path in ("/v1/embeddings", "/embed", "/api/embed", "/embedding", "/v2/embed"):
        yield Request(f"wrong: GET {path}", raw("GET", path), None, None)


def make_requests(seed, n_texts):
    """Each text in some request that asks for its vector, and all kinds of the rest."""
    all_texts = list(prose.short_texts(n_texts, seed)) + ["x", "Größe 東京 🦆", "word " * 400, " \t a\u0000b ", "ﬁ №"]
    drawn = random.Random(seed)
    requests, left = [], []

    def pick(n):
        nonlocal left
        if len(left) < n:
            left = drawn.sample(all_texts, len(all_texts))
        taken, left = left[:n], left[n:]
        return taken

    for i in range(max(1, n_texts // 90)):  # a round asks for the vectors of about so many
        requests += embedding_requests(pick)
        if i % 4 == 0:
            requests += [*other_requests(pick), *wrong_requests(pick)]
    return all_texts, requests


# --- the server ---------------------------------------------------------------------------------------------------

class Server:
    def __init__(self, args, folder):
        self.log = folder / "serve.log"
        self.line = ["--model", str(args.model), "--dtype", args.dtype]
        env = {k: v for k, v in os.environ.items() if not k.startswith(("HEDDLE_", "RAG_", "EMBEDDING_"))}
        self.env = {**env, "HEDDLE_CACHE": str(folder / "cache")}
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen([BUILD / "heddle", "serve", "--port", "0", "--preload", "--no-access-log", "--cache-bytes",
                                             str(CACHE_BYTES), *self.line], env=self.env, stdout=log, stderr=log)
        end = time.monotonic() + PATIENCE_S
        while not (said := re.search(r"listening on http://127\.0\.0\.1:(\d+)", self.log.read_text(errors="replace"))):
            if self.process.poll() is not None or time.monotonic() > end:
                sys.exit(f"soak: the server does not start: {self.log.read_text(errors='replace')}")
            time.sleep(0.01)
        self.port = int(said[1])

    def rss_kb(self):
        return int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{self.process.pid}/status").read_text())[1])

    def cache_hits(self):
        """And misses, so far."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics") as response:
            text = response.read().decode()
        return [int(re.search(rf"^heddle_cache_{what}_total (\d+)", text, re.M)[1]) for what in ("hits", "misses")]

    def vectors(self, all_texts):
        """What `heddle embed` gives."""
        lines = "".join(json.dumps({"text": t}) + "\n" for t in all_texts)
        path = self.log.parent / "texts.jsonl"
        path.write_text(lines)
        done = subprocess.run([BUILD / "heddle", "embed", "--quiet", *self.line, "--input", path, "--output-format", "f32"], env=self.env,
                              stdout=subprocess.PIPE, check=True)
        n = len(done.stdout) // 4 // len(all_texts)
        numbers = struct.unpack(f"<{n * len(all_texts)}f", done.stdout)
        return {t: numbers[i * n:(i + 1) * n] for i, t in enumerate(all_texts)}

    def stop(self):
        self.process.terminate()
        return self.process.wait(60)


class Connection:
    """Requests in the order sent, answers taken one by one as they become whole."""

    def __init__(self, port):
        self.port = port
        self.connect()

    def connect(self):
        self.socket = socket.create_connection(("127.0.0.1", self.port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.waiting, self.got, self.to_send = collections.deque(), b"", b""

    def answers(self):
        """Of what has come: (number of the request, status, body, whether the server closes)."""
        while self.waiting:
            end = self.got.find(b"\r\n\r\n")
            if end < 0:
                return
            head = self.got[:end].lower()
            number, is_head = self.waiting[0]
            length = re.search(rb"content-length: (\d+)", head)
            whole = end + 4 + (int(length[1]) if length and not is_head else 0)
            if len(self.got) < whole:
                return
            self.waiting.popleft()
            body, self.got = self.got[end + 4:whole], self.got[whole:]
            yield number, int(head[9:12]), body, b"connection: close" in head


def plain(body):
    return VOLATILE.sub(rb"\1-", body)


def ask(connection, request):
    """Alone, and waited for."""
    connection.waiting.append((0, request.data.startswith(b"HEAD")))
    connection.socket.sendall(request.data)
    while True:
        data = connection.socket.recv(1 << 20)
        if not data:
            sys.exit(f"soak: {request.name}: the connection is lost")
        connection.got += data
        for _, status, body, closes in connection.answers():
            if closes:
                connection.connect()
            return Expected(status, plain(body)), body


def expect(server, requests, vectors):
    """The answers of an idle server, checked."""
    connection, all_expected = Connection(server.port), []
    for request in requests:
        expected, body = ask(connection, request)
        if expected.status >= 500 or request.name.startswith("wrong") != (expected.status >= 400):
            sys.exit(f"soak: {request.name}: status {expected.status}: {body[:300]}")
        if request.rows:
            for text, row in zip(request.texts, request.rows(json.loads(body)), strict=True):
                wanted = vectors[text]
                if len(row) != len(wanted) or max(abs(a - b) for a, b in zip(row, wanted)) > 1e-6:
                    sys.exit(f"soak: {request.name}: not the vector of {text[:60]!r}")
        all_expected.append(expected)
    return all_expected


# --- the flood ----------------------------------------------------------------------------------------------------

class Flood:
    def __init__(self, args, server, requests, expected):
        self.args, self.server, self.requests, self.expected = args, server, requests, expected
        self.random = random.Random(args.seed + 1)
        self.n_sent = self.n_done = 0
        self.by_name, self.rss, self.sampled = collections.Counter(), [], 0.0
        self.poll = select.epoll()
        self.connections = {}
        for _ in range(args.connections):
            self.add(Connection(server.port))

    def add(self, connection):
        connection.socket.setblocking(False)
        self.connections[connection.socket.fileno()] = connection
        self.poll.register(connection.socket, select.EPOLLIN)
        self.fill(connection)

    def fill(self, connection):
        """Up to DEPTH on their way. After one that the server closes on, none is sent."""
        while len(connection.waiting) < DEPTH and self.n_sent < self.args.requests:
            if connection.waiting and self.requests[connection.waiting[-1][0]].name.startswith("wrong"):
                break
            number = int(self.random.random() ** 3 * len(self.requests))  # some are asked often, and are in the cache
            if self.requests[number].name == "openai 64 texts" and self.random.random() < 0.8:
                continue
            data = self.requests[number].data
            connection.waiting.append((number, data.startswith(b"HEAD")))
            connection.to_send += data
            self.n_sent += 1
        self.send(connection)

    def send(self, connection):
        try:
            while connection.to_send:
                connection.to_send = connection.to_send[connection.socket.send(connection.to_send):]
        except BlockingIOError:
            pass
        wanted = select.EPOLLIN | (select.EPOLLOUT if connection.to_send else 0)
        self.poll.modify(connection.socket, wanted)

    def check(self, number, status, body):
        request, expected = self.requests[number], self.expected[number]
        self.n_done += 1
        self.by_name[request.name] += 1
        if status != expected.status or (body != expected.body and plain(body) != expected.body):
            sys.exit(f"soak: answer {self.n_done}, {request.name}: not what was expected\n  wanted {expected.status} {expected.body[:400]}"
                     f"\n  got    {status} {body[:400]}")

    def take(self, connection):
        try:
            data = connection.socket.recv(1 << 20)
        except BlockingIOError:
            return
        connection.got += data
        closes = not data
        for number, status, body, closed in connection.answers():
            self.check(number, status, body)
            closes |= closed
        if closes:
            if connection.waiting:
                sys.exit(f"soak: a connection is lost with {len(connection.waiting)} requests on their way")
            del self.connections[connection.socket.fileno()]
            connection.socket.close()
            connection.connect()
            self.add(connection)
        else:
            self.fill(connection)

    def sample(self):
        if time.monotonic() - self.sampled > 0.2:
            self.sampled = time.monotonic()
            self.rss.append((self.n_done / self.args.requests, self.server.rss_kb()))

    def run(self):
        last, n_last = time.monotonic(), 0
        while self.n_done < self.args.requests:
            for descriptor, events in self.poll.poll(1):
                connection = self.connections[descriptor]
                if events & select.EPOLLOUT:
                    self.send(connection)
                if events & ~select.EPOLLOUT:
                    self.take(connection)
            self.sample()
            if self.n_done > n_last:
                last, n_last = time.monotonic(), self.n_done
            if time.monotonic() - last > PATIENCE_S:
                sys.exit("soak: no answer any more")

    def peak_kb(self, begin, end):
        return max((rss for at, rss in self.rss if begin <= at <= end), default=self.server.rss_kb())


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--requests", type=int, default=1000000)
    parser.add_argument("--texts", type=int, default=N_TEXTS)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--model", help="folder or name [what tools/fetch_model.sh gets]")
    parser.add_argument("--dtype", default="auto")
    args = parser.parse_args()
    args.model = args.model or subprocess.run([HERE.parent.parent / "tools/fetch_model.sh"], check=True, text=True,
                                              stdout=subprocess.PIPE).stdout.strip()
    all_texts, requests = make_requests(args.seed, args.texts)
    with tempfile.TemporaryDirectory(prefix="heddle-soak-") as folder:
        server = Server(args, Path(folder))
        try:
            expected = expect(server, requests, server.vectors(all_texts))
            print(f"{len(requests)} different requests of {len({r.name for r in requests})} kinds, {len(all_texts)} texts", flush=True)
            started = time.monotonic()
            flood = Flood(args, server, requests, expected)
            flood.run()
            took = time.monotonic() - started
            hits, misses = server.cache_hits()
            early, late = flood.peak_kb(0.1, 0.2), flood.peak_kb(0.9, 1.0)
        finally:
            status = server.stop()
    print(f"{hits + misses} texts, {hits / (hits + misses):.0%} of them from the cache")
    print(f"{flood.n_done} answers in {took:.1f} s ({flood.n_done / took:.0f} a second), all as expected, none of 5xx; "
          f"{sum(n for name, n in flood.by_name.items() if name.startswith('wrong'))} of them errors on purpose; "
          f"peak RSS {early / 1024:.1f} MB in the second tenth, {late / 1024:.1f} MB in the last")
    if status != 0:
        sys.exit(f"soak: the server ended with {status}")
    if args.requests >= SETTLED and late > early * 1.05 + 4096:
        sys.exit("soak: memory grew")


if __name__ == "__main__":
    main()
