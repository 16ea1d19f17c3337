"""Random hostile texts, the same for the same seed, and the measure of work that grows."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Iterator

SEED = int(os.environ.get("HOSTILE_SEED", "14"))
INPUTS = int(os.environ.get("HOSTILE_INPUTS", "60"))
"""Of each kind; `make hostile` takes 100,000 in all."""

PIECES = (
    *("a.", "a=", "a@", "a:", "aA1", "//a:", "://u:p@"),
    *("xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", "====================", "---------"),
    *("                              ", '"', "'", "`", "\\", '\\"', '{"a":', "[", "]", "}"),
    *("<", ">", "<@U1|", "<#C1|", "&lt;", "&", "password=", "password is: ", "--token "),
    *("Bearer ", "Cookie: ", "eyJaaaaaaaaa.", "sk_live_", "-----BEGIN PRIVATE KEY-----"),
    *("-----END PRIVATE KEY-----", "пароль=", "密码：", "é", "é", "\n", "\r\n", "\t", "\x00"),
    *("\x1b[31m", "\x7f", "\u2028", "\u202e", "\ufeff", "😀", "&a ", "*a", "<<: ", "- ", ": "),
    *("? ", "!!int ", "!!python/object:os.system ", "|\n ", "%YAML 9", "1e999"),
    *("0xffffffffffffffffffff", "999999999999999999999999999999", "1:1:1", "-.inf"),
    *("2026-01-01", "~", "null", "true", "# ", "/deploy hello ", "rollout undo ", "in="),
    *("reason=", "until=9999d", "--to-revision=-1", "@all", "apps:\n", "  hello:\n"),
    *("clusters: ", "apiVersion: v1\n", "kind: List\nitems:\n", "---\n"),
)


def hostile_texts(kind: str, count: int = INPUTS, longest: int = 60) -> Iterator[str]:
    """Pieces that readers stumble over, mixed, repeated and cut."""
    chance = random.Random(f"{SEED}:{kind}")
    for _ in range(count):
        text = "".join(chance.choices(PIECES, k=chance.randint(1, longest)))
        if chance.random() < 0.2:
            text *= chance.randint(2, 8)
        if chance.random() < 0.3:
            text = text[chance.randrange(len(text)) :]
        if chance.random() < 0.1:
            text += chr(chance.randrange(0x20, 0xD7FF))
        yield text


def growth(work: Callable[[str], object], piece: str, *, most: int, tries: int = 2) -> float:
    """How many times the CPU time of ``most`` characters is that of a sixteenth of them: the least
    of several runs each, with half a millisecond added to both for the clock and the start."""
    return (_least(work, piece, most, tries) + 0.0005) / (
        _least(work, piece, most // 16, tries) + 0.0005
    )


def _least(work: Callable[[str], object], piece: str, size: int, tries: int) -> float:
    text = (piece * (size // len(piece) + 1))[:size]
    best = float("inf")
    for _ in range(tries):
        began = time.process_time()
        work(text)
        best = min(best, time.process_time() - began)
    return best
