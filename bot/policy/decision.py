"""May this person do this, to this thing, on this path, now? The one decision: every path asks it,
and no other module knows the rules that it is composed of."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal, TypeAlias

from bot.policy.approvals import refusal_to_ask
from bot.policy.automation import AutomationLock, refusal_of_locks
from bot.policy.callers import Caller, refusal_of_caller
from bot.policy.freezes import Freeze, frozen_by, may_override, refusal_to_end
from bot.policy.permission_table import BUTTONS, SAFER
from bot.policy.permissions import (
    ANYWHERE,
    WORKSPACE,
    Access,
    Permission,
    PersonKind,
    Place,
    Role,
    is_direct,
    may,
    refusal_of_role,
    roles_of,
    takes_commands_in,
)
from bot.policy.strategies import is_emergency, may_use, refusal_of_strategy
from bot.releases.facts.changes import Change, Deploy
from bot.releases.facts.people import Person
from bot.releases.facts.release import Release
from bot.releases.facts.rules import Rules
from bot.releases.facts.target import Target

BY_TOKEN = frozenset({Role.DEPLOYER})
"""Of a machine, in the scope of its token."""


@dataclass(frozen=True)
class Asker:
    """``home``: the app's own workspace, "" while Slack does not say. ``groups``: those of the
    catalog that the person is in. ``note``: by what they were judged while Slack did not answer, ""
    where it did."""

    person: Person
    home: str
    groups: frozenset[str] = frozenset()
    kind: PersonKind = PersonKind.MEMBER
    note: str = ""
    caller: Caller | None = None  # for a person whom a machine claims to act for

    def roles(self, access: Access, place: Place = WORKSPACE) -> frozenset[Role]:
        if self.person.caller:
            return BY_TOKEN
        return roles_of(access, self.person.user, self.groups, self.kind, place)


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
    """A release to be created, or one before its first write. ``locks``: those that keep machines
    from it, where a machine asks."""

    target: Target
    change: Change | None
    reason: str
    freezes: Collection[Freeze]
    rules: Rules = field(default_factory=Rules)
    locks: Sequence[AutomationLock] = ()


@dataclass(frozen=True)
class Freezing:
    """A freeze is set, lifted or changed. ``ends``: the one that would end earlier."""

    place: Place
    ends: Freeze | None = None


Thing: TypeAlias = Release | Start | Freezing | Place
"""What is acted on; a Place where that is not known yet, or needs no more than a role there."""


class Rule(StrEnum):
    """Which rule refuses: it decides on the hint, and on the words of a worker."""

    WORKSPACE = "workspace"
    IDENTITY = "identity"
    STRANGER = "stranger"
    CALLER = "caller"
    LOCKED = "locked"
    CHANNEL = "channel"
    ROLE = "role"
    THING = "thing"
    FREEZE = "freeze"
    FREEZE_WITHOUT_REASON = "freeze without reason"
    STRATEGY = "strategy"
    EMERGENCY = "emergency"
    EMERGENCY_WITHOUT_REASON = "emergency without reason"


@dataclass(frozen=True)
class Denied:
    line: str
    rule: Rule
    freeze: Freeze | None = None
    app: str = ""  # as a command names it, where a lock refuses


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
    roles = asker.roles(access, place_of(act, thing))
    return (
        _of_identity(asker)
        or denial_of_channel(act, path, access)
        or _of_caller(asker, thing, now)
        or _of_role(roles, act, thing)
        or _of_thing(asker, roles, act, thing, now)
    )


def place_of(act: Act, thing: Thing) -> Place:
    """Whose roles decide. Who may read at all, may read about every app."""
    if act.permission is Permission.READ:
        return ANYWHERE
    match thing:
        case Release() | Start():
            return place_of_target(thing.target)
        case Freezing():
            return thing.place
        case Place():
            return thing


def place_of_target(target: Target) -> Place:
    return Place(target.app, target.clusters or (target.cluster,))


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


def _of_caller(asker: Asker, thing: Thing, now: int) -> Denied | None:
    """A machine starts what its token's scope covers, and asks for nothing else."""
    name = asker.person.caller
    if not name:
        return None
    if not isinstance(thing, Start) or not isinstance(thing.change, Deploy):
        return Denied(f"The API caller {name} may start releases only.", Rule.CALLER)
    line = refusal_of_caller(name, asker.caller, thing.target, thing.change.strategy, now)
    if line:
        return Denied(line, Rule.CALLER)
    line = refusal_of_locks(thing.locks, thing.target.label)
    return Denied(line, Rule.LOCKED, app=thing.target.typed) if line else None


def _of_role(roles: Collection[Role], act: Act, thing: Thing) -> Denied | None:
    """A release may ask for more than the act alone, or for less."""
    if act.permission is None or (isinstance(thing, Release) and not _is_forced(act)):
        return None
    line = refusal_of_role(act.permission, roles)
    return Denied(line, Rule.ROLE) if line else None


def _is_forced(act: Act) -> bool:
    return act.permission is Permission.ADMIN


def _of_thing(
    asker: Asker, roles: Collection[Role], act: Act, thing: Thing, now: int
) -> Denied | None:
    match thing:
        case Release():
            if _is_forced(act):
                return None
            line = refusal_to_ask(thing, act.name, asker.person, roles, asker.groups)
            return Denied(line, Rule.THING) if line else None
        case Freezing(ends=Freeze() as freeze):
            line = refusal_to_end(freeze, roles)
            return Denied(line, Rule.THING) if line else None
        case Start():
            return _of_strategy(roles, thing) or _of_freeze(roles, thing, now)
        case _:
            return None


def _of_strategy(roles: Collection[Role], start: Start) -> Denied | None:
    rules, change = start.rules, start.change
    if change is None or may_use(rules, change, roles, start.reason):
        return None
    line = refusal_of_strategy(start.target, rules, change)
    if not is_emergency(rules, change):
        return Denied(line, Rule.STRATEGY)
    is_admin = may(roles, Permission.ADMIN)
    return Denied(line, Rule.EMERGENCY_WITHOUT_REASON if is_admin else Rule.EMERGENCY)


def _of_freeze(roles: Collection[Role], start: Start, now: int) -> Denied | None:
    if start.change is None:
        return None
    target = start.target
    freeze = frozen_by(start.freezes, app=target.app, cluster=target.cluster, now=now)
    if freeze is None or may_override(start.change, roles, start.reason):
        return None
    is_admin = may(roles, Permission.ADMIN)
    rule = Rule.FREEZE_WITHOUT_REASON if is_admin else Rule.FREEZE
    return Denied(freeze.line, rule, freeze)
