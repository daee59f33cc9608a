"""download.py against a hub on this machine: what is fetched, what is kept, and what is never kept."""

from __future__ import annotations

import shutil
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import pytest
from fake_hub import FakeHub, serving

REPO = Path(__file__).resolve().parents[2]
sys.path.append(str(REPO / "scripts"))  # last: scripts/comfy.py is not the host's package

import download  # noqa: E402
from download import CHECKPOINTS, weight_files  # noqa: E402
from terminal import Failure, packages  # noqa: E402

BASE, WEIGHTS = "showlab/show-1-base", "unet/diffusion_pytorch_model.fp16.bin"
CONTENT = bytes(range(256)) * 4096  # 1 MiB
CHUNK = 1024


def published() -> dict[str, dict[str, bytes]]:
    """The published repositories as far as they matter, with small files, and with files nobody needs."""
    unet, scheduler = {"unet/config.json": b"{}"}, {"scheduler/scheduler_config.json": b'{"beta": 1}'}
    noising = {"image_noising_scheduler/scheduler_config.json": b"{ }"}
    shards = {f"text_encoder/pytorch_model-0000{i}-of-00002.bin": b"t5" * i for i in (1, 2)}
    needless = {"README.md": b"x", "feature_extractor/preprocessor_config.json": b"{}", "tokenizer/spiece.model": b"x"}
    return {
        BASE: unet | scheduler | shards | needless | {
            WEIGHTS: CONTENT, "text_encoder/config.json": b"{}", "text_encoder/pytorch_model.bin.index.json": b"{}"},
        "showlab/show-1-interpolation": unet | scheduler | needless | {WEIGHTS: b"i"},
        "DeepFloyd/IF-II-L-v1.0": unet | scheduler | noising | needless | {
            "unet/diffusion_pytorch_model.fp16.safetensors": b"f", "unet/diffusion_pytorch_model.safetensors": b"full",
            WEIGHTS: b"f", "safety_checker/pytorch_model.bin": b"s"},
        "showlab/show-1-sr1": unet | scheduler | noising | {"unet/diffusion_pytorch_model.bin": b"1"},
        "showlab/show-1-sr2": unet | scheduler | {
            "unet/diffusion_pytorch_model.bin": b"2", "vae/config.json": b"{}", "vae/diffusion_pytorch_model.bin": b"v",
            "text_encoder/config.json": b"{}", "text_encoder/pytorch_model.bin": b"c"},
    }


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    """The fake hub, and nothing of this user's that would be sent to it."""
    monkeypatch.setenv("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", CHUNK)  # what is written at once
    with serving(FakeHub(published())) as running:
        yield running


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A ComfyUI's models folder."""
    (tmp_path / "models").mkdir()
    return tmp_path / "models"


def run(hub: FakeHub, folder: Path, *more: str) -> int:
    return download.main([str(folder), "--endpoint", hub.url, "--yes", *more])


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file() and path.name[0] != "."}


def test_all_that_is_needed_is_fetched_and_no_more(hub: FakeHub, folder: Path) -> None:
    assert run(hub, folder) == 0
    assert files(folder / "show1") == {
        *(f"{name}/{file}" for name in ("show-1-base", "show-1-interpolation", "show-1-sr1", "show-1-sr2", "IF-II-L-v1.0")
          for file in ("unet/config.json", "scheduler/scheduler_config.json")),
        *(f"{name}/image_noising_scheduler/scheduler_config.json" for name in ("show-1-sr1", "IF-II-L-v1.0")),
        f"show-1-base/{WEIGHTS}", f"show-1-interpolation/{WEIGHTS}", "show-1-sr1/unet/diffusion_pytorch_model.bin",
        "IF-II-L-v1.0/unet/diffusion_pytorch_model.fp16.safetensors", "show-1-sr2/unet/diffusion_pytorch_model.bin",
        "show-1-sr2/vae/config.json", "show-1-sr2/vae/diffusion_pytorch_model.bin", "show-1-sr2/text_encoder/config.json",
        "show-1-sr2/text_encoder/pytorch_model.bin", "show-1-base/text_encoder/config.json",
        "show-1-base/text_encoder/pytorch_model.bin.index.json", "show-1-base/text_encoder/pytorch_model-00001-of-00002.bin",
        "show-1-base/text_encoder/pytorch_model-00002-of-00002.bin",
    }
    assert (folder / "show1" / "show-1-base" / WEIGHTS).read_bytes() == CONTENT


def test_only_what_is_named_is_fetched(hub: FakeHub, folder: Path) -> None:
    run(hub, folder, "--only", "t5")
    assert {Path(name).parts[1] for name in files(folder / "show1")} == {"text_encoder"}


def test_a_folder_is_listed_only_when_its_weights_are_there(hub: FakeHub, folder: Path) -> None:
    run(hub, folder, "--only", "base")
    assert hub.files_asked() == [WEIGHTS, "scheduler/scheduler_config.json", "unet/config.json"]


