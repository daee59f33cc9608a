"""Engine: a Ray cluster. Ray places an actor on each GPU and starts it again when its machine dies; ours is what it does."""

from __future__ import annotations

import asyncio
import importlib.util
import logging
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Awaitable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import psutil
from terminal import Failure
from workflows.workflow import Json

from .results import PART
from .workers import Done, Lost, Outcome, Task, Unreachable, Watch

if TYPE_CHECKING:
    from .local import LocalWorker

SCRIPTS = Path(__file__).resolve().parent.parent
LOOPBACK = "127.0.0.1"
SCRATCH = "show1-actor-"
PLACE_SECONDS = 600  # for a machine to be found and its ComfyUI to start
Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Site:
    """What an actor is told about where it works."""

    name: str
    models: tuple[Path, ...]
    shared: Path  # the output folder, if the actor's machine sees it
    token: str  # name of an empty file in it, by which the actor knows it


class HostActor:
    """Lives on a machine of the cluster, with a ComfyUI of its own."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._worker: LocalWorker | None = None
        self._info: Json = {}
        self._scratch = _scratch()
        self._opening = asyncio.Lock()

    async def open(self) -> Json:
        """Start the ComfyUI, if none is up; its nodes. Raises Unreachable."""
        async with self._opening:
            if self._worker is None:
                worker = await asyncio.to_thread(self._made)
                try:
                    self._info = await worker.open()
                except Unreachable:
                    await worker.close()
                    raise
                self._worker = worker
            return self._info

    async def run(self, task: Task, part: str) -> tuple[Outcome, dict[str, bytes]]:
        """Run a task; its files are in the shared part, or come along where the folder is not shared."""
        await self.open()
        worker = self._worker
        if worker is None:
            return Lost(False, "its ComfyUI was just lost"), {}
        is_shared = (self._site.shared / self._site.token).exists()
        folder = self._site.shared / part if is_shared else Path(tempfile.mkdtemp(dir=self._scratch))
        outcome = await worker.run(task, folder, lambda _event: None)
        if isinstance(outcome, Lost):
            await self._forget(worker)
        if is_shared:
            return outcome, {}
        files = {file.name: await asyncio.to_thread(file.read_bytes) for file in folder.iterdir()}
        shutil.rmtree(folder, ignore_errors=True)
        return outcome, files

    async def withdraw(self) -> None:
        """Take back what has not begun."""
        if self._worker:
            await self._worker.withdraw()

    async def close(self) -> None:
        """End the ComfyUI."""
        if self._worker:
            await self._forget(self._worker)
        shutil.rmtree(self._scratch, ignore_errors=True)

    def _made(self) -> LocalWorker:
        from hosting.install import ensure
        from hosting.server import Launch

        from .local import LocalWorker

        output = Path(tempfile.mkdtemp(dir=self._scratch))
        return LocalWorker(self._site.name, ensure(), Launch(models=self._site.models, output=output))

    async def _forget(self, worker: LocalWorker) -> None:
        """The next task gets a new one."""
        async with self._opening:
            if self._worker is worker:
                self._worker = None
                await worker.close()


class RayWorker:
    """The driver's end of an actor."""

    patience: int | None = 5

    def __init__(self, site: Site, options: Json) -> None:
        self.name = site.name
        self._site = site
        self._options = options
        self._actor: Any = None
        self._given: list[str] = []  # job ids, in the order in which the actor has them

    async def open(self) -> Json:
        """Have Ray place the actor, and wait for its ComfyUI."""
        import ray

        if self._actor is None:
            self._actor = ray.remote(HostActor).options(**self._options).remote(self._site)
        return await self._asked(asyncio.wait_for(self._actor.open.remote(), PLACE_SECONDS))

    async def held(self) -> dict[str, str]:
        """Actors end with their driver, and leave nothing."""
        return {}

    async def drop(self, prompt_ids: list[str]) -> None:
        """Nothing was held."""

    async def run(self, task: Task, folder: Path, watch: Watch) -> Outcome:
        """Run a task on the actor. When that dies, the task it had first was the one at work."""
        from ray.exceptions import RayActorError

        self._given.append(task.job_id)
        began = time.monotonic()
        try:
            outcome, files = await self._actor.run.remote(task, folder.name)
        except RayActorError as error:
            return Lost(self._given[0] == task.job_id, f"the actor died: {str(error).splitlines()[0]}")
        except Unreachable as error:  # its ComfyUI did not start again
            return Lost(False, str(error))
        finally:
            self._given.remove(task.job_id)
        for name, content in files.items():
            (folder / name).write_bytes(content)
        return Done(outcome.seconds or time.monotonic() - began) if isinstance(outcome, Done) else outcome

    async def withdraw(self) -> None:
        """Take back what has not begun."""
        if self._actor is not None:
            await self._asked(self._actor.withdraw.remote())

    async def abort(self) -> None:
        """End the actor and its ComfyUI."""
        import ray

        if self._actor is not None:
            await self._asked(self._actor.close.remote())
            ray.kill(self._actor)
            self._actor = None

    async def close(self) -> None:
        """The actor stays: Ray starts it again by itself when it died."""

    async def _asked(self, answer: Awaitable[Answer]) -> Answer:
        from ray.exceptions import RayError

        try:
            return await answer
        except (RayError, asyncio.TimeoutError) as error:
            raise Unreachable(f"{self.name}: {str(error).strip().splitlines()[-1] if str(error) else 'no answer'}") from error


def _scratch() -> Path:
    """A folder of this process; those of actors that were killed go."""
    root = Path(tempfile.gettempdir())
    for left in root.glob(f"{SCRATCH}*"):
        if not psutil.pid_exists(int(left.name.removeprefix(SCRATCH))):
            shutil.rmtree(left, ignore_errors=True)
    own = root / f"{SCRATCH}{os.getpid()}"
    own.mkdir(exist_ok=True)
    return own


def ray_workers(address: str, count: int, models: tuple[Path, ...], folder: Path) -> list[RayWorker]:
    """An actor for each GPU of the cluster, or so many. Raises Failure where Ray is missing or does not answer."""
    if not importlib.util.find_spec("ray"):
        raise Failure(f"--ray needs the package ray; install it with `{sys.executable} -m pip install ray`.")
    import ray

    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    environment = {"PYTHONPATH": str(SCRIPTS), **{name: os.environ[name] for name in ("COMFYUI_PATH", "COMFYUI_PYTHON")
                                                  if name in os.environ}}
    alone: Json = {"_node_ip_address": LOOPBACK} if address == "local" or address.startswith(f"{LOOPBACK}:") else {}
    alone |= {"include_dashboard": False} if address == "local" else {}
    try:
        ray.init(address=address, runtime_env={"env_vars": environment}, log_to_driver=False,
                 logging_level=logging.WARNING, **alone)
    except (ConnectionError, ValueError) as error:
        raise Failure(f"--ray {address}: {error}") from error
    gpus = int(ray.cluster_resources().get("GPU", 0))
    token = Path(tempfile.mkdtemp(prefix=f"{PART}shared-", dir=folder)).name
    options = {"num_gpus": 1 if gpus else 0, "num_cpus": 0 if gpus else 1, "max_restarts": -1, "max_task_retries": 0}
    names = [f"actor {number + 1}" for number in range(count or gpus or 1)]
    return [RayWorker(Site(name, models, folder, token), options) for name in names]
