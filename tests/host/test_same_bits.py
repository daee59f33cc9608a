"""The same seed in another process gives the same bits, at every stage."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from driver import Driver, alone, failure_of
from hosting.hosts import MODELS, Host
from hosting.server import Launch, Server

pytestmark = pytest.mark.slow  # a second host is started, which has to load every model again
Json = dict[str, Any]


@pytest.fixture(scope="module")
def another(host: Host, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Driver]:
    """A second server, which has run nothing yet."""
    with Server(host, Launch(models=(MODELS,), output=tmp_path_factory.mktemp("another"))) as server:
        yield Driver(server.url)


@pytest.mark.parametrize("stage", ["5", "7", "9", "11", "17"])
def test_every_stage_in_another_process(driver: Driver, another: Driver, cascade: Json, stage: str) -> None:
    prompt = alone(cascade, stage)
    prompt[stage]["inputs"] |= {"steps": 3, "seed": 2024}
    assert frames(driver, prompt) == frames(another, prompt)


def frames(driver: Driver, prompt: Json) -> list[bytes]:
    """The files that a prompt saved; the prompt itself is in them too."""
    outcome = driver.run(prompt)
    assert outcome.end.type == "execution_success", failure_of(outcome)
    files = [driver.fetch(file) for file in sorted(outcome.files)]
    assert files
    return files
