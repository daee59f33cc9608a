"""Frames are read from videos and folders of pictures; a damaged file is one error, whatever its reader calls it."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from show1_core.frame_files import FramesError, pictures_of, read

REPO = Path(__file__).resolve().parents[2]
COUNT = 12


def huge_png() -> bytes:
    """A PNG that says it has 10^10 pixels, which Pillow will not try."""
    header = struct.pack(">IIBBBBB", 10**5, 10**5, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        for kind, content in ((b"IHDR", header), (b"IDAT", zlib.compress(b"")), (b"IEND", b"")))


def broken_png() -> bytes:
    """A PNG that says its pixels take 4 bytes, so that what comes behind them is no chunk."""
    file = io.BytesIO()
    Image.new("RGB", (8, 8)).save(file, "PNG")
    whole = file.getvalue()
    return whole[:33] + (4).to_bytes(4, "big") + whole[37:]


def folder_of(folder: Path, first: int = 1, sizes: tuple[tuple[int, int], ...] = ((16, 8),)) -> Path:
    """Pictures whose level is 20 times their place, numbered without zeros; sizes take turns."""
    folder.mkdir()
    for place in range(COUNT):
        Image.new("RGB", sizes[place % len(sizes)], (20 * place,) * 3).save(folder / f"{first + place}.png")
    return folder


def video_of(file: Path) -> Path:
    """The same frames as a video."""
    with av.open(str(file), "w") as container:
        stream = container.add_stream("mjpeg" if file.suffix == ".avi" else "mpeg4", rate=8)
        stream.width, stream.height, stream.pix_fmt = 16, 8, "yuvj420p" if file.suffix == ".avi" else "yuv420p"
        for place in range(COUNT):
            frame = np.full((8, 16, 3), 20 * place, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    return file


def clip_of(tmp_path: Path, kind: str) -> Path:
    return folder_of(tmp_path / "frames") if kind == "folder" else video_of(tmp_path / f"clip{kind}")


def places(frames: np.ndarray) -> list[int]:
    return [round(float(frame.mean()) / 20) for frame in frames]


@pytest.mark.parametrize("kind", ["folder", ".mp4", ".mkv", ".avi"])  # a .mkv does not say how many frames it has
@pytest.mark.parametrize("wanted", [range(COUNT), range(4, 9), [0, 5, 11], [11]])
def test_frames_that_are_chosen_are_read(tmp_path: Path, kind: str, wanted) -> None:
    counts = []
    frames = read(clip_of(tmp_path, kind), lambda count: counts.append(count) or wanted)
    assert counts == [COUNT] and frames.dtype == np.uint8 and frames.shape[1:] == (8, 16, 3)
    assert places(frames) == list(wanted)


def test_all_frames_are_read_unless_some_are_chosen(tmp_path: Path) -> None:
    numbered = folder_of(tmp_path / "frames", 0)
    assert places(read(numbered)) == list(range(COUNT))
    assert places(read(Path(f"{numbered}/%d.png"))) == list(range(COUNT)), "the pattern that FFmpeg knows"


def test_numbers_begin_anywhere_and_sizes_are_those_of_the_first(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "frames", 95, ((16, 8), (30, 12)))  # 95.png ... 106.png
    assert places(read(folder, resize=True)) == list(range(COUNT))
    with pytest.raises(FramesError, match=r"96\.png has another size"):
        read(folder)


def test_files_that_a_system_hides_are_no_pictures() -> None:
    assert pictures_of(map(Path, ("._1.png", "10.PNG", "9.jpg", "notes.txt"))) == [Path("9.jpg"), Path("10.PNG")]


@pytest.mark.parametrize("content", [b"no picture", b"", broken_png(), broken_png()[:30], huge_png()],
                         ids=["text", "empty", "broken", "short", "huge"])
@pytest.mark.parametrize("name", ["4.png", "clip.mp4"])
def test_a_damaged_file_is_named(tmp_path: Path, name: str, content: bytes) -> None:
    folder = folder_of(tmp_path / "frames")
    (folder / name).write_bytes(content)
    with pytest.raises(FramesError) as refused:
        read(folder if name == "4.png" else folder / name)
    assert name in str(refused.value) and refused.value.reason in str(refused.value)


@pytest.mark.parametrize(("name", "reason"), [
    ("nowhere.mp4", "No such file"), ("empty", "holds no frames"), ("sound.wav", "no video in it"),
    ("short.avi", "fewer can be")])
def test_what_holds_no_frames_is_named(tmp_path: Path, name: str, reason: str) -> None:
    (tmp_path / "empty").mkdir()
    whole = video_of(tmp_path / "whole.avi").read_bytes()
    (tmp_path / "short.avi").write_bytes(whole[:whole.rindex(b"00dc", 0, whole.index(b"idx1"))])  # less the last frame
    with av.open(str(tmp_path / "sound.wav"), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
        sound.sample_rate = 8000
        container.mux(stream.encode(sound))
    with pytest.raises(FramesError, match=rf"{name} cannot be read \(.*{reason}"):
        read(tmp_path / name)


def test_a_reason_not_to_choose_is_passed_on(tmp_path: Path) -> None:
    def refuse(count: int) -> range:
        raise ValueError(f"it has {count} frames")

    with pytest.raises(FramesError) as refused:
        read(video_of(tmp_path / "clip.mp4"), refuse)
    assert refused.value.reason == f"it has {COUNT} frames"


def test_no_torch_is_loaded_for_it() -> None:
    code = "import sys; sys.path.insert(0, '.'); import show1_core.frame_files; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=REPO, capture_output=True, text=True)
    assert done.stdout.strip() == "False", done.stderr[-2000:]
