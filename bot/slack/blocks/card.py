"""The card: the one message of a release, edited as it goes. A pure function of the record.

At a glance, on a phone: what, who, how far, is it healthy, what is asked of me? When the release is
over the card shrinks to the record and its buttons go.
"""

from __future__ import annotations

from typing import assert_never

from bot.commands.table import BY_NAME, Names
from bot.ports import Message
from bot.releases.engine.gates import expires_at, gates_here, hold_ends_at, open_gate
from bot.releases.facts.changes import Deploy, Scale
from bot.releases.facts.counts import counted
from bot.releases.facts.people import Person
from bot.releases.facts.plan import ApprovalGate, HoldGate, Step
from bot.releases.facts.release import Phase, Release
from bot.releases.facts.target import Strategy
from bot.slack.blocks.buttons import buttons_of
from bot.slack.blocks.elements import Block, actions, context, preformatted, section, top_text
from bot.slack.blocks.words import (
    MARKS,
    change_words,
    colour_of,
    headline,
    phase_words,
    progress,
    shown_percent,
    step_of,
)
from bot.slack.markup import clock, code, date, duration, escape, mention, plain

BAR_CELLS = 10
SHOWN_STEPS = 20
SHOWN_NOTES = 4
SHOWN_EVIDENCE = 5


def card(release: Release, *, now: int, names: Names | None = None, first: bool = False) -> Message:
    """``first``: as it is posted, not edited. Slack calls the people whom a new message mentions,
    so it names them in words."""
    blocks: list[Block] = [section(_title(release))]
    if release.phase.is_final:
        blocks += _record(release)
    else:
        blocks += [
            block
            for block in (
                _asked(release, now, first),
                _steps(release),
                _state(release),
                _notes(release),
            )
            if block
        ]
        buttons = buttons_of(release)
        if buttons:
            blocks.append(actions(buttons))
    blocks.append(context(_origin(release, names or Names(), first)))
    return Message(_spoken(release), tuple(blocks))


def bar(share: int) -> str:
    filled = max(0, min(BAR_CELLS, round(share * BAR_CELLS / 100)))
    return "█" * filled + "░" * (BAR_CELLS - filled)


def _title(release: Release) -> str:
    what = plain(change_words(release), 400)
    share = shown_percent(release)
    far = f" · {share} %" if share is not None else ""
    if release.finished_at and release.started_at:
        far = f" · took {duration(release.finished_at - release.started_at)}"
    return f"*{what}*\n{MARKS[release.phase]} {plain(phase_words(release), 400)}{far}"


# --- what is asked of whom ------------------------------------------------------------------------


def _asked(release: Release, now: int, first: bool) -> Block | None:
    lines = asked_lines(release, now, first)
    return section("\n".join(lines)) if lines else None


def _who(person: Person, first: bool) -> str:
    return plain(person.name or person.user, 100) if first else mention(person.user)


