"""The trained mini cascade means what it is asked: prompts through the shipped workflow in a real ComfyUI, judged."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from hosts import REPO, Host, environment

PROMPTS, LEAST_RIGHT = 8, 6
JUDGE, REGRESSION = REPO / "benchmarks" / "judge_cascade.py", REPO / "benchmarks" / "regression.py"


@pytest.mark.slow
def test_most_of_eight_prompts_are_seen_in_their_videos(host: Host, tmp_path: Path) -> None:
    command = [str(host.python), str(JUDGE), "--prompts", str(PROMPTS), "--most-memory", "2000", "--output", str(tmp_path)]
    done = subprocess.run(command, env=environment(host), capture_output=True, text=True)
    print(done.stdout)
    assert done.returncode == 0, done.stderr[-5000:]
    found = json.loads((tmp_path / "judge.json").read_text())
    assert found["video"]["score"]["clips"] == PROMPTS
    assert found["video"]["score"]["both"] * PROMPTS >= LEAST_RIGHT
    assert found["video"]["shuffled"]["both"] * PROMPTS < LEAST_RIGHT, "the judge finds what nobody asked for"
    compared = subprocess.run([str(host.python), str(REGRESSION), str(tmp_path / "judge.json")], capture_output=True, text=True)
    print(compared.stdout)
    assert compared.returncode == 0, compared.stdout + compared.stderr
