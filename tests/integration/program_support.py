# SPDX-License-Identifier: Apache-2.0
"""What the tests of the programs have in common."""

import subprocess
import time

PATIENCE = 60


def wait_until(condition, what):
    """The first value of the condition that is true."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.01)
    raise AssertionError(f"gave up waiting: {what}")


class OriginServer:
    """An origin_server of ours, at a port of its own choice."""

    def __init__(self, program, *arguments):
        self.process = subprocess.Popen(
            [program, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self.port = int("".join(c for c in self.process.stdout.readline().split(":")[-1] if c.isdigit()))

    def url(self, path="/hello"):
        return f"http://127.0.0.1:{self.port}{path}"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()
        self.process.stdout.close()
        self.process.stderr.close()
