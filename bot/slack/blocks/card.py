"""The card: the one message of a release, edited as the release progresses. A pure function of the
record.

It answers at once, on a phone: what, who, how far, is it healthy, what must I do? When the release
ends, the card shrinks to the record and loses its buttons.
"""

from __future__ import annotations

from collections.abc import Iterator

from bot.commands.table import BY_NAME, Names
from bot.ports import Message
from bot.releases.engine.cluster_trouble import is_clusters_fault
from bot.releases.engine.gates import expires_at, gates_here, hold_ends_at, open_gate
from bot.releases.engine.queue import held_until
from bot.releases.engine.votes import groups_missing
from bot.releases.facts.ages import duration
from bot.releases.facts.changes import Deploy, Scale
from bot.releases.facts.counts import counted, some_of
from bot.releases.facts.fleet import SHOWN
from bot.releases.facts.people import Person
from bot.releases.facts.plan import ApprovalGate, HoldGate
from bot.releases.facts.release import WAITING_PHASES, Phase, Release
from bot.releases.facts.target import Strategy
from bot.slack.blocks.buttons import buttons_after, buttons_of
from bot.slack.blocks.elements import Block, actions, context, preformatted, section
from bot.slack.blocks.fleet import fleet_blocks
from bot.slack.blocks.links import links_block, query_link
from bot.slack.blocks.plain_card import SHOWN_EVIDENCE, plain_card
from bot.slack.blocks.steps import steps_block
from bot.slack.blocks.timeline import timeline_lines
from bot.slack.blocks.words import (
    MARKS,
    blind_words,
    capitalised,
    colours_of,
    freeze_words,
    pods_words,
    progress,
    state_words,
    step_of,
    struggle_words,
    title_words,
    uncapitalised,
    verdict_words,
)
from bot.slack.markup import code, date, escaped, link, mention, plain
from config.nearest import listed

BAR_CELLS = 10
SHOWN_NOTES = 4


def card(
    release: Release,
    *,
    now: int,
    names: Names | None = None,
    first: bool = False,
    followed: bool = False,
) -> Message:
    """``first``: as posted, before any edit. Slack notifies everyone whom a new message mentions,
    so that version names people without mentioning them. ``followed``: versions wait behind it."""
    blocks: list[Block] = [section(_title(release))]
    if release.phase.is_final:
        blocks += _cause(release)
        blocks += fleet_blocks(release, release.fleet) if release.fleet else _timeline(release)
        if after := buttons_after(release):
            blocks.append(actions(after))
    else:
        waits = _waits_for(release, now, first)
        if release.fleet is not None:
            blocks += [*([waits] if waits else ()), *fleet_blocks(release, release.fleet)]
        else:
            parts = (waits, steps_block(release), _state(release), _notes(release))
            blocks += [part for part in parts if part]
        if buttons := buttons_of(release, followed=followed):
            blocks.append(actions(buttons))
    blocks += links_block(release, release.from_version, release.to_version)
    blocks.append(context(_origin(release, names or Names(), first)))
    return Message(plain_card(release), tuple(blocks))


def moved_card(release: Release, address: str) -> Message:
    """It keeps what was written in its thread; the state is on the card alone."""
    what = title_words(release)
    line = f"*{plain(what, 400)}*: {link(address, 'its card')} is further down."
    return Message(f"{escaped(what, 1_000)}: its card is further down.", (section(line),))


def bar(share: int) -> str:
    filled = max(0, min(BAR_CELLS, round(share * BAR_CELLS / 100)))
    return "█" * filled + "░" * (BAR_CELLS - filled)


def _title(release: Release) -> str:
    """What it does and how it stands; how far it is the bar says, what is wrong its own lines."""
    what, state = plain(title_words(release), 400), plain(state_words(release), 400)
    return f"*{what}*\n{MARKS[release.phase]} {state}{_when(release)}"


def _when(release: Release) -> str:
    """Since when it waits, how long it holds, how long it took."""
    if release.phase.is_final:
        return f" · took {duration(release.took_ms)}" if release.took_ms is not None else ""
    if release.phase is Phase.HOLDING:
        return _until(release)
    if release.phase not in (*WAITING_PHASES, Phase.QUEUED):
        return ""
    state, is_queued = release.progress.gate, release.phase is Phase.QUEUED
    asks = release.phase in (Phase.AWAITING_APPROVAL, Phase.AWAITING_PROMOTION)
    asked_at = state.opened_at if asks and state is not None else 0
    since = asked_at or release.phase_since or (release.created_at if is_queued else 0)
    return f" · since {date(since)}" if since else ""


