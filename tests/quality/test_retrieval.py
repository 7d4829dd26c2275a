"""int8 finds what f32 finds: nDCG@10 on the documentation of Python's standard library (bench/quality/retrieval_set.py),
2,000 first sentences that look for the texts they were cut from. The same measure on 25,000 passages: bench/quality/run.sh.

Run through ctest, or by hand:  HEDDLE_BUILD=build python3 -m unittest discover -s tests/quality
"""

import json
import os
import sys
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "bench" / "quality"))
try:
    import numpy as np
    import quality
    import ranking
    import retrieval_set
except ImportError:
    np = None

BUILD = Path(os.environ.get("HEDDLE_BUILD", ROOT / "build")).resolve()
MINILM = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "heddle/models/sentence-transformers/all-MiniLM-L6-v2"

NEEDS_NUMPY = unittest.skipIf(np is None, "no NumPy: make test installs it")


@NEEDS_NUMPY
class MeasureTest(unittest.TestCase):
    """The measure itself, on a set small enough for pencil and paper."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        (self.folder / "qrels").mkdir()
        self.write("corpus.jsonl", ({"_id": f"d{i}", "title": "", "text": "x"} for i in range(30)))
        self.write("queries.jsonl", ({"_id": f"q{i}", "text": "x"} for i in range(3)))
        (self.folder / "qrels" / "test.tsv").write_text(
            "query-id\tcorpus-id\tscore\nq0\td0\t1\nq1\td12\t1\nq2\td1\t2\nq2\td2\t1\nq2\td20\t1\n")

    def write(self, name, rows):
        (self.folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows))

    def test_measures(self):
        passages = np.zeros((30, 3), np.float32)
        passages[:, 0] = np.linspace(1, 0, 30) # q0: d0 first
        passages[:, 1] = np.linspace(1, 0, 30) # q1: d12 is beyond the tenth
        passages[[5, 1, 2], 2] = 3, 2, 1       # q2: d1 second, d2 third, d20 not among the best
        passages[20, 2] = -1
        got = ranking.measure(ranking.RetrievalSet(self.folder), np.eye(3, dtype=np.float32), passages)
        dcg, ideal = 2 / np.log2(3) + 1 / np.log2(4), 2 + 1 / np.log2(3) + 1 / np.log2(4)
        np.testing.assert_allclose(got, [[1, 1, 1], [0, 0, 0], [dcg / ideal, 1 / 2, 2 / 3]])

    def test_interval(self):
        base = np.tile([0.5, 1.0], 500)
        ratio, low, high = ranking.ratio_interval(base * 0.9, base)
        np.testing.assert_allclose((ratio, low, high), 0.9) # each query lost the same
        worse = base.copy()
        worse[::50] = 0
        ratio, low, high = ranking.ratio_interval(worse, base)
        self.assertTrue(low < ratio < high < 1)


@NEEDS_NUMPY
class RetrievalTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        if not MINILM.is_dir():
            raise unittest.SkipTest("no all-MiniLM-L6-v2: tools/fetch_model.sh gets it")
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        retrieval_set.make("python", Path(folder.name))
        cls.set = ranking.RetrievalSet(folder.name)
        cls.f32 = cls.vectors("f32")
        cls.base = ranking.measure(cls.set, *cls.f32)[:, 0]

    @classmethod
    def vectors(cls, dtype, levels=""):
        return [quality.heddle_vectors(BUILD / "heddle", MINILM, cls.set.folder / file, dtype, levels)
                for file in ("queries.jsonl", "corpus.jsonl")]

    def kept(self, vectors):
        """How much of f32's nDCG@10 is kept: the ends of the 95 % interval."""
        ratio, low, high = ranking.ratio_interval(ranking.measure(self.set, *vectors)[:, 0], self.base)
        print(f"{len(self.base)} queries, nDCG@10 {100 * self.base.mean():.2f} in f32; {100 * ratio:.2f} % of it kept "
              f"({100 * low:.2f} to {100 * high:.2f})", file=sys.stderr)
        return low, high

    def keeps(self, vectors, share, cosine):
        """Not significantly less than this share: 2,000 queries leave an interval of about 0.8 % around int8."""
        self.assertGreaterEqual(self.kept(vectors)[1], share)
        self.assertGreaterEqual(quality.cosines(np.concatenate(vectors), np.concatenate(self.f32)).mean(), cosine)

    def test_set(self):
        self.assertGreaterEqual(len(self.base), 1500)
        self.assertGreater(self.base.mean(), 0.5)

    def test_bf16(self):
        self.keeps(self.vectors("bf16"), 0.999, 0.9999)

    def test_int8(self):
        self.keeps(self.vectors("int8"), 0.995, 0.995)

    def test_int8_in_16_bits(self):
        """As processors without VNNI compute it: products are added in 16 bits."""
        self.keeps(self.vectors("int8", "-avx512,-avx-vnni"), 0.995, 0.995)

    def test_loss_is_seen(self):
        """Vectors of three bits a value fall below the bound."""
        coarse = [np.round(rows * 3 / abs(rows).max(1, keepdims=True)) for rows in self.f32]
        self.assertLess(self.kept(coarse)[1], 0.995)


if __name__ == "__main__":
    unittest.main()
