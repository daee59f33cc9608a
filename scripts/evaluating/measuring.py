"""Every clip of a folder through every network that it has not been through: decoding in processes, features to stores."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

from terminal import Failure, Line, bar, say

from .clips import Clip, clips_of, shuffled
from .decoding import Decoded, Wanted, decode, end_with_parent
from .networks import Network
from .store import Store

MOST_WORKERS = 61  # that Windows can wait for at once
AHEAD = 2  # clips that a process may be ahead of the networks: what bounds the memory


@dataclass(frozen=True)
class Options:
    """How a folder is measured: how many of its clips (None: all), by how many decoding processes, where features are kept."""

    clips: int | None
    workers: int
    work: Path


@dataclass(frozen=True)
class Extraction:
    """A network over one folder, and where its features go."""

    network: Network
    store: Store


@dataclass(frozen=True)
class MeasuredSet:
    """Which clips of a folder were measured, by which networks, and which clips cannot be read and why."""

    source: Path
    clips: list[Clip]
    broken: list[tuple[Clip, str]]
    extractions: dict[str, Extraction]


def chosen_clips(folder: Path, options: Options) -> list[Clip]:
    """A folder's clips; where only some are wanted, all in a random order that is always the same. Raises Failure."""
    clips = clips_of(folder)
    if options.clips is None:
        return clips
    if len(clips) < options.clips:
        raise Failure(f"{folder} has {len(clips):,} clips, fewer than --clips {options.clips}; make more, or ask for fewer.")
    return shuffled(clips)


def measure(title: str, folder: Path, networks: Iterable[Network], options: Options) -> MeasuredSet:
    """A folder's clips, or the first readable ones of the wanted number, through all networks. Raises Failure."""
    clips = chosen_clips(folder, options)
    extractions = {network.extractor.name: Extraction(network, store_of(network, folder, options.work)) for network in networks}
    found = MeasuredSet(folder, [], [], extractions)
    pending = list(extractions.values())
    shown = Progress(title, options.clips or len(clips), sum(not without_features(clip, pending) for clip in clips))
    workers = min(options.workers, MOST_WORKERS)
    try:
        with ProcessPoolExecutor(workers, get_context("spawn"), end_with_parent) as pool:
            for clip, decoded in decoded_in_order(pool, clips, pending, workers * AHEAD):
                if decoded is not None and decoded.frames is None:
                    found.broken.append((clip, decoded.reason))
                    shown.broken(clip, decoded.reason)
                    continue
                extract(clip, decoded, pending)
                found.clips.append(clip)
                shown.done(len(found.clips))
                if len(found.clips) == options.clips:
                    pool.shutdown(cancel_futures=True)
                    break
    except BrokenProcessPool as error:
        last = found.clips[-1].name if found.clips else "the start"
        raise Failure(f"a decoding process died soon after {last}; look at the clips that follow it.") from error
    finally:
        for extraction in pending:
            extraction.store.flush()
    shown.end(len(found.clips))
    return found


def store_of(network: Network, folder: Path, work: Path) -> Store:
    return Store(work, network.extractor.name, network.sha256, network.extractor.described(), str(folder.resolve()))


def without_features(clip: Clip, extractions: list[Extraction]) -> list[Extraction]:
    """Those that have no features of the clip yet."""
    return [extraction for extraction in extractions if not extraction.store.has(clip)]


def decoded_in_order(pool: ProcessPoolExecutor, clips: list[Clip], extractions: list[Extraction],
                     ahead: int) -> Iterator[tuple[Clip, Decoded | None]]:
    """Clips in their order with their frames, decoded a little ahead; None where all features are there already."""
    waiting: deque[tuple[Clip, Future[Decoded] | None]] = deque()
    for clip in clips:
        pending = without_features(clip, extractions)
        waiting.append((clip, pool.submit(decode, clip.path, wanted_by(pending)) if pending else None))
        if len(waiting) > ahead:
            yield with_frames(*waiting.popleft())
    while waiting:
        yield with_frames(*waiting.popleft())


def with_frames(clip: Clip, future: Future[Decoded] | None) -> tuple[Clip, Decoded | None]:
    return clip, future.result() if future else None


def wanted_by(extractions: list[Extraction]) -> Wanted:
    """The frames of a clip that serve all these networks."""
    frames = [extraction.network.extractor.frames for extraction in extractions]
    most = max((count for count in frames if count is not None), default=0)
    return Wanted(None if None in frames else most, most)


def extract(clip: Clip, decoded: Decoded | None, extractions: list[Extraction]) -> None:
    """One clip through every network that has no features of it. Raises Failure when a network cannot take it."""
    if decoded is None:
        return
    import torch

    from show1_core.evaluation.extractors import window

    frames = torch.from_numpy(decoded.frames)
    for extraction in without_features(clip, extractions):
        extractor = extraction.network.extractor
        try:
            with torch.inference_mode():
                features = extraction.network.run(frames[window(len(frames), extractor.frames)]).float().cpu()
        except (RuntimeError, ValueError) as error:
            reason = str(error).strip().splitlines()[-1]
            raise Failure(f"{extractor.network.title} failed on {clip.path} ({reason}); check that {extraction.network.path} is "
                          "the network that is expected.") from error
        extraction.store.add(clip, features)


def refuse_broken(sets: Mapping[str, MeasuredSet], skip: bool) -> None:
    """Refuse clips that cannot be read, unless they are to be left out. Raises Failure."""
    broken = [clip for found in sets.values() for clip, _ in found.broken]
    if broken and not skip:
        raise Failure(f"{len(broken)} clip{'' if len(broken) == 1 else 's'} cannot be read, such as {broken[0].path}; repair or "
                      "remove them, or leave them out with --skip-broken (what was measured is kept).")
    for found in sets.values():
        if not found.clips:
            raise Failure(f"not one clip of {found.source} can be read; look at the reasons above.")


class Progress:
    """The line of a folder that is being measured."""

    def __init__(self, title: str, total: int, before: int) -> None:
        self._title, self._total, self._before = title, total, before
        self._line, self._began = Line(), time.monotonic()

    def done(self, count: int) -> None:
        """So many clips are measured; those measured before say nothing about the pace."""
        fresh, seconds = count - self._before, time.monotonic() - self._began
        left = f"  {seconds / fresh * (self._total - count):.0f} s left" if fresh > 0 else ""
        self._line.show(f"{self._title:10} {bar(count, self._total)}  {count:,}/{self._total:,} clips{left}")

    def broken(self, clip: Clip, reason: str) -> None:
        """A clip that cannot be read, on a line that stays."""
        self._line.drop()
        say(f"broken: {clip.path}: {reason}")

    def end(self, count: int) -> None:
        """The line as it stays."""
        self._line.end(f"{self._title:10} {bar(1, 1)}  {count:,} clips in {time.monotonic() - self._began:.0f} s")
