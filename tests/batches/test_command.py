"""The whole command against a server: results, failures, stops, refusals."""

from __future__ import annotations

import signal
import subprocess

import pytest
from harness import WORKFLOW, Bench, check_complete, wait_until

pytestmark = pytest.mark.slow
resource = pytest.importorskip("resource", reason="Windows has no limits by which a disk could be made to look full")


def test_rows_become_results(bench: Bench) -> None:
    """Seeds multiply rows, equal rows are one result with two lines, a node that fails stops only its own row."""
    bench.write_table([("Picture.prompt", "seed", "#note"), ("a, comma", "0-1", "x"), ("ends in FAIL", 3), ("a, comma", 1)])
    server = bench.serve()
    ran = bench.run("--servers", server.url)
    assert ran.returncode == 1 and "this prompt cannot be drawn" in ran.stderr, ran.stderr
    assert sorted(result.graph["2"]["inputs"]["seed"] for result in bench.results()) == [0, 1]
    assert sorted(line["row"] for line in bench.lines("done")) == [1, 1, 3]
    assert bench.made() == 2
    assert "failed    1" in bench.status() and "row 2" in bench.status()
    assert (bench.output / "index.html").exists() and (bench.output / "contact-sheet.png").exists()
    assert (bench.output / "prompts.csv").read_text(encoding="utf-8").count("a, comma") == 2

    again = bench.run("--servers", server.url)
    assert again.returncode == 1 and bench.made() == 2 and len(bench.lines("failed")) == 1
    bench.run("--servers", server.url, "--retry")
    assert len(bench.lines("failed")) == 2


def test_server_without_the_nodes(bench: Bench) -> None:
    """It is said before any row, though another server would do."""
    bench.write_table([("2.prompt",), ("a",)])
    ran = bench.run("--servers", bench.serve().url, (lacking := bench.serve(FAKE_LACKS="FakePicture")).url)
    assert ran.returncode == 1 and f"{lacking.url} has no FakePicture" in ran.stderr, ran.stderr
    assert bench.lines("start") == []


def test_files_go_along(bench: Bench) -> None:
    """A file is found beside the table, uploaded once, and named by what is in it."""
    (bench.folder / "cat.png").write_bytes(b"a picture")
    bench.write_table([("2.prompt", "2.image"), ("a", "cat.png"), ("b", "cat.png"), ("c", "here.png")])
    server = bench.serve()
    assert bench.run("--servers", server.url).returncode == 0
    (uploaded,) = (server.output / "input" / "batch").iterdir()
    assert uploaded.read_bytes() == b"a picture"
    assert {result.graph["2"]["inputs"]["image"] for result in bench.results()} == {f"batch/{uploaded.name}", "here.png"}


def test_columns_of_other_names(bench: Bench) -> None:
    """A table of the evaluation: id, prompt, seed."""
    bench.write_table([("id", "prompt", "seed"), ("v1", "a dog", 4)])
    ran = bench.run("--servers", bench.serve().url, "--column", "prompt=2.prompt", "--column", "id=#id")
    assert ran.returncode == 0, ran.stderr
    assert bench.results()[0].prompt == "a dog" and bench.lines("done")[0]["values"]["id"] == "v1"


def test_row_that_kills(bench: Bench) -> None:
    """It is set aside after the second death, and all others are made."""
    prompts = [f"prompt {number}" for number in range(12)]
    bench.write_table([("2.prompt",), ("KILL this",), *((prompt,) for prompt in prompts)])
    servers = [bench.serve() for _ in range(2)]
    driver = bench.start("--servers", *(server.url for server in servers))
    while driver.poll() is None:
        for server in servers:
            if server.process.poll() is not None:
                server.start()
    (failed,) = bench.lines("failed")
    assert failed["row"] == 1 and "set aside" in failed["error"]
    assert sum(line["running"] for line in bench.lines("lost")) == 2
    assert sorted(result.prompt for result in bench.results()) == sorted(prompts)