def _until(release: Release) -> str:
    gate = open_gate(release)
    ends = hold_ends_at(release, gate) if isinstance(gate, HoldGate) else None
    if ends is None:
        return ""
    return f" until {date(ends, '{time_secs}')}, then {_after_hold(release)}"


# --- what it waits for ----------------------------------------------------------------------------


def _waits_for(release: Release, now: int, first: bool) -> Block | None:
    lines = [
        *_unreachable_lines(release),
        *_failed_write_lines(release),
        *_freeze_lines(release),
        *_phase_lines(release, now, first),
        *_struggle_lines(release),
        *_trouble_lines(release),
        *_deadline_lines(release),
    ]
    return section("\n".join(lines)) if lines else None


def _who(person: Person, first: bool) -> str:
    return plain(person.display_name, 100) if first else mention(person.user)


def _starter(person: Person, first: bool) -> str:
    if person.is_machine:
        return f"the API caller {code(person.caller)}"
    claimed = f", as the API caller {code(person.caller)} claims" if person.caller else ""
    return f"{_who(person, first)}{claimed}"


def _unreachable_lines(release: Release) -> Iterator[str]:
    if release.unreachable:
        since, why = date(release.unreachable.since), plain(release.unreachable.why, 200)
        yield (
            f"⚠️ {plain(release.target.cluster)} has been unreachable since {since}: {why}. Nothing"
            " changes meanwhile."
        )


def _failed_write_lines(release: Release) -> Iterator[str]:
    failed = release.failed_write
    if failed is not None:
        yield (
            f"⚠️ Since {date(failed.since)} the API server has not taken"
            f" {code(failed.what)}: {plain(failed.why, 500)}. Trying again."
        )


def _freeze_lines(release: Release) -> Iterator[str]:
    if frozen := freeze_words(release):
        yield f"🧊 {plain(frozen, 700)}"


def _phase_lines(release: Release, now: int, first: bool) -> list[str]:
    match release.phase:
        case Phase.QUEUED if release.held is not None:
            front, until = code(release.held.behind), date(held_until(release) or 0)
            return [
                f"*Held:* {front} did not succeed while this waited for it.",
                f"Continue or drop it. At {until} it is dropped.",
            ]
        case Phase.QUEUED if release.queued_behind:
            return [_line_words(release)]
        case Phase.AWAITING_APPROVAL | Phase.AWAITING_PROMOTION:
            gate = open_gate(release)
            if not isinstance(gate, ApprovalGate):
                return []
            return _approval_lines(release, gate, now, first)
        case Phase.PAUSED if release.cause is not None:
            return [_why(release), _what_to_do(release)]
        case Phase.PAUSED:
            return [_while_paused(release)]
        case Phase.DRIFTED:
            return [*_drift_lines(release), "Adopt to keep the change, or abort to roll back."]
        case Phase.ROLLING_BACK if release.cause is not None:
            return [_why(release)]
        case _:
            return []


def _while_paused(release: Release) -> str:
    if release.fleet is None:
        return "Nothing changes until someone resumes or aborts it."
    return "No other cluster begins until someone resumes it. Parts that run continue."


def _what_to_do(release: Release) -> str:
    if release.fleet is None:
        return "Resume to continue, or abort to roll back."
    return "Finish to leave it so, roll back all, or continue with what is left."


def _line_words(release: Release) -> str:
    place, front = release.in_line, release.queued_behind
    if place is None:
        return f"Starts when {code(front)} ends."
    shown = link(place.card, front) if place.card else code(front)
    usually = f", usually by {date(place.done_by)}" if place.done_by else ""
    return f"Position {place.position} in line: starts when {shown} ends{usually}."


def _why(release: Release) -> str:
    return f"*Why:* {plain(release.cause.summary, 700)}" if release.cause is not None else ""


