"""heddle embed: what goes in, what comes out, in which order and shape."""

import json
import os
import re
import signal
import struct
import subprocess
import time
import unittest

from harness import PROGRAM, CommandTest, cosine, rows_of

D = 40  # dimensions of tiny-mrl


def read_npy(data):
    """(shape, rows) of a two-dimensional little-endian f32 .npy, read by the letter of numpy.lib.format."""
    assert data[:8] == b"\x93NUMPY\x01\x00", data[:8]
    length = struct.unpack_from("<H", data, 8)[0]
    assert (10 + length) % 64 == 0
    header = data[10:10 + length].decode("latin1")
    assert header.endswith("\n")
    fields = eval(header, {"__builtins__": {}})
    assert fields["descr"] == "<f4" and fields["fortran_order"] is False
    return fields["shape"], rows_of(data[10 + length:], fields["shape"][1])


class EmbedTest(CommandTest):
    TEXTS = ["the quick brown fox", "", "  water and light ", "naïve café", "日本 中国", "a " * 500, "😀👍🏽", "x"]

    def embed(self, *args, **options):
        return self.vectors("-m", self.tiny(), *args, dimensions=D, **options)

    def test_formats_agree(self):
        path = self.write("texts.txt", "".join(t + "\n" for t in self.TEXTS))
        raw = self.embed("--input", path)
        self.assertEqual(len(raw), len(self.TEXTS))
        self.heddle("embed", "-m", self.tiny(), "-i", path, "-o", "v.npy")
        shape, rows = read_npy((self.work / "v.npy").read_bytes())
        self.assertEqual((shape, rows), ((len(self.TEXTS), D), raw))
        self.heddle("embed", "-m", self.tiny(), "-i", path, "-o", "v.f32")
        self.assertEqual(rows_of((self.work / "v.f32").read_bytes(), D), raw)
        lines = self.heddle("embed", "-m", self.tiny(), "-i", path)[0].decode().splitlines()
        as_floats = [[struct.unpack("<f", struct.pack("<f", x))[0] for x in json.loads(line)["embedding"]] for line in lines]
        self.assertEqual(as_floats, raw)
        self.assertTrue(all(list(json.loads(line)) == ["embedding"] for line in lines))

    def test_unit_length_and_not(self):
        for row in self.embed(*self.TEXTS):
            self.assertAlmostEqual(sum(x * x for x in row), 1, places=5)
        longer = self.embed("--no-normalize", *self.TEXTS)
        self.assertTrue(any(abs(sum(x * x for x in row) - 1) > 1e-3 for row in longer))

    def test_arguments_stdin_and_files_agree(self):
        texts = [t for t in self.TEXTS if t]
        expected = self.embed(*texts)
        as_lines = "".join(t + "\n" for t in texts)
        self.assertEqual(self.embed(stdin=as_lines), expected)
        self.assertEqual(self.embed("--input", "-", stdin=as_lines), expected)
        self.assertEqual(self.embed("--input", self.write("a.txt", as_lines[:-1])), expected)  # no line end at the end
        self.assertEqual(self.embed("--input", self.write("b.txt", as_lines.replace("\n", "\r\n"))), expected)
        self.assertEqual(self.embed("--input", self.write("c.txt", "\ufeff" + as_lines)), expected)
        objects = "".join(json.dumps({"id": 7, "text": t}) + "\n" for t in texts)
        self.assertEqual(self.embed("--input", self.write("d.jsonl", objects)), expected)
        self.assertEqual(self.embed("--input-format", "jsonl", stdin=objects), expected)

    def test_order_and_bits_do_not_depend_on_how_the_work_is_cut(self):
        texts = [f"word {i} " + "water " * (i * 7 % 60) for i in range(700)]
        path = self.write("many.txt", "".join(t + "\n" for t in texts))
        whole = self.embed("--input", path)
        for args in (["--batch", "1"], ["--batch", "7"], ["--threads", "1"], ["--threads", "3", "--batch", "100"]):
            self.assertEqual(self.embed("--input", path, *args), whole, args)
        self.assertEqual(self.embed(texts[345])[0], whole[345])

    def test_empty_input(self):
        self.assertEqual(self.embed("--input", self.write("empty.txt", "")), [])
        self.heddle("embed", "-m", self.tiny(), "-i", "empty.txt", "-o", "v.npy")
        self.assertEqual(read_npy((self.work / "v.npy").read_bytes()), ((0, D), []))
        self.assertEqual(len(self.embed("--input", self.write("one.txt", "\n"))), 1)

    def test_dimensions(self):
        full = self.embed("--no-normalize", "water")[0]
        cut = self.vectors("-m", self.tiny(), "--dimensions", "8", "water", dimensions=8)[0]
        length = sum(x * x for x in full[:8]) ** 0.5
        for got, wanted in zip(cut, full):
            self.assertAlmostEqual(got, wanted / length, places=5)
        self.fails("embed", "-m", self.tiny(), "--dimensions", D + 1, "x", code=2, says=["--dimensions: 41", "40 values"])

    def test_prompts(self):
        model = self.tiny("tiny-prompts")
        def embed(*args):
            return self.vectors("-m", model, *args, dimensions=64)
        query = embed("--prompt", "query: ", "water")
        self.assertEqual(embed("water"), query)  # its default prompt
        self.assertEqual(embed("--prompt-name", "query", "water"), query)
        self.assertEqual(embed("--prompt", "", "query: water"), query)
        self.assertNotEqual(embed("--prompt-name", "passage", "water"), query)
        self.assertEqual(embed("--prompt-name", "empty", "water"), embed("--prompt", "", "water"))
        self.fails("embed", "-m", model, "--prompt-name", "qurey", "water", code=2, says=['no prompt named "qurey"; it has: ', "query", "passage"])
        self.fails("embed", "-m", self.tiny(), "--prompt-name", "query", "water", code=2, says="it has: none")

    def test_max_length(self):
        long = "water " * 100
        self.assertEqual(self.embed("--max-length", "12", long), self.embed("water " * 10))
        self.assertNotEqual(self.embed(long), self.embed("water " * 10))
        self.fails("embed", "-m", self.tiny(), "--max-length", "4000", "x", code=2, says=["--max-length: 4000", "at most"])

    def test_dtypes(self):
        exact = self.embed("--dtype", "f32", *self.TEXTS)
        for dtype, floor in (("bf16", 0.999), ("int8", 0.98), ("auto", 0.999)):
            for a, b in zip(exact, self.embed("--dtype", dtype, *self.TEXTS)):
                self.assertGreater(cosine(a, b), floor, dtype)

    def test_output_replaces_only_when_done(self):
        target = self.write("v.jsonl", "old")
        link = self.work / "link.jsonl"
        link.symlink_to(target)
        self.heddle("embed", "-m", self.tiny(), "-o", link, "x")
        self.assertTrue(link.is_symlink())
        self.assertEqual(len(json.loads(target.read_text())["embedding"]), D)
        self.assertEqual(sorted(os.listdir(self.work)), ["link.jsonl", "v.jsonl"])

    def test_npy_to_a_pipe(self):
        self.fails("embed", "-m", self.tiny(), "--output-format", "npy", stdin="a\n", code=2, says="npy begins with the number of rows")
        shape, _ = read_npy(self.heddle("embed", "-m", self.tiny(), "--output-format", "npy", "a", "b")[0])
        self.assertEqual(shape, (2, D))

    def test_a_slow_pipe_is_answered_line_by_line(self):
        process = subprocess.Popen([str(PROGRAM), "embed", "-m", str(self.tiny())], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                   env=self.env(), cwd=self.work)
        for text in ("one", "two"):
            process.stdin.write(text.encode() + b"\n")
            process.stdin.flush()
            self.assertEqual(len(json.loads(process.stdout.readline())["embedding"]), D)
        process.stdin.close()
        self.assertEqual(process.wait(timeout=20), 0)
        process.stdout.close()

    def test_quiet_and_verbose(self):
        self.assertEqual(self.heddle("embed", "-m", self.tiny(), "x")[1], "")
        self.assertRegex(self.heddle("embed", "-m", self.tiny(), "-v", "x")[1], r"1 doc, \d+ tokens in .* docs/s, .* tokens/s \(\w+, \d+ threads?\)\n\Z")

    @unittest.skipIf(os.environ.get("HEDDLE_SANITIZED"), "a sanitizer's own memory grows")
    def test_memory_does_not_grow_with_the_input(self):
        def peak(n):
            path = self.write("n.txt", "water and light\n" * n)
            process = subprocess.Popen([str(PROGRAM), "embed", "-m", str(self.tiny()), "-i", str(path), "-o", "/dev/null"],
                                       env=self.env(), cwd=self.work)
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            self.assertEqual(process.returncode, 0)
            return usage.ru_maxrss
        peak(10)  # writes the packed weights
        small, large = peak(10000), peak(100000)
        self.assertLess(large - small, 4096, f"{small} KiB for 10,000 lines, {large} KiB for 100,000")


