"""A short run of bench/serve/soak.py: mixed requests of all protocols, errors on purpose, every answer compared.

    HEDDLE_BUILD=build python3 -m unittest -v test_soak        (in tests/serve)
"""

import os
import subprocess
import sys
import unittest

from serving import tiny_models
from harness import BUILD, ROOT

N_REQUESTS = 2000 if os.environ.get("HEDDLE_SANITIZED") else 20000


class Soak(unittest.TestCase):
    def test_mixed_requests(self):
        done = subprocess.run([sys.executable, str(ROOT / "bench" / "serve" / "soak.py"), "--requests", str(N_REQUESTS), "--texts", "500",
                               "--dtype", "f32", "--model", str(tiny_models() / "tiny-mrl")], text=True, capture_output=True,
                              env={**os.environ, "HEDDLE_BUILD": str(BUILD)})
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn(f"{N_REQUESTS} answers", done.stdout)


if __name__ == "__main__":
    unittest.main()
