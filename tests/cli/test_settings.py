"""A flag wins over the environment, that over .env, that over the default; other servers' names are understood."""

import re
import shutil
import unittest

from harness import CommandTest


class SettingsTest(CommandTest):
    def summary(self, *args, **env):
        """What --verbose says was used: (dtype, threads)."""
        stderr = self.heddle("embed", "-v", "x", *args, env={"HEDDLE_MODEL": str(self.tiny()), **env})[1]
        found = re.search(r"\((\w+), (\d+) threads?\)", stderr)
        return found[1], int(found[2])

    def test_order(self):
        self.write(".env", "HEDDLE_THREADS=2\nHEDDLE_DTYPE=int8\n")
        self.assertEqual(self.summary(), ("int8", 2))
        self.assertEqual(self.summary(HEDDLE_THREADS="3"), ("int8", 3))
        self.assertEqual(self.summary("--threads", "4", "--dtype", "f32", HEDDLE_THREADS="3"), ("f32", 4))

    def test_aliases(self):
        self.assertEqual(self.summary(RAG_CPU_THREADS="3")[1], 3)
        self.assertEqual(self.summary(RAG_CPU_THREADS="3", HEDDLE_THREADS="2")[1], 2)
        self.assertEqual(self.summary(EMBEDDING_FP16="false")[0], "f32")
        self.assertEqual(self.summary(EMBEDDING_FP16="true")[0], self.summary()[0])
        for name in ("RAG_EMBED_BATCH_SIZE", "EMBEDDING_BATCH", "EMBEDDING_CACHE_SIZE"):
            self.summary(**{name: "64"})
            self.fails("embed", "-m", self.tiny(), "x", env={name: "many"}, code=2, says=f"{name}: 'many' is not a number")

    def test_an_alias_in_the_environment_wins_over_the_own_name_in_the_file(self):
        self.write(".env", "HEDDLE_THREADS=2\n")
        self.assertEqual(self.summary(RAG_CPU_THREADS="3")[1], 3)

    def test_file_syntax(self):
        self.write(".env", "# comment\n\n  export HEDDLE_THREADS = '3'   # why\nHEDDLE_DTYPE=\"int8\"\r\nOTHER=$(rm -rf x)\nnonsense\n")
        self.assertEqual(self.summary(), ("int8", 3))

    def test_the_hugging_face_cache_from_the_file(self):
        hub = self.folder / "hf/hub/models--me--model"
        shutil.copytree(self.tiny(), hub / "snapshots/abc")
        (hub / "refs").mkdir()
        (hub / "refs/main").write_text("abc")
        for setting in (f"HF_HOME={self.folder}/hf", f"HF_HUB_CACHE={self.folder}/hf/hub", f"HUGGINGFACE_HUB_CACHE={self.folder}/hf/hub"):
            self.write(".env", setting + "\n")
            self.heddle("embed", "-m", "me/model", "x")
            self.assertIn("me/model", self.heddle("models")[0].decode())
        self.fails("embed", "-m", "me/model", "x", env={"HF_HUB_CACHE": str(self.folder)}, says='no model "me/model"')
        self.write(".env", "HF_HUB_OFFLINE=1\n")
        self.fails("pull", "a/b", says="the hub may not be asked (offline)", env={"HF_ENDPOINT": "http://127.0.0.1:1"})

    def test_file_errors_name_it(self):
        self.write(".env", "HEDDLE_DTYPE=f17\n")
        self.fails("embed", "-m", self.tiny(), "x", code=2, says=".env: HEDDLE_DTYPE: 'f17' is not one of")

    def test_max_length_from_the_environment_is_a_wish(self):
        long = "water " * 200
        full = self.heddle("embed", "-m", self.tiny(), long)[0]
        for name in ("HEDDLE_MAX_LENGTH", "RAG_EMBED_MAX_LENGTH", "EMBEDDING_MAX_LEN"):
            self.assertEqual(self.heddle("embed", "-m", self.tiny(), long, env={name: "8192"})[0], full)
            self.assertNotEqual(self.heddle("embed", "-m", self.tiny(), long, env={name: "16"})[0], full)

    def test_device(self):
        for name in ("HEDDLE_DEVICE", "EMBEDDING_DEVICE"):
            stderr = self.heddle("embed", "-m", self.tiny(), "x", env={name: "cuda:0"})[1]
            self.assertIn("the CPU computes: there is no plugin heddle-cuda.so here", stderr)
            self.assertEqual(stderr.count("\n"), 1)
            for quiet in ("auto", "cpu"):
                self.assertEqual(self.heddle("embed", "-m", self.tiny(), "x", env={name: quiet})[1], "")
            stderr = self.heddle("embed", "-m", self.tiny(), "x", env={name: "mps"})[1]
            self.assertEqual(stderr, f"heddle: {name}=mps: this build computes on the CPU\n")
        self.fails("embed", "-m", self.tiny(), "--device", "abacus", "x", code=2, says="--device: 'abacus' is not one of")
        self.fails("embed", "-m", self.tiny(), "--device", "cuda:16", "x", code=2, says="'cuda:16' is not one of")

    def test_gpu_memory(self):
        for value, says in (("1.5x", "is not a size"), ("1000", "is less than 1M"), ("0", "is less than 1M")):
            self.fails("embed", "-m", self.tiny(), "x", env={"HEDDLE_GPU_MEMORY_LIMIT": value}, code=2, says=says)
        for value in ("0.5", "1", "1M", "2G"):
            self.assertEqual(self.heddle("embed", "-m", self.tiny(), "x", env={"HEDDLE_GPU_MEMORY_LIMIT": value})[1], "")

    def test_rerank_device(self):
        stderr = self.heddle("embed", "-m", self.tiny(), "x", env={"RERANK_DEVICE": "xpu"})[1]
        self.assertEqual(stderr, "heddle: RERANK_DEVICE=xpu: this build computes on the CPU\n")
        self.assertEqual(self.heddle("embed", "-m", self.tiny(), "x", env={"RERANK_DEVICE": "cpu", "RERANK_ENABLE": "true"})[1], "")

    def test_memory_limit(self):
        for value in ("0.5", "1", "512M", "1.5G", "2GiB", "1000000000"):
            self.heddle("embed", "-m", self.tiny(), "x", env={"HEDDLE_MEMORY_LIMIT": value})
        for value in ("0", "-1", "1.5", "much", "12K"):
            self.fails("embed", "-m", self.tiny(), "x", env={"HEDDLE_MEMORY_LIMIT": value}, code=2, says="HEDDLE_MEMORY_LIMIT")

    def test_cpu_mask(self):
        plain = self.heddle("info")[0].decode()
        masked = self.heddle("info", env={"HEDDLE_CPU": "-avx2,-neon"})[0].decode()
        self.assertIn("removed by HEDDLE_CPU", masked)
        self.assertNotIn("removed by HEDDLE_CPU", plain)
        self.fails("info", env={"HEDDLE_CPU": "-warp"}, code=2, says="HEDDLE_CPU: '-warp' is not one of")
        self.fails("embed", "-m", self.tiny(), "x", env={"HEDDLE_CPU": "-warp"}, code=2, says="HEDDLE_CPU: '-warp' is not one of")
        self.write(".env", "HEDDLE_CPU=-avx2,-neon\n")
        self.assertEqual(self.heddle("info")[0].decode().count("removed"), masked.count("removed"))
        self.assertIn("removed by HEDDLE_CPU", self.heddle("kcheck", "--list")[0].decode())
        stderr = self.heddle("kcheck", "--list", env={"HEDDLE_CPU": "-warp"}, code=2)[1]
        self.assertRegex(stderr, r"\Aheddle-kcheck: HEDDLE_CPU: '-warp' is not one of [-a-z0-9 ]+\n\Z")


if __name__ == "__main__":
    unittest.main()
