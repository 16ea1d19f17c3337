"""The events of one release as a stream (server-sent events): each with its place, from which a
client that was cut off continues."""

from __future__ import annotations

import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable

import anyio

from bot.api.shapes import event_shape
from bot.ports import StoreUnavailable, Story
from bot.releases.facts.release import Release

PLACE = re.compile(r"[0-9]{1,20}-[0-9]{1,20}")
ASK_EVERY_S = 0.5
SIGN_OF_LIFE_S = 15.0
"""Proxies cut a connection on which nothing comes, most of them after 30 or 60 s."""
LONGEST_S = 900.0
"""Then the client comes again, with its token of then."""

Read = Callable[[str], Awaitable[tuple[Release, Story] | None]]
"""The release, then what its audit tells from behind a place. None: it may not be read any more."""


async def events_of(
    read: Read,
    after: str,
    goes_on: Callable[[], bool],
    clock: Callable[[], float] = time.monotonic,
) -> AsyncIterator[bytes]:
    """Until the release is over, the client has gone, or the stream has lasted long enough."""
    began = told_at = clock()
    yield b": the events of one release, until `end`\n\n"
    while goes_on() and clock() - began < LONGEST_S:
        try:
            found = await read(after)
        except StoreUnavailable:
            return  # the client comes again from its place
        if found is None:
            return
        release, story = found
        for place, line in story.lines:
            data = event_shape(line).model_dump_json()
            yield f"id: {place}\nevent: {line.kind}\ndata: {data}\n\n".encode()
            told_at = clock()
        after = story.through
        if not story.is_whole:
            continue
        if release.phase.is_final:  # read before the story, so nothing can follow
            yield f'event: end\ndata: {{"phase":"{release.phase.value}"}}\n\n'.encode()
            return
        if clock() - told_at > SIGN_OF_LIFE_S:
            yield b": still running\n\n"
            told_at = clock()
        await anyio.sleep(ASK_EVERY_S)
