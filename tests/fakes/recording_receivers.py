"""The Receivers port, recording what is sent. ``refusals`` are raised first, one per call."""

from __future__ import annotations

from dataclasses import dataclass, field

from bot.ports import Happened, Receiver


@dataclass
class RecordingReceivers:
    sent: list[tuple[str, str]] = field(default_factory=list)  # (release, kind)
    refusals: list[Exception | None] = field(default_factory=list)
    parts_of_the_end: int = 1

    def send(self, receiver: Receiver, happened: Happened, part: int) -> bool:
        refusal = self.refusals.pop(0) if self.refusals else None
        if refusal is not None:
            raise refusal
        self.sent.append((happened.release.id, happened.line.kind))
        return happened.line.kind == "finished" and part < self.parts_of_the_end - 1
