"""What a machine reads of a release."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict

from bot.ports import AuditLine
from bot.releases.engine.gates import open_gate
from bot.releases.facts.ages import moment
from bot.releases.facts.people import Person
from bot.releases.facts.plan import ApprovalGate, Plan
from bot.releases.facts.release import Release


class Shape(BaseModel):
    model_config = ConfigDict(frozen=True)


class StarterShape(Shape):
    """Who started it. ``caller``: the API token that claims to act for ``user``; null where Slack
    itself named the person. ``user``: null where the caller named nobody."""

    user: str | None
    caller: str | None


class StepShape(Shape):
    """Where it is in its plan; ``number`` counts from 1, and is 0 before the first step."""

    number: int
    of: int
    title: str


class ApprovalShape(Shape):
    """What it waits for."""

    what: str
    role: str
    needed: int
    given: int


class ReleaseShape(Shape):
    """Times are RFC 3339 in UTC; null for what has not happened."""

    id: str
    app: str
    cluster: str
    namespace: str
    strategy: str
    version: str
    from_version: str | None
    phase: str
    is_final: bool
    started_by: StarterShape
    reason: str
    created_at: str
    started_at: str | None
    finished_at: str | None
    behind: str | None
    step: StepShape | None
    approval: ApprovalShape | None
    cause: str | None


class PlanStepShape(Shape):
    """``share``: percent of the traffic at the new version."""

    title: str
    share: int | None
    candidates: int | None
    stables: int | None
    gates: tuple[str, ...]


class PlanShape(Shape):
    """``floor``: available stable pods never fall below it because of the release. ``lines``: the
    same for people."""

    hash: str
    image: str
    from_image: str
    floor: int
    is_down: bool
    deadline_seconds: int
    steps: tuple[PlanStepShape, ...]
    notes: tuple[str, ...]
    lines: tuple[str, ...]


class EventShape(Shape):
    """The data of an event in the stream; its kind is the name of the event."""

    at: str
    kind: str
    text: str
    by: str | None
    request_id: str | None


def release_shape(release: Release) -> ReleaseShape:
    target = release.target
    return ReleaseShape(
        id=release.id,
        app=target.app,
        cluster=target.cluster,
        namespace=target.namespace,
        strategy=release.strategy.value,
        version=release.to_version,
        from_version=release.from_version or None,
        phase=release.phase.value,
        is_final=release.phase.is_final,
        started_by=_starter(release.requested_by),
        reason=release.reason,
        created_at=moment(release.created_at),
        started_at=moment(release.started_at) if release.started_at else None,
        finished_at=moment(release.finished_at) if release.finished_at else None,
        behind=release.queued_behind or None,
        step=_step(release),
        approval=_approval(release),
        cause=release.cause.summary if release.cause else None,
    )


def _starter(person: Person) -> StarterShape:
    user = None if person.is_machine else person.user
    return StarterShape(user=user, caller=person.caller or None)


def _step(release: Release) -> StepShape | None:
    if release.phase.is_final or not release.steps:
        return None
    current = release.current_step
    title = current.title if current else ""
    return StepShape(number=release.progress.at_step + 1, of=len(release.steps), title=title)


def _approval(release: Release) -> ApprovalShape | None:
    gate, state = open_gate(release), release.progress.gate
    if not isinstance(gate, ApprovalGate) or release.phase.is_final:
        return None
    given = len(state.votes) if state else 0
    return ApprovalShape(
        what=gate.title or gate.name, role=gate.role, needed=gate.quorum, given=given
    )


def plan_shape(plan: Plan, lines: Sequence[str]) -> PlanShape:
    steps = tuple(
        PlanStepShape(
            title=step.title,
            share=step.share,
            candidates=step.candidates,
            stables=step.stables,
            gates=tuple(gate.title or gate.name for gate in step.gates),
        )
        for step in plan.steps
    )
    return PlanShape(
        hash=plan.hash,
        image=plan.image,
        from_image=plan.from_image,
        floor=plan.floor,
        is_down=plan.down,
        deadline_seconds=plan.deadline_ms // 1000,
        steps=steps,
        notes=plan.notes,
        lines=tuple(lines),
    )


def event_shape(line: AuditLine) -> EventShape:
    return EventShape(
        at=moment(line.at),
        kind=line.kind,
        text=line.text,
        by=line.by or None,
        request_id=line.request_id or None,
    )
