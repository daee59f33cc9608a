"""scripts/evaluate.py on folders of tiny clips and networks with random weights."""

from __future__ import annotations

import csv
import importlib
import json
import os
import subprocess
import sys
import time
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

import numpy as np
import psutil
import pytest
from PIL import Image
from tiny_clip import write_clip
from tiny_networks import frames_of, write_networks, write_video, write_videos

COMMAND = Path(__file__).resolve().parents[2] / "scripts" / "evaluate.py"
FRECHET = ("fvd", "fvd-tats", "fid-vid")

MANY = 2000 if os.environ.get("SHOW1_SWEEP") == "1" else 500  # clips of the large folder
MOST_GROWTH = 16 * 2**20  # bytes; the frames of 500 clips are 24 MB


@pytest.fixture(scope="module")
def networks(tmp_path_factory) -> Path:
    folder = write_networks(tmp_path_factory.mktemp("networks"))
    write_clip(folder / "clip")
    return folder


@pytest.fixture(scope="module")
def sets(tmp_path_factory) -> Path:
    """`drawn` and `real`, 24 clips each."""
    root = tmp_path_factory.mktemp("sets")
    for seed, name in enumerate(("drawn", "real")):
        write_videos(root / name, 24, seed)
    return root


@dataclass(frozen=True)
class Done:
    """How a run of the command ended, and what it said."""

    failure: str
    stdout: str
    stderr: str


@pytest.fixture
def evaluate(monkeypatch):
    """Run the command in this process, which has torch loaded; `paths` are its options."""
    monkeypatch.syspath_prepend(str(COMMAND.parent))
    command, terminal = importlib.import_module("evaluate"), importlib.import_module("terminal")

    def run(*arguments, **paths) -> Done:
        options = [str(word) for name, value in paths.items() for word in (f"--{name.replace('_', '-')}", value)]
        out, err = StringIO(), StringIO()
        with redirect_stdout(out), redirect_stderr(err):
            try:
                failure = "" if command.main([*arguments, *options, "--workers", "1", "--device", "cpu"]) == 0 else "not 0"
            except terminal.Failure as error:
                failure = str(error)
        return Done(failure, out.getvalue(), err.getvalue())

    yield run
    for name in [name for name in sys.modules if name.split(".")[0] in ("evaluate", "evaluating")]:
        del sys.modules[name]


def figures(done: Done, output: Path) -> dict[str, dict]:
    """The metrics of a run that went well."""
    assert not done.failure, done.failure
    return json.loads(output.read_text())["metrics"]


def refused(done: Done) -> str:
    """The one sentence of a run that was refused."""
    assert done.failure and "\n" not in done.failure, done
    return done.failure


def table(file: Path, ids: list[str]) -> Path:
    with file.open("w", newline="") as stream:
        csv.writer(stream).writerows([("id", "prompt"), *((name, "a red circle moving left") for name in ids)])
    return file


def test_every_metric_in_one_run(evaluate, sets, networks, tmp_path):
    prompts = table(tmp_path / "prompts.csv", [f"{number:05}" for number in range(24)])
    done = evaluate(*FRECHET, "is", "clipsim", "consistency", generated=sets / "drawn", real=sets / "real", networks=networks,
                    prompts=prompts, work=tmp_path / "work", output=tmp_path / "out.json")
    found = figures(done, tmp_path / "out.json")
    assert list(found) == [*FRECHET, "is", "clipsim", "consistency"]
    assert all(one["clips"] == 24 and one["error"] > 0 and len(one["network"]["sha256"]) == 64 for one in found.values())
    assert all(found[name]["value"] > 0 for name in FRECHET) and 1 < found["is"]["value"] < 101
    assert -1 <= found["clipsim"]["value"] <= 1 and -1 <= found["consistency"]["value"] <= 1
    assert [line.split("  ")[0] for line in done.stdout.splitlines()] == [
        "metric", "FVD (styleganv)", "FVD (tats)", "FID-vid", "IS", "CLIPSIM", "frame consistency"]
    assert found["fvd"]["network"]["sha256"] in done.stderr


