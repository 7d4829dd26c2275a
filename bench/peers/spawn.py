"""Runs a command and prints {"wall_s", "peak_rss_mb", "status"} as JSON on stderr's last line.

A process's ru_maxrss begins at that of the process that started it, so a small command must be started by a
small process: this one, run as `python -I -S spawn.py COMMAND …`, is about 9 MB.
"""

import os
import sys
import time

begin = time.monotonic()
pid = os.posix_spawnp(sys.argv[1], sys.argv[1:], os.environ)
_, status, usage = os.wait4(pid, 0)
wall = time.monotonic() - begin
sys.stderr.write('\n{"wall_s": %.6f, "peak_rss_mb": %.1f, "status": %d}\n'
                 % (wall, usage.ru_maxrss / 1024, os.waitstatus_to_exitcode(status)))
