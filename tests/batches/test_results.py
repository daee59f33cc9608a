"""Results get their name whole or not at all; the manifest outlives its writer."""

from __future__ import annotations

from pathlib import Path

import pytest
from batches import manifest
from batches.manifest import FAILED, LOST, START, Manifest
from batches.pages import PER_PAGE, Pages
from batches.results import Broken, Store, is_locked
from PIL import Image
from terminal import Failure

ID = "0123456789abcdef"
HUGE = b"P6 100000 100000 255\n"  # says it has 10^10 pixels, which Pillow will not try


@pytest.fixture
def store(tmp_path: Path):
    made = Store(tmp_path / "out")
    made.open()
    yield made
    made.close()


def picture(part: Path, colour: str = "red") -> Path:
    Image.new("RGB", (8, 8), colour).save(part / "a.png")
    return part


def test_commit(store: Store) -> None:
    """The first to come is kept; nothing of the second is left."""
    first = store.commit(ID, picture(store.part()))
    second = store.commit(ID, picture(store.part(), "blue"))
    assert first == second and store.done([ID, "other"]) == {ID}
    assert not list(store.folder.glob(".part-*"))


@pytest.mark.parametrize("name, content", [("a.png", b"no picture"), ("a.mp4", b"no video"), ("a.txt", b""), ("a.png", None),
                                           ("a.png", HUGE)])
def test_broken_files(store: Store, name: str, content: bytes | None) -> None:
    part = picture(store.part())
    whole = (part / "a.png").read_bytes()
    (part / name).write_bytes(whole[:-30] if content is None else content)
    with pytest.raises(Broken, match=name):
        store.commit(ID, part)
    assert not store.is_done(ID)


def test_what_a_killed_batch_left_is_cleared(store: Store) -> None:
    left = picture(store.part())
    store.close()
    picture(left.parent / left.name) if left.exists() else left.mkdir()
    store.open()
    assert not left.exists()


def test_one_batch_a_folder(store: Store) -> None:
    assert is_locked(store.folder)
    with pytest.raises(Failure, match="another batch is writing"):
        Store(store.folder).open()


def test_no_room(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_handle: int) -> None:
        raise OSError(28, "No space left on device")

    part = picture(store.part())
    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        store.commit(ID, part)
    assert not store.is_done(ID)


def test_a_line_cut_off(tmp_path: Path) -> None:
    """A writer that was killed spoils its own line alone."""
    log = Manifest(tmp_path)
    log.write(START, id=ID, row=1)
    log.close()
    with (tmp_path / manifest.NAME).open("ab") as file:
        file.write(b'{"event": "do')
    log = Manifest(tmp_path)
    log.write(LOST, id=ID, row=1, running=True)
    log.write(FAILED, id=ID, row=1, error="x")
    log.close()
    state = manifest.state_of(tmp_path)
    assert (state.attempts[ID], state.deaths[ID], list(state.failed)) == (1, 1, [ID])


def test_pages(store: Store) -> None:
    """All results, so many a page, each escaped; a page that was full is not lost its way onwards."""
    log = Manifest(store.folder)
    pages = Pages(store.folder, log.state)
    store.commit(ID, picture(store.part()))
    line = {"id": ID, "row": 1, "sha256": {"a.png": "0"}, "prompt": "<b> & 'c'", "values": {"2.prompt": "<b>"}}
    for count in (1, PER_PAGE, PER_PAGE + 1, 2 * PER_PAGE + 1):
        log.state.finished[:] = [line] * count
        pages.write()
    texts = [(store.folder / name).read_text(encoding="utf-8") for name in ("index.html", "index-2.html", "index-3.html")]
    assert [text.count("<figure>") for text in texts] == [PER_PAGE, PER_PAGE, 1]
    assert all("index-3.html" in text for text in texts[1:2]) and "index-2.html" in texts[0]
    assert "&lt;b&gt; &amp; &#x27;c&#x27;" in texts[2] and "<b>" not in texts[2]
    log.close()
