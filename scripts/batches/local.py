"""Engine: ComfyUI processes of our own on this machine, one for each GPU."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import tempfile
from dataclasses import replace
from pathlib import Path

from hosting.hosts import Host
from hosting.server import Launch, Server
from terminal import Failure
from workflows.workflow import Json

from .columns import FOLDER
from .results import PART
from .servers import ServerWorker
from .workers import Outcome, Task, Unreachable, Watch

_ASK_DEVICES = "import torch; print(torch.cuda.device_count())"


class LocalWorker(ServerWorker):
    """A ComfyUI that is started for the batch, and started again when it dies."""

    patience: int | None = 3

    def __init__(self, name: str, host: Host, launch: Launch) -> None:
        super().__init__(name, client_id=f"batch-{name}")
        self._host = host
        self._launch = launch
        self._server: Server | None = None

    async def open(self) -> Json:
        """Start it and connect."""
        self._server = Server(self._host, self._launch)
        try:
            await asyncio.to_thread(self._server.__enter__)
        except Failure as failure:
            raise Unreachable(str(failure)) from failure
        return await self._connect(self._server.url)

    async def held(self) -> dict[str, str]:
        """It is new, and holds nothing."""
        return {}

    async def abort(self) -> None:
        """Nothing to ask: it is about to be ended."""

    async def run(self, task: Task, folder: Path, watch: Watch) -> Outcome:
        """Run a task; the files were fetched, so the host's own copy goes."""
        outcome = await super().run(task, folder, watch)
        output = self._launch.output
        for left in (output / FOLDER).glob(f"{task.job_id}-*") if output else ():
            shutil.rmtree(left, ignore_errors=True)
        return outcome

    async def close(self) -> None:
        """End the process."""
        server, self._server = self._server, None
        if server:
            await asyncio.to_thread(server.stop)
        await super().close()


def local_workers(host: Host, launch: Launch, count: int, folder: Path) -> list[LocalWorker]:
    """So many workers, or one for each GPU, or one on the CPU; their own output lies in the folder until it is fetched."""
    devices = device_count(host)
    count = count or devices or 1
    if not devices:  # each would take every core, and all would wait for each other
        os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // count)))
    workers = []
    for number in range(count):
        arguments = ("--cuda-device", str(number % devices)) if devices else ()
        output = Path(tempfile.mkdtemp(prefix=f"{PART}worker-", dir=folder))
        one = replace(launch, output=output, arguments=(*launch.arguments, *arguments))
        workers.append(LocalWorker(f"worker {number + 1}", host, one))
    return workers


def device_count(host: Host) -> int:
    """GPUs that the host's torch finds; asked in another process, which leaves no memory taken on them."""
    asked = subprocess.run([str(host.python), "-c", _ASK_DEVICES], capture_output=True, text=True, check=True)
    return int(asked.stdout)
