"""hd__hub_pull against a fake hub: what is fetched, what is refused, and what is left after every failure.

    python3 tests/remote/test_pull.py DRIVER       (the program made from pull_driver.c)
"""

import hashlib
import json
import os
import random
import resource
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
import unittest
import warnings
import zipfile
from pathlib import Path

from fake_hub import Authority, FakeHub

DRIVER = ""
MODULES = [{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
           {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"}]


def safetensors(n_bytes, seed=1):
    header = json.dumps({"w": {"dtype": "U8", "shape": [n_bytes], "data_offsets": [0, n_bytes]}}).encode()
    return struct.pack("<Q", len(header)) + header + random.Random(seed).randbytes(n_bytes)


def model_files(weight_bytes=2_000_000, seed=1):
    return {
        "config.json": b'{"model_type": "bert"}',
        "modules.json": json.dumps(MODULES).encode(),
        "1_Pooling/config.json": b'{"pooling_mode_cls_token": true}',
        "vocab.txt": b"[PAD]\n[UNK]\n",
        "tokenizer.json": b"{}",
        "LICENSE": b"free",
        "model.safetensors": safetensors(weight_bytes, seed),
        # not wanted:
        "README.md": b"# a model",
        "pytorch_model.bin": b"pickle",
        "onnx/model.onnx": b"onnx",
        "onnx/config.json": b"{}",
        "openvino/openvino_model.bin": b"xml",
        "model.fp16.safetensors": b"other",
    }


QUERY, DOCUMENT = "query_0_Transformer", "document_0_Transformer"


def router_files():
    """Queries and documents have equal transformers in folders of their own."""
    package = "sentence_transformers.models."
    names = {side: [f"{side}_0_Transformer", f"{side}_1_Pooling"] for side in ("query", "document")}
    router = {"types": {name: package + name.rsplit("_", 1)[1] for side in names.values() for name in side},
              "structure": names, "parameters": {}}
    files = {"modules.json": json.dumps([dict(MODULES[0], type=package + "Router")]).encode(),
             "router_config.json": json.dumps(router).encode()}
    for transformer, pooling in names.values():
        files[pooling + "/config.json"] = b'{"pooling_mode_cls_token": true}'
        for name in ("config.json", "vocab.txt", "model.safetensors"):
            files[f"{transformer}/{name}"] = model_files()[name]
    return files


WANTED = {"config.json", "modules.json", "1_Pooling/config.json", "vocab.txt", "tokenizer.json", "LICENSE", "model.safetensors"}


def files_below(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in Path(folder).rglob("*") if p.is_file()}


class PullCase(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="heddle-pull-")
        self.root = Path(self.folder.name)
        self.cache = self.root / "cache"
        self.hub = FakeHub().__enter__()
        self.addCleanup(self.folder.cleanup)
        self.addCleanup(self.hub.__exit__)

    def start(self, *arguments, preexec=None, **environment):
        env = {"PATH": os.environ["PATH"], "HOME": str(self.root / "home"), "HEDDLE_CACHE": str(self.cache),
               "HF_ENDPOINT": self.hub.endpoint}
        for name in ("ASAN_OPTIONS", "LSAN_OPTIONS", "TSAN_OPTIONS", "UBSAN_OPTIONS"):
            if name in os.environ:
                env[name] = os.environ[name]
        env.update(environment)
        return subprocess.Popen([DRIVER, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env,
                                preexec_fn=preexec)

    def pull(self, *arguments, **settings):
        process = self.start(*arguments, **settings)
        out, err = process.communicate(timeout=120)
        return process.returncode, out.strip(), err.strip()

    def assert_pulled(self, *arguments, files=None, place="models/a/b", **settings):
        code, out, err = self.pull(*arguments, **settings)
        self.assertEqual((code, out), (0, str(self.cache / place)), err)
        files = files or self.files
        self.assertEqual(files_below(out), {p: files[p] for p in WANTED if p in files})
        self.assert_nothing_left()

    def assert_one_transformer(self, code, out, err):
        self.assertEqual(code, 0, err)
        self.assertEqual(files_below(out), self.files)
        for name in ("config.json", "vocab.txt", "model.safetensors"):
            self.assertTrue(os.path.samefile(Path(out, QUERY, name), Path(out, DOCUMENT, name)), name)

    def assert_nothing_left(self):
        """No staging folder stays behind, only the lock."""
        left = [p.name for p in (self.cache / "pull").rglob("*") if p.is_file()]
        self.assertLessEqual(set(left), {"lock"})

    def assert_refused(self, status, *texts, arguments=("a/b",), **settings):
        code, out, err = self.pull(*arguments, **settings)
        self.assertEqual((code, out), (1, ""), err)
        self.assertEqual(err.count("\n"), 0, err)
        self.assertTrue(err.startswith(status + ": "), err)
        for text in texts:
            self.assertIn(text, err)
        self.assertEqual([str(p) for p in (self.cache / "models").rglob("config.json")], [])
        return err

    def add(self, files=None, name="a/b", **settings):
        self.files = files or model_files()
        return self.hub.add(name, self.files, **settings)


class Fetching(PullCase):
    def test_brings_what_heddle_needs_and_no_more(self):
        commit = self.add()
        self.assert_pulled("a/b")
        asked = {r.path.split(commit + "/", 1)[1] for r in self.hub.asked("hub") if commit + "/" in r.path}
        self.assertEqual(asked, WANTED)
        self.assertEqual(len(self.hub.asked("files")), 1)

    def test_a_second_pull_asks_nobody(self):
        self.add()
        self.assert_pulled("a/b")
        n = len(self.hub.requests)
        self.assert_pulled("a/b")
        self.assertEqual(len(self.hub.requests), n)

    def test_force_replaces_the_model(self):
        self.add()
        self.assert_pulled("a/b")
        self.add(model_files(1000, seed=2))
        self.assert_pulled("a/b", files=model_files())  # still the old one
        self.assert_pulled("a/b", "--force")

    def test_revisions_have_places_of_their_own(self):
        self.add()
        self.add(model_files(1000, seed=2), revision="refs/pr/1")
        self.assert_pulled("a/b@refs/pr/1", place="models/a/b@refs%2Fpr%2F1")
        self.assertEqual(self.hub.requests[0].path, "/api/models/a/b/revision/refs/pr/1")
        self.assert_pulled("a/b", files=model_files())

    def test_names_without_an_owner(self):
        self.add(name="b")
        self.assert_pulled("b", place="models/b")
        self.add(name="b/c")
        self.assert_refused_beside("b/c", "in the way")

    def assert_refused_beside(self, name, text):
        code, _, err = self.pull(name)
        self.assertEqual(code, 1)
        self.assertIn(text, err)

    def test_an_owners_folder_is_not_replaced(self):
        self.add(name="b/c")
        self.assert_pulled("b/c", place="models/b/c")
        self.add(name="b")
        self.assert_refused_beside("b", "in the way")
        self.assertTrue((self.cache / "models/b/c/config.json").exists())

    def test_progress_tells_files_and_bytes(self):
        self.add()
        code, _, err = self.pull("--events", "a/b")
        self.assertEqual(code, 0)
        total = sum(len(self.files[p]) for p in WANTED)
        last = err.splitlines()[-1]
        self.assertEqual(last, f"6/7 model.safetensors {total - len(self.files['model.safetensors'])}/{total}")

    def test_shards(self):
        files = model_files()
        del files["model.safetensors"]
        files["model-00001-of-00002.safetensors"] = safetensors(1000)
        files["model-00002-of-00002.safetensors"] = struct.pack("<Q", 2) + b"{}"
        files["other-00001.safetensors"] = b"not of the model"
        files["model.safetensors.index.json"] = b'{"weight_map": {"w": "model-00001-of-00002.safetensors"}}'
        self.add(files)
        code, out, err = self.pull("a/b")
        self.assertEqual(code, 0, err)
        self.assertEqual(sorted(p for p in files_below(out) if p.startswith("model")),
                         ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors", "model.safetensors.index.json"])

    def test_module_folders(self):
        files = {"modules.json": json.dumps([dict(MODULES[0], path="0_Transformer"), MODULES[1]]).encode(),
                 "1_Pooling/config.json": b"{}", "2_Other/config.json": b"{}", "config_sentence_transformers.json": b"{}"}
        for name in ("config.json", "vocab.txt", "model.safetensors"):
            files["0_Transformer/" + name] = model_files()[name]
        self.add(files)
        code, out, err = self.pull("a/b")
        self.assertEqual(code, 0, err)
        self.assertEqual(set(files_below(out)), set(files) - {"2_Other/config.json"})

    def test_a_table_for_queries(self):
        """A Router's own file names the folders."""
        package, query, pooling = "sentence_transformers.sparse_encoder.models.", "query_0_SparseStaticEmbedding", "document_1_SpladePooling"
        router = {"types": {query: package + "SparseStaticEmbedding", "": package + "MLMTransformer", pooling: package + "SpladePooling"},
                  "structure": {"query": [query], "document": ["", pooling]}, "parameters": {}}
        files = {"modules.json": json.dumps([dict(MODULES[0], type="sentence_transformers.models.Router")]).encode(),
                 "router_config.json": json.dumps(router).encode(), pooling + "/config.json": b"{}",
                 query + "/config.json": b"{}", query + "/model.safetensors": safetensors(1000), "idf.json": b"{}"}
        for name in ("config.json", "vocab.txt", "model.safetensors"):
            files[name] = model_files()[name]
        self.add(files)
        code, out, err = self.pull("a/b")
        self.assertEqual(code, 0, err)
        self.assertEqual(set(files_below(out)), set(files) - {"idf.json"})

    def test_equal_files_of_two_folders_are_one(self):
        """A transformer that queries and documents both have is downloaded once where the hub gives checksums, and stored once."""
        self.add(router_files())
        self.assert_one_transformer(*self.pull("a/b"))
        self.assertEqual(len(self.hub.asked("files", "model.safetensors")), 1)
        self.hub.fail("no-blobs")
        self.assert_one_transformer(*self.pull("--force", "a/b"))
        self.assertEqual(len(self.hub.asked("files", "model.safetensors")), 3)
        self.assert_nothing_left()

    def test_files_that_are_not_equal_stay_apart(self):
        for change in ({DOCUMENT + "/model.safetensors": safetensors(2_000_000, 2)}, {DOCUMENT + "/model.safetensors": safetensors(1000)}):
            for listing in ("with-blobs", "no-blobs"):
                files = router_files() | change
                self.add(files)
                self.hub.fail(listing)
                code, out, err = self.pull("--force", "a/b")
                self.assertEqual(code, 0, err)
                self.assertEqual(files_below(out), files)
                self.hub.faults.clear()

    def test_a_pull_that_was_killed_before_a_link_makes_it(self):
        commit = self.add(router_files())
        for name in (QUERY, DOCUMENT):
            path = self.cache / "pull/a/b" / commit / "files" / name / "model.safetensors"
            path.parent.mkdir(parents=True)
            path.write_bytes(self.files[name + "/model.safetensors"])
        self.assert_one_transformer(*self.pull("a/b"))
        self.assertEqual(self.hub.asked("files", "model.safetensors"), [])

    def test_a_listing_without_sizes_and_checksums(self):
        self.add()
        self.hub.fail("no-blobs")
        self.assert_pulled("a/b")

    def test_a_compressed_listing(self):
        self.add()
        self.hub.fail("gzip")
        self.assert_pulled("a/b")

    def test_a_proxy(self):
        self.add()
        self.assert_pulled("a/b", HF_ENDPOINT="http://hub.invalid", http_proxy=self.hub.endpoint, no_proxy="127.0.0.1")

    def test_the_hugging_face_cache_is_used(self):
        repository = self.root / "home/.cache/huggingface/hub/models--a--b"
        snapshot = repository / "snapshots" / ("0" * 40)
        for name, data in model_files(1000).items():
            (snapshot / name).parent.mkdir(parents=True, exist_ok=True)
            (snapshot / name).write_bytes(data)
        (repository / "refs").mkdir()
        (repository / "refs/main").write_text("0" * 40)
        self.assertEqual(self.pull("a/b")[:2], (0, str(snapshot)))
        self.assertEqual(self.pull("--offline", "a/b")[:2], (0, str(snapshot)))
        self.assertEqual(self.hub.requests, [])
        self.add()
        self.assert_pulled("--force", "a/b")
        (self.cache / "models/a/b").rename(self.root / "away")
        (snapshot / "model.safetensors").write_bytes(b"cut short")
        self.assert_pulled("a/b")

    def test_offline(self):
        self.add()
        self.assert_refused("not found", "offline", arguments=("--offline", "a/b"))
        self.assert_refused("not found", "offline", HF_HUB_OFFLINE="1")
        self.assertEqual(self.hub.requests, [])
        self.assert_pulled("a/b", HF_HUB_OFFLINE="0")
        self.assert_pulled("--offline", "a/b")


class Token(PullCase):
    def authorization(self, server):
        return {r.headers.get("Authorization") for r in self.hub.asked(server)}

    def test_goes_to_the_hub_alone(self):
        self.add()
        self.assert_pulled("a/b", HF_TOKEN="hf_secret")
        self.assertEqual(self.authorization("hub"), {"Bearer hf_secret"})
        self.assertEqual(self.authorization("files"), {None})

    def test_comes_from_the_file_of_the_hugging_face_client(self):
        self.add()
        path = self.root / "home/.cache/huggingface/token"
        path.parent.mkdir(parents=True)
        path.write_text("hf_of_a_file\n")
        self.assert_pulled("a/b")
        self.assertEqual(self.authorization("hub"), {"Bearer hf_of_a_file"})

    def test_the_file_follows_the_environment(self):
        self.add()
        places = [("XDG_CACHE_HOME", "x", "x/huggingface/token"), ("HF_HOME", "h", "h/token"), ("HF_TOKEN_PATH", "t", "t")]
        environment = {}
        for variable, value, path in places:
            environment[variable] = str(self.root / value)
            (self.root / path).parent.mkdir(parents=True, exist_ok=True)
            (self.root / path).write_text(variable)
            self.assert_pulled("--force", "a/b", **environment)
            self.assertEqual(self.hub.asked("hub")[-1].headers["Authorization"], "Bearer " + variable)
        (self.root / "t").write_text("x" * 4096)
        self.assert_pulled("--force", "a/b", **environment)
        (self.root / "t").write_text("x" * 4097)
        self.assertIn("the limit is 4096", self.pull("--force", "a/b", **environment)[2])

    def test_cannot_carry_another_header(self):
        self.add()
        err = self.assert_refused("argument", "token", HF_TOKEN="hf_x\r\nX-Evil: 1")
        self.assertNotIn("hf_x", err)
        self.assertEqual(self.hub.requests, [])


class Tls(PullCase):
    def setUp(self):
        super().setUp()
        self.known, self.unknown = Authority(self.root, "known"), Authority(self.root, "unknown")

    def secure(self, hub, files):
        """Puts a hub with these certificates in place of the one without."""
        self.hub = FakeHub(hub, files).__enter__()
        self.addCleanup(self.hub.__exit__)
        self.add()

    def secure_well(self):
        self.secure(self.known.server("DNS:localhost"), self.known.server("IP:127.0.0.1"))

    def test_authorities_come_from_the_environment(self):
        self.secure_well()
        folder = self.root / "authorities"
        folder.mkdir()
        hashed = subprocess.run(["openssl", "x509", "-hash", "-noout", "-in", self.known.certificate], check=True, text=True,
                                capture_output=True).stdout.strip()
        (folder / (hashed + ".0")).write_bytes(self.known.certificate.read_bytes())
        known, unknown = str(self.known.certificate), str(self.unknown.certificate)
        for environment in ({"SSL_CERT_FILE": known}, {"CURL_CA_BUNDLE": known}, {"SSL_CERT_DIR": str(folder)},
                            {"CURL_CA_BUNDLE": known, "SSL_CERT_FILE": unknown},
                            {"CURL_CA_BUNDLE": "", "SSL_CERT_FILE": known}):
            with self.subTest(environment=environment):
                self.assert_pulled("--force", "a/b", **environment)
        shutil.rmtree(self.cache)
        self.assert_refused("peer", "certificate", CURL_CA_BUNDLE=unknown, SSL_CERT_FILE=known)

    def test_the_token_goes_to_the_hub_alone(self):
        self.secure_well()
        self.hub.fail("truncate", path="model.safetensors", times=1)  # nor when it is asked again
        self.assert_pulled("a/b", HF_TOKEN="hf_secret", SSL_CERT_FILE=str(self.known.certificate))
        self.assertEqual({r.headers.get("Authorization") for r in self.hub.asked("hub")}, {"Bearer hf_secret"})
        self.assertEqual([r.headers.get("Authorization") for r in self.hub.asked("files")], [None, None])

    def assert_distrusted(self, *texts, server="hub", **settings):
        started = time.monotonic()
        settings.setdefault("SSL_CERT_FILE", str(self.known.certificate))
        err = self.assert_refused("peer", *texts, HF_TOKEN="hf_secret", **settings)
        self.assertNotIn("hf_secret", err)
        self.assertEqual(self.hub.asked(server), [])
        self.assertLess(time.monotonic() - started, 5)  # it will not pass, so it is not waited for

    def test_an_unknown_authority(self):
        self.secure_well()
        for certificate in (self.unknown.certificate, ""):  # "": the system's, which do not know it either
            with self.subTest(certificate=certificate):
                self.assert_distrusted(self.hub.endpoint, "certificate", "issuer", SSL_CERT_FILE=str(certificate))

    def test_an_unknown_authority_of_the_host_it_sends_on_to(self):
        self.secure(self.known.server("DNS:localhost"), self.unknown.server("IP:127.0.0.1"))
        self.assert_distrusted("model.safetensors", "certificate", "issuer", server="files")

    def test_an_expired_certificate(self):
        self.secure(self.known.server("DNS:localhost", days=-1), None)
        self.assert_distrusted("certificate has expired")

    def test_a_certificate_for_another_host(self):
        self.secure(self.known.server("DNS:elsewhere.invalid"), None)
        self.assert_distrusted("certificate", "host name 'localhost'")

    def test_never_from_https_to_http(self):
        self.secure(self.known.server("DNS:localhost"), None)
        self.assert_distrusted("http://127.0.0.1", "does not follow", server="files")

    def test_certificates_that_cannot_be_read(self):
        self.secure_well()
        self.assert_refused("io", "/nowhere.pem", SSL_CERT_FILE="/nowhere.pem")
        (self.root / "none.pem").write_text("no certificate")
        self.assert_refused("io", "none.pem", SSL_CERT_FILE=str(self.root / "none.pem"))
        self.assertEqual(self.hub.requests, [])


class Refusals(PullCase):
    def test_no_such_model(self):
        self.assert_refused("not found", "a/b@main", "HF_TOKEN")

    def test_no_such_revision(self):
        self.add()
        self.assert_refused("not found", "no such revision", arguments=("a/b@v9",))

    def test_what_the_hub_says(self):
        cases = [
            (401, {"X-Error-Message": "Invalid credentials in Authorization header"}, "peer", ("does not accept the token",), "hf_x"),
            (401, {}, "peer", ("set HF_TOKEN",), ""),
            (403, {"X-Error-Message": "not \x1b[31mfor you"}, "peer", ("forbids", "not ?[31mfor you"), ""),
            (403, {"X-Error-Code": "GatedRepo", "X-Error-Message": "ask first"}, "peer", ("gated", "/a/b and set HF_TOKEN", "ask first"), ""),
            (404, {}, "not found", ("no such model",), ""),
            (418, {"X-Error-Message": "teapot"}, "peer", ("418", "teapot"), ""),
        ]
        self.add()
        for code, headers, status, texts, token in cases:
            with self.subTest(code=code, headers=headers):
                self.hub.faults.clear()
                self.hub.fail("status", code=code, headers=headers)
                self.assert_refused(status, *texts, HF_TOKEN=token)

    def test_answers_that_are_no_hubs(self):
        self.add()
        commit = self.hub.repositories["a/b"]["main"]
        cases = [b"<html>log in to the hotel's network</html>", b"{}", b"[]", b'{"sha": "../../x", "siblings": []}',
                 b'{"sha": "' + commit.encode() + b'", "siblings": [{"rfilename": 7}]}',
                 b'{"sha": "' + commit.encode() + b'", "siblings": [{"size": 1}]}',
                 b'{"sha": "' + commit.encode() + b'", "siblings": [{"rfilename": "a", "size": 1099511627777}]}', b""]
        for text in cases:
            with self.subTest(text=text):
                self.hub.faults.clear()
                self.hub.fail("listing", text=text)
                self.assert_refused("peer")

    def test_a_listing_that_is_too_long(self):
        commit = self.add()
        text = json.dumps({"sha": commit, "siblings": [{"rfilename": name} for name in self.files]}).encode()
        limit = 64 << 20
        self.hub.fail("listing", text=text + b" " * (limit - len(text)), times=1)
        self.assert_pulled("a/b")
        self.hub.fail("listing", text=text + b" " * (limit + 1 - len(text)))
        code, _, err = self.pull("--force", "a/b")
        self.assertEqual(code, 1)
        self.assertIn(f"more than {limit} bytes", err)

    def test_names_that_lead_out_of_the_folder(self):
        for name in ("../evil.json", "/etc/evil.json", "a/../../evil.json", "a\\..\\evil.json", "C:evil.json", "a//b", "./a", "a\nb", ""):
            with self.subTest(name=name):
                self.add(model_files() | {name: b"{}"})
                self.assert_refused("peer", "file name")
        self.assertEqual(list(self.root.rglob("evil*")), [])

    def test_models_that_heddle_cannot_run(self):
        without = lambda *names: {n: d for n, d in model_files().items() if n not in names}
        cases = [
            (without("model.safetensors", "pytorch_model.bin") | {"tf_model.h5": b"h5"}, "tf_model.h5 only"),
            (without("model.safetensors", "pytorch_model.bin"), "neither model.safetensors nor pytorch_model.bin"),
            (without("config.json"), "no config.json"),
            (without("vocab.txt", "tokenizer.json"), "no tokenizer.json, vocab.txt, sentencepiece.bpe.model or spiece.model, nor vocab.json with merges.txt"),
            (model_files() | {"modules.json": b'[{"path": "", "type": "sentence_transformers.models.WordEmbeddings"}]'}, "WordEmbeddings"),
            (model_files() | {"config.json": b'{"model_type": "bert", "hidden_act": "mish"}'}, "mish"),
        ]
        for files, text in cases:
            with self.subTest(text=text):
                self.add(files)
                self.assert_refused("unsupported", text)
                self.assertEqual(self.hub.asked("files"), [])  # and no weights were downloaded to find out

    def test_weights_that_are_none(self):
        self.add(model_files() | {"model.safetensors": b"version https://git-lfs.github.com/spec/v1\n"})
        self.assert_refused("limit", "model.safetensors")

    def test_without_libcurl(self):
        self.add()
        libraries = self.root / "libraries"
        libraries.mkdir()
        for name in ("libcurl.so.4", "libcurl-gnutls.so.4"):
            (libraries / name).write_bytes(b"")
        self.assert_refused("unsupported", "libcurl, which is not installed", LD_LIBRARY_PATH=str(libraries))

    def test_bad_names_and_places(self):
        for name in ("a b", "a/b/c", "a/..", "@main", ""):
            self.assert_refused("argument", arguments=(name,))
        self.assert_refused("not found", "./nothing", arguments=("./nothing",))
        self.assert_refused("argument", "neither https:// nor http://", HF_ENDPOINT="ftp://x")
        self.assert_refused("argument", "neither https:// nor http://", HF_ENDPOINT="huggingface.co")
        self.assertEqual(self.hub.requests, [])

    def test_redirects_to_other_protocols(self):
        self.add()
        (self.root / "secret").write_text("secret")
        for location in (f"file://{self.root}/secret", "ftp://127.0.0.1/x", "gopher://127.0.0.1/x"):
            with self.subTest(location=location):
                self.hub.faults.clear()
                self.hub.fail("redirect-to", path="vocab.txt", location=location)
                self.assert_refused("peer", "does not follow")

    def test_redirects_in_a_circle(self):
        self.add()
        self.hub.fail("redirect-loop", path="vocab.txt")
        self.assert_refused("peer", "more than 10 redirects")
        self.assertEqual(len(self.hub.asked("hub", "vocab.txt")), 11)


class Failures(PullCase):
    def test_a_body_cut_short_is_resumed(self):
        self.add()
        self.hub.fail("truncate", path="model.safetensors", times=2)
        self.assert_pulled("a/b")
        ranges = [r.headers.get("Range") for r in self.hub.asked("files")]
        half = len(self.files["model.safetensors"]) // 2
        self.assertEqual(ranges, [None, f"bytes={half}-", f"bytes={half + (len(self.files['model.safetensors']) - half) // 2}-"])
        etag = hashlib.md5(self.files["model.safetensors"]).hexdigest()
        self.assertEqual(self.hub.asked("files")[1].headers["If-Range"], f'"{etag}"')

    def test_small_files_cut_short_are_resumed_too(self):
        self.add()
        self.hub.fail("truncate", path="vocab.txt", times=1)
        self.assert_pulled("a/b")

    def test_a_server_that_gives_nothing_is_left_after_five_tries(self):
        self.add()
        self.hub.fail("truncate", path="vocab.txt", after=0)
        started = time.monotonic()
        self.assert_refused("peer", "vocab.txt")
        self.assertEqual(len(self.hub.asked("hub", "vocab.txt")) // 2, 5)  # each try goes over a redirect
        self.assertGreater(time.monotonic() - started, 0.5 + 1 + 2 + 4)  # with pauses that grow

    def test_passing_answers_are_waited_for(self):
        self.add()
        self.hub.fail("status", path="revision/main", times=1, code=503)
        self.hub.fail("status", path="vocab.txt", times=2, code=429, headers={"Retry-After": "0"})
        self.hub.fail("file-status", path="model.safetensors", times=1, code=500)
        self.assert_pulled("a/b")

    def test_retry_after_is_kept(self):
        self.add()
        self.hub.fail("status", path="revision/main", times=1, code=429, headers={"Retry-After": "2"})
        started = time.monotonic()
        self.assert_pulled("a/b")
        self.assertGreaterEqual(time.monotonic() - started, 2)

    def test_answers_that_do_not_pass(self):
        self.add()
        self.hub.fail("status", path="revision/main", code=429, headers={"Retry-After": "0"})
        self.assert_refused("peer", "rate", "come back in 0 s")
        self.assertEqual(len(self.hub.requests), 5)
        self.hub.faults.clear()
        self.hub.fail("status", path="revision/main", code=502, headers={"Retry-After": "0"})
        self.assert_refused("peer", "502")

    def test_wrong_bytes_are_fetched_once_more(self):
        self.add()
        for path in ("model.safetensors", "vocab.txt"):
            self.hub.fail("wrong-hash", path=path, times=1)
        self.assert_pulled("a/b")

    def test_wrong_bytes_are_refused(self):
        self.add()
        for path, text in (("model.safetensors", "SHA-256"), ("vocab.txt", "git blob id")):
            for listing in ("with-blobs", "no-blobs"):
                with self.subTest(path=path, listing=listing):
                    self.hub.faults.clear()
                    self.hub.fail("wrong-hash", path=path)
                    self.hub.fail(listing)
                    self.assert_refused("peer", path, text)
                    self.assertEqual(list((self.cache / "pull").rglob("parts/model.safetensors")), [])
                    shutil.rmtree(self.cache)
        self.hub.faults.clear()
        self.assert_pulled("a/b")

    def test_a_resumed_file_that_changed_is_begun_again(self):
        self.add()
        self.hub.fail("truncate", path="model.safetensors", times=1)
        self.hub.fail("new-etag", path="model.safetensors", times=1)
        self.assert_pulled("a/b")
        self.assertEqual(self.hub.asked("files")[1].headers["If-Range"], '"another"')

    def test_a_server_without_ranges(self):
        self.add()
        self.hub.fail("truncate", path="model.safetensors", times=1)
        self.hub.fail("no-range", path="model.safetensors")
        self.assert_pulled("a/b")

    def test_a_server_that_sends_another_range(self):
        self.add()
        self.hub.fail("truncate", path="model.safetensors", times=1)
        self.hub.fail("wrong-range", path="model.safetensors")
        self.assert_refused("peer", "asked for bytes from")

    def test_more_bytes_than_the_file_has(self):
        self.add()
        self.hub.fail("endless", path="model.safetensors")
        self.assert_refused("peer", "more than the")

    def test_compression_that_was_not_asked_for(self):
        self.add()
        self.hub.fail("gzip-file", path="vocab.txt")
        self.assert_refused("peer", "Content-Encoding gzip")

    def test_cancelling_keeps_what_is_there(self):
        self.add()
        self.assert_refused("cancelled", "model.safetensors", arguments=("--cancel-after", "1000000", "a/b"))
        self.assert_pulled("a/b")
        begin = int(self.hub.asked("files")[-1].headers["Range"].removeprefix("bytes=").rstrip("-"))
        self.assertGreater(begin, 900_000)

    def test_nobody_listens(self):
        with FakeHub() as gone:
            endpoint = gone.endpoint
        started = time.monotonic()
        self.assert_refused("peer", "connect", "HF_ENDPOINT names a mirror", HF_ENDPOINT=endpoint)
        self.assertLess(time.monotonic() - started, 5)  # two pauses

    def test_error_answers_without_end(self):
        self.add()
        self.hub.fail("status", path="vocab.txt", code=404, body=b"x" * (1 << 21))
        self.assert_refused("peer", "vocab.txt", "answers 404 and then does not end")

    def test_part_files_of_another_content_do_no_harm(self):
        commit = self.add()
        parts = self.cache / "pull/a/b" / commit / "parts"
        size = len(self.files["model.safetensors"])
        for part in (b"x" * 1000, b"x" * size, b"x" * (size + 1)):
            with self.subTest(n=len(part)):
                parts.mkdir(parents=True)
                (parts / "model.safetensors").write_bytes(part)
                (parts / "model.safetensors.etag").write_text('"older"\r\nX-Evil: 1' if len(part) == 1000 else '"older"')
                self.assert_pulled("--force", "a/b", HF_ENDPOINT=self.hub.endpoint + "//")
                self.assertNotIn("X-Evil", self.hub.asked("files")[-1].headers)
        self.hub.fail("no-blobs")
        parts.mkdir(parents=True)
        (parts / "model.safetensors").write_bytes(b"x" * size)  # the server answers 416
        self.assert_pulled("--force", "a/b")

    def test_stagings_of_other_commits_are_removed(self):
        self.add()
        (self.cache / "pull/a/b/0123456/parts/1_Pooling").mkdir(parents=True)
        (self.cache / "pull/a/b/0123456/parts/1_Pooling/config.json").write_text("{")
        self.assert_pulled("a/b")


class Processes(PullCase):
    def test_killed_in_the_middle_it_resumes(self):
        self.add(model_files(4_000_000))
        self.hub.fail("slow", path="model.safetensors", times=3, rate=2_000_000)
        for kill in range(3):
            process = self.start("a/b")
            before = len(self.hub.asked("files"))
            while len(self.hub.asked("files")) == before:
                time.sleep(0.01)
            time.sleep(0.3)
            process.send_signal(signal.SIGKILL)
            process.communicate()
            self.assertFalse((self.cache / "models").exists())
        self.assert_pulled("a/b")
        begins = [int(r.headers.get("Range", "bytes=0-").removeprefix("bytes=").rstrip("-")) for r in self.hub.asked("files")]
        self.assertEqual(begins[0], 0)
        self.assertEqual(begins, sorted(set(begins)))
        self.assertGreater(begins[3], 500_000)

    def test_killed_at_any_moment_nothing_half_is_seen(self):
        self.add(model_files(100_000))
        seed = random.Random(7)
        for delay in (seed.uniform(0, 0.15) for _ in range(25)):
            process = self.start("--force", "a/b")
            time.sleep(delay)
            process.send_signal(signal.SIGKILL)
            process.communicate()
            place = self.cache / "models/a/b"
            if place.exists():
                self.assertEqual(files_below(place), {p: self.files[p] for p in WANTED})
        self.assert_pulled("--force", "a/b")

    def test_two_at_once_download_once(self):
        self.add()
        self.hub.fail("slow", path="model.safetensors", times=1, rate=2_000_000)
        processes = [self.start("a/b") for _ in range(4)]
        for process in processes:
            out, err = process.communicate(timeout=60)
            self.assertEqual((process.returncode, out.strip()), (0, str(self.cache / "models/a/b")), err)
        self.assertEqual(len(self.hub.asked("files")), 1)
        self.assert_pulled("a/b")

    def test_the_next_one_takes_over_from_a_killed_one(self):
        self.add(model_files(4_000_000))
        self.hub.fail("slow", path="model.safetensors", times=1, rate=1_000_000)
        first = self.start("a/b")
        while not self.hub.asked("files"):
            time.sleep(0.01)
        second = self.start("a/b")
        time.sleep(0.8)
        first.send_signal(signal.SIGKILL)
        first.communicate()
        out, err = second.communicate(timeout=60)
        self.assertEqual((second.returncode, out.strip()), (0, str(self.cache / "models/a/b")), err)
        self.assertIn("Range", self.hub.asked("files")[1].headers)

    def test_two_revisions_at_once_do_not_disturb_each_other(self):
        self.add()
        self.add(model_files(seed=2), revision="v2")
        self.hub.fail("slow", path="model.safetensors", rate=4_000_000)
        processes = [self.start(name) for name in ("a/b", "a/b@v2")]
        for process in processes:
            self.assertEqual(process.wait(timeout=60), 0)
            process.communicate()
        self.assert_pulled("a/b", files=model_files())
        self.assert_pulled("a/b@v2", place="models/a/b@v2")


class FullDisk(PullCase):
    def limited(self, n_bytes):
        def limit():
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, n_bytes))
        return limit

    def test_writing_fails_in_the_middle(self):
        self.add()
        self.assert_refused("io", "model.safetensors", "File too large", preexec=self.limited(1_000_000))
        self.assert_pulled("a/b")
        self.assertEqual(self.hub.asked("files")[1].headers["Range"], "bytes=1000000-")

    def test_copying_fails_in_the_middle(self):
        source = self.root / "model"
        for name, data in model_files().items():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes(data)
        self.assert_refused("io", "File too large", arguments=(source,), preexec=self.limited(1_000_000))

    def test_a_disk_that_is_too_small(self):
        disk = self.root / "disk"
        disk.mkdir()
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", disk], capture_output=True).returncode != 0:
            self.skipTest("no right to mount a file system")
        try:
            self.cache = disk
            self.add()
            self.assert_refused("io", "bytes are free")
            self.assertEqual(self.hub.asked("files"), [])
            self.hub.fail("no-blobs")  # then only writing can tell
            self.assert_refused("io", "No space left")
        finally:
            subprocess.run(["umount", "-l", disk], check=True)


class Local(PullCase):
    def write_folder(self, files, name="model"):
        self.files = files
        folder = self.root / name
        for path, data in files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(data)
        return folder

    def write_zip(self, files, name="model.zip", prefix="", method=zipfile.ZIP_DEFLATED):
        self.files = files
        with zipfile.ZipFile(self.root / name, "w", method) as archive, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for path, data in files.items():
                archive.writestr(prefix + path, data)
        return self.root / name

    def test_a_folder(self):
        folder = self.write_folder(model_files())
        self.assert_pulled(folder, place="models/model")
        self.assert_pulled(folder, "--as", "a/b")
        self.assert_pulled(str(folder) + "/", "--as", "a/b@v1", place="models/a/b@v1")
        self.assertEqual(self.hub.requests, [])

    def test_a_folder_by_its_place(self):
        folder = self.write_folder(model_files())
        (folder / "below").mkdir()
        for place in (f"{folder}/.", f"{folder}/.//", f"{folder}/below/.."):
            self.assert_pulled(place, "--force", place="models/model")

    def test_a_folder_of_links(self):
        """As the Hugging Face cache keeps them."""
        blobs = self.write_folder(model_files(), "blobs")
        snapshot = self.root / "snapshot"
        for path in model_files():
            (snapshot / path).parent.mkdir(parents=True, exist_ok=True)
            (snapshot / path).symlink_to(blobs / path)
        self.assert_pulled(snapshot, "--as", "a/b")
        self.assertFalse((self.cache / "models/a/b/config.json").is_symlink())

    def test_equal_files_of_two_folders_are_one(self):
        folder, archive = self.write_folder(router_files()), self.write_zip(router_files())
        self.assert_one_transformer(*self.pull(folder))
        self.assert_one_transformer(*self.pull(archive, "--as", "a/b"))
        self.assertEqual((folder / QUERY / "model.safetensors").stat().st_nlink, 1)  # the folder's own files are let be
        self.assert_nothing_left()

    def test_a_folder_replaces_only_by_force(self):
        folder = self.write_folder(model_files())
        self.assert_pulled(folder, "--as", "a/b")
        self.write_folder(model_files(1000, seed=2))
        self.assert_pulled(folder, "--as", "a/b", files=model_files())
        self.assertIn(f"models/a/b is there already and stays as it is; --force puts {folder} in its place", self.pull(folder, "--as", "a/b")[2])
        self.assert_pulled(folder, "--as", "a/b", "--force")

    def test_archives(self):
        for name, prefix, method in (("model.zip", "", zipfile.ZIP_STORED), ("m.whl", "package/models/mini/", zipfile.ZIP_DEFLATED)):
            with self.subTest(name=name):
                archive = self.write_zip(model_files(), name, prefix, method)
                self.assert_pulled(archive, place="models/" + name.split(".")[0])

    def test_an_archive_of_several_models(self):
        files = {f"{name}/{path}": data for name in ("one", "two") for path, data in model_files().items()}
        archive = self.write_zip(files)
        self.assert_refused("argument", "\"one\"", "\"two\"", arguments=(archive,))
        self.assert_refused("not found", "\"three\"", arguments=(archive, "--subfolder", "three"))
        self.assert_pulled(archive, "--subfolder", "two/", "--as", "a/b", files=model_files())

    def test_archives_that_lead_out(self):
        for name in ("../evil.json", "/tmp/evil.json", "a/../../evil.json", "a\\evil.json"):
            with self.subTest(name=name):
                archive = self.write_zip(model_files() | {name: b"{}"})
                self.assert_refused("format", "leads out", arguments=(archive,))
        link = zipfile.ZipInfo("vocab.txt")
        link.create_system, link.external_attr = 3, 0o120777 << 16
        archive = self.write_zip({n: d for n, d in model_files().items() if n != "vocab.txt"})
        with zipfile.ZipFile(archive, "a") as z:
            z.writestr(link, "/etc/passwd")
        self.assert_refused("format", "vocab.txt", "leads out", arguments=(archive,))

    def test_damaged_archives(self):
        archive = self.write_zip(model_files(), method=zipfile.ZIP_STORED)
        data = archive.read_bytes()
        at = data.index(self.files["model.safetensors"]) + 1_000_000
        for what, damaged in (("cut", data[:-1000]), ("empty", b""), ("no archive", b"x" * 1000),
                              ("flipped", data[:at] + bytes([data[at] ^ 1]) + data[at + 1:])):
            with self.subTest(what=what):
                archive.write_bytes(damaged)
                self.assert_refused("format", arguments=(archive,))
        archive = self.write_zip({"README.md": b""})
        self.assert_refused("not found", "config.json", arguments=(archive,))
        archive = self.root / "model.tar.gz"
        archive.write_bytes(b"\x1f\x8b" + bytes(1000))
        self.assert_refused("format", "model.tar.gz: no zip archive", "a .zip or a .whl", arguments=(archive,))
        self.assert_refused("not found", "model2.ZIP: no such folder or archive", arguments=("model2.ZIP",))

    def test_folders_that_are_no_models(self):
        self.assert_refused("unsupported", "config.json", arguments=(self.write_folder({"README.md": b""}),))
        self.assert_refused("argument", 'bad name: "bad name" is no name for a model; --as OWNER/NAME gives it one',
                            arguments=(self.write_folder(model_files(), "bad name"),))

    def test_too_many_entries(self):
        files = model_files(1000)
        archive = self.write_zip(files, method=zipfile.ZIP_STORED)
        limit = 100_000
        with zipfile.ZipFile(archive, "a") as z:
            for i in range(limit - len(files)):
                z.writestr(zipfile.ZipInfo(f"x/{i}"), b"")
        self.assert_pulled(archive, place="models/model")
        with zipfile.ZipFile(archive, "a") as z:
            z.writestr(zipfile.ZipInfo("x/more"), b"")
        code, _, err = self.pull(archive, "--as", "c/d")
        self.assertEqual(code, 1)
        self.assertIn("100001 entries, the limit is 100000", err)


class Memory(PullCase):
    """Every allocation fails once: the pull says so, leaks nothing (the sanitizers look), and a later one succeeds."""

    def test_from_the_hub(self):
        self.add(model_files(1000))
        self.assert_pulled("--fail-allocations", "1", "a/b")

    def test_from_an_archive(self):
        archive = self.root / "model.zip"
        self.files = model_files(1000)
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as z:
            for path, data in self.files.items():
                z.writestr(path, data)
        self.assert_pulled("--fail-allocations", "1", "--as", "a/b", archive)

    def test_from_a_folder(self):
        folder = self.root / "model"
        self.files = model_files(1000)
        for path, data in self.files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(data)
        self.assert_pulled("--fail-allocations", "1", "--as", "a/b", folder)


if __name__ == "__main__":
    DRIVER = os.path.abspath(sys.argv.pop(1))
    unittest.main(verbosity=1)
