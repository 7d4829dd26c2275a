"""Clients for Node: openai, ollama, AnythingLLM's embedding engines. What they do is in node/clients.test.cjs.

    tools/test_node.sh && HEDDLE_BUILD=build python3 -m unittest -v test_node        (in tests/serve)
"""

import json
import os
import re
import shutil
import subprocess
import unittest
from pathlib import Path

from serving import PATIENCE_S, ServedTest

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
MODULES = ROOT / "build" / "node-test" / "node_modules"
TEXTS = ["hello world", "Größe 東京", "a longer text that says hello to the world", "x"]


@unittest.skipIf(shutil.which("node") is None or not MODULES.exists(), "the clients are not installed: run tools/test_node.sh")
class Node(ServedTest):
    def test_clients(self):
        expected = {"texts": TEXTS, "vectors": self.vectors(TEXTS), "cut": self.vectors(TEXTS, "--dimensions", "8")}
        path = self.folder / "expected.json"
        path.write_text(json.dumps(expected))
        done = subprocess.run(["node", "--test", str(HERE / "node" / "clients.test.cjs")], timeout=6 * PATIENCE_S, text=True,
                              capture_output=True, env={**os.environ, "NODE_PATH": str(MODULES), "HEDDLE_URL": self.url,
                                                        "HEDDLE_EXPECTED": str(path), "no_proxy": "127.0.0.1"})
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_readme(self):
        [snippet] = re.findall(r"```js\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
        path = MODULES.parent / "readme.mjs"  # where it finds what it imports
        path.write_text(snippet.replace("http://localhost:8080", self.url))
        self.addCleanup(path.unlink)
        done = subprocess.run(["node", str(path)], timeout=6 * PATIENCE_S, text=True, capture_output=True)
        self.assertEqual((done.stdout, done.stderr), (f"2 {len(self.vectors(TEXTS[0])[0])}\n", ""))


if __name__ == "__main__":
    unittest.main()
