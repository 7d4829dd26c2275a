"""heddle tokenize against what the reference tokenizers answered."""

import json
import shutil
import subprocess
import threading
import unittest
from pathlib import Path

from harness import PROGRAM, ROOT, CommandTest, patience

GOLDEN = ROOT / "tests" / "golden"


class TokenizeTest(CommandTest):
    def test_minilm_goldens(self):
        stdout, _ = self.heddle("tokenize", "-m", self.minilm(), "--input", GOLDEN / "texts.jsonl")
        expected = (GOLDEN / "minilm-tokens.jsonl").read_text().splitlines()
        got = stdout.decode().splitlines()
        self.assertEqual(len(got), len(expected))
        for number, (a, b) in enumerate(zip(got, expected), 1):
            self.assertEqual(json.loads(a), json.loads(b), f"texts.jsonl:{number}")

    def test_form(self):
        stdout, _ = self.heddle("tokenize", "-m", self.minilm(), 'a "quick" fox')
        self.assertEqual(stdout.decode(),
                         '{"ids": [101, 1037, 1000, 4248, 1000, 4419, 102], '
                         '"tokens": ["[CLS]", "a", "\\"", "quick", "\\"", "fox", "[SEP]"], '
                         '"offsets": [[0, 0], [0, 1], [2, 3], [3, 8], [8, 9], [10, 13], [0, 0]]}\n')

    def test_offsets_in_bytes(self):
        text = "é日本 fox"
        for unit, convert in (("chars", lambda o: text[o[0]:o[1]]), ("bytes", lambda o: text.encode()[o[0]:o[1]].decode())):
            answer = json.loads(self.heddle("tokenize", "-m", self.minilm(), "--offsets", unit, text)[0])
            pieces = [convert(o) for o, t in zip(answer["offsets"], answer["tokens"]) if not t.startswith("[")]
            self.assertEqual(pieces, ["é", "日", "本", "fox"])

    def test_cut(self):
        answer = json.loads(self.heddle("tokenize", "-m", self.minilm(), "--max-length", "5", "one two three four five")[0])
        self.assertEqual(answer["tokens"], ["[CLS]", "one", "two", "three", "[SEP]"])
        self.assertEqual(len(json.loads(self.heddle("tokenize", "-m", self.minilm(), "word " * 1000)[0])["ids"]), 256)

    def test_no_prompt(self):
        model = self.tiny("tiny-prompts")
        answer = json.loads(self.heddle("tokenize", "-m", model, "water")[0])
        self.assertNotIn("query", answer["tokens"])

    def test_only_an_unknown_prompt_is_misuse(self):
        folder = Path(shutil.copytree(self.tiny("tiny-prompts"), self.work / "model"))
        self.fails("tokenize", "-m", folder, "--prompt-name", "qurey", "water", code=2, says='no prompt named "qurey"')
        self.fails("tokenize", "-m", "no/such", "--prompt-name", "query", "water", code=1, says="no/such")
        (folder / "model.safetensors").unlink()
        for name in ("query", "qurey"):
            self.fails("tokenize", "-m", folder, "--prompt-name", name, "water", code=1, says="model: neither model.safetensors nor")

    def test_answers_before_the_next_line_comes(self):
        process = subprocess.Popen([PROGRAM, "tokenize", "-m", self.tiny()], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=self.env())
        killer = threading.Timer(patience(20), process.kill)
        killer.start()
        for _ in range(2):
            process.stdin.write(b"water\n")
            process.stdin.flush()
            self.assertIn(b'"water"', process.stdout.readline())
        self.assertEqual(process.communicate()[0], b"")
        self.assertEqual(process.returncode, 0)
        killer.cancel()

    def test_output_file(self):
        self.heddle("tokenize", "-m", self.tiny(), "-o", "t.jsonl", "water")
        self.assertIn("ids", json.loads((self.work / "t.jsonl").read_text()))


if __name__ == "__main__":
    unittest.main()
