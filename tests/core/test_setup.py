"""What setting up says before it does it, which torch it takes, and that nothing is installed system-wide unasked."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[2]
sys.path.append(str(REPO / "scripts"))  # last: scripts/comfy.py is not the host's package

import batch  # noqa: E402
from hosting import install, kept, torch_build  # noqa: E402
from hosting.hosts import Host, kept_host  # noqa: E402
from hosting.steps import Attempt, Step  # noqa: E402
from hosting.torch_build import TorchBuild, chosen_build  # noqa: E402
from terminal import Failure  # noqa: E402
from testing import browser, matrix  # noqa: E402

CPU, INDEX = "https://download.pytorch.org/whl/cpu", "--index-url"
ATTEMPT = Attempt(broken=False, report=lambda _: None)


@pytest.fixture
def fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder where nothing is set up yet."""
    monkeypatch.setattr(install, "HOME", tmp_path)
    monkeypatch.setattr(install, "LOCK", tmp_path / "setup.lock")
    return tmp_path


def test_every_step_is_announced_before_the_first_is_done(fresh: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said: list[str] = []

    def action(_: Attempt) -> None:
        said.append(capsys.readouterr().err)

    install.set_up([Step("one", fresh / "1", (), action, "3 GB, from PyPI"), Step("two", fresh / "2", (), action, "1 MB")])
    assert "one: 3 GB, from PyPI" in said[0] and "two: 1 MB" in said[0] and str(fresh) in said[0]
    assert len(said) == 2
    capsys.readouterr()
    install.set_up([Step("one", fresh / "1", (), action)])
    assert capsys.readouterr().err == "" and len(said) == 2, "what is done is not announced"


def test_every_step_of_a_kept_comfyui_says_its_size_or_its_source() -> None:
    for step in [*kept.kept_steps(kept_host()), kept.kept_test_step(kept_host())]:
        assert any(word in step.about for word in ("GB", "MB", "PyPI", str(kept.VENV))), step.label


@pytest.mark.parametrize(("platform", "driver", "offered", "installed", "said"), [
    ("linux", True, ["2.13.0", "2.13.0+cpu"], "torch==2.13.0", "6 GB"),
    ("linux", False, ["2.14.0", "2.13.0+cpu", "2.13.0"], "torch==2.13.0+cpu", "no NVIDIA driver"),
    ("linux", False, ["2.13.0"], "torch==2.13.0", "no NVIDIA driver"),
    ("win32", False, ["2.13.0"], "torch==2.13.0", "0.2 GB"),
    ("darwin", False, ["2.13.0"], "torch==2.13.0", "0.2 GB"),
])
def test_a_machine_without_a_driver_gets_the_cpu_build_where_there_is_one(
    monkeypatch: pytest.MonkeyPatch, platform: str, driver: bool, offered: list[str], installed: str, said: str
) -> None:
    calls: list[list[str]] = []
    monkeypatch.setattr(torch_build.sys, "platform", platform)
    monkeypatch.setattr(torch_build, "has_nvidia_driver", lambda: driver)
    monkeypatch.setattr(torch_build, "versions_offered", lambda *_: offered)
    monkeypatch.setattr(torch_build, "pip", lambda _python, _attempt, arguments: calls.append(arguments))
    TorchBuild().install(Path("python"), ATTEMPT, [])
    assert installed in calls[0] and INDEX not in calls[0]
    assert said in TorchBuild().about


def test_an_index_that_is_named_is_taken_and_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[list[str]] = []
    memory = tmp_path / "index"
    monkeypatch.delenv(torch_build.VARIABLE, raising=False)
    monkeypatch.setattr(torch_build, "pip", lambda _python, _attempt, arguments: calls.append(arguments))
    assert chosen_build("", memory) == TorchBuild("")
    monkeypatch.setenv(torch_build.VARIABLE, CPU + "/")
    assert chosen_build("", memory) == TorchBuild(CPU)
    assert chosen_build("file:///wheels", memory) == TorchBuild("file:///wheels"), "the command line comes first"
    monkeypatch.delenv(torch_build.VARIABLE)
    memory.write_text(CPU, encoding="utf-8")
    build = chosen_build("", memory)
    assert CPU in build.about
    build.install(Path("python"), ATTEMPT, [])
    build.install_vision(Path("python"), ATTEMPT, [])
    assert all(call[call.index(INDEX) + 1] == CPU and "--force-reinstall" in call for call in calls)


def test_an_index_that_is_no_address_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Failure, match="'cu126'; expected an address"):
        chosen_build("cu126", tmp_path / "index")


