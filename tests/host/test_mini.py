"""The trained mini cascade means what it is asked: prompts through the shipped workflow in a real ComfyUI, judged."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from hosting.hosts import REPO, Host, environment

MOST_BY_CHANCE = 0.25  # of the videos held against the prompts shuffled: one of eight stays in its place, and a margin
JUDGE, REGRESSION = REPO / "benchmarks" / "judge_cascade.py", REPO / "benchmarks" / "regression.py"


# half a minute of two cores for each prompt
@pytest.mark.parametrize(("prompts", "least_right"), [(2, 1), pytest.param(8, 6, marks=pytest.mark.slow)])
def test_most_prompts_are_seen_in_their_videos(host: Host, tmp_path: Path, prompts: int, least_right: int) -> None:
    command = [str(host.python), str(JUDGE), "--prompts", str(prompts), "--most-memory", "2000", "--output", str(tmp_path)]
    done = subprocess.run(command, env=environment(host), capture_output=True, text=True)
    print(done.stdout)
    assert done.returncode == 0, done.stderr[-5000:]
    found = json.loads((tmp_path / "judge.json").read_text())
    assert found["video"]["score"]["clips"] == prompts
    assert found["video"]["score"]["both"] * prompts >= least_right
    if prompts == 8:  # two are too few to be shuffled, and the kept scores are of eight
        assert found["video"]["shuffled"]["both"] <= MOST_BY_CHANCE, "the judge finds what nobody asked for"
        command = [str(host.python), str(REGRESSION), str(tmp_path / "judge.json")]
        compared = subprocess.run(command, capture_output=True, text=True)
        print(compared.stdout)
        assert compared.returncode == 0, compared.stdout + compared.stderr
