"""heddle db: check, vacuum, backup, export, import, stats; and which index is meant."""

import base64
import json
import sqlite3
import struct
import unittest

from harness import CommandTest

HEAD = {"heddle": "index", "version": 1, "model": "m", "fingerprint": "f", "similarity": "cosine", "language": "english",
        "n_dimensions": 4, "n_token_dimensions": 0, "has_sparse": False, "with_vectors": True}


def vector(*values):
    return base64.b64encode(struct.pack("<4f", *values)).decode()


def lines(n, head=HEAD):
    """An export of n documents of two chunks each."""
    out = [json.dumps(head)]
    for i in range(n):
        chunks = [{"text": f"text {i} {j}", "is_code": j == 1, "ordinal": j} for j in range(2)]
        for j, chunk in enumerate(chunks if head["with_vectors"] else []):
            chunk["vector"] = vector(1, i, j, 0)
        out.append(json.dumps({"id": f"d{i}", "title": f"Title {i}", "metadata": {"n": i}, "chunks": chunks}))
    return "\n".join(out) + "\n"


class DbTest(CommandTest):
    def make(self, n=10):
        self.heddle("db", "import", stdin=lines(n))
        return self.work / ".heddle.db"

    def report(self, *args, code=0):
        return json.loads(self.heddle("db", *args, "--json", code=code)[0])

    def test_usage(self):
        self.fails("db", code=2, says="say what to do: check, vacuum, backup, export, import or stats")
        self.fails("db", "chek", code=2, says="'chek' is not one of check, ")
        self.fails("db", "check", "x", code=2, says="unexpected argument 'x'")
        self.fails("db", "export", "x", "y", code=2, says="unexpected argument 'y'")
        self.fails("db", "backup", code=2, says="say to which file")
        self.fails("db", "stats", "--repair", code=2, says="db stats: --repair is for check")
        self.fails("db", "check", "--vectors", code=2, says="db check: --vectors is for export")

    def test_which_index(self):
        self.fails("db", "stats", says=["no .heddle.db in ", "--db names one"])
        self.make(1)
        below = self.work / "a" / "b"
        below.mkdir(parents=True)
        self.work = below
        self.assertEqual(self.report("stats")["documents"], 1)
        self.fails("db", "stats", "--db", "none", says="none: no such index")
        self.fails("db", "stats", env={"HEDDLE_DB": "other"}, says="other: no such index")
        self.heddle("db", "import", "--db", "own.db", stdin=lines(3))
        self.assertEqual(self.report("stats", "--db", "own.db")["documents"], 3)
        self.write(".env", "HEDDLE_DB=own.db\n")
        self.assertEqual(self.report("stats")["documents"], 3)

    def test_settings_of_others_are_not_looked_at(self):
        self.make(1)
        self.write(".env", "HEDDLE_THREADS=many\n")
        self.assertTrue(self.report("check")["ok"])
        self.heddle("db", "check", env={"HEDDLE_DTYPE": "nonsense", "HEDDLE_MEMORY_LIMIT": "1Q"})

    def test_stats(self):
        self.make(10)
        stats = self.report("stats")
        self.assertEqual([stats[k] for k in ("model", "dimensions", "documents", "chunks", "dead_chunks")], ["m", 4, 10, 20, 0])
        self.assertGreater(stats["file_bytes"], 50000)
        self.assertIn("documents", self.heddle("db", "stats")[0].decode())

    def test_export_and_import(self):
        self.make(7)
        self.heddle("db", "export", "--vectors", "out.jsonl")
        exported = (self.work / "out.jsonl").read_bytes()
        self.assertEqual(self.heddle("db", "export", "--vectors")[0], exported)
        self.heddle("db", "import", "--db", "again.db", "out.jsonl")
        self.assertEqual(self.heddle("db", "export", "--vectors", "--db", "again.db")[0], exported)
        blank = b"\n \n" + exported.replace(b"\n", b"\n\n \t\n")
        self.heddle("db", "import", "--db", "blank.db", stdin=blank)
        self.assertEqual(self.heddle("db", "export", "--vectors", "--db", "blank.db")[0], exported)
        documents = [json.loads(line) for line in exported.splitlines()][1:]
        self.assertEqual([d["id"] for d in documents], sorted(f"d{i}" for i in range(7)))
        self.heddle("db", "import", "--db", "again.db", "out.jsonl")  # puts the same again
        self.assertEqual(self.report("stats", "--db", "again.db")["documents"], 7)
        words = self.heddle("db", "export")[0].decode()
        self.assertNotIn('"vector":', words)
        self.heddle("db", "import", "--db", "words.db", stdin=words)
        self.assertEqual(self.report("stats", "--db", "words.db")["dimensions"], 0)

    def test_import_of_what_is_none(self):
        for empty in ("", "\n", " \n\n"):
            self.fails("db", "import", stdin=empty, says="it is empty, no export")
        self.fails("db", "import", stdin='{"id": "a"}\n', says="standard input: line 1: the first line is not that of an exported index")
        self.fails("db", "import", stdin=json.dumps({**HEAD, "version": 9}), says="an export of version 9")
        self.fails("db", "import", "none", says="none")
        broken = "\n" + lines(3) + '{"id": "x", "chunks": [{"text": 5}]}\n'
        self.fails("db", "import", "--db", "x.db", stdin=broken, says='line 6: "text" is not a string')
        self.make(2)
        other = lines(1, {**HEAD, "model": "another", "fingerprint": "other"})
        self.fails("db", "import", stdin=other, says="made with m, not with another")

    def test_backup(self):
        self.make(5)
        self.heddle("db", "backup", "copy.db")
        self.assertEqual(self.report("stats", "--db", "copy.db")["documents"], 5)
        self.assertTrue(self.report("check", "--db", "copy.db")["ok"])
        self.fails("db", "backup", "copy.db", code=2, says="it is there already")
        self.fails("db", "backup", "none/copy.db", says="cannot write")
        self.assertEqual(sorted(p.name for p in self.work.iterdir()), [".heddle.db", "copy.db"])

    def test_vacuum(self):
        path = self.make(200)
        self.heddle("db", "import", stdin=lines(190))  # 190 are replaced: as many are dead
        self.assertEqual(self.report("stats")["dead_chunks"], 380)
        self.assertEqual(self.report("vacuum")["chunks_dropped"], 380)
        self.assertEqual(self.report("stats")["dead_chunks"], 0)
        self.assertTrue(self.report("check")["ok"])
        self.assertEqual(list(self.work.iterdir()), [path])

    def test_check(self):
        path = self.make(5)
        self.assertIn("well", self.heddle("db", "check")[0].decode())
        with sqlite3.connect(path) as db:
            db.execute("INSERT INTO trigram(rowid, text) VALUES (9, 'text 4 7')")
        found = self.report("check", code=1)
        self.assertEqual([f["part"] for f in found["faults"]], ["trigrams"])
        out, err = self.heddle("db", "check", code=1)
        self.assertIn("trigrams: ", out.decode())
        self.assertIn("--repair", err)
        self.assertTrue(self.report("check", "--repair")["ok"])
        data = path.read_bytes()
        path.write_bytes(data.replace(b"text 4 0", b"text 4 O"))
        out, err = self.heddle("db", "check", "--repair", code=1)
        self.assertIn("rows: document d4: 1 of its chunks are not what was written", out.decode())
        path.write_bytes(data)
        with sqlite3.connect(path) as db:
            db.execute("DELETE FROM chunk WHERE id = 3")
        out, err = self.heddle("db", "check", "--repair", code=1)
        self.assertIn("rows: ", out.decode())
        self.assertIn("take the last backup", err)

    def test_files_that_are_none(self):
        (self.work / "text").write_text("no database " * 1000)
        (self.work / "empty").write_text("")
        for action in ("check", "stats", "vacuum", "export"):
            self.fails("db", action, "--db", "text", says=["text: cannot ", "it is no SQLite database"])
            self.fails("db", action, "--db", "empty", says="an empty file, no index")
            self.fails("db", action, "--db", ".", says=".: not a regular file, no index")
        with sqlite3.connect(self.work / "other.db") as db:
            db.execute("CREATE TABLE t(x)")
        self.fails("db", "check", "--db", "other.db", says="no index of Heddle")
        path = self.make(1)
        with sqlite3.connect(path) as db:
            db.execute("PRAGMA user_version = 7")
        self.fails("db", "stats", says=["of version 7", "a newer Heddle reads it"])


if __name__ == "__main__":
    unittest.main()
