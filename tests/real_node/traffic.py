"""Clients of a Service, in the network of the real nodes: what they sent, and what each reply
was."""

from __future__ import annotations

import subprocess
import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType

from sandbox.real_node import RealNodes
from sandbox.real_node.binaries import APP

LAST_REPLY_WITHIN_S = 60.0


@dataclass(frozen=True)
class Request:
    """When it began (Unix seconds), how long it took, and the version that replied; without one,
    the cause. ``source``: the address that it came from, where several were asked for."""

    began: float
    took_s: float
    version: str
    failure: str
    source: str = ""


class Traffic:
    """Requests at a steady rate, from the start of the block to its end. A failed one counts as
    lost: these clients do not try again."""

    def __init__(
        self, nodes: RealNodes, url: str, rate: float, sources: Sequence[str] = ()
    ) -> None:
        for one in sources:
            added = nodes.in_network("ip", "addr", "replace", f"{one}/24", "dev", "br0")
            subprocess.run(added, check=True)
        words = [url, str(rate), *([",".join(sources)] if sources else [])]
        self._command = nodes.in_network(APP.built() / "load", *words)
        self._log = nodes.folder / f"traffic-{uuid.uuid4().hex}.log"

    def __enter__(self) -> Traffic:
        with self._log.open("w") as log:
            self._process = subprocess.Popen(
                self._command, stdin=subprocess.PIPE, stdout=log, start_new_session=True
            )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        self._process.communicate(timeout=LAST_REPLY_WITHIN_S)

    def requests(self, since: float = 0.0, until: float = float("inf")) -> list[Request]:
        """Those that began within these Unix times, as far as they have been answered."""
        lines = self._log.read_text(encoding="utf-8").splitlines(keepends=True)
        whole = [line.split() for line in lines if line.endswith("\n")]
        requests = (_request(*words) for words in whole)
        return [one for one in requests if since <= one.began <= until]

    def versions(self, since: float = 0.0, until: float = float("inf")) -> Counter[str]:
        return Counter(one.version for one in self.requests(since, until) if one.version)

    def newest(self, count: int) -> Counter[str]:
        """What replied to the newest that many requests; "" is a lost one."""
        return Counter(one.version for one in self.requests()[-count:])

    def lost(self, since: float = 0.0, until: float = float("inf")) -> list[Request]:
        return [one for one in self.requests(since, until) if one.failure]


def _request(began: str, took: str, word: str, source: str = "") -> Request:
    failure = word[1:] if word.startswith("!") else ""
    return Request(int(began) / 1000, int(took) / 1000, "" if failure else word, failure, source)
