"""heddle quantize: its figures are those that follow from what heddle embed and heddle rerank give in f32 and in fewer bits."""

import json
import subprocess
import sys
import unittest

from harness import ROOT, CommandTest, cosine

GOLDEN = ROOT / "tests" / "golden"
WORDS = ("river", "stone", "the", "house", "garden", "in", "winter", "music", "of", "water", "ship", "light", "bread")


def mean(values):
    return sum(values) / len(values)


class QuantizeTest(CommandTest):
    def architecture(self, name):
        """A model of tools/make_tiny_architectures.py."""
        subprocess.run([sys.executable, str(ROOT / "tools/make_tiny_architectures.py"), str(self.work), name], check=True,
                       capture_output=True)
        return self.work / name

    def texts(self, n, members=("text",)):
        """A file of n lines, all different."""
        lines = [{member: " ".join(WORDS[(i * 7 + k * (1 + i % 5) + j) % len(WORDS)] for k in range(1 + i % 11))
                  for j, member in enumerate(members)} for i in range(n)]
        path = self.work / "texts.jsonl"
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
        return path

    def report(self, model, texts, *options):
        """The heading, and the numbers of each line by (type, head)."""
        heading, *lines = self.heddle("quantize", "-m", model, "--input", texts, *options)[0].decode().splitlines()
        rows = (line.replace("%", "").split() for line in lines)
        return heading, {(kind, head): tuple(map(float, numbers)) for kind, head, *numbers in rows}

    def lines(self, command, model, texts, dtype, *options):
        out = self.heddle(command, "-m", model, "--dtype", dtype, "--input", texts, *options)[0]
        return [json.loads(line) for line in out.splitlines()]

    def close(self, got, wanted):
        for a, b in zip(got, wanted, strict=True):
            self.assertAlmostEqual(a, b, delta=2e-6)

    def test_dense(self):
        heading, rows = self.report(self.tiny("tiny-mrl"), GOLDEN / "texts.jsonl", "-o", "m.gguf")
        self.assertTrue(heading.startswith("301 texts "))
        self.assertEqual(list(rows), [("bf16", "dense"), ("int8", "dense"), ("q8_0", "dense")])
        for average, least, kept in rows.values():
            self.assertTrue(0.99 < least <= average <= 1 and 50 < kept <= 100)
        self.assertTrue((self.work / "m.gguf").exists())

    def test_nearest(self):
        model, texts = self.tiny("tiny-cls"), self.texts(40)
        _, rows = self.report(model, texts)
        vectors = {dtype: [line["embedding"] for line in self.lines("embed", model, texts, dtype)] for dtype in ("f32", "int8")}
        nearest = {dtype: [set(sorted((k for k in range(40) if k != i), key=lambda k: -cosine(v[i], v[k]))[:10]) for i in range(40)]
                   for dtype, v in vectors.items()}
        cosines = list(map(cosine, vectors["f32"], vectors["int8"]))
        average, least, kept = rows["int8", "dense"]
        self.close((average, least), (mean(cosines), min(cosines)))
        self.assertAlmostEqual(kept, mean([10 * len(a & b) for a, b in zip(nearest["f32"], nearest["int8"])]), delta=0.5) # ties

    def test_heads(self):
        """All of bge-m3's; token vectors of the first hundred texts only."""
        model, texts = self.architecture("tiny-m3"), self.texts(120)
        _, rows = self.report(model, texts)
        self.assertEqual(set(rows), {(dtype, head) for dtype in ("bf16", "int8") for head in ("dense", "sparse", "colbert")})
        exact, rough = (self.lines("embed", model, texts, dtype, "--heads", "dense,sparse,colbert") for dtype in ("f32", "int8"))
        cosines = [cosine(a["embedding"], b["embedding"]) for a, b in zip(exact, rough)]
        self.close(rows["int8", "dense"][:2], (mean(cosines), min(cosines)))
        self.close(rows["int8", "colbert"], (lambda c: (mean(c), min(c)))(
            [mean(list(map(cosine, a["colbert"], b["colbert"]))) for a, b in zip(exact[:100], rough)]))
        cosines = []
        for a, b in zip(exact, rough):
            a, b = ({**dict.fromkeys(range(2000), 0.0), **dict(zip(v["sparse"]["indices"], v["sparse"]["values"]))} for v in (a, b))
            ids = sorted(a.keys() | b.keys())
            cosines.append(cosine([a.get(i, 0.0) for i in ids], [b.get(i, 0.0) for i in ids]) if any(a.values()) and any(b.values())
                           else float(not any(a.values()) and not any(b.values())))
        self.close(rows["int8", "sparse"][:2], (mean(cosines), min(cosines)))
        self.assertTrue(50 < rows["int8", "sparse"][2] <= 100)

    def test_reranker(self):
        model, pairs = self.architecture("tiny-bert-reranker"), self.texts(30, ("query", "document"))
        heading, rows = self.report(model, pairs)
        self.assertTrue(heading.startswith("30 pairs "))
        exact, rough = ([line["logit"] for line in self.lines("rerank", model, pairs, dtype)] for dtype in ("f32", "int8"))
        off = [abs(a - b) for a, b in zip(exact, rough)]
        order = [(exact[i] - exact[k]) * (rough[i] - rough[k]) > 0 for i in range(30) for k in range(i)]
        average, most, kept = rows["int8", "scores"]
        self.close((average, most), (mean(off), max(off)))
        self.assertAlmostEqual(kept, 100 * mean(order), delta=0.06)
        self.assertGreater(most, 0)

    def test_classifier(self):
        heading, rows = self.report(self.architecture("tiny-distilbert-classifier"), self.texts(30))
        self.assertTrue(heading.startswith("30 texts ") and heading.endswith("first label kept"))
        average, most, kept = rows["int8", "scores"]
        self.assertTrue(0 < average < most and 50 < kept <= 100)

    def test_misuse(self):
        model = self.tiny("tiny-cls")
        (self.work / "one.txt").write_text("a text\n")
        self.fails("quantize", "-m", model, "-i", "one.txt", code=2, says="1 texts are too few to compare")
        self.fails("quantize", "-m", model, "text", code=2, says="quantize: takes no arguments")
        said = self.on_terminal("quantize", "-m", model, streams=("stdin", "stderr"), code=2)
        self.assertIn("quantize: nothing to measure on: give --input FILE, or a pipe", said)
        model = self.architecture("tiny-bert-reranker")
        self.fails("quantize", "-m", model, "-i", self.texts(1, ("query", "document")), code=2, says="1 pairs are too few to compare")
        self.fails("quantize", "-m", model, "-i", self.texts(3), says='"query"')


if __name__ == "__main__":
    unittest.main()