def test_sizes_and_licences_are_shown_first(hub: FakeHub, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(Failure, match="nobody is here to agree .*--yes"):
        download.main([str(folder), "--endpoint", hub.url, "--only", "sr1,first-frame"])
    shown = capsys.readouterr().err
    assert "CC BY-NC 4.0" in shown and "DeepFloyd IF licence" in shown and "together 0.00 GB" in shown
    assert not hub.asked and not list(folder.iterdir())


@pytest.mark.parametrize(("answer", "code"), [("y\n", 0), ("\n", 1), ("", 1), ("no\n", 1)])
def test_only_yes_is_yes(hub: FakeHub, folder: Path, monkeypatch: pytest.MonkeyPatch, answer: str, code: int) -> None:
    class Terminal:
        isatty = staticmethod(lambda: True)
        readline = staticmethod(lambda: answer)

    monkeypatch.setattr(sys, "stdin", Terminal)
    assert download.main([str(folder), "--endpoint", hub.url, "--only", "sr1"]) == code
    assert (folder / "show1").exists() == (code == 0)


def test_with_all_files_in_place_no_network_is_asked(hub: FakeHub, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(hub, folder)

    def refuse(*_: object) -> None:
        raise AssertionError("a network call")

    for name in ("connect", "connect_ex", "sendto"):
        monkeypatch.setattr(socket.socket, name, refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    assert download.main([str(folder)]) == 0


def test_miniatures_of_every_published_layout_are_taken_for_whole(models: Path, tmp_path: Path) -> None:
    (tmp_path / "show1").symlink_to(models)
    assert download.main([str(tmp_path), "--only", ",".join(CHECKPOINTS)]) == 0


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_a_cut_connection_is_taken_up_where_it_broke(hub: FakeHub, folder: Path, share: float) -> None:
    hub.cuts = [share]
    run(hub, folder, "--only", "base")
    assert (folder / "show1" / "show-1-base" / WEIGHTS).read_bytes() == CONTENT
    assert hub.asked[1] == (WEIGHTS, f"bytes={int(share * len(CONTENT)) // CHUNK * CHUNK}-")


@pytest.mark.parametrize("ignores_ranges", [False, True])
def test_the_next_run_goes_on_where_the_last_stopped(hub: FakeHub, folder: Path, ignores_ranges: bool) -> None:
    hub.cuts, hub.status = [0.5], (500, "")
    with pytest.raises(Failure, match="refused showlab/show-1-base .*later"):
        run(hub, folder, "--only", "base")
    assert not (folder / "show1" / "show-1-base" / WEIGHTS).exists()
    hub.status, hub.ignores_ranges, hub.asked = None, ignores_ranges, []
    run(hub, folder, "--only", "base")
    assert hub.asked[0] == (WEIGHTS, f"bytes={len(CONTENT) // 2}-")
    assert (folder / "show1" / "show-1-base" / WEIGHTS).read_bytes() == CONTENT
    assert not list(folder.rglob("*.partial"))


@pytest.mark.parametrize("lie", [CONTENT[:-1], CONTENT + b"x", CONTENT[:-1] + b"x", b"x" * (len(CONTENT) - 1), b"<html>"])
def test_damaged_content_never_gets_its_final_name(hub: FakeHub, folder: Path, lie: bytes) -> None:
    hub.lie = lie
    target = folder / "show1" / "show-1-base" / WEIGHTS
    said = attempt(hub, folder)
    assert "arrived damaged" in said or "could not be downloaded" in said
    assert not target.exists()
    hub.lie = None
    # a wrong beginning is kept as if it were a cut file, and found out when the rest has come
    assert "done" in (attempt(hub, folder), attempt(hub, folder))
    assert target.read_bytes() == CONTENT


def attempt(hub: FakeHub, folder: Path) -> str:
    """What became of a run: `done`, or its sentence."""
    try:
        run(hub, folder, "--only", "base")
    except Failure as failure:
        return str(failure)
    return "done"


@pytest.mark.parametrize(("status", "sentence"), [
    ((403, "GatedRepo"), r"accept it at https://huggingface.co/DeepFloyd/IF-II-L-v1.0, run `hf auth login`"),
    ((404, "EntryNotFound"), "the hub refused"), ((500, ""), "the hub refused"),
])
def test_a_refusal_is_one_sentence(hub: FakeHub, folder: Path, status: tuple[int, str], sentence: str) -> None:
    hub.status = status
    with pytest.raises(Failure, match=sentence) as caught:
        run(hub, folder, "--only", "first-frame")
    assert "\n" not in str(caught.value)


def test_a_repository_that_is_gone_is_one_sentence(hub: FakeHub, folder: Path) -> None:
    del hub.repositories[BASE]
    with pytest.raises(Failure, match="show-1-base is not at http://127"):
        run(hub, folder, "--only", "base")


@pytest.mark.parametrize(("gone", "named"), [(WEIGHTS, "unet/weights"), ("unet/config.json", "unet/config.json")])
def test_a_repository_that_lacks_a_file_is_one_sentence(hub: FakeHub, folder: Path, gone: str, named: str) -> None:
    del hub.repositories[BASE][gone]
    with pytest.raises(Failure, match=f"show-1-base has no {named} at the hub"):
        run(hub, folder, "--only", "base")


@pytest.mark.parametrize("lists", [
    {"size": None}, {"blobId": None, "lfs": None}, {"blobId": "../../../up", "lfs": None}, {"blobId": "", "lfs": None},
])
def test_a_listing_that_allows_no_check_is_refused(hub: FakeHub, folder: Path, lists: dict[str, object]) -> None:
    hub.lists = lists
    with pytest.raises(Failure, match="without size or hash"):
        run(hub, folder, "--only", "base")
    assert not hub.asked and not list(folder.iterdir())


@pytest.mark.parametrize("name", ["unet/../../../evil.bin", "/etc/evil.bin", "../unet/diffusion_pytorch_model.fp16.bin"])
def test_a_listing_cannot_name_another_place(hub: FakeHub, folder: Path, name: str) -> None:
    hub.repositories[BASE] |= {name: b"evil"}
    run(hub, folder, "--only", "base")
    assert "evil" not in str(list(folder.parent.rglob("*"))) and name not in hub.files_asked()


def test_no_hub_at_all_is_one_sentence(folder: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # bound, not listening
        address = f"http://127.0.0.1:{unused.getsockname()[1]}"
        with pytest.raises(Failure, match="could not be downloaded .* run the command again"):
            download.main([str(folder), "--endpoint", address, "--yes"])


def test_a_disk_that_is_too_small_is_seen_before(hub: FakeHub, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(2, 1, 1))
    with pytest.raises(Failure, match="free, .* are needed"):
        run(hub, folder)
    assert not hub.asked


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_what_came_before_the_disk_was_full_or_ctrl_c_is_kept(hub: FakeHub, folder: Path, error: BaseException) -> None:
    def broken(_url: str, file: BinaryIO, **_: object) -> None:
        file.write(CONTENT[:CHUNK])
        raise error

    with pytest.MonkeyPatch.context() as patch, pytest.raises((Failure, KeyboardInterrupt)) as caught:
        patch.setattr("huggingface_hub.file_download.http_get", broken)
        run(hub, folder, "--only", "base")
    assert isinstance(error, KeyboardInterrupt) or "No space left" in str(caught.value)
    run(hub, folder, "--only", "base")
    assert hub.asked[0] == (WEIGHTS, f"bytes={CHUNK}-")
    assert (folder / "show1" / "show-1-base" / WEIGHTS).read_bytes() == CONTENT


@pytest.mark.parametrize("more", [(), ("--only", "t5")])
def test_a_t5_that_comfyui_has_is_downloaded_only_when_named(hub: FakeHub, folder: Path, more: tuple[str, ...]) -> None:
    (folder / "text_encoders").mkdir()
    (folder / "text_encoders" / "t5xxl_fp16.safetensors").touch()
    run(hub, folder, *more)
    assert (folder / "show1" / "show-1-base" / "text_encoder").exists() == bool(more)


def test_two_at_once_fetch_each_file_once(hub: FakeHub, folder: Path) -> None:
    threads = [threading.Thread(target=run, args=(hub, folder, "--only", "base,sr1")) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (folder / "show1" / "show-1-base" / WEIGHTS).read_bytes() == CONTENT
    assert hub.files_asked().count(WEIGHTS) == 1


@pytest.mark.parametrize("arguments", [["--only", "sr3"], ["--only", ""], ["--endpoint", "hub.example"]])
def test_what_cannot_be_meant_is_refused(folder: Path, arguments: list[str]) -> None:
    with pytest.raises(SystemExit):
        download.main([str(folder), *arguments])


def test_a_models_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Failure, match="is no folder"):
        download.main([str(tmp_path / "nowhere")])


def test_a_python_without_the_hub_is_told_so(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages, "find_spec", lambda _: None)
    with pytest.raises(Failure, match="has no huggingface_hub"):
        download.main([str(folder)])


@pytest.mark.parametrize(("names", "taken"), [
    (["m.bin", "m.safetensors"], ["m.safetensors"]),
    (["m.safetensors", "m.fp16.bin"], ["m.fp16.bin"]),
    (["m.fp16.bin", "m.fp16.safetensors", "m.non_ema.bin"], ["m.fp16.safetensors"]),
    (["m-1-of-2.bin", "m-2-of-2.bin", "m.bin.index.json"], ["m-1-of-2.bin", "m-2-of-2.bin", "m.bin.index.json"]),
    (["m.fp16-1-of-1.bin", "m.bin.index.fp16.json", "m.bin"], ["m.fp16-1-of-1.bin", "m.bin.index.fp16.json"]),
    (["m-1-of-1.fp16.bin", "m.fp16.bin.index.json", "m.bin"], ["m-1-of-1.fp16.bin", "m.fp16.bin.index.json"]),
    (["m-1-of-2.bin", "m.bin.index.json"], []), (["m-1-of-1.bin"], []), (["other.bin", "m.bin.partial", "config.json"], []),
])
def test_one_whole_set_of_weights_is_taken(names: list[str], taken: list[str]) -> None:
    assert weight_files(names, "m") == taken
