"""A server for the tests of real clients: one of the small seeded models, on a port of its own."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "cli"))
from harness import PROGRAM, CommandTest, tiny_models  # noqa: E402

PATIENCE_S = 60 * (5 if os.environ.get("HEDDLE_SANITIZED") else 1)


class ServingTest(CommandTest):
    """self.url answers for `model` with `options`; the server has to stop well at the end of each test."""

    model = "tiny-mrl"
    options = ()

    def setUp(self):
        super().setUp()
        self.log = self.folder / "serve.log"
        line = [str(PROGRAM), "serve", "--model", str(tiny_models() / self.model), "--port", "0", *self.options]
        with open(self.log, "wb") as log:
            self.server = subprocess.Popen(line, cwd=self.work, env=self.env(), stdout=log, stderr=log)
        self.addCleanup(self.stop)
        end = time.monotonic() + PATIENCE_S
        while not (said := re.search(r"listening on (http://\S+)", self.log.read_text())):
            if self.server.poll() is not None or time.monotonic() > end:
                self.fail(f"no server: {self.log.read_text()}")
            time.sleep(0.01)
        self.url = said[1]

    def stop(self):
        self.server.send_signal(signal.SIGTERM)
        try:
            code = self.server.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            self.server.kill()
            self.server.wait()
            self.fail("the server does not stop")
        self.assertEqual(code, 0, self.log.read_text())
