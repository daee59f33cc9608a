"""The parts of the commands that need no ComfyUI."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

REPO = Path(__file__).resolve().parents[2]
sys.path.append(str(REPO / "scripts"))  # last: scripts/comfy.py is not the host's package

from hosting import hosts, steps  # noqa: E402
from hosting.steps import Attempt, Step  # noqa: E402
from terminal import Failure, bar  # noqa: E402
from workflows import workflow as workflows  # noqa: E402
from workflows.events import Event, failure, refusal  # noqa: E402
from workflows.workflow import Setting, apply, load, parse_setting  # noqa: E402

Json = dict[str, Any]
INFO: Json = {
    "Sampler": {"input": {"required": {"seed": ["INT"], "text": ["STRING"]}, "optional": {"fps": ["FLOAT"]}}},
    "Save": {"input": {"required": {"prefix": ["STRING"]}}, "display_name": "Save it"},
}


@pytest.fixture
def prompt() -> Json:
    return {
        "1": {"class_type": "Sampler", "inputs": {"seed": 1, "text": "a"}, "_meta": {"title": "v1.5 first"}},
        "2": {"class_type": "Sampler", "inputs": {"seed": 2, "text": "b"}, "_meta": {"title": "second"}},
        "3": {"class_type": "Save", "inputs": {"prefix": "x", "images": ["2", 0]}},
    }


@pytest.mark.parametrize(
    ("text", "target", "value"),
    [
        ("3.seed=7", "3.seed", "7"),
        ("A title. With a dot.text=a=b", "A title. With a dot.text", "a=b"),
        ("*.seed=", "*.seed", ""),
    ],
)
def test_a_setting_is_split_at_its_first_equals_sign(text: str, target: str, value: str) -> None:
    assert parse_setting(text) == Setting(target, value)


@pytest.mark.parametrize("text", ["", "seed=3", "3.seed", ".=1", "=", "3.=1", ".seed=1"])
def test_a_setting_without_node_or_input_is_refused(text: str) -> None:
    with pytest.raises(Failure, match="NODE.input=VALUE"):
        parse_setting(text)


@pytest.mark.parametrize(
    ("setting", "node_id", "name", "value"),
    [
        ("1.seed=7", "1", "seed", 7),
        ("v1.5 first.seed=7", "1", "seed", 7),
        ("Save.prefix=video/x", "3", "prefix", "video/x"),
        ("second.fps=2.5", "2", "fps", 2.5),
        ("1.text=42", "1", "text", "42"),
        ('1.text="quoted"', "1", "text", "quoted"),
        ("1.text=true", "1", "text", "true"),
        ('3.images=["1", 0]', "3", "images", ["1", 0]),
        ("3.images=none", "3", "images", "none"),
    ],
)
def test_a_setting_reaches_its_input(
    prompt: Json, setting: str, node_id: str, name: str, value: object
) -> None:
    apply([parse_setting(setting)], prompt, INFO)
    assert prompt[node_id]["inputs"][name] == value


def test_a_star_sets_every_node_that_has_the_input(prompt: Json) -> None:
    apply([parse_setting("*.seed=9")], prompt, INFO)
    assert [node["inputs"].get("seed") for node in prompt.values()] == [9, 9, None]


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("Sampler.seed=1", ["1 (Sampler, 'v1.5 first')", "2 (Sampler, 'second')", "id"]),
        ("nobody.seed=1", ["nobody.seed", "3 (Save)"]),
        ("1.speed=1", ["Sampler", "'speed'", "fps, seed, text"]),
        ("*.speed=1", ["'speed'"]),
    ],
)
def test_a_setting_that_hits_nothing_says_what_there_is(prompt: Json, setting: str, words: list[str]) -> None:
    before = json.dumps(prompt)
    with pytest.raises(Failure) as refused:
        apply([parse_setting(setting)], prompt, INFO)
    assert all(word in str(refused.value) for word in words), str(refused.value)
    assert json.dumps(prompt) == before


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"a": 1}', '{"nodes": 3}', "null"])
def test_a_file_that_is_no_workflow_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "workflow.json"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(Failure, match="is not a workflow"):
        load(file)


def test_a_missing_workflow_is_named(tmp_path: Path) -> None:
    with pytest.raises(Failure, match="there is no workflow file .*gone.json"):
        load(tmp_path / "gone.json")


def test_an_api_workflow_needs_no_conversion(prompt: Json) -> None:
    assert workflows.to_api(prompt, INFO) is prompt


def test_a_node_is_called_what_the_user_sees(prompt: Json) -> None:
    titles = [workflows.title_of(node, INFO) for node in prompt.values()]
    assert titles == ["v1.5 first", "second", "Save it"]


def test_a_refusal_names_each_reason_once() -> None:
    error = {
        "type": "custom_validation_failed",
        "message": "Custom validation failed for node",
        "details": "dtype - There is no dtype int3.",
        "extra_info": {"input_name": "dtype"},
    }
    twice = [
        error,
        error | {"details": "model - There is no dtype int3.", "extra_info": {"input_name": "model"}},
    ]
    reply = {"error": {"message": "failed"}, "node_errors": {"4": {"class_type": "Loader", "errors": twice}}}
    assert refusal(reply) == "Loader (node 4): There is no dtype int3."


def test_a_refusal_of_the_whole_prompt_is_passed_on() -> None:
    reply = {"error": {"type": "invalid_prompt", "message": "No node X.", "details": "#3"}, "node_errors": []}
    assert refusal(reply) == "No node X. (#3)"


@pytest.mark.parametrize(
    ("kind", "message", "said"),
    [
        ("ValueError", "The model is of another stage.\n", "The model is of another stage."),
        ("KeyError", "'x'", "KeyError: 'x'"),
        ("AssertionError", "", "AssertionError: AssertionError"),
    ],
)
def test_a_failing_node_is_quoted(kind: str, message: str, said: str) -> None:
    event = Event("execution_error", {"exception_type": kind, "exception_message": message})
    assert failure(event) == said


def test_a_step_is_done_once_and_again_when_its_inputs_change(tmp_path: Path) -> None:
    runs: list[bool] = []

    def step(version: str) -> Step:
        return Step("s", tmp_path / "stamps" / "s", (version,), lambda attempt: runs.append(attempt.broken))

    steps.run_steps([step("1")])
    steps.run_steps([step("1")])
    assert runs == [False]
    steps.run_steps([step("2")])
    assert runs == [False, False]


def test_a_killed_step_is_done_again_and_told_so(tmp_path: Path) -> None:
    told: list[bool] = []

    def action(attempt: Attempt) -> None:
        told.append(attempt.broken)
        if len(told) == 2:
            raise KeyboardInterrupt

    def step(version: str) -> Step:
        return Step("s", tmp_path / "s", (version,), action)

    steps.run_steps([step("1")])
    with pytest.raises(KeyboardInterrupt):
        steps.run_steps([step("2")])
    assert not step("2").is_done() and not step("1").is_done()
    steps.run_steps([step("2")])
    assert told == [False, False, True]
    assert step("2").is_done()


def test_comfyui_path_must_hold_a_comfyui(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMFYUI_PATH", str(tmp_path))
    with pytest.raises(Failure, match="no main.py"):
        hosts.own_host()
    (tmp_path / "main.py").touch()
    (tmp_path / "comfyui_version.py").write_text('__version__ = "0.3.47"\n', encoding="utf-8")
    with pytest.raises(Failure, match="0.3.47, but 0.3.75 or newer"):
        hosts.own_host()


def test_comfyui_python_must_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "main.py").touch()
    (tmp_path / "comfyui_version.py").write_text('__version__ = "0.3.75"\n', encoding="utf-8")
    monkeypatch.setenv("COMFYUI_PATH", str(tmp_path))
    monkeypatch.setenv("COMFYUI_PYTHON", str(tmp_path / "python"))
    with pytest.raises(Failure, match="COMFYUI_PYTHON"):
        hosts.own_host()


def test_a_pack_in_custom_nodes_is_found_under_any_name(tmp_path: Path) -> None:
    assert not hosts.has_pack(tmp_path)
    (tmp_path / "custom_nodes" / "other").mkdir(parents=True)
    (tmp_path / "custom_nodes" / "old.disabled" / "show1_core").mkdir(parents=True)
    assert not hosts.has_pack(tmp_path)
    (tmp_path / "custom_nodes" / "my-clone" / "show1_core").mkdir(parents=True)
    assert hosts.has_pack(tmp_path)


@pytest.mark.parametrize(("done", "total", "share"), [(0, 0, "0%"), (1, 4, "25%"), (9, 4, "100%")])
def test_the_bar_stays_within_its_ends(done: float, total: float, share: str) -> None:
    assert bar(done, total).endswith(share)
    assert len(bar(done, total)) == len(bar(0, 1))


@pytest.mark.parametrize("name", ["miniature", "templates", "thumbnails"])
def test_help_is_help(name: str, tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, str(REPO / "scripts" / f"{name}.py"), "--help"], cwd=tmp_path, capture_output=True,
                          text=True)
    assert done.returncode == 0 and done.stdout.startswith(f"usage: {name}.py"), done.stderr[-2000:]
    assert not list(tmp_path.iterdir())


def test_a_thumbnail_that_takes_a_saved_lora_says_what_saves_one() -> None:
    import thumbnails

    node = {"class_type": "CreateHookLora", "inputs": {"lora_name": ""}, "_meta": {"title": "Learnt"}}
    with pytest.raises(Failure, match="takes a saved LoRA and there is none; name 'Learn a motion"):
        thumbnails.fitted({"1": node}, thumbnails.Take("a ball", "Learnt"), [])
