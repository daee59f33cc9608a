"""The tests as two runs of pytest at once: those that share one served host, and the others.

Half of the time a test waits: for a server, a browser, another process. Two runs of one thread each share two cores better
than one run of two threads.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile

ON_A_HOST, OTHERS = ("tests/host",), ("tests/browser", "tests/core", "tests/install", "tests/batches")
NOTHING_CHOSEN = 5  # pytest's exit code where no test was selected


def run_in_halves(command: list[str], variables: dict[str, str]) -> int:
    """Runs `command` over both; the output of the others comes at the end. Returns an exit code, 0 if both went well."""
    alone = variables | {"OMP_NUM_THREADS": "1"}
    with tempfile.TemporaryFile() as told:
        beside = subprocess.Popen([*command, *OTHERS], env=alone, stdout=told, stderr=subprocess.STDOUT)
        try:
            code = subprocess.call([*command, *ON_A_HOST], env=alone)
        finally:
            beside.wait()
            told.seek(0)
            shutil.copyfileobj(told, sys.stdout.buffer)
            sys.stdout.flush()
    return max({code, beside.returncode} - {NOTHING_CHOSEN}, default=NOTHING_CHOSEN)