def test_the_command_is_the_library(evaluate, sets, networks, tmp_path):
    """The value of the table is the distance of features that are computed here."""
    import torch

    from show1_core.evaluation import frechet_distance
    from show1_core.evaluation.extractors import EXTRACTORS

    done = evaluate("fvd", generated=sets / "drawn", real=sets / "real", networks=networks, work=tmp_path / "work",
                    output=tmp_path / "out.json")
    run = EXTRACTORS["i3d-styleganv"].prepare(networks / "i3d_torchscript.pt", torch.device("cpu"))
    features = [torch.cat([run(torch.from_numpy(decoded(file))) for file in sorted((sets / name).iterdir())])
                for name in ("drawn", "real")]
    assert figures(done, tmp_path / "out.json")["fvd"]["value"] == pytest.approx(frechet_distance(*features), rel=1e-6)


def decoded(file: Path) -> np.ndarray:
    import av

    with av.open(str(file)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


def test_equal_sets_are_at_distance_zero_however_they_are_stored(evaluate, networks, tmp_path):
    """Folders of pictures are clips, in the order of the numbers in their names."""
    for number in range(12):
        for frame, pixels in enumerate(frames_of(number, 18), start=1):
            for file in (tmp_path / "a" / f"{number}" / f"frame_{frame}.png", tmp_path / "b" / f"{number}" / f"{frame:03}.png"):
                file.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(pixels).save(file)
    Image.new("RGB", (8, 8)).save(tmp_path / "a" / "sheet.png")  # of the whole folder, and no clip
    done = evaluate(*FRECHET, generated=tmp_path / "a", real=tmp_path / "b", networks=networks, work=tmp_path / "work",
                    output=tmp_path / "out.json")
    for name, one in figures(done, tmp_path / "out.json").items():
        assert one["value"] == pytest.approx(0, abs=1e-10) and one["clips"] == 12, name


def test_another_number_of_frames_is_another_preprocessing(evaluate, networks, tmp_path):
    for name, level in (("black", 0), ("white", 255)):
        for number in range(4):
            for frame in range(30):
                file = tmp_path / name / f"{number}" / f"{frame}.png"
                file.parent.mkdir(parents=True, exist_ok=True)
                Image.new("RGB", (16, 16), (level,) * 3).save(file)
    common = {"generated": tmp_path / "black", "networks": networks, "work": tmp_path / "work", "output": tmp_path / "out.json"}
    found = figures(evaluate("fvd", **common, real=tmp_path / "white", frames=30, save_statistics=tmp_path / "kept"),
                    tmp_path / "out.json")
    assert found["fvd"]["preprocessing"].startswith("the middle 30 frames") and found["fvd"]["error"] == 0
    assert "the preprocessing is 'the middle 16 frames" in refused(evaluate("fvd", **common, real=tmp_path / "kept"))
    assert "it has 30 frames; 31 or more are needed" in evaluate("fvd", **common, real=tmp_path / "white", frames=31).stderr


def test_a_batchs_output_is_taken_as_it_is(evaluate, networks, tmp_path):
    for number in range(3):
        write_video(tmp_path / "out" / f"id{number}" / "video_00001_.mp4", frames_of(number))
        Image.new("RGB", (8, 8)).save(tmp_path / "out" / f"id{number}" / "sheet.png")
    (tmp_path / "out" / "manifest.jsonl").write_text("{}\n")
    prompts = tmp_path / "prompts.jsonl"
    prompts.write_text("".join(json.dumps({"id": f"id{number}", "prompt": "a red circle"}) + "\n" for number in range(3)))
    done = evaluate("clipsim", generated=tmp_path / "out", networks=networks, prompts=prompts, work=tmp_path / "work",
                    output=tmp_path / "out.json")
    assert figures(done, tmp_path / "out.json")["clipsim"]["clips"] == 3


def test_a_real_set_is_measured_once(evaluate, sets, networks, tmp_path):
    common = {"generated": sets / "drawn", "networks": networks, "output": tmp_path / "out.json"}
    first = figures(evaluate(*FRECHET, **common, real=sets / "real", work=tmp_path / "w1", save_statistics=tmp_path / "kept"),
                    tmp_path / "out.json")
    assert sorted(file.name for file in (tmp_path / "kept").iterdir()) == [
        "i3d-styleganv.safetensors", "i3d-tats.safetensors", "inception.safetensors"]
    again = figures(evaluate(*FRECHET, **common, real=tmp_path / "kept", work=tmp_path / "w2"), tmp_path / "out.json")
    for name in FRECHET:
        assert again[name]["value"] == pytest.approx(first[name]["value"], rel=1e-6), name
    assert again["fvd"]["error"] == pytest.approx(first["fvd"]["error"], rel=1e-6)
    assert again["fid-vid"]["error"] <= first["fid-vid"]["error"]  # of its pictures only the covariance was kept
    one_file = evaluate("fvd", **common, real=tmp_path / "kept" / "i3d-styleganv.safetensors", work=tmp_path / "w2")
    assert figures(one_file, tmp_path / "out.json")["fvd"] == again["fvd"]


def test_networks_are_named_one_by_one_and_before_those_of_the_folder(evaluate, sets, networks, tmp_path):
    mine = tmp_path / "mine.pt"
    mine.write_bytes((networks / "c3d_ucf101.pt").read_bytes())
    common = {"generated": sets / "drawn", "output": tmp_path / "out.json", "work": tmp_path / "work"}
    clip = ("--network", f"clip={networks / 'clip'}")
    alone = figures(evaluate("is", "consistency", *clip, **common, network=f"c3d={mine}"), tmp_path / "out.json")
    assert alone["is"]["network"]["file"] == "mine.pt" and alone["consistency"]["network"]["file"] == "clip"
    beside = figures(evaluate("is", "consistency", **common, network=f"c3d={mine}", networks=networks), tmp_path / "out.json")
    assert beside == alone
    assert figures(evaluate("is", **common, networks=networks), tmp_path / "out.json")["is"]["network"]["file"] == "c3d_ucf101.pt"


@pytest.mark.parametrize("option, sentence", [
    ("i3d=somewhere", "--network i3d=somewhere names no network; expected NAME=PATH with a NAME of i3d-styleganv, i3d-tats"),
    ("c3d", "--network c3d names no network"), ("c3d=", "--network c3d= names no network"),
    ("c3d=absent.pt", "absent.pt is not there; expected C3D"),
    ("clip={here}", "C3D for the Inception score of videos is not named; get it (linked in src/metrics/video_inception_score.py"),
    ("c3d={here}", "is no TorchScript file")])
def test_a_network_that_is_named_wrongly_is_a_sentence(evaluate, sets, option, sentence, tmp_path):
    done = evaluate("is", generated=sets / "drawn", network=option.format(here=tmp_path), work=tmp_path / "work")
    assert sentence in refused(done)


REFUSALS = {
    "no network": ("fvd", {"networks": "empty"}, "i3d_torchscript.pt"),
    "no real videos": ("fvd", {"real": None}, "give --real a folder"),
    "absent real videos": ("fvd", {"real": "absent"}, "is not there"),
    "no prompts": ("clipsim", {}, "give --prompts"),
    "a prompt is missing": ("clipsim", {"prompts": "short.csv"}, "00001 has no prompt"),
    "a table without ids": ("clipsim", {"prompts": "wrong.csv"}, "row 1 of"),
    "no clips": ("is", {"generated": "empty"}, "has no clips"),
    "no folder": ("is", {"generated": "absent"}, "is no folder"),
    "more clips than there are": ("is", {"clips": 25}, "fewer than --clips 25"),
    "another number of clips": ("fvd", {"generated": "few"}, "20 generated and 24 real clips"),
    "too few for the splits": ("is", {"generated": "handful"}, "3 clips; it needs 10"),
    "not TorchScript": ("fvd", {"networks": "damaged"}, "is no TorchScript file"),
    "statistics of nothing": ("fvd", {"real": "other.safetensors"}, "is no file of statistics"),
    "statistics of another network": ("fvd", {"real": "kept", "networks": "others"}, "the network is"),
}


@pytest.fixture(scope="module")
def wrong(sets, tmp_path_factory) -> Path:
    """What the refusals name."""
    from safetensors.numpy import save_file

    root = tmp_path_factory.mktemp("wrong")
    (root / "empty").mkdir()
    (root / "damaged").mkdir()
    (root / "damaged" / "i3d_torchscript.pt").write_bytes(b"nothing")
    write_networks(root / "others", dimensions=5)
    write_videos(root / "few", 20, 3)
    write_videos(root / "handful", 3, 3)
    table(root / "short.csv", ["00000"])
    (root / "wrong.csv").write_text("number,words\n1,a\n")
    save_file({"mean": np.zeros(3)}, root / "other.safetensors")
    return root


@pytest.mark.parametrize("case", REFUSALS)
def test_what_cannot_be_measured_is_refused_in_a_sentence(evaluate, case, sets, networks, wrong):
    metric, changed, sentence = REFUSALS[case]
    common = {"generated": sets / "drawn", "real": sets / "real", "networks": networks, "work": wrong / "work"}
    if changed.get("real") == "kept":
        evaluate("fvd", **common, save_statistics=wrong / "kept")
    named = {name: wrong / value if isinstance(value, str) else value for name, value in changed.items()}
    options = {name: value for name, value in (common | named).items() if value is not None}
    assert sentence in refused(evaluate(metric, **options))


def test_broken_clips_are_named_and_left_out_only_when_asked(evaluate, networks, tmp_path):
    count, broken = 100, {7, 57}
    generated, real = (write_videos(tmp_path / name, count, seed, broken if name == "drawn" else ())
                       for seed, name in enumerate(("drawn", "real")))
    common = {"generated": generated, "networks": networks, "work": tmp_path / "work", "output": tmp_path / "out.json"}
    done = evaluate("fvd", **common, real=real)
    assert f"2 clips cannot be read, such as {generated / '00007.mp4'}" in refused(done)
    assert named_broken(done.stderr) == {str(generated / f"{number:05}.mp4") for number in broken}
    assert not (tmp_path / "out.json").exists()
    unequal = refused(evaluate("fvd", "--skip-broken", **common, real=real))
    assert f"{count - len(broken):,} generated and {count:,} real" in unequal
    found = figures(evaluate("fvd", "--skip-broken", **common, real=real, clips=count - len(broken)), tmp_path / "out.json")
    assert found["fvd"]["clips"] == count - len(broken)
    assert len(json.loads((tmp_path / "out.json").read_text())["left out"]["generated"]) == len(broken)


DECODE = """
import sys
from pathlib import Path
from evaluating.decoding import Wanted, decode
for folder in map(Path, sys.argv[1:]):
    print(decode(folder, Wanted(4, 4)).reason or "read")
print("torch" in sys.modules)
"""


def test_a_clip_that_cannot_be_read_is_a_reason_in_a_process_without_torch(tmp_path):
    for name, count in (("whole", 5), ("few", 3), ("huge", 5), ("sizes", 5)):
        (tmp_path / name).mkdir()
        for number in range(count):
            size = (8 + (number == 3), 8) if name == "sizes" else (8, 8)
            Image.new("RGB", size).save(tmp_path / name / f"{number}.png")
    (tmp_path / "huge" / "2.png").write_bytes(b"P6 100000 100000 255\n")  # which Pillow will not try, by an error of its own
    done = subprocess.run([sys.executable, "-c", DECODE, *(tmp_path / name for name in ("whole", "few", "huge", "sizes"))],
                          cwd=COMMAND.parent, env=os.environ | {"PYTHONPATH": str(COMMAND.parents[1])},
                          capture_output=True, text=True)
    read, few, huge, sizes, torch = done.stdout.splitlines() or [done.stderr]
    assert (read, few, torch) == ("read", "it has 3 frames; 4 or more are needed", "False")
    assert huge.startswith("2.png: ") and sizes == "3.png has another size than the frames before it"


@pytest.mark.parametrize("option", ["clips", "frames", "workers"])
def test_numbers_below_one_are_refused_by_the_command_line(evaluate, option):
    with pytest.raises(SystemExit):
        evaluate("fvd", f"--{option}", "0", generated="nowhere")


@pytest.mark.slow  # hundreds of clips are read twice
def test_a_large_folder_with_broken_clips_goes_on_after_a_kill_in_flat_memory(evaluate, networks, tmp_path):
    """One folder, one in a hundred broken: killed in the middle, then to the end, then without the broken ones."""
    broken, work, output = set(range(7, MANY, 100)), tmp_path / "work", tmp_path / "out.json"
    generated = write_videos(tmp_path / "drawn", MANY, 1, broken)
    command = [sys.executable, str(COMMAND), "is", "--generated", str(generated), "--networks", str(networks),
               "--work", str(work), "--output", str(output), "--workers", "1", "--device", "cpu"]
    killed = watched(command, work, MANY // 2)
    assert killed.code != 0 and MANY // 4 <= clips_in(work) < MANY, "it was over before it could be killed"
    whole = watched(command, work)
    assert whole.code == 1 and f"{len(broken)} clips cannot be read, such as {generated / '00007.mp4'}" in whole.stderr
    assert named_broken(whole.stderr) == {str(generated / f"{number:05}.mp4") for number in broken}
    assert not output.exists() and len(list(work.rglob("*.safetensors"))) <= -(-MANY // 64) + 1, "clips were measured twice"
    skipping = watched([*command, "--skip-broken"], work)
    assert skipping.code == 0, skipping.stderr
    found = json.loads(output.read_text())
    assert found["metrics"]["is"]["clips"] == MANY - len(broken) and len(found["left out"]["generated"]) == len(broken)
    runs, first = (killed, whole, skipping), killed.sizes[0]
    growth = max(max(run.sizes, default=0) for run in runs) - first
    print(f"{MANY:,} clips, {len(broken)} broken: {' + '.join(f'{run.seconds:.0f}' for run in runs)} s; {first >> 20} MiB with "
          f"the first 64 clips kept, at most {growth >> 20} MiB more, decoding process included")
    assert growth <= MOST_GROWTH, [run.sizes for run in runs]
    fresh = evaluate("is", "--skip-broken", generated=generated, networks=networks, work=tmp_path / "fresh", output=output)
    assert found["metrics"] == figures(fresh, output)


def named_broken(stderr: str) -> set[str]:
    """The clips that lines call broken."""
    return {line.split(": ")[1] for line in stderr.splitlines() if line.startswith("broken: ")}


@dataclass(frozen=True)
class Watched:
    """How a process ended, what it said, its seconds, and the memory of all of its processes while clips were being kept."""

    code: int
    stderr: str
    seconds: float
    sizes: list[int]


def watched(command: list[str], work: Path, kill_at: int | None = None) -> Watched:
    """Run the command to its end, or kill it when so many clips are kept; no process of it stays."""
    sizes: list[int] = []
    began, log = time.monotonic(), work.with_suffix(".log")
    with log.open("w") as stderr, subprocess.Popen(command, stderr=stderr, stdout=subprocess.DEVNULL) as process:
        family = [psutil.Process(process.pid)]
        while process.poll() is None:
            if clips_in(work):
                family[1:] = family[0].children(recursive=True)
                sizes.append(sum(map(resident, family)))
            if kill_at is not None and clips_in(work) >= kill_at:
                process.kill()
            time.sleep(0.05)
    assert psutil.wait_procs(family[1:], timeout=20)[1] == [], "a decoding process outlived the command"
    return Watched(process.returncode, log.read_text(), time.monotonic() - began, sizes)


def resident(process: psutil.Process) -> int:
    """A process's resident bytes; none once it has ended."""
    try:
        return process.memory_info().rss
    except psutil.NoSuchProcess:
        return 0


def clips_in(work: Path) -> int:
    """How many clips are kept, by the whole files of 64."""
    return 64 * len(list(work.rglob("*.safetensors")))


def test_a_clip_that_changed_is_measured_again(evaluate, networks, tmp_path):
    generated = write_videos(tmp_path / "drawn", 12, 1)
    common = {"generated": generated, "networks": networks, "work": tmp_path / "work", "output": tmp_path / "out.json"}
    before = figures(evaluate("is", **common), tmp_path / "out.json")
    write_video(generated / "00003.mp4", frames_of(99))
    after = figures(evaluate("is", **common), tmp_path / "out.json")
    assert after["is"]["value"] != before["is"]["value"]
    assert after == figures(evaluate("is", **common | {"work": tmp_path / "fresh"}), tmp_path / "out.json")
