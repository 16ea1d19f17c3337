"""What happened to a release: the lines of the channel and, where a person or a decision brought
them about, of the audit stream."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from bot.releases.facts.people import Person


class EventKind(StrEnum):
    CREATED = "created"
    QUEUED = "queued"
    HELD = "held"  # a version that waited behind a release which did not succeed
    PLANNED = "planned"
    OVERRODE = "overrode"  # an admin's reason let it begin
    REFUSED = "refused"  # the plan or the API server refused it; final
    STEP_BEGAN = "step_began"
    STEP_DONE = "step_done"
    GATE_OPENED = "gate_opened"
    VOTED = "voted"
    GATE_PASSED = "gate_passed"
    REMINDED = "reminded"
    JUDGED = "judged"
    PROBED = "probed"  # the candidate's pods answered
    PROBE_FAILED = "probe_failed"  # they did not: the switch waits
    FROZEN = "frozen"  # a freeze holds it before its next step
    PAUSED = "paused"
    RESUMED = "resumed"
    DRIFTED = "drifted"
    DRIFT_ENDED = "drift_ended"
    UNREACHABLE = "unreachable"
    REACHABLE = "reachable"
    ENVIRONMENT = "environment"  # shown and asked about
    FAILURE = "failure"
    EVIDENCE = "evidence"  # log lines of what failed were read
    ROLLING_BACK = "rolling_back"
    WROTE = "wrote"  # audit only: an action is about to be sent to the cluster
    CANCELLED = "cancelled"
    FINISHED = "finished"


_BY_ITSELF = frozenset(
    {
        EventKind.QUEUED,
        EventKind.OVERRODE,  # audited as it was decided
        EventKind.REMINDED,
        EventKind.PROBED,
        EventKind.PROBE_FAILED,
        EventKind.UNREACHABLE,
        EventKind.REACHABLE,
        EventKind.ENVIRONMENT,
        EventKind.EVIDENCE,
    }
)


@dataclass(frozen=True)
class Event:
    """``text`` is one plain line for people, without markup; ``mentions`` whether someone
    must act."""

    at: int
    kind: EventKind
    text: str
    by: Person | None = None
    step: str = ""
    evidence: tuple[str, ...] = ()

    @property
    def is_audited(self) -> bool:
        """The audit grows by commands, clicks, decisions and writes: what waiting, retries and the
        cluster bring about is announced alone."""
        return self.by is not None or self.kind not in _BY_ITSELF
