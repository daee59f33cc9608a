"""Engine: ComfyUI servers that run already, and may vanish and come back."""

from __future__ import annotations

from collections.abc import Awaitable
from pathlib import Path
from typing import TypeVar

from workflows.workflow import Json

from .session import NETWORK, Session
from .workers import Outcome, Task, Unreachable, Watch

Answer = TypeVar("Answer")


class ServerWorker:
    """One server."""

    patience: int | None = None

    def __init__(self, url: str, client_id: str) -> None:
        self.name = url
        self._client_id = client_id
        self._session: Session | None = None

    async def open(self) -> Json:
        """Connect to it."""
        return await self._connect(self.name)

    async def held(self) -> dict[str, str]:
        """Prompts that a killed batch left in its queue or history."""
        return await self._asked(self._open_session().held())

    async def drop(self, prompt_ids: list[str]) -> None:
        """Take such prompts out again."""
        await self._asked(self._open_session().drop(prompt_ids))

    async def run(self, task: Task, folder: Path, watch: Watch) -> Outcome:
        """Run a task there."""
        return await self._open_session().run(task, folder, watch)

    async def withdraw(self) -> None:
        """Empty its queue of ours."""
        if self._session:
            await self._asked(self._session.withdraw())

    async def abort(self) -> None:
        """Interrupt ours."""
        if self._session:
            await self._asked(self._session.abort())

    async def close(self) -> None:
        """Disconnect."""
        session, self._session = self._session, None
        if session:
            await session.close()

    def _open_session(self) -> Session:
        assert self._session is not None, f"{self.name} was not opened"
        return self._session

    async def _asked(self, answer: Awaitable[Answer]) -> Answer:
        try:
            return await answer
        except NETWORK as error:
            raise Unreachable(f"{self.name} does not answer ({error})") from error

    async def _connect(self, url: str) -> Json:
        session = Session(url, self._client_id)
        try:
            info = await session.open()
        except (*NETWORK, OSError) as error:
            raise Unreachable(f"{url} does not answer ({error})") from error
        self._session = session
        return info