@pytest.mark.parametrize("presses", [1, 2])
def test_interrupt(bench: Bench, presses: int) -> None:
    """Once: what runs is finished and put away. Twice: nothing is. Neither leaves anything half made or on the server."""
    bench.write_table([("2.prompt",), *((f"prompt {number}",) for number in range(5))])
    server = bench.serve(FAKE_SECONDS="1.5" if presses == 1 else "600")  # twice must not wait for what runs
    driver = bench.start("--servers", server.url)
    wait_until(lambda: len(bench.lines("start")) == 2 and server.running())  # else there is nothing to finish
    for answer in ("finishing what runs", "\nstopping")[:presses]:
        driver.send_signal(signal.SIGINT)
        wait_until(lambda answer=answer: answer in bench.said())
    assert driver.wait(timeout=20) == 1
    assert len(bench.results()) == (1 if presses == 1 else 0)
    assert not list(bench.output.glob(".part-*"))
    server.kill()
    server = bench.serve()
    ran = bench.run("--servers", server.url)
    assert ran.returncode == 0, ran.stderr
    check_complete(bench, [f"prompt {number}" for number in range(5)])
    assert bench.made() == 5


def test_driver_killed(bench: Bench) -> None:
    """The next one takes over what the server still has, so nothing is drawn twice."""
    prompts = [f"prompt {number}" for number in range(8)]
    bench.write_table([("2.prompt",), *((prompt,) for prompt in prompts)])
    server = bench.serve(FAKE_SECONDS="0.5")
    driver = bench.start("--servers", server.url, "--in-flight", "3")
    wait_until(lambda: len(bench.lines("done")) >= 2)
    driver.kill()
    driver.wait()
    assert bench.run("--servers", server.url).returncode == 0
    check_complete(bench, prompts)
    assert bench.made() == 8


@pytest.mark.parametrize("limit", [300, 5000], ids=["manifest", "picture"])
def test_disk_full(bench: Bench, limit: int) -> None:
    """One sentence; nothing half made; with room again the same command goes on."""
    saving = {"class_type": "FakeSave", "inputs": WORKFLOW["3"]["inputs"] | {"comment": "x" * 9000}}  # embedded in the picture
    bench.write_workflow(WORKFLOW | {"3": saving})
    bench.write_table([("2.prompt",), ("a",), ("b",)])
    server = bench.serve()
    full = subprocess.run(bench.command("--servers", server.url), env=bench.environment, capture_output=True, text=True,
                          preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)), timeout=60)
    assert full.returncode == 1 and "cannot be written" in full.stderr and "Traceback" not in full.stderr, full.stderr
    assert bench.results() == [] and not list(bench.output.glob(".part-*"))
    assert bench.run("--servers", server.url).returncode == 0
    check_complete(bench, ["a", "b"])


def test_unwritable_folder(bench: Bench) -> None:
    bench.write_table([("2.prompt",), ("a",)])
    bench.output = bench.folder.joinpath("/proc/none")
    ran = bench.run("--servers", "http://127.0.0.1:9")
    assert ran.returncode == 1 and ran.stderr.startswith("error: /proc/none cannot be written to"), ran.stderr


def test_two_at_once(bench: Bench) -> None:
    """The second batch in a folder is refused."""
    bench.write_table([("2.prompt",), ("SLOW",)])
    server = bench.serve()
    bench.start("--servers", server.url)
    wait_until(lambda: bench.output.exists() and bench.lines("start"))
    assert "another batch is writing" in bench.run("--servers", server.url).stderr
    assert "running   1" in bench.status()


def test_workflow_alike_for_all(bench: Bench) -> None:
    """--set counts for the identity as a column does."""
    bench.write_table([("2.prompt",), ("a",)])
    server = bench.serve()
    for strength in ("0.25", "0.75"):
        assert bench.run("--servers", server.url, "--set", f"2.strength={strength}").returncode == 0
    assert sorted(result.graph["2"]["inputs"]["strength"] for result in bench.results()) == [0.25, 0.75]
    assert WORKFLOW["2"]["inputs"]["strength"] == 0.5
