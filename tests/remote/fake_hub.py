"""A model hub on this machine, for tests: the parts of the Hugging Face hub's HTTP interface that pulling uses,
and every way in which a hub or the network may fail.

    with FakeHub() as hub:
        hub.add("owner/name", files)            # {"config.json": b"...", ...}; returns the commit
        hub.fail("truncate", path="model.safetensors", times=1)
        ... hub.endpoint ...                     # "http://127.0.0.1:<port>"
        hub.requests                             # what was asked: Request tuples, in order

Two servers listen on ports of their own: the hub, and the host that it sends clients to for large files, which
must never see the token. Large files are known by their SHA-256, small ones by git's blob id. With a certificate
(Authority.server) a server speaks HTTPS: the hub is then "localhost", the other host always "127.0.0.1".
"""

import gzip
import hashlib
import json
import ssl
import subprocess
import threading
import time
import urllib.parse
from collections import namedtuple
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Request = namedtuple("Request", "server path headers")
LARGE = (".safetensors", ".bin", ".onnx", ".h5")


def git_blob_id(data):
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def is_large(path):
    return path.endswith(LARGE)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # headers and body are two small writes

    def log_message(self, *arguments):
        pass

    def do_GET(self):
        path = self.path
        if path.startswith("http://"):  # asked as a proxy
            path = "/" + path.split("/", 3)[3]
        path, _, query = path.partition("?")
        path = urllib.parse.unquote(path)
        hub = self.server.hub
        with hub.lock:
            hub.requests.append(Request(self.server.name, path, dict(self.headers)))
        try:
            if self.server.name == "hub":
                self.answer_hub(hub, path, query)
            else:
                self.answer_file(hub, path)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    # --- the hub ---

    def answer_hub(self, hub, path, query):
        status = hub.take("status", path)
        if status:
            return self.send(status["code"], status.get("body", b'{"error":"said so"}'), status.get("headers", {}))
        if path.startswith("/api/models/"):
            return self.answer_listing(hub, path, query)
        if path.startswith("/api/resolve-cache/"):
            return self.answer_file(hub, path)
        repository, _, rest = path[1:].partition("/resolve/")
        commit, _, name = rest.partition("/")
        files = hub.commits.get((repository, commit), {})
        if name not in files:
            return self.send(404, b"", {"X-Error-Code": "EntryNotFound"})
        if hub.take("redirect-loop", path):
            return self.send(302, b"", {"Location": self.path})
        fault = hub.take("redirect-to", path)
        if fault:
            return self.send(302, b"", {"Location": fault["location"]})
        data = files[name]
        if is_large(name):
            self.send(302, b"moved", {"Location": f"{hub.files_endpoint}/{repository}/{commit}/{name}?signature=secret",
                                      "X-Linked-Etag": f'"{hashlib.sha256(data).hexdigest()}"',
                                      "X-Linked-Size": str(len(data)), "X-Repo-Commit": commit})
        else:
            self.send(307, b"moved", {"Location": "/api/resolve-cache/" + urllib.parse.quote(f"{repository}/{commit}/{name}"),
                                      "X-Repo-Commit": commit})

    def answer_listing(self, hub, path, query):
        repository, _, revision = path[len("/api/models/"):].partition("/revision/")
        if repository not in hub.repositories:
            return self.send(401, b"", {"X-Error-Code": "RepoNotFound", "X-Error-Message": "Repository not found"})
        commit = hub.repositories[repository].get(revision, revision)
        files = hub.commits.get((repository, commit))
        if files is None:
            return self.send(404, b"", {"X-Error-Code": "RevisionNotFound"})
        siblings = []
        for name, data in files.items():
            entry = {"rfilename": name}
            if "blobs=true" in query and not hub.take("no-blobs", path):
                entry |= {"size": len(data), "blobId": git_blob_id(data)}
                if is_large(name):
                    entry["blobId"] = git_blob_id(b"a pointer to " + name.encode())
                    entry["lfs"] = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 134}
            siblings.append(entry)
        fault = hub.take("listing", path)
        text = json.dumps({"id": repository, "sha": commit, "siblings": siblings}).encode()
        if fault:
            text = fault["text"]
        if hub.take("gzip", path):
            return self.send(200, gzip.compress(text), {"Content-Encoding": "gzip"})
        self.send(200, text, {"Content-Type": "application/json"})

    # --- contents ---

    def answer_file(self, hub, path):
        path = path.removeprefix("/api/resolve-cache")
        name = None
        for (known, known_commit), files in hub.commits.items():
            rest = path.removeprefix(f"/{known}/{known_commit}/")
            if rest != path and rest in files:
                repository, commit, name = known, known_commit, rest
        if name is None:
            return self.send(404, b"")
        status = hub.take("file-status", path)
        if status:
            return self.send(status["code"], b"", status.get("headers", {}))
        data = hub.commits[(repository, commit)][name]
        etag = f'"{hashlib.md5(data).hexdigest()}"' if self.server.name == "files" else f'"{git_blob_id(data)}"'
        if hub.take("wrong-hash", path):
            data = bytes([data[0] ^ 1]) + data[1:]
        if hub.take("new-etag", path):
            etag = '"another"'
        if hub.take("gzip-file", path):
            return self.send(200, gzip.compress(data), {"Content-Encoding": "gzip", "ETag": etag})
        self.send_range(hub, path, data, etag)

    def send_range(self, hub, path, data, etag):
        begin, code, headers = 0, 200, {"ETag": etag, "Accept-Ranges": "bytes"}
        asked = self.headers.get("Range")
        if_range = self.headers.get("If-Range")
        if asked and (if_range is None or if_range == etag) and not hub.take("no-range", path):
            begin = int(asked.removeprefix("bytes=").rstrip("-"))
            if begin >= len(data):
                return self.send(416, b"", {"Content-Range": f"bytes */{len(data)}"})
            if hub.take("wrong-range", path):
                begin += 1
            code = 206
            headers["Content-Range"] = f"bytes {begin}-{len(data) - 1}/{len(data)}"
        body = data[begin:]
        if hub.take("endless", path):
            return self.send_endless(code, body, headers)
        cut = hub.take("truncate", path)
        if cut:
            return self.send(code, body, headers, stop_after=cut.get("after", len(body) // 2))
        slow = hub.take("slow", path)
        if slow:
            return self.send(code, body, headers, rate=slow["rate"])
        self.send(code, body, headers)

    def send(self, code, body, headers=None, stop_after=None, rate=None):
        self.send_response(code)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if stop_after is not None:
            self.wfile.write(body[:stop_after])
            self.wfile.flush()
            self.close_connection = True
        elif rate is not None:
            step = max(rate // 20, 1)
            for at in range(0, len(body), step):
                self.wfile.write(body[at:at + step])
                self.wfile.flush()
                time.sleep(0.05)
        else:
            self.wfile.write(body)

    def send_endless(self, code, body, headers):
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for block in [body] + [b"x" * 65536] * 100:
            self.wfile.write(b"%x\r\n" % len(block) + block + b"\r\n")
        self.wfile.write(b"0\r\n\r\n")


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, hub, name, certificate=None):
        self.hub, self.name, self.tls = hub, name, None
        if certificate:
            self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.tls.load_cert_chain(certificate)
        super().__init__(("127.0.0.1", 0), Handler)

    def finish_request(self, request, client_address):
        if self.tls is None:
            return super().finish_request(request, client_address)
        with self.tls.wrap_socket(request, server_side=True) as secure:  # the handshake, on the connection's own thread
            super().finish_request(secure, client_address)

    def handle_error(self, request, client_address):
        pass  # clients that go away are part of the tests


class Authority:
    """Whoever trusts `certificate` (a PEM file) trusts the servers it vouches for."""

    def __init__(self, folder, name):
        self.folder = folder
        self.certificate, self.key = folder / f"{name}.pem", folder / f"{name}.key"
        self.openssl("req", "-x509", *self.new_key(self.key), "-out", self.certificate, "-days", "2", "-subj", f"/CN={name}")

    @staticmethod
    def openssl(*arguments):
        subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)

    @staticmethod
    def new_key(path):
        return "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", path

    def server(self, host, days=2):
        """A file of a server's key and certificate for "DNS:<name>" or "IP:<address>"; it ended when days < 0."""
        key, request, extension, out = (self.folder / f"server.{part}" for part in ("key", "csr", "ext", "crt"))
        extension.write_text(f"subjectAltName={host}\n")
        self.openssl("req", "-new", *self.new_key(key), "-out", request, "-subj", "/CN=a server")
        self.openssl("x509", "-req", "-in", request, "-CA", self.certificate, "-CAkey", self.key, "-days", days, "-extfile",
                     extension, "-out", out)
        both = self.folder / f"{self.certificate.stem}-{host.replace(':', '-')}-{days}.pem"
        both.write_bytes(key.read_bytes() + out.read_bytes())
        return both


class FakeHub:
    def __init__(self, hub_certificate=None, files_certificate=None):
        self.lock = threading.Lock()
        self.requests = []
        self.faults = []
        self.repositories = {}  # name -> {revision: commit}
        self.commits = {}  # (name, commit) -> {path: bytes}
        self.servers = [Server(self, "hub", hub_certificate), Server(self, "files", files_certificate)]
        self.endpoint, self.files_endpoint = (
            f"{'https' if s.tls else 'http'}://{host}:{s.server_port}"
            for s, host in zip(self.servers, ("localhost" if hub_certificate else "127.0.0.1", "127.0.0.1")))

    def __enter__(self):
        for server in self.servers:
            threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *exception):
        for server in self.servers:
            server.shutdown()
            server.server_close()

    def add(self, name, files, revision="main"):
        text = json.dumps([name, sorted((p, git_blob_id(d)) for p, d in files.items())])
        commit = hashlib.sha1(text.encode()).hexdigest()
        self.commits[(name, commit)] = dict(files)
        self.repositories.setdefault(name, {})[revision] = commit
        return commit

    def fail(self, kind, path="", times=10**9, **settings):
        """The next `times` answers whose path ends with `path` fail in this way."""
        with self.lock:
            self.faults.append({"kind": kind, "path": path, "times": times, **settings})

    def take(self, kind, path):
        with self.lock:
            for fault in self.faults:
                if fault["kind"] == kind and fault["times"] > 0 and path.endswith(fault["path"]):
                    fault["times"] -= 1
                    return fault
        return None

    def asked(self, server, ending=""):
        with self.lock:
            return [r for r in self.requests if r.server == server and r.path.endswith(ending)]
