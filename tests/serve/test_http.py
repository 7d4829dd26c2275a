"""HTTP itself: what is refused, what is kept apart, what is answered while others compute, how it ends."""

import gzip
import json
import os
import re
import signal
import socket
import ssl
import struct
import subprocess
import tempfile
import threading
import time
import unittest
import warnings
import zlib
from pathlib import Path

from serving import PATIENCE_S, PROGRAM, ServedTest, tiny_models

BODY = json.dumps({"input": "river stone"}).encode()


def head(path="/v1/embeddings", method="POST", *headers, version="HTTP/1.1"):
    return "".join(f"{line}\r\n" for line in (f"{method} {path} {version}", "Host: h", *headers, "")).encode()


def request(body=BODY, *headers, path="/v1/embeddings"):
    return head(path, "POST", f"Content-Length: {len(body)}", *headers) + body


class Raw:
    """A connection on which anything may be written."""

    def __init__(self, test, address=None):
        host, port = address or test.address()
        self.socket = socket.create_connection((host, port), timeout=PATIENCE_S)
        self.file = self.socket.makefile("rb")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def answer(self, has_body=True):
        """Status, headers, body; None when the server has hung up."""
        try:
            line = self.file.readline()
        except ConnectionResetError:
            return None
        if not line:
            return None
        status, headers = int(line.split()[1]), {}
        while (line := self.file.readline().strip()):
            name, _, value = line.decode().partition(": ")
            headers[name.lower()] = value
        return status, headers, self.file.read(int(headers.get("content-length", 0))) if has_body else b""


class HttpTest(ServedTest):
    def address(self):
        host, port = re.match(r"https?://(.*):(\d+)", self.url).groups()
        return host, int(port)

    def raw(self, data, has_body=True):
        with Raw(self) as raw:
            raw.send(data)
            return raw.answer(has_body)


