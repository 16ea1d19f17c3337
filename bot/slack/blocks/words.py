"""A release in words: what it changes, how far it is, and what it waits for. Shared by cards,
announcements, listings, the home tab and the terminal."""

from __future__ import annotations

from typing import assert_never

from bot.releases.assess.card_snapshot import TERMINATING, SideName, pod_role
from bot.releases.assess.result import fell_back_to, reached
from bot.releases.engine.gates import open_gate
from bot.releases.engine.standstill import step_that_waits
from bot.releases.facts.ages import duration
from bot.releases.facts.causes import Judgement, Verdict
from bot.releases.facts.changes import Deploy, Reapply, Restart, Scale, Undo
from bot.releases.facts.counts import counted
from bot.releases.facts.plan import HoldGate, Step
from bot.releases.facts.release import Phase, Release
from bot.releases.facts.target import Strategy
from bot.releases.planning.probing import BY_PODS_ALONE
from bot.slack.blocks.fleet import fleet_state_words

MARKS: dict[Phase, str] = {
    Phase.QUEUED: "⏳",
    Phase.AWAITING_APPROVAL: "✋",
    Phase.PROGRESSING: "🚢",
    Phase.HOLDING: "⏱️",
    Phase.AWAITING_PROMOTION: "✋",
    Phase.PAUSED: "⏸️",
    Phase.DRIFTED: "⚠️",
    Phase.ROLLING_BACK: "↩️",
    Phase.SUCCEEDED: "✅",
    Phase.ROLLED_BACK: "↩️",
    Phase.ABORTED: "⏹️",
    Phase.FAILED: "❌",
    Phase.REJECTED: "🚫",
    Phase.EXPIRED: "⌛",
}

STRATEGY_WORDS: dict[Strategy, str] = {
    Strategy.ROLLING: "rolling",
    Strategy.CANARY: "canary",
    Strategy.BLUEGREEN: "blue/green",
}

SHOWN_VERSIONS = 8
_VERDICT_WORDS: dict[Verdict, str] = {
    Verdict.GOOD: "good",
    Verdict.BAD: "bad",
    Verdict.TOO_LITTLE: "too little data",
    Verdict.SOURCE_AWAY: "source away",
}


def change_words(release: Release) -> str:
    """What the release does: ``hello 1.0.0 → 2.0.0 canary``."""
    app, before, after = release.target.label, release.from_version, release.to_version
    match release.change:
        case Deploy(version=version):
            arrow = f"{before} → {after}" if before else f"→ {version_word(version)}"
            return f"{app} {arrow} {STRATEGY_WORDS[release.strategy]}"
        case Scale(replicas=replicas):
            return f"{app} {before} → {after}" if before else f"{app} → {counted(replicas, 'pod')}"
        case Restart():
            return f"{app} restart" + (f" of {before}" if before else "")
        case Undo(to_revision=revision):
            to = after or (f"revision {revision}" if revision else "the previous version")
            return f"{app} {before} → {to} undo" if before else f"{app} undo to {to}"
        case Reapply():
            return f"{app} apply" + (f" on {after}" if after else "")
        case _ as never:
            assert_never(never)


def title_words(release: Release) -> str:
    """The same as a title, the verb first: ``Deploy hello 1.0.0 → 2.0.0 canary``."""
    app, before = release.target.label, release.from_version
    match release.change:
        case Deploy():
            return f"Deploy {change_words(release)}"
        case Scale():
            return f"Scale {change_words(release)}"
        case Restart():
            return f"Restart {app}" + (f" {before}" if before else "")
        case Undo():
            return f"Undo {change_words(release).replace(' undo', '', 1)}"
        case Reapply():
            return f"Apply {app}" + (f" on {release.to_version}" if release.to_version else "")
        case _ as never:
            assert_never(never)


def version_word(version: str) -> str:
    """The tag of a full image, the first digits of a digest."""
    if version.startswith("sha256:"):
        return version[7:19]
    tail = version.rpartition("/")[2]
    return tail.rpartition(":")[2] if ":" in tail else version


