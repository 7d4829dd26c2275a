"""heddle pull and heddle models: placing, finding and checking models without a network."""

import json
import os
import shutil
import signal
import struct
import subprocess
import time
import unittest
import zipfile

from harness import PROGRAM, CommandTest


class StoreTest(CommandTest):
    def test_nothing_yet(self):
        self.assertEqual(self.heddle("models")[0].decode(), "no models yet: 'heddle pull sentence-transformers/all-MiniLM-L6-v2' gets one\n")
        self.assertEqual(json.loads(self.heddle("models", "--json")[0]), [])

    def test_folder(self):
        path = self.heddle("pull", self.tiny("tiny-cls"), "--as", "me/tiny")[0].decode().strip()
        self.assertEqual(path, str(self.cache / "models/me/tiny"))
        listed = json.loads(self.heddle("models", "--json", "--verify")[0])
        self.assertEqual([(m["name"], m["source"], m["path"], m["verified"]) for m in listed], [("me/tiny", "heddle", path, "ok")])
        self.assertRegex(self.heddle("models")[0].decode(), r"\Ame/tiny +[\d.]+ KiB +heddle +/")
        self.assertEqual(self.heddle("embed", "-m", "me/tiny", "water")[0], self.heddle("embed", "-m", self.tiny("tiny-cls"), "water")[0])
        self.assertEqual(self.heddle("pull", self.tiny("tiny-cls"), "--as", "me/tiny")[0].decode().strip(), path)  # again is fine

    def test_archive(self):
        archive = self.work / "model.zip"
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as out:
            for file in sorted(self.tiny("tiny-cls").rglob("*")):
                if file.is_file():
                    out.write(file, "some/folder/" + str(file.relative_to(self.tiny("tiny-cls"))))
            out.writestr("unrelated.txt", "x")
        self.heddle("pull", archive, "--as", "me/zipped")
        self.assertEqual(self.heddle("embed", "-m", "me/zipped", "water")[0], self.heddle("embed", "-m", self.tiny("tiny-cls"), "water")[0])

    def test_hostile_archive(self):
        for name in ("../escape/config.json", "/tmp/heddle-escape/config.json", "a/../../config.json"):
            archive = self.work / "bad.zip"
            with zipfile.ZipFile(archive, "w") as out:
                out.writestr(name, "{}")
            self.fails("pull", archive, "--as", "me/bad", says="bad.zip")
            self.assertFalse((self.cache / "models/me/bad").exists())

    def test_what_cannot_be_pulled(self):
        self.fails("pull", self.write("not.zip", "text"), "--as", "me/x", says="not.zip")
        (self.work / "empty").mkdir()
        self.fails("pull", self.work / "empty", "--as", "me/x", says="empty")
        self.fails("pull", "nobody/nothing", "--offline", says="nobody/nothing")
        self.fails("pull", "nobody/nothing", "--endpoint", "http://127.0.0.1:9", says="127.0.0.1")
        self.fails("pull", self.tiny(), "--as", "../../up", says="../../up", code=2)
        self.assertEqual(json.loads(self.heddle("models", "--json")[0]), [])

    def test_a_damaged_folder_is_named_as_it_was_given(self):
        for name in ("modules.json", "config.json", "1_Pooling/config.json", "model.safetensors"):
            shutil.copytree(self.tiny("tiny-cls"), self.work / "bad")
            (self.work / "bad" / name).write_bytes(b"nonsense")
            said = self.fails("pull", "./bad", "--as", "me/bad", says=f"heddle: ./bad/{name}: ")
            self.assertNotIn(str(self.cache), said)
            self.assertFalse((self.cache / "models/me/bad").exists())
            shutil.rmtree(self.work / "bad")

    def test_verify_finds_damage(self):
        self.heddle("pull", self.tiny("tiny-cls"), "--as", "me/tiny")
        weights = self.cache / "models/me/tiny/model.safetensors"
        data = bytearray(weights.read_bytes())
        data[-4:] = struct.pack("<f", float("nan"))
        weights.write_bytes(data)
        stdout, stderr = self.heddle("models", "--verify", code=1)
        self.assertIn("model.safetensors", stdout.decode())
        self.assertEqual(stderr, "heddle: 1 of 1 models cannot be used as they are\n")
        self.heddle("pull", self.tiny("tiny-cls"), "--as", "me/tiny", "--force")
        self.heddle("models", "--verify")

    def test_hugging_face_cache(self):
        snapshot = self.folder / "hf/hub/models--me--cached/snapshots/0123456789abcdef0123456789abcdef01234567"
        shutil.copytree(self.tiny("tiny-cls"), snapshot)
        refs = self.folder / "hf/hub/models--me--cached/refs"
        refs.mkdir()
        (refs / "main").write_text(snapshot.name)
        env = {"HF_HOME": str(self.folder / "hf")}
        listed = json.loads(self.heddle("models", "--json", env=env)[0])
        self.assertEqual([(m["name"], m["source"]) for m in listed], [("me/cached", "huggingface")])
        self.assertEqual(self.heddle("embed", "-m", "me/cached", "water", env=env)[0], self.heddle("embed", "-m", self.tiny("tiny-cls"), "water")[0])

    def start_pull(self, source):
        return subprocess.Popen([str(PROGRAM), "pull", str(source), "--as", "me/tiny"], env=self.env(), cwd=self.work,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def test_two_at_once(self):
        running = [self.start_pull(self.tiny("tiny-cls")) for _ in range(4)]
        said = []
        for process in running:
            stderr = process.communicate(timeout=60)[1].decode()
            self.assertEqual(process.returncode, 0, stderr)
            said += [stderr] if "is there already and stays as it is" not in stderr else []   # to one that begins later
        self.assertEqual(set(said), {""})
        self.heddle("models", "--verify")

    def test_killed_in_the_middle(self):
        big = self.copy_tiny("tiny-cls")
        (big / "filler.safetensors").write_bytes(os.urandom(64) * (1 << 20))
        for delay in (0.002, 0.01, 0.03, 0.06):
            process = self.start_pull(big)
            time.sleep(delay)
            process.send_signal(signal.SIGKILL)
            process.communicate()
            self.heddle("models", "--verify")  # whole or not there
        self.heddle("pull", big, "--as", "me/tiny")
        self.heddle("models", "--verify")
        self.assertEqual(len(json.loads(self.heddle("models", "--json")[0])), 1)


if __name__ == "__main__":
    unittest.main()
