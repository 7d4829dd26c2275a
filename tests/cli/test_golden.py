"""The program's vectors against the reference libraries', for every model and option there is an answer for."""

import json
import unittest

from harness import ROOT, CommandTest, cosine, rows_of

GOLDEN = ROOT / "tests" / "golden"


class GoldenTest(CommandTest):
    def agree(self, model, reference, dimensions, dtype, least, mean, texts, *args):
        expected = rows_of(reference.read_bytes(), dimensions)
        got = self.vectors("-m", model, "--dtype", dtype, "-i", texts, *args, dimensions=dimensions)
        self.assertEqual(len(got), len(expected))
        cosines = [cosine(a, b) for a, b in zip(got, expected)]
        self.assertGreaterEqual(min(cosines), least, f"{dtype}: text {cosines.index(min(cosines))}")
        self.assertGreaterEqual(sum(cosines) / len(cosines), mean, dtype)
        return got, expected

    def test_minilm(self):
        for dtype, least, mean in (("f32", 0.99999, 0.99999), ("bf16", 0.999, 0.9999), ("int8", 0.97, 0.995)):
            with self.subTest(dtype):
                self.agree(self.minilm(), GOLDEN / "minilm-vectors.f32", 384, dtype, least, mean, GOLDEN / "texts.jsonl")

    def test_small_models(self):
        manifest = json.loads((GOLDEN / "tiny" / "manifest.json").read_text())
        texts = (GOLDEN / "texts.jsonl").read_text().splitlines()
        path = self.write("texts.jsonl", "".join(texts[i] + "\n" for i in manifest["lines"]))
        n_checked = 0
        for vectors in manifest["vectors"]:
            with self.subTest(vectors["file"]):
                args = []
                for name, value in vectors.get("options", {}).items():
                    args += ["--no-normalize"] if name == "normalize" else ["--" + name.replace("_", "-"), str(value)]
                got, expected = self.agree(self.tiny(vectors["model"]), GOLDEN / "tiny" / vectors["file"], vectors["dimensions"], "f32",
                                           0.99999, 0.99999, path, *args)
                for a, b in zip(got, expected):
                    largest = max(map(abs, b))
                    self.assertLessEqual(max(abs(x - y) for x, y in zip(a, b)), 2e-4 * max(1, largest))
                n_checked += 1
        self.assertGreater(n_checked, 20)


if __name__ == "__main__":
    unittest.main()