class Plain(HttpTest):
    options = ("--max-body", "100000", "--cors-origin", "https://a.example")

    def test_methods(self):
        status, headers, body = self.raw(head("/health", "HEAD"), has_body=False)
        self.assertEqual((status, headers["content-length"], body), (200, "15", b""))
        status, headers, _ = self.raw(head("/v1/embeddings", "OPTIONS"))
        self.assertEqual((status, headers["allow"]), (204, "POST, OPTIONS"))
        self.assertEqual(self.raw(head("*", "OPTIONS"))[0], 204)
        for method in ("GET", "PUT", "DELETE", "PATCH", "BREW"):
            status, headers, body = self.raw(head("/v1/embeddings", method))
            self.assertEqual((status, headers["allow"]), (405, "POST, OPTIONS"), method)
            self.assertEqual(json.loads(body)["error"]["code"], "method_not_supported")
        for path, words in (("/embed", {"error": "not with this method", "error_type": "Validation"}),
                            ("/v2/embed", {"message": "not with this method"}),
                            ("/embedding", {"error": {"code": 405, "message": "not with this method", "type": "invalid_request_error"}}),
                            ("/api/embed", {"error": "not with this method"})):
            status, _, body = self.raw(head(path, "GET"))
            said = json.loads(body)
            said.pop("id", None)
            self.assertEqual((status, said), (405, words))
        self.assertEqual(self.raw(head("/none", "GET"))[0], 404)
        self.assertEqual(self.raw(head("http://h/health", "GET"))[0], 200)
        self.assertEqual(self.raw(head("/%68ealth?x=1", "GET"))[0], 200)
        self.assertEqual(self.raw(head("/health%00", "GET"))[0], 400)

    def test_threads_have_names(self):
        self.json("/v1/embeddings", {"input": "whose work is this"})
        names = [(task / "comm").read_text().strip() for task in Path(f"/proc/{self.server.pid}/task").iterdir()]
        self.assertLessEqual({"heddle-worker", "heddle-net", "heddle-watch", "heddle-timer"}, set(names))
        self.assertEqual(names.count("heddle"), 1)  # the one that waits for signals

    def test_keep_alive_and_pipelining(self):
        with Raw(self) as raw:
            for _ in range(3):
                raw.send(request())
                self.assertEqual(raw.answer()[0], 200)
            raw.send(request() + head("/health", "GET") + request(b"{") + head("/none", "GET") + request())
            self.assertEqual([raw.answer()[0] for _ in range(5)], [200, 200, 400, 404, 200])
        with Raw(self) as raw:  # in pieces of one byte
            for byte in request():
                raw.send(bytes([byte]))
            self.assertEqual(raw.answer()[0], 200)

    def test_chunked(self):
        chunks = b"".join(b"%x\r\n%s\r\n" % (len(c), c) for c in (BODY[:3], BODY[3:])) + b"0\r\n\r\n"
        self.assertEqual(self.raw(head("/v1/embeddings", "POST", "Transfer-Encoding: chunked") + chunks)[0], 200)

    def test_ids(self):
        self.assertEqual(self.raw(request(BODY, "X-Request-Id: abc-1"))[1]["x-request-id"], "abc-1")
        for bad in ("a b", "x" * 129, "\x01"):
            self.assertRegex(self.raw(request(BODY, f"X-Request-Id: {bad}"))[1]["x-request-id"], "^[0-9a-f]{16}$")
        first, second = (self.raw(request())[1]["x-request-id"] for _ in range(2))
        self.assertNotEqual(first, second)

    def test_cors(self):
        headers = self.raw(request(BODY, "Origin: https://a.example"))[1]
        self.assertEqual(headers["access-control-allow-origin"], "https://a.example")
        self.assertNotIn("access-control-allow-origin", self.raw(request(BODY, "Origin: https://b.example"))[1])
        status, headers, _ = self.raw(head("/v1/embeddings", "OPTIONS", "Origin: https://a.example",
                                           "Access-Control-Request-Method: POST", "Access-Control-Request-Headers: x-one, x-two"))
        self.assertEqual((status, headers["access-control-allow-headers"]), (204, "x-one, x-two"))

    def test_compression(self):
        plain = self.raw(request())[2]
        for coding, data in (("gzip", gzip.compress(BODY)), ("deflate", zlib.compress(BODY)), ("identity", BODY)):
            status, _, body = self.raw(request(data, f"Content-Encoding: {coding}"))
            self.assertEqual((status, body), (200, plain), coding)
        self.assertEqual(self.raw(request(BODY, "Content-Encoding: br"))[0], 415)
        self.assertEqual(self.raw(request(BODY, "Content-Encoding: gzip"))[0], 415)
        self.assertEqual(self.raw(request(gzip.compress(BODY)[:-4], "Content-Encoding: gzip"))[0], 415)
        bomb = gzip.compress(b"[" * (50 << 20))
        self.assertLess(len(bomb), 100000)
        self.assertEqual(self.raw(request(bomb, "Content-Encoding: gzip"))[0], 413)
        status, headers, body = self.raw(head("/openapi.json", "GET", "Accept-Encoding: gzip"))
        self.assertEqual((status, headers["content-encoding"]), (200, "gzip"))
        self.assertIn("openapi", json.loads(gzip.decompress(body)))
        self.assertNotIn("content-encoding", self.raw(head("/openapi.json", "GET", "Accept-Encoding: gzip;q=0"))[1])

    def test_too_large(self):
        status, headers, body = self.raw(head("/v1/embeddings", "POST", "Content-Length: 100001"))
        self.assertEqual((status, headers["connection"].lower()), (413, "close"))
        error = json.loads(body)["error"]
        self.assertEqual((error["code"], error["message"]), ("request_too_large", "the body is longer than the 100000 bytes that this server takes"))
        self.assertEqual(self.raw(head("/v1/embeddings", "POST", "Content-Length: 99999999999999999999"))[0], 413)
        chunk = b"1000\r\n" + b" " * 4096 + b"\r\n"
        self.assertEqual(self.raw(head("/v1/embeddings", "POST", "Transfer-Encoding: chunked") + chunk * 30 + b"0\r\n\r\n")[0], 413)
        padded = BODY[:-1] + b" " * (100000 - len(BODY)) + b"}"
        self.assertEqual(len(padded), 100000)
        self.assertEqual(self.raw(request(padded))[0], 200)
        self.assertGreaterEqual(self.raw(head("/v1/embeddings", "POST", "X-Long: " + "x" * 40000))[0], 400)
        many = [f"X-{i}: y" for i in range(150)]
        self.assertGreaterEqual(self.raw(request(BODY, *many))[0], 400)

    def test_shapes_of_smuggling(self):
        both = head("/v1/embeddings", "POST", "Content-Length: 5", "Transfer-Encoding: chunked") + b"0\r\n\r\n"
        twice = head("/v1/embeddings", "POST", f"Content-Length: {len(BODY)}", "Content-Length: 3") + BODY
        for data in (both, twice, head("/v1/embeddings", "POST", "Content-Length: -1"),
                     head("/v1/embeddings", "POST", "Content-Length: 3x") + b"abc",
                     head("/v1/embeddings", "POST", "Transfer-Encoding: chunked") + b"zz\r\n",
                     b"GET /health\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00", b"GET /health HTTP/9.9\r\n\r\n"):
            with Raw(self) as raw:
                raw.send(data + head("/health", "GET"))
                try:
                    raw.socket.shutdown(socket.SHUT_WR)
                except OSError:
                    pass  # it has hung up already
                answer = raw.answer()
                self.assertTrue(answer is None or answer[0] >= 400, (data, answer))
        self.assertEqual(self.ask("/health").status, 200)

    def test_clients_that_go(self):
        for data in (b"", b"POST", request()[:-5], head("/v1/embeddings", "POST", "Content-Length: 50")):
            with Raw(self) as raw:
                raw.send(data)
        with Raw(self) as raw:
            raw.send(request())
            raw.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # a reset
        self.assertEqual(self.ask("/health").status, 200)

    def test_a_client_that_never_reads(self):
        listed = json.dumps({"input": ["river"] * 500}).encode()
        with Raw(self) as raw:
            raw.send(request(listed) * 20)
            start = time.monotonic()
            self.assertEqual(self.ask("/health").status, 200)
            self.assertLess(time.monotonic() - start, 1)


