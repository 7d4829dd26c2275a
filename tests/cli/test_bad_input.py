"""One clear line, a non-zero exit code, and no partial file: whatever is wrong with the model, the text or the disk."""

import json
import os
import shutil
import struct
import subprocess
import unittest

from harness import PROGRAM, CommandTest, tiny_architectures


class Safetensors:
    """A file to take apart and put together again."""

    def __init__(self, path):
        data = path.read_bytes()
        n = struct.unpack_from("<Q", data)[0]
        self.path, self.header, self.body = path, json.loads(data[8:8 + n]), data[8 + n:]

    def save(self, length=None):
        text = json.dumps(self.header).encode()
        self.path.write_bytes(struct.pack("<Q", len(text) if length is None else length) + text + self.body)


class BadModelTest(CommandTest):
    def setUp(self):
        super().setUp()
        self.model = self.copy_tiny()
        self.weights = self.model / "model.safetensors"

    def refused(self, *says, file="model.safetensors"):
        """Both a first use and one after good packed weights were cached name the file and the fault."""
        target = self.write("out.jsonl", "old")
        self.fails("embed", "-m", self.model, "-o", target, "x", says=[file, *says])
        self.assertEqual(target.read_text(), "old")
        self.assertEqual(sorted(os.listdir(self.work)), ["model", "out.jsonl"])

    def test_unknown_name(self):
        self.fails("embed", "-m", "nobody/nothing", "x", says=["nobody/nothing", "heddle pull"])
        self.fails("embed", "-m", "./no-such-folder", "x", says="no-such-folder")

    def test_a_folder_that_may_not_be_read(self):
        user = {"user": 65534} if os.geteuid() == 0 else {}
        try:
            subprocess.run([str(PROGRAM), "--version"], check=True, capture_output=True, **user)
        except PermissionError:
            self.skipTest("the program is not for all users")
        self.folder.chmod(0o755)
        self.addCleanup(self.model.chmod, 0o700)
        self.model.chmod(0)
        for path in (self.model, self.model / "below"):
            done = subprocess.run([str(PROGRAM), "embed", "-m", str(path), "x"], capture_output=True, env=self.env(), cwd=self.work, **user)
            self.assertEqual((done.returncode, done.stderr.decode()), (1, f"heddle: {path}: cannot open: Permission denied\n"))

    def test_missing_files(self):
        for name in ("config.json", "model.safetensors", "tokenizer.json"):
            with self.subTest(name):
                shutil.rmtree(self.model)
                self.copy_tiny()
                (self.model / name).unlink()
                if name == "tokenizer.json" and (self.model / "vocab.txt").exists():
                    (self.model / "vocab.txt").unlink()
                self.fails("embed", "-m", self.model, "x", says=str(self.model))

    def test_truncated_weights(self):
        data = self.weights.read_bytes()
        for length in (0, 4, 8, 100, len(data) // 2, len(data) - 1):
            with self.subTest(length=length):
                self.weights.write_bytes(data[:length])
                self.refused()

    def test_changed_after_packing(self):
        self.heddle("embed", "-m", self.model, "x")
        data = self.weights.read_bytes()
        self.weights.write_bytes(data[:-1])
        self.refused()

    def test_header_length_past_the_end(self):
        file = Safetensors(self.weights)
        for length in (self.weights.stat().st_size, 2 ** 40, 2 ** 64 - 1):
            with self.subTest(length=length):
                file.save(length)
                self.refused()

    def test_header_not_json(self):
        data = bytearray(self.weights.read_bytes())
        data[8] = ord("X")
        self.weights.write_bytes(data)
        self.refused()

    def name_of_a_tensor(self, file):
        return next(n for n in file.header if n.endswith("attention.self.query.weight"))

    def test_overlapping_tensors(self):
        file = Safetensors(self.weights)
        name = self.name_of_a_tensor(file)
        begin, end = file.header[name]["data_offsets"]
        file.header[name]["data_offsets"] = [begin - 4, end - 4]
        file.save()
        self.refused()

    def test_offsets_past_the_end(self):
        file = Safetensors(self.weights)
        name = self.name_of_a_tensor(file)
        file.header[name]["data_offsets"] = [len(file.body), len(file.body) + 4 * 40 * 40]
        file.save()
        self.refused(name)

    def test_wrong_dtype(self):
        file = Safetensors(self.weights)
        name = self.name_of_a_tensor(file)
        file.header[name]["dtype"] = "I32"
        file.save()
        self.refused(name)

    def test_unknown_dtype(self):
        file = Safetensors(self.weights)
        name = self.name_of_a_tensor(file)
        file.header[name]["dtype"] = "Q9"
        file.save()
        self.refused("Q9")

    def test_wrong_shape(self):
        file = Safetensors(self.weights)
        name = self.name_of_a_tensor(file)
        file.header[name]["shape"] = [20, 80]
        file.save()
        self.refused(name)

    def test_missing_tensor(self):
        file = Safetensors(self.weights)
        name = self.name_of_a_tensor(file)
        file.header["other"] = file.header.pop(name)
        file.save()
        self.refused(name, file="")

    def test_nan_weights(self):
        for value in (float("nan"), float("inf"), float("-inf")):
            for name in ("embeddings.word_embeddings.weight", "attention.self.query.weight", "LayerNorm.bias"):
                with self.subTest(value=value, name=name):
                    shutil.rmtree(self.model)
                    self.copy_tiny()
                    file = Safetensors(self.weights)
                    full = next(n for n in file.header if n.endswith(name))
                    at = file.header[full]["data_offsets"][0] + 4 * 7
                    file.body = file.body[:at] + struct.pack("<f", value) + file.body[at + 4:]
                    file.save()
                    self.refused(full)

    def change_config(self, name="config.json", **values):
        path = self.model / name
        path.write_text(json.dumps({**json.loads(path.read_text()), **values}))

    def test_unknown_architecture(self):
        self.change_config(model_type="perceiver", architectures=["PerceiverModel"])
        self.fails("embed", "-m", self.model, "x", says="perceiver")

    def test_unsupported_positions(self):
        self.change_config(position_embedding_type="relative_key")
        self.fails("embed", "-m", self.model, "x", says=["config.json", "relative_key"])

    def test_config_out_of_range(self):
        for field, value in (("num_hidden_layers", 100000), ("hidden_size", -1), ("num_attention_heads", 0),
                             ("hidden_size", 41), ("hidden_size", "forty"), ("layer_norm_eps", "small")):
            with self.subTest(field=field, value=value):
                shutil.rmtree(self.model)
                self.copy_tiny()
                self.change_config(**{field: value})
                self.fails("embed", "-m", self.model, "x", says=["config.json", field])

    def test_malformed_json(self):
        for name in ("config.json", "tokenizer.json", "modules.json"):
            for text in ("", "{", "[]", '{"a": 1', "\xff\xfe", "{" * 5000):
                with self.subTest(name=name, text=text[:10]):
                    shutil.rmtree(self.model)
                    self.copy_tiny()
                    (self.model / name).write_bytes(text.encode("latin1"))
                    self.fails("embed", "-m", self.model, "x", says=name)

    def test_malformed_tokenizer(self):
        path = self.model / "tokenizer.json"
        good = json.loads(path.read_text())
        def broken(change):
            data = json.loads(json.dumps(good))
            change(data)
            return json.dumps(data)
        for says, change in (
                ("vocab", lambda d: d["model"].pop("vocab")),
                ("vocab", lambda d: d["model"].update(vocab=["a", "b"])),
                ("vocab", lambda d: d["model"]["vocab"].update({"water": -5})),
                ("4000000000", lambda d: d["model"]["vocab"].update({"water": 4000000000})),
                ("Frobnicator", lambda d: d["model"].update(type="Frobnicator")),
                ("Frobnicator", lambda d: d.update(normalizer={"type": "Frobnicator"})),
                ("Frobnicator", lambda d: d.update(pre_tokenizer={"type": "Frobnicator"})),
                ("[NOT THERE]", lambda d: d["model"].update(unk_token="[NOT THERE]")),
                ("added_tokens", lambda d: d.update(added_tokens=[{"id": 1}])),
        ):
            with self.subTest(says=says):
                path.write_text(broken(change))
                self.fails("embed", "-m", self.model, "x", says=["tokenizer.json", says])

    def test_damaged_packed_weights_are_made_again(self):
        good = self.heddle("embed", "-m", self.model, "water")[0]
        packed = [p for p in self.cache.rglob("*.heddle")]
        self.assertTrue(packed, "no packed weights were written")
        for damage in (lambda d: d[:len(d) // 2], lambda d: b"", lambda d: b"X" + d[1:], lambda d: d[:70] + b"\xff" * 8 + d[78:]):
            packed[0].write_bytes(damage(packed[0].read_bytes()))
            self.assertEqual(self.heddle("embed", "-m", self.model, "water")[0], good)


class BadTextTest(CommandTest):
    def embed(self, *args, **options):
        return self.vectors("-m", self.tiny(), *args, dimensions=40, **options)

    def test_invalid_utf8_is_replaced(self):
        for raw, same_as in ((b"bad \xff byte", "bad \ufffd byte"), (b"\xe2\x82 cut", "\ufffd cut"), (b"\xc0\x80", "\ufffd\ufffd"),
                             (b"\xed\xa0\x80", "\ufffd\ufffd\ufffd"), (b"end \xf0\x9f", "end \ufffd")):
            with self.subTest(raw):
                self.assertEqual(self.embed(stdin=raw + b"\n"), self.embed(stdin=same_as + "\n"))
                self.assertEqual(self.embed("--input-format", "jsonl", stdin=b'{"text": "' + raw + b'"}\n'), self.embed(stdin=same_as + "\n"))

    def test_invalid_utf8_is_refused(self):
        self.fails("embed", "-m", self.tiny(), "--strict", "-i", self.write("a.txt", b"fine\nalso fine\nbad \xff\n"),
                   says=["a.txt:3: byte 4 is not UTF-8"])
        self.fails("embed", "-m", self.tiny(), "--strict", "-i", self.write("a.jsonl", b'{"text": "\xff"}\n'), says="a.jsonl:1: byte 10")
        self.fails("tokenize", "-m", self.tiny(), "--strict", "-i", "a.txt", says="a.txt:3: byte 4 is not UTF-8")
        self.fails("embed", "-m", self.tiny(), "--strict", b"bad \xff", says="UTF-8")

    def test_empty_text_has_a_vector(self):
        self.assertEqual(self.embed(""), self.embed(stdin="\n"))
        self.assertEqual(self.embed("   "), self.embed(""))

    def test_zero_bytes(self):
        self.assertEqual(len(self.embed(stdin=b"a\0b\n")), 1)
        self.assertEqual(self.embed("--input-format", "jsonl", stdin='{"text": "a\\u0000b"}\n'), self.embed(stdin=b"a\0b\n"))

    def test_ten_megabytes(self):
        for unit in ("a", "a ", "\u4e00", "\U0001f600", "e\u0301"):
            with self.subTest(unit):
                text = unit * (10_000_000 // len(unit.encode()))
                rows = self.embed("-i", self.write("long.txt", text), timeout=60)
                self.assertEqual(len(rows), 1)
        self.write("two.txt", "a " * 5_000_000 + "\nshort\n")
        self.assertEqual(self.embed("-i", "two.txt")[1], self.embed("short")[0])

    def test_malformed_lines(self):
        for line, says in (('{"text": 3}', 'no string member "text"'), ("{}", 'no string member "text"'), ("[]", 'no string member "text"'),
                           ("\n \n[", "not JSON"), ("nonsense", "not JSON"), ('{"text": "a"', "not JSON"), ('{"text": "a"} x', "not JSON"),
                           ('{"text": "\\ud800"}', "not JSON"), ('{"text": "a", "text": "b"}', "not JSON")):
            with self.subTest(line):
                path = self.write("a.jsonl", '{"text": "fine"}\n' + line + "\n")
                self.fails("embed", "-m", self.tiny(), "-i", path, says=[f"a.jsonl:{2 + line.count(chr(10))}: ", says])

    def test_blank_lines(self):
        """Of JSON lines they are skipped, as jq and pandas do; of plain text they are texts, so that rows and lines agree."""
        blank = "\n" + '{"text": "water", "query": "a", "document": "b"}\n' + "\r\n \t\n\n" + '{"text": "", "query": "", "document": ""}\n' + "\n  "
        full = "".join(line + "\n" for line in blank.splitlines() if line.strip())
        self.write("blank.jsonl", blank), self.write("full.jsonl", full), self.write("none.jsonl", "\n \n\n")
        reranker = tiny_architectures() / "tiny-bert-reranker"
        for args in (["embed", "-m", self.tiny()], ["embed", "-m", self.tiny(), "--batch", "1"], ["tokenize", "-m", self.tiny()],
                     ["quantize", "-m", self.tiny()], ["rerank", "-m", reranker], ["quantize", "-m", reranker]):
            with self.subTest(args[0]):
                output = self.heddle(*args, "-i", "full.jsonl")[0]
                self.assertEqual(self.heddle(*args, "-i", "blank.jsonl")[0], output)
                if args[0] != "quantize":
                    self.assertEqual(output.count(b"\n"), 2)
                    self.assertEqual(self.heddle(*args, "-i", "none.jsonl")[0], b"")
        self.assertEqual(len(self.embed("-i", self.write("blank.txt", "water\n\n \n"))), 3)

    def test_input_that_cannot_be_read(self):
        self.fails("embed", "-m", self.tiny(), "-i", "nothing.txt", says="nothing.txt: no such file")
        self.fails("embed", "-m", self.tiny(), "-i", self.work, says="Is a directory")


class BadOutputTest(CommandTest):
    def test_full_disk(self):
        says = ["cannot write", "No space left on device"]
        self.fails("embed", "-m", self.tiny(), "-o", "/dev/full", "x", says=["/dev/full", *says])
        path = self.write("n.txt", "water\n" * 5000)
        self.fails("embed", "-m", self.tiny(), "-i", path, "-o", "/dev/full", says=["/dev/full", *says])
        for args in (["embed", "-m", str(self.tiny()), "x"], ["tokenize", "-m", str(self.tiny()), "x"], ["info"], ["--help"],
                     ["models"], ["embed", "--help"]):
            with self.subTest(args), open("/dev/full", "wb") as full:
                done = subprocess.run([str(PROGRAM), *args], stdout=full, stderr=subprocess.PIPE, env=self.env(), cwd=self.work)
                self.assertEqual(done.returncode, 1)
                self.assertIn(b"standard output: cannot write: No space left on device", done.stderr)

    def test_file_size_limit(self):
        self.write("v.f32", "old")
        done = subprocess.run(["/bin/bash", "-c", f"ulimit -f 8; yes water | head -n 5000 | "
                               f"{PROGRAM} embed -m {self.tiny()} -o v.f32"], stderr=subprocess.PIPE, env=self.env(), cwd=self.work)
        self.assertEqual(done.returncode, 1)
        self.assertIn(b"v.f32: cannot write: File too large", done.stderr)
        self.assertEqual((self.work / "v.f32").read_text(), "old")
        self.assertEqual(os.listdir(self.work), ["v.f32"])

    def test_closed_pipe(self):
        path = self.write("n.txt", "water\n" * 20000)
        for args in (["embed", "-m", str(self.tiny()), "-i", str(path)], ["tokenize", "-m", str(self.tiny()), "-i", str(path)]):
            with self.subTest(args[0]):
                process = subprocess.Popen([str(PROGRAM), *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=self.env(),
                                           cwd=self.work)
                process.stdout.readline()
                process.stdout.close()
                self.assertEqual(process.stderr.read(), b"")
                process.stderr.close()
                self.assertEqual(process.wait(timeout=30), 1)

    def test_closed_standard_files(self):
        """No file takes the place of one: it would be read as texts, or have messages written into it."""
        def closed(which, *args):
            done = subprocess.run(["/bin/bash", "-c", f'exec "$@" {which}', "bash", str(PROGRAM), *map(str, args)], capture_output=True,
                                  env=self.env(), cwd=self.work, timeout=30)
            return done.returncode, done.stdout, done.stderr.decode()
        says = "heddle: standard input: cannot read: Bad file descriptor\n"
        for command in ("embed", "tokenize"):
            self.assertEqual(closed("<&-", command, "-m", self.tiny()), (1, b"", says))
        code, _, stderr = closed(">&-", "embed", "-m", self.tiny(), "x")
        self.assertEqual((code, stderr), (1, "heddle: standard output: cannot write: Bad file descriptor\n"))
        good = self.heddle("embed", "-m", self.tiny(), "x")[0]
        for which in ("2>&-", "<&- 2>&-", "<&- >&- 2>&-"):
            self.assertEqual(closed(which, "embed", "-m", self.tiny(), "-v", "-o", "v.jsonl", "x"), (0, b"", ""))
            self.assertEqual((self.work / "v.jsonl").read_bytes(), good)

    def test_places_that_cannot_be_written(self):
        self.fails("embed", "-m", self.tiny(), "-o", "no/such/folder/v.npy", "x", says=["no/such/folder/v.npy", "No such file"])
        self.fails("embed", "-m", self.tiny(), "-o", self.work, "x", says="is a folder")

    def test_a_model_that_does_not_rerank(self):
        self.fails("rerank", "query", "document", says=["no model \"cross-encoder/ms-marco-MiniLM-L6-v2\"", "heddle pull cross-encoder/ms-marco-MiniLM-L6-v2"])
        self.fails("rerank", "query", "document", env={"HEDDLE_MODEL": str(self.tiny())}, says="tiny-mrl does not rerank")
        self.fails("rerank", "-m", self.tiny(), "query", "document", says=["tiny-mrl does not rerank", "--model names one that does"])

    def test_a_model_without_the_heads_wanted(self):
        """What is advised is an option that there is."""
        models = tiny_architectures()
        self.fails("embed", "-m", models / "tiny-bert-splade", "x", says="tiny-bert-splade gives no dense vectors: --heads sparse is what it gives")
        self.fails("embed", "-m", models / "tiny-colbert", "--heads", "dense,sparse,colbert", "x",
                   says="tiny-colbert gives no dense,sparse vectors: --heads colbert is what it gives")
        self.fails("embed", "-m", models / "tiny-bert-reranker", "x", says="tiny-bert-reranker gives scores and no vectors: heddle rerank takes it")
        self.fails("embed", "-m", models / "tiny-distilbert-classifier", "x", says="tiny-distilbert-classifier gives scores and no vectors\n")

    def test_cache_that_cannot_be_written(self):
        """Packed weights are a convenience: without a place for them all goes on."""
        good = self.heddle("embed", "-m", self.tiny(), "water")[0]
        blocked = self.write("not-a-folder", "")
        self.assertEqual(self.heddle("embed", "-m", self.tiny(), "-q", "water", env={"HEDDLE_CACHE": str(blocked)})[0], good)
        nowhere = {"HEDDLE_CACHE": "", "XDG_CACHE_HOME": "", "HOME": ""}
        stdout, stderr = self.heddle("embed", "-m", self.tiny(), "water", env=nowhere)
        self.assertEqual(stdout, good)
        self.assertRegex(stderr, r"\Aheddle: warning: .*tiny-mrl: packed weights are not kept: .*HOME\)\n\Z")
        self.fails("embed", "-m", "no/model", "water", env=nowhere, says="no cache folder")


if __name__ == "__main__":
    unittest.main()
