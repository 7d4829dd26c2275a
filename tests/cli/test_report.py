"""heddle info, bench, pull and kcheck: shape of the answers, not their figures."""

import json
import sys
import unittest

from harness import ROOT, CommandTest, tiny_architectures

sys.path.insert(0, str(ROOT / "tests/remote"))
import fake_hub


class InfoTest(CommandTest):
    def test_for_programs(self):
        info = json.loads(self.heddle("info", "--json")[0])
        self.assertEqual(list(info), ["version", "machine", "device", "gpus", "levels", "kernels", "models"])
        self.assertGreaterEqual(info["machine"]["cores_allowed"], 1)
        self.assertTrue(info["levels"]["base"]["granted"])
        for entry, kernel in info["kernels"].items():
            self.assertTrue(kernel["symbol"].startswith("k_" + entry), kernel)
            self.assertTrue(info["levels"][kernel["level"]]["granted"])

    def test_why_not_higher(self):
        info = json.loads(self.heddle("info", "--json", env={"HEDDLE_CPU": "-avx2,-neon"})[0])
        for kernel in info["kernels"].values():
            self.assertEqual(kernel["level"], "base")
            self.assertNotEqual(kernel["why_not_higher"], "")

    def test_for_people(self):
        text = self.heddle("info")[0].decode()
        for word in ("processor", "cores", "caches", "memory", "instruction sets", "kernels", "gemm_i8", "models", "jansson"):
            self.assertIn(word, text)


class BenchTest(CommandTest):
    def test_before_and_after(self):
        out = self.heddle("bench", "-m", self.tiny(), "--seconds", "1", "--json")[0]
        report = json.loads(out)
        self.assertEqual(list(report["cases"]), ["query", "queries", "documents", "similarity"])
        for case in report["cases"].values():
            self.assertLessEqual(case["p50_ms"], case["p99_ms"])
            self.assertGreater(case["tokens_per_s"], case["texts_per_s"])
        self.assertGreater(report["peak_gflops"], 0)
        path = self.write("before.json", out)
        text = self.heddle("bench", "-m", self.tiny(), "--seconds", "1", "--compare", path)[0].decode()
        self.assertIn("speed-up", text)
        self.assertRegex(text, r"a query with five passages +[\d.]+ +[\d.]+ +[\d.]+x\n\Z")
        report["cases"]["rerank"] = report["cases"].pop("similarity")
        path = self.write("reranker.json", json.dumps(report))
        text = self.heddle("bench", "-m", self.tiny(), "--seconds", "1", "--compare", path)[0].decode()
        self.assertRegex(text, r"a query with five passages +- +[\d.]+ +-\n\Z")
        self.assertIn("share", self.heddle("bench", "--help")[0].decode())

    def test_a_model_with_token_vectors_alone(self):
        out = self.heddle("bench", "-m", tiny_architectures() / "tiny-colbert", "--seconds", "1", "--json")[0]
        self.assertEqual(list(json.loads(out)["cases"]), ["query", "queries", "documents", "rerank"])

    def test_compare_with_nonsense(self):
        self.fails("bench", "-m", self.tiny(), "--compare", "none.json", says="none.json")
        self.fails("bench", "-m", self.tiny(), "--compare", self.write("a.json", "{}"), says="a.json: not what 'heddle bench --json' writes")

    def test_one_report_at_a_time(self):
        for args in (["--sweep", "--json"], ["--sweep", "--compare", "a.json"], ["--json", "--compare", "a.json"]):
            self.fails("bench", *args, code=2, says="bench: give one of --json, --compare and --sweep")

    def test_sweep(self):
        text = self.heddle("bench", "-m", self.tiny(), "--sweep", "--threads", "1")[0].decode()
        self.assertRegex(text, r"best: [\d.]+ documents/s with --batch \d+ --threads 1\n\Z")


class PullTest(CommandTest):
    def files(self):
        return {str(path.relative_to(self.tiny())): path.read_bytes() for path in self.tiny().rglob("*") if path.is_file()}

    def test_on_a_terminal(self):
        with fake_hub.FakeHub() as hub:
            hub.add("me/model", self.files())
            text = self.on_terminal("pull", "me/model", env={"HF_ENDPOINT": hub.endpoint})
        self.assertTrue(text.startswith("\rlist of files\x1b[K\r"), text)
        self.assertTrue(text.endswith(f"\r\x1b[K{self.cache}/models/me/model\r\n"), text)


    def test_a_hub_of_the_folder_gets_no_token_of_the_user(self):
        files = self.files()
        cases = (("HF_ENDPOINT={hub}", {"HF_TOKEN": "hf_mine"}, {None}, "HF_TOKEN is not sent there"),
                 ("HF_ENDPOINT={hub}", {}, {None}, None),
                 ("HF_ENDPOINT={hub}\nHF_TOKEN=hf_file", {}, {"Bearer hf_file"}, None),
                 ("HEDDLE_DTYPE=f32", {"HF_ENDPOINT": "{hub}", "HF_TOKEN": "hf_mine"}, {"Bearer hf_mine"}, None),
                 ("HF_ENDPOINT=http://127.0.0.1:1", {"HF_ENDPOINT": "{hub}", "HF_TOKEN": "hf_mine"}, {"Bearer hf_mine"}, None))
        for lines, environment, sent, notice in cases:
            with fake_hub.FakeHub() as hub:
                hub.add("me/model", files)
                self.write(".env", lines.format(hub=hub.endpoint) + "\n")
                env = {name: value.format(hub=hub.endpoint) for name, value in environment.items()}
                said = self.heddle("pull", "--force", "me/model", env=env)[1]
                self.assertEqual({r.headers.get("Authorization") for r in hub.asked("hub")}, sent, lines)
                self.assertEqual("token" in said.lower(), notice is not None, said)
                self.assertIn(notice or "", said)
        self.write(".env", "HF_ENDPOINT=http://127.0.0.1:1\n")
        with fake_hub.FakeHub() as hub:     # a flag is the user's own word
            hub.add("me/model", files)
            self.heddle("pull", "--force", "--endpoint", hub.endpoint, "me/model", env={"HF_TOKEN": "hf_mine"})
            self.assertEqual({r.headers.get("Authorization") for r in hub.asked("hub")}, {"Bearer hf_mine"})


class KcheckTest(CommandTest):
    def test_arguments_are_handed_on(self):
        self.assertIn("k_gemm_i8_ref", self.heddle("kcheck", "--list")[0].decode())

    def test_what_is_not_there(self):
        for args in (["nothing"], ["--bench", "nothing"]):
            self.assertIn("heddle-kcheck: no such kernel", self.heddle("kcheck", *args, code=2)[1])
        stdout, stderr = self.heddle("kcheck", "--require", "avx2", "--require", "neon", code=1)
        self.assertEqual(stdout, b"")
        self.assertRegex(stderr, r"heddle-kcheck: (avx2|neon) is required: belongs to another architecture\n")


if __name__ == "__main__":
    unittest.main()
