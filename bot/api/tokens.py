"""Who comes in: the token of a request beside those in the files that the catalog names."""

from __future__ import annotations

import hashlib
import hmac
import logging
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bot.api.problems import Problem, problem
from bot.policy.callers import Caller
from config.watched_files import FileStamp, stamp_of

SHORTEST = 32
"""Characters of a token; `openssl rand -hex 32` gives twice as many."""
LONGEST = 512
VALID_AT_ONCE = 2
"""Lines of a file: while a token is exchanged, the old one and the new one."""
MOST_BYTES = 4_096
_BEARER = re.compile(r"[Bb]earer +([\x21-\x7e]{1,512})")

log = logging.getLogger(__name__)


@dataclass
class _File:
    stamp: FileStamp
    digests: tuple[bytes, ...]


class Tokens:
    """``callers`` gives the catalog's by now. A file is read again once it has changed; one that is
    gone lets nobody in. ``now``: milliseconds since 1970."""

    def __init__(
        self,
        callers: Callable[[], Mapping[str, Caller]],
        *,
        now: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self._callers = callers
        self._now = now
        self._files: dict[str, _File] = {}

    def caller_of(self, authorization: Sequence[str]) -> Caller | Problem:
        """``authorization``: every header of that name. All tokens are compared, whichever fits, so
        that the time says nothing."""
        presented = _presented(authorization)
        found: Caller | None = None
        for caller in self._callers().values():
            for digest in self._digests(caller):
                if hmac.compare_digest(digest, presented):
                    found = caller
        if found is None:
            return problem("invalid_token", "The request has no valid token.")
        if found.has_expired(self._now()):
            return problem("token_expired", f"The token {found.name} has expired.")
        return found

    def _digests(self, caller: Caller) -> tuple[bytes, ...]:
        stamp = stamp_of(Path(caller.file))
        known = self._files.get(caller.file)
        if known is None or known.stamp != stamp:
            known = self._files[caller.file] = _File(stamp, _read(caller, is_there=bool(stamp)))
        return known.digests


def _presented(authorization: Sequence[str]) -> bytes:
    """A digest, which has one length; of a request without a token that of nothing."""
    found = _BEARER.fullmatch(authorization[0].strip()) if len(authorization) == 1 else None
    return hashlib.sha256(found[1].encode() if found else b"").digest()


def _read(caller: Caller, *, is_there: bool) -> tuple[bytes, ...]:
    if not is_there:
        log.error("the token file of the API caller %s is not there", caller.name)
        return ()
    try:
        with Path(caller.file).open("rb") as file:
            lines = file.read(MOST_BYTES).decode("ascii").split()
    except (OSError, UnicodeDecodeError) as error:
        log.error(
            "the token file of the API caller %s cannot be read: %s", caller.name, type(error)
        )
        return ()
    fit = [line for line in lines if SHORTEST <= len(line) <= LONGEST]
    if len(fit) < len(lines):
        log.error(
            "a token of the API caller %s has less than %d or more than %d characters: not valid",
            caller.name,
            SHORTEST,
            LONGEST,
        )
    if len(fit) > VALID_AT_ONCE:
        log.error("the API caller %s has %d tokens: the first two are valid", caller.name, len(fit))
    return tuple(hashlib.sha256(line.encode()).digest() for line in fit[:VALID_AT_ONCE])
