"""One running ComfyUI: started on a loopback port, watched, and gone for sure at the end."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from terminal import Failure

from .hosts import BASE, LOGS, Host, environment
from .processes import apart, end_tree

START_SECONDS = 180
LOGS_KEPT = 20
# Folder names of a models/ directory; a name on the left may be found under several on the right.
MODEL_FOLDERS = {
    "audio_encoders": "audio_encoders",
    "checkpoints": "checkpoints",
    "classifiers": "classifiers",
    "clip_vision": "clip_vision",
    "configs": "configs",
    "controlnet": "controlnet\nt2i_adapter",
    "diffusers": "diffusers",
    "diffusion_models": "diffusion_models\nunet",
    "embeddings": "embeddings",
    "gligen": "gligen",
    "hypernetworks": "hypernetworks",
    "latent_upscale_models": "latent_upscale_models",
    "loras": "loras",
    "model_patches": "model_patches",
    "photomaker": "photomaker",
    "show1": "show1",
    "style_models": "style_models",
    "text_encoders": "text_encoders\nclip",
    "upscale_models": "upscale_models",
    "vae": "vae",
    "vae_approx": "vae_approx",
}


@dataclass(frozen=True)
class Launch:
    """How a host is to be started."""

    port: int = 0  # 0 takes a free one
    models: tuple[Path, ...] = ()  # folders like models/, searched beside the usual one
    output: Path | None = None
    log: bool = True  # into a file; otherwise to the terminal
    arguments: tuple[str, ...] = ()  # further ones of the host's own


class Server:
    """A ComfyUI process; as a context manager it is up inside the block and gone after it."""

    def __init__(self, host: Host, launch: Launch) -> None:
        self.host = host
        self.launch = launch
        self.port = launch.port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = _new_log(self.port) if launch.log else None
        self._scratch = Path()
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Server:
        if not is_free(self.port):
            raise Failure(f"port {self.port} is in use; choose another with --port.")
        self._scratch = Path(tempfile.mkdtemp(prefix="show1-run-"))
        try:
            self._start()
            self._wait_until_ready()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        assert self._process is not None, "the server was not started"
        return self._process.pid

    def is_alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def wait(self) -> int:
        """Wait until the host ends by itself; its exit code."""
        assert self._process is not None, "the server was not started"
        return self._process.wait()

    def settle(self) -> None:
        """Give a host that hung up the moment it takes to end, so that its last words are in the log."""
        deadline = time.monotonic() + 5
        while self.is_alive() and time.monotonic() < deadline:
            time.sleep(0.1)

    def stop(self) -> None:
        """Ask it to end, then make it, and take along whatever it started."""
        process, self._process = self._process, None
        if process is not None:
            end_tree(process)
        shutil.rmtree(self._scratch, ignore_errors=True)

    def death_note(self) -> str:
        """What to say when the host is gone: where its log is, and the end of it."""
        if self.log is None:
            return "ComfyUI ended"
        tail = "\n".join(self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-20:])
        return f"ComfyUI ended by itself; its log is {self.log} and ends with:\n{tail}"

    def _start(self) -> None:
        launcher = [str(self.host.python), str(Path(__file__).with_name("launcher.py"))]
        command = [*launcher, str(self._scratch), str(self.host.source), *self._arguments()]
        out = open(self.log, "wb") if self.log else None  # noqa: SIM115 (closed below, the child has its own)
        own = apart()
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,  # the launcher ends when this closes
            stdout=out,
            stderr=subprocess.STDOUT if out else None,
            cwd=BASE,
            env=environment(self.host),
            start_new_session=own.new_session,
            creationflags=own.flags,
        )
        if out:
            out.close()

    def _arguments(self) -> list[str]:
        """The host's command line; --base-directory keeps a kept host's own folder read-only."""
        chosen = ["--listen", "127.0.0.1", "--port", str(self.port), "--disable-auto-launch"]
        chosen += ["--database-url", "sqlite:///:memory:", "--disable-api-nodes"]
        chosen += ["--extra-model-paths-config", str(self._write_paths())]
        chosen += ["--temp-directory", str(self._scratch), "--user-directory", str(BASE / "user")]
        chosen += ["--input-directory", str(BASE / "input")]
        if self.host.kept:
            chosen += ["--base-directory", str(BASE)]
        if self.launch.output:
            chosen += ["--output-directory", str(self.launch.output)]
        return [*chosen, *self.launch.arguments]

    def _write_paths(self) -> Path:
        """The folders to search beside the host's own; JSON is YAML."""
        paths: dict[str, dict[str, str]] = {}
        for number, folder in enumerate(self.launch.models):
            if not folder.is_dir():
                raise Failure(f"there is no folder {folder} to search for models.")
            paths[f"models{number}"] = {"base_path": str(folder), **_subfolders(folder), **MODEL_FOLDERS}
        if not self.host.kept:
            paths["pack"] = {"base_path": str(BASE), "custom_nodes": "custom_nodes"}
        file = self._scratch / "paths.yaml"
        file.write_text(json.dumps(paths, ensure_ascii=False), encoding="utf-8")  # YAML reads no pairs of escapes
        return file

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if not self.is_alive():
                raise Failure(self.death_note())
            if _answers(f"{self.url}/system_stats"):
                return
            time.sleep(0.1)
        raise Failure(f"ComfyUI did not answer within {START_SECONDS} s; its log is {self.log}.")


def _subfolders(folder: Path) -> dict[str, str]:
    """Folder names of other node packs, which only they know; never one of nodes."""
    names = [entry.name for entry in folder.iterdir() if entry.is_dir()]
    listed = {name for value in MODEL_FOLDERS.values() for name in value.split("\n")}
    return {name: name for name in names if name not in listed | {"custom_nodes"}}


def is_free(port: int) -> bool:
    """Whether a server could listen on this loopback port."""
    with socket.socket() as probe:
        if sys.platform != "win32":  # there it would let two servers share the port
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def free_port() -> int:
    """A loopback port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return answer.status == 200
    except (urllib.error.URLError, OSError):
        return False


def _new_log(port: int) -> Path:
    """A file for this run's log; only the newest ones are kept."""
    LOGS.mkdir(parents=True, exist_ok=True)
    for old in sorted(LOGS.glob("*.log"))[: -LOGS_KEPT + 1]:
        old.unlink(missing_ok=True)
    return LOGS / f"{time.strftime('%Y%m%d-%H%M%S')}-{port}.log"