class TerminalTest(CommandTest):
    def test_the_bar_tells_what_is_done(self):
        """And not what has been read, which is windows ahead."""
        n = 2000
        text = self.on_terminal("embed", "-m", self.tiny(), "-i", self.write("n.txt", "water\n" * n), "-o", "v.f32", streams=["stderr"])
        bars = re.findall(r"([\d,]+) docs  [\d,]+ docs/s  [\d,]+ tokens/s  .* (\d+) %", text)
        self.assertGreater(len(bars), 0, text)
        for done, percent in bars:
            self.assertLessEqual(abs(int(percent) - 100 * int(done.replace(",", "")) / n), 1, text)
        self.assertRegex(text, r"\r\x1b\[K2,000 docs, 6,000 tokens in ")

    def test_narrow(self):
        """What is drawn over must be one row."""
        lines = self.write("n.txt", "water\n" * 20000)
        text = self.on_terminal("embed", "-m", self.tiny(), "-i", lines, "-o", "v.f32", streams=["stderr"], columns=24)
        drawn = [row.removesuffix("\x1b[K") for row in text.split("\r")[1:-2]]
        self.assertIn(" docs  ", "".join(drawn), text)
        self.assertLessEqual(max(map(len, drawn)), 23, text)

    def test_no_binary_on_a_terminal(self):
        text = self.on_terminal("embed", "-m", self.tiny(), "--output-format", "npy", "water", code=2)
        self.assertEqual(text, "heddle: embed: npy and f32 are not for a terminal to show: use --output FILE or a pipe\r\n")


