"""The commands' branches for the other systems, with the calls of those systems replaced; and what holds on each of them."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType, SimpleNamespace

import psutil
import pytest

REPO = Path(__file__).resolve().parents[2]
sys.path.append(str(REPO / "scripts"))  # last: scripts/comfy.py is not the host's package

from hosting import environments, links, locks, processes  # noqa: E402
from terminal import Failure  # noqa: E402
from testing import browser  # noqa: E402


def on(platform: str) -> SimpleNamespace:
    """`sys` as a module sees it there."""
    return SimpleNamespace(platform=platform, stdout=sys.stdout, exit=sys.exit)


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    """A small pack, in a folder with a space and letters that are not ASCII."""
    folder = tmp_path / "my páck \u7247"
    (folder / "nodes").mkdir(parents=True)
    for name in ("__init__.py", "nodes/text.py", "README.md"):
        (folder / name).write_text(name, encoding="utf-8")
    return folder


@pytest.mark.parametrize("platform", ["linux", "darwin"])
def test_the_pack_is_linked(pack: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, platform: str) -> None:
    monkeypatch.setattr(links, "sys", on(platform))
    entry = tmp_path / "entry"
    assert not links.is_in_place(entry, pack)
    links.put_in_place(entry, pack)
    assert entry.is_symlink() and links.is_in_place(entry, pack)
    links.remove(entry)
    assert not entry.exists() and (pack / "nodes" / "text.py").is_file()


def test_on_windows_it_is_a_junction(pack: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    winapi = ModuleType("_winapi")
    winapi.CreateJunction = lambda source, target: os.symlink(source, target)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "_winapi", winapi)
    monkeypatch.setattr(links, "sys", on("win32"))
    entry = tmp_path / "entry"
    links.put_in_place(entry, pack)
    assert links.is_link(entry) and links.is_in_place(entry, pack)
    monkeypatch.setattr(Path, "rmdir", Path.unlink)  # there it takes away a junction
    links.remove(entry)
    assert not entry.exists() and (pack / "nodes" / "text.py").is_file()


def test_where_links_are_forbidden_it_is_copied_and_copied_again_when_it_changes(
    pack: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr(Path, "symlink_to", refuse)
    entry = tmp_path / "entry"
    links.put_in_place(entry, pack)
    assert "copied" in capsys.readouterr().err
    assert not links.is_link(entry) and links.is_in_place(entry, pack)
    assert not (entry / "README.md").exists(), "only what a host reads is copied"
    (pack / "nodes" / "text.py").write_text("something else", encoding="utf-8")
    assert not links.is_in_place(entry, pack)
    links.put_in_place(entry, pack)
    assert links.is_in_place(entry, pack)
    assert (entry / "nodes" / "text.py").read_text(encoding="utf-8") == "something else"


def test_a_link_that_leads_nowhere_is_replaced(pack: Path, tmp_path: Path) -> None:
    entry = tmp_path / "entry"
    entry.symlink_to(tmp_path / "gone")
    assert not links.is_in_place(entry, pack)
    links.put_in_place(entry, pack)
    assert links.is_in_place(entry, pack)


def test_a_lock_on_windows_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[int] = []

    def locking(_number: int, mode: int, _count: int) -> None:
        asked.append(mode)
        if len(asked) < 3:
            raise PermissionError(13, "Permission denied")

    msvcrt = ModuleType("msvcrt")
    vars(msvcrt).update(locking=locking, LK_NBLCK=2, LK_UNLCK=0)
    monkeypatch.setitem(sys.modules, "msvcrt", msvcrt)
    monkeypatch.setattr(locks, "sys", on("win32"))
    monkeypatch.setattr(locks, "PAUSE", 0.0)
    with locks.locked(tmp_path / "lock"):
        assert asked == [2, 2, 2]
    assert asked[-1] == 0
    assert capsys.readouterr().err.count("waiting for another command") == 1


def test_a_lock_is_held_by_one_and_let_go_of_by_the_dead(tmp_path: Path) -> None:
    holder = f"import sys, time\nfrom pathlib import Path\nsys.path.append({str(REPO / 'scripts')!r})\n" \
             "from hosting.locks import locked\n" \
             f"with locked(Path({str(tmp_path / 'lock')!r})): print('held', flush=True); time.sleep(600)"
    with subprocess.Popen([sys.executable, "-c", holder], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout and other.stdout.readline() == "held\n"
        with open(tmp_path / "lock", "a+b") as file:
            assert not locks._take(file)
            other.kill()
            other.wait()
            assert locks._take(file)


def test_a_process_is_set_apart_on_each_platform(monkeypatch: pytest.MonkeyPatch) -> None:
    assert processes.apart() == processes.Apart(new_session=True, flags=0)
    monkeypatch.setattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 512, raising=False)
    monkeypatch.setattr(processes, "sys", on("win32"))
    assert processes.apart() == processes.Apart(new_session=False, flags=512)


@pytest.mark.parametrize(("platform", "number"), [("linux", signal.SIGINT), ("darwin", signal.SIGINT), ("win32", 1)])
def test_a_host_is_asked_in_the_way_of_its_platform(monkeypatch: pytest.MonkeyPatch, platform: str, number: int) -> None:
    sent: list[int] = []
    monkeypatch.setattr(signal, "CTRL_BREAK_EVENT", 1, raising=False)
    monkeypatch.setattr(processes, "sys", on(platform))
    processes._ask(SimpleNamespace(send_signal=sent.append))  # type: ignore[arg-type]
    assert sent == [number]


PARENT = """
import signal, subprocess, sys, time
signal.signal(signal.SIGINT, {answer})
child = subprocess.Popen([sys.executable, "-c", "import signal, time; signal.signal(2, signal.SIG_IGN); time.sleep(600)"])
print(child.pid, flush=True)
time.sleep(600)
"""


@pytest.mark.parametrize("answer", ["signal.SIG_IGN", "signal.SIG_DFL"], ids=["deaf", "ready"])
def test_a_process_is_ended_with_what_it_started(answer: str) -> None:
    own = processes.apart()
    parent = subprocess.Popen([sys.executable, "-c", PARENT.format(answer=answer)], stdout=subprocess.PIPE,
                              start_new_session=own.new_session, creationflags=own.flags)
    with parent:
        assert parent.stdout
        child = int(parent.stdout.readline())
        processes.end_tree(parent, grace=0.3)
    assert parent.returncode not in (0, None)
    deadline = time.monotonic() + 10
    while psutil.pid_exists(child) and psutil.Process(child).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline, "the child is still there"
        time.sleep(0.05)


def test_what_is_gone_already_is_no_error() -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    known = psutil.Process(gone.pid)
    gone.wait()
    assert processes.started_by(gone.pid) == set()
    processes.kill([known])


def test_on_windows_a_command_waits_for_the_one_that_replaces_it(monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[tuple[list[str], dict[str, str]]] = []

    def call(command: list[str], env: dict[str, str]) -> int:
        called.append((command, env))
        return 7

    monkeypatch.setattr(processes, "sys", on("win32"))
    monkeypatch.setattr(processes, "subprocess", SimpleNamespace(call=call))
    before = signal.getsignal(signal.SIGINT)
    try:
        with pytest.raises(SystemExit) as ended:
            processes.become(["C:\\Program Files\\python.exe", "ein Ölbild.py"], {"A": "b"})
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN, "Ctrl-C is for the other one to answer"
    finally:
        signal.signal(signal.SIGINT, before)
    assert ended.value.code == 7
    assert called == [(["C:\\Program Files\\python.exe", "ein Ölbild.py"], {"A": "b"})]


@pytest.mark.parametrize(
    ("platform", "program"), [("linux", "bin/python"), ("darwin", "bin/python"), ("win32", "Scripts/python.exe")])
def test_where_an_environment_has_its_python(monkeypatch: pytest.MonkeyPatch, platform: str, program: str) -> None:
    monkeypatch.setattr(environments, "sys", on(platform))
    assert environments.python_of(Path("x")) == Path("x") / program


def test_a_browser_is_found_where_windows_keeps_its_programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "Google/Chrome/Application/chrome.exe"
    program.parent.mkdir(parents=True)
    program.touch()
    monkeypatch.setattr(shutil, "which", lambda _: None)
    monkeypatch.setattr(browser, "sys", on("win32"))
    monkeypatch.setenv("PROGRAMFILES(X86)", str(tmp_path))
    assert browser.find_chromium() == program
    monkeypatch.setattr(browser, "sys", on("darwin"))
    assert browser.find_chromium() in (None, *browser._usual_places())


@pytest.mark.parametrize(("platform", "user"), [("linux", 1000), ("darwin", 0), ("win32", 0)])
def test_a_browser_is_installed_by_nobody_but_root_on_debian(monkeypatch: pytest.MonkeyPatch, platform: str, user: int) -> None:
    monkeypatch.setattr(browser, "sys", on(platform))
    monkeypatch.setattr(os, "geteuid", lambda: user, raising=False)
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(browser, "_run", lambda *_: pytest.fail("a program was run"))
    with pytest.raises(Failure, match="install Chrome or Chromium"):
        browser._install_chromium()


def test_a_path_that_the_terminal_has_no_letters_for_is_printed_all_the_same() -> None:
    command = f"import sys; sys.path.append({str(REPO / 'scripts')!r}); from terminal import guarded\n" \
              "guarded(lambda _: print('C:\\\\späce \u7247.mp4') or 0)"
    done = subprocess.run([sys.executable, "-c", command], env=os.environ | {"PYTHONIOENCODING": "ascii"}, capture_output=True)
    assert (done.returncode, done.stdout.strip()) == (0, b"C:\\sp\\xe4ce \\u7247.mp4"), done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="a process of Windows cannot press Ctrl-C on itself")
def test_a_late_interrupt_changes_nothing() -> None:
    """It comes when the command has ended and the process is about to leave."""
    command = f"import sys; sys.path.append({str(REPO / 'scripts')!r}); from terminal import guarded\n" \
              "import os, signal, threading, time\n" \
              "threading.Thread(target=lambda: (time.sleep(1), os.kill(os.getpid(), signal.SIGINT), time.sleep(1))).start()\n" \
              "guarded(lambda _: 3)"
    done = subprocess.run([sys.executable, "-c", command], capture_output=True)
    assert (done.returncode, done.stderr) == (3, b"")
