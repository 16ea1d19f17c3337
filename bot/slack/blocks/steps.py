"""The steps of a running release as people think them: what is done and how long it took, what runs
now, what follows, and where it waits for people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Literal, TypeAlias

from bot.releases.facts.ages import duration
from bot.releases.facts.counts import counted
from bot.releases.facts.plan import ApprovalGate, HoldGate, Step
from bot.releases.facts.release import Phase, Release
from bot.releases.facts.target import Strategy
from bot.slack.blocks.elements import Block, section
from bot.slack.blocks.timeline import CLEAN_UP, SHOWN_STEPS
from bot.slack.blocks.words import capitalised, uncapitalised
from bot.slack.markup import plain

State: TypeAlias = Literal["done", "now", "holds", "waits", "next"]
_MARKS: dict[State, str] = {
    "done": "✅ done",
    "now": "▶️ now",
    "holds": "⏱️ now",
    "waits": "✋ next",
    "next": "▫️ next",
}
"""In words too: no meaning by a picture alone."""


@dataclass(frozen=True)
class StepItem:
    words: str
    state: State
    took: int = 0  # milliseconds; 0: not over, or not known
    is_clean_up: bool = False


def steps_block(release: Release) -> Block | None:
    """None where there is one step, and nothing to wait for."""
    steps = [step for step in release.steps if step.until or step.gates]
    if len(steps) < 2 and not any(step.gates for step in steps) and release.rollback is None:
        return None
    lines = [_line(item) for item in step_items(release)]
    if len(lines) > SHOWN_STEPS:
        lines = [*lines[:SHOWN_STEPS], f"and {len(lines) - SHOWN_STEPS} more steps"]
    return section("\n".join(lines)) if lines else None


def step_items(release: Release) -> list[StepItem]:
    """The steps after the point of no return of blue/green are one: the traffic has moved, and what
    remains is cleaning up."""
    items: list[StepItem] = []
    for is_clean_up, group in groupby(_items(release), key=lambda item: item.is_clean_up):
        of_group = list(group)
        items += [_as_one(of_group)] if is_clean_up else of_group
    return items


def _line(item: StepItem) -> str:
    took = f" · {duration(item.took)}" if item.took else ""
    return f"{_MARKS[item.state]}: {plain(uncapitalised(item.words), 250)}{took}"


def _items(release: Release) -> Iterator[StepItem]:
    approval: ApprovalGate | None = None  # for which the next step waits
    for index, step in enumerate(release.steps):
        if not step.until and not step.gates:
            continue
        item = _item(release, index, step)
        yield item if approval is None else _asked_for(release, index, item, approval)
        yield from _window(release, index, step)
        approval = next((one for one in step.gates if isinstance(one, ApprovalGate)), None)


def _item(release: Release, index: int, step: Step) -> StepItem:
    state = _state(release, index, step)
    share = f" ({step.share}%)" if _lacks_share(step) else ""
    holds = [gate for gate in step.gates if isinstance(gate, HoldGate)]
    ahead = [gate for gate in holds if not gate.is_rollback_window and state != "done"]
    hold = "holding" if state == "holds" else "then hold"
    then = f", {hold} for {duration(ahead[0].ms)}" if ahead else ""
    is_forward = release.rollback is None
    is_clean_up = release.strategy is Strategy.BLUEGREEN and is_forward and step.committed
    words = f"{capitalised(step.title)}{share}{then}"
    return StepItem(words, state, _took(release, index, step), is_clean_up)


def _lacks_share(step: Step) -> bool:
    """What starts beside stable gets 0%, and a switch is 100%: both go without saying."""
    return step.share not in (None, 0, 100) and "%" not in step.title


def _state(release: Release, index: int, step: Step) -> State:
    progress = release.progress
    if index != progress.at_step:
        return "done" if index < progress.at_step else "next"
    if progress.gate is None:
        return "now"
    return "holds" if isinstance(_open(release, step), HoldGate) else "done"


def _open(release: Release, step: Step) -> ApprovalGate | HoldGate | None:
    """The gate of the current step at which it waits; a rollback window is a line of its own."""
    state = release.progress.gate
    gate = step.gates[state.gate] if state is not None and state.gate < len(step.gates) else None
    return None if isinstance(gate, HoldGate) and gate.is_rollback_window else gate


def _took(release: Release, index: int, step: Step) -> int:
    progress = release.progress
    if index == progress.at_step and _state(release, index, step) == "done":
        return progress.reached_at - progress.began_at if progress.reached_at else 0
    if index >= progress.at_step:
        return 0
    times = (one for one in reversed(release.timeline) if one.title == step.title and not one.cut)
    one = next(times, None)
    return one.worked_ms if one is not None else 0


def _asked_for(release: Release, index: int, item: StepItem, approval: ApprovalGate) -> StepItem:
    """The step that people let begin says how many of them it needs."""
    if item.state != "next":
        return item
    waits = release.phase is Phase.AWAITING_PROMOTION and release.progress.at_step == index - 1
    words = f"{item.words} ({counted(approval.quorum, 'approval')})"
    return replace(item, words=words, state="waits" if waits else "next")


def _window(release: Release, index: int, step: Step) -> Iterator[StepItem]:
    for number, gate in enumerate(step.gates):
        if isinstance(gate, HoldGate) and gate.is_rollback_window:
            before = release.from_version or "what ran before"
            yield StepItem(
                f"Keep {before} ready for {duration(gate.ms)}",
                _window_state(release, index, number),
            )


def _window_state(release: Release, index: int, number: int) -> State:
    at, state = release.progress.at_step, release.progress.gate
    reached = state.gate if index == at and state is not None else -1
    if index < at or reached > number:
        return "done"
    return "holds" if reached == number else "next"


def _as_one(items: Sequence[StepItem]) -> StepItem:
    """``Clean up``; while it runs, what is being cleaned up."""
    running = next((item for item in items if item.state in ("now", "holds")), None)
    if running is not None:
        return running
    if all(item.state == "done" for item in items):
        return replace(items[0], words=capitalised(CLEAN_UP), took=sum(item.took for item in items))
    return replace(items[-1], words=capitalised(CLEAN_UP))
