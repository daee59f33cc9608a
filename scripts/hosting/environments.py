"""Python environments: made, filled by pip, and asked."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from terminal import Failure, say

from .steps import Attempt


def python_of(folder: Path) -> Path:
    """The Python of a virtual environment."""
    return folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")


def make_environment(python: Path | str, folder: Path) -> Path:
    """A fresh virtual environment; its Python."""
    code, said = hear([str(python), "-m", "venv", "--clear", str(folder)])
    if code:
        raise Failure(
            f"{python} cannot make a virtual environment ({last_words(said)}); "
            "install Python's venv and ensurepip (on Debian and Ubuntu: the package python3-venv)."
        )
    return python_of(folder)


def pip(python: Path, attempt: Attempt, arguments: list[str]) -> None:
    """Run pip; what it says is shown while it lasts, and its last words are the reason when it fails."""
    command = [str(python), "-m", "pip", "--disable-pip-version-check", "--no-input", *arguments]
    said: list[str] = []
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8", errors="replace"
    )
    with process:
        for text in process.stdout or ():
            said.append(text)
            attempt.report(text.strip()[:60])
    if process.returncode:
        say("".join(said[-20:]))
        raise Failure(
            f"pip could not {arguments[0]} {arguments[-1]} ({last_words(''.join(said))}); "
            "check the connection and the free space and run the command again: it goes on where it stopped."
        )


def versions_offered(python: Path, package: str) -> list[str]:
    """What pip, asked as it is configured, knows of a package; the newest first."""
    command = [str(python), "-m", "pip", "--disable-pip-version-check", "index", "versions", package]
    asked = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    lines = [line for line in asked.stdout.splitlines() if line.startswith("Available versions:")]
    return lines[0].partition(":")[2].replace(" ", "").split(",") if lines else []


def hear(command: list[str], variables: dict[str, str] | None = None) -> tuple[int, str]:
    """A program's exit code, and everything it said."""
    done = subprocess.run(command, env=variables, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          encoding="utf-8", errors="replace")
    return done.returncode, done.stdout


def last_words(text: str) -> str:
    """The last line that says something: of a program that failed, its reason."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "no message"
