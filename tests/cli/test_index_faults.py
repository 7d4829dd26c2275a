"""`heddle index` and `heddle search` when something is wrong: files, the file system, other programs, a kill at any moment.

HEDDLE_KILLS and HEDDLE_FLIPS say how many times (20 and 60; less with sanitizers, which are slow).
"""

import json
import os
import random
import resource
import shutil
import signal
import sqlite3
import subprocess
import time
import unittest

import faulty_tree
from harness import PROGRAM, CommandTest

SLOW = bool(os.environ.get("HEDDLE_SANITIZED"))
KILLS = int(os.environ.get("HEDDLE_KILLS", 5 if SLOW else 20))
FLIPS = int(os.environ.get("HEDDLE_FLIPS", 15 if SLOW else 60))
NOBODY = 65534
PLACES = ("harbour", "meadow", "cellar", "orchard", "bridge", "market", "quarry", "chapel", "forge", "mill")
DEEDS = ("mended a net", "sold three geese", "counted the barrels", "painted a door", "heard the bell", "lost a key", "found a coin")


class IndexTest(CommandTest):
    def setUp(self):
        super().setUp()
        self.db = self.folder / "test.db"
        self.random = random.Random(6)

    def index(self, *args, db=None, **options):
        return self.heddle("index", "--db", db or self.db, "-m", self.tiny(), *args, **options)

    def start(self, *args, **options):
        return subprocess.Popen([str(PROGRAM), "index", "--db", str(self.db), "-m", str(self.tiny()), *map(str, args)], cwd=self.work,
                                env=self.env(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)

    def search(self, query, *args, db=None):
        out, _ = self.heddle("search", "--db", db or self.db, "-m", self.tiny(), "--json", *args, "--", query)
        return [json.loads(line) for line in out.decode().splitlines()]

    def write_documents(self, n, name="notes"):
        folder = self.work / name
        folder.mkdir(exist_ok=True)
        for i in range(n):
            self.write_document(folder, i)
        return folder

    def write_document(self, folder, i):
        lines = [f"On day {self.random.randrange(1000)} somebody at the {self.random.choice(PLACES)} {self.random.choice(DEEDS)}."
                 for _ in range(self.random.randrange(1, 30))]
        (folder / f"note-{i}.md").write_text(f"# Note {i}\n\n" + "\n".join(lines) + "\n")

    def answers(self, db=None):
        """What legs find. Of equal scores the older chunk comes first, so the last score's hits may be others in another index."""
        found = []
        for mode in ("bm25", "dense"):
            for place in PLACES[:4]:
                hits = self.search(f"what happened at the {place}", "--mode", mode, "--limit", "20", db=db)
                last = min((hit["score"] for hit in hits), default=0)
                found.append(sorted((-round(hit["score"], 4), hit["path"], hit["section"], hit["text"]) for hit in hits
                                    if hit["score"] > last + 1e-4))
        return found

    def check(self, db=None):
        self.heddle("db", "check", "--db", db or self.db)

    def is_index(self):
        """False when what there is was stopped before it became an index."""
        if not self.db.exists():
            return False
        done = subprocess.run([PROGRAM, "db", "check", "--db", self.db], capture_output=True, text=True, env=self.env())
        if "an empty file, no index" in done.stderr:
            return False
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return True

    def assert_as_one_go(self, *folders):
        """The index is checked, and finds what a new one over the same folders finds."""
        self.check()
        fresh = self.folder / "fresh.db"
        self.index(*folders, db=fresh)
        self.assertEqual(self.answers(), self.answers(db=fresh))


class FaultyFilesTest(IndexTest):
    def run_as_nobody(self, *args):
        """As a user who may not read everything; so of a copy of the program and the model."""
        user = {"user": NOBODY, "group": NOBODY} if os.geteuid() == 0 else {}
        return subprocess.run([self.folder / "heddle", *map(str, args)], cwd=self.work, env=self.env(), capture_output=True, timeout=240, **user)

    def test_a_tree_with_everything_wrong_in_it(self):
        tree = faulty_tree.FaultyTree(self.work / "tree")
        shutil.copy(PROGRAM, self.folder)
        model = self.copy_tiny()
        self.addCleanup(subprocess.run, ["chmod", "-R", "u+rwX", str(tree.root)], stderr=subprocess.DEVNULL)
        if os.geteuid() == 0:
            subprocess.run(["chown", "-Rh", f"{NOBODY}:{NOBODY}", str(self.folder)], check=True)
        for turn in ("first", "again"):
            with self.subTest(turn):
                done = self.run_as_nobody("index", "--db", self.db, "-m", model, "tree")
                said = done.stderr.decode("utf-8", "replace")
                self.assertEqual(done.returncode, 0, said)
                for name in tree.bad:
                    self.assertEqual(said.count(f"tree/{name}"), 1, f"{name}\n{said}")
                self.assertIn("the path is longer than", said)
                for name in tree.good.values():
                    self.assertNotIn(os.fsdecode(name), said)
        for word, name in tree.good.items():
            with self.subTest(word):
                done = self.run_as_nobody("search", "--db", self.db, "-m", model, "--mode", "bm25", "--json", word)
                self.assertEqual(done.returncode, 0, done.stderr)
                hits = [json.loads(line) for line in done.stdout.decode().splitlines()]  # UTF-8, whatever the name
                self.assertEqual([word in hit["text"] for hit in hits], [True], name)
        self.check()

    def test_nothing_to_read(self):
        (self.work / "empty").mkdir()
        self.index("empty")
        self.assertEqual(self.search("anything"), [])
        self.fails("index", "--db", self.db, "-m", self.tiny(), "not-there", says="not-there")

    def test_names_like_options(self):
        self.write("-v", "The herb arnica grows here.\n")
        self.index("--", "-v")
        self.assertEqual(len(self.search("arnica", "--mode", "bm25")), 1)


class KilledTest(IndexTest):
    def kill_after(self, process, seconds):
        """Unless it has ended by then."""
        try:
            process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()

    def test_killed_again_and_again(self):
        folder = self.write_documents(120)
        begin = time.monotonic()
        self.index(folder, db=self.folder / "timed.db")
        whole = time.monotonic() - begin
        n_before = n_killed = 0
        for _ in range(KILLS):
            process = self.start(folder)
            self.kill_after(process, self.random.random() * whole)
            killed = process.returncode == -signal.SIGKILL
            n_killed += killed
            whole *= 1.1 if killed else 0.7  # runs have less to do than the first one, on a machine that may be faster now
            if not self.is_index():
                self.assertEqual(n_before, 0)
                continue
            n = len(self.search("day", "--mode", "bm25", "--limit", "1000"))
            self.assertGreaterEqual(n, 1 if n_before else 0)
            n_before = n
            for i in self.random.sample(range(140), 12):  # some change, some are new, some go
                if self.random.random() < 0.2:
                    (folder / f"note-{i}.md").unlink(missing_ok=True)
                else:
                    self.write_document(folder, i)
        self.assertGreater(n_killed, KILLS // 5)
        self.index(folder)
        self.assert_as_one_go(folder)

    def test_what_was_acknowledged_stays(self):
        """Documents of a run that ended are there after later ones were killed."""
        first, second = self.write_documents(20, "first"), self.write_documents(80, "second")
        self.index(first)
        (first / "marked.md").write_text("The herb arnica grows here.\n")
        self.index(first)
        for _ in range(max(3, KILLS // 4)):
            process = self.start(second, "--force")
            self.kill_after(process, self.random.random())
            self.assertEqual(len(self.search("arnica", "--mode", "bm25")), 1)
        self.check()

    def test_interrupted(self):
        folder = self.write_documents(400)
        process = self.start(folder)
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
        self.assertIn(process.returncode, (0, 130))
        self.index(folder)
        self.assert_as_one_go(folder)


class FullDiskTest(IndexTest):
    def limited(self, folder, n_bytes):
        def limit():
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, n_bytes))
        process = self.start(folder, preexec_fn=limit, restore_signals=False)
        _, stderr = process.communicate(timeout=120)
        return process.returncode, stderr.decode()

    def test_files_may_not_grow(self):
        folder = self.write_documents(150)
        self.index(folder, db=self.folder / "whole.db")
        size = (self.folder / "whole.db").stat().st_size
        for share in (0, 0.05, 0.3, 0.6):
            with self.subTest(share):
                code, said = self.limited(folder, int(share * size))
                self.assertEqual(code, 1, said)
                self.assertIn("heddle: ", said)
                self.assertLess(said.count("\n"), 4, said)
                self.is_index()
        self.index(folder)
        self.assert_as_one_go(folder)

    def test_a_small_disk(self):
        disk = self.folder / "disk"
        disk.mkdir()
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400k", "none", disk], capture_output=True).returncode != 0:
            self.skipTest("no file system can be mounted here")
        self.addCleanup(subprocess.run, ["umount", str(disk)])
        folder = self.write_documents(300)
        self.db = disk / "test.db"
        _, said = self.index(folder, code=1)
        self.assertRegex(said, "(?i)disk|space|full")
        self.check()
        subprocess.run(["mount", "-o", "remount,size=64m", str(disk)], check=True)
        self.index(folder)
        self.assert_as_one_go(folder)


class TwoWritersTest(IndexTest):
    def test_two_at_once(self):
        folders = [self.write_documents(60, name) for name in ("left", "right")]
        both = [self.start(folder) for folder in folders]
        for process in both:
            _, stderr = process.communicate(timeout=120)
            self.assertEqual(process.returncode, 0, stderr)
        self.assert_as_one_go(*folders)

    def test_searches_meanwhile(self):
        folder = self.write_documents(40)
        self.index(folder)
        before = self.answers()
        process = self.start(self.write_documents(300, "more"))
        while process.poll() is None:
            self.assertTrue(self.search("what happened at the mill"))
        process.communicate()
        self.assertEqual(process.returncode, 0)
        self.assertNotEqual(self.answers(), before)


class DamagedFileTest(IndexTest):
    def tried(self, *args):
        """No crash, no waiting, and words about it when it fails."""
        done = subprocess.run([PROGRAM, *map(str, args)], cwd=self.work, env=self.env(), capture_output=True, timeout=120)
        said = done.stderr.decode("utf-8", "replace")
        self.assertIn(done.returncode, (0, 1), f"{args}: {said}")
        if done.returncode == 1:
            self.assertIn("heddle: ", said)
        return done.returncode, said

    def test_bytes_flipped(self):
        self.index(self.write_documents(80))
        whole = self.db.read_bytes()
        n_noticed = {1: 0, 512: 0, 4096: 0}  # by how many bytes are turned
        for size in FLIPS // 3 * list(n_noticed):
            data = bytearray(whole)
            at = self.random.randrange(len(data))
            for i in range(at, min(len(data), at + size)):
                data[i] ^= self.random.randrange(1, 256)
            self.db.write_bytes(data)
            with self.subTest(at=at):
                code, _ = self.tried("db", "check", "--db", self.db)
                n_noticed[size] += code == 1
                for mode in ("bm25", "dense", "hybrid"):
                    self.tried("search", "--db", self.db, "-m", self.tiny(), "--mode", mode, "--json", "what happened at the mill")
            for path in self.folder.glob("test.db-*"):
                path.unlink()
        # What is not noticed is in pages' free space, or how much of a word a chunk has: half a page is seldom that alone.
        self.assertGreater(n_noticed[4096], FLIPS // 9, n_noticed)

    def test_cut(self):
        self.index(self.write_documents(80))
        whole = self.db.read_bytes()
        for length in (0, 1, 99, 100, 4096, len(whole) // 2, len(whole) - 8192):
            with self.subTest(length=length):
                self.db.write_bytes(whole[:length])
                if length > 0:
                    self.assertEqual(self.tried("db", "check", "--db", self.db)[0], 1)
                self.tried("search", "--db", self.db, "-m", self.tiny(), "mill")

    def test_no_index_at_all(self):
        self.fails("search", "--db", self.db, "-m", self.tiny(), "mill", says="test.db")
        self.db.write_text("This is no database, and long enough to look like one." * 100)
        for command in (("search", "--db", self.db, "-m", self.tiny(), "mill"), ("db", "check", "--db", self.db),
                        ("index", "--db", self.db, "-m", self.tiny(), ".")):
            self.fails(*command, says="test.db")
        self.assertTrue(self.db.read_text().startswith("This is no database"))
        other = self.folder / "other.db"
        sqlite3.connect(other).executescript("CREATE TABLE precious (x); INSERT INTO precious VALUES (1);")
        self.fails("index", "--db", other, "-m", self.tiny(), ".", says="other.db")
        self.assertEqual(sqlite3.connect(other).execute("SELECT x FROM precious").fetchall(), [(1,)])

    def test_another_model(self):
        self.index(self.write_documents(3))
        other = self.tiny("tiny-cls")
        self.fails("search", "--db", self.db, "-m", other, "mill", says=["tiny-mrl", "tiny-cls"])
        self.fails("index", "--db", self.db, "-m", other, "notes", says=["tiny-mrl", "tiny-cls"])

    def test_a_newer_version(self):
        self.index(self.write_documents(3))
        db = sqlite3.connect(self.db)
        version, = db.execute("PRAGMA user_version").fetchone()
        self.assertGreater(version, 0)
        db.execute(f"PRAGMA user_version = {version + 1}")
        db.close()
        for command in (("search", "mill"), ("index", "notes")):
            self.fails(command[0], "--db", self.db, "-m", self.tiny(), command[1], says="version")


class HostileQueriesTest(IndexTest):
    QUERIES = ('"', '""', "'", "a OR", "AND", "NOT", "NEAR(", "NEAR(a b, 2)", "*", "a*", "^a", "text:a", "-a", "(", ")", "{a b}: c",
               "'; DROP TABLE documents; --", '" OR 1=1 --', "%", "\\", "a" * 100_000, "a " * 20_000, "\u202e\u0000x".replace("\0", ""),
               "🧵" * 300, "\x01\x02", "   ")
    FILTERS = ("source =", "= 'x'", "source = 'x", "source = 'x' OR", "(" * 200 + "source = 'x'" + ")" * 200, "1; DROP TABLE chunks",
               "source = 'x'; DELETE FROM documents", "no_such ~ ", "created_at > 'tomorrow'", "a" * 100_000, "source IN ()",
               "source IN (" + ", ".join(["'x'"] * 20_000) + ")", "\x00".replace("\0", "\x01"), "metadata. = 1", "source LIKE 'x'",
               "source = 'x'' OR ''1'' = ''1'")

    def test_queries(self):
        self.index(self.write_documents(5))
        before = self.answers()
        for query in self.QUERIES:
            with self.subTest(query[:40]):
                for mode in ("bm25", "hybrid"):
                    done = subprocess.run([PROGRAM, "search", "--db", self.db, "-m", self.tiny(), "--mode", mode, "--json", "--", query],
                                          cwd=self.work, env=self.env(), capture_output=True, timeout=60)
                    self.assertIn(done.returncode, (0, 1, 2), done.stderr)
                    self.assertLessEqual(done.stderr.count(b"\n"), 1, done.stderr)
                    for line in done.stdout.decode().splitlines():
                        json.loads(line)
        self.assertEqual(self.answers(), before)

    def test_filters(self):
        self.index(self.write_documents(5))
        before = self.answers()
        for filter in self.FILTERS:
            with self.subTest(filter[:40]):
                done = subprocess.run([PROGRAM, "search", "--db", self.db, "-m", self.tiny(), "--json", "--filter", filter, "mill"],
                                      cwd=self.work, env=self.env(), capture_output=True, timeout=60)
                self.assertIn(done.returncode, (1, 2), f"{filter[:80]}: {done.stdout[:200]}")
                self.assertEqual(done.stderr.count(b"\n"), 1, done.stderr)
        for quoted in ("source = \"'; DROP TABLE documents; --\"", "title ~ '*%_*'"):
            self.heddle("search", "--db", self.db, "-m", self.tiny(), "--json", "--filter", quoted, "mill")
        self.assertEqual(self.answers(), before)


if __name__ == "__main__":
    unittest.main()