def _approval_lines(release: Release, gate: ApprovalGate, now: int, first: bool) -> list[str]:
    votes = release.progress.gate.votes if release.progress.gate else ()
    who = _asked(gate, first)
    starter = release.requested_by
    may_too = gate.requester_may_approve and not starter.caller
    other = "" if may_too or starter.is_machine else f" other than {_who(starter, first)}"
    what = uncapitalised(gate.title or gate.name)
    lines = [f"*Needs:* {who}{other} to {plain(what, 200)}."]
    if votes:
        names = ", ".join(_who(vote.by, first) for vote in votes)
        lines.append(f"{len(votes)} of {gate.quorum} approved: {names}")
        lines += [
            f"Still needs someone of {_group(one, first)}" for one in groups_missing(gate, votes)
        ]
    ends = expires_at(release, gate)
    if release.standstill is not None:
        lines.append("Approvals wait for the end of the freeze.")
    elif ends is not None and ends > now:
        aborts = gate.on_expiry == "abort"
        lines.append(
            f"Aborts if not approved by {date(ends)}."
            if aborts
            else f"Sends a reminder at {date(ends)}."
        )
    elif ends is not None:
        lines.append(f"Overdue since {date(ends)}; still waiting.")
    return lines


def _asked(gate: ApprovalGate, first: bool) -> str:
    role, voters = gate.role, gate.voters
    article = "a" if role == "deployer" else "an"
    who = f"{article} {role}" if gate.quorum == 1 else f"{gate.quorum} {role}s"
    if voters.any_of:
        people = "someone" if gate.quorum == 1 else f"{gate.quorum} people"
        who = f"{people} of {' or '.join(_group(one, first) for one in voters.named)}"
    if voters.one_from_each:
        each = " and of ".join(_group(one, first) for one in voters.one_from_each)
        who = f"{who}, among them one of {each},"
    return who


def _group(group: str, first: bool) -> str:
    return code(group) if first else mention(group)


def _after_hold(release: Release) -> str:
    """What follows a hold when nobody acts."""
    state = release.progress.gate
    following = gates_here(release)[state.gate + 1 :] if state is not None else ()
    if following and isinstance(following[0], ApprovalGate):
        return f"waits for {counted(following[0].quorum, 'approval')}"
    return "continues automatically"


def _drift_lines(release: Release) -> list[str]:
    lines = []
    for drift in release.drift[:5]:
        at = f" at {date(drift.at, '{time_secs}')}" if drift.at else ""
        by = f", set by {code(drift.manager, 80)}{at}" if drift.manager else ""
        lines.append(
            f"{drift.kind.value} {code(drift.name)}, {drift.field.value}: expected"
            f" {code(drift.intended, 200)}, found {code(drift.observed, 200)}{by}"
        )
    return lines


def _trouble_lines(release: Release) -> Iterator[str]:
    trouble = release.progress.trouble
    if trouble is not None:
        since = f" since {date(trouble.since)}" if trouble.since else ""
        summary = plain(trouble.cause.summary, 500)
        if is_clusters_fault(trouble):
            yield f"⚠️ Cluster problem{since}, not the release's fault: {summary}"
        else:
            yield f"⚠️ Waiting{since}: {summary}"
    failing = release.progress.probe_failure
    is_moving = release.phase in (Phase.PROGRESSING, Phase.ROLLING_BACK)
    if release.progress.waits_for and is_moving and not failing:
        yield f"*Waiting:* {plain(release.progress.waits_for, 400)}."
    if failing:
        yield f"⚠️ The probe fails: {plain(failing, 500)}. The switch waits until it passes."


def _struggle_lines(release: Release) -> Iterator[str]:
    """What is wrong with the new pods, and what is left until something follows from it."""
    trouble, found = struggle_words(release), release.card_snapshot.struggle
    if not trouble or found is None or release.phase is not Phase.PROGRESSING:
        return
    ends = _deadline(release)
    latest = f"; at the latest at {date(ends, '{time_secs}')}" if ends else ""
    then = _then(release)
    if found.is_crash:
        needed, patience = release.rules.crash_loop_restarts, release.rules.crash_loop_for_ms
        missing = max(0, needed - found.restarts)
        to_go = f"{counted(missing, 'restart')} to go, " if missing else ""
        rule = (
            f"{then} after {counted(needed, 'restart')} and {duration(patience)} ({to_go}not before"
            f" {date(found.counts_at, '{time_secs}')}){latest}"
        )
    elif found.counts_at:
        rule = f"{then} if that lasts until {date(found.counts_at, '{time_secs}')}{latest}"
    else:
        rule = f"{then} if that lasts until {date(ends, '{time_secs}')}" if ends else ""
    yield f"⚠️ {capitalised(plain(trouble, 300))}. {rule}{'.' if rule else ''}".rstrip()


