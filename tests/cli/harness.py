"""What the tests of the command line share: the program, models, a clean environment and folder for each test.

Run through ctest, or by hand:  HEDDLE_BUILD=build python3 -m unittest discover -s tests/cli
With HEDDLE_REFRESH=1 the files in expected/ are rewritten instead of compared.
"""

import fcntl
import os
import pty
import shutil
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
BUILD = Path(os.environ.get("HEDDLE_BUILD", ROOT / "build")).resolve()
PROGRAM = BUILD / "heddle"
EXPECTED = Path(__file__).resolve().parent / "expected"
MINILM = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "heddle/models/sentence-transformers/all-MiniLM-L6-v2"
SETTINGS = ("HEDDLE_", "RAG_", "EMBEDDING_", "RERANK_", "HF_", "XDG_", "NO_COLOR")


def made_by(script, folder):
    """The folder of the small seeded models of a script, made once for each build folder."""
    folder, script = BUILD / "tests" / folder, ROOT / "tools" / script
    stamp = folder / ".made"
    if not stamp.exists() or stamp.stat().st_mtime < script.stat().st_mtime:
        making = Path(tempfile.mkdtemp(dir=BUILD))
        subprocess.run([sys.executable, str(script), str(making)], check=True, stdout=subprocess.DEVNULL)
        (making / ".made").touch()
        shutil.rmtree(folder, ignore_errors=True)
        folder.parent.mkdir(exist_ok=True)
        try:
            making.rename(folder)
        except OSError:  # another test process was first
            shutil.rmtree(making)
    return folder


def tiny_models():
    return made_by("make_tiny_models.py", "tiny-models")


def tiny_architectures():
    """Other graphs and heads: rerankers, late interaction, learned words."""
    return made_by("make_tiny_architectures.py", "tiny-architectures")


def rows_of(data, dimensions):
    """Raw f32 bytes as lists of floats."""
    n = len(data) // (4 * dimensions)
    return [list(struct.unpack_from(f"<{dimensions}f", data, i * 4 * dimensions)) for i in range(n)]


def cosine(a, b):
    dot = sum(x * y for x, y in zip(a, b))
    return dot / (sum(x * x for x in a) * sum(y * y for y in b)) ** 0.5


def patience(seconds):
    """So long, or as much longer as sanitizers take."""
    return seconds * (5 if os.environ.get("HEDDLE_SANITIZED") else 1)


class CommandTest(unittest.TestCase):
    """Each test runs in an empty folder of its own, with no setting from outside."""

    maxDiff = None

    def setUp(self):
        self.folder = Path(tempfile.mkdtemp(prefix="heddle-cli-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.cache = self.folder / "cache"
        self.work = self.folder / "work"
        self.work.mkdir()

    def env(self, **extra):
        clean = {k: v for k, v in os.environ.items() if not k.startswith(SETTINGS)}
        return {**clean, "HEDDLE_CACHE": str(self.cache), "HOME": str(self.folder), **extra}

    def heddle(self, *args, stdin=b"", code=0, env=None, timeout=120):
        """Runs the program to its end; returns (stdout, stderr) as bytes and text."""
        if isinstance(stdin, str):
            stdin = stdin.encode()
        done = subprocess.run([str(PROGRAM), *(a if isinstance(a, bytes) else str(a) for a in args)], input=stdin, capture_output=True, cwd=self.work,
                              env=self.env(**(env or {})), timeout=patience(timeout))
        stderr = done.stderr.decode("utf-8", "replace")
        self.assertEqual(done.returncode, code, f"{args}: {stderr}")
        return done.stdout, stderr

    def fails(self, *args, says, code=1, **options):
        """The program fails with one line that holds each of the texts, and writes nothing to standard output."""
        stdout, stderr = self.heddle(*args, code=code, **options)
        self.assertEqual(stdout, b"")
        self.assertEqual(stderr.count("\n"), 1, stderr)
        self.assertTrue(stderr.startswith("heddle: "), stderr)
        for text in [says] if isinstance(says, str) else says:
            self.assertIn(text, stderr)
        return stderr

    def on_terminal(self, *args, streams=("stdout", "stderr"), code=0, env=None, timeout=120, columns=120):
        """What the program leaves on a terminal that these streams of it are."""
        screen, terminal = pty.openpty()
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 30, columns, 0, 0))
        process = subprocess.Popen([str(PROGRAM), *map(str, args)], cwd=self.work, env=self.env(**(env or {})),
                                   **{"stdin": subprocess.DEVNULL, **{name: terminal for name in streams}})
        os.close(terminal)
        killer = threading.Timer(patience(timeout), process.kill)
        killer.start()
        text = b""
        try:
            while block := os.read(screen, 4096):
                text += block
        except OSError:  # the program was the last that had it open
            pass
        os.close(screen)
        returned = process.wait()
        killer.cancel()
        self.assertEqual(returned, code, text)
        return text.decode()

    def vectors(self, *args, dimensions, **options):
        stdout, _ = self.heddle("embed", *args, "--output-format", "f32", **options)
        self.assertEqual(len(stdout) % (4 * dimensions), 0)
        return rows_of(stdout, dimensions)

    def write(self, name, content):
        path = self.work / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def tiny(self, name="tiny-mrl"):
        return tiny_models() / name

    def copy_tiny(self, name="tiny-mrl"):
        """A copy that a test may damage."""
        return Path(shutil.copytree(self.tiny(name), self.work / "model"))

    def minilm(self):
        if not (MINILM / "model.safetensors").exists():
            self.fail(f"{MINILM} is not there: run tools/fetch_model.sh")
        return MINILM

    def matches(self, name, text):
        """Compares with expected/name, or rewrites it."""
        path = EXPECTED / name
        if os.environ.get("HEDDLE_REFRESH") == "1":
            path.write_text(text)
        self.assertEqual(text, path.read_text() if path.exists() else None)
