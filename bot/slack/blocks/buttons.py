"""The buttons of a card: only those that fit the phase, each bound to the release, the gate and the
plan that the card showed.

bot.operations reads the action's name from a click: one of bot.policy.permission_table.BUTTONS.
"""

from __future__ import annotations

from typing import assert_never

import orjson

from bot.releases.engine.gates import open_gate
from bot.releases.engine.respond import capacity_name, hold_name, stop_name
from bot.releases.facts.ages import duration
from bot.releases.facts.changes import Deploy, Scale
from bot.releases.facts.plan import ApprovalGate, Confirmation, HoldGate
from bot.releases.facts.release import Phase, Release
from bot.releases.facts.target import Strategy
from bot.releases.fleet.plan import way_back
from bot.slack.blocks.elements import Block, button

ACTION_PREFIX = "release:"
ON_THE_CARD, IN_ITS_FORM = "card", "form"
SHOW = f"{ACTION_PREFIX}show"
RESTORED = "Everything returns to its state before the release."
_APPROVE = {
    "start": "Approve start",
    "version": "Approve version",
    "override": "Override freeze",
    "promote": "Promote",
    "switch": "Switch",
    **{one.value: "Continue" for one in Confirmation},
}


_PASSES_NOTHING = frozenset({Phase.HOLDING, Phase.AWAITING_PROMOTION})  # while a freeze holds it


def buttons_of(release: Release, *, followed: bool = False) -> list[Block]:
    """``followed``: versions wait behind it, and the form of Abort asks what becomes of them."""
    buttons = _of_fleet(release) or _of_standstill(release) or _of_phase(release)
    return [_asking_in_its_form(one) for one in buttons] if followed else buttons


def _asking_in_its_form(one: Block) -> Block:
    carried = orjson.loads(one["value"])
    if carried.get("asks") != ON_THE_CARD:
        return one
    without = {key: value for key, value in one.items() if key != "confirm"}
    return {**without, "value": orjson.dumps({**carried, "asks": IN_ITS_FORM}).decode()}


def _of_standstill(release: Release) -> list[Block]:
    if release.standstill is None or release.phase not in _PASSES_NOTHING:
        return []
    return [_plain(release, "Pause", "pause"), _abort(release)]


def _of_phase(release: Release) -> list[Block]:
    match release.phase:
        case Phase.QUEUED:
            return _in_line(release)
        case Phase.AWAITING_APPROVAL | Phase.AWAITING_PROMOTION:
            return _at_approval(release)
        case Phase.PROGRESSING:
            if release.rollback is not None:
                return []
            return [*_hand_over(release), _plain(release, "Pause", "pause"), _abort(release)]
        case Phase.HOLDING:
            return _at_hold(release)
        case Phase.PAUSED:
            return [
                _plain(release, "Resume", "resume", style="" if release.cause else "primary"),
                _abort(release),
            ]
        case Phase.DRIFTED:
            adopt = _plain(
                release,
                "Adopt",
                "adopt",
                confirm=(
                    "Keep this change?",
                    "The release continues with the outside change, or ends and leaves it alone.",
                    "Adopt",
                ),
            )
            return [adopt, _abort(release)]
        case Phase.ROLLING_BACK:
            return _roll_back_now(release)
        case (
            Phase.SUCCEEDED
            | Phase.ROLLED_BACK
            | Phase.ABORTED
            | Phase.FAILED
            | Phase.REJECTED
            | Phase.EXPIRED
        ):
            return []
        case _ as never:
            assert_never(never)


def _of_fleet(release: Release) -> list[Block]:
    """Where a fleet asks what becomes of it; else its phase has them."""
    if release.fleet is None or release.rollback is not None or release.phase.is_final:
        return []
    finish = _plain(release, "Finish…", "finish")  # opens a form
    ends = [finish, _abort(release, "Roll back all")]
    if release.phase is Phase.PAUSED and release.cause is not None:
        return [*ends, _plain(release, "Continue", "resume")]
    if release.phase is Phase.PROGRESSING and release.fleet.is_catching_up:
        return ends
    return []