def _then(release: Release) -> str:
    if release.only_a_person_rolls_back:
        return "People are asked"
    return "Pauses" if release.rules.on_failure == "pause" else "Rolls back"


def _deadline(release: Release) -> int | None:
    """None where a person decides."""
    step = step_of(release)
    if step is None or not step.deadline_ms or is_clusters_fault(release.progress.trouble):
        return None
    return release.progress.began_at + step.deadline_ms + release.progress.paused_ms


def _deadline_lines(release: Release) -> Iterator[str]:
    ends = _deadline(release)
    if release.phase is Phase.PROGRESSING and ends and not struggle_words(release):
        usual = release.progress.began_at + release.usual_ms + release.progress.paused_ms
        is_usual = release.usual_ms and not release.progress.probe_failure
        estimate = f"Usually done by {date(usual, '{time_secs}')}; d" if is_usual else "D"
        yield f"{estimate}eadline {date(ends)}."


# --- how far --------------------------------------------------------------------------------------


def _state(release: Release) -> Block | None:
    lines = [
        *_progress_lines(release),
        *(plain(line, 200) for line in pods_words(release)),
    ]
    if blind := blind_words(release):
        lines.append(f"⚠️ {plain(blind, 300)}")
    if release.judgements:
        last = release.judgements[-1]
        query = f" · {found}" if (found := query_link(last)) else ""
        lines.append(
            f"Last verdict, {date(last.at)}: *{verdict_words(last)}*,"
            f" {plain(last.detail, 400)}{query}"
        )
    return section("\n".join(lines)) if lines else None


def _progress_lines(release: Release) -> Iterator[str]:
    """The bar: the candidate's share of the traffic, or the ready pods of a roll."""
    share = release.card_snapshot.share
    if release.strategy is not Strategy.ROLLING and share is not None:
        yield f"{bar(share)} {share}% of traffic to {plain(release.to_version)}{_served(release)}"
        if others := release.card_snapshot.others:
            reach = "reach" if len(release.target.services) > 1 else "reaches"
            yield (
                f"{plain(listed(release.target.services, 'and'))} also {reach}"
                f" {counted(others, 'pod')} of neither version; the share counts them."
            )
        return
    pods = progress(release)
    if pods is not None and pods[1] and release.phase is not Phase.AWAITING_APPROVAL:
        ready, wanted = pods
        on = "" if isinstance(release.change, Scale) else f" on {plain(release.to_version)}"
        yield f"{bar(100 * ready // wanted)} {ready} of {wanted} ready{on}"


def _served(release: Release) -> str:
    """Since when, where one colour of blue/green has all the traffic."""
    since = release.card_snapshot.serving_since
    return f" since {date(since)}" if since and colours_of(release) is not None else ""


def _notes(release: Release) -> Block | None:
    """While people decide on the plan; from then on the thread has them."""
    if release.plan is None or release.phase is not Phase.AWAITING_APPROVAL:
        return None
    lines = [f"• {plain(note, 400)}" for note in release.plan.notes[:SHOWN_NOTES]]
    if len(release.plan.notes) > SHOWN_NOTES:
        lines.append(f"and {len(release.plan.notes) - SHOWN_NOTES} more notes")
    return context("\n".join(lines)) if lines else None


# --- when it has ended ----------------------------------------------------------------------------


def _cause(release: Release) -> Iterator[Block]:
    cause = release.cause
    if cause is None or release.phase is Phase.SUCCEEDED:
        return
    yield section(f"*Why:* {plain(cause.summary, 900)}")
    if cause.evidence:
        lines = (line[:300] for line in cause.evidence[:SHOWN_EVIDENCE])
        yield preformatted("\n".join(lines))


def _timeline(release: Release) -> Iterator[Block]:
    """What happened, step by step, and how long each took."""
    if lines := timeline_lines(release):
        yield section("\n".join(lines))


def _origin(release: Release, names: Names, first: bool) -> str:
    parts = [
        code(release.id),
        f"by {_starter(release.requested_by, first)}",
        date(release.created_at, "{date_short_pretty} {time}"),
    ]
    approvals = [name.partition(": ") for name in release.passed if ": " in name]
    parts += [plain(f"{gate} approved by {who}", 200) for gate, _, who in approvals[:3]]
    target = release.target
    where = target.cluster or some_of(target.clusters, SHOWN)
    parts.append(plain(f"{target.namespace}/{target.deployment} on {where}", 300))
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
