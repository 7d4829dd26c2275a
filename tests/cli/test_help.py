"""Help, usage errors and hints, word for word."""

import re
import unittest

from harness import ROOT, CommandTest

COMMANDS = ["embed", "rerank", "serve", "health", "tokenize", "models", "pull", "info", "convert", "quantize", "db", "bench", "index", "search", "eval", "tune"]


class HelpTest(CommandTest):
    def test_alone(self):
        text = self.heddle()[0].decode()
        self.matches("help.txt", text)
        for args in (["--help"], ["-h"], ["help"], ["help", "help"], ["help", "-h"], ["help", "--help"]):
            self.assertEqual(self.heddle(*args)[0].decode(), text)

    def test_commands(self):
        for command in COMMANDS:
            with self.subTest(command):
                text = self.heddle(command, "--help")[0].decode()
                self.matches(f"help-{command}.txt", text)
                self.assertEqual(self.heddle(command, "-h")[0].decode(), text)
                self.assertEqual(self.heddle("help", command)[0].decode(), text)
                self.assertLessEqual(max(map(len, text.splitlines())), 105)

    def test_kcheck(self):
        text = self.heddle("kcheck", "--help")[0].decode()
        self.assertEqual(self.heddle("kcheck", "-h")[0].decode(), text)
        self.assertEqual(self.heddle("help", "kcheck")[0].decode(), text)
        source = (ROOT / "tests/kernel/kcheck.c").read_text()
        options = set(re.findall(r'"(--\w+)"', source))
        self.assertGreater(len(options), 7)
        for option in options:
            self.assertIn(option, text)

    def test_version(self):
        self.assertRegex(self.heddle("--version")[0].decode(), r"\Aheddle \d+\.\d+\.\d+\n\Z")

    def test_unknown_command(self):
        self.fails("embd", code=2, says="unknown command 'embd': did you mean 'embed'?")
        self.fails("help", "embd", code=2, says="unknown command 'embd': did you mean 'embed'?")
        for typed in ("frobnicate", "", "-v", "xy"):  # what shares no letter with a command is not meant as one
            self.fails(typed, code=2, says=f"unknown command '{typed}' (see 'heddle --help')")
        self.fails("dx", code=2, says="unknown command 'dx': did you mean 'db'?")

    def test_unknown_option(self):
        self.fails("embed", "--dtpe", "f32", code=2, says="embed: unknown option '--dtpe': did you mean '--dtype'?")
        self.fails("embed", "--dtpe=f32", code=2, says="unknown option '--dtpe': did you mean '--dtype'?")
        self.fails("embed", "--no-such-thing", code=2, says="embed: unknown option '--no-such-thing' (see 'heddle embed --help')")
        self.fails("info", "-x", code=2, says="info: unknown option '-x' (see 'heddle info --help')")
        self.fails("embed", "-é", code=2, says="embed: unknown option '-é' (see 'heddle embed --help')")
        self.fails("embed", "-dtype", "f32", code=2, says="embed: unknown option '-dtype': did you mean '--dtype'?")
        self.fails("embed", "-strict", "x", code=2, says="embed: unknown option '-strict': did you mean '--strict'?")

    def test_letters_joined(self):
        text = self.heddle("embed", "--help")[0]
        for args in (["-qh"], ["-hqv"], ["-vmodel", "-qh"], ["-qvm", "model", "-h"], ["-qhofile"]):
            self.assertEqual(self.heddle("embed", *args)[0], text)
        self.fails("info", "-qvx", code=2, says="info: unknown option '-x' in '-qvx' (see 'heddle info --help')")
        self.fails("search", "-qn0", "x", code=2, says="--limit: '0' is not a number from 1 to 10000")
        self.fails("search", "-qn", "x", "y", code=2, says="--limit: 'x' is not a number")
        self.fails("search", "-qn", code=2, says="search: '--limit' needs a value (N)")
        self.fails("embed", "-qi", "", code=2, says="embed: '--input' is empty, and no name of a file")
        self.fails("embed", "-qonothing/v.npy", "-m", self.tiny(), "x", says="nothing/v.npy")
        self.fails("embed", "-qo=nothing/v.npy", "-m", self.tiny(), "x", says="=nothing/v.npy")  # as everywhere: the rest is the value
        self.fails("search", "--", "-qv", says="no .heddle.db")

    def test_values(self):
        self.fails("embed", "--model", code=2, says="embed: '--model' needs a value (NAME|DIR)")
        self.fails("embed", "--output", "", "x", code=2, says="embed: '--output' is empty, and no name of a file")
        self.fails("embed", "--input=", code=2, says="embed: '--input' is empty, and no name of a file")
        self.fails("embed", "--strict=yes", "x", code=2, says="'--strict' takes no value")
        self.fails("embed", "--dimensions", "0", "x", code=2, says="--dimensions: '0' is not a number from 1 to ")
        self.fails("embed", "--dimensions", "12x", "x", code=2, says="--dimensions: '12x' is not a number")
        self.fails("embed", "--dimensions", "-1", "x", code=2, says="--dimensions: '-1' is not a number")
        self.fails("embed", "--dimensions", "99999999999999999999", "x", code=2, says="is not a number")
        self.fails("embed", "--dtype", "f17", "x", code=2, says="--dtype: 'f17' is not one of auto, f32, bf16, int8, f16, fp8")
        self.fails("serve", "--max-body", "0", code=2, says="--max-body: '0' leaves no byte for a request")
        self.fails("embed", "--output-format", "csv", "x", code=2, says="--output-format: 'csv' is not one of jsonl, npy, f32")
        self.fails("embed", "--input-format", "csv", code=2, says="--input-format: 'csv' is not one of lines, jsonl")
        self.fails("embed", "--threads", "2000", "x", code=2, says="--threads: '2000' is not a number from 0 to 1024")
        self.fails("embed", "--memory-limit", "12", "x", code=2, says="--memory-limit: '12' is less than 1M")
        self.fails("embed", "--memory-limit", "1Q", "x", code=2, says="--memory-limit: '1Q' is not a size")
        self.fails("embed", "-m", self.tiny(), "--prompt-name", "poem", "x", code=2, says='tiny-mrl: no prompt named "poem"')
        self.fails("embed", "-m", self.tiny(), "--task", "poem", stdin="x\n", code=2, says='tiny-mrl: no task named "poem"')
        self.fails("tokenize", "-m", self.tiny(), "--prompt-name", "poem", "x", code=2, says='tiny-mrl: no prompt named "poem"')
        for port in ("0", "65536", "http"):
            self.fails("health", "--port", port, code=2, says=f"--port: '{port}' is not a port from 1 to 65535")
        self.fails("health", code=2, env={"HEDDLE_PORT": "http"}, says="HEDDLE_PORT: 'http' is not a port from 1 to 65535")
        for key in ("", ","):
            self.fails("serve", "--api-key", key, code=2, says="--api-key: no key in it")
        for name in ("HEDDLE_API_KEY", "BEARER_TOKEN"):
            self.fails("serve", code=2, env={name: ","}, says=f"{name}: no key in it")
        self.fails("serve", code=2, env={"LLAMA_API_KEY": ",", "LLAMA_ARG_MODEL": self.tiny()}, says="LLAMA_API_KEY: no key in it")
        self.fails("serve", "--uds=", code=2, says="serve: '--uds' is empty, and no name of a file")
        self.fails("index", *257 * ["-xa"], ".", code=2, says="--exclude: given more than 256 times")
        self.fails("tokenize", "--offsets", "words", "x", code=2, says="--offsets: 'words' is not one of chars, bytes")

    def test_contradictions(self):
        path = self.write("a.txt", "a\n")
        self.fails("embed", "--input", path, "text", code=2, says="embed: give texts or --input, not both")
        self.fails("embed", "--prompt", "a", "--prompt-name", "b", "text", code=2, says="--prompt or --prompt-name, not both")
        self.fails("tokenize", "--input", path, "text", code=2, says="tokenize: give texts or --input, not both")
        for command in ("info", "models", "bench"):
            self.fails(command, "surplus", code=2, says=f"{command}: unexpected argument 'surplus'")
        self.fails("pull", code=2, says="pull: give one model")
        self.fails("pull", "a", "b", code=2, says="pull: give one model")
        self.fails("pull", "--force", "--offline", "a/b", code=2, says="pull: give --force or --offline, not both")
        self.fails("pull", "--as", "c/d", "a/b", code=2, says="pull: --as is for a folder or an archive, and 'a/b' is neither")
        self.fails("pull", "--subfolder", "x", "a/b", code=2, says="pull: --subfolder is for a folder or an archive")
        self.fails("rerank", "--top", "2", "--input", path, code=2, says="rerank: --top is for the documents of QUERY")
        self.fails("health", "--uds", "x.sock", "--port", "80", code=2, says="health: give --uds or --host and --port, not both")
        self.fails("tune", "--search", "x", code=2, says="tune takes no arguments")
        self.fails("tune", code=2, says="tune: what? --search")
        self.fails("eval", "--queries", path, code=2, says="--queries and --qrels are needed")


if __name__ == "__main__":
    unittest.main()