class Inflating(HttpTest):
    """Bodies that take long to inflate. What is in them is no JSON from its 33rd byte on."""

    def test_others_are_answered_meanwhile(self):
        nested = request(gzip.compress(b"[" * (31 << 20), 1), "Content-Encoding: gzip")
        statuses, health, stop = [], [], threading.Event()

        def work():
            while not stop.is_set():
                statuses.append(self.raw(nested)[0])

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        with Raw(self) as raw:
            for _ in range(100):
                start = time.monotonic()
                raw.send(head("/health", "GET"))
                self.assertEqual(raw.answer()[0], 200)
                health.append(time.monotonic() - start)
                time.sleep(0.005)
        stop.set()
        for thread in threads:
            thread.join(PATIENCE_S)
        self.assertGreater(len(statuses), 4)
        self.assertEqual(set(statuses), {400})
        self.assertLess(sorted(health)[50], 0.005)

    def test_lengths(self):
        plain = self.raw(request())[2]
        for n in (16 << 10, 64 << 10, (64 << 10) + 1, 1 << 20, 32 << 20):  # all around what is inflated where
            spaces = b" " * (n - len(BODY))
            for level in (0, 9):  # as long as it was, and far shorter
                data = gzip.compress(BODY + spaces, level)
                if len(data) > 32 << 20:
                    continue
                status, _, body = self.raw(request(data, "Content-Encoding: gzip"))
                self.assertEqual((status, body), (200, plain), (n, level))
                self.assertEqual(self.raw(request(data[:-1], "Content-Encoding: gzip"))[0], 415, (n, level))
        over = gzip.compress(b"[" * ((32 << 20) + 1))
        self.assertEqual(self.raw(request(over, "Content-Encoding: gzip"))[0], 413)
        with Raw(self) as raw:  # one after the other on one connection
            data = request(gzip.compress(BODY + b" " * (1 << 20)), "Content-Encoding: gzip")
            raw.send(data + request() + data)
            self.assertEqual([raw.answer()[::2] for _ in range(3)], [(200, plain)] * 3)

    def test_clients_that_go(self):
        data = request(gzip.compress(b"[" * (31 << 20)), "Content-Encoding: gzip")
        for _ in range(8):
            with Raw(self) as raw:
                raw.send(data)
        self.assertEqual(self.ask("/health").status, 200)


class Keys(HttpTest):
    options = ("--api-key", "one,two", "--api-key", "three")

    def test_keys(self):
        for key in ("one", "two", "three"):
            self.assertEqual(self.raw(request(BODY, f"Authorization: Bearer {key}"))[0], 200)
            self.assertEqual(self.raw(request(BODY, f"X-Api-Key: {key}"))[0], 200)
        for header in ("X-Other: one", "Authorization: Bearer", "Authorization: Bearer on", "Authorization: Bearer onee",
                       "Authorization: Bearer one,two", "Authorization: Basic one", "X-Api-Key:", "X-Api-Key: ONE"):
            status, headers, body = self.raw(request(BODY, header))
            self.assertEqual((status, headers["www-authenticate"]), (401, "Bearer"), header)
            self.assertEqual(json.loads(body)["error"]["code"], "invalid_api_key")
        self.assertEqual(self.ask("/health").status, 200)
        self.assertEqual(self.ask("/v1/models").status, 401)


