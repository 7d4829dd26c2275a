"""heddle convert: there and back, and what is lost on the way."""

import unittest

from harness import ROOT, CommandTest, cosine, rows_of

GOLDEN = ROOT / "tests" / "golden"
TEXTS = ["the wind blew over the hills", "a river of cold water", "seven boxes of apples", "who wrote the letter"]


class ConvertTest(CommandTest):
    def rows(self, model, *options):
        self.heddle("embed", "-m", model, "--dtype", "f32", *options, "-o", "v.f32", *TEXTS)
        return rows_of((self.work / "v.f32").read_bytes(), 64)

    def test_there_and_back(self):
        model = self.tiny("tiny-cls")
        self.heddle("convert", "-m", model, "--type", "f32", "--output", "m.gguf")
        self.heddle("convert", "-m", self.work / "m.gguf", "--output", "folder")
        wanted = self.rows(model)
        self.assertEqual(self.rows(self.work / "m.gguf"), wanted)
        self.assertEqual(self.rows(self.work / "folder"), wanted)
        for text in TEXTS:
            ids = [self.heddle("tokenize", "-m", m, text)[0] for m in (model, self.work / "m.gguf", self.work / "folder")]
            self.assertEqual(ids, [ids[0]] * 3)

    def test_fewer_bits(self):
        model = self.tiny("tiny-cls")
        wanted = self.rows(model)
        for kind, least in (("f16", 0.9999), ("q8_0", 0.99)):
            self.heddle("convert", "-m", model, "--type", kind, "-o", "m.gguf")
            self.assertGreater(min(map(cosine, self.rows(self.work / "m.gguf"), wanted)), least)

    def test_packed(self):
        """Of a folder and of a GGUF file, in every type; the next start maps what is there and packs nothing."""
        for name, model in (("hub", self.tiny("tiny-cls")), ("gguf", GOLDEN / "gguf" / "tiny-cls-q8_0.gguf")):
            for dtype in ("f32", "bf16", "int8"):
                with self.subTest(model=name, dtype=dtype):
                    cache = self.work / f"{name}-{dtype}"
                    self.heddle("convert", "-m", model, "--packed", "--dtype", dtype, "--cache-dir", cache)
                    [packed] = cache.rglob(f"*-{dtype}.heddle")
                    before = packed.stat()
                    err = self.heddle("embed", "-v", "-m", model, "--dtype", dtype, "--cache-dir", cache, *TEXTS)[1]
                    self.assertIn("(mapped)", err)
                    self.assertEqual((packed.stat().st_ino, packed.stat().st_mtime_ns), (before.st_ino, before.st_mtime_ns))

    def test_misuse(self):
        model = self.tiny("tiny-cls")
        gguf = GOLDEN / "gguf" / "tiny-cls-q8_0.gguf"
        self.fails("convert", "-m", model, code=2, says="give --output FILE.gguf, --output DIR or --packed")
        self.fails("convert", "-m", model, "--packed", "-o", "m.gguf", code=2, says="give --output or --packed, not both")
        self.fails("convert", "-m", model, "-o", "m.gguf", "--type", "q4_0", code=2, says="--type: 'q4_0' is not one of f32, f16, q8_0")
        self.fails("convert", "-m", model, "--packed", "--type", "f16", code=2, says="--type is for a GGUF file")
        self.fails("convert", "-m", gguf, "-o", "folder", "--type", "f16", code=2, says="--type is for a GGUF file")
        self.fails("convert", "-m", model, "-o", "folder", code=2, says="is a folder in the Hub's layout already")
        self.fails("convert", "-m", gguf, "-o", "m.gguf", code=2, says="is a GGUF file already")
        self.fails("convert", "-m", model, "x", "-o", "m.gguf", code=2, says="convert: takes no arguments")
        self.fails("convert", "-m", self.tiny("tiny-dense"), "-o", "m.gguf", says="GGUF has no place for Dense modules")
        self.assertFalse((self.work / "m.gguf").exists())


if __name__ == "__main__":
    unittest.main()
