"""Files of the Hugging Face Hub: what a repository lists, and a download that goes on where it stopped.

huggingface_hub lists, signs in, follows mirrors and transfers. What is kept here is the file under way: its own way
of downloading throws an unfinished file away when the process ends, and checks no more than the length.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from terminal import Failure

CHUNK = 2**24  # bytes
HASH = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


@dataclass(frozen=True)
class Repository:
    """A model repository of the hub, at the address it is asked for; None is the hub's own."""

    name: str
    endpoint: str | None = None

    @property
    def page(self) -> str:
        return f"https://huggingface.co/{self.name}"


@dataclass(frozen=True)
class Remote:
    """One file of a repository at one revision, with what is needed to tell whether a copy is true.

    `digest` is the SHA-256 of a large file, and git's own SHA-1 of a small one, which is kept in git itself.
    """

    path: str
    size: int
    digest: str
    large: bool
    revision: str


def listing(repository: Repository) -> dict[str, Remote]:
    """The files of a repository by path. Raises Failure."""
    from huggingface_hub import HfApi

    with _sentences(repository):
        info = HfApi(endpoint=repository.endpoint).model_info(repository.name, files_metadata=True)
    files = {}
    for entry in info.siblings or ():
        digest = entry.lfs.sha256 if entry.lfs else entry.blob_id
        if entry.size is None or digest is None or info.sha is None or not HASH.fullmatch(digest):
            raise Failure(f"{repository.endpoint or repository.page} lists {entry.rfilename!r} without size or hash, so that no "
                          "copy could be checked; choose another --endpoint.")
        files[entry.rfilename] = Remote(entry.rfilename, entry.size, digest, entry.lfs is not None, info.sha)
    return files


def fetch(repository: Repository, remote: Remote, target: Path) -> None:
    """Download one file to `target`, which appears only when whole and true. Raises Failure.

    What has arrived stays in its partial file and is gone on with the next time.
    """
    from huggingface_hub import hf_hub_url
    from huggingface_hub.file_download import http_get
    from huggingface_hub.utils import build_hf_headers

    partial = partial_of(target, remote)
    url = hf_hub_url(repository.name, remote.path, revision=remote.revision, endpoint=repository.endpoint)
    with _sentences(repository):
        target.parent.mkdir(parents=True, exist_ok=True)
        too_long = partial.is_file() and partial.stat().st_size > remote.size
        with partial.open("wb" if too_long else "ab") as file:
            if file.tell() < remote.size:
                http_get(url, file, resume_size=file.tell(), headers=build_hf_headers(), expected_size=remote.size)
    if not is_copy(partial, remote):
        size = partial.stat().st_size
        partial.unlink()
        raise Failure(f"{remote.path} of {repository.name} arrived damaged ({size} bytes of {remote.size}, or another hash) and "
                      "was thrown away; run the command again.")
    partial.replace(target)


def partial_of(target: Path, remote: Remote) -> Path:
    """Where a file is while under way; named after its content, so that two revisions are not mixed."""
    return target.with_name(f"{target.name}.{remote.digest[:12]}.partial")


def is_copy(file: Path, remote: Remote) -> bool:
    """Whether a file here is the remote one, by length and hash."""
    if file.stat().st_size != remote.size:
        return False
    # git hashes a header with the content
    digest = hashlib.sha256() if remote.large else hashlib.sha1(f"blob {remote.size}\0".encode(), usedforsecurity=False)
    with file.open("rb") as stream:
        while chunk := stream.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest() == remote.digest


@contextmanager
def _sentences(repository: Repository) -> Iterator[None]:
    """Whatever the hub, the network or the disk refuses, as one sentence."""
    # HTTPError is that of the library below, which has changed with the hub's versions: requests, httpx, httpx2
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, HTTPError, RepositoryNotFoundError

    name, page = repository.name, repository.page
    try:
        yield
    except GatedRepoError as error:
        raise Failure(f"{name} is handed out only to who has accepted its licence; accept it at {page}, run `hf auth login`, "
                      "and run the command again, or leave it out with --only.") from error
    except RepositoryNotFoundError as error:
        raise Failure(f"{name} is not at {repository.endpoint or page}; check --endpoint, or run `hf auth login`.") from error
    except HfHubHTTPError as error:
        raise Failure(f"the hub refused {name} ({_first_line(error)}); run the command again later.") from error
    except (HTTPError, OSError) as error:  # a full disk is an OSError
        raise Failure(f"{name} could not be downloaded ({_first_line(error)}); what has arrived is kept, run the command "
                      "again when network and disk allow.") from error


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).splitlines()), "") or type(error).__name__