def buttons_after(release: Release) -> list[Block]:
    """Of a release that is over: back, once more, and what runs."""
    if release.fleet is not None:
        return []
    app = release.target.typed
    pods = [show_button("Pods", f"pods {app}")] if release.started_at else []
    if release.started_at and release.as_found is not None:
        pods = [compare_button(release), *pods]
    if may_be_rolled_back(release):
        return [roll_back_button(release.id), *pods]
    if release.phase is not Phase.SUCCEEDED and isinstance(release.change, Deploy):
        return [_plain(release, "Retry…", "retry"), *pods]
    return pods


def may_be_rolled_back(release: Release) -> bool:
    is_deploy = isinstance(release.change, Deploy) and bool(release.from_version)
    return release.phase is Phase.SUCCEEDED and is_deploy


def roll_back_button(release_id: str, *, confirmed: bool = False) -> Block:
    """A worker answers it: void once anything changed, at once in an emergency, else it asks."""
    value = {"release": release_id, "gate": "", "plan": "", "step": "confirmed" * confirmed}
    return button("Roll back", f"{ACTION_PREFIX}undo", value, style="danger")


def _at_approval(release: Release) -> list[Block]:
    gate = open_gate(release)
    if not isinstance(gate, ApprovalGate):
        return [_abort(release)]
    approve = _plain(
        release,
        _APPROVE.get(gate.name, "Approve"),
        "approve",
        style="primary",
        confirm=_what_follows(release, gate),
    )
    reject = _plain(release, "Reject", "reject", style="danger")  # opens a form
    # One red button a card: Reject answers the question, Abort asks for confirmation first.
    pause = [_plain(release, "Pause", "pause")] if release.phase is Phase.AWAITING_PROMOTION else []
    return [approve, reject, *pause, _abort(release, style="")]


def _what_follows(release: Release, gate: ApprovalGate) -> tuple[str, str, str] | None:
    """What changes production for all is confirmed, unless the catalog says otherwise."""
    if not release.rules.approvals.confirm or gate.name not in ("promote", "switch"):
        return None
    app, after = release.target.label, release.to_version
    versions = f"{app} {release.from_version} → {after}".replace("  ", " ")
    if gate.name == "switch":
        window = duration(release.rules.bluegreen.rollback_window_ms)
        then = f"All traffic goes to {after}; {release.from_version} stays ready for {window}."
        return f"Switch: all traffic to {after}?", f"{versions}. {then}", "Switch"
    then = f"Every pod gets {after}; the canary pods are removed."
    return f"Promote: {after} for everyone?", f"{versions}. {then}", "Promote"


def _at_hold(release: Release) -> list[Block]:
    gate = open_gate(release)
    if isinstance(gate, HoldGate) and gate.is_rollback_window:
        finish = _plain(
            release,
            "Finish now",
            "finish",
            confirm=(
                "Finish now?",
                "The old pods are removed. To roll back afterwards, use rollout undo.",
                "Finish now",
            ),
        )
        return [
            finish,
            # An emergency is not delayed by a question; a new release leads forward again.
            _plain(release, "Roll back", "abort", style="danger"),
        ]
    return [
        _plain(release, "Continue now", "promote", gate=""),
        _plain(release, "Pause", "pause"),
        _abort(release),
    ]


def _hand_over(release: Release) -> list[Block]:
    if not capacity_name(release):
        return []
    return [
        _plain(
            release,
            "Hand over now",
            "promote",
            gate="",
            confirm=("Hand over now?", _with_what_is_ready(release), "Hand over now"),
        )
    ]


def _roll_back_now(release: Release) -> list[Block]:
    if not capacity_name(release):
        return []
    return [_abort(release, "Roll back now", _with_what_is_ready(release))]


def _with_what_is_ready(release: Release) -> str:
    lacks = release.progress.waits_for
    return f"{release.target.deployment} takes all traffic with the pods it has now: {lacks}."