def asked_lines(release: Release, now: int, first: bool = False) -> list[str]:
    """mrkdwn; what the release waits for, and until when."""
    lines: list[str] = []
    if release.unreachable:
        since, why = date(release.unreachable.since), plain(release.unreachable.why, 200)
        lines.append(
            f"⚠️ {plain(release.target.cluster)} cannot be reached since {since}: {why}. Nothing is"
            " changed meanwhile."
        )
    match release.phase:
        case Phase.QUEUED if release.queued_behind:
            lines.append(f"Starts when {code(release.queued_behind)} is over.")
        case Phase.AWAITING_APPROVAL | Phase.AWAITING_PROMOTION:
            gate = open_gate(release)
            if isinstance(gate, ApprovalGate):
                lines += _approval_lines(release, gate, now, first)
        case Phase.HOLDING:
            gate = open_gate(release)
            ends = hold_ends_at(release, gate) if isinstance(gate, HoldGate) else None
            if isinstance(gate, HoldGate) and ends is not None:
                what = gate.title or "hold"
                ending = f"{date(ends, '{time_secs}')} ({duration(gate.ms)})"
                lines.append(
                    f"{plain(what[:1].upper() + what[1:])} until {ending}, then"
                    f" {_after_hold(release)}."
                )
        case Phase.PAUSED if release.cause is not None:
            lines.append(f"*Why:* {plain(release.cause.summary, 700)}")
            lines.append("Resume to go on, or abort to take it back.")
        case Phase.PAUSED:
            lines.append("Nothing is changed until somebody resumes or aborts it.")
        case Phase.DRIFTED:
            for drift in release.drift[:5]:
                by = f" by {code(drift.manager, 80)}" if drift.manager else ""
                lines.append(
                    f"{drift.kind.value} {code(drift.name)}, {drift.field.value}: intended"
                    f" {code(drift.intended, 200)}, is {code(drift.observed, 200)}{by}"
                )
            lines.append("Adopt to keep that change, or abort to take the release back.")
        case Phase.ROLLING_BACK if release.cause is not None:
            lines.append(f"*Why:* {plain(release.cause.summary, 700)}")
        case _:
            pass
    trouble = release.progress.trouble
    if trouble is not None:
        since = f" since {date(trouble.since)}" if trouble.since else ""
        lines.append(f"⚠️ The cluster, not the release{since}: {plain(trouble.cause.summary, 500)}")
    if release.progress.probe_failure:
        lines.append(
            f"⚠️ Probe: {plain(release.progress.probe_failure, 500)}. The switch waits for it."
        )
    step = step_of(release)
    if release.phase is Phase.PROGRESSING and step is not None and step.deadline_ms:
        until = release.progress.began_at + step.deadline_ms + release.progress.paused_ms
        lines.append(f"Deadline {date(until)}.")
    return lines


def _approval_lines(release: Release, gate: ApprovalGate, now: int, first: bool) -> list[str]:
    votes = release.progress.gate.votes if release.progress.gate else ()
    role = gate.role
    who = (
        f"{'an' if role == 'approver' else 'a'} {role}"
        if gate.quorum == 1
        else f"{gate.quorum} {role}s"
    )
    other = "" if gate.requester_may_approve else f" other than {_who(release.requested_by, first)}"
    lines = [f"*Asked:* {who}{other} to {plain(gate.title or gate.name, 200)}."]
    if votes:
        names = ", ".join(_who(vote.by, first) for vote in votes)
        lines.append(f"{len(votes)} of {gate.quorum} approved: {names}")
    ends = expires_at(release, gate)
    if ends is not None and ends > now:
        then = "then it is aborted" if gate.on_expiry == "abort" else "then people are reminded"
        lines.append(f"Until {date(ends)}, {then}.")
    elif ends is not None:
        lines.append(f"Overdue since {date(ends)}; it goes on waiting.")
    return lines


def _after_hold(release: Release) -> str:
    """What comes when a hold ends and nobody does anything."""
    state = release.progress.gate
    following = gates_here(release)[state.gate + 1 :] if state is not None else ()
    if following and isinstance(following[0], ApprovalGate):
        return f"it waits for {_gate_words(following[0])}"
    return "it goes on by itself"


# --- how far --------------------------------------------------------------------------------------


def _steps(release: Release) -> Block | None:
    steps = [step for step in release.steps if step.until or step.gates]
    if len(steps) < 2 and not any(step.gates for step in steps) and release.rollback is None:
        return None
    lines = [_step_line(release, step) for step in steps[:SHOWN_STEPS]]
    if len(steps) > SHOWN_STEPS:
        lines.append(f"and {len(steps) - SHOWN_STEPS} more steps")
    return section("\n".join(lines)) if lines else None


