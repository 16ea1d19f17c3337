"""Live updates to pages and tests: every visible change, and every call and delivery."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

HEARTBEAT_SECONDS = 15.0
MAX_WAITING = 2_000
"""A reader this far behind is let go: it reloads, which is cheaper than catching up."""


class Stream:
    def __init__(self) -> None:
        self._readers: dict[asyncio.Queue[str | None], str | None] = {}
        self.is_closed = False

    def publish(self, kind: str, content: dict[str, Any], only_for: str | None = None) -> None:
        """`only_for`: the id of the one person who sees an ephemeral message, a modal or a home
        tab."""
        if not self._readers:
            return
        line = f"event: {kind}\ndata: {json.dumps(content)}\n\n"
        for queue, user in list(self._readers.items()):
            if only_for is not None and user is not None and user != only_for:
                continue
            if queue.qsize() >= MAX_WAITING:
                queue.put_nowait(None)
                del self._readers[queue]
            else:
                queue.put_nowait(line)

    def close(self) -> None:
        self.is_closed = True
        for queue in self._readers:
            queue.put_nowait(None)

    async def read(self, user: str | None) -> AsyncIterator[str]:
        """Server-sent events for one person, or all events when `user` is None."""
        with self._reader(user) as queue:
            yield ": connected\n\n"
            while not self.is_closed:
                try:
                    line = await asyncio.wait_for(queue.get(), HEARTBEAT_SECONDS)
                except TimeoutError:
                    yield ": still here\n\n"
                    continue
                if line is None:
                    return
                yield line

    @contextmanager
    def _reader(self, user: str | None) -> Iterator[asyncio.Queue[str | None]]:
        queue: asyncio.Queue[str | None] = asyncio.Queue()
        self._readers[queue] = user
        try:
            yield queue
        finally:
            self._readers.pop(queue, None)
