"""May this person do this, to this thing, on this path, now? The one decision: every path asks it,
and no other module knows the rules that it is composed of."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, TypeAlias

from bot.policy.approvals import refusal_to_ask
from bot.policy.freezes import Freeze, frozen_by, may_override, refusal_to_end
from bot.policy.permission_table import BUTTONS, SAFER
from bot.policy.permissions import (
    Access,
    Permission,
    Role,
    is_direct,
    may,
    refusal_of_role,
    takes_commands_in,
)
from bot.releases.facts.changes import Change
from bot.releases.facts.people import Person
from bot.releases.facts.release import Release
from bot.releases.facts.target import Target


@dataclass(frozen=True)
class Asker:
    """``home``: the app's own workspace, "" while Slack does not say. ``note``: by what the roles
    were judged while Slack did not answer, "" where it did."""

    person: Person
    home: str
    roles: frozenset[Role]
    note: str = ""


@dataclass(frozen=True)
class Act:
    """A command, a verb of `/rollout` or a button. ``permission`` None: anyone of the workspace.
    ``changes``: typed, it changes something."""

    name: str
    permission: Permission | None
    changes: bool = False

    @property
    def makes_safer(self) -> bool:
        return self.name in SAFER


@dataclass(frozen=True)
class Path:
    """``typed``: a slash command, a mention, a command in a thread or a direct message, or the form
    that one of them opened. ``posted``: a button, a confirmation, or the form of the home tab.
    ``effect``: a worker asks again before what was asked takes effect."""

    via: Literal["typed", "posted", "effect"]
    channel: str = ""


@dataclass(frozen=True)
class Start:
    """A release to be created, or one before its first write. ``cluster`` None: the app's own."""

    target: Target
    change: Change | None
    reason: str
    freezes: Collection[Freeze]
    cluster: str | None = None


Thing: TypeAlias = Release | Start | Freeze | None
"""What is acted on. Freeze: it is lifted or shortened."""


class Rule(StrEnum):
    """Which rule refuses: it decides on the hint, and on the words of a worker."""

    WORKSPACE = "workspace"
    IDENTITY = "identity"
    STRANGER = "stranger"
    CHANNEL = "channel"
    ROLE = "role"
    THING = "thing"
    FREEZE = "freeze"
    FREEZE_WITHOUT_REASON = "freeze without reason"


@dataclass(frozen=True)
class Denied:
    line: str
    rule: Rule
    freeze: Freeze | None = None


EFFECT = Path("effect")
POSTED = Path("posted")
READING = Act("read", Permission.READ)
STARTING = Act("start", Permission.DEPLOY)
ANYTHING = Act("anything", None)
"""Before it is known what is asked: only who asks is judged."""


def button(action: str) -> Act:
    """Raises KeyError for a button that no card has."""
    return Act(action, BUTTONS[action])


def denial(
    asker: Asker, act: Act, thing: Thing, path: Path, access: Access, now: int
) -> Denied | None:
    """None when the person may. ``now``: milliseconds, for freezes that end."""
    return (
        _of_identity(asker)
        or denial_of_channel(act, path, access)
        or _of_role(asker, act, thing)
        or _of_thing(asker, act, thing, now)
    )


def _of_identity(asker: Asker) -> Denied | None:
    """While the workspace is unknown, everyone is refused: a stranger's user id must never match a
    role."""
    person, home = asker.person, asker.home
    if not home:
        line = "Slack does not say which workspace this app belongs to."
        return Denied(line, Rule.WORKSPACE)
    if not person.team or not person.user:
        return Denied("Slack did not say which workspace you belong to.", Rule.IDENTITY)
    if person.team != home:
        line = "Pilothouse takes commands only from people of its own workspace."
        return Denied(line, Rule.STRANGER)
    return None


def denial_of_channel(act: Act, path: Path, access: Access) -> Denied | None:
    """None when such commands are typed there."""
    if path.via != "typed" or act.permission is None:
        return None
    if takes_commands_in(access, path.channel, changes=act.changes):
        return None
    line = (
        "Commands that change something are not taken in direct messages."
        if is_direct(path.channel)
        else "Commands are not taken in this channel."
    )
    return Denied(line, Rule.CHANNEL)


def _of_role(asker: Asker, act: Act, thing: Thing) -> Denied | None:
    """A release may ask for more than the act alone, or for less."""
    if act.permission is None or (isinstance(thing, Release) and not _is_forced(act)):
        return None
    line = refusal_of_role(act.permission, asker.roles)
    return Denied(line, Rule.ROLE) if line else None


def _is_forced(act: Act) -> bool:
    return act.permission is Permission.ADMIN


def _of_thing(asker: Asker, act: Act, thing: Thing, now: int) -> Denied | None:
    match thing:
        case Release():
            forced = _is_forced(act)
            line = "" if forced else refusal_to_ask(thing, act.name, asker.person, asker.roles)
            return Denied(line, Rule.THING) if line else None
        case Freeze():
            line = refusal_to_end(thing, asker.roles)
            return Denied(line, Rule.THING) if line else None
        case Start():
            return _of_cluster(thing) or _of_freeze(asker, thing, now)
        case None:
            return None


def _of_cluster(start: Start) -> Denied | None:
    """The catalog says where an app is released to; `in=` may repeat it."""
    target = start.target
    if start.cluster in (None, target.cluster):
        return None
    line = f"{target.app} is released to {target.cluster}, not to {start.cluster}."
    return Denied(line, Rule.THING)


def _of_freeze(asker: Asker, start: Start, now: int) -> Denied | None:
    if start.change is None:
        return None
    target = start.target
    freeze = frozen_by(start.freezes, app=target.app, cluster=target.cluster, now=now)
    if freeze is None or may_override(start.change, asker.roles, start.reason):
        return None
    is_admin = may(asker.roles, Permission.ADMIN)
    rule = Rule.FREEZE_WITHOUT_REASON if is_admin else Rule.FREEZE
    return Denied(freeze.line, rule, freeze)