def _step_line(release: Release, step: Step) -> str:
    index = release.steps.index(step)
    if index < release.progress.at_step:
        mark = "✅ done"
    elif index == release.progress.at_step:
        mark = "▶️ now"
    else:
        mark = "▫️ next"
    share = (
        f" ({step.share} %)"
        if step.share is not None and f"{step.share} %" not in step.title
        else ""
    )
    state, at_step = release.progress.gate, release.progress.at_step
    passed = state.gate if index == at_step and state is not None else 0
    gates = [_gate_words(gate) for gate in step.gates[passed:]]
    after = f", then {' and '.join(gates)}" if gates and index >= at_step else ""
    return f"{mark}: {plain(step.title, 200)}{share}{after}"


def _gate_words(gate: ApprovalGate | HoldGate) -> str:
    match gate:
        case ApprovalGate(quorum=quorum):
            return counted(quorum, "approval")
        case HoldGate(ms=ms, name=name):
            return (
                f"{duration(ms)} {'with the way back open' if name == 'window' else 'of holding'}"
            )
        case _ as never:
            assert_never(never)


def pods_words(release: Release) -> list[str]:
    """One line a version, stable and candidate apart: ``2.0.0 candidate: 3 of 5 ready, 3 serving``.
    Short: a phone shows 36 columns."""
    lines = []
    many = len({count.side for count in release.card_snapshot.versions}) > 1
    for count in release.card_snapshot.versions:
        role = colour_of(release, count.side) if many else ("new" if count.is_new else "old")
        traffic = f", {count.endpoints} serving" if release.target.services and many else ""
        lines.append(f"{count.version} {role}: {count.ready} of {count.pods} ready{traffic}")
    return lines


def _colours(release: Release) -> tuple[str, str] | None:
    """(the one that serves, the one that waits) of blue/green, while exactly one does and both are
    there."""
    there = {count.side for count in release.card_snapshot.versions}
    if release.strategy is not Strategy.BLUEGREEN or len(there) < 2:
        return None
    match release.card_snapshot.serving:
        case "stable":
            return colour_of(release, "stable"), colour_of(release, "candidate")
        case "candidate":
            return colour_of(release, "candidate"), colour_of(release, "stable")
        case _:
            return None


def _state(release: Release) -> Block | None:
    seen = release.card_snapshot
    lines: list[str] = []
    if release.strategy is not Strategy.ROLLING and seen.share is not None:
        lines.append(f"{bar(seen.share)} {seen.share} % of traffic to {plain(release.to_version)}")
    else:
        counted = progress(release)
        if counted is not None and counted[1] and release.phase is not Phase.AWAITING_APPROVAL:
            ready, wanted = counted
            on = "" if isinstance(release.change, Scale) else f" on {plain(release.to_version)}"
            lines.append(f"{bar(100 * ready // wanted)} {ready} of {wanted} ready{on}")
    lines += [plain(line, 200) for line in pods_words(release)[:8]]
    if colours := _colours(release):
        serves, waits = colours
        since = f" since {date(seen.serving_since)}" if seen.serving_since else ""
        waiting = (
            f" since {date(release.progress.gate.opened_at)}"
            if release.progress.gate and release.phase is Phase.AWAITING_PROMOTION
            else ""
        )
        lines.append(f"{serves.capitalize()} serves{since}; {waits} waits{waiting}.")
    if release.judgements:
        last = release.judgements[-1]
        lines.append(
            f"Last verdict, {date(last.at)}: *{last.verdict.value.replace('_', ' ')}*,"
            f" {plain(last.detail, 400)}"
        )
    return section("\n".join(lines)) if lines else None


def _notes(release: Release) -> Block | None:
    if release.plan is None or release.rollback is not None:
        return None
    lines = [f"• {plain(note, 400)}" for note in release.plan.notes[:SHOWN_NOTES]]
    if len(release.plan.notes) > SHOWN_NOTES:
        lines.append(f"and {len(release.plan.notes) - SHOWN_NOTES} more notes")
    return context("\n".join(lines)) if lines else None


# --- when it is over ------------------------------------------------------------------------------


