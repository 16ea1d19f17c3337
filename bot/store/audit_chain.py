"""The chain over the audit's entries: each head covers every entry up to its number, so that one
head kept elsewhere witnesses all before it. Pure.

A head is SHA-256 over the head before it and the digest of the next entry; the digest covers the
stored bytes with the entry's id in the stream, which is Redis' time of writing.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from typing import NamedTuple

from bot.ports import AuditHead

START = AuditHead(0, "0" * 64)
"""Before the first entry."""
MOST_DIGITS = 16
_HEAD = re.compile(r"audit (\d{1,15}) sha256:([0-9a-f]{64})\b")


class Entry(NamedTuple):
    """As stored. ``about``: number, SHA-256 of the line by who sent it, count and release, with a
    blank between. ``number`` 0: written by a version that did not number."""

    at: bytes  # the id in the stream
    about: bytes
    line: bytes
    number: int
    sha: bytes
    times: bytes
    release_id: bytes

    @property
    def is_whole(self) -> bool:
        """The line is what its writer sent."""
        return hashlib.sha256(self.line).hexdigest().encode() == self.sha

    @property
    def digest(self) -> bytes:
        # The line is JSON, the others are names and numbers: no part holds a line feed.
        return hashlib.sha256(b"%b\n%b\n%b" % (self.at, self.about, self.line)).digest()


def entry_of(at: bytes, about: bytes, line: bytes) -> Entry:
    """Of what is stored, whatever it is: someone else may have written there."""
    number, sha, count, release_id = (*about.split(b" ", 3), b"", b"", b"", b"")[:4]
    is_number = number.isdigit() and len(number) < MOST_DIGITS
    return Entry(at, about, line, int(number) if is_number else 0, sha, count, release_id)


def extend(head: AuditHead, entry: Entry) -> AuditHead:
    return AuditHead(entry.number, chained(bytes.fromhex(head.digest), entry.digest).hex())


def chained(before: bytes, digest: bytes) -> bytes:
    return hashlib.sha256(before + digest).digest()


def heads_in(text: str) -> Iterator[AuditHead]:
    """Of a text of any kind: an export of Slack, copied messages, a log."""
    for number, digest in _HEAD.findall(text):
        yield AuditHead(int(number), digest)