_UNCHANGING_WORDS: dict[Phase, str] = {
    Phase.AWAITING_APPROVAL: "waiting for approval to start",
    Phase.PROGRESSING: "in progress",
    Phase.AWAITING_PROMOTION: "waiting for approval",
    Phase.DRIFTED: "changed outside this release; holding",
}


_HELD_PHASES = frozenset({Phase.PROGRESSING, Phase.HOLDING, Phase.AWAITING_PROMOTION})


def phase_words(release: Release) -> str:
    """A status fragment: what the release is doing and what is wrong, or how it ended."""
    trouble = struggle_words(release) if release.phase is Phase.PROGRESSING else ""
    return f"{state_words(release)}; {trouble}" if trouble else state_words(release)


def state_words(release: Release) -> str:
    """The same without what is wrong."""
    if release.fleet is not None and (words := fleet_state_words(release, release.fleet)):
        return words
    if release.standstill is not None and release.phase in _HELD_PHASES:
        return "held by a freeze"
    if release.phase in _UNCHANGING_WORDS:
        return _UNCHANGING_WORDS[release.phase]
    return _final_words(release) if release.phase.is_final else _running_words(release)


def freeze_words(release: Release) -> str:
    """What a freeze holds up, and what ends that; "" where none does."""
    freeze = release.freeze
    if freeze is None or release.phase.is_final or release.rollback is not None:
        return ""
    if release.phase is Phase.QUEUED:
        return f"{freeze.words}. If it still is when this starts, it does not start."
    step = step_that_waits(release)
    if step is None:
        return f"{freeze.words}. What has begun here is finished."
    before = uncapitalised(step.title)
    if release.standstill is None:
        return f"{freeze.words}. It holds before the next step: {before}."
    return f"{freeze.words}. Held before: {before}. An abort rolls back at any time."


def struggle_words(release: Release) -> str:
    """``3 of 3 new pods: CrashLoopBackOff, 2 restarts``; "" where nothing is wrong, or the
    cluster's own trouble is named already."""
    found = release.card_snapshot.struggle
    if found is None or release.progress.trouble is not None or release.phase.is_final:
        return ""
    return found.words


def _running_words(release: Release) -> str:
    match release.phase:
        case Phase.QUEUED if release.held is not None:
            return f"held: {release.held.behind} did not succeed"
        case Phase.QUEUED:
            return f"waiting for {release.queued_behind}" if release.queued_behind else "starting"
        case Phase.HOLDING:
            gate = open_gate(release)
            is_window = isinstance(gate, HoldGate) and gate.is_rollback_window
            return "rollback window open" if is_window else "holding"
        case Phase.PAUSED:
            return "paused; needs a decision" if release.cause else "paused"
        case Phase.ROLLING_BACK:
            return f"rolling back to {_version_before(release)}"
        case other:
            raise ValueError(f"no words for {other}")


def _final_words(release: Release) -> str:
    on = f"{release.target.label} is on {_on_now(release)}"
    rolled_back = bool(release.started_at) and release.rollback is not None
    match release.phase:
        case Phase.SUCCEEDED:
            return _success_words(release)
        case Phase.ROLLED_BACK:
            return f"rolled back: {on}"
        case Phase.EXPIRED | Phase.ABORTED if release.held is not None:
            return "dropped"
        case Phase.ABORTED | Phase.REJECTED:
            ended = release.phase.value.lower()
            return f"{ended}: {on}" if rolled_back else ended
        case Phase.FAILED:
            return "not started" if release.plan is None else "failed"
        case Phase.EXPIRED:
            expired = "expired: not approved in time"
            return f"{expired}; {on}" if rolled_back else expired
        case other:
            raise ValueError(f"no words for {other}")


def _on_now(release: Release) -> str:
    found, is_as_before = fell_back_to(release)
    return found if is_as_before else f"{found}, not {_version_before(release)}"


def _version_before(release: Release) -> str:
    return release.from_version or "the previous version"


def _success_words(release: Release) -> str:
    app = release.target.label
    match release.change:
        case Scale(replicas=replicas):
            return f"{app} has {counted(replicas, 'pod')}"
        case Restart():
            return f"{app} was restarted"
        case Reapply():
            return f"{app} matches its manifests"
        case _:
            found = reached(release)
            missed = release.plan is not None and found not in (
                release.to_version,
                f"{release.to_version}, with no pods",
            )
            return f"{app} is on {found}" + (f", not {release.to_version}" if missed else "")