def _record(release: Release) -> list[Block]:
    blocks: list[Block] = []
    if release.cause is not None and release.phase is not Phase.SUCCEEDED:
        blocks.append(section(f"*Why:* {plain(release.cause.summary, 900)}"))
        if release.cause.evidence:
            blocks.append(
                preformatted(
                    "\n".join(line[:300] for line in release.cause.evidence[:SHOWN_EVIDENCE])
                )
            )
    return blocks


def _origin(release: Release, names: Names, first: bool) -> str:
    parts = [
        code(release.id),
        f"by {_who(release.requested_by, first)}",
        date(release.created_at, "{date_short_pretty} {time}"),
    ]
    approvals = [name.partition(": ") for name in release.passed if ": " in name]
    parts += [plain(f"{gate} approved by {who}", 200) for gate, _, who in approvals[:3]]
    target = release.target
    parts.append(plain(f"{target.namespace}/{target.deployment} on {target.cluster}", 300))
    line = " · ".join(parts)
    if release.reason:
        line += f"\nReason: {plain(release.reason, 500)}"
    if release.command:
        name, _, rest = release.command.partition(" ")
        typed = f"{names.typed(name)} {rest}".rstrip() if name in BY_NAME else release.command
        line += f"\n{code(typed, 500)}"
    if isinstance(release.change, Deploy) and release.change.sticky and not release.phase.is_final:
        line += "\nsticky: each caller stays with one version"
    return line


def _spoken(release: Release) -> str:
    """The whole story without markup; escaped, for Slack reads angle brackets here too."""
    lines = [headline(release)]
    starter = release.requested_by.name or release.requested_by.user
    lines.append(
        f"{release.id}, started by {starter} at {clock(release.created_at)}"
        + (f": {release.reason}" if release.reason else "")
    )
    if release.unreachable and not release.phase.is_final:
        lines.append(
            f"{release.target.cluster} cannot be reached since {clock(release.unreachable.since)};"
            " nothing is changed meanwhile"
        )
    step = step_of(release)
    if step is not None and not release.phase.is_final:
        count = len([s for s in release.steps if s.until or s.gates])
        lines.append(f"Step {min(release.progress.at_step + 1, count)} of {count}: {step.title}")
    gate = open_gate(release)
    if isinstance(gate, ApprovalGate) and release.phase in (
        Phase.AWAITING_APPROVAL,
        Phase.AWAITING_PROMOTION,
    ):
        votes = len(release.progress.gate.votes) if release.progress.gate else 0
        ends = expires_at(release, gate)
        until = f", until {clock(ends)}" if ends is not None else ""
        lines.append(f"Asked: {gate.title or gate.name}; {votes} of {gate.quorum} approvals{until}")
    if isinstance(gate, HoldGate) and (ends := hold_ends_at(release, gate)) is not None:
        lines.append(f"Holds until {clock(ends)}")
    lines += pods_words(release)[:8] if not release.phase.is_final else []
    if not release.phase.is_final and (colours := _colours(release)):
        seen_at = release.card_snapshot.serving_since
        lines.append(
            f"{colours[0].capitalize()} serves{f' since {clock(seen_at)}' if seen_at else ''};"
            f" {colours[1]} waits"
        )
    if release.judgements and not release.phase.is_final:
        last = release.judgements[-1]
        lines.append(f"Last verdict: {last.verdict.value.replace('_', ' ')}, {last.detail}")
    for drift in release.drift[:5]:
        lines.append(
            f"{drift.kind.value} {drift.name}, {drift.field.value}: intended {drift.intended}, is"
            f" {drift.observed}"
        )
    if release.progress.trouble is not None:
        lines.append(f"The cluster, not the release: {release.progress.trouble.cause.summary}")
    if release.progress.probe_failure and not release.phase.is_final:
        lines.append(f"Probe: {release.progress.probe_failure}. The switch waits for it")
    if release.cause is not None and release.phase is not Phase.SUCCEEDED:
        lines.append(f"Why: {release.cause.summary}")
        lines += [*release.cause.evidence[:SHOWN_EVIDENCE]]
    return top_text(escape(line) for line in lines)
