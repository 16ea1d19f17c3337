"""The judge's other half: what people were asked and told. It reads events as they were saved, and
what Slack shows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from bot.releases.facts.events import Event, EventKind
from bot.releases.facts.release import Phase, Release
from bot.slack.blocks.buttons import ACTION_PREFIX
from tests.builders import ADMIN, MANAGER
from tests.simulation.slack import Shown, SimulatedSlack
from tests.simulation.trace import told

APPROVERS = {MANAGER.user, ADMIN.user}
WAITS_FOR_VOTES = {Phase.AWAITING_APPROVAL: "start", Phase.AWAITING_PROMOTION: "promote"}
MOVES_ON = {Phase.PROGRESSING, Phase.HOLDING, Phase.SUCCEEDED}
OF_RUNNING = {"approve", "reject", "promote", "pause", "resume", "finish", "adopt", "abort"}
"""Buttons that mean something only while a release runs."""
BEFORE_IT_CAME_MS = 60_000
"""What others wrote then may be read late, or be of a time before the release began."""
ENDS_BADLY = {Phase.FAILED, Phase.ROLLED_BACK, Phase.EXPIRED}


@dataclass
class Hearing:
    slack: SimulatedSlack
    violate: Callable[[str], None]
    votes: dict[str, set[str]] = field(default_factory=dict)  # since the gate opened
    counted: Counter[tuple[str, str]] = field(default_factory=Counter)  # (release, kind of event)
    others_wrote_at: dict[str, int] = field(default_factory=dict)  # by namespace
    is_forgetful: bool = False  # Redis lost what it was told: it may happen once more

    # --- while it runs ----------------------------------------------------------------------------

    def on_saved(self, before: Release | None, release: Release, events: Iterable[Event]) -> None:
        self._check_drift(before, release)
        for event in events:
            self.counted[release.id, event.kind.value] += 1
            if event.kind is EventKind.GATE_OPENED:
                self.votes[release.id] = set()
            if event.kind is EventKind.VOTED:
                self._voted(release, event)
        if before is not None and before.phase in WAITS_FOR_VOTES and release.phase in MOVES_ON:
            self._check_votes(before, release)

    def _check_drift(self, before: Release | None, release: Release) -> None:
        """Nobody is told of a change outside Pilothouse where there was none."""
        if release.phase is not Phase.DRIFTED or before is None or before.phase is release.phase:
            return
        since = release.created_at - BEFORE_IT_CAME_MS
        if self.is_forgetful or self.others_wrote_at.get(release.target.namespace, 0) >= since:
            return
        drift = ", ".join(f"{one.field.value} of {one.name}" for one in release.drift)
        self.violate(f"{release.id} was told of a change that nobody made: {drift}")

    def _voted(self, release: Release, event: Event) -> None:
        by = event.by.user if event.by else ""
        is_confirmed = bool(by) and "confirm" in event.text  # a gate that any deployer answers
        if by not in APPROVERS and not is_confirmed:
            self.violate(f"{by or 'nobody'} voted on {release.id}")
        elif by == release.requested_by.user and not is_confirmed:
            self.violate(f"{by} voted on their own {release.id}")
        self.votes.setdefault(release.id, set()).add(by)

    def _check_votes(self, before: Release, release: Release) -> None:
        wanted = getattr(release.rules.approvals, WAITS_FOR_VOTES[before.phase])
        found = self.votes.get(release.id, set())
        if len(found) < wanted and not self._was_confirmed(before):
            self.violate(f"{told(release)} went on with {len(found)} of {wanted} votes")

    @staticmethod
    def _was_confirmed(release: Release) -> bool:
        """A gate of its own that its starter answers."""
        gate = release.progress.gate
        gates = (
            release.plan.start
            if release.plan and release.progress.at_step < 0
            else release.current_step.gates
            if release.current_step
            else ()
        )
        one: Any = gates[gate.gate] if gate is not None and gate.gate < len(gates) else None
        return one is not None and getattr(one, "role", "approver") == "deployer"

    # --- at its end -------------------------------------------------------------------------------

    def check_end(self, release: Release, card: Shown | None) -> None:
        """After everything was delivered."""
        if card is None:
            self.violate(f"{release.id} has no card")
            return
        left = OF_RUNNING & {name.removeprefix(ACTION_PREFIX) for name, _ in card.buttons()}
        if left:
            self.violate(f"{release.id} is over, and its card offers {', '.join(sorted(left))}")
        finished = self.counted[release.id, EventKind.FINISHED.value]
        if finished > 1 and not self.is_forgetful:
            self.violate(f"{release.id} ended {finished} times")
        if release.phase in ENDS_BADLY and release.cause is not None:
            self._check_cause(release, release.cause.summary, card)

    def _check_cause(self, release: Release, cause: str, card: Shown) -> None:
        """Told at least once where the release is followed: on its card, or in its thread."""
        there = [card, *(one for one in self.slack.messages.values() if one.thread_ts == card.ts)]
        words = _letters(cause)[:40]
        if not any(words in _letters(f"{one.message.text} {one.message.blocks}") for one in there):
            self.violate(f"{release.id} {release.phase.value}: nobody was told {cause!r}")

    def check_wait(self, release: Release, card: Shown | None) -> None:
        """A release that stands still says on its card what it waits for."""
        waits = release.progress.waits_for
        if card is None:
            self.violate(f"{told(release)} stands still and has no card")
        elif waits and _letters(waits)[:60] not in _letters(str(card.message.blocks)):
            self.violate(f"the card of {told(release)} does not say that it waits: {waits!r}")


def _letters(text: str) -> str:
    """Without marks, which Slack's blocks write differently."""
    for mark, sign in (("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&")):
        text = text.replace(mark, sign)
    return "".join(one for one in text if one.isalnum())
