"""The whole of the tests as two runs of pytest at once: what wants no host, and what does.

Half of the time a test waits: for a server, a browser, another process. Two runs of one thread each share two cores better
than one run of two threads, and neither touches what the other uses.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile

WITHOUT_HOST, WITH_HOST = ("tests/core", "tests/install"), ("tests/host", "tests/batches", "tests/browser")
NOTHING_CHOSEN = 5  # pytest's exit code where no test was selected


def run_in_halves(command: list[str], variables: dict[str, str]) -> int:
    """Runs `command` over both; the first one's output follows the second's. Returns an exit code, 0 if both went well."""
    alone = variables | {"OMP_NUM_THREADS": "1"}
    with tempfile.TemporaryFile() as told:
        beside = subprocess.Popen([*command, *WITHOUT_HOST], env=alone, stdout=told, stderr=subprocess.STDOUT)
        try:
            code = subprocess.call([*command, *WITH_HOST], env=alone)
        finally:
            beside.wait()
            told.seek(0)
            shutil.copyfileobj(told, sys.stdout.buffer)
            sys.stdout.flush()
    return max({code, beside.returncode} - {NOTHING_CHOSEN}, default=NOTHING_CHOSEN)
