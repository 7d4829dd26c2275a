"""heddle index: folders into an index and after them whatever happens to them; nothing committed is lost, whatever happens to
the program."""

import json
import os
import resource
import shutil
import signal
import sqlite3
import subprocess
import time
import unittest

from harness import BUILD, PROGRAM, CommandTest

FAULTS = BUILD / "libinotify_faults.so"
TEXT = "The warp is stretched on the loom before the weft is woven through it, thread by thread. "


class IndexTest(CommandTest):
    def setUp(self):
        super().setUp()
        self.tree = self.work / "tree"
        self.tree.mkdir()

    def put(self, name, content):
        path = self.tree / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def index(self, *args, paths=("tree",), **options):
        """Runs it and returns the summary."""
        stdout, _ = self.heddle("index", "-m", self.tiny(), "--json", *args, *paths, **options)
        return json.loads(stdout)

    def counts(self, *args, **options):
        """What the summary counts, without zeros."""
        names = ("added", "changed", "moved", "removed", "unchanged", "failed")
        summary = self.index(*args, **options)
        self.assertTrue(summary["complete"])
        return {name: summary[name] for name in names if summary[name] > 0}

    def documents(self):
        """id -> (path, number of chunks), as the file has them."""
        db = sqlite3.connect(f"file:{self.work}/.heddle.db?mode=ro", uri=True)
        db.text_factory = bytes
        try:
            return {id.decode(): (path, n) for id, path, n in db.execute("SELECT id, path, n_chunks FROM document")}
        finally:
            db.close()

    def is_sound(self):
        if b"heddle db" in self.heddle("--help")[0]:
            self.heddle("db", "check")
        else:
            db = sqlite3.connect(self.work / ".heddle.db")
            self.assertEqual(db.execute("PRAGMA integrity_check").fetchall(), [("ok",)])
            db.close()

    def start(self, *args, **options):
        return subprocess.Popen([str(PROGRAM), "index", "-m", str(self.tiny()), *args], cwd=self.work, env=self.env(),
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)

    # ---- one run after the other ----

    def test_changes(self):
        self.put("a.md", f"# A\n\n{TEXT}\n")
        self.put("sub/b.txt", TEXT * 2)
        self.put("empty.txt", "")
        self.assertEqual(self.counts(), {"added": 3})
        self.assertEqual(self.counts(), {"unchanged": 3})
        self.assertEqual(sorted(self.documents()), ["tree/a.md", "tree/empty.txt", "tree/sub/b.txt"])
        self.assertEqual(self.documents()["tree/empty.txt"][1], 0)
        self.put("a.md", f"# A\n\n{TEXT} And so on.\n")
        self.put("new.md", f"# New\n\n{TEXT}")
        (self.tree / "sub").rename(self.tree / "moved")
        self.assertEqual(self.counts(), {"added": 1, "changed": 1, "moved": 1, "unchanged": 1})
        self.assertIn("tree/moved/b.txt", self.documents())
        (self.tree / "a.md").unlink()
        shutil.rmtree(self.tree / "moved")
        self.assertEqual(self.counts(), {"removed": 2, "unchanged": 2})
        self.assertEqual(sorted(self.documents()), ["tree/empty.txt", "tree/new.md"])
        os.utime(self.tree / "new.md", (1, 1))
        summary = self.index()
        self.assertEqual((summary["unchanged"], summary["chunks"]), (2, 0))  # other time, same bytes: not embedded
        self.assertEqual(self.counts("--force"), {"changed": 2})
        self.is_sound()

    def test_other_settings_cut_anew(self):
        self.put("a.md", f"# A\n\n{TEXT * 3}\n")
        self.put("b.txt", TEXT * 3)
        self.assertEqual(self.counts(), {"added": 2})
        before = self.documents()
        for settings in (["--chunk-tokens", "16"], ["--chunk-tokens", "16", "--overlap", "4"], ["--chunks", "tokens"],
                         ["--chunks", "anyloom"], []):
            self.assertEqual(self.counts(*settings), {"changed": 2}, settings)
            self.assertEqual(self.counts(*settings), {"unchanged": 2}, settings)
        self.assertEqual(self.documents(), before)

    def test_file_of_version_1(self):
        self.put("a.txt", TEXT)
        self.index()
        db = sqlite3.connect(self.work / ".heddle.db")
        db.executescript("ALTER TABLE document DROP COLUMN cut; ALTER TABLE document DROP COLUMN checksum;"
                         "ALTER TABLE chunk DROP COLUMN checksum; PRAGMA user_version = 1")
        db.close()
        (self.work / "tiny-mrl").symlink_to(self.tiny())
        stdout, _ = self.heddle("index", "--json", "tree")  # by the model that the file names
        self.assertEqual(json.loads(stdout)["unchanged"], 1)  # how it was cut is not known
        self.assertIn(b"weft", self.heddle("search", "warp")[0])
        self.is_sound()

    def test_moved_content_is_not_embedded(self):
        for i in range(5):
            self.put(f"{i}.txt", TEXT + str(i))
        self.index()
        self.tree.rename(self.work / "other")
        summary = self.index(paths=["other"])  # the root is gone, and this one has its files
        self.assertEqual((summary["moved"], summary["chunks"]), (5, 0))
        self.assertEqual(sorted(self.documents()), [f"other/{i}.txt" for i in range(5)])
        elsewhere = self.work / "elsewhere"
        elsewhere.mkdir()
        (self.work / "other").rename(elsewhere / "other")
        (elsewhere / "other/0.txt").unlink()
        summary = self.index(paths=["elsewhere/other"])  # of the same name: its documents are these
        self.assertEqual((summary["moved"], summary["removed"], summary["chunks"]), (4, 1, 0))
        self.assertEqual(len(self.documents()), 4)
        (elsewhere / "other").rename(self.work / "away")  # as a disk that is not there
        self.put("other.txt", TEXT + "other")
        self.assertEqual(self.counts(), {"added": 1})
        self.assertEqual(len(self.documents()), 5)  # what is not there as a whole is kept

    def test_parts_and_roots(self):
        self.put("a/one.txt", TEXT)
        self.put("a/two.txt", TEXT + "2")
        self.put("b/three.txt", TEXT + "3")
        self.assertEqual(self.counts(paths=["tree/a"]), {"added": 2})
        self.assertEqual(sorted(self.documents()), ["a/one.txt", "a/two.txt"])
        self.assertEqual(self.counts(), {"added": 1, "moved": 2})  # the larger root takes the smaller one in
        self.assertEqual(sorted(self.documents()), ["tree/a/one.txt", "tree/a/two.txt", "tree/b/three.txt"])
        (self.tree / "b/three.txt").unlink()
        self.put("a/one.txt", TEXT + "1")
        self.assertEqual(self.counts(paths=["tree/a"]), {"changed": 1, "unchanged": 1})  # b is not looked at
        self.assertEqual(self.counts(paths=["tree/a/two.txt"]), {"unchanged": 1})
        self.assertEqual(self.counts(), {"removed": 1, "unchanged": 2})
        same = self.work / "second/tree"
        same.mkdir(parents=True)
        (same / "one.txt").write_text(TEXT)
        self.assertEqual(self.counts(paths=["second/tree"]), {"added": 1})
        self.assertIn("tree-2/one.txt", self.documents())

    def test_ignore_and_exclude(self):
        for name in ("keep.txt", "drop.log", "out/x.txt", "secret/y.txt", ".hidden.txt"):
            self.put(name, TEXT + name)
        self.put(".gitignore", "*.log\n")
        self.put(".heddleignore", "secret/\n.gitignore\n.heddleignore\n")
        self.index("--exclude", "out")
        self.assertEqual(sorted(self.documents()), ["tree/.hidden.txt", "tree/keep.txt"])
        self.assertEqual(self.counts("--exclude", "out", "--no-ignore"), {"added": 1, "unchanged": 2})
        self.assertEqual(self.counts("--exclude", "out"), {"removed": 1, "unchanged": 2})

    def test_jsonl(self):
        lines = [{"id": "x", "text": TEXT, "title": "X"}, {"text": TEXT + "2"}, {"id": "z", "text": TEXT + "3"}]
        self.put("d.jsonl", "".join(json.dumps(line) + "\n" for line in lines))
        self.assertEqual(self.counts(), {"added": 3})
        self.assertEqual(sorted(self.documents()), ["tree/d.jsonl#1", "x", "z"])
        lines[2]["text"] += " changed"
        lines[0] = {"id": "w", "text": TEXT + "w"}
        self.put("d.jsonl", "".join(json.dumps(line) + "\n" for line in lines))
        self.assertEqual(self.counts(), {"added": 1, "changed": 1, "removed": 1, "unchanged": 1})
        self.assertEqual(sorted(self.documents()), ["tree/d.jsonl#1", "w", "z"])
        self.assertEqual(self.counts(), {"unchanged": 3})
        self.put("d.jsonl", "".join(json.dumps(line) + "\n" for line in lines[:2]) + "{broken\n")
        self.assertEqual(self.counts(), {"removed": 1, "unchanged": 2, "failed": 1})
        self.assertEqual(self.counts(), {"unchanged": 2})
        (self.tree / "d.jsonl").write_text("")
        self.assertEqual(self.counts(), {"added": 1, "removed": 2})  # the file itself: it is known to hold nothing
        (self.tree / "d.jsonl").unlink()
        self.assertEqual(self.counts(), {"removed": 1})

    def test_large_jsonl(self):
        """More than is read at once, with a line that is itself longer than a piece."""
        with open(self.tree / "d.jsonl", "w") as out:
            for i in range(5000):  # of more than one transaction
                out.write(json.dumps({"id": f"d{i}", "text": f"Document {i}. {TEXT}", "pad": "x" * 700}) + "\n")
            out.write(json.dumps({"id": "long", "text": TEXT * 12000}) + "\n")
        summary = self.index("--chunk-tokens", "512")
        self.assertEqual(summary["added"], 5001)
        self.assertEqual(len(self.documents()), 5001)
        self.is_sound()

    def test_stdin(self):
        lines = "".join(json.dumps({"id": f"s{i}", "text": TEXT + str(i)}) + "\n" for i in range(10))
        self.assertEqual(self.index(paths=["-"], stdin=lines)["added"], 10)
        self.assertEqual(sorted(self.documents()), sorted(f"s{i}" for i in range(10)))
        self.assertEqual(self.index(paths=["-"], stdin=f"# Heading\n\n{TEXT}")["added"], 1)
        self.assertEqual(len(self.documents()), 11)
        lines = "".join(json.dumps({"text": TEXT + str(i), "pad": "x" * 100_000}) + "\n" for i in range(40))
        self.assertEqual(self.index(paths=["-"], stdin=lines)["added"], 40)  # of several pieces, without ids
        self.assertEqual(self.index(paths=["-"], stdin=lines)["added"], 0)  # the same ones
        self.assertEqual(len(self.documents()), 51)
        chunks = [self.index(*args, paths=["-"], stdin=TEXT * 3)["chunks"] for args in ([], ["--chunk-tokens", "16"])]
        self.assertGreater(chunks[1], chunks[0])

    BROKEN = (b'{"id": "a", "text": "\xff"}\n' b'{"id": "b", "text": "kept as it was said first"}\n' b'["no object"]\n'
              b'{"id": "c"}\n{"id": "d", "text": {"of": "a"}}\n{"id": "e", "text": "cut off\n\0\0\n' + b'{"id": "' + b"f" * 9000 + b'", "text": "x"}\n'
              b'\n{"id": "g", "text": "kept"}\n{"id": "b", "text": "kept as it was said last"}\n{"id": "h", "text": "kept to the end"}')

    def test_wide_jsonl(self):
        """Lines of UTF-16, more than are read at once, in a script whose letters have the byte of a line's end."""
        word = "\u0a0a\u0a0b" * 350
        lines = "\ufeff" + "".join(json.dumps({"id": f"{n}", "text": f"{n} {word}"}, ensure_ascii=False) + "\n" for n in range(1500))
        for encoding in ("utf-16-le", "utf-16-be"):
            with self.subTest(encoding):
                (self.tree / "wide.jsonl").write_bytes(lines.encode(encoding))
                self.assertNotIn("failed", self.counts("--force", "--db", f"{encoding}.db"))
                out, _ = self.heddle("db", "export", "--db", f"{encoding}.db")
                found = {d["id"]: d["chunks"][0]["text"] for d in map(json.loads, out.decode().splitlines()[1:])}
                self.assertEqual(found, {f"{n}": f"{n} {word}" for n in range(1500)})

    def test_broken_lines(self):
        """Each costs itself alone, whether the first or the last, from a file or a pipe; what is wrong is told at the end."""
        self.put("d.jsonl", self.BROKEN)
        for source in ("tree", "-"):
            with self.subTest(source):
                options = {"stdin": self.BROKEN} if source == "-" else {}
                summary = json.loads(self.heddle("index", "-m", self.tiny(), "--db", f"{source}.db", "--json", source, **options)[0])
                self.assertTrue({f["status"] for f in summary["failures"]} <= {"format", "limit"})
                said = " ".join(f["error"] for f in summary["failures"])
                self.assertIn("line 1: ", said)
                self.assertIn("line 3: no JSON object; line 4: no text", said)
                out, _ = self.heddle("db", "export", "--db", f"{source}.db")
                documents = {d["id"]: d["chunks"][0]["text"] for d in map(json.loads, out.decode().splitlines()[1:])}
                self.assertEqual(documents, {"b": "kept as it was said last", "g": "kept", "h": "kept to the end"})
        self.put("d.jsonl", self.BROKEN + b"\n")  # what came last counts again, although the first of the two is new to the index
        out, _ = self.heddle("index", "-m", self.tiny(), "--db", "tree.db", "tree")
        out, _ = self.heddle("db", "export", "--db", "tree.db")
        self.assertIn(b"said last", out)
        self.assertNotIn(b"said first", out)
        _, said = self.heddle("index", "-m", self.tiny(), "-", stdin=b'{"text": "a"}\n{"text": "b"}\n{broken\n')
        self.assertIn("Could not be read:\n  standard input: 1 line is left out: line 3: ", said)

    def test_a_line_that_does_not_end(self):
        long = b'{"text": "' + b"x" * (65 << 20) + b'"}\n'
        good = b'{"id": "before", "text": "kept"}\n', b'{"id": "after", "text": "kept"}\n'
        for lines in (good[0] + long + good[1], good[0] + good[1] + long[:-1]):
            summary = self.index(paths=["-"], stdin=lines)
            self.assertEqual(sorted(self.documents()), ["after", "before"])
            self.assertIn(f"line {3 if lines.startswith(good[0] + good[1]) else 2}: ", summary["failures"][0]["error"])

    def test_stdin_of_other_kinds(self):
        """JSON of several lines is one document."""
        for text in (json.dumps({"a": [{"b": TEXT}, {"c": 1}]}, indent=1), '{"a":\n[{"b": 1},\n{"c": "warp"}\n]}\n', f"# Notes\n\n{TEXT}\n\n" '{"a": 1}\n'):
            summary = self.index(paths=["-"], stdin=text)
            self.assertEqual((summary["added"], summary["failures"]), (1, []))

    def test_another_source(self):
        """Takes effect on what has not changed, and embeds nothing again."""
        self.put("a.md", f"# A\n\n## B\n\n{TEXT}\n")
        self.put("d.jsonl", '{"id": "x", "text": "one"}\n{"text": "two", "source": "own"}\n')

        def sources():
            db = sqlite3.connect(self.work / ".heddle.db")
            rows = dict(db.execute("SELECT id, source FROM document"))
            db.close()
            return rows
        self.assertEqual(self.counts(), {"added": 3})
        self.assertEqual(sources(), {"tree/a.md": "tree", "x": "tree", "tree/d.jsonl#1": "own"})
        summary = self.index("--source", "mail")
        self.assertEqual((summary["changed"], summary["unchanged"], summary["chunks"]), (3, 0, 0))
        self.assertEqual(set(sources().values()), {"mail"})
        self.assertEqual(self.counts("--source", "mail"), {"unchanged": 3})
        self.assertEqual(self.counts(), {"unchanged": 3})
        self.assertEqual(set(sources().values()), {"mail"})
        hits, _ = self.heddle("search", "-m", self.tiny(), "--json", "--filter", "source = mail", "warp")
        self.assertEqual({json.loads(line)["source"] for line in hits.decode().splitlines()}, {"mail"})
        self.is_sound()
        self.index("--chunks", "anyloom")
        self.assertEqual(self.index("--chunks", "anyloom", "--source", "post", paths=["tree/a.md"])["chunks"], 1)  # ids have it in them

    def test_a_moved_line(self):
        """of a file that is longer now stays."""
        line = json.dumps({"text": TEXT}) + "\n"
        self.put("a.jsonl", line)
        self.assertEqual(self.counts(), {"added": 1})
        (self.tree / "a.jsonl").unlink()
        self.put("b.jsonl", line + '{"text": "more"}\n')
        self.assertEqual(self.counts(), {"added": 1, "moved": 1})
        self.assertEqual(sorted(self.documents()), ["tree/b.jsonl#0", "tree/b.jsonl#1"])

    def test_anyloom(self):
        self.put("guide.md", f"# Guide\n\n## One\n\n{TEXT}\n\n## Two\n\n{TEXT}\n")
        self.index("--chunks", "anyloom")
        db = sqlite3.connect(self.work / ".heddle.db")
        rows = db.execute("SELECT key, section, text FROM chunk ORDER BY id").fetchall()
        db.close()
        import uuid
        self.assertEqual([row[:2] for row in rows],
                         [(str(uuid.uuid5(uuid.NAMESPACE_DNS, f"tree/guide.md::{s}::{i}")), s) for i, s in ((1, "One"), (2, "Two"))])
        self.assertTrue(rows[0][2].startswith("# Guide\n\n## One"))

    # ---- what cannot be read ----

    def test_failures(self):
        self.put("good.txt", TEXT)
        self.put("binary.txt", bytes(range(256)) * 64)
        self.put("picture.png", b"\x89PNG\r\n\x1a\n" + bytes(100))
        self.put("broken.docx", b"PK\x03\x04" + bytes(200))
        self.put("broken.jsonl", '{"text": "fine"}\n{"text": \n')
        os.mkfifo(self.tree / "pipe")
        (self.tree / "unreadable").symlink_to("/proc/self/mem")  # to root too
        (self.tree / "loop").symlink_to(".")
        (self.tree / "dangling").symlink_to("nowhere")
        summary = self.index()
        failed = {os.path.basename(f["path"]): f["status"] for f in summary["failures"]}
        self.assertEqual(set(failed), {"binary.txt", "picture.png", "broken.docx", "broken.jsonl", "unreadable", "loop", "dangling"})
        self.assertEqual(failed["picture.png"], "unsupported")
        self.assertEqual((summary["added"], summary["failed"]), (2, 7))  # good.txt and a line
        _, stderr = self.heddle("index", "-m", self.tiny(), "tree")
        self.assertIn("Could not be read:", stderr)
        self.assertIn("dangling: cannot follow the link", stderr)
        self.assertIn("loop: a link to a folder that it is in", stderr)

    def test_names_of_any_bytes(self):
        names = [b"caf\xe9.txt", b"new\nline.txt", b"tab\t%41.txt", b"\xff\xfe", "日本.txt".encode(), b"quote\"'.txt"]
        for i, name in enumerate(names):
            with open(os.path.join(os.fsencode(self.tree), name), "wb") as out:
                out.write(f"{TEXT}{i}".encode())
        self.assertEqual(self.counts(), {"added": len(names)})
        self.assertEqual(self.counts(), {"unchanged": len(names)})
        paths = {os.path.basename(path) for path, _ in self.documents().values()}
        self.assertEqual(paths, set(names))
        self.assertIn("tree/caf\\xE9.txt", self.documents())
        root = os.path.join(os.fsencode(self.work), b"r\xf6\n%ot")
        os.mkdir(root)
        with open(os.path.join(root, b"x.txt"), "wb") as out:
            out.write(TEXT.encode())
        self.assertEqual(self.counts(paths=[root]), {"added": 1})
        self.assertEqual(self.counts(paths=[root]), {"unchanged": 1})

    def test_nothing_is_lost(self):
        self.put("a.txt", TEXT)
        self.put("closed/b.txt", TEXT + "b")
        self.index()
        self.tree.rename(self.work / "away")
        self.fails("index", "-m", self.tiny(), "tree", says="tree: no such file or folder")
        self.assertEqual(len(self.documents()), 2)
        (self.work / "away").rename(self.tree)
        if os.geteuid() != 0:
            (self.tree / "closed").chmod(0)
            self.addCleanup((self.tree / "closed").chmod, 0o777)
            self.assertEqual(self.counts(), {"unchanged": 1, "failed": 1})
            self.assertEqual(len(self.documents()), 2)

    def test_usage(self):
        self.fails("index", code=2, says="give folders or files")
        self.fails("index", "-", "tree", code=2, says="-, is given alone")
        self.fails("index", "--watch", "-", code=2, says="--watch")
        self.fails("index", "--heads", "fast", "tree", code=2, says="'fast' is not one of")
        self.fails("index", "--chunks", "words", "tree", code=2, says="'words' is not one of")
        self.fails("index", "--language", "klingon", "tree", code=2, says=["no stemmer for language 'klingon'", "english"])
        self.fails("index", "-m", self.tiny(), "nowhere", says="nowhere: no such file")
        self.fails("index", "-m", self.tiny(), "--db", "no/folder/x.db", "tree", says=["no/folder/x.db: cannot open", "No such file or directory"])
        empty = self.work / "empty"
        empty.mkdir()
        self.assertEqual(self.counts(paths=["empty"]), {})

    def test_another_language(self):
        run = lambda *args: self.heddle("index", "-m", self.tiny(), *args, self.write("a.txt", "words"))[1]
        self.assertEqual(run("--language", "german"), "")
        self.assertEqual(run(), "")
        self.assertEqual(run("--language", "german"), "")
        self.assertRegex(run("--language", "english"), r"\Aheddle: --language: the words of .*\.heddle\.db are 'german' since it was made\n\Z")
        self.fails("index", "-m", self.tiny(), "--language", "klingon", "a.txt", code=2, says="no stemmer for language 'klingon'")

    def test_another_model(self):
        self.put("a.txt", TEXT)
        self.index()
        stderr = self.fails("index", "-m", self.tiny("tiny-cls"), "tree", says="tiny-mrl")
        self.assertIn("tiny-cls", stderr)
        _, stderr = self.heddle("index", "-m", self.tiny(), "--heads", "sparse,colbert", "tree")
        self.assertIn("keeps no sparse weights", stderr)
        self.assertIn("keeps no token vectors", stderr)
        self.put("b.txt", TEXT + "b")
        for dtype in ("f32", "int8"):
            self.heddle("index", "-m", self.tiny(), "--dtype", dtype, "tree")
        self.heddle("index", "tree")  # the index knows its model
        self.assertEqual(len(self.documents()), 2)

    # ---- ends of all kinds ----

    def many(self, n):
        for i in range(n):
            self.put(f"{i % 50}/{i}.txt", f"Text number {i}. {TEXT}")

    def wait_for_documents(self, process):
        for _ in range(600):
            time.sleep(0.05)
            self.assertIsNone(process.poll(), "it ended before anything was committed")
            try:
                if len(self.documents()) > 0:
                    return
            except sqlite3.OperationalError:
                pass
        self.fail("nothing was committed")

    def test_kill_and_go_on(self):
        n = 9000
        self.many(n)
        process = self.start("tree")
        self.wait_for_documents(process)
        process.kill()
        process.communicate()
        self.is_sound()
        kept = len(self.documents())
        self.assertTrue(0 < kept < n)
        summary = self.index()
        self.assertEqual((summary["unchanged"], summary["added"]), (kept, n - kept))
        self.assertEqual(len(self.documents()), n)
        self.is_sound()

    def test_interrupt(self):
        n = 9000
        self.many(n)
        process = self.start("--json", "tree")
        self.wait_for_documents(process)
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=30)
        self.assertEqual(process.returncode, 128 + signal.SIGINT, stderr)
        summary = json.loads(stdout)
        self.assertFalse(summary["complete"])
        self.assertEqual(len(self.documents()), summary["added"])
        self.assertEqual(self.index()["added"], n - summary["added"])

    def test_disk_full(self):
        self.many(300)

        def no_room():
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))

        self.tiny()
        self.heddle("embed", "-m", self.tiny(), "warm")  # the model's own file in the cache
        process = self.start("tree", preexec_fn=no_room)
        _, stderr = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 1, stderr)
        self.assertRegex(stderr, r"\Aheddle: .*\.heddle\.db: .*(full|I/O error)")
        self.assertEqual(self.index()["added"], 300)
        self.is_sound()

    # ---- watching ----

    def test_watch(self):
        self.put("a.txt", TEXT)
        process = self.start("--watch", "tree")
        self.addCleanup(process.kill)
        lines = iter(process.stdout.readline, "")
        self.assertIn("1 added", next(lines))
        self.assertIn("watching", next(lines))

        def change(what, says):
            what()
            self.assertIn(says, next(lines))

        change(lambda: self.put("b.txt", TEXT + "b"), "1 added")
        change(lambda: self.put("new/deep/c.txt", TEXT + "c"), "1 added")
        change(lambda: self.put("new/deep/d.txt", TEXT + "d"), "1 added")  # the new folder is watched too

        def edit():  # as editors do
            self.put(".b.txt.swp", TEXT + "b, edited")
            (self.tree / "b.txt").rename(self.tree / "b.txt~")
            (self.tree / ".b.txt.swp").rename(self.tree / "b.txt")
            (self.tree / "b.txt~").unlink()

        change(edit, "1 changed")
        change(lambda: (self.tree / "new").rename(self.tree / "renamed"), "2 moved")
        change(lambda: self.put("renamed/deep/e.txt", TEXT + "e"), "1 added")
        change(lambda: shutil.rmtree(self.tree / "renamed"), "3 removed")
        change(lambda: self.put(".gitignore", "a.txt\n.gitignore\n"), "1 removed")
        self.put("a.txt", TEXT + "still left out")
        change(lambda: self.put("last.txt", TEXT + "last"), "1 added")
        process.send_signal(signal.SIGTERM)
        stdout, stderr = process.communicate(timeout=30)
        self.assertEqual((process.returncode, stdout), (128 + signal.SIGTERM, ""), stderr)
        self.assertEqual(sorted(self.documents()), ["tree/b.txt", "tree/last.txt"])

    def watch(self, *paths, **env):
        """Starts it; returns the process and what gives its next line, when the first two have come."""
        if env:
            env["LD_PRELOAD"] = str(FAULTS)
        process = subprocess.Popen([str(PROGRAM), "index", "-m", str(self.tiny()), "--watch", *paths], cwd=self.work,
                                   env=self.env(**env), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.addCleanup(process.communicate)
        self.addCleanup(process.kill)
        lines = iter(process.stdout.readline, "")
        next(lines)
        self.assertIn("watching", next(lines))
        return process, lambda: next(lines)

    def test_watch_folders_that_come_and_go(self):
        """A given folder that is made anew, moved away and back, or below one that is, is found again."""
        self.put("a.txt", TEXT)
        inner = self.work / "outer" / "inner"
        inner.mkdir(parents=True)
        (inner / "i.txt").write_text(TEXT + "i")
        (self.work / "link").symlink_to("tree")
        process, line = self.watch("link", "outer/inner")

        shutil.rmtree(self.tree)
        self.assertIn("link: no such file or folder", process.stderr.readline())
        self.assertIn("tree/a.txt", self.documents())  # may be a disk that is not there
        self.put("b.txt", TEXT + "b")
        self.assertIn("1 added, 1 removed", line())
        self.put("c.txt", TEXT + "c")
        self.assertIn("1 added", line())

        shutil.rmtree(self.tree)
        self.put("d.txt", TEXT + "d")  # at once, the folder may have the number that the old one had
        self.assertIn("1 added, 2 removed", line())

        (self.work / "outer").rename(self.work / "away")
        self.assertIn("outer/inner: no such file or folder", process.stderr.readline())
        self.put("e.txt", TEXT + "e")  # the other goes on
        self.assertIn("1 added", line())
        (self.work / "away" / "inner" / "j.txt").write_text(TEXT + "j")
        (self.work / "away").rename(self.work / "outer")
        self.assertIn("1 added", line())
        (inner / "k.txt").write_text(TEXT + "k")
        self.assertIn("1 added", line())

        other = self.work / "other"
        other.mkdir()
        (other / "f.txt").write_text(TEXT + "f")
        (self.work / "link").unlink()
        (self.work / "link").symlink_to("other")
        self.assertIn("1 added", line())
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
        self.assertEqual({name for name in self.documents() if "inner" in name}, {"inner/i.txt", "inner/j.txt", "inner/k.txt"})

    @unittest.skipUnless(FAULTS.exists(), "built without what makes inotify fail")
    def test_watch_limit(self):
        self.put("a.txt", TEXT)
        self.put("b/b.txt", TEXT + "b")
        with open("/proc/sys/fs/inotify/max_user_watches") as file:
            most = file.read().strip()
        says = [f"the system allows {most} in all: raise fs.inotify.max_user_watches"]
        faults = {"LD_PRELOAD": str(FAULTS), "TEST_MAX_WATCHES": "1"}
        self.fails("index", "-m", self.tiny(), "--watch", "tree", says=["tree/b: ", *says], env=faults)
        shutil.rmtree(self.tree / "b")
        process, _ = self.watch("tree", TEST_MAX_WATCHES="1")
        (self.tree / "new").mkdir()
        _, stderr = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 1)
        self.assertIn("tree/new: ", stderr)
        self.assertIn(says[0], stderr)

    @unittest.skipUnless(FAULTS.exists(), "built without what makes inotify fail")
    def test_watch_overflow(self):
        self.put("a.txt", TEXT)
        waiting = self.work / "waiting"
        waiting.write_text(TEXT + "lost")
        lost = self.work / "lost"
        other = self.work / "other"
        other.mkdir()
        (other / "o.txt").write_text(TEXT + "o")
        process, line = self.watch("other", "tree", TEST_OVERFLOW=str(lost))
        lost.touch()
        waiting.rename(self.tree / "b.txt")  # one event, which is lost
        self.assertIn("1 added", line())
        self.assertFalse(lost.exists())
        self.put("new/c.txt", TEXT + "c")  # all is watched anew
        self.assertIn("1 added", line())
        other.rename(self.work / "away")
        lost.touch()
        self.put("d.txt", TEXT + "d")  # all is looked at, but for what is not there
        self.assertIn("1 added", line())
        self.put("e.txt", TEXT + "e")
        self.assertIn("1 added", line())
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=60)
        self.assertIn("other: no such file or folder", stderr)
        self.assertIn("other/o.txt", self.documents())

    def test_watch_waits_for_others(self):
        self.put("a.txt", TEXT)
        process, line = self.watch("tree")
        db = sqlite3.connect(self.work / ".heddle.db", isolation_level=None)
        db.execute("BEGIN IMMEDIATE")
        self.put("b.txt", TEXT + "b")
        self.assertIn("another process is writing", process.stderr.readline())
        db.execute("COMMIT")
        db.close()
        self.assertIn("1 added", line())  # without another change
        self.assertIn("tree/b.txt", self.documents())

    # ---- patterns ----

    def test_patterns(self):
        for name in ("a.md", "b.txt", "sub/c.md", "sub/deep/d.md", "sub/deep/e.txt", "other/f.md", "[x].md", "out.md"):
            self.put(name, f"# {name}\n\n{TEXT}\n")
        self.put(".gitignore", "out.md\n")
        everything = ["[x].md", "a.md", "other/f.md", "sub/c.md", "sub/deep/d.md"]

        def named(*names):
            return [f"tree/{name}" for name in names]

        self.assertEqual(self.counts(paths=["tree/**/*.md"]), {"added": 5})
        self.assertEqual(sorted(self.documents()), named(*everything))
        self.assertEqual(self.counts(paths=["tree/*.md"]), {"unchanged": 2})
        self.assertEqual(self.counts(paths=["tree/*.md", "tree/**/*.md", "tree/a.md"]), {"unchanged": 5})
        self.assertEqual(self.index(paths=["tree/*.md", "tree/**/*.md", "tree/a.md"])["files"], 5)
        self.assertEqual(self.counts("--force", paths=["tree/*.md", "tree/**/*.md", "tree/a.md"]), {"changed": 5})
        self.assertEqual(self.counts(paths=["tree/s*/d??p"]), {"added": 1, "unchanged": 1})  # a folder with all in it
        self.assertEqual(self.counts(paths=["tree/[x].md"]), {"unchanged": 1})  # a file that is there is no pattern
        self.assertEqual(self.counts(paths=["tree/[a-c].*"]), {"added": 1, "unchanged": 1})
        (self.tree / "sub/c.md").unlink()
        (self.tree / "a.md").unlink()
        self.put("sub/new.md", TEXT)
        self.assertEqual(self.counts(paths=["tree/s*/*.md"]), {"added": 1, "removed": 1})  # a.md is not looked at
        self.assertIn("tree/a.md", self.documents())
        self.assertEqual(self.counts(paths=["tree/a*"]), {"removed": 1})  # it was there
        for pattern in ("tree/*.rst", "tree/a*", "none/*.md", "tree/b.txt/*", "tree/out.m?", "*/none/*"):
            self.fails("index", "-m", self.tiny(), pattern, says=f"{pattern}: ")
        self.assertEqual(self.counts(), {"added": 1, "unchanged": 6})

    def test_pattern_above_a_root(self):
        self.put("sub/a.md", TEXT)
        self.assertEqual(self.counts(paths=["tree/sub"]), {"added": 1})
        self.put("b.md", TEXT + "b")
        self.assertEqual(self.counts(paths=["tree/*.md"]), {"added": 1})
        self.assertEqual(self.counts(paths=["tree/sub"]), {"unchanged": 1})  # it is still that root's
        self.assertEqual(self.counts(), {"moved": 1, "unchanged": 1})
        self.assertEqual(sorted(self.documents()), ["tree/b.md", "tree/sub/a.md"])

    def test_watch_pattern(self):
        self.put("a.md", TEXT)
        self.put("a.txt", TEXT + "left out")
        _, line = self.watch("tree/**/*.md")
        self.put("b.txt", TEXT + "left out too")
        self.put("b.md", TEXT + "b")
        self.assertIn("1 added", line())
        self.put("new/c.txt", TEXT + "c, left out")
        self.put("new/c.md", TEXT + "c")
        self.assertIn("1 added", line())
        for name in ("a.md", "b.md"):
            (self.tree / name).unlink()
        self.assertIn("removed", line())
        self.assertIn("tree/new/c.md", self.documents())
        self.assertFalse(any(id.endswith(".txt") for id in self.documents()))


if __name__ == "__main__":
    unittest.main()
