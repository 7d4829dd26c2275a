"""A server whose device fails in every way while many clients ask: each of them gets its vectors. The device is the plugin
on the host's memory of tests/plugin.

    HEDDLE_BUILD=build python3 -m unittest -v test_devices
"""

import itertools
import json
import os
import re
import subprocess
import time
import unittest
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from serving import PATIENCE_S, PROGRAM, SETTINGS, ServedTest

PLUGINS = str(Path(os.environ.get("HEDDLE_BUILD", "build")).resolve() / "tests/plugin/library")
SIMULATION = Path(PLUGINS).parent / "cuda_sim"
N_CLIENTS, N_REQUESTS = 8, 25
WORDS = "river stone the house garden in winter music a paper of water ship answer".split()


def text_of(i):
    """All different, of very unlike lengths."""
    return " ".join([str(i)] + [WORDS[(i * 7 + k) % len(WORDS)] for k in range(1 + i * 5 % 23)])


class DeviceTest(ServedTest):
    environment = {"HEDDLE_PLUGIN_DIR": PLUGINS}

    def value(self, name):
        """The sum over the devices."""
        found = re.findall(rf"^{name}{{[^}}]*}} (\S+)$", self.ask("/metrics").body.decode(), re.M)
        return sum(float(value) for value in found) if found else None

    def embed(self, first):
        texts = [text_of(first * 3 + k) for k in range(3)]
        got = self.json("/v1/embeddings", {"input": texts, "model": "tiny-mrl"})
        return [row["embedding"] for row in got["data"]]

    def ask_all(self):
        n = N_CLIENTS * N_REQUESTS
        expected = self.vectors([text_of(i) for i in range(3 * n)], "--device", "cpu")
        with ThreadPoolExecutor(N_CLIENTS) as clients:
            got = [row for rows in clients.map(self.embed, range(n)) for row in rows]
        self.close(got, expected, 1e-4)


@unittest.skipUnless((SIMULATION / "library/heddle-cuda.so").exists(), "there is no simulated GPU")
class Simulated(DeviceTest):
    """plugins/cuda: queries of one length are launched as a graph from a stream's third on, which gives the same vectors."""
    environment = {"HEDDLE_PLUGIN_DIR": str(SIMULATION / "library"), "LD_LIBRARY_PATH": str(SIMULATION / "plain")}
    options = ("--device", "cuda")

    def test_graphs(self):
        texts = [" ".join(words) for words in itertools.permutations(WORDS[:4])]
        expected = self.vectors(texts, "--device", "cpu")
        got = [self.json("/v1/embeddings", {"input": text, "model": "tiny-mrl"})["data"][0]["embedding"] for text in texts]
        self.close(got, expected, 1e-4)
        self.assertEqual(self.value("heddle_device_batches_total"), len(texts))
        self.assertGreaterEqual(self.value("heddle_device_replayed_total"), len(texts) - 4)  # two streams, twice each
        self.assertIn('device="simulated GPU 0"', self.ask("/metrics").body.decode())
        status = json.loads(self.ask("/page/status").body)
        self.assertEqual([(gpu["name"], gpu["hardware"], gpu["up"], gpu["n_texts"]) for gpu in status["gpus"]],
                         [("cuda:0", "simulated GPU 0", True, len(texts))])


class Healthy(DeviceTest):
    options = ("--device", "cuda")

    def test_the_device_computes(self):
        self.assertIsNone(self.value("heddle_device_up"))  # nothing is opened before a model is
        self.ask_all()
        self.assertEqual(self.value("heddle_device_up"), 1)
        self.assertEqual(self.value("heddle_device_texts_total"), 3 * N_CLIENTS * N_REQUESTS)
        self.assertEqual(self.value("heddle_device_returned_texts_total"), 0)
        self.assertGreater(self.value("heddle_device_memory_used_bytes"), 0)
        self.assertEqual(self.ask("/embed", {"inputs": "river"}).headers["x-compute-type"], "gpu+optimized")


class Failing(DeviceTest):
    """Operation 200 fails, and then one in so many."""

    how = "failed:200:331:0"

    @classmethod
    def setUpClass(cls):
        cls.environment = {**cls.environment, "HOST_PLUGIN_FAIL": cls.how}
        super().setUpClass()

    def test_every_request_is_answered(self):
        self.ask_all()
        counted = {name: self.value(f"heddle_device_{name}_total") for name in ("out_of_memory", "failures", "returned_texts")}
        self.assertGreater(counted["returned_texts"], 0)
        self.assertGreater(counted["out_of_memory" if self.how.startswith("memory") else "failures"], 0)
        self.assertEqual(counted["failures" if self.how.startswith("memory") else "out_of_memory"], 0)
        self.assertIn("go back to the queue", self.log.read_text())


class WithoutMemory(Failing):
    how = "memory:200:331:0"


class Lost(Failing):
    how = "lost:200:331:1"

    def test_the_device_comes_back(self):
        self.ask_all()
        end = time.monotonic() + PATIENCE_S
        while self.value("heddle_device_up") != 1 and time.monotonic() < end:
            time.sleep(0.1)
        self.assertEqual(self.value("heddle_device_up"), 1)


class LostForGood(Failing):
    how = "lost:200:1:1000000"


class Info(unittest.TestCase):
    def info(self, *args, **env):
        clean = {k: v for k, v in os.environ.items() if not k.startswith(SETTINGS)}
        done = subprocess.run([str(PROGRAM), "info", *args], env={**clean, "HEDDLE_PLUGIN_DIR": PLUGINS, **env},
                              capture_output=True, text=True, check=True)
        return done.stdout, done.stderr

    def test_gpus(self):
        out, err = self.info("--json", HOST_PLUGIN_DEVICES="2")
        self.assertEqual(err, "")
        gpus = json.loads(out)["gpus"]
        self.assertEqual([gpu["name"] for gpu in gpus], ["cuda:0", "cuda:1"])
        self.assertEqual(gpus[1]["hardware"], "host memory 1")
        self.assertTrue(gpus[0]["up"])
        self.assertIn("cuda:0: host memory 0, plain loops, 1.0 GiB, 1.0 GiB free, 50% busy, 40 degrees\n", self.info()[0])
        self.assertEqual(json.loads(self.info("--json", HEDDLE_DEVICE="cpu")[0])["gpus"], [])

    def test_why_not(self):
        for begin, says in (("missing", "the driver found is 1.0, and 2.0 is needed"), ("none", "finds no device")):
            out, err = self.info("--json", HOST_PLUGIN_BEGIN=begin)
            self.assertEqual(json.loads(out)["gpus"], [])
            self.assertEqual(err.count("\n"), 1)
            self.assertIn("the CPU computes: ", err)
            self.assertIn(says, err)


if __name__ == "__main__":
    unittest.main()