@pytest.mark.parametrize("allowed", [True, False])
def test_chromium_is_installed_only_where_that_is_allowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], allowed: bool
) -> None:
    done: list[str] = []
    monkeypatch.setattr(browser, "LOCK", tmp_path / "lock")
    monkeypatch.setattr(browser, "find_chromium", lambda: None)
    monkeypatch.setattr(browser, "_install_chromium", lambda: done.append("chromium"))
    monkeypatch.setattr(browser, "set_up", lambda steps: done.append("the rest"))
    browser.ensure_browser(kept_host(), allowed)
    assert done == (["chromium", "the rest"] if allowed else [])
    assert ("browser tests will be skipped" in capsys.readouterr().err) == (not allowed)


def test_the_test_packages_are_those_of_the_extra() -> None:
    extra = kept.test_extra()
    assert {"pytest", "hypothesis"} <= set(extra)
    assert any(line.startswith("triton;") for line in extra), "kernels are tested in Triton's interpreter"


@pytest.mark.parametrize(("light", "oldest", "newest"), [((1, 2, 3), 1, 3), ((2,), 2, 2), ((), 1, 3)])
def test_the_matrix_goes_from_the_oldest_to_the_newest(
    monkeypatch: pytest.MonkeyPatch, light: tuple[int, ...], oldest: int, newest: int
) -> None:
    """Of all Pythons, unless only for some of them torch comes without gigabytes for a card that is not there."""
    named = {minor: Path(f"python3.{9 + minor}") for minor in (2, 1, 3)}
    monkeypatch.setattr(matrix, "pythons", lambda: {(3, 9 + minor): python for minor, python in named.items()})
    monkeypatch.setattr(matrix, "torch_builds", lambda python: (
        ["torch==2.14.0+cpu", "torch==2.9.0+cpu"] if python in [named[minor] for minor in light] else [matrix.TORCH]))
    old, new = matrix.rows()
    assert (old.python, new.python) == (named[oldest], named[newest])
    assert old.packages[1].startswith("diffusers==") and new.packages[1] == "diffusers"
    assert (old.packages[0], new.packages[0]) == (("torch==2.9.0+cpu", "torch==2.14.0+cpu") if light else (matrix.TORCH,) * 2)


@pytest.mark.parametrize(("is_set_up", "arguments", "lacking"), [
    (False, ["--status"], "filelock"),
    (True, ["--status"], "filelock"),
    (False, ["w.json", "--table", "t.csv", "--servers", "http://127.0.0.1:1"], "aiohttp")])
def test_a_batch_that_needs_no_comfyui_sets_none_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_set_up: bool, arguments: list[str], lacking: str
) -> None:
    """A package that this Python lacks is named; one that is set up already is taken."""
    host, taken = Host(tmp_path, tmp_path / "python", kept=True), []
    if is_set_up:
        host.python.touch()
    monkeypatch.setattr(batch.importlib.util, "find_spec", lambda name: None if name == lacking else name)
    monkeypatch.setattr(batch, "own_host", lambda: None)
    monkeypatch.setattr(batch, "kept_host", lambda: host)
    monkeypatch.setattr(batch, "continue_under", taken.append)
    monkeypatch.setattr(install, "ensure", lambda *_: pytest.fail("it set up a ComfyUI"))
    with pytest.raises(Failure, match=f"has no {lacking};"):
        batch.main(["--output", str(tmp_path), *arguments])
    assert taken == [host] * is_set_up


COMMANDS = {"comfy", "convert", "demo", "download", "miniature", "templates", "test", "thumbnails", "batch",
            "evaluate", "train_motion"}


def test_scripts_holds_commands_and_nothing_else() -> None:
    files = {file.stem for file in (REPO / "scripts").glob("*.py")}
    assert files <= COMMANDS, "what commands share lies in a folder named after its subject"


@pytest.mark.parametrize("file", sorted((REPO / "scripts").rglob("*.py")), ids=lambda file: file.stem)
def test_a_file_is_one_idea_and_a_function_a_screen(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 300
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert (node.end_lineno or 0) - node.lineno < 50, node.name