class Busy(HttpTest):
    """A server with more to do than it can."""

    options = ("--threads", "1", "--max-queue-tokens", "20000", "--timeout", "60", "--cache-bytes", "0")

    @staticmethod
    def many(n, seed):
        return json.dumps({"input": [f"{seed} " + " ".join(f"w{(seed * 7919 + i * 31 + k) % 997}" for k in range(90))
                                     for i in range(n)]}).encode()

    def test_load(self):
        results, stop = [], threading.Event()

        def work(seed):
            while not stop.is_set():
                seed += 100
                with Raw(self) as raw:
                    raw.send(request(self.many(100, seed)))
                    results.append(raw.answer())

        threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
        for thread in threads:
            thread.start()
        time.sleep(1)
        health, with_key = [], []
        with Raw(self) as raw:
            for _ in range(100):
                start = time.monotonic()
                raw.send(head("/health", "GET"))
                self.assertEqual(raw.answer()[0], 200)
                health.append(time.monotonic() - start)
                time.sleep(0.005)
            for i in range(20):
                start = time.monotonic()
                raw.send(request(json.dumps({"input": f"a query {i}"}).encode(), "X-Api-Key: somebody else"))
                with_key.append((raw.answer()[0], time.monotonic() - start))
        stop.set()
        for thread in threads:
            thread.join(PATIENCE_S)
        statuses = {status for status, _, _ in results}
        self.assertLessEqual(statuses, {200, 429})
        self.assertIn(429, statuses)
        for status, headers, body in results:
            if status == 429:
                self.assertTrue(1 <= int(headers["retry-after"]) <= 60)
                self.assertEqual(json.loads(body)["error"]["code"], "rate_limit_exceeded")
        self.assertLess(sorted(health)[50], 0.05)  # five in a hundred may wait for Python's own threads

    def test_gone_is_cancelled(self):
        before = time.monotonic()
        with Raw(self) as raw:
            raw.send(request(self.many(1900, 5)))
            time.sleep(0.3)
        while (answer := self.ask("/v1/embeddings", {"input": "after it"})).status == 429:
            self.assertLess(time.monotonic() - before, PATIENCE_S)  # until it was noticed the queue is full
        self.assertEqual((answer.status, len(answer.json["data"])), (200, 1))
        self.assertLess(time.monotonic() - before, PATIENCE_S)

    def test_deadline(self):
        body = json.loads(self.many(1900, 9))
        body["timeout_ms"] = 50
        answer = self.ask("/v1/embeddings", body)
        self.assertEqual((answer.status, answer.json["error"]["code"]), (504, "timeout"))