class InterruptTest(CommandTest):
    def start(self, *args):
        """The program at work on an input that never ends."""
        source = subprocess.Popen(["yes", "water and light and a house by the river"], stdout=subprocess.PIPE)
        process = subprocess.Popen([str(PROGRAM), "embed", "-m", str(self.tiny()), *args], cwd=self.work, env=self.env(),
                                   stdin=source.stdout, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        source.stdout.close()
        self.addCleanup(source.wait)
        return process

    def wait_for_temporary(self):
        for _ in range(600):
            if any(name.endswith(".tmp") for name in os.listdir(self.work)):
                return
            time.sleep(0.05)
        self.fail("no temporary file appeared")

    def test_no_partial_file(self):
        target = self.write("v.jsonl", "old")
        for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)):
            process = self.start("-o", "v.jsonl")
            self.wait_for_temporary()
            time.sleep(0.3)
            process.send_signal(number)
            stderr = process.communicate(timeout=20)[1]
            self.assertEqual(process.returncode, code, stderr)
            self.assertEqual(stderr, b"")
            self.assertEqual(target.read_text(), "old")
            self.assertEqual(os.listdir(self.work), ["v.jsonl"])

    def test_while_nothing_comes(self):
        process = subprocess.Popen([str(PROGRAM), "embed", "-m", str(self.tiny())], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                   env=self.env(), cwd=self.work)
        process.stdin.write(b"one\n")
        process.stdin.flush()
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(timeout=10), 130)
        process.stdin.close()
        process.stdout.close()

    def test_while_nobody_reads(self):
        read_end, write_end = os.pipe()
        path = self.write("n.txt", "water\n" * 20000)
        process = subprocess.Popen([str(PROGRAM), "embed", "-m", str(self.tiny()), "-i", str(path)], stdout=write_end, env=self.env(),
                                   cwd=self.work)
        os.close(write_end)
        time.sleep(1.5)
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(timeout=10), 130)
        os.close(read_end)


if __name__ == "__main__":
    unittest.main()