def _abort(
    release: Release,
    label: str = "Abort",
    what: str = "",
    *,
    style: str = "danger",
) -> Block:
    what = what or restored(release)
    is_abort = label == "Abort"
    title = abort_title(release) if is_abort else f"{label} {release.id}?"
    asks = ON_THE_CARD if is_abort else ""
    return _plain(release, label, "abort", style=style, confirm=(title, what, label), asks=asks)


def abort_title(release: Release) -> str:
    if not _is_known(release):
        return f"Abort {release.id}?"
    return f"Abort: {release.target.label} stays on {release.from_version}"


def restored(release: Release) -> str:
    """The consequence: what is removed, and that nothing else changes."""
    if release.fleet is not None:
        return (
            f"Each cluster that began returns to what was found there: {way_back(release.fleet)}."
        )
    pods = sum(one.pods for one in release.card_snapshot.versions if one.side == "candidate")
    if not pods or release.plan is None:
        return RESTORED
    kind = "canary" if release.strategy is Strategy.CANARY else release.candidate_name
    version = release.to_version
    gone = (
        f"The {kind} pod of {version} is"
        if pods == 1
        else f"The {pods} {kind} pods of {version} are"
    )
    return f"{gone} removed. {RESTORED}"


def _is_known(release: Release) -> bool:
    return bool(release.from_version) and not isinstance(release.change, Scale)


def _in_line(release: Release) -> list[Block]:
    if release.held is not None:
        return held_buttons(release)
    front = release.queued_behind
    instead = [replace_button(release, front)] if front else []
    return [*instead, _abort(release, "Cancel", "Nothing has changed yet.", style="")]


def held_buttons(release: Release, *, all_of_them: bool = False) -> list[Block]:
    """``all_of_them``: every version that the same release holds."""
    held = release.held
    what = release.to_version
    if all_of_them and held is not None and len(held.ids) > 1:
        what = f"{len(held.ids)} versions"
    value = {"release": release.id, "gate": "", "plan": "", "step": stop_name(release)}
    if all_of_them and held is not None:
        value["front"] = held.behind
    effect = f"{what} will not be released. Nothing has changed yet."
    confirm = (f"Drop {what}?", effect, "Drop")
    return [
        button("Continue", f"{ACTION_PREFIX}resume", value, style="primary"),
        button("Drop", f"{ACTION_PREFIX}abort", value, style="danger", confirm=confirm),
    ]


def replace_button(release: Release, front: str) -> Block:
    """``front`` travels with the button: a click on an older card never rolls back a release that
    came in between."""
    what = f"{front} is rolled back, then {release.id} starts."
    value = {"release": release.id, "gate": "", "plan": "", "front": front}
    return button(
        "Replace",
        f"{ACTION_PREFIX}replace",
        value,
        style="danger",
        confirm=(f"Replace {front}?", what, "Replace"),
    )


def _plain(
    release: Release,
    label: str,
    action: str,
    *,
    style: str = "",
    confirm: tuple[str, str, str] | None = None,
    gate: str | None = None,
    asks: str = "",
) -> Block:
    """``gate`` None: the release's open gate. "Continue now" carries none: it ends a hold and
    approves nothing. ``asks``: where Abort asks before it acts, so that it asks once.

    ``step`` names the hold, the pause or the drift, so that a click on an older card never ends a
    later one.
    """
    current = open_gate(release)
    value = {
        "release": release.id,
        "gate": gate if gate is not None else (current.name if current is not None else ""),
        "plan": release.plan.hash if release.plan is not None else "",
    }
    if moment := stop_name(release) or hold_name(release) or capacity_name(release):
        value["step"] = moment
    if asks:
        value["asks"] = asks
    return button(label, f"{ACTION_PREFIX}{action}", value, style=style, confirm=confirm)


def compare_button(release: Release) -> Block:
    """What it changed in the cluster, for the person who clicks."""
    return show_button("Compare", f"release {release.id} compare")


def show_button(label: str, what: str, *, style: str = "") -> Block:
    """Bound to no release: it runs a command that only reads, or opens the form."""
    return button(label, f"{SHOW}:{what.partition(' ')[0]}", {"what": what}, style=style)
