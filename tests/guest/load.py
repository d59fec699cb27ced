# SPDX-License-Identifier: BSD-2-Clause
"""A host that is busy."""
import contextlib
import os
import subprocess
import sys


@contextlib.contextmanager
def busy():
    """A thread of the host that computes for each of its processors."""
    load = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(os.cpu_count())]
    try:
        yield
    finally:
        for process in load:
            process.kill()
            process.wait()