class Stopping(unittest.TestCase):
    """Sockets, and the end."""

    def start(self, *options, **popen):
        env = {k: v for k, v in os.environ.items() if not k.startswith("HEDDLE_")}
        process = subprocess.Popen([str(PROGRAM), "serve", "--model", str(tiny_models() / "tiny-mrl"), "--no-access-log",
                                    *options], stderr=subprocess.PIPE, text=True, env={**env, **popen.pop("env", {})}, **popen)
        self.addCleanup(process.stderr.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process, process.stderr.readline().split()[-1]

    def test_drain(self):
        process, url = self.start("--port", "0", "--threads", "1", "--cache-bytes", "0")
        address = re.match(r"http://(.*):(\d+)", url).groups()
        with Raw(self, address) as busy, Raw(self, address) as idle:
            busy.send(request(Busy.many(2000, 3)))
            idle.send(head("/health", "GET"))
            self.assertEqual(idle.answer()[0], 200)
            time.sleep(0.05)
            process.send_signal(signal.SIGTERM)
            self.assertIsNone(idle.answer())
            status, headers, body = busy.answer()
            self.assertEqual((status, headers["connection"].lower()), (200, "close"))
            self.assertEqual(len(json.loads(body)["data"]), 2000)
        self.assertEqual(process.wait(PATIENCE_S), 0)
        with self.assertRaises(OSError):
            Raw(self, address)

    def ask_at(self, path):
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(path)
            s.sendall(request())
            self.assertTrue(s.recv(12).startswith(b"HTTP/1.1 200"))

    def test_unix_socket(self):
        path = f"/tmp/heddle-test-{os.getpid()}.sock"
        stale = socket.socket(socket.AF_UNIX)
        stale.bind(path)
        stale.close()  # left over: nobody listens on it
        process, said = self.start("--uds", path)
        self.assertEqual(said, path)
        self.ask_at(path)
        second = subprocess.run([str(PROGRAM), "serve", "--uds", path], capture_output=True, text=True, timeout=PATIENCE_S)
        self.assertEqual(second.returncode, 1)
        self.assertIn(f"{path}: cannot listen", second.stderr)
        self.ask_at(path)  # the second one has not taken the first one's socket away
        process.terminate()
        self.assertEqual(process.wait(PATIENCE_S), 0)
        self.assertFalse(os.path.exists(path))

    def test_file_where_a_unix_socket_should_be(self):
        with tempfile.NamedTemporaryFile(prefix="heddle-test-") as file:
            done = subprocess.run([str(PROGRAM), "serve", "--uds", file.name, "--model", str(tiny_models() / "tiny-mrl")],
                                  capture_output=True, text=True, timeout=PATIENCE_S)
            self.assertEqual(done.returncode, 1)
            self.assertIn(f"{file.name}: cannot listen", done.stderr)
            self.assertTrue(os.path.exists(file.name))

    def test_socket_activation(self):
        with socket.create_server(("127.0.0.1", 0)) as server:
            shell = f'export LISTEN_PID=$$ LISTEN_FDS=1; exec "$0" "$@" 3<&{server.fileno()}'
            process = subprocess.Popen(["bash", "-c", shell, str(PROGRAM), "serve", "--model", str(tiny_models() / "tiny-mrl")],
                                       pass_fds=(server.fileno(),), stderr=subprocess.PIPE, text=True)
            self.addCleanup(process.stderr.close)
            self.addCleanup(process.wait)
            self.addCleanup(process.kill)
            self.assertIn("1 sockets of the service manager", process.stderr.readline())
            with Raw(self, server.getsockname()) as raw:
                raw.send(request())
                self.assertEqual(raw.answer()[0], 200)

    def test_tls(self):
        folder = f"/tmp/heddle-test-tls-{os.getpid()}"
        os.makedirs(folder, exist_ok=True)
        key, cert = f"{folder}/key.pem", f"{folder}/cert.pem"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
                        "-keyout", key, "-out", cert, "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"],
                       check=True, capture_output=True)
        _, url = self.start("--port", "0", "--tls-cert", cert, "--tls-key", key)
        self.assertTrue(url.startswith("https://"))
        context = ssl.create_default_context(cafile=cert)
        port = int(url.rsplit(":", 1)[1])
        with socket.create_connection(("127.0.0.1", port)) as plain, context.wrap_socket(plain, server_hostname="localhost") as s:
            s.sendall(request())
            self.assertTrue(s.recv(12).startswith(b"HTTP/1.1 200"))
        for n, status in ((7400, b"200"), (7600, b"431"), (7800, b"431"), (9000, b"431")):  # too long to be answered in full
            with socket.create_connection(("127.0.0.1", port)) as plain, context.wrap_socket(plain, server_hostname="localhost") as s:
                s.sendall(head("/health", "GET", "X: " + "a" * n))
                self.assertEqual(s.recv(12), b"HTTP/1.1 " + status, n)
        for version, works in ((ssl.TLSVersion.TLSv1, False), (ssl.TLSVersion.TLSv1_1, False), (ssl.TLSVersion.TLSv1_2, True)):
            context.set_ciphers("DEFAULT@SECLEVEL=0")  # of a client that would take the old ones
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)
                context.minimum_version, context.maximum_version = ssl.TLSVersion.TLSv1, version
            with socket.create_connection(("127.0.0.1", port)) as plain:
                if works:
                    context.wrap_socket(plain, server_hostname="localhost").close()
                else:
                    self.assertRaises(ssl.SSLError, context.wrap_socket, plain, server_hostname="localhost")
        broken = subprocess.run([str(PROGRAM), "serve", "--port", "0", "--tls-cert", key, "--tls-key", cert], capture_output=True,
                                text=True, timeout=PATIENCE_S)
        self.assertEqual(broken.returncode, 1)
        self.assertIn("PEM", broken.stderr)

    def test_port_in_use(self):
        _, url = self.start("--port", "0")
        port = url.rsplit(":", 1)[1]
        second = subprocess.run([str(PROGRAM), "serve", "--port", port], capture_output=True, text=True, timeout=PATIENCE_S)
        self.assertEqual(second.returncode, 1)
        self.assertIn(f"127.0.0.1 port {port}: cannot listen: Address already in use", second.stderr)


if __name__ == "__main__":
    unittest.main()