def step_of(release: Release) -> Step | None:
    return release.current_step


def progress(release: Release) -> tuple[int, int] | None:
    """(new pods that are ready, pods wanted) of a roll; None before the first observation."""
    seen = release.card_snapshot
    if not seen.versions and not seen.desired:
        return None
    if isinstance(release.change, Scale):
        return seen.available, release.change.replicas
    return (
        sum(count.ready for count in seen.versions if count.is_new and count.side == "stable"),
        seen.desired,
    )


def percent(release: Release) -> int | None:
    """The candidate's share of the traffic, or the share of a roll's pods that are ready."""
    if release.strategy is not Strategy.ROLLING:
        if release.card_snapshot.share is not None:
            return release.card_snapshot.share
        if release.plan is None or release.progress.at_step < 1:
            return None
    counted = progress(release)
    if counted is None or not counted[1]:
        return None
    return min(100, 100 * counted[0] // counted[1])


def shown_percent(release: Release) -> int | None:
    """None before the release starts and after it ends."""
    has_started = not release.phase.is_final and release.phase not in (
        Phase.QUEUED,
        Phase.AWAITING_APPROVAL,
    )
    return percent(release) if has_started else None


def headline(release: Release) -> str:
    """The line that a phone's notification shows: ``Deploy hello 1.0.0 → 2.0.0 canary · 40% ·
    waiting for approval``."""
    parts = [title_words(release)]
    share = shown_percent(release)
    if share is not None:
        parts.append(f"{share}%")
    parts.append(phase_words(release))
    if release.took_ms is not None:
        parts.append(f"took {duration(release.took_ms)}")
    return " · ".join(parts)


def pods_words(release: Release) -> list[str]:
    """One line a version, stable and candidate apart: ``2.0.0 candidate: 3 of 5 ready, 3 serving``.
    Short, for a phone shows 36 columns."""
    lines = []
    many = len({count.side for count in release.card_snapshot.versions}) > 1
    for count in release.card_snapshot.versions[:SHOWN_VERSIONS]:
        role = pod_role(release, count.side, is_new=count.is_new, has_both=many)
        traffic = f", {count.endpoints} serving" if release.target.services and many else ""
        ending = sum(
            (pod.side, pod.version, pod.is_new) == (count.side, count.version, count.is_new)
            for pod in release.card_snapshot.pods
            if pod.status == TERMINATING
        )
        gone = f", {ending} terminating" if ending else ""
        lines.append(f"{count.version} {role}: {count.ready} of {count.pods} ready{traffic}{gone}")
    return lines


def colours_of(release: Release) -> tuple[str, str] | None:
    """(colour that serves, colour that waits) in blue/green, while both exist and exactly one
    serves."""
    sides = {count.side for count in release.card_snapshot.versions}
    if release.strategy is not Strategy.BLUEGREEN or len(sides) < 2:
        return None
    match release.card_snapshot.serving:
        case "stable":
            return _colour(release, "stable"), _colour(release, "candidate")
        case "candidate":
            return _colour(release, "candidate"), _colour(release, "stable")
        case _:
            return None


def _colour(release: Release, side: SideName) -> str:
    return pod_role(release, side, is_new=False, has_both=True)


def blind_words(release: Release) -> str:
    """While it holds: that nobody asks the new version anything, or why no metrics come."""
    if release.plan is None or release.phase is not Phase.HOLDING:
        return ""
    if away := next((one.away for one in release.progress.counts if one.away), ""):
        return f"No metrics: {away}"
    notes = (note for note in release.plan.notes if BY_PODS_ALONE in note)
    return capitalised(next(notes, ""))


def verdict_words(judgement: Judgement) -> str:
    return _VERDICT_WORDS[Verdict.SOURCE_AWAY if judgement.away else judgement.verdict]


def capitalised(text: str) -> str:
    """As the start of a line."""
    return text[:1].upper() + text[1:]


def uncapitalised(text: str) -> str:
    """As part of a sentence: only where ``text`` begins with a verb or a common noun."""
    return text[:1].lower() + text[1:]
